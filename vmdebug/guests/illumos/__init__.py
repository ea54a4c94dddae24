"""illumos, and the Solaris that it comes from, as a 64-bit Xen domain.

debug_info  the page that says where everything begins
modules     the ring of modctls, what each module has
kernel      Illumos: symbols, types, identity; records and variables
panic       the registers of a panic
stacks      frames with the arguments that their functions saved
cpus        the cpus, time        threads     threads and processes
events      event channels        htables     page tables as the kernel keeps them
whatis      what an address belongs to        dmods    which modules mdb knows

Specified in: the headers of illumos; ctf.h for types. Structures are read by the kernel's own type data.
"""

from vmdebug.guests.illumos.kernel import Illumos
from vmdebug.targets.target import Target

__all__ = ["Illumos", "find"]


def find(target: Target) -> Illumos:
    """The illumos kernel in an image; NotIllumos says why there is none."""
    return Illumos.find(target)
