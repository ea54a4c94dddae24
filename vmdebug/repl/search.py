"""^R as mdb has it: the prompt becomes `Search: `, Return fetches the latest line that contains the text.

What Return would fetch is shown beside the text. A further ^R goes on to the line before it; so does a search for
nothing, which repeats the last one.
"""

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document

from vmdebug.repl.history import LineHistory

PROMPT = "Search: "


class Search:
    """One search at a time, over the lines of a history."""

    def __init__(self, history: LineHistory) -> None:
        self._history = history
        self._kept = Document("")
        self._last = ""
        self._skip = -1  # matches passed over; -1 before the first search for a line
        self.active = False

    def begin(self, buffer: Buffer) -> None:
        """Put the line aside and start reading what to look for."""
        self._kept = buffer.document
        buffer.document = Document("")
        self.active = True

    def edited(self) -> None:
        """The text was changed: the latest match is wanted again."""
        if self.active:
            self._skip = 0

    def further(self, buffer: Buffer) -> None:
        """Go on to the match before the one shown; without a text, take the last search's."""
        if not buffer.text:
            buffer.document = Document(self._last)
        elif self._history.latest_with(buffer.text, self._skip + 1) is not None:
            self._skip += 1

    def match(self, text: str) -> str | None:
        """The line that Return would fetch for a text."""
        return self._history.latest_with(text, max(self._skip, 0)) if text else None

    def finish(self, buffer: Buffer) -> bool:
        """Put the line that was found in place; False, and the old line, if there is none."""
        self._skip += not buffer.text
        self._last = buffer.text or self._last
        found = self.match(self._last)
        self.active = False
        buffer.document = self._kept if found is None else Document(found)
        return found is not None

    def cancel(self, buffer: Buffer) -> None:
        """Back to the line that was put aside."""
        self.active = False
        buffer.document = self._kept

    def reset(self) -> None:
        """A new line is being read."""
        self.active = False
        self._skip = -1
