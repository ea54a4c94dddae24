"""A target and a guest made of a dictionary, for tests of the language: no image, no page tables."""

import io
from types import SimpleNamespace

from vmdebug.dcmd import Registry
from vmdebug.errors import NotMapped, NoTypes, ReadFailed
from vmdebug.lang.settings import Settings
from vmdebug.load import Loader
from vmdebug.session import Session
from vmdebug.symbols.table import Part, Symbol, SymbolTable


class FakeTarget:
    """Memory in pieces: `memory` maps addresses to bytes, `physical` likewise."""

    name = "fake.core"

    def __init__(self, memory=None, physical=None, registers=None, word=8):
        self.memory = memory or {}
        self.physical = physical or {}
        self.registers = registers or {}
        self.word = word
        self.image = SimpleNamespace(notes=(), about=SimpleNamespace(format="fake"))

    def read(self, vaddr, size):
        return _piece(self.memory, vaddr, size, NotMapped(vaddr, 1, 0, 0x1000))

    def read_physical(self, paddr, size):
        return _piece(self.physical, paddr, size, ReadFailed(paddr, "no mapping for address"))


def _piece(memory, address, size, error):
    for start, data in memory.items():
        if start <= address and address + size <= start + len(data):
            return bytes(data[address - start : address - start + size])
    raise error


class FakeGuest:
    """Names in two modules: `main` symbols belong to the kernel, `own` ones to the module `mod` alone."""

    kind = "fake"

    def __init__(self, main=(), own=(), registers=None):
        self.registers = registers or {}
        self.symbols = SymbolTable(Part("", list(main)), [Part("mod", list(own))])
        self.modules = ["mod"]
        self.types = NoneKnown()


class NoneKnown:
    """No types."""

    def find(self, name):
        raise NoTypes(f"there is no {name}")

    def function(self, symbol):
        raise NoTypes("there are none")

    type_of_symbol = function


def symbol(name, value, size=8, kind="OBJT", bind="GLOB", module="unix", index=1):
    return Symbol(name, value, size, kind, bind, module, index)


class Debug:
    """A session and what it printed."""

    def __init__(self, target=None, guest=None, registry=None, **options):
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = Session(target, guest, out=self.out, err=self.err, registry=registry or language(), **options)

    def __call__(self, text, source="(string)"):
        """What running the text printed on both streams, and the status."""
        status = self.session.run(text, source)
        return self.taken(), self.complaints(), status

    def printed(self, text, source="(string)"):
        """What running the text printed; it must not complain."""
        out, err, status = self(text, source)
        assert (err, status) == ("", 0)
        return out

    def refused(self, text, source="(string)"):
        """The complaint that running the text ends in."""
        _, err, status = self(text, source)
        assert err
        assert status == 1
        return err

    def taken(self):
        return _drain(self.out)

    def complaints(self):
        return _drain(self.err)


def _drain(stream):
    text = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return text


_loaded = []


def language():
    """The registry with every dcmd of the package, loaded once."""
    from vmdebug.dcmd import REGISTRY

    if not _loaded:
        REGISTRY.loader = Loader("dcmds", _loaded.append)
        _loaded.append("")
    return REGISTRY


__all__ = ["Debug", "FakeGuest", "FakeTarget", "Registry", "Settings", "language", "symbol"]
