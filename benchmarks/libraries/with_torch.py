"""PyTorch on the CPU: eager with its tape, or `torch.compile` of the whole gradient."""

from __future__ import annotations

import time

import torch

from benchmarks.libraries.base import Library, Namespace

THREADS = torch.get_num_threads()


class Eager(Library):
    """See the module."""

    def __init__(self) -> None:
        self.name, self.version = "torch", torch.__version__
        self.np = Namespace(torch, logsumexp=lambda x, axis: torch.logsumexp(x, dim=axis))

    def value_and_grad(self, f, argnums):
        places = tuple(argnums)

        def both(*args):
            args = list(args)
            for k in places:
                args[k] = args[k].detach().requires_grad_()
            value = f(*args)
            return value.detach(), torch.autograd.grad(value, [args[k] for k in places])

        return both

    def batch_jacobian(self, f, outputs):
        def jacobian(*args):
            args = [arg.detach().requires_grad_() for arg in args]
            found = f(*args)
            ones = torch.ones_like(found[0])
            return [
                torch.autograd.grad(y, args, ones, retain_graph=True, materialize_grads=True, allow_unused=True)
                for y in found
            ]

        return jacobian

    def place(self, array):
        return torch.as_tensor(array)

    def call(self, f, args, *, numpy_ends=False):
        if numpy_ends:
            return _with_threads(lambda: [leaf.numpy() for leaf in _flat(f(*(torch.as_tensor(arg) for arg in args)))])
        return _with_threads(super().call(f, args))

    def leaves(self, result):
        return [leaf.numpy() if isinstance(leaf, torch.Tensor) else leaf for leaf in _flat(result)]


class Compiled(Eager):
    """`torch.compile` of functional gradients: forward and backward in one graph."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "torch.compile"

    def value_and_grad(self, f, argnums):
        both = torch.func.grad_and_value(f, tuple(argnums))
        return lambda *args: both(*args)[::-1]

    def batch_jacobian(self, f, outputs):
        mode = torch.func.jacrev if outputs < f.inputs else torch.func.jacfwd
        return torch.func.vmap(mode(lambda *xs: tuple(f(*xs)), argnums=tuple(range(f.inputs))))

    def compile(self, f):
        return torch.compile(f, dynamic=False)


def _with_threads(run):
    """Choose between one thread and all, whichever is faster: where cores are busy, all can be far slower."""
    times = {}
    for threads in (1, THREADS):
        torch.set_num_threads(threads)
        run()
        start = time.perf_counter()
        run()
        run()
        times[threads] = time.perf_counter() - start
    torch.set_num_threads(min(times, key=times.get))
    return run


def _flat(result):
    if isinstance(result, list | tuple):
        return [leaf for part in result for leaf in _flat(part)]
    return [result]


def make(name: str) -> Library:
    """Return the adapter."""
    return Compiled() if name == "torch.compile" else Eager()
