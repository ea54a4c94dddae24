"""What `make bench` measures: one module a subject, each yielding Measure rows; all in one run, as ratios to a peer.

    startup   from the command to the first answer     reads     bytes through page tables
    opening   time and memory to open small and huge dumps
    formats   compressed dumps, streams, disks             transcript   a session as a terminal shows it
    linux     a Linux guest: processes, stacks, memory, bytes read
    search    ::kgrep and ::find over 2 GiB
    peers     crash and drgn beside vmdebug, for linux and search: how to have them stands there

These machines are noisy: a figure is the median of several runs, and the ratio to its peer is what to quote.
"""
