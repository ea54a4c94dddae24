"""Where the kernel's text and data lie, by the symbols of their ends, and the thread that vcpu 0 runs."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.tasks import current_task

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux


def read_landmarks(linux: "Linux") -> Mapping[str, int]:
    """The values of the variables b d t thread, as far as they can be found; an image in memory has no e and m."""
    found: dict[str, int] = {}
    data, end = linux.names.find("_sdata"), linux.names.find("_edata")
    if data and end:
        found |= {"b": data.value, "d": end.value - data.value}
    text, end = linux.names.find("_stext"), linux.names.find("_etext")
    if text and end:
        found["t"] = end.value - text.value
    with suppress(DebuggerError):
        found["thread"] = current_task(linux, linux.target.image.vcpus[0].id).address if linux.target.image.vcpus else 0
    return found
