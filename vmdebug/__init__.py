"""vmdebug: a debugger for virtual-machine images that speaks mdb.

    errors     DebuggerError and its family, exit statuses
    paging     page-table walks            mapped     all that tables map
    symbols/   names of addresses          types/    types of data
    targets/   an image as address spaces  guests/   what an operating system keeps where
    dcmd       @dcmd, @walker, Call; entries   what they register; registry   where
    lang/      lexer, grammar, expressions, letters     render   rows as text, JSON, addresses; heaps   trees drawn
    session    one sitting                 load      finds dcmds
    calls, stack_rows                      stacks as rows
    explain    a dcmd's help in parts      manual    the man page made of it      legend   bits drawn with their names
    plugins    what others add: dcmds, walkers, formats, kernels; guard   a bug in one is an error of that call
    library    vmdebug.open(): one object for an opened image
    convert    images in other formats, in convert_*: one module a format, what goes into them, the command
    repl/, cli, __main__                   the shell and the command line

Stands on formats/; names no dcmd.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmdebug.library import Machine

# The rooms beside this one are imported by their folders' names. An installed vmdebug carries them in _rooms,
# so that no other name is added to site-packages; in a checkout they lie beside it.
_here = Path(__file__).parent
sys.path.insert(0, str(_here / "_rooms" if (_here / "_rooms").is_dir() else _here.parent))

__version__ = "0.1.0"


def open(*names: Path | str, **options: Any) -> "Machine":  # noqa: A001
    """The machine in an image: see vmdebug.library.open_machine for the options."""
    from vmdebug.library import open_machine

    return open_machine(*names, **options)
