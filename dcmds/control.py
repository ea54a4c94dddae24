"""Commands for what runs: an image does not. And $a."""

from collections.abc import Iterator

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Text, dcmd
from vmdebug.errors import NoTarget

BUILT_IN = True
CONTROL = (
    *("$i", "$l", "$x", "$y", "$X", "$Y", ":A", ":c", ":e", ":k", ":r", ":R", ":s", ":S", ":u", ":i", ":t"),
    *(":a", ":b", ":d", ":p", ":w", ":z", "attach", "cont", "kill", "next", "release", "run", "step", "signal"),
    *("bp", "delete", "evset", "fltbp", "sigbp", "sysbp", "wp"),
)


@dataclass(frozen=True)
class Words:
    """A line of text.

    text: the line
    """

    text: str


@dcmd("$a", row=Words, text=Text("{text}"))
def adb(call: Call) -> Iterator[Words]:
    """print algol backtrace

    There is no such thing here.

    Example:
        $a
    """
    yield Words("No adb here")


@dcmd(("$b", "events"), row=Words, text=Text("{text}"))
def events(call: Call) -> Iterator[Words]:
    """list traced events

    An image does not run, so that nothing can be traced: the list is empty.

    Example:
        $b
    """
    yield from ()


@dcmd(CONTROL, address="optional", synopsis="[args ...]", raw=True)
def control(call: Call) -> None:
    """control or trace a running target

    An image does not run: refused.
    """
    raise NoTarget
