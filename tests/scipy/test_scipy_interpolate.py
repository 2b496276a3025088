"""`chainrule.scipy.interpolate`: SciPy's values and signatures, derivatives in data, knots and places."""

# ruff: noqa: B023 (functions of loop variables are called within the turn)
from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.interpolate
from twin_checks import check_transforms, refuses_or_differentiates

import chainrule as cr
from chainrule.scipy import interpolate

RNG = np.random.default_rng(3)
X = np.array([-1.4, -0.9, -0.5, 0.1, 0.45, 1.0, 1.3])
Y = RNG.normal(size=7)
WIDE = RNG.normal(size=(2, 7))
SLOPES = RNG.normal(size=7)
Q = np.array([-1.6, -1.2, -0.7, -0.2, 0.3, 0.75, 1.2, 1.5])
INSIDE = Q[1:-1]
LOOP = np.concatenate([Y[:-1], Y[:1]])
CENTERS = np.array([-1.0, -0.2, 0.6, 1.1])


def check(make: Any, theirs: Any, data: tuple[Any, ...], q: Any, *, call: Any = None, where: tuple[int, ...] = (),
          rtol: float = 1e-9, places: bool = True, order: int = 1, atol: float = 1e-12) -> None:  # fmt: skip
    """An object of traced data, and one of plain data at traced places, against SciPy's and against differences."""
    call = call or (lambda f, q: f(q))
    where = where or tuple(range(len(data)))

    def f(*given: Any) -> Any:
        full = list(data)
        for k, part in zip(where, given, strict=False):
            full[k] = part
        return call(make(*full), given[-1])

    expected = call(theirs(*data), q)
    given = [data[k] for k in where]
    plain_made = make(*data)
    of_places = cr.vjp(lambda q: call(plain_made, q), q)[0] if places else expected
    for found in (f(*given, q), cr.vjp(lambda *given: f(*given, q), *given)[0], of_places):
        assert np.shape(found) == np.shape(expected)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)
    check_near(lambda *given: f(*given, q), given, order)
    if places:
        check_near(lambda q: call(plain_made, q), [q], order, modes=("reverse",))


def check_near(f: Any, given: Any, order: int, size: float = 0.05, modes: Any = ("forward", "reverse")) -> None:
    """Check derivatives with small moves, which keep knots in order and places between them."""
    ones = [np.ones_like(part) if np.ndim(part) else 1.0 for part in given]

    def moved(*factors: Any) -> Any:
        return f(*(part + size * (factor - 1) for part, factor in zip(given, factors, strict=True)))

    cr.check_derivatives(moved, *ones, order=order, modes=modes, directions=1, entries=1, tolerance=1e-5)


def both(name: str, **kwargs: Any) -> tuple[Any, Any]:
    return tuple(  # type: ignore[return-value]
        (lambda *data, home=home: getattr(home, name)(*data, **kwargs)) for home in (interpolate, scipy.interpolate)
    )


# A small step across a knot makes differences unsure: places are kept between them.
PIECEWISE = [
    *[("CubicSpline", (X, Y), {"bc_type": bc}) for bc in ("not-a-knot", "natural", "clamped")],
    ("CubicSpline", (X, Y), {"bc_type": ((1, 0.3), (2, -0.4))}),
    ("CubicSpline", (X, Y), {"bc_type": ("not-a-knot", "natural")}),
    ("CubicSpline", (X[:3], Y[:3]), {}),
    ("CubicSpline", (X[:2], Y[:2]), {}),
    ("CubicSpline", (X, WIDE), {"axis": 1}),
    ("PchipInterpolator", (X, Y), {}),
    ("PchipInterpolator", (X, np.cumsum(Y**2)), {}),
    ("PchipInterpolator", (X[:2], Y[:2]), {}),
    ("Akima1DInterpolator", (X, Y), {"extrapolate": True}),
    ("Akima1DInterpolator", (X, WIDE), {"axis": 1, "method": "makima", "extrapolate": True}),
    ("CubicHermiteSpline", (X, Y, SLOPES), {}),
    ("CubicHermiteSpline", (X, Y, SLOPES), {"extrapolate": "periodic"}),
    *[("make_interp_spline", (X, Y), {"k": k}) for k in (0, 1, 2, 3, 5)],
    ("make_interp_spline", (X, WIDE), {"axis": 1, "bc_type": "natural"}),
    ("make_interp_spline", (X, Y), {"bc_type": ([(2, 0.1)], [(1, 0.4)])}),
    ("InterpolatedUnivariateSpline", (X, Y), {}),
    ("InterpolatedUnivariateSpline", (X, Y), {"k": 2, "ext": 1}),
    ("UnivariateSpline", (X, Y), {"s": 0, "ext": "const"}),
    *[("interp1d", (X, Y), {"kind": kind, "fill_value": "extrapolate"})
      for kind in ("linear", "nearest", "nearest-up", "previous", "next", "zero", "slinear", "quadratic", "cubic")],
    ("interp1d", (X, Y), {"bounds_error": False, "fill_value": (1.5, -2.5)}),
    ("interp1d", (X, WIDE), {"bounds_error": False, "axis": 1, "fill_value": 2.0}),
    ("interp1d", (X[::-1].copy(), WIDE), {"bounds_error": False, "fill_value": 0.5, "kind": 2}),
    ("BarycentricInterpolator", (X, Y), {}),
    ("BarycentricInterpolator", (X, WIDE), {"axis": 1}),
    ("KroghInterpolator", (X, Y), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "kwargs"), PIECEWISE, ids=[f"{k}-{c[0]}" for k, c in enumerate(PIECEWISE)])
def test_curves_in_their_data_and_places(name: str, data: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    ours, theirs = both(name, **kwargs)
    stepwise = kwargs.get("kind") in ("nearest", "nearest-up", "previous", "next", "zero") or kwargs.get("k") == 0
    if stepwise:
        np.testing.assert_array_equal(cr.vjp(lambda y: ours(X, y)(Q), data[1])[0], theirs(*data)(Q))
        check(ours, theirs, data, INSIDE, where=(1,), places=False)
    else:
        check(ours, theirs, data, Q, order=2 if kwargs == {} else 1, rtol=1e-8)


@pytest.mark.parametrize("name", ["CubicSpline", "make_interp_spline"])
@pytest.mark.parametrize("k", [2, 3])
def test_periodic_splines(name: str, k: int) -> None:
    kwargs = {"bc_type": "periodic"} | ({"k": k} if name == "make_interp_spline" else {})
    ours, theirs = both(name, **kwargs)

    def loop(make: Any) -> Any:
        return lambda x, y: make(x, np.concatenate([y, y[:1]]))

    check(loop(ours), loop(theirs), (X, Y[:-1]), np.array([-4.0, -1.2, 0.3, 2.2, 5.1]))


@pytest.mark.parametrize("name", ["CubicSpline", "PchipInterpolator", "make_interp_spline", "UnivariateSpline"])
@pytest.mark.parametrize("nu", [1, 2, 3, 4])
def test_derivatives_and_integrals(name: str, nu: int) -> None:
    ours, theirs = both(name, **({"s": 0} if name == "UnivariateSpline" else {}))
    if nu < 4 or name != "UnivariateSpline":
        check(ours, theirs, (X, Y), INSIDE, call=lambda f, q: f(q, nu), places=nu < 3)
    if nu < 4:
        check(ours, theirs, (X, Y), INSIDE, call=lambda f, q: f.derivative(nu)(q), places=False)
    if nu < 3:
        check(ours, theirs, (X, Y), INSIDE, call=lambda f, q: f.antiderivative(nu)(q), places=False)
    if name != "UnivariateSpline" and nu == 1:
        check(ours, theirs, (X, Y), 0.6, call=lambda f, q: f.integrate(-0.8, q))
        check(ours, theirs, (X, Y), 0.6, call=lambda f, q: f.integrate(q, -2.0, extrapolate=False)
              if name == "make_interp_spline" else f.integrate(q, -1.0))  # fmt: skip
        check(ours, theirs, (X, Y), 3.1, call=lambda f, q: f.integrate(-0.9, q, extrapolate="periodic"))
    elif nu == 1:
        check(ours, theirs, (X, Y), 0.6, call=lambda f, q: f.integral(-3.0, q))


def test_the_derivative_in_a_place_is_the_splines_own() -> None:
    for make in (interpolate.CubicSpline, interpolate.make_interp_spline, interpolate.PchipInterpolator,
                 interpolate.Akima1DInterpolator):  # fmt: skip
        f = make(X, Y)
        slopes = [cr.grad(f)(q) for q in INSIDE]
        np.testing.assert_allclose(slopes, f(INSIDE, 1), rtol=1e-9, atol=1e-12)
        bends = [cr.grad(cr.grad(f))(q) for q in INSIDE]
        np.testing.assert_allclose(bends, f(INSIDE, 2), rtol=1e-8, atol=1e-12)


def test_an_interpolant_is_linear_in_its_values() -> None:
    matrix = cr.jacobian(lambda y: interpolate.CubicSpline(X, y)(Q))(Y)
    np.testing.assert_allclose(matrix, scipy.interpolate.CubicSpline(X, np.eye(7))(Q), rtol=1e-9, atol=1e-12)
    matrix = cr.jacobian(lambda y: interpolate.make_interp_spline(X, y, k=5)(INSIDE))(Y)
    expected = scipy.interpolate.make_interp_spline(X, np.eye(7), k=5)(INSIDE)
    np.testing.assert_allclose(matrix, expected, rtol=1e-9, atol=1e-12)


# -- B-splines and FITPACK's names -------------------------------------------------------------------------

TCK = scipy.interpolate.splrep(X, Y)
KNOTS = np.array([-1.4, -1.4, -1.4, -1.4, -0.6, 0.2, 1.3, 1.3, 1.3, 1.3])
C = RNG.normal(size=6)


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("extrapolate", [True, False, "periodic"])
def test_bsplines_in_knots_and_coefficients(k: int, extrapolate: Any) -> None:
    t = np.linspace(-2.0, 2.0, 7 + k)
    c = RNG.normal(size=6)
    ours, theirs = both("BSpline", k=k, extrapolate=extrapolate)
    check(ours, theirs, (t, c), INSIDE * (0.3 if extrapolate is False else 0.9), where=(0, 1) if k else (1,),
          places=k > 0)  # fmt: skip


def test_fits_by_least_squares() -> None:
    x = np.linspace(-1.4, 1.3, 15)
    y, w = RNG.normal(size=15), RNG.uniform(0.5, 1.5, 15)
    for where in ((1,), (1, 2), (0, 1, 2, 3)):
        ours, theirs = ((lambda x, y, t, w, home=home: home.make_lsq_spline(x, y, t, 3, w))
                        for home in (interpolate, scipy.interpolate))  # fmt: skip
        found = cr.vjp(lambda *data: ours(x, *data)(INSIDE), y, KNOTS, w)[0]
        np.testing.assert_allclose(found, theirs(x, y, KNOTS, w)(INSIDE), rtol=1e-9)
        if where == (1,):
            cr.check_derivatives(lambda y: ours(x, y, KNOTS, w)(INSIDE), y, order=2, directions=1, entries=2)
    check_near(lambda y, w, t: ours(x, y, np.concatenate([[-1.4] * 4, t, [1.3] * 4]), w)(INSIDE), (y, w, KNOTS[4:6]), 1)
    ours, theirs = both("LSQUnivariateSpline")
    check(ours, theirs, (x, y, np.array([-0.6, 0.2])), INSIDE, where=(1,), order=1)


@pytest.mark.parametrize(("der", "ext"), [(0, 0), (1, 0), (2, 1), (0, 3), (0, 1)])
def test_splev(der: int, ext: int) -> None:
    t, c, k = TCK
    f = lambda q, c: interpolate.splev(q, (t, c, k), der, ext)
    np.testing.assert_allclose(cr.vjp(f, Q, c)[0], scipy.interpolate.splev(Q, TCK, der, ext), rtol=1e-10, atol=1e-13)
    check_near(f, (Q, c), 1)
    with pytest.raises(ValueError, match="ext=2"):
        cr.grad(lambda q: interpolate.splev(q, TCK, ext=2))(5.0)


def test_splrep_splder_splint() -> None:
    for k in (1, 2, 3, 4, 5):
        t, c, _ = scipy.interpolate.splrep(X, Y, k=k)
        found = cr.vjp(lambda y: interpolate.splrep(X, y, k=k)[1], Y)[0]
        np.testing.assert_allclose(found, c, rtol=1e-9, atol=1e-12)
    t, c, k = TCK
    for name in ("splder", "splantider"):
        expected = scipy.interpolate.splev(INSIDE, getattr(scipy.interpolate, name)(TCK))
        found = cr.vjp(lambda c: interpolate.splev(INSIDE, getattr(interpolate, name)((t, c, k))), c)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
    value = cr.vjp(lambda c, b: interpolate.splint(-3.0, b, (t, c, k)), c, 0.4)[0]
    np.testing.assert_allclose(value, scipy.interpolate.splint(-3.0, 0.4, TCK), rtol=1e-12)
    cr.check_derivatives(lambda c, b: interpolate.splint(-1.0, b, (t, c, k)), c, 0.4, order=2, directions=1)
    pair = interpolate.splev(INSIDE, (t, [c, 2 * c], k))
    traced = cr.vjp(lambda q: interpolate.splev(q, (t, [c, 2 * c], k)), INSIDE)[0]
    np.testing.assert_allclose(traced, pair, rtol=1e-12)


def test_piecewise_polynomials() -> None:
    c = RNG.normal(size=(4, 6, 2))
    for extrapolate in (True, False, "periodic"):
        ours, theirs = both("PPoly", extrapolate=extrapolate)
        check(ours, theirs, (c, X), Q if extrapolate else INSIDE, where=(0,))
        outside = cr.vjp(lambda c: ours(c, X)(Q), c)[0]
        np.testing.assert_allclose(outside, theirs(c, X)(Q), rtol=1e-10)
    check(ours, theirs, (c, X), INSIDE, where=(0, 1))
    ours, theirs = both("PPoly")
    check(ours, theirs, (c, -X), Q, where=(0, 1))
    t, c_of_spline, k = TCK
    for make in (lambda c: (t, c, k), lambda c: interpolate.BSpline(t, c, k)):
        found = cr.vjp(lambda c: interpolate.PPoly.from_spline(make(c))(Q), c_of_spline)[0]
        np.testing.assert_allclose(found, scipy.interpolate.PPoly.from_spline(TCK)(Q), rtol=1e-10)
    assert cr.grad(interpolate.PPoly.from_spline(TCK))(0.3) == pytest.approx(scipy.interpolate.splev(0.3, TCK, 1))
    f = interpolate.PPoly(c, X)
    assert isinstance(f, scipy.interpolate.PPoly)
    with pytest.raises(cr.ChainruleError, match=r"roots.*Newton"):
        cr.grad(lambda c: np.sum(interpolate.PPoly(c, X).roots()))(c[..., 0])


def test_polynomials_and_their_derivatives() -> None:
    twice = np.array([-1.0, -1.0, 0.2, 0.2, 0.2, 1.1])
    yi = RNG.normal(size=6)
    f = lambda yi, q: interpolate.KroghInterpolator(twice, yi)(q)
    np.testing.assert_allclose(cr.vjp(f, yi, INSIDE)[0], scipy.interpolate.KroghInterpolator(twice, yi)(INSIDE))
    cr.check_derivatives(f, yi, INSIDE, directions=1, entries=2)
    for name in ("krogh_interpolate", "barycentric_interpolate"):
        for der in (0, 1, 2, [0, 2]):
            ours, theirs = (getattr(home, name) for home in (interpolate, scipy.interpolate))
            found = cr.vjp(lambda y, q: ours(X, y, q, der=der), Y, INSIDE)[0]
            np.testing.assert_allclose(found, theirs(X, Y, INSIDE, der=der), rtol=1e-8)
    at_nodes = cr.jacobian(interpolate.BarycentricInterpolator(X, Y))(X[2])
    np.testing.assert_allclose(at_nodes, scipy.interpolate.KroghInterpolator(X, Y).derivative(X[2]), rtol=1e-9)
    chebyshev = np.cos(np.pi * (np.arange(60) + 0.5) / 60)
    found = cr.vjp(lambda y: interpolate.BarycentricInterpolator(chebyshev, y)(INSIDE / 2), np.exp(chebyshev))[0]
    np.testing.assert_allclose(found, np.exp(INSIDE / 2), rtol=1e-12)


# -- grids and scattered points ----------------------------------------------------------------------------

GRID = (np.array([-1.0, -0.3, 0.2, 0.9, 1.4, 1.9]), np.array([0.0, 0.5, 1.1, 1.5, 2.2, 2.6]))
VALUES = RNG.normal(size=(6, 6))
PLACES = np.array([[-0.7, 0.2], [0.0, 1.3], [0.5, 0.8], [1.7, 2.4], [-0.1, 2.0]])


@pytest.mark.parametrize("method", ["linear", "nearest", "slinear", "cubic", "quintic"])
def test_regular_grids(method: str) -> None:
    rtol = 1e-4 if method in ("cubic", "quintic") else 1e-9  # SciPy iterates, to a tolerance of its own
    for options in ({}, {"bounds_error": False, "fill_value": None}, {"bounds_error": False, "fill_value": 7.0}):
        q = np.concatenate([PLACES, [[2.1, 1.0], [0.0, -0.2]]]) if "fill_value" in options else PLACES
        ours, theirs = ((lambda v, home=home: home.RegularGridInterpolator(GRID, v, method=method, **options))
                        for home in (interpolate, scipy.interpolate))  # fmt: skip
        check(ours, theirs, (VALUES,), q, rtol=rtol, atol=1e-4 if rtol > 1e-6 else 1e-12,
              places=method in ("linear", "slinear"))  # fmt: skip


def test_regular_grids_otherwise() -> None:
    def f(a: Any, b: Any, v: Any) -> Any:
        return interpolate.interpn((a, b), v, PLACES)

    np.testing.assert_allclose(cr.vjp(f, *GRID, VALUES)[0], scipy.interpolate.interpn(GRID, VALUES, PLACES))
    check_near(f, (*GRID, VALUES), 2)
    down = (GRID[0][::-1], GRID[1])
    found = cr.vjp(lambda v: interpolate.RegularGridInterpolator(down, v)(PLACES), VALUES)[0]
    np.testing.assert_allclose(found, scipy.interpolate.RegularGridInterpolator(down, VALUES)(PLACES))
    deep = RNG.normal(size=(6, 6, 2))
    found = cr.vjp(lambda p: interpolate.RegularGridInterpolator(GRID, deep)((p, 0.7)), PLACES[:, 0])[0]
    np.testing.assert_allclose(found, scipy.interpolate.RegularGridInterpolator(GRID, deep)((PLACES[:, 0], 0.7)))
    with pytest.raises(ValueError, match="out of bounds in dimension 0"):
        cr.grad(lambda x: interpolate.RegularGridInterpolator(GRID, VALUES)((x, 1.0))[()])(9.0)
    with pytest.raises(cr.ChainruleError, match="method='pchip'.*'cubic'"):
        cr.grad(lambda v: interpolate.interpn(GRID, v, PLACES, method="pchip").sum())(VALUES)


@pytest.mark.parametrize("orders", [(0, 0), (1, 0), (1, 2)])
def test_splines_of_two_variables(orders: tuple[int, int]) -> None:
    x, y = np.array([-1.1, -0.2, 0.7, 1.5]), np.array([0.1, 1.3, 2.9])
    for degrees in ((3, 3), (2, 4)):
        ours, theirs = both("RectBivariateSpline", kx=degrees[0], ky=degrees[1])
        for call in (lambda f, q: f(q, y, *orders), lambda f, q: f.ev(q, q + 1.2, *orders)):
            check(ours, theirs, (*GRID, VALUES), x, call=call, where=(2,), rtol=1e-8, atol=1e-9)
    check_near(lambda *grid: ours(*grid, VALUES).ev(x[1:], x[1:] + 1.2), GRID, 1)
    with pytest.raises(cr.ChainruleError, match="integral"):
        cr.grad(lambda v: ours(*GRID, v).integral(0, 1, 0, 1))(VALUES)


POINTS = RNG.uniform(-1, 1, (12, 2))
HEIGHTS = RNG.normal(size=12)
AMONG = np.array([[0.1, 0.05], [-0.2, 0.3], [0.25, -0.3], [5.0, 5.0]])


@pytest.mark.parametrize("rescale", [False, True])
def test_scattered_points_linearly(rescale: bool) -> None:
    ours, theirs = both("LinearNDInterpolator", rescale=rescale, fill_value=-1.0)
    check(ours, theirs, (POINTS, HEIGHTS), AMONG, where=(1,), order=1)

    if not rescale:
        check_near(lambda points: ours(points, HEIGHTS)(AMONG[:3]), [POINTS], 1, size=1e-3)


def test_griddata() -> None:
    for method in ("linear", "nearest"):
        found = cr.vjp(lambda v: interpolate.griddata(POINTS, v, AMONG, method), HEIGHTS)[0]
        np.testing.assert_allclose(found, scipy.interpolate.griddata(POINTS, HEIGHTS, AMONG, method))
    for method in ("linear", "nearest", "cubic"):
        found = cr.vjp(lambda v: interpolate.griddata(X[::-1], v, Q, method), Y)[0]
        np.testing.assert_allclose(found, scipy.interpolate.griddata(X[::-1], Y, Q, method), rtol=1e-9)
    nearest = cr.jacobian(lambda v: interpolate.NearestNDInterpolator(POINTS, v)(AMONG))(HEIGHTS)
    np.testing.assert_array_equal(nearest.sum(1), np.ones(4))
    with pytest.raises(cr.ChainruleError, match="method='cubic'.*use method='linear'"):
        cr.grad(lambda v: interpolate.griddata(POINTS, v, AMONG, "cubic").sum())(HEIGHTS)


@pytest.mark.parametrize(
    ("kernel", "epsilon"),
    [("linear", None), ("thin_plate_spline", None), ("cubic", 1.3), ("quintic", None), ("multiquadric", 1.5),
     ("inverse_multiquadric", 1.2), ("inverse_quadratic", 0.9), ("gaussian", 1.4)],
)  # fmt: skip
def test_radial_basis_functions(kernel: str, epsilon: float | None) -> None:
    ours, theirs = both("RBFInterpolator", kernel=kernel, epsilon=epsilon, smoothing=0.1)
    check(ours, theirs, (POINTS, HEIGHTS), AMONG[:3], rtol=1e-7, order=1)


def test_radial_basis_functions_in_their_parameters() -> None:
    def f(smoothing: Any, epsilon: Any) -> Any:
        return interpolate.RBFInterpolator(POINTS, HEIGHTS, smoothing=smoothing, epsilon=epsilon, kernel="gaussian",
                                           degree=1)(AMONG[:3])  # fmt: skip

    cr.check_derivatives(f, 0.2, 1.1, directions=1)


def test_numpys_own() -> None:
    f = lambda q, x, y, left, right: np.interp(q, x, y, left, right)
    np.testing.assert_allclose(cr.vjp(f, Q, X, Y, 0.5, -1.0)[0], np.interp(Q, X, Y, 0.5, -1.0))
    check_near(f, (Q, X, Y, 0.5, -1.0), 2)
    g = lambda q, x, y, period: np.interp(q, x, y, period=period)
    places = np.array([-4.1, -1.2, 0.3, 5.1])
    np.testing.assert_allclose(cr.vjp(g, places, X, Y, 3.1)[0], np.interp(places, X, Y, period=3.1))
    check_near(g, (places, X, Y, 3.1), 1)
    with pytest.raises(ValueError, match="period"):
        cr.grad(lambda q: g(q, X, Y, 0.0))(0.3)
    with pytest.raises(cr.ChainruleError, match="same length"):
        cr.grad(lambda y: np.interp(0.3, X, y))(Y[:3])


# -- jit, vmap, refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda y: [interpolate.CubicSpline(X, y)(INSIDE)],
        lambda y: [interpolate.PchipInterpolator(X, y)(INSIDE)],
        lambda y: [interpolate.make_interp_spline(X, y)(INSIDE)],
        lambda y: [interpolate.interp1d(X, y)(INSIDE)],
        lambda y: [interpolate.BarycentricInterpolator(X, y)(INSIDE)],
        lambda q: [interpolate.CubicSpline(X, Y)(0.5 * np.tanh(q))],
        lambda q: [interpolate.make_interp_spline(X, Y)(0.5 * np.tanh(q))],
        lambda q: [interpolate.RegularGridInterpolator(GRID, VALUES)((0.5 * np.tanh(q), 1.2))],
    ],
)
def test_transforms(f: Any) -> None:
    check_transforms(f, Y, rtol=1e-8)


def test_against_jax() -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax.scipy.interpolate import RegularGridInterpolator

    found = cr.grad(lambda q, x, y: np.sum(np.interp(q, x, y) ** 3), (0, 1, 2))(Q, X, Y)
    expected = jax.grad(lambda q, x, y: jnp.sum(jnp.interp(q, x, y) ** 3), (0, 1, 2))(Q, X, Y)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)
    found = cr.grad(lambda v, q: np.sum(interpolate.RegularGridInterpolator(GRID, v)(q) ** 2), (0, 1))(VALUES, PLACES)
    expected = jax.grad(lambda v, q: jnp.sum(RegularGridInterpolator(GRID, v)(q) ** 2), (0, 1))(
        VALUES, jnp.asarray(PLACES)
    )
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", interpolate.__all__)
def test_signatures_and_classes(name: str) -> None:
    ours, theirs = getattr(interpolate, name), getattr(scipy.interpolate, name)
    if inspect.isclass(ours):
        assert issubclass(ours, theirs)
    a, b = (list(inspect.signature(f).parameters.values()) for f in (ours, theirs))
    spelled = lambda p: (p.name, tuple(p.default) if isinstance(p.default, list) else p.default)
    assert [p.name for p in a] == [p.name for p in b]
    for one, two in zip(map(spelled, a), map(spelled, b), strict=True):
        assert one == two or (one[1] != one[1] and two[1] != two[1])


@pytest.mark.parametrize("name", sorted(set(scipy.interpolate.__all__)))
def test_no_public_name_loses_a_derivative(name: str) -> None:
    refuses_or_differentiates(interpolate, name)


def test_objects_of_plain_data_are_scipys_in_all_they_do() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, data, kwargs in PIECEWISE:
            ours, theirs = both(name, **kwargs)
            np.testing.assert_allclose(ours(*data)(INSIDE), theirs(*data)(INSIDE), rtol=1e-12)
    f = interpolate.CubicSpline(X, Y)
    np.testing.assert_array_equal(f.roots(), scipy.interpolate.CubicSpline(X, Y).roots())
    np.testing.assert_array_equal(f.c, scipy.interpolate.CubicSpline(X, Y).c)
    smooth = interpolate.UnivariateSpline(X, Y, s=1.0)
    assert cr.grad(smooth)(0.3) == pytest.approx(float(smooth.derivative()(0.3)), rel=1e-9)
    with pytest.raises(cr.ChainruleError, match="smoothing.*s=0"):
        cr.grad(lambda y: interpolate.UnivariateSpline(X, y)(0.3))(Y)
    with pytest.raises(cr.ChainruleError, match="lagrange.*BarycentricInterpolator"):
        cr.grad(lambda y: interpolate.lagrange(X, y)(0.3))(Y)
