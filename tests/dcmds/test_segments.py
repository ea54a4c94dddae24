"""Sections C, G.4, I and L: ::seg ::mappings ::memseg_list ::memlist ::kmem_cache, the walkers of each."""

import pytest

HEAP, TEXT = 0xFFFF_FFFE_C000_0000, 0xFFFF_FFFF_FB80_0000
PAGES = 0xFFFF_FFFF_AC00_0000
KERNEL = [  # base, size, operations; the lowest first
    (0xFFFF_FF00_0100_0000, 0x100_0000, "segkp_ops"),
    (HEAP, 0x1000_0000, "segkmem_ops"),
    (0xFFFF_FFFF_F780_0000, 0x80_0000, "segkmem_ops"),
    (TEXT, 0x40_0000, "segkmem_ops"),
    (0xFFFF_FFFF_FBC0_0000, 0x13_0000, "segkmem_ops"),
]


def test_walks_the_segments_of_an_address_space(illumos):
    debug = illumos()

    rows = debug.rows("kas::walk seg | ::seg")

    bases = [each[0] for each in KERNEL]
    assert [(row.base, row.size) for row in rows] == [(base, size) for base, size, _ in KERNEL]
    assert bases == [row.base for row in rows]


def test_prints_a_line_a_segment(illumos):
    debug = illumos()

    lines = debug.text("kas::walk seg | ::seg")

    addresses = [row.addr for row in debug.rows("kas::walk seg | ::seg")]
    assert lines[0] == "             SEG             BASE             SIZE             DATA OPS"
    assert lines[1:] == [
        f"{addr:>16x} {base:>16x} {size:>16x} {'0':>16} {ops}"
        for addr, (base, size, ops) in zip(addresses, KERNEL, strict=True)
    ]


def test_walks_the_segments_of_a_process(illumos):
    debug = illumos()
    space = debug.truth["user_memory"][0]["as"]

    assert [(row.base, row.size) for row in debug.rows(f"{space}::walk seg | ::seg")] == [
        (0x0804_7000, 0x1000),
        (0x0805_0000, 0x1000),
    ]


def test_prints_the_kernels_mappings(illumos):
    debug = illumos()
    addresses = [row.addr for row in debug.rows("kas::walk seg | ::seg")]

    lines = debug.text("::mappings")

    assert lines[0] == "            BASE            LIMIT             SIZE NAME"
    assert lines[1:] == [
        f"{base:>16x} {base + size:>16x} {size:>16x} {addr:x}"
        for addr, (base, size, _) in zip(addresses, KERNEL, strict=True)
    ]


def test_a_mapping_has_the_name_of_its_segment(illumos):
    debug = illumos()
    address = debug.rows("kas::walk seg | ::seg")[1].addr
    debug.session.run(f"{address:x}::nmadd kvseg")

    assert [row.name for row in debug.rows("::mappings")][1] == "kvseg"
    assert [row.base for row in debug.rows("::mappings kvseg")] == [HEAP]


def test_finds_the_mapping_of_an_address(illumos):
    assert [row.base for row in illumos().rows(f"{TEXT + 0x1234:x}::mappings")] == [TEXT]
    assert illumos().rows("1234::mappings") == []


def test_lists_physical_memory_that_has_page_structures(illumos):
    debug = illumos()
    size = debug.guest.objects.sizeof("page_t")
    end = 32 << 20 >> 12
    first, second = debug.rows("::walk memseg")

    assert debug.text("::memseg_list") == [
        "            ADDR            PAGES           EPAGES             BASE              END",
        f"{first.address:016x} {PAGES:016x} {PAGES + size * 0x9F:016x} {0:016x} {0x9F:016x}",
        f"{second.address:016x} {PAGES + size * 0x100:016x} {PAGES + size * end:016x} {0x100:016x} {end:016x}",
    ]
    assert [row.addr for row in debug.rows(f"{second.address:x}::memseg_list")] == [second.address]


def test_lists_installed_memory(illumos):
    debug = illumos()
    first, second = (row.addr for row in debug.rows("::memlist"))

    assert debug.text("::memlist") == [
        "            ADDR             BASE             SIZE",
        f"{first:016x} {'0':>16} {'9f000':>16}",
        f"{second:016x} {'100000':>16} {'1f00000':>16}",
    ]
    assert debug.text(f"{second:x}::memlist")[1:] == [f"{second:016x} {'100000':>16} {'1f00000':>16}"]


def test_lists_all_lists_below_their_names(illumos):
    lines = illumos().text("::memlist -iav")

    head = "            ADDR             BASE             SIZE"
    assert [line for line in lines if line.endswith(":")] == ["phys_install:", "phys_avail:", "virt_avail:"]
    assert lines.count(head) == 3
    assert [row.list for row in illumos().rows("::memlist -av")] == ["phys_avail", "phys_avail", "virt_avail"]
    assert illumos().text("::memlist -a")[1].endswith(f" {'1000':>16} {'9e000':>16}")


def test_walks_a_memlist(illumos):
    debug = illumos()

    rows = debug.rows("::memlist")

    assert [row.address for row in debug.rows(f"{rows[0].addr:x}::walk memlist")] == [row.addr for row in rows]


def test_lists_that_lead_into_themselves_end(illumos, word):
    debug = illumos()
    first, second = (row.address for row in debug.rows("::walk memseg"))
    link = debug.guest.objects.offsetof("struct memseg", "next")

    damaged = illumos({second + link: word(second)})

    assert [int(line[:16], 16) for line in damaged.text("::memseg_list")[1:]] == [first, second]
    assert "no end" in damaged.errors("::memseg_list")[0]


def test_lists_caches(illumos):
    debug = illumos()
    addresses = [row.address for row in debug.rows("::walk kmem_cache")]

    assert debug.text("::kmem_cache") == [
        "ADDR             NAME                      FLAG  CFLAG  BUFSIZE  BUFTOTL",
        f"{addresses[0]:x} kmem_magazine_1           0000 010000       16      252",
        f"{addresses[1]:x} kmem_alloc_8              0000 000000        8     1010",
        f"{addresses[2]:x} kmem_alloc_4096           0200 000000     4096       16",
        f"{addresses[3]:x} thread_cache              020f 000000      768       10",
        f"{addresses[4]:x} taskq_cache               0200 000000      288       14",
    ]
    assert [row.name for row in debug.rows("::kmem_cache -n alloc")] == ["kmem_alloc_8", "kmem_alloc_4096"]
    assert [row.name for row in debug.rows(f"{addresses[3]:x}::kmem_cache")] == ["thread_cache"]


def test_lists_arenas_below_those_that_they_take_memory_from(illumos):
    debug = illumos()
    addresses = [row.address for row in debug.rows("::walk vmem")]

    assert debug.text("::vmem") == [
        "ADDR             NAME                        INUSE        TOTAL   SUCCEED  FAIL",
        f"{addresses[0]:x} ctf                             0            0         0     0",
        f"{addresses[1]:x} heap                    403517440   1040187392      4711     0",
        f"{addresses[2]:x}   vmem_metadata            196608       262144        48     0",
        f"{addresses[3]:x}     vmem_seg               192512       192512        47     0",
        f"{addresses[4]:x}   kmem_default             528384       528384       129     2",
        f"{addresses[5]:x}   kmem_oversize             53248        65536         3     0",
        f"{addresses[6]:x} taskq_id_arena                  6   2147483647         6     0",
    ]
    assert debug.text(f"{addresses[3]:x}::vmem")[1].split()[1] == "vmem_seg"


def test_arenas_that_take_memory_from_each_other_come_last(illumos, word):
    debug = illumos()
    heap, metadata = (row.address for row in debug.rows("::walk vmem")[1:3])
    link = debug.guest.objects.offsetof("vmem_t", "vm_source")

    rows = illumos({heap + link: word(metadata)}).rows("::vmem")

    below = ["vmem_metadata", "vmem_seg", "kmem_default", "kmem_oversize"]
    assert [row.name for row in rows] == ["ctf", "taskq_id_arena", "heap", *below]


@pytest.mark.parametrize("command", ["::seg", "::walk seg", "::walk memlist"])
def test_needs_an_address(illumos, command):
    assert illumos().errors(command)
