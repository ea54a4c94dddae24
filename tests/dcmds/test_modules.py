import pytest

from vmdebug.errors import DebuggerError


def test_lists_modules_in_load_order(illumos):
    debug = illumos()

    rows = debug.rows("::modinfo")

    assert [(row.id, row.name, row.modctl, row.loadaddr, row.size) for row in rows] == [
        (
            each["id"],
            each["name"],
            int(each["modctl"], 16),
            int(each["text"], 16),
            each["text_size"] + each["data_size"],
        )
        for each in debug.truth["modules"]
    ]
    assert {row.rev for row in rows} == {1}
    assert rows[1].info == "genunix module for onnv-johnlev"


def test_prints_a_line_a_module(illumos):
    lines = illumos().text("::modinfo")

    assert lines[:3] == [
        " ID         LOADADDR     SIZE REV MODULE NAME",
        "  0 fffffffffb800000    78000   1 unix ()",
        "  1 fffffffffb818000    78000   1 genunix (genunix module for onnv-johnlev)",
    ]


def test_shows_one_module_by_its_modctl(illumos):
    debug = illumos()
    modctl = debug.truth["modules"][5]["modctl"]

    assert [row.name for row in debug.rows(f"{modctl}::modinfo")] == [debug.truth["modules"][5]["name"]]


def test_refuses_what_is_no_modctl(illumos):
    with pytest.raises(DebuggerError, match=r"^1000 is not the modctl of a loaded module$"):
        illumos().rows("1000::modinfo")


def test_shows_a_module_whose_linkage_cannot_be_read(illumos, word):
    debug = illumos()
    modctl = int(debug.truth["modules"][2]["modctl"], 16)

    lines = illumos({modctl + 48: word(0)}).text("::modinfo")

    assert lines[3].endswith("   ? specfs (?)")


def test_walks_modctls(illumos):
    debug = illumos()

    walked = [row.address for row in debug.rows("::walk modctl")]

    assert walked == [int(each["modctl"], 16) for each in debug.truth["modules"]]


def test_describes_modctls(illumos):
    lines = illumos().text("::modctl")

    assert lines[0] == "          MODCTL           MODULE   BITS FLAGS REF FILE"
    assert lines[1].split()[2:] == ["pli", "0x00", "1", "/platform/i86xpv/kernel/amd64/unix"]
    assert lines[3].split()[2:] == ["li", "0x00", "1", "/kernel/drv/amd64/specfs"]


def test_goes_on_behind_a_modctl_that_cannot_be_read(illumos):
    debug = illumos()

    assert len(debug.rows("::modctl")) == len(debug.truth["modules"])
    assert "failed to read modctl at 1000" in debug.errors("1000::modctl")[0]


def test_lists_the_text_of_objects(illumos):
    debug = illumos()

    rows = debug.rows("::objects")

    assert [(row.name, row.base, row.limit - row.base) for row in rows] == [
        (each["name"], int(each["text"], 16), each["text_size"]) for each in debug.truth["modules"]
    ]
    assert debug.text("::objects")[:2] == [
        "            BASE            LIMIT             SIZE NAME",
        "fffffffffb800000 fffffffffb818000            18000 unix",
    ]


def test_tells_versions_of_objects(illumos):
    lines = illumos().text("::objects -v")

    assert [line[51:] for line in lines[:3]] == [
        "NAME                         VERSION",
        "unix                         Unknown",
        "genunix                      genunix module for onnv-johnlev",
    ]


def test_finds_all_modules_of_a_ring_that_does_not_close(illumos):
    debug = illumos(damage="loop-list=modules")

    assert len(debug.rows("::modinfo")) == len(debug.truth["modules"])
    assert any("the list comes back here" in line for line in debug.guest.cautions())
