"""Values that differ in one bit: ::flipone."""

from collections.abc import Iterator

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Text, dcmd


@dataclass(frozen=True)
class FlippedRow:
    """A value with one bit flipped.

    value: the value
    bit: which bit
    """

    value: Hex
    bit: int


@dcmd("flipone", address="required", text=Text("{value:x}"), row=FlippedRow)
def flipone(call: Call) -> Iterator[FlippedRow]:
    """the values that differ from one in a single bit

    Each of them may be what an address was before a bit of memory failed.

    Example:
        fffffffffbc4b7f0::flipone | ::whatis
    """
    for value in call.addresses:
        for bit in range(call.target.word * 8):
            yield FlippedRow(Hex(value ^ 1 << bit), bit)
