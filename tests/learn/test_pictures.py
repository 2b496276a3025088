"""The pictures: files of the promised kind, the same at every drawing, and in both languages."""

import sys

import matplotlib
import matplotlib.figure
import matplotlib.image
import matplotlib.pyplot
import numpy as np
import pytest

from chainrule.errors import MissingDependencyError, OutputError
from chainrule.learn import Epoch, draw_curves, draw_misread, pictures

HISTORY = [Epoch(k, 2.0 / k, 1 - 0.5 / k, 0.98 - 0.5 / k, float(k)) for k in range(1, 6)]


@pytest.fixture
def answers(digits):
    """What a reader says who gets every fortieth image wrong."""
    found = digits.test_labels.copy()
    found[::40] = (found[::40] + 1) % 10
    return found


def texts(figure):
    """All words in a figure."""
    words = [figure.get_suptitle()]
    for axes in figure.axes:
        words += [axes.get_title(), axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        words += [text.get_text() for text in axes.get_legend().get_texts()] if axes.get_legend() else []
    return [word for word in words if word]


@pytest.fixture
def painted(monkeypatch):
    """Figures as they are when they are saved."""
    found = []
    save = matplotlib.figure.Figure.savefig

    def savefig(self, *args, **kwargs):
        found.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
    return found


def test_curves_show_the_history(tmp_path, painted):
    draw_curves(HISTORY, tmp_path / "curves.png")
    ((loss, accuracy),) = [figure.axes for figure in painted]
    (line,) = loss.lines
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4, 5])
    np.testing.assert_allclose(line.get_ydata(), [epoch.loss for epoch in HISTORY])
    drawn = {line.get_label(): line.get_ydata() for line in accuracy.lines}
    assert list(drawn) == ["training: 90.0%", "held out: 88.0%"]
    np.testing.assert_allclose(drawn["training: 90.0%"], [100 * epoch.train_accuracy for epoch in HISTORY])
    np.testing.assert_allclose(drawn["held out: 88.0%"], [100 * epoch.test_accuracy for epoch in HISTORY])
    assert texts(painted[0])[:3] == ["Loss per epoch", "epoch", "cross-entropy (nats)"]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_ticks_are_whole_epochs_and_plain_numbers(tmp_path, painted, count):
    draw_curves(HISTORY[:count], tmp_path / "curves.png")
    for axes in painted[0].axes:
        assert all(tick == round(tick) for tick in axes.get_xticks())
    loss = painted[0].axes[0]
    low, high = loss.get_ylim()
    labels = [
        label.get_text() for label, tick in zip(loss.get_yticklabels(), loss.get_yticks(), strict=True)
        if low <= tick <= high
    ]  # fmt: skip
    assert labels
    assert all(f"{float(label):g}" == label for label in labels)
    assert not loss.yaxis.get_minorticklocs().size


def test_misread_shows_each_wrong_image_with_both_digits(tmp_path, painted, digits, answers):
    draw_misread(digits, answers, tmp_path / "misread.png")
    wrong = np.flatnonzero(answers != digits.test_labels)
    assert texts(painted[0])[0] == "9 of 359 held-out digits misread (written → read)"
    shown = [axes for axes in painted[0].axes if axes.images]
    for axes, index in zip(shown, wrong, strict=True):
        assert axes.get_title() == f"{digits.test_labels[index]} → {answers[index]}"
        np.testing.assert_array_equal(np.ravel(axes.images[0].get_array()), digits.test_x[index])


def test_misread_stops_at_a_picture_full_and_says_so(tmp_path, painted, digits):
    draw_misread(digits, (digits.test_labels + 1) % 10, tmp_path / "misread.png")
    assert texts(painted[0])[0] == "359 of 359 held-out digits misread, 24 of them here (written → read)"
    assert len([axes for axes in painted[0].axes if axes.images]) == 24


def test_nothing_misread(tmp_path, painted, digits):
    draw_misread(digits, digits.test_labels, tmp_path / "misread.png")
    assert texts(painted[0]) == ["0 of 359 held-out digits misread (written → read)"]


def draw(kind, path, digits, answers, **options):
    if kind == "curves":
        draw_curves(HISTORY, path, **options)
    else:
        draw_misread(digits, answers, path, **options)


@pytest.mark.parametrize("kind", ["curves", "misread"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_same_picture_is_the_same_png_file(tmp_path, digits, answers, kind, lang):
    for name in ("one.png", "two.png"):
        draw(kind, tmp_path / name, digits, answers, lang=lang)
    one = (tmp_path / "one.png").read_bytes()
    assert one == (tmp_path / "two.png").read_bytes()
    assert one.startswith(b"\x89PNG\r\n\x1a\n")
    image = matplotlib.image.imread(tmp_path / "one.png")
    assert image.shape[1] > 1000
    assert len(np.unique(image.reshape(-1, image.shape[-1]), axis=0)) > 10


def test_chinese_words_where_there_is_a_font_for_them(tmp_path, painted, monkeypatch, digits, answers):
    monkeypatch.setattr(pictures, "CHINESE_FONTS", ("DejaVu Sans Mono",))  # stands for a font not every computer has
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda self, *args, **kwargs: painted.append(self))
    draw_curves(HISTORY, tmp_path / "curves.png", lang="zh")
    draw_misread(digits, answers, tmp_path / "misread.png", lang="zh")
    assert texts(painted[0])[:3] == ["每轮的损失", "轮", "交叉熵（奈特）"]
    assert texts(painted[1])[0] == "359 个测试数字中误认 9 个（真实 → 识别）"


def test_english_words_where_there_is_no_chinese_font(tmp_path, painted, monkeypatch):
    monkeypatch.setattr(pictures, "CHINESE_FONTS", ("No Such Font",))
    draw_curves(HISTORY, tmp_path / "curves.png", lang="zh")
    assert "Loss per epoch" in texts(painted[0])


def test_both_languages_have_the_same_entries():
    assert pictures.TEXT["en"].keys() == pictures.TEXT["zh"].keys()


def test_the_settings_and_figures_of_the_caller_stay(tmp_path):
    before = dict(matplotlib.rcParams)
    draw_curves(HISTORY, tmp_path / "curves.png")
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.pyplot.get_fignums() == []


@pytest.mark.parametrize("kind", ["curves", "misread"])
def test_a_place_that_cannot_be_written(tmp_path, digits, answers, kind):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*picture\.png"):
        draw(kind, tmp_path / "file" / "picture.png", digits, answers)


@pytest.mark.parametrize("kind", ["curves", "misread"])
def test_without_matplotlib_the_message_says_what_to_install(tmp_path, monkeypatch, digits, answers, kind):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r'matplotlib.*pip install "chainrule\[learn\]"'):
        draw(kind, tmp_path / "picture.png", digits, answers)
    assert not list(tmp_path.iterdir())
