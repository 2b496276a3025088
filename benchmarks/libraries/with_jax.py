"""JAX: `jit`, 64-bit mode; arguments are JAX arrays already, the wait for results is included."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from benchmarks.libraries.base import Library, Namespace

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")


class Jax(Library):
    """See the module."""

    def __init__(self, name: str) -> None:
        self.name, self.version = name, jax.__version__
        self.np = Namespace(jnp, logsumexp=logsumexp, scan=jax.lax.scan)

    def value_and_grad(self, f, argnums):
        return jax.value_and_grad(f, tuple(argnums))

    def grad(self, f, argnums):
        return jax.grad(f, tuple(argnums))

    def batch_jacobian(self, f, outputs):
        mode = jax.jacrev if self.name == "jax reverse" else jax.jacfwd
        return jax.vmap(mode(lambda *xs: tuple(f(*xs)), argnums=tuple(range(f.inputs))))

    def compile(self, f):
        return jax.jit(f)

    def place(self, array):
        return jnp.asarray(array)

    def call(self, f, args, *, numpy_ends=False):
        if numpy_ends:
            return lambda: jax.tree.map(np.asarray, f(*args))
        args = [self.place(arg) for arg in args]
        return lambda: jax.block_until_ready(f(*args))


def make(name: str) -> Library:
    """Return the adapter."""
    return Jax(name)
