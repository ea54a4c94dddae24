"""An image as address spaces: the role of libkvm.

modes     which paging mode and which root the saved registers name
spaces    AddressSpace: reads by virtual address through the dumped page tables, cached
target    Target: the kernel's space, physical and machine memory, processes' own spaces
"""
