"""What NumPy's functions do with traced arrays, as compositions of few ops.

Each function here has the signature of the NumPy function it stands for. A parameter that is missing from
the signature is an error that names it; nothing is ignored silently. Importing the modules fills the table
`chainrule.tracing.array.FUNCTIONS`.
"""

from chainrule.tracing.functions import (
    creation,
    elementwise,
    fourier,
    histograms,
    joining,
    linalg,
    numerics,
    order,
    polynomials,
    products,
    questions,
    reductions,
    sets,
    shape,
    sparse,
    special,
    statistics,
    ufuncs,
    writing,
)

__all__ = [
    "creation",
    "elementwise",
    "fourier",
    "histograms",
    "joining",
    "linalg",
    "numerics",
    "order",
    "polynomials",
    "products",
    "questions",
    "reductions",
    "sets",
    "shape",
    "sparse",
    "special",
    "statistics",
    "ufuncs",
    "writing",
]
