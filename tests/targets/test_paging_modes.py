"""Every paging mode, page size and kind of guest: an address leads to the bytes that were put there."""

import pytest

from fixtures import Guest
from formats.errors import ImageError
from formats.opener import open_source
from formats.source import BufferSource
from vmdebug.errors import NotCanonical, NotInDump, NotMapped, NotOfDomain
from vmdebug.paging import Span
from vmdebug.targets.target import NoTables, NoVcpu, Target

HIGH, HIGH5, LOW = 0xFFFF_9000_0000_0000, 0xFF11_0000_0000_0000, 0xC000_0000
SIZES = {"4K": 1 << 12, "2M": 1 << 21, "4M": 1 << 22, "1G": 1 << 30}
CASES = [
    ("4-level", True, "4K", HIGH, "xen-elf"),
    ("4-level", False, "4K", HIGH, "xen-elf-auto"),
    ("4-level", False, "2M", HIGH, "xen-elf-auto"),
    ("4-level", False, "1G", HIGH, "xen-elf-auto"),
    ("5-level", False, "4K", HIGH5, "xen-elf-auto"),
    ("5-level", False, "2M", HIGH5, "xen-elf-auto"),
    ("PAE", True, "4K", LOW, "xen-elf"),
    ("PAE", False, "4K", LOW, "xen-elf-auto"),
    ("PAE", False, "2M", LOW, "xen-elf-auto"),
    ("2-level", False, "4K", LOW, "xen-elf-auto"),
    ("2-level", False, "4M", LOW, "xen-elf-auto"),
    ("4-level", True, "4K", HIGH, "xen-304"),
    ("PAE", True, "4K", LOW, "xen-304"),
]


def opened(guest, **options):
    return Target(open_source(BufferSource("made", guest.to_bytes(**options))))


def made(paging, pv, memory="16M", **options):
    return Guest(paging=paging.lower() if paging == "PAE" else paging, pv=pv, seed=3, memory=memory, **options)


@pytest.mark.parametrize(("paging", "pv", "size", "base", "layout"), CASES)
def test_reads_what_was_mapped(paging, pv, size, base, layout):
    guest = made(paging, pv, memory="2G" if size == "1G" else "16M")
    pfn = guest.map(base, size=size, data=bytes(range(256)) * 20)
    guest.vcpu(**({"rip": base, "rsp": base} if base > LOW else {"eip": base, "esp": base}))

    target = opened(guest, format=layout)

    assert target.mode.name == paging
    assert target.read(base + 0x0FC0, 0x80) == bytes((0xC0 + at) % 256 for at in range(0x80))
    mapping = target.translate(base + 0x1234 if size != "4K" else base + 0x234)
    offset = 0x1234 if size != "4K" else 0x234
    assert (mapping.paddr, mapping.size) == (pfn * 4096 + offset, SIZES[size])


def test_tells_the_ways_apart_in_which_a_read_fails():
    guest = made("4-level", True)
    pfn = guest.map(HIGH, data=b"here")
    guest.map_foreign(HIGH + 0x1000, 0x99999)
    guest.vcpu(rip=HIGH, rsp=HIGH)
    guest.drop(pfn)
    target = opened(guest, format="xen-elf")

    with pytest.raises(NotMapped, match=f"{HIGH + 0x2000:x}: no mapping for address .level 1 entry"):
        target.read(HIGH + 0x2000, 8)
    with pytest.raises(NotCanonical, match="800000000000: not an address of 4-level paging"):
        target.read(0x0000_8000_0000_0000, 8)
    with pytest.raises(NotOfDomain, match="machine frame 0x99999 is not one of this domain's"):
        target.read(HIGH + 0x1000, 8)
    with pytest.raises((NotInDump, NotOfDomain)):
        target.read(HIGH, 8)
    with pytest.raises(NoVcpu, match="failed to get regs for cpu 1: the image has 1 vcpus"):
        target.vcpu(1)


def test_a_read_across_pages_names_the_first_address_that_fails():
    guest = made("4-level", True)
    guest.map(HIGH, data=b"x" * 4096)
    guest.vcpu(rip=HIGH, rsp=HIGH)
    target = opened(guest, format="xen-elf")

    with pytest.raises(NotMapped) as caught:
        target.read(HIGH + 0xFF8, 16)

    assert caught.value.address == HIGH + 0x1000


def test_a_process_has_its_own_lower_half():
    guest = made("4-level", True)
    guest.map(HIGH, data=b"kernel")
    space = guest.new_space()
    guest.map(0x400000, data=b"process", space=space)
    guest.vcpu(rip=HIGH, rsp=HIGH)
    target = opened(guest, format="xen-elf")

    own = target.space(guest.mfn(space.root) << 12)

    assert (own.read(0x400000, 7), own.read(HIGH, 6)) == (b"process", b"kernel")
    with pytest.raises(NotMapped):
        target.read(0x400000, 7)


def test_machine_memory_is_found_through_the_p2m():
    guest = made("4-level", True)
    pfn = guest.map(HIGH, data=b"machine")
    guest.vcpu(rip=HIGH, rsp=HIGH)
    target = opened(guest, format="xen-elf")

    assert target.read_machine(guest.mfn(pfn) << 12, 7) == b"machine"
    assert target.mfn_of(pfn) == guest.mfn(pfn)


def test_an_image_without_registers_reads_physical_memory_only():
    guest = made("4-level", False)
    pfn = guest.map(HIGH, data=b"physical")
    guest.vcpu(rip=HIGH, rsp=HIGH)
    image = open_source(BufferSource("made", guest.to_bytes(format="xen-elf-auto")))
    image.vcpus = ()
    target = Target(image)

    assert target.read_physical(pfn << 12, 8) == b"physical"
    with pytest.raises(NoTables, match="the image holds no registers"):
        target.read(HIGH, 8)


@pytest.mark.parametrize("size", [0, 1, 3, 23, 24, 63, 64, 600])
def test_a_file_cut_in_its_head_is_refused_in_one_line(size):
    guest = made("4-level", True)
    guest.vcpu(rip=HIGH, rsp=HIGH)
    data = guest.to_bytes(format="xen-elf")[:size]

    with pytest.raises(ImageError) as caught:
        open_source(BufferSource("cut", data))

    assert "cut" in str(caught.value) and "\n" not in str(caught.value)


def test_spans_join_neighbours_of_equal_rights():
    guest = made("4-level", False, memory="32M")
    guest.map(HIGH, count=3, writable=False)
    guest.map(HIGH + 0x3000, count=2, writable=True, executable=False)
    guest.map(HIGH + 0x20_0000, size="2M")
    guest.vcpu(rip=HIGH, rsp=HIGH)

    spans = opened(guest, format="xen-elf-auto").kernel.each_span(HIGH + 0x1000, HIGH + 0x40_0000)

    assert list(spans) == [
        Span(HIGH + 0x1000, HIGH + 0x3000, writable=False, executable=True),
        Span(HIGH + 0x3000, HIGH + 0x5000, writable=True, executable=False),
        Span(HIGH + 0x20_0000, HIGH + 0x40_0000, writable=True, executable=True),
    ]


@pytest.mark.parametrize(("paging", "runs"), [("PAE", False), ("2-level", True)])
def test_the_rights_of_a_32_bit_span_are_those_of_the_levels_that_have_any(paging, runs):
    """The top entries of PAE have neither a writable bit nor NX, entries of four bytes no NX."""
    guest = made(paging, False)
    guest.map(LOW, count=2, writable=False)
    guest.map(LOW + 0x2000, writable=True, executable=False)
    guest.vcpu(eip=LOW, esp=LOW)

    spans = opened(guest, format="xen-elf-auto").kernel.each_span(LOW, LOW + 0x4000)

    assert list(spans) == [
        Span(LOW, LOW + 0x2000, writable=False, executable=True),
        Span(LOW + 0x2000, LOW + 0x3000, writable=True, executable=runs),
    ]
