"""Section I: ::cred."""

import pytest

HEAD = "            ADDR      UID      GID     RUID     RGID #GRP(+SIDS)"


@pytest.fixture
def bash(illumos):
    """The credentials of a user's process."""
    (row,) = illumos().rows("0t403::pid2proc | ::print proc_t p_cred | ::cred")
    return row.addr


def test_prints_credentials(illumos, bash):
    assert illumos().text(f"{bash:x}::cred") == [HEAD, f"{bash:016x}      101       10      101       10        0"]


@pytest.mark.parametrize(
    ("member", "key"),
    [("cr_uid", "uid"), ("cr_gid", "gid"), ("cr_ruid", "ruid"), ("cr_rgid", "rgid"), ("cr_ngroups", "groups")],
)
def test_each_column_is_its_member(illumos, bash, member, key):
    place = bash + illumos().guest.objects.offsetof("cred_t", member)

    (row,) = illumos({place: (12345).to_bytes(4, "little")}).rows(f"{bash:x}::cred")

    shown = {"uid": 101, "gid": 10, "ruid": 101, "rgid": 10, "groups": 0}
    assert {name: getattr(row, name) for name in shown} == shown | {key: 12345}
