"""One process' view of an image: its own memory, the kernel's above it, its registers in user mode."""

from collections.abc import Mapping as Dictionary

from formats.frames import Vaddr
from vmdebug.targets.spaces import AddressSpace, Mapping
from vmdebug.targets.target import Target

HIGH = 1 << 63  # the kernel's half, where addresses have 64 bits


class ProcessTarget(Target):
    """The image of another target, seen through the page tables of a process.

    `registers` are those that its first thread had in user mode, empty where they are not known.
    """

    def __init__(self, whole: Target, space: AddressSpace, registers: Dictionary[str, int]) -> None:
        super().__init__(whole.image, whole.cache)
        self.whole = whole
        self.kernel = space  # the addresses that commands mean
        self._registers = registers

    @property
    def registers(self) -> Dictionary[str, int]:
        return self._registers

    def read(self, vaddr: int, size: int) -> bytes:
        """Exactly `size` bytes of the process' memory, or of the kernel's half of the addresses."""
        return self._space(vaddr).read(vaddr, size)

    def translate(self, vaddr: int) -> Mapping:
        return self._space(vaddr).translate(Vaddr(vaddr))

    def _space(self, vaddr: int) -> AddressSpace:
        return self.whole.kernel if vaddr >= HIGH else self.kernel
