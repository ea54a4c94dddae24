import pytest

from formats.errors import PageMissing
from vmdebug.errors import DebuggerError

CPU = 0xFFFF_FFFF_FBC4_B7F0


@pytest.mark.parametrize("recipe", ["demo", "demo-304", "demo-hvm"])
def test_agrees_with_the_generator_on_every_page(illumos, recipe):
    debug = illumos(recipe=recipe)
    tables = debug.guest.page_tables()

    for page in debug.truth["translations"]:
        vaddr = int(page["vaddr"], 16)
        if page["state"] == "foreign":
            continue
        frame = tables.find(vaddr)
        assert (frame.pfn, frame.size) == (page["pfn"], page["size"]), page
        assert frame.gfn == (page["mfn"] if page["mfn"] is not None and debug.truth["pv"] else page["pfn"])
        assert frame.entries[0].pte == int(page["entry"], 16)


def test_shows_every_level_the_lowest_first(illumos):
    debug = illumos()

    (row,) = debug.rows(f"{CPU:x}::vatopfn")

    assert [each.level for each in row.levels] == [0, 1, 2, 3]
    walk = debug.target.translate(CPU).steps
    assert [each.pte for each in row.levels] == [step.entry for step in reversed(walk)]


def test_prints_a_line_a_level(illumos):
    debug = illumos()

    lines = debug.text(f"{CPU:x}::vatopfn")

    assert lines == [line.expandtabs(8) for line in debug.truth["session"]["fffffffffbc4b7f0::vatopfn"]]


def test_passes_the_frame_on(illumos):
    debug = illumos()
    (row,) = debug.rows(f"{CPU:x}::vatopfn")

    assert debug.text(f"{CPU:x}::vatopfn | ::pfntomfn") == [f"{row.mfn:x}"]


def test_tells_no_machine_frames_of_a_translated_guest(illumos):
    debug = illumos(recipe="demo-hvm")

    (row,) = debug.rows(f"{CPU:x}::vatopfn")

    assert row.mfn is None
    assert debug.text(f"{CPU:x}::vatopfn")[-1] == f"Virtual address 0x{CPU:x} maps pfn 0x{row.pfn:x}"


def test_looks_into_the_address_space_of_a_process(illumos):
    debug = illumos()

    for page in debug.truth["user_memory"]:
        (row,) = debug.rows(f"{page['vaddr']}::vatopfn -a {page['as']}")
        assert (row.pfn, row.mfn) == (page["pfn"], page["mfn"])


@pytest.mark.parametrize("vaddr", ["0", "ffffff0001000000", "fffffffffbfff000"])
def test_says_that_an_address_is_not_mapped(illumos, vaddr):
    with pytest.raises(DebuggerError, match=f"^Address {vaddr} is unmapped.$|no htable"):
        illumos().rows(f"{vaddr}::vatopfn")


def test_says_that_a_frame_is_not_the_guests(illumos):
    debug = illumos()
    foreign = next(page for page in debug.truth["translations"] if page["state"] == "foreign")

    with pytest.raises(DebuggerError, match="machine frame"):
        debug.rows(f"{foreign['vaddr']}::vatopfn")


@pytest.mark.parametrize("damage", ["loop-list=htable", "loop-list=hat"])
def test_finds_addresses_in_spite_of_a_list_without_end(illumos, damage):
    debug = illumos(damage=damage)

    (row,) = debug.rows(f"{CPU:x}::vatopfn")

    assert row.pfn == debug.target.translate(CPU).pfn


def test_says_that_the_hash_cannot_be_read(illumos):
    debug = illumos()
    hat = debug.guest.objects.at("struct as", debug.truth.address("kas")).a_hat

    with pytest.raises(DebuggerError, match="no mapping"):
        illumos(gone=[int(hat.hat_ht_hash) & ~0xFFF]).rows(f"{CPU:x}::vatopfn")


class TestFrameMap:
    """Pages by the kernel's own list of frames."""

    @pytest.fixture
    def upstream(self, illumos):
        return illumos(recipe="demo-304", variant="upstream")

    def test_knows_the_pages_of_a_dump_without_them(self, upstream):
        tables = upstream.guest.page_tables()

        for page in upstream.truth["translations"][::20]:
            if page["state"] == "present":
                assert tables.find(int(page["vaddr"], 16)).pfn == page["pfn"]

    def test_reads_a_page_by_its_own_number(self, upstream):
        from vmdebug.guests.illumos.frames import FrameMap

        frames = FrameMap(upstream.guest)
        page = next(page for page in upstream.truth["translations"] if page["bytes"].strip("0"))

        assert frames.read(page["pfn"], 0, len(page["bytes"]) // 2).hex() == page["bytes"]
        with pytest.raises((DebuggerError, PageMissing)):
            frames.read(1 << 40, 0, 8)

    def test_does_without_the_list_where_it_cannot_be_read(self, illumos, word):
        truth = illumos().truth
        debug = illumos({truth.address("mfn_list"): word(0xFFFF_FF00_DEAD_0000)})

        (row,) = debug.rows(f"{CPU:x}::vatopfn")

        assert row.pfn == debug.target.translate(CPU).pfn
