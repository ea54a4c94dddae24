"""Of what types the buffers of an illumos kernel are: by the types of the pointers that lead to them.

The nodes are the kernel's variables whose types are known and the buffers that the allocators gave out, the edges the
words of one that point into another. How types are found:

given        a variable has its own type, a buffer of some caches that which the cache is for, others what the user says
pass 1       a pointer in a node of a known type says what lies where it leads: if that is the beginning of a node that
             has room for one of that type but not for two, and no pointer says otherwise, its type is known
pass 2       a node with room for more is taken for an array of what a single type of pointers says, which is
             conjecture, and so is all that the pointers in it say

A node to whose beginning pointers of several types lead has all of them as conjectures, but for a structure that begins
with another. If pointers of a type lead only into a node, it has a fragment. What was concluded is not taken back when
something later contradicts it. The idea: Cantrill, Postmortem Object Type Identification (AADEBUG 2003).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, NoTypes
from vmdebug.guests.illumos.buffers import ADDRESSES, Buffers, Links, Owner, Part, find_links, gather
from vmdebug.guests.illumos.locks import OWNER, read_mutex
from vmdebug.guests.illumos.shapes import NONE, WORD, Shapes
from vmdebug.targets.bulk import each_piece
from vmdebug.types.model import Aggregate, Array, Type

if TYPE_CHECKING:
    from vmdebug.guests.illumos.buffers import Numbers
    from vmdebug.guests.illumos.kernel import Illumos


KEPT = "typegraph"
UNMARKED, FRAGMENT, CONJECTURED, KNOWN = range(4)
VARIABLE = "variable"
Said = Sequence[int]  # a node, the type of a pointer into it, how far from its beginning that leads
FEW = 1 << 8  # rows that are not worth being looked through for equal ones
MAX_ROUNDS = 1 << 18
MAX_SAID = 1 << 8  # that is kept of one node
CACHES = {  # what a cache's buffers are
    "thread_cache": "kthread_t", "process_cache": "proc_t", "lwp_cache": "klwp_t", "cred_cache": "cred_t",
    "file_cache": "file_t", "vn_cache": "vnode_t", "seg_cache": "struct seg", "as_cache": "struct as",
    "turnstile_cache": "turnstile_t", "taskq_ent_cache": "taskq_ent_t", "taskq_cache": "taskq_t",
    "streams_mblk": "mblk_t", "stream_head_cache": "stdata_t", "zone_cache": "zone_t", "task_cache": "task_t",
    "sigqueue_cache": "sigqueue_t", "anon_cache": "struct anon", "anonmap_cache": "struct anon_map",
    "segvn_cache": "struct segvn_data", "snode_cache": "struct snode", "hat_t": "hat_t", "htable_t": "htable_t",
}  # fmt: skip


class NoGraph(DebuggerError):
    def __init__(self) -> None:
        super().__init__("must first run ::typegraph")


class NoNode(DebuggerError):
    def __init__(self, address: int) -> None:
        super().__init__(f"{address:x} is in no variable of a known type and in no buffer that is given out")
        self.address = address


class WrongSize(DebuggerError):
    def __init__(self, name: str, size: int, base: int, room: int) -> None:
        super().__init__(f"{name} has {size:#x} bytes, what lies at {base:x} has {room:#x}")
        self.base = base


@dataclass(frozen=True)
class Pass:
    """How far the search had come: how many nodes there are, and how many of each state.

    Conflicts are nodes to which pointers of several types lead.
    """

    name: str
    nodes: int
    unmarked: int
    known: int
    conjectured: int
    fragments: int
    conflicts: int


@dataclass(frozen=True)
class Reference:
    """A word that points into a node: the node that holds it and its type, how far from its beginning, its value."""

    base: int
    offset: int
    value: int
    type: Type | None


@dataclass(frozen=True)
class Finding:
    """What is known of an address: its node, that node's owner, the state; whether that was given or concluded.

    `types` are what the node may be, `fragments` types of what may lie inside, each with how far from its beginning.
    `step` is the size of a single type, of which a node may have several.
    """

    base: int
    size: int
    state: int
    given: bool
    owner: str
    types: Sequence[Type]
    fragments: Sequence[tuple[int, Type]]
    step: int


class Typing(NamedTuple):
    """A node that has one type: where it begins, that type, its size, how many it has room for; where mutexes lie."""

    base: int
    type: Type
    size: int
    many: int
    mutexes: Sequence[int]


class Lock(NamedTuple):
    """A mutex: where it is, the type of what it lies in, and how far from the beginning of that."""

    address: int
    type: Type
    offset: int


class Candidates:
    """What pointers say of nodes: of which type they are, and how far from a node's beginning they lead.

    The first word of each node is kept in columns, which is all for most; what else is said of one, in a set.
    """

    def __init__(self, count: int) -> None:
        import numpy as np

        self.types = np.full(count, NONE, np.int64)
        self.insides = np.zeros(count, np.int64)
        self.several: dict[int, set[tuple[int, int]]] = {}

    def add(self, number: int, kind: int, inside: int) -> None:
        """Note that a pointer to a type leads into a node, so far from its beginning."""
        if self.types[number] == NONE:
            self.types[number], self.insides[number] = kind, inside
        elif self.types[number] != kind or self.insides[number] != inside:
            known = self.several.setdefault(number, {(int(self.types[number]), int(self.insides[number]))})
            if len(known) < MAX_SAID:
                known.add((kind, inside))

    def of(self, number: int) -> list[tuple[int, int]]:
        """What is said of a node: types, and how far from its beginning."""
        if number in self.several:
            return sorted(self.several[number])
        return [(int(self.types[number]), int(self.insides[number]))] if self.types[number] != NONE else []


class Graph:
    """The nodes with what was found out about each."""

    def __init__(self, nodes: Buffers, links: Links, shapes: Shapes) -> None:
        import numpy as np

        self.nodes, self.links, self.shapes = nodes, links, shapes
        self.state = np.full(len(nodes), UNMARKED, np.int8)
        self.type = np.full(len(nodes), NONE, np.int64)
        self.fixed = np.zeros(len(nodes), np.bool_)  # pointers say nothing of these
        self.passes: list[Pass] = []
        self._said = Candidates(len(nodes))
        self._sizes = (nodes.ends - nodes.bases).astype(np.int64)
        self._starts = np.searchsorted(links.sources, np.arange(len(nodes) + 1))

    def give(self, numbers: "Numbers", type_: Type) -> None:
        """Say what nodes are; those that have no room for it stay as they are."""
        shape = self.shapes.number(type_)
        size = self.shapes.size(shape)
        fitting = numbers[self._sizes[numbers] >= size] if size else numbers[:0]
        self.state[fitting], self.type[fitting], self.fixed[fitting] = KNOWN, shape, True

    def istype(self, address: int, type_: Type) -> None:
        """Say of what type the node of an address is, and draw the conclusions."""
        import numpy as np

        number = self.number(address)
        if not 0 < type_.size <= self._sizes[number]:
            raise WrongSize(type_.spelled, type_.size, self.nodes.base(number), int(self._sizes[number]))
        self.give(np.array([number]), type_)
        self._conclude(np.array([number]))

    def notype(self, address: int) -> None:
        """Take the type of an address' node away, and let pointers say nothing of it."""
        number = self.number(address)
        self.state[number], self.type[number], self.fixed[number] = UNMARKED, NONE, True

    def run(self) -> None:
        """Both passes, from all nodes whose types are given."""
        import numpy as np

        self._count("initial")
        self._conclude(np.flatnonzero(self.state == KNOWN), self._count)

    def _conclude(self, first: "Numbers", tell: Callable[[str], None] = lambda _: None) -> None:
        import numpy as np

        self._spread(first, sure=True)
        tell("1")
        self._spread(np.flatnonzero((self.state == CONJECTURED) & (self.type != NONE)), sure=False)
        tell("2")

    def _count(self, name: str) -> None:
        unmarked, known, conjectured, fragments = (
            int((self.state == state).sum()) for state in (UNMARKED, KNOWN, CONJECTURED, FRAGMENT)
        )
        conflicts = int(((self.state == CONJECTURED) & (self.type == NONE)).sum())
        self.passes.append(Pass(name, len(self.nodes), unmarked, known, conjectured, fragments, conflicts))

    def _spread(self, fresh: "Numbers", *, sure: bool) -> None:
        """What the pointers of some nodes say, then those of the nodes that were found by that, until none is new."""
        for _ in range(MAX_ROUNDS):
            said = self._pointed(fresh, arrays=not sure)
            if not said:
                return
            fresh = self._judge(said, sure)

    def _pointed(self, numbers: "Numbers", *, arrays: bool) -> list[Said]:
        """What the pointers in nodes say of those that they lead to."""
        import numpy as np

        found: list[Said] = []
        for shape in set(self.type[numbers].tolist()):
            table, size = self.shapes.pointers(shape), self.shapes.size(shape)
            which = self._links_of(numbers[self.type[numbers] == shape])
            at = (self.links.places[which] - self.nodes.bases[self.links.sources[which]]).astype(np.int64)
            at = at % size if arrays else at
            good = (at % WORD == 0) & (at < len(table) * WORD)
            which, types = which[good], table[at[good] // WORD]
            which, types = which[types != NONE], types[types != NONE]
            targets = self.links.targets[which]
            inside = (self.links.values[which] - self.nodes.bases[targets]).astype(np.int64)
            free = ~self.fixed[targets]
            rows = np.stack((targets[free], types[free], inside[free]), 1)
            found += (rows if len(rows) < FEW else np.unique(rows, axis=0)).tolist()
        return found

    def _links_of(self, numbers: "Numbers") -> "Numbers":
        """The words of some nodes that point into others."""
        import numpy as np

        counts = self._starts[numbers + 1] - self._starts[numbers]
        skipped = np.repeat(self._starts[numbers] - (np.cumsum(counts) - counts), counts)
        found: Numbers = skipped + np.arange(int(counts.sum()))
        return found

    def _judge(self, said: Sequence[Said], sure: bool) -> "Numbers":
        """Note what pointers say, and decide of each node that they lead to; the nodes that have another type now."""
        import numpy as np

        for number, kind, inside in said:
            self._said.add(number, kind, inside)
        fresh: list[int] = []
        for number in dict.fromkeys(number for number, _, _ in said):
            if sure or self.state[number] != KNOWN:
                before = self.type[number]
                self.type[number], self.state[number] = kind, state = self._decide(number, sure)
                if kind not in (NONE, before) and state == (KNOWN if sure else CONJECTURED):
                    fresh.append(number)
        return np.array(fresh, np.int64)

    def _decide(self, number: int, sure: bool) -> tuple[int, int]:
        """Type and state of a node by what pointers say of it: the type that begins with all others."""
        whole = self._whole(number)
        if not whole:
            return NONE, FRAGMENT
        largest = max(whole, key=self.shapes.size)
        if not set(whole) <= {largest, *self.shapes.firsts(largest)}:
            return NONE, CONJECTURED
        return largest, KNOWN if sure and self._sizes[number] < 2 * self.shapes.size(largest) else CONJECTURED

    def _whole(self, number: int) -> list[int]:
        """The types of pointers to a node's beginning that it has room for."""
        room = self._sizes[number]
        return [kind for kind, inside in self._said.of(number) if inside == 0 and self.shapes.size(kind) <= room]

    def number(self, address: int) -> int:
        """The node that an address lies in; NoNode where it is in none."""
        found = self._find(address)
        if found == NONE:
            raise NoNode(address)
        return found

    def find(self, address: int) -> Finding:
        """What is known of an address."""
        number, types = self.number(address), self.shapes.types
        shape, state = int(self.type[number]), int(self.state[number])
        several = self._whole(number) if state == CONJECTURED else []
        inside = [(at, types[kind]) for kind, at in self._said.of(number) if at] if state != KNOWN else []
        return Finding(
            base=self.nodes.base(number),
            size=self.nodes.size(number),
            state=state,
            given=bool(self.fixed[number]),
            owner=self.nodes.owner(number).name,
            types=[types[shape]] if shape != NONE else [types[kind] for kind in several],
            fragments=inside,
            step=self.shapes.size(shape) if shape != NONE else 0,
        )

    def references(self, address: int) -> Iterator[Reference]:
        """The words that point into the node of an address."""
        import numpy as np

        for place in np.flatnonzero(self.links.targets == self.number(address)).tolist():
            source = int(self.links.sources[place])
            base, shape = self.nodes.base(source), int(self.type[source])
            type_ = None if shape == NONE else self.shapes.types[shape]
            yield Reference(base, int(self.links.places[place]) - base, int(self.links.values[place]), type_)

    def each_typed(self) -> Iterator[Typing]:
        """The nodes that have one type."""
        import numpy as np

        for number in np.flatnonzero(self.type != NONE).tolist():
            shape = int(self.type[number])
            size = self.shapes.size(shape)
            count = 1 if self.state[number] == KNOWN else int(self._sizes[number]) // size
            yield Typing(self.nodes.base(number), self.shapes.types[shape], size, count, self.shapes.mutexes(shape))

    def each_array(self) -> Iterator[Typing]:
        """Variables that are arrays, and nodes that are taken for some; of each the element."""
        for node in self.each_typed():
            base = node.type.complete()
            if not isinstance(base, Array):
                yield node
            elif isinstance(base.element.complete(), Aggregate):
                shape = self.shapes.number(base.element)
                size, places = self.shapes.size(shape), self.shapes.mutexes(shape)
                yield Typing(node.base, self.shapes.types[shape], size, base.count, places)

    def each_lock(self, guest: "Illumos", threads: Sequence[int]) -> Iterator[Lock]:
        """The mutexes that some threads hold."""
        import numpy as np

        owners = np.array([thread for thread in threads if 0 <= thread < ADDRESSES], np.uint64)
        for start, end in self.nodes.each_range():
            for address, data in each_piece(guest.target.kernel, start, min(end, ADDRESSES), zeros=False):
                skipped = -address % WORD
                words = np.frombuffer(data, "<u8", max(len(data) - skipped, 0) // WORD, skipped)
                for place in np.flatnonzero(np.isin(words & np.uint64(OWNER), owners)).tolist():
                    found = self._lock_at(address + skipped + place * WORD)
                    if found and read_mutex(guest, found.address).owner in threads:
                        yield found

    def _lock_at(self, address: int) -> Lock | None:
        """The mutex at an address, if there is one by what is known of it."""
        number = self._find(address)
        if number == NONE or self.type[number] == NONE:
            return None
        shape, offset = int(self.type[number]), address - self.nodes.base(number)
        at = offset % self.shapes.size(shape)
        if self.state[number] == KNOWN and at != offset:
            return None
        return Lock(address, self.shapes.types[shape], at) if at in self.shapes.mutexes(shape) else None

    def _find(self, address: int) -> int:
        """The node that an address lies in, NONE if it is in none."""
        import numpy as np

        return int(self.nodes.find(np.array([address], np.uint64))[0]) if 0 <= address < ADDRESSES else NONE


def build(guest: "Illumos", warn: Callable[[str], None]) -> Graph:
    """The graph of a guest's memory, kept for what asks for it later."""
    import numpy as np

    if guest.types.why:
        raise NoTypes(guest.types.why)
    variables = list(_each_variable(guest))
    starts, sizes = (np.array([each[at] for each in variables], np.uint64) for at in (0, 1))
    nodes = Buffers([Part(Owner(VARIABLE, 0), starts, starts + sizes), *gather(guest, warn)])
    graph = Graph(nodes, find_links(guest, nodes), Shapes())
    for number, (_, _, type_) in zip(nodes.find(starts).tolist(), variables, strict=True):
        graph.give(np.array([number]), type_)
    for number, owner in enumerate(nodes.owners):
        if owner.cache and owner.name in CACHES and guest.types.knows(CACHES[owner.name]):
            graph.give(nodes.of_owner(number), guest.types.find(CACHES[owner.name]))
    graph.run()
    for problem in graph.shapes.problems:
        warn(problem)
    guest.kept[KEPT] = graph
    return graph


def _each_variable(guest: "Illumos") -> Iterator[tuple[int, int, Type]]:
    """The variables of the kernel whose types are known: where each lies, its size, its type."""
    for symbol in guest.symbols.each():
        if symbol.kind == "OBJT" and 0 < symbol.value < ADDRESSES - symbol.size:
            type_ = guest.types.type_of_symbol(symbol)
            if type_ and 0 < type_.size <= symbol.size:
                yield symbol.value, type_.size, type_


def graph_of(guest: "Illumos") -> Graph:
    """The graph that was built; NoGraph where none was."""
    found = guest.kept.get(KEPT)
    if not isinstance(found, Graph):
        raise NoGraph
    return found
