"""Dcmds are found by name and imported when they are needed; what is broken costs one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from vmdebug.dcmd import Registry
from vmdebug.errors import DebuggerError
from vmdebug.load import Loader, load_dcmds
from vmdebug.plugins import load_path, unload

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
from dataclasses import dataclass
from vmdebug.dcmd import dcmd, walker
import {registry}

@dcmd("{name}", registry={registry}.REGISTRY)
def run(call):
    '''do {name}'''

@walker("{name}s", registry={registry}.REGISTRY)
def walk(call):
    '''walk {name}'''
    yield 1
"""


@pytest.fixture
def package(tmp_path, monkeypatch, request):
    """`package(name=source, ...)`: a package of dcmds, and a registry that finds them."""
    name = f"pkg_{request.node.name.replace('[', '_').replace(']', '_')}"

    def make(**sources):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (tmp_path / f"{name}_registry.py").write_text("from vmdebug.dcmd import Registry\nREGISTRY = Registry()\n")
        for module, source in sources.items():
            (folder / f"{module}.py").write_text(source.replace("{registry}", f"{name}_registry"))
        monkeypatch.syspath_prepend(tmp_path)
        held = __import__(f"{name}_registry").REGISTRY
        warnings = []
        load_dcmds(warnings.append, registry=held, package=name)
        return held, warnings, lambda: {module for module in sources if f"{name}.{module}" in sys.modules}

    return make


def source(name):
    return MODULE.replace("{name}", name)


def test_imports_the_module_of_a_name_only(package):
    registry, warnings, imported = package(one=source("alpha"), two=source("beta"))

    assert registry.dcmd("alpha").summary == "do alpha"
    assert imported() == {"one"}
    assert registry.walker("betas").name == "betas"
    assert imported() == {"one", "two"}
    assert warnings == []


def test_a_list_imports_everything(package):
    registry, _, imported = package(one=source("alpha"), two=source("beta"))

    assert [entry.name for entry in registry.dcmds()] == ["alpha", "beta"]
    assert imported() == {"one", "two"}


def test_an_unknown_name_is_looked_for_everywhere(package):
    registry, _, imported = package(one=source("alpha"), two=source("be' + 'ta"))

    assert registry.dcmd("nosuch") is None
    assert imported() == {"one", "two"}


def test_a_broken_module_is_one_warning_and_the_others_work(package):
    registry, warnings, _ = package(one=source("alpha"), two="raise ValueError('first\\nsecond')")

    assert [entry.name for entry in registry.dcmds()] == ["alpha"]
    assert len(warnings) == 1
    assert warnings[0].endswith(".two: ValueError: first")


def test_loads_files_and_folders_that_the_user_names(tmp_path):
    (tmp_path / "a.py").write_text("A = 1\n")
    (tmp_path / "b.py").write_text("B = 1\n")
    (tmp_path / "c.py").write_text("1/0\n")
    warnings = []

    assert [plugin.name for plugin in load_path(tmp_path / "a.py", warnings.append)] == ["a"]
    with pytest.raises(DebuggerError, match=r"failed to load .*c\.py: ZeroDivisionError: division by zero"):
        load_path(tmp_path / "c.py", warnings.append)
    assert [plugin.name for plugin in load_path(tmp_path, warnings.append)] == ["a", "b"]
    load_dcmds(warnings.append, [tmp_path / "c.py", tmp_path / "b.py"], registry=Registry())
    assert warnings == [f"failed to load {tmp_path}/c.py: ZeroDivisionError: division by zero"] * 2
    assert [unload("a"), unload("b"), unload("c")] == [True, True, False]


def test_the_package_of_the_project_loads_whole():
    warnings = []

    Loader("dcmds", warnings.append).all()

    assert warnings == []


HEAVY = (
    "numpy construct capstone pygments prompt_toolkit elftools zstandard json.tool asyncio multiprocessing subprocess"
)


@pytest.mark.parametrize("text", ["::echo 1", "::status", "1+2=K", "::dcmds", "::help status"])
def test_one_shot_commands_import_nothing_heavy(text):
    program = (
        "import sys; from vmdebug.session import Session; from vmdebug.load import load_dcmds\n"
        f"session = Session(); load_dcmds(session.warn); session.run({text!r})\n"
        f"print([name for name in {HEAVY!r}.split() if name in sys.modules], file=sys.stderr)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stderr.splitlines()[-1] == "[]"
