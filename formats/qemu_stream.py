"""QEMU's migration stream: `migrate` into a file, the state in a qcow2 snapshot, and inside libvirt's save files.

Memory comes as records of single pages, or at fixed places of the file (mapped-ram); devices follow, with the vcpus'
registers among them, and a description of their fields.
Specified in: docs/devel/migration of QEMU; read in the modules qemu_stream_*.
"""

from formats.image import Image
from formats.options import DEFAULTS, Options
from formats.source import Source

NAME = "qemu-stream"
DESCRIPTION = "QEMU migration stream (migrate, savevm, virsh save)"
HEADS = (b"QEVM",)
MAGIC = b"QEVM"


def probe(source: Source) -> bool:
    """True if the stream's magic number is there."""
    return source.peek(0, len(MAGIC)) == MAGIC


def open_image(source: Source, options: Options = DEFAULTS) -> Image:
    """Reads the devices' description, indexes the pages if no index of them is in the cache, and reads the vcpus."""
    from formats.qemu_stream_image import open_stream

    return open_stream(source, options, NAME, DESCRIPTION)
