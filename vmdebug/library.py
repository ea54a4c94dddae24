"""The debugger as a library: one object for an opened image.

machine = vmdebug.open("guest.img")
for row in machine.rows("::ps"):
    print(row.pid, row.comm)
task = machine.objects.at("struct task_struct", machine.address("init_task"))
print(task.comm.string(), task.pid)
"""

import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from formats.lazy import dataclass
from vmdebug.dcmd import Row
from vmdebug.errors import UnknownSymbol
from vmdebug.guests.base import Guest
from vmdebug.session import Session
from vmdebug.symbols.table import SymbolTable
from vmdebug.targets.target import Target
from vmdebug.types.source import TypeSource
from vmdebug.types.typed import Objects


@dataclass(frozen=True)
class Machine:
    """An image, the guest found in it, and a session over both. Nothing is read before it is asked for."""

    target: Target
    guest: Guest

    @cached_property
    def session(self) -> Session:
        """The sitting in which `rows` and `run` take place: its variables and its dot stay from call to call."""
        from vmdebug.load import load_dcmds

        problems = io.StringIO()
        session = Session(self.target, self.guest, out=io.StringIO(), err=problems)
        load_dcmds(session.warn)
        return session

    @property
    def symbols(self) -> SymbolTable:
        return self.guest.symbols

    @property
    def types(self) -> TypeSource:
        return self.guest.types

    @cached_property
    def objects(self) -> Objects:
        """Values in the kernel's memory by their types; a structure is read once, not a member at a time."""
        return Objects(self.types, self.target.read)

    def read(self, vaddr: int, size: int) -> bytes:
        """Exactly `size` bytes of the kernel's address space; ReadFailed names the first address that fails."""
        return self.target.read(vaddr, size)

    def address(self, name: str) -> int:
        """The value of a symbol, `module`name` for one of a module; UnknownSymbol if there is none."""
        module, _, bare = name.rpartition("`")
        found = self.symbols.find(bare, module or None)
        if found is None:
            raise UnknownSymbol(name)
        return found.value

    def variable(self, name: str) -> Any:
        """The variable that a symbol names, by its type; DebuggerError if the symbol or its type is not known."""
        module, _, bare = name.rpartition("`")
        found = self.symbols.find(bare, module or None)
        kind = self.types.type_of_symbol(found) if found else None
        if found is None or kind is None:
            raise UnknownSymbol(name)
        return self.objects.at(kind, found.value)

    def rows(self, commands: str) -> list[Row]:
        """The rows of the last pipeline of a command line; what goes wrong is raised."""
        return self.session.rows(commands)

    def run(self, commands: str) -> str:
        """What the commands print, diagnostics included."""
        out = io.StringIO()
        session = Session(self.target, self.guest, out=out, err=out, registry=self.session.registry)
        session.run(commands)
        return out.getvalue()


def open_machine(
    *names: Path | str,
    allow_backing: Sequence[Path | str] = (),
    cache_dir: Path | None = None,
    plugins: Sequence[Path | str] = (),
    symbols: Path | str | None = None,
) -> Machine:
    """The machine in an image; ImageError if the file is none, or is broken.

    `plugins` are files and folders beside those that are installed; one that fails is a warning. `symbols` is a file
    with the names and types that the image lacks. In `cache_dir` is kept what serves the next time.
    """
    from formats.cache import Cache
    from formats.opener import open_image
    from vmdebug.guests import find_guest
    from vmdebug.plugins import load_plugins
    from vmdebug.symbols.file import SymbolFile

    load_plugins(_warn, plugins)
    image = open_image(*names, allow_backing=allow_backing, cache_dir=cache_dir)
    target = Target(image, Cache(cache_dir) if cache_dir else None)
    return Machine(target, find_guest(target, SymbolFile(Path(symbols)) if symbols else None))


def _warn(text: str) -> None:
    import warnings

    warnings.warn(text, stacklevel=3)
