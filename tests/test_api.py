"""What callers of the derivative functions rely on: arguments, structures, shapes, dtypes, memory and errors."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import tree
from chainrule.errors import ChainruleError, DtypeError, GraphError, NotDifferentiableError, ShapeError
from chainrule.tracing import trace_function
from chainrule.transforms.jacobian import jacobian as jacobian_program

MODES = ("forward", "reverse", "eliminate")
EVERY = pytest.mark.parametrize("mode", [*MODES, "auto"])
X = np.array([0.5, -1.0, 2.0])

Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Weights:
    w: Any
    b: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    w: Any

    def __post_init__(self) -> None:
        assert self.w is not None


def squares(x: Any) -> Any:
    return np.sum(x * x)


# -- argnums ---------------------------------------------------------------------------------------------


def test_argnums() -> None:
    def f(a, b, c):
        return a * b**2 * c

    assert cr.grad(f)(2.0, 3.0, 5.0) == 45.0
    assert cr.grad(f, 1)(2.0, 3.0, 5.0) == 60.0
    assert cr.grad(f, -1)(2.0, 3.0, 5.0) == 18.0
    assert cr.grad(f, argnums=(0, 2))(2.0, 3.0, 5.0) == (45.0, 18.0)
    assert cr.grad(f, argnums=(2, 0))(2.0, 3.0, 5.0) == (18.0, 45.0)
    assert cr.grad(f, argnums=[1, -1])(2.0, 3.0, 5.0) == (60.0, 18.0)
    assert cr.grad(f, argnums=(1,))(2.0, 3.0, 5.0) == (60.0,)
    assert cr.value_and_grad(f, (0, 1))(2.0, 3.0, 5.0) == (90.0, (45.0, 60.0))


@pytest.mark.parametrize("derive", [cr.grad, cr.value_and_grad, cr.jacobian, cr.hessian])
@pytest.mark.parametrize("argnums", [2, -3, (0, 2)])
def test_argnums_out_of_range(derive: Any, argnums: Any) -> None:
    with pytest.raises(ShapeError, match="but 2 were given"):
        derive(lambda a, b: a * b, argnums)(1.0, 2.0)


def test_same_argument_twice() -> None:
    for derive in (cr.grad, cr.jacobian, cr.hessian):
        with pytest.raises(ShapeError, match=r"argnums \(0, -2\) asks for argument 0 twice"):
            derive(lambda a, b: a * b, (0, -2))(2.0, 3.0)


def test_other_arguments_may_be_anything() -> None:
    def f(x, n, how, options, table):
        assert isinstance(n, int)
        assert how == "cubic"
        return x**n * options["scale"] + table[n].sum()

    table = np.arange(8)
    assert cr.grad(f)(2.0, 3, "cubic", {"scale": 2, "other": object()}, table) == 24.0
    assert cr.jacobian(f)(2.0, 3, "cubic", {"scale": 2}, table) == 24.0


def test_keyword_arguments_are_passed() -> None:
    def f(x, *, scale, shift=0.0):
        return scale * x**2 + shift

    assert cr.grad(f)(3.0, scale=2) == 12.0
    assert cr.value_and_grad(f)(3.0, scale=2, shift=1) == (19.0, 12.0)
    assert cr.jacobian(f)(3.0, scale=2) == 12.0
    assert cr.hessian(f)(3.0, scale=2) == 4.0


# -- what is given ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [3, np.int64(3), np.float64(3.0), 3.0, np.uint8(3)])
def test_numbers_count_as_float64(x: Any) -> None:
    found = cr.grad(lambda x: x * x)(x)
    assert type(found) is np.float64
    assert found == 6.0


def test_single_precision_stays() -> None:
    found = cr.grad(lambda x: x * x)(np.float32(3.0))
    assert type(found) is np.float32
    assert cr.grad(squares)(X.astype(np.float32)).dtype == np.float32
    assert cr.jacobian(np.sin)(X.astype(np.float32)).dtype == np.float32
    assert cr.grad(squares)(X.astype(np.float16)).dtype == np.float16


def test_single_precision_beside_double() -> None:
    """The value is in NumPy's dtype, each gradient in that of its argument."""
    value, (a, b) = cr.value_and_grad(lambda a, b: np.sum(a * b), (0, 1))(X.astype(np.float32), X)
    assert value.dtype == np.float64
    assert (a.dtype, b.dtype) == (np.float32, np.float64)


def test_list_of_numbers() -> None:
    """Each number of a list counts as float64; the gradient is a list of them."""
    found = cr.grad(lambda x: x[0] * x[1] ** 2)([2, 3])
    assert found == [9.0, 12.0]
    assert type(found) is list
    assert all(type(number) is np.float64 for number in found)
    assert cr.grad(lambda x: squares(np.stack(x)))([1, 2.0]) == [2.0, 4.0]
    assert cr.jacobian(lambda x: x[0] * np.stack(x))([2.0, 3.0])[1].tolist() == [0.0, 2.0]
    assert cr.hessian(lambda x: x[0] * x[1] ** 2)([2.0, 3.0]) == [[0.0, 6.0], [6.0, 4.0]]


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.arange(3), r"x: .* array of int64 .*x.astype\(float\)"),
        (np.array([True]), "array of bool"),
        (True, "bool"),
        ("word", "str"),
        ({"a": 1.0, "b": "word"}, r"x\['b'\]: .* str"),
        (np.array(["a"]), "array of <U1"),
    ],
)
def test_what_has_no_derivative_is_refused(x: Any, text: str) -> None:
    for derive in (cr.grad, cr.jacobian, cr.value_and_grad):
        with pytest.raises(DtypeError, match=text):
            derive(lambda x: 1.0)(x)
    with pytest.raises(DtypeError, match=text):
        cr.vjp(lambda x: 1.0, x)


# -- what is returned by the function ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (lambda x: x * x, r"scalar, got shape \(3,\), at test_api.py:\d+; sum it, or use jacobian"),
        (lambda x: (np.sum(x), np.sum(x)), "must return one scalar, got a structure of 2; use has_aux"),
        (lambda x: None, "must return one scalar, got a structure of 0"),
        (lambda x: np.sum(x) * 1j, "must return a real scalar, got complex128.*take its real part"),
        (lambda x: 3, "must return a real scalar, got int64"),
        (lambda x: np.sum(x > 0), "must return a real scalar, got int64"),
        (lambda x: {"loss": np.sum(x)}, "must return one scalar, got a structure of 1"),
    ],
)
def test_gradients_need_a_real_scalar(f: Callable[..., Any], text: str) -> None:
    for derive in (cr.grad, cr.value_and_grad, cr.hessian):
        with pytest.raises(NotDifferentiableError, match=text):
            derive(f)(X)


def test_foreign_results_are_refused() -> None:
    with pytest.raises(DtypeError, match="the function returned str 'done' at \\['b'\\]; expected arrays"):
        cr.jacobian(lambda x: {"a": x, "b": "done"})(X)


def test_aux() -> None:
    def f(x):
        y = np.sum(x**2)
        return y, {"half": x / 2, "note": "kept", "n": 3, "none": None, "array": np.arange(2)}

    gradient, aux = cr.grad(f, has_aux=True)(X)
    np.testing.assert_array_equal(gradient, 2 * X)
    assert type(aux["half"]) is np.ndarray
    np.testing.assert_array_equal(aux["half"], X / 2)
    assert (aux["note"], aux["n"], aux["none"]) == ("kept", 3, None)
    (value, aux), gradient = cr.value_and_grad(f, has_aux=True)(X)
    assert value == np.sum(X**2)
    np.testing.assert_array_equal(aux["half"], X / 2)
    np.testing.assert_array_equal(gradient, 2 * X)
    gradients, _ = cr.grad(lambda a, b: (a * b, a), (0, 1), has_aux=True)(2.0, 3.0)
    assert gradients == (3.0, 2.0)
    with pytest.raises(ChainruleError, match="must return a pair"):
        cr.grad(lambda x: x, has_aux=True)(1.0)


def test_no_dependence_gives_zeros() -> None:
    gradient = cr.grad(lambda a, b: np.sum(b), (0, 1))({"w": np.ones((2, 3), np.float32), "s": 1.0}, X)
    assert gradient[0]["w"].dtype == np.float32
    np.testing.assert_array_equal(gradient[0]["w"], np.zeros((2, 3)))
    assert gradient[0]["s"] == 0.0
    np.testing.assert_array_equal(gradient[1], np.ones(3))
    assert cr.grad(lambda x: 3.0)(1.0) == 0.0
    for mode in MODES:
        found = cr.jacobian(lambda x: (np.arange(2), np.ones((2, 2)), x), mode=mode)(X)
        assert [part.shape for part in found] == [(2, 3), (2, 2, 3), (3, 3)]
        assert not found[0].any()
        assert not found[1].any()
    y, y_dot = cr.jvp(lambda x: np.ones(2), (X,), (X,))
    np.testing.assert_array_equal(y_dot, np.zeros(2))
    np.testing.assert_array_equal(cr.vjp(lambda x: np.ones(2), X)[1](y)[0], np.zeros(3))
    np.testing.assert_array_equal(cr.hessian(lambda x: np.sum(x))(X), np.zeros((3, 3)))


# -- structures ------------------------------------------------------------------------------------------

STRUCTURES = [
    {"b": X, "a": 2.0},
    [X, [1.0, 2.0]],
    (X, (X[:2],), ()),
    Point(X, 3.0),
    Weights(X, np.ones((2, 2))),
    Frozen(X),
    OrderedDict([("z", 1.0), ("a", X)]),
    {"layers": [Weights(X, None), Point(None, {"deep": (X,)})], "none": None},
]


def leaf_sum(x: Any) -> Any:
    """Sum of squares, without the help of the library."""
    if x is None:
        return 0.0
    if isinstance(x, dict):
        return sum(leaf_sum(part) for part in x.values())
    if dataclasses.is_dataclass(x):
        return sum(leaf_sum(getattr(x, field.name)) for field in dataclasses.fields(x))
    if isinstance(x, list | tuple):
        return sum((leaf_sum(part) for part in x), 0.0)
    return np.sum(x**2)


def assert_doubled(found: Any, x: Any) -> None:
    assert type(found) is (np.float64 if isinstance(x, float) else type(x))
    if isinstance(x, dict):
        assert list(found) == list(x)
        for key in x:
            assert_doubled(found[key], x[key])
    elif dataclasses.is_dataclass(x):
        for field in dataclasses.fields(x):
            assert_doubled(getattr(found, field.name), getattr(x, field.name))
    elif isinstance(x, list | tuple):
        assert len(found) == len(x)
        for one, two in zip(found, x, strict=True):
            assert_doubled(one, two)
    elif x is not None:
        np.testing.assert_array_equal(found, 2 * np.asarray(x))


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: type(structure).__name__)
def test_structures_in(structure: Any) -> None:
    assert_doubled(cr.grad(leaf_sum)(structure), structure)
    assert_doubled(cr.vjp(leaf_sum, structure)[1](1.0)[0], structure)
    assert_doubled(cr.hvp(leaf_sum, (structure,), (structure,)), structure)
    assert cr.jvp(leaf_sum, (structure,), (structure,))[1] == pytest.approx(2 * leaf_sum(structure))
    for mode in MODES:
        assert_doubled(cr.jacobian(leaf_sum, mode=mode)(structure), structure)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: type(structure).__name__)
def test_structures_out(structure: Any) -> None:
    """The identity, scaled: each output depends on its own input."""

    def f(x):
        return tree.map_leaves(lambda leaf: leaf * 2, x)

    y, y_dot = cr.jvp(f, (structure,), (structure,))
    assert_doubled(y, structure)
    assert_doubled(y_dot, structure)
    y, push = cr.linearize(f, structure)
    assert_doubled(push(structure), structure)
    y, pullback = cr.vjp(f, structure)
    assert_doubled(pullback(structure)[0], structure)


@EVERY
def test_jacobian_of_structures(mode: str) -> None:
    def f(p, x):
        return {"y": p.w @ x, "z": (np.sum(p.b), x[0] * p.b)}

    p = Weights(np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0, 3.0, 4.0]))
    found = cr.jacobian(f, (0, 1), mode=mode)(p, X)
    by_p, by_x = found["y"]
    assert type(by_p) is Weights
    np.testing.assert_array_equal(by_x, p.w)
    assert by_p.w.shape == (2, 2, 3)
    np.testing.assert_array_equal(by_p.w, np.einsum("ij,k->ijk", np.eye(2), X))
    np.testing.assert_array_equal(by_p.b, np.zeros((2, 4)))
    total, scaled = found["z"]
    np.testing.assert_array_equal(total[0].b, np.ones(4))
    np.testing.assert_array_equal(total[1], np.zeros(3))
    np.testing.assert_array_equal(scaled[0].b, X[0] * np.eye(4))
    np.testing.assert_array_equal(scaled[1], np.outer(p.b, [1, 0, 0]))
    only = cr.jacobian(f, mode=mode)(p, X)
    np.testing.assert_array_equal(only["y"].w, by_p.w)


# -- Jacobians -------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize(
    ("f", "shape", "out"),
    [
        (lambda x: x**2, (), ()),
        (lambda x: x**2, (3,), (3,)),
        (lambda x: np.sum(x), (3,), ()),
        (lambda x: x * np.ones((2, 1)), (3,), (2, 3)),
        (lambda x: x.T @ x, (2, 3), (3, 3)),
        (lambda x: x[0], (2, 3), (3,)),
        (lambda x: x[:, None] * x, (2,), (2, 2)),
        (lambda x: x * np.ones(3), (), (3,)),
        (lambda x: x * 2, (0,), (0,)),
        (lambda x: np.sum(x), (0,), ()),
        (lambda x: x[:0], (3,), (0,)),
        (lambda x: np.concatenate([x.ravel(), x.ravel()]), (2, 0), (0,)),
        (lambda x: x.reshape(1, -1, 1), (2, 2), (1, 4, 1)),
    ],
)
def test_jacobian_shapes(mode: str, f: Callable[..., Any], shape: Any, out: Any) -> None:
    x = np.random.default_rng(0).normal(size=shape)[()]
    found = cr.jacobian(f, mode=mode)(x)
    assert np.shape(found) == (*out, *shape)
    step = 1e-6
    for index in np.ndindex(shape):
        e = np.zeros(shape)
        e[index] = step
        expected = (np.asarray(f(x + e)) - np.asarray(f(x - e))) / (2 * step)
        np.testing.assert_allclose(np.asarray(found)[(..., *index)], expected, rtol=1e-8, atol=1e-9)


@EVERY
def test_jacobian_modes_by_values(mode: str) -> None:
    matrix = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_allclose(cr.jacobian(lambda x: np.tanh(matrix @ x), mode=mode)(X),
                               (1 - np.tanh(matrix @ X) ** 2)[:, None] * matrix, rtol=1e-14)  # fmt: skip


def test_unknown_mode() -> None:
    with pytest.raises(GraphError, match="mode 'backward': expected one of auto, forward, reverse, eliminate"):
        cr.jacobian(np.sin, mode="backward")(X)


def test_auto_takes_fewer_sweeps() -> None:
    """As many nodes as the cheaper of the two modes."""

    def nodes(f: Any, x: Any, mode: str) -> int:
        return len(jacobian_program(trace_function(f, (x,), (0,)).program, mode).nodes)

    def tall(x):
        return np.concatenate([np.sin(x), np.cos(x), x])

    def wide(x):
        return np.sin(x)[:2] @ np.ones((2, 2))

    for f, mode in ((tall, "forward"), (wide, "reverse")):
        x = np.ones(5)
        assert nodes(f, x, "auto") == nodes(f, x, mode)


@pytest.mark.parametrize("mode", MODES)
def test_jacobian_runs_all_directions_at_once(mode: str) -> None:
    """The program has as many operations for 100 directions as for 50: nothing loops over them."""

    def f(x):
        y = np.tanh(x) * x[::-1]
        y = np.cumsum(y) / np.sqrt(np.sum(y * y))
        return np.concatenate([y[1:], np.sort(x)[:1]])

    def count(n: int) -> int:
        x = np.random.default_rng(0).normal(size=n)
        program = trace_function(f, (x,), (0,)).program
        return len(jacobian_program(program, mode).nodes)

    assert count(100) == count(50)


def test_hessian_argnums_and_structures() -> None:
    def f(a, b):
        return a["x"] ** 2 * np.sum(b**3)

    a, b = {"x": np.float64(2.0)}, np.array([1.0, 2.0])
    found = cr.hessian(f, (0, 1))(a, b)
    aa = found[0]["x"][0]["x"]
    ab = found[0]["x"][1]
    ba = found[1][0]["x"]
    bb = found[1][1]
    assert aa == 18.0
    np.testing.assert_array_equal(ab, 12 * b**2)
    np.testing.assert_array_equal(ba, 12 * b**2)
    np.testing.assert_array_equal(bb, np.diag(24 * b))
    assert cr.hessian(f)(a, b)["x"]["x"] == 18.0
    np.testing.assert_array_equal(cr.hessian(f, 1)(a, b), np.diag(24 * b))
    single = cr.hessian(f, (1,))(a, b)
    np.testing.assert_array_equal(single[0][0], np.diag(24 * b))


def test_hessian_of_matrices() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3))
    found = cr.hessian(lambda x: np.sum((x.T @ x) ** 2))(x)
    assert found.shape == (2, 3, 2, 3)
    flat = found.reshape(6, 6)
    np.testing.assert_allclose(flat, flat.T, rtol=1e-13)
    v = np.ones((2, 3))
    product = cr.hvp(lambda x: np.sum((x.T @ x) ** 2), (x,), (v,))
    np.testing.assert_allclose(product, np.tensordot(found, v, 2), rtol=1e-13)


def test_hvp_of_several_arguments() -> None:
    def f(a, b):
        return a**2 * np.sum(b)

    found = cr.hvp(f, (2.0, X), (1.0, np.zeros(3)))
    assert found[0] == 2 * np.sum(X)
    np.testing.assert_array_equal(found[1], np.full(3, 4.0))
    with pytest.raises(NotDifferentiableError, match="scalar"):
        cr.hvp(np.sin, (X,), (X,))


# -- the functions that pushing and pulling return ---------------------------------------------------------


def test_closures_are_reusable_after_overwriting() -> None:
    data = X.copy()
    x = {"a": X.copy(), "b": 2.0}

    def f(x):
        return x["a"] ** 2 * x["b"] + data

    y, pullback = cr.vjp(f, x)
    z, push = cr.linearize(f, x)
    x["a"][:] = np.nan
    x["b"] = np.nan
    data[:] = np.nan
    y[:] = np.nan
    for bar in (np.ones(3), np.array([1.0, 0.0, -2.0])):
        np.testing.assert_array_equal(pullback(bar)[0]["a"], 4 * X * bar)
        assert pullback(bar)[0]["b"] == np.sum(X**2 * bar)
        np.testing.assert_array_equal(push({"a": bar, "b": 1.0}), 4 * X * bar + X**2)
    np.testing.assert_array_equal(z, 2 * X**2 + X)
    first = pullback(np.ones(3))[0]["a"]
    first[:] = 0
    np.testing.assert_array_equal(pullback(np.ones(3))[0]["a"], 4 * X)


def test_pullback_of_structures() -> None:
    y, pullback = cr.vjp(lambda a, b: (a * b, {"s": a}, np.arange(2)), 2.0, 3.0)
    assert y[0] == 6.0
    assert pullback((1.0, {"s": 10.0}, np.zeros(2))) == (13.0, 2.0)
    np.testing.assert_array_equal(cr.vjp(np.sin, np.zeros(2))[1](np.ones_like(X[:2]))[0], np.ones(2))


def test_integers_as_tangents() -> None:
    assert cr.jvp(np.sin, (0.0,), (2,)) == (0.0, 2.0)
    np.testing.assert_array_equal(cr.jvp(lambda x: x * 2, (X,), (np.arange(3),))[1], [0, 2, 4])
    np.testing.assert_array_equal(cr.vjp(lambda x: x * 2, X)[1](np.arange(3))[0], [0, 2, 4])


def test_tangents_take_the_dtype_of_the_primals() -> None:
    x = X.astype(np.float32)
    _, y_dot = cr.jvp(np.sin, (x,), (X,))
    assert y_dot.dtype == np.float32
    assert cr.vjp(np.sin, x)[1](X)[0].dtype == np.float32


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: cr.jvp(np.sin, (X,), (np.ones(2),)), ShapeError, r"tangent: shape \(2,\) does not fit .* \(3,\)"),
        (lambda: cr.jvp(np.sin, (X,), (1.0,)), ShapeError, r"tangent: shape \(\) does not fit"),
        (lambda: cr.jvp(np.sin, (X,), ([1.0, 2.0, 3.0],)), ShapeError, "tangent: structure"),
        (lambda: cr.jvp(np.sin, (X,), (X, X)), ShapeError, "1 tangents are needed, one per argument; got 2"),
        (lambda: cr.jvp(np.sin, X, X), ShapeError, r"primals must be a tuple .*got ndarray; write \(x,\)"),
        (lambda: cr.jvp(np.sin, (X,), X), ShapeError, "tangents must be a tuple"),
        (lambda: cr.jvp(np.sin, (X,), (X * 1j,)), DtypeError, "tangent: complex, but the value is float64"),
        (lambda: cr.jvp(np.sin, (X,), (np.array(["a"] * 3),)), DtypeError, "tangent: .* array of <U1"),
        (lambda: cr.vjp(np.sin, X)[1](np.ones(2)), ShapeError, r"cotangent: shape \(2,\) does not fit"),
        (lambda: cr.vjp(np.sin, X)[1]((X,)), ShapeError, "cotangent: structure"),
        (lambda: cr.vjp(lambda x: {"a": x}, X)[1]({"b": X}), ShapeError, "cotangent: structure"),
        (lambda: cr.linearize(np.sin, X)[1](X, X), ShapeError, "1 tangents are needed"),
        (lambda: cr.hvp(squares, X, X), ShapeError, "hvp: primals must be a tuple"),
        (lambda: cr.hvp(squares, (X,), (X[:2],)), ShapeError, "tangent: shape"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call: Callable[[], Any], error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


# -- memory ----------------------------------------------------------------------------------------------


def test_results_share_no_memory() -> None:
    constant = np.ones(3)
    x = X.copy()

    def identity(x):
        return x

    results = [
        cr.grad(lambda x: np.sum(x * constant))(x),
        cr.jvp(identity, (x,), (x,))[0],
        cr.jvp(identity, (x,), (x,))[1],
        cr.vjp(identity, x)[0],
        cr.vjp(identity, x)[1](x)[0],
        cr.vjp(lambda x: x * constant, x)[1](x)[0],
        cr.vjp(lambda x: constant, x)[0],
        cr.linearize(lambda x: x[:], x)[0],
        cr.linearize(lambda x: x.reshape(3, 1), x)[1](x),
        cr.jacobian(lambda x: constant * np.sum(x))(x),
        cr.grad(lambda x: (np.sum(x), x), has_aux=True)(x)[1],
        cr.value_and_grad(lambda x: (np.sum(x * x), constant * x), has_aux=True)(x)[0][1],
    ]
    y, z = cr.vjp(lambda x: (x, x), x)[0]
    a, b = cr.grad(lambda a, b: np.sum(a + b), (0, 1))(x, x)
    c, d = cr.vjp(lambda a, b: a + b, x, x)[1](constant)
    results += [y, z, a, b, c, d]
    for k, one in enumerate(results):
        assert one.flags.writeable
        assert not np.shares_memory(one, x)
        assert not np.shares_memory(one, constant)
        assert not any(np.shares_memory(one, other) for other in results[:k])
    for one in results:
        one[...] = np.nan
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(constant, np.ones(3))


def test_arguments_are_not_changed() -> None:
    def f(x):
        x[0] = 5.0
        x *= 2
        return np.sum(x**2)

    x = X.copy()
    np.testing.assert_array_equal(cr.grad(f)(x), [0, 8 * X[1], 8 * X[2]])
    np.testing.assert_array_equal(x, X)


# -- functions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("derive", [cr.grad, cr.value_and_grad, cr.jacobian, cr.hessian])
def test_wrapped_functions_keep_their_names(derive: Any) -> None:
    def loss(x):
        """What is lost."""
        return squares(x)

    wrapped = derive(loss)
    assert wrapped.__name__ == "loss"
    assert wrapped.__doc__ == "What is lost."
    assert wrapped.__wrapped__ is not None


class Model:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    def loss(self, x: Any) -> Any:
        return self.scale * squares(x)

    @staticmethod
    def plain(x: Any) -> Any:
        return squares(x)

    def __call__(self, x: Any) -> Any:
        return self.loss(x)


@pytest.mark.parametrize(
    ("f", "scale"),
    [
        (Model(3.0), 3.0),
        (Model(3.0).loss, 3.0),
        (Model.plain, 1.0),
        (functools.partial(Model.loss, Model(2.0)), 2.0),
        (functools.partial(lambda k, x: k * squares(x), 4.0), 4.0),
        (functools.partial(lambda x, k: k * squares(x), k=4.0), 4.0),
        (lambda *xs: squares(xs[0]), 1.0),
    ],
)
def test_callables(f: Callable[..., Any], scale: float) -> None:
    np.testing.assert_array_equal(cr.grad(f)(X), 2 * scale * X)
    np.testing.assert_array_equal(cr.hessian(f)(X), 2 * scale * np.eye(3))


def test_numpy_functions() -> None:
    assert cr.grad(np.sin)(0.0) == 1.0
    np.testing.assert_array_equal(cr.grad(np.sum)(X), np.ones(3))
    np.testing.assert_array_equal(cr.jacobian(np.multiply, (0, 1))(X, X)[1], np.diag(X))
    np.testing.assert_array_equal(cr.jacobian(np.cumsum)(X), np.tri(3))
    np.testing.assert_allclose(cr.grad(np.linalg.norm)(np.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-15)


def test_generators_inside() -> None:
    def parts(x):
        for k in range(3):
            yield x[k] * k

    np.testing.assert_array_equal(cr.grad(lambda x: sum(parts(x)))(X), [0, 1, 2])


def test_exceptions_pass_through() -> None:
    class Own(Exception):
        pass

    def f(x):
        raise Own("mine")

    for derive in (cr.grad, cr.value_and_grad, cr.jacobian):
        with pytest.raises(Own, match="mine"):
            derive(f)(1.0)
    with pytest.raises(Own, match="mine"):
        cr.vjp(f, 1.0)


def test_function_runs_once() -> None:
    calls = []

    def f(x):
        calls.append(1)
        return squares(x)

    for call in (
        lambda: cr.grad(f)(X),
        lambda: cr.value_and_grad(f)(X),
        lambda: cr.jacobian(f)(X),
        lambda: cr.hessian(f)(X),
        lambda: cr.hvp(f, (X,), (X,)),
        lambda: cr.jvp(f, (X,), (X,)),
        lambda: cr.vjp(f, X)[1](1.0),
    ):
        calls.clear()
        call()
        assert len(calls) == 1


# -- stop_gradient ---------------------------------------------------------------------------------------


def test_stop_gradient() -> None:
    assert cr.grad(lambda x: x * cr.stop_gradient(x))(3.0) == 3.0
    assert cr.grad(lambda x: cr.stop_gradient(x) ** 2)(3.0) == 0.0
    assert cr.hessian(lambda x: x**2 * cr.stop_gradient(x))(3.0) == 6.0
    assert cr.stop_gradient(3.0) == 3.0
    assert cr.stop_gradient({"a": X})["a"] is X

    def f(x):
        fixed = cr.stop_gradient({"a": x, "b": [x * 2, "word"]})
        return np.sum(x * fixed["a"] + fixed["b"][0])

    np.testing.assert_array_equal(cr.grad(f)(X), X)
    for mode in MODES:
        np.testing.assert_array_equal(cr.jacobian(lambda x: x * cr.stop_gradient(x), mode=mode)(X), np.diag(X))
    np.testing.assert_array_equal(cr.jvp(lambda x: x * cr.stop_gradient(x), (X,), (np.ones(3),))[1], X)


def test_stop_gradient_lets_values_leave() -> None:
    assert cr.grad(lambda x: x * math.floor(cr.stop_gradient(x)))(2.5) == 2.0
    assert cr.grad(lambda x: x * float(cr.stop_gradient(x)))(2.5) == 2.5
