"""numpy.linalg and numpy.fft with traced arrays, against JAX, closed forms and differences."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import chainrule as cr
from chainrule.errors import ChainruleError, LinAlgError, ShapeError, UnsupportedError
from chainrule.scipy import linalg

RNG = np.random.default_rng(7)
A = RNG.normal(size=(3, 3)) + np.diag([1.0, 3.0, 5.0])
SPREAD = 0.3 * RNG.normal(size=(3, 3)) + np.diag([1.0, 3.0, 5.0])
S = A + A.T
SPD = A @ A.T + np.eye(3)
V = RNG.normal(size=3)
TALL = RNG.normal(size=(4, 2))
WIDE = RNG.normal(size=(2, 4))
STACK = RNG.normal(size=(2, 3, 3)) + np.diag([1.0, 3.0, 5.0])
C = A + 1j * RNG.normal(size=(3, 3))
H = C + C.conj().T
G = RNG.normal(size=(3, 3))
Q = np.linalg.qr(RNG.normal(size=(3, 3)))[0]


def leaves(x: Any) -> list[Any]:
    return [leaf for part in x for leaf in leaves(part)] if isinstance(x, tuple | list) else [x]


def scalar(x: Any) -> Any:
    """A number that depends on all there is in a result."""
    return sum(
        (w + 1) * (abs(leaf) ** 2 + leaf.real).sum() for w, leaf in enumerate(leaves(x)) if leaf.dtype.kind in "fc"
    )


# -- against JAX: values, both modes, second derivatives -------------------------------------------------

JAX: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "solve": (lambda n, a, b: n.linalg.solve(a, b), (A, V)),
    "solve stack": (lambda n, a, b: n.linalg.solve(a, b), (STACK, G)),
    "solve complex": (lambda n, a, b: n.linalg.solve(a, b), (C, G)),
    "inv": (lambda n, a: n.linalg.inv(a), (STACK,)),
    "pinv tall": (lambda n, a: n.linalg.pinv(a), (TALL,)),
    "pinv wide": (lambda n, a: n.linalg.pinv(a), (WIDE,)),
    "det": (lambda n, a: n.linalg.det(a), (STACK,)),
    "slogdet": (lambda n, a: n.linalg.slogdet(a)[1], (STACK,)),
    "slogdet complex": (lambda n, a: tuple(n.linalg.slogdet(a)), (C,)),
    "eigh": (lambda n, a: abs(n.linalg.eigh(a + a.T)[1]) + n.linalg.eigh(a + a.T)[0], (A,)),
    "eigh complex": (lambda n, a: abs(n.linalg.eigh(a + a.conj().T)[1]) + n.linalg.eigh(a + a.conj().T)[0], (C,)),
    "eigvalsh": (lambda n, a: n.linalg.eigvalsh(a + a.swapaxes(-1, -2)), (STACK,)),
    "svd": (lambda n, a: tuple(abs(x) for x in n.linalg.svd(a, full_matrices=False)), (A,)),
    "svd tall": (lambda n, a: tuple(abs(x) for x in n.linalg.svd(a, full_matrices=False)), (TALL,)),
    "svd wide": (lambda n, a: tuple(abs(x) for x in n.linalg.svd(a, full_matrices=False)), (WIDE,)),
    "svd complex": (lambda n, a: tuple(abs(x) for x in n.linalg.svd(a, full_matrices=False)), (C,)),
    "svdvals": (lambda n, a: n.linalg.svd(a, compute_uv=False), (STACK,)),
    "qr": (lambda n, a: tuple(abs(x) for x in n.linalg.qr(a)), (A,)),
    "qr tall": (lambda n, a: tuple(abs(x) for x in n.linalg.qr(a)), (TALL,)),
    "qr stack": (lambda n, a: abs(n.linalg.qr(a, mode="r")), (STACK,)),
    "cholesky": (lambda n, a: n.linalg.cholesky(a @ a.T + n.eye(3)), (A,)),
    "cholesky complex": (lambda n, a: n.linalg.cholesky(a @ a.conj().T + n.eye(3)), (C,)),
    "cholesky upper": (lambda n, a: n.linalg.cholesky(a @ a.T + n.eye(3), upper=True), (A,)),
    "norm 2": (lambda n, a: n.linalg.norm(a, 2), (A,)),
    "norm -2": (lambda n, a: n.linalg.norm(a, -2), (A,)),
    "norm nuc": (lambda n, a: n.linalg.norm(a, "nuc", axis=(1, 2), keepdims=True), (STACK,)),
    "norm nuc axes": (lambda n, a: n.linalg.norm(a, "nuc", axis=(2, 0)), (STACK,)),
    "vector_norm": (lambda n, a: n.linalg.vector_norm(a, axis=(0, 2), ord=3, keepdims=True), (STACK,)),
    "matrix_norm": (lambda n, a: n.linalg.matrix_norm(a, ord=2), (STACK,)),
    "cond": (lambda n, a: n.linalg.cond(a), (A,)),
    "cond fro": (lambda n, a: n.linalg.cond(a, "fro"), (A,)),
    "cond 1": (lambda n, a: n.linalg.cond(a, 1), (A,)),
    "matrix_power": (lambda n, a: n.linalg.matrix_power(a, -3), (STACK,)),
    "multi_dot": (lambda n, a, b: n.linalg.multi_dot([a, b, a]), (A, G)),
    "tensorinv": (lambda n, a: n.linalg.tensorinv(a.reshape(3, 1, 3), ind=1), (A,)),
    "tensorsolve": (lambda n, a, b: n.linalg.tensorsolve(a.reshape(3, 3, 1), b), (A, V)),
    "tensorsolve axes": (lambda n, a, b: n.linalg.tensorsolve(a.reshape(3, 1, 3), b, axes=(0,)), (A, G[:1])),
    "lstsq": (lambda n, a, b: n.linalg.lstsq(a, b)[0], (TALL, RNG.normal(size=(4, 2)))),
    "cross": (lambda n, a, b: n.linalg.cross(a, b), (A, V)),
    "vecdot": (lambda n, a, b: n.linalg.vecdot(a, b), (C, V)),
    "trace": (lambda n, a: n.linalg.trace(a, offset=1), (STACK,)),
    "diagonal": (lambda n, a: n.linalg.diagonal(a), (STACK,)),
    "outer": (lambda n, a, b: n.linalg.outer(a, b), (V, C[0])),
    "fft": (lambda n, a: n.fft.fft(a, axis=0, norm="ortho"), (C,)),
    "fft real": (lambda n, a: n.fft.fft(a, 5), (A,)),
    "ifft": (lambda n, a: n.fft.ifft(a, 2), (C,)),
    "rfft": (lambda n, a: n.fft.rfft(a), (WIDE,)),
    "rfft odd": (lambda n, a: n.fft.rfft(a, norm="forward"), (A,)),
    "irfft": (lambda n, a: n.fft.irfft(a), (C,)),
    "irfft odd": (lambda n, a: n.fft.irfft(a, 5), (C,)),
    "fft2": (lambda n, a: n.fft.fft2(a, s=(4, 2)), (C,)),
    "ifft2": (lambda n, a: n.fft.ifft2(a), (STACK,)),
    "rfft2": (lambda n, a: n.fft.rfft2(a), (STACK,)),
    "irfft2": (lambda n, a: n.fft.irfft2(a, s=(3, 5)), (C,)),
    "fftn": (lambda n, a: n.fft.fftn(a, axes=(0, 2)), (STACK,)),
    "ifftn": (lambda n, a: n.fft.ifftn(a, norm="ortho"), (STACK,)),
    "rfftn": (lambda n, a: n.fft.rfftn(a), (STACK,)),
    "irfftn": (lambda n, a: n.fft.irfftn(a), (STACK + 0j,)),
    "hfft": (lambda n, a: n.fft.hfft(a), (C,)),
    "ihfft": (lambda n, a: n.fft.ihfft(a), (WIDE,)),
    "fftshift": (lambda n, a: n.fft.fftshift(a, axes=(0,)) + n.fft.ifftshift(a), (A,)),
}  # fmt: skip


@pytest.fixture(scope="module")
def jax() -> Any:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


@pytest.mark.parametrize("name", JAX)
def test_against_jax(name: str, jax: Any) -> None:
    f, args = JAX[name]
    ours = lambda *xs: f(np, *xs)
    theirs = lambda *xs: f(jax.numpy, *xs)
    places = tuple(range(len(args)))
    dots = tuple(np.cos(np.arange(x.size)).reshape(x.shape) * x.dtype.type(1) for x in args)

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def everything(args: Any) -> Any:
        slope = jax.grad(lambda *xs: scalar(theirs(*xs)), places)
        return theirs(*args), jax.jvp(slope, args, dots)

    values, (slopes, changes) = everything(args)
    for one, two, plain in zip(leaves(cr.vjp(ours, *args)[0]), leaves(values), leaves(ours(*args)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(one, plain, rtol=1e-12, atol=1e-13)
        assert one.dtype == plain.dtype
    number = lambda *xs: scalar(ours(*xs))
    found, moved = cr.jvp(cr.grad(number, places), args, dots)
    for one, two in zip(found, slopes, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-10)
    for one, two in zip(moved, changes, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-7, atol=1e-8)
    pushed = cr.jvp(number, args, dots)[1]
    paired = sum(np.real(np.sum(x_bar * x_dot)) for x_bar, x_dot in zip(found, dots, strict=True))
    assert pushed == pytest.approx(paired, rel=1e-9)


# -- what JAX does not do ------------------------------------------------------------------------------

SMOOTH: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "eig": (np.linalg.eig, (SPREAD,)),
    "eigvals": (np.linalg.eigvals, (SPREAD,)),
    "eigvals of a stack": (np.linalg.eigvals, (np.stack([SPREAD, SPREAD.T]) + 0j,)),
    "eig with complex values": (np.linalg.eig, (np.array([[1.0, 2.0, 0.3], [-3.0, 1.0, 0.1], [0.2, 0.5, 4.0]]),)),
    "eig complex": (np.linalg.eig, (C,)),
    "eigh": (lambda a: np.linalg.eigh(a + a.T), (A,)),
    "eigh upper": (lambda a: np.linalg.eigh(a + a.T, UPLO="U"), (A,)),
    "svd": (np.linalg.svd, (A,)),
    "svd full": (lambda a: np.linalg.svd(a), (RNG.normal(size=(3, 2)),)),
    "svd full wide": (lambda a: np.linalg.svd(a), (RNG.normal(size=(2, 3)),)),
    "svd hermitian": (lambda a: np.linalg.svd(a + a.T, hermitian=True), (A,)),
    "svd hermitian values": (lambda a: np.linalg.svd(a + a.T, compute_uv=False, hermitian=True), (A,)),
    "qr": (np.linalg.qr, (WIDE,)),
    "qr complex": (np.linalg.qr, (C,)),
    "qr of products": (lambda a: np.linalg.qr(a, mode="complete")[1], (TALL,)),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b), (TALL, RNG.normal(size=(4, 2)))),
    "lstsq of a vector": (lambda a, b: np.linalg.lstsq(a, b, rcond=1e-9), (TALL, RNG.normal(size=4))),
    "pinv hermitian": (lambda a: np.linalg.pinv(a + a.T, hermitian=True), (A,)),
    "pinv of lower rank": (lambda a: np.linalg.pinv(np.outer(a[0], a[1]), rcond=1e-9), (A,)),
    "matrix_rank": (lambda a: np.linalg.matrix_rank(a) * a, (A,)),
    "cond -2": (lambda a: np.linalg.cond(a, -2) + np.linalg.cond(a, -1) + np.linalg.cond(a, np.inf), (A,)),
    "norm complex": (lambda a: np.linalg.norm(a, 2) + np.linalg.norm(a, "nuc"), (C,)),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_all_modes(name: str) -> None:
    f, args = SMOOTH[name]
    for one, two in zip(leaves(cr.vjp(f, *args)[0]), leaves(f(*args)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)
        assert np.asarray(one).dtype == np.asarray(two).dtype
        assert np.shape(one) == np.shape(two)
    assert cr.check_derivatives(f, *args, entries=4).error < 1e-6


@pytest.mark.parametrize("name", ["svd", "qr"])
@pytest.mark.parametrize("x", [TALL, WIDE, RNG.normal(size=(4, 2)) + 1j * RNG.normal(size=(4, 2))])
def test_whole_bases(name: str, x: Any) -> None:
    """Projectors on the columns that complete a basis do not depend on how these turn."""

    def f(x: Any) -> Any:
        if name == "qr":
            others = np.linalg.qr(x, mode="complete")[0][:, 2:]
        else:
            u, _, vh = np.linalg.svd(x)
            others = u[:, 2:] if x.shape[0] > 2 else np.conj(vh[2:].T)
        return others @ np.conj(others.T)

    assert cr.check_derivatives(f, x).error < 1e-6


def test_named_results() -> None:
    def f(a: Any) -> Any:
        qr, svd, eigh = np.linalg.qr(a), np.linalg.svd(a), np.linalg.eigh(a)
        eig, slogdet = np.linalg.eig(a), np.linalg.slogdet(a)
        assert type(qr).__name__ == "QRResult"
        assert type(slogdet).__name__ == "SlogdetResult"
        return qr.R[0, 0] + svd.S[0] + eigh.eigenvalues[0] + np.real(eig.eigenvalues[0]) + slogdet.logabsdet

    assert np.isfinite(cr.grad(f)(SPD)).all()
    for g in (np.linalg.qr, np.linalg.svd, np.linalg.eigh, np.linalg.eig, np.linalg.slogdet):
        assert type(cr.vjp(g, SPD)[0]) is type(g(SPD))


# -- values that coincide ------------------------------------------------------------------------------

REPEATED = [np.eye(3), np.diag([2.0, 2.0, 1.0]), Q @ np.diag([1.0, 1.0, 3.0]) @ Q.T, np.zeros((3, 3))]


def by_eigh(a: Any) -> Any:
    w, v = np.linalg.eigh(a)
    return np.sum(G * ((v * np.exp(w)) @ v.T))


@pytest.mark.parametrize("a", REPEATED)
def test_functions_of_matrices_with_repeated_eigenvalues(a: Any) -> None:
    """exp(a) by eigenvectors: its gradient is Fréchet's derivative, which is symmetric in this sense."""
    expected = scipy.linalg.expm_frechet(a, 0.5 * (G + G.T), compute_expm=False)
    for slope in (cr.grad(by_eigh), cr.jit(cr.grad(by_eigh)), lambda a: cr.jacobian(by_eigh, mode="reverse")(a)):
        np.testing.assert_allclose(slope(a), expected, atol=1e-12)
    found = cr.vmap(cr.grad(by_eigh))(np.stack([a, S]))
    np.testing.assert_allclose(found, [expected, cr.grad(by_eigh)(S)], atol=1e-9)
    forward = cr.jvp(by_eigh, (a,), (S,))[1]
    assert np.isnan(forward) or np.isclose(forward, np.sum(expected * S))  # never a wrong number
    eliminated = cr.jacobian(by_eigh, mode="eliminate")(a)
    assert (np.isnan(eliminated) | np.isclose(eliminated, expected)).all()


def test_a_compiled_gradient_meets_repeated_and_distinct_eigenvalues() -> None:
    fast = cr.jit(cr.grad(by_eigh))
    for a in (S, np.eye(3), S, Q @ np.diag([1.0, 1.0, 3.0]) @ Q.T):
        np.testing.assert_allclose(fast(a), cr.grad(by_eigh)(a), atol=1e-12)


@pytest.mark.parametrize("a", [np.eye(3), Q, 2 * Q[:, :2], Q[:2], np.diag([2.0, 2.0, 1.0])])
def test_functions_of_matrices_with_repeated_singular_values(a: Any) -> None:
    weights = G[: a.shape[0], : a.shape[1]]

    def by_svd(a: Any) -> Any:
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        return np.sum(weights * ((u * s**3) @ vh))

    np.testing.assert_allclose(cr.grad(by_svd)(a), cr.grad(lambda a: np.sum(weights * (a @ a.T @ a)))(a), atol=1e-12)


def test_hessian_of_a_function_of_repeated_eigenvalues() -> None:
    f = lambda a: np.sum(np.exp(np.linalg.eigvalsh(a)))
    hessian = cr.jacobian(cr.grad(f), mode="reverse")(REPEATED[2]).reshape(9, 9)
    expected = scipy.linalg.expm_frechet(REPEATED[2], S, compute_expm=False)
    np.testing.assert_allclose((hessian @ S.ravel()).reshape(3, 3), expected, atol=1e-11)


def test_eigenvalues_that_come_another_way() -> None:
    """The eigenvalues beside the vectors are computed from the matrix itself."""

    def f(a: Any) -> Any:
        v = np.linalg.eigh(a)[1]
        return np.sum(G * ((v * np.exp(np.diagonal(v.T @ a @ v))) @ v.T))

    expected = scipy.linalg.expm_frechet(REPEATED[2], 0.5 * (G + G.T), compute_expm=False)
    np.testing.assert_allclose(cr.grad(f)(REPEATED[2]), expected, atol=1e-11)


def test_spaces_that_are_apart_do_not_mind() -> None:
    """The projector on one eigenvector, where the two others coincide."""
    f = lambda a: np.linalg.eigh(a)[1][:, 2:] @ np.linalg.eigh(a)[1][:, 2:].T
    for mode in ("forward", "reverse"):
        found = cr.jacobian(f, mode=mode)(REPEATED[2])
        near = cr.jacobian(f, mode=mode)(Q @ np.diag([1.0, 1.0 + 1e-6, 3.0]) @ Q.T)
        np.testing.assert_allclose(found, near, atol=1e-5)


def test_norms_of_repeated_and_zero_singular_values() -> None:
    nuclear = lambda a: np.linalg.norm(a, "nuc")
    np.testing.assert_allclose(cr.grad(nuclear)(Q), Q, atol=1e-12)
    np.testing.assert_allclose(cr.grad(nuclear)(np.ones((3, 3))), np.ones((3, 3)) / 3, atol=1e-12)  # of least norm
    np.testing.assert_array_equal(cr.grad(nuclear)(np.zeros((3, 2))), np.zeros((3, 2)))
    np.testing.assert_allclose(cr.grad(lambda a: np.linalg.norm(a, 2))(np.eye(3)), np.eye(3) / 3, atol=1e-12)


# -- singular matrices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_determinants_at_every_rank(rank: int) -> None:
    """det is a polynomial: its derivatives are those of the sum over permutations."""
    a = (Q * np.array([2.0, -1.0, 0.5]) * (np.arange(3) < rank)) @ G

    def polynomial(a: Any) -> Any:
        return sum(a[0, i] * (a[1, (i + 1) % 3] * a[2, (i + 2) % 3] - a[1, (i + 2) % 3] * a[2, (i + 1) % 3])
                   for i in range(3))  # fmt: skip

    np.testing.assert_allclose(cr.grad(np.linalg.det)(a), cr.grad(polynomial)(a), atol=1e-12)
    np.testing.assert_allclose(cr.hessian(np.linalg.det)(a), cr.hessian(polynomial)(a), atol=1e-12)
    third = lambda f: cr.jvp(lambda a: cr.hvp(f, (a,), (S,)), (a,), (G,))[1]
    if rank == 3:
        np.testing.assert_allclose(third(np.linalg.det), third(polynomial), atol=1e-9)
    elif rank == 0:
        with pytest.raises(LinAlgError, match="Singular"):
            third(np.linalg.det)


# -- larger and compiled -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [47, 48, 49, 130])
def test_the_cotangent_of_cholesky_by_blocks(n: int) -> None:
    """log det by the factor has the inverse as its gradient; and a second derivative along a direction."""
    x = RNG.normal(size=(n, n))
    a = x @ x.T / n + np.eye(n)
    logdet = lambda a: 2 * np.sum(np.log(np.diagonal(np.linalg.cholesky(a))))
    inverse = np.linalg.inv(a)
    np.testing.assert_allclose(cr.grad(logdet)(a), inverse, atol=1e-10)
    np.testing.assert_allclose(cr.jit(cr.grad(logdet))(a), inverse, atol=1e-10)
    d = x + x.T
    np.testing.assert_allclose(cr.hvp(logdet, (a,), (d,)), -inverse @ d @ inverse, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("lower", "unit"), [(True, False), (False, False), (True, True), (False, True)])
def test_compiled_triangular_systems(dtype: Any, lower: bool, unit: bool) -> None:
    f = lambda a, b: linalg.solve_triangular(a, b, lower=lower, unit_diagonal=unit) * 2
    a = (RNG.normal(size=(2, 20, 20)) / 20 + np.eye(20)).astype(dtype)
    b = RNG.normal(size=(2, 20, 3)).astype(dtype)
    y = cr.jit(f)(a, b)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, f(a, b), rtol=1e-4 if dtype is np.float32 else 1e-10)
    np.testing.assert_allclose(cr.jit(f)(a[0], b[0, :, 0]), f(a[0], b[0, :, 0]), rtol=1e-4)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        cr.jit(lambda a, b: linalg.solve_triangular(a, b) * 2)(0 * a[0], b[0])


def test_a_gaussian_likelihood() -> None:
    def likelihood(a: Any, b: Any) -> Any:
        factor = np.linalg.cholesky(a)
        z = linalg.solve_triangular(factor, b, lower=True)
        return -0.5 * z @ z - np.sum(np.log(np.diagonal(factor)))

    x = np.linalg.solve(SPD, V)
    expected = 0.5 * (np.outer(x, x) - np.linalg.inv(SPD))
    for slope in (cr.grad(likelihood, (0, 1)), cr.jit(cr.grad(likelihood, (0, 1)))):
        a_bar, b_bar = slope(SPD, V)
        np.testing.assert_allclose(a_bar, expected, atol=1e-12)
        np.testing.assert_allclose(b_bar, -x, atol=1e-12)
    assert cr.check_derivatives(lambda a, b: likelihood(0.5 * (a + a.T), b), SPD, V).error < 1e-6


def test_empty_stacks() -> None:
    none = np.zeros((0, 2, 2))
    for f in (np.linalg.inv, np.linalg.det, np.linalg.pinv, np.linalg.svd, np.linalg.eigh, np.linalg.qr,
              np.linalg.cholesky, np.linalg.slogdet):  # fmt: skip
        for one, two in zip(leaves(cr.vjp(f, none)[0]), leaves(f(none)), strict=True):
            assert np.shape(one) == np.shape(two)
    assert cr.grad(lambda a: np.sum(linalg.expm(a)) + np.sum(linalg.solve_triangular(a, a)))(none).shape == (0, 2, 2)


# -- dtypes, errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [
    np.linalg.pinv, np.linalg.inv, lambda a: np.linalg.svd(a)[0], lambda a: np.linalg.qr(a)[0], np.linalg.cond,
    lambda a: np.linalg.eigh(a + a.T)[1], np.linalg.cholesky, lambda a: np.abs(np.fft.fft(a)),
    lambda a: np.abs(np.fft.rfft2(a)), np.fft.fftshift,
])  # fmt: skip
def test_single_precision_stays(f: Any) -> None:
    x = SPD.astype(np.float32)
    assert f(x).dtype == np.float32
    slope = cr.grad(lambda x: np.sum(f(x) ** 3))
    assert slope(x).dtype == np.float32
    np.testing.assert_allclose(slope(x), slope(SPD), rtol=2e-2, atol=2e-2)


def test_out() -> None:
    def into(x: Any) -> Any:
        out = np.zeros_like(x, dtype=complex)
        np.fft.fft(x, out=out)
        return np.sum(np.abs(out) ** 2)

    np.testing.assert_allclose(cr.grad(into)(V), 6 * V)


@pytest.mark.parametrize(("f", "x", "kind"), [
    (lambda a: np.linalg.qr(a, mode="raw"), A, UnsupportedError),
    (lambda a: np.linalg.svd(a), V, ShapeError),
    (lambda a: np.linalg.eigh(a), TALL, ShapeError),
    (lambda a: np.linalg.eigh(a, UPLO="X"), A, ShapeError),
    (lambda a: np.linalg.norm(a, "nuc"), V, ShapeError),
    (lambda a: np.linalg.norm(a, 3), A, UnsupportedError),
    (lambda a: np.linalg.norm(a, 2), STACK, ShapeError),
    (lambda a: np.linalg.pinv(a, rcond=[1e-3, 1e-4]), STACK, UnsupportedError),
    (lambda a: np.linalg.lstsq(a, np.ones(3)), TALL, ShapeError),
    (lambda a: np.linalg.tensorinv(a, ind=0), A, ShapeError),
    (lambda a: np.fft.fft(a, norm="half"), A, ShapeError),
    (lambda a: np.fft.rfft(a), C, ShapeError),
    (lambda a: np.fft.fft(a, 0), A, ShapeError),
    (lambda a: np.fft.fftn(a, s=(2,), axes=(0, 1)), A, ShapeError),
    (lambda a: np.linalg.cholesky(-a @ a.T), A, LinAlgError),
])  # fmt: skip
def test_errors_name_the_line(f: Any, x: Any, kind: type[ChainruleError]) -> None:
    with pytest.raises(kind, match=r"test_linalg\.py:\d+"):
        cr.vjp(f, x)


def test_every_function_of_the_modules_has_a_rule() -> None:
    from chainrule.tracing.array import FUNCTIONS

    plain = {"fftfreq", "rfftfreq", "LinAlgError", "test"}  # of no array
    for module in (np.linalg, np.fft):
        for name in module.__all__:
            assert name in plain or getattr(module, name) in FUNCTIONS, name
