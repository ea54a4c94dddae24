"""Conditions on rows: `state == "D" && cpu == 1`. Parsed into a tree and evaluated; nothing is ever executed.

condition   = all ("||" all)*
all         = one ("&&" one)*
one         = "!" one | "(" condition ")" | value [("==" | "!=" | "<" | "<=" | ">" | ">=") value] | value "=~" string
value       = key | key.member | "string" | 123 | 1.5 | 0x1f | 0t12 | -1 | true | false | null

Numbers are decimal, or as their prefix says (0x 0t 0o 0i), whatever the radix is. A key alone holds unless it is null,
false, 0 or empty. Of a list a comparison holds if it holds for any element. Text that spells a number compares with
numbers as that number.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from formats.lazy import dataclass
from vmdebug.errors import Abort
from vmdebug.lang.rowkeys import is_hex, number, scalars

MAX_DEPTH = 100
TOKEN = re.compile(
    r"""\s*(?:
    (?P<operator>\|\||&&|==|!=|=~|<=|>=|[<>!()])
    |(?P<number>-?(?:0[xX][0-9a-fA-F]+|0[tToOiI][0-9]+|[0-9]+(?:\.[0-9]+)?)(?![\w.]))
    |(?P<string>"(?:\\.|[^"\\])*")
    |(?P<key>[A-Za-z_]\w*(?:\.\w+)*)
    |(?P<end>$)
    )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
WORD = re.compile(r"\s*(\S+)", re.ASCII)
ESCAPED = re.compile(r'\\(["\\])')  # other backslashes stay, for regular expressions
WORDS = {"true": True, "false": False, "null": None}
PREFIXED = re.compile(r"(-?)0([tToOiI])([0-9]{1,32})")  # numbers as mdb writes them, but for 0x
BASES = {"t": 10, "o": 8, "i": 2}
COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
Values = Callable[[str], Any]  # a key's value, as JSON


class BadCondition(Abort):
    """Text that is no condition, and where it went wrong."""

    def __init__(self, wanted: str, found: str, column: int) -> None:
        super().__init__(f"condition: expected {wanted} at character {column}, found {found or 'the end'}")
        self.column = column


class BadPattern(Abort):
    def __init__(self, pattern: str, reason: str) -> None:
        super().__init__(f'condition: "{pattern}" is not a regular expression: {reason}')


@dataclass(frozen=True)
class Key:
    """A key's value."""

    name: str

    def value(self, values: Values) -> Any:
        return values(self.name)


@dataclass(frozen=True)
class Literal:
    """A value that is written out."""

    known: Any

    def value(self, values: Values) -> Any:
        return self.known


Operand = Key | Literal


@dataclass(frozen=True)
class Truth:
    """A value alone."""

    operand: Operand

    def holds(self, values: Values) -> bool:
        return bool(self.operand.value(values))


@dataclass(frozen=True)
class Compare:
    """Two values and what is between them."""

    operator: str
    left: Operand
    right: Operand

    def holds(self, values: Values) -> bool:
        right = list(scalars(self.right.value(values)))
        operator = "==" if self.operator == "!=" else self.operator
        found = any(_compare(operator, a, b) for a in scalars(self.left.value(values)) for b in right)
        return found != (self.operator == "!=")


@dataclass(frozen=True)
class Match:
    """A value and a regular expression that is searched for in its text."""

    operand: Operand
    pattern: "re.Pattern[str]"

    def holds(self, values: Values) -> bool:
        found = scalars(self.operand.value(values))
        return any(self.pattern.search(_text(each)) for each in found if each is not None)


@dataclass(frozen=True)
class Not:
    """What must not hold."""

    inner: "Condition"

    def holds(self, values: Values) -> bool:
        return not self.inner.holds(values)


@dataclass(frozen=True)
class Every:
    """What must all hold."""

    parts: Sequence["Condition"]

    def holds(self, values: Values) -> bool:
        return all(part.holds(values) for part in self.parts)


@dataclass(frozen=True)
class Some:
    """Of what one must hold."""

    parts: Sequence["Condition"]

    def holds(self, values: Values) -> bool:
        return any(part.holds(values) for part in self.parts)


Condition = Truth | Compare | Match | Not | Every | Some


def _compare(operator: str, left: Any, right: Any) -> bool:
    """Numbers as numbers, text as text, addresses as numbers; nothing else has an order."""
    if left is None or right is None:
        return operator == "==" and left is right
    if not (isinstance(left, str) and isinstance(right, str)) or (is_hex(left) and is_hex(right)):
        left, right = number(left), number(right)
        if left is None or right is None:
            return False
    match operator:
        case "==":
            return bool(left == right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def _text(value: Any) -> str:
    """A value as JSON spells it, text without its quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Token:
    """A piece of the text, and its place, counted from 1."""

    kind: str
    text: str
    column: int


def _scan(text: str) -> Iterator[Token]:
    at = 0
    while True:
        match = TOKEN.match(text, at)
        if match is None:
            wrong = WORD.match(text, at)
            found, start = (wrong[1], wrong.start(1)) if wrong else ("", at)
            raise BadCondition("a key, a value or an operator", found, start + 1)
        kind = match.lastgroup or ""
        yield Token(kind, match[kind], match.start(kind) + 1)
        if kind == "end":
            return
        at = match.end()


class _Parser:
    """Reads the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_scan(text))
        self._at = 0

    def whole(self) -> Condition:
        found = self._some(0)
        if self._next.kind != "end":
            raise self._wanted("&&, || or the end")
        return found

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self, *operators: str) -> str:
        """The next token if it is one of some operators, else nothing."""
        if self._next.kind != "operator" or self._next.text not in operators:
            return ""
        self._at += 1
        return self._tokens[self._at - 1].text

    def _wanted(self, what: str) -> BadCondition:
        return BadCondition(what, self._next.text, self._next.column)

    def _some(self, depth: int) -> Condition:
        parts = [self._every(depth)]
        while self._take("||"):
            parts.append(self._every(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _every(self, depth: int) -> Condition:
        parts = [self._one(depth)]
        while self._take("&&"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise self._wanted(f"no more than {MAX_DEPTH} levels of ! and ( )")
        if self._take("!"):
            return Not(self._one(depth + 1))
        if self._take("("):
            inner = self._some(depth + 1)
            if not self._take(")"):
                raise self._wanted(")")
            return inner
        left = self._operand()
        if operator := self._take(*COMPARISONS):
            return Compare(operator, left, self._operand())
        return self._match(left) if self._take("=~") else Truth(left)

    def _match(self, left: Operand) -> Match:
        if self._next.kind != "string":
            raise self._wanted('a "regular expression"')
        pattern = self._operand()
        text = str(pattern.known) if isinstance(pattern, Literal) else ""
        try:
            return Match(left, re.compile(text))
        except (re.error, OverflowError, RecursionError) as err:
            raise BadPattern(text, str(err)) from err

    def _operand(self) -> Operand:
        token = self._next
        if token.kind not in ("key", "number", "string"):
            raise self._wanted("a key or a value")
        self._at += 1
        if token.kind == "number":
            return Literal(_written(token))
        if token.kind == "string":
            return Literal(ESCAPED.sub(r"\1", token.text[1:-1]))
        return Literal(WORDS[token.text]) if token.text in WORDS else Key(token.text)


def _written(token: Token) -> float | int:
    """The number that a token writes; BadCondition where its digits are too many, or of another base."""
    prefixed = PREFIXED.fullmatch(token.text)
    try:
        known = int(prefixed[1] + prefixed[3], BASES[prefixed[2].lower()]) if prefixed else number(token.text)
    except ValueError:
        known = None
    if known is None:
        raise BadCondition("a number of at most 32 digits", token.text, token.column)
    return known


def key_at_end(text: str) -> str | None:
    """The key that an unfinished condition ends in, "" where one may begin; None where something else is due."""
    if text.endswith("."):
        key = key_at_end(text[:-1])
        return f"{key}." if key else None
    at, due = 0, True
    while match := TOKEN.match(text, at):
        if match.lastgroup == "end":
            return "" if due else None
        if match["key"] and match.end() == len(text):
            return match["key"] if due else None
        due = bool(match["operator"]) and match["operator"] not in (")", "=~")
        at = match.end()
    return None


def parse_condition(text: str) -> Condition:
    """The condition that a text says; BadCondition or BadPattern where it says none."""
    return _Parser(text).whole()
