"""Types as C writes them, and names of integers in whatever order their words come."""

from collections.abc import Iterator

from vmdebug.types.model import MAX_CHAIN, Aggregate, Array, Enum, Forward, Function, Pointer, Qualified, Type

MAX_STEPS = 512  # of one type's spelling
MAX_DEPTH = 16  # of functions that take functions
WORDS = frozenset(["char", "short", "int", "long", "signed", "unsigned"])


def spell(type_: Type, declared: str = "") -> str:
    """The type as C writes it, around the name of what it declares: `int (*handler)(void)`."""
    return _Speller().spell(type_, declared)


class _Speller:
    """Spells one type. Functions whose arguments are functions in turn end when its steps are used up."""

    def __init__(self) -> None:
        self._left = MAX_STEPS
        self._depth = 0

    def spell(self, type_: Type, declared: str = "") -> str:
        words: list[str] = []
        for _ in range(MAX_CHAIN):
            self._left -= 1
            if self._left < 0:
                break
            match type_:
                case Pointer():
                    declared, type_ = f"*{declared}", type_.target
                case Array():
                    declared, type_ = f"{_bound(declared)}[{type_.count or ''}]", type_.target
                case Function():
                    declared, type_ = f"{_bound(declared)}({self._arguments(type_)})", type_.target
                case Qualified() if _is_pointer(type_):
                    declared, type_ = f"{type_.word} {declared}".rstrip(), type_.target
                case Qualified():
                    words.append(type_.word)
                    type_ = type_.target
                case _:
                    return " ".join(filter(None, [*words, base_name(type_), declared]))
        return "(?)"

    def _arguments(self, function: Function) -> str:
        if self._depth >= MAX_DEPTH:
            return "(?)"
        self._depth += 1
        shown = [self.spell(each.type, each.name) for each in function.arguments[:MAX_STEPS] if self._left > 0]
        self._depth -= 1
        return ", ".join([*shown, *(["..."] if function.varargs else [])]) or "void"


def base_name(type_: Type) -> str:
    """The name of a type that is not made of others, with its tag."""
    match type_:
        case Aggregate():
            return f"{type_.tag} {type_.name}".rstrip()
        case Enum():
            return f"enum {type_.name}".rstrip()
        case Forward():
            return f"{type_.tag} {type_.name}".rstrip()
        case _:
            return type_.name or "(?)"


def _bound(declared: str) -> str:
    """What an array or a function binds tighter than."""
    return f"({declared})" if declared.startswith("*") else declared


def _is_pointer(type_: Type) -> bool:
    for _ in range(MAX_CHAIN):
        if not isinstance(type_, Qualified):
            return isinstance(type_, Pointer)
        type_ = type_.target
    return False


def integer_names(name: str) -> Iterator[str]:
    """The ways in which compilers write the name of an integer type, itself first: `unsigned long`,
    `long unsigned int`. Nothing but the name where it is none."""
    yield name
    words = name.split()
    if not words or not WORDS.issuperset(words):
        return
    longs, kind = words.count("long"), "char" if "char" in words else "short" if "short" in words else ""
    sign = "unsigned" if "unsigned" in words else "signed" if "signed" in words and kind == "char" else ""
    if kind == "char":
        forms = [f"{sign} char".strip(), f"char {sign}".strip()]
    else:
        size = kind or " ".join(["long"] * min(longs, 2))
        forms = [f"{sign} {size}", f"{size} {sign} int", f"{sign} {size} int", f"{size} {sign}"]
        forms += [sign] if not size else []
    for form in dict.fromkeys(" ".join(form.split()) for form in forms):
        if form and form != name:
            yield form
