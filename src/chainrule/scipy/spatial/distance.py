"""`scipy.spatial.distance` for traced arrays: distances of vectors, of all pairs of two sets, of all pairs of one.

At distance 0 the derivative of a norm is 0. Metrics of truth values are SciPy's, and refuse traced arrays.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.spatial.distance
from scipy.special import xlogy

from chainrule.errors import ShapeError
from chainrule.scipy.common import as_dtype, constant, floating, guarded, look, plain, refuse
from chainrule.scipy.twins import twin
from chainrule.tracing.array import stacked
from chainrule.tracing.origin import at

__all__ = [
    "braycurtis", "canberra", "cdist", "chebyshev", "cityblock", "correlation", "cosine", "directed_hausdorff",
    "euclidean", "hamming", "jensenshannon", "mahalanobis", "minkowski", "pdist", "seuclidean", "sqeuclidean",
    "squareform",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    return guarded(scipy.spatial.distance, name, "distances of truth values are steps, without derivative")


# -- metrics, over the last axis ---------------------------------------------------------------------------


def _sum(x: Any, w: Any) -> Any:
    return np.sum(x if w is None else x * w, axis=-1)


def _sqeuclidean(u: Any, v: Any, w: Any = None) -> Any:
    return _sum((u - v) ** 2, w)


def _euclidean(u: Any, v: Any, w: Any = None) -> Any:
    return np.sqrt(_sqeuclidean(u, v, w))


def _cityblock(u: Any, v: Any, w: Any = None) -> Any:
    return _sum(np.abs(u - v), w)


def _chebyshev(u: Any, v: Any, w: Any = None) -> Any:
    gaps = np.abs(u - v)
    return np.max(gaps if w is None else np.where(w > 0, gaps, 0.0), axis=-1)


def _minkowski(u: Any, v: Any, p: Any = 2, w: Any = None) -> Any:
    if p <= 0:
        raise ValueError("p must be greater than 0")
    if p == 1:
        return _cityblock(u, v, w)
    if p == 2:
        return _euclidean(u, v, w)
    if p == np.inf:
        return _chebyshev(u, v, None if w is None else w != 0)
    return _sum(np.abs(u - v) ** p, w) ** (1 / p)


def _cosine(u: Any, v: Any, w: Any = None) -> Any:
    return np.clip(1.0 - _sum(u * v, w) / np.sqrt(_sum(u * u, w) * _sum(v * v, w)), 0.0, 2.0)


def _correlation(u: Any, v: Any, w: Any = None, centered: bool = True) -> Any:
    if not centered:
        return _cosine(u, v, w)
    total = u.shape[-1] if w is None else np.sum(w)
    u, v = (x - _sum(x, w)[..., None] / total for x in (u, v))
    return _cosine(u, v, w)


def _mahalanobis(u: Any, v: Any, VI: Any) -> Any:
    gap = u - v
    return np.sqrt(np.sum((gap @ np.atleast_2d(floating(VI))) * gap, axis=-1))


def _seuclidean(u: Any, v: Any, V: Any) -> Any:
    return _euclidean(u, v, 1 / floating(V))


def _braycurtis(u: Any, v: Any, w: Any = None) -> Any:
    return _sum(np.abs(u - v), w) / _sum(np.abs(u + v), w)


def _canberra(u: Any, v: Any, w: Any = None) -> Any:
    size = np.abs(u) + np.abs(v)
    return _sum(np.abs(u - v) / np.where(size == 0, 1.0, size), w)


def _jensenshannon(p: Any, q: Any) -> Any:
    return np.sqrt(_divergence(*(x / np.sum(x, axis=-1, keepdims=True) for x in (p, q))) / 2.0)


def _divergence(p: Any, q: Any) -> Any:
    middle = (p + q) / 2.0
    safe = np.where(middle == 0, 1.0, middle)
    return np.sum(xlogy(p, p / safe) + xlogy(q, q / safe), axis=-1)


def _hamming(u: Any, v: Any, w: Any = None) -> Any:
    return _sum(as_dtype(u != v, float), w) / (u.shape[-1] if w is None else np.sum(w))


_METRICS: dict[str, Callable[..., Any]] = {
    "euclidean": _euclidean, "sqeuclidean": _sqeuclidean, "cityblock": _cityblock, "chebyshev": _chebyshev,
    "minkowski": _minkowski, "cosine": _cosine, "correlation": _correlation, "mahalanobis": _mahalanobis,
    "seuclidean": _seuclidean, "braycurtis": _braycurtis, "canberra": _canberra, "jensenshannon": _jensenshannon,
    "hamming": _hamming,
}  # fmt: skip
_SPELLED = {
    "euclidean": "euclid eu e", "sqeuclidean": "sqe sqeuclid", "cityblock": "cblock cb c",
    "chebyshev": "chebychev cheby cheb ch", "minkowski": "mi m pnorm", "cosine": "cos", "correlation": "co",
    "mahalanobis": "mahal mah", "seuclidean": "se s", "jensenshannon": "js", "hamming": "hamm ha h matching",
}  # fmt: skip
_NAMES = {name: name for name in _METRICS} | {
    alias: name for name, aliases in _SPELLED.items() for alias in aliases.split()
}


# -- two vectors -------------------------------------------------------------------------------------------


def _vectors(u: Any, v: Any, w: Any = None) -> tuple[Any, Any, Any]:
    u, v = floating(u), floating(v)
    if u.ndim != 1 or v.ndim != 1:
        raise ValueError("Input vector should be 1-D.")
    if u.shape != v.shape:
        raise ShapeError(f"two vectors of one length are needed, got {u.shape} and {v.shape}{at()}")
    w = None if w is None else floating(w)
    if w is not None and np.any(look(constant(w)) < 0):
        raise ValueError("Input weights should be all non-negative")
    return u, v, w


@twin(scipy.spatial.distance)
def euclidean(u: Any, v: Any, w: Any = None) -> Any:
    """Return the length of the difference; its derivative at 0 is 0."""
    return _euclidean(*_vectors(u, v, w))


@twin(scipy.spatial.distance)
def sqeuclidean(u: Any, v: Any, w: Any = None) -> Any:
    """Return the squared length of the difference."""
    return _sqeuclidean(*_vectors(u, v, w))


@twin(scipy.spatial.distance)
def cityblock(u: Any, v: Any, w: Any = None) -> Any:
    """Return the sum of the absolute differences."""
    return _cityblock(*_vectors(u, v, w))


@twin(scipy.spatial.distance)
def chebyshev(u: Any, v: Any, w: Any = None) -> Any:
    """Return the largest absolute difference; equal ones share the gradient."""
    return _chebyshev(*_vectors(u, v, w))


@twin(scipy.spatial.distance)
def minkowski(u: Any, v: Any, p: Any = 2, w: Any = None) -> Any:
    """Return the p-norm of the difference; differentiable in p as well."""
    u, v, w = _vectors(u, v, w)
    return _minkowski(u, v, p, w)


@twin(scipy.spatial.distance)
def cosine(u: Any, v: Any, w: Any = None) -> Any:
    """Return 1 less the cosine of the angle between two vectors."""
    return _cosine(*_vectors(u, v, w))


@twin(scipy.spatial.distance)
def correlation(u: Any, v: Any, w: Any = None, centered: bool = True) -> Any:
    """Return 1 less the correlation of two vectors."""
    return _correlation(*_vectors(u, v, w), centered)


@twin(scipy.spatial.distance)
def mahalanobis(u: Any, v: Any, VI: Any) -> Any:
    """Return the distance in the metric of an inverse covariance."""
    u, v, _ = _vectors(u, v)
    return _mahalanobis(u, v, VI)


@twin(scipy.spatial.distance)
def seuclidean(u: Any, v: Any, V: Any) -> Any:
    """Return the distance in units of standard deviations, of which V holds the squares."""
    u, v, _ = _vectors(u, v)
    if np.shape(stacked(V)) != u.shape:
        raise ShapeError(f"V must be a 1-D array of the same dimension as u and v{at()}")
    return _seuclidean(u, v, V)


@twin(scipy.spatial.distance)
def braycurtis(u: Any, v: Any, w: Any = None) -> Any:
    """Return the sum of absolute differences over that of absolute sums."""
    return _braycurtis(*_vectors(u, v, w))


@twin(scipy.spatial.distance)
def canberra(u: Any, v: Any, w: Any = None) -> Any:
    """Return the sum of the differences relative to the sizes."""
    return _canberra(*_vectors(u, v, w))


@twin(scipy.spatial.distance)
def hamming(u: Any, v: Any, w: Any = None) -> Any:
    """Return the share of elements that differ; a step, with derivative 0 in u and v."""
    return _hamming(*_vectors(u, v, w))


@twin(scipy.spatial.distance)
def jensenshannon(p: Any, q: Any, base: Any = None, *, axis: int = 0, keepdims: bool = False) -> Any:
    """Return the square root of the Jensen-Shannon divergence of two distributions."""
    p, q = (np.moveaxis(floating(x), axis, -1) for x in (p, q))
    p, q = (x / np.sum(x, axis=-1, keepdims=True) for x in (p, q))
    divergence = _divergence(p, q)
    distance = np.sqrt(
        (divergence if base is None else divergence / as_dtype(stacked(np.log(base)), divergence.dtype)) / 2.0
    )
    return np.expand_dims(distance, axis) if keepdims else distance


@twin(scipy.spatial.distance)
def directed_hausdorff(u: Any, v: Any, rng: Any = 0, *, seed: Any = None) -> Any:
    """Return the largest distance of a point of u to its nearest point of v, and these two points."""
    distances = cdist(u, v)
    nearest = np.argmin(distances, axis=1)
    lengths = np.take_along_axis(distances, nearest[:, None], axis=1)[:, 0]
    i = np.argmax(lengths)
    return lengths[i], i, nearest[i]


# -- all pairs ---------------------------------------------------------------------------------------------


def _pairwise(metric: Any, u: Any, v: Any, everything: Any, kwargs: dict[str, Any]) -> Any:
    """Return the distances of broadcast rows; `everything` gives the rows for estimates of the spread."""
    spelled = metric.lower() if isinstance(metric, str) else str(getattr(metric, "__name__", ""))
    name = _NAMES.get(spelled)
    known = [getattr(home, str(name), None) for home in (scipy.spatial.distance, sys.modules[__name__])]
    if callable(metric) and (name is None or metric not in known):
        return _by_calls(metric, u, v, kwargs)
    if name is None:
        raise refuse(f"scipy.spatial.distance: metric={metric!r}", f"use one of {', '.join(sorted(_METRICS))}")
    options = {key: value for key, value in kwargs.items() if value is not None}
    if name == "seuclidean" and "V" not in options:
        options["V"] = np.var(everything(), axis=0, ddof=1)
    if name == "mahalanobis" and "VI" not in options:
        options["VI"] = np.linalg.inv(np.atleast_2d(np.cov(everything().T))).T
    if "w" in options:
        options["w"] = floating(options["w"])
    return _METRICS[name](u, v, **options)


def _by_calls(metric: Callable[..., Any], u: Any, v: Any, kwargs: dict[str, Any]) -> Any:
    shape = np.broadcast_shapes(u.shape, v.shape)
    u, v = np.broadcast_to(u, shape), np.broadcast_to(v, shape)
    found = [metric(u[place], v[place], **kwargs) for place in np.ndindex(*shape[:-1])]
    return np.reshape(np.stack([stacked(each) for each in found]), shape[:-1])


@twin(scipy.spatial.distance)
def cdist(XA: Any, XB: Any, metric: Any = "euclidean", *, out: Any = None, **kwargs: Any) -> Any:
    """Return the distances of all rows of one array to all rows of another."""
    a, b = (as_dtype(x, np.result_type(x.dtype, float)) for x in (floating(XA), floating(XB)))
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError("XA and XB must be 2-dimensional arrays.")
    if a.shape[1] != b.shape[1]:
        raise ValueError("XA and XB must have the same number of columns (i.e. feature dimension.)")
    plain(out, "cdist: out")
    if out is not None:
        raise refuse("scipy.spatial.distance.cdist: out=", "take what it returns")
    return _pairwise(metric, a[:, None, :], b[None, :, :], lambda: np.concatenate([a, b]), kwargs)


@twin(scipy.spatial.distance)
def pdist(X: Any, metric: Any = "euclidean", *, out: Any = None, **kwargs: Any) -> Any:
    """Return the distances of all pairs of rows, the first row's first."""
    x = floating(X)
    x = as_dtype(x, np.result_type(x.dtype, float))
    if x.ndim != 2:
        raise ValueError("A 2-dimensional array must be passed.")
    if out is not None:
        raise refuse("scipy.spatial.distance.pdist: out=", "take what it returns")
    one, two = np.triu_indices(x.shape[0], 1)
    return _pairwise(metric, x[one], x[two], lambda: x, kwargs)


@twin(scipy.spatial.distance)
def squareform(X: Any, force: str = "no", checks: bool = True) -> Any:
    """Return the matrix of a vector of distances, or the vector of a matrix."""
    x = stacked(X)
    if force.lower() == "tomatrix" and x.ndim != 1:
        raise ValueError("Forcing 'tomatrix' but input X is not a distance vector.")
    if force.lower() == "tovector" and x.ndim != 2:
        raise ValueError("Forcing 'tovector' but input X is not a distance matrix.")
    if x.ndim == 1:
        size = math.ceil(math.sqrt(2 * x.shape[0])) if x.shape[0] else 1
        if size * (size - 1) != 2 * x.shape[0]:
            raise ValueError("Incompatible vector size. It must be a binomial coefficient n choose 2 for some integer "
                             "n >= 2.")  # fmt: skip
        places = np.full((size, size), x.shape[0])
        upper = np.triu_indices(size, 1)
        places[upper] = np.arange(x.shape[0])
        places = np.minimum(places, places.T)
        return np.concatenate([x, np.zeros(1, x.dtype)])[places]
    if x.ndim != 2:
        raise ValueError(f"The first argument must be one or two dimensional array, not {x.ndim}-dimensional")
    if x.shape[0] != x.shape[1]:
        raise ValueError("The matrix argument must be square.")
    if checks:
        scipy.spatial.distance.is_valid_dm(look(x), throw=True, name="X")
    return x[np.triu_indices(x.shape[0], 1)]
