"""Sections H and L: ::prtconf, the walkers of the device tree."""

import pytest

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
        ("{1:x}::prtconf -c", [(1, 2, LEAVES[0]), (1, 3, LEAVES[1]), (1, 4, LEAVES[2]), (1, 5, LEAVES[3])]),
        ("{4:x}::prtconf", [(0, 4, LEAVES[2])]),
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
        ("{1:x}::walk devinfo", [1, 2, 3, 4, 5]),
        ("{1:x}::walk devinfo_children", [2, 3, 4, 5]),
        ("{3:x}::walk devinfo_siblings", [3, 4, 5]),
        ("{4:x}::walk devinfo_parents", [0, 1, 4]),
    ],
)
def test_walks_the_device_tree(illumos, nodes, walk, places):
    assert [row.address for row in illumos().rows(walk.format(*nodes))] == [nodes[place] for place in places]


def test_a_tree_that_leads_into_itself_ends(illumos, nodes, member, word):
    debug = illumos({member(nodes[3], "devi_child"): word(nodes[0])})

    assert [row.addr for row in debug.rows("::prtconf")] == nodes
