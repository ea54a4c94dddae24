"""::context and $p: commands look into a process, until 0 brings the kernel back; -p of commands, on illumos."""

import pytest

from fixtures.illumos.kernel import DATA_START, TEXT_START
from fixtures.illumos.mmu import SHIFTS
from fixtures.illumos.processes import USER_STACK, USER_TEXT

PID = 0x193  # of a process with memory of its own
COMPATIBLE = 1  # HTABLE_VLP


@pytest.fixture
def process(illumos):
    return illumos().rows(f"{PID:x}::pid2proc")[0].addr


def test_says_what_is_looked_into(illumos, process):
    debug = illumos()

    assert debug.text(f"{process:x}::context; 0$p") == [
        f"debugger context set to proc {process:x}",
        "debugger context set to kernel",
    ]


def test_reads_the_memory_of_the_process_and_the_kernels_above_it(illumos, process):
    debug = illumos()
    kernel = debug.text("utsname/s")

    assert debug.errors(f"{USER_STACK:x}/K") == ["vmdebug: failed to read data from target: no mapping for address"]
    debug.text(f"{process:x}::context")

    assert debug.text(f"{USER_TEXT:x},4/c ! tr -d '\\n'")
    assert debug.rows(f"{USER_TEXT:x}::vtop") == debug.rows(f"{USER_TEXT:x}::vtop -p {PID:x}")
    assert debug.text("utsname/s") == kernel
    debug.text("0::context")
    assert debug.errors(f"{USER_TEXT:x}/K") == ["vmdebug: failed to read data from target: no mapping for address"]


def test_shows_the_registers_and_the_calls_of_the_program(illumos, process):
    debug = illumos()
    before = debug.text("::regs")
    debug.text(f"{process:x}::context")
    values = {row.name: row.value for row in debug.rows("::regs")}

    assert (values["rip"], values["rsp"], values["cs"], values["rdi"]) == (USER_TEXT + 0x130, 0x0804_7DC0, 0x43, PID)
    assert debug.text("<rip=K") == [f"{'':16}{USER_TEXT + 0x130:<16x}"]
    assert debug.text("$c") == [f"0x{USER_TEXT + 0x130:x}()"]
    assert debug.text("0::context; ::regs")[1:] == before


def test_shows_the_address_space_of_the_process(illumos, process):
    debug = illumos()
    debug.text(f"{process:x}::context")

    assert [(row.base, row.limit) for row in debug.rows("$m")] == [
        (USER_STACK, USER_STACK + 0x1000),
        (USER_TEXT, USER_TEXT + 0x1000),
    ]
    assert [row.base for row in debug.rows(f"{USER_TEXT:x}::mappings")] == [USER_TEXT]


def test_what_the_kernel_keeps_stays_the_kernels(illumos, process):
    debug = illumos()
    before = [debug.text(command) for command in ("::ps", "::cpustack", "::threadlist", "::msgbuf")]
    debug.text(f"{process:x}::context")

    assert [debug.text(command) for command in ("::ps", "::cpustack", "::threadlist", "::msgbuf")] == before


def test_a_pid_means_its_process(illumos):
    assert illumos().text(f"{PID:x}::context; <rdi=X")[-1].split() == [f"{PID:x}"]


def test_refuses_what_has_no_memory_of_its_own(illumos):
    debug = illumos()
    first = debug.truth.address("p0")

    assert debug.errors("0t99999::context") == ["vmdebug: PID 0t99999 not found"]
    assert debug.errors(f"{first:x}::context") == [
        f"vmdebug: process {first:x} has no address space: it has ended, or is the kernel's"
    ]
    assert debug.errors(f"{PID:x}::context words")[0] == "Usage: address::context"


def test_a_refused_context_leaves_the_one_before(illumos, process):
    debug = illumos()
    debug.text(f"{process:x}::context; 0t99999::context")

    assert debug.text("<rdi=X")[-1].split() == [f"{PID:x}"]


def test_reads_a_small_process_whose_first_entries_are_in_its_hat(illumos, process, word):
    debug = illumos()
    space = int(debug.guest.objects.at("proc_t", process)["p_as"])
    hat = int(debug.guest.objects.at("struct as", space)["a_hat"])
    record = debug.guest.objects.at("hat_t", hat)
    top = debug.guest.objects.at("htable_t", int(record["hat_htable"]))
    flags = int(top.refer_("ht_flags"))
    entry = next(each.pte for each in debug.guest.page_tables(space).find(USER_TEXT).entries if each.level == 2)
    assert USER_TEXT >> SHIFTS[2] == 0

    small = illumos({flags: bytes([COMPATIBLE]), int(record.refer_("hat_vlp_ptes")): word(entry)})

    assert (
        small.rows(f"{USER_TEXT:x}::vtop -p {PID:x}")[0].paddr == debug.rows(f"{USER_TEXT:x}::vtop -p {PID:x}")[0].paddr
    )
    assert (
        small.text(f"{process:x}::context; {USER_TEXT:x}/K")[1:]
        == debug.text(f"{process:x}::context; {USER_TEXT:x}/K")[1:]
    )


def test_refuses_page_tables_that_cannot_be_found(illumos, process, word):
    debug = illumos()
    space = int(debug.guest.objects.at("proc_t", process)["p_as"])
    hat = int(debug.guest.objects.at("struct as", space)["a_hat"])
    place = int(debug.guest.objects.at("hat_t", hat).refer_("hat_htable"))
    pfn = int(
        debug.guest.objects.at("htable_t", int(debug.guest.objects.at("hat_t", hat)["hat_htable"])).refer_("ht_pfn")
    )
    head = f"vmdebug: the page tables of address space {space:x} are not supported: "

    assert illumos({place: word(0)}).errors(f"{process:x}::context") == [head + "its hat names no htable"]
    assert illumos({pfn: word(1 << 40)}).errors(f"{process:x}::context") == [
        head + f"its top table is in pfn {1 << 40:#x}, which the image does not have"
    ]


def test_the_variables_of_the_kernels_file_are_those_of_the_kernel(illumos):
    debug = illumos()

    values = {row.name: row.value for row in debug.rows("::vars")}

    assert (values["b"], values["m"], values["e"], values["hits"], values["thread"]) == (
        DATA_START,
        0x464C_457F,
        0,
        0,
        0,
    )
    assert values["t"] == debug.guest.info.text_end - TEXT_START
    assert values["d"] == debug.guest.info.data_end - DATA_START
    assert debug.text("5>b; <b=K; <b=K")[-1].split() == ["5"]
    assert debug.errors("1>thread") == ["vmdebug: cannot modify read-only variable 'thread'"]
