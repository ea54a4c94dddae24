"""The number types of a guest's memory, and the size of a page.

Pfn     frame number in the guest's own linear view of its memory
Gfn     frame number that the guest puts into its page tables: an Mfn under Xen PV, otherwise the Pfn
Mfn     machine frame number
Paddr   guest-physical address          Maddr   machine address          Vaddr   guest-virtual address
"""

from typing import NewType

Pfn = NewType("Pfn", int)
Gfn = NewType("Gfn", int)
Mfn = NewType("Mfn", int)
Paddr = NewType("Paddr", int)
Maddr = NewType("Maddr", int)
Vaddr = NewType("Vaddr", int)

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
PAGE_MASK = PAGE_SIZE - 1
