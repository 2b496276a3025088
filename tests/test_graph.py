"""The graph as an object: nodes, edges, paths, source and JSON, on the article's example and a zoo."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import chainrule as cr
from chainrule import tree
from chainrule.errors import GraphError, NotDifferentiableError, UnsupportedError
from chainrule.graph import Graph, trace
from chainrule.ir import REGISTRY
from chainrule.ops.family import HELPERS, helper_text
from chainrule.transforms.forward import forward

MODES = ("forward", "reverse", "eliminate")


def article(a, b):
    c = a + b
    d = b + 1
    e = c * d
    return e


def stages(x, factors):
    """One stage of parallel edges per row of factors, each edge with a node of its own."""
    for row in factors:
        parts = [factor * x for factor in row]
        x = sum(parts[1:], parts[0])
    return x


def network(x, w, b):
    hidden = np.tanh(x @ w + b)
    y = np.sum(hidden * hidden, axis=1)
    return y


def several(a, x):
    sign, log = np.linalg.slogdet(a)
    y = np.linalg.solve(a, x)
    return {"log": log * y, "first": y[0]}, sign


def indexed(x):
    y = np.zeros_like(x)
    y[1:] = x[:-1] ** 2
    y[0] = 3.0
    z = y[np.array([2, 0, 2])] * x[0]
    z[np.array([0, 1])] = x[1:3]
    return np.concatenate([z, np.cumsum(x)]), np.max(x), np.sort(x)[::-1]


def special(x):
    return scipy.special.erf(x) + scipy.special.gammaln(x + 2) * scipy.special.expit(-x)


def choice(x):
    return np.where(x > 0, np.log(np.where(x > 0, x, 1)), np.minimum(x, -0.5)) + np.clip(x, -1, 1)


def holomorphic(z):
    w = np.exp(z * (1 - 2j)) / (z + 3)
    return w * w


def determinant(a):
    return np.linalg.det(a), np.linalg.inv(a), np.prod(a, axis=0), np.mean(a), np.std(a), np.linalg.norm(a)


def branches(x, n):
    y = x
    while y < 10:
        y = y * y
    return y + n


RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(3, 3)) + 2 * np.eye(3)
VECTOR = RNG.normal(size=4)
ZOO: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "article": (article, (2, 1)),
    "stages": (stages, (0.5, np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 4.0]]))),
    "network": (network, (RNG.normal(size=(2, 3)), RNG.normal(size=(3, 4)), RNG.normal(size=4))),
    "several": (several, (MATRIX, RNG.normal(size=3))),
    "indexed": (indexed, (VECTOR,)),
    "special": (special, (np.abs(VECTOR),)),
    "choice": (choice, (np.array([-2.0, 0.5, 3.0]),)),
    "determinant": (determinant, (MATRIX,)),
    "branches": (branches, (1.5, np.arange(3))),
    "scalar_power": (lambda x, p: (x**p, x**3, 2.0**x, (-2.0) * x, 1 / x), (1.5, 2.5)),
}
COMPLEX = {
    "holomorphic": (holomorphic, (np.array([1 + 2j, -0.5j]),)),
    "power": (lambda z: z**2 + 1j * np.sin(z), (np.complex128(0.3 - 1j),)),
    "matrix": (lambda a: (a @ a)[0], (MATRIX + 1j * MATRIX.T,)),
}


def cases() -> list[Any]:
    """Each function at float64, at float32 and, where it is holomorphic, at complex numbers."""
    found = []
    for name, (f, args) in ZOO.items():
        found.append(pytest.param(f, args, id=f"{name}-float64"))
        single = tuple(np.float32(arg) if np.asarray(arg).dtype.kind == "f" else arg for arg in args)
        found.append(pytest.param(f, single, id=f"{name}-float32"))
    found += [pytest.param(f, args, id=f"{name}-complex") for name, (f, args) in COMPLEX.items()]
    return found


def values(nodes: Any) -> list[Any]:
    return [node.value for node in nodes]


def run(text: str, *args: Any, name: str = "f", **kwargs: Any) -> list[Any]:
    """Return what a source computes, as a list."""
    scope: dict[str, Any] = {}
    exec(text, scope)
    result = scope[name](*args, **kwargs)
    return list(result) if isinstance(result, tuple) else [result]


def assert_same(found: Any, expected: Any, tolerance: float | None = None) -> None:
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert np.shape(one) == np.shape(two)
        assert np.asarray(one).dtype == np.asarray(two).dtype
        limit = tolerance or 100 * np.finfo(np.asarray(two).dtype).eps
        np.testing.assert_allclose(one, two, rtol=limit, atol=limit)


# -- the article ----------------------------------------------------------------------------------------


def test_article() -> None:
    g = trace(article, 2, 1)
    named = {node.name: node.value for node in g.nodes if node.op != "constant"}
    assert named == {"a": 2, "b": 1, "c": 3, "d": 2, "e": 6}
    assert [node.op for node in g.nodes] == ["input", "input", "add", "constant", "add", "multiply"]
    assert {(edge.source.name, edge.target.name): edge.partial for edge in g.edges} == {
        ("a", "c"): 1, ("b", "c"): 1, ("b", "d"): 1, ("c", "e"): 2, ("d", "e"): 3,
    }  # fmt: skip
    assert all(type(edge.partial) is float for edge in g.edges)
    assert g.count_paths("b", "e") == 2
    assert g.count_paths() == 3
    assert [path.product for path in g.paths("b", "e")] == [2, 3]
    assert [path.product for path in g.paths("b", "e", largest=True)] == [3, 2]
    assert [node.name for node in next(g.paths("a")).nodes] == ["a", "c", "e"]
    assert repr(next(g.paths("a"))) == "a → c → e: 1 · 2"
    assert [node.value for node in g.derivative().outputs] == [2, 5]


def test_listing() -> None:
    g = trace(article, 2, 1)
    first = article.__code__.co_firstlineno
    rows = str(g).splitlines()
    assert rows[2].split() == ["c", "=", "add(a,", "b)", "3", f"test_graph.py:{first + 1}"]
    assert rows[3].split() == ["d", "=", "add(b,", "1)", "2", f"test_graph.py:{first + 2}"]
    assert rows[-1] == "return e"
    assert repr(g) == "<graph of 6 nodes: a, b → e>"
    assert repr(g.node("c")) == "c = add(a, b)"
    assert str(g.node("c").origin) == f"test_graph.py:{first + 1}"
    rows = str(trace(network, *ZOO["network"][1])).splitlines()
    assert rows[5].split()[:5] == ["hidden", "=", "tanh(v2)", "float64[2,", "4]"]


def test_nine_paths_in_three_stages() -> None:
    alpha, beta, gamma, delta, epsilon, zeta = 1.0, 2.0, 3.0, 5.0, 7.0, 11.0
    g = trace(lambda x: stages(x, [[alpha, beta, gamma], [delta, epsilon, zeta]]), 1.0)
    assert g.count_paths() == 9
    products = [path.product for path in g.paths()]
    assert sorted(products) == sorted(a * b for a in (alpha, beta, gamma) for b in (delta, epsilon, zeta))
    assert (
        sum(products)
        == (alpha + beta + gamma) * (delta + epsilon + zeta)
        == cr.grad(lambda x: stages(x, [[alpha, beta, gamma], [delta, epsilon, zeta]]))(1.0)
    )


def test_a_thousand_stages() -> None:
    factors = np.tile([0.9, 0.06, 0.05], (1000, 1))
    g = trace(lambda x: stages(x, factors), 1.0)
    assert g.count_paths("x", g.outputs[0]) == 3**1000
    best = list(g.paths("x", largest=True, limit=4))
    assert best[0].product == pytest.approx(0.9**1000, rel=1e-9)
    assert all(path.product == pytest.approx(0.9**999 * 0.06, rel=1e-9) for path in best[1:])
    assert g.derivative().outputs[0].value == pytest.approx(1.01**1000, rel=1e-9)


def test_the_sum_of_equal_nodes_is_one_edge() -> None:
    g = trace(lambda x: x * x, 3.0)
    (edge,) = g.edges
    assert edge.partial == 6
    assert g.count_paths() == 1


# -- nodes ------------------------------------------------------------------------------------------------


def test_arguments_that_are_not_numbers_pass_through() -> None:
    def f(x, how, places, nothing, pairs, flag, *, offset):
        assert how == "twice"
        assert places.dtype == int
        assert nothing is None
        assert flag is True
        assert offset == 3
        return x[places] * pairs[1] + offset

    g = trace(f, np.arange(4.0), "twice", np.array([0, 2]), None, (1, 2.5), True, offset=3)
    assert [node.name for node in g.inputs] == ["x", "pairs[0]", "pairs[1]"]
    assert [node.dtype for node in g.inputs] == [np.float64] * 3
    np.testing.assert_array_equal(g.outputs[0].value, np.array([0, 2]) * 2.5 + 3)


def test_names_are_unique_and_short() -> None:
    def f(x):
        v1 = x * x
        y = np.sin(x + 1) * v1
        y = y + x
        return y, y

    g = trace(f, 1.0)
    names = [node.name for node in g.nodes]
    assert len(set(names)) == len(names)
    assert {"x", "v1", "y", "y_1"} <= set(names)
    assert max(map(len, names)) <= 3
    assert g.count_paths() == len(list(g.paths()))  # an output given twice is one end


def test_unknown_names() -> None:
    g = trace(article, 2, 1)
    with pytest.raises(GraphError, match="no node is named 'cc'; close are: c"):
        g.node("cc")
    with pytest.raises(GraphError, match="no node is named 'nothing'; there are: a, b, c, d, e"):
        g.paths("nothing")
    with pytest.raises(GraphError, match="no node of this graph"):
        g.count_paths(trace(article, 2, 1).node("a"))


def test_inputs_without_values() -> None:
    g = Graph(forward(trace(lambda x: np.sin(x), 2.0).program))
    assert [node.value is None for node in g.nodes] == [False, True, False, True]
    assert "x_dot = input" in str(g)
    assert g(0.0, 3.0) == 3.0
    assert str(Graph.from_json(g.to_json())) == str(g)
    with pytest.raises(GraphError, match="no value was given"):
        next(g.paths()).product


def test_dead_nodes_are_dropped() -> None:
    def f(x):
        dead = np.sin(x)  # noqa: F841
        return x + 1

    assert [node.op for node in trace(f, 1.0).nodes] == ["input", "constant", "add"]


def test_several_results_have_edges_from_the_arguments() -> None:
    g = trace(lambda a: np.linalg.slogdet(a)[1] * 2, MATRIX)
    assert [node.op for node in g.nodes] == ["input", "slogdet", "constant", "multiply"]
    assert [[node.name for node in path.nodes] for path in g.paths()] == [["a", "v1", "v2"]]
    assert repr(g.node("v1")) == "v1 = slogdet(a)[1]"
    np.testing.assert_allclose(next(g.paths()).product, 2 * np.linalg.inv(MATRIX).T)


# -- edges and paths ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "args"), cases())
def test_products_over_all_paths_add_up_to_the_derivative(f: Any, args: Any) -> None:
    g = trace(f, *args)
    expected = iter(values(g.derivative("reverse").outputs))
    for y, x in itertools.product(g.outputs, g.inputs):
        paths = list(g.paths(x, y))
        assert len(paths) == g.count_paths(x, y)
        total = sum((path.product for path in paths), np.zeros(y.shape + x.shape))
        tolerance = 1e-4 if x.dtype == np.float32 else 1e-10
        np.testing.assert_allclose(total, next(expected), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("f", "args"), cases())
def test_partials(f: Any, args: Any) -> None:
    for edge in trace(f, *args).edges:
        shape = edge.target.shape + edge.source.shape
        if not shape:
            assert type(edge.partial) in (float, complex)
            continue
        partial = edge.partial
        dense = partial.dense()
        assert partial.shape == dense.shape == shape
        assert partial.norm() == pytest.approx(np.linalg.norm(np.ravel(dense)), rel=1e-5)
        matrix = dense.reshape(math.prod(edge.target.shape), -1)
        assert partial.gain() >= np.linalg.norm(matrix, 2) * (1 - 1e-5)
        assert str(partial)


@pytest.mark.parametrize(("f", "args"), cases())
def test_largest_first(f: Any, args: Any) -> None:
    g = trace(f, *args)
    paths = list(g.paths(largest=True))
    sizes = [float(np.linalg.norm(np.ravel(path.product))) for path in paths]
    assert sizes == pytest.approx(sorted(sizes, reverse=True), rel=1e-6)
    assert {path.edges for path in paths} == {path.edges for path in g.paths()}


def test_a_norm_needs_no_dense_array() -> None:
    g = trace(lambda x: np.sum(np.sin(x)[10:] * 2), np.ones(10**6))
    norms = [edge.partial.norm() for edge in g.edges]
    count = 10**6 - 10
    assert norms == pytest.approx([math.cos(1) * 1e3, count**0.5, 2 * count**0.5, count**0.5])
    np.testing.assert_allclose(next(g.paths()).product[[0, -1]], [0, 2 * math.cos(1)])


def test_words() -> None:
    g = trace(network, *ZOO["network"][1])
    assert [str(edge.partial) for edge in g.edges] == [
        "· @ w", "x @ ·", "identity", "broadcast", "diag(1 - v3)", "diag(hidden + hidden)", "sum",
    ]  # fmt: skip
    assert repr(next(g.paths("b"))) == ("b → v2 → hidden → v3 → y: broadcast; diag(1 - v3); diag(hidden + hidden); sum")


def test_a_factor_that_is_zero_gives_zero() -> None:
    g = trace(lambda x: np.where(x > 0, np.sqrt(x), 0.0), 0.0)
    assert math.inf in [edge.partial for edge in g.edges]
    assert [path.product for path in g.paths()] == [0.0]


def test_limits_and_ends_inside() -> None:
    g = trace(lambda x: stages(x, [[1.0, 2.0, 3.0]] * 3), 1.0)
    assert len(list(g.paths(limit=5))) == 5
    assert list(g.paths(limit=0)) == []
    inner = g.nodes[5]
    first = {edge.target for edge in g.edges if edge.source is g.inputs[0]}
    assert sum(g.count_paths("x", node) * g.count_paths(node) for node in first) == g.count_paths() == 27
    assert g.count_paths(inner, inner) == 1
    (path,) = g.paths(inner, inner)
    assert path.product == 1.0
    assert path.edges == ()
    assert list(g.paths(g.outputs[0], "x")) == []
    assert list(g.paths(g.outputs[0], "x", largest=True)) == []


def test_an_op_without_derivative_names_its_line() -> None:
    def rough(x):
        return np.floor(x)

    g = trace(lambda x: cr.custom_jvp(rough)(x), 3.0)
    with pytest.raises(NotDifferentiableError, match=r"rough.*test_graph\.py:\d+"):
        g.edges


def test_deep_graphs() -> None:
    def deep(x):
        for _ in range(10_000):
            x = x * 1.0001 + 0.001
        return x

    g = trace(deep, 1.0)
    assert len(str(g).splitlines()) == 20_002
    assert g.count_paths() == 1
    expected = 1.0001**10_000
    assert next(g.paths()).product == pytest.approx(expected)
    assert next(g.paths(largest=True)).product == pytest.approx(expected)
    assert float(g.derivative().outputs[0].value) == pytest.approx(expected)
    loaded = Graph.from_json(g.to_json())
    assert str(loaded) == str(g)
    assert run(g.source(), np.float64(2.0)) == [g.evaluate(2.0)]


def test_equal_paths_do_not_make_the_search_wander() -> None:
    g = trace(lambda x: stages(x, [[1.1, 1.1 + 1e-16, 1.3 - 0.2]] * 1 + [[1.1, -1.1]] * 400), 1.0)
    start = time.perf_counter()
    assert len(list(g.paths(largest=True, limit=20))) == 20
    assert time.perf_counter() - start < 2  # seconds


def test_complex_partials() -> None:
    g = trace(lambda z: np.abs(np.conj(z * z)) ** 2, 1 + 2j)
    (path,) = g.paths()
    assert path.product == pytest.approx(cr.grad(lambda z: np.abs(np.conj(z * z)) ** 2)(1 + 2j))
    (edge,) = trace(lambda z: z * (2 + 1j), 1 + 2j).edges
    assert edge.partial == 2 + 1j


# -- evaluation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "args"), cases())
def test_evaluation_at_the_same_and_at_other_values(f: Any, args: Any) -> None:
    g = trace(f, *args)
    found = g(*values(g.inputs))
    assert_same(list(found) if isinstance(found, tuple) else [found], values(g.outputs))
    if f is not branches:
        other = [arg * arg.dtype.type(1.25) for arg in values(g.inputs)]
        found = g(*other)
        expected = tree.flatten(f(*other))[0]
        assert_same(list(found) if isinstance(found, tuple) else [found], expected, 1e-4)


def test_other_values() -> None:
    g = trace(article, 2, 1)
    assert g(3, 4) == article(3, 4)
    assert type(g(3, 4)) is np.float64
    assert g.derivative()(3, 4) == (5.0, 12.0)
    with pytest.raises(GraphError, match="2 values are needed, for a, b; got 1"):
        g(1)
    with pytest.raises(GraphError, match=r"a: the graph was traced with shape \(\), got \(2,\)"):
        g([1, 2], 1)
    with pytest.raises(GraphError, match="b: the graph was traced with float64, got complex128"):
        g(1, 1j)


def test_another_branch_is_refused() -> None:
    g = trace(branches, 1.5, 0)
    line = branches.__code__.co_firstlineno + 2
    assert g(1.6, 1) == branches(1.6, 1)
    message = rf"the function looked at .* and found True, at test_graph\.py:{line}; at these values it is False"
    for graph in (g, Graph.from_json(g.to_json()), g.derivative()):
        with pytest.raises(GraphError, match=message):
            graph(5.0, 0)


def test_results_are_the_callers_own() -> None:
    g = trace(lambda x: x.reshape(2, 2), np.arange(4.0))
    x = np.ones(4)
    g(x)[:] = 7
    assert x.tolist() == [1, 1, 1, 1]


# -- derivatives ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("f", "args"), cases())
def test_the_derivative_and_its_source(f: Any, args: Any, mode: str) -> None:
    g = trace(f, *args)
    d = g.derivative(mode)
    expected = values(g.derivative("reverse").outputs)
    tolerance = 1e-3 if any(node.dtype == np.float32 for node in g.inputs) else 1e-9
    assert_same(values(d.outputs), expected, tolerance)
    assert [node.shape for node in d.outputs] == [y.shape + x.shape for y in g.outputs for x in g.inputs]
    text = d.source()
    assert "chainrule" not in text
    assert_same(run(text, *values(g.inputs), **large_constants(d, text)), values(d.outputs), tolerance)


def large_constants(g: Graph, text: str) -> dict[str, Any]:
    """Return the constants that a source takes as keyword arguments."""
    head = text[text.index("def f(") :].partition("):")[0]
    names = head.partition("*, ")[2]
    return {name: g.node(name).value for name in names.split(", ") if name}


def test_second_derivative() -> None:
    g = trace(lambda x: np.sin(x) * x, 1.2)
    second = g.derivative().derivative()
    assert float(second.outputs[0].value) == pytest.approx(2 * math.cos(1.2) - 1.2 * math.sin(1.2))
    assert sum(path.product for path in g.derivative().paths()) == pytest.approx(float(second.outputs[0].value))
    assert run(second.source(), 1.2) == [second(1.2)]


def test_unknown_mode() -> None:
    with pytest.raises(GraphError, match="mode 'backward'"):
        trace(article, 2, 1).derivative("backward")


# -- source ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "args"), cases())
def test_source(f: Any, args: Any) -> None:
    g = trace(f, *args)
    text = g.source()
    assert_same(run(text, *values(g.inputs)), values(g.outputs))
    assert ("import scipy" in text) == ("scipy.special" in text)


def test_source_of_the_article() -> None:
    assert trace(article, 2, 1).source("article") == (
        "import numpy as np\n\n\ndef article(a, b):\n    c = a + b\n    d = b + 1.0\n    e = c * d\n    return e\n"
    )


def test_names_in_a_source() -> None:
    def f(params, np_, lambda_):
        put = params[0]["w"] * np_
        scale = np.sin(put) * lambda_
        return scale

    text = trace(f, [{"w": np.ones(2)}], 2.0, 3.0).source()
    assert "def f(params_0_w, np_, lambda_):" in text
    assert "put_1 = params_0_w * np_" in text
    assert_same(run(text, np.ones(2), 2.0, 3.0), [np.sin(2.0) * 3 * np.ones(2)])
    with pytest.raises(GraphError, match="'1f' is no name"):
        trace(article, 2, 1).source("1f")


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_constants_in_a_source_keep_their_dtype(dtype: str) -> None:
    small = (np.arange(3) / 7).astype(dtype)
    large = (np.arange(100) / 7).astype(dtype)
    number = np.dtype(dtype).type(0.1)

    def f(x):
        return x * small, x[0] * large, x * number, x * 0.1, x * np.float64(0.1), x * np.inf, x - 2

    for x in (np.ones(3, np.float32), np.ones(3)):
        g = trace(f, x)
        text = g.source()
        assert "def f(x, *, large):\n" in text
        assert f"large: {np.dtype(dtype)}[100]." in text
        assert_same(run(text, x, large=large), values(g.outputs))


def test_regular_constants_are_written_out() -> None:
    g = trace(lambda x: (x * np.eye(9), x + np.full(100, -1.5), x - np.arange(100.0), x * np.zeros((0, 2))), 2.0)
    text = g.source()
    for part in ("np.eye(9, dtype", "np.full((100,), np.float64(-1.5))", "np.arange(100, dtype", "np.zeros((0, 2)"):
        assert part in text
    assert_same(run(text, np.float64(2.0)), values(g.outputs))


def test_every_op_has_a_source_that_agrees_with_it() -> None:
    scope: dict[str, Any] = {"np": np, "scipy": scipy, "math": math}
    for helper in HELPERS:
        exec(helper_text(helper), scope)
    for op in REGISTRY.values():
        for args, params in op.samples(np.random.default_rng(0)) if op.samples else []:
            for dtype in ("float64", "float32") if "f" in op.dtypes else ("float64",):
                cast = [np.asarray(arg, dtype)[()] if np.asarray(arg).dtype == np.float64 else arg for arg in args]
                names = [f"x{k}" for k in range(len(cast))]
                expression = op.source(*names, **params)
                found = eval(expression, scope, dict(zip(names, cast, strict=True)))
                expected = op.evaluate(*cast, **params)
                if not isinstance(expected, tuple):
                    found, expected = (found,), (expected,)
                for one, two in zip(found, expected, strict=True):
                    assert np.asarray(one).dtype == np.asarray(two).dtype, op.name
                    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6, err_msg=op.name)


def test_zero_beats_infinity_in_a_source() -> None:
    def f(x):
        y = np.where(x > 0, np.sqrt(x), 0.0)
        return np.sum(y), y @ np.ones(2)

    x = np.array([0.0, 4.0])
    for mode in MODES:
        with np.errstate(divide="ignore"):
            for found in run(trace(f, x).derivative(mode).source(), x):
                np.testing.assert_array_equal(found, [0, 0.25])


def test_a_custom_rule_has_no_source() -> None:
    @cr.custom_jvp
    def relu(x):
        return np.maximum(x, 0)

    @relu.defjvp
    def rule(primals, tangents):
        return relu(*primals), np.where(primals[0] > 0, tangents[0], 0.0)

    g = trace(lambda x: relu(x) * 2, 3.0)
    assert next(g.paths()).product == 2
    with pytest.raises(UnsupportedError, match=r"relu.*custom rule"):
        g.source()
    with pytest.raises(GraphError, match="custom rule"):
        g.to_json()


# -- JSON --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "args"), cases())
def test_json_round_trip(f: Any, args: Any) -> None:
    g = trace(f, *args)
    text = g.to_json()
    loaded = Graph.from_json(text)
    assert loaded.to_json() == text
    assert str(loaded) == str(g)
    assert_same(values(loaded.outputs), values(g.outputs), 1e-15)
    for mode in MODES:
        assert_same(values(loaded.derivative(mode).outputs), values(g.derivative(mode).outputs), 1e-12)
    assert repr(loaded.edges) == repr(g.edges)
    assert loaded.source() == g.source()
    d = g.derivative()
    assert str(Graph.from_json(d.to_json())) == str(d)


def test_json_of_unusual_values() -> None:
    def f(x):
        found = np.searchsorted(x, np.array([0.5, 2.5]))
        return x[found] * np.array([np.nan, -0.0]), x * np.zeros((0, 3)).sum(), x[:0], x.astype(np.float32), x + 1j

    with np.errstate(invalid="ignore"):
        g = trace(f, np.array([0.0, 1.0, 2.0, np.inf]))
    loaded = Graph.from_json(g.to_json())
    for one, two in zip(loaded.outputs, g.outputs, strict=True):
        assert one.value.tobytes() == two.value.tobytes()
        assert one.dtype == two.dtype


def broken() -> list[Any]:
    """Return ways to spoil a document, and what is said about each."""

    def entry(k: int, **changes: Any) -> Callable[[Any], Any]:
        def change(document: Any) -> Any:
            document["nodes"][k] |= changes
            return document

        return change

    return [
        (lambda d: [], "format"),
        (lambda d: d | {"format": "other"}, "format"),
        (lambda d: d | {"version": 99}, "version 99"),
        (lambda d: d | {"nodes": 3}, "'nodes' must be of type list"),
        (lambda d: d | {"inputs": [0]}, "inputs"),
        (lambda d: d | {"outputs": [77]}, "77 is no node"),
        (lambda d: d | {"outputs": "e"}, "'outputs' must be of type list"),
        (lambda d: d | {"guards": [3]}, "guard"),
        (lambda d: d | {"nodes": [7]}, "node 0: an object is expected"),
        (entry(2, op="system"), r"node 2 \(c\): there is no op 'system'"),
        (entry(2, inputs=[0, 4]), r"node 2 \(c\): 4 is no node before it"),
        (entry(2, inputs=[0, True]), "True is no node"),
        (entry(2, inputs=[0]), r"node 2 \(c\): add does not fit"),
        (entry(2, inputs=[0, 1, 1]), r"node 2 \(c\)"),
        (entry(2, params={"axis": 1}), r"node 2 \(c\): add does not fit"),
        (entry(2, params={"function": {"numpy": "save"}}), "is no parameter"),
        (entry(2, params={"function": {"os": "system"}}), "is no parameter"),
        (entry(2, shape=[3]), r"add gives float64, the text says float64\[3\]"),
        (entry(2, shape=[-1]), "is no shape"),
        (entry(2, dtype="object"), "'object' is no dtype"),
        (entry(2, dtype="O8,f4"), "is no dtype"),
        (entry(2, name="a"), "name is taken"),
        (entry(2, name=3), "'name' must be of type str"),
        (entry(2, origin="x"), "is no origin"),
        (entry(0, value="2"), "its value cannot be read"),
        (entry(0, value=[2.0]), "its value has shape"),
        (entry(0, value={"base64": "!"}), "its value cannot be read"),
        (entry(0, value={"base64": "AAAA"}), "its value cannot be read"),
        (entry(3, value=None), "its value cannot be read"),
    ]


@pytest.mark.parametrize(("change", "message"), broken())
def test_broken_json(change: Any, message: str) -> None:
    document = json.loads(trace(article, 2, 1).to_json())
    with pytest.raises(GraphError, match=message):
        Graph.from_json(json.dumps(change(document)))


@pytest.mark.parametrize("text", ["", "{", "nothing", "[" * 100_000])
def test_no_json(text: str) -> None:
    with pytest.raises(GraphError, match="no graph"):
        Graph.from_json(text)


@pytest.mark.parametrize(
    "count",
    [
        lambda x, k: np.sum(x[:k]),
        lambda x, k: np.sum(x[: k // 2 + 1]),
        lambda x, k: sum(x[i] for i in range(k)),
        lambda x, k: np.sum(x) * np.zeros(k).sum() + np.sum(np.linspace(x[0], x[1], k)),
        lambda x, k: np.sum(np.eye(k)[0] * x[0]),
        lambda x, k: x[k],
        lambda x, k: np.sum(np.reshape(x, (k, -1))) if k == 3 else np.sum(np.roll(x, k)),
    ],
)
def test_integers_that_count_stay_integers(count) -> None:
    x = np.array([1.0, 2.0, 3.0])
    g = cr.trace(count, x, 2)
    assert [node.name for node in g.inputs] == ["x"]
    assert g.outputs[0].value == pytest.approx(count(x, 2))
    assert "x" in str(cr.explain(count, x, 2))


def test_an_integer_that_counts_leaves_the_others_as_numbers() -> None:
    g = cr.trace(lambda x, k, c: c * np.sum(x[:k]) + k, np.array([1.0, 2.0]), 1, 3)
    assert [node.name for node in g.inputs] == ["x", "c"]
    assert g.outputs[0].value == 4.0
    with pytest.raises(cr.ChainruleError, match="k counts as a real number where its derivative is asked"):
        cr.grad(lambda x, k: np.sum(x[:k]), (0, 1))(np.array([1.0, 2.0]), 1)
