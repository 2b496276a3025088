"""What all distributions share: arguments, standard form, support, frozen distributions, SciPy's own methods.

A distribution is declared by formulas of the standardised z = (x - loc) / scale inside of its support; what SciPy's
methods do around them (which parameters are valid, what holds outside of the support, location and scale, the order of
arguments) is written here once. Where a formula is missing, the value is SciPy's; its derivative follows if it can:
that of a distribution function is the density, that of its inverse one over the density, and a parameter's by the
implicit function theorem.
"""

from __future__ import annotations

import functools
import inspect
import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.stats

from chainrule.errors import DtypeError, UnsupportedError
from chainrule.scipy.stats.hosted import Hosted, Partial, slope
from chainrule.scipy.twins import register
from chainrule.tracing.array import TracedArray, cast, holds_traced, stacked
from chainrule.tracing.origin import at

INF = math.inf
LINE = (-INF, INF)
Formula = Callable[..., Any]

DISTRIBUTIONS: dict[str, Any] = {}
"""The twins of SciPy's distributions by name."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a shape parameter may be, and a value that is: it stands in for those that are not."""

    holds: Callable[[Any], Any]
    example: float


POSITIVE = Shape(lambda a: a > 0, 1.0)
NONNEGATIVE = Shape(lambda a: a >= 0, 1.0)
REAL = Shape(np.isfinite, 0.5)
NUMBER = Shape(lambda a: a == a, 0.5)
PROBABILITY = Shape(lambda p: (p >= 0) & (p <= 1), 0.5)
COUNT = Shape(lambda n: (n >= 0) & (np.floor(n) == n), 1.0)


def numbers(x: Any) -> Any:
    """Return an argument in double precision, which SciPy's distributions compute in."""
    x = stacked(x)
    if not isinstance(x, TracedArray):
        return np.asarray(x, float)[()]
    if x.dtype.kind == "c":
        raise DtypeError(f"a real number is needed here, got {x.dtype}{at()}")
    x = cast(x, float)
    return TracedArray(x.builder, x.node) if type(x) is not TracedArray else x


def choose(condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition holds, else b; b alone where the condition is None, which is nowhere."""
    if condition is None:
        return b
    return np.where(condition, a, b)


def any_of(*conditions: Any) -> Any:
    """Return where one of the conditions holds; None if that is nowhere."""
    found = None
    for condition in conditions:
        if condition is None or (not isinstance(condition, TracedArray) and not np.any(condition)):
            continue
        found = condition if found is None else found | condition
    return found


def log_of(p: Any) -> Any:
    """Return log(p), -inf at 0."""
    nothing = p <= 0
    return np.where(nothing, -INF, np.log(np.where(nothing, 1.0, p)))


def full(x: Any, *others: Any) -> Any:
    """Return x in the common shape of all arguments."""
    shape = np.broadcast_shapes(*(np.shape(other) for other in (x, *others)))
    return x if np.shape(x) == shape else np.broadcast_to(x, shape)


def refuse(what: str, instead: str) -> UnsupportedError:
    """Return the error for what does not take traced values."""
    return UnsupportedError(f"{what} has no rule for traced values{at()}; {instead}")


def guarded(what: str, function: Callable[..., Any], instead: str) -> Callable[..., Any]:
    """Return SciPy's function, refusing traced arguments with words."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if holds_traced([*args, *kwargs.values()]):
            raise refuse(what, instead)
        return function(*args, **kwargs)

    return call


_INSTEAD = {
    "rvs": "draw without parameters and transform, as in loc + scale * draws, or use chainrule.random, whose draws are "
    "functions of their parameters",
    "fit": "fit to plain data, or minimise nnlf or -np.sum(logpdf(data, ...)) with its gradient",
    "expect": "write the integral as a sum over nodes of a quadrature rule, f(x) @ (weights * pdf(x))",
}


class Distribution:
    """Twin of one of SciPy's distributions, for traced values too.

    Methods have SciPy's signatures. Where no argument is traced SciPy's own run; attributes and methods that are not
    here are SciPy's.
    """

    defaults: ClassVar[dict[str, Any]] = {}
    methods: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self, name: str, shapes: dict[str, Shape], check: Formula | None, formulas: dict[str, Any], **own: Any
    ) -> None:
        self.__dict__.update(own)
        self.scipy = getattr(scipy.stats, name)
        self.called = f"stats.{name}"
        names = [each.strip() for each in (self.scipy.shapes or "").split(",") if each.strip()]
        assert not shapes or list(shapes) == names, name
        self.names = names
        self.rules = shapes
        self.check = check
        self.formulas = formulas
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.held: dict[str, Hosted] = {}
        self.signature = inspect.Signature(
            [inspect.Parameter(each, kind) for each in names]
            + [inspect.Parameter(key, kind, default=value) for key, value in self.defaults.items()]
        )
        self.__name__ = name
        self.__doc__ = self.scipy.__doc__
        DISTRIBUTIONS[name] = self
        register(scipy.stats, name, self)

    # -- being SciPy's object --------------------------------------------------------------------------

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":  # isinstance(stats.norm, stats.rv_continuous) holds here too
            return type(object.__getattribute__(self, "scipy"))
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "scipy":
            raise AttributeError(name)
        found = getattr(self.scipy, name)
        if not callable(found):
            return found
        return guarded(f"{self.called}.{name}", found, _INSTEAD.get(name, "write it with the methods that have one"))

    def __setattr__(self, name: str, value: Any) -> None:
        if "signature" not in self.__dict__ or name in self.__dict__ or name.startswith("__"):
            object.__setattr__(self, name, value)
        else:
            setattr(self.scipy, name, value)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self.scipy), *self.methods})

    def __repr__(self) -> str:
        return f"<chainrule.scipy.{self.called}>"

    def __reduce__(self) -> Any:
        return _named, (self.__name__,)

    def __call__(self, *args: Any, **kwds: Any) -> Frozen:
        """Freeze the distribution: fix its parameters."""
        return Frozen(self, args, kwds)

    def freeze(self, *args: Any, **kwds: Any) -> Frozen:
        """Freeze the distribution: fix its parameters."""
        return Frozen(self, args, kwds)

    # -- arguments -------------------------------------------------------------------------------------

    def parse(self, args: Sequence[Any], kwds: dict[str, Any]) -> list[Any]:
        """Return shapes, location and scale in SciPy's order, in double precision."""
        try:
            bound = self.signature.bind(*args, **kwds)
        except TypeError as error:
            raise TypeError(f"{self.called}: {error}") from None
        bound.apply_defaults()
        return [numbers(value) for value in bound.arguments.values()]

    def checked(self, shapes: Sequence[Any], *others: Any) -> tuple[Any, list[Any]]:
        """Return where a parameter is invalid (None for nowhere), and shapes that are valid everywhere."""
        if not self.rules and self.names:
            bad = any_of(~np.asarray(self.scipy._argcheck(*shapes))) if not holds_traced(list(shapes)) else None
            return any_of(bad, *others), list(shapes)
        rules = self.rules.values()
        wrong = [any_of(np.logical_not(rule.holds(s))) for rule, s in zip(rules, shapes, strict=True)]
        safe = [choose(w, rule.example, s) for w, rule, s in zip(wrong, rules, shapes, strict=True)]
        if self.check is not None:
            together = any_of(np.logical_not(self.check(*safe)))
            safe = [choose(together, rule.example, s) for rule, s in zip(rules, safe, strict=True)]
            wrong.append(together)
        return any_of(*wrong, *others), safe

    def formula(self, name: str) -> Formula | None:
        """Return a formula of the declaration, None where it has none."""
        return self.formulas.get(name)

    def ends(self, shapes: Sequence[Any]) -> tuple[Any, Any]:
        """Return the ends of the support in standard form."""
        if self.bounds is not None:
            return self.bounds(*shapes) if callable(self.bounds) else self.bounds
        if not holds_traced(list(shapes)):
            return self.scipy.support(*shapes)
        partials = [None] * len(shapes)
        low, high = (self.keep(f"support[{k}]", lambda *s, k=k: self.scipy.support(*s)[k], partials) for k in (0, 1))
        return low(*shapes), high(*shapes)

    def keep(self, name: str, evaluate: Formula, partials: Sequence[Partial]) -> Hosted:
        """Return a function whose values are SciPy's; the same one at each call, so that equal nodes are one."""
        if name not in self.held:
            source = f"scipy.{self.called}.{name}({', '.join(f'{{{k}}}' for k in range(len(partials)))})"
            self.held[name] = Hosted(f"{self.__name__}.{name}", evaluate, partials, source)
        return self.held[name]

    # -- moments ---------------------------------------------------------------------------------------

    def standard(self, what: str, shapes: Sequence[Any]) -> Any:
        """Return a moment or the entropy for loc = 0 and scale = 1; SciPy's own of plain shapes."""
        if not holds_traced(list(shapes)):
            if what in ("skew", "kurtosis"):
                return self.scipy.stats(*shapes, moments=what[0])
            return getattr(self.scipy, what)(*shapes)
        formula = self.formula(what)
        if formula is None:
            raise refuse(
                f"{self.called}: {what} with respect to {', '.join(self.names)}",
                "compute it from pdf or pmf with a quadrature rule or a sum",
            )
        return formula(*shapes)


def _named(name: str) -> Distribution:
    return DISTRIBUTIONS[name]


def method(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Let SciPy's own method run where no argument is traced."""
    name = rule.__name__

    @functools.wraps(rule)
    def call(self: Any, *args: Any, **kwds: Any) -> Any:
        if holds_traced([*args, *kwds.values()]):
            return rule(self, *args, **kwds)
        return getattr(self.scipy, name)(*args, **kwds)

    return call


class Continuous(Distribution):
    """Twin of a continuous distribution."""

    defaults: ClassVar[dict[str, Any]] = {"loc": 0, "scale": 1}
    methods = frozenset(["pdf", "logpdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf", "mean", "var", "std", "median",
                         "entropy", "stats", "moment", "interval", "support", "nnlf"])  # fmt: skip

    def __init__(
        self,
        name: str,
        support: Any = None,
        shapes: dict[str, Shape] | None = None,
        *,
        inside: Formula | float | None = None,
        is_open: bool = False,
        check: Formula | None = None,
        **formulas: Any,
    ) -> None:
        """Declare a distribution.

        Args:
            name: SciPy's name of it.
            support: Both ends of the support for loc = 0 and scale = 1, or a function of the shapes that gives them.
            shapes: Its shape parameters, in SciPy's order.
            inside: A point of the support (a function of the shapes where that depends on them); by default 1 above a
                lower end, or the middle.
            is_open: Whether the density at a finite end of the support is that outside of it.
            check: What shapes must fulfil together.
            **formulas: pdf, logpdf, cdf, logcdf, sf, logsf of `(z, *shapes)`; ppf, isf of `(q, *shapes)`; by_shape, the
                derivatives of cdf by each shape, for cdf that are no formulas; mean, var, skew, kurtosis, entropy of
                the shapes.
        """
        super().__init__(name, shapes or {}, check, formulas, bounds=support, inside=inside, is_open=is_open)

    # -- standard form -----------------------------------------------------------------------------------

    def interior(self, low: Any, high: Any, shapes: Sequence[Any]) -> Any:
        """Return a point of the support, which stands in for those outside."""
        if self.inside is not None:
            return self.inside(*shapes) if callable(self.inside) else self.inside
        left, right = np.isfinite(low), np.isfinite(high)
        one_sided = np.where(left, low + 1, np.where(right, high - 1, 0.0))
        return np.where(left & right, np.where(left, low, 0.0) / 2 + np.where(right, high, 0.0) / 2, one_sided)

    def at(self, x: Any, args: Sequence[Any], kwds: dict[str, Any]) -> tuple[Any, list[Any], Any, Any, Any, Any]:
        """Return standardised x, safe shapes, safe scale, ends of the support, and where parameters are invalid."""
        *shapes, loc, scale = self.parse(args, kwds)
        x = numbers(x)
        narrow = any_of(np.logical_not(scale > 0))
        bad, shapes = self.checked(shapes, narrow)
        scale = choose(narrow, 1.0, scale)
        moved = x if not isinstance(loc, TracedArray) and not np.any(loc) and not np.ndim(loc) else x - loc
        z = moved if not isinstance(scale, TracedArray) and np.all(scale == 1) and not np.ndim(scale) else moved / scale
        return z, shapes, scale, *self.ends(shapes), bad

    def density(self, rule: str, outside: float, x: Any, args: Sequence[Any], kwds: dict[str, Any]) -> Any:
        """Return pdf or logpdf."""
        z, shapes, scale, low, high, bad = self.at(x, args, kwds)
        if self.bounds == LINE:
            out = None
        elif self.is_open:
            out = any_of(z <= low, z >= high)
        else:
            out = any_of(z < low, z > high, np.isinf(z))
        z = choose(out, self.interior(low, high, shapes), z)
        y = getattr(self, f"std_{rule}")(z, shapes)
        if not (isinstance(scale, np.generic | float) and scale == 1):
            y = y - np.log(scale) if rule == "logpdf" else y / scale
        return self.masked(full(y, z, *shapes), (out, outside), (bad, math.nan))

    def share(self, rule: str, below: float, above: float, x: Any, args: Sequence[Any], kwds: dict[str, Any]) -> Any:
        """Return cdf, sf or the logarithm of one."""
        z, shapes, _, low, high, bad = self.at(x, args, kwds)
        left, right = (None, None) if self.bounds == LINE else (any_of(z <= low), any_of(z >= high))
        out = any_of(left, right)
        z = choose(out, self.interior(low, high, shapes), z)
        y = getattr(self, f"std_{rule}")(z, shapes)
        return self.masked(full(y, z, *shapes), (left, below), (right, above), (bad, math.nan))

    def masked(self, y: Any, *choices: tuple[Any, Any]) -> Any:
        """Return y with other values where the conditions hold."""
        for condition, value in choices:
            y = choose(condition, value, y)
        return y

    def quantile(self, rule: str, q: Any, args: Sequence[Any], kwds: dict[str, Any]) -> Any:
        """Return ppf or isf."""
        *shapes, loc, scale = self.parse(args, kwds)
        q = numbers(q)
        narrow = any_of(np.logical_not(scale > 0))
        bad, shapes = self.checked(shapes, narrow)
        low, high = self.ends(shapes)
        outside = any_of(np.logical_not((q > 0) & (q < 1)))
        y = getattr(self, f"std_{rule}")(choose(outside, 0.5, q), shapes)
        first, last = (low, high) if rule == "ppf" else (high, low)
        y = full(y, q, *shapes)
        if outside is not None:
            y = self.masked(y, (outside, math.nan), (any_of(q == 0), first), (any_of(q == 1), last))
        return choose(bad, math.nan, _placed(y, loc, scale))

    # -- formulas, and what stands for missing ones --------------------------------------------------------

    def std_logpdf(self, z: Any, shapes: Sequence[Any]) -> Any:
        formula = self.formula("logpdf")
        if formula is not None:
            return formula(z, *shapes)
        return log_of(self.std_pdf(z, shapes)) if self.formula("pdf") else self.hosted("logpdf")(z, *shapes)

    def std_pdf(self, z: Any, shapes: Sequence[Any]) -> Any:
        formula = self.formula("pdf")
        if formula is not None:
            return formula(z, *shapes)
        return np.exp(self.std_logpdf(z, shapes)) if self.formula("logpdf") else self.hosted("pdf")(z, *shapes)

    def std_cdf(self, z: Any, shapes: Sequence[Any]) -> Any:
        formula = self.formula("cdf")
        return (formula or self.hosted("cdf"))(z, *shapes)

    def std_sf(self, z: Any, shapes: Sequence[Any]) -> Any:
        formula = self.formula("sf")
        return (formula or self.hosted("sf"))(z, *shapes)

    def std_logcdf(self, z: Any, shapes: Sequence[Any]) -> Any:
        formula = self.formula("logcdf")
        if formula is not None:
            return formula(z, *shapes)
        return self._log("cdf", "sf", z, shapes)

    def std_logsf(self, z: Any, shapes: Sequence[Any]) -> Any:
        formula = self.formula("logsf")
        if formula is not None:
            return formula(z, *shapes)
        return self._log("sf", "cdf", z, shapes)

    def _log(self, rule: str, other: str, z: Any, shapes: Sequence[Any]) -> Any:
        """Return the logarithm of cdf or sf, from the smaller of the two."""
        share, rest = self.formula(rule), self.formula(other)
        if share is None or rest is None:
            return self.hosted(f"log{rule}")(z, *shapes)
        p, q = share(z, *shapes), rest(z, *shapes)
        most = q < 0.5
        return np.where(most, np.log1p(-np.where(most, q, 0.5)), log_of(p))

    def std_ppf(self, q: Any, shapes: Sequence[Any]) -> Any:
        return (self.formula("ppf") or self.hosted("ppf"))(q, *shapes)

    def std_isf(self, q: Any, shapes: Sequence[Any]) -> Any:
        return (self.formula("isf") or self.hosted("isf"))(q, *shapes)

    def hosted(self, rule: str) -> Hosted:
        """Return SciPy's method with the derivatives that follow from the density and the distribution function."""
        partials = [getattr(self, f"_{rule}_partial"), *(self._by_shape(rule, k) for k in range(len(self.names)))]
        return self.keep(rule, getattr(self.scipy, rule), partials)

    def _unknown(self, what: str) -> str:
        return f"the derivative with respect to {what} is not known for stats.{self.__name__}"

    @property
    def _pdf_partial(self) -> Partial:
        return self._unknown("x")

    @property
    def _logpdf_partial(self) -> Partial:
        return self._unknown("x")

    @property
    def _cdf_partial(self) -> Partial:
        return lambda y, z, *shapes: self.std_pdf(z, shapes)

    @property
    def _sf_partial(self) -> Partial:
        return lambda y, z, *shapes: -self.std_pdf(z, shapes)

    @property
    def _logcdf_partial(self) -> Partial:
        return lambda y, z, *shapes: np.exp(self.std_logpdf(z, shapes) - np.where(y == -INF, 0.0, y))

    @property
    def _logsf_partial(self) -> Partial:
        return lambda y, z, *shapes: -np.exp(self.std_logpdf(z, shapes) - np.where(y == -INF, 0.0, y))

    @property
    def _ppf_partial(self) -> Partial:
        return lambda y, q, *shapes: 1 / self.std_pdf(y, shapes)

    @property
    def _isf_partial(self) -> Partial:
        return lambda y, q, *shapes: -1 / self.std_pdf(y, shapes)

    def _by_shape(self, rule: str, k: int) -> Partial:
        """Return the derivative of a method that is SciPy's with respect to the k-th shape."""
        change = self._cdf_by_shape(k)
        if change is None or rule in ("pdf", "logpdf"):
            return self._unknown(self.names[k])
        return {
            "cdf": lambda y, z, *shapes: change(z, *shapes),
            "sf": lambda y, z, *shapes: -change(z, *shapes),
            "logcdf": lambda y, z, *shapes: change(z, *shapes) * np.exp(-np.where(y == -INF, 0.0, y)),
            "logsf": lambda y, z, *shapes: -change(z, *shapes) * np.exp(-np.where(y == -INF, 0.0, y)),
            "ppf": lambda y, q, *shapes: -change(y, *shapes) / self.std_pdf(y, shapes),
            "isf": lambda y, q, *shapes: -change(y, *shapes) / self.std_pdf(y, shapes),
        }[rule]

    def _cdf_by_shape(self, k: int) -> Formula | None:
        """Return the derivative of cdf with respect to the k-th shape, as a function of z and the shapes."""
        given = self.formulas.get("by_shape")
        if given is not None:
            return given[k]
        for rule, sign in (("cdf", 1), ("sf", -1)):
            formula = self.formula(rule)
            if formula is not None:
                return _slope_by_shape(formula, k, sign)
        return None

    # -- SciPy's methods ---------------------------------------------------------------------------------

    @method
    def pdf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the density at x."""
        return self.density("pdf", 0.0, x, args, kwds)

    @method
    def logpdf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the density at x."""
        return self.density("logpdf", -INF, x, args, kwds)

    @method
    def cdf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the probability of values up to x."""
        return self.share("cdf", 0.0, 1.0, x, args, kwds)

    @method
    def logcdf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of cdf."""
        return self.share("logcdf", -INF, 0.0, x, args, kwds)

    @method
    def sf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the probability of values above x."""
        return self.share("sf", 1.0, 0.0, x, args, kwds)

    @method
    def logsf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of sf."""
        return self.share("logsf", 0.0, -INF, x, args, kwds)

    @method
    def ppf(self, q: Any, *args: Any, **kwds: Any) -> Any:
        """Return the value that has probability q below it."""
        return self.quantile("ppf", q, args, kwds)

    @method
    def isf(self, q: Any, *args: Any, **kwds: Any) -> Any:
        """Return the value that has probability q above it."""
        return self.quantile("isf", q, args, kwds)

    @method
    def median(self, *args: Any, **kwds: Any) -> Any:
        """Return the median."""
        return self.ppf(0.5, *args, **kwds)

    @method
    def interval(self, confidence: Any, *args: Any, **kwds: Any) -> tuple[Any, Any]:
        """Return the interval around the median that holds this probability."""
        confidence = numbers(confidence)
        return self.ppf((1 - confidence) / 2, *args, **kwds), self.ppf((1 + confidence) / 2, *args, **kwds)

    @method
    def support(self, *args: Any, **kwds: Any) -> tuple[Any, Any]:
        """Return the ends of the support."""
        *shapes, loc, scale = self.parse(args, kwds)
        bad, shapes = self.checked(shapes, any_of(np.logical_not(scale > 0)))
        if self.bounds is None and holds_traced(list(shapes)):
            raise refuse(f"{self.called}.support with respect to shapes", "give plain shapes")
        low, high = (choose(bad, math.nan, _placed(end, loc, scale)) for end in self.ends(shapes))
        return low, high

    @method
    def mean(self, *args: Any, **kwds: Any) -> Any:
        """Return the mean."""
        return self._moments(args, kwds, "m")[0]

    @method
    def var(self, *args: Any, **kwds: Any) -> Any:
        """Return the variance."""
        return self._moments(args, kwds, "v")[0]

    @method
    def std(self, *args: Any, **kwds: Any) -> Any:
        """Return the standard deviation."""
        return np.sqrt(self._moments(args, kwds, "v")[0])

    @method
    def stats(self, *args: Any, **kwds: Any) -> Any:
        """Return some of mean ("m"), variance ("v"), skewness ("s") and kurtosis ("k"), as `moments` names them."""
        moments = kwds.pop("moments", "mv")
        names = [*self.signature.parameters, "moments"]
        if len(args) == len(names):
            *args, moments = args  # type: ignore[assignment]
        found = self._moments(args, kwds, [each for each in "mvsk" if each in moments])
        return found[0] if len(found) == 1 else tuple(found)

    def _moments(self, args: Sequence[Any], kwds: dict[str, Any], moments: Sequence[str]) -> list[Any]:
        *shapes, loc, scale = self.parse(args, kwds)
        bad, shapes = self.checked(shapes, any_of(np.logical_not(scale > 0)))
        found = []
        for each in moments:
            what = {"m": "mean", "v": "var", "s": "skew", "k": "kurtosis"}[each]
            y = self.standard(what, shapes)
            y = _placed(y, loc, scale) if each == "m" else y * scale * scale if each == "v" else y
            found.append(choose(bad, math.nan, full(y, loc, scale, *shapes)))
        return found

    @method
    def moment(self, order: Any, *args: Any, **kwds: Any) -> Any:
        """Return the moment about zero of an order from 0 to 4."""
        if isinstance(order, TracedArray) or order not in (0, 1, 2, 3, 4):
            raise refuse(f"{self.called}.moment of order {order}", "orders from 0 to 4 have one")
        mean, var, skew, kurtosis = self._moments(args, kwds, "mvsk" if order > 2 else "mv") + (
            [] if order > 2 else [0, 0]
        )
        third, fourth = skew * var**1.5, (kurtosis + 3) * var * var
        return [
            mean * 0 + 1,
            mean,
            var + mean * mean,
            third + 3 * mean * var + mean**3,
            fourth + 4 * mean * third + 6 * mean * mean * var + mean**4,
        ][int(order)]

    @method
    def entropy(self, *args: Any, **kwds: Any) -> Any:
        """Return the differential entropy."""
        *shapes, loc, scale = self.parse(args, kwds)
        narrow = any_of(np.logical_not(scale > 0))
        bad, shapes = self.checked(shapes, narrow)
        y = self.standard("entropy", shapes) + np.log(choose(narrow, 1.0, scale))
        return choose(bad, math.nan, full(y, loc, *shapes))

    @method
    def nnlf(self, theta: Any, x: Any) -> Any:
        """Return the negative log-likelihood of data x, with the parameters in `theta`."""
        *parameters, loc, scale = list(theta)
        return -np.sum(self.logpdf(x, *parameters, loc, scale))


class Discrete(Distribution):
    """Twin of a discrete distribution: derivatives with respect to its continuous parameters.

    A mass is a function of whole numbers, so a derivative with respect to one is refused; cdf and sf are steps, with
    derivative 0.
    """

    defaults: ClassVar[dict[str, Any]] = {"loc": 0}
    methods = frozenset(["pmf", "logpmf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf", "mean", "var", "std", "median",
                         "entropy", "stats", "interval", "support"])  # fmt: skip

    def __init__(
        self,
        name: str,
        support: Any = None,
        shapes: dict[str, Shape] | None = None,
        *,
        inside: Formula | float = 0.0,
        whole: Sequence[str] = (),
        check: Formula | None = None,
        **formulas: Any,
    ) -> None:
        """Declare a distribution; as of `Continuous`, with k for z.

        Args:
            name: SciPy's name of it.
            support: Ends of the support.
            shapes: Its shape parameters.
            inside: A point of the support.
            whole: Parameters that are whole numbers.
            check: What shapes must fulfil together.
            **formulas: logpmf, cdf, logcdf, sf, logsf of `(k, *shapes)`; mean, var, entropy of the shapes.
        """
        super().__init__(name, shapes or {}, check, formulas, bounds=support, inside=inside, whole=tuple(whole))

    def at(self, k: Any, args: Sequence[Any], kwds: dict[str, Any], is_step: bool) -> tuple[Any, ...]:
        """Return k, where it is whole, safe shapes, ends of the support, and where parameters are invalid."""
        *shapes, loc = self.parse(args, kwds)
        k = numbers(k)
        k = k if not isinstance(loc, TracedArray) and not np.any(loc) and not np.ndim(loc) else k - loc
        shapes = [whole(s) if name in self.whole else s for name, s in zip(self.names, shapes, strict=True)]
        bad, shapes = self.checked(shapes)
        floor = np.floor(k)
        return k, whole(k) if not is_step else floor, any_of(floor != k), shapes, *self.ends(shapes), bad

    def mass(self, rule: str, outside: float, k: Any, args: Sequence[Any], kwds: dict[str, Any]) -> Any:
        """Return pmf or logpmf."""
        given, k, broken, shapes, low, high, bad = self.at(k, args, kwds, False)
        out = any_of(broken, _bound(low, k < low), _bound(high, k > high), np.isinf(k))
        k = choose(out, self.inside(*shapes) if callable(self.inside) else self.inside, k)
        formula = self.formula("logpmf")
        if formula is None:
            y = self.hosted(rule)(k, *shapes)
        else:
            y = formula(k, *shapes)
            y = np.exp(y) if rule == "pmf" else y
        nan = any_of(np.isnan(given))
        y = choose(out, outside, full(y, given, *shapes))
        return choose(any_of(bad, nan), math.nan, y)

    def share(self, rule: str, below: float, above: float, k: Any, args: Sequence[Any], kwds: dict[str, Any]) -> Any:
        """Return cdf, sf or the logarithm of one."""
        given, k, _, shapes, low, high, bad = self.at(k, args, kwds, True)
        left, right = any_of(_bound(low, k < low)), any_of(_bound(high, k >= high), given == INF)
        out = any_of(left, right)
        k = choose(out, self.inside(*shapes) if callable(self.inside) else self.inside, k)
        formula, base = self.formula(rule), rule.removeprefix("log")
        if formula is not None:
            y = formula(k, *shapes)
        elif rule != base and self.formula(base) is not None:
            y = log_of(self.formulas[base](k, *shapes))
        else:
            y = self.hosted(rule)(k, *shapes)
        y = full(y, given, *shapes)
        for condition, value in ((left, below), (right, above), (any_of(bad, any_of(np.isnan(given))), math.nan)):
            y = choose(condition, value, y)
        return y

    def hosted(self, rule: str) -> Hosted:
        """Return SciPy's method without derivatives."""
        words = "the derivative with respect to {} is not known for " + self.called
        partials = [None, *(None if name in self.whole else words.format(name) for name in self.names)]
        return self.keep(rule, getattr(self.scipy, rule), partials)

    @method
    def pmf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the probability of k."""
        return self.mass("pmf", 0.0, k, args, kwds)

    @method
    def logpmf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the probability of k."""
        return self.mass("logpmf", -INF, k, args, kwds)

    @method
    def cdf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the probability of values up to k."""
        return self.share("cdf", 0.0, 1.0, k, args, kwds)

    @method
    def logcdf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of cdf."""
        return self.share("logcdf", -INF, 0.0, k, args, kwds)

    @method
    def sf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the probability of values above k."""
        return self.share("sf", 1.0, 0.0, k, args, kwds)

    @method
    def logsf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of sf."""
        return self.share("logsf", 0.0, -INF, k, args, kwds)

    def _step(self, rule: str, q: Any, args: Sequence[Any], kwds: dict[str, Any]) -> Any:
        """Return ppf or isf, steps with derivative 0."""
        step = self.keep(rule, getattr(self.scipy, rule), [None] * (1 + len(self.signature.parameters)))
        return step(numbers(q), *self.parse(args, kwds))

    @method
    def ppf(self, q: Any, *args: Any, **kwds: Any) -> Any:
        """Return the least value that has at least probability q up to it."""
        return self._step("ppf", q, args, kwds)

    @method
    def isf(self, q: Any, *args: Any, **kwds: Any) -> Any:
        """Return the least value that has at most probability q above it."""
        return self._step("isf", q, args, kwds)

    @method
    def median(self, *args: Any, **kwds: Any) -> Any:
        """Return the median."""
        return self.ppf(0.5, *args, **kwds)

    @method
    def interval(self, confidence: Any, *args: Any, **kwds: Any) -> tuple[Any, Any]:
        """Return the interval around the median that holds this probability."""
        confidence = numbers(confidence)
        return self.ppf((1 - confidence) / 2, *args, **kwds), self.ppf((1 + confidence) / 2, *args, **kwds)

    @method
    def support(self, *args: Any, **kwds: Any) -> tuple[Any, Any]:
        """Return the ends of the support."""
        *shapes, loc = self.parse(args, kwds)
        bad, shapes = self.checked(shapes)
        low, high = (choose(bad, math.nan, end + loc) for end in self.ends(shapes))
        return low, high

    @method
    def mean(self, *args: Any, **kwds: Any) -> Any:
        """Return the mean."""
        return self._moments(args, kwds, "m")[0]

    @method
    def var(self, *args: Any, **kwds: Any) -> Any:
        """Return the variance."""
        return self._moments(args, kwds, "v")[0]

    @method
    def std(self, *args: Any, **kwds: Any) -> Any:
        """Return the standard deviation."""
        return np.sqrt(self._moments(args, kwds, "v")[0])

    @method
    def stats(self, *args: Any, **kwds: Any) -> Any:
        """Return some of mean ("m"), variance ("v"), skewness ("s") and kurtosis ("k"), as `moments` names them."""
        moments = kwds.pop("moments", "mv")
        if len(args) > len(self.signature.parameters):
            *args, moments = args  # type: ignore[assignment]
        found = self._moments(args, kwds, [each for each in "mvsk" if each in moments])
        return found[0] if len(found) == 1 else tuple(found)

    def _moments(self, args: Sequence[Any], kwds: dict[str, Any], moments: Sequence[str]) -> list[Any]:
        *shapes, loc = self.parse(args, kwds)
        bad, shapes = self.checked(shapes)
        found = []
        for each in moments:
            what = {"m": "mean", "v": "var", "s": "skew", "k": "kurtosis"}[each]
            y = self.standard(what, shapes)
            found.append(choose(bad, math.nan, full(y + loc if each == "m" else y, loc, *shapes)))
        return found

    @method
    def entropy(self, *args: Any, **kwds: Any) -> Any:
        """Return the entropy."""
        *shapes, loc = self.parse(args, kwds)
        bad, shapes = self.checked(shapes)
        return choose(bad, math.nan, full(self.standard("entropy", shapes), loc, *shapes))


_WHOLE = Hosted("whole number", np.positive, ["a mass at whole numbers has no derivative with respect to them; take it "
                "with respect to the continuous parameters"], "{0}")  # fmt: skip


def whole(k: Any) -> Any:
    """Return k, whose derivative is refused where it is asked."""
    return _WHOLE(k) if isinstance(k, TracedArray) else k


def _bound(end: Any, beyond: Any) -> Any:
    """Return where a point is beyond an end of the support; None of an infinite end."""
    return None if isinstance(end, float) and math.isinf(end) else beyond


def _placed(y: Any, loc: Any, scale: Any) -> Any:
    """Return loc + scale * y, for infinite y too."""
    return y * scale + loc


def _slope_by_shape(formula: Formula, k: int, sign: int) -> Formula:
    def change(z: Any, *shapes: Any) -> Any:
        rest = [full(each, z, *shapes) for each in shapes]
        found = slope(lambda shape: formula(full(z, *shapes), *rest[:k], shape, *rest[k + 1 :]), rest[k])
        return found if sign > 0 else -found

    return change


class Frozen:
    """A distribution with fixed parameters, which may be traced; SciPy's own where they are not."""

    def __init__(self, twin: Any, args: tuple[Any, ...], kwds: dict[str, Any]) -> None:
        self.twin = twin
        self.fixed = args, kwds
        self.scipy = None if holds_traced([*args, *kwds.values()]) else twin.scipy(*args, **kwds)

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            scipys = object.__getattribute__(self, "__dict__").get("scipy")
            return type(self) if scipys is None else type(scipys)
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("scipy", "twin", "fixed"):
            raise AttributeError(name)
        own = None if self.scipy is None else getattr(self.scipy, name)
        if own is not None and not isinstance(own, types.MethodType):
            return own
        if own is None:
            return self.traced(name)

        def call(*given: Any, **more: Any) -> Any:
            if not holds_traced([*given, *more.values()]):
                return own(*given, **more)
            return self.traced(name)(*given, **more)

        return call

    def traced(self, name: str) -> Any:
        """Return an attribute, or a method for traced arguments."""
        args, kwds = self.fixed
        known = {"args": args, "kwds": kwds, "dist": self.twin}
        if name in known:
            return known[name]
        found = getattr(self.twin, name)
        return (lambda *given, **more: found(*given, *args, **more, **kwds)) if callable(found) else found

    def __repr__(self) -> str:
        return f"<frozen {self.twin!r}>"

    def __reduce__(self) -> Any:
        return type(self), (self.twin, *self.fixed)
