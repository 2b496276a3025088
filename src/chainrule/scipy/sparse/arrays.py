"""Sparse matrices with traced elements, and the functions that make them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from chainrule.errors import ShapeError, UnsupportedError
from chainrule.ops.sparse import Pattern
from chainrule.ops.structural import scatter_add
from chainrule.scipy.functional import any_traced
from chainrule.scipy.twins import register
from chainrule.tracing.array import TracedArray, in_sparse_product, record, stacked
from chainrule.tracing.functions.sparse import parts, sparse_matmul
from chainrule.tracing.origin import at

__all__ = [
    "SparseArray", "block_array", "block_diag", "bmat", "coo_array", "coo_matrix", "csc_array", "csc_matrix",
    "csr_array", "csr_matrix", "diags", "diags_array", "hstack", "issparse", "kron", "vstack",
]  # fmt: skip


class SparseArray:
    """A sparse matrix with traced elements. It behaves as `scipy.sparse.coo_array` does, `*` being elementwise.

    Elements at the same place are added.

    Attributes:
        data: The elements.
        pattern: Their places.
        format: The name of the format that was asked for.
    """

    __array_ufunc__ = None  # so that NumPy's arrays leave operators to this class
    __array_priority__ = 1001.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, data: Any, pattern: Pattern, format: str = "coo") -> None:
        self.data, self.pattern, self.format = data, pattern, format

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pattern.shape

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the elements."""
        return np.dtype(self.data.dtype)

    @property
    def nnz(self) -> int:
        """Number of stored elements."""
        return len(self.pattern.rows)

    @property
    def row(self) -> np.ndarray:
        """Row of each element."""
        return self.pattern.rows

    @property
    def col(self) -> np.ndarray:
        """Column of each element."""
        return self.pattern.columns

    @property
    def T(self) -> SparseArray:
        """The transpose."""
        return SparseArray(self.data, self.pattern.T, self.format)

    def transpose(self) -> SparseArray:
        """Return the transpose."""
        return self.T

    def conj(self) -> SparseArray:
        """Return the matrix of complex conjugates."""
        return self._with(np.conj(self.data))

    conjugate = conj

    def _with(self, data: Any) -> SparseArray:
        return SparseArray(data, self.pattern, self.format)

    def asformat(self, format: str | None, copy: bool = False) -> SparseArray:
        """Return the same matrix, called by another format."""
        return SparseArray(self.data, self.pattern, format or self.format)

    def tocoo(self, copy: bool = False) -> SparseArray:
        """Return the same matrix in the format coo."""
        return self.asformat("coo")

    def tocsr(self, copy: bool = False) -> SparseArray:
        """Return the same matrix in the format csr."""
        return self.asformat("csr")

    def tocsc(self, copy: bool = False) -> SparseArray:
        """Return the same matrix in the format csc."""
        return self.asformat("csc")

    def copy(self) -> SparseArray:
        """Return the matrix; its elements do not change."""
        return self

    def astype(self, dtype: Any) -> SparseArray:
        """Return the matrix in another dtype."""
        return self._with(self.data.astype(dtype))

    def toarray(self) -> Any:
        """Return the dense matrix."""
        return record(scatter_add, self.data, self.pattern.rows, self.pattern.columns, shape=self.shape)

    todense = toarray

    def sum_duplicates(self) -> SparseArray:
        """Return the matrix with the elements at each place added up, in the order of rows."""
        flat = self.pattern.rows.astype(np.int64) * self.shape[1] + self.pattern.columns
        places, back = np.unique(flat, return_inverse=True)
        pattern = Pattern(places // max(self.shape[1], 1), places % max(self.shape[1], 1), self.shape)
        return SparseArray(record(scatter_add, self.data, back, shape=(len(places),)), pattern, self.format)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Return the sum of all elements, or of columns or rows."""
        if dtype is not None or out is not None:
            raise UnsupportedError(f"sum: dtype= and out= are not supported with traced elements{at()}")
        if axis is None:
            return np.sum(self.data)
        ones = np.ones(self.shape[axis % 2], self.dtype)
        return self @ ones if axis % 2 else self.T @ ones

    def mean(self, axis: Any = None) -> Any:
        """Return the mean of all elements, or of columns or rows."""
        return self.sum(axis) / (self.shape[0] * self.shape[1] if axis is None else self.shape[axis % 2])

    def trace(self) -> Any:
        """Return the sum of the diagonal."""
        return np.sum(self.data[np.flatnonzero(self.pattern.rows == self.pattern.columns)])

    def diagonal(self, k: int = 0) -> Any:
        """Return the k-th diagonal."""
        rows, columns = self.shape
        length = max(min(rows + min(k, 0), columns - max(k, 0)), 0)
        chosen = np.flatnonzero(self.pattern.columns - self.pattern.rows == k)
        places = self.pattern.rows[chosen] + min(k, 0)
        return record(scatter_add, self.data[chosen], places, shape=(length,))

    def dot(self, other: Any) -> Any:
        """Return the matrix product."""
        return self * other if np.ndim(other) == 0 and not _is_sparse(other) else self @ other

    def multiply(self, other: Any) -> SparseArray:
        """Return the elementwise product with a number, or a dense or sparse matrix."""
        if _is_sparse(other):
            return self._elementwise(other)
        other = stacked(other)
        if other.ndim > 2:
            raise ShapeError(f"multiply: shapes {self.shape} and {other.shape} do not fit{at()}")
        dense = np.broadcast_to(other, self.shape) if other.ndim else other
        return self._with(self.data * (dense[self.pattern.rows, self.pattern.columns] if other.ndim else dense))

    def _elementwise(self, other: Any) -> SparseArray:
        one, two = self.sum_duplicates(), _sparse(other).sum_duplicates()
        if one.shape != two.shape:
            raise ShapeError(f"multiply: shapes {one.shape} and {two.shape} do not fit{at()}")
        first, second = (each.pattern.rows * self.shape[1] + each.pattern.columns for each in (one, two))
        places, here, there = np.intersect1d(first, second, assume_unique=True, return_indices=True)
        pattern = Pattern(places // max(self.shape[1], 1), places % max(self.shape[1], 1), self.shape)
        return SparseArray(one.data[here] * two.data[there], pattern, self.format)

    def power(self, n: Any) -> SparseArray:
        """Return the matrix with each element raised to a power."""
        one = self.sum_duplicates()
        return one._with(one.data**n)

    def __pow__(self, n: Any) -> SparseArray:
        return self.power(n)

    def __neg__(self) -> SparseArray:
        return self._with(-self.data)

    def __mul__(self, other: Any) -> SparseArray:
        return self.multiply(other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> SparseArray:
        return self.multiply(1 / stacked(other))

    def __add__(self, other: Any) -> Any:
        if np.ndim(other) == 0 and not _is_sparse(other):
            if isinstance(other, int | float) and other == 0:
                return self
            raise UnsupportedError(f"adding a number to a sparse matrix makes it dense{at()}; write A.toarray() + c")
        if not _is_sparse(other):
            return self.toarray() + other
        other = _sparse(other)
        if self.shape != other.shape:
            raise ShapeError(f"add: shapes {self.shape} and {other.shape} do not fit{at()}")
        if self.pattern is other.pattern:
            return self._with(self.data + other.data)
        rows = np.concatenate([self.pattern.rows, other.pattern.rows])
        columns = np.concatenate([self.pattern.columns, other.pattern.columns])
        return SparseArray(np.concatenate([self.data, other.data]), Pattern(rows, columns, self.shape), self.format)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __matmul__(self, other: Any) -> Any:
        if _is_sparse(other):
            return self._times(_sparse(other))
        return sparse_matmul(self.data, self.pattern, stacked(other))

    def __rmatmul__(self, other: Any) -> Any:
        if _is_sparse(other):
            return _sparse(other)._times(self)
        other = stacked(other)
        found = sparse_matmul(self.data, self.pattern.T, other.T if other.ndim == 2 else other)
        return found.T if other.ndim == 2 else found

    def _times(self, other: SparseArray) -> SparseArray:
        """Return the product with another sparse matrix: each pair of elements that meet is one term of a sum."""
        if self.shape[1] != other.shape[0]:
            raise ShapeError(f"matmul: shapes {self.shape} and {other.shape} do not fit{at()}")
        order = np.argsort(other.pattern.rows, kind="stable")
        starts = np.searchsorted(other.pattern.rows[order], np.arange(self.shape[1] + 1))
        counts = np.diff(starts)[self.pattern.columns]
        left = np.repeat(np.arange(self.nnz), counts)
        within = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
        right = order[np.repeat(starts[self.pattern.columns], counts) + within]
        pattern = Pattern(self.pattern.rows[left], other.pattern.columns[right], (self.shape[0], other.shape[1]))
        return SparseArray(self.data[left] * other.data[right], pattern, self.format).sum_duplicates()

    def __getitem__(self, key: Any) -> Any:
        raise UnsupportedError(
            f"indexing a sparse matrix with traced elements is not supported{at()}; index A.toarray(), or multiply by "
            "a selection matrix"
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if in_sparse_product(sys._getframe(1)):
            return np.array(None, dtype=object)  # __rmatmul__ comes next
        raise UnsupportedError(f"a sparse matrix with traced elements is no plain array{at()}; write A.toarray()")

    def __abs__(self) -> SparseArray:
        one = self.sum_duplicates()
        return one._with(np.abs(one.data))

    def __len__(self) -> int:
        raise TypeError("sparse array length is ambiguous; use getnnz()")

    def __repr__(self) -> str:
        return f"<SparseArray of {self.format} format, shape {self.shape}, with {self.nnz} traced elements>"


_SCIPYS_ISSPARSE = scipy.sparse.issparse


def _is_sparse(value: Any) -> bool:
    return isinstance(value, SparseArray) or bool(_SCIPYS_ISSPARSE(value))


def _sparse(value: Any, format: str | None = None) -> SparseArray:
    """Return a sparse matrix, of SciPy's or traced, as one of this kind."""
    if isinstance(value, SparseArray):
        return value
    return SparseArray(*parts(value), format or value.format)


def issparse(x: Any) -> bool:
    """Whether x is a sparse matrix, of SciPy's or with traced elements.

    Example:
        >>> from chainrule.scipy import sparse
        >>> sparse.issparse(sparse.eye_array(2))
        True
    """
    return _is_sparse(x)


register(scipy.sparse, "issparse", issparse)


# -- constructors ----------------------------------------------------------------------------------------------------


class _Twin(type):
    """The class of the twins of SciPy's classes, which make the same objects unless an element is traced."""

    original: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        given = args[0] if args else kwargs.get("arg1")
        if isinstance(given, SparseArray) or any_traced(given if isinstance(given, list | tuple) else [given]):
            return _made(cls.original, *args, **kwargs)
        return cls.original(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.original)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.original)


def _made(original: Any, arg1: Any, shape: Any = None, dtype: Any = None, copy: bool = False, **kwargs: Any) -> Any:
    """Return a sparse matrix with traced elements, from what SciPy's constructors take."""
    format = original.__name__[:3]
    if isinstance(arg1, SparseArray):
        made = arg1.asformat(format)
    elif isinstance(arg1, tuple) and len(arg1) == 2:
        data, (rows, columns) = stacked(arg1[0]), (np.asarray(each) for each in arg1[1])
        if shape is None:
            shape = tuple(int(each.max()) + 1 if each.size else 0 for each in (rows, columns))
        made = SparseArray(data, Pattern(rows, columns, tuple(shape)), format)
    elif isinstance(arg1, tuple) and len(arg1) == 3:
        data, indices, starts = stacked(arg1[0]), np.asarray(arg1[1]), np.asarray(arg1[2])
        outer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        if shape is None:
            inner = int(indices.max()) + 1 if indices.size else 0
            shape = (len(starts) - 1, inner) if format == "csr" else (inner, len(starts) - 1)
        places = (outer, indices) if format == "csr" else (indices, outer)
        made = SparseArray(data, Pattern(places[0], places[1], tuple(shape)), format)
    else:
        dense = stacked(arg1)
        if dense.ndim != 2:
            raise ShapeError(f"{original.__name__}: a matrix is expected, got shape {dense.shape}{at()}")
        rows, columns = (np.asarray(each) for each in np.nonzero(dense))  # places looked at
        made = SparseArray(dense[rows, columns], Pattern(rows, columns, dense.shape), format)
    if made.data.shape != made.pattern.rows.shape or made.data.ndim != 1:
        raise ShapeError(f"{original.__name__}: {made.data.shape} elements for {len(made.pattern.rows)} places{at()}")
    return made if dtype is None else made.astype(dtype)


def _twin(name: str) -> Any:
    original = getattr(scipy.sparse, name)
    doc = f"""SciPy's `{name}`; with traced elements a `SparseArray`.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.sparse import {name}
        >>> def f(data):
        ...     return np.sum({name}((data, ([0, 1, 1], [0, 0, 1]))) @ np.array([1.0, 2.0]))
        >>> cr.grad(f)(np.ones(3))
        array([1., 1., 2.])
    """
    made = _Twin(name, (), {"original": original, "__doc__": doc, "__module__": __name__})
    register(scipy.sparse, name, made)
    return made


coo_array = _twin("coo_array")
coo_matrix = _twin("coo_matrix")
csc_array = _twin("csc_array")
csc_matrix = _twin("csc_matrix")
csr_array = _twin("csr_array")
csr_matrix = _twin("csr_matrix")


# -- matrices from parts ---------------------------------------------------------------------------------------------


def _holds(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return any(map(_holds, values))
    return isinstance(values, TracedArray | SparseArray)


def _building(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a decorated rule that is used where a part is traced, SciPy's own function otherwise."""
    original = getattr(scipy.sparse, rule.__name__)

    def function(*args: Any, **kwargs: Any) -> Any:
        return (rule if _holds([*args, *kwargs.values()]) else original)(*args, **kwargs)

    function.__name__ = function.__qualname__ = rule.__name__
    function.__doc__, function.__module__ = rule.__doc__, __name__
    function.__wrapped__ = rule  # type: ignore[attr-defined]
    register(scipy.sparse, rule.__name__, function)
    return function


def _diagonals(diagonals: Any, offsets: Any, shape: Any, format: Any) -> SparseArray:
    if np.ndim(offsets) == 0:
        offsets = [offsets]
        if not isinstance(diagonals, list | tuple) or np.ndim(diagonals[0]) == 0:
            diagonals = [stacked(diagonals)]
    offsets = [int(k) for k in offsets]
    many = [np.atleast_1d(stacked(each)) for each in diagonals]
    if shape is None:
        size = len(many[0]) + abs(offsets[0])
        shape = (size, size)
    rows, columns, data = [], [], []
    for each, k in zip(many, offsets, strict=True):
        length = max(min(shape[0] + min(k, 0), shape[1] - max(k, 0)), 0)
        if len(each) not in (1, length):
            raise ShapeError(f"a diagonal of {len(each)} elements at offset {k} does not fit shape {shape}{at()}")
        here = np.arange(length)
        rows.append(here + max(-k, 0))
        columns.append(here + max(k, 0))
        data.append(np.broadcast_to(each, (length,)))
    return SparseArray(np.concatenate(data), Pattern(np.concatenate(rows), np.concatenate(columns), tuple(shape)),
                       format or "dia")  # fmt: skip


@_building
def diags_array(
    diagonals: Any, /, *, offsets: Any = 0, shape: Any = None, format: Any = None, dtype: Any = None
) -> SparseArray:
    """Return a sparse matrix with given diagonals.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.sparse import diags_array
        >>> cr.grad(lambda d: np.sum(diags_array(d) @ np.array([1.0, 2.0])))(np.ones(2))
        array([1., 2.])
    """
    made = _diagonals(diagonals, offsets, shape, format)
    return made if dtype is None else made.astype(dtype)


@_building
def diags(diagonals: Any, offsets: Any = 0, shape: Any = None, format: Any = None, dtype: Any = None) -> SparseArray:
    """Return a sparse matrix with given diagonals.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.sparse import diags
        >>> cr.grad(lambda d: np.sum(diags([d, -d], [0, 1], shape=(2, 2)) @ np.array([1.0, 2.0])))(1.0)
        np.float64(1.0)
    """
    made = _diagonals(diagonals, offsets, shape, format)
    return made if dtype is None else made.astype(dtype)


def _blocks(blocks: Sequence[Sequence[Any]], format: Any) -> SparseArray:
    grid = [[None if each is None else _block(each) for each in row] for row in blocks]
    heights = [next(each.shape[0] for each in row if each is not None) for row in grid]
    widths = [next(row[k].shape[1] for row in grid if row[k] is not None) for k in range(len(grid[0]))]  # type: ignore[union-attr]
    tops, lefts = np.cumsum([0, *heights]), np.cumsum([0, *widths])
    rows, columns, data = [], [], []
    for top, height, row in zip(tops, heights, grid, strict=False):
        for left, width, each in zip(lefts, widths, row, strict=False):
            if each is None:
                continue
            if each.shape != (height, width):
                raise ShapeError(f"a block of shape {each.shape} does not fit a place of {(height, width)}{at()}")
            rows.append(each.pattern.rows + top)
            columns.append(each.pattern.columns + left)
            data.append(each.data)
    pattern = Pattern(np.concatenate(rows), np.concatenate(columns), (int(tops[-1]), int(lefts[-1])))
    return SparseArray(np.concatenate(data), pattern, format or "coo")


def _block(value: Any) -> SparseArray:
    if _is_sparse(value):
        return _sparse(value)
    value = np.atleast_2d(stacked(value))
    rows, columns = np.indices(value.shape).reshape(2, -1)
    return SparseArray(np.ravel(value), Pattern(rows, columns, value.shape))


@_building
def block_array(blocks: Any, *, format: Any = None, dtype: Any = None) -> SparseArray:
    """Return a sparse matrix of blocks, None for zeros.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy import sparse
        >>> cr.grad(lambda a: sparse.block_array([[[[a, 2.0]], None], [None, sparse.eye_array(1)]]).sum())(3.0)
        np.float64(1.0)
    """
    made = _blocks(blocks, format)
    return made if dtype is None else made.astype(dtype)


@_building
def bmat(blocks: Any, format: Any = None, dtype: Any = None) -> SparseArray:
    """Return a sparse matrix of blocks, None for zeros."""
    made = _blocks(blocks, format)
    return made if dtype is None else made.astype(dtype)


@_building
def vstack(blocks: Any, format: Any = None, dtype: Any = None) -> SparseArray:
    """Return sparse matrices one below the other."""
    made = _blocks([[each] for each in blocks], format)
    return made if dtype is None else made.astype(dtype)


@_building
def hstack(blocks: Any, format: Any = None, dtype: Any = None) -> SparseArray:
    """Return sparse matrices side by side."""
    made = _blocks([list(blocks)], format)
    return made if dtype is None else made.astype(dtype)


@_building
def block_diag(mats: Any, format: Any = None, dtype: Any = None) -> SparseArray:
    """Return a sparse matrix with blocks on its diagonal."""
    count = len(mats)
    made = _blocks([[mats[k] if j == k else None for j in range(count)] for k in range(count)], format)
    return made if dtype is None else made.astype(dtype)


@_building
def kron(A: Any, B: Any, format: Any = None) -> SparseArray:
    """Return the Kronecker product of two matrices, sparse or dense."""
    one, two = _block(A), _block(B)
    rows = (one.pattern.rows[:, None] * two.shape[0] + two.pattern.rows).ravel()
    columns = (one.pattern.columns[:, None] * two.shape[1] + two.pattern.columns).ravel()
    data = np.ravel(one.data[:, None] * two.data)
    shape = (one.shape[0] * two.shape[0], one.shape[1] * two.shape[1])
    return SparseArray(data, Pattern(rows, columns, shape), format or "coo")
