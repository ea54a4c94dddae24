"""::printf: every conversion, flag and refusal of the reference."""

import json
import struct

import pytest

from tests.typed_memory import BASE, TypedMemory

C = """
typedef unsigned int ipaddr_t;
typedef long time_t;
typedef struct in6_addr { unsigned char bytes[16]; } in6_addr_t;
enum state { ST_IDLE, ST_RUN };
struct pid { int pid_id; };
typedef struct thing {
    short s; unsigned short u; long big; void *p; char *name; char text[8]; int nine[2];
    enum state state; enum state bad; ipaddr_t addr; in6_addr_t six; time_t when;
    unsigned low:3; int neg:4; double d; struct pid *pid; unsigned char bytes[4];
} thing_t;
"""


@pytest.fixture
def memory():
    made = TypedMemory(C)
    values = {"s": -2, "u": 0xFFFE, "big": 1536, "p": BASE + 0x1000, "name": BASE + 0x2000, "text": b"abc", "state": 1,
              "bad": 7, "addr": 0x0100A8C0, "six": bytes(15) + b"\1", "when": 1178020800, "low": 5, "neg": 0xF,
              "pid": BASE + 0x3000, "bytes": b"wxyz", "nine[1]": 9}  # fmt: skip
    made.object("thing_t", BASE, values)
    made.variable("root", "struct pid", BASE + 0x1000, {"pid_id": 5})
    made.put(BASE + 0x2000, b"a name\0".ljust(4096, b"\0"))
    made.put(BASE + 0x3000, struct.pack("<i", 123))
    return made


@pytest.fixture
def debug(memory, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    __import__("time").tzset()
    return memory.debug()


def printed(debug, words):
    return debug.printed(f"{BASE:x}::printf {words}")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("%a thing_t p", "root"),
        ("%A thing_t p", "root"),
        ("'%A|' thing_t name", "|"),
        ("%a thing_t name", f"{BASE + 0x2000:#x}"),
        ("%p thing_t p", f"{BASE + 0x1000:x}"),
        ("%d thing_t s", "-2"),
        ("%d thing_t u", "65534"),
        ("%q thing_t s", "-2"),
        ("%q thing_t big", "3000"),
        ("%R thing_t s", "-2"),
        ("%R thing_t big", "600"),
        ("%u thing_t s", "65534"),
        ("%o thing_t s", "177776"),
        ("%r thing_t big", "600"),
        ("%x thing_t s", "fffe"),
        ("%X thing_t s", "FFFE"),
        ("%H thing_t big", "1.50K"),
        ("%s thing_t name", "a name"),
        ("%s thing_t text", "abc"),
        ("%s thing_t bytes", "wxyz"),
        ("%s thing_t state", "ST_RUN"),
        ("%s thing_t bad", "<7>"),
        ("%I thing_t addr", "192.168.0.1"),
        ("%N thing_t six", "::1"),
        ("%Y thing_t when", "2007 May  1 12:00:00"),
        ("%d thing_t low", "5"),
        ("%d thing_t neg", "-1"),
        ("%x thing_t neg", "f"),
        ("%d thing_t pid->pid_id", "123"),
        ("%d thing_t nine[1]", "9"),
        ("%d thing_t state", "1"),
        ("'100%% %d' thing_t nine[1]", "100% 9"),
        ("%p thing_t .", f"{BASE:x}"),
        ("%x thing_t .", f"{BASE:x}"),
        ("%d thing_t .", f"{BASE - (1 << 64)}"),
        ("%d 'struct thing' s", "-2"),
        ("%d struct thing s", "-2"),
    ],
)
def test_conversions(debug, words, text):
    assert printed(debug, words) == f"{text}\n"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%5d|", "    9|"),
        ("%-5d|", "9    |"),
        ("%05d|", "00009|"),
        ("%-05d|", "9    |"),
        ("%?d|", f"{9:>16}|"),
        ("%-?d|", f"{9:<16}|"),
        ("%0?d|", f"{9:016}|"),
    ],
)
def test_fields(debug, form, text):
    assert printed(debug, f"'{form}' thing_t nine[1]") == f"{text}\n"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0"), (1023, "1023"), (1024, "1K"), (1536, "1.50K"), (10240 + 512, "10.5K"), (1 << 20, "1M"),
     (123456789, "118M"),
     (3 << 40, "3T"), ((1 << 63) - 1, "8.00E")],
)  # fmt: skip
def test_sizes_for_people(memory, size, text):
    memory.put(BASE, struct.pack("<q", size))

    assert printed(memory.debug(), "%H 'long [1]' [0]") == f"{text}\n"


def test_newlines_are_the_format_s_own(debug):
    assert printed(debug, '"%d\\n%d\\n" thing_t nine[0] nine[1]') == "0\n9\n"
    assert debug.printed(f"{BASE:x},3::printf '%d,' thing_t nine[1]") == "9,9,9,\n"


def test_in_a_pipe_each_line_is_an_address(debug):
    assert debug.printed(f'{BASE:x}::printf "%p\\n%p\\n" thing_t p . | ::map .').split() == [
        f"{BASE + 0x1000:x}",
        f"{BASE:x}",
    ]


def test_json(memory):
    found = json.loads(memory.debug(json=True).printed(f"{BASE:x}::printf '%d %s' thing_t s name"))

    assert found["rows"] == [{"text": "-2 a name", "values": [-2, "a name"]}]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "expected a format string"),
        ("$[1]", "expected a format string"),
        ("%d", "Usage: address::printf"),
        ("%d nothing x", "failed to look up type nothing: No type information available for that name"),
        ("%d thing_t", "at least one member must be specified"),
        ("%d thing_t s u", "missing format specifiers (found 1, expected 2)"),
        ("'%d %d' thing_t s", "extra format specifiers (found 2, expected 1)"),
        ("%z thing_t s", "illegal format string at or near 'z' (position 2)"),
        ("'a %-5z' thing_t s", "illegal format string at or near 'z' (position 6)"),
        ("%d thing_t p", "expected integer type"),
        ("%d thing_t text", "expected integer type"),
        ("%p thing_t s", "expected pointer type"),
        ("%I thing_t s", "expected 32-bit integer type"),
        ("%N thing_t text", "requires argument of type in6_addr_t"),
        ("%s thing_t s", "expected pointer or array type"),
        ("%s thing_t .", "expected integer or pointer format specifier for '.'"),
        ("%d thing_t $[1]", "expected only type member arguments"),
        ("%d thing_t nothing", "failed to find member nothing of thing_t: no such member of structure or union"),
        ("%d thing_t name->x", "char is not a struct or union type"),
    ],
)
def test_refusals(debug, words, says):
    assert says in debug.refused(f"{BASE:x}::printf {words}")


def test_an_address_is_required(debug):
    assert "Usage: address::printf" in debug.refused("::printf %d thing_t s")


def test_a_string_of_other_elements_is_told(debug):
    _, err, status = debug(f"{BASE:x}::printf %s thing_t nine")

    assert err == "vmdebug: string format specifier requires an array of characters\n"
    assert status == 0


def test_what_cannot_be_read(debug):
    found = debug.refused("1000::printf %d thing_t s").splitlines()

    assert found[0].startswith("vmdebug: failed to read 2 bytes at 1000: no mapping for address")
    assert found[1] == "vmdebug: failed to print member 's'"


def test_widths_have_a_bound(debug):
    assert len(printed(debug, "%999999999d thing_t s")) == 1025
