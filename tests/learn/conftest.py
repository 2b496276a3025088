"""What the tests of learning share: the images, and one short training with its files and its report."""

import io

import pytest
from rich.console import Console

from chainrule.learn import load_digits, train_digits

QUICK = {"epochs": 3, "hidden": (16,), "seed": 3}


def captured(width=80):
    """Return a console that keeps what is printed, and where it keeps it."""
    file = io.StringIO()
    return Console(file=file, width=width, highlight=False), file


@pytest.fixture(scope="session")
def digits():
    return load_digits()


@pytest.fixture(scope="session")
def lesson(tmp_path_factory):
    """A short training, the folder it wrote, and what it printed."""
    folder = tmp_path_factory.mktemp("lesson")
    console, file = captured()
    return train_digits(out=folder, console=console, **QUICK), folder, file.getvalue()
