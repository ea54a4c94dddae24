"""`vmdebug --man`: a man page that tells all that --help and the registry tell, and that its readers take."""

import re
import shutil
import subprocess

import pytest

from formats.candidates import candidates
from tests.fakes import language
from vmdebug import manual
from vmdebug.cli import main
from vmdebug.options import LETTERS, LONG

SECTIONS = [
    *("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "BESIDE THE SESSION", "LANGUAGE", "COMMANDS", "WALKERS", "FORMATS"),
    *("EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"),
]
IGNORED = set("FWbpu?h")  # letters of mdb that mean nothing here, are refused, or ask for the usage
HOSTILE = r".so x \fBbold 'quoted' -dash ^ ~ `back` \\"


@pytest.fixture(scope="module")
def page():
    return manual.page(language())


def test_it_is_printed(capsys):
    assert main(["--man"]) == 0

    printed = capsys.readouterr()
    assert printed.out.startswith('.TH VMDEBUG 1 "" "vmdebug ')
    assert printed.err == ""


def test_its_sections_are_those_of_man_pages(page):
    assert [title.strip('"') for title in re.findall(r"^\.SH (.*)$", page, re.MULTILINE)] == SECTIONS


def test_its_lines_are_text_or_known_requests(page):
    requests = {line.split()[0] for line in page.splitlines() if line[:1] in (".", "'")}

    assert requests == {".TH", ".SH", ".TP", ".PP", ".br", ".BR"}
    assert [line for line in page.splitlines() if not line] == []


def test_every_option_is_told():
    terms = " ".join(term for term, _ in manual.options())

    letters = [letter for letter in LETTERS.replace(":", "") if letter not in IGNORED]
    assert [letter for letter in letters if not re.search(rf"-{letter}\b", terms)] == []
    assert [name for name in LONG if f"--{name.rstrip('=')}" not in terms] == []
    assert [term for term, meaning in manual.options() if not meaning and "--help" not in term] == []


def test_every_command_walker_and_format_is_told():
    registry = language()
    commands = "\n".join(term for term, _ in manual.commands(registry))
    kinds = (None, "illumos", "linux", "xen")

    dcmds = {entry.name for kind in kinds for entry in registry.dcmds(kind)}
    walkers = {entry.name for kind in kinds for entry in registry.walkers(kind)}
    assert [name for name in sorted(dcmds) if name not in commands] == []
    assert walkers - {name for name, _ in manual.walkers(registry)} == set()
    assert {each.module().NAME for each in candidates()} - {name for name, _ in manual.formats()} == set()


@pytest.mark.parametrize(
    "checker",
    [["groff", "-man", "-ww", "-z", "-Kutf8"], ["mandoc", "-T", "lint", "-W", "error"]],
    ids=["groff", "mandoc"],
)
def test_its_readers_have_nothing_to_complain_of(checker, page, tmp_path):
    if not shutil.which(checker[0]):
        pytest.skip(f"{checker[0]} is not installed")
    path = tmp_path / "vmdebug.1"
    path.write_text(page)

    checked = subprocess.run([*checker, path], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_text_is_shown_as_it_is():
    source = f".TH X 1\n.nf\n{manual.text(HOSTILE)}\n"

    shown = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-c", "-P-b", "-P-u"], input=source, capture_output=True, text=True, check=True
    )

    assert HOSTILE in shown.stdout
