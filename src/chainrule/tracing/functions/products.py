"""Dot, inner, outer, tensor and cross products, einsum."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.contraction import einsum as einsum_op
from chainrule.ops.contraction import matmul
from chainrule.tracing.array import FUNCTIONS, cast, holds_traced, record, stacked
from chainrule.tracing.functions.common import as_array, as_traced, implements
from chainrule.tracing.origin import at


@implements(np.dot)
def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(_number(a), _number(b))
    if np.ndim(a) <= 2 and np.ndim(b) <= 2:
        return record(matmul, a, b)
    return np.tensordot(a, b, axes=([np.ndim(a) - 1], [max(np.ndim(b) - 2, 0)]))


def _number(x: Any) -> Any:
    """Return a Python number as NumPy's, which has a precision of its own in products."""
    return np.asarray(x)[()] if isinstance(x, int | float | complex) else x


@implements(np.inner)
def _inner(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(_number(a), _number(b))
    return np.tensordot(a, b, axes=([np.ndim(a) - 1], [np.ndim(b) - 1]))[()]


@implements(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return record(matmul, np.conj(np.ravel(a)), np.ravel(b))


@implements(np.vecdot, np.linalg.vecdot)
def _vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    row, column = np.moveaxis(_conjugate(x1), axis, -1), np.moveaxis(x2, axis, -1)
    return np.matmul(row[..., None, :], column[..., None])[..., 0, 0]


def _conjugate(x: Any) -> Any:
    return np.conj(x) if np.iscomplexobj(x) else x


if hasattr(np, "matvec"):  # since NumPy 2.2
    implements(np.matvec)(lambda x1, x2: np.squeeze(np.matmul(x1, np.expand_dims(x2, -1)), -1))
    implements(np.vecmat)(lambda x1, x2: np.squeeze(np.matmul(np.expand_dims(_conjugate(x1), -2), x2), -2))


FUNCTIONS[np.linalg.tensordot] = lambda x1, x2, /, *, axes=2: np.tensordot(x1, x2, axes)
FUNCTIONS[np.linalg.outer] = lambda x1, x2, /: np.outer(x1, x2)
implements(np.outer)(lambda a, b: np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1)))


@implements(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    rank_a, rank_b = np.ndim(a), np.ndim(b)
    if np.ndim(axes) == 0 and not isinstance(axes, tuple | list):
        axes = (range(rank_a - axes, rank_a), range(axes))
    one, two = ([each] if np.ndim(each) == 0 else list(each) for each in axes)
    one, two = [k % rank_a for k in one], [k % rank_b for k in two]
    labels = [chr(97 + k) for k in range(rank_a)]
    others = [chr(65 + k) for k in range(rank_b)]
    for k, j in zip(one, two, strict=True):
        if np.shape(a)[k] != np.shape(b)[j]:
            raise ShapeError(f"np.tensordot: shapes {np.shape(a)} and {np.shape(b)} differ on axes {k} and {j}{at()}")
        others[j] = labels[k]
    result = [c for k, c in enumerate(labels) if k not in one] + [c for k, c in enumerate(others) if k not in two]
    return as_array(record(einsum_op, a, b, subscripts=f"{''.join(labels)},{''.join(others)}->{''.join(result)}"))


@implements(np.einsum)
def _einsum(*operands: Any, optimize: Any = False, dtype: Any = None, order: str = "K", casting: str = "safe") -> Any:
    subscripts, arrays = _as_text(operands)
    if dtype is not None:
        arrays = [cast(as_traced(array, *arrays), dtype) for array in arrays]
    terms, result = _subscripts(subscripts, arrays)
    sizes: dict[str, int] = {}
    for term, array in zip(terms, arrays, strict=True):
        for letter, size in zip(term, np.shape(array), strict=True):
            if size != 1 and sizes.setdefault(letter, size) != size:
                raise ShapeError(f"np.einsum: axis {letter!r} has lengths {sizes[letter]} and {size}{at()}")
    arrays = [_distinct(array, term) for array, term in zip(arrays, terms, strict=True)]
    pairs = [(array, "".join(dict.fromkeys(term))) for array, term in zip(arrays, terms, strict=True)]
    shapes = [np.broadcast_to(0.0, np.shape(array)) for array, _ in pairs]
    steps = np.einsum_path(",".join(term for _, term in pairs) + "->" + result, *shapes, optimize="greedy")[0][1:]
    for step in steps if len(pairs) > 1 else []:
        chosen = [pairs[k] for k in sorted(step, reverse=True)]
        pairs = [pair for k, pair in enumerate(pairs) if k not in step]
        total = chosen[0]
        for k, other in enumerate(chosen[1:]):
            remaining = {*result, *(c for _, term in [*pairs, *chosen[k + 2 :]] for c in term)}
            total = _einsum_pair(total, other, remaining)
        pairs.append(total)
    array, term = pairs[0]
    summed = tuple(k for k, c in enumerate(term) if c not in result)
    array = np.sum(array, axis=summed) if summed else array
    kept = [c for c in term if c in result]
    return np.transpose(array, [kept.index(c) for c in result]) if kept != list(result) else array


def _as_text(operands: Sequence[Any]) -> tuple[str, list[Any]]:
    """Return subscripts as text, and the arrays; NumPy also takes ``a, [0, 1], b, [1, 2], [0, 2]``."""
    if isinstance(operands[0], str):
        return operands[0], [stacked(array) for array in operands[1:]]
    letters = string.ascii_letters
    terms = ["".join("..." if label is Ellipsis else letters[label] for label in term) for term in operands[1::2]]
    result = operands[-1] if len(operands) % 2 else None
    text = ",".join(terms)
    if result is not None:
        text += "->" + "".join("..." if label is Ellipsis else letters[label] for label in result)
    return text, [stacked(array) for array in operands[: 2 * len(terms) : 2]]


@implements(np.einsum_path)
def _einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    text, arrays = _as_text(operands)
    return np.einsum_path(text, *(np.broadcast_to(0.0, np.shape(array)) for array in arrays), optimize=optimize)


def _subscripts(text: str, arrays: Sequence[Any]) -> tuple[list[str], str]:
    """Return one letter per axis for each operand and for the result; an ellipsis gets letters of its own."""
    text = text.replace(" ", "")
    inputs, arrow, result = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(arrays):
        raise ShapeError(f"np.einsum: {len(terms)} terms in {text!r} for {len(arrays)} operands{at()}")
    free = [chr(c) for c in (*range(65, 91), *range(97, 123)) if chr(c) not in text]
    ranks = [np.ndim(array) - len(term.replace("...", "")) for array, term in zip(arrays, terms, strict=True)]
    dots = "".join(free[: max([0, *(rank for rank, term in zip(ranks, terms, strict=True) if "..." in term)])])
    if not arrow:
        letters = inputs.replace(",", "").replace("...", "")
        result = "..." * ("..." in inputs) + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    terms = [
        term.replace("...", dots[len(dots) - rank :] if rank else "") for term, rank in zip(terms, ranks, strict=True)
    ]
    for term, array in zip(terms, arrays, strict=True):
        if len(term) != np.ndim(array):
            raise ShapeError(f"np.einsum: {text!r} does not fit shape {np.shape(array)}{at()}")
    return terms, result.replace("...", dots)


def _distinct(array: Any, term: str) -> Any:
    """Take the diagonal where a letter is repeated in one term."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            one = term.index(letter)
            two = term.index(letter, one + 1)
            array = np.moveaxis(np.diagonal(array, axis1=one, axis2=two), -1, one)
            term = term[:two] + term[two + 1 :]
    return array


def _einsum_pair(one: tuple[Any, str], two: tuple[Any, str], remaining: set[str]) -> tuple[Any, str]:
    """Multiply two factors and sum over the letters that nobody needs any more; axes of length 1 broadcast."""
    (a, a_term), (b, b_term) = one, two
    for letter in set(a_term) & set(b_term):
        sizes = np.shape(a)[a_term.index(letter)], np.shape(b)[b_term.index(letter)]
        if sizes[0] != sizes[1]:
            if sizes[0] == 1:
                a, a_term = np.squeeze(a, a_term.index(letter)), a_term.replace(letter, "")
            else:
                b, b_term = np.squeeze(b, b_term.index(letter)), b_term.replace(letter, "")
    result = "".join(c for c in dict.fromkeys(a_term + b_term) if c in remaining)
    if not holds_traced([a, b]):
        return np.einsum(f"{a_term},{b_term}->{result}", a, b), result
    return record(einsum_op, a, b, subscripts=f"{a_term},{b_term}->{result}"), result


@implements(np.kron)
def _kron(a: Any, b: Any) -> Any:
    rank = max(np.ndim(a), np.ndim(b))
    shapes = [(1,) * (rank - np.ndim(x)) + np.shape(x) for x in (a, b)]
    left = np.reshape(a, [size for pair in zip(shapes[0], [1] * rank, strict=True) for size in pair])
    right = np.reshape(b, [size for pair in zip([1] * rank, shapes[1], strict=True) for size in pair])
    return np.reshape(left * right, [m * n for m, n in zip(*shapes, strict=True)])


@implements(np.cross)
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ShapeError(f"np.cross: both need length 3 along the axis, got {a.shape} and {b.shape}{at()}")
    (a0, a1, a2), (b0, b1, b2) = ([x[..., k] for k in range(3)] for x in (a, b))
    parts = [a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0]
    return np.moveaxis(np.stack(parts, axis=-1), -1, axisc)
