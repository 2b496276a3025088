"""Pictures of a training: how it went, and what it still gets wrong.

Matplotlib is used through its objects only, so that neither a display nor the caller's own figures are touched.
The same training gives the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import MissingDependencyError
from chainrule.files import replacing
from chainrule.learn.digits import SIDE, Digits
from chainrule.learn.network import Array
from chainrule.learn.training import Epoch

__all__ = ["draw_curves", "draw_misread", "require_matplotlib"]

BLUE, ORANGE, INK, FAINT = "#0072b2", "#d55e00", "#222222", "#d9d9d9"
"""Two colors that color-blind readers tell apart, and two grays.

References:
    Okabe & Ito, Color universal design (2008), https://jfly.uni-koeln.de/color/
"""

SHOWN = 24
"""The most misread digits in one picture."""

TEXT = {
    "en": {
        "loss": "Loss per epoch",
        "loss unit": "cross-entropy (nats)",
        "accuracy": "Images read correctly",
        "epoch": "epoch",
        "train": "training",
        "test": "held out",
        "misread": "{count} of {total} held-out digits misread (written → read)",
        "some": "{count} of {total} held-out digits misread, {shown} of them here (written → read)",
    },
    "zh": {
        "loss": "每轮的损失",
        "loss unit": "交叉熵（奈特）",
        "accuracy": "正确识别的图像",
        "epoch": "轮",
        "train": "训练集",
        "test": "测试集",
        "misread": "{total} 个测试数字中误认 {count} 个（真实 → 识别）",
        "some": "{total} 个测试数字中误认 {count} 个，此处显示 {shown} 个（真实 → 识别）",
    },
}

CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
)


def draw_curves(history: Sequence[Epoch], path: str | PathLike[str], *, lang: str = "en") -> None:
    """Draw loss and accuracy over the epochs into a PNG file, whole or not at all.

    Without a Chinese font on this computer, ``lang="zh"`` labels the picture in English.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    epochs = [epoch.number for epoch in history]
    style: dict[str, Any] = {"linewidth": 2, "marker": "o" if len(history) == 1 else None}

    def paint(figure: Any, text: dict[str, str]) -> None:
        from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator  # noqa: PLC0415 - optional

        left, right = figure.subplots(1, 2)
        left.plot(epochs, [epoch.loss for epoch in history], color=BLUE, **style)
        left.set_yscale("log")
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
        left.yaxis.set_minor_locator(NullLocator())
        left.set_title(text["loss"], loc="left", weight="bold")
        left.set_ylabel(text["loss unit"])
        for name, color, dashes in (("train", ORANGE, (0, (4, 1.5))), ("test", BLUE, "solid")):
            percent = [100 * getattr(epoch, f"{name}_accuracy") for epoch in history]
            label = f"{text[name]}: {percent[-1]:.1f}%"
            right.plot(epochs, percent, color=color, linestyle=dashes, label=label, **style)
        right.set_title(text["accuracy"], loc="left", weight="bold")
        right.yaxis.set_major_formatter(lambda value, position: f"{value:g}%")
        right.margins(y=0.02)
        right.legend(loc="lower right", frameon=False)
        for axes in (left, right):
            axes.set_xlabel(text["epoch"])
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            if len(epochs) == 1:
                axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
            axes.grid(color=FAINT, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)

    _draw(path, (9, 3.8), lang, paint)


def draw_misread(digits: Digits, answers: Array, path: str | PathLike[str], *, lang: str = "en") -> None:
    """Draw the held-out images that were misread into a PNG file, whole or not at all.

    Args:
        digits: Where the held-out images come from.
        answers: The digit (n,) that was read in each of them.
        path: The file.
        lang: "en" or "zh"; without a Chinese font on this computer the picture is in English.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    wrong = np.flatnonzero(answers != digits.test_labels)
    shown = wrong[:SHOWN]
    columns = 6
    rows = max(1, math.ceil(len(shown) / columns))

    def paint(figure: Any, text: dict[str, str]) -> None:
        title = text["misread" if len(shown) == len(wrong) else "some"]
        title = title.format(count=len(wrong), total=len(answers), shown=len(shown))
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        for position, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
            if position >= len(shown):
                axes.set_axis_off()
                continue
            index = shown[position]
            axes.imshow(digits.test_x[index].reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(f"{digits.test_labels[index]} → {answers[index]}")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color(FAINT)

    _draw(path, (1.35 * columns, 1.62 * rows + 0.5), lang, paint)


def require_matplotlib() -> None:
    """Raise a `MissingDependencyError` that says what to install, unless matplotlib is there."""
    try:
        import matplotlib.figure  # noqa: F401, PLC0415 - optional
    except ImportError as error:
        raise MissingDependencyError(
            'the pictures are drawn by matplotlib, which is not installed: pip install "chainrule[learn]"'
        ) from error


def _draw(
    path: str | PathLike[str], size: tuple[float, float], lang: str, paint: Callable[[Any, dict[str, str]], None]
) -> None:
    """Let ``paint`` fill a figure of the given size (inches) and write it to a PNG file."""
    require_matplotlib()
    import matplotlib  # noqa: PLC0415 - optional
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.font_manager import fontManager  # noqa: PLC0415

    installed = {font.name for font in fontManager.ttflist}
    chinese = [name for name in CHINESE_FONTS if name in installed]
    text = TEXT["zh" if lang == "zh" and chinese else "en"]
    families = chinese[:1] if text is TEXT["zh"] else []
    ink: dict[Any, Any] = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    )
    with matplotlib.rc_context({"font.family": [*families, "DejaVu Sans"], "font.size": 11, **ink}):
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        paint(figure, text)
        with replacing(Path(path)) as (temporary,):
            figure.savefig(temporary, format="png", metadata={"Software": None})
