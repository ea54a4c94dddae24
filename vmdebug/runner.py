"""Statements at work: what one says is bound to dcmds and values, runs as a pipeline, and its rows find their way.

A frame is one source of commands (a line, a file, the string of ::eval). Frames nest; each keeps the commands that a
bare expression would repeat.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from formats.lazy import dataclass
from vmdebug import render, shell
from vmdebug.dcmd import Call, Dcmd, Lines, Registry, Row, Text, Walker
from vmdebug.errors import DebuggerError, ImageError, LanguageError, Unwinding, UsageError
from vmdebug.guests.base import Guest, WithWalks
from vmdebug.lang import tree
from vmdebug.lang.grammar import Parser
from vmdebug.lang.numbers import MASK, SIGN
from vmdebug.lang.output import Quit, QuitAll
from vmdebug.lang.pipeline import ERROR, NOTHING, OK, Bound, DotOverflow, Item, Pipeline, Reported
from vmdebug.lang.settings import Settings
from vmdebug.lang.state import State
from vmdebug.lang.tokens import ShellText
from vmdebug.lang.wording import told
from vmdebug.outlet import Outlet
from vmdebug.targets.target import Target

STRING = "(string)"
MAX_FRAMES = 40


class TooDeep(DebuggerError):
    def __init__(self) -> None:
        super().__init__(f"commands are nested more than {MAX_FRAMES} deep")


class WalkError(DebuggerError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"failed to perform walk: {reason}")


class UnknownDcmd(DebuggerError):
    """A command that nobody defines."""

    def __init__(self, name: str, reason: str = "unknown dcmd name") -> None:
        shown = name if name[0] in "$:>" else f"::{name}"
        super().__init__(f"invalid command '{shown}': {reason}")


class OtherGuests(DebuggerError):
    """A command that knows guests of other kinds only."""

    def __init__(self, name: str, kinds: Sequence[str], kind: str) -> None:
        shown = name if name[0] in "$:>" else f"::{name}"
        super().__init__(
            f"command is not supported by current target ({shown} is for guests of kind {' and '.join(kinds)},"
            f" this is {kind})"
        )


class LeaveFrame(Unwinding):
    """`$<` alone: the macro that runs is left."""


class ChainFrame(LeaveFrame):
    """`$<name` in a macro: the rest of it gives way to another."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


@dataclass(eq=False)
class Frame:
    """A source of commands. A string ends at its first error, and a bare expression there sets dot."""

    source: str
    string: bool
    macro: bool = False
    line: int = 1
    last: Sequence[Bound] = ()


class Line(str):
    """A line of text in a pipe: the output of a shell command."""

    __slots__ = ()


class Runner(State):
    """A state, an outlet, and the frames."""

    def __init__(
        self,
        target: Target | None,
        guest: Guest | None,
        registry: Registry,
        settings: Settings,
        outlet: Outlet,
        terminal: bool,
    ) -> None:
        super().__init__(target, guest, registry, settings, terminal)
        self.outlet = outlet
        self.finished = False
        self.status = OK
        self.collected: list[Row] | None = None  # where rows go that are not printed
        self.chosen_text: Text | Lines | None = None  # how the rows that come want to be printed
        self.raising = False  # errors are raised, not told
        self.frames: list[Frame] = []
        self._command_line: Sequence[Bound] = ()  # what a bare expression repeats

    @property
    def rows_only(self) -> bool:
        """The rows are wanted, not their text."""
        return self.outlet.json or self.collected is not None

    # Frames

    @contextmanager
    def frame(self, source: str, string: bool, macro: bool = False) -> Iterator[Frame]:
        """Read from a source for a while."""
        if len(self.frames) >= MAX_FRAMES:
            raise TooDeep
        frame = Frame(source, string, macro)
        if not self.frames and not string:
            frame.last = self._command_line
        errors, self.outlet.errors = self.outlet.errors, []
        self.frames.append(frame)
        try:
            yield frame
        finally:
            self.frames.remove(frame)
            self.outlet.errors = errors
            if not self.frames and not string:
                self._command_line = frame.last

    def run_lines(self, lines: Iterable[str], frame: Frame) -> bool:
        """Run every statement of a source; False if one of them could not even be run."""
        good = True
        for text in lines:
            if len(self.frames) == 1 and not frame.string:
                self.outlet.note(self.settings.prompt + text)
            parser = Parser(text, frame.line)
            while not self.finished:
                try:
                    statement = parser.next()
                    if statement is None:
                        break
                except LanguageError as err:
                    good = False
                    self.report(err, line=getattr(err, "line", None))
                    parser.skip()
                else:
                    frame.line = statement.line
                    good = self.attempt(statement) and good
                if not good and (frame.string or self.terminal):
                    return False
            frame.line += text.count("\n") or 1
            if self.finished:
                break
        return good

    def attempt(self, statement: tree.Statement) -> bool:
        """Run one statement; False if it means nothing (an unknown name, a bad expression)."""
        try:
            self.execute(statement)
        except Quit as err:
            if isinstance(err, QuitAll):
                raise
        except (DebuggerError, ImageError) as err:
            self.report(err)
            self.status = ERROR
            return False
        return True

    def execute(self, statement: tree.Statement) -> None:
        """Run one statement; errors in its expressions and names are raised, those of its dcmds reported."""
        self.outlet.errors = []
        address = self.compute(statement.address) if statement.address is not None else None
        count = self.compute(statement.count) if statement.count is not None else None
        if statement.stages and not (count is not None and isinstance(statement.stages[0], ShellText)):
            self._run_stages(statement.stages, address, count)
        elif count is not None:
            self._repeat(address, count, statement.stages)
        elif address is not None:
            self._bare(address)
        elif statement.blank and self.settings.repeatlast and self.frames[-1].last:
            self._repeat(None, None, ())

    def walk(self, name: str, start: int | None = None) -> Iterator[int]:
        """The addresses that a walker gives, from a starting address if it takes one."""
        walker = self.find_walker(name)
        if walker is None:
            raise WalkError("unknown walk name")
        if walker.start == "required" and start is None:
            raise WalkError("walker requires starting address")
        if walker.start == "none" and start is not None:
            raise WalkError("walker does not accept starting address")
        yield from walker.run(Call(self, walker, start, [] if start is None else [start]))

    def find_walker(self, name: str) -> Walker | None:
        """The walker of that name; where there is none, what the guest itself calls so."""
        found = self.registry.walker(name, self.guest_kind)
        walk = None if found else self.walks().get(name)
        return Walker(name, lambda _: walk(), "none", f"walk {name}", str(self.guest_kind)) if walk else found

    def walks(self) -> Mapping[str, Callable[[], Iterator[int]]]:
        """What the guest itself has names for."""
        return self._guest.walks() if isinstance(self._guest, WithWalks) else {}

    def addresses_in(self, rows: Iterable[Row]) -> Iterator[int]:
        """The addresses that rows pass on; text is an expression."""
        for row in rows:
            value = render.first_field(row)
            if value is not None:
                yield self.evaluate(value) if isinstance(value, str) else int(value) & MASK

    # What a statement says

    def _bare(self, address: int) -> None:
        """An expression alone: dot in a string, on a command line the last command again, there."""
        if self.frames[-1].string:
            self.dot, self.increment = address, 0
        elif self.frames[-1].last:
            self._run_bound(self.frames[-1].last, address, None, None)

    def _repeat(self, address: int | None, count: int | None, stages: Sequence[tree.Stage]) -> None:
        """The last command again, from the next address where none is given."""
        last = self.frames[-1].last
        if not last:
            return
        if address is None:
            self.dot = self._following_dot("\\n" if count is None else ",")
        pipe = stages[0] if stages and isinstance(stages[0], ShellText) else None
        self._run_bound(last, address, count, pipe)

    def _run_stages(self, stages: Sequence[tree.Stage], address: int | None, count: int | None) -> None:
        """A pipeline: runs of dcmds between shell commands."""
        bound: list[Bound | ShellText] = [
            stage if isinstance(stage, ShellText) else self.bind_stage(stage) for stage in stages
        ]
        items: Iterator[Item] | None = None
        while bound:
            dcmds = _leading_dcmds(bound)
            pipe = bound[len(dcmds)] if len(dcmds) < len(bound) else None
            rest = bound[len(dcmds) + 1 :]
            if dcmds and items is None and not rest:
                self.frames[-1].last = dcmds
            entry = None
            if dcmds:
                pipeline = Pipeline(self, dcmds, address, count)
                items = pipeline.items() if items is None else pipeline.feed(items)
                entry = pipeline.shown
            if pipe is None or not rest:
                self._finish(entry, items, pipe if isinstance(pipe, ShellText) else None)
                return
            assert isinstance(pipe, ShellText)
            items = self._through_shell(entry, items, pipe)
            bound = rest

    def _run_bound(
        self, stages: Sequence[Bound], address: int | None, count: int | None, pipe: ShellText | None
    ) -> None:
        pipeline = Pipeline(self, stages, address, count)
        self._finish(pipeline.shown, pipeline.items(), pipe)

    def _finish(self, entry: Dcmd | None, items: Iterator[Item] | None, pipe: ShellText | None) -> None:
        """The end of a pipeline: printed, collected, or handed to a shell command."""
        self.chosen_text = None
        rows = (row for row, _ in items) if items is not None else None
        if pipe is not None:
            self._to_shell(entry, rows, pipe)
        elif entry is not None and rows is not None:
            if self.collected is not None:
                self.collected.extend(rows)
            else:
                self.outlet.emit(entry, rows, self.show, self._take_text)

    def _to_shell(self, entry: Dcmd | None, rows: Iterator[Row] | None, pipe: ShellText) -> None:
        lines = self._lines(entry, rows)
        if not pipe.feed:
            shell.run(pipe.command, lines, self.outlet.out)
            return
        fed = [f"{line}\n" for line in shell.read(pipe.command, lines)]
        with self.frame(f"!{pipe.command}", string=False) as frame:
            self.run_lines(fed, frame)

    def _through_shell(self, entry: Dcmd | None, items: Iterator[Item] | None, pipe: ShellText) -> Iterator[Item]:
        rows = (row for row, _ in items) if items is not None else None
        for line in shell.read(pipe.command, self._lines(entry, rows) if rows is not None else ()):
            yield Line(line), NOTHING

    def _lines(self, entry: Dcmd | None, rows: Iterator[Row] | None) -> Iterator[str] | None:
        """The text of rows for a shell command: no wrapping, no indentation."""
        if entry is None or rows is None:
            return None
        return self._lines_of(entry, rows)

    def _lines_of(self, entry: Dcmd, rows: Iterator[Row]) -> Iterator[str]:
        self.show.in_shell = True
        try:
            if self.outlet.json:
                yield "".join(render.json_parts(entry, rows, lambda: self.outlet.errors)).rstrip("\n")
            else:
                yield from (render.safe(line) for line in render.lines(entry, rows, self.show, self._take_text))
        finally:
            self.show.in_shell = False

    def _take_text(self) -> Text | Lines | None:
        chosen, self.chosen_text = self.chosen_text, None
        return chosen

    def _following_dot(self, cause: str) -> int:
        following = self.dot + self.increment
        if (following ^ self.dot) & SIGN or following > MASK:
            raise DotOverflow(cause)
        return following

    # Binding

    def bind_stage(self, stage: tree.Command) -> Bound:
        """A command with its words computed and its dcmd found."""
        match stage:
            case tree.Invoke():
                return Bound(self.find_dcmd(stage.name), self._words(stage.arguments))
            case tree.Assign():
                preset = {"modifier": stage.modifier} if stage.modifier else {}
                return Bound(self.find_dcmd(">"), self._words(stage.arguments), preset)
            case _:
                return self._bind_memory(stage)

    def _bind_memory(self, stage: tree.Format | tree.Search | tree.Write) -> Bound:
        """A format, match or write command. What they need is imported at the first."""
        from vmdebug.lang.formats import format_dcmd
        from vmdebug.lang.memory import search_dcmd, write_dcmd

        match stage:
            case tree.Format():
                return Bound(format_dcmd(stage.verb, [self._item(item) for item in stage.items]))
            case tree.Search():
                return Bound(search_dcmd(stage.verb, stage.letter), self._words(stage.arguments))
            case tree.Write():
                return Bound(write_dcmd(stage.verb, stage.letter), self._words(stage.arguments))

    def find_dcmd(self, name: str) -> Dcmd:
        """The dcmd of that name for this guest; OtherGuests or UnknownDcmd otherwise."""
        found = self.registry.dcmd(name, self.guest_kind)
        if found is None:
            others = (entry for entry in self.registry.definitions(name) if isinstance(entry, Dcmd))
            kinds = {kind for entry in others for kind in entry.guests or ()}
            if kinds and self.guest_kind:
                raise OtherGuests(name, sorted(kinds), self.guest_kind)
            module = name.rpartition("`")[0]
            known = not module or any(entry.module == module for entry in self.registry.dcmds(self.guest_kind))
            raise UnknownDcmd(name) if known else UnknownDcmd(name, "specified module is not loaded")
        return found

    def _words(self, arguments: Sequence[tree.Argument]) -> list[str | int]:
        return [each if isinstance(each, str) else self.compute(each) for each in arguments]

    def _item(self, item: tree.Item) -> int | str | tree.Quoted:
        return item if isinstance(item, (int, str, tree.Quoted)) else self.compute(item)

    # What pipelines ask

    def report(
        self,
        err: DebuggerError | ImageError,
        entry: Dcmd | None = None,
        line: int | None = None,
        source: str | None = None,
    ) -> None:
        """Tell an error, or raise it where a program asks for rows."""
        if self.raising:
            raise UsageError(entry.usage) if entry and isinstance(err, UsageError) and not str(err) else err
        if isinstance(err, Reported):
            return
        frame = self.frames[-1] if self.frames else Frame(STRING, True)
        interactive = self.terminal and not frame.string and source is None
        for prefix, text in told(err, entry, source or frame.source, line or frame.line, interactive):
            self.outlet.complain(prefix, text)

    def warn(self, text: str) -> None:
        """A diagnostic of what could not be done; the dcmd goes on."""
        self.outlet.complain("vmdebug: ", text)


def _leading_dcmds(stages: Sequence[Bound | ShellText]) -> list[Bound]:
    found: list[Bound] = []
    for stage in stages:
        if isinstance(stage, ShellText):
            break
        found.append(stage)
    return found
