"""The domains of a Xen hypervisor: ::domain, the walkers domain and vcpu."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Text, dcmd, walker
from vmdebug.guests.xen.domains import each_domain, each_vcpu, hypervisor_of, read_domain

GUESTS = ("xen", "illumos")


@walker("domain", start="optional", guests=GUESTS)
def walk_domain(call: Call) -> Iterator[int]:
    """walk the domains of the hypervisor, from one of them or from the first on"""
    return each_domain(hypervisor_of(call.guest), call.address)


@walker("vcpu", start="optional", guests=GUESTS)
def walk_vcpu(call: Call) -> Iterator[int]:
    """walk the vcpus of a domain, by default of the first"""
    return each_vcpu(hypervisor_of(call.guest), call.address)


@dataclass(frozen=True)
class DomainRow:
    """A domain of the hypervisor.

    addr: its struct domain
    id: its number
    tpages: how many pages it has
    mpages: how many it may have
    flags: its domain_flags; null in hypervisors later than 3.0, which have none
    hvm: 1 if it is fully virtualised, 0 if not; null if the hypervisor does not say
    vcpu: the array of the addresses of its vcpus
    evtchn: the array of its event channels; in hypervisors before 4.2 of the buckets of them
    """

    addr: Vaddr
    id: int
    tpages: Hex | None
    mpages: Hex | None
    flags: Hex | None
    hvm: int | None
    vcpu: Vaddr | None
    evtchn: Vaddr | None


DOMAIN = Text(
    "{addr:>16x} {id:>3} {tpages:>8x} {mpages:>8x} {flags:>8x} {hvm:>3} {vcpu:>16x} {evtchn:>16x}",
    head=f"{'ADDR':>16}  ID {'TPAGES':>8} {'MPAGES':>8} {'FLAGS':>8} HVM {'VCPU':>16} {'EVTCHN':>16}",
    missing="-",
)


@dcmd("domain", address="optional", text=DOMAIN, row=DomainRow, guests=GUESTS)
def domain(call: Call) -> Iterator[DomainRow]:
    """display the domains of a Xen hypervisor

    Of all domains, or of the one at the address. What the hypervisor does not keep shows as -. The hypervisor is that
    of an image of the machine, with its file xen-syms; or the one whose panic an illumos dom0 dumped, with the module
    xpv.

    Reads: domain_list, hardware_domain or dom0, struct domain (domain_id, tot_pages, max_pages, options, vcpu, evtchn,
    next_in_list); of older hypervisors its domain_flags and is_hvm; of illumos xpv_panic_info.

    Example:
        ::domain
    """
    xen = hypervisor_of(call.guest)
    for address in each_domain(xen) if call.address is None else call.addresses:
        found = read_domain(xen, address)
        yield DomainRow(
            addr=Vaddr(address),
            id=found.id,
            tpages=_hex(found.tot_pages),
            mpages=_hex(found.max_pages),
            flags=_hex(found.flags),
            hvm=found.is_hvm,
            vcpu=_vaddr(found.vcpus),
            evtchn=_vaddr(found.evtchns),
        )


def _hex(value: int | None) -> Hex | None:
    return None if value is None else Hex(value)


def _vaddr(value: int | None) -> Vaddr | None:
    return None if value is None else Vaddr(value)
