import pytest

from fixtures import Guest
from fixtures.symtab import FUNC, OBJECT
from formats.opener import open_image
from vmdebug.errors import NoTarget, NoTypes
from vmdebug.guests import find_guest
from vmdebug.guests.illumos.kernel import MissingSymbol, illumos
from vmdebug.guests.unknown import NoCpuStructures
from vmdebug.targets.target import Target

DATA = 0xFFFF_FFFF_FBC0_0000
GONE = 0xFFFF_FF00_DEAD_0000


@pytest.fixture
def find(booted):
    """Finishes the kernel and finds it in its dump."""
    return lambda: find_guest(booted.target())


def test_finds_the_kernel_and_who_it_is(find):
    guest = find()

    status = guest.status()

    assert guest.kind == "illumos"
    assert (status.nodename, status.release, status.version, status.machine) == (
        "sxc16",
        "5.11",
        "onnv-johnlev",
        "i86pc",
    )
    assert status.extra == []
    assert guest.modules == ["unix", "genunix", "xdf"]


def test_finds_symbols_of_all_modules(find):
    symbols = find().symbols

    assert symbols.find("cv_wait").module == "genunix"
    assert symbols.find("cv_wait", "xdf") is None
    assert symbols.find("xdf_intr", "xdf").value == 0x3000
    assert symbols.nearest(0x2010)[0].name == "cv_wait"
    assert symbols.nearest(0x2070) == (symbols.find("cv_wait"), False)
    assert [symbol.name for symbol in symbols.each()] == ["utsname", "kas", "cv_wait", "xdf_intr"]


def test_tells_the_version_of_the_build_and_the_uuid(booted, find):
    booted.guest.write(DATA + 0x3_8000, b"heads/master-0-g1\0")
    booted.guest.write(DATA + 0x3_9000, b"6c1a2a34-0000-4000-8000-0123456789ab\0")
    booted.module(
        "late", [("buildversion", DATA + 0x3_8000, 20, OBJECT), ("dump_osimage_uuid", DATA + 0x3_9000, 37, OBJECT)]
    )

    assert find().status().extra == [
        ("build version", "heads/master-0-g1"),
        ("image uuid", "6c1a2a34-0000-4000-8000-0123456789ab"),
    ]


@pytest.mark.parametrize(("size", "extra"), [(37, [("image uuid", "(not set)")]), (36, [])])
def test_tells_that_no_uuid_was_set(booted, find, size, extra):
    booted.module("late", [("dump_osimage_uuid", DATA + 0x3_9000, size, OBJECT)])

    assert find().status().extra == extra


def test_leaves_out_what_cannot_be_read(booted, find):
    booted.module("late", [("buildversion", GONE, 20, OBJECT), ("dump_osimage_uuid", GONE, 37, OBJECT)])

    assert find().status().extra == []


@pytest.mark.parametrize("value", [GONE, None])
def test_does_not_know_the_node_where_utsname_is_missing(kernel, value):
    kernel.module("unix", [("utsname", value, 1285, OBJECT)] if value else [])

    guest = find_guest(kernel.target())

    assert guest.status().nodename is None
    assert guest.banner() == ["Loading modules: [ unix ]"]


def test_greets_with_the_version_and_the_modules_that_mdb_knows(find):
    guest = find()

    assert guest.cautions() == [
        "dump is from SunOS 5.11 onnv-johnlev; dcmds and macros may not match kernel implementation"
    ]
    assert guest.banner() == ["Loading modules: [ unix genunix ]"]


def test_greets_with_what_was_wrong_in_the_module_list(booted, find):
    booted.module("unix")

    assert find().cautions()[0] == "skipping duplicate module 'unix', id=3"


def test_tells_what_it_rests_on(find):
    facts = {fact.name: (fact.value, fact.evidence) for fact in find().evidence}

    assert facts["guest"] == ("illumos", "debug_info at 0xfffffffffb7ff000")
    assert facts["modules"] == ("3", "modctl ring from 0xfffffffffbc00000")
    assert facts["symbols"] == ("7", "section headers of 3 modules")
    assert facts["types"] == ("none", "the kernel keeps no type data: it has no symbol ctf_arena")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, "no module of the kernel has type data"),
        ({"ctfdata": DATA, "ctfsize": 1 << 40}, "failed to load CTF data for late: its size is said to be"),
        ({"ctfdata": GONE, "ctfsize": 100}, "failed to load CTF data for late"),
    ],
)
def test_says_why_there_are_no_types(booted, find, changed, why):
    booted.module("late", [("ctf_arena", DATA, 8, OBJECT)], **changed)
    guest = find()

    facts = [f"{fact.value} {fact.evidence}" for fact in guest.evidence]

    assert any(why in fact for fact in facts)
    if not changed:
        with pytest.raises(NoTypes, match=why):
            guest.objects.at("cpu_t", DATA)


def test_reads_variables_as_wide_as_their_symbols_say(booted, find):
    booted.guest.write(DATA + 0x3_8000, bytes(range(0xF0, 0x100)))
    places = [("four", 4), ("eight", 8), ("unsized", 0), ("table", 64)]
    booted.module("late", [(name, DATA + 0x3_8000, size, OBJECT) for name, size in places])
    guest = find()

    assert guest.variable("four") == 0xF3F2_F1F0
    assert guest.variable("four", signed=True) == 0xF3F2_F1F0 - (1 << 32)
    assert {guest.variable(name) for name, _ in places[1:]} == {0xF7F6_F5F4_F3F2_F1F0}
    assert guest.find_variable("nothing") is None
    with pytest.raises(MissingSymbol, match="failed to read 'nothing': unknown symbol name"):
        guest.variable("nothing")


def test_finds_symbols_in_a_table_that_is_not_all_there(booted):
    functions = [(f"function_{number:04}", 0x10_0000 + 16 * number, 16, FUNC) for number in range(300)]
    base = booted.module("large", functions)
    booted.guest.drop(booted.guest.translate(base + 0x1000) >> 12)
    guest = find_guest(booted.target())

    found = [symbol for symbol in guest.symbols.each("large") if symbol.name.startswith("function_")]

    assert 100 < len(found) < 300
    assert any("large's symtab" in fact.value and "4096 of" in fact.value for fact in guest.evidence)


def test_a_kernel_whose_module_list_is_lost_is_not_recognised(booted, find):
    booted.info["modules"] = GONE

    guest = find()

    assert guest.kind == "unknown"
    assert "illumos kernel: cannot construct namelist: failed to read modctl at 0xffffff00dead0000" in guest.why


@pytest.fixture
def unknown(tmp_path):
    """A guest whose memory holds nothing but a stack of two frames."""
    guest = Guest(memory="1M")
    guest.map(DATA, data=(DATA + 0x20).to_bytes(8, "little") + (0x1234).to_bytes(8, "little"))
    guest.vcpu(rip=DATA + 0x100, rbp=DATA)
    guest.save(tmp_path / "core")
    return find_guest(Target(open_image(tmp_path / "core")))


def test_an_unknown_guest_says_why_it_has_no_names(unknown):
    assert unknown.kind == "unknown"
    assert "cannot read debug_info at 0xfffffffffb7ff000" in unknown.symbols.why
    assert unknown.status().extra[0][1].startswith("not recognised (no illumos kernel: cannot read debug_info")
    with pytest.raises(NoTypes, match="not recognised"):
        unknown.types.find("cpu_t")


def test_an_unknown_guest_has_registers_and_frames(unknown):
    frames = list(unknown.frames(unknown.registers))

    assert [(frame.pc, frame.fp) for frame in frames] == [(DATA + 0x100, DATA), (0x1234, DATA + 0x20)]
    assert list(unknown.banner()) == []


def test_an_unknown_guest_has_no_cpu_structures(unknown):
    with pytest.raises(NoCpuStructures, match=r"^1000: the guest's cpu structures are not known$"):
        unknown.cpu_id(0x1000)


def test_refuses_questions_of_another_kind(unknown):
    with pytest.raises(NoTarget):
        illumos(unknown)
