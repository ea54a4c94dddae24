"""Real Linux guests with damage in their memory: every walk ends, says where, and shows what it had."""

import io

import pytest

from formats import open_image
from vmdebug.errors import ReadFailed
from vmdebug.guests import find_guest
from vmdebug.guests.linux.tasks import each_process
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target

IMAGES = ["linux-mini.elf.core", "linux-72.elf.core"]


class DamagedSpace:
    """An address space with other bytes at some addresses, and pages that are missing."""

    def __init__(self, space):
        self.space = space
        self.words = {}
        self.missing = set()

    def __getattr__(self, name):
        return getattr(self.space, name)

    def read(self, vaddr, size):
        for page in self.missing:
            if vaddr < page + 4096 and page < vaddr + size:
                raise ReadFailed(max(vaddr, page), "not in this test's image")
        data = bytearray(self.space.read(vaddr, size))
        for at, word in self.words.items():
            for number, byte in enumerate(word.to_bytes(8, "little")):
                if 0 <= at + number - vaddr < size:
                    data[at + number - vaddr] = byte
        return bytes(data)


class Damaged:
    """A session over a damaged guest."""

    def __init__(self, path):
        load_dcmds(pytest.fail)
        target = Target(open_image(path))
        self.guest = find_guest(target)
        self.guest.space = self.space = DamagedSpace(self.guest.space)
        self.err = io.StringIO()
        self.session = Session(target, self.guest, out=io.StringIO(), err=self.err)

    def offset(self, kind, member):
        return self.guest.objects.offsetof(kind, member)

    def write(self, address, word):
        self.space.words[address] = word
        vars(self.guest).pop("objects", None)  # what was read before the damage
        vars(self.guest).pop("slabs", None)

    def rows(self, text):
        return self.session.rows(text)


@pytest.fixture(params=IMAGES)
def damaged(request, real):
    return Damaged(real(request.param))


def first_process(guest):
    return list(each_process(guest))[1]


def test_a_tree_of_areas_that_is_no_tree_is_reported(damaged):
    mm = first_process(damaged.guest).mm
    damaged.write(mm + damaged.offset("struct mm_struct", "mm_mt.ma_root"), 0xFFFF_8880_0000_4A4A)

    assert damaged.rows("1::vmmap") == []
    assert "the areas of init end here: the tree at ffff888000004a4a is broken" in damaged.err.getvalue().replace(
        "0x", ""
    )


def test_an_area_that_is_not_in_the_image_is_one_warning(damaged):
    rows = damaged.rows("1::vmmap")
    damaged.space.missing = {rows[2].addr & ~0xFFF}
    vars(damaged.guest).pop("objects")

    left = damaged.rows("1::vmmap")

    assert set(left) < set(rows)
    assert f"failed to read the area at {rows[2].addr:x}: " in damaged.err.getvalue()
    assert damaged.err.getvalue().count("failed to read the area") == len(rows) - len(left)


def test_a_list_of_caches_that_bites_itself_ends(damaged):
    caches = damaged.rows("::slabs")
    at = damaged.offset("struct kmem_cache", "list")
    damaged.write(caches[4].addr + at, caches[2].addr + at)

    assert damaged.rows("::slabs") == caches[:5]
    assert "the list of caches ends here: " in damaged.err.getvalue()
    assert "leads back into itself" in damaged.err.getvalue()


def test_a_free_list_that_leads_elsewhere_frees_nothing(damaged):
    cache = next(cache for cache in damaged.guest.slabs.each_cache() if cache.name == "filp")
    slab = next(slab for slab in cache.each_slab() if slab.used < slab.objects)
    kind = damaged.guest.slabs.kind
    damaged.write(slab.descriptor + damaged.guest.objects.offsetof(kind, "freelist"), 0xDEAD_0000_0000_0000)

    again = damaged.guest.slabs.cache_at(cache.address)

    kept = again.free.kept & set(again.each_object(slab))
    assert again.free_in(slab) == kept
    assert kept <= cache.free_in(slab)


def test_directories_that_lie_in_each_other_end_in_an_unreachable_path(damaged):
    guest = damaged.guest
    row = next(row for row in damaged.rows("1::files") if row.path == "/run/hello.txt")
    dentry = guest.objects.at("struct file", row.file)["f_path.dentry"]
    child = next(int(row["d_parent"]) for row in [dentry.deref()])
    mounted = guest.objects.at("struct file", row.file)["f_path.mnt"]
    at = damaged.offset("struct vfsmount", "mnt_root")
    parent = damaged.offset("struct dentry", "d_parent")
    damaged.space.words[int(mounted) + at] = 0
    damaged.write(child + parent, int(dentry))

    found = next(row for row in damaged.rows("1::files") if row.path.endswith("hello.txt"))

    assert found.path.startswith("(unreachable)/")
    assert len(found.path) < 1 << 16


def test_a_tree_of_timers_with_a_cycle_is_reported(damaged):
    timers = [row for row in damaged.rows("1::timers -h") if row.base == "monotonic"]
    last = timers[-1].addr
    damaged.write(last + damaged.offset("struct rb_node", "rb_right"), timers[0].addr)

    found = damaged.rows("1::timers -h")

    assert {row.addr for row in timers} <= {row.addr for row in found}
    assert "the high-resolution timers of processor 1 end here: " in damaged.err.getvalue()


def test_a_table_of_files_of_absurd_size_is_refused(damaged):
    files = first_process(damaged.guest).struct["files"]
    damaged.write(int(files["fdt"]), 0xFFFF_FFFF)

    with pytest.raises(Exception, match="claims 4294967295 entries: it is damaged"):
        damaged.rows("1::files")
