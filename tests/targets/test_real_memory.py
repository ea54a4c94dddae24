"""Real dumps: memory through the dumped page tables against what other programs read there."""

import re

import pytest

from formats import open_image
from vmdebug.errors import NotMapped, NotOfDomain
from vmdebug.targets.target import Target


@pytest.fixture
def target(real):
    return lambda name: Target(open_image(real(f"{name}.core")))


def code_of(text):
    """Every vcpu's code bytes as xenctx printed them, with the address of the one in angle brackets."""
    for address, line in re.findall(r"Code \(instr addr (\w+)\)\n(.*)", text):
        cells = line.split()
        at = next(number for number, cell in enumerate(cells) if cell.startswith("<"))
        yield int(address, 16) - at, bytes.fromhex("".join(cells).replace("<", "").replace(">", ""))


def stack_of(text):
    """Every word that xenctx printed with its address."""
    symbols = re.findall(r"^(\w{16}):   \[<(\w{16})>\]", text, re.M)
    words = re.findall(r"^(\w{16}):     (\w{16})$", text, re.M)
    return {int(at, 16): int(word, 16) for at, word in (*symbols, *words)}


@pytest.mark.parametrize("name", ["xen-pv", "xen-pv32-mini", "xen-pvh"])
def test_code_around_each_vcpus_pc_is_what_xenctx_printed(name, target, truth):
    guest = target(name)
    printed = list(code_of((truth(name) / "xenctx.txt").read_text()))

    assert [guest.read(at, len(code)) for at, code in printed] == [code for _, code in printed]
    assert printed


@pytest.mark.parametrize("name", ["xen-pv", "xen-pvh"])
def test_every_stack_word_is_what_xenctx_printed(name, target, truth):
    guest = target(name)
    printed = stack_of((truth(name) / "xenctx.txt").read_text())

    assert {at: int.from_bytes(guest.read(at, 8), "little") for at in printed} == printed
    assert len(printed) > 40


def test_user_pages_of_every_known_process_lie_where_its_pagemap_said(target, truth):
    guest = target("xen-pv")
    text = (truth("xen-pv") / "pv.truth.txt").read_text()
    pages = re.findall(r"PAGEMAP .* what=(text|pattern) va=\w+ .*present=1 pa=0x(\w+) first16=(\w+)", text)

    read = [guest.read_physical(int(paddr, 16), 16).hex() for _, paddr, _ in pages]

    assert read == [first for *_, first in pages]
    assert len(pages) >= 15


def test_a_pae_guests_own_addresses_map_to_the_frames_it_printed(target, truth):
    guest = target("xen-pv32-mini")
    text = (truth("xen-pv32-mini") / "guest-mini32.log").read_text()
    vaddrs = {name: int(vaddr, 16) for name, vaddr in re.findall(r"^va (\w+) 0x(\w+)", text, re.M)}
    mfns = {name: int(mfn, 16) for name, mfn in re.findall(r"^mfn (\S+) 0x(\w+)", text, re.M)}

    assert {"lab_pattern": guest.translate(vaddrs["lab_pattern"]).gfn} == {"lab_pattern": mfns["lab_pattern"]}
    assert guest.translate(vaddrs["lab_pattern"] + 4096).gfn == mfns["lab_pattern+4096"]
    assert guest.translate(vaddrs["fll"]).gfn == mfns["fll"]
    assert guest.mode.name == "PAE"


def test_a_page_of_the_hypervisor_is_told_from_an_unmapped_one(target):
    guest = target("xen-pv32-mini")

    with pytest.raises(NotOfDomain, match="machine frame 0x2fbe6 is not one of this domain's"):
        guest.read(0xC010B000, 4)
    with pytest.raises(NotMapped, match="no mapping for address"):
        guest.read(0x1000, 4)
