"""Tokens of the language, and the states that the scanner is in between them."""

from enum import Enum, auto

from formats.lazy import dataclass
from vmdebug.errors import LanguageError


class State(Enum):
    """What the scanner expects next."""

    INITIAL = auto()  # the start of a command
    FORMAT = auto()  # behind / \ @ ? =
    ARGUMENT = auto()  # behind a dcmd's name
    EXPRESSION = auto()  # inside $[ ]
    SHELL = auto()  # behind a quoted shell command


class Kind(Enum):
    """What a token is."""

    NUMBER = auto()
    SYMBOL = auto()  # a name, dot, or a number that begins with a letter
    CHARACTER = auto()  # 'ab'
    STRING = auto()  # "text"; `value` is its text
    DCMD = auto()  # ::name
    DOLLAR = auto()  # $c, :k, $<
    ASSIGN = auto()  # > and >/i/
    VARIABLE = auto()  # <name
    DEREFERENCE = auto()  # */i/ and %/i/
    OPERATOR = auto()
    VERB = auto()  # / \ @ ? =
    WRITE = auto()  # /W; `value` is the letter
    LETTER = auto()  # one character of a format list
    COUNT = auto()  # a repeat count in a format list
    WORD = auto()  # an argument; `value` is its text without quotes
    OPEN = auto()  # $[
    CLOSE = auto()  # ]
    PIPE = auto()
    SHELL = auto()  # ! and the rest; `value` is a ShellText
    COMMENT = auto()
    END = auto()  # newline, ; or the end of the text
    ERROR = auto()  # `value` says what is wrong


@dataclass(frozen=True)
class ShellText:
    """A shell command; `feed` is `!<`: its output is run as commands."""

    command: str
    quoted: bool = False
    feed: bool = False


class Token:
    """A piece of text with its place. `state` is the scanner's when it met the token."""

    __slots__ = ("end", "kind", "start", "state", "text", "value")

    def __init__(self, kind: Kind, text: str, start: int, state: State, value: "str | ShellText | None" = None) -> None:
        self.kind = kind
        self.text = text
        self.start = start
        self.end = start + len(text)
        self.state = state
        self.value = text if value is None else value

    def __repr__(self) -> str:
        return f"Token({self.kind.name}, {self.text!r}, {self.start})"


class ParseError(LanguageError):
    """Text that is no command; `line` counts from 1 in the text that was parsed."""

    def __init__(self, text: str, token: str, line: int) -> None:
        super().__init__(text, token)
        self.line = line
