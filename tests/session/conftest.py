"""`debug(...)`: a session over a few bytes of memory, with three symbols and dcmds that tell how they are called."""

from dataclasses import dataclass

import pytest

from formats.frames import Vaddr
from tests.fakes import Debug, FakeGuest, FakeTarget, Registry, language, symbol
from vmdebug.dcmd import Flag, Hex, Text, dcmd, walker
from vmdebug.errors import Abort, DebuggerError

MEMORY = {0x1000: bytes(range(64)), 0x7FFF_FFFF_FFFF_FF00: bytes(0x200), 0x5000: b"text\0more\0"}


@dataclass(frozen=True)
class Seen:
    """How a dcmd was called.

    address: where
    count: how often
    """

    address: Vaddr | None
    count: int
    note: str = ""


@dataclass(frozen=True)
class Many:
    """Every kind of value.

    address: an address
    """

    address: Vaddr
    number: int
    mask: Hex
    nothing: Hex | None
    name: str
    listed: list[Vaddr]
    inner: Seen
    flag: bool


class Language(Registry):
    """The language's dcmds, and the test's own."""

    def dcmd(self, name, guest=None):
        return super().dcmd(name, guest) or language().dcmd(name, guest)

    def walker(self, name, guest=None):
        return super().walker(name, guest) or language().walker(name, guest)


def registry():
    held = Language()
    log = []

    @dcmd("seen", address="optional", row=Seen, text=Text("{address:x} {count}", head="AT COUNT"), registry=held)
    def seen(call):
        """tell how it is called

        A dcmd for tests.
        """
        log.append(call.address)
        yield Seen(call.address, call.count or 0)

    @dcmd("place", address="optional", row=Seen, text=Text("{address:x}"), registry=held)
    def place(call):
        """tell dot"""
        yield Seen(Vaddr(call.session.dot), 0)

    @dcmd("step", address="optional", row=Seen, text=Text("{address:x}"), registry=held)
    def step(call):
        """go on by 8"""
        call.leave_dot(call.session.dot, 8)
        yield Seen(Vaddr(call.session.dot), 0)

    @dcmd("needs", address="required", synopsis="[-v]", flags=(Flag("v", "more"),), registry=held)
    def needs(call):
        """need an address

        There must be one.
        """

    @dcmd("bare", registry=held)
    def bare(call):
        """take no address"""

    @dcmd("fails", address="required", row=Seen, text=Text("{address:x}"), registry=held)
    def fails(call):
        """fail at odd addresses"""
        if call.address % 2:
            raise DebuggerError(f"{call.address:x} is odd")
        yield Seen(call.address, 0)

    @dcmd("aborts", address="required", row=Seen, text=Text("{address:x}"), registry=held)
    def aborts(call):
        """stop at odd addresses"""
        if call.address % 2:
            raise Abort(f"{call.address:x} is odd")
        yield Seen(call.address, 0)

    @dcmd("whole", whole=True, row=Seen, address="optional", text=Text("{count}"), registry=held)
    def whole(call):
        """take all addresses at once"""
        yield Seen(None, len(call.addresses))

    @dcmd("many", row=Many, text=Text("{address:a} {number:>4} {mask:#x} {nothing:x} {name}"), registry=held)
    def many(call):
        """give every kind of value"""
        yield Many(Vaddr(0x1000), 16, Hex(16), None, "n\x1b", [Vaddr(1)], Seen(None, 3, "x"), True)

    @dcmd("untold", row=Seen, registry=held)
    def untold(call):
        """say nothing of its text"""
        yield Seen(Vaddr(0x10), 3, "x")

    @dcmd("interrupted", row=Seen, text=Text("{count}"), registry=held)
    def interrupted(call):
        """be interrupted behind a row"""
        yield Seen(None, 1)
        raise KeyboardInterrupt

    @walker("numbers", start="optional", registry=held)
    def numbers(call):
        """walk four numbers"""
        start = call.address or 0x10
        for number in range(start, start + 4):
            log.append(f"walk {number:x}")
            yield number

    @walker("needy", start="required", registry=held)
    def needy(call):
        """need a start"""
        yield call.address

    @walker("free", registry=held)
    def free(call):
        """take no start"""
        yield 1

    held.log = log
    return held


@pytest.fixture
def debug():
    def make(**options):
        registers = {"rip": 0x1004, "rax": 0x1122}
        target = FakeTarget(MEMORY, {0x100: b"physical memory!"}, registers)
        main, own = [symbol("base", 0x1000, 16), symbol("low", 3, 0)], [symbol("own", 0x1020, 8, module="mod")]
        guest = FakeGuest(main, own, registers)
        return Debug(options.pop("target", target), options.pop("guest", guest), registry(), **options)

    return make
