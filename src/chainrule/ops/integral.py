"""Integrals ∫ f(x, θ) dx between fixed limits, as one node.

The derivative with respect to θ is the integral of the derivative, found by the same adaptive quadrature.
The limits carry no derivative here; see `chainrule.scipy.integrate` for theirs.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy  # loads its parts when they are used

from chainrule import ir
from chainrule.edges import Edge, Tensor, Traced
from chainrule.errors import UnsupportedError
from chainrule.ir import Node, Op, Program
from chainrule.ops.control import NUMPY, Engine, bundle
from chainrule.types import Spec, real_dtype

Values = Sequence[Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Integral:
    """An integral over x of a program's output; the other inputs of the program are θ.

    Attributes:
        body: f, of x and the θ.
        options: Options of `scipy.integrate.quad` for numbers.
        vector: Options of `scipy.integrate.quad_vec` for arrays.
        name: The function that asks, for messages.
        batches: For each axis in front, the outermost first, which arguments have it and its length.
    """

    body: Program
    options: dict[str, Any]
    vector: dict[str, Any]
    name: str
    batches: tuple[tuple[tuple[bool, ...], int], ...] = ()

    @property
    def bodies(self) -> tuple[Program, ...]:
        """The programs that define it."""
        return (self.body,)

    @property
    def specs(self) -> tuple[Spec, Spec]:
        """Specs of the integral and of the estimate of its error."""
        (f,) = self.body.outputs
        lead = tuple(size for _, size in self.batches)
        return f.spec.with_shape((*lead, *f.shape)), Spec(lead, real_dtype(f.dtype))

    def words(self) -> str:
        """Return what it is, in words."""
        return "integral"

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def evaluate(self, values: Values, engine: Engine) -> tuple[Any, Any]:
        """Return the integral and an estimate of its error."""
        if self.batches:
            (flags, size), *rest = self.batches
            one = replace(self, batches=tuple(rest))
            rows = [
                one.evaluate([value[k] if flag else value for value, flag in zip(values, flags, strict=True)], engine)
                for k in range(size)
            ]
            spec, error_spec = self.specs
            return tuple(  # type: ignore[return-value]
                np.array(column, each.dtype).reshape(each.shape)
                for column, each in zip(zip(*rows, strict=True), (spec, error_spec), strict=True)
            )
        low, high, *consts = values
        run = engine.prepared(self.body)
        (f,) = self.body.outputs
        kind = self.body.inputs[0].dtype.type

        def integrand(x: float) -> Any:
            return np.array(run([kind(x), *consts])[0])

        if not f.spec.size:
            return np.zeros(f.shape, f.dtype), f.dtype.type(0)
        if f.shape and not self.options.get("weight"):
            value, error = scipy.integrate.quad_vec(integrand, low, high, **self.vector)
        elif f.shape:
            flat = [self._number(lambda x, k=k: integrand(x).flat[k], low, high) for k in range(f.spec.size)]
            value, error = np.reshape([v for v, _ in flat], f.shape), max(e for _, e in flat)
        else:
            value, error = self._number(lambda x: integrand(x)[()], low, high)
        return f.dtype.type(value) if not f.shape else np.asarray(value, f.dtype), error

    def _number(self, f: Any, low: float, high: float) -> tuple[Any, float]:
        is_complex = self.body.outputs[0].spec.is_complex
        with warnings.catch_warnings():
            if self.name != "quad":
                warnings.simplefilter("ignore")
            return scipy.integrate.quad(f, low, high, complex_func=is_complex, **self.options)[:2]

    def slope(self, k: int) -> Integral | None:
        """Return the integral of the derivative with respect to the k-th θ, of shape ``f.shape + θ.shape``."""
        memo = self.body.builder.memo
        key = ("slope", self.body.inputs, self.body.outputs, k)
        if key not in memo:
            (f,), source = self.body.outputs, self.body.inputs[1 + k]
            reached = bool(ir.between([f], [source]))
            edge = Traced(source, f, source.spec, f.spec, self.name)
            memo[key] = edge.dense(self.body.builder) if reached else None
        partials: Node | None = memo[key]
        if partials is None:
            return None
        body = Program(self.body.inputs, (partials,), self.body.builder)
        return replace(self, body=body, name="derivative")


def _edge(k: int, node: Node) -> Edge | None:
    owner = node.inputs[0]
    control: Integral = owner.params["control"]
    if node.params["index"] or k < 2:
        return None
    slope = control.slope(k - 2)
    if slope is None:
        return None
    partials = ir.item(node.builder.emit(integral, owner.inputs, {"control": slope}), 0)
    source, target = owner.inputs[k].spec, node.spec
    lead = tuple(range(len(control.batches)))
    shared = tuple(axis for axis, (flags, _) in enumerate(control.batches) if flags[k])
    inner = target.ndim - len(lead)
    target_labels = tuple(range(target.ndim))
    own = tuple(range(target.ndim, target.ndim + source.ndim - len(shared)))
    return Tensor(partials, (*target_labels[: len(lead) + inner], *own), source, (*shared, *own), target, target_labels)


def _batch(node: Node, args: list[Node], batched: list[bool]) -> Node:
    size = next(arg.shape[0] for arg, flag in zip(args, batched, strict=True) if flag)
    control: Integral = node.params["control"]
    control = replace(control, batches=((tuple(batched), size), *control.batches))
    owner = node.builder.emit(integral, tuple(args), {"control": control})
    return node.builder.emit(bundle, (ir.item(owner, 0), ir.item(owner, 1)), {})


def _no_source(*args: str, control: Integral) -> str:
    raise UnsupportedError(f"source: {control.name} has no NumPy source")


integral = Op(
    "integral",
    "An integral over a variable, and an estimate of its error.",
    evaluate=lambda *values, control, engine=NUMPY, keep=True: control.evaluate(values, engine),
    infer=lambda *specs, control: control.specs,
    edge=_edge,
    batch=_batch,
    source=_no_source,
    family="control",
    lower="control",
)

__all__ = ["Integral", "integral"]
