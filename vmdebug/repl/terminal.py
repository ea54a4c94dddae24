"""The terminal itself: its size, single keys, and text that cannot harm it.

Nothing here draws; prompt_toolkit does while a line is edited, and the pager counts lines.
"""

import os
import re
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NamedTuple

SMALLEST = (2, 8)  # rows and columns below which a window is taken for one that does not say its size
CONTROL = re.compile(  # C0 and C1 but tab and newline, an escape that begins no colour, marks that turn writing round
    r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    r"|\x1b(?!\[[0-9;]*m)"
)


class Size(NamedTuple):
    """A window's lines and columns."""

    rows: int = 24
    columns: int = 80


def window_size() -> Size:
    """The size of the window behind stdout; 24 by 80 where it does not say."""
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return Size()
    return Size(rows, columns) if rows >= SMALLEST[0] and columns >= SMALLEST[1] else Size()


def harmless(text: str) -> str:
    """The text with nothing in it that moves a cursor, rings or reprograms: colours, tabs and newlines stay."""
    return CONTROL.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\{code:03o}" if code < 0x100 else f"\\u{code:04x}"


def ask(show: Callable[[], None], keys: str) -> str:
    """Wait for one of the keys, unechoed; empty when the terminal has gone. ^C and ^Z keep their meaning.

    `show` puts the question on the screen: when keys are read, and again when the program was stopped and goes on.
    """
    with _one_key_at_a_time(sys.stdin.fileno(), show) as fd:
        while True:
            try:
                key = os.read(fd, 1).decode("latin-1")
            except OSError:
                return ""
            if not key or key in keys:
                return key


@contextmanager
def kept_modes() -> Iterator[None]:
    """Leaves the terminal in the modes that it was found in, wherever a signal broke off what had changed them."""
    fd = sys.stdin.fileno()
    saved = termios.tcgetattr(fd) if os.isatty(fd) else None
    try:
        yield
    finally:
        if saved is not None:
            with suppress(termios.error):  # the terminal may be gone: a hangup
                termios.tcsetattr(fd, termios.TCSADRAIN, saved)


@contextmanager
def _one_key_at_a_time(fd: int, resumed: Callable[[], None]) -> Iterator[int]:
    """The terminal without line editing; again so after the program was stopped."""
    saved = termios.tcgetattr(fd)

    def resume(_number: int, _frame: FrameType | None) -> None:
        with _held_back(signal.SIGCONT):
            tty.setcbreak(fd, termios.TCSADRAIN)
            resumed()

    handler = signal.signal(signal.SIGCONT, resume)
    try:
        resume(0, None)
        yield fd
    finally:
        signal.signal(signal.SIGCONT, handler)
        termios.tcsetattr(fd, termios.TCSADRAIN, saved)


@contextmanager
def _held_back(number: signal.Signals) -> Iterator[None]:
    """The signal's handler waits: it would write in the middle of what is being written."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
