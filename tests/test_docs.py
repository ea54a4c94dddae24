"""The documentation says what is true: its examples run and answer what it says, its lists are complete."""

import doctest
import re
import shutil
from pathlib import Path

import pytest

from docs import reference
from formats.candidates import candidates
from tests.fakes import language
from tests.pages import Reader, examples, with_gaps
from vmdebug.dcmd import Walker
from vmdebug.explain import spelled

DOCS = Path(__file__).resolve().parent.parent / "docs"
WRITTEN = sorted(
    str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] != "reference"
)
QUESTIONS = ["How such a file is made", "How it is opened", "What it holds and lacks", "When it does not open"]
TOOLS = ("bzip2", "gzip", "lzop", "xz", "zstd")
REFERENCE = reference.pages(language())


def text_of(page):
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.fixture
def reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    return Reader(tmp_path)


@pytest.mark.parametrize("page", [page for page in WRITTEN if ">>> " in text_of(page)])
def test_every_python_example_of_a_page_runs(page, reader):
    made = [command for _, _, command, _ in examples(text_of(page)) if command.startswith("vmdebug fixture make")]
    for command in made or ["vmdebug fixture make demo -o core.domu"]:
        reader.answer("", "$", command)

    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)

    assert (failed, tried > 0) == (0, True)


@pytest.mark.parametrize("page", [page for page in WRITTEN if list(examples(text_of(page)))])
def test_every_command_of_a_page_answers_what_it_says(page, reader):
    said = list(examples(text_of(page)))
    commands = {command.split()[0] for _, prompt, command, _ in said if prompt == "$"}
    if missing := [tool for tool in TOOLS if tool in commands and not shutil.which(tool)]:
        pytest.skip(f"{' '.join(missing)} is not installed")

    answered = [
        (kind, prompt, command, with_gaps(answer, reader.answer(kind, prompt, command)))
        for kind, prompt, command, answer in said
    ]

    assert answered == said


def test_the_page_of_the_language_names_every_command_of_it():
    text = text_of("language.md")
    entries = [entry for entry in language().dcmds() if entry.built_in and entry.module != "control"]

    assert [entry.name for entry in entries if not re.search(rf"{re.escape(spelled(entry))}(?!\w)", text)] == []
    assert len(entries) > 60


def test_every_format_has_a_page():
    pages = {Path(page).stem for page in WRITTEN if page.startswith("formats/")} - {"index"}

    assert pages == {each.module().NAME for each in candidates() if not each.origin}


@pytest.mark.parametrize("page", [page for page in WRITTEN if page.startswith("formats/") and "index" not in page])
def test_a_page_of_a_format_answers_the_same_questions_as_the_others(page):
    headings = re.findall(r"^## (.*)$", text_of(page), re.MULTILINE)

    assert headings == [
        "How such a file is made",
        "How it is opened",
        "What it holds and lacks",
        "When it does not open",
    ]


def test_the_reference_has_a_section_for_each_dcmd_and_a_line_for_each_walker():
    entries = [entry for kind in reference.KINDS for entry in language().dcmds(kind)]
    walkers = [entry for kind in reference.KINDS for entry in language().walkers(kind)]

    missing = [
        entry.name for entry in entries if REFERENCE[entry.module].count(f"({reference.label(entry)})=\n## ") != 1
    ]
    unlisted = [entry.name for entry in walkers if f"| `{entry.name}` |" not in REFERENCE[entry.module]]

    assert (missing, unlisted) == ([], [])
    assert len(entries) > 150
    assert all(isinstance(entry, Walker) for entry in walkers)


def test_every_link_of_the_reference_leads_to_a_section():
    everything = "\n".join(REFERENCE.values())
    links, labels = re.findall(r"\]\(#([\w-]+)\)", everything), re.findall(r"^\(([\w-]+)\)=$", everything, re.MULTILINE)

    assert set(links) - set(labels) == set()
    assert len(labels) == len(set(labels))
    assert len(labels) == len({label.lower() for label in labels})


def test_pages_that_say_the_same_are_not_written_again(tmp_path):
    reference.write(language(), tmp_path / "reference")
    written = sorted((tmp_path / "reference").iterdir())
    times = [path.stat().st_mtime_ns for path in written]
    (tmp_path / "reference" / "gone.md").write_text("# A module that is no more\n")

    reference.write(language(), tmp_path / "reference")

    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "reference").iterdir())] == times
    assert {path.stem for path in written} == set(REFERENCE)


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a < b & `c | d`", r"a \< b & `c | d`"),
        ("$C and *p", r"\$C and \*p"),
        ("module`name", r"module\`name"),
    ],
)
def test_text_of_a_docstring_is_no_markup(text, markdown):
    assert reference.plain(text) == markdown
