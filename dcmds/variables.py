"""Variables: `>`, ::vars, $v, ::typeset, ::unset."""

from collections.abc import Iterable, Iterator
from typing import cast

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd
from vmdebug.lang.flags import each_word
from vmdebug.lang.variables import BadName, NotDefined, Variables, truncate
from vmdebug.session import Session

BUILT_IN = True


@dataclass(frozen=True)
class Named:
    """A variable.

    value: what it holds
    name: its name, without `<`
    assigned: the text that would set it again, only with -p
    """

    value: Hex
    name: str
    assigned: str | None = None


def variable_lines(rows: Iterable[Named], show: Show) -> Iterator[str]:
    for row in rows:
        yield row.assigned or f"{row.name} = {show.number(row.value)}"


def _variables(call: Call) -> Variables:
    return cast(Session, call.session).variables


@dcmd(">", address="optional", synopsis="name", raw=True)
def assign(call: Call) -> None:
    """assign variable

    `value>name` sets a variable to the value, without one to dot. `value>/X/name` cuts it first: c 8 bits, s 16,
    i 32, l 64. `<name` reads it.

    Example:
        2a>answer
    """
    value = call.address if call.address is not None else call.session.dot
    if "modifier" in call.flags:
        value = truncate(value, call.flags["modifier"])
    if len(call.args) != 1 or not isinstance(call.args[0], str):
        raise BadName("expected single variable name following '>'")
    _variables(call).write(call.args[0], value)


@dcmd(
    "vars",
    flags=(Flag("n", "only those that are not 0"), Flag("t", "only tagged ones"), Flag("p", "as commands to set them")),
    row=Named,
    text=variable_lines,
)
def each_variable(call: Call) -> Iterator[Named]:
    """print listing of variables

    Dot, the debugger's own variables, the user's and the registers of the representative processor, in the current
    radix.

    Example:
        ::vars -n
    """
    variables = _variables(call)
    for name, value in variables.each():
        if ("n" in call.flags and not value) or ("t" in call.flags and name not in variables.tagged):
            continue
        yield Named(Hex(value), name, f"0x{value:x}>{name}" if "p" in call.flags else None)


@dcmd("$v", row=Named, text=variable_lines)
def nonzero(call: Call) -> Iterator[Named]:
    """print non-zero variables

    Like ::vars -n.

    Example:
        $v
    """
    for name, value in _variables(call).each():
        if value:
            yield Named(Hex(value), name)


@dcmd("typeset", address="optional", synopsis="[+/-t] variable ...", raw=True)
def typeset(call: Call) -> None:
    """set variable attributes

    Makes each variable that does not exist, as 0 or the address. -t tags it for ::vars -t, +t takes the tag off.

    Example:
        ::typeset -t answer
    """
    words = list(each_word(call.args))
    sign = words.pop(0) if words and words[0] in ("-t", "+t") else ""
    if not words:
        raise call.usage()
    variables = _variables(call)
    for name in words:
        if call.address is not None or name not in variables:
            variables.write(name, call.address or 0)
        if sign == "-t":
            variables.tagged.add(name)
        elif sign == "+t":
            variables.tagged.discard(name)


@dcmd("unset", synopsis="variable ...")
def unset(call: Call) -> None:
    """unset variables

    Takes away variables that the user made.

    Example:
        1>answer; ::unset answer
    """
    words = list(each_word(call.args))
    if not words:
        raise call.usage()
    for name in words:
        try:
            _variables(call).remove(name)
        except NotDefined as err:
            call.warn(str(err))
