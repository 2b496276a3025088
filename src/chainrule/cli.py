"""The `chainrule` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from chainrule.errors import ChainruleError, ExpressionError
from chainrule.learn import train_digits

app = typer.Typer(
    help="Plain NumPy code as a computational graph that one can see, and its derivatives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
train = typer.Typer(help="Train a network by gradient descent.", no_args_is_help=True)
app.add_typer(train, name="train")

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Lang = Annotated[str, typer.Option("--lang", help="Language of the report: en or zh.")]


@train.command("digits")
def digits(
    optimizer: Annotated[str, typer.Option(help="sgd, momentum or adam.")] = "sgd",
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 40,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 32,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers, as 128,64.")] = "128,64",
    learning_rate: Annotated[float | None, typer.Option(help="At the first step; the optimizer's own.")] = None,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for weights, pictures and history.")] = None,
    lang: Lang = "en",
    debug: Debug = False,
) -> None:
    """Train a multilayer perceptron to read real handwritten digits, and report on it."""
    train_digits(
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        hidden=_widths(hidden),
        learning_rate=learning_rate,
        seed=seed,
        out=out,
        lang=lang,
    )


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ExpressionError(
            f"hidden (--hidden) is {text!r}; accepted: whole numbers with commas between, as 128,64"
        ) from None


def main() -> None:
    """Run the command; a wrong input is one message on standard error and exit status 2."""
    try:
        app(prog_name="chainrule")
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone; Python would complain while it flushes
        sys.exit(0)
    except ChainruleError as error:
        if "--debug" in sys.argv:
            raise
        message = str(error)
    Console(stderr=True).print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
