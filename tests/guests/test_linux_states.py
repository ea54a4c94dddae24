"""States of tasks in kernels of every era: the bits changed their meaning, and the kernel's own table says which."""

import pytest

from fixtures.linux import older, scene
from formats.opener import open_image
from vmdebug.guests.linux import find
from vmdebug.guests.linux.states import letter_of
from vmdebug.targets.target import Target

EARLY, MIDDLE, LATE = "RSDTtZXxKWP", "RSDTtXZ", "RSDTtXZPI"


@pytest.mark.parametrize(("make", "letters"), [("3.10", EARLY), ("4.7", MIDDLE), ("small", LATE)])
def test_the_letters_are_read_from_the_kernels_own_table(make, letters, tmp_path):
    older.build(make).guest.save(tmp_path / "core", format="elf-core")

    assert find(Target(open_image(tmp_path / "core"))).state_letters == letters


def test_a_kernel_without_the_table_is_taken_for_a_newer_one(tmp_path):
    scene.build(scene.Plan()).guest.save(tmp_path / "core", format="elf-core")

    assert find(Target(open_image(tmp_path / "core"))).state_letters == LATE


@pytest.mark.parametrize(
    ("state", "ended", "shown"),  # in the kernels up to 3.13, up to 4.13, and after
    [
        (0, 0, "RRR"),
        (0x1, 0, "SSS"),
        (0x2, 0, "DDD"),
        (0x2001, 0, "SSS"),  # freezable
        (0x104, 0, "TTT"),
        (0x108, 0, "ttt"),
        (0x402, 0, "DDI"),  # an idle kernel thread
        (0x40, 0, "RRP"),  # dead, since 4.14 parked
        (0x80, 0x20, "XZZ"),
        (0, 0x10, "ZXX"),
        (0, 0x20, "XZZ"),
    ],
)
def test_a_state_has_the_letter_that_its_kernel_would_show(state, ended, shown):
    assert "".join(letter_of(letters, state, ended) for letters in (EARLY, MIDDLE, LATE)) == shown
