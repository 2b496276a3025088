"""The algebra of edges, as properties over all kinds of leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule import edges, ir, ops  # noqa: F401  (ops fill the registry)
from chainrule.edges import Diagonal, Edge, Map, Tensor, Traced, full_tensor
from chainrule.ir import REGISTRY, Builder, Node
from chainrule.types import Spec

LEAVES = Diagonal | Tensor | Map | Traced
SHAPES = [(), (1,), (2,), (3,), (2, 2), (1, 2), (3, 2), (0,), (2, 0)]
TOLERANCE = {"f": 2e-4, "d": 1e-10, "D": 1e-10}  # relative to the largest entry; products of a few factors

properties = settings(max_examples=150, deadline=None, derandomize=True, database=None)


class Graph:
    """A builder in which edges of random coefficients are made."""

    def __init__(self, seed: int, letter: str = "d") -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = Builder()
        self.letter = letter

    def number(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return numbers in the dtype of this graph; square matrices are positive definite."""
        x = self.rng.normal(size=shape)
        dtype = np.dtype(dtype or self.letter)
        if dtype.kind == "c":
            x = x + 1j * self.rng.normal(size=shape)
        if len(shape) == 2 and shape[0] == shape[1]:
            x = x @ np.conj(x.T) + np.eye(shape[0])
        return np.asarray(x).astype(dtype)[()]

    def node(self, shape: tuple[int, ...], dtype: Any = None) -> Node:
        value = self.number(shape, dtype)
        return self.builder.input(Spec.of(value), value)


def square(spec: Spec) -> bool:
    return spec.ndim == 2 and spec.shape[0] == spec.shape[1] > 0


def filled(spec: Spec) -> bool:
    return spec.ndim > 0 and spec.size > 0


def anything(spec: Spec) -> bool:
    return True


def whole(x: Node) -> Any:
    return tuple((0, size, 1) for size in x.shape)


KINDS: dict[str, tuple[Callable[[Spec], bool], Callable[[Graph, Node], tuple[int, Node]]]] = {
    # Diagonal
    "exp": (anything, lambda g, x: (0, REGISTRY["exp"](x))),
    "copy": (anything, lambda g, x: (0, x + g.node(x.shape, x.dtype))),
    "negate": (anything, lambda g, x: (0, -x)),
    "times number": (anything, lambda g, x: (1, g.node((), x.dtype) * x)),
    "times larger": (anything, lambda g, x: (0, x * g.node((2, *x.shape), x.dtype))),
    "plus larger": (anything, lambda g, x: (1, g.node((2, *x.shape), x.dtype) - x)),
    # Tensor
    "sum": (filled, lambda g, x: (0, x.sum((0,)))),
    "repeat": (anything, lambda g, x: (0, x.broadcast_to((2, *x.shape)))),
    "permute": (anything, lambda g, x: (0, REGISTRY["permute"](x, axes=tuple(range(x.ndim))[::-1]))),
    "matmul": (lambda s: s.ndim > 0, lambda g, x: (0, x @ g.node((x.shape[-1], 2), x.dtype))),
    "matmul from the left": (lambda s: s.ndim == 2, lambda g, x: (1, g.node((3, x.shape[0]), x.dtype) @ x)),
    "einsum": (
        lambda s: s.ndim == 2,
        lambda g, x: (0, REGISTRY["einsum"](x, g.node((*x.shape, 2), x.dtype), subscripts="ij,ijk->ki")),
    ),
    "prod": (filled, lambda g, x: (0, REGISTRY["prod"](x, axis=(x.ndim - 1,)))),
    "det": (square, lambda g, x: (0, REGISTRY["det"](x))),
    # Map
    "slice": (filled, lambda g, x: (0, REGISTRY["slice"](x, index=((0, x.shape[0], 2), *whole(x)[1:])))),
    "embed": (
        lambda s: s.ndim > 0,
        lambda g, x: (0, REGISTRY["embed"](x, shape=(x.shape[0] + 1, *x.shape[1:]), index=whole(x))),
    ),
    "gather": (filled, lambda g, x: (0, REGISTRY["gather"](x, g.builder.constant(np.array([0, x.shape[0] - 1, 0]))))),
    "scatter": (
        filled,
        lambda g, x: (
            0,
            REGISTRY["scatter_add"](x, g.builder.constant(np.arange(x.shape[0]) % 2), shape=(2, *x.shape[1:])),
        ),
    ),
    "put": (filled, lambda g, x: (0, REGISTRY["put_slice"](x, g.node(x.shape[1:], x.dtype), index=(0, *whole(x)[1:])))),
    "reshape": (anything, lambda g, x: (0, REGISTRY["reshape"](x, shape=(x.spec.size,)))),
    "cumsum": (lambda s: s.ndim > 0, lambda g, x: (0, REGISTRY["cumsum"](x, axis=0, reverse=False))),
    "concatenate": (
        lambda s: s.ndim > 0,
        lambda g, x: (1, REGISTRY["concatenate"](g.node(x.shape, x.dtype), x, axis=0)),
    ),
    "solve a side": (lambda s: s.ndim == 2, lambda g, x: (1, REGISTRY["solve"](g.node((x.shape[0],) * 2, x.dtype), x))),
    # Traced
    "inv": (square, lambda g, x: (0, REGISTRY["inv"](x))),
    "solve": (square, lambda g, x: (0, REGISTRY["solve"](x, g.node((x.shape[0], 1), x.dtype)))),
    "cholesky": (square, lambda g, x: (0, REGISTRY["cholesky"](x))),
}
REAL_LINEAR = {
    "conj": (anything, lambda g, x: (0, REGISTRY["conjugate"](x))),
    "real": (anything, lambda g, x: (0, REGISTRY["real"](x))),
    "imag": (anything, lambda g, x: (0, REGISTRY["imag"](x))),
    "abs": (anything, lambda g, x: (0, REGISTRY["absolute"](x))),
    "times complex": (anything, lambda g, x: (0, x * g.node(x.shape, complex))),
}


def out_of(data: Any, g: Graph, source: Spec, kinds: Any = KINDS) -> Edge:
    """Draw an edge that starts at a Spec; sometimes the sum of two."""
    name = data.draw(st.sampled_from([name for name, (fits, _) in kinds.items() if fits(source)]))
    value = g.number(source.shape, source.dtype)
    k, node = kinds[name][1](g, g.builder.input(source, value))
    edge = node.op.edge(k, node)
    if edge is None:  # the imaginary part of a real number
        return Diagonal(0, source, node.spec, source.shape)
    if data.draw(st.booleans()):
        edge = edge.transpose().transpose()
    return edge


def beside(data: Any, g: Graph, edge: Edge) -> Edge:
    """Draw an edge between the same two Specs."""
    source, target = edge.source, edge.target
    dtype = np.result_type(source.dtype, target.dtype)
    wide = target.size, source.size
    kinds = ["itself", "tensor", "map", "traced", "lazy"]
    try:
        full = np.broadcast_shapes(source.shape, target.shape)
    except ValueError:
        full = None
    else:
        kinds += ["diagonal", "numbers"]
    kind = data.draw(st.sampled_from(kinds))
    if kind == "diagonal":
        return Diagonal(g.node(full, dtype), source, target, full)
    if kind == "numbers":
        return Diagonal(data.draw(st.sampled_from([1, -1, 2.5])), source, target, full)
    matrix = g.node((*wide, 1), dtype).reshape(wide)
    if kind == "tensor":
        return full_tensor(matrix.reshape(edge.shape), source, target)

    def forward(x: Node) -> Node:
        return (matrix @ x.reshape((source.size,))).reshape(target.shape)

    def backward(y: Node) -> Node:
        return (y.reshape((target.size,)) @ matrix).reshape(source.shape)

    plain = Map(forward, backward, source, target, "matrix", matrix)
    if kind == "map":
        return plain
    if kind == "traced":
        return edges.traced(lambda x: plain.apply(x) + plain.apply(x), source, matrix, "program")
    return edges._lazy_sum(edge, plain) if kind == "lazy" else edge


def matrix(edge: Edge, g: Graph) -> np.ndarray:
    """Return an edge as a matrix over the real numbers, by applying it to every unit tangent."""
    spec = edge.source
    unit = np.eye(spec.size, dtype=spec.dtype)
    unit = np.concatenate([unit, 1j * unit]) if spec.is_complex else unit
    (rows,) = ir.evaluate([edge.apply_batched(g.builder.constant(unit.reshape(len(unit), *spec.shape)))])
    assert rows.shape == (len(unit), *edge.target.shape)
    assert rows.dtype == edge.target.dtype
    rows = rows.reshape(len(unit), edge.target.size)
    return (np.concatenate([rows.real, rows.imag], 1) if edge.target.is_complex else rows).T


def assert_equal(one: Edge, two: Edge, g: Graph) -> None:
    """Both are leaves and the same linear map."""
    assert isinstance(one, LEAVES)
    assert (one.source, one.target) == (two.source, two.target)
    assert_close(matrix(one, g), matrix(two, g), g)


def assert_close(found: np.ndarray, expected: np.ndarray, g: Graph) -> None:
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[g.letter] * scale)


def assert_small(edge: Edge, *parts: Edge) -> None:
    """Edges with coefficients over one field compose to an array, not to a program that grows."""
    if all(part.is_algebraic for part in parts):
        assert isinstance(edge, Diagonal | Tensor)


def assert_pattern_holds(edge: Edge, g: Graph) -> None:
    pattern = edge.pattern()
    shape = edge.target.size, edge.source.size
    assert pattern.shape == shape
    assert pattern.dtype == bool
    rows, columns = 1 + edge.target.is_complex, 1 + edge.source.is_complex
    nonzero = matrix(edge, g).astype(bool).reshape(rows, shape[0], columns, shape[1]).any((0, 2))
    assert not (nonzero & ~pattern.toarray()).any()


letters = st.sampled_from("dDf")
shapes = st.sampled_from(SHAPES)
seeds = st.integers(0, 2**32 - 1)


def start(shape: Any, letter: str) -> Spec:
    return Spec(shape, np.dtype(letter))


# -- properties ----------------------------------------------------------------------------------------


@properties
@given(st.data(), seeds, shapes, letters)
def test_the_product_is_one_leaf_and_the_product_of_the_matrices(data: Any, seed: int, shape: Any, letter: str) -> None:
    g = Graph(seed, letter)
    first = out_of(data, g, start(shape, letter))
    second = out_of(data, g, first.target)
    product = second @ first
    assert_small(product, first, second)
    assert (product.source, product.target) == (first.source, second.target)
    assert_close(matrix(product, g), matrix(second, g) @ matrix(first, g), g)
    assert_pattern_holds(product, g)
    assert str(product)


@properties
@given(st.data(), seeds, shapes, letters)
def test_the_sum_is_one_leaf_and_the_sum_of_the_matrices(data: Any, seed: int, shape: Any, letter: str) -> None:
    g = Graph(seed, letter)
    one = out_of(data, g, start(shape, letter))
    two = beside(data, g, one)
    total = one + two
    assert_small(total, one, two)
    assert_close(matrix(total, g), matrix(one, g) + matrix(two, g), g)
    assert_equal(total, two + one, g)
    assert_pattern_holds(total, g)
    assert str(total)


@properties
@given(st.data(), seeds, shapes, letters)
def test_transposing_products_and_sums(data: Any, seed: int, shape: Any, letter: str) -> None:
    g = Graph(seed, letter)
    first = out_of(data, g, start(shape, letter))
    second = out_of(data, g, first.target)
    assert_equal((second @ first).transpose(), first.transpose() @ second.transpose(), g)
    other = beside(data, g, first)
    assert_equal((first + other).transpose(), first.transpose() + other.transpose(), g)
    assert_equal(first.transpose().transpose(), first, g)


@properties
@given(st.data(), seeds, shapes, letters)
def test_composition_distributes_over_addition(data: Any, seed: int, shape: Any, letter: str) -> None:
    g = Graph(seed, letter)
    first = out_of(data, g, start(shape, letter))
    other = beside(data, g, first)
    second = out_of(data, g, first.target)
    assert_equal(second @ (first + other), second @ first + second @ other, g)
    parallel = beside(data, g, second)
    assert_equal((second + parallel) @ first, second @ first + parallel @ first, g)


@properties
@given(st.data(), seeds, shapes, letters)
def test_composition_is_associative(data: Any, seed: int, shape: Any, letter: str) -> None:
    g = Graph(seed, letter)
    first = out_of(data, g, start(shape, letter))
    second = out_of(data, g, first.target)
    third = out_of(data, g, second.target)
    left, right = (third @ second) @ first, third @ (second @ first)
    assert_equal(left, right, g)
    assert_small(left, first, second, third)
    assert_small(right, first, second, third)


@properties
@given(st.data(), seeds, shapes, letters)
def test_identity_and_minus_identity(data: Any, seed: int, shape: Any, letter: str) -> None:
    g = Graph(seed, letter)
    edge = out_of(data, g, start(shape, letter))
    for number in (1, -1):
        before = Diagonal(number, edge.source, edge.source, edge.source.shape)
        after = Diagonal(number, edge.target, edge.target, edge.target.shape)
        assert before.unit == after.unit == number
        for product in (edge @ before, after @ edge):
            assert_close(matrix(product, g), number * matrix(edge, g), g)
            if isinstance(edge, Diagonal | Tensor) and edge.unit is not None:
                assert product.unit == number * edge.unit


@properties
@given(st.data(), seeds, shapes, letters)
def test_dense_agrees_with_apply(data: Any, seed: int, shape: Any, letter: str) -> None:
    g = Graph(seed, letter)
    edge = out_of(data, g, start(shape, letter))
    for each in (edge, edge.transpose(), beside(data, g, edge), edge @ Diagonal(1, edge.source, edge.source, shape)):
        if not each.is_algebraic:
            continue
        (dense,) = ir.evaluate([each.dense(g.builder)])
        assert dense.shape == each.shape
        dense = dense.reshape(each.target.size, each.source.size)
        rows = np.concatenate([dense.real, dense.imag]) if each.target.is_complex else dense
        assert_close(rows, matrix(each, g)[:, : each.source.size], g)


@properties
@given(st.data(), seeds, st.sampled_from([(), (2,), (2, 2), (0,)]), st.booleans())
def test_maps_that_are_linear_over_the_real_numbers_only(data: Any, seed: int, shape: Any, real: bool) -> None:
    g = Graph(seed, "D")
    kinds = KINDS | REAL_LINEAR
    first = out_of(data, g, start(shape, "d" if real else "D"), REAL_LINEAR)
    second = out_of(data, g, first.target, kinds)
    third = out_of(data, g, second.target, kinds)
    product = second @ first
    assert isinstance(product, LEAVES)
    assert_close(matrix(product, g), matrix(second, g) @ matrix(first, g), g)
    assert_equal(product.transpose(), first.transpose() @ second.transpose(), g)
    assert_equal((third @ second) @ first, third @ (second @ first), g)
    other = beside(data, g, first)
    assert_close(matrix(first + other, g), matrix(first, g) + matrix(other, g), g)
    assert_equal(second @ (first + other), second @ first + second @ other, g)
    assert_pattern_holds(product, g)


# -- size ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in ("inv", "solve", "cholesky", "det", "prod")])
def test_long_chains_of_products_and_sums_grow_linearly(kind: str) -> None:
    """Lazy products of sums would have 2^depth nodes."""
    sizes = []
    for depth in (5, 10, 20):
        g = Graph(0)
        x = g.node((2, 2))
        k, node = KINDS[kind][1](g, x)
        edge = node.op.edge(k, node)
        back = full_tensor(g.node((*x.shape, *node.shape)), node.spec, x.spec)
        total: Edge = Diagonal(1, x.spec, x.spec, x.shape)
        for _ in range(depth):
            total = back @ (edge @ total) + total
        assert isinstance(total, Diagonal | Tensor)
        sizes.append(len(ir.ancestors([total.dense(g.builder)])))
    assert sizes[2] - sizes[1] == pytest.approx(2 * (sizes[1] - sizes[0]), abs=6)
    assert sizes[2] < 20 * 25


def test_sums_of_edges_without_coefficients_stay_leaves() -> None:
    """x + x.T, thirty times: kept lazily, the program would have 2^30 steps."""
    g = Graph(0)
    x = g.node((2, 2))
    total: Edge = Diagonal(1, x.spec, x.spec, x.shape)
    flip = REGISTRY["permute"].edge(0, REGISTRY["permute"](x, axes=(1, 0)))
    for _ in range(30):
        total = flip @ total + total
    assert isinstance(total, Tensor)
    np.testing.assert_array_equal(matrix(total, g) @ np.ones(4), np.full(4, 2.0**30))


@pytest.mark.parametrize("depth", [1, 40])
def test_chains_of_diagonals_stay_diagonal(depth: int) -> None:
    g = Graph(0)
    spec = start((3,), "d")
    total: Edge = Diagonal(1, spec, spec, (3,))
    for _ in range(depth):
        factor = Diagonal(g.node((3,)), spec, spec, (3,))
        total = factor @ total + total
    assert isinstance(total, Diagonal)
    assert total.pattern().nnz == 3


def test_products_of_units_cost_no_nodes() -> None:
    builder = Builder()
    spec = start((2, 3), "d")
    negate = Diagonal(-1, spec, spec, spec.shape)
    add_rows = Tensor(1, (), spec, (0, 1), spec.with_shape((3,)), (1,))
    product = add_rows @ negate @ negate @ negate
    assert product.unit == -1
    assert not builder.table
    x = builder.input(spec)
    assert sorted(node.op.name for node in ir.ancestors([product.apply(x)])) == ["input", "negative", "sum"]


def test_a_broadcast_and_a_sum_over_the_same_axis_multiply() -> None:
    builder = Builder()
    small, large = start((3,), "d"), start((2, 3), "d")
    up = Diagonal(1, small, large, large.shape)
    product = up.transpose() @ up
    assert product.unit is None
    assert not builder.table
    np.testing.assert_array_equal(ir.evaluate([product.dense(builder)])[0], 2 * np.eye(3))


# -- zeros, values, dtypes -----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_exact_zeros_beat_infinity_and_nan_in_products_and_contractions(bad: float) -> None:
    g = Graph(0)
    spec = start((2,), "d")
    first = Diagonal(g.builder.constant(np.array([bad, 1.0])), spec, spec, (2,))
    second = Diagonal(g.builder.constant(np.array([0.0, 2.0])), spec, spec, (2,))
    np.testing.assert_array_equal(matrix(second @ first, g), [[0, 0], [0, 2]])
    np.testing.assert_array_equal(matrix(first @ second, g), [[0, 0], [0, 2]])
    row = Tensor(g.builder.constant(np.array([[0.0, 3.0]])), (0, 1), spec, (1,), spec.with_shape((1,)), (0,))
    np.testing.assert_array_equal(matrix(row @ first, g), [[0, 3]])
    np.testing.assert_array_equal(matrix((row @ first).transpose(), g), [[0], [3]])


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_float32(kind: str) -> None:
    g = Graph(0, "f")
    fits, make = KINDS[kind]
    x = g.node((2, 2))
    assert fits(x.spec)
    k, node = make(g, x)
    edge = node.op.edge(k, node)
    for each in (edge, edge.transpose(), edge.transpose() @ edge, edge + edge):
        tangent = g.builder.constant(np.ones(each.source.shape, np.float32)[()])
        assert each.apply(tangent).dtype == np.float32
        (value,) = ir.evaluate([each.apply(tangent)])
        assert value.dtype == np.float32
        assert np.shape(value) == each.target.shape


def test_mixed_precision_casts_to_the_target() -> None:
    g = Graph(0)
    narrow, wide = start((2,), "f"), start((2,), "d")
    edge = Diagonal(g.node((2,)), narrow, wide, (2,))
    assert matrix(edge, g).dtype == np.float64
    assert matrix(edge.transpose(), g).dtype == np.float32
    assert matrix(edge.transpose() @ edge, g).dtype == np.float32


def test_edges_are_values() -> None:
    spec = start((2,), "d")
    edge = Diagonal(1, spec, spec, (2,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        edge.coefficient = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        edge.source = spec
    tensor = Tensor(1, (), spec, (0,), spec, (0,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        tensor.labels = (0,)


# -- words ---------------------------------------------------------------------------------------------


def test_words_say_what_an_edge_does() -> None:
    g = Graph(0)
    x = g.node((2, 2))
    g.builder.name(x, "x")
    words = {}
    for kind in ("copy", "negate", "sum", "repeat", "permute", "slice", "cumsum", "matmul"):
        k, node = KINDS[kind][1](g, x)
        words[kind] = node.op.edge(k, node).describe(lambda node: "w")
    assert words == {
        "copy": "identity",
        "negate": "negate",
        "sum": "sum",
        "repeat": "broadcast",
        "permute": "permute",
        "slice": "[0:2:2, 0:2]",
        "cumsum": "running sum",
        "matmul": "· @ w",
    }
