"""The kernel's log, as its buffer still holds it.

Since 5.10 a ring of descriptors and a ring of text: ids count on for ever, a descriptor is good if it holds the id that
its slot should have. Before, one ring of records of varying length, and before 3.5 one of lines. Layouts come from the
kernel's types, or, where it has none, from VMCOREINFO.
"""

import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.types.model import Aggregate
from vmdebug.types.typed import Objects

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

STATE_BITS = 2  # the topmost of a word whose others are the id
COMMITTED, FINALIZED = 1, 2
NO_DATA = 1  # an odd position means that a record has no text
MAX_BITS = 32
MAX_TEXT = 1 << 16
FROM_CPU = 1 << 31
LINE = re.compile(rb"(?:<(?P<priority>\d{1,4})>)?(?:\[ *(?P<seconds>\d{1,10})\.(?P<micros>\d{6})\] )?(?P<text>.*)")
OLD_RECORD = struct.Struct("<QHHHBB")  # time, length, text length, dictionary length, facility, flags and level


class NoLog(DebuggerError):
    """The kernel has no log buffer that can be read."""


@dataclass(frozen=True)
class Message:
    """One record. `time` is in nanoseconds since boot, `level` 0 (emergency) to 7 (debug)."""

    sequence: int
    time: int
    level: int
    facility: int
    text: str
    caller: str


def each_message(linux: "Linux") -> Iterator[Message]:
    """Every record that is still in the buffer, the oldest first; NoLog if there is no buffer."""
    if linux.names.find("prb"):
        kind = "struct printk_ringbuffer"
        objects = linux.objects if linux.types.knows(kind) else Objects(linux.core_info.types, linux.space.read)
        return _each_of_ring(linux, objects.at(kind, linux.read_word("prb")))
    if linux.names.find("log_buf") and linux.names.find("log_first_idx"):
        return _each_of_buffer(linux)
    if linux.names.find("log_buf") and linux.names.find("log_end"):
        return _each_of_text(linux)
    raise NoLog("the kernel has neither a ring of records (prb) nor a log buffer with an index (log_buf)")


def _each_of_ring(linux: "Linux", ring: "Typed") -> Iterator[Message]:
    descriptors, text = ring["desc_ring"], ring["text_data_ring"]
    count_bits, size_bits = int(descriptors["count_bits"]), int(text["size_bits"])
    if not 0 < count_bits < MAX_BITS or not 0 < size_bits < MAX_BITS:
        raise NoLog(f"the log's rings of 2^{count_bits} records and 2^{size_bits} bytes make no sense")
    bits = 8 * linux.word - STATE_BITS
    ids = (1 << bits) - 1
    tail, head = int(descriptors["tail_id"]["counter"]), int(descriptors["head_id"]["counter"])
    for step in range(min((head - tail & ids) + 1, 1 << count_bits)):
        number = tail + step & ids
        slot = number & ((1 << count_bits) - 1)
        descriptor = descriptors["descs"][slot]
        state = int(descriptor["state_var"]["counter"]) % (1 << 8 * linux.word)
        if state & ids == number and state >> bits in (COMMITTED, FINALIZED):
            info = descriptors["infos"][slot]
            yield _message(info, _text(linux, text, descriptor["text_blk_lpos"], int(info["text_len"]), number))


def _text(linux: "Linux", ring: "Typed", place: "Typed", length: int, number: int) -> str:
    """The text of a record: after its id, at the ring's start if the block would pass its end."""
    begin, following = int(place["begin"]), int(place["next"])
    if begin & NO_DATA or following & NO_DATA:
        return ""
    size = 1 << int(ring["size_bits"])
    wraps = begin // size != (following - 1) // size
    at, head = 0 if wraps else begin % size, linux.word  # a block begins with its id
    room = (following - at if wraps else following - begin) % size - head
    block = linux.space.read(int(ring["data"]) + at, head + max(min(length, room, MAX_TEXT), 0))
    if int.from_bytes(block[:head], "little") != number:
        return ""
    return block[head:].decode("utf-8", "backslashreplace")


def _message(info: "Typed", text: str) -> Message:
    who = _who(int(info["caller_id"]) if "caller_id" in info else 0)
    return Message(int(info["seq"]), int(info["ts_nsec"]), int(info["level"]), int(info["facility"]), text, who)


def _who(caller: int) -> str:
    return f"C{caller & ~FROM_CPU}" if caller & FROM_CPU else f"T{caller}"


def _u32(linux: "Linux", name: str) -> int:
    return int.from_bytes(linux.space.read(linux.address(name), 4), "little")


def _each_of_buffer(linux: "Linux") -> Iterator[Message]:
    """Records behind one another; a length of 0 leads back to the start."""
    read = linux.space.read
    size, first, following = (_u32(linux, name) for name in ("log_buf_len", "log_first_idx", "log_next_idx"))
    if not 0 < size <= 1 << MAX_BITS or max(first, following) > size:
        raise NoLog(f"a log buffer of {size:#x} bytes from {first:#x} to {following:#x} makes no sense")
    data = read(linux.read_word("log_buf"), size)
    kind = "struct printk_log"
    layout = linux.types.find(kind) if linux.types.knows(kind) else None
    head = layout.size if layout else OLD_RECORD.size
    tells = isinstance(layout, Aggregate) and layout.has("caller_id")  # since 5.1, where that was configured
    caller_at = linux.objects.offsetof(kind, "caller_id") if tells else 0
    at = first
    for sequence in range(size // OLD_RECORD.size):
        if at == following:
            return
        time, length, text_length, _, facility, rest = OLD_RECORD.unpack(
            data[at : at + OLD_RECORD.size].ljust(16, b"\0")
        )
        if not length:
            at = 0
            continue
        start = at + head
        text = data[start : start + text_length].decode("utf-8", "backslashreplace")
        caller = int.from_bytes(data[at + caller_at : at + caller_at + 4], "little")
        yield Message(sequence, time, rest >> 5, facility, text, _who(caller) if caller_at else "")
        at += length


def _each_of_text(linux: "Linux") -> Iterator[Message]:
    """Lines behind one another, as kernels before 3.5 kept them; the first may lack its beginning."""
    size, end, written = (_u32(linux, name) for name in ("log_buf_len", "log_end", "logged_chars"))
    if not 0 < size <= 1 << MAX_BITS:
        raise NoLog(f"a log buffer of {size:#x} bytes makes no sense")
    data, kept = linux.space.read(linux.read_word("log_buf"), size), min(written, size)
    start = (end - kept) % size
    for sequence, line in enumerate((data[start:] + data[:start])[:kept].splitlines()):
        if found := LINE.match(line):
            priority, seconds, micros = (int(found[name] or 0) for name in ("priority", "seconds", "micros"))
            text = found["text"].decode("utf-8", "backslashreplace")
            time = seconds * 1_000_000_000 + micros * 1000
            yield Message(sequence, time, priority & 7, priority >> 3, text, "")
