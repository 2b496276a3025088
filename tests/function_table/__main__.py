"""Fill docs/coverage.md and docs/coverage.json: ``python -m function_table [--libraries chainrule] [--only WORD]``.

Libraries that are left out keep the cells that docs/coverage.json holds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

from function_table.cells import COLUMNS, LIBRARIES, NONE, YES, library, run_row
from function_table.rows import ROWS

DOCS = Path(__file__).resolve().parents[2] / "docs"
Cells = dict[str, dict[str, dict[str, str]]]

HEAD = """# Coverage

Which functions of NumPy and SciPy can be differentiated, and how: found by running each of them. Written by
`make coverage`; [`tests/test_coverage.py`](../tests/test_coverage.py) runs this library's cells again and fails where
one that was right is no longer.

| column | what was run |
| --- | --- |
| F | forward mode agrees with differences of NumPy's or SciPy's own function, to a relative error of 10⁻⁶ |
| R | reverse mode does |
| 2 | forward over reverse agrees with differences of reverse mode |
| V | `vmap` of the function and of its reverse mode agrees with a loop |
| J | `jit` of the function and of its reverse mode agrees with what is not compiled |
| C | both modes at complex arguments agree with differences; – where NumPy's or SciPy's function takes none |

● right, ○ an error or no such function, ✗ a wrong number, – the question does not arise. Each library is called in its
own words (`jax.numpy`, `jax.scipy`, `autograd.numpy`, `autograd.scipy`); this library with `import numpy as np` and
`from chainrule.scipy import stats` and the like. One point, default options but for those that are named: a ● says that
this call is right. autograd has neither `vmap` nor `jit`.
"""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libraries", default=",".join(LIBRARIES), help="separated by commas")
    parser.add_argument("--only", default="", metavar="WORD", help="rows whose keys contain this; writes nothing")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    found: Cells = {}
    for name in options.libraries.split(","):
        keys = [key for key in ROWS if options.only in key]
        with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
            cells = list(pool.map(run_row, [name] * len(keys), keys, chunksize=4))
        found[name] = dict(zip(keys, cells, strict=True))
        print(name, {column: sum(row[column] == YES for row in cells) for column in library(name).columns})
    if options.only:
        for name, cells_by_key in found.items():
            for key, row in cells_by_key.items():
                wrong = {column: text for column, text in row.items() if text not in (YES, NONE)}
                for text in dict.fromkeys(wrong.values()):
                    print(name, key, [column for column in wrong if wrong[column] == text], text)
        return
    path = DOCS / "coverage.json"
    old = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else {}
    cells_by_library = {name: found.get(name) or old.get(name, {}) for name in LIBRARIES}
    versions = {name: metadata.version(name) for name in ("numpy", "scipy", "jax", "autograd")}
    path.write_text(_rows_on_lines(versions, cells_by_library), encoding="utf-8")
    (DOCS / "coverage.md").write_text(page(cells_by_library, versions), encoding="utf-8")


def _rows_on_lines(versions: dict[str, str], cells: Cells) -> str:
    """Return JSON with a row on each line, so that changes can be read."""
    blocks = []
    for name, rows in cells.items():
        lines = [f"{json.dumps(key)}: {json.dumps(row, ensure_ascii=False)}" for key, row in rows.items()]
        blocks.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
    return f'{{"versions": {json.dumps(versions)},\n"cells": {{\n' + ",\n".join(blocks) + "\n}}\n"


def page(cells: Cells, versions: dict[str, str]) -> str:
    """Return the table as Markdown."""
    used = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [HEAD, f"Versions: {used}.\n", "## In numbers\n"]
    lines += [
        "| of " + str(len(ROWS)) + " functions | " + " | ".join(COLUMNS) + " |",
        "| --- |" + " --- |" * len(COLUMNS),
    ]
    for name in LIBRARIES:
        rows = [cells[name].get(key, {}) for key in ROWS]
        counts = [
            str(sum(row.get(column) == YES for row in rows)) if column in library(name).columns else "–"
            for column in COLUMNS
        ]
        lines.append(f"| {name} | {' | '.join(counts)} |")
    for section in dict.fromkeys(row.section for row in ROWS.values()):
        lines += [f"\n## {section}\n", "| function | F | R | 2 | V | J | C | JAX F R 2 V J C | autograd F R 2 C |",
                  "| --- |" + " --- |" * 8]  # fmt: skip
        for key, row in ROWS.items():
            if row.section != section:
                continue
            own = [_mark(cells["chainrule"].get(key, {}).get(column)) for column in COLUMNS]
            others = [
                " ".join(_mark(cells[name].get(key, {}).get(column)) for column in library(name).columns)
                for name in ("jax", "autograd")
            ]
            lines.append(f"| {row.name.replace('|', '∣')} | {' | '.join([*own, *others])} |")
    return "\n".join(lines) + "\n"


def _mark(text: str | None) -> str:
    if text is None or text == NONE:
        return "–"
    return "●" if text == YES else "✗" if text.startswith("wrong") else "○"


if __name__ == "__main__":
    main()
