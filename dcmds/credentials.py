"""Who a thread or a process of illumos acts for: ::cred."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Text, dcmd
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.types.typed import Typed


@dataclass(frozen=True)
class CredRow:
    """Credentials.

    addr: the cred_t
    uid: the effective user
    gid: the effective group
    ruid: the real user
    rgid: the real group
    groups: how many further groups
    """

    addr: Vaddr
    uid: int
    gid: int
    ruid: int
    rgid: int
    groups: int


CRED = Text(
    "{addr:016x} {uid:>8} {gid:>8} {ruid:>8} {rgid:>8} {groups:>8}",
    head=f"{'ADDR':>16} {'UID':>8} {'GID':>8} {'RUID':>8} {'RGID':>8} #GRP(+SIDS)",
)


@dcmd("cred", address="required", text=CRED, row=CredRow, guests=("illumos",))
def cred(call: Call) -> Iterator[CredRow]:
    """display a credential

    Reads: cred_t.

    Example:
        0t403::pid2proc | ::print proc_t p_cred | ::cred
    """
    for address in call.addresses:
        found = illumos(call.guest).objects.at("cred_t", address)
        yield CredRow(
            addr=Vaddr(address),
            uid=found["cr_uid"],
            gid=found["cr_gid"],
            ruid=found["cr_ruid"],
            rgid=found["cr_rgid"],
            groups=_count_groups(found),
        )


def _count_groups(record: Typed) -> int:
    """How many groups credentials have beside their own: since 2010 those stand in a structure that may be shared."""
    if "cr_ngroups" in record:
        return int(record["cr_ngroups"])
    return int(record["cr_grps"]["crg_ngroups"]) if record["cr_grps"] else 0
