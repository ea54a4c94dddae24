"""Processors as the kernel sees them: what each runs, what waits for it, whether it can be interrupted."""

from typing import TYPE_CHECKING

from formats.image import Vcpu
from formats.lazy import dataclass
from vmdebug.guests.linux.tasks import Task, current_task, idle_task

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

RFLAGS_IF = 1 << 9
NO_RESCHEDULE = 1 << 31  # of the preempt count: set where no switch is needed
PREEMPT_MASK, SOFTIRQ_SHIFT, HARDIRQ_SHIFT, NMI_SHIFT = 0xFF, 8, 16, 20
SOFTIRQS = ("HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU")


@dataclass(frozen=True)
class Cpu:
    """One processor. `preempt` is its preempt count, `softirqs` the names of those that are pending."""

    number: int
    queue: int
    current: Task
    idle: bool
    running: int
    preempt: int | None
    softirqs: tuple[str, ...]
    interrupts: bool | None

    @property
    def context(self) -> str:
        """What the processor was in: nmi, hardirq, softirq, or task."""
        count = self.preempt or 0
        if count >> NMI_SHIFT & 0xF:
            return "nmi"
        if count >> HARDIRQ_SHIFT & 0xF:
            return "hardirq"
        return "softirq" if count >> SOFTIRQ_SHIFT & 0xFF else "task"


def read_cpu(linux: "Linux", number: int, vcpu: Vcpu | None = None) -> Cpu:
    """A processor's state, with its interrupt flag where its registers are known."""
    queue = linux.per_cpu.address("runqueues", number)
    current, idle = current_task(linux, number), idle_task(linux, number)
    pending = _variable(linux, number, "__softirq_pending", "softirq_pending", "irq_stat") or 0
    names = tuple(name for bit, name in enumerate(SOFTIRQS) if pending >> bit & 1)
    preempt = _variable(linux, number, "__preempt_count", "preempt_count")
    return Cpu(
        number=number,
        queue=queue,
        current=current,
        idle=idle is not None and idle.address == current.address,
        running=int(linux.objects.at("struct rq", queue)["nr_running"]),
        preempt=None if preempt is None else preempt & ~NO_RESCHEDULE,
        softirqs=names,
        interrupts=None if vcpu is None else bool(vcpu.registers.get("rflags", 0) & RFLAGS_IF),
    )


def _variable(linux: "Linux", cpu: int, own: str, hot: str, inside: str = "") -> int | None:
    """A per-CPU number: a variable of its own, a member of pcpu_hot (6.2 to 6.14), or of irq_stat."""
    if linux.names.find("pcpu_hot"):
        held = linux.objects.at("struct pcpu_hot", linux.per_cpu.address("pcpu_hot", cpu))
        return int(held[hot]) if hot in held else None
    if linux.names.find(own):
        return int.from_bytes(linux.space.read(linux.per_cpu.address(own, cpu), 4), "little")
    if inside and linux.names.find(inside):
        stat = linux.objects.at("irq_cpustat_t", linux.per_cpu.address(inside, cpu))
        return int(stat[own]) if own in stat else None
    return None
