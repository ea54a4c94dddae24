"""Names: ::nm, ::nmadd and ::nmdel, $e and $f."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import cast

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd
from vmdebug.errors import DebuggerError, NoTypes, ReadFailed, UnknownObject
from vmdebug.lang.flags import each_word
from vmdebug.session import Session
from vmdebug.symbols.table import Symbol, SymbolTable

BUILT_IN = True
SECTIONS: Mapping[int, str] = {0: "UNDEF", 0xFFF1: "ABS", 0xFFF2: "COMMON"}
TYPES: Mapping[str, str] = {
    "noty": "NOTY",
    "objt": "OBJT",
    "func": "FUNC",
    "sect": "SECT",
    "file": "FILE",
    "comm": "COMM",
    "tls": "TLS",
    "regi": "REGI",
}
USUAL = ("val", "sz", "type", "bind", "oth", "shndx", "name")


class BadRequest(DebuggerError):
    """Columns, types or a symbol that do not exist."""


@dataclass(frozen=True)
class SymbolRow:
    """A symbol.

    value: its address
    size: its size in bytes
    name: its name
    type: NOTY OBJT FUNC SECT FILE COMM TLS REGI
    bind: LOCL GLOB WEAK
    object: the module that has it
    shndx: its section
    index: its number in its table
    other: its st_other
    ctype: its type in C, null where that is not known or not asked for
    """

    value: Vaddr
    size: Hex
    name: str
    type: str
    bind: str
    object: str
    shndx: str
    index: int
    other: Hex
    ctype: str | None


@dataclass(frozen=True)
class Column:
    """How a column of ::nm looks."""

    head: str
    width: int
    show: Callable[[SymbolRow], str]


def _columns(base: str) -> Mapping[str, Column]:
    """The columns by the names that -f knows; `base` is the letter of the numbers' radix."""
    width = {"x": 18, "d": 20, "o": 22}[base]
    form = {"x": "0x{:016x}", "d": "{:<20d}", "o": "{:<22o}"}[base].format
    return {
        "ndx": Column("Index", 5, lambda row: f"{row.index:>5}"),
        "obj": Column("Object", 15, lambda row: row.object),
        "val": Column("Value", width, lambda row: form(row.value)),
        "sz": Column("Size", width, lambda row: form(row.size)),
        "type": Column("Type", 5, lambda row: row.type),
        "bind": Column("Bind", 5, lambda row: row.bind),
        "oth": Column("Other", 5, lambda row: f"0x{row.other:x}"),
        "shndx": Column("Shndx", 8, lambda row: row.shndx),
        "ctfid": Column("CTF ID", 9, lambda row: "-" if row.ctype is None else str(row.index)),
        "ctype": Column("C Type", 50, lambda row: row.ctype or "<unknown type>"),
        "name": Column("Name", 0, lambda row: row.name),
    }


def symbol_lines(columns: Sequence[Column], head: bool, rows: Iterable[SymbolRow], _: Show) -> Iterator[str]:
    if head:
        yield " ".join(column.head.ljust(column.width) for column in columns).rstrip()
    for row in rows:
        yield "|".join(column.show(row).ljust(column.width) for column in columns)


def command_lines(rows: Iterable[SymbolRow], _: Show) -> Iterator[str]:
    """-p: what would make the same symbols again."""
    for row in rows:
        mark = "-f" if row.type == "FUNC" else "-o"
        yield f"0x{row.value:x}::nmadd {mark} -s 0x{row.size:x} {row.name}"


@dcmd(
    "nm",
    address="optional",
    synopsis="[-DPdghnopuvx] [-f format] [-t types] [object]",
    flags=(
        Flag("D", "the dynamic symbol table: an image has none"),
        Flag("P", "the private symbols of ::nmadd"),
        Flag("d", "numbers in decimal"),
        Flag("g", "global symbols only"),
        Flag("h", "without the head"),
        Flag("n", "sorted by name"),
        Flag("o", "numbers in octal"),
        Flag("p", "as ::nmadd commands"),
        Flag("u", "undefined symbols only"),
        Flag("v", "sorted by value"),
        Flag("x", "numbers in hexadecimal"),
        Flag("f", "columns: ndx obj val sz type bind oth shndx ctfid ctype name", "text", "format"),
        Flag("t", "types: noty objt func sect file comm tls regi", "text", "types"),
    ),
    row=SymbolRow,
)
def nm(call: Call) -> Iterator[SymbolRow]:
    """print symbols

    The symbols of the kernel, or of one of its modules. With an address the one that covers it.

    Example:
        ::nm -h -t func
    """
    if sum(letter in call.flags for letter in "dox") > 1:
        raise BadRequest("-d/-o/-x options are mutually exclusive")
    names = _named(call, "f", USUAL, tuple(_columns("x")), "format")
    columns = [_columns(_base(call))[name] for name in names]
    call.text = command_lines if "p" in call.flags else partial(symbol_lines, columns, "h" not in call.flags)
    with_type = "ctype" in names or "ctfid" in names
    for symbol in _chosen(call):
        yield _row(symbol, _ctype(call, symbol) if with_type else None)


def _named(call: Call, letter: str, usual: Sequence[str], known: Sequence[str], what: str) -> Sequence[str]:
    """The comma-separated words of an option."""
    words = str(call.flags[letter]).split(",") if letter in call.flags else usual
    for word in words:
        if word not in known:
            raise BadRequest(f"invalid {what} -- {word}")
    return words


def _base(call: Call) -> str:
    asked = next((letter for letter in "dox" if letter in call.flags), None)
    return asked or {8: "o", 10: "d"}.get(call.session.radix, "x")


def _chosen(call: Call) -> Iterator[Symbol]:
    """The symbols that the options and the operand select, in their order."""
    kinds = [TYPES[word] for word in _named(call, "t", tuple(TYPES), tuple(TYPES), "type")] if "t" in call.flags else ()
    found: Iterable[Symbol] = (
        symbol
        for symbol in _all(call)
        if not (kinds and symbol.kind not in kinds)
        and not ("g" in call.flags and symbol.bind != "GLOB")
        and not ("u" in call.flags and symbol.shndx != 0)
    )
    if "n" in call.flags:
        found = sorted(found, key=lambda symbol: symbol.name)
    elif "v" in call.flags:
        found = sorted(found, key=lambda symbol: symbol.value)
    yield from found


def _all(call: Call) -> Iterable[Symbol]:
    session = cast(Session, call.session)
    table, words = session.symbols, list(each_word(call.args))
    if len(words) > 1:
        raise call.usage()
    if call.address is not None:
        covering = table.nearest(call.address, session.settings.distance)
        if covering is None:
            raise BadRequest("no symbol corresponds to address")
        return [covering[0]]
    if "P" in call.flags:
        return list(table.private.values())
    if "D" in call.flags:
        return ()
    if words and table.module(words[0]) is None:
        raise UnknownObject(words[0])
    return table.each(words[0] if words else None)


def _row(symbol: Symbol, ctype: str | None) -> SymbolRow:
    return SymbolRow(
        Vaddr(symbol.value),
        Hex(symbol.size),
        symbol.name,
        symbol.kind,
        symbol.bind,
        symbol.module,
        SECTIONS.get(symbol.shndx, str(symbol.shndx)),
        symbol.index,
        Hex(symbol.other),
        ctype,
    )


def _ctype(call: Call, symbol: Symbol) -> str | None:
    """The symbol's type in C, if the guest has types."""
    try:
        types = call.guest.types
        found = types.function(symbol) or types.type_of_symbol(symbol)
    except NoTypes:
        return None
    return str(found) if found else None


@dataclass(frozen=True)
class Change:
    """A private symbol that was added or taken away.

    value: its address
    size: its size
    name: its name
    done: added or deleted
    """

    value: Vaddr
    size: Hex
    name: str
    done: str


@dcmd(
    "nmadd",
    address="required",
    synopsis="[-fo] [-e end] [-s size] name",
    flags=(
        Flag("f", "a function"),
        Flag("o", "an object"),
        Flag("e", "the address behind it", "number", "end"),
        Flag("s", "its size", "number", "size"),
    ),
    row=Change,
    text=Text("{done} {name}, value={value:r} size={size:r}"),
)
def nmadd(call: Call) -> Iterator[Change]:
    """add name to private symbol table

    A private symbol goes before those of the image, by name and by address.

    Example:
        10::nmadd -o -s 8 mine
    """
    words = list(each_word(call.args))
    if len(words) != 1 or ("e" in call.flags and "s" in call.flags):
        raise call.usage()
    value = call.session.dot
    size = call.flags.get("s", max(call.flags.get("e", value) - value, 0))
    kind = "FUNC" if "f" in call.flags else "OBJT" if "o" in call.flags else "NOTY"
    _table(call).private[words[0]] = Symbol(words[0], value, size, kind, "GLOB")
    yield Change(Vaddr(value), Hex(size), words[0], "added")


@dcmd("nmdel", synopsis="name", row=Change, text=Text("{done} {name}, value={value:r} size={size:r}"))
def nmdel(call: Call) -> Iterator[Change]:
    """remove name from private symbol table

    Example:
        10::nmadd mine; ::nmdel mine
    """
    words = list(each_word(call.args))
    if len(words) != 1:
        raise call.usage()
    found = _table(call).private.pop(words[0], None)
    if found is None:
        raise BadRequest(f"symbol '{words[0]}' not found in private symbol table")
    yield Change(Vaddr(found.value), Hex(found.size), found.name, "deleted")


def _table(call: Call) -> SymbolTable:
    return cast(Session, call.session).symbols


@dataclass(frozen=True)
class External:
    """A global variable and the word that it begins with.

    address: the variable's address
    name: its name
    word: the word there, null where it cannot be read
    """

    address: Vaddr
    name: str
    word: Hex | None


def external_lines(rows: Iterable[External], _: Show) -> Iterator[str]:
    for row in rows:
        yield f"{row.name}({row.address:x}):\t{'?' if row.word is None else format(row.word, 'x')}"


@dcmd("$e", row=External, text=external_lines)
def externals(call: Call) -> Iterator[External]:
    """print listing of global symbols

    Every global variable of the kernel with its address and the word there.

    Example:
        $e
    """
    for symbol in _table(call).each():
        if symbol.kind == "OBJT" and symbol.bind == "GLOB":
            yield External(Vaddr(symbol.value), symbol.name, _word(call, symbol.value))


def _word(call: Call, address: int) -> Hex | None:
    try:
        return Hex(int.from_bytes(call.target.read(address, call.session.word), "little"))
    except ReadFailed:
        return None


@dataclass(frozen=True)
class SourceFile:
    """A source file that the symbol table names.

    name: the file's name
    number: its place in the listing
    """

    name: str
    number: int


@dcmd(("$f", "files"), row=SourceFile, text=Text("{number}\t{name}"))
def source_files(call: Call) -> Iterator[SourceFile]:
    """print listing of source files

    Example:
        $f
    """
    files = (symbol for symbol in _table(call).each() if symbol.kind == "FILE")
    for number, symbol in enumerate(files):
        yield SourceFile(symbol.name, number)
