"""What a converted file says of the guest: notes of its vcpus, the kernel's own description, the names of uname.

VMCOREINFO comes from the image's notes, or else from the page in which Linux keeps it; uname's names from the kernel's
memory, where VMCOREINFO says they are.
Specified in: kernel/vmcore_info.c and include/uapi/linux/utsname.h of Linux.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from formats.frames import Gfn
from formats.image import Image
from formats.lazy import dataclass
from formats.vmcoreinfo import OWNER, parse, symbol, to_int
from vmdebug.convert_memory import Memory, find_text
from vmdebug.convert_notes import Processor, cpu_notes, note
from vmdebug.errors import DebuggerError
from vmdebug.targets.target import Target

FIRST_KEY = b"OSRELEASE="
ROOT_SYMBOLS = ("init_top_pgt", "init_level4_pgt", "swapper_pg_dir")
SURE_KEYS = (b"\nPAGESIZE=", b"\nSYMBOL(")
PAGE = 4096
NAME_SIZE, NAMES = 65, 6  # struct new_utsname: sysname, nodename, release, version, machine, domainname
UNKNOWN = b"unknown"


@dataclass(frozen=True)
class Guest:
    """What goes into headers and notes. `uts` is empty strings where the guest is not Linux."""

    long_mode: bool
    cpus: int
    notes: bytes
    vmcoreinfo: bytes
    uts: Sequence[bytes]


def describe(target: Target, text: bytes, cr3s: Mapping[int, int]) -> Guest:
    """The guest of a target; `text` is its VMCOREINFO, `cr3s` the roots of vcpus whose page tables are rewritten."""
    long_mode = target.word == 8
    processors = [
        Processor({**vcpu.registers, **({"cr3": cr3s[vcpu.id]} if vcpu.id in cr3s else {})}, long_mode)
        for vcpu in target.image.vcpus
    ]
    notes = cpu_notes(processors) + (note(OWNER.encode(), 0, text) if text else b"")
    return Guest(long_mode, len(processors), notes, text, find_uts(target, text, b"x86_64" if long_mode else b"i686"))


def kernel_roots(target: Target, text: bytes) -> Iterator[Gfn]:
    """The frames of the kernel's own top page tables, by the symbols that VMCOREINFO gives."""
    values = parse(text)
    for name in ROOT_SYMBOLS:
        place = symbol(values, name)
        if place is not None:
            with suppress(DebuggerError):
                yield target.translate(place).gfn


def find_vmcoreinfo(image: Image, memory: Memory) -> bytes:
    """The kernel's text about itself; empty if there is none."""
    for one in image.notes:
        if one.owner == OWNER:
            return one.data
    for page in find_text(memory, FIRST_KEY, PAGE):
        text = page.split(b"\0")[0]
        if text.endswith(b"\n") and all(key in text for key in SURE_KEYS):
            return text
    return b""


def find_uts(target: Target, text: bytes, machine: bytes) -> Sequence[bytes]:
    """The names that uname gives, as far as they are known; some programs want none of a Linux' to be empty."""
    values = parse(text)
    release = values.get("OSRELEASE", "").encode("latin-1", "replace")[: NAME_SIZE - 1]
    if not release:
        return (b"", b"", b"", b"", machine, b"")
    place = symbol(values, "init_uts_ns")
    offset = to_int(values.get("OFFSET(uts_namespace.name)")) or 0
    try:
        data = target.read(place + offset, NAME_SIZE * NAMES) if place is not None else b""
    except DebuggerError:
        data = b""
    names = [data[at : at + NAME_SIZE].split(b"\0")[0][: NAME_SIZE - 1] for at in range(0, len(data), NAME_SIZE)]
    if len(names) == NAMES and names[0] == b"Linux" and names[2] == release:
        return names
    return (b"Linux", b"", release, UNKNOWN, machine, b"")
