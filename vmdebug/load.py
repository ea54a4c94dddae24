"""Finds dcmds: those of the package `dcmds`, and of plug-ins.

A module of `dcmds` is imported when one of its names is first asked for: its source is searched for the quoted name,
so that a one-shot command does not pay for all the others. Whoever wants a list gets every module.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vmdebug.plugins import DCMDS, PluginFailed, load_plugins
from vmdebug.registry import PACKAGE, REGISTRY, Registry


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
    paths: Sequence[Path | str] = (),
    registry: Registry = REGISTRY,
    package: str = PACKAGE,
) -> None:
    """Let a registry find the dcmds of a package, and load plug-ins' dcmds and the user's own files."""
    registry.loader = Loader(package, warn)
    load_plugins(warn, paths, [DCMDS])
