"""NumPy functions whose results do not vary smoothly: run as they are, with derivative zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.ir import Node
from chainrule.ops.family import opaque
from chainrule.types import Spec


def _call(*values: Any, function: Callable[..., Any], kwargs: tuple[tuple[str, Any], ...]) -> Any:
    return np.asarray(function(*values, **dict(kwargs)))[()]


def _infer(*specs: Spec, **params: Any) -> Spec:
    return Spec.of(_call(*(np.ones(spec.shape, spec.dtype) for spec in specs), **params))


def _batch(node: Node, args: list[Node], batched: list[bool]) -> Node:
    def each(*values: Any, **kwargs: Any) -> np.ndarray:
        count = next(len(value) for value, flag in zip(values, batched, strict=True) if flag)
        rows = [[v[k] if flag else v for v, flag in zip(values, batched, strict=True)] for k in range(count)]
        results = [np.asarray(node.params["function"](*row, **kwargs)) for row in rows]
        return np.stack(results) if results else np.empty((0, *node.shape), node.dtype)

    return host(*args, function=each, kwargs=node.params["kwargs"])


host = opaque(
    "host",
    _call,
    doc="A NumPy function with derivative zero, such as searchsorted.",
    infer=_infer,
    partials=[],
    edge=lambda k, node: None,
    batch=_batch,
    source=lambda *args, function, kwargs: (
        f"np.{function.__name__}({', '.join([*args, *(f'{key}={value!r}' for key, value in kwargs)])})"
    ),
    samples=lambda rng: [((np.arange(4.0), rng.uniform(0, 3, 2)), {"function": np.searchsorted, "kwargs": ()})],
)

stop_gradient = opaque(
    "stop_gradient",
    lambda x: x,
    doc="The same value, with derivative zero.",
    infer=lambda x: x,
    partials=[None],
    lower="stop_gradient",
    core=(0,),
    source="{0}",
    samples=lambda rng: [((rng.normal(size=3),), {}), ((np.float64(2.0),), {})],
)
