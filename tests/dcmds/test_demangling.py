"""Section 11.1: $G and $g: names of C++ and Rust in what is shown."""

import gzip
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import Debug, FakeGuest, FakeTarget, symbol
from vmdebug.lang.demangle import readable

PUSH = "_ZNSt6vectorIiSaIiEE9push_backERKi"
RUST = "_RNvNtCs1234_7mycrate3foo3run"
PARTS = """\
0x1\t{}\tstatic/const/volatile member func qualifiers displayed
0x2\t{}\tscope resolution specifiers displayed
0x4\t{}\tfunction arguments displayed
0x8\t{}\tmangled name displayed
"""


def parts(*states):
    return PARTS.format(*states).expandtabs()


@pytest.fixture
def debug():
    main = [symbol(PUSH, 0x1000, 16, "FUNC"), symbol("plain", 0x1010, 16)]
    own = [symbol(RUST, 0x1020, 8, module="mod")]
    return Debug(FakeTarget({0x1000: bytes(64)}), FakeGuest(main, own))


def test_names_are_as_the_linker_has_them_until_told_otherwise(debug):
    assert debug.printed("1004=p") == f"{'':16}{PUSH}+4\n"
    assert debug.printed("$G") == "C++ symbol demangling enabled\n"
    assert debug.printed("1004=p") == f"{'':16}std::vector<int, std::allocator<int>>::push_back+4\n"
    assert debug.printed("1021=p; 1010=p").split() == ["mod`mycrate::foo::run+1", "plain"]
    assert debug.printed("1000/B").splitlines()[0] == "std::vector<int, std::allocator<int>>::push_back:"
    assert debug.printed("$G") == "C++ symbol demangling disabled\n"
    assert debug.printed("1004=p") == f"{'':16}{PUSH}+4\n"


def test_what_is_typed_is_the_linkers_name(debug):
    assert debug.printed(f"$G ! true; {PUSH}+1=K").strip() == "1001"


def test_parts_are_chosen(debug):
    debug.printed("$G")
    assert debug.printed("$g") == parts("off", "on", "off", "off")
    assert debug.printed("5$g") == parts("on", "off", "on", "off")
    assert debug.printed("1000=p").strip() == "push_back(int const&)"
    assert debug.printed("ff$g") == parts("on", "on", "on", "on")
    debug.printed("$G; $G")
    assert debug.printed("$g") == parts("on", "on", "on", "on")


def test_parts_of_what_is_disabled_are_refused(debug):
    assert debug.refused("$g") == "vmdebug: C++ demangling facility is currently disabled\n"
    assert debug.refused("2$g") == "vmdebug: C++ demangling facility is currently disabled\n"


@pytest.mark.parametrize("text", ["$G x", "1$G", "$G ! true; $g x", "::dem", "1::dem x"])
def test_tells_the_usage(debug, text):
    assert "Usage: " in debug.refused(text)


NAMES = [
    # mangled, scope, nothing, all but the mangled name; of the Itanium ABI and of Rust's RFCs 2603 and legacy
    (PUSH, "std::vector<int, std::allocator<int>>::push_back", "push_back",
     "std::vector<int, std::allocator<int>>::push_back(int const&)"),
    ("_ZNK3foo3barEv", "foo::bar", "bar", "foo::bar() const"),
    ("_ZlsRK1AS1_", "operator<<", "operator<<", "operator<<(A const&, A const&)"),
    ("_ZN1AclEi", "A::operator()", "operator()", "A::operator()(int)"),
    ("_ZTV3Foo", "vtable for Foo", "vtable for Foo", "vtable for Foo"),
    ("_ZN3foo3barEv.cold", "foo::bar.cold", "bar.cold", "foo::bar().cold"),
    (RUST, "mycrate::foo::run", "run", "mycrate::foo::run"),
    ("_RINvCskwGfYPst2Cb_3foo3barmE", "foo::bar::<u32>", "bar::<u32>", "foo::bar::<u32>"),
    ("_RNvXs_NtCs1234_7mycrate3fooNtB4_3BarNtCs5_4core5Clone5clone",
     "<mycrate::foo::Bar as core::Clone>::clone", "clone", "<mycrate::foo::Bar as core::Clone>::clone"),
    ("_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE", "core::fmt::Formatter::write_str", "write_str",
     "core::fmt::Formatter::write_str"),
    ("_R", "_R", "_R", "_R"),
    ("_Zebra", "_Zebra", "_Zebra", "_Zebra"),
    ("main", "main", "main", "main"),
    ("java_lang_String", "java_lang_String", "java_lang_String", "java_lang_String"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "scoped", "bare", "full"), NAMES, ids=[name for name, *_ in NAMES])
def test_a_name_in_its_parts(name, scoped, bare, full):
    assert (readable(name), readable(name, 0), readable(name, 7)) == (scoped, bare, full)
    assert readable(name, 10) == (name if scoped == name else f"{scoped}[{name}]")


def test_names_can_be_asked_for(debug):
    assert debug.printed(f"::dem {RUST} plain") == f"{RUST} == mycrate::foo::run\nplain == plain\n"


def test_a_name_that_would_grow_without_end_stays_as_it_is():
    name, last = "INvC1a1b", None
    for _ in range(40):
        at, inner = len(name), "jj" if last is None else f"B{_base62(last)}" * 2
        name, last = f"{name}T{inner}E", at
    began = time.monotonic()

    assert len(readable(f"_R{name}E", 7)) < 1 << 20
    assert readable("_ZN" + "1a" * 4000 + "E") == "_ZN" + "1a" * 4000 + "E"
    assert time.monotonic() - began < 5


def _base62(number):
    digits, number = "", number - 1
    while number >= 0:
        digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 62] + digits
        number = number // 62 - (number < 62)
        if number <= 0:
            break
    return f"{digits}_"


@given(st.sampled_from(["_Z", "_R"]), st.text("NvCIEST019_aBKRtsX", max_size=40), st.integers(0, 15))
def test_any_name_is_answered(prefix, rest, flags):
    assert readable(prefix + rest, flags)


def test_every_rust_name_of_a_real_kernel_is_read(truth):
    lines = gzip.decompress((truth("linux-72") / "kallsyms.txt.gz").read_bytes()).decode().splitlines()
    names = [name for _, _, name, *_ in map(str.split, lines) if name.startswith("_R")]

    read = {name: readable(name) for name in names}

    assert len(names) > 700
    assert [name for name, shown in read.items() if shown == name or "::" not in shown] == []
    assert {"core::fmt::write", "core::panicking::panic_fmt"} <= set(read.values())
