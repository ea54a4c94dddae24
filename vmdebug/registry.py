"""Dcmds and walkers by name: the registry that the decorators of vmdebug.dcmd fill and a session looks things up in."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

from vmdebug.entries import Dcmd, Walker

PACKAGE = "dcmds"  # our own

Entry = TypeVar("Entry", Dcmd, Walker)


class Loads(Protocol):
    """Imports modules of dcmds when they are needed."""

    def need(self, name: str) -> None:
        """Import what defines the name."""
        ...

    def all(self) -> None:
        """Import everything."""
        ...


class Registry:
    """Dcmds and walkers by name. Of several with one name, the last whose guests fit wins.

    Our own go before others' whenever they are imported: a plug-in may redefine any of them.

    A `loader` is asked for each name before it is looked up, and for all before they are listed.
    """

    loader: Loads | None = None

    def __init__(self) -> None:
        self._dcmds: dict[str, list[Dcmd]] = {}
        self._walkers: dict[str, list[Walker]] = {}
        self._change: Callable[[Dcmd | Walker], Dcmd | Walker] | None = None

    @contextmanager
    def adopting(self, change: Callable[[Dcmd | Walker], Dcmd | Walker]) -> Iterator[None]:
        """Change what others add meanwhile."""
        outer, self._change = self._change, change
        try:
            yield
        finally:
            self._change = outer

    def add(self, entry: Dcmd | Walker) -> None:
        if self._change and not _is_own(entry):
            entry = self._change(entry)
        if isinstance(entry, Dcmd):
            _insert(self._dcmds.setdefault(entry.name, []), entry)
        else:
            _insert(self._walkers.setdefault(entry.name, []), entry)

    def dcmd(self, name: str, guest: str | None = None) -> Dcmd | None:
        """The dcmd of that name for that kind of guest (or `module`name` scoped)."""
        self._need(name)
        return _pick(self._dcmds, name, guest)

    def walker(self, name: str, guest: str | None = None) -> Walker | None:
        self._need(name)
        return _pick(self._walkers, name, guest)

    def dcmds(self, guest: str | None = None) -> list[Dcmd]:
        """Every dcmd that fits the guest, by name."""
        self._need_all()
        found = (self.dcmd(name, guest) for name in sorted(self._dcmds))
        return [entry for entry in found if entry]

    def walkers(self, guest: str | None = None) -> list[Walker]:
        self._need_all()
        found = (self.walker(name, guest) for name in sorted(self._walkers))
        return [entry for entry in found if entry]

    def definitions(self, name: str) -> list[Dcmd | Walker]:
        """All that bear the name, the one that wins last."""
        self._need(name)
        return [*self._walkers.get(name, []), *self._dcmds.get(name, [])]

    def before(self, entry: Dcmd, guest: str | None = None) -> Dcmd | None:
        """The definition of the same name that this one hides from that kind of guest."""
        held = self._dcmds.get(entry.name, [])
        earlier = held[: held.index(entry)] if entry in held else []
        return next((each for each in reversed(earlier) if each.guests is None or guest in each.guests), None)

    def remove(self, module: str) -> bool:
        """Take away what a module defined, by its name alone or with all packages.

        False if it defined nothing that can be taken away.
        """
        dcmds, walkers = _without(self._dcmds, module), _without(self._walkers, module)
        return dcmds or walkers

    def _need(self, name: str) -> None:
        """Have the modules of a name imported; all of them where none says that it defines the name."""
        bare = name.rpartition("`")[2]
        if self.loader is not None:
            self.loader.need(bare)
            if bare not in self._dcmds and bare not in self._walkers:
                self.loader.all()

    def _need_all(self) -> None:
        if self.loader is not None:
            self.loader.all()


def _insert(held: list[Entry], entry: Entry) -> None:
    held.insert(sum(map(_is_own, held)) if _is_own(entry) else len(held), entry)


def _is_own(entry: Dcmd | Walker) -> bool:
    return entry.run.__module__.startswith(f"{PACKAGE}.")


def _without(table: Mapping[str, list[Entry]], module: str) -> bool:
    found = False
    for entries in table.values():
        kept = [each for each in entries if not _goes(each, module)]
        found = found or len(kept) < len(entries)
        entries[:] = kept
    return found


def _goes(entry: Dcmd | Walker, module: str) -> bool:
    if isinstance(entry, Dcmd) and entry.built_in and _is_own(entry):
        return False
    full = entry.run.__module__
    return module in (entry.module, full) or full.startswith(f"{module}.")


def _pick(table: Mapping[str, list[Entry]], name: str, guest: str | None) -> Entry | None:
    """The last definition that fits; one that names the guest's kind goes before one for all."""
    module, _, bare = name.rpartition("`")
    found = [entry for entry in reversed(table.get(bare, [])) if not module or entry.module == module]
    for fits in (lambda entry: guest in (entry.guests or ()), lambda entry: entry.guests is None):
        if entry := next(filter(fits, found), None):
            return entry
    return None


REGISTRY = Registry()  # filled when dcmd modules are imported
