"""Where a session's words go: rows as lines or JSON to one stream, diagnostics to another, both to a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import TextIO

from vmdebug import render
from vmdebug.dcmd import Dcmd, Lines, Row, Show, Text
from vmdebug.lang.output import Quit


class Outlet:
    """Writes; control characters that came from an image do not pass."""

    def __init__(self, out: TextIO, err: TextIO, json: bool) -> None:
        self.out = out
        self.err = err
        self.json = json
        self.log: TextIO | None = None
        self._holding = False
        self.errors: list[str] = []  # of the pipeline that runs

    def line(self, text: str, width: int | None = None) -> None:
        """One line of output, on several where it is wider than a page that wraps."""
        text = render.safe(text)
        while width and len(text) > width:
            cut = text.rfind(" ", 1, width) + 1 or width
            self._write(text[:cut].rstrip(" ") + "\n")
            text = text[cut:]
        self._write(text + "\n")

    def interrupted(self) -> None:
        """A command was stopped: what comes begins on a line of its own."""
        if not self.json:
            self.line("")

    def note(self, text: str) -> None:
        """A line that was typed, for the log."""
        if self.log is not None:
            self.log.write(text if text.endswith("\n") else text + "\n")

    def complain(self, prefix: str, text: str) -> None:
        """One line of diagnostics. Output that was printed before comes before it."""
        self.errors.append(text)
        self._flush(self.out)
        shown = prefix + render.safe(text.replace("\n", "\\n")) + "\n"
        self.err.write(shown)
        self._flush(self.err)
        if self.log is not None:
            self.log.write(shown)

    def emit(self, entry: Dcmd, rows: Iterator[Row], show: Show, chosen: Callable[[], Text | Lines | None]) -> None:
        """What a dcmd yields, as it comes; `chosen` tells, once there is a row, what text it wants instead."""
        if self.json:
            for part in render.json_parts(entry, rows, lambda: self.errors):
                self._write(part)
            self._flush(self.out)
            return
        for line in render.lines(entry, rows, show, chosen):
            self.line(line, show.wrap)

    @contextmanager
    def held(self) -> Iterator[StringIO]:
        """Keep lines back for a while, as text even where rows go out as JSON; diagnostics go where they went."""
        self._flush(self.out)
        before = self.out, self.json, self._holding
        held = StringIO()
        self.out, self.json, self._holding = held, False, True
        try:
            yield held
        finally:
            self.out, self.json, self._holding = before

    def _write(self, text: str) -> None:
        self.out.write(text)
        if self.log is not None and not self._holding:
            self.log.write(text)

    def _flush(self, stream: TextIO) -> None:
        try:
            stream.flush()
        except Quit:  # a pager that was left
            return
