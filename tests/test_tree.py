"""Structures of arrays and flat lists of them."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any, Generic, TypeVar

import pytest

from chainrule import tree

Point = namedtuple("Point", "x y")
T = TypeVar("T")


@dataclasses.dataclass
class Weights:
    w: Any
    b: Any = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    value: Any


@dataclasses.dataclass
class Checked:
    value: Any
    double: Any = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        if self.value is None:
            raise ValueError("never built again from its parts alone")
        self.double = self.value * 2


@dataclasses.dataclass
class Typed(Generic[T]):
    value: T


@pytest.mark.parametrize(
    ("structure", "leaves", "paths"),
    [
        (1.0, [1.0], [""]),
        ((1, [2, (3,)]), [1, 2, 3], ["[0]", "[1][0]", "[1][1][0]"]),
        ({"b": 1, "a": {"c": 2}}, [2, 1], ["['a']['c']", "['b']"]),
        (Point(1, [2]), [1, 2], [".x", ".y[0]"]),
        (None, [], []),
        ((), [], []),
        ([None, 1, {}], [1], ["[1]"]),
        (Weights(1, {"k": 2}), [1, 2], [".w", ".b['k']"]),
        (Slotted(1), [1], [".value"]),
        (Typed([1, 2]), [1, 2], [".value[0]", ".value[1]"]),
        ([Slotted(Weights(1, Slotted(2)))], [1, 2], ["[0].value.w", "[0].value.b.value"]),
        (OrderedDict([("z", 1), ("a", 2)]), [1, 2], ["['z']", "['a']"]),
        (deque([1, 2]), [1, 2], ["[0]", "[1]"]),
        ("word", ["word"], [""]),
    ],
)
def test_round_trip(structure: Any, leaves: list[Any], paths: list[str]) -> None:
    found, spec = tree.flatten(structure)
    assert found == leaves
    assert tree.leaf_paths(structure) == paths
    assert tree.unflatten(spec, leaves) == structure
    assert type(tree.unflatten(spec, leaves)) is type(structure)


def test_dictionaries_keep_their_order() -> None:
    found = tree.map_leaves(lambda leaf: leaf + 1, {"b": 1, "a": 2})
    assert list(found.items()) == [("b", 2), ("a", 3)]
    grouped = defaultdict(list, {"b": [1]})
    assert tree.map_leaves(str, grouped) == {"b": ["1"]}


def test_dataclasses_are_built_without_their_constructor() -> None:
    instance = Checked(3)
    leaves, spec = tree.flatten(instance)
    assert leaves == [3, 6]
    rebuilt = tree.unflatten(spec, [None, "kept"])
    assert (rebuilt.value, rebuilt.double) == (None, "kept")


def test_classes_are_leaves() -> None:
    assert tree.flatten(Weights)[0] == [Weights]


def test_map_over_several() -> None:
    one, two = {"a": [1, 2]}, {"a": [10, 20]}
    assert tree.map_leaves(lambda x, y: x + y, one, two) == {"a": [11, 22]}
    with pytest.raises(ValueError, match=r"[Ee]xpected"):
        tree.map_leaves(lambda x, y: x + y, one, {"b": [10, 20]})


def test_structures_compare() -> None:
    assert tree.flatten({"a": 1})[1] == tree.flatten({"a": 2})[1]
    assert tree.flatten([1])[1] != tree.flatten((1,))[1]
    assert tree.flatten(Weights(1, 2))[1] != tree.flatten(Point(1, 2))[1]
