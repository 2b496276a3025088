"""How rows are written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Row:
    """A function and how it is called.

    Attributes:
        section: Part of the table.
        name: What the table calls it.
        text: Python of `np`, `special`, `linalg`, ... and the arguments' names: an expression, or statements and then
            an expression, separated by ``"; "``.
        args: Where it is differentiated: real numbers, by name.
        jax: The same in JAX's words; None where JAX has no such function.
        autograd: The same in autograd's words.
        complex: Complex numbers to differentiate at; None where the function takes none.
        tolerance: Largest relative error of a first derivative against differences.
        step: Of the differences.
    """

    section: str
    name: str
    text: str
    args: dict[str, Any]
    jax: str | None
    autograd: str | None
    complex: dict[str, Any] | None
    tolerance: float = 1e-6
    step: float = 1e-4

    @property
    def key(self) -> str:
        """What tells it from the other rows."""
        return f"{self.section}: {self.name}"


SAME = "same"


class Section:
    """Collects the rows of a section."""

    def __init__(self, rows: list[Row], section: str) -> None:
        self.rows = rows
        self.section = section

    def add(
        self,
        name: str,
        text: str,
        *,
        jax: str | None = SAME,
        autograd: str | None = SAME,
        complex: Any = SAME,
        tolerance: float = 1e-6,
        step: float = 1e-4,
        **args: Any,
    ) -> None:
        """Add a row; `complex` is drawn near the real arguments where it is not given."""
        args = {key: value if np.ndim(value) else np.float64(value) for key, value in args.items()}
        if complex == SAME:
            complex = {key: tilted(value) for key, value in args.items()}
        self.rows.append(
            Row(
                self.section,
                name,
                text,
                args,
                text if jax == SAME else jax,
                text if autograd == SAME else autograd,
                complex or None,
                tolerance,
                step,
            )
        )


def tilted(x: Any) -> Any:
    """Return x with imaginary parts between -0.4 and 0.4."""
    return (x + 0.4j * np.sin(1.0 + 2.0 * np.arange(np.size(x)).reshape(np.shape(x))))[()]
