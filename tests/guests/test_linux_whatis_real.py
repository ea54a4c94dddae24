"""What addresses of real Linux guests belong to, and their vmalloc areas against /proc/vmallocinfo."""

import re
from collections import Counter

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report, section
from vmdebug.guests import find_guest
from vmdebug.guests.linux.tasks import each_process, each_task
from vmdebug.guests.linux.vmalloc import each_vmalloc
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target

AREA = re.compile(r"^0x\S+ +(\d+) (?:(\w\S*)\+0x([0-9a-f]+)/0x[0-9a-f]+(?: \[\w+\])?)?(.*)$", re.M)


@pytest.fixture(scope="module", params=REPORTS)
def case(request, real, truth):
    load_dcmds(pytest.fail)
    target = Target(open_image(real(request.param)))
    return Session(target, find_guest(target)), report(truth, request.param)


def told(session, address):
    return [(row.source, row.base, row.what) for row in session.rows(f"{address:x}::whatis")]


def test_vmalloc_areas_are_those_that_the_guest_said(case):
    session, said = case
    lines = section(said, "vmallocinfo")
    live = [line for line in AREA.findall(lines) if "unpurged" not in line[3] and line[1]]
    expected = Counter((int(size), caller, int(offset, 16)) for size, caller, offset, _ in live)

    found = Counter()
    for area in each_vmalloc(session.guest):
        if area.caller:
            symbol = session.guest.symbols.nearest(area.caller)[0]
            found[area.end - area.start, symbol.name, area.caller - symbol.value] += 1

    assert sum((expected - found).values()) + sum((found - expected).values()) <= 6  # threads that began or ended
    assert sum(found.values()) > 80


def test_the_image_is_known_by_segment_and_symbol(case):
    session, _ = case

    (row,) = session.rows("schedule+4::whatis")
    assert (row.source, row.symbol, row.what) == ("image", "schedule+4", "in vmlinux's text segment")
    (row,) = session.rows("init_task+8::whatis")
    assert (row.source, row.symbol, row.what) == ("image", "init_task+8", "in vmlinux's data segment")


def test_a_module_is_known_by_its_text(case):
    session, _ = case
    module = session.guest.loaded.all[0]

    assert told(session, module.base) == [("modules", None, f"in {module.name}'s text segment")]


def test_every_task_and_stack_is_known_as_its_own(case):
    session, _ = case

    for task in list(each_process(session.guest))[1:20]:
        called = f"{task.comm}, pid {task.pid}"
        assert told(session, task.address + 8) == [
            ("threads", task.address, f"allocated as a task structure ({called})")
        ]
        if task.stack:
            saved = int(task.struct["thread.sp"])
            assert told(session, saved)[0][2] == f"in task {task.address:x}'s stack ({called})"
            assert told(session, task.stack + 64)[0][2] == f"in task {task.address:x}'s stack ({called}) (below sp)"


def test_an_address_is_in_one_task_only(case):
    session, _ = case
    tasks = [task.address for task in each_task(session.guest)]

    rows = session.rows(f"{tasks[-1] + 8:x}::whatis -a")

    assert [row.base for row in rows if row.source == "threads"] == [tasks[-1]]


def test_per_cpu_variables_are_known_by_cpu_and_name(case):
    session, _ = case

    for cpu in session.guest.per_cpu.cpus:
        place = session.guest.per_cpu.address("runqueues", cpu)
        assert told(session, place + 8)[0][2] == f"in cpu {cpu}'s per-cpu area, runqueues+0x8"


def test_objects_of_caches_are_told_used_from_free(case):
    session, _ = case
    cache = next(cache for cache in session.guest.slabs.each_cache() if cache.name == "filp")
    used = next(iter(session.walk("slab", cache.address)))
    free = next(iter(session.walk("slab_free", cache.address)))

    assert told(session, used + 16) == [("slabs", used, "allocated from filp")]
    assert told(session, free + 16) == [("slabs", free, "freed from filp")]


def test_a_vmalloc_area_is_known_by_who_asked_for_it(case):
    session, _ = case
    guest = session.guest
    stacks = {task.stack for task in each_task(guest)}
    areas = (area for area in each_vmalloc(guest) if area.start not in stacks and not guest.loaded.holding(area.start))
    area = next(area for area in areas if area.caller)

    ((source, base, what),) = told(session, area.start + 16)

    assert (source, base) == ("vmalloc areas", area.start)
    assert re.fullmatch(rf"in a vmalloc area of {area.end - area.start} bytes, made by \w+\+0x[0-9a-f]+", what)


def test_page_descriptors_and_the_direct_map_lead_to_the_pfn(case):
    session, _ = case
    pages = session.guest.pages

    assert told(session, pages.address_of(16) + 8)[0][2].startswith("in the struct page of pfn 10 (flags ")
    assert session.rows(f"{pages.mapped_at(0x1000):x}::vtop")[0].paddr == 0x1000000
    assert told(session, pages.mapped_at(1))[0][2].startswith("in the direct map: physical page 1 (flags ")
    assert told(session, 0x10) == [(None, None, "unknown")]
