"""Chains of illumos' STREAMS: the walkers b_next, b_cont, queue_next, queue_link, qnext, qlink."""

from collections.abc import Iterator

from vmdebug.dcmd import Call, walker
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.memory import each_link

GUESTS = ("illumos",)
MAX_LINKS = 1 << 20


@walker("b_next", start="required", guests=GUESTS)
def walk_b_next(call: Call) -> Iterator[int]:
    """walk mblk_t list using b_next"""
    return _links(call, "mblk_t", "b_next")


@walker("b_cont", start="required", guests=GUESTS)
def walk_b_cont(call: Call) -> Iterator[int]:
    """walk mblk_t list using b_cont"""
    return _links(call, "mblk_t", "b_cont")


@walker("queue_next", start="required", guests=GUESTS)
def walk_queue_next(call: Call) -> Iterator[int]:
    """walk queue list using q_next"""
    return _links(call, "queue_t", "q_next")


@walker("queue_link", start="required", guests=GUESTS)
def walk_queue_link(call: Call) -> Iterator[int]:
    """walk queue list using q_link"""
    return _links(call, "queue_t", "q_link")


@walker("qnext", start="required", guests=GUESTS)
def walk_qnext(call: Call) -> Iterator[int]:
    """walk queue_t list using q_next"""
    return _links(call, "queue_t", "q_next")


@walker("qlink", start="required", guests=GUESTS)
def walk_qlink(call: Call) -> Iterator[int]:
    """walk queue_t list using q_link"""
    return _links(call, "queue_t", "q_link")


def _links(call: Call, kind: str, member: str) -> Iterator[int]:
    return each_link(illumos(call.guest).follow(kind, member), call.address or 0, MAX_LINKS)
