"""`illumos(...)`: a session over the generated illumos kernel, whose memory may be changed first."""

import io
import json
from collections import UserDict

import pytest

import fixtures
from formats.frames import PAGE_SHIFT, Gfn, Vaddr
from formats.opener import open_image, open_source
from formats.source import BufferSource
from tests.fakes import FakeTarget, language
from vmdebug.guests import find_guest
from vmdebug.guests.illumos.kernel import Illumos
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.symbols.table import Part, Symbol, SymbolTable
from vmdebug.targets.target import Target


class Truth(UserDict):
    """What the generator says of the kernel that it made."""

    def address(self, name):
        return int(self["symbols"][name], 16)


class Demo:
    """One generated dump, made once."""

    def __init__(self, folder, recipe, **options):
        made = fixtures.make(recipe, folder, **options)
        self.path = made.path
        self.truth = Truth(json.loads(made.truth_path.read_text()))

    def target(self, changes=None, gone=()):
        """The dump with other bytes at some kernel addresses, and pages whose table entries are cleared."""
        target = Target(open_image(self.path))
        if not changes and not gone:
            return target
        data = bytearray(self.path.read_bytes())
        for vaddr, new in (changes or {}).items():
            for at, byte in enumerate(new):
                data[self._place(target, target.translate(Vaddr(vaddr + at)))] = byte
        for vaddr in gone:
            step = target.translate(Vaddr(vaddr)).steps[-1]
            _, start = target.image.locate_gfn(Gfn(step.entry_at >> PAGE_SHIFT))
            data[start + step.entry_at % 4096] &= 0xFE
        return Target(open_source(BufferSource("core", bytes(data))))

    def _place(self, target, mapping):
        _, start = target.image.locate(mapping.pfn)
        return start + mapping.vaddr % 4096


class Debugger:
    """A session, and what it said."""

    def __init__(self, demo, target):
        self.truth = demo.truth
        self.target = target
        self.guest = find_guest(target)
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = Session(target, self.guest, out=self.out, err=self.err)
        load_dcmds(warn=self.session.warn)

    def text(self, command):
        """The lines that a command prints."""
        start = self.out.tell()
        self.session.run(command)
        return self.out.getvalue()[start:].splitlines()

    def rows(self, command):
        """The rows of a command; its errors are raised."""
        return self.session.rows(command)

    def errors(self, command):
        """The lines that a command complains with."""
        start = self.err.tell()
        self.session.run(command)
        return self.err.getvalue()[start:].splitlines()


@pytest.fixture(scope="session")
def demos(tmp_path_factory):
    """`demos(recipe, **options)`: a generated kernel, made at its first use."""
    folder = tmp_path_factory.mktemp("demos")
    made = {}

    def demo(recipe, **options):
        key = repr((recipe, options))
        if key not in made:
            made[key] = Demo(folder / f"core{len(made)}", recipe, **options)
        return made[key]

    return demo


@pytest.fixture
def illumos(demos):
    """`illumos(changes, gone=..., damage=...)`: a session over the kernel, changed or as it was made."""

    def debug(changes=None, gone=(), recipe="demo", damage=None, **options):
        demo = demos(recipe, damage=[damage] if damage else [], **options)
        return Debugger(demo, demo.target(changes, gone))

    return debug


@pytest.fixture
def word():
    """A 64-bit word as bytes."""
    return lambda value: (value & (1 << 64) - 1).to_bytes(8, "little")


@pytest.fixture
def without():
    """`without(debug, name)`: the session, whose kernel has no symbol of that name."""

    def hide(debug, name):
        find = debug.guest.symbols.find
        debug.guest.symbols.find = lambda wanted, module=None: None if wanted == name else find(wanted, module)
        return debug

    return hide


@pytest.fixture
def printed():
    """`printed(memory, command)`: the lines of a command on an illumos kernel of those types and variables."""

    def run(memory, command):
        lines, complaints = said(memory, command)
        assert not complaints
        return lines

    return run


@pytest.fixture
def refused():
    """`refused(memory, command)`: what a command that prints nothing on such a kernel complains with."""

    def run(memory, command):
        lines, complaints = said(memory, command)
        assert not lines
        return complaints

    return run


def said(memory, command):
    """What a command prints, and what it complains with."""
    guest, target = Illumos.__new__(Illumos), FakeTarget(memory.memory)
    symbols = [Symbol(each.name, each.value, each.size, "OBJT") for each in memory.variables]
    guest.target = target
    guest.__dict__.update(symbols=SymbolTable(Part("", symbols), []), types=memory.kernel)
    out, err = io.StringIO(), io.StringIO()
    Session(target, guest, out=out, err=err, registry=language()).run(command)
    return out.getvalue().splitlines(), err.getvalue().splitlines()
