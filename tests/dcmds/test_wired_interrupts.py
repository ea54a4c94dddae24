"""Section B.3: ::interrupts of kernels without event channels, as pcplusmp, apix and uppc keep them."""

import pytest

from fixtures.illumos.apics import ENTRIES_AT, PLAN, STRIDE

BY_IRQ = "IRQ  Vect IPL Bus    Trg Type   CPU Share APIC/INT# "
BY_CPU = "CPU/Vect  IRQ IPL Bus    Trg Type   Share APIC/INT# "


@pytest.fixture
def wired(illumos):
    """`wired(kind, changes)`: a session over a kernel with such tables."""
    return lambda kind, changes=None, **options: illumos(changes, recipe="demo-hvm", interrupts=kind, **options)


def entry(debug, irq, name):
    """Where a member of an irq's apic_irq_t lies."""
    place = [each.number for each in PLAN].index(irq)
    return ENTRIES_AT + STRIDE * place + debug.guest.objects.offsetof("apic_irq_t", name)


def test_shows_interrupts_by_irq(wired):
    assert wired("pcplusmp").text("::interrupts") == [
        BY_IRQ + "ISR(s) ",
        "4    0xb0 12  ISA    Edg Fixed  0   1     0x0/0x4   xenconsintr",
        "9    0x81 9   PCI    Lvl Fixed  0   2     0x0/0x9   xdf_intr, softlevel1",
        "24   0x60 6   PCI    Edg MSI    0   1     -         xnf_intr",
        "25   0x61 6   PCI    Edg MSI-X  0   1     -         xnf_intr",
        "160  0xa0 0          Edg IPI    all 0     -         poke_cpu",
        "209  0xd1 14         Edg IPI    all 1     -         cbe_fire",
    ]


def test_shows_interrupts_by_cpu_and_vector(wired):
    assert wired("apix").text("::interrupts -d") == [
        BY_CPU + "Driver Name(s) ",
        "0/0x60    -   6   PCI    Edg MSI    1     -         xnf#0",
        "0/0x61    -   6   PCI    Edg MSI-X  1     -         xnf#1",
        "0/0x81    9   9   PCI    Lvl Fixed  2     0x0/0x9   xdf#0, softlevel1",
        "0/0xb0    4   12  ISA    Edg Fixed  1     0x0/0x4   xencons#0",
        "all/0xa0  -   0          Edg IPI    0     -         poke_cpu",
        "all/0xd1  -   14         Edg IPI    1     -         cbe_fire",
    ]


def test_shows_what_is_known_of_the_old_controllers_irqs(wired):
    assert wired("uppc").text("::interrupts") == [
        BY_IRQ + "ISR(s) ",
        "4    0x24 12  -      -   Fixed  0   1     -         xenconsintr",
        "9    0x29 9   -      -   Fixed  0   2     -         xdf_intr, softlevel1",
    ]


@pytest.mark.parametrize("kind", ["pcplusmp", "apix"])
def test_shows_cpus_and_handlers_only(wired, kind):
    lines = wired(kind).text("::interrupts -id")

    assert lines[0] == "CPU Driver Name(s) "
    assert sorted(lines[1:]) == [
        *("0   xdf#0, softlevel1", "0   xencons#0", "0   xnf#0", "0   xnf#1", "all cbe_fire", "all poke_cpu"),
    ]


@pytest.mark.parametrize(
    ("bus", "name"), [(3, "EISA"), (6, "ISA"), (9, "PCIe"), (13, "PCI"), (14, "PCMCIA"), (0, None)]
)
def test_names_the_bus_of_a_wire(wired, bus, name):
    debug = wired("pcplusmp")

    rows = wired("pcplusmp", {entry(debug, 9, "airq_iflag"): bytes([bus << 4])}).rows("::interrupts")

    assert [row.bus for row in rows if row.irq == 9] == [name]


@pytest.mark.parametrize(
    ("bound", "temporary", "cpu"),
    [(3, 0xFFFF_FFFE, 3), (3, 5, 5), (0x8000_0002, 0xFFFF_FFFF, 2), (0xFFFF_FFFF, 0xFFFF_FFFE, None)],
)
def test_shows_the_cpu_that_takes_an_irq_for_now(wired, bound, temporary, cpu):
    debug = wired("pcplusmp")
    changes = {
        entry(debug, 24, "airq_cpu"): bound.to_bytes(4, "little"),
        entry(debug, 24, "airq_temp_cpu"): temporary.to_bytes(4, "little"),
    }

    (row,) = (row for row in wired("pcplusmp", changes).rows("::interrupts") if row.irq == 24)

    assert row.cpu == cpu


def test_irqs_that_share_a_number_follow_each_other(wired, word):
    debug = wired("pcplusmp")
    second = ENTRIES_AT + STRIDE * 3

    rows = wired("pcplusmp", {entry(debug, 4, "airq_next"): word(second)}).rows("::interrupts")

    assert [(row.irq, row.type) for row in rows][:2] == [(4, "Fixed"), (4, "MSI")]


@pytest.mark.parametrize("kind", ["pcplusmp", "apix"])
def test_says_which_interrupt_cannot_be_read_and_shows_the_others(wired, kind, word):
    debug = wired(kind)
    table = debug.truth.address("apic_irq_table") + 8 * 9
    damaged = wired(kind, {table: word(0xFFFF_FF00_DEAD_0000)})

    (complaint,) = damaged.errors("::interrupts")

    assert complaint.startswith("vmdebug: failed to read " + ("irq 9: " if kind == "pcplusmp" else "apix_vector_t "))
    assert len(damaged.rows("::interrupts")) == 5


def test_gives_up_a_table_of_nonsense(wired):
    debug = wired("pcplusmp")
    table = debug.truth.address("apic_irq_table")

    complaints = wired("pcplusmp", {table: (b"\x10" + bytes(7)) * 256}).errors("::interrupts")

    assert len(complaints) == 17


def test_a_kernel_without_tables_says_so(wired):
    debug = wired("uppc")
    symbols = debug.guest.symbols
    debug.guest.__dict__["symbols"] = Nothing(symbols)

    assert debug.errors("::interrupts") == [
        "vmdebug: the kernel has no interrupt tables: none of irq_info, apixs, apic_irq_table, autovect"
    ]


class Nothing:
    """Symbols without autovect."""

    def __init__(self, symbols):
        self.symbols = symbols

    def find(self, name):
        return None if name == "autovect" else self.symbols.find(name)
