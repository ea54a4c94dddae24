"""ORC in its four layouts: stacks written by fixtures, unwound to the frames that were put there."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.linux.orc import END, HEADERS, NOTHING, PLAIN, VERSIONS, Rule, Stack, encode
from vmdebug.errors import NotInDump
from vmdebug.unwind.orc import LAYOUTS, PARTIAL, OrcError, OrcTable, find_layout, orc_step
from vmdebug.unwind.walk import State, walk

NAMES = {1: "4.14", 2: "6.3", 3: "6.4", 4: "7.1"}
TEXT, TABLE, TOP, SIZE = 0xFFFF_FFFF_8100_0000, 0xFFFF_FFFF_8200_0004, 0xFFFF_C900_0001_4000, 0x4000
CODE = range(TEXT, TEXT + 0x10000)
RULES = {
    "start": END,
    "plain": PLAIN,
    "deep": Rule("rsp", 72),
    "based": Rule("rbp", 16, "prev-sp", -16),
    "irq": Rule("rsp", 0, kind="regs"),
    "entry": Rule("rsp", 8, kind="partial"),
    "switched": Rule("sp-indirect", 8),
    "drap": Rule("r10", 0),
    "indirect": Rule("bp-indirect", -8),
    "gap": NOTHING,
}
PLACES = {name: TEXT + 0x100 * number for number, name in enumerate(RULES)}


def inside(name):
    return PLACES[name] + 0x20


def table(version, layout=None):
    rules = [(PLACES[name], rule) for name, rule in RULES.items()]
    rules += [(TEXT + 0x2000, NOTHING)] + [(TEXT + 0x2000 + 16 * n, PLAIN) for n in range(40)]  # equals: the last holds
    places, entries = encode(rules, version, TABLE)
    return OrcTable(TABLE, places, entries, layout or find_layout(bytes.fromhex(HEADERS.get(version, "")), entries))


def reader(stack):
    def read(address, size):
        if not stack.start <= address <= stack.top - size:
            raise NotInDump(address, "not on the stack")
        return bytes(stack.data[address - stack.start : address - stack.start + size])

    return read


def unwound(stack, at, version, exact=True, registers=None):
    state = State(at, stack.sp, stack.bp, exact, registers or {})
    orc = table(version)
    read = reader(stack)
    return list(walk(state, lambda at: orc_step(at, lambda pc: orc.find(pc) if pc in CODE else None, read)))


def placed(calls):
    """Where each call goes on, its stack pointer, how it was left: of a stack that is followed to its end."""
    assert [call.reason for call in calls if call.reason] == []
    return [(call.pc, call.sp, call.kind) for call in calls]


def expected(stack, at):
    """The innermost frame, then what the stack was built of."""
    return [(at, stack.sp, "start"), *reversed(stack.frames)]


@pytest.fixture
def stack():
    found = Stack(TOP, SIZE)
    found.sp -= 0x100
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_calls_of_every_kind_lead_to_the_start(stack, version):
    stack.call(inside("start"), 8)
    stack.call_with_base(inside("plain"), 0x60)
    stack.call(inside("based"), 72)
    stack.call_with_base(inside("deep"), 0x30)

    assert placed(unwound(stack, inside("based"), version)) == expected(stack, inside("based"))


@pytest.mark.parametrize("version", VERSIONS)
def test_an_interrupt_leads_into_what_it_interrupted(stack, version):
    stack.call(inside("start"), 72)
    stack.trap(PLACES["deep"])  # the first instruction: a return address would belong to the function before
    stack.call(inside("irq"), 8)

    assert placed(unwound(stack, inside("plain"), version)) == expected(stack, inside("plain"))


@pytest.mark.parametrize("version", VERSIONS)
def test_an_interrupt_of_entry_code_has_five_words_only(stack, version):
    stack.call(inside("start"), 8)
    stack.early_trap(PLACES["plain"])
    stack.call(inside("entry"), 72)

    assert placed(unwound(stack, inside("deep"), version)) == expected(stack, inside("deep"))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_interrupt_stack_leads_back_to_the_task(stack, version):
    stack.call(inside("start"), 8)
    stack.switch(inside("plain"), TOP - 0x2000)
    stack.call(inside("switched"), 72)

    assert placed(unwound(stack, inside("deep"), version)) == expected(stack, inside("deep"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_frame_may_hang_on_a_register_that_a_trap_saved(stack, version):
    stack.call(inside("start"), 8)
    end = stack.sp
    stack.put(end - 8, inside("plain"))
    stack.frames.append((inside("plain"), end, "call"))
    stack.sp -= 0x40
    stack.trap(inside("drap"), {"r10": end})

    assert placed(unwound(stack, inside("irq"), version)) == expected(stack, inside("irq"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_frame_may_hang_on_a_word_below_bp(stack, version):
    stack.call(inside("start"), 8)
    end = stack.sp
    stack.bp = end - 0x40
    stack.put(end - 8, inside("plain"))
    stack.put(stack.bp - 8, end)
    stack.frames.append((inside("plain"), end, "call"))
    stack.sp -= 0x80

    assert placed(unwound(stack, inside("indirect"), version)) == expected(stack, inside("indirect"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_system_call_ends_at_the_program(stack, version):
    stack.trap_from_user(0x401000, 0x7FFF_0000)
    stack.call(inside("irq"), 8)

    assert placed(unwound(stack, inside("plain"), version)) == expected(stack, inside("plain"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_call_through_a_null_pointer_is_seen(stack, version):
    stack.call(inside("start"), 8)
    stack.call(inside("plain"), 8)

    assert placed(unwound(stack, 0, version)) == expected(stack, 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_layout_is_known_without_a_header_too(version):
    rules = [(TEXT + 16 * n, PLAIN if n % 3 else NOTHING) for n in range(300)]
    _, entries = encode([*rules, *((PLACES[name], rule) for name, rule in RULES.items())], version, TABLE)

    assert find_layout(b"", entries).name == NAMES[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_last_of_equal_addresses_holds(version):
    rules = [(TEXT, NOTHING), (TEXT, PLAIN), (TEXT + 0x100, NOTHING)]
    places, entries = encode(rules, version, TABLE)

    found = OrcTable(TABLE, places, entries, LAYOUTS[NAMES[version]]).find(TEXT + 0x10)

    assert found.sp_offset == 8
    assert OrcTable(TABLE, places, entries, LAYOUTS[NAMES[version]]).find(TEXT - 1) is None


def test_tables_of_different_lengths_are_refused():
    places, entries = encode([(TEXT, PLAIN)], 3, TABLE)

    with pytest.raises(OrcError, match="ORC tables differ: 1 addresses, 12 bytes"):
        OrcTable(TABLE, places, entries * 2, LAYOUTS["6.4"])


def test_where_nothing_is_known_the_reason_is_said(stack):
    stack.call(inside("gap"), 8)

    assert unwound(stack, inside("plain"), 3)[-1].reason == f"no unwind data for {inside('gap'):#x}"


def test_a_stack_that_leads_back_to_itself_ends(stack):
    stack.trap(inside("irq"))
    stack.put(stack.sp + 8 * 19, stack.sp)  # rsp of the saved registers

    assert unwound(stack, inside("irq"), 3)[-1].reason == "the stack leads back to itself"


WORDS = st.lists(st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from(sorted(PLACES.values())),
                           st.integers(TOP - SIZE, TOP)), min_size=40, max_size=40)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(words=WORDS, version=st.sampled_from(VERSIONS), name=st.sampled_from(sorted(PLACES)))
def test_any_stack_ends(words, version, name):
    stack = Stack(TOP, SIZE)
    stack.sp = stack.bp = TOP - 8 * len(words)
    stack.put(stack.sp, *words)

    frames = unwound(stack, inside(name), version)

    assert 1 <= len(frames) <= 201


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    data=st.binary(min_size=60, max_size=60),
    places=st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=10, max_size=10),
)
def test_any_table_gives_an_entry_or_none(data, places):
    for layout in LAYOUTS.values():
        orc = OrcTable(TABLE, struct.pack("<10i", *places), data, layout)
        found = [orc.find(pc) for pc in (0, TEXT, (1 << 64) - 1)]
        assert all(entry is None or 0 <= entry.kind <= PARTIAL for entry in found)
