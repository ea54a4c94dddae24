"""The kernel logs of real Linux guests against what dmesg printed in the guests."""

import re

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report, section
from vmdebug.guests.linux import find
from vmdebug.guests.linux.log import each_message
from vmdebug.targets.target import Target

LINE = re.compile(r"^\[\s*(\d+)\.(\d+)\] (.*)$", re.M)


@pytest.fixture(scope="module", params=REPORTS)
def case(request, real, truth):
    lines = section(report(truth, request.param), "dmesg")
    said = [(int(second) * 10**6 + int(part), line) for second, part, line in LINE.findall(lines)]
    return find(Target(open_image(real(request.param)))), said


def test_every_line_is_the_one_that_dmesg_printed(case):
    linux, said = case

    found = [(m.time // 1000, line) for m in each_message(linux) for line in m.text.split("\n")]

    assert found[: len(said)] == said
    assert len(said) > 200


def test_records_are_numbered_without_gaps(case):
    linux, _ = case
    numbers = [message.sequence for message in each_message(linux)]

    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
