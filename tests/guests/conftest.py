"""A small illumos kernel made by hand: debug_info, modctls, symbol tables, without type data."""

import struct

import pytest

from fixtures import Guest
from fixtures.symtab import FUNC, GLOBAL, OBJECT, Symbol, symbol_table
from formats.opener import open_image
from vmdebug.targets.target import Target

DEBUG_INFO = 0xFFFF_FFFF_FB7F_F000
DATA = 0xFFFF_FFFF_FBC0_0000
MODCTLS = DATA  # one a page, so that a test can leave one out
UTSNAME = DATA + 0x9_0000
TABLES = DATA + 0x10_0000
MODULE_STEP = 0x1_0000


class Kernel:
    """Modules in a ring; every part may be spoilt before the dump is made."""

    def __init__(self, path):
        self.path = path
        self.guest = Guest(memory="16M", seed=7)
        self.guest.map(DEBUG_INFO)
        self.guest.map(DATA, count=0x40)
        self.guest.map(UTSNAME)
        self.count = 0
        self.info = {"magic": 0xDEB1_16ED, "version": 1, "modules": MODCTLS}
        self.names = ("SunOS", "sxc16", "5.11", "onnv-johnlev", "i86pc")

    def modctl(self, number):
        return MODCTLS + 0x1000 * number

    def module(self, name, symbols=(), **changed):
        """Add a module with these symbols: (name, value, size, type)."""
        number, self.count = self.count, self.count + 1
        base = TABLES + MODULE_STEP * number
        self.guest.map(base, count=MODULE_STEP >> 12)
        entries = [Symbol(each, value, size, kind, GLOBAL, 1) for each, value, size, kind in symbols]
        table = symbol_table(entries)
        symtab, strtab = base + 0x1000, base + 0x4000
        self.guest.write(symtab, table.data)
        self.guest.write(strtab, table.strings)
        self.guest.write(base + 0x800, struct.pack("<16xQ8xQ24x", symtab, len(table.data)))
        self.guest.write(base + 0x840, struct.pack("<16xQ8xQ24x", strtab, len(table.strings)))
        self.guest.write(base + 0x900, name.encode() + b"\0")
        self.guest.write(base + 0x980, b"a driver\0")
        fields = {
            "symhdr": base + 0x800, "strhdr": base + 0x840, "flags": 0x1000, "text": 0x1000 * (number + 1),
            "text_size": 0x800, "data": 0x2000, "data_size": 0x100, "linkage": base + 0x9C0, **changed,
        }  # fmt: skip
        self.guest.write(base + 0x9C0, struct.pack("<i4xQ", 1, base + 0x9E0))
        self.guest.write(base + 0x9E0, struct.pack("<QQ", 0, base + 0x980))
        self._struct_module(base, fields)
        place = self.modctl(number)
        self.guest.write(place + 16, struct.pack("<i4xQ", number, fields.get("mp", base)))
        self.guest.write(place + 48, struct.pack("<QQQ", fields["linkage"], 0, fields.get("modname", base + 0x900)))
        return base

    def _struct_module(self, base, fields):
        sections = {"symhdr": 80, "strhdr": 88, "symsize": 104, "symspace": 112, "symtbl": 168, "strings": 176}
        areas = {"text_size": 128, "data_size": 136, "text": 144, "data": 152, "ctfdata": 272, "ctfsize": 280}
        offsets = {**sections, **areas, "flags": 120}
        for name, offset in offsets.items():
            self.guest.write(base + offset, struct.pack("<Q", fields.get(name, 0)))

    def link(self, following=None):
        """Close the ring; `following` overrides which modctl comes after one."""
        for number in range(self.count):
            after = (following or {}).get(number, self.modctl((number + 1) % self.count))
            before = self.modctl((number - 1) % self.count)
            self.guest.write(self.modctl(number), struct.pack("<QQ", after, before))

    def target(self, following=None):
        """The finished dump, opened."""
        self.link(following)
        self.guest.write(
            DEBUG_INFO, struct.pack("<IIQ", self.info["magic"], self.info["version"], self.info["modules"])
        )
        self.guest.write(UTSNAME, b"".join(name.encode().ljust(257, b"\0") for name in self.names))
        self.guest.vcpu(rip=0xFFFF_FFFF_FB80_0000, rsp=DATA)
        self.guest.save(self.path)
        return Target(open_image(self.path))


@pytest.fixture
def kernel(tmp_path):
    """An empty kernel under construction."""
    return Kernel(tmp_path / "core")


@pytest.fixture
def booted(kernel):
    """A kernel with three modules and a node name."""
    kernel.module("unix", [("utsname", UTSNAME, 257 * 5, OBJECT), ("kas", 0x2000, 64, OBJECT)])
    kernel.module("genunix", [("cv_wait", 0x2000, 0x80, FUNC)])
    kernel.module("xdf", [("xdf_intr", 0x3000, 0x40, FUNC)])
    return kernel
