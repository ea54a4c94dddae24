"""One command's output as lines: columns, fields that wrap at the page's width, a margin, tabs (section 12).

A field wider than what is left of the line starts a new one; padding that would reach the page's width ends it.
"""

from collections.abc import Iterator

from vmdebug.errors import Unwinding

TAB = 8


class Quit(Unwinding):
    """Raised by a pager's write(): the rest of this command's output is not wanted."""


class QuitAll(Quit):
    """Back to the prompt, out of macros too."""


class Page:
    """Collects text; finished lines come out of take(). Without a width nothing wraps."""

    def __init__(self, width: int | None, margin: int = 0) -> None:
        self._width = width
        self._margin = margin
        self._parts: list[str] = []
        self._column = 0
        self._done: list[str] = []

    def field(self, text: str, width: int = 0) -> None:
        """Text padded to a width, on a new line where it does not fit."""
        wide = max(len(text), width)
        if self._width is not None and self._column > self._margin and self._column + wide > self._width:
            self.newline()
        self._put(text)
        if len(text) < width:
            self._blanks(width - len(text))

    def raw(self, text: str) -> None:
        """Text that does not wrap; newlines in it end lines."""
        first, *others = text.split("\n")
        self._put(first)
        for line in others:
            self.newline()
            self._put(line)

    def label(self, text: str, stop: int) -> None:
        """Text that ignores the margin, and blanks up to a multiple of `stop` behind it."""
        self._parts.append(text)
        self._column += len(text)
        self._blanks(-self._column % stop)

    def tab(self, stop: int) -> None:
        """Blanks up to the next multiple of `stop`."""
        stop = max(stop, 1)
        self._indent()
        self._blanks(stop - self._column % stop)

    def newline(self) -> None:
        self._done.append("".join(self._parts))
        self._parts.clear()
        self._column = 0

    def finish(self) -> None:
        """End a line that was begun."""
        if self._parts:
            self.newline()

    def take(self) -> Iterator[str]:
        """The lines that are finished, each once."""
        done, self._done = self._done, []
        yield from done

    def _put(self, text: str) -> None:
        if not text:
            return
        self._indent()
        first, *others = text.split("\t")
        self._parts.append(first)
        self._column += len(first)
        for part in others:
            gap = TAB - self._column % TAB
            self._parts.append(" " * gap + part)
            self._column += gap + len(part)

    def _indent(self) -> None:
        if not self._column and self._margin:
            self._parts.append(" " * self._margin)
            self._column = self._margin

    def _blanks(self, count: int) -> None:
        if self._width is not None and self._column + count >= self._width:
            self.newline()
            return
        self._parts.append(" " * count)
        self._column += count
