"""What an address of an illumos kernel belongs to: modules, threads, stacks, cpus, pages, buffers, arenas, mappings."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial

from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.audits import RECORD_HEAD, read_audit, record_lines
from vmdebug.guests.illumos.cpus import each_cpu
from vmdebug.guests.illumos.kernel import Illumos
from vmdebug.guests.illumos.kmem import Cache
from vmdebug.guests.illumos.memory import each_arena, each_cache, each_memseg, each_segment, find_symbol, segment
from vmdebug.guests.illumos.modules import Area, Module
from vmdebug.guests.illumos.threads import each_thread, find_activity
from vmdebug.guests.illumos.vmem import IDENTIFIER, Segments, each_postfix, segment_record
from vmdebug.guests.whatis import Belonging, Record, source


@source("modules", rank=10, guests=("illumos",))
def modules(guest: Illumos, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The parts of loaded modules."""
    for module in guest.found:
        for part, area in _parts(module):
            for address in addresses:
                if area.holds(address):
                    yield Belonging(address, f"in {module.name}'s {part}", named=True)


def _parts(module: Module) -> Sequence[tuple[str, Area]]:
    return (
        ("text segment", module.text),
        ("data segment", module.data),
        ("bss segment", module.bss),
        ("symtab", module.symbols),
        ("symtab", module.strings),
    )


@source("threads", rank=20, guests=("illumos",))
def threads(guest: Illumos, addresses: Sequence[int]) -> Iterator[Belonging]:
    """Threads, and their stacks."""
    size = guest.objects.sizeof("kthread_t")
    for thread in each_thread(guest):
        record = guest.objects.at("kthread_t", thread)
        base, top = record["t_stkbase"], record["t_stk"]
        for address in addresses:
            if 0 <= address - thread < size:
                yield Belonging(address, "allocated as a thread structure", thread)
            elif base <= address < top:
                yield Belonging(address, f"in thread {thread:x}'s stack{find_activity(guest, record, address)}")


@source("cpus", rank=30, guests=("illumos",))
def cpus(guest: Illumos, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The structures of cpus."""
    size = guest.objects.sizeof("cpu_t")
    for cpu in each_cpu(guest):
        for address in addresses:
            if 0 <= address - cpu.address < size:
                yield Belonging(address, "allocated as a cpu structure", cpu.address)


@source("pages", rank=40, guests=("illumos",))
def pages(guest: Illumos, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The structures of physical pages."""
    size = guest.objects.sizeof("page_t")
    for memseg in each_memseg(guest):
        record = guest.objects.at("struct memseg", memseg)
        for address in addresses:
            if record["pages"] <= address < record["epages"]:
                base = address - (address - record["pages"]) % size
                yield Belonging(address, "allocated as a page structure", base)


@source("kmem", rank=50, guests=("illumos",))
def kmem(guest: Illumos, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The buffers of the slab allocator's caches."""
    for each in each_cache(guest):
        cache = Cache(guest, each)
        for address, buffer in cache.buffers_at(addresses):
            text = f"{'allocated' if buffer.given else 'freed'} from {cache.name}"
            if buffer.bufctl is None:
                yield Belonging(address, text, buffer.base)
            elif cache.audited:
                yield Belonging(address, text, buffer.base, record=_record(guest, buffer.bufctl))
            else:
                yield Belonging(address, f"bufctl {buffer.bufctl:x} {text}", buffer.base)


def _record(guest: Illumos, bufctl: int) -> Record:
    """What a bufctl says of the last transaction of its buffer."""
    return Record(f"bufctl {bufctl:x}", lambda name: [*RECORD_HEAD, *record_lines(read_audit(guest, bufctl), name)])


@source("vmem", rank=60, guests=("illumos",))
def vmem(guest: Illumos, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The segments of arenas of addresses."""
    return _segments(guest, addresses, identifiers=False)


@source("vmem", rank=60, guests=("illumos",), identifiers=True)
def vmem_identifiers(guest: Illumos, numbers: Sequence[int]) -> Iterator[Belonging]:
    """The segments of arenas of numbers that are no addresses."""
    return _segments(guest, numbers, identifiers=True)


def _segments(guest: Illumos, addresses: Sequence[int], identifiers: bool) -> Iterator[Belonging]:
    """Those of an arena after those that take their memory from it. What is damaged is told behind all others."""
    ordered, failed = sorted(addresses), None
    for each in each_postfix(each_arena(guest)):
        try:
            arena = guest.objects.at("vmem_t", each)
            if bool(arena["vm_cflags"] & IDENTIFIER) == identifiers:
                yield from _in_arena(guest, each, f"{arena['vm_name'].string()} vmem arena", ordered)
        except DebuggerError as err:
            failed = failed or err
    if failed:
        raise failed


def _in_arena(guest: Illumos, arena: int, name: str, ordered: Sequence[int]) -> Iterator[Belonging]:
    for found in Segments(guest).each(arena):
        if found.given or found.free:
            text = f"{'allocated' if found.given else 'freed'} from the {name}"
            record = Record(f"vmem_seg {found.address:x}", partial(segment_record, found), audited=bool(found.stack))
            for address in ordered[bisect_left(ordered, found.start) : bisect_left(ordered, found.end)]:
                yield Belonging(address, text, found.start, record=record)


@source("mappings", rank=90, guests=("illumos",))
def mappings(guest: Illumos, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The segments of the kernel's address space."""
    for each in each_segment(guest, guest.symbol("kas").value):
        record = segment(guest, each)
        base, size = int(record["s_base"]), record["s_size"]
        for address in addresses:
            if 0 <= address - base < size:
                name = find_symbol(guest, each) or f"{each:x}"
                yield Belonging(address, f"in {name} [{base:x},{base + size:x})")
