"""Positions inside loops: integers that are sums of loop variables, with what is known of their range."""

from __future__ import annotations

from dataclasses import dataclass

Term = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Index:
    """An integer of the form constant + Σ factor · name, of loop variables and other i64 values."""

    constant: int = 0
    terms: tuple[Term, ...] = ()

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.constant + other, self.terms) if other else self
        if not self.terms or not other.terms:
            return Index(self.constant + other.constant, self.terms or other.terms)
        total = dict(self.terms)
        for name, factor in other.terms:
            total[name] = total.get(name, 0) + factor
        return Index(self.constant + other.constant, tuple((n, f) for n, f in total.items() if f))

    def __sub__(self, other: int) -> Index:
        return self + -other

    def __mul__(self, factor: int) -> Index:
        if factor == 1:
            return self
        if not factor:
            return Index()
        return Index(self.constant * factor, tuple((name, f * factor) for name, f in self.terms))


class Ranges:
    """The smallest and largest value of each loop variable, and of what is made of them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int]] = {}

    def set(self, name: str, low: int, high: int) -> None:
        """Note that a variable lies between two numbers, both included."""
        self._known[name] = low, high

    def of(self, index: Index) -> tuple[int, int] | None:
        """Return the smallest and the largest value of an index; None where a variable is not known."""
        low = high = index.constant
        for name, factor in index.terms:
            known = self._known.get(name)
            if known is None:
                return None
            ends = known[0] * factor, known[1] * factor
            low += min(ends)
            high += max(ends)
        return low, high

    def divide(self, index: Index, by: int) -> tuple[Index, Index] | None:
        """Return quotient and remainder of a non-negative index where the ranges tell them."""
        whole = tuple((name, factor // by) for name, factor in index.terms if not factor % by)
        rest = tuple((name, factor) for name, factor in index.terms if factor % by)
        shift = index.constant // by
        remainder = Index(index.constant - shift * by, rest)
        known = self.of(remainder)
        if known is None or known[0] // by != known[1] // by:
            return None
        more = known[0] // by
        return Index(shift + more, whole), remainder - more * by
