"""What all tests share: the real images and what other programs said of them.

They lie in ../shared/images beside a checkout (VMDEBUG_SHARED names another place for ../shared). Where the folder is
absent, the tests that need it skip and say so. They are unpacked once into a cache directory.

Property-based tests try the same inputs every time, so that a run says the same everywhere, and mind no slow machine;
with VMDEBUG_EXPLORE=1 they try new ones.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "vmdebug",
    deadline=None,
    derandomize=not os.environ.get("VMDEBUG_EXPLORE"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("vmdebug")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("VMDEBUG_SHARED", ROOT.parent / "shared")) / "images"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vmdebug-tests"


@pytest.fixture(scope="session")
def real():
    """`real(name)`: the path of a real image, unpacked."""

    def unpack(name):
        packed = SHARED / f"{name}.zst"
        if not packed.exists():
            pytest.skip(f"no real images: {packed} is absent")
        target = CACHE / f"{packed.stat().st_size:x}" / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            unzstd(packed, target)
        return target

    return unpack


@pytest.fixture(scope="session")
def truth():
    """`truth(name)`: the folder with what other programs said of an image."""

    def unpack(name):
        packed = SHARED / f"{name}.truth.tar.zst"
        if not packed.exists():
            pytest.skip(f"no real images: {packed} is absent")
        target = CACHE / f"{packed.stat().st_size:x}" / f"{name}.truth"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
                archive = Path(scratch) / "truth.tar"
                unzstd(packed, archive)
                folder = Path(scratch) / "folder"
                with tarfile.open(archive) as tar:
                    tar.extractall(folder, filter="data")
                folder.rename(target)
        return target

    return unpack


def unzstd(packed, target):
    """Unpack a .zst file, sparsely, and put it in place at once."""
    if shutil.which("zstd"):
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        subprocess.run(["zstd", "-dq", "--long=31", "--sparse", "-o", partial, packed], check=True)
    else:
        partial = unzstd_in_python(packed, target)
    partial.chmod(0o644)
    partial.rename(target)


def unzstd_in_python(packed, target):
    import zstandard

    partial = target.with_name(f"{target.name}.{os.getpid()}")
    with packed.open("rb") as source, partial.open("wb") as out:
        for chunk in zstandard.ZstdDecompressor(max_window_size=1 << 31).read_to_iter(source, write_size=1 << 20):
            if chunk.count(0) == len(chunk):
                out.seek(len(chunk), os.SEEK_CUR)
            else:
                out.write(chunk)
        out.truncate()
    return partial
