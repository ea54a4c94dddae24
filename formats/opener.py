"""Finds the reader that knows a file, through any containers around the image.

Every module of this folder with a `probe` takes part: with `open_image` it reads a format, with `unwrap` it finds a
source inside a source, with `open_set` it reads several files as one image. A function that takes a second parameter
gets the Options. What a source from a container has in `notes` and `warnings` becomes part of the image.

Importing all of them takes longer than opening a file. A module may therefore say in a line HEADS = (b"...", ...) how
its files begin; that line, and ORDER = number, are read from its text, and it is imported only for such files.
"""

import ast
import functools
import importlib
import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import formats
from formats.errors import ImageDamaged, ImageError, ImageNotSupported, ImageUnknown
from formats.image import About, Fact, Image, Note
from formats.lazy import dataclass
from formats.names import Name, parse_name
from formats.options import DEFAULTS, Options, Progress, silent
from formats.source import FileSource, Source

if TYPE_CHECKING:
    from formats.qcow2_disk import Disk

MAX_WRAPPERS = 8  # containers inside containers; real files have three at most
PROBE, READ, UNWRAP = b"\ndef probe(", b"\ndef open_image(", b"\ndef unwrap("
ORDER_LINE = re.compile(rb"^ORDER = (\d+)", re.MULTILINE)
HEADS_LINE = re.compile(rb"^HEADS = (\(.*\))$", re.MULTILINE)
LONGEST_HEAD = 64
DEFAULT_ORDER = 50
CONTAINER = "container"  # the name of the fact that a container adds


@dataclass(frozen=True)
class Candidate:
    """A module that takes part, as far as its text tells; without `heads` it must be asked about every file."""

    name: str
    order: int
    heads: tuple[bytes, ...]
    reads: bool
    unwraps: bool

    def module(self) -> ModuleType:
        return importlib.import_module(f"formats.{self.name}")

    def knows(self, source: Source) -> bool:
        """True if the source is of this format; ImageError if it is, but broken."""
        if self.heads and not source.peek(0, LONGEST_HEAD).startswith(self.heads):
            return False
        return bool(self.module().probe(source))


@dataclass(frozen=True)
class Unwrapped:
    """The innermost source, and the containers around it, the outermost first."""

    source: Source
    containers: Sequence[ModuleType]
    notes: Sequence[Note] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Description:
    """What a file is. `format` is empty and `error` says why where there is no image in it that can be opened."""

    name: str
    size: int
    containers: Sequence[tuple[str, str]]
    format: str
    description: str
    vcpus: int
    facts: Sequence[Fact]
    warnings: Sequence[str]
    error: str


@functools.cache
def readers() -> Sequence[ModuleType]:
    """The modules that read a format, in order of detection."""
    return [candidate.module() for candidate in _candidates() if candidate.reads]


@functools.cache
def wrappers() -> Sequence[ModuleType]:
    """The modules that find a source inside a source, in order of detection."""
    return [candidate.module() for candidate in _candidates() if candidate.unwraps]


def open_image(
    *names: Path | str,
    snapshot: str | None = None,
    allow_backing: Sequence[Path | str] = (),
    cache_dir: Path | None = None,
    page_cache: int = DEFAULTS.page_cache,
    progress: Progress = silent,
) -> Image:
    """The image in a file, or in several files together, whatever its format.

    A name may end in `@snapshot`, or in `@0xADDRESS` for a piece of raw memory that begins there. Without `cache_dir`
    nothing is kept between runs. ImageError if no format is known, or the files are broken.
    """
    options = make_options(snapshot, allow_backing, cache_dir, page_cache, progress)
    parsed = [parse_name(name) for name in names]
    if any(name.address is not None for name in parsed):
        return _open_pieces(parsed)
    if len(parsed) == 1 and parsed[0].snapshot is not None:
        options = replace(options, snapshot=parsed[0].snapshot)
    if len(parsed) == 1:
        return open_source(FileSource(parsed[0].path), options)
    return open_sources([FileSource(name.path) for name in parsed], options)


def make_options(
    snapshot: str | None = None,
    allow_backing: Sequence[Path | str] = (),
    cache_dir: Path | None = None,
    page_cache: int = DEFAULTS.page_cache,
    progress: Progress = silent,
) -> Options:
    """The same choices in one."""
    from formats.cache import Cache

    cache = Cache(cache_dir) if cache_dir else None
    return Options(snapshot, [Path(path) for path in allow_backing], cache, page_cache, progress)


def open_source(source: Source, options: Options = DEFAULTS) -> Image:
    """The image in a source, containers removed."""
    inner = unwrap_all(source, options)
    reader = _reader_of(inner.source)
    if reader is None:
        raise ImageUnknown(inner.source.name, inner.source.peek(0, 8))
    if options.snapshot is not None and not any(hasattr(module, "TAKES_SNAPSHOT") for module in inner.containers):
        raise ImageNotSupported(f"{source.name}: no snapshot {options.snapshot!r}: only qcow2 images have snapshots")
    image: Image = _call(reader.open_image, inner.source, options)
    return _finished(image, inner)


def open_sources(sources: Sequence[Source], options: Options = DEFAULTS) -> Image:
    """The image that several sources make up together."""
    inner = [unwrap_all(source, options) for source in sources]
    bare = [one.source for one in inner]
    for reader in readers():
        belongs = getattr(reader, "probe_set", None) or functools.partial(_all_probed, reader)
        if hasattr(reader, "open_set") and belongs(bare):
            image: Image = _call(reader.open_set, bare, options)
            return _finished(image, inner[0])
    said = ", ".join(source.name for source in sources) or "no file"
    raise ImageNotSupported(f"{said}: no format is known that these make up together")


def unwrap_all(source: Source, options: Options = DEFAULTS) -> Unwrapped:
    """The source inside all containers."""
    containers: list[ModuleType] = []
    notes: list[Note] = []
    warnings: list[str] = []
    while wrapper := _wrapper_of(source):
        if len(containers) == MAX_WRAPPERS:
            raise ImageDamaged(f"{source.name}: more than {MAX_WRAPPERS} containers inside each other")
        containers.append(wrapper)
        source = _call(wrapper.unwrap, source, options)
        notes += getattr(source, "notes", ())
        warnings += getattr(source, "warnings", ())
    return Unwrapped(source, containers, notes, warnings)


def describe(
    name: Path | str,
    *,
    allow_backing: Sequence[Path | str] = (),
    cache_dir: Path | None = None,
    progress: Progress = silent,
) -> Description:
    """What a file is, container by container, and the image in it as far as it can be opened."""
    parsed = parse_name(name)
    options = make_options(parsed.snapshot, allow_backing, cache_dir, progress=progress)
    outer = FileSource(parsed.path)
    source: Source = outer
    containers: list[tuple[str, str]] = []
    facts: list[Fact] = []
    about: About | None = None
    vcpus, error = 0, ""
    try:
        while len(containers) < MAX_WRAPPERS and (wrapper := _wrapper_of(source)):
            containers.append((wrapper.NAME, wrapper.DESCRIPTION))
            facts += _call(wrapper.describe, source, options) if hasattr(wrapper, "describe") else []
            source = _call(wrapper.unwrap, source, options)
        image = open_source(outer, options)
        about, vcpus = image.about, len(image.vcpus)
    except ImageError as err:
        error = str(err)
    return Description(
        name=outer.name,
        size=outer.size,
        containers=containers,
        format=about.format if about else "",
        description=about.description if about else "",
        vcpus=vcpus,
        facts=[*facts, *(fact for fact in (about.facts if about else ()) if fact.name != CONTAINER)],
        warnings=about.warnings if about else (),
        error=error,
    )


def open_disk(
    name: Path | str,
    *,
    snapshot: str | None = None,
    allow_backing: Sequence[Path | str] = (),
    cache_dir: Path | None = None,
) -> "Disk":
    """The disk of a virtual machine in a qcow2 or raw file, through the files it is based on."""
    from formats.qcow2_chain import open_disk as open_chained
    from formats.qcow2_header import is_qcow2

    parsed = parse_name(name)
    options = make_options(parsed.snapshot if snapshot is None else snapshot, allow_backing, cache_dir)
    source: Source = FileSource(parsed.path)
    while not is_qcow2(source) and (wrapper := _wrapper_of(source)):
        source = _call(wrapper.unwrap, source, options)
    return open_chained(source, options)


def _open_pieces(names: Sequence[Name]) -> Image:
    raw = importlib.import_module("formats.raw")  # by name, like every reader
    pieces = [(FileSource(name.path), name.address or 0) for name in names]
    image: Image = raw.open_pieces(pieces)
    return image


def _finished(image: Image, inner: Unwrapped) -> Image:
    """The image with what the containers add to it."""
    if inner.containers:
        facts = [Fact(CONTAINER, module.DESCRIPTION, module.NAME) for module in inner.containers]
        warnings = [*inner.warnings, *image.about.warnings]
        image.about = replace(image.about, facts=[*facts, *image.about.facts], warnings=warnings)
        image.notes = [*image.notes, *inner.notes]
    return image


def _wrapper_of(source: Source) -> ModuleType | None:
    found = next((one for one in _candidates() if one.unwraps and one.knows(source)), None)
    return found.module() if found else None


def _reader_of(source: Source) -> ModuleType | None:
    found = next((one for one in _candidates() if one.reads and one.knows(source)), None)
    return found.module() if found else None


def _all_probed(reader: ModuleType, sources: Sequence[Source]) -> bool:
    return all(reader.probe(source) for source in sources)


def _call(function: Callable[..., Any], subject: Any, options: Options) -> Any:
    """Calls a module's function, with the options if it has a parameter for them."""
    return function(subject, options) if function.__code__.co_argcount > 1 else function(subject)


@functools.cache
def _candidates() -> Sequence[Candidate]:
    """The modules with a probe, in order of detection; the others, parts of readers mostly, are no part of this."""
    found = []
    for folder in formats.__path__:
        for info in pkgutil.iter_modules([folder]):
            text = (Path(folder) / f"{info.name}.py").read_bytes()
            if PROBE in text:
                found.append(_candidate(info.name, text))
    return sorted(found, key=lambda candidate: (candidate.order, candidate.name))


def _candidate(name: str, text: bytes) -> Candidate:
    order, heads = ORDER_LINE.search(text), HEADS_LINE.search(text)
    return Candidate(
        name=name,
        order=int(order[1]) if order else DEFAULT_ORDER,
        heads=ast.literal_eval(heads[1].decode()) if heads else (),
        reads=READ in text,
        unwraps=UNWRAP in text,
    )
