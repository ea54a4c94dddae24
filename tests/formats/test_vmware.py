"""VMware's state files: memory inside or beside them, registers as tags or blocks, and damage."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import Guest
from fixtures.vmware import save_pair
from formats import ImageError, open_image
from formats.errors import ImageDamaged, ImageNotSupported
from formats.image import PageState, Run
from formats.opener import open_source
from formats.source import BufferSource
from vmdebug.targets.target import Target

TEXT = 0xFFFF_FFFF_8000_0000


def make_guest():
    guest = Guest("4-level", pv=False, memory="1M")
    guest.map(TEXT, data=b"kernel text")
    guest.poke(0xFF000, b"last page")
    guest.vcpu(rip=TEXT, rsp=TEXT + 0xFF8, rbp=0x123, rax=7, gs_base_kernel=0x77)
    guest.vcpu(rip=TEXT + 1, rsp=TEXT + 0xF00)
    return guest


def check(image):
    first, second = image.vcpus
    assert image.about.format == "vmware"
    assert image.about.warnings == []
    assert Target(image).read(TEXT, 11) == b"kernel text"
    assert (first.registers["rip"], first.registers["rax"], first.registers["rbp"]) == (TEXT, 7, 0x123)
    assert (first.registers["gs_base"], second.registers["rsp"]) == (0x77, TEXT + 0xF00)
    assert (first.registers["idt_base"], first.registers["idt_limit"]) == (0xFFFF_FE00_0000_0000, 0xFFF)


@pytest.mark.parametrize("registers", ["tags", "blocks"])
@pytest.mark.parametrize("old", [True, False])
def test_memory_inside_the_state_file_is_found_and_not_copied(registers, old):
    guest = make_guest()
    data = guest.to_bytes("vmware", registers=registers, old=old)

    image = open_source(BufferSource("state", data))

    check(image)
    assert image.locate(5)[0] is data
    assert image.read(0xFF000, 9) == b"last page"


@pytest.mark.parametrize("name", ["machine.vmss", "machine-Snapshot1.vmsn"])
def test_either_file_of_a_pair_opens_both(name, tmp_path):
    memory = save_pair(make_guest(), tmp_path / name)

    for path in (tmp_path / name, memory):
        check(open_image(path))


def test_a_pair_under_other_names_opens_if_both_are_named(tmp_path):
    memory = save_pair(make_guest(), tmp_path / "machine.vmss")
    memory.rename(tmp_path / "elsewhere")

    check(open_image(tmp_path / "elsewhere", tmp_path / "machine.vmss"))
    with pytest.raises(ImageError, match=r"must lie beside it, but .*machine.vmem is not there"):
        open_image(tmp_path / "machine.vmss")


def test_memory_past_the_hole_lies_at_its_guest_addresses(tmp_path):
    guest = make_guest()
    save_pair(guest, tmp_path / "machine.vmss", hole_at=0x80)

    image = open_image(tmp_path / "machine.vmss")

    present = PageState.PRESENT
    assert list(image.runs()) == [Run(0, 0x80, present), Run(1 << 20, 0x80, present)]
    assert image.read((1 << 32) + 0x7F000, 9) == b"last page"


def test_files_that_do_not_match_are_a_warning(tmp_path):
    memory = save_pair(make_guest(), tmp_path / "machine.vmss", hole_at=0x80)
    with memory.open("ab") as file:
        file.truncate(0xC0000)

    image = open_image(tmp_path / "machine.vmss")

    assert "do the files match?" in image.about.warnings[0]
    assert "truncated" in image.about.warnings[1]
    assert image.state(0x10) is PageState.PRESENT


def test_a_file_with_another_format_is_not_taken_for_the_memory(tmp_path):
    save_pair(make_guest(), tmp_path / "machine.vmss")
    make_guest().save(tmp_path / "machine.lime", format="lime")

    assert open_image(tmp_path / "machine.lime").about.format == "lime"


@pytest.mark.parametrize(
    ("field", "value", "error", "said"),
    [
        ("groups", 0xFFFF_FFFF, ImageDamaged, "which do not fit into the file"),
        ("memory.tag", 0, ImageError, "must lie beside it, but it is not a file"),
    ],
)
def test_each_damaged_field_is_named(field, value, error, said, tmp_path):
    with (tmp_path / "state").open("w+b") as file:
        at, size = make_guest().write_to(file, "vmware")[field]
        file.seek(at)
        file.write(value.to_bytes(size, "little"))

    with pytest.raises(error, match=said):
        open_source(BufferSource("state", (tmp_path / "state").read_bytes()))


def test_a_file_that_ends_inside_its_tags_is_damage():
    data = make_guest().to_bytes("vmware")

    with pytest.raises(ImageDamaged, match=r"truncated: a tag of group 'memory' at .* does not fit"):
        open_source(BufferSource("state", data[: data.index(b"align_mask") + 12]))


def test_compressed_memory_is_refused_by_name():
    data = bytearray(make_guest().to_bytes("vmware"))
    at = data.index(b"Memory") - 2
    data[at] = data[at] & 0xC0 | 62

    with pytest.raises(ImageNotSupported, match="compressed memory"):
        open_source(BufferSource("state", bytes(data)))


SMALL = make_guest().to_bytes("vmware", hole_at=0x80)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 3200), st.binary(min_size=1, max_size=8), st.integers(0, len(SMALL)))
def test_mutated_files_give_pages_or_one_image_error(at, value, size):
    mutant = bytearray(SMALL)
    mutant[at : at + len(value)] = value

    try:
        image = open_source(BufferSource("mutant", bytes(mutant[:size])))
        assert all(run.count > 0 for run in image.runs())
        assert {image.state(pfn) for pfn in range(300)} <= set(PageState)
    except ImageError as err:
        assert "\n" not in str(err)
