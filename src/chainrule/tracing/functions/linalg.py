"""numpy.linalg: solve, inv, det, cholesky, norms, powers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.errors import ShapeError, UnsupportedError
from chainrule.ops import linalg
from chainrule.tracing.array import TracedArray, cast, record
from chainrule.tracing.functions.common import Axis, as_traced, axes_of, implements
from chainrule.tracing.functions.reductions import squared
from chainrule.tracing.origin import at


@implements(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    x = as_traced(x)
    x = x if x.dtype.kind in "fc" else cast(x, float)
    if axis is None and (ord is None or (ord == 2 and x.ndim == 1) or (ord == "fro" and x.ndim == 2)):
        return np.sqrt(np.sum(squared(x), keepdims=keepdims))
    axes = axes_of(axis, x.ndim)
    if len(axes) == 2 and ord in (None, "fro"):
        return np.sqrt(np.sum(squared(x), axis=axes, keepdims=keepdims))
    if len(axes) == 2 and ord in (1, -1, np.inf, -np.inf):
        inner = axes[0 if abs(ord) == 1 else 1]
        sums = np.sum(np.abs(x), axis=inner, keepdims=True)
        return (np.max if ord > 0 else np.min)(sums, axis=axes, keepdims=keepdims)
    if len(axes) != 1 or isinstance(ord, str):
        raise UnsupportedError(f"np.linalg.norm: ord={ord!r} over {len(axes)} axes has no rule for traced arrays{at()}")
    return _vector_norm(x, axes[0], 2 if ord is None else ord, keepdims)


def _vector_norm(x: Any, axis: int, order: float, keepdims: bool) -> Any:
    size = np.abs(x)
    if order == np.inf:
        return np.max(size, axis=axis, keepdims=keepdims)
    if order == -np.inf:
        return np.min(size, axis=axis, keepdims=keepdims)
    if order == 0:
        return np.sum((x != 0).astype(size.dtype), axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    if order == 2:
        return np.sqrt(np.sum(squared(x), axis=axis, keepdims=keepdims))
    return np.sum(size**order, axis=axis, keepdims=keepdims) ** (1 / order)


@implements(np.linalg.multi_dot)
def _multi_dot(arrays: Sequence[Any]) -> Any:
    if len(arrays) > 2:
        shapes = [np.broadcast_to(0.0, np.shape(array)) for array in arrays]
        letters = [chr(97 + k) for k in range(len(arrays) + 1)]
        terms = [letters[k] + letters[k + 1] for k in range(len(arrays))]
        if shapes[0].ndim == 1:
            terms[0] = letters[1]
        if shapes[-1].ndim == 1:
            terms[-1] = letters[-2]
        return np.einsum(",".join(terms), *arrays)
    return functools.reduce(lambda a, b: np.matmul(a, b), arrays)


@implements(np.linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    if n < 0:
        a, n = np.linalg.inv(a), -n
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    result = None
    while n:
        if n & 1:
            result = a if result is None else result @ a
        a, n = a @ a if n > 1 else a, n >> 1
    return result


def _square(x: Any, name: str) -> Any:
    x = as_traced(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"np.linalg.{name}: a square matrix is needed, got shape {x.shape}{at()}")
    return x if x.dtype.kind in "fc" else cast(x, float)


@implements(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    a, b = _square(as_traced(a, b), "solve"), as_traced(b, a)
    vector = b.ndim == 1
    if (b.shape[0] if vector else b.shape[-2]) != a.shape[-1]:
        raise ShapeError(f"np.linalg.solve: {a.shape} and {b.shape} do not fit{at()}")
    x = record(linalg.solve, a, np.reshape(b, (-1, 1)) if vector else b)
    return np.reshape(x, x.shape[:-1]) if vector else x


implements(np.linalg.inv)(lambda a: record(linalg.inv, _square(a, "inv")))
implements(np.linalg.det)(lambda a: record(linalg.det, _square(a, "det")))


@implements(np.linalg.cholesky)
def _cholesky(a: Any, /, *, upper: bool = False) -> Any:
    factor = record(linalg.cholesky, _square(a, "cholesky"))
    return np.conj(factor.mT) if upper else factor


@implements(np.linalg.slogdet)
def _slogdet(a: Any) -> Any:
    both = _several(linalg.slogdet, _square(a, "slogdet"))
    return np.linalg.slogdet(np.eye(1)).__class__(*both)


def _several(op: ir.Op, x: Any, **params: Any) -> list[TracedArray]:
    """Apply an op with several results."""
    results = record(op, x, **params)
    return [record(ir.ITEM, results, index=k) for k in range(len(results.node.spec))]
