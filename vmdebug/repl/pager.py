"""Output to a terminal, a screenful at a time.

A Pager stands where a session writes. When a screen is full and more is to come it asks, and reads one key: a page, a
line, all the rest, or no more. It counts the lines of the screen, so a long line counts as the ones that it fills.
"""

import re
from collections.abc import Callable
from typing import Protocol

from prompt_toolkit.utils import get_cwidth

from vmdebug.lang.output import Quit, QuitAll
from vmdebug.repl.terminal import Size, harmless

KEYS = " \r\nnqca"
QUESTION = ">> More [<space>, <cr>, q, n, c, a] ? "
TAB = 8
PIECE = re.compile(r"\x1b\[[0-9;]*m|.", re.DOTALL)  # a colour or a character


class Sink(Protocol):
    """Where text goes in the end."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...
    def fileno(self) -> int: ...


class Pager:
    """A session's `out`. `key` asks by calling what it is given, and waits for one of the keys.

    `size` is the window's, `enabled` says whether to ask at all.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        key: Callable[[Callable[[], None], str], str],
        size: Callable[[], Size],
        enabled: Callable[[], bool],
    ) -> None:
        self._sink = sink
        self._key = key
        self._size = size
        self._enabled = enabled
        self._column = 0
        self._room = 0
        self._width = 0
        self._endless = True
        self.restart()

    def restart(self) -> None:
        """A new top-level command begins: the screen counts as empty."""
        size = self._size()
        self._width = size.columns
        self._room = size.rows - 1
        self._column = 0
        self._endless = False

    def interrupted(self) -> None:
        """The command was: what it still says is not asked for."""
        self._endless = True

    def write(self, text: str) -> int:
        """Write text, asking where a screen is full; Quit and QuitAll say that no more is wanted."""
        if self._endless or not self._enabled():
            self._sink.write(harmless(text))
            return len(text)
        for line in text.splitlines(keepends=True):
            self._write_line(harmless(line))
        return len(text)

    def flush(self) -> None:
        self._sink.flush()

    def fileno(self) -> int:
        """The terminal's, for children that write to it themselves."""
        return self._sink.fileno()

    def _write_line(self, line: str) -> None:
        """Write one line as the rows that it takes on the screen."""
        body, newline = (line[:-1], "\n") if line.endswith("\n") else (line, "")
        *full, last = self._rows(body)
        for row in full:
            self._write_row(row)
            self._room -= 1
        self._write_row(last + newline)
        if newline:
            self._room -= 1
            self._column = 0

    def _write_row(self, row: str) -> None:
        if self._room <= 0 and not self._endless:
            self._ask()
        self._sink.write(row)

    def _rows(self, text: str) -> list[str]:
        """The text in pieces that each end where a row of the screen does; the column moves to the end of the last."""
        if self._column + len(text) <= self._width and text.isascii() and text.isprintable():
            self._column += len(text)
            return [text]
        rows = [""]
        for piece in PIECE.findall(text):
            cells = self._cells(piece)
            if self._column + cells > self._width:
                self._column = 0
                rows.append("")
            rows[-1] += piece
            self._column += cells
        return rows

    def _cells(self, piece: str) -> int:
        """How many columns a character takes where it stands, or a colour."""
        if piece == "\t":
            return min(TAB - self._column % TAB, self._width - self._column)
        return 0 if piece.startswith("\x1b") else get_cwidth(piece)

    def _ask(self) -> None:
        """Ask what to do with a full screen, and do it."""
        question = QUESTION[: self._size().columns - 1]
        try:
            answer = self._key(lambda: self._show(question), KEYS)
        except KeyboardInterrupt:
            answer = "q"
        self._show(f"\r{' ' * len(question)}\r")
        size = self._size()  # the window may have changed meanwhile
        self._width = size.columns
        self._obey(answer, size)

    def _show(self, text: str) -> None:
        self._sink.write(text)
        self._sink.flush()

    def _obey(self, key: str, size: Size) -> None:
        match key:
            case " ":
                self._room = size.rows - 1
            case "c":
                self._endless = True
            case "q":
                self._room, self._endless = size.rows - 1, False
                raise Quit
            case "a" | "":  # or the terminal has gone
                raise QuitAll
            case _:
                self._room = 1
