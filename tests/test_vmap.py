"""vmap: many examples at once equal one after another, alone and under other transforms."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import zoo
from chainrule import tree
from chainrule.errors import DtypeError, ShapeError

RNG = np.random.default_rng(0)


def by_hand(f: Any, *args: Any) -> Any:
    """Apply f to one example after another and stack the results."""
    count = len(tree.flatten(args[0])[0][0])
    rows = [f(*tree.map_leaves(lambda leaf, k=k: leaf[k], args)) for k in range(count)]
    return tree.map_leaves(lambda *parts: np.stack(parts), *rows)


def assert_same(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    (a, one), (b, two) = tree.flatten(found), tree.flatten(expected)
    assert one == two
    for x, y in zip(a, b, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def stacked_arguments(case: Any) -> Any:
    """Return three examples of a case's arguments: floating-point numbers near those given, others repeated."""

    def three(leaf: Any) -> Any:
        leaf = np.asarray(leaf)
        rows = np.stack([leaf] * 3)
        if leaf.dtype.kind in "fc":
            rows = (rows * (1 + 0.01 * np.arange(3).reshape(3, *[1] * leaf.ndim))).astype(leaf.dtype)
        return rows

    return tree.map_leaves(three, case.args)


BATCHED = [case for case in zoo.CASES if all(isinstance(a, np.ndarray | float) for a in tree.flatten(case.args)[0])]


@pytest.mark.parametrize("case", BATCHED, ids=lambda case: case.name)
def test_the_zoo(case: Any) -> None:
    args = stacked_arguments(case)
    assert_same(cr.vmap(case.f)(*args), by_hand(case.f, *args), 1e-4 if "32" in case.name else 1e-11)


def quadratic(a: Any, x: Any) -> Any:
    return x @ a @ x


def test_axes() -> None:
    a, xs = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 5))
    expected = np.array([quadratic(a, x) for x in xs.T])
    assert_same(cr.vmap(quadratic, in_axes=(None, 1))(a, xs), expected)
    assert_same(cr.vmap(quadratic, in_axes=(None, -1))(a, xs), expected)
    rows = cr.vmap(lambda x: a @ x, in_axes=1, out_axes=1)(xs)
    assert_same(rows, a @ xs)


def test_structures() -> None:
    @dataclasses.dataclass
    class Layer:
        weight: Any
        bias: Any

    def f(layer: Layer, x: dict[str, Any]) -> Any:
        return {"y": np.tanh(layer.weight @ x["x"] + layer.bias), "sum": np.sum(x["x"])}

    layer, xs = Layer(RNG.normal(size=(2, 3)), RNG.normal(size=2)), {"x": RNG.normal(size=(4, 3))}
    found = cr.vmap(f, in_axes=(None, {"x": 0}))(layer, xs)
    for k in range(4):
        one = f(layer, {"x": xs["x"][k]})
        assert_same({name: value[k] for name, value in found.items()}, one)
    swapped = cr.vmap(f, in_axes=(None, 0), out_axes={"y": 1, "sum": 0})(layer, xs)
    assert_same(swapped["y"], found["y"].T)


def test_results_that_do_not_depend_on_the_example() -> None:
    assert_same(cr.vmap(lambda x: (x, 2.0, np.arange(3)))(np.ones(2)),
                (np.ones(2), np.full(2, 2.0), np.tile(np.arange(3), (2, 1))))  # fmt: skip


def test_integers_and_strings() -> None:
    def f(table: Any, k: Any, how: str) -> Any:
        return table[k] * (2 if how == "twice" else 1)

    table = RNG.normal(size=5)
    assert_same(cr.vmap(f, in_axes=(None, 0, None))(table, np.array([3, 0, 3]), "twice"), 2 * table[[3, 0, 3]])


def test_examples_that_take_other_branches() -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(x)
        y = x
        while y > 1:
            y = y / 2
        return y * x if x > 0 else -x

    xs = np.array([0.5, 3.0, -1.0, 7.0, 0.25, 100.0, -3.0, 3.5])
    assert_same(cr.vmap(f)(xs), by_hand(lambda x: np.float64(f(x)), xs))
    calls.clear()
    assert_same(cr.vmap(cr.grad(f))(xs), np.array([cr.grad(f)(x) for x in xs]))


@pytest.mark.parametrize("outer", [cr.jit, lambda f: f], ids=["jit", "plain"])
def test_under_other_transforms(outer: Any) -> None:
    w, xs = RNG.normal(size=3), RNG.normal(size=(5, 3))

    def f(w: Any, x: Any) -> Any:
        return np.tanh(w @ x) ** 2

    per_example = outer(cr.vmap(cr.grad(f), in_axes=(None, 0)))
    expected = np.stack([cr.grad(f)(w, x) for x in xs])
    assert_same(per_example(w, xs), expected)
    total = outer(cr.grad(lambda w, xs: np.sum(cr.vmap(f, in_axes=(None, 0))(w, xs))))
    assert_same(total(w, xs), expected.sum(axis=0))
    both = outer(cr.vmap(cr.jacobian(lambda x: np.sin(x) * w)))
    assert_same(both(xs), np.stack([np.diag(np.cos(x) * w) for x in xs]))
    nested = outer(cr.vmap(cr.vmap(np.dot, in_axes=(0, None)), in_axes=(None, 0)))
    assert_same(nested(xs, xs), xs @ xs.T)


def test_branches_under_jit() -> None:
    fast = cr.jit(cr.vmap(lambda x: x**2 if x > 0 else -x))
    for _ in range(3):
        xs = RNG.normal(size=6)
        assert_same(fast(xs), np.where(xs > 0, xs**2, -xs))


def test_linear_algebra() -> None:
    matrices, sides = RNG.normal(size=(4, 3, 3)) + 3 * np.eye(3), RNG.normal(size=(4, 3))
    assert_same(cr.vmap(np.linalg.solve)(matrices, sides), by_hand(np.linalg.solve, matrices, sides))
    assert_same(cr.vmap(cr.grad(np.linalg.det))(matrices), by_hand(cr.grad(np.linalg.det), matrices), 1e-10)


def test_errors() -> None:
    with pytest.raises(ShapeError, match="2 in argument 0, 3 in argument 1"):
        cr.vmap(np.add)(np.ones(2), np.ones(3))
    with pytest.raises(ShapeError, match=r"argument 0 of shape \(2,\) has no axis 1"):
        cr.vmap(np.sin, in_axes=1)(np.ones(2))
    with pytest.raises(ShapeError, match="2 entries, but 1 arguments"):
        cr.vmap(np.sin, in_axes=(0, 0))(np.ones(2))
    with pytest.raises(ShapeError, match="None for every argument"):
        cr.vmap(np.sin, in_axes=None)(np.ones(2))
    with pytest.raises(DtypeError, match="give it None"):
        cr.vmap(lambda x, how: x)(np.ones(2), "how")
    with pytest.raises(ShapeError, match="no examples"):
        cr.vmap(np.sin)(np.ones((0, 2)))
