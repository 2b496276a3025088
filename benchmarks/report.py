"""Results as a table in the terminal, a page of the documentation, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PEERS = ("jax", "jax scan", "jax reverse", "torch", "torch.compile", "autograd", "casadi", "numpy", "copy")
COLORS = {
    "jax": "#2a6fbb",
    "torch": "#d1603d",
    "torch.compile": "#e9a13b",
    "autograd": "#8a8f98",
    "casadi": "#5b9a4f",
    "numpy": "#3d3d45",
    "copy": "#b455a0",
}

Found = dict[str, Any]


def seconds(value: float) -> str:
    """Return a time in three digits, with its unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value / scale < 1000 else f"{value / scale:.0f} {unit}"
    return f"{value * 1e9:.0f} ns"


def cell(time: Found | None) -> str:
    """Return a time with its spread: the interquartile range in percent of the median."""
    if time is None:
        return ""
    return f"{seconds(time['median'])} ±{100 * (time['high'] - time['low']) / 2 / time['median']:.0f} %"


def median(case: Found, name: str) -> float | None:
    """Return the time of a library; for "jax" the least of those of its ways."""
    times = case["times"]
    names = [each for each in times if each == name or (name == "jax" and each in ("jax scan", "jax reverse"))]
    return min((times[each]["median"] for each in names), default=None)


def verdicts(case: Found) -> list[tuple[str, bool]]:
    """Return the targets of a case in words, with what was measured, and whether they are met."""
    found = []
    own = median(case, "chainrule")
    if own is None:
        return [(case.get("error", "failed"), False)]
    if case["target"]:
        name, least = case["target"]
        peer = median(case, name)
        if peer is not None:
            if least < 1:
                found.append((f"{own / peer:.2f} of {name}, {1 / least:.2g} allowed", own / peer <= 1 / least))
            else:
                found.append((f"{peer / own:.2g}x {name}, {least:g}x wanted", peer / own >= least))
    if case["limit"]:
        found.append((f"{seconds(own)}, {seconds(case['limit'])} allowed", own <= case["limit"]))
    first = case.get("first", {})
    cold = first.get("chainrule", {}).get("first")
    if case["first_target"] and cold:
        other = first.get("jax", {}).get("first")
        if other:
            found.append((f"first call {other / cold:.2g}x jax, {case['first_target']:g}x wanted",
                          other / cold >= case["first_target"]))  # fmt: skip
    if case["first_limit"] and cold:
        limit = case["first_limit"]
        found.append((f"first call {seconds(cold)}, {seconds(limit)} allowed", cold <= limit))
    return found


def line(case: Found) -> str:
    """Return what to say of a case while others still run."""
    times = case["times"]
    texts = [f"{name} {seconds(time['median'])}" for name, time in times.items()]
    texts += [f"[red]{words}[/red]" if not met else words for words, met in verdicts(case)]
    failed = [f"{name}: {why}" for name, why in case.get("failed", {}).items()]
    return f"[bold]{case['name']}[/bold]  " + " · ".join([*texts, *failed])


def show(record: Found, console: Console) -> None:
    """Print the table."""
    names = [name for name in ("chainrule", *PEERS) if any(name in case["times"] for case in record["cases"])]
    table = Table(title="seconds per call: median ± half the interquartile range", box=None, header_style="bold")
    table.add_column("case", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("targets")
    for case in record["cases"]:
        cells = [cell(case["times"].get(name)) for name in names]
        words = [("" if met else "[red]") + text + ("" if met else "[/red]") for text, met in verdicts(case)]
        table.add_row(case["name"], *cells, "; ".join(words))
    console.print(table)


def page(record: Found) -> str:
    """Return the page of the documentation."""
    machine, cases = record["machine"], record["cases"]
    versions = ", ".join(f"{name} {version}" for name, version in record["libraries"].items() if name != "chainrule")
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` (`benchmarks/run.py`), which also checks that all libraries compute the same.",
        "",
        f"Machine: {machine['processor']}, {machine['threads']} threads for every library, {machine['system']}, "
        f"Python {machine['python']}; {machine['date']}. Versions: {versions}.",
        "",
        *([record["note"], ""] if "note" in record else []),
        '`make bench` installs what it needs (for PyTorch the CPU build is enough); `BENCH_FLAGS="--quick"` leaves',
        'out the largest cases, `BENCH_FLAGS="--only lstm"` runs some. A library that is not installed is left out.',
        "",
        "A case is one process in which the libraries take turns, 7 rounds each, at least 0.2 s of calls per library.",
        "A number is the median over the rounds of the time per call, ± half the interquartile range. Arguments and",
        "results are in each library's own form (NumPy arrays for chainrule), unless the case says otherwise; the wait",
        "for results is included. Numbers are float64 unless the case says otherwise. The bodies of the functions are",
        "the same for all, except that “jax scan” has JAX's own loop, “numpy” a gradient written by hand, and CasADi",
        "its virtual machine for scalar expressions. PyTorch runs on one thread where that is faster.",
        "",
        "![ratios](../benchmarks/results/ratios.png)",
        "",
        "## Time of a derivative",
        "",
    ]
    names = [name for name in ("chainrule", *PEERS) if any(name in case["times"] for case in cases)]
    rows = [
        [f"{case['work']} (`{case['name']}`)", *(cell(case["times"].get(name)) for name in names)] for case in cases
    ]
    lines += _table(["work", *names], rows)
    lines += ["", "## Targets", "", "Ratios to JAX are to the better of its ways.", ""]
    rows = [[f"`{case['name']}`", words, "yes" if met else "**no**"] for case in cases for words, met in verdicts(case)]
    lines += _table(["case", "measured", "met"], rows)
    lines += [
        "",
        "## First call",
        "",
        "In a new process, imports excluded: tracing, compiling, running once. “warm” is a second process, for which",
        "the compiled code lies in chainrule's cache.",
        "",
    ]
    names = ["chainrule", "chainrule warm", "jax", "jax scan", "casadi"]
    rows = [
        [f"`{case['name']}`", *(_first(case["first"].get(name)) for name in names)]
        for case in cases
        if case.get("first")
    ]
    lines += _table(["case", *names], rows)
    lines += [
        "",
        "## Cost of a gradient",
        "",
        "The time of the compiled gradient (with the value, where the case has it) over that of the compiled function.",
        "",
    ]
    rows = []
    for case in cases:
        times = case["times"]
        if "chainrule function" in times:
            cells = [
                f"{times[name]['median'] / times[f'{name} function']['median']:.2f}"
                if f"{name} function" in times and name in times
                else ""
                for name in ("chainrule", "jax")
            ]
            rows.append([f"`{case['name']}`", cell(times["chainrule function"]), *cells])
    lines += _table(["case", "chainrule's function", "chainrule", "jax"], rows)
    memory = [case for case in cases if case.get("memory")]
    if memory:
        lines += [
            "",
            "## Peak memory",
            "",
            "Resident memory during a call (chainrule: its first) above what was there before the arguments were",
            "made, over the size of arguments and results.",
            "",
        ]
        names = [name for name in ("chainrule", *PEERS) if any(name in case["memory"] for case in memory)]
        lines += _table(
            ["case", *names],
            [[f"`{case['name']}`", *(_memory(case["memory"].get(name)) for name in names)] for case in memory],
        )
    return "\n".join(lines) + "\n"


def _first(entry: Found | None) -> str:
    if not entry:
        return ""
    return seconds(entry["first"]) if "first" in entry else entry["failed"]


def _memory(entry: Found | None) -> str:
    if not entry or "peak" not in entry:
        return ""
    return f"{entry['peak'] / (entry['arguments'] + entry['results']):.2f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    right = [":--", *["--:"] * (len(header) - 1)]
    return [f"| {' | '.join(row)} |" for row in (header, right, *rows)]


def draw(record: Found, path: Path) -> None:
    """Draw how many times as long as chainrule each library takes."""
    try:
        import matplotlib  # noqa: PLC0415 - optional
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        return
    cases = [case for case in record["cases"] if "chainrule" in case["times"] and len(case["times"]) > 1]
    if not cases:
        return
    figure = Figure(figsize=(9, 1.3 + 0.3 * len(cases)), dpi=150)
    axes = figure.subplots()
    used: dict[str, Any] = {}
    for row, case in enumerate(cases):
        own = case["times"]["chainrule"]["median"]
        values = []
        for name, color in COLORS.items():
            value = median(case, name)
            if value is not None:
                values.append(value / own)
                used[name] = axes.scatter(value / own, row, s=34, color=color, zorder=3, linewidths=0)
        axes.plot([min([1, *values]), max([1, *values])], [row, row], color="#e3e5e8", linewidth=1, zorder=1)
    axes.axvline(1, color="#111111", linewidth=1.2, zorder=2)
    axes.set_xscale("log")
    axes.set_yticks(range(len(cases)), [case["name"] for case in cases], fontsize=8)
    axes.set_ylim(len(cases) - 0.4, -0.6)
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000, 10_000]
    low, high = axes.get_xlim()
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(shown, [f"{tick:g}×" for tick in shown], fontsize=8)
    axes.minorticks_off()
    axes.grid(axis="x", color="#eef0f2", zorder=0)
    axes.tick_params(length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("time relative to chainrule = 1 (right of the line: chainrule is faster)", fontsize=8)
    figure.legend(
        used.values(), used.keys(), loc="upper center", ncols=len(used), frameon=False, fontsize=8, handletextpad=0.2
    )
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.32 / figure.get_figheight()))
    with matplotlib.rc_context({"svg.hashsalt": "chainrule"}):
        figure.savefig(path, facecolor="white")
