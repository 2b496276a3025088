"""`scipy.stats` for traced arrays."""

from typing import Any

import scipy.stats

from chainrule.scipy.stats import continuous, discrete  # noqa: F401
from chainrule.scipy.stats.distribution import DISTRIBUTIONS


def __getattr__(name: str) -> Any:
    return DISTRIBUTIONS.get(name) or getattr(scipy.stats, name)
