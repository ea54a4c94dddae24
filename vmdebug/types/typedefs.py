"""Types of the user's own, as ::typedef makes them: C's intrinsic ones, structures and unions, other names for types.

They are searched when no type of the guest has the name. Written out they are C declarations; `#pragma model LP64`
stands for the intrinsic types of a data model.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from vmdebug.errors import DebuggerError
from vmdebug.types.errors import UnknownType
from vmdebug.types.model import (
    Aggregate,
    Array,
    Float,
    Integer,
    Member,
    Pointer,
    Struct,
    Type,
    Typedef,
    Union,
    Void,
    known,
)
from vmdebug.types.spelling import spell

IDENTIFIER = re.compile(r"[A-Za-z_][0-9A-Za-z_]*")
NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|0[tT][0-9]+|[0-9]*")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
STATEMENT = re.compile(
    r"""\s*(?: \#pragma \s+ model \s+ (?P<model>\w+)
        | (?P<typedef>typedef\s)? \s* (?P<body>(?:struct|union)\b[^{};]*\{[^{}]*\}) \s* (?P<name>\w*) \s* ;
        | typedef \s (?P<words>[^{};]+?) (?P<alias>\w+) \s* ; )""",
    re.VERBOSE,
)
TAGS: Mapping[str, type[Aggregate]] = {"struct": Struct, "union": Union}
SIZES = {"char": 1, "short": 2, "int": 4, "long long": 8}
LONGS = {"LP64": 8, "LP32": 4, "ILP32": 4}
FLOATS = {"float": 4, "double": 8, "long double": 16}
FIXED = {8: "char", 16: "short", 32: "int"}


class BadDefinition(DebuggerError):
    """A definition that cannot be used."""


class UnknownModel(BadDefinition):
    def __init__(self, model: str) -> None:
        super().__init__(f"invalid data model: {model}")


class OwnTypes:
    """The types that the user made. `find` finds any type by its name, theirs too; `pointer` is a pointer's size."""

    def __init__(self, find: Callable[[str], Type], pointer: int) -> None:
        self._find = find
        self._pointer = pointer
        self._types: dict[tuple[str, str], Type] = {}
        self._declarations: list[str] = []

    def lookup(self, tag: str, name: str) -> Type | None:
        """The type of that name among structs or unions (`tag`), or among all others ("")."""
        return self._types.get((tag, name))

    def each(self) -> Iterator[Type]:
        """Every type that has a name, in the order in which they were made."""
        return iter(list(self._types.values()))

    def clear(self) -> None:
        """Forget every type."""
        self._types.clear()
        self._declarations.clear()

    def create(self, model: str) -> None:
        """Make C's own types, and those of <stdint.h>, for a data model in capitals or not."""
        long = LONGS.get(model.upper())
        if long is None:
            raise UnknownModel(model)
        if ("", "int") in self._types:
            raise BadDefinition("failed to create intrinsic types, maybe they already exist")
        for made in _intrinsic(long):
            self._types["", made.name] = made
        for name, of in _standard(long):
            self._types["", name] = Typedef(known(self._types["", of]), name)
        self._declarations.append(f"#pragma model {model.upper()}")

    def alias(self, words: str, name: str) -> None:
        """Another name for the type that the words name; stars before it belong to them, as in C."""
        bare = name.lstrip("*")
        words, name = " ".join(f"{words} {name[: len(name) - len(bare)]}".split()), bare
        _need_identifier(name)
        if self._exists(name):
            raise BadDefinition(f"{name} already exists")
        try:
            found = self._find(words)
        except UnknownType as err:
            raise BadDefinition(f"{words} does not exist") from err
        self._types["", name] = Typedef(known(found), name)
        self._declarations.append(f"typedef {spell(found, name)};")

    def define(self, text: str, name: str = "") -> None:
        """Make a structure or union of its declaration, `struct tag { int a; }`, and a name for it.

        The tag may be missing, or, where there is a tag, the name.
        """
        if name:
            _need_identifier(name)
        kind, tag, body = _parts(text)
        if tag and self._exists(f"{kind} {tag}"):
            raise BadDefinition(f"type name {kind} {tag} already in use")
        parsed = [_Parsed(each) for each in _members(body)]
        _check(kind, parsed)
        if name and self._exists(name):
            raise BadDefinition(f"typedef name {name} already exists")
        made = self._lay_out(kind, tag, parsed)
        if tag:
            self._types[kind, tag] = made
        if name:
            self._types["", name] = Typedef(known(made), name)
        lines = "".join(f"    {each.text};\n" for each in parsed)
        head = f"{'typedef ' * bool(name)}{kind} {tag}".rstrip()
        self._declarations.append(f"{head} {{\n{lines}}}{f' {name}' if name else ''};")

    def text(self) -> str:
        """All of them as C declarations that `read` takes."""
        return "".join(f"{each}\n" for each in self._declarations)

    def read(self, text: str) -> None:
        """Make the types of C declarations: all of them, or none where one of them cannot be used."""
        types, declarations = dict(self._types), list(self._declarations)
        try:
            self._read(COMMENT.sub(" ", text))
        except DebuggerError:
            self._types, self._declarations = types, declarations
            raise

    def _read(self, text: str) -> None:
        at = 0
        while text[at:].strip():
            match = STATEMENT.match(text, at)
            if match is None or (match["body"] and bool(match["typedef"]) != bool(match["name"])):
                raise BadDefinition(f"not a declaration: '{' '.join(text[at : at + 200].split())[:60]}'")
            at = match.end()
            if match["model"]:
                self.create(match["model"])
            elif match["body"]:
                self.define(match["body"], match["name"])
            else:
                self.alias(" ".join(match["words"].split()), match["alias"])

    def _exists(self, name: str) -> bool:
        try:
            self._find(name)
        except DebuggerError:
            return False
        return True

    def _lay_out(self, kind: str, tag: str, parsed: "Iterable[_Parsed]") -> Aggregate:
        """The structure: each member at the next multiple of what it is aligned to, the whole likewise."""
        members: list[Member] = []
        offset, size, widest = 0, 0, 1
        whole: list[Aggregate] = []
        for each in parsed:
            member = self._type_of(each, f"{kind} {tag}" if tag else "", whole)
            align = alignment(member)
            start = -(-offset // align) * align if kind == "struct" else 0
            members.append(Member(each.name, 8 * start, known(member)))
            offset = start + member.size
            size, widest = max(size, offset), max(widest, align)
        whole.append(TAGS[kind](tag, -(-size // widest) * widest, lambda: members))
        return whole[0]

    def _type_of(self, member: "_Parsed", itself: str, whole: list[Aggregate]) -> Type:
        """The type of a member, which may point to the structure around it."""
        pointers = member.pointers
        found: Type
        if itself and member.type == itself and pointers:
            found, pointers = Pointer(lambda: whole[0], self._pointer), pointers - 1
        else:
            try:
                found = self._find(member.type)
            except UnknownType as err:
                raise BadDefinition(f"failed to add member {member.name}: type {member.type} does not exist") from err
        for _ in range(pointers):
            found = Pointer(known(found), self._pointer)
        return found if member.count is None else Array(known(found), member.count)


class _Parsed:
    """A member as it was written: `type *name[count]`."""

    def __init__(self, text: str) -> None:
        self.text = text
        words, blank, name = text.rpartition(" ")
        if not blank:
            raise BadDefinition(f"Missing both a name and a type declaration for a member. Instead, found '{text}'")
        self.type = words.rstrip("* ")
        bare = name.lstrip("*")
        self.pointers = words[len(self.type) :].count("*") + len(name) - len(bare)
        self.name, bracket, bound = bare.partition("[")
        self.count = _count(bound) if bracket else None
        _need_identifier(self.name)


def _count(bound: str) -> int:
    """How many elements `N]` says; 0 is a flexible array."""
    inner, closed, rest = bound.partition("]")
    if not closed:
        raise BadDefinition(f"Found the beginning of an array size but no closing ']' in {bound}")
    if inner.startswith("-"):
        raise BadDefinition("Array lengths cannot be negative")
    if rest or not NUMBER.fullmatch(inner) or len(inner) > 20:
        raise BadDefinition(f"Expected one array size, [N]. Found: '[{bound}'")
    base = 16 if inner[:2].lower() == "0x" else 10
    return int(inner[2:] if inner[1:2].isalpha() else inner or "0", base)


def _parts(text: str) -> tuple[str, str, str]:
    """The keyword, the tag or nothing, and what stands between the braces."""
    text = " ".join(text.split())
    kind, _, rest = text.replace("{", " {", 1).partition(" ")
    if kind not in TAGS:
        raise BadDefinition(f"Invalid start of definition. Expected 'struct' or 'union'. Found: '{kind}'")
    tag, brace, body = rest.partition("{")
    tag = tag.strip()
    if not brace:
        raise BadDefinition(f"Missing opening brace for {kind} definition. Expected '{{'. Found: '{tag[:1]}'")
    if tag:
        _need_identifier(tag)
    if not body.rstrip().endswith("}"):
        raise BadDefinition(f"Missing closing brace for {kind} declaration. Expected '}}'.")
    return kind, tag, body.rstrip()[:-1].strip()


def _members(body: str) -> Iterator[str]:
    """The members' declarations without their semicolons."""
    if not body.endswith(";"):
        raise BadDefinition("Cannot find semi-colon to delineate the end of a member.")
    for text in body[:-1].split(";"):
        yield text.strip()


def _check(kind: str, members: "list[_Parsed]") -> None:
    """BadDefinition where names repeat, or a flexible array stands where none may."""
    names: set[str] = set()
    for member in members:
        if member.name in names:
            raise BadDefinition(f"duplicate name detected: {member.name}")
        names.add(member.name)
        if member.count != 0:
            continue
        if kind != "struct":
            raise BadDefinition("Flexible array members are only valid in structs.")
        if member is not members[-1]:
            raise BadDefinition("Flexible array entries are only allowed to be the last entry in a struct")
        if len(members) == 1:
            raise BadDefinition("Structs must have members aside from a flexible member")


def _need_identifier(name: str) -> None:
    if not IDENTIFIER.fullmatch(name):
        raise BadDefinition(f"The name {name} is not a valid C identifier.")


def alignment(found: Type, depth: int = 0) -> int:
    """What a compiler aligns a value of the type to: its size, of structures and arrays that of what is in them."""
    base = found.complete()
    if isinstance(base, Array):
        return alignment(base.element, depth + 1) if depth < 64 else 1
    if isinstance(base, Aggregate):
        inner = (alignment(each.type, depth + 1) for each in base.members) if depth < 64 else ()
        return max(inner, default=1)
    size = max(base.size, 1)
    return 1 << (size - 1).bit_length() if size < 16 else 16


def _intrinsic(long: int) -> Iterator[Type]:
    """C's own types where a long has so many bytes."""
    yield Void()
    sizes = {**SIZES, "long": long}
    for name in ("char", "short", "int", "long", "long long"):
        yield Integer(name, sizes[name], signed=True, char=name == "char")
    yield Integer("signed", sizes["int"], signed=True)
    yield Integer("unsigned", sizes["int"])
    for sign in ("signed", "unsigned"):
        for name in ("char", "short", "int", "long", "long long"):
            yield Integer(f"{sign} {name}", sizes[name], signed=sign == "signed", char=name == "char")
    yield Integer("_Bool", 1, boolean=True)
    for name, size in FLOATS.items():
        yield Float(name, size)


def _standard(long: int) -> Iterator[tuple[str, str]]:
    """The names of <stdint.h> and those that System V adds, each with the type that it stands for."""
    for bits, of in {**FIXED, 64: "long" if long == 8 else "long long"}.items():
        yield f"int{bits}_t", of
        yield f"uint{bits}_t", f"unsigned {of}"
    yield "intptr_t", "long"
    yield "uintptr_t", "unsigned long"
    for of in ("char", "short", "int", "long"):
        yield f"u{of}_t", f"unsigned {of}"
