"""Linux, found in memory with nothing but the image.

    image     where the kernel lies: from a vcpu's page tables      names   its symbols and its modules' own
    kernel    Linux: what every kind of guest answers             coreinfo   what it says of itself in VMCOREINFO
    modules variables percpu   loaded modules, types of variables, per-CPU places
    tasks states stacks cpus log   processes, how they are unwound, processors, the kernel's messages
    orctables regions text     unwind data, where stacks lie, where instructions lie and calls return to
    generated traced           code made at run time (BPF, trampolines), return addresses that a tracer replaced
    mm paths files namespaces  address spaces of processes, paths, open files and mounts, numbers in pid namespaces
    pages memory vmalloc       page descriptors and the direct map, what memory is used for, areas mapped piece by piece
    slabs freelists            caches of objects, and which objects are free
    interrupts timers workqueues   what calls the kernel now or later
    lists trees radix          walks of what it keeps these in       whatis   what an address belongs to
    usermode landmarks         registers of processes in user mode, where text and data lie
    xen                        the guest's side of Xen

Layouts are recognised by what is in memory, never by a version. Knows no dcmd.
"""

from vmdebug.guests.linux.kernel import Linux, find

__all__ = ["Linux", "find"]
