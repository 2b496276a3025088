"""The report as text: what stands in it, how wide it is, in both languages and alphabets."""

import io
import re

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

import chainrule as cr
from chainrule.explanation.words import TEXT

ARTICLE = "(a+b)*(b+1)"
NINE = "y = sin(x) + x**2 + 3*x; z = exp(y) + y**2 + 2*y"


def stages(x, n):
    for _ in range(n):
        a = 0.9 * x
        b = 0.06 * x
        c = 0.05 * x
        x = a + b + c
    return x


def network(weights, bias, x):
    hidden_layer_values = np.tanh(weights @ x + bias)
    return np.sum(hidden_layer_values**2)


def many(*xs):
    total = 0.0
    for x in xs:
        total = total + x * x
    return total


REPORTS = {
    "article": lambda **options: cr.explain(ARTICLE, a=2, b=1, **options),
    "nine": lambda **options: cr.explain(NINE, x=0.5, **options),
    "stages": lambda **options: cr.explain(stages, 1.0, n=100, **options),
    "network": lambda **options: cr.explain(network, np.ones((3, 2)), np.zeros(3), np.ones(2), **options),
    "many inputs": lambda **options: cr.explain(many, *np.arange(40.0), **options),
    "long names": lambda **options: cr.explain(
        "a_very_long_name_of_a_variable*another_long_name_of_a_variable + a_very_long_name_of_a_variable",
        a_very_long_name_of_a_variable=1.23456789, another_long_name_of_a_variable=2.3456789, **options),
}  # fmt: skip


def normalized(text):
    """Return the lines with runs of spaces as one."""
    return [re.sub(" +", " ", line.strip()) for line in text.splitlines()]


def test_the_article_in_words():
    text = str(cr.explain(ARTICLE, a=2, b=1))
    lines = normalized(text)
    assert lines[:3] == ["(a+b)*(b+1)", "at a = 2, b = 1", "e = 6 ∂e/∂a = 2 ∂e/∂b = 5"]
    for line in [
        "c = a + b = 3",
        "d = b + 1 = 2",
        "e = c * d = 6 result",
        "a → c ∂c/∂a = 1",
        "c → e ∂e/∂c = d = 2",
        "d → e ∂e/∂d = c = 3",
        "∂c/∂b = ∂c/∂b·∂b/∂b = 1·1 = 1",
        "∂d/∂a no path from a = 0",
        "∂e/∂a = ∂e/∂c·∂c/∂a = 2·1 = 2",
        "∂e/∂b = ∂e/∂c·∂c/∂b + ∂e/∂d·∂d/∂b = 2·1 + 3·1 = 5",
        "∂e/∂d = ∂e/∂e·∂e/∂d = 1·3 = 3",
        "b → c → e 1 · 2 = 2",
        "b → d → e 1 · 3 = 3",
        "sum = 5",
        "sum over paths 3 paths 3 1 0",
        "forward mode 2 passes 3 1 0",
        "reverse mode 1 pass 3 1 0",
        "Cheapest: 1 reverse pass instead of 2 forward passes.",
    ]:
        assert line in lines
    assert len(lines) <= 60


def test_nine_paths_in_words():
    lines = normalized(str(cr.explain(NINE, x=0.5)))
    assert "∂z/∂x 9 = 3^2 paths" in lines
    assert "∂z/∂x = (α + β + γ)(δ + ε + ζ) = 4.87758 · 15.7534 = 76.8384" in lines
    assert "instead of αδ + αε + αζ + βδ + βε + βζ + γδ + γε + γζ" in lines
    assert "9 products: 9 multiplications, 8 additions;" in lines
    assert "factored: 1 multiplication, 4 additions" in lines


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("mode", ["all", "forward", "reverse", "paths", "eliminate"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_no_line_is_wider_than_80_columns(name, mode, lang):
    report = REPORTS[name](mode=mode, lang=lang)
    for ascii_only in (False, True):
        text = report.text(ascii_only=ascii_only)
        assert max(cell_len(line) for line in text.splitlines()) <= 80
        assert not any(line != line.rstrip() for line in text.splitlines())
        assert len(text.splitlines()) < 170
        if ascii_only and lang == "en":
            assert text.isascii()


@pytest.mark.parametrize("name", ["article", "nine", "stages", "network"])
def test_chinese_has_the_same_numbers(name):
    def numbers(text):
        found = re.findall(r"(?<![\w.])-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?(?![\w.])", text)
        return sorted(number.rstrip(",") for number in found if number.rstrip(",") not in ("1", "-1", "9", "1.5"))

    english, chinese = REPORTS[name](), REPORTS[name](lang="zh")
    assert numbers(str(english)) == numbers(str(chinese))
    assert english.to_json() == chinese.to_json()
    for word in ("Values", "Edges", "mode", "pass", "path", "sum over", "multiplication", "more", "from "):
        assert word in str(english) or word == "more"
        assert word not in str(chinese)


def test_both_languages_have_the_same_texts():
    assert TEXT["en"].keys() == TEXT["zh"].keys()
    for key, english in TEXT["en"].items():
        chinese = TEXT["zh"][key]
        fields = [sorted(re.findall(r"{(\w+)}", str(text))) for text in (english, chinese)]
        assert fields[0] == fields[1], key


def test_modes_choose_the_parts():
    def heads(mode):
        text = str(cr.explain(ARTICLE, a=2, b=1, mode=mode))
        return [line.split("  ")[0] for line in text.splitlines()[1:] if line and not line.startswith(" ")]

    assert heads("all") == ["Values", "Edges", "Forward mode", "Reverse mode", "Paths", "Cost"]
    assert heads("forward") == ["Values", "Edges", "Forward mode", "Cost"]
    assert heads("reverse") == ["Values", "Edges", "Reverse mode", "Cost"]
    assert heads("paths") == ["Paths", "Cost"]
    assert heads("eliminate") == ["Edges", "Elimination", "Cost"]


def test_large_graphs_are_shortened():
    lines = normalized(str(cr.explain(stages, 1.0, n=100)))
    assert "… 487 more …" in lines  # of 501 values
    assert "… 686 more …" in lines  # of 700 edges
    assert any("3^100 paths (48 digits: 5153…2001)" in line for line in lines)
    many_lines = normalized(str(REPORTS["many inputs"]()))
    assert "… 37 more of 40 passes …" in many_lines
    assert "… 32 more pairs of an input and an output …" in many_lines


def test_every_path_shown_of_many_is_told_from_the_others():
    lines = [line for line in str(cr.explain(stages, 1.0, n=100, mode="paths")).splitlines() if "0.9 · 1 ·" in line]
    listed = [line.split("0.9 ·")[0] for line in lines if "→ … →" in line or line.strip().startswith("…")]
    assert len(listed) >= 20
    assert len(set(listed)) == len(listed)


def test_the_line_of_each_operation_is_shown():
    line = stages.__code__.co_firstlineno + 2
    assert f"a = 0.9 * x = 0.9 test_layout.py:{line}" in normalized(str(cr.explain(stages, 1.0, n=1)))


def test_names_are_printed_as_they_are():
    def f(x):
        return x["[bold]"] * 2

    report = cr.explain(f, {"[bold]": 2.0})
    console = Console(width=200, file=io.StringIO())
    console.print(report)
    assert "x['[bold]']" in console.file.getvalue()
