"""Sparse matrices: products of SciPy's with traced arrays, matrices with traced elements, and solutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import chainrule as cr
from chainrule.errors import LinAlgError, NotDifferentiableError, ShapeError, UnsupportedError
from chainrule.scipy import sparse

rng = np.random.default_rng(5)
DENSE = rng.normal(size=(5, 5)) * (rng.uniform(size=(5, 5)) < 0.4) + 4 * np.eye(5)
WIDE = rng.normal(size=(3, 5)) * (rng.uniform(size=(3, 5)) < 0.6)
ROWS, COLUMNS = np.nonzero(DENSE)
DATA = DENSE[ROWS, COLUMNS]
X, B = rng.normal(size=5), rng.normal(size=(5, 2))
FORMATS = ["csr", "csc", "coo", "dia", "bsr", "lil", "dok"]


def agree(f: Callable[..., Any], dense: Callable[..., Any], *args: Any, tol: float = 1e-9) -> None:
    """Values, both modes, second order, batches and compiled code of a function agree with one of dense arrays."""
    places = tuple(range(len(args)))
    for one, two in ((f(*args), dense(*args)), (cr.vjp(f, *args)[0], cr.vjp(dense, *args)[0])):
        np.testing.assert_allclose(one, two, rtol=tol, atol=tol)
    for mode in ("forward", "reverse"):
        expected = cr.jacobian(dense, places, mode=mode)(*args)
        for one, two in zip(cr.jacobian(f, places, mode=mode)(*args), expected, strict=True):
            np.testing.assert_allclose(one, two, rtol=tol, atol=tol)
    scalar = lambda f: lambda *args: np.sum(np.sin(f(*args)).real)
    for one, two in zip(cr.hessian(scalar(f), places)(*args), cr.hessian(scalar(dense), places)(*args), strict=True):
        for each, other in zip(one, two, strict=True):
            np.testing.assert_allclose(each, other, rtol=10 * tol, atol=10 * tol)
    fast = cr.jit(cr.grad(scalar(f), places))(*args)
    for one, two in zip(fast, cr.grad(scalar(dense), places)(*args), strict=True):
        np.testing.assert_allclose(one, two, rtol=tol, atol=tol)
    for k in places:
        in_axes = tuple(0 if j == k else None for j in places)
        given = [np.stack([x, 1.5 * x, 0.7 * x]) if j == k else x for j, x in enumerate(args)]
        for one, two in zip(cr.vmap(cr.grad(scalar(f), places), in_axes)(*given),
                            cr.vmap(cr.grad(scalar(dense), places), in_axes)(*given), strict=True):  # fmt: skip
            np.testing.assert_allclose(one, two, rtol=tol, atol=tol)
    given = [np.stack([x, 1.5 * x, 0.7 * x]) for x in args]
    np.testing.assert_allclose(cr.vmap(f)(*given), cr.vmap(dense)(*given), rtol=tol, atol=tol)


def filled(data: Any) -> Any:
    found = np.zeros((5, 5), like=data)
    found[ROWS, COLUMNS] = data
    return found


# -- plain matrices of SciPy's ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dense", [DENSE, WIDE])
def test_products_of_plain_matrices(format: str, dense: np.ndarray) -> None:
    for kind in (scipy.sparse.csr_array, scipy.sparse.csr_matrix):
        matrix = kind(dense).asformat(format)
        agree(lambda x, matrix=matrix: matrix @ x, lambda x: dense @ x, X)
        agree(lambda x, matrix=matrix: matrix @ x, lambda x: dense @ x, B)
        agree(lambda x, matrix=matrix: x @ matrix.T, lambda x: x @ dense.T, X)
        if format != "coo":  # whose method converts by itself
            agree(lambda x, matrix=matrix: matrix.dot(x), lambda x: dense @ x, B)
        agree(lambda x, matrix=matrix: x.T @ matrix.T, lambda x: x.T @ dense.T, B)


def test_a_plain_matrix_may_change() -> None:
    matrix = scipy.sparse.csr_array(DENSE)
    fast = cr.jit(cr.grad(lambda x: np.sum(np.sin(matrix @ x))))
    np.testing.assert_allclose(fast(X), DENSE.T @ np.cos(DENSE @ X))
    matrix.data *= 2
    np.testing.assert_allclose(fast(X), 2 * DENSE.T @ np.cos(2 * DENSE @ X))


def test_a_loop_of_products() -> None:
    matrix = scipy.sparse.csr_array(DENSE / 8)

    def f(x: Any, matrix: Any) -> Any:
        for _ in range(10):
            x = np.tanh(matrix @ x)
        return np.sum(x)

    np.testing.assert_allclose(cr.grad(f)(X, matrix), cr.grad(f)(X, DENSE / 8), rtol=1e-12)
    g = lambda x: cr.scan(lambda c, _: (np.tanh(matrix @ c), None), x, None, 10)[0].sum()
    np.testing.assert_allclose(cr.grad(g)(X), cr.grad(f)(X, DENSE / 8), rtol=1e-12)


def test_what_plain_matrices_cannot() -> None:
    matrix = scipy.sparse.csr_array(DENSE)
    with pytest.raises(ShapeError, match=r"matmul: shapes \(5, 5\) and \(4,\) do not fit, at test_scipy_sparse.py"):
        cr.grad(lambda x: np.sum(matrix @ x))(np.ones(4))
    for f in (lambda x: x[0] * matrix, lambda x: matrix * x[0], lambda x: matrix.multiply(x), lambda x: matrix + x):
        with pytest.raises(cr.ChainruleError, match="test_scipy_sparse.py"):
            cr.grad(lambda x, f=f: f(x).sum())(X)
    with pytest.raises(cr.ChainruleError, match="test_scipy_sparse.py"):
        cr.grad(lambda d: scipy.sparse.csr_array((d, (ROWS, COLUMNS))).sum())(DATA)


# -- traced elements -------------------------------------------------------------------------------------------------

MAKERS: dict[str, Callable[[Any], Any]] = {
    "coo": lambda d: sparse.coo_array((d, (ROWS, COLUMNS)), shape=(5, 5)),
    "csr pairs": lambda d: sparse.csr_array((d, (ROWS, COLUMNS)), (5, 5)),
    "csc": lambda d: sparse.csc_matrix((d, (ROWS, COLUMNS)), shape=(5, 5)),
    "csr": lambda d: sparse.csr_array((d, COLUMNS, np.searchsorted(ROWS, np.arange(6)))),
    "csc of the transpose": lambda d: sparse.csc_array((d, COLUMNS, np.searchsorted(ROWS, np.arange(6)))).T,
    "dense": lambda d: sparse.csr_array(filled(d)),
    "again": lambda d: sparse.csc_array(sparse.coo_array((d, (ROWS, COLUMNS)))),
}
USES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "vector": (lambda A, x, b: A @ x, lambda A, x, b: A @ x),
    "matrix": (lambda A, x, b: A @ b, lambda A, x, b: A @ b),
    "left": (lambda A, x, b: x @ A, lambda A, x, b: x @ A),
    "left matrix": (lambda A, x, b: b.T @ A, lambda A, x, b: b.T @ A),
    "transpose": (lambda A, x, b: A.T @ b, lambda A, x, b: A.T @ b),
    "sum": (lambda A, x, b: A.sum(0) * x + A.sum(axis=1) + A.sum() * b[:, 0],
            lambda A, x, b: A.sum(0) * x + A.sum(axis=1) + A.sum() * b[:, 0]),
    "diagonal": (lambda A, x, b: A.diagonal() * x + A.trace() + A.diagonal(1)[0] * b[:, 0] + A.mean(),
                 lambda A, x, b: np.diagonal(A) * x + np.trace(A) + A[0, 1] * b[:, 0] + A.mean()),
    "arithmetic": (lambda A, x, b: (2 * A - A.T / x[0] + A * x + A.multiply(A) + A**2 - (-A)) @ x,
                   lambda A, x, b: (2 * A - A.T / x[0] + A * x + A * A + A**2 - (-A)) @ x),
    "with plain": (lambda A, x, b: (A + scipy.sparse.csr_array(DENSE) - scipy.sparse.eye_array(5)) @ x,
                   lambda A, x, b: (A + DENSE - np.eye(5)) @ x),
    "plain first": (lambda A, x, b: (scipy.sparse.csr_array(DENSE) @ A) @ x + (A @ A.T) @ b[:, 0],
                    lambda A, x, b: (DENSE @ A) @ x + (A @ A.T) @ b[:, 0]),
    "dense": (lambda A, x, b: A.toarray() @ x + (A + np.outer(x, x)) @ b[:, 0],
              lambda A, x, b: A @ x + (A + np.outer(x, x)) @ b[:, 0]),
    "solution": (lambda A, x, b: sparse.linalg.spsolve(A, x), lambda A, x, b: np.linalg.solve(A, x)),
    "solutions": (lambda A, x, b: sparse.linalg.spsolve(A, b), lambda A, x, b: np.linalg.solve(A, b)),
    "factors": (lambda A, x, b: sparse.linalg.splu(sparse.csc_array(A)).solve(x, "T"),
                lambda A, x, b: np.linalg.solve(A.T, x)),
    "norm": (lambda A, x, b: sparse.linalg.norm(A) * x + sparse.linalg.norm(A, 1) * b[:, 0],
             lambda A, x, b: np.linalg.norm(A) * x + np.linalg.norm(A, 1) * b[:, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", USES)
def test_traced_elements(name: str) -> None:
    f, dense = USES[name]
    agree(lambda d, x, b: f(MAKERS["csr"](d), x, b), lambda d, x, b: dense(filled(d), x, b), DATA, X, B)


@pytest.mark.parametrize("name", MAKERS)
def test_constructors(name: str) -> None:
    agree(lambda d, x: MAKERS[name](d) @ x, lambda d, x: filled(d) @ x, DATA, X)
    plain = MAKERS[name](DATA)
    assert scipy.sparse.issparse(plain)
    np.testing.assert_array_equal(plain.toarray(), DENSE)


def test_elements_at_the_same_place_are_added() -> None:
    f = lambda d: sparse.coo_array((d, ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    d = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(cr.vjp(lambda d: f(d).toarray(), d)[0], [[0, 3], [3, 0]])
    assert cr.grad(lambda d: (f(d) ** 2).sum())(d).tolist() == [6, 6, 6]
    assert cr.grad(lambda d: sparse.linalg.spsolve(f(d), np.array([1.0, 0.0]))[1])(d) == pytest.approx(
        [-1 / 9, -1 / 9, 0]
    )


def test_matrices_from_parts() -> None:
    a, b = np.arange(1.0, 4.0), np.array([0.5, -1.0])
    agree(
        lambda a, b: sparse.diags_array([a, b], offsets=[0, -1]) @ a,
        lambda a, b: (np.diag(a) + np.diag(b, -1)) @ a,
        a,
        b,
    )
    agree(lambda a: sparse.diags(a, 1) @ np.ones(4), lambda a: np.diag(a, 1) @ np.ones(4), a)
    agree(lambda a: sparse.diags([a[0], 2.0], [0, 1], shape=(3, 3)) @ a,
          lambda a: (a[0] * np.eye(3) + 2 * np.eye(3, k=1)) @ a, a)  # fmt: skip
    D = lambda a: sparse.diags_array(a)
    eye = scipy.sparse.eye_array(3)
    six = np.arange(6.0)
    agree(lambda a: sparse.block_array([[D(a), None], [eye, 2 * D(a)]]) @ six,
          lambda a: np.block([[np.diag(a), 0 * np.eye(3)], [np.eye(3), 2 * np.diag(a)]]) @ six, a)  # fmt: skip
    agree(
        lambda a: sparse.kron(D(a), eye) @ np.arange(9.0), lambda a: np.kron(np.diag(a), np.eye(3)) @ np.arange(9.0), a
    )
    agree(lambda a: sparse.vstack([D(a), eye]) @ a + 0 * a[0], lambda a: np.vstack([np.diag(a), np.eye(3)]) @ a, a)
    agree(
        lambda a: sparse.hstack([D(a), eye]) @ np.arange(6.0),
        lambda a: np.hstack([np.diag(a), np.eye(3)]) @ np.arange(6.0),
        a,
    )
    agree(lambda a: sparse.block_diag([D(a), a[:2, None]]).sum(1), lambda a: np.concatenate([a, a[:2]]), a)


def test_complex() -> None:
    data = DATA + 1j * DATA[::-1]
    for f in (lambda d, x: MAKERS["csr"](d) @ x, lambda d, x: sparse.linalg.spsolve(MAKERS["csr"](d), x)):
        assert cr.check_derivatives(f, data, X * (1 + 0.5j)).error < 1e-6
        assert cr.check_derivatives(f, data, X).error < 1e-6


def test_single_precision() -> None:
    f = lambda d, x: np.sum(MAKERS["csr"](d) @ x) + np.sum(sparse.linalg.spsolve(MAKERS["csr"](d), x))
    value, found = cr.value_and_grad(f, (0, 1))(DATA.astype("f"), X.astype("f"))
    assert value.dtype == found[0].dtype == found[1].dtype == np.float32
    np.testing.assert_allclose(found[0], cr.grad(f)(DATA, X), rtol=1e-4, atol=1e-5)


# -- solutions -------------------------------------------------------------------------------------------------------

SPD = DENSE @ DENSE.T + np.eye(5) + 0.1
ITERATIVE = ["cg", "bicg", "bicgstab", "cgs", "gmres", "lgmres", "minres", "tfqmr", "gcrotmk"]


@pytest.mark.parametrize("name", ITERATIVE)
def test_iterative_methods(name: str) -> None:
    solve = getattr(sparse.linalg, name)
    base = SPD if name in ("cg", "minres") else SPD + np.triu(DENSE)
    f = lambda d, b: solve(sparse.csr_array((d, np.nonzero(base))), b, rtol=1e-13)[0]
    d = base[np.nonzero(base)]
    full = lambda d: np.reshape(d, (5, 5)) if np.size(d) == 25 else None
    assert np.size(d) == 25
    value, (by_d, by_b) = cr.value_and_grad(lambda d, b: np.sum(np.sin(f(d, b))), (0, 1))(d, X)
    exact, expected = cr.value_and_grad(lambda d, b: np.sum(np.sin(np.linalg.solve(full(d), b))), (0, 1))(d, X)
    assert value == pytest.approx(exact, rel=1e-8)
    np.testing.assert_allclose(by_d, expected[0], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(by_b, expected[1], rtol=1e-6, atol=1e-8)
    for A in (scipy.sparse.csr_array(base), base, scipy.sparse.linalg.aslinearoperator(base)):
        g = lambda b, A=A: np.sum(np.sin(solve(A, b, rtol=1e-13)[0]))
        np.testing.assert_allclose(cr.grad(g)(X), expected[1], rtol=1e-6, atol=1e-8)
    many = cr.vmap(lambda b: f(d, b))(np.stack([X, 2 * X]))
    np.testing.assert_allclose(many, np.linalg.solve(base, np.stack([X, 2 * X]).T).T, rtol=1e-7, atol=1e-9)


def test_first_guess_and_preconditioner() -> None:
    A = scipy.sparse.csr_array(SPD + np.triu(DENSE))
    M = scipy.sparse.diags_array(1 / A.diagonal())
    f = lambda b, x0: np.sum(sparse.linalg.gmres(A, b, x0, M=M, rtol=1e-12)[0])
    by_b, by_x0 = cr.grad(f, (0, 1))(X, np.ones(5))
    np.testing.assert_allclose(by_b, np.linalg.solve(A.toarray().T, np.ones(5)), rtol=1e-7)
    assert not by_x0.any()


def test_plain_factors() -> None:
    matrix = scipy.sparse.csc_array(DENSE)
    for solve in (sparse.linalg.factorized(matrix), sparse.linalg.splu(matrix).solve):
        np.testing.assert_allclose(solve(X), np.linalg.solve(DENSE, X))
        agree(lambda b, solve=solve: solve(b), lambda b: np.linalg.solve(DENSE, b), X)
    assert sparse.linalg.splu(matrix).L.shape == (5, 5)


def test_least_squares() -> None:
    tall = WIDE.T + 0.1
    matrix = scipy.sparse.csr_array(tall)
    exact = lambda a, b, damp=0.0: np.linalg.solve(a.T @ a + damp**2 * np.eye(3), a.T @ b)
    options = {"atol": 1e-14, "btol": 1e-14}
    np.testing.assert_allclose(
        cr.jacobian(lambda b: sparse.linalg.lsqr(matrix, b, **options)[0])(X), np.linalg.pinv(tall)
    )
    f = lambda d, b, damp: sparse.linalg.lsqr(sparse.csr_array((d, np.nonzero(tall))), b, damp, **options)
    found = cr.jacobian(lambda *args: f(*args)[0], (0, 1, 2))(np.ravel(tall), X, 0.3)
    expected = cr.jacobian(lambda d, b, damp: exact(np.reshape(d, (5, 3)), b, damp), (0, 1, 2))(np.ravel(tall), X, 0.3)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-8)
    norms = cr.vjp(lambda b: [f(np.ravel(tall), b, 0.3)[k] for k in (3, 4, 8)], X)[0]
    np.testing.assert_allclose(norms, [scipy.sparse.linalg.lsqr(matrix, X, 0.3)[k] for k in (3, 4, 8)], rtol=1e-5)


def test_exponential() -> None:
    A = scipy.sparse.csr_array(DENSE / 4)
    dense = scipy.sparse.linalg.expm(scipy.sparse.csc_array(A)).toarray()
    agree(lambda b: sparse.linalg.expm_multiply(A, b), lambda b: dense @ b, X)
    agree(lambda b: sparse.linalg.expm_multiply(A, b), lambda b: dense @ b, B)
    with pytest.raises(NotDifferentiableError, match="expm_multiply"):
        cr.grad(lambda d: sparse.linalg.expm_multiply(MAKERS["csr"](d), X).sum())(DATA)


def test_a_large_system() -> None:
    """A problem of Poisson's of 10⁴ unknowns: nothing dense."""
    n = 100
    line = scipy.sparse.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    laplace = scipy.sparse.csr_array(scipy.sparse.kron(line, scipy.sparse.eye_array(n)) + scipy.sparse.kron(
        scipy.sparse.eye_array(n), line))  # fmt: skip
    b = rng.normal(size=n * n)

    def f(k: Any, b: Any) -> Any:
        x = sparse.linalg.spsolve(sparse.csr_array((k * laplace.data, laplace.indices, laplace.indptr)), b)
        return 0.5 * np.sum(x**2)

    x = scipy.sparse.linalg.spsolve(laplace, b)
    by_k, by_b = cr.grad(f, (0, 1))(2.0, b)
    assert by_k == pytest.approx(-x @ x / 8, rel=1e-8)
    np.testing.assert_allclose(by_b, scipy.sparse.linalg.spsolve(laplace, x) / 4, rtol=1e-7, atol=1e-9)


def test_errors() -> None:
    with pytest.raises(LinAlgError, match=r"[Ss]ingular.*test_scipy_sparse.py"):
        cr.grad(lambda d: sparse.linalg.spsolve(sparse.csr_array((d, ([0], [0])), shape=(2, 2)), np.ones(2)).sum())(
            np.ones(1)
        )
    with pytest.raises(NotDifferentiableError, match="cg: no convergence.*, at test_scipy_sparse.py"):
        cr.grad(lambda b: sparse.linalg.cg(scipy.sparse.csr_array(SPD), b, maxiter=1)[0].sum())(X)
    with pytest.raises(ShapeError, match=r"spsolve: shapes \(5, 5\) and \(4,\) do not fit, at test_scipy_sparse"):
        cr.grad(lambda b: sparse.linalg.spsolve(scipy.sparse.csr_array(DENSE), b).sum())(np.ones(4))
    with pytest.raises(ShapeError, match=r"\(2,\) elements for 3 places"):
        cr.grad(lambda d: sparse.coo_array((d, ([0, 1, 2], [0, 1, 2]))).sum())(np.ones(2))
    for wrong in (lambda A: A[0], lambda A: A + 1.0, np.asarray, lambda A: sparse.linalg.norm(A, 2)):
        with pytest.raises(UnsupportedError, match="test_scipy_sparse.py"):
            cr.grad(lambda d, wrong=wrong: wrong(MAKERS["csr"](d)).sum())(DATA)


def test_what_is_scipys_stays_scipys() -> None:
    matrix = sparse.csr_array(DENSE)
    assert type(matrix) is scipy.sparse.csr_array
    assert isinstance(matrix, sparse.csr_array)
    assert not isinstance(matrix, sparse.coo_array)
    assert sparse.random_array is scipy.sparse.random_array
    assert sparse.linalg.eigsh is scipy.sparse.linalg.eigsh
    assert isinstance(sparse.diags_array([1.0, 2.0]), scipy.sparse.dia_array)
    np.testing.assert_allclose(sparse.linalg.spsolve(scipy.sparse.csc_array(DENSE), X), np.linalg.solve(DENSE, X))
    assert sparse.linalg.cg(scipy.sparse.csr_array(SPD), X)[1] == 0
