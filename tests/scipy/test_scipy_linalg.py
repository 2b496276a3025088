"""scipy.linalg: every function gives SciPy's values and right derivatives, or an error of ours."""

from __future__ import annotations

import contextlib
import inspect
import types
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import chainrule as cr
from chainrule.errors import ChainruleError, UnsupportedError
from chainrule.scipy import linalg

RNG = np.random.default_rng(5)
A = RNG.normal(size=(3, 3)) + 2 * np.diag([1.0, 2.0, 3.0])
B = RNG.normal(size=(3, 3)) + 4 * np.eye(3)
M = RNG.normal(size=(3, 2))
TALL = RNG.normal(size=(4, 2))
WIDE = RNG.normal(size=(2, 4))
SPD = A @ A.T + np.eye(3)
SPD2 = B @ B.T + np.eye(3)
COMPLEX = A + 1j * RNG.normal(size=(3, 3))
V = np.array([2.0, 0.5, -1.0])
W = np.array([3.0, 1.0, 0.5])
STACK = RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3)
BAND = np.array([[0.0, 0.5, -0.3, 0.2], [4.0, 5.0, 4.5, 6.0], [1.0, -1.0, 0.7, 0.0]])
HALF = np.array([[0.0, 0.5, -0.3, 0.2], [4.0, 5.0, 4.5, 6.0]])
LOW = np.array([[4.0, 5.0, 4.5, 6.0], [0.5, -0.3, 0.2, 0.0]])
SIDE = RNG.normal(size=(4, 2))
STABLE = 0.3 * RNG.normal(size=(3, 3))
ORTHOGONAL = np.linalg.qr(RNG.normal(size=(3, 3)))[0]


def hermitian(x: Any) -> Any:
    return 0.5 * (x + np.conj(np.swapaxes(x, -1, -2)))


# name, arguments, options, which arguments are differentiated
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("solve", (A, V), {}, (0, 1)),
    ("solve", (A, M), {"transposed": True}, (0, 1)),
    ("solve", (COMPLEX, M), {}, (0, 1)),
    ("solve", (A, M), {"assume_a": "upper triangular"}, (0, 1)),
    ("solve", (A, M), {"assume_a": "lower triangular", "transposed": True}, (0, 1)),
    ("solve", (A, M), {"assume_a": "tridiagonal"}, (0, 1)),
    ("solve", (A, M), {"assume_a": "diagonal"}, (0, 1)),
    ("solve", (A, M), {"assume_a": "banded"}, (1,)),
    ("solve", (STACK, STACK[..., :2]), {}, (0, 1)),
    ("solve_triangular", (A, V), {}, (0, 1)),
    ("solve_triangular", (A, M), {"lower": True, "unit_diagonal": True}, (0, 1)),
    ("solve_triangular", (A, M), {"trans": 1}, (0, 1)),
    ("solve_triangular", (COMPLEX, M), {"trans": "C", "lower": True}, (0, 1)),
    ("solve_banded", ((1, 1), BAND, SIDE), {}, (1, 2)),
    ("solve_banded", ((1, 1), BAND, SIDE[:, 0]), {}, (1, 2)),
    ("solveh_banded", (HALF, SIDE), {}, (0, 1)),
    ("solveh_banded", (LOW, SIDE[:, 0]), {"lower": True}, (0, 1)),
    ("solve_toeplitz", (W, V), {}, (0, 1)),
    ("solve_toeplitz", ((W, V), M), {}, (0, 1)),
    ("matmul_toeplitz", ((W, V), M), {}, (0, 1)),
    ("matmul_toeplitz", (W, V), {}, (0, 1)),
    ("matmul_toeplitz", ((W, V[:2]), M[:2]), {}, (0, 1)),
    ("solve_circulant", (W, V), {}, (0, 1)),
    ("solve_circulant", (W, M), {}, (0, 1)),
    ("solve_circulant", (COMPLEX[0], V), {}, (0, 1)),
    ("lstsq", (TALL, SIDE), {}, (0, 1)),
    ("lstsq", (TALL, SIDE[:, 0]), {}, (0, 1)),
    ("lstsq", (WIDE, M[:2]), {}, (0, 1)),
    ("inv", (A,), {}, (0,)),
    ("inv", (A,), {"assume_a": "upper triangular"}, (0,)),
    ("det", (A,), {}, (0,)),
    ("det", (STACK,), {}, (0,)),
    ("pinv", (TALL,), {}, (0,)),
    ("pinv", (WIDE,), {"rtol": 1e-9, "atol": 1e-12, "return_rank": True}, (0,)),
    ("lu", (A,), {}, (0,)),
    ("lu", (TALL,), {"permute_l": True}, (0,)),
    ("lu", (WIDE,), {"p_indices": True}, (0,)),
    ("lu_factor", (A,), {}, (0,)),
    ("qr", (A,), {}, (0,)),
    ("qr", (TALL,), {"mode": "economic"}, (0,)),
    ("qr", (WIDE,), {}, (0,)),
    ("qr", (COMPLEX,), {"mode": "r"}, (0,)),
    ("qr", (A,), {"pivoting": True}, (0,)),
    ("rq", (A,), {}, (0,)),
    ("rq", (TALL,), {"mode": "economic"}, (0,)),
    ("rq", (WIDE,), {"mode": "economic"}, (0,)),
    ("rq", (COMPLEX,), {"mode": "r"}, (0,)),
    ("svd", (A,), {}, (0,)),
    ("svd", (TALL,), {"full_matrices": False}, (0,)),
    ("svd", (COMPLEX,), {"compute_uv": False}, (0,)),
    ("svdvals", (WIDE,), {}, (0,)),
    ("eig", (A,), {}, (0,)),
    ("eigvals", (B,), {}, (0,)),
    ("eigvals", (COMPLEX,), {"homogeneous_eigvals": True}, (0,)),
    ("eigh_tridiagonal", (V, W[:2]), {"eigvals_only": True}, (0, 1)),
    ("eigvalsh_tridiagonal", (V, W[:2]), {"select": "i", "select_range": (0, 1)}, (0, 1)),
    ("eigvals_banded", (HALF,), {}, (0,)),
    ("eig_banded", (LOW,), {"lower": True, "eigvals_only": True, "select": "v", "select_range": (-100, 100)}, (0,)),
    ("polar", (A,), {}, (0,)),
    ("polar", (TALL,), {}, (0,)),
    ("polar", (WIDE,), {"side": "left"}, (0,)),
    ("polar", (ORTHOGONAL,), {}, (0,)),
    ("polar", (COMPLEX,), {}, (0,)),
    ("orth", (M[:, :1],), {}, (0,)),
    ("null_space", (A[:2],), {}, (0,)),
    ("subspace_angles", (M[:, :1], TALL[:3, :1]), {}, (0, 1)),
    ("orthogonal_procrustes", (SIDE, TALL), {}, (0, 1)),
    ("norm", (A,), {}, (0,)),
    ("norm", (A, 2), {}, (0,)),
    ("norm", (A, "nuc"), {}, (0,)),
    ("expm", (A,), {}, (0,)),
    ("expm", (COMPLEX,), {}, (0,)),
    ("expm", (STACK,), {}, (0,)),
    ("expm_frechet", (STABLE, B), {}, (0, 1)),
    ("expm_frechet", (STABLE, B), {"compute_expm": False}, (0, 1)),
    ("logm", (B,), {}, (0,)),
    ("sqrtm", (B,), {}, (0,)),
    ("sqrtm", (COMPLEX,), {}, (0,)),
    ("fractional_matrix_power", (SPD, 0.3), {}, (0, 1)),
    ("fractional_matrix_power", (B, 2), {}, (0,)),
    ("signm", (B - 6 * np.diag([1, 0, 0]),), {}, (0,)),
    ("cosm", (A,), {}, (0,)),
    ("sinm", (A,), {}, (0,)),
    ("tanm", (STABLE,), {}, (0,)),
    ("coshm", (A,), {}, (0,)),
    ("sinhm", (A,), {}, (0,)),
    ("tanhm", (A,), {}, (0,)),
    ("cosm", (COMPLEX,), {}, (0,)),
    ("sinm", (COMPLEX,), {}, (0,)),
    ("solve_sylvester", (A, B[:2, :2], M), {}, (0, 1, 2)),
    ("solve_sylvester", (COMPLEX, B[:2, :2] + 0j, M), {}, (0, 1, 2)),
    ("solve_continuous_lyapunov", (B, A), {}, (0, 1)),
    ("solve_lyapunov", (COMPLEX, A), {}, (0, 1)),
    ("solve_discrete_lyapunov", (STABLE, A), {}, (0, 1)),
    ("solve_discrete_lyapunov", (STABLE, A), {"method": "bilinear"}, (0, 1)),
    ("block_diag", (A, V, 2.0, M), {}, (0, 1, 2, 3)),
    ("toeplitz", (V,), {}, (0,)),
    ("toeplitz", (V, W[:2]), {}, (0, 1)),
    ("toeplitz", (COMPLEX[0],), {}, ()),
    ("hankel", (V,), {}, (0,)),
    ("hankel", (V, W), {}, (0, 1)),
    ("circulant", (V,), {}, (0,)),
    ("companion", (W,), {}, (0,)),
    ("convolution_matrix", (V, 4), {}, (0,)),
    ("convolution_matrix", (V, 5), {"mode": "same"}, (0,)),
    ("convolution_matrix", (V, 2), {"mode": "valid"}, (0,)),
    ("leslie", (V, W[:2]), {}, (0, 1)),
    ("fiedler", (V,), {}, (0,)),
    ("khatri_rao", (M, TALL), {}, (0, 1)),
    ("diagsvd", (V, 3, 5), {}, (0,)),
    ("diagsvd", (V, 4, 3), {}, (0,)),
]

# Of matrices of which a triangle is read, along symmetric directions.
SYMMETRIC: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("cholesky", (SPD,), {}),
    ("cholesky", (SPD,), {"lower": True}),
    ("cholesky", (hermitian(COMPLEX) + 9 * np.eye(3),), {}),
    ("cho_factor", (SPD,), {}),
    ("solve", (SPD, M), {"assume_a": "pos"}),
    ("solve", (hermitian(A), M), {"assume_a": "sym", "lower": True}),
    ("solve", (hermitian(COMPLEX), M), {"assume_a": "her"}),
    ("inv", (SPD,), {"assume_a": "pos"}),
    ("pinvh", (SPD,), {}),
    ("eigh", (hermitian(A),), {"driver": "evd"}),
    ("eigh", (hermitian(A),), {"eigvals_only": True}),
    ("eigh", (hermitian(A),), {"subset_by_index": (0, 1), "eigvals_only": True}),
    ("eigvalsh", (hermitian(COMPLEX),), {"lower": False}),
    ("eigvalsh", (hermitian(A),), {"subset_by_value": (-100.0, 3.0)}),
    ("eigvalsh", (hermitian(A), SPD), {}),
    ("eigvalsh", (hermitian(A), SPD), {"type": 2}),
    ("eigvalsh", (hermitian(A), SPD), {"type": 3, "lower": False}),
]
RICCATI = [("solve_continuous_are", (A, M, SPD, SPD2[:2, :2]), {}),
           ("solve_discrete_are", (STABLE, M, SPD, SPD2[:2, :2]), {}),
           ("solve_continuous_are", (A, M, SPD, SPD2[:2, :2]), {"s": 0.1 * M})]  # fmt: skip
OWN_TESTS = {"cho_solve", "lu_solve", "cholesky_banded", "cho_solve_banded", "issymmetric", "ishermitian"}


def leaves(x: Any) -> list[Any]:
    return [leaf for part in x for leaf in leaves(part)] if isinstance(x, tuple | list) else [x]


def same_values(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    found, expected = leaves(found), leaves(expected)
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert np.shape(one) == np.shape(two)
        np.testing.assert_allclose(one, two, rtol=rtol, atol=1e-10)


def check(f: Any, *args: Any) -> None:
    assert cr.check_derivatives(f, *args, entries=4).error < 1e-6


def ids(case: Any) -> str:
    return case[0] if isinstance(case, tuple) else ""


@pytest.mark.filterwarnings("ignore:logm result may be inaccurate")
@pytest.mark.parametrize("case", CASES, ids=ids)
def test_values_and_derivatives(case: Any) -> None:
    name, args, kwargs, places = case
    function = getattr(linalg, name)

    def f(*values: Any) -> Any:
        filled = list(args)
        for place, value in zip(places, values, strict=True):
            filled[place] = value
        return function(*filled, **kwargs)

    chosen = [args[place] for place in places]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's own about the future of vectors as columns
        expected = getattr(scipy.linalg, name)(*args, **kwargs)
    if places:
        same_values(cr.vjp(f, *chosen)[0], expected)
        check(f, *chosen)
    same_values(f(*chosen), expected)


@pytest.mark.parametrize("case", SYMMETRIC, ids=ids)
def test_symmetric_matrices(case: Any) -> None:
    name, args, kwargs = case
    function = getattr(linalg, name)
    count = 2 if len(args) > 1 and args[1].shape == (3, 3) else 1

    def f(*values: Any) -> Any:
        return function(*(hermitian(x) for x in values), *args[count:], **kwargs)

    expected = getattr(scipy.linalg, name)(*args, **kwargs)
    found = cr.vjp(f, *args[:count])[0]
    if name == "cho_factor":
        found, expected = np.triu(found[0]), np.triu(expected[0])  # SciPy leaves the rest as it was
    same_values(found, expected)
    check((lambda *x: np.triu(f(*x)[0])) if name == "cho_factor" else f, *args[:count])
    gradient = cr.grad(lambda x: np.sum(np.abs(leaves(function(x, *args[1:], **kwargs))[0])))(args[0])
    np.testing.assert_allclose(gradient, np.conj(gradient.T) if np.iscomplexobj(gradient) else gradient.T, atol=1e-9)


@pytest.mark.parametrize("case", RICCATI, ids=ids)
def test_riccati(case: Any) -> None:
    name, args, kwargs = case

    def f(a: Any, b: Any, q: Any, r: Any) -> Any:
        return getattr(linalg, name)(a, b, hermitian(q), hermitian(r), **kwargs)

    same_values(cr.vjp(f, *args)[0], getattr(scipy.linalg, name)(*args, **kwargs), 1e-8)
    check(f, *args)


def test_factors_and_solutions() -> None:
    def by_cholesky(a: Any, b: Any, lower: bool) -> Any:
        return linalg.cho_solve(linalg.cho_factor(hermitian(a), lower), b)

    def by_lu(a: Any, b: Any, trans: int) -> Any:
        return linalg.lu_solve(linalg.lu_factor(a), b, trans)

    for lower in (False, True):
        same_values(cr.vjp(lambda a, b, lower=lower: by_cholesky(a, b, lower), SPD, M)[0], np.linalg.solve(SPD, M))
        check(lambda a, b, lower=lower: by_cholesky(a, b, lower), SPD, M)
    for trans, turned in ((0, COMPLEX), (1, COMPLEX.T), (2, COMPLEX.conj().T)):
        same_values(cr.vjp(lambda a, b, t=trans: by_lu(a, b, t), COMPLEX, M)[0], np.linalg.solve(turned, M))
        check(lambda a, b, t=trans: by_lu(a, b, t), COMPLEX, V)
    for band, lower in ((HALF, False), (LOW, True)):
        factor = scipy.linalg.cholesky_banded(band, lower=lower)
        same_values(cr.vjp(lambda x, low=lower: linalg.cholesky_banded(x, lower=low), band)[0], factor)
        f = lambda x, y, low=lower: linalg.cho_solve_banded((linalg.cholesky_banded(x, lower=low), low), y)
        same_values(cr.vjp(f, band, SIDE)[0], scipy.linalg.cho_solve_banded((factor, lower), SIDE))
        check(f, band, SIDE)


def test_generalized_eigenvectors() -> None:
    def f(a: Any, b: Any, kind: int) -> Any:
        w, v = linalg.eigh(hermitian(a), hermitian(b), type=kind)
        return v * np.sign(v[:1]) * np.exp(w)

    for kind in (1, 2, 3):
        w, v = cr.vjp(lambda a, b, k=kind: linalg.eigh(a, b, type=k), hermitian(A), SPD)[0]
        expected = scipy.linalg.eigh(hermitian(A), SPD, type=kind)
        same_values((w, np.abs(v)), (expected[0], np.abs(expected[1])))
        check(lambda a, b, k=kind: f(a, b, k), hermitian(A), SPD)


def test_questions_are_decisions() -> None:
    def f(a: Any) -> Any:
        return np.sum(a**2) if linalg.issymmetric(a) and linalg.ishermitian(a, atol=1e-9) else np.sum(a)

    for slope in (cr.grad(f), cr.jit(cr.grad(f))):
        np.testing.assert_allclose(slope(SPD), 2 * SPD)
        np.testing.assert_allclose(slope(A), np.ones((3, 3)))


def test_exponential_of_any_order() -> None:
    """The derivatives of exp along one direction, against those of exp(a + t e) by mpmath's Taylor series."""
    mpmath = pytest.importorskip("mpmath")
    e = RNG.normal(size=(2, 2))
    a = STABLE[:2, :2]
    f = lambda t: linalg.expm(a + t * e)[0, 1]
    with mpmath.workdps(40):
        exact = lambda t: mpmath.expm(mpmath.matrix(a.tolist()) + t * mpmath.matrix(e.tolist()), "taylor")[0, 1]
        expected = [float(mpmath.diff(exact, 0, n)) for n in range(1, 4)]
    for value in expected:
        f = cr.grad(f)
        assert f(0.0) == pytest.approx(value, rel=1e-9)


def test_jit_vmap_and_single_precision() -> None:
    names = ["expm", "inv", "det", "svdvals", "sqrtm", "pinv"]
    for name in names:
        f = lambda x, g=getattr(linalg, name): np.sum(np.real(g(x)) ** 2)
        expected = cr.grad(f)(STACK[0])
        np.testing.assert_allclose(cr.jit(cr.grad(f))(STACK[0]), expected, rtol=1e-9)
        np.testing.assert_allclose(cr.vmap(cr.grad(f))(STACK)[0], expected, rtol=1e-9)
        single = cr.grad(f)(STACK[0].astype(np.float32))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, expected, rtol=1e-3)
    both = lambda x, y: np.sum(linalg.solve_sylvester(x, x, y))
    found = cr.vmap(cr.grad(both), in_axes=(None, 0))(STACK[0], STACK)
    np.testing.assert_allclose(found[1], cr.grad(both)(STACK[0], STACK[1]), rtol=1e-9)


# -- the module as a whole -----------------------------------------------------------------------------

PUBLIC = [name for name in scipy.linalg.__all__
          if isinstance(getattr(scipy.linalg, name), types.FunctionType | types.BuiltinFunctionType)]  # fmt: skip


def test_every_twin_has_a_test() -> None:
    tested = {name for name, *_ in (*CASES, *SYMMETRIC, *RICCATI)} | OWN_TESTS
    assert set(linalg.__all__) <= tested
    assert set(linalg.__all__) <= set(PUBLIC)


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - set(linalg.__all__)))
def test_the_others_refuse(name: str) -> None:
    function = getattr(linalg, name)
    required = [p for p in inspect.signature(getattr(scipy.linalg, name)).parameters.values() if p.default is p.empty]

    def f(x: Any) -> Any:
        return function(*(x for _ in required or [0]))

    with pytest.raises(UnsupportedError, match=rf"scipy\.linalg\.{name} has no rule for traced arrays, at test_scipy"):
        cr.vjp(f, A)


@pytest.mark.parametrize("name", linalg.__all__)
def test_nonsense_is_refused_by_our_errors(name: str) -> None:
    """A cube of numbers where a matrix belongs, or a matrix where there should be none: never another exception."""
    function = getattr(linalg, name)
    required = [p for p in inspect.signature(getattr(scipy.linalg, name)).parameters.values() if p.default is p.empty]
    count = len(required) or 1
    for value in (np.float64(1.5), V, M):
        with contextlib.suppress(ChainruleError, ValueError, np.linalg.LinAlgError):
            cr.vjp(lambda x, n=count: function(*(x for _ in range(n))), value)


@pytest.mark.parametrize("name", linalg.__all__)
def test_signatures(name: str) -> None:
    ours = inspect.signature(getattr(linalg, name)).parameters.values()
    theirs = inspect.signature(getattr(scipy.linalg, name)).parameters.values()
    plain = (str, int, float, bool, types.NoneType)
    assert [(p.name, p.kind, p.default if isinstance(p.default, plain) else None) for p in ours] == [
        (p.name, p.kind, p.default if isinstance(p.default, plain) else None) for p in theirs
    ]


def test_what_is_not_a_function_is_scipys() -> None:
    assert linalg.LinAlgError is scipy.linalg.LinAlgError
    assert linalg.lapack is scipy.linalg.lapack
    np.testing.assert_array_equal(linalg.hilbert(2), scipy.linalg.hilbert(2))
    with pytest.raises(AttributeError, match="nonsense"):
        linalg.nonsense
