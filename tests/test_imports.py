"""A one-shot command pays for what it needs: which modules it may import, on each kind of guest."""

import subprocess
import sys

import pytest

import fixtures

PROGRAM = """
import contextlib, io, sys
before = set(sys.modules)
from vmdebug.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    status = main(["-S", "--no-cache", "-e", sys.argv[2], sys.argv[1]])
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
print(status, *sorted(tops - set(sys.stdlib_module_names)))
"""
OWN = ["dcmds", "formats", "vmdebug"]
HEAVY_STDLIB = ("asyncio", "multiprocessing", "unittest", "xml", "http", "ssl", "tkinter", "sqlite3", "concurrent")


def imported(image, text):
    ran = subprocess.run([sys.executable, "-c", PROGRAM, image, text], capture_output=True, text=True, check=True)
    status, *names = ran.stdout.split()
    assert status == "0", ran.stdout
    return names


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "core.domu"
    fixtures.make("demo", path)
    return path


@pytest.mark.parametrize("text", ["::status", "::cpuinfo", "::evtchns", "::cpuregs", "fffffffffbc4b7f0/J"])
def test_a_command_on_a_domain_dump_imports_nothing_but_our_own(text, demo):
    assert set(imported(demo, text)) <= set(OWN)


@pytest.mark.parametrize("name", ["xen-pv.core", "linux-mini.elf.core"])
@pytest.mark.parametrize("text", ["::status", "::ps"])
def test_a_command_on_a_linux_guest_imports_nothing_but_our_own(name, text, real):
    assert imported(real(name), text) == OWN


def test_no_room_imports_a_slow_part_of_the_standard_library(demo):
    program = PROGRAM.replace("print(status", "print(*sorted(tops & set(sys.stdlib_module_names))); print(status")
    command = [sys.executable, "-c", program, str(demo), "::status"]
    used = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].split()

    assert [name for name in HEAVY_STDLIB if name in used] == []
