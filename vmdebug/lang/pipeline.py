"""Stages at work: which call each dcmd gets, with which dot, and what flows from one stage into the next.

A stage is a generator of items: a row, and the variables that go in step with it. The first field of a row is the
address for the next stage, text there is read as an expression. A stage begins as soon as the one before has its first
row, and stops asking when it has enough. Errors are reported where they happen: they end a call, an Abort the pipeline.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Dcmd, Lines, NotMine, Row, Sitting, Text
from vmdebug.errors import Abort, DebuggerError, ImageError, UsageError
from vmdebug.lang.flags import split_flags
from vmdebug.lang.numbers import MASK, SIGN
from vmdebug.render import first_field

OK, ERROR, USAGE, NEXT, ABORT = range(5)
PIPELINE = "(pipeline)"
Item = tuple[Row, Mapping[str, int]]
NOTHING: Mapping[str, int] = {}


class DotOverflow(Abort):
    """The next address would cross the top of the address space."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"'{cause}' would cause '.' to overflow")


class Reported(Abort):
    """A failure whose message is out already."""


@dataclass
class Bound:
    """A stage whose words are computed. `preset` are flags that the syntax gave, not the words."""

    entry: Dcmd
    words: Sequence[str | int] = ()
    preset: Mapping[str, Any] = field(default_factory=dict)


class Host(Sitting, Protocol):
    """What a pipeline needs of its session."""

    increment: int
    last_address: int
    status: int
    chosen_text: Text | Lines | None

    @property
    def guest_kind(self) -> str | None: ...
    def report(
        self,
        err: DebuggerError | ImageError,
        entry: Dcmd | None = None,
        line: int | None = None,
        source: str | None = None,
    ) -> None: ...
    def read_number(self, text: str) -> int: ...


class Pipeline:
    """One run of bound stages."""

    def __init__(self, host: Host, stages: Sequence[Bound], address: int | None, count: int | None) -> None:
        self._host = host
        self._stages = stages
        self._address = address
        self._count = count
        self._stopped = False
        self._failure = OK  # the status that ended the pipeline
        self._ends: dict[int, tuple[int, int, int, int]] = {}  # of each stage: dot, increment, &, status
        self._origin = _origin(stages, len(stages))

    @property
    def shown(self) -> Dcmd:
        """The dcmd that says how the rows at the end are printed, and names them in JSON."""
        return self._stages[self._origin or 0].entry

    def items(self) -> Iterator[Item]:
        """What the last stage yields; when it is done, dot is where the last stage left it."""
        items = self._first()
        for number in range(1, len(self._stages)):
            items = self._later(number, items)
        try:
            yield from items
        finally:
            self._settle()

    def feed(self, items: Iterable[Item]) -> Iterator[Item]:
        """Like items(), with the first stage behind a source of rows."""
        stream = self._later(0, items)
        for number in range(1, len(self._stages)):
            stream = self._later(number, stream)
        try:
            yield from stream
        finally:
            self._settle()

    def _settle(self) -> None:
        if self._ends:
            dot, increment, last, status = self._ends[max(self._ends)]
            self._host.dot, self._host.increment, self._host.last_address = dot, increment, last
            self._host.status = self._failure or status

    def _first(self) -> Iterator[Item]:
        stage = self._stages[0]
        if stage.entry.whole and self._address is not None:
            yield from self._invoke(0, self._call(0, self._address, [self._address]), NOTHING)
            return
        yield from self._loop(0, self._address, NOTHING, first=True, piped=False)

    def _later(self, number: int, items: Iterable[Item]) -> Iterator[Item]:
        """A stage behind another: a call for each address, or one with all of them."""
        entry = self._stages[number].entry
        if entry.whole or entry.stream:
            yield from self._streamed(number, items) if entry.stream else self._gathered(number, items)
            return
        first = True
        for address, bound in self._addresses(items):
            for name, value in bound.items():
                self._host.bind(name, value)
            yield from self._loop(number, address, bound, first, piped=True)
            first = False
            if self._stopped:
                return

    def _gathered(self, number: int, items: Iterable[Item]) -> Iterator[Item]:
        addresses = [address for address, _ in self._addresses(items)]
        if addresses and not self._stopped:
            call = self._call(number, addresses[0], addresses)
            call.from_pipe = True
            yield from self._invoke(number, call, NOTHING)

    def _streamed(self, number: int, items: Iterable[Item]) -> Iterator[Item]:
        """One call with the rows themselves. What it yields keeps the variables of the same row, or of the last."""
        kept: dict[int, Item] = {}
        latest = NOTHING

        def upstream() -> Iterator[Row]:
            nonlocal latest
            for row, bound in items:
                latest = bound
                if bound:
                    kept[id(row)] = row, bound
                yield row

        call = self._call(number, None, [])
        call.from_pipe, call.upstream = True, upstream()
        origin = _origin(self._stages, number)
        call.origin = None if origin is None else self._stages[origin].entry
        for row, _ in self._invoke(number, call, NOTHING):
            yield row, kept.pop(id(row), (row, latest))[1]

    def _addresses(self, items: Iterable[Item]) -> Iterator[tuple[int, Mapping[str, int]]]:
        """The addresses in rows. A line of text that is no expression ends the pipeline."""
        line = 0
        for row, bound in items:
            value = first_field(row)
            if isinstance(value, str):
                for text in value.split("\n"):
                    line += 1
                    if not text.strip():
                        continue
                    try:
                        address = self._host.evaluate(text)
                    except DebuggerError as err:
                        self._break_off(err, line)
                        return
                    yield address, bound
            elif value is not None:
                yield int(value) & MASK, bound

    def _loop(
        self, number: int, address: int | None, bound: Mapping[str, int], first: bool, piped: bool
    ) -> Iterator[Item]:
        """The calls that a repeat count makes; between them dot goes on by what the dcmd left as increment."""
        entry = self._stages[number].entry
        count = 1 if self._count is None or number or (entry.repeats and self._count) else self._count
        dot = self._host.dot if address is None else address
        self._host.dot = self._host.last_address = dot
        while count > 0 and not self._stopped:
            call = self._call(number, address, [] if address is None else [address])
            call.first, call.from_pipe = first, piped
            self._host.dot = self._host.last_address = dot
            self._host.increment = 0
            yield from self._invoke(number, call, bound)
            first = False
            count -= 1
            if count > 0:
                dot = self._next_dot(call, dot)
                address = None if address is None else dot

    def _next_dot(self, call: Call, dot: int) -> int:
        left, increment = call.left or (dot, 0)
        following = left + increment
        if (following ^ left) & SIGN or following > MASK:
            self._stopped, self._failure = True, ABORT
            self._host.report(DotOverflow(","))
        return following & MASK

    def _call(self, number: int, address: int | None, addresses: list[int]) -> Call:
        stage, following = self._stages[number], self._stages[number + 1 : number + 2]
        return Call(
            self._host,
            stage.entry,
            address,
            addresses,
            count=self._count if not number else None,
            piped=bool(following),
            kept=any(each.entry.stream for each in following),
        )

    def _invoke(self, number: int, call: Call, bound: Mapping[str, int]) -> Iterator[Item]:
        """One call: its rows; its error is reported."""
        status, dot = OK, self._host.dot
        last = dot
        try:
            for row in self._rows(call, self._stages[number], self._stages[number].entry):
                if call.text is not None and number >= (self._origin or 0):
                    self._host.chosen_text = call.text
                yield row, {**bound, **call.bound} if call.bound else bound
                if self._stopped:
                    break
        except UsageError as err:
            status = self._fail(err, call, USAGE)
        except Abort as err:
            status = self._fail(err, call, ABORT)
        except (DebuggerError, ImageError) as err:
            status = ERROR
            self._host.report(err, self._stages[number].entry)
        finally:
            left, increment = call.left or (dot, 0)
            self._ends[number] = left, increment, last, status
            self._host.dot, self._host.increment, self._host.last_address = left, increment, last
            self._host.status = status

    def _rows(self, call: Call, stage: Bound, entry: Dcmd) -> Iterator[Row]:
        """The rows of a call, by an earlier definition of the dcmd where the later one leaves it to that."""
        self._prepare(call, entry, stage)
        try:
            yield from entry.run(call) or ()
        except NotMine:
            earlier = self._host.registry.before(entry, self._host.guest_kind)
            if earlier is None:
                raise
            call.dcmd, call.text = earlier, earlier.text
            yield from self._rows(call, stage, earlier)

    def _fail(self, err: DebuggerError, call: Call, status: int) -> int:
        self._stopped, self._failure = True, status
        self._host.report(err, call.dcmd if isinstance(call.dcmd, Dcmd) else None)
        return status

    def _prepare(self, call: Call, entry: Dcmd, stage: Bound) -> None:
        """Give the call its flags and words; UsageError where the dcmd does not take what it is given."""
        if entry.address == "none" and call.address is not None:
            raise UsageError("")
        if entry.address == "required" and call.address is None:
            raise UsageError("")
        if entry.raw:
            call.flags, call.args = dict(stage.preset), list(stage.words)
        else:
            call.flags, call.args = split_flags(entry.flags, stage.words, self._host.read_number)

    def _break_off(self, err: DebuggerError, line: int) -> None:
        """A line in the pipe that is no expression."""
        self._stopped, self._failure = True, ABORT
        self._host.report(err, line=line, source=PIPELINE)


def _origin(stages: Sequence[Bound], end: int) -> int | None:
    """Which stage made the rows that come before some stage: the last one that does not only pass rows on."""
    return next((number for number in reversed(range(end)) if not stages[number].entry.passes), None)
