"""How arrays lie in memory, and products of them as matrix products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.ir import Node, Product
from chainrule.types import Shape

SMALL = 4096
"""Multiplications up to which loops are faster than a call of BLAS."""
THREADED = 1 << 23
"""Multiplications from which several threads of BLAS are faster than one."""


@dataclass(frozen=True, slots=True)
class View:
    """Elements of an array in memory: a node, the place of the first element, and strides, in elements."""

    base: Node
    offset: int
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Matrices:
    """A product as matrix products ``c = a @ b``, one per place of a batch.

    Attributes:
        batch: Lengths of the batch axes, with the strides of a, b and c along each.
        sums: The same of axes over which products are added.
        rows, inner, columns: Sizes.
        a, b: The factors as views, with their strides along rows (or inner) and inner (or columns).
        c_rows: Stride of the result along its rows; along columns it is 1 (where there is one column, along rows).
    """

    batch: tuple[tuple[int, int, int, int], ...]
    sums: tuple[tuple[int, int, int, int], ...]
    rows: int
    inner: int
    columns: int
    a: View
    a_strides: tuple[int, int]
    b: View
    b_strides: tuple[int, int]
    c_rows: int


def view_of(node: Node, in_memory: Callable[[Node], bool]) -> View | None:
    """Return a node as a view of an array in memory, if it is one."""
    if in_memory(node):
        return View(node, 0, _contiguous(node.shape))
    op, params = node.op.name, node.params
    if op not in ("permute", "reshape", "broadcast_to", "slice", "stop_gradient"):
        return None
    under = view_of(node.inputs[0], in_memory)
    if under is None:
        return None
    shape, offset, strides = node.inputs[0].shape, under.offset, under.strides
    if op == "permute":
        strides = tuple(strides[axis] for axis in params["axes"])
    elif op == "slice":
        kept = []
        for part, stride, size in zip(params["index"], strides, shape, strict=True):
            start, _, step = (part, None, 1) if isinstance(part, int) else part
            offset += start * stride if size else 0
            if not isinstance(part, int):
                kept.append(stride * step)
        strides = tuple(kept)
    elif op == "broadcast_to":
        missing = node.ndim - len(shape)
        strides = (0,) * missing + tuple(
            0 if size == 1 else stride for size, stride in zip(shape, strides, strict=True)
        )
    elif op == "reshape":
        phantom = as_strided(np.empty(1, np.int8), shape, strides)
        try:
            strides = np.reshape(phantom, node.shape, copy=False).strides
        except ValueError:
            return None
    return View(under.base, offset, strides)


def _contiguous(shape: Shape) -> tuple[int, ...]:
    strides, stride = [], 1
    for size in reversed(shape):
        strides.append(stride)
        stride *= size
    return tuple(reversed(strides))


def as_matrices(node: Node, in_memory: Callable[[Node], bool]) -> Matrices | None:
    """Return a product as matrix products that BLAS can do without moving elements; None where there is none."""
    assert isinstance(node.op.lower, Product)
    one, two, result = node.op.lower.labels(*(arg.spec for arg in node.inputs), **node.params)
    views = [view_of(arg, in_memory) for arg in node.inputs]
    if views[0] is None or views[1] is None:
        return None
    sizes = dict(zip(one, node.inputs[0].shape, strict=True)) | dict(zip(two, node.inputs[1].shape, strict=True))
    strides = [
        dict(zip(labels, view.strides, strict=True))
        for labels, view in zip((one, two), views, strict=True)
        if view is not None
    ]
    target = dict(zip(result, _contiguous(node.shape), strict=True))
    batch = [label for label in result if label in one and label in two]
    rows = [label for label in result if label in one and label not in two]
    columns = [label for label in result if label in two and label not in one]
    inner = [label for label in one if label in two and label not in target]
    alone = [label for label in sizes if label not in target and label not in inner]
    if alone and math.prod(sizes[label] for label in alone) > 1:
        return None
    a, b = views[0], views[1]
    a_of, b_of = strides
    sums: list[int] = []
    while (irregular := _irregular(rows, inner, columns, a_of, b_of, target, sizes)) is not None:
        irregular.remove(irregular[0])  # as one more axis of the batch, or of the sum
        label = next(each for each in sizes if each not in (*rows, *inner, *columns, *batch, *sums, *alone))
        (sums if label not in target else batch).append(label)
    if rows and columns and target[rows[-1]] < target[columns[-1]] and sizes[rows[-1]] > 1 < sizes[columns[-1]]:
        a, b, a_of, b_of, rows, columns = b, a, b_of, a_of, columns, rows  # (a @ b)ᵀ = bᵀ @ aᵀ
    groups = ((rows, a_of), (inner, a_of), (inner, b_of), (columns, b_of), (rows, target), (columns, target))
    a_rows, a_inner, b_inner, b_columns, c_rows, c_columns = (_collapsed(group, of, sizes) or 0 for group, of in groups)
    m, k, n = (math.prod(sizes[label] for label in group) for group in (rows, inner, columns))
    if (n > 1 and c_columns != 1) or (m > 1 and n > 1 and c_rows < n):
        return None
    if m * n * k > SMALL:
        for first, second, length, width in ((a_rows, a_inner, m, k), (b_inner, b_columns, k, n)):
            if (first < 1 and length > 1) or (second < 1 and width > 1):
                return None
            if not _is_blas_matrix(first, second, length, width):
                return None
    spans, terms = (
        tuple((sizes[label], a_of.get(label, 0), b_of.get(label, 0), target.get(label, 0)) for label in group)
        for group in (batch, sums)
    )
    return Matrices(spans, terms, m, k, n, a, (a_rows, a_inner), b, (b_inner, b_columns), c_rows if m > 1 else n)


def _irregular(
    rows: list[int],
    inner: list[int],
    columns: list[int],
    a_of: Mapping[int, int],
    b_of: Mapping[int, int],
    target: Mapping[int, int],
    sizes: Mapping[int, int],
) -> list[int] | None:
    """Return a group of axes that is not one axis in one of the arrays; None if all are."""
    for group, arrays in ((rows, (a_of, target)), (columns, (b_of, target)), (inner, (a_of, b_of))):
        if any(_collapsed(group, of, sizes) is None for of in arrays):
            return group
    return None


def _collapsed(group: Sequence[int], strides: Mapping[int, int], sizes: Mapping[int, int]) -> int | None:
    """Return the stride of several axes taken as one, in their order; None where they are not regular."""
    axes = [(sizes[label], strides[label]) for label in group if sizes[label] != 1]
    if not axes:
        return 1
    for (_, outer), (size, inner) in itertools.pairwise(axes):
        if outer != inner * size:
            return None
    return axes[-1][1]


def _is_blas_matrix(first: int, second: int, length: int, width: int) -> bool:
    """Whether one of the strides is 1 and the other no smaller than the rows it separates."""
    return (second == 1 and first >= width) or (first == 1 and second >= length) or 1 in (length, width)
