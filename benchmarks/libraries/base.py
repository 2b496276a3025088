"""What a case may ask of a library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Function = Callable[..., Any]


class Namespace:
    """A library's version of NumPy's functions, and a few more."""

    def __init__(self, module: Any, **others: Any) -> None:
        self.__dict__.update(others)
        self.module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


class Library:
    """A library that differentiates; each method is what its manual recommends for speed.

    Attributes:
        name: Its name in the tables.
        np: Its version of NumPy's functions, and `logsumexp`.
        version: Its version.
    """

    name: str
    np: Any
    version: str

    def value_and_grad(self, f: Function, argnums: Sequence[int]) -> Function:
        """Return a function that computes f and its gradient with respect to some arguments."""
        raise TypeError(f"{self.name} does not differentiate")

    def grad(self, f: Function, argnums: Sequence[int]) -> Function:
        """Return a function that computes the gradient of f alone."""
        both = self.value_and_grad(f, argnums)
        return lambda *args: both(*args)[1]

    def batch_jacobian(self, f: Function, outputs: int) -> Function:
        """Return a function of arrays (N,) that computes the partials of f's results, each (N,), point by point.

        Here by one reverse sweep for each result: at every point a result depends on that point alone.
        """
        count = f.inputs

        def jacobian(*args: Any) -> Any:
            return [self.grad(lambda *xs, k=k: self.np.sum(f(*xs)[k]), range(count))(*args) for k in range(outputs)]

        return jacobian

    def compile(self, f: Function) -> Function:
        """Return f compiled, where the library compiles."""
        return f

    def place(self, array: np.ndarray) -> Any:
        """Return an argument in the library's own form, which it is timed with."""
        return array

    def call(self, f: Function, args: Sequence[Any], *, numpy_ends: bool = False) -> Callable[[], Any]:
        """Return a function of nothing that calls f and waits for its results.

        With `numpy_ends`, f takes NumPy arrays and results become NumPy arrays, conversions included in the time.
        """
        if not numpy_ends:
            args = [self.place(arg) for arg in args]
        return lambda: f(*args)

    def leaves(self, result: Any) -> list[np.ndarray]:
        """Return all arrays of a result, in order, for comparison."""
        if isinstance(result, list | tuple):
            return [leaf for part in result for leaf in self.leaves(part)]
        return [np.asarray(result)]
