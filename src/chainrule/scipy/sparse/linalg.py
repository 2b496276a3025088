"""`scipy.sparse.linalg` for traced arrays: solutions of sparse systems as differentiable values.

The matrix may be one of SciPy's, a `SparseArray` with traced elements, or dense; for the iterative methods a linear
operator too. Derivatives are solutions with the matrix and its transpose by the same method, so those of iterative
methods are as exact as the tolerance. Every other name of `scipy.sparse.linalg` is here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from chainrule.errors import ShapeError, UnsupportedError
from chainrule.implicit import implicit_root
from chainrule.ops.sparse import Direct, How, Iterative, Pattern, sparse_expm, sparse_solve
from chainrule.scipy.sparse.arrays import SparseArray, issparse
from chainrule.scipy.twins import register
from chainrule.tracing.array import TracedArray, record, stacked
from chainrule.tracing.functions.sparse import parts
from chainrule.tracing.origin import at

__all__ = [
    "bicg", "bicgstab", "cg", "cgs", "expm_multiply", "factorized", "gcrotmk", "gmres", "lgmres", "lsqr", "minres",
    "norm", "splu", "spsolve", "tfqmr",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    return getattr(scipy.sparse.linalg, name)


def _is_traced(value: Any) -> bool:
    return isinstance(value, TracedArray | SparseArray)


def _twin(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a rule that is used where the matrix or the right-hand side is traced, SciPy's own otherwise."""
    original = getattr(scipy.sparse.linalg, rule.__name__)

    def function(*args: Any, **kwargs: Any) -> Any:
        return (rule if any(map(_is_traced, [*args, *kwargs.values()])) else original)(*args, **kwargs)

    function.__name__ = function.__qualname__ = rule.__name__
    function.__doc__, function.__module__ = rule.__doc__, __name__
    function.__wrapped__ = rule  # type: ignore[attr-defined]
    register(scipy.sparse.linalg, rule.__name__, function)
    return function


def _matrix(A: Any) -> tuple[Any, Pattern]:
    """Return elements and places of a matrix, sparse or dense."""
    if isinstance(A, SparseArray):
        return A.data, A.pattern
    if issparse(A):
        return parts(A)
    A = stacked(A)
    if A.ndim != 2:
        raise ShapeError(f"a matrix is expected, got shape {A.shape}{at()}")
    rows, columns = np.indices(A.shape).reshape(2, -1)
    return np.ravel(A), Pattern(rows, columns, A.shape)


def _solved(name: str, A: Any, b: Any, how: How) -> Any:
    data, pattern = (np.zeros(0), _placeless(A.shape)) if _is_operator(A) else _matrix(A)
    b = stacked(b)
    if pattern.shape[0] != pattern.shape[1] or b.ndim not in (1, 2) or b.shape[0] != pattern.shape[0]:
        raise ShapeError(f"{name}: shapes {pattern.shape} and {b.shape} do not fit{at()}")
    data, b = (each if each.dtype.kind in "fc" else each.astype(float) for each in (data, b))
    return record(sparse_solve, data, b, pattern=pattern, how=how)


def _placeless(shape: tuple[int, int]) -> Pattern:
    return Pattern(np.zeros(0, np.intp), np.zeros(0, np.intp), shape)


def _is_operator(A: Any) -> bool:
    return isinstance(A, scipy.sparse.linalg.LinearOperator)


# -- direct ----------------------------------------------------------------------------------------------------------


@_twin
def spsolve(A: Any, b: Any, permc_spec: Any = None, use_umfpack: bool = True) -> Any:
    """Solve A x = b.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy import sparse
        >>> def f(d):
        ...     return np.sum(sparse.linalg.spsolve(sparse.diags_array(d, format="csc"), np.array([1.0, 2.0])))
        >>> cr.grad(f)(np.array([1.0, 2.0]))  # -b / d²
        array([-1. , -0.5])
    """
    if issparse(b):
        raise UnsupportedError(f"spsolve: a sparse right-hand side is not supported with traced values{at()}")
    return _solved("spsolve", A, b, Direct())


class _Factors:
    """What `splu` returns: SciPy's object, whose `solve` also takes traced arrays; of traced matrices `solve` alone."""

    def __init__(self, A: Any, original: Any) -> None:
        self._data, self._pattern = _matrix(A)
        self._original = original
        if original is not None:
            self._pattern.factors = np.array(self._data), original
        self.shape = self._pattern.shape

    def solve(self, rhs: Any, trans: str = "N") -> Any:
        """Solve with the matrix, or with its transpose ("T") or conjugate transpose ("H")."""
        if self._original is not None and not isinstance(rhs, TracedArray):
            return self._original.solve(rhs, trans)
        data = np.conj(self._data) if trans == "H" else self._data
        pattern = self._pattern if trans == "N" else self._pattern.T
        return record(sparse_solve, data, stacked(rhs), pattern=pattern, how=Direct())

    def __getattr__(self, name: str) -> Any:
        if self._original is None:
            raise UnsupportedError(f"splu: {name} of a matrix with traced elements is not known{at()}; solve is")
        return getattr(self._original, name)


def splu(A: Any, *args: Any, **kwargs: Any) -> Any:
    """Factorize a sparse matrix; `solve` of the result takes traced right-hand sides.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy import sparse
        >>> factors = sparse.linalg.splu(sparse.csc_array(np.array([[2.0, 0.0], [1.0, 4.0]])))
        >>> cr.grad(lambda b: factors.solve(b)[1])(np.ones(2))
        array([-0.125,  0.25 ])
    """
    original = None if isinstance(A, SparseArray) else scipy.sparse.linalg.splu(A, *args, **kwargs)
    return _Factors(A, original)


def factorized(A: Any) -> Callable[[Any], Any]:
    """Return a function that solves with a sparse matrix, for traced right-hand sides too.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy import sparse
        >>> solve = sparse.linalg.factorized(sparse.csc_array(np.array([[2.0, 0.0], [1.0, 4.0]])))
        >>> cr.grad(lambda b: solve(b)[1])(np.ones(2))
        array([-0.125,  0.25 ])
    """
    solve: Callable[[Any], Any] = splu(A if isinstance(A, SparseArray) else scipy.sparse.csc_array(A)).solve
    return solve


for _function in (splu, factorized):
    register(scipy.sparse.linalg, _function.__name__, _function)


# -- iterative -------------------------------------------------------------------------------------------------------


def _iterative(name: str) -> Callable[..., Any]:
    def rule(A: Any, b: Any, x0: Any = None, **options: Any) -> tuple[Any, int]:
        start = x0.value if isinstance(x0, TracedArray) else x0
        operator = A if _is_operator(A) else None
        return _solved(name, A, b, Iterative(name, options, start, operator, where=at())), 0

    rule.__name__ = rule.__qualname__ = name
    rule.__doc__ = f"""Solve A x = b by the iterative method `{name}`; an error where it does not converge.

    The derivative with respect to the first guess is zero.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy import sparse
        >>> A = sparse.csr_array(np.array([[2.0, 1.0], [1.0, 4.0]]))
        >>> cr.grad(lambda b: sparse.linalg.{name}(A, b, rtol=1e-12)[0][1])(np.ones(2)).round(6)
        array([-0.142857,  0.285714])
    """
    return _twin(rule)


bicg = _iterative("bicg")
bicgstab = _iterative("bicgstab")
cg = _iterative("cg")
cgs = _iterative("cgs")
gcrotmk = _iterative("gcrotmk")
gmres = _iterative("gmres")
lgmres = _iterative("lgmres")
minres = _iterative("minres")
tfqmr = _iterative("tfqmr")


@_twin
def lsqr(
    A: Any, b: Any, damp: Any = 0.0, atol: float = 1e-6, btol: float = 1e-6, conlim: float = 1e8, iter_lim: Any = None,
    show: bool = False, calc_var: bool = False, x0: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    """Minimize |A x - b|² + damp² |x|².

    Of SciPy's ten results there are the solution and the norms r1norm, r2norm, arnorm and xnorm; the others are None.
    The derivative needs a matrix of full column rank, or damp; it holds AᵀA, dense.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy import sparse
        >>> A = sparse.csr_array(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]))
        >>> cr.jacobian(lambda b: sparse.linalg.lsqr(A, b, atol=1e-12, btol=1e-12)[0][0])(np.ones(3)).round(6)
        array([ 0.833333,  0.333333, -0.166667])
    """
    data, pattern = _matrix(A)
    b = stacked(b)

    def normal(x: Any, data: Any, b: Any, damp: Any) -> Any:
        matrix = SparseArray(data, pattern)
        return matrix.T @ (matrix @ x - b) + damp**2 * x

    def solve(data: Any, b: Any, damp: Any) -> Any:
        start = x0.value if isinstance(x0, TracedArray) else x0
        return scipy.sparse.linalg.lsqr(pattern.matrix(data), b, damp, atol, btol, conlim, iter_lim, x0=start)[0]

    x = implicit_root(normal, solve, data, b, damp)
    matrix = SparseArray(data, pattern)
    residual = matrix @ x - b
    size, xnorm = np.linalg.norm(residual), np.linalg.norm(x)
    both, arnorm = np.hypot(size, damp * xnorm), np.linalg.norm(normal(x, data, b, damp))
    return x, None, None, size, both, None, None, arnorm, xnorm, None


# -- functions of matrices -------------------------------------------------------------------------------------------


@_twin
def expm_multiply(
    A: Any, B: Any, start: Any = None, stop: Any = None, num: Any = None, endpoint: Any = None, traceA: Any = None
) -> Any:
    """Return expm(A) @ B; differentiable in B.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy import sparse
        >>> A = sparse.csr_array(np.array([[0.0, 1.0], [0.0, 0.0]]))
        >>> cr.grad(lambda b: sparse.linalg.expm_multiply(A, b)[0])(np.ones(2))
        array([1., 1.])
    """
    if start is not None or stop is not None or num is not None:
        raise UnsupportedError(f"expm_multiply: intervals are not supported with traced values{at()}; scale A")
    data, pattern = _matrix(A)
    B = stacked(B)
    return record(sparse_expm, data, B if B.dtype.kind in "fc" else B.astype(float), pattern=pattern)


@_twin
def norm(x: Any, ord: Any = None, axis: Any = None) -> Any:
    """Return a norm of a sparse matrix: Frobenius's, or one of the orders 1, inf and their negatives.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy import sparse
        >>> cr.grad(lambda d: sparse.linalg.norm(sparse.diags_array(d)))(np.array([3.0, 4.0]))
        array([0.6, 0.8])
    """
    one = x.sum_duplicates() if isinstance(x, SparseArray) else x
    if axis is not None or (ord is not None and ord not in ("fro", 1, -1, np.inf, -np.inf)):
        raise UnsupportedError(f"norm: ord={ord!r} and axis={axis!r} are not supported with traced elements{at()}")
    if ord in (None, "fro"):
        return np.linalg.norm(one.data)
    sums = abs(one).sum(0 if abs(ord) == 1 else 1)
    return np.max(sums) if ord > 0 else np.min(sums)
