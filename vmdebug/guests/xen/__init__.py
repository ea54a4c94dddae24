"""A Xen hypervisor, seen in an image of the whole machine.

hypervisor   Xen: found by its image in the page tables; names and types come from the user's xen-syms
domains      domains and their vcpus, in any memory that has the hypervisor's types

Specified in: the headers of Xen; multiboot.h for how its image begins. Structures are read by the types of the
hypervisor's own build.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmdebug.guests.xen.hypervisor import Xen
    from vmdebug.targets.target import Target


def find(target: "Target") -> "Xen":
    """The hypervisor of an image; NotXen says why there is none."""
    from vmdebug.guests.xen.hypervisor import Xen, find_image

    return Xen(target, find_image(target))
