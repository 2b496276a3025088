"""Linear data movement, in adjoint pairs that stand together.

broadcast_to / sum · reshape · permute · slice / embed · gather / scatter_add · put_slice · put · concatenate ·
cumsum.

A regular part of an array is written as one entry per axis, so that it hashes and prints: an integer, never
negative, which drops the axis, or ``(start, stop, step)``, with ``stop`` None where a negative step runs past
the first element.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.edges import Map, scale, zeros
from chainrule.ir import Node
from chainrule.ops.family import as_array, helper, opaque, structural
from chainrule.types import Shape, Spec

Index = tuple[tuple[int, int | None, int] | int, ...]


def _shift(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)


def _cases(*cases: tuple[Shape, dict[str, Any]]) -> Any:
    """Return samples: normal numbers of each shape, with these parameters."""
    return lambda rng: [((np.asarray(rng.normal(size=shape))[()],), params) for shape, params in cases]


# -- which element of which argument an element of the result is (see llvm/emit.py) --------------------


def _read_permuted(body: Any, node: Node, place: Any) -> str:
    parts = body.unflatten(place)
    axes = node.params["axes"]
    return body.read(node.inputs[0], tuple(parts[axes.index(k)] for k in range(len(axes))))


def _read_slice(body: Any, node: Node, place: Any) -> str:
    parts = iter(body.unflatten(place))
    (zero,) = body.unflatten(body.reshaped(place, node.shape, (1,)))
    index = node.params["index"]
    return body.read(
        node.inputs[0],
        tuple(zero + part if isinstance(part, int) else next(parts) * part[2] + part[0] for part in index),
    )


def _within(body: Any, place: Any, index: Index, shape: Shape) -> tuple[Any, Any]:
    """Return whether a place lies in a regular part of an array, and where in that part."""
    condition, inner = None, []
    for part, chosen, size in zip(body.unflatten(place), index, shape, strict=True):
        start, stop, step = (chosen, chosen + 1, 1) if isinstance(chosen, int) else chosen
        here, position = body.inside(part, start, stop, step, size)
        if not isinstance(chosen, int):
            inner.append(position)
        if here == "false":
            return here, ()
        if here is not None:
            condition = here if condition is None else body.let(f"and i1 {condition}, {here}")
    return condition, tuple(inner)


def _read_embedded(body: Any, node: Node, place: Any) -> str:
    (x,) = node.inputs
    return _either(body, node, place, node.params["index"], x, lambda: body.zero(node))


def _read_put_slice(body: Any, node: Node, place: Any) -> str:
    x, v = node.inputs
    return _either(body, node, place, node.params["index"], v, lambda: body.read(x, place))


def _either(body: Any, node: Node, place: Any, index: Index, part: Node, rest: Any) -> str:
    """Return the element of `part`, which lies at `index` in the result, or of the rest."""
    if not part.spec.size:
        return rest()
    condition, inner = _within(body, place, index, node.shape)
    if condition == "false":
        return rest()
    value = body.cast_to(body.read(part, inner), part, node)
    return value if condition is None else body.select(condition, value, rest(), node)


def _read_part(body: Any, node: Node, place: Any) -> str:
    parts = [arg for arg in node.inputs if arg.spec.size]
    axis = node.params["axis"]
    position = body.unflatten(place)
    stop = node.shape[axis]
    value: str | None = None
    for part in reversed(parts):
        start = stop - part.shape[axis]
        index = tuple((start, stop, 1) if a == axis else (0, size, 1) for a, size in enumerate(node.shape))
        condition, inner = _within(body, position, index, node.shape)
        stop = start
        if condition == "false":
            continue
        element = body.cast_to(body.read(part, inner), part, node)
        value = element if condition is None or value is None else body.select(condition, element, value, node)
        if condition is None:
            break
    assert value is not None
    return value


def _read_gathered(body: Any, node: Node, place: Any) -> str:
    x, *indices = node.inputs
    parts = body.unflatten(place)
    count = indices[0].ndim
    chosen = [
        body.wrapped(body.read(index, parts[:count]), size) for index, size in zip(indices, x.shape, strict=False)
    ]
    return body.read(x, (*chosen, *parts[count:]))


# -- broadcast_to and sum: adjoint of each other -------------------------------------------------------


def _broadcast_labels(x: Spec, y: Spec, shape: Shape) -> tuple[list[int], list[int]]:
    offset = y.ndim - x.ndim
    labels = [offset + k if size == y.shape[offset + k] else y.ndim + k for k, size in enumerate(x.shape)]
    return labels, list(range(y.ndim))


broadcast_to = structural(
    "broadcast_to",
    lambda x, shape: np.broadcast_to(x, shape),
    doc="The array repeated to a shape.",
    infer=lambda x, shape: x.with_shape(shape),
    adjoint=lambda y_bar, x, shape: y_bar.sum_to(x.shape),
    batch=lambda node, args, _: broadcast_to(
        args[0].reshape((args[0].shape[0], *[1] * (node.ndim - args[0].ndim + 1), *args[0].shape[1:])),
        shape=(args[0].shape[0], *node.shape),
    ),
    labels=_broadcast_labels,
    source=lambda x, shape: f"np.broadcast_to({x}, {shape})",
    lower=lambda body, node, place: body.read(node.inputs[0], body.projected(place, node.shape, node.inputs[0].shape)),
    samples=_cases(
        ((), {"shape": (2,)}),
        ((3,), {"shape": (2, 3)}),
        ((2, 1), {"shape": (2, 3)}),
        ((1,), {"shape": (0,)}),
        ((0,), {"shape": (2, 0)}),
    ),
)

sum = structural(
    "sum",
    lambda x, axis: np.sum(x, axis=axis),
    doc="Sum over axes.",
    infer=lambda x, axis: Spec(
        tuple(size for k, size in enumerate(x.shape) if k not in axis), np.sum(np.empty(0, x.dtype)).dtype
    ),
    adjoint=lambda y_bar, x, axis: y_bar.reshape(
        [1 if k in axis else size for k, size in enumerate(x.shape)]
    ).broadcast_to(x.shape),
    batch=lambda node, args, _: sum(args[0], axis=_shift(node.params["axis"])),
    labels=lambda x, y, axis: (range(x.ndim), [k for k in range(x.ndim) if k not in axis]),
    source=lambda x, axis: f"np.sum({x}, axis={axis})",
    lower="sum",
    samples=_cases(
        ((3,), {"axis": (0,)}),
        ((2, 3), {"axis": (1,)}),
        ((2, 3), {"axis": (0, 1)}),
        ((0, 2), {"axis": (0,)}),
        ((2,), {"axis": ()}),
        ((), {"axis": ()}),
    ),
)

# -- reshape, permute: adjoint of themselves -----------------------------------------------------------

reshape = structural(
    "reshape",
    lambda x, shape: np.reshape(x, shape),
    doc="The same elements in another shape, in C order.",
    infer=lambda x, shape: x.with_shape(shape),
    adjoint=lambda y_bar, x, shape: y_bar.reshape(x.shape),
    batch=lambda node, args, _: args[0].reshape((args[0].shape[0], *node.shape)),
    words=lambda shape: f"reshape to {shape}",
    source=lambda x, shape: f"np.reshape({x}, {shape})",
    lower=lambda body, node, place: body.read(node.inputs[0], body.reshaped(place, node.shape, node.inputs[0].shape)),
    samples=_cases(
        ((6,), {"shape": (2, 3)}), ((2, 3), {"shape": (3, 2)}), ((1,), {"shape": ()}), ((0, 3), {"shape": (0,)})
    ),
)

permute = structural(
    "permute",
    lambda x, axes: np.transpose(x, axes),
    doc="The array with its axes in another order.",
    infer=lambda x, axes: x.with_shape(x.shape[axis] for axis in axes),
    adjoint=lambda y_bar, x, axes: y_bar.permute(np.argsort(axes).tolist()),
    batch=lambda node, args, _: permute(args[0], axes=(0, *_shift(node.params["axes"]))),
    labels=lambda x, y, axes: (range(x.ndim), axes),
    source=lambda x, axes: f"np.transpose({x}, {axes})",
    lower=_read_permuted,
    samples=_cases(
        ((2, 3), {"axes": (1, 0)}), ((2, 1, 3), {"axes": (2, 0, 1)}), ((0, 2), {"axes": (1, 0)}), ((), {"axes": ()})
    ),
)

# -- slice and embed: adjoint of each other ------------------------------------------------------------


def slices(index: Index) -> tuple[slice | int, ...]:
    """Return Python's key for an index of this module."""
    return tuple(part if isinstance(part, int) else slice(*part) for part in index)


def _sliced(shape: Shape, index: Index) -> Shape:
    return tuple(
        len(range(*part.indices(size)))
        for part, size in zip(slices(index), shape, strict=True)
        if isinstance(part, slice)
    )


def _spell(index: Index) -> str:
    def spell(part: tuple[int, int | None, int] | int) -> str:
        if isinstance(part, int):
            return str(part)
        start, stop, step = part
        end = "" if stop is None else str(stop)
        return f"{start}:{end}" if step == 1 else f"{start}:{end}:{step}"

    return ", ".join(map(spell, index))


helper("""
    def put(x, v, index):
        out = np.array(x)
        out[index] = v
        return out
""")


def _embed(x: Any, shape: Shape, index: Index) -> np.ndarray:
    out = np.zeros_like(as_array(x), order="C", shape=shape)
    out[slices(index)] = x
    return out


def _whole_first(node: Node, count: int) -> Index:
    return ((0, count, 1), *node.params["index"])


slice_ = structural(
    "slice",
    lambda x, index: x[slices(index)],
    doc="A regular part of an array: an integer or (start, stop, step) per axis.",
    infer=lambda x, index: x.with_shape(_sliced(x.shape, index)),
    adjoint=lambda y_bar, x, index: embed(y_bar, shape=x.shape, index=index),
    batch=lambda node, args, _: slice_(args[0], index=_whole_first(node, args[0].shape[0])),
    words=lambda index: f"[{_spell(index)}]",
    source=lambda x, index: f"{x}[{_spell(index) or '()'}]",
    lower=_read_slice,
    samples=_cases(
        ((5,), {"index": ((1, 4, 2),)}),
        ((4, 3), {"index": ((3, None, -1), (0, 2, 1))}),
        ((4, 3), {"index": (2, (0, 2, 1))}),
        ((4, 3), {"index": (3, 1)}),
        ((3,), {"index": ((2, 2, 1),)}),
        ((0, 2), {"index": ((0, 0, 1), 1)}),
        ((), {"index": ()}),
    ),
)

embed = structural(
    "embed",
    _embed,
    doc="An array of zeros with a regular part filled in.",
    infer=lambda x, shape, index: x.with_shape(shape),
    adjoint=lambda y_bar, x, shape, index: slice_(y_bar, index=index),
    batch=lambda node, args, _: embed(
        args[0], shape=(args[0].shape[0], *node.shape), index=_whole_first(node, args[0].shape[0])
    ),
    words=lambda shape, index: f"zeros with [{_spell(index)}] set",
    source=lambda x, shape, index: f"put(np.zeros({shape}, np.result_type({x})), {x}, {slices(index)})",
    lower=_read_embedded,
    samples=_cases(
        ((2,), {"shape": (5,), "index": ((1, 4, 2),)}),
        ((3,), {"shape": (3, 2), "index": ((2, None, -1), 1)}),
        ((), {"shape": (3,), "index": (1,)}),
        ((0, 2), {"shape": (3, 2), "index": ((2, 2, 1), (0, 2, 1))}),
    ),
)

# -- gather and scatter_add: adjoint of each other -----------------------------------------------------


def _wrapped(indices: tuple[Any, ...], shape: Shape) -> tuple[np.ndarray, ...]:
    return tuple(np.where(np.less(k, 0), k + size, k) for k, size in zip(indices, shape, strict=False))


def _scatter_add(x: Any, *indices: Any, shape: Shape) -> np.ndarray:
    x = as_array(x)
    lead, rest = shape[: len(indices)], shape[len(indices) :]
    flat = np.ravel_multi_index(_wrapped(indices, lead), lead).ravel()
    out = np.zeros_like(x, order="C", shape=(math.prod(lead), *rest))
    np.add.at(out, flat, x.reshape(flat.size, *rest))
    return out.reshape(shape)


helper("""
    def scatter_add(shape, x, index):
        out = np.zeros(shape, np.result_type(x))
        np.add.at(out, index, x)
        return out
""")


def _batch_gather(node: Node, args: list[Node], batched: list[bool]) -> Node:
    x, *indices = args
    if not any(batched[1:]):
        count = len(indices)
        moved = x.permute((*range(1, count + 1), 0, *range(count + 1, x.ndim)))
        found = gather(moved, *indices)
        place = indices[0].ndim
        return found.permute((place, *range(place), *range(place + 1, found.ndim)))
    size = next(arg.shape[0] for arg, flag in zip(args, batched, strict=True) if flag)
    shape = (size, *node.inputs[1].shape)
    indices = [k.broadcast_to(shape) for k in indices]
    return gather(x, _counter(node, shape), *indices) if batched[0] else gather(x, *indices)


def _counter(node: Node, shape: Shape) -> Node:
    """Return an array of this shape that holds the position along its first axis."""
    count = np.arange(shape[0]).reshape((-1, *[1] * (len(shape) - 1)))
    return node.builder.constant(np.broadcast_to(count, shape).copy())


def _batch_scatter_add(node: Node, args: list[Node], batched: list[bool]) -> Node:
    x, *indices = args
    size = next(arg.shape[0] for arg, flag in zip(args, batched, strict=True) if flag)
    shape = (size, *node.inputs[1].shape)
    x = x if batched[0] else x.broadcast_to((size, *x.shape))
    indices = [k.broadcast_to(shape) for k in indices]
    return scatter_add(x, _counter(node, shape), *indices, shape=(size, *node.shape))


def _gather_cases(rng: np.random.Generator) -> list[Any]:
    return [
        ((rng.normal(size=4), np.array([2, 0, 2])), {}),
        ((rng.normal(size=(3, 2)), np.array([[0, -1], [1, 1]])), {}),
        ((rng.normal(size=(3, 2)), np.array([0, 2, -1]), np.array([1, 1, 0])), {}),
        ((rng.normal(size=3), np.array([], dtype=int)), {}),
        ((rng.normal(size=1), np.array(0)), {}),
    ]


gather = structural(
    "gather",
    lambda x, *indices: x[indices],
    doc="Elements picked by integer arrays along the first axes, as x[i, j].",
    infer=lambda x, *indices: x.with_shape((*indices[0].shape, *x.shape[len(indices) :])),
    adjoint=lambda y_bar, x, *indices: scatter_add(y_bar, *indices, shape=x.shape),
    batch=_batch_gather,
    scatters=False,
    source=lambda x, *indices: f"{x}[{', '.join(indices)}]",
    lower=_read_gathered,
    samples=_gather_cases,
)

scatter_add = structural(
    "scatter_add",
    _scatter_add,
    doc="Zeros with elements added at places given by integer arrays along the first axes.",
    infer=lambda x, *indices, shape: x.with_shape(shape),
    adjoint=lambda y_bar, x, *indices, shape: gather(y_bar, *indices),
    batch=_batch_scatter_add,
    selects=False,
    lower="scatter_add",
    source=lambda x, *indices, shape: f"scatter_add({shape}, {x}, ({', '.join(indices)},))",
    samples=lambda rng: [
        ((rng.normal(size=3), np.array([2, 0, 2])), {"shape": (4,)}),
        ((rng.normal(size=(2, 2)), np.array([0, -1])), {"shape": (3, 2)}),
        ((rng.normal(size=3), np.array([0, 2, -1]), np.array([1, 1, 0])), {"shape": (3, 2)}),
        ((rng.normal(size=()), np.array(1)), {"shape": (3,)}),
        ((rng.normal(size=(0, 2)), np.array([], dtype=int)), {"shape": (3, 2)}),
    ],
)

# -- functional assignment: the rest of x keeps its values, the assigned part takes v's ----------------


def _put_slice(x: Any, v: Any, index: Index) -> np.ndarray:
    out = np.copy(x)
    out[slices(index)] = v
    return out


def _batch_put_slice(node: Node, args: list[Node], batched: list[bool]) -> Node:
    size = next(arg.shape[0] for arg, flag in zip(args, batched, strict=True) if flag)
    x, v = (arg if flag else arg.broadcast_to((size, *arg.shape)) for arg, flag in zip(args, batched, strict=True))
    return put_slice(x, v, index=_whole_first(node, size))


def _put_slice_wrt_array(y: Node, x: Node, v: Node, index: Index) -> Map:
    def clear(x_dot: Node) -> Node:
        return put_slice(x_dot, zeros(y.builder, v.spec.with_dtype(x_dot.dtype)), index=index)

    return Map(clear, clear, x.spec, y.spec, f"zero at [{_spell(index)}]", y, True, True)


def _put_slice_wrt_value(y: Node, x: Node, v: Node, index: Index) -> Map:
    return Map(
        lambda v_dot: embed(v_dot, shape=y.shape, index=index),
        lambda y_bar: slice_(y_bar, index=index),
        v.spec,
        y.spec,
        f"zeros with [{_spell(index)}] set",
        y,
        True,
        True,
    )


put_slice = opaque(
    "put_slice",
    _put_slice,
    doc="A copy of x in which a regular part is v.",
    infer=lambda x, v, index: x,
    partials=[_put_slice_wrt_array, _put_slice_wrt_value],
    batch=_batch_put_slice,
    source=lambda x, v, index: f"put({x}, {v}, {slices(index)})",
    lower=_read_put_slice,
    samples=lambda rng: [
        ((rng.normal(size=4), rng.normal(size=2)), {"index": ((0, 4, 2),)}),
        ((rng.normal(size=(3, 2)), rng.normal(size=(3, 1))), {"index": ((2, None, -1), (1, 2, 1))}),
        ((rng.normal(size=(3, 2)), rng.normal(size=2)), {"index": (2, (0, 2, 1))}),
        ((rng.normal(size=3), np.float64(2.0)), {"index": (1,)}),
        ((rng.normal(size=3), rng.normal(size=0)), {"index": ((1, 1, 1),)}),
    ],
)


def _put(x: Any, v: Any, *indices: Any) -> np.ndarray:
    out = np.copy(x)
    out[indices] = v
    return out


def _batch_put(node: Node, args: list[Node], batched: list[bool]) -> Node:
    size = next(arg.shape[0] for arg, flag in zip(args, batched, strict=True) if flag)
    x, v, *indices = (
        arg if flag else arg.broadcast_to((size, *arg.shape)) for arg, flag in zip(args, batched, strict=True)
    )
    return put(x, v, _counter(node, indices[0].shape), *indices)


def _put_wrt_array(y: Node, x: Node, v: Node, *indices: Node) -> Map:
    def clear(x_dot: Node) -> Node:
        return put(x_dot, zeros(y.builder, v.spec.with_dtype(x_dot.dtype)), *indices)

    return Map(clear, clear, x.spec, y.spec, "zero at [indices]", y, True, True)


def _put_wrt_value(y: Node, x: Node, v: Node, *indices: Node) -> Map:
    """Where an index is repeated the last value stays, so the others have no influence."""
    count = math.prod(v.shape)
    order = y.builder.constant(np.arange(1.0, count + 1).reshape(v.shape))
    written = gather(put(zeros(y.builder, y.spec.with_dtype(float)), order, *indices), *indices)
    last = written.equals(order)

    def forward(v_dot: Node) -> Node:
        return put(zeros(y.builder, y.spec.with_dtype(v_dot.dtype)), v_dot, *indices)

    def backward(y_bar: Node) -> Node:
        return scale(last.astype(y_bar.dtype), gather(y_bar, *indices))

    return Map(forward, backward, v.spec, y.spec, "zeros with [indices] set", y, True, True)


put = opaque(
    "put",
    _put,
    doc="A copy of x in which the elements picked by integer arrays along the first axes are v.",
    infer=lambda x, v, *indices: x,
    partials=[_put_wrt_array, _put_wrt_value, None, None, None, None, None, None],
    batch=_batch_put,
    source=lambda x, v, *indices: f"put({x}, {v}, ({', '.join(indices)},))",
    lower="put",
    samples=lambda rng: [
        ((rng.normal(size=4), rng.normal(size=3), np.array([3, 0, 3])), {}),
        ((rng.normal(size=(3, 2)), rng.normal(size=2), np.array([0, -1]), np.array([1, 0])), {}),
        ((rng.normal(size=(3, 2)), rng.normal(size=(1, 2)), np.array([1])), {}),
        ((rng.normal(size=3), rng.normal(size=0), np.array([], dtype=int)), {}),
    ],
)

# -- concatenate ---------------------------------------------------------------------------------------


def _part(node: Node, k: int) -> Index:
    axis = node.params["axis"]
    starts = node.builder.memo.get((_part, node))
    if starts is None:  # one pass for all parts, of which there may be thousands
        starts = np.cumsum([0, *(arg.shape[axis] for arg in node.inputs)]).tolist()
        node.builder.memo[_part, node] = starts
    start = starts[k]
    length = node.inputs[k].shape[axis]
    return tuple((start, start + length, 1) if a == axis else (0, size, 1) for a, size in enumerate(node.shape))


def _concatenate_edge(k: int, node: Node) -> Map:
    index, source = _part(node, k), node.inputs[k].spec
    return Map(
        lambda x_dot: embed(x_dot, shape=node.shape, index=index),
        lambda y_bar: slice_(y_bar, index=index),
        source,
        node.spec,
        f"part [{_spell(index)}]",
        node,
        True,
        True,
    )


def _batch_concatenate(node: Node, args: list[Node], batched: list[bool]) -> Node:
    size = next(arg.shape[0] for arg, flag in zip(args, batched, strict=True) if flag)
    parts = [arg if flag else arg.broadcast_to((size, *arg.shape)) for arg, flag in zip(args, batched, strict=True)]
    return concatenate(*parts, axis=node.params["axis"] + 1)


def _infer_concatenate(*specs: Spec, axis: int) -> Spec:
    shape = list(specs[0].shape)
    shape[axis] = int(np.sum([spec.shape[axis] for spec in specs]))
    return Spec(tuple(shape), np.result_type(*(spec.dtype for spec in specs)))


concatenate = opaque(
    "concatenate",
    lambda *xs, axis: np.concatenate(xs, axis),
    doc="Arrays joined along an axis.",
    infer=_infer_concatenate,
    partials=[],
    edge=_concatenate_edge,
    batch=_batch_concatenate,
    source=lambda *xs, axis: f"np.concatenate([{', '.join(xs)}], axis={axis})",
    lower=_read_part,
    samples=lambda rng: [
        ((rng.normal(size=2), rng.normal(size=3)), {"axis": 0}),
        ((rng.normal(size=(2, 1)), rng.normal(size=(2, 2)), rng.normal(size=(2, 0))), {"axis": 1}),
    ],
)

# -- cumsum: its adjoint runs the other way ------------------------------------------------------------

cumsum = structural(
    "cumsum",
    lambda x, axis, reverse: np.flip(np.cumsum(np.flip(x, axis), axis), axis) if reverse else np.cumsum(x, axis),
    doc="Running sum along an axis, from its end where `reverse`.",
    infer=lambda x, axis, reverse: x.with_dtype(np.cumsum(np.empty(0, x.dtype)).dtype),
    adjoint=lambda y_bar, x, axis, reverse: cumsum(y_bar, axis=axis, reverse=not reverse),
    batch=lambda node, args, _: cumsum(args[0], axis=node.params["axis"] + 1, reverse=node.params["reverse"]),
    words=lambda axis, reverse: "running sum from the end" if reverse else "running sum",
    selects=False,
    scatters=False,
    lower="cumsum",
    source=lambda x, axis, reverse: (
        f"np.flip(np.cumsum(np.flip({x}, {axis}), {axis}), {axis})" if reverse else f"np.cumsum({x}, {axis})"
    ),
    samples=_cases(
        ((4,), {"axis": 0, "reverse": False}),
        ((2, 3), {"axis": 1, "reverse": True}),
        ((0,), {"axis": 0, "reverse": False}),
        ((1, 1), {"axis": 1, "reverse": True}),
    ),
)
