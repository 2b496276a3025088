"""What `chainrule explain` is given: values as text, and a function in a file."""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib.util
import inspect
import keyword
import os
import sys
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError, ExpressionError
from chainrule.explanation.expression import constant

__all__ = ["differentiated", "load_function", "parse_values", "user_code"]

_LONGEST = 1_000_000  # characters of a value


def parse_values(words: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``name=value`` words: numbers, arrays from nested lists, ``@file.npy``, or other literals.

    Raises:
        ExpressionError: a word has another form; the message says which.
    """
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = unicodedata.normalize("NFKC", name.strip())
        if not equals:
            what = "is no option" if word.startswith("-") else "has no value"
            raise ExpressionError(f"{word!r} {what}; values are given as name=value, as in a=2 or x=[1,2,3]")
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ExpressionError(f"{name!r} cannot be the name of a variable (in {word!r})")
        if name in values:
            raise ExpressionError(f"{name} is given twice")
        values[name] = _value(name, text.strip())
    return values


def _value(name: str, text: str) -> Any:
    if text.startswith("@"):
        return _load_array(name, text[1:])
    if len(text) > _LONGEST:
        raise ExpressionError(
            f"{name}: the value has {len(text):,} characters; save it with np.save and give @file.npy"
        )
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    try:
        return _arrays(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        return constant(text)  # such as pi/4
    except ChainruleError:
        raise ExpressionError(
            f"{name}={text if len(text) <= 40 else text[:39] + '…'} is no value; accepted are a number, a list such as "
            "[1,2,3] or [[1,2],[3,4]], @file.npy, or a string in quotes of its own"
        ) from None


def _arrays(value: Any) -> Any:
    """Turn lists of numbers into arrays, also inside tuples and dicts."""
    if isinstance(value, list):
        try:
            array = np.array(value)
        except ValueError:
            raise ExpressionError(f"the rows of {str(value)[:40]} are of different lengths") from None
        return array if array.dtype.kind in "biufc" else [_arrays(part) for part in value]
    if isinstance(value, tuple):
        return tuple(_arrays(part) for part in value)
    return {key: _arrays(part) for key, part in value.items()} if isinstance(value, dict) else value


def _load_array(name: str, file: str) -> Any:
    try:
        found = np.load(file, allow_pickle=False)
    except OSError as error:
        raise ExpressionError(f"{name}: {file} cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise ExpressionError(f"{name}: {file} holds no plain array: {error}; write it with np.save") from None
    if not isinstance(found, np.ndarray):
        found.close()
        raise ExpressionError(f"{name}: {file} holds several arrays; write one with np.save, as .npy")
    return found[()] if not found.ndim else found


def load_function(place: str) -> Callable[..., Any]:
    """Return the function at ``file.py:name``; the file is imported, without leaving bytecode behind.

    Raises:
        ExpressionError: there is no such file or function, or the file cannot be imported.
    """
    file, colon, name = place.rpartition(":")
    if not colon or not name.isidentifier():
        file, name = place, ""
    path = Path(file)
    if not path.is_file():
        raise ExpressionError(f"there is no file {file!r}; --file takes file.py:function, as in model.py:loss")
    module = _import(path)
    functions = [
        key for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not key.startswith("_")
    ]  # fmt: skip
    there = f"there {'is' if len(functions) == 1 else 'are'} {', '.join(functions) or 'none'}"
    if not name:
        raise ExpressionError(f"--file {place}: which function? Write {file}:name; {there}")
    found = getattr(module, name, None)
    if found is None:
        close = difflib.get_close_matches(name, functions, n=1)
        raise ExpressionError(
            f"{path.name} has no function {name!r}; {f'did you mean {close[0]}?' if close else there}"
        )
    if not callable(found):
        raise ExpressionError(f"{name} in {path.name} is no function, but {type(found).__name__}; {there}")
    return found


def _import(path: Path) -> ModuleType:
    name = f"_chainrule_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ExpressionError(f"{path} is no Python file; --file takes file.py:function, as in model.py:loss")
    module = importlib.util.module_from_spec(spec)
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.modules[name] = module  # where dataclasses look for it
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with user_code(path, f"{path.name} cannot be imported"):
            spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(path.resolve().parent))
    return module


@contextlib.contextmanager
def user_code(path: Path | None, what: str) -> Iterator[None]:
    """Turn an exception of the user's own code into one message, with file and line; what it prints goes to stderr."""
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the report itself says what is not finite
            yield
    except (ChainruleError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if not isinstance(error, Exception | SystemExit):
            raise
        where = ""
        if isinstance(error, SyntaxError):
            where = f", at {os.path.basename(error.filename or '')}:{error.lineno}"
            error = type(error)(error.msg)
        else:
            where = _place(error, path)
        message = str(error)
        raise ExpressionError(
            f"{what}: {type(error).__name__}{f': {message}' if message else ''}{'' if where in message else where}"
        ) from error


def _place(error: BaseException, path: Path | None) -> str:
    """Return the innermost line of the user's own file on the way to an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    own = str(path.resolve()) if path else ""
    lines = [frame for frame in frames if frame.filename == own]
    return f", at {os.path.basename(own)}:{lines[-1].lineno}" if lines else ""


def differentiated(
    f: Callable[..., Any], values: Mapping[str, Any], wrt: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the values as f gets them, and the names of those to differentiate with respect to.

    Without `wrt` these are all numbers and numeric arrays, except where the parameter is annotated, or has a default,
    that is a whole number: such a parameter counts something. Whole numbers among them become floating-point ones.
    """
    passed = dict(values)
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    if wrt is not None:
        chosen = [name.strip() for name in wrt.split(",")]
    else:
        chosen = [name for name, value in values.items() if _is_real(value) and not _counts(parameters.get(name))]
    for name in chosen:
        value = passed.get(name)
        if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
            passed[name] = value.astype(float)
    if not chosen:
        raise ExpressionError(
            "there is nothing to differentiate with respect to: no value is a number, or all of them belong to "
            "parameters that count; name some with --wrt"
        )
    return passed, chosen


def _is_real(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return bool(value) and all(map(_is_real, value))
    if isinstance(value, dict):
        return bool(value) and all(map(_is_real, value.values()))
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "iufc"
    return isinstance(value, int | float | complex) and not isinstance(value, bool)


def _counts(parameter: inspect.Parameter | None) -> bool:
    """Whether a parameter takes a whole number."""
    if parameter is None:
        return False
    return parameter.annotation in (int, "int", bool, "bool") or isinstance(parameter.default, int)
