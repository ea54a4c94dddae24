"""From one stack frame to the next.

frames      Frame, and the chain of frame pointers
arguments   where a prologue saved the registers that arguments came in
walk        Call, and the walk from one to the next, whatever makes the step
orc         the step by Linux's unwind data          pointers    the step by its frame pointers
scan        words of a stack that look like calls    registers   what a trap leaves on a stack

Knows memory and machine code only: what a function's arguments are is for the guest to say.
"""
