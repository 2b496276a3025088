"""What docs/coverage.json records as right is still right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from function_table import ROWS
from function_table.cells import YES, cell

RECORDED = json.loads((Path(__file__).parents[1] / "docs" / "coverage.json").read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("key", ROWS)
def test_what_was_right_is_right(key: str) -> None:
    recorded = RECORDED["chainrule"].get(key, {})
    found = {column: cell("chainrule", ROWS[key], column) for column, text in recorded.items() if text == YES}
    assert found == dict.fromkeys(found, YES)


def test_every_row_is_recorded() -> None:
    for library, cells in RECORDED.items():
        assert set(cells) == set(ROWS), f"{library}: run make coverage"
