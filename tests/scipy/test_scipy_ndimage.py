"""`chainrule.scipy.ndimage`: SciPy's values over modes and orders, derivatives in images, weights and parameters."""

# ruff: noqa: B023 (functions of loop variables are called within the turn)
from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from twin_checks import (
    check_precision,
    check_single,
    check_transforms,
    check_twin,
    refuses_or_differentiates,
    with_arguments,
)

import chainrule as cr
from chainrule.scipy import ndimage

RNG = np.random.default_rng(11)
A = RNG.normal(size=(5, 6))
V = RNG.normal(size=9)
W = RNG.normal(size=(3, 2))
U = np.array([0.5, -1.0, 2.0, 0.3])
CUBE = RNG.normal(size=(3, 4, 2))
FOOT = np.array([[0, 1, 0], [1, 1, 1]])
LABELS = np.array([[1, 1, 0, 2, 2, 2], [1, 1, 0, 0, 2, 4], [3, 3, 3, 0, 4, 4], [3, 0, 0, 0, 0, 4], [3, 3, 1, 1, 1, 0]])
MODES = ["reflect", "constant", "nearest", "mirror", "wrap"]
GRID_MODES = [*MODES, "grid-wrap", "grid-constant", "grid-mirror"]

Case = tuple[str, tuple[Any, ...], tuple[int | str, ...], dict[str, Any]]
CASES: list[Case] = [
    *[("correlate1d", (A, U), (0, 1), {"axis": 0, "mode": mode, "cval": 1.5, "origin": 1}) for mode in MODES],
    *[("convolve", (A, W), (0, 1), {"mode": mode, "cval": 0.5, "origin": (0, -1)}) for mode in MODES],
    ("convolve1d", (A, U), (0, 1), {"origin": -1}),
    ("correlate", (A, W), (0, 1), {"origin": (1, 0), "mode": "grid-wrap"}),
    ("correlate", (CUBE, W), (0, 1), {"axes": (1, 0)}),
    ("convolve", (V[:3], RNG.normal(size=8)), (0, 1), {"mode": "mirror"}),
    ("correlate", (V + 1j * V[::-1], U), (0,), {}),
    ("uniform_filter", (A,), (0,), {"size": (2, 3), "origin": (0, 1)}),
    ("uniform_filter1d", (A, 4), (0,), {"axis": 0, "mode": "wrap"}),
    *[("gaussian_filter", (A, 0.8), (0, 1), {"order": order, "mode": mode, "cval": 0.3})
      for order, mode in ((0, "reflect"), (1, "constant"), ((0, 2), "mirror"), (3, "wrap"))],
    ("gaussian_filter", (A, np.array([0.7, 1.2])), (0, 1), {"truncate": 3.0}),
    ("gaussian_filter", (CUBE, 0.9), (0,), {"axes": (0, 1), "radius": 2}),
    ("gaussian_filter1d", (A, 1.1), (0, 1), {"axis": 0, "order": 2}),
    ("gaussian_laplace", (A, 0.9), (0, 1), {}),
    ("gaussian_gradient_magnitude", (A, 0.9), (0, 1), {"mode": "nearest"}),
    *[(name, (A,), (0,), {"axis": axis}) for name in ("sobel", "prewitt") for axis in (0, -1)],
    ("sobel", (CUBE,), (0,), {"mode": "constant", "cval": 2.0}),
    ("laplace", (A,), (0,), {"mode": "wrap"}),
    ("generic_gradient_magnitude", (A, scipy.ndimage.sobel), (0,), {}),
    ("generic_laplace", (A, scipy.ndimage.prewitt), (0,), {}),
    *[(name, (A,), (0,), {"size": 3, "mode": mode, "cval": 0.5})
      for name in ("maximum_filter", "minimum_filter", "median_filter") for mode in MODES],
    ("maximum_filter", (A,), (0,), {"footprint": FOOT, "origin": (0, -1)}),
    ("minimum_filter", (CUBE,), (0,), {"size": (2, 3), "axes": (0, 2)}),
    ("maximum_filter1d", (A, 3), (0,), {"axis": 0, "origin": 1}),
    ("minimum_filter1d", (V, 4), (0,), {}),
    ("rank_filter", (A, 1), (0,), {"footprint": FOOT}),
    ("rank_filter", (A, -2), (0,), {"size": 2}),
    ("percentile_filter", (A, 30), (0,), {"size": 3}),
    ("percentile_filter", (A, 100), (0,), {"size": (1, 3), "mode": "nearest"}),
    *[(name, (A,), (0,), {"footprint": FOOT, "origin": (0, 1)}) for name in ("grey_dilation", "grey_erosion")],
    *[(name, (A,), (0, "structure"), {"structure": 0.1 * W}) for name in ("grey_dilation", "grey_erosion")],
    *[(name, (A,), (0,), {"size": (2, 3)}) for name in
      ("grey_opening", "grey_closing", "morphological_gradient", "morphological_laplace", "white_tophat",
       "black_tophat")],
    *[(name, (A + 1j, 1.3), (0,), {}) for name in
      ("fourier_gaussian", "fourier_uniform", "fourier_ellipsoid", "fourier_shift")],
    ("fourier_gaussian", (A, 1.3), (0,), {"n": 10}),
    *[(name, (A, LABELS, index), (0,), {}) for name in
      ("sum_labels", "sum", "mean", "variance", "standard_deviation", "maximum", "minimum", "median")
      for index in (None, 2, [4, 1, 3])],
    *[(name, (A,), (0,), {}) for name in ("sum", "mean", "variance", "maximum", "extrema")],
    ("sum_labels", (A, LABELS, [[7, 1], [0, 2]]), (0,), {}),
    ("center_of_mass", (A,), (0,), {}),
    ("center_of_mass", (np.abs(A), LABELS, [1, 4]), (0,), {}),
    *[("spline_filter1d", (A,), (0,), {"order": order, "mode": mode, "axis": 0})
      for order, mode in ((1, "mirror"), (2, "reflect"), (3, "grid-wrap"), (4, "constant"), (5, "nearest"))],
    ("spline_filter", (A,), (0,), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "where", "kwargs"), CASES, ids=[f"{k}-{c[0]}" for k, c in enumerate(CASES)])
def test_twins(name: str, args: tuple[Any, ...], where: tuple[int | str, ...], kwargs: dict[str, Any]) -> None:
    ours = tuple(getattr(ndimage, arg.__name__) if callable(arg) else arg for arg in args)
    pair = [getattr(ndimage, name), getattr(scipy.ndimage, name)]
    if ours is not args and any(map(callable, args)):
        pair[0] = lambda *given, f=pair[0], **options: f(given[0], ours[1], *given[2:], **options)
    check_twin(*pair, args, where, kwargs, order=2 if "gaussian" in name else 1, rtol=1e-9)
    check_precision(*pair, args, where, kwargs)


PLACES = np.array([[0.3, 1.7, -0.6, 4.4, 2.2, -1.3, 6.1, -7.7], [1.2, 0.4, 2.3, 5.3, -0.8, 6.2, 2.9, 9.4]])


@pytest.mark.parametrize("mode", GRID_MODES)
@pytest.mark.parametrize("order", range(6))
def test_map_coordinates(mode: str, order: int) -> None:
    kwargs = {"order": order, "mode": mode, "cval": 0.7}
    expected = scipy.ndimage.map_coordinates(A, PLACES, **kwargs)
    f = lambda a, places: ndimage.map_coordinates(a, places, **kwargs)
    for found in (cr.vjp(f, A, PLACES)[0], cr.vjp(lambda a: f(a, PLACES), A)[0], cr.vjp(lambda p: f(A, p), PLACES)[0]):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)  # short recursions start approximately
    factors = np.ones(8)

    def moved(a: Any, factors: Any) -> Any:  # smooth, not across the ends
        return f(a, PLACES + 0.05 * (factors - 1))

    cr.check_derivatives(moved, A, factors, order=1, directions=1, entries=1, tolerance=1e-5)


TRANSFORMED: list[Case] = [
    *[("shift", (A, np.array([0.6, -1.3])), (0, 1), {"order": order, "mode": mode, "cval": 0.2})
      for order, mode in ((0, "constant"), (1, "nearest"), (3, "reflect"), (2, "wrap"), (3, "grid-constant"))],
    ("shift", (V, 1.0), (0,), {"mode": "wrap"}),
    *[("zoom", (A, factor), (0,), {"order": order, "mode": mode})
      for factor, order, mode in ((1.7, 3, "constant"), ((0.6, 2), 1, "mirror"), (2, 5, "grid-wrap"), (1, 3, "wrap"))],
    ("zoom", (A, (2, 0.5)), (0,), {"grid_mode": True, "mode": "nearest", "order": 2}),
    *[("rotate", (A, 23.0), (0, 1), {"reshape": reshape, "order": order, "mode": mode})
      for reshape, order, mode in ((True, 3, "constant"), (False, 1, "reflect"), (True, 2, "nearest"))],
    ("rotate", (CUBE, 31.0), (0,), {"axes": (0, 1), "order": 3}),
    ("affine_transform", (A, np.array([[0.9, 0.2], [-0.1, 1.1]]), U[:2]), (0, 1, 2), {"mode": "nearest"}),
    ("affine_transform", (A, np.array([0.7, 1.3])), (0, 1), {"offset": 0.43, "order": 1, "output_shape": (3, 4)}),
    ("affine_transform", (A, np.array([[0.9, 0.2, 0.1], [-0.1, 1.1, 0.2]])), (0, 1), {"mode": "mirror", "order": 2}),
    ("affine_transform", (A, np.array([[1.0, 0.2, 0.1], [0, 1, 0.2], [0, 0, 1]])), (0,), {"prefilter": False}),
    ("geometric_transform", (V, lambda p: (p[0] * 0.7 + 0.2,)), (0,), {"mode": "nearest"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "where", "kwargs"), TRANSFORMED,
                         ids=[f"{k}-{c[0]}" for k, c in enumerate(TRANSFORMED)])  # fmt: skip
def test_transformed_images(name: str, args: tuple[Any, ...], where: tuple[int, ...], kwargs: dict[str, Any]) -> None:
    f, xs = with_arguments(getattr(ndimage, name), args, where, kwargs)
    expected = getattr(scipy.ndimage, name)(*args, **kwargs)
    (found,), _ = cr.vjp(f, *xs)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    if kwargs.get("order") != 0:
        ones = [np.ones_like(x) if np.ndim(x) else 1.0 for x in xs]
        cr.check_derivatives(lambda *factors: f(*(x + 0.01 * (e - 1) for x, e in zip(xs, factors, strict=True))), *ones,
                             order=1, directions=1, entries=1, tolerance=1e-4)  # fmt: skip


def test_the_derivative_of_a_shift_is_that_of_the_image() -> None:
    x = np.arange(40.0)
    slope = cr.jacobian(lambda by: ndimage.shift(np.sin(x / 5), by, mode="mirror"))(0.0)
    np.testing.assert_allclose(slope[8:-8], -np.cos(x / 5)[8:-8] / 5, atol=1e-4)


def test_against_jax() -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax.scipy.ndimage import map_coordinates

    for order in (0, 1):
        for mode in ("nearest", "mirror", "reflect"):  # the others differ in what lies between the ends
            ours = lambda a, p: np.sum(ndimage.map_coordinates(a, p, order=order, mode=mode) ** 2)
            theirs = lambda a, p: jnp.sum(map_coordinates(a, list(p), order=order, mode=mode) ** 2)
            found = cr.grad(ours, (0, 1))(A, PLACES[:, :5])
            for one, two in zip(found, jax.grad(theirs, (0, 1))(A, jnp.asarray(PLACES[:, :5])), strict=True):
                np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: [ndimage.gaussian_filter(x, 1.1)],
        lambda x: [ndimage.correlate1d(x, U, mode="wrap")],
        lambda w: [ndimage.convolve(A[0], w)],
        lambda x: [ndimage.maximum_filter(x, 3)],
        lambda x: [ndimage.map_coordinates(x, PLACES[:1] / 2, mode="reflect")],
        lambda x: [ndimage.map_coordinates(V, np.tanh(x)[None] + 2.0, order=2)],
        lambda x: [ndimage.shift(x, 0.4)],
        lambda x: [ndimage.mean(x, LABELS[0, :4].repeat(2)[: x.shape[0]], [1, 2])],
    ],
)
def test_transforms(f: Any) -> None:
    check_transforms(f, V[:7])


@pytest.mark.parametrize(
    "f",
    [
        lambda x: [ndimage.gaussian_filter(x, 1.0)],
        lambda x: [ndimage.median_filter(x, 3)],
        lambda x: [ndimage.zoom(x, 2)],
        lambda x: [ndimage.maximum(x, LABELS, [1, 2])],
    ],
)
def test_single_precision(f: Any) -> None:
    check_single(f, A)


def test_dtype_and_place_of_the_output() -> None:
    assert cr.vjp(lambda x: ndimage.sobel(x, output=np.float32), A)[0].dtype == np.float32
    with pytest.raises(cr.ChainruleError, match="an array given as output"):
        cr.grad(lambda x: ndimage.sobel(x, output=np.zeros(A.shape)).sum())(A)
    with pytest.raises(cr.ChainruleError, match="scipy.ndimage.zoom: zoom cannot be traced"):
        cr.grad(lambda z: ndimage.zoom(A, z).sum())(2.0)
    with pytest.raises(cr.ChainruleError, match="labels have no derivative"):
        cr.grad(lambda x: ndimage.label(x)[0].sum())(A)


def test_whole_numbers() -> None:
    x = np.arange(12).reshape(2, 6)
    for f in (lambda h, x: h.uniform_filter(x, 3), lambda h, x: h.sobel(x), lambda h, x: h.median_filter(x, 3)):
        found = cr.vmap(lambda row: f(ndimage, row))(x)
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found, [f(scipy.ndimage, row) for row in x])


def test_a_gradient_goes_to_what_was_selected() -> None:
    chosen = cr.jacobian(lambda x: ndimage.median_filter(x, 3))(V)
    assert set(np.unique(chosen)) == {0, 1}
    np.testing.assert_array_equal(chosen @ V, scipy.ndimage.median_filter(V, 3))
    flat = cr.grad(lambda x: np.sum(ndimage.maximum_filter(x, 3, mode="constant", cval=-9.0)))(np.zeros(5))
    np.testing.assert_allclose(flat, [5 / 6, 7 / 6, 1, 7 / 6, 5 / 6])


@pytest.mark.parametrize("name", ndimage.__all__)
def test_signatures(name: str) -> None:
    a, b = (list(inspect.signature(getattr(home, name)).parameters.values()) for home in (ndimage, scipy.ndimage))
    assert [(p.name, p.default) for p in a] == [(p.name, p.default) for p in b]


@pytest.mark.parametrize("name", sorted(set(scipy.ndimage.__all__)))
def test_no_public_name_loses_a_derivative(name: str) -> None:
    refuses_or_differentiates(ndimage, name)
