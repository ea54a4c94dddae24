"""Plug-ins' dcmds and walkers at arm's length: a bug in one is an error of that call, and the session goes on."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from typing import Any

from vmdebug.entries import Dcmd, Walker
from vmdebug.errors import DebuggerError, ImageError, Unwinding

PASSED = (DebuggerError, ImageError, Unwinding, BrokenPipeError)


class PluginBug(DebuggerError):
    """What a plug-in raised that is no answer."""

    def __init__(self, origin: str, err: Exception) -> None:
        said = next(iter(str(err).splitlines()), "")
        super().__init__(f"{origin}: internal error: {type(err).__name__}: {said} (VMDEBUG_TRACEBACK=1 shows where)")


def guarded(entry: Dcmd | Walker, origin: str) -> Dcmd | Walker:
    """The same dcmd or walker, whose bugs are PluginBugs, those of its text too."""
    if isinstance(entry, Walker):
        return replace(entry, run=_guard(entry.run, origin))
    text = _guard(entry.text, origin) if callable(entry.text) else entry.text
    return replace(entry, run=_guard(entry.run, origin), text=text)


def _guard(function: Callable[..., Any], origin: str) -> Callable[..., Iterator[Any]]:
    @wraps(function)
    def guard(*args: Any) -> Iterator[Any]:
        try:
            yield from function(*args) or ()
        except PASSED:
            raise
        except Exception as err:
            if os.environ.get("VMDEBUG_TRACEBACK"):
                raise
            raise PluginBug(origin, err) from err

    return guard
