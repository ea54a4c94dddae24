"""What a Linux guest on Xen grants to other domains: ::grants."""

from collections.abc import Iterable, Iterator

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd
from vmdebug.guests.linux.grants import TYPES, Grant, Grants
from vmdebug.guests.linux.kernel import linux

HEAD = "  REF TYPE       DOM    FRAME RIGHTS MAPPED"


@dataclass(frozen=True)
class GrantRow:
    """A grant reference in use. What only the table tells is null where the image does not hold the table.

    ref: its number
    type: access, transfer or transitive; invalid for one that is reserved, but grants nothing
    domain: the domain that it is granted to
    frame: the frame that is granted: an mfn of a paravirtualised guest, otherwise a gfn
    readonly: whether that domain may only read
    mapped: how that domain has it mapped now: r, w, rw, or empty
    """

    ref: Hex
    type: str | None
    domain: int | None
    frame: Hex | None
    readonly: bool | None
    mapped: str | None


def grant_lines(rows: Iterable[GrantRow], _: Show) -> Iterator[str]:
    rights = {None: "-", True: "ro", False: "rw"}
    for number, row in enumerate(rows):
        if number == 0:
            yield HEAD
        domain = "-" if row.domain is None else f"d{row.domain}"
        frame = "-" if row.frame is None else f"{row.frame:x}"
        mapped = "?" if row.mapped is None else row.mapped or "-"
        yield f"{row.ref:>5x} {row.type or '?':<10} {domain:<4} {frame:>7} {rights[row.readonly]:<6} {mapped}"


@dcmd(
    "grants",
    address="optional",
    flags=(Flag("a", "also references that are reserved, but grant nothing now"),),
    text=grant_lines,
    row=GrantRow,
    guests=("linux",),
)
def grants(call: Call) -> Iterator[GrantRow]:
    """print grant references

    The pages that the guest lets other domains use. The table itself belongs to the hypervisor, and is not in the dump
    of a paravirtualised domain: then the kernel's own notes tell which references are in use, and no more. An address
    is a reference and shows that one.

    Reads: nr_grant_frames, gnttab_interface, gnttab_free_bitmap or in older kernels gnttab_list, and the frames of the
    grant table as Xen specifies them, versions 1 and 2.

    Example:
        ::grants -a
    """
    table = Grants(linux(call.guest))
    if table.missing:
        call.warn(f"the grant table is the hypervisor's and not in the image: {table.missing}")
    for grant in table.each():
        wanted = call.address is None and ("a" in call.flags or grant.type != TYPES[0])
        if wanted or grant.reference == call.address:
            yield _row(grant)


def _row(grant: Grant) -> GrantRow:
    return GrantRow(
        ref=Hex(grant.reference),
        type=grant.type,
        domain=grant.domain,
        frame=None if grant.frame is None else Hex(grant.frame),
        readonly=grant.read_only,
        mapped=grant.mapped,
    )
