"""Products and solutions with sparse matrices: the places of the elements are fixed, their values are an argument.

The ops are closed under differentiation: the edges of a product are products with the transpose and the values of an
outer product at the places (`sparse_sample`); those of a solution are solutions and the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from chainrule.edges import Edge, Map
from chainrule.errors import NotDifferentiableError, UnsupportedError
from chainrule.ir import Node, Op
from chainrule.types import Spec


class Pattern:
    """The places of a sparse matrix's elements; places that occur twice are added.

    Attributes:
        rows: Row of each element.
        columns: Column of each.
        shape: Shape of the matrix.
        base: The pattern of which this is the transpose, if it is one.
    """

    def __init__(self, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], base: Pattern | None = None):
        self.rows, self.columns, self.shape, self.base = rows, columns, shape, base
        self.factors: tuple[np.ndarray, Any] | None = None

    @functools.cached_property
    def T(self) -> Pattern:
        """The pattern of the transpose."""
        if self.base is not None:
            return self.base
        return Pattern(self.columns, self.rows, (self.shape[1], self.shape[0]), self)

    @functools.cached_property
    def _compressed(self) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
        """Order of the elements by rows (None where they have it), their columns, and where rows begin."""
        starts = np.zeros(self.shape[0] + 1, np.int64)
        np.cumsum(np.bincount(self.rows, minlength=self.shape[0]), out=starts[1:])
        if np.all(self.rows[1:] >= self.rows[:-1]):
            return None, self.columns, starts
        order = np.argsort(self.rows, kind="stable")
        return order, self.columns[order], starts

    def matrix(self, data: Any) -> scipy.sparse.csr_array:
        """Return the matrix with these elements."""
        order, columns, starts = self._compressed
        return scipy.sparse.csr_array((data if order is None else data[order], columns, starts), shape=self.shape)

    def blocks(self, count: int) -> Pattern:
        """Return the pattern of a matrix with this one several times on its diagonal."""
        if self.base is not None:
            return self.base.blocks(count).T
        steps = np.repeat(np.arange(count), len(self.rows))
        rows, columns = (np.tile(places, count) + steps * size
                         for places, size in zip((self.rows, self.columns), self.shape, strict=True))  # fmt: skip
        return Pattern(rows, columns, (self.shape[0] * count, self.shape[1] * count))

    def factorized(self, data: Any) -> Any:
        """Return the LU factorization, kept for the next call with the same elements."""
        if self.factors is None or not np.array_equal(self.factors[0], data):
            try:
                factors = scipy.sparse.linalg.splu(scipy.sparse.csc_array(self.matrix(data)))
            except RuntimeError as error:
                raise np.linalg.LinAlgError(str(error)) from None
            self.factors = np.array(data), factors
        return self.factors[1]


@dataclass(frozen=True, slots=True, eq=False)
class Direct:
    """Solves by an LU factorization."""

    @property
    def T(self) -> Direct:
        """How to solve with the transpose."""
        return self

    @property
    def again(self) -> Direct:
        """How to solve for another b."""
        return self

    def solve(self, pattern: Pattern, data: Any, b: Any) -> Any:
        """Return the x of A x = b."""
        dtype = np.result_type(data, b)
        turned = pattern.base is not None
        factors = (pattern.base or pattern).factorized(np.asarray(data, dtype))
        return factors.solve(np.ascontiguousarray(b, dtype), "T" if turned else "N")


@dataclass(frozen=True, slots=True, eq=False)
class Iterative:
    """Solves by one of SciPy's iterative methods.

    Attributes:
        name: Its name in `scipy.sparse.linalg`.
        options: Its options.
        start: The first guess, for the first solution alone.
        operator: The linear operator to solve with, where there is no matrix.
        flipped: Whether its transpose is meant.
        where: The user's line, for messages.
    """

    name: str
    options: dict[str, Any]
    start: Any = None
    operator: Any = None
    flipped: bool = False
    where: str = ""

    @property
    def again(self) -> Iterative:
        """How to solve for another b."""
        return self if self.start is None else replace(self, start=None)

    @property
    def T(self) -> Iterative:
        """How to solve with the transpose."""
        options = {key: _turned(value) if key in ("M", "M1", "M2") else value for key, value in self.options.items()}
        return replace(self, options=options, start=None, flipped=not self.flipped)

    def solve(self, pattern: Pattern, data: Any, b: Any) -> Any:
        """Return the x of A x = b."""
        if self.operator is None:
            matrix = pattern.matrix(data)
        else:
            matrix = _turned(self.operator) if self.flipped else self.operator
        method = getattr(scipy.sparse.linalg, self.name)
        columns = b.reshape((len(b), -1)).T
        found = []
        for column in columns:
            x, info = method(matrix, np.ascontiguousarray(column), self.start, **self.options)
            if info:
                raise NotDifferentiableError(
                    f"{self.name}: no convergence (info={info}){self.where}; give more iterations, a preconditioner, "
                    "or a looser tolerance"
                )
            found.append(x)
        return np.stack(found, axis=-1).reshape((matrix.shape[1], *b.shape[1:]))


def _turned(operator: Any) -> Any:
    return operator.T if operator is not None else None


How = Direct | Iterative


def _no_source(*args: str, **params: Any) -> str:
    raise UnsupportedError("source: a sparse matrix has no NumPy source")


def _columns(x: Node, size: int) -> Node:
    """Return a batch of vectors or matrices with the batch among the columns."""
    order = (1, 0) if x.ndim == 2 else (1, 0, 2)
    return x.permute(order).reshape((x.shape[1], size * (x.shape[2] if x.ndim == 3 else 1)))


def _rows(y: Node, size: int, tail: tuple[int, ...]) -> Node:
    """Return columns as a batch in front."""
    y = y.reshape((y.shape[0], size, *tail))
    return y.permute((1, 0, 2)[: y.ndim])


def _size(args: list[Node], batched: list[bool]) -> int:
    return int(next(arg.shape[0] for arg, flag in zip(args, batched, strict=True) if flag))


def _lead(node: Node, flag: bool, size: int) -> Node:
    return node if flag else node.broadcast_to((size, *node.shape))


def _flat(node: Node) -> Node:
    return node.reshape((node.shape[0] * node.shape[1], *node.shape[2:]))


def _batch_linear(op: Callable[..., Node]) -> Callable[[Node, list[Node], list[bool]], Node]:
    """Return the batching of an op `(data, x)`, linear in x."""

    def batch(node: Node, args: list[Node], batched: list[bool]) -> Node:
        size = _size(args, batched)
        if not batched[0]:
            return _rows(op(args[0], _columns(args[1], size), **node.params), size, node.shape[1:])
        data, x = (_lead(arg, flag, size) for arg, flag in zip(args, batched, strict=True))
        params = {**node.params, "pattern": node.params["pattern"].blocks(size)}
        return op(_flat(data), _flat(x), **params).reshape((size, *node.shape))

    return batch


# -- products ------------------------------------------------------------------------------------------------------


def _product_edge(k: int, node: Node) -> Edge:
    (data, x), pattern = node.inputs, node.params["pattern"]
    if k:
        return Map(
            lambda x_dot: sparse_product(data, x_dot, pattern=pattern),
            lambda y_bar: sparse_product(data, y_bar, pattern=pattern.T),
            x.spec, node.spec, "sparse matrix @ ·", node,
        )  # fmt: skip
    return Map(
        lambda data_dot: sparse_product(data_dot, x, pattern=pattern),
        lambda y_bar: sparse_sample(y_bar, x, pattern=pattern),
        data.spec, node.spec, "sparse product", node,
    )  # fmt: skip


def _sample(a: Any, b: Any, pattern: Pattern) -> Any:
    left, right = a[pattern.rows], b[pattern.columns]
    return left * right if a.ndim == 1 else np.einsum("kj,kj->k", left, right)


def _sample_edge(k: int, node: Node) -> Edge:
    (a, b), pattern = node.inputs, node.params["pattern"]
    if k:
        return Map(
            lambda b_dot: sparse_sample(a, b_dot, pattern=pattern),
            lambda y_bar: sparse_product(y_bar, a, pattern=pattern.T),
            b.spec, node.spec, "sampled product", node,
        )  # fmt: skip
    return Map(
        lambda a_dot: sparse_sample(a_dot, b, pattern=pattern),
        lambda y_bar: sparse_product(y_bar, b, pattern=pattern),
        a.spec, node.spec, "sampled product", node,
    )  # fmt: skip


def _batch_sample(node: Node, args: list[Node], batched: list[bool]) -> Node:
    size = _size(args, batched)
    a, b = (_flat(_lead(arg, flag, size)) for arg, flag in zip(args, batched, strict=True))
    return sparse_sample(a, b, pattern=node.params["pattern"].blocks(size)).reshape((size, *node.shape))


sparse_product = Op(
    "sparse_product",
    "The product of a sparse matrix, given by its elements, and an array.",
    evaluate=lambda data, x, pattern: pattern.matrix(data) @ x,
    infer=lambda data, x, pattern: Spec((pattern.shape[0], *x.shape[1:]), np.result_type(data.dtype, x.dtype)),
    edge=_product_edge,
    batch=_batch_linear(lambda *args, **params: sparse_product(*args, **params)),
    source=_no_source,
    family="opaque",
)

sparse_sample = Op(
    "sparse_sample",
    "The elements of a @ b.T at the places of a sparse matrix.",
    evaluate=_sample,
    infer=lambda a, b, pattern: Spec(pattern.rows.shape, np.result_type(a.dtype, b.dtype)),
    edge=_sample_edge,
    batch=_batch_sample,
    source=_no_source,
    family="opaque",
)


# -- solutions -----------------------------------------------------------------------------------------------------


def _solve_edge(k: int, node: Node) -> Edge:
    (data, b), pattern, how = node.inputs, node.params["pattern"], node.params["how"]

    def forward(side: Node) -> Node:
        return sparse_solve(data, side, pattern=pattern, how=how.again)

    def backward(y_bar: Node) -> Node:
        return sparse_solve(data, y_bar, pattern=pattern.T, how=how.T)

    if k:
        return Map(forward, backward, b.spec, node.spec, "sparse solution", node)
    return Map(
        lambda data_dot: -forward(sparse_product(data_dot, node, pattern=pattern)),
        lambda y_bar: -sparse_sample(backward(y_bar), node, pattern=pattern),
        data.spec, node.spec, "sparse solution's own change", node,
    )  # fmt: skip


sparse_solve = Op(
    "sparse_solve",
    "The x of A x = b, for a sparse matrix A given by its elements.",
    evaluate=lambda data, b, pattern, how: how.solve(pattern, data, b),
    infer=lambda data, b, pattern, how: b.with_dtype(np.result_type(data.dtype, b.dtype)),
    edge=_solve_edge,
    batch=_batch_linear(lambda *args, **params: sparse_solve(*args, **params)),
    source=_no_source,
    family="opaque",
)


# -- the matrix exponential ----------------------------------------------------------------------------------------


def _expm_edge(k: int, node: Node) -> Edge:
    (data, b), pattern = node.inputs, node.params["pattern"]
    if k:
        return Map(
            lambda b_dot: sparse_expm(data, b_dot, pattern=pattern),
            lambda y_bar: sparse_expm(data, y_bar, pattern=pattern.T),
            b.spec, node.spec, "exp(sparse matrix) @ ·", node,
        )  # fmt: skip
    raise NotDifferentiableError(
        "expm_multiply: the derivative with respect to the matrix is not implemented; solve y' = A y with "
        "chainrule.scipy.integrate.solve_ivp"
    )


sparse_expm = Op(
    "sparse_expm",
    "The product of the exponential of a sparse matrix and an array.",
    evaluate=lambda data, b, pattern: scipy.sparse.linalg.expm_multiply(pattern.matrix(data), b),
    infer=lambda data, b, pattern: b.with_dtype(np.result_type(data.dtype, b.dtype)),
    edge=_expm_edge,
    batch=_batch_linear(lambda *args, **params: sparse_expm(*args, **params)),
    source=_no_source,
    family="opaque",
)

__all__ = ["Direct", "Iterative", "Pattern", "sparse_expm", "sparse_product", "sparse_sample", "sparse_solve"]
