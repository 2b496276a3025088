"""Complex numbers, in JAX's convention: the gradient of a real function is ∂/∂x - i ∂/∂y."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DtypeError, NotDifferentiableError
from chainrule.ir import REGISTRY
from chainrule.tracing import TracedArray, record
from chainrule.types import Spec

MODES = ("forward", "reverse", "eliminate")
Z = np.array([1 + 2j, -0.5 + 0.3j, 0.7 - 1.1j])
RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3)) + 3 * np.eye(3)
B = RNG.normal(size=(3, 2)) + 1j * RNG.normal(size=(3, 2))


def by_parts(f: Callable[..., Any], z: Any) -> np.ndarray:
    """∂f/∂x - i ∂f/∂y by central differences."""
    z = np.asarray(z)
    found = np.zeros(z.shape, complex)
    h = 1e-6
    for index in np.ndindex(z.shape):
        e = np.zeros(z.shape, complex)
        e[index] = h
        found[index] = (f(z + e) - f(z - e) - 1j * (f(z + 1j * e) - f(z - 1j * e))) / (2 * h)
    return found


REAL: dict[str, Callable[..., Any]] = {
    "abs": lambda z: np.sum(np.abs(z)),
    "square of abs": lambda z: np.sum(np.abs(z) ** 2),
    "real": lambda z: np.sum(np.real(z * z)),
    "imag": lambda z: np.sum(np.imag(np.exp(z))),
    "attributes": lambda z: np.sum(z.real * z.imag**2),
    "angle": lambda z: np.sum(np.angle(z) ** 2),
    "conj": lambda z: np.real(np.sum(np.conj(z) * z[::-1] ** 2)),
    "vdot": lambda z: np.abs(np.vdot(z, z * z)),
    "norm": lambda z: np.linalg.norm(z),
    "sign": lambda z: np.real(np.sum(np.sign(z) * z)) + np.sum(np.imag(np.sign(z))),
    "power": lambda z: np.abs(np.sum(z ** (2 - 1j))),
    "mixed": lambda z: np.sum(np.real(z)) * np.abs(np.prod(z)) + np.sum(np.arange(3) * np.imag(z)),
    "variance": lambda z: np.var(z) + np.std(z.real),
    "where": lambda z: np.sum(np.abs(np.where(np.real(z) > 0, z * z, np.conj(z)))),
    "indexed": lambda z: np.abs(z[np.array([0, 0, 2])]).sum() + np.real(z[1:] @ z[:2]),
}

HOLOMORPHIC: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "square": (lambda z: z * z, lambda z: 2 * z),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda z: 1 / z),
    "sqrt": (np.sqrt, lambda z: 0.5 / np.sqrt(z)),
    "sin": (np.sin, np.cos),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "quotient": (lambda z: (z + 1j) / (z - 2), lambda z: -(2 + 1j) / (z - 2) ** 2),
    "power": (lambda z: z**3, lambda z: 3 * z**2),
    "complex power": (lambda z: z ** (1 + 1j), lambda z: (1 + 1j) * z**1j),
    "constant base": (lambda z: 2**z, lambda z: np.log(2) * 2**z),
}


@pytest.mark.parametrize("name", REAL)
def test_gradient_of_real_functions(name: str) -> None:
    f = REAL[name]
    found = cr.grad(f)(Z)
    assert found.dtype == np.complex128
    np.testing.assert_allclose(found, by_parts(f, Z), rtol=1e-8, atol=1e-8)
    cr.check_derivatives(f, Z)


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_holomorphic_functions(name: str) -> None:
    f, slope = HOLOMORPHIC[name]
    expected = slope(Z)
    v = np.array([1j, 2.0, 1 - 1j])
    np.testing.assert_allclose(cr.jvp(f, (Z,), (v,))[1], expected * v, rtol=1e-14)
    np.testing.assert_allclose(cr.vjp(f, Z)[1](v)[0], expected * v, rtol=1e-14)  # without conjugation
    for mode in MODES:
        np.testing.assert_allclose(cr.jacobian(f, mode=mode)(Z), np.diag(expected), rtol=1e-14)


@pytest.mark.parametrize("order", range(1, 5))
def test_holomorphic_orders(order: int) -> None:
    f = np.exp
    for _ in range(order):
        f = cr.jacobian(f)
    assert f(0.3 + 1j) == pytest.approx(np.exp(0.3 + 1j), rel=1e-14)


def test_known_gradients() -> None:
    """|z|² has the gradient 2 conj(z): a step against its conjugate goes down."""
    assert cr.grad(lambda z: np.abs(z) ** 2)(3 + 4j) == pytest.approx(6 - 8j)
    assert cr.grad(np.real)(1j) == 1
    assert cr.grad(np.imag)(1j) == -1j
    assert cr.grad(np.abs)(3 + 4j) == pytest.approx(0.6 - 0.8j)
    assert cr.grad(np.abs)(0j) == 0
    assert cr.grad(lambda z: np.angle(z))(1j) == pytest.approx(-1)
    assert cr.jvp(np.conj, (1 + 2j,), (1 + 1j,))[1] == 1 - 1j
    assert cr.vjp(np.conj, 1 + 2j)[1](1 + 1j)[0] == 1 - 1j


def test_descent() -> None:
    target = Z.copy()
    z = np.zeros(3, complex)
    for _ in range(60):
        z = z - 0.4 * np.conj(cr.grad(lambda z: np.sum(np.abs(z - target) ** 2))(z))
    np.testing.assert_allclose(z, target, rtol=1e-12)


# -- real and complex together -----------------------------------------------------------------------------


def test_real_arguments_have_real_gradients() -> None:
    def f(x, z):
        return np.abs(np.sum(x * z)) ** 2 + np.sum(np.real(np.exp(1j * x)))

    x = np.array([0.5, -1.0, 2.0])
    by_x, by_z = cr.grad(f, (0, 1))(x, Z)
    assert by_x.dtype == np.float64
    assert by_z.dtype == np.complex128
    np.testing.assert_allclose(by_x, 2 * np.real(np.conj(np.sum(x * Z)) * Z) - np.sin(x), rtol=1e-13)
    np.testing.assert_allclose(by_z, 2 * np.conj(np.sum(x * Z)) * x, rtol=1e-13)
    cr.check_derivatives(f, x, Z)


def test_real_to_complex() -> None:
    x = np.array([0.5, -1.0])
    y, y_dot = cr.jvp(lambda x: np.exp(1j * x), (x,), (np.ones(2),))
    np.testing.assert_allclose(y_dot, 1j * y, rtol=1e-15)
    _, pullback = cr.vjp(lambda x: np.exp(1j * x), x)
    bar = np.array([1 + 1j, 2j])
    (x_bar,) = pullback(bar)
    assert x_bar.dtype == np.float64
    np.testing.assert_allclose(x_bar, np.real(bar * 1j * y), rtol=1e-15)
    for mode in MODES:
        np.testing.assert_allclose(cr.jacobian(lambda x: np.real(np.exp(1j * x)), mode=mode)(x),
                                   np.diag(-np.sin(x)), rtol=1e-15)  # fmt: skip


def test_hessian_through_complex_numbers() -> None:
    x = np.array([0.5, -1.0])
    found = cr.hessian(lambda x: np.abs(np.sum(np.exp(1j * x))) ** 2)(x)  # 2 + 2 cos(x0 - x1)
    c = -2 * np.cos(1.5)
    np.testing.assert_allclose(found, [[c, -c], [-c, c]], rtol=1e-13)


def test_single_precision() -> None:
    z = Z.astype(np.complex64)
    assert cr.grad(lambda z: np.sum(np.abs(z)))(z).dtype == np.complex64
    assert cr.jvp(np.exp, (z,), (z,))[1].dtype == np.complex64
    value, gradient = cr.value_and_grad(lambda x: np.abs(np.sum(x * 1j)))(np.ones(2, np.float32))
    assert (value.dtype, gradient.dtype) == (np.float32, np.float32)


def test_python_numbers() -> None:
    found = cr.grad(lambda z: np.abs(z) ** 2)(1 + 2j)
    assert type(found) is np.complex128
    assert cr.grad(lambda p: np.abs(p["z"] * p["x"]))({"z": 3 + 4j, "x": 2.0})["x"] == pytest.approx(5.0)


def test_refusals() -> None:
    with pytest.raises(NotDifferentiableError, match="real scalar, got complex128"):
        cr.grad(np.exp)(1j)
    with pytest.raises(DtypeError, match="tangent: complex, but the value is float64"):
        cr.jvp(np.exp, (1.0,), (1j,))
    with pytest.raises(DtypeError, match="cotangent: complex, but the value is float64"):
        cr.vjp(np.abs, 1j)[1](1j)


# -- matrices --------------------------------------------------------------------------------------------

MATRICES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "matmul": (lambda a, b: a @ b, (A, B)),
    "adjoint": (lambda a: a.conj().T @ a, (A,)),
    "einsum": (lambda a, b: np.einsum("ij,jk->k", a, np.conj(b)), (A, B)),
    "inv": (np.linalg.inv, (A,)),
    "solve": (np.linalg.solve, (A, B)),
    "solve a real system": (lambda a, b: np.linalg.solve(a, b), (A.real.copy(), B)),
    "det": (np.linalg.det, (A,)),
    "slogdet": (lambda a: tuple(np.linalg.slogdet(a)), (A,)),
    "cholesky": (lambda a: np.linalg.cholesky(a @ a.conj().T + np.eye(3)), (A,)),
    "trace": (lambda a: np.trace(a @ a) * a, (A,)),
    "outer": (lambda z: np.outer(z, np.conj(z)), (Z,)),
    "kron": (lambda z: np.kron(z, z), (Z,)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_matrices(name: str) -> None:
    f, args = MATRICES[name]
    assert cr.check_derivatives(f, *args).error < 1e-6


@pytest.mark.parametrize("name", MATRICES)
def test_matrices_against_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    twins: dict[str, Callable[..., Any]] = {
        "matmul": lambda a, b: a @ b,
        "adjoint": lambda a: a.conj().T @ a,
        "einsum": lambda a, b: jnp.einsum("ij,jk->k", a, jnp.conj(b)),
        "inv": jnp.linalg.inv,
        "solve": jnp.linalg.solve,
        "solve a real system": jnp.linalg.solve,
        "det": jnp.linalg.det,
        "slogdet": lambda a: tuple(jnp.linalg.slogdet(a)),
        "cholesky": lambda a: jnp.linalg.cholesky(a @ a.conj().T + jnp.eye(3)),
        "trace": lambda a: jnp.trace(a @ a) * a,
        "outer": lambda z: jnp.outer(z, jnp.conj(z)),
        "kron": lambda z: jnp.kron(z, z),
    }
    f, args = MATRICES[name]
    rng = np.random.default_rng(1)
    y, pullback = cr.vjp(f, *args)
    z, jax_pullback = jax.jit(lambda *args: jax.vjp(twins[name], *args))(*args)
    several = isinstance(y, tuple)
    values = y if several else (y,)
    bars = tuple((rng.normal(size=np.shape(v)) + (1j * rng.normal(size=np.shape(v)) if np.iscomplexobj(v) else 0))[()]
                 for v in values)  # fmt: skip
    for one, two in zip(values, z if several else (z,), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)
    jax_bars = tuple(map(jnp.asarray, bars))
    expected = jax_pullback(jax_bars if several else jax_bars[0])
    for one, two in zip(pullback(bars if several else bars[0]), expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", [*MODES, "auto"])
def test_jacobian_of_a_complex_result_keeps_its_imaginary_part(mode: str) -> None:
    x = np.array([0.5, -1.0])
    np.testing.assert_allclose(cr.jacobian(lambda x: np.exp(1j * x) * x[0], mode=mode)(x),
                               np.exp(1j * x)[:, None] * (1j * x[0] * np.eye(2) + [1, 0]), rtol=1e-14)  # fmt: skip
    total = cr.jacobian(lambda x: np.sum(np.exp(1j * x)), mode=mode)  # one result: reverse, if the choice is free
    np.testing.assert_allclose(total(x), 1j * np.exp(1j * x), rtol=1e-14)
    assert total(x.astype(np.float32)).dtype == np.complex64
    np.testing.assert_allclose(total(0.5), 1j * np.exp(0.5j), rtol=1e-14)


@pytest.mark.parametrize("mode", [*MODES, "auto"])
def test_jacobian_of_real_results_has_the_convention_of_grad(mode: str) -> None:
    def f(z):
        return np.abs(z * z[::-1]) + z.imag

    expected = np.stack([cr.grad(lambda z, k=k: f(z)[k])(Z) for k in range(3)])
    np.testing.assert_allclose(cr.jacobian(f, mode=mode)(Z), expected, rtol=1e-13)
    np.testing.assert_allclose(expected[0], by_parts(lambda z: f(z)[0], Z), rtol=1e-8)
    by_abs, by_square = cr.jacobian(lambda z: (np.abs(z), z * z), mode=mode)(Z[0])
    np.testing.assert_allclose(by_abs, np.conj(Z[0]) / np.abs(Z[0]), rtol=1e-14)
    np.testing.assert_allclose(by_square, 2 * Z[0], rtol=1e-14)


# -- every op -----------------------------------------------------------------------------------------------


def complexified(value: Any, rng: np.random.Generator) -> Any:
    if np.asarray(value).dtype.kind != "f":
        return value
    return (value + 0.3j * rng.uniform(0.2, 1.0, np.shape(value)) * rng.choice([-1, 1], np.shape(value)))[()]


def every_op() -> list[Any]:
    """Return one complex sample of each op that takes complex numbers."""
    found = []
    for name, op in REGISTRY.items():
        rng = np.random.default_rng(3)
        if "D" not in op.dtypes or op.samples is None or name == "stop_gradient":
            continue
        for values, params in op.samples(rng):
            sizes = [np.size(v) for v in values if np.asarray(v).dtype.kind == "f"]
            several = isinstance(op.infer(*map(Spec.of, map(np.asarray, values)), **params), tuple)
            if sizes and min(sizes) > 1 and not several:  # those of several results have tests of their own
                args = [complexified(np.asarray(v), rng) for v in values]
                if name == "cholesky":  # a Hermitian matrix
                    args = [args[0] @ np.conj(np.swapaxes(args[0], -1, -2))]
                found.append(pytest.param(op, args, params, id=name))
                break
    return found


def real_function(op: Any, args: list[Any], params: dict[str, Any]) -> tuple[Callable[..., Any], list[Any]]:
    """Return a real function of an op's complex arguments, and these."""
    places = [k for k, arg in enumerate(args) if np.asarray(arg).dtype.kind == "c"]
    rng = np.random.default_rng(5)
    shape = np.shape(op.evaluate(*args, **params))
    weights = rng.normal(size=shape) + 1j * rng.normal(size=shape)

    def f(*z: Any) -> Any:
        filled = list(args)
        for k, each in zip(places, z, strict=True):
            filled[k] = each
        if op.name in ("cholesky", "eigvalsh", "mirrored"):
            filled[0] = (filled[0] + np.conj(np.swapaxes(filled[0], -1, -2))) / 2
        y = record(op, *filled, **params) if any(isinstance(z, TracedArray) for z in filled) else op.evaluate(
            *filled, **params)  # fmt: skip
        return np.sum(np.real(weights * y)) + np.sum(np.abs(y) ** 2) / 4

    return f, [args[k] for k in places]


@pytest.mark.parametrize(("op", "args", "params"), every_op())
def test_every_op_of_complex_numbers_in_every_way(op: Any, args: list[Any], params: dict[str, Any]) -> None:
    """The gradient of a real function against differences; then all other ways against the gradient."""
    f, zs = real_function(op, args, params)
    rng = np.random.default_rng(7)
    tangents = tuple(rng.normal(size=z.shape) + 1j * rng.normal(size=z.shape) for z in zs)
    where = tuple(range(len(zs)))
    gradient = cr.grad(f, where)(*zs)

    def paired(bars: Any) -> float:
        return float(sum(np.real(np.sum(bar * dot)) for bar, dot in zip(bars, tangents, strict=True)))

    def moved(g: Callable[..., Any], h: float) -> Any:
        return g(*(z + h * dot for z, dot in zip(zs, tangents, strict=True)))

    h = 1e-4
    slope = (moved(f, -2 * h) - 8 * moved(f, -h) + 8 * moved(f, h) - moved(f, 2 * h)) / (12 * h)
    assert paired(gradient) == pytest.approx(slope, rel=1e-7, abs=1e-8)
    assert cr.jvp(f, tuple(zs), tangents)[1] == pytest.approx(paired(gradient), rel=1e-11, abs=1e-12)
    for mode in MODES:
        for one, two in zip(cr.jacobian(f, where, mode=mode)(*zs), gradient, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-11)
    for one, two in zip(cr.jit(cr.grad(f, where))(*zs), gradient, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-12)
    batch = [np.stack([z, 1.01 * z]) for z in zs]
    for one, two in zip(cr.vmap(cr.grad(f, where))(*batch), gradient, strict=True):
        np.testing.assert_allclose(one[0], two, rtol=1e-10, atol=1e-11)
    second = cr.jvp(cr.grad(f, where), tuple(zs), tangents)[1]
    rates = zip(*(moved(cr.grad(f, where), k * h) for k in (-2, -1, 1, 2)), strict=True)
    for one, (a, b, c, d) in zip(second, rates, strict=True):
        np.testing.assert_allclose(one, (a - 8 * b + 8 * c - d) / (12 * h), rtol=1e-6, atol=1e-6)


# -- conventions beside those of other libraries ------------------------------------------------------------

CONVENTIONS: dict[str, tuple[Callable[..., Any], complex, complex]] = {
    "|z|²": (lambda np, z: np.abs(z) ** 2, 6 - 8j, 6 + 8j),
    "Re z": (lambda np, z: np.real(z), 1, 1),
    "Im z": (lambda np, z: np.imag(z), -1j, 1j),
    "Re z²": (lambda np, z: np.real(z * z), 6 + 8j, 6 - 8j),
    "|z|": (lambda np, z: np.abs(z), 0.6 - 0.8j, 0.6 + 0.8j),
    "z²": (lambda np, z: z * z, 6 + 8j, 6 - 8j),
    "conj z": (lambda np, z: np.conj(z), 1, 1),
}
"""Function, the derivative at 3 + 4j here and in JAX and autograd, the one in PyTorch (of a cotangent of 1)."""


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_of_other_libraries(name: str) -> None:
    """docs/conventions.md has this table."""
    f, expected, torchs = CONVENTIONS[name]
    z = 3 + 4j
    is_real = not np.iscomplexobj(f(np, z))
    (bar,) = cr.vjp(lambda z: f(np, z), z)[1](1.0 if is_real else 1.0 + 0j)
    assert bar == pytest.approx(expected)
    if is_real:
        assert cr.grad(lambda z: f(np, z))(z) == pytest.approx(expected)
    elif name == "z²":
        assert cr.jacobian(lambda z: f(np, z))(z) == pytest.approx(expected)
    jax = pytest.importorskip("jax")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    one = jax.numpy.asarray(1.0 if is_real else 1.0 + 0j)
    assert complex(jax.vjp(lambda z: f(jax.numpy, z), jax.numpy.asarray(z))[1](one)[0]) == pytest.approx(expected)
    autograd = pytest.importorskip("autograd")
    pull, _ = autograd.make_vjp(lambda z: f(importlib.import_module("autograd.numpy"), z))(z)
    assert pull(1.0 if is_real else 1.0 + 0j) == pytest.approx(expected)
    row = f"| `{name}` | "
    page = (Path(__file__).parents[1] / "docs" / "conventions.md").read_text(encoding="utf-8")
    shown = [number_text(part) for part in (expected, torchs)]
    assert f"{row}{shown[0]} | {shown[0]} | {shown[0]} | {shown[1]} |" in page


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    f, _, expected = CONVENTIONS[name]
    z = torch.tensor(3 + 4j, dtype=torch.complex128, requires_grad=True)
    y = f(torch, z)
    y.backward(torch.ones_like(y))
    assert z.grad.item() == pytest.approx(expected)


def number_text(z: complex) -> str:
    z = complex(z)
    if not z.imag:
        return f"{z.real:g}"
    size = "" if abs(z.imag) == 1 else f"{abs(z.imag):g}"
    sign = "−" if z.imag < 0 else ""
    return f"{sign}{size}i" if not z.real else f"{z.real:g} {'−' if z.imag < 0 else '+'} {size}i"
