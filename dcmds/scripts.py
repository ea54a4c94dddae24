"""Files: macros ($< $<<), the session's log ($> ::log), ::cat, plug-ins (::load ::unload)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Row, Text, dcmd
from vmdebug.errors import DebuggerError, NoTypes
from vmdebug.lang.aliases import ALIASES, TYPES
from vmdebug.lang.flags import each_word
from vmdebug.plugins import Plugin, load_path
from vmdebug.plugins import unload as take_away
from vmdebug.runner import ChainFrame, LeaveFrame
from vmdebug.session import Session

BUILT_IN = True


class NoFile(DebuggerError):
    """A file that the user named and that cannot be used."""


@dataclass(frozen=True)
class Line:
    """A line of a file.

    text: the line
    """

    text: str


def _session(call: Call) -> Session:
    return cast(Session, call.session)


@dcmd("$<", address="optional", synopsis="[macro [value ...]]", raw=True)
def macro(call: Call) -> Iterator[Row]:
    """replace input with macro

    Runs a file of commands that is found along the macro path; in a macro the rest of it is left. Where there is no
    such file the name is a macro alias ($M) or a type, with which the address is printed. The address is dot, the count
    is in the variable 9, and 0 runs nothing; the values of expressions behind the name are in arg1, arg2 and so on,
    and argc says how many they are. Without a name the macro that runs is left.

    Example:
        $<cpus
    """
    session = _session(call)
    if not call.args:
        if not any(frame.macro for frame in session.frames):
            raise NoFile("input stack is empty")
        raise LeaveFrame
    session.variables.define("9", 1 if call.count is None else call.count)
    yield from _run(call, replace=True)


@dcmd("$<<", address="optional", synopsis="macro [value ...]", raw=True)
def nested_macro(call: Call) -> Iterator[Row]:
    """source macro

    Like $<, but a macro that is running goes on behind it, with its own arguments, and 9 is not set.

    Example:
        $<<cpus
    """
    if not call.args:
        raise call.usage()
    yield from _run(call, replace=False)


def _run(call: Call, replace: bool) -> Iterator[Row]:
    """Run the macro of that name: a file, an alias, or the type that is called so."""
    session, name = _session(call), str(call.args[0])
    path = _find(session, name)
    with _arguments(session, [call.number(word) for word in call.args[1:]], kept=replace):
        if path is None:
            yield from _run_alias(call, name)
            return
        if replace and session.frames[-1].macro:
            raise ChainFrame(path)
        session.run_macro(path)
        call.leave_dot(session.dot, session.increment)


@contextmanager
def _arguments(session: Session, values: Sequence[int], kept: bool) -> Iterator[None]:
    """The variables argc, arg1, arg2 … for a macro; unless they are `kept`, what they were before comes back."""
    names = ("argc", *(f"arg{number}" for number in range(1, len(values) + 1)))
    before = {name: session.variables.find(name) or 0 for name in names}
    for name, value in zip(names, (len(values), *values), strict=True):
        session.variables.define(name, value)
    try:
        yield
    finally:
        for name, value in before.items() if not kept else ():
            session.variables.define(name, value)


def _find(session: Session, name: str) -> Path | None:
    folders = [""] if "/" in name else session.settings.folders(session.disassembler)
    return next((path for folder in folders if (path := Path(folder, name)).is_file()), None)


def _run_alias(call: Call, name: str) -> Iterator[Row]:
    session = _session(call)
    text = session.aliases.get(name) or ALIASES.get(name) or _printing(session, name)
    if text is None:
        raise NoFile(f"failed to open {name} (see ::help '$<')")
    return session.run_for(call, session.at(call.address, text))


def _printing(session: Session, name: str) -> str | None:
    """The command that prints a structure of that name, if the guest has one."""
    if not session.has_target:
        return None
    for form in TYPES:
        try:
            session.guest.types.find(form.format(name))
        except NoTypes:
            return None
        except DebuggerError:
            continue
        return f"::print {form.format(name)}"
    return None


@dcmd("cat", synopsis="file ...", row=Line, text=Text("{text}"))
def cat(call: Call) -> Iterator[Line]:
    """concatenate and display files

    Example:
        ::cat /etc/hostname
    """
    words = list(each_word(call.args))
    if not words:
        raise call.usage()
    for name in words:
        try:
            with Path(name).open(encoding="utf-8", errors="backslashreplace") as stream:
                for line in stream:
                    yield Line(line.rstrip("\n"))
        except OSError as err:
            raise NoFile(f"failed to open {name}: {err.strerror}") from err


@dcmd("$>", synopsis="[file]", raw=True)
def log_to(call: Call) -> None:
    """log session to a file

    Without a file logging ends.

    Example:
        $>session.log; ::status; $>
    """
    words = list(each_word(call.args))
    if words:
        _start(call, words[0])
    else:
        _stop(call)


@dcmd("log", synopsis="[-d | [-e] file]", flags=(Flag("d", "stop logging"), Flag("e", "log to the file")))
def log(call: Call) -> None:
    """log session to a file

    What is typed and what is printed goes to the file, too. Without anything tells whether there is a log.

    Example:
        ::log session.log; ::status; ::log -d
    """
    words = list(each_word(call.args))
    if len(words) > 1 or ("d" in call.flags and words) or ("e" in call.flags and not words):
        raise call.usage()
    current = _session(call).outlet.log
    if words:
        _start(call, words[0])
    elif "d" in call.flags:
        _stop(call)
    elif current is None:
        call.warn("no log is active")
    else:
        call.warn(f'logging to "{current.name}" is currently enabled')


def _start(call: Call, name: str) -> None:
    outlet = _session(call).outlet
    try:
        stream = Path(name).open("w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115  until ::log -d
    except OSError as err:
        raise NoFile(f"failed to open {name}: {err.strerror}") from err
    if outlet.log is not None:
        outlet.log.close()
    outlet.log = stream
    call.warn(f'logging to "{name}"')


def _stop(call: Call) -> None:
    outlet = _session(call).outlet
    if outlet.log is None:
        raise NoFile("no log is active")
    outlet.log.close()
    outlet.log = None


@dcmd("load", synopsis="[-s] file", flags=(Flag("s", "silent: kept for compatibility"),))
def load(call: Call) -> None:
    """load debugger module

    Runs a Python file that defines dcmds, a format or a kernel, or every one in a folder; a file that was loaded before
    is run anew. Dcmds and walkers can be used at once, a format or kernel with the next image that is opened.

    Example:
        ::help load
    """
    words = list(each_word(call.args))
    if len(words) != 1:
        raise call.usage()
    for plugin in load_path(Path(words[0]), call.session.warn, call.session.registry):
        for name in _for_later(plugin):
            call.warn(f"{plugin.name}: its {name} applies to the next image that is opened")


def _for_later(plugin: Plugin) -> Iterator[str]:
    yield from (f"format {name}" for name in plugin.formats)
    yield from (f"kernel {name}" for name in plugin.kernels)


@dcmd("unload", synopsis="module")
def unload(call: Call) -> None:
    """unload debugger module

    Takes away what a plug-in added: its dcmds and walkers, and its format or kernel for the next image.

    Example:
        ::help unload
    """
    words = list(each_word(call.args))
    if len(words) != 1:
        raise call.usage()
    if not take_away(words[0], call.session.registry):
        raise NoFile(f"{words[0]} module not loaded")
