"""Section I: ::dnlc, ::vnode2path -F."""

import pytest

from vmdebug.errors import DebuggerError

HEAD = f"{'VP':<16} {'DVP':<16} NAME"
NAMES = {"usr", "bin", "passwd", "tmp", "scratch", "stray", "vi"}


@pytest.fixture
def names(illumos):
    """The rows of the cache by their names."""
    return {row.name: row for row in illumos().rows("::dnlc")}


@pytest.fixture
def root(illumos):
    debug = illumos()
    return debug.guest.variable("rootdir")


@pytest.fixture
def place(illumos):
    """The address of a member of a structure."""
    return lambda kind, address, name: address + illumos().guest.objects.offsetof(kind, name)


@pytest.fixture
def chains(illumos):
    """The buckets of the cache, each with its first entry."""
    debug = illumos()
    first, size = debug.guest.variable("nc_hash"), debug.guest.objects.sizeof("nc_hash_t")
    buckets = [first + size * number for number in range(debug.guest.variable("nc_hashsz"))]
    return {each: int(debug.guest.objects.at("nc_hash_t", each)["hash_next"]) for each in buckets}


def test_prints_every_name_of_the_cache(illumos, names, root):
    lines = illumos().text("::dnlc")

    assert lines[0] == HEAD and len(lines) == 1 + len(NAMES) and set(names) == NAMES
    assert lines[1:] == [f"{row.addr:016x} {row.directory:016x} {name}" for name, row in names.items()]
    assert [names[name].directory for name in ("usr", "bin", "passwd")] == [root, names["usr"].addr, names["bin"].addr]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("usr", "/usr"),
        ("passwd", "/usr/bin/passwd"),
        ("scratch", "/tmp/scratch"),  # through what is mounted on /tmp
        ("tmp", "/tmp"),
        ("stray", "??/stray"),
        ("vi", "??"),  # no file has that name
    ],
)
def test_finds_a_path_in_the_cache(illumos, names, name, path):
    debug = illumos()

    assert debug.text(f"{names[name].addr:x}::vnode2path -F") == [path]
    assert debug.text(f"{names[name].addr:x}::vnode2path") == ["??"]


def test_knows_the_root(illumos, names, root):
    assert illumos().text(f"{root:x}::vnode2path -F") == ["/"]
    assert illumos().text(f"{names['scratch'].directory:x}::vnode2path -F") == ["/tmp"]


def test_prefers_the_path_that_the_vnode_keeps(illumos, names, place, word):
    debug = illumos()
    kept = debug.truth.address("sample_tally") + debug.guest.objects.offsetof("trap_tally_t", "tt_name")

    changed = illumos({place("vnode_t", names["passwd"].addr, "v_path"): word(kept)})

    assert changed.text(f"{names['passwd'].addr:x}::vnode2path -F") == ["upcalls"]


def test_an_empty_path_is_none(illumos, names, place, word):
    zeros = place("vnode_t", names["usr"].addr, "v_data")

    changed = illumos({place("vnode_t", names["usr"].addr, "v_path"): word(zeros)})

    assert changed.text(f"{names['usr'].addr:x}::vnode2path") == ["??"]
    assert changed.text(f"{names['usr'].addr:x}::vnode2path -F") == ["/usr"]


def test_directories_that_lie_in_each_other_end(illumos, names, word):
    entry = entry_of(illumos(), "usr")
    directory = entry + illumos().guest.objects.offsetof("ncache_t", "dp")

    changed = illumos({directory: word(names["bin"].addr)})

    assert changed.text(f"{names['passwd'].addr:x}::vnode2path -F") == ["??/usr/bin/passwd"]


def entry_of(debug, name):
    """The address of the ncache_t of a name."""
    objects = debug.guest.objects
    head, size = debug.guest.variable("nc_hash"), objects.sizeof("nc_hash_t")
    for number in range(debug.guest.variable("nc_hashsz")):
        node = int(objects.at("nc_hash_t", head + size * number)["hash_next"])
        while node != head + size * number:
            start = node + objects.offsetof("ncache_t", "name")
            if debug.target.read(start, len(name)) == name.encode():
                return node
            node = int(objects.at("ncache_t", node)["hash_next"])
    raise AssertionError(name)


def test_a_broken_chain_is_told_and_the_others_go_on(illumos, chains, word):
    broken = next(bucket for bucket, first in chains.items() if first != bucket)

    debug = illumos({broken: word(0x10)})

    assert len(debug.rows("::dnlc")) < len(NAMES)
    assert debug.errors("::dnlc")[0].startswith(f"vmdebug: failed to read the chain of names at {broken:x}: ")


def test_a_chain_that_leads_into_another_is_told(illumos, chains, word):
    first, second = [bucket for bucket, entry in chains.items() if entry != bucket][:2]

    debug = illumos({second: word(chains[first])})

    assert [row.name for row in debug.rows("::dnlc")] != []
    (error,) = debug.errors("::dnlc")
    assert error.startswith(f"vmdebug: failed to read the chain of names at {second:x}: ")
    assert f"{chains[first]:x} is in it, or in another, before" in error


def test_a_table_that_is_not_there_is_told(illumos, chains, word):
    place = illumos().truth.address("nc_hash")

    debug = illumos({place: word(0x1000)})

    assert debug.rows("::dnlc") == []
    assert debug.errors("::dnlc") == ["vmdebug: nc_hash at 1000: 192 of 192 bytes are missing"]


def test_refuses_a_size_that_no_cache_has(illumos):
    debug = illumos()
    size = debug.truth.address("nc_hashsz")

    with pytest.raises(DebuggerError, match="the cache of names says that it has 1073741824 buckets"):
        illumos({size: (1 << 30).to_bytes(4, "little")}).rows("::dnlc")
