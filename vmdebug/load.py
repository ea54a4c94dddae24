"""Finds dcmds: the package `dcmds`, plug-ins' entry points, and files that the user names.

A module of `dcmds` is imported when one of its names is first asked for: its source is searched for the quoted name,
so that a one-shot command does not pay for all the others. Whoever wants a list gets every module.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vmdebug.dcmd import REGISTRY, Registry
from vmdebug.errors import DebuggerError

PACKAGE = "dcmds"
GROUP = "vmdebug.dcmds"


class PluginFailed(DebuggerError):
    """A plug-in that could not be loaded; the session goes on."""

    def __init__(self, name: str, err: BaseException) -> None:
        super().__init__(f"failed to load {name}: {type(err).__name__}: {_first_line(err)}")


class Loader:
    """Imports the modules of a package of dcmds, one by one as their names are needed."""

    def __init__(self, package: str, warn: Callable[[str], None]) -> None:
        self._package = package
        self._warn = warn
        self._sources: dict[str, bytes] | None = None

    def need(self, name: str) -> None:
        """Import the modules whose source holds the name in quotes."""
        quoted = f'"{name}"'.encode()
        for module, source in list(self._waiting().items()):
            if quoted in source:
                self._load(module)

    def all(self) -> None:
        """Import every module that is left."""
        for module in list(self._waiting()):
            self._load(module)

    def _waiting(self) -> dict[str, bytes]:
        """The sources of the modules that are not imported yet."""
        if self._sources is None:
            self._sources = dict(self._each_source())
        return self._sources

    def _each_source(self) -> Iterator[tuple[str, bytes]]:
        import pkgutil

        package = importlib.import_module(self._package)
        for found in pkgutil.iter_modules(package.__path__):
            source = Path(getattr(found.module_finder, "path", ""), f"{found.name}.py")
            if source.is_file():
                yield f"{self._package}.{found.name}", source.read_bytes()
            else:  # compiled only: nothing to search
                self._load(f"{self._package}.{found.name}")

    def _load(self, module: str) -> None:
        if self._sources is not None:
            self._sources.pop(module, None)
        try:
            importlib.import_module(module)
        except Exception as err:  # noqa: BLE001  whatever a dcmd module raises, the others must work
            self._warn(str(PluginFailed(module, err)))


def load_dcmds(
    warn: Callable[[str], None],
    paths: Sequence[str] = (),
    registry: Registry = REGISTRY,
    package: str = PACKAGE,
) -> None:
    """Let a registry find the dcmds of a package, load what other distributions offer, and the user's own files."""
    registry.loader = Loader(package, warn)
    for name, load in _entry_points():
        try:
            load()
        except Exception as err:  # noqa: BLE001  a plug-in's fault is one line
            warn(str(PluginFailed(name, err)))
    for path in paths:
        try:
            load_path(Path(path))
        except PluginFailed as err:
            warn(str(err))


def load_file(path: Path) -> str:
    """Run a plug-in's file, its dcmds register themselves; the module's name. PluginFailed if it cannot be."""
    import importlib.util

    name = path.stem
    spec = importlib.util.spec_from_file_location(f"vmdebug_plugins.{name}", path)
    if spec is None or spec.loader is None:
        raise PluginFailed(str(path), ImportError("not a Python file"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as err:
        del sys.modules[spec.name]
        raise PluginFailed(str(path), err) from err
    return name


def load_path(path: Path) -> list[str]:
    """Load a plug-in's file, or every one in a folder."""
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    return [load_file(each) for each in files]


def _entry_points() -> Iterator[tuple[str, Callable[[], object]]]:
    """The plug-ins that are installed. Their list is read only where some distribution may have one."""
    if not any(map(_may_have_plugins, sys.path)):
        return
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        yield point.name, point.load


def _may_have_plugins(folder: str) -> bool:
    """True if a distribution in a folder of sys.path names our group: a look at small files, without a parser."""
    wanted = f"[{GROUP}]".encode()
    return any(wanted in path.read_bytes() for path in Path(folder or ".").glob("*-info/entry_points.txt"))


def _first_line(err: BaseException) -> str:
    return next(iter(str(err).splitlines()), "")
