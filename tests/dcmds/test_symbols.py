"""Sections 13 and G.3: names of addresses, ::nm, private symbols, $e and $f."""

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget, symbol
from vmdebug.symbols.table import Symbol

HEAD = "Value              Size               Type  Bind  Other Shndx    Name\n"
START = "0xfffffffffb800000|0x0000000000000000|NOTY |LOCL |0x0  |ABS     |_start\n"
CPUS = "0xfffffffffbc4b7f0|0x00000000000014f0|OBJT |GLOB |0x0  |ABS     |cpus\n"
FIRE = "0xfffffffffb8011c0|0x00000000000000b0|FUNC |GLOB |0x0  |ABS     |cbe_fire\n"
OWN = "0xfffffffff7a00000|0x0000000000000100|FUNC |LOCL |0x0  |ABS     |mod_only\n"


@pytest.fixture
def debug():
    main = [
        symbol("_start", 0xFFFFFFFFFB800000, 0, "NOTY", "LOCL", index=1),
        symbol("cpus", 0xFFFFFFFFFBC4B7F0, 0x14F0, index=2),
        symbol("cbe_fire", 0xFFFFFFFFFB8011C0, 0xB0, "FUNC", index=3),
        symbol("cbe.c", 0, 0, "FILE", "LOCL", index=4),
    ]
    own = [symbol("mod_only", 0xFFFFFFFFF7A00000, 0x100, "FUNC", "LOCL", module="mod", index=7)]
    return Debug(FakeTarget({0xFFFFFFFFFBC4B7F0: b"\x01\x02" + bytes(14)}), FakeGuest(main, own))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("::nm", HEAD + START + CPUS + FIRE + "FILE"),
        ("::nm -h -t noty,objt,func", START + CPUS + FIRE),
        ("::nm -hn -t noty,objt,func", START + FIRE + CPUS),
        ("::nm -hv -t noty,objt,func", START + FIRE + CPUS),
        ("::nm -hg", CPUS + FIRE),
        ("::nm -hu", ""),
        ("::nm -ht func", FIRE),
        ("::nm mod", HEAD + OWN),
        ("cpus+10::nm -h", CPUS),
        ("mod`mod_only::nm -h", OWN),
        ("cpus::nm -p", "0xfffffffffbc4b7f0::nmadd -o -s 0x14f0 cpus\n"),
        ("cbe_fire::nm -p", "0xfffffffffb8011c0::nmadd -f -s 0xb0 cbe_fire\n"),
        (
            "cpus::nm -d",
            "Value                Size                 Type  Bind  Other Shndx    Name\n"
            f"{0xFFFFFFFFFBC4B7F0:<20}|{0x14F0:<20}|OBJT |GLOB |0x0  |ABS     |cpus\n",
        ),
        (
            "cpus::nm -o",
            "Value                  Size                   Type  Bind  Other Shndx    Name\n"
            f"{0xFFFFFFFFFBC4B7F0:<22o}|{0x14F0:<22o}|OBJT |GLOB |0x0  |ABS     |cpus\n",
        ),
        ("cpus::nm -x", HEAD + CPUS),
        ("cpus::nm -h -f ndx,obj,name", "    2|unix           |cpus\n"),
        (
            "cpus::nm -f ndx,obj,val,sz,type,bind,oth,shndx,ctfid,ctype,name",
            "Index Object          Value              Size               Type  Bind  Other Shndx    CTF ID   "
            " C Type                                             Name\n"
            "    2|unix           |0xfffffffffbc4b7f0|0x00000000000014f0|OBJT |GLOB |0x0  |ABS     |-        "
            "|<unknown type>                                    |cpus\n",
        ),
        ("::nm -D", ""),
        ("::nm -P", ""),
        ("$f", "0       cbe.c\n"),
        ("::files", "0       cbe.c\n"),
        ("$e", "cpus(fffffffffbc4b7f0): 201\n"),
    ],
)
def test_lists(debug, text, printed):
    out = debug.printed(text)
    if printed.endswith("FILE"):
        assert out.startswith(printed[:-4])
        assert out.endswith("|FILE |LOCL |0x0  |ABS     |cbe.c\n")
    else:
        assert out == printed


def test_the_radix_chooses_the_base(debug):
    debug.printed("0t10$d")

    assert "|5360 " in debug.printed("cpus::nm")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("::nm -d -x", "-d/-o/-x options are mutually exclusive"),
        ("::nm -f nosuch", "invalid format -- nosuch"),
        ("::nm -t nosuch", "invalid type -- nosuch"),
        ("::nm nosuch", "failed to dereference symbol: unknown object file name"),
        ("10::nm", "no symbol corresponds to address"),
    ],
)
def test_refuses(debug, text, told):
    assert debug.refused(text) == f"vmdebug: {told}\n"


# 13: look-ups by name and by address

NAMED = [
    (0xFFFFFFFFFBC4B7F0, "cpus"),
    (0xFFFFFFFFFBC4B7F1, "cpus+1"),
    (0xFFFFFFFFFBC4B7F9, "cpus+9"),
    (0xFFFFFFFFFBC4B7FA, "cpus+0xa"),
    (0xFFFFFFFFFBC4CCDF, "cpus+0x14ef"),
    (0xFFFFFFFFFBC4CCE0, "0xfffffffffbc4cce0"),  # smart mode: within the size
    (0xFFFFFFFFFB801200, "cbe_fire+0x40"),
    (0xFFFFFFFFF7A00010, "mod`mod_only+0x10"),  # found in a module's own table
    (0xFFFFFFFFFB800000, "0xfffffffffb800000"),  # a local symbol of size 0 is never used
    (0, "0"),
    (9, "9"),
    (10, "0xa"),
]


@pytest.mark.parametrize(("address", "name"), NAMED, ids=[name for _, name in NAMED])
def test_names_addresses(debug, address, name):
    assert debug.printed(f"{address:x}=p").split() == [name]


def test_offsets_are_in_the_current_radix(debug):
    debug.printed("0t10$d")

    assert debug.printed("0xfffffffffbc4b810=p").split() == ["cpus+0t32"]


def test_absolute_mode_looks_within_the_distance(debug):
    debug.printed("2000$s")

    assert debug.printed("fffffffffbc4cce0=p").split() == ["cpus+0x14f0"]
    assert debug.printed("fffffffffbc4e000=p").split() == ["0xfffffffffbc4e000"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("cpus", 0xFFFFFFFFFBC4B7F0), ("mod_only", 0xFFFFFFFFF7A00000), ("mod`mod_only", 0xFFFFFFFFF7A00000)],
)
def test_finds_names(debug, name, value):
    assert debug.session.evaluate(name) == value


def test_private_symbols_come_first(debug):
    assert debug.printed("10::nmadd -o -s 8 cpus") == "added cpus, value=10 size=8\n"
    assert debug.printed("20::nmadd -f -e 30 mine") == "added mine, value=20 size=10\n"
    assert debug.printed("40::nmadd plain") == "added plain, value=40 size=0\n"
    assert debug.session.evaluate("cpus") == 0x10
    assert debug.printed("24=p").split() == ["mine+4"]
    assert debug.printed("::nm -P -h -f val,sz,type,name") == (
        "0x0000000000000010|0x0000000000000008|OBJT |cpus\n"
        "0x0000000000000020|0x0000000000000010|FUNC |mine\n"
        "0x0000000000000040|0x0000000000000000|NOTY |plain\n"
    )
    assert debug.printed("::nmdel cpus") == "deleted cpus, value=10 size=8\n"
    assert debug.session.evaluate("cpus") == 0xFFFFFFFFFBC4B7F0
    assert debug.refused("::nmdel cpus") == "vmdebug: symbol 'cpus' not found in private symbol table\n"


@pytest.mark.parametrize("text", ["::nmadd x", "1::nmadd", "1::nmadd -s 1 -e 2 x", "::nmdel", "::nm a b"])
def test_tells_the_usage(debug, text):
    assert "Usage: " in debug.refused(text)


KINDS = [
    (Symbol("und", 0, 0, "NOTY", "GLOB", shndx=0), "NOTY |GLOB |0x0  |UNDEF   |und"),
    (Symbol("com", 8, 4, "COMM", "WEAK", shndx=0xFFF2), "COMM |WEAK |0x0  |COMMON  |com"),
    (Symbol("sec", 0x10, 0, "SECT", "LOCL", shndx=7), "SECT |LOCL |0x0  |7       |sec"),
    (Symbol("tls", 0x20, 8, "TLS", "GLOB", other=2), "TLS  |GLOB |0x2  |ABS     |tls"),
    (Symbol("reg", 0x30, 8, "REGI", "GLOB"), "REGI |GLOB |0x0  |ABS     |reg"),
    (Symbol("odd", 0x40, 8, "?", "GLOB"), "?    |GLOB |0x0  |ABS     |odd"),
]


def test_lists_every_kind_of_symbol():
    debug = Debug(FakeTarget(), FakeGuest([each for each, _ in KINDS]))

    assert [line.split("|", 2)[2] for line in debug.printed("::nm -h").splitlines()] == [text for _, text in KINDS]
    assert debug.printed("::nm -hu -f name") == "und\n"
    assert debug.printed("::nm -ht sect,tls -f name") == "sec\ntls\n"
