"""Message blocks of illumos' STREAMS: ::mblk ::mblk2dblk."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.streams import MESSAGE_FLAGS, MESSAGE_TYPES, Block, each_block, read_block
from vmdebug.legend import bit_names, legend_lines

GUESTS = ("illumos",)
FLAGS_AT = 17  # the column of a block's flags


@dataclass(frozen=True)
class BlockRow:
    """A block of a message.

    addr: its mblk_t
    flags: b_flag
    flag_names: the names of its bits
    type: the type of its data block, as data for M_DATA; in hex one without a name
    length: how many bytes it has
    room: how many its data block can hold
    data: the first byte
    dblk: its data block
    """

    addr: Vaddr
    flags: Hex
    flag_names: Sequence[str]
    type: str
    length: int
    room: int
    data: Vaddr
    dblk: Vaddr
    _options: frozenset[str]


def block_lines(rows: Iterable[BlockRow], _: Show) -> Iterator[str]:
    """A line a block, below it its flags with -v; its address alone with -q."""
    for number, row in enumerate(rows):
        if "q" in row._options:
            yield f"{row.addr:016x}"
            continue
        if number == 0:
            yield f"{'ADDR':>16} FL {'TYPE':<7} {'LEN':<5} {'BLEN':<5} {'RPTR':>16} {'DBLK':>16}"
        numbers = f"{row.length:<5} {row.room:<5}"
        yield f"{row.addr:016x} {row.flags:<2x} {row.type:<7} {numbers} {row.data:016x} {row.dblk:016x}"
        if "v" in row._options:
            yield from legend_lines(FLAGS_AT, row.flags, MESSAGE_FLAGS)


@dcmd(
    "mblk",
    address="optional",
    flags=(
        Flag("v", "with the names of its flags and what they mean"),
        Flag("q", "only its address"),
        Flag("f", "only blocks that have this flag, as MSGMARK", "text", "flag"),
        Flag("F", "only blocks that do not have this flag", "text", "flag"),
        Flag("t", "only blocks of this type, as M_DATA or data", "text", "type"),
        Flag("T", "only blocks that are not of this type", "text", "type"),
        Flag("l", "only blocks of so many bytes", "number", "length"),
        Flag("L", "only blocks of at most so many bytes", "number", "length"),
        Flag("G", "only blocks of at least so many bytes", "number", "length"),
        Flag("b", "only blocks whose data block can hold so many bytes", "number", "length"),
        Flag("d", "only blocks of this data block", "number", "dblk"),
    ),
    text=block_lines,
    row=BlockRow,
    guests=GUESTS,
)
def mblk(call: Call) -> Iterator[BlockRow]:
    """print an mblk

    The message block at the address, or every one that is allocated: flags, type, how many bytes it has, how many its
    data block can hold, where they lie. One that the options do not ask for is left out. Lengths are read in the
    current radix.

    Reads: mblk_t, dblk_t; without an address the buffers of the cache streams_mblk.

    Example:
        *log_recentq::print queue_t q_first | ::walk b_next | ::mblk
    """
    guest, options = illumos(call.guest), frozenset(call.flags)
    wanted, unwanted = _flag(call, "f"), _flag(call, "F")
    type_, other = _type(call, "t"), _type(call, "T")
    for address in each_block(guest) if call.address is None else call.addresses:
        try:
            found = read_block(guest, address)
        except ReadFailed as err:
            call.warn(f"failed to read the message block at {address:x}: {err}")
            continue
        flags = found.flags & wanted == wanted and not found.flags & unwanted
        if flags and type_ in (None, found.type) and other != found.type and _fits(call, found):
            yield _row(found, options)


def _fits(call: Call, found: Block) -> bool:
    """Whether a block has the lengths and the data block that the options ask for."""
    given = call.flags
    exact = (("l", found.length), ("b", found.room), ("d", found.block))
    least, most = int(given.get("G", found.length)), int(given.get("L", found.length))
    return least <= found.length <= most and all(given.get(option, value) == value for option, value in exact)


def _row(found: Block, options: frozenset[str]) -> BlockRow:
    return BlockRow(
        addr=Vaddr(found.address),
        flags=Hex(found.flags),
        flag_names=bit_names(found.flags, MESSAGE_FLAGS),
        type=MESSAGE_TYPES.get(found.type, f"0x{found.type:x}"),
        length=found.length,
        room=found.room,
        data=Vaddr(found.data),
        dblk=Vaddr(found.block),
        _options=options,
    )


def _flag(call: Call, option: str) -> int:
    """The bit that an option names, 0 if it is not given."""
    name = call.flags.get(option)
    if name is not None and name not in MESSAGE_FLAGS:
        raise DebuggerError(f"{name}: no flag of a message block; they are {' '.join(MESSAGE_FLAGS)}")
    return 0 if name is None else MESSAGE_FLAGS[name][0]


def _type(call: Call, option: str) -> int | None:
    """The type that an option names, None if it is not given."""
    name = call.flags.get(option)
    if name is None:
        return None
    numbers = {each: number for number, each in MESSAGE_TYPES.items()}
    short = name.lower().removeprefix("m_")
    if short not in numbers:
        raise DebuggerError(f"{name}: no type of a message block; they are {' '.join(numbers)}")
    return numbers[short]


@dataclass(frozen=True)
class DataBlock:
    """The data block of a message block.

    addr: its dblk_t
    """

    addr: Vaddr


@dcmd("mblk2dblk", address="required", text=Text("{addr:x}"), row=DataBlock, guests=GUESTS)
def mblk2dblk(call: Call) -> Iterator[DataBlock]:
    """convert mblk_t address to dblk_t address

    Reads: b_datap of mblk_t.

    Example:
        fffffffec3480300::mblk2dblk | ::print dblk_t
    """
    for address in call.addresses:
        yield DataBlock(Vaddr(int(illumos(call.guest).objects.at("mblk_t", address)["b_datap"])))
