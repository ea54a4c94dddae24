"""An image as address spaces: the role of libkvm.

modes     which paging mode and which root the saved registers name
spaces    AddressSpace: reads by virtual address through the dumped page tables, cached
bulk      all of an address space in large pieces: tables (what is mapped), pieces (how it is read)
search    values, text and regular expressions in such pieces
target    Target: the kernel's space, physical and machine memory, processes' own spaces
process   one process' view of a target        disk, raw   a disk, or any file, as a target
"""
