"""Which modules are asked about a file, and in which order: those of this folder, and those that others add.

Every module of this folder with a `probe` takes part: with `open_image` it reads a format, with `unwrap` it finds a
source inside a source, with `open_set` it reads several files as one image. A function that takes a second parameter
gets the Options.

Importing all of them takes longer than opening a file. A module may therefore say in a line HEADS = (b"...", ...) how
its files begin; that line, and ORDER = number, are read from its text, and it is imported only for such files.

add() takes a module from elsewhere, which has the same names and is asked in its ORDER among the others. What it
raises is no harm to the rest: a probe that fails is reported and means no.
"""

import ast
import functools
import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import formats
from formats.errors import ImageError, SourceEnd
from formats.lazy import dataclass
from formats.options import Options
from formats.source import Source

PROBE, READ, UNWRAP = b"\ndef probe(", b"\ndef open_image(", b"\ndef unwrap("
ORDER_LINE = re.compile(rb"^ORDER = (\d+)", re.MULTILINE)
HEADS_LINE = re.compile(rb"^HEADS = (\(.*\))$", re.MULTILINE)
LONGEST_HEAD = 64
DEFAULT_ORDER = 50
WANTED: Mapping[str, Any] = {"NAME": str, "DESCRIPTION": str, "probe": Callable}  # of a module from elsewhere

Report = Callable[[str], None]


class ReaderIncomplete(ImageError):
    """A module from elsewhere that lacks what a reader needs."""

    def __init__(self, origin: str, missing: str) -> None:
        super().__init__(f"{origin}: a format needs NAME, DESCRIPTION, probe, and open_image or unwrap: {missing}")


class ReaderFailed(ImageError):
    """A reader from elsewhere that raised what is no ImageError."""

    def __init__(self, origin: str, name: str, err: Exception) -> None:
        super().__init__(f"{name}: {origin} failed to open it: {_in_a_line(err)}")


def ignore(text: str) -> None:
    """Nothing is told."""


@dataclass(frozen=True)
class Candidate:
    """A module that takes part, as far as its text tells; without `heads` it must be asked about every file.

    One that was added is `held`, and its `origin` says by whom; `report` is told in a line when its probe fails.
    """

    name: str
    order: int
    heads: tuple[bytes, ...]
    reads: bool
    unwraps: bool
    held: Any = None
    origin: str = ""
    report: Report = ignore

    def module(self) -> Any:
        """The module, or what has its names; imported now if it is one of this folder."""
        return self.held or importlib.import_module(f"formats.{self.name}")

    def knows(self, source: Source) -> bool:
        """True if the source is of this format; ImageError if it is, but broken."""
        if self.heads and not source.peek(0, LONGEST_HEAD).startswith(self.heads):
            return False
        return self._answer(source.name, lambda: self.module().probe(source))

    def knows_set(self, sources: Sequence[Source]) -> bool:
        """True if the sources are one image of this format together."""
        module = self.module()
        if not sources or not hasattr(module, "open_set"):
            return False
        belong = getattr(module, "probe_set", None) or (lambda all_: all(module.probe(each) for each in all_))
        return self._answer(sources[0].name, lambda: belong(sources))

    def call(self, name: str, subject: Any, options: Options) -> Any:
        """What a function of the module gives, with the options if it has a parameter for them."""
        try:
            function = getattr(self.module(), name)
            return function(subject, options) if function.__code__.co_argcount > 1 else function(subject)
        except ImageError:
            raise
        except Exception as err:
            if not self.origin:
                raise
            raise ReaderFailed(self.origin, getattr(subject, "name", "the files"), err) from err

    def _answer(self, name: str, probe: Callable[[], Any]) -> bool:
        """What a probe says. One from elsewhere that fails, or reads past the end of a small file, is reported."""
        try:
            return bool(probe())
        except Exception as err:
            if not self.origin or (isinstance(err, ImageError) and not isinstance(err, SourceEnd)):
                raise
            self.report(f"{self.origin}: its probe failed on {name}: {_in_a_line(err)}")
            return False


ADDED: list[Candidate] = []  # filled by add()


def candidates() -> Sequence[Candidate]:
    """Every module with a probe, in order of detection."""
    return sorted([*_own(), *ADDED], key=_place) if ADDED else _own()


def add(module: Any, origin: str, report: Report = ignore) -> Candidate:
    """Ask a module from elsewhere, too; ReaderIncomplete if it is no reader.

    `origin` names it in messages, `report` gets them.
    """
    for name, kind in WANTED.items():
        if not isinstance(getattr(module, name, None), kind):
            raise ReaderIncomplete(origin, f"no {name}")
    reads, unwraps = (callable(getattr(module, name, None)) for name in ("open_image", "unwrap"))
    if not reads and not unwraps:
        raise ReaderIncomplete(origin, "neither open_image nor unwrap")
    heads, order = getattr(module, "HEADS", ()), getattr(module, "ORDER", DEFAULT_ORDER)
    if not isinstance(heads, tuple) or not all(isinstance(head, bytes) for head in heads) or not isinstance(order, int):
        raise ReaderIncomplete(origin, "HEADS is a tuple of bytes, ORDER a number")
    ADDED.append(Candidate(module.NAME, order, heads, reads, unwraps, module, origin, report))
    return ADDED[-1]


def remove(module: Any) -> None:
    """Ask a module from elsewhere no longer."""
    ADDED[:] = [each for each in ADDED if each.held is not module]


@functools.cache
def _own() -> Sequence[Candidate]:
    """The modules of this folder with a probe; the others, parts of readers mostly, are no part of this."""
    found = []
    for folder in formats.__path__:
        for info in pkgutil.iter_modules([folder]):
            text = (Path(folder) / f"{info.name}.py").read_bytes()
            if PROBE in text:
                found.append(_candidate(info.name, text))
    return sorted(found, key=_place)


def _in_a_line(err: Exception) -> str:
    return f"{type(err).__name__}: {next(iter(str(err).splitlines()), '')}".rstrip(": ")


def _place(candidate: Candidate) -> tuple[int, str]:
    return candidate.order, candidate.name


def _candidate(name: str, text: bytes) -> Candidate:
    order, heads = ORDER_LINE.search(text), HEADS_LINE.search(text)
    return Candidate(
        name=name,
        order=int(order[1]) if order else DEFAULT_ORDER,
        heads=ast.literal_eval(heads[1].decode()) if heads else (),
        reads=READ in text,
        unwraps=UNWRAP in text,
    )
