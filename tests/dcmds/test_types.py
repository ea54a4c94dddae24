"""::sizeof ::offsetof ::enum ::typelist ::type: every form of the reference, and what they refuse."""

import json

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget
from tests.typed_memory import TypedMemory
from vmdebug.guests.illumos.modules import MODULE
from vmdebug.types.source import EmptyTypes

C = """
typedef unsigned int uint_t;
struct vnode { int v_flag; void *v_data; };
enum state { ST_IDLE, ST_RUN, ST_STOP = 12, ST_LOST = -1 };
typedef enum state state_t;
typedef enum { FL_NONE = 0, FL_READ = 1, FL_WRITE = 2, FL_EXEC = 4 } flags_t;
typedef struct proc {
    struct vnode p_nodes[3];
    char p_kind;
    uint_t p_a:3, p_b:5;
    int (*p_handler)(struct proc *, int);
    union { int p_int; long p_long; };
    struct { char low; long high; } p_pair;
    const char *p_name;
    char p_tail;
} proc_t;
struct unknown;
"""


@pytest.fixture
def debug():
    return TypedMemory(C).debug()


@pytest.fixture
def as_json():
    session = TypedMemory(C).debug(json=True)
    return lambda text: json.loads(session.printed(text))["rows"]


# ::sizeof


@pytest.mark.parametrize(
    ("type_", "size"),
    [("struct vnode", "0x10"), ("proc_t", "0x68"), ("char", "1"), ("'char [9]'", "9"), ("'char [10]'", "0xa"),
     ("'proc_t *'", "8"), ("void", "0"), ("struct unknown", "0"), ("genunix`uint_t", "4")],
)  # fmt: skip
def test_sizeof(debug, type_, size):
    assert debug.printed(f"::sizeof {type_}") == f"sizeof ({type_.strip(chr(39))}) = {size}\n"


def test_sizeof_in_a_pipe(debug, as_json):
    assert debug.printed("::sizeof proc_t | ::map .") == "68\n"
    assert as_json("::sizeof struct vnode") == [{"size": 16, "type": "struct vnode"}]


@pytest.mark.parametrize("words", ["", "proc_t x", "struct vnode x", "$[5]"])
def test_sizeof_takes_one_type(debug, words):
    assert "Usage: ::sizeof type" in debug.refused(f"::sizeof {words}")


def test_unknown_types(debug):
    says = "vmdebug: failed to look up type nothing: No type information available for that name\n"

    assert debug.refused("::sizeof nothing") == says
    assert debug.refused("::offsetof nothing x") == says
    assert debug.refused("::type nothing") == says


def test_no_types_at_all():
    guest = FakeGuest()
    guest.types = EmptyTypes("the kernel was built without them")
    debug = Debug(FakeTarget(), guest)

    for command in ("::sizeof int", "::typelist", "::type int", "::enum x", "::offsetof a b", "1::print int"):
        assert debug.refused(command) == "vmdebug: no types: the kernel was built without them\n"


# ::offsetof


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("struct vnode v_data", "offsetof (struct vnode, v_data) = 8, sizeof (...->v_data) = 8"),
        ("proc_t p_kind", "offsetof (proc_t, p_kind) = 0x30, sizeof (...->p_kind) = 1"),
        ("proc_t p_b", "offsetof (proc_t, p_b) = 0x31.3, sizeof (...->p_b) = 1"),
        ("proc_t p_long", "offsetof (proc_t, p_long) = 0x40, sizeof (...->p_long) = 8"),
        (
            "proc_t p_nodes[1].v_data",
            "offsetof (proc_t, p_nodes[1].v_data) = 0x18, sizeof (...->p_nodes[1].v_data) = 8",
        ),
        ("proc_t p_nodes", "offsetof (proc_t, p_nodes) = 0, sizeof (...->p_nodes) = 0x30"),
    ],
)
def test_offsetof(debug, words, text):
    assert debug.printed(f"::offsetof {words}") == f"{text}\n"


def test_offsetof_in_a_pipe(debug, as_json):
    assert debug.printed("::offsetof proc_t p_kind | ::map .") == "30\n"
    assert "member p_b of type proc_t is not byte-aligned" in debug.refused("::offsetof proc_t p_b | ::map .")
    assert as_json("::offsetof proc_t p_b") == [
        {"offset": 49, "bit": 3, "size": 1, "member": "p_b", "type": "proc_t"},
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("proc_t x", "failed to find member x of type proc_t: no such member of structure or union"),
        ("struct proc x", "failed to find member x of type struct proc: no such member of structure or union"),
        ("proc_t p_nodes[3]", "failed to find member p_nodes[3] of type proc_t: index 3 is outside"),
        ("proc_t p_name->x", "failed to find member p_name->x of type proc_t: cannot follow a pointer"),
        ("proc_t", "Usage: ::offsetof type member"),
        ("proc_t a b", "Usage: ::offsetof type member"),
    ],
)
def test_offsetof_of_no_member(debug, words, says):
    assert says in debug.refused(f"::offsetof {words}")


# ::enum


HEAD = f"{'VALUE':>11} {'NAME':<64}"
HEX_HEAD = f"{'VALUE':>8} {'NAME':<64}"


@pytest.mark.parametrize("words", ["state", "enum state", "state_t", "genunix`state_t"])
def test_enum(debug, words):
    assert debug.printed(f"::enum {words}").splitlines() == [
        HEAD,
        "          0 ST_IDLE",
        "          1 ST_RUN",
        "         12 ST_STOP",
        "         -1 ST_LOST",
    ]


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("::enum -e state", [HEAD, "          0 IDLE", "          1 RUN", "         12 STOP", "         -1 LOST"]),
        ("::enum -x state ST_STOP", [HEX_HEAD, "       c ST_STOP"]),
        ("::enum -x state ST_LOST", [HEX_HEAD, "ffffffff ST_LOST"]),
        ("::enum -ex state ST_RUN", [HEX_HEAD, "       1 RUN"]),
        ("::enum state ST_RUN", [HEAD, "          1 ST_RUN"]),
        ("::enum state $[0t12]", [HEAD, "         12 ST_STOP"]),
        ("c::enum state", [HEAD, "         12 ST_STOP"]),
        ("-1::enum state", [HEAD, "         -1 ST_LOST"]),
        ("::enum flags_t FL_EXEC", [HEX_HEAD, "       4 FL_EXEC"]),
        ("3::enum flags_t", [HEX_HEAD, "       3 FL_{READ|WRITE}"]),
        ("1::enum flags_t", [HEX_HEAD, "       1 FL_READ"]),
        ("b::enum -e flags_t", [HEX_HEAD, "       b READ|WRITE|0x8"]),
        ("8::enum flags_t", [HEX_HEAD, "       8 0x8"]),
    ],
)
def test_enum_options(debug, command, lines):
    assert debug.printed(command).splitlines() == lines


def test_enum_in_a_pipe(debug, as_json):
    assert debug.printed("::enum state ST_STOP | ::map .") == "c\n"
    assert debug.printed("::enum flags_t | ::map .").split() == ["0", "1", "2", "4"]
    assert as_json("::enum -e state ST_STOP") == [{"value": 12, "name": "ST_STOP"}]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("::enum proc_t", "'proc_t': not an enumeration"),
        ("::enum struct proc", "'struct proc': not an enumeration"),
        ("::enum nothing", "types 'enum nothing', 'nothing': No type information available for that name"),
        ("::enum enum nothing", "'enum nothing': No type information available for that name"),
        ("::enum state NOTHING", "name \"NOTHING\" not in 'enum state'"),
        ("::enum state_t NOTHING", "name \"NOTHING\" not in 'state_t'"),
        ("5::enum state", "value 5 not in 'enum state'"),
        ("1::enum state ST_RUN", "may only specify one of: name, address"),
        ("100000000::enum state", "value '4294967296' out of enumeration range"),
        ("::enum state a b", "Usage: [address]::enum [-ex] enum [name]"),
        ("::enum", "Usage: [address]::enum [-ex] enum [name]"),
        ("::enum enum", "enum is not a valid type"),
    ],
)
def test_enum_refusals(debug, command, says):
    assert says in debug.refused(command)


# ::typelist


def test_typelist(debug, as_json):
    names = debug.printed("::typelist").splitlines()

    assert {"struct proc", "proc_t", "enum state", "state_t", "uint_t", "char"} <= set(names)
    assert len(names) == len(set(names))
    assert {"name": "proc_t"} in as_json("::typelist")
    assert "Usage: ::typelist" in debug.refused("::typelist x")


# ::type


def test_type_of_a_structure(debug):
    assert debug.printed("::type proc_t").splitlines() == [
        "typedef struct proc proc_t;",
        "struct proc { /* 104 bytes */",
        "    struct vnode p_nodes[3];                     /*      0     48 */",
        "    char p_kind;                                 /*     48      1 */",
        "    unsigned int p_a:3;                          /*   49:0 3 bits */",
        "    unsigned int p_b:5;                          /*   49:3 5 bits */",
        "    /* hole of 6 bytes */",
        "    int (*p_handler)(struct proc *, int);        /*     56      8 */",
        "    union {",
        "        int p_int;                               /*     64      4 */",
        "        long p_long;                             /*     64      8 */",
        "    };                                           /*     64      8 */",
        "    struct {",
        "        char low;                                /*     72      1 */",
        "        /* hole of 7 bytes */",
        "        long high;                               /*     80      8 */",
        "    } p_pair;                                    /*     72     16 */",
        "    const char *p_name;                          /*     88      8 */",
        "    char p_tail;                                 /*     96      1 */",
        "    /* hole of 7 bytes */",
        "};",
    ]


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("uint_t", ["typedef unsigned int uint_t;", "unsigned int /* 4 bytes */"]),
        ("char", ["char /* 1 byte */"]),
        ("'char *'", ["char * /* 8 bytes */"]),
        (
            "state_t",
            ["typedef enum state state_t;", "enum state { /* 4 bytes */", "    ST_IDLE = 0,", "    ST_RUN = 1,",
             "    ST_STOP = 12,", "    ST_LOST = -1,", "};"],
        ),
        (
            "flags_t",
            ["typedef enum flags_t;", "enum { /* 4 bytes */", "    FL_NONE = 0,", "    FL_READ = 0x1,",
             "    FL_WRITE = 0x2,", "    FL_EXEC = 0x4,", "};"],
        ),
        ("struct unknown", ["struct unknown;"]),
    ],
)  # fmt: skip
def test_other_types(debug, words, lines):
    assert debug.printed(f"::type {words}").splitlines() == lines
    assert debug.printed(f"::ptype {words}").splitlines() == lines


def test_type_as_json(as_json):
    rows = as_json("::type struct proc")

    assert rows[2] == {
        "offset": 48, "bit": 0, "size": 1, "bits": None, "name": "p_kind", "type": "char", "hole": False,
        "text": "    char p_kind;                                 /*     48      1 */",
    }  # fmt: skip
    assert [(row["offset"], row["size"]) for row in rows if row["hole"]] == [(50, 6), (73, 7), (97, 7)]
    assert [(row["offset"], row["bit"], row["bits"]) for row in rows if row["bits"]] == [(49, 0, 3), (49, 3, 5)]


def test_type_takes_one_type(debug):
    assert "Usage: ::type type" in debug.refused("::type")
    assert "Usage: ::type type" in debug.refused("::type proc_t x")


def test_a_width_in_the_name_of_a_bit_field_s_type_is_not_repeated():
    memory = TypedMemory("struct x { int y; };")
    three = memory.types.integer("unsigned int:3", 3)
    memory.types.struct("b", [("a", three)])
    memory.put(0x1000, b"\5\0\0\0")
    debug = memory.debug()

    assert debug.printed("::type struct b").splitlines()[1] == (
        "    unsigned int a:3;                            /*    0:0 3 bits */"
    )
    assert debug.printed("1000::print -t struct b").splitlines()[1] == "    unsigned int:3 a :3 = 0x5"


def test_a_module_without_types_is_told_from_a_type_that_it_lacks(illumos, word):
    debug = illumos()
    arp = debug.guest.module("arp")
    bare = illumos({arp.mp + MODULE["ctfsize"]: word(0)})

    assert bare.errors("::sizeof arp`proc_t") == [
        "vmdebug: failed to look up type arp`proc_t: no symbolic debug information available for module"
    ]
    assert debug.rows("::sizeof arp`proc_t")[0].size == bare.rows("::sizeof proc_t")[0].size
    assert debug.errors("::sizeof nosuch`proc_t") == [
        "vmdebug: failed to look up type proc_t: module nosuch is not loaded"
    ]
