"""What can go wrong with an image, told apart.

ImageError                     anything below: one clear line for the user
    ImageDamaged               this format, but broken: cut short, counts that contradict the file
    ImageNotSupported          this format, but a variant that no reader here understands
    ImageUnknown               no reader knows the file
    SourceEnd                  bytes past the end of the file were wanted
    PageMissing                a page that the image does not give
        PageAbsent             the image has no such page
        PageExcluded           the dumping program left the page out
    MfnUnknown                 a machine frame that is none of the guest's pages
"""

from formats.frames import Mfn, Pfn


class ImageError(Exception):
    """An image could not be opened or read."""


class ImageDamaged(ImageError):
    """The file is of a known format, but contradicts itself."""


class ImageNotSupported(ImageError):
    """The file is of a known format, in a variant that is not supported."""


class ImageUnknown(ImageError):
    def __init__(self, name: str, head: bytes) -> None:
        found = head[:8].hex(" ") or "nothing: it is empty"
        hint = f"; if it is raw memory, say so: {name}@0x0" if head else ""
        super().__init__(f"{name}: not an image of any known format (it begins with {found}){hint}")
        self.name = name


class SourceEnd(ImageError):
    def __init__(self, name: str, offset: int, wanted: int, size: int) -> None:
        super().__init__(f"{name}: wanted {wanted} bytes at offset {offset:#x}, but it has {size:#x} bytes")
        self.offset = offset
        self.size = size


class PageMissing(ImageError):
    """A page of the guest that the image does not give."""

    def __init__(self, pfn: Pfn, reason: str) -> None:
        super().__init__(f"pfn {pfn:#x}: {reason}")
        self.pfn = pfn
        self.reason = reason


class PageAbsent(PageMissing):
    def __init__(self, pfn: Pfn) -> None:
        super().__init__(pfn, "page is not in the dump")


class PageExcluded(PageMissing):
    def __init__(self, pfn: Pfn) -> None:
        super().__init__(pfn, "page was left out when the dump was made")


class MfnUnknown(ImageError):
    def __init__(self, mfn: Mfn) -> None:
        super().__init__(f"mfn {mfn:#x}: not a frame of this domain")
        self.mfn = mfn
