"""Names of C++ and Rust as their authors wrote them. `flags` are the bits of `$g`, with mdb's numbers."""

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demangle import Signature

QUALIFIERS, SCOPE, ARGUMENTS, MANGLED = 1, 2, 4, 8
DESCRIPTIONS = {
    QUALIFIERS: "static/const/volatile member func qualifiers displayed",
    SCOPE: "scope resolution specifiers displayed",
    ARGUMENTS: "function arguments displayed",
    MANGLED: "mangled name displayed",
}
ALL = QUALIFIERS | SCOPE | ARGUMENTS | MANGLED
PREFIXES = ("_Z", "_R", "__Z", "__R")
LANGUAGES = ("rust", "itanium")
MAX_NAME = 4096


@lru_cache(maxsize=4096)
def readable(name: str, flags: int = SCOPE) -> str:
    """The name that a mangled one stands for; any other, and what is too long to be one, as it is."""
    if not name.startswith(PREFIXES) or len(name) > MAX_NAME:
        return name
    from demangle import DemanglingError, signature

    try:
        found = signature(name, language=LANGUAGES)
    except DemanglingError:
        return name
    shown = f"{found.special} " if found.special else ""
    shown += found.qualified_name if flags & SCOPE else _last(found)
    if flags & ARGUMENTS and found.parameters is not None:
        shown += f"({', '.join(found.parameters)})"
    if flags & QUALIFIERS:
        shown += "".join(f" {word}" for word in found.qualifiers)
    return f"{shown}{found.decoration}" + (f"[{name}]" if flags & MANGLED else "")


def _last(found: "Signature") -> str:
    """A name without its scopes; what a generic function of Rust was made for belongs to the name."""
    if found.base_name.startswith("<") and found.namespace:
        return f"{found.namespace.rpartition('::')[2]}::{found.base_name}"
    return found.base_name
