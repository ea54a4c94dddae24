"""Tables of interrupts and rings of trap records may hold anything: what shows them ends in rows or one clear line."""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.illumos.apics import ENTRIES_AT, STRIDE
from fixtures.illumos.trace import FIRST_RECORD
from tests.bounded import bounded
from vmdebug.guests import find_guest
from vmdebug.load import load_dcmds
from vmdebug.session import Session

SECONDS = 20  # what takes longer hangs
ASKED = ("::interrupts -d", "::interrupts -i", "::ttrace -x", "0::ttrace", "::walk ttrace")
PLACES = (
    *range(ENTRIES_AT, ENTRIES_AT + 7 * STRIDE, 8),  # of irqs
    *range(ENTRIES_AT + 0x1000, ENTRIES_AT + 0x1C00, 8),  # of a cpu's vectors
    *range(ENTRIES_AT + 0x3000, ENTRIES_AT + 0x3380, 8),
    *range(FIRST_RECORD, FIRST_RECORD + 0x188 * 11, 8),
)
TABLES = {"apic_irq_table": 256, "apic_level_intr": 32, "autovect": 512, "apixs": 64, "trap_trace_ctl": 8, "sysent": 64}
VALUES = (0, 1, 2, 8, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 40, 1 << 63, (1 << 64) - 1, ENTRIES_AT, FIRST_RECORD)

edits = st.lists(
    st.tuples(st.booleans(), st.integers(0, 1 << 30), st.sampled_from(VALUES) | st.integers(0, (1 << 64) - 1)),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("kind", ["pcplusmp", "apix"])
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(edits=edits)
def test_ends_in_rows_or_a_clear_line(demos, kind, edits):
    demo = demos("demo-hvm", interrupts=kind, traptrace="yes")
    named = [
        demo.truth.address(name) + 8 * place
        for name, count in TABLES.items()
        if name in demo.truth["symbols"]
        for place in range(count)
    ]
    places = [place for place in PLACES if kind == "apix" or not ENTRIES_AT + 7 * STRIDE <= place < ENTRIES_AT + 0x4000]
    changes = {}
    for table, place, value in edits:
        where = named if table else places
        changes[where[place % len(where)]] = value.to_bytes(8, "little")
    target = demo.target(changes)
    out, err = io.StringIO(), io.StringIO()
    session = Session(target, find_guest(target), out=out, err=err)
    load_dcmds(warn=session.warn)

    with bounded(SECONDS):
        for command in ASKED:
            session.run(command)

    assert "\x1b" not in out.getvalue() + err.getvalue()
