"""What is measured: a function, its arguments, and which libraries run it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.libraries import Library

ALL = ("chainrule", "jax", "torch", "autograd")
"""The libraries that run a body as it stands."""
COMPILED = (*ALL, "torch.compile")
"""The same, and `torch.compile`, whose compiler takes 10 to 60 s for a case: for some of each kind."""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: Its name, for ``--only``.
        work: What is computed, in words.
        arguments: Makes the arguments, NumPy arrays; ``arguments(tiny=True)`` for the tests.
        bodies: For each library a function ``f(np, *args)``, where np is the library's version of NumPy.
        argnums: The arguments that the derivative is for.
        kind: "gradient", "value and gradient", "jacobian" (point by point over a batch), or "step" (bodies are
            ``f(library, *args)`` and do what they please).
        by_hand: The derivative in plain NumPy as one would write it, for the library "numpy".
        outputs: How many results a function has of which the Jacobian is asked.
        numpy_ends: Arguments and results are NumPy arrays for every library.
        tolerance: Largest difference between libraries, relative to the largest element of a result.
        target: What the ratio of a library's time to chainrule's is to be at least: (library, ratio).
        limit: Seconds that chainrule is to take at most.
        first: What the ratio of JAX's first call to chainrule's is to be at least.
        first_limit: Seconds that chainrule's first call is to take at most.
        slow: Leave out with ``--quick``.
        memory: Whether to measure the peak memory, and the time of a copy of the first argument.
    """

    name: str
    work: str
    arguments: Callable[..., Sequence[np.ndarray]]
    bodies: Mapping[str, Callable[..., Any]]
    argnums: Sequence[int] = (0,)
    kind: str = "gradient"
    by_hand: Callable[..., Any] | None = None
    outputs: int = 0
    numpy_ends: bool = False
    tolerance: float = 1e-9
    target: tuple[str, float] | None = None
    limit: float | None = None
    first: float | None = None
    first_limit: float | None = None
    slow: bool = False
    memory: bool = False

    @property
    def libraries(self) -> list[str]:
        """The libraries that run it."""
        return [*self.bodies, *(["numpy"] if self.by_hand else [])]

    def function(self, library: Library) -> Callable[..., Any]:
        """Return the function itself, compiled."""
        body = self.bodies[library.name]
        return library.compile(functools.partial(body, library if self.kind == "step" else library.np))

    def derivative(self, library: Library, args: Sequence[np.ndarray]) -> Callable[..., Any]:
        """Return what is timed, compiled."""
        if library.name == "numpy":
            assert self.by_hand is not None
            return self.by_hand
        if self.kind == "step":
            return self.function(library)
        f = Body(functools.partial(self.bodies[library.name], library.np), len(args))
        if self.kind == "gradient":
            found = library.grad(f, self.argnums)
        elif self.kind == "value and gradient":
            found = library.value_and_grad(f, self.argnums)
        else:
            found = library.batch_jacobian(f, self.outputs)
        return library.compile(found)


class Body:
    """A function that knows how many arguments it takes."""

    def __init__(self, f: Callable[..., Any], inputs: int) -> None:
        self.f = f
        self.inputs = inputs
        self.__name__ = getattr(getattr(f, "func", f), "__name__", "f")

    def __call__(self, *args: Any) -> Any:
        """Call it."""
        return self.f(*args)


def with_libraries(f: Callable[..., Any], *names: str, **others: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Return bodies: the same one for some libraries (`ALL` if none are named), and others under their names."""
    return dict.fromkeys(names or ALL, f) | {name.replace("_", " "): body for name, body in others.items()}


def normal(seed: int, *shapes: Sequence[int], dtype: Any = float, scale: float = 1.0) -> list[np.ndarray]:
    """Return arrays of normally distributed numbers."""
    rng = np.random.default_rng(seed)
    return [(scale * rng.standard_normal(shape)).astype(dtype) for shape in shapes]
