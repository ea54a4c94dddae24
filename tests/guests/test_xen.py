"""Hypervisors: how one is recognised, and domains of the layouts that real images do not have."""

import struct
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures import Guest
from formats.opener import open_image
from tests.fakes import FakeTarget
from tests.typed_memory import BASE, TypedMemory
from vmdebug.errors import DebuggerError
from vmdebug.guests import find_guest
from vmdebug.guests.xen.domains import MAX_VCPUS, Domain, Hypervisor, each_domain, each_vcpu, read_domain
from vmdebug.guests.xen.hypervisor import NotXen, find_image
from vmdebug.symbols.table import Part, Symbol, SymbolTable
from vmdebug.targets.target import Target
from vmdebug.types.source import EmptyTypes
from vmdebug.types.typed import Objects

AREA, TEXT = 0xFFFF_82D0_4000_0000, 0xFFFF_82D0_4020_0000
MULTIBOOT = struct.pack("<III", 0x1BAD_B002, 3, -(0x1BAD_B002 + 3) & 0xFFFF_FFFF)

OLD = """
struct vcpu { int vcpu_id; };
struct evtchn { char state; };
struct domain {
    unsigned short domain_id;
    unsigned int tot_pages;
    unsigned int max_pages;
    struct domain *next_in_list;
    struct evtchn *evtchn[8];
    unsigned long domain_flags;
    char is_hvm;
    struct vcpu *vcpu[32];
};
"""
NEW = """
struct vcpu { int vcpu_id; };
struct domain {
    unsigned short domain_id;
    unsigned int max_vcpus;
    struct vcpu **vcpu;
    unsigned int max_pages;
    struct domain *next_in_list;
    unsigned int options;
};
"""


def words(*values):
    return struct.pack(f"<{len(values)}Q", *values)


class Memory:
    """A hypervisor's memory: its types in C, and objects."""

    def __init__(self, c):
        self.typed = TypedMemory(c)
        self.symbols = []

    def domain(self, address, **values):
        return self.typed.object("struct domain", address, values)

    def pointer(self, name, value, size=8):
        at = BASE + 0x8000 + 8 * len(self.symbols)
        self.typed.put(at, words(value))
        self.symbols.append(Symbol(name, at, size, "OBJT"))

    @property
    def xen(self):
        read = FakeTarget(self.typed.memory, None).read
        return Hypervisor(SymbolTable(Part("", self.symbols)), Objects(self.typed.kernel, read))


def test_an_old_hypervisor_holds_vcpus_and_event_channels_in_the_domain():
    memory = Memory(OLD)
    first = memory.domain(BASE, domain_id=0, tot_pages=5, max_pages=6, domain_flags=0x12, is_hvm=1,
                          vcpu=words(0x1000, 0x2000, 0, 0x4000), next_in_list=BASE + 0x1000)  # fmt: skip
    second = memory.domain(BASE + 0x1000, domain_id=7)
    memory.pointer("dom0", BASE)
    offset = memory.xen.objects.offsetof

    assert list(each_domain(memory.xen)) == [first, second]
    assert list(each_vcpu(memory.xen)) == [0x1000, 0x2000]
    assert list(each_vcpu(memory.xen, second)) == []
    assert read_domain(memory.xen, first) == Domain(
        first, 0, 5, 6, 0x12, 1, BASE + offset("struct domain", "vcpu"), BASE + offset("struct domain", "evtchn")
    )


def test_at_most_32_vcpus_are_taken_of_a_domain_that_holds_them():
    memory = Memory(OLD.replace("vcpu[32]", "vcpu[64]"))
    memory.domain(BASE, vcpu=words(*(0x1000 + at for at in range(64))))

    assert list(each_vcpu(memory.xen, BASE)) == [0x1000 + at for at in range(32)]


def test_a_new_hypervisor_points_to_its_vcpus_and_lacks_what_it_lacks():
    memory = Memory(NEW)
    memory.domain(BASE, domain_id=3, max_vcpus=4, vcpu=BASE + 0x2000, options=0x21, max_pages=9)
    memory.typed.put(BASE + 0x2000, words(0x1000, 0, 0x3000, 0x4000))

    assert list(each_vcpu(memory.xen, BASE)) == [0x1000, 0x3000, 0x4000]
    assert read_domain(memory.xen, BASE) == Domain(BASE, 3, None, 9, None, 1, BASE + 0x2000, None)


def test_the_list_of_domains_goes_before_a_variable_dom0():
    memory = Memory(NEW)
    memory.domain(BASE)
    memory.pointer("dom0", 0xDEAD_0000)
    memory.pointer("hardware_domain", 0xDEAD_0000)
    memory.pointer("domain_list", BASE)

    assert list(each_domain(memory.xen)) == [BASE]


def test_refuses_what_is_not_there():
    memory = Memory(NEW)
    nothing = Hypervisor(SymbolTable(), Objects(EmptyTypes("none"), memory.xen.objects.read))

    for ask, said in (
        (lambda: each_domain(memory.xen), "can't find symbol 'dom0'"),
        (lambda: list(each_vcpu(memory.xen)), "can't find symbol 'dom0'"),
        (lambda: each_domain(nothing, BASE), "Can't parse Xen domain info."),
        (lambda: read_domain(nothing, BASE), "Can't parse Xen domain info."),
        (lambda: list(each_vcpu(nothing, BASE)), "can't find per-domain vcpu information"),
    ):
        with pytest.raises(DebuggerError) as raised:
            ask()
        assert str(raised.value) == said


def test_refuses_a_variable_of_another_size():
    memory = Memory(NEW)
    memory.pointer("dom0", BASE, size=4)

    with pytest.raises(DebuggerError, match="Symbol 'dom0' found, but with the wrong size: 4, not 8"):
        each_domain(memory.xen)


@pytest.mark.parametrize("count", [(1 << 13) + 1, 0xFFFF_FFFF])
def test_refuses_more_vcpus_than_a_domain_can_have(count):
    memory = Memory(NEW)
    memory.domain(BASE, max_vcpus=count, vcpu=BASE + 0x2000)

    with pytest.raises(DebuggerError, match=f"{count} vcpus are more than any domain's"):
        list(each_vcpu(memory.xen, BASE))


def test_a_list_of_domains_that_bites_its_tail_ends_with_a_word():
    memory = Memory(NEW)
    memory.domain(BASE, next_in_list=BASE + 0x1000)
    memory.domain(BASE + 0x1000, next_in_list=BASE + 0x1000)
    walk = each_domain(memory.xen, BASE)

    assert [next(walk), next(walk)] == [BASE, BASE + 0x1000]
    with pytest.raises(DebuggerError, match="comes back here"):
        next(walk)


@pytest.fixture
def machine(tmp_path):
    """`machine(header, at=..., pfn=...)`: a machine whose page tables map a page with that header as the first."""

    def make(header, at=TEXT, pfn=0x800 + 0x200, behind=4):
        guest = Guest(pv=False, memory="16M")
        guest.map(at, pfn=pfn, data=bytes(behind) + header)
        guest.vcpu(rip=at)
        guest.save(tmp_path / "core", "elf-core")
        return Target(open_image(tmp_path / "core"))

    return make


def test_is_found_by_the_multiboot_header_in_its_first_page(machine):
    guest = find_guest(machine(MULTIBOOT))

    assert (guest.kind, guest.text, guest.physical) == ("xen", TEXT, 0x80_0000)
    assert guest.status().extra == [
        ("operating system", "Xen hypervisor at 0xffff82d040200000, in machine memory from 0x800000 on")
    ]


def test_is_found_where_older_releases_put_it(machine):
    assert find_image(machine(MULTIBOOT, at=0xFFFF_82D0_8020_0000)) == 0xFFFF_82D0_8020_0000


@pytest.mark.parametrize(
    "changed",
    [
        {"header": bytes(12)},
        {"header": MULTIBOOT[:8] + bytes(4)},  # a checksum that does not fit
        {"header": MULTIBOOT, "behind": 5},  # not aligned
        {"header": MULTIBOOT, "behind": 4092},  # beyond the first page
        {"header": MULTIBOOT, "pfn": 0x800 + 0x201},  # not moved by whole 2 MiB
        {"header": MULTIBOOT, "at": 0xFFFF_82D0_0000_0000},  # elsewhere
    ],
)
def test_what_else_may_be_mapped_there_is_not_taken_for_it(machine, changed):
    with pytest.raises(NotXen, match="no multiboot image is mapped at 0xffff82d040000000 or 0xffff82d080000000"):
        find_image(machine(**changed))


def test_without_registers_no_hypervisor_is_looked_for(tmp_path):
    (tmp_path / "raw").write_bytes(bytes(1 << 21))

    with pytest.raises(NotXen, match="no page tables are known"):
        find_image(Target(open_image(f"{tmp_path / 'raw'}@0x0")))


LAYOUTS = [OLD, NEW]
WORDS = st.sampled_from([0, 1, BASE, BASE + 8, BASE + 0x1000, (1 << 64) - 1, 1 << 63]) | st.integers(0, (1 << 64) - 1)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(c=st.sampled_from(LAYOUTS), content=st.lists(WORDS, min_size=96, max_size=96), first=WORDS)
def test_any_bytes_end_in_domains_or_one_error(c, content, first):
    memory = Memory(c)
    memory.typed.put(BASE, words(*content) * 6)
    memory.pointer("domain_list", first)

    for ask in (
        lambda: [read_domain(memory.xen, each) for each in each_domain(memory.xen)],
        lambda: [read_domain(memory.xen, each) for each in each_domain(memory.xen, BASE)],
        lambda: len(list(each_vcpu(memory.xen))) <= MAX_VCPUS,
        lambda: len(list(each_vcpu(memory.xen, BASE))) <= MAX_VCPUS,
    ):
        with suppress(DebuggerError):
            assert ask() is not False
