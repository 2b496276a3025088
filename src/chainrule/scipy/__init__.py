"""Twins of SciPy functions that SciPy itself cannot hand to traced arrays.

Each module here stands for SciPy's of the same name, holds twins of its functions, and falls through to SciPy for the
rest:

    from chainrule.scipy import special  # for: from scipy import special

Code whose imports should stay as they are runs after `install`, which puts the twins in SciPy's place. Modules are
loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

from chainrule.scipy.places import MODULES, install, uninstall

__all__ = [*MODULES, "install", "uninstall"]


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; there are twins for parts of {', '.join(MODULES)}"
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
