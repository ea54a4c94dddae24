"""Shell commands: `!`, the user's own words to the user's own shell. Nothing from an image gets here but as input."""

import os
from collections.abc import Iterable, Iterator
from typing import TextIO


def run(command: str, lines: Iterable[str] | None, out: TextIO) -> int:
    """Run a command with the given input, or the terminal's, and its output where ours goes; its status."""
    import subprocess

    out.flush()
    if not _is_file(out):
        out.write("\n".join([*read(command, lines), ""]))
        return 0
    if lines is None:
        return subprocess.run(_words(command), check=False).returncode
    with subprocess.Popen(_words(command), stdin=subprocess.PIPE, text=True, errors="backslashreplace") as process:
        assert process.stdin is not None
        try:
            for line in lines:
                process.stdin.write(line + "\n")
            process.stdin.close()
        except BrokenPipeError:
            process.stdin = None
    return process.returncode


def read(command: str, lines: Iterable[str] | None) -> Iterator[str]:
    """The lines that a command prints."""
    import subprocess

    text = "".join(f"{line}\n" for line in lines) if lines is not None else ""
    done = subprocess.run(
        _words(command), input=text, stdout=subprocess.PIPE, check=False, text=True, errors="backslashreplace"
    )
    yield from done.stdout.splitlines()


def _words(command: str) -> list[str]:
    return [os.environ.get("SHELL") or "/bin/sh", "-c", command]


def _is_file(out: TextIO) -> bool:
    """True if a child's output can go where ours goes."""
    try:
        return out.fileno() == 1
    except (OSError, AttributeError, ValueError):
        return False
