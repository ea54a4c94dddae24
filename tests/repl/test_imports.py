"""What the shell costs those who do not use it: nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", ["vmdebug.cli", "vmdebug.session", "vmdebug.repl"])
def test_nothing_else_imports_the_terminals_libraries(module):
    words = f"import sys, {module}; print(*[n for n in ('prompt_toolkit', 'pygments', 'asyncio') if n in sys.modules])"

    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


def test_they_are_named_in_the_shell_only():
    sources = [path for room in ("vmdebug", "dcmds", "formats", "fixtures") for path in (ROOT / room).rglob("*.py")]

    naming = {path.relative_to(ROOT).parts[:2] for path in sources if "import prompt_toolkit" in path.read_text()}
    naming |= {path.relative_to(ROOT).parts[:2] for path in sources if "from prompt_toolkit" in path.read_text()}

    assert naming == {("vmdebug", "repl")}
