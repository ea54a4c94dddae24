"""An image as address spaces: the kernel's, a process' own, physical and machine memory."""

from collections.abc import Mapping as Dictionary
from functools import cached_property

from formats.cache import Cache
from formats.errors import MfnUnknown, PageMissing
from formats.frames import PAGE_MASK, PAGE_SHIFT, Gfn, Maddr, Mfn, Paddr, Pfn, Vaddr
from formats.image import Image, Vcpu
from vmdebug.errors import DebuggerError, NotInDump, NotOfDomain
from vmdebug.paging import Mode
from vmdebug.targets.modes import find_mode
from vmdebug.targets.spaces import AddressSpace, FlatSpace, Mapping


class NoVcpu(DebuggerError):
    def __init__(self, number: int, count: int) -> None:
        super().__init__(f"failed to get regs for cpu {number}: the image has {count} vcpus")


class NoTables(DebuggerError):
    def __init__(self) -> None:
        super().__init__("no page tables are known: the image holds no registers (physical memory can be read)")


class Target:
    """Everything that can be read from one image. Opening one reads nothing but the saved vcpus.

    `cache` keeps what was found out about a kernel from run to run; nothing is kept without it.
    """

    def __init__(self, image: Image, cache: Cache | None = None) -> None:
        self.image = image
        self.cache = cache
        self._spaces: dict[int, AddressSpace] = {}

    @property
    def name(self) -> str:
        return self.image.name

    @cached_property
    def mode(self) -> Mode | None:
        """The paging mode of vcpu 0, None where paging is off or no registers are saved."""
        return find_mode(self.image, self.image.vcpus[0]) if self.image.vcpus else None

    @property
    def word(self) -> int:
        """The size of a pointer in bytes."""
        if self.mode is None:
            return self.image.about.bits // 8
        return 8 if self.mode.canonical else 4

    @property
    def registers(self) -> Dictionary[str, int]:
        """The registers of the representative vcpu, empty where none are saved."""
        return self.image.vcpus[0].registers if self.image.vcpus else {}

    @cached_property
    def kernel(self) -> AddressSpace:
        """The address space of vcpu 0."""
        if not self.image.vcpus:
            raise NoTables
        return self.space_of(self.image.vcpus[0])

    def read(self, vaddr: int, size: int) -> bytes:
        """Exactly `size` bytes of the kernel's address space; ReadFailed names the first address that fails."""
        return self.kernel.read(vaddr, size)

    def translate(self, vaddr: int) -> Mapping:
        """Where the kernel's tables map an address to."""
        return self.kernel.translate(Vaddr(vaddr))

    def vcpu(self, number: int) -> Vcpu:
        """The saved state of a vcpu by its number."""
        for vcpu in self.image.vcpus:
            if vcpu.id == number:
                return vcpu
        raise NoVcpu(number, len(self.image.vcpus))

    def space_of(self, vcpu: Vcpu) -> AddressSpace:
        """The address space that a vcpu runs in; physical memory where its paging is off."""
        if vcpu.root is None:
            raise NoTables
        return self.space(vcpu.root) if self.mode else FlatSpace(self.image)

    def space(self, root: int) -> AddressSpace:
        """The address space under a top table, given by its address in the tables' own space."""
        if self.mode is None:
            raise NoTables
        found = self._spaces.get(root)
        if found is None:
            found = self._spaces[root] = AddressSpace(self.image, self.mode, root)
        return found

    def read_physical(self, paddr: int, size: int) -> bytes:
        """Exactly `size` bytes of guest-physical memory."""
        try:
            return self.image.read(Paddr(paddr), size)
        except PageMissing as err:
            raise NotInDump(paddr, f"pfn {err.pfn:#x}: {err.reason}") from err

    def read_machine(self, maddr: int, size: int) -> bytes:
        """Exactly `size` bytes of machine memory, as far as it is this guest's."""
        parts = []
        while size:
            chunk = min(size, (1 << PAGE_SHIFT) - (maddr & PAGE_MASK))
            parts.append(self.read_physical(self.paddr_of(Maddr(maddr)), chunk))
            maddr += chunk
            size -= chunk
        return b"".join(parts)

    def paddr_of(self, maddr: Maddr) -> Paddr:
        """The guest-physical address behind an address of the page tables' own space."""
        try:
            pfn = self.image.pfn_of(Gfn(maddr >> PAGE_SHIFT))
        except MfnUnknown as err:
            raise NotOfDomain(maddr, Mfn(err.mfn)) from err
        return Paddr((pfn << PAGE_SHIFT) | (maddr & PAGE_MASK))

    def mfn_of(self, pfn: Pfn) -> Mfn | None:
        """The machine frame of a pfn; None where the image has no such map or no such page."""
        try:
            return self.image.mfn_of(pfn)
        except PageMissing:
            return None
