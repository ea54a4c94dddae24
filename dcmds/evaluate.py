"""Commands that run commands or compute: ::eval ::map ::grep ::echo ::walk."""

from collections.abc import Iterable, Iterator
from typing import cast

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Row, Show, Text, dcmd
from vmdebug.lang.flags import each_word
from vmdebug.lang.pipeline import OK, Reported
from vmdebug.session import Session

BUILT_IN = True


@dataclass(frozen=True)
class Value:
    """One computed value.

    value: the value
    """

    value: Hex


@dataclass(frozen=True)
class Address:
    """One address.

    address: the address
    """

    address: Vaddr


@dataclass(frozen=True)
class Words:
    """A line of text.

    text: the words, each followed by a blank
    """

    text: str


def number_lines(rows: Iterable[Value | Address], show: Show) -> Iterator[str]:
    for row in rows:
        yield show.number(row.value if isinstance(row, Value) else row.address)


@dcmd(("eval", "each"), address="optional", synopsis="command", row=None)
def run(call: Call) -> Iterator[Row]:
    """evaluate the specified command

    Runs the words as a command line with dot set to the address, so behind a pipe once for each address. In a pipe its
    rows flow on; a failure ends the pipeline.

    Examples:
        ::eval '::echo hello'
        ::walk cpu | ::each '.::print cpu_t cpu_id; ::echo --'
    """
    return cast(Session, call.session).run_for(call, _one_text(call))


@dcmd("map", address="optional", synopsis="expression", row=Value, text=number_lines)
def each_value(call: Call) -> Iterator[Value]:
    """print dot after evaluating expression

    Evaluates the expression with dot set to each address and gives the value that results.

    Example:
        10::map .+8
    """
    yield Value(Hex(_resulting_dot(call)))


@dcmd("grep", address="optional", synopsis="expression", row=Address, text=number_lines)
def grep(call: Call) -> Iterator[Address]:
    """print dot if expression is true

    Evaluates the expression with dot set to each address; those where the result is not 0 pass.

    Example:
        10::grep '.==10'
    """
    address = call.session.dot
    if _resulting_dot(call):
        yield Address(Vaddr(address))


@dcmd("echo", synopsis="args ...", row=Words, text=Text("{text}"))
def echo(call: Call) -> Iterator[Words]:
    """echo arguments

    Prints each argument and a blank; a computed one in the current radix.

    Example:
        ::echo one $[1+1]
    """
    shown = (call.session.show.number(word) if isinstance(word, int) else word for word in call.args)
    yield Words("".join(f"{word} " for word in shown))


def walk_lines(rows: Iterable[Address], show: Show) -> Iterator[str]:
    for row in rows:
        yield show.number(row.address, prefix=True)


@dcmd("walk", address="optional", synopsis="walk_name [variable]", row=Address, text=walk_lines)
def walk(call: Call) -> Iterator[Address]:
    """walk data structure

    Gives the address of each object that the walker finds. A variable takes the address in step with the stages behind.
    Each cache of an illumos guest is a walker by its own name: of the buffers that are given out.

    Example:
        ::walk cpu
    """
    words = list(each_word(call.args))
    if len(words) not in (1, 2):
        raise call.usage()
    for address in call.walk(words[0], call.address):
        if len(words) == 2:
            call.bind(words[1], address)
        yield Address(Vaddr(address))


def _one_text(call: Call) -> str:
    words = list(each_word(call.args))
    if not words:
        raise call.usage()
    return " ".join(words)


def _resulting_dot(call: Call) -> int:
    """Dot after a nested evaluation of the words."""
    session = cast(Session, call.session)
    session.run_nested(_one_text(call))
    call.leave_dot(session.dot)
    if session.status != OK:
        raise Reported("failed to evaluate command")
    return session.dot
