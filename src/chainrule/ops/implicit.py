"""Values that are known by an equation they solve: roots, minima, fixed points.

For F(y, θ) = 0 the derivative is that of the implicit function theorem, y_dot = -(∂F/∂y)⁻¹ (∂F/∂θ) θ_dot, whatever
method found y. It is stated once, as nodes made of F's own edges at the solution, so that it is transposed for reverse
mode and differentiated again as everything else is.

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
from chainrule.edges import Diagonal, Edge, Traced, push
from chainrule.errors import NotDifferentiableError, UnsupportedError
from chainrule.ir import Node, Op, Program
from chainrule.ops.control import NUMPY, Engine, bundle
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

    @abstractmethod
    def evaluate(self, values: Values, engine: Engine) -> tuple[Any, Any]:
        """Return the results."""

    @abstractmethod
    def tangent(self, k: int) -> Program | None:
        """Return the program ``y_dot(y, info, *args, dot)`` of the edge from the k-th argument; None for zero."""


@dataclass(frozen=True, slots=True, eq=False)
class Root(Implicit):
    """The y of F(y, *args) = 0.

    Attributes:
        residual: F; its inputs are y, a vector, and the arguments on which it depends.
        solver: What finds y. It may take more arguments, such as a first guess; their derivative is zero.
        name: The function that asks for the root, for messages.
        count: How many integers tell how it went.
    """

    residual: Program
    solver: Solver
    name: str
    count: int = 1

    @property
    def specs(self) -> tuple[Spec, Spec]:
        return self.residual.inputs[0].spec, Spec((self.count,), np.dtype(np.int64))

    @property
    def bodies(self) -> tuple[Program, ...]:
        return (self.residual,)

    def words(self) -> str:
        return self.name

    def evaluate(self, values: Values, engine: Engine) -> tuple[Any, Any]:
        y, info = self.solver(values, engine)
        spec = self.specs[0]
        return np.array(y, spec.dtype).reshape(spec.shape), np.array(info, np.int64)

    def tangent(self, k: int) -> Program | None:
        memo = self.residual.builder.memo
        key = ("tangent", self.residual.inputs, self.residual.outputs, k)
        if key not in memo:
            memo[key] = self._tangent(k)
        found: tuple[Any, Any] | None = memo[key]
        return None if found is None else Program(*found, self.residual.builder)

    def _tangent(self, k: int) -> tuple[tuple[Node, ...], tuple[Node, ...]] | None:
        builder, (y, *args), (residual,) = self.residual.builder, self.residual.inputs, self.residual.outputs
        if k >= len(args):
            return None
        dot, info = builder.input(args[k].spec), builder.input(self.specs[1])
        (f_dot,) = push({args[k]: dot}, [residual])
        if f_dot is None:
            return None
        found = checked(y, info, name=self.name)
        partials = Traced(y, residual, y.spec, residual.spec, self.name).dense(builder)
        y_dot = -solve(partials, f_dot.reshape((*f_dot.shape, 1))).reshape(y.shape)
        (y_dot,) = ir.inline([y_dot], {**{node: node for node in (*args, dot, info)}, y: found}, builder)
        return (y, info, *args, dot), (y_dot,)


@dataclass(frozen=True, slots=True, eq=False)
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

    def evaluate(self, values: Values, engine: Engine) -> tuple[Any, Any]:
        results = tuple(np.empty(spec.shape, spec.dtype) for spec in self.specs)
        for k in range(self.size):
            row = [value[k] if flag else value for value, flag in zip(values, self.flags, strict=True)]
            for result, part in zip(results, self.one.evaluate(row, engine), strict=True):
                result[k] = part
        return results[0], results[1]

    def tangent(self, k: int) -> Program | None:
        program = self.one.tangent(k)
        if program is None:
            return None
        memo = program.builder.memo
        key = ("rows", program.inputs, program.outputs, self.flags, self.size)
        if key not in memo:
            count = len(program.inputs) - 3  # what only the solver takes is not among them
            flags = [True, True, *self.flags[:count], self.flags[k]]
            inputs = [
                program.builder.input(node.spec.with_shape((self.size, *node.shape))) if flag else node
                for node, flag in zip(program.inputs, flags, strict=True)
            ]
            mapping = {node: new for node, new in zip(program.inputs, inputs, strict=True) if new is not node}
            memo[key] = tuple(inputs), tuple(ir.batch(program.outputs, mapping))
        inputs, outputs = memo[key]
        return Program(inputs, outputs, program.builder)


def _edge(k: int, node: Node) -> Edge | None:
    owner = node.inputs[0]
    control: Implicit = owner.params["control"]
    if node.params["index"]:
        return None
    program = control.tangent(k)
    if program is None:
        return None
    builder, spec = node.builder, owner.inputs[k].spec
    head = builder.input(spec)
    used = owner.inputs[: len(program.inputs) - 3]
    given = (node, ir.item(owner, 1), *used, head)
    (tail,) = ir.inline(program.outputs, dict(zip(program.inputs, given, strict=True)), builder)
    return Traced(head, tail, spec, node.spec, control.words())


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


# -- solutions that are none ------------------------------------------------------------------------------------


def _checked(y: Any, info: Any, name: str) -> Any:
    if not np.all(np.asarray(info)[..., 0]):
        raise NotDifferentiableError(
            f"{name}: the search ended without a solution, so there is nothing to differentiate; give a better first "
            "guess, more iterations, or a looser tolerance"
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
    infer=lambda y, info, name: y,
    edge=lambda k, node: None if k else Diagonal(1, node.spec, node.spec, node.shape, like=node),
    batch=_batch_checked,
    source=lambda y, info, name: y,
    family="opaque",
)

__all__ = ["Implicit", "Root", "Rows", "Solver", "checked", "implicit"]
