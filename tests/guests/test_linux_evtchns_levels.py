"""Event channels by the two-level interface: a real guest's bindings, as if it used that."""

import pytest

from formats import open_image
from tests.overlay import Overlay
from vmdebug.guests.linux import find
from vmdebug.guests.linux.xen import EventChannels
from vmdebug.targets.target import Target

PENDING_AT, MASK_AT, SIZE = 2048, 2560, 4096


def bitmap(ports):
    return sum(1 << port for port in ports).to_bytes(512, "little")


def two_level(linux, monkeypatch):
    """Let the kernel use the operations of the two-level interface."""
    overlay = Overlay(linux, monkeypatch)
    overlay.changes[linux.address("evtchn_ops")] = linux.address("evtchn_ops_2l").to_bytes(8, "little")
    return overlay


@pytest.mark.parametrize("name", ["xen-pv.core", "xen-pvh.core"])
def test_bits_are_those_of_shared_info(name, real, monkeypatch):
    linux = find(Target(open_image(real(name))))
    bound = {each.port for each in EventChannels(linux).each()}
    pending, masked = {1, 9, 17, 63, 64, 4095}, {2, 9, 16, 65}
    page = bytearray(SIZE)
    page[PENDING_AT:MASK_AT], page[MASK_AT : MASK_AT + 512] = bitmap(pending), bitmap(masked)
    overlay = two_level(linux, monkeypatch)
    if getattr(linux.target.image, "shared_info", b""):
        monkeypatch.setattr(linux.target.image, "shared_info", bytes(page))
    else:
        place = int.from_bytes(linux.space.read(linux.address("HYPERVISOR_shared_info"), 8), "little")
        overlay.changes[place] = bytes(page)

    channels = EventChannels(linux)
    found = list(channels.each())

    assert channels.interface == "2-level"
    assert {each.port for each in found if each.pending} == pending & bound == {1, 9, 17}
    assert {each.port for each in found if each.masked} == masked & bound == {2, 9, 16}
    assert all(each.pending is not None and each.masked is not None for each in found)


@pytest.mark.parametrize("port", [4096, 5000, 60_000])
def test_ports_that_the_page_has_no_bits_for_have_none(port, real, monkeypatch):
    linux = find(Target(open_image(real("xen-pv.core"))))
    first = next(EventChannels(linux).each())
    overlay = two_level(linux, monkeypatch)
    del linux.objects
    offset = linux.objects.offsetof(EventChannels(linux)._info_type, "evtchn")
    size = EventChannels(linux)._info_type.find("evtchn").type.size
    overlay.changes[first.info + offset] = port.to_bytes(size, "little")

    found = {each.port: (each.pending, each.masked) for each in EventChannels(linux).each()}

    assert found[port] == (None, None)
    assert all(bits != (None, None) for each, bits in found.items() if each != port)
