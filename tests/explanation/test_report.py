"""The report's data: the article's numbers, paths, factored form, costs, JSON."""

import itertools
import json
import math
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ExpressionError, NotDifferentiableError, OutputError
from chainrule.explanation import parse
from chainrule.explanation.factoring import digits, power_of

ARTICLE = "(a+b)*(b+1)"
NINE = "y = sin(x) + x**2 + 3*x; z = exp(y) + y**2 + 2*y"


def stages(x, n):
    for _ in range(n):
        a = 0.9 * x
        b = 0.06 * x
        c = 0.05 * x
        x = a + b + c
    return x


def perceptron(w, b, x):
    z = w @ x + b
    h = np.tanh(z)
    return np.sum(h)


def cost_of(report):
    return {each.way: each for each in report.cost}


@pytest.fixture(scope="module")
def article():
    return cr.explain(ARTICLE, a=2, b=1)


# -- the article ---------------------------------------------------------------------------------------


def test_values_and_partials(article):
    assert article.values == {"a": 2.0, "b": 1.0, "c": 3.0, "d": 2.0, "e": 6.0}
    partials = {edge.source.name + edge.target.name: edge.partial for edge in article.edges}
    assert partials == {"ac": 1.0, "bc": 1.0, "bd": 1.0, "ce": 2.0, "de": 3.0}
    assert {edge.source.name + edge.target.name: edge.formula for edge in article.edges} == {
        "ac": "1", "bc": "1", "bd": "1", "ce": "d", "de": "c",
    }  # fmt: skip


def test_forward_sweeps_one_per_input(article):
    from_a, from_b = article.forward
    assert (from_a.name, from_b.name) == ("a", "b")
    assert from_a.values == {"a": 1.0, "c": 1.0, "d": 0.0, "e": 2.0}
    assert from_b.values == {"b": 1.0, "c": 1.0, "d": 1.0, "e": 5.0}
    last = from_b.steps[-1]
    assert [(term.edge.partial, term.factor, term.product) for term in last.terms] == [(2.0, 1.0, 2.0), (3.0, 1.0, 3.0)]


def test_one_reverse_sweep(article):
    (sweep,) = article.reverse
    assert sweep.values == {"e": 1.0, "c": 2.0, "d": 3.0, "a": 2.0, "b": 5.0}
    assert [step.node.name for step in sweep.steps] == ["e", "d", "c", "a", "b"]
    at_b = sweep.steps[-1]
    assert [(term.edge.partial, term.factor, term.product) for term in at_b.terms] == [(1.0, 2.0, 2.0), (1.0, 3.0, 3.0)]
    assert article.derivatives == {("e", "a"): 2.0, ("e", "b"): 5.0}


def test_paths(article):
    found = {
        (routes.source.name, routes.target.name): [
            ("".join(node.name for node in path.nodes), path.partials, path.product) for path in routes.paths
        ]
        for routes in article.paths
    }
    assert found == {
        ("a", "e"): [("ace", (1.0, 2.0), 2.0)],
        ("b", "e"): [("bce", (1.0, 2.0), 2.0), ("bde", (1.0, 3.0), 3.0)],
    }
    assert [(routes.count, routes.total, routes.is_complete) for routes in article.paths] == [
        (1, 2.0, True),
        (2, 5.0, True),
    ]
    assert article.count == 3
    assert article.factored == ()


def test_costs(article):
    rows = {each.way: (each.passes, each.multiplications, each.additions, each.nontrivial) for each in article.cost}
    # by hand: e from a is 2·1, e from b is 2·1 + 3·1; the 1 of c and d is a known one
    assert rows == {
        "paths": (3, 3, 1, 0),
        "forward": (2, 3, 1, 0),
        "reverse": (1, 3, 1, 0),
        "elimination": (2, 3, 1, 0),
    }


def test_elimination(article):
    steps = [
        (step.node.name, [(row[0].name, row[1].name, *row[2:]) for row in step.products])
        for step in article.elimination
    ]
    assert steps == [
        ("d", [("b", "e", 3.0, 1.0, None, 3.0)]),
        ("c", [("a", "e", 2.0, 1.0, None, 2.0), ("b", "e", 2.0, 1.0, 3.0, 5.0)]),
    ]


def test_a_function_and_a_formula_say_the_same(article):
    def f(a, b):
        c = a + b
        d = b + 1
        e = c * d
        return e

    other = cr.explain(f, 2, 1)
    assert other.values == article.values
    assert other.derivatives == article.derivatives
    assert other.cost == article.cost


# -- paths that meet -----------------------------------------------------------------------------------


def test_nine_paths_factor():
    report = cr.explain(NINE, x=0.5)
    (routes,) = report.paths
    assert routes.count == len(routes.paths) == 9
    (factored,) = report.factored
    first, second = factored.segments
    assert [letter.name for letter in (*first.letters, *second.letters)] == list("αβγδεζ")
    assert (first.source.name, first.target.name, second.target.name) == ("x", "y", "z")
    for segment in factored.segments:
        assert sum(letter.value for letter in segment.letters) == pytest.approx(segment.value, rel=1e-15)
    products = [one.value * two.value for one, two in itertools.product(first.letters, second.letters)]
    assert sum(products) == pytest.approx(routes.total, rel=1e-14)
    assert factored.value == pytest.approx(report.derivatives["z", "x"], rel=1e-14)
    assert factored.power == (3, 2)
    assert factored.expanded_operations == (9, 8)
    assert factored.factored_operations == (1, 4)


def test_a_thousand_stages():
    report = cr.explain(stages, 1.0, n=1000)
    assert report.count == report.paths[0].count == 3**1000
    (factored,) = report.factored
    assert factored.power == (3, 1000)
    assert factored.factored_operations == (999, 2000)
    assert factored.expanded_operations == (999 * 3**1000, 3**1000 - 1)
    assert factored.value == pytest.approx(1.01**1000, rel=1e-11)
    assert report.derivatives["x_1000", "x"] == pytest.approx(1.01**1000, rel=1e-11)
    paths = report.paths[0].paths
    assert len(paths) == 20
    assert paths[0].product == pytest.approx(0.9**1000, rel=1e-11)
    assert not report.paths[0].is_complete
    lines = str(report).splitlines()
    assert any("3^1000 paths (478 digits: 1322…0001)" in line for line in lines)
    assert len(lines) < 140
    document = json.loads(report.to_json())
    assert document["path_count"] == str(3**1000)


def test_paths_beyond_what_python_prints():
    report = cr.explain(stages, 1.0, n=1400, paths=0)
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        count = json.loads(report.to_json())["path_count"]
        text = str(report)
    finally:
        sys.set_int_max_str_digits(before)
    assert count == digits(3**1400) == str(3**1400)
    assert "3^1400 paths (668 digits" in text


def test_runs_of_single_paths_are_one_letter():
    report = cr.explain("y = sin(exp(x)); y*y*cos(y) + y", x=0.3)
    (factored,) = report.factored
    assert [segment.count for segment in factored.segments] == [1, 3]
    assert factored.segments[0].target.name == "y"
    assert factored.power is None


def test_a_segment_with_many_paths_has_no_letters():
    terms = " + ".join(f"sin({k}*x)" for k in range(2, 20))
    report = cr.explain(f"y = {terms}; y**2 + cos(y)", x=0.1)
    (factored,) = report.factored
    assert [(segment.count, len(segment.letters)) for segment in factored.segments] == [(18, 0), (2, 2)]
    (derivative,) = report.derivatives.values()
    assert factored.value == pytest.approx(derivative, rel=1e-13)


def test_letters_go_on_with_numbers():
    report = cr.explain(stages, 1.0, n=9)
    letters = [letter.name for segment in report.factored[0].segments for letter in segment.letters]
    assert letters[23:26] == ["ω", "α₂", "β₂"]
    assert len(set(letters)) == 27


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1, None), (3, None), (4, (2, 2)), (12, None), (36, (6, 2)), (3**1000, (3, 1000)), (6**500, (6, 500)),
     (2**4 * 3**6, (108, 2)), (101**2, None), (2**10 * 3, None), (8, (2, 3))],
)  # fmt: skip
def test_powers(number, expected):
    assert power_of(number) == expected


# -- costs against counting by hand ----------------------------------------------------------------------


def counted_by_walking(graph, way):
    """Count multiplications and additions of sweeps over a scalar graph, one product at a time."""
    multiplications = additions = 0
    if way == "forward":
        starts, edges, ends = graph.inputs, graph.edges, ("source", "target")
    else:
        starts, edges, ends = graph.outputs, graph.edges[::-1], ("target", "source")
    for start in dict.fromkeys(starts):
        reached = {start}
        for edge in edges:
            here, there = (getattr(edge, end) for end in ends)
            if here in reached:
                multiplications += here is not start
                additions += there in reached
                reached.add(there)
    return multiplications, additions


@pytest.mark.parametrize(
    "text",
    [ARTICLE, NINE, "a*b*c + a/b", "sin(a)*b", "u = a*b; v = u*c; u*v + v", "a", "a + a*b + exp(a*b)"],
)
def test_costs_of_sweeps_and_paths(text):
    values = {name: 0.7 + k for k, name in enumerate(parse(text).variables)}
    report = cr.explain(text, **values)
    rows = cost_of(report)
    for way in ("forward", "reverse"):
        assert (rows[way].multiplications, rows[way].additions) == counted_by_walking(report.graph, way)
    paths = list(report.graph.paths())
    assert rows["paths"].passes == len(paths)
    assert rows["paths"].multiplications == sum(max(len(path.edges) - 1, 0) for path in paths)
    assert rows["paths"].additions == sum(
        report.graph.count_paths(source) - 1 for source in report.graph.inputs if report.graph.count_paths(source)
    )
    hard = [sum(edge.map.unit is None for edge in path.edges) for path in paths]
    assert rows["paths"].nontrivial == sum(max(count - 1, 0) for count in hard)
    assert rows["elimination"].multiplications == sum(len(step.products) for step in report.elimination)
    for (target, source), value in report.derivatives.items():
        assert value == pytest.approx(float(report.graph.derivative("reverse").outputs[
            [node.name for node in report.graph.inputs].index(source)].value)), target  # fmt: skip


def test_costs_of_several_outputs():
    def f(a, b):
        c = a * b
        d = c + a
        return c, d

    report = cr.explain(f, 2, 3)
    assert report.derivatives == {("c", "a"): 3.0, ("c", "b"): 2.0, ("d", "a"): 4.0, ("d", "b"): 2.0}
    rows = cost_of(report)
    for way in ("forward", "reverse"):
        assert (rows[way].multiplications, rows[way].additions) == counted_by_walking(report.graph, way)
    assert rows["forward"].passes == rows["reverse"].passes == 2
    assert rows["paths"].passes == 5
    assert rows["elimination"].multiplications == 2


def test_elimination_ends_with_the_derivatives():
    report = cr.explain(NINE, x=0.5)
    last = report.elimination[-1].products[-1]
    assert last[5] == pytest.approx(report.derivatives["z", "x"], rel=1e-14)
    assert len(report.elimination) == 9


# -- arrays --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    return cr.explain(perceptron, rng.normal(size=(3, 2)), rng.normal(size=3), rng.normal(size=2))


def test_a_perceptron(network):
    w, b, x = (network.values[name] for name in "wbx")
    slope = 1 - np.tanh(w @ x + b) ** 2
    output = network.graph.outputs[0].name
    np.testing.assert_allclose(network.derivatives[output, "b"], slope, rtol=1e-14)
    np.testing.assert_allclose(network.derivatives[output, "w"], np.outer(slope, x), rtol=1e-14)
    np.testing.assert_allclose(network.derivatives[output, "x"], slope @ w, rtol=1e-14)
    sweep = network.reverse[0].values
    np.testing.assert_allclose(sweep["z"], slope, rtol=1e-14)
    assert sweep["h"].shape == (3,)
    forward = network.forward[0]
    assert forward.name == "w[0, 0]"
    assert float(forward.steps[-1].value) == pytest.approx(slope[0] * x[0], rel=1e-14)


def test_edges_push_and_pull(network):
    rng = np.random.default_rng(1)
    for edge in network.edges:
        x_dot, y_bar = rng.normal(size=edge.source.shape), rng.normal(size=edge.target.shape)
        count = np.ndim(x_dot)
        partials = edge.partial if isinstance(edge.partial, float) else edge.partial.dense()
        np.testing.assert_allclose(edge.push(x_dot), np.tensordot(partials, x_dot, count), atol=1e-14)
        np.testing.assert_allclose(edge.pull(y_bar), np.tensordot(y_bar, partials, np.ndim(y_bar)), atol=1e-14)


def test_the_cost_of_a_perceptron(network):
    rows = cost_of(network)
    assert rows["forward"].passes == 6 + 3 + 2
    assert rows["reverse"].passes == 1
    # back through tanh 3 products, through z = v + b 6, to w 6, to x 6; the sum only repeats its seed
    assert rows["reverse"].multiplications == 3 + 6 + 6 + 6
    assert rows["reverse"].nontrivial == 6 + 6
    assert rows["paths"].passes == 3


def test_paths_of_arrays_add_up():
    report = cr.explain(lambda x: np.sum(np.exp(x) * x), np.array([0.1, 0.2, 0.3]))
    (routes,) = report.paths
    assert routes.count == 2
    (derivative,) = report.derivatives.values()
    np.testing.assert_allclose(routes.total, derivative, rtol=1e-14)


def test_a_vector_output_takes_one_reverse_pass_per_element():
    report = cr.explain(lambda x: x**2, np.array([1.0, 2.0, 3.0]))
    rows = cost_of(report)
    assert (rows["forward"].passes, rows["reverse"].passes) == (3, 3)
    assert [sweep.name for sweep in report.reverse] == [f"{report.graph.outputs[0].name}[{k}]" for k in range(3)]
    np.testing.assert_array_equal(next(iter(report.derivatives.values())), np.diag([2.0, 4.0, 6.0]))


def test_large_arrays_are_not_multiplied_out():
    report = cr.explain(lambda x: np.exp(x) * 2, np.zeros(5000))
    (routes,) = report.paths
    assert routes.total is None
    assert len(report.forward) == 8
    assert json.loads(report.to_json())["paths"][0]["paths"][0]["product"] is None
    assert "10,000" not in str(report)
    assert cost_of(report)["forward"].passes == 5000


def test_complex_numbers():
    report = cr.explain(lambda z: np.abs(z * z), 1 + 2j)
    (derivative,) = report.derivatives.values()
    assert derivative == pytest.approx(cr.grad(lambda z: np.abs(z * z))(1 + 2j))
    assert report.reverse[0].steps[-1].value == pytest.approx(derivative)
    assert "∂" in str(report)
    json.loads(report.to_json())


# -- edges of the domain ---------------------------------------------------------------------------------


def test_the_input_itself():
    report = cr.explain("x", x=3)
    assert report.derivatives == {("x", "x"): 1.0}
    assert report.count == 1
    assert "∂x/∂x" in str(report)


def test_no_dependence():
    report = cr.explain("y = x*z; 3 + 0*z", x=2, z=1)
    assert report.derivatives["b", "x"] == 0.0
    assert report.paths[0].count == 0


def test_a_path_that_is_not_taken_contributes_nothing():
    report = cr.explain("where(x > 0, sqrt(x), 0)", x=0)
    (value,) = report.derivatives.values()
    assert value == 0.0
    assert report.forward[0].steps[-1].value == 0.0
    assert report.factored == () or report.factored[0].value == 0.0


def test_what_is_not_finite_is_said():
    report = cr.explain("log(x)", x=-1)
    assert "a = log(x) is not finite." in str(report)
    document = json.loads(report.to_json())
    assert document["values"][1]["value"] == "nan"


def test_wrt_chooses():
    report = cr.explain(ARTICLE, a=2, b=1, wrt="b")
    assert list(report.derivatives.values()) == [5.0]
    by_keyword = cr.explain(stages, x=2.0, n=2, wrt=["x"])
    assert [node.name for node in by_keyword.graph.inputs] == ["x"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cr.explain("x", x=1, mode="some"), "mode 'some' is unknown"),
        (lambda: cr.explain("x", x=1, lang="fr"), "lang 'fr' is unknown"),
        (lambda: cr.explain("x", x=1, paths=-1), "paths is -1"),
        (lambda: cr.explain("x", x=1, wrt="y"), "names 'y'"),
        (lambda: cr.explain("x", x=1, wrt="x,x"), "twice"),
        (lambda: cr.explain("x*y", 1), "2 values are needed"),
        (lambda: cr.explain(stages, x=1.0, wrt="x"), "missing a required argument: 'n'"),
        (lambda: cr.explain(lambda s: s, "text"), "the function returned str"),
        (lambda: cr.explain(lambda x: 1.0, [1, 2]), "expected"),
    ],
)
def test_wrong_calls(call, message):
    if message == "expected":
        assert call().derivatives  # whole numbers in a list are numbers
        return
    with pytest.raises(cr.ChainruleError) as caught:
        call()
    assert message in str(caught.value)


def test_nothing_to_differentiate():
    with pytest.raises(ExpressionError, match="nothing to differentiate"):
        cr.explain(lambda x: 1.0, np.array([1, 2]))
    with pytest.raises(NotDifferentiableError, match="no real or complex number"):
        cr.explain("x > 2", x=3)


# -- files -----------------------------------------------------------------------------------------------


def test_json_holds_the_article(article):
    document = json.loads(article.to_json())
    assert {each["name"]: each["value"] for each in document["values"]} == article.values
    assert {each["source"] + each["target"]: each["partial"] for each in document["edges"]} == {
        "ac": 1.0, "bc": 1.0, "bd": 1.0, "ce": 2.0, "de": 3.0,
    }  # fmt: skip
    assert [
        {step["node"]: step["value"] for step in sweep["steps"]} for sweep in document["forward"] + document["reverse"]
    ] == [sweep.values for sweep in article.forward + article.reverse]
    assert [each["value"] for each in document["derivatives"]] == [2.0, 5.0]
    assert [[path["product"] for path in routes["paths"]] for routes in document["paths"]] == [[2.0], [2.0, 3.0]]
    assert [row["passes"] for row in document["cost"]] == [3, 2, 1, 2]
    assert math.prod(document["paths"][1]["paths"][1]["partials"]) == 3.0


def test_saving(article, tmp_path):
    article.save(tmp_path / "report.txt")
    article.save(str(tmp_path / "report.JSON"))
    assert (tmp_path / "report.txt").read_text(encoding="utf-8") == f"{article}\n"
    assert json.loads((tmp_path / "report.JSON").read_text(encoding="utf-8"))["format"] == "chainrule-explanation"
    with pytest.raises(OutputError, match=r"\.txt and \.json"):
        article.save(tmp_path / "report.pdf")
    with pytest.raises(OutputError, match="cannot write"):
        article.save(tmp_path / "missing" / "report.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.JSON", "report.txt"]


def test_a_report_does_not_change(article):
    assert str(article) == str(article)
    assert cr.explain(ARTICLE, a=2, b=1).to_json() == article.to_json()


def test_an_elimination_that_grows_too_large_is_left_out(monkeypatch):
    monkeypatch.setattr("chainrule.explanation.cost._MOST", 5)
    report = cr.explain(NINE, x=0.5, mode="eliminate")
    assert "elimination" not in cost_of(report)
    assert report.elimination == ()
    assert "too many products" in str(report)


def test_a_tangle():
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 60, (600, 2))

    def tangle(*xs):
        nodes = list(xs)
        for one, two in pairs:
            nodes.append(nodes[-1 - one % len(nodes)] * nodes[-1 - two % len(nodes)])
        return nodes[-20:]

    report = cr.explain(tangle, *np.ones(30), paths=2)
    rows = cost_of(report)
    assert report.count == rows["paths"].passes == report.graph.count_paths() > 10**5
    for way in ("forward", "reverse"):
        assert (rows[way].multiplications, rows[way].additions) == counted_by_walking(report.graph, way)
    jacobian = cr.jacobian(lambda xs: tangle(*xs))(np.ones(30))
    found = [report.derivatives[y.name, x.name] for y in report.graph.outputs for x in report.graph.inputs]
    np.testing.assert_allclose(np.reshape(found, (20, 30)), np.stack(jacobian))
    assert len(str(report).splitlines()) < 200


def test_millions_of_paths_between_arrays_are_not_sorted():
    def determinant(a):
        a, d = a.copy(), 1.0
        for k in range(4):
            d = d * a[k, k]
            for i in range(k + 1, 4):
                a[i, k:] -= a[i, k] / a[k, k] * a[k, k:]
        return d

    report = cr.explain(determinant, np.eye(4) + 0.1)
    (routes,) = report.paths
    assert routes.count > 500_000
    assert not routes.are_largest
    assert f"{routes.count:,} paths   the first 20" in str(report)


def test_complex_arguments_are_written_out():
    assert "at z = 1+2j" in str(cr.explain("z*z", z=1 + 2j))


def test_edges_are_spelled_with_the_graphs_names():
    def f(x, a):
        b = np.linalg.solve(a, np.outer(x, x))
        c = b @ x
        inverse = np.linalg.inv(a)
        return c @ c + np.sum(inverse)

    graph = cr.trace(f, np.arange(3.0), np.eye(3) * 2)
    words = {(edge.formula, edge.backward_formula) for edge in graph.edges}
    assert words >= {
        ("2 (c @ ·)", "2 (c·)"),
        ("· @ x", "np.outer(·, x)"),
        ("solve(a, ·)", "solve(aᵀ, ·)"),
        ("-solve(a, · @ b)", "-solve(aᵀ, ·) @ bᵀ"),
        ("-inverse @ · @ inverse", "-inverseᵀ @ · @ inverseᵀ"),
    }
