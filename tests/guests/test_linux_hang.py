"""The Linux guest that hangs: what its recipe says of it is what is read, in whatever format it is written."""

import pytest

import fixtures
from formats.opener import open_image
from tests.fakes import language
from vmdebug.guests import find_guest
from vmdebug.session import Session
from vmdebug.targets.target import Target


@pytest.fixture(scope="module", params=["elf-core", "kdump", "qemu-stream", "lime", "raw"])
def hang(request, tmp_path_factory):
    """A session, and the truth; LiME and raw memory hold no registers."""
    made = fixtures.make("linux-hang", tmp_path_factory.mktemp("hang") / "hang.core", format=request.param)
    target = Target(open_image(made.path))
    return Session(target, find_guest(target), registry=language()), made.truth


def test_programs_wait_for_each_other_and_for_the_disk(hang):
    session, truth = hang

    asleep = session.rows("::ps | ::where 'state == \"D\"'")

    assert [(row.pid, row.addr) for row in asleep] == [
        (int(pid), int(at, 16)) for pid, at in truth["tasks"].items() if int(pid) in (398, 412, 415)
    ]


def test_the_mutex_names_its_holder_and_who_waits_for_it(hang):
    session, truth = hang
    mutex = truth["mutex"]

    holder = session.rows("rtnl_mutex::print struct mutex owner.counter | ::map '.&~7' | ::task")
    waiters = session.rows(
        "rtnl_mutex::print struct mutex wait_list | ::walk list_head | ::print struct mutex_waiter task | ::task"
    )

    assert [row.pid for row in holder] == [mutex["holder"]]
    assert [row.pid for row in waiters] == mutex["waiters"]


def test_the_holders_stack_ends_where_it_waits_for_the_disk(hang):
    session, truth = hang

    rows = session.rows(f"{truth['tasks']['398']}::findstack")

    names = [frame.symbol.partition("+")[0] for frame in rows[0].frames]
    assert names[:4] == ["__schedule", "schedule", "io_schedule", "folio_wait_bit_common"]
    assert names[-3:] == ["__sys_sendmsg", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"]


def test_the_request_is_in_flight_on_the_disk_and_in_the_ring(hang):
    session, truth = hang
    asked = truth["request"]

    disk, queue = session.rows("::block -v")[0], session.rows("::vring -v")[0]

    assert [(hex(each.addr), each.sector, each.size, each.started) for each in disk.requests] == [
        (asked["address"], asked["sector"], asked["size"], asked["started"])
    ]
    assert (hex(queue.addr), queue.inflight, queue.done) == (truth["virtqueue"], 1, 0)
    assert [hex(buffer.token) for buffer in queue.buffers] == [asked["address"]]
    assert [(part.size, part.write) for part in queue.buffers[0].parts] == [(16, False), (4096, True), (1, True)]
