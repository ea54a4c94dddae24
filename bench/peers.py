"""crash and drgn beside vmdebug: the same question to each about the same image, as whole processes.

Both need the debug vmlinux of exactly that kernel: VMDEBUG_BENCH_VMLINUX names it (for linux-mini: package
linux-image-6.1.0-56-cloud-amd64-dbg of Debian, unpacked by `dpkg -x`). crash and drgn are found through PATH, or as
VMDEBUG_BENCH_CRASH and VMDEBUG_BENCH_DRGN say; drgn belongs into a virtual environment of its own (`pip install drgn`).
They are run as programs; nothing of them is imported. What cannot be measured says why.
"""

import mmap
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.images import real_image
from bench.measure import Measure, Missing

ROOT = Path(__file__).resolve().parent.parent
BANNER = b"Linux version "
IMAGES = ("linux-mini.elf.core", "linux-72.elf.core")  # ELF, uncompressed: what all three read
RUNS = {"vmdebug": 5, "drgn": 3, "crash": 1}  # crash takes most of a minute for each
PATIENCE = 600  # seconds for one run
# Runs a command as the only child of a small process, so that what the system counts is the command's alone.
LAUNCHER = """
import os, resource, subprocess, sys
quiet = subprocess.DEVNULL
said = subprocess.run(sys.argv[2:], input=sys.argv[1].encode(), stdout=subprocess.PIPE, stderr=quiet).stdout
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, flush=True)
sys.stdout.buffer.write(said)
"""
DRGN_STACKS = """
from collections import defaultdict
from drgn import FaultError
from drgn.helpers.linux.pid import for_each_task
groups = defaultdict(list)
for task in for_each_task(prog):
    try:
        groups[tuple(frame.name for frame in prog.stack_trace(task))].append(task)
    except (FaultError, ValueError) as err:
        groups[(str(err),)].append(task)
for stack, tasks in groups.items():
    for task in tasks:
        print(hex(task.value_()), task.comm.string_().decode())
    print(*stack, sep="\\n    ")
"""
DRGN_TASKS = """
from drgn.helpers.linux.pid import for_each_task
for task in for_each_task(prog):
    print(hex(task.value_()), task.pid.value_(), task.comm.string_().decode())
"""
DRGN_SEARCH = """
for _ in range({times}):
    for address, _ in prog.search_memory_u64({value:#x}):
        print(hex(address))
"""


@dataclass(frozen=True)
class Ask:
    """One question in three languages; `shown` is in each line that answers it, `times` how often it is asked."""

    subject: str
    questions: Mapping[str, str]
    shown: str
    times: int = 1


@dataclass(frozen=True)
class Answer:
    """What one process took, and how many lines answered."""

    seconds: float
    mib: float
    lines: int


ADDRESS = r"^[^:]*\b(0x)?[0-9a-f]{16}\b"  # not in a complaint, which begins with a name and a colon
NOTHING = Ask("nothing but its start", {"vmdebug": "", "crash": "", "drgn": ""}, "^$")
ASKS = (
    Ask("process list", {"vmdebug": "::ps", "crash": "ps", "drgn": DRGN_TASKS}, ADDRESS),
    Ask(
        "one stack",
        {"vmdebug": "0t1::pid2task | ::findstack", "crash": "bt 1", "drgn": "print(prog.stack_trace(1))"},
        r"\bschedule\b",
    ),
    Ask("all stacks", {"vmdebug": "::stacks", "crash": "foreach bt", "drgn": DRGN_STACKS}, r"\b__schedule\b"),
)


def searches(value: int, times: int) -> Ask:
    """A search of the kernel's memory for a value, several times in one process."""
    questions = {
        "vmdebug": "; ".join([f"{value:x}::kgrep"] * times),
        "crash": f"search -k {value:x}\n" * times,
        "drgn": DRGN_SEARCH.format(times=times, value=value),
    }
    return Ask("search of the kernel's memory", questions, ADDRESS, times)


class Peers:
    """The programs that are there, and an image whose kernel is that of the vmlinux."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self.vmlinux = Path(os.environ.get("VMDEBUG_BENCH_VMLINUX", ""))
        self.image: Path | None = None
        self.programs = {"vmdebug": sys.executable}
        self.absent: dict[str, str] = {}
        self._look()

    def _look(self) -> None:
        reason = ""
        if not self.vmlinux.is_file():
            reason = "VMDEBUG_BENCH_VMLINUX names no vmlinux"
        else:
            self.image = find_image(self.vmlinux, self._scratch)
            if self.image is None:
                reason = f"the kernel of {self.vmlinux} is in no image here ({', '.join(IMAGES)})"
        for name in ("crash", "drgn"):
            path = shutil.which(os.environ.get(f"VMDEBUG_BENCH_{name.upper()}", name))
            if path is None or reason:
                self.absent[name] = reason if path else f"{name} is not installed"
            else:
                self.programs[name] = path

    def answers(self, ask: Ask) -> dict[str, Answer]:
        """What each program took; those that failed are absent from then on."""
        runs: dict[str, list[Answer]] = {name: [] for name in self.programs}
        for turn in range(max(RUNS.values())):
            for name in [name for name in self.programs if turn < RUNS[name]]:
                answer = self._run(name, ask)
                if answer:
                    runs[name].append(answer)
                else:
                    self.absent[name] = f"{self.programs.pop(name)} did not end well"
        ended = {name: sorted(runs[name], key=lambda answer: answer.seconds) for name in self.programs}
        return {name: answers[len(answers) // 2] for name, answers in ended.items()}

    def _run(self, name: str, ask: Ask) -> Answer | None:
        command, typed = self._command(name, ask.questions[name])
        launched = [sys.executable, "-S", "-E", "-c", LAUNCHER, typed, *command]
        # As an installed program runs: with its compiled modules kept.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        try:
            done = subprocess.run(
                launched, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True, cwd=ROOT, env=kept
            )
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
            return None
        head, _, said = done.stdout.partition("\n")
        seconds, peak = head.split()
        lines = sum(1 for line in said.splitlines() if re.search(ask.shown, line))
        return Answer(float(seconds), float(peak) / 1024, lines // ask.times)

    def _command(self, name: str, question: str) -> tuple[Sequence[str], str]:
        """A program's command line, and what is typed into it."""
        program, image, vmlinux = self.programs[name], str(self.image), str(self.vmlinux)
        if name == "vmdebug":
            return [program, "-m", "vmdebug", "--no-cache", "-e", question, image], ""
        if name == "crash":
            return [program, "-s", vmlinux, image], f"{question}\nquit\n"
        script = self._scratch / "question.py"
        script.write_text(question)
        return [program, "-q", "-c", image, "-s", vmlinux, str(script)], ""


def find_image(vmlinux: Path, scratch: Path) -> Path | None:
    """The real image that holds the banner of a vmlinux."""
    with vmlinux.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(BANNER)
        banner = data[at : data.find(b"\n", at)] if at >= 0 else b""
    for name in IMAGES if banner else ():
        image = real_image(name, scratch)
        if image is None:
            continue
        with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data.find(banner) >= 0:
                return image
    return None


def measure(scratch: Path) -> Iterator[Measure | Missing]:
    """From the start to the answer in CPU seconds, and the peak of memory. vmdebug comes first, with nothing kept."""
    peers = Peers(scratch)
    for ask in ASKS if peers.image else ():
        yield from compared(ask, peers.answers(ask))
    for name, reason in peers.absent.items():
        yield Missing(f"processes and stacks, {name}", reason)


def compared(ask: Ask, answers: Mapping[str, Answer]) -> Iterator[Measure | Missing]:
    """The figures of all programs, those of vmdebug as the peer."""
    own = answers["vmdebug"]
    for name, answer in answers.items():
        what, beside = f"{ask.subject}, {name}", "" if name == "vmdebug" else "vmdebug"
        if not answer.lines:
            yield Missing(what, f"no answer after {answer.seconds:.3g} s")
            continue
        lines = f"{answer.lines} lines"
        yield Measure(f"{what}, CPU", answer.seconds, "s", beside, own.seconds if beside else None, lines)
        yield Measure(f"{what}, peak memory", answer.mib, "MiB", beside, own.mib if beside else None)
