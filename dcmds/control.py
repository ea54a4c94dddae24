"""Commands for what runs, or would be changed: an image does not, and is not. And $a."""

from collections.abc import Iterator

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Text, dcmd
from vmdebug.errors import NoTarget
from vmdebug.lang.memory import WriteRefused

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


@dcmd(("context", "$p"), address="required", row=Words, text=Text("{text}"))
def context(call: Call) -> Iterator[Words]:
    """change debugger context to specified process

    Takes the address of a process' structure (a proc_t, a struct task_struct) or its pid; 0 is the kernel. From then on
    memory is the process' own, below the kernel's: what / and ::print, ::dump, ::dis, ::vtop and ::kgrep read.
    Registers and $c are those of its first thread in user mode, $m is its address space. Symbols and all that lists
    what the kernel keeps stay the kernel's.

    Example:
        0t403::pid2proc | ::context; <rip/i; 0::context
    """
    if call.args:
        raise call.usage()
    process = call.address or 0
    call.session.enter(process)
    yield Words(f"debugger context set to proc {process:x}" if process else "debugger context set to kernel")


@dcmd(
    "write",
    address="required",
    synopsis="value",
    flags=(
        Flag("o", "to the object file"),
        Flag("p", "to physical memory"),
        Flag("l", "how many bytes", "number", "len"),
    ),
)
def write(call: Call) -> None:
    """write value to the provided address

    Images are never written: refused.

    Example:
        ::help write
    """
    if len(call.args) != 1 or ("o" in call.flags and "p" in call.flags):
        raise call.usage()
    raise WriteRefused(call.number(call.args[0]), call.address or 0)
