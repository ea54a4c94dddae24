"""What the user sets: radix, prompt, symbol matching, page width, disassembler, options. And the ways out."""

import os
from collections.abc import Callable, Iterator
from typing import cast

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Text, dcmd
from vmdebug.disasm import MODES
from vmdebug.errors import DebuggerError
from vmdebug.lang.flags import each_word
from vmdebug.lang.settings import MAX_PROMPT, Settings
from vmdebug.session import Session

BUILT_IN = True
MAX_WIDTH = 1 << 16


class BadSetting(DebuggerError):
    """A value that a setting cannot have."""


@dataclass(frozen=True)
class Setting:
    """A setting and its value.

    value: the value
    name: what it is called
    note: what the value means
    """

    value: int | str
    name: str
    note: str


def _session(call: Call) -> Session:
    return cast(Session, call.session)


def _settings(call: Call) -> Settings:
    return _session(call).settings


@dcmd("$d", address="optional", row=Setting, text=Text("{name} = {value} {note}"))
def radix(call: Call) -> Iterator[Setting]:
    """get/set default output radix

    With an address sets the radix for numbers without a prefix, in what is typed and in what is shown: 2 to 16.

    Example:
        0t16$d
    """
    if call.address is not None:
        if not 2 <= call.address <= 16:
            raise BadSetting("expected radix from 2 to 16")
        call.session.radix = call.address
    yield Setting(call.session.radix, "radix", "base ten")


@dcmd("$s", address="optional", row=Setting, text=Text("{name} = {value} ({note})"))
def distance(call: Call) -> Iterator[Setting]:
    """get/set symbol matching distance

    0 is smart mode: an address belongs to a symbol if it lies within its size. Another number is the distance in bytes
    up to which the closest symbol below is used.

    Example:
        $s
    """
    if call.address is not None:
        _settings(call).distance = call.address
    value = _settings(call).distance
    shown = call.session.show.number(value, prefix=True)
    yield Setting(shown, "symbol matching distance", "absolute mode" if value else "smart mode")


@dcmd("$w", address="optional", row=Setting, text=Text("{name} = {value}"))
def width(call: Call) -> Iterator[Setting]:
    """get/set output page width

    Format commands start a new line where a field would cross it.

    Example:
        $w
    """
    if call.address is not None:
        if not 0 < call.address <= MAX_WIDTH:
            raise BadSetting(f"expected page width from 1 to {MAX_WIDTH}")
        _settings(call).width = call.address
    yield Setting(_settings(call).width, "output page width", "")


@dcmd("$P", synopsis="[string]")
def prompt(call: Call) -> None:
    """set debugger prompt string

    Without a string the prompt is `> ` again.

    Example:
        $P 'vm> '
    """
    _set_prompt(call, "".join(each_word(call.args)) or "> ")


@dcmd("$V", synopsis="[mode]", row=Setting, text=Text("{name} is {value} ({note})"))
def disassembler(call: Call) -> Iterator[Setting]:
    """get/set disassembly mode

    ::disasms lists the modes.

    Example:
        $V
    """
    session, words = _session(call), list(each_word(call.args))
    if len(words) > 1:
        raise call.usage()
    if words and not session.use_disassembler(words[0]):
        raise BadSetting("failed to set disassembly mode: unknown disassembler name")
    if not words:
        yield Setting(session.disassembler, "disassembly mode", MODES[session.disassembler])


@dcmd("$W")
def reopen(call: Call) -> None:
    """re-open target in write mode

    Images are never written: this is refused.

    Example:
        $W
    """
    call.warn("read-only target")
    raise BadSetting("failed to re-open target for writing")


LABELS: tuple[tuple[str, Callable[[Settings], object]], ...] = (
    ("macro path", lambda settings: settings.macro_path),
    ("module path", lambda settings: settings.module_path),
    ("symbol matching distance", lambda settings: settings.distance),
    ("array member print limit", lambda settings: settings.array_mem_limit or "none"),
    ("array string print limit", lambda settings: settings.array_str_limit or "none"),
    ("command prompt", lambda settings: f'"{settings.prompt}"'),
    ("debugger options", lambda settings: settings.enabled()),
    ("target options", lambda settings: "none"),
)


@dcmd(
    "set",
    synopsis="[-wF] [+/-o opt[,opt...]] [-s dist] [-I path] [-L path] [-P prompt]",
    raw=True,
    row=Setting,
    text=Text("{name:>26}: {value}"),
)
def change(call: Call) -> Iterator[Setting]:
    """get/set debugger properties

    Without options the properties. -o and +o set and unset options as on the command line, -s the symbol matching
    distance (decimal), -I the macro path, -L the module path, -P the prompt; -w would open the target for writing.

    Example:
        ::set
    """
    words = list(each_word(call.args))
    if not words:
        for label, read in LABELS:
            yield Setting(str(read(_settings(call))), label, "")
    while words:
        option = words.pop(0)
        letter, attached = option[:2], option[2:]
        if letter in ("-w", "-F"):
            reopen(call)
        elif letter in CHANGES:
            if not attached and not words:
                raise call.usage(f"option requires an argument -- {letter[1]}")
            CHANGES[letter](call, attached or words.pop(0))
        else:
            raise call.usage(f"illegal option -- {option.lstrip('-+')[:1]}")


def _set_prompt(call: Call, text: str) -> None:
    if len(text) > MAX_PROMPT:
        raise BadSetting(f"prompt may not exceed {MAX_PROMPT} characters")
    _settings(call).prompt = text


def _set_distance(call: Call, text: str) -> None:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadSetting("expected integer following -s")
    _settings(call).distance = int(text)


def _set_path(call: Call, attribute: str, what: str, text: str) -> None:
    if ";" in text:
        raise BadSetting(f"{what} cannot contain semicolons")
    setattr(_settings(call), attribute, text)


CHANGES: dict[str, Callable[[Call, str], None]] = {
    "-o": lambda call, text: _session(call).set_option(text),
    "+o": lambda call, text: _session(call).set_option(text, on=False),
    "-P": _set_prompt,
    "-s": _set_distance,
    "-I": lambda call, text: _set_path(call, "macro_path", "macro path", text),
    "-L": lambda call, text: _set_path(call, "module_path", "module path", text),
}


@dcmd("term", row=Setting, text=Text("{value}"))
def term(call: Call) -> Iterator[Setting]:
    """display current terminal type

    What TERM says, or `::set -o term=`.

    Example:
        ::term
    """
    yield Setting(_settings(call).term or os.environ.get("TERM", "unknown"), "terminal", "")


@dcmd(("quit", "$q", "$Q", "$%"))
def leave(call: Call) -> None:
    """quit debugger

    The commands behind it on the line are not run; the exit status is 0.

    Example:
        ::quit
    """
    _session(call).finish()
