"""The letters that stand for the states of tasks, as this kernel itself gives them in /proc.

The bits changed their meaning in 3.14 and 4.14. The kernel keeps a table of texts (`S (sleeping)`), one for each bit
from the lowest on after one for no bit: that is what its own ps shows. Specified in: fs/proc/array.c of Linux.
"""

from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

SINCE_4_14 = "RSDTtXZPI"
ALIKE = "RSDTt"  # what every kernel's table begins with
MOST = 16  # letters
STATE_BITS, PARKED, EXIT_BITS = 0xF, 0x40, 0x30
UNINTERRUPTIBLE, NOLOAD = 0x2, 0x400


def find_letters(linux: "Linux") -> str:
    """The first letters of the kernel's own table; those of 4.14 and later where it is not to be found."""
    table = linux.names.find("task_state_array")
    if table is None:
        return SINCE_4_14
    found = ""
    for number in range(MOST):
        try:
            text = linux.space.read(linux.read_word(table.value + number * linux.word), 3)
        except DebuggerError:
            break
        if text[1:] != b" (":
            break
        found += chr(text[0])
    return found if found.startswith(ALIKE) else SINCE_4_14


def letter_of(letters: str, state: int, ended: int) -> str:
    """The letter for a task's state and exit_state: the highest bit of those that the kernel reports."""
    idle = UNINTERRUPTIBLE | NOLOAD
    if "I" in letters and state & idle == idle and not ended:
        return "I"
    parked = PARKED if letters[7:8] == "P" else 0  # before 4.14 this bit, in `state`, says that the task is dead
    shown = state & (STATE_BITS | parked) | ended & EXIT_BITS
    return letters[shown.bit_length()] if shown.bit_length() < len(letters) else "?"
