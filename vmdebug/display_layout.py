"""Trees of values as lines: four blanks a level, one member a line, braces as C writes them."""

from collections.abc import Iterator

from formats.lazy import dataclass
from vmdebug.display import HOLE, Node, Style
from vmdebug.types.model import Aggregate, Array, Integer, Type
from vmdebug.types.spelling import base_name

TAB = "    "


@dataclass(frozen=True)
class Scope:
    """Where a value stands: its indentation, and what is written before its name.

    `named` is false for the outermost value without a name and for elements of arrays; `end` follows what is closed.
    """

    indent: str = ""
    prefix: str = ""
    named: bool = False
    end: str = ""


@dataclass(frozen=True)
class Layout:
    """Lays out trees in a style. `label` is the member that was asked for, `joint` stands before its own members."""

    style: Style
    label: str = ""
    joint: str = "."

    def lines(self, root: Node) -> Iterator[str]:
        """The lines of a tree, up to where it is broken."""
        label = Scope(prefix=self.label, named=bool(self.label))
        yield from self._lines(root, label, self.label + self.joint if self.label else "")

    def _lines(self, node: Node, scope: Scope, inner: str) -> Iterator[str]:
        """The lines of a value; `inner` stands before the names of its members."""
        head = scope.indent + self._head(node, scope)
        if node.parts is None:
            if not node.broken:
                yield f"{head}{node.text or ''}"
        elif not node.array:
            yield f"{head}{{"
            yield from self._members(node, scope, inner)
        elif _is_composite(node):
            yield f"{head}["
            yield from self._elements(node, scope)
        elif not node.broken:
            yield f"{head}{self._inline(node)}"

    def _members(self, node: Node, scope: Scope, inner: str) -> Iterator[str]:
        for part in node.parts or ():
            yield from self._lines(part, Scope(scope.indent + TAB, inner + part.name, True), "")
        if not node.broken:
            yield f"{scope.indent}}}{scope.end}"

    def _elements(self, node: Node, scope: Scope) -> Iterator[str]:
        for part in node.parts or ():
            yield from self._lines(part, Scope(scope.indent + TAB, end=","), "")
        if not node.broken:
            yield f"{scope.indent}{'... ]' if node.more else ']'}"

    def _inline(self, node: Node) -> str:
        shown = ", ".join(part.text or "" for part in node.parts or ())
        return f"[ {shown}, ... ]" if node.more else f"[ {shown} ]"

    def _head(self, node: Node, scope: Scope) -> str:
        """What stands before a value: its address, type and name, as far as they are asked for."""
        words = ""
        if self.style.addresses:
            words += f"{node.address:x}.{node.bit:x} " if node.bit else f"{node.address:x} "
        if self.style.types:
            shown = self._type(node)
            words += shown if shown.endswith("*") and scope.named else f"{shown} "
        if scope.named:
            words += scope.prefix + (self._width(node) if self.style.types else "")
            words += " = " if self.style.values else " "
        return words

    def _type(self, node: Node) -> str:
        """The type's name, of a bit-field with its width; with -T also what a typedef stands for."""
        shown, base = _words(node.type), node.type.complete()
        if node.bits is not None and ":" not in shown and node.name != HOLE:
            shown += f":{node.bits}"
        if (
            self.style.base_types
            and base.spelled != node.type.spelled
            and base_name(base) not in ("struct", "union", "enum")
        ):
            shown += f" <<{base.spelled}>>"
        return shown

    def _width(self, node: Node) -> str:
        base = node.type.complete()
        odd = isinstance(base, Integer) and base.bits != 8 * base.size
        bits = node.bits if node.bits is not None else base.bits if odd and isinstance(base, Integer) else None
        return f" :{bits}" if bits is not None else ""


def _words(type_: Type) -> str:
    """A type's name; of one without its tag and a blank, as the place of a name."""
    spelled = type_.spelled
    return f"{spelled} " if spelled in ("struct", "union", "enum") else spelled


def _is_composite(node: Node) -> bool:
    """True for an array whose elements take a line each: structures, and arrays in turn."""
    base = node.type.complete()
    return isinstance(base, Array) and isinstance(base.element.complete(), Aggregate | Array)
