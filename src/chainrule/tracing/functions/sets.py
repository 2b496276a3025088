"""Sets of numbers: the different elements of arrays, in rising order. Which elements are equal is a decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import DtypeError
from chainrule.ops.host import host
from chainrule.tracing.array import newest, record, stacked, traced
from chainrule.tracing.functions.common import as_traced, implements
from chainrule.tracing.origin import at


def _firsts(s: Any, equal_nan: bool = True) -> Any:
    """Return where a sorted vector has an element that the one before does not equal."""
    differ = s[1:] != s[:-1]
    if equal_nan and s.dtype.kind in "fc":
        differ = differ & ~(np.isnan(s[1:]) & np.isnan(s[:-1]))
    return np.concatenate([np.ones(min(len(s), 1), bool), differ])


@implements(np.unique)
def _unique(ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
            axis: int | None = None, *, equal_nan: bool = True, sorted: bool = True) -> Any:  # fmt: skip
    x = as_traced(ar)
    if axis is not None:
        found: Any = np.unique(x._look(), True, return_inverse, return_counts, axis, equal_nan=equal_nan)  # type: ignore[call-overload]
        values = np.take(x, found[1], axis=axis)
        rest = found[1 if return_index else 2 :]
        return (values, *rest) if rest else values
    flat = np.ravel(x)
    order = np.argsort(flat)
    ranked = flat[order]
    mask = _firsts(ranked, equal_nan)
    kept = np.flatnonzero(mask)
    results = [ranked[kept]]
    if return_index:
        results.append(order[kept])
    if return_inverse:
        results.append(np.reshape((np.cumsum(mask) - 1)[np.argsort(order)], x.shape))
    if return_counts:
        results.append(np.diff(np.append(kept, flat.size)))
    return results[0] if len(results) == 1 else tuple(results)


def _kind(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the named tuple in which NumPy puts the results of a function."""
    return type(function(np.zeros(1)))


@implements(np.unique_all)
def _unique_all(x: Any) -> Any:
    return _kind(np.unique_all)(*_unique(x, True, True, True, equal_nan=False))


@implements(np.unique_counts)
def _unique_counts(x: Any) -> Any:
    return _kind(np.unique_counts)(*_unique(x, return_counts=True, equal_nan=False))


@implements(np.unique_inverse)
def _unique_inverse(x: Any) -> Any:
    return _kind(np.unique_inverse)(*_unique(x, return_inverse=True, equal_nan=False))


implements(np.unique_values)(lambda x: _unique(x, equal_nan=False))


def _pair(one: Any, two: Any) -> tuple[Any, Any]:
    builder = newest((one, two))
    return np.ravel(traced(builder, stacked(one))), np.ravel(traced(builder, stacked(two)))


@implements(np.union1d)
def _union1d(ar1: Any, ar2: Any) -> Any:
    return np.unique(np.concatenate(_pair(ar1, ar2)))


@implements(np.intersect1d)
def _intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    a, b = _pair(ar1, ar2)
    places = [np.arange(a.size), np.arange(b.size)]
    if not assume_unique:
        (a, places[0]), (b, places[1]) = (_unique(x, return_index=True) for x in (a, b))
    joined = np.concatenate([a, b])
    order = np.argsort(joined)
    ranked = joined[order]
    both = np.flatnonzero(ranked[1:] == ranked[:-1])
    values = ranked[both]
    if not return_indices:
        return values
    return values, places[0][order[both]], places[1][order[both + 1] - a.size]


@implements(np.setdiff1d)
def _setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    a, b = _pair(ar1, ar2)
    a = a if assume_unique else np.unique(a)
    return a[~np.isin(a, b)]


@implements(np.setxor1d)
def _setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    a, b = _pair(ar1, ar2)
    parts = [a, b] if assume_unique else [np.unique(a), np.unique(b)]
    ranked = np.sort(np.concatenate(parts))
    edge = np.ones(1, bool)
    if not ranked.size:
        return ranked
    differ = np.concatenate([edge, ranked[1:] != ranked[:-1], edge])
    return ranked[differ[1:] & differ[:-1]]


@implements(np.isin)
def _isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *,
          kind: str | None = None) -> Any:  # fmt: skip
    element, test_elements = stacked(element), stacked(test_elements)
    if isinstance(kind, str) and kind not in ("sort", "table"):
        raise DtypeError(f"np.isin: kind must be None, 'sort' or 'table', got {kind!r}{at()}")
    kwargs = (("assume_unique", assume_unique), ("invert", invert), ("kind", kind))
    return record(host, element, test_elements, function=np.isin, kwargs=kwargs)
