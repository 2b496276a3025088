"""Nodes, builders, evaluation."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import ir
from chainrule.edges import pull, push
from chainrule.errors import GraphError
from chainrule.ir import REGISTRY, Builder, Node, Program
from chainrule.tracing import trace_function
from chainrule.types import Spec

FLOAT = Spec((), np.dtype(float))
VECTOR = Spec((3,), np.dtype(float))


def inputs(count: int, spec: Spec = FLOAT) -> tuple[Builder, list[Node]]:
    builder = Builder()
    return builder, [builder.input(spec, name=name) for name in "abcdefgh"[:count]]


# -- equal sub-expressions are one node ----------------------------------------------------------------


def test_equal_expressions_are_one_node() -> None:
    builder, (a, b) = inputs(2)
    assert a + b is a + b
    assert a + b is not b + a
    assert (a + b) * a is (a + b) * a
    assert REGISTRY["sin"](a) is REGISTRY["sin"](a)
    assert a.sum(()) is a
    count = next(builder.count)
    (a + b) * a
    assert next(builder.count) == count + 1


def test_parameters_distinguish_nodes() -> None:
    _, (x,) = inputs(1, Spec((2, 3), np.dtype(float)))
    assert x.sum((0,)) is x.sum((0,))
    assert x.sum((0,)) is not x.sum((1,))
    assert x.reshape((3, 2)) is not x.reshape((6,))


def test_inputs_are_never_merged() -> None:
    builder, (a,) = inputs(1)
    assert builder.input(FLOAT) is not builder.input(FLOAT)
    assert builder.input(FLOAT, 1.0) is not a


def test_builders_do_not_share_nodes() -> None:
    one, (a,) = inputs(1)
    two, (b,) = inputs(1)
    assert REGISTRY["sin"](a).builder is one
    assert REGISTRY["sin"](b).builder is two


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (0.0, -0.0),
        (1.0, np.float32(1.0)),
        (1, 1.0),
        (1, True),
        (1.0, 1.0 + 0j),
        (1.0, np.array(1.0)),
        (1.0, np.array([1.0])),
        (np.array([1.0, 2.0]), np.array([[1.0, 2.0]])),
        (np.nan, -np.nan),
        (np.zeros(3), -np.zeros(3)),
        (np.array([1, 2], np.int64), np.array([1, 2], np.int32)),
    ],
)
def test_constants_that_differ_in_bits_shape_or_dtype_are_kept_apart(one: Any, two: Any) -> None:
    builder = Builder()
    first, second = builder.constant(one), builder.constant(two)
    assert first is not second
    for node, value in ((first, one), (second, two)):
        assert node.spec == Spec.of(value)
        np.testing.assert_array_equal(node.value, value)
        np.testing.assert_array_equal(np.signbit(np.real(node.value)), np.signbit(np.real(value)))


@pytest.mark.parametrize("value", [0.0, -0.0, np.nan, np.inf, 3, True, 1j, np.float32(0.1), np.arange(4), np.eye(8)])
def test_equal_constants_are_one_node(value: Any) -> None:
    builder = Builder()
    assert builder.constant(value) is builder.constant(np.copy(value)[()])


@pytest.mark.parametrize(
    ("dtypes", "number", "expected"),
    [("f", 2, "f"), ("f", 2.5, "f"), ("d", 2, "d"), ("l", 2, "l"), ("l", 2.5, "d"), ("f", 1j, "F"), ("l", 1j, "D"),
     ("?", 2, "l"), ("fd", 2.5, "d"), ("", 2.5, "d"), ("", 2, "l"), ("f", True, "?"), ("f", np.float64(2), "d")],
)  # fmt: skip
def test_a_python_number_takes_the_dtype_of_its_surroundings(dtypes: str, number: Any, expected: str) -> None:
    assert Builder().constant(number, [np.dtype(c) for c in dtypes]).dtype == np.dtype(expected)


def test_numbers_beside_nodes_become_constants() -> None:
    _, (x,) = inputs(1, Spec((3,), np.dtype("f")))
    for node in (x + 1, 1 + x, x - 1, 1 - x, 2 * x, x / 2, 2 / x, x**2):
        assert node.dtype == np.float32
    assert (x > 0).dtype == bool
    assert x.equals(0) is x.equals(0.0)


# -- nodes, names, values ------------------------------------------------------------------------------


def test_names_are_unique() -> None:
    builder, (a,) = inputs(1)
    nodes = [builder.input(FLOAT, name=name) for name in ["x", "x", "x_1", "x", "x_1"]]
    names = [node.name for node in nodes]
    assert names[0] == "x"
    assert len(set(names)) == len(names)
    unnamed = REGISTRY["sin"](a)
    assert not unnamed.is_named
    assert unnamed.name == f"v{unnamed.index}"
    builder.name(unnamed, "y")
    builder.name(unnamed, "z")
    assert unnamed.name == "y"


def test_a_name_like_that_of_an_unnamed_node_does_not_collide() -> None:
    builder, (a,) = inputs(1)
    y = REGISTRY["sin"](a)
    assert y.name == "v1"
    other = builder.input(FLOAT, name="v1")
    assert other.name == "v1"
    assert y.name not in {a.name, other.name}


@pytest.mark.parametrize("attribute", ["name", "evaluate", "edge", "family"])
def test_ops_are_values(attribute: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(REGISTRY["sin"], attribute, None)


def test_specs_and_programs_are_values() -> None:
    builder, (a,) = inputs(1)
    with pytest.raises(AttributeError, match="does not change"):
        a.spec.shape = (2,)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Program((a,), (a,), builder).inputs = ()
    assert Spec((2,), np.dtype("f")) == Spec((2,), np.dtype("float32"))
    assert len({FLOAT, Spec((), np.dtype("d"))}) == 1


def test_nodes_have_no_other_attributes() -> None:
    _, (a,) = inputs(1)
    with pytest.raises(AttributeError):
        a.color = "red"


def test_an_op_is_declared_once() -> None:
    with pytest.raises(GraphError, match="'sin' is declared twice"):
        ir.register(REGISTRY["sin"])


def test_a_program_prints_its_nodes_in_order() -> None:
    builder, (a, b) = inputs(2)
    c = a + b
    builder.name(c, "c")
    program = Program((a, b), (c * b,), builder)
    lines = str(program).splitlines()
    assert lines[:3] == ["a = input() : float64", "b = input() : float64", "c = add(a, b) : float64"]
    assert lines[-1] == f"return {program.outputs[0].name}"


# -- evaluation ----------------------------------------------------------------------------------------


def test_evaluate_takes_values_for_any_node() -> None:
    _, (a, b) = inputs(2)
    c = a + b
    d = c * b
    assert ir.evaluate([d], {a: 1.0, b: 2.0}) == [6.0]
    assert ir.evaluate([d], {c: 10.0, b: 2.0}) == [20.0]
    assert ir.evaluate([d, c, a, d], {a: 1.0, b: 2.0}) == [6.0, 3.0, 1.0, 6.0]
    assert ir.evaluate([]) == []


def test_a_missing_input_is_named() -> None:
    _, (a, b) = inputs(2)
    with pytest.raises(GraphError, match=r"^b: no value was given"):
        ir.evaluate([a * b], {a: 1.0})


def test_only_what_is_needed_is_computed() -> None:
    calls = []

    def spy(x: Any) -> Any:
        calls.append(x)
        return x

    op = dataclasses.replace(REGISTRY["stop_gradient"], name="spy", evaluate=spy)
    _, (a, b) = inputs(2)
    x, y = op(a), op(b)
    assert ir.evaluate([x + 1], {a: 1.0}) == [2.0]
    assert ir.evaluate([x + y], {x: 5.0, b: 1.0}) == [6.0]
    assert ir.evaluate([x * x + x], {a: 3.0}) == [12.0]
    assert calls == [1.0, 1.0, 3.0]


def test_values_of_the_trace_are_used_again_unless_an_input_changes() -> None:
    builder = Builder()
    a, b = builder.input(FLOAT, 1.0), builder.input(FLOAT, 2.0)
    c = builder.emit(REGISTRY["add"], (a, b), {}, np.float64(100.0))  # a false value, to see which is used
    d = c * 2
    assert ir.evaluate([d]) == [200.0]
    assert ir.evaluate([d], {a: a.value}) == [200.0]
    assert ir.evaluate([d], {a: 5.0}) == [14.0]
    assert ir.evaluate([d], {c: 1.0}) == [2.0]
    assert ir.evaluate([c], {b: 5.0}) == [6.0]
    assert c.value == 100.0


def test_evaluate_is_silent_about_infinities() -> None:
    _, (a,) = inputs(1)
    assert ir.evaluate([1 / a, REGISTRY["log"](a)], {a: 0.0}) == [np.inf, -np.inf]


# -- order ---------------------------------------------------------------------------------------------


def test_ancestors_come_in_order_and_once() -> None:
    _, (a, b, c) = inputs(3)
    d = a + b
    e = d * d
    f = e + d
    assert ir.ancestors([f]) == [a, b, d, e, f]
    assert ir.ancestors([f, d], [c]) == [a, b, c, d, e, f]


def test_between_holds_the_paths_only() -> None:
    _, (a, b) = inputs(2)
    d = a + b
    e = b * b
    f = d * e
    unused = d + 1
    assert ir.between([f], [a]) == [a, d, f]
    assert ir.between([f], [a, b]) == [a, b, d, e, f]
    assert ir.between([e], [a]) == []
    assert ir.between([f, unused], [d]) == [d, f, unused]
    assert ir.between([a], [a]) == [a]
    assert ir.between([f], []) == []
    assert ir.between([d], [f]) == []


def test_batch_adds_an_axis_to_what_depends_on_the_batch() -> None:
    builder, (x, y) = inputs(2, VECTOR)
    z = x * y
    rows = builder.constant(np.arange(6.0).reshape(2, 3))
    found = ir.batch([z, y, x], {x: rows})
    assert found[1] is None
    assert found[2] is rows
    (value,) = ir.evaluate([found[0]], {y: np.ones(3)})
    np.testing.assert_array_equal(value, rows.value)


# -- captured arrays -----------------------------------------------------------------------------------


def test_captured_arrays_are_bound_by_reference() -> None:
    builder = Builder()
    large = np.ones(100)
    node = builder.capture(large)
    assert builder.capture(large) is node
    assert builder.capture(large.copy()) is not node
    assert node.binding is large


@pytest.mark.parametrize("size", [4, 100, 30_000])
def test_a_captured_array_that_is_overwritten_keeps_its_old_numbers(size: int) -> None:
    data = np.ones(size)

    def f(x: Any) -> Any:
        y = x * data
        data[:] = 7.0
        z = x * data
        data[:] = 1.0
        return np.sum(y + z)

    np.testing.assert_array_equal(cr.grad(f)(np.ones(size)), np.full(size, 8.0))


def test_overwriting_a_large_captured_array_is_an_error() -> None:
    data = np.ones(100_000)

    def f(x: Any) -> Any:
        y = x * data
        data[:] = 7.0
        return np.sum(y)

    with pytest.raises(GraphError, match=r"data.*overwritten.*copy"):
        cr.grad(f)(np.ones(100_000))


def test_overwriting_between_linearize_and_push() -> None:
    data = np.ones(3)
    _, pushforward = cr.linearize(lambda x: x * data, np.ones(3))
    data[:] = 7.0
    np.testing.assert_array_equal(pushforward(np.ones(3)), np.ones(3))


def test_a_read_only_array_is_not_copied() -> None:
    data = np.ones(100)
    data.flags.writeable = False
    assert Builder().capture(data).value is data


# -- size ----------------------------------------------------------------------------------------------


def test_a_determinant_by_minors_has_n_times_2_to_the_n_nodes() -> None:
    """Of 8! = 40320 terms; the minors of the last k rows are one for each choice of k columns."""

    def det(a: Any, row: int, columns: tuple[int, ...]) -> Any:
        if not columns:
            return 1.0
        total = 0.0
        for k, column in enumerate(columns):
            key = row + 1, columns[:k] + columns[k + 1 :]
            minor = known[key] if key in known else det(a, *key)
            total = total + (-1) ** k * a[row][column] * minor
        return total

    known: dict[Any, Any] = {}
    n = 6
    a = np.random.default_rng(0).normal(size=(n, n))
    traced = trace_function(lambda a: det([[a[i, j] for j in range(n)] for i in range(n)], 0, tuple(range(n))),
                            (a,), (0,))  # fmt: skip
    count = len(traced.program.nodes)
    assert count < 6 * n * 2**n
    np.testing.assert_allclose(traced.program.outputs[0].value, np.linalg.det(a))
    found = pull({traced.program.outputs[0]: traced.program.builder.constant(1.0)}, traced.program.inputs)
    (gradient,) = ir.evaluate(found)
    np.testing.assert_allclose(gradient, np.linalg.det(a) * np.linalg.inv(a).T)


def test_a_determinant_of_8_by_8_built_from_nodes() -> None:
    builder = Builder()
    n = 8
    a = [[builder.input(FLOAT, name=f"a{i}{j}") for j in range(n)] for i in range(n)]
    memo: dict[Any, Node] = {}

    def det(row: int, columns: tuple[int, ...]) -> Node:
        """By minors, where hash-consing alone would still walk n! paths in Python."""
        if (row, columns) not in memo:
            total = a[row][columns[0]] if len(columns) == 1 else None
            for k, column in enumerate(columns) if total is None else ():
                term = a[row][column] * det(row + 1, columns[:k] + columns[k + 1 :])
                total = term if total is None else (total - term if k % 2 else total + term)
            memo[row, columns] = total
        return memo[row, columns]

    y = det(0, tuple(range(n)))
    assert len(ir.ancestors([y])) < 2 * n * 2**n
    values = np.random.default_rng(0).normal(size=(n, n))
    bound = {a[i][j]: values[i, j] for i in range(n) for j in range(n)}
    np.testing.assert_allclose(ir.evaluate([y], bound)[0], np.linalg.det(values))
    found = pull({y: builder.constant(1.0)}, [x for row in a for x in row])
    gradient = np.reshape(ir.evaluate(found, bound), (n, n))
    np.testing.assert_allclose(gradient, np.linalg.det(values) * np.linalg.inv(values).T)


@pytest.mark.parametrize(("count", "mode"), [(100_000, "reverse"), (20_000, "forward")])
def test_a_graph_of_a_hundred_thousand_nodes(count: int, mode: str) -> None:
    """Built, walked, differentiated and freed, without recursion."""
    builder = Builder()
    x = builder.input(FLOAT, name="x")
    y = x
    for _ in range(count // 2):
        y = REGISTRY["sin"](y) + x
    assert len(ir.ancestors([y])) == len(ir.between([y], [x])) == count + 1
    one = builder.constant(1.0)
    (derivative,) = push({x: one}, [y]) if mode == "forward" else pull({y: one}, [x])
    assert derivative is not None
    found = ir.evaluate([y, derivative], {x: 0.5})
    expected, slope = 0.5, 1.0
    for _ in range(count // 2):
        expected, slope = np.sin(expected) + 0.5, np.cos(expected) * slope + 1
    np.testing.assert_allclose(found, [expected, slope], rtol=1e-12)
    reference = weakref.ref(builder)
    del builder, x, y, one, derivative
    assert reference() is None


# -- memory --------------------------------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Any:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_a_builder_is_freed_by_counting_references() -> None:
    builder, (a, b) = inputs(2)
    c = (a + b) * REGISTRY["sin"](a)
    pull({c: builder.constant(1.0)}, [a, b])
    reference = weakref.ref(builder)
    del builder
    assert reference() is None
    with pytest.raises(GraphError, match="graph of this node is gone"):
        c.builder
    with pytest.raises(GraphError, match="gone"):
        c + 1


@pytest.mark.parametrize(
    "derive",
    [
        lambda f, x: cr.grad(f)(x),
        lambda f, x: cr.jacobian(f, mode="forward")(x),
        lambda f, x: cr.jacobian(f, mode="eliminate")(x),
        lambda f, x: cr.hessian(f)(x),
        lambda f, x: cr.vjp(f, x)[1](1.0),
        lambda f, x: cr.linearize(f, x)[1](x),
    ],
    ids=["grad", "forward", "eliminate", "hessian", "vjp", "linearize"],
)
@pytest.mark.usefixtures("no_collector")
def test_a_trace_is_freed_with_its_large_arrays(derive: Any) -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append(weakref.ref(x.builder))
        y = x[::-1] @ np.ones((3, 3)) + np.cumsum(x)
        y[0] = np.prod(x)
        return np.sum(np.where(y > 0, y, np.linalg.inv(np.diag(x))[0]))

    derive(f, np.array([1.0, 2.0, 3.0]))
    assert seen
    assert all(reference() is None for reference in seen)


@pytest.mark.usefixtures("no_collector")
def test_a_trace_is_freed_after_an_error() -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append(weakref.ref(x.builder))
        return np.sum(x @ np.ones((5, 5)))

    with pytest.raises(ValueError, match="matmul"):
        cr.grad(f)(np.ones(3))
    assert seen[0]() is None
