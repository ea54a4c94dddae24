"""One sitting: text in, statements run over a target and a guest, lines out.

    session = Session(target, guest, out=sys.stdout, err=sys.stderr)
    status = session.run("::status; ::cpuinfo")
    rows = session.rows("::walk cpu | ::cpuinfo")

The opener gives target and guest; without them the language works alone. run() prints errors, one line each; rows()
raises them.
"""

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

from vmdebug.dcmd import REGISTRY, Call, Dcmd, Registry, Row
from vmdebug.errors import EXIT_FAILED, EXIT_OK, DebuggerError
from vmdebug.guests.base import Guest
from vmdebug.lang.grammar import Parser, parse_once
from vmdebug.lang.output import QuitAll
from vmdebug.lang.pipeline import ABORT, ERROR, OK, Reported
from vmdebug.lang.settings import Settings
from vmdebug.lang.tokens import ParseError
from vmdebug.lang.tree import Statement
from vmdebug.outlet import Outlet
from vmdebug.runner import STRING, ChainFrame, Frame, LeaveFrame, OtherGuests, Runner, UnknownDcmd
from vmdebug.targets.target import Target

VERBS = frozenset(":$/\\?@=>")  # what a command line begins with that begins with a command


class MacroError(DebuggerError):
    """A macro file that cannot be read."""


class Session(Runner):
    """A sitting over one image, or over none. `terminal` says that a person reads along."""

    def __init__(
        self,
        target: Target | None = None,
        guest: Guest | None = None,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        registry: Registry = REGISTRY,
        json: bool = False,
        terminal: bool = False,
        settings: Settings | None = None,
    ) -> None:
        outlet = Outlet(out or sys.stdout, err or sys.stderr, json)
        super().__init__(target, guest, registry, settings or Settings(), outlet, terminal)
        self.aliases: dict[str, str] = {}  # the user's own commands

    @property
    def prompt(self) -> str:
        return self.settings.prompt

    @property
    def has_target(self) -> bool:
        return self._target is not None

    def run(self, text: str, source: str = STRING) -> int:
        """Run every statement of a text; 1 if the last dcmd failed or the text was wrong, else 0."""
        return self._run([text], source, string=source == STRING)

    def run_file(self, stream: Iterable[str], name: str) -> int:
        """Run the lines of a file or a pipe; a wrong statement ends at the next `;` or newline."""
        return self._run(stream, name, string=False)

    def rows(self, text: str) -> list[Row]:
        """The rows of the last statement in a text. Errors are raised."""
        found: list[Row] = []
        self.raising, outer = True, self.raising
        try:
            with self.frame(STRING, string=True):
                for statement in Parser(text):
                    found = self._captured(statement)
        finally:
            self.raising = outer
        return found

    def nested(self, text: str) -> Iterator[Row]:
        """The rows of a command line that a dcmd runs; what goes wrong is told, and left in `status`."""
        with self.frame(STRING, string=True):
            for statement in self._statements(text):
                yield from self._captured(statement)

    def run_nested(self, text: str) -> None:
        """Run a command line for a dcmd: its output goes where ours goes; `status` says how it ended."""
        chosen = self.chosen_text
        with self.frame(STRING, string=True) as frame:
            self.status = OK
            if not self._run_again(text, frame):
                self.status = ERROR
        self.chosen_text = chosen  # how our own rows are printed

    def run_for(self, call: Call, text: str) -> Iterator[Row]:
        """Run a command line as what a dcmd does: its rows go on, or its output where ours goes; dot is left as it
        left it. Reported, if it failed.
        """
        if call.piped or self.collected is not None:
            yield from self.nested(text)
        else:
            self.run_nested(text)
        call.leave_dot(self.dot, self.increment)
        if self.status != OK:
            raise Reported("failed to evaluate command")

    def find_dcmd(self, name: str) -> Dcmd:
        """The dcmd of that name, else what the user's alias of that name stands for; UnknownDcmd otherwise."""
        try:
            return super().find_dcmd(name)
        except (UnknownDcmd, OtherGuests):
            if name not in self.aliases:
                raise
        text = self.aliases[name]
        return Dcmd(name, partial(self._run_alias, text), "optional", "", None, (), None, text, "", "alias")

    def _run_alias(self, text: str, call: Call) -> Iterator[Row]:
        if call.args:
            raise call.usage()
        return self.run_for(call, self.at(call.address, text))

    @staticmethod
    def at(address: int | None, text: str) -> str:
        """A command line with an address in front, if it has no expression there."""
        return text if address is None or text.lstrip()[:1] not in VERBS else f"0x{address:x}{text}"

    def run_held(self, text: str, dot: int) -> list[str]:
        """Run a command line for a dcmd with dot set; the lines that it would print. `status` says how it ended."""
        self.dot = dot
        collected, self.collected = self.collected, None
        try:
            with self.outlet.held() as held:
                self.run_nested(text)
        finally:
            self.collected = collected
        return held.getvalue().split("\n")[:-1]

    def run_macro(self, path: Path) -> None:
        """Run a file of commands; one that names another at its end gives way to it."""
        following: Path | None = path
        while following is not None:
            path, following = following, None
            try:
                with self._macro(path) as stream, self.frame(str(path), string=False, macro=True) as frame:
                    self.run_lines(stream, frame)
            except ChainFrame as chain:
                following = chain.path
            except LeaveFrame:
                return
            except OSError as err:
                raise MacroError(f"failed to open {path}: {err.strerror}") from err

    def set_option(self, words: str, on: bool = True) -> None:
        """What -o and +o do; OptionError for a word that is none."""
        self.settings.set_words(words, on)

    def use_disassembler(self, name: str) -> bool:
        """Choose a disassembler by its name; False if there is none of that name."""
        from vmdebug.disasm import MODES

        if name not in MODES:
            return False
        self.settings.disassembler = name
        return True

    def print(self, text: str) -> None:
        """One line of output, made safe of control characters."""
        self.outlet.line(text)

    def finish(self) -> None:
        """Run nothing more."""
        self.finished = True

    def _macro(self, path: Path) -> TextIO:
        return path.open(encoding="utf-8", errors="surrogateescape")

    def _run(self, lines: Iterable[str], source: str, string: bool) -> int:
        self.status = OK
        outermost = not self.frames
        try:
            with self.frame(source, string) as frame:
                good = self.run_lines(lines, frame)
        except KeyboardInterrupt:
            if not outermost:
                raise
            self.outlet.interrupted()
            return EXIT_FAILED
        except (LeaveFrame, QuitAll):
            good = True
        return EXIT_OK if good and self.status == OK else EXIT_FAILED

    def _run_again(self, text: str, frame: Frame) -> bool:
        """Run a text that may have been parsed before: stages run the same one for each address."""
        try:
            statements = parse_once(text)
        except ParseError:
            return self.run_lines([text], frame)
        return all(self.attempt(statement) for statement in statements if not self.finished)

    def _captured(self, statement: Statement) -> list[Row]:
        """The rows that a statement would print."""
        outer, self.collected = self.collected, []
        try:
            if self.raising:
                self.execute(statement)
            elif not self.attempt(statement):
                self.status = ERROR
            return self.collected
        finally:
            self.collected = outer

    def _statements(self, text: str) -> Iterator[Statement]:
        """The statements of a nested text, up to the first that is wrong."""
        parser = Parser(text)
        while True:
            try:
                statement = parser.next()
            except ParseError as err:
                self.report(err, line=err.line)
                self.status = ABORT
                return
            if statement is None:
                return
            yield statement
