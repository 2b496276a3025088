"""``chainrule train digits`` as a user types it."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from chainrule import cli
from chainrule.learn import load_weights

FILES = ["curves.png", "history.json", "misread.png", "weights.npz"]


def command(*args, **environment):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "chainrule.cli", "train", "digits", *args],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "80"} | environment,
    )


@pytest.fixture
def main(monkeypatch, capsys):
    """Run the command in this process; return its exit status, output and error output."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["chainrule", "train", "digits", *args])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return run


def test_a_short_training_writes_its_files(tmp_path):
    found = command("--epochs", "2", "--hidden", "16,8", "--optimizer", "adam", "--out", str(tmp_path / "new" / "out"))
    assert (found.returncode, found.stderr) == (0, "")
    assert "64 → 16 → 8 → 10" in found.stdout
    assert "adam: learning rate 0.005" in found.stdout
    assert "\x1b" not in found.stdout  # no colors and no bar in a pipe
    assert sorted(os.listdir(tmp_path / "new" / "out")) == FILES
    assert len(load_weights(tmp_path / "new" / "out" / "weights.npz", sizes=(64, 16, 8, 10))) == 3


def test_a_wrong_input_is_one_message_and_status_2(tmp_path):
    (tmp_path / "file").write_text("in the way")
    found = command("--out", str(tmp_path / "file" / "below"))
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("error: cannot write to the output folder")
    assert found.stderr.count("\n") == 1
    found = command("--out", str(tmp_path / "file" / "below"), "--debug")
    assert found.returncode == 2
    assert "Traceback (most recent call last)" in found.stderr
    assert found.stderr.splitlines()[-1].startswith("error: cannot write to the output folder")


def test_chinese(main):
    status, out, err = main("--epochs", "1", "--hidden", "4", "--lang", "zh")
    assert (status, err) == (0, "")
    assert "64 → 4 → 10，层间为 relu" in out


def test_the_same_seed_gives_the_same_weights(main, tmp_path):
    for name in ("one", "two"):
        assert main("--epochs", "1", "--hidden", "4", "--seed", "8", "--out", str(tmp_path / name))[0] == 0
    one, two = ((tmp_path / name / "weights.npz").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [
        ("--optimizer", "rmsprop", "sgd or momentum or adam"),
        ("--epochs", "0", "a whole number from 1 up"),
        ("--batch-size", "0", "a whole number from 1 up"),
        ("--batch-size", "5000", "a whole number from 1 to 1438, the number of training images"),
        ("--hidden", "64;32", "whole numbers with commas between, as 128,64"),
        ("--hidden", "", "whole numbers with commas between, as 128,64"),
        ("--hidden", "64,0", "the width of one or more hidden layers, each from 1 up"),
        ("--hidden", "1000000", "widths that make at most 20,000,000 parameters"),
        ("--learning-rate", "-1", "a positive number"),
        ("--learning-rate", "nan", "a positive number"),
        ("--seed", "-1", "a whole number from 0 up"),
        ("--lang", "fr", "en or zh"),
    ],
)
def test_a_value_that_is_not_accepted_names_the_option_and_what_is(main, option, value, accepted):
    status, out, err = main(f"{option}={value}")
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert f"({option}) is " in err
    assert f"accepted: {accepted}" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value"), [("--epochs", "many"), ("--seed", "1.5"), ("--learning-rate", "fast"), ("--epoch", "3")]
)
def test_what_cannot_be_read_at_all_is_refused_with_status_2(option, value):
    found = CliRunner().invoke(cli.app, ["train", "digits", option, value])
    assert found.exit_code == 2
    assert option in found.output
    assert "Traceback" not in found.output


def test_a_diverging_training(main, tmp_path):
    status, _, err = main("--learning-rate", "1e9", "--out", str(tmp_path))
    assert status == 2
    assert err.startswith("error: the training diverged: the loss is ")
    assert "--learning-rate" in err
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("missing", "package"), [("sklearn.datasets", "scikit-learn"), ("matplotlib.figure", "matplotlib")]
)
def test_a_missing_package(main, monkeypatch, tmp_path, missing, package):
    monkeypatch.setitem(sys.modules, missing, None)
    status, out, err = main("--out", str(tmp_path))
    assert (status, out) == (2, "")
    assert package in err
    assert 'pip install "chainrule[learn]"' in err
    assert err.count("\n") == 1


def test_help_names_every_option():
    found = CliRunner().invoke(cli.app, ["train", "digits", "--help"], env={"COLUMNS": "100"})
    assert found.exit_code == 0
    for option in ("optimizer", "epochs", "batch-size", "hidden", "learning-rate", "seed", "out", "lang", "debug"):
        assert f"--{option}" in found.output
