"""Piecewise polynomials: differentiable in their coefficients, their break points and the places of evaluation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.interpolate

from chainrule.ops.signal import banded_solve
from chainrule.scipy.common import apply, refuse
from chainrule.scipy.interpolate.bsplines import PlainBSpline
from chainrule.scipy.interpolate.bsplines import evaluated as values_of_spline
from chainrule.scipy.interpolate.common import at_places, axis_first, column, double, interval, outside, together
from chainrule.scipy.twins import register, twin
from chainrule.tracing.array import holds_traced, stacked


def _factors(order: int, nu: int) -> np.ndarray:
    """Return what the nu-th derivative multiplies the coefficients with, the highest power first."""
    return np.array([math.perm(power, nu) for power in range(order - 1, nu - 1, -1)], float)


def evaluated(c: Any, breaks: Any, x: Any, nu: int, extrapolate: Any) -> Any:
    """Return the nu-th derivative of a piecewise polynomial at places (a vector)."""
    c, breaks, x = together(c, breaks, double(x))
    if extrapolate == "periodic":
        x = breaks[0] + np.remainder(x - breaks[0], breaks[-1] - breaks[0])
    if bool(breaks[-1] < breaks[0]):
        k = interval(-breaks, -x, 0, c.shape[1] - 1)
    else:
        k = interval(breaks, x, 0, c.shape[1] - 1)
    if nu >= len(c):
        y = 0 * c[0][k]
    else:
        local = c[: len(c) - nu][:, k]
        s = column(x - breaks[k], local[0])
        y = _horner(local, s, _factors(len(c), nu))
    if extrapolate == "periodic" or extrapolate:
        return y
    ends = (breaks[0], breaks[-1]) if not bool(breaks[-1] < breaks[0]) else (breaks[-1], breaks[0])
    return np.where(column(outside(x, *ends), y), np.nan, y)


def _horner(local: Any, s: Any, factors: np.ndarray) -> Any:
    y = local[0] * factors[0] + 0 * s
    for k in range(1, len(factors)):
        y = y * s + local[k] * factors[k]
    return y


class Piecewise:
    """A piecewise polynomial that takes traced values; mixed into SciPy's classes."""

    axis: int
    extrapolate: Any

    def _set(self, c: Any, x: Any, extrapolate: Any, axis: int) -> None:
        self._data = together(c, x)
        self.extrapolate, self.axis = extrapolate, axis

    @property
    def c(self) -> Any:
        """Coefficients: the highest power first, then the intervals."""
        return self.__dict__["_data"][0] if "_data" in self.__dict__ else super().c  # type: ignore[misc]

    @property
    def x(self) -> Any:
        """Break points."""
        return self.__dict__["_data"][1] if "_data" in self.__dict__ else super().x  # type: ignore[misc]

    def _is_traced(self, *others: Any) -> bool:
        return "_data" in self.__dict__ or holds_traced(others)

    def __call__(self, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
        """Return the value, or the nu-th derivative, at places."""
        if not self._is_traced(x):
            return super().__call__(x, nu, extrapolate)  # type: ignore[misc]
        extrapolate = self.extrapolate if extrapolate is None else extrapolate
        return at_places(lambda x: evaluated(self.c, self.x, x, nu, extrapolate), x, self.axis)

    def derivative(self, nu: int = 1) -> Any:
        """Return the piecewise polynomial of the nu-th derivative."""
        if not self._is_traced():
            return super().derivative(nu)  # type: ignore[misc]
        if nu < 0:
            return self.antiderivative(-nu)
        c = self.c
        c = c[: len(c) - nu] * column(_factors(len(c), nu), c) if nu < len(c) else 0 * c[:1]
        return _made(c, self.x, self.extrapolate, self.axis)

    def antiderivative(self, nu: int = 1) -> Any:
        """Return the piecewise polynomial of the nu-th integral from the first break point."""
        if not self._is_traced():
            return super().antiderivative(nu)  # type: ignore[misc]
        if nu <= 0:
            return self.derivative(-nu)
        c, x = together(self.c, self.x)
        for _ in range(nu):
            powers = np.arange(len(c), 0, -1.0)
            higher = c / column(powers, c)
            steps = np.reshape(np.diff(x), (-1, *[1] * (c.ndim - 2)))
            gains = _horner(higher, steps, np.ones(len(c))) * steps
            start = np.concatenate([0 * gains[:1], np.cumsum(gains[:-1], axis=0)])
            c = np.concatenate([higher, start[None]])
        extrapolate = False if self.extrapolate == "periodic" else self.extrapolate
        return _made(c, x, extrapolate, self.axis)

    def integrate(self, a: Any, b: Any, extrapolate: Any = None) -> Any:
        """Return the integral from a to b; differentiable in both."""
        if not self._is_traced(a, b):
            return super().integrate(a, b, extrapolate)  # type: ignore[misc]
        extrapolate = self.extrapolate if extrapolate is None else extrapolate
        whole = Piecewise.antiderivative(_made(self.c, self.x, True, 0))
        first, last = self.x[0], self.x[-1]

        def up_to(x: Any) -> Any:
            if extrapolate != "periodic":
                return whole(x, extrapolate=extrapolate)
            turns = np.floor((x - first) / (last - first))
            return turns * whole(last) + whole(x - turns * (last - first))

        return up_to(b) - up_to(a)

    def solve(self, y: Any = 0.0, discontinuity: bool = True, extrapolate: Any = None) -> Any:
        """Refuse traced values: the number of solutions is not known beforehand."""
        if self._is_traced(y):
            raise refuse("PPoly.solve and PPoly.roots", "refine a plain root by a step of Newton's method")
        return super().solve(y, discontinuity, extrapolate)  # type: ignore[misc]

    def roots(self, discontinuity: bool = True, extrapolate: Any = None) -> Any:
        """As `solve` for 0."""
        return self.solve(0.0, discontinuity, extrapolate)

    def extend(self, c: Any, x: Any, right: Any = None) -> None:
        """Refuse traced values."""
        if self._is_traced(c, x):
            raise refuse("PPoly.extend", "concatenate the coefficients and break points")
        super().extend(c, x)  # type: ignore[misc]


class PPoly(Piecewise, scipy.interpolate.PPoly):  # type: ignore[misc]
    """As `scipy.interpolate.PPoly`, also of traced coefficients and break points and at traced places."""

    def __init__(self, c: Any, x: Any, extrapolate: Any = None, axis: int = 0) -> None:
        if not holds_traced([c, x]):
            super().__init__(c, x, extrapolate, axis)
            return
        c, x = double(c), double(x)
        if c.ndim < 2:
            raise ValueError("Coefficients array must be at least 2-dimensional.")
        axis = axis % (c.ndim - 1)
        c = np.moveaxis(np.moveaxis(c, axis + 1, 0), axis + 1, 0) if axis else c
        if x.ndim != 1 or x.shape[0] < 2 or c.shape[1] != x.shape[0] - 1:
            raise ValueError("`x` must be 1-dimensional, with one more element than c has intervals")
        steps = np.diff(x)
        if not (np.all(steps >= 0) or np.all(steps <= 0)):
            raise ValueError("`x` must be strictly increasing or decreasing.")
        if extrapolate != "periodic":
            extrapolate = True if extrapolate is None else bool(extrapolate)
        self._set(c, x, extrapolate, axis)

    @classmethod
    def from_spline(cls, tck: Any, extrapolate: Any = None) -> Any:
        """Return the piecewise polynomial of a B-spline."""
        is_object = isinstance(tck, PlainBSpline)
        t, c, k = tck.tck if is_object else tck
        if not holds_traced([t, c]):
            return super().from_spline(tck, extrapolate)
        if extrapolate is None:
            extrapolate = tck.extrapolate if is_object else True
        rows = [values_of_spline(t, c, k, t[:-1], nu, True) / math.factorial(nu) for nu in range(k, -1, -1)]
        return _made(np.stack(together(*rows)), t, extrapolate, tck.axis if is_object else 0)


def _made(c: Any, x: Any, extrapolate: Any, axis: int) -> PPoly:
    made = PPoly.__new__(PPoly)
    made._set(c, x, extrapolate, axis)
    return made


def _hermite(x: Any, y: Any, slopes: Any) -> Any:
    """Return the cubic coefficients that take values and slopes at both ends of each interval."""
    steps = column(np.diff(x), y)
    rise = np.diff(y, axis=0) / steps
    bend = (slopes[:-1] + slopes[1:] - 2 * rise) / steps
    parts = [bend / steps, (rise - slopes[:-1]) / steps - bend, slopes[:-1] + 0 * steps, y[:-1] + 0 * steps]
    return np.stack(together(*parts))


class CubicHermiteSpline(Piecewise, scipy.interpolate.CubicHermiteSpline):  # type: ignore[misc]
    """As `scipy.interpolate.CubicHermiteSpline`, also of traced values."""

    def __init__(self, x: Any, y: Any, dydx: Any, axis: int = 0, extrapolate: Any = None) -> None:
        if not holds_traced([x, y, dydx]):
            super().__init__(x, y, dydx, axis, extrapolate)
            return
        x, y, axis = axis_first(x, y, axis)
        slopes = np.moveaxis(double(dydx), axis, 0)
        if slopes.shape != y.shape:
            raise ValueError("The shapes of `y` and `dydx` must be identical.")
        self._set(_hermite(x, y, slopes), x, True if extrapolate is None else extrapolate, axis)


# -- cubic splines -----------------------------------------------------------------------------------------


class CubicSpline(Piecewise, scipy.interpolate.CubicSpline):  # type: ignore[misc]
    """As `scipy.interpolate.CubicSpline`, also of traced x, y and boundary values."""

    def __init__(self, x: Any, y: Any, axis: int = 0, bc_type: Any = "not-a-knot", extrapolate: Any = None) -> None:
        ends = [part for side in bc_type if isinstance(side, tuple | list) for part in side] if (
            isinstance(bc_type, tuple | list)) else []  # fmt: skip
        if not holds_traced([x, y, *ends]):
            super().__init__(x, y, axis, bc_type, extrapolate)
            return
        x, y, axis = axis_first(x, y, axis)
        start, stop = _boundaries(bc_type, y)
        if extrapolate is None:
            extrapolate = "periodic" if start == "periodic" else True
        self._set(_hermite(x, y, _spline_slopes(x, y, start, stop)), x, extrapolate, axis)


def _boundaries(bc_type: Any, y: Any) -> list[Any]:
    """Return the conditions at both ends: a name, or the order of a derivative and its value."""
    pair = [bc_type, bc_type] if isinstance(bc_type, str) else list(bc_type)
    if len(pair) != 2:
        raise ValueError("`bc_type` must contain 2 elements to specify start and end conditions.")
    if "periodic" in [side for side in pair if isinstance(side, str)]:
        if pair[0] != pair[1]:
            raise ValueError("'periodic' `bc_type` is defined for both curve ends and cannot be used with others.")
        if not np.allclose(y[0], y[-1], rtol=1e-15, atol=1e-15):
            raise ValueError(f"The first and last `y` point along axis 0 must be identical for periodic, got {y[0]} "
                             f"and {y[-1]}")  # fmt: skip
    found: list[Any] = []
    for side in pair:
        if isinstance(side, str):
            names = {"clamped": (1, 0.0), "natural": (2, 0.0), "not-a-knot": side, "periodic": side}
            if side not in names:
                raise ValueError(f"bc_type={side} is not allowed.")
            found.append(names[side])
            continue
        order, value = side
        if order not in (1, 2):
            raise ValueError("The specified derivative order must be 1 or 2.")
        value = double(value)
        if value.shape != y.shape[1:]:
            raise ValueError(f"`deriv_value` shape {value.shape} is not the expected one {y.shape[1:]}.")
        found.append((order, value))
    return found


def _spline_slopes(x: Any, y: Any, start: Any, stop: Any) -> Any:
    """Return the slopes at the break points that make the second derivative continuous.

    The tridiagonal system of de Boor, A Practical Guide to Splines (1978), ch. IV.
    """
    n = x.shape[0]
    h = np.diff(x)
    wide = column(h, y)
    rise = np.diff(y, axis=0) / wide
    if n == 2:
        start, stop = ((1, rise[0]) if end in ("not-a-knot", "periodic") else end for end in (start, stop))
    if n == 3 and start == stop == "not-a-knot":  # a parabola
        return _solved([1 + 0 * h[:1], 2 * (h[:1] + h[1:]), 1 + 0 * h[:1]], [1 + 0 * h[:1], h[:1]],
                       [h[1:], 1 + 0 * h[:1]],
                       [2 * rise[0], 3 * (wide[0] * rise[1] + wide[1] * rise[0]), 2 * rise[1]], y)  # fmt: skip
    if start == "periodic":
        return _periodic_slopes(h, wide, rise, y)
    middle = 2 * (h[:-1] + h[1:])
    inner = 3 * (wide[1:] * rise[:-1] + wide[:-1] * rise[1:])
    first = _end(start, h[:2], [rise[0], rise[min(1, n - 2)]], y[1] - y[0], 1)
    last = _end(stop, h[::-1][:2], [rise[-1], rise[max(-2, 1 - n)]], y[-1] - y[-2], -1)
    return _solved([first[0], middle, last[0]], [first[1], h[:-1]], [h[1:], last[1]], [first[2], inner, last[2]], y)


def _end(condition: Any, h: Any, rise: list[Any], change: Any, sign: int) -> tuple[Any, Any, Any]:
    """Return the equation of one end: factor of the slope there, of its neighbour's, right-hand side."""
    if condition == "not-a-knot":
        d = h[0] + h[1]
        side = ((h[0] + 2 * d) * h[1] * rise[0] + h[0] ** 2 * rise[1]) / d
        return h[1:2], np.reshape(d, (1,)), side
    order, value = condition
    if order == 1:
        return 1 + 0 * h[:1], 0 * h[:1], value + 0 * change
    return 2 * h[:1], h[:1], sign * -0.5 * value * h[0] ** 2 + 3 * change


def _solved(diagonal: list[Any], above: list[Any], below: list[Any], side: list[Any], y: Any) -> Any:
    """Solve a tridiagonal system; its parts are in pieces, the right-hand sides rows or groups of rows."""
    middle = np.concatenate(together(*diagonal))
    zero = 0 * middle[:1]
    bands = np.stack(together(np.concatenate(together(zero, *above)), middle,
                              np.concatenate(together(*below, zero))))  # fmt: skip
    rows = [row if row.ndim == y.ndim else np.reshape(row, (1, *y.shape[1:])) for row in map(stacked, side)]
    b = np.concatenate(together(*rows))
    return np.reshape(apply(banded_solve, bands, np.reshape(b, (b.shape[0], -1)), lower=1), b.shape)


def _periodic_slopes(h: Any, wide: Any, rise: Any, y: Any) -> Any:
    """The cyclic system, with the last unknown taken out (bordering)."""
    n = y.shape[0]
    if n == 3:
        slope = np.sum(rise / wide, axis=0) / np.sum(1 / wide, axis=0)
        return np.broadcast_to(slope, y.shape)
    before, gap = np.roll(h, 1), h  # of the first n - 1 points
    before_wide, before_rise = np.roll(wide, 1, 0), np.roll(rise, 1, 0)
    diagonal, side = 2 * (before + gap), 3 * (before_wide * rise + wide * before_rise)
    # Row i: gap[i] s[i-1] + diagonal[i] s[i] + before[i] s[i+1] = side[i], cyclic in i = 0 ... n - 2.
    m = n - 2
    coupling = np.concatenate([-gap[:1], np.zeros(m - 2), -before[m - 1 : m]]) if m > 1 else -gap[:1] - before[:1]
    coupling = column(coupling, y) + np.zeros((m, *y.shape[1:]))
    one, two = (_solved([diagonal[:m]], [before[: m - 1]], [gap[1:m]], [right], y) for right in (side[:m], coupling))
    last = (side[m] - before[m] * one[0] - gap[m] * one[m - 1]) / (
        diagonal[m] + before[m] * two[0] + gap[m] * two[m - 1]
    )
    slopes = one + last * two
    return np.concatenate([slopes, last[None], slopes[:1]])


# -- splines that follow the shape of the data -------------------------------------------------------------


class PchipInterpolator(Piecewise, scipy.interpolate.PchipInterpolator):  # type: ignore[misc]
    """As `scipy.interpolate.PchipInterpolator`, also of traced x and y."""

    def __init__(self, x: Any, y: Any, axis: int = 0, extrapolate: Any = None) -> None:
        if not holds_traced([x, y]):
            super().__init__(x, y, axis, extrapolate)
            return
        x, y, axis = axis_first(x, y, axis)
        if y.dtype.kind == "c":
            raise ValueError("`PchipInterpolator` only works with real values for `y`.")
        self._set(_hermite(x, y, _pchip_slopes(x, y)), x, True if extrapolate is None else extrapolate, axis)


def _pchip_slopes(x: Any, y: Any) -> Any:
    """Weighted harmonic means of neighbouring rises, 0 where their signs differ.

    F. N. Fritsch and J. Butland, SIAM J. Sci. Stat. Comput. 5 (1984); ends as C. Moler, Numerical Computing with
    MATLAB (2004), section 3.6.
    """
    h = column(np.diff(x), y)
    rise = np.diff(y, axis=0) / h
    if y.shape[0] == 2:
        return np.concatenate([rise, rise])
    left, right = rise[:-1], rise[1:]
    turns = left * right <= 0
    one, two = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    mean = (one + two) / (one / np.where(turns, 1.0, left) + two / np.where(turns, 1.0, right))
    inner = np.where(turns, 0.0, mean)
    first, last = _pchip_end(h[0], h[1], rise[0], rise[1]), _pchip_end(h[-1], h[-2], rise[-1], rise[-2])
    return np.concatenate([first[None], inner, last[None]])


def _pchip_end(h0: Any, h1: Any, rise0: Any, rise1: Any) -> Any:
    d = ((2 * h0 + h1) * rise0 - h0 * rise1) / (h0 + h1)
    steep = (np.sign(rise0) != np.sign(rise1)) & (np.abs(d) > 3 * np.abs(rise0))
    return np.where(np.sign(d) != np.sign(rise0), 0.0, np.where(steep, 3 * rise0, d))


class Akima1DInterpolator(Piecewise, scipy.interpolate.Akima1DInterpolator):  # type: ignore[misc]
    """As `scipy.interpolate.Akima1DInterpolator`, also of traced x and y."""

    def __init__(self, x: Any, y: Any, axis: int = 0, *, method: str = "akima", extrapolate: Any = None) -> None:
        if not holds_traced([x, y]):
            super().__init__(x, y, axis, method=method, extrapolate=extrapolate)
            return
        if method not in ("akima", "makima"):
            raise refuse(f"Akima1DInterpolator: method={method!r}", "use 'akima' or 'makima'")
        x, y, axis = axis_first(x, y, axis)
        if y.dtype.kind == "c":
            raise ValueError("`Akima1DInterpolator` only works with real values for `y`.")
        extrapolate = False if extrapolate is None else extrapolate
        self._set(_hermite(x, y, _akima_slopes(x, y, method)), x, extrapolate, axis)

    def extend(self, c: Any, x: Any, right: Any = True) -> None:
        """Refuse, as SciPy's."""
        raise refuse("Akima1DInterpolator.extend")


def _akima_slopes(x: Any, y: Any, method: str) -> Any:
    """H. Akima, A new method of interpolation, J. ACM 17 (1970); C. Moler's modification where asked for."""
    rise = np.diff(y, axis=0) / column(np.diff(x), y)
    if y.shape[0] == 2:
        return np.concatenate([rise, rise])
    before, after = 2 * rise[0] - rise[1], 2 * rise[-1] - rise[-2]
    m = np.concatenate([(2 * before - rise[0])[None], before[None], rise, after[None], (2 * after - rise[-1])[None]])
    change = np.abs(np.diff(m, axis=0))
    if method == "makima":
        change = change + 0.5 * np.abs(m[1:] + m[:-1])
    one, two = change[2:], change[:-2]
    total = one + two
    enough = total > 1e-9 * np.max(total)
    weighted = m[1:-2] + two / np.where(enough, total, 1.0) * (m[2:-1] - m[1:-2])
    return np.where(enough, weighted, 0.5 * (m[3:] + m[:-3]))


@twin(scipy.interpolate)
def pchip_interpolate(xi: Any, yi: Any, x: Any, der: Any = 0, axis: int = 0) -> Any:
    """Return values, or derivatives of one or several orders, of the monotone cubic through points."""
    spline = PchipInterpolator(xi, yi, axis=axis)
    if np.ndim(der) == 0:
        return spline(x, der)
    return [spline(x, nu) for nu in der]


for _class in (PPoly, CubicHermiteSpline, CubicSpline, PchipInterpolator, Akima1DInterpolator):
    register(scipy.interpolate, _class.__name__, _class)
