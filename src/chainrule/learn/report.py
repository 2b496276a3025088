"""What a training says on the terminal: 80 columns, in English and Chinese."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from chainrule.learn.checks import Durations, ForwardCost, GradientCheck
from chainrule.learn.digits import SIDE, Digits
from chainrule.learn.training import Epoch, Training

__all__ = ["LANGUAGES", "Report"]

TEXT = {
    "en": {
        "data": "Data",
        "data of": "{total:,} handwritten digits of {side} × {side} pixels: {train:,} to learn from, {test:,} held out",
        "network": "Network",
        "network of": "{sizes}, relu between the layers; {parameters:,} parameters",
        "optimizer": "Optimizer",
        "optimizer of": "{name}: learning rate {rate:g}, falling to 0; batch size {batch:,}; "
        "epochs {epochs:,}; seed {seed}",
        "gradient": "The gradient of the loss at the first batch",
        "check": "Checked",
        "check of": "reverse mode against central differences at {count} random parameters: "
        "largest relative error {error:.1e}",
        "reverse": "Reverse mode",
        "reverse of": "1 pass of {median} ({low} to {high} in {measured} runs), the loss included",
        "forward": "Forward mode",
        "forward of": "{parameters:,} passes, one per parameter; {measured} of them took {median} each "
        "({low} to {high}), the loss not included, so all of them about {total}: {ratio:,.0f} times as long",
        "training": "Training",
        "epoch": "epoch",
        "loss": "loss",
        "train": "training images",
        "test": "held-out images",
        "time": "time",
        "result": "Result",
        "result of": "{test:.1%} of the held-out images read correctly ({right} of {total})",
        "speed": "Time",
        "speed of": "{seconds}; {step} per step ({steps:,} in all), evaluations included",
        "misread": "Misread",
        "none": "none",
        "more": "{count} more",
        "written": "Written",
        "µs": "µs",
        "ms": "ms",
        "s": "s",
        "min": "min",
        "h": "h",
    },
    "zh": {
        "data": "数据",
        "data of": "{total:,} 个手写数字，每个 {side} × {side} 像素：{train:,} 个用于训练，{test:,} 个留作测试",
        "network": "网络",
        "network of": "{sizes}，层间为 relu；共 {parameters:,} 个参数",
        "optimizer": "优化器",
        "optimizer of": "{name}：学习率 {rate:g}，线性降至 0；每批 {batch:,} 个；{epochs:,} 轮；种子 {seed}",
        "gradient": "损失在第一批上的梯度",
        "check": "检验",
        "check of": "在 {count} 个随机参数上，反向模式与中心差分的最大相对误差为 {error:.1e}",
        "reverse": "反向模式",
        "reverse of": "1 遍，{median}（{measured} 次测量：{low} 至 {high}），含损失的计算",
        "forward": "前向模式",
        "forward of": "{parameters:,} 遍，每个参数一遍；实测 {measured} 遍，每遍 {median}（{low} 至 {high}），"
        "不含损失的计算，由此推算全部约需 {total}，是反向模式的 {ratio:,.0f} 倍",
        "training": "训练",
        "epoch": "轮",
        "loss": "损失",
        "train": "训练集",
        "test": "测试集",
        "time": "用时",
        "result": "结果",
        "result of": "测试图像的识别正确率为 {test:.1%}（{total} 个中 {right} 个）",
        "speed": "用时",
        "speed of": "{seconds}，共 {steps:,} 步，每步 {step}，含每轮的测试",
        "misread": "误认",
        "none": "无",
        "more": "其余 {count} 个",
        "written": "已写入",
        "µs": "微秒",
        "ms": "毫秒",
        "s": "秒",
        "min": "分钟",
        "h": "小时",
    },
}

LANGUAGES = tuple(TEXT)
"""The languages a report can be in."""

WIDTH = 80
INDENT = 14
ROWS = 8
PAIRS = 16

CHINESE = r"[\u2e80-\u9fff]"
WORD = re.compile(rf"（*(?:{CHINESE}|[^ \u2e80-\u9fff\uff00-\uffef]+(?:(?<=\xa0){CHINESE}+)?|.)[，。、；：）]* *")
"""What stays on one line: a word, or a Chinese character, with the punctuation around it and the spaces after it."""


class Report:
    """Prints the parts of a training's report, in the order in which they become known."""

    def __init__(self, console: Console | None, lang: str) -> None:
        self.console = console or Console(highlight=False)
        self.text = TEXT[lang]
        self.width = min(WIDTH, self.console.width)

    def plan(
        self,
        digits: Digits,
        sizes: Sequence[int],
        parameters: int,
        *,
        optimizer: str,
        learning_rate: float,
        batch_size: int,
        epochs: int,
        seed: int,
    ) -> None:
        """Print what is about to be trained, and how."""
        train, test = len(digits.train_labels), len(digits.test_labels)
        self._facts(
            ("data", self._say("data of", total=train + test, side=SIDE, train=train, test=test)),
            ("network", self._say("network of", sizes=" → ".join(map(str, sizes)), parameters=parameters)),
            (
                "optimizer",
                self._say(
                    "optimizer of", name=optimizer, rate=learning_rate, batch=batch_size, epochs=epochs, seed=seed
                ),
            ),
        )

    def gradient(self, check: GradientCheck, cost: ForwardCost) -> None:
        """Print whether the gradient is right, and what it costs in both modes."""
        self._heading("gradient")
        self._facts(
            ("check", self._say("check of", count=len(check.coordinates), error=check.error)),
            ("reverse", self._say("reverse of", measured=cost.measured, **self._spread(cost.reverse))),
            (
                "forward",
                self._say(
                    "forward of",
                    parameters=cost.parameters,
                    measured=cost.measured,
                    **self._spread(cost.forward),
                    total=self._duration(cost.forward_seconds),
                    ratio=cost.ratio,
                ),
            ),
        )

    @contextmanager
    def progress(self, epochs: int, steps: int) -> Iterator[tuple[Callable[[float], None], Callable[[Epoch], None]]]:
        """Show a moving bar on a terminal; give what to call after every step and every epoch."""
        self._heading("training")
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[accuracy]}"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        task = bar.add_task("", total=steps, loss="", accuracy="")

        def on_step(loss: float) -> None:
            bar.update(task, advance=1, loss=f"{self.text['loss']} {loss:.4f}")

        def on_epoch(epoch: Epoch) -> None:
            bar.update(
                task,
                description=f"{self.text['epoch']} {epoch.number}/{epochs}",
                accuracy=f"{self.text['test']} {epoch.test_accuracy:.1%}",
            )

        with bar:
            yield on_step, on_epoch

    def result(self, training: Training) -> None:
        """Print how the training went and what was written."""
        self._history(training.history)
        wrong = Counter(
            f"{label} → {answer}"
            for label, answer in zip(training.digits.test_labels, training.answers, strict=True)
            if label != answer
        )
        total = len(training.digits.test_labels)
        self._facts(
            (
                "result",
                self._say("result of", test=training.test_accuracy, right=total - wrong.total(), total=total),
            ),
            ("misread", self._misread(wrong)),
            (
                "speed",
                self._say(
                    "speed of",
                    seconds=self._duration(training.seconds),
                    steps=training.steps,
                    step=self._duration(training.seconds / training.steps),
                ),
            ),
        )
        if training.files:
            self._fact("written", list(map(str, training.files)))

    def _misread(self, wrong: Counter[str]) -> str:
        """What was taken for what, the most frequent first."""
        shown = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:PAIRS]
        words = [f"{pair} ({count}×)" if count > 1 else pair for pair, count in shown]
        rest = wrong.total() - sum(count for _, count in shown)
        words += [self._say("more", count=rest)] if rest else []
        return ", ".join(word.replace(" ", "\N{NO-BREAK SPACE}") for word in words) or self.text["none"]

    def _history(self, history: Sequence[Epoch]) -> None:
        """A table of some epochs, closer together at the beginning, where more happens."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("epoch", "loss", "train", "test", "time"):
            table.add_column(self.text[name], justify="right")
        for number in np.unique(np.geomspace(1, len(history), ROWS).round().astype(int)):
            epoch = history[number - 1]
            table.add_row(
                str(epoch.number),
                f"{epoch.loss:.4f}",
                f"{epoch.train_accuracy:.1%}",
                f"{epoch.test_accuracy:.1%}",
                _plain(self._duration(epoch.seconds)),
            )
        self.console.print(table, width=self.width)
        self.console.print()

    def _heading(self, name: str) -> None:
        self.console.print()
        self.console.print(Text(self.text[name], style="bold"))

    def _facts(self, *facts: tuple[str, str]) -> None:
        for name, fact in facts:
            self._fact(name, _wrap(fact, self.width - INDENT))

    def _fact(self, name: str, lines: Sequence[str]) -> None:
        for label, line in zip_longest([self.text[name]], lines, fillvalue=""):
            self.console.print(Text.assemble((set_cell_size(label, INDENT), "cyan"), line), soft_wrap=True)

    def _say(self, name: str, /, **values: object) -> str:
        return self.text[name].format(**values)

    def _spread(self, durations: Durations) -> dict[str, str]:
        return {name: self._duration(getattr(durations, name)) for name in ("median", "low", "high")}

    def _duration(self, seconds: float) -> str:
        """Three digits and the largest unit that leaves a number of at least one."""
        for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
            if seconds >= size:
                return f"{seconds / size:.3g}\N{NO-BREAK SPACE}{self.text[unit]}"
        return f"{seconds / 1e-6:.3g}\N{NO-BREAK SPACE}{self.text['µs']}"


def _wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most ``width`` cells, where no word is longer."""
    lines = [""]
    for word in WORD.findall(text):
        if lines[-1] and cell_len(lines[-1] + word.rstrip(" ")) > width:
            lines.append("")
        lines[-1] += word
    return [_plain(line).strip(" ") for line in lines]


def _plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")
