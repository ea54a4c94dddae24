"""Types for a guest that carries none, out of the file that the user names."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from formats.image import Fact
from vmdebug.types.source import EmptyTypes, TypeSource

if TYPE_CHECKING:
    from vmdebug.symbols.file import SymbolFile


def kind_of(names: "SymbolFile") -> str:
    """Which types the file has: BTF, DWARF or, where it has none, ""."""
    return "BTF" if names.btf else "DWARF" if names.dwarf else ""


def types_of(names: "SymbolFile", *, pointer: int, shift: int, variables: Mapping[str, str]) -> TypeSource:
    """The file's types. The kernel runs `shift` bytes above where it was linked to."""
    kind, name = kind_of(names), names.path.name
    if kind == "BTF":
        from vmdebug.types.btf import Btf
        from vmdebug.types.btf_source import BtfTypes

        return BtfTypes(Btf(name, names.btf, pointer=pointer), lambda _: {}, variables)
    if kind == "DWARF":
        from vmdebug.types.dwarf import DwarfTypes
        from vmdebug.types.dwarf_search import Sections

        sections = Sections(**names.dwarf)
        return DwarfTypes(name, sections, pointer=pointer, shift=shift, variables=variables, progress=names.progress)
    return EmptyTypes(f"{names.path}: {names.lacks}")


def shift_of(names: "SymbolFile", text: int) -> int:
    """How far a kernel whose image begins at `text` runs above where the file was linked to."""
    first = (names.part.find("_text") or names.part.find("_stext")) if names.has_symbols else None
    return text - first.value if first else 0


def fact_of(names: "SymbolFile", running: bytes) -> Fact:
    """What the types of a kernel rest on that has none of its own; `running` is its build id, if that is known."""
    own = names.build_id
    if not own or not running:
        build = "not known to be of the kernel's build"
    else:
        build = f"build {own.hex()}, {'as the kernel' if own == running else f'but the kernel is {running.hex()}'}"
    return Fact("types", kind_of(names) or "none", f"{names.path}, {build}")


def caution_of(names: "SymbolFile", running: bytes) -> Sequence[str]:
    """That the file is of another build than the kernel, if it is."""
    if not running or names.build_id in (b"", running):
        return []
    return [f"{names.path} is of another build than the kernel, whose types may differ"]
