"""Section A.1: ::status, each line that a kernel may have."""

import pytest

HEAD = ["debugging domain crash dump {file} (64-bit) from sxc16", "operating system: 5.11 onnv-johnlev (i86pc)"]


@pytest.fixture
def place(illumos):
    """Where a variable lies."""
    return lambda name: illumos().truth.address(name)


def head(debug):
    return [line.format(file=debug.target.name) for line in HEAD]


def test_prints_who_this_is(illumos):
    debug = illumos()

    assert debug.text("::status") == head(debug)


def test_names_no_one_where_utsname_cannot_be_read(illumos, place):
    debug = illumos(gone=[place("utsname")])

    assert debug.text("::status") == [f"debugging domain crash dump {debug.target.name} (64-bit) from unknown machine"]


def test_a_crash_dump_says_what_the_kernel_said_and_which_pages_it_has(illumos):
    debug = illumos(recipe="demo-hvm", format="illumos-vmcore")

    assert debug.text("::status") == [
        f"debugging crash dump {debug.target.name} (64-bit) from sxc16",
        "operating system: 5.11 onnv-johnlev (i86pc)",
        "panic message: a fixture panics",
        "dump content: kernel pages only",
    ]


def test_other_images_of_a_machine_are_called_so(illumos):
    debug = illumos(recipe="demo-hvm", format="elf-core")

    assert debug.text("::status")[0] == f"debugging virtual machine image {debug.target.name} (64-bit) from sxc16"
