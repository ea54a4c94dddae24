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


INIT = 0xFFFF_FFFE_C0C3_E0C0
LOST = "the process that panicked could not be dumped"


@pytest.mark.parametrize(
    ("content", "panicked", "said"),
    [
        ("all", None, ["all kernel and user pages"]),
        ("curproc", None, ["kernel pages only", f"  (curproc requested, but {LOST})"]),
        ("curproc", 0, ["kernel pages only", "  (curproc requested, but a kernel thread panicked)"]),
        ("curproc", 1, ["kernel pages and pages from PID 1"]),
    ],
)
def test_a_crash_dump_says_whose_pages_it_has(illumos, place, word, content, panicked, said):
    form = {"recipe": "demo-hvm", "format": "illumos-vmcore", "content": content}
    objects = illumos(**form).guest.objects
    thread = {None: 0, 0: 0xFFFF_FF00_0159_3C80, 1: int(objects.at("proc_t", INIT).p_tlist)}[panicked]

    lines = illumos({place("panic_thread"): word(thread)}, **form).text("::status")

    assert lines[3:] == [f"dump content: {said[0]}", *said[1:]]


def test_a_dump_without_any_registers_is_told(illumos):
    told = "failed to read panicbuf and panic_reg -- current register set will be unavailable"

    assert told in illumos(recipe="demo-hvm", format="illumos-vmcore").guest.cautions()
    assert told not in illumos().guest.cautions()
