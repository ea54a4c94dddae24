"""Which callouts somebody wants to see: of which tables, at which times, with which marks, of which function."""

from formats.lazy import dataclass
from vmdebug.guests.illumos.callouts import LONG, Callout, CalloutList, CalloutTable


@dataclass(frozen=True)
class Choice:
    """What must hold of a callout; None and zero ask for nothing. Times are in nanoseconds since boot."""

    kind: int | None = None  # realtime or normal
    sequence: int | None = None  # of its cpu
    marks: int = 0  # bits that its id has
    short: bool = False  # its id is no long-term one
    flags: int = 0  # that its list has
    at: int | None = None
    after: int | None = None  # or then
    before: int | None = None  # or then
    function: int | None = None
    argument: int | None = None

    def table(self, table: CalloutTable) -> bool:
        """Whether callouts of a table may be wanted."""
        return self.kind in (None, table.type) and self.sequence in (None, table.sequence)

    def listed(self, found: CalloutList) -> bool:
        """Whether callouts of a list may be wanted."""
        expires = found.expiration
        return (
            self.at in (None, expires)
            and (self.after is None or expires >= self.after)
            and (self.before is None or expires <= self.before)
            and found.flags & self.flags == self.flags
        )

    def callout(self, found: Callout) -> bool:
        """Whether a callout is wanted; one whose list cannot be read is not where something is asked of that."""
        return (
            (self.listed(found.listed) if found.listed else not self._asks_list)
            and found.identity & self.marks == self.marks
            and not (self.short and found.identity & LONG)
            and self.function in (None, found.function)
            and self.argument in (None, found.argument)
        )

    @property
    def _asks_list(self) -> bool:
        return bool(self.flags) or any(each is not None for each in (self.at, self.after, self.before))
