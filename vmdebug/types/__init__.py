"""Types of data, wherever their description comes from.

    errors     UnknownType, UnknownMember, CtfError, ...
    model      Integer, Pointer, Struct, ...: one model for CTF, BTF and DWARF
    spelling   types as C writes them, and names of integers however they are ordered
    paths      members of members: `a.b->c[3]`
    source     TypeSource: types by name and by symbol
    ctf        the types of an illumos kernel; ctf_container, ctf_records, ctf_symbols read one module's
    dwarf      the types of a program's file; dwarf_search finds entries, dwarf_units, dwarf_abbreviations, dwarf_forms
               read them, dwarf_records makes types of them
    typed      Objects, Typed: values in memory, read once and decoded on demand
    plans      how each type is decoded
    lists      linked lists and AVL trees of illumos

To add a kind of debugging information: write a TypeSource over the model.
"""
