"""How domain dumps are told apart, and what is said of each part of one that is wrong."""

import struct

import pytest

import fixtures
from formats.errors import ImageDamaged, ImageNotSupported
from formats.opener import open_source
from formats.source import BufferSource

NOTES, STATES, PAGES, P2M = ".note.Xen", ".xen_prstatus", ".xen_pages", ".xen_p2m"
MAGIC_PV, MAGIC_HVM = 0xF00FEBED, 0xF00FEBEE
HEADER, VERSION, FORMAT = 0x2000001, 0x2000002, 0x2000003


@pytest.fixture(scope="module")
def made():
    """`made(format)`: the bytes of a small paravirtualised guest."""
    kept = {}

    def make(form):
        if form not in kept:
            kept[form] = fixtures.build("plain-pv-4-level", format=form)
        return bytearray(kept[form])

    return make


def opened(data):
    return open_source(BufferSource("core", bytes(data)))


class Elf:
    """The places of an ELF file's parts."""

    def __init__(self, data):
        self.data = data
        start, size, count, names = struct.unpack_from("<Q10xHHH", data, 40)
        self.headers = {}
        strings = struct.unpack_from("<Q", data, start + names * size + 24)[0]
        for number in range(count):
            at = start + number * size
            name = strings + struct.unpack_from("<I", data, at)[0]
            self.headers[bytes(data[name : data.index(0, name)]).decode()] = (at, name)

    def note(self, wanted):
        """Where the descriptor of a note begins."""
        start, size = struct.unpack_from("<QQ", self.data, self.headers[NOTES][0] + 24)
        at = start
        while at < start + size:
            name, length, kind = struct.unpack_from("<III", self.data, at)
            described = at + 12 + -(-name // 4) * 4
            if kind == wanted:
                return described
            at = described + length
        raise KeyError(wanted)

    def put(self, at, layout, *values):
        struct.pack_into(layout, self.data, at, *values)

    def rename(self, section):
        at = self.headers[section][1]
        self.data[at : at + 2] = b"zz"


@pytest.fixture
def core(made):
    return Elf(made("xen-elf"))


@pytest.fixture
def old(made):
    """The older layout, whose header is six words: magic, vcpus, pages, and where contexts, index and pages begin."""
    return made("xen-304")


@pytest.mark.parametrize(("form", "name"), [("xen-elf", "xen-elf"), ("xen-304", "xen-304")])
def test_knows_both_layouts(made, form, name):
    image = opened(made(form))

    assert (image.about.format, image.about.domain, image.about.bits) == (name, True, 64)
    assert not image.about.translated
    assert not image.about.warnings


def test_the_magic_of_an_older_dump_tells_a_fully_virtualised_guest(old):
    struct.pack_into("<I", old, 0, MAGIC_HVM)

    assert opened(old).about.translated


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        (HEADER, {0: 0x1234}, "invalid magic 0x1234"),
        (HEADER, {24: 8192}, "pages of 8192 bytes: not supported, only 4096"),
        (FORMAT, {0: 1 << 32}, r"unknown major version 1 \(expected 0\)"),
    ],
)
def test_says_which_note_is_wrong(core, name, values, said):
    for at, value in values.items():
        core.put(core.note(name) + at, "<Q", value)

    with pytest.raises((ImageDamaged, ImageNotSupported), match=f"core: {said}"):
        opened(core.data)


def test_says_that_the_header_note_is_missing(core):
    core.put(core.note(HEADER) - 8, "<I", 0x2000000)

    with pytest.raises(ImageDamaged, match="core: no header note in"):
        opened(core.data)


@pytest.mark.parametrize(("section", "missing"), [(PAGES, PAGES), (P2M, ".xen_pfn")])
def test_says_which_section_is_missing(core, section, missing):
    core.rename(section)

    with pytest.raises(ImageDamaged, match=f"core: cannot find section {missing}"):
        opened(core.data)


def test_a_newer_minor_version_is_told_and_read(core):
    core.put(core.note(FORMAT), "<Q", 2)

    assert opened(core.data).about.warnings == ["unexpected dump minor number version 2 (expected 1)"]


def test_a_note_of_another_type_is_told_and_kept(core):
    core.put(core.note(VERSION) - 8, "<I", 0x2000007)

    image = opened(core.data)

    assert image.about.warnings == ["unknown ELF note 0x2000007(Xen)"]
    assert 0x2000007 in [note.type for note in image.notes]


def test_pages_that_do_not_begin_on_a_page_are_told(core):
    at = core.headers[PAGES][0] + 24
    core.put(at, "<Q", struct.unpack_from("<Q", core.data, at)[0] + 8)

    assert any(".xen_pages is not page aligned" in text for text in opened(core.data).about.warnings)


def test_a_dump_without_states_has_no_registers(core):
    core.rename(STATES)

    image = opened(core.data)

    assert list(image.vcpus) == []
    assert image.about.warnings == ["cannot find section .xen_prstatus: no registers"]


def test_a_dump_with_states_of_another_size_has_no_registers(core):
    core.put(core.headers[STATES][0] + 56, "<Q", 100)

    image = opened(core.data)

    assert list(image.vcpus) == []
    assert image.about.warnings == ["invalid section .xen_prstatus: entries of 100 bytes: no registers"]


@pytest.mark.parametrize("machine", [20, 183])
def test_refuses_other_machines(core, machine):
    core.put(18, "<H", machine)

    with pytest.raises(ImageNotSupported, match=f"machine type {machine}: not supported, only x86"):
        opened(core.data)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ((None, 0, None, None, None, None), "invalid dump file: 0 vcpus"),
        ((None, 3, None, None, None, None), "cannot read VCPU contexts: [0-9]+ bytes for 3 vcpus"),
        ((None, None, 1 << 30, None, None, None), "invalid dump file: no room for 1073741824 frame numbers"),
        ((None, None, None, 1 << 20, 8, None), "invalid dump file: its parts are not in order"),
        ((None, None, None, None, None, 0xFFFF_FFFF), "invalid dump file: its parts are not in order"),
    ],
)
def test_says_what_of_an_older_header_is_wrong(old, header, said):
    for place, value in enumerate(header):
        if value is not None:
            struct.pack_into("<I", old, 4 * place, value)

    with pytest.raises(ImageDamaged, match=f"core: {said}"):
        opened(old)


@pytest.mark.parametrize("size", [4, 23])
def test_says_that_an_older_dump_ends_in_its_header(old, size):
    with pytest.raises(ImageDamaged, match="core: invalid dump file: it ends inside its header"):
        opened(old[:size])
