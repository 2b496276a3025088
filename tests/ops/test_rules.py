"""Every op from its declaration alone: a new op is tested the day it is declared."""

from __future__ import annotations

import itertools
import re
import warnings
from typing import Any

import numpy as np
import pytest

import chainrule  # noqa: F401  (fills the registry)
from chainrule import ir
from chainrule.edges import Edge, push
from chainrule.errors import NotDifferentiableError
from chainrule.ir import REGISTRY, Builder, Node, Op
from chainrule.types import Spec

OPS = [pytest.param(op, id=name) for name, op in REGISTRY.items()]


def dtypes(op: Op) -> list[str]:
    """Return the dtypes to test: one for all floating-point arguments, or two that alternate."""
    values, _ = op.samples(np.random.default_rng(0))[0]
    several = sum(np.asarray(value).dtype == float for value in values) > 1
    mixed = [a + b for a, b in ("fd", "df", "dD", "Dd", "fD") if {a, b} <= set(op.dtypes)] if several else []
    return [*op.dtypes, *mixed]


CASES = [pytest.param(op, letters, id=f"{name}-{letters}") for name, op in REGISTRY.items() for letters in dtypes(op)]
SYMMETRIC = {"cholesky", "eigh", "eigvalsh", "mirrored"}  # as functions of the Hermitian part (docs/decisions/0010)
BY_SCHUR = {"expm", "frechet", "stein", "sylvester"}  # computed by what is not analytic: no complex step
BY_DESIGN = {"host", "stop_gradient"}  # derivative declared zero whatever the function is

# Relative to the size of the largest partial.
TOLERANCE = {"f": 5e-5, "d": 1e-9}
SECOND_ORDER = {"f": 5e-3, "d": 1e-7}  # the reference is a difference of float64 numbers
ROUGH = {  # where SciPy's own values are no better: solutions of equations, and numbers by differences
    **dict.fromkeys(["bdtrin", "btdtrib", "chdtriv", "fdtridfd", "nbdtrik", "stdtridf", "stdtrit"], 1e-6),
    **dict.fromkeys(["itairy_ai", "itairy_bi", "itairy_ai_left", "itairy_bi_left", "nctdtridf", "nctdtrinc"], 1e-5),
    **dict.fromkeys(["ncfdtridfd", "ncfdtridfn", "ncfdtrinc", "smirnovi"], 3e-3),
}  # fmt: skip
EXACT = {"f": 1e-5, "d": 1e-11}  # the same sums in another order


def within(table: dict[str, float], letters: str) -> float:
    return table["f" if "f" in letters else "d"]


def allowed(op: Op, table: dict[str, float], letters: str) -> float:
    """Return the tolerance for an op, which is wider where the function itself is not exact."""
    rough = 1e-5 if re.search(r"_wrt_\d$", op.name) else ROUGH.get(op.name, 0.0)
    return max(within(table, letters), rough if table is TOLERANCE else 30 * rough)


def samples(op: Op, letters: str, seed: int = 0) -> list[tuple[list[Any], dict[str, Any]]]:
    """Return an op's samples with the floating-point arguments in dtypes; complex ones get an imaginary part."""
    rng = np.random.default_rng(seed)
    cases = []
    for values, params in op.samples(rng):
        cast: list[Any] = []
        following = itertools.cycle(letters)
        for value in values:
            value = np.asarray(value)
            if value.dtype == float:
                letter = next(following)
                value = value + 0.3j * rng.uniform(-1, 1, value.shape) if letter == "D" else value.astype(letter)
            cast.append(value[()])
        cases.append((cast, params))
    return cases


def hermitian(x: Any) -> Any:
    return 0.5 * (x + np.conj(np.swapaxes(x, -1, -2)))


def definition(op: Op, index: int | None, params: dict[str, Any]) -> Any:
    """Return the function that the op's edges differentiate."""

    def f(*values: Any) -> Any:
        if op.name in SYMMETRIC:
            values = tuple(map(hermitian, values))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)  # complex numbers put into a real array
            y = op.evaluate(*values, **params)
        return y if index is None else y[index]

    return f


def apply(op: Op, values: list[Any], params: dict[str, Any]) -> tuple[list[Node], list[Node], Builder]:
    """Return the input nodes, the result nodes (several where the op has several), and the builder that owns them."""
    if op.name in SYMMETRIC:
        values = list(map(hermitian, values))
    builder = Builder()
    inputs = [builder.input(Spec.of(value), value) for value in values]
    node = builder.emit(op, tuple(inputs), params)
    results = [ir.item(node, k) for k in range(len(node.spec))] if isinstance(node.spec, tuple) else [node]
    return inputs, results, builder


def basis(spec: Spec) -> np.ndarray:
    """Return the unit tangents of a Spec as a real vector space: e_k and, where complex, i e_k."""
    unit = np.eye(spec.size, dtype=spec.dtype)
    rows = np.concatenate([unit, 1j * unit]) if spec.is_complex else unit
    return rows.reshape(len(rows), *spec.shape)


def real_parts(rows: Any, spec: Spec) -> np.ndarray:
    """Return arrays, stacked in front, as columns of real numbers: real parts, then imaginary parts if complex."""
    rows = np.asarray(rows).reshape(len(rows), spec.size)
    return (np.concatenate([rows.real, rows.imag], 1) if spec.is_complex else rows).T


def real_matrix(edge: Edge, builder: Builder) -> np.ndarray:
    """Return an edge as a matrix over the real numbers."""
    directions = basis(edge.source)
    (rows,) = ir.evaluate([edge.apply_batched(builder.constant(directions))])
    assert rows.shape == (len(directions), *edge.target.shape)
    assert rows.dtype == edge.target.dtype
    return real_parts(rows, edge.target)


def differences(f: Any, values: list[Any], k: int, spec: Spec, analytic: bool) -> np.ndarray:
    """Return the Jacobian of f with respect to values[k] as a matrix over the real numbers, in higher precision.

    By the complex step where f is analytic and real, else by central differences, twice extrapolated (Richardson),
    in np.longdouble where f computes in it.
    """
    wide = [np.asarray(value).astype(np.asarray(value).dtype.char.replace("f", "d")) for value in values]
    source = Spec.of(wide[k])
    columns = []
    if analytic and not spec.is_complex and not any(map(np.iscomplexobj, wide)):
        for direction in basis(source):
            shifted = [x + (1e-30j * direction if j == k else 0j) if is_inexact(x) else x for j, x in enumerate(wide)]
            columns.append(np.imag(f(*shifted)) / 1e-30)
        return real_parts(np.reshape(columns, (len(columns), *spec.shape)), spec)
    step = 1e-3
    longer = [x.astype({"c": np.clongdouble, "f": np.longdouble}[x.dtype.kind]) for x in wide if x.dtype.kind in "fc"]
    if len(longer) == len(wide) and supports(f, longer):
        wide = longer
    for direction in basis(source):
        direction = direction.astype(wide[k].dtype)

        def central(h: float, direction: Any = direction) -> Any:
            ends = [f(*(x + s * h * direction if j == k else x for j, x in enumerate(wide))) for s in (1, -1)]
            return (np.asarray(ends[0]) - ends[1]) / (2 * h)

        one, two, four = central(step), central(2 * step), central(4 * step)
        columns.append((64 * one - 20 * two + four) / 45)
    return real_parts(np.reshape(columns, (len(columns), *spec.shape)), spec)


def supports(f: Any, values: list[Any]) -> bool:
    try:
        return np.asarray(f(*values)).dtype.char in "gG"
    except (TypeError, ValueError):
        return False


def is_inexact(value: Any) -> bool:
    return np.asarray(value).dtype.kind in "fc"


def assert_close(found: Any, expected: Any, tolerance: float, what: str) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected.astype(found.dtype), rtol=0, atol=tolerance * scale, err_msg=what)


def edges_of(op: Op, letters: str) -> Any:
    """Yield every differentiable argument of every sample: (edge or None, k, index of the result, ...)."""
    for values, params in samples(op, letters):
        inputs, results, builder = apply(op, values, params)
        values = [node.value for node in inputs]
        for index, result in enumerate(results):
            if not result.spec.is_inexact:
                continue
            f = definition(op, index if len(results) > 1 else None, params)
            for k, value in enumerate(values):
                if is_inexact(value):
                    yield op.edge, k, result, values, f, builder, inputs


def refuses(op: Op, k: int, result: Node) -> bool:
    """Whether an op declares by words that this derivative does not exist; then the words have to be there."""
    try:
        op.edge(k, result)
    except NotDifferentiableError as error:
        name, _, words = str(error).partition(": ")
    else:
        return False
    assert name == op.name
    assert words
    return True


# -- declarations --------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS)
def test_a_declaration_is_complete(op: Op) -> None:
    assert REGISTRY[op.name] is op
    assert op.doc
    assert op.family in ("pointwise", "structural", "reduction", "contraction", "opaque")
    assert op.samples is not None, "without samples no rule is tested"
    one, two = (op.samples(np.random.default_rng(0)) for _ in range(2))
    assert len(one) == len(two) > 0
    for (a, _), (b, _) in zip(one, two, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("family", ["pointwise", "structural", "reduction", "contraction"])
def test_samples_of_a_family_have_scalars_and_arrays_of_size_0_and_1(family: str) -> None:
    for op in REGISTRY.values():
        if op.family == family:
            sizes = {np.asarray(x).size for values, _ in op.samples(np.random.default_rng(0)) for x in values}
            assert {0, 1} <= sizes, f"{op.name} has no samples of size 0 and 1"


# -- shape and dtype -----------------------------------------------------------------------------------


def combinations(values: list[Any]) -> Any:
    """Yield the values in all combinations of dtypes of their floating-point arguments."""
    places = [k for k, value in enumerate(values) if np.asarray(value).dtype == float]
    letters = "fdqFD?" if len(places) < 3 else "fd"
    for chosen in itertools.product(letters, repeat=len(places)):
        cast = list(values)
        for k, letter in zip(places, chosen, strict=True):
            cast[k] = np.asarray(values[k]).astype(letter)[()]
        yield chosen, cast


@pytest.mark.parametrize("op", OPS)
def test_the_inferred_spec_is_that_of_the_result(op: Op) -> None:
    tried = 0
    for case, (values, params) in enumerate(samples(op, "d")):
        for chosen, cast in combinations(values):
            if case > 1 and len(set(chosen)) > 1:
                continue  # promotion does not depend on shapes
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a complex number that loses its imaginary part
                try:
                    y = op.evaluate(*cast, **params)
                except (TypeError, ValueError, np.linalg.LinAlgError):
                    continue  # NumPy refuses this dtype, or a matrix of integers is singular
            tried += 1
            found = op.infer(*map(Spec.of, cast), **params)
            expected = tuple(map(Spec.of, y)) if isinstance(y, tuple) else Spec.of(y)
            assert found == expected, f"{op.name} of {chosen}: {found} is not {expected}"
    assert tried


@pytest.mark.parametrize("number", [2, 2.5, 1j])
@pytest.mark.parametrize("letter", "fdqF")
def test_a_python_number_takes_part_in_promotion_as_in_numpy(letter: str, number: Any) -> None:
    tried = 0
    for op in REGISTRY.values():
        if not (hasattr(np, op.name) and isinstance(op.evaluate, np.ufunc) and op.evaluate.signature is None
                and op.evaluate.nin == 2 and any(loop[0] == loop[1] for loop in op.evaluate.types)):  # fmt: skip
            continue
        x = np.ones(2, letter)
        builder = Builder()
        node = builder.input(Spec.of(x), x)
        for swap in (False, True):
            try:
                y = op.evaluate(*((number, x) if swap else (x, number)))
            except TypeError:
                continue
            tried += 1
            result = op(number, node) if swap else op(node, number)
            assert result.spec == Spec.of(y), op.name
            (value,) = ir.evaluate([result])
            np.testing.assert_array_equal(value, y, err_msg=op.name)
    assert tried > 20 or (number == 1j and tried)


# -- edges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "letters"), CASES)
def test_edges_agree_with_differences(op: Op, letters: str) -> None:
    for edge_of, k, result, values, f, builder, _ in edges_of(op, letters):
        what = f"{op.name} of {[Spec.of(v) for v in values]}, argument {k}"
        if refuses(op, k, result):
            continue
        edge = edge_of(k, result)
        if edge is None:
            if op.name not in BY_DESIGN:
                assert not differences(f, values, k, result.spec, False).any(), what
            continue
        assert edge.source == Spec.of(values[k]), what
        assert edge.target == result.spec, what
        matrix = real_matrix(edge, builder)
        analytic = "D" in op.dtypes and op.name not in SYMMETRIC | BY_SCHUR and is_analytic(op, k, len(values))
        assert_close(matrix, differences(f, values, k, result.spec, analytic), allowed(op, TOLERANCE, letters), what)


def is_analytic(op: Op, k: int, arity: int) -> bool:
    """Whether the op is an analytic function of all its arguments: no edge of complex samples is only real-linear."""
    for edge_of, j, result, *_ in edges_of(op, "D"):
        edge = edge_of(j, result)
        if not result.spec.is_complex or (edge is not None and not edge.is_algebraic):
            return False
    return True


@pytest.mark.parametrize(("op", "letters"), CASES)
def test_the_transpose_pairs_as_it_should(op: Op, letters: str) -> None:
    """<y_bar, J x_dot> = <Jᵀ y_bar, x_dot> for all pairs of unit vectors, with the pairing Re(Σ y_bar · y_dot)."""
    for edge_of, k, result, values, _, builder, _ in edges_of(op, letters):
        if refuses(op, k, result):
            continue
        edge = edge_of(k, result)
        if edge is None:
            continue
        forward, backward = real_matrix(edge, builder), real_matrix(edge.transpose(), builder)
        pairing = [np.repeat([1, -1], spec.size)[: len(basis(spec)), None] for spec in (edge.source, edge.target)]
        expected = (forward * pairing[1]).T * pairing[0]
        assert_close(backward, expected, within(EXACT, letters), f"{op.name} of {[Spec.of(v) for v in values]}, {k}")


@pytest.mark.parametrize(("op", "letters"), CASES)
def test_dense_pattern_and_unit_of_edges(op: Op, letters: str) -> None:
    for edge_of, k, result, values, _, builder, _ in edges_of(op, letters):
        if refuses(op, k, result):
            continue
        edge = edge_of(k, result)
        if edge is None:
            continue
        what = f"{op.name} of {[Spec.of(v) for v in values]}, argument {k}"
        matrix = real_matrix(edge, builder)
        m, n = edge.target.size, edge.source.size
        pattern = edge.pattern()
        assert pattern.shape == (m, n), what
        assert pattern.dtype == bool, what
        blocks = [matrix[i : i + m, j : j + n] for i in range(0, len(matrix), m or 1)
                  for j in range(0, matrix.shape[1], n or 1)]  # fmt: skip
        for block in blocks:
            assert not (block.astype(bool) & ~pattern.toarray()).any(), f"{what}: nonzeros outside the pattern"
        if edge.unit is not None:
            assert edge.unit in (1, -1), what
            assert set(np.unique(matrix)) <= {0, edge.unit}, what
        if edge.is_algebraic:
            (dense,) = ir.evaluate([edge.dense(builder)])
            assert dense.shape == edge.shape == (*edge.target.shape, *edge.source.shape), what
            assert_close(real_parts(np.reshape(dense, (m, n)).T, edge.target.with_shape((m,))),
                         matrix[:, :n], within(EXACT, letters), what)  # fmt: skip
        assert edge.describe() == str(edge) != "", what


@pytest.mark.parametrize(("op", "letters"), CASES)
def test_second_order(op: Op, letters: str) -> None:
    """The change of ``edge.apply(v)`` with each argument, by differentiating its nodes, against differences."""
    rng = np.random.default_rng(1)
    for edge_of, k, result, values, _, builder, inputs in edges_of(op, letters):
        if refuses(op, k, result):
            continue
        edge = edge_of(k, result)
        if edge is None:
            continue
        v = draw(rng, edge.source)
        first = edge.apply(builder.constant(v))
        for j, x in enumerate(inputs):
            if not x.spec.is_inexact or not x.spec.size or not first.spec.size:
                continue
            what = f"{op.name} of {[Spec.of(value) for value in values]}, arguments {k} and {j}"
            x_dot = draw(rng, x.spec)
            try:
                (second,) = push({x: builder.constant(x_dot)}, [first])
            except NotDifferentiableError:
                continue  # by words of another op, which has its own test
            found = ir.evaluate([second])[0] if second is not None else np.zeros(first.shape, first.dtype)
            expected = along(first, inputs, values, j, hermitian(x_dot) if op.name in SYMMETRIC else x_dot)
            assert_close(found, expected, allowed(op, SECOND_ORDER, letters), what)
            assert np.asarray(found).dtype == first.dtype, what


def draw(rng: np.random.Generator, spec: Spec) -> Any:
    v = rng.normal(size=spec.shape)
    if spec.is_complex:
        v = v + 1j * rng.normal(size=spec.shape)
    return np.asarray(v).astype(spec.dtype)[()]


def along(node: Node, inputs: list[Node], values: list[Any], j: int, direction: Any) -> Any:
    """Return the derivative of a node in one direction by extrapolated differences; float32 graphs run in float64."""
    wide = {x: np.asarray(v).astype(v.dtype.char.replace("f", "d"))[()] for x, v in zip(inputs, values, strict=True)}

    def central(h: float) -> Any:
        ends = [ir.evaluate([node], wide | {inputs[j]: wide[inputs[j]] + s * h * direction})[0] for s in (1, -1)]
        return (np.asarray(ends[0]) - ends[1]) / (2 * h)

    # Constants and casts inside a float32 graph round to float32: a larger step drowns them.
    h = 1e-3 if np.asarray(values[j]).dtype.char in "dD" else 4e-3
    return (64 * central(h) - 20 * central(2 * h) + central(4 * h)) / 45


# -- batching ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("count", [3, 1, 0])
def test_a_batch_agrees_with_a_loop(op: Op, count: int) -> None:
    stacks = [samples(op, "d", seed) for seed in range(max(count, 1))]
    for case, (values, params) in enumerate(stacks[0]):
        rows = [[varied(x, j) for x in stack[case][0]] for j, stack in enumerate(stacks)]
        for flags in itertools.product([False, True], repeat=len(values)):
            if not any(flags):
                continue
            what = f"{op.name} of {[Spec.of(v) for v in values]}, batched {flags}"
            inputs, results, builder = apply(op, values, params)
            batched = {
                x: builder.constant(np.stack([row[k] for row in rows])[:count])
                for k, (x, flag) in enumerate(zip(inputs, flags, strict=True))
                if flag
            }
            found = ir.evaluate(ir.batch(results, batched))
            for index, (node, value) in enumerate(zip(results, found, strict=True)):
                assert value.shape == (count, *node.shape), what
                for j in range(count):
                    args = [row if flag else x for row, x, flag in zip(rows[j], values, flags, strict=True)]
                    y = op.evaluate(*args, **params)
                    y = y[index] if isinstance(y, tuple) else y
                    assert value.dtype == np.asarray(y).dtype, what
                    np.testing.assert_allclose(value[j], y, rtol=1e-12, atol=1e-12, err_msg=what)


def varied(x: Any, j: int) -> Any:
    """Return other places for the j-th row of a batch of index arrays."""
    x = np.asarray(x)
    return np.roll(x, j, -1) if x.dtype.kind in "iu" and x.ndim else x
