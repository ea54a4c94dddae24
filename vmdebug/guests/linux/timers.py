"""Timers that are armed: those of the timer wheel, in jiffies, and high-resolution ones, in nanoseconds of their clock.

Each processor has wheels in `timer_bases` and clocks in `hrtimer_bases`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmdebug.guests.linux.lists import each_hashed
from vmdebug.guests.linux.trees import each_rbtree

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

WHEELS = {1: ("standard",), 2: ("standard", "deferrable"), 3: ("local", "global", "deferrable")}  # 3 since 6.9
MAX_WHEELS, MAX_CLOCKS = 8, 16
CLOCKS = ("monotonic", "realtime", "boottime", "tai")


@dataclass(frozen=True)
class Timer:
    """An armed timer. `left` is what remains until it expires, where the kernel's own time is known in its unit."""

    address: int
    cpu: int
    base: str
    unit: str
    expires: int
    left: int | None
    function: int


def each_wheel_timer(linux: "Linux", cpu: int) -> Iterator[Timer]:
    """The timers on a processor's wheels."""
    objects = linux.objects
    now = linux.read_word("jiffies") if linux.names.find("jiffies") else None
    size, count = objects.sizeof("struct timer_base"), wheels_of(linux)
    for number in range(count):
        base = objects.at("struct timer_base", linux.per_cpu.address("timer_bases", cpu) + number * size)
        name = WHEELS[count][number] if count in WHEELS else str(number)
        for address in _on_wheel(linux, base):
            timer = objects.at("struct timer_list", address)
            expires = int(timer["expires"])
            left = None if now is None else signed(expires - now, linux.word)
            yield Timer(address, cpu, name, "jiffies", expires, left, int(timer["function"]))


def wheels_of(linux: "Linux") -> int:
    """How many wheels a processor has: as many as the variable has room for."""
    symbol = linux.names.find("timer_bases")
    size = symbol.size if symbol else 0
    return min(max(size // linux.objects.sizeof("struct timer_base"), 1), MAX_WHEELS)


def _on_wheel(linux: "Linux", base: "Typed") -> Iterator[int]:
    offset = linux.objects.offsetof("struct timer_list", "entry")
    for head in base["vectors"]:
        yield from each_hashed(linux.space.read, int(head["first"]), offset, word=linux.word)


def each_clock_timer(linux: "Linux", cpu: int) -> Iterator[Timer]:
    """The high-resolution timers of a processor, by clock and by time."""
    objects = linux.objects
    base = objects.at("struct hrtimer_cpu_base", linux.per_cpu.address("hrtimer_bases", cpu))
    for number, clock in enumerate(base["clock_base"][:MAX_CLOCKS]):
        name = CLOCKS[number % len(CLOCKS)] + (" soft" if number >= len(CLOCKS) else "")
        root = linux.read_word(int(clock.refer_("active")))  # an rb_root comes first in each version of it
        for node in each_rbtree(linux, root):  # and an rb_node comes first in struct hrtimer
            timer = objects.at("struct hrtimer", node)
            yield Timer(node, cpu, name, "ns", int(timer["node.expires"]), None, int(timer["function"]))


def signed(value: int, size: int) -> int:
    """A difference of numbers of so many bytes that wrap."""
    values = 1 << 8 * size
    value %= values
    return value - values if value >= values // 2 else value
