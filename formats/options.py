"""What the user allows and prefers when an image is opened; handed to every reader and container that asks for it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from formats.cache import Cache
from formats.lazy import dataclass

Progress = Callable[[str, int, int], None]  # what is done, how far, out of how much


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Options:
    """Choices of one opening; the defaults allow nothing and keep nothing."""

    snapshot: str | None = None
    allow_backing: Sequence[Path] = ()  # files and directories outside the image's own that it may name
    cache: Cache | None = None
    page_cache: int = 64 << 20  # bytes of decompressed pages kept in memory
    progress: Progress = silent


DEFAULTS = Options()
