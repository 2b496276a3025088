"""`scipy.sparse` for traced arrays: matrices whose elements are traced, at places that are fixed.

Plain sparse matrices need no twin: ``A @ x`` and ``x @ A`` differentiate with respect to a traced x. The constructors
named in `__all__` also take traced elements, and then return a `SparseArray`; `chainrule.scipy.sparse.linalg` solves
with either. Every other name of `scipy.sparse` is here too:

    from chainrule.scipy import sparse  # for: from scipy import sparse
"""

from __future__ import annotations

from typing import Any

import scipy.sparse

from chainrule.scipy.sparse import linalg
from chainrule.scipy.sparse.arrays import (
    SparseArray,
    block_array,
    block_diag,
    bmat,
    coo_array,
    coo_matrix,
    csc_array,
    csc_matrix,
    csr_array,
    csr_matrix,
    diags,
    diags_array,
    hstack,
    issparse,
    kron,
    vstack,
)

__all__ = [
    "SparseArray", "block_array", "block_diag", "bmat", "coo_array", "coo_matrix", "csc_array", "csc_matrix",
    "csr_array", "csr_matrix", "diags", "diags_array", "hstack", "issparse", "kron", "linalg", "vstack",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    return getattr(scipy.sparse, name)
