"""Reports on derivatives: values, partials, both sweeps, the paths, and what each way costs."""

from chainrule.explanation.cost import Cost, Elimination
from chainrule.explanation.expression import Expression, parse
from chainrule.explanation.factoring import Factored, Letter, Segment
from chainrule.explanation.report import Explanation, Routes, explain, explain_call
from chainrule.explanation.sweeps import Step, Sweep, Term

__all__ = [
    "Cost",
    "Elimination",
    "Explanation",
    "Expression",
    "Factored",
    "Letter",
    "Routes",
    "Segment",
    "Step",
    "Sweep",
    "Term",
    "explain",
    "explain_call",
    "parse",
]
