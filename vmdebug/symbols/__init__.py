"""Names of addresses, wherever they come from.

table    Symbol, SymbolTable: lookup by name and by address
elf      ELF symbol tables as they lie in memory
file     the ELF file that the user names; sections: the bytes of its sections
"""
