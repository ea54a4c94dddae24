"""Groups of illumos threads with one stack as rows, for every dcmd that shows some."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Show
from vmdebug.guests.illumos.stack_groups import Group

HEAD = f"{'THREAD':<16} {'STATE':<8} {'SOBJ':<16} {'COUNT':>8}"


@dataclass(frozen=True)
class Place:
    """A call on a stack.

    pc: where the function continues
    symbol: pc as a name and an offset
    """

    pc: Vaddr
    symbol: str


@dataclass(frozen=True)
class StackGroup:
    """Threads with one state, one kind of synchronisation object and one stack.

    thread: the first of them
    state: what they do
    sobj: the kind of object that they sleep on
    count: how many they are
    frames: their calls, the innermost first
    threads: all of them
    failure: why there are no calls, empty if there are
    cut: whether there are more calls than are shown
    """

    thread: Vaddr
    state: str
    sobj: str
    count: int
    frames: Sequence[Place]
    threads: Sequence[Vaddr]
    failure: str
    cut: bool
    _every: bool


def group_lines(rows: Iterable[StackGroup], _: Show) -> Iterator[str]:
    """A line a group, below it its calls and an empty line; with -a a line a thread, and the head for each group."""
    for number, row in enumerate(rows):
        if number == 0 or row._every:
            yield HEAD
        shown = [(each, "-") for each in row.threads] if row._every else [(row.thread, str(row.count))]
        for thread, count in shown:
            yield f"{thread:016x} {row.state:<8} {row.sobj:<16} {count:>8}"
        words = [row.failure] if row.failure else [each.symbol for each in row.frames]
        for word in [*words, "... truncated ..."] if row.cut else words:
            yield f"{'':17}{word}"
        yield ""


def group_row(call: Call, group: Group, first: int, *, every: bool = False) -> StackGroup:
    """A group as a row, which passes on one of its threads; `every` shows each of them."""
    stack, symbol = group.stack, call.session.show.symbol
    return StackGroup(
        thread=Vaddr(first),
        state=stack.state,
        sobj=stack.object,
        count=len(group.threads),
        frames=[Place(Vaddr(pc), symbol(pc)) for pc in stack.pcs],
        threads=[Vaddr(each) for each in group.threads],
        failure=stack.failure,
        cut=stack.cut,
        _every=every,
    )
