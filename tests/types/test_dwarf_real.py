"""The DWARF of a real hypervisor against what another program read of it."""

import gzip
import json

import pytest

from formats import open_image
from vmdebug.guests import find_guest
from vmdebug.symbols.file import SymbolFile
from vmdebug.targets.target import Target
from vmdebug.types.dwarf import DwarfTypes
from vmdebug.types.dwarf_search import Sections
from vmdebug.types.paths import locate


@pytest.fixture(scope="module")
def types(real):
    return DwarfTypes("xen-syms", Sections(**SymbolFile(real("xen-host.xen-syms")).dwarf))


@pytest.fixture(scope="module")
def guest(real):
    return find_guest(Target(open_image(real("xen-host.core"))), SymbolFile(real("xen-host.xen-syms")))


def named(types, name):
    tags = ("struct ", "union ", "")
    return next(types.find(tag + name).resolve() for tag in tags if types.knows(tag + name))


def test_every_structure_of_the_hypervisor_lies_as_another_program_says(types, truth):
    said = json.loads((truth("xen-host") / "structs-4.17.json").read_text())

    sizes = {name: named(types, name).size for name in said}
    places = {(name, path): place(types, name, path) for name in said for path in said[name]["members"]}

    assert sizes == {name: facts["size"] for name, facts in said.items()}
    assert places == {(name, path): at for name, facts in said.items() for path, at in facts["members"].items()}
    assert (len(sizes), len(places)) == (41, 837)


def place(types, name, path):
    found = locate(named(types, name), path)
    if found.bits is not None:
        return {"bit": 8 * found.address + found.bit, "bits": found.bits}
    return found.address


def test_variables_of_the_hypervisor_have_types_and_lead_to_its_domains(guest):
    list_head = guest.symbols.find("domain_list")
    kind = guest.types.type_of_symbol(list_head)
    address, found = int.from_bytes(guest.target.read(list_head.value, 8), "little"), []
    domain = guest.types.find("struct domain")
    while address:
        found.append(word(guest, address, domain, "domain_id") & 0xFFFF)
        address = word(guest, address, domain, "next_in_list")

    assert (kind.spelled, kind.target, found) == ("struct domain *", domain, [0, 1, 2, 3])


def word(guest, address, kind, member):
    return int.from_bytes(guest.target.read(address + kind.find(member).offset // 8, 8), "little")


def test_most_variables_of_the_hypervisor_have_types(guest, truth):
    lines = gzip.decompress((truth("xen-host") / "xen-nm.txt.gz").read_bytes()).decode().splitlines()
    names = [line.split()[2] for line in lines if line.split()[1] in "BD"][::40]

    typed = [name for name in names if guest.types.type_of_symbol(guest.symbols.find(name))]

    assert len(typed) > 0.9 * len(names) > 10
