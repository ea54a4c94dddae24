"""Readers from elsewhere: asked in their place among our own; what they raise harms nobody else."""

from types import SimpleNamespace

import pytest

from fixtures import Guest
from formats import candidates
from formats.candidates import ReaderFailed, ReaderIncomplete
from formats.errors import ImageDamaged, ImageUnknown
from formats.extents import Extent, ExtentImage
from formats.image import About
from formats.opener import open_source, open_sources, readers
from formats.source import BufferSource

MEMORY = bytes(range(256)) * 16


def read_it(source):
    extent = Extent(paddr=0, size=4096, offset=source.size - 4096)
    return ExtentImage(source, About("mine", "my format", 64), [extent], [], [])


@pytest.fixture
def add():
    """`add(name=...)`: adds a reader with these members to what is asked; the lines that it reports."""
    added, told = [], []

    def make(**members):
        module = SimpleNamespace(
            **{"NAME": "mine", "DESCRIPTION": "my format", "open_image": read_it, "probe": lambda source: True}
            | members
        )
        candidates.add(module, "/plug/mine.py", told.append)
        added.append(module)
        return told

    yield make
    for module in added:
        candidates.remove(module)


def lime():
    """The bytes of a LiME file."""
    guest = Guest(pv=False, memory="2M")
    guest.vcpu(rip=1)
    return guest.to_bytes("lime")


def source(data=b"MINE" + MEMORY):
    return BufferSource("x.mine", data)


def test_a_reader_from_elsewhere_opens_its_files_and_is_named(add):
    told = add(probe=lambda source: source.peek(0, 4) == b"MINE")

    image = open_source(source())

    assert image.read(0, 3) == b"\0\1\2"
    assert [(fact.name, fact.value, fact.evidence) for fact in image.about.facts] == [
        ("reader", "mine", "plug-in /plug/mine.py")
    ]
    assert told == []


def test_our_own_images_do_not_name_a_reader(add):
    add(probe=lambda source: False)

    image = open_source(BufferSource("x.lime", lime()))

    assert image.about.format == "lime"
    assert "reader" not in [fact.name for fact in image.about.facts]


@pytest.mark.parametrize(("order", "format_name"), [(1, "mine"), (98, "lime")])
def test_is_asked_in_its_order(add, order, format_name):
    add(ORDER=order)

    assert open_source(BufferSource("x.lime", lime())).about.format == format_name


def test_is_listed_in_its_order(add):
    own = list(readers())
    add(ORDER=98)

    assert [module.NAME for module in readers()] == [*(module.NAME for module in own[:-1]), "mine", own[-1].NAME]


def test_is_not_even_probed_for_a_file_with_another_head(add):
    told = add(HEADS=(b"YOURS",), probe=lambda source: 1 / 0)

    with pytest.raises(ImageUnknown):
        open_source(source())
    assert told == []


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        (lambda source: {}["no\nkey"], "KeyError: 'no\\nkey'"),
        (lambda source: source.read(0, 1 << 20), "SourceEnd: x.mine: wanted 1048576 bytes at offset 0x0, but it has"),
    ],
)
def test_a_probe_that_fails_is_reported_and_detection_goes_on(add, probe, reason):
    told = add(probe=probe, ORDER=1)
    add(ORDER=2)

    assert open_source(source()).about.format == "mine"
    assert len(told) == 1
    assert told[0].startswith(f"/plug/mine.py: its probe failed on x.mine: {reason}")


def test_a_file_of_its_own_that_is_broken_ends_detection(add):
    def probe(source):
        raise ImageDamaged(f"{source.name}: cut short")

    told = add(probe=probe)

    with pytest.raises(ImageDamaged, match=r"x\.mine: cut short"):
        open_source(source())
    assert told == []


@pytest.mark.parametrize(
    ("open_image", "reason"),
    [(lambda source: 1 / 0, "ZeroDivisionError: division by zero"), (lambda source: 7, "gave 7, which is no Image")],
)
def test_a_reader_that_fails_is_an_error_that_names_it(add, open_image, reason):
    add(open_image=open_image)

    with pytest.raises(ReaderFailed, match=reason) as raised:
        open_source(source())
    assert "/plug/mine.py" in str(raised.value)


def test_a_container_from_elsewhere_is_looked_through(add):
    add(
        probe=lambda source: source.peek(0, 4) == b"WRAP",
        unwrap=lambda source: BufferSource("inner", source.read(4, source.size - 4)),
        open_image=None,
    )

    image = open_source(BufferSource("x.wrap", b"WRAP" + lime()))

    assert image.about.format == "lime"
    assert [fact.evidence for fact in image.about.facts[:2]] == ["mine", "plug-in /plug/mine.py"]


def test_several_files_go_to_a_reader_of_sets(add):
    add(open_set=lambda sources: read_it(sources[1]))

    assert open_sources([source(), source(bytes(4096))]).read(0, 4) == bytes(4)


@pytest.mark.parametrize(
    ("members", "missing"),
    [
        ({"NAME": None}, ": no NAME"),
        ({"DESCRIPTION": 7}, ": no DESCRIPTION"),
        ({"probe": None}, ": no probe"),
        ({"open_image": None}, "neither open_image nor unwrap"),
        ({"HEADS": b"MINE"}, "HEADS is a tuple of bytes"),
        ({"ORDER": "first"}, "ORDER a number"),
    ],
)
def test_a_module_that_is_no_reader_is_refused(add, members, missing):
    with pytest.raises(ReaderIncomplete, match=missing):
        add(**members)
    assert candidates.ADDED == []
