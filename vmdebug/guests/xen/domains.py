"""The domains of a Xen hypervisor and their vcpus, by the hypervisor's own types.

Whose memory that is does not matter: an image of the machine, or a domain's dump that has the hypervisor as a module.
Specified in: xen/include/xen/sched.h. Until 3.4 a domain holds its vcpus' addresses itself, 32 at most, and has
domain_flags and is_hvm; since then it points to max_vcpus of them.
"""

from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, NoTarget
from vmdebug.guests.base import Guest
from vmdebug.guests.memory import each_link, read_word
from vmdebug.symbols.table import Symbol, SymbolTable
from vmdebug.types.model import Array

if TYPE_CHECKING:
    from vmdebug.types.typed import Objects, Typed

FIRST = ("domain_list", "hardware_domain", "dom0")  # which point to the first domain, the surest before others
MAX_DOMAINS = 1 << 15  # domain_id is less than 0x7ff0
MAX_VCPUS = 1 << 13  # of any domain
EMBEDDED_VCPUS = 32  # MAX_VIRT_CPUS
IS_HVM = 1  # of domain.options: XEN_DOMCTL_CDF_hvm


class NoDomainTypes(DebuggerError):
    def __init__(self) -> None:
        super().__init__("Can't parse Xen domain info.")


class NoVcpuTypes(DebuggerError):
    def __init__(self) -> None:
        super().__init__("can't find per-domain vcpu information")


class NoFirstDomain(DebuggerError):
    def __init__(self, why: str) -> None:
        super().__init__(f"can't find symbol 'dom0'{f' (there are no symbols: {why})' if why else ''}")


class WrongSymbolSize(DebuggerError):
    def __init__(self, symbol: Symbol, wanted: int) -> None:
        super().__init__(f"Symbol '{symbol.name}' found, but with the wrong size: {symbol.size}, not {wanted}")


class TooManyVcpus(DebuggerError):
    def __init__(self, domain: int, count: int) -> None:
        super().__init__(f"domain {domain:x}: {count} vcpus are more than any domain's ({MAX_VCPUS})")


@dataclass(frozen=True)
class Hypervisor:
    """What domains are read with: the hypervisor's names, its structures, and what its types are called."""

    symbols: SymbolTable
    objects: "Objects"
    scope: str = ""  # "module`" where the types are one module's of several

    def at(self, address: int) -> "Typed":
        """The domain at an address; NoDomainTypes without type data."""
        try:
            found: Typed = self.objects.at(f"struct {self.scope}domain", address)
        except DebuggerError as err:
            raise NoDomainTypes from err
        return found


@runtime_checkable
class WithHypervisor(Protocol):
    """A guest whose memory has a hypervisor's too."""

    def hypervisor(self) -> Hypervisor:
        """What its domains are read with; DebuggerError if there is none."""
        ...


def hypervisor_of(guest: Guest) -> Hypervisor:
    """The hypervisor in a guest's memory, for dcmds that know domains."""
    if not isinstance(guest, WithHypervisor):
        raise NoTarget
    return guest.hypervisor()


@dataclass(frozen=True)
class Domain:
    """A domain. `vcpus` and `evtchns` are the addresses of the arrays; None is what the hypervisor does not have."""

    address: int
    id: int
    tot_pages: int | None
    max_pages: int | None
    flags: int | None
    is_hvm: int | None
    vcpus: int | None
    evtchns: int | None


def first_domain(xen: Hypervisor) -> int:
    """The domain with the lowest number: dom0, unless it is gone."""
    symbol = next((found for name in FIRST if (found := xen.symbols.find(name))), None)
    if symbol is None:
        raise NoFirstDomain(xen.symbols.why)
    word = xen.objects.types.pointer
    if symbol.size not in (0, word):
        raise WrongSymbolSize(symbol, word)
    return read_word(xen.objects.read, symbol.value, word)


def each_domain(xen: Hypervisor, start: int | None = None) -> Iterator[int]:
    """The addresses of the domains, from one of them or from the first on, in the order of their numbers."""
    first = first_domain(xen) if start is None else start
    offset = xen.objects.offsetof(xen.at(first).type_, "next_in_list")
    word = xen.objects.types.pointer
    return each_link(lambda domain: read_word(xen.objects.read, domain + offset, word), first, MAX_DOMAINS)


def each_vcpu(xen: Hypervisor, domain: int | None = None) -> Iterator[int]:
    """The addresses of a domain's vcpus, of the first domain's if none is given."""
    try:
        found = xen.at(first_domain(xen) if domain is None else domain)
    except NoDomainTypes as err:
        raise NoVcpuTypes from err
    if "vcpu" not in found:
        raise NoVcpuTypes
    if _holds(found, "vcpu"):
        return map(int, takewhile(bool, found["vcpu"][:EMBEDDED_VCPUS]))
    count = found["max_vcpus"]
    if count > MAX_VCPUS:
        raise TooManyVcpus(found.address_, count)
    array = found["vcpu"]
    return map(int, filter(None, xen.objects.array(array.type_, int(array), count)))


def read_domain(xen: Hypervisor, address: int) -> Domain:
    """What a domain says of itself."""
    found = xen.at(address)
    hvm = _member(found, "is_hvm")
    if hvm is None and (options := _member(found, "options")) is not None:
        hvm = options & IS_HVM
    return Domain(
        address=address,
        id=found["domain_id"],
        tot_pages=_member(found, "tot_pages"),
        max_pages=_member(found, "max_pages"),
        flags=_member(found, "domain_flags"),
        is_hvm=None if hvm is None else int(hvm),
        vcpus=_array(found, "vcpu"),
        evtchns=_array(found, "evtchn"),
    )


def _member(domain: "Typed", name: str) -> Any:  # Any: whatever the member holds
    if name not in domain:
        return None
    return domain[name]


def _array(domain: "Typed", name: str) -> int | None:
    """Where an array begins that a domain holds or points to."""
    if name not in domain:
        return None
    return int(domain.refer_(name)) if _holds(domain, name) else int(domain[name])


def _holds(domain: "Typed", name: str) -> bool:
    """True if the member is an array, not a pointer to one."""
    return isinstance(domain.refer_(name).type_.resolve(), Array)
