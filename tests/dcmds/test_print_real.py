"""::print, ::list and ::printf over the types of a real Linux kernel, against what drgn said of the same image."""

import io
import json
import re

import pytest

from formats import open_image
from tests.fakes import language
from vmdebug.guests import find_guest
from vmdebug.session import Session
from vmdebug.targets.target import Target


class Shell:
    """A session over the image, and what it prints."""

    def __init__(self, path):
        self.target = Target(open_image(path))
        self.guest = find_guest(self.target)

    def printed(self, text, **options):
        out, err = io.StringIO(), io.StringIO()
        Session(self.target, self.guest, out=out, err=err, registry=language(), **options).run(text)
        assert err.getvalue() == ""
        return out.getvalue()


@pytest.fixture(scope="module")
def shell(real):
    return Shell(real("linux-mini.elf.core"))


@pytest.fixture(scope="module")
def said(truth):
    """Every process that drgn found: its task's address and what that is."""
    lines = (truth("linux-mini") / "drgn.txt").read_text().splitlines()
    found = [
        re.match(r"task=0x(\w+) pid=(\d+) tgid=\2 ppid=\d+ cpu=\d+ .*? comm=(.+) stack=0x(\w+) ", line)
        for line in lines
    ]
    return {int(task[1], 16): (int(task[2]), task[3], int(task[4], 16)) for task in found if task}


def test_the_list_of_tasks(shell, said):
    offset = int(shell.printed("::offsetof struct task_struct tasks | ::map ."), 16)
    walk = f"init_task+{offset:x}::list $[0] | ::map .-{offset:x}"
    form = "::printf \"%p %d %s %p\\n\" 'struct task_struct' . pid comm stack"

    rows = [line.split(" ", 2) for line in shell.printed(f"{walk} | {form}").splitlines()]
    found = {int(task, 16): (int(pid), *rest.rsplit(" ", 1)) for task, pid, rest in rows}

    assert len(said) > 20
    tasks = {task: (pid, comm, int(stack, 16)) for task, (pid, comm, stack) in found.items() if pid}
    assert tasks == said


def test_members_as_json(shell, said):
    task, (pid, comm, stack) = next(iter(said.items()))

    found = json.loads(shell.printed(f"{task:x}::print struct task_struct pid comm stack", json=True))["rows"]

    assert [(row["member"], row["data"]) for row in found] == [("pid", pid), ("comm", comm), ("stack", f"{stack:#x}")]


def test_a_whole_structure_is_shown_to_its_end(shell, said):
    lines = shell.printed(f"{next(iter(said)):x}::print -ath struct task_struct").splitlines()

    assert lines[0].endswith(" struct task_struct {")
    assert lines[-1] == "}"
    assert len(lines) > 500
    assert all(re.match(r" *[0-9a-f]+(\.\d)? |[ }\]]+,?$|[ .]+\]$", line) for line in lines)


def test_declarations_have_the_sizes_of_their_types(shell, truth):
    structures = json.loads((truth("linux-mini") / "structs-6.1.json").read_text())
    known = {name: facts["size"] for name, facts in structures.items() if facts and "size" in facts}

    said = {
        name: shell.printed(f"::type 'struct {name}'")
        for name in list(known)[:40]
        if shell.guest.types.knows(f"struct {name}")
    }

    assert len(said) > 30
    assert all(text.splitlines()[0] == f"struct {name} {{ /* {known[name]} bytes */" for name, text in said.items())
