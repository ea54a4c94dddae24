"""A dataclass that is made late is the same dataclass."""

import dataclasses
from dataclasses import field

import pytest

from formats.lazy import dataclass


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0
    tags: list = field(default_factory=list)


@dataclass(frozen=True)
class Place(Point):
    name: str = ""

    def __post_init__(self):
        assert self.x >= 0


@dataclass
class Counter:
    n: int = 0


@dataclass(frozen=True)
class Marked:
    value: int
    line: int = field(default=1, compare=False)
    secret: str = field(default="", compare=False, repr=False)


@dataclass(eq=False)
class Ring:
    inner: object = None


@dataclass(frozen=True)
class Own:
    value: int

    def __repr__(self):
        return "own"

    def __eq__(self, other):
        return isinstance(other, Own)

    def __hash__(self):
        return 7


def made():
    @dataclass(frozen=True)
    class Late:
        a: int
        b: str = "b"

    return Late


def test_instances_compare_print_and_refuse_changes_as_ever():
    point = Point(1, y=2)

    assert (point, repr(point), hash(made()(1))) == (Point(1, 2), "Point(x=1, y=2, tags=[])", hash(made()(1)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 3
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Point()


def test_fields_are_there_before_the_first_instance():
    assert [each.name for each in dataclasses.fields(made())] == ["a", "b"]
    assert dataclasses.is_dataclass(made())
    assert made().__match_args__ == ("a", "b")


def test_subclasses_take_the_fields_of_a_base_that_was_never_used():
    place = Place(1, name="here")

    assert place == Place(1, 0, [], "here")
    assert dataclasses.replace(place, y=5) == Place(1, 5, [], "here")
    with pytest.raises(AssertionError):
        Place(-1)


def test_a_plain_subclass_may_come_first():
    late = made()

    class Child(late):
        pass

    assert repr(Child(1)).endswith("Child(a=1, b='b')")
    assert late(1) == late(1)


def test_instances_that_may_change_do():
    counter = Counter()
    counter.n += 1

    assert counter == Counter(1)


def test_one_with_slots_is_made_at_once():
    @dataclass(frozen=True, slots=True)
    class Small:
        a: int

    assert not hasattr(Small(1), "__dict__")


def test_what_is_left_out_of_comparing_and_showing_stays_out():
    one, other = Marked(1, line=5, secret="x"), Marked(1, line=6, secret="y")

    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == "Marked(value=1, line=5)"


def test_one_class_is_never_equal_to_another():
    class Child(Point):
        pass

    assert Child(1) == Child(1)
    assert Child(1) != Point(1)
    assert Point(1) != 1
    assert made()(1) != made()(1)


def test_what_may_change_has_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Counter())


def test_an_instance_that_holds_itself_is_shown():
    ring = Ring()
    ring.inner = ring

    assert repr(ring) == "Ring(inner=...)"


def test_methods_of_the_class_itself_are_kept():
    assert (repr(Own(1)), Own(1) == Own(2), hash(Own(1))) == ("own", True, 7)
