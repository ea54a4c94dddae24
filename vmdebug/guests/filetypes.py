"""Types for a guest that carries none, out of the file that the user names."""

from collections.abc import Mapping

from vmdebug.symbols.file import SymbolFile
from vmdebug.types.source import EmptyTypes, TypeSource


def kind_of(names: SymbolFile) -> str:
    """Which types the file has: BTF, DWARF or, where it has none, ""."""
    return "BTF" if names.btf else "DWARF" if names.dwarf else ""


def types_of(names: SymbolFile, *, pointer: int, shift: int, variables: Mapping[str, str]) -> TypeSource:
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


def shift_of(names: SymbolFile, text: int) -> int:
    """How far a kernel whose image begins at `text` runs above where the file was linked to."""
    first = names.part.find("_text") or names.part.find("_stext")
    return text - first.value if first else 0
