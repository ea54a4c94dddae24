"""Generated kdumps: every version, word size and codec; states of pages, split sets, damage."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import Guest
from fixtures.kdump import CODECS, split
from formats import ImageError
from formats.errors import ImageDamaged, ImageNotSupported, PageAbsent, PageExcluded, PageMissing
from formats.image import Image, PageState
from formats.kdump import open_set, probe
from formats.kdump_pages import PageDamaged
from formats.opener import open_source
from formats.options import Options
from formats.source import BufferSource

BASE = {64: 0xFFFF_8000_0000_0000, 32: 0xC000_0000}
PRESENT, ZERO, EXCLUDED, ABSENT = PageState.PRESENT, PageState.ZERO, PageState.EXCLUDED, PageState.ABSENT


def make_guest(paging="4-level", memory="256K"):
    guest = Guest(paging, pv=False, memory=memory)
    guest.map(BASE[guest.bits], data=bytes(number * number & 0xFF for number in range(3 * 4096)))
    guest.poke(0x20000, b"text that repeats " * 400)
    guest.vcpu(**{"rip" if guest.bits == 64 else "eip": BASE[guest.bits] + 0x123})
    guest.drop(40, 41, 63)
    return guest


def opened(data, **options):
    return open_source(BufferSource("kdump", data), Options(**options))


def states(image, count=64):
    return [image.state(pfn) for pfn in range(count)]


def check_pages(image, guest):
    """Every page that the image has is the guest's; runs, states and counts agree with each other."""
    by_run = {pfn: run.state for run in image.runs() for pfn in range(run.pfn, run.pfn + run.count)}
    assert [by_run.get(pfn, ABSENT) for pfn in range(guest.page_count)] == states(image, guest.page_count)
    assert image.tally() == Image.tally(image)
    for pfn, state in by_run.items():
        if state in (PRESENT, ZERO):
            assert image.read(pfn << 12, 4096) == guest.peek(pfn << 12, 4096)
            assert (state == ZERO) <= (not any(guest.peek(pfn << 12, 4096)))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("zero", ["shared", "stored", "excluded"])
def test_pages_of_every_codec_are_the_guests(codec, zero):
    guest = make_guest()

    image = opened(guest.to_bytes("kdump", codec=codec, zero=zero))

    check_pages(image, guest)
    assert image.about.warnings == []
    assert {fact.name: fact.value for fact in image.about.facts}["compression"] == codec.replace("raw", "none")


@pytest.mark.parametrize("version", range(1, 7))
@pytest.mark.parametrize("bits", [32, 64])
def test_every_version_and_word_size_is_read(version, bits):
    guest = make_guest()

    image = opened(guest.to_bytes("kdump", version=version, bits=bits))

    check_pages(image, guest)
    facts = {fact.name: fact.value for fact in image.about.facts}
    assert facts["file"] == f"KDUMP version {version}, {bits}-bit"
    assert [note.name for note in image.notes if note.name] == (["VMCOREINFO"] if version >= 3 else [])
    assert len(image.vcpus) == (1 if version >= 4 else 0)


@pytest.mark.parametrize("paging", ["4-level", "5-level", "pae", "2-level"])
@pytest.mark.parametrize("bits", [32, 64])
def test_vcpus_are_those_of_the_notes(paging, bits):
    guest = make_guest(paging)

    image = opened(guest.to_bytes("kdump", bits=bits))

    (vcpu,) = image.vcpus
    assert vcpu.bits == image.about.bits == guest.bits
    assert vcpu.registers["rip"] == BASE[guest.bits] + 0x123
    assert vcpu.root == guest.kernel.cr3
    assert image.about.paging == paging.replace("pae", "PAE")


def test_states_tell_zero_excluded_and_absent_pages_apart():
    guest = make_guest()

    image = opened(guest.to_bytes("kdump", exclude="32-33", level=31))

    assert [image.state(pfn) for pfn in (0, 31, 32, 33, 34, 40, 63, 64, 1 << 40, -1)] == [
        ZERO, ZERO, EXCLUDED, EXCLUDED, ZERO, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT,
    ]  # fmt: skip
    with pytest.raises(PageExcluded, match="pfn 0x20: page was left out"):
        image.read(0x20010, 4)
    with pytest.raises(PageAbsent):
        image.read(40 << 12, 1)
    with pytest.raises(PageAbsent):
        image.read(64 << 12, 1)


def test_excluded_pages_are_zero_if_only_zero_pages_were_excluded():
    guest = make_guest()

    image = opened(guest.to_bytes("kdump", zero="excluded", level=1))

    check_pages(image, guest)
    assert EXCLUDED not in states(image)
    assert image.read(0x1F000, 0x1000) == bytes(0x1000)


def test_long_reads_are_the_same_bytes_as_short_ones():
    guest = make_guest(memory="2M")
    image = opened(guest.to_bytes("kdump"))

    assert image.read(0x123, 0x20000) == guest.peek(0x123, 0x20000)
    assert image.read(64 << 12, 440 << 12) == guest.peek(64 << 12, 440 << 12)


def test_a_long_read_stops_at_the_first_page_that_is_missing():
    guest = make_guest()
    image = opened(guest.to_bytes("kdump"))

    with pytest.raises(PageAbsent, match="pfn 0x28"):
        image.read(0x18000, 0x20000)


def test_pages_are_decompressed_once_as_long_as_the_cache_has_room():
    guest = make_guest()
    image = opened(guest.to_bytes("kdump"), page_cache=1 << 20)

    first = image.read(0x20000, 8), image.read(0x20010, 8), image.read(0x20020, 8)

    assert first == (guest.peek(0x20000, 8), guest.peek(0x20010, 8), guest.peek(0x20020, 8))
    assert (image.cache.hits, image.cache.misses) == (2, 1)


def test_raw_pages_are_served_out_of_the_file():
    data = make_guest().to_bytes("kdump", codec="raw")

    buffer, _ = opened(data).locate(0x20)

    assert buffer is data


def test_a_bitmap_longer_than_memory_is_no_memory():
    guest = make_guest()

    image = opened(guest.to_bytes("kdump", span=100_000))

    check_pages(image, guest)
    assert image.end == 63


def test_vmcoreinfo_gives_the_kernel_and_its_tables_without_control_registers():
    text = "OSRELEASE=6.1\nSYMBOL(init_top_pgt)=ffffffff81e10000\nNUMBER(phys_base)=-16777216\n"

    image = opened(make_guest().to_bytes("kdump", vmcoreinfo=text))

    facts = {fact.name: fact.value for fact in image.about.facts}
    assert facts["kernel release"] == "6.1"
    assert facts["phys_base"] == "0xffffffffff000000"
    assert facts["kernel page tables"] == "0xe10000, 4-level"


@pytest.mark.parametrize("system", ["", "Linux"])
def test_tells_who_wrote_it(system):
    image = opened(make_guest().to_bytes("kdump", system=system))

    creator = next(fact.value for fact in image.about.facts if fact.name == "creator")
    assert creator == ("makedumpfile" if system else "QEMU")


# Split sets.


def pieces(guest, count, **options):
    return [BufferSource(f"piece{number}", data) for number, data in enumerate(split(guest, count, options))]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_pieces_of_a_split_dump_are_one_image(count):
    guest = make_guest()

    image = open_set(reversed(pieces(guest, count)))

    check_pages(image, guest)
    assert image.about.warnings == []
    assert image.read(0x1000, 0x21000) == guest.peek(0x1000, 0x21000)


def test_pages_of_a_missing_piece_are_missing():
    guest = make_guest()
    first, _, last = pieces(guest, 3)

    image = open_set([first, last])

    assert image.about.warnings == ["split dump: the piece with pfns 0x15-0x2a was not given"]
    assert image.state(0x14) == ZERO
    assert image.state(0x20) == ABSENT
    with pytest.raises(PageMissing, match="was not given"):
        image.read(0x20000, 1)
    assert image.read(0x2A000, 16) == bytes(16)


@pytest.mark.parametrize("version", [2, 5, 6])
@pytest.mark.parametrize("bits", [32, 64])
def test_split_pfns_are_read_in_every_version(version, bits):
    guest = make_guest()

    check_pages(open_set(pieces(guest, 3, version=version, bits=bits)), guest)


def test_the_same_piece_twice_is_refused():
    first, second = pieces(make_guest(), 2)

    with pytest.raises(ImageDamaged, match="in another piece of the set"):
        open_set([first, second, first])


def test_pieces_of_different_dumps_are_refused():
    first = pieces(make_guest(), 2)[0]
    second = pieces(make_guest(memory="512K"), 2)[1]

    with pytest.raises(ImageDamaged, match="not pieces of one dump"):
        open_set([first, second])


# Damage.


def damaged(values, options=None, cut=None):
    """A dump with fields overwritten."""
    import io

    file = io.BytesIO()
    fields = make_guest().write_to(file, "kdump", **(options or {}))
    data = bytearray(file.getvalue())
    for name, value in values.items():
        at, size = fields[name]
        data[at : at + size] = value.to_bytes(size, "little")
    return bytes(data[:cut])


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"block_size": 12345}, ImageDamaged, "no power of two"),
        ({"block_size": 0x0010_0000}, ImageNotSupported, "big-endian"),
        ({"sub_hdr_size": 0x7FFF_FFFF}, ImageDamaged, "truncated or damaged"),
        ({"sub_hdr_size": 0xFFFF_FFFF}, ImageDamaged, "no power of two|truncated or damaged"),
        ({"bitmap_blocks": 0x4000_0000}, ImageDamaged, "truncated or damaged"),
        ({"max_mapnr_64": 1 << 60}, ImageDamaged, "bitmap of 65536 bits for 1152921504606846976 pages"),
        ({"split": 1, "start_pfn": 9, "end_pfn": 3}, ImageDamaged, "pfns 0x9 to 0x3 of 0x40"),
        ({"split": 1, "start_pfn": 0, "end_pfn": 1 << 40}, ImageDamaged, "pfns 0x0 to 0x10000000000"),
    ],
)
def test_a_damaged_header_is_named(values, error, said):
    with pytest.raises(error, match=said):
        opened(damaged(values))


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"descriptor.size": 8193}, PageDamaged, "says 8193 bytes, a page takes at most 4096"),
        ({"descriptor.size": 100, "descriptor.flags": 0}, PageDamaged, "uncompressed: 100 bytes"),
        ({"descriptor.flags": 3}, PageDamaged, "no codec has the flags 0x3"),
        ({"descriptor.flags": 1}, PageDamaged, "zlib"),
        ({"descriptor.flags": 2}, PageDamaged, "lzo"),
        ({"descriptor.flags": 4}, PageDamaged, "snappy"),
        ({"descriptor.flags": 0x20}, PageDamaged, "zstd"),
        ({"descriptor.offset": 0}, PageExcluded, "the dump ended before this page was written"),
        ({"descriptor.offset": 1 << 62}, PageMissing, "truncated"),
        ({"descriptor.offset": (1 << 64) - 1}, PageMissing, "truncated"),
    ],
)
def test_a_damaged_descriptor_spoils_its_page_only(values, error, said):
    image = opened(damaged(values, {"zero": "stored", "codec": "raw"}))

    for size in (1, 0x8000):
        with pytest.raises(error, match=f"pfn 0x0: .*{said}"):
            image.read(0, size)
    assert image.read(0x20000, 4) == b"text"


def test_an_incomplete_dump_says_so():
    image = opened(damaged({"status": 8, "descriptor.offset": 0}))

    assert "ran out of space" in image.about.warnings[0]
    assert image.state(0) == EXCLUDED
    assert image.tally()[EXCLUDED] == 1


def test_a_newer_version_is_read_with_a_warning():
    image = opened(damaged({"version": 9}))

    assert "header version 9 is newer than 6" in image.about.warnings[0]
    assert image.read(0x20000, 4) == b"text"


def test_a_cut_file_has_the_pages_before_the_cut():
    guest = make_guest()
    whole = guest.to_bytes("kdump")

    image = opened(whole[:-10])

    assert "truncated" in image.about.warnings[0]
    assert image.read(0x1000, 16) == guest.peek(0x1000, 16)
    with pytest.raises(PageMissing, match="truncated"):
        image.read(0x21000, 16)


def test_notes_past_the_end_are_a_warning():
    image = opened(damaged({"notes.offset": 1 << 50, "vmcoreinfo.size": 1 << 50}))

    assert [warning.split(" of ")[0] for warning in image.about.warnings] == ["ELF notes", "VMCOREINFO"]
    assert image.vcpus == []
    assert image.read(0x20000, 4) == b"text"


def survive(data):
    """Opens and reads everything that an image claims to have: answers or ImageErrors."""
    try:
        image = opened(data)
        for run in image.runs():
            for pfn in range(run.pfn, run.pfn + min(run.count, 70)):
                try:
                    assert len(image.read(pfn << 12, 4096)) == 4096
                except PageMissing:
                    assert image.state(pfn) in PageState
        image.tally()
        image.read(0, 0x10000)
    except ImageError:
        pass


@pytest.mark.parametrize("codec", CODECS)
def test_cut_anywhere_gives_pages_or_an_error(codec):
    data = make_guest().to_bytes("kdump", codec=codec)

    for end in [*range(0, 600, 7), *range(600, len(data), 997)]:
        survive(data[:end])


HEADERS = st.integers(0, 475) | st.integers(4096, 4096 + 104) | st.integers(0x2000, 0x7000)
CHANGES = st.lists(st.tuples(HEADERS, st.binary(min_size=1, max_size=8)), min_size=1, max_size=4)


@settings(deadline=None)
@given(changes=CHANGES, bits=st.sampled_from([32, 64]), codec=st.sampled_from(["zlib", "lzo", "snappy", "zstd"]))
def test_changed_bytes_give_pages_or_an_error(changes, bits, codec):
    data = bytearray(make_guest().to_bytes("kdump", bits=bits, codec=codec))
    for at, value in changes:
        data[at : at + len(value)] = value

    survive(bytes(data))


def test_only_its_own_signature_is_recognised():
    assert probe(BufferSource("x", b"KDUMP   ")) and probe(BufferSource("x", b"DISKDUMP"))
    assert not probe(BufferSource("x", b"KDUMP")) and not probe(BufferSource("x", b""))
