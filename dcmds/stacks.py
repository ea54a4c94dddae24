"""Threads by their stacks: ::stacks of illumos."""

from collections.abc import Callable, Iterator, Sequence

from vmdebug.dcmd import Call, Flag, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.stack_groups import NONE, OBJECTS, Group, Stack, gather
from vmdebug.guests.illumos.threads import STATES, each_thread
from vmdebug.stack_rows import StackGroup, group_lines, group_row

ANY_OBJECT = "ALL"
Test = Callable[[Stack], bool]


@dcmd(
    "stacks",
    address="optional",
    synopsis="[-afiv] [-c func] [-C func] [-m module] [-M module] [-s sobj | -S sobj] [-t state | -T state]",
    flags=(
        Flag("a", "every thread of each group"),
        Flag("f", "gather the stacks anew, which is always done"),
        Flag("i", "without threads that wait for a condition variable, and free ones"),
        Flag("v", "report how the gathering goes on"),
        Flag("c", "only stacks with this function, or this function and offset", "text", "func"),
        Flag("C", "no stacks with this function", "text", "func"),
        Flag("m", "only stacks with a function of this module", "text", "module"),
        Flag("M", "no stacks with a function of this module", "text", "module"),
        Flag("s", "only threads that sleep on this kind of object; ALL for any", "text", "sobj"),
        Flag("S", "no threads that sleep on this kind of object", "text", "sobj"),
        Flag("t", "only threads in this state", "text", "state"),
        Flag("T", "no threads in this state", "text", "state"),
    ),
    text=group_lines,
    row=StackGroup,
    guests=("illumos",),
    whole=True,
)
def stacks(call: Call) -> Iterator[StackGroup]:
    """print unique kernel thread stacks

    The threads in groups that have one state, wait for one kind of object, and have the same stack: the largest
    first, one that panics last. With an address the group of that thread, behind a pipe only the piped threads; into
    a pipe goes each thread.

    Reads: kthread_t from allthreads, sobj_ops_t, each thread's stack, panic_thread.

    Example:
        ::stacks -c cv_wait -m arp
    """
    guest = illumos(call.guest)
    wanted = list(_tests(call, guest))
    only = set(call.addresses) if call.from_pipe else None
    known = [each for each in each_thread(guest) if only is None or each in only]
    for address in call.addresses:
        if address not in known:
            raise DebuggerError(f"stacks: {address:x} not in thread list")
    for group in _gathered(call, guest, known):
        if not all(test(group.stack) for test in wanted):
            continue
        if call.addresses and not set(call.addresses) & set(group.threads):
            continue
        for first in group.threads if call.piped and not call.kept else group.threads[:1]:
            yield group_row(call, group, first, every="a" in call.flags)


def _gathered(call: Call, guest: Illumos, threads: Sequence[int]) -> Sequence[Group]:
    """The groups of threads; with -v what is gathered is told."""
    tell = call.warn if "v" in call.flags else lambda _: None
    tell("stacks: processing kernel threads")
    groups = gather(guest, threads, call.warn)
    tell(f"stacks: {len(groups)} unique stacks / {sum(len(group.threads) for group in groups)} threads")
    tell("stacks: done")
    return groups


def _tests(call: Call, guest: Illumos) -> Iterator[Test]:
    """What the options ask of a stack: lower-case letters select, upper-case ones exclude."""
    for letter, make in (("c", _function), ("m", _module), ("s", _object), ("t", _state)):
        if letter in call.flags:
            yield make(guest, call.flags[letter])
        if letter.upper() in call.flags:
            yield _without(make(guest, call.flags[letter.upper()]))
    if "i" in call.flags:
        yield lambda stack: stack.panicking or (stack.object != "CV" and stack.state != "FREE")


def _without(test: Test) -> Test:
    return lambda stack: not test(stack)


def _function(guest: Illumos, word: str) -> Test:
    """Whether a function is on the stack; with an offset, whether the stack continues there."""
    name, plus, offset = word.partition("+")
    module, tick, bare = name.rpartition("`")
    symbol = guest.symbols.find(bare, module if tick else None)
    if symbol is None:
        raise DebuggerError(f"stacks: cannot find function '{word}'")
    if not plus:
        return lambda stack: any(0 <= pc - symbol.value < max(symbol.size, 1) for pc in stack.pcs)
    try:
        exact = symbol.value + int(offset, 16)
    except ValueError as err:
        raise DebuggerError(f"stacks: {word}: the offset is no hexadecimal number") from err
    return lambda stack: exact in stack.pcs


def _module(guest: Illumos, word: str) -> Test:
    module = guest.module(word)
    if module is None:
        raise DebuggerError(f"stacks: '{word}' is not a loaded module")
    return lambda stack: any(module.text.holds(pc) for pc in stack.pcs)


def _object(_: Illumos, word: str) -> Test:
    kind = word.upper()
    if kind == ANY_OBJECT:
        return lambda stack: stack.object != NONE
    if kind not in (*OBJECTS.values(), NONE):
        known = ", ".join((*OBJECTS.values(), NONE, ANY_OBJECT))
        raise DebuggerError(f"stacks: {word}: no kind of synchronisation object; known are {known}")
    return lambda stack: stack.object == kind


def _state(_: Illumos, word: str) -> Test:
    state = word.upper().removeprefix("TS_")
    known = [*(each.upper() for each in STATES.values()), "PANIC"]
    if state not in known:
        raise DebuggerError(f"stacks: {word}: no state of threads; known are {', '.join(known)}")
    return lambda stack: stack.state == state
