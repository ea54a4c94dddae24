"""DWARF as a compiler writes it, against what the compiled program itself says of its types."""

import functools
import json
import random
import shutil
import struct
import subprocess
import time

import pytest

from vmdebug.errors import DebuggerError
from vmdebug.symbols.file import BadSymbolFile, SymbolFile
from vmdebug.types.dwarf import DwarfTypes
from vmdebug.types.dwarf_search import Sections
from vmdebug.types.model import Aggregate, Forward, Function, Member
from vmdebug.types.paths import offset_of

TYPES = """
#include <stdio.h>
#include <stddef.h>
#include <string.h>
typedef unsigned char u8; typedef unsigned int uint; typedef unsigned long long u64; typedef _Bool boolean;
struct list { struct list *next, *prev; };
struct hidden;
union both { long whole; char bytes[8]; struct { short low; u8 grid[2][3]; }; };
enum small { NONE, ONE, LAST = 200 };
enum negative { BELOW = -5, ABOVE = 5 };
enum wide { FIRST = 1, HUGE = 0x8000000000000001ULL };
enum low { LOWEST = -0x7000000000000000LL, HIGHEST = 7 };
typedef int (*handler_t)(struct list *where, const char *text, ...);
struct node {
    u8 tag; uint flags : 3, mode : 5; long : 0; u64 deep : 40; signed int low : 4; boolean on : 1;
    struct list link; union both any; enum wide size; handler_t call; void (*plain)(void);
    const volatile char *name; char *const *names[3]; int matrix[4][5][6];
    struct { int inside; union { float f; double d; }; }; struct hidden *secret; u8 rest[];
};
struct __attribute__((packed)) tight { char c; int i : 17; int j : 15; long l; };
struct hole { char c; long l; };
struct none { };
struct hidden_by_one { int a, b; };
struct node the_node; int numbers[7]; static struct hole the_hole __attribute__((used));
static struct tight other = {1};
struct { int x, y; } unnamed_point; enum negative sign = BELOW; long double ld; float _Complex fc;
"""
OTHER = """
struct hidden { long key; char text[24]; };
struct hidden the_hidden; static double the_hole = 2.5; double *keep = &the_hole;
int outer(struct hidden *first, int second) { return first->key + second; }
"""
MAIN = """
int outer(struct hidden *first, int second);
static int work(struct list *where, const char *text, ...) { return where != 0 && text != 0; }
static void bits(const char *name, const void *data, int size) {
    const unsigned char *bytes = data; int at = -1, end = -1;
    for (int i = 0; i < 8 * size; i++) if (bytes[i / 8] >> i %% 8 & 1) { if (at < 0) at = i; end = i + 1; }
    printf("  \\"%%s\\": [%%d, %%d],\\n", name, at, end - at);
}
int main(void) {
    struct node n; struct tight t;
    the_hole.c = other.c; the_node.call = work; enum small s = ONE; enum low lw = LOWEST; union both b; struct none e;
    struct hidden_by_one h; u64 q = 0; handler_t f = work;
    (void)s; (void)lw; (void)b; (void)e; (void)h; (void)q; (void)f;
    unnamed_point.x = numbers[0] + (int)sign + (int)ld + (int)__real__ fc;
    printf("{ \\"bits\\": {\\n");
    %(bits)s
    printf("  \\"\\": [0, 0] }, \\"offsets\\": {\\n");
    %(offsets)s
    printf("  \\"\\": 0 }, \\"sizes\\": {\\n");
    %(sizes)s
    printf("  \\"\\": 0 } }\\n");
    return 0;
}
"""
BITS = ["flags", "mode", "deep", "low", "on"]
PACKED_BITS = ["i", "j"]
OFFSETS = [
    *("tag", "link", "link.prev", "any", "any.low", "any.grid[1][2]", "any.bytes[3]", "size", "call", "plain", "name"),
    *("names[2]", "matrix[3][4][5]", "inside", "f", "d", "secret", "rest"),
]
SIZES = [
    *("struct list", "union both", "enum small", "enum negative", "enum wide", "enum low", "handler_t", "struct node"),
    *("struct tight", "struct hole", "struct none", "u8", "u64", "boolean", "char", "long", "unsigned short"),
]
FLAGS = {
    "DWARF 5": ["-gdwarf-5"],
    "DWARF 4": ["-gdwarf-4"],
    "DWARF 3, strictly": ["-gdwarf-3", "-gstrict-dwarf"],
    "DWARF 2, strictly": ["-gdwarf-2", "-gstrict-dwarf"],
    "DWARF 5, units of types": ["-gdwarf-5", "-fdebug-types-section"],
    "DWARF 4, units of types": ["-gdwarf-4", "-fdebug-types-section"],
    "DWARF 5 of 64 bits": ["-gdwarf-5", "-gdwarf64"],
    "DWARF 4 of 64 bits, units of types": ["-gdwarf-4", "-gdwarf64", "-fdebug-types-section"],
    "compressed": ["-gdwarf-5", "-gz=zlib"],
    "compressed in the old way": ["-gdwarf-4", "-gz=zlib-gnu"],
    "optimised": ["-gdwarf-5", "-O2"],
}


def written(quote):
    """A line of C for each question."""
    bits = [f'memset(&n, 0, sizeof n); n.{name} = -1; bits("{name}", &n, sizeof n);' for name in BITS]
    bits += [f'memset(&t, 0, sizeof t); t.{name} = -1; bits("{name}", &t, sizeof t);' for name in PACKED_BITS]
    offsets = [quote.format(name, f"offsetof(struct node, {name})") for name in OFFSETS]
    sizes = [quote.format(name, f"sizeof({name})") for name in SIZES]
    return MAIN % {"bits": "\n".join(bits), "offsets": "\n".join(offsets), "sizes": "\n".join(sizes)}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """`built(*flags)`: a program compiled so."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to compile a program with")
    folder = tmp_path_factory.mktemp("gcc")
    (folder / "main.c").write_text(TYPES + written('printf("  \\"{0}\\": %zu,\\n", (size_t){1});'))
    (folder / "other.c").write_text(OTHER)

    @functools.cache
    def build(*flags):
        program = folder / f"program{len(list(folder.iterdir()))}"
        done = subprocess.run(
            ["gcc", "-w", *flags, "-o", program, folder / "main.c", folder / "other.c"], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"this gcc does not take {' '.join(flags)}: {done.stderr.strip().splitlines()[-1]}")
        return program

    return build


def opened(path, **words):
    return DwarfTypes(path.name, Sections(**SymbolFile(path).dwarf), **words)


@pytest.fixture(params=FLAGS)
def program(request, built):
    path = built(*FLAGS[request.param])
    return opened(path), json.loads(subprocess.run([path], capture_output=True, check=True).stdout), path


def test_every_type_lies_as_the_program_says(program):
    types, said, _ = program
    node, tight = types.find("struct node"), types.find("struct tight")

    bits = {name: span(node, name) for name in BITS} | {name: span(tight, name) for name in PACKED_BITS}
    offsets = {name: offset_of(node, name) for name in OFFSETS}
    sizes = {name: types.find(name).size for name in SIZES}

    assert bits == {name: tuple(place) for name, place in said["bits"].items() if name}
    assert offsets == {name: place for name, place in said["offsets"].items() if name}
    assert sizes == {name: size for name, size in said["sizes"].items() if name}


def span(found, name):
    member: Member = found.find(name)
    return member.start, member.bits


def test_every_member_is_spelled_as_it_was_written(program):
    types, _, _ = program

    spelled = {each.name: each.type.spelled for each in types.find("struct node").members if each.name}

    assert spelled == {
        "tag": "u8", "flags": "uint", "mode": "uint", "deep": "u64", "low": "int", "on": "boolean",
        "link": "struct list", "any": "union both", "size": "enum wide", "call": "handler_t",
        "plain": "void (*)(void)", "name": "volatile const char *", "names": "char *const *[3]",
        "matrix": "int [4][5][6]", "secret": "struct hidden *", "rest": "u8 []",
    }  # fmt: skip
    assert str(types.find("handler_t").resolve()) == "int (*)(struct list *, const char *, ...)"


def test_values_of_enums_are_whole(program):
    types, _, _ = program

    values = {name: types.find(f"enum {name}").by_name for name in ("small", "negative", "wide", "low")}

    assert values == {
        "small": {"NONE": 0, "ONE": 1, "LAST": 200},
        "negative": {"BELOW": -5, "ABOVE": 5},
        "wide": {"FIRST": 1, "HUGE": 0x8000_0000_0000_0001},
        "low": {"LOWEST": -0x7000_0000_0000_0000, "HIGHEST": 7},
    }


def test_what_one_unit_declares_another_defines(program):
    types, _, _ = program
    declared = types.find("struct node").find("secret").type.target

    assert (declared.complete().size, [member.name for member in declared.complete().members]) == (32, ["key", "text"])
    assert types.find("struct hidden").find("text").type.spelled == "char [24]"


def test_variables_have_the_types_at_their_addresses(program):
    types, _, path = program
    part = SymbolFile(path).part
    names = ("the_node", "numbers", "unnamed_point", "sign", "the_hidden", "keep", "ld", "fc")

    found = {name: types.type_of_symbol(part.find(name)).spelled for name in names}
    same_name = {types.type_of_symbol(each).spelled for each in part.all if each.name == "the_hole"}

    assert found == {
        "the_node": "struct node", "numbers": "int [7]", "unnamed_point": "struct", "sign": "enum negative",
        "the_hidden": "struct hidden", "keep": "double *", "ld": "long double", "fc": "complex float",
    }  # fmt: skip
    assert same_name == {"struct hole", "double"}


def test_functions_have_their_arguments(program):
    types, _, path = program

    found = types.function(SymbolFile(path).part.find("outer"))

    assert isinstance(found, Function)
    assert [(each.name, each.type.spelled) for each in found.arguments] == [
        ("first", "struct hidden *"),
        ("second", "int"),
    ]
    assert found.returns.spelled == "int"


def test_each_type_is_listed_once(program):
    types, _, _ = program

    listed = [
        name for name in types.each_name() if name.split()[-1] in ("list", "hidden", "node", "u8", "both", "wide")
    ]

    assert sorted(listed) == ["enum wide", "struct hidden", "struct list", "struct node", "u8", "union both"]


def test_one_type_is_one_object_however_it_is_reached(program):
    types, _, _ = program
    node = types.find("struct node")

    assert node.find("link").type is types.find("struct list")
    assert types.find("struct list").find("next").type.target is types.find("struct list")


def test_a_name_that_is_only_the_end_of_another_is_none(program):
    types, _, _ = program

    assert [name for name in ("struct by_one", "struct ode", "idden", "struct nod") if types.knows(name)] == []


def test_a_file_without_types_says_so(built, tmp_path):
    path = tmp_path / "stripped"
    subprocess.run(["strip", "-g", "-o", path, built("-gdwarf-5")], check=True)

    file = SymbolFile(path)

    assert (dict(file.dwarf), file.lacks) == ({}, "it has neither .BTF nor DWARF")


def test_a_file_whose_types_were_moved_elsewhere_names_the_other(built, tmp_path):
    whole, path, debug = built("-gdwarf-5"), tmp_path / "stripped", tmp_path / "whole.debug"
    subprocess.run(["objcopy", "--only-keep-debug", whole, debug], check=True)
    subprocess.run(["strip", "-g", "-o", path, whole], check=True)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", path], check=True)

    assert SymbolFile(path).lacks == "it has neither .BTF nor DWARF, which is in the file whole.debug"
    assert opened(debug).find("struct node").size == opened(whole).find("struct node").size
    assert SymbolFile(debug).build_id == SymbolFile(whole).build_id != b""


def test_types_in_files_beside_it_are_asked_for(built):
    types = opened(built("-gdwarf-5", "-gsplit-dwarf"))

    with pytest.raises(DebuggerError, match=r"struct node: .*the types of program\d+ lie in \.dwo files"):
        types.find("struct node")


def test_an_object_file_is_refused(built, tmp_path):
    (tmp_path / "one.c").write_text(OTHER)
    subprocess.run(["gcc", "-g", "-c", "-o", tmp_path / "one.o", tmp_path / "one.c"], check=True)
    file = SymbolFile(tmp_path / "one.o")

    assert (dict(file.dwarf), file.lacks) == ({}, "it is an object file, which is not linked")


def test_a_compressed_section_that_is_damaged_is_named(built, tmp_path):
    data = bytearray(built("-gdwarf-5", "-gz=zlib").read_bytes())
    at = data.index(b"\x78\x9c", 0x1000)
    data[at + 40 : at + 60] = bytes(20)
    (tmp_path / "damaged").write_bytes(data)

    with pytest.raises(BadSymbolFile, match=r"section \.debug_\w+ (cannot be unpacked|unpacks to)"):
        print(dict(SymbolFile(tmp_path / "damaged").dwarf))


def test_a_declaration_without_a_definition_stays_one(built, tmp_path):
    (tmp_path / "one.c").write_text("struct gone; struct gone *where; int main(void) { return where != 0; }")
    subprocess.run(["gcc", "-g", "-o", tmp_path / "one", tmp_path / "one.c"], check=True)

    found = opened(tmp_path / "one").find("struct gone")

    assert isinstance(found, Forward)
    assert (found.spelled, found.complete() is found) == ("struct gone", True)


@pytest.mark.parametrize("seed", range(30))
def test_damaged_data_ends_in_types_or_one_error(built, seed):
    chance, sections = random.Random(seed), dict(SymbolFile(built("-gdwarf-5")).dwarf)
    for name in ("info", "abbrev", "str"):
        data = bytearray(sections[name])
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        sections[name] = data
    types, start = DwarfTypes("file", Sections(**sections)), time.monotonic()

    for name in SIZES:
        try:
            found = types.find(name).complete()
            if isinstance(found, Aggregate):
                [member.type.complete().size for member in found.members]
        except DebuggerError as err:
            assert "\n" not in str(err)

    assert time.monotonic() - start < 5


def test_types_of_32_bits_lie_as_the_compiler_put_them(built, tmp_path):
    """The numbers stand in the program's data: nothing of it is run."""
    kinds, offsets = SIZES[:-1], [name for name in OFFSETS if "[" not in name]
    numbers = [f"sizeof({name})" for name in kinds] + [f"__builtin_offsetof(struct node, {name})" for name in offsets]
    source = TYPES.split("#include <string.h>")[1] + f"unsigned said[] = {{{', '.join(numbers)}}};"
    (tmp_path / "narrow.c").write_text(source)
    words = ["gcc", "-w", "-m32", "-g", "-fno-eliminate-unused-debug-types", "-nostdlib", "-static", "-Wl,-e0"]
    words += ["-Wl,--section-start=.data=0x8100000", "-o", tmp_path / "narrow", tmp_path / "narrow.c"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this gcc makes no programs of 32 bits: {done.stderr.strip().splitlines()[-1]}")
    file, types = SymbolFile(tmp_path / "narrow"), opened(tmp_path / "narrow", pointer=4)
    symbol = file.part.find("said")
    data = bytes(file._elf.section(".data"))[symbol.value - 0x8100000 :]

    found = [types.find(name).size for name in kinds]
    found += [offset_of(types.find("struct node"), name) for name in offsets]

    assert found == list(struct.unpack_from(f"<{len(numbers)}I", data))
    assert (types.find("char *").size, types.type_of_symbol(symbol).spelled) == (4, f"unsigned int [{len(numbers)}]")
