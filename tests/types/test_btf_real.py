"""BTF found in a real kernel's memory against sizes and offsets that DWARF gives of the same kernel."""

import json

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
    return BtfTypes(Btf("vmlinux", linux.space.read(start, stop - start)), {}, {})


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
