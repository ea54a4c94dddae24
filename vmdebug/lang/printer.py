"""A statement as text that parses to the same statement."""

import re

from vmdebug.lang import tree
from vmdebug.lang.grammar import PRECEDENCE
from vmdebug.lang.tokens import ShellText
from vmdebug.lang.tree import Argument, Expression, Item, Stage, Statement

PLAIN_WORD = re.compile(r"""(?!//)[^\s;!|"'$]+""")
ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\f": "\\f"})


def print_statement(statement: Statement) -> str:
    """One line without its newline."""
    head = print_expression(statement.address) if statement.address is not None else ""
    if statement.count is not None:
        head += "," + print_expression(statement.count)
    text = ""
    for number, stage in enumerate(statement.stages):
        shell = isinstance(stage, ShellText)
        text += "" if not number else " " if shell else " | "
        text += print_stage(stage)
    return head + text


def print_stage(stage: Stage) -> str:
    """One command of a pipeline."""
    match stage:
        case ShellText():
            return _shell(stage)
        case tree.Format():
            return _joined(stage.verb, [_item(item) for item in stage.items])
        case tree.Invoke():
            return " ".join([stage.name if stage.name[0] in "$:" else f"::{stage.name}", *_words(stage.arguments)])
        case tree.Assign():
            return _joined(f">/{stage.modifier}/" if stage.modifier else ">", _words(stage.arguments))
        case _:
            return " ".join([stage.verb + stage.letter, *_words(stage.arguments)])


def print_expression(expression: Expression, loosest: int = 1) -> str:
    """An expression, in parentheses where its operator binds less than `loosest`."""
    match expression:
        case tree.Binary():
            return _binary(expression, loosest)
        case tree.Unary():
            operand = print_expression(expression.operand, 9)
            gap = " " if (expression.operator + operand).startswith("%%") else ""
            return f"{expression.operator}{gap}{operand}"
        case tree.Variable():
            return f"<{expression.name}"
        case tree.Here():
            return expression.sign
        case _:
            return expression.text


def _binary(expression: tree.Binary, loosest: int) -> str:
    """A chain of operators, its left side without recursion: chains may be long."""
    level = PRECEDENCE[expression.operator]
    parts: list[str] = []
    left: Expression = expression
    while isinstance(left, tree.Binary) and PRECEDENCE[left.operator] >= level:
        level = PRECEDENCE[left.operator]
        parts += [print_expression(left.right, level + 1), left.operator]
        left = left.left
    parts.append(print_expression(left, level))
    text = " ".join(reversed(parts))
    return f"({text})" if PRECEDENCE[expression.operator] < loosest else text


def quote(word: str) -> str:
    """A word as an argument that reads back as itself."""
    if PLAIN_WORD.fullmatch(word):
        return word
    return f"'{word}'" if "'" not in word and "\n" not in word else f'"{word.translate(ESCAPES)}"'


def _joined(sign: str, parts: list[str]) -> str:
    """A sign and what follows it, apart where together they would be another sign."""
    text = " ".join(parts)
    return f"{sign} {text}" if text[:1] in ("/", "=", ">") else sign + text


def _words(arguments: tuple[Argument, ...]) -> list[str]:
    return [quote(each) if isinstance(each, str) else f"$[{print_expression(each)}]" for each in arguments]


def _item(item: Item) -> str:
    match item:
        case int() | str():
            return str(item)
        case tree.Quoted():
            return f'"{item.text.translate(ESCAPES)}"'
        case _:
            return f"$[{print_expression(item)}]"


def _shell(shell: ShellText) -> str:
    mark = "!<" if shell.feed else "!"
    if not shell.quoted:
        return f"{mark} {shell.command}"
    text = shell.command.translate(ESCAPES)
    return f'{mark} "{text}"'
