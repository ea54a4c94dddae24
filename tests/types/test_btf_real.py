"""BTF found in a real kernel's memory against sizes and offsets that DWARF gives of the same kernel."""

import hashlib
import json
import re

import pytest

from formats import open_image
from vmdebug.guests.linux import find
from vmdebug.targets.target import Target
from vmdebug.types.btf import Btf
from vmdebug.types.btf_source import BtfTypes


@pytest.fixture(scope="module")
def types(real):
    linux = find(Target(open_image(real("linux-mini.elf.core"))))
    start, stop = linux.address("__start_BTF"), linux.address("__stop_BTF")
    return BtfTypes(Btf("vmlinux", linux.space.read(start, stop - start)), lambda _: {}, {})


def named(types, name):
    return types.find(f"struct {name}" if types.knows(f"struct {name}") else name)


def test_every_structure_has_the_size_and_offsets_of_dwarf(types, truth):
    said = json.loads((truth("linux-mini") / "structs-6.1.json").read_text())
    structures = {name: facts for name, facts in said.items() if facts and "size" in facts}
    members = {name: [m for m in facts["members"] if m["name"]] for name, facts in structures.items()}

    sizes = {name: named(types, name).size for name in structures}
    places = {
        name: [
            (m["name"], named(types, name).find(m["name"]).start, named(types, name).find(m["name"]).bits)
            for m in listed
        ]
        for name, listed in members.items()
    }

    assert sizes == {name: facts["size"] for name, facts in structures.items()}
    assert places == {
        name: [(m["name"], m["bit_offset"], m["bit_field_size"]) for m in listed] for name, listed in members.items()
    }
    assert sum(map(len, members.values())) > 800


@pytest.mark.parametrize(
    ("image", "folder", "text"),
    [
        ("linux-mini.elf.core", "linux-mini", "truth.txt"),
        ("linux-72.elf.core", "linux-72", "truth.txt"),
        ("xen-pv.core", "xen-pv", "pv.truth.txt"),
    ],
)
def test_the_types_of_the_kernel_and_of_every_module_are_the_guests_own_files(image, folder, text, real, truth):
    said = (truth(folder) / text).read_text().split("=====TRUTH-SECTION btf\n")[1].split("=====TRUTH-SECTION")[0]
    sizes = {name: int(size) for size, name in re.findall(r"^-r\S+ +\d+ \d+ +\d+ +(\d+) .* (\S+)$", said, re.M)}
    digest = re.search(r"^(\w{64})  /sys/kernel/btf/vmlinux$", said, re.M)[1]
    linux = find(Target(open_image(real(image))))
    start, stop = linux.address("__start_BTF"), linux.address("__stop_BTF")

    found = {name: len(read()) for name, read in linux.types.modules.items()}

    assert found | {"vmlinux": stop - start} == sizes
    assert hashlib.sha256(linux.space.read(start, stop - start)).hexdigest() == digest
    assert all(linux.types.loads(name) for name in found)
