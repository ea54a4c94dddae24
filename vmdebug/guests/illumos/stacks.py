"""Stack frames of the kernel, with the arguments that its functions saved.

A function's arguments are known by its prototype in the type data; where they lie, by its prologue.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError
from vmdebug.types.model import Aggregate, Function, Type
from vmdebug.unwind.arguments import PROLOGUE, saved_arguments
from vmdebug.unwind.frames import Frame, each_frame

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

IN_REGISTERS = 16  # bytes of a structure that is passed in registers, System V ABI, AMD64 supplement, 3.2.3
TESTED = 5  # arguments that may not be such structures


def each_call(guest: "Illumos", registers: Mapping[str, int], arguments: bool) -> Iterator[Frame]:
    """The frames from a point on; a panic of the hypervisor marks frames in its own way."""
    marks = (guest.find_variable("xpv_panicking", signed=True) or 0) > 0
    for frame in each_frame(guest.target.read, registers.get("rbp", 0), registers.get("rip", 0), marks=marks):
        known = arguments and frame.fp and not frame.reason
        yield replace(frame, arguments=find_arguments(guest, frame)) if known else frame


def find_arguments(guest: "Illumos", frame: Frame) -> Sequence[int]:
    """The arguments of a frame's function; none where its prototype is unknown or it did not save them."""
    near = guest.symbols.nearest(frame.pc)
    if near is None:
        return ()
    symbol, _ = near
    try:
        function = guest.types.function(symbol)
        if function is None or not all(_whole(argument.type) for argument in function.arguments[:TESTED]):
            return ()
        code = guest.target.read(symbol.value, min(frame.pc - symbol.value, PROLOGUE))
    except DebuggerError:
        return ()
    return saved_arguments(guest.target.read, frame.fp, code, len(function.arguments), _hidden(function))


def _whole(type_: Type) -> bool:
    """False for a structure that is passed in pieces."""
    return not isinstance(type_.resolve(), Aggregate) or type_.size > IN_REGISTERS


def _hidden(function: Function) -> int:
    """1 for a function whose first register is the place for the structure that it returns."""
    return int(isinstance(function.returns.resolve(), Aggregate) and function.returns.size > IN_REGISTERS)
