"""The example of a plug-in under docs/ works: installed, where its own tests pass, and as files."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "docs" / "plugin-template"
PACKAGE = TEMPLATE / "vmdebug_toy"
HEAD = f"{'ADDR':<16} {'ID':>4} NAME\n"
TASKS = f"{HEAD}{0x2000:016x}    1 init\n{0x2040:016x}    7 shell\n"


def word(value):
    return value.to_bytes(8, "little")


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """A toy dump, written from the layouts that the template's modules state."""
    memory = bytearray(0x4000)
    memory[0x1000:0x1020] = b"TOYOS\0\0\0" + b"2.5".ljust(16, b"\0") + word(0x2000)
    memory[0x2000:0x2020] = word(0x2040) + word(1) + b"init".ljust(16, b"\0")
    memory[0x2040:0x2060] = word(0) + word(7) + b"shell".ljust(16, b"\0")
    path = tmp_path_factory.mktemp("toy") / "memory.toydump"
    path.write_bytes((b"TOYDUMP1" + word(len(memory)) + word(0x1234) + word(0x3000)).ljust(4096, b"\0") + memory)
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that pip installed the template into, without a network."""
    copy, target = tmp_path_factory.mktemp("source") / "template", tmp_path_factory.mktemp("target")
    shutil.copytree(TEMPLATE, copy, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", target, copy]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        pytest.skip(f"pip cannot install the template: {ran.stderr.strip().splitlines()[-1]}")
    return target


@pytest.fixture
def vmdebug(tmp_path):
    """`vmdebug(*words, path=())`: what the command prints on both streams, with folders to find distributions in."""

    def run(*words, path=()):
        ran = subprocess.run(
            [sys.executable, "-m", "vmdebug", *map(str, words)],
            env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.stdout, ran.stderr

    return run


def test_the_page_shows_what_the_template_has():
    blocks = re.findall(r"^```\w+\n(.*?)^```$", (ROOT / "docs" / "plugins.md").read_text(), re.MULTILINE | re.DOTALL)
    held = {
        line for path in [TEMPLATE / "pyproject.toml", *PACKAGE.glob("*.py")] for line in path.read_text().splitlines()
    }

    assert len(blocks) == 2
    assert [line for block in blocks for line in block.splitlines() if line not in held] == []


def test_its_own_tests_pass_where_it_is_installed(installed, tmp_path):
    shutil.copytree(TEMPLATE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout.splitlines()[-1].partition(" in ")[0]) == (0, "4 passed"), ran.stdout


def test_its_entry_points_are_found(installed, dump, vmdebug):
    out, err = vmdebug("-e", "::toytasks; ::walk toytask | ::toytasks", dump, path=[installed])

    assert (out, err) == (TASKS * 2, "")


def test_where_it_is_installed_everything_names_it(installed, dump, vmdebug):
    origin = "vmdebug-toy 0.1.0"
    formats, _ = vmdebug("formats", path=[installed])
    info, _ = vmdebug("info", dump, path=[installed])
    out, _ = vmdebug("-e", "::dmods toyos; ::which -v toytasks; ::help toytasks", dump, path=[installed])

    assert f"toydump          dump of the toy hypervisor (plug-in {origin})" in formats.splitlines()
    assert f"  reader               toydump  (plug-in {origin})" in info.splitlines()
    assert f"{'toyos':<24} {origin}" in out.splitlines()
    assert f"  [1] toytasks`toytasks from {origin}" in out.splitlines()
    assert f"  Module: toytasks (plug-in {origin})" in out.splitlines()


def test_its_files_are_loaded_before_the_image_is_opened(dump, vmdebug):
    assert vmdebug("-L", PACKAGE, "-e", "::toytasks", dump) == (TASKS, "")
    assert vmdebug("-L", PACKAGE / "toydump.py", "-e", "::status", dump)[0].splitlines()[1].startswith(
        "operating system: not recognised"
    )  # fmt: skip
    assert "not an image of any known format" in vmdebug("-e", "::status", dump)[1]


def test_its_dcmd_is_loaded_into_a_running_session(dump, vmdebug):
    before = ["-L", PACKAGE / "toydump.py", "-L", PACKAGE / "toyos.py"]

    out, err = vmdebug(*before, "-e", f"::load {PACKAGE}/toytasks.py; ::toytasks", dump)

    assert (out, err) == (TASKS, "")


def test_its_format_and_kernel_wait_for_the_next_image(vmdebug):
    out, err = vmdebug("-e", f"::load {PACKAGE}; ::dmods toydump; ::unload toydump; ::dmods toydump")

    assert out == f"{'toydump':<24} {PACKAGE}/toydump.py\n"
    assert err.splitlines() == [
        "vmdebug: toydump: its format toydump applies to the next image that is opened",
        "vmdebug: toyos: its kernel toy applies to the next image that is opened",
        "vmdebug: toydump module not loaded",
    ]


def test_the_library_takes_its_files_and_warns_of_those_that_fail(dump, tmp_path):
    code = (
        "import sys, warnings, vmdebug\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    machine = vmdebug.open(sys.argv[1], plugins=sys.argv[2:])\n"
        "print(*(each.message for each in told), machine.run('::toytasks'), sep='\\n', end='')"
    )
    command = [sys.executable, "-c", code, dump, tmp_path / "nosuch.py", PACKAGE]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    first, _, rest = ran.stdout.partition("\n")
    assert first.startswith(f"failed to load {tmp_path}/nosuch.py: FileNotFoundError: ")
    assert rest == TASKS


def test_convert_reads_its_format(dump, vmdebug, tmp_path):
    vmdebug("convert", "-L", PACKAGE / "toydump.py", dump, "-o", tmp_path / "out", "--format", "raw")

    assert (tmp_path / "out").read_bytes() == dump.read_bytes()[4096:]
