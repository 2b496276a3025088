"""vmap: a function of one example as a function of many."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from chainrule import tree
from chainrule.errors import DtypeError, ShapeError
from chainrule.interpret import run
from chainrule.ir import CONSTANT, between
from chainrule.namespaces import Foreign, home_of, released, wrap
from chainrule.tracing import Traced, TracedArray, parameters, trace_function
from chainrule.transforms.batch import batch

__all__ = ["vmap"]

Axes = Any
"""An axis, None for an argument that is common to all examples, or a structure of these."""


def vmap(f: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0) -> Callable[..., Any]:
    """Return a function that applies f to many examples at once, stacked along an axis of its arguments.

    f is traced for one example; every operation then gets one more axis, so nothing runs in a Python loop. Where f
    looks at a value (``if x > 0``), the examples for which it sees something else are traced and run separately.
    Keyword arguments reach f as they are, the same for all examples.

    Args:
        f: Function of arrays or structures of arrays.
        in_axes: Where the examples lie in each argument: an axis for all, or a tuple with one entry per argument: an
            axis, None for an argument that is the same for all examples, or a structure of these.
        out_axes: Where they are to lie in the results: an axis, None for a result that is the same for all examples
            and is returned once, or a structure of these.

    Raises:
        ShapeError: an argument or result has no such axis, the numbers of examples differ, or a result that is to be
            returned once depends on the example.
        DtypeError: an argument with examples is no array of numbers.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> cr.vmap(np.dot, in_axes=(0, None))(np.eye(2), np.array([3.0, 4.0]))
        array([3., 4.])
        >>> cr.vmap(cr.grad(lambda x: x**3 if x > 0 else -x))(np.array([1.0, -1.0, 2.0]))
        array([ 3., -1., 12.])
    """

    @functools.wraps(f)
    def for_many(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree.flatten(args)
        axes = _axes_of(in_axes, args, structure)
        leaves = [leaf if isinstance(leaf, TracedArray) or (found := wrap(leaf)) is None else found for leaf in leaves]
        size, fronts = _fronts(leaves, axes)
        found, out_structure, common = _apply(
            f, fronts, [axis is not None for axis in axes], structure, kwargs, np.arange(size)
        )
        home = home_of(leaves)
        places = _spread(out_axes, tree.unflatten(out_structure, found), "out_axes")
        paths = tree.leaf_paths(tree.unflatten(out_structure, found))
        moved = [_moved(*each) for each in zip(found, places, common, paths, strict=True)]
        moved = [leaf if home is None or isinstance(leaf, TracedArray) else released(leaf, home) for leaf in moved]
        return tree.unflatten(out_structure, moved)

    return for_many


def _moved(leaf: Any, place: int | None, is_common: bool, path: str) -> Any:
    """Return a result with its examples, which lie in front, in the place where they are to be."""
    if place is None:
        if not is_common:
            raise ShapeError(
                f"vmap: out_axes is None for a result{path and f' at {path}'} that depends on the example; "
                "give it an axis"
            )
        return leaf[0].copy()
    if not -leaf.ndim <= place < leaf.ndim:
        raise ShapeError(
            f"vmap: out_axes asks for axis {place} of a result{path and f' at {path}'} that has {leaf.ndim} axes with "
            "that of the examples"
        )
    return np.moveaxis(leaf, 0, place)


def _apply(
    f: Callable[..., Any],
    fronts: Sequence[Any],
    batched: Sequence[bool],
    structure: Any,
    kwargs: dict[str, Any],
    chosen: np.ndarray,
) -> tuple[list[Any], Any, list[bool]]:
    """Return the results for the chosen examples, stacked along a first axis, their structure, and which are common."""
    if not len(chosen):
        raise ShapeError("vmap: there are no examples; the function cannot be traced for one")
    first = int(chosen[0])
    example = [leaf[first] if flag else leaf for leaf, flag in zip(fronts, batched, strict=True)]
    held = [leaf for leaf in example if _is_number(leaf)]
    flags = [flag for leaf, flag in zip(example, batched, strict=True) if _is_number(leaf)]

    def one(*values: Any) -> Any:
        rest = iter(values)
        return f(*tree.unflatten(structure, [next(rest) if _is_number(leaf) else leaf for leaf in example]), **kwargs)

    names = [name for name, leaf in zip(_names(f, structure), example, strict=True) if _is_number(leaf)]
    traced = trace_function(one, held, range(len(held)), kwargs={}, integers=True, names=names)
    many = [leaf[chosen] if flag and len(chosen) < len(leaf) else leaf
            for leaf, flag in zip(fronts, batched, strict=True) if _is_number(leaf)]  # fmt: skip
    results, same, common = _run(traced, many, flags, len(chosen))
    if same.all():
        return results, traced.result, common
    found, other_structure, _ = _apply(f, fronts, batched, structure, kwargs, chosen[~same])
    if other_structure != traced.result:
        raise ShapeError(f"vmap: the function returns {traced.result} for some examples, {other_structure} for others")
    order = np.argsort(np.concatenate([np.flatnonzero(same), np.flatnonzero(~same)]), kind="stable")
    joined = [np.concatenate([a[same], b])[order] for a, b in zip(results, found, strict=True)]
    return joined, traced.result, [False] * len(joined)


def _run(
    traced: Traced, args: Sequence[Any], flags: Sequence[bool], size: int
) -> tuple[list[Any], np.ndarray, list[bool]]:
    """Run a traced example for all.

    Returns:
        The results; for which examples it looked at the same values; which results do not depend on the example.
    """
    program = traced.program
    sources = [node for node, flag in zip(program.inputs, flags, strict=True) if flag]
    depends = set(between([*program.builder.guards, *program.outputs], sources))
    guards = [(node, seen) for node, seen in program.builder.guards.items() if node in depends]
    whole = batch(program, size, flags, [node for node, _ in guards])
    found = run(whole, args, {node: seen for node, seen in program.builder.guards.items() if node not in depends})
    same = np.ones(size, bool)
    for (_, seen), value in zip(guards, found[len(program.outputs) :], strict=True):
        now = np.asarray(value._look() if isinstance(value, TracedArray) else value)
        alike = (now == seen) | ((now != now) & (seen != seen))
        same &= np.reshape(alike, (size, -1)).all(axis=1)
    taken = {id(arg) for arg in args}
    outputs = []
    for node, value in zip(whole.outputs, found[: len(program.outputs)], strict=False):
        if isinstance(value, np.ndarray) and (node.op is CONSTANT or value.base is not None or id(value) in taken):
            value = value.copy()  # results share memory with nothing
        taken.add(id(value))
        outputs.append(value)
    return outputs, same, [node not in depends for node in program.outputs]


def _names(f: Callable[..., Any], structure: Any) -> list[str]:
    """Return what f calls each leaf of its arguments."""
    names = parameters(f, structure.num_children)
    return [
        name + path
        for name, part in zip(names, structure.children(), strict=False)
        for path in tree.leaf_paths(tree.unflatten(part, range(part.num_leaves)))
    ]


def _is_number(leaf: Any) -> bool:
    if isinstance(leaf, np.ndarray | np.generic | Foreign | TracedArray):
        return leaf.dtype.kind in "biufc"
    return False


def _axes_of(in_axes: Axes, args: tuple[Any, ...], structure: Any) -> list[int | None]:
    if isinstance(in_axes, tuple | list) and len(in_axes) != len(args):
        raise ShapeError(f"vmap: in_axes {in_axes} has {len(in_axes)} entries, but {len(args)} arguments were given")
    if not isinstance(in_axes, tuple | list | int | np.integer | None):
        raise ShapeError(f"vmap: in_axes must be an axis, None or a tuple with one entry per argument, got {in_axes!r}")
    return _spread(tuple(in_axes) if isinstance(in_axes, list) else in_axes, args, "in_axes")


def _spread(axes: Axes, values: Any, name: str) -> list[int | None]:
    """Return one axis per leaf of a structure, from an axis for all or a structure of axes for parts of it."""
    if axes is None or isinstance(axes, int | np.integer):
        return [_axis(axes, name)] * len(tree.flatten(values)[0])
    tree.flatten(values)  # registers dataclasses
    try:
        found = optree.tree_broadcast_prefix(
            optree.tree_map(
                lambda axis: _COMMON if axis is None else axis, axes, none_is_leaf=True, namespace=tree.NAMESPACE
            ),
            values,
            namespace=tree.NAMESPACE,
        )
    except ValueError as error:
        raise ShapeError(f"vmap: {name} {axes} does not fit the structure: {error}") from None
    return [None if axis is _COMMON else _axis(axis, name) for axis in tree.flatten(found)[0]]


def _axis(axis: Any, name: str) -> int | None:
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer | None):
        raise ShapeError(f"vmap: {name} holds {axis!r}; an axis or None is expected")
    return None if axis is None else int(axis)


_COMMON = object()
"""Stands for None, which is no leaf of a structure."""


def _fronts(leaves: Sequence[Any], axes: Sequence[int | None]) -> tuple[int, list[Any]]:
    """Return the number of examples, and the leaves with these in front."""
    sizes = {}
    fronts = []
    for k, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):
        if axis is None:
            fronts.append(leaf)
            continue
        if not _is_number(leaf):
            leaf = np.asarray(leaf)
            if leaf.dtype.kind not in "biufc":
                raise DtypeError(f"vmap: argument {k} of type {type(leaves[k]).__name__} has no axis; give it None")
        if not -leaf.ndim <= axis < leaf.ndim:
            raise ShapeError(f"vmap: argument {k} of shape {leaf.shape} has no axis {axis}")
        sizes[k] = leaf.shape[axis]
        fronts.append(np.moveaxis(leaf, axis, 0))
    if not sizes:
        raise ShapeError("vmap: in_axes is None for every argument; one must have examples")
    if len(set(sizes.values())) > 1:
        spelled = ", ".join(f"{size} in argument {k}" for k, size in sizes.items())
        raise ShapeError(f"vmap: the numbers of examples differ: {spelled}")
    return next(iter(sizes.values())), fronts
