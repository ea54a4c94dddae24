"""What kernels after 2007 call or keep otherwise: the same commands read it by their own types."""

import pytest

from tests.typed_memory import BASE, TypedMemory

LISTS = """
typedef unsigned long size_t; typedef unsigned int uint_t; typedef unsigned long uint64_t;
typedef struct list_node { struct list_node *list_next; struct list_node *list_prev; } list_node_t;
typedef struct list { size_t list_size; size_t list_offset; struct list_node list_head; } list_t;
"""


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


def test_linker_sets_are_walked(printed):
    memory = TypedMemory("typedef unsigned long uintptr_t;")
    for name, address in (("start_set_a", 0), ("stop_set_a", 24), ("start_set_b", 24), ("stop_set_b", 24)):
        memory.name(f"__{name}", BASE + address)
    memory.put(BASE, b"".join(value.to_bytes(8, "little") for value in (0x1000, 0x3000, 0x2000)))

    assert printed(memory, "::walk linkersets") == [f"{BASE:#x}", f"{BASE + 24:#x}"]
    assert printed(memory, f"{BASE:x}::walk linkerset") == ["0x1000", "0x3000", "0x2000"]
    assert printed(memory, f"{BASE + 24:x}::walk linkerset") == []


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (None, "linker set a: there is no symbol __stop_set_a"),
        (BASE - 8, f"linker set a: it begins at {BASE:x} and ends at {BASE - 8:x}"),
    ],
)
def test_a_linker_set_without_an_end_is_refused(refused, last, reason):
    memory = TypedMemory("typedef unsigned long uintptr_t;")
    memory.name("__start_set_a", BASE)
    if last is not None:
        memory.name("__stop_set_a", last)

    assert refused(memory, f"{BASE:x}::walk linkerset") == [f"vmdebug: {reason}"]


def test_no_linker_set_begins_elsewhere(refused):
    memory = TypedMemory("typedef unsigned long uintptr_t;")
    memory.name("__start_set_a", BASE)

    assert refused(memory, f"{BASE + 8:x}::walk linkerset") == [f"vmdebug: no linker set begins at {BASE + 8:x}"]


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


CYCLICS = (
    LISTS
    + """
typedef long long hrtime_t; typedef int cyc_index_t; typedef unsigned char uchar_t; struct cyc_cpu;
typedef struct cyclic { hrtime_t cy_expire; hrtime_t cy_interval; void (*cy_handler)(void *); void *cy_arg;
unsigned int cy_pend; unsigned short cy_flags; unsigned short cy_level; } cyclic_t;
typedef struct cpu { int cpu_id; struct cpu *cpu_next; struct cyc_cpu *cpu_cyclic; } cpu_t;
typedef struct cyc_pcbuffer { cyc_index_t *cypc_buf; int cypc_prodndx; int cypc_consndx; int cypc_sizemask;
} cyc_pcbuffer_t;
typedef struct cyc_softbuf { uchar_t cys_hard; uchar_t cys_soft; cyc_pcbuffer_t cys_buf[2]; } cyc_softbuf_t;
typedef struct cyc_tracerec { hrtime_t cyt_tstamp; char *cyt_why; uint64_t cyt_arg0; uint64_t cyt_arg1;
} cyc_tracerec_t;
typedef struct cyc_tracebuf { int cyt_ndx; cyc_tracerec_t cyt_buf[4]; } cyc_tracebuf_t;
typedef struct cyc_cpu { cpu_t *cyp_cpu; cyc_index_t *cyp_heap; cyclic_t *cyp_cyclics; int cyp_nelems; int cyp_size;
int cyp_state; cyc_softbuf_t cyp_softbuf[2]; cyc_tracebuf_t cyp_trace[3]; } cyc_cpu_t;
"""
)


@pytest.fixture
def debug_kernel():
    """A kernel as DEBUG ones are: one cpu without cyclics, which notes what it does."""
    memory = TypedMemory(CYCLICS)
    memory.variable("cpu_list", "cpu_t *", BASE)
    memory.put(BASE, (BASE + 0x100).to_bytes(8, "little"))
    memory.object("cpu_t", BASE + 0x100, {"cpu_next": BASE + 0x100, "cpu_cyclic": BASE + 0x200})
    memory.put(BASE + 0x2000, b"fire\0expand\0".ljust(0x200, b"\0"))
    notes = {  # (level, place): time, where, values
        (2, 0): (30, BASE + 0x2000, 7, 8),
        (2, 3): (20, BASE + 0x2000, 5, 6),
        (2, 2): (10, BASE + 0x2005, 0xABC, 0),
        (0, 0): (25, 0x10, 1, 2),
    }
    values = {"cyp_cpu": BASE + 0x100, "cyp_size": 8, "cyp_trace[2].cyt_ndx": 1, "cyp_trace[0].cyt_ndx": 1}
    for (level, place), members in notes.items():
        names = ("cyt_tstamp", "cyt_why", "cyt_arg0", "cyt_arg1")
        record = f"cyp_trace[{level}].cyt_buf[{place}]"
        values |= {f"{record}.{name}": value for name, value in zip(names, members, strict=True)}
    for level, name, value in ((0, "cypc_prodndx", 9), (0, "cypc_consndx", 7), (1, "cypc_sizemask", 15)):
        values[f"cyp_softbuf[{level}].cys_buf[1].{name}"] = value
    memory.object("cyc_cpu_t", BASE + 0x200, values | {"cyp_softbuf[0].cys_hard": 1})
    return memory


def test_a_debug_kernel_noted_its_cyclics(printed, debug_kernel):
    assert printed(debug_kernel, "::cyctrace") == [
        "CPU LEVL           TSTAMP             ARG0             ARG1 WHY",
        "  0 high               1e                7                8 fire",
        "  0  low               19                1                2 ?",
        "  0 high               14                5                6 fire",
        "  0 high                a              abc                0 expand",
    ]


def test_a_note_of_cyclics_is_shown_by_its_address(printed, debug_kernel):
    addresses = printed(debug_kernel, f"{BASE + 0x200:x}::walk cyctrace")

    assert len(addresses) == 4
    assert printed(debug_kernel, "::walk cyctrace") == addresses
    assert printed(debug_kernel, f"{addresses[3]}::cyctrace")[1:] == [
        "  -    -                a              abc                0 expand",
    ]


def test_shows_what_soft_interrupts_are_to_call(printed, debug_kernel):
    assert printed(debug_kernel, "::cycinfo -V")[-6:] == [
        "  LEVL BUF USE       PRODUCED CONSUMED ROOM",
        "   low   0 soft             0        0    1",
        "   low   1 hard             9        7    1",
        "  lock   0 hard,soft        0        0    1",
        "  lock   1 -                0        0   16",
        "",
    ]


MACHINE = """
typedef struct cpu { int cpu_id; struct cpu *cpu_next; struct machcpu { int mcpu_pri; int xc_pend[3]; } cpu_m; } cpu_t;
struct xc_mbox { int (*func)(long, long, long); long arg1; long arg2; long arg3; unsigned long set; int saved_pri; };
"""


def test_cross_calls_of_kernels_before_2009_stand_in_mailboxes(printed):
    memory = TypedMemory(MACHINE)
    memory.variable("cpu_list", "cpu_t *", BASE)
    memory.put(BASE, (BASE + 0x100).to_bytes(8, "little"))
    memory.object("cpu_t", BASE + 0x100, {"cpu_next": BASE + 0x100, "cpu_m.xc_pend[1]": 1})
    memory.name("xc_mboxes", BASE + 0x200, 0x90)
    memory.object("struct xc_mbox", BASE + 0x230, {"func": 0x1234, "arg1": 1, "arg2": -1})

    assert printed(memory, "::xcall") == ["CPU PEND HANDLER", "  0    1 0x1234(1, ffffffffffffffff, 0)"]


def test_a_kernel_without_cross_calls_says_so(refused):
    memory = TypedMemory("typedef struct cpu { int cpu_id; struct cpu *cpu_next; struct { int pri; } cpu_m; } cpu_t;")
    memory.variable("cpu_list", "cpu_t *", BASE)
    memory.put(BASE, (BASE + 0x100).to_bytes(8, "little"))
    memory.object("cpu_t", BASE + 0x100, {"cpu_next": BASE + 0x100})

    assert refused(memory, "::xcall") == [
        "vmdebug: struct machcpu has neither xc_work_cnt nor xc_pend: the kernel's cross calls cannot be shown"
    ]
