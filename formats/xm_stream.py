"""libxc's save stream before Xen 4.6, which has no header of its own, gathered into the state of one instant.

The word of the saving tools (4 or 8 bytes) and the kind of domain are found by trying: a wrong guess meets an absurd
count at once. A stream may hold several checkpoints; the last complete one counts.

    p2m size (word); for a PV domain, maybe ~0 and blocks "vcpu", "extv", "xcnt"; its p2m's frame list
    chunks, each behind a signed number: a batch of pages if positive, 0 ends, others by CHUNKS
    PV: pfns without a frame, contexts, shared info      HVM: three u64, the HVM context, the device model

Specified in: tools/libxc/xg_save_restore.h and xc_domain_save.c of Xen 4.5, xc_linux_save.c of 3.0.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from formats import xen_vcpu
from formats.errors import ImageDamaged, ImageNotSupported, SourceEnd
from formats.frames import PAGE_SIZE
from formats.lazy import dataclass
from formats.source import Source
from formats.xen_pages import LEGACY32, LEGACY64, Batch, Words, carried_by

MAX_BATCH = 1024
MAX_P2M = 1 << 28
MAX_BLOCKS = 1 << 16
MAX_CONTEXT = 128 << 20
MAX_CHUNKS = 1 << 24
EXTENDED_SIZE = 128
MAX_VCPUS = 8192

VERIFY, VCPU_MAP, TSC, LAST, COMPRESSED, COMPRESSING, TOOLSTACK = -1, -2, -7, -9, -12, -13, -18
MEMORY_OF_TMEM = (-5, -6)
PLAIN_VALUES = frozenset((-3, -4, -8, -10, -11, -14, -15, -16, -17, -19, -20))  # u32 of padding, u64
VALUE = struct.Struct("<4xQ")
TSC_INFO = struct.Struct("<IQII")  # mode, nsec, kHz, incarnation
BLOCK = struct.Struct("<4sI")
MODELS = (b"QemuDeviceModelRecord", b"DeviceModelRecord0002", b"RemusDeviceModelState")


@dataclass(frozen=True)
class Guess:
    """What the stream does not say of itself."""

    words: Words
    hvm: bool


@dataclass
class State:
    """What the stream says up to one point."""

    batches: list[Batch] = field(default_factory=list)
    contexts: dict[int, bytes] = field(default_factory=dict)
    extended: dict[int, bytes] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)
    hvm_context: bytes = b""
    shared_info: bytes = b""
    khz: int = 0

    def copy(self) -> "State":
        copies = (list(self.batches), dict(self.contexts), dict(self.extended), dict(self.values))
        return replace(self, batches=copies[0], contexts=copies[1], extended=copies[2], values=copies[3])


@dataclass(frozen=True)
class Stream:
    """A whole stream. `bits` is the guest's width, `complete` false where it was cut off before its end."""

    guess: Guess
    bits: int
    p2m_size: int
    blocks: tuple[str, ...]
    state: State
    generations: int
    complete: bool


def read_stream(source: Source, start: int, hvm: bool | None) -> Stream:
    """The stream at `start`, under the first guess that reaches its end, or else the one that goes furthest."""
    found: list[Stream] = []
    errors: list[ImageDamaged] = []
    for guess in _each_guess(source, start, hvm):
        try:
            stream = _Walk(source, start, guess).run()
        except ImageDamaged as err:
            errors.append(err)
            continue
        if stream.complete and stream.state.batches:
            return stream
        found.append(stream)
    best = max(found, key=lambda stream: len(stream.state.batches), default=None)
    if best is None or not best.state.batches:
        raise errors[0] if errors else ImageDamaged(f"{source.name}: truncated: the stream ends before its first page")
    return best


def _each_guess(source: Source, start: int, hvm: bool | None) -> Iterator[Guess]:
    wide = source.peek(start + 4, 4) == b"\0\0\0\0"
    for words in (LEGACY64, LEGACY32) if wide else (LEGACY32, LEGACY64):
        for kind in (False, True) if hvm is None else (hvm,):
            yield Guess(words, kind)


class _Walk:
    """One pass over the stream under one guess."""

    def __init__(self, source: Source, start: int, guess: Guess) -> None:
        self.source = source
        self.at = start
        self.guess = guess
        self.bits = 64 if guess.hvm else guess.words.size * 8
        self.blocks: Mapping[bytes, bytes] = {}
        self.p2m_size = 0
        self.state = State()
        self.finished: State | None = None
        self.generations = 0
        self.verifying = False
        self.last = False
        self.vcpus = [0]

    def run(self) -> Stream:
        ended = True
        try:
            self._header()
            while not self.generations or self._goes_on():
                self._generation()
        except SourceEnd:
            ended = False
        except ImageDamaged:
            if self.finished is None:
                raise
        names = tuple(name.decode("latin-1") for name in self.blocks)
        state = self.finished or self.state
        complete = ended or self.finished is not None
        return Stream(self.guess, self.bits, self.p2m_size, names, state, self.generations, complete)

    def _goes_on(self) -> bool:
        return not self.last and self.at + 4 <= self.source.size

    def _header(self) -> None:
        self.p2m_size = self._word()
        if not 0 < self.p2m_size <= MAX_P2M:
            raise self._damaged(f"a p2m of {self.p2m_size:#x} pages")
        if self.guess.hvm:
            return
        if self._peek_word() == (1 << 8 * self.guess.words.size) - 1:
            self._word()
            self._read_blocks(self._number())
        per_page = PAGE_SIZE // (self.bits // 8)
        self._skip(-(-self.p2m_size // per_page) * self.guess.words.size)

    def _read_blocks(self, total: int) -> None:
        if total > MAX_BLOCKS:
            raise self._damaged(f"{total} bytes of extended information")
        data, blocks, at = self._read(total), {}, 0
        while at + BLOCK.size <= total:
            name, size = BLOCK.unpack_from(data, at)
            blocks[name] = data[at + BLOCK.size : at + BLOCK.size + size]
            at += BLOCK.size + size
        self.blocks = blocks
        sizes = {xen_vcpu.SIZE64: 64, xen_vcpu.SIZE32: 32}
        if b"vcpu" in blocks:
            self.bits = sizes.get(len(blocks[b"vcpu"]), 0)
        if not self.bits:
            raise self._damaged(f"a vcpu context of {len(blocks[b'vcpu'])} bytes")

    def _generation(self) -> None:
        self.verifying = False
        for _ in range(MAX_CHUNKS):
            number = self._signed()
            if number == 0:
                break
            self._chunk(number)
        if self.guess.hvm:
            self._hvm_tail()
        else:
            self._pv_tail()
        self.generations += 1
        self.finished = self.state.copy()

    def _chunk(self, number: int) -> None:
        if number > 0:
            self._batch(number)
        elif number == VERIFY:
            self.verifying = True
        elif number == VCPU_MAP:
            self._vcpu_map()
        elif number == TSC:
            self.state.khz = TSC_INFO.unpack(self._read(TSC_INFO.size))[2]
        elif number == LAST:
            self.last = True
        elif number == TOOLSTACK:
            self._skip(self._number())
        elif number in PLAIN_VALUES:
            (self.state.values[number],) = VALUE.unpack(self._read(VALUE.size))
        elif number in (COMPRESSED, COMPRESSING) and self.state.batches:
            raise ImageNotSupported(f"{self.source.name}: compressed pages of a Remus stream: not supported")
        elif number in MEMORY_OF_TMEM and self.state.batches:
            raise ImageNotSupported(f"{self.source.name}: pages of transcendent memory: not supported")
        else:
            raise self._damaged(f"chunk {number}")

    def _batch(self, count: int) -> None:
        words = self.guess.words
        if count > MAX_BATCH:
            raise self._damaged(f"a batch of {count} pages (at most {MAX_BATCH})")
        at = self.at
        table = memoryview(self._read(count * words.size)).cast(words.code).tolist()
        carried = carried_by(table, words)
        if carried is None or any(words.pfn_of(word) >= self.p2m_size for word in table):
            raise self._damaged("a batch with pages that cannot be")
        if not self.verifying:
            self.state.batches.append(Batch(at, count, self.at, carried))
        self._skip(carried * PAGE_SIZE)

    def _vcpu_map(self) -> None:
        highest = self._signed()
        if not 0 <= highest < MAX_VCPUS:
            raise self._damaged(f"a map of vcpus up to {highest}")
        bits = int.from_bytes(self._read(8 * (highest // 64 + 1)), "little")
        self.vcpus = [number for number in range(highest + 1) if bits >> number & 1 or number == 0]

    def _pv_tail(self) -> None:
        missing = self._number()
        if missing > self.p2m_size:
            raise self._damaged(f"{missing} pfns without a frame, of {self.p2m_size}")
        self._skip(missing * self.guess.words.size)
        size = xen_vcpu.SIZE64 if self.bits == 64 else xen_vcpu.SIZE32
        for number in self.vcpus:
            self.state.contexts[number] = self._read(size)
            if b"extv" in self.blocks:
                self.state.extended[number] = self._read(EXTENDED_SIZE)
            if b"xcnt" in self.blocks:
                self._skip(8)
                self._skip(int.from_bytes(self._read(8), "little"))
        self.state.shared_info = self._read(PAGE_SIZE)

    def _hvm_tail(self) -> None:
        self._skip(24)  # ioreq, buffered ioreq and store pfns
        length = self._number()
        if length > MAX_CONTEXT:
            raise self._damaged(f"an HVM context of {length} bytes")
        self.state.hvm_context = self._read(length)
        model = self.source.peek(self.at, len(MODELS[0]))
        if model in MODELS[1:]:
            self._skip(len(model))
            self._skip(self._number())
        else:
            self.at = self.source.size  # the device model's data run to the end

    def _read(self, size: int) -> bytes:
        data = self.source.read(self.at, size)
        self.at += size
        return data

    def _skip(self, size: int) -> None:
        if size > self.source.size - self.at:
            raise SourceEnd(self.source.name, self.at, size, self.source.size)
        self.at += size

    def _number(self) -> int:
        return int.from_bytes(self._read(4), "little")

    def _signed(self) -> int:
        return int.from_bytes(self._read(4), "little", signed=True)

    def _word(self) -> int:
        return int.from_bytes(self._read(self.guess.words.size), "little")

    def _peek_word(self) -> int:
        return int.from_bytes(self.source.peek(self.at, self.guess.words.size), "little")

    def _damaged(self, found: str) -> ImageDamaged:
        return ImageDamaged(f"{self.source.name}: old Xen save stream: {found} at {self.at:#x}")
