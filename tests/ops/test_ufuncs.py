"""Every ufunc of NumPy works on traced values as on plain ones, or says at which line it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.tracing import TracedArray, trace_function

UFUNCS = sorted({f for f in vars(np).values() if isinstance(f, np.ufunc)}, key=lambda f: f.__name__)
FIRST = np.array([[2.3, 0.4], [0.7, 3.6]])
SECOND = np.array([[0.9, 1.8], [2.2, 1.3]])
INNER = {"arccos", "arcsin", "arctanh"}  # defined on (-1, 1)
WHOLE = {"ldexp"}  # the second argument is an integer


def arguments(ufunc: np.ufunc, dtype: Any) -> list[np.ndarray]:
    values = [FIRST / 4 if ufunc.__name__ in INNER else FIRST, SECOND][: ufunc.nin]
    if ufunc.__name__ == "arccosh":
        values = [1 + FIRST]
    cast = [value.astype(dtype) for value in values]
    if ufunc.__name__ in WHOLE:
        cast[1] = cast[1].astype(int)
    return cast


def as_tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("dtype", [float, np.float32, complex, int, bool, np.uint8], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_ufunc_gives_what_numpy_gives_or_names_the_line(ufunc: np.ufunc, dtype: Any) -> None:
    values = arguments(ufunc, dtype)
    results: list[Any] = []

    def f(*xs: Any) -> Any:
        traced = [x.astype(value.dtype) for x, value in zip(xs, values, strict=True)]
        assert all(isinstance(x, TracedArray) for x in traced)
        result = ufunc(*traced)
        results.extend(as_tuple(result))
        return result

    def run() -> None:
        trace_function(f, [np.asarray(value, complex if dtype is complex else float) for value in values],
                       range(ufunc.nin))  # fmt: skip

    try:
        expected = as_tuple(ufunc(*values))
    except TypeError:
        with pytest.raises(ChainruleError, match=r"test_ufuncs\.py:\d+") as caught:
            run()
        assert isinstance(caught.value, TypeError)
        return
    run()
    assert len(results) == len(expected)
    for found, value in zip(results, expected, strict=True):
        assert isinstance(found, TracedArray)
        assert found.dtype == value.dtype
        np.testing.assert_array_equal(found.value, value)


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_a_ufunc_of_real_numbers_has_its_derivative(ufunc: np.ufunc) -> None:
    """Against central differences with step 1e-6, so to about 1e-9."""
    values = arguments(ufunc, float)
    try:
        expected = as_tuple(ufunc(*values))
    except TypeError:
        return
    for k, value in enumerate(values):
        if value.dtype != float:
            continue
        for index, y in enumerate(expected):
            if y.dtype.kind != "f" or ufunc is np.spacing:
                continue

            def f(x: Any, k: int = k, index: int = index) -> Any:
                return as_tuple(ufunc(*values[:k], x, *values[k + 1 :]))[index]

            steps = 1e-6 * np.eye(value.size).reshape(value.size, *value.shape)
            columns = [(f(value + step) - f(value - step)) / 2e-6 for step in steps]
            differences = np.moveaxis(columns, 0, -1).reshape(y.shape + value.shape)
            for mode in ("forward", "reverse", "eliminate"):
                found = cr.jacobian(f, mode=mode)(value)
                np.testing.assert_allclose(found, differences, rtol=1e-8, atol=1e-8)
