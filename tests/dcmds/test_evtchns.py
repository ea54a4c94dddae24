import pytest

from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.events import EventChannels

GLD = "gld_mac_info_t"  # which the demo does not have
HEAD = "Type          Evtchn IRQ IPL CPU ISR(s) "


@pytest.fixture
def tables(illumos):
    """Where an entry of one of the kernel's tables lies."""
    debug = illumos()
    objects, truth = debug.guest.objects, debug.truth
    kinds = {
        "irq_info": "irq_info_t",
        "ipi_info": "mec_info_t",
        "virq_info": "mec_info_t",
        "autovect": "struct av_head",
    }
    flat = {"evtchn_to_irq": 2, "evtchn_cpus": 8}

    def place(name, index, member=None):
        size = flat.get(name) or objects.sizeof(kinds[name])
        return truth.address(name) + size * index + (objects.offsetof(kinds[name], member) if member else 0)

    return place


def test_lists_the_channels_that_are_bound(illumos):
    rows = illumos().rows("::evtchns")

    assert [(row.channel, row.type, row.irq, row.ipl, row.cpu, row.isr) for row in rows] == [
        (1, "evtchn", 257, 1, 0, "xenbus_intr"),
        (2, "evtchn", 260, 9, 0, "xenconsintr"),
        (3, "virq:debug", 256, 15, 0, "xen_debug_handler"),
        (4, "virq:timer", 258, 14, 0, "cbe_fire"),
        (5, "evtchn", 259, 5, 0, "xdf_intr"),
        (6, "evtchn", 261, 6, 0, "xnf_intr"),
        (7, "evtchn", 262, 6, 0, "xnf_intr"),
    ]
    assert {(row.masked, row.pending, row.driver) for row in rows} == {(None, None, None)}


def test_names_the_drivers_of_devices(illumos):
    lines = illumos().text("::evtchns -d")

    assert lines[0] == "Type          Evtchn IRQ IPL CPU Driver Name(s) "
    assert [line.split()[-1] for line in lines[1:]] == [
        *("xenbus_intr", "xencons#0", "xen_debug_handler", "cbe_fire"),
        *("xdf#0", "xnf#0", "xnf#1"),
    ]


def test_shows_masks_where_the_shared_page_is_in_the_image(illumos):
    lines = illumos(recipe="demo-hvm").text("::evtchns")

    assert lines[0] == "Type          Evtchn IRQ IPL CPU Masked Pending ISR(s) "
    assert lines[1] == "evtchn        1      257 1   0   0      0       xenbus_intr"
    assert lines[5] == "evtchn        5      259 5   0   0      1       xdf_intr"


def test_shows_one_channel(illumos):
    assert illumos().text("4::evtchns") == [HEAD, "virq:timer    4      258 14  0   cbe_fire"]


def test_shows_a_channel_that_nothing_is_bound_to(illumos):
    assert illumos().text("8::evtchns") == [HEAD, "unassigned    8      -   -   -1  "]


def test_shows_no_cpu_for_channel_0(illumos):
    assert illumos().text("0::evtchns") == [HEAD, "unassigned    0      -   -   -   "]


@pytest.mark.parametrize("number", ["1000", "ffffffffffffffff"])
def test_refuses_a_channel_out_of_range(illumos, number):
    with pytest.raises(DebuggerError, match=rf"^Invalid event channel {number}\.$"):
        illumos().rows(f"{number}::evtchns")


@pytest.mark.parametrize(
    ("kind", "name"), [(0, "unset"), (1, "pirq"), (3, "ipi"), (4, "evtchn"), (5, "device"), (6, "?"), (255, "?")]
)
def test_names_the_type_of_a_channel(illumos, tables, kind, name):
    (row,) = illumos({tables("irq_info", 257, "ii_type"): bytes([kind])}).rows("1::evtchns")

    assert row.type == name


@pytest.mark.parametrize(
    ("virq", "name"), [(0, "virq:timer"), (2, "virq:console"), (3, "virq:dom exc"), (5, "virq:?"), (6, "virq:debugger")]
)
def test_names_a_virq_by_the_entry_that_has_its_irq(illumos, tables, virq, name):
    irq = (300).to_bytes(2, "little")
    changes = {
        tables("evtchn_to_irq", 9): irq,
        tables("irq_info", 300, "ii_type"): b"\x02",
        tables("virq_info", virq, "mi_irq"): irq,
    }

    (row,) = illumos(changes).rows("9::evtchns")

    assert (row.irq, row.type) == (300, name)


def test_says_that_no_virq_has_the_irq(illumos, tables):
    (row,) = illumos({tables("virq_info", 0, "mi_irq"): b"\xff\xff"}).rows("4::evtchns")

    assert row.type == "virq:?"


def test_takes_the_level_of_an_ipi_from_its_table(illumos, tables):
    changes = {
        tables("evtchn_to_irq", 9): (300).to_bytes(2, "little"),
        tables("irq_info", 300, "ii_type"): b"\x03",
        tables("ipi_info", 11, "mi_irq"): (300).to_bytes(2, "little"),
    }

    (row,) = illumos(changes).rows("9::evtchns")

    assert (row.type, row.ipl, row.isr) == ("ipi", 11, "poke_cpu")


def test_shows_no_handler_of_a_channel_without_one(illumos, tables):
    (row,) = illumos({tables("autovect", 257, "avh_link"): bytes(8)}).rows("1::evtchns")

    assert (row.handler, row.isr) == (None, None)


@pytest.mark.parametrize(("cpus", "first"), [(0b1000, 3), (0b110, 1), (0, -1)])
def test_shows_the_first_cpu_that_a_channel_is_bound_to(illumos, tables, word, cpus, first):
    (row,) = illumos({tables("evtchn_cpus", 1): word(cpus)}).rows("1::evtchns")

    assert row.cpu == first


@pytest.mark.parametrize(("name", "page"), [("evtchn_to_irq", 1), ("irq_info", 0), ("evtchn_cpus", 4), ("autovect", 0)])
def test_names_the_table_that_cannot_be_read(illumos, name, page):
    debug = illumos()
    address = (debug.truth.address(name) & ~0xFFF) + 0x1000 * page

    with pytest.raises(DebuggerError, match=rf"^failed to read {name}: no mapping"):
        illumos(gone=[address]).rows("1::evtchns")


def test_says_that_a_handler_cannot_be_read(illumos, tables, word):
    debug = illumos({tables("autovect", 257, "avh_link"): word(0xFFFF_FF00_DEAD_0000)})

    with pytest.raises(DebuggerError, match=r"^failed to read autovect"):
        debug.rows("1::evtchns")


@pytest.fixture
def uppc(illumos):
    """`uppc(changes)`: a session over a kernel whose handlers may share irqs."""
    return lambda changes=None, gone=(): illumos(changes, gone, recipe="demo-hvm", interrupts="xen-uppc")


def test_shows_the_levels_of_handlers_that_share_an_irq(uppc):
    debug = uppc()
    head = debug.truth.address("autovect") + 259 * debug.guest.objects.sizeof("struct av_head")
    lowest = head + debug.guest.objects.offsetof("struct av_head", "avh_lo_pri")

    lines = uppc({lowest: b"\x02\x00"}).text("::evtchns")

    assert lines[0] == "Type          Evtchn IRQ IPL(lo/hi) CPU Masked Pending ISR(s) "
    assert lines[3:6] == [
        "virq:debug    3      256     15/15  0   0      0       xen_debug_handler",
        "virq:timer    4      258     14/14  0   0      0       cbe_fire",
        "evtchn        5      259      2/5   0   0      1       xdf_intr",
    ]
    assert uppc().rows("5::evtchns")[0].levels == (5, 5)


def test_a_channel_that_is_not_bound_has_no_levels(uppc):
    assert uppc().text("8::evtchns")[1] == "unassigned    8      -        -/-   -1  1      0       "


def test_a_kernel_that_shares_no_irq_is_shown_as_others(uppc):
    debug = uppc()

    lines = uppc({debug.truth.address("xen_uppc_irq_shared_table"): bytes(16)}).text("::evtchns")

    assert lines[0] == "Type          Evtchn IRQ IPL CPU Masked Pending ISR(s) "


def test_a_kernel_that_shares_irqs_needs_the_shared_page(uppc):
    page = uppc().guest.variable("HYPERVISOR_shared_info")

    with pytest.raises(DebuggerError, match=r"^failed to read HYPERVISOR_shared_info: no mapping"):
        uppc(gone=[page]).rows("::evtchns")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("irq_info", "failed to read irq_info: unknown symbol name"),
        ("ipi_info", "failed to read ipi_info: unknown symbol name"),
        ("virq_info", "failed to read virq_info: unknown symbol name"),
        ("autovect", "failed to read autovect: unknown symbol name"),
        ("evtchn_to_irq", "failed to read evtchn_to_irq: unknown symbol name"),
        ("evtchn_cpus", "failed to lookup evtchn_cpus: unknown symbol name"),
        ("HYPERVISOR_shared_info", "failed to read HYPERVISOR_shared_info: unknown symbol name"),
    ],
)
def test_names_the_table_that_the_kernel_does_not_have(illumos, tables, without, name, told):
    debug = without(illumos({tables("irq_info", 258, "ii_u2"): b"\0"}), name)

    with pytest.raises(DebuggerError, match=f"^{told}$"):
        debug.rows("4::evtchns")


def test_behind_the_common_handler_of_network_cards_stands_the_drivers_own(illumos, tables, word):
    debug = illumos()
    vector = int(debug.guest.objects.at("struct av_head", tables("autovect", 261)).avh_link)
    common, own = debug.truth.address("xnf_intr"), debug.truth.address("xenbus_intr")
    argument = vector + debug.guest.objects.offsetof("struct autovec", "av_intarg1")
    debug = illumos({argument: word(vector)})
    at = debug.guest.objects.at
    debug.guest.objects.at = lambda kind, address: {"gldm_intr": own} if kind == GLD else at(kind, address)
    debug.session.run(f"{common:x}::nmadd gld_intr")

    assert [row.isr for row in debug.rows("::evtchns") if row.irq in (260, 261)] == ["xenconsintr", "xenbus_intr"]


def test_names_the_virq_of_machine_checks(illumos, monkeypatch):
    """Whose number is beyond the demo's table."""
    monkeypatch.setattr(EventChannels, "_bound", lambda self, name, irq: 16 if name == "virq_info" else -1)

    assert [row.type for row in illumos().rows("4::evtchns")] == ["virq:mca"]
