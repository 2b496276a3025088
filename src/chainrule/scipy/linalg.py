"""`scipy.linalg` for traced arrays.

The functions named in `__all__` take traced arrays here, with SciPy's signatures; where no argument is traced they are
SciPy's own. Options about memory, checks and LAPACK's drivers (`overwrite_a`, `check_finite`, `lapack_driver`, `lwork`)
make no difference to traced arrays. Every other function of `scipy.linalg` is found here too, and refuses traced ones:

    from chainrule.scipy import linalg  # for: from scipy import linalg

Where SciPy reads one triangle of a symmetric matrix, the matrix is taken to stay symmetric: a change of one element is
half a change of each of the two. Eigenvectors and singular vectors: see `chainrule.ops.eigen`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from chainrule import ir
from chainrule.errors import ChainruleError, ShapeError, UnsupportedError
from chainrule.ops import eigen, factorization, matrix_functions, structured
from chainrule.ops import linalg as ops
from chainrule.ops.host import host, stop_gradient
from chainrule.scipy.twins import other, twin
from chainrule.tracing.array import TracedArray, record, stacked
from chainrule.tracing.functions.common import as_traced
from chainrule.tracing.functions.linalg import adjoint, inexact, least_squares, matrix, several, square
from chainrule.tracing.origin import at

__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cho_solve_banded", "cholesky", "cholesky_banded", "circulant",
    "companion", "convolution_matrix", "coshm", "cosm", "det", "diagsvd", "eig", "eig_banded", "eigh",
    "eigh_tridiagonal", "eigvals", "eigvals_banded", "eigvalsh", "eigvalsh_tridiagonal", "expm", "expm_frechet",
    "fiedler", "fractional_matrix_power", "hankel", "inv", "ishermitian", "issymmetric", "khatri_rao", "leslie", "logm",
    "lstsq", "lu", "lu_factor", "lu_solve", "matmul_toeplitz", "norm", "null_space", "orth", "orthogonal_procrustes",
    "pinv", "pinvh", "polar", "qr", "rq", "signm", "sinhm", "sinm", "solve", "solve_banded", "solve_circulant",
    "solve_continuous_are", "solve_continuous_lyapunov", "solve_discrete_are", "solve_discrete_lyapunov",
    "solve_lyapunov", "solve_sylvester", "solve_toeplitz", "solve_triangular", "solveh_banded", "sqrtm",
    "subspace_angles", "svd", "svdvals", "tanhm", "tanm", "toeplitz",
]  # fmt: skip

_ADVICE = "write it with solve, eigh, svd, qr or lu of this module, or give it a derivative with chainrule.custom_vjp"
_ABSENT = object()


def __getattr__(name: str) -> Any:
    return other(scipy.linalg, name, _ADVICE)


def _twin(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Make a rule a twin; what NumPy or Python says of arguments that do not fit becomes an error that names both."""

    @functools.wraps(rule)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return rule(*args, **kwargs)
        except (ChainruleError, np.linalg.LinAlgError):
            raise
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            shapes = ", ".join(str(np.shape(x)) for x in args if isinstance(x, TracedArray | np.ndarray | np.generic))
            raise ShapeError(
                f"scipy.linalg.{rule.__name__}: arguments (of shapes {shapes}) do not fit{at()}: {error}"
            ) from error

    return twin(scipy.linalg)(guarded)


# -- what the rules share ------------------------------------------------------------------------------


def _pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Return two operands as traced arrays of floating-point numbers, in one graph."""
    a, b = stacked(a), stacked(b)
    return inexact(as_traced(a, b)), inexact(as_traced(b, a))


def _as_columns(b: Any) -> tuple[Any, bool]:
    """Return a right side as matrices, and whether it was a vector."""
    return (np.reshape(b, (-1, 1)), True) if b.ndim == 1 else (b, False)


def _like(x: Any, vector: bool) -> Any:
    return x[..., 0] if vector else x


def _fits(a: Any, b: Any, name: str) -> None:
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(f"scipy.linalg.{name}: {a.shape} and {b.shape} do not fit{at()}")


def _refuse(name: str, what: str, advice: str) -> None:
    raise UnsupportedError(f"scipy.linalg.{name}: {what} is not supported with traced arrays{at()}; {advice}")


def _turn_back(x: Any, trans: Any, name: str) -> tuple[Any, bool]:
    """Return the matrix that `trans` asks for, and whether it is transposed."""
    if trans in (0, "N"):
        return x, False
    if trans in (1, "T"):
        return np.swapaxes(x, -1, -2), True
    if trans in (2, "C"):
        return adjoint(x), True
    raise ShapeError(f"scipy.linalg.{name}: trans={trans!r} is none of 0, 1, 2, 'N', 'T', 'C'{at()}")


def _triangular(a: Any, b: Any, lower: bool, unit: bool = False) -> Any:
    return record(ops.solve_triangular, a, b, lower=bool(lower), unit=bool(unit))


def _real_if(condition: bool, *values: Any) -> tuple[Any, ...]:
    return tuple(np.real(value) for value in values) if condition else values


def _is_real(x: Any, *values: Any) -> bool:
    """Whether SciPy gives real numbers for a real matrix: this is looked at, as by an `if`."""
    return x.dtype.kind == "f" and all(bool(np.all(np.imag(value) == 0)) for value in values)


# -- solving -------------------------------------------------------------------------------------------

_STRUCTURES = {
    None: "general", "gen": "general", "general": "general", "banded": "general", "diagonal": "diagonal",
    "tridiagonal": "tridiagonal", "upper triangular": "upper", "lower triangular": "lower", "sym": "symmetric",
    "symmetric": "symmetric", "her": "hermitian", "hermitian": "hermitian", "pos": "hermitian",
    "positive definite": "hermitian",
}  # fmt: skip


def _structured(a: Any, assume_a: Any, lower: bool, name: str) -> tuple[Any, str]:
    """Return the matrix as far as SciPy reads it, and its structure."""
    if assume_a not in _STRUCTURES:
        raise ShapeError(f"scipy.linalg.{name}: assume_a={assume_a!r} is no structure of matrices{at()}")
    kind = _STRUCTURES[assume_a]
    if kind == "diagonal":
        a = a * np.eye(a.shape[-1], dtype=a.dtype)
    if kind == "tridiagonal":
        a = np.triu(np.tril(a, 1), -1)
    if kind == "symmetric" and a.dtype.kind == "c":
        kept, edge = (np.tril(a), np.tril(a, -1)) if lower else (np.triu(a), np.triu(a, 1))
        a = kept + np.swapaxes(edge, -1, -2)
    elif kind in ("symmetric", "hermitian"):
        a = record(ops.mirrored, a, lower=bool(lower))
    return a, kind


@_twin
def solve(a: Any, b: Any, lower: bool = False, overwrite_a: bool = False, overwrite_b: bool = False,
          check_finite: bool = True, assume_a: Any = None, transposed: bool = False) -> Any:  # fmt: skip
    """Return the x of a @ x = b, or of a.T @ x = b.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy import linalg
        >>> cr.grad(lambda b: np.sum(linalg.solve(np.diag([1.0, 2.0]), b, assume_a="pos")))(np.ones(2))
        array([1. , 0.5])
    """
    a, b = _pair(a, b)
    a = square(a, "scipy.linalg.solve")
    a, kind = _structured(a, assume_a, lower, "solve")
    b, vector = _as_columns(b)
    _fits(a, b, "solve")
    if kind in ("upper", "lower"):
        if transposed:
            a, kind = np.swapaxes(a, -1, -2), "lower" if kind == "upper" else "upper"
        return _like(_triangular(a, b, kind == "lower"), vector)
    return _like(record(ops.solve, np.swapaxes(a, -1, -2) if transposed else a, b), vector)


@_twin
def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False,
                     overwrite_b: bool = False, check_finite: bool = True) -> Any:  # fmt: skip
    """Return the x of a @ x = b for a triangle of a."""
    a, b = _pair(a, b)
    a, turned = _turn_back(square(a, "scipy.linalg.solve_triangular"), trans, "solve_triangular")
    b, vector = _as_columns(b)
    _fits(a, b, "solve_triangular")
    return _like(_triangular(a, b, bool(lower) != turned, unit_diagonal), vector)


@_twin
def solve_banded(l_and_u: Any, ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False,
                 check_finite: bool = True) -> Any:  # fmt: skip
    """Return the x of a @ x = b, where a is given by its diagonals."""
    below, above = (int(count) for count in l_and_u)
    ab, b = _pair(ab, b)
    b, vector = _as_columns(b)
    if ab.ndim < 2 or ab.shape[-2] != below + above + 1 or ab.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"scipy.linalg.solve_banded: {below} + 1 + {above} diagonals in {ab.shape} and {b.shape} do not fit{at()}"
        )
    return _like(record(structured.solve_banded, ab, b, below=below, above=above, definite=False), vector)


def _whole_band(ab: Any, lower: bool) -> Any:
    """Return all diagonals of a Hermitian matrix of which those on one side are given."""
    count = ab.shape[-2] - 1
    given = [ab[..., row, :] for row in range(count + 1)]
    given = given if lower else given[::-1]  # from the main diagonal outwards
    inner, outer = [], []
    for k, diagonal in enumerate(given[1:], 1):
        filled = np.zeros((*ab.shape[:-2], k), ab.dtype)
        moved = np.concatenate([filled, diagonal[..., :-k]], -1) if lower else np.concatenate(
            [diagonal[..., k:], filled], -1)  # fmt: skip
        moved = np.conj(moved) if ab.dtype.kind == "c" else moved
        above, below = (moved, diagonal) if lower else (diagonal, moved)
        inner.append(above)
        outer.append(below)
    return np.stack([*inner[::-1], given[0], *outer], axis=-2)


@_twin
def solveh_banded(ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False, lower: bool = False,
                  check_finite: bool = True) -> Any:  # fmt: skip
    """Return the x of a @ x = b, where a is Hermitian, positive definite and given by its diagonals."""
    ab, b = _pair(ab, b)
    b, vector = _as_columns(b)
    if ab.ndim < 2 or ab.shape[-1] != b.shape[-2]:
        raise ShapeError(f"scipy.linalg.solveh_banded: {ab.shape} and {b.shape} do not fit{at()}")
    count = ab.shape[-2] - 1
    band = _whole_band(ab, lower)
    return _like(record(structured.solve_banded, band, b, below=count, above=count, definite=True), vector)


def _column_and_row(c_or_cr: Any, x: Any) -> tuple[Any, Any]:
    """Return the first column and the first row of a Toeplitz matrix; the row is conj(c) where only c is given."""
    if isinstance(c_or_cr, tuple):
        c, r = (inexact(as_traced(stacked(part), stacked(c_or_cr[0]), stacked(c_or_cr[1]), x)) for part in c_or_cr)
        return np.ravel(c), np.ravel(r)
    c = np.ravel(inexact(as_traced(stacked(c_or_cr), x)))
    return c, np.conj(c) if c.dtype.kind == "c" else c


@_twin
def solve_toeplitz(c_or_cr: Any, b: Any, check_finite: bool = True) -> Any:
    """Return the x of a @ x = b for the Toeplitz matrix a with a first column, and a first row."""
    b = stacked(b)
    c, r = _column_and_row(c_or_cr, b)
    b = inexact(as_traced(b, c))
    b, vector = _as_columns(b)
    if not c.size == r.size == b.shape[-2]:
        raise ShapeError(f"scipy.linalg.solve_toeplitz: {c.shape}, {r.shape} and {b.shape} do not fit{at()}")
    return _like(record(structured.solve_toeplitz, c[:, None], r[:, None], b), vector)


@_twin
def matmul_toeplitz(c_or_cr: Any, x: Any, check_finite: bool = False, workers: Any = None) -> Any:
    """Return a @ x for the Toeplitz matrix a with a first column, and a first row."""
    x = stacked(x)
    c, r = _column_and_row(c_or_cr, x)
    x = inexact(as_traced(x, c))
    x, vector = _as_columns(x)
    if r.size != x.shape[-2]:
        raise ShapeError(f"scipy.linalg.matmul_toeplitz: a row of {r.size} and {x.shape} do not fit{at()}")
    rows, columns = c.size, r.size
    around = np.concatenate([c, np.flip(r[1:])])  # a circulant matrix that holds this one
    y: Any
    if around.dtype.kind == "c" or x.dtype.kind == "c":
        y = np.fft.ifft(np.fft.fft(around)[:, None] * np.fft.fft(x, rows + columns - 1, 0), axis=0)
    else:
        y = np.fft.irfft(np.fft.rfft(around)[:, None] * np.fft.rfft(x, rows + columns - 1, 0), rows + columns - 1, 0)
    return _like(y[:rows], vector)


@_twin
def solve_circulant(c: Any, b: Any, singular: str = "raise", tol: Any = None, caxis: int = -1, baxis: int = 0,
                    outaxis: int = 0) -> Any:  # fmt: skip
    """Return the x of a @ x = b for the circulant matrix a with a first column, by Fourier transforms."""
    c, b = (np.atleast_1d(x) for x in _pair(c, b))
    c, b = np.moveaxis(c, caxis, -1), np.moveaxis(b, baxis, -1)
    if c.shape[-1] != b.shape[-1]:
        raise ShapeError(f"scipy.linalg.solve_circulant: {c.shape} and {b.shape} do not fit{at()}")
    if singular not in ("raise", "lstsq"):
        raise ShapeError(f"scipy.linalg.solve_circulant: singular={singular!r} is neither 'raise' nor 'lstsq'{at()}")
    values: Any = np.fft.fft(c)
    size = np.abs(values)
    if tol is None:
        limit = np.max(size, axis=-1, keepdims=True) * c.shape[-1] * np.finfo(values.dtype).eps
    else:
        limit = np.asarray(tol, dtype=size.dtype)
        if limit.ndim:
            limit = limit[..., None]
    near_zero = size <= limit
    if singular == "raise" and np.any(near_zero):
        raise np.linalg.LinAlgError("near singular circulant matrix.")
    quotient = np.fft.fft(b) / np.where(near_zero, 1, values)
    x = np.fft.ifft(np.where(near_zero, 0, quotient))
    if c.dtype.kind != "c" and b.dtype.kind != "c":
        x = np.real(x)
    return np.moveaxis(x, -1, outaxis)


@_twin
def lstsq(a: Any, b: Any, cond: Any = None, overwrite_a: bool = False, overwrite_b: bool = False,
          check_finite: bool = True, lapack_driver: Any = None) -> Any:  # fmt: skip
    """Return the least-squares solution, squared residuals, rank and singular values."""
    a, b = _pair(a, b)
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise ShapeError(f"scipy.linalg.lstsq: {a.shape} and {b.shape} do not fit{at()}")
    eps = float(np.finfo(np.result_type(a.dtype, b.dtype)).eps)
    x, residuals, rank, s = least_squares(a, b, eps if cond is None else float(cond))
    return x, residuals[0] if b.ndim == 1 and np.size(residuals) else residuals, rank, s


@_twin
def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True, *, assume_a: Any = None,
        lower: bool = False) -> Any:  # fmt: skip
    """Return the inverse."""
    a, kind = _structured(square(a, "scipy.linalg.inv"), assume_a, lower, "inv")
    return record(ops.inv, np.tril(a) if kind == "lower" else np.triu(a) if kind == "upper" else a)


@_twin
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Return the determinant."""
    return record(ops.det, square(a, "scipy.linalg.det"))


def _tolerances(x: Any, atol: Any, rtol: Any) -> tuple[float, float]:
    default = max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
    return 0.0 if atol is None else float(atol), default if rtol is None else float(rtol)


@_twin
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: bool = False, check_finite: bool = True) -> Any:
    """Return the pseudo-inverse; differentiated at constant rank."""
    a = matrix(a, "scipy.linalg.pinv")
    absolute, relative = _tolerances(a, atol, rtol)
    y = record(ops.pinv, a, rtol=relative, atol=absolute, hermitian=False)
    if not return_rank:
        return y
    s = record(eigen.svdvals, a)
    return y, int(np.sum(s > absolute + relative * np.max(s, initial=0)))


@_twin
def pinvh(a: Any, atol: Any = None, rtol: Any = None, lower: bool = True, return_rank: bool = False,
          check_finite: bool = True) -> Any:  # fmt: skip
    """Return the pseudo-inverse of a Hermitian matrix; differentiated at constant rank."""
    a = record(ops.mirrored, square(a, "scipy.linalg.pinvh"), lower=bool(lower))
    absolute, relative = _tolerances(a, atol, rtol)
    y = record(ops.pinv, a, rtol=relative, atol=absolute, hermitian=True)
    if not return_rank:
        return y
    s = record(eigen.svdvals, a)
    return y, int(np.sum(s > absolute + relative * np.max(s, initial=0)))


# -- cholesky ------------------------------------------------------------------------------------------


@_twin
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Return the triangular factor of a = u.conj().T @ u, or of a = l @ l.conj().T."""
    a = square(a, "scipy.linalg.cholesky")
    return record(ops.cholesky, a) if lower else adjoint(record(ops.cholesky, adjoint(a)))


@_twin
def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Return what `cho_solve` needs; the other triangle, which SciPy leaves as it was, is zero."""
    return cholesky(a, lower), lower


@_twin
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """Return the x of a @ x = b, from the Cholesky factor of a."""
    c, lower = c_and_lower
    c, b = _pair(c, b)
    b, vector = _as_columns(b)
    _fits(square(c, "scipy.linalg.cho_solve"), b, "cho_solve")
    half = _triangular(c, b, True) if lower else _triangular(adjoint(c), b, True)
    return _like(_triangular(adjoint(c), half, False) if lower else _triangular(c, half, False), vector)


def _from_band(band: Any, below: int, above: int) -> Any:
    """Return the matrix of which the diagonals are given."""
    n = band.shape[-1]
    i, j = np.indices((n, n))
    rows = above + i - j
    inside = (rows >= 0) & (rows <= below + above)
    return np.where(inside, band[..., np.where(inside, rows, 0), j], 0)


def _to_band(a: Any, count: int, lower: bool) -> Any:
    """Return the diagonals of a triangle, as SciPy lays them out."""
    n = a.shape[-1]
    row, j = np.indices((count + 1, n))
    i = j + row if lower else j + row - count
    inside = (i >= 0) & (i < n)
    return np.where(inside, a[..., np.where(inside, i, 0), j], 0)


def _hermitian_of(ab: Any, lower: bool) -> Any:
    count = ab.shape[-2] - 1
    return _from_band(_whole_band(ab, lower), count, count)


@_twin
def cholesky_banded(ab: Any, overwrite_ab: bool = False, lower: bool = False, check_finite: bool = True) -> Any:
    """Return the diagonals of the Cholesky factor; computed by the whole matrix."""
    ab = inexact(ab)
    factor = cholesky(_hermitian_of(ab, lower), lower)
    return _to_band(factor, ab.shape[-2] - 1, lower)


@_twin
def cho_solve_banded(cb_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """Return the x of a @ x = b, from the diagonals of the Cholesky factor of a."""
    cb, lower = cb_and_lower
    cb, b = _pair(cb, b)
    b, vector = _as_columns(b)
    count = cb.shape[-2] - 1
    below, above = (count, 0) if lower else (0, count)
    turned = adjoint(_from_band(cb, below, above))
    band = _to_band(turned, count, not lower)

    def through(band: Any, down: bool, side: Any) -> Any:
        below, above = (count, 0) if down else (0, count)
        return record(structured.solve_banded, band, side, below=below, above=above, definite=False)

    half = through(cb if lower else band, True, b)
    return _like(through(band if lower else cb, False, half), vector)


# -- lu and qr -----------------------------------------------------------------------------------------


@_twin
def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Return what `lu_solve` needs: both triangles in one array, and the exchanges of rows."""
    return tuple(several(factorization.lu, matrix(a, "scipy.linalg.lu_factor")))


@_twin
def lu_solve(lu_and_piv: Any, b: Any, trans: Any = 0, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """Return the x of a @ x = b, from the factors of a."""
    factors, pivots = lu_and_piv
    factors, b = _pair(factors, b)
    factors = square(factors, "scipy.linalg.lu_solve")
    b, vector = _as_columns(b)
    _fits(factors, b, "lu_solve")
    exchange = _exchange(pivots, factors)
    moved, turned = _turn_back(factors, trans, "lu_solve")
    if not turned:
        half = _triangular(factors, exchange @ b, True, True)
        return _like(_triangular(factors, half, False), vector)
    half = _triangular(moved, b, True)
    return _like(np.swapaxes(exchange, -1, -2) @ _triangular(moved, half, False, True), vector)


def _exchange(pivots: Any, like: Any) -> Any:
    """Return the matrix that exchanges rows."""
    rows = like.shape[-2]
    order = record(factorization.pivot_order, as_traced(pivots, like), rows=rows)
    return (np.expand_dims(order, -1) == np.arange(rows)).astype(np.finfo(like.dtype).dtype)


@_twin
def lu(a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True,
       p_indices: bool = False) -> Any:  # fmt: skip
    """Return the factors of a = p @ l @ u."""
    a = matrix(a, "scipy.linalg.lu")
    m, n = a.shape[-2:]
    k = min(m, n)
    factors, pivots = several(factorization.lu, a)
    lower = np.tril(factors[..., :k], -1) + np.eye(m, k, dtype=a.dtype)
    upper = np.triu(factors[..., :k, :])
    exchange = np.swapaxes(_exchange(pivots, a), -1, -2)
    if permute_l:
        return exchange @ lower, upper
    if p_indices:
        return np.argmax(exchange, axis=-1), lower, upper
    return exchange, lower, upper


@_twin
def qr(a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", pivoting: bool = False,
       check_finite: bool = True) -> Any:  # fmt: skip
    """Return the factors of a = q @ r, or of a[:, p] = q @ r."""
    a = matrix(a, "scipy.linalg.qr")
    if mode not in ("full", "r", "economic"):
        _refuse("qr", f"mode={mode!r}", "use mode='economic'")
    order: tuple[Any, ...] = ()
    if pivoting:
        if a.ndim != 2:
            _refuse("qr", "pivoting=True of stacked matrices", "use vmap")
        chosen = record(host, a, function=_pivots_of_qr, kwargs=())
        a, order = a[:, chosen], (chosen,)
    q, r = several(factorization.qr, a, complete=mode != "economic")
    return (r, *order) if mode == "r" else (q, r, *order)


def _pivots_of_qr(a: Any) -> Any:
    return scipy.linalg.qr(a, mode="r", pivoting=True)[1].astype(np.intp)


@_twin
def rq(a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", check_finite: bool = True) -> Any:
    """Return the factors of a = r @ q."""
    a = matrix(a, "scipy.linalg.rq")
    if mode not in ("full", "r", "economic"):
        _refuse("rq", f"mode={mode!r}", "use mode='economic'")
    turned = np.swapaxes(np.flip(a, (-2, -1)), -1, -2)
    q, r = (np.flip(np.swapaxes(x, -1, -2), (-2, -1)) for x in several(factorization.qr, turned,
                                                                       complete=mode != "economic"))  # fmt: skip
    return r if mode == "r" else (r, q)


# -- eigenvalues and singular values -------------------------------------------------------------------


@_twin
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, overwrite_a: bool = False,
        check_finite: bool = True, lapack_driver: str = "gesdd") -> Any:  # fmt: skip
    """Return u, s and vh with a = u @ diag(s) @ vh."""
    a = matrix(a, "scipy.linalg.svd")
    return tuple(several(eigen.svd, a, full=bool(full_matrices))) if compute_uv else record(eigen.svdvals, a)


@_twin
def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Return the singular values."""
    return record(eigen.svdvals, matrix(a, "scipy.linalg.svdvals"))


@_twin
def eig(a: Any, b: Any = None, left: bool = False, right: bool = True, overwrite_a: bool = False,
        overwrite_b: bool = False, check_finite: bool = True, homogeneous_eigvals: bool = False) -> Any:  # fmt: skip
    """Return the eigenvalues, as complex numbers, and the eigenvectors."""
    if b is not None:
        _refuse("eig", "a generalized problem", "write eig(solve(b, a)), or eigh where a and b are Hermitian")
    if left:
        _refuse("eig", "left=True", "take the right eigenvectors of a.conj().T")
    x = square(a, "scipy.linalg.eig")
    w, v = several(eigen.eig, x)
    w_out = w[..., None, :] if homogeneous_eigvals else w
    if homogeneous_eigvals:
        w_out = np.concatenate([w_out, np.ones(w_out.shape, w.dtype)], axis=-2)
    return (w_out, *_real_if(_is_real(x, w), v)) if right else w_out


@_twin
def eigvals(a: Any, b: Any = None, overwrite_a: bool = False, check_finite: bool = True,
            homogeneous_eigvals: bool = False) -> Any:  # fmt: skip
    """Return the eigenvalues, as complex numbers."""
    return eig(a, b, False, False, homogeneous_eigvals=homogeneous_eigvals)


@_twin
def eigh(a: Any, b: Any = None, *, lower: bool = True, eigvals_only: bool = False, overwrite_a: bool = False,
         overwrite_b: bool = False, type: int = 1, check_finite: bool = True, subset_by_index: Any = None,
         subset_by_value: Any = None, driver: Any = None) -> Any:  # fmt: skip
    """Return the eigenvalues and eigenvectors of a Hermitian matrix, or of a pair with b positive definite."""
    w, v = _hermitian_problem(a, b, lower, not eigvals_only, type, subset_by_index, subset_by_value, driver)
    return w if eigvals_only else (w, v)


@_twin
def eigvalsh(a: Any, b: Any = None, *, lower: bool = True, overwrite_a: bool = False, overwrite_b: bool = False,
             type: int = 1, check_finite: bool = True, subset_by_index: Any = None, subset_by_value: Any = None,
             driver: Any = None) -> Any:  # fmt: skip
    """Return the eigenvalues of a Hermitian matrix, or of a pair with b positive definite."""
    return _hermitian_problem(a, b, lower, False, type, subset_by_index, subset_by_value, driver)[0]


def _hermitian_problem(a: Any, b: Any, lower: bool, vectors: bool, kind: int, by_index: Any, by_value: Any,
                       driver: Any) -> tuple[Any, Any]:  # fmt: skip
    """Reduce a generalized problem to C y = w y by the Cholesky factor l of b, and choose from the results."""
    lower = bool(lower)
    factor = None
    if b is None:
        a = square(a, "scipy.linalg.eigh")
    else:
        a, b = _pair(a, b)
        a = record(ops.mirrored, square(a, "scipy.linalg.eigh"), lower=lower)
        factor = cholesky(record(ops.mirrored, square(b, "scipy.linalg.eigh"), lower=lower), True)
        if kind == 1:
            half = _triangular(factor, a, True)
            a = adjoint(_triangular(factor, adjoint(half), True))
        elif kind in (2, 3):
            a = adjoint(factor) @ a @ factor
        else:
            raise ShapeError(f"scipy.linalg.eigh: type={kind!r} is none of 1, 2 and 3{at()}")
    if a.ndim != 2 and (by_index is not None or by_value is not None):
        _refuse("eigh", "a subset of stacked matrices", "use vmap")
    driver = "evr" if factor is None and driver in (None, "evr", "evx") else "evd"
    v = None
    if vectors:
        w, v = several(eigen.eigh, a, lower=lower, driver=driver)
        if factor is not None:
            v = factor @ v if kind == 3 else _triangular(adjoint(factor), v, False)
    else:
        w = record(eigen.eigvalsh, a, lower=lower, driver=driver)
    if by_index is not None:
        low, high = (int(k) for k in by_index)
        chosen: Any = slice(low, high + 1)
    elif by_value is not None:
        low, high = by_value
        chosen = np.flatnonzero((w > low) & (w <= high))
    else:
        return w, v
    return w[..., chosen], None if v is None else v[..., chosen]


def _select(w: Any, v: Any, select: Any, select_range: Any, name: str) -> tuple[Any, Any]:
    """Choose eigenvalues as the functions for banded matrices do."""
    if select in ("a", "all", 0):
        return w, v
    if select in ("i", "index", 2):
        chosen: Any = slice(int(select_range[0]), int(select_range[1]) + 1)
    elif select in ("v", "value", 1):
        chosen = np.flatnonzero((w > select_range[0]) & (w <= select_range[1]))
    else:
        raise ShapeError(f"scipy.linalg.{name}: select={select!r} is none of 'a', 'i' and 'v'{at()}")
    return w[chosen], None if v is None else v[:, chosen]


def _dense_problem(a: Any, vectors: bool, select: Any, select_range: Any, name: str) -> tuple[Any, Any]:
    if vectors:
        w, v = several(eigen.eigh, a, lower=True, driver="evd")
        return _select(w, v, select, select_range, name)
    return _select(record(eigen.eigvalsh, a, lower=True, driver="evd"), None, select, select_range, name)


@_twin
def eig_banded(a_band: Any, lower: bool = False, eigvals_only: bool = False, overwrite_a_band: bool = False,
               select: Any = "a", select_range: Any = None, max_ev: int = 0,
               check_finite: bool = True) -> Any:  # fmt: skip
    """Return eigenvalues and eigenvectors of a Hermitian matrix given by diagonals; computed by the whole matrix."""
    a = _hermitian_of(inexact(a_band), lower)
    w, v = _dense_problem(a, not eigvals_only, select, select_range, "eig_banded")
    return w if eigvals_only else (w, v)


@_twin
def eigvals_banded(a_band: Any, lower: bool = False, overwrite_a_band: bool = False, select: Any = "a",
                   select_range: Any = None, check_finite: bool = True) -> Any:  # fmt: skip
    """Return eigenvalues of a Hermitian matrix given by diagonals; computed by the whole matrix."""
    return eig_banded(a_band, lower, True, select=select, select_range=select_range)


@_twin
def eigh_tridiagonal(d: Any, e: Any, eigvals_only: bool = False, select: Any = "a", select_range: Any = None,
                     check_finite: bool = True, tol: float = 0.0, lapack_driver: str = "auto") -> Any:  # fmt: skip
    """Return eigenvalues and eigenvectors of a symmetric tridiagonal matrix; computed by the whole matrix."""
    d, e = _pair(d, e)
    if d.ndim != 1 or e.ndim != 1 or d.size != e.size + 1:
        raise ShapeError(f"scipy.linalg.eigh_tridiagonal: {d.shape} and {e.shape} do not fit{at()}")
    a = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
    w, v = _dense_problem(a, not eigvals_only, select, select_range, "eigh_tridiagonal")
    return w if eigvals_only else (w, v)


@_twin
def eigvalsh_tridiagonal(d: Any, e: Any, select: Any = "a", select_range: Any = None, check_finite: bool = True,
                         tol: float = 0.0, lapack_driver: str = "auto") -> Any:  # fmt: skip
    """Return eigenvalues of a symmetric tridiagonal matrix; computed by the whole matrix."""
    return eigh_tridiagonal(d, e, True, select, select_range)


@_twin
def polar(a: Any, side: str = "right") -> Any:
    """Return u and p with a = u @ p, or a = p @ u; u has orthonormal columns or rows, p is positive semidefinite."""
    a = matrix(a, "scipy.linalg.polar")
    if side not in ("left", "right"):
        raise ShapeError(f"scipy.linalg.polar: side={side!r} is neither 'left' nor 'right'{at()}")
    wide = a.shape[-2] < a.shape[-1]
    u = adjoint(record(factorization.unitary_factor, adjoint(a))) if wide else record(factorization.unitary_factor, a)
    p = adjoint(u) @ a if side == "right" else a @ adjoint(u)
    return u, 0.5 * (p + adjoint(p))


def _rank(a: Any, rcond: Any, name: str) -> int:
    if a.ndim != 2:
        _refuse(name, "a stack of matrices", "use vmap")
    s = record(eigen.svdvals, a)
    rcond = np.finfo(s.dtype).eps * max(a.shape) if rcond is None else rcond
    return int(np.sum(s > np.max(s, initial=0.0) * rcond))


@_twin
def orth(A: Any, rcond: Any = None) -> Any:
    """Return an orthonormal basis of the range; its derivative has no turn within the range."""
    a = matrix(A, "scipy.linalg.orth")
    return record(factorization.range_basis, a, rank=_rank(a, rcond, "orth"))


@_twin
def null_space(A: Any, rcond: Any = None, *, overwrite_a: bool = False, check_finite: bool = True,
               lapack_driver: str = "gesdd") -> Any:  # fmt: skip
    """Return an orthonormal basis of the null space; its derivative has no turn within the space."""
    a = matrix(A, "scipy.linalg.null_space")
    return record(factorization.null_basis, a, rank=_rank(a, rcond, "null_space"))


@_twin
def subspace_angles(A: Any, B: Any) -> Any:
    """Return the angles between the ranges of two matrices, the largest first."""
    a, b = _pair(A, B)
    one, two = orth(a), orth(b)
    if a.ndim != 2 or b.ndim != 2 or one.shape[0] != two.shape[0]:
        raise ShapeError(f"scipy.linalg.subspace_angles: {a.shape} and {b.shape} do not fit{at()}")
    cosines = adjoint(one) @ two
    c = record(eigen.svdvals, cosines)
    left, right = (two, one) if one.shape[1] >= two.shape[1] else (one, two)
    inner = cosines if one.shape[1] >= two.shape[1] else adjoint(cosines)
    s = record(eigen.svdvals, left - right @ inner)
    # as accurate from the sine where the cosine is near 1, and the other way round
    small = np.flip(c**2 >= 0.5)
    sine, cosine = np.where(small, s, 0), np.where(small, 0, np.flip(c))
    return np.where(small, np.arcsin(np.clip(sine, -1, 1)), np.arccos(np.clip(cosine, -1, 1)))


@_twin
def orthogonal_procrustes(A: Any, B: Any, check_finite: bool = True) -> Any:
    """Return the orthogonal matrix that turns A nearest to B, and the sum of the singular values of A.T @ B."""
    a, b = _pair(A, B)
    if a.ndim != 2 or a.shape != b.shape:
        raise ShapeError(f"scipy.linalg.orthogonal_procrustes: {a.shape} and {b.shape} do not fit{at()}")
    inner = adjoint(a) @ b
    return record(factorization.unitary_factor, inner), np.sum(record(eigen.svdvals, inner))


@_twin
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> Any:
    """Return a norm, as np.linalg.norm."""
    return np.linalg.norm(inexact(a), ord, axis, keepdims)


# -- functions of matrices -----------------------------------------------------------------------------


@_twin
def expm(A: Any) -> Any:
    """Return the exponential of a matrix, which has derivatives of every order."""
    return record(matrix_functions.expm, square(A, "scipy.linalg.expm"))


@_twin
def expm_frechet(A: Any, E: Any, method: Any = None, compute_expm: bool = True, check_finite: bool = True) -> Any:
    """Return the exponential of A and its derivative in direction E."""
    a, e = _pair(A, E)
    a, e = square(a, "scipy.linalg.expm_frechet"), square(e, "scipy.linalg.expm_frechet")
    change = record(matrix_functions.frechet, a, e, function="expm")
    return (record(matrix_functions.expm, a), change) if compute_expm else change


def _principal(op: ir.Op, x: Any) -> Any:
    """Return a function whose values may be complex for real matrices; real ones where SciPy's are."""
    y = record(op, x)
    return np.real(y) if _is_real(x, y) else y


@_twin
def logm(A: Any, disp: Any = _ABSENT) -> Any:
    """Return the principal logarithm of a matrix."""
    if disp is not _ABSENT and not disp:
        _refuse("logm", "disp=False", "leave it out")
    return _principal(matrix_functions.logm, square(A, "scipy.linalg.logm"))


@_twin
def sqrtm(A: Any, disp: Any = _ABSENT, blocksize: Any = _ABSENT) -> Any:
    """Return the principal square root of a matrix."""
    if disp is not _ABSENT and not disp:
        _refuse("sqrtm", "disp=False", "leave it out")
    return _principal(matrix_functions.sqrtm, square(A, "scipy.linalg.sqrtm"))


@_twin
def fractional_matrix_power(A: Any, t: Any) -> Any:
    """Return A to a real power; differentiable in both."""
    if not isinstance(t, TracedArray) and t == int(t):
        return np.linalg.matrix_power(square(A, "scipy.linalg.fractional_matrix_power"), int(t))
    a, t = _pair(A, t)
    return expm(t * logm(square(a, "scipy.linalg.fractional_matrix_power")))


@_twin
def signm(A: Any, disp: Any = _ABSENT) -> Any:
    """Return the sign function of a matrix, a @ inv(sqrtm(a @ a))."""
    if disp is not _ABSENT and not disp:
        _refuse("signm", "disp=False", "leave it out")
    a = square(A, "scipy.linalg.signm")
    return np.linalg.solve(sqrtm(a @ a), a)


def _turned(a: Any) -> Any:
    return expm(1j * a)


@_twin
def cosm(A: Any) -> Any:
    """Return the cosine of a matrix."""
    a = square(A, "scipy.linalg.cosm")
    return 0.5 * (_turned(a) + _turned(-a)) if a.dtype.kind == "c" else np.real(_turned(a))


@_twin
def sinm(A: Any) -> Any:
    """Return the sine of a matrix."""
    a = square(A, "scipy.linalg.sinm")
    return -0.5j * (_turned(a) - _turned(-a)) if a.dtype.kind == "c" else np.imag(_turned(a))


@_twin
def tanm(A: Any) -> Any:
    """Return the tangent of a matrix."""
    return np.linalg.solve(cosm(A), sinm(A))


@_twin
def coshm(A: Any) -> Any:
    """Return the hyperbolic cosine of a matrix."""
    a = square(A, "scipy.linalg.coshm")
    return 0.5 * (expm(a) + expm(-a))


@_twin
def sinhm(A: Any) -> Any:
    """Return the hyperbolic sine of a matrix."""
    a = square(A, "scipy.linalg.sinhm")
    return 0.5 * (expm(a) - expm(-a))


@_twin
def tanhm(A: Any) -> Any:
    """Return the hyperbolic tangent of a matrix."""
    return np.linalg.solve(coshm(A), sinhm(A))


# -- matrix equations ----------------------------------------------------------------------------------


def _three(a: Any, b: Any, q: Any, name: str) -> tuple[Any, Any, Any]:
    a, b, q = (stacked(x) for x in (a, b, q))
    a, b, q = (inexact(as_traced(x, a, b, q)) for x in (a, b, q))
    a, b = square(a, f"scipy.linalg.{name}"), square(b, f"scipy.linalg.{name}")
    if q.ndim < 2 or q.shape[-2:] != (a.shape[-1], b.shape[-1]):
        raise ShapeError(f"scipy.linalg.{name}: {a.shape}, {b.shape} and {q.shape} do not fit{at()}")
    return a, b, q


@_twin
def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """Return the x of a @ x + x @ b = q."""
    return record(matrix_functions.sylvester, *_three(a, b, q, "solve_sylvester"))


@_twin
def solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    """Return the x of a @ x + x @ a.conj().T = q."""
    a, q = _pair(a, q)
    return record(matrix_functions.sylvester, *_three(a, adjoint(a), q, "solve_continuous_lyapunov"))


@_twin
def solve_lyapunov(a: Any, q: Any) -> Any:
    """Return the x of a @ x + x @ a.conj().T = q."""
    return solve_continuous_lyapunov(a, q)


@_twin
def solve_discrete_lyapunov(a: Any, q: Any, method: Any = None) -> Any:
    """Return the x of a @ x @ a.conj().T - x + q = 0; both methods of SciPy's give the same."""
    a, q = _pair(a, q)
    return record(matrix_functions.stein, *_three(a, adjoint(a), q, "solve_discrete_lyapunov"))


def _riccati(a: Any, b: Any, q: Any, r: Any, e: Any, s: Any, name: str) -> tuple[Any, ...]:
    if e is not None:
        _refuse(name, "e=", "solve the equation of solve(e.T, ...) by hand, or leave e out")
    values = [stacked(x) for x in (a, b, q, r)]
    a, b, q, r = (inexact(as_traced(x, *values, s)) for x in values)
    return square(a, f"scipy.linalg.{name}"), b, q, r, None if s is None else inexact(as_traced(stacked(s), a))


@_twin
def solve_continuous_are(a: Any, b: Any, q: Any, r: Any, e: Any = None, s: Any = None, balanced: bool = True) -> Any:
    """Return the stabilizing x of aᴴ x + x a - (x b + s) r⁻¹ (bᴴ x + sᴴ) + q = 0."""
    a, b, q, r, s = _riccati(a, b, q, r, e, s, "solve_continuous_are")
    if s is not None:
        weight = np.linalg.solve(r, adjoint(s))
        a, q = a - b @ weight, q - s @ weight
    return record(matrix_functions.riccati, a, b @ np.linalg.solve(r, adjoint(b)), q)


@_twin
def solve_discrete_are(a: Any, b: Any, q: Any, r: Any, e: Any = None, s: Any = None, balanced: bool = True) -> Any:
    """Return the stabilizing x of aᴴ x a - x - (aᴴ x b + s) (r + bᴴ x b)⁻¹ (bᴴ x a + sᴴ) + q = 0."""
    a, b, q, r, s = _riccati(a, b, q, r, e, s, "solve_discrete_are")
    if s is not None:
        weight = np.linalg.solve(r, adjoint(s))
        a, q = a - b @ weight, q - s @ weight
    return record(matrix_functions.discrete_riccati, a, b @ np.linalg.solve(r, adjoint(b)), q)


# -- matrices made of parts ----------------------------------------------------------------------------


def _vector(x: Any, *others: Any) -> Any:
    return np.ravel(as_traced(stacked(x), *others))


@_twin
def block_diag(*arrs: Any) -> Any:
    """Return the matrix with blocks along its diagonal."""
    traced = [as_traced(stacked(x), *(stacked(y) for y in arrs)) for x in arrs]
    blocks = [np.atleast_2d(x) for x in traced]
    lead = np.broadcast_shapes(*(x.shape[:-2] for x in blocks))
    columns = sum(x.shape[-1] for x in blocks)
    rows, start = [], 0
    for x in blocks:
        x = np.broadcast_to(x, (*lead, *x.shape[-2:]))
        width = [(0, 0)] * (x.ndim - 1) + [(start, columns - start - x.shape[-1])]
        rows.append(np.pad(x, width))
        start += x.shape[-1]
    return np.concatenate(rows, axis=-2)


@_twin
def toeplitz(c: Any, r: Any = None) -> Any:
    """Return the matrix with constant diagonals, of which the first column, and the first row, are given."""
    if r is None:
        c = _vector(c)
        r = np.conj(c) if c.dtype.kind == "c" else c
    else:
        c, r = _vector(c, stacked(r)), _vector(r, stacked(c))
    whole = np.concatenate([np.flip(r[1:]), c])
    return whole[np.arange(c.size)[:, None] - np.arange(r.size) + r.size - 1]


@_twin
def hankel(c: Any, r: Any = None) -> Any:
    """Return the matrix with constant antidiagonals, of which the first column, and the last row, are given."""
    if r is None:
        c = _vector(c)
        r = np.zeros_like(c)
    else:
        c, r = _vector(c, stacked(r)), _vector(r, stacked(c))
    whole = np.concatenate([c, r[1:]])
    return whole[np.arange(c.size)[:, None] + np.arange(r.size)]


@_twin
def circulant(c: Any) -> Any:
    """Return the circulant matrix with a first column."""
    c = np.atleast_1d(as_traced(stacked(c)))
    n = c.shape[-1]
    return c[..., (np.arange(n)[:, None] - np.arange(n)) % n]


@_twin
def companion(a: Any) -> Any:
    """Return the companion matrix of a polynomial."""
    a = np.atleast_1d(inexact(a))
    n = a.shape[-1]
    if n < 2:
        raise ShapeError(f"scipy.linalg.companion: at least two coefficients are needed, got {a.shape}{at()}")
    first = -a[..., 1:] / a[..., :1]
    below = np.broadcast_to(np.eye(n - 2, n - 1, dtype=a.dtype), (*a.shape[:-1], n - 2, n - 1))
    return np.concatenate([first[..., None, :], below], axis=-2)


@_twin
def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """Return the matrix whose product with a vector of n elements is the convolution with a."""
    a = as_traced(stacked(a))
    m = a.shape[-1]
    if n <= 0 or m == 0:
        raise ShapeError(f"scipy.linalg.convolution_matrix: n={n} and {a.shape} do not fit{at()}")
    count = {"full": m + n - 1, "same": max(m, n), "valid": abs(m - n) + 1}.get(mode)
    if count is None:
        raise ShapeError(f"scipy.linalg.convolution_matrix: mode={mode!r} is none of 'full', 'same', 'valid'{at()}")
    start = {"full": 0, "same": (min(m, n) - 1) // 2, "valid": min(m, n) - 1}[mode]
    place = np.arange(start, start + count)[:, None] - np.arange(n)
    inside = (place >= 0) & (place < m)
    return np.where(inside, a[..., np.where(inside, place, 0)], 0)


@_twin
def leslie(f: Any, s: Any) -> Any:
    """Return the Leslie matrix of fecundities and survivals."""
    f, s = (np.atleast_1d(x) for x in _pair(f, s))
    if f.shape[-1] != s.shape[-1] + 1:
        raise ShapeError(f"scipy.linalg.leslie: {f.shape} and {s.shape} do not fit{at()}")
    n = f.shape[-1]
    below = s[..., None] * np.eye(n - 1, n)
    lead = np.broadcast_shapes(f.shape[:-1], s.shape[:-1])
    below = np.broadcast_to(below, (*lead, n - 1, n))
    return np.concatenate([np.broadcast_to(f, (*lead, n))[..., None, :], below], axis=-2)


@_twin
def fiedler(a: Any) -> Any:
    """Return the differences of all pairs, without sign."""
    a = np.atleast_1d(as_traced(stacked(a)))
    return np.abs(a[..., :, None] - a[..., None, :])


@_twin
def khatri_rao(a: Any, b: Any) -> Any:
    """Return the Kronecker products of columns."""
    a, b = stacked(a), stacked(b)
    a, b = as_traced(a, b), as_traced(b, a)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError(f"scipy.linalg.khatri_rao: {a.shape} and {b.shape} do not fit{at()}")
    product = a[..., :, None, :] * b[..., None, :, :]
    return np.reshape(product, (*product.shape[:-3], -1, product.shape[-1]))


@_twin
def diagsvd(s: Any, M: int, N: int) -> Any:
    """Return singular values on the diagonal of a matrix."""
    s = as_traced(stacked(s))
    if s.shape[-1] not in (M, N) or s.shape[-1] != min(M, N):
        raise ShapeError(f"scipy.linalg.diagsvd: {s.shape} does not fit ({M}, {N}){at()}")
    return (s[..., :, None] * np.eye(min(M, N), N, dtype=s.dtype)) if M <= N else (
        np.eye(M, N, dtype=s.dtype) * s[..., None, :])  # fmt: skip


# -- questions -----------------------------------------------------------------------------------------


def _alike(a: Any, b: Any, atol: Any, rtol: Any) -> bool:
    a = record(stop_gradient, a)
    if atol is None and rtol is None:
        return bool(np.all(a == b))
    limit = (0.0 if atol is None else atol) + (0.0 if rtol is None else rtol) * np.abs(b)
    return bool(np.all(np.abs(a - b) <= limit))


@_twin
def issymmetric(a: Any, atol: Any = None, rtol: Any = None) -> bool:
    """Whether a matrix is symmetric: a decision of the program."""
    a = as_traced(stacked(a))
    return a.shape[-1] == a.shape[-2] and _alike(a, np.swapaxes(a, -1, -2), atol, rtol)


@_twin
def ishermitian(a: Any, atol: Any = None, rtol: Any = None) -> bool:
    """Whether a matrix is Hermitian: a decision of the program."""
    a = as_traced(stacked(a))
    return a.shape[-1] == a.shape[-2] and _alike(a, adjoint(a), atol, rtol)
