"""Whatever a damaged container says of types: showing, declaring and decoding values ends in an answer or one error."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.cdecl import declare
from fixtures.ctf import Container as Writer
from vmdebug.declarations import declaration
from vmdebug.display import Display, Memory, Style, as_json
from vmdebug.display_layout import Layout
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.types.ctf import CtfModule, CtfTypes
from vmdebug.types.paths import Place, covering
from vmdebug.types.typed import Objects

C = """
typedef unsigned int uint_t;
enum state { IDLE, BUSY = 5 };
enum flags { FA = 1, FB = 2 };
struct node { struct node *next; uint_t flags:3, mode:5; char name[16]; };
typedef struct node node_t;
union both { long l; char c[8]; };
struct shared { node_t head[3]; enum state state; enum flags flags; union { int x; struct { char y; long z; }; }; };
struct floats { float f; double d; long double l; const char *s; int (*call)(node_t *, ...); node_t *grid[2][2]; };
"""
SIZE = 4096


def encoded(version):
    writer = Writer(version=version)
    declare(writer, C)
    return writer.encode(compress=False)


ENCODED = {version: encoded(version) for version in (1, 2, 3)}
EDIT = st.tuples(st.integers(36, 1 << 16), st.binary(min_size=1, max_size=4))


def read(address, size):
    """A page of bytes that mean something; the rest cannot be read."""
    if address >= SIZE or address + size > SIZE:
        raise ReadFailed(address, "no mapping for address")
    return (bytes(range(256)) * 16)[address : address + size]


def show(found, style):
    place = Place(found, 8)
    display = Display(Memory.around(read, 8, found.size), style, hex, read)
    root = display.root(place)
    try:
        display.tree(place, root)
    finally:
        lines = sum(1 for _ in Layout(style, "m").lines(root))
        as_json(root)
    return lines


def members(found, objects):
    value = objects.at(found, 16)
    for name in dir(value):
        if not name.startswith("_") and not name.endswith("_"):
            repr(getattr(value, name, None))


QUESTIONS = [
    lambda found, objects: show(found, Style(elements=4)),
    lambda found, objects: show(found, Style(elements=4, holes=True, types=True, base_types=True, addresses=True)),
    lambda found, objects: show(found, Style(values=False, decimal=True)),
    lambda found, objects: sum(1 for _ in declaration(found)),
    lambda found, objects: members(found, objects),
    lambda found, objects: covering(found, 5),
    lambda found, objects: objects.pointer(found, 8)[1],
    lambda found, objects: list(objects.array(found, 8, 3)),
]


def ask_everything(types):
    objects = Objects(types, read)
    for found in types.each():
        for question in QUESTIONS:
            try:
                question(found, objects)
            except (DebuggerError, AttributeError):
                continue


@pytest.mark.parametrize("version", [1, 2, 3])
def test_sound_types_answer_everything(version):
    types = CtfTypes([CtfModule("genunix", lambda: ENCODED[version])])

    ask_everything(types)

    assert show(types.find("struct shared"), Style(elements=4)) > 20
    assert not types.problems


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(version=st.sampled_from([1, 2, 3]), edits=st.lists(EDIT, min_size=1, max_size=5))
def test_mutants(version, edits):
    data = bytearray(ENCODED[version])
    for place, change in edits:
        place %= len(data)
        data[place : place + len(change)] = change[: len(data) - place]
    start = time.monotonic()

    ask_everything(CtfTypes([CtfModule("genunix", lambda: bytes(data))]))

    assert time.monotonic() - start < 20
