"""Roots of polynomials."""

from __future__ import annotations

import numpy as np

from chainrule.edges import Edge, Tensor
from chainrule.ir import Node
from chainrule.ops.family import opaque
from chainrule.ops.pointwise import one_like
from chainrule.ops.structural import concatenate, slice_
from chainrule.types import Spec


def _roots(p: np.ndarray, lead: int) -> np.ndarray:
    rows = p.reshape(-1, p.shape[-1])
    found = np.empty((len(rows), p.shape[-1] - 1 - lead), np.result_type(p.dtype, np.complex64))
    for row, coefficients in zip(found, rows, strict=True):
        row[:] = np.roots(coefficients if coefficients.imag.any() else coefficients.real)  # real ones in exact pairs
    return found.reshape(*p.shape[:-1], found.shape[-1])


def _infer(p: Spec, lead: int) -> Spec:
    return Spec((*p.shape[:-1], p.shape[-1] - 1 - lead), np.result_type(p.dtype, np.complex64))


def _by_coefficients(y: Node, p: Node, lead: int) -> Edge:
    """From P(r) = 0 follows dr/dp[k] = -r^(n-k) / P'(r)."""
    n = p.shape[-1] - 1
    rest = tuple((0, size, 1) for size in p.shape[:-1])
    slope: Node | None = None
    for k in range(n):  # Horner's rule
        term = (n - k) * slice_(p, index=(*rest, (k, k + 1, 1)))
        slope = term + 0 * y if slope is None else slope * y + term
    powers = [one_like(y).broadcast_to(y.shape)]
    for _ in range(n):
        powers.append(powers[-1] * y)
    columns = concatenate(*(power.reshape((*y.shape, 1)) for power in powers[::-1]), axis=y.ndim)
    lead_labels, root, coefficient = tuple(range(p.ndim - 1)), p.ndim, p.ndim + 1
    weight = columns if slope is None else -(columns / slope.reshape((*y.shape, 1)))
    return Tensor(
        weight, (*lead_labels, root, coefficient), p.spec, (*lead_labels, coefficient), y.spec, (*lead_labels, root)
    )


roots = opaque(
    "roots",
    _roots,
    doc="Roots of polynomials: complex coefficients along the last axis, of the highest power first; `lead` are 0.",
    infer=_infer,
    partials=[_by_coefficients],
    batch=lambda node, args, _: roots(args[0], **node.params),
    source="np.roots({0}) + 0j",
    samples=lambda rng: [((np.array(p),), {"lead": 0}) for p in ([1.0, -3.5, 3.4, -0.9], [2.0, 1.0])],
    dtypes="D",
)  # fmt: skip
