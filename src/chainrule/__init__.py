"""chainrule: plain NumPy code as a computational graph that one can see, and its derivatives."""

from chainrule.api import grad, hessian, hvp, jacobian, jvp, linearize, stop_gradient, value_and_grad, vjp
from chainrule.custom import custom_jvp, custom_vjp
from chainrule.errors import ChainruleError
from chainrule.graph import Graph, trace

__all__ = [
    "ChainruleError",
    "Graph",
    "custom_jvp",
    "custom_vjp",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linearize",
    "stop_gradient",
    "trace",
    "value_and_grad",
    "vjp",
]
