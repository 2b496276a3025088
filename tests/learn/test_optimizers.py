"""Optimizers against closed forms, and against steps computed by hand."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.learn import Layer, adam, linear_decay, momentum, sgd
from chainrule.tree import flatten, map_leaves

ALL = [pytest.param(make, id=make.__name__) for make in (sgd, momentum, adam)]

CURVATURE = np.array([0.5, 1.0, 3.0])


def bowl(x):
    return np.sum(CURVATURE * x**2) / 2


def run(optimizer, x, steps, slope=None):
    slope = slope or cr.grad(bowl)
    state = optimizer.init(x)
    for _ in range(steps):
        x, state = optimizer.update(x, slope(x), state)
    return x


def structure(dtype):
    generator = np.random.default_rng(0)
    layers = [
        Layer(generator.normal(size=(i, j)).astype(dtype), generator.normal(size=j).astype(dtype)) for i, j in [(3, 2)]
    ]
    return {"layers": layers, "scale": np.asarray(generator.normal(), dtype)[()]}


def test_sgd_on_a_quadratic_shrinks_each_coordinate_by_its_own_factor():
    start = np.array([1.0, -2.0, 0.5])
    found = run(sgd(0.1), start, 25)
    np.testing.assert_allclose(found, start * (1 - 0.1 * CURVATURE) ** 25, rtol=1e-13)


def test_momentum_on_a_quadratic_is_a_linear_recurrence():
    rate, decay, steps = 0.1, 0.8, 12
    start = np.array([1.0, -2.0, 0.5])
    for k, curvature in enumerate(CURVATURE):
        # (x, v) -> (x - rate (decay v + c x), decay v + c x)
        step = np.array([[1 - rate * curvature, -rate * decay], [curvature, decay]])
        x, _ = np.linalg.matrix_power(step, steps) @ [start[k], 0]
        np.testing.assert_allclose(run(momentum(rate, decay=decay), start, steps)[k], x, rtol=1e-12)


def test_momentum_under_a_constant_force_moves_by_a_geometric_sum():
    rate, decay, steps = 0.1, 0.9, 7
    found = run(momentum(rate, decay=decay), np.zeros(2), steps, lambda x: np.array([1.0, -3.0]))
    velocities = [(1 - decay**t) / (1 - decay) for t in range(1, steps + 1)]
    np.testing.assert_allclose(found, -rate * sum(velocities) * np.array([1.0, -3.0]), rtol=1e-13)


def test_momentum_without_decay_is_sgd():
    start = np.array([1.0, -2.0, 0.5])
    np.testing.assert_array_equal(run(momentum(0.1, decay=0), start, 9), run(sgd(0.1), start, 9))


def test_adam_under_a_constant_force_moves_by_the_learning_rate():
    force = np.array([1e-3, -5.0, 1e4])
    found = run(adam(0.01, epsilon=0.0), np.zeros(3), 10, lambda x: force)
    np.testing.assert_allclose(found, -0.01 * 10 * np.sign(force), rtol=1e-12)


def test_two_steps_of_adam_by_hand():
    # g = 2, then 4, with beta1 = 0.5, beta2 = 0.75, learning rate 0.1, epsilon 1:
    # m = 1, s = 1, both corrected: m = 2, s = 4; step 0.1 * 2 / (2 + 1)
    # m = 2.5, s = 4.75, corrected: m = 10/3, s = 4.75 / 0.4375
    optimizer = adam(0.1, beta1=0.5, beta2=0.75, epsilon=1.0)
    x = np.array(1.0)
    state = optimizer.init(x)
    x, state = optimizer.update(x, np.array(2.0), state)
    assert math.isclose(x, 1 - 0.2 / 3, rel_tol=1e-15)
    x, state = optimizer.update(x, np.array(4.0), state)
    assert math.isclose(x, 1 - 0.2 / 3 - 0.1 * (10 / 3) / (math.sqrt(4.75 / 0.4375) + 1), rel_tol=1e-15)
    assert state.step == 2
    assert (state.mean, state.square) == (2.5, 4.75)


def test_adam_stands_still_where_the_gradient_is_zero():
    np.testing.assert_array_equal(run(adam(0.1), np.ones(2), 3, np.zeros_like), np.ones(2))


@pytest.mark.parametrize("make", ALL)
def test_all_find_the_bottom(make):
    assert bowl(run(make(linear_decay(0.2, 200)), np.array([1.0, -2.0, 0.5]), 200)) < 1e-8


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_structure_shapes_and_dtypes_stay(make, dtype):
    params = structure(dtype)
    optimizer = make(lambda step: np.float64(0.1) / (1 + step))
    state = optimizer.init(params)
    new, state = optimizer.update(params, map_leaves(np.ones_like, params), state)
    new, state = optimizer.update(new, map_leaves(np.ones_like, params), state)
    assert isinstance(new["layers"][0], Layer)
    for before, after in zip(flatten(params)[0], flatten(new)[0], strict=True):
        assert after.dtype == dtype
        assert after.shape == before.shape
        assert (after < before).all()
    assert all(leaf.dtype == dtype for leaf in flatten(tuple(state)[1:])[0])


@pytest.mark.parametrize("make", ALL)
def test_nothing_is_changed_in_place(make):
    params = structure(np.float64)
    gradients = map_leaves(np.ones_like, params)
    optimizer = make()
    state = optimizer.init(params)
    _, state = optimizer.update(params, gradients, state)
    held = (params, gradients, state)
    before = map_leaves(np.copy, held)
    optimizer.update(params, gradients, state)
    for old, now in zip(flatten(before)[0], flatten(held)[0], strict=True):
        np.testing.assert_array_equal(now, old)


def test_linear_decay_starts_at_the_rate_and_ends_at_zero():
    rate = linear_decay(0.5, 4)
    assert [rate(step) for step in range(6)] == [0.5, 0.375, 0.25, 0.125, 0.0, 0.0]


def test_the_learning_rate_may_depend_on_the_step():
    found = run(sgd(lambda step: [0.5, 0.25][step]), np.zeros(1), 2, np.ones_like)
    assert found == -0.75
