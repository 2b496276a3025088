"""What traced arrays do under `jit`, where they have no values yet, equals what NumPy does."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import test_functions
import test_indexing

import chainrule as cr
from chainrule import tree
from chainrule.tracing import TracedArray


def assert_compiled_agrees(f, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = f(*(arg.copy() if isinstance(arg, np.ndarray) else arg for arg in args))
        compiled = cr.jit(f)
        for _ in range(2):  # the second call finds the variant of the first
            found = compiled(*args)
            (one, structure), (two, same) = tree.flatten(found), tree.flatten(expected)
            assert structure == same
            for a, b in zip(one, two, strict=True):
                assert type(a) is type(b)
                if isinstance(b, np.ndarray | np.generic):
                    assert a.dtype == b.dtype
                    tolerance = 1e-5 if a.dtype in (np.float32, np.complex64) else 1e-11
                    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
                else:
                    assert a == b


@pytest.mark.parametrize("name", test_indexing.PROGRAMS)
def test_programs(name):
    program, x = test_indexing.PROGRAMS[name]
    assert_compiled_agrees(program, {"V": test_indexing.V, "M": test_indexing.M}[x])


@pytest.mark.parametrize("name", test_indexing.views(test_indexing.M)[0])
def test_views(name):
    def program(x):
        found, y = test_indexing.views(x)
        part = found[name]
        first = part * 1.0
        y[1, 1] = x[0, 0] ** 2
        second = part * 1.0
        if np.ndim(part) or not (part.is_scalar if isinstance(part, TracedArray) else isinstance(part, np.generic)):
            part[...] = part * x[2, 2]
        y[1] += 1
        return [first, second, part * 1.0, y]

    assert_compiled_agrees(program, test_indexing.M)


def test_keys():
    def reading_and_writing(x):
        results = []
        for key in test_indexing.KEYS_3D:
            y = x * 1.0
            y[key] = x[key] * 2 + 1
            results += [x[key], y]
        return results

    assert_compiled_agrees(reading_and_writing, test_indexing.X)


@pytest.mark.parametrize("first", range(4))
def test_functions_of_numpy(first):
    """A quarter of all cases at a time; one function makes the results of several."""
    cases = [
        (function, *test_functions.split(args, kwargs))
        for function, args, kwargs in [*test_functions.CASES, *test_functions.WRITERS][first::4]
        if function is not np.squeeze
    ]
    for start in range(0, len(cases), 12):
        group = cases[start : start + 12]
        values = [value for _, found, _ in group for value in found]

        def f(*values, group=group):
            rest = iter(values)
            results = []
            for function, found, call in group:
                result = call(function, *[next(rest) for _ in found])
                results.append(result if not isinstance(result, str | type | np.dtype) else None)
            return results

        try:
            f(*values)
        except Exception:  # a case that is about an error
            continue
        assert_compiled_agrees(f, *values)
