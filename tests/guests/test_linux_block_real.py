"""Disks of real guests against what the guests and their configurations said; requests in flight, written in."""

import pytest

from formats import open_image
from vmdebug.guests.linux import find
from vmdebug.guests.linux.block import Disks
from vmdebug.guests.linux.virtio import each_device, each_queue
from vmdebug.guests.linux.vring import Queues
from vmdebug.targets.target import Target

SAID = {
    "linux-mini.elf.core": ("linux-mini", "truth.txt", ("vda", 131072, "virtio_blk")),
    "linux-72.elf.core": ("linux-72", "truth.txt", ("vda", 131072, "virtio_blk")),
    "linux-crash.kdump-d31-zlib": ("linux-crash", "truth.txt", ("vda", 131072, "virtio_blk")),
    "xen-pv.core": ("xen-pv", "pv.truth.txt", ("xvda", 32768, "vbd")),
    "xen-pvh.core": ("xen-pvh", "pvh.truth.txt", ("xvda", 32768, "vbd")),
}
VIRTIO = [name for name in SAID if name.startswith("linux")]


def guest(real, name):
    return find(Target(open_image(real(name))))


@pytest.mark.parametrize("name", SAID)
def test_the_disk_is_the_one_of_diskstats(name, real, truth):
    """The guest went on after it had printed its counts."""
    folder, file, expected = SAID[name]
    text = (truth(folder) / file).read_text().split("=====TRUTH-SECTION diskstats\n")[1]
    major, minor, disk, reads, _, _, _, writes, *_ = text.splitlines()[0].split()
    linux = guest(real, name)
    disks = Disks(linux)

    (found,) = map(disks.read, disks.each())

    assert (found.name, found.sectors, found.driver) == expected
    assert (found.major, found.minor, found.name) == (int(major), int(minor), disk)
    assert found.reads in range(int(reads), int(reads) + 4)
    assert found.writes >= int(writes)
    assert found.hardware_queues == 2


@pytest.mark.parametrize("name", SAID)
def test_nothing_was_in_flight_when_the_guests_were_stopped(name, real):
    disks = Disks(guest(real, name))

    assert [list(disks.each_request(disk)) for disk in disks.each()] == [[]]


@pytest.mark.parametrize("name", VIRTIO)
def test_the_device_gave_back_what_was_read_and_written(name, real):
    """Flushes come on top: several that are asked for may be one to the device."""
    linux = guest(real, name)
    (disk,) = map(Disks(linux).read, Disks(linux).each())
    (whole,) = (each["part0"] for each in Disks(linux).each())
    counts = [linux.objects.at("struct disk_stats", linux.per_cpu.moved(int(whole["bd_stats"]), cpu)) for cpu in (0, 1)]
    device = next(each for each in each_device(linux) if int(each["id.device"]) == 2)

    given_back = sum(Queues(linux).read(address).progress.used for address in each_queue(linux, device))

    assert disk.reads + disk.writes < given_back <= sum(sum(each["ios"]) for each in counts)


@pytest.mark.parametrize("name", SAID)
def test_a_request_that_is_marked_in_flight_is_found(name, real, monkeypatch):
    """A tag of each queue is given back the state that it had while the driver worked at it."""
    linux = guest(real, name)
    disks = Disks(linux)
    (disk,) = disks.each()
    queue = disk["queue"].deref()
    marked, expected = set(), []
    for address in disks._each_hardware_queue(queue):
        hardware = linux.objects.at("struct blk_mq_hw_ctx", address)
        tags = linux.objects.array("unsigned long", int(hardware["tags"]["rqs"]), int(hardware["tags"]["nr_tags"]))
        number, place = next((tag, each) for tag, each in enumerate(tags) if each)
        request = linux.objects.at("struct request", place)
        if int(request["tag"]) == number:
            marked.add(place + linux.objects.offsetof("struct request", "state"))
            sector, size = int(request["__sector"]), int(request["__data_len"])
            expected.append((place, int(hardware["queue_num"]), number, sector, size))
    del linux.objects
    read = linux.space.read

    def patched(vaddr, size):
        data = bytearray(read(vaddr, size))
        for place in marked:
            if vaddr <= place < vaddr + size:
                data[place - vaddr] = 1
        return bytes(data)

    monkeypatch.setattr(linux.space, "read", patched)
    disks = Disks(linux)

    found = [each for disk in disks.each() for each in disks.each_request(disk)]

    assert [(each.address, each.queue, each.tag, each.sector, each.size) for each in found] == expected
    assert expected
