"""Searching memory: ::kgrep for values, ::find for text and regular expressions."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator

from formats.frames import PAGE_SHIFT, Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd
from vmdebug.guests.base import with_processes
from vmdebug.targets.pieces import Piece
from vmdebug.targets.search import Pattern, Scope, Values, kernel_scope, physical_scope, process_scope

PATIENCE = 0.3  # seconds between two looks at how far a search has come
LOWEST = Flag("a", "only addresses from here on", "number", "min")
HIGHEST = Flag("A", "only addresses below this", "number", "max")


class Progress:
    """Counts the bytes that a search has seen; on a terminal one line tells how far it has come."""

    def __init__(self, call: Call, scope: Scope) -> None:
        self.searched = 0
        self._show = _shown_on(call)
        self._pages = sum(run.count for run in scope.image.runs()) if self._show else 0
        self._next = time.monotonic() + PATIENCE
        self._visible = False

    def watch(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The same pieces, counted."""
        return map(self._count, pieces)

    def _count(self, piece: Piece) -> Piece:
        self.searched += len(piece.data)
        if self._show and time.monotonic() > self._next:
            self._tell(piece.address)
        return piece

    def wipe(self) -> None:
        """Take the line away: a row comes."""
        if self._show and self._visible:
            self._show("", 1, 1)
            self._visible = False

    def _tell(self, address: int) -> None:
        """The share of the image that was seen; it stays short of the whole where memory is mapped twice."""
        if self._show:
            done = min(self.searched >> PAGE_SHIFT, self._pages - 1)
            self._show(f"searching at {address:x}", done, self._pages)
        self._next = time.monotonic() + PATIENCE
        self._visible = True


def _shown_on(call: Call) -> Callable[[str, int, int], None] | None:
    """How progress is shown where a person reads along, else None."""
    if not (call.session.show.terminal and sys.stderr.isatty()):
        return None
    from vmdebug.cli import show_progress

    return show_progress


@dataclass(frozen=True)
class ValueRow:
    """A place in memory that holds a value.

    addr: where it is
    value: what is there
    """

    addr: Vaddr
    value: Hex


def value_lines(rows: Iterable[ValueRow], show: Show) -> Iterator[str]:
    for row in rows:
        yield show.number(row.addr, prefix=True) if show.piped else f"{row.addr:x}"


@dcmd(
    "kgrep",
    address="required",
    flags=(
        Flag("v", "show the value at each address, too"),
        Flag("d", "values from the address on, less than this away", "number", "dist"),
        Flag("m", "compare only these bits", "number", "mask"),
        Flag("M", "compare all bits but these", "number", "invmask"),
        LOWEST,
        HIGHEST,
        Flag("s", "the size of a value: 1, 2, 4 or 8 bytes", "number", "size"),
    ),
    synopsis="[-v] [-d dist|-m mask|-M invmask] [-a min] [-A max] [-s size]",
    text=value_lines,
    row=ValueRow,
)
def kgrep(call: Call) -> Iterator[ValueRow]:
    """find where kernel memory holds a pointer or a value

    Looks through the kernel's mapped memory for aligned values of the size of a pointer that equal the address. What
    the page tables do not map, or the image does not hold, is passed over; so is what a hypervisor keeps for itself.
    A page that is mapped twice is found twice. To search elsewhere than in the kernel's half of a 64-bit address space,
    give the limits; in the context of a process (::context) its own memory is searched.

    Reads: the memory that the kernel's page tables map.

    Example:
        fffffffffbc4b7f0::kgrep -v
    """
    scope = _mapped_scope(call)
    for value in call.addresses:
        wanted = _wanted(call, value)
        progress = Progress(call, scope)
        if "v" in call.flags and not call.piped:
            call.text = Text("{addr:x}:\t{value:x}")
        try:
            for addr, found in wanted.each_in(progress.watch(scope.pieces(wanted.matches_zero))):
                progress.wipe()
                yield ValueRow(Vaddr(addr), Hex(found))
        finally:
            progress.wipe()
        _judge(call, progress)


def _wanted(call: Call, value: int) -> Values:
    given = [letter for letter in "dmM" if call.flags.get(letter)]
    if len(given) > 1:
        raise call.usage("only one of -d, -m and -M may be specified")
    mask = call.flags.get("m") or (~call.flags["M"] if call.flags.get("M") else None)
    wanted = Values(value, call.flags.get("s", call.target.word), mask, call.flags.get("d", 0))
    if value > wanted.highest:
        call.warn(f"warning: {value:#x} has more than {wanted.size} bytes: the lowest are searched for")
    if mask is not None and value & ~mask & wanted.highest:
        call.warn(f"warning: {value:#x} has bits outside of the mask: they are not compared")
    return wanted


def _judge(call: Call, progress: Progress) -> None:
    if not progress.searched:
        call.warn("warning: nothing searched")


@dataclass(frozen=True)
class TextRow:
    """A match in memory.

    addr: where it begins
    match: its characters; bytes that are not printable as dots
    text: the memory around it
    """

    addr: Vaddr
    match: str
    text: str


@dcmd(
    "find",
    flags=(
        Flag("p", "search physical memory"),
        Flag("P", "search a process' own memory", "number", "pid"),
        Flag("i", "capitals and small letters are the same"),
        Flag("r", "the text is a regular expression"),
        LOWEST,
        HIGHEST,
    ),
    synopsis="[-ir] [-p|-P pid] [-a min] [-A max] text",
    text=Text("{addr:x}  {text}"),
    row=TextRow,
)
def find(call: Call) -> Iterator[TextRow]:
    """find text in memory

    Looks for the bytes of a text, or with -r for what a regular expression of Python matches, in the kernel's memory,
    the guest's physical memory or a process' own. Matches that lie across pages are found, too; of those longer than
    a page, perhaps only a part. In a regular expression ^ and $ are the beginning and the end of a line, and \\xNN is
    a byte. Each match comes with the memory around it, from 16 bytes before.

    Reads: the memory itself; with -P, of a Linux guest, struct task_struct (tasks, pid, mm), struct mm_struct (pgd).

    Example:
        ::find -i SunOS
    """
    if len(call.args) != 1 or not isinstance(call.args[0], str) or not call.args[0] or {"p", "P"} <= call.flags.keys():
        raise call.usage()
    pattern = Pattern(call.args[0], regular="r" in call.flags, ignore_case="i" in call.flags)
    scope = _scope(call)
    progress = Progress(call, scope)
    try:
        for found in pattern.each_in(progress.watch(scope.pieces(pattern.matches_zero))):
            progress.wipe()
            yield TextRow(Vaddr(found.address), found.printable, found.around)
    finally:
        progress.wipe()
    _judge(call, progress)


def _scope(call: Call) -> Scope:
    limits = call.flags.get("a"), call.flags.get("A")
    if "p" in call.flags:
        return physical_scope(call.target.image, *limits)
    if "P" in call.flags:
        return process_scope(with_processes(call.guest).space_of_process(call.flags["P"]), *limits)
    return _mapped_scope(call)


def _mapped_scope(call: Call) -> Scope:
    """The kernel's memory, or that of the process that ::context entered."""
    own = process_scope if call.session.process else kernel_scope
    return own(call.target.kernel, call.flags.get("a"), call.flags.get("A"))
