"""What the debugger can refuse, and the exit statuses. One boundary prints these: `vmdebug: ` and the sentence.

DebuggerError                  any answer that is a refusal (mdb's ERR: the loop and the pipeline go on)
    NoTarget                   there is no image, or not one that can answer
    NoTypes                    the guest gives no types
    UnknownSymbol, UnknownObject
    ReadFailed                 memory that cannot be read; says which address and why
        NotCanonical           the address is none in this paging mode
        NotMapped              no page-table entry maps it
        NotInDump              mapped, but the image has no such page
        NotOfDomain            mapped to a machine frame that is none of the guest's
        ReservedEntry          a page-table entry that hardware would refuse
    Abort                      ends the pipeline and the loop (mdb's ABORT)
        UsageError             a dcmd was called wrongly: its usage is shown (mdb's USAGE)
        LanguageError          the text is no command of the language
ImageError of formats/         an image that cannot be opened or read: shown in the same way
Unwinding                      no refusal: a macro, a command's output or the session is left
"""

from formats.errors import ImageError
from formats.frames import Vaddr

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

__all__ = ["Abort", "DebuggerError", "ImageError", "LanguageError", "ReadFailed", "UsageError"]


class DebuggerError(Exception):
    """A question that cannot be answered, and why."""


class Unwinding(Exception):
    """Raised to leave what runs; nothing went wrong."""


class NoTarget(DebuggerError):
    def __init__(self) -> None:
        super().__init__("command is not supported by current target")


class NoTypes(DebuggerError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"no types: {reason}")


class UnknownSymbol(DebuggerError):
    """A name that no symbol has; `why` says so where the guest has no symbols at all."""

    def __init__(self, name: str, why: str = "") -> None:
        reason = f" (there are no symbols: {why})" if why else ""
        super().__init__(f"failed to dereference symbol: unknown symbol name{reason}")
        self.name = name


class UnknownObject(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__("failed to dereference symbol: unknown object file name")
        self.name = name


class ReadFailed(DebuggerError):
    """Memory that could not be read. `address` is what was wanted, `reason` the cause without it."""

    def __init__(self, address: int, reason: str) -> None:
        super().__init__(f"{address:x}: {reason}")
        self.address = address
        self.reason = reason


class NotCanonical(ReadFailed):
    def __init__(self, vaddr: Vaddr, mode: str) -> None:
        super().__init__(vaddr, f"not an address of {mode} paging")


class NotMapped(ReadFailed):
    def __init__(self, vaddr: Vaddr, level: int, entry: int, entry_at: int) -> None:
        super().__init__(vaddr, f"no mapping for address (level {level} entry at {entry_at:#x} is {entry:#x})")
        self.level = level
        self.entry = entry


class NotInDump(ReadFailed):
    def __init__(self, address: int, reason: str) -> None:
        super().__init__(address, reason)


class NotOfDomain(ReadFailed):
    def __init__(self, vaddr: int, mfn: int) -> None:
        super().__init__(vaddr, f"machine frame {mfn:#x} is not one of this domain's")
        self.mfn = mfn


class ReservedEntry(ReadFailed):
    def __init__(self, vaddr: Vaddr, level: int, entry: int) -> None:
        super().__init__(vaddr, f"level {level} entry {entry:#x} has reserved bits set")


class Abort(DebuggerError):
    """Ends the pipeline, not only this address."""


class UsageError(Abort):
    """A dcmd called wrongly; the text may be empty, the usage follows it."""


class LanguageError(Abort):
    """Text that is no command. `token` is where it went wrong."""

    def __init__(self, text: str, token: str = "") -> None:
        super().__init__(text)
        self.token = token
