"""From one stack frame to the next.

frames      Frame, and the chain of frame pointers
arguments   where a prologue saved the registers that arguments came in

Knows memory and machine code only: what a function's arguments are is for the guest to say.
"""
