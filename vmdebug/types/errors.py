"""What can go wrong with types.

DebuggerError
    UnknownType        no such name
        NoTypesOfModule
    UnknownMember      no such member (also an AttributeError, so that hasattr() works on typed objects)
    TypeLoop           typedefs, arrays or structures that contain themselves
    TypeTooLarge       an array larger than any memory
    WrongKind          a question that this type cannot answer
    BadPath            a member path that cannot be followed
        OutOfBounds    an index that the array does not have
    CtfError           type data of one module that cannot be used
        CtfTruncated, CtfParentMissing
"""

from vmdebug.errors import DebuggerError


class UnknownType(DebuggerError):
    """`because` is what may have kept the type from being found: data that could not be used."""

    def __init__(
        self, name: str, reason: str = "No type information available for that name", because: str = ""
    ) -> None:
        self.name = name
        self.reason = f"{reason} ({because})" if because else reason
        super().__init__(f"failed to look up type {name}: {self.reason}")


class NoTypesOfModule(UnknownType):
    def __init__(self, name: str) -> None:
        super().__init__(name, "no symbolic debug information available for module")


class UnknownMember(DebuggerError, AttributeError):
    def __init__(self, member: str, type_name: str) -> None:
        super().__init__(f"failed to find member {member} of {type_name}: no such member of structure or union")
        self.member = member
        self.type_name = type_name


class TypeLoop(DebuggerError):
    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"type {name or '(unnamed)'}: its {what} never end")
        self.name = name


class TypeTooLarge(DebuggerError):
    def __init__(self, name: str, size: int) -> None:
        super().__init__(f"type {name}: {size:#x} bytes are more than any memory holds")
        self.name = name
        self.size = size


class WrongKind(DebuggerError):
    """`wanted` is what the type is not, as in `is not a pointer type`."""

    def __init__(self, type_name: str, wanted: str) -> None:
        super().__init__(f"{type_name} is not {wanted}")
        self.type_name = type_name
        self.wanted = wanted


class BadPath(DebuggerError):
    pass


class OutOfBounds(BadPath):
    def __init__(self, index: int, last: int) -> None:
        super().__init__(f"index {index} is outside of array bounds [0 .. {last}]")
        self.index = index
        self.last = last


class CtfError(DebuggerError):
    """Type data that cannot be used: of which module, and what is wrong with it."""

    def __init__(self, module: str, found: str) -> None:
        super().__init__(f"failed to load CTF data for {module}: {found}")
        self.module = module
        self.found = found


class CtfTruncated(CtfError):
    def __init__(self, module: str, what: str, wanted: int, found: int) -> None:
        super().__init__(module, f"{what} needs {wanted} bytes, {found} are there")


class CtfParentMissing(CtfError):
    def __init__(self, module: str, parent: str) -> None:
        super().__init__(module, f"parent {parent} not loaded")
        self.parent = parent
