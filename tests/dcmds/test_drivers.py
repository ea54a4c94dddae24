"""Section L and drivers: ::devnames ::major2name ::devt ::minornodes ::softstate ::hotplug, and their walkers."""

import io
import struct

import pytest

from tests.fakes import FakeTarget, language
from tests.typed_memory import BASE, TypedMemory
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.kernel import Illumos
from vmdebug.session import Session
from vmdebug.symbols.table import Part, Symbol, SymbolTable

PCI = 0x06_0400


@pytest.fixture
def nodes(illumos):
    """The nodes of the device tree by name and instance."""
    return {(row.name, row.instance): row.addr for row in illumos().rows("::prtconf")}


@pytest.fixture
def member(illumos):
    objects = illumos().guest.objects
    return lambda node, name: node + objects.offsetof("struct dev_info", name)


def test_lists_drivers(illumos, nodes):
    debug = illumos()
    rows = debug.rows("::devnames")
    heads = [nodes["i86xpv", 0], nodes["xpvd", 0], nodes["xencons", 0], nodes["xdf", 0], nodes["xnf", 0]]

    assert [(row.major, row.name, row.head) for row in rows] == [
        (number, name, head)
        for number, (name, head) in enumerate(zip(["rootnex", "xpvd", "xencons", "xdf", "xnf"], heads, strict=True), 1)
    ]
    assert debug.text("::devnames")[:2] == [
        " MAJ NAME                 DN_HEAD",
        f"   1 rootnex              {heads[0]:016x}",
    ]
    assert debug.text("::devnames -v")[:2] == [
        " MAJ NAME                 DN_HEAD          DEVNAMES         FLAGS",
        f"   1 rootnex              {heads[0]:016x} {rows[0].addr:016x} 0x0",
    ]


def test_finds_the_nodes_of_a_module(illumos, nodes):
    debug = illumos()

    assert debug.text("::walk modctl | ::modctl2devinfo") == [
        f"{nodes[each]:x}" for each in (("i86xpv", 0), ("xpvd", 0), ("xencons", 0), ("xdf", 0), ("xnf", 0), ("xnf", 1))
    ]
    assert [row.address for row in debug.rows("::walk devnames")] == [row.addr for row in debug.rows("::devnames")]


def test_translates_names_and_numbers_of_drivers(illumos):
    debug = illumos()

    assert debug.text("::name2major xdf") == ["4"]
    assert debug.text("4::major2name") == debug.text("::major2name 4") == ["xdf"]
    assert debug.text("::name2major xnf | ::major2name") == ["xnf"]
    assert debug.text("::walk devinfo | ::devinfo2driver") == ["rootnex", "xpvd", "xencons", "xdf", "xnf", "xnf"]


@pytest.mark.parametrize(("command", "reason"), [("::name2major sd", "name 'sd'"), ("ff::major2name", "number 0xff")])
def test_tells_that_there_is_no_such_driver(illumos, command, reason):
    with pytest.raises(DebuggerError, match=reason):
        illumos().rows(command)


@pytest.mark.parametrize("command", ["::name2major", "::major2name", "4::major2name 4", "::devt", "1::dev2minor 1"])
def test_takes_one_number_or_name(illumos, command):
    assert any("Usage: " in line for line in illumos().errors(command))


def test_splits_device_numbers(illumos):
    debug = illumos()

    assert (
        debug.text("2a0000000c::devt")
        == debug.text("::devt 2a0000000c")
        == ["     MAJOR      MINOR", "        42         12"]
    )
    assert debug.text("2a0000000c::dev2major") == ["2a"]
    assert debug.text("2a0000000c::dev2minor") == ["c"]


def test_a_driver_whose_name_cannot_be_read_stays_in_the_list(illumos, word):
    debug = illumos()
    place = debug.rows("::devnames")[1].addr

    assert [row.name for row in illumos({place: word(0x10)}).rows("::devnames")][:3] == ["rootnex", "?", "xencons"]


def test_an_absurd_count_of_drivers_ends(illumos):
    place = illumos().truth.address("devcnt")

    debug = illumos({place: b"\xff\xff\xff\x7f"})

    assert [row.name for row in debug.session.rows("::devnames | ::head 5")] == [
        "rootnex",
        "xpvd",
        "xencons",
        "xdf",
        "xnf",
    ]
    assert debug.rows("::name2major xnf")[0].major == 5


def test_lists_minor_nodes(illumos, nodes):
    debug = illumos()
    disk = nodes["xdf", 0]
    found = [row.address for row in debug.rows(f"{disk:x}::walk minornode")]

    assert debug.text(f"{disk:x}::minornodes") == [
        f"{'ADDR':<16} {'DEV':>16} SPEC {'TYPE':<20} NAME",
        f"{found[0]:016x}        400000000 b    ddi_block:channel    a",
        f"{found[1]:016x}        400000000 c    ddi_block:channel    a,raw",
        f"{found[2]:016x}        400000001 b    ddi_block:channel    b",
        f"{found[3]:016x}        400000001 c    ddi_block:channel    b,raw",
    ]
    assert debug.rows(f"{nodes['xpvd', 0]:x}::minornodes") == []


def test_a_list_of_minor_nodes_that_loops_ends(illumos, nodes, word):
    first = illumos().rows(f"{nodes['xdf', 0]:x}::walk minornode")[0].address

    debug = illumos({first: word(first)})

    assert [row.name for row in debug.rows(f"{nodes['xdf', 0]:x}::minornodes")] == ["a"]


def test_finds_the_soft_state_of_an_instance(illumos, nodes, member):
    debug = illumos()
    (state,) = (row.value for row in debug.rows(f"{nodes['xdf', 0]:x}::print struct dev_info devi_driver_data"))

    assert debug.text("*xdf_ssp::softstate 0") == [f"{state:x}"]
    assert debug.text("*xdf_ssp::softstate") == ["INSTANCE SOFTSTATE", f"       0 {state:016x}"]
    assert [row.address for row in debug.rows("*xdf_ssp::walk softstate")] == [state]
    assert [row.address for row in debug.rows("*xdf_ssp::walk softstate_all")] == [state, 0, 0, 0]


@pytest.mark.parametrize("instance", ["1", "4", "0t1000"])
def test_tells_that_an_instance_has_no_soft_state(illumos, instance):
    with pytest.raises(DebuggerError, match="have none of instance 0x"):
        illumos().rows(f"*xdf_ssp::softstate {instance}")


def test_refuses_more_soft_states_than_a_driver_has(illumos, word):
    debug = illumos()
    place = debug.guest.variable("xdf_ssp") + debug.guest.objects.offsetof("struct i_ddi_soft_state", "n_items")

    with pytest.raises(DebuggerError, match="say that there are 0x10000000000 of them"):
        illumos({place: word(1 << 40)}).rows("*xdf_ssp::walk softstate")


def test_lists_hotplug_connections(illumos, nodes):
    debug = illumos()
    port, slot = (row.address for row in debug.rows("::walk hotplug"))
    bus = nodes["xpvd", 0]

    assert debug.text("::hotplug") == [
        "DEVINFO          HANDLE           TYPE         NAME            STATE",
        f"{bus:016x} {port:016x} Virtual-Port port.1          Online",
        f"{bus:016x} {slot:016x} PCI          slot1           Empty",
    ]
    assert debug.text(f"{bus:x}::hotplug -p")[1:] == debug.text("::hotplug")[2:]
    assert debug.rows(f"{nodes['xdf', 0]:x}::hotplug") == []


@pytest.mark.parametrize(("state", "name"), [(0x3000, "Powered"), (0x9000, "Maintenance"), (0x1234, "0x1234")])
def test_names_the_state_of_a_connection(illumos, state, name):
    debug = illumos()
    (port, _) = (row.address for row in debug.rows("::walk hotplug"))
    place = port + debug.guest.objects.offsetof("ddi_hp_cn_handle_t", "cn_info.cn_state")

    assert illumos({place: struct.pack("<I", state)}).rows("::hotplug")[0].state == name


def test_walks_pcie_buses_from_above_and_below(illumos, nodes, member, word):
    leaf, bus = (member(nodes[name, 0], "devi_bus") for name in ("xnf", "xpvd"))
    offset = illumos().guest.objects.offsetof
    above, below = offset("devi_bus_priv_t", "port_up"), offset("devi_bus_priv_t", "port_down")
    private = offset("devi_port_t", "priv_p")
    up = {leaf + above: word(PCI), leaf + above + private: word(0x1000)}
    down = {bus + below: word(PCI), bus + below + private: word(0x2000)}

    debug = illumos({**up, **down})

    assert [row.address for row in debug.rows("::walk pcie_bus")] == [0x2000, 0x1000]
    assert [row.address for row in debug.rows(f"{nodes['xnf', 0]:x}::walk pcie_bus")] == [0x1000]
    assert illumos().rows("::walk pcie_bus") == []


def older():
    """A kernel that keeps neither hotplug connections nor private data of buses, with a root node only."""
    memory = TypedMemory(
        "typedef unsigned long size_t; struct dev_info { struct dev_info *devi_parent; struct dev_info *devi_child;"
        "struct dev_info *devi_sibling; };"
    )
    memory.object("struct dev_info", BASE)
    memory.variable("top_devinfo", "struct dev_info *", BASE + 0x100)
    memory.put(BASE + 0x100, BASE.to_bytes(8, "little"))
    guest, target = Illumos.__new__(Illumos), FakeTarget(memory.memory)
    symbols = [Symbol(each.name, each.value, each.size, "OBJT") for each in memory.variables]
    guest.target = target
    guest.__dict__.update(symbols=SymbolTable(Part("", symbols), []), types=memory.kernel)
    return Session(target, guest, out=io.StringIO(), err=io.StringIO(), registry=language())


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("::hotplug", "no hotplug connections: its struct dev_info has no devi_hp_hdlp"),
        ("::walk pcie_bus", "no private data of buses: its struct dev_info has no devi_bus"),
        ("::devnames", "failed to read 'devcnt': unknown symbol name"),
    ],
)
def test_tells_what_older_kernels_do_not_keep(command, reason):
    with pytest.raises(DebuggerError, match=reason):
        older().rows(command)


def test_walks_the_nodes_of_older_kernels():
    assert [row.address for row in older().rows("::walk devinfo")] == [BASE]
