"""autograd: NumPy with a tape."""

from __future__ import annotations

from importlib import metadata

import autograd
import autograd.numpy as anp
from autograd.scipy.special import logsumexp

from benchmarks.libraries.base import Library, Namespace


class Autograd(Library):
    """See the module."""

    def __init__(self) -> None:
        self.name, self.version = "autograd", metadata.version("autograd")
        self.np = Namespace(anp, logsumexp=logsumexp)

    def value_and_grad(self, f, argnums):
        return autograd.value_and_grad(f, tuple(argnums))


def make(name: str) -> Library:
    """Return the adapter."""
    return Autograd()
