"""Linux kernels found in real images, by registers and page tables alone, against what the guests said."""

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report, section
from vmdebug.guests.linux import find
from vmdebug.targets.target import Target


@pytest.fixture(params=REPORTS)
def case(request, real, truth):
    return find(Target(open_image(real(request.param)))), report(truth, request.param)


def test_the_kernel_is_who_its_guest_said(case):
    linux, said = case
    status = linux.status()

    assert linux.banner_text == section(said, "version").strip()
    assert f"Linux {status.nodename} {status.release} {status.version} {status.machine}" in section(said, "uname")


def test_nearest_symbols_print_as_users_expect(case):
    linux, _ = case
    schedule = linux.symbols.find("schedule")

    found, only_in_a_module = linux.symbols.nearest(schedule.value + 4)

    assert (found.name, found.kind, only_in_a_module) == ("schedule", "FUNC", False)
    assert linux.symbols.nearest(0x1000) is None
    assert linux.symbols.nearest((1 << 64) - 8) is None


@pytest.mark.parametrize("name", ["linux-mini.elf.core", "linux-72.elf.core"])
def test_without_registers_the_kernel_is_found_by_its_page_tables(name, real):
    image = open_image(real(name))
    with_registers = find(Target(open_image(real(name))))
    image.vcpus = ()
    target = Target(image)

    linux = find(target)

    assert (linux.banner_text, linux.image.text) == (with_registers.banner_text, with_registers.image.text)
    assert target.read(linux.address("linux_banner"), 13) == b"Linux version"
