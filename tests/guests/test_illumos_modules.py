import struct

import pytest

from fixtures import Guest
from formats.opener import open_image
from vmdebug.guests.illumos.debug_info import (
    NoDebugInfo,
    NotIllumos,
    Only64Bit,
    WrongMagic,
    WrongVersion,
    read_debug_info,
)
from vmdebug.guests.illumos.modules import MODCTL, Area, Layout, NoModules, Reader, differing, read_linkage
from vmdebug.targets.target import Target


@pytest.fixture
def modules(request):
    """Reads the modules of a target; what it warned of is kept in the list given to it."""

    def read(target, warnings):
        return Reader(target.read, warnings.append, Layout()).modules(read_debug_info(target).modules)

    return read


def test_reads_every_module_of_the_ring(booted, modules):
    warnings = []

    found = modules(booted.target(), warnings)

    assert [(module.id, module.name) for module in found] == [(0, "unix"), (1, "genunix"), (2, "xdf")]
    assert found[1].text == Area(0x2000, 0x800)
    assert found[0].symbol_count == 3
    assert warnings == []


def test_leaves_out_modules_that_are_not_loaded(booted, modules):
    booted.module("nfs", mp=0)

    assert [module.name for module in modules(booted.target(), [])] == ["unix", "genunix", "xdf"]


@pytest.mark.parametrize(("after", "to"), [(1, 1), (2, 1), (2, 2)])
def test_finds_every_module_of_a_ring_that_does_not_close(booted, modules, after, to):
    warnings = []

    found = modules(booted.target({after: booted.modctl(to)}), warnings)

    assert sorted(module.name for module in found) == ["genunix", "unix", "xdf"]
    assert len(warnings) == 1 and "the list comes back here" in warnings[0]


def test_ends_a_ring_that_is_cut_by_null(booted, modules):
    assert len(modules(booted.target({1: 0}), [])) == 2


def test_finds_the_rest_backward_where_the_way_forward_is_lost(booted, modules):
    booted.module("nfs")
    warnings = []

    found = modules(booted.target({0: 0xFFFF_FF00_DEAD_0000}), warnings)

    assert [module.name for module in found] == ["unix", "genunix", "xdf", "nfs"]
    assert len(warnings) == 1 and "failed to read modctl at ffffff00dead0000" in warnings[0]


def test_says_that_the_first_modctl_cannot_be_read(booted, modules):
    booted.info["modules"] = 0xFFFF_FF00_DEAD_0000

    with pytest.raises(NoModules, match=r"cannot construct namelist.*ffffff00dead0000"):
        modules(booted.target(), [])


def test_keeps_the_first_of_two_modules_with_one_name(booted, modules):
    booted.module("unix")
    warnings = []

    found = modules(booted.target(), warnings)

    assert [module.id for module in found] == [0, 1, 2]
    assert warnings == ["skipping duplicate module 'unix', id=3"]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"symhdr": 0xFFFF_FF00_DEAD_0000},
        {"strhdr": 0},
        {"mp": 0xFFFF_FF00_DEAD_0000},
    ],
)
def test_keeps_a_module_whose_parts_cannot_be_read_without_them(booted, modules, spoilt):
    booted.module("bad", [("f", 1, 1, 2)], **spoilt)
    warnings = []

    found = modules(booted.target(), warnings)[-1]

    assert (found.name, found.symbols) == ("bad", Area())
    assert len(warnings) == 1 and warnings[0].startswith("skipping module 'bad', id=3")


def test_leaves_out_a_module_without_a_name(booted, modules):
    booted.module("bad", modname=0xFFFF_FF00_DEAD_0000)
    warnings = []

    assert len(modules(booted.target(), warnings)) == 3
    assert "failed to read the name of the module" in warnings[0]


@pytest.mark.parametrize("size", [1 << 62, (1 << 64) - 1, (1 << 26) + 1])
def test_refuses_a_symbol_table_larger_than_any(booted, modules, size):
    base = booted.module("huge")
    booted.guest.write(base + 0x800 + 32, struct.pack("<Q", size))
    warnings = []

    assert modules(booted.target(), warnings)[-1].symbols == Area()
    assert warnings == ["skipping module 'huge', id=3 (corrupt symspace)"]


def test_takes_the_tables_from_struct_module_where_the_headers_have_no_address(booted, modules):
    base = booted.module("late", [("f", 1, 1, 2)])
    space, size = base + 0x1000, 0x4000
    booted.guest.write(base + 0x800 + 16, bytes(8))
    booted.guest.write(base + 0x840 + 16, bytes(8))
    booted.guest.write(base + 104, struct.pack("<QQ", size, space))

    found = modules(booted.target(), [])[-1]

    assert (found.symbols.base, found.strings.base) == (space, space + found.symbols.size)


@pytest.mark.parametrize("name", ["symtbl", "strings"])
def test_refuses_tables_outside_the_space_of_symbols(booted, modules, name):
    base = booted.module("late", [("f", 1, 1, 2)], symspace=0x1000, symsize=0x100, **{name: 0x5000})
    booted.guest.write(base + 0x800 + 16, bytes(8))
    booted.guest.write(base + 0x840 + 16, bytes(8))
    warnings = []

    assert modules(booted.target(), warnings)[-1].symbols == Area()
    assert warnings == ["skipping module 'late', id=3 (corrupt symspace)"]


def test_respects_a_module_that_hides_its_symbols(booted, modules):
    booted.module("secret", [("f", 1, 1, 2)], flags=0x800)

    assert modules(booted.target(), [])[-1].symbols == Area()


def test_reads_how_a_module_describes_itself(booted):
    target = booted.target()
    read = target.read
    module = Reader(read, [].append, Layout()).modules(read_debug_info(target).modules)[0]

    assert read_linkage(read, module.linkage) == (1, "a driver")
    assert read_linkage(read, 0) == (None, None)


def test_names_members_that_type_data_puts_elsewhere():
    def offset_of(kind, name):
        return {**MODCTL, **Layout().module}[name] + 8 * (name == "mod_mp")

    assert differing(Layout(), offset_of) == ["struct modctl mod_mp at 32, not 24"]


@pytest.mark.parametrize(
    ("spoilt", "error", "words"),
    [
        ({"magic": 0x1234}, WrongMagic, "invalid debug info magic 0x1234 at 0xfffffffffb7ff000"),
        ({"version": 2}, WrongVersion, "unknown debug info version 2"),
    ],
)
def test_says_what_is_wrong_with_debug_info(booted, spoilt, error, words):
    booted.info |= spoilt

    with pytest.raises(error, match=words):
        read_debug_info(booted.target())


def test_says_that_there_is_no_debug_info(tmp_path):
    guest = Guest(memory="1M")
    guest.vcpu(rip=0xFFFF_FFFF_FB80_0000)
    guest.save(tmp_path / "core")

    with pytest.raises(NoDebugInfo, match="cannot read debug_info at 0xfffffffffb7ff000: no mapping"):
        read_debug_info(Target(open_image(tmp_path / "core")))


@pytest.mark.parametrize(("pv", "at"), [(True, 0xF4BF_F000), (False, 0xFE7F_F000)])
def test_says_that_a_32_bit_kernel_is_not_supported(tmp_path, pv, at):
    guest = Guest(paging="pae", pv=pv, memory="1M")
    guest.map(at, data=struct.pack("<II", 0xDEB1_16ED, 1))
    guest.map(0xF480_0000)
    guest.vcpu(eip=0xF480_0000)
    guest.save(tmp_path / "core")

    with pytest.raises(Only64Bit, match=f"{at:#x}"):
        read_debug_info(Target(open_image(tmp_path / "core")))


def test_refuses_an_image_without_registers():
    class NoVcpus:
        word = 8

        def read(self, address, size):
            from vmdebug.targets.target import NoTables

            raise NoTables

    with pytest.raises(NotIllumos, match="holds no registers"):
        read_debug_info(NoVcpus())
