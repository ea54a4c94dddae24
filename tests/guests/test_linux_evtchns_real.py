"""Event channels of real Xen guests against the hypervisor's own table of the same pause."""

import re

import pytest

from formats import open_image
from vmdebug.guests.linux import find
from vmdebug.guests.linux.xen import EventChannels
from vmdebug.targets.target import Target

STATES = {"3": "evtchn", "4": "pirq", "5": "virq", "6": "ipi"}
LINE = re.compile(r"^\(XEN\)\s+(\d+) \[(\d)/(\d)/.*?\]: s=(\d) n=(\d+)", re.M)


@pytest.fixture(params=["xen-pv", "xen-pvh"])
def case(request, real, truth):
    text = (truth(request.param) / "debugkey-e.txt").read_text()
    said = re.search(r"information for domain [1-9].*?:\n(.*?)(?=\(XEN\) Event channel information|\Z)", text, re.S)[1]
    return find(Target(open_image(real(f"{request.param}.core")))), LINE.findall(said)


def test_every_channel_is_bound_as_the_hypervisor_says(case):
    linux, said = case
    found = {each.port: (each.type, each.cpu) for each in EventChannels(linux).each()}

    assert found == {int(port): (STATES[state], int(vcpu)) for port, _, _, state, vcpu in said}
    assert len(found) > 15


def test_masked_bits_are_the_hypervisors_and_nothing_pending_is_lost(case):
    """A packet that dom0 sends to a domain while it is paused makes another channel pending."""
    linux, said = case
    channels = list(EventChannels(linux).each())
    pending = {int(port) for port, bit, *_ in said if bit == "1"}

    assert {each.port: each.masked for each in channels} == {int(port): masked == "1" for port, _, masked, *_ in said}
    assert {each.port for each in channels if each.pending} >= pending
    assert {each.detail for each in channels if each.pending and each.port not in pending} <= {""}
    assert EventChannels(linux).interface == "fifo"


def test_pending_bits_are_the_hypervisors_of_the_same_pause(real, truth):
    linux = find(Target(open_image(real("xen-pv.core"))))
    text = (truth("xen-pv") / "debugkey-e.txt").read_text().split("information for domain 1")[1]

    found = {each.port: each.pending for each in EventChannels(linux).each()}

    assert found == {int(port): pending == "1" for port, pending, *_ in LINE.findall(text)}
