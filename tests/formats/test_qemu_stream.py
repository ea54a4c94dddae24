"""Generated migration streams: every layout and history, and what damage does to them."""

import contextlib
import io
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import Guest
from fixtures.qemu_devices import msrs
from fixtures.qemu_stream import BIOS_SIZE, bios, encoded
from formats import open_image
from formats.cache import Cache
from formats.errors import ImageDamaged, ImageError, ImageNotSupported, PageAbsent, PageMissing
from formats.frames import Paddr, Pfn
from formats.image import PageState
from formats.opener import open_source
from formats.options import Options
from formats.qemu_stream_log import STRIDE, Kind, Log
from formats.qemu_stream_pages import apply_delta
from formats.source import BufferSource

MIB = 1 << 20
FOUR_GIB = 1 << 32


@pytest.fixture(scope="module")
def guest():
    made = Guest(pv=False, memory="4M")
    made.map(0xFFFF_8000_0000_1000, data=bytes(range(256)) * 1024)
    made.poke(3 * MIB + 100, b"high memory" * 1000)
    made.vcpu(rip=0xFFFF_8000_0000_1234, rax=7, fs_base=0x1000, gs_base_kernel=0xFFFF_8000_0000_2000, gs_base_user=5)
    made.vcpu(rip=0xFFFF_8000_0000_5678)
    return made


def memory_of(guest):
    return b"".join(bytes(guest.pages.get(pfn, bytes(4096))) for pfn in range(guest.page_count))


def open_bytes(data, **options):
    return open_source(BufferSource("stream", data), Options(**options))


LAYOUTS = [
    {},
    {"history": "repeat"},
    {"history": "xbzrle"},
    {"history": "zlib"},
    {"layout": "mapped"},
    {"nodes": 3},
    {"nodes": 11, "history": "xbzrle"},
    {"layout": "mapped", "nodes": 4},
    {"command": False, "machine": "pc-i440fx-7.2"},
    {"description": False},
    {"description": False, "footers": False, "configuration": False, "command": False},
]


@pytest.mark.parametrize("options", LAYOUTS, ids=str)
def test_has_all_memory_and_every_vcpu(guest, options):
    image = open_bytes(guest.to_bytes("qemu-stream", **options))

    assert image.read(Paddr(0), 4 * MIB) == memory_of(guest)
    assert image.read(Paddr(FOUR_GIB - BIOS_SIZE), BIOS_SIZE) == bios()
    assert [vcpu.registers["rip"] for vcpu in image.vcpus] == [0xFFFF_8000_0000_1234, 0xFFFF_8000_0000_5678]
    assert [run.pfn for run in image.runs() if run.state is PageState.ABSENT] == []
    assert sum(run.count for run in image.runs()) == 1024 + BIOS_SIZE // 4096


@pytest.mark.parametrize("options", LAYOUTS, ids=str)
def test_the_runs_are_the_states_of_the_pages(guest, options):
    image = open_bytes(guest.to_bytes("qemu-stream", **options))

    states = {pfn: run.state for run in image.runs() for pfn in range(run.pfn, run.pfn + run.count)}

    assert states == {pfn: image.state(Pfn(pfn)) for pfn in states}
    zero = {pfn for pfn, state in states.items() if state is PageState.ZERO}
    assert zero >= {pfn for pfn in range(1024) if not any(guest.pages.get(pfn, b""))} - {0}
    assert all(image.read(Paddr(pfn << 12), 4096) == bytes(4096) for pfn in zero)


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("layout", ["records", "mapped"])
def test_memory_is_split_around_the_hole(guest, nodes, layout):
    image = open_bytes(guest.to_bytes("qemu-stream", below=2 * MIB, nodes=nodes, layout=layout))

    found = image.read(Paddr(0), 2 * MIB) + image.read(Paddr(FOUR_GIB), 2 * MIB)

    assert found == memory_of(guest)
    with pytest.raises(PageAbsent):
        image.read(Paddr(2 * MIB), 1)


def test_without_a_description_the_fall_back_says_what_it_guessed(guest):
    image = open_bytes(guest.to_bytes("qemu-stream", description=False))

    assert any("no description" in warning for warning in image.about.warnings)
    evidence = {fact.name: fact.evidence for fact in image.about.facts}
    assert "found without a description" in evidence["memory below 4 GiB"]


def test_registers_go_by_their_canonical_names(guest):
    registers = open_bytes(guest.to_bytes("qemu-stream")).vcpus[0].registers

    assert {name: registers[name] for name in msrs(0)} == msrs(0)
    assert (registers["rax"], registers["fs_base"], registers["gs_base"], registers["kernel_gs_base"]) == (
        7, 0x1000, 0xFFFF_8000_0000_2000, 5,
    )  # fmt: skip
    assert registers["cr3"] == guest.vcpus[0].cr3
    assert (registers["cs_flags"], registers["efer"], registers["idt_limit"]) == (0xAF9B00, 0xD01, 0xFFF)


def test_a_32_bit_guest_is_one():
    guest = Guest(paging="pae", pv=False, memory="4M")
    guest.vcpu(eip=0xC000_1234)

    image = open_bytes(guest.to_bytes("qemu-stream"))

    assert (image.about.bits, image.about.paging) == (32, "PAE")
    assert image.vcpus[0].registers["rip"] == 0xC000_1234


# The cache.


def test_a_second_opening_takes_the_index_from_the_cache(guest, tmp_path):
    path = tmp_path / "vm.stream"
    guest.save(path, "qemu-stream", history="xbzrle")
    cache = tmp_path / "cache"

    first = open_image(path, cache_dir=cache)
    second = open_image(path, cache_dir=cache)

    (kept,) = cache.iterdir()
    assert kept.stat().st_size > 1000
    assert second.read(Paddr(0), 4 * MIB) == first.read(Paddr(0), 4 * MIB) == memory_of(guest)
    assert list(second.runs()) == list(first.runs())
    assert second.about == first.about


def test_the_cache_is_really_used(guest, tmp_path, monkeypatch):
    path = tmp_path / "vm.stream"
    guest.save(path, "qemu-stream")
    open_image(path, cache_dir=tmp_path / "cache")
    monkeypatch.setattr("formats.qemu_stream_image.scan", None)

    assert open_image(path, cache_dir=tmp_path / "cache").read(Paddr(0), 4 * MIB) == memory_of(guest)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:20], lambda data: b"",
                                    lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:]])  # fmt: skip
def test_a_damaged_index_is_made_again(guest, tmp_path, damage):
    path = tmp_path / "vm.stream"
    guest.save(path, "qemu-stream")
    open_image(path, cache_dir=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))

    image = open_image(path, cache_dir=tmp_path / "cache")

    assert image.read(Paddr(0), 4 * MIB) == memory_of(guest)
    assert kept.read_bytes() == whole


def test_a_changed_file_has_an_index_of_its_own(guest, tmp_path):
    path = tmp_path / "vm.stream"
    guest.save(path, "qemu-stream")
    open_image(path, cache_dir=tmp_path / "cache")
    guest.save(path, "qemu-stream", history="zlib")

    assert open_image(path, cache_dir=tmp_path / "cache").read(Paddr(0), 4 * MIB) == memory_of(guest)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file" / "below")

    cache.store("kind", "key", [b"payload"])

    assert cache.load("kind", "key") is None


# The log against a model.


entries = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 12), st.integers(0, 1 << 20), st.sampled_from(list(Kind))), max_size=30
)


@given(entries)
def test_the_last_record_of_a_page_wins(rows):
    log, model = Log(), {}
    for first, count, place, kind in rows:
        count = 1 if kind in (Kind.XBZRLE, Kind.ZLIB) else count
        log.add(first, count, place, kind)
        for page in range(first, first + count):
            if kind is Kind.XBZRLE:
                model.setdefault(page, [None]).append(place)
            else:
                model[page] = [(kind, place + (page - first) * STRIDE if kind is Kind.DATA else place)]

    runs = log.runs()

    found = {}
    for first, count, place, kind in zip(runs.first, runs.count, runs.place, runs.kind, strict=True):
        for page in range(first, first + count):
            assert page not in found
            found[page] = [(kind, place + (page - first) * STRIDE if kind == Kind.DATA else place)]
    for page, place in zip(runs.delta_page, runs.delta_place, strict=True):
        found.setdefault(page, [None]).append(place)
    assert found == model
    assert list(runs.first) == sorted(runs.first)


@given(st.integers(), st.lists(st.tuples(st.integers(0, 4095), st.binary(max_size=300))))
def test_deltas_make_the_new_page(seed, changes):
    old = random.Random(seed).randbytes(4096)
    new = bytearray(old)
    for at, data in changes:
        new[at : at + len(data)] = data[: 4096 - at]
    page = bytearray(old)

    apply_delta(page, encoded(old, bytes(new)), "delta")

    assert page == new


@given(st.binary(max_size=60))
def test_any_delta_ends_in_a_page_or_an_error(delta):
    page = bytearray(4096)
    with contextlib.suppress(ImageDamaged):
        apply_delta(page, delta, "delta")
    assert len(page) == 4096


# Damage.


def test_a_stream_cut_in_its_memory_has_what_came_before(guest):
    data = guest.to_bytes("qemu-stream")

    image = open_bytes(data[: len(data) // 2])

    assert any("truncated" in warning for warning in image.about.warnings)
    whole = memory_of(guest)
    states = {run.state for run in image.runs()}
    assert PageState.PRESENT in states
    for run in image.runs():
        assert image.read(Paddr(run.pfn << 12), run.count << 12) == whole[run.pfn << 12 : (run.pfn + run.count) << 12]
    with pytest.raises(PageMissing, match="truncated"):
        image.read(Paddr(FOUR_GIB - 4096), 1) if image.state(Pfn(1023)) is not PageState.ABSENT else image.read(
            Paddr(1023 << 12), 1
        )


@pytest.mark.parametrize("options", [{}, {"history": "xbzrle"}, {"layout": "mapped"}], ids=str)
def test_cut_anywhere_it_gives_right_pages_or_an_error(guest, options):
    data, whole = guest.to_bytes("qemu-stream", **options), memory_of(guest)
    for size in [*range(0, 400, 7), *range(400, len(data), len(data) // 40)]:
        try:
            image = open_bytes(data[:size])
            for run in image.runs():
                if run.pfn < 1024 and "history" not in options:
                    read = image.read(Paddr(run.pfn << 12), run.count << 12)
                    assert read == whole[run.pfn << 12 : (run.pfn + run.count) << 12]
        except ImageError as err:
            assert str(err)


def use(image):
    """Touches all that an image offers."""
    for number, run in enumerate(image.runs()):
        if number > 50:
            break
        with contextlib.suppress(ImageError):
            image.read(Paddr(run.pfn << 12), 4096)
    return [vcpu.registers for vcpu in image.vcpus], image.about, image.tally()


@pytest.mark.parametrize(
    "options", [{"history": "xbzrle"}, {"layout": "mapped"}, {"history": "zlib", "nodes": 3}], ids=str
)
def test_any_damage_ends_in_an_answer_or_one_error(options):
    guest = Guest(pv=False, memory="2M")
    guest.poke(0x8000, bytes(range(256)) * 100)
    guest.vcpu(rip=1)
    data = guest.to_bytes("qemu-stream", **options)

    places = st.one_of(st.integers(0, 400), st.integers(0, len(data) - 1))

    @given(st.lists(st.tuples(places, st.binary(min_size=1, max_size=9)), min_size=1, max_size=4))
    @settings(max_examples=150, deadline=None)
    def run(changes):
        broken = bytearray(data)
        for at, new in changes:
            broken[at : at + len(new)] = new
        try:
            use(open_bytes(bytes(broken[: len(data)])))
        except ImageError as err:
            assert len(str(err).splitlines()) == 1

    run()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (0x20 | 0x08, "none was named before"),
        (0x80, "unknown kind 0x80"),
        (0x01, "unknown kind 0x1"),
        (0x04, "second list"),
    ],
)
def test_a_record_that_makes_no_sense_stops_with_its_place(guest, word, said):
    data = guest.to_bytes("qemu-stream")
    start = data.index(b"\x02\x00\x00\x00\x02", data.index(b"pc.bios") + 10) + 5
    broken = data[:start] + word.to_bytes(8, "big") + data[start + 8 :]

    with pytest.raises(ImageDamaged, match=f"{said}.*at offset {start:#x}"):
        open_bytes(broken)


def test_pages_outside_of_their_block_are_refused(guest):
    data = guest.to_bytes("qemu-stream")
    start = data.index(b"\x02\x00\x00\x00\x02", data.index(b"pc.bios") + 10) + 5
    broken = data[:start] + (1 << 40 | 0x02).to_bytes(8, "big") + data[start + 8 :]

    with pytest.raises(ImageDamaged, match=r"page at 0x10000000000 of RAM block pc\.ram, which has 0x400000"):
        open_bytes(broken)


def test_a_stream_whose_memory_went_elsewhere_is_refused(guest):
    data = guest.to_bytes("qemu-stream")
    list_end = data.index(b"\x02\x00\x00\x00\x02", data.index(b"pc.bios") + 10)
    flush = b"\x02\x00\x00\x00\x02" + (0x200).to_bytes(8, "big") + (0x10).to_bytes(8, "big") + b"\x7e\x00\x00\x00\x02"
    end = data.index(b"\x08\x00\x0b\x00\x00\x03\x00\x00\x00\x02")

    with pytest.raises(ImageNotSupported, match="multifd"):
        open_bytes(data[:list_end] + flush + data[end:])


CPU = b'{"devices": [{"name": "cpu", "instance_id": 0, "fields": ['


@pytest.mark.parametrize(
    "text",
    [
        b"{" * 100_000,
        b'{"devices": 5}',
        b'{"devices": [{"name": "cpu", "instance_id": -1}]}',
        CPU + b'{"name": "a", "size": 1e400}]}]}',
        CPU + b'{"name": "a", "size": 1099511627776, "array_len": 9}]}]}',
        CPU + b'{"name":"a","size":1,"struct":{"fields":[' * 200 + b"]}}" * 200 + b"]}]}",
        b'{"devices": [' + b",".join(b'{"name": "x%d", "instance_id": 0}' % n for n in range(3000)) + b"]}",
    ],
    ids=["no json", "no list", "negative", "infinite", "enormous", "deep", "unknown devices"],
)  # fmt: skip
def test_a_hostile_description_leaves_memory_readable(guest, text):
    data = guest.to_bytes("qemu-stream", description=False)

    image = open_bytes(data + b"\x06" + len(text).to_bytes(4, "big") + text)

    assert image.read(Paddr(0), 4 * MIB) == memory_of(guest)
    assert image.about.warnings


def test_a_device_that_disagrees_with_its_description_is_passed_over(guest):
    data = guest.to_bytes("qemu-stream")
    at = data.rindex(b'{"page_size"')
    described = json.loads(data[at:])
    described["devices"][0]["fields"][0]["size"] += 3
    text = json.dumps(described).encode()

    image = open_bytes(data[: at - 4] + len(text).to_bytes(4, "big") + text)

    assert [vcpu.registers["rip"] for vcpu in image.vcpus] == [0xFFFF_8000_0000_1234, 0xFFFF_8000_0000_5678]


def test_a_block_list_that_promises_more_than_can_be_is_refused(guest):
    out = io.BytesIO()
    guest.write_to(out, "qemu-stream")
    data = out.getvalue()
    at = data.index(b"\x06pc.ram") - 8
    broken = (
        data[:at] + ((1 << 63) | 4).to_bytes(8, "big") + b"\x06pc.ram" + (1 << 62).to_bytes(8, "big") + data[at + 23 :]
    )

    with pytest.raises(ImageDamaged, match=r"RAM block pc\.ram of 0x4000000000000000 bytes"):
        open_bytes(broken)
