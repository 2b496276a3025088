"""What each function of NumPy and SciPy supports, found by running it: rows (the functions) and cells (the checks)."""

from function_table.rows import ROWS, Row

__all__ = ["ROWS", "Row"]
