"""numpy.linalg: solving, factorizing, eigenvalues and singular values, norms, powers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.errors import ShapeError, UnsupportedError
from chainrule.ops import eigen, factorization, linalg
from chainrule.ops.host import host, stop_gradient
from chainrule.tracing.array import TracedArray, cast, record, stacked
from chainrule.tracing.functions.common import Axis, as_traced, axes_of, implements, listed_axes
from chainrule.tracing.functions.reductions import squared
from chainrule.tracing.origin import at

_SVDResult: Any = type(np.linalg.svd(np.eye(1)))
_EighResult: Any = type(np.linalg.eigh(np.eye(1)))
_EigResult: Any = type(np.linalg.eig(np.eye(1)))
_QRResult: Any = type(np.linalg.qr(np.eye(1)))
_SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))

# -- norms ---------------------------------------------------------------------------------------------


@implements(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    x = inexact(x)
    if axis is None and (ord is None or (ord == 2 and x.ndim == 1) or (ord == "fro" and x.ndim == 2)):
        return np.sqrt(np.sum(squared(x), keepdims=keepdims))
    axes = listed_axes(range(x.ndim) if axis is None else axis, x.ndim)
    if len(axes) == 2:
        return _matrix_norm(x, "fro" if ord is None else ord, axes, keepdims)
    if len(axes) != 1:
        raise ShapeError(f"np.linalg.norm: ord={ord!r} needs one axis or two, got {len(axes)}{at()}")
    if isinstance(ord, str):
        raise ShapeError(f"np.linalg.norm: ord={ord!r} is no norm of vectors{at()}")
    return _vector_norm(x, axes[0], 2 if ord is None else ord, keepdims)


def _matrix_norm(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if axes[0] == axes[1]:
        raise ShapeError(f"np.linalg.norm: the axes of a matrix differ, got {axes}{at()}")
    if order == "fro":
        return np.sqrt(np.sum(squared(x), axis=axes, keepdims=keepdims))
    if order in (1, -1, np.inf, -np.inf):
        inner = axes[0 if abs(order) == 1 else 1]
        sums = np.sum(np.abs(x), axis=inner, keepdims=True)
        return (np.max if order > 0 else np.min)(sums, axis=axes, keepdims=keepdims)
    if order not in (2, -2, "nuc"):
        raise UnsupportedError(f"np.linalg.norm: ord={order!r} is no norm of matrices{at()}")
    values = record(eigen.svdvals, np.moveaxis(x, axes, (-2, -1)))
    if order == "nuc":
        y = np.sum(_clear_of_zero(values, max(x.shape[k] for k in axes)), axis=-1)
    else:
        y = values[..., 0 if order == 2 else -1]
        if order == 2 and values.shape[-1] > 1:
            y = np.max(values, axis=-1)  # shared among the largest where they tie
        if order == -2 and values.shape[-1] > 1:
            y = np.min(values, axis=-1)
    return np.expand_dims(y, tuple(sorted(axes))) if keepdims else y


def _clear_of_zero(values: Any, size: int) -> Any:
    """Return singular values; those that are 0 but for rounding do not vary, which is the subgradient of least norm."""
    limit = size * np.finfo(values.dtype).eps * np.max(values, axis=-1, keepdims=True, initial=0)
    return np.where(values > limit, values, record(stop_gradient, values))


implements(np.linalg.matrix_norm)(
    lambda x, /, *, keepdims=False, ord="fro": _matrix_norm(inexact(x), ord, (np.ndim(x) - 2, np.ndim(x) - 1), keepdims)
)


@implements(np.linalg.vector_norm)
def _norm_of_vectors(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Any:
    x = inexact(x)
    axes = axes_of(axis, x.ndim)
    rest = [k for k in range(x.ndim) if k not in axes]
    flat = np.reshape(np.transpose(x, [*rest, *axes]), (*(x.shape[k] for k in rest), -1))
    y = _vector_norm(flat, -1, ord, False)
    return np.reshape(y, [1 if k in axes else size for k, size in enumerate(x.shape)]) if keepdims else y


def _vector_norm(x: Any, axis: int, order: float, keepdims: bool) -> Any:
    size = np.abs(x)
    if order == np.inf:
        return np.max(size, axis=axis, keepdims=keepdims)
    if order == -np.inf:
        return np.min(size, axis=axis, keepdims=keepdims)
    if order == 0:
        return np.sum((x != 0).astype(size.dtype), axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    if order == 2:
        return np.sqrt(np.sum(squared(x), axis=axis, keepdims=keepdims))
    return np.sum(size**order, axis=axis, keepdims=keepdims) ** (1 / order)


@implements(np.linalg.multi_dot)
def _multi_dot(arrays: Sequence[Any]) -> Any:
    if len(arrays) > 2:
        shapes = [np.broadcast_to(0.0, np.shape(array)) for array in arrays]
        letters = [chr(97 + k) for k in range(len(arrays) + 1)]
        terms = [letters[k] + letters[k + 1] for k in range(len(arrays))]
        if shapes[0].ndim == 1:
            terms[0] = letters[1]
        if shapes[-1].ndim == 1:
            terms[-1] = letters[-2]
        return np.einsum(",".join(terms), *arrays)
    return functools.reduce(lambda a, b: np.matmul(a, b), arrays)


@implements(np.linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    a = as_traced(stacked(a))
    if a.dtype.kind not in "iu" or n < 0:  # powers of whole numbers are whole
        a = square(a, "np.linalg.matrix_power")
    if n < 0:
        a, n = np.linalg.inv(a), -n
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    result = None
    while n:
        if n & 1:
            result = a if result is None else result @ a
        a, n = a @ a if n > 1 else a, n >> 1
    return result


def inexact(x: Any) -> Any:
    """Return x as a traced array of real or complex floating-point numbers."""
    x = as_traced(stacked(x))
    return x if x.dtype.kind in "fc" else cast(x, float)


def matrix(x: Any, name: str) -> Any:
    """Return x as traced matrices."""
    x = inexact(x)
    if x.ndim < 2:
        raise ShapeError(f"{name}: a matrix is needed, got shape {x.shape}{at()}")
    return x


def square(x: Any, name: str) -> Any:
    """Return x as traced square matrices."""
    x = inexact(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name}: a square matrix is needed, got shape {x.shape}{at()}")
    return x


def _square(x: Any, name: str) -> Any:
    return square(x, f"np.linalg.{name}")


# -- solving -------------------------------------------------------------------------------------------


@implements(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    a, b = stacked(a), stacked(b)
    a, b = _square(as_traced(a, b), "solve"), inexact(as_traced(b, a))
    vector = b.ndim == 1
    if (b.shape[0] if vector else b.shape[-2]) != a.shape[-1]:
        raise ShapeError(f"np.linalg.solve: {a.shape} and {b.shape} do not fit{at()}")
    x = record(linalg.solve, a, np.reshape(b, (-1, 1)) if vector else b)
    return np.reshape(x, x.shape[:-1]) if vector else x


implements(np.linalg.inv)(lambda a: record(linalg.inv, _square(a, "inv")))
implements(np.linalg.det)(lambda a: record(linalg.det, _square(a, "det")))


@implements(np.linalg.pinv)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    x = matrix(a, "np.linalg.pinv")
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else rtol
    if rcond is None:
        rcond = max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
    return record(linalg.pinv, x, rtol=_number(rcond, "np.linalg.pinv: rcond"), atol=0.0, hermitian=bool(hermitian))


def _number(value: Any, what: str) -> float:
    """Return a tolerance, which has to be one number and carries no derivative."""
    if np.ndim(value):
        raise UnsupportedError(f"{what} of several numbers is not supported with traced arrays{at()}; give one for all")
    return float(value)


@implements(np.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    a, b = inexact(as_traced(stacked(a), stacked(b))), inexact(as_traced(stacked(b), stacked(a)))
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise ShapeError(f"np.linalg.lstsq: {a.shape} and {b.shape} do not fit{at()}")
    eps = float(np.finfo(np.result_type(a.dtype, b.dtype)).eps)
    rcond = max(a.shape) * eps if rcond is None else eps if rcond == -1 else _number(rcond, "np.linalg.lstsq: rcond")
    x, residuals, rank, s = least_squares(a, b, rcond)
    return x, residuals, np.int32(rank), s


def least_squares(a: Any, b: Any, rcond: float) -> tuple[Any, Any, Any, Any]:
    """Return the solution of least norm, squared residuals where they say something, rank and singular values."""
    s = record(eigen.svdvals, a)
    x = record(linalg.pinv, a, rtol=rcond, atol=0.0, hermitian=False) @ b
    rank = int(np.sum(s > rcond * np.max(s, initial=0)))
    residuals = np.zeros(0, s.dtype)
    if rank == a.shape[1] < a.shape[0]:
        residuals = np.sum(squared(b - a @ x), axis=0)
        residuals = np.reshape(residuals, (1,)) if b.ndim == 1 else residuals
    return x, residuals, rank, s


@implements(np.linalg.tensorsolve)
def _tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    if axes is not None:
        a = np.moveaxis(a, axes, range(-len(axes), 0))
    shape = np.shape(a)[np.ndim(b) :]
    if int(np.prod(shape)) != np.size(b):
        raise ShapeError(f"np.linalg.tensorsolve: {np.shape(a)} and {np.shape(b)} do not fit{at()}")
    return np.reshape(np.linalg.solve(np.reshape(a, (-1, np.size(b))), np.ravel(b)), shape)


@implements(np.linalg.tensorinv)
def _tensorinv(a: Any, ind: int = 2) -> Any:
    if ind <= 0:
        raise ShapeError(f"np.linalg.tensorinv: ind={ind} is not positive{at()}")
    one, two = a.shape[:ind], a.shape[ind:]
    if np.prod(one) != np.prod(two):
        raise ShapeError(f"np.linalg.tensorinv: {one} and {two} hold different numbers of elements{at()}")
    return np.reshape(np.linalg.inv(np.reshape(a, (int(np.prod(one)), -1))), (*two, *one))


@implements(np.linalg.cross)
def _cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return np.cross(x1, x2, axis=axis)


# -- factorizations ------------------------------------------------------------------------------------


@implements(np.linalg.cholesky)
def _cholesky(a: Any, /, *, upper: bool = False) -> Any:
    x = _square(a, "cholesky")
    return adjoint(record(linalg.cholesky, adjoint(x))) if upper else record(linalg.cholesky, x)


def adjoint(x: Any) -> Any:
    """Return the conjugate transpose of matrices."""
    return np.conj(np.swapaxes(x, -1, -2)) if x.dtype.kind == "c" else np.swapaxes(x, -1, -2)


@implements(np.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    x = matrix(a, "np.linalg.qr")
    if mode not in ("reduced", "complete", "r"):
        raise UnsupportedError(f"np.linalg.qr: mode={mode!r} is not supported with traced arrays{at()}; use 'reduced'")
    q, r = several(factorization.qr, x, complete=mode == "complete")
    return r if mode == "r" else _QRResult(q, r)


# -- eigenvalues and singular values -------------------------------------------------------------------


def _triangle_of(uplo: str, name: str) -> bool:
    if uplo.upper() not in ("L", "U"):
        raise ShapeError(f"np.linalg.{name}: UPLO={uplo!r} is neither 'L' nor 'U'{at()}")
    return uplo.upper() == "L"


@implements(np.linalg.eigh)
def _eigh(a: Any, UPLO: str = "L") -> Any:
    lower = _triangle_of(UPLO, "eigh")
    return _EighResult(*several(eigen.eigh, _square(a, "eigh"), lower=lower, driver="evd"))


@implements(np.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:
    lower = _triangle_of(UPLO, "eigvalsh")
    return record(eigen.eigvalsh, _square(a, "eigvalsh"), lower=lower, driver="evd")


@implements(np.linalg.eig)
def _eig(a: Any) -> Any:
    x = _square(a, "eig")
    w, v = several(eigen.eig, x)
    return _EigResult(*((np.real(w), np.real(v)) if _all_real(x, w) else (w, v)))


@implements(np.linalg.eigvals)
def _eigvals(a: Any) -> Any:
    x = _square(a, "eigvals")
    w = several(eigen.eig, x)[0]
    return np.real(w) if _all_real(x, w) else w


def _all_real(x: Any, w: Any) -> bool:
    """Whether NumPy gives real numbers, which depends on the values: this is looked at, as by an `if`."""
    return x.dtype.kind == "f" and bool(np.all(np.imag(w) == 0))


@implements(np.linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    x = matrix(a, "np.linalg.svd")
    if hermitian:
        return _svd_of_hermitian(x, compute_uv)
    if not compute_uv:
        return record(eigen.svdvals, x)
    return _SVDResult(*several(eigen.svd, x, full=bool(full_matrices)))


def _svd_of_hermitian(x: Any, compute_uv: bool) -> Any:
    """Return what follows from the eigenvalues: their sizes, in descending order."""
    if not compute_uv:
        return np.flip(np.sort(np.abs(np.linalg.eigvalsh(x)), axis=-1), -1)
    w, v = np.linalg.eigh(x)
    order = np.flip(np.argsort(np.abs(w), axis=-1), -1)
    w = np.take_along_axis(w, order, axis=-1)
    u = np.take_along_axis(v, order[..., None, :], axis=-1)
    return _SVDResult(u, np.abs(w), adjoint(u * np.sign(w)[..., None, :]))


implements(np.linalg.svdvals)(lambda x, /: record(eigen.svdvals, matrix(x, "np.linalg.svdvals")))


@implements(np.linalg.matrix_rank)
def _matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    kwargs = tuple((name, value) for name, value in (("tol", tol), ("hermitian", hermitian), ("rtol", rtol))
                   if value is not None)  # fmt: skip
    a = as_traced(stacked(A))
    if a.ndim < 2:
        return int(bool(np.any(a != 0)))
    return record(host, a, function=np.linalg.matrix_rank, kwargs=kwargs)


@implements(np.linalg.cond)
def _cond(x: Any, p: Any = None) -> Any:
    x = matrix(x, "np.linalg.cond")
    if p is None or p in (2, -2):
        s = record(eigen.svdvals, x)
        top, low = np.max(s, axis=-1), np.min(s, axis=-1)  # shared where they tie
        return low / top if p == -2 else top / low
    return np.linalg.norm(x, p, axis=(-2, -1)) * np.linalg.norm(np.linalg.inv(_square(x, "cond")), p, axis=(-2, -1))


@implements(np.linalg.slogdet)
def _slogdet(a: Any) -> Any:
    return _SlogdetResult(*several(linalg.slogdet, _square(a, "slogdet")))


def several(op: ir.Op, *args: Any, **params: Any) -> list[TracedArray]:
    """Apply an op with several results."""
    results = record(op, *args, **params)
    return [record(ir.ITEM, results, index=k) for k in range(len(results.node.spec))]
