"""VMCOREINFO, the text in which a Linux kernel describes itself to readers of its dumps.

Lines KEY=value or KIND(name)=value: SYMBOL and KERNELOFFSET in hex without 0x, SIZE, OFFSET, LENGTH and NUMBER in
decimal, where NUMBER may be negative. The text is the guest's: it is bounded, unknown lines are passed over, and of
two lines with one key the first holds.
Specified in: Documentation/admin-guide/kdump/vmcoreinfo.rst of Linux.
"""

from collections.abc import Iterable, Iterator, Mapping

from formats.image import Fact, Note

OWNER = "VMCOREINFO"
OWNER_XEN = "VMCOREINFO_XEN"
MAX_TEXT = 1 << 20
MAX_LINE = 4096
KERNEL_MAP = 0xFFFF_FFFF_8000_0000  # __START_KERNEL_map of x86-64
KERNEL_MAP32 = 0xC000_0000  # PAGE_OFFSET of i386, as most are configured
ROOTS = ("init_top_pgt", "init_level4_pgt", "swapper_pg_dir")
EVIDENCE = "VMCOREINFO"


def parse(data: bytes) -> Mapping[str, str]:
    """The values by key, as written."""
    values: dict[str, str] = {}
    for line in data[:MAX_TEXT].split(b"\0")[0].split(b"\n"):
        key, equals, value = line.partition(b"=")
        if equals and len(line) <= MAX_LINE:
            values.setdefault(key.decode("latin-1"), value.decode("latin-1"))
    return values


def number(values: Mapping[str, str], name: str) -> int | None:
    """NUMBER(name), None if it is missing or no number."""
    return to_int(values.get(f"NUMBER({name})"))


def symbol(values: Mapping[str, str], name: str) -> int | None:
    """SYMBOL(name), the run-time address of a kernel symbol."""
    return to_int(values.get(f"SYMBOL({name})"), 16)


def to_int(text: str | None, base: int = 10) -> int | None:
    """The number in a value; newer kernels put 0x before some."""
    if text is None or len(text) > 40:
        return None
    try:
        return int(text, 16 if text.lower().startswith("0x") else base)
    except ValueError:
        return None


def named(notes: Iterable[Note]) -> list[Note]:
    """The notes, those with VMCOREINFO texts under their name."""
    return [
        Note(note.owner, note.type, note.data[:MAX_TEXT], note.owner) if note.owner in (OWNER, OWNER_XEN) else note
        for note in notes
    ]


def find_text(notes: Iterable[Note]) -> bytes:
    """The text of the first VMCOREINFO note, empty if there is none."""
    return next((note.data for note in notes if note.owner == OWNER), b"")


def find_root(text: bytes, bits: int) -> tuple[int, str] | None:
    """The physical address of the kernel's top page table and the paging mode; None if the text does not say."""
    values = parse(text)
    table = next((found for name in ROOTS if (found := symbol(values, name)) is not None), None)
    if table is None:
        return None
    if bits == 32:
        return (table - KERNEL_MAP32) & 0xFFFF_FFFF, "PAE" if values.get("CONFIG_X86_PAE") == "y" else "2-level"
    base = number(values, "phys_base")
    if base is None or table < KERNEL_MAP:
        return None
    return (table - KERNEL_MAP + base) % (1 << 64), "5-level" if number(values, "pgtable_l5_enabled") else "4-level"


def each_fact(text: bytes) -> Iterator[Fact]:
    """What the text says that identifies the kernel."""
    values = parse(text)
    for key, name in (("OSRELEASE", "kernel release"), ("BUILD-ID", "kernel build id")):
        if key in values:
            yield Fact(name, values[key], EVIDENCE)
    if (shift := to_int(values.get("KERNELOFFSET"), 16)) is not None:
        yield Fact("kernel offset", f"{shift:#x}", EVIDENCE)
    if (base := number(values, "phys_base")) is not None:
        yield Fact("phys_base", f"{base & (1 << 64) - 1:#x}", EVIDENCE)
    if "CRASHTIME" in values:
        yield Fact("crash time", values["CRASHTIME"], EVIDENCE)
