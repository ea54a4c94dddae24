"""Text as tokens. The scanner's state decides what a character means: `|` pipes behind a dcmd, and is an or before one.

scan() never fails: what is wrong becomes a token of kind ERROR, so that half a line can be coloured and completed.
"""

import re
from collections.abc import Iterator
from functools import cache

from vmdebug.lang.escapes import unescape
from vmdebug.lang.tokens import Kind, ShellText, State, Token

NAME = r"[A-Za-z_.][0-9A-Za-z_.`]*"
TERMS = rf"""
    (?P<NUMBER>0[iI][01][01_]*|0[oO][0-7][0-7_]*|0[tT][0-9][0-9_]*(?:\.[0-9]+)?|0[xX][0-9a-fA-F][0-9a-fA-F_]*
        |[0-9][0-9a-fA-F_]*)
    |(?P<SYMBOL>{NAME})
    |(?P<CHARACTER>'(?:\\.|[^'\n\\])*'|'[^'\n]*')
    |(?P<STRING>"(?:\\.|[^"\n\\])*")
    |(?P<DEREFERENCE>[*%]/[0-9A-Za-z]/)
    |(?P<VARIABLE><(?:{NAME}|[0-9]))
"""
OPERATORS = r"(?P<OPERATOR>==|!=|<<|>>|%%|[-+*%\#&^|~(),])"
BLANK = r"(?P<BLANK>[^\S\n]+)"
COMMENT = r"(?P<COMMENT>//[^\n]*)"
END = r"(?P<END>[\n;])"
OPEN = r"(?P<OPEN>\$\[)"
WORD = r"""(?P<WORD>(?:[^\s;!|"'$]|'[^'\n]*'|"(?:\\.|[^"\n\\])*")+)"""

INITIAL = rf"""
    {BLANK}|{COMMENT}|{END}
    |(?P<DCMD>::{NAME})
    |(?P<DOLLAR>\$<<|\$[<>]|[$:][?%@A-Z^_`a-z]|\$(?!\[))
    |(?P<WRITE>[/\\?][ \t]*[vwzWZlLM])
    |{TERMS}|{OPERATORS}
    |(?P<ASSIGN>>/[0-9A-Za-z]/|>)
    |(?P<VERB>[/\\@?=])
    |(?P<SHELL>!)
"""
STATES = {
    State.INITIAL: INITIAL,
    State.EXPRESSION: rf"{BLANK}|{TERMS}|{OPERATORS}|(?P<CLOSE>\])",
    State.FORMAT: rf"""{BLANK}|{COMMENT}|{END}|(?P<PIPE>\|)|(?P<SHELL>!)|(?P<STRING>"(?:\\.|[^"\n\\])*")|{OPEN}
        |(?P<COUNT>[0-9]+)|(?P<LETTER>[^"])""",
    State.ARGUMENT: rf"{BLANK}|{COMMENT}|{END}|(?P<PIPE>\|)|(?P<SHELL>!)|{OPEN}|{WORD}",
    State.SHELL: rf"{BLANK}|{COMMENT}|{END}|(?P<PIPE>\|)",
}
QUOTED = r"""(["'])((?:\\.|(?!\1)[^\n\\])*)\1"""
QUOTED_PART = r"""'([^'\n]*)'|"((?:\\.|[^"\n\\])*)\""""
REST = r"[^\n;]*"
LINE = r"[^\n]*"

FOLLOWING = {
    Kind.DCMD: State.ARGUMENT,
    Kind.DOLLAR: State.ARGUMENT,
    Kind.ASSIGN: State.ARGUMENT,
    Kind.WRITE: State.ARGUMENT,
    Kind.VERB: State.FORMAT,
    Kind.PIPE: State.INITIAL,
    Kind.END: State.INITIAL,
    Kind.OPEN: State.EXPRESSION,
}


def scan(text: str, state: State = State.INITIAL) -> Iterator[Token]:
    """Every token of the text, comments and errors too; the last is an empty END."""
    at, outer = 0, State.ARGUMENT
    while at < len(text):
        match = _pattern(state).match(text, at)
        if match is None:
            token = _error(text, at, state)
        elif match.lastgroup == "BLANK":
            at = match.end()
            continue
        elif match.lastgroup == "SHELL":
            token = _shell(text, at, state)
        else:
            token = _token(Kind[match.lastgroup or "ERROR"], match[0], at, state)
        yield token
        at = token.end
        if token.kind is Kind.CLOSE:
            state = outer
        elif token.kind is Kind.SHELL:
            state = State.SHELL
        else:
            outer = state if token.kind is Kind.OPEN else outer
            state = FOLLOWING.get(token.kind, state)
    yield Token(Kind.END, "", at, state)


@cache
def _pattern(state: State) -> re.Pattern[str]:
    """What a token is in a state; made when a text first comes to the state."""
    return re.compile(STATES[state], re.VERBOSE)


def _token(kind: Kind, text: str, start: int, state: State) -> Token:
    if kind is Kind.WORD:
        return Token(kind, text, start, state, _unquote(text))
    if kind is Kind.STRING:
        return Token(kind, text, start, state, unescape(text[1:-1]))
    if kind is Kind.WRITE:
        return Token(kind, text, start, state, text[-1])
    return Token(kind, text, start, state)


def _unquote(word: str) -> str:
    if "'" not in word and '"' not in word:
        return word
    return re.sub(QUOTED_PART, lambda part: part[1] if part[1] is not None else unescape(part[2]), word)


def _shell(text: str, start: int, state: State) -> Token:
    """`!` and its command: the rest of the line up to `;`, or a quoted one behind which the statement goes on."""
    at = start + 1
    feed = text[at : at + 1] == "<"
    at += feed
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    if text[at : at + 1] in ("'", '"'):
        match = re.compile(QUOTED).match(text, at)
        if match is None:
            return Token(Kind.ERROR, _line(text, start), start, state, "syntax error: quote unmatched")
        inner = match[2].replace("\\'", "'")
        command = unescape(inner) if match[1] == '"' else inner
        return Token(Kind.SHELL, text[start : match.end()], start, state, ShellText(command, True, feed))
    rest = re.compile(REST).match(text, at)
    command = rest[0] if rest else ""
    return Token(Kind.SHELL, text[start : at + len(command)], start, state, ShellText(command, False, feed))


def _error(text: str, at: int, state: State) -> Token:
    char = text[at]
    if state is State.EXPRESSION and char in ";!\n":
        return Token(Kind.ERROR, _line(text, at) or char, at, state, "syntax error: $[ unmatched")
    if char in "\"'" and state is not State.SHELL:
        return Token(Kind.ERROR, _line(text, at), at, state, f"syntax error: {char} unmatched")
    return Token(Kind.ERROR, char, at, state, "syntax error")


def _line(text: str, at: int) -> str:
    match = re.compile(LINE).match(text, at)
    return match[0] if match else ""
