"""Interpolation in one variable by other means: `interp1d`, polynomials through points."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.interpolate

from chainrule.scipy.common import as_dtype, floating, look, refuse
from chainrule.scipy.interpolate.bsplines import make_interp_spline
from chainrule.scipy.interpolate.common import at_places, column, double, outside, together
from chainrule.scipy.twins import register, twin
from chainrule.tracing.array import holds_traced, stacked

_ORDERS = {"zero": 0, "slinear": 1, "quadratic": 2, "cubic": 3}
_set_fill_value = scipy.interpolate.interp1d.fill_value.fset
_STEPS = ("nearest", "nearest-up", "previous", "next")


class interp1d(scipy.interpolate.interp1d):  # type: ignore[misc]
    """As `scipy.interpolate.interp1d`, also of traced x, y and fill values and at traced places."""

    def __init__(self, x: Any, y: Any, kind: Any = "linear", axis: int = -1, copy: Any = True, bounds_error: Any = None,
                 fill_value: Any = np.nan, assume_sorted: bool = False) -> None:  # fmt: skip
        self._kind_of_ours, self._sorted = kind, None
        self._fill = fill_value
        if not holds_traced([x, y, fill_value]):
            super().__init__(x, y, kind, axis, copy, bounds_error, fill_value, assume_sorted)
            return
        x, y = floating(x), floating(y)
        order = _ORDERS.get(kind, kind)
        if order != "linear" and order not in _STEPS and not isinstance(order, int):
            raise refuse(f"interp1d: kind={kind!r}")
        if x.ndim != 1:
            raise ValueError("the x array must have exactly one dimension.")
        if not y.ndim:
            raise ValueError("the y array must have at least one dimension.")
        self.axis = axis % y.ndim
        if y.shape[self.axis] != x.shape[0]:
            raise ValueError("x and y arrays must be equal in length along interpolation axis.")
        least = order + 1 if isinstance(order, int) else 1
        if x.shape[0] < least:
            raise ValueError(f"x and y arrays must have at least {least} entries")
        if not assume_sorted:
            places = np.argsort(x)
            x, y = together(x, y)
            x, y = x[places], np.take(y, places, axis=self.axis)
        extrapolates = isinstance(fill_value, str)
        if extrapolates and bounds_error:
            raise ValueError("Cannot extrapolate and raise at the same time.")
        self.bounds_error = bounds_error
        if bounds_error is None:
            self.bounds_error = not extrapolates and not holds_traced(fill_value) and bool(
                np.ndim(fill_value) == 0 and np.isnan(fill_value))  # fmt: skip
        self.x, self.y = together(x, y)
        self._sorted = (self.x, np.moveaxis(self.y, self.axis, 0))
        self._interpolating: Any = make_interp_spline(*self._sorted, order) if isinstance(order, int) else None

    @property
    def fill_value(self) -> Any:
        """What is returned outside the interval."""
        return self._fill

    @fill_value.setter
    def fill_value(self, value: Any) -> None:
        if self._sorted is None:
            _set_fill_value(self, value)

    def __call__(self, x: Any) -> Any:
        """Return the interpolated values at places."""
        if self._sorted is None and not holds_traced(x):
            return super().__call__(x)
        return at_places(self._evaluated, as_dtype(stacked(x), float), self.axis)

    def _evaluated(self, q: Any) -> Any:
        x, y = self._sorted or (self.x, np.moveaxis(self.y, self.axis, 0))
        x, y, q = together(as_dtype(floating(x), float), floating(y), q)
        order = _ORDERS.get(self._kind_of_ours, self._kind_of_ours)
        if order == "linear":
            k = np.clip(np.searchsorted(x, q), 1, x.shape[0] - 1) if x.shape[0] > 1 else np.zeros(q.shape, int)
            low = k - 1 if x.shape[0] > 1 else k
            width = np.where(x[k] == x[low], 1.0, x[k] - x[low])
            found = y[low] + column((q - x[low]) / width, y) * (y[k] - y[low])
        elif order in _STEPS:
            found = y[_step(order, x, q)]
        else:
            spline = self._interpolating if self._sorted else make_interp_spline(x, y, order)
            found = spline(q)
        below, above = q < x[0], q > x[-1]
        low_value, high_value = self._beyond(order, y)
        if self.bounds_error and np.any(outside(q, x[0], x[-1])):
            raise ValueError("A value in x_new is outside the interpolation range.")
        if low_value is not None:
            found = np.where(column(below, found), low_value, found)
        return found if high_value is None else np.where(column(above, found), high_value, found)

    def _beyond(self, order: Any, y: Any) -> tuple[Any, Any]:
        """Return what is below and above the interval; None where the interpolation goes on."""
        fill = self._fill
        if isinstance(fill, str):
            if fill != "extrapolate":
                raise ValueError(f"fill_value must be a number or 'extrapolate', got {fill!r}")
            return (np.nan if order == "previous" else None), (np.nan if order == "next" else None)
        if isinstance(fill, tuple) and len(fill) == 2:
            return stacked(fill[0]), stacked(fill[1])
        return stacked(fill), stacked(fill)


def _step(kind: str, x: Any, q: Any) -> Any:
    """Return which point's value is taken."""
    last = x.shape[0] - 1
    if kind in ("nearest", "nearest-up"):
        middles = x[1:] / 2.0 + x[:-1] / 2.0
        return np.clip(np.searchsorted(middles, q, side="left" if kind == "nearest" else "right"), 0, last)
    if kind == "previous":
        return np.clip(np.searchsorted(x, q, side="right") - 1, 0, last)
    return np.clip(np.searchsorted(x, q, side="left"), 0, last)


register(scipy.interpolate, "interp1d", interp1d)

# -- polynomials through points ----------------------------------------------------------------------------


class _Polynomial:
    """The polynomial of least degree through points, in Newton's form; mixed into SciPy's classes.

    A place that occurs several times takes the value, the first derivative, ... there. Evaluation in Newton's form is
    exact at the points and differentiable everywhere; the points are taken in Leja's order, which keeps it accurate
    (L. Reichel, Newton interpolation at Leja points, BIT 30 (1990)).
    """

    _points: Any
    _axis_of_ours: int

    def _set(self, xi: Any, yi: Any, axis: int) -> None:
        xi, yi = floating(xi), double(yi)
        axis = axis % yi.ndim
        yi = np.moveaxis(yi, axis, 0)
        if xi.shape[0] != yi.shape[0]:
            raise ValueError("x and y arrays must be equal in length along interpolation axis.")
        self._points, self._axis_of_ours = together(as_dtype(xi, float), yi), axis

    def __call__(self, x: Any) -> Any:
        """Return the value at places."""
        if not self._is_traced(x):
            return super().__call__(x)  # type: ignore[misc]
        return at_places(lambda x: self._derivatives(x, 0)[0], x, self._axis_of_ours)

    def _is_traced(self, *others: Any) -> bool:
        return holds_traced([*self._points, *others])

    def derivatives(self, x: Any, der: Any = None) -> Any:
        """Return the value and the first derivatives at places, along a new first axis."""
        if not self._is_traced(x):
            return super().derivatives(x, der)  # type: ignore[misc]
        count = len(self._points[0]) if der is None else int(der)
        return np.stack([_Polynomial.derivative(self, x, k) for k in range(count)])

    def derivative(self, x: Any, der: int = 1) -> Any:
        """Return one derivative at places."""
        if not self._is_traced(x):
            return super().derivative(x, der)  # type: ignore[misc]
        return at_places(lambda x: self._derivatives(x, der)[der], x, self._axis_of_ours)

    def _derivatives(self, x: Any, order: int) -> list[Any]:
        """Return value and derivatives up to an order, by Horner's rule for Newton's form."""
        nodes, c = self._divided()
        x, nodes = together(double(x), nodes)
        found: list[Any] = [0 * column(x, c[0][None]) + c[-1], *[0.0] * order]
        for k in range(len(c) - 2, -1, -1):
            step = column(x - nodes[k], c[0][None])
            for j in range(order, 0, -1):
                found[j] = found[j] * step + j * found[j - 1]
            found[0] = found[0] * step + c[k]
        shape = (x.shape[0], *c[0].shape)
        return [each if np.shape(each) == shape else each + np.zeros(shape) for each in found]

    def _divided(self) -> tuple[Any, list[Any]]:
        """Return the points in order and the divided differences."""
        xi, yi = self._points
        place = look(xi)
        order = _leja(place)
        xi, yi, place = xi[order], yi[order], place[order]
        first = [int(np.argmax(place == each)) for each in place]  # where a repeated point stands first
        rows = [yi[k] for k in first]
        c = [rows[0]]
        factorial = 1.0
        for level in range(1, len(place)):
            factorial *= level
            following = []
            for k in range(len(place) - level):
                if place[k] == place[k + level]:
                    following.append(yi[first[k] + level] / factorial)
                else:
                    following.append((rows[k + 1] - rows[k]) / (xi[k + level] - xi[k]))
            rows = following
            c.append(rows[0])
        return xi, c


def _leja(x: np.ndarray) -> np.ndarray:
    """Return an order of points, each as far from the ones before as can be; equal points stay together."""
    distinct, groups = np.unique(x, return_inverse=True)
    order, left = [int(np.argmax(np.abs(distinct)))], set(range(len(distinct)))
    left.discard(order[0])
    logs = np.zeros(len(distinct))
    while left:
        with np.errstate(divide="ignore"):
            logs = logs + np.log(np.abs(distinct - distinct[order[-1]]))
        following = max(left, key=lambda k: logs[k])
        order.append(following)
        left.discard(following)
    return np.concatenate([np.flatnonzero(groups == k) for k in order])


class KroghInterpolator(_Polynomial, scipy.interpolate.KroghInterpolator):  # type: ignore[misc]
    """As `scipy.interpolate.KroghInterpolator`, also of traced points and at traced places."""

    def __init__(self, xi: Any, yi: Any, axis: int = 0) -> None:
        if not holds_traced([xi, yi]):
            super().__init__(xi, yi, axis)
        self._set(xi, yi, axis)


class BarycentricInterpolator(_Polynomial, scipy.interpolate.BarycentricInterpolator):  # type: ignore[misc]
    """As `scipy.interpolate.BarycentricInterpolator`, also of traced points and at traced places."""

    def __init__(self, xi: Any, yi: Any = None, axis: int = 0, *, wi: Any = None, rng: Any = None,
                 random_state: Any = None) -> None:  # fmt: skip
        if not holds_traced([xi, yi, wi]):
            options = {"rng": rng} if random_state is None else {"random_state": random_state}
            super().__init__(xi, yi, axis, wi=wi, **options)
            if yi is None:
                self._points, self._axis_of_ours = (floating(xi), None), axis
                return
        elif wi is not None:
            raise refuse("BarycentricInterpolator: given weights", "leave wi out")
        elif yi is None:
            raise refuse("BarycentricInterpolator: places without values", "give yi as well")
        self._set(xi, yi, axis)

    def set_yi(self, yi: Any, axis: Any = None) -> None:
        """Take other values; also traced ones."""
        points = self.__dict__.get("_points")
        if points is not None and holds_traced([*points, yi]):
            self._set(points[0], yi, self._axis_of_ours if axis is None else axis)
            return
        super().set_yi(yi, axis)
        if points is not None and yi is not None:
            self._set(points[0], yi, self._axis_of_ours if axis is None else axis)

    def add_xi(self, xi: Any, yi: Any = None) -> None:
        """Add points; also traced ones."""
        if holds_traced([*self._points, xi, yi]):
            old_x, old_y = self._points
            xi, yi = together(floating(xi), double(yi))
            self._points = together(
                np.concatenate(together(old_x, np.ravel(xi))),
                np.concatenate(together(old_y, np.moveaxis(yi, self._axis_of_ours, 0))),
            )
            return
        super().add_xi(xi, yi)
        if yi is not None:
            more = np.moveaxis(double(yi), self._axis_of_ours, 0)
            self._points = np.concatenate([self._points[0], np.ravel(xi)]), np.concatenate([self._points[1], more])


for _class in (KroghInterpolator, BarycentricInterpolator):
    register(scipy.interpolate, _class.__name__, _class)


def _orders(polynomial: Any, x: Any, der: Any) -> Any:
    if np.ndim(der) == 0:
        return polynomial.derivative(x, der) if der else polynomial(x)
    found = polynomial.derivatives(x, int(np.max(der)) + 1)
    return found[np.asarray(der)]


@twin(scipy.interpolate)
def krogh_interpolate(xi: Any, yi: Any, x: Any, der: Any = 0, axis: int = 0) -> Any:
    """Return values, or derivatives, of the polynomial through points."""
    return _orders(KroghInterpolator(xi, yi, axis), x, der)


@twin(scipy.interpolate)
def barycentric_interpolate(xi: Any, yi: Any, x: Any, axis: int = 0, *, der: Any = 0, rng: Any = None) -> Any:
    """Return values, or derivatives, of the polynomial through points."""
    return _orders(BarycentricInterpolator(xi, yi, axis, rng=rng), x, der)
