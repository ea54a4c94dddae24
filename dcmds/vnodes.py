"""Files of illumos by their vnodes: ::vnode2path."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Text, dcmd
from vmdebug.guests.illumos.kernel import illumos


@dataclass(frozen=True)
class PathRow:
    """A file.

    addr: its vnode
    path: the path by which it was opened, null where the kernel kept none
    """

    addr: Vaddr
    path: str | None


@dcmd("vnode2path", address="required", text=Text("{path}", missing="??"), row=PathRow, guests=("illumos",))
def vnode2path(call: Call) -> Iterator[PathRow]:
    """vnode address to pathname

    The path that the kernel keeps with the vnode.

    Reads: v_path of vnode_t.

    Example:
        p0::ptree | ::print proc_t p_exec | ::grep '.!=0' | ::vnode2path
    """
    for address in call.addresses:
        path = illumos(call.guest).objects.at("vnode_t", address)["v_path"]
        yield PathRow(Vaddr(address), path.string() if path else None)
