"""Where products may be formed without care for exact zeros, because a look at their results tells whether it matters.

The product of `scale` is 0 where a factor is 0, beside inf and NaN too (docs/decisions/0006). Plain multiplication
differs in one way: it gives NaN there. That NaN reaches a result unless something on the way turns it into a number, so
code with plain products that finds no NaN in what it *watches* has the same results. Where it finds one, the program is
compiled once more, with care, and run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule import ir
from chainrule.ir import Node, Product
from chainrule.llvm.plan import Loop, Plan, Straight, is_reduction

PASSING = frozenset(
    ["add", "subtract", "multiply", "divide", "negative", "square", "reciprocal", "sqrt", "cbrt", "scale",
     "stop_gradient", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos",
     "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "rad2deg", "deg2rad", "maximum", "minimum",
     "absolute", "fabs", "floor", "ceil", "trunc", "rint", "erf", "erfc", "expit"]
)  # fmt: skip
"""Ops of one or two numbers that are NaN where one of them is."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What need not be done with care.

    Attributes:
        plain: Products that are formed by plain multiplication.
        watched: Nodes in which to look for NaN, where it would show that this was wrong.
    """

    plain: frozenset[Node] = frozenset()
    watched: frozenset[Node] = frozenset()


CAREFUL = Trust()


def trust(plan: Plan, outputs: Sequence[Node]) -> Trust:
    """Return the products that need no care, and where to look for NaN."""
    order = [node for node in ir.ancestors(outputs) if node.op not in (ir.INPUT, ir.CONSTANT)]
    if not any(map(_is_careful, order)):
        return CAREFUL
    made = _watchable(plan)
    users: dict[Node, list[Node]] = {}
    for node in order:
        for arg in dict.fromkeys(node.inputs):
            users.setdefault(arg, []).append(node)
    passing: dict[Any, bool] = {}
    ends = set(outputs)
    noticed: dict[Node, bool] = {}  # whether a NaN here is noticed further on, or has no effect
    needed: set[Node] = set()
    for node in reversed(order):
        fine = node not in ends
        for user in users.get(node, ()) if fine else ():
            if not noticed[user]:
                fine = False
            elif user.op.lower == "where":
                fine = fine and node is not user.inputs[0]
            else:
                key = user.op, user.spec
                if key not in passing:
                    passing[key] = _passes(user)
                fine = fine and passing[key]
        if not fine and node in made:
            needed.add(node)
            fine = True
        noticed[node] = fine
    plain = {node for node in order if noticed[node] and _is_careful(node)}
    watched: set[Node] = set()
    doubtful: set[Node] = set()
    for node in order:
        if node in plain or any(arg in doubtful for arg in node.inputs):
            (watched if node in needed else doubtful).add(node)
    return Trust(frozenset(plain), frozenset(watched))


def _is_careful(node: Node) -> bool:
    """Whether an op forms products in which an exact 0 wins, one element at a time."""
    if isinstance(node.spec, tuple) or node.dtype.kind != "f":
        return False
    return node.op.lower == "scale" or (isinstance(node.op.lower, Product) and node.op.lower.careful)


def _watchable(plan: Plan) -> set[Node]:
    found: set[Node] = set()
    for step in plan.steps:
        nodes: Iterable[Node] = (
            step.nodes if isinstance(step, Straight) else step.roots if isinstance(step, Loop) else ()
        )
        found.update(node for node in nodes if node.dtype.kind == "f")
    return found


def _passes(user: Node) -> bool:
    """Whether a NaN in an argument is one in the result, or without effect on it."""
    if isinstance(user.spec, tuple) or user.dtype.kind != "f":
        return False
    lower = user.op.lower
    if lower == "astype" or isinstance(lower, Product):
        return True
    if is_reduction(user):
        return lower in ("sum", "prod")
    return lower in PASSING or user.op.family == "structural"
