"""What a thread had in its registers in user mode.

They lie at the end of its kernel stack, where the entry from user mode left them, unless the thread runs in user mode
at this moment: then its vcpu has them. Specified in: arch/x86/include/asm/{ptrace,thread_info,processor}.h of Linux.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vmdebug.guests.linux.memory import stack_size
from vmdebug.guests.linux.tasks import Task
from vmdebug.unwind.registers import LAYOUTS, USER

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

PADDINGS = {8: (0, 16), 4: (0, 8, 16)}  # TOP_OF_KERNEL_STACK_PADDING: FRED's two words; 32 bits, with room for vm86


def user_registers(linux: "Linux", task: Task) -> Mapping[str, int]:
    """The registers of a thread in user mode; empty for a kernel thread, or where what lies there is of no user."""
    if not task.mm:
        return {}
    vcpu = linux.stacks.running_on(task)
    if vcpu and vcpu.registers.get("cs", 0) & USER == USER:
        return vcpu.registers
    layout, names = LAYOUTS[linux.word]
    top = task.stack + stack_size(linux)
    for padding in PADDINGS[linux.word] if task.stack else ():
        words = layout.unpack(linux.space.read(top - padding - layout.size, layout.size))
        found = dict(zip(names, words, strict=True))
        if found["cs"] & USER == USER and found["ss"] & USER == USER and not found["cs"] >> 16:
            return found
    return {}
