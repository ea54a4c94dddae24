"""A real hypervisor in an image of its machine, against what another program read of the same dump."""

import gzip
import io
import re

import pytest

from dcmds.xen_domains import DomainRow
from formats import open_image
from formats.image import Fact
from vmdebug.guests import find_guest
from vmdebug.guests.xen.hypervisor import UNNAMED
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.symbols.file import SymbolFile
from vmdebug.targets.target import Target

DOMAIN = re.compile(r"^domain id=(\d+) struct=(\w+) max_vcpus=(\d+) tot_pages=(\d+) max_pages=(\d+)")
VCPU = re.compile(r"^  vcpu (\d+) struct=(\w+) processor=(\d+) runstate=(\d+)")
TEXT = 0xFFFF_82D0_4020_0000


@pytest.fixture(scope="module")
def guest(real):
    return find_guest(Target(open_image(real("xen-host.core"))), SymbolFile(real("xen-host.xen-syms")))


@pytest.fixture(scope="module")
def session(guest):
    load_dcmds(pytest.fail)
    return Session(guest.target, guest, out=io.StringIO(), err=io.StringIO())


@pytest.fixture(scope="module")
def walked(truth):
    """What another program read: the domains, each with its vcpus."""
    domains = []
    for line in (truth("xen-host") / "structures-walk.txt").read_text().splitlines():
        if found := DOMAIN.match(line):
            number, address, _, total, most = found.groups()
            domains.append((int(number), int(address, 16), int(total), int(most), []))
        elif found := VCPU.match(line):
            number, address, processor, state = found.groups()
            domains[-1][4].append((int(number), int(address, 16), int(processor), int(state)))
    assert [len(vcpus) for *_, vcpus in domains] == [2, 2, 2, 3]
    return domains


def test_domain_shows_every_domain_as_another_program_read_it(session, guest, walked):
    at = guest.objects.at
    arrays = [[int(at("struct domain", address)[name]) for name in ("vcpu", "evtchn")] for _, address, *_ in walked]

    assert session.rows("::domain") == [
        DomainRow(address, number, total, most, None, 0, *array)
        for (number, address, total, most, _), array in zip(walked, arrays, strict=True)
    ]


def test_domain_of_an_address_shows_that_one(session, walked):
    _, address, *_ = walked[2]

    assert [row.id for row in session.rows(f"{address:x}::domain")] == [2]


def test_domain_prints_what_the_hypervisor_lacks_as_a_dash(guest):
    out = io.StringIO()

    Session(guest.target, guest, out=out).run("ffff830037cb0000::domain")

    assert out.getvalue().splitlines() == [
        "            ADDR  ID   TPAGES   MPAGES    FLAGS HVM             VCPU           EVTCHN",
        "ffff830037cb0000   0    14000    14000        -   0 ffff830037dfafd0 ffff830037d8e000",
    ]


def test_the_walker_domain_goes_on_from_a_domain(session, walked):
    addresses = [address for _, address, *_ in walked]

    assert [row.address for row in session.rows("::walk domain")] == addresses
    assert [row.address for row in session.rows(f"{addresses[2]:x}::walk domain")] == addresses[2:]


def test_the_walker_vcpu_gives_the_vcpus_of_a_domain_and_of_the_first_by_default(session, walked):
    for _, address, *_, vcpus in walked:
        assert [row.address for row in session.rows(f"{address:x}::walk vcpu")] == [vcpu for _, vcpu, *_ in vcpus]
    assert [row.address for row in session.rows("::walk vcpu")] == [vcpu for _, vcpu, *_ in walked[0][4]]


def test_a_vcpu_is_printed_by_its_type(guest, walked):
    vcpus = [guest.objects.at("struct vcpu", vcpu) for *_, vcpus in walked for _, vcpu, *_ in vcpus]

    assert [(found.vcpu_id, found.address_, found.processor, found.runstate.state) for found in vcpus] == [
        vcpu for *_, vcpus in walked for vcpu in vcpus
    ]


def test_the_evidence_names_the_place_and_the_file(guest, real, truth):
    names = gzip.decompress((truth("xen-host") / "xen-nm.txt.gz").read_bytes()).decode().splitlines()
    path = real("xen-host.xen-syms")

    assert guest.evidence == [
        Fact("guest", "xen", f"a multiboot image at {TEXT:#x}, in machine memory from 0x37800000 on"),
        Fact("symbols", str(len(guest.symbols.main.all)), str(path)),
        Fact("types", "DWARF", f"{path}, build 63f3faae463fbf6cf42fb65efda9dd6cc6d805e6, as the kernel"),
    ]
    assert {line.split()[2] for line in names} <= {symbol.name for symbol in guest.symbols.main.all}
    assert guest.cautions() == []


def test_without_a_file_the_hypervisor_is_known_and_its_names_are_asked_for(real):
    guest = find_guest(Target(open_image(real("xen-host.core"))))
    err = io.StringIO()

    Session(guest.target, guest, out=io.StringIO(), err=err).run("::domain; domain_list/K")

    why = f"there are no symbols: {UNNAMED}"
    assert (guest.kind, guest.evidence[0].name) == ("xen", "guest")
    assert err.getvalue().splitlines() == [
        f"vmdebug: can't find symbol 'dom0' ({why})",
        f"vmdebug: failed to dereference symbol: unknown symbol name ({why})",
    ]
