"""Products against einsum: by loops, by BLAS, inside other loops; every layout of the factors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule  # noqa: F401  (fills the registry)
from chainrule import ir
from chainrule.ir import REGISTRY, Builder
from chainrule.llvm.executable import Executable
from chainrule.types import Spec

SUBSCRIPTS = [
    "ij,jk->ik", "ij,kj->ik", "ji,jk->ik", "ji,kj->ik", "ij,jk->ki", "ij,j->i", "ji,j->i", "i,ij->j", "j,ij->i",
    "bij,bjk->bik", "bij,bkj->bki", "bij,jk->bik", "ibj,bjk->bik", "ij,ij->", "ij,ij->i", "ij,ji->", "i,j->ij",
    "i,j->ji", "ijk,kl->ijl", "ijk,jkl->il", "ijk,kjl->il", "ij,kl->ikjl", "ijk,ik->ji", "bi,bj->bij", "i,i->i",
    ",ij->ji", "ij,->ij", "ij,jk->i",
]  # fmt: skip
TOLERANCE = {"d": 1e-13, "f": 2e-6}  # relative to the sum of the sizes of the terms


def compare(op: str, subscripts: str, a: np.ndarray, b: np.ndarray, before: Any = None) -> None:
    builder = Builder()
    inputs = [builder.input(Spec.of(each)) for each in (a, b)]
    factors = before(*inputs) if before else inputs
    node = REGISTRY[op](*factors, **({"subscripts": subscripts} if op != "matmul" else {}))
    outputs = [node, node * 2.0]
    found = Executable(inputs, outputs)([a, b])
    expected = ir.evaluate(outputs, dict(zip(inputs, [a, b], strict=True)))
    for one, two in zip(found, expected, strict=True):
        two = np.asarray(two)[()]
        assert type(one) is type(two)
        assert one.dtype == two.dtype
        assert one.shape == two.shape
        size = np.max(np.abs(two), initial=1.0, where=np.isfinite(two))
        np.testing.assert_allclose(one, two, rtol=0, atol=TOLERANCE[two.dtype.char] * size)


def factors(subscripts: str, sizes: dict[str, int], dtype: str, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    left, _, _ = subscripts.partition("->")
    return [np.asarray(rng.normal(size=[sizes[c] for c in part]), dtype) for part in left.split(",")]


SIZES = [
    ((2, 3, 2, 2, 2), "d"),
    ((9, 7, 8, 5, 3), "f"),
    ((20, 31, 25, 6, 2), "d"),
    ((1, 40, 30, 2, 1), "d"),
    ((40, 1, 30, 1, 3), "f"),
    ((0, 3, 2, 2, 2), "d"),
    ((2, 0, 2, 2, 2), "d"),
]


@pytest.mark.parametrize("subscripts", SUBSCRIPTS)
@pytest.mark.parametrize("op", ["einsum", "contract"])
def test_layouts(op: str, subscripts: str) -> None:
    if op not in REGISTRY:
        pytest.skip("no such op")
    letters = "ijklb"
    for sizes, dtype in SIZES:
        compare(op, subscripts, *factors(subscripts, dict(zip(letters, sizes, strict=True)), dtype))


VIEWS = {
    "transposed": lambda a: a.permute((1, 0)),
    "every second row": lambda a: REGISTRY["slice"](a, index=((0, None, 2), (0, None, 1))),
    "rows backwards": lambda a: REGISTRY["slice"](a, index=((a.shape[0] - 1, None, -1), (0, None, 1))),
    "columns backwards": lambda a: REGISTRY["slice"](a, index=((0, None, 1), (a.shape[1] - 1, None, -1))),
    "inner part": lambda a: REGISTRY["slice"](a, index=((1, None, 1), (1, -1, 1))),
    "every third column": lambda a: REGISTRY["slice"](a, index=((0, None, 1), (1, None, 3))),
    "one row, repeated": lambda a: REGISTRY["slice"](a, index=((2, 3, 1), (0, None, 1))).broadcast_to(a.shape),
    "one column, repeated": lambda a: REGISTRY["slice"](a, index=((0, None, 1), (2, 3, 1))).broadcast_to(a.shape),
    "computed": lambda a: a * 2.0 + 1.0,
    "computed, then a part": lambda a: REGISTRY["slice"](a * 2.0, index=((1, None, 1), (0, None, 2))),
    "in another shape": lambda a: a.reshape((a.shape[0] // 2, 2, a.shape[1])).permute((1, 0, 2)).reshape(a.shape),
}


@pytest.mark.parametrize("size", [6, 32])
@pytest.mark.parametrize(("first", "second"), [*itertools.product(VIEWS, repeat=2)][::3])
def test_factors_that_are_views(first: str, second: str, size: int) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, size, size))

    def before(a: ir.Node, b: ir.Node) -> list[ir.Node]:
        one, two = VIEWS[first](a), VIEWS[second](b)
        inner = min(one.shape[1], two.shape[0])
        cut = REGISTRY["slice"]
        return [cut(one, index=((0, None, 1), (0, inner, 1))), cut(two, index=((0, inner, 1), (0, None, 1)))]

    compare("matmul", "", a, b, before)


SHAPES = [
    ((3, 4), (4, 5)), ((4,), (4, 30)), ((50, 4), (4,)), ((7,), (7,)), ((2, 3, 4), (4, 3)), ((5, 1, 3, 4), (2, 4, 3)),
    ((60, 70), (70,)), ((90, 60), (60, 80)), ((0, 3), (3, 2)), ((3, 0), (0, 2)), ((1, 1), (1, 1)),
    ((300, 300), (300, 1)), ((1, 300), (300, 20)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtypes", ["dd", "ff", "df", "qq", "DD", "dq"])
def test_matmul(shapes: tuple[tuple[int, ...], tuple[int, ...]], dtypes: str) -> None:
    rng = np.random.default_rng(2)
    a, b = ((3 * rng.normal(size=shape)).astype(dtype) for shape, dtype in zip(shapes, dtypes, strict=True))
    builder = Builder()
    inputs = [builder.input(Spec.of(each)) for each in (a, b)]
    node = REGISTRY["matmul"](*inputs)
    (found,), expected = Executable(inputs, [node])([a, b]), np.asarray(a @ b)[()]
    assert type(found) is type(expected) or dtypes == "qq"  # C's long long becomes int64, its equal
    assert found.dtype == expected.dtype
    tolerance = 1e-4 if "f" in dtypes and "d" not in dtypes else 1e-11
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", [3, 20, 40])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_exact_zeros_annihilate(size: int, bad: float) -> None:
    """A row of zeros against a column with not-a-number: nothing; elsewhere it spreads."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, size, size))
    a[1] = 0.0
    a[:, 2] = 0.0
    b[2] = bad
    compare("contract", "ij,jk->ik", a, b)
    b[0, 1] = np.nan
    compare("contract", "ij,jk->ik", a, b)
