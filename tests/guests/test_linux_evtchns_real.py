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


def test_pending_and_masked_bits_are_the_hypervisors(case):
    linux, said = case
    channels = EventChannels(linux)

    found = {each.port: (each.pending, each.masked) for each in channels.each()}

    assert found == {int(port): (pending == "1", masked == "1") for port, pending, masked, *_ in said}
    assert channels.interface == "fifo"
