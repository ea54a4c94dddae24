"""Plug-ins: what modules of other people add to the debugger. They are installed, or files that the user names.

    group of entry points    what the module must have
    vmdebug.dcmds            functions under @dcmd and @walker
    vmdebug.formats          a reader's NAME, DESCRIPTION, probe and open_image (of a container: unwrap)
    vmdebug.guests           a kernel's KIND and find

A file may be any of these or all; it is what it has the names of. What a plug-in raises while it is loaded is one line.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guard import guarded
from vmdebug.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from vmdebug.entries import Dcmd, Walker

DCMDS, FORMATS, GUESTS = GROUPS = ("vmdebug.dcmds", "vmdebug.formats", "vmdebug.guests")
PREFIX = "vmdebug_plugins."  # before the name of a file's module

Report = Callable[[str], None]


class PluginFailed(DebuggerError):
    """A plug-in that could not be loaded; the session goes on."""

    def __init__(self, name: str, err: BaseException) -> None:
        super().__init__(f"failed to load {name}: {type(err).__name__}: {next(iter(str(err).splitlines()), '')}")


class NameTaken(DebuggerError):
    def __init__(self, path: Path, held: "Plugin") -> None:
        super().__init__(f"failed to load {path}: {held.name} is loaded from {held.origin}: ::unload {held.name} first")


class NoKernel(DebuggerError):
    def __init__(self, missing: str) -> None:
        super().__init__(f"a kernel needs KIND and find: it has no {missing}")


@dataclass(frozen=True)
class Plugin:
    """A module from elsewhere. `formats` and `kernels` are the names of those that it added.

    `origin` is its file, or the distribution that it was installed with.
    """

    name: str
    module: str
    origin: str
    held: Any
    formats: Sequence[str] = ()
    kernels: Sequence[str] = ()

    @property
    def is_file(self) -> bool:
        return self.module.startswith(PREFIX)


PLUGINS: dict[str, Plugin] = {}  # by their modules' full names, filled when they are loaded
TRIED: set["EntryPoint"] = set()  # so that one that fails does so once


def load_plugins(report: Report, paths: Sequence[Path | str] = (), groups: Sequence[str] = GROUPS) -> None:
    """Load what is installed, then files and folders that the user names. Each that fails is reported in a line."""
    for point in _entry_points():
        if point.group in groups and point not in TRIED:
            TRIED.add(point)
            load_installed(point, report)
    for path in paths:
        try:
            load_path(Path(path), report)
        except DebuggerError as err:
            report(str(err))


def load_installed(point: "EntryPoint", report: Report) -> None:
    """Load the plug-in of an entry point."""
    origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    try:
        with REGISTRY.adopting(partial(guarded, origin=origin)):
            held = point.load()
        plugin = PLUGINS.get(point.module) or Plugin(point.module.rpartition(".")[2], point.module, origin, held)
        PLUGINS[point.module] = _added(plugin, held, [point.group], report)
    except (Exception, SystemExit) as err:  # noqa: BLE001  a plug-in's fault is one line
        if point.module not in PLUGINS:
            _drop(Plugin(point.name, point.module, origin, None), REGISTRY)
        report(str(PluginFailed(f"{point.name} of {origin}", err)))


def load_path(path: Path, report: Report, registry: Registry = REGISTRY) -> list[Plugin]:
    """Load a file, or every one in a folder whose name begins with no `_`.

    PluginFailed if a file cannot be loaded; of a folder those are reported, and the others loaded.
    """
    if not path.is_dir():
        return [load_file(path, report, registry)]
    loaded = []
    for each in sorted(path.glob("[!_]*.py")):
        try:
            loaded.append(load_file(each, report, registry))
        except DebuggerError as err:
            report(str(err))
    return loaded


def load_file(path: Path, report: Report, registry: Registry = REGISTRY) -> Plugin:
    """Run a plug-in's file and take what it adds. One that was loaded before gives way to what the file is now."""
    plugin = Plugin(path.stem, f"{PREFIX}{path.stem}", str(path.absolute()), None)
    before = PLUGINS.get(plugin.module)
    if before and before.origin != plugin.origin:
        raise NameTaken(path, before)
    if before:
        _drop(before, registry)
    try:
        with registry.adopting(partial(guarded, origin=plugin.origin)):
            held = _run(path, plugin.module)
        plugin = PLUGINS[plugin.module] = _added(replace(plugin, held=held), held, _kinds(held), report)
    except (Exception, SystemExit) as err:
        _drop(plugin, registry)
        raise PluginFailed(str(path), err) from err
    return plugin


def unload(name: str, registry: Registry = REGISTRY) -> bool:
    """Take away what a plug-in, or another module of dcmds, added; False if there is none of that name."""
    plugins = [each for each in PLUGINS.values() if each.name == name]
    for plugin in plugins:
        _drop(plugin, registry)
    return bool(plugins) or registry.remove(name)


def origin_of(entry: "Dcmd | Walker") -> str:
    """Where a dcmd or walker comes from; empty for our own."""
    module = entry.run.__module__
    if module in PLUGINS:
        return PLUGINS[module].origin
    package = module.partition(".")[0]
    installed = (each for each in PLUGINS.values() if not each.is_file)
    return next((each.origin for each in installed if each.module.partition(".")[0] == package), "")


def _added(plugin: Plugin, held: Any, kinds: Sequence[str], report: Report) -> Plugin:
    """The plug-in with what it is by these groups, which is added where it has its place."""
    if FORMATS in kinds and not plugin.formats:
        from formats import candidates

        plugin = replace(plugin, formats=[candidates.add(held, plugin.origin, report).name])
    if GUESTS in kinds and not plugin.kernels:
        from vmdebug.guests import add_finder

        for name in ("KIND", "find"):
            if not hasattr(held, name):
                raise NoKernel(name)
        add_finder(held.KIND, held.find, plugin.origin, report)
        plugin = replace(plugin, kernels=[held.KIND])
    return plugin


def _drop(plugin: Plugin, registry: Registry) -> None:
    """Take away whatever a plug-in added, also one that failed half-way."""
    from formats import candidates
    from vmdebug.guests import remove_finder, whatis

    registry.remove(plugin.module)
    held = PLUGINS.pop(plugin.module, plugin).held or sys.modules.get(plugin.module)
    candidates.remove(held)
    remove_finder(getattr(held, "find", None))
    whatis.SOURCES[:] = [each for each in whatis.SOURCES if each.find.__module__ != plugin.module]
    if plugin.is_file:
        sys.modules.pop(plugin.module, None)


def _kinds(held: Any) -> Sequence[str]:
    """The groups that a file's module would be installed in."""
    reads = hasattr(held, "probe") and (hasattr(held, "open_image") or hasattr(held, "unwrap"))
    return [DCMDS] + [FORMATS] * reads + [GUESTS] * (hasattr(held, "KIND") and hasattr(held, "find"))


def _run(path: Path, name: str) -> Any:
    import importlib.util

    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@cache
def _entry_points() -> "Sequence[EntryPoint]":
    """The plug-ins that are installed. Their list is read only where some distribution may have one."""
    if not any(map(_may_have_plugins, sys.path)):
        return []
    from importlib.metadata import entry_points

    return [point for group in GROUPS for point in entry_points(group=group)]


def _may_have_plugins(folder: str) -> bool:
    """True if a distribution in a folder of sys.path names one of our groups: a look at small files, no parser."""
    wanted = [f"[{group}]".encode() for group in GROUPS]
    texts = map(_bytes_of, Path(folder or ".").glob("*-info/entry_points.txt"))
    return any(name in text for text in texts for name in wanted)


def _bytes_of(path: Path) -> bytes:
    """A file's bytes, none where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
