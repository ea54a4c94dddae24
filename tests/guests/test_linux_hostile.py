"""Any bytes in a Linux guest's memory end in an answer or one clear error: mutants of made-up guests."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.linux import scene
from fixtures.linux.scene import Plan
from formats.errors import ImageError
from formats.opener import open_source
from formats.source import BufferSource
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux import find
from vmdebug.guests.linux.log import each_message
from vmdebug.guests.linux.tasks import each_task
from vmdebug.targets.target import Target

PLANS = {
    "frame pointers": Plan(memory=8 << 20, unwinder="frame pointers"),
    "ring": Plan(memory=8 << 20),
    "buffer": Plan(memory=8 << 20, kallsyms="4.20", orc=1, ring=False, pti=True),
}
MAX_TASKS = 100
VALUES = st.sampled_from([0, 1, 0xFF, 0xFFFF_FFFF, 1 << 63, (1 << 64) - 1, 0x40]) | st.integers(0, (1 << 64) - 1)
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), VALUES), min_size=1, max_size=12)


def made(name, kept={}):  # noqa: B006
    """A guest's dump, and where in it memory is used."""
    if name not in kept:
        data = scene.build(PLANS[name]).guest.to_bytes("elf-core")
        kept[name] = data, [at for at in range(0, len(data) - 8, 8) if any(data[at : at + 8])]
    return kept[name]


@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(edits=EDITS)
def test_every_mutant_ends_in_answers_or_refusals(name, edits):
    original, used = made(name)
    data = bytearray(original)
    for place, value in edits:
        at = used[int(place * len(used))]
        data[at : at + 8] = value.to_bytes(8, "little")

    try:
        linux = find(Target(open_source(BufferSource("mutant", bytes(data)))))
    except (DebuggerError, ImageError):
        return
    for ask in (asked_of_tasks, asked_of_stacks, asked_of_the_log, asked_of_modules):
        with contextlib.suppress(DebuggerError, ImageError):
            ask(linux)


def asked_of_tasks(linux):
    for number, task in enumerate(each_task(linux)):
        assert number < MAX_TASKS
        with contextlib.suppress(DebuggerError, ImageError):
            assert len(task.state) == 1
            assert len([linux.symbols.nearest(call.inside) for call in linux.stacks.of_task(task)]) < 250 + 2 * 2048


def asked_of_stacks(linux):
    for vcpu in linux.target.image.vcpus:
        with contextlib.suppress(DebuggerError, ImageError):
            assert len(list(linux.stacks.of_vcpu(vcpu, scan=True))) < 250 + 2 * 2048
    for number, task in enumerate(each_task(linux)):
        assert number < MAX_TASKS
        with contextlib.suppress(DebuggerError, ImageError):
            calls = list(linux.stacks.of_task(task, scan=True))
            assert sum(call.how != "scan" for call in calls) <= 201
    assert len(linux.generated.parts) <= 2


def asked_of_the_log(linux):
    assert sum(1 for _ in each_message(linux)) < MAX_TASKS


def asked_of_modules(linux):
    for module in linux.loaded.all:
        with contextlib.suppress(DebuggerError, ImageError):
            assert all(symbol.module == module.name for symbol in module.symbols.all)
