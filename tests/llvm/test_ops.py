"""Compiled code against NumPy, for every op from its declaration."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import chainrule  # noqa: F401  (fills the registry)
from chainrule import ir
from chainrule.ir import REGISTRY, Builder, Node, Op
from chainrule.llvm import plan as planning
from chainrule.llvm.emit import LOGICAL, SCALAR
from chainrule.llvm.executable import Executable
from chainrule.types import Spec

CASES = [
    pytest.param(op, letter, id=f"{name}-{letter}")
    for name, op in REGISTRY.items()
    if op.samples
    for letter in "dfD"
    if letter in "df" or letter in op.dtypes
]
NATIVE = {*SCALAR, *LOGICAL, "where", "astype"}
POINTWISE = [op for op in REGISTRY.values() if op.family == "pointwise" and op.lower in NATIVE]

# Relative to the size of the result. Arithmetic is exact; elementary functions are those of the C library, whose vector
# versions are right to 4 units in the last place; NumPy's own are others.
TOLERANCE = {"f": 1e-6, "d": 2e-15}
SUMS = {"f": 1e-5, "d": 1e-13}
EXACT = {
    "add", "subtract", "multiply", "divide", "negative", "square", "reciprocal", "sqrt", "scale", "stop_gradient",
    "greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "isnan", "isfinite", "isinf", "signbit",
    "fabs", "absolute", "sign", "floor", "ceil", "trunc", "rint", "copysign", "where", "astype", "logical_and",
    "logical_or", "logical_xor", "logical_not", "reshape", "permute", "broadcast_to", "slice", "embed", "gather", "put",
    "put_slice", "concatenate", "max", "min", "any", "all",
}  # fmt: skip
SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -5e-324, 1e-310, 1.5e-39, 1e308, -1e308, 1.0, -1.0, 0.5,
                    -0.5, 2.0, -2.5, 3.5, 1e-8, 20.0, -20.0, 300.0, 750.0, -750.0, 1e10])  # fmt: skip


def samples(op: Op, letter: str) -> list[tuple[list[Any], dict[str, Any]]]:
    rng = np.random.default_rng(0)
    assert op.samples is not None
    cases = []
    for values, params in op.samples(rng):
        cast = []
        for value in values:
            value = np.asarray(value)
            if value.dtype == float:
                value = value + 0.3j * rng.uniform(-1, 1, value.shape) if letter == "D" else value.astype(letter)
            cast.append(value[()])
        cases.append((cast, params))
    return cases


def build(op: Op, values: list[Any], params: dict[str, Any]) -> tuple[list[Node], list[Node]]:
    builder = Builder()
    inputs = [builder.input(Spec.of(value)) for value in values]
    KEEP.append(builder)
    node = op(*inputs, **params)
    outputs = [node] if isinstance(node.spec, Spec) else [ir.item(node, k) for k in range(len(node.spec))]
    return inputs, outputs


KEEP: list[Builder] = []


def same(found: Any, expected: Any, op: str, rtol: float | None = None) -> None:
    """Dtype, shape, kind of object and value."""
    expected = np.asarray(expected)[()]
    assert type(found) is type(expected), (type(found), type(expected))
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if expected.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, expected)
        return
    single = expected.dtype in (np.float32, np.complex64)
    if rtol is None:
        rtol = 0.0 if op in EXACT else TOLERANCE["f" if single else "d"]
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=0.0)
    if rtol == 0.0 and op not in ("max", "min") and expected.dtype.kind == "f":
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found)[numbers], np.signbit(expected)[numbers])


def reference(outputs: list[Node], inputs: list[Node], values: list[Any]) -> list[Any]:
    return ir.evaluate(outputs, dict(zip(inputs, values, strict=True)))


def check(inputs: list[Node], outputs: list[Node], values: list[Any], op: str, rtol: float | None = None) -> None:
    code = Executable(inputs, outputs)
    for _ in range(2):  # memory is used again
        for found, expected in zip(code(values), reference(outputs, inputs, values), strict=True):
            same(found, expected, op, rtol)


@pytest.mark.parametrize(("op", "letter"), CASES)
def test_alone(op: Op, letter: str) -> None:
    for values, params in samples(op, letter):
        inputs, outputs = build(op, values, params)
        sums = op.family in ("contraction", "opaque") or op.name in ("sum", "cumsum", "prod")
        check(inputs, outputs, values, op.name, SUMS["f" if letter == "f" else "d"] if sums else None)


def special(dtype: str, count: int = 40) -> np.ndarray:
    if dtype == "d":
        return np.resize(SPECIAL, count)
    if dtype == "f":
        with np.errstate(all="ignore"):
            return np.resize(np.append(SPECIAL, [1e-40, 3e38]), count).astype("f")
    if dtype == "l":
        return np.resize(np.array([0, 1, -1, 2, 7, -(2**63), 2**63 - 1, 3, -5, 10]), count)
    return np.resize(np.array([True, False, True]), count)


def known(op: Op, dtypes: tuple[str, ...]) -> bool:
    """Whether NumPy has the op for these dtypes."""
    try:
        with np.errstate(all="ignore"):
            op.evaluate(*(np.ones(2, dtype) for dtype in dtypes), **parameters(op))
            op.infer(*(Spec((2,), np.dtype(dtype)) for dtype in dtypes), **parameters(op))
    except (TypeError, ValueError, AttributeError):
        return False
    return True


def parameters(op: Op) -> dict[str, Any]:
    assert op.samples is not None
    return op.samples(np.random.default_rng(0))[0][1]


def arity(op: Op) -> int:
    assert op.samples is not None
    return len(op.samples(np.random.default_rng(0))[0][0])


PAIRS = [
    pytest.param(op, dtypes, id=f"{op.name}-{''.join(dtypes)}")
    for op in POINTWISE
    if arity(op) < 3 and op.name != "astype"
    for dtypes in itertools.product("dfl?", repeat=arity(op))
    if known(op, dtypes) and (op.name, dtypes[-1]) != ("power", "l")  # integers have no negative powers
]


@pytest.mark.parametrize(("op", "dtypes"), PAIRS)
def test_special_values(op: Op, dtypes: tuple[str, ...]) -> None:
    """Every pair of not-a-number, infinities, signed zeros, denormal, huge and tiny numbers."""
    values: list[Any] = [special(dtype) for dtype in dtypes]
    if len(values) == 2:
        values = [np.repeat(values[0], 40), np.tile(values[1], 40)]
    inputs, outputs = build(op, values, parameters(op))
    code = Executable(inputs, outputs)
    (found,), (expected,) = code(values), reference(outputs, inputs, values)
    close(found, expected, op.name, values)


def close(found: Any, expected: Any, name: str, values: list[Any]) -> None:
    assert found.dtype == expected.dtype
    if expected.dtype.kind != "f":
        bad = found != expected
    else:
        rtol = 0.0 if name in EXACT else TOLERANCE["f" if expected.dtype == np.float32 else "d"]
        tiny = 0.0 if name in EXACT else np.finfo(expected.dtype).tiny
        with np.errstate(all="ignore"):
            bad = ~np.isclose(found, expected, rtol=rtol, atol=tiny, equal_nan=True)
        if name not in ("maximum", "minimum", "fmax", "fmin"):
            bad |= (np.signbit(found) != np.signbit(expected)) & ~np.isnan(expected)
    if bad.any():
        rows = [
            (*(value[bad][k] for value in values), found[bad][k], expected[bad][k]) for k in range(min(bad.sum(), 8))
        ]
        raise AssertionError(f"{bad.sum()} wrong: {rows}")


@pytest.mark.parametrize("dtypes", [*itertools.product("dfl?", repeat=2)], ids="".join)
def test_astype(dtypes: tuple[str, str]) -> None:
    values = [special(dtypes[0])]
    inputs, outputs = build(REGISTRY["astype"], values, {"dtype": np.dtype(dtypes[1])})
    (found,), (expected,) = Executable(inputs, outputs)(values), reference(outputs, inputs, values)
    close(found, expected, "astype", values)


@pytest.mark.parametrize("dtypes", [*itertools.product("dl?", "dfl?", "dfl?")], ids="".join)
def test_where(dtypes: tuple[str, str, str]) -> None:
    values = [np.resize(special(dtype)[k:], 60) for k, dtype in enumerate(dtypes)]
    inputs, outputs = build(REGISTRY["where"], values, {})
    (found,), (expected,) = Executable(inputs, outputs)(values), reference(outputs, inputs, values)
    close(found, expected, "where", values)


REDUCTIONS = ["sum", "prod", "max", "min", "any", "all"]


@pytest.mark.parametrize("dtype", "dfl?")
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_of_special_values(name: str, dtype: str) -> None:
    """Each subset of the special numbers decides: NaN, opposite infinities, zeros of either sign."""
    op = REGISTRY[name]
    if not known(op, (dtype,)):
        pytest.skip("not in NumPy")
    rows = [[-0.0, -0.0, -0.0], [0.0, -0.0, 0.0], [np.inf, 1.0, 2.0], [np.inf, -np.inf, 1.0], [1.0, np.nan, 2.0],
            [-np.inf, -1.0, 0.0], [np.nan, np.inf, 1.0], [5e-324, 0.0, 1.0], [3.0, 1.0, -7.0]]  # fmt: skip
    if dtype in "l?":
        rows = [[0, 0, 0], [1, 2, 3], [-1, 5, 0], [2**62, 2**62, 2**62], [-(2**63), -1, 1], [0, 1, 0]]
    for array in [*map(np.array, rows), np.array(rows), np.array(rows).T.copy(), np.repeat(rows, 9, axis=1)]:
        array = array.astype(dtype)
        for axis in [(0,), (array.ndim - 1,), tuple(range(array.ndim))]:
            inputs, outputs = build(op, [array], {"axis": axis})
            (found,), (expected,) = Executable(inputs, outputs)([array]), reference(outputs, inputs, [array])
            assert type(found) is type(expected)
            if name in ("max", "min"):
                np.testing.assert_array_equal(found, expected)
            else:
                close(found, expected, "sums", [])


LOWERED = [case for case in CASES if case.values[1] != "D" and case.values[0].lower is not None]


@pytest.mark.parametrize(("op", "letter"), LOWERED)
def test_between_other_ops(op: Op, letter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments that are parts of other arrays, turned; a result that is turned, joined and spread: all in one loop."""
    monkeypatch.setattr(planning, "TINY", 0 if letter == "d" else 16)
    sums = op.family in ("contraction", "opaque") or op.name in ("sum", "cumsum", "prod")
    builder, results = Builder(), []
    inputs, given = [], []
    for values, params in samples(op, letter):
        args = []
        for value in values:
            array = np.asarray(value)
            padded = np.concatenate([np.zeros(2, array.dtype), array.ravel()[::-1], np.ones(1, array.dtype)])
            x = builder.input(Spec.of(padded))
            inputs.append(x)
            given.append(padded)
            size = array.size
            x = REGISTRY["slice"](x, index=((size + 1, 1, -1) if size else (0, 0, 1),))
            args.append(x.reshape(array.shape))
        node = op(*args, **params)
        if not isinstance(node.spec, Spec):
            node = ir.item(node, 0)
        flat = node.reshape((node.spec.size,))
        length = 2 * node.spec.size + 2
        results += [
            node,
            node.permute(range(node.ndim)[::-1]),
            REGISTRY["concatenate"](flat, REGISTRY["slice"](flat, index=((0, None, 2),)), axis=0),
            REGISTRY["embed"](flat, shape=(length,), index=((1, length - 1, 2),)),
        ]
    check(inputs, results, given, op.name, SUMS[letter] if sums else None)


LAYOUTS = {
    "strided": lambda a: np.repeat(a, 3, axis=0)[::3],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "Fortran order": np.asfortranarray,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "read-only": lambda a: np.lib.stride_tricks.as_strided(a, writeable=False),
    "inner part": lambda a: np.pad(a, 1)[1:-1, 1:-1],
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


@pytest.mark.parametrize("shape", [(3, 4), (60, 50), (1, 1), (0, 4), (5, 0)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_inputs(layout: str, shape: tuple[int, int]) -> None:
    """Small inputs are copied into the arena, large ones are read where they are."""
    values = np.arange(float(np.prod(shape))).reshape(shape) + 0.5
    x = LAYOUTS[layout](values)
    builder = Builder()
    node = builder.input(Spec.of(x))
    outputs = [node * 2.0, node.mT, node.sum((0,)), node]
    kept = x.copy()
    for found, expected in zip(
        Executable([node], outputs)([x]), [values * 2, values.T, values.sum(0), values], strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("count", [15, 2047, 2049, 5000, 100_000])
@pytest.mark.parametrize("dtype", "df")
def test_sums_are_as_accurate_as_numpys(count: int, dtype: str) -> None:
    """By the root mean square of the errors over several arrays, some with all signs, some with one."""
    rng = np.random.default_rng(4)
    inputs, outputs = build(REGISTRY["sum"], [np.zeros(count, dtype)], {"axis": (0,)})
    code = Executable(inputs, outputs)
    errors = []
    for k in range(40):
        x = (rng.normal(size=count) * 10.0 ** rng.integers(-3, 3, count)).astype(dtype)
        x = np.abs(x) if k % 2 else x
        exact = math.fsum(x.astype(float))
        unit = float(np.finfo(x.dtype).eps) * math.fsum(np.abs(x.astype(float)))
        errors.append([(float(found) - exact) / unit for found in (code([x])[0], np.sum(x))])
    ours, numpys = np.sqrt(np.mean(np.square(errors), axis=0))
    assert ours <= 1.25 * numpys  # both are chance
