"""Section C: ::ptmap."""

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget
from vmdebug.errors import DebuggerError, NotMapped

CPUS = 0xFFFF_FFFF_FBC4_B7F0


def test_prints_a_line_a_range(illumos):
    lines = illumos().text("::ptmap")

    assert lines[0] == "mapped user,writable range of 20480 bytes: 0xffffff0001001000-0xffffff0001005fff"
    assert "mapped user,writable range of 8192 bytes: 0xfffffffffbc4b000-0xfffffffffbc4cfff" in lines
    assert "mapped user,writable range of 69632 bytes: autovect-0xfffffffffbc10fff" in lines


def test_says_what_the_kernel_keeps_there(illumos):
    debug = illumos()

    lines = debug.text("::ptmap -w")

    assert lines[::2] == debug.text("::ptmap")
    assert lines[1::2] == [debug.text(f"{row.vaddr:x}::whatis -q")[0] for row in debug.rows("::ptmap")]
    assert debug.text("10=K; ::ptmap -w !true; .=K") == debug.text("10=K; .=K")


def test_ranges_are_what_can_be_translated(illumos):
    debug = illumos()
    rows = debug.rows("::ptmap")

    (holds,) = [row for row in rows if row.vaddr <= CPUS < row.vaddr + row.size]
    for row in (holds, rows[0], rows[-1]):
        debug.target.translate(row.vaddr)
        debug.target.translate(row.vaddr + row.size - 1)
        if row is not rows[-1]:
            with pytest.raises(NotMapped):
                debug.target.translate(row.vaddr + row.size)


def test_an_address_names_the_top_table(illumos):
    debug = illumos()
    root = debug.target.kernel.root

    assert debug.rows(f"{root:x}::ptmap") == debug.rows(f"{root | 0xFFF:x}::ptmap") == debug.rows("::ptmap")


def test_tells_how_many_tables_are_lost(illumos):
    assert illumos().errors("ffffffffff000::ptmap") == [
        "vmdebug: page tables that cannot be read, and what they map is left out: 1; the first: "
        "ffffffffff000: machine frame 0xffffffffff is not one of this domain's"
    ]


def test_without_page_tables_says_so():
    target = FakeTarget()
    target.mode = None

    with pytest.raises(DebuggerError, match="no page tables are known"):
        Debug(target, FakeGuest()).session.rows("::ptmap")
