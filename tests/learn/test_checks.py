"""The check of a gradient finds a wrong one, and the cost of forward mode is what its parts say."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.learn import check_gradient, cross_entropy, initialize, measure_forward_cost
from chainrule.learn.checks import Durations, ForwardCost


def generator():
    return np.random.default_rng(0)


def polynomial(params):
    return np.sum(params["a"] ** 3) + 2 * np.sum(params["b"])


def test_a_right_gradient_agrees_to_many_digits(digits):
    network = initialize((64, 8, 10), np.random.default_rng(0))
    check = check_gradient(
        cross_entropy, network, digits.train_x[:20], digits.train_labels[:20], generator=generator(), count=40
    )
    assert check.error < 1e-5
    assert len(set(check.coordinates)) == 40
    assert 0 <= min(check.coordinates) <= max(check.coordinates) < 64 * 8 + 8 + 80 + 10
    np.testing.assert_allclose(check.reverse, check.differences, rtol=1e-4, atol=1e-8)


def test_coordinates_count_through_the_flattened_parameters():
    params = {"a": np.array([1.0, 2.0, 3.0]), "b": np.zeros((2, 2))}
    check = check_gradient(polynomial, params, generator=generator(), count=100)
    assert sorted(check.coordinates) == list(range(7))  # no more than there are
    expected = np.array([3.0, 12.0, 27.0, 2.0, 2.0, 2.0, 2.0])
    np.testing.assert_array_equal(check.reverse, expected[list(check.coordinates)])
    np.testing.assert_allclose(check.differences, check.reverse, rtol=1e-8)
    assert check.error < 1e-8


def wrong_square(factor):
    square = cr.custom_vjp(lambda x: x**2)
    square.defvjp(lambda x: (x**2, x), lambda x, y_bar: (factor * x * y_bar,))
    return lambda x: np.sum(square(x))


@pytest.mark.parametrize(("factor", "error"), [(2.0, 0.0), (2.02, 0.02 / 2.02), (-2.0, 2.0), (0.0, 1.0)])
def test_a_wrong_rule_is_caught(factor, error):
    x = np.array([1.0, -2.0, 3.0])
    check = check_gradient(wrong_square(factor), x, generator=generator())
    np.testing.assert_allclose(check.error, error, atol=1e-9)


def test_one_wrong_entry_among_right_ones_is_caught():
    identity = cr.custom_vjp(lambda x: x + 0)
    identity.defvjp(lambda x: (x + 0, None), lambda _, y_bar: (y_bar * np.array([1, 1, 1.001, 1]),))
    check = check_gradient(lambda x: np.sum(identity(x) ** 2), np.ones(4), generator=generator())
    assert 5e-4 < check.error < 2e-3


def test_a_gradient_of_zero_is_no_error():
    check = check_gradient(lambda x: np.sum(0 * x), np.ones(3), generator=generator())
    assert (check.reverse, check.differences, check.error) == ((0, 0, 0), (0, 0, 0), 0)


def test_float32_parameters_are_checked_in_float64_and_stay(digits):
    network = initialize((64, 4, 10), np.random.default_rng(0), dtype=np.float32)
    before = network[0].weight.copy()
    check = check_gradient(cross_entropy, network, digits.train_x[:5], digits.train_labels[:5], generator=generator())
    assert check.error < 1e-5
    assert network[0].weight.dtype == np.float32
    np.testing.assert_array_equal(network[0].weight, before)


def test_forward_cost_counts_a_pass_per_parameter():
    calls = []

    def loss(params):
        calls.append(1)
        return polynomial(params)

    cost = measure_forward_cost(loss, {"a": np.ones(3), "b": np.zeros((2, 2))}, generator=generator(), repeat=4)
    assert (cost.parameters, cost.measured) == (7, 4)
    assert len(calls) == 1 + 5  # once for all forward passes, once for each reverse pass and the one before them
    for durations in (cost.forward, cost.reverse):
        assert 0 < durations.low <= durations.median <= durations.high


def test_forward_cost_is_extrapolated_from_the_median():
    cost = ForwardCost(1000, 5, Durations(0.002, 0.001, 0.009), Durations(0.004, 0.003, 0.005))
    assert cost.forward_seconds == pytest.approx(2.0)
    assert cost.ratio == pytest.approx(500.0)
