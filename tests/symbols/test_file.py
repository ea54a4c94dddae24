"""The ELF file that the user names: whatever is in it, its sections or one line come out."""

import random
import struct
import time
import zlib

import pytest

from vmdebug.symbols.file import BadSymbolFile, SymbolFile, build_id

NAMES = (".symtab", ".strtab", ".BTF", ".debug_info", ".debug_str", ".notes", ".shstrtab")
ZLIB, COMPRESSED = 1, 0x800


def elf(sections, kind=2, order="<", bits=64):
    """An ELF file of some sections: (name, type, flags, data) each."""
    names, heads, body = b"\0", [bytes(64 if bits == 64 else 40)], b""
    start = 64 if bits == 64 else 52
    listed = [*sections, (".shstrtab", 3, 0, b"")]
    strings = b"\0" + b"".join(name.encode() + b"\0" for name, *_ in listed)
    for name, type_, flags, data in listed:
        data = strings if name == ".shstrtab" else data
        at = strings.index(name.encode() + b"\0")
        layout = f"{order}IIQQQQIIQQ" if bits == 64 else f"{order}10I"
        entry = {".symtab": 24 if bits == 64 else 16}.get(name, 0)
        heads.append(struct.pack(layout, at, type_, flags, 0, start + len(body), len(data), 2, 0, 1, entry))
        body += data
    names = struct.pack(
        f"{order}HHI{'QQQ' if bits == 64 else 'III'}I6H", kind, 62, 1, 0, 0, start + len(body), 0, start, 0, 0,
        len(heads[0]), len(heads), len(heads) - 1,
    )  # fmt: skip
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    return ident + names + body + b"".join(heads)


def symbols(bits=64):
    if bits == 64:
        return bytes(24) + struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 0xFFFF_FFFF_8100_0000, 0x40)
    return bytes(16) + struct.pack("<IIIBBH", 1, 0xC100_0000, 0x40, 0x12, 0, 1)


NOTE = b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0" + bytes(range(20))
SECTIONS = (
    (".symtab", 2, 0, symbols()),
    (".strtab", 3, 0, b"\0_text\0"),
    (".BTF", 1, 0, b"types"),
    (".debug_info", 1, COMPRESSED, struct.pack("<I4xQQ", ZLIB, 500, 1) + zlib.compress(bytes(500))),
    (".notes", 7, 0, NOTE),
)


@pytest.fixture
def opened(tmp_path):
    def open_(data):
        path = tmp_path / "file"
        path.write_bytes(data)
        return SymbolFile(path)

    return open_


def read(file):
    return file.part.find("_text").value, file.btf, bytes(file.dwarf["info"]), file.build_id


def test_it_gives_symbols_types_and_its_build(opened):
    assert read(opened(elf(SECTIONS))) == (0xFFFF_FFFF_8100_0000, b"types", bytes(500), bytes(range(20)))


def test_symbols_of_32_bits_are_read_too(opened):
    file = opened(elf([(".symtab", 2, 0, symbols(32)), *SECTIONS[1:3]], bits=32))

    (found,) = [symbol for symbol in file.part.all if symbol.name]
    assert (found.name, found.value, found.size, found.kind, found.bind) == ("_text", 0xC100_0000, 0x40, "FUNC", "GLOB")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot mmap an empty file|Magic number does not match"),
        (b"not an ELF file, but some text", "Magic number does not match"),
        (elf(SECTIONS, order=">"), "its numbers are big-endian"),
        (elf(SECTIONS[2:]), r"it has no symbol table \(.symtab\)"),
        (
            elf([*SECTIONS[:3], (".debug_info", 1, COMPRESSED, b"short")]),
            "section .debug_info is compressed and has no",
        ),
        (
            elf([*SECTIONS[:3], (".debug_info", 1, COMPRESSED, struct.pack("<I4xQQ", 7, 50, 1) + bytes(50))]),
            "section .debug_info cannot be unpacked: compression 7 is not known",
        ),
        (
            elf([*SECTIONS[:3], (".debug_info", 1, COMPRESSED, struct.pack("<I4xQQ", 1, 1 << 40, 1) + bytes(50))]),
            "section .debug_info claims 0x10000000000 bytes in 0x32 compressed ones",
        ),
        (
            elf([*SECTIONS[:3], (".debug_info", 1, COMPRESSED, struct.pack("<I4xQQ", 1, 9, 1) + zlib.compress(b"12"))]),
            "section .debug_info unpacks to 0x2 bytes, not to 0x9",
        ),
        (elf(SECTIONS).replace(struct.pack("<QQ", 64, 48), struct.pack("<QQ", 64, 48 << 40)), "section .symtab ends"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(data, said, opened):
    with pytest.raises(BadSymbolFile, match=f"cannot be used for symbols: .*({said})"):
        read(opened(data))


@pytest.mark.parametrize("seed", range(150))
def test_damaged_files_end_in_sections_or_one_error(seed, opened):
    chance, data = random.Random(seed), bytearray(elf(SECTIONS))
    for _ in range(chance.randrange(1, 6)):
        place = chance.choice([range(64), range(len(data) - 64 * 7, len(data)), range(len(data))])
        data[chance.choice(place)] = chance.choice([0, 1, 0xFF, chance.randrange(256)])
    start = time.monotonic()

    try:
        file = opened(bytes(data[: chance.choice([len(data), chance.randrange(len(data))])]))
        list(file.part.all)
        assert isinstance(file.btf + file.build_id, bytes)
        dict(file.dwarf)
    except BadSymbolFile as err:
        assert "\n" not in str(err)

    assert time.monotonic() - start < 5


@pytest.mark.parametrize("notes", [b"", NOTE[:10], NOTE[:12], NOTE.replace(b"GNU", b"XEN"), b"\xff" * 40, b"\0" * 4096])
def test_notes_without_a_build_id_name_none(notes):
    assert build_id(notes) in (b"", bytes(range(20))[: len(notes)])
