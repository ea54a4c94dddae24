"""A synthetic kernel as Linux 3 was, of which no image is here: what lies elsewhere than in kernels of today."""

import pytest

from fixtures.linux import vintage
from formats.opener import open_image
from vmdebug.guests.linux import find
from vmdebug.guests.linux.log import Message, each_message
from vmdebug.guests.linux.memory import Counters
from vmdebug.guests.linux.tasks import each_task
from vmdebug.targets.target import Target


@pytest.fixture(scope="module")
def made():
    return vintage.build()


@pytest.fixture(scope="module")
def linux(made, tmp_path_factory):
    return opened(made, tmp_path_factory.mktemp("vintage"))


def opened(made, folder):
    made.guest.save(folder / "core", format="elf-core")
    return find(Target(open_image(folder / "core")))


def test_every_thread_is_there_with_its_state_and_processor(made, linux):
    found = {task.address: (task.pid, task.tgid, task.comm, task.state, task.cpu) for task in each_task(linux)}

    assert found == {
        made.tasks[0]: (0, 0, "swapper/0", "R", 0),
        made.tasks[1]: (1, 1, "init", "S", 0),
        made.tasks[50]: (50, 50, "dying", "Z", 1),
        made.tasks[60]: (60, 60, "waiter", "D", 1),
        made.tasks[61]: (61, 60, "waiter", "S", 0),
    }


def test_a_module_has_one_area_and_its_uses_are_counted_by_processor(linux):
    (module,) = linux.loaded.all

    assert (module.name, module.base, module.size, module.text.size) == ("lab_driver", vintage.MODULES, 0x900, 0x400)
    assert module.users == 3


def test_counters_of_pages_are_all_those_of_zones(linux):
    values = Counters(linux).values

    assert {name: values[name] for name in vintage.COUNTERS} == vintage.COUNTERS
    assert Counters(linux).total == vintage.PAGES


def test_a_flag_tells_the_tails_of_a_compound_page(linux):
    first, last = vintage.HEAD_PFN, vintage.HEAD_PFN + vintage.TAILS

    heads = [linux.pages.head_of(pfn) for pfn in range(first - 1, last + 2)]

    assert heads == [first - 1, *[first] * (vintage.TAILS + 1), last + 1]
    assert linux.pages.head_of(100) == 100


def test_a_log_of_lines_is_read_from_where_it_was_begun(linux):
    assert list(each_message(linux)) == [
        Message(0, 0, 6, 0, "Linux version 3.0.0-fixture", ""),
        Message(1, 1_250_000_000, 4, 0, "a warning", ""),
        Message(2, 100_000_001_000, 6, 3, "daemon: told by a program", ""),
        Message(3, 0, 0, 0, "without a level or a time", ""),
    ]


def test_records_say_who_wrote_them(tmp_path):
    messages = each_message(opened(vintage.build(records=True), tmp_path))

    assert [(m.time, m.level, m.facility, m.text, m.caller) for m in messages] == [
        (0, 3, 1, "by a thread", "T33"),
        (5000, 3, 1, "by a processor", "C1"),
    ]
