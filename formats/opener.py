"""Finds the reader that knows a file, through any containers around the image.

What a source from a container has in `notes` and `warnings` becomes part of the image, and so does who added the reader
where it is none of this folder's. Which modules are asked stands in `candidates`.
"""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from formats.candidates import Candidate, ReaderFailed, candidates
from formats.errors import ImageDamaged, ImageError, ImageNotSupported, ImageUnknown
from formats.image import About, Fact, Image, Note
from formats.lazy import dataclass
from formats.names import Name, parse_name
from formats.options import DEFAULTS, Options, Progress, silent
from formats.source import FileSource, Source

if TYPE_CHECKING:
    from formats.qcow2_disk import Disk

MAX_WRAPPERS = 8  # containers inside containers; real files have three at most
CONTAINER = "container"  # the name of the fact that a container adds
READER = "reader"  # and of the one that names a reader from elsewhere


@dataclass(frozen=True)
class Unwrapped:
    """The innermost source, and the containers around it, the outermost first."""

    source: Source
    containers: Sequence[Candidate]
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


def readers() -> Sequence[ModuleType]:
    """The modules that read a format, in order of detection."""
    return [candidate.module() for candidate in candidates() if candidate.reads]


def wrappers() -> Sequence[ModuleType]:
    """The modules that find a source inside a source, in order of detection."""
    return [candidate.module() for candidate in candidates() if candidate.unwraps]


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
    if options.snapshot is not None and not any(hasattr(one.module(), "TAKES_SNAPSHOT") for one in inner.containers):
        raise ImageNotSupported(f"{source.name}: no snapshot {options.snapshot!r}: only qcow2 images have snapshots")
    return _finished(_read(reader, "open_image", inner.source, options), inner, reader)


def open_sources(sources: Sequence[Source], options: Options = DEFAULTS) -> Image:
    """The image that several sources make up together."""
    inner = [unwrap_all(source, options) for source in sources]
    bare = [one.source for one in inner]
    for reader in candidates():
        if reader.reads and reader.knows_set(bare):
            return _finished(_read(reader, "open_set", bare, options), inner[0], reader)
    said = ", ".join(source.name for source in sources) or "no file"
    raise ImageNotSupported(f"{said}: no format is known that these make up together")


def unwrap_all(source: Source, options: Options = DEFAULTS) -> Unwrapped:
    """The source inside all containers."""
    containers: list[Candidate] = []
    notes: list[Note] = []
    warnings: list[str] = []
    while wrapper := _wrapper_of(source):
        if len(containers) == MAX_WRAPPERS:
            raise ImageDamaged(f"{source.name}: more than {MAX_WRAPPERS} containers inside each other")
        containers.append(wrapper)
        source = wrapper.call("unwrap", source, options)
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
            module = wrapper.module()
            containers.append((module.NAME, module.DESCRIPTION))
            facts += wrapper.call("describe", source, options) if hasattr(module, "describe") else []
            source = wrapper.call("unwrap", source, options)
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
        source = wrapper.call("unwrap", source, options)
    return open_chained(source, options)


def _open_pieces(names: Sequence[Name]) -> Image:
    raw = importlib.import_module("formats.raw")  # by name, like every reader
    pieces = [(FileSource(name.path), name.address or 0) for name in names]
    image: Image = raw.open_pieces(pieces)
    return image


def _read(reader: Candidate, function: str, subject: Any, options: Options) -> Image:
    """The image that a reader gives; one from elsewhere may give anything."""
    image = reader.call(function, subject, options)
    if not isinstance(image, Image):
        raise ReaderFailed(reader.origin, reader.name, TypeError(f"{function} gave {image!r}, which is no Image"))
    return image


def _finished(image: Image, inner: Unwrapped, reader: Candidate) -> Image:
    """The image with what the containers add to it, and the origin of what is none of our own."""
    modules = [one.module() for one in inner.containers]
    facts = [Fact(CONTAINER, module.DESCRIPTION, module.NAME) for module in modules]
    facts += [Fact(READER, one.name, f"plug-in {one.origin}") for one in (*inner.containers, reader) if one.origin]
    if facts:
        warnings = [*inner.warnings, *image.about.warnings]
        image.about = replace(image.about, facts=[*facts, *image.about.facts], warnings=warnings)
        image.notes = [*image.notes, *inner.notes]
    return image


def _wrapper_of(source: Source) -> Candidate | None:
    return next((one for one in candidates() if one.unwraps and one.knows(source)), None)


def _reader_of(source: Source) -> Candidate | None:
    return next((one for one in candidates() if one.reads and one.knows(source)), None)
