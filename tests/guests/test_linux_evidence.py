"""What a Linux guest says its answers rest on: in ::image, in ::status, and when a session begins."""

import pytest

from fixtures.linux import scene
from fixtures.linux.scene import Plan
from formats.image import Fact, Note
from formats.opener import open_image
from vmdebug.guests.linux import find
from vmdebug.targets.target import Target

RELEASE = "7.2.13+deb14-cloud-amd64"
VERSION = "#1 SMP PREEMPT_DYNAMIC Debian 7.2.13-1 (2026-10-28)"
FOUND = {
    "kernel image": ("0xffffffffac400000", "mapped by the tables at 0x5dd3000, which vcpu 0 ran on"),
    "KASLR": ("+0x2b400000", "against the address that images are linked to"),
    "VMCOREINFO": ("agrees", "held against what was found in memory"),
    "symbols": ("186798", "kallsyms in memory (place-relative) and the modules' own"),
    "types": ("5189156 bytes", "BTF in memory and the modules' own"),
    "stacks": ("392677 entries", "ORC in memory"),
}


@pytest.fixture
def newest(real):
    return find(Target(open_image(real("linux-72.elf.core"))))


def made(tmp_path, plan):
    path = tmp_path / "core"
    scene.build(plan).guest.save(path, format="elf-core")
    return find(Target(open_image(path)))


def test_every_piece_says_what_it_rests_on(newest):
    assert list(newest.evidence) == [Fact(name, *found) for name, found in FOUND.items()]


def test_status_says_it_in_short(newest):
    assert list(newest.status().extra) == [
        ("kernel", "0xffffffffac400000, KASLR +0x2b400000, mapped by the tables at 0x5dd3000, which vcpu 0 ran on"),
        ("VMCOREINFO", "agrees, held against what was found in memory"),
        ("symbols", "186798, kallsyms in memory (place-relative) and the modules' own"),
        ("types", "5189156 bytes, BTF in memory and the modules' own"),
        ("stacks", "392677 entries, ORC in memory"),
    ]


def test_a_session_begins_with_the_kernel_and_its_evidence(newest):
    assert newest.banner() == [
        f"Linux {RELEASE} x86_64, 2 vcpus, 128 MiB, KASLR +0x2b400000",
        "symbols: kallsyms in memory (place-relative) and the modules' own; types: BTF in memory and the modules' own;"
        " stacks: ORC in memory",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"OSRELEASE=x\nKERNELOFFSET=2b400000\n", ("agrees", "held against what was found in memory")),
        (b"KERNELOFFSET=1\n", ("is not believed", "memory contradicts its KERNELOFFSET=1")),
        (b"BUILD-ID=00ff\n", ("is not believed", "memory contradicts its BUILD-ID=00ff")),
        (
            b"KERNELOFFSET=2\nBUILD-ID=aa\n",
            ("is not believed", "memory contradicts its KERNELOFFSET=2 and BUILD-ID=aa"),
        ),
        (b"KERNELOFFSET=\xff\xfe\n", None),
        (b"", None),
    ],
)
def test_what_a_note_says_is_held_against_memory(newest, text, said):
    newest.target.image.notes = [Note("VMCOREINFO", 0, text, "VMCOREINFO")]

    facts = {fact.name: (fact.value, fact.evidence) for fact in newest.evidence}

    assert facts == {name: found for name, found in (FOUND | {"VMCOREINFO": said}).items() if found}


def test_the_kernels_half_of_a_pair_is_named_so(tmp_path):
    linux = made(tmp_path, Plan(pti=True))

    tables = next(fact.evidence for fact in linux.evidence if fact.name == "kernel image")

    assert tables == f"mapped by the tables at {linux.space.root:#x}, the kernel's half of the pair that vcpu 0 ran on"


def test_tables_that_were_searched_for_are_named_so(real):
    target = Target(open_image(real("linux-mini.elf.core")))
    target.image.vcpus = []

    linux = find(target)

    tables = next(fact.evidence for fact in linux.evidence if fact.name == "kernel image")
    assert tables == f"mapped by the tables at {linux.space.root:#x}, found in memory: no registers name them"
