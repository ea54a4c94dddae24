"""Generated save files of Xen before 4.6: word size and kind of domain are found by trying."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures import Guest
from formats import ImageError
from formats.errors import ImageDamaged, PageMissing
from formats.image import PageState
from formats.opener import open_source
from formats.source import BufferSource
from vmdebug.targets.target import Target

TEXT = 0xFFFF_FFFF_8000_0000
TEXT32 = 0xC000_0000


def make_guest(paging="4-level", pv=True, memory="1M"):
    guest = Guest(paging, pv=pv, memory=memory)
    text = TEXT if guest.bits == 64 else TEXT32
    guest.map(text, data=b"kernel text".ljust(4096, b"\x90") + b"second page")
    names = ("rip", "rsp", "rbx") if guest.bits == 64 else ("eip", "esp", "ebx")
    guest.vcpu(**dict(zip(names, (text + 5, text + 0x1800, 0xB0), strict=True)))
    guest.vcpu(**dict(zip(names, (text + 9, text + 0x1900, 0xB1), strict=True)))
    return guest


def opened(guest, **options):
    return open_source(BufferSource("save", guest.to_bytes("xm-save", **options)))


CASES = [
    ("4-level", True, {}),
    ("4-level", True, {"container": "xl"}),
    ("4-level", True, {"container": "bare"}),
    ("4-level", True, {"container": "xl", "extended": "4.1"}),
    ("4-level", True, {"passes": 3, "batch": 50}),
    ("4-level", True, {"verify": True}),
    ("pae", True, {}),
    ("pae", True, {"word": 8}),
    ("pae", True, {"word": 4, "container": "bare"}),
    ("4-level", False, {}),
    ("4-level", False, {"container": "xl"}),
    ("pae", False, {"word": 4}),
    ("2-level", False, {"word": 8, "passes": 2}),
]


@pytest.mark.parametrize(("paging", "pv", "options"), CASES)
def test_a_guest_reads_its_kernel_through_the_saved_tables(paging, pv, options):
    guest = make_guest(paging, pv)
    guest.drop(0x80, 0x81)

    image = opened(guest, **options)

    assert (image.about.format, list(image.about.warnings)) == ("xm-save", [])
    read = Target(image).read(TEXT if guest.bits == 64 else TEXT32, 4107)
    assert read == b"kernel text".ljust(4096, b"\x90") + b"second page"
    assert [vcpu.registers["rbx"] for vcpu in image.vcpus] == [0xB0, 0xB1]
    assert [image.state(pfn) for pfn in (0x7F, 0x80, 0x82)] == [
        PageState.PRESENT,
        PageState.ABSENT,
        PageState.PRESENT,
    ]
    assert image.about.bits == guest.bits


@pytest.mark.parametrize(("paging", "word"), [("4-level", 8), ("pae", 4)])
def test_a_stream_of_xen_3_0_holds_vcpu_0_only(paging, word):
    guest = make_guest(paging)
    del guest.vcpus[1]

    image = opened(guest, extended="none", word=word)

    assert [vcpu.id for vcpu in image.vcpus] == [0]
    assert Target(image).read(TEXT if guest.bits == 64 else TEXT32, 11) == b"kernel text"


@pytest.mark.parametrize("pv", [True, False])
def test_of_several_checkpoints_the_last_complete_one_counts(pv):
    guest = make_guest(pv=pv)
    data = guest.to_bytes("xm-save", checkpoints=3)

    whole = open_source(BufferSource("save", data))
    cut = open_source(BufferSource("save", data[:-100]))

    assert Target(whole).read(TEXT, 11) == b"kernel text"
    assert cut.read(0x5000, 4) == b"\xcc" * 4
    assert (len(whole.vcpus), len(cut.vcpus)) == (2, 2)


def test_the_domain_is_named_from_either_configuration():
    names = [
        {fact.name: fact.value for fact in opened(make_guest(), container=kind).about.facts}["domain"]
        for kind in ("xend", "xl")
    ]

    assert names == ["fixture", "fixture"]


def test_a_cut_stream_gives_what_it_has_and_says_so():
    data = make_guest().to_bytes("xm-save", batch=16)

    image = open_source(BufferSource("save", data[: len(data) // 2]))

    assert "truncated" in image.about.warnings[0]
    assert len(image.read(0x1000, 4096)) == 4096
    with pytest.raises(PageMissing):
        image.locate(0xF0)


@pytest.mark.parametrize(
    ("field", "value", "said"), [("p2m_size", 0, "a p2m of"), ("chunk", 0x7777, "a batch of 30583")]
)
def test_a_stream_that_fits_no_guess_is_damage(field, value, said, tmp_path):
    path = tmp_path / "save"
    with path.open("w+b") as file:
        at, size = make_guest().write_to(file, "xm-save", extended="none")[field]
        file.seek(at)
        file.write(value.to_bytes(size, "little"))

    with pytest.raises(ImageDamaged, match=said):
        open_source(BufferSource("save", path.read_bytes()))


SMALL = [
    make_guest(pv=True, memory="64K").to_bytes("xm-save", passes=2, batch=9),
    make_guest(pv=False, memory="64K").to_bytes("xm-save", passes=2, batch=9),
    make_guest("pae", memory="64K").to_bytes("xm-save", extended="4.1", container="xl"),
]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mutated_files_give_pages_or_one_image_error(data):
    mutant = bytearray(SMALL[data.draw(st.integers(0, 2))])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, 400), st.integers(0, len(mutant) - 8)))
        mutant[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    source = BufferSource("mutant", bytes(mutant[: data.draw(st.integers(0, len(mutant)))]))

    try:
        image = open_source(source)
        assert all(run.count > 0 for run in image.runs())
        states = [image.state(pfn) for pfn in range(32)]
        assert set(states) <= set(PageState)
    except ImageError as err:
        assert "\n" not in str(err)
