"""The loop: read a line, run it, again; and what the terminal's signals mean in it.

^C ends the line or the command, not the session; ^\\ means something at the prompt only. A hangup or SIGTERM leaves,
with the terminal as it was.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TextIO, cast

from vmdebug.errors import EXIT_OK
from vmdebug.lang.paint import DUMB, wants_colour
from vmdebug.repl.complete import Completions
from vmdebug.repl.history import LineHistory, default_file, lines_kept
from vmdebug.repl.pager import Pager
from vmdebug.repl.reader import EditedReader, PlainReader, Reader
from vmdebug.repl.terminal import Size, ask, kept_modes, window_size

if TYPE_CHECKING:
    from vmdebug.session import Session

SOURCE = "(stdin)"  # with the semantics of typed lines
AGAIN = 1.0  # seconds until a deadly signal is answered once more
MOST_ENDS = 10  # with -o ignoreeof, as many in a row mean that nobody types them


class Shell:
    """One user at one session."""

    def __init__(self, session: "Session", reader: Reader, completions: Completions, pager: Pager | None) -> None:
        self._session = session
        self._reader = reader
        self._completions = completions
        self._pager = pager
        self._size: Size | None = None

    def loop(self) -> int:
        """Until ::quit, or the end of the input."""
        ends = 0
        while not self._session.finished and ends < self._most_ends:
            try:
                ends = 0 if self._turn() else ends + 1
            except KeyboardInterrupt:
                self._session.print("")
        return EXIT_OK

    @property
    def _most_ends(self) -> int:
        return MOST_ENDS if self._session.settings.ignoreeof else 1

    def _turn(self) -> bool:
        """Read and run one line; False at the end of the input."""
        self._follow_window()
        try:
            text = self._reader.read(self._session.prompt)
        except (EOFError, OSError):  # the latter where the terminal has gone
            self._answer_end()
            return False
        except KeyboardInterrupt:
            return True
        if bug := self._completions.take_bug():
            self._report_bug(" in completion", bug)
        self._run(text)
        return True

    def _run(self, text: str) -> None:
        self._follow_window()
        if self._pager:
            self._pager.restart()
        try:
            self._session.run(f"{text}\n", SOURCE)
        except Exception as err:  # noqa: BLE001  # a boundary: a bug ends the command, not the sitting
            self._report_bug("", err)

    def _answer_end(self) -> None:
        if self._session.settings.ignoreeof:
            self._session.warn("the end of input is ignored: type ::quit to leave")

    def _report_bug(self, where: str, bug: Exception) -> None:
        if os.environ.get("VMDEBUG_TRACEBACK"):
            traceback.print_exception(bug)
        self._session.warn(f"internal error{where}: {type(bug).__name__}: {bug} (VMDEBUG_TRACEBACK=1 shows where)")

    def _follow_window(self) -> None:
        """Tell the session the window's size, if it changed: what the user set stays set until then."""
        size = window_size()
        if size != self._size:
            self._size = size
            self._session.settings.height, self._session.settings.width = size


def talk(session: "Session", banner: Sequence[str], history: Path | None) -> int:
    """Read and run lines until the user leaves; the exit status."""
    sink, pager = session.outlet.out, None
    if sys.stdout.isatty():
        pager = Pager(sink, key=ask, size=window_size, enabled=lambda: session.settings.pager)
        session.outlet.out = cast("TextIO", pager)  # of which an outlet uses what a pager has
    completions = Completions(session)
    try:
        with kept_modes(), _signals(pager):
            session.registry.dcmds()  # all are loaded now, so that none complains into a line that is being typed
            for line in banner:
                session.print(line)
            return Shell(session, _reader(session, completions, history), completions, pager).loop()
    finally:
        session.outlet.out = sink


def _reader(session: "Session", completions: Completions, history: Path | None) -> Reader:
    if not sys.stdout.isatty():
        return PlainReader(sys.stderr)
    term = session.settings.term or os.environ.get("TERM", "")
    if term in DUMB:
        return PlainReader(sys.stdout)
    lines = LineHistory(history or default_file(), lines_kept())
    return EditedReader(completions, lines, term=term, colour=wants_colour(term))


@contextmanager
def _signals(pager: Pager | None) -> Iterator[None]:
    """While the shell runs: ^\\ does nothing to a command, a hangup or SIGTERM unwinds everything."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if pager:
            pager.interrupted()
        signal.default_int_handler(number, frame)

    deadly: list[int] = []

    def leave(number: int, _: FrameType | None) -> NoReturn:
        deadly.append(number)
        signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)  # what unwinds may be caught on its way, or wait
        sys.exit(128 + number)

    wanted: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        signal.SIGINT: interrupt,
        signal.SIGQUIT: lambda *_: None,
        signal.SIGTERM: leave,
        signal.SIGHUP: leave,
        signal.SIGALRM: lambda number, _: sys.exit(128 + (*deadly, number)[0]),
    }
    saved = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in saved.items():
            signal.signal(number, handler)
