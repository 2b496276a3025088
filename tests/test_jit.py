"""jit: the same results as without it, whatever the function does."""

from __future__ import annotations

import copy
import functools
import gc
import itertools
import pickle
import types
import warnings
import weakref
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import chainrule as cr
from chainrule import dispatch, tree
from chainrule.dispatch import Jitted
from chainrule.errors import DtypeError
from zoo import CASES, COMPLEX, HOLOMORPHIC, Case

TOLERANCE = 1e-12  # relative to the largest element: sums in another order, functions of the C library


def same(found: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    """Structure, kind of object, dtype, shape, value."""
    (one, structure), (two, wanted) = tree.flatten(found), tree.flatten(expected)
    assert structure == wanted
    size = max((np.max(np.abs(leaf), initial=0.0) for leaf in two if np.asarray(leaf).dtype.kind in "fc"), default=0.0)
    for a, b in zip(one, two, strict=True):
        assert type(a) is type(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * size if np.isfinite(size) else 0.0)


def counted(f: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[[], int]]:
    """Return the function, and what tells how often it has been run by Python."""
    counter = itertools.count()  # not among what jit watches

    def counting(*args: Any, **kwargs: Any) -> Any:
        next(counter)
        return f(*args, **kwargs)

    return counting, lambda: int(repr(counter)[6:-1])


def variants(f: Jitted) -> int:
    return len(f.inspect().variants)


# -- functions and their derivatives -----------------------------------------------------------------------

ALGEBRAIC = [case for case in CASES if case.name not in COMPLEX - HOLOMORPHIC]


def places(case: Case) -> tuple[int, ...]:
    """The arguments of real or complex numbers."""
    return tuple(
        k for k, arg in enumerate(case.args) if all(np.asarray(x).dtype.kind in "fc" for x in tree.flatten(arg)[0])
    )


def as_arrays(case: Case) -> tuple[Any, ...]:
    """The arguments with NumPy scalars for Python floats, which a derivative makes of them too."""
    return tuple(tree.map_leaves(lambda x: np.float64(x) if type(x) is float else x, arg) for arg in case.args)


def twice(f: Callable[..., Any], *args: Any) -> None:
    """Compiled as plain, at the first call and when the compiled code runs again, without Python."""
    g, calls = counted(f)
    fast = cr.jit(g)
    expected = f(*args)
    same(fast(*args), expected)
    before = calls()
    same(fast(*args), expected)
    assert calls() == before


@pytest.mark.parametrize("case", CASES, ids=str)
def test_functions(case: Case) -> None:
    twice(case.f, *case.args)


@pytest.mark.parametrize("case", ALGEBRAIC, ids=str)
def test_jacobians(case: Case) -> None:
    args = as_arrays(case)
    for mode in ("forward", "reverse"):
        twice(cr.jacobian(case.f, places(case), mode=mode), *args)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_vector_products(case: Case) -> None:
    chosen, args = places(case), as_arrays(case)

    def both(*args: Any) -> Any:
        def f(*some: Any) -> Any:
            passed = list(args)
            for k, arg in zip(chosen, some, strict=True):
                passed[k] = arg
            return case.f(*passed)

        some = tuple(args[k] for k in chosen)
        y, pull = cr.vjp(f, *some)
        return y, pull(y), cr.jvp(f, some, some)[1]

    twice(both, *args)


def is_scalar(case: Case) -> bool:
    return isinstance(case.f(*case.args), float | np.floating)


@pytest.mark.parametrize("case", [case for case in CASES if is_scalar(case)], ids=str)
def test_hessians(case: Case) -> None:
    twice(cr.hessian(case.f, places(case)), *as_arrays(case))


@pytest.mark.parametrize("case", CASES[12::4], ids=str)
def test_single_precision(case: Case) -> None:
    def narrow(leaf: Any) -> Any:
        kind = np.asarray(leaf).dtype.kind
        return np.asarray(leaf).astype({"f": np.float32, "c": np.complex64}[kind])[()] if kind in "fc" else leaf

    args = tuple(tree.map_leaves(narrow, arg) for arg in as_arrays(case))
    same(cr.jit(case.f)(*args), case.f(*args), 2e-5)


# -- composition -------------------------------------------------------------------------------------------


def bumpy(x: Any) -> Any:
    return np.sum(np.sin(x) * np.exp(-x * x))


X = np.linspace(-1.0, 2.0, 7)


def test_orders_of_composition() -> None:
    expected = cr.grad(bumpy)(X)
    for f in (
        cr.jit(cr.grad(bumpy)),
        cr.grad(cr.jit(bumpy)),
        cr.jit(cr.grad(cr.jit(bumpy))),
        cr.jit(cr.jit(cr.grad(bumpy))),
    ):
        same(f(X), expected)
        same(f(X + 1), cr.grad(bumpy)(X + 1))
    same(cr.jit(cr.jacobian(cr.grad(cr.jit(bumpy))))(X), cr.hessian(bumpy)(X))
    same(cr.hessian(cr.jit(bumpy))(X), cr.hessian(bumpy)(X))
    same(cr.jvp(cr.jit(bumpy), (X,), (X,)), cr.jvp(bumpy, (X,), (X,)))


def test_inside_a_traced_function() -> None:
    inner = cr.jit(lambda a, b: np.tanh(a) * b)

    def f(x: Any) -> Any:
        return np.sum(inner(x, 2.0) + inner(x * x, x))

    same(cr.grad(f)(X), cr.grad(lambda x: np.sum(np.tanh(x) * 2.0 + np.tanh(x * x) * x))(X))
    same(cr.jit(f)(X), f(X))
    graph = cr.trace(f, X)
    assert "tanh" in {node.op for node in graph.nodes}


def test_values_of_an_outer_trace_in_a_closure() -> None:
    """The derivative goes through what the compiled function closes over."""

    def f(x: Any) -> Any:
        return cr.jit(lambda y: x * y * y)(3.0)

    assert cr.grad(f)(2.0) == 9.0
    assert cr.jit(cr.grad(f))(2.0) == 9.0
    assert cr.grad(lambda x: cr.grad(cr.jit(lambda y: x * y * y))(3.0))(2.0) == 6.0
    assert cr.grad(lambda x: cr.jit(lambda y: x * 2.0)(1.0))(5.0) == 2.0
    assert cr.jit(f)(2.0) == 18.0


def test_a_decorated_derivative_is_compiled_once() -> None:
    g, calls = counted(bumpy)
    fast = cr.jit(cr.value_and_grad(g))
    for k in range(5):
        same(fast(X + k), cr.value_and_grad(bumpy)(X + k))
    assert calls() == 2  # the second trace looks whether the function does the same twice


# -- arguments and results ---------------------------------------------------------------------------------

Pair = namedtuple("Pair", "left right")


def test_structures() -> None:
    def f(tree_: Any, *, scale: Any = 1.0, flag: bool = False) -> Any:
        pair, rest = tree_["pair"], tree_["rest"]
        y = pair.left * scale + rest[0]
        return {"y": y, "none": None, "pair": Pair(y if flag else -y, [rest[1], 2, "text"])}

    args = {"pair": Pair(X, 1.5), "rest": [2.0, np.float32(3.0), None]}
    fast = cr.jit(f)
    for kwargs in ({}, {"scale": 2.5}, {"scale": X, "flag": True}, {"flag": False}):
        for _ in range(2):
            found, expected = fast(args, **kwargs), f(args, **kwargs)
            assert found["pair"].right[1:] == [2, "text"]
            same({**found, "pair": found["pair"][0]}, {**expected, "pair": expected["pair"][0]})
            same(found["pair"].right[0], expected["pair"].right[0])


USES: list[Any] = [
    lambda x: x * 2,
    lambda x: x + 0.1,
    lambda x: np.multiply(x, np.float32(0.5)),
    lambda x: np.sin(1.0 * x),
    lambda x: x == 2,
    lambda x: (x, x + x),
    lambda x: np.sum(x),
    lambda x: [np.where(x, 1.0, x)],
]


@pytest.mark.parametrize(
    "value",
    [2.0, 3, True, False, 1 + 2j, np.float32(2), np.float64(2), np.int64(3), np.int32(3), np.uint8(3), np.bool_(True),
     np.float16(2), np.complex64(1j), np.ones(2, "f"), np.arange(3), np.array(2.0), np.array([True, False]),
     np.zeros((0, 3)), np.ones(3, ">f8"), np.ones((2, 3), order="F"), np.arange(8.0)[::-2], np.ones((3, 1, 2)).T,
     np.broadcast_to(np.float64(3), (4,)), np.ones(2, "longdouble"), np.array([1, 2], "uint64"), np.array([1j])],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}-{getattr(value, 'shape', '')}",
)  # fmt: skip
def test_kinds_of_arguments(value: Any) -> None:
    for f in USES:
        fast = cr.jit(f)
        for _ in range(2):
            found, expected = fast(value), f(value)
            found, expected = (
                tree.map_leaves(lambda y: y[()] if isinstance(y, np.ndarray) else y, each) for each in (found, expected)
            )  # where NumPy has arrays without axes, compiled code has scalars
            if isinstance(expected, tuple) and isinstance(value, np.ndarray) and value.dtype.byteorder == ">":
                found, expected = (
                    tuple(np.asarray(x, float) for x in found),
                    tuple(np.asarray(x, float) for x in expected),
                )
            if isinstance(value, bool) and isinstance(expected, np.bool_ | bool):
                found, expected = bool(found), bool(expected)
            same(found, expected, 2e-3 if "16" in str(getattr(value, "dtype", "")) else 1e-6)


def test_float32_stays_beside_python_numbers() -> None:
    f = cr.jit(lambda x, s, k: x * s + k)
    assert f(np.ones(3, "f"), 0.1, 2).dtype == np.float32
    assert f(np.float32(1), 0.1, 2).dtype == np.float32
    assert f(np.ones(3, "f"), np.float64(0.1), 2).dtype == np.float64
    for k in range(8):  # at first each integer has code of its own, then they are inputs
        found = f(np.ones(3, "f"), 0.5, k)
        same(found, np.full(3, 0.5 + k, "f"))
    assert type(cr.jit(lambda a, b: a * b + 1)(2.0, 3)) is float


def test_integers_that_are_inputs_and_integers_that_are_not() -> None:
    f = cr.jit(lambda a, b: a * 10 + b)
    for b in range(7):
        assert f(5, b) == 50 + b
    assert [f(1, 1), f(1, 2), f(1, 3), f(2, 2)] == [11, 12, 13, 22]
    assert f(2**70, 1) == 10 * 2**70 + 1
    g = cr.jit(lambda x, n: x[n:] * n)
    for n in (0, 1, 2, 3, 4, 5, 6, -1, -2, 0, 5):
        same(g(X, n), X[n:] * n)


def test_static_arguments() -> None:
    def f(x: Any, shape: Any, *, name: str = "sin", n: int = 1) -> Any:
        return getattr(np, name)(x).reshape(shape) * n

    by_number, by_name = cr.jit(f, static_argnums=1), cr.jit(f, static_argnums=-1, static_argnames=("name", "n"))
    for fast in (by_number, by_name):
        for shape in ((6,), (2, 3), (3, 2)):
            for name in ("sin", "cos"):
                same(fast(X[:6], shape, name=name, n=2), f(X[:6], shape, name=name, n=2))
    scaled = cr.jit(lambda x, n: (x * n, n), static_argnums=1)
    assert [type(scaled(2, n)[1]) for n in (1, 1.0, True)] == [int, float, bool]
    with pytest.raises(DtypeError, match=r"static argument number 1, of type list, is not hashable; give a tuple"):
        by_number(X, [7])
    with pytest.raises(DtypeError, match=r"static argument n, of type ndarray, is not hashable"):
        by_name(X, (7,), n=np.ones(2))
    with pytest.raises(DtypeError, match=r"an argument is of type set, neither an array of numbers nor hashable"):
        cr.jit(lambda x, s: x)(X, {1, 2})
    with pytest.raises(DtypeError, match=r"an argument is an array of <U1, neither"):
        cr.jit(lambda x: x)(np.array(["a"]))


def test_masked_arrays_and_matrices_keep_their_rules() -> None:
    masked = np.ma.masked_array([1.0, 2.0, 4.0], mask=[False, True, False])
    assert cr.jit(lambda x: x.sum())(masked) == 5.0


def test_results_are_the_callers_own() -> None:
    large = np.arange(5000.0)
    for x in (np.arange(3.0), large):
        f = cr.jit(lambda x: (y := x * 2, y, x, x, x[::2], x.reshape(-1, 1), y + 1, large, 3.0, y[0]))
        first = f(x)
        kept = copy.deepcopy(first)
        second = f(x + 1)
        arrays = [each for each in (*first, *second) if isinstance(each, np.ndarray)]
        for one, two in itertools.combinations(arrays, 2):
            assert not np.shares_memory(one, two)
        for each in arrays:
            assert not np.shares_memory(each, x)
            assert not np.shares_memory(each, large)
            assert each.flags.writeable
            assert each.flags.c_contiguous
        same(first, kept)
        same(first, (x * 2, x * 2, x, x, x[::2], x.reshape(-1, 1), x * 2 + 1, large, 3.0, np.float64(0.0)))
        for each in arrays:
            each[...] = -1.0
        same(f(x), kept)


def test_constants_and_nothing() -> None:
    for f in (
        lambda x: None,
        lambda x: 3.0,
        lambda x: (),
        lambda x: np.arange(3),
        lambda x: [None, "a", 2],
        lambda x: x,
    ):
        fast = cr.jit(f)
        for _ in range(2):
            found = fast(X)
            assert type(found) is type(f(X))
            np.testing.assert_array_equal(found, f(X)) if isinstance(found, np.ndarray) else None
            assert isinstance(found, np.ndarray) or found == f(X)
    one = cr.jit(lambda: np.arange(3.0))
    same(one(), np.arange(3.0))
    one()[:] = 7.0
    same(one(), np.arange(3.0))


def test_inputs_may_be_read_only_and_are_not_kept() -> None:
    f = cr.jit(lambda x: x * 2)
    x = np.arange(100_000.0)
    x.flags.writeable = False
    same(f(x), x * 2)
    alive = weakref.ref(x)
    del x
    assert alive() is None


# -- guards ------------------------------------------------------------------------------------------------


def test_branches_and_loops_on_values() -> None:
    def f(x: Any) -> Any:
        if x > 0 and not (x > 10):
            while x < 5:
                x = x * 2
        elif x == 0:
            return x
        return np.sqrt(np.abs(x))

    g, calls = counted(f)
    fast = cr.jit(g)
    values = [-3.0, 0.0, 0.1, 0.5, 1.0, 2.5, 4.0, 7.0, 11.0, np.nan, np.inf, -np.inf, -0.0]
    for _ in range(3):
        for value in values:
            same(fast(value), f(value))
    seen = calls()
    assert seen == variants(fast) + 1
    for value in values[::-1]:
        same(fast(value), f(value))
    assert calls() == seen


def test_the_integer_part_is_what_is_looked_at() -> None:
    f = cr.jit(lambda x, table: table[int(x)] * x)
    for x in (1.1, 1.2, 1.9, 2.5, 2.25):
        assert f(x, X) == X[int(x)] * x
    assert variants(f) == 2
    with pytest.raises(ValueError, match="NaN"):
        f(np.nan, X)
    with pytest.raises(OverflowError):
        f(np.inf, X)
    g = cr.jit(lambda x: 2 * x if x else x - 1)
    assert [g(x) for x in (3.0, 2.0, 0.0, -0.0)] == [6.0, 4.0, -1.0, -1.0]
    assert np.isnan(g(np.nan))
    assert variants(g) == 2


def test_masks_and_places() -> None:
    def f(x: Any) -> Any:
        x = np.copy(x)
        x[x < 0] *= 0.5
        (where,) = np.nonzero(x > 1)
        return x[x > 0.3].sum() + x[where].sum(), x[np.argmax(x)]

    fast = cr.jit(f)
    rng = np.random.default_rng(0)
    for _ in range(12):
        x = rng.normal(size=4)
        same(fast(x), f(x))


def test_text_is_not_frozen() -> None:
    f = cr.jit(lambda x: (x * 2, f"{x:.1f}", str(x)))
    assert [f(x)[1] for x in (1.0, 2.0, 1.0)] == ["1.0", "2.0", "1.0"]
    assert f(np.float64(3.0)) == (6.0, "3.0", "3.0")


def test_too_many_courses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MAX_VARIANTS", 5)
    f = cr.jit(lambda x: x * int(x))
    for k in range(5):
        assert f(k + 0.5) == (k + 0.5) * k
    with pytest.warns(UserWarning, match="took 5 different courses for one kind of arguments") as caught:
        f(5.5)
    assert caught[0].filename == __file__
    for k in range(30):  # without another warning
        assert f(k + 0.5) == (k + 0.5) * k
    assert "runs uncompiled" in str(f.inspect())


# -- surroundings ------------------------------------------------------------------------------------------

RATE = 2.0
TABLE = np.arange(3.0)


class Settings:
    rate = 2.0


def helper(x: Any) -> Any:
    return x * RATE


def later(x: Any) -> Any:
    return x * 3


def test_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    f = cr.jit(lambda x: helper(x) + RATE + TABLE[1] + Settings.rate)
    assert f(1.0) == 7.0
    monkeypatch.setitem(globals(), "RATE", 5.0)
    assert f(1.0) == 13.0
    monkeypatch.setattr(Settings, "rate", 1.0)
    assert f(1.0) == 12.0
    monkeypatch.setitem(globals(), "helper", later)
    assert f(1.0) == 10.0
    monkeypatch.setitem(globals(), "TABLE", np.full(3, 10.0))
    assert f(1.0) == 19.0


def test_variables_of_enclosing_functions() -> None:
    a, n, names, parts, inner = np.ones(3), 2, ["x"], {"w": [np.ones(3)]}, {"f": later}

    def f(x: Any) -> Any:
        def deeper(y: Any) -> Any:
            return y * a * n + len(names) + parts["w"][0] + (inner["f"](y) if "f" in inner else 0)

        return deeper(x)

    fast = cr.jit(f)

    def check() -> None:
        for _ in range(2):
            same(fast(X[:3]), f(X[:3]))

    check()
    a[1] = 7.0
    check()
    a = np.arange(3.0)
    check()
    n = 3
    check()
    n = 3.0
    check()
    names.append("y")
    check()
    parts["w"][0][2] = -1.0
    check()
    parts["w"][0] = np.zeros(3)
    check()
    parts["w"] = [np.full(3, 2.0)]
    check()
    inner["f"] = helper
    check()
    del inner["f"]
    check()


class Model:
    scale = 1.0

    def __init__(self, weights: Any) -> None:
        self.weights = weights
        self.inner = types.SimpleNamespace(bias=1.0)
        self.layers = [types.SimpleNamespace(w=2.0)]

    @property
    def doubled(self) -> Any:
        return self.inner.bias * 2

    def predict(self, x: Any) -> Any:
        return x * self.weights * self.scale + self.inner.bias + self.doubled + self.layers[0].w * RATE

    def __call__(self, x: Any) -> Any:
        return self.predict(x)


class Slotted:
    __slots__ = ("k",)

    def __init__(self, k: Any) -> None:
        self.k = k


def test_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a closure, as a bound method, as a callable object, as an argument."""
    model = Model(np.ones(3))
    ways = [cr.jit(lambda x: model.predict(x)), cr.jit(model.predict), cr.jit(model), cr.jit(Model.predict)]

    def check() -> None:
        expected = model.predict(X[:3])
        for f in ways[:3]:
            same(f(X[:3]), expected)
        same(ways[3](model, X[:3]), expected)

    check()
    model.weights[1] = 5.0
    check()
    model.weights = np.arange(3.0)
    check()
    model.inner.bias = 4.0
    check()
    model.layers[0].w = 3.0
    check()
    model.layers = [types.SimpleNamespace(w=0.5)]
    check()
    monkeypatch.setattr(Model, "scale", 3.0)
    check()
    model.scale = 2.0
    check()
    monkeypatch.setitem(globals(), "RATE", -1.0)
    check()
    monkeypatch.setattr(Model, "doubled", property(lambda self: 0.0))
    check()
    small = Slotted(2.0)
    f = cr.jit(lambda x: x * small.k)
    assert f(1.0) == 2.0
    small.k = 3.0
    assert f(1.0) == 3.0
    small = Slotted(4.0)
    assert f(1.0) == 4.0


def test_modules_of_the_users() -> None:
    module, part = types.ModuleType("users_module"), types.ModuleType("users_module.part")
    module.rate, module.part, part.table = 2.0, part, np.ones(3)
    f = cr.jit(lambda x: x * module.rate + module.part.table)
    same(f(X[:3]), X[:3] * 2 + 1)
    module.rate = 3.0
    same(f(X[:3]), X[:3] * 3 + 1)
    part.table[:] = 2.0
    same(f(X[:3]), X[:3] * 3 + 2)


def test_defaults_and_partial_functions() -> None:
    a, b, c = np.ones(3), np.ones(3), np.ones(3)

    def f(x: Any, a: Any = a, *, b: Any = b) -> Any:
        return x * a if b[0] == 1 else x - a

    one, two = cr.jit(f), cr.jit(functools.partial(lambda c, x: x * c if c[0] > 0 else x, c))
    same(one(2.0), np.full(3, 2.0))
    same(two(2.0), np.full(3, 2.0))
    a[:], c[:] = 5.0, 3.0
    same(one(2.0), np.full(3, 10.0))
    same(two(2.0), np.full(3, 6.0))
    b[0], c[0] = 0.0, -1.0
    same(one(2.0), np.full(3, -3.0))
    assert two(2.0) == 2.0


@pytest.mark.parametrize("size", [3, 100, 5000, 50_000])
def test_arrays_changed_in_place(size: int) -> None:
    """Whether the trace shows where the numbers went, or not."""
    a = np.zeros(size)
    uses: list[Any] = [
        lambda x: x * a,
        lambda x: x * a if a[0] > 0 else x - a,  # decides by it
        lambda x: x * a + np.sum(a),  # computes with plain NumPy
        lambda x: x + a.max(),
        lambda x: x * float(a[-1]) + a,
        lambda x: [x * row for row in a.reshape(-1, 1)[:2]],
        lambda x: (np.tanh(a) * x, a),
    ]
    fast = [cr.jit(f) for f in uses]
    x = np.arange(float(size))
    changes = [
        lambda: a.__setitem__(0, 1.0),
        lambda: a.__setitem__(slice(None), np.arange(size) % 1024.0),
        lambda: a.__setitem__(slice(None), a[::-1].copy()),
        lambda: np.random.default_rng(0).shuffle(a.reshape(-1, 1024) if not size % 1024 else a),
        lambda: a.__setitem__(slice(None), 0.0),
    ]
    for change in (lambda: None, *changes):
        change()
        for one, f in zip(fast, uses, strict=True):
            same(one(x), f(x))


def test_swapped_blocks_of_a_large_array_are_noticed() -> None:
    a = np.arange(4096.0 * 8).reshape(-1, 1024)
    f = cr.jit(lambda x: x * a[0, 0])
    assert f(1.0) == 0.0
    a[[0, 1]] = a[[1, 0]]
    assert f(1.0) == 1024.0


def test_changed_arrays_cost_a_trace_and_no_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    a = np.ones(500)
    f = cr.jit(lambda x: np.sum(x * a))
    f(a)
    monkeypatch.setattr(dispatch, "Executable", None)
    for k in range(3):
        a[k] = k
        assert f(np.ones(500)) == a.sum()


def test_read_only_arrays_are_taken_not_to_change() -> None:
    a = np.ones(50_000)
    a.flags.writeable = False
    f = cr.jit(lambda x: np.sum(x * a))
    assert f(np.ones(50_000)) == 50_000
    (variant,) = f.inspect().variants
    assert not variant.surroundings.arrays


# -- functions that do not do the same twice ----------------------------------------------------------------

COUNT = 0


def counting(x: Any) -> Any:
    global COUNT
    COUNT += 1
    return x * 2


def test_impure_functions_are_named_with_their_line() -> None:
    rng, clock, seen, total = np.random.default_rng(0), itertools.count(), [], 0
    counter = types.SimpleNamespace(calls=0)

    def noisy(x: Any) -> Any:
        return x * rng.normal(size=3)

    def noisy_number(x: Any) -> Any:
        return x * float(rng.normal())

    def large_noise(x: Any) -> Any:
        return np.sum(x) + rng.normal(size=1000)

    def timed(x: Any) -> Any:
        return x + next(clock)

    def appending(x: Any) -> Any:
        seen.append(1)
        return x

    def adding(x: Any) -> Any:
        nonlocal total
        total += 1
        return x

    def through_an_attribute(x: Any) -> Any:
        counter.calls += 1
        return x

    for f, offset in [(noisy, 1), (noisy_number, 1), (large_noise, 1), (timed, 1), (appending, 1), (adding, 2),
                      (through_an_attribute, 1), (counting, 2)]:  # fmt: skip
        fast = cr.jit(f)
        line = f.__code__.co_firstlineno + offset
        with pytest.warns(
            UserWarning, match=rf"{f.__name__} does not do the same twice.*test_jit.py:{line}\b"
        ) as caught:
            fast(1.0)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        fast(1.0)  # in silence
        fast(np.ones(3))
    assert min(total, len(seen), counter.calls, COUNT) >= 4


def test_what_is_made_once_is_not_impure() -> None:
    cache: dict[str, Any] = {}

    def f(x: Any) -> Any:
        if "table" not in cache:
            cache["table"] = np.arange(3.0)
        return x * cache["table"]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast = cr.jit(f)
        for _ in range(3):
            same(fast(2.0), np.arange(3.0) * 2)
    assert variants(fast) == 1


# -- errors ------------------------------------------------------------------------------------------------


def test_exceptions_of_the_function() -> None:
    def f(x: Any) -> Any:
        if x > 1:
            raise KeyError("too large")
        return x * 2

    fast = cr.jit(f)
    for _ in range(2):
        with pytest.raises(KeyError, match="too large"):
            fast(2.0)
        assert fast(0.5) == 1.0


def test_bad_indices_are_numpys_own_error() -> None:
    for size in (3, 1000):
        f = cr.jit(lambda x, k: x[k])
        x = np.arange(float(size))
        same(f(x, np.array([0, -1])), x[[0, -1]])
        for bad in (size, -size - 1):
            with pytest.raises(IndexError, match=f"index {bad} is out of bounds for axis 0 with size {size}"):
                f(x, np.array([0, bad]))
        same(f(x, np.array([1, -size])), x[[1, 0]])
    with pytest.raises(IndexError):
        cr.jit(lambda x, k: x[k])(x, np.array([size]))


def test_singular_matrices() -> None:
    f = cr.jit(lambda a: np.linalg.inv(a))
    same(f(np.eye(3) * 2), np.eye(3) / 2)
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        f(np.zeros((3, 3)))
    with pytest.raises(np.linalg.LinAlgError):
        cr.jit(np.linalg.cholesky)(-np.eye(2))


def test_a_function_may_handle_errors() -> None:
    def f(a: Any) -> Any:
        try:
            return np.linalg.cholesky(a)
        except np.linalg.LinAlgError:
            return a * 0

    fast = cr.jit(f)
    for a in (np.eye(2), -np.eye(2), np.eye(2) * 4, -np.eye(2)):
        same(fast(a), f(a))


# -- the object --------------------------------------------------------------------------------------------


@cr.jit
def documented(x: Any) -> Any:
    """Double it."""
    return x * 2


class Machine:
    def __init__(self, k: float) -> None:
        self.k = k

    @cr.jit
    def run(self, x: Any) -> Any:
        return x * self.k


def test_methods() -> None:
    one, two = Machine(2.0), Machine(3.0)
    for _ in range(2):
        assert (one.run(5.0), two.run(5.0)) == (10.0, 15.0)
    one.k = 7.0
    assert (one.run(5.0), two.run(5.0)) == (35.0, 15.0)
    assert Machine.run(two, 1.0) == 3.0
    assert cr.grad(one.run)(5.0) == 7.0


def test_metadata_pickling_and_copies() -> None:
    assert (documented.__name__, documented.__doc__) == ("documented", "Double it.")
    assert documented.__wrapped__(2.0) == 4.0
    assert pickle.loads(pickle.dumps(documented)) is documented
    assert pickle.loads(pickle.dumps(cr.jit(later)))(2.0) == 6.0
    other = copy.copy(cr.jit(lambda x, n: x * n, static_argnums=1))
    assert other(2.0, 3) == 6.0
    assert copy.deepcopy(other)(2.0, 4) == 8.0
    assert cr.jit(functools.partial(lambda a, x: a * x, 2.0))(3.0) == 6.0


def test_inspect() -> None:
    def choose(x: Any, k: int) -> Any:
        return np.sum(np.exp(x)) if x[0] > 0 else scipy.special.gammaln(x)

    f = cr.jit(choose)
    assert str(f.inspect()) == "choose: 0 variants, compiled in 0.000 s"
    large = np.resize(X, 500)
    f(large, 3)
    f(-large, 3)
    report = f.inspect()
    text = str(report)
    line = choose.__code__.co_firstlineno + 1
    for words in ("choose: 2 variants", "(float64[500], 3)", f"test_jit.py:{line}: True", f"test_jit.py:{line}: False",
                  "by NumPy: gammaln", "1 loops", "compiled in"):  # fmt: skip
        assert words in text
    assert report.compile_seconds > 0
    assert report.arena_bytes > 0
    assert "define i32 @segment0" in report.llvm_ir()
    assert "target triple" in report.llvm_ir(optimized=True)
    assert "segment0" in report.assembly()


def test_variants_are_freed_with_the_function() -> None:
    f = cr.jit(lambda x: np.sum(np.exp(x)) * 2)
    f(X)
    (variant,) = f.inspect().variants
    dead = [weakref.ref(each) for each in (f, variant, variant.code.code.engine)]
    del f, variant
    gc.collect()
    assert [each() for each in dead] == [None] * 3
