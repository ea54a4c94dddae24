"""`dataclass`, made when the class is first used instead of when its module is imported.

A dataclass compiles half a dozen methods, which takes about half a millisecond; a one-shot command imports a hundred of
them and uses a few. The decorator is called as the one of the standard library is, and to a type checker it is that.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        """The standard library's decorator, with its work put off to the first instance or look at the fields."""
        if cls is None:
            return lambda decorated: dataclass(decorated, **options)
        if options.get("slots") or "__init__" in cls.__dict__:  # a new class, or nothing to hang the work on
            return dataclasses.dataclass(cls, **options)
        return _put_off(cls, options)


PUT_OFF = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")


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
            dataclasses.dataclass(cls, **options)

    def begin(self: object, *args: Any, **kwargs: Any) -> None:
        make()
        cls.__init__(self, *args, **kwargs)  # type: ignore[misc]  # the decorator's own, which make() put there

    cls.__init__ = begin  # type: ignore[misc]
    for name in PUT_OFF:
        setattr(cls, name, _Pending(name, make))
    return cls
