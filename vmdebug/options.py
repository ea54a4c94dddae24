"""The command line, read as mdb reads its own: letters that combine, options after operands, +o.

parse() gives Options or raises BadUsage; nothing is opened or printed here.
"""

import getopt
from collections.abc import Sequence
from dataclasses import field

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError

USAGE = """\
Usage: vmdebug [-ACMSfkmwy] [+/-o option] [-e expr] [-s dist] [-I path] [-L path] [-P prompt] [-R root]
               [-V dis-version]
               [--json] [--no-cache] [--page-cache MiB] [--allow-backing path] [--disk] [--symbols file] [image ...]
       vmdebug fixture list | make NAME -o FILE     generate synthetic dumps
       vmdebug info IMAGE                           what a file holds: formats, chain, snapshots
       vmdebug formats                              what can be opened
       vmdebug convert IN -o OUT [--format F]       write an image in another format

    image       a file, file@snapshot, or several files of one image
    -e expr     run the commands and exit; the status is that of the last
    -o, +o opt  set or unset a debugger option (adb, nopager, ...); see ::set
    -s dist     symbol matching distance, 0 is smart      -V name     disassembler
    -S          do not read ~/.vmdebugrc or ~/.mdbrc      -P prompt   the prompt
    -A, -C      load no debugger modules; ignore type data
    -f          the file's own bytes, whatever it holds   -M          read the symbols of all modules at the start
    -I, -L      where to look for macro files; a plug-in to load (a FILE.py or a folder of them)
    -R root     what %r in the macro path stands for
    -k -m -w -y -F -W  are accepted: kernels are opened, read-only, and their symbols read as they are needed
    --json      one JSON object a line for each dcmd that ran
    --no-cache  keep nothing between runs                 --disk      a qcow2 disk instead of a machine
    --page-cache MiB       decompressed pages to keep in memory (64)
    --allow-backing path   a file or folder that a disk may be based on, outside its own folder
    --symbols file         a file with the names and types that the image lacks: ELF (BTF or DWARF), or bare BTF
    --help, --man, --version
"""
LETTERS = "e:o:s:V:P:ACSmMfkuwyFWI:L:R:b:p:?h"
LONG = ("json", "no-cache", "page-cache=", "allow-backing=", "disk", "symbols=", "help", "version", "man")
MAX_PROMPT = 35


class BadUsage(DebuggerError):
    """The command line cannot be understood; `usage` says whether the usage text helps."""

    def __init__(self, text: str, usage: bool = False) -> None:
        super().__init__(text)
        self.usage = usage


@dataclass
class Options:
    """What the command line asks for."""

    operands: list[str] = field(default_factory=list)
    evaluate: str | None = None
    settings: list[tuple[str, bool]] = field(default_factory=list)  # -o is True, +o is False
    distance: int = 0
    disassembler: str | None = None
    prompt: str | None = None
    macro_path: str | None = None
    root: str = ""
    plugins: list[str] = field(default_factory=list)
    allow_backing: list[str] = field(default_factory=list)
    symbols: str | None = None
    preload: bool = False
    no_rc: bool = False
    write: bool = False
    raw: bool = False
    json: bool = False
    cache: bool = True
    page_cache: int = 64  # MiB of decompressed pages kept in memory
    disk: bool = False
    action: str = ""  # "help", "usage" or "version" instead of a session


def parse(words: Sequence[str]) -> Options:
    """The options in a command line without its program's name."""
    options = Options()
    try:
        pairs, operands = getopt.gnu_getopt(_without_plus(words), LETTERS, LONG)
    except getopt.GetoptError as err:
        raise BadUsage(_wording(err), usage=True) from err
    for letter, value in pairs:
        _apply(options, letter, value)
    options.operands = _operands(operands)
    return options


def _without_plus(words: Sequence[str]) -> list[str]:
    """`+o option` is no option to getopt: it becomes `-o +option`, in its place."""
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] == "+o":
            kept[-1:] = ["-o", f"+{word}"]
        else:
            kept.append(word)
    if kept and kept[-1] == "+o":
        raise BadUsage("option requires an argument -- o", usage=True)
    return kept


def _apply(options: Options, letter: str, value: str) -> None:
    match letter:
        case "-e":
            if options.evaluate is not None:
                raise BadUsage("-e already specified")
            options.evaluate = value
        case "-o":
            options.settings.append((value.removeprefix("+"), not value.startswith("+")))
        case "-s":
            if not _is_count(value):
                raise BadUsage("expected integer following -s")
            options.distance = int(value)
        case "-P":
            if len(value) > MAX_PROMPT:
                raise BadUsage(f"prompt may not exceed {MAX_PROMPT} characters")
            options.prompt = value
        case "-I":
            if ";" in value:
                raise BadUsage("macro path cannot contain semicolons")
            options.macro_path = value
        case "-L":
            if ";" in value:
                raise BadUsage("module path cannot contain semicolons")
            options.plugins.append(value)
        case "-?":
            options.action = "usage"
        case "-h" | "--help":
            options.action = "help"
        case _:
            _apply_plain(options, letter, value)


def _is_count(value: str) -> bool:
    """Plain decimal digits, few enough for any number of things; str.isdigit() alone admits more than int() does."""
    return value.isascii() and value.isdigit() and len(value) <= 18


def _apply_plain(options: Options, letter: str, value: str) -> None:
    match letter:
        case "-V":
            options.disassembler = value
        case "-A":
            options.settings.append(("nomods", True))
        case "-C":
            options.settings.append(("noctf", True))
        case "-S":
            options.no_rc = True
        case "-M":
            options.preload = True
        case "-w":
            options.write = True
        case "-f":
            options.raw = True
        case "-R":
            options.root = value
        case "--json":
            options.json = True
        case "--no-cache":
            options.cache = False
        case "--page-cache":
            if not _is_count(value) or not int(value):
                raise BadUsage(f"--page-cache {value}: a number of MiB is wanted")
            options.page_cache = int(value)
        case "--allow-backing":
            options.allow_backing.append(value)
        case "--disk":
            options.disk = True
        case "--symbols":
            options.symbols = value
        case "--version" | "--man":
            options.action = letter[2:]
        case "-p" | "-b" | "-u":
            raise BadUsage(f"{letter}: not supported: only images of machines that do not run can be opened")


def _operands(operands: list[str]) -> list[str]:
    while operands and operands[0] == "-":
        operands = operands[1:]
    return operands


def _wording(err: getopt.GetoptError) -> str:
    if len(err.opt) != 1:
        return str(err)
    what = "option requires an argument" if "requires" in err.msg else "illegal option"
    return f"{what} -- {err.opt}"
