"""The images, their split, and the small changes they are learned with."""

import sys

import numpy as np
import pytest
import sklearn.datasets

from chainrule.errors import MissingDependencyError
from chainrule.learn import jitter, load_digits

IMAGES, LABELS = sklearn.datasets.load_digits(return_X_y=True)


def rows(images):
    return [tuple(row) for row in images]


def test_the_split_takes_the_same_fraction_of_every_digit(digits):
    assert (len(digits.train_x), len(digits.test_x)) == (1438, 359)
    for digit in range(10):
        total, held_out = np.sum(digit == LABELS), np.sum(digits.test_labels == digit)
        assert abs(held_out - total / 5) <= 0.5


def test_every_image_is_on_one_side_with_its_own_digit(digits):
    given = [(*row, label) for row, label in zip(rows(IMAGES / 16), LABELS, strict=True)]
    train = [(*row, label) for row, label in zip(rows(digits.train_x), digits.train_labels, strict=True)]
    test = [(*row, label) for row, label in zip(rows(digits.test_x), digits.test_labels, strict=True)]
    assert len(set(given)) == len(given)
    assert sorted(train + test) == sorted(given)


def test_gray_values_run_from_paper_to_ink(digits):
    assert digits.train_x.shape[1] == digits.test_x.shape[1] == 64
    assert digits.train_x.dtype == np.float64
    assert (digits.train_x.min(), digits.train_x.max()) == (0, 1)


def test_the_split_follows_the_seed(digits):
    same, other = load_digits(seed=0), load_digits(seed=1)
    np.testing.assert_array_equal(same.test_x, digits.test_x)
    assert rows(other.test_x) != rows(digits.test_x)
    assert len(load_digits(test_fraction=0.5).test_x) == sum(round(np.sum(digit == LABELS) / 2) for digit in range(10))


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingDependencyError, match=r'scikit-learn.*pip install "chainrule\[learn\]"'):
        load_digits()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_jitter_keeps_shape_dtype_and_range(digits, dtype):
    x = digits.train_x[:200].astype(dtype)
    before = x.copy()
    moved = jitter(x, np.random.default_rng(0))
    assert (moved.shape, moved.dtype) == (x.shape, x.dtype)
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert (moved != x).any(axis=1).all()
    np.testing.assert_array_equal(x, before)


def test_jitter_follows_the_generator(digits):
    one, same, other = (jitter(digits.train_x[:5], np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_jitter_without_reach_and_slant_changes_nothing(digits):
    np.testing.assert_array_equal(
        jitter(digits.train_x[:9], np.random.default_rng(0), reach=0, slant=0), digits.train_x[:9]
    )


class Always:
    """A generator whose draws are all the same number."""

    def __init__(self, draw):
        self.draw = draw

    def uniform(self, low, high, size):
        return np.full(size, self.draw)


def test_a_shift_by_a_whole_pixel_moves_the_image_and_brings_in_paper(digits):
    x = digits.train_x[:20]
    images = x.reshape(-1, 8, 8)
    moved = jitter(x, Always(1.0), reach=1, slant=0).reshape(-1, 8, 8)
    np.testing.assert_array_equal(moved[:, 1:, 1:], images[:, :-1, :-1])
    assert not moved[:, 0].any()
    assert not moved[:, :, 0].any()
    moved = jitter(x, Always(-1.0), reach=1, slant=0).reshape(-1, 8, 8)
    np.testing.assert_array_equal(moved[:, :-1, :-1], images[:, 1:, 1:])


def test_a_shift_by_half_a_pixel_is_the_mean_of_neighbors():
    image = np.zeros((8, 8))
    image[3, 4] = 1
    moved = jitter(image.reshape(1, 64), Always(0.5), reach=1, slant=0).reshape(8, 8)
    expected = np.zeros((8, 8))
    expected[3:5, 4:6] = 0.25
    np.testing.assert_array_equal(moved, expected)


def test_slant_moves_opposite_borders_in_opposite_directions():
    image = np.zeros((8, 8))
    image[:, 4] = 1  # a vertical stroke
    moved = jitter(image.reshape(1, 64), Always(1.0), reach=0, slant=1).reshape(8, 8)
    columns = (moved * np.arange(8)).sum(axis=1) / moved.sum(axis=1)  # where the stroke is in each row
    assert columns[0] < 3.5
    assert columns[-1] > 4.5
    assert (np.diff(columns[1:-1]) > 0).all()
