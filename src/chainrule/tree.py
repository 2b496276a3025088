"""Structures of arrays (tuples, lists, dicts, namedtuples, dataclasses, None) and flat lists of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import optree

NAMESPACE = "chainrule"


def flatten(tree: Any) -> tuple[list[Any], optree.PyTreeSpec]:
    """Return the leaves of a structure and what is needed to build it again.

    Dataclasses are nodes of the structure too: a class is registered when its first instance is met.
    """
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    fresh = {type(leaf) for leaf in leaves if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type)}
    if not fresh:
        return leaves, structure
    for cls in fresh:
        _register(cls)
    return flatten(tree)


def unflatten(structure: optree.PyTreeSpec, leaves: Iterable[Any]) -> Any:
    """Build a structure from its leaves, in the order in which `flatten` returned them."""
    return optree.tree_unflatten(structure, leaves)


def map_leaves(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply f to each leaf (and to the leaves of equal structures beside it)."""
    leaves, structure = flatten(tree)
    columns = [structure.flatten_up_to(other) for other in others]
    return unflatten(structure, map(f, leaves, *columns))


def leaf_paths(tree: Any) -> list[str]:
    """Return where each leaf stands, as Python source: ``["[0]['w']", "[0]['b']"]``."""
    return list(_paths(flatten(tree)[1]))


@functools.lru_cache(maxsize=1024)
def _paths(structure: optree.PyTreeSpec) -> tuple[str, ...]:
    return tuple(accessor.codify("") for accessor in structure.accessors())


def _register(cls: type) -> None:
    names = tuple(field.name for field in dataclasses.fields(cls))

    def children(instance: Any) -> tuple[tuple[Any, ...], None, tuple[str, ...]]:
        return tuple(getattr(instance, name) for name in names), None, names

    def build(_: Any, values: Iterable[Any]) -> Any:
        instance: Any = object.__new__(cls)
        for name, value in zip(names, values, strict=True):
            object.__setattr__(instance, name, value)
        return instance

    optree.register_pytree_node(cls, children, build, path_entry_type=optree.GetAttrEntry, namespace=NAMESPACE)
