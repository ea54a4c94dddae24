"""The lines that were typed, kept from one session to the next.

The file is plain text, a line each, the latest last, readable by its user only. Sessions append to it at the same time;
one that starts shortens it when it has grown to twice what is kept. Where it cannot be written, history lasts as long
as the session.
"""

import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.history import History

DEFAULT_LINES = 128  # mdb's HISTSIZE
MAX_BYTES = 4 << 20  # of the file, whatever HISTSIZE says


def default_file() -> Path | None:
    """The history file in the user's state directory (XDG base directory specification); None without a home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return folder / "vmdebug" / "history"


def lines_kept() -> int:
    """HISTSIZE, at least 1; the default where it is no number."""
    text = os.environ.get("HISTSIZE", "")
    return max(1, int(text)) if text.isdecimal() else DEFAULT_LINES


class LineHistory(History):
    """At most `limit` lines, in memory and in the file. Empty lines and repetitions of the last are not stored."""

    def __init__(self, path: Path | None, limit: int) -> None:
        super().__init__()
        self._path = path
        self._limit = limit
        self._lines = self._read()

    async def load(self) -> AsyncGenerator[str, None]:
        for line in self.load_history_strings():
            yield line

    def load_history_strings(self) -> Iterable[str]:
        return self._lines[::-1]

    def get_strings(self) -> list[str]:
        """The lines, oldest first."""
        return list(self._lines)

    def append_string(self, string: str) -> None:
        """Store what was typed; pasted text of several lines becomes several."""
        for line in string.split("\n"):
            if line.strip() and self._lines[-1:] != [line]:
                self._lines.append(line)
                self.store_string(line)
        del self._lines[: -self._limit]

    def store_string(self, string: str) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self._path, os.O_APPEND, [string])
        except OSError:
            self._path = None

    def latest_with(self, text: str, skip: int = 0) -> str | None:
        """The latest line that contains the text, or the one `skip` different matches before it."""
        found = dict.fromkeys(line for line in reversed(self._lines) if text in line)
        return next((line for at, line in enumerate(found) if at == skip), None)

    def _read(self) -> list[str]:
        """The last lines of the file, oldest first; the file shortened where it has grown long."""
        if self._path is None:
            return []
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - MAX_BYTES))
                lines = file.read(MAX_BYTES).decode("utf-8", "replace").split("\n")[:-1]
        except OSError:
            return []
        kept = lines[-self._limit :]
        if len(lines) >= 2 * self._limit or size > MAX_BYTES:
            self._rewrite(self._path, kept)
        return kept

    @staticmethod
    def _rewrite(path: Path, lines: list[str]) -> None:
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(OSError):
            _write(partial, os.O_TRUNC, lines)
            partial.replace(path)


def _write(path: Path, how: int, lines: list[str]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600), "wb") as file:
        file.write(data)
