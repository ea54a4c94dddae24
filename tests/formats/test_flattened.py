"""makedumpfile's flattened streams: order, overlaps, holes, damage."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import Guest
from fixtures.flattened import HEAD, flatten, pack
from formats import ImageError, wrap_flattened
from formats.cache import Cache
from formats.errors import ImageDamaged, ImageNotSupported, SourceEnd
from formats.opener import open_source
from formats.options import Options
from formats.source import BufferSource, FileSource
from formats.wrap_flattened import Flattened, probe, unwrap

END = b"\xff" * 16


def unwrapped(writes, **options):
    return unwrap(BufferSource("stream", pack(writes, **options)))


def make_guest():
    guest = Guest("4-level", pv=False, memory="256K")
    guest.poke(0x20000, b"text that repeats " * 400)
    guest.vcpu(rip=0x1234)
    return guest


def test_bytes_lie_where_the_segments_say_whatever_their_order():
    source = unwrapped([(100, b"world"), (0, b"hello")])

    assert source.size == 105
    assert source.read(0, 105) == b"hello" + bytes(95) + b"world"
    assert source.peek(98, 100) == bytes(2) + b"world"
    assert source.peek(200, 5) == b""


def test_what_was_written_last_is_seen():
    source = unwrapped([(0, b"aaaaaaaa"), (2, b"bb"), (3, b"cc"), (3, b"d")])

    assert source.read(0, 8) == b"aabdcaaa"


@settings(deadline=None)
@given(
    writes=st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=20)), max_size=12),
    offset=st.integers(0, 80),
    size=st.integers(0, 80),
)
def test_reads_are_those_of_the_file_that_the_writes_make(writes, offset, size):
    file = io.BytesIO()
    for at, data in writes:
        if data:
            file.seek(at)
            file.write(data)
    whole = file.getvalue()

    source = unwrapped(writes)

    assert source.read(0, source.size) == whole
    assert source.peek(offset, size) == whole[offset : offset + size]


def test_a_page_inside_one_segment_is_not_copied():
    data = pack([(0, bytes(range(256)) * 32), (0x2000, b"x" * 4096)])
    source = unwrap(BufferSource("stream", data))

    assert source.page(0x800) == (data, 4096 + 16 + 0x800)
    assert source.page(0x1800) == (source.read(0x1800, 4096), 0)


def test_reads_past_the_end_are_refused():
    with pytest.raises(SourceEnd):
        unwrapped([(0, b"abc")]).read(0, 4)


@pytest.mark.parametrize("inside", ["kdump", "elf-core", "vmcore"])
def test_a_dump_inside_is_opened(inside):
    guest = make_guest()
    plain = guest.to_bytes(inside)

    image = open_source(BufferSource("stream", flatten(plain)))

    assert image.read(0x20000, 7000) == guest.peek(0x20000, 7000)
    assert unwrap(BufferSource("stream", flatten(plain))).read(0, len(plain)) == plain
    assert image.about.facts[0].evidence == "flattened"


def test_a_stream_without_its_end_is_read_as_far_as_it_goes():
    source = unwrapped([(0, b"abc"), (3, b"def")], ended=False)

    assert source.read(0, 6) == b"abcdef"
    assert unwrap(BufferSource("cut", pack([(0, b"abcdef")])[: 4096 + 16 + 4])).read(0, 4) == b"abcd"


@pytest.mark.parametrize(
    ("head", "segment", "said"),
    [
        (HEAD, (-2).to_bytes(8, "big", signed=True) + bytes(8), "segment at"),
        (HEAD, bytes(8) + (-2).to_bytes(8, "big", signed=True), "segment at"),
        (HEAD, b"\x7f" + b"\xff" * 15, "segment at"),
    ],
)
def test_impossible_segments_are_named(head, segment, said):
    with pytest.raises(ImageDamaged, match=said):
        unwrap(BufferSource("stream", head + segment + END))


def test_another_type_is_refused():
    data = bytearray(pack([]))
    data[31] = 2

    with pytest.raises(ImageNotSupported, match="version 2"):
        probe(BufferSource("stream", bytes(data)))


def test_a_stream_inside_a_stream_is_refused():
    with pytest.raises(ImageDamaged, match="inside a flattened stream"):
        unwrapped([(0, pack([(0, b"abc")]))])


def test_a_hole_larger_than_memory_is_not_read():
    source = unwrapped([(0, b"abc"), (1 << 50, b"end")])

    assert source.read((1 << 50) - 2, 5) == bytes(2) + b"end"
    with pytest.raises(ImageDamaged, match="wanted 0x400000000000 bytes"):
        source.read(0, 1 << 46)


def test_empty_segments_do_not_stop_the_scan():
    assert unwrapped([(5, b"")] * 1000 + [(0, b"abc")]).read(0, 3) == b"abc"


def test_many_overlapping_segments_end_soon():
    source = unwrapped([(number, b"x" * 5000) for number in range(5000)])

    assert source.read(0, source.size) == b"x" * 9999


def test_the_index_of_a_long_stream_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(wrap_flattened, "MANY", 4)
    path = tmp_path / "stream"
    path.write_bytes(pack([(3 * number, b"abc") for number in range(10)]))
    options = Options(cache=Cache(tmp_path / "cache"))
    first = unwrap(FileSource(path), options)
    monkeypatch.setattr(wrap_flattened, "_scan", None)

    second = unwrap(FileSource(path), options)

    assert isinstance(second, Flattened)
    assert second.read(0, 30) == first.read(0, 30) == b"abc" * 10
    assert second.identity() == first.identity()
    assert second.identity().startswith("flattened:")


@settings(deadline=None)
@given(at=st.integers(4096, 20000), value=st.binary(min_size=1, max_size=16), cut=st.integers(0, 40000))
def test_changed_and_cut_streams_give_bytes_or_an_error(at, value, cut):
    data = bytearray(flatten(make_guest().to_bytes("kdump")))
    data[at : at + len(value)] = value

    for changed in (bytes(data), bytes(data[:cut])):
        try:
            source = unwrap(BufferSource("stream", changed))
            source.read(0, min(source.size, 1 << 20))
            open_source(source).read(0x20000, 100)
        except ImageError:
            pass
