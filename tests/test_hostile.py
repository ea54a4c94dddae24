"""Any bytes at all end in an answer or one clear line: mutants of generated dumps, asked everything.

Each mutant runs through the whole program in this process: opened, its guest found, commands asked. What it may do is
print rows and raise DebuggerError or ImageError; it may not raise anything else, hang, or print control characters.
"""

import io
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fixtures
from formats.errors import ImageError
from formats.opener import open_source
from formats.source import BufferSource
from tests.bounded import bounded
from vmdebug.errors import DebuggerError
from vmdebug.guests import find_guest
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target

MUTANTS = 2000
SECONDS = 20  # a mutant that takes longer hangs
ASKED = (
    "::status",
    "::cpuregs -c 0",
    "::cpuinfo -v",
    "::evtchns",
    "::cpustack -c 0",
    "::image",
    "::modinfo",
    "::objects -v",
    "fffffffffbc4b7f0::vatopfn",
    "fffffffffbc4b7f0/10J",
    "fffffffffbc4b7f0::dump -l 40",
    "fffffffffbc4b7f0::whatis",
    "fffffffffbc4b7f0::print cpu_t",
    "utsname::print",
    "::sizeof kthread_t",
    "5::pfntomfn | ::mfntopfn",
    "::walk thread | ::findstack",
    "::walk proc | ::print proc_t p_user.u_comm",
    "::threadlist -v",
    "$c",
    "cbe_fire::dis",
    "::nm -n unix",
)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
INTERESTING = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]


@pytest.fixture(scope="module")
def originals():
    load_dcmds(pytest.fail)
    return {name: Original(fixtures.build(name, memory="12M")) for name in ("demo", "demo-304")}


class Original:
    """A dump to be changed; a failure shows its size, not its bytes."""

    def __init__(self, data):
        self.data = data
        self.used = used_pages(data)

    def __repr__(self):
        return f"<a dump of {len(self.data)} bytes>"

    def mutate(self, edits, cut):
        return Mutant(mutate(self.data, self.used, edits, cut))


class Mutant(bytes):
    def __repr__(self):
        return f"<a mutant of {len(self)} bytes>"


@st.composite
def mutations(draw):
    """Places to change: anywhere, in the head, or where structures lie thick; then perhaps a cut."""
    kind = st.sampled_from(["anywhere", "head", "used"])
    value = st.sampled_from(INTERESTING) | st.integers(0, (1 << 64) - 1)
    edits = draw(
        st.lists(
            st.tuples(kind, st.floats(0, 1, exclude_max=True), value, st.sampled_from([1, 2, 4, 8])),
            min_size=1,
            max_size=8,
        )
    )
    cut = draw(st.none() | st.floats(0, 1))
    return edits, cut, draw(st.lists(st.sampled_from(ASKED), min_size=4, max_size=4, unique=True))


def mutate(data, used, edits, cut):
    changed = bytearray(data)
    for kind, place, value, size in edits:
        at = int(place * 0x4000) if kind == "head" else int(place * len(changed))
        if kind == "used":
            page = used[int(place * len(used))]
            at = page + int(place * 7919 * 4096) % 4088
        at = min(at, len(changed) - 8) & ~(size - 1)
        changed[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    return bytes(changed if cut is None else changed[: int(cut * len(changed))])


def used_pages(data):
    """The pages of a dump that are not empty: mutations elsewhere meet nobody."""
    empty = bytes(4096)
    return [at for at in range(0, len(data) - 4096, 4096) if data[at : at + 4096] != empty]


def ask(data, commands):
    """Everything that the program says of these bytes; a refusal to open is an answer too."""
    try:
        target = Target(open_source(BufferSource("mutant", data)))
        guest = find_guest(target)
    except (DebuggerError, ImageError) as err:
        return str(err)
    out, err = io.StringIO(), io.StringIO()
    Session(target, guest, out=out, err=err).run("::status; " + "; ".join(commands))
    return out.getvalue() + err.getvalue()


@pytest.mark.parametrize("name", ["demo", "demo-304"])
@settings(max_examples=MUTANTS // 2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(mutation=mutations())
def test_every_mutant_ends_in_answers_or_refusals(name, originals, mutation):
    edits, cut, commands = mutation
    mutant = originals[name].mutate(edits, cut)

    with bounded(SECONDS):
        said = ask(mutant, commands)

    assert said.strip()
    assert "internal error" not in said
    assert not CONTROL.search(said.replace("\t", " "))
