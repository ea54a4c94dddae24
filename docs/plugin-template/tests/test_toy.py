"""The plug-in on a dump that is made here. It must be installed: vmdebug finds it by its entry points."""

import pytest

import vmdebug
from vmdebug.errors import ImageError

MEMORY = 0x4000
TASKS = {0x2000: (1, b"init"), 0x2040: (7, b"shell")}


def word(value):
    return value.to_bytes(8, "little")


@pytest.fixture
def dump(tmp_path):
    """`dump(magic=...)`: the path of a toy dump whose kernel has two tasks."""

    def make(magic=b"TOYOS"):
        memory = bytearray(MEMORY)
        memory[0x1000:0x1020] = magic.ljust(8, b"\0") + b"1.0".ljust(16, b"\0") + word(min(TASKS))
        following = [*list(TASKS)[1:], 0]
        for (address, (number, name)), link in zip(TASKS.items(), following, strict=True):
            memory[address : address + 32] = word(link) + word(number) + name.ljust(16, b"\0")
        header = b"TOYDUMP1" + word(MEMORY) + word(0x1234) + word(0x3000)
        path = tmp_path / "memory.toydump"
        path.write_bytes(header.ljust(4096, b"\0") + memory)
        return path

    return make


def test_the_tasks_of_a_dump_are_shown(dump):
    machine = vmdebug.open(dump())

    assert machine.target.image.about.format == "toydump"
    assert machine.run("::toytasks") == (
        "ADDR               ID NAME\n0000000000002000    1 init\n0000000000002040    7 shell\n"
    )
    assert [row.name for row in machine.rows("::walk toytask | ::toytasks")] == ["init", "shell"]


def test_the_kernel_says_who_it_is(dump):
    machine = vmdebug.open(dump())

    assert machine.guest.kind == "toy"
    assert machine.run("::status").splitlines()[1] == "operating system: toy 1.0 (toy)"
    assert machine.address("toy_page") == 0x1000


def test_another_kernel_is_left_to_others(dump):
    machine = vmdebug.open(dump(magic=b"OTHER"))

    assert machine.guest.kind == "unknown"
    assert "no toy kernel" in machine.run("::status")


def test_a_dump_that_was_cut_short_is_refused_wherever_it_ends(dump):
    path = dump()
    whole = path.read_bytes()

    for size in (*range(8, 40), 4095, 4096, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ImageError, match=r"memory\.toydump: "):
            vmdebug.open(path)
