"""A hypervisor that panicked below an illumos dom0: domains by the types of the module xpv."""

import io

import pytest

from tests.fakes import FakeTarget, language
from tests.typed_memory import BASE, TypedMemory
from vmdebug.guests.illumos.kernel import Illumos
from vmdebug.session import Session
from vmdebug.symbols.table import Part, Symbol, SymbolTable
from vmdebug.types.ctf import CtfModule, CtfTypes

KERNEL = "struct domain { int of_another_kind; };"  # which the kernel may have too
XPV = """
struct vcpu { int vcpu_id; };
struct evtchn { char state; };
struct domain {
    unsigned short domain_id;
    unsigned int tot_pages;
    unsigned int max_pages;
    struct domain *next_in_list;
    struct evtchn *evtchn[8];
    unsigned long domain_flags;
    int is_hvm;
    struct vcpu *vcpu[32];
};
"""
INFO, POINTER, DOM0, FIRST, SECOND = (BASE + 0x1000 * number for number in range(1, 6))

EVTCHNS, VCPUS = 0x18, 0x68  # of struct domain


def word(value, size=8):
    return value.to_bytes(size, "little")


@pytest.fixture
def asked():
    """`asked(command, ...)`: the lines that it prints, and those that it complains with."""

    def ask(command, *, version=2, panicked=True, known=True, typed=True):
        memory = TypedMemory(XPV)
        memory.put(INFO, word(version, 4))
        memory.put(POINTER, word(INFO if panicked else 0))
        memory.put(DOM0, word(FIRST))
        arrays = {"domain_id": 0, "tot_pages": 0x100, "max_pages": 0x200, "domain_flags": 0x11, "is_hvm": 0}
        memory.object("struct domain", FIRST, {**arrays, "next_in_list": SECOND, "vcpu": word(0x10) + word(0x20)})
        memory.object("struct domain", SECOND, {"domain_id": 5, "is_hvm": 1})
        return said(memory, command, known, typed)

    return ask


def said(memory, command, known, typed):
    guest = Illumos.__new__(Illumos)
    guest.target = FakeTarget(memory.memory)
    own = Part("xpv", [Symbol("dom0", DOM0, 8, "OBJT", module="xpv")])
    kernels = [Symbol("dom0", 0x10, 8, "OBJT"), *([Symbol("xpv_panic_info", POINTER, 8, "OBJT")] if known else [])]
    modules = [CtfModule("genunix", lambda: TypedMemory(KERNEL).types.encode(symbols=[], strings=b"\0"))]
    encoded = memory.types.encode(symbols=[], strings=b"\0") if typed else b""
    modules.append(CtfModule("xpv", lambda: encoded))
    guest.__dict__.update(symbols=SymbolTable(Part("", kernels), [own]), types=CtfTypes(modules))
    out, err = io.StringIO(), io.StringIO()
    Session(guest.target, guest, out=out, err=err, registry=language()).run(command)
    return out.getvalue().splitlines(), err.getvalue().splitlines()


def test_domains_are_those_of_the_module_of_the_hypervisor(asked):
    assert asked("::domain") == (
        [
            "            ADDR  ID   TPAGES   MPAGES    FLAGS HVM             VCPU           EVTCHN",
            f"{FIRST:x}   0      100      200       11   0 {FIRST + VCPUS:x} {FIRST + EVTCHNS:x}",
            f"{SECOND:x}   5        0        0        0   1 {SECOND + VCPUS:x} {SECOND + EVTCHNS:x}",
        ],
        [],
    )


def test_its_walkers_begin_at_dom0(asked):
    assert asked("::walk domain")[0] == [f"{FIRST:#x}", f"{SECOND:#x}"]
    assert asked("::walk vcpu")[0] == ["0x10", "0x20"]
    assert asked(f"{SECOND:x}::walk vcpu") == ([], [])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"version": 77}, "unrecognized hypervisor panic format: version 77"),
        ({"panicked": False}, "the dump is not of a hypervisor's panic: xpv_panic_info is null"),
        ({"known": False}, "the dump is not of a hypervisor's panic: the kernel has no xpv_panic_info"),
    ],
)
@pytest.mark.parametrize("command", ["::domain", "::walk domain", "::walk vcpu"])
def test_refuses_what_is_no_dump_of_a_hypervisors_panic(asked, command, changed, told):
    assert asked(command, **changed) == ([], [f"vmdebug: {told}"])


def test_says_that_there_are_no_types_of_the_hypervisor(asked):
    assert asked("::domain", typed=False) == ([], ["vmdebug: Can't parse Xen domain info."])
    assert asked("::walk vcpu", typed=False) == ([], ["vmdebug: can't find per-domain vcpu information"])
