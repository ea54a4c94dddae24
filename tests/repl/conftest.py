"""`terminal(...)`: the debugger on a real pseudo-terminal, typed at and read like a person would."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30  # seconds, for machines that are slow and busy
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][0-9A-B]|\x1b[=>78M]|\x1b\][^\x07]*\x07")
UNFINISHED = re.compile(r"\x1b[^@-Z\\^-~]*$|\x1b\[[0-9;? -/]*$")

PLUGIN = '''
"""Dcmds that do what a test needs."""

import itertools
import time
from dataclasses import dataclass

from vmdebug.dcmd import Flag, Text, dcmd


@dataclass(frozen=True)
class Line:
    """A line.

    text: what it says
    """

    text: str


def says(name, **options):
    return dcmd(name, text=Text("{text}"), row=Line, **options)


@says("spin")
def spin(call):
    """run until stopped"""
    yield Line("spinning")
    for _ in itertools.count():
        time.sleep(0.01)


@says("many", flags=[Flag("n", "how many lines, in hex", "number", "count")])
def many(call):
    """print many lines"""
    for number in range(call.flags.get("n", 0x40)):
        yield Line(f"line {number} of many")


@says("long")
def long(call):
    """print a line of seven rows"""
    yield Line("x" * 500 + "end")


@says("boom")
def boom(call):
    """have a bug"""
    yield Line("before")
    raise ZeroDivisionError("no such luck")


@says("evil")
def evil(call):
    """print what a guest may hold"""
    yield Line("guest \\x1b]0;owned\\x07 \\x1b[2J text \\x9b31m")


@says("window")
def window(call):
    """print the window as the session knows it"""
    yield Line(f"window {call.session.settings.height}x{call.session.settings.width}")
'''


class Terminal:
    """A process on its own terminal. Everything waits for text, for as long as PATIENCE; nothing sleeps."""

    def __init__(self, words, env, rows=24, columns=80, cwd=None):
        self.fd, slave = pty.openpty()
        self.raw = ""
        self.seen = 0  # of the plain text, how much expect() has passed
        self.resize(rows, columns, tell=False)
        self.modes = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            words,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.slave = slave

    @property
    def text(self):
        """What was written, without the sequences that colour and move."""
        return ESCAPES.sub("", UNFINISHED.sub("", self.raw))

    def send(self, text):
        os.write(self.fd, text.encode())

    def line(self, text):
        self.send(text + "\r")

    def expect(self, wanted, what=re.escape):
        """Wait for a text and go behind it; what stood before it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            text = self.text
            found = re.compile(what(wanted)).search(text, self.seen)
            if found:
                before, self.seen = text[self.seen : found.start()], found.end()
                return before
            if not self.read(deadline - time.monotonic()):
                raise AssertionError(f"no {wanted!r} in {text[self.seen :]!r}")

    def match(self, pattern):
        """expect() of a regular expression."""
        return self.expect(pattern, what=str)

    def prompt(self):
        """Wait until a line is read; what was written before."""
        return self.match(r"(?<![>\S])> ")

    def run(self, text):
        """Type a line at the prompt; what it prints up to the next."""
        self.line(text)
        return self.prompt()

    def read(self, seconds):
        """Take what was written; False at the end of it or of the time."""
        if seconds <= 0 or not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)

    def resize(self, rows, columns, tell=True):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes_now(self):
        return termios.tcgetattr(self.slave)

    def end(self):
        """Wait for the process; its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.1)
        return self.process.wait(timeout=1)

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.fd)
        os.close(self.slave)


@pytest.fixture
def home(tmp_path):
    """A home directory that the test owns."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def terminal(home, plugin):
    """terminal(*words, term="xterm-256color", env={}, rows=24, columns=80): a session at its first prompt."""
    opened = []

    def start(*words, term="xterm-256color", env=None, rows=24, columns=80, command=None):
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV") if name in os.environ}
        full = kept | {"HOME": str(home), "TERM": term, "SHELL": "/bin/sh", "PYTHONPATH": str(ROOT)} | (env or {})
        words = command or [sys.executable, "-m", "vmdebug", "-L", str(plugin), *words]
        found = Terminal(words, full, rows, columns, cwd=home)
        opened.append(found)
        return found

    yield start
    for found in opened:
        found.close()
