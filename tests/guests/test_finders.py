"""Kinds of guest from elsewhere: asked when ours are not found, before a guest is unknown."""

from types import SimpleNamespace

import pytest

import fixtures
from formats.opener import open_image
from vmdebug.errors import DebuggerError
from vmdebug.guests import add_finder, find_guest, remove_finder
from vmdebug.guests.unknown import Unknown
from vmdebug.symbols.table import Part, Symbol
from vmdebug.targets.target import Target


class Mine(Unknown):
    kind = "mine"


@pytest.fixture
def add():
    """`add(find)`: has a finder asked; the lines that it reports."""
    added, told = [], []

    def make(find):
        add_finder("mine", find, "/plug/mine.py", told.append)
        added.append(find)
        return told

    yield make
    for find in added:
        remove_finder(find)


@pytest.fixture
def bare(tmp_path):
    """A target whose kernel nobody knows."""
    guest = fixtures.Guest(pv=False, memory="2M")
    guest.vcpu(rip=1)
    guest.save(tmp_path / "x.elf", "elf-core")
    return Target(open_image(tmp_path / "x.elf"))


def test_is_asked_where_no_other_kernel_is_found(add, bare):
    told = add(lambda target: Mine(target, []))

    assert find_guest(bare).kind == "mine"
    assert told == []


def test_is_not_asked_where_one_of_ours_is_found(add, tmp_path):
    add(lambda target: Mine(target, []))
    image = open_image(fixtures.make("demo", tmp_path / "core.domu").path)

    assert find_guest(Target(image)).kind == "illumos"


def test_what_it_looked_for_is_among_the_reasons(add, bare):
    def find(target):
        raise DebuggerError("no magic at 1000")

    told = add(find)

    guest = find_guest(bare)

    assert guest.kind == "unknown"
    assert "no magic at 1000" in guest.why
    assert told == []


@pytest.mark.parametrize(
    ("find", "reason"),
    [
        (lambda target: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda target: None, "TypeError: find gave None, which lacks banner, cautions, cpu_id, evidence"),
    ],
)
def test_one_that_fails_is_reported_and_the_next_is_asked(add, bare, find, reason):
    told = add(find)
    add(lambda target: Mine(target, []))

    assert find_guest(bare).kind == "mine"
    assert len(told) == 1
    assert told[0].startswith(f"/plug/mine.py: its search for mine failed: {reason}")


@pytest.mark.parametrize(
    ("symbols", "found"),
    [(None, "linux"), ([], "linux"), ([Symbol("_text", 1, 1)], "linux"), ([Symbol("xen_phys_start", 1, 8)], "xen")],
)
def test_the_file_of_a_hypervisor_has_it_looked_for_first(symbols, found, bare, monkeypatch):
    """Under a hypervisor, vcpu 0 may run a kernel of a guest."""
    for kind in ("linux", "xen"):
        monkeypatch.setattr(f"vmdebug.guests.{kind}.find", lambda target, kind=kind: SimpleNamespace(kind=kind))
    names = None if symbols is None else SimpleNamespace(has_symbols=bool(symbols), part=Part("", symbols))

    assert find_guest(bare, names).kind == found
