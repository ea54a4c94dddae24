"""The runs of a kdump: both bitmaps and the descriptors as arrays, a stretch of pages at a time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from formats.bitmap import Bitmap
from formats.frames import Pfn
from formats.image import PageState, Run
from formats.kdump_pages import DESCRIPTOR, Pages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STRETCH = 1 << 20  # blocks looked at together: 1 MiB of states
ABSENT, PRESENT, ZERO, EXCLUDED = range(4)
STATES = {PRESENT: PageState.PRESENT, ZERO: PageState.ZERO, EXCLUDED: PageState.EXCLUDED}


def each_run(pieces: Sequence[Pages], ram: Bitmap, excluded_is_zero: bool) -> Iterator[Run]:
    """Pages by rising pfn in runs of one state. What no piece at hand stores is left out."""
    shift = pieces[0].shift
    waiting: tuple[int, int, int] | None = None
    for first, states in _each_stretch(pieces, ram, ZERO if excluded_is_zero else EXCLUDED):
        for start, end, state in _each_equal(first, states):
            if waiting and waiting[1] == start and waiting[2] == state:
                waiting = waiting[0], end, state
                continue
            if waiting:
                yield _run(waiting, shift)
            waiting = (start, end, state) if state != ABSENT else None
    if waiting:
        yield _run(waiting, shift)


def _run(found: tuple[int, int, int], shift: int) -> Run:
    start, end, state = found
    return Run(Pfn(start << shift), (end - start) << shift, STATES[state])


def _each_equal(first: int, states: "NDArray[np.uint8]") -> Iterator[tuple[int, int, int]]:
    import numpy as np

    breaks = (np.flatnonzero(np.diff(states)) + 1).tolist()
    for start, end in zip([0, *breaks], [*breaks, len(states)], strict=True):
        yield first + start, first + end, int(states[start])


def _each_stretch(pieces: Sequence[Pages], ram: Bitmap, excluded: int) -> Iterator[tuple[int, "NDArray[np.uint8]"]]:
    stored = pieces[0].stored
    both = pieces[0].header.has_two_bitmaps
    for first in range(0, stored.bits, STRETCH):
        count = min(STRETCH, stored.bits - first)
        in_file = _bits(stored, first, count)
        states = _bits(ram, first, count) * excluded if both else in_file * ABSENT
        states[in_file == 1] = ABSENT
        for piece in pieces:
            _mark_stored(piece, first, in_file, states)
        yield first, states


def _bits(bitmap: Bitmap, first: int, count: int) -> "NDArray[np.uint8]":
    import numpy as np

    raw = np.frombuffer(bitmap.data[first // 8 : -(-(first + count) // 8)], dtype=np.uint8)
    return np.unpackbits(raw, bitorder="little", count=count)


def _mark_stored(piece: Pages, first: int, in_file: "NDArray[np.uint8]", states: "NDArray[np.uint8]") -> None:
    """Sets the states of what one piece stores of a stretch."""
    import numpy as np

    low = max(piece.header.start - first, 0)
    high = min(piece.header.end - first, len(in_file))
    if low >= high:
        return
    places = np.flatnonzero(in_file[low:high]) + low
    index = piece.stored.rank(first + low) - piece.skipped
    states[places] = _kinds(piece, index, len(places))


def _kinds(piece: Pages, index: int, count: int) -> Any:
    """PRESENT, ZERO, or EXCLUDED for a page that was not written, of each descriptor; PRESENT where the file ends."""
    import numpy as np

    raw = b"".join(piece.each_chunk(index, count))
    words = np.frombuffer(raw[: len(raw) // DESCRIPTOR.size * DESCRIPTOR.size], dtype="<u8").reshape(-1, 3)
    kinds = np.full(count, PRESENT, dtype=np.uint8)
    found = kinds[: len(words)]
    if piece.zero_at() >= 0:
        found[(words[:, 0] == piece.zero_at()) & (words[:, 1] == piece.header.block_size)] = ZERO
    found[words[:, 0] == 0] = EXCLUDED
    return kinds
