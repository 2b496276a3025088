"""The whole lesson: a training from the images to the files."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import chainrule as cr
from chainrule.errors import ChainruleError, ExpressionError, MissingDependencyError, OutputError
from chainrule.learn import (
    accuracy,
    classify,
    cross_entropy,
    initialize,
    load_digits,
    load_weights,
    train_digits,
)
from chainrule.learn import (
    lesson as module,
)
from chainrule.learn.lesson import FILES, OPTIMIZERS

from .conftest import QUICK, captured


def quiet(**options):
    return train_digits(console=captured()[0], **(QUICK | options))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_default_training_reads_at_least_97_percent():
    training = train_digits(console=captured()[0])
    assert training.test_accuracy >= 0.97
    assert training.check.error < 1e-5
    assert training.sizes == (64, 128, 64, 10)
    assert training.cost.parameters == 17226


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_the_other_optimizers_learn_too(optimizer):
    training = quiet(optimizer=optimizer, hidden=(64,), epochs=12)
    assert training.test_accuracy >= 0.95
    assert (training.optimizer, training.learning_rate) == (optimizer, OPTIMIZERS[optimizer][1])


def test_all_files_are_written_and_nothing_else(lesson):
    training, folder, _ = lesson
    assert training.files == tuple(folder / name for name in FILES)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_the_weights_read_the_held_out_images_again(lesson):
    training, folder, _ = lesson
    network = load_weights(folder / "weights.npz", sizes=(64, 16, 10))
    digits = load_digits(seed=QUICK["seed"])
    np.testing.assert_array_equal(classify(network, digits.test_x), training.answers)
    assert accuracy(network, digits.test_x, digits.test_labels) == training.test_accuracy
    assert training.test_accuracy > 0.8


def test_the_history_is_the_training_in_numbers(lesson):
    training, folder, _ = lesson
    history = json.loads((folder / "history.json").read_text("utf-8"))
    assert history["test_accuracy"] == training.test_accuracy
    assert (history["sizes"], history["seed"], history["optimizer"]) == ([64, 16, 10], 3, "sgd")
    assert [epoch["loss"] for epoch in history["epochs"]] == [epoch.loss for epoch in training.history]
    assert history["gradient_check"]["error"] == training.check.error
    assert history["forward_cost"]["ratio"] == training.cost.ratio
    assert (folder / "history.json").read_bytes().endswith(b"}\n")


def test_the_gradient_is_checked_before_the_first_step(lesson):
    training, _, _ = lesson
    assert training.check.error < 1e-5
    assert len(training.check.coordinates) == 20
    assert training.cost.parameters == sum(array.size for layer in training.network for array in layer) == 1210
    assert (training.steps, len(training.history)) == (3 * 45, 3)


def test_two_processes_make_the_same_files(lesson, tmp_path):
    _, folder, _ = lesson
    program = (
        "import io; from rich.console import Console; from chainrule.learn import train_digits; "
        f"train_digits(out={str(tmp_path)!r}, console=Console(file=io.StringIO()), **{QUICK!r})"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    here, there = contents(folder), contents(tmp_path)
    for name in ("weights.npz", "curves.png", "misread.png"):
        assert here[name] == there[name]


def test_the_number_of_threads_does_not_change_the_weights():
    one, two = (
        train_with_threads(count, hidden=(512, 256), batch_size=512, epochs=1).network[0].weight.tobytes()
        for count in (1, 2)
    )
    assert one == two


def train_with_threads(count, **options):
    with threadpool_limits(count, user_api="blas"):
        return quiet(**options)


def test_another_seed_makes_another_network(lesson):
    training, _, _ = lesson
    other = quiet(seed=4)
    assert (other.digits.test_x != training.digits.test_x).any()
    assert (other.network[0].weight != training.network[0].weight).any()


def test_options_reach_the_training():
    training = quiet(optimizer="momentum", batch_size=500, hidden=[9, 8], learning_rate=1, epochs=2, seed=np.int64(5))
    assert training.sizes == (64, 9, 8, 10)
    assert (training.learning_rate, training.batch_size, training.steps, training.seed) == (1.0, 500, 6, 5)
    assert training.files == ()


def test_old_files_are_replaced_together(tmp_path):
    for name in FILES:
        (tmp_path / name).write_text("old")
    (tmp_path / "mine.txt").write_text("stays")
    quiet(out=str(tmp_path), epochs=1)
    found = contents(tmp_path)
    assert sorted(found) == sorted([*FILES, "mine.txt"])
    assert found.pop("mine.txt") == b"stays"
    assert b"old" not in found.values()


@pytest.mark.parametrize("writer", ["save_weights", "draw_curves", "draw_misread", "_summary"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "stop"])
def test_a_writer_that_fails_leaves_the_old_files(tmp_path, monkeypatch, writer, error):
    for name in FILES:
        (tmp_path / name).write_text(f"old {name}")
    before = contents(tmp_path)

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(module, writer, fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        quiet(out=tmp_path, epochs=1)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_training_leaves_the_old_files(tmp_path, monkeypatch, error):
    (tmp_path / "weights.npz").write_text("old")

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(module, "fit", fail)
    with pytest.raises(error):
        quiet(out=tmp_path)
    assert contents(tmp_path) == {"weights.npz": b"old"}


def test_a_training_that_diverges_leaves_the_old_files(tmp_path):
    (tmp_path / "weights.npz").write_text("old")
    with pytest.raises(ExpressionError, match=r"the training diverged: .*--learning-rate"):
        quiet(out=tmp_path, learning_rate=1e6)
    assert contents(tmp_path) == {"weights.npz": b"old"}


REFUSED = {
    "optimizer": ["SGD", "", None],
    "epochs": [0, -1, 2.0, "3", True, None],
    "batch_size": [0, 1439, 1.5],
    "hidden": [(), (0,), (8, -1), "64", 64, (1.5,), (True,), (10**9,), None],
    "learning_rate": [0, -0.1, float("nan"), float("inf"), "0.1", True, 1j],
    "seed": [-1, 0.5, "0", None],
    "lang": ["de", "EN", None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_a_wrong_option_is_refused_by_name_before_anything_happens(tmp_path, name, value):
    folder = tmp_path / "new"
    console, file = captured()
    with pytest.raises(ExpressionError) as caught:
        train_digits(console=console, out=folder, **(QUICK | {name: value}))
    message = str(caught.value)
    assert message.startswith(f"{name} (--{name.replace('_', '-')}) is {value!r}; accepted: ")
    assert issubclass(caught.type, ChainruleError)
    assert issubclass(caught.type, ValueError)
    assert not file.getvalue()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_is_refused_before_the_training(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    console, file = captured()
    with pytest.raises(OutputError, match="cannot write to the output folder"):
        train_digits(console=console, out=tmp_path / name, **QUICK)
    assert not file.getvalue()
    assert contents(tmp_path) == {"file": b"in the way"}


@pytest.mark.parametrize(
    ("missing", "package"), [("sklearn.datasets", "scikit-learn"), ("matplotlib.figure", "matplotlib")]
)
def test_a_missing_package_is_named_before_the_training(tmp_path, monkeypatch, missing, package):
    monkeypatch.setitem(sys.modules, missing, None)
    console, file = captured()
    with pytest.raises(MissingDependencyError, match=rf'{package}.*pip install "chainrule\[learn\]"'):
        train_digits(console=console, out=tmp_path / "new", **QUICK)
    assert not file.getvalue()
    assert not (tmp_path / "new").exists()


def test_without_files_matplotlib_is_not_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert quiet(epochs=1).files == ()


def test_the_graph_of_the_loss_has_the_names_of_the_network(digits):
    network = initialize((64, 4, 10), np.random.default_rng(0))
    graph = cr.trace(lambda n: cross_entropy(n, digits.train_x[:3], digits.train_labels[:3]), network)
    assert graph.node("logits").shape == (3, 10)
    assert str(graph.node("normalizer").origin).startswith("network.py:")
