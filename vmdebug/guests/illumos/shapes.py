"""What types say of the words of memory: where a structure has pointers, and to what; where it has mutexes.

Types are counted as they are met. Specified in: ctf.h of illumos.
"""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError
from vmdebug.types.model import Aggregate, Array, Pointer, Type

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD = 8
MAX_WORDS = 1 << 17  # of a type; what lies beyond in a larger one is not looked at
MAX_DEPTH = 32
NONE = -1  # the number of no type

Leaf = tuple[int, Type]  # where in a type, and what: a pointer or a mutex


class Shapes:
    """Types by number. `problems` has, a line each, what of their data could not be read."""

    def __init__(self) -> None:
        self.types: list[Type] = []
        self.problems: list[str] = []
        self._numbers: dict[Type, int] = {}
        self._leaves: dict[Type, Sequence[Leaf]] = {}
        self._pointers: dict[int, NDArray[np.int64]] = {}

    def number(self, type_: Type) -> int:
        """The number of a type; typedefs and qualifiers of it have the same."""
        base = type_.complete()
        if base not in self._numbers:
            self._numbers[base] = len(self.types)
            self.types.append(base if base.name or not isinstance(base, Aggregate) else type_)
        return self._numbers[base]

    def name(self, number: int) -> str:
        return self.types[number].spelled

    def size(self, number: int) -> int:
        return self.types[number].complete().size

    def pointers(self, number: int) -> "NDArray[np.int64]":
        """Of each word of a type the number of the type that it points to, -1 for one that is no such pointer.

        Only structures and pointers to such count: all else can be anything.
        """
        import numpy as np

        found = self._pointers.get(number)
        if found is None:
            found = np.full(min(-(-self.size(number) // WORD), MAX_WORDS), NONE, np.int64)
            for at, leaf in self.leaves(number):
                if isinstance(leaf, Pointer) and at % WORD == 0 and at // WORD < len(found):
                    target = self._target(leaf)
                    known = found[at // WORD]
                    found[at // WORD] = target if known in (NONE, target) else NONE  # unions: what is not sure is none
            self._pointers[number] = found
        return found

    def mutexes(self, number: int) -> list[int]:
        """Where in a type mutexes lie."""
        return [at for at, leaf in self.leaves(number) if isinstance(leaf, Aggregate)]

    def firsts(self, number: int) -> list[int]:
        """The types of what lies at the beginning of a type: its first member, that one's first, and so on."""
        found, base = [], self.types[number].complete()
        for _ in range(MAX_DEPTH):
            if isinstance(base, Array):
                base = base.element.complete()
            elif isinstance(base, Aggregate) and base.members:
                base = base.members[0].type.complete()
            else:
                break
            found.append(self.number(base))
        return found

    def leaves(self, number: int) -> Sequence[Leaf]:
        """The pointers and mutexes of a type."""
        try:
            return self._of(self.types[number].complete(), 0)
        except DebuggerError as err:
            self.problems.append(f"{self.name(number)}: {err}")
            return ()

    def _target(self, pointer: Pointer) -> int:
        target = pointer.target.complete()
        inner = target.target.complete() if isinstance(target, Pointer) else target
        return self.number(pointer.target) if isinstance(inner, Aggregate) and target.size else NONE

    def _of(self, base: Type, depth: int) -> Sequence[Leaf]:
        if base not in self._leaves:
            self._leaves[base] = ()  # of a type that contains itself, as only damaged data has it
            self._leaves[base] = self._read(base, depth) if depth < MAX_DEPTH else ()
        return self._leaves[base]

    def _read(self, base: Type, depth: int) -> list[Leaf]:
        match base:
            case Pointer():
                return [(0, base)]
            case Aggregate() if base.spelled == "struct mutex":
                return [(0, base)]
            case Aggregate():
                whole = (each for each in base.members if each.bits is None)
                parts = ((each.offset // 8, self._of(each.type.complete(), depth + 1)) for each in whole)
                return list(islice(((start + at, leaf) for start, inner in parts for at, leaf in inner), MAX_WORDS))
            case Array():
                inner = self._of(base.element.complete(), depth + 1)
                count = min(base.count, MAX_WORDS // max(len(inner), 1)) if inner else 0
                step = base.element.size
                return [(number * step + at, leaf) for number in range(count) for at, leaf in inner]
        return []
