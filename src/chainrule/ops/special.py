"""The functions of `scipy.special`, element by element: one ufunc and one partial per argument on each line.

A partial is a formula in the library's own ops where there is one. Derivatives with respect to parameters that no
formula gives (the order of a Bessel function, the parameters of a hypergeometric one) are computed as numbers by
`chainrule.ops.parameters`: ops with names such as ``jv_wrt_0``, which have derivatives in turn up to the second order
in that parameter. A parameter that counts, such as a degree, has no derivative, and says so.

A ufunc with several results is one op for each of them, see `RESULTS`.

Formulas are those of the NIST Digital Library of Mathematical Functions (DLMF) unless another source is given.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special

from chainrule import ir
from chainrule.edges import push
from chainrule.errors import NotDifferentiableError
from chainrule.ir import Builder, Node, Op
from chainrule.ops import parameters
from chainrule.ops.family import Interval, Partial, Wirtinger, pointwise
from chainrule.ops.pointwise import (
    AWAY,
    POSITIVE,
    SMOOTH,
    UNIT,
    absolute,
    conjugate,
    cos,
    cosh,
    exp,
    imag,
    log,
    log1p,
    maximum,
    minimum,
    one_like,
    power,
    real,
    rint,
    scale,
    sign,
    sin,
    sinh,
    sqrt,
    where,
)
from chainrule.types import Spec, real_dtype

PROBABILITY = Interval(0.05, 0.95)
LARGER = Interval(1.2, 3)
DEGREE = Interval(0, 4, integers=True)

RESULTS: dict[np.ufunc, tuple[Op, ...]] = {}
"""The ops that stand for a ufunc with several results, one for each."""

FORMULAS: dict[str, tuple[Any, ...]] = {}
"""The partials of each op declared here, by which its inverses are differentiated."""


# -- declarations --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Differences:
    """A partial computed by differences, of a function that is analytic in this argument where it is above `low`."""

    low: float = -math.inf


def whole(name: str) -> str:
    """Return why there is no derivative with respect to an argument that counts."""
    return f"{name} is a whole number; there is no derivative with respect to it"


def special(name: str, evaluate: Callable[..., Any], *partials: Partial | Differences, **declared: Any) -> Op:
    """Declare an op as `pointwise` does; partials may be `Differences`."""
    if "source" not in declared:
        declared["source"] = f"scipy.special.{evaluate.__name__}"
    if "dtype" not in declared and not isinstance(evaluate, np.ufunc):
        raise TypeError(f"{name}: a rule for the dtype is needed")
    if len(partials) > 1:
        declared.setdefault("dtypes", "d")
    formulas: list[Any] = list(partials)
    for k, partial in enumerate(partials):
        if isinstance(partial, Differences):
            formulas[k] = _by_differences(name, evaluate, k, partials, partial.low, declared)
    FORMULAS[name] = tuple(formulas)
    return pointwise(name, evaluate, *formulas, **declared)


def _by_differences(
    name: str, evaluate: Callable[..., Any], k: int, partials: Sequence[Any], low: float, declared: dict[str, Any]
) -> Callable[..., Any]:
    """Declare the op for a derivative that is a number, and return it as a formula."""
    own = f"{name}_wrt_{k}"
    infer = declared.get("dtype") or functools.partial(_dtype_of, evaluate, 0)

    def compute(*xs: Any, times: int) -> Any:
        found = parameters.difference(evaluate, xs, k, times, low)
        return np.asarray(found).astype(infer(*(np.asarray(x).dtype for x in xs)))[()]

    def again(y: Node, *xs: Node, times: int) -> Any:
        if times == 2:
            raise NotDifferentiableError(
                f"{own}: derivatives of {name} above the second in this argument are not known"
            )
        return op(*xs, times=2)

    def across(j: int) -> Any:
        partial = partials[j]
        if isinstance(partial, Differences):
            return f"mixed derivatives of {name} with respect to arguments {k} and {j} are not known"
        if partial is None or isinstance(partial, str):
            return partial
        return lambda y, *xs, times: _exchanged(name, partial, k, xs, times)

    def source(*xs: str, times: int) -> str:
        names = [f"x{j}" for j in range(len(xs))]
        called = declared["source"]
        text = called.format(*names) if "{" in called else f"{called}({', '.join(names)})"
        return f"difference(lambda {', '.join(names)}: {text}, [{', '.join(xs)}], {k}, {times}, {_spelled(low)})"

    op = pointwise(
        own,
        compute,
        *(again if j == k else across(j) for j in range(len(partials))),
        doc=f"Derivative of {name} with respect to argument {k}, `times` times.",
        dtype=lambda *found, times: infer(*found),
        domain=[Interval(each.low + 0.5, each.high) if each is DEGREE else each for each in declared.get("domain", ())],
        dtypes="d",
        params={"times": 1},
        source=source,
    )
    return lambda y, *xs: op(*xs, times=1)


def _spelled(low: float) -> str:
    return repr(low) if math.isfinite(low) else "-np.inf"


def _exchanged(name: str, partial: Callable[..., Any], k: int, xs: Sequence[Node], times: int) -> Any:
    """Return the derivative of a partial with respect to argument k: in another order, the same as of that derivative.

    The formula is written once more for independent arguments, differentiated there and copied.
    """
    scratch = Builder()
    inputs = [scratch.input(x.spec.with_shape(())) for x in xs]
    if not inputs[k].spec.is_inexact:
        inputs[k] = scratch.input(Spec((), np.dtype(float)))
    slope = partial(ir.REGISTRY[name](*inputs), *inputs)
    for _ in range(times):
        if not isinstance(slope, Node):
            return 0
        (slope,) = push({inputs[k]: one_like(inputs[k])}, [slope])
        if slope is None:
            return 0
    return ir.inline([slope], dict(zip(inputs, xs, strict=True)), xs[0].builder)[0]


@functools.lru_cache(maxsize=4096)
def _dtype_of(ufunc: np.ufunc, index: int, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of a result of a ufunc by its own promotion."""
    try:
        return ufunc.resolve_dtypes((*dtypes, *[None] * ufunc.nout))[ufunc.nin + index]
    except TypeError:
        results = ufunc(*(np.ones((), dtype) for dtype in dtypes))
        return np.asarray(results[index] if ufunc.nout > 1 else results).dtype


def several(ufunc: np.ufunc, names: str, *results: Sequence[Any], **declared: Any) -> list[Op]:
    """Declare one op for each result of a ufunc.

    Args:
        ufunc: SciPy's.
        names: What the results are called, with blanks between.
        *results: For each result the partials, one per argument.
        **declared: As of `special`.
    """
    arguments = ", ".join(f"{{{k}}}" for k in range(ufunc.nin))
    found = []
    for k, (name, partials) in enumerate(zip(names.split(), results, strict=True)):
        found.append(
            special(
                name,
                functools.partial(_result, ufunc, k),
                *partials,
                doc=f"Result {k} of scipy.special.{ufunc.__name__}.",
                dtype=functools.partial(_dtype_of, ufunc, k),
                source=f"scipy.special.{ufunc.__name__}({arguments})[{k}]",
                **declared,
            )
        )
    RESULTS[ufunc] = tuple(found)
    return found


def _result(ufunc: np.ufunc, index: int, *xs: Any) -> Any:
    return ufunc(*xs)[index]


def inverse(name: str, ufunc: np.ufunc, slopes: Sequence[Any], place: int, **declared: Any) -> Op:
    """Declare the inverse of a function F in one argument, by the implicit function theorem.

    Args:
        name: Name of the op.
        ufunc: ``ufunc(..., p, ...)``, p in the place of the argument for which F(..., y, ...) = p is solved.
        slopes: Partials of F.
        place: Which argument.
        **declared: As of `special`.
    """

    def partial(j: int) -> Any:
        slope, steep = slopes[j], slopes[place]
        if isinstance(slope, str) or slope is None:
            return slope

        def formula(y: Node, *xs: Node) -> Any:
            args = (*xs[:place], y, *xs[place + 1 :])
            if j == place:
                return 1 / steep(xs[place], *args)
            return -(slope(xs[place], *args) / steep(xs[place], *args))

        return formula

    return special(name, ufunc, *map(partial, range(len(slopes))), **declared)


def negated(slopes: Sequence[Any]) -> list[Any]:
    """Return the partials of -F, or 1 - F, from those of F."""

    def turn(slope: Any) -> Any:
        return (lambda y, *xs: -slope(y, *xs)) if callable(slope) else slope

    return [turn(slope) for slope in slopes]


def fixed(x: Node, value: float) -> Node:
    """Return a real number in the precision of x, for arguments that are real beside a complex x."""
    return x.builder.constant(real_dtype(x.dtype).type(value))


def _computed(
    name: str, function: Callable[..., Any], *partials: Any, doc: str, params: Any = None, **declared: Any
) -> Op:
    """Declare an op for a function of `chainrule.ops.parameters`."""

    def source(*xs: str, **found: Any) -> str:
        return f"{function.__name__}({', '.join([*xs, *(repr(value) for value in found.values())])})"

    def evaluate(*xs: Any, **found: Any) -> Any:
        return function(*xs, *found.values())

    def dtype(*found: Any, **_: Any) -> Any:
        return np.result_type(*found, np.float16)

    return pointwise(
        name, evaluate, *partials, doc=doc, dtype=dtype, params=params, source=source, dtypes="d", **declared
    )


# -- error functions -----------------------------------------------------------------------------------

_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
erf = special("erf", scipy.special.erf, lambda y, x: _TWO_OVER_SQRT_PI * exp(-(x * x)), dtypes=SMOOTH)
erfc = special("erfc", scipy.special.erfc, lambda y, x: -_TWO_OVER_SQRT_PI * exp(-(x * x)), dtypes=SMOOTH)
erfi = special("erfi", scipy.special.erfi, lambda y, x: _TWO_OVER_SQRT_PI * exp(x * x), dtypes=SMOOTH)
erfinv = special("erfinv", scipy.special.erfinv, lambda y, x: exp(y * y) / _TWO_OVER_SQRT_PI, domain=[UNIT])
erfcinv = special(
    "erfcinv", scipy.special.erfcinv, lambda y, x: exp(y * y) / -_TWO_OVER_SQRT_PI, domain=[Interval(0.1, 1.9)]
)


def _rest_of_tail(square: Node, turn: int) -> Node:
    """Return Σ turnⁿ (2n-1)!! / (2 z²)ⁿ over n = 1, ..., 12: 1e-15 for |z| > 10."""
    w = 0.5 / square
    total: Any = 0.0
    for n in range(12, 0, -1):
        total = (turn * (2 * n - 1)) * w * (1 + total)
    return total


def _erfcx_slope(y: Node, x: Node) -> Node:
    direct = 2 * x * y - _TWO_OVER_SQRT_PI
    if x.spec.is_complex:
        return direct
    far = x > 10  # there the two terms cancel
    return where(far, _TWO_OVER_SQRT_PI * _rest_of_tail(where(far, x * x, 100.0), -1), direct)


def _dawsn_slope(y: Node, x: Node) -> Node:
    direct = 1 - 2 * x * y
    if x.spec.is_complex:
        return direct
    far = absolute(x) > 10
    return where(far, -_rest_of_tail(where(far, x * x, 100.0), 1), direct)


def _wofz_slope(y: Node, z: Node) -> Node:
    far = (absolute(z) > 10) * (imag(z) >= 0)
    tail = -_TWO_OVER_SQRT_PI * _rest_of_tail(where(far, z * z, 100.0), 1)
    return where(far, 1j * tail, 1j * _TWO_OVER_SQRT_PI - 2 * z * y)


erfcx = special("erfcx", scipy.special.erfcx, _erfcx_slope, dtypes=SMOOTH)
dawsn = special("dawsn", scipy.special.dawsn, _dawsn_slope, dtypes=SMOOTH)
wofz = special("wofz", scipy.special.wofz, _wofz_slope, dtypes="D")


def _faddeeva_slope(x: Node, s: Node, g: Node) -> tuple[Node, Node]:
    """Return z = (x + iγ) / (σ √2) and w'(z)."""
    z = (x + 1j * g) / (s * math.sqrt(2))
    return z, _wofz_slope(wofz(z), z)


_VOIGT = 1 / (2 * math.sqrt(math.pi))
voigt_profile = special(
    "voigt_profile",
    scipy.special.voigt_profile,
    lambda y, x, s, g: _VOIGT * real(_faddeeva_slope(x, s, g)[1]) / (s * s),
    lambda y, x, s, g: -(y + math.sqrt(2) * _VOIGT * real(math.prod(_faddeeva_slope(x, s, g))) / s) / s,
    lambda y, x, s, g: -_VOIGT * imag(_faddeeva_slope(x, s, g)[1]) / (s * s),
    domain=[Interval(), AWAY, AWAY],
)
several(
    scipy.special.fresnel,
    "fresnel_s fresnel_c",
    [lambda y, x: sin(math.pi / 2 * x * x)],
    [lambda y, x: cos(math.pi / 2 * x * x)],
    dtypes=SMOOTH,
)
_EIGHTH = np.exp(0.25j * math.pi) / math.sqrt(math.pi)
several(
    scipy.special.modfresnelp,
    "modfresnelp_f modfresnelp_k",
    [lambda y, x: -exp(1j * x * x)],
    [lambda y, x: -2j * x * y - complex(np.conj(_EIGHTH))],
    domain=[POSITIVE],
    dtypes="d",
)
several(
    scipy.special.modfresnelm,
    "modfresnelm_f modfresnelm_k",
    [lambda y, x: -exp(-1j * x * x)],
    [lambda y, x: 2j * x * y - complex(_EIGHTH)],
    domain=[POSITIVE],
    dtypes="d",
)

# -- the normal distribution and logistic functions -------------------------------------------------------

ndtr = special("ndtr", scipy.special.ndtr, lambda y, x: exp(-0.5 * x * x) / math.sqrt(2 * math.pi), dtypes=SMOOTH)


def _hazard(y: Node, x: Node) -> Node:
    """Return φ(x) / Φ(x)."""
    if x.spec.is_complex:
        return exp(-0.5 * x * x - y) / math.sqrt(2 * math.pi)
    return _SQRT_2_OVER_PI / erfcx(x * -math.sqrt(0.5))


log_ndtr = special("log_ndtr", scipy.special.log_ndtr, _hazard, dtypes=SMOOTH)
ndtri = inverse("ndtri", scipy.special.ndtri, FORMULAS["ndtr"], 0, domain=[PROBABILITY])
ndtri_exp = special(
    "ndtri_exp",
    scipy.special.ndtri_exp,
    lambda y, x: erfcx(y * -math.sqrt(0.5)) / _SQRT_2_OVER_PI,
    domain=[Interval(-4, -0.1)],
)
expit = special("expit", scipy.special.expit, lambda y, x: y * (1 - y))
logit = special("logit", scipy.special.logit, lambda y, x: 1 / (x * (1 - x)), domain=[PROBABILITY])
log_expit = special("log_expit", scipy.special.log_expit, lambda y, x: expit(-x))
owens_t = special(
    "owens_t",
    scipy.special.owens_t,
    lambda y, h, a: exp(-0.5 * h * h) * erf(a * h * math.sqrt(0.5)) * (-0.25 * _SQRT_2_OVER_PI),
    lambda y, h, a: exp(-0.5 * h * h * (1 + a * a)) / (2 * math.pi * (1 + a * a)),
)
_NORMAL = (
    lambda y, m, s, x: exp(-0.5 * ((x - m) / s) ** 2) / (-math.sqrt(2 * math.pi) * s),
    lambda y, m, s, x: exp(-0.5 * ((x - m) / s) ** 2) * (x - m) / (-math.sqrt(2 * math.pi) * s * s),
    lambda y, m, s, x: exp(-0.5 * ((x - m) / s) ** 2) / (math.sqrt(2 * math.pi) * s),
)
nrdtrimn = inverse("nrdtrimn", scipy.special.nrdtrimn, _NORMAL, 0, domain=[PROBABILITY, AWAY, Interval()])
nrdtrisd = inverse(
    "nrdtrisd", scipy.special.nrdtrisd, _NORMAL, 1, domain=[Interval(-2, 0), Interval(0.6, 0.9), Interval(1, 3)]
)

# -- elementary functions ------------------------------------------------------------------------------

exprel_order = _computed(
    "exprel_order",
    parameters.exprel_order,
    lambda y, x, order: exprel_order(x, order=order + 1),
    doc="∫ tⁿ exp(x t) dt over 0 ≤ t ≤ 1; of order n.",
    params={"order": 1},
)
exprel = special("exprel", scipy.special.exprel, lambda y, x: exprel_order(x, order=1))
cosm1 = special("cosm1", scipy.special.cosm1, lambda y, x: -sin(x))
special("special_exp2", scipy.special.exp2, lambda y, x: y * math.log(2), lower="exp2")
special("exp10", scipy.special.exp10, lambda y, x: y * math.log(10))
special("special_expm1", scipy.special.expm1, lambda y, x: exp(x), lower="expm1", dtypes=SMOOTH)
special("special_log1p", scipy.special.log1p, lambda y, x: 1 / (1 + x), lower="log1p", domain=[POSITIVE],
        dtypes=SMOOTH)  # fmt: skip
special("special_cbrt", scipy.special.cbrt, lambda y, x: 1 / (3 * y * y), lower="cbrt", domain=[POSITIVE])
special("special_round", scipy.special.round, None)
_DEGREE = math.pi / 180
sindg = special("sindg", scipy.special.sindg, lambda y, x: cosdg(x) * _DEGREE)
cosdg = special("cosdg", scipy.special.cosdg, lambda y, x: sindg(x) * -_DEGREE)
special("tandg", scipy.special.tandg, lambda y, x: (1 + y * y) * _DEGREE)
special("cotdg", scipy.special.cotdg, lambda y, x: (1 + y * y) * -_DEGREE, domain=[AWAY])
special(
    "radian",
    scipy.special.radian,
    lambda y, d, m, s: _DEGREE,
    lambda y, d, m, s: _DEGREE / 60,
    lambda y, d, m, s: _DEGREE / 3600,
)
xlogy = special(
    "xlogy",
    scipy.special.xlogy,
    lambda y, a, b: log(b),
    lambda y, a, b: scale(a, 1 / b),
    domain=[POSITIVE, POSITIVE],
    dtypes=SMOOTH,
)
xlog1py = special(
    "xlog1py",
    scipy.special.xlog1py,
    lambda y, a, b: log1p(b),
    lambda y, a, b: scale(a, 1 / (1 + b)),
    domain=[POSITIVE, POSITIVE],
    dtypes=SMOOTH,
)
special("entr", scipy.special.entr, lambda y, x: -(log(x) + 1), domain=[POSITIVE])
special(
    "rel_entr",
    scipy.special.rel_entr,
    lambda y, a, b: log(a) - log(b) + 1,
    lambda y, a, b: -(a / b),
    domain=[POSITIVE, POSITIVE],
)
special(
    "kl_div",
    scipy.special.kl_div,
    lambda y, a, b: log(a) - log(b),
    lambda y, a, b: 1 - a / b,
    domain=[POSITIVE, POSITIVE],
)
special(
    "huber",
    scipy.special.huber,
    lambda y, d, r: maximum(absolute(r) - d, 0.0),
    lambda y, d, r: maximum(minimum(r, d), -d),
    domain=[AWAY, Interval(2.5, 4)],
)


def _arc(d: Node, r: Node) -> Node:
    """Return √(1 + (r/δ)²)."""
    return sqrt(1 + (r / d) * (r / d))


special(
    "pseudo_huber",
    scipy.special.pseudo_huber,
    lambda y, d, r: (r / d) ** 4 * d / ((_arc(d, r) + 1) * (_arc(d, r) + 1) * _arc(d, r)),
    lambda y, d, r: r / _arc(d, r),
    domain=[AWAY, Interval()],
)


def _boxcox_slope(log_x: Node, p: Node) -> Node:
    """Return the derivative of (x^λ - 1) / λ with respect to λ."""
    return log_x * log_x * exprel_order(p * log_x, order=1)


special(
    "boxcox",
    scipy.special.boxcox,
    lambda y, x, p: power(x, p - 1),
    lambda y, x, p: _boxcox_slope(log(x), p),
    domain=[POSITIVE, Interval()],
)
special(
    "boxcox1p",
    scipy.special.boxcox1p,
    lambda y, x, p: power(1 + x, p - 1),
    lambda y, x, p: _boxcox_slope(log1p(x), p),
    domain=[POSITIVE, Interval()],
)
special(
    "inv_boxcox",
    scipy.special.inv_boxcox,
    lambda y, x, p: power(y, 1 - p),
    lambda y, x, p: -(_boxcox_slope(log(y), p) * power(y, 1 - p)),
    domain=[Interval(0.1, 0.9), Interval(-0.9, 0.9)],
)
special(
    "inv_boxcox1p",
    scipy.special.inv_boxcox1p,
    lambda y, x, p: power(1 + y, 1 - p),
    lambda y, x, p: -(_boxcox_slope(log1p(y), p) * power(1 + y, 1 - p)),
    domain=[Interval(0.1, 0.9), Interval(-0.9, 0.9)],
)
special(
    "powm1",
    scipy.special.powm1,
    lambda y, x, p: p * power(x, p - 1),
    lambda y, x, p: where(x.equals(0), 0.0, power(x, p) * log(where(x.equals(0), 1.0, x))),
    domain=[POSITIVE, Interval()],
)
wrightomega = special("wrightomega", scipy.special.wrightomega, lambda y, z: y / (1 + y), dtypes=SMOOTH)


def _lambertw(z: Any, k: Any) -> Any:
    return scipy.special.lambertw(z, k)


lambertw = special(
    "lambertw",
    _lambertw,
    lambda y, z, k: exp(-y) / (1 + y),
    whole("k, the branch,"),
    doc="Lambert's W: w exp(w) = z.",
    dtype=lambda z, k: np.dtype(complex),
    source="scipy.special.lambertw",
    domain=[POSITIVE, Interval(-1, 1, integers=True)],
    dtypes="D",
)


def _agm_slope(y: Node, a: Node, b: Node) -> Node:
    """Return ∂M/∂a, from M(a, b) = π b / (2 K(1 - a²/b²))."""
    ratio = a / b
    return ratio * (y / b) ** 2 * elliprd(0.0, 1.0, ratio * ratio) * (2 / (3 * math.pi))


agm = special(
    "agm",
    scipy.special.agm,
    _agm_slope,
    lambda y, a, b: _agm_slope(y, b, a),
    domain=[AWAY, AWAY],
)

# -- gamma functions -----------------------------------------------------------------------------------


def _psi_slope(y: Node, x: Node) -> Node:
    return _complex_trigamma(y, x) if x.spec.is_complex else zeta(2.0, x)


zeta_order = _computed(
    "zeta_order",
    parameters.zeta_order,
    lambda y, s, q, order: _next_zeta(s, q, order),
    lambda y, s, q, order: _zeta_order_wrt_q(s, q, order),
    doc="Derivative of the Hurwitz zeta function with respect to s.",
    params={"order": 1},
    domain=[Interval(2, 4), AWAY],
)


def _next_zeta(s: Node, q: Node, order: int) -> Node:
    if order == 2:
        raise NotDifferentiableError("zeta_order: derivatives of zeta above the second in s are not known")
    return zeta_order(s, q, order=2)


def _zeta_order_wrt_q(s: Node, q: Node, order: int) -> Node:
    """Return the derivative of -s ζ(s+1, q) with respect to s."""
    before = zeta(s + 1, q) if order == 1 else zeta_order(s + 1, q, order=1)
    return -(s * zeta_order(s + 1, q, order=order) + order * before)


def _zeta(s: Any, q: Any) -> Any:
    return scipy.special.zeta(s, q)


zeta = special(
    "zeta",
    scipy.special.zeta,
    lambda y, s, q: zeta_order(s, q, order=1),
    lambda y, s, q: -(s * zeta(s + 1, q)),
    doc="Hurwitz zeta function; psi' is zeta(2, x).",
    dtype=lambda s, q: scipy.special.zeta(np.ones((), s), np.ones((), q)).dtype,
    domain=[Interval(2, 4), AWAY],
)
psi = special("psi", scipy.special.psi, _psi_slope, domain=[AWAY])
_complex_trigamma = _by_differences(
    "psi", scipy.special.psi, 0, [Differences()], -math.inf, {"source": "scipy.special.psi", "domain": [AWAY]}
)
gammaln = special("gammaln", scipy.special.gammaln, lambda y, x: psi(x), domain=[POSITIVE])
gamma = special("gamma", scipy.special.gamma, lambda y, x: y * psi(x), domain=[POSITIVE])
loggamma = special("loggamma", scipy.special.loggamma, lambda y, x: psi(x), domain=[POSITIVE])
special("gammasgn", scipy.special.gammasgn, None, domain=[POSITIVE])


def _rgamma_slope(y: Node, x: Node) -> Node:
    """Return -ψ(x) / Γ(x), and at its zeros (-1)ⁿ n!."""
    if x.spec.is_complex:
        return -(y * psi(x))
    zero = y.equals(0) * (x <= 0)
    return where(zero, cos(math.pi * where(zero, x, 0.0)) * gamma(where(zero, 1 - x, 1.0)), -(y * psi(x)))


rgamma = special("rgamma", scipy.special.rgamma, _rgamma_slope, domain=[POSITIVE])
poch = special(
    "poch",
    scipy.special.poch,
    lambda y, a, m: y * (psi(a + m) - psi(a)),
    lambda y, a, m: y * psi(a + m),
    domain=[POSITIVE, POSITIVE],
)
beta = special(
    "beta",
    scipy.special.beta,
    lambda y, a, b: y * (psi(a) - psi(a + b)),
    lambda y, a, b: y * (psi(b) - psi(a + b)),
    domain=[POSITIVE, POSITIVE],
)
betaln = special(
    "betaln",
    scipy.special.betaln,
    lambda y, a, b: psi(a) - psi(a + b),
    lambda y, a, b: psi(b) - psi(a + b),
    domain=[POSITIVE, POSITIVE],
)


def _binom_wrt_k(y: Node, n: Node, k: Node) -> Node:
    """Return the derivative of Γ(n+1) / (Γ(k+1) Γ(n-k+1)), also where it is 0 beside Pascal's triangle."""
    nothing = y.equals(0)
    ones, twos = where(nothing, k + 1, 1.0), where(nothing, n - k + 1, 1.0)
    one, two = rgamma(ones), rgamma(twos)
    beside = _rgamma_slope(one, ones) * two - one * _rgamma_slope(two, twos)
    return where(nothing, gamma(where(nothing, n + 1, 1.0)) * beside, y * (psi(n - k + 1) - psi(k + 1)))


def _binom_wrt_n(y: Node, n: Node, k: Node) -> Node:
    nothing = y.equals(0)
    ones, twos = where(nothing, k + 1, 1.0), where(nothing, n - k + 1, 1.0)
    beside = gamma(where(nothing, n + 1, 1.0)) * rgamma(ones) * _rgamma_slope(rgamma(twos), twos)
    return where(nothing, beside, y * (psi(n + 1) - psi(n - k + 1)))


binom = special("binom", scipy.special.binom, _binom_wrt_n, _binom_wrt_k, domain=[Interval(3, 5), POSITIVE])


def _riemann(x: Any) -> Any:
    return scipy.special.zeta(x)


def _riemann_slope(y: Node, s: Node) -> Node:
    near = _riemann_by_differences(y, s)
    if s.spec.is_complex:
        return near
    right = s > 1.5
    return where(right, zeta_order(where(right, s, 2.0), 1.0, order=1), near)


riemann_zeta = special(
    "riemann_zeta",
    _riemann,
    _riemann_slope,
    doc="Riemann's zeta function.",
    dtype=lambda x: scipy.special.zeta(np.full((), 2, x)).dtype,
    source="scipy.special.zeta",
    domain=[Interval(2, 4)],
)
_riemann_by_differences = _by_differences(
    "riemann_zeta", _riemann, 0, [Differences()], -math.inf,
    {"source": "scipy.special.zeta", "dtype": lambda x: np.result_type(x, np.float16), "domain": [Interval(2, 4)]},
)  # fmt: skip
special("zetac", scipy.special.zetac, _riemann_slope, domain=[Interval(2, 4)])
spence = special(
    "spence",
    scipy.special.spence,
    lambda y, x: where(x.equals(1), 0.5 * x - 1.5, log(x) / where(x.equals(1), 1.0, 1 - x)),
    domain=[POSITIVE],
    dtypes=SMOOTH,
)


# -- incomplete gamma and beta functions, and the distributions made of them ---------------------------------

gamma_density = _computed(
    "gamma_density",
    parameters.gamma_density,
    lambda y, a, x: scale(y, log(x) - psi(a)),
    lambda y, a, x: scale(y, (a - 1) / x - 1),
    doc="x^(a-1) exp(-x) / Γ(a).",
    domain=[POSITIVE, POSITIVE],
)
beta_density = _computed(
    "beta_density",
    parameters.beta_density,
    lambda y, a, b, x: scale(y, log(x) - psi(a) + psi(a + b)),
    lambda y, a, b, x: scale(y, log1p(-x) - psi(b) + psi(a + b)),
    lambda y, a, b, x: scale(y, (a - 1) / x - (b - 1) / (1 - x)),
    doc="x^(a-1) (1-x)^(b-1) / B(a, b).",
    domain=[POSITIVE, POSITIVE, PROBABILITY],
)


def polygamma(n: int, x: Node) -> Node:
    """Return the n-th derivative of psi."""
    return psi(x) if not n else (-1.0) ** (n + 1) * math.factorial(n) * zeta(float(n + 1), x)


def _gamma_density_order(a: Node, x: Node, order: int) -> Any:
    slopes = [log(x) - psi(a), *(-polygamma(n, a) for n in range(1, order))]
    return gamma_density(a, x) * parameters.bell(order, slopes)


gammainc_order = _computed(
    "gammainc_order",
    parameters.gammainc_order,
    lambda y, a, x, order: gammainc_order(a, x, order=order + 1),
    lambda y, a, x, order: _gamma_density_order(a, x, order),
    doc="Derivative of gammainc(a, x) with respect to a, of the given order.",
    params={"order": 1},
    domain=[POSITIVE, POSITIVE],
)


def _beta_density_order(a: Node, b: Node, x: Node, first: int, second: int) -> Any:
    def slope(p: int, q: int) -> Node:
        total = polygamma(p + q - 1, a + b)
        if not q:
            total = total - polygamma(p - 1, a) + (log(x) if p == 1 else 0)
        if not p:
            total = total - polygamma(q - 1, b) + (log1p(-x) if q == 1 else 0)
        return total

    return beta_density(a, b, x) * parameters.bell_of_two(first, second, slope)


betainc_order = _computed(
    "betainc_order",
    parameters.betainc_order,
    lambda y, a, b, x, first, second: betainc_order(a, b, x, first=first + 1, second=second),
    lambda y, a, b, x, first, second: betainc_order(a, b, x, first=first, second=second + 1),
    lambda y, a, b, x, first, second: _beta_density_order(a, b, x, first, second),
    doc="Derivative of betainc(a, b, x) with respect to a and b, of the given orders.",
    params={"first": 1, "second": 0},
    domain=[POSITIVE, POSITIVE, PROBABILITY],
)
_GAMMA = (
    lambda y, a, x: gammainc_order(a, x, order=1),
    lambda y, a, x: gamma_density(a, x),
)
_BETA = (
    lambda y, a, b, x: betainc_order(a, b, x, first=1, second=0),
    lambda y, a, b, x: betainc_order(a, b, x, first=0, second=1),
    lambda y, a, b, x: beta_density(a, b, x),
)
_TWO = [POSITIVE, POSITIVE]
gammainc = special("gammainc", scipy.special.gammainc, *_GAMMA, domain=_TWO)
gammaincc = special("gammaincc", scipy.special.gammaincc, *negated(_GAMMA), domain=_TWO)
gammaincinv = inverse("gammaincinv", scipy.special.gammaincinv, _GAMMA, 1, domain=[POSITIVE, PROBABILITY])
inverse("gammainccinv", scipy.special.gammainccinv, negated(_GAMMA), 1, domain=[POSITIVE, PROBABILITY])
betainc = special("betainc", scipy.special.betainc, *_BETA, domain=[*_TWO, PROBABILITY])
betaincc = special("betaincc", scipy.special.betaincc, *negated(_BETA), domain=[*_TWO, PROBABILITY])
betaincinv = inverse("betaincinv", scipy.special.betaincinv, _BETA, 2, domain=[*_TWO, PROBABILITY])
inverse("betainccinv", scipy.special.betainccinv, negated(_BETA), 2, domain=[*_TWO, PROBABILITY])
inverse("btdtria", scipy.special.btdtria, _BETA, 0, domain=[PROBABILITY, POSITIVE, PROBABILITY])
inverse("btdtrib", scipy.special.btdtrib, _BETA, 1, domain=[POSITIVE, PROBABILITY, PROBABILITY])

_CHI = (
    lambda y, v, x: 0.5 * gammainc_order(0.5 * v, 0.5 * x, order=1),
    lambda y, v, x: 0.5 * gamma_density(0.5 * v, 0.5 * x),
)
special("chdtr", scipy.special.chdtr, *_CHI, domain=_TWO)
special("chdtrc", scipy.special.chdtrc, *negated(_CHI), domain=_TWO)
inverse("chdtri", scipy.special.chdtri, negated(_CHI), 1, domain=[POSITIVE, PROBABILITY])
inverse("chdtriv", scipy.special.chdtriv, _CHI, 0, domain=[PROBABILITY, POSITIVE])
_GDTR = (
    lambda y, a, b, x: x * gamma_density(b, a * x),
    lambda y, a, b, x: gammainc_order(b, a * x, order=1),
    lambda y, a, b, x: a * gamma_density(b, a * x),
)
_THREE = [POSITIVE, POSITIVE, POSITIVE]
special("gdtr", scipy.special.gdtr, *_GDTR, domain=_THREE)
special("gdtrc", scipy.special.gdtrc, *negated(_GDTR), domain=_THREE)
inverse("gdtria", scipy.special.gdtria, _GDTR, 0, domain=[PROBABILITY, POSITIVE, POSITIVE])
inverse("gdtrib", scipy.special.gdtrib, _GDTR, 1, domain=[POSITIVE, PROBABILITY, POSITIVE])
inverse("gdtrix", scipy.special.gdtrix, _GDTR, 2, domain=[POSITIVE, POSITIVE, PROBABILITY])

_POISSON = (
    lambda y, k, m: -gammainc_order(k + 1, m, order=1),
    lambda y, k, m: -gamma_density(k + 1, m),
)
_COUNTED = (whole("k"), lambda y, k, m: -gamma_density(k + 1, m))
_FEW = Interval(0, 5, integers=True)
special("pdtr", scipy.special.pdtr, *_COUNTED, domain=[_FEW, POSITIVE])
special("pdtrc", scipy.special.pdtrc, *negated(_COUNTED), domain=[_FEW, POSITIVE])
inverse("pdtri", scipy.special.pdtri, _COUNTED, 1, domain=[_FEW, PROBABILITY])
inverse("pdtrik", scipy.special.pdtrik, _POISSON, 0, domain=[Interval(0.5, 0.9), Interval(2, 3)])


def _after(k: Node, n: Node) -> Node:
    """Return n - k, where it is positive."""
    return where(n > k, n - k, 1.0)


_BINOMIAL = (  # I of 1 - p with n - k and k + 1
    lambda y, k, n, p: (
        betainc_order(k + 1, n - k, p, first=0, second=1) - betainc_order(k + 1, n - k, p, first=1, second=0)
    ),
    lambda y, k, n, p: -betainc_order(k + 1, n - k, p, first=0, second=1),
    lambda y, k, n, p: -beta_density(k + 1, n - k, p),
)
_BINOMIAL_COUNTED = (
    whole("k"),
    whole("n"),
    lambda y, k, n, p: where(n > k, -beta_density(k + 1, _after(k, n), p), 0.0),
)
_TRIALS = [Interval(0, 3, integers=True), Interval(4, 9, integers=True), PROBABILITY]
special("bdtr", scipy.special.bdtr, *_BINOMIAL_COUNTED, domain=_TRIALS)
special("bdtrc", scipy.special.bdtrc, *negated(_BINOMIAL_COUNTED), domain=_TRIALS)
inverse("bdtri", scipy.special.bdtri, _BINOMIAL_COUNTED, 2, domain=_TRIALS)
inverse("bdtrik", scipy.special.bdtrik, _BINOMIAL, 0, domain=[Interval(0.4, 0.9), Interval(5, 9), Interval(0.4, 0.6)])
inverse("bdtrin", scipy.special.bdtrin, _BINOMIAL, 1, domain=[Interval(2, 4), Interval(0.3, 0.9), Interval(0.3, 0.5)])
_NEGATIVE = (  # I of p with n and k + 1
    lambda y, k, n, p: betainc_order(n, k + 1, p, first=0, second=1),
    lambda y, k, n, p: betainc_order(n, k + 1, p, first=1, second=0),
    lambda y, k, n, p: beta_density(n, k + 1, p),
)
_NEGATIVE_COUNTED = (whole("k"), whole("n"), _NEGATIVE[2])
special("nbdtr", scipy.special.nbdtr, *_NEGATIVE_COUNTED, domain=_TRIALS)
special("nbdtrc", scipy.special.nbdtrc, *negated(_NEGATIVE_COUNTED), domain=_TRIALS)
inverse("nbdtri", scipy.special.nbdtri, _NEGATIVE_COUNTED, 2, domain=_TRIALS)
inverse("nbdtrik", scipy.special.nbdtrik, _NEGATIVE, 0,
        domain=[Interval(0.5, 0.9), Interval(4, 6), Interval(0.4, 0.6)])  # fmt: skip
inverse("nbdtrin", scipy.special.nbdtrin, _NEGATIVE, 1,
        domain=[Interval(2, 4), Interval(0.2, 0.8), Interval(0.4, 0.6)])  # fmt: skip


def _beta_of_two(a: Node, b: Node, x: Node, rest: Node) -> Node:
    """Return the density of the beta distribution at x, where 1 - x is known better than from x."""
    low = x < 0.5
    return where(low, beta_density(a, b, where(low, x, 0.5)), beta_density(b, a, where(low, 0.5, rest)))


def _betainc_of_two(a: Node, b: Node, x: Node, rest: Node, first: int, second: int) -> Node:
    """Return a derivative of betainc(a, b, x) by a and b, where 1 - x is known better than from x."""
    low = x < 0.5
    return where(
        low,
        betainc_order(a, b, where(low, x, 0.5), first=first, second=second),
        -betainc_order(b, a, where(low, 0.5, rest), first=second, second=first),
    )


def _f_parts(n: Node, d: Node, x: Node) -> tuple[Node, Node, Node, Node]:
    """Return what I takes for the F distribution: n/2, d/2, n x / (n x + d) and d / (n x + d)."""
    return 0.5 * n, 0.5 * d, n * x / (n * x + d), d / (n * x + d)


def _f_slope(n: Node, d: Node, x: Node) -> Node:
    """Return ∂I/∂w · w (1-w), by which all three arguments change the place where I is taken."""
    *_, w, v = parts = _f_parts(n, d, x)
    return _beta_of_two(*parts) * w * v


_F = (
    lambda y, n, d, x: 0.5 * _betainc_of_two(*_f_parts(n, d, x), 1, 0) + _f_slope(n, d, x) / n,
    lambda y, n, d, x: 0.5 * _betainc_of_two(*_f_parts(n, d, x), 0, 1) - _f_slope(n, d, x) / d,
    lambda y, n, d, x: _f_slope(n, d, x) / x,
)
special("fdtr", scipy.special.fdtr, *_F, domain=_THREE)
special("fdtrc", scipy.special.fdtrc, *negated(_F), domain=_THREE)
inverse("fdtri", scipy.special.fdtri, _F, 2, domain=[POSITIVE, POSITIVE, PROBABILITY])
inverse("fdtridfd", scipy.special.fdtridfd, _F, 1, domain=[Interval(2, 3), Interval(0.5, 0.6), Interval(1, 1.2)])


def _t_density(y: Node, n: Node, t: Node) -> Node:
    return exp(-0.5 * (n + 1) * log1p(t * t / n) - 0.5 * log(n) - betaln(0.5 * n, 0.5))


def _t_wrt_degrees(y: Node, n: Node, t: Node) -> Node:
    """Return the derivative of one tail, I of n / (n + t²) with n/2 and 1/2, halved, with the sign of -t."""
    rest = t * t / (n + t * t)
    parts = 0.5 * n, fixed(n, 0.5), n / (n + t * t), rest
    place = scale(_beta_of_two(*parts) * rest, 1 / (n + t * t))
    return sign(t) * (-0.25 * _betainc_of_two(*parts, 1, 0) - 0.5 * place)


_T = (_t_wrt_degrees, _t_density)
special("stdtr", scipy.special.stdtr, *_T, domain=[POSITIVE, AWAY])
inverse("stdtrit", scipy.special.stdtrit, _T, 1, domain=[POSITIVE, Interval(0.6, 0.95)])
inverse("stdtridf", scipy.special.stdtridf, _T, 0, domain=[Interval(0.7, 0.73), Interval(0.8, 0.9)])


def _chi_density(y: Node, x: Node, n: Node, c: Node) -> Node:
    """Return the density of the noncentral chi-squared distribution, which is the central one where c is 0."""
    none = c.equals(0)
    away = where(none, 1.0, c)
    gap = sqrt(x) - sqrt(away)
    order = 0.5 * n - 1
    skewed = 0.5 * exp(-0.5 * gap * gap) * power(x / away, 0.5 * order) * ive(order, sqrt(x * away))
    return where(none, 0.5 * gamma_density(0.5 * n, 0.5 * x), skewed)


_NONCENTRAL_CHI = (
    _chi_density,
    Differences(low=0),
    lambda y, x, n, c: -_chi_density(y, x, n + 2, c),
)
_SOME = Interval(1.5, 3)
special("chndtr", scipy.special.chndtr, *_NONCENTRAL_CHI, domain=[_SOME, _SOME, POSITIVE])
_NONCENTRAL_CHI = FORMULAS["chndtr"]
inverse("chndtrix", scipy.special.chndtrix, _NONCENTRAL_CHI, 0, domain=[Interval(0.3, 0.9), _SOME, POSITIVE])
inverse("chndtridf", scipy.special.chndtridf, _NONCENTRAL_CHI, 1,
        domain=[_SOME, Interval(0.2, 0.3), Interval(0.5, 0.6)])  # fmt: skip
inverse("chndtrinc", scipy.special.chndtrinc, _NONCENTRAL_CHI, 2,
        domain=[_SOME, Interval(1.1, 1.4), Interval(0.1, 0.2)])  # fmt: skip
special("ncfdtr", scipy.special.ncfdtr, *[Differences(low=0)] * 4, domain=[_SOME, _SOME, POSITIVE, _SOME])
_NONCENTRAL_F = FORMULAS["ncfdtr"]
inverse("ncfdtri", scipy.special.ncfdtri, _NONCENTRAL_F, 3, domain=[_SOME, _SOME, POSITIVE, Interval(0.3, 0.7)])
inverse("ncfdtridfd", scipy.special.ncfdtridfd, _NONCENTRAL_F, 1,
        domain=[_SOME, Interval(0.4, 0.45), Interval(0.5, 0.6), Interval(1.2, 1.3)])  # fmt: skip
inverse("ncfdtridfn", scipy.special.ncfdtridfn, _NONCENTRAL_F, 0,
        domain=[Interval(0.35, 0.4), _SOME, Interval(0.5, 0.6), Interval(0.8, 0.9)])  # fmt: skip
inverse("ncfdtrinc", scipy.special.ncfdtrinc, _NONCENTRAL_F, 2,
        domain=[_SOME, _SOME, Interval(0.2, 0.25), Interval(1.5, 1.8)])  # fmt: skip
special("nctdtr", scipy.special.nctdtr, Differences(low=0), Differences(), Differences(),
        domain=[_SOME, POSITIVE, Interval()])  # fmt: skip
_NONCENTRAL_T = FORMULAS["nctdtr"]
inverse("nctdtrit", scipy.special.nctdtrit, _NONCENTRAL_T, 2, domain=[_SOME, POSITIVE, Interval(0.3, 0.9)])
inverse("nctdtridf", scipy.special.nctdtridf, _NONCENTRAL_T, 0,
        domain=[Interval(0.6, 0.63), Interval(0.5, 0.6), Interval(1.0, 1.1)])  # fmt: skip
inverse("nctdtrinc", scipy.special.nctdtrinc, _NONCENTRAL_T, 1, domain=[_SOME, Interval(0.3, 0.9), POSITIVE])

kolmogorov_order = _computed(
    "kolmogorov_order",
    parameters.kolmogorov_order,
    lambda y, x, order: _next_kolmogorov(x, order),
    doc="Derivative of kolmogorov, of the given order.",
    params={"order": 1},
    domain=[POSITIVE],
)


def _next_kolmogorov(x: Node, order: int) -> Node:
    if order == 2:
        raise NotDifferentiableError("kolmogorov_order: derivatives of kolmogorov above the second are not known")
    return kolmogorov_order(x, order=2)


smirnov_order = _computed(
    "smirnov_order",
    parameters.smirnov_order,
    whole("n"),
    lambda y, n, d, order: _next_smirnov(n, d, order),
    doc="Derivative of smirnov(n, d) with respect to d, of the given order.",
    params={"order": 1},
    domain=[Interval(1, 9, integers=True), PROBABILITY],
)


def _next_smirnov(n: Node, d: Node, order: int) -> Node:
    if order == 2:
        raise NotDifferentiableError("smirnov_order: derivatives of smirnov above the second are not known")
    return smirnov_order(n, d, order=2)


_KOLMOGOROV = [lambda y, x: kolmogorov_order(x, order=1)]
_SMIRNOV: list[Any] = [whole("n"), lambda y, n, d: smirnov_order(n, d, order=1)]
special("kolmogorov", scipy.special.kolmogorov, *_KOLMOGOROV, domain=[POSITIVE])
inverse("kolmogi", scipy.special.kolmogi, _KOLMOGOROV, 0, domain=[PROBABILITY])
smirnov = special("smirnov", scipy.special.smirnov, *_SMIRNOV, domain=[Interval(1, 9, integers=True), PROBABILITY])
inverse("smirnovi", scipy.special.smirnovi, _SMIRNOV, 1, domain=[Interval(1, 9, integers=True), Interval(0.1, 0.9)])


def _tukey_slope(y: Node, p: Node) -> Node:
    """Return dF/dx of Tukey's lambda distribution; 0 beyond its ends."""
    inside = (y > 0) * (y < 1)
    y = where(inside, y, 0.5)
    return where(inside, 1 / (power(y, p - 1) + power(1 - y, p - 1)), 0.0)


def _tukey_wrt_shape(y: Node, x: Node, p: Node) -> Node:
    inside = (y > 0) * (y < 1)
    z = where(inside, y, 0.5)
    change = _boxcox_slope(log(z), p) - _boxcox_slope(log1p(-z), p)
    return -(_tukey_slope(y, p) * change)


special(
    "tklmbda",
    scipy.special.tklmbda,
    lambda y, x, p: _tukey_slope(y, p),
    _tukey_wrt_shape,
    domain=[Interval(-1, 1), Interval(0.1, 0.9)],
)

# -- exponential integrals -----------------------------------------------------------------------------


def _ratio(f: Node, x: Node, at_zero: Any) -> Node:
    """Return f / x, and its limit at 0."""
    zero = x.equals(0)
    return where(zero, at_zero, f / where(zero, 1.0, x))


special("expi", scipy.special.expi, lambda y, x: exp(x) / x, domain=[AWAY])
special("exp1", scipy.special.exp1, lambda y, x: -(exp(-x) / x), domain=[AWAY], dtypes=SMOOTH)
expn = special(
    "expn",
    scipy.special.expn,
    whole("n"),
    lambda y, n, x: -where(n.equals(0), exp(-x) * (1 + x) / (x * x), expn(maximum(n - 1, one_like(n) * 0), x)),
    domain=[DEGREE, AWAY],
)
several(
    scipy.special.sici,
    "sici_si sici_ci",
    [lambda y, x: _ratio(sin(x), x, 1.0)],
    [lambda y, x: cos(x) / x],
    domain=[AWAY],
)
several(
    scipy.special.shichi,
    "shichi_shi shichi_chi",
    [lambda y, x: _ratio(sinh(x), x, 1.0)],
    [lambda y, x: cosh(x) / x],
    domain=[AWAY],
)

# -- Bessel functions ----------------------------------------------------------------------------------


def _between(name: str, turn: int) -> Callable[..., Any]:
    """Return (f(v-1, z) + turn f(v+1, z)) / 2, DLMF 10.6.1."""

    def formula(y: Node, v: Node, z: Node) -> Node:
        op = ir.REGISTRY[name]
        return 0.5 * (op(v - 1, z) + turn * op(v + 1, z))

    return formula


def _scaled_real(name: str, turn: int) -> Callable[..., Any]:
    """Return the derivative of f(v, z) exp(-|Re z|)."""
    between = _between(name, turn)

    def formula(y: Node, v: Node, z: Node) -> Any:
        if not z.spec.is_complex:
            return between(y, v, z) - sign(z) * y
        half = 0.5 * sign(real(z)) * y
        return Wirtinger(between(y, v, z) - half, -half)

    return formula


def _scaled_imaginary(name: str) -> Callable[..., Any]:
    """Return the derivative of f(v, z) exp(-|Im z|)."""
    between = _between(name, -1)

    def formula(y: Node, v: Node, z: Node) -> Any:
        if not z.spec.is_complex:
            return between(y, v, z)
        half = -0.5j * sign(imag(z)) * y
        return Wirtinger(between(y, v, z) - half, half)

    return formula


_ORDER = [Interval(0.3, 2.7), AWAY]
jv = special("jv", scipy.special.jv, Differences(), _between("jv", -1), domain=_ORDER)
yv = special("yv", scipy.special.yv, Differences(), _between("yv", -1), domain=_ORDER)
iv = special("iv", scipy.special.iv, Differences(), _between("iv", 1), domain=_ORDER)
kv = special("kv", scipy.special.kv, Differences(), lambda y, v, z: -_between("kv", 1)(y, v, z), domain=_ORDER)
jve = special("jve", scipy.special.jve, Differences(), _scaled_imaginary("jve"), domain=_ORDER)
yve = special("yve", scipy.special.yve, Differences(), _scaled_imaginary("yve"), domain=_ORDER)
ive = special("ive", scipy.special.ive, Differences(), _scaled_real("ive", 1), domain=_ORDER)
kve = special("kve", scipy.special.kve, Differences(), lambda y, v, z: y - _between("kve", 1)(y, v, z), domain=_ORDER)
for _name, _turn in (("hankel1", 0), ("hankel2", 0), ("hankel1e", -1j), ("hankel2e", 1j)):
    special(
        _name,
        getattr(scipy.special, _name),
        Differences(),
        lambda y, v, z, name=_name, turn=_turn: _between(name, -1)(y, v, z) + (turn * y if turn else 0.0),
        domain=_ORDER,
    )
yn = special("yn", scipy.special.yn, whole("n"), _between("yn", -1), domain=[DEGREE, AWAY])
kn = special("kn", scipy.special.kn, whole("n"), lambda y, n, x: -_between("kn", 1)(y, absolute(n), x),
             domain=[Interval(1, 4, integers=True), AWAY])  # fmt: skip
j0 = special("j0", scipy.special.j0, lambda y, x: -j1(x))
j1 = special("j1", scipy.special.j1, lambda y, x: 0.5 * (j0(x) - jv(2.0, x)))
y0 = special("y0", scipy.special.y0, lambda y, x: -y1(x), domain=[AWAY])
y1 = special("y1", scipy.special.y1, lambda y, x: 0.5 * (y0(x) - yv(2.0, x)), domain=[AWAY])
i0 = special("i0", scipy.special.i0, lambda y, x: i1(x))
i1 = special("i1", scipy.special.i1, lambda y, x: 0.5 * (i0(x) + iv(2.0, x)))
k0 = special("k0", scipy.special.k0, lambda y, x: -k1(x), domain=[AWAY])
k1 = special("k1", scipy.special.k1, lambda y, x: -0.5 * (k0(x) + kv(2.0, x)), domain=[AWAY])
i0e = special("i0e", scipy.special.i0e, lambda y, x: i1e(x) - sign(x) * y, domain=[AWAY])
i1e = special("i1e", scipy.special.i1e, lambda y, x: 0.5 * (i0e(x) + ive(2.0, x)) - sign(x) * y, domain=[AWAY])
k0e = special("k0e", scipy.special.k0e, lambda y, x: y - k1e(x), domain=[AWAY])
k1e = special("k1e", scipy.special.k1e, lambda y, x: y - 0.5 * (k0e(x) + kve(2.0, x)), domain=[AWAY])


def _spherical(name: str, before: int, after: int, low: Interval) -> Op:
    """Declare a spherical Bessel function; its derivative by DLMF 10.51.2, without a division by z."""
    function = getattr(scipy.special, name)

    def evaluate(n: Any, z: Any) -> Any:
        return function(np.asarray(n), np.asarray(z))

    def slope(y: Node, n: Node, z: Node) -> Node:
        nearest = op(maximum(n - 1, one_like(n) * 0), z)
        return (before * n * nearest + after * (n + 1) * op(n + 1, z)) / (2 * n + 1)

    op = special(
        name, evaluate, whole("n"), slope, doc=f"Spherical Bessel function, scipy.special.{name}.",
        dtype=lambda n, z: np.asarray(function(np.ones((), n), np.ones((), z))).dtype,
        source=f"scipy.special.{name}", domain=[Interval(0, 3, integers=True), low],
    )  # fmt: skip
    return op


spherical_jn = _spherical("spherical_jn", 1, -1, Interval(0.5, 2))
spherical_yn = _spherical("spherical_yn", 1, -1, AWAY)
spherical_in = _spherical("spherical_in", 1, 1, Interval(0.5, 2))
spherical_kn = _spherical("spherical_kn", -1, -1, AWAY)


def _struve_term(v: Node, x: Node) -> Node:
    """Return (x/2)^v / (√π Γ(v + 3/2)), DLMF 11.4.23."""
    return power(0.5 * x, v) * rgamma(v + 1.5) / math.sqrt(math.pi)


struve = special(
    "struve",
    scipy.special.struve,
    Differences(),
    lambda y, v, x: 0.5 * (struve(v - 1, x) - struve(v + 1, x) + _struve_term(v, x)),
    domain=_ORDER,
)
modstruve = special(
    "modstruve",
    scipy.special.modstruve,
    Differences(),
    lambda y, v, x: 0.5 * (modstruve(v - 1, x) + modstruve(v + 1, x) + _struve_term(v, x)),
    domain=_ORDER,
)
special(
    "besselpoly",
    scipy.special.besselpoly,
    lambda y, a, p, v: (jv(v, 2 * a) - (p + 1) * y) / a,
    Differences(low=-1),
    Differences(low=-1),
    domain=[AWAY, POSITIVE, POSITIVE],
)


def _one_less(x: Node, turn: int) -> Node:
    """Return (1 - J0(x)) / x for turn -1, (I0(x) - 1) / x for turn 1: by series where the difference cancels."""
    near = absolute(x) < 0.7
    z = where(near, x, 0.0)
    w = turn * 0.25 * z * z
    total: Any = 1.0
    for k in range(9, 1, -1):
        total = 1 + w / (k * k) * total
    series = 0.25 * z * total
    away = where(near, 1.0, x)
    return where(near, series, (i0(away) - 1) / away if turn > 0 else (1 - j0(away)) / away)


several(scipy.special.itj0y0, "itj0y0_j itj0y0_y", [lambda y, x: j0(x)], [lambda y, x: y0(x)], domain=[AWAY])
several(scipy.special.iti0k0, "iti0k0_i iti0k0_k", [lambda y, x: i0(x)], [lambda y, x: k0(x)], domain=[AWAY])
several(
    scipy.special.it2j0y0,
    "it2j0y0_j it2j0y0_y",
    [lambda y, x: _one_less(x, -1)],
    [lambda y, x: -(y0(x) / x)],
    domain=[AWAY],
)
several(
    scipy.special.it2i0k0,
    "it2i0k0_i it2i0k0_k",
    [lambda y, x: _one_less(x, 1)],
    [lambda y, x: -(k0(x) / x)],
    domain=[AWAY],
)
special("itstruve0", scipy.special.itstruve0, lambda y, x: struve(0.0, x), domain=[AWAY])
special("it2struve0", scipy.special.it2struve0, lambda y, x: -(struve(0.0, x) / x), domain=[AWAY])
special("itmodstruve0", scipy.special.itmodstruve0, lambda y, x: modstruve(0.0, x), domain=[AWAY])

# The Kelvin functions: w = ber + i bei and w = ker + i kei solve w'' + w' / x = i w.
ber = special("ber", scipy.special.ber, lambda y, x: berp(x))
bei = special("bei", scipy.special.bei, lambda y, x: beip(x))
berp = special("berp", scipy.special.berp, lambda y, x: -(_ratio(y, x, 0.0) + bei(x)), domain=[AWAY])
beip = special("beip", scipy.special.beip, lambda y, x: ber(x) - _ratio(y, x, 0.5), domain=[AWAY])
ker = special("ker", scipy.special.ker, lambda y, x: kerp(x), domain=[AWAY])
kei = special("kei", scipy.special.kei, lambda y, x: keip(x), domain=[AWAY])
kerp = special("kerp", scipy.special.kerp, lambda y, x: -(y / x + kei(x)), domain=[AWAY])
keip = special("keip", scipy.special.keip, lambda y, x: ker(x) - y / x, domain=[AWAY])


def _kelvin(index: int) -> Callable[..., Any]:
    def formula(y: Node, x: Node) -> Node:
        if index < 2:
            return RESULTS[scipy.special.kelvin][index + 2](x)
        return 1j * RESULTS[scipy.special.kelvin][index - 2](x) - _ratio(y, x, 0.5j)

    return formula


several(scipy.special.kelvin, "kelvin_be kelvin_ke kelvin_bep kelvin_kep", *([_kelvin(k)] for k in range(4)),
        domain=[AWAY])  # fmt: skip

# -- Airy and parabolic cylinder functions ---------------------------------------------------------------

airy_ai, airy_aip, airy_bi, airy_bip = several(
    scipy.special.airy,
    "airy_ai airy_aip airy_bi airy_bip",
    [lambda y, z: airy_aip(z)],
    [lambda y, z: z * airy_ai(z)],
    [lambda y, z: airy_bip(z)],
    [lambda y, z: z * airy_bi(z)],
)


def _root(z: Node) -> Node:
    """Return √z, the derivative of (2/3) z^(3/2); its real part on the real axis."""
    return sqrt(z) if z.spec.is_complex else sqrt(maximum(z, 0.0))


def _airye_b(y: Node, z: Node, unscaled: Node) -> Any:
    root = _root(z)
    if not z.spec.is_complex:
        return unscaled - root * y
    half = 0.5 * y * sign(real(z * root))  # of |Re (2/3) z^(3/2)|
    return Wirtinger(unscaled - half * root, -(half * conjugate(root)))


airye_ai, airye_aip, airye_bi, airye_bip = several(
    scipy.special.airye,
    "airye_ai airye_aip airye_bi airye_bip",
    [lambda y, z: airye_aip(z) + _root(z) * y],
    [lambda y, z: z * airye_ai(z) + _root(z) * y],
    [lambda y, z: _airye_b(y, z, airye_bip(z))],
    [lambda y, z: _airye_b(y, z, z * airye_bi(z))],
    domain=[AWAY],
)
several(
    scipy.special.itairy,
    "itairy_ai itairy_bi itairy_ai_left itairy_bi_left",
    [lambda y, x: airy_ai(x)],
    [lambda y, x: airy_bi(x)],
    [lambda y, x: airy_ai(-x)],
    [lambda y, x: airy_bi(-x)],
)


def _cylinder(ufunc: np.ufunc, bend: Callable[..., Any]) -> None:
    """Declare a parabolic cylinder function and its derivative, w'' = bend(v, x) w."""
    name = ufunc.__name__
    several(
        ufunc,
        f"{name} {name}_slope",
        [Differences(), lambda y, v, x: RESULTS[ufunc][1](v, x)],
        [Differences(), lambda y, v, x: bend(v, x) * RESULTS[ufunc][0](v, x)],
        domain=[Interval(0.3, 1.7), Interval(0.3, 2)],
    )


_cylinder(scipy.special.pbdv, lambda v, x: 0.25 * x * x - v - 0.5)
_cylinder(scipy.special.pbvv, lambda v, x: 0.25 * x * x - v - 0.5)
_cylinder(scipy.special.pbwa, lambda a, x: a - 0.25 * x * x)

# -- elliptic integrals and functions --------------------------------------------------------------------


def _next_power(j: int) -> Callable[..., Any]:
    def formula(y: Node, *args: Node, powers: tuple[float, ...]) -> Any:
        if not powers[j]:
            return 0
        return -powers[j] * carlson_integral(*args, powers=(*powers[:j], powers[j] + 1, *powers[j + 1 :]))

    return formula


carlson_integral = _computed(
    "carlson_integral",
    parameters.carlson_integral,
    *(_next_power(j) for j in range(4)),
    doc="∫ (t+x)^-a (t+y)^-b (t+z)^-c (t+p)^-d dt over t > 0, where a, b, c, d are `powers`.",
    params={"powers": (0.5, 0.5, 1.5, 1.0)},
    domain=[AWAY] * 4,
)


def _carlson(factor: float, *powers: float) -> Callable[..., Any]:
    def formula(y: Node, *args: Node) -> Node:
        rest = [fixed(y, 1.0)] * (4 - len(args))
        return factor * carlson_integral(*args, *rest, powers=(*powers, *[0.0] * (4 - len(args))))

    return formula


def _elliprc_wrt_x(y: Node, a: Node, b: Node) -> Node:
    direct = _carlson(-0.25, 1.5, 1.0)
    if a.spec.is_complex or b.spec.is_complex:
        return direct(y, a, b)
    negative = b < 0  # Cauchy's principal value
    return where(negative, (y - 1 / sqrt(a)) / where(negative, 2 * (b - a), 1.0), direct(y, a, where(negative, 1.0, b)))


def _elliprc_wrt_y(y: Node, a: Node, b: Node) -> Node:
    direct = _carlson(-0.5, 0.5, 2.0)
    if a.spec.is_complex or b.spec.is_complex:
        return direct(y, a, b)
    negative = b < 0
    homogeneous = -(0.5 * y + a * (y - 1 / sqrt(a)) / where(negative, 2 * (b - a), 1.0)) / where(negative, b, 1.0)
    return where(negative, homogeneous, direct(y, a, where(negative, 1.0, b)))


special("elliprc", scipy.special.elliprc, _elliprc_wrt_x, _elliprc_wrt_y, domain=[AWAY, AWAY], dtypes="dD")
elliprf = special(
    "elliprf",
    scipy.special.elliprf,
    lambda y, a, b, c: elliprd(b, c, a) / -6,
    lambda y, a, b, c: elliprd(a, c, b) / -6,
    lambda y, a, b, c: elliprd(a, b, c) / -6,
    domain=[AWAY] * 3,
    dtypes="dD",
)
elliprd = special(
    "elliprd",
    scipy.special.elliprd,
    _carlson(-0.75, 1.5, 0.5, 1.5),
    _carlson(-0.75, 0.5, 1.5, 1.5),
    _carlson(-2.25, 0.5, 0.5, 2.5),
    domain=[AWAY] * 3,
    dtypes="dD",
)
special(
    "elliprg",
    scipy.special.elliprg,
    lambda y, a, b, c: 0.25 * elliprf(a, b, c) - scale(a, elliprd(b, c, a)) / 12,
    lambda y, a, b, c: 0.25 * elliprf(a, b, c) - scale(b, elliprd(a, c, b)) / 12,
    lambda y, a, b, c: 0.25 * elliprf(a, b, c) - scale(c, elliprd(a, b, c)) / 12,
    domain=[AWAY] * 3,
    dtypes="dD",
)
special(
    "elliprj",
    scipy.special.elliprj,
    _carlson(-0.75, 1.5, 0.5, 0.5, 1.0),
    _carlson(-0.75, 0.5, 1.5, 0.5, 1.0),
    _carlson(-0.75, 0.5, 0.5, 1.5, 1.0),
    _carlson(-1.5, 0.5, 0.5, 0.5, 2.0),
    domain=[AWAY] * 4,
    dtypes="dD",
)


def _ellipk_slope(m: Node) -> Node:
    """Return K'(m) = (E - (1-m) K) / (2 m (1-m)) by DLMF 19.25.1, without its cancellation."""
    return elliprd(0.0, 1.0, 1 - m) / 6


def _ellipe_slope(m: Node) -> Node:
    return elliprd(0.0, 1 - m, 1.0) / -6


ellipk = special("ellipk", scipy.special.ellipk, lambda y, m: _ellipk_slope(m), domain=[UNIT])
special("ellipkm1", scipy.special.ellipkm1, lambda y, p: elliprd(0.0, 1.0, p) / -6, domain=[POSITIVE])
ellipe = special("ellipe", scipy.special.ellipe, lambda y, m: _ellipe_slope(m), domain=[UNIT])


def _reduced(phi: Node) -> tuple[Node, Node, Node]:
    """Return the number of half turns nearest to an angle, the sine of the rest and its squared cosine."""
    turns = rint(phi / math.pi)
    rest = phi - turns * math.pi
    return turns, sin(rest), cos(rest) * cos(rest)


def _ellipkinc_wrt_m(phi: Node, m: Node) -> Node:
    turns, s, c = _reduced(phi)
    return scale(2 * turns, _ellipk_slope(m)) + s * s * s * elliprd(c, 1.0, 1 - m * s * s) / 6


def _ellipeinc_wrt_m(phi: Node, m: Node) -> Node:
    turns, s, c = _reduced(phi)
    return scale(2 * turns, _ellipe_slope(m)) - s * s * s * elliprd(c, 1 - m * s * s, 1.0) / 6


special(
    "ellipkinc",
    scipy.special.ellipkinc,
    lambda y, phi, m: 1 / sqrt(1 - m * sin(phi) ** 2),
    lambda y, phi, m: _ellipkinc_wrt_m(phi, m),
    domain=[Interval(), UNIT],
)
special(
    "ellipeinc",
    scipy.special.ellipeinc,
    lambda y, phi, m: sqrt(1 - m * sin(phi) ** 2),
    lambda y, phi, m: _ellipeinc_wrt_m(phi, m),
    domain=[Interval(), UNIT],
)


def _amplitude_slope(u: Node, m: Node) -> Node:
    """Return the change of the amplitude with m, from F(φ, m) = u."""
    return -(_ellipkinc_wrt_m(ellipj_ph(u, m), m) * ellipj_dn(u, m))


ellipj_sn, ellipj_cn, ellipj_dn, ellipj_ph = several(
    scipy.special.ellipj,
    "ellipj_sn ellipj_cn ellipj_dn ellipj_ph",
    [
        lambda y, u, m: ellipj_cn(u, m) * ellipj_dn(u, m),
        lambda y, u, m: ellipj_cn(u, m) * _amplitude_slope(u, m),
    ],
    [
        lambda y, u, m: -(ellipj_sn(u, m) * ellipj_dn(u, m)),
        lambda y, u, m: -(ellipj_sn(u, m) * _amplitude_slope(u, m)),
    ],
    [
        lambda y, u, m: -(m * ellipj_sn(u, m) * ellipj_cn(u, m)),
        lambda y, u, m: (
            ellipj_sn(u, m) * (ellipj_sn(u, m) + 2 * m * ellipj_cn(u, m) * _amplitude_slope(u, m)) / (-2 * y)
        ),
    ],
    [lambda y, u, m: ellipj_dn(u, m), lambda y, u, m: _amplitude_slope(u, m)],
    domain=[Interval(), PROBABILITY],
)

# -- hypergeometric functions ----------------------------------------------------------------------------

hyp0f1 = special(
    "hyp0f1", scipy.special.hyp0f1, Differences(), lambda y, v, z: hyp0f1(v + 1, z) / v, domain=[POSITIVE, Interval()]
)
hyp1f1 = special(
    "hyp1f1",
    scipy.special.hyp1f1,
    Differences(),
    Differences(),
    lambda y, a, b, z: a / b * hyp1f1(a + 1, b + 1, z),
    domain=[Interval(), POSITIVE, Interval()],
)
hyperu = special(
    "hyperu",
    scipy.special.hyperu,
    Differences(),
    Differences(),
    lambda y, a, b, z: -(a * hyperu(a + 1, b + 1, z)),
    domain=[Interval(0.6, 2.4), Interval(1.6, 2.4), AWAY],
)
hyp2f1 = special(
    "hyp2f1",
    scipy.special.hyp2f1,
    Differences(),
    Differences(),
    Differences(),
    lambda y, a, b, c, z: a * b / c * hyp2f1(a + 1, b + 1, c + 1, z),
    domain=[Interval(), Interval(), POSITIVE, Interval(-0.9, 0.8)],
)
wright_bessel = special(
    "wright_bessel",
    scipy.special.wright_bessel,
    Differences(low=0),
    Differences(low=0),
    lambda y, a, b, x: wright_bessel(a, a + b, x),
    domain=[POSITIVE, POSITIVE, POSITIVE],
)
log_wright_bessel = special(
    "log_wright_bessel",
    scipy.special.log_wright_bessel,
    Differences(low=0),
    Differences(low=0),
    lambda y, a, b, x: exp(log_wright_bessel(a, a + b, x) - y),
    domain=[POSITIVE, POSITIVE, POSITIVE],
)

# -- orthogonal polynomials ------------------------------------------------------------------------------
# All derivatives are polynomials of the degree below, with no division that would fail at the ends.

_POLY = [DEGREE, UNIT]


def _degree_below(value: Any, n: Node) -> Node:
    """Return a derivative, and 0 for degree 0."""
    return where(n.equals(0), 0.0, value)


def _polynomial(name: str, slope: Callable[..., Any], count: int = 0, domain: Any = None, order: Any = None) -> Op:
    """Declare an orthogonal polynomial by its derivative with respect to x; `count` parameters stand between."""

    def partial(y: Node, n: Node, *rest: Node) -> Node:
        return _degree_below(slope(n, *rest), n)

    return special(
        name,
        getattr(scipy.special, name),
        Differences() if order is None else order,
        *[Differences()] * count,
        partial,
        domain=domain or _POLY,
    )


_polynomial("eval_chebyt", lambda n, x: n * eval_chebyu(n - 1, x))
eval_chebyu = _polynomial("eval_chebyu", lambda n, x: 2 * eval_gegenbauer(n - 1, fixed(x, 2), x))
_polynomial("eval_chebyc", lambda n, x: n * eval_chebyu(n - 1, 0.5 * x))
_polynomial("eval_chebys", lambda n, x: eval_gegenbauer(n - 1, fixed(x, 2), 0.5 * x))
_polynomial("eval_legendre", lambda n, x: eval_gegenbauer(n - 1, fixed(x, 1.5), x))
_polynomial("eval_sh_chebyt", lambda n, x: 2 * n * eval_chebyu(n - 1, 2 * x - 1), domain=[_POLY[0], PROBABILITY])
_polynomial(
    "eval_sh_chebyu", lambda n, x: 4 * eval_gegenbauer(n - 1, fixed(x, 2), 2 * x - 1), domain=[_POLY[0], PROBABILITY]
)
_polynomial(
    "eval_sh_legendre",
    lambda n, x: 2 * eval_gegenbauer(n - 1, fixed(x, 1.5), 2 * x - 1),
    domain=[_POLY[0], PROBABILITY],
)
eval_gegenbauer = _polynomial(
    "eval_gegenbauer", lambda n, a, x: 2 * a * eval_gegenbauer(n - 1, a + 1, x), 1, [_POLY[0], POSITIVE, UNIT]
)
eval_jacobi = _polynomial(
    "eval_jacobi",
    lambda n, a, b, x: 0.5 * (n + a + b + 1) * eval_jacobi(n - 1, a + 1, b + 1, x),
    2,
    [_POLY[0], POSITIVE, POSITIVE, UNIT],
)
_polynomial(
    "eval_sh_jacobi",
    lambda n, p, q, x: (n + p) * eval_jacobi(n - 1, p - q + 1, q, 2 * x - 1) / binom(2 * n + p - 1, n),
    2,
    [_POLY[0], Interval(3, 4), POSITIVE, PROBABILITY],
)
_polynomial("eval_laguerre", lambda n, x: -eval_genlaguerre(n - 1, fixed(x, 1), x))
eval_genlaguerre = _polynomial(
    "eval_genlaguerre", lambda n, a, x: -eval_genlaguerre(n - 1, a + 1, x), 1, [_POLY[0], POSITIVE, Interval()]
)


def _hermite(name: str, factor: int) -> Op:
    def slope(n: Node, x: Node) -> Node:
        return factor * n * op(maximum(n - 1, one_like(n) * 0), x)

    op = _polynomial(name, slope, domain=[_POLY[0], Interval()], order=whole("n"))
    return op


_hermite("eval_hermite", 2)
_hermite("eval_hermitenorm", 1)
lpmv = special(
    "lpmv",
    scipy.special.lpmv,
    whole("m"),
    Differences(),
    lambda y, m, v, x: ((v + 1) * x * y - (v - m + 1) * lpmv(m, v + 1, x)) / ((1 - x) * (1 + x)),
    domain=[Interval(0, 2, integers=True), Interval(2.2, 2.8), UNIT],
)


def _legendre(name: str, arity: int, variable: str) -> Op:
    """Declare a Legendre function, of which SciPy computes the first two derivatives, as an op of their order."""
    function = getattr(scipy.special, name)

    def evaluate(*xs: Any, order: int) -> Any:
        return np.asarray(function(*xs, diff_n=order))[order][()]

    def slope(y: Node, *xs: Node, order: int) -> Node:
        if order == 2:
            raise NotDifferentiableError(f"{op.name}: derivatives of {name} above the second are not known")
        return op(*xs, order=order + 1)

    counts = [Interval(0, 4, integers=True), Interval(-2, 2, integers=True)][: arity - 1]
    op = special(
        name,
        evaluate,
        *(whole(letter) for letter in "nm"[: arity - 1]),
        slope,
        doc=f"scipy.special.{name}, or its derivative of the given order with respect to {variable}.",
        dtype=lambda *found, order: evaluate(*(np.ones((), each) for each in found), order=order).dtype,
        params={"order": 0},
        source=lambda *xs, order: f"np.asarray(scipy.special.{name}({', '.join(xs)}, diff_n={order}))[{order}][()]",
        domain=[*counts, Interval(0.2, 0.9)],
        dtypes="d",
    )
    return op


legendre_p = _legendre("legendre_p", 2, "z")
sph_legendre_p = _legendre("sph_legendre_p", 3, "theta")


def _assoc_legendre(n: Any, m: Any, z: Any, branch_cut: Any, norm: Any, order: Any) -> Any:
    found = scipy.special.assoc_legendre_p(n, m, z, branch_cut=branch_cut, norm=norm, diff_n=order)
    return np.asarray(found)[order][()]


def _assoc_legendre_slope(y: Node, n: Node, m: Node, z: Node, branch_cut: int, norm: bool, order: int) -> Node:
    if order == 2:
        raise NotDifferentiableError("assoc_legendre_p: derivatives of assoc_legendre_p above the second are not known")
    return assoc_legendre_p(n, m, z, branch_cut=branch_cut, norm=norm, order=order + 1)


assoc_legendre_p = special(
    "assoc_legendre_p",
    _assoc_legendre,
    whole("n"),
    whole("m"),
    _assoc_legendre_slope,
    doc="scipy.special.assoc_legendre_p, or its derivative of the given order with respect to z.",
    dtype=lambda *found, **params: _assoc_legendre(*[np.ones((), each) for each in found], **params).dtype,
    params={"branch_cut": 2, "norm": False, "order": 0},
    source=lambda n, m, z, branch_cut, norm, order: (
        f"np.asarray(scipy.special.assoc_legendre_p({n}, {m}, {z}, branch_cut={branch_cut}, norm={norm}, "
        f"diff_n={order}))[{order}][()]"
    ),
    domain=[Interval(0, 4, integers=True), Interval(-2, 2, integers=True), Interval(0.2, 0.9)],
    dtypes="d",
)


def _sph_harm(n: Any, m: Any, theta: Any, phi: Any, order: int) -> Any:
    radial = np.asarray(scipy.special.sph_legendre_p(n, m, theta, diff_n=order))[order]
    return (radial * np.exp(1j * np.asarray(m) * phi))[()]


def _sph_harm_slope(y: Node, n: Node, m: Node, theta: Node, phi: Node, order: int) -> Node:
    if order == 2:
        raise NotDifferentiableError("sph_harm_y: derivatives of sph_harm_y above the second in theta are not known")
    return sph_harm_y(n, m, theta, phi, order=order + 1)


sph_harm_y = special(
    "sph_harm_y",
    _sph_harm,
    whole("n"),
    whole("m"),
    _sph_harm_slope,
    lambda y, n, m, theta, phi, order: 1j * m * y,
    doc="Spherical harmonic, or its derivative of the given order with respect to theta.",
    dtype=lambda n, m, theta, phi, order: np.dtype(complex),
    params={"order": 0},
    source=lambda n, m, theta, phi, order: (
        f"np.asarray(scipy.special.sph_legendre_p({n}, {m}, {theta}, diff_n={order}))[{order}] "
        f"* np.exp(1j * {m} * {phi})"
    ),
    domain=[Interval(0, 4, integers=True), Interval(-2, 2, integers=True), Interval(0.3, 2.8), Interval()],
    dtypes="d",
)

# -- Mathieu and spheroidal wave functions ------------------------------------------------------------------

_MATHIEU = [Interval(1, 4, integers=True), POSITIVE, Interval(0.2, 1)]
mathieu_a = special("mathieu_a", scipy.special.mathieu_a, whole("m"), Differences(), domain=_MATHIEU[:2])
mathieu_b = special("mathieu_b", scipy.special.mathieu_b, whole("m"), Differences(), domain=_MATHIEU[:2])


def _mathieu(name: str, characteristic: Op, modified: bool) -> None:
    """Declare a Mathieu function and its derivative: w'' = ±(a - 2 q cos 2x) w, DLMF 28.2.1 and 28.20.1."""
    ufunc = getattr(scipy.special, name)
    unit = 1.0 if modified else _DEGREE  # SciPy takes the angle in degrees, and differentiates by radians

    def slope(y: Node, m: Node, q: Node, x: Node) -> Node:
        return unit * RESULTS[ufunc][1](m, q, x)

    def bend(y: Node, m: Node, q: Node, x: Node) -> Node:
        turn = cosh(2 * x) if modified else cos(2 * _DEGREE * x)
        return (unit if modified else -unit) * (characteristic(m, q) - 2 * q * turn) * RESULTS[ufunc][0](m, q, x)

    q = "the derivative with respect to q is not known; that of the characteristic value (mathieu_a) is"
    several(ufunc, f"{name} {name}_slope", [whole("m"), q, slope], [whole("m"), q, bend], domain=_MATHIEU)


for _name, _value in (("cem", mathieu_a), ("sem", mathieu_b)):
    _mathieu(f"mathieu_{_name}", _value, False)
    for _kind in "12":
        _mathieu(f"mathieu_mod{_name}{_kind}", _value, True)

_COUNTS = [Interval(1, 1, integers=True), Interval(2, 2, integers=True), Interval(0.5, 2)]
pro_cv = special("pro_cv", scipy.special.pro_cv, whole("m"), whole("n"), Differences(), domain=_COUNTS)
obl_cv = special("obl_cv", scipy.special.obl_cv, whole("m"), whole("n"), Differences(), domain=_COUNTS)


def _spheroidal(name: str, characteristic: Op, domain: Interval) -> None:
    """Declare a spheroidal wave function and its derivative, in both of SciPy's forms; DLMF 30.2.1."""
    oblate, radial = name.startswith("obl"), "rad" in name
    for given in (False, True):
        ufunc = getattr(scipy.special, name + ("_cv" if given else ""))

        def slope(y: Node, *args: Node, ufunc: Any = ufunc) -> Node:
            return RESULTS[ufunc][1](*args)

        def bend(y: Node, m: Node, n: Node, c: Node, *rest: Node, ufunc: Any = ufunc) -> Node:
            x = rest[-1]
            value = rest[0] if len(rest) > 1 else characteristic(m, n, c)
            w = RESULTS[ufunc][0](m, n, c, *rest)
            if oblate and radial:
                above = 1 + x * x
                return ((value - c * c * x * x - m * m / above) * w - 2 * x * y) / above
            above = (1 - x) * (1 + x)
            square = -(c * c) if oblate else c * c
            return (2 * x * y - (value - square * x * x - m * m / above) * w) / above

        c = "the derivative with respect to c is not known; that of the characteristic value is"
        counts = [whole("m"), whole("n"), c, *["it is a function of c, by pro_cv or obl_cv"] * given]
        value = float(characteristic.evaluate(1, 2, 1.5))  # the functions of others solve no equation
        bounds = [*_COUNTS[:2], Interval(1.5, 1.5), *[Interval(value, value)] * given, domain]
        several(ufunc, f"{ufunc.__name__} {ufunc.__name__}_slope", [*counts, slope], [*counts, bend], domain=bounds)


for _name, _value, _range in (
    ("pro_ang1", pro_cv, Interval(0.1, 0.8)),
    ("pro_rad1", pro_cv, Interval(1.5, 2.5)),
    ("pro_rad2", pro_cv, Interval(2.5, 3.5)),  # nearer to 1 SciPy's own values are wrong
    ("obl_ang1", obl_cv, Interval(0.1, 0.8)),
    ("obl_rad1", obl_cv, Interval(0.5, 2)),
    ("obl_rad2", obl_cv, Interval(2.5, 3.5)),
):
    _spheroidal(_name, _value, _range)
