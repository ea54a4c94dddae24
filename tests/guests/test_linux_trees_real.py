"""Walkers of lists and trees in real Linux guests, against what the guests' own lists hold."""

import pytest

from formats import open_image
from vmdebug.guests import find_guest
from vmdebug.guests.linux.tasks import each_process, each_task
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target


@pytest.fixture(scope="module", params=["linux-mini.elf.core", "linux-72.elf.core", "xen-pv.core", "xen-pvh.core"])
def session(request, real):
    load_dcmds(pytest.fail)
    target = Target(open_image(real(request.param)))
    return Session(target, find_guest(target))


def test_a_list_has_the_nodes_of_what_hangs_on_it(session):
    guest = session.guest
    offset = guest.objects.offsetof("struct module", "list")

    assert [node - offset for node in session.walk("list_head", guest.address("modules"))] == [
        module.address for module in guest.loaded.all
    ]


def test_the_idr_of_process_numbers_has_every_thread(session):
    guest = session.guest
    idr = guest.address("init_pid_ns") + guest.objects.offsetof("struct pid_namespace", "idr")
    offset = guest.objects.offsetof("struct task_struct", "pid_links[0]")

    pids = [guest.objects.at("struct pid", entry) for entry in session.walk("idr", idr)]
    first = {int(pid["tasks"][0]["first"]) - offset for pid in pids if pid["tasks"][0]["first"]}

    assert first == {task.address for task in each_task(guest) if task.pid}
    assert list(session.walk("xarray", idr)) == list(session.walk("radix", idr)) == [pid.address_ for pid in pids]


def test_a_hash_chain_leads_from_a_pid_to_its_task(session):
    guest = session.guest
    task = list(each_process(guest))[1]
    chain = int(task.struct["thread_pid"]) + guest.objects.offsetof("struct pid", "tasks[0]")

    (node,) = session.walk("hlist", chain)

    assert node - guest.objects.offsetof("struct task_struct", "pid_links[0]") == task.address


def test_a_maple_tree_has_the_areas_of_its_address_space(session):
    task = list(each_process(session.guest))[1]
    tree = task.mm + session.guest.objects.offsetof("struct mm_struct", "mm_mt")

    assert list(session.walk("maple", tree)) == list(session.walk("vmarea", task.address))


def test_a_red_black_tree_is_walked_in_order(session):
    guest = session.guest
    offset = guest.objects.offsetof("struct hrtimer_clock_base", "active")
    for cpu in guest.per_cpu.cpus:
        base = guest.objects.at("struct hrtimer_cpu_base", guest.per_cpu.address("hrtimer_bases", cpu))
        root = int(base["clock_base"][0]) + offset

        nodes = list(session.walk("rbtree", root))
        times = [int(guest.objects.at("struct hrtimer", node)["node.expires"]) for node in nodes]

        assert times == sorted(times)
        assert len(nodes) >= 2
