"""Kernel density estimates of traced points, or from a traced sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats

from chainrule.errors import ShapeError
from chainrule.scipy.special import logsumexp
from chainrule.scipy.stats.distribution import numbers, refuse
from chainrule.scipy.twins import register
from chainrule.tracing.array import holds_traced
from chainrule.tracing.origin import at


class gaussian_kde(scipy.stats.gaussian_kde):  # type: ignore[misc]
    """SciPy's `gaussian_kde`, differentiable in the points, the sample, its weights and a number as bandwidth.

    Args:
        dataset: The sample, one point in each column.
        bw_method: "scott" (the default), "silverman", a number, or a function of the estimate that returns one.
        weights: A weight for each point.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy import stats
        >>> estimate = stats.gaussian_kde(np.array([-1.0, 0.0, 1.0]))
        >>> bool(cr.grad(lambda x: estimate.logpdf(x)[0])(2.0) < 0)
        True
    """

    def __init__(self, dataset: Any, bw_method: Any = None, weights: Any = None) -> None:
        self.is_traced = holds_traced([dataset, bw_method, weights])
        if not self.is_traced:
            super().__init__(dataset, bw_method, weights)
            return
        self.dataset = np.atleast_2d(numbers(dataset))
        self.d, self.n = self.dataset.shape
        if self.n < 2:
            raise ValueError("`dataset` input should have multiple elements.")
        w = np.full(self.n, 1.0) if weights is None else numbers(weights)
        if w.shape != (self.n,):
            raise ShapeError(f"weights of shape {w.shape} do not fit {self.n} points{at()}")
        self._weights = w / np.sum(w)
        self._neff = 1 / np.sum(self._weights**2)
        self.set_bandwidth(bw_method)

    def set_bandwidth(self, bw_method: Any = None) -> None:
        """Set the factor between the deviation of the sample and that of the kernel."""
        if not holds_traced([bw_method]):
            super().set_bandwidth(bw_method)
            return
        self.is_traced = True
        self._bw_method = "use constant"
        self.covariance_factor = lambda: bw_method
        self._compute_covariance()

    def _compute_covariance(self) -> None:
        if not self.is_traced:
            super()._compute_covariance()
            return
        scale: Callable[[], Any] = self.covariance_factor
        self.factor = scale()
        w = self._weights
        centred = self.dataset - np.sum(self.dataset * w, axis=1, keepdims=True)
        self._data_covariance = (centred * w) @ centred.T / (1 - np.sum(w**2))
        self.covariance = self._data_covariance * self.factor**2
        self.cho_cov = np.linalg.cholesky(self.covariance)
        self.log_det = 2 * np.sum(np.log(np.diag(self.cho_cov * np.sqrt(2 * np.pi))))

    def logpdf(self, x: Any) -> Any:
        """Return the logarithm of the estimated density at points, one in each column."""
        if not self.is_traced and not holds_traced([x]):
            return super().logpdf(x)
        points = np.atleast_2d(numbers(x))
        if points.shape[0] != self.d:
            if points.shape != (1, self.d):
                raise ShapeError(f"points have dimension {points.shape[0]}, the sample has {self.d}{at()}")
            points = np.reshape(points, (self.d, 1))
        sample = np.linalg.solve(self.cho_cov, self.dataset)
        places = np.linalg.solve(self.cho_cov, points)
        energy = 0.5 * np.sum((places[:, :, None] - sample[:, None, :]) ** 2, axis=0)
        return logsumexp(-energy, axis=1, b=np.reshape(self._weights, (1, -1))) - 0.5 * self.log_det

    def evaluate(self, points: Any) -> Any:
        """Return the estimated density at points, one in each column."""
        if not self.is_traced and not holds_traced([points]):
            return super().evaluate(points)
        return np.exp(self.logpdf(points))

    __call__ = evaluate
    pdf = evaluate


def _refusing(name: str) -> Any:
    theirs = getattr(scipy.stats.gaussian_kde, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.is_traced or holds_traced([*args, *kwargs.values()]):
            raise refuse(f"stats.gaussian_kde.{name}", "evaluate and logpdf have one")
        return theirs(self, *args, **kwargs)

    method.__name__, method.__doc__ = name, theirs.__doc__
    return method


for _name in ("integrate_gaussian", "integrate_box_1d", "integrate_box", "integrate_kde", "resample", "marginal"):
    setattr(gaussian_kde, _name, _refusing(_name))
register(scipy.stats, "gaussian_kde", gaussian_kde)
