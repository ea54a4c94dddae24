"""A session typed at a real terminal, and what the terminal showed: `python -m bench.transcript IMAGE [command ...]`.

`make demo` prints one, and the README's is checked against it, so neither can be a mock-up.
"""

import os
import pty
import re
import select
import sys
import time
from collections.abc import Sequence

COMMANDS = ("::status", "::cpuinfo", "::evtchns", "::cpustack -c 0")
PROMPT = "> "
PATIENCE = 120.0  # seconds for one answer, on the slowest machine
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


def record(arguments: Sequence[str], commands: Sequence[str]) -> str:
    """What a terminal shows of `vmdebug arguments` with the commands typed at its prompt."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="dumb", COLUMNS="80", LINES="1000", HISTFILE="")
        os.execv(sys.executable, [sys.executable, "-m", "vmdebug", "-S", "-o", "nopager", *arguments])
    shown = [f"$ vmdebug {' '.join(arguments)}\n", _answer(terminal)]
    for command in commands:
        os.write(terminal, command.encode() + b"\r")
        shown.append(_answer(terminal))
    os.write(terminal, b"::quit\r")
    os.waitpid(child, 0)
    os.close(terminal)
    return _tidy("".join(shown))


def _answer(terminal: int) -> str:
    """All that is shown until the next prompt."""
    text, end = "", time.monotonic() + PATIENCE
    while not re.search(r"(^|\n)> $", ESCAPES.sub("", text)):
        if time.monotonic() > end or not select.select([terminal], [], [], PATIENCE)[0]:
            raise TimeoutError(f"no prompt after {text[-200:]!r}")
        try:
            text += os.read(terminal, 4096).decode()
        except OSError:  # the program ended: Linux says so with EIO
            break
    return text


def _tidy(text: str) -> str:
    lines = ESCAPES.sub("", text).split("\n")
    return "\n".join(line.rstrip() for line in lines[:-1]) + "\n"


if __name__ == "__main__":
    print(record(sys.argv[1:2], sys.argv[2:] or COMMANDS), end="")
