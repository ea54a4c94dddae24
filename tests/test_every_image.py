"""The same guest gives the same answers from every format that holds it, on real images."""

import io

import pytest

from formats import open_image
from vmdebug.guests import find_guest
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target

ONE_INSTANT = (
    "linux-mini.elf.core",
    "linux-mini.disk.qcow2",
    "linux-mini.migrate.stream",
    "linux-mini.kdump-zlib.flat",
    "linux-mini.kdump-d31-zstd",
)
OTHERS = (
    "linux-q10.mapped-ram",
    "linux-libvirt.save",
    "linux-72.elf.core",
    "linux-crash.kdump-d31-zlib",
    "xen-pv.save",
)
ASKED = ("::ps", "::stacks", "::dmesg", "::modinfo", "::cpuinfo", "::cpustack -c 0", "::cpustack -c 1")


def asked(path):
    """The rows of every question, as plain values."""
    load_dcmds(pytest.fail)
    target = Target(open_image(path))
    err = io.StringIO()
    session = Session(target, find_guest(target), out=io.StringIO(), err=err)
    rows = {text: [repr(row) for row in session.rows(text)] for text in ASKED}
    assert err.getvalue() == ""
    return rows


@pytest.fixture(scope="module")
def first(real):
    return asked(real(ONE_INSTANT[0]))


@pytest.mark.parametrize("name", ONE_INSTANT[1:])
def test_one_instant_answers_alike_in_every_format(name, first, real):
    assert asked(real(name)) == first


@pytest.mark.parametrize("name", OTHERS)
def test_every_linux_image_answers_every_question(name, real):
    found = asked(real(name))

    assert len(found["::ps"]) > 60
    assert len(found["::dmesg"]) > 200
    assert all(found.values())
