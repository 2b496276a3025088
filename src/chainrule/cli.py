"""The `chainrule` command."""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from chainrule.errors import ChainruleError, ExpressionError
from chainrule.explanation import Explanation, explain_call, parse
from chainrule.explanation.command import differentiated, load_function, parse_values, user_code
from chainrule.explanation.layout import lay_out, time_text, written_text
from chainrule.explanation.report import check_suffix
from chainrule.learn import train_digits

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
train = typer.Typer(help="Train a network by gradient descent.", no_args_is_help=True)
app.add_typer(train, name="train")

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Lang = Annotated[str, typer.Option("--lang", help="Language of the report: en or zh.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chainrule {importlib.metadata.version('chainrule')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Plain NumPy code as a computational graph that one can see, and its derivatives."""


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


@app.command("explain", context_settings={"ignore_unknown_options": True}, no_args_is_help=True)
def explain(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXPRESSION] [NAME=VALUE]...",
            help="A formula such as '(a+b)*(b+1)' (none with --file), then values: a=2, x=[1,2,3], x=@data.npy.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[str | None, typer.Option(help="A function instead of a formula, as model.py:loss.")] = None,
    wrt: Annotated[str | None, typer.Option(help="Differentiate with respect to these only, as a,b.")] = None,
    mode: Annotated[str, typer.Option(help="Parts: all, forward, reverse, paths or eliminate.")] = "all",
    paths: Annotated[int, typer.Option(help="Paths to list for each input and output.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write the report to a file too, .txt or .json.")] = None,
    lang: Lang = "en",
    debug: Debug = False,
) -> None:
    """Explain a derivative: every value, partial, sweep and path, and what each way to it costs.

    chainrule explain '(a+b)*(b+1)' a=2 b=1
    """
    if save is not None:
        check_suffix(save)
    report = _explained(list(words or ()), file, wrt, mode=mode, lang=lang, paths=paths)
    if as_json:
        text = report.to_json()
        typer.echo(text if _can_print(text) else json.dumps(json.loads(text), indent=1), nl=not text.endswith("\n"))
    else:
        _show(report)
    if save is not None:
        report.save(save)
        Console(stderr=True).print(Text(written_text(report, save)), soft_wrap=True)


def _explained(words: list[str], file: str | None, wrt: str | None, **options: Any) -> Explanation:
    known = ("--file", "--wrt", "--mode", "--paths", "--json", "--save", "--lang", "--debug", "--help")
    for word in words:
        if word.startswith("--") and word[2:3].isalpha():
            close = difflib.get_close_matches(word.partition("=")[0], known, n=1)
            raise ExpressionError(
                f"{word} is no option; {f'did you mean {close[0]}?' if close else 'there are ' + ', '.join(known)}"
            )
    if file is None:
        if not words:
            raise ExpressionError("an expression is needed, as in chainrule explain '(a+b)*(b+1)' a=2 b=1")
        expression = parse(words[0], tuple(values := parse_values(words[1:])))
        for name, value in values.items():
            if not isinstance(value, int | float | complex) and getattr(value, "dtype", None) is None:
                raise ExpressionError(f"{name} is {value!r}; an expression takes numbers and lists of numbers")
        passed, chosen = differentiated(expression, values, wrt)
        return explain_call(expression, (), passed, wrt=chosen, **options)
    function = load_function(file)
    passed, chosen = differentiated(function, parse_values(words), wrt)
    path, _, name = file.rpartition(":")
    with user_code(Path(path), name):
        return explain_call(function, (), passed, wrt=chosen, **options)


def _show(report: Explanation) -> None:
    """Print a report, in letters that the terminal has, and for a large graph how long a reverse sweep takes."""
    console = Console(highlight=False)
    printable = _can_print(report.text())
    if not printable:
        report = replace(report, lang="en")
    console.print(lay_out(report, ascii_only=not printable), soft_wrap=True)
    if len(report.nodes) > 100:
        start = time.perf_counter()
        sweeps = report.sweep_back()
        seconds = time.perf_counter() - start
        text = time_text(report, len(sweeps.steps), seconds)
        console.print(Text(text, "dim"), soft_wrap=True)


def _can_print(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


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
            traceback.print_exc()
        message = str(error)
    Console(stderr=True).print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
