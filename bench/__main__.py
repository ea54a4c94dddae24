"""`python -m bench [subject ...]`: measures and prints one line a figure."""

import importlib
import sys
import tempfile
from pathlib import Path

SUBJECTS = ("startup", "reads", "search", "opening", "formats", "linux")


def main(subjects: list[str]) -> int:
    """Run the subjects named, or all."""
    unknown = set(subjects) - set(SUBJECTS)
    if unknown:
        print(f"bench: no subject {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        for subject in subjects or SUBJECTS:
            for row in importlib.import_module(f"bench.{subject}").measure(Path(scratch)):
                print(row.line(), flush=True)
    return 0


sys.exit(main(sys.argv[1:]))
