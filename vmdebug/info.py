"""`vmdebug info IMAGE`: what a file is, container by container, without a guest being looked for.

`vmdebug formats`: what can be opened. Both know plug-ins, and tell where these come from.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict

from vmdebug.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE

USAGE = "Usage: vmdebug info [--json] [--no-cache] [--allow-backing path] [-L path] image ...\n"
USAGE_OF_FORMATS = "Usage: vmdebug formats [-L path]\n"


def main(words: list[str]) -> int:
    """Describe each file; 1 if one of them holds no image that can be opened."""
    import getopt

    try:
        options, names = getopt.gnu_getopt(words, "L:", ("json", "no-cache", "allow-backing="))
    except getopt.GetoptError as err:
        print(f"vmdebug: {err}\n{USAGE}", end="", file=sys.stderr)
        return EXIT_USAGE
    if not names:
        print(USAGE, end="", file=sys.stderr)
        return EXIT_USAGE
    _load(value for name, value in options if name == "-L")
    given = [name for name, _ in options]
    allowed = [value for name, value in options if name == "--allow-backing"]
    return max(show(name, "--json" in given, "--no-cache" not in given, allowed) for name in names)


def formats(words: list[str]) -> int:
    """List every format and container that is known, in order of detection."""
    import getopt

    from formats.candidates import candidates

    try:
        options, names = getopt.gnu_getopt(words, "L:")
        if names:
            raise getopt.GetoptError(f"{names[0]}: no argument is wanted")
    except getopt.GetoptError as err:
        print(f"vmdebug: {err}\n{USAGE_OF_FORMATS}", end="", file=sys.stderr)
        return EXIT_USAGE
    _load(value for _, value in options)
    known = candidates()
    for each in (*(one for one in known if one.reads), *(one for one in known if one.unwraps)):
        module, origin = each.module(), f" (plug-in {each.origin})" if each.origin else ""
        print(f"{module.NAME:<16} {printable(module.DESCRIPTION + origin)}")
    return EXIT_OK


def _load(paths: Iterable[str]) -> None:
    """Load plug-ins' formats, and the user's own files."""
    from vmdebug.plugins import FORMATS, load_plugins

    load_plugins(_complain, list(paths), [FORMATS])


def _complain(text: str) -> None:
    print(f"vmdebug: {printable(text)}", file=sys.stderr)


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
