"""The reference of commands, in Markdown: a page for each module of dcmds, an index, and the format letters.

    pages(registry)             {"index": "# Commands ...", "linux_tasks": "# Linux processes ...", ...}
    write(registry, folder)     into files; one that says the same already is left alone

Everything comes from the registry and from the docstrings that ::help shows.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vmdebug.entries import Dcmd, Walker, columns
from vmdebug.explain import GUESTS, guests_of, options_of, spelled, synopsis_of, told_of
from vmdebug.lang.letters import TABLE
from vmdebug.registry import Registry

KINDS = (None, "illumos", "linux", "xen")  # of guests: None is a guest that is not known
GROUPS = ("The language", "Any guest", "illumos", "Linux", "Xen")
SPECIAL = re.compile(r"([\\`*_<>\[\]$~|#])")
CODE = re.compile(r"(`[^`\n]+`)")
NAMED = re.compile(r"(?<![\w:`])(::[a-z]\w*|\$[A-Za-z<>?%]+)(?![\w`])")
STARTS = {"none": "no", "optional": "possible", "required": "needed"}


def pages(registry: Registry) -> dict[str, str]:
    """Every page of the reference by its name."""
    dcmds, walkers = _dcmds(registry), _walkers(registry)
    entries: list[Dcmd | Walker] = [*walkers, *dcmds]
    modules = {entry.module: entry for entry in entries}
    links = {spelled(entry): label(entry) for entry in reversed(dcmds)}
    made = {"index": _index(dcmds, walkers, modules), "letters": _letters()}
    for name, entry in modules.items():
        parts = [f"# {_title(entry)}", *(_section(each, links) for each in dcmds if each.module == name)]
        made[name] = "\n\n".join([*parts, *_walker_table([each for each in walkers if each.module == name])]) + "\n"
    return made


def write(registry: Registry, folder: Path) -> None:
    """Write the pages, and remove those of modules that are no more."""
    folder.mkdir(exist_ok=True)
    made = {f"{name}.md": text for name, text in pages(registry).items()}
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()


def _dcmds(registry: Registry) -> list[Dcmd]:
    """Every definition, those that others hide too."""
    names = dict.fromkeys(entry.name for kind in KINDS for entry in registry.dcmds(kind))
    found = [entry for name in sorted(names) for entry in registry.definitions(name)]
    return [entry for entry in found if isinstance(entry, Dcmd)]


def _walkers(registry: Registry) -> list[Walker]:
    names = dict.fromkeys(entry.name for kind in KINDS for entry in registry.walkers(kind))
    found = [entry for name in sorted(names) for entry in registry.definitions(name)]
    return [entry for entry in found if isinstance(entry, Walker)]


# A page.


def _title(entry: Dcmd | Walker) -> str:
    """What a module is about: the first line of its docstring, up to the names of its dcmds."""
    line = (sys.modules[entry.run.__module__].__doc__ or entry.module).strip().splitlines()[0].rstrip(".")
    head = line.partition(": ")[0]
    return head if head and not head.startswith("::") else line.removeprefix("::")


def _section(entry: Dcmd, links: dict[str, str]) -> str:
    told = told_of(entry)
    parts = [
        f"({label(entry)})=\n## {plain(spelled(entry))}",
        f"{plain(entry.summary)} – {guests_of(entry)}",
        fenced([synopsis_of(entry)], "text"),
        prose(told.text, {name: label for name, label in links.items() if name != spelled(entry)}),
        table(("option", "does"), [(code(option), plain(does)) for option, does in options_of(entry)]),
        table(("column", "is"), [(code(key), plain(told)) for key, told in columns(entry.row)] if entry.row else []),
        f"Reads: {plain(told.reads)}" if told.reads else "",
        "\n\n".join(["Example:", fenced(told.examples)]) if told.examples else "",
    ]
    return "\n\n".join(part for part in parts if part)


def label(entry: Dcmd) -> str:
    """A target for links, whose case does not count: $c and $C are two."""
    name = "".join(c if c.islower() or c.isdigit() else f"-{ord(c):x}" for c in entry.name)
    return f"dcmd-{entry.module}-{name}"


def _walker_table(walkers: Sequence[Walker]) -> list[str]:
    if not walkers:
        return []
    rows = [(code(each.name), plain(each.summary), STARTS[each.start]) for each in walkers]
    return ["## Walkers", table(("`::walk`", "gives", "start address"), rows)]


# The pages beside.


def _index(dcmds: Iterable[Dcmd], walkers: Sequence[Walker], modules: dict[str, Dcmd | Walker]) -> str:
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name, entry in sorted(modules.items()):
        groups.setdefault(_group(entry), []).append(name)
    trees = [_tree(group, names) for group, names in groups.items() if names]
    rows = [(f"[{code(spelled(each))}](#{label(each)})", plain(each.summary), guests_of(each)) for each in dcmds]
    return "\n\n".join([
        "# Commands",
        "What `::help name` says of each command, in one place, from the same source. A page holds the commands "
        "of one subject; the letters behind `/` and `=` have [a page of their own](letters.md).",
        _tree("", ["letters"]), *trees,
        "## All commands", table(("command", "does", "for"), rows),
        *_walker_table(walkers),
    ]) + "\n"  # fmt: skip


def _group(entry: Dcmd | Walker) -> str:
    if isinstance(entry, Dcmd) and entry.built_in:
        return GROUPS[0]
    return GROUPS[1] if entry.guests is None else GUESTS.get(entry.guests[0], entry.guests[0])


def _tree(caption: str, names: Iterable[str]) -> str:
    head = ["```{toctree}", f":caption: {caption}" if caption else ":hidden:", ":maxdepth: 1", ""]
    return "\n".join([*head, *names, "```"])


def _letters() -> str:
    rows = []
    for letter in TABLE:
        size = letter.bytes(8)
        rows.append((code(letter.letter), plain(letter.description), str(size) if size else "", letter.what))
    return "\n\n".join([
        "# Format letters",
        "What may stand behind `/`, `\\`, `?`, `@` and `=`, as `::formats` lists it. Sizes are in bytes, those of "
        "pointers for a 64-bit guest. Letters that write or match stand behind an address alone.",
        table(("letter", "shows", "bytes", "kind"), rows),
    ]) + "\n"  # fmt: skip


# Markdown.


def plain(text: str) -> str:
    """Text in which nothing is markup but `code`."""
    return "".join(part if number % 2 else SPECIAL.sub(r"\\\1", part) for number, part in enumerate(CODE.split(text)))


def prose(text: str, links: dict[str, str]) -> str:
    """Paragraphs of a docstring; names of dcmds lead to them, indented lines are kept as they are."""
    return "\n".join(line if line.startswith(" ") else _linked(line, links) for line in text.splitlines())


def _linked(line: str, links: dict[str, str]) -> str:
    parts: Iterator[tuple[int, str]] = enumerate(NAMED.split(line))
    return "".join(
        f"[{code(part)}](#{links[part]})" if number % 2 and part in links else plain(part) for number, part in parts
    )


def code(text: str) -> str:
    """Text as it is typed; a table's bars and the text's own backquotes do no harm."""
    fence = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def fenced(lines: Iterable[str], language: str = "mdb") -> str:
    return "\n".join([f"```{language}", *lines, "```"])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, or nothing without rows."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *body]) if body else ""
