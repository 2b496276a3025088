"""The perceptron against formulas written another way, and its gradient against backpropagation by hand."""

import numpy as np
import pytest
import scipy.special

import chainrule as cr
from chainrule.learn import (
    Layer,
    accuracy,
    classify,
    count_parameters,
    cross_entropy,
    initialize,
    predict,
    relu,
)

SIZES = (5, 7, 6, 4)


def example(dtype=np.float64, count=9):
    generator = np.random.default_rng(1)
    network = [
        Layer(weight, generator.normal(size=bias.shape).astype(dtype))
        for weight, bias in initialize(SIZES, generator, dtype=dtype)
    ]
    x = generator.normal(size=(count, SIZES[0])).astype(dtype)
    return network, x, generator.integers(SIZES[-1], size=count)


def backpropagation(network, x, labels, slope):
    """The four equations, with a row per example and the mean over rows as the loss.

    (1) delta of the last layer = softmax - one-hot, (2) delta of a layer = (delta of the next @ weight.T) * slope(z),
    (3) gradient of a bias = sum of deltas, (4) gradient of a weight = activation.T @ delta.
    """
    activations, sums = [x], []
    for number, (weight, bias) in enumerate(network):
        sums.append(activations[-1] @ weight + bias)
        last = number == len(network) - 1
        activations.append(sums[-1] if last else slope[0](sums[-1]))
    delta = (scipy.special.softmax(sums[-1], axis=1) - np.eye(SIZES[-1])[labels]) / len(labels)
    gradient = []
    for number in reversed(range(len(network))):
        gradient.append(Layer(activations[number].T @ delta, delta.sum(axis=0)))
        if number:
            delta = (delta @ network[number].weight.T) * slope[1](sums[number - 1])
    return gradient[::-1]


RELU = (relu, lambda z: z > 0)
TANH = (np.tanh, lambda z: 1 - np.tanh(z) ** 2)


def test_predict_neuron_by_neuron():
    network, x, _ = example()
    for row, logits in zip(x, predict(network, x), strict=True):
        values = list(row)
        for number, (weight, bias) in enumerate(network):
            values = [sum(v * w for v, w in zip(values, weight[:, j], strict=True)) + bias[j] for j in range(len(bias))]
            if number < len(network) - 1:
                values = [max(value, 0.0) for value in values]
        np.testing.assert_allclose(logits, values, rtol=1e-13)


@pytest.mark.parametrize("activation", [relu, np.tanh])
def test_cross_entropy_is_the_negative_log_probability_of_the_label(activation):
    network, x, labels = example()
    log_probability = scipy.special.log_softmax(predict(network, x, activation), axis=1)
    expected = -np.mean([row[label] for row, label in zip(log_probability, labels, strict=True)])
    np.testing.assert_allclose(cross_entropy(network, x, labels, activation), expected, rtol=1e-13)


def test_cross_entropy_does_not_overflow():
    logits = np.array([[1e4, 0.0, -1e4], [0.0, 1e4, 1e4]])
    network = [Layer(np.eye(3), np.zeros(3))]
    loss, gradient = cr.value_and_grad(cross_entropy)(network, logits, np.array([2, 1]))
    assert loss == (2e4 + np.log(2)) / 2
    np.testing.assert_allclose(gradient[0].bias, [0.5, -0.25, -0.25], rtol=1e-15)


@pytest.mark.parametrize("slope", [pytest.param(RELU, id="relu"), pytest.param(TANH, id="tanh")])
def test_the_gradient_is_backpropagation_by_hand(slope):
    network, x, labels = example()
    found = cr.grad(cross_entropy)(network, x, labels, slope[0])
    for layer, expected in zip(found, backpropagation(network, x, labels, slope), strict=True):
        assert isinstance(layer, Layer)
        np.testing.assert_allclose(layer.weight, expected.weight, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(layer.bias, expected.bias, rtol=1e-12, atol=1e-15)


def test_forward_mode_agrees_with_the_gradient():
    network, x, labels = example()
    direction, _, _ = example(count=1)
    _, slope = cr.jvp(lambda n: cross_entropy(n, x, labels), (network,), (direction,))
    gradient = cr.grad(cross_entropy)(network, x, labels)
    expected = sum(
        np.sum(g * d) for one, two in zip(gradient, direction, strict=True) for g, d in zip(one, two, strict=True)
    )
    np.testing.assert_allclose(slope, expected, rtol=1e-12)


def test_float32_stays_float32():
    network, x, labels = example(np.float32)
    loss, gradient = cr.value_and_grad(cross_entropy)(network, x, labels)
    assert loss.dtype == np.float32
    assert {array.dtype for layer in gradient for array in layer} == {np.dtype(np.float32)}


@pytest.mark.parametrize(("scheme", "limit"), [("he", (6 / 300) ** 0.5), ("glorot", (6 / 500) ** 0.5)])
def test_initial_weights_are_uniform_within_their_limit(scheme, limit):
    ((weight, bias),) = initialize((300, 200), np.random.default_rng(0), scheme=scheme)
    assert 0.999 * limit < np.abs(weight).max() <= limit
    np.testing.assert_allclose(weight.var(), limit**2 / 3, rtol=0.02)  # 60,000 draws
    assert abs(weight.mean()) < 0.01 * limit
    assert not bias.any()


def test_he_keeps_the_size_of_activations_through_many_layers():
    network = initialize([400] * 12, np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(20, 400))
    assert 0.5 < np.mean(predict(network, x) ** 2) / 2 < 2  # the last layer has no relu, so twice the square


def test_initialization_follows_the_generator():
    one, same, other = (initialize((4, 3), np.random.default_rng(seed))[0].weight for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_classify_accuracy_and_parameter_count():
    network = [Layer(np.eye(3), np.zeros(3))]
    x = np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.5]])
    np.testing.assert_array_equal(classify(network, x), [1, 0, 2, 1])
    assert accuracy(network, x, np.array([1, 0, 2, 0])) == 0.75
    assert count_parameters(initialize((64, 128, 64, 10), np.random.default_rng(0))) == 64 * 128 + 128 * 64 + 640 + 202
