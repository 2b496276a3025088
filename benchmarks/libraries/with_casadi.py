"""CasADi: scalar expression graphs (SX) run by its virtual machine, called through buffers, without allocation."""

from __future__ import annotations

import casadi
import numpy as np

from benchmarks.libraries.base import Library, Namespace


class Casadi(Library):
    """The only library here that needs the shapes of arguments before it differentiates: `call` does all of the work.

    `value_and_grad`, `grad` and `batch_jacobian` return recipes, run on symbols.
    """

    def __init__(self) -> None:
        self.name, self.version = "casadi", casadi.__version__
        self.np = Namespace(casadi, sum=casadi.sum1, abs=casadi.fabs)

    def value_and_grad(self, f, argnums):
        def recipe(*symbols):
            value = f(*symbols)
            return [value, *(casadi.gradient(value, symbols[k]) for k in argnums)]

        return recipe

    def grad(self, f, argnums):
        both = self.value_and_grad(f, argnums)
        return lambda *symbols: both(*symbols)[1:]

    def batch_jacobian(self, f, outputs):
        def recipe(*symbols):
            return [casadi.jacobian(casadi.vertcat(*f(*symbols)), casadi.vertcat(*symbols))]

        recipe.is_batched = True
        return recipe

    def call(self, f, args, *, numpy_ends=False):
        if getattr(f, "is_batched", False):
            symbols = [casadi.SX.sym(f"x{k}") for k in range(len(args))]
            function = casadi.Function("f", [casadi.vertcat(*symbols)], _dense(f(*symbols))).map(len(args[0]))
            inputs = [np.stack(args, axis=1).ravel()]  # by column, as CasADi has it: one point after another
        else:
            symbols = [casadi.SX.sym(f"x{k}", *_shape(arg)) for k, arg in enumerate(args)]
            function = casadi.Function("f", symbols, _dense(f(*symbols)))
            inputs = [np.ravel(np.asarray(arg, dtype=float), order="F") for arg in args]
        buffer, trigger = function.buffer()
        shapes = [function.size_out(k) for k in range(function.n_out())]
        outputs = [np.zeros(rows * columns) for rows, columns in shapes]
        for k, array in enumerate(inputs):
            buffer.set_arg(k, memoryview(array))
        for k, array in enumerate(outputs):
            buffer.set_res(k, memoryview(array))
        arrays = [array.reshape(shape, order="F") for array, shape in zip(outputs, shapes, strict=True)]
        if getattr(f, "is_batched", False):
            partials = outputs[0].reshape(len(args[0]), len(args), -1)
            arrays = [partials[:, k, row] for row in range(partials.shape[2]) for k in range(len(args))]
        kept = buffer, function, inputs  # the buffer has addresses only

        def run():
            trigger()
            return arrays if kept else None

        return run


def _dense(results):
    return [casadi.densify(each) for each in (results if isinstance(results, list) else [results])]


def _shape(array):
    shape = np.shape(array)
    return shape if len(shape) == 2 else (shape[0] if shape else 1, 1)


def make(name: str) -> Library:
    """Return the adapter."""
    return Casadi()
