"""The inference of types: small graphs of nodes, pointers and types written in C."""

import numpy as np
import pytest

from tests.typed_memory import TypedMemory
from vmdebug.guests.illumos.buffers import Buffers, Links, Owner, Part
from vmdebug.guests.illumos.shapes import Shapes
from vmdebug.guests.illumos.typegraph import CONJECTURED, FRAGMENT, KNOWN, UNMARKED, Graph, NoNode, WrongSize

TYPES = TypedMemory(
    "typedef struct leaf { long l_a; long l_b; } leaf_t;"
    "typedef struct base { long b_a; struct leaf *b_leaf; } base_t;"
    "typedef struct whole { base_t w_base; long w_c; } whole_t;"
    "typedef struct node {"
    " struct node *n_next; leaf_t *n_leaf; void *n_any; base_t *n_base; whole_t *n_whole; } node_t;"
    "typedef struct mutex { void *_opaque[1]; } kmutex_t;"
    "typedef struct locked { long k_a; kmutex_t k_lock; leaf_t *k_leaves[2]; } locked_t;"
    "typedef union either { leaf_t *e_leaf; base_t *e_base; } either_t;"
    "extern node_t *start; extern locked_t locked; extern either_t either; extern whole_t whole;"
).kernel
NEXT, LEAF, ANY, TO_BASE, TO_WHOLE = range(0, 40, 8)
STEP = 0x1000


def made(sizes, pointers, given):
    """A graph of nodes of these sizes: (node, place, node, place) of each pointer, the types of some nodes."""
    starts = np.array([STEP * (number + 1) for number in range(len(sizes))], np.uint64)
    nodes = Buffers([Part(Owner("nodes", 0), starts, starts + np.array(sizes, np.uint64))])
    rows = sorted((source, STEP * (source + 1) + at, STEP * (target + 1) + to, target)
                  for source, at, target, to in pointers)  # fmt: skip
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    kinds = (np.int64, np.uint64, np.uint64, np.int64)
    links = Links(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))
    graph = Graph(nodes, links, Shapes())
    for number, name in given.items():
        graph.give(np.array([number]), TYPES.find(name))
    graph.run()
    return graph


def told(graph, number):
    found = graph.find(STEP * (number + 1))
    return found.state, [each.spelled for each in found.types]


def test_goes_along_the_pointers_of_what_is_known():
    graph = made([40, 40, 16], [(0, NEXT, 1, 0), (1, LEAF, 2, 0)], {0: "node_t"})

    assert [told(graph, each) for each in range(3)] == [
        (KNOWN, ["struct node"]),
        (KNOWN, ["struct node"]),
        (KNOWN, ["struct leaf"]),
    ]


def test_pointers_to_void_say_nothing():
    assert told(made([40, 16], [(0, ANY, 1, 0)], {0: "node_t"}), 1) == (UNMARKED, [])


def test_a_list_of_any_length_is_followed_and_may_be_a_ring():
    count = 300
    graph = made([40] * count, [(each, NEXT, (each + 1) % count, 0) for each in range(count)], {0: "node_t"})

    assert {told(graph, each)[0] for each in range(count)} == {KNOWN}


def test_what_has_room_for_two_may_be_an_array():
    graph = made([40, 32], [(0, LEAF, 1, 0)], {0: "node_t"})

    assert told(graph, 1) == (CONJECTURED, ["struct leaf"])


def test_what_follows_from_a_conjecture_is_one():
    graph = made([40, 80, 16], [(0, NEXT, 1, 0), (1, 40 + LEAF, 2, 0)], {0: "node_t"})

    assert told(graph, 1) == (CONJECTURED, ["struct node"])
    assert told(graph, 2) == (CONJECTURED, ["struct leaf"])
    assert [(each.known, each.conjectured) for each in graph.passes] == [(1, 0), (1, 1), (1, 2)]


def test_a_node_without_room_for_a_type_is_not_of_it():
    assert told(made([40, 15], [(0, LEAF, 1, 0)], {0: "node_t"}), 1) == (FRAGMENT, [])
    assert told(made([15], [], {0: "leaf_t"}), 0) == (UNMARKED, [])


def test_a_pointer_into_a_node_says_what_lies_there():
    graph = made([40, 64], [(0, LEAF, 1, 0x10)], {0: "node_t"})
    found = graph.find(2 * STEP)

    assert (found.state, found.types) == (FRAGMENT, [])
    assert [(at, each.spelled) for at, each in found.fragments] == [(0x10, "struct leaf")]


def test_pointers_of_several_types_are_a_conflict():
    graph = made([40, 24], [(0, LEAF, 1, 0), (0, TO_WHOLE, 1, 0)], {0: "node_t"})

    assert told(graph, 1) == (CONJECTURED, ["struct leaf", "struct whole"])
    assert graph.passes[-1].conflicts == 1


def test_a_type_that_begins_with_the_other_is_no_conflict():
    graph = made([40, 24], [(0, TO_BASE, 1, 0), (0, TO_WHOLE, 1, 0)], {0: "node_t"})

    assert told(graph, 1) == (KNOWN, ["struct whole"])


def test_finds_pointers_in_members_and_arrays_of_a_type():
    graph = made([32, 16, 16], [(0, 16, 1, 0), (0, 24, 2, 0)], {0: "locked_t"})

    assert [told(graph, each)[1] for each in (1, 2)] == [["struct leaf"]] * 2


def test_a_union_of_pointers_says_nothing():
    assert told(made([8, 16], [(0, 0, 1, 0)], {0: "either_t"}), 1) == (UNMARKED, [])


def test_draws_conclusions_from_what_the_user_says():
    graph = made([40, 16], [(0, LEAF, 1, 0)], {})
    assert told(graph, 1) == (UNMARKED, [])

    graph.istype(STEP + 8, TYPES.find("node_t"))

    assert told(graph, 0) == (KNOWN, ["struct node"])
    assert told(graph, 1) == (KNOWN, ["struct leaf"])


def test_a_type_that_was_taken_away_does_not_come_back():
    graph = made([40, 40, 16], [(0, NEXT, 1, 0), (1, LEAF, 2, 0)], {0: "node_t"})

    graph.notype(2 * STEP)
    graph.istype(STEP, TYPES.find("node_t"))

    assert told(graph, 1) == (UNMARKED, [])
    assert told(graph, 2) == (KNOWN, ["struct leaf"])


def test_refuses_a_type_that_is_too_large_and_an_address_in_no_node():
    graph = made([16], [], {})

    with pytest.raises(WrongSize, match=r"^struct whole has 0x18 bytes, what lies at 1000 has 0x10$"):
        graph.istype(STEP, TYPES.find("struct whole"))
    with pytest.raises(NoNode, match=r"^2000 is in no variable of a known type and in no buffer"):
        graph.find(2 * STEP)
