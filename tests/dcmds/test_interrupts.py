"""Sections B.3 and B.4: ::interrupts under Xen, ::softint ::idt ::gate_desc."""

import pytest

HEAD = "IRQ  Vect Evtchn IPL Bus    Trg Type   CPU Share APIC/INT# "


@pytest.fixture
def irq_info(illumos):
    """The address of a member of the kernel's record of an irq."""
    objects, start = illumos().guest.objects, illumos().truth.address("irq_info")
    return lambda irq, name: start + irq * objects.sizeof("irq_info_t") + objects.offsetof("irq_info_t", name)


def test_lists_irqs(illumos):
    assert illumos().text("::interrupts") == [
        HEAD + "ISR(s) ",
        "256  -    3      15  -      Edg virq   all -     -         xen_debug_handler",
        "257  -    1      1   -      Edg evtchn 0   -     -         xenbus_intr",
        "258  -    T      14  -      Edg virq   all -     -         cbe_fire",
        "259  -    5      5   -      Edg evtchn 0   -     -         xdf_intr",
        "260  -    2      9   -      Edg evtchn 0   -     -         xenconsintr",
        "261  -    6      6   -      Edg evtchn 0   -     -         xnf_intr",
        "262  -    7      6   -      Edg evtchn 0   -     -         xnf_intr",
    ]


def test_names_drivers(illumos):
    lines = illumos().text("::interrupts -d")

    assert lines[0] == HEAD + "Driver Name(s) "
    assert [line[len(HEAD) :] for line in lines[1:]] == [
        *("xen_debug_handler", "xenbus_intr", "cbe_fire", "xdf#0", "xencons#0", "xnf#0", "xnf#1"),
    ]


def test_lists_cpus_and_functions_only(illumos):
    assert illumos().text("::interrupts -i")[:3] == ["CPU ISR(s) ", "all xen_debug_handler", "0   xenbus_intr"]


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        (3, "259  -    I      5   -      Edg ipi    all -     -         xdf_intr"),
        (5, "259  -    D      5   -      Edg device 0   -     -         xdf_intr"),
        (1, "259  -    5      5   -      Edg pirq   0   -     -         xdf_intr"),
    ],
)
def test_marks_what_an_irq_is_bound_to(illumos, irq_info, kind, row):
    assert row in illumos({irq_info(259, "ii_type"): bytes([kind])}).text("::interrupts")


def test_an_irq_of_several_channels_is_listed_once(illumos):
    second = illumos().truth.address("evtchn_to_irq") + 2 * 9

    rows = illumos({second: (259).to_bytes(2, "little")}).rows("::interrupts")

    assert [row.irq for row in rows] == list(range(256, 263))
    assert rows[3].channel == 5


def test_lists_soft_interrupts(illumos):
    debug = illumos()
    addresses = [row.addr for row in debug.rows("::softint")]

    assert debug.text("::softint") == [
        "ADDR             PEND PIL ARG1             ARG2            ISR(s)",
        f"{addresses[0]:x} 1    1   0                0               softlevel1",
        f"{addresses[1]:x} 0    2   0                0               cbe_low_level",
        f"{addresses[2]:x} 0    10  0                0               cbe_softclock",
    ]


def test_names_the_drivers_of_soft_interrupts(illumos, word):
    debug = illumos()
    first = debug.rows("::softint")[0].addr
    device = next(row.addr for row in debug.rows("::prtconf") if row.name.startswith("xnf"))
    owner = first + debug.guest.objects.offsetof("struct autovec", "av_dip")

    lines = illumos({owner: word(device)}).text("::softint -d")

    assert lines == [
        "ADDR             PEND PIL ARG1             ARG2            Driver Name(s)",
        f"{first:x} 1    1   0                0               xnf#0",
        *debug.text("::softint")[2:],
    ]


def test_a_soft_interrupt_without_a_handle_may_be_pending(illumos, word):
    objects = illumos().guest.objects
    first = illumos().rows("::softint")[0].addr

    rows = illumos({first + objects.offsetof("struct autovec", "av_intr_id"): word(0)}).rows("::softint")

    assert [row.pending for row in rows] == [None, 0, 0]


def test_prints_a_gate(illumos):
    debug = illumos()
    trap = debug.truth.address("idt0") + 14 * 16

    assert debug.text(f"{trap:x}::gate_desc") == [
        "HANDLER                         SEL DPL P TYP IST",
        "trap                           e030   0 + int   0",
    ]


def test_prints_every_gate_with_its_number(illumos):
    debug = illumos()

    lines = debug.text("::idt")

    assert len(lines) == 257
    assert lines[0] == "     HANDLER                         SEL DPL P TYP IST"
    assert lines[9] == "  8: trap                           e030   0 + int   1"
    assert lines[129] == "128: sys_syscall                    e030   3 + trp   0"
    assert lines[256] == "255: 0                                 0   0     0   0"
    assert debug.rows("idt0::idt") == debug.rows("::idt")


@pytest.mark.parametrize(("kind", "name"), [(5, "tsk"), (14, "int"), (15, "trp"), (12, "12")])
def test_names_the_type_of_a_gate(illumos, kind, name):
    gate = illumos().truth.address("idt0") + 14 * 16

    (row,) = illumos({gate + 5: bytes([0x80 | kind])}).rows(f"{gate:x}::gate_desc")

    assert (row.type, row.present) == (name, True)
