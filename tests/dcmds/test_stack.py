import itertools
from types import SimpleNamespace

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget, symbol
from tests.typed_memory import TypedMemory
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.stacks import find_arguments
from vmdebug.types.model import Argument, Enum, Function, known
from vmdebug.unwind.frames import INVALID, NO_MAPPING, Frame

CPU = 0xFFFF_FFFF_FBC4_B7F0


@pytest.fixture
def stack(illumos):
    """The lines of the cpu's stack, and the frame pointers beside them."""
    rows = illumos().rows("::cpustack")
    return illumos().truth["cpus"][0]["stack"], [row.fp for row in rows]


def without_arguments(line):
    return line.partition("(")[0] + "()"


def test_shows_the_stack_of_a_cpu(illumos, stack):
    lines, _ = stack

    assert illumos().text("::cpustack") == lines


@pytest.mark.parametrize("command", ["::cpustack -c 0", f"{CPU:x}::cpustack", "0::cpustack"])
def test_finds_the_cpu_by_number_or_structure(illumos, stack, command):
    lines, _ = stack

    assert illumos().text(command) == lines


def test_reads_numbers_in_the_current_radix(illumos):
    debug = illumos(vcpus=2)
    debug.session.run("0t10$d")

    assert debug.errors("::cpustack -c 10") == ["vmdebug: failed to get regs for cpu 10: the image has 2 vcpus"]
    assert debug.text("::cpustack")[1] == "av_dispatch_autovect+0t140(258)"


def test_shows_frame_pointers_in_full(illumos, stack):
    lines, pointers = stack

    assert illumos().text("::cpustack -v") == [f"{fp:016x} {line}" for fp, line in zip(pointers, lines, strict=True)]
    assert pointers == sorted(pointers[:4]) + pointers[4:]


@pytest.mark.parametrize("command", ["$c", "::stack"])
def test_begins_with_the_function_that_ran(illumos, stack, command):
    lines, _ = stack

    assert [without_arguments(line) for line in illumos().text(command)] == [
        "cyclic_fire+0x6e()",
        *map(without_arguments, lines),
    ]


@pytest.mark.parametrize("command", ["$C", "::stackregs"])
def test_begins_with_the_function_that_ran_in_full(illumos, stack, command):
    lines, pointers = stack

    assert illumos().text(command)[1:] == [f"{fp:016x} {line}" for fp, line in zip(pointers, lines, strict=True)]


@pytest.mark.parametrize(
    ("count", "line"),
    [
        ("", "turnstile_wakeup+0x16e(fffffffec33a64d8, 0, 1, 0)"),
        ("3", "turnstile_wakeup+0x16e(fffffffec33a64d8, 0, 1)"),
        ("0", "turnstile_wakeup+0x16e()"),
    ],
)
def test_shows_so_many_arguments(illumos, count, line):
    assert line in illumos().text(f"$c {count}")


@pytest.mark.parametrize(("count", "line"), [("0", "()"), ("1", "(fffffffec33a64d8, 0, 1, 0)")])
def test_shows_all_arguments_or_none_in_full(illumos, count, line):
    for command in (f"$C {count}", f"::cpustack -v {count}"):
        assert any(each.endswith(f"turnstile_wakeup+0x16e{line}") for each in illumos().text(command))


def test_shows_the_size_of_each_frame_in_front(illumos, stack):
    lines, pointers = stack
    sizes = [" " * 7, *(f"[{after - before:>4x}] " for before, after in itertools.pairwise(pointers))]

    assert illumos().text("::cpustack -s -c 0") == [a + b for a, b in zip(sizes, lines, strict=True)]


def test_shows_addresses_instead_of_names(illumos):
    debug = illumos()
    rows = debug.rows("$C")

    assert debug.text("$C -n 0") == [f"{row.fp:016x} 0x{row.pc:x}()" for row in rows]
    assert debug.text("$c -v -n 0") == debug.text("$C -n 0")
    assert debug.rows("$C -n") == rows


def test_shows_the_types_of_what_functions_return_and_take(illumos):
    lines = illumos().text("$c -t")

    assert lines[2] == "uint_t av_dispatch_autovect+0x8c((uint_t)102)"
    assert lines[4] == "switch_sp_and_call+0x13()"
    assert [line for line in lines if "turnstile_wakeup" in line] == [
        "void turnstile_wakeup+0x16e((turnstile_t *)fffffffec33a64d8, (int)0, (int)1, (kthread_t *)NULL)"
    ]


@pytest.mark.parametrize(("value", "shown"), [(1, "(enum how)HOW_FAST"), (9, "(enum how)9")])
def test_shows_the_constant_of_an_argument_that_is_an_enum(value, shown):
    how = Enum("how", 4, lambda: [("HOW_SLOW", 0), ("HOW_FAST", 1)])
    function = Function(known(how), [Argument(known(how))])
    frame = Frame(0x1010, 0x2000, (value,))
    guest = FakeGuest([symbol("go", 0x1000, 0x40, "FUNC")])
    guest.types = SimpleNamespace(function=lambda symbol: function)
    guest.frames = lambda registers, arguments=True: iter([frame])

    assert Debug(FakeTarget({}), guest).printed("$c -t") == f"enum how go+0x10({shown})\n"


def test_begins_with_the_caller_where_only_a_frame_is_known(illumos, stack):
    lines, pointers = stack

    assert illumos().text(f"{pointers[3]:x}$c") == lines[4:]
    assert illumos().text(f"{pointers[3]:x}$C")[0].startswith(f"{pointers[4]:016x} ")


def test_refuses_more_than_one_number(illumos):
    assert any("Usage" in line for line in illumos().errors("$c 1 2"))


def test_says_that_there_is_no_such_cpu(illumos):
    with pytest.raises(DebuggerError, match="failed to get regs for cpu 5"):
        illumos().rows("::cpustack -c 5")


def test_shows_a_stack_up_to_where_it_leaves_memory(illumos, stack, word):
    lines, pointers = stack
    debug = illumos({pointers[2]: word(0xFFFF_FF00_DEAD_0000)})

    assert debug.text("::cpustack") == [*lines[:3], f"ffffff00dead0000 [{NO_MAPPING}]"]


def test_shows_a_stack_up_to_where_it_runs_in_a_circle(illumos, stack, word):
    lines, pointers = stack
    debug = illumos({pointers[2]: word(pointers[1])})

    assert debug.text("::cpustack") == [*lines[:3], f"{pointers[1]:x} [{INVALID}]"]
    assert debug.rows("::cpustack")[-1].reason == INVALID


def test_follows_marked_frames_in_a_hypervisors_panic(illumos, stack, word):
    _, pointers = stack
    changes = {
        illumos().truth.address("xpv_panicking"): b"\1\0\0\0",
        pointers[1]: word(~(pointers[1] + 8)),
        pointers[1] + 8: word(pointers[2]),
        pointers[1] + 16: word(illumos().rows("::cpustack")[3].pc),
    }

    rows = illumos(changes).rows("::cpustack")

    assert [row.fp for row in rows[:3]] == [pointers[0], pointers[1], pointers[1] + 8]


def test_shows_no_arguments_of_a_module_without_type_data(illumos, stack):
    lines, _ = stack

    shown = illumos(damage="bad-ctf=magic").text("::cpustack")

    assert "putnext+0x2f1()" in shown
    assert "dispatch_softint+0x38(9, 0)" in shown
    assert [without_arguments(line) for line in shown] == [without_arguments(line) for line in lines]


class TestPanic:
    """The representative registers of a kernel that panicked."""

    PAIRS = (("rdi", 0x11), ("rbp", 0), ("fsbase", 0x22), ("trapno", 0xE), ("err", 2), ("rip", 0xFFFF_FFFF_FB80_121C))

    def panicbuf(self, version, start):
        pairs = b"".join(name.encode().ljust(16, b"\0") + value.to_bytes(8, "little") for name, value in self.PAIRS)
        head = version.to_bytes(4, "little") + (start + len(pairs)).to_bytes(4, "little")
        return head.ljust(start, b"-") + pairs + b"panic: text\0"

    @pytest.mark.parametrize("start", [8, 48])
    def test_are_those_of_panicbuf(self, illumos, start):
        debug = illumos({illumos().truth.address("panicbuf"): self.panicbuf(2, start)})

        assert debug.guest.registers == {
            "rdi": 0x11,
            "rbp": 0,
            "fs_base": 0x22,
            "entry_vector": 0xE,
            "error_code": 2,
            "rip": 0xFFFF_FFFF_FB80_121C,
        }
        assert debug.text("$c") == ["cbe_fire+0x5c()"]

    def test_are_those_of_the_trap_frame_where_panicbuf_has_none(self, illumos, word):
        saved = 0xFFFF_FF00_0159_3520
        truth = illumos().truth
        changes = {truth.address("panicbuf"): self.panicbuf(1, 8), truth.address("panic_reg"): word(saved)}

        registers = illumos(changes).guest.registers

        record = illumos().guest.objects.at("struct regs", saved)
        assert registers["rip"] == record.r_rip & (1 << 64) - 1
        assert registers["rflags"] == record.r_rfl
        assert "gs_base" in registers

    @pytest.mark.parametrize("damaged", [b"\2\0\0\0\xff\xff\xff\xff", b"\2\0\0\0\0\0\0\0", b"\2\0\0\0\x09\0\0\0"])
    def test_are_the_vcpus_where_panicbuf_is_damaged(self, illumos, damaged):
        debug = illumos({illumos().truth.address("panicbuf"): damaged})

        assert debug.guest.registers == debug.target.registers

    def test_are_the_vcpus_where_the_kernel_did_not_panic(self, illumos):
        debug = illumos()

        assert debug.guest.registers == debug.target.registers

    def test_are_what_the_register_command_shows(self, illumos):
        debug = illumos({illumos().truth.address("panicbuf"): self.panicbuf(2, 48)})

        assert {row.name: row.value for row in debug.rows("::regs")} == debug.guest.registers
        assert debug.rows("::cpuregs")[0].value == debug.target.vcpu(0).registers[debug.rows("::cpuregs")[0].name]


def test_shows_six_arguments_unless_told_otherwise():
    guest = FakeGuest([symbol("many", 0x1000, 64, "FUNC")], registers={"rip": 0x1004})
    guest.frames = lambda registers, arguments: [Frame(0x1004, 0x2000, range(1, 10) if arguments else ())]
    debug = Debug(FakeTarget(), guest)

    assert debug.printed("$c") == "many+4(1, 2, 3, 4, 5, 6)\n"
    assert debug.printed("$c 8") == "many+4(1, 2, 3, 4, 5, 6, 7, 8)\n"
    assert debug.printed("$C") == "0000000000002000 many+4(1, 2, 3, 4, 5, 6, 7, 8, 9)\n"
    assert debug.refused("$c 1 2").splitlines()[0] == "Usage: [address]$c [-nstv] [cnt]"


TYPES = "struct small { long a, b; }; struct large { long a, b, c; };"
SAVED = bytes.fromhex("55 4889e5 48897df8 488975f0 90")
SHIFTED = bytes.fromhex("55 4889e5 488975f8 488955f0 90")


@pytest.mark.parametrize(
    ("returns", "arguments", "code", "found"),
    [
        ("long", ["long", "long"], SAVED, [0xA1, 0xA2]),
        ("long", ["struct small", "long"], SAVED, []),  # passed in pieces
        ("long", ["struct large", "long"], SAVED, [0xA1, 0xA2]),
        ("long", ["long"] * 5 + ["struct small"], SAVED, []),  # only two of six were saved
        ("struct large", ["long", "long"], SHIFTED, [0xA1, 0xA2]),  # rdi holds the place of what is returned
        ("struct large", ["long", "long"], SAVED, []),
        ("struct small", ["long", "long"], SAVED, [0xA1, 0xA2]),
    ],
)
def test_arguments_are_those_that_the_prototype_puts_into_registers(returns, arguments, code, found):
    memory = TypedMemory(TYPES)
    memory.put(0x1000, code)
    memory.put(0x1FE0, b"".join(value.to_bytes(8, "little") for value in (0, 0, 0xA2, 0xA1, 0, 0)))
    find, guest = memory.kernel.find, FakeGuest([symbol("many", 0x1000, 64, "FUNC")])
    prototype = Function(known(find(returns)), [Argument(known(find(each))) for each in arguments])
    guest.types = SimpleNamespace(function=lambda symbol: prototype)
    guest.target = FakeTarget(memory.memory)

    assert list(find_arguments(guest, Frame(0x1000 + len(code), 0x2000))) == found
