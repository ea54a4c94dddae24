"""Sections C, E.3 and L: ::page ::page_num2pp ::memstat of illumos, the walkers page and allpages."""

import pytest

PAGES = 0xFFFF_FFFF_AC00_0000
TEXT, SWAP, FILE = 0xFFFF_FFFF_ABFE_E000, 0xFFFF_FFFF_ABFE_E100, 0xFFFF_FFFF_ABFE_E200  # vnodes
HEAD = "            PAGE            VNODE           OFFSET   SELOCK LCT COW IO FS ST"
LAST = (32 << 20 >> 12) - 1  # the last frame, the first page of the file
CACHED, CACHELIST, BALLOON = 300, 520, 64


def address_of(debug, pfn):
    return PAGES + debug.guest.objects.sizeof("page_t") * pfn


def member(debug, pfn, name):
    return address_of(debug, pfn) + debug.guest.objects.offsetof("page_t", name)


def uses(debug):
    return {row.use: row.pages for row in debug.rows("::memstat")}


def test_sums_up_what_memory_is_used_for(illumos):
    debug = illumos()
    kernel = len(debug.rows("kvp::walk page"))
    anon, exec_ = (len(debug.rows(f"{vnode:x}::walk page")) for vnode in (SWAP, TEXT))
    free = 8192 - kernel - anon - exec_ - CACHED - CACHELIST - BALLOON

    lines = debug.text("::memstat")

    assert lines[:2] == [
        "Page Summary                Pages                MB  %Tot",
        "------------     ----------------  ----------------  ----",
    ]
    assert lines[2:-2] == [
        f"{name:<17}{pages:>16}  {pages * 4 // 1024:>16}  {(pages * 1000 + 5 * 8192) // 81920:>3}%"
        for name, pages in (
            ("Kernel", kernel),
            ("Anon", anon),
            ("Exec and libs", exec_),
            ("Page cache", CACHED),
            ("Free (cachelist)", CACHELIST),
            ("Free (freelist)", free),
            ("Balloon", BALLOON),
        )
    ]
    assert lines[-2:] == ["", "Total                        8192                32"]
    assert kernel > 900


def test_users_pages_are_programs_and_anonymous(illumos):
    debug = illumos()
    spaces = {entry["as"] for entry in debug.truth["user_memory"]}

    assert (len(debug.rows(f"{SWAP:x}::walk page")), len(debug.rows(f"{TEXT:x}::walk page"))) == (
        uses(debug)["Anon"],
        uses(debug)["Exec and libs"],
    )
    assert uses(debug)["Anon"] >= len(spaces) > 0


def test_shows_all_memory_where_the_kernel_may_not_use_all(illumos, word):
    debug = illumos()
    limited = illumos({debug.truth.address("physmem"): word(4096)})

    assert limited.text("::memstat")[-2:] == [
        "Total                        4096                16",
        "Physical                     8192                32",
    ]
    kernel = uses(debug)["Kernel"]
    assert limited.rows("::memstat")[0].percent == (kernel * 1000 + 5 * 8192) // 40960


def test_pages_that_the_kernel_may_not_use_are_left_out(illumos, word):
    debug = illumos()
    unused = debug.truth.address("unused_pages_vp")

    before, after = uses(debug), uses(illumos({member(debug, LAST, "p_vnode"): word(unused)}))

    assert after == {**before, "Page cache": CACHED - 1, "Free (freelist)": before["Free (freelist)"] + 1}


def test_counts_pages_of_the_boot(illumos):
    debug = illumos()

    damaged = illumos({member(debug, LAST, "p_state"): b"\x08"})

    assert uses(damaged) == {**uses(debug), "Page cache": CACHED - 1, "Boot pages": 1}
    assert [line.split("  ")[0] for line in damaged.text("::memstat")][2:5] == ["Kernel", "Boot pages", "Anon"]


def test_later_kernels_keep_an_array_of_their_vnodes(illumos, word):
    debug = illumos()
    size, kvp = debug.guest.objects.sizeof("vnode_t"), debug.truth.address("kvp")
    changes = {member(debug, LAST - number, "p_vnode"): word(kvp + size * number) for number in (1, 2)}
    later = illumos(changes)
    later.session.run(f"{kvp:x}::nmadd kvps")

    assert uses(later) == {**uses(debug), "ZFS File Data": 1, "VMM Memory": 1, "Page cache": CACHED - 2}


def test_vnodes_that_cannot_be_read_are_told(illumos, word):
    debug = illumos()

    damaged = illumos({member(debug, LAST, "p_vnode"): word(0x1000)})

    assert uses(damaged) == {**uses(debug), "Page cache": CACHED - 1}
    assert damaged.errors("::memstat") == ["vmdebug: 1 pages belong to vnodes that cannot be read; they are not shown"]


def test_page_structures_that_are_missing_are_told(illumos):
    debug = illumos()

    damaged = illumos(gone=[address_of(debug, LAST)])

    assert damaged.errors("::memstat")[0].endswith(
        "bytes of page structures are not in the image; their pages count as free"
    )
    assert uses(damaged)["Page cache"] < CACHED


def test_walks_every_page_structure(illumos):
    debug = illumos()

    rows = [row.address for row in debug.rows("::walk allpages")]

    assert rows == [address_of(debug, pfn) for pfn in (*range(0x9F), *range(0x100, LAST + 1))]


def test_walks_the_pages_that_have_a_name(illumos):
    debug = illumos()

    named = debug.rows("::walk page")

    owners = ("kvp", f"{TEXT:x}", f"{SWAP:x}", f"{FILE:x}")
    each = [row.address for vnode in owners for row in debug.rows(f"{vnode}::walk page")]
    assert sorted(row.address for row in named) == sorted(each)
    assert len(debug.rows(f"{FILE:x}::walk page")) == CACHED + CACHELIST


def test_prints_a_line_a_page(illumos):
    debug = illumos()
    first, freed = address_of(debug, LAST), address_of(debug, LAST - CACHED)

    assert debug.text(f"{first:x}::page") == [
        HEAD,
        f"{first:016x} {FILE:16x} {0:16x} {0:8x}   0   0  0  0  0",
    ]
    lines = debug.text(f"{FILE:x}::walk page | ::page")
    assert len(lines) == 1 + CACHED + CACHELIST
    assert f"{freed:016x} {FILE:16x} {CACHED << 12:16x} {0:8x}   0   0  0  0 80" in lines
    assert len(debug.text("::page")) == 1 + len(debug.rows("::walk page"))


def test_a_page_of_the_kernel_has_the_address_that_it_is_mapped_at(illumos):
    debug = illumos()
    kvp = debug.truth.address("kvp")

    row = next(row for row in debug.rows("kvp::walk page | ::page") if row.offset == kvp & ~0xFFF)

    pfn = debug.target.translate(kvp).pfn
    assert (row.addr, row.vnode, row.lockcnt) == (address_of(debug, pfn), kvp, 1)


def test_finds_the_page_structure_of_a_frame(illumos):
    debug = illumos()
    address = address_of(debug, 0x123)

    assert debug.text("123::page_num2pp") == [f"123 has page_t at {address:#x}"]
    assert [row.addr for row in debug.rows("123::page_num2pp | ::page")] == [address]


@pytest.mark.parametrize("pfn", [0x9F, 0xFF, 32 << 20 >> 12])
def test_refuses_a_frame_that_has_no_page_structure(illumos, pfn):
    assert illumos().errors(f"{pfn:x}::page_num2pp") == [
        f"vmdebug: no page structure for pfn {pfn:x}: it is in none of the kernel's memsegs"
    ]


def test_memsegs_that_claim_more_pages_than_the_image_has_frames_end(illumos, word):
    debug = illumos()
    memseg = debug.rows("::walk memseg")[0].address
    place = {name: memseg + debug.guest.objects.offsetof("struct memseg", name) for name in ("epages", "pages_end")}

    damaged = illumos({place["epages"]: word(1 << 63), place["pages_end"]: word(1 << 62)})

    assert damaged.rows("::walk allpages | ::count")[0].count <= LAST + 1


def test_chains_of_pages_that_lead_into_themselves_end(illumos, word):
    debug = illumos()
    ring = [row.address for row in debug.rows(f"{FILE:x}::walk page")]
    link = debug.guest.objects.offsetof("page_t", "p_vpnext")

    damaged = illumos({ring[5] + link: word(ring[3])})

    assert "no end" in damaged.errors(f"{FILE:x}::walk page")[0]
