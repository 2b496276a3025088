"""The functions of the benchmarks: all libraries compute the same, on small arguments. Nothing is timed here."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import report
from benchmarks.cases import CASES
from benchmarks.libraries import load
from benchmarks.measure import Disagreement, difference, interleaved, results

DISTINCT = {case.name.rpartition("-")[0] or case.name: case for case in CASES}
"""One case per kind: sizes do not matter here, since all use the same small arguments."""
LONG = {"oscillators", "unrolled"}
"""Kinds whose length is part of the function."""


@pytest.mark.parametrize("kind", [kind for kind in DISTINCT if kind not in LONG])
def test_libraries_agree(kind, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    case = DISTINCT[kind]
    args = case.arguments(tiny=True)
    expected = results(case, load("chainrule"), args)
    assert expected
    assert all(np.all(np.isfinite(each)) for each in expected)
    assert max(np.max(np.abs(each)) for each in expected) > 0
    others = [load(name) for name in case.libraries if name in ("autograd", "numpy", "casadi")]
    others = [library for library in others if library is not None]
    if not others:
        pytest.skip("no other library is installed")
    for library in others:
        assert difference(case, results(case, library, args), expected) <= case.tolerance, library.name


@pytest.mark.parametrize("name", ["bump-double", "lstm-dense-16-100", "roe-1000", "ode-100"])
def test_jax_agrees_in_all_of_its_ways(name, monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    (case,) = [each for each in CASES if each.name == name]
    args = case.arguments(tiny=True)
    expected = results(case, load("chainrule"), args)
    for way in [way for way in case.libraries if way.startswith("jax")]:
        assert difference(case, results(case, load(way), args), expected) <= case.tolerance, way


def test_names_are_distinct_and_every_case_runs_chainrule_first():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert all(case.libraries[0] == "chainrule" for case in CASES)


def test_a_wrong_result_is_found():
    (case,) = [each for each in CASES if each.name == "bump-small"]
    right = [np.array([1.0, 2.0])]
    assert difference(case, right, right) == 0
    assert difference(case, [np.array([1.0, 2.1])], right) > case.tolerance
    assert not difference(case, [np.array([1.0, np.nan])], right) <= case.tolerance
    with pytest.raises(Disagreement, match="shapes"):
        difference(case, [np.array([1.0])], right)
    with pytest.raises(Disagreement, match="results"):
        difference(case, [*right, *right], right)


def test_functions_take_turns():
    turns = []
    found = interleaved({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=2, total=1e-6)
    assert found["a"]["calls"] >= 2
    assert found["a"]["low"] <= found["a"]["median"] <= found["a"]["high"]
    changes = [now for before, now in itertools.pairwise(turns) if now != before]
    assert changes.count("b") >= 3  # once to find the number of repetitions, then once a round


def test_page_and_verdicts(tmp_path):
    times = {
        "chainrule": {"median": 2e-6, "low": 1.9e-6, "high": 2.1e-6, "calls": 9},
        "chainrule function": {"median": 1e-6, "low": 1e-6, "high": 1e-6, "calls": 9},
        "jax": {"median": 7e-6, "low": 7e-6, "high": 7e-6, "calls": 9},
        "jax scan": {"median": 3e-6, "low": 3e-6, "high": 3e-6, "calls": 9},
    }
    case = {
        "name": "sum", "work": "a sum", "kind": "gradient", "times": times, "target": ("jax", 2.0), "limit": 3e-6,
        "first_target": 10.0, "first_limit": None,
        "first": {"chainrule": {"first": 0.1}, "jax": {"first": 2.0}, "casadi": {"failed": "more than 120 s"}},
    }  # fmt: skip
    assert [met for _, met in report.verdicts(case)] == [False, True, True]  # the better of JAX's ways counts
    machine = {"processor": "P", "threads": 2, "system": "S", "python": "3", "date": "D"}
    record = {"machine": machine, "libraries": {"chainrule": "1"}, "quick": False, "cases": [case]}
    page = report.page(record)
    assert "| a sum (`sum`) | 2 µs ±5 % | 7 µs ±0 % | 3 µs ±0 % |" in page
    assert "| `sum` | 1 µs ±0 % | 2.00 |" in page
    assert "more than 120 s" in page
    pytest.importorskip("matplotlib")
    report.draw(record, tmp_path / "ratios.png")
    assert (tmp_path / "ratios.png").stat().st_size > 1000


def test_jit_of_a_derivative_of_an_object_with_attributes_of_the_same_names(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")

    class Model:
        def __init__(self):
            self.f = np.sin
            self.families = None

        def __call__(self, x):
            return np.sum(self.f(x))

    x = np.array([0.5, 1.0])
    np.testing.assert_allclose(cr.jit(cr.grad(Model()))(x), np.cos(x))
