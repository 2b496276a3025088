"""Every op, one declaration each. Importing this package fills `chainrule.ir.REGISTRY`."""

from chainrule.ops import (
    contraction,
    control,
    eigen,
    factorization,
    fourier,
    host,
    linalg,
    matrix_functions,
    pointwise,
    reduction,
    structural,
    structured,
)

__all__ = [
    "contraction",
    "control",
    "eigen",
    "factorization",
    "fourier",
    "host",
    "linalg",
    "matrix_functions",
    "pointwise",
    "reduction",
    "structural",
    "structured",
]
