"""One line from the user: edited on a terminal that can be drawn on, plain where it cannot.

read(prompt) gives the text, and raises EOFError at ^D on an empty line and KeyboardInterrupt at ^C.
"""

import sys
from collections.abc import Iterable
from typing import Protocol, TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.data_structures import Size
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import create_input
from prompt_toolkit.layout.processors import AfterInput, ConditionalProcessor
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import BaseStyle, Style, merge_styles, style_from_pygments_dict

from vmdebug.repl.complete import Completions
from vmdebug.repl.highlight import PALETTE, MdbLexer
from vmdebug.repl.history import LineHistory
from vmdebug.repl.keys import bindings
from vmdebug.repl.search import PROMPT as SEARCH_PROMPT
from vmdebug.repl.search import Search
from vmdebug.repl.terminal import window_size


class Reader(Protocol):
    """Where lines come from."""

    def read(self, prompt: str) -> str: ...


class PlainReader:
    """Lines as the terminal itself edits them. The prompt goes to `out`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def read(self, prompt: str) -> str:
        try:
            self._out.write(prompt)
            self._out.flush()
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            self._out.write("\n")
            raise
        if not line:
            raise EOFError
        return line.rstrip("\n")


class EditedReader:
    """Lines with editing keys, history, completion and, if wanted, colour."""

    def __init__(self, completions: Completions, history: LineHistory, *, term: str, colour: bool) -> None:
        self._prompt = ""
        self._search = Search(history)
        searching = Condition(lambda: self._search.active)
        self._session: PromptSession[str] = PromptSession(
            self._message,
            history=history,
            lexer=PygmentsLexer(MdbLexer) if colour else None,
            style=_style() if colour else None,
            include_default_pygments_style=False,
            completer=_LineCompleter(completions),
            complete_while_typing=False,
            complete_in_thread=True,
            key_bindings=bindings(self._search),
            input_processors=[ConditionalProcessor(AfterInput(self._found), searching)],
            enable_suspend=True,
            input=create_input(sys.stdin),
            # Not asked where the cursor is: a terminal that answers late would answer the next command.
            output=Vt100_Output(sys.stdout, _window, term, ColorDepth.from_env(), enable_cpr=False),
        )
        self._session.default_buffer.on_text_changed += self._edited

    def read(self, prompt: str) -> str:
        self._prompt = prompt
        self._search.reset()
        return self._session.prompt()

    def _message(self) -> str:
        return SEARCH_PROMPT if self._search.active else self._prompt

    def _found(self) -> StyleAndTextTuples:
        """Beside the text that is searched for, the line that has it."""
        line = self._search.match(self._session.default_buffer.text)
        return [("class:found", f"   {line}")] if line is not None else []

    def _edited(self, _: Buffer) -> None:
        self._search.edited()


class _LineCompleter(Completer):
    """Completions as prompt_toolkit wants them: in the place of the piece that the cursor stands behind."""

    def __init__(self, completions: Completions) -> None:
        self._completions = completions

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        for found in self._completions.at_end_of(text):
            yield Completion(found.text, found.start - len(text), display_meta=found.note)


def _window() -> Size:
    rows, columns = window_size()
    return Size(rows=rows, columns=columns)


def _style() -> BaseStyle:
    return merge_styles([style_from_pygments_dict(PALETTE), Style.from_dict({"found": "ansibrightblack"})])
