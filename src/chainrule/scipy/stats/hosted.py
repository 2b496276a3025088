"""Elementwise functions whose values are SciPy's own and whose partials are formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.api import jvp
from chainrule.custom import reopened
from chainrule.ir import Node, Op
from chainrule.ops.family import pointwise
from chainrule.tracing.array import TracedArray, holds_traced, lift, record

Partial = Callable[..., Any] | str | None
"""A formula `(y, *xs)` in NumPy functions; None for a derivative that is zero; words for one that is not known."""


class Hosted:
    """A function of real numbers, with broadcasting, that is one node of the graph.

    The value is what `evaluate` gives; the partials are written with NumPy functions, on traced values, and are run
    when the edges are asked for, so that they can be differentiated again.
    """

    def __init__(self, name: str, evaluate: Callable[..., Any], partials: Sequence[Partial], source: str) -> None:
        self.op: Op = pointwise(
            name,
            lambda *values: np.asarray(evaluate(*values), float)[()],
            *(partial if partial is None or isinstance(partial, str) else _on_nodes(partial) for partial in partials),
            doc=f"{source}, with a derivative.",
            dtype=lambda *dtypes: np.dtype(float),
            source=source,
            listed=False,
        )
        self.evaluate = evaluate

    def __call__(self, *args: Any) -> Any:
        """Return the value; a traced one of traced arguments."""
        return record(self.op, *args) if holds_traced(args) else self.evaluate(*args)


def _on_nodes(partial: Callable[..., Any]) -> Callable[..., Node]:
    def rule(y: Node, *xs: Node) -> Node:
        builder = y.builder
        with reopened(builder):
            return lift(builder, partial(*(TracedArray(builder, node) for node in (y, *xs))))

    return rule


def slope(f: Callable[[Any], Any], x: Any) -> Any:
    """Return the derivative of an elementwise function at each element of x."""
    x = x if isinstance(x, TracedArray) else np.asarray(x, float)
    return jvp(f, (x,), (np.ones_like(x),))[1]
