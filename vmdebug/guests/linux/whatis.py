"""What an address of a Linux kernel belongs to: the image, modules, threads and their stacks, per-CPU areas, objects of
caches, vmalloc areas, page descriptors, the direct map.
"""

from collections.abc import Iterator, Sequence

from vmdebug.errors import ReadFailed
from vmdebug.guests.linux.kernel import Linux
from vmdebug.guests.linux.memory import stack_size
from vmdebug.guests.linux.modules import Area, Module
from vmdebug.guests.linux.tasks import Task, each_task
from vmdebug.guests.linux.vmalloc import each_vmalloc
from vmdebug.guests.whatis import Belonging, source

GUESTS = ("linux",)
SEGMENTS = (
    ("text", "_stext", "_etext"),
    ("read-only data", "__start_rodata", "__end_rodata"),
    ("data", "_sdata", "_edata"),
    ("init", "__init_begin", "__init_end"),
    ("bss", "__bss_start", "__bss_stop"),
    ("brk", "__brk_base", "__brk_limit"),
)


@source("image", rank=10, guests=GUESTS)
def image(guest: Linux, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The segments of the kernel's image."""
    start, end = guest.image.text, guest.names.end
    inside = [address for address in addresses if start <= address < end]
    parts = (
        [(name, guest.names.find(first), guest.names.find(last)) for name, first, last in SEGMENTS] if inside else []
    )
    for address in inside:
        held = (name for name, first, last in parts if first and last and first.value <= address < last.value)
        segment = next(held, None)
        yield Belonging(address, f"in vmlinux's {segment} segment" if segment else "in vmlinux's image", named=True)


@source("modules", rank=11, guests=GUESTS)
def modules(guest: Linux, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The memory of loaded modules."""
    for module in guest.loaded.all:
        for address in addresses:
            for area in module.areas:
                if area.holds(address):
                    yield Belonging(
                        address, f"in {module.name}'s {_segment(module, area, address)} segment", named=True
                    )


def _segment(module: Module, area: Area, address: int) -> str:
    if area.start != module.base:
        return "data"
    if "core_layout" not in module.struct:
        return "text"
    return "text" if address - area.start < int(module.struct["core_layout.text_size"]) else "data"


@source("threads", rank=20, guests=GUESTS)
def threads(guest: Linux, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The structures of threads, and their stacks."""
    size, stack = _task_size(guest), stack_size(guest)
    for task in each_task(guest):
        bottom = task.stack
        for address in addresses:
            if 0 <= address - task.address < size:
                yield Belonging(address, f"allocated as a task structure ({_called(task)})", task.address)
            elif bottom and 0 <= address - bottom < stack:
                yield Belonging(address, f"in task {task.address:x}'s stack ({_called(task)}){_below(task, address)}")


def _task_size(guest: Linux) -> int:
    """The size of a task structure: what is declared has room for the largest set of registers that there is."""
    declared, named = guest.objects.sizeof("struct task_struct"), guest.names.find("arch_task_struct_size")
    used = int.from_bytes(guest.space.read(named.value, 4), "little") if named else 0
    return min(used or declared, declared)


def _called(task: Task) -> str:
    return f"{task.comm}, pid {task.pid}"


def _below(task: Task, address: int) -> str:
    """Whether a word of a thread's stack is in use, where the thread sleeps."""
    return " (below sp)" if not task.on_cpu and address < int(task.struct["thread.sp"]) else ""


@source("per-cpu areas", rank=30, guests=GUESTS)
def per_cpu_areas(guest: Linux, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The variables of each processor, and what was allocated behind them in the same unit."""
    first, last = guest.names.find("__per_cpu_start"), guest.names.find("__per_cpu_end")
    if first is None or last is None or guest.names.find("__per_cpu_offset") is None:
        return
    named = guest.names.find("pcpu_unit_size")
    unit = int.from_bytes(guest.space.read(named.value, 4), "little") if named else last.value - first.value
    for cpu in guest.per_cpu.cpus:
        base = guest.per_cpu.moved(first.value, cpu)
        for address in addresses:
            if 0 <= address - base < unit:
                place = first.value + address - base
                name = f", {_variable(guest, place)}" if place < last.value else " (allocated)"
                yield Belonging(address, f"in cpu {cpu}'s per-cpu area{name}")


def _variable(guest: Linux, place: int) -> str:
    """The per-CPU variable at the address or the offset that its symbol has."""
    table = guest.image.kallsyms
    numbers = table.below(place)
    if not numbers:
        return f"+{place:x}"
    offset = place - table.address(numbers[0])
    name = table.text(numbers[-1])[1]
    return f"{name}+{offset:#x}" if offset else name


@source("slabs", rank=40, guests=GUESTS)
def slabs(guest: Linux, addresses: Sequence[int]) -> Iterator[Belonging]:
    """The objects of the kernel's caches, in use or free."""
    for address in addresses:
        held = guest.slabs.holding(address)
        if held is None:
            continue
        cache, slab = held
        number = (address - slab.start) // cache.size
        if number >= slab.objects:
            yield Belonging(address, f"in a slab of {cache.name}, behind its objects", slab.start)
            continue
        base = slab.start + number * cache.size
        places = [each for each in cache.each_object(slab) if base <= each < base + cache.size]
        free = set(places) & cache.free_in(slab)
        yield Belonging(address, f"{'freed from' if free else 'allocated from'} {cache.name}", (places or [base])[0])


@source("vmalloc areas", rank=50, guests=GUESTS)
def vmalloc_areas(guest: Linux, addresses: Sequence[int]) -> Iterator[Belonging]:
    """What is mapped in the kernel's own virtual memory."""
    for area in each_vmalloc(guest):
        for address in addresses:
            if area.start <= address < area.end:
                found = guest.symbols.nearest(area.caller) if area.caller else None
                who = f" by {found[0].name}+{area.caller - found[0].value:#x}" if found else ""
                yield Belonging(address, f"in a vmalloc area of {area.end - area.start} bytes, made{who}", area.start)


@source("page descriptors", rank=60, guests=GUESTS)
def page_descriptors(guest: Linux, addresses: Sequence[int]) -> Iterator[Belonging]:
    """Descriptors of pages."""
    for address in addresses:
        pfn = guest.pages.pfn_of(address)
        if pfn is not None:
            text = f"in the struct page of pfn {pfn:x}{_described(guest, pfn)}"
            yield Belonging(address, text, guest.pages.address_of(pfn))


@source("direct map", rank=70, guests=GUESTS)
def direct_map(guest: Linux, addresses: Sequence[int]) -> Iterator[Belonging]:
    """Memory as the kernel sees all of it in one piece."""
    for address in addresses:
        pfn = guest.pages.pfn_at(address)
        if pfn is not None:
            yield Belonging(address, f"in the direct map: physical page {pfn:x}{_described(guest, pfn)}")


def _described(guest: Linux, pfn: int) -> str:
    """The flags of a page and what its descriptor says that it is for, in brackets."""
    try:
        value, names = guest.pages.flags(pfn)
        kind = guest.pages.kind(pfn)
    except ReadFailed:
        return " (its descriptor cannot be read)"
    words = [word for word in (kind, *names) if word]
    return f" (flags {value:x}{': ' if words else ''}{' '.join(words)})"
