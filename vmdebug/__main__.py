"""`python -m vmdebug` is the command `vmdebug`."""

from vmdebug.cli import run

run()
