"""Members that a user names: paths followed in memory, indexes in the session's radix."""

from collections.abc import Callable

from vmdebug.dcmd import Call
from vmdebug.errors import Abort, DebuggerError, ReadFailed
from vmdebug.lang.numbers import read_number
from vmdebug.types.errors import OutOfBounds
from vmdebug.types.paths import Follower, Place

Read = Callable[[int, int], bytes]


class CannotDereference(Abort):
    def __init__(self, address: int, reason: str) -> None:
        super().__init__(f"could not dereference pointer {address:x}: {reason}")


def follow(call: Call, place: Place, path: str, pointer: Callable[[Place], int]) -> Place:
    """Where a path leads; a path that cannot be followed ends the pipeline, an index beyond its array is only told."""

    def beyond(error: OutOfBounds) -> None:
        number = call.session.show.number
        call.warn(f"index {number(error.index)} is outside of array bounds [0 .. {number(error.last)}]")

    follower = Follower(pointer, lambda text: read_number(text.strip(), call.session.radix), beyond)
    try:
        return follower.follow(place, path)
    except Abort:
        raise
    except DebuggerError as err:
        raise Abort(str(err)) from err


def read_pointer(read: Read, place: Place) -> int:
    """The value of a pointer in memory; CannotDereference where it cannot be read."""
    try:
        return int.from_bytes(read(place.address, place.type.size), "little")
    except ReadFailed as err:
        raise CannotDereference(place.address, err.reason) from err
