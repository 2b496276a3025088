"""Structures of arrays as one vector, for optimizers that know nothing of structures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.errors import DtypeError, ShapeError
from chainrule.tracing.array import TracedArray
from chainrule.tracing.origin import at

__all__ = ["ravel_pytree"]


def ravel_pytree(pytree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the numbers of a structure as one vector, and the function that makes a structure of a vector again.

    The vector has the dtype of NumPy's promotion among the leaves, where integers count as float64; the structure that
    is made has each floating-point leaf's own shape and dtype.

    Args:
        pytree: A structure of arrays and numbers.

    Raises:
        DtypeError: a leaf is no number.
        ShapeError: the function is given a vector of another length.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> flat, unravel = cr.ravel_pytree({"w": np.ones((2, 2)), "b": 0.5})
        >>> flat
        array([0.5, 1. , 1. , 1. , 1. ])
        >>> unravel(2 * flat)["b"]
        np.float64(1.0)
    """
    leaves, structure = tree.flatten(pytree)
    arrays = [leaf if isinstance(leaf, TracedArray) else np.asarray(leaf) for leaf in leaves]
    for array, path in zip(arrays, tree.leaf_paths(pytree), strict=True):
        if array.dtype.kind not in "fciub":
            raise DtypeError(f"ravel_pytree: {array.dtype} at {path or 'the top'} is no number{at()}")
    specs = [(array.shape, array.dtype if array.dtype.kind in "fc" else np.dtype(float)) for array in arrays]
    sizes = [math.prod(shape) for shape, _ in specs]
    dtype = np.result_type(*(dtype for _, dtype in specs)) if specs else np.dtype(float)

    def unravel(flat: Any) -> Any:
        if np.shape(flat) != (sum(sizes),):
            raise ShapeError(
                f"ravel_pytree: a vector of {sum(sizes)} numbers is needed, got shape {np.shape(flat)}{at()}"
            )
        flat = flat if isinstance(flat, TracedArray) else np.asarray(flat)
        found, start = [], 0
        for (shape, own), size in zip(specs, sizes, strict=True):
            part = np.reshape(flat[start : start + size], shape) if shape else flat[start]
            real = part.real if part.dtype.kind == "c" and own.kind != "c" else part
            found.append(real.astype(own))
            start += size
        return tree.unflatten(structure, found)

    flat = np.concatenate([np.ravel(array).astype(dtype) for array in arrays]) if arrays else np.zeros(0)
    return flat, unravel
