"""The rings that a real Xen guest shares with dom0, against the store and the guest's own output."""

import re
import struct

import pytest

from formats import open_image
from vmdebug.errors import ReadFailed
from vmdebug.guests.linux import find
from vmdebug.guests.linux.xenrings import (
    HEADER,
    MAX_PAYLOAD,
    BadIndices,
    NoRing,
    Ring,
    each_console,
    each_message,
    store_rings,
)
from vmdebug.targets.target import Target

READ, DIRECTORY, WATCH_EVENT = 2, 1, 15


def guest(real, name):
    return find(Target(open_image(real(name))))


def message(kind, request, text):
    return struct.pack("<4I", kind, request, 0, len(text)) + text


def ring(written, waiting=0, start=0):
    """A ring into which those bytes were written, from the index `start` on."""
    data = bytearray(1024)
    for number, byte in enumerate(written):
        data[(start + number) % 1024] = byte
    produced = start + len(written)
    return Ring("requests", 0x1000, bytes(data), produced - waiting & 0xFFFFFFFF, produced & 0xFFFFFFFF)


def test_what_was_read_last_is_what_the_store_held(real, truth):
    store = dict(re.findall(r'^(\S+) = "(.*)"$', (truth("xen-pv") / "xenstore.txt").read_text(), re.M))
    requests, replies = (list(each_message(each)) for each in store_rings(guest(real, "xen-pv.core")))
    answers = {each.request: each.payload.decode() for each in replies if each.type == "read"}
    asked = {each.request: each.payload.decode().rstrip("\0") for each in requests if each.type == "read"}

    last = {number: (path, answers[number]) for number, path in asked.items() if path.startswith("/")}

    assert last == {136: ("/local/domain/0/backend/vif/1/0/state", store["/local/domain/0/backend/vif/1/0/state"])}
    written = [each.payload.decode().split("\0") for each in requests if each.type == "write"]
    assert [store[f"/local/domain/1/{path}"] for path, _ in written] == [value for _, value in written] == ["4"]
    assert not any(each.waits for each in requests + replies)


def test_every_request_that_is_still_there_has_its_reply(real):
    requests, replies = (list(each_message(each)) for each in store_rings(guest(real, "xen-pv.core")))
    answered = {each.request: each.type for each in replies if each.type != "watch_event"}

    assert [each.request for each in requests] == list(range(115, 137))
    assert {each.request: each.type for each in requests}.items() <= answered.items()


def test_directories_that_are_asked_for_are_empty_as_in_the_store(real, truth):
    store = re.findall(r"^/local/domain/1/(\S+) = ", (truth("xen-pv") / "xenstore.txt").read_text(), re.M)
    requests, replies = (list(each_message(each)) for each in store_rings(guest(real, "xen-pv.core")))
    answers = {each.request: each.payload for each in replies if each.type == "directory"}

    asked = {each.request: each.payload.decode().rstrip("\0") for each in requests if each.type == "directory"}

    assert len(asked) > 10
    for number, path in asked.items():
        assert path in store
        assert answers[number] == b"", path
        assert not any(each.startswith(f"{path}/") for each in store)


def test_the_consoles_tail_is_what_the_guest_printed_last(real):
    ((typed, written),) = each_console(guest(real, "xen-pv.core"))

    assert len(written.history) == 2048
    assert written.history.endswith(b"comm=kworker/u4:0-events_unbound\r\n=====READY\r\n")
    assert written.waiting == typed.waiting == 0
    assert typed.history == b""


def test_an_auto_translated_dump_lacks_the_pages(real):
    linux = guest(real, "xen-pvh.core")

    with pytest.raises(ReadFailed, match="page is not in the dump"):
        store_rings(linux)
    with pytest.raises(ReadFailed, match="page is not in the dump"):
        list(each_console(linux))


def test_a_guest_of_another_hypervisor_has_no_ring(real):
    with pytest.raises(NoRing, match="xen_store_interface"):
        store_rings(guest(real, "linux-mini.elf.core"))
    with pytest.raises(NoRing, match="xenconsoles"):
        list(each_console(guest(real, "linux-mini.elf.core")))


@pytest.mark.parametrize("start", [0, 1000, (1 << 32) - 20])
def test_messages_are_found_wherever_the_ring_turns(start):
    sent = [message(READ, number, b"a/path/%d\0" % number) for number in range(1, 90)]

    found = list(each_message(ring(b"".join(sent), waiting=30, start=start)))

    whole = 0
    while sum(map(len, sent[whole:])) > 1024:
        whole += 1
    assert [message(READ, each.request, each.payload) for each in found] == sent[whole:]
    assert found[-1].request == 89
    assert [each.waits for each in found][-2:] == [True, True]
    assert not found[-3].waits


def test_a_message_that_is_not_all_written_is_shown_as_far_as_it_goes():
    sent = message(DIRECTORY, 1, b"x\0") + message(READ, 2, b"half of a path\0")[:-6]

    found = list(each_message(ring(sent)))

    assert [(each.type, each.payload) for each in found] == [("directory", b"x\0"), ("read", b"half of a")]
    assert found[1].length == 15


def test_indices_that_the_other_side_spoilt_are_refused():
    spoilt = Ring("replies", 0x1400, bytes(1024), 5000, 1000)

    with pytest.raises(BadIndices, match=r"0xfffff060 bytes from 0x1388 to 0x3e8 are more than its 0x400"):
        list(each_message(spoilt))


@pytest.mark.parametrize(
    "data", [b"\xff" * 1024, bytes(1024), b"\0\0\0\x01" * 256, HEADER.pack(2, 0, 0, MAX_PAYLOAD) * 64]
)
def test_any_bytes_end_in_messages_within_the_ring(data):
    found = list(each_message(Ring("requests", 0x1000, data, 1024, 1024)))

    assert all(0x1000 <= each.address < 0x1400 and len(each.payload) <= 1024 for each in found)
    assert len(found) <= 64
