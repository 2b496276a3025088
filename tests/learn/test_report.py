"""The report: the same numbers in both languages, within the width of the terminal."""

import io
import re

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from chainrule.learn import Epoch, Layer, initialize, train_digits
from chainrule.learn.checks import Durations, ForwardCost, GradientCheck
from chainrule.learn.report import TEXT, Report, _wrap
from chainrule.learn.training import Training

from .conftest import QUICK, captured

COST = ForwardCost(17226, 15, Durations(2.5e-4, 1e-4, 4.2e-3), Durations(1.25e-3, 1e-3, 1.5e-3))
CHECK = GradientCheck((3, 5), (0.1, 0.2), (0.1, 0.2), 3.4e-8)


def report(digits, lang="en", width=80, history=None, network=None, files=()):
    """Print everything about a training that never took place."""
    console, file = captured(width)
    network = network or initialize((64, 4, 10), np.random.default_rng(0))
    history = history or tuple(Epoch(k, 2.5 / k, 1 - 0.4 / k, 0.9 - 0.4 / k, 90.0 * k) for k in range(1, 31))
    printed = Report(console, lang)
    printed.plan(digits, (64, 4, 10), 17226, optimizer="adam", learning_rate=0.005, batch_size=32, epochs=30, seed=7)
    printed.gradient(CHECK, COST)
    with printed.progress(30, 10) as (on_step, on_epoch):
        on_step(0.5)
        on_epoch(history[0])
    printed.result(Training(network, history, 1350, "adam", 0.005, 32, 7, digits, CHECK, COST, files))
    return file.getvalue()


def test_the_report_holds_the_numbers_of_the_training(lesson):
    training, _, text = lesson
    flat = " ".join(text.split())
    right = round(training.test_accuracy * 359)
    assert "1,797 handwritten digits of 8 × 8 pixels: 1,438 to learn from, 359 held out" in flat
    assert "64 → 16 → 10, relu between the layers; 1,210 parameters" in flat
    assert "sgd: learning rate 0.3, falling to 0; batch size 32; epochs 3; seed 3" in flat
    assert f"largest relative error {training.check.error:.1e}" in flat
    assert f"{training.test_accuracy:.1%} of the held-out images read correctly ({right} of 359)" in flat
    for epoch in training.history:
        row = f"{epoch.number} {epoch.loss:.4f} {epoch.train_accuracy:.1%} {epoch.test_accuracy:.1%}"
        assert row in flat
    assert [line.split()[-1] for line in text.splitlines()[-4:]] == [str(path) for path in training.files]


def test_durations_have_three_digits_and_a_unit_that_fits(digits):
    flat = " ".join(report(digits).split())
    assert "1 pass of 1.25 ms (1 ms to 1.5 ms in 15 runs), the loss included" in flat
    assert (
        "17,226 passes, one per parameter; 15 of them took 250 µs each (100 µs to 4.2 ms), the loss not included, "
        "so all of them about 4.31 s: 3,445 times as long"
    ) in flat
    assert "45 min; 2 s per step (1,350 in all), evaluations included" in flat


def test_misread_pairs_are_counted_and_the_rest_summed(digits):
    always_three = [Layer(np.zeros((64, 10)), np.eye(10)[3])]
    text = report(digits, network=always_three)
    counts = [np.sum(digits.test_labels == digit) for digit in range(10)]
    pairs = dict(re.findall(r"(\d) → 3 \((\d+)×\)", text))
    assert {int(digit): int(count) for digit, count in pairs.items()} == {
        digit: count for digit, count in enumerate(counts) if digit != 3
    }
    shown = re.search(r"Misread +(.*?)\nTime", report(digits), re.DOTALL)[1]
    total = sum(int(count or 1) for count in re.findall(r"\d → \d(?: \((\d+)×\))?", " ".join(shown.split())))
    more = int(re.search(r"(\d+) more", shown)[1])
    right = int(re.search(r"\((\d+) of 359\)", " ".join(report(digits).split()))[1])
    assert total + more == 359 - right


def test_both_languages_say_the_same_numbers(digits):
    numbers = []
    for lang in TEXT:
        found = re.findall(r"\d[\d,.:]*(?:e-?\d+)?%?", report(digits, lang, 200).replace(",\n", "\n"))
        numbers.append(sorted(number.rstrip(".,:") for number in found))
    assert numbers[0] == numbers[1]
    assert len(numbers[0]) > 60


def test_both_languages_have_the_same_entries_and_fields():
    assert TEXT["en"].keys() == TEXT["zh"].keys()
    for name, text in TEXT["en"].items():
        assert sorted(re.findall(r"{.*?}", text)) == sorted(re.findall(r"{.*?}", TEXT["zh"][name]))


def test_the_chinese_report_has_no_english_words(digits):
    words = set(re.findall(r"[A-Za-z]+", report(digits, "zh")))
    assert words == {"adam", "relu", "e"}  # the e of 3.4e-08


@pytest.mark.parametrize("lang", TEXT)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_lines_fit_the_terminal_and_end_where_their_text_ends(digits, lang, width):
    lines = report(digits, lang, width).splitlines()
    assert max(map(cell_len, lines)) <= min(width, 80)
    assert lines == [line.rstrip() for line in lines]
    assert "\N{NO-BREAK SPACE}" not in "".join(lines)


def test_paths_are_printed_in_one_piece(tmp_path, digits):
    path = tmp_path / ("long name " * 12)
    assert str(path) in report(digits, files=(path,)).splitlines()[-1]


def test_a_bar_moves_on_a_terminal_only(digits):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=60, highlight=False, color_system=None)
    epoch = Epoch(4, 0.1, 0.95, 0.934, 1.0)
    with Report(console, "en").progress(9, 100) as (on_step, on_epoch):
        on_step(0.1234)
        on_epoch(epoch)
    last = file.getvalue().split("\r")[-4:]
    assert any("epoch 4/9" in line and "loss 0.1234" in line and "held-out images 93.4%" in line for line in last)
    console, file = captured()
    with Report(console, "en").progress(9, 100) as (on_step, on_epoch):
        on_step(0.1234)
        on_epoch(epoch)
    assert file.getvalue() == "\nTraining\n"


def test_wrap_breaks_between_words_and_between_chinese_characters():
    assert _wrap("one two three", 7) == ["one two", "three"]
    assert _wrap("a much-too-long-word b", 6) == ["a", "much-too-long-word", "b"]
    assert _wrap("", 9) == [""]
    assert _wrap("一二三四五", 6) == ["一二三", "四五"]
    assert _wrap("一二，三", 4) == ["一", "二，", "三"]  # no line begins with a comma
    assert _wrap("一（二）三", 6) == ["一", "（二）", "三"]
    assert _wrap("5\N{NO-BREAK SPACE}ms is long", 6) == ["5 ms", "is", "long"]
    assert _wrap("每遍 5\N{NO-BREAK SPACE}毫秒，含", 8) == ["每遍", "5 毫秒，", "含"]


@pytest.mark.parametrize("lang", TEXT)
def test_nothing_is_lost_by_wrapping(lang):
    for text in TEXT[lang].values():
        assert "".join(_wrap(text, 20)).replace(" ", "") == text.replace(" ", "")


def test_a_report_in_chinese_from_a_training(digits):
    console, file = captured()
    train_digits(console=console, lang="zh", **(QUICK | {"epochs": 1}))
    assert "1,797 个手写数字" in file.getvalue()
