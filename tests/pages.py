"""The examples in pages of documentation: what is typed, and what the page says that it answers.

A block whose lines begin with `$ ` is typed at a shell, in one folder for the whole page. A block whose lines begin
with `> ` is typed in one session on the image that the last `$ vmdebug FILE` opened, without such a line on the demo;
it gives JSON where the block is called json. `...` in an answer stands for what the page leaves out.
"""

import contextlib
import io
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import fixtures
from formats.opener import open_image
from tests.fakes import language
from vmdebug.cli import main
from vmdebug.guests import find_guest
from vmdebug.session import Session
from vmdebug.targets.target import Target

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(\w*)\n(([$>]) .*?)^```$", re.MULTILINE | re.DOTALL)
OPENED = re.compile(r"vmdebug (\S+)")  # and nothing else: a person goes on in its session
LEFT_OUT = "..."


def examples(text):
    """The prompts of a page in order: the block's language, the prompt, the command, the lines below it."""
    for kind, block, prompt in BLOCK.findall(text):
        for example in re.split(rf"^{re.escape(prompt)} ", block, flags=re.MULTILINE)[1:]:
            command, *answer = example.splitlines()
            yield kind, prompt, command, [line.rstrip() for line in answer]


class Reader:
    """Who types what a page says, in a folder that must be the current one."""

    def __init__(self, folder):
        self.folder, self.image, self.sessions = folder, None, {}
        wrapper = folder / "bin" / "vmdebug"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m vmdebug "$@"\n')
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)

    def answer(self, kind, prompt, command):
        """The lines that a command gives."""
        text = self._session(command, kind == "json") if prompt == ">" else self._shell(command)
        return [line.rstrip() for line in text.splitlines()]

    def _session(self, command, json):
        if self.image is None:
            self.image = fixtures.make("demo", "core.domu").path
        if (self.image, json) not in self.sessions:
            out, target = io.StringIO(), Target(open_image(self.image))
            session = Session(target, find_guest(target), out=out, err=out, registry=language(), json=json)
            self.sessions[self.image, json] = out, session
        out, session = self.sessions[self.image, json]
        start = out.tell()
        session.run(command)
        return out.getvalue()[start:]

    def _shell(self, command):
        words = shlex.split(command)
        if opened := OPENED.fullmatch(command):
            self.image = Path(opened[1])
            return ""
        if words[0] == "vmdebug" and not {"|", ">", "<", ";", "&&"} & set(words):
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                main(words[1:])
            return out.getvalue()
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.folder, env={**os.environ, "PATH": path}, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.stdout


def with_gaps(said, answered):
    """What was answered; where the page leaves something out and all else fits, what the page says."""
    pattern = ".*".join(map(re.escape, "\n".join(said).split(LEFT_OUT)))
    fits = LEFT_OUT in "\n".join(said) and re.fullmatch(pattern, "\n".join(answered), re.DOTALL)
    return said if fits else answered
