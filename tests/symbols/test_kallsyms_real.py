"""kallsyms found in real images against the guest's own /proc/kallsyms."""

import gzip

import pytest

from formats import open_image
from vmdebug.symbols.kallsyms import find_kallsyms
from vmdebug.targets.target import Target

# Where the read-only data of each kernel lies; the kernel's own mappings say so.
IMAGES = {
    "linux-mini.elf.core": ("linux-mini", "kallsyms.txt.gz"),
    "linux-72.elf.core": ("linux-72", "kallsyms.txt.gz"),
    "xen-pv.core": ("xen-pv", "pv.kallsyms.gz"),
    "xen-pvh.core": ("xen-pvh", "pvh.kallsyms.gz"),
}


def said_by_the_guest(path):
    lines = [line.split() for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    return [(int(address, 16), letter, name) for address, letter, name, *module in lines if not module]


@pytest.fixture(scope="module", params=IMAGES)
def pair(request, real, truth):
    folder, name = IMAGES[request.param]
    target = Target(open_image(real(request.param)))
    said = said_by_the_guest(truth(folder) / name)
    at = {name: address for address, _, name in said}
    start, end = at["__start_rodata"], at["__end_rodata"]
    return find_kallsyms(start, target.read(start, end - start), at["_stext"]), said


def test_every_record_is_a_line_of_proc_kallsyms(pair):
    found, said = pair

    texts = [text.decode() for text in found.names.each()]

    assert [(found.address(i), text[0], text[1:]) for i, text in enumerate(texts)] == said


def test_names_are_found_without_decoding_all(pair):
    found, said = pair
    by_name = {}
    for number, (_, _, name) in enumerate(said):
        by_name.setdefault(name, []).append(number)
    wanted = [said[at][2] for at in range(0, len(said), 997)]

    assert {name: found.numbers(name) for name in wanted} == {name: by_name[name] for name in wanted}
    assert found.numbers("no_such_symbol") == []


def test_an_address_leads_to_every_name_it_has(pair):
    found, said = pair
    by_address = {}
    for number, (address, _, _) in enumerate(said):
        by_address.setdefault(address, []).append(number)

    for at in range(0, len(said), 997):
        address = said[at][0]
        assert list(found.below(address)) == by_address[address]
        assert found.text(at) == (said[at][1], said[at][2])


def test_all_at_once_are_the_same_as_one_by_one(pair):
    found, said = pair

    every = list(found.each())

    assert [(address, letter, name) for letter, name, address, _ in every] == said
    for at in range(0, len(said), 997):
        assert every[at][3] == found.size(at)
