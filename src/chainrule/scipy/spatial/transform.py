"""`scipy.spatial.transform`: rotations are SciPy's, and refuse traced values."""

from __future__ import annotations

from typing import Any

import scipy.spatial.transform

from chainrule.scipy.common import guarded, reads_traced, refuse

_INSTEAD = (
    "write the matrix with NumPy functions, such as I + sin(a) K + (1 - cos(a)) K @ K for the angle a about an axis "
    "with the cross-product matrix K, and apply it with @"
)


def __getattr__(name: str) -> Any:
    found = guarded(scipy.spatial.transform, name, _INSTEAD)
    return _with_constructors(found, name) if name in ("Rotation", "RigidTransform") else found


_MADE: dict[str, Any] = {}


def _with_constructors(guard: Any, name: str) -> Any:
    """Let the constructors that are class methods refuse traced values, too."""
    if name not in _MADE:
        for each in dir(guard):
            if each.startswith("from_") or each in ("concatenate", "align_vectors"):
                setattr(guard, each, staticmethod(_refusing(getattr(getattr(scipy.spatial.transform, name), each),
                                                            f"scipy.spatial.transform.{name}.{each}")))  # fmt: skip
        _MADE[name] = guard
    return _MADE[name]


def _refusing(original: Any, words: str) -> Any:
    def make(*args: Any, **kwargs: Any) -> Any:
        if reads_traced(args, kwargs):
            raise refuse(words, _INSTEAD)
        return original(*args, **kwargs)

    return make
