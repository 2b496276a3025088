"""One adapter per library, all with the same few methods, so that a case is written once."""

from __future__ import annotations

import importlib
from types import ModuleType

from benchmarks.libraries.base import Library

NAMES = {
    "chainrule": "chainrule",
    "jax": "jax",
    "jax scan": "jax",
    "jax reverse": "jax",
    "torch": "torch",
    "torch.compile": "torch",
    "autograd": "autograd",
    "casadi": "casadi",
    "numpy": "numpy",
}
"""The module that a library needs, by the library's name in the tables."""


def load(name: str) -> Library | None:
    """Return the adapter of a library; None where it is not installed."""
    module = adapter(name)
    return None if module is None else module.make(name)


def adapter(name: str) -> ModuleType | None:
    """Import what a library needs; None where it is not installed."""
    try:
        importlib.import_module(NAMES[name])
    except ModuleNotFoundError as error:
        if error.name != NAMES[name]:
            raise
        return None
    return importlib.import_module(f"benchmarks.libraries.with_{NAMES[name]}")


__all__ = ["NAMES", "Library", "load"]
