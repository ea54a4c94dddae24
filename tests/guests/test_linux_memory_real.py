"""Memory of real Linux guests: what it is used for against /proc/meminfo, caches and objects against /proc/slabinfo."""

import re

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report
from vmdebug.errors import DebuggerError
from vmdebug.guests import find_guest
from vmdebug.guests.linux.tasks import each_task
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target

CACHE = re.compile(r"^(\S+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) : tunables", re.M)
MOVED = 2048  # pages, of the 8192 in 32 MiB, that may change hands between the report and the image
SETTLED = 64  # pages that may do so of what seldom changes


@pytest.fixture(scope="module", params=REPORTS)
def case(request, real, truth):
    load_dcmds(pytest.fail)
    target = Target(open_image(real(request.param)))
    return Session(target, find_guest(target)), report(truth, request.param)


def pages(said, key):
    return int(re.search(rf"^{re.escape(key)}: +(\d+) kB", said, re.M)[1]) // 4


def test_memory_is_used_for_what_the_guest_said(case):
    session, said = case
    found = {row.key: row.pages for row in session.rows("::memstat")}

    assert found["total"] == pages(said, "MemTotal")
    assert abs(found["free"] - pages(said, "MemFree")) < MOVED
    assert abs(found["cache"] + found["shmem"] - pages(said, "Cached") - pages(said, "Buffers")) < MOVED
    for key, reported in (("anon", "AnonPages"), ("shmem", "Shmem"), ("page_tables", "PageTables")):
        assert abs(found[key] - pages(said, reported)) < SETTLED, key
    for key, reported in (("slab_reclaimable", "SReclaimable"), ("slab", "SUnreclaim"), ("stacks", "KernelStack")):
        assert abs(found[key] - pages(said, reported)) < SETTLED * 8, key
    assert abs(found["percpu"] - pages(said, "Percpu")) < SETTLED
    assert abs(found["vmalloc"] + found["stacks"] - pages(said, "VmallocUsed")) < SETTLED * 8


def test_the_parts_of_memory_make_up_the_whole(case):
    session, _ = case
    found = {row.key: row.pages for row in session.rows("::memstat")}

    parts = sum(count for key, count in found.items() if key not in ("total", "reserved", "physical"))
    assert parts == found["total"]
    assert found["total"] + found["reserved"] == found["physical"]


def test_every_counter_has_its_own_line_when_asked(case):
    session, _ = case

    plain, full = session.rows("::memstat"), session.rows("::memstat -v")

    assert full[: len(plain)] == plain
    assert {"nr_free_pages", "nr_shmem", "nr_file_mapped"} <= {row.key for row in full}


def test_every_cache_is_what_slabinfo_said(case):
    session, said = case
    rows = session.rows("::slabs")
    found = {row.name: (row.size, row.perslab, row.pages) for row in rows}
    objects = {row.name: row.total for row in rows}
    reported = CACHE.findall(said)

    assert found == {name: (int(size), int(count), int(order)) for name, _, _, size, count, order in reported}
    equal = sum(objects[name] == int(total) for name, _, total, *_ in reported)
    assert equal > 0.85 * len(reported)


def test_active_objects_are_those_of_slabinfo_where_the_cache_did_not_grow(case):
    session, said = case
    found = {row.name: (row.active, row.total) for row in session.rows("::slabs")}

    same = [name for name, active, total, *_ in CACHE.findall(said) if found[name] == (int(active), int(total))]

    assert len(same) > 0.85 * len(found)
    assert all(active <= total for active, total in found.values())


def test_the_slabs_that_are_found_are_as_many_as_the_kernel_counts(case):
    session, _ = case

    for row in session.rows("::slabs"):
        assert len(session.guest.slabs.descriptors.get(row.addr, ())) == row.slabs, row.name


def test_the_tasks_are_the_objects_in_use_of_their_cache(case):
    session, _ = case
    guest = session.guest
    cache = next(row for row in session.rows("::slabs") if row.name == "task_struct")
    tasks = {task.address for task in each_task(guest)} - {guest.address("init_task")}

    used, free = list(session.walk("slab", cache.addr)), list(session.walk("slab_free", cache.addr))

    assert tasks <= set(used)
    assert len(used) - len(tasks) <= 3  # ended, and not yet given back
    assert not set(used) & set(free)
    assert len(used) + len(free) == cache.total


def test_a_cache_is_shown_with_its_slabs(case):
    session, _ = case
    row = session.rows("::slabs -v task_struct")[0]

    assert len(row.each) == row.slabs
    assert sum(slab.objects for slab in row.each) == row.total
    assert session.rows(f"{row.addr:x}::slabs -v") == [row]


def test_what_is_no_cache_is_refused(case):
    session, _ = case

    with pytest.raises(DebuggerError, match="1000 is not the kmem_cache of a cache"):
        session.rows("1000::slabs")
    with pytest.raises(DebuggerError, match="there is no cache called nonsense"):
        session.rows("::slabs nonsense")


def test_pages_are_walked_one_descriptor_each(case):
    session, _ = case
    guest = session.guest

    walked = list(session.walk("page"))

    assert len(walked) == len(set(walked)) == sum(zone.spanned for zone in guest.pages.zones)
    assert [guest.pages.pfn_of(page) for page in walked[:3]] == [1, 2, 3]
