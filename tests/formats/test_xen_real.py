"""Real `xl dump-core` files against what the hypervisor's own tools printed at the same pause."""

import gzip
import re

import pytest

from formats import open_image
from formats.image import PageState, Run

NAMES = {"flags": "rflags", "eflags": "rflags"} | {
    f"e{name}": f"r{name}" for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "ip")
}


def xenctx_registers(path):
    """Every `name: value` of each vcpu, by the 64-bit names."""
    vcpus = []
    for line in path.read_text().splitlines():
        if re.fullmatch(r"vcpu\d+:", line):
            vcpus.append({})
        elif line.startswith("Code"):
            vcpus[-1]["end"] = True
        elif vcpus and "end" not in vcpus[-1]:
            vcpus[-1].update(registers_in(line))
    return [{name: value for name, value in vcpu.items() if name != "end"} for vcpu in vcpus]


def registers_in(line):
    if pair := re.match(r"(cs:eip|ss:esp): (\w+):(\w+)", line.strip()):
        selector, pointer = pair[1].split(":")
        return {selector: int(pair[2], 16), NAMES[pointer]: int(pair[3], 16)}
    found = {NAMES.get(name, name): int(value, 16) for name, value in re.findall(r"(\w+): ([0-9a-f]+)", line)}
    if base := re.match(r"\s*(fs|gs): \w+ @ (\w+)(?:/(\w+)/)?", line):
        found[f"{base[1]}_base"] = int(base[2], 16)
        if base[3]:
            found["kernel_gs_base"] = int(base[3], 16)
    return found


@pytest.mark.parametrize("name", ["xen-pv", "xen-pv32-mini", "xen-pvh"])
def test_every_register_is_what_xenctx_printed(name, real, truth):
    image = open_image(real(f"{name}.core"))
    printed = xenctx_registers(truth(name) / "xenctx.txt")

    pairs = zip(image.vcpus, printed, strict=True)
    read = [{register: vcpu.registers[register] for register in said} for vcpu, said in pairs]

    assert read == printed
    assert all(len(said) > 20 for said in printed)


def p2m_of(folder):
    packed, plain = folder / "mfndump-p2m.txt.gz", folder / "mfndump-p2m.txt"
    text = gzip.decompress(packed.read_bytes()).decode() if packed.exists() else plain.read_text()
    return {int(pfn, 16): int(mfn, 16) for pfn, mfn in re.findall(r"pfn=0x(\w+) ==> mfn=0x(\w+) ", text)}


@pytest.mark.parametrize(("name", "pages"), [("xen-pv", 32768), ("xen-pv32-mini", 8192)])
def test_every_p2m_entry_is_what_mfndump_printed(name, pages, real, truth):
    image = open_image(real(f"{name}.core"))
    printed = p2m_of(truth(name))

    assert {pfn: image.mfn_of(pfn) for pfn in printed} == printed
    assert {image.pfn_of(mfn): mfn for mfn in printed.values()} == printed
    assert len(printed) == pages


def test_a_pvh_dump_has_its_holes_and_no_unused_slots(real):
    image = open_image(real("xen-pvh.core"))

    present = PageState.PRESENT
    assert list(image.runs()) == [Run(0, 0xA0, present), Run(0xC0, 0x7F40, present), Run(0xFFFC, 4, present)]
    assert image.state(0xA0) is PageState.ABSENT
