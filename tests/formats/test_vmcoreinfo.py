"""VMCOREINFO is a guest's text: read as far as it makes sense."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats import vmcoreinfo
from formats.image import Note


def test_numbers_and_symbols_have_their_own_bases():
    values = vmcoreinfo.parse(
        b"OSRELEASE=6.1.0\nNUMBER(phys_base)=-4096\nNUMBER(x)=0x10\nSYMBOL(a)=ffff10\nKERNELOFFSET=1f\n"
    )

    assert values["OSRELEASE"] == "6.1.0"
    assert vmcoreinfo.number(values, "phys_base") == -4096
    assert vmcoreinfo.number(values, "x") == 16
    assert vmcoreinfo.symbol(values, "a") == 0xFFFF10
    assert vmcoreinfo.number(values, "missing") is None


def test_the_first_of_two_lines_holds():
    assert vmcoreinfo.parse(b"A=1\nA=2\n") == {"A": "1"}


@pytest.mark.parametrize("line", [b"no equals sign", b"", b"B=" + b"x" * 5000, b"\0C=1", b"\xff\xfe"])
def test_other_lines_are_passed_over(line):
    assert vmcoreinfo.parse(b"A=1\n" + line + b"\n") == {"A": "1"}


@pytest.mark.parametrize("text", ["", "x", "1" * 50, "0x", "--1", "1e5"])
def test_what_is_no_number_is_none(text):
    assert vmcoreinfo.to_int(text) is None


def test_the_text_is_bounded():
    assert vmcoreinfo.parse(b"A=1\n" * (1 << 20) + b"B=2") == {"A": "1"}
    (note,) = vmcoreinfo.named([Note("VMCOREINFO", 0, bytes(1 << 21))])
    assert (note.name, len(note.data)) == ("VMCOREINFO", 1 << 20)


@pytest.mark.parametrize(
    ("text", "bits", "found"),
    [
        (b"SYMBOL(init_top_pgt)=ffffffff81000000\nNUMBER(phys_base)=-16777216\n", 64, (0x0, "4-level")),
        (b"SYMBOL(init_level4_pgt)=ffffffff81000000\nNUMBER(phys_base)=0\n", 64, (0x1000000, "4-level")),
        (b"SYMBOL(swapper_pg_dir)=ffffffff81000000\n", 64, None),
        (b"SYMBOL(init_top_pgt)=1000\nNUMBER(phys_base)=0\n", 64, None),
        (b"SYMBOL(swapper_pg_dir)=c1000000\n", 32, (0x1000000, "2-level")),
        (b"", 32, None),
    ],
)
def test_the_kernels_tables(text, bits, found):
    assert vmcoreinfo.find_root(text, bits) == found


@settings(deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_give_text(data):
    assert all(isinstance(fact.value, str) for fact in vmcoreinfo.each_fact(data))
    vmcoreinfo.find_root(data, 64)
