"""Linux guests without types of their own, which take them from the file that the user names."""

import shutil
import subprocess
import sys

import pytest

import vmdebug
from fixtures.linux import btf, scene
from fixtures.linux.kernel import LINK_TEXT
from fixtures.linux.scene import Plan
from fixtures.linux.types import DECLARATIONS
from formats.opener import open_image
from vmdebug.errors import NoTypes
from vmdebug.guests import find_guest
from vmdebug.guests.linux.tasks import each_task
from vmdebug.symbols.file import SymbolFile
from vmdebug.targets.target import Target


@pytest.fixture(scope="module", params=[0, 0x1A20_0000], ids=["not moved", "moved"])
def bare(request, tmp_path_factory):
    """A guest as it was made, and its image: without BTF."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(btf.Btf, "encode", lambda self: b"")
        made = scene.build(Plan(kallsyms="4.20", orc=1, shift=request.param))
    path = tmp_path_factory.mktemp("bare") / "core"
    made.guest.save(path, format="elf-core")
    return made, path


@pytest.fixture
def vmlinux(tmp_path):
    """`vmlinux(made, kind)`: a kernel's file with its symbols at the addresses that it was linked to, and its types."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to make a kernel's file with")

    def build(made, kind="-gdwarf-5", build_id=None):
        linked = made.kernel.address("init_task") - made.plan.shift
        (tmp_path / "k.c").write_text(
            DECLARATIONS + "struct rq runqueues;\n"
            '__attribute__((section(".fixed"))) struct task_struct init_task = {.pid = 1};\n'
            "static struct cred secret = {{7}}; void *_start(void) { return &secret; }\n"
        )
        words = ["gcc", "-w", kind, "-fno-eliminate-unused-debug-types", "-nostdlib", "-static", "-fno-pic"]
        words += ["-mcmodel=kernel", "-Wl,-e0", f"-Wl,--build-id={build_id or 'none'}"]
        words += [f"-Wl,-Ttext={LINK_TEXT:#x}", f"-Wl,--defsym,_text={LINK_TEXT:#x}"]
        words += [f"-Wl,--section-start=.fixed={linked:#x}", "-o", tmp_path / "vmlinux", tmp_path / "k.c"]
        subprocess.run(words, check=True)
        return tmp_path / "vmlinux"

    return build


def guest_of(core, path):
    return find_guest(Target(open_image(core)), SymbolFile(path))


def test_it_has_no_types_without_a_file(bare):
    guest = find_guest(Target(open_image(bare[1])))

    with pytest.raises(NoTypes, match="the kernel was built without BTF"):
        guest.types.find("struct task_struct")


def test_its_tasks_are_read_with_the_types_of_the_file(bare, vmlinux):
    made, core = bare
    said = {task.address: (task.pid, task.process.comm) for task in (*made.idle, *made.tasks.values())}
    guest = guest_of(core, vmlinux(made))

    assert {task.address: (task.pid, task.comm) for task in each_task(guest)} == said


def test_its_variables_have_types_wherever_the_kernel_was_moved_to(bare, vmlinux):
    made, core = bare
    guest = guest_of(core, vmlinux(made))
    symbol = guest.symbols.find("init_task")

    assert symbol.value == made.kernel.address("init_task")
    assert guest.types.type_of_symbol(symbol) is guest.types.find("struct task_struct")


def test_the_evidence_names_file_and_build(bare, vmlinux):
    made, core = bare
    path = vmlinux(made)
    guest = guest_of(core, path)

    (fact,) = [fact for fact in guest.evidence if fact.name == "types"]
    assert (fact.value, fact.evidence) == ("DWARF", f"{path}, not known to be of the kernel's build")
    assert guest.cautions() == []


@pytest.mark.parametrize(
    ("running", "said", "cautions"),
    [
        (bytes(range(20)), "as the kernel", 0),
        (bytes(range(50, 70)), f"but the kernel is {bytes(range(50, 70)).hex()}", 1),
    ],
)
def test_a_file_of_another_build_is_told(running, said, cautions, bare, vmlinux):
    made, core = bare
    path = vmlinux(made, build_id=f"0x{bytes(range(20)).hex()}")
    guest = guest_of(core, path)
    guest.build_id = running

    (fact,) = [fact for fact in guest.evidence if fact.name == "types"]
    assert fact.evidence == f"{path}, build {bytes(range(20)).hex()}, {said}"
    assert guest.cautions() == [f"{path} is of another build than the kernel, whose types may differ"][:cautions]


def test_a_file_without_types_says_what_it_lacks(bare, vmlinux):
    made, core = bare
    path = vmlinux(made, "-g0")

    with pytest.raises(NoTypes, match=f"no types: {path}: it has neither .BTF nor DWARF"):
        guest_of(core, path).types.find("struct task_struct")


def test_a_file_that_is_none_is_refused_before_anything_is_asked(bare, tmp_path):
    path = tmp_path / "text"
    path.write_text("no ELF file")

    done = subprocess.run(
        [sys.executable, "-m", "vmdebug", "--symbols", path, "-e", "::status", bare[1]], capture_output=True, text=True
    )

    said = f"vmdebug: {path}: cannot be used for symbols: Magic number does not match\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_commands_print_with_them(bare, vmlinux):
    made, core = bare
    words = ["--symbols", vmlinux(made), "-e", "init_task::print -t struct task_struct pid comm; ::image", core]

    done = subprocess.run([sys.executable, "-m", "vmdebug", *words], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert 'char [16] comm = [ "swapper/0" ]' in done.stdout
    assert "types            DWARF" in done.stdout


def test_a_guest_with_types_of_its_own_needs_no_file(tmp_path, vmlinux):
    made = scene.build(Plan())
    made.guest.save(tmp_path / "core", format="elf-core")
    path = vmlinux(made)

    done = subprocess.run(
        [sys.executable, "-m", "vmdebug", "--symbols", path, "-e", "::sizeof struct rq", tmp_path / "core"],
        capture_output=True, text=True,
    )  # fmt: skip

    assert done.stderr == f"vmdebug: warning: {path} is not needed: the linux guest has its own symbols and types\n"


def test_the_notes_of_a_real_kernel_name_its_build(real, truth):
    said = (truth("linux-mini") / "vmcoreinfo.txt").read_text()
    guest = find_guest(Target(open_image(real("linux-mini.elf.core"))))

    assert f"BUILD-ID={guest.build_id.hex()}\n" in said
    assert len(guest.build_id) == 20


@pytest.fixture
def bare_btf(bare, tmp_path):
    """A file that holds the kernel's BTF and nothing else, as /sys/kernel/btf/vmlinux does."""
    core, path = tmp_path / "full", tmp_path / "kernel.btf"
    scene.build(Plan(kallsyms="4.20", orc=1, shift=bare[0].plan.shift)).guest.save(core, format="elf-core")
    linux = find_guest(Target(open_image(core)))
    start, stop = linux.address("__start_BTF"), linux.address("__stop_BTF")
    path.write_bytes(linux.space.read(start, stop - start))
    return path


def test_a_file_of_bare_btf_gives_types(bare, bare_btf):
    made, core = bare
    said = {task.address: (task.pid, task.process.comm) for task in (*made.idle, *made.tasks.values())}
    guest = guest_of(core, bare_btf)

    (fact,) = [fact for fact in guest.evidence if fact.name == "types"]
    assert {task.address: (task.pid, task.comm) for task in each_task(guest)} == said
    assert (fact.value, fact.evidence) == ("BTF", f"{bare_btf}, not known to be of the kernel's build")


def test_the_library_takes_the_file_too(bare, bare_btf):
    made, core = bare

    rows = vmdebug.open(core, symbols=bare_btf).rows("::ps")

    assert {row.pid for row in rows} == {task.process.pid for task in (made.idle[0], *made.tasks.values())}


@pytest.mark.parametrize("cut", [3, 20, 100])
def test_bare_btf_that_is_cut_short_is_one_line(bare, bare_btf, cut):
    bare_btf.write_bytes(bare_btf.read_bytes()[:cut])
    words = ["--symbols", bare_btf, "-e", "::sizeof struct task_struct", bare[1]]

    done = subprocess.run([sys.executable, "-m", "vmdebug", *words], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "kernel.btf" in done.stderr
