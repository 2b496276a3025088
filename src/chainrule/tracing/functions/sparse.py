"""Products of SciPy's sparse matrices with traced arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from chainrule.errors import ShapeError, UnsupportedError
from chainrule.ops.contraction import matmul
from chainrule.ops.sparse import Pattern, sparse_product
from chainrule.tracing.array import FUNCTIONS, TracedArray, newest, record
from chainrule.tracing.origin import at

__all__ = ["parts", "sparse_matmul"]


def parts(matrix: Any) -> tuple[Any, Pattern]:
    """Return the elements of a sparse matrix, its own array where it has one, and their places."""
    if matrix.ndim != 2:
        raise UnsupportedError(f"a sparse array of shape {matrix.shape} cannot be mixed with traced arrays{at()}")
    if matrix.format == "csr":
        places = _lengths(matrix.indptr), np.asarray(matrix.indices)
    elif matrix.format == "csc":
        places = np.asarray(matrix.indices), _lengths(matrix.indptr)
    else:
        matrix = matrix.tocoo()
        places = matrix.row, matrix.col
    return matrix.data, Pattern(*places, matrix.shape)


def _lengths(starts: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def sparse_matmul(data: Any, pattern: Pattern, x: Any) -> Any:
    """Return the product of a sparse matrix and a dense vector or matrix, of which something is traced."""
    if x.ndim not in (1, 2) or x.shape[0] != pattern.shape[1]:
        raise ShapeError(f"matmul: shapes {pattern.shape} and {x.shape} do not fit{at()}")
    return record(sparse_product, data, x, pattern=pattern)


def _matmul(x1: Any, x2: Any, /) -> Any:
    """Return x1 @ x2, where one may be a sparse matrix of SciPy's and the other is traced."""
    if scipy.sparse.issparse(x1):
        return sparse_matmul(*_known(x1, x2), x2)
    if scipy.sparse.issparse(x2):
        data, pattern = _known(x2, x1)
        return sparse_matmul(data, pattern.T, x1.T).T if x1.ndim == 2 else sparse_matmul(data, pattern.T, x1)
    return record(matmul, x1, x2)


def _known(matrix: Any, traced: TracedArray) -> tuple[Any, Pattern]:
    """Return the parts of a matrix; its pattern is found once in a graph."""
    memo = newest([traced]).memo
    key = "sparse", id(matrix)
    places = getattr(matrix, "indices", None), getattr(matrix, "indptr", None)
    seen = memo.get(key)
    if seen is None or any(one is not two for one, two in zip(seen[0], (matrix, *places), strict=True)):
        data, pattern = parts(matrix)
        if matrix.format not in ("csr", "csc"):
            return data, pattern
        memo[key] = seen = (matrix, *places), pattern
    return matrix.data, seen[1]


FUNCTIONS[np.matmul] = FUNCTIONS[np.linalg.matmul] = _matmul
