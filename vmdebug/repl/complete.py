"""What may stand at the cursor. The text before it is scanned as the debugger would scan it.

So a name is completed for what it is there: a symbol in an expression, a word of its dcmd's behind a dcmd. Inside a
quoted command (`::eval '...`) it begins anew. Nothing here knows a terminal.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.lang.lexer import scan
from vmdebug.lang.tokens import Kind, State, Token
from vmdebug.repl.arguments import Words, complete_word
from vmdebug.repl.columns import Stage
from vmdebug.repl.sources import Found, Sources

if TYPE_CHECKING:
    from vmdebug.session import Session

OWNERS = (Kind.DCMD, Kind.DOLLAR, Kind.ASSIGN, Kind.WRITE)


@dataclass(frozen=True)
class Candidate:
    """A text that may stand in the line from `start` on, and what it is."""

    text: str
    start: int
    note: str = ""


class Completions:
    """Completion for one session."""

    def __init__(self, session: "Session") -> None:
        self._sources = Sources(session)
        self._bug: Exception | None = None

    def take_bug(self) -> Exception | None:
        """The last bug that was met, once: for the shell to report."""
        bug, self._bug = self._bug, None
        return bug

    def at_end_of(self, text: str) -> list[Candidate]:
        """What may stand where the text ends, in order; nothing where the image cannot say."""
        try:
            return list(self._after(text, 0))
        except (DebuggerError, ImageError):
            return []
        except Exception as err:  # noqa: BLE001  # a boundary: a bug here must not take the line that is being typed
            self._bug = err
            return []

    def _after(self, text: str, offset: int) -> Iterator[Candidate]:
        """Candidates behind a text that begins at an offset in the line."""
        *tokens, end = scan(text)
        last = tokens[-1] if tokens and tokens[-1].end == len(text) else None
        if last and last.kind is Kind.ERROR and last.text[0] in "'\"":
            yield from self._in_quotes(tokens, last, offset)
        elif end.state is State.ARGUMENT and (last is None or last.kind in (Kind.WORD, *OWNERS)):
            yield from self._word(tokens, last, len(text), offset)
        elif end.state is State.FORMAT:
            verb = next((token.text for token in reversed(tokens) if token.kind is Kind.VERB), "/")
            yield from _placed(self._sources.letters(verb), offset + len(text))
        elif end.state in (State.INITIAL, State.EXPRESSION):
            start = text.rfind("::") if text.endswith("::") else last.start if last else len(text)
            yield from self._term(text[start:], last, offset + start)
        if end.state is State.INITIAL and (last is None or last.kind in (Kind.PIPE, Kind.END)):
            yield from _placed(((f"::{name}", note) for name, note in self._sources.dcmds("")), offset + len(text))

    def _term(self, partial: str, last: Token | None, start: int) -> Iterator[Candidate]:
        """In an expression, or at the first character of a command."""
        if partial.startswith("::"):
            yield from _placed(self._sources.dcmds(partial[2:]), start + 2)
        elif partial == ":":
            yield from _placed(self._sources.marked(":"), start)
        elif partial.startswith("<"):
            yield from _placed(self._sources.variables(partial[1:]), start + 1)
        elif last and last.kind is Kind.SYMBOL:
            yield from _placed(self._sources.symbols(partial), start)

    def _word(self, tokens: Sequence[Token], last: Token | None, end: int, offset: int) -> Iterator[Candidate]:
        """Behind a dcmd: its own name while the cursor touches it, then its words."""
        if last and last.kind is Kind.DCMD:
            yield from _placed(self._sources.dcmds(last.text[2:]), offset + last.start + 2)
        elif last and last.kind is Kind.DOLLAR and len(last.text) < 3:
            yield from _placed(self._sources.marked(last.text), offset + last.start)
        else:
            partial, before = (last.text, tokens[:-1]) if last and last.kind is Kind.WORD else ("", tokens)
            words = self._words(before, partial)
            yield from _placed(complete_word(self._sources, words), offset + end - len(partial) + words.kept)

    def _in_quotes(self, tokens: Sequence[Token], last: Token, offset: int) -> Iterator[Candidate]:
        """Behind a quote that is still open: a word of a dcmd that takes names or keys, or a command."""
        start, partial = last.start + 1, last.text[1:]
        words = self._words(tokens[:-1], partial)
        place = offset + start + words.kept
        found = list(_placed(complete_word(self._sources, words), place)) if words.takes_names else []
        yield from found if found or words.takes_keys else self._after(partial, offset + start)

    def _words(self, tokens: Sequence[Token], partial: str) -> Words:
        """The dcmd that a word belongs to, the words before it, and the stages before the dcmd."""
        before: list[str] = []
        stages: list[Stage] = []
        owner = ""
        for token in tokens:
            if token.kind in OWNERS:
                owner, before = ">" if token.kind is Kind.ASSIGN else token.text.removeprefix("::"), []
            elif token.kind in (Kind.VERB, Kind.SHELL):
                stages += [Stage(owner, before)] if token.kind is Kind.SHELL else []
                owner, before = token.text[0], []
            elif token.kind is Kind.PIPE:
                stages.append(Stage(owner, before))
                owner, before = "", []
            elif token.kind is Kind.END:
                stages, owner, before = [], "", []
            elif token.kind is Kind.WORD:
                before.append(str(token.value))
            elif token.kind is Kind.CLOSE:
                before.append("0")
        dcmd = self._sources.dcmd(owner)
        return Words(owner, before, partial, dcmd.flags if dcmd else (), stages)


def _placed(found: Iterator[Found], start: int) -> Iterator[Candidate]:
    return (Candidate(text, start, note) for text, note in found)
