"""The rows of docs/coverage.md: every function, how it is called and at which numbers."""

from __future__ import annotations

from function_table.rows_numpy import NUMPY
from function_table.rows_scipy import SCIPY
from function_table.table import Row

__all__ = ["ROWS", "Row"]

ROWS: dict[str, Row] = {row.key: row for row in [*NUMPY, *SCIPY]}
