"""chainrule: plain NumPy code as a computational graph that one can see, and its derivatives."""

from chainrule import random as _random  # noqa: F401 - so that chainrule.random is there
from chainrule.api import grad, hessian, hvp, jacobian, jvp, linearize, stop_gradient, value_and_grad, vjp
from chainrule.batching import vmap
from chainrule.control import checkpoint, cond, fori_loop, scan, while_loop
from chainrule.custom import custom_jvp, custom_vjp
from chainrule.dispatch import jit
from chainrule.errors import ChainruleError
from chainrule.explanation import Explanation, explain
from chainrule.graph import Graph, trace
from chainrule.implicit import implicit_root
from chainrule.ravel import ravel_pytree
from chainrule.scipy import special as _special  # noqa: F401 - so that chainrule.scipy is there, and its twins known
from chainrule.testing import check_derivatives

__all__ = [
    "ChainruleError",
    "Explanation",
    "Graph",
    "check_derivatives",
    "checkpoint",
    "cond",
    "custom_jvp",
    "custom_vjp",
    "explain",
    "fori_loop",
    "grad",
    "hessian",
    "hvp",
    "implicit_root",
    "jacobian",
    "jit",
    "jvp",
    "linearize",
    "ravel_pytree",
    "scan",
    "stop_gradient",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
