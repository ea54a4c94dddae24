"""Numbers of threads in pid namespaces: of real guests, which have one, and of threads moved into deeper ones."""

import pytest

from formats.opener import open_image
from tests.overlay import Overlay
from vmdebug.guests.linux import find
from vmdebug.guests.linux.namespaces import MAX_LEVEL, DeepNamespaces, PidNumbers, pid_numbers
from vmdebug.guests.linux.tasks import each_process, each_task
from vmdebug.library import Machine
from vmdebug.targets.target import Target

FIRST = 0xEFFF_FFFC  # PROC_PID_INIT_INO, the inode of the first pid namespace


@pytest.fixture(params=["linux-mini.elf.core", "linux-72.elf.core", "xen-pv.core"])
def linux(request, real):
    return find(Target(open_image(real(request.param))))


def moved(linux, monkeypatch, level, numbers=()):
    """A process whose struct pid says another level, with numbers in the namespace of the first."""
    overlay, objects = Overlay(linux, monkeypatch), linux.objects
    process = list(each_process(linux))[-1]
    pid = int(process.struct["thread_pid"])
    overlay.put("struct pid", pid, "level", level)
    first, size = pid + objects.offsetof("struct pid", "numbers"), objects.sizeof("struct upid")
    for depth, number in enumerate(numbers):
        overlay.put("struct upid", first + depth * size, "nr", number)
        overlay.put("struct upid", first + depth * size, "ns", linux.address("init_pid_ns"))
    return process


def test_threads_of_a_guest_without_containers_have_their_one_number(linux):
    tasks = list(each_task(linux))

    assert [pid_numbers(task) for task in tasks] == [PidNumbers([task.pid], FIRST) for task in tasks]


def test_a_thread_has_a_number_in_each_namespace_around_it(linux, monkeypatch):
    process = moved(linux, monkeypatch, 2, [4711, 42, 1])

    assert pid_numbers(process) == PidNumbers([4711, 42, 1], FIRST)


def test_a_depth_that_cannot_be_is_refused(linux, monkeypatch):
    with pytest.raises(DeepNamespaces, match=f"lies {MAX_LEVEL + 1} namespaces deep"):
        pid_numbers(moved(linux, monkeypatch, MAX_LEVEL + 1))


def test_a_thread_that_gave_its_numbers_back_has_none(linux, monkeypatch):
    overlay = Overlay(linux, monkeypatch)
    process = list(each_process(linux))[-1]
    overlay.put("struct task_struct", process.address, "thread_pid", 0)

    assert pid_numbers(process) is None


def test_ps_shows_them(real, monkeypatch):
    target = Target(open_image(real("linux-mini.elf.core")))
    guest = find(target)
    process = moved(guest, monkeypatch, 1, [4711, 1])
    machine = Machine(target, guest)

    (row,) = machine.rows(f"{process.address:x}::ps -n")

    assert (row.pid, row.pids, row.pidns) == (process.pid, [4711, 1], FIRST)
    head, line = machine.run(f"{process.address:x}::ps -n").splitlines()
    assert head == "S PID    PPID   TGID   UID    CPU FLAGS      ADDR             PIDNS      PIDS         NAME"
    assert line.split()[-3:-1] == ["4026531836", "4711/1"]
