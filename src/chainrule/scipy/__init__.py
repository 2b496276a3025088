"""Twins of SciPy functions that SciPy itself cannot hand to traced arrays."""
