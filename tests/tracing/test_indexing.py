"""Indexing and assignment: the same programs on NumPy arrays and on traced ones give the same numbers.

A program is an ordinary function of arrays. It runs once plainly and once traced; values, dtypes, shapes and types
must agree, and the gradients must agree with differences.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule as cr
from chainrule.tracing import TracedArray

X = np.arange(24.0).reshape(2, 3, 4) / 7 + 0.1
M = np.array([[0.3, -1.2, 0.8, 2.0], [1.5, 0.4, -0.6, -2.5], [0.9, 1.1, 0.2, -0.7]])
V = np.array([0.5, -1.5, 2.5, 0.25, -0.75])
MASK = M > 0.5

KEYS_3D = [
    0, -1, (0, 1), (1, 2, 3), (0, 1, ...), (..., -1), (..., 1, 2), ..., (), None, (None, 0), (0, None), (0, None, 1),
    (slice(None), None, 1, None), slice(None, None, -1), slice(1, None), slice(5, 0),
    (slice(None), slice(None, None, 2)),
    (slice(None), slice(2, None, -2), slice(3, 0, -1)), (..., slice(1, 3), None), (1, ..., 0), np.int64(1),
    [0, 1, 1], [], ([1, 0], [2, 0]), (slice(None), [2, 0, 2]), (slice(None), slice(None), [-1, 0]),
    ([0, 1], ..., [3, 1]),
    (0, [1, 2]), (0, slice(None), [1, 2]), ([0, 1], slice(None), [1, 2]), (slice(None), [1, 2], [0, 3]),
    (slice(None), [[0, 1], [2, 2]]), ([[0], [1]], [[1, 2, 0]]), (np.array([1]), np.array([[2], [0]]), 3),
    (np.array(1), 0), (np.array(1), np.array(2), np.array(3)), (None, [0, 1]), ([0, 1], None, [1, 2]),
    (0, None, [1, 2]), (slice(1), [0, 2], None), X > 1.5, (X[:, :, 0] > 1, slice(1, 3)), (X[:, 0, 0] > 0.5,),
    (slice(None), np.array([True, False, True])), (slice(None), np.array([True, False, True]), 1),
    (1, np.array([True, False, True]), [1, 2]), (..., np.array([False] * 4)), np.zeros((2, 3, 4), bool),
    (np.array([True, True]), slice(None), np.array([0, 3])), np.array([[1, 0]], dtype=np.uint8),
    (slice(None), -1, [0, -1]),
]  # fmt: skip


def check(program, *args):
    """Compare a program on plain and on traced arrays; it returns an array or a list of arrays."""

    def listed(*x):
        found = program(*x)
        return list(found) if isinstance(found, list | tuple) else [found]

    expected = listed(*(x.copy() for x in args))
    seen = []

    def traced(*x):
        found = listed(*x)
        seen.extend(found)
        return found

    y, push = cr.linearize(traced, *args)
    for one, two in zip(seen, expected, strict=True):
        value = one.value if isinstance(one, TracedArray) else one
        assert type(value) is type(two)
        assert (value.dtype, value.shape) == (two.dtype, two.shape)
        np.testing.assert_allclose(value, two, rtol=1e-12)
    rng = np.random.default_rng(1)
    tangents = [rng.normal(size=x.shape).astype(x.dtype) for x in args]
    ends = [listed(*(x + sign * 1e-6 * d for x, d in zip(args, tangents, strict=True))) for sign in (1, -1)]
    y_dot = push(*tangents)
    bars = [rng.normal(size=np.shape(value))[()] for value in y]
    for dot, plus, minus in zip(y_dot, *ends, strict=True):
        np.testing.assert_allclose(dot, (plus - minus) / 2e-6, rtol=1e-6, atol=1e-6)
    x_bar = cr.vjp(traced, *args)[1](bars)
    forward = sum(np.sum(a * b) for a, b in zip(bars, y_dot, strict=True))
    backward = sum(np.sum(a * b) for a, b in zip(x_bar, tangents, strict=True))
    np.testing.assert_allclose(forward, backward, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("key", KEYS_3D, ids=repr)
def test_reading(key):
    check(lambda x: x[key], X)


@pytest.mark.parametrize("key", KEYS_3D, ids=repr)
def test_assignment(key):
    def program(x):
        y = x * 1.0
        y[key] = 2 * x[key]
        y[key] *= x[(0,) * x.ndim]
        z = x * 1.0
        z[key] = x[1, 1, 1]
        w = x * 1.0
        w[key] = 3
        w[key] += 0.5
        return [y, z, w]

    check(program, X)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_any_basic_index(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    check_reading_and_writing(shape, key)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_any_advanced_index(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
    count = data.draw(st.integers(1, len(shape)))
    arrays = data.draw(hnp.integer_array_indices(shape[:count], result_shape=hnp.array_shapes(max_dims=2, max_side=3)))
    key = list(arrays) + [slice(None)] * (len(shape) - count)
    place = data.draw(st.integers(0, count - 1))
    if data.draw(st.booleans()):
        key[place] = data.draw(st.sampled_from([0, -1, slice(None), slice(None, None, -1)]))
    if data.draw(st.booleans()):
        key.insert(place, None)
    check_reading_and_writing(shape, tuple(key))


def check_reading_and_writing(shape, key):
    x = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    seen = []

    def f(t):
        y = t * 1.0
        y[key] = t[key] * 10
        seen[:] = [t[key], y]
        return np.sum(y * x)

    f(x)
    part, whole = seen
    gradient = cr.grad(f)(x)
    np.testing.assert_array_equal(seen[0].value, part)
    np.testing.assert_array_equal(seen[1].value, whole)
    assert type(seen[0].value) is type(part)
    factor = np.ones(shape)
    factor[key] = 10  # each place keeps one of its own values
    np.testing.assert_allclose(gradient, x * factor)


INTEGER_PROGRAMS = {
    "argmax": lambda x: x[np.argmax(x)],
    "argsort": lambda x: x[np.argsort(x)],
    "two": lambda x: x[np.argsort(x)[:2]] * x[np.argmin(x)],
    "cast": lambda x: x[(np.abs(x) * 1.5).astype(int)],
    "row": lambda x: np.outer(x, x)[np.argmax(x)],
    "pair": lambda x: np.outer(x, x)[np.argmax(x), np.argsort(x)],
    "mask": lambda x: x[x > 0],
    "mask of a part": lambda x: np.outer(x, x)[x > 0, 1:3],
    "plain array": lambda x: V[np.argsort(x)] * x,
    "Python integer": lambda x: x[int(np.argmax(x))],
    "slice bounds": lambda x: x[: int(np.argmax(x)) + 1],
    "slice by index": lambda x: x[np.argmin(x) : np.argmax(x) + 1],
}


@pytest.mark.parametrize("name", INTEGER_PROGRAMS)
def test_traced_integers_as_indices(name):
    check(INTEGER_PROGRAMS[name], V)


def views(x):
    y = x * 1.0
    return {
        "slice": y[1:], "step": y[::2], "backwards": y[::-1], "row": y[1], "column": y[:, 1], "whole": y[...],
        "colon": y[:], "newaxis": y[None], "T": y.T, "mT": y.mT, "transpose": np.transpose(y), "ravel": y.ravel(),
        "reshape": y.reshape(-1), "np.reshape": np.reshape(y, (4, 3)), "swapaxes": y.swapaxes(0, 1),
        "moveaxis": np.moveaxis(y, 0, 1), "expand": np.expand_dims(y, 0), "squeeze": np.squeeze(y[:1]),
        "flat of T": y.T.reshape(-1), "view": y.view(), "chain": y[1:].T[::-1][1], "atleast": np.atleast_3d(y),
        "0-d": y[1, 2, ...], "iterated": next(iter(y)), "split": np.split(y, 3)[1], "flip": np.flip(y, 0),
        "flatten": y.flatten(), "copy": y.copy(), "fancy": y[[0, 1]], "mask": y[MASK], "astype": y.astype(float),
        "element": y[1, 2], "asarray": y.astype(float, copy=False), "diagonal of parts": y[:2, :2].T[1],
        "unstack": np.unstack(y)[2], "fliplr": np.fliplr(y), "rot90": np.rot90(y), "real": y.real,
        "slice of slice": y[0:1][0], "vsplit": np.vsplit(y, [1])[1], "reshaped slice": y[1:].reshape(4, 2),
    }, y  # fmt: skip


@pytest.mark.parametrize("name", views(M)[0])
def test_assignment_through_a_view_shows_in_the_base_and_back(name):
    def program(x):
        found, y = views(x)
        part = found[name]
        first = part * 1.0
        y[1, 1] = x[0, 0] ** 2  # the base is written; does the view see it?
        second = part * 1.0
        if np.ndim(part) or not isinstance(part.value if isinstance(part, TracedArray) else part, np.generic):
            part[...] = part * x[2, 2]  # the view is written; does the base see it?
        y[1] += 1
        return [first, second, part * 1.0, y]

    check(program, M)


def fill_loop(x):
    out = np.zeros_like(x)
    for k in range(len(x)):
        out[k] = x[k] * (out[k - 1] + 1)
    return out


def fill_matrix(x):
    out = np.zeros((len(x), len(x)), like=x) if isinstance(x, TracedArray) else np.zeros((len(x), len(x)))
    for i in range(len(x)):
        for j in range(i):
            out[i, j] = x[i] * x[j] + out[j, i]
            out[j, i] = out[i, j] - x[i]
    return out


def scalar_keeps_its_value(x):
    y = x * 2
    t = y[0]
    y[0] = 0.0
    return [t, y]


def shifted_onto_itself(x):
    y = x * 1.0
    y[1:] = y[:-1]
    z = x * 1.0
    z[:-1] = z[1:]
    w = x * 1.0
    w[1:] += w[:-1]
    return [y, z, w]


def reversed_onto_itself(x):
    y = x * 1.0
    y[:] = y[::-1]
    return y


def swap(x):
    y = x * 1.0
    y[0], y[1] = y[1], y[0]
    y[[2, 3]] = y[[3, 2]]
    return y


def swap_rows(x):
    y = x * 1.0
    y[[0, 1]] = y[[1, 0]]
    return y


def rows_written_while_iterating(x):
    y = x * 1.0
    for k, row in enumerate(y):
        row *= k + 1
        row[0] = x[0, k] ** 2
    return y


def two_views(x):
    y = x * 1.0
    a, b = y[1:], y[:-1]
    a[0] = 10 * x[0]
    b[1] += x[2]
    a *= 2
    return [y, a, b]


def view_of_view(x):
    y = x * 1.0
    a = y[1:].T
    b = a[::2]
    b[...] = x[0, 0]
    a[0, 0] *= 3
    y[2] += 1
    return [y, a, b]


def base_rebound(x):
    y = x * 1.0
    a = y[1:]
    y = y * 2  # a new array; a stays with the old
    a[0] = 7.0
    return [y, a]


def in_place_operators(x):
    y, z = x * 1.0, x * 1.0
    same = y
    y += 1
    y *= x
    y -= z
    y /= 2.0
    y **= 2
    z[1:] **= 2
    z[z > 0] *= 3
    z[..., 0] -= x[..., 1]
    z @= np.eye(4)
    return [same, y, z]


def in_place_on_a_scalar(x):
    s = x.sum()
    t = s
    s += 1
    s *= 2
    return [s, t]


def in_place_on_the_argument(x):
    y = x
    y *= 2
    y[0] = 1.0
    return [x, y]


def broadcasting(x):
    y = x * 1.0
    y[:2] = x[2]
    y[:, 0] = x[0, 0]
    y[:, 1:3] = x[:, 3:]
    y[None, 2] = x[None, 0]
    y[[0, 2], 3:] = x[1, 0]
    return y


def masked(x):
    y = x * 1.0
    y[y < 0] = 0.0
    y[MASK] = x[MASK] ** 2
    y[MASK & (x < 1)] += x[0, 0]
    y[x[:, 0] > 0.5] *= 2
    y[[True, False, True], 1] = x[1, 1]
    return y


def repeated_places(x):
    y = x * 1.0
    y[[0, 0, 1]] = x[1:4]  # the last one stays
    y[[2, 2]] += x[0]
    np.add.at(y, [3, 3], x[:2])
    return y


def integers_into_floats(x):
    y = x * 1.0
    y[0] = 3
    y[1] = True
    y[2:4] = np.array([5, 6])
    y[4] = np.float32(0.5)
    y[[0, 3]] = [x[1], 2]
    return y


def lists(x):
    y = np.zeros_like(x)
    y[:3] = [x[0], x[1] * 2, 1.0]
    y[3:] = [1, 2]
    return y


def flat(x):
    y = x * 1.0
    y.flat[1] = x[0, 0]
    y.T.flat[3] = x[1, 1]
    y.flat[[0, 5]] = x[2, :2]
    y.flat[8:] = 2.0
    return [y, np.stack(list(y.flat)), y.flat[2:5], y.flat[0]]


def copyto(x):
    y = x * 1.0
    np.copyto(y[1:], x[:-1])
    np.copyto(y, 0.0, where=x < 0)
    return y


def out_argument(x):
    y = x * 1.0
    np.add(x, 1, out=y)
    np.multiply(y[1:], 2, out=y[1:])
    np.sum(x, axis=1, out=y[:, 0])
    np.exp(y, where=MASK, out=y)
    return y


def zero_axes(x):
    y = (x * 1.0)[0, ...]
    z = y[...]
    z[...] = x[0] * 2
    y += 1
    y[()] *= x[1]
    return [y, z]


PROGRAMS = {
    f.__name__: (f, x)
    for x, group in {
        "V": [
            fill_loop, fill_matrix, scalar_keeps_its_value, shifted_onto_itself, reversed_onto_itself, swap, two_views,
            base_rebound, in_place_on_a_scalar, in_place_on_the_argument, repeated_places, integers_into_floats, lists,
            zero_axes,
        ],
        "M": [
            swap_rows, rows_written_while_iterating, view_of_view, in_place_operators, broadcasting, masked, flat,
            copyto, out_argument,
        ],
    }.items()
    for f in group
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    program, x = PROGRAMS[name]
    check(program, {"V": V, "M": M}[x])


def test_the_callers_array_is_not_changed():
    x = V.copy()

    def f(y):
        y *= 2
        y[0] = 5.0
        return np.sum(y)

    cr.grad(f)(x)
    np.testing.assert_array_equal(x, V)


def test_float32_stays_when_assigned_to():
    def program(x):
        y = x * 1
        y[0] = np.float64(0.5) * x[1]
        y[1:] = V[1:]
        y += 0.5
        return y

    seen = []
    cr.linearize(lambda x: seen.append(program(x)) or x, V.astype(np.float32))
    assert seen[0].dtype == np.float32
    np.testing.assert_allclose(seen[0].value, program(V.astype(np.float32)), rtol=1e-6)


def test_complex_parts_can_be_assigned():
    def f(x):
        z = x * (1 + 0j)
        z.real = x[::-1]
        z.imag = 2 * x
        return np.sum(z.real * z.imag)

    np.testing.assert_allclose(cr.grad(f)(V), 4 * V[::-1])


@pytest.mark.parametrize(
    "key", [5, -6, (0, 0), (..., ...), [7], 1.5, "a", (None, 5), np.array([0.5]), [True, False]], ids=repr
)
def test_an_index_that_numpy_refuses_is_refused(key):
    with pytest.raises((IndexError, TypeError)) as expected:
        V[key]
    with pytest.raises(expected.type):
        cr.grad(lambda x: np.sum(x[key]))(V)
    with pytest.raises(expected.type):
        cr.grad(lambda x: x.__setitem__(key, 1.0) or x.sum())(V)


@pytest.mark.parametrize(
    ("key", "value"),
    [(slice(None), V[:2]), ([0, 1], V[:3]), (0, V[:2]), (V > 0, V[:2])],
    ids=["slice", "list", "element", "mask"],
)
def test_an_assignment_that_does_not_fit_is_refused(key, value):
    def f(x):
        y = x * 1.0
        y[key] = value
        return np.sum(y)

    with pytest.raises(ValueError, match=r"setting an array|could not broadcast|shape mismatch|cannot assign"):
        f(V)
    with pytest.raises(
        ValueError, match=r"cannot assign shape \(\d,\) to a part of shape \(\d?,?\).*test_indexing\.py:\d+"
    ):
        cr.grad(f)(V)


def test_integers_cannot_hold_traced_floats():
    def f(x):
        y = np.zeros(3, int, like=x)
        y[0] = x[0]
        return x.sum()

    with pytest.raises(cr.ChainruleError, match=r"cannot store float64 in an array of int64.*test_indexing\.py"):
        cr.grad(f)(V)
