"""The log of the slab allocator: the transactions of all caches that audit, until their places are used again.

The log is cut into chunks. Each cpu writes into one of its own, and takes another when that is full.
Specified in: sys/kmem_impl.h of illumos.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.kmem import MAX_CPUS
from vmdebug.guests.memory import read_sparse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vmdebug.guests.illumos.kernel import Illumos

MAX_LOG = 1 << 31  # bytes
MAX_CHUNKS = 1 << 16
MAX_LOST = 1 << 26  # bytes that cannot be read; the log is not read on behind that
PIECE = 1 << 20  # bytes that are read at once
ADDRESSES = (1 << 64) - 1
COLUMNS = ("bc_addr", "bc_cache", "bc_timestamp")


class NoLog(DebuggerError):
    def __init__(self) -> None:
        super().__init__(
            "kmem_transaction_log is null: this kernel keeps no log of its allocator (KMF_AUDIT is not set)"
        )


class BadLog(DebuggerError):
    def __init__(self, address: int, reason: str) -> None:
        super().__init__(f"kmem log {address:x}: {reason}")
        self.address = address


class Log:
    """A kmem_log_header_t: that of kmem_transaction_log unless another is given; NoLog where that is null."""

    def __init__(self, guest: "Illumos", warn: Callable[[str], None], address: int | None = None) -> None:
        self.guest = guest
        self.warn = warn
        self.address = guest.variable("kmem_transaction_log") if address is None else address
        if not self.address:
            raise NoLog
        self.record = guest.objects.at("kmem_log_header_t", self.address)

    def entries(self, holder: int | None = None) -> Iterator[int]:
        """Its transactions, the latest first; only those of buffers that hold an address, if one is given."""
        import numpy as np

        entries = self._written()
        if holder is not None:
            entries = entries[self._holds(entries, holder)]
        order = np.argsort(entries["bc_timestamp"], kind="stable")[::-1]
        return map(int, entries["at"][order])

    def _written(self) -> "NDArray[np.void]":
        """All entries that were written; a warning tells how much cannot be read."""
        import numpy as np

        found, lost = [self._read(0, 0)[0]], 0
        for start, size in self._pieces():
            written, missing = self._read(start, size)
            found.append(written)
            lost += missing
            if lost > MAX_LOST:
                break
        if lost:
            self.warn(
                f"{lost} bytes {'or more ' * (lost > MAX_LOST)}of the kmem log at {self.address:x} cannot be read"
            )
        return np.concatenate(found)

    def find_cpu(self, entry: int) -> int | None:
        """The cpu that wrote an entry last into its chunk; None for entries of chunks that are full."""
        return next((cpu for cpu, filled in enumerate(self._filled) if entry in filled), None)

    @cached_property
    def _filled(self) -> Sequence[range]:
        """Of each cpu what it has filled of its chunk."""
        size = self.guest.objects.sizeof("kmem_cpu_log_header_t")
        first, count = int(self.record.refer_("lh_cpu")), min(self.guest.variable("max_ncpus"), MAX_CPUS)
        return [self._filled_by(first + size * number) for number in range(count)]

    def _filled_by(self, header: int) -> range:
        cpu = self.guest.objects.at("kmem_cpu_log_header_t", header)
        start: int = self.record["lh_base"] + cpu["clh_chunk"] * self.record["lh_chunksize"]
        return range(start, int(cpu["clh_current"]))

    def _pieces(self) -> Iterator[tuple[int, int]]:
        """Where entries lie in a row, and how many bytes they take."""
        count, size, entry = self.record["lh_nchunks"], self.record["lh_chunksize"], self._entry
        if not 0 <= count <= MAX_CHUNKS or count * size > MAX_LOG:
            raise BadLog(self.address, f"it says that it has {count} chunks of {size:#x} bytes")
        whole, used = PIECE // entry * entry, size // entry * entry
        for chunk in range(count):
            start = int(self.record["lh_base"]) + chunk * size
            yield from (((start + at) & ADDRESSES, min(whole, used - at)) for at in range(0, used, whole))

    @property
    def _entry(self) -> int:
        return self.guest.objects.sizeof("kmem_bufctl_audit_t")

    def _read(self, start: int, size: int) -> "tuple[NDArray[np.void], int]":
        """Entries in a row that were written (where each is, and its columns), and how many bytes are missing."""
        import numpy as np

        data, missing = read_sparse(self.guest.target.read, start, size, "the log of the allocator")
        offsets = [self.guest.objects.offsetof("kmem_bufctl_audit_t", name) for name in COLUMNS]
        layout: Any = {"names": COLUMNS, "formats": ["<u8"] * 3, "offsets": offsets, "itemsize": self._entry}
        entries = np.frombuffer(data, np.dtype(layout))
        written = np.flatnonzero(entries["bc_timestamp"])
        kept = np.empty(len(written), [("at", "u8"), *((name, "u8") for name in COLUMNS)])
        kept["at"] = np.uint64(start) + written.astype("u8") * np.uint64(self._entry)
        for name in COLUMNS:
            kept[name] = entries[name][written]
        return kept, missing

    def _holds(self, entries: "NDArray[np.void]", address: int) -> "NDArray[np.bool_]":
        """Which entries are of buffers that hold an address: as large as their caches say, or that begin there."""
        import numpy as np

        caches, which = np.unique(entries["bc_cache"], return_inverse=True)
        sizes = np.array([self._bufsize(int(cache)) for cache in caches], "u8")
        return (np.uint64(address) - entries["bc_addr"]) < sizes[which]

    def _bufsize(self, cache: int) -> int:
        try:
            return max(int(self.guest.objects.at("kmem_cache_t", cache)["cache_bufsize"]), 1)
        except ReadFailed:
            return 1
