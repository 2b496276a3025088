"""Loops and branches that stay nodes: against unrolled Python loops and JAX, every derivative, compiled too."""

from __future__ import annotations

import functools
import gc
import inspect
import itertools
import math
import re
import weakref
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import chainrule as cr
from chainrule import tree
from chainrule.ops import control

try:
    import jax
    import jax.numpy as jnp
except ImportError:
    jax = None

needs_jax = pytest.mark.skipif(jax is None, reason="JAX is not installed")
WEIGHTS = np.array([[0.5, -0.3], [0.2, 0.7]])
X = np.linspace(0.1, 0.9, 8)


@pytest.fixture(autouse=True)
def double_precision():
    if jax is None:
        yield
        return
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(autouse=True)
def no_disk(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")


# -- the same functions for chainrule, JAX and plain Python ------------------------------------------------


class Unrolled:
    """The loops as plain Python."""

    @staticmethod
    def scan(f, init, xs, reverse=False):
        carry, ys = init, []
        for x in xs[::-1] if reverse else xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, np.stack(ys[::-1] if reverse else ys)

    @staticmethod
    def while_loop(test, body, carry):
        while test(carry):
            carry = body(carry)
        return carry

    @staticmethod
    def fori_loop(lower, upper, body, carry):
        for i in range(lower, upper):
            carry = body(i, carry)
        return carry

    @staticmethod
    def cond(pred, yes, no, *operands):
        return yes(*operands) if pred else no(*operands)

    @staticmethod
    def checkpoint(f):
        return f


class Jax:
    scan = staticmethod(lambda *args, **kwargs: jax.lax.scan(*args, **kwargs))
    while_loop = staticmethod(lambda *args: jax.lax.while_loop(*args))
    fori_loop = staticmethod(lambda *args: jax.lax.fori_loop(*args))
    cond = staticmethod(lambda *args: jax.lax.cond(*args))
    checkpoint = staticmethod(lambda f: jax.checkpoint(f))


def recurrent(np, lib, x):
    """A recurrent network: two carries, captured and plain weights, stacked results."""

    def body(carry, z):
        h, s = carry
        h = np.tanh(WEIGHTS @ h + z * x[0])
        return (h, s + np.sum(h**2)), h[0] * s

    (h, s), ys = lib.scan(body, (x[1:3], x[0]), x[3:])
    return np.sum(h) + s**2 + np.sum(ys**3)


def backwards(np, lib, x):
    carry, ys = lib.scan(lambda c, z: (np.sin(c) * z + c, c * z), x[0], x[1:], reverse=True)
    return carry * np.sum(ys**2)


def nested(np, lib, x):
    def outer(c, z):
        def inner(d, w):
            return d * np.cos(w * c) + z * x[1], d

        d, ds = lib.scan(inner, c, x[:3])
        return d, np.sum(ds)

    c, sums = lib.scan(outer, x[0], x[2:6])
    return c + np.sum(sums**2)


def power(np, lib, x):
    """A number of steps that depends on the data."""
    return lib.while_loop(lambda c: c[0] < 50.0, lambda c: (c[0] * (1 + x[1]) + x[2], c[1] + c[0]), (x[0], x[3]))[1]


def counted(np, lib, x):
    return lib.fori_loop(0, 5, lambda i, c: np.sin(c) * x[3] + c * i, x[0])


def branches(np, lib, x):
    f = functools.partial(lib.cond, x[0] + x[1] < 0.5)
    return f(lambda a, b: np.sin(a * x[2]) * b, lambda a, b: a + b, x[1], x[3]) + lib.cond(
        x[0] > 1.0, lambda a: a**2, lambda a: np.exp(a), x[4]
    )


def everything(np, lib, x):
    """A scan in a while loop in a branch, some of it recomputed."""

    def loop(x):
        def body(c):
            total, _ = lib.scan(lambda t, z: (t * 1.1 + np.sin(z * c), None), c, x[:3])
            return total

        return lib.while_loop(lambda c: c < 20.0, lib.checkpoint(body), x[0])

    return lib.cond(x[1] > 0.0, loop, lambda x: x[0], x) * lib.checkpoint(lambda a: np.tanh(a) * a)(x[2])


def recomputed(np, lib, x):
    return np.sum(lib.checkpoint(lambda a: np.sin(a) * np.roll(a, 1) * x[0])(np.exp(x)))


FUNCTIONS = [recurrent, backwards, nested, power, counted, branches, everything, recomputed]
EAGER = {everything}  # Unrolled.scan cannot stack None


def ours(f):
    return lambda x: f(np, cr, x)


def theirs(f):
    return lambda x: f(jnp, Jax, x)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


@functools.cache
def reference(f):
    """Value, gradient and Hessian by JAX."""
    g = theirs(f)
    gradient = jax.jacfwd(g)
    return jax.jit(lambda x: (g(x), gradient(x), jax.jacfwd(gradient)(x)))


@needs_jax
@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_against_jax(f):
    """Values, both modes, second order in every pairing."""
    g = ours(f)
    v = np.cos(np.arange(8.0))
    value, gradient, hessian = map(np.asarray, reference(f)(X))
    close(g(X), value)
    close(cr.grad(g)(X), gradient)
    found, tangent = cr.jvp(g, (X,), (v,))
    close(found, value)
    close(tangent, gradient @ v)
    close(cr.hessian(g)(X), hessian)
    close(cr.jacobian(cr.grad(g), mode="reverse")(X), hessian)
    close(cr.hvp(g, (X,), (v,)), hessian @ v)
    close(cr.jacobian(lambda x: cr.jvp(g, (x,), (v,))[1], mode="reverse")(X), hessian @ v)


@needs_jax
@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_compiled_against_jax(f):
    g = ours(f)
    v = np.cos(np.arange(8.0))
    value, gradient, hessian = map(np.asarray, reference(f)(X))
    found, slope = cr.jit(cr.value_and_grad(g))(X)
    close(found, value)
    close(slope, gradient)
    close(cr.jit(lambda x, v: cr.jvp(g, (x,), (v,))[1])(X, v), gradient @ v)
    close(cr.jit(cr.hessian(g))(X), hessian)


@pytest.mark.parametrize("f", [f for f in FUNCTIONS if f not in EAGER], ids=lambda f: f.__name__)
def test_against_unrolled(f):
    def plain(x):
        return f(np, Unrolled, x)

    close(ours(f)(X), plain(X))
    close(cr.grad(ours(f))(X), cr.grad(plain)(X))


@needs_jax
@pytest.mark.parametrize("f", [recurrent, power, branches, everything], ids=lambda f: f.__name__)
def test_every_mode_of_a_jacobian(f):
    """Batches of sweeps, edges composed one by one, and a second derivative of each."""

    def g(x):
        return np.stack([ours(f)(x), ours(f)(x * 0.9) * x[0]])

    first, second = np.eye(8)[0], np.zeros((2, 8, 8))
    _, gradient, second[0] = map(np.asarray, reference(f)(X))
    value, other, hessian = map(np.asarray, reference(f)(X * 0.9))
    expected = np.stack([gradient, 0.9 * other * X[0] + value * first])
    mixed = 0.9 * np.outer(other, first)
    second[1] = 0.81 * hessian * X[0] + mixed + mixed.T
    for mode in ("forward", "reverse", "eliminate"):
        close(cr.jacobian(g, mode=mode)(X), expected)
    for outer, inner in itertools.product(("forward", "reverse"), repeat=2):
        close(cr.jacobian(cr.jacobian(g, mode=inner), mode=outer)(X), second)


@needs_jax
def test_third_order():
    expected = jax.jacfwd(jax.jacfwd(jax.jacfwd(theirs(counted))))(X)
    close(cr.jacobian(cr.hessian(ours(counted)))(X), expected)
    close(cr.jacobian(cr.jacobian(cr.grad(ours(counted)), mode="reverse"), mode="reverse")(X), expected)


@needs_jax
def test_complex_numbers():
    def f(np, lib, z):
        carry, ys = lib.scan(lambda c, x: (c * z + x, c * np.conj(x)), z * z, np.array([1 + 1j, 2.0, 1j]) * z)
        return np.abs(carry) ** 2 + np.sum(np.real(ys))

    z = 0.3 + 0.7j
    close(cr.grad(lambda z: f(np, cr, z))(z), jax.grad(lambda z: f(jnp, Jax, z))(z))


def test_single_precision():
    def f(x):
        return cr.scan(lambda c, z: (c * z, c + z), x[0], x)[1].sum()

    x = np.arange(1, 4, dtype=np.float32)
    assert f(x).dtype == cr.grad(f)(x).dtype == cr.jit(cr.grad(f))(x).dtype == np.float32
    close(cr.grad(f)(x), cr.grad(lambda x: Unrolled.scan(lambda c, z: (c * z, c + z), x[0], x)[1].sum())(x))


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_batches(f):
    """Each of a batch goes its own way."""
    xs = np.stack([X, X * 0.9, X * 0.8, 1.1 * X])
    for g in (ours(f), cr.grad(ours(f)), lambda x: cr.jvp(ours(f), (x,), (x,))[1]):
        close(cr.vmap(g)(xs), [g(x) for x in xs])


# -- structures, lengths, dtypes -----------------------------------------------------------------------------

Pair = namedtuple("Pair", ["position", "speed"])


def test_structures():
    def simulate(state, forces):
        def step(s, f):
            speed = s["body"].speed + 0.1 * (f[0] - s["body"].position)
            body = Pair(s["body"].position + 0.1 * speed, speed)
            return {"body": body, "time": s["time"] + 1}, (body.position, [speed])

        return cr.scan(step, state, forces)

    state = {"body": Pair(np.ones(2), np.zeros(2)), "time": 0}
    forces = (np.arange(6.0).reshape(3, 2),)
    final, (positions, (speeds,)) = simulate(state, forces)
    assert final["time"] == 3
    assert isinstance(final["body"], Pair)
    assert positions.shape == speeds.shape == (3, 2)
    close(positions[-1], final["body"].position)

    def loss(body, forces):
        final, (positions, _) = simulate({"body": body, "time": 0}, forces)
        return np.sum(final["body"].position) + np.sum(positions**2)

    gradient, by_force = cr.grad(loss, argnums=(0, 1))(state["body"], forces)
    assert isinstance(gradient, Pair)
    cr.check_derivatives(loss, state["body"], forces)
    compiled, _ = cr.jit(cr.grad(loss, argnums=(0, 1)))(state["body"], forces)
    close(compiled.position, gradient.position)
    assert by_force[0].shape == (3, 2)


@pytest.mark.parametrize("wrap", [lambda f: f, cr.jit], ids=["interpreted", "compiled"])
def test_no_steps(wrap):
    def f(x):
        carry, ys = cr.scan(lambda c, z: (c * z, c), x[0], x[1:1])
        return carry**2 + np.sum(ys)

    close(wrap(f)(X), X[0] ** 2)
    close(wrap(cr.grad(f))(X), [2 * X[0], *[0.0] * 7])
    close(wrap(cr.hessian(f))(X)[0, 0], 2.0)
    assert cr.scan(lambda c, z: (c, z), 1.0, np.empty((0, 2)))[1].shape == (0, 2)
    close(wrap(cr.grad(lambda x: cr.while_loop(lambda c: c < 0, lambda c: c * x, x)))(3.0), 1.0)
    close(wrap(cr.grad(lambda x: cr.fori_loop(3, 3, lambda i, c: c * x, x)))(3.0), 1.0)


def test_no_elements():
    assert cr.scan(lambda c, _: (c * 2, None), 1.0, None, length=5) == (32.0, None)
    close(cr.grad(lambda x: cr.scan(lambda c, _: (c * x, c), x, length=3)[1].sum())(2.0), 1 + 4 + 12)


def test_bounds_that_are_traced():
    def f(x, n):
        return cr.fori_loop(0, n, lambda i, c: c * x, 1.0)

    def g(x):
        return f(x, np.astype(np.floor(x), int) + 2)

    close(g(2.5), 2.5**4)
    for wrap in (lambda f: f, cr.jit):
        close(wrap(cr.grad(g))(2.5), 4 * 2.5**3)
        close(wrap(cr.grad(cr.grad(g)))(2.5), 12 * 2.5**2)


def test_python_numbers_take_the_dtype_of_the_body():
    x = np.arange(3, dtype=np.float32)
    for f in (
        lambda x: cr.fori_loop(0, 3, lambda i, c: c + x[0], 0),
        lambda x: cr.scan(lambda c, z: (c + z, None), 0.0, x)[0],
        lambda x: cr.while_loop(lambda c: c < 2, lambda c: c + x[1], 0),
    ):
        assert f(x).dtype == cr.jit(f)(x).dtype == np.float32
        assert cr.grad(f)(x).dtype == np.float32


def test_plain_values_run_in_python():
    seen = []

    def body(carry, x):
        seen.append(type(x))
        return carry + x, carry

    total, before = cr.scan(body, 0.0, np.arange(3.0))
    assert seen == [np.float64] * 3
    assert total == 3.0
    np.testing.assert_array_equal(before, [0.0, 0.0, 1.0])
    assert cr.cond(True, lambda a: a + 1, lambda a: 1 / 0, 1) == 2
    assert cr.while_loop(lambda c: c < 5, lambda c: c + 2, 0) == 6
    assert cr.fori_loop(2, 5, lambda i, c: c + i, 0) == 9


def test_bodies_do_not_overwrite_arguments():
    init, xs = np.zeros(2), np.ones((3, 2))

    def body(carry, x):
        carry[0] += 1.0
        x *= 2.0
        return carry + x, carry

    carry, ys = cr.scan(body, init, xs)
    close(carry, [9.0, 6.0])
    close(ys, [[1.0, 0.0], [4.0, 2.0], [7.0, 4.0]])
    close(init, 0.0)
    close(xs, 1.0)
    close(cr.jvp(lambda i: cr.scan(body, i, xs), (init,), (init,))[0][1], ys)


def test_values_from_around_a_loop():
    """Traced values and arrays that only the body knows, from several levels."""

    def f(w):
        return cr.scan(lambda c, x: (c * w + x, None), 1.0, np.arange(3.0))[0]

    close(f(2.0), cr.grad(lambda w: f(w) * 1.0)(2.0) * 0 + f(2.0))
    close(cr.grad(f)(2.0), 12 + 1)
    close(cr.grad(cr.grad(f))(2.0), 12.0)
    inner = cr.grad(lambda w: cr.grad(lambda v: cr.fori_loop(0, 3, lambda i, c: c * v * w, 1.0))(w))
    close(inner(2.0), 15 * 2.0**4)
    held = np.array([1.0, 2.0])
    compiled = cr.jit(cr.grad(lambda x: cr.scan(lambda c, z: (c * x + np.sum(held * z), None), x, held)[0]))
    before = compiled(1.5)
    held[0] = 5.0
    assert compiled(1.5) != before
    close(compiled(1.5), cr.grad(lambda x: cr.scan(lambda c, z: (c * x + np.sum(held * z), None), x, held)[0])(1.5))


def test_derivatives_inside_a_body():
    """Newton's method, its derivative from a gradient inside the loop, differentiated through the loop."""

    def f(y, a):
        return y**3 - a * y - 1.0

    def root(a):
        return cr.while_loop(
            lambda y: np.abs(f(y, a)) > 1e-12, lambda y: y - f(y, a) / cr.grad(f)(y, a), 2.0
        )  # fmt: skip

    a = 1.3
    y = root(a)
    for wrap in (lambda f: f, cr.jit):
        close(wrap(cr.grad(root))(a), y / (3 * y**2 - a))


def test_values_looked_at_around_a_body():
    """What does not depend on the step may be looked at; compiled code looks again."""

    def f(x, flag):
        def body(c, z):
            if flag > 0:
                return c * z, None
            return c + z, None

        return cr.scan(body, x, np.array([2.0, 3.0]))[0]

    compiled = cr.jit(f)
    assert compiled(1.0, 1.0) == 6.0
    assert compiled(1.0, -1.0) == 6.0
    assert compiled(2.0, -1.0) == 7.0


def test_branches_in_checkpoint():
    def f(x):
        return cr.checkpoint(lambda x: np.sin(x) if x > 0 else x**2)(x)

    compiled = cr.jit(cr.grad(f))
    for x in (1.0, -1.0, 2.0, -3.0):
        close(cr.grad(f)(x), math.cos(x) if x > 0 else 2 * x)
        close(compiled(x), cr.grad(f)(x))


def test_checkpoint_takes_what_functions_take():
    @cr.checkpoint
    def f(x, n, *, scale, name):
        """Of interest."""
        return {name: x**n * scale, "n": n}

    assert f.__doc__ == "Of interest."
    assert f(2.0, 3, scale=2.0, name="y") == {"y": 16.0, "n": 3}
    close(cr.grad(lambda x: f(x, 3, scale=x, name="y")["y"])(2.0), 4 * 2.0**3)


def test_only_the_branch_taken_is_computed():
    def f(x):
        return cr.cond(x > 0, np.sqrt, lambda x: x * 2, x)

    with np.errstate(all="raise"):
        assert cr.jvp(f, (-1.0,), (1.0,)) == (-2.0, 2.0)
    assert cr.grad(f)(4.0) == cr.jit(cr.grad(f))(4.0) == 0.25
    close(cr.jacobian(lambda x: np.stack([f(x[0]), f(x[1])]))(np.array([4.0, -1.0])), [[0.25, 0], [0, 2.0]])


def test_batched_predicates():
    """Directions of a Jacobian run their own way through a nested derivative."""

    def f(x):
        return cr.cond(x[0] > 0, lambda: x[0] * x[1], lambda: x[1] ** 2)

    def slope(x, v):  # a predicate that depends on the direction
        return cr.jvp(f, (x,), (v,))[1]

    for x in (np.array([1.0, 3.0]), np.array([-1.0, 3.0])):
        expected = [x[1], x[0]] if x[0] > 0 else [0.0, 2 * x[1]]
        close(cr.jacobian(lambda v, x=x: slope(x, v))(np.ones(2)), expected)
        close(cr.vmap(f)(np.stack([x, -x])), [f(x), f(-x)])


def test_edges_and_paths_of_the_graph():
    g = cr.trace(lambda x, w: cr.scan(lambda c, z: (c * w + z, None), x, np.ones(3))[0], 2.0, 0.5)
    partials = {edge.source.name: edge.partial for edge in g.edges}
    close(partials["x"], 0.125)
    close(partials["w"], cr.grad(lambda w: ((2.0 * w + 1) * w + 1) * w + 1)(0.5))
    assert "scan" in str(g)
    with pytest.raises(cr.ChainruleError, match="scan of 3 steps"):
        g.source()
    with pytest.raises(cr.ChainruleError, match="scan"):
        g.to_json()


# -- memory: binomial checkpoints ---------------------------------------------------------------------------


def optimum(length, slots):
    """The fewest forward steps, by dynamic programming."""

    @functools.cache
    def best(length, slots):
        if length <= 1:
            return 0
        if slots == 1:
            return length * (length - 1) // 2
        return min(m + best(length - m, slots - 1) + best(m, slots) for m in range(1, length))

    return best(length, slots)


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 20, 37])
def test_schedule_is_the_best(length, slots):
    stored, steps, reversed_ = {0}, 0, []
    for action, start, stop in control.schedule(length, slots):
        if action == "advance":
            assert start in stored
            steps += stop - start
            reached = stop
        elif action == "store":
            assert start == reached
            stored.add(start)
        elif action == "free":
            stored.remove(start)
        else:
            assert start in stored or start == reached
            reversed_.append(start)
        assert len(stored) <= slots
    assert reversed_ == list(range(length))[::-1]
    assert steps == optimum(length, slots)


def test_schedule_of_a_long_chain():
    """Theory: with r such that C(s + r - 1, s) < n <= C(s + r, s), r n - C(s + r, s + 1) steps."""
    length, slots = 100_000, 50
    steps = sum(stop - start for action, start, stop in control.schedule(length, slots) if action == "advance")
    times = next(r for r in itertools.count() if math.comb(slots + r, slots) >= length)
    assert steps == times * length - math.comb(slots + times, slots + 1)
    assert steps < 4 * length


class Counting(control.Engine):
    def __init__(self):
        self.steps = 0
        self.kept = 0

    def iterate(self, body, consts, carry, xs, length, reverse=False, keep=False):
        self.steps += length
        self.kept += keep
        return super().iterate(body, consts, carry, xs, length, reverse, keep)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("slots", [1, 3, 50])
def test_slots(slots, reverse):
    def f(x, slots=None):
        carry, ys = cr.scan(lambda c, z: (np.sin(c) * z + x[0], c * z), x[0], x[1:], reverse=reverse, slots=slots)
        return carry + np.sum(ys**2)

    limited = functools.partial(f, slots=slots)
    close(cr.grad(limited)(X), cr.grad(f)(X))
    close(cr.jit(cr.grad(limited))(X), cr.grad(f)(X))
    close(cr.hessian(limited)(X), cr.hessian(f)(X))
    close(cr.jacobian(cr.grad(limited), mode="reverse")(X), cr.hessian(f)(X))
    close(cr.jvp(limited, (X,), (X,))[1], cr.grad(f)(X) @ X)
    (node,) = [n for n in cr.trace(limited, X).program.nodes if n.op.name == "scan"]
    loop, engine = node.params["control"], Counting()
    wanted = tuple(range(loop.arity))
    reached = loop.reached((0, 1), wanted)
    loop.pull(None, [arg.value for arg in node.inputs], [1.0, np.ones(7)], (0, 1), reached, None, engine)
    assert engine.kept == 0
    assert engine.steps == optimum(7, slots) + 7


def test_slots_on_a_long_loop():
    """The reverse sweep of many steps holds few carries: the loop itself keeps none."""

    def f(x):
        return cr.scan(lambda c, _: (c + 1e-4 * np.sin(c), None), x, length=2000, slots=10)[0].sum()

    (node,) = [n for n in cr.trace(f, np.ones(3)).program.nodes if n.op.name == "scan"]
    assert node.value.history is None
    unlimited = cr.grad(lambda x: cr.scan(lambda c, _: (c + 1e-4 * np.sin(c), None), x, length=2000)[0].sum())
    close(cr.grad(f)(np.ones(3)), unlimited(np.ones(3)))


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_carries_too_large_to_keep(monkeypatch, keep):
    monkeypatch.setattr(control, "KEEP", keep)

    def long(np, lib, x):
        return lib.while_loop(lambda c: c[0] < 200, lambda c: (c[0] + 1, np.sin(c[1]) + x[0]), (0, x[1]))[1]

    for f in (recurrent, power, long):
        expected = cr.grad(lambda x, f=f: f(np, Unrolled, x))(X)
        close(cr.grad(ours(f))(X), expected)
        close(cr.jit(cr.grad(ours(f)))(X), expected)


def test_compiled_loops_keep_carries_only_for_a_reverse_sweep(monkeypatch):
    kept = []
    for loop in (control.Scan, control.While):
        original = loop.evaluate

        def evaluate(self, values, engine, keep=True, original=original):
            found = original(self, values, engine, keep)
            kept.append(found.history is not None)
            return found

        monkeypatch.setattr(loop, "evaluate", evaluate)
    for f in (recurrent, power):
        compiled = [cr.jit(g) for g in (ours(f), cr.grad(ours(f)), lambda x, f=f: cr.jvp(ours(f), (x,), (x,)))]
        for g, expected in zip(compiled, ([False], [True], [False, False]), strict=True):
            kept.clear()
            g(X)
            assert kept == expected


# -- compiled loops --------------------------------------------------------------------------------------------


def steps_by_python(monkeypatch):
    """Return a list that grows with each loop that is run step by step."""
    seen = []
    original = control.Engine.iterate
    monkeypatch.setattr(control.Engine, "iterate", lambda *args, **kwargs: seen.append(1) or original(*args, **kwargs))
    return seen


def test_a_loop_of_numbers_runs_without_python(monkeypatch):
    def f(x, xs):
        return cr.scan(lambda c, z: (np.tanh(c * z), np.sum(c)), x, xs)[1].sum()

    x, xs = np.array([0.3, -0.2, 0.1]), np.linspace(0, 1, 50)
    expected = cr.grad(f)(x, xs)
    seen = steps_by_python(monkeypatch)
    close(cr.jit(cr.grad(f))(x, xs), expected)
    assert not seen


@pytest.mark.parametrize("reverse", [False, True])
def test_compiled_carries_of_every_kind(reverse):
    """Booleans and integers, carries that stay or are exchanged, a result that is its argument, strided elements."""

    def f(x, xs):
        def body(carry, z):
            (a, b), count, odd, big = carry
            odd = np.logical_not(odd)
            new = np.where(odd, a * z[0], a + z[1])
            return ((b, new), count + 1, odd, big + z[0]), (a, a, count, odd, 1.5, z)

        return cr.scan(body, ((x, 2.0 * x), 0, np.bool_(True), np.ones((2, 3)) * x), xs, reverse=reverse)

    xs = np.arange(1.0, 15.0).reshape(2, 7).T
    found, expected = cr.jit(f)(1.5, xs), f(1.5, xs)
    for one, two in zip(tree.flatten(found)[0], tree.flatten(expected)[0], strict=True):
        assert np.asarray(one).dtype == np.asarray(two).dtype
        close(one, two)

    def loss(x, xs):
        ((a, b), _, _, big), (ys, *_) = f(x, xs)
        return a * b + np.sum(ys) + np.sum(big**2)

    close(cr.jit(cr.grad(loss, argnums=(0, 1)))(1.5, xs)[1], cr.grad(loss, argnums=1)(1.5, xs))


@pytest.mark.parametrize("steps", [0, 1, 63, 64, 65, 1000])
def test_compiled_while_loops_of_any_length(steps):
    def f(x, n):
        return cr.while_loop(lambda c: c[1] < n, lambda c: (np.sin(c[0]) + x, c[1] + 1), (x, 0))[0]

    n = np.int64(steps)
    close(cr.jit(f)(0.4, n), f(0.4, n))
    close(cr.jit(cr.grad(f))(0.4, n), cr.grad(f)(0.4, n))


def test_compiled_loops_with_steps_of_python(monkeypatch):
    """An op without machine code, and a loop in a loop."""

    def f(x):
        def body(c, z):
            c = np.linalg.solve(np.eye(2) * 2 + np.outer(c, c), np.sort(c)) + z
            return c, cr.fori_loop(0, 3, lambda i, d: d * np.cos(d), c[0])

        carry, ys = cr.scan(body, x, np.array([0.1, 0.2, 0.3]))
        return np.sum(carry) + np.sum(ys)

    x = np.array([0.5, 0.2])
    seen = steps_by_python(monkeypatch)
    close(cr.jit(cr.grad(f))(x), cr.grad(f)(x))
    assert seen


def test_an_index_outside_in_a_compiled_loop():
    table = np.arange(5.0)

    def f(x, n):
        return cr.fori_loop(0, n, lambda i, c: c + x * np.asarray(table, like=c)[i], x)

    compiled = cr.jit(cr.grad(f))
    close(compiled(1.0, 5), 11.0)
    for call in (compiled, cr.grad(f)):
        with pytest.raises(IndexError, match=r"index 5 is out of bounds.*test_control\.py"):
            call(1.0, 6)


def test_threads_share_a_compiled_loop():
    compiled = cr.jit(cr.grad(ours(recurrent)))
    inputs = [X * k for k in range(1, 9)]
    expected = [compiled(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for found in (list(pool.map(compiled, inputs)) for _ in range(5)):
            np.testing.assert_array_equal(found, expected)


def test_functions_with_rules_in_bodies():
    @cr.custom_jvp
    def relu(x):
        return np.maximum(x, 0)

    relu.defjvp(lambda primals, tangents: (relu(primals[0]), np.where(primals[0] > 0, tangents[0], 0.0)))

    @cr.custom_vjp
    def clipped(x):
        return x

    clipped.defvjp(lambda x: (clipped(x), None), lambda _, y_bar: (np.clip(y_bar, -1, 1),))
    for rule, slope in ((relu, 6.0), (clipped, 1.0)):
        for wrap in (lambda f: f, cr.jit):
            f = wrap(cr.grad(lambda x, rule=rule: cr.scan(lambda c, z: (rule(c * z), c), x, np.arange(1.0, 4.0))[0]))
            close(f(2.0), slope)


def test_values_in_bodies_print_as_their_kind():
    seen = []

    def body(c, z):
        seen.append(f"{c!r} {c} {c:.3f}")
        return c * z, None

    cr.grad(lambda x: cr.scan(body, x, np.ones(2))[0])(1.0)
    assert set(seen) == {"traced(Spec(shape=(), dtype=dtype('float64'))) float64 float64"}


def test_a_body_that_does_not_do_the_same_twice():
    random = np.random.default_rng(0)

    @cr.jit
    def f(x):
        return cr.scan(lambda c, z: (c * z + float(random.normal()), None), x, np.ones(2))[0]

    with pytest.warns(UserWarning, match=r"does not do the same twice.*test_control\.py"):
        first = f(1.0)
    assert f(1.0) != first


def test_loops_are_explained():
    text = str(cr.explain(lambda x: cr.scan(lambda c, z: (c * x, None), x, np.ones(2))[0], 2.0))
    assert "scan" in text
    assert "12" in text


def test_values_that_leak_from_a_body():
    kept = []

    def f(x):
        carry, _ = cr.scan(lambda c, z: (kept.append(c) or c * z, None), x, np.ones(2))
        return carry * kept[0]

    with pytest.raises(cr.ChainruleError, match="used after the call that traced it has ended"):
        cr.grad(f)(1.0)


# -- what goes wrong, and what is said of it -------------------------------------------------------------------


def line_of(text):
    """Return where in this file a text stands first."""
    lines = inspect.getsource(inspect.getmodule(line_of)).splitlines()
    return f"test_control.py:{next(k for k, line in enumerate(lines, 1) if text in line)}"


def test_a_body_that_looks_at_a_value():
    def body(c, z):
        if c > z:  # looks
            return c, None
        return c * z, None

    for call in (
        lambda: cr.grad(lambda x: cr.scan(body, x, np.ones(3))[0])(2.0),
        lambda: cr.jit(lambda x: cr.scan(body, x, np.ones(3))[0])(2.0),
    ):
        with pytest.raises(
            cr.ChainruleError, match=r"not known in a function given to scan.*cond or np\.where"
        ) as info:
            call()
        assert line_of("if c > z:  # " + "looks") in str(info.value)


def test_a_plain_array_indexed_in_a_body():
    table = np.arange(4.0)
    with pytest.raises(cr.ChainruleError, match=r"given to fori_loop.*like=x"):
        cr.grad(lambda x: cr.fori_loop(0, 4, lambda i, c: c * table[i], x))(2.0)
    close(cr.grad(lambda x: cr.fori_loop(0, 4, lambda i, c: c + x * np.asarray(table, like=c)[i], x))(2.0), 7.0)


@pytest.mark.parametrize("traced", [False, True])
def test_carries_that_change(traced):
    def run(f, x):
        return cr.jvp(f, (x,), (x,)) if traced else f(x)

    x = np.ones(2, np.float32)
    for loop in (
        lambda body: lambda x: cr.scan(lambda c, _: (body(c), None), x, length=2),
        lambda body: lambda x: cr.while_loop(lambda c: c[0] < 5, body, x),
        lambda body: lambda x: cr.fori_loop(0, 2, lambda i, c: body(c), x),
    ):
        with pytest.raises(TypeError, match=r"begins as float32\[2\], the body returns float64\[2\], at test_control"):
            run(loop(lambda c: c * np.ones(2)), x)
        with pytest.raises(ValueError, match=r"begins as float32\[2\], the body returns float32\[4\]"):
            run(loop(lambda c: np.concatenate([c, c])), x)
        with pytest.raises(ValueError, match="structure"):
            run(loop(lambda c: (c, c)), x)


def test_wrong_arguments():
    for text, call in {
        "must return a pair": lambda x: cr.scan(lambda c, z: c, x, np.ones(3)),
        r"xs\[1\] has 2 elements along its first axis, the length of xs\[0\] is 3": lambda x: cr.scan(
            lambda c, z: (c, None), x, (np.ones(3), np.ones(2))
        ),
        "length is 4": lambda x: cr.scan(lambda c, z: (c, None), x, np.ones(3), length=4),
        "how many steps": lambda x: cr.scan(lambda c, z: (c, None), x),
        "is a number": lambda x: cr.scan(lambda c, z: (c, None), x, 3.0),
        "slots must be at least 1": lambda x: cr.scan(lambda c, z: (c, None), x, np.ones(3), slots=0),
        "pred must be a single number": lambda x: cr.cond(np.stack([x, x]) > 0, lambda: x, lambda: x),
        r"true_fun returns float64, false_fun float64\[2\]": lambda x: cr.cond(
            x > 0, lambda: x, lambda: np.stack([x, x])
        ),
        "same structure": lambda x: cr.cond(x > 0, lambda: x, lambda: (x, x)),
        "single boolean": lambda x: cr.while_loop(lambda c: np.stack([c, c]) > 0, lambda c: c, x),
        "lower must be an integer": lambda x: cr.fori_loop(x, 3, lambda i, c: c, x),
        "upper must be an integer": lambda x: cr.fori_loop(0, 2.5, lambda i, c: c, x),
        "arrays are expected, got str": lambda x: cr.scan(lambda c, z: (c, "a"), x, np.ones(3)),
    }.items():
        with pytest.raises(cr.ChainruleError, match=text) as info:
            cr.grad(call)(1.0)
        assert re.search(r"test_control\.py:\d+", str(info.value)), text


def test_numbers_in_branches_take_the_dtype_of_the_other():
    def f(x):
        return cr.cond(x > 0, lambda: x * 2, lambda: 0)

    assert cr.grad(f)(np.float32(2.0)).dtype == np.float32


def test_a_zero_map_has_no_edge():
    g = cr.trace(lambda x, w: cr.scan(lambda c, z: (c * w, z * 2), x, np.ones(3)), 2.0, 0.5)
    found = {(edge.source.name, edge.target.shape) for edge in g.edges}
    assert found == {("x", ()), ("w", ())}


def test_a_derivative_that_does_not_exist_names_the_line():
    def body(c, z):
        return c * np.isnat(c + z), None  # no rule

    with pytest.raises(cr.ChainruleError) as info:
        cr.grad(lambda x: cr.scan(body, x, np.ones(2))[0])(1.0)
    assert line_of("# no " + "rule") in str(info.value)


def test_graphs_of_loops_are_freed_without_the_garbage_collector():
    made = []

    def watched(builder):
        made.append(weakref.ref(builder))

    def body(c, z):
        watched(c.builder)
        return cr.cond(c > z, lambda: c * z, lambda: cr.fori_loop(0, 2, lambda i, d: d + z, c)), c

    def f(x):
        watched(x.builder)
        carry, ys = cr.scan(body, x, np.ones(3))
        return carry + np.sum(ys)

    gc.collect()
    gc.disable()
    try:
        cr.grad(cr.grad(f))(2.0)
        assert len(made) >= 2
        assert not [each for each in made if each() is not None]
    finally:
        gc.enable()
