"""Sections H and L: ::prtconf, ::devinfo, ::devbindings, the walkers of the device tree."""

import struct

import pytest

from vmdebug.errors import DebuggerError

HEAD = f"{'DEVINFO':<16} {'NAME':<50}"
ROOT, NEXUS = "i86xpv", "xpvd, instance #0 (driver name: xpvd)"
LEAVES = [
    "xencons, instance #0 (driver name: xencons)",
    "xdf, instance #0 (driver name: xdf)",
    "xnf, instance #0 (driver name: xnf)",
    "xnf, instance #1 (driver name: xnf)",
]


@pytest.fixture
def nodes(illumos):
    """The addresses of the root, the nexus and the leaves."""
    return [row.addr for row in illumos().rows("::prtconf")]


@pytest.fixture
def member(illumos):
    objects = illumos().guest.objects
    return lambda node, name: node + objects.offsetof("struct dev_info", name)


def indented(depth, node, text):
    return f"{' ' * 4 * depth}{node:016x} {text}"


def test_prints_the_device_tree(illumos, nodes):
    assert illumos().text("::prtconf") == [
        HEAD,
        indented(0, nodes[0], ROOT),
        indented(1, nodes[1], NEXUS),
        *(indented(2, node, text) for node, text in zip(nodes[2:], LEAVES, strict=True)),
    ]


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("::prtconf -d xnf", [(0, 4, LEAVES[2]), (0, 5, LEAVES[3])]),
        ("::prtconf -i 1", [(0, 5, LEAVES[3])]),
        ("::prtconf -d xnf -i 0", [(0, 4, LEAVES[2])]),
        ("{1:x}::prtconf -c", [(0, 1, NEXUS), *((1, 2 + place, leaf) for place, leaf in enumerate(LEAVES))]),
        ("{4:x}::prtconf", [(0, 0, ROOT), (1, 1, NEXUS), (2, 4, LEAVES[2])]),
        ("{4:x}::prtconf -c", [(0, 4, LEAVES[2])]),
        ("{4:x}::prtconf -p", [(0, 0, ROOT), (1, 1, NEXUS), (2, 4, LEAVES[2])]),
    ],
)
def test_prints_some_of_it(illumos, nodes, command, wanted):
    lines = illumos().text(command.format(*nodes))

    assert lines == [HEAD, *(indented(depth, nodes[place], text) for depth, place, text in wanted)]


@pytest.mark.parametrize(("name", "value"), [("devi_node_state", 4), ("devi_instance", 0xFFFF_FFFF)])
def test_tells_that_no_driver_is_attached(illumos, nodes, member, name, value):
    debug = illumos({member(nodes[3], name): value.to_bytes(4, "little")})

    assert debug.text("::prtconf")[4] == indented(2, nodes[3], "xdf (driver not attached)")


def test_names_no_driver_that_it_does_not_know(illumos, nodes, member):
    debug = illumos({member(nodes[3], "devi_major"): (1 << 30).to_bytes(4, "little")})

    assert debug.text("::prtconf")[4] == indented(2, nodes[3], "xdf, instance #0")


@pytest.mark.parametrize(
    ("walk", "places"),
    [
        ("::walk devinfo", [0, 1, 2, 3, 4, 5]),
        ("{1:x}::walk devinfo", [0, 1, 2, 3, 4, 5]),
        ("{3:x}::walk devinfo", [0, 1, 3]),
        ("{1:x}::walk devinfo_children", [1, 2, 3, 4, 5]),
        ("{4:x}::walk devi_next", [4, 5]),
        ("{5:x}::walk devi_next", [5]),
        ("{3:x}::walk devinfo_siblings", [3, 4, 5]),
        ("{4:x}::walk devinfo_parents", [0, 1, 4]),
    ],
)
def test_walks_the_device_tree(illumos, nodes, walk, places):
    assert [row.address for row in illumos().rows(walk.format(*nodes))] == [nodes[place] for place in places]


def test_a_tree_that_leads_into_itself_ends(illumos, nodes, member, word):
    debug = illumos({member(nodes[3], "devi_child"): word(nodes[0])})

    assert [row.addr for row in debug.rows("::prtconf")] == nodes


def test_what_lies_beside_a_broken_link_is_told(illumos, nodes, member, word):
    debug = illumos({member(nodes[3], "devi_sibling"): word(0x10)})

    assert debug.errors("::prtconf")[0].startswith(f"vmdebug: failed to read the nodes below {nodes[1]:x}: ")
    assert [row.addr for row in debug.rows("::walk devinfo | ::devinfo -q")] == nodes[:4]


def test_a_node_whose_name_cannot_be_read_is_told(illumos, nodes, member, word):
    debug = illumos({member(nodes[3], "devi_node_name"): word(0x10)})

    assert [row.addr for row in debug.rows("::prtconf")] == [*nodes[:3], *nodes[4:]]
    assert debug.errors("::prtconf")[0].startswith(f"vmdebug: failed to read the node at {nodes[3]:x}: ")


def properties(debug, node):
    """The properties of a node by their names."""
    return {each.name: each for each in debug.rows(f"{node:x}::devinfo")[0].properties}


def test_prints_the_properties_of_a_node(illumos, nodes):
    debug = illumos()
    found = properties(debug, nodes[3])
    first = found["ddi-kernel-ioctl"].addr

    assert debug.text(f"{nodes[3]:x}::devinfo") == [
        f"{nodes[3]:016x} {LEAVES[1]}",
        f"        System properties at 0x{found['instance-names'].addr:x}:",
        "            name='instance-names' type=string items=2",
        "                value='xdf0' + 'disk'",
        f"        Driver properties at 0x{first:x}:",
        "            name='ddi-kernel-ioctl' type=boolean",
        "            name='Nblocks' type=int64 items=1 dev=(4,0)",
        "                value=0000000000400000",
        "            name='legacy' type=any items=3",
        "                value=01.02.03",
    ]
    assert [each.first for each in found.values()] == [found["instance-names"].addr, first, first, first]
    assert debug.text(f"{nodes[3]:x}::devinfo -q") == [f"{nodes[3]:016x} {LEAVES[1]}"]


def test_prints_the_properties_of_the_tree(illumos, nodes):
    debug = illumos()
    lines = debug.text("::prtconf -v")
    leaf = debug.text(f"{nodes[4]:x}::devinfo")

    assert lines[0] == HEAD and lines[1] == f"{nodes[0]:016x} {ROOT}"
    assert [line for line in lines if "type=" not in line and "value=" not in line and " at 0x" not in line] == (
        debug.text("::prtconf")
    )
    assert lines[-1 - len(leaf) : -1] == [f"{'':8}{line}" for line in leaf]
    assert "value=00.16.3e.1a.2b.3c" in leaf[3] and "value=0000f000.80000010.00000000" in leaf[5]


@pytest.mark.parametrize(
    ("name", "data", "kind", "items", "value"),
    [
        ("prop_flags", struct.pack("<I", 0x0140), "undefined", 0, ""),
        ("prop_flags", struct.pack("<I", 0x0400), "byte", 4, "01.00.00.00"),
        ("prop_flags", struct.pack("<I", 0x1000), "any", 4, "01.00.00.00"),
        ("prop_len", struct.pack("<i", 0), "boolean", 0, ""),
        ("prop_len", struct.pack("<i", 3), "any", 3, "01.00.00"),
        ("prop_len", struct.pack("<i", -4), "int", 0, None),
        ("prop_len", struct.pack("<i", 1 << 20), "int", 0, None),
        ("prop_val", struct.pack("<Q", 0x10), "int", 0, None),
    ],
)
def test_shows_values_as_the_flags_say(illumos, nodes, name, data, kind, items, value):
    debug = illumos()
    place = properties(debug, nodes[0])["relative-addressing"].addr + debug.guest.objects.offsetof("ddi_prop_t", name)

    changed = illumos({place: data})
    found = properties(changed, nodes[0])["relative-addressing"]

    assert (found.type, found.items, found.value) == (kind, items, value)
    assert changed.text(f"{nodes[0]:x}::devinfo")[3].endswith("value=?") == (value is None)


def test_a_list_of_properties_that_loops_is_told(illumos, nodes, word):
    debug = illumos()
    second = properties(debug, nodes[0])["PAGESIZE"].addr

    changed = illumos({second: word(second)})

    assert [name for name in properties(changed, nodes[0]) if name != "PAGESIZE"] == [
        "relative-addressing",
        "pm-hardware-state",
        "boot-args",
    ]
    assert changed.errors(f"{nodes[0]:x}::devinfo")[0].startswith("vmdebug: failed to read the system properties at ")


def test_lists_the_nodes_of_a_driver(illumos, nodes):
    debug = illumos()

    assert debug.text("::devbindings -q xnf") == [f"{nodes[4]:016x} {LEAVES[2]}", f"{nodes[5]:016x} {LEAVES[3]}"]
    assert (
        debug.text("5::devbindings")
        == debug.text("::devbindings xnf")
        == debug.text("::devbindings -q xnf | ::devinfo")
    )


@pytest.mark.parametrize("call", ["::devbindings", "5::devbindings xnf", "::devbindings xnf xdf"])
def test_takes_a_driver_or_its_number(illumos, call):
    assert any("Usage: [address]::devbindings [-q] [driver]" in line for line in illumos().errors(call))


def test_tells_that_a_driver_is_not_known(illumos):
    with pytest.raises(DebuggerError, match="the kernel knows no driver of the name 'qlc'"):
        illumos().rows("::devbindings qlc")
