"""The guest's processors: ::cpuinfo of Linux guests, the walker of run queues."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.image import Vcpu
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd, walker
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.cpus import Cpu, read_cpu
from vmdebug.guests.linux.kernel import Linux, linux

GUESTS = ("linux",)
HEAD = " ID ADDR             NRUN CONTEXT IRQ PREEMPT PID    TASK             COMM"


@dataclass(frozen=True)
class CpuRow:
    """A processor.

    addr: its run queue
    id: its number
    nrun: threads that run or wait to
    context: what it was in: task, softirq, hardirq or nmi
    irq: whether interrupts were on, null where no registers are saved for it
    preempt: its preempt count, null where the kernel keeps none
    pid: the number of the thread that it runs
    task: that thread's task_struct
    comm: that thread's name, (idle) where there was nothing to do
    softirqs: the software interrupts that are pending
    """

    addr: Vaddr
    id: int
    nrun: int
    context: str
    irq: bool | None
    preempt: Hex | None
    pid: int
    task: Vaddr
    comm: str
    softirqs: Sequence[str]
    _full: bool


def cpu_lines(rows: Iterable[CpuRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield HEAD
        irq = "-" if row.irq is None else "on" if row.irq else "off"
        preempt = "-" if row.preempt is None else f"{row.preempt:x}"
        yield (
            f"{row.id:>3} {row.addr:016x} {row.nrun:>4} {row.context:<7} {irq:<3} {preempt:>7} "
            f"{row.pid:<6} {row.task:016x} {row.comm}"
        )
        if row._full:
            yield f"{'':4}pending softirqs: {' '.join(row.softirqs) or 'none'}"


@dcmd(
    "cpuinfo",
    address="optional",
    flags=(Flag("v", "with the software interrupts that are pending"),),
    text=cpu_lines,
    row=CpuRow,
    guests=GUESTS,
)
def cpuinfo(call: Call) -> Iterator[CpuRow]:
    """print CPUs and currently executing threads

    Each processor's run queue, what it runs, and whether it could be interrupted. An address selects one, by its
    number or its run queue.

    Reads: per-CPU runqueues: struct rq (curr, idle, nr_running); struct task_struct (pid, comm), irq_cpustat_t
    (__softirq_pending), struct pcpu_hot, the saved registers.

    Example:
        ::cpuinfo -v
    """
    kernel = linux(call.guest)
    numbers = kernel.per_cpu.cpus if call.address is None else [chosen(kernel, call.address)]
    for number in numbers:
        cpu = read_cpu(kernel, number, saved(kernel, number))
        yield row_of(cpu, "v" in call.flags)


def chosen(kernel: Linux, address: int) -> int:
    """The processor that a number or the address of a run queue means."""
    return address if address in kernel.per_cpu.cpus else kernel.cpu_id(address)


def saved(kernel: Linux, number: int) -> Vcpu | None:
    """The vcpu of a processor: by its gs base where that tells, else by its number."""
    return next((vcpu for vcpu in kernel.target.image.vcpus if vcpu.id == number), None)


def row_of(cpu: Cpu, full: bool) -> CpuRow:
    return CpuRow(
        addr=Vaddr(cpu.queue),
        id=cpu.number,
        nrun=cpu.running,
        context=cpu.context,
        irq=cpu.interrupts,
        preempt=None if cpu.preempt is None else Hex(cpu.preempt),
        pid=cpu.current.pid,
        task=Vaddr(cpu.current.address),
        comm="(idle)" if cpu.idle else cpu.current.comm,
        softirqs=cpu.softirqs,
        _full=full,
    )


@walker("runq", guests=GUESTS)
def walk_runq(call: Call) -> Iterator[int]:
    """walk the run queues of the processors"""
    kernel = linux(call.guest)
    for number in kernel.per_cpu.cpus:
        yield kernel.per_cpu.address("runqueues", number)


@walker("cpu", guests=GUESTS)
def walk_cpu(call: Call) -> Iterator[int]:
    """walk the run queues of the processors"""
    return walk_runq(call)


@walker("percpu", start="required", guests=GUESTS)
def walk_percpu(call: Call) -> Iterator[int]:
    """walk a per-CPU variable: its address for each processor"""
    kernel = linux(call.guest)
    if call.address is None:
        raise DebuggerError("walker requires starting address")
    for number in kernel.per_cpu.cpus:
        yield kernel.per_cpu.moved(call.address, number)
