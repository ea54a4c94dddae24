"""Names of addresses, wherever they come from.

    table    Symbol, SymbolTable: lookup by name and by address
"""
