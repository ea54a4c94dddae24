"""Linux, found in memory with nothing but the image.

    image     where the kernel lies: from a vcpu's page tables      names   its symbols and its modules' own
    kernel    Linux: what every kind of guest answers

Layouts are recognised by what is in memory, never by a version. Knows no dcmd.
"""

from vmdebug.guests.linux.kernel import Linux, find

__all__ = ["Linux", "find"]
