"""Polynomials as NumPy's older functions have them: coefficients in a vector, the highest power first."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.polynomial import roots
from chainrule.tracing.array import cast, newest, record, stacked, traced
from chainrule.tracing.functions.common import as_traced, implements
from chainrule.tracing.origin import at


def _coefficients(*polynomials: Any) -> list[Any]:
    """Return polynomials as traced vectors."""
    builder = newest(polynomials)
    return [np.atleast_1d(traced(builder, stacked(p))) for p in polynomials]


@implements(np.polyval)
def _polyval(p: Any, x: Any) -> Any:
    p = as_traced(stacked(p), x)
    y = np.zeros_like(as_traced(x, p))
    for k in range(len(p)):  # Horner's rule
        y = y * x + p[k]
    return y


def _series(c: Any, *points: Any) -> Any:
    """Evaluate a polynomial in as many variables as there are points, its coefficients along the first axes of c."""
    if not points:
        return c
    x, *rest = points
    total: Any = 0.0
    for k in range(len(c))[::-1]:
        total = total * x + _series(c[k], *rest)
    return total


def _placed(c: Any, shape: tuple[int, ...]) -> Any:
    return np.reshape(c, (*np.shape(c), *[1] * len(shape)))


@implements(np.polynomial.polynomial.polyval2d)
def _polyval2d(x: Any, y: Any, c: Any) -> Any:
    like = newest((x, y, c))
    x, y, c = (traced(like, stacked(part)) for part in (x, y, c))
    return _series(_placed(c, x.shape), x, y)


@implements(np.polynomial.polynomial.polygrid2d)
def _polygrid2d(x: Any, y: Any, c: Any) -> Any:
    like = newest((x, y, c))
    x, y, c = (traced(like, stacked(part)) for part in (x, y, c))
    return _series(_placed(c, x.shape + y.shape), _placed(x, y.shape), y)


@implements(np.poly)
def _poly(seq_of_zeros: Any) -> Any:
    zeros = np.atleast_1d(as_traced(stacked(seq_of_zeros)))
    if zeros.ndim == 2 and zeros.shape[0] == zeros.shape[1] and zeros.size:
        zeros = np.linalg.eigvals(zeros)
    elif zeros.ndim != 1:
        raise ShapeError(f"np.poly: a vector or a square matrix is needed, got shape {zeros.shape}{at()}")
    if not zeros.size:
        return 1.0
    zeros = cast(zeros, np.result_type(zeros.dtype, 1.0)) if zeros.dtype.kind in "biu" else zeros
    p = np.ones(1, zeros.dtype)
    for k in range(len(zeros)):
        padded = np.concatenate([p, np.zeros(1, p.dtype)])
        p = padded - zeros[k] * np.concatenate([np.zeros(1, p.dtype), p])
    if p.dtype.kind == "c" and np.all(np.sort(zeros) == np.sort(np.conj(zeros))):
        return np.copy(np.real(p))  # conjugate pairs
    return p


@implements(np.roots)
def _roots(p: Any) -> Any:
    p = np.atleast_1d(as_traced(stacked(p)))
    if p.ndim != 1:
        raise ShapeError(f"np.roots: a vector is needed, got shape {p.shape}{at()}")
    p = cast(p, float) if p.dtype.kind in "biu" else p
    places = np.flatnonzero(p != 0)
    if not places.size or places[0] == p.size - 1:
        return np.array([])
    found = record(roots, cast(p, np.result_type(p.dtype, np.complex64)), lead=int(places[0]))
    return np.real(found) if p.dtype.kind != "c" and np.all(np.imag(found) == 0) else found


def _sum(a1: Any, a2: Any, sign: int) -> Any:
    a, b = _coefficients(a1, a2)
    size = max(a.size, b.size)
    a, b = (np.concatenate([np.zeros(size - p.size, p.dtype), p]) if p.size < size else p for p in (a, b))
    return a + b if sign > 0 else a - b


implements(np.polyadd)(lambda a1, a2: _sum(a1, a2, 1))
implements(np.polysub)(lambda a1, a2: _sum(a1, a2, -1))


@implements(np.polymul)
def _polymul(a1: Any, a2: Any) -> Any:
    a, b = (np.trim_zeros(p, "f") if np.any(p != 0) else p[:1] for p in _coefficients(a1, a2))
    return np.convolve(a, b)


@implements(np.polydiv)
def _polydiv(u: Any, v: Any) -> Any:
    """Long division; zeros at the head of the remainder are left out, as NumPy does."""
    u, v = _coefficients(u, v)
    if not u.size or not v.size:
        raise ShapeError(f"np.polydiv: polynomials without coefficients{at()}")
    dtype = np.result_type(u.dtype, v.dtype, *([1.0] if u.dtype.kind in "biu" and v.dtype.kind in "biu" else []))
    rest, steps = cast(u, dtype), u.size - v.size + 1
    quotient = []
    for k in range(max(steps, 0)):
        quotient.append(rest[k] / v[0])
        rest = rest - np.concatenate(
            [np.zeros(k, dtype), quotient[-1] * cast(v, dtype), np.zeros(u.size - v.size - k, dtype)]
        )
    head = np.abs(rest) > 1e-8  # np.allclose(·, 0)
    places = np.flatnonzero(head)
    first = places[0] if places.size else rest.size - 1
    return np.stack(quotient) if quotient else np.zeros(1, dtype), rest[min(first, rest.size - 1) :]


@implements(np.polyder)
def _polyder(p: Any, m: int = 1) -> Any:
    if m < 0:
        raise ShapeError(f"np.polyder: the order {m} is negative{at()}")
    p = as_traced(stacked(p))
    for _ in range(m):
        p = p[:-1] * np.arange(p.size - 1, 0, -1) if p.size > 1 else p[:0]
    return p


@implements(np.polyint)
def _polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    if m < 0:
        raise ShapeError(f"np.polyint: the order {m} is negative{at()}")
    p = as_traced(stacked(p), k)
    constants = np.zeros(m) if k is None else np.atleast_1d(stacked(k))
    if m > 1 and np.shape(constants) == (1,):
        constants = np.broadcast_to(constants, (m,))
    if np.shape(constants)[0] < m:
        raise ShapeError(f"np.polyint: {m} constants are needed, got {np.shape(constants)[0]}{at()}")
    for j in range(m):
        p = np.concatenate([p / np.arange(p.size, 0, -1), constants[j : j + 1]])
    return p


@implements(np.polyfit)
def _polyfit(x: Any, y: Any, deg: Any, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    """Least squares in powers of x, whose columns are scaled to length 1 first."""
    like = newest((x, y, w))
    x, y = (traced(like, stacked(part)) for part in (x, y))
    x, y = (cast(part, np.result_type(part.dtype, 1.0)) if part.dtype.kind in "biu" else part for part in (x, y))
    powers = np.asarray(deg).ravel()
    if powers.dtype.kind not in "iu" or powers.min() < 0:
        raise ShapeError(f"np.polyfit: degrees must be whole numbers, none negative, got {deg}{at()}")
    if x.ndim != 1 or not x.size or y.ndim not in (1, 2) or len(x) != len(y):
        raise ShapeError(f"np.polyfit: vectors of the same length are needed, got {x.shape} and {y.shape}{at()}")
    top = int(powers.max())
    chosen = [top - int(power) for power in np.sort(powers)[::-1]] if np.ndim(deg) else list(range(top + 1))
    left, right = np.vander(x, top + 1)[:, chosen], y
    if w is not None:
        weights = traced(like, stacked(w))
        left = left * weights[:, None]
        right = right * (weights[:, None] if y.ndim == 2 else weights)
    scale = np.sqrt(np.sum(left * left, axis=0))
    rcond = len(x) * np.finfo(x.dtype).eps if rcond is None else rcond
    solved, residuals, rank, singular = np.linalg.lstsq(left / scale, right, rcond)
    c = solved / (scale[:, None] if y.ndim == 2 else scale)
    if np.ndim(deg):
        empty = np.zeros((top + 1, *c.shape[1:]), c.dtype, like=c)
        empty[np.array(chosen)] = c
        c = empty
    if full:
        return c, residuals, rank, singular, rcond
    if cov is False:
        return c
    inverse = np.linalg.inv((left / scale).T @ (left / scale)) / np.outer(scale, scale)
    if cov == "unscaled":
        return c, inverse
    if len(x) <= len(chosen):
        raise ShapeError(f"np.polyfit: {len(x)} points are too few for the covariance of {len(chosen)} numbers{at()}")
    factor = np.sum((right - left @ (solved / (scale[:, None] if y.ndim == 2 else scale))) ** 2, axis=0)
    factor = factor / (len(x) - len(chosen))
    return c, inverse * factor if y.ndim == 1 else inverse[:, :, None] * factor


@implements(np.vander)
def _vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    x = as_traced(stacked(x))
    if x.ndim != 1:
        raise ShapeError(f"np.vander: a vector is needed, got shape {x.shape}{at()}")
    x = cast(x, np.promote_types(x.dtype, int))
    columns = [np.ones_like(x)]
    for _ in range((len(x) if N is None else N) - 1):
        columns.append(columns[-1] * x)
    columns = columns[: len(x) if N is None else N]
    if not columns:
        return np.zeros((len(x), 0), x.dtype)
    return np.stack(columns if increasing else columns[::-1], axis=1)
