"""The bits of a number drawn below it: a stroke down from its column, an arrow to each name and what it means."""

from collections.abc import Iterator, Mapping


def legend_lines(column: int, value: int, bits: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    """The lines below a number that stands at a column; none where no bit of it has a name."""
    names = [(name, meaning) for name, (bit, meaning) in bits.items() if value & bit]
    if not names:
        return
    width = max(len(name) for name, _ in names)
    yield f"{'':{column}}|"
    for place, (name, meaning) in enumerate(names):
        yield f"{'':{column}}{'+-->' if place == 0 else '':4}  {name:<{width}}  {meaning}"
    yield ""


def bit_names(value: int, bits: Mapping[str, tuple[int, str]]) -> list[str]:
    """The names of the bits that are set."""
    return [name for name, (bit, _) in bits.items() if value & bit]
