"""Statements out of tokens, by recursive descent.

    statement  [expr] [, expr] stage { | stage } [! shell]        stage   / fmt…  \\ fmt…  @ fmt…  ? fmt…  = fmt…
               expr    expr , expr    , expr    ! shell                   ::dcmd arg…  $c arg…  > name  /W arg…  $

A Parser gives one statement at a time and can go on behind a bad one.
"""

from collections.abc import Iterator
from functools import lru_cache

from vmdebug.errors import LanguageError
from vmdebug.lang import tree
from vmdebug.lang.escapes import escape
from vmdebug.lang.lexer import scan
from vmdebug.lang.numbers import read_number
from vmdebug.lang.tokens import Kind, ParseError, ShellText, Token
from vmdebug.lang.tree import Argument, Expression, Item, Stage, Statement

PRECEDENCE = {
    "|": 1,
    "^": 2,
    "&": 3,
    **dict.fromkeys(("==", "!="), 4),
    **dict.fromkeys(("<<", ">>"), 5),
    **dict.fromkeys(("-", "+"), 6),
    **dict.fromkeys(("*", "%", "#"), 7),
    "%%": 8,
}
UNARY = frozenset("*%-~#")
HERE = frozenset("+^&")
MATCHING = frozenset("lLM")
MAX_DEPTH = 100  # parentheses and unary operators inside each other
STARTS = frozenset((Kind.NUMBER, Kind.SYMBOL, Kind.CHARACTER, Kind.VARIABLE, Kind.DEREFERENCE))
COMMANDS = frozenset((Kind.DCMD, Kind.DOLLAR, Kind.ASSIGN, Kind.WRITE, Kind.VERB))


class Parser:
    """The statements of a text, one after the other."""

    def __init__(self, text: str, line: int = 1) -> None:
        self._tokens = (token for token in scan(text) if token.kind is not Kind.COMMENT)
        self._text = text
        self._first_line = line
        self._depth = 0
        self._token = self._pull()

    def __iter__(self) -> Iterator[Statement]:
        """Every statement; ParseError at a bad one."""
        while (statement := self.next()) is not None:
            yield statement

    def next(self) -> Statement | None:
        """The next statement, None at the end of the text."""
        if self._token.kind is Kind.END and not self._token.text:
            return None
        line, start = self._line(self._token), self._token
        address = self._expression() if self._starts_expression() else None
        count = self._count()
        if address is not None and count is None and self._token.kind is Kind.SHELL:
            raise self._error()
        stages = self._stages()
        if self._token.kind is not Kind.END:
            raise self._error()
        blank = start is self._token and start.text == "\n" and self._begins_line(start)
        if self._token.text:
            self._advance()
        return Statement(address, count, stages, line, blank)

    def expression(self) -> Expression:
        """The whole text as one expression."""
        found = self._expression()
        if self._token.kind is not Kind.END or self._token.text:
            raise self._error()
        return found

    def skip(self) -> None:
        """Go on behind the next newline or `;`."""
        self._depth = 0
        while self._token.kind is not Kind.END:
            self._token = self._pull()
        if self._token.text:
            self._token = self._pull()

    def _stages(self) -> tuple[Stage, ...]:
        stages: list[Stage] = []
        if self._token.kind in COMMANDS:
            stages.append(self._command())
        while True:
            if self._token.kind is Kind.SHELL:
                stages.append(self._shell())
            elif self._token.kind is Kind.PIPE and stages:
                self._advance()
                stages.append(self._command())
            else:
                return tuple(stages)

    def _shell(self) -> ShellText:
        """`!` and what follows it; only behind a quoted command does the pipeline go on."""
        found = self._token.value
        if not isinstance(found, ShellText):
            raise self._error()
        self._advance()
        if self._token.kind is Kind.SHELL or (self._token.kind is Kind.PIPE and found.feed):
            raise self._error()
        return found

    def _command(self) -> Stage:
        token = self._token
        if token.kind not in COMMANDS:
            raise self._error()
        self._advance()
        match token.kind:
            case Kind.DCMD:
                return tree.Invoke(token.text[2:], self._arguments())
            case Kind.DOLLAR:
                return tree.Invoke("$?" if token.text == "$" else token.text, self._arguments())
            case Kind.ASSIGN:
                return tree.Assign(token.text[2:3], self._arguments())
            case Kind.WRITE:
                return self._write(token)
            case _:
                return tree.Format(token.text, self._items())

    def _write(self, token: Token) -> tree.Search | tree.Write:
        letter = str(token.value)
        command = tree.Search if letter in MATCHING else tree.Write
        return command(token.text[0], letter, self._arguments())

    def _arguments(self) -> tuple[Argument, ...]:
        found: list[Argument] = []
        while True:
            if self._token.kind is Kind.WORD:
                found.append(str(self._token.value))
                self._advance()
            elif self._token.kind is Kind.OPEN:
                found.append(self._bracket())
            else:
                return tuple(found)

    def _items(self) -> tuple[Item, ...]:
        found: list[Item] = []
        while True:
            match self._token.kind:
                case Kind.COUNT:
                    found.append(self._repeat())
                case Kind.LETTER:
                    found.append(self._token.text)
                case Kind.STRING:
                    found.append(tree.Quoted(str(self._token.value)))
                case Kind.OPEN:
                    found.append(self._bracket())
                    continue
                case _:
                    return tuple(found)
            self._advance()

    def _repeat(self) -> int:
        try:
            return read_number("0t" + self._token.text, 10)
        except LanguageError as err:
            raise self._error(str(err)) from err

    def _bracket(self) -> Expression:
        """`$[ expr ]`"""
        self._advance()
        found = self._expression()
        if self._token.kind is Kind.END and not self._token.text:
            raise self._error("syntax error: $[ unmatched")
        if self._token.kind is not Kind.CLOSE:
            raise self._error()
        self._advance()
        return found

    def _count(self) -> Expression | None:
        if not self._at_operator(","):
            return None
        self._advance()
        return self._expression()

    def _expression(self, loosest: int = 1) -> Expression:
        left = self._term()
        while self._token.kind is Kind.OPERATOR:
            level = PRECEDENCE.get(self._token.text, 0)
            if level < loosest:
                break
            operator = self._token.text
            self._advance()
            left = tree.Binary(operator, left, self._expression(level + 1))
        return left

    def _term(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error("syntax error: expression is nested too deeply")
        found = self._unary() or self._nullary()
        self._depth -= 1
        return found

    def _unary(self) -> Expression | None:
        token = self._token
        if token.kind is Kind.DEREFERENCE or (token.kind is Kind.OPERATOR and token.text in UNARY):
            self._advance()
            return tree.Unary(token.text, self._term())
        if self._at_operator("("):
            self._advance()
            found = self._expression()
            if not self._at_operator(")"):
                raise self._error()
            self._advance()
            return found
        return None

    def _nullary(self) -> Expression:
        token = self._token
        match token.kind:
            case Kind.NUMBER:
                found: Expression = tree.Number(token.text)
            case Kind.SYMBOL:
                found = tree.Here(".") if token.text == "." else tree.Name(token.text)
            case Kind.CHARACTER:
                found = tree.Character(token.text)
            case Kind.VARIABLE:
                found = tree.Variable(token.text[1:])
            case Kind.OPERATOR if token.text in HERE:
                found = tree.Here(token.text)
            case _:
                raise self._error()
        self._advance()
        return found

    def _starts_expression(self) -> bool:
        token = self._token
        return token.kind in STARTS or (token.kind is Kind.OPERATOR and token.text in UNARY | HERE | {"("})

    def _at_operator(self, text: str) -> bool:
        return self._token.kind is Kind.OPERATOR and self._token.text == text

    def _begins_line(self, token: Token) -> bool:
        return token.start == 0 or self._text[token.start - 1] == "\n"

    def _advance(self) -> None:
        self._token = self._pull()

    def _pull(self) -> Token:
        """The next token; at the end the same empty one for ever."""
        return next(self._tokens, None) or self._token

    def _line(self, token: Token) -> int:
        return self._first_line + self._text.count("\n", 0, token.start)

    def _error(self, text: str = "") -> ParseError:
        token = self._token
        if token.kind is Kind.ERROR and not text:
            text = str(token.value)
        near = token.text or "\n"
        return ParseError(text or "syntax error", escape(near), self._line(token))


@lru_cache(maxsize=256)
def parse_once(text: str) -> tuple[Statement, ...]:
    """Every statement of a text that is run again and again; ParseError if one is wrong."""
    return tuple(Parser(text))


def parse(text: str) -> list[Statement]:
    """Every statement of a text."""
    return list(Parser(text))


def parse_expression(text: str) -> Expression:
    """A text that is one expression."""
    return Parser(text).expression()
