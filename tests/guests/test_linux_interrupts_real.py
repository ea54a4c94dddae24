"""Interrupts of real Linux guests against /proc/interrupts."""

import re

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report, section
from vmdebug.errors import DebuggerError
from vmdebug.guests import find_guest
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target

LINE = re.compile(r"^ *(\d+): +(\d+) +(\d+) +(\S+) +(?:(\d*)-(\w+) +)?(\S.*)$", re.M)


@pytest.fixture(scope="module", params=REPORTS)
def case(request, real, truth):
    load_dcmds(pytest.fail)
    lines = section(report(truth, request.param), "interrupts")
    target = Target(open_image(real(request.param)))
    return Session(target, find_guest(target)), LINE.findall(lines)


def test_every_interrupt_is_what_its_guest_said(case):
    session, said = case

    found = {row.irq: row for row in session.rows("::interrupts")}

    assert {irq: (row.chip, row.flow, ", ".join(row.names)) for irq, row in found.items()} == {
        int(irq): (chip, flow, names) for irq, _, _, chip, _, flow, names in said
    }
    assert {irq: found[irq].hwirq for irq, *_ in keyed(said) if found[irq].chip.startswith(("IO-APIC", "PCI"))} == {
        irq: int(hwirq) for irq, _, _, hwirq in keyed(said) if found[irq].chip.startswith(("IO-APIC", "PCI"))
    }


def test_no_interrupt_came_less_often_than_the_guest_had_counted(case):
    session, said = case
    found = {row.irq: row.counts for row in session.rows("::interrupts")}

    assert {irq: min(0, found[irq][0] - first, found[irq][1] - second) for irq, first, second, _ in keyed(said)} == {
        int(irq): 0 for irq, *_ in said
    }
    assert sum(list(found[irq]) == [first, second] for irq, first, second, _ in keyed(said)) >= 7


def keyed(said):
    return [(int(irq), int(first), int(second), hwirq) for irq, first, second, _, hwirq, _, _ in said]


def test_what_each_calls_lies_in_a_function(case):
    session, _ = case

    for row in session.rows("::interrupts"):
        assert len(row.isr) == len(row.handlers) == len(row.names)
        assert all(name and "+" not in name for name in row.isr)


def test_a_number_shows_one_and_an_unknown_one_is_refused(case):
    session, _ = case

    assert [row.irq for row in session.rows("0::interrupts")] == [0]
    with pytest.raises(DebuggerError, match="there is no interrupt ffff"):
        session.rows("ffff::interrupts")
