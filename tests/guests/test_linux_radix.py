"""Trees of kernels before 4.20, which no image here has: radix trees of every make, and the idr before 4.11."""

import pytest

from fixtures.linux import older
from formats.opener import open_image
from vmdebug.guests.linux import find
from vmdebug.guests.linux.interrupts import each_descriptor
from vmdebug.guests.linux.radix import each_entry, each_of_idr
from vmdebug.guests.linux.trees import BrokenTree
from vmdebug.guests.linux.workqueues import each_pool
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target


@pytest.fixture(scope="module", params=[(make, layered) for make in older.NODES for layered in (False, True)],
                ids=lambda pair: f"{pair[0]}{', layers' if pair[1] else ''}")  # fmt: skip
def case(request, tmp_path_factory):
    made = older.build(*request.param)
    path = tmp_path_factory.mktemp("older") / "core"
    made.guest.save(path, format="elf-core")
    return find(Target(open_image(path))), made


def test_every_interrupt_is_found_by_rising_number(case):
    linux, made = case

    found = [(number, descriptor.address_) for number, descriptor in each_descriptor(linux)]

    assert found == list(made.irqs.items())


def test_every_pool_of_workers_is_found_by_its_number(case):
    linux, made = case

    assert list(each_of_idr(linux, linux.address("worker_pool_idr"))) == list(made.pools.items())
    assert [int(pool["id"]) for pool in each_pool(linux)] == list(made.pools)


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("empty_tree", lambda made: []),
        ("lone_tree", lambda made: [(0, made.irqs[1])]),
        ("value_tree", lambda made: [(0, 0x16), (70, 0x1E)]),
        ("moved_tree", lambda made: [(2, made.irqs[1])]),
    ],
)
def test_what_is_no_pointer_is_told_from_nodes(name, entries, case):
    linux, made = case

    assert list(each_entry(linux, linux.address(name))) == entries(made)


def test_a_tree_that_leads_back_to_itself_ends(case):
    linux, _ = case

    with pytest.raises(BrokenTree, match="comes again"):
        list(each_entry(linux, linux.address("looping_tree")))


def test_the_walkers_give_the_entries(case):
    linux, made = case
    load_dcmds(pytest.fail)
    session = Session(linux.target, linux)

    assert list(session.walk("radix", linux.address("irq_desc_tree"))) == list(made.irqs.values())
    assert list(session.walk("xarray", linux.address("irq_desc_tree"))) == list(made.irqs.values())
    assert list(session.walk("idr", linux.address("worker_pool_idr"))) == list(made.pools.values())
