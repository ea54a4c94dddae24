"""How errors are told: mdb's words, with our own program's name in front (section 14)."""

from collections.abc import Iterator

from vmdebug.dcmd import Dcmd
from vmdebug.errors import DebuggerError, ImageError, LanguageError, UsageError

PROGRAM = "vmdebug"


def told(
    err: DebuggerError | ImageError, entry: Dcmd | None, source: str, line: int, interactive: bool
) -> Iterator[tuple[str, str]]:
    """The lines for an error: a prefix (empty for a usage line) and the text."""
    if isinstance(err, UsageError):
        if str(err):
            yield f"{PROGRAM}: ", str(err)
        if entry is not None:
            yield "", entry.usage
            if entry.help:
                yield f"{PROGRAM}: ", f"try '::help {entry.name}' for more information"
        return
    text = str(err)
    if isinstance(err, LanguageError) and err.token:
        text += f' near "{err.token}"' if interactive else f' on line {line} of {source} near "{err.token}"'
    yield f"{PROGRAM}: ", text
