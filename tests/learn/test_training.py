"""The training loop: minibatches and fit."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, ExpressionError
from chainrule.learn import accuracy, cross_entropy, fit, initialize, jitter, minibatches, sgd
from chainrule.learn.digits import Digits
from chainrule.tree import flatten


@pytest.fixture
def few(digits):
    return Digits(digits.train_x[:150], digits.train_labels[:150], digits.test_x[:60], digits.test_labels[:60])


def start(seed=0):
    return initialize((64, 12, 10), np.random.default_rng(seed))


def train(digits, network=None, optimizer=None, **options):
    options = {"epochs": 3, "batch_size": 40, "generator": np.random.default_rng(5)} | options
    return fit(network or start(), digits, optimizer or sgd(0.2), **options)


def test_minibatches_yield_every_example_once_with_its_label():
    x, labels = np.arange(10.0)[:, np.newaxis], np.arange(10) * 7
    batches = list(minibatches(x, labels, 4, np.random.default_rng(0)))
    assert [len(part) for part, _ in batches] == [4, 4, 2]
    seen = np.concatenate([part for part, _ in batches]).ravel()
    assert sorted(seen) == list(range(10))
    assert list(seen) != list(range(10))
    np.testing.assert_array_equal(np.concatenate([part for _, part in batches]), seen * 7)


def test_minibatches_augment_each_batch():
    batches = minibatches(np.zeros((5, 2)), np.arange(5), 3, np.random.default_rng(0), lambda x, generator: x + 1)
    assert all((part == 1).all() for part, _ in batches)


def test_fit_is_the_loop_written_out(few):
    found, _ = train(few, epochs=2)
    network, generator = start(), np.random.default_rng(5)
    for _ in range(2):
        for x, labels in minibatches(few.train_x, few.train_labels, 40, generator):
            gradient = cr.grad(cross_entropy)(network, x, labels)
            network = [
                type(layer)(*(p - 0.2 * g for p, g in zip(layer, slope, strict=True)))
                for layer, slope in zip(network, gradient, strict=True)
            ]
    for one, two in zip(flatten(found)[0], flatten(network)[0], strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_same_seed_gives_the_same_network_to_the_bit(few):
    one, same, other = (
        train(few, augment=jitter, generator=np.random.default_rng(seed))[0][0].weight.tobytes() for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_the_loss_falls_and_the_history_tells_it(few):
    network = start()
    before = [array.copy() for array in flatten(network)[0]]
    losses, epochs = [], []
    learned, history = train(few, network, epochs=12, on_step=losses.append, on_epoch=epochs.append)
    assert tuple(epochs) == history
    assert [epoch.number for epoch in history] == list(range(1, 13))
    assert len(losses) == 12 * 4
    np.testing.assert_allclose([epoch.loss for epoch in history], np.mean(np.reshape(losses, (12, 4)), axis=1))
    assert history[-1].loss < history[0].loss / 2
    assert history[-1].train_accuracy == accuracy(learned, few.train_x, few.train_labels)
    assert history[-1].test_accuracy == accuracy(learned, few.test_x, few.test_labels)
    seconds = [epoch.seconds for epoch in history]
    assert seconds == sorted(seconds)
    for array, old in zip(flatten(network)[0], before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_held_out_images_have_no_influence(few):
    blank = Digits(few.train_x, few.train_labels, np.zeros_like(few.test_x), few.test_labels)
    np.testing.assert_array_equal(train(few)[0][0].weight, train(blank)[0][0].weight)


def test_float32_is_trained_in_float32(few):
    x = few.train_x.astype(np.float32)
    data = Digits(x, few.train_labels, few.test_x.astype(np.float32), few.test_labels)
    network = initialize((64, 12, 10), np.random.default_rng(0), dtype=np.float32)
    learned, _ = train(data, network, augment=jitter)
    assert {array.dtype for array in flatten(learned)[0]} == {np.dtype(np.float32)}


@pytest.mark.parametrize("rate", [10.0, 1e6, 1e200, 1e308])
def test_a_training_that_diverges_says_so(few, rate):
    with pytest.raises(ExpressionError, match=r"the training diverged: the loss is .* in epoch 1; a smaller learning"):
        train(few, optimizer=sgd(rate))
    assert issubclass(ExpressionError, ChainruleError)
