"""The public surface: what `import chainrule` offers, documented, and nothing by accident."""

from __future__ import annotations

import inspect
import types

import pytest

import chainrule
import chainrule.tracing.array


def test_names_are_sorted_and_exist() -> None:
    assert chainrule.__all__ == sorted(chainrule.__all__)
    for name in chainrule.__all__:
        assert not isinstance(getattr(chainrule, name), types.ModuleType), name


def test_nothing_else_is_public() -> None:
    public = {
        name
        for name, value in vars(chainrule).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(chainrule.__all__)


@pytest.mark.parametrize("name", chainrule.__all__)
def test_every_name_is_documented(name: str) -> None:
    value = getattr(chainrule, name)
    text = inspect.getdoc(value)
    assert text
    assert text.splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("name", [name for name in chainrule.__all__ if inspect.isfunction(getattr(chainrule, name))])
def test_every_function_shows_an_example(name: str) -> None:
    assert ">>>" in (inspect.getdoc(getattr(chainrule, name)) or "")


def test_functions_and_packages_do_not_share_names() -> None:
    assert chainrule.tracing.array.TracedArray
    assert callable(chainrule.trace)
