"""How the user names an image: a file, `file@snapshot`, or `file@0xADDRESS` for a piece of raw memory."""

import re
from pathlib import Path

from formats.lazy import dataclass

ADDRESS = re.compile(r"0x[0-9a-fA-F]{1,16}")


@dataclass(frozen=True)
class Name:
    """A file, and what stands behind its `@`."""

    path: Path
    snapshot: str | None = None
    address: int | None = None


def parse_name(text: Path | str) -> Name:
    """A file that exists under the whole name is meant; else what is before the last `@` that gives a file."""
    path = Path(text)
    if path.exists() or "@" not in str(text):
        return Name(path)
    parts = str(text).split("@")
    for count in range(len(parts) - 1, 0, -1):
        head, tail = "@".join(parts[:count]), "@".join(parts[count:])
        if head and tail and Path(head).exists():
            found = ADDRESS.fullmatch(tail)
            return Name(Path(head), address=int(tail, 16)) if found else Name(Path(head), snapshot=tail)
    return Name(path)
