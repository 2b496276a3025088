"""SciPy's functions."""

from __future__ import annotations

from function_table.table import Row

SCIPY: list[Row] = []
