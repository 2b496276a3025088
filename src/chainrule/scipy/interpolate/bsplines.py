"""B-splines: differentiable in coefficients, knots and places; splines that interpolate or fit data."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.interpolate

from chainrule.ops.signal import banded_solve
from chainrule.ops.structural import scatter_add
from chainrule.scipy.common import apply, guarded, plain, refuse
from chainrule.scipy.interpolate.common import at_places, column, double, interval, outside, together
from chainrule.scipy.twins import register, twin
from chainrule.tracing.array import TracedArray, holds_traced

PlainBSpline = scipy.interpolate.BSpline
"""SciPy's own class, also where ours has taken its place there."""


def basis(t: Any, k: int, x: Any, place: Any) -> Any:
    """Return the k + 1 B-splines that do not vanish in the intervals `place`, at x: an array (k + 1, len(x)).

    The recursion of Cox and de Boor, as algorithm A2.2 of Piegl & Tiller, The NURBS Book (1997).
    """
    left = [x - t[place + 1 - j] for j in range(1, k + 1)]
    right = [t[place + j] - x for j in range(1, k + 1)]
    values = [1 + 0 * x]
    for j in range(k):
        saved: Any = 0.0
        following = []
        for r, value in enumerate(values):
            share = value / (right[r] + left[j - r])
            following.append(saved + right[r] * share)
            saved = left[j - r] * share
        values = [*following, saved]
    return np.stack(together(*values))


def evaluated(t: Any, c: Any, k: int, x: Any, nu: int, extrapolate: Any) -> Any:
    """Return the nu-th derivative of a B-spline at places (a vector)."""
    t, c, x = together(t, c, double(x))
    n = t.shape[0] - k - 1
    if extrapolate == "periodic":
        x = t[k] + np.remainder(x - t[k], t[n] - t[k])
    start, stop = t[k], t[n]
    beyond = None if extrapolate == "periodic" or extrapolate else outside(x, start, stop)
    c = c[:n]
    if nu > k:
        y = np.zeros((x.shape[0], *c.shape[1:])) * c[0]
    else:
        for _ in range(nu):
            t, c, k = differentiated(t, c, k)
        n = t.shape[0] - k - 1
        # The last interval that is not empty holds its right end, too.
        place = interval(t, x, k, n - 1)
        place = np.minimum(place, _last_filled(t, k, n))
        weights = basis(t, k, x, place)
        y = sum(column(weights[j], c) * c[place - k + j] for j in range(k + 1))
    return y if beyond is None else np.where(column(beyond, y), np.nan, y)


def _last_filled(t: Any, k: int, n: int) -> int:
    """Return the last interval from k to n - 1 that has a length."""
    last = n - 1
    while k and last > k and bool(t[last] == t[last + 1]):
        last -= 1
    return last


def differentiated(t: Any, c: Any, k: int) -> tuple[Any, Any, int]:
    """Return knots, coefficients and degree of the derivative."""
    n = t.shape[0] - k - 1
    widths = t[k + 1 : n + k] - t[1:n]
    empty = widths == 0
    scale = np.where(empty, 0.0, k / np.where(empty, 1.0, widths))
    return t[1:-1], np.diff(c[:n], axis=0) * column(scale, c), k - 1


def integrated(t: Any, c: Any, k: int) -> tuple[Any, Any, int]:
    """Return knots, coefficients and degree of the integral from the first knot."""
    n = t.shape[0] - k - 1
    gains = c[:n] * column((t[k + 1 : n + k + 1] - t[:n]) / (k + 1), c)
    sums = np.concatenate([0 * gains[:1], np.cumsum(gains, axis=0)])
    return np.concatenate([t[:1], t, t[-1:]]), sums, k + 1


class BSpline(scipy.interpolate.BSpline):  # type: ignore[misc]
    """As `scipy.interpolate.BSpline`, also of traced knots and coefficients and at traced places."""

    def __init__(self, t: Any, c: Any, k: int, extrapolate: Any = True, axis: int = 0) -> None:
        if not holds_traced([t, c]):
            super().__init__(t, c, k, extrapolate, axis)
            return
        k, t, c = operator.index(k), double(t), double(c)
        n, axis = t.shape[0] - k - 1, axis % c.ndim
        c = np.moveaxis(c, axis, 0)
        if k < 0:
            raise ValueError("Spline order cannot be negative.")
        if t.ndim != 1 or n < k + 1:
            raise ValueError(f"Need at least {2 * k + 2} knots for degree {k}")
        if np.any(np.diff(t) < 0):
            raise ValueError("Knots must be in a non-decreasing order.")
        if c.shape[0] < n:
            raise ValueError("Knots, coefficients and degree are inconsistent.")
        self._set(t, c, k, extrapolate, axis)

    def _set(self, t: Any, c: Any, k: int, extrapolate: Any, axis: int) -> None:
        self._data = together(t, c)
        self.k, self.axis = k, axis
        self.extrapolate = extrapolate if extrapolate == "periodic" else bool(extrapolate)

    @classmethod
    def construct_fast(cls, t: Any, c: Any, k: int, extrapolate: Any = True, axis: int = 0) -> Any:
        """Return a spline without any check."""
        if not holds_traced([t, c]):
            return super().construct_fast(t, c, k, extrapolate, axis)
        made = cls.__new__(cls)
        made._set(t, c, k, extrapolate, axis)
        return made

    @property
    def t(self) -> Any:
        """Knots."""
        return self.__dict__["_data"][0] if "_data" in self.__dict__ else super().t

    @property
    def c(self) -> Any:
        """Coefficients."""
        return self.__dict__["_data"][1] if "_data" in self.__dict__ else super().c

    @property
    def tck(self) -> tuple[Any, Any, int]:
        """Knots, coefficients and degree."""
        return self.t, self.c, self.k

    def _is_traced(self, *others: Any) -> bool:
        return "_data" in self.__dict__ or holds_traced(others)

    def __call__(self, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
        """Return the value, or the nu-th derivative, at places."""
        if not self._is_traced(x):
            return super().__call__(x, nu, extrapolate)
        extrapolate = self.extrapolate if extrapolate is None else extrapolate
        return at_places(lambda x: evaluated(self.t, self.c, self.k, x, nu, extrapolate), x, self.axis)

    def derivative(self, nu: int = 1) -> Any:
        """Return the spline of the nu-th derivative."""
        if not self._is_traced():
            return super().derivative(nu)
        tck = self.tck
        for _ in range(nu):
            tck = differentiated(*tck)
        return BSpline.construct_fast(*tck, self.extrapolate, self.axis)

    def antiderivative(self, nu: int = 1) -> Any:
        """Return the spline of the nu-th integral."""
        if not self._is_traced():
            return super().antiderivative(nu)
        tck = self.tck
        for _ in range(nu):
            tck = integrated(*tck)
        return BSpline.construct_fast(*tck, False if self.extrapolate == "periodic" else self.extrapolate, self.axis)

    def integrate(self, a: Any, b: Any, extrapolate: Any = None) -> Any:
        """Return the integral from a to b; differentiable in both."""
        if not self._is_traced(a, b):
            return super().integrate(a, b, extrapolate)
        extrapolate = self.extrapolate if extrapolate is None else extrapolate
        t, c, a, b = together(self.t, self.c, double(a), double(b))
        n = t.shape[0] - self.k - 1
        start, stop = t[self.k], t[n]
        tck = integrated(t, c, self.k)

        def whole(x: Any) -> Any:
            return evaluated(*tck, np.reshape(x, (1,)), 0, True)[0]

        def up_to(x: Any) -> Any:
            if extrapolate != "periodic":
                return whole(x if extrapolate else np.clip(x, start, stop))
            turns = np.floor((x - start) / (stop - start))
            return turns * (whole(stop) - whole(start)) + whole(x - turns * (stop - start))

        return up_to(b) - up_to(a)

    def insert_knot(self, x: Any, m: int = 1) -> Any:
        """Refuse traced values."""
        if self._is_traced(x):
            raise refuse("BSpline.insert_knot")
        return super().insert_knot(x, m)


# -- splines through points --------------------------------------------------------------------------------


def _gives_ours(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function return our `BSpline`, which takes traced places, where SciPy's own function ran."""

    @functools.wraps(function)
    def made(*args: Any, **kwargs: Any) -> Any:
        spline = function(*args, **kwargs)
        if isinstance(spline, BSpline):
            return spline
        return BSpline.construct_fast(spline.t, spline.c, spline.k, spline.extrapolate, spline.axis)

    register(scipy.interpolate, function.__name__, made)
    return made


def _collocation(t: Any, k: int, x: Any) -> tuple[Any, Any, Any]:
    """Return the values of the B-splines at places, and the first of those in each row."""
    t, x = together(t, x)
    n = t.shape[0] - k - 1
    place = np.minimum(interval(t, x, k, n - 1), _last_filled(t, k, n))
    return basis(t, k, x, place).T, place - k, n


def _knots(x: Any, k: int) -> Any:
    """Return knots that make the outer polynomials one (not-a-knot)."""
    inner = x if k % 2 else (x[1:] + x[:-1]) / 2
    cut = (k + 1) // 2 if k % 2 else k // 2
    inner = inner[cut : inner.shape[0] - cut]
    return np.concatenate([np.repeat(x[:1], k + 1), inner, np.repeat(x[-1:], k + 1)])


def _periodic_knots(x: Any, k: int) -> Any:
    n = x.shape[0]
    if k % 2 == 0:
        x = np.concatenate([x[:1], (x[:-2] + x[1:-1]) / 2, x[-1:]])
    turn = x[-1] - x[0]
    # Behind the ends the knots are repeated, k of them on each side.
    before = [x[n - 1 - (i % (n - 1)) - 1] - turn * (1 + i // (n - 1)) for i in range(k)][::-1]
    after = [x[1 + i % (n - 1)] + turn * (1 + i // (n - 1)) for i in range(k)]
    return np.concatenate([np.stack(before), x, np.stack(after)]) if k else x


def _conditions(side: Any, shape: tuple[int, ...]) -> list[tuple[int, Any]]:
    if side is None:
        return []
    if isinstance(side, str):
        names = {"clamped": 1, "natural": 2}
        if side not in names:
            raise ValueError(f"Unknown boundary condition : {side}")
        return [(names[side], np.zeros(shape))]
    return [(operator.index(order), double(value)) for order, value in side]


def _checked(x: Any, y: Any, axis: int) -> tuple[Any, Any, int]:
    x, y = double(x), double(y)
    axis = axis % y.ndim
    y = np.moveaxis(y, axis, 0)
    if x.ndim != 1:
        raise ValueError("Expect x to be a 1D strictly increasing sequence.")
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"Shapes of x {x.shape} and y {y.shape} are incompatible")
    return x, y, axis


@_gives_ours
@twin(scipy.interpolate)
def make_interp_spline(x: Any, y: Any, k: int = 3, t: Any = None, bc_type: Any = None, axis: int = 0,
                       check_finite: bool = True) -> Any:  # fmt: skip
    """Return the B-spline of degree k through points; differentiable in x, y, knots and boundary values."""
    x, y, axis = _checked(x, y, axis)
    if np.any(np.diff(x) <= 0):
        raise ValueError("Expect x to be a 1D strictly increasing sequence.")
    periodic = isinstance(bc_type, str) and bc_type == "periodic"
    sides = bc_type if isinstance(bc_type, tuple | list) else [None if bc_type == "not-a-knot" else bc_type] * 2
    left, right = ([], []) if periodic else (_conditions(side, y.shape[1:]) for side in sides)
    k = operator.index(k)
    if k < 2 and t is None:
        if left or right:
            raise ValueError(f"Too much info for k={k}: bc_type can only be None.")
        return BSpline.construct_fast(np.concatenate([x[:k], x, x[-1:]]), y, k, axis=axis)
    if periodic:
        if t is not None:
            raise refuse("make_interp_spline: t with bc_type='periodic'", "leave t out")
        return _periodic_spline(x, y, k, axis)
    if t is None:
        t = np.concatenate([np.repeat(x[:1], k), x, np.repeat(x[-1:], k)]) if left or right else _knots(x, k)
    t = double(t)
    count = t.shape[0] - k - 1
    if count - x.shape[0] != len(left) + len(right):
        raise ValueError("The number of derivatives at boundaries does not match: expected "
                         f"{count - x.shape[0]}, got {len(left)}+{len(right)}")  # fmt: skip
    if (x[0] < t[k]) or (x[-1] > t[t.shape[0] - k - 1]):
        raise ValueError(f"Out of bounds w/ x = {x}.")
    return BSpline.construct_fast(t, _interpolating(x, y, t, k, left, right), k, axis=axis)


def _interpolating(x: Any, y: Any, t: Any, k: int, left: list[Any], right: list[Any]) -> Any:
    """Solve the banded collocation system for the coefficients."""
    values, first, n = _collocation(t, k, x)
    row = np.arange(x.shape[0])[:, None] + len(left)
    columns = first[:, None] + np.arange(k + 1)
    bands = _spread(values, k + row - columns, columns, (2 * k + 1, n))
    for side, conditions in ((0, left), (1, right)):
        for place, (order, _) in enumerate(conditions):
            number = place if side == 0 else n - len(right) + place
            ends = t[: 2 * k + 2] if side == 0 else t[t.shape[0] - 2 * k - 2 :]
            where = x[:1] if side == 0 else x[-1:]
            derivative = evaluated(ends, np.eye(k + 1), k, where, order, True)[0]
            columns = np.arange(k + 1) + (0 if side == 0 else n - k - 1)
            inside = np.flatnonzero(np.abs(number - columns) <= k)
            bands = bands + _spread(derivative[inside], k + number - columns[inside], columns[inside], bands.shape)
    rows = [*(value[None] for _, value in left), y, *(value[None] for _, value in right)]
    b = np.concatenate(together(*rows))
    return np.reshape(apply(banded_solve, bands, np.reshape(b, (n, -1)), lower=k), b.shape)


def _spread(values: Any, rows: Any, columns: Any, shape: tuple[int, ...]) -> Any:
    """Return a matrix with values at places."""
    values, rows, columns = together(values, rows, columns)
    return apply(scatter_add, values, np.broadcast_to(rows, values.shape) + 0,
                 np.broadcast_to(columns, values.shape) + 0, shape=shape)  # fmt: skip


def _periodic_spline(x: Any, y: Any, k: int, axis: int) -> Any:
    """A dense solution: the first and last k coefficients are the same."""
    if not np.allclose(y[0], y[-1], atol=1e-15):
        raise ValueError("First and last points does not match while periodic case expected")
    t = _periodic_knots(x, k)
    m = x.shape[0] - 1
    values, first, n = _collocation(t, k, x[:-1])
    matrix = _spread(values, np.arange(m)[:, None], np.remainder(first[:, None] + np.arange(k + 1), m), (m, m))
    flat = np.reshape(y[:-1], (m, -1))
    c = np.linalg.solve(*together(matrix, flat))
    c = np.reshape(c[np.arange(n) % m], (n, *y.shape[1:]))
    return BSpline.construct_fast(t, c, k, "periodic", axis)


@_gives_ours
@twin(scipy.interpolate)
def make_lsq_spline(x: Any, y: Any, t: Any, k: int = 3, w: Any = None, axis: int = 0, check_finite: bool = True, *,
                    method: str = "qr") -> Any:  # fmt: skip
    """Return the B-spline of given knots that fits points best; differentiable in x, y, t and w.

    Where x, t or w is traced the normal equations are solved, which squares the condition of the problem.
    """
    if method not in ("qr", "norm-eq"):
        raise ValueError(f"Unknown method ={method!r}.")
    x, y, axis = _checked(x, y, axis)
    t = double(t)
    w = np.ones(x.shape[0]) if w is None else double(w)
    values, first, n = _collocation(t, k, x)
    columns = first[:, None] + np.arange(k + 1)
    matrix = _spread(values * w[:, None], np.arange(x.shape[0])[:, None], columns, (x.shape[0], n))
    side = np.reshape(column(w, y) * y, (x.shape[0], -1))
    if isinstance(matrix, TracedArray) or method == "norm-eq":
        c = np.linalg.solve(matrix.T @ matrix, matrix.T @ side)
    else:
        q, r = np.linalg.qr(matrix)
        c = np.linalg.solve(r, q.T @ side)
    return BSpline.construct_fast(t, np.reshape(c, (n, *y.shape[1:])), k, axis=axis)


make_smoothing_spline = _gives_ours(
    guarded(scipy.interpolate, "make_smoothing_spline", "use make_lsq_spline with knots of your own")
)
if hasattr(scipy.interpolate, "make_splrep"):  # since SciPy 1.15
    make_splrep = _gives_ours(guarded(scipy.interpolate, "make_splrep", "use make_interp_spline or make_lsq_spline"))

# -- FITPACK's names ---------------------------------------------------------------------------------------


@twin(scipy.interpolate)
def splrep(x: Any, y: Any, w: Any = None, xb: Any = None, xe: Any = None, k: int = 3, task: int = 0, s: Any = None,
           t: Any = None, full_output: Any = 0, per: Any = 0, quiet: Any = 1) -> Any:  # fmt: skip
    """Return knots, coefficients and degree of the interpolating spline; of the least-squares one for given knots."""
    x, y = double(x), double(y)
    ends = (xb is None or bool(xb == x[0])) and (xe is None or bool(xe == x[-1]))
    if per or full_output or not ends or (t is None and ((s or 0) != 0 or (s is None and w is not None))):
        raise refuse("scipy.interpolate.splrep: smoothing, periodic splines, other ends and full output",
                     "use s=0, or give interior knots t")  # fmt: skip
    if t is None:
        spline = make_interp_spline(x, y, k)
    else:
        interior = double(t)
        knots = np.concatenate(together(np.repeat(x[:1], k + 1), interior, np.repeat(x[-1:], k + 1)))
        spline = make_lsq_spline(x, y, knots, k, w)
    return spline.t, np.concatenate([spline.c, np.zeros(k + 1)]), k


@twin(scipy.interpolate)
def splev(x: Any, tck: Any, der: int = 0, ext: int = 0) -> Any:
    """Return a spline, or its derivative, at places; differentiable in the places, knots and coefficients."""
    spline = tck
    if not isinstance(tck, PlainBSpline):
        t, c, k = tck
        if isinstance(c, list | tuple) and np.ndim(c[0]):
            return [splev(x, (t, part, k), der, ext) for part in c]
        spline = BSpline(t, c, k)
    elif spline.c.ndim > 1:
        raise ValueError("Calling splev() with BSpline objects with c.ndim > 1 is not allowed. Use BSpline.__call__(x)")
    if ext not in (0, 1, 2, 3):
        raise ValueError(f"ext = {ext} not in (0, 1, 2, 3) ")
    t, c, k = spline.t, spline.c, spline.k
    n = t.shape[0] - k - 1
    x = double(x)
    if ext == 2 and np.any(outside(x, t[k], t[n])):
        raise ValueError("places outside the interval of the spline, with ext=2")
    if ext == 3:
        x = np.clip(x, t[k], t[n])
    y = at_places(lambda x: evaluated(t, c, k, x, der, True), x, 0)
    return np.where(outside(x, t[k], t[n]), 0.0, y) if ext == 1 else y


@twin(scipy.interpolate)
def splint(a: Any, b: Any, tck: Any, full_output: Any = 0) -> Any:
    """Return the integral of a spline, which is 0 outside its interval."""
    if full_output:
        raise refuse("scipy.interpolate.splint: full_output")
    spline = tck if isinstance(tck, PlainBSpline) else BSpline(*tck)
    return BSpline.construct_fast(spline.t, spline.c, spline.k).integrate(a, b, extrapolate=False)


def _padded(t: Any, c: Any, k: int) -> tuple[Any, Any, int]:
    """Return a triple with as many coefficients as knots, as FITPACK has it."""
    return t, np.concatenate([c, np.zeros((t.shape[0] - c.shape[0], *c.shape[1:]))]), k


def _repeated(step: Any, tck: Any, n: int) -> Any:
    if isinstance(tck, PlainBSpline):
        return tck.derivative(n) if step is differentiated else tck.antiderivative(n)
    t, c, k = double(tck[0]), double(tck[1]), tck[2]
    if step is differentiated and n > k:
        raise ValueError(f"Order of derivative (n = {n!r}) must be <= order of spline (k = {k!r})")
    for _ in range(n):
        t, c, k = step(t, c, k)
    return _padded(t, c, k)


@twin(scipy.interpolate)
def splder(tck: Any, n: int = 1) -> Any:
    """Return the spline of the n-th derivative."""
    return _repeated(differentiated, tck, n)


@twin(scipy.interpolate)
def splantider(tck: Any, n: int = 1) -> Any:
    """Return the spline of the n-th integral."""
    return _repeated(integrated, tck, n)


class _Univariate:
    """A spline of FITPACK's classes that takes traced values; mixed into SciPy's classes."""

    ext: int

    def _set(self, tck: tuple[Any, Any, int], ext: Any) -> None:
        names = {"extrapolate": 0, "zeros": 1, "raise": 2, "const": 3}
        self._tck, self.ext = tck, names.get(ext, ext)

    def _triple(self) -> Any:
        return self.__dict__.get("_tck") or self._eval_args  # type: ignore[attr-defined]

    def _is_traced(self, *others: Any) -> bool:
        return "_tck" in self.__dict__ or holds_traced(others)

    def __call__(self, x: Any, nu: int = 0, ext: Any = None) -> Any:
        """Return the value, or the nu-th derivative, at places."""
        if not self._is_traced(x):
            return super().__call__(x, nu, ext)  # type: ignore[misc]
        names = {"extrapolate": 0, "zeros": 1, "raise": 2, "const": 3}
        t, c, k = self._triple()
        return splev(x, (t, c, k), nu, names.get(ext, self.ext if ext is None else ext))

    def get_knots(self) -> Any:
        """Return the interior knots and the ends."""
        if not self._is_traced():
            return super().get_knots()  # type: ignore[misc]
        t, _, k = self._triple()
        return t[k : t.shape[0] - k]

    def get_coeffs(self) -> Any:
        """Return the coefficients."""
        if not self._is_traced():
            return super().get_coeffs()  # type: ignore[misc]
        t, c, k = self._triple()
        return c[: t.shape[0] - k - 1]

    def integral(self, a: Any, b: Any) -> Any:
        """Return the integral, of 0 outside the spline's interval."""
        if not self._is_traced(a, b):
            return super().integral(a, b)  # type: ignore[misc]
        return splint(a, b, self._triple())

    def _derived(self, name: str, step: Any, n: int) -> Any:
        if not self._is_traced():
            return getattr(super(), name)(n)
        made = UnivariateSpline.__new__(UnivariateSpline)
        made._set(_repeated(step, self._triple(), n), self.ext)
        return made

    def derivative(self, n: int = 1) -> Any:
        """Return the spline of the n-th derivative."""
        return self._derived("derivative", differentiated, n)

    def antiderivative(self, n: int = 1) -> Any:
        """Return the spline of the n-th integral."""
        return self._derived("antiderivative", integrated, n)


def _of_points(self: Any, x: Any, y: Any, w: Any, bbox: Any, k: int, s: Any, t: Any, ext: Any) -> None:
    plain(bbox, f"{type(self).__name__}: bbox")
    self._set(splrep(x, y, w, bbox[0], bbox[1], k=k, s=s, t=t), ext)


class UnivariateSpline(_Univariate, scipy.interpolate.UnivariateSpline):  # type: ignore[misc]
    """As `scipy.interpolate.UnivariateSpline`, of traced points for s=0, and at traced places."""

    def __init__(self, x: Any, y: Any, w: Any = None, bbox: Any = (None, None), k: int = 3, s: Any = None, ext: Any = 0,
                 check_finite: bool = False) -> None:  # fmt: skip
        if not holds_traced([x, y, w]):
            super().__init__(x, y, w, list(bbox), k, s, ext, check_finite)
        elif s is None or s != 0:
            raise refuse("UnivariateSpline: smoothing, which chooses its knots by the data",
                         "use s=0, or make_lsq_spline with knots")  # fmt: skip
        else:
            _of_points(self, x, y, None, bbox, k, 0, None, ext)


class InterpolatedUnivariateSpline(_Univariate, scipy.interpolate.InterpolatedUnivariateSpline):  # type: ignore[misc]
    """As `scipy.interpolate.InterpolatedUnivariateSpline`, also of traced points and at traced places."""

    def __init__(self, x: Any, y: Any, w: Any = None, bbox: Any = (None, None), k: int = 3, ext: Any = 0,
                 check_finite: bool = False) -> None:  # fmt: skip
        if not holds_traced([x, y, w]):
            super().__init__(x, y, w, list(bbox), k, ext, check_finite)
        else:
            _of_points(self, x, y, None, bbox, k, 0, None, ext)


class LSQUnivariateSpline(_Univariate, scipy.interpolate.LSQUnivariateSpline):  # type: ignore[misc]
    """As `scipy.interpolate.LSQUnivariateSpline`, also of traced points, knots and weights and at traced places."""

    def __init__(self, x: Any, y: Any, t: Any, w: Any = None, bbox: Any = (None, None), k: int = 3, ext: Any = 0,
                 check_finite: bool = False) -> None:  # fmt: skip
        if not holds_traced([x, y, t, w]):
            super().__init__(x, y, t, w, list(bbox), k, ext, check_finite)
        else:
            _of_points(self, x, y, w, bbox, k, None, t, ext)


for _class in (BSpline, UnivariateSpline, InterpolatedUnivariateSpline, LSQUnivariateSpline):
    register(scipy.interpolate, _class.__name__, _class)
