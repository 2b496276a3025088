"""The cases, one module per kind of work."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.cases import (
    attention,
    batches,
    bundle,
    lstm,
    mixture,
    ode,
    perceptron,
    pointwise,
    regression,
    rosenbrock,
    scalars,
    stencil,
)

CASES: list[Case] = [
    case
    for module in (
        rosenbrock, pointwise, mixture, lstm, perceptron, scalars, batches, attention, stencil, regression, ode, bundle,
    )
    for case in module.CASES
]  # fmt: skip
"""All cases."""
