"""The examples of the documentation run, and say what they say."""

import doctest
from pathlib import Path

import pytest

import fixtures

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.mark.parametrize("page", ["library.md"])
def test_every_example_of_a_page_runs(page, tmp_path, monkeypatch):
    fixtures.make("demo", tmp_path / "core.domu")
    monkeypatch.chdir(tmp_path)

    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)

    assert (failed, tried > 0) == (0, True)
