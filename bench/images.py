"""Real images for measuring, unpacked where the run keeps its files."""

import os
from pathlib import Path


def real_image(name: str, scratch: Path) -> Path | None:
    """A real image, unpacked once in a run, or None where there is none (VMDEBUG_SHARED names the folder's parent)."""
    root = Path(os.environ.get("VMDEBUG_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
    packed, image = root / "images" / f"{name}.zst", scratch / name
    if image.exists() or not packed.exists():
        return image if image.exists() else None
    import zstandard

    with packed.open("rb") as source, image.open("wb") as out:
        zstandard.ZstdDecompressor(max_window_size=1 << 31).copy_stream(source, out)
    return image
