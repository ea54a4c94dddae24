"""Hash tables that many parts of the kernel keep by one implementation: chains of entries, each with a key and a value.

The kernel lists all of them, the newest first. Specified in: sys/modhash_impl.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.memory import each_link, read_string
from vmdebug.types.typed import Items

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_HASHES = 1 << 16
MAX_CHAINS = 1 << 22
MAX_ENTRIES = 1 << 22
BY_TEXT = "mod_hash_bystr"  # how keys are hashed that are texts


class BrokenHash(DebuggerError):
    def __init__(self, address: int, reason: str) -> None:
        super().__init__(f"the hash table at {address:x} {reason}")
        self.address = address


class NoSuchChain(DebuggerError):
    def __init__(self, address: int, index: int, count: int) -> None:
        super().__init__(f"the hash table at {address:x} has no chain {index:#x}: it has {count:#x}")


@dataclass(frozen=True)
class Hash:
    """A mod_hash_t: how many chains and entries it says that it has, what it is called, whether its keys are texts."""

    address: int
    chains: int
    elements: int
    name: str
    by_text: bool


@dataclass(frozen=True)
class Entry:
    """A mod_hash_entry, and the chain that it is in."""

    address: int
    chain: int
    key: int
    value: int


def each_hash(guest: "Illumos") -> Iterator[int]:
    """Every mod_hash_t."""
    return each_link(guest.follow("mod_hash_t", "mh_next"), guest.variable("mh_head"), MAX_HASHES)


def read_hash(guest: "Illumos", address: int) -> Hash:
    """A mod_hash_t; a name that cannot be read is `?`."""
    found = guest.objects.at("mod_hash_t", address)
    text = guest.symbols.find(BY_TEXT)
    return Hash(
        address=address,
        chains=found["mh_nchains"],
        elements=found["mh_stat.mhs_nelems"],
        name=text_at(guest, int(found["mh_name"])),
        by_text=text is not None and text.value == found["mh_hashalg"],
    )


def text_at(guest: "Illumos", address: int) -> str:
    """The characters at an address, a key that is a text for one; nothing at NULL, `?` where they cannot be read."""
    try:
        return read_string(guest.target.read, address) if address else ""
    except ReadFailed:
        return "?"


def each_entry(guest: "Illumos", address: int, only: int | None = None) -> Iterator[Entry]:
    """The entries of a mod_hash_t, chain by chain, or those of one chain."""
    heads, count = _chains(guest, address), 0
    if only is not None and not 0 <= only < len(heads):
        raise NoSuchChain(address, only, len(heads))
    follow = guest.follow("struct mod_hash_entry", "mhe_next")
    for number, head in enumerate(heads) if only is None else ((only, heads[only]),):
        for entry in each_link(follow, head, MAX_ENTRIES):
            count += 1
            if count > MAX_ENTRIES:
                raise BrokenHash(address, f"has more than {MAX_ENTRIES} entries")
            yield read_entry(guest, entry, number)


def _chains(guest: "Illumos", address: int) -> Items:
    """The first entry of each chain."""
    found = guest.objects.at("mod_hash_t", address)
    if found["mh_nchains"] > MAX_CHAINS:
        raise BrokenHash(address, f"says that it has {found['mh_nchains']} chains")
    return guest.objects.array("uintptr_t", int(found.refer_("mh_entries")), found["mh_nchains"])


def read_entry(guest: "Illumos", address: int, chain: int = 0) -> Entry:
    found = guest.objects.at("struct mod_hash_entry", address)
    return Entry(address, chain, int(found["mhe_key"]), int(found["mhe_val"]))
