"""A session over types written in C and objects laid out by them: for tests of commands that show types."""

from fixtures.cdecl import declare, type_named
from fixtures.ctf import Container
from fixtures.layout import Record
from fixtures.symtab import Symbol as RawSymbol
from fixtures.symtab import symbol_table
from tests.fakes import Debug, FakeGuest, FakeTarget
from vmdebug.symbols.table import Symbol
from vmdebug.types.ctf import CtfModule, CtfTypes

OBJECT = 1
BASE = 0xFFFF_8000_0001_0000


class TypedMemory:
    """`c` declares types and variables; objects are put at addresses; `debug` is a session over them."""

    def __init__(self, c):
        self.types = Container(label="1")
        declare(self.types, c)
        self.memory, self.variables = {}, []

    def put(self, address, data):
        """Bytes, or a record, at an address."""
        self.memory[address] = bytes(data)
        return address

    def object(self, type_name, address=BASE, values=None):
        return self.put(address, bytes(Record(self.types, type_named(self.types, type_name), values or {})))

    def variable(self, name, type_name, address, values=None):
        """An object that a symbol names."""
        self.object(type_name, address, values)
        made = type_named(self.types, type_name)
        self.types.variable(name, made)
        return self.name(name, address, self.types.sizeof(made))

    def name(self, name, address, size=8):
        """A symbol without a type of its own."""
        self.variables.append(RawSymbol(name, address, size, OBJECT, 1, 1))
        return address

    @property
    def kernel(self):
        table = symbol_table(self.variables)
        raw = [(symbol.name, symbol.type, symbol.shndx, symbol.value) for symbol in table.symbols]
        data = self.types.encode(symbols=table.symbols, strings=table.strings)
        return CtfTypes([CtfModule("genunix", lambda: data, lambda: table.strings, lambda: raw)])

    def debug(self, *, kind="fake", physical=None, **options):
        table = symbol_table(self.variables)
        symbols = [
            Symbol(symbol.name, symbol.value, symbol.size, "OBJT", "GLOB", "genunix", number)
            for number, symbol in enumerate(table.symbols)
            if symbol.name
        ]
        guest = FakeGuest(symbols)
        guest.kind, guest.types = kind, self.kernel
        return Debug(FakeTarget(self.memory, physical), guest, **options)
