"""The members that a path into a type may go on with: `p_user.u_co`, `t_procp->p_pidp->`, `cpus[0].`."""

import re
from collections.abc import Iterator

from vmdebug.types.errors import WrongKind
from vmdebug.types.model import Aggregate, Array, Pointer, Type

LAST = re.compile(r"^(?P<path>.*(?:\.|->))?(?P<name>\w*)$", re.DOTALL)
MEMBER = re.compile(r"[A-Za-z_][0-9A-Za-z_]*")
STEP = re.compile(r"(?P<name>\w+)|(?P<index>\[[^\]]*\])|->|\.")


def members(type_: Type, partial: str) -> Iterator[tuple[str, str]]:
    """Each way to go on with a path, and that member's type. Wrong paths raise a DebuggerError."""
    match = LAST.match(partial)
    if match is None:
        return
    path, name = match["path"] or "", match["name"]
    inside = _inside(_follow(type_, path))
    for each in sorted(inside.names):
        if each.startswith(name) and MEMBER.fullmatch(each):
            yield path + each, inside.find(each).type.spelled


def _follow(type_: Type, path: str) -> Type:
    for step in STEP.finditer(path):
        if step["name"]:
            type_ = _inside(type_).find(step["name"]).type
        elif step["index"]:
            type_ = _element(type_)
    return type_


def _inside(type_: Type) -> Aggregate:
    """The structure that a member is looked for in; `.` and `->` alike go through one pointer."""
    found = type_.resolve()
    if isinstance(found, Pointer):
        found = found.target.resolve()
    if not isinstance(found, Aggregate):
        raise WrongKind(type_.spelled, "a structure or union")
    return found


def _element(type_: Type) -> Type:
    found = type_.resolve()
    if not isinstance(found, Array | Pointer):
        raise WrongKind(type_.spelled, "an array or pointer")
    return found.target
