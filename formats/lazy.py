"""`dataclass`, made when the class is first used instead of when its module is imported.

A dataclass compiles half a dozen methods, which takes about half a millisecond; a one-shot command imports a hundred of
them and uses a few. Half of the methods are not compiled even then: what compares, hashes and shows instances is made
of closures. The decorator is called as the one of the standard library is, and to a type checker it is that.
"""

import dataclasses
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        """The standard library's decorator, with its work put off to the first instance or look at the fields."""
        if cls is None:
            return lambda decorated: dataclass(decorated, **options)
        if not options.keys() <= LIGHT or "__init__" in cls.__dict__:  # a new class, or nothing to hang the work on
            return dataclasses.dataclass(cls, **options)
        return _put_off(cls, options)


PUT_OFF = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")
LIGHT = {"frozen", "eq", "repr"}  # the options of the decorator that this one carries out itself


class _Pending:
    """Stands for what the decorator will add to a class: asked for, it lets the decorator work and gives it."""

    def __init__(self, name: str, make: Callable[[], None]) -> None:
        self._name = name
        self._make = make

    def __get__(self, instance: object, owner: type) -> Any:
        self._make()
        return getattr(owner, self._name)


def _put_off(cls: type, options: dict[str, Any]) -> type:
    def make() -> None:
        if cls.__dict__.get("__init__") is begin:
            for name in ("__init__", *PUT_OFF):
                delattr(cls, name)
            dataclasses.dataclass(cls, **{**options, "repr": False, "eq": False})
            _complete(cls, options)

    def begin(self: object, *args: Any, **kwargs: Any) -> None:
        make()
        cls.__init__(self, *args, **kwargs)  # type: ignore[misc]  # the decorator's own, which make() put there

    cls.__init__ = begin  # type: ignore[misc]
    for name in PUT_OFF:
        setattr(cls, name, _Pending(name, make))
    return cls


def _complete(cls: type, options: dict[str, Any]) -> None:
    """The methods by which instances are compared, hashed and shown, but for those that the class has of its own."""
    fields = dataclasses.fields(cls)
    own: dict[str, Any] = {}
    if options.get("repr", True):
        own["__repr__"] = _shower([field.name for field in fields if field.repr])
    if options.get("eq", True):
        values = _getter([field.name for field in fields if field.compare])
        own["__eq__"] = _comparer(values)
        own["__hash__"] = (lambda one: hash(values(one))) if options.get("frozen") else None
    for name, method in own.items():
        if cls.__dict__.get(name) is None:
            setattr(cls, name, method)


def _getter(names: Sequence[str]) -> Callable[[Any], Any]:
    return attrgetter(*names) if names else lambda one: ()


def _comparer(values: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def compare(one: object, other: object) -> Any:
        return values(one) == values(other) if other.__class__ is one.__class__ else NotImplemented

    return compare


def _shower(names: Sequence[str]) -> Callable[[Any], str]:
    from reprlib import recursive_repr

    def show(one: Any) -> str:
        return f"{type(one).__qualname__}({', '.join(f'{name}={getattr(one, name)!r}' for name in names)})"

    return recursive_repr()(show)
