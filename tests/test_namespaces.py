"""Arrays of other libraries give the numbers that NumPy's do; code for the array API traces."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import chainrule as cr
from chainrule import ir, namespaces
from chainrule.errors import DtypeError, UnsupportedError
from chainrule.namespaces import Foreign, wrap
from chainrule.tracing.array import FUNCTIONS

pytest.importorskip("array_api_compat")
X = np.array([0.5, -1.2])
M = np.array([[2.0, 0.3], [0.1, 1.5]])


def maker(name: str) -> Callable[[Any], Any]:
    """Return what makes arrays of a library, or skip."""
    if name == "dask":
        dask = pytest.importorskip("dask.array")
        return lambda a: dask.from_array(np.asarray(a), chunks=-1)
    if name == "jax":
        jax = pytest.importorskip("jax")
        jax.config.update("jax_enable_x64", True)
        return importlib.import_module("jax.numpy").asarray
    if name == "torch":
        torch = pytest.importorskip("torch")
        return lambda a: torch.from_numpy(np.array(a))
    return pytest.importorskip("array_api_strict").asarray


LIBRARIES = ["strict", "torch", "dask"]


@pytest.fixture(params=LIBRARIES)
def make(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return maker(request.param)


@pytest.fixture
def torch_array() -> Callable[[Any], Any]:
    return maker("torch")


def assert_same(found: Any, expected: Any, library: type) -> None:
    assert type(found) is library
    numbers = np.asarray(found)
    assert numbers.dtype == expected.dtype
    np.testing.assert_allclose(numbers, expected, rtol=1e-12, atol=1e-14)


def written_into(x: Any) -> Any:
    y = np.zeros_like(x)
    y[0] = x[1] ** 2
    y[1:] = x[:1]
    rows = np.reshape(y, (2, 1))
    rows[1] *= 3
    return np.sum(y * x[::-1])


FUNCTIONS_OF_X: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: np.sum(np.sin(x) * np.exp(-x * x) + np.logaddexp(x, 1.0) + np.arctan2(x, 2.0)),
    "linear algebra": lambda x: np.sum(np.linalg.solve(M, x) ** 2) + np.linalg.det(np.outer(x, x) + M),
    "factorizations": lambda x: np.sum(np.linalg.inv(M + np.diag(x))) + np.linalg.slogdet(M @ M.T + np.outer(x, x))[1],
    "assignment": written_into,
    "reductions": lambda x: np.max(x) + np.prod(x) + np.std(x) + np.linalg.norm(x) + np.mean(np.tanh(M @ x)),
    "indices": lambda x: np.sum(x[np.array([0, 1, 1])] * np.array([1.0, 2, 3])) + x[x > 0][0] ** 2,
    "special functions": lambda x: np.sum(scipy.special.gammaln(np.abs(x)) + scipy.special.expit(x) * np.cbrt(x)),
    "order": lambda x: np.sum(np.cumsum(x) * np.sort(x)) + np.einsum("i,j,ij->", x, x, M),
    "choice": lambda x: np.sum(np.where(x > 0, np.log(np.abs(x)), x**3)) + (x[0] ** 3 if x[0] > 0 else x[1]),
    "scan": lambda x: cr.scan(lambda c, z: (np.tanh(c * z + x[0]), c), 0.3, x)[0],
    "while": lambda x: cr.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x[0]), (0, x[1]))[1],
    "cond": lambda x: cr.cond(x[0] > 0, lambda x: x[0] * x[1], lambda x: x[0], x),
    "checkpoint": lambda x: np.sum(cr.checkpoint(lambda z: np.sin(z) ** 2)(x)),
}
TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": cr.grad,
    "jacobian of grad": lambda f: cr.jacobian(cr.grad(f)),
    "eliminate": lambda f: cr.jacobian(f, mode="eliminate"),
    "jvp": lambda f: lambda x: cr.jvp(f, (x,), (x,))[1],
    "vjp": lambda f: lambda x: cr.vjp(f, x)[0],
    "hvp": lambda f: lambda x: cr.hvp(f, (x,), (x,)),
    "jit": lambda f: cr.jit(cr.grad(f)),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", FUNCTIONS_OF_X)
def test_derivatives(name: str, transform: str, make: Any) -> None:
    f = TRANSFORMS[transform](FUNCTIONS_OF_X[name])
    assert_same(f(make(X)), f(X), type(make(X)))


@pytest.mark.parametrize("name", ["elementwise", "assignment", "indices"])
def test_arrays_that_cannot_be_written_into(name: str) -> None:
    make = maker("jax")
    f = cr.grad(FUNCTIONS_OF_X[name])
    assert_same(f(make(X)), f(X), type(make(X)))


@pytest.mark.parametrize("name", FUNCTIONS_OF_X)
def test_vmap(name: str, make: Any) -> None:
    f = cr.vmap(cr.grad(FUNCTIONS_OF_X[name]), in_axes=1, out_axes=1)
    rows = np.stack([X, -X, X[::-1]]).T
    assert_same(f(make(rows)), f(rows), type(make(rows)))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", [name for name, op in ir.REGISTRY.items() if op.samples is not None])
def test_every_op(name: str, library: str) -> None:
    """From the one definition that an op has, with NumPy's dtypes and shapes."""
    make, op = maker(library), ir.REGISTRY[name]
    assert op.samples is not None
    for values, params in op.samples(np.random.default_rng(0)):
        with np.errstate(all="ignore"):
            expected = op.evaluate(*values, **params)
            found = op.evaluate(*(wrap(make(np.asarray(value))) for value in values), **params)
        pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
        for one, two in pairs:
            assert (one.shape, one.dtype) == (two.shape, two.dtype)
            one = np.asarray(one)
            if any(part in name for part in ("svd", "eig", "qr", "schur")):  # signs are the library's choice
                one, two = np.abs(one), np.abs(two)
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def test_the_library_does_the_work(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(home: Foreign, function: Any, *_: Any) -> Any:
        raise AssertionError(f"NumPy computes {function}")

    monkeypatch.setattr(namespaces, "_by_numpy", refuse)
    for name in ("elementwise", "assignment", "reductions", "choice"):
        cr.grad(FUNCTIONS_OF_X[name])(make(X))
    cr.hessian(lambda w: np.sum(np.tanh(M @ w[:, None]) ** 2))(make(X))


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    make, dask = maker("dask"), pytest.importorskip("dask")

    def scheduler(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("computed")

    def f(w: Any, x: Any) -> Any:
        return np.sum(np.tanh(x @ w) ** 2 + scipy.special.erf(x @ w))

    rows = np.outer(np.arange(4.0), X)
    with dask.config.set(scheduler=scheduler):
        found = cr.grad(f)(make(X), make(rows))
    np.testing.assert_allclose(np.asarray(found), cr.grad(f)(X, rows), rtol=1e-12)


# -- structures, dtypes, memory ------------------------------------------------------------------------


def test_structures_and_other_arguments(make: Any) -> None:
    kind = type(make(X))
    found = cr.grad(lambda p, y: np.sum(p["a"] * p["b"][0] * y))({"a": make(X), "b": [make(2 * X)]}, make(M[0]))
    assert_same(found["a"], 2 * X * M[0], kind)
    assert_same(found["b"][0], X * M[0], kind)
    (value, aux), gradient = cr.value_and_grad(lambda x: (np.sum(x**2), (x, 2.0)), has_aux=True)(make(X))
    assert_same(value, np.sum(X**2), kind)
    assert_same(aux[0], X, kind)
    assert aux[1] == 2.0
    assert_same(gradient, 2 * X, kind)
    constant = make(M[0])
    assert_same(cr.grad(lambda x: np.sum(x * constant))(make(X)), M[0], kind)
    assert_same(cr.grad(lambda x: np.sum(x * 2.0) + np.sum(np.ones(2) * x))(make(X)), np.full(2, 3.0), kind)
    assert_same(cr.jacobian(lambda x: np.ones(2))(make(X)), np.zeros((2, 2)), kind)


@pytest.mark.parametrize("library", ["torch", "dask", "jax"])  # strict's operators refuse other arrays on their right
def test_captured_on_the_left(library: str) -> None:
    make = maker(library)
    w = make(M[0])
    for f in (lambda x: np.sum(w * x), lambda x: w @ x, lambda x: np.sum(np.multiply(w, x))):
        assert_same(cr.grad(f)(make(X)), M[0], type(w))
        assert_same(cr.grad(f)(X), M[0], type(w))
        assert_same(cr.jit(cr.grad(f))(X), M[0], type(w))


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_dtypes_are_kept(dtype: str, torch_array: Any) -> None:
    def f(x: Any) -> Any:
        return np.sum(np.abs(2.5 * np.sin(x) + x**2 / 3))

    x = X.astype(dtype)
    found, expected = cr.grad(f)(torch_array(x)), cr.grad(f)(x)
    assert np.asarray(found).dtype == dtype
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-2 if dtype == "float16" else 1e-5)


def test_promotion_is_that_of_numpy(torch_array: Any) -> None:
    x, w = torch_array(X.astype("float32")), torch_array(np.array(2.0))
    y = cr.vjp(lambda x: x * w, x)[0]  # PyTorch itself would have float32
    assert np.asarray(y).dtype == np.float64
    assert np.asarray(cr.vjp(lambda x: x * 2.0, x)[0]).dtype == np.float32
    assert np.asarray(cr.grad(lambda x: x**3)(torch_array(np.array(2)))).dtype == np.float64


def test_results_share_no_memory(torch_array: Any) -> None:
    x = torch_array(X)
    y, pullback = cr.vjp(lambda x: (x.reshape(1, 2), x[::-1], x, x.T), x)
    for part in y:
        part[...] = 7.0
    assert x.tolist() == X.tolist()
    (bar,) = pullback(y)
    assert bar.tolist() == [28.0, 28.0]
    _, pullback = cr.vjp(lambda x: np.sum(x**2), x)
    x[...] = 100.0  # after the trace
    assert pullback(1.0)[0].tolist() == (2 * X).tolist()


def test_views_are_those_of_numpy(torch_array: Any) -> None:
    def f(x: Any) -> Any:
        z = np.copy(x)
        tail, turned = z[1:], z.reshape(2, 1).T
        tail[...] = x[0] * 5
        z[0] = x[1] ** 2
        return np.sum(turned * np.array([1.0, 10.0]))

    assert cr.grad(f)(torch_array(X)).tolist() == cr.grad(f)(X).tolist() == [50.0, -2.4]


def test_custom_rules(make: Any) -> None:
    @cr.custom_vjp
    def sine(x: Any) -> Any:
        return np.sin(x)

    sine.defvjp(lambda x: (np.sin(x), x), lambda x, y_bar: (3 * y_bar * np.cos(x),))
    assert_same(cr.grad(lambda x: np.sum(sine(x)))(make(X)), 3 * np.cos(X), type(make(X)))


def test_graphs(make: Any) -> None:
    def f(x: Any) -> Any:
        return np.sum(np.sin(x) * x)

    g, same = (cr.trace(f, x) for x in (X, make(X)))
    assert str(g) == str(same)
    kind = type(make(X))
    assert_same(g.evaluate(make(X)), g.evaluate(X), kind)
    assert_same(g.derivative("reverse").evaluate(make(2 * X)), g.derivative("reverse").evaluate(2 * X), kind)
    assert "∂" in str(cr.explain(f, make(X)))
    assert cr.check_derivatives(f, make(X)).error < 1e-6


def test_errors(torch_array: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(DtypeError, match="bfloat16: NumPy has no such numbers"):
        cr.grad(np.sum)(torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises(DtypeError, match="an array of int64 does not exist"):
        cr.grad(np.sum)(torch.ones(2, dtype=torch.int64))
    with pytest.raises(UnsupportedError, match=r"cannot be given to NumPy .*requires grad"):
        cr.grad(lambda x: np.sum(np.cbrt(x)))(torch_array(X).requires_grad_())
    with pytest.raises(UnsupportedError, match=r"torch.sin\(x\) does not take traced values"):
        cr.grad(lambda x: torch.sin(x).sum())(torch_array(X))
    monkeypatch.setattr(namespaces, "_compat", lambda: None)
    with pytest.raises(DtypeError, match="install array-api-compat"):
        cr.grad(np.sum)(torch_array(X))


# -- traced arrays and the array API -------------------------------------------------------------------

P = np.array([[0.5, -1.2, 0.7], [2.0, 0.3, -0.4]])
UNARY = """
    acos asin atanh abs acosh asinh atan ceil conj cos cosh exp expm1 floor imag isfinite isinf isnan log log10
    log1p log2 negative positive real reciprocal round sign signbit sin sinh sqrt square tan tanh trunc
"""
BINARY = """
    add atan2 copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp maximum
    minimum multiply nextafter not_equal pow remainder subtract
"""
CALLS = """
    xp.arange(3) * x
    xp.asarray(x)
    xp.asarray([x[0, 0], 1.0])
    xp.astype(x, xp.float32)
    xp.empty_like(x) * 0 + x
    xp.eye(2) @ x
    xp.full((2,), 2.0) @ x
    xp.full_like(x, 3.0) * x
    xp.linspace(0, 1, 3) * x
    xp.meshgrid(x[0], x[1])[0]
    xp.ones(3) * x + xp.ones_like(x) + xp.zeros((2, 3)) + xp.zeros_like(x)
    xp.tril(x) + xp.triu(x)
    xp.can_cast(x.dtype, xp.float64) * x
    xp.finfo(x.dtype).eps * x
    xp.isdtype(x.dtype, "real floating") * x
    xp.astype(x, xp.result_type(x, xp.float64))
    xp.broadcast_arrays(x, x[:1])[1]
    xp.broadcast_to(x, (2, 2, 3))
    xp.clip(x, -1, 1)
    xp.concat([x, x], axis=1)
    xp.expand_dims(x, axis=1)
    xp.flip(x, axis=0)
    xp.moveaxis(x, 0, 1)
    xp.permute_dims(x, (1, 0))
    xp.repeat(x, 2, axis=0)
    xp.reshape(x, (3, 2))
    xp.roll(x, 1, axis=1)
    xp.squeeze(x[None], axis=0)
    xp.stack([x, x])
    xp.tile(x, (2, 1))
    xp.unstack(x)[1]
    xp.matmul(x, xp.matrix_transpose(x))
    xp.tensordot(x, x, axes=2)
    xp.vecdot(x, x)
    xp.take(x, xp.asarray([0, 1]), axis=1)
    xp.take_along_axis(x, xp.asarray([[0], [1]]), axis=1)
    xp.searchsorted(xp.asarray([0.0, 1.0]), x[0]) + x[0]
    x[xp.nonzero(x > 0)]
    xp.where(x > 0, x, 0 * x)
    xp.argmax(x, axis=1) * x[0, 0] + xp.argmin(x, axis=1)
    xp.count_nonzero(x > 0) * x
    xp.unique_values(x)
    xp.unique_counts(x).values
    xp.argsort(x, axis=1) * x
    xp.sort(x, axis=1)
    xp.cumulative_sum(x, axis=1)
    xp.cumulative_prod(x, axis=1)
    xp.max(x, axis=1) + xp.min(x)
    xp.mean(x, axis=0, keepdims=True)
    xp.prod(x, axis=1)
    xp.std(x, axis=1, correction=1) + xp.var(x, correction=1.0)
    xp.sum(x, axis=(0, 1))
    (xp.all(x > 0) | xp.any(x > 0)) * x
    xp.diff(x, axis=1)
    xp.logical_and(x > 0, x < 1) * x
    xp.bitwise_and(xp.asarray([1, 2, 3]), xp.asarray([1, 1, 1])) * x
    xp.linalg.cholesky(x @ x.T)
    xp.linalg.cross(x[0], x[1])
    xp.linalg.det(x @ x.T)
    xp.linalg.diagonal(x)
    xp.linalg.eigh(x @ x.T).eigenvalues
    xp.linalg.eigvalsh(x @ x.T)
    xp.linalg.inv(x @ x.T)
    xp.linalg.matmul(x, x.T)
    xp.linalg.matrix_norm(x)
    xp.linalg.matrix_power(x @ x.T, 2)
    xp.linalg.matrix_transpose(x)
    xp.linalg.outer(x[0], x[1])
    xp.linalg.pinv(x)
    xp.linalg.slogdet(x @ x.T).logabsdet
    xp.linalg.solve(x @ x.T, x)
    xp.linalg.svdvals(x)
    xp.linalg.tensordot(x, x, axes=2)
    xp.linalg.trace(x)
    xp.linalg.vecdot(x, x)
    xp.linalg.vector_norm(x, axis=1)
    xp.abs(xp.fft.fft(x))
    x.to_device(x.device)
"""
NAMES = [line.strip() for line in CALLS.strip().splitlines()]
NAMES += [f"xp.{name}({'x / 3' if name in ('acos', 'asin', 'atanh') else 'abs(x) + 1'})" for name in UNARY.split()]
NAMES += [f"xp.{name}(abs(x), 2 * abs(x) + 0.1)" for name in BINARY.split()]


@pytest.mark.parametrize("call", NAMES)
def test_the_functions_of_the_standard(call: str) -> None:
    compat = importlib.import_module("array_api_compat")
    f = eval(f"lambda xp, x: {call}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = f(np, P)

    def traced(x: Any) -> Any:
        return f(compat.array_namespace(x), x)

    used = call.removeprefix("xp.abs(").partition("(")[0].removeprefix("xp.") or "abs"
    extension, _, name = used.rpartition(".")
    function = (
        getattr(getattr(np, extension), name, None) if extension in ("linalg", "fft") else getattr(np, used, None)
    )
    has_rule = function is None or isinstance(function, np.ufunc) or function in FUNCTIONS
    if not has_rule and (extension in ("linalg", "fft") or used.startswith("unique")):
        with pytest.raises(UnsupportedError, match="has no rule"):
            cr.vjp(traced, P)
        return
    found = cr.vjp(traced, P)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    assert found.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(cr.jit(traced)(P), expected, rtol=1e-12, atol=1e-14)
    if found.dtype.kind in "fc" and name not in ("ceil", "floor", "round", "trunc", "nextafter"):
        cr.check_derivatives(traced, P, order=1)


def test_the_namespace_of_traced_arrays() -> None:
    compat = importlib.import_module("array_api_compat")

    def f(x: Any) -> Any:
        xp = compat.array_namespace(x, np.ones(2), x * 2)  # with plain arrays too
        assert xp == x.__array_namespace__(api_version="2023.12")
        assert hash(xp) == hash(x.__array_namespace__())
        assert compat.is_array_api_obj(x)
        assert xp.asarray(x) is x
        assert xp.asarray(x, copy=True) is not x
        out = x.__array_namespace__().zeros(3)
        out[:2] = xp.sin(x)
        return xp.sum(out)

    np.testing.assert_allclose(cr.grad(f)(X), np.cos(X))
    np.testing.assert_allclose(cr.jit(cr.grad(f))(X), np.cos(X))
    with pytest.raises(ValueError, match="1900.01"):
        cr.grad(lambda x: x.__array_namespace__(api_version="1900.01").sum(x))(X)
