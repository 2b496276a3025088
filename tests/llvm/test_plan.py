"""Random programs: whatever is fused, kept, cut in pieces, shared among threads or written out gives the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest

import chainrule  # noqa: F401  (fills the registry)
from chainrule import ir
from chainrule.ir import REGISTRY, Builder, Node
from chainrule.llvm import executable, module
from chainrule.llvm import plan as planning
from chainrule.types import Spec

TOLERANCE = 1e-11  # sums in another order, and what elementary functions make of that

UNARY = ["negative", "tanh", "square", "absolute", "arctan", "expit", "sign", "floor"]
BINARY = ["add", "subtract", "multiply", "maximum", "minimum", "scale", "hypot"]


class Programs:
    """Draws programs node by node."""

    def __init__(self, seed: int, shapes: list[tuple[int, ...]], largest: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.builder = Builder()
        self.largest = largest
        shape = self.choose(shapes)
        shapes = [shape, shape[-1:], ()]
        self.inputs = [self.builder.input(Spec(each, np.dtype(float))) for each in shapes]
        self.values = [np.round(rng.normal(size=each), 1)[()] for each in shapes]
        self.nodes = list(self.inputs)

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def flag(self) -> bool:
        return bool(self.rng.integers(2))

    def choose(self, among: Sequence[Any]) -> Any:
        return among[self.integer(0, len(among) - 1)]

    def pick(self) -> Node:
        return self.choose(self.nodes[-6:])

    def add(self) -> None:
        kind = self.choose(sorted(STEPS))
        found = STEPS[kind](self, self.pick())
        if found is not None and found.spec.size <= self.largest:
            self.nodes.append(found)

    def axis(self, x: Node) -> int:
        return self.integer(0, x.ndim - 1)


def unary(p: Programs, x: Node) -> Node:
    return REGISTRY[p.choose(UNARY)](x)


def binary(p: Programs, x: Node) -> Node | None:
    y = p.pick()
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return None
    return REGISTRY[p.choose(BINARY)](x, y)


def choose(p: Programs, x: Node) -> Node:
    return REGISTRY["where"](x > p.choose([0.0, 0.5]), x, -x * 0.5)


def reduce(p: Programs, x: Node) -> Node | None:
    axes = tuple(k for k in range(x.ndim) if p.flag())
    name = p.choose(["sum", "sum", "max", "min"])
    if not axes or any(x.shape[k] == 0 for k in axes):
        return None
    return REGISTRY[name](x, axis=axes)


def part(p: Programs, x: Node) -> Node | None:
    if not x.ndim:
        return None
    return REGISTRY["slice"](x, index=tuple(span(p, size) for size in x.shape))


def span(p: Programs, size: int) -> Any:
    if size and p.integer(0, 4) == 0:
        return p.integer(0, size - 1)
    step = p.choose([1, 1, 1, 2, 3, -1, -2])
    low, high = sorted((p.integer(0, size), p.integer(0, size)))
    if step > 0:
        return low, high, step
    return (high - 1, low - 1 if low else None, step) if high > low else (0, 0, 1)


def embed(p: Programs, x: Node) -> Node:
    """x inside zeros, at some distance from each end, with steps."""
    shape, index = [], []
    for size in x.shape:
        step, low, more = (p.integer(a, b) for a, b in ((1, 3), (0, 3), (0, 3)))
        full = low + max(size - 1, 0) * step + 1 + more
        if not size:
            index.append((0, 0, 1))
        elif p.flag():
            index.append((low, low + (size - 1) * step + 1, step))
        else:
            index.append((low + (size - 1) * step, low - 1 if low else None, -step))
        shape.append(full)
    if p.flag():
        return REGISTRY["embed"](x, shape=tuple(shape), index=tuple(index))
    base = p.builder.constant(0.75).broadcast_to(tuple(shape))
    return REGISTRY["put_slice"](base, x, index=tuple(index))


def join(p: Programs, x: Node) -> Node | None:
    if not x.ndim:
        return None
    axis = p.axis(x)
    others = [y for y in p.nodes[-6:] if y.ndim == x.ndim and all(
        a == b for k, (a, b) in enumerate(zip(x.shape, y.shape, strict=True)) if k != axis)]  # fmt: skip
    parts = [p.choose(others) for _ in range(p.integer(1, 3))]
    return REGISTRY["concatenate"](x, *parts, axis=axis)


def turn(p: Programs, x: Node) -> Node:
    return x.permute(p.rng.permutation(x.ndim).tolist())


def fold(p: Programs, x: Node) -> Node:
    size = x.spec.size
    divisors = [d for d in range(1, size + 1) if size % d == 0] or [0]
    one = p.choose(divisors)
    shapes = [(size,), (one, size // one) if one else (0, 3), (1, size)]
    return x.reshape(p.choose(shapes))


def stretch(p: Programs, x: Node) -> Node:
    return x.broadcast_to((p.integer(1, 3), *x.shape))


def pick_rows(p: Programs, x: Node) -> Node | None:
    if not x.ndim or not x.shape[0]:
        return None
    count = p.integer(1, 5)
    index = p.builder.constant(p.rng.integers(-x.shape[0], x.shape[0], count))
    return REGISTRY["gather"](x, index)


def pick_looked_up(p: Programs, x: Node) -> Node | None:
    """Indices that are computed."""
    if not x.ndim or not x.shape[0]:
        return None
    index = REGISTRY["remainder"](REGISTRY["floor"](p.inputs[1] * 3.0), float(x.shape[0])).astype(np.int64)
    return REGISTRY["gather"](x, index)


def spread(p: Programs, x: Node) -> Node | None:
    if not x.ndim:
        return None
    size = p.integer(1, 5)
    index = p.builder.constant(p.rng.integers(-size, size, x.shape[0]))
    if p.flag():
        return REGISTRY["scatter_add"](x, index, shape=(size, *x.shape[1:]))
    base = p.builder.constant(0.25).broadcast_to((size, *x.shape[1:]))
    return REGISTRY["put"](base, x, index)


def run(p: Programs, x: Node) -> Node | None:
    return REGISTRY["cumsum"](x, axis=p.axis(x), reverse=p.flag()) if x.ndim else None


def multiply(p: Programs, x: Node) -> Node | None:
    if x.ndim < 2:
        return None
    y = p.choose([x.mT, REGISTRY["square"](x).mT])
    return REGISTRY["matmul"](x, y)


def by_numpy(p: Programs, x: Node) -> Node:
    return REGISTRY["gammaln"](x * x + 1.0)


STEPS: dict[str, Callable[[Programs, Node], Node | None]] = {
    each.__name__: each
    for each in (unary, binary, choose, reduce, part, embed, join, turn, fold, stretch, pick_rows, pick_looked_up,
                 spread, run, multiply, by_numpy)
}  # fmt: skip


def check(seeds: Iterable[int], shapes: list[tuple[int, ...]], count: int = 12, largest: int = 3000) -> None:
    for seed in seeds:
        p = Programs(seed, shapes, largest)
        while len(p.nodes) < count:
            p.add()
        outputs = [p.nodes[-1], *(p.pick() for _ in range(p.integer(0, 2)))]
        code = executable.Executable(p.inputs, outputs)
        expected = ir.evaluate(outputs, dict(zip(p.inputs, p.values, strict=True)))
        for _ in range(2):
            found = code(p.values)
            for one, two in zip(found, expected, strict=True):
                two = np.asarray(two)[()]
                assert type(one) is type(two), seed
                assert one.dtype == two.dtype, seed
                assert one.shape == two.shape, seed
                size = np.max(np.abs(two), initial=1.0, where=np.isfinite(two))
                np.testing.assert_allclose(one, two, rtol=TOLERANCE, atol=TOLERANCE * size, err_msg=f"seed {seed}")
                assert not any(np.shares_memory(one, value) for value in p.values), seed


SMALL = [(3,), (2, 3), (1, 4), (2, 3, 2), (5, 7), (24,), (0, 3), (4, 1, 5)]
LARGE = [(70,), (8, 9), (3, 30), (30, 3), (4, 5, 6), (1, 80)]
BATCHES = [range(k, k + 20) for k in range(0, 100, 20)]


@pytest.mark.parametrize("seeds", BATCHES, ids=str)
def test_small(seeds: Iterable[int]) -> None:
    check(seeds, SMALL)


@pytest.mark.parametrize("seeds", BATCHES, ids=str)
def test_loops_for_small_arrays(monkeypatch: pytest.MonkeyPatch, seeds: Iterable[int]) -> None:
    """Loops for everything, however small."""
    monkeypatch.setattr(planning, "TINY", 0)
    check(seeds, SMALL)


@pytest.mark.parametrize("seeds", BATCHES, ids=str)
def test_loops_that_threads_share(monkeypatch: pytest.MonkeyPatch, seeds: Iterable[int]) -> None:
    """Three threads share every loop that they can."""
    monkeypatch.setattr(planning, "TINY", 0)
    monkeypatch.setattr(module, "PARALLEL", 1)
    monkeypatch.setenv("CHAINRULE_NUM_THREADS", "3")
    check(seeds, LARGE)
