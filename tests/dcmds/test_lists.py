"""::array ::list, and the walkers of illumos' lists and trees."""

import json
import struct

import pytest

from tests.typed_memory import BASE, TypedMemory

C = """
typedef struct list_node { struct list_node *list_next, *list_prev; } list_node_t;
typedef struct list { unsigned long list_size, list_offset; struct list_node list_head; } list_t;
typedef struct avl_node { struct avl_node *avl_child[2]; unsigned long avl_pcb; } avl_node_t;
typedef struct avl_tree {
    struct avl_node *avl_root; int (*avl_compar)(const void *, const void *);
    unsigned long avl_offset, avl_numnodes, avl_size;
} avl_tree_t;
typedef struct item { long id; struct item *next; int odd:3; list_node_t link; avl_node_t tree; char pad[8]; } item_t;
"""
ITEMS = [BASE + 0x100 * number for number in range(1, 6)]
LIST = BASE + 0x2000
LINK, TREE, SIZE = 24, 40, 72


@pytest.fixture
def memory():
    made = TypedMemory(C)
    for number, (address, following) in enumerate(zip(ITEMS, [*ITEMS[1:], 0], strict=True)):
        made.object("item_t", address, {"id": number, "next": following})
    return made


def linked(memory, order, *, end=LIST + 16, size=SIZE, offset=LINK, first=None):
    """A list_t of items in that order; the last one's next pointer is `end`."""
    nodes = [address + LINK for address in order]
    head = nodes[0] if nodes and first is None else LIST + 16 if first is None else first
    memory.object("list_t", LIST, {"list_size": size, "list_offset": offset, "list_head.list_next": head})
    for number, address in enumerate(order):
        following = nodes[number + 1] if number + 1 < len(nodes) else end
        memory.object("item_t", address, {"id": number, "link.list_next": following})
    return memory


def planted(memory, shape, *, root):
    """An avl_tree_t; `shape` maps an item to its two children, by number."""
    memory.object("avl_tree_t", LIST, {"avl_root": ITEMS[root] + TREE, "avl_offset": TREE, "avl_numnodes": len(shape)})
    for item, children in shape.items():
        values = {f"tree.avl_child[{n}]": ITEMS[child] + TREE for n, child in enumerate(children) if child is not None}
        memory.object("item_t", ITEMS[item], values)
    return memory


def addresses(debug, command):
    return [int(line, 16) for line in debug.printed(command).split()]


# ::list


def test_list_to_the_end(memory):
    debug = memory.debug()

    assert addresses(debug, f"{ITEMS[0]:x}::list item_t next") == ITEMS
    assert addresses(debug, f"{ITEMS[2]:x}::list struct item next") == ITEMS[2:]
    assert addresses(debug, f"{ITEMS[0]:x}::list $[8]") == ITEMS
    assert debug.printed(f"{ITEMS[4]:x}::list item_t next") == f"{ITEMS[4]:x}\n"


def test_list_that_comes_back_to_its_start(memory):
    memory.object("item_t", ITEMS[4], {"next": ITEMS[0]})

    assert addresses(memory.debug(), f"{ITEMS[0]:x}::list item_t next") == ITEMS


def test_list_that_loops_elsewhere(memory):
    memory.object("item_t", ITEMS[4], {"next": ITEMS[2]})
    out, err, status = memory.debug()(f"{ITEMS[0]:x}::list item_t next")

    assert [int(line, 16) for line in out.split()] == ITEMS
    assert err == f"vmdebug: list at {ITEMS[0]:x}: loops at {ITEMS[2]:x} after 5 nodes\n"
    assert status == 1


def test_list_that_cannot_be_read(memory):
    del memory.memory[ITEMS[2]]
    out, err, _ = memory.debug()(f"{ITEMS[0]:x}::list item_t next")

    assert [int(line, 16) for line in out.split()] == ITEMS[:3]
    assert err.startswith(f"vmdebug: failed to read next pointer from object {ITEMS[2]:x}: no mapping for address")


def test_list_in_a_pipe_and_with_a_variable(memory):
    debug = memory.debug()

    assert debug.printed(f"{ITEMS[0]:x}::list item_t next | ::print -d item_t id").split()[2::3] == list("01234")
    assert addresses(debug, f"{ITEMS[0]:x}::list item_t next v | ::map <v") == ITEMS


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "Usage: address::list"),
        ("item_t", "Usage: address::list"),
        ("item_t next v w", "Usage: address::list"),
        ("item_t $[8]", "Usage: address::list"),
        ("$[4]", "offset must fall on a word boundary"),
        ("nothing next", "failed to look up type nothing"),
        ("item_t nothing", "failed to find member nothing of type item_t: no such member of structure or union"),
        ("item_t pad[1]", "pad[1] is not a word-aligned member"),
        ("struct", "struct is not a valid type"),
    ],
)
def test_list_refusals(memory, words, says):
    assert says in memory.debug().refused(f"{ITEMS[0]:x}::list {words}")


def test_list_needs_an_address(memory):
    assert "Usage: address::list" in memory.debug().refused("::list item_t next")


# ::array


def test_array(memory):
    debug = memory.debug()

    assert addresses(debug, f"{BASE:x}::array item_t 3") == [BASE, BASE + SIZE, BASE + 2 * SIZE]
    assert addresses(debug, f"{BASE:x}::array struct item 2") == [BASE, BASE + SIZE]
    assert len(addresses(debug, f"{BASE:x}::array char 10")) == 16
    assert debug.printed(f"{BASE:x}::array char 0") == ""
    assert addresses(debug, f"{BASE:x}::array long $[2] v | ::map <v") == [BASE, BASE + 8]


def test_array_of_a_variable(memory):
    memory.variable("table", "long [3]", BASE)
    memory.variable("single", "long", BASE + 64)
    debug = memory.debug()

    assert addresses(debug, "table::array") == [BASE, BASE + 8, BASE + 16]
    assert addresses(debug, "table::array v | ::map <v") == [BASE, BASE + 8, BASE + 16]
    assert "no symbol information for single" in debug.refused("single::array")
    assert "no symbol information for 0x1000" in debug.refused("1000::array")


def test_array_wraps_at_the_end_of_the_address_space(memory):
    assert addresses(memory.debug(), "fffffffffffffff8::array long 2") == [(1 << 64) - 8, 0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("item_t 1 v w", "Usage: address::array"),
        ("struct item", "Usage: address::array"),
        ("nothing 1", "failed to look up type nothing"),
        ("void 4", "void has no size"),
        ("long ffffffff", "are more than any array's"),
    ],
)
def test_array_refusals(memory, words, says):
    assert says in memory.debug().refused(f"{BASE:x}::array {words}")


def test_json(memory):
    found = json.loads(memory.debug(json=True).printed(f"{BASE:x}::array long 2"))

    assert found["rows"] == [{"addr": f"{BASE:#x}"}, {"addr": f"{BASE + 8:#x}"}]


# Walkers


def test_walker_list(memory):
    order = [ITEMS[2], ITEMS[0], ITEMS[4]]

    assert addresses(linked(memory, order).debug(kind="illumos"), f"{LIST:x}::walk list") == order


def test_walker_list_of_nothing(memory):
    assert linked(memory, []).debug(kind="illumos").printed(f"{LIST:x}::walk list") == ""


@pytest.mark.parametrize("values", [{"first": 0}, {"size": 0}, {"offset": SIZE}])
def test_walker_list_without_a_head(memory, values):
    debug = linked(memory, ITEMS, **values).debug(kind="illumos")

    assert debug.refused(f"{LIST:x}::walk list") == f"vmdebug: invalid or uninitialized list_t at {LIST:x}\n"


def test_walker_list_that_loops_or_breaks(memory):
    debug = linked(memory, ITEMS, end=ITEMS[1] + LINK).debug(kind="illumos")
    out, err, _ = debug(f"{LIST:x}::walk list")
    assert len(out.split()) == 5
    assert f"loops at {ITEMS[1] + LINK:x}" in err

    debug = linked(memory, ITEMS, end=0).debug(kind="illumos")
    out, err, _ = debug(f"{LIST:x}::walk list")
    assert len(out.split()) == 5
    assert "without coming back to its head" in err


def test_walker_avl(memory):
    shape = {2: (0, 3), 0: (None, 1), 1: (None, None), 3: (None, 4), 4: (None, None)}

    assert addresses(planted(memory, shape, root=2).debug(kind="illumos"), f"{LIST:x}::walk avl") == ITEMS


def test_walker_avl_of_nothing(memory):
    memory.object("avl_tree_t", LIST, {"avl_offset": TREE})

    assert memory.debug(kind="illumos").printed(f"{LIST:x}::walk avl") == ""


@pytest.mark.parametrize("shape", [{2: (0, 2), 0: (None, None)}, {2: (0, None), 0: (2, None)}, {2: (2, 2)}])
def test_walker_avl_that_loops(memory, shape):
    _, err, status = planted(memory, shape, root=2).debug(kind="illumos")(f"{LIST:x}::walk avl")

    assert f"avl_tree_t at {LIST:x}: loops at {ITEMS[2] + TREE:x}" in err
    assert status == 1


def test_walker_avl_that_cannot_be_read(memory):
    planted(memory, {2: (0, None), 0: (None, None)}, root=2)
    memory.put(ITEMS[0], struct.pack("<Q", 0))
    _, err, _ = memory.debug(kind="illumos")(f"{LIST:x}::walk avl")

    assert f"avl_tree_t at {LIST:x}: failed to read node {ITEMS[0] + TREE:x}: no mapping for address" in err


def test_walkers_need_an_address_and_the_guest_s_kind(memory):
    assert "walker requires starting address" in memory.debug(kind="illumos").refused("::walk list")
    assert "unknown walk name" in memory.debug(kind="other").refused(f"{LIST:x}::walk avl")
