"""Products summed over common axes: matmul and einsum of two factors."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.ir import Node
from chainrule.ops.family import _align, as_array, contraction, helper
from chainrule.types import Spec

Subscripts = tuple[Sequence[int], Sequence[int], Sequence[int]]


def _matmul_labels(a: Spec, b: Spec) -> Subscripts:
    """Rows 0, inner 1, columns 2, then the leading axes from the last to the first."""
    a_lead = a.shape[:-2] if a.ndim > 1 else ()
    b_lead = b.shape[:-2] if b.ndim > 1 else ()
    rank = max(len(a_lead), len(b_lead))
    lead = [3 + rank - 1 - k for k in range(rank)]
    a_labels, b_labels = lead[rank - len(a_lead) :], lead[rank - len(b_lead) :]
    for k in range(min(len(a_lead), len(b_lead))):
        one, two = a_lead[-1 - k], b_lead[-1 - k]
        if one != two:  # the axis of length 1 is broadcast: a label of its own, summed over
            (a_labels if one == 1 else b_labels)[-1 - k] = 3 + rank + k
    result = [*lead]
    a_labels = [*a_labels, *([0, 1] if a.ndim > 1 else [1])]
    b_labels = [*b_labels, *([1, 2] if b.ndim > 1 else [1])]
    return a_labels, b_labels, [*result, *([0] if a.ndim > 1 else []), *([2] if b.ndim > 1 else [])]


def _batch_matmul(node: Node, args: list[Node], batched: list[bool]) -> Node:
    """Vectors become matrices of one row or column, then the leading axes broadcast."""
    a, b = args
    row, column = node.inputs[0].ndim == 1, node.inputs[1].ndim == 1
    if row:
        a = a.reshape((*a.shape[:-1], 1, a.shape[-1]))
    if column:
        b = b.reshape((*b.shape, 1))
    rank = max(a.ndim - batched[0], b.ndim - batched[1])
    y = matmul(*(_align(arg, rank) if flag else arg for arg, flag in zip((a, b), batched, strict=True)))
    return y.reshape((y.shape[0], *node.shape))


def _matrices(rng: np.random.Generator) -> list[Any]:
    shapes = [
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((2, 1, 1, 3), (4, 3, 1)),
        ((2, 2, 3), (3,)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 2)),
        ((1, 1), (1, 1)),
    ]
    return [((rng.normal(size=a), rng.normal(size=b)), {}) for a, b in shapes]


matmul = contraction(
    "matmul",
    np.matmul,
    subscripts=_matmul_labels,
    batch=_batch_matmul,
    doc="Matrix product, over leading axes.",
    source="{0} @ {1}",
    samples=_matrices,
)


def _einsum_labels(a: Spec, b: Spec, subscripts: str) -> Subscripts:
    inputs, result = subscripts.split("->")
    one, two = inputs.split(",")
    return [ord(c) for c in one], [ord(c) for c in two], [ord(c) for c in result]


def _batch_einsum(node: Node, args: list[Node], batched: list[bool]) -> Node:
    subscripts = node.params["subscripts"]
    letter = next(chr(c) for c in (*range(97, 123), *range(65, 91)) if chr(c) not in subscripts)
    inputs, result = subscripts.split("->")
    one, two = (letter + part if flag else part for part, flag in zip(inputs.split(","), batched, strict=True))
    return node.op(*args, subscripts=f"{one},{two}->{letter}{result}")


@functools.lru_cache(maxsize=4096)
def _as_matmul(subscripts: str) -> tuple[str, str, tuple[int, ...], tuple[int, ...], tuple[int, ...], int, int]:
    """Return how a product of two factors becomes one of (stacks of) matrices for BLAS."""
    inputs, result = subscripts.split("->")
    a, b = inputs.split(",")
    shared = [c for c in a if c in b and c in result]
    inner = [c for c in a if c in b and c not in result]
    rows = [c for c in a if c not in b and c in result]
    columns = [c for c in b if c not in a and c in result]
    one, two = [*shared, *rows, *inner], [*shared, *inner, *columns]
    order = [*shared, *rows, *columns]
    return (
        "".join(c for c in a if c not in b and c not in result),
        "".join(c for c in b if c not in a and c not in result),
        tuple([c for c in a if c in one].index(c) for c in one),
        tuple([c for c in b if c in two].index(c) for c in two),
        tuple(order.index(c) for c in result),
        len(shared),
        len(inner),
    )


def product(a: Any, b: Any, subscripts: str) -> Any:
    """Return the einsum of two factors, each label once in each, through `np.matmul`."""
    a_alone, b_alone, a_axes, b_axes, axes, shared, inner = _as_matmul(subscripts)
    inputs = subscripts.split("->")[0].split(",")
    a, b = as_array(a), as_array(b)
    if a_alone:
        a = a.sum(tuple(inputs[0].index(c) for c in a_alone), a.dtype)
    if b_alone:
        b = b.sum(tuple(inputs[1].index(c) for c in b_alone), b.dtype)
    a, b = a.transpose(a_axes), b.transpose(b_axes)
    rows, columns = a.shape[shared : a.ndim - inner], b.shape[shared + inner :]
    if not inner:
        y = a.reshape(a.shape + (1,) * len(columns)) * b.reshape(b.shape[:shared] + (1,) * len(rows) + columns)
    else:
        lead, middle = a.shape[:shared], math.prod(a.shape[a.ndim - inner :])
        left = a.reshape((*lead, math.prod(rows), middle))
        right = b.reshape((*lead, middle, math.prod(columns)))
        y = np.matmul(left, right).reshape((*lead, *rows, *columns))
    return y.transpose(axes)[()]


def _careful(a: Any, b: Any, subscripts: str) -> Any:
    """Return the product in which 0 · inf and 0 · NaN are 0."""
    y = product(a, b, subscripts)
    if not getattr(y, "is_lazy", False) and np.isfinite(y).all():
        return y
    a_finite, b_finite = (np.where(np.isfinite(x), x, 0) for x in (a, b))
    spoilt = product(1.0 * ~np.isfinite(a), 1.0 * np.not_equal(b, 0), subscripts)
    spoilt = spoilt + product(1.0 * np.not_equal(a, 0), 1.0 * ~np.isfinite(b), subscripts)
    return np.where(spoilt > 0, y, product(a_finite, b_finite, subscripts).astype(y.dtype))[()]


def _einsum_cases(rng: np.random.Generator) -> list[Any]:
    cases = [
        ("ij,jk->ik", (2, 3), (3, 4)),
        ("ij,j->i", (2, 3), (3,)),
        ("i,i->i", (3,), (3,)),
        ("i,j->ji", (3,), (2,)),
        ("bij,bkj->bki", (2, 3, 2), (2, 4, 2)),
        ("ij,k->k", (2, 2), (3,)),
        ("i,i->", (0,), (0,)),
        ("ij,j->", (2, 1), (1,)),
        (",->", (), ()),
    ]
    return [((rng.normal(size=a), rng.normal(size=b)), {"subscripts": s}) for s, a, b in cases]


einsum = contraction(
    "einsum",
    product,
    subscripts=_einsum_labels,
    batch=_batch_einsum,
    doc="Sum of products over labelled axes (Einstein's convention), of two factors.",
    source="np.einsum({subscripts!r}, {0}, {1})",
    samples=_einsum_cases,
)

helper("""
    def contract(subscripts, a, b):
        product = np.einsum(subscripts, a, b)
        if np.isfinite(product).all():
            return product
        wrong_a, wrong_b = (1.0 * ~np.isfinite(x) for x in (a, b))
        spoilt = np.einsum(subscripts, wrong_a, 1.0 * np.not_equal(b, 0))
        spoilt = spoilt + np.einsum(subscripts, 1.0 * np.not_equal(a, 0), wrong_b)
        finite = (np.where(np.isfinite(x), x, 0) for x in (a, b))
        return np.where(spoilt > 0, product, np.einsum(subscripts, *finite))[()]
""")

contract = contraction(
    "contract",
    _careful,
    subscripts=_einsum_labels,
    batch=_batch_einsum,
    doc="The einsum of a partial and a tangent: a factor that is exactly 0 contributes 0, even beside inf and NaN.",
    source="contract({subscripts!r}, {0}, {1})",
    samples=_einsum_cases,
    careful=True,
)
