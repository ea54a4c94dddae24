"""Sections E.1 and L: the walkers kmem, freemem, bufctl and kmem_slab, buffers of caches in ::whatis."""

import pytest

from tests.dcmds.test_later_kernels import LISTS
from tests.typed_memory import BASE, TypedMemory

SLABS = 0xFFFF_FFFE_C800_0000
BIG = [SLABS + 0x3000 + 0x1000 * number for number in range(16)]  # the buffers of kmem_alloc_4096
SMALL = [SLABS + 0x1000 + 0x1000 * slab + 8 * number for slab in range(2) for number in range(505)]


@pytest.fixture
def cache(illumos):
    """`cache(name)`: where the cache of that name lies."""
    return lambda name: next(row.addr for row in illumos().rows("::kmem_cache") if row.name == name)


@pytest.fixture
def changed(illumos, cache, word):
    """`changed(name, member, value)`: the demo with a member of a cache changed."""
    objects = illumos().guest.objects

    def change(name, member, value, size=8):
        return illumos({cache(name) + objects.offsetof("kmem_cache_t", member): word(value)[:size]})

    return change


def walked(debug, start, walk):
    return [row.address for row in debug.rows(f"{start:x}::walk {walk}")]


def test_walks_the_buffers_that_are_given_out(illumos, cache):
    assert walked(illumos(), cache("kmem_alloc_4096"), "kmem") == BIG[1:13]
    assert walked(illumos(), cache("kmem_alloc_8"), "kmem") == SMALL[9:-5]


def test_walks_the_buffers_in_magazines_and_then_those_free_in_slabs(illumos, cache):
    assert walked(illumos(), cache("kmem_alloc_4096"), "freemem") == [BIG[0], *BIG[13:]]
    depot, cpu = [*SMALL[3:6], *SMALL[:3]], SMALL[6:9]
    assert walked(illumos(), cache("kmem_alloc_8"), "freemem") == [*depot, *cpu, *SMALL[-5:]]


def test_a_cache_without_magazines_has_none_that_wait(changed, cache):
    debug = changed("kmem_alloc_4096", "cache_flags", 0x220, 4)

    assert walked(debug, cache("kmem_alloc_4096"), "freemem") == BIG[13:]
    assert walked(debug, cache("kmem_alloc_4096"), "kmem") == BIG[:13]


@pytest.mark.parametrize("name", ["kmem_alloc_4096", "thread_cache", "taskq_cache"])
def test_walks_the_bufctls_of_what_is_given_out(illumos, cache, name):
    debug = illumos()

    bufctls = walked(debug, cache(name), "bufctl")

    buffers = [int(debug.guest.objects.at("kmem_bufctl_t", each).bc_addr) for each in bufctls]
    assert sorted(buffers) == walked(debug, cache(name), "kmem")


def test_a_cache_that_is_not_hashed_has_no_bufctls(illumos, cache):
    assert walked(illumos(), cache("kmem_alloc_8"), "bufctl") == []


@pytest.mark.parametrize("name", ["kmem_alloc_4096", "kmem_alloc_8", "thread_cache"])
def test_a_cache_is_a_walker_by_its_name(illumos, cache, name):
    debug = illumos()

    assert debug.text(f"::walk {name}") == debug.text(f"{cache(name):x}::walk kmem")
    assert [row.value for row in debug.rows(f"::walk {name} | ::map .")] == walked(debug, cache(name), "kmem")
    assert debug.text(f"::which {name}") == [f"{name} is a walker from module illumos"]
    assert name not in [row.name for row in debug.rows("::walkers")]


def test_a_cache_does_not_hide_a_walker(illumos, cache):
    debug = illumos()
    name = cache("thread_cache") + debug.guest.objects.offsetof("kmem_cache_t", "cache_name")

    renamed = illumos({name: b"proc\0"})

    assert [row.name for row in renamed.rows("::kmem_cache")][3] == "proc"
    assert renamed.text("::walk proc") == debug.text("::walk proc")
    assert renamed.text("::which proc") == debug.text("::which proc")


def test_refuses_what_no_cache_is_called_and_a_start(illumos):
    assert illumos().errors("::walk no_cache") == ["vmdebug: failed to perform walk: unknown walk name"]
    assert illumos().errors("123::walk thread_cache") == [
        "vmdebug: failed to perform walk: walker does not accept starting address"
    ]
    assert illumos().errors("::which no_cache") == ["vmdebug: no_cache not found"]


def test_caches_that_a_damaged_list_still_reaches_are_walkers(illumos, changed):
    debug = changed("kmem_alloc_8", "cache_next", 0x1000)

    assert debug.text("::walk kmem_alloc_8") == illumos().text("::walk kmem_alloc_8")
    assert debug.errors("::walk thread_cache") == ["vmdebug: failed to perform walk: unknown walk name"]


def test_walks_slabs(illumos, cache):
    debug = illumos()

    slabs = [
        debug.guest.objects.at("kmem_slab_t", each) for each in walked(debug, cache("kmem_alloc_4096"), "kmem_slab")
    ]

    assert [int(each.slab_base) for each in slabs] == [BIG[0], BIG[8]]
    assert [each.slab_refcnt for each in slabs] == [8, 5]


@pytest.mark.parametrize(
    ("address", "place", "what"),
    [
        (BIG[1] + 0x18, f"{BIG[1]:x}+18, ", "allocated"),
        (BIG[2], "", "allocated"),
        (BIG[0], "", "freed"),
        (BIG[14] + 8, f"{BIG[14]:x}+8, ", "freed"),
    ],
)
def test_says_which_buffer_an_address_is_in(illumos, cache, address, place, what):
    debug = illumos()
    objects, base = debug.guest.objects, address & ~0xFFF
    slab = objects.at("kmem_slab_t", walked(debug, cache("kmem_alloc_4096"), "kmem_slab")[BIG.index(base) // 8])
    size = objects.sizeof("kmem_bufctl_t")
    (bufctl,) = (
        each
        for each in range(int(slab) + 64, int(slab) + 64 + 8 * 64, 64)
        if int(objects.at("kmem_bufctl_t", each).bc_addr) == base
    )

    assert size <= 64
    assert debug.text(f"{address:x}::whatis") == [
        f"{address:x} is {place}bufctl {bufctl:x} {what} from kmem_alloc_4096"
    ]


def test_buffers_of_caches_that_are_not_hashed_have_no_bufctl(illumos):
    debug = illumos()

    assert debug.text(f"{SMALL[20] + 3:x}::whatis") == [
        f"{SMALL[20] + 3:x} is {SMALL[20]:x}+3, allocated from kmem_alloc_8"
    ]
    assert debug.text(f"{SMALL[0]:x}::whatis") == [f"{SMALL[0]:x} is freed from kmem_alloc_8"]


def test_what_lies_between_buffers_is_in_none(illumos, cache):
    first = walked(illumos(), cache("thread_cache"), "kmem")[0]

    (row,) = illumos().rows(f"{first + 0x300:x}::whatis")

    assert row.source == "vmem"


@pytest.mark.parametrize(
    ("member", "value", "size", "walk", "message"),
    [
        ("cache_chunksize", 0, 8, "kmem", "8 buffers of 0 bytes are more than slab"),
        ("cache_chunksize", 0x1001, 8, "kmem", "8 buffers of 4097 bytes are more than slab"),
        ("cache_hash_mask", 0xFFFF_FFFF, 4, "bufctl", "its hash table says that it has 4294967296 buckets"),
        ("cache_cpu[0].cc_rounds", 0x7FFF_FFFF, 4, "freemem", "says that it holds 2147483647 buffers"),
    ],
)
def test_refuses_what_no_cache_can_have(changed, cache, member, value, size, walk, message):
    at = cache("kmem_alloc_4096")

    (line,) = changed("kmem_alloc_4096", member, value, size).errors(f"{at:x}::walk {walk}")

    assert message in line
    assert f"cache {at:x}" in line


def test_a_free_list_that_loops_ends(illumos, cache, word):
    debug = illumos()
    slab = debug.guest.objects.at("kmem_slab_t", walked(debug, cache("kmem_alloc_4096"), "kmem_slab")[1])
    second = int(slab.slab_head.deref().bc_next)

    damaged = illumos({second: word(second)})

    (line,) = damaged.errors(f"{cache('kmem_alloc_4096'):x}::walk freemem")

    assert f"{second:x}: the list comes back here and has no end" in line


def test_slabs_of_later_kernels_are_in_a_list_and_a_tree(printed):
    memory = TypedMemory(
        LISTS + "typedef unsigned long uintptr_t;"
        "typedef struct avl_node { struct avl_node *avl_child[2]; uintptr_t avl_pcb; } avl_node_t;"
        "typedef struct avl_tree { struct avl_node *avl_root; void *avl_compar; size_t avl_offset;"
        " unsigned long avl_numnodes; size_t avl_size; } avl_tree_t;"
        "typedef struct kmem_bufctl { struct kmem_bufctl *bc_next; void *bc_addr; } kmem_bufctl_t;"
        "typedef struct kmem_slab { void *slab_cache; void *slab_base; avl_node_t slab_link; kmem_bufctl_t *slab_head;"
        " long slab_refcnt; long slab_chunks; } kmem_slab_t;"
        "typedef struct kmem_cache { int cache_flags; size_t cache_chunksize; size_t cache_slabsize;"
        " size_t cache_bufctl; void *cache_magtype; list_t cache_complete_slabs; avl_tree_t cache_partial_slabs; }"
        " kmem_cache_t;"
    )
    full, partial, data, node = BASE + 0x100, BASE + 0x200, BASE + 0x1000, 0x10
    head = BASE + 0x28
    members = {"list_size": 0x40, "list_offset": node}
    ends = {"list_head.list_next": full + node, "list_head.list_prev": full + node}
    values = {f"cache_complete_slabs.{name}": value for name, value in {**members, **ends}.items()}
    values |= {"cache_partial_slabs.avl_root": partial + node, "cache_partial_slabs.avl_offset": node}
    memory.object("kmem_cache_t", BASE, {"cache_chunksize": 0x100, "cache_slabsize": 0x200, **values})
    links = {"slab_link.avl_child[0]": head + 0x10, "slab_link.avl_child[1]": head + 0x10}
    memory.object("kmem_slab_t", full, {"slab_base": data, "slab_chunks": 2, **links})
    memory.object("kmem_slab_t", partial, {"slab_base": data + 0x200, "slab_chunks": 2, "slab_head": data + 0x300})
    memory.put(data, bytes(0x400))

    assert printed(memory, f"{BASE:x}::walk kmem_slab") == [f"{full:#x}", f"{partial:#x}"]
    assert printed(memory, f"{BASE:x}::walk kmem") == [f"{data:#x}", f"{data + 0x100:#x}", f"{data + 0x200:#x}"]
    assert printed(memory, f"{BASE:x}::walk freemem") == [f"{data + 0x300:#x}"]
