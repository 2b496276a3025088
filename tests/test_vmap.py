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


# -- everything, beside a Python loop ------------------------------------------------------------------

XS, W = np.random.default_rng(1).normal(size=(4, 3)), np.random.default_rng(2).normal(size=(3, 3))
PLACES = np.array([0, 2, 1, 0])


def in_a_loop(f: Any, args: Any, axes: Any, out: Any = 0) -> Any:
    """Apply f to one example after another, these lying along `axes` of the arguments."""
    count = next(a.shape[axis] for a, axis in zip(args, axes, strict=True) if axis is not None)
    rows = [
        f(*(a if axis is None else np.take(a, k, axis) for a, axis in zip(args, axes, strict=True)))
        for k in range(count)
    ]
    return tree.map_leaves(lambda *parts: np.stack(parts, out), *rows)


def layer(x: Any) -> Any:
    return np.tanh(W @ x)


def energy(x: Any) -> Any:
    return np.sum(layer(x) ** 2)


def assigned(x: Any, v: Any) -> Any:
    y = np.zeros_like(x)
    y[0] = v
    y[1:] = x[:2] * v
    y[x > 0] = 1.0
    y += x
    return y


def put(x: Any, k: Any) -> Any:
    y = np.copy(x)
    y[k] = 5.0 * y[0]
    return y


def newton(a: Any) -> Any:
    x = 1.0
    while abs(x * x - a) > 1e-10:
        x = x - (x * x - a) / (2 * x)
    return x


def counted(x: Any) -> Any:
    y = x * 0
    for k in range(int(np.floor(abs(x[0]) * 3))):
        y = y + np.sin(x) * k
    return y


@cr.custom_jvp
def sine(x: Any) -> Any:
    return np.sin(x)


@sine.defjvp
def _sine_rule(primals: Any, tangents: Any) -> Any:
    return sine(primals[0]), 2 * np.cos(primals[0]) * tangents[0]


@cr.custom_vjp
def scaled_sine(x: Any, k: Any) -> Any:
    return np.sin(x) * k


scaled_sine.defvjp(lambda x, k: (np.sin(x) * k, (x, k)), lambda kept, y_bar: (3 * y_bar * kept[1], None))

GROW = lambda c: c * 1.5
BELOW = lambda c: np.sum(c**2) < 10
LOOPED: dict[str, tuple[Any, ...]] = {
    "derivatives: grad": (cr.grad(energy), (XS,), (0,)),
    "derivatives: hessian": (cr.hessian(energy), (XS,), (0,)),
    "derivatives: jacobian forward": (cr.jacobian(layer, mode="forward"), (XS,), (0,)),
    "derivatives: jacobian eliminate": (cr.jacobian(layer, mode="eliminate"), (XS,), (0,)),
    "derivatives: jvp": (lambda x, t: cr.jvp(layer, (x,), (t,)), (XS, XS[::-1]), (0, 0)),
    "derivatives: jvp of tangents": (lambda x, t: cr.jvp(layer, (x,), (t,))[1], (XS[0], XS), (None, 0)),
    "derivatives: vjp of cotangents": (lambda x, t: cr.vjp(layer, x)[1](t)[0], (XS[0], XS), (None, 0)),
    "derivatives: hvp": (lambda x, t: cr.hvp(energy, (x,), (t,)), (XS, XS.T), (0, 1)),
    "cond: batched predicate": (lambda x: cr.cond(x[0] > 0, np.sin, lambda x: x**2, x), (XS,), (0,)),
    "cond: predicate alone": (
        lambda p, x: cr.cond(p > 0, np.sin, lambda x: x**2, x), (XS[:, 0], XS[0]), (0, None)),
    "cond: grad": (cr.grad(lambda x: np.sum(cr.cond(x[0] > 0, np.sin, lambda x: x**2, x))), (XS,), (0,)),
    "while: batched condition": (lambda x: cr.while_loop(BELOW, GROW, x), (XS,), (0,)),
    "while: batched limit": (
        lambda n, x: cr.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * x), (0, x)), (PLACES, XS), (0, 0)),
    "while: jvp": (lambda x: cr.jvp(lambda x: cr.while_loop(BELOW, GROW, x), (x,), (x,)), (XS,), (0,)),
    "fori: batched bound": (lambda n, x: cr.fori_loop(0, n, lambda k, c: c * 1.5 + k, x), (PLACES, XS), (0, 0)),
    "scan: elements": (lambda x: cr.scan(lambda c, z: (c * z, c + z), 1.0, x), (XS,), (0,)),
    "scan: carry": (lambda c, x: cr.scan(lambda c, z: (c * z, c + z), c, x), (XS[:, 0], XS[0]), (0, None)),
    "scan: captured": (
        lambda w, x: cr.scan(lambda c, z: (c * z * w, c + z), 1.0, x), (XS[:, 0], XS[0]), (0, None)),
    "scan: grad": (cr.grad(lambda x: cr.scan(lambda c, z: (np.sin(c * z), c), 1.0, x)[0]), (XS,), (0,)),
    "checkpoint": (cr.grad(lambda x: np.sum(cr.checkpoint(layer)(x))), (XS,), (0,)),
    "branches: int": (counted, (XS,), (0,)),
    "branches: grad": (cr.grad(lambda x: np.sum(x**2) if x[0] > 0 else -np.sum(x)), (XS,), (0,)),
    "branches: newton": (cr.grad(newton), (np.abs(XS[:, 0]) + 0.1,), (0,)),
    "branches: mask": (lambda x: np.sum(x[x > 0] ** 2), (XS,), (0,)),
    "index: batched": (lambda x, k: x[k], (XS, PLACES), (0, 0)),
    "index: of one array": (lambda x, k: x[k, :], (W, PLACES), (None, 0)),
    "index: second axis": (lambda x, k: x[:, k] * 2, (W, PLACES), (None, 0)),
    "index: arrays": (lambda x, k: x[k], (XS, np.tile(PLACES, (4, 1))), (0, 1)),
    "index: grad": (lambda x, k: cr.grad(lambda x: x[k] ** 2)(x), (XS, PLACES), (0, 0)),
    "assignment": (assigned, (XS, XS[:, 0]), (0, 0)),
    "assignment: values alone": (assigned, (XS[0], XS[:, 0]), (None, 0)),
    "assignment: places": (put, (XS[0], PLACES), (None, 0)),
    "order": (lambda x: (np.sort(x), x[np.argsort(x)], np.argmax(x), np.median(x)), (XS,), (0,)),
    "sums": (lambda x: (np.cumsum(x)[::-1], np.cumprod(x), np.prod(x)), (XS,), (0,)),
    "joining": (lambda x: (np.concatenate([x, np.ones(2)]), np.stack([np.ones(3), x])), (XS,), (0,)),
    "products": (lambda x: (np.einsum("i,ij,j->", x, W, x), np.outer(x, x), np.convolve(x, x)), (XS,), (0,)),
    "solve": (lambda x: (np.linalg.solve(W, x), np.linalg.solve(np.diag(x), W)), (XS,), (0,)),
    "tables": (lambda x: (np.searchsorted(np.arange(3.0), x), np.interp(x, np.arange(3.0), W[0])), (XS,), (0,)),
    "nested": (lambda x: cr.vmap(lambda a, b: a * b, in_axes=(None, 0), out_axes=1)(x, x), (XS,), (0,)),
    "nested: closures": (lambda x: cr.vmap(lambda a: cr.vmap(lambda b: a * b + np.sum(x))(x))(x), (XS,), (0,)),
    "nested: branches": (
        lambda x: cr.vmap(lambda a: (a**2 if a > 0 else -a) if x[0] > 0 else a)(x), (XS,), (0,)),
    "nested: grad": (cr.grad(lambda x: np.sum(cr.vmap(lambda a: a**3)(x))), (XS,), (0,)),
    "jit inside": (lambda x: cr.jit(layer)(x), (XS,), (0,)),
    "custom: jvp": (lambda x: cr.jvp(sine, (x,), (x,)), (XS,), (0,)),
    "custom: grad": (cr.grad(lambda x: np.sum(sine(x)) if x[0] > 0 else np.sum(x)), (XS,), (0,)),
    "custom: vjp": (
        lambda x, k: cr.grad(lambda x: np.sum(scaled_sine(x, k)))(x), (XS, XS[:, 0]), (0, 0)),
    "dtypes": (lambda x, k, b: (x * 2.5, k * 2, ~b, x * 1j), (XS.astype("f"), PLACES, PLACES > 0), (0, 0, 0)),
    "axes": (lambda x, w: w @ x, (XS.T, W), (-1, None), 1),
    "axes: last": (lambda x: np.outer(x, x), (XS,), (0,), -1),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPED)
def test_beside_a_loop(name: str) -> None:
    f, args, axes, *out = LOOPED[name]
    expected = in_a_loop(f, args, axes, *out)
    many = cr.vmap(f, axes, *out)
    assert_same(many(*args), expected, 1e-6 if name == "dtypes" else 1e-10)
    assert_same(cr.jit(many)(*args), expected, 1e-6 if name == "dtypes" else 1e-10)


OUTSIDE = {
    "branches": lambda x: x[0] ** 2 if x[0] > 0 else np.sum(x),
    "cond": lambda x: np.sum(cr.cond(x[0] > 0, lambda x: x**2, lambda x: x, x)),
    "scan": lambda x: cr.scan(lambda c, z: (np.sin(c * z), c), 1.0, x)[0],
    "assignment": lambda x: np.sum(assigned(x, x[1]) ** 2),
    "custom": lambda x: np.sum(sine(x) * x),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_derivatives_outside(name: str) -> None:
    f = OUTSIDE[name]

    def total(xs: Any) -> Any:
        return np.sum(cr.vmap(f)(xs) ** 2)

    def by_loop(xs: Any) -> Any:
        return sum(f(x) ** 2 for x in xs)

    expected = cr.grad(by_loop)(XS)
    assert_same(cr.grad(total)(XS), expected)
    assert_same(cr.jit(cr.grad(total))(XS), expected)
    assert_same(cr.jvp(total, (XS,), (W[[0, 1, 2, 0]],))[1], np.sum(expected * W[[0, 1, 2, 0]]))
    assert_same(cr.hvp(total, (XS,), (XS,)), cr.hvp(by_loop, (XS,), (XS,)), 1e-10)
    if name != "custom":
        assert_same(cr.jacobian(total, mode="eliminate")(XS), expected)


def random_program(rng: np.random.Generator) -> Any:
    """Return a function of two vectors and a matrix, put together from random operations."""
    unary = [np.sin, np.tanh, np.cumsum, np.sort, lambda v: v[::-1], lambda v: v - np.mean(v), lambda v: v[[2, 0, 0]],
             lambda v: np.where(v > 0, v, 0.1 * v), lambda v: v * (2.0 if v[0] > 0 else -1.0),
             lambda v: cr.scan(lambda c, z: (np.sin(c + z), c), v[0], v)[1], lambda v: assigned(v, v[2])]  # fmt: skip
    binary = [np.add, np.multiply, np.maximum, lambda a, b: a / (1 + b * b), lambda a, b: np.outer(a, b)[1],
              lambda a, b: np.stack([a, b]).T @ np.array([0.5, 2.0])]  # fmt: skip
    steps = []
    for count in range(3, 9):
        if rng.random() < 0.5:
            steps.append((unary[rng.integers(len(unary))], rng.integers(count, size=1)))
        else:
            steps.append((binary[rng.integers(len(binary))], rng.integers(count, size=2)))

    def f(a: Any, b: Any, m: Any) -> Any:
        values = [a, b, m @ a]
        for step, places in steps:
            values.append(step(*(values[k] for k in places)))
        return np.sum(np.tanh(values[-1])) + np.sum(values[-2] * b)

    return f


@pytest.mark.parametrize("seed", range(20))
def test_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    f = random_program(rng)
    axes = [None if rng.random() < 0.3 else int(rng.integers(-2, 2)) for _ in range(2)]
    axes += [None if rng.random() < 0.5 else int(rng.integers(0, 3))]
    if all(axis is None for axis in axes):
        axes[0] = 0
    vectors = [rng.normal(size=3) if axis is None else np.moveaxis(rng.normal(size=(4, 3)), 0, axis)
               for axis in axes[:2]]  # fmt: skip
    matrix = rng.normal(size=(3, 3)) if axes[2] is None else np.moveaxis(rng.normal(size=(4, 3, 3)), 0, axes[2])
    args = (*vectors, matrix)
    whole = cr.value_and_grad(f, argnums=(0, 1, 2))
    expected = in_a_loop(whole, args, axes)
    found = cr.vmap(whole, tuple(axes))(*args)
    assert_same(found, expected, 1e-10)
    if seed < 5:
        assert_same(cr.jit(cr.vmap(whole, tuple(axes)))(*args), expected, 1e-10)
    total = cr.grad(lambda *args: np.sum(cr.vmap(f, tuple(axes))(*args)), argnums=(0, 1, 2))(*args)
    for one, each, axis in zip(total, found[1], axes, strict=True):
        assert_same(one, each.sum(axis=0) if axis is None else np.moveaxis(each, 0, axis), 1e-10)


# -- axes and results ----------------------------------------------------------------------------------


def test_axes_of_structures() -> None:
    assert_same(cr.vmap(lambda p: p["a"] * p["b"][0], in_axes=({"a": 1, "b": 0},))({"a": XS.T, "b": [XS]}), XS * XS)
    found = cr.vmap(lambda x: {"a": x, "b": (x, np.sum(x))}, out_axes={"a": 1, "b": (-1, 0)})(XS)
    assert_same(found, {"a": XS.T, "b": (XS.T, XS.sum(axis=1))})
    assert_same(cr.vmap(lambda x: x * 2, in_axes=np.int64(1), out_axes=np.int64(1))(XS), XS * 2)
    assert_same(cr.vmap(lambda x, k=1: x * k)(XS, k=3), XS * 3)  # keyword arguments are common to all


def test_results_that_are_returned_once() -> None:
    def f(x: Any, w: Any) -> Any:
        return x * w, {"w": 2 * w, "three": 3.0}

    for transform in (lambda f: f, cr.jit):
        found = transform(cr.vmap(f, in_axes=(0, None), out_axes=(0, None)))(XS, W[0])
        assert_same(found, (XS * W[0], {"w": 2 * W[0], "three": np.float64(3.0)}))
    total = cr.grad(lambda w: np.sum(cr.vmap(f, in_axes=(0, None), out_axes=(0, None))(XS, w)[1]["w"]))
    assert_same(total(W[0]), np.full(3, 2.0))
    with pytest.raises(ShapeError, match=r"out_axes is None for a result at \[1\] that depends on the example"):
        cr.vmap(lambda x: (1.0, x), out_axes=None)(XS)
    with pytest.raises(ShapeError, match="depends on the example"):
        cr.vmap(lambda x: 1.0 if x[0] > 0 else 2.0, out_axes=None)(XS)


@pytest.mark.parametrize("f", [lambda x, w: x, lambda x, w: w, lambda x, w: w * 2, lambda x, w: x.reshape(3, 1),
                               lambda x, w: x[::-1], lambda x, w: (x, x)])  # fmt: skip
def test_results_share_no_memory(f: Any) -> None:
    xs, w = XS.copy(), W[0].copy()
    leaves = tree.flatten(cr.vmap(f, in_axes=(0, None), out_axes=1)(xs, w))[0]
    for k, leaf in enumerate(leaves):
        assert leaf.flags.writeable
        assert not any(np.shares_memory(leaf, other) for other in (xs, w, *leaves[:k]))


def test_errors_name_the_axes_and_arguments() -> None:
    with pytest.raises(ShapeError, match="out_axes asks for axis 5 of a result that has 2 axes"):
        cr.vmap(layer, out_axes=5)(XS)
    with pytest.raises(ShapeError, match="in_axes must be an axis, None or a tuple"):
        cr.vmap(layer, in_axes="rows")(XS)
    with pytest.raises(ShapeError, match="in_axes holds True"):
        cr.vmap(layer, in_axes=(True,))(XS)
    with pytest.raises(ShapeError, match="out_axes .* does not fit the structure"):
        cr.vmap(lambda x: (x, x), out_axes=(0, 0, 0))(XS)
    out = np.zeros(3)

    def store(weights: Any) -> Any:
        out[:] = weights["w"]
        return weights["w"]

    with pytest.raises(cr.ChainruleError, match=r"the traced value .weights\['w'\]."):
        cr.vmap(store)({"w": XS})
    with pytest.raises(cr.ChainruleError, match="chainrule.cond or np.where"):  # in a loop that is traced once
        cr.vmap(lambda x: cr.scan(lambda c, z: (c if c > 0 else -c, c), x[0], x)[0])(XS)
