"""The saved registers: $r, ::regs and ::cpuregs."""

from collections.abc import Iterable, Iterator, Mapping

from formats.image import Vcpu
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd

PAIRS = (("rax", "r9"), ("rbx", "r10"), ("rcx", "r11"), ("rdx", "r12"), ("rsi", "r13"), ("rdi", "r14"), ("r8", "r15"))
PAIRS32 = (("rax", "rsi"), ("rbx", "rdi"), ("rcx", "rbp"), ("rdx", "rsp"))
TAIL = (
    ("cs", "ds", "es", "fs"),
    ("gs", "gs_base", "kernel_gs_base"),
    ("trapno", "err", "cr2", "cr3"),
)
SHOWN = {"gs_base": "gsbase", "kernel_gs_base": "kgsbase", "entry_vector": "trapno", "error_code": "err"}
SELECTORS = frozenset({"cs", "ds", "es", "fs", "gs", "ss"})
FLAG_FIELDS = (("id", 21), ("vip", 20), ("vif", 19), ("ac", 18), ("vm", 17), ("rf", 16), ("nt", 14))
FLAG_BITS = (("of", 11), ("df", 10), ("if", 9), ("tf", 8), ("sf", 7), ("zf", 6), ("af", 4), ("pf", 2), ("cf", 0))


@dataclass(frozen=True)
class Register:
    """One saved register of a vcpu.

    value: what it holds
    name: its 64-bit name
    symbol: what the value points to, null where no symbol covers it
    vcpu: the number of its vcpu
    bits: how wide it is
    """

    value: Hex
    name: str
    symbol: str | None
    vcpu: int
    bits: int


def register_lines(rows: Iterable[Register], show: Show) -> Iterator[str]:
    """mdb's layout: the general registers in pairs, then rip, rbp, rsp, the flags and the selectors."""
    by_name = {row.name: row for row in rows}
    if not by_name:
        return
    values = {SHOWN.get(name, name): row.value for name, row in by_name.items()}
    wide = next(iter(by_name.values())).bits == 64
    yield from _pairs(values, show, PAIRS if wide else PAIRS32, wide)
    yield ""
    for name in ("rip", "rbp", "rsp") if wide else ("rip",):
        if name in values:
            yield f"%{_named(name, wide)} = {_word(values[name], wide)} {show.symbol_or_empty(values[name])}".rstrip()
    yield from _flags(values.get("rflags", 0), wide)
    yield ""
    for names in TAIL:
        fields = [_field(SHOWN.get(name, name), values) for name in names if SHOWN.get(name, name) in values]
        if fields:
            yield "\t".join(fields).expandtabs(8)


def _pairs(values: Mapping[str, int], show: Show, pairs: tuple[tuple[str, str], ...], wide: bool) -> Iterator[str]:
    for left, right in pairs:
        first, second = values.get(left, 0), values.get(right, 0)
        yield (
            f"%{_named(left, wide):<3} = {_word(first, wide)} {show.symbol_or_empty(first):>15} "
            f"%{_named(right, wide):<3} = {_word(second, wide)} {show.symbol_or_empty(second)}"
        )


def _flags(flags: int, wide: bool) -> Iterator[str]:
    fields = " ".join(f"{name}={flags >> bit & 1}" for name, bit in FLAG_FIELDS)
    states = ",".join(name.upper() if flags >> bit & 1 else name for name, bit in FLAG_BITS)
    yield f"%{_named('rflags', wide)} = 0x{flags:08x}"
    yield f"  {fields} iopl=0x{flags >> 12 & 3:x}"
    yield f"  status=<{states}>"


def _field(name: str, values: Mapping[str, int]) -> str:
    return f"%{name} = 0x{values[name]:04x}" if name in SELECTORS else f"%{name} = 0x{values[name]:x}"


def _named(name: str, wide: bool) -> str:
    return name if wide or not name.startswith("r") else "e" + name[1:]


def _word(value: int, wide: bool) -> str:
    return f"0x{value:016x}" if wide else f"0x{value:08x}"


@dcmd(("$r", "$?", "regs"), text=register_lines, row=Register)
def regs(call: Call) -> Iterator[Register]:
    """print general purpose registers

    The registers of the representative processor: those of the panic where the guest recorded them, else vcpu 0 as the
    hypervisor saved it. In the context of a process (::context) what its first thread had in them in user mode.

    Example:
        ::regs
    """
    yield from _rows(call, call.session.registers, 0)


@dcmd(
    "cpuregs",
    address="optional",
    flags=(Flag("c", "the vcpu's number, in the current radix", "number", "cpuid"),),
    text=register_lines,
    row=Register,
)
def cpuregs(call: Call) -> Iterator[Register]:
    """print a processor's registers as the hypervisor saved them

    With -c the vcpu of that number, with an address the one of that cpu structure, else vcpu 0.

    Example:
        ::cpuregs -c 0
    """
    number = call.flags.get("c")
    if number is None and call.address is not None:
        number = call.guest.cpu_id(call.address)
    vcpu: Vcpu = call.target.vcpu(number or 0)
    yield from _rows(call, vcpu.registers, vcpu.id)


def _rows(call: Call, registers: Mapping[str, int], vcpu: int) -> Iterator[Register]:
    bits = call.target.word * 8
    for name, value in registers.items():
        symbol = call.session.show.symbol_or_empty(value) or None
        yield Register(Hex(value), name, symbol, vcpu, bits)
