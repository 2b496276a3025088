"""Every mode and every order of elimination gives the same derivative, on the functions of the zoo."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import tree
from chainrule.edges import zeros
from chainrule.interpret import run
from chainrule.ir import Program
from chainrule.tracing import trace_function
from chainrule.transforms.eliminate import eliminate, vertices
from zoo import CASES, COMPLEX, DATACLASS, HOLOMORPHIC, IN_PLACE, Case, functions_with

MODES = ("forward", "reverse", "eliminate")
ALGEBRAIC = [case for case in CASES if case.name not in COMPLEX - HOLOMORPHIC]
"""Where a whole Jacobian is defined: real functions and holomorphic ones."""
RTOL = 1e-10  # double precision, and sums in another order
PATHS = 3000  # up to which the sum over all paths is formed


def varied(leaf: Any) -> bool:
    return np.asarray(leaf).dtype.kind in "fc"


def argnums(case: Case) -> tuple[int, ...]:
    """The arguments of real or complex numbers."""
    return tuple(k for k, arg in enumerate(case.args) if all(map(varied, tree.flatten(arg)[0])))


def restricted(case: Case, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """The function of those arguments alone, and they."""
    places = argnums(case)

    def f(*chosen: Any) -> Any:
        passed = list(args)
        for k, arg in zip(places, chosen, strict=True):
            passed[k] = arg
        return case.f(*passed)

    return f, tuple(args[k] for k in places)


def is_scalar(case: Case) -> bool:
    y = case.f(*case.args)
    return isinstance(y, float | np.floating)


def assert_close(found: Any, expected: Any, rtol: float = RTOL) -> None:
    (one, structure), (two, wanted) = tree.flatten(found), tree.flatten(expected)
    assert structure == wanted
    size = max((np.max(np.abs(leaf), initial=0.0) for leaf in two), default=0.0)
    for a, b in zip(one, two, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(size, 1.0))


def single(arg: Any) -> Any:
    """The same in single precision."""
    return tree.map_leaves(lambda leaf: narrow(leaf) if varied(leaf) else leaf, arg)


def narrow(leaf: Any) -> Any:
    return np.asarray(leaf).astype(np.complex64 if np.iscomplexobj(leaf) else np.float32)[()]


# -- first derivatives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_differences(case: Case) -> None:
    check = cr.check_derivatives(case.f, *case.args)
    assert check.comparisons > 0
    assert check.error < 1e-6


@pytest.mark.parametrize("case", ALGEBRAIC, ids=str)
def test_jacobians_agree(case: Case) -> None:
    forward, reverse, eliminated = (cr.jacobian(case.f, argnums(case), mode=mode)(*case.args) for mode in MODES)
    assert_close(reverse, forward)
    assert_close(eliminated, forward)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_any_order_of_elimination(case: Case) -> None:
    """Edges from inputs to outputs, applied to a tangent, against a forward sweep."""
    rng = np.random.default_rng(1)
    traced = trace_function(case.f, case.args, argnums(case))
    program, builder = traced.program, traced.program.builder
    dots = [(rng.normal(size=node.shape) + 1j * rng.normal(size=node.shape) * node.spec.is_complex) for node in
            program.inputs]  # fmt: skip
    dots = [np.asarray(dot if node.spec.is_complex else np.real(dot), node.dtype)[()]
            for dot, node in zip(dots, program.inputs, strict=True)]  # fmt: skip
    everything = vertices(program)
    orders = ["forward", "reverse", *(list(rng.permutation(np.array(everything, object))) for _ in range(2))]
    found = []
    for order in orders:
        heads = [builder.input(node.spec) for node in program.inputs]
        outputs = []
        for y, row in zip(program.outputs, eliminate(program, order), strict=True):
            total = zeros(builder, y.spec)
            for edge, head in zip(row, heads, strict=True):
                total = total if edge is None else total + edge.apply(head)
            outputs.append(total)
        found.append(run(Program((*program.inputs, *heads), tuple(outputs), builder), [*traced.bound, *dots]))
    tangents = iter(dots)
    f, primals = restricted(case, case.args)
    rebuilt = tree.map_leaves(lambda _: next(tangents), primals)
    expected = tree.flatten(cr.jvp(f, primals, rebuilt)[1])[0]
    for order, columns in zip(orders, found, strict=True):
        assert len(columns) == len(expected), order
        assert_close(columns, expected)


@pytest.mark.parametrize("case", ALGEBRAIC, ids=str)
def test_sum_over_paths(case: Case) -> None:
    """The plainest way: one product for each path, where there are not too many."""
    f, chosen = restricted(case, case.args)
    graph = cr.trace(f, *chosen)
    if graph.count_paths() > PATHS:
        pytest.skip("too many paths")
    wanted = iter(tree.flatten(cr.jacobian(f, tuple(range(len(chosen))))(*chosen))[0])
    reached = 0
    for y in graph.outputs:
        for x in graph.inputs:
            products = [path.product for path in graph.paths(x, y)]
            reached += len(products)
            expected = next(wanted)
            assert_close(np.sum(products, axis=0) if products else np.zeros_like(expected), expected)
    assert next(wanted, None) is None
    assert reached == graph.count_paths()


# -- values, dtypes, other libraries ---------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
def test_single_precision(case: Case) -> None:
    """Values have NumPy's dtypes, cotangents those of their arguments, and both are nearly right."""
    args = single(case.args)
    f, chosen = restricted(case, args)
    plain, structure = tree.flatten(case.f(*args))
    y, pullback = cr.vjp(f, *chosen)
    values, found = tree.flatten(y)
    assert found == structure
    assert [np.asarray(value).dtype for value in values] == [np.asarray(value).dtype for value in plain]
    exact = tree.flatten(case.f(*case.args))[0]
    assert_close(values, exact, 2e-3)
    bars = pullback(tree.map_leaves(np.ones_like, y))
    assert [leaf.dtype for leaf in tree.flatten(bars)[0]] == [leaf.dtype for leaf in tree.flatten(chosen)[0]]
    tangent = cr.jvp(f, chosen, tree.map_leaves(np.ones_like, chosen))[1]
    assert [leaf.dtype for leaf in tree.flatten(tangent)[0]] == [np.asarray(value).dtype for value in values]


@pytest.fixture(scope="module")
def jax_functions() -> Any:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    return functions_with("jax.numpy")


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in IN_PLACE | DATACLASS], ids=str)
def test_agrees_with_jax(case: Case, jax_functions: Any) -> None:
    import jax

    ours, chosen = restricted(case, case.args)
    jaxed, _ = restricted(dataclasses.replace(case, f=getattr(jax_functions, case.name)), case.args)
    rng = np.random.default_rng(2)
    y, pullback = cr.vjp(ours, *chosen)
    bars = [rng.normal(size=np.shape(leaf)).astype(np.asarray(leaf).dtype)[()] for leaf in tree.flatten(y)[0]]
    z, jax_pullback = jax.vjp(jaxed, *chosen)
    values, structure = jax.tree.flatten(z)
    assert_close(tree.flatten(y)[0], [np.asarray(value) for value in values])
    found = tree.flatten(pullback(tree.unflatten(tree.flatten(y)[1], bars)))[0]
    expected = jax.tree.leaves(jax_pullback(jax.tree.unflatten(structure, map(jax.numpy.asarray, bars))))
    assert_close(found, [np.asarray(value) for value in expected])


# -- second derivatives ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in ALGEBRAIC if is_scalar(case)], ids=str)
def test_second_order(case: Case) -> None:
    """Hessians in every mode, and products with them, by every pairing of modes."""
    f, chosen = restricted(case, case.args)
    every = tuple(range(len(chosen)))
    gradient = cr.grad(f, every)
    hessian = cr.hessian(f, every)(*chosen)
    for mode in MODES:
        assert_close(cr.jacobian(gradient, every, mode=mode)(*chosen), hessian, 1e-9)
    rng = np.random.default_rng(3)
    v = tree.map_leaves(lambda leaf: rng.normal(size=np.shape(leaf))[()], chosen)
    columns = tree.flatten(v)[0]

    def contracted(x: Any) -> Any:
        """One number or array per row of the Hessian: the blocks times v."""
        blocks = tree.flatten(hessian)[0]
        start = len(columns) * x
        pairs = zip(blocks[start : start + len(columns)], columns, strict=True)
        return sum(np.tensordot(block, column, np.ndim(column)) for block, column in pairs)

    expected = [contracted(k) for k in range(len(columns))]
    product = cr.hvp(f, chosen, v)
    assert_close(tree.flatten(product)[0], expected, 1e-9)

    def slope(*chosen: Any) -> Any:
        return cr.jvp(f, chosen, v)[1]

    assert_close(tree.flatten(cr.grad(slope, every)(*chosen))[0], expected, 1e-9)
    _, pullback = cr.vjp(gradient, *chosen)
    assert_close(tree.flatten(pullback(v))[0], expected, 1e-9)
    curvature = sum(np.sum(a * b) for a, b in zip(expected, columns, strict=True))
    assert_close(cr.jvp(slope, chosen, v)[1], curvature, 1e-9)
