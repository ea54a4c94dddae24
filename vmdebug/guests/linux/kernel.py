"""Linux as a guest: its names, who it says it is, and what that rests on."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from formats.frames import PAGE_MASK, PAGE_SHIFT, Vaddr
from formats.image import Fact
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.base import Guest, Status
from vmdebug.guests.filetypes import caution_of, shift_of, types_of
from vmdebug.guests.linux import evidence
from vmdebug.guests.linux.coreinfo import CoreInfo
from vmdebug.guests.linux.generated import Generated
from vmdebug.guests.linux.image import KernelImage, NotLinux, find_image
from vmdebug.guests.linux.lists import MAX_LIST, each_listed
from vmdebug.guests.linux.modules import Modules
from vmdebug.guests.linux.names import KallsymsPart, ModularTable
from vmdebug.guests.linux.percpu import PerCpu
from vmdebug.guests.linux.variables import VARIABLES
from vmdebug.guests.memory import decode, read_word
from vmdebug.symbols.table import Part, SymbolTable
from vmdebug.targets.spaces import AddressSpace
from vmdebug.targets.target import Target
from vmdebug.types.btf import MAX_BLOB, Btf, find_blob
from vmdebug.types.btf_source import BtfTypes
from vmdebug.types.model import Type
from vmdebug.types.source import EmptyTypes, TypeSource
from vmdebug.types.typed import Objects
from vmdebug.unwind.frames import Frame, each_frame

if TYPE_CHECKING:
    from vmdebug.guests.linux.pages import Pages
    from vmdebug.guests.linux.slabs import Slabs
    from vmdebug.guests.linux.stacks import Stacks
    from vmdebug.symbols.file import SymbolFile

BANNER = re.compile(r"Linux version (?P<release>\S+) .*?(?P<version>#\d+.*)", re.S)
RAW_BANNER = re.compile(rb"Linux version [ -~]{1,400} #\d[ -~]{1,200}")
UTS_FIELD = 65  # __NEW_UTS_LEN + 1: the length of each string of struct new_utsname
UTS_FIELDS = ("sysname", "nodename", "release", "version", "machine", "domainname")
LINK_TEXT = 0xFFFF_FFFF_8100_0000  # where the image is linked to begin
LINK_TEXT_32 = 0x100_0000  # the same from the start of the direct map on: CONFIG_PHYSICAL_START as most have it


MAX_MODULES = 4096
MAX_NOTES = 1 << 20  # bytes of the image's ELF notes


class Linux:
    """A Linux kernel in an image."""

    kind = "linux"

    def __init__(self, target: Target, image: KernelImage) -> None:
        self.target = target
        self.image = image
        self.space = image.space
        self.file: SymbolFile | None = None  # the user's, where the kernel has no types of its own
        self.word = target.word  # the bytes of a long and of a pointer, which are the same in every Linux

    @cached_property
    def symbols(self) -> SymbolTable:
        return ModularTable(self.names, self.loaded, self.generated)

    @cached_property
    def names(self) -> KallsymsPart:
        """The symbols of the image itself, which are found before any module is."""
        return KallsymsPart(self.image.kallsyms, self.image.text, self._elsewhere)

    def _elsewhere(self) -> Part | None:
        """Where variables have their names from if kallsyms names functions only: the user's file, or VMCOREINFO."""
        if self.names_variables:
            return None
        return self._symbols_of_file if self.file is not None else self.core_info.symbols

    @cached_property
    def _symbols_of_file(self) -> Part:
        """Those of the user's file; of one that is of another build none can be believed."""
        from vmdebug.symbols.file import MovedPart

        file = self.file
        if file is None or not file.has_symbols or (self.build_id and file.build_id not in (b"", self.build_id)):
            return self.core_info.symbols
        return MovedPart(file.part, shift_of(file, self.image.text))

    @cached_property
    def names_variables(self) -> bool:
        """True if kallsyms names all there is, not functions only."""
        return bool(self.image.kallsyms.numbers("init_task"))

    @cached_property
    def core_info(self) -> CoreInfo:
        """What the kernel prepared for the readers of its dumps."""
        return CoreInfo(self)

    @cached_property
    def types(self) -> TypeSource:
        """The kernel's BTF, found by its symbols, and its modules' on top; without it those of the user's file."""
        data = self._btf()
        if not data:
            if self.file is not None:
                shift = shift_of(self.file, self.image.text)
                return types_of(self.file, pointer=self.word, shift=shift, variables=VARIABLES)
            functions_only = "" if self.names_variables else ", and its kallsyms names functions only"
            return EmptyTypes(f"the kernel was built without BTF{functions_only}")
        kernel = Btf("vmlinux", data, pointer=self.word, cache=self.target.cache)
        return BtfTypes(kernel, self._find_module_types, VARIABLES)

    def _btf(self) -> bytes:
        """The kernel's own types: between their symbols, or where kallsyms has none by their header; empty without."""
        start, stop = self.names.find("__start_BTF"), self.names.find("__stop_BTF")
        if start and stop:
            size = stop.value - start.value
            return self.space.read(start.value, size) if 0 < size <= MAX_BLOB else b""
        if self.names_variables:
            return b""
        return find_blob(self.space.read(self.image.rodata.start, self.image.rodata.size))

    def _find_module_types(self, kernel: TypeSource) -> Mapping[str, Callable[[], bytes]]:
        """How to read each module's own BTF, by the module's name: the kernel keeps a copy of each."""
        if self.names.find("btf_modules") is None:
            return {}
        found: dict[str, Callable[[], bytes]] = {}
        objects = Objects(kernel, self.space.read)
        offset = objects.offsetof("struct btf_module", "list")
        for address in each_listed(self.space.read, self.address("btf_modules"), offset, MAX_MODULES, self.word):
            btf = objects.at("struct btf_module", address)["btf"]
            start, size = int(btf["data"]), int(btf["data_size"])
            if 0 < size <= MAX_BLOB:
                found[btf["name"].string()] = partial(self.space.read, start, size)
        return found

    @cached_property
    def objects(self) -> Objects:
        """Values in the kernel's memory by their types."""
        return Objects(self.types, self.space.read)

    @cached_property
    def loaded(self) -> Modules:
        """The modules that are loaded."""
        return Modules(self)

    @cached_property
    def generated(self) -> Generated:
        """Code that the kernel made while it ran."""
        return Generated(self)

    @cached_property
    def state_letters(self) -> str:
        """The letters for the states of tasks, in the order of their bits."""
        from vmdebug.guests.linux.states import find_letters

        return find_letters(self)

    @cached_property
    def per_cpu(self) -> PerCpu:
        return PerCpu(self)

    @cached_property
    def stacks(self) -> "Stacks":
        """The unwinder of kernel stacks."""
        from vmdebug.guests.linux.stacks import Stacks

        return Stacks(self)

    @cached_property
    def pages(self) -> "Pages":
        """The descriptors of memory's pages, and the direct map."""
        from vmdebug.guests.linux.pages import Pages

        return Pages(self)

    @cached_property
    def slabs(self) -> "Slabs":
        """The kernel's caches of objects."""
        from vmdebug.guests.linux.slabs import Slabs

        return Slabs(self)

    @property
    def modules(self) -> Sequence[str]:
        return [module.name for module in self.loaded.all]

    def space_at(self, pgd: int) -> AddressSpace:
        """A process' address space, by the virtual address of its top page table."""
        return self.target.space(self.space.translate(Vaddr(pgd)).gfn << PAGE_SHIFT | pgd & PAGE_MASK)

    def space_of_process(self, pid: int) -> AddressSpace:
        """A process' address space, by its number or the address of its task_struct."""
        from vmdebug.guests.linux.mm import find_process, space_of

        return space_of(self, find_process(self, pid))

    def user_registers(self, pid: int) -> Mapping[str, int]:
        """What a process, by its number or the address of its task_struct, had in its registers in user mode."""
        from vmdebug.guests.linux.mm import find_process
        from vmdebug.guests.linux.usermode import user_registers

        return user_registers(self, find_process(self, pid))

    def landmarks(self) -> Mapping[str, int]:
        from vmdebug.guests.linux.landmarks import read_landmarks

        return read_landmarks(self)

    def each_listed(self, head: int | str, kind: str, member: str, limit: int = MAX_LIST) -> Iterator[int]:
        """The structures on a `struct list_head`, each by its own address; BrokenList where it does not lead back.

        `head` is the head's address or its symbol; `kind` and `member` say what hangs on it, and by what.
        """
        at = self.address(head) if isinstance(head, str) else head
        return each_listed(self.space.read, at, self.objects.offsetof(kind, member), limit, self.word)

    def read_word(self, at: int | str) -> int:
        """The long or pointer at an address, or in the variable of that name."""
        return read_word(self.space.read, self.address(at) if isinstance(at, str) else at, self.word)

    def alternatives(self, name: str, member: str) -> Iterator[Type]:
        """Every structure of that name that has the member."""
        return self.types.alternatives(name, member)

    def address(self, name: str) -> int:
        """The address of a symbol of the image; DebuggerError if it has none."""
        symbol = self.names.find(name)
        if symbol is None:
            functions_only = "" if self.names_variables else ", which names functions only"
            raise DebuggerError(f"symbol '{name}' not found in the kernel's kallsyms{functions_only}")
        return symbol.value

    @cached_property
    def banner_text(self) -> str:
        """The kernel's own `Linux version ...` line: its variable, or what looks like one in the read-only data."""
        if self.names_variables:
            return decode(self.space.read(self.address("linux_banner"), 512)).strip()
        rodata = self.image.rodata
        found = RAW_BANNER.search(self.space.read(rodata.start, rodata.size))
        if found is None:
            raise NotLinux("the read-only data of the kernel hold no banner (`Linux version ...`)")
        return decode(found[0]).strip()

    @cached_property
    def uname(self) -> dict[str, str]:
        """The strings of the first UTS namespace, found by the release that the banner names."""
        release = BANNER.match(self.banner_text)
        if release is None:
            raise NotLinux(f"linux_banner begins {self.banner_text[:40]!r}, not with a version")
        place = self.names.find("init_uts_ns")
        data = self.space.read(place.value, 1024) if place else b""
        at = data.find(b"Linux\0")
        if at < 0:
            return {"release": release["release"], "version": release["version"]}
        fields = (data[at + number * UTS_FIELD : at + (number + 1) * UTS_FIELD] for number in range(len(UTS_FIELDS)))
        return dict(zip(UTS_FIELDS, map(decode, fields), strict=True))

    @property
    def shift(self) -> int:
        """How far KASLR moved the image."""
        return self.image.text - (LINK_TEXT if self.word == 8 else self.image.half + LINK_TEXT_32)

    @property
    def registers(self) -> Mapping[str, int]:
        return self.target.registers

    def frames(self, registers: Mapping[str, int], arguments: bool = True) -> Iterator[Frame]:
        """The calls from registers on; only a frame pointer leads along the chain of those. Arguments are not known."""
        from vmdebug.unwind.walk import SCAN

        if "rip" not in registers:
            yield from each_frame(self.space.read, registers.get("rbp", 0))
            return
        for call in self.stacks.from_registers(registers):
            if call.how == SCAN:  # a guess, after the frame that says where the chain is broken
                return
            yield Frame(call.pc, call.sp, inside=call.inside)
            if call.reason:
                yield Frame(call.pc, call.sp, reason=call.reason)

    def cpu_id(self, cpu: int) -> int:
        """The processor whose run queue or per-CPU area lies at an address."""
        found = self.per_cpu.cpu_of(cpu)
        if found is None:
            places = {self.per_cpu.address("runqueues", number): number for number in self.per_cpu.cpus}
            found = places.get(cpu)
        if found is None:
            raise DebuggerError(f"{cpu:x} is neither a valid CPU ID nor a valid run queue address")
        return found

    def status(self) -> Status:
        try:
            uname = self.uname
        except ReadFailed:
            return Status()
        found = evidence.status_lines(self)
        return Status(uname.get("nodename"), uname["release"], uname["version"], uname.get("machine"), found)

    @property
    def evidence(self) -> Sequence[Fact]:
        return list(evidence.each_fact(self))

    def take(self, names: "SymbolFile") -> None:
        """Use the user's file for what the kernel's memory does not hold: its types."""
        if not self._btf():
            self.file = names
            names.taken = True

    @cached_property
    def build_id(self) -> bytes:
        """What names the kernel's build, out of its notes; empty if they are not to be found."""
        from vmdebug.symbols.file import build_id

        if not self.names_variables:
            return self.core_info.build_id
        start, stop = self.names.find("__start_notes"), self.names.find("__stop_notes")
        if start is None or stop is None or not 0 < stop.value - start.value <= MAX_NOTES:
            return b""
        return build_id(self.space.read(start.value, stop.value - start.value))

    def cautions(self) -> Sequence[str]:
        return caution_of(self.file, self.build_id) if self.file else []

    def banner(self) -> Sequence[str]:
        return evidence.banner(self)


def find(target: Target) -> Linux:
    """The Linux kernel in an image; NotLinux if it is none, or cannot be found.

    The tables that show the kernel become the target's own: vcpu 0 may have been stopped on a process' user half.
    """
    image = find_image(target)
    target.kernel = image.space
    return Linux(target, image)


def linux(guest: Guest) -> Linux:
    """The guest as the Linux that it is."""
    if not isinstance(guest, Linux):
        raise NotLinux(f"the guest is {guest.kind}, not Linux")
    return guest
