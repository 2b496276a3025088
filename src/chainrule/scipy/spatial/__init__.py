"""`scipy.spatial` for traced arrays: distances. Names without a rule are SciPy's, and refuse traced values."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.spatial

from chainrule.scipy.common import as_dtype, floating, guarded, look
from chainrule.scipy.spatial import distance, transform
from chainrule.scipy.twins import twin

__all__ = ["distance", "distance_matrix", "geometric_slerp", "minkowski_distance", "minkowski_distance_p", "transform"]

_INSTEAD = {
    name: "the structure is a constant: build it of a plain array, and index the traced one by what it finds"
    for name in ("KDTree", "cKDTree", "Delaunay", "ConvexHull", "Voronoi", "SphericalVoronoi")
}


def __getattr__(name: str) -> Any:
    return guarded(scipy.spatial, name, _INSTEAD.get(name, ""))


def _difference(x: Any, y: Any) -> Any:
    x, y = floating(x), floating(y)
    return np.abs(as_dtype(y, np.result_type(y.dtype, float)) - as_dtype(x, np.result_type(x.dtype, float)))


@twin(scipy.spatial)
def minkowski_distance_p(x: Any, y: Any, p: Any = 2.0) -> Any:
    """Return the p-th power of the p-norm of differences over the last axis."""
    gap = _difference(x, y)
    if p == np.inf:
        return np.max(gap, axis=-1)
    return np.sum(gap if p == 1 else gap**p, axis=-1)


@twin(scipy.spatial)
def minkowski_distance(x: Any, y: Any, p: Any = 2.0) -> Any:
    """Return the p-norm of differences over the last axis; its derivative at 0 is 0."""
    total = minkowski_distance_p(x, y, p)
    if p in (1, np.inf):
        return total
    return np.sqrt(total) if p == 2 else total ** (1.0 / p)


@twin(scipy.spatial)
def distance_matrix(x: Any, y: Any, p: Any = 2.0, threshold: int = 1000000) -> Any:
    """Return the p-norms of the differences of all rows of two arrays."""
    x, y = floating(x), floating(y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x contains {x.shape[1]}-dimensional vectors but y contains {y.shape[1]}-dimensional vectors")
    return minkowski_distance(x[:, None, :], y[None, :, :], p)


@twin(scipy.spatial)
def geometric_slerp(start: Any, end: Any, t: Any, tol: float = 1e-7) -> Any:
    """Return points on the great circle between two unit vectors; derivatives are those of the formula, off the sphere.

    The angle is that of Kahan, atan2 of the lengths of difference and sum.
    """
    start, end, t = floating(start), floating(end), floating(t)
    if start.ndim != 1 or end.ndim != 1 or start.shape != end.shape or start.shape[0] < 2 or t.ndim > 1:
        raise ValueError("two vectors with one axis of the same length, at least 2, are needed, and t with one axis")
    if not all(np.isclose(np.linalg.norm(look(x)), 1.0, rtol=1e-9, atol=0) for x in (start, end)):
        raise ValueError("start and end are not on a unit n-sphere")
    angle = 2 * np.arctan2(np.linalg.norm(end - start), np.linalg.norm(end + start))
    share = np.reshape(t, (*t.shape, 1))
    if not np.any(look(start) != look(end)):
        return start + share * (end - start)
    return (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)
