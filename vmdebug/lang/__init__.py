"""The language: text in, statements, values and lines out. Nothing here reads files or writes to a terminal.

tokens, lexer     text as tokens, with positions and the scanner's states; highlighting and completion read these too
tree, grammar     statements as frozen dataclasses, and the parser that makes them
printer           a statement as text that parses to the same statement
expressions       values of expressions, over an Environment
numbers, escapes  numbers in a radix, C escapes
letters, values   the format letters: one table, and how each shows a value
output            columns, wrapping and tabs of one command's output
formats           / \\ ? @ = at work: pieces of output for the letters of a format list
memory            the match letters, and the write letters, which are refused
flags             the words of a call as flags and arguments
variables         > and < : named values, registers, dot
rowkeys           rows by the keys of their JSON
conditions        what ::where asks of a row
settings          what -o and ::set change
aliases           names that $< knows without a file
pipeline          stages: what runs, with which dot, and what flows on
show, state       names and numbers as text; what a session knows between two commands
demangle          names of C++ and Rust
wording           how errors are told

Stands on vmdebug.render, vmdebug.dcmd and below.
"""
