"""What a person would see of a terminal's output: a screen with everything that scrolled off above it.

Knows the sequences that the shell uses; an unknown one is an error, so that a test cannot pass by not looking.
"""

import re

PIECE = re.compile(
    r"\x1b\[(?P<private>\??)(?P<numbers>[0-9;]*)(?P<final>[@-~])|\x1b\](?P<title>[^\x07]*)\x07|\x1b(?P<short>[=>78M])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f])|(?P<char>[^\x1b])",
    re.DOTALL,
)
QUIET = "mhlqtn"  # colours, modes, cursor shapes, questions


class Screen:
    """Rows of characters from the first that was written on; `top` is the uppermost that is still on the screen."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.lines = [[]]
        self.top = self.row = self.column = 0
        self.bells = 0
        self._rest = ""

    def feed(self, text):
        text = self._rest + text
        at = 0
        while at < len(text):
            found = PIECE.match(text, at)
            if found is None:
                break
            self._obey(found)
            at = found.end()
        self._rest = text[at:]
        assert len(self._rest) < 64, f"an unknown sequence: {self._rest!r}"

    def line(self, row):
        """The text of a row, blanks at its end left out."""
        return "".join(self.lines[row]).rstrip() if row < len(self.lines) else ""

    def between(self, first, end):
        return "\n".join(self.line(row) for row in range(first, end))

    def _obey(self, found):
        if found["char"]:
            self._put(found["char"])
        elif found["control"]:
            self._control(found["control"])
        elif found["final"]:
            self._sequence(found["final"], [int(n or 0) for n in found["numbers"].split(";")], found[0])
        else:
            assert found["title"] is not None or found["short"] in "=>", f"an unknown sequence: {found[0]!r}"

    def _put(self, char):
        if self.column >= self.columns:
            self.column = 0
            self._down()
        line = self.lines[self.row]
        line.extend(" " * (self.column + 1 - len(line)))
        line[self.column] = char
        self.column += 1

    def _down(self):
        self.row += 1
        self.top = max(self.top, self.row - self.rows + 1)
        self.lines.extend([] for _ in range(self.row + 1 - len(self.lines)))

    def _control(self, char):
        match char:
            case "\r":
                self.column = 0
            case "\n":
                self._down()
            case "\b":
                self.column = max(0, min(self.column, self.columns - 1) - 1)
            case "\t":
                self.column = min(self.columns - 1, self.column + 8 - self.column % 8)
            case "\a":
                self.bells += 1
            case _:
                raise AssertionError(f"a control character: {char!r}")

    def _sequence(self, final, numbers, whole):
        count = max(1, numbers[0])
        match final:
            case "A":
                self.row = max(self.top, self.row - count)
            case "B":
                for _ in range(min(count, self.top + self.rows - 1 - self.row)):
                    self._down()
            case "C":
                self.column = min(self.columns - 1, self.column + count)
            case "D":
                self.column = max(0, self.column - count)
            case "H":
                self.row = self.top + max(1, numbers[0]) - 1
                self.column = max(1, [*numbers, 1][1]) - 1
                self.lines.extend([] for _ in range(self.row + 1 - len(self.lines)))
            case "J" if numbers[0] == 2:  # what was on the screen is kept above it
                self.top = self.row = len(self.lines)
                self.lines.append([])
            case "J":
                del self.lines[self.row][self.column :]
                for row in range(self.row + 1, len(self.lines)):
                    self.lines[row].clear()
            case "K":
                del self.lines[self.row][self.column :]
            case _:
                assert final in QUIET, f"an unknown sequence: {whole!r}"
