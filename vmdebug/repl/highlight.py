"""Colours for the language: a pygments lexer over the debugger's own scanner, and the prompt's palette.

MdbLexer works wherever pygments does (documentation, editors); what it colours is what the debugger will parse.
"""

from collections.abc import Iterator
from typing import Any

from pygments import token as kinds  # type: ignore[import-untyped]  # pygments carries no types
from pygments.lexer import Lexer  # type: ignore[import-untyped]

from vmdebug.lang.lexer import scan
from vmdebug.lang.tokens import Kind, Token

TokenType = Any  # pygments' token types are tuples that grow attributes

COLOURS = {
    Kind.SYMBOL: kinds.Name,
    Kind.CHARACTER: kinds.String.Char,
    Kind.STRING: kinds.String.Double,
    Kind.DCMD: kinds.Name.Function,
    Kind.DOLLAR: kinds.Name.Function.Magic,
    Kind.ASSIGN: kinds.Operator,
    Kind.VARIABLE: kinds.Name.Variable,
    Kind.DEREFERENCE: kinds.Operator,
    Kind.OPERATOR: kinds.Operator,
    Kind.VERB: kinds.Keyword,
    Kind.WRITE: kinds.Keyword,
    Kind.LETTER: kinds.Keyword.Type,
    Kind.COUNT: kinds.Number.Integer,
    Kind.OPEN: kinds.String.Interpol,
    Kind.CLOSE: kinds.String.Interpol,
    Kind.PIPE: kinds.Punctuation,
    Kind.END: kinds.Punctuation,
    Kind.COMMENT: kinds.Comment.Single,
    Kind.ERROR: kinds.Error,
}
NUMBERS = {"0i": kinds.Number.Bin, "0o": kinds.Number.Oct, "0t": kinds.Number.Integer, "0x": kinds.Number.Hex}
PALETTE = {  # readable on dark and on light screens
    kinds.Name.Function: "bold ansiblue",
    kinds.Name.Function.Magic: "bold ansiblue",
    kinds.Name.Variable: "ansiyellow",
    kinds.Name.Attribute: "ansicyan",
    kinds.Number: "ansicyan",
    kinds.String: "ansigreen",
    kinds.Keyword: "bold ansimagenta",
    kinds.Keyword.Type: "nobold ansimagenta",
    kinds.Punctuation: "bold",
    kinds.Comment: "ansibrightblack",
    kinds.Error: "ansired",
}


class MdbLexer(Lexer):  # type: ignore[misc]  # pygments carries no types
    """The mdb command language."""

    name = "mdb"
    aliases = ["mdb", "vmdebug"]  # noqa: RUF012  # pygments reads a list here
    filenames = ["*.mdb", ".mdbrc", ".vmdebugrc"]  # noqa: RUF012

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, TokenType, str]]:
        """Every piece of the text with its place and kind; nothing is left out, blanks neither."""
        at = 0
        for token in scan(text):
            if token.start > at:
                yield at, kinds.Whitespace, text[at : token.start]
            yield from _pieces(token)
            at = token.end


def _pieces(token: Token) -> Iterator[tuple[int, TokenType, str]]:
    if token.kind is Kind.SHELL:
        yield token.start, kinds.Punctuation, "!"
        yield token.start + 1, kinds.String.Backtick, token.text[1:]
    elif token.text:
        yield token.start, _colour(token), token.text


def _colour(token: Token) -> TokenType:
    match token.kind:
        case Kind.NUMBER if "." in token.text:
            return kinds.Number.Float
        case Kind.NUMBER:
            return NUMBERS.get(token.text[:2].lower(), kinds.Number.Hex)
        case Kind.SYMBOL if token.text == ".":
            return kinds.Name.Builtin.Pseudo
        case Kind.WORD:
            return _word_colour(token.text)
        case Kind.END if token.text == "\n":
            return kinds.Whitespace
        case _:
            return COLOURS[token.kind]


def _word_colour(word: str) -> TokenType:
    if word.startswith("-"):
        return kinds.Name.Attribute
    return kinds.String if "'" in word or '"' in word else kinds.Text
