"""What kernels after 2007 call or keep otherwise: the same commands read it by their own types."""

import io

import pytest

from tests.fakes import FakeTarget, language
from tests.typed_memory import BASE, TypedMemory
from vmdebug.guests.illumos.kernel import Illumos
from vmdebug.session import Session
from vmdebug.symbols.table import Part, Symbol, SymbolTable

LISTS = """
typedef unsigned long size_t; typedef unsigned int uint_t; typedef unsigned long uint64_t;
typedef struct list_node { struct list_node *list_next; struct list_node *list_prev; } list_node_t;
typedef struct list { size_t list_size; size_t list_offset; struct list_node list_head; } list_t;
"""


@pytest.fixture
def printed():
    """`printed(memory, command)`: the lines of a command on a kernel of those types and variables."""

    def run(memory, command):
        lines, complaints = said(memory, command)
        assert not complaints
        return lines

    return run


@pytest.fixture
def refused():
    """`refused(memory, command)`: what a command that prints nothing complains with."""

    def run(memory, command):
        lines, complaints = said(memory, command)
        assert not lines
        return complaints

    return run


def said(memory, command):
    """What a command prints, and what it complains with."""
    guest, target = Illumos.__new__(Illumos), FakeTarget(memory.memory)
    symbols = [Symbol(each.name, each.value, each.size, "OBJT") for each in memory.variables]
    guest.target = target
    guest.__dict__.update(symbols=SymbolTable(Part("", symbols), []), types=memory.kernel)
    out, err = io.StringIO(), io.StringIO()
    Session(target, guest, out=out, err=err, registry=language()).run(command)
    return out.getvalue().splitlines(), err.getvalue().splitlines()


def test_members_of_memlists_begin_with_ml(printed):
    memory = TypedMemory(
        LISTS
        + "struct memlist { uint64_t ml_address; uint64_t ml_size; struct memlist *ml_next; struct memlist *ml_prev; };"
    )
    memory.object("struct memlist", BASE, {"ml_address": 0x1000, "ml_size": 0x9F000, "ml_next": BASE + 0x100})
    memory.object("struct memlist", BASE + 0x100, {"ml_address": 0x100000, "ml_size": 0x1F00000})
    memory.variable("phys_install", "struct memlist *", BASE + 0x200)
    memory.put(BASE + 0x200, BASE.to_bytes(8, "little"))

    assert printed(memory, "::memlist") == [
        "            ADDR             BASE             SIZE",
        f"{BASE:016x} {'1000':>16} {'9f000':>16}",
        f"{BASE + 0x100:016x} {'100000':>16} {'1f00000':>16}",
    ]


def test_caches_hang_in_a_list(printed):
    memory = TypedMemory(
        LISTS
        + "typedef struct kmem_cache { int cache_flags; uint_t cache_cflags; char cache_name[32]; size_t cache_bufsize;"
        "uint64_t cache_buftotal; list_node_t cache_link; } kmem_cache_t;"
    )
    head, first, second = BASE, BASE + 0x100, BASE + 0x200
    link, node = 0x10, 0x38
    values = {"list_size": 0x48, "list_offset": node}
    ends = {"list_head.list_next": first + node, "list_head.list_prev": second + node}
    memory.variable("kmem_caches", "list_t", head, {**values, **ends})
    for at, name, following, before in (
        (first, "kmem_alloc_8", second + node, head + link),
        (second, "zio_cache", head + link, first + node),
    ):
        links = {"cache_link.list_next": following, "cache_link.list_prev": before}
        memory.object("kmem_cache_t", at, {"cache_name": name, "cache_bufsize": 8, "cache_buftotal": 3, **links})

    assert printed(memory, "::kmem_cache")[1:] == [
        f"{first:x} kmem_alloc_8              0000 000000        8        3",
        f"{second:x} zio_cache                 0000 000000        8        3",
    ]


@pytest.mark.parametrize("groups", [0, 5])
def test_groups_of_credentials_stand_apart(printed, groups):
    memory = TypedMemory(
        "typedef struct credgrp { unsigned crg_ref; int crg_ngroups; } credgrp_t;"
        "typedef struct cred { int cr_uid; int cr_gid; int cr_ruid; int cr_rgid; credgrp_t *cr_grps; } cred_t;"
    )
    memory.object("cred_t", BASE, {"cr_uid": 1, "cr_grps": BASE + 0x100 if groups else 0})
    memory.object("credgrp_t", BASE + 0x100, {"crg_ngroups": groups})

    assert printed(memory, f"{BASE:x}::cred")[1] == f"{BASE:x}        1        0        0        0 {groups:>8}"


def test_callouts_of_kernels_before_2009_are_refused(refused):
    memory = TypedMemory(
        LISTS + "typedef struct callout_table { void *ct_free; void *ct_lbhash[512]; } callout_table_t;"
    )
    memory.object("callout_table_t", BASE)
    memory.variable("callout_table", "callout_table_t *", BASE + 0x2000)
    memory.put(BASE + 0x2000, BASE.to_bytes(8, "little"))

    assert refused(memory, "::callout") == [
        "vmdebug: callout_table_t has no ct_clhash: the kernel keeps its callouts as those before 2009 do, and they "
        "cannot be shown"
    ]
