"""The whole lesson: real digits, a network, a checked gradient, a training, and what came of it."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from chainrule.errors import ExpressionError
from chainrule.files import ensure_writable, replacing
from chainrule.learn.checks import check_gradient, measure_forward_cost
from chainrule.learn.digits import CLASSES, SIDE, jitter, load_digits
from chainrule.learn.network import count_parameters, cross_entropy, initialize
from chainrule.learn.optimizers import Optimizer, adam, linear_decay, momentum, sgd
from chainrule.learn.pictures import draw_curves, draw_misread, require_matplotlib
from chainrule.learn.report import LANGUAGES, Report
from chainrule.learn.training import Training, fit, minibatches
from chainrule.learn.weights import save_weights

__all__ = ["OPTIMIZERS", "train_digits"]

OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], float]] = {
    "sgd": (sgd, 0.3),
    "momentum": (momentum, 0.05),
    "adam": (adam, 0.005),
}
"""The optimizers by name, each with the learning rate that suits it here."""

FILES = ("weights.npz", "curves.png", "misread.png", "history.json")

MOST_PARAMETERS = 20_000_000


def train_digits(
    *,
    optimizer: str = "sgd",
    epochs: int = 40,
    batch_size: int = 32,
    hidden: Sequence[int] = (128, 64),
    learning_rate: float | None = None,
    seed: int = 0,
    out: str | PathLike[str] | None = None,
    console: Console | None = None,
    lang: str = "en",
) -> Training:
    """Train a multilayer perceptron to read handwritten digits, and report on it.

    The learning rate falls linearly to zero, and every batch is seen through `jitter`. Everything random follows from
    the seed, including which images are held out: those of ``load_digits(seed=seed)``. On one computer the
    same seed gives the same weights to the bit, however many threads BLAS may use.

    Args:
        optimizer: "sgd", "momentum" or "adam".
        epochs: Passes over the training images.
        batch_size: Images per step.
        hidden: Width of every hidden layer.
        learning_rate: At the first step; None takes the one that suits the optimizer.
        seed: Not negative.
        out: Folder for ``weights.npz``, ``curves.png``, ``misread.png`` and ``history.json``, made if need be; they
            are written together at the end. None writes nothing.
        console: Where the report goes; standard output when None.
        lang: "en" or "zh".

    Raises:
        ExpressionError: a value that is not accepted, or a learning rate with which the training diverges.
        MissingDependencyError: scikit-learn, or matplotlib for the pictures, is not installed.
        OutputError: the folder cannot be written; found before the training starts.
    """
    _check_options(optimizer, epochs, batch_size, hidden, learning_rate, seed, lang)
    if out is not None:
        require_matplotlib()
    _, for_weights, for_order, for_checks = np.random.SeedSequence(seed).spawn(4)  # the first one makes the split
    digits = load_digits(seed=seed)
    most = len(digits.train_labels)
    if batch_size > most:
        raise _refused("batch_size", batch_size, f"a whole number from 1 to {most}, the number of training images")
    if out is not None:
        ensure_writable(Path(out), FILES)

    build, usual_rate = OPTIMIZERS[optimizer]
    rate = usual_rate if learning_rate is None else float(learning_rate)
    steps = epochs * math.ceil(most / batch_size)
    sizes = (SIDE**2, *hidden, CLASSES)
    network = initialize(sizes, np.random.default_rng(for_weights))

    report = Report(console, lang)
    report.plan(
        digits,
        sizes,
        count_parameters(network),
        optimizer=optimizer,
        learning_rate=rate,
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
    )

    with _one_thread():
        order = np.random.default_rng(for_order)
        first = next(minibatches(digits.train_x, digits.train_labels, batch_size, order, jitter))
        generator = np.random.default_rng(for_checks)
        check = check_gradient(cross_entropy, network, *first, generator=generator)
        cost = measure_forward_cost(cross_entropy, network, *first, generator=generator)
        report.gradient(check, cost)

        with report.progress(epochs, steps) as (on_step, on_epoch):
            network, history = fit(
                network,
                digits,
                build(linear_decay(rate, steps)),
                epochs=epochs,
                batch_size=batch_size,
                generator=np.random.default_rng(for_order),
                augment=jitter,
                on_step=on_step,
                on_epoch=on_epoch,
            )
    training = Training(network, history, steps, optimizer, rate, batch_size, seed, digits, check, cost)
    if out is not None:
        training = replace(training, files=_write(training, Path(out), lang))
    report.result(training)
    return training


def _one_thread() -> AbstractContextManager[Any]:
    """Let BLAS use one thread: sums that are split differently round differently, and the matrices are small."""
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - scikit-learn's

    return threadpool_limits(1, user_api="blas")


def _write(training: Training, folder: Path, lang: str) -> tuple[Path, ...]:
    """Write all files of a training, or none."""
    files = tuple(folder / name for name in FILES)
    with replacing(*files) as (weights, curves, misread, history):
        save_weights(weights, training.network)
        draw_curves(training.history, curves, lang=lang)
        draw_misread(training.digits, training.answers, misread, lang=lang)
        history.write_text(json.dumps(_summary(training), indent=1) + "\n", encoding="utf-8")
    return files


def _summary(training: Training) -> dict[str, Any]:
    return {
        "optimizer": training.optimizer,
        "learning_rate": training.learning_rate,
        "batch_size": training.batch_size,
        "sizes": training.sizes,
        "seed": training.seed,
        "test_accuracy": training.test_accuracy,
        "gradient_check": asdict(training.check),
        "forward_cost": asdict(training.cost)
        | {"forward_seconds": training.cost.forward_seconds, "ratio": training.cost.ratio},
        "epochs": [asdict(epoch) for epoch in training.history],
    }


def _check_options(
    optimizer: Any, epochs: Any, batch_size: Any, hidden: Any, learning_rate: Any, seed: Any, lang: Any
) -> None:
    """Refuse what cannot be meant, before anything is loaded or written."""
    if optimizer not in OPTIMIZERS:
        raise _refused("optimizer", optimizer, " or ".join(OPTIMIZERS))
    if lang not in LANGUAGES:
        raise _refused("lang", lang, " or ".join(LANGUAGES))
    for name, value, least in (("epochs", epochs, 1), ("batch_size", batch_size, 1), ("seed", seed, 0)):
        if not _is_whole(value) or value < least:
            raise _refused(name, value, f"a whole number from {least} up")
    widths = list(hidden) if isinstance(hidden, Sequence) and not isinstance(hidden, str) else []
    if not widths or not all(_is_whole(width) and width >= 1 for width in widths):
        raise _refused("hidden", hidden, "the width of one or more hidden layers, each from 1 up, such as 64,32")
    sizes = [SIDE**2, *widths, CLASSES]
    parameters = sum((i + 1) * j for i, j in itertools.pairwise(sizes))
    if parameters > MOST_PARAMETERS:
        raise _refused("hidden", hidden, f"widths that make at most {MOST_PARAMETERS:,} parameters, not {parameters:,}")
    if learning_rate is not None and not (_is_real(learning_rate) and 0 < learning_rate < math.inf):
        raise _refused("learning_rate", learning_rate, "a positive number")


def _refused(name: str, value: object, accepted: str) -> ExpressionError:
    option = f"--{name.replace('_', '-')}"
    return ExpressionError(f"{name} ({option}) is {value!r}; accepted: {accepted}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_real(value: object) -> bool:
    return _is_whole(value) or isinstance(value, float | np.floating)
