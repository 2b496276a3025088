"""Values that are known by an equation they solve: roots, minima, fixed points.

For F(y, θ) = 0 the derivative is that of the implicit function theorem, y_dot = -(∂F/∂y)⁻¹ (∂F/∂θ) θ_dot, whatever
method found y. F is part of the graph, at the solution, so its own edges give both factors, in both modes, and can be
differentiated again.

References:
    Griewank & Walther, Evaluating Derivatives, 2nd ed. (2008), ch. 15; Blondel et al., Efficient and modular implicit
    differentiation, NeurIPS (2022).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.edges import Diagonal, Edge, Map, Traced, pull, push, zeros
from chainrule.errors import NotDifferentiableError, UnsupportedError
from chainrule.ir import Node, Op, Program
from chainrule.ops.control import NUMPY, Engine, _batched, _derived, bundle
from chainrule.ops.linalg import solve
from chainrule.types import Spec

Values = Sequence[Any]
Solver = Callable[[Values, Engine], tuple[Any, Any]]
"""`(args, engine)` → the solution as a vector, and integers that tell how it went, the first whether it is one."""


class Implicit(ABC):
    """What a node of the op `implicit` holds. Its results are the solution and integers that tell how it went."""

    @property
    @abstractmethod
    def specs(self) -> tuple[Spec, Spec]:
        """Specs of the results."""

    @property
    @abstractmethod
    def bodies(self) -> tuple[Program, ...]:
        """The programs that define it."""

    @abstractmethod
    def words(self) -> str:
        """Return what it is, in words."""

    def __repr__(self) -> str:
        return f"<{self.words()}>"

    @abstractmethod
    def evaluate(self, values: Values, engine: Engine) -> tuple[Any, Any]:
        """Return the results."""

    @property
    @abstractmethod
    def line(self) -> str:
        """The user's line, for messages."""

    @property
    @abstractmethod
    def equations(self) -> Program:
        """F and ∂F/∂y, of y and the arguments on which F depends."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Root(Implicit):
    """The y of F(y, *args) = 0.

    Attributes:
        residual: F; its inputs are y, a vector, and the arguments on which it depends.
        solver: What finds y. It may take more arguments, such as a first guess; their derivative is zero.
        name: The function that asks for the root, for messages.
        where: The user's line, for messages.
        count: How many integers tell how it went.
    """

    residual: Program
    solver: Solver
    name: str
    where: str = ""
    count: int = 1

    @property
    def specs(self) -> tuple[Spec, Spec]:
        return self.residual.inputs[0].spec, Spec((self.count,), np.dtype(np.int64))

    @property
    def bodies(self) -> tuple[Program, ...]:
        return (self.residual,)

    def words(self) -> str:
        return self.name

    @property
    def line(self) -> str:
        return self.where

    def evaluate(self, values: Values, engine: Engine) -> tuple[Any, Any]:
        y, info = self.solver(values, engine)
        spec = self.specs[0]
        return np.array(y, spec.dtype).reshape(spec.shape), np.array(info, np.int64)

    @property
    def equations(self) -> Program:
        def make() -> tuple[Any, Any, Any]:
            y, (residual,) = self.residual.inputs[0], self.residual.outputs
            partials = Traced(y, residual, y.spec, residual.spec, self.name).dense(self.residual.builder)
            return self.residual.inputs, (residual, partials), None

        return _derived(self.residual, "equations", make)[0]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rows(Implicit):
    """One solution for each of a batch of arguments, of which the flagged ones have an axis in front."""

    one: Implicit
    flags: tuple[bool, ...]
    size: int

    @property
    def specs(self) -> tuple[Spec, Spec]:
        y, info = self.one.specs
        return y.with_shape((self.size, *y.shape)), info.with_shape((self.size, *info.shape))

    @property
    def bodies(self) -> tuple[Program, ...]:
        return self.one.bodies

    def words(self) -> str:
        return f"{self.size} times {self.one.words()}"

    @property
    def line(self) -> str:
        return self.one.line

    def evaluate(self, values: Values, engine: Engine) -> tuple[Any, Any]:
        results = tuple(np.empty(spec.shape, spec.dtype) for spec in self.specs)
        for k in range(self.size):
            row = [value[k] if flag else value for value, flag in zip(values, self.flags, strict=True)]
            for result, part in zip(results, self.one.evaluate(row, engine), strict=True):
                result[k] = part
        return results[0], results[1]

    @property
    def equations(self) -> Program:
        one = self.one.equations
        return _batched(one, (True, *self.flags[: len(one.inputs) - 1]), self.size, (True, True))[0]


def _edge(k: int, node: Node) -> Edge | None:
    owner, builder = node.inputs[0], node.builder
    control: Implicit = owner.params["control"]
    program = control.equations
    used = owner.inputs[: len(program.inputs) - 1]
    if node.params["index"] or k >= len(used):  # what only the solver takes has no edge
        return None
    held = [alias(arg) for arg in used]
    given = (checked(node, ir.item(owner, 1), name=control.words(), where=control.line), *held)
    residual, partials = ir.inline(program.outputs, dict(zip(program.inputs, given, strict=True)), builder)
    source = held[k]
    if not ir.between([residual], [source]):
        return None

    def solved(matrix: Node, side: Node) -> Node:
        return -solve(matrix, side.reshape((*side.shape, 1))).reshape(side.shape)

    def forward(x: Node) -> Node:
        (f_dot,) = push({source: x}, [residual])
        return zeros(builder, node.spec) if f_dot is None else solved(partials, f_dot)

    def backward(y_bar: Node) -> Node:
        (bar,) = pull({residual: solved(partials.mT, y_bar)}, [source])
        return zeros(builder, source.spec) if bar is None else bar

    return Map(forward, backward, source.spec, node.spec, control.words(), node)


def _batch(node: Node, args: list[Node], batched: list[bool]) -> Node:
    size = next(arg.shape[0] for arg, flag in zip(args, batched, strict=True) if flag)
    control = Rows(node.params["control"], tuple(batched), size)
    owner = node.builder.emit(implicit, tuple(args), {"control": control})
    return node.builder.emit(bundle, (ir.item(owner, 0), ir.item(owner, 1)), {})


def _no_source(*args: str, control: Implicit) -> str:
    raise UnsupportedError(f"source: {control.words()} is no NumPy source")


implicit = Op(
    "implicit",
    "The solution of an equation, and how its search went.",
    evaluate=lambda *values, control, engine=NUMPY, keep=True: control.evaluate(values, engine),
    infer=lambda *specs, control: control.specs,
    edge=_edge,
    batch=_batch,
    source=_no_source,
    family="control",
    lower="control",
)


# -- the arguments of the equation ------------------------------------------------------------------------------

alias = Op(
    "alias",
    "The same value: an argument of an equation, held apart from what it means for the solution.",
    evaluate=lambda x: x,
    infer=lambda x: x,
    edge=lambda k, node: Diagonal(1, node.spec, node.spec, node.shape, like=node),
    batch=lambda node, args, batched: alias(args[0]),
    source=lambda x: x,
    family="opaque",
    lower="stop_gradient",
)


# -- solutions that are none ------------------------------------------------------------------------------------


def _checked(y: Any, info: Any, name: str, where: str) -> Any:
    if not np.all(np.asarray(info)[..., 0]):
        raise NotDifferentiableError(
            f"{name}: the search ended without a solution, so there is nothing to differentiate{where}; give a better "
            "first guess, more iterations, or a looser tolerance"
        )
    return y


def _batch_checked(node: Node, args: list[Node], batched: list[bool]) -> Node:
    size = next(arg.shape[0] for arg, flag in zip(args, batched, strict=True) if flag)
    y, info = (arg if flag else arg.broadcast_to((size, *arg.shape)) for arg, flag in zip(args, batched, strict=True))
    return checked(y, info, **node.params)


checked = Op(
    "checked",
    "A solution, of which a derivative is asked; an error if it is none.",
    evaluate=_checked,
    infer=lambda y, info, name, where: y,
    edge=lambda k, node: None if k else Diagonal(1, node.spec, node.spec, node.shape, like=node),
    batch=_batch_checked,
    source=lambda y, info, name, where: y,
    family="opaque",
)

__all__ = ["Implicit", "Root", "Rows", "Solver", "checked", "implicit"]
