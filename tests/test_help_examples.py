"""Every dcmd is explained, and every example of its help runs on an image that it is for."""

import io
import re
from dataclasses import is_dataclass

import pytest

import fixtures
from dcmds.control import CONTROL
from fixtures.qcow2 import Shape, build
from formats.opener import open_disk, open_image
from tests.fakes import language
from vmdebug.dcmd import columns
from vmdebug.errors import DebuggerError
from vmdebug.explain import told_of
from vmdebug.guests import find_guest
from vmdebug.guests.unknown import Unknown
from vmdebug.session import Session
from vmdebug.symbols.file import SymbolFile
from vmdebug.targets.disk import DiskTarget
from vmdebug.targets.target import Target

EXAMPLE_LINES = re.compile(r"^Examples?:\n((?: .*\n?|\n)+)", re.MULTILINE)
MADE = {"Selected", "Grouped"}  # rows with the keys that the user names
LINUX = "linux-mini.elf.core"
XEN = "xen-host.core"
KERNELS = {  # of Linux dcmds that need more than linux-mini has
    **dict.fromkeys(("linux_xen", "linux_xenbus", "linux_xenstore"), "xen-pv.core"),
    "linux_grants": "xen-pvh.core",
    "linux_panic": "linux-crash.kdump-d31-zlib",
}

LOGGING = 'vmdebug: logging to "session.log"\n'
NOTES = {  # what an example says beside its rows
    "$>": LOGGING,
    "log": LOGGING,
    "messages-panicinfo": "vmdebug: failed to read 'panicbuf': the kernel recorded no panic in it\n",
    "traps-ttrace": "vmdebug: symbol 'trap_trace_ctl' not found; non-TRAPTRACE kernel?\n",
    "cyclics-cyctrace": "vmdebug: cyc_cpu_t has no cyp_trace: the kernel was not built with CYCLIC_TRACE\n",
    "$W": "vmdebug: read-only target\nvmdebug: failed to re-open target for writing\n",
}
REFUSED = ("settings-$W", "messages-panicinfo", "cyclics-cyctrace", "traps-ttrace")


def each_dcmd():
    """Every definition, those that others hide too; a command with several names once for each."""
    registry = language()
    names = {entry.name for kind in (None, "illumos", "linux", "xen") for entry in registry.dcmds(kind)}
    for name in sorted(names):
        yield from (entry for entry in registry.definitions(name) if hasattr(entry, "synopsis"))


DCMDS = list(each_dcmd())


READ = re.compile(r"\b((?:struct|union) \w+|\w+_t) \(([^)]*)\)")
MEMBER = re.compile(r"(?<![\w.])[a-z_][\w.]*")
PROSE = {"or", "in", "older", "kernels", "since"}
TYPED = {"illumos": ("demo",), "linux": (LINUX, "linux-72.elf.core", "xen-pv.core"), "xen": (XEN,)}


def label(entry):
    return f"{entry.module}-{entry.name}"


def examples(entry):
    return [line.strip() for block in EXAMPLE_LINES.findall(entry.help) for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("entry", DCMDS, ids=label)
def test_every_dcmd_is_explained(entry):
    assert entry.summary
    assert examples(entry) or entry.name in CONTROL, f"::help {entry.name} has no `Example:`"
    assert [flag.letter for flag in entry.flags if not flag.help] == []
    if entry.row:
        assert [key for key, meaning in columns(entry.row) if not meaning] == []


@pytest.mark.parametrize("entry", [entry for entry in DCMDS if entry.guests], ids=label)
def test_every_dcmd_of_a_guest_says_what_it_reads(entry):
    assert told_of(entry).reads, f"::help {entry.name} has no paragraph `Reads: ...`"


def members(entry):
    """The members that a dcmd says it reads, each with its type."""
    for kind, names in READ.findall(told_of(entry).reads):
        yield from ((kind, name) for name in MEMBER.findall(names) if name not in PROSE)


@pytest.mark.parametrize("entry", [entry for entry in DCMDS if list(members(entry))], ids=label)
def test_what_a_dcmd_reads_is_in_the_types_of_a_kernel(entry, sittings):
    kernels = [sittings(name).guest.objects for guest in entry.guests or TYPED for name in TYPED[guest]]

    assert [each for each in members(entry) if not any(has(objects, *each) for objects in kernels)] == []


def has(objects, kind, member):
    try:
        return objects.offsetof(kind, member) >= 0
    except DebuggerError:
        return False


class Sitting:
    """Sessions over one target, each new."""

    def __init__(self, target, guest):
        self.target, self.guest = target, guest

    def run(self, text):
        """The status and what was complained of, of the text alone in a session of its own."""
        out, err = io.StringIO(), io.StringIO()
        session = Session(self.target, self.guest, out=out, err=err, registry=language())
        return session.run(text), err.getvalue()

    def rows(self, text):
        session = Session(self.target, self.guest, out=io.StringIO(), err=io.StringIO(), registry=language())
        return session.rows(text)


@pytest.fixture(scope="session")
def sittings(tmp_path_factory, real):
    """`sittings(name)`: the demo, a disk or a real image, opened at its first use."""
    folder = tmp_path_factory.mktemp("examples")
    made = {}

    def machine(path, names=None):
        target = Target(open_image(path))
        return Sitting(target, find_guest(target, names))

    def disk():
        path = folder / "disk.qcow2"
        path.write_bytes(build(Shape(size=1 << 20, bits=16), {0: b"data"}, []))
        target = DiskTarget(open_disk(path))
        return Sitting(target, Unknown(target, ["the target is a disk"]))

    def sitting(name):
        if name not in made:
            if name == "demo":
                made[name] = machine(fixtures.make("demo", folder / "core.domu").path)
            else:
                names = SymbolFile(real("xen-host.xen-syms")) if name == XEN else None
                made[name] = disk() if name == "disk" else machine(real(name), names)
        return made[name]

    return sitting


def image_for(entry):
    if entry.module == "disks":
        return "disk"
    if entry.module == "xen_domains":
        return XEN
    return KERNELS.get(entry.module, LINUX) if entry.guests == ("linux",) else "demo"


EXAMPLES = [(entry, example) for entry in DCMDS for example in examples(entry)]


@pytest.mark.parametrize(("entry", "example"), EXAMPLES, ids=[f"{label(entry)}-{text}" for entry, text in EXAMPLES])
def test_every_example_runs(entry, example, sittings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    status, complaints = sittings(image_for(entry)).run(example)

    assert complaints == NOTES.get(label(entry), NOTES.get(entry.name, ""))
    assert status == (label(entry) in REFUSED)


@pytest.mark.parametrize(("entry", "example"), EXAMPLES, ids=[f"{label(entry)}-{text}" for entry, text in EXAMPLES])
def test_every_key_of_an_examples_rows_is_explained(entry, example, sittings, tmp_path, monkeypatch):
    if label(entry) in REFUSED:
        pytest.skip("the example is of a refusal, which has no rows")
    monkeypatch.chdir(tmp_path)
    rows = sittings(image_for(entry)).rows(example.split(" ! ")[0])

    kinds = {type(row) for row in rows if is_dataclass(row) and type(row).__name__ not in MADE}

    assert [(kind.__name__, key) for kind in kinds for key, told in columns(kind) if not told] == []


@pytest.mark.parametrize("name", CONTROL)
def test_what_needs_a_running_target_is_refused(name, sittings):
    command = name if name[0] in "$:" else f"::{name}"

    assert sittings("demo").run(command) == (1, "vmdebug: command is not supported by current target\n")
