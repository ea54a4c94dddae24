"""What an engineer asks: one module a subject, each with its dcmds, their rows, their text and their help.

No module here imports another, and nothing below names one: vmdebug/load.py finds them, as it finds plug-ins. A name
stands in its module's source as a plain quoted string: that is how the module of a command is found without importing
the others.

To add a dcmd: write it into the module of its subject, or a new one; its docstring is its help.
"""
