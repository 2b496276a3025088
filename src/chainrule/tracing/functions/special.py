"""The ufuncs of `scipy.special` on traced arrays: those with several results, and numbers beside complex arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.special

from chainrule.ops.special import RESULTS
from chainrule.tracing.array import FUNCTIONS, UFUNCS, TracedArray, holds_traced, record
from chainrule.types import real_dtype


def _fitted(ufunc: np.ufunc, xs: Sequence[Any]) -> list[Any]:
    """Return arguments with Python's numbers in a dtype for which the ufunc has a loop.

    A whole number stays one where the ufunc counts with it, a real one stays real beside complex arguments.
    """
    found = list(xs)
    for k, x in enumerate(xs):
        if not isinstance(x, int | float | list) or isinstance(x, bool | np.generic) or holds_traced(x):
            continue
        letters = {loop[k] for loop in ufunc.types}
        if isinstance(x, int | list) and "l" in letters:
            found[k] = np.asarray(x)[()]
        elif not letters & {"F", "D"}:
            dtypes = [real_dtype(each.dtype) for each in xs if isinstance(each, TracedArray | np.ndarray | np.generic)]
            found[k] = np.asarray(x).astype(np.result_type(*dtypes, np.float16))[()]
    return found


def _implement(ufunc: np.ufunc) -> None:
    several = RESULTS.get(ufunc)

    def rule(*xs: Any) -> Any:
        args = _fitted(ufunc, xs)
        return record(UFUNCS[ufunc], *args) if several is None else tuple(record(op, *args) for op in several)

    FUNCTIONS[ufunc] = rule


for _ufunc in {each for each in vars(scipy.special).values() if isinstance(each, np.ufunc)}:
    if _ufunc in RESULTS or (_ufunc in UFUNCS and _ufunc.nin > 1):
        _implement(_ufunc)
