"""Sets of numbers that illumos keeps as bits: ::bitset."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Show, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.kernel import illumos

BITS = 64  # of a word
LABEL = 16  # columns in front of the bits
MAX_WORDS = 1 << 14


class TooManyWords(DebuggerError):
    def __init__(self, address: int, count: int) -> None:
        super().__init__(f"bitset {address:x}: {count:#x} words are more than any kernel's ({MAX_WORDS:#x})")
        self.address = address


@dataclass(frozen=True)
class WordRow:
    """A word of a set.

    addr: where it lies
    first: the number that its lowest bit stands for
    word: the word
    members: the numbers that are in the set
    """

    addr: Vaddr
    first: int
    word: Hex
    members: Sequence[int]


def word_lines(rows: Iterable[WordRow], _: Show) -> Iterator[str]:
    """A ruler of the bits' places, the tens above the ones; then a line a word, the lowest bit on the left."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'':{LABEL}}{''.join(f'{ten:<10}' for ten in range(BITS // 10 + 1))[:BITS]}".rstrip()
            yield f"{'':{LABEL}}{('0123456789' * 7)[:BITS]}"
            yield f"{'':{LABEL}}{('|----+----' * 7)[:BITS]}"
        bits = "".join(".1"[row.word >> bit & 1] for bit in range(BITS))
        yield f"{row.first:>6} - {row.first + BITS - 1:<6} {bits}"


@dcmd("bitset", address="required", text=word_lines, row=WordRow, guests=("illumos",))
def bitset(call: Call) -> Iterator[WordRow]:
    """display a bitset

    The set of numbers at the address (a bitset_t), a line for each of its words: `1` below the place of a number that
    is in it, `.` of another; on the left stand the numbers of the first and the last place.

    Reads: bs_set and bs_words of bitset_t.

    Example:
        cp_default::print -a cpupart_t cp_haltset | ::bitset
    """
    guest = illumos(call.guest)
    for address in call.addresses:
        found = guest.objects.at("bitset_t", address)
        first, count = int(found["bs_set"]), found["bs_words"]
        if count > MAX_WORDS:
            raise TooManyWords(address, count)
        for number, word in enumerate(guest.objects.array("ulong_t", first, count)):
            place = number * BITS
            members = [place + bit for bit in range(BITS) if word >> bit & 1]
            yield WordRow(Vaddr(first + number * BITS // 8), place, Hex(word), members)
