"""README says what is true: its session is a real one, its table of formats is the registry's."""

import re
from pathlib import Path

import pytest

import fixtures
from bench.transcript import COMMANDS, record
from formats.opener import readers, wrappers

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    fixtures.make("demo", folder / "core.domu")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parent.parent))
        return record(["core.domu"], COMMANDS)


def test_its_session_is_what_a_terminal_shows(recorded):
    shown = re.search(r"^```\n(\$ vmdebug core\.domu\n.*?)^```$", README, re.M | re.S)[1]

    assert shown == recorded


def test_its_table_lists_every_format_that_can_be_opened():
    said = re.findall(r"^\| `([\w-]+)` \| (.*) \|$", README, re.M)

    assert said == [(module.NAME, module.DESCRIPTION) for module in (*readers(), *wrappers())]
