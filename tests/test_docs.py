"""The examples of the documentation run, and say what they say."""

import doctest
import io
import re
from pathlib import Path

import pytest

import fixtures
from formats.opener import open_image
from tests.fakes import language
from vmdebug.guests import find_guest
from vmdebug.session import Session
from vmdebug.targets.target import Target

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.mark.parametrize("page", ["library.md"])
def test_every_example_of_a_page_runs(page, tmp_path, monkeypatch):
    fixtures.make("demo", tmp_path / "core.domu")
    monkeypatch.chdir(tmp_path)

    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)

    assert (failed, tried > 0) == (0, True)


BLOCK = re.compile(r"^```(json)?\n(> .*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """`demo(json)`: runs a command on the demo dump, in one session for text and one for JSON."""
    target = Target(open_image(fixtures.make("demo", tmp_path_factory.mktemp("docs") / "core.domu").path))
    guest, sessions = find_guest(target), {}
    for json in (False, True):
        out = io.StringIO()
        sessions[json] = out, Session(target, guest, out=out, err=out, registry=language(), json=json)

    def run(command, json=False):
        out, session = sessions[json]
        start = out.tell()
        session.run(command)
        return [line.rstrip() for line in out.getvalue()[start:].splitlines()]

    return run


def each_example(text):
    """The commands behind `> ` in the blocks of a page, whether they give JSON, and the lines below each."""
    for kind, block in BLOCK.findall(text):
        for example in re.split(r"^> ", block, flags=re.MULTILINE)[1:]:
            command, *answer = example.splitlines()
            yield command, bool(kind), answer


@pytest.mark.parametrize("page", ["language.md"])
def test_every_command_of_a_page_answers_what_it_says(page, demo):
    said = list(each_example((DOCS / page).read_text()))

    answers = [(command, json, demo(command, json)) for command, json, _ in said]

    assert answers == said
    assert len(said) > 10
