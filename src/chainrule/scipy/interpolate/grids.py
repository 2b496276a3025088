"""Interpolation on rectangular grids, and among scattered points."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import scipy.interpolate
import scipy.spatial

from chainrule.ops.host import host
from chainrule.scipy.common import apply, constant, look, refuse
from chainrule.scipy.interpolate.bsplines import _last_filled, basis, differentiated, evaluated, make_interp_spline
from chainrule.scipy.interpolate.common import column, double, interval, outside, together
from chainrule.scipy.interpolate.univariate import interp1d
from chainrule.scipy.twins import register, twin
from chainrule.tracing.array import holds_traced, stacked

_DEGREES = {"slinear": 1, "cubic": 3, "quintic": 5}


def _coordinates(points: Any, ndim: int | None = None) -> Any:
    """Return places as an array with the coordinates along the last axis."""
    if isinstance(points, tuple) and len(points) == 1:
        points = points[0]
    if isinstance(points, tuple):
        parts = [double(part) for part in points]
        shape = np.broadcast_shapes(*(part.shape for part in parts))
        return np.stack(together(*(part + np.zeros(shape) for part in parts)), axis=-1)
    points = double(points)
    if points.ndim == 1:
        return np.reshape(points, (-1, 1) if ndim in (None, 1) else (-1, ndim))
    return points


class RegularGridInterpolator(scipy.interpolate.RegularGridInterpolator):  # type: ignore[misc]
    """As `scipy.interpolate.RegularGridInterpolator`, also of traced values and grids and at traced places.

    The spline methods solve for their coefficients exactly, axis by axis, where SciPy iterates.
    """

    def __init__(self, points: Any, values: Any, method: str = "linear", bounds_error: bool = True,
                 fill_value: Any = np.nan, *, solver: Any = None, solver_args: Any = None) -> None:  # fmt: skip
        self._ours: Any = None
        if not holds_traced([*points, values, fill_value]):
            super().__init__(points, values, method, bounds_error, fill_value, solver=solver, solver_args=solver_args)
            return
        if method not in ("linear", "nearest", *_DEGREES):
            raise refuse(f"RegularGridInterpolator: method={method!r}",
                         "use 'linear', 'nearest', 'slinear', 'cubic' or 'quintic'")  # fmt: skip
        values = double(values)
        axes = [double(point) for point in points]
        if len(axes) > values.ndim:
            raise ValueError(f"There are {len(axes)} point arrays, but values has {values.ndim} dimensions")
        for k, axis in enumerate(axes):
            if axis.ndim != 1 or axis.shape[0] != values.shape[k]:
                raise ValueError(f"There are {axis.shape} points and {values.shape[k]} values on dimension {k}")
            if np.all(np.diff(axis) < 0):
                axes[k], values = np.flip(axis), np.flip(values, k)
            elif not np.all(np.diff(axis) > 0):
                raise ValueError(f"The points in dimension {k} must be strictly ascending or descending")
            if axis.shape[0] <= _DEGREES.get(method, 0):
                raise ValueError(f"There are {axis.shape[0]} points in dimension {k}, but method {method} requires at "
                                 f"least  {_DEGREES[method] + 1} points per dimension.")  # fmt: skip
        *axes, values = together(*axes, values)
        self.method, self.bounds_error, self.fill_value = method, bounds_error, fill_value
        self._ours = (tuple(axes), values)

    @property
    def grid(self) -> Any:
        """Coordinates along each axis."""
        return self._ours[0] if self._ours else tuple(self._grid)

    @property
    def values(self) -> Any:
        """Values on the grid."""
        return self._ours[1] if self._ours else self._values

    def __call__(self, xi: Any, method: str | None = None, *, nu: Any = None) -> Any:
        """Return the interpolated values at places, whose coordinates lie along the last axis."""
        traced_place = holds_traced(list(xi) if isinstance(xi, tuple) else xi)
        if not self._ours and not traced_place:
            return super().__call__(xi, method, nu=nu)
        method = self.method if method is None else method
        axes, values = self.grid, self.values
        if method not in ("linear", "nearest", *_DEGREES) or nu is not None:
            raise refuse(f"RegularGridInterpolator: method={method!r}, nu={nu}", "differentiate by the places")
        xi = _coordinates(xi, len(axes))
        if xi.shape[-1] != len(axes):
            raise ValueError(f"The requested sample points xi have dimension {xi.shape[-1]} but this "
                             f"RegularGridInterpolator has dimension {len(axes)}")  # fmt: skip
        shape = xi.shape[:-1]
        *axes, values, xi = together(*axes, values, np.reshape(xi, (-1, len(axes))))
        places = [xi[:, k] for k in range(len(axes))]
        beyond = [outside(place, axis[0], axis[-1]) for place, axis in zip(places, axes, strict=True)]
        for k, each in enumerate(beyond):
            if self.bounds_error and np.any(each):
                raise ValueError(f"One of the requested xi is out of bounds in dimension {k}")
        found = _on_grid(axes, values, places, method)
        if not self.bounds_error and self.fill_value is not None:
            anywhere = np.any(np.stack(beyond), axis=0)
            found = np.where(column(anywhere, found), self.fill_value, found)
        found = np.where(column(np.any(np.isnan(xi), axis=-1), found), np.nan, found)
        return np.reshape(found, (*shape, *values.shape[len(axes) :]))


def _on_grid(axes: list[Any], values: Any, places: list[Any], method: str) -> Any:
    """Return the sum over the corners around each place, or over the B-splines that do not vanish there."""
    if method in _DEGREES:
        degree = _DEGREES[method]
        knots = []
        for k, axis in enumerate(axes):
            spline = make_interp_spline(axis, values, degree, axis=k)
            values = np.moveaxis(spline.c, 0, k) if spline.axis else spline.c
            knots.append(stacked(spline.t))
        first, weights = [], []
        for t, place in zip(knots, places, strict=True):
            t, place = together(t, place)
            n = t.shape[0] - degree - 1
            left = np.minimum(interval(t, place, degree, n - 1), _last_filled(t, degree, n))
            first.append(left - degree)
            weights.append(basis(t, degree, place, left))
        return _gathered(values, first, weights)
    lower = [interval(axis, place, 0, axis.shape[0] - 2) for axis, place in zip(axes, places, strict=True)]
    shares = [(x - a[k]) / (a[k + 1] - a[k]) for a, x, k in zip(axes, places, lower, strict=True)]
    if method == "nearest":
        chosen = [np.where(share <= 0.5, k, k + 1) for k, share in zip(lower, shares, strict=True)]
        return values[tuple(chosen)]
    return _gathered(values, lower, [np.stack([1 - share, share]) for share in shares])


def _gathered(values: Any, first: list[Any], weights: list[Any]) -> Any:
    total: Any = 0.0
    for corner in itertools.product(*(range(len(w)) for w in weights)):
        weight: Any = 1.0
        for j, w in zip(corner, weights, strict=True):
            weight = weight * w[j]
        part = values[tuple(k + j for k, j in zip(first, corner, strict=True))]
        total = total + part * column(weight, part)
    return total


register(scipy.interpolate, "RegularGridInterpolator", RegularGridInterpolator)


@twin(scipy.interpolate)
def interpn(points: Any, values: Any, xi: Any, method: str = "linear", bounds_error: bool = True,
            fill_value: Any = np.nan) -> Any:  # fmt: skip
    """Return interpolated values of a function on a rectangular grid."""
    grid = RegularGridInterpolator(points, values, method=method, bounds_error=bounds_error, fill_value=fill_value)
    return grid(xi)


class RectBivariateSpline(scipy.interpolate.RectBivariateSpline):  # type: ignore[misc]
    """As `scipy.interpolate.RectBivariateSpline`, also of traced data for s=0, and at traced places."""

    def __init__(self, x: Any, y: Any, z: Any, bbox: Any = (None, None, None, None), kx: int = 3, ky: int = 3,
                 s: Any = 0, maxit: int = 20) -> None:  # fmt: skip
        self._ours: Any = None
        if not holds_traced([x, y, z]):
            super().__init__(x, y, z, list(bbox), kx, ky, s, maxit)
            return
        if s != 0 or any(end is not None for end in bbox):
            raise refuse("RectBivariateSpline: smoothing and bbox", "use s=0")
        of_x = make_interp_spline(x, z, kx)
        of_y = make_interp_spline(y, of_x.c, ky, axis=1)
        self._ours = (stacked(of_x.t), stacked(of_y.t), np.swapaxes(of_y.c, 0, 1)), (kx, ky)

    def _spline(self) -> Any:
        if self._ours:
            return self._ours
        tx, ty, c = self.tck
        kx, ky = self.degrees
        return (tx, ty, np.reshape(c, (len(tx) - kx - 1, len(ty) - ky - 1))), (kx, ky)

    def __call__(self, x: Any, y: Any, dx: int = 0, dy: int = 0, grid: bool = True) -> Any:
        """Return the value, or a partial derivative, on the grid of x and y, or at places."""
        if not self._ours and not holds_traced([x, y]):
            return super().__call__(x, y, dx, dy, grid)
        (tx, ty, c), (kx, ky) = self._spline()
        tx, ty, c, x, y = together(tx, ty, c, double(x), double(y))
        x = np.clip(x, tx[kx], tx[tx.shape[0] - kx - 1])  # FITPACK stays inside, constant beyond
        y = np.clip(y, ty[ky], ty[ty.shape[0] - ky - 1])
        for _ in range(dx):
            tx, c, kx = differentiated(tx, c, kx)
        c = np.swapaxes(c, 0, 1)
        for _ in range(dy):
            ty, c, ky = differentiated(ty, c, ky)
        if grid:
            along_y = evaluated(ty, c, ky, np.atleast_1d(y), 0, True)
            return evaluated(tx, np.swapaxes(along_y, 0, 1), kx, np.atleast_1d(x), 0, True)
        shape = np.broadcast_shapes(x.shape, y.shape)
        first, weights = [], []
        for t, k, place in ((ty, ky, y), (tx, kx, x)):
            flat = np.reshape(np.broadcast_to(place, shape), (-1,))
            n = t.shape[0] - k - 1
            left = np.minimum(interval(t, flat, k, n - 1), _last_filled(t, k, n))
            first.append(left - k)
            weights.append(basis(t, k, flat, left))
        return np.reshape(_gathered(c, first, weights), shape)

    def ev(self, xi: Any, yi: Any, dx: int = 0, dy: int = 0) -> Any:
        """Return the value, or a partial derivative, at places."""
        return self(xi, yi, dx, dy, grid=False)

    def integral(self, xa: Any, xb: Any, ya: Any, yb: Any) -> Any:
        """Refuse traced values."""
        if self._ours or holds_traced([xa, xb, ya, yb]):
            raise refuse("RectBivariateSpline.integral", "integrate B-splines along each axis")
        return super().integral(xa, xb, ya, yb)


register(scipy.interpolate, "RectBivariateSpline", RectBivariateSpline)

# -- scattered points --------------------------------------------------------------------------------------


class LinearNDInterpolator(scipy.interpolate.LinearNDInterpolator):  # type: ignore[misc]
    """As `scipy.interpolate.LinearNDInterpolator`, also of traced values and points and at traced places.

    The triangulation is that of the concrete points; within it the derivative with respect to points is exact.
    """

    def __init__(self, points: Any, values: Any, fill_value: Any = np.nan, rescale: bool = False) -> None:
        self._ours: Any = None
        triangulated = isinstance(points, scipy.spatial.Delaunay)
        where = points.points if triangulated else _coordinates(points)
        if holds_traced([where, stacked(values), fill_value]):
            if rescale and triangulated:
                raise ValueError("Rescaling is not supported when passing a Delaunay triangulation as `points`.")
        else:
            super().__init__(points, values, fill_value, rescale)
        offset: Any = 0.0
        scale: Any = 1.0
        if rescale:
            offset, scale = np.mean(where, axis=0), np.max(where, axis=0) - np.min(where, axis=0)
            scale = np.where(scale > 0, scale, 1.0)
        where = (where - offset) / scale
        self._triangles = points if triangulated else scipy.spatial.Delaunay(look(where))
        self._scaled, self._numbers, self._fill = (where, offset, scale), double(values), fill_value
        self._is_ours = holds_traced([where, self._numbers, fill_value])

    def __call__(self, *args: Any) -> Any:
        """Return interpolated values at places."""
        if not self._is_ours and not holds_traced(args):
            return super().__call__(*args)
        points, offset, scale = self._scaled
        xi = _coordinates(args[0] if len(args) == 1 else tuple(args), points.shape[-1])
        xi = (xi - offset) / scale
        shape = xi.shape[:-1]
        xi, points, values, simplices = together(
            np.reshape(xi, (-1, xi.shape[-1])), points, self._numbers, self._triangles.simplices
        )
        simplex = apply(host, xi, function=self._triangles.find_simplex, kwargs=())
        corners = simplices[np.maximum(simplex, 0)]
        last = points[corners[:, -1]]
        sides = np.swapaxes(points[corners[:, :-1]] - last[:, None], -1, -2)
        shares = np.linalg.solve(sides, (xi - last)[..., None])[..., 0]
        shares = np.concatenate([shares, 1 - np.sum(shares, axis=-1, keepdims=True)], axis=-1)
        found: Any = 0.0
        for k in range(shares.shape[-1]):
            part = values[corners[:, k]]
            found = found + part * column(shares[:, k], part)
        found = np.where(column(simplex >= 0, found), found, self._fill)
        return np.reshape(found, (*shape, *values.shape[1:]))


class NearestNDInterpolator(scipy.interpolate.NearestNDInterpolator):  # type: ignore[misc]
    """As `scipy.interpolate.NearestNDInterpolator`, also of traced values: the gradient goes to the nearest."""

    def __init__(self, x: Any, y: Any, rescale: bool = False, tree_options: Any = None) -> None:
        x = _coordinates(x)
        self._numbers = stacked(y)
        places = np.arange(x.shape[0]) if holds_traced([x, self._numbers]) else y
        super().__init__(look(constant(x)), places, rescale, tree_options)
        self._is_ours = holds_traced([x, self._numbers])

    def __call__(self, *args: Any, **query_options: Any) -> Any:
        """Return the values of the nearest points."""
        if not self._is_ours and not holds_traced(args):
            return super().__call__(*args, **query_options)
        xi = _coordinates(args[0] if len(args) == 1 else tuple(args), self.points.shape[-1])
        nearest = functools.partial(super().__call__, **query_options)
        found = apply(host, xi, function=nearest, kwargs=())
        if not self._is_ours:
            return found
        values, found = together(self._numbers, found)
        return values[found.astype(int)]


for _class in (LinearNDInterpolator, NearestNDInterpolator):
    register(scipy.interpolate, _class.__name__, _class)


@twin(scipy.interpolate)
def griddata(points: Any, values: Any, xi: Any, method: str = "linear", fill_value: Any = np.nan,
             rescale: bool = False) -> Any:  # fmt: skip
    """Return interpolated values of scattered points."""
    points = _coordinates(points)
    if points.shape[-1] == 1 and method in ("nearest", "linear", "cubic"):
        order = np.argsort(points[:, 0])
        points, values = together(points[:, 0], double(values))
        xi = xi[0] if isinstance(xi, tuple) and len(xi) == 1 else xi
        fill = "extrapolate" if method == "nearest" else fill_value
        return interp1d(points[order], values[order], kind=method, axis=0, bounds_error=False, fill_value=fill)(xi)
    if method == "nearest":
        return NearestNDInterpolator(points, values, rescale=rescale)(xi)
    if method != "linear":
        raise refuse(f"scipy.interpolate.griddata: method={method!r} in {points.shape[-1]} dimensions",
                     "use method='linear'")  # fmt: skip
    return LinearNDInterpolator(points, values, fill_value=fill_value, rescale=rescale)(xi)


# -- radial basis functions --------------------------------------------------------------------------------

_KERNELS: dict[str, tuple[Any, int]] = {  # of the squared distance, and the least degree of the polynomial
    "linear": (lambda s: -_root(s), 0),
    "thin_plate_spline": (lambda s: 0.5 * s * np.log(np.where(s == 0, 1.0, s)), 1),
    "cubic": (lambda s: s * _root(s), 1),
    "quintic": (lambda s: -(s * s * _root(s)), 2),
    "multiquadric": (lambda s: -np.sqrt(s + 1), 0),
    "inverse_multiquadric": (lambda s: 1 / np.sqrt(s + 1), -1),
    "inverse_quadratic": (lambda s: 1 / (s + 1), -1),
    "gaussian": (lambda s: np.exp(-s), -1),
}
_SCALE_FREE = ("linear", "thin_plate_spline", "cubic", "quintic")


def _root(s: Any) -> Any:
    """Return the square root, with derivative 0 at 0, as of a norm."""
    zero = s == 0
    return np.where(zero, 0.0, np.sqrt(np.where(zero, 1.0, s)))


class RBFInterpolator(scipy.interpolate.RBFInterpolator):  # type: ignore[misc]
    """As `scipy.interpolate.RBFInterpolator`, also of traced points, data, smoothing and shape, at traced places."""

    def __init__(self, y: Any, d: Any, neighbors: Any = None, smoothing: Any = 0.0,
                 kernel: str = "thin_plate_spline", epsilon: Any = None, degree: Any = None) -> None:  # fmt: skip
        self._ours: Any = None
        self._is_ours = holds_traced([y, d, smoothing, epsilon])
        if not self._is_ours:
            super().__init__(y, d, neighbors, smoothing, kernel, epsilon, degree)
        elif neighbors is not None:
            raise refuse("RBFInterpolator: neighbors", "leave it out")
        else:
            count = np.shape(stacked(y))[0]
            if np.ndim(stacked(y)) != 2 or np.shape(stacked(d))[0] != count:
                raise ValueError("`y` must be a 2-dimensional array, with as many rows as `d`.")
            if kernel.lower() not in _KERNELS:
                raise ValueError(f"`kernel` must be one of {set(_KERNELS)}.")
            if epsilon is None and kernel.lower() not in _SCALE_FREE:
                raise ValueError(f"`epsilon` must be specified if `kernel` is not one of {set(_SCALE_FREE)}.")
            self.y, self.d, self.smoothing, self.kernel = y, d, smoothing, kernel.lower()
            self.epsilon = 1.0 if epsilon is None else epsilon
            self.neighbors = None
        if neighbors is None:
            least = _KERNELS[kernel.lower()][1]
            self._degree = max(least, 0) if degree is None else int(degree)
            self._given = (double(y), double(d))

    def __call__(self, x: Any) -> Any:
        """Return interpolated values at places."""
        if not self._is_ours and not holds_traced(x):
            return super().__call__(x)
        if self.neighbors is not None:
            raise refuse("RBFInterpolator: neighbors", "leave it out")
        y, d, x = together(*self._given, double(x))
        if x.ndim != 2 or x.shape[1] != y.shape[1]:
            raise ValueError(f"Expected the second axis of `x` to have length {y.shape[1]}.")
        flat = np.reshape(d, (y.shape[0], -1))
        low, high = np.min(look(constant(y)), axis=0), np.max(look(constant(y)), axis=0)
        shift, scale = (high + low) / 2, np.where(high > low, (high - low) / 2, 1.0)
        powers = _powers(y.shape[1], self._degree)
        tail = _monomials((y - shift) / scale, powers)
        smoothing = stacked(self.smoothing) + np.zeros(y.shape[0])
        upper = np.concatenate([self._basis(y, y) + smoothing[:, None] * np.eye(y.shape[0]), tail], axis=1)
        lower = np.concatenate([tail.T, np.zeros((len(powers), len(powers)))], axis=1)
        side = np.concatenate([flat, np.zeros((len(powers), flat.shape[1]))])
        weights = np.linalg.solve(np.concatenate([upper, lower]), side)
        rows = np.concatenate(together(self._basis(x, y), _monomials((x - shift) / scale, powers)), axis=1)
        return np.reshape(rows @ weights, (x.shape[0], *d.shape[1:]))

    def _basis(self, x: Any, y: Any) -> Any:
        gaps = self.epsilon * (x[:, None, :] - y[None, :, :])
        return _KERNELS[self.kernel][0](np.sum(gaps * gaps, axis=-1))


def _powers(ndim: int, degree: int) -> list[tuple[int, ...]]:
    """Return the exponents of the monomials up to a degree."""
    return [p for p in itertools.product(range(max(degree, -1) + 1), repeat=ndim) if sum(p) <= degree]


def _monomials(x: Any, powers: list[tuple[int, ...]]) -> Any:
    columns = []
    for exponents in powers:
        product = 1 + 0 * x[:, 0]
        for k, power in enumerate(exponents):
            for _ in range(power):
                product = product * x[:, k]
        columns.append(product)
    return np.stack(columns, axis=1) if columns else np.zeros((x.shape[0], 0))


register(scipy.interpolate, "RBFInterpolator", RBFInterpolator)
