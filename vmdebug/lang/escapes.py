"""C escapes: in the strings that a user writes, and for bytes that are shown."""

import re

ESCAPED = re.compile(r'\\([abfnrtv"\\]|[0-7]{1,3})')
MEANING = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
NAMED = {ord(value): f"\\{letter}" for letter, value in MEANING.items()}


def unescape(text: str) -> str:
    """The text with its escapes converted; an unknown one keeps its backslash."""
    if "\\" not in text:
        return text
    return ESCAPED.sub(_meaning, text)


def escape(text: str) -> str:
    """The text with quotes, backslashes and all that is not printable ASCII as escapes (three octal digits)."""
    return "".join(NAMED.get(ord(char)) or (char if " " <= char <= "~" else _octal(char)) for char in text)


def escape_bytes(data: bytes) -> str:
    """Bytes as printable ASCII with escapes."""
    return escape(data.decode("latin-1"))


def _meaning(match: re.Match[str]) -> str:
    found = match[1]
    return MEANING[found] if found in MEANING else chr(int(found, 8) & 0xFF)


def _octal(char: str) -> str:
    data = char.encode("utf-8", "surrogateescape") if char > "\xff" else bytes((ord(char),))
    return "".join(f"\\{byte:03o}" for byte in data)
