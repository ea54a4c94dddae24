"""Binary heaps as trees of boxes, the root above, each element over the two that come after it."""

from collections.abc import Iterable, Iterator, Sequence

MAX_DRAWN = 63  # boxes: six levels


def heap_lines(boxes: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a heap: for each element, by its place, the lines that are written into its box.

    All elements have as many lines. What is deeper than six levels is not drawn.
    """
    shown = boxes[:MAX_DRAWN]
    tree = Tree(len(shown), max((len(line) for box in shown for line in box), default=0) + 1)
    found: list[str] = []
    for level in range(tree.levels):
        places = [place for place in range((1 << level) - 1, (2 << level) - 1) if place < len(shown)]
        texts = zip(*(shown[place] for place in places), strict=True)
        found += [tree.row(zip(places, line, strict=True)) for line in texts]
        parents = [place for place in places if 2 * place + 1 < len(shown)]
        if parents:
            found.append(tree.row((place, "|") for place in parents))
            found.append("".join(tree.branches(parents)))
    return found


class Tree:
    """Where the boxes of a heap stand: so many elements, so many columns for each of the lowest level."""

    def __init__(self, count: int, width: int) -> None:
        self.count = count
        self.levels = count.bit_length()
        self.width = width << max(self.levels - 1, 0)

    def middle(self, place: int) -> int:
        """The column in the middle of a box."""
        level = (place + 1).bit_length() - 1
        span = self.width >> level
        return (place + 1 - (1 << level)) * span + span // 2

    def row(self, texts: Iterable[tuple[int, str]]) -> str:
        """A line with texts in the middle of their boxes."""
        line = ""
        for place, text in texts:
            line = line.ljust(self.middle(place) - len(text) // 2) + text
        return line

    def branches(self, parents: Sequence[int]) -> Iterator[str]:
        """The parts of a line that lead from boxes to the one or two below each."""
        end = 0
        for place in parents:
            left, middle, right = self.middle(2 * place + 1), self.middle(place), self.middle(2 * place + 2)
            yield " " * (left - end) + "+" + "-" * (middle - left - 1) + "+"
            end = middle + 1
            if 2 * place + 2 < self.count:
                yield "-" * (right - middle - 1) + "+"
                end = right + 1
