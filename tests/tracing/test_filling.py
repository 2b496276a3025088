"""Arrays made inside a traced function with plain NumPy, and written into: values, derivatives, aliasing, errors."""

import copy
import gc
import pickle
import subprocess
import sys
import threading
import warnings
import weakref

import numpy as np
import pytest
import scipy.linalg

import chainrule as cr
from chainrule.errors import DetachError, DtypeError, UnsupportedError
from chainrule.tracing import TracedArray
from chainrule.tracing.local import Filled, Local

B = np.ones(2)
X = np.array([0.5, 0.7, 1.1, 0.9])


# -- random programs -------------------------------------------------------------------------------------------------


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


# -- arrays of traced numbers ----------------------------------------------------------------------------------------

MADE = {
    "list": lambda x: np.array([x[0], x[1] * x[2]]),
    "nested": lambda x: np.array([[x[0], 0.0], (1, x[1])]),
    "deeper": lambda x: np.array([[[x[0]], [1.0]], [[x[1]], [x[2]]]]),
    "rows": lambda x: np.array([x, [1.0, 2.0, 3.0, x[0]], np.ones(4)]),
    "copy": lambda x: np.array(x),
    "copy=False": lambda x: np.array(x, copy=False),
    "ndmin": lambda x: np.array([x[0], 1.0], ndmin=3),
    "ndmin of a number": lambda x: np.array(x[0], ndmin=1),
    "number": lambda x: np.array(x[0]),
    "dtype": lambda x: np.array([x[0], 1], dtype=np.float32),
    "complex": lambda x: np.array([x[0], 1j]).imag + np.array([x[0], 1], complex).real,
    "asarray": lambda x: np.asarray([x[0], 2.0]),
    "asarray of an array": lambda x: np.asarray(x, dtype=float),
    "asanyarray": lambda x: np.asanyarray((x[0], 2.0)),
    "ascontiguousarray": lambda x: np.ascontiguousarray(x[0]),
    "asfortranarray": lambda x: np.asfortranarray([[x[0], 1.0]]),
    "asarray_chkfinite": lambda x: np.asarray_chkfinite([x[0]]),
    "require": lambda x: np.require([x[0], 3.0], float, "C"),
    "full": lambda x: np.full(3, x[0]),
    "full of a shape": lambda x: np.full((2, 3), x[0] * x[1]),
    "full of a row": lambda x: np.full((2, 4), x),
    "full with a dtype": lambda x: np.full(2, x[0], np.float32),
    "full by name": lambda x: np.full(shape=2, fill_value=x[0]),
    "full_like": lambda x: np.full_like(np.ones((2, 2)), x[0]),
    "r_": lambda x: np.r_[x[0], x, 1.0, 2:4],
    "r_ of a range": lambda x: np.r_[x, 0:1:3j],
    "r_ of rows": lambda x: np.r_["0,2", x, np.ones(4)],
    "r_ of columns": lambda x: np.r_["1,2,0", x, np.ones(4)],
    "r_ of a traced range": lambda x: np.r_[x[0] : 3.2 : x[1], 1.0],
    "r_ of traced ends": lambda x: np.r_[1.0, x[0] : x[1] : 3j],
    "c_": lambda x: np.c_[x, np.ones(4), 2 * x],
    "c_ of matrices": lambda x: np.c_[np.ones((4, 2)), x],
    "fromiter": lambda x: np.fromiter((a * a for a in x), float),
    "fromiter with a count": lambda x: np.fromiter((a * a for a in x), float, 2),
    "arange": lambda x: np.arange(x[0], 3.2),
    "arange with a step": lambda x: np.arange(x[0], 3.2, x[1]),
    "arange to": lambda x: np.arange(4.6 * x[0]),
    "arange by name": lambda x: np.arange(0.0, stop=1.0, step=x[0] / 2.1),
    "linspace": lambda x: np.linspace(x[0], x[1], 5),
    "eye": lambda x: np.eye(3) * x[0],
    "vectorize": lambda x: np.vectorize(lambda a, b: a * a if a > b else b * a)(x, 0.8),
    "vectorize of two": lambda x: np.vectorize(lambda a: (a, 2 * a))(x)[1],
    "map": lambda x: np.stack(list(map(np.array, [[x[0], 1.0], [2.0, x[1]]]))),
    "another name": lambda x: (lambda make: make([x[0], x[1]]))(np.array),
    "sum of a list": lambda x: np.sum([a * a for a in x]),
    "mean of a list": lambda x: np.mean([a * a for a in x]),
    "dot of a list": lambda x: np.dot([x[0], x[1]], np.ones(2)),
    "norm of a list": lambda x: np.linalg.norm([x[0], x[1]]),
    "concatenate with a list": lambda x: np.concatenate([np.ones(2), [x[0], x[1]]]),
    "an array of arrays made": lambda x: np.array([np.array([a, a * a]) for a in x]),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_arrays_of_traced_numbers(name):
    make = MADE[name]
    expected = make(X)

    def f(x):
        y = make(x)
        assert (y.dtype, y.shape) == (expected.dtype, expected.shape)
        weights = np.arange(1.0, y.size + 1).reshape(y.shape)
        return np.sum(y * weights)

    value, found = cr.value_and_grad(f)(X)
    single = expected.dtype == np.float32
    np.testing.assert_allclose(value, f(X), rtol=1e-6 if single else 1e-12)
    h = 1e-3 if single else 1e-6
    slopes = [(f(X + h * d) - f(X - h * d)) / (2 * h) for d in np.eye(4)]
    np.testing.assert_allclose(found, slopes, rtol=1e-6, atol=1e-3 if single else 1e-6)
    np.testing.assert_allclose(cr.jit(cr.grad(f))(X), found, rtol=1e-6)


def test_copies_of_a_traced_array():
    def f(x):
        y, z = np.array(x), np.asarray(x)
        assert z is x
        y[0] = 2.0
        return x.sum() + 0 * y.sum()

    np.testing.assert_array_equal(cr.grad(f)(X), np.ones(4))


def test_a_ragged_list_is_refused():
    with pytest.raises(cr.ChainruleError, match=r"shapes.*test_filling\.py"):
        cr.grad(lambda x: np.array([x, x[:2]]).sum())(X)


# -- arrays that stay plain ------------------------------------------------------------------------------------------


def test_an_array_without_traced_values_is_an_ordinary_one():
    outside = np.ones((2, 2))

    def f(x):
        a = np.zeros((3, 3))
        a[0] = [1.0, 2.0, 3.0]
        a += np.eye(3)
        assert isinstance(a, np.ndarray)
        assert type(a.sum()) is np.float64
        assert type(a[0, 0]) is np.float64
        assert type(np.float64(1) + a[0, 0]) is np.float64
        assert repr(a) == repr(np.array(a.tolist()))
        assert type(pickle.loads(pickle.dumps(a))) is np.ndarray
        np.testing.assert_array_equal(copy.deepcopy(a), a)
        np.random.default_rng(0).random(out=a[1])
        factors = scipy.linalg.lu(a)
        np.testing.assert_allclose(factors[0] @ factors[1] @ factors[2], a)
        b = np.asarray(outside)
        assert b is outside
        assert type(np.array(["a"])) is np.ndarray
        assert memoryview(a).shape == (3, 3)
        a.flat[0], a.flat[1] = 5.0, a.flat[2]
        assert list(a.flat)[:2] == [5.0, 3.0]
        assert len(a.flat) == 9
        return x.sum() * a[0, 1]

    assert cr.grad(f)(X).tolist() == [3.0] * 4
    assert cr.jit(cr.grad(f))(X).tolist() == [3.0] * 4


def test_an_auxiliary_result_is_an_ordinary_array():
    def f(x):
        plain, filled = np.ones(2), np.ones(2)
        filled[0] = x[0]
        return x.sum(), (plain, filled)

    _, aux = cr.grad(f, has_aux=True)(X)
    assert [type(each) for each in aux] == [np.ndarray] * 2
    assert aux[1].tolist() == [X[0], 1.0]
    result = cr.jit(lambda x: (np.zeros(2), x))(X)[0]
    assert type(result) is np.ndarray


def test_a_large_array_that_is_only_read_is_not_copied():
    shapes = []

    def f(x):
        a = np.zeros((2000, 500))
        shapes.append(cr.trace(lambda y: y * 1.0, 1.0))
        return np.sum(a * x)

    graph = cr.trace(f, 1.0)
    constants = [node for node in graph.nodes if node.op == "constant" and node.shape == (2000, 500)]
    assert len(constants) == 1


def test_numpys_module_is_restored():
    names = {name: getattr(np, name) for name in dir(np)}
    inner = np.linalg.norm, np.vectorize.__call__, type(np.r_).__mro__[1].__getitem__

    def f(x):
        assert np.zeros is not names["zeros"]
        assert cr.grad(lambda y: np.full(2, y).sum())(1.0) == 2.0
        assert np.zeros is not names["zeros"]
        return np.zeros(3)[0] * x + x

    cr.grad(f)(1.0)

    def fails(x):
        raise KeyError("mine")

    for g in (cr.grad(fails), cr.jit(fails), cr.vmap(fails), lambda x: cr.scan(lambda c, y: fails(c), x, np.ones(3))):
        with pytest.raises(KeyError):
            g(np.ones(3))
    assert {name: getattr(np, name) for name in names} == names
    assert (np.linalg.norm, np.vectorize.__call__, type(np.r_).__mro__[1].__getitem__) == inner


def test_other_threads_make_ordinary_arrays():
    started, done = threading.Event(), threading.Event()
    found = []

    def other():
        started.wait(10)
        found.extend([type(np.zeros(3)), type(np.array([1.0])), type(np.r_[1.0, 2.0]), np.sum([1.0, 2.0])])
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    def f(x):
        started.set()
        assert done.wait(10)
        out = np.zeros(3)
        out[0] = x
        return out.sum()

    assert cr.grad(f)(2.0) == 1.0
    thread.join()
    assert found == [np.ndarray, np.ndarray, np.ndarray, 3.0]


def test_threads_trace_at_the_same_time():
    def f(x):
        out = np.zeros(20)
        for k in range(20):
            out[k] = x[k % 4] ** 2
        return np.array([out.sum(), out[3]]).sum()

    expected = cr.grad(f)(X)
    results = [[] for _ in range(4)]

    def work(k):
        for _ in range(20):
            results[k].append(cr.grad(f)(X))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.all(np.array(results) == expected)


# -- what a filled array is ------------------------------------------------------------------------------------------


def test_a_filled_array_stays_the_same_object():
    def f(x):
        out = np.zeros((2, 2))
        same, row, columns = out, out[0], out.T
        row[1] = x[0]
        assert same is out
        assert isinstance(out, np.ndarray)
        assert isinstance(out, TracedArray)
        assert out.shape == (2, 2)
        assert out.dtype == float
        assert len(out) == 2
        assert out.size == 4
        assert out.ndim == 2
        assert np.shape(out) == (2, 2)
        assert f"{out[0, 1]:.1f}" == "0.5"
        assert "0.5" in str(out)
        assert "0.5" in repr(out)
        assert out[0, 1] > 0
        assert 0.5 in out
        assert 7.0 not in out
        before = out
        out += 1
        assert out is before
        columns[0, 1] = x[1]
        assert row.tolist()[1] > 1
        return (out @ out).sum() + same[1, 0] * columns.sum()

    def alike(x):
        out = np.array([[1.0, x[0] + 1], [x[1], 1.0]])
        return (out @ out).sum() + out[1, 0] * out.sum()

    np.testing.assert_allclose(cr.grad(f)(X), complex_step(alike, X), rtol=1e-12)


def test_a_number_of_it_does_not_leave_the_graph():
    def f(x, leave):
        out = np.zeros(2)
        out[0] = x[0]
        return leave(out) * x[0]

    ways = [lambda out: float(out[0]), lambda out: out[0].item(), lambda out: out.tobytes(), lambda out: out.item(0),
            lambda out: np.asarray(B).__setitem__(slice(None), out), lambda out: pickle.dumps(out)]  # fmt: skip
    for leave in ways:
        with pytest.raises(cr.ChainruleError, match=r"test_filling\.py"):
            cr.grad(f)(X, leave)


def test_a_library_that_reads_its_memory_finds_no_numbers():
    def f(x):
        out = np.zeros(2)
        before = out.view(np.ndarray)
        out[0] = x[0]
        assert np.isnan(before).all()
        return out[0]

    cr.grad(f)(X)


def test_a_view_of_other_numbers_is_refused():
    def f(x):
        out = np.zeros(2, complex)
        part = out.real
        out[0] = x[0]
        return part.sum()

    with pytest.raises(UnsupportedError, match=r"x\.real.*test_filling\.py"):
        cr.grad(f)(X)


def test_parts_of_complex_numbers():
    def f(x):
        out = np.zeros(2, complex)
        out.real = x[:2]
        out.imag = x[2:]
        return np.abs(out).sum()

    np.testing.assert_allclose(cr.grad(f)(X), np.r_[X[:2], X[2:]] / np.tile(np.hypot(X[:2], X[2:]), 2))


def test_integers_hold_integers():
    def floats(x):
        out = np.zeros(3, int)
        out[0] = x[0]
        return out.sum() * x[0]

    with pytest.raises(DtypeError, match=r"cannot store float64 in an array of int64.*test_filling\.py"):
        cr.grad(floats)(X)

    def integers(x):
        out, chosen = np.zeros(2, int), np.zeros(4, bool)
        out[0] = np.argmax(x)
        chosen[:2] = x[:2] > 0.6
        return x[out].sum() + x[chosen].sum()

    assert cr.grad(integers)(X).tolist() == [1, 1, 1, 0]
    assert cr.jit(cr.grad(integers))(X).tolist() == [1, 1, 1, 0]


# -- arrays from elsewhere -------------------------------------------------------------------------------------------


OUTSIDE = {
    "an element": lambda a, x: a.__setitem__(0, x[0]),
    "a slice": lambda a, x: a.__setitem__(slice(1, 3), x[:2]),
    "a list": lambda a, x: a.__setitem__([0, 1], [x[0], 1.0]),
    "a list of numbers": lambda a, x: a.__setitem__(slice(0, 2), [1.0, x[0]]),
    "fill": lambda a, x: a.fill(x[0]),
    "out": lambda a, x: np.add(x, 1.0, out=a),
    "in place": lambda a, x: a.__iadd__(x),
    "copyto": lambda a, x: np.copyto(a, x),
    "put": lambda a, x: np.put(a, [0], x[0]),
    "at": lambda a, x: np.add.at(a, [0], x[0]),
    "flat": lambda a, x: a.flat.__setitem__(0, x[0]),
    "putmask": lambda a, x: np.putmask(a, [True, False, False, True], x),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("make", [lambda: np.arange(4.0), lambda: np.arange(8.0)[::2]], ids=["whole", "view"])
def test_an_array_from_outside_is_left_as_it_was(name, make):
    outside = make()

    def f(x):
        OUTSIDE[name](outside, x)
        return x.sum()

    for call in (cr.grad(f), cr.jit(f)):
        with pytest.raises(cr.ChainruleError, match=r"test_filling\.py.*(np\.copy|stop_gradient)"):
            call(X)
        assert outside.tolist() == make().tolist()


def test_an_array_of_an_earlier_trace_is_refused():
    kept = []

    def f(x):
        if not kept:
            kept.append(np.zeros(4))
        kept[0][0] = x[0]
        return kept[0].sum()

    def first(x):
        kept.append(np.zeros(4))
        return x.sum()

    cr.grad(first)(X)
    assert isinstance(kept[0], Local)
    with pytest.raises(DetachError, match=r"outside the traced function, at test_filling\.py"):
        cr.grad(f)(X)
    kept[0][0] = 3.0
    assert kept[0].tolist() == [3, 0, 0, 0]


def test_an_inner_value_is_not_stored_in_an_outer_array():
    def f(x):
        out = np.zeros(4)

        def inner(y):
            out[0] = y
            return y * y

        return cr.grad(inner)(x[0])

    with pytest.raises(DetachError, match=r"a value of an inner derivative .*, at test_filling\.py"):
        cr.grad(f)(X)


# -- in every kind of trace ------------------------------------------------------------------------------------------


def filling(x):
    """Fill arrays in a loop, as most programs do."""
    out, table = np.zeros(len(x), x.dtype), np.empty((len(x), 2), x.dtype)
    out[0] = x[0]
    for k in range(1, len(x)):
        out[k] = 0.5 * out[k - 1] + x[k] ** 2
        table[k] = [out[k], x[k]]
    table[0] = out[:2]
    return np.sum(out * np.arange(1, len(x) + 1)) + np.sum(table**3)


def test_nested_derivatives():
    gradient = complex_step(filling, X)
    np.testing.assert_allclose(cr.grad(filling)(X), gradient, rtol=1e-12)
    hessian = cr.hessian(filling)(X)
    slopes = [(complex_step(filling, X + 1e-6 * d) - complex_step(filling, X - 1e-6 * d)) / 2e-6 for d in np.eye(4)]
    np.testing.assert_allclose(hessian, slopes, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(cr.jit(cr.hessian(filling))(X), hessian, rtol=1e-12)
    cr.check_derivatives(filling, X)


def test_many_examples():
    many = np.random.default_rng(1).uniform(0.5, 1.5, (5, 4))
    np.testing.assert_allclose(cr.vmap(cr.grad(filling))(many), [cr.grad(filling)(each) for each in many], rtol=1e-12)
    np.testing.assert_allclose(cr.vmap(filling)(many), [filling(each) for each in many], rtol=1e-12)

    def mixed(x, y):
        out = np.zeros(4)
        out[1:3] = x[:2]
        out += y
        return np.array([out.sum(), x[0] * y[1]])

    for axes in ((0, None), (None, 0)):
        args = (many, X) if axes[0] == 0 else (X, many)
        expected = [mixed(each, X) if axes[0] == 0 else mixed(X, each) for each in many]
        np.testing.assert_allclose(cr.vmap(mixed, in_axes=axes)(*args), expected, rtol=1e-12)


def test_an_inner_function_with_values_of_the_outer_one():
    def f(x):
        def inner(y):
            out = np.zeros(3)
            out[0] = x[0]
            out[1] = y * x[1]
            return np.sum(out**2)

        return cr.grad(inner)(x[2])  # 2 y x1²

    np.testing.assert_allclose(cr.grad(f)(X), [0, 4 * X[2] * X[1], 2 * X[1] ** 2, 0])


def test_bodies_of_loops():
    def step(carry, x):
        out = np.zeros(3)
        out[0] = carry * x
        out[1:] = np.array([x, carry])
        row = out[1:]
        row *= 2
        return out.sum(), out

    def f(x):
        total, rows = cr.scan(step, 1.0, x)
        return total + np.sum(rows**2)

    def plain(x):
        carry, rows = 1.0, []
        for each in x:
            rows.append(np.stack([carry * each, 2 * each, 2 * carry]))
            carry = rows[-1].sum()
        return carry + np.sum(np.stack(rows) ** 2)

    np.testing.assert_allclose(cr.grad(f)(X), complex_step(plain, X), rtol=1e-12)
    np.testing.assert_allclose(cr.jit(cr.grad(f))(X), cr.grad(f)(X), rtol=1e-12)

    def chosen(x):
        return cr.cond(x[0] > 0, lambda x: np.full(2, x[0]).sum(), lambda x: np.array([x[1], 1.0]).sum(), x)

    assert cr.grad(chosen)(X).tolist() == [2, 0, 0, 0]
    assert cr.grad(chosen)(-X).tolist() == [0, 1, 0, 0]


def test_an_index_without_a_value():
    def f(x):
        def body(k, out):
            new = np.zeros(4)
            new[k] = x[k] ** 2
            return out + new

        return np.sum(cr.fori_loop(0, 4, body, np.zeros(4)))

    np.testing.assert_allclose(cr.grad(f)(X), 2 * X)


def test_rules_of_the_users():
    @cr.custom_vjp
    def square(x):
        out = np.zeros(len(x))
        out[:] = x * x
        return out

    def backward(x, y_bar):
        found = np.zeros(len(x))
        for k in range(len(x)):
            found[k] = 2 * x[k] * y_bar[k]
        return (found,)

    square.defvjp(lambda x: (square(x), x), backward)
    np.testing.assert_allclose(cr.grad(lambda x: np.sum(square(x)))(X), 2 * X)
    np.testing.assert_allclose(cr.hessian(lambda x: np.sum(square(x)))(X), 2 * np.eye(4), atol=1e-12)


def test_what_was_used_before_keeps_its_numbers():
    def f(x, size):
        b = np.ones(size)
        y = np.sum(b * x[0])
        b[0] = 7.0
        b[1] = x[1]
        z = np.sum(b * x[0])
        b[2] = x[2]
        return y + 2 * z + np.sum(b)

    for size in (4, 100_000):
        expected = [size + 2 * (7 + X[1] + size - 2), 2 * X[0] + 1, 1, 0]
        np.testing.assert_allclose(cr.grad(f)(X, size), expected)
        fast = cr.jit(cr.grad(f), static_argnums=1)
        np.testing.assert_allclose(fast(X, size), expected)
        np.testing.assert_allclose(fast(X, size), expected)


OVERWRITE = {
    "an element": lambda b: b.__setitem__(0, 100.0),
    "sorted": lambda b: b.sort(),
    "in place": lambda b: b.__iadd__(100.0),
    "out": lambda b: np.add(b, 1.0, out=b),
}


@pytest.mark.parametrize("name", OVERWRITE)
@pytest.mark.parametrize("make", [lambda: np.array([3.0, 1.0, 2.0]), lambda: list(map(float, "312")) * np.ones(3)])
def test_numbers_that_are_overwritten_after_their_use(name, make):
    def f(x):
        b = make()
        y = np.sum(b * x[:3])
        OVERWRITE[name](b)
        return y

    np.testing.assert_allclose(cr.grad(f)(X), [3, 1, 2, 0])
    np.testing.assert_allclose(cr.jit(cr.grad(f))(X), [3, 1, 2, 0])
    np.testing.assert_allclose(cr.jit(f)(X), f(X))


def test_compiled_code_is_the_same_twice():
    fast = cr.jit(filling)
    for x in (X, X[::-1].copy()):
        np.testing.assert_allclose(fast(x), filling(x), rtol=1e-13)
    assert len(fast.inspect().variants) == 1


def test_the_graph_shows_the_users_array():
    def f(x):
        out = np.zeros(200)
        for k in range(4):
            out[k] = x[k] ** 2
        table = np.zeros((4, 2))
        table[:, 0] = x
        y = np.array([x[0], 1.0])
        return out.sum() + table.sum() + y.sum()

    graph = cr.trace(f, X)
    assert graph.node("out").shape == (200,)
    assert graph.node("y").shape == (2,)
    assert str(graph.node("out").origin).startswith("test_filling.py:")
    counts = [len(cr.trace(filling, np.ones(n)).nodes) for n in (20, 40, 80)]
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])  # one node for all elements written in a row


def test_an_array_written_element_by_element_is_one_node():
    def f(x, n):
        out = np.zeros(n)
        for k in range(n):
            out[k] = x
        return out.sum()

    ops = [node.op for node in cr.trace(lambda x: f(x, 500), 1.0).nodes]
    assert ops.count("concatenate") == 1
    assert "put_slice" not in ops


def test_a_generator_shuffles_an_array_of_ones_own():
    def f(x):
        out = np.zeros((4, 2), x.dtype)
        out[:, 0], out[:, 1] = x, x**2
        np.random.default_rng(3).shuffle(out)
        return np.sum(out * np.arange(8.0).reshape(4, 2))

    np.testing.assert_allclose(cr.grad(f)(X), complex_step(f, X))

    def g(x):
        out = np.stack([x, x], axis=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, that it may do it wrong
            np.random.default_rng(3).shuffle(out)
        return out[0].sum()

    with pytest.raises(cr.ChainruleError, match=r"shuffle.*test_filling\.py:\d+; draw the places"):
        cr.grad(g)(X)


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_a_trace_with_filled_arrays_is_freed():
    seen = []

    def f(x):
        seen.append(weakref.ref(x.builder))
        a, b = np.zeros((4, 4)), np.ones((4, 4))
        row, column, whole = a[1], a[:, 2], a.ravel()
        y = np.sum(b * x[0]) + np.sum(b[1:] * x[0])
        row[:] = x
        column *= x[0]
        whole[0] = y
        b[2] = x
        return np.sum(a @ b) + np.sum(a.T[::-1].reshape(2, 8)[0])

    cr.grad(f)(X)
    cr.hessian(f)(X)
    assert all(reference() is None for reference in seen)


def test_importing_costs_nothing_until_something_is_traced():
    code = (
        "import numpy as np; z = np.zeros; import chainrule; assert np.zeros is z and type(np.zeros(3)) is np.ndarray"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def parts_of(a):
    return [a[1:, ::-2], a.transpose(2, 0, 1)[1], a.reshape(12, 2)[3:9:2], a[..., None, 0], a.ravel()[5:],
            a.reshape(4, 6).T[::-1, 1], np.diagonal(a).T, a[2, 3], a[:, :0], a[1, 1, ...]]  # fmt: skip


def total(parts):
    return sum(np.sum(part * np.arange(1.0, part.size + 1).reshape(part.shape)) for part in parts)


@pytest.mark.parametrize("order", ["C", "F"])
def test_views_made_before_show_what_is_stored(order):
    def f(x):
        a = np.zeros((3, 4, 2), order=order)
        parts = parts_of(a)
        a[...] = x[0] * np.arange(24.0).reshape(3, 4, 2)
        assert [type(part) is Filled for part in parts] == are_views
        return total(parts)

    plain = np.zeros((3, 4, 2), order=order)
    are_views = [np.may_share_memory(part, plain) or not part.size for part in parts_of(plain)]
    plain[...] = np.arange(24.0).reshape(3, 4, 2)
    expected = total([part if is_view else 0 * part for part, is_view in zip(parts_of(plain), are_views, strict=True)])
    assert np.isclose(cr.grad(f)(X)[0], expected)
    assert np.isclose(cr.jit(cr.grad(f))(X)[0], expected)


def test_a_view_that_cannot_be_written_into():
    def f(x):
        a = np.zeros((3, 3))
        part = np.diagonal(a)
        part[0] = x[0]

    with pytest.raises(ValueError, match="read-only"):
        cr.grad(f)(X)

    def g(x):
        a = np.zeros((3, 3))
        part = np.diagonal(a)
        a[0, 0] = x[0]
        part[0] = 1.0

    with pytest.raises(ValueError, match="read-only"):
        cr.grad(g)(X)


@pytest.mark.parametrize("order", ["C", "F"])
def test_writing_through_views_made_before(order):
    def f(x):
        a = np.ones((3, 4, 2), order=order)
        for k, part in enumerate(parts_of(a)):
            if part.flags.writeable:
                part[...] = x[0] * (k + 1)
                part *= x[1]
        return total([a])

    a = np.ones((3, 4, 2), order=order)

    def plain(x):
        b = np.ones((3, 4, 2), x.dtype, order=order)
        for k, part in enumerate(parts_of(b)):
            if part.flags.writeable:
                part[...] = x[0] * (k + 1)
                part *= x[1]
        return total([b])

    assert a.sum() == 24
    np.testing.assert_allclose(cr.grad(f)(X), complex_step(plain, X), rtol=1e-12)
