"""Arrays made inside a traced function with plain NumPy, and written into: values, derivatives, aliasing, errors."""

import contextlib
import copy
import pickle
import subprocess
import sys
import threading
from numpy import zeros as zeros_imported_before

import numpy as np
import pytest
import scipy.linalg

import chainrule as cr
from chainrule.tracing import TracedArray
from chainrule.tracing.local import Filled, Local

X = np.array([0.5, 0.7, 1.1, 0.9])


# -- random programs ---------------------------------------------------------------------------------------------------


def program(seed):
    """Return a random program that makes arrays and views, and writes into them: the same at every call."""
    return lambda x: Run(seed, x.dtype).result(x)


class Run:
    """One run of a random program."""

    def __init__(self, seed, kind):
        self.rng = np.random.default_rng(seed)
        self.kind = kind
        self.arrays = []

    def result(self, x):
        self.arrays = [self.made(x)]
        total = x[0] * 0
        for _ in range(14):
            step = self.rng.choice(
                [self.make, self.view, self.alias, self.assign, self.assign, self.augment, self.write, self.read]
            )
            total = total + (step(x) or 0)
        for k, array in enumerate(self.arrays):
            weights = np.arange(1.0, array.size + 1).reshape(array.shape)
            total = total + (k + 1) * np.sum(array * weights)
        return total

    def pick(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def some(self):
        return self.arrays[self.rng.integers(len(self.arrays))]

    def number(self, x):
        factor = self.rng.uniform(0.5, 1.5)
        return self.pick(factor, factor * x[self.rng.integers(len(x))], factor * x[0] * x[1])

    def shape(self):
        return tuple(self.rng.integers(1, 4, self.rng.integers(1, 3)).tolist())

    def made(self, x):
        shape, kind = self.shape(), self.kind
        which = self.rng.integers(9)
        if which == 0:
            return np.zeros(shape, kind)
        if which == 1:
            return np.ones(shape, dtype=kind)
        if which == 2:
            return np.full(shape, self.number(x), dtype=kind)
        if which == 3:
            out = np.empty(shape, kind)
            out[...] = self.number(x)
            return out
        if which == 4:
            return np.array([[self.number(x) for _ in range(3)] for _ in range(2)], dtype=kind)
        if which == 5:
            return np.eye(3, dtype=kind) * self.rng.uniform(1, 2)
        if which == 6:
            return np.zeros(shape, kind, order="F")
        if which == 7:
            return np.zeros_like(self.some()) if self.arrays else np.zeros(shape, kind)
        return np.arange(6.0, dtype=kind).reshape(2, 3)

    def make(self, x):
        self.arrays.append(self.made(x) if self.rng.random() < 0.7 else np.copy(self.some()))

    def key(self, array):
        """Return a random basic index."""
        parts = []
        for size in array.shape:
            a, b = sorted(self.rng.integers(0, size + 1, 2).tolist())
            parts.append(self.pick(int(self.rng.integers(size)), slice(None), slice(a, b), slice(None, None, -1)))
        return self.pick(tuple(parts), tuple(parts), parts[0], (..., parts[-1]))

    def view(self, x):
        array = self.some()
        which = self.rng.integers(6)
        if which == 0:
            found = array.T
        elif which == 1:
            found = array.reshape(-1)  # a view, or a copy
        elif which == 2:
            found = array[None]
        elif which == 3:
            found = np.swapaxes(array, 0, -1)
        else:
            found = array[self.key(array)]
        if np.ndim(found) and found.size:
            self.arrays.append(found)

    def alias(self, x):
        self.arrays.append(self.some())

    def any_key(self, array):
        size = array.shape[0]
        mask = self.rng.random(array.shape) < 0.5
        rows = self.rng.permutation(size)[: self.rng.integers(1, size + 1)]
        return self.pick(self.key(array), self.key(array), mask, rows, [int(rows[0])], ...)

    def value(self, x, shape):
        """Return something that can be assigned to a part of a shape."""
        number = self.number(x)
        filled = np.full(shape, self.rng.uniform(0.5, 1.5)) * number
        return self.pick(number, filled) if shape else number

    def assign(self, x):
        array = self.some()
        key = self.any_key(array)
        shape = np.zeros(array.shape)[key].shape
        array[key] = self.value(x, shape)

    def augment(self, x):
        array = self.some()
        key = self.any_key(array)
        value = self.value(x, np.zeros(array.shape)[key].shape)
        which = self.rng.integers(4)
        if which == 0:
            array[key] += value
        elif which == 1:
            array[key] *= value
        elif which == 2:
            array[key] -= value
        else:
            array *= self.number(x)

    def write(self, x):
        array, number = self.some(), self.number(x)
        which = self.rng.integers(9)
        if which == 0:
            array.fill(number)
        elif which == 1:
            np.copyto(array, number, where=self.rng.random(array.shape) < 0.5)
        elif which == 2:
            np.add(array, number, out=array)
        elif which == 3:
            np.multiply(array, number, out=array, where=self.rng.random(array.shape) < 0.5)
        elif which == 4:
            np.add.at(array, self.rng.integers(0, array.shape[0], 3), number)
        elif which == 5 and array.ndim == 2:
            np.fill_diagonal(array, number)
        elif which == 6:
            array.flat[int(self.rng.integers(array.size))] = number
        elif which == 7:
            np.put(array, self.rng.integers(0, array.size, 2), number)
        else:
            np.putmask(array, self.rng.random(array.shape) < 0.5, number)

    def read(self, x):
        array = self.some()
        return self.pick(lambda: np.sum(array), lambda: np.sin(array).sum(), lambda: array[(0,) * array.ndim] ** 2)()


def complex_step(f, x):
    """Return the gradient of an analytic function to full precision, by NumPy alone."""
    steps = np.eye(len(x)) * 1e-30j
    return np.array([f(x + step).imag / 1e-30 for step in steps])


@pytest.mark.parametrize("seed", range(150))
def test_random_programs(seed):
    f = program(seed)
    with np.errstate(all="ignore"):
        expected, slopes = f(X), complex_step(f, X)
        value, found = cr.value_and_grad(f)(X)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        np.testing.assert_allclose(found, slopes, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(cr.jvp(f, (X,), (np.ones(4),))[1], slopes.sum(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seed", range(150, 162))
def test_random_programs_compiled(seed):
    f = program(seed)
    fast = cr.jit(cr.value_and_grad(f))
    for x in (X, X + 0.1):
        value, found = fast(x)
        np.testing.assert_allclose(value, f(x), rtol=1e-12)
        np.testing.assert_allclose(found, complex_step(f, x), rtol=1e-10, atol=1e-10)
    assert not fast.impure
