"""What was found of a Linux kernel, and what each piece rests on: for ::image, ::status and a session's first lines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT, PAGE_SIZE
from formats.image import Fact, PageState
from formats.vmcoreinfo import find_text, parse, to_int
from vmdebug.guests.filetypes import fact_of

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

MIB_SHIFT = 20 - PAGE_SHIFT


def each_fact(linux: "Linux") -> Iterator[Fact]:
    """The pieces in the order in which they were found. Nothing is decoded for it that was not before."""
    yield Fact("kernel image", f"{linux.image.text:#x}", f"mapped by {_tables(linux)}")
    yield Fact("KASLR", f"{linux.shift:+#x}", "against the address that images are linked to")
    yield from _agreement(linux)
    names = linux.image.kallsyms
    also = " and the modules' own" if linux.names.find("modules") else ""
    yield Fact("symbols", str(len(names)), f"kallsyms in memory ({names.addresses.scheme}){also}")
    yield _types(linux)
    yield _stacks(linux)


def status_lines(linux: "Linux") -> list[tuple[str, str]]:
    """The same in short, for ::status: a label and a text each."""
    facts = {fact.name: fact for fact in each_fact(linux)}
    lines = [("kernel", f"{facts['kernel image'].value}, KASLR {linux.shift:+#x}, {facts['kernel image'].evidence}")]
    shown = [facts[name] for name in ("VMCOREINFO", "symbols", "types", "stacks") if name in facts]
    return lines + [(fact.name, f"{fact.value}, {fact.evidence}") for fact in shown]


def banner(linux: "Linux") -> list[str]:
    """What a session begins with: which kernel, on what, and what answers will rest on."""
    held = linux.target.image
    uname = linux.uname
    pages = sum(count for state, count in held.tally().items() if state is not PageState.ABSENT)
    facts = {fact.name: fact for fact in each_fact(linux)}
    rests = (f"{name}: {facts[name].evidence}" for name in ("symbols", "types", "stacks"))
    return [
        f"Linux {uname['release']} {uname.get('machine', '')}, {len(held.vcpus)} vcpus, {pages >> MIB_SHIFT} MiB,"
        f" KASLR {linux.shift:+#x}",
        "; ".join(rests),
    ]


def _tables(linux: "Linux") -> str:
    """Whose page tables show the kernel."""
    root = linux.space.root
    for vcpu in linux.target.image.vcpus:
        if vcpu.root == root:
            return f"the tables at {root:#x}, which vcpu {vcpu.id} ran on"
        if vcpu.root is not None and vcpu.root & ~PAGE_SIZE == root:
            return f"the tables at {root:#x}, the kernel's half of the pair that vcpu {vcpu.id} ran on"
    return f"the tables at {root:#x}, found in memory: no registers name them"


def _agreement(linux: "Linux") -> Iterator[Fact]:
    """What the image's VMCOREINFO note says, held against memory. Nothing else here rests on it."""
    values = parse(find_text(linux.target.image.notes))
    said = to_int(values.get("KERNELOFFSET"), 16)
    build = values.get("BUILD-ID", "")
    if said is None and not build:
        return
    wrong = []
    if said is not None and said != linux.shift:
        wrong.append(f"KERNELOFFSET={said:x}")
    if build and linux.build_id and build != linux.build_id.hex():
        wrong.append(f"BUILD-ID={build}")
    if wrong:
        yield Fact("VMCOREINFO", "is not believed", f"memory contradicts its {' and '.join(wrong)}")
    else:
        yield Fact("VMCOREINFO", "agrees", "held against what was found in memory")


def _types(linux: "Linux") -> Fact:
    if linux.file is not None:
        return fact_of(linux.file, linux.build_id)
    start, stop = linux.names.find("__start_BTF"), linux.names.find("__stop_BTF")
    if start and stop:
        also = " and the modules' own" if linux.names.find("btf_modules") else ""
        return Fact("types", f"{stop.value - start.value} bytes", f"BTF in memory{also}")
    why = linux.types.why
    return Fact("types", "none", why) if why else Fact("types", "BTF", "in memory, found by its header")


def _stacks(linux: "Linux") -> Fact:
    marks = linux.names.find("__start_orc_unwind_ip"), linux.names.find("__stop_orc_unwind_ip")
    if marks[0] and marks[1]:
        return Fact("stacks", f"{(marks[1].value - marks[0].value) // 4} entries", "ORC in memory")
    return Fact("stacks", "no ORC", "frame pointers, or a scan marked ?")
