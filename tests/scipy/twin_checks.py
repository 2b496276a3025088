"""What the tests of the twins share: values against SciPy's, derivatives of every mode against differences."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import tree
from chainrule.tracing.array import FUNCTIONS

HAS_FFT = np.fft.fft in FUNCTIONS
needs_fft = pytest.mark.skipif(not HAS_FFT, reason="np.fft has no rules")


def arrays(result: Any) -> list[Any]:
    """The real and complex arrays of a result, in order."""
    return [np.asarray(leaf) for leaf in tree.flatten(result)[0] if np.asarray(leaf).dtype.kind in "fc"]


def traced_part(result: Any) -> Any:
    """What a twin returned, without what is no array."""
    leaves = tree.flatten(result)[0]
    return [x for x in leaves if isinstance(x, float) or (hasattr(x, "dtype") and x.dtype.kind in "fc")]


def with_arguments(function: Callable[..., Any], args: Sequence[Any], where: Sequence[int | str],
                   kwargs: dict[str, Any]) -> tuple[Callable[..., Any], list[Any]]:  # fmt: skip
    """The function of some of the arguments, and these."""

    def f(*xs: Any) -> Any:
        new, named = list(args), dict(kwargs)
        for place, x in zip(where, xs, strict=True):
            if isinstance(place, str):
                named[place] = x
            else:
                new[place] = x
        return traced_part(function(*new, **named))

    return f, [kwargs[place] if isinstance(place, str) else args[place] for place in where]


def check_twin(ours: Callable[..., Any], theirs: Callable[..., Any], args: Sequence[Any],
               where: Sequence[int | str] = (0,), kwargs: dict[str, Any] | None = None, rtol: float = 1e-10,
               order: int = 2, tolerance: float | None = None) -> None:  # fmt: skip
    """Traced and plain calls give SciPy's values, shapes and dtypes; derivatives agree in all modes."""
    kwargs = kwargs or {}
    f, xs = with_arguments(ours, args, where, kwargs)
    with np.errstate(all="ignore"):
        expected = arrays(theirs(*args, **kwargs))
        plain = arrays(ours(*args, **kwargs))
    for found in (plain, arrays(cr.vjp(f, *xs)[0])):
        assert len(found) == len(expected)
        for y, z in zip(found, expected, strict=True):
            assert y.shape == z.shape
            assert y.dtype == z.dtype
            np.testing.assert_allclose(y, z, rtol=rtol, atol=rtol * max(1e-300, np.nanmax(np.abs(z), initial=0)))
    cr.check_derivatives(f, *xs, order=order, directions=1, entries=3, tolerance=tolerance)


def check_transforms(f: Callable[..., Any], x: Any, rtol: float = 1e-9) -> None:
    """`jit`, `jit(grad)` and `vmap` of a function of one array agree with plain calls."""
    g = cr.grad(lambda x: sum(np.sum(np.cos(y)) for y in f(x)))
    for compiled, plain in ((cr.jit(f), f), (cr.jit(g), g)):
        for one, two in zip(arrays(compiled(x)), arrays(plain(x)), strict=True):
            np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol)
    stack = np.stack([x, 1.1 * x, x[::-1] if np.ndim(x) else 0.9 * x])
    for many in (f, g):
        rows = [arrays(many(row)) for row in stack]
        for k, found in enumerate(arrays(cr.vmap(many)(stack))):
            np.testing.assert_allclose(found, np.stack([row[k] for row in rows]), rtol=rtol, atol=rtol)


def check_precision(ours: Callable[..., Any], theirs: Callable[..., Any], args: Sequence[Any],
                    where: Sequence[int | str], kwargs: dict[str, Any]) -> None:  # fmt: skip
    """Single precision stays single, except where SciPy computes in double."""

    def single(x: Any) -> Any:
        is_array = isinstance(x, np.ndarray) and x.dtype.kind in "fc"
        return x.astype(np.float32 if x.dtype.kind == "f" else np.complex64) if is_array else x

    args, kwargs = [single(x) for x in args], {key: single(x) for key, x in kwargs.items()}
    arrays_only = [
        place for place in where if isinstance((kwargs if isinstance(place, str) else args)[place], np.ndarray)
    ]
    if not arrays_only:
        return
    f, xs = with_arguments(ours, args, arrays_only, kwargs)
    found, pull = cr.vjp(f, *xs)
    with np.errstate(all="ignore"):
        expected = arrays(theirs(*args, **kwargs))
    assert all(y.dtype in (z.dtype, np.float32, np.complex64) for y, z in zip(arrays(found), expected, strict=True))
    for y, z in zip(arrays(found), expected, strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-3, atol=1e-3 * max(1.0, np.nanmax(np.abs(z), initial=0)))
    bars = pull([np.ones_like(y) for y in found])
    assert [bar.dtype for bar in bars] == [x.dtype for x in xs]


def check_single(f: Callable[..., Any], x: Any) -> None:
    """Single precision stays single precision."""
    x = np.asarray(x, np.float32)
    values, pull = cr.vjp(f, x)
    assert all(y.dtype in (np.float32, np.complex64) for y in arrays(values))
    assert pull([np.ones_like(y) for y in values])[0].dtype == np.float32


def refuses_or_differentiates(module: Any, name: str, skip: Sequence[str] = ()) -> None:
    """A public name handed a traced array gives a derivative, or an error of ours or SciPy's own about the value."""
    function = getattr(module, name)
    if not callable(function) or (inspect.isclass(function) and issubclass(function, BaseException)):
        return
    for shape in ((4,), (4, 4)):
        for count in (1, 2, 3):
            x = np.linspace(1.0, 2.0, int(np.prod(shape))).reshape(shape)
            outcome = {}

            def f(x: Any, count: int = count, outcome: Any = outcome) -> Any:
                try:
                    outcome["result"] = function(*[x] * count)
                except cr.ChainruleError:
                    outcome["error"] = True
                    raise
                return np.sum(x)

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    cr.grad(f)(x)
                except cr.ChainruleError:
                    continue
                except TypeError as error:
                    # the wrong number of arguments, said before anything ran
                    assert "argument" in str(error), f"{name}: {error!r}"
                    continue
                except (ValueError, IndexError, RuntimeError, NotImplementedError, AttributeError, ZeroDivisionError):
                    continue  # SciPy's own words on shapes and values
            result = outcome["result"]
            leaves = tree.flatten(result)[0]
            lost = [leaf for leaf in leaves if isinstance(leaf, np.ndarray | float) and not hasattr(leaf, "node")
                    and np.asarray(leaf).dtype.kind in "fcO" and name not in skip]  # fmt: skip
            kept = any(hasattr(leaf, "node") for leaf in leaves)
            assert kept or not lost, f"{name}: a derivative is lost in {lost}"
