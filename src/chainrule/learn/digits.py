"""Handwritten digits: 1797 real images of 8 by 8 pixels, which scikit-learn brings along.

They are the test part of Alpaydin & Kaynak, Optical Recognition of Handwritten Digits (1998), UCI Machine Learning
Repository, https://doi.org/10.24432/C50P49.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule.errors import MissingDependencyError
from chainrule.learn.network import Array

__all__ = ["CLASSES", "SIDE", "Digits", "jitter", "load_digits"]

SIDE = 8
"""Pixels along each side of an image."""

CLASSES = 10
"""The digits from 0 to 9."""


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """Images as rows (n, 64) of gray values from 0 (paper) to 1 (ink), with their digits (n,)."""

    train_x: Array
    train_labels: Array
    test_x: Array
    test_labels: Array


def load_digits(*, test_fraction: float = 0.2, seed: int = 0) -> Digits:
    """Return the images, some of them held out for testing.

    The same fraction of every digit is held out, drawn at random from the seed.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits as bundled  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingDependencyError(
            'the handwritten digits come with scikit-learn, which is not installed: pip install "chainrule[learn]"'
        ) from error
    images, labels = bundled(return_X_y=True)
    generator = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    held_out = np.zeros(len(labels), dtype=bool)
    for digit in range(CLASSES):
        members = generator.permutation(np.flatnonzero(labels == digit))
        held_out[members[: round(test_fraction * len(members))]] = True
    images = images / 16  # the gray values are whole numbers from 0 to 16
    return Digits(images[~held_out], labels[~held_out], images[held_out], labels[held_out])


def jitter(x: Array, generator: np.random.Generator, *, reach: float = 0.5, slant: float = 0.5) -> Array:
    """Return the images x (n, 64), each written a little elsewhere and a little more upright or slanting.

    Such a change does not make another digit, so it gives the network more to learn from. Each image is moved along
    both axes by up to ``reach`` pixels, and its borders by up to ``slant`` pixels more in opposite directions, at
    random. Moving by s pixels mixes 1 − |s| of each pixel with |s| of its neighbor, so reach + slant ≤ 1; beyond the
    border is paper.

    References:
        Simard, Steinkraus & Platt, Best practices for convolutional neural networks applied to visual document
        analysis (2003), ICDAR, section 2.
    """
    images = np.pad(x.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
    across = np.linspace(-1, 1, SIDE + 2)
    for axis, place in ((1, across), (2, across[:, np.newaxis])):
        shift, lean = generator.uniform(-1, 1, (2, len(images), 1, 1))
        move = (reach * shift + slant * lean * place).astype(x.dtype)
        neighbor = np.where(move > 0, np.roll(images, 1, axis), np.roll(images, -1, axis))
        images = images + np.abs(move) * (neighbor - images)
    return images[:, 1:-1, 1:-1].reshape(x.shape)
