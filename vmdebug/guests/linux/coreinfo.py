"""What a kernel says of itself in VMCOREINFO: where some of its variables are, and the layout of its log.

That is all there is to go by where a kernel was built without CONFIG_KALLSYMS_ALL, whose kallsyms names functions only,
and without BTF. The text is a note of the image, or the page in which the kernel keeps it for a crash to come.
Specified in: kernel/vmcore_info.c and kernel/printk/printk.c of Linux.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from formats import vmcoreinfo
from formats.errors import PageMissing
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Paddr
from formats.image import Image, PageState
from vmdebug.errors import NoTypes
from vmdebug.symbols.table import Part, Symbol
from vmdebug.types.model import Integer, Member, Pointer, Struct, Type, Void
from vmdebug.types.source import TypeSource

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

FIRST_KEY = b"OSRELEASE="
SURE_KEYS = (b"\nPAGESIZE=", b"\nSYMBOL(")
SEARCHED = (
    1 << 30
)  # of physical memory, from its start: the page was allocated early, and in a 32-bit kernel below this
CHUNK = 4096  # pages looked at together
MAX_SIZE = 4096  # of a structure of the log: many times what any is

LONG, POINTER = 0, -1  # sizes of members that are those of a word; others are bytes
LOG: Mapping[str, Mapping[str, int | str]] = {
    "printk_ringbuffer": {"desc_ring": "prb_desc_ring", "text_data_ring": "prb_data_ring"},
    "prb_desc_ring": {
        "count_bits": 4, "descs": "prb_desc *", "infos": "printk_info *",
        "head_id": "atomic_long_t", "tail_id": "atomic_long_t",
    },
    "prb_desc": {"state_var": "atomic_long_t", "text_blk_lpos": "prb_data_blk_lpos"},
    "prb_data_blk_lpos": {"begin": LONG, "next": LONG},
    "prb_data_ring": {"size_bits": 4, "data": POINTER},
    "printk_info": {"seq": 8, "ts_nsec": 8, "text_len": 2, "caller_id": 4},
    "atomic_long_t": {"counter": LONG},
}  # fmt: skip


class CoreInfo:
    """The VMCOREINFO of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux

    @cached_property
    def values(self) -> Mapping[str, str]:
        """The values by key, as written; none where there is no text, or it is another kernel's."""
        for text in self._each_text():
            values = vmcoreinfo.parse(text)
            if vmcoreinfo.symbol(values, "_stext") in self._starts:
                return values
        return {}

    @cached_property
    def symbols(self) -> Part:
        """The variables that it names."""
        names = (key[7:-1] for key in self.values if key.startswith("SYMBOL(") and key.endswith(")"))
        found = ((name, vmcoreinfo.symbol(self.values, name)) for name in names)
        return Part("", [Symbol(name, value, 0, "OBJT", "GLOB") for name, value in found if value is not None])

    @property
    def build_id(self) -> bytes:
        """What names the kernel's build; empty if it does not say."""
        try:
            return bytes.fromhex(self.values.get("BUILD-ID", ""))
        except ValueError:
            return b""

    @cached_property
    def types(self) -> TypeSource:
        """The structures of the log."""
        return LogTypes(self.values, self._linux.word)

    @property
    def _starts(self) -> Sequence[int]:
        kallsyms = self._linux.image.kallsyms
        return [kallsyms.address(number) for number in kallsyms.numbers("_stext")]

    def _each_text(self) -> Iterator[bytes]:
        image = self._linux.target.image
        yield vmcoreinfo.find_text(image.notes)
        yield from each_page_of_text(image)


def each_page_of_text(image: Image) -> Iterator[bytes]:
    """The texts that begin a page of the first memory."""
    for run in image.runs():
        if run.state is not PageState.PRESENT:
            continue
        end = min(run.pfn + run.count, SEARCHED >> PAGE_SHIFT)
        for pfn in range(run.pfn, end, CHUNK):
            try:
                data = image.read(Paddr(pfn << PAGE_SHIFT), min(CHUNK, end - pfn) * PAGE_SIZE)
            except PageMissing:
                continue
            yield from _texts_in(data)


def _texts_in(data: bytes) -> Iterator[bytes]:
    at = data.find(FIRST_KEY)
    while at >= 0:
        if at % PAGE_SIZE == 0:
            text = data[at : at + PAGE_SIZE].split(b"\0")[0]
            if all(key in text for key in SURE_KEYS):
                yield text
        at = data.find(FIRST_KEY, at + 1)


class LogTypes(TypeSource):
    """The structures of the log's rings, as far as VMCOREINFO gives their sizes and the offsets of their members."""

    def __init__(self, values: Mapping[str, str], word: int) -> None:
        self.why = "the kernel was built without BTF, and its VMCOREINFO does not describe this structure"
        self.pointer = word
        self._values = values
        self._made: dict[str, Type] = {}

    def lookup(self, tag: str, name: str, module: str | None) -> Type | None:
        if tag != "struct" or name not in LOG or self._number("SIZE", name) is None:
            raise NoTypes(self.why)
        return self._struct(name)

    def each(self) -> Iterator[Type]:
        return (self._struct(name) for name in LOG if self._number("SIZE", name) is not None)

    def _number(self, kind: str, name: str) -> int | None:
        found = vmcoreinfo.to_int(self._values.get(f"{kind}({name})"))
        return found if found is not None and 0 <= found <= MAX_SIZE else None

    def _struct(self, name: str) -> Type:
        if name not in self._made:
            size = self._number("SIZE", name) or 0
            self._made[name] = Struct(name, size, lambda: list(self._members(name)))
        return self._made[name]

    def _members(self, name: str) -> Iterator[Member]:
        for member, kind in LOG[name].items():
            offset = self._number("OFFSET", f"{name}.{member}")
            if offset is not None:
                yield Member(member, 8 * offset, partial(self._type, kind))
        length = self._number("OFFSET", f"{name}.text_len")
        if length is not None:  # three bytes behind it that no line tells: u8 facility, u8 flags:5, u8 level:3
            yield Member("facility", 8 * (length + 2), partial(self._type, 1))
            yield Member("level", 8 * (length + 3) + 5, partial(self._type, 1), 3)

    def _type(self, kind: int | str) -> Type:
        if isinstance(kind, str):
            found = self._struct(kind.removesuffix(" *"))
            return Pointer(lambda: found, self.pointer) if kind.endswith("*") else found
        if kind == POINTER:
            return Pointer(Void, self.pointer)
        size = kind or self.pointer
        return Integer("", size, bits=8 * size, signed=False)
