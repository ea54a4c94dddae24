"""What is kept of a kernel from run to run: the same answers with it, without it, and with any bytes in its place."""

import pytest

from fixtures.linux import scene
from fixtures.linux.scene import Plan
from formats.cache import Cache
from formats.opener import open_image
from vmdebug.guests.linux import find
from vmdebug.guests.linux.image import PLACE, WINDOW
from vmdebug.guests.linux.tasks import each_process
from vmdebug.targets.target import Target
from vmdebug.types.btf import INDEX

MADE = {"6.2": Plan(kallsyms="6.2", orc=1), "6.15": Plan(kallsyms="6.15"), "7.0": Plan(kallsyms="7.0", orc=3)}


@pytest.fixture(params=MADE)
def dump(request, tmp_path):
    path = tmp_path / "core"
    scene.build(MADE[request.param]).guest.save(path, format="elf-core")
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


class Noting(Cache):
    """A cache that says under which keys it was written to, and what it gave."""

    def __init__(self, folder):
        super().__init__(folder)
        self.keys = {}
        self.given = []

    def load(self, kind, key):
        found = super().load(kind, key)
        self.given.append((kind, found is not None))
        return found

    def store(self, kind, key, parts):
        self.keys[kind] = key
        super().store(kind, key, parts)


def answers(path, cache=None):
    """Every symbol of the image and every process."""
    linux = find(Target(open_image(path), cache))
    tasks = [(task.address, task.pid, task.comm, task.state) for task in each_process(linux)]
    return [(symbol.name, symbol.value, symbol.kind) for symbol in linux.names.all], tasks


def test_answers_are_the_same_the_first_time_and_the_second(dump, folder):
    first, second = Noting(folder), Noting(folder)
    expected = answers(dump)

    assert [answers(dump, first), answers(dump, second)] == [expected, expected]
    assert (first.given, set(first.keys)) == ([(PLACE, False), (INDEX, False)], {PLACE, INDEX})
    assert (second.given, second.keys) == ([(PLACE, True), (INDEX, True)], {})


@pytest.mark.parametrize("kind", [PLACE, INDEX])
@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b"vmdbgidx" + b"\xff" * 64], ids=["empty", "zeros", "noise"])
def test_a_damaged_file_is_as_good_as_none_and_replaced(dump, folder, kind, damage):
    cache = Noting(folder)
    expected = answers(dump, cache)
    cache.path(kind, cache.keys[kind]).write_bytes(damage)

    again = Noting(folder)

    assert answers(dump, again) == expected
    assert again.keys == {kind: cache.keys[kind]}


@pytest.mark.parametrize("window", [(0, 0), (1 << 40, 2 << 40), (8, 4096), (5, 3)], ids=str)
def test_a_place_without_names_sends_the_search_over_all(dump, folder, window):
    cache = Noting(folder)
    expected = answers(dump, cache)
    cache.store(PLACE, cache.keys[PLACE], [WINDOW.pack(*window)])

    assert answers(dump, cache) == expected


@pytest.mark.parametrize("name", ["linux-72.elf.core", "linux-mini.elf.core", "xen-pv.core"])
def test_a_real_kernel_answers_the_same_the_second_time(real, name, folder):
    path, second = real(name), Noting(folder)
    expected = answers(path)

    assert [answers(path, Noting(folder)), answers(path, second)] == [expected, expected]
    assert second.given == [(PLACE, True), (INDEX, True)]
