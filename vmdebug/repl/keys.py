"""What a key does where that differs from Emacs's habits: mdb's own keys, as its users' fingers know them."""

from collections.abc import Callable

from prompt_toolkit.application import get_app
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, Filter
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.bindings.named_commands import get_by_name
from prompt_toolkit.key_binding.key_processor import KeyPressEvent

from vmdebug.repl.search import Search

ACCELERATORS = {"[": "::step over", "]": "::step"}
QUIT = "::quit"


def bindings(search: Search) -> KeyBindings:
    """The keys of a line, and those of a search in its place."""
    keys = KeyBindings()
    searching = Condition(lambda: search.active)
    _add_line_keys(keys, ~searching)
    _add_search_keys(keys, search, searching)
    return keys


def _add_line_keys(keys: KeyBindings, editing: Filter) -> None:
    empty = Condition(_is_empty)
    keys.add("c-u")(_kill_line)
    keys.add("c-d", filter=~empty)(get_by_name("delete-char"))
    keys.add("c-s")(_do_nothing)  # mdb searches in one direction only
    keys.add("c-\\")(lambda event: event.app.exit(result=QUIT))
    for key, command in ACCELERATORS.items():
        keys.add(key, filter=editing & empty)(_answer_with(command))


def _add_search_keys(keys: KeyBindings, search: Search, searching: Condition) -> None:
    @keys.add("c-r", filter=~searching)
    def begin(event: KeyPressEvent) -> None:
        search.begin(event.current_buffer)

    @keys.add("c-r", filter=searching)
    @keys.add("up", filter=searching)
    @keys.add("c-p", filter=searching)
    def further(event: KeyPressEvent) -> None:
        search.further(event.current_buffer)

    @keys.add("enter", filter=searching)
    def finish(event: KeyPressEvent) -> None:
        if not search.finish(event.current_buffer):
            event.app.output.bell()

    @keys.add("c-g", filter=searching)
    @keys.add("c-d", filter=searching & Condition(_is_empty))
    def cancel(event: KeyPressEvent) -> None:
        search.cancel(event.current_buffer)

    for key in ("tab", "down", "c-n"):
        keys.add(key, filter=searching)(_do_nothing)


def _is_empty() -> bool:
    return not get_app().current_buffer.text


def _do_nothing(_: KeyPressEvent) -> None:
    """For keys that mean something to others."""


def _kill_line(event: KeyPressEvent) -> None:
    """Erase the whole line, as a terminal's kill character does; yank brings it back."""
    event.app.clipboard.set_text(event.current_buffer.text)
    event.current_buffer.document = Document("")


def _answer_with(command: str) -> Callable[[KeyPressEvent], None]:
    """A key that is a whole command: shown as if typed, but not stored in the history."""

    def answer(event: KeyPressEvent) -> None:
        event.current_buffer.document = Document(command)
        event.app.exit(result=command)

    return answer
