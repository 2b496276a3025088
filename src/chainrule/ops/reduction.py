"""Nonlinear reductions over axes: max, min, prod."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.ir import Node, Op
from chainrule.ops.family import opaque, reduction
from chainrule.ops.structural import concatenate, slice_
from chainrule.types import Spec, real_dtype


def _ties(y: Node, x: Node, axis: tuple[int, ...]) -> Node:
    """Return 1 / (number of tied elements) at each of them, 0 elsewhere."""
    tied = x.equals(y).astype(real_dtype(x.dtype))
    return tied / tied.sum(axis).reshape(y.shape)


max = reduction(
    "max",
    lambda x, axis: np.max(x, axis=axis),
    _ties,
    doc="Largest element.",
    source="np.max({0}, axis={axis})",
    dtypes="fdD",
)
min = reduction(
    "min",
    lambda x, axis: np.min(x, axis=axis),
    _ties,
    doc="Smallest element.",
    source="np.min({0}, axis={axis})",
    dtypes="fdD",
)


def _others(y: Node, x: Node, axis: tuple[int, ...]) -> Node:
    """Return for each element the product of the others, without division: right also at zeros."""
    kept = [k for k in range(x.ndim) if k not in axis]
    front = x.permute((*axis, *kept))
    count = math.prod(x.shape[k] for k in axis)
    rows = front.reshape((count, *(x.shape[k] for k in kept)))
    others = running_product(rows, exclusive=True) * flip(running_product(flip(rows), exclusive=True))
    return others.reshape(front.shape).permute(np.argsort((*axis, *kept)).tolist())


def flip(x: Node) -> Node:
    """Return x with its first axis reversed."""
    return slice_(x, index=((x.shape[0] - 1, None, -1), *((0, size, 1) for size in x.shape[1:])))


def running_product(x: Node, exclusive: bool = False) -> Node:
    """Return the products of the first 1, 2, ... (or 0, 1, ...) elements along the first axis.

    By doubling: log2(n) multiplications of whole arrays, no division.
    Source: Hillis & Steele, Data parallel algorithms, CACM 29 (1986).
    """
    rest = tuple((0, size, 1) for size in x.shape[1:])
    count = x.shape[0]
    ones = x.builder.constant(x.dtype.type(1)).broadcast_to((1, *x.shape[1:]))
    if exclusive:
        x = (
            concatenate(ones, slice_(x, index=((0, count - 1, 1), *rest)), axis=0)
            if count > 1
            else ones.broadcast_to(x.shape)
        )
    step = 1
    while step < count:
        head = slice_(x, index=((0, step, 1), *rest))
        x = concatenate(
            head, slice_(x, index=((step, count, 1), *rest)) * slice_(x, index=((0, count - step, 1), *rest)), axis=0
        )
        step *= 2
    return x


prod = reduction(
    "prod",
    lambda x, axis: np.prod(x, axis=axis),
    _others,
    doc="Product of the elements.",
    source="np.prod({0}, axis={axis})",
    dtypes="fdD",
)

argsort = opaque(
    "argsort",
    lambda x, axis: np.argsort(x, axis=axis, kind="stable"),
    doc="The places of the elements in rising order, stably.",
    infer=lambda x, axis: x.with_dtype(np.intp),
    partials=[None],
    batch=lambda node, args, _: argsort(args[0], axis=node.params["axis"] + 1),
    source=lambda x, axis: f"np.argsort({x}, axis={axis}, kind='stable')",
    samples=lambda rng: [((rng.normal(size=(2, 3)),), {"axis": 1}), ((rng.normal(size=4),), {"axis": 0})],
)


def _place(name: str, evaluate: Callable[..., Any], doc: str) -> Op:
    return opaque(
        name,
        lambda x, axis: evaluate(x, axis=axis),
        doc=doc,
        infer=lambda x, axis: Spec((*x.shape[:axis], *x.shape[axis + 1 :]), np.dtype(np.intp)),
        partials=[None],
        batch=lambda node, args, _: node.op(args[0], axis=node.params["axis"] + 1),
        source=f"np.{name}({{0}}, axis={{axis}})",
        samples=lambda rng: [((rng.normal(size=(2, 3)),), {"axis": 1}), ((rng.normal(size=4),), {"axis": 0})],
    )


argmax = _place("argmax", np.argmax, "The place of the first largest element.")
argmin = _place("argmin", np.argmin, "The place of the first smallest element.")


def _truth(name: str, evaluate: Callable[..., Any], doc: str) -> Op:
    return reduction(
        name, lambda x, axis: evaluate(x, axis=axis), None, doc=doc, source=f"np.{name}({{0}}, axis={{axis}})"
    )


any = _truth("any", np.any, "Whether one element is true.")
all = _truth("all", np.all, "Whether every element is true.")
