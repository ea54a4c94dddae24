"""Sockets: their family, and the addresses at both ends as far as the socket file system keeps them.

Until 2008 a sonode keeps both; since then only one over STREAMS does, in its private data. Specified in:
sys/socketvar.h, sys/socket.h, sys/un.h, netinet/in.h of illumos.
"""

from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

FAMILIES = {0: "AF_UNSPEC", 1: "AF_UNIX", 2: "AF_INET", 24: "AF_ROUTE", 26: "AF_INET6", 27: "AF_KEY"}
UNIX, INET, INET6 = 1, 2, 26
MAX_ADDRESS = 256  # bytes of a sockaddr; sockaddr_storage has as many


def describe_socket(guest: "Illumos", address: int) -> str:
    """A sonode in words: its own address, or its family where it has none, and the address of the other end if any."""
    found = guest.objects.at("struct sonode", address)
    near, far = _addresses(guest, found)
    words = f"socket: {near or _family(found['so_family'])}"
    return f"{words} remote: {far}" if far else words


def _addresses(guest: "Illumos", found: Typed) -> tuple[str, str]:
    """The address of a socket and that of its peer; nothing for one that it does not have."""
    if "so_laddr" in found:
        return _read(guest, found, "so_laddr"), _read(guest, found, "so_faddr")
    if not found["so_priv"] or found["so_not_str"]:
        return "", ""
    private = guest.objects.at("sotpi_info_t", int(found["so_priv"]))
    return _read(guest, private, "sti_laddr"), _read(guest, private, "sti_faddr")


def _read(guest: "Illumos", record: Typed, member: str) -> str:
    """The sockaddr that a struct soaddr refers to."""
    start, length = int(record[f"{member}.soa_sa"]), record[f"{member}.soa_len"]
    if not start or not 2 <= length <= MAX_ADDRESS:
        return ""
    try:
        return _text(guest.target.read(start, length))
    except DebuggerError:
        return "?"


def _text(data: bytes) -> str:
    """A sockaddr: its family, and a path or an address with a port."""
    from socket import AF_INET, AF_INET6, inet_ntop

    family = int.from_bytes(data[:2], "little")
    port = int.from_bytes(data[2:4], "big")
    if family == UNIX:
        return f"{_family(family)} {data[2:].partition(bytes(1))[0].decode('utf-8', 'backslashreplace')}"
    if family == INET and len(data) >= 8:
        return f"{_family(family)} {inet_ntop(AF_INET, data[4:8])} {port}"
    if family == INET6 and len(data) >= 24:
        return f"{_family(family)} {inet_ntop(AF_INET6, data[8:24])} {port}"
    return _family(family)


def _family(number: int) -> str:
    return FAMILIES.get(number, f"family {number}")
