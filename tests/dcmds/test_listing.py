"""Section 11.2: ::dcmds ::walkers ::dmods ::which ::help ::disasms ::version ::xdata, $M and the refusals of 11.1."""

from types import SimpleNamespace

import pytest

from tests.fakes import Debug, FakeTarget, Registry, language
from vmdebug import __version__
from vmdebug.dcmd import Flag, Text, dcmd, walker
from vmdebug.lang.aliases import ALIASES


@pytest.fixture
def debug():
    held = Registry()
    held.add(language().dcmd("help"))
    for name in ("dcmds", "walkers", "dmods", "which", "whence"):
        held.add(language().dcmd(name))

    @dcmd("alpha", address="required", flags=(Flag("v", "say more"), Flag("n", "how many", "number", "count")),
          registry=held)  # fmt: skip
    def alpha(call):
        """print the first letter

        The text of the help.

        Reads: struct first (of,
        the, letters), struct second.

        Example:
            1::alpha
        """

    @dcmd("beta", address="optional", registry=held)
    def beta(call):
        """print the second letter"""

    @dcmd("beta", registry=held)
    def newer(call):
        """print the other second letter"""

    @walker("letters", registry=held)
    def letters(call):
        """walk all letters"""
        yield 1

    return Debug(FakeTarget(), registry=held)


def test_dcmds_lists_sorted(debug):
    lines = debug.printed("::dcmds").splitlines()

    assert lines == sorted(lines)
    assert "alpha                    - print the first letter" in lines
    assert "beta                     - print the other second letter" in lines


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("::dcmds letter", ["alpha", "beta"]),
        ("::dcmds -n 'a$'", ["alpha", "beta"]),
        ("::dcmds -n letter", []),
        ("::dcmds '^alp|^bet'", ["alpha", "beta"]),
        ("::walkers", ["letters"]),
        ("::walkers -n letter", ["letters"]),
        ("::walkers -n all", []),
    ],
)
def test_patterns_choose(debug, text, names):
    assert [line.split()[0] for line in debug.printed(text).splitlines()] == names


def test_dmods_lists_modules(debug):
    assert debug.printed("::dmods") == "test_listing\n"
    assert debug.printed("::dmods -l test_listing") == (
        f"\n{'test_listing':70}\n"
        "  dcmd alpha                - print the first letter\n"
        "  dcmd beta                 - print the other second letter\n"
        "  walk letters              - walk all letters\n"
    )


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("::which alpha", "alpha is a dcmd from module test_listing\n"),
        ("::which ::alpha", "alpha is a dcmd from module test_listing\n"),
        ("::whence help", "help is a built-in dcmd\n"),
        ("::which letters", "letters is a walker from module test_listing\n"),
        ("::which cpus", "cpus is a macro alias for '::walk cpu |::cpuinfo -v'\n"),
        (
            "::which -v beta",
            "beta is a dcmd from module test_listing\n   >  definition list:\n"
            "  [1] test_listing`beta\n  [2] test_listing`beta\n",
        ),
    ],
)
def test_which_tells_where_a_name_comes_from(debug, text, printed):
    assert debug.printed(text) == printed


def test_which_tells_what_is_not_found(debug):
    assert debug("::which nosuch alpha")[:2] == (
        "alpha is a dcmd from module test_listing\n",
        "vmdebug: nosuch not found\n",
    )


HELP = """
NAME
  alpha - print the first letter

SYNOPSIS
  addr ::alpha [-v] [-n count]

DESCRIPTION
  The text of the help.

OPTIONS
  -v        say more
  -n count  how many

READS
  struct first (of, the, letters), struct second.

EXAMPLE
  1::alpha

ATTRIBUTES

  Target: fake
  Module: test_listing
  Interface Stability: Unstable

"""


def test_help_tells_all_of_a_command(debug):
    assert debug.printed("::help alpha") == HELP
    assert debug.printed("::help ::alpha") == HELP
    assert debug.printed("::help beta").splitlines()[5:7] == ["  ::beta", ""]


def test_help_tells_the_keys_of_rows():
    out = Debug().printed("::help vars")

    assert "COLUMNS\n  value     what it holds\n" in out
    assert "  Target: none\n" in out
    assert "  Interface Stability: Evolving\n" in out


LONG = """\
addr ::alpha [-v] [-n count]
    print the first letter (test_listing; any guest)
::beta
    print the other second letter (test_listing; any guest)
"""


def test_a_long_list_says_how_each_is_called(debug):
    assert debug.printed("::dcmds -l -n 'a$'") == LONG


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("SECOND", ["alpha", "beta"]),  # in what it reads, in the description
        ("alph", ["alpha"]),
        ("many", ["alpha"]),  # in an option
        ("letters", ["alpha", "::walk"]),
        ("the other", ["beta"]),
        ("nosuchword", []),
        ("al.ha", []),  # a word, no pattern
    ],
)
def test_help_finds_what_mentions_a_word(debug, word, found):
    assert [line.split()[0] for line in debug.printed(f"::help -k '{word}'").splitlines()] == found


def test_help_alone_introduces(debug):
    out = debug.printed("::help")

    for word in ("address-expr", "::dcmds", "::walkers", "::formats", "::quit", "::help name"):
        assert word in out


def test_version():
    assert Debug().printed("::version") == f"\rvmdebug {__version__}\n"


def test_disasms():
    assert Debug().printed("::disasms").splitlines() == [
        "amd64                    - AMD64 and IA32e 64-bit disassembler",
        "ia32                     - Intel 32-bit disassembler",
        "ia16                     - Intel 16-bit disassembler",
        "default                  - default no-op disassembler",
    ]


def test_xdata():
    target = FakeTarget()
    target.image.notes = (SimpleNamespace(name="xen_version", owner="Xen", type=1, data=bytes(1280)),
                          SimpleNamespace(name="", owner="CORE", type=0x2A, data=b"x"))  # fmt: skip

    assert Debug(target).printed("::xdata") == (
        "xen_version              - Xen note (1280 bytes)\nnote-2a                  - CORE note (1 byte)\n"
    )


def test_macro_aliases():
    lines = Debug().printed("$M").splitlines()

    assert lines[0] == "MACRO                NATIVE EQUIVALENT"
    assert "cpus                 ::walk cpu |::cpuinfo -v" in lines
    assert len(lines) == len(ALIASES) + 1


KNOWN = [
    ("cpu", "::cpuinfo -v"),
    ("cpun", "::cpuinfo -v"),
    ("cpus", "::walk cpu |::cpuinfo -v"),
    ("panicbuf", "::panicinfo"),
    ("modules", "::modinfo"),
    ("pid2proc", "::pid2proc |::print proc_t"),
    ("proc2u", "::print proc_t p_user"),
    ("stackregs", "::stackregs"),
    ("stacktrace", "::stackregs"),
    ("thread", "::print kthread_t"),
    ("threadlist", "::threadlist -v"),
    ("u", "::print user_t"),
    ("utsname", "utsname::print"),
    ("mount", "::fsinfo"),
]


@pytest.mark.parametrize(("name", "meaning"), KNOWN, ids=[name for name, _ in KNOWN])
def test_an_alias_means(name, meaning):
    assert ALIASES[name] == meaning


@pytest.mark.parametrize(
    "name", ["msgbuf", "mutex", "procargs", "bufctl", "bufctl_audit", "devinfo", "queue", "mblk", "sema"]
)
def test_an_alias_exists(name):
    assert ALIASES[name].startswith("::")


CONTROL = [
    *(f"${letter}" for letter in "ilxyXY"),
    *(f":{letter}" for letter in "AcekrRsSuit"),
    *(f":{letter}" for letter in "abdpwz"),
]


@pytest.mark.parametrize("text", CONTROL)
def test_images_do_not_run(text):
    assert Debug().refused(text) == "vmdebug: command is not supported by current target\n"
    assert Debug().refused(f"1{text} 2") == "vmdebug: command is not supported by current target\n"


@pytest.mark.parametrize("text", ["0$p", "0::context"])
def test_the_context_is_the_kernels(text):
    assert Debug().printed(text) == "debugger context set to kernel\n"


@pytest.mark.parametrize("text", ["$p", "::context", "0::context x", "::write 1", "1::write", "1::write -op 1"])
def test_tells_how_what_is_refused_is_called(text):
    assert "Usage: " in Debug().refused(text)


def test_there_is_no_adb_and_no_event():
    assert Debug().printed("$a") == "No adb here\n"
    assert Debug().printed("$b") == ""


@pytest.mark.parametrize("text", ["::help a b", "::help -k a b", "::which", "1::help", "::dcmds a b", "1::formats"])
def test_tells_the_usage(debug, text):
    assert "Usage: " in Debug().refused(text)


# What holds for every dcmd, those not written yet too

EVERY = language().dcmds("illumos") + language().dcmds("linux") + language().dcmds()


@pytest.mark.parametrize("entry", list({id(entry): entry for entry in EVERY}.values()), ids=lambda entry: entry.name)
def test_every_dcmd_has_help_and_a_text_that_names_its_columns(entry):
    assert entry.summary
    assert len(entry.summary) < 90
    if isinstance(entry.text, Text) and entry.row is not None:
        from vmdebug.render import FIELD

        named = {match[1] for match in FIELD.finditer(entry.text.line) if match[1]}
        assert named <= set(entry.row.__dataclass_fields__)


@pytest.mark.parametrize("kind", [None, "illumos", "linux", "xen", "unknown"])
def test_every_walker_has_a_description(kind):
    assert [entry.name for entry in language().walkers(kind) if not entry.summary] == []
