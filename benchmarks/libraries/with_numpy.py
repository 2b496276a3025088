"""NumPy: functions as they are, and gradients written by hand in the cases."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from benchmarks.libraries.base import Library, Namespace


class Numpy(Library):
    """See the module."""

    def __init__(self) -> None:
        self.name, self.version = "numpy", np.__version__
        self.np = Namespace(np, logsumexp=logsumexp)


def make(name: str) -> Library:
    """Return the adapter."""
    return Numpy()
