"""illumos, and the Solaris that it comes from, as a 64-bit Xen domain.

debug_info  the page that says where everything begins
modules     the ring of modctls, what each module has
kernel      Illumos: symbols, types, identity; records and variables
panic       the registers of a panic
hypervisor  the hypervisor that panicked below dom0
stacks      frames with the arguments that their functions saved
cpus        the cpus, time        threads     threads and processes        findstack   threads' stacks
processes   what identifies a process        stack_groups   threads that do the same
tasks       groups of processes              streams     queues of streams, message blocks
anon        anonymous memory of processes    partitions  processor sets, latency groups
linkersets  tables that the linker gathered
waiting     what threads wait for            locks       mutexes, readers-writer locks
events      event channels        apics       interrupts of kernels without them
htables     translation by the kernel's own record
hats        that record: a hat for each address space, an htable for each table
memory      segments, physical memory, caches        pages   page structures, uses of memory
kmem        the buffers of caches            vmem        the segments of arenas
buffers     all that both gave out, and what points into it                     leaks       what nothing points into
audits      who took and gave back the buffers of caches
kmem        the buffers of caches          audits      who took and gave them back
vmem        the segments of arenas         buffers     all that allocators gave out, what points into it
leaks       what nothing points into
typegraph   of what types buffers are, by the pointers to them       shapes      where types have pointers
devices     the device tree                properties  those of its nodes
drivers     drivers, and what they and buses keep
kmem_usage  what caches count             kmem_log    the allocator's log
kmem_users  who has the most buffers      kmem_verify buffers that were overwritten
gates       the interrupt table, soft interrupts     trap_traces what went through it      taskqs   task queues
cyclics     what cpus call at their times             cyclic_traces   what they noted of that
callouts    what is called once, at its time          callout_choice   which of that somebody wants
xcalls      what cpus ask of each other
log         the system log                           files       open files        clock   the time of day
names       names of files, by the kernel's cache of them              sockets     addresses of sockets
hashes      hash tables of one implementation
configuration   /etc/system, scheduling classes, zones
frames      machine frames and the kernel's own numbers
types       where the type data is
spaces      memory and registers of processes in user mode        landmarks   where text and data lie
whatis      what an address belongs to        dmods    which modules mdb knows

Specified in: the headers of illumos; ctf.h for types. Structures are read by the kernel's own type data.
"""

from typing import TYPE_CHECKING

from vmdebug.guests.illumos.debug_info import read_debug_info

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos
    from vmdebug.targets.target import Target


def find(target: "Target") -> "Illumos":
    """The illumos kernel in an image; NotIllumos says why there is none."""
    info = read_debug_info(target)
    from vmdebug.guests.illumos.kernel import Illumos

    return Illumos.find(target, info)
