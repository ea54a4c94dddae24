"""Values of expressions: unsigned 64-bit arithmetic over what an Environment knows.

A shift by 64 or more gives 0. `%` and `#` divide signed numbers, `%%` unsigned ones.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from vmdebug.errors import DebuggerError, UnknownObject, UnknownSymbol
from vmdebug.lang import tree
from vmdebug.lang.numbers import DIGITS, MASK, SIGN, read_character, read_number, signed
from vmdebug.lang.tree import Expression

SIZES: Mapping[str, int] = {"c": 1, "1": 1, "s": 2, "2": 2, "i": 4, "4": 4, "l": 8, "8": 8}
HEX_DIGITS = frozenset(DIGITS + DIGITS.upper() + "_")


class DivideByZero(DebuggerError):
    def __init__(self) -> None:
        super().__init__("attempted to divide by zero")


class DivideOverflow(DebuggerError):
    def __init__(self) -> None:
        super().__init__("divide overflow")


class InvalidCast(DebuggerError):
    def __init__(self, operator: str) -> None:
        super().__init__(f"invalid cast -- {operator}")


class DotWraps(DebuggerError):
    """`+` and `^` where dot would leave its half of the address space, or go below 0."""

    def __init__(self, sign: str) -> None:
        super().__init__(f"'{sign}' would cause '.' to {'overflow' if sign == '+' else 'underflow'}")


class Environment(Protocol):
    """What an expression may ask."""

    @property
    def radix(self) -> int: ...
    @property
    def word(self) -> int:
        """The size of a pointer."""
        ...

    @property
    def dot(self) -> int: ...
    @property
    def increment(self) -> int: ...
    @property
    def last_address(self) -> int:
        """The address that the most recent command was given."""
        ...

    def variable(self, name: str) -> int:
        """LanguageError where it is not defined."""
        ...

    def symbol(self, name: str) -> int:
        """UnknownSymbol or UnknownObject where there is none."""
        ...

    def fetch(self, address: int, size: int) -> int:
        """A little-endian word of memory."""
        ...


def evaluate(expression: Expression, env: Environment) -> int:
    """The value of an expression, from 0 to 2**64 - 1."""
    match expression:
        case tree.Number():
            return read_number(expression.text, env.radix)
        case tree.Name():
            return _name(expression.text, env)
        case tree.Character():
            return read_character(expression.text)
        case tree.Variable():
            return env.variable(expression.name)
        case tree.Here():
            return _here(expression.sign, env)
        case tree.Unary():
            return _unary(expression, env)
        case tree.Binary():
            return _binary(expression, env)


def _name(text: str, env: Environment) -> int:
    """A symbol; where there is none of that name, a number if all its characters are digits."""
    try:
        return env.symbol(text)
    except (UnknownSymbol, UnknownObject):
        if text[0] != "_" and HEX_DIGITS.issuperset(text):
            return read_number(text, env.radix)
        raise


def _here(sign: str, env: Environment) -> int:
    match sign:
        case ".":
            return env.dot
        case "+":
            following = env.dot + env.increment
            if following > MASK or (following ^ env.dot) & SIGN:
                raise DotWraps(sign)
            return following
        case "^":
            if env.increment > env.dot:
                raise DotWraps(sign)
            return env.dot - env.increment
        case _:
            return env.last_address


def _unary(expression: tree.Unary, env: Environment) -> int:
    operator = expression.operator
    size = env.word
    if len(operator) > 1:
        if operator[2] not in SIZES:
            raise InvalidCast(operator)
        size = SIZES[operator[2]]
    value = evaluate(expression.operand, env)
    match operator[0]:
        case "-":
            return -value & MASK
        case "~":
            return ~value & MASK
        case "#":
            return int(not value)
        case _:
            return env.fetch(value, size)


def _binary(expression: tree.Binary, env: Environment) -> int:
    """The left side without recursion: chains of operators may be long."""
    pending = []
    left: Expression = expression
    while isinstance(left, tree.Binary):
        pending.append(left)
        left = left.left
    value = evaluate(left, env)
    for each in reversed(pending):
        value = OPERATIONS[each.operator](value, evaluate(each.right, env)) & MASK
    return value


def _divide(left: int, right: int) -> int:
    if right == 0:
        raise DivideByZero
    first, second = signed(left), signed(right)
    quotient = abs(first) // abs(second)
    if first == -(1 << 63) and second == -1:
        raise DivideOverflow
    return quotient if (first < 0) == (second < 0) else -quotient


def _modulo(left: int, right: int) -> int:
    if right == 0:
        raise DivideByZero
    return left % right


def _round_up(left: int, right: int) -> int:
    return _divide((left + right - 1) & MASK, right) * right


OPERATIONS: Mapping[str, Callable[[int, int], int]] = {
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
    "&": lambda left, right: left & right,
    "==": lambda left, right: int(left == right),
    "!=": lambda left, right: int(left != right),
    "<<": lambda left, right: left << right if right < 64 else 0,
    ">>": lambda left, right: left >> right if right < 64 else 0,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "%": _divide,
    "#": _round_up,
    "%%": _modulo,
}
