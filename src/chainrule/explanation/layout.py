"""The report as text: tables of at most 80 columns, in colour where the terminal has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from chainrule.errors import UnsupportedError
from chainrule.explanation.cost import Cost, Elimination
from chainrule.explanation.expression import FILE
from chainrule.explanation.factoring import LETTERS, Factored, Letter, digits, power_of
from chainrule.explanation.sweeps import Sweep, Term, product_of
from chainrule.explanation.words import TEXT
from chainrule.graph import GraphNode, Path
from chainrule.ir import REGISTRY

if TYPE_CHECKING:
    from chainrule.explanation.report import Explanation

__all__ = ["LANGUAGES", "MODES", "counted", "formula", "lay_out", "number", "time_text", "written_text"]

LANGUAGES = tuple(TEXT)
"""The languages a report can be in."""

MODES = ("all", "forward", "reverse", "paths", "eliminate")
"""Which parts of a report can be asked for."""

WIDTH = 80

_ROWS = 24  # of a table, above which its middle is left out
_ENDS = 9, 5  # rows that are shown then, at the beginning and the end
_SHOWN = 3  # sweeps of array graphs that are printed
_FACTORED = 2  # factored forms that are printed
_PAIRS = 8  # derivatives in the head
_LONG = 9  # nodes of a path that are all shown
_STYLES = {"title": "bold", "head": "bold cyan", "note": "dim", "name": "cyan", "value": "bold", "partial": "magenta",
          "sum": "bold green", "": ""}  # fmt: skip

_GREEK = [
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
]  # fmt: skip
_ASCII = {
    **{"∂": "d", "→": "->", "←": "<-", "·": "*", "×": "x", "±": "+-", "…": "...", "⋯": "...", "“": '"', "”": '"'},
    **{"‖": "|", "ᵀ": ".T", "²": "^2"},
    **dict(zip(LETTERS, _GREEK, strict=True)),
    **dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)),
}

T = TypeVar("T")
Cell = str | tuple[str, str]
"""What stands in a table: text, or text and its style."""


def lay_out(report: Explanation, *, ascii_only: bool = False) -> Text:
    """Return a report as styled text without a final line end."""
    page = _Page(report.lang, ascii_only)
    mode = report.mode
    _head(page, report)
    if mode != "paths":
        if mode in ("all", "forward", "reverse"):
            _values(page, report)
        _edges(page, report)
    if mode in ("all", "forward"):
        _sweeps(page, report, "forward")
    if mode in ("all", "reverse"):
        _sweeps(page, report, "reverse")
    if mode == "eliminate":
        _elimination(page, report)
    if mode in ("all", "paths"):
        _paths(page, report)
        for each in report.factored[:_FACTORED]:
            _factored(page, each)
        if len(report.factored) > _FACTORED:
            page.line((page.say("left out", count=f"{len(report.factored) - _FACTORED:,}"), "note"))
    _cost(page, report)
    return page.finish()


def time_text(report: Explanation, nodes: int, seconds: float) -> str:
    """Return how long a reverse sweep took, in words."""
    page = _Page(report.lang, ascii_only=False)
    shown = f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
    return page.say("time", nodes=page.count("nodes", nodes), time=shown)


def written_text(report: Explanation, path: object) -> str:
    """Return that a file was written."""
    return str(TEXT[report.lang]["written"]).format(path=path)


class _Page:
    """Lines under construction, in one language and one set of characters."""

    def __init__(self, lang: str, ascii_only: bool) -> None:
        self.words: dict[str, Any] = TEXT[lang]
        self.ascii_only = ascii_only
        self.lines: list[Text] = []

    def say(self, key: str, **parts: Any) -> str:
        return str(self.words[key]).format(**parts)

    def count(self, key: str, n: int, shown: str | None = None) -> str:
        """Return a number with its noun."""
        return str(self.words[key][n != 1]).format(n=shown or counted(n))

    def fit(self, text: str) -> str:
        if not self.ascii_only:
            return text
        return "".join(_ASCII.get(letter, letter if letter.isascii() else "?") for letter in text)

    def head(self, title: str, note: str = "") -> None:
        self.lines.append(Text())
        line = Text(self.fit(title), "bold cyan")
        if note:
            line.append(self.fit(f"   {note}"), "dim")
        self.lines.append(line)

    def line(self, *cells: Cell, indent: int = 2) -> None:
        line = Text(" " * indent)
        for text, style in map(_styled, cells):
            line.append(self.fit(text), _STYLES[style])
        self.lines.append(line)

    def wrapped(self, text: str, style: str = "note") -> None:
        """Add a paragraph; Chinese breaks anywhere, English between words."""
        line = ""
        for piece in re.findall(r"[!-~±“”…·∂/]+ ?| |.", self.fit(text)):
            if cell_len(line) + cell_len(piece.rstrip()) > WIDTH - 2:
                self.line((line.rstrip(), style))
                line = ""
            line += piece
        self.line((line.rstrip(), style))

    def table(
        self, rows: Sequence[Sequence[Cell]], *, indent: int = 2, gap: int = 2, wide: int | None = None,
        right: Iterable[int] = (), left_out: int = 0, mark: int = _ENDS[0],
    ) -> None:  # fmt: skip
        """Add rows in columns.

        The column `wide` is cut where the line would be too long. `left_out` tells how many items are missing
        before row number `mark`, see `_trimmed`.
        """
        if not rows:
            return
        cells = [[(self.fit(text), style) for text, style in map(_styled, row)] for row in rows]
        count = max(map(len, cells))
        widths = [max((cell_len(row[k][0]) for row in cells if k < len(row)), default=0) for k in range(count)]
        excess = indent + sum(widths) + gap * (sum(width > 0 for width in widths) - 1) - WIDTH
        if wide is not None and excess > 0:
            widths[wide] = max(8, widths[wide] - excess)
        for k, row in enumerate(cells):
            if left_out and k == mark:
                self.line((self.say("left out", count=f"{left_out:,}"), "note"), indent=indent)
            line = Text(" " * indent)
            for column, ((text, style), width) in enumerate(zip(row, widths, strict=False)):
                if not width:
                    continue
                text = _cut(text, width, self.fit("…"))
                if column in right:
                    text = " " * (width - cell_len(text)) + text
                padding = " " * (width - cell_len(text) + gap) if column < len(row) - 1 else ""
                line.append(text, _STYLES[style])
                line.append(padding)
            line.rstrip()
            self.lines.append(line)

    def finish(self) -> Text:
        for line in self.lines:
            line.rstrip()
            if cell_len(line.plain) > WIDTH:
                line.truncate(WIDTH - 1)
                line.append(self.fit("…")[:1])
        return Text("\n").join(self.lines)


def _trimmed(items: Sequence[T]) -> tuple[Sequence[T], int]:
    """Return the items to show, the first and last ones of many, and how many are left out between them."""
    if len(items) <= _ROWS:
        return items, 0
    head, tail = _ENDS
    return [*items[:head], *items[-tail:]], len(items) - head - tail


# -- parts ---------------------------------------------------------------------------------------------


def _head(page: _Page, report: Explanation) -> None:
    *what, given = report.title.split("\n")
    for line in what[:6]:
        page.line((line, "title"), indent=0)
    page.line((_cut(page.say("at", given=given), WIDTH - 2, "…"), "note"))
    cells: list[Cell] = []
    for node in report.net.outputs[:4]:
        cells.append((f"{node.name} = {_brief(node.value)}", "value"))
    pairs = list(report.derivatives.items())
    for (target, source), value in pairs[:_PAIRS]:
        cells.append((f"{_ratio(target, source)} = {_brief(value)}", "sum"))
    row: list[Cell] = []
    length = 2
    for cell in cells:
        width = cell_len(page.fit(_styled(cell)[0])) + 3
        if row and length + width - 3 > WIDTH:
            page.line(*row)
            row, length = [], 2
        row += [cell, "   "]
        length += width
    page.line(*row)
    if len(pairs) > _PAIRS:
        page.line((page.say("left out", count=f"{len(pairs) - _PAIRS:,}"), "note"))
    bad = next((node for node in report.nodes if node.dtype.kind in "fc" and not np.isfinite(node.value).all()), None)
    if bad is not None:
        page.line(
            (page.say("not finite", name=bad.name if bad.op == "input" else f"{bad.name} = {formula(bad)}"), "partial")
        )


def _values(page: _Page, report: Explanation) -> None:
    page.head(page.say("values"))
    outputs = set(report.graph.outputs)
    rows: list[list[Cell]] = []
    nodes, left_out = _trimmed(report.nodes)
    for node in nodes:
        origin = node.origin if node.op not in ("input", "constant") else None
        place = str(origin) if origin is not None and origin.file != FILE else ""
        role = page.say("result") if node in outputs else page.say(node.op) if node.op in ("input", "constant") else ""
        shown = "" if node.op in ("input", "constant") else f"= {formula(node)}"
        rows.append([(node.name, "name"), shown, (f"= {_brief(node.value)}", "value"), (role, "note"), (place, "note")])
    page.table(rows, wide=1, left_out=left_out)


def _edges(page: _Page, report: Explanation) -> None:
    page.head(page.say("edges"), page.say("edges of"))
    rows: list[list[Cell]] = []
    edges, left_out = _trimmed(report.edges)
    for edge in edges:
        arrow = f"{edge.source.name} → {edge.target.name}"
        partial = edge.partial
        if edge.map.shape:
            shape = _shape(edge.map.target.shape, edge.map.source.shape)
            rows.append(
                [arrow, (_ratio(edge.target.name, edge.source.name), "name"), f"= {_tidy(edge.formula)}", shape]
            )
            continue
        shown = number(partial)
        said = "" if _tidy(edge.formula) == shown else f"= {_tidy(edge.formula)}"
        rows.append([arrow, (_ratio(edge.target.name, edge.source.name), "name"), said, (f"= {shown}", "partial")])
    page.table(rows, wide=2, left_out=left_out)


def _sweeps(page: _Page, report: Explanation, way: str) -> None:
    cost = next(cost for cost in report.cost if cost.way == way)
    starts = report.net.inputs if way == "forward" else report.net.outputs
    per = page.say(f"per {way} element" if any(node.shape for node in starts) else f"per {way}")
    page.head(page.say(way), page.say(f"{way} of", passes=page.count("pass", cost.passes), per=per))
    sweeps = report.forward if way == "forward" else report.reverse
    shown = sweeps if report.net.is_scalar and len(report.nodes) <= _ROWS else sweeps[:_SHOWN]
    for sweep in shown:
        page.line((page.say("from", name=sweep.name), "note"))
        if report.net.is_scalar:
            _scalar_sweep(page, sweep, way == "forward")
        else:
            _array_sweep(page, sweep, way == "forward")
    if len(shown) < cost.passes:
        rest = counted(cost.passes - len(shown))
        page.line((page.say("more passes", count=rest, passes=page.count("pass", cost.passes)), "note"))


def _scalar_sweep(page: _Page, sweep: Sweep, forward: bool) -> None:
    rows: list[list[Cell]] = []
    steps, left_out = _trimmed(sweep.steps)
    for step in steps:
        lhs = _ratio(step.node.name, sweep.name) if forward else _ratio(sweep.name, step.node.name)
        if not step.terms:
            reason = (
                "" if step.node is sweep.start else page.say("no path" if forward else "no path to", name=sweep.name)
            )
            rows.append([(lhs, "name"), "", (reason, "note"), (f"= {number(step.value)}", "value")])
            continue
        symbols = " + ".join(_symbols(term, sweep, forward) for term in step.terms)
        numbers = " + ".join(_product(term, forward) for term in step.terms)
        rows.append([(lhs, "name"), f"= {symbols}", f"= {numbers}", (f"= {number(step.value)}", "value")])
    widest = 4 + sum(max(cell_len(page.fit(_styled(row[k])[0])) for row in rows) + 1 for k in range(4))
    if widest > WIDTH + 1:
        rows = [[row[0], row[2], row[3]] for row in rows]
    page.table(rows, indent=4, gap=1, wide=1, left_out=left_out)


def _symbols(term: Term, sweep: Sweep, forward: bool) -> str:
    edge = term.edge
    own = _ratio(edge.target.name, edge.source.name)
    if forward:
        return f"{own}·{_ratio(edge.source.name, sweep.name)}"
    return f"{_ratio(sweep.name, edge.target.name)}·{own}"


def _product(term: Term, forward: bool) -> str:
    partial, factor = _factor(term.edge.partial), _factor(term.factor)
    return f"{partial}·{factor}" if forward else f"{factor}·{partial}"


def _array_sweep(page: _Page, sweep: Sweep, forward: bool) -> None:
    rows: list[list[Cell]] = []
    steps, left_out = _trimmed(sweep.steps)
    mark = 0
    for k, step in enumerate(steps):
        mark = len(rows) if k == _ENDS[0] else mark
        lhs = _ratio(step.node.name, sweep.name) if forward else _ratio(sweep.name, step.node.name)
        first = True
        if not step.terms:
            reason = (
                "" if step.node is sweep.start else page.say("no path" if forward else "no path to", name=sweep.name)
            )
            rows.append([(lhs, "name"), (f"= {_brief(step.value)}", "value"), (reason, "note")])
        for term in step.terms:
            edge = term.edge
            via = _ratio(edge.source.name, sweep.name) if forward else _ratio(sweep.name, edge.target.name)
            words = _tidy(edge.formula if forward else edge.backward_formula)
            value = (f"= {_brief(step.value)}", "value") if first else ""
            rows.append([(lhs if first else "", "name"), value, f"← {via}: {words}"])
            first = False
    page.table(rows, indent=4, wide=2, left_out=left_out, mark=mark)


def _elimination(page: _Page, report: Explanation) -> None:
    page.head(page.say("elimination"), page.say("elimination of"))
    if not report.elimination:
        is_counted = any(cost.way == "elimination" for cost in report.cost)
        page.line((page.say("no vertices" if is_counted else "too many"), "note"))
    rows: list[list[Cell]] = []
    for step in report.elimination:
        rows += _eliminated(page, step)
    shown, left_out = _trimmed(rows)
    page.table(shown, wide=2, left_out=left_out)


def _eliminated(page: _Page, step: Elimination) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for source, target, second, first, present, total in step.products:
        name = page.say("eliminate", name=step.node.name) if not rows else ""
        lhs = f"{source.name} → {target.name}"
        if total is None or second is None or first is None:
            rows.append([(name, "note"), lhs, f"{source.name} → {step.node.name} → {target.name}"])
            continue
        before = f"{number(present)} + " if present is not None else ""
        rows.append(
            [(name, "note"), lhs, f"= {before}{_factor(second)}·{_factor(first)}", (f"= {number(total)}", "value")]
        )
    return rows


def _paths(page: _Page, report: Explanation) -> None:
    page.head(page.say("paths"), page.say("paths of"))
    powers = {(each.source, each.target): each.power for each in report.factored}
    for routes in report.paths[:_PAIRS]:
        name = _ratio(routes.target.name, routes.source.name)
        power = powers.get((routes.source, routes.target))
        value = report.derivatives.get((routes.target.name, routes.source.name))
        line: list[Cell] = [(name, "name")]
        if routes.count != len(routes.paths) or routes.count != 1:
            line.append(f"   {paths_text(page, routes.count, power)}")
        if not routes.count:
            page.line(*line, ("   = 0", "value"))
            continue
        if not routes.is_complete and routes.paths:
            line.append(
                (f"   {page.say('largest' if routes.are_largest else 'first', shown=len(routes.paths))}", "note")
            )
        if not routes.paths and value is not None:
            line.append((f"   = {_brief(value)}", "sum"))
        page.line(*line)
        rows = [_path_row(path, routes.paths[0]) for path in routes.paths]
        if routes.count > 1 and routes.paths:
            label = page.say("sum") if routes.is_complete else page.say("sum of listed", shown=len(routes.paths))
            rows.append([(label, "note"), "", (f"= {_brief(routes.total)}", "sum" if routes.is_complete else "value")])
            if not routes.is_complete and value is not None:
                rows.append([(page.say("whole"), "note"), "", (f"= {_brief(value)}", "sum")])
        _fit_paths(rows, page)
        page.table(rows, indent=4, gap=2, wide=1)
    rest = len(report.net.inputs) * len(report.net.outputs) - len(report.paths[:_PAIRS])
    if rest > 0:
        page.line((page.say("more pairs", count=f"{rest:,}"), "note"))


def _path_row(path: Path, first: Path) -> list[Cell]:
    """Return nodes, partials and product; of a long path the part where it leaves the first one of the list."""
    names = [node.name for node in path.nodes]
    if len(names) > _LONG and path is not first:
        usual = set(first.nodes)
        leaves = next((k for k, node in enumerate(path.nodes) if node not in usual), 1)
        names = ["…", *names[max(leaves - 1, 0) : leaves + 3], "…"]
    elif len(names) > _LONG:
        names = [*names[:4], "…", names[-1]]
    if len(path.edges) > 1 and all(not edge.map.shape for edge in path.edges):
        factors = [_factor(edge.partial) for edge in path.edges]
        if len(factors) > _LONG:
            factors = [*factors[:3], "…"]
        return [" → ".join(names), (" · ".join(factors), "partial"), (f"= {_brief(product_of(path))}", "value")]
    return [" → ".join(names), "", (f"= {_brief(product_of(path))}", "value")]


def _fit_paths(rows: list[list[Cell]], page: _Page) -> None:
    """Cut long lists of nodes, so that something is left for the partials."""
    for row in rows:
        text, style = _styled(row[0])
        row[0] = (_cut(text, 44, "…"), style)


def paths_text(page: _Page, count: int, power: tuple[int, int] | None) -> str:
    """Return a number of paths: small ones in full, large ones as a power and by their digits."""
    power = power or power_of(count) if count > 10**6 else power
    if count < 10**12:
        shown = f"{counted(count)} = {power[0]}^{power[1]}" if power else counted(count)
        return page.count("path", count, shown)
    text = digits(count)
    brief = page.say("digits", digits=f"{len(text):,}", head=text[:4], tail=text[-4:])
    shown = f"{power[0]}^{power[1]}" if power else counted(count)
    return f"{page.count('path', count, shown)} ({brief})"


def _factored(page: _Page, each: Factored) -> None:
    inner = [segment.target.name for segment in each.segments[:-1]]
    through = (
        ", ".join(inner)
        if len(inner) <= 2
        else page.say("and more", some=", ".join(inner[:2]), count=f"{len(inner) - 2:,}")
    )
    page.head(
        page.say("factored"), page.say("factored of", source=each.source.name, target=each.target.name, through=through)
    )
    many = len(each.segments) > 4
    segments = [*each.segments[:2], None, each.segments[-1]] if many else list(each.segments)
    brackets = "".join("⋯" if part is None else _bracket(part, page) for part in segments)
    brackets = brackets.removesuffix(" · ")
    sums = " · ".join("⋯" if part is None else _factor(part.value) for part in segments)
    lhs = _ratio(each.target.name, each.source.name)
    parts: list[Cell] = [
        (f"{lhs} = ", "name"),
        (brackets, "partial"),
        f" = {sums}",
        (f" = {number(each.value)}", "sum"),
    ]
    if sum(cell_len(page.fit(_styled(part)[0])) for part in parts) + 2 <= WIDTH:
        page.line(*parts)
    else:
        page.line(parts[0], parts[1])
        page.line(" " * max(cell_len(page.fit(lhs)), 0), parts[2], parts[3])
    if not many and all(segment.letters for segment in each.segments):
        products = _expanded(each, page)
        if products:
            page.line((f"{page.say('expanded')} ", "note"), products)
    rows: list[list[Cell]] = []
    for letter in (letter for segment in segments if segment is not None for letter in segment.letters):
        rows.append([(letter.name, "partial"), *_path_row(letter.path, letter.path)])
    page.table(rows, wide=2)
    long, short = each.expanded_operations, each.factored_operations
    power = each.power if each.count > 100 else None
    count = f"{power[0]}^{power[1]}" if power else counted(each.count)
    page.line(page.say(
        "products",
        count=page.count("product", each.count, count),
        multiplications=page.count("multiplication", long[0]),
        additions=page.count("addition", long[1]),
    ))  # fmt: skip
    page.line((page.say(
        "in brackets",
        multiplications=page.count("multiplication", short[0]),
        additions=page.count("addition", short[1]),
    ), "sum"))  # fmt: skip


def _bracket(segment: Any, page: _Page) -> str:
    if not segment.letters:
        return f"({counted(segment.count)} × …)"
    names = " + ".join(letter.name for letter in segment.letters)
    return f"({names})" if segment.count > 1 else f"{names} · "


def _expanded(each: Factored, page: _Page) -> str:
    """Return the sum of all products of letters, if it fits on one line."""
    if each.count > 27:
        return ""
    products: list[list[Letter]] = [[]]
    for segment in each.segments:
        products = [[*product, letter] for product in products for letter in segment.letters]
    text = " + ".join(("·" if page.ascii_only else "").join(letter.name for letter in product) for product in products)
    room = WIDTH - 4 - cell_len(page.say("expanded"))
    return text if cell_len(page.fit(text)) <= room else ""


def _cost(page: _Page, report: Explanation) -> None:
    pairs = len(report.net.inputs) * len(report.net.outputs)
    page.head(page.say("cost"), page.say("cost of", count=page.count("derivatives", pairs)))
    nouns = {"paths": "path", "forward": "pass", "reverse": "pass", "elimination": "vertex"}
    power = report.factored[0].power if pairs == 1 and report.factored else None
    rows: list[list[Cell]] = [[
        (page.say(key), "note") if key else "" for key in ("way", "work", "multiplications", "additions", "nontrivial")
    ]]  # fmt: skip
    for cost in report.cost:
        shown = f"{power[0]}^{power[1]}" if cost.way == "paths" and power and cost.passes > 10**6 else None
        rows.append([
            page.say(f"way {cost.way}"),
            page.count(nouns[cost.way], cost.passes, shown),
            (_short(cost.multiplications), "value"),
            (_short(cost.additions), "value"),
            (_short(cost.nontrivial), "value"),
        ])  # fmt: skip
    page.table(rows, right=(2, 3, 4), gap=3)
    page.line((_cheapest(page, report.cost), "sum"))
    page.wrapped(page.say("convention"))
    if not report.net.is_scalar:
        page.wrapped(page.say("convention arrays"))


def _cheapest(page: _Page, costs: Sequence[Cost]) -> str:
    """Say which of the two modes takes fewer passes, in words."""
    forward, reverse = (next(cost for cost in costs if cost.way == way) for way in ("forward", "reverse"))
    if forward.passes == reverse.passes:
        return page.say("same", passes=page.count("pass", forward.passes))
    winner, loser = sorted((forward, reverse), key=lambda cost: cost.passes)
    words = [page.count(f"{cost.way} pass", cost.passes) for cost in (winner, loser)]
    return page.say("cheapest", winner=words[0], instead=page.say("instead", loser=words[1]))


# -- words for values ----------------------------------------------------------------------------------


def number(value: Any) -> str:
    """Return a number with up to six significant digits."""
    array = np.asarray(value)
    if array.ndim:
        return f"[{', '.join(number(part) for part in array)}]"
    item = array.item()
    if isinstance(item, bool | str):
        return str(item)
    if isinstance(item, int):
        return counted(item)
    text = f"{item:.6g}"
    return "0" if text == "-0" else text


def counted(count: int) -> str:
    """Return a whole number: with commas up to twelve digits, above with three significant ones."""
    if abs(count) < 10**12:
        return f"{count:,}"
    return f"{Decimal(count):.2e}".replace("e+", "e")


def _short(count: int) -> str:
    """Return a whole number in a column of the cost table."""
    return counted(count) if count < 10**8 else f"{Decimal(count):.2e}".replace("e+", "e")


def formula(node: GraphNode) -> str:
    """Return how a node is computed, as code."""
    if node.op in ("input", "constant"):
        return node.op
    op = REGISTRY.get(node.op)
    names = [_operand(arg) for arg in node.inputs]
    try:
        if op is None:
            raise UnsupportedError(node.op)
        return _tidy(op.source(*names, **node.params))
    except (UnsupportedError, IndexError, KeyError, TypeError):
        return f"{node.op}({', '.join(names)})"


def _operand(node: GraphNode) -> str:
    if node.op != "constant" or node.shape:
        return node.name
    text = number(node.value)
    return f"({text})" if text.startswith("-") else text


def _tidy(text: str) -> str:
    text = re.sub(r"\b(np\.linalg|np|scipy\.special)\.", "", text)
    return re.sub(r"\b(\d+)\.0\b(?!\d)", r"\1", re.sub(r"axis=\((\d+),\)", r"axis=\1", text))


def _ratio(target: str, source: str) -> str:
    return f"∂{target}/∂{source}"


def _shape(target: Sequence[int], source: Sequence[int]) -> str:
    return " × ".join(f"[{', '.join(map(str, shape))}]" if shape else "1" for shape in (target, source))


def _brief(value: Any) -> str:
    """Return a number, a short list of numbers, or shape and norm of an array."""
    if value is None:
        return "?"
    array = np.asarray(value)
    if array.size <= 4 and array.ndim < 2:
        return number(array)
    shape = f"[{', '.join(map(str, array.shape))}]"
    if array.dtype.kind not in "fciu":
        return f"{array.dtype}{shape}"
    with np.errstate(all="ignore"):
        return f"{shape} ‖{number(float(np.linalg.norm(np.ravel(array))))}‖"


def _factor(value: Any) -> str:
    text = number(value)
    return f"({text})" if text.startswith("-") or "j" in text else text


def _styled(cell: Cell) -> tuple[str, str]:
    return cell if isinstance(cell, tuple) else (cell, "")


def _cut(text: str, width: int, mark: str) -> str:
    """Return a text that takes at most so many columns."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - cell_len(mark))).rstrip() + mark
