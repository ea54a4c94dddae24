"""Network interfaces of real guests against what ifconfig printed in them."""

import re

import pytest

from formats import open_image
from vmdebug.guests.linux import find
from vmdebug.guests.linux.net import each_interface, each_namespace, read_interface
from vmdebug.targets.target import Target

SAID = {
    "linux-mini.elf.core": ("linux-mini", "truth.txt", 1),
    "linux-72.elf.core": ("linux-72", "truth.txt", 1),
    "linux-crash.kdump-d31-zlib": ("linux-crash", "truth.txt", 1),
    "xen-pv.core": ("xen-pv", "pv.truth.txt", 2),
    "xen-pvh.core": ("xen-pvh", "pvh.truth.txt", 2),
}
BLOCK = re.compile(r"^(\S+) +Link encap:.*?(?=^\S|\Z)", re.M | re.S)


def said_by(text):
    """name: (flags, mtu, mac, IPv4 address, IPv6 addresses), of one section of ifconfig's."""
    found = {}
    section = text.split("=====TRUTH-SECTION ifconfig\n")[1].split("=====TRUTH-SECTION")[0]
    for match in BLOCK.finditer(section):
        told = match[0]
        flags, mtu = re.search(r"^ +(UP .*?) +MTU:(\d+)", told, re.M).groups()
        mac = re.search(r"HWaddr (\S+)", told)
        found[match[1]] = (
            set(flags.lower().split()),
            int(mtu),
            mac[1].lower() if mac else "",
            re.findall(r"inet addr:(\S+)", told),
            set(re.findall(r"inet6 addr: (\S+)", told)),
        )
    return found


def interfaces(linux):
    return [
        read_interface(linux, namespace, device)
        for namespace in each_namespace(linux)
        for device in each_interface(linux, namespace)
    ]


@pytest.mark.parametrize("name", SAID)
def test_interfaces_are_those_of_ifconfig(name, real, truth):
    folder, file, queues = SAID[name]
    said = said_by((truth(folder) / file).read_text())

    found = {each.name: each for each in interfaces(find(Target(open_image(real(name)))))}

    assert {
        name: (
            set(each.flags) - {"lower_up"},
            each.mtu,
            each.mac,
            [address.split("/")[0] for address in each.inet],
            set(each.inet6),
        )
        for name, each in found.items()
    } == said
    assert list(said) == ["eth0", "lo"]
    assert [len(found["eth0"].transmit), found["eth0"].receive_queues] == [queues, queues]
    assert not any(each.problems or any(queue.stopped for queue in each.transmit) for each in found.values())


@pytest.mark.parametrize("name", ["linux-mini.elf.core", "linux-72.elf.core"])
def test_a_list_of_addresses_that_bites_itself_keeps_the_rest(name, real, monkeypatch):
    linux = find(Target(open_image(real(name))))
    ethernet = next(each for each in interfaces(linux) if each.name == "eth0")
    device = linux.objects.at("struct net_device", ethernet.address)
    first = int(device["ip6_ptr"]["addr_list.next"])
    del linux.objects
    read = linux.space.read

    def patched(vaddr, size):
        if vaddr == first and size == 8:
            return (first ^ 0x8000_0000_0000_0000).to_bytes(8, "little")
        return read(vaddr, size)

    monkeypatch.setattr(linux.space, "read", patched)

    found = next(each for each in interfaces(linux) if each.name == "eth0")

    assert (found.inet, found.mac, len(found.inet6)) == (ethernet.inet, ethernet.mac, 1)
    assert found.problems[0].startswith("IPv6 addresses end here: ")
