"""Finds the reader that knows a file, through any containers around the image."""

import functools
import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import formats
from formats.errors import ImageDamaged, ImageUnknown
from formats.image import Image
from formats.source import FileSource, Source

MAX_WRAPPERS = 8  # containers inside containers; real files have three at most


@functools.cache
def readers() -> Sequence[ModuleType]:
    """The modules that read a format, in order of detection."""
    return _modules_with("open_image")


@functools.cache
def wrappers() -> Sequence[ModuleType]:
    """The modules that find a source inside a source, in order of detection."""
    return _modules_with("unwrap")


def open_image(path: Path | str) -> Image:
    """The image in a file, whatever its format; ImageError if none is known, or the file is broken."""
    return open_source(FileSource(Path(path)))


def open_source(source: Source) -> Image:
    """The image in a source, containers removed."""
    for _ in range(MAX_WRAPPERS):
        wrapper = next((module for module in wrappers() if module.probe(source)), None)
        if wrapper is None:
            break
        source = wrapper.unwrap(source)
    else:
        raise ImageDamaged(f"{source.name}: more than {MAX_WRAPPERS} containers inside each other")
    for reader in readers():
        if reader.probe(source):
            image: Image = reader.open_image(source)
            return image
    raise ImageUnknown(source.name, source.peek(0, 8))


def _modules_with(function: str) -> Sequence[ModuleType]:
    names = [info.name for info in pkgutil.iter_modules(formats.__path__) if info.name != "opener"]
    modules = [importlib.import_module(f"formats.{name}") for name in names]
    found = [module for module in modules if hasattr(module, "probe") and hasattr(module, function)]
    return sorted(found, key=lambda module: getattr(module, "ORDER", 50))
