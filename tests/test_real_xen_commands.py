"""What a user types at a real `xl dump-core` file, against what the hypervisor's tools printed of the same pause."""

import functools
import gzip
import io
import json
import re

import pytest

from formats import open_image
from vmdebug.errors import UnknownSymbol
from vmdebug.guests import find_guest
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target


class Sitting:
    """A session over a real image, its rows and its text."""

    def __init__(self, path):
        load_dcmds(pytest.fail)
        target = Target(open_image(path))
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = Session(target, find_guest(target), out=self.out, err=self.err)

    def rows(self, text):
        return self.session.rows(text)

    def text(self, line):
        self.out.seek(0)
        self.out.truncate()
        self.session.run(line)
        assert self.err.getvalue() == ""
        return self.out.getvalue()


@pytest.fixture(scope="module")
def sitting(real):
    return functools.cache(lambda name: Sitting(real(f"{name}.core")))


def printed_vcpus(path):
    """The registers that xenctx printed, a dict a vcpu, by its own names."""
    parts = re.split(r"^vcpu\d+:\n", path.read_text(), flags=re.M)[1:]
    heads = [part.split("Code (instr")[0] for part in parts]
    return [dict(re.findall(r"\b(r\w+|cr\d|flags|[cdefgs]s): ([0-9a-f]+)", head)) for head in heads]


@pytest.mark.parametrize("name", ["xen-pv", "xen-pvh"])
def test_cpuregs_shows_every_register_of_every_vcpu_as_xenctx_did(name, sitting, truth):
    said = printed_vcpus(truth(name) / "xenctx.txt")

    for number, registers in enumerate(said):
        rows = {row.name: row.value for row in sitting(name).rows(f"::cpuregs -c {number}")}
        assert {key: rows[{"flags": "rflags"}.get(key, key)] for key in registers} == {
            key: int(value, 16) for key, value in registers.items()
        }
    assert len(said) == 2


def test_status_names_the_domain(sitting, truth):
    uname = re.search(r"^Linux (\S+) (\S+) (.*) (\S+) GNU/Linux$", (truth("xen-pv") / "pv.truth.txt").read_text(), re.M)
    node, release, version, machine = uname.groups()

    lines = sitting("xen-pv").text("::status").splitlines()

    assert re.fullmatch(rf"debugging domain crash dump \S+/xen-pv\.core \(64-bit\) from {node}", lines[0])
    assert lines[1] == f"operating system: {release} {version} ({machine})"


@pytest.mark.parametrize(("name", "file"), [("xen-pv", "mfndump-p2m.txt.gz"), ("xen-pv32-mini", "mfndump-p2m.txt")])
def test_frames_convert_both_ways_as_mfndump_printed(name, file, sitting, truth):
    path = truth(name) / file
    text = gzip.decompress(path.read_bytes()).decode() if file.endswith("gz") else path.read_text()
    pairs = [(int(pfn, 16), int(mfn, 16)) for pfn, mfn in re.findall(r"pfn=0x(\w+) ==> mfn=0x(\w+) ", text)][::97]

    assert [sitting(name).text(f"{pfn:x}::pfntomfn") for pfn, _ in pairs] == [f"{mfn:x}\n" for _, mfn in pairs]
    assert [sitting(name).text(f"{mfn:x}::mfntopfn") for _, mfn in pairs] == [f"{pfn:x}\n" for pfn, _ in pairs]
    assert len(pairs) > 80


def test_a_kernel_address_leads_to_the_frame_of_its_page_tables(sitting, truth):
    symbols = gzip.decompress((truth("xen-pv") / "pv.kallsyms.gz").read_bytes()).decode()
    text = int(re.search(r"^(\w+) T _text$", symbols, re.M)[1], 16)

    row = sitting("xen-pv").rows(f"{text + 0xA043A5:x}::vatopfn")[0]

    assert row.mfn == sitting("xen-pv").rows(f"{row.pfn:x}::pfntomfn")[0].mfn
    assert (
        sitting("xen-pv")
        .text(f"{text + 0xA043A5:x}::vatopfn")
        .endswith(f"Virtual address 0x{text + 0xA043A5:x} maps pfn 0x{row.pfn:x} (mfn 0x{row.mfn:x})\n")
    )


def test_words_and_dumps_are_the_stack_that_xenctx_printed(sitting, truth):
    text = (truth("xen-pv") / "xenctx.txt").read_text()
    start = int(re.search(r"^rsp: (\w+)", text, re.M)[1], 16)
    words = [int(word, 16) for word in re.search(r"^Stack:\n((?: [0-9a-f ]+\n)+)", text, re.M)[1].split()]

    shown = sitting("xen-pv").text(f"{start:x},{len(words):x}/J")
    dumped = sitting("xen-pv").text(f"{start:x}::dump -u -q -g 8 -l {8 * len(words):x}")

    assert re.findall(r"\b[0-9a-f]+(?= )", re.sub(r"^.*:\s+", "", shown, flags=re.M)) == [f"{word:x}" for word in words]
    cells = re.findall(r"(?<= )[0-9a-f]{16}\b", dumped.split("\n", 1)[1])
    assert [int.from_bytes(bytes.fromhex(cell), "little") for cell in cells] == words
    assert len(words) == 20


def test_the_pattern_of_a_pae_guest_lies_where_it_said(sitting, truth):
    said = dict(
        re.findall(r"^(?:va|mfn) (\S+) 0x(\w+)", (truth("xen-pv32-mini") / "guest-mini32.log").read_text(), re.M)
    )
    log = (truth("xen-pv32-mini") / "guest-mini32.log").read_text()
    vaddr = int(re.search(r"^va lab_pattern 0x(\w+)", log, re.M)[1], 16)
    first, second = (
        int(re.search(rf"^mfn {name} 0x(\w+)", log, re.M)[1], 16) for name in ("lab_pattern", r"lab_pattern\+4096")
    )

    frames = [sitting("xen-pv32-mini").rows(f"{at:x}::vatopfn")[0].mfn for at in (vaddr, vaddr + 0x1000)]

    assert frames == [first, second]
    assert "lab_pattern" in said


def test_image_tells_what_was_found_and_what_it_rests_on(sitting):
    found = {row.name: row.value for row in sitting("xen-pv").rows("::image")}

    assert (found["format"], found["pages present"], found["vcpus"], found["paging"]) == (
        "xen-elf",
        32768,
        2,
        "4-level",
    )
    assert (found["hypervisor"], found["frames"]) == ("Xen 4.17.5", "mfn")


def test_json_is_one_object_a_dcmd(real):
    load_dcmds(pytest.fail)
    target = Target(open_image(real("xen-pv.core")))
    out = io.StringIO()

    Session(target, find_guest(target), out=out, err=io.StringIO(), json=True).run("::status; 0::pfntomfn; ::nosuch")

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["dcmd"] for line in lines] == ["status", "pfntomfn"]
    assert lines[1] == {"dcmd": "pfntomfn", "rows": [{"mfn": 0x4AA00, "pfn": 0}], "errors": []}


def test_a_guest_without_symbols_says_why_it_has_none(sitting):
    session = sitting("xen-pv32-mini").session

    with pytest.raises(UnknownSymbol, match=r"unknown symbol name \(there are no symbols: the guest is not recognised"):
        session.evaluate("main")
