"""A place in a source that moves forward: big-endian numbers, names, and a window for tight loops."""

import struct

from formats.errors import ImageDamaged, SourceEnd
from formats.source import Source

WINDOW = 1 << 24  # bytes looked at together; no copy where the source is mapped
U16, U32, U64 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">Q")


class Cursor:
    """`at` is the next byte to be read. Past the end, every method raises SourceEnd."""

    def __init__(self, source: Source, at: int = 0) -> None:
        self.source = source
        self.at = at
        self._start = 0
        self._view = memoryview(b"")

    def window(self, size: int) -> tuple[memoryview, int]:
        """A view with at least `size` bytes from here on, and where in it they begin."""
        inside = self.at - self._start
        if inside < 0 or inside + size > len(self._view):
            if self.at + size > self.source.size:
                raise SourceEnd(self.source.name, self.at, size, self.source.size)
            self._view = self.source.view(self.at, min(max(WINDOW, size), self.source.size - self.at))
            self._start, inside = self.at, 0
        return self._view, inside

    def u8(self) -> int:
        view, inside = self.window(1)
        self.at += 1
        return view[inside]

    def u16(self) -> int:
        return self._number(U16)

    def u32(self) -> int:
        return self._number(U32)

    def u64(self) -> int:
        return self._number(U64)

    def text(self, size: int) -> str:
        """`size` bytes as text; names of a stream are ASCII."""
        view, inside = self.window(size)
        self.at += size
        return bytes(view[inside : inside + size]).decode("latin-1")

    def name(self) -> str:
        """A name behind its length in one byte."""
        return self.text(self.u8())

    def skip(self, size: int) -> None:
        """Moves on; the bytes must be there."""
        if self.at + size > self.source.size:
            raise SourceEnd(self.source.name, self.at, size, self.source.size)
        self.at += size

    def damaged(self, what: str, at: int | None = None) -> ImageDamaged:
        """An error that says where in the stream it is."""
        return ImageDamaged(f"{self.source.name}: {what}, at offset {self.at if at is None else at:#x} of the stream")

    def _number(self, layout: struct.Struct) -> int:
        view, inside = self.window(layout.size)
        self.at += layout.size
        number: int = layout.unpack_from(view, inside)[0]
        return number
