"""VMware's suspended machines and snapshots: .vmss or .vmsn, with the memory inside or in a .vmem beside them.

Either file may be named. A .vmem is raw memory in which regions of guest pages follow each other; the state file tells
which, and holds the registers. The two are brought together by their common name, or by naming both.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from formats.core_elf import describe_ranges
from formats.errors import ImageDamaged, ImageError, ImageNotSupported
from formats.extents import Extent, ExtentImage, clipped, disjoint
from formats.frames import PAGE_MASK, PAGE_SHIFT
from formats.image import About, Fact, Image, PageState
from formats.lazy import dataclass
from formats.source import FileSource, Source
from formats.vmware_cpu import read_vcpus
from formats.vmware_tags import Tag, each_tag, is_vmware, read_groups

NAME = "vmware"
DESCRIPTION = "VMware suspended machine or snapshot (.vmss, .vmsn, .vmem beside it)"
ORDER = 90  # a .vmem has no magic of its own: whoever knows the file by content comes first

STATE_SUFFIXES, MEMORY_SUFFIX = (".vmss", ".vmsn"), ".vmem"
MAX_REGIONS = 1 << 12


class NoMemory(ImageError):
    def __init__(self, name: str, wanted: Path | None) -> None:
        where = f"{wanted} is not there" if wanted else "it is not a file"
        super().__init__(f"{name}: VMware state without memory in it: the .vmem must lie beside it, but {where}")


@dataclass(frozen=True)
class Layout:
    """What the group "memory" says: regions (page in the file, guest page, pages), memory inside the state file."""

    regions: Sequence[tuple[int, int, int]]
    inside: Tag | None


def probe(source: Source) -> bool:
    """True for a state file, and for a file of whole pages that has one beside it."""
    return is_vmware(source) or _state_beside(source) is not None


def open_image(source: Source) -> Image:
    """The machine, from either file."""
    if not is_vmware(source):
        state = _state_beside(source)
        if state is None:
            raise ImageDamaged(f"{source.name}: no VMware state file lies beside it")
        return _open(state, source)
    return _open(source, None)


def probe_set(sources: Sequence[Source]) -> bool:
    """True for two files of which one is a state file."""
    return len(sources) == 2 and [is_vmware(source) for source in sources].count(True) == 1


def open_set(sources: Sequence[Source]) -> Image:
    """The machine out of a state file and its memory, in any order."""
    state, memory = sorted(sources, key=is_vmware, reverse=True)
    return _open(state, memory)


def _open(state: Source, memory: Source | None) -> Image:
    groups = read_groups(state)
    layout = _read_layout(state, each_tag(state, groups["memory"]) if "memory" in groups else iter(()))
    vcpus = read_vcpus(state, each_tag(state, groups["cpu"])) if "cpu" in groups else []
    source, start, size = _find_memory(state, memory, layout)
    warnings: list[str] = [] if vcpus else ["no registers in the state file"]
    extents = _place(layout, start, size, source.size, warnings)
    about = About(
        format=NAME,
        description=DESCRIPTION,
        bits=64,
        facts=[
            Fact("memory", describe_ranges(extents), "regions of group memory"),
            Fact("memory file", source.name, "inside the state file" if source is state else "beside the state file"),
            Fact("groups", str(len(groups)), state.name),
        ],
        warnings=warnings,
    )
    return ExtentImage(source, about, extents, vcpus, ())


def _read_layout(state: Source, tags: Iterator[Tag]) -> Layout:
    columns: dict[str, dict[int, int]] = {"regionPageNum": {}, "regionPPN": {}, "regionSize": {}}
    count, inside = 0, None
    for tag in tags:
        if tag.name == "regionsCount":
            count = tag.number(state)
        elif tag.name in columns and tag.indices:
            columns[tag.name][tag.indices[0]] = tag.number(state)
        elif tag.name == "Memory" and tag.block:
            inside = tag
    if count > MAX_REGIONS:
        raise ImageDamaged(f"{state.name}: {count} regions of memory, at most {MAX_REGIONS} make sense")
    if inside and inside.compressed:
        raise ImageNotSupported(f"{state.name}: compressed memory in a VMware state file: not supported")
    complete = [number for number in range(count) if all(number in column for column in columns.values())]
    if len(complete) < count:
        raise ImageDamaged(f"{state.name}: {len(complete)} of {count} regions of memory are described")
    return Layout([tuple(column[number] for column in columns.values()) for number in complete], inside)  # type: ignore[misc]


def _find_memory(state: Source, memory: Source | None, layout: Layout) -> tuple[Source, int, int]:
    """The source with the pages, where they begin in it, how many bytes there are."""
    if memory is not None:
        return memory, 0, memory.size
    if layout.inside:
        return state, layout.inside.at, layout.inside.size
    path = getattr(state, "path", None)
    wanted = path.with_suffix(MEMORY_SUFFIX) if isinstance(path, Path) else None
    if wanted is None or not wanted.is_file():
        raise NoMemory(state.name, wanted)
    found = FileSource(wanted)
    return found, 0, found.size


def _place(layout: Layout, start: int, size: int, end: int, warnings: list[str]) -> list[Extent]:
    """The regions as extents; without regions the memory is one from address 0 on."""
    regions = layout.regions or [(0, 0, size >> PAGE_SHIFT)]
    named = sum(count for *_, count in regions) << PAGE_SHIFT
    if named != size:
        warnings.append(f"the regions name {named:#x} bytes of memory, {size:#x} are there: do the files match?")
    placed = (
        Extent(guest << PAGE_SHIFT, count << PAGE_SHIFT, start + (page << PAGE_SHIFT)) for page, guest, count in regions
    )
    extents = disjoint(part for extent in placed for part in clipped(extent, min(start + size, end)))
    if any(extent.state is PageState.ABSENT for extent in extents):
        warnings.append("truncated: regions of memory lie past the end of the file")
    return extents


def _state_beside(source: Source) -> Source | None:
    path = getattr(source, "path", None)
    if not isinstance(path, Path) or not source.size or source.size & PAGE_MASK:
        return None
    for suffix in STATE_SUFFIXES:
        beside = path.with_suffix(suffix)
        if beside != path and beside.is_file():
            state = FileSource(beside)
            if is_vmware(state):
                return state
    return None
