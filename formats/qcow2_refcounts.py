"""The reference counts that a qcow2 file stores: a table of blocks, a counter of 1 to 64 bits for each cluster.

Specified in: docs/interop/qcow2.rst of QEMU, "Host cluster management". Counters are big-endian; those of less than a
byte begin with the lowest bits.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.qcow2_clusters import big_endian
from formats.qcow2_header import Header
from formats.source import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = NDArray[np.uint64]

KEPT = 16 << 20  # bytes of decoded blocks kept


class StoredCounts:
    """The counters, a block at a time."""

    def __init__(self, source: Source, header: Header) -> None:
        self.source = source
        self.header = header
        size = header.refcount_clusters << header.cluster_bits
        data = source.peek(header.refcount_offset, size)
        self.table = big_endian(data[: len(data) // 8 * 8])
        self.width = 1 << header.refcount_order
        self.per_block = header.cluster_size * 8 // self.width
        self._blocks: OrderedDict[int, Counts] = OrderedDict()
        self._room = max(KEPT // (self.per_block * 8), 2)

    def find(self, cluster: int) -> int:
        """The stored count of one cluster."""
        block, index = divmod(cluster, self.per_block)
        return int(self._block(block)[index])

    def find_all(self, clusters: "NDArray[np.int64]") -> "Counts":
        """The stored counts of many clusters."""
        import numpy as np

        found = np.zeros(len(clusters), dtype=np.uint64)
        blocks = clusters // self.per_block
        for number in np.unique(blocks).tolist():
            mine = blocks == number
            found[mine] = self._block(number)[clusters[mine] % self.per_block]
        return found

    def each_block(self, clusters: int) -> "Iterator[tuple[int, Counts]]":
        """The first cluster and the counts of each block, for so many clusters in all."""
        for number in range(-(-clusters // self.per_block)):
            first = number * self.per_block
            yield first, self._block(number)[: clusters - first]

    def _block(self, number: int) -> "Counts":
        import numpy as np

        counts = self._blocks.get(number)
        if counts is None:
            place = self.table[number] & ~0x1FF if number < len(self.table) else 0
            usable = place and place < self.source.size and not place & self.header.cluster_size - 1
            if usable:
                size = self.header.cluster_size
                counts = self._decode(self.source.peek(place, size).ljust(size, b"\0"))
            else:
                counts = np.zeros(self.per_block, dtype=np.uint64)
            self._blocks[number] = counts
            if len(self._blocks) > self._room:
                self._blocks.popitem(last=False)
        return counts

    def _decode(self, data: bytes) -> "Counts":
        import numpy as np

        if self.width >= 8:
            return np.frombuffer(data, dtype=f">u{self.width // 8}").astype(np.uint64)
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little").reshape(-1, self.width)
        weights = (1 << np.arange(self.width)).astype(np.uint64)
        return bits.astype(np.uint64) @ weights
