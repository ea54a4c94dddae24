"""`terminal(...)`: the debugger on a real pseudo-terminal, typed at and read like a person would."""

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.repl.emulator import Screen
from vmdebug.repl.pager import QUESTION

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30  # seconds, for machines that are slow and busy

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


@says("deaf")
def deaf(call):
    """let nothing pass that unwinds, once"""
    try:
        yield Line("listening")
        while True:
            time.sleep(0.01)
    except SystemExit:
        yield Line("what?")
        while True:
            time.sleep(0.01)


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
    """A process on its own terminal. Everything waits for what is to be seen, up to PATIENCE; nothing sleeps.

    `at` is the row of the last prompt that was waited for: what a command printed stands below it.
    """

    def __init__(self, words, env, rows, columns, cwd):
        self.fd, self.slave = pty.openpty()
        self.screen = Screen(rows, columns)
        self.raw = ""
        self.at = self.asked = -1
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.resize(rows, columns)
        self.modes = self.modes_now()
        self.process = subprocess.Popen(
            words,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def send(self, text):
        os.write(self.fd, text.encode())

    def line(self, text):
        self.send(text + "\r")

    def run(self, text):
        """Type a line at the prompt; what it prints before the next."""
        self.line(text)
        return self.prompt()

    def prompt(self, text="> "):
        """Wait until a line is wanted; what was printed since the last time."""
        return self.stop(text, lambda row: row > self.at)

    def typed(self, text, prompt="> "):
        """Wait until the line being edited looks like this."""
        self.wait(lambda: self.screen.line(self.screen.row) == (prompt + text).rstrip(), f"the line {text!r}")

    def question(self, text=QUESTION):
        """Wait until the pager asks; the page before it."""
        page = self.stop(text, lambda row: row > max(self.at, self.asked))
        self.asked = self.at
        self.at -= 1  # the question gives way to the next page
        return page

    def see(self, text):
        """Wait until a text stands in or below the line that was typed."""
        self.wait(lambda: text in self.screen.between(max(self.at, 0), len(self.screen.lines)), repr(text))

    def handed_over(self):
        """Wait until a job of the shell has the terminal: before that, ^C is the shell's."""
        deadline = time.monotonic() + PATIENCE
        while os.tcgetpgrp(self.fd) == self.process.pid:
            assert time.monotonic() < deadline, "the shell keeps the terminal"
            self.read(0.01)

    def stop(self, text, fits):
        """Wait until the cursor stands behind a text at the beginning of a fitting row."""
        screen = self.screen
        self.wait(
            lambda: fits(screen.row) and screen.column == len(text) and screen.line(screen.row) == text.rstrip(),
            f"the prompt {text!r}",
        )
        shown = screen.between(self.at + 1, screen.row)
        self.at = screen.row
        return shown

    def wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if not self.read(deadline - time.monotonic()):
                below = self.screen.between(max(self.at, 0), len(self.screen.lines))
                raise AssertionError(f"waited for {what} and saw:\n{below}")

    def read(self, seconds):
        """Take what was written; False at the end of it or of the time."""
        if seconds <= 0 or not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        text = self.decoder.decode(data)
        self.raw += text
        self.screen.feed(text)
        return bool(data)

    def resize(self, rows, columns):
        self.screen.rows, self.screen.columns = rows, columns
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


class House:
    """A home directory and a plug-in, and the terminals that were opened in it."""

    def __init__(self, folder):
        self.home = folder / "home"
        self.home.mkdir()
        self.plugin = folder / "plugin.py"
        self.plugin.write_text(PLUGIN)
        self.opened = []

    def open(self, *words, term="xterm-256color", env=None, rows=24, columns=80, command=None):
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        ours = {"HOME": str(self.home), "TERM": term, "SHELL": "/bin/sh", "PYTHONPATH": str(ROOT)}
        words = command or [sys.executable, "-m", "vmdebug", "-L", str(self.plugin), *words]
        self.opened.append(Terminal(words, kept | ours | (env or {}), rows, columns, self.home))
        return self.opened[-1]

    def close(self):
        while self.opened:
            self.opened.pop().close()


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path)
    yield found
    found.close()


@pytest.fixture
def home(house):
    return house.home


@pytest.fixture
def plugin(house):
    return house.plugin


@pytest.fixture
def terminal(house):
    """terminal(*words, term=..., env={}, rows=24, columns=80, command=None): a session on a terminal of its own."""
    return house.open


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("shared"))
    yield house
    house.close()


@pytest.fixture
def screen(shared_house):
    """A session at its prompt, shared by tests that leave no trace in it; a new one where the last test broke it."""
    if not shared_house.opened:
        shared_house.open().prompt()
    found = shared_house.opened[0]
    yield found
    try:
        found.send("\x03")
        found.prompt()
    except AssertionError:
        shared_house.close()
