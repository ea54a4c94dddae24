"""The interactive shell. prompt_toolkit and pygments are imported here and nowhere else.

    terminal   the window's size, single keys, text that cannot harm
    pager      a session's `out`: a screenful at a time
    history    lines kept from one session to the next
    highlight  MdbLexer, a pygments lexer of the language, and the prompt's colours
    names      many names, found by how they begin
    complete   what may stand at the cursor; knows no terminal
    arguments  which names may stand in which word of which dcmd; sources   where these come from
    columns    the keys of the rows that stages of a pipeline yield
    members    a type's name and the path into it, for complete
    search     ^R: the latest line with a text in it
    keys       what a key does
    reader     one line from the user: edited, or plain on a dumb terminal
    shell      read, run, again; signals

Only the command line imports this package, and calls run().
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmdebug.session import Session


def run(session: "Session", banner: Sequence[str] = (), history: Path | None = None) -> int:
    """Talk to the user on the terminal until they leave; the exit status.

    `banner` is shown first. `history` is the file that lines are kept in: by default the one in the user's state
    directory.
    """
    from vmdebug.repl.shell import talk

    return talk(session, banner, history)
