"""Devices and grants of real Xen guests against what the guest and its hypervisor said."""

import re

import pytest

from formats import open_image
from vmdebug.guests.linux import find
from vmdebug.guests.linux.grants import Grants, NoGrants
from vmdebug.guests.linux.xenbus import each_device, read_device
from vmdebug.targets.target import Target

GUESTS = ("xen-pv", "xen-pvh")
DEVICE = re.compile(r"^/sys/bus/xen/devices/(\S+) (\S+) (\S+)$", re.M)
GRANT = re.compile(r"^\(XEN\) \[0x([0-9a-f]+)\]\s+\d+ 0x\w+ 0x\w+\s+(\d+) 0x([0-9a-f]+) 0x", re.M)


def guest(real, name):
    return find(Target(open_image(real(name if "." in name else f"{name}.core"))))


def granted(truth, name):
    """reference: (domain, frame), of every grant that is mapped, as the hypervisor printed its table."""
    text = (truth(name) / "debugkey-g.txt").read_text().split("grant-table for remote d1")[1]
    return {int(ref, 16): (int(domain), int(frame, 16)) for ref, domain, frame in GRANT.findall(text)}


@pytest.mark.parametrize("name", GUESTS)
def test_xenbus_devices_are_those_of_sysfs_and_of_the_store(name, real, truth):
    said = (truth(name) / f"{name.removeprefix('xen-')}.truth.txt").read_text()
    store = dict(re.findall(r'^(\S+) = "(.*)"$', (truth(name) / "xenstore.txt").read_text(), re.M))

    found = [read_device(side, device) for side, device in each_device(guest(real, name))]

    assert sorted((each.name, each.node, each.state) for each in found) == sorted(
        (device, node, state.lower()) for device, node, state in DEVICE.findall(said)
    )
    for each in found:
        home = next(path for path in store if path.endswith(f"/{each.node}"))
        assert (each.otherend, each.domain) == (store[f"{home}/backend"], int(store[f"{home}/backend-id"]))
        assert (each.side, each.driver, each.type) == ("frontend", each.type, each.node.split("/")[1])


def test_an_auto_translated_guests_grants_are_the_hypervisors(real, truth):
    """dom0 went on: it had mapped more when the hypervisor printed the table than when the domain was dumped."""
    said = granted(truth, "xen-pvh")
    found = {each.reference: each for each in Grants(guest(real, "xen-pvh")).each()}
    mapped = {number for number, each in found.items() if each.mapped}

    assert {number: (found[number].domain, found[number].frame) for number in said} == said
    assert len(said) == 800
    assert {0, 1, 8, 9, 0x40B, 0x40C, 0x40D, 0x40E} <= mapped <= set(said)


def test_of_a_paravirtualised_guest_the_references_in_use_are_known_and_no_more(real, truth):
    linux = guest(real, "xen-pv")
    table = Grants(linux)
    said = granted(truth, "xen-pv")
    free = linux.space.read(linux.address("gnttab_free_count"), 4)

    found = list(table.each())

    assert len(said) == 410
    assert {each.reference for each in found} >= set(said)
    assert len(table.free) == int.from_bytes(free, "little")
    assert len(found) + len(table.free) == table.size == 3 * 512
    assert {each.frame for each in found} == {None}
    assert "machine frame" in table.missing


def test_the_chain_of_free_references_says_what_the_bitmap_says(real, monkeypatch):
    table, chained = Grants(guest(real, "xen-pvh")), Grants(guest(real, "xen-pvh"))
    find_name = type(chained._linux.names).find

    monkeypatch.setattr(
        type(chained._linux.names),
        "find",
        lambda names, name: (
            None if name == "gnttab_free_bitmap" and names is chained._linux.names else find_name(names, name)
        ),
    )

    assert chained.free == table.free
    assert len(table.free) == 218


def test_a_guest_of_another_hypervisor_grants_nothing(real):
    with pytest.raises(NoGrants, match="does not run on Xen"):
        Grants(guest(real, "linux-72.elf.core"))
