"""Searches of whole address spaces, against a plain search of the same bytes page by page."""

import random
import re
import time
from contextlib import suppress

import pytest

from fixtures import Guest
from formats import open_image
from formats.errors import MfnUnknown, PageMissing
from formats.frames import PAGE_SIZE, Gfn
from formats.opener import open_source
from formats.source import BufferSource
from vmdebug.targets import bulk, pieces
from vmdebug.targets.bulk import MappedTooOften
from vmdebug.targets.pieces import Piece
from vmdebug.targets.search import (
    BadDistance,
    BadPattern,
    BadSize,
    Found,
    Pattern,
    Values,
    kernel_scope,
    physical_scope,
    process_scope,
)
from vmdebug.targets.target import Target

HIGH, LOW = 0xFFFF_9000_0000_0000, 0xC000_0000
CASES = [
    ("4-level", True, HIGH, "xen-elf"),
    ("4-level", False, HIGH, "xen-elf-auto"),
    ("4-level", False, HIGH, "elf-core"),
    ("4-level", False, HIGH, "kdump"),
    ("pae", True, LOW, "xen-elf"),
    ("pae", False, LOW, "xen-elf-auto"),
    ("2-level", False, LOW, "xen-elf-auto"),
]
MAGIC = 0x1122_3344_5566_7788


def opened(guest, layout=None):
    return Target(open_source(BufferSource("made", guest.to_bytes(format=layout))))


def made(paging="4-level", pv=False, base=HIGH, memory="8M"):
    guest = Guest(paging=paging, pv=pv, seed=5, memory=memory)
    guest.vcpu(**({"rip": base, "rsp": base} if base > LOW else {"eip": base, "esp": base}))
    return guest


def scattered(paging, pv, base):
    """Runs of random pages with holes between them, some out of the dump, values at the edges of pages and across."""
    numbers = random.Random(7)
    guest, word = made(paging, pv, base), 8 if base > LOW else 4
    magic = MAGIC & (1 << 8 * word) - 1
    for number in range(40):
        vaddr = base + number * 0x5000
        pages = numbers.randrange(1, 5)
        data = bytearray(numbers.randbytes(pages * PAGE_SIZE))
        for at in (0, len(data) - word, PAGE_SIZE - word, numbers.randrange(len(data) - word)):
            data[at : at + word] = (magic + numbers.randrange(4)).to_bytes(word, "little")
        pfn = guest.map(vaddr, data=bytes(data))
        if number % 7 == 0:
            guest.drop(pfn + pages - 1)
    return guest, magic, word


def pages_of(guest):
    """Every mapped page that the dump holds, by the generator's own list."""
    for mapping in guest.mappings():
        for at in range(0, mapping.size, PAGE_SIZE):
            pfn = None if mapping.pfn is None else mapping.pfn + at // PAGE_SIZE
            if pfn is not None and pfn not in guest.absent:
                yield mapping.vaddr + at, bytes(guest.peek(pfn * PAGE_SIZE, PAGE_SIZE))


def plainly(guest, size, wanted):
    """The aligned values that satisfy a condition, one by one."""
    for vaddr, page in pages_of(guest):
        for at in range(0, PAGE_SIZE, size):
            value = int.from_bytes(page[at : at + size], "little")
            if wanted(value):
                yield vaddr + at, value


@pytest.mark.parametrize(("paging", "pv", "base", "layout"), CASES)
def test_finds_the_values_that_a_plain_search_finds(paging, pv, base, layout):
    guest, magic, word = scattered(paging, pv, base)
    scope = kernel_scope(opened(guest, layout).kernel)

    found = list(Values(magic, word).each_match(scope))

    assert found == list(plainly(guest, word, lambda value: value == magic))
    assert len(found) > 10


@pytest.mark.parametrize(("paging", "pv", "base", "layout"), CASES)
def test_masks_and_distances_choose_what_they_say(paging, pv, base, layout):
    guest, magic, word = scattered(paging, pv, base)
    scope = kernel_scope(opened(guest, layout).kernel)
    cases = {
        Values(magic, word, distance=3): (word, lambda value: magic <= value < magic + 3),
        Values(magic, word, mask=~3): (word, lambda value: value & ~3 == magic & ~3),
        Values(magic & 0xFFFF, 2): (2, lambda value: value == magic & 0xFFFF),
        Values(0x78, 1, mask=0xF8): (1, lambda value: value & 0xF8 == 0x78),
        Values(magic & 0xFFFF_FFFF, 4): (4, lambda value: value == magic & 0xFFFF_FFFF),
    }

    found = [list(wanted.each_match(scope)) for wanted in cases]

    assert found == [list(plainly(guest, *case)) for case in cases.values()]
    assert all(found)


@pytest.mark.parametrize(
    ("layout", "pv"), [("xen-elf", True), ("xen-save", True), ("elf-core", False), ("kdump", False)]
)
def test_pages_that_lie_anywhere_in_the_file_are_searched_in_order(layout, pv):
    guest, numbers = made(pv=pv), random.Random(8)
    for at in numbers.sample(range(700), 600):
        guest.map(HIGH + at * PAGE_SIZE, data=numbers.randbytes(4088 - at % 2 * 8) + MAGIC.to_bytes(8, "little"))
    scope = kernel_scope(opened(guest, layout).kernel)

    found = list(scope.pieces())

    assert [
        bytes(piece.data[at : at + PAGE_SIZE]) for piece in found for at in range(0, len(piece.data), PAGE_SIZE)
    ] == [page for _, page in pages_of(guest)]
    assert list(Values(MAGIC).each_match(scope)) == list(plainly(guest, 8, lambda value: value == MAGIC))
    assert len(found) < 250  # the short stretches between holes, not the pages


def test_what_is_put_together_is_no_more_than_a_chunk_and_a_little():
    guest = made(memory="16M")
    guest.map(HIGH, count=2048)
    for at in range(0, 2048, 2):
        guest.map(HIGH + (at + 4096) * PAGE_SIZE, pfn=guest.translate(HIGH + at * PAGE_SIZE) >> 12)
        guest.map(HIGH + (at + 4097) * PAGE_SIZE, pfn=guest.translate(HIGH + (2047 - at) * PAGE_SIZE) >> 12)
    for layout in ("elf-core", "kdump"):
        scope = kernel_scope(opened(guest, layout).kernel, HIGH + 4096 * PAGE_SIZE)

        sizes = [len(piece.data) for piece in scope.pieces()]

        assert sum(sizes) == 2048 * PAGE_SIZE
        assert max(sizes) <= pieces.CHUNK + pieces.SHORT


def test_an_unaligned_value_is_none():
    guest = made()
    guest.map(HIGH, data=bytes(12) + MAGIC.to_bytes(8, "little"))
    scope = kernel_scope(opened(guest).kernel)

    assert list(Values(MAGIC).each_match(scope)) == []
    assert list(Values(MAGIC & 0xFFFF_FFFF, 4).each_match(scope)) == [(HIGH + 12, MAGIC & 0xFFFF_FFFF)]


def test_limits_take_in_the_first_address_and_not_the_last():
    guest = made()
    guest.map(HIGH, data=MAGIC.to_bytes(8, "little") * 1024)
    space = opened(guest).kernel

    found = [addr for addr, _ in Values(MAGIC).each_match(kernel_scope(space, HIGH + 0xFF1, HIGH + 0x100C))]

    assert found == [HIGH + 0xFF8, HIGH + 0x1000]


def test_a_value_of_zero_is_found_in_memory_without_bytes():
    guest = made()
    guest.map(HIGH, count=300)
    scope = kernel_scope(opened(guest, "elf-core").kernel)

    assert sum(1 for _ in Values(0).each_match(scope)) == 300 * 512


def test_large_pages_are_searched_whole():
    guest = made(memory="16M")
    guest.map(HIGH, size="2M", count=2, data=bytes((2 << 20) - 8) + MAGIC.to_bytes(8, "little") * 2)
    scope = kernel_scope(opened(guest).kernel)

    assert [addr for addr, _ in Values(MAGIC).each_match(scope)] == [HIGH + (2 << 20) - 8, HIGH + (2 << 20)]


def test_the_kernels_half_is_searched_unless_limits_name_the_other():
    guest = made()
    guest.map(0x40_0000, data=MAGIC.to_bytes(8, "little"))
    guest.map(HIGH, data=MAGIC.to_bytes(8, "little"))
    space = opened(guest).kernel

    def at(*limits):
        return [addr for addr, _ in Values(MAGIC).each_match(kernel_scope(space, *limits))]

    assert (at(), at(0), at(None, 0x50_0000), at(None, HIGH)) == ([HIGH], [0x40_0000, HIGH], [0x40_0000], [])


def test_what_the_hypervisor_keeps_is_passed_over():
    taken = 0xFFFF_8100_0000_0000
    words = MAGIC.to_bytes(8, "little")
    found = {}
    for pv in (True, False):
        guest = made(pv=pv)
        guest.map(taken, data=words)
        guest.map(HIGH, data=words)
        found[pv] = [addr for addr, _ in Values(MAGIC).each_match(kernel_scope(opened(guest).kernel))]

    assert found == {True: [HIGH], False: [taken, HIGH]}


def test_frames_of_others_are_passed_over():
    guest = made(pv=True)
    guest.map(HIGH, data=MAGIC.to_bytes(8, "little"))
    guest.map_foreign(HIGH + 0x1000, 0x99999)
    guest.map(HIGH + 0x2000, data=MAGIC.to_bytes(8, "little"))

    found = Values(MAGIC).each_match(kernel_scope(opened(guest).kernel))

    assert [addr for addr, _ in found] == [HIGH, HIGH + 0x2000]


def test_a_process_own_memory_is_its_lower_half():
    guest = made(pv=True)
    guest.map(HIGH, data=MAGIC.to_bytes(8, "little"))
    space = guest.new_space()
    guest.map(0x40_0000, data=MAGIC.to_bytes(8, "little"), space=space)
    target = opened(guest)

    found = Values(MAGIC).each_match(process_scope(target.space(guest.mfn(space.root) << 12)))

    assert [addr for addr, _ in found] == [0x40_0000]


@pytest.mark.parametrize("layout", ["xen-elf-auto", "elf-core", "kdump", "lime"])
def test_physical_memory_is_searched_by_its_own_addresses(layout):
    guest = made()
    pfn = guest.map(HIGH, count=3)
    guest.write(HIGH + 0x2FF8, MAGIC.to_bytes(8, "little"))
    guest.drop(pfn + 1)

    found = list(Values(MAGIC).each_match(physical_scope(opened(guest, layout).image)))

    assert found == [((pfn << 12) + 0x2FF8, MAGIC)]


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ({"size": 3}, BadSize, "size must be a power of 2"),
        ({"size": 0}, BadSize, "size must be a power of 2"),
        ({"size": 16}, BadSize, "size must be 1, 2, 4 or 8, not 0x10"),
        ({"size": 1, "distance": 0xFF}, BadDistance, "pass the largest value of 1 bytes"),
    ],
)
def test_refuses_what_no_value_can_be(wanted, error, words):
    with pytest.raises(error, match=words):
        Values(0x7F, **wanted)


# Text.


def found_in(guest, text, layout=None, **options):
    return list(Pattern(text, **options).each_match(kernel_scope(opened(guest, layout).kernel)))


@pytest.mark.parametrize("pv", [True, False])
@pytest.mark.parametrize("at", [0, 1, 0xFF8, 0xFFF, 0x1000, 0x3FFF8, 0x3FFFF, 0x40000, 0x7FFFC])
def test_text_is_found_across_pages_and_pieces(pv, at):
    guest = made(pv=pv)
    guest.map(HIGH, count=0x100)
    guest.write(HIGH + at, b"needle")

    addresses = [found.address for found in found_in(guest, "needle")]

    assert addresses == [HIGH + at]


def test_text_is_not_made_of_pages_that_do_not_follow_each_other():
    guest = made()
    guest.map(HIGH, data=bytes(0xFFD) + b"nee")
    guest.map(HIGH + 0x2000, data=b"dle")

    assert found_in(guest, "needle") == []


def test_shows_the_memory_around_a_match():
    guest = made()
    guest.map(HIGH, data=b"\x01before\x02" + b"needle" + b"\x03after\xff")

    (found,) = found_in(guest, "NEEDLE", ignore_case=True)

    assert found == Found(HIGH + 8, b"needle", ".before.needle.after." + "." * 43)
    assert found.printable == "needle"


@pytest.mark.parametrize("pattern", ["a[bc]+d", "^ab*", r"\x00\x01", r"(?<=a)b", "b$", r"\bab\b"])
def test_regular_expressions_find_what_they_find_in_one_piece_of_memory(pattern):
    numbers = random.Random(9)
    data = bytes(numbers.choices(b"abcd\n \x00\x01", k=0x90000))
    pieces = [Piece(HIGH + at, data[at : at + 0x1000]) for at in range(0, len(data), 0x1000)]

    found = [(each.address, each.match) for each in Pattern(pattern, regular=True).each_in(pieces)]

    whole = re.finditer(pattern.encode(), data, re.MULTILINE)
    assert found == [(HIGH + match.start(), match[0]) for match in whole]
    assert len(found) > 100


@pytest.mark.parametrize("pattern", ["a*", "", "(", "a{99999999999999999999}"])
def test_refuses_expressions_that_match_nothing_or_mean_nothing(pattern):
    with pytest.raises(BadPattern, match="not a regular expression to search for"):
        Pattern(pattern, regular=True)


def test_tables_that_a_kernel_shares_are_searched_at_each_address():
    guest = made(pv=True)
    guest.map(HIGH, data=MAGIC.to_bytes(8, "little"))
    guest.map(HIGH + (1 << 39), data=bytes(8))
    top = guest.kernel.entry(3, HIGH)
    guest.kernel.set_entry(3, HIGH + (1 << 39), top)

    found = Values(MAGIC).each_match(kernel_scope(opened(guest).kernel))

    assert [addr for addr, _ in found] == [HIGH, HIGH + (1 << 39)]


# Hostile tables.


def taking(work):
    begin = time.monotonic()
    return work(), time.monotonic() - begin


def entry_of(guest, pfn, flags=0x67):
    return (guest.mfn(pfn) << 12 | flags).to_bytes(8, "little")


@pytest.mark.parametrize("pv", [True, False])
def test_tables_that_name_themselves_are_visited_a_few_times(pv):
    guest = made(pv=pv)
    guest.map(HIGH, data=MAGIC.to_bytes(8, "little"))
    root = guest.kernel.root
    mine = guest.peek(root * PAGE_SIZE, PAGE_SIZE)
    filled = b"".join(
        mine[at : at + 8] if any(mine[at : at + 8]) else entry_of(guest, root) for at in range(0, 4096, 8)
    )
    guest.poke(root * PAGE_SIZE, filled)
    space = opened(guest).kernel

    found, seconds = taking(lambda: [addr for addr, _ in Values(MAGIC).each_match(kernel_scope(space))])

    assert HIGH in found
    assert seconds < 5


@pytest.mark.parametrize("pv", [True, False])
def test_memory_that_is_mapped_too_often_ends_the_search_with_a_reason(pv, monkeypatch):
    monkeypatch.setattr(bulk, "ALWAYS", 0)
    guest = made(pv=pv, memory="1M")
    data = guest.map(HIGH, data=MAGIC.to_bytes(8, "little"))
    middle = guest.kernel.entry_paddr(1, HIGH)
    tables = [guest.take() for _ in range(20)]
    for number, table in enumerate(tables):
        guest.poke(table * PAGE_SIZE, entry_of(guest, data) * 512)
        guest.poke(middle + 8 + 8 * number, entry_of(guest, table))
    space = opened(guest).kernel
    found = []

    with pytest.raises(MappedTooOften, match="the page tables map the 256 pages of the image more than 16 times"):
        for match in Values(MAGIC).each_match(kernel_scope(space)):
            found.append(match)  # noqa: PERF402  what was found before the error is kept

    assert found[0] == (HIGH, MAGIC)
    assert 16 * 256 - 512 <= len(found) <= 16 * 256


def test_huge_pages_over_a_small_image_cost_only_what_the_image_holds():
    guest = made(memory="16M")
    guest.map(HIGH, data=MAGIC.to_bytes(8, "little"))
    upper = guest.kernel.entry_paddr(2, HIGH)
    for number in range(1, 512):
        guest.poke(upper + 8 * number, (number << 30 | 0xE7).to_bytes(8, "little"))
    space = opened(guest).kernel

    found, seconds = taking(lambda: list(Values(MAGIC).each_match(kernel_scope(space))))

    assert found == [(HIGH, MAGIC)]
    assert seconds < 5


def test_random_tables_end_in_an_answer():
    for seed in range(20):
        numbers = random.Random(seed)
        guest = made(memory="256K")
        guest.map(HIGH, data=MAGIC.to_bytes(8, "little"))
        for table in guest.kernel.tables.values():
            noise = (numbers.getrandbits(64) & 0xFFF0_0000_0003_FFFF | 1 for _ in range(256))
            guest.poke(table * PAGE_SIZE + 2048, b"".join(entry.to_bytes(8, "little") for entry in noise))
        space = opened(guest).kernel

        found, seconds = taking(lambda space=space: _until_refused(Values(MAGIC).each_match(kernel_scope(space))))

        assert all(space.read(addr, 8) == MAGIC.to_bytes(8, "little") for addr, _ in found)
        assert seconds < 10


def _until_refused(matches):
    found = []
    with suppress(MappedTooOften):
        for match in matches:
            found.append(match)  # noqa: PERF402
    return found


@pytest.mark.parametrize("name", ["linux-mini.elf.core", "xen-pvh.core", "xen-pv.core", "xen-pv.save"])
def test_real_memory_holds_what_is_found_in_it(name, real):
    target = Target(open_image(real(name)))
    stack = target.registers["rsp"] & ~7
    wanted = int.from_bytes(target.read(stack, 8), "little")

    found = dict(Values(wanted).each_match(kernel_scope(target.kernel)))

    assert stack in found
    assert {int.from_bytes(target.read(addr, 8), "little") for addr in list(found)[:1000]} == {wanted}


def test_every_page_of_a_real_kernel_is_searched(real):
    target = Target(open_image(real("linux-mini.elf.core")))
    scope = kernel_scope(target.kernel, 0xFFFF_FFFF_8000_0000)

    searched = {at for piece in scope.pieces() for at in range(piece.address, piece.end, PAGE_SIZE)}

    spans = target.kernel.each_span(0xFFFF_FFFF_8000_0000, 1 << 64)
    readable = {at for span in spans for at in range(span.start, span.end, PAGE_SIZE) if _is_there(target, at)}
    assert searched == readable
    assert len(searched) > 1000


def _is_there(target, vaddr):
    try:
        target.image.locate_gfn(Gfn(target.translate(vaddr).gfn))
    except (MfnUnknown, PageMissing):
        return False
    return True
