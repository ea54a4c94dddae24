"""Colours of what a terminal shows: whether it may have any, and those of an instruction.

Escape sequences are those of ISO 6429: `ESC [ n m` sets a colour or bold, `ESC [ 0 m` ends them.
"""

import os
import re
from functools import cache

DUMB = ("", "dumb", "unknown")  # terminals that know no escape sequences
BOLD, BLUE, GREEN, YELLOW, CYAN, RED = "1", "1;34", "32", "33", "36", "31"
OPCODES = {"error": RED, "mnemonic": BLUE, "target": GREEN, "register": YELLOW, "number": CYAN}
OPCODE = r"""
(?P<error>^\*\*\*.*)
|(?P<mnemonic>^(?:(?:lock|rep\w*)\s+)?\w+)
|(?P<target><[^<>]*>)
|(?P<register>%?\b(?:[re]?(?:[abcd]x|[sd]i|[sb]p|ip)|[abcd][lh]|(?:[sd]i|[sb]p)l|r(?:8|9|1[0-5])[dwlb]?|[cdefgs]s
    |[xyz]mm\d+|mm\d|[cd]r\d+|st(?:\(\d\))?|k[0-7])(?!\w))
|(?P<number>\$?[+-]?0x[0-9a-f]+)
"""


def wants_colour(term: str = "") -> bool:
    """True unless the user asked for none (no-color.org), or the terminal knows no escape sequences."""
    return not os.environ.get("NO_COLOR") and (term or os.environ.get("TERM", "")) not in DUMB


def painted(text: str, colour: str) -> str:
    """The text in a colour."""
    return f"\x1b[{colour}m{text}\x1b[0m" if text else ""


def painted_instruction(text: str) -> str:
    """An instruction as a disassembler writes it, AT&T's or Intel's way, with each of its pieces in a colour."""
    return _opcode().sub(lambda found: painted(found[0], OPCODES[found.lastgroup or "error"]), text)


@cache
def _opcode() -> "re.Pattern[str]":
    return re.compile(OPCODE, re.VERBOSE)
