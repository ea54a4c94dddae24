"""How Sphinx builds the site: `make docs`. Nothing is fetched while it is built or read."""

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from docs import reference  # noqa: E402  the import needs the path above
from vmdebug import __version__  # noqa: E402
from vmdebug.load import load_dcmds  # noqa: E402
from vmdebug.registry import Registry  # noqa: E402
from vmdebug.repl.highlight import MdbLexer  # noqa: E402

project = "vmdebug"
author = "the vmdebug authors"
version = release = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = f"vmdebug {version}"
html_show_copyright = False
highlight_language = "none"
smartquotes = False  # -- is typed
suppress_warnings = ["misc.highlighting_failure"]  # a block of JSON begins with the command that gave it
myst_heading_anchors = 3
ELSEWHERE = re.compile(r"""<(?:link|script|img|iframe)\b[^>]*\b(?:href|src)=["'](?:https?:)?//[^>]*>""")


def setup(app: Any) -> None:  # Sphinx is not there where types are checked
    app.add_lexer("mdb", MdbLexer)
    app.connect("builder-inited", _write_reference)
    app.connect("build-finished", _refuse_foreign_assets)


def _write_reference(app: Any) -> None:
    from vmdebug.registry import REGISTRY

    failed: list[str] = []
    load_dcmds(failed.append)
    registry: Registry = REGISTRY
    reference.write(registry, HERE / "reference")
    if failed:
        raise RuntimeError("\n".join(failed))


def _refuse_foreign_assets(app: Any, error: Exception | None) -> None:
    """A page that loads something from elsewhere is an error: the site is read without a network, too."""
    for page in Path(app.outdir).rglob("*.html"):
        if found := ELSEWHERE.search(page.read_text(encoding="utf-8")):
            raise RuntimeError(f"{page.name} loads something from elsewhere: {found[0]}")
