"""`vmdebug info IMAGE`: what a file is, container by container, without a guest being looked for."""

import json
import sys
from dataclasses import asdict

from vmdebug.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE

USAGE = "Usage: vmdebug info [--json] [--no-cache] [--allow-backing path] image ...\n"


def main(words: list[str]) -> int:
    """Describe each file; 1 if one of them holds no image that can be opened."""
    import getopt

    try:
        options, names = getopt.gnu_getopt(words, "", ("json", "no-cache", "allow-backing="))
    except getopt.GetoptError as err:
        print(f"vmdebug: {err}\n{USAGE}", end="", file=sys.stderr)
        return EXIT_USAGE
    if not names:
        print(USAGE, end="", file=sys.stderr)
        return EXIT_USAGE
    given = [name for name, _ in options]
    allowed = [value for name, value in options if name == "--allow-backing"]
    return max(show(name, "--json" in given, "--no-cache" not in given, allowed) for name in names)


def show(name: str, as_json: bool, cache: bool, allowed: list[str]) -> int:
    """Print one file's description."""
    from formats.cache import default_folder
    from formats.opener import describe

    found = describe(name, allow_backing=allowed, cache_dir=default_folder() if cache else None)
    if as_json:
        print(json.dumps(asdict(found)))
        return EXIT_FAILED if found.error else EXIT_OK
    print(f"{found.name}: {found.size} bytes")
    for kind, description in found.containers:
        print(f"  {'container':<20} {kind}: {description}")
    if found.format:
        print(f"  {'format':<20} {found.format}: {found.description}")
        print(f"  {'vcpus':<20} {found.vcpus}")
    for fact in found.facts:
        print(f"  {fact.name:<20} {printable(fact.value)}  ({fact.evidence})")
    for warning in found.warnings:
        print(f"  {'warning':<20} {printable(warning)}")
    if found.error:
        print(f"vmdebug: {printable(found.error)}", file=sys.stderr)
    return EXIT_FAILED if found.error else EXIT_OK


def printable(text: str) -> str:
    """Text without control characters: it comes out of the file."""
    return "".join(c if c.isprintable() else "?" for c in str(text))
