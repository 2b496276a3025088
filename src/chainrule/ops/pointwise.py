"""Elementwise ops: one ufunc and one partial per argument on each line.

What a derivative is at a kink, a tie or a zero is a convention; all of them stand in docs/conventions.md and are tested
in tests/ops/test_conventions.py.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.ir import Node
from chainrule.ops.family import Interval, Wirtinger, as_array, helper, pointwise
from chainrule.types import real_dtype

POSITIVE = Interval(0.2, 3)
UNIT = Interval(-0.9, 0.9)
AWAY = Interval(0.5, 2)
BETWEEN = [Interval(2.3, 2.4), Interval(0.95, 1)]  # the quotient is not near an integer
SMOOTH = "fdD"  # differentiated as complex functions too

# Arithmetic

add = pointwise("add", np.add, lambda y, a, b: 1, lambda y, a, b: 1, source="{0} + {1}", dtypes=SMOOTH)
subtract = pointwise("subtract", np.subtract, lambda y, a, b: 1, lambda y, a, b: -1, source="{0} - {1}", dtypes=SMOOTH)
multiply = pointwise("multiply", np.multiply, lambda y, a, b: b, lambda y, a, b: a, source="{0} * {1}", dtypes=SMOOTH)
divide = pointwise(
    "divide",
    np.divide,
    lambda y, a, b: 1 / b,
    lambda y, a, b: -(y / b),
    source="{0} / {1}",
    domain=[Interval(), AWAY],
    dtypes=SMOOTH,
)
negative = pointwise("negative", np.negative, lambda y, x: -1, source="-{0}", dtypes=SMOOTH)


def _power_wrt_base(y: Node, x: Node, p: Node) -> Node:
    if p.value is not None and not p.ndim and p.op.name == "constant":
        return {0: p * 0, 1: p * 0 + 1, 2: 2 * x}.get(p.value.item()) or p * x ** (p - 1)
    return where(p.equals(0), 0.0, p * x ** where(p.equals(0), 1.0, p - 1))


def _power_wrt_exponent(y: Node, x: Node, p: Node) -> Node:
    nothing = x.equals(0)
    return where(nothing, 0.0, y * log(where(nothing, 1.0, x)))


power = pointwise(
    "power",
    np.power,
    _power_wrt_base,
    _power_wrt_exponent,
    source="{0} ** {1}",
    domain=[POSITIVE, Interval()],
    dtypes=SMOOTH,
)
float_power = pointwise(
    "float_power", np.float_power, _power_wrt_base, _power_wrt_exponent, domain=[POSITIVE, Interval()], dtypes="dD"
)
square = pointwise("square", np.square, lambda y, x: 2 * x, dtypes=SMOOTH)
reciprocal = pointwise("reciprocal", np.reciprocal, lambda y, x: -(y * y), domain=[AWAY], dtypes=SMOOTH)
sqrt = pointwise("sqrt", np.sqrt, lambda y, x: 0.5 / y, domain=[POSITIVE], dtypes=SMOOTH)
cbrt = pointwise("cbrt", np.cbrt, lambda y, x: 1 / (3 * y * y), domain=[POSITIVE])
fmod = pointwise("fmod", np.fmod, lambda y, a, b: 1, lambda y, a, b: -trunc(a / b), domain=BETWEEN)
remainder = pointwise(
    "remainder",
    np.remainder,
    lambda y, a, b: 1,
    lambda y, a, b: -floor(a / b),
    source="{0} % {1}",
    domain=BETWEEN,
)
floor_divide = pointwise("floor_divide", np.floor_divide, None, None, source="{0} // {1}", domain=BETWEEN)
helper("""
    def scale(a, b):
        with np.errstate(invalid="ignore"):
            product = np.multiply(a, b)
        nothing = np.isnan(product) & (np.equal(a, 0) | np.equal(b, 0))
        return np.where(nothing, product.dtype.type(0), product)[()]
""")

scale = pointwise(
    "scale",
    lambda a, b: _annihilate(a, b, np.multiply(a, b)),
    lambda y, a, b: b,
    lambda y, a, b: a,
    doc="Product of a partial and a tangent: exactly 0 where either is, even beside inf and NaN.",
    dtype=np.result_type,
    source="scale",
    lower="scale",
    dtypes=SMOOTH,
)


def _annihilate(a: np.ndarray, b: np.ndarray, product: np.ndarray) -> np.ndarray:
    bad = np.isnan(product)
    if not getattr(bad, "is_lazy", False) and not bad.any():
        return product
    return np.where(bad & (np.equal(a, 0) | np.equal(b, 0)), product.dtype.type(0), product)[()]


# Exponentials and logarithms

exp = pointwise("exp", np.exp, lambda y, x: y, dtypes=SMOOTH)
exp2 = pointwise("exp2", np.exp2, lambda y, x: y * math.log(2), dtypes=SMOOTH)
expm1 = pointwise("expm1", np.expm1, lambda y, x: exp(x), dtypes=SMOOTH)
log = pointwise("log", np.log, lambda y, x: 1 / x, domain=[POSITIVE], dtypes=SMOOTH)
log2 = pointwise("log2", np.log2, lambda y, x: 1 / (x * math.log(2)), domain=[POSITIVE], dtypes=SMOOTH)
log10 = pointwise("log10", np.log10, lambda y, x: 1 / (x * math.log(10)), domain=[POSITIVE], dtypes=SMOOTH)
log1p = pointwise("log1p", np.log1p, lambda y, x: 1 / (1 + x), domain=[POSITIVE], dtypes=SMOOTH)
logaddexp = pointwise("logaddexp", np.logaddexp, lambda y, a, b: _ratio(a, y), lambda y, a, b: _ratio(b, y))
logaddexp2 = pointwise("logaddexp2", np.logaddexp2, lambda y, a, b: exp2(_gap(a, y)), lambda y, a, b: exp2(_gap(b, y)))


def _gap(a: Node, y: Node) -> Node:
    """Return a - y, and 0 where both are the same infinity."""
    return where(a.equals(y), 0.0, a - y)


def _ratio(a: Node, y: Node) -> Node:
    return exp(_gap(a, y))


# Trigonometric and hyperbolic functions

sin = pointwise("sin", np.sin, lambda y, x: cos(x), dtypes=SMOOTH)
cos = pointwise("cos", np.cos, lambda y, x: -sin(x), dtypes=SMOOTH)
tan = pointwise("tan", np.tan, lambda y, x: 1 + y * y, domain=[Interval(-1, 1)], dtypes=SMOOTH)
arcsin = pointwise("arcsin", np.arcsin, lambda y, x: 1 / _root(x), domain=[UNIT], dtypes=SMOOTH)
arccos = pointwise("arccos", np.arccos, lambda y, x: -1 / _root(x), domain=[UNIT], dtypes=SMOOTH)
arctan = pointwise("arctan", np.arctan, lambda y, x: 1 / (1 + x * x), dtypes=SMOOTH)


def _root(x: Node) -> Node:
    """Return sqrt(1 - x²); of complex numbers on the side of the branch cut that NumPy's arcsin takes.

    1 - x would lose the sign of a zero imaginary part, which tells the side.
    """
    return sqrt(-(x - 1)) * sqrt(x + 1) if x.spec.is_complex else sqrt((1 - x) * (1 + x))


sinh = pointwise("sinh", np.sinh, lambda y, x: cosh(x), dtypes=SMOOTH)
cosh = pointwise("cosh", np.cosh, lambda y, x: sinh(x), dtypes=SMOOTH)
tanh = pointwise("tanh", np.tanh, lambda y, x: 1 - y * y, dtypes=SMOOTH)
arcsinh = pointwise("arcsinh", np.arcsinh, lambda y, x: 1 / sqrt(1 + x * x), dtypes=SMOOTH)
arccosh = pointwise(
    "arccosh", np.arccosh, lambda y, x: 1 / (sqrt(x - 1) * sqrt(x + 1)), domain=[Interval(1.2, 3)], dtypes=SMOOTH
)
arctanh = pointwise("arctanh", np.arctanh, lambda y, x: 1 / ((1 - x) * (1 + x)), domain=[UNIT], dtypes=SMOOTH)
arctan2 = pointwise(
    "arctan2",
    np.arctan2,
    lambda y, a, b: _over(_over(b, hypot(a, b)), hypot(a, b)),
    lambda y, a, b: -_over(_over(a, hypot(a, b)), hypot(a, b)),
    domain=[AWAY, AWAY],
)
hypot = pointwise("hypot", np.hypot, lambda y, a, b: _over(a, y), lambda y, a, b: _over(b, y), domain=[AWAY, AWAY])
degrees = pointwise("degrees", np.degrees, lambda y, x: 180 / math.pi, lower="rad2deg")
radians = pointwise("radians", np.radians, lambda y, x: math.pi / 180, lower="deg2rad")
rad2deg = pointwise("rad2deg", np.rad2deg, lambda y, x: 180 / math.pi)
deg2rad = pointwise("deg2rad", np.deg2rad, lambda y, x: math.pi / 180)


def _over(a: Node, y: Node) -> Node:
    """Return a / y, and 0 where y is 0."""
    nothing = y.equals(0)
    return where(nothing, 0.0, a / where(nothing, 1.0, y))


# Comparison, choice, rounding

greater = pointwise("greater", np.greater, None, None, source="{0} > {1}")
greater_equal = pointwise("greater_equal", np.greater_equal, None, None, source="{0} >= {1}")
less = pointwise("less", np.less, None, None, source="{0} < {1}")
less_equal = pointwise("less_equal", np.less_equal, None, None, source="{0} <= {1}")
equal = pointwise("equal", np.equal, None, None, source="{0} == {1}")
not_equal = pointwise("not_equal", np.not_equal, None, None, source="{0} != {1}")
logical_and = pointwise("logical_and", np.logical_and, None, None)
logical_or = pointwise("logical_or", np.logical_or, None, None)
logical_xor = pointwise("logical_xor", np.logical_xor, None, None)
logical_not = pointwise("logical_not", np.logical_not, None)
isnan = pointwise("isnan", np.isnan, None)
isfinite = pointwise("isfinite", np.isfinite, None)
isinf = pointwise("isinf", np.isinf, None)
signbit = pointwise("signbit", np.signbit, None)
_WHOLE = [Interval(0, 5, integers=True)] * 2
bitwise_and = pointwise("bitwise_and", np.bitwise_and, None, None, source="{0} & {1}", domain=_WHOLE, dtypes="")
bitwise_or = pointwise("bitwise_or", np.bitwise_or, None, None, source="{0} | {1}", domain=_WHOLE, dtypes="")
bitwise_xor = pointwise("bitwise_xor", np.bitwise_xor, None, None, source="{0} ^ {1}", domain=_WHOLE, dtypes="")
invert = pointwise("invert", np.invert, None, source="~{0}", domain=_WHOLE, dtypes="")
left_shift = pointwise("left_shift", np.left_shift, None, None, source="{0} << {1}", domain=_WHOLE, dtypes="")
right_shift = pointwise("right_shift", np.right_shift, None, None, source="{0} >> {1}", domain=_WHOLE, dtypes="")
bitwise_count = pointwise("bitwise_count", np.bitwise_count, None, domain=_WHOLE, dtypes="")
gcd = pointwise("gcd", np.gcd, None, None, domain=_WHOLE, dtypes="")
lcm = pointwise("lcm", np.lcm, None, None, domain=_WHOLE, dtypes="")
where = pointwise(
    "where",
    np.where,
    None,
    lambda y, condition, a, b: where(condition, y.dtype.type(1), y.dtype.type(0)),
    lambda y, condition, a, b: where(condition, y.dtype.type(0), y.dtype.type(1)),
    doc="a where the condition holds, b elsewhere.",
    dtype=lambda condition, a, b: np.result_type(a, b),
    domain=[Interval(0, 1, integers=True)],
    source="np.where",
    dtypes=SMOOTH,
)
maximum = pointwise(
    "maximum", np.maximum, lambda y, a, b: _share(a, b, y), lambda y, a, b: _share(b, a, y), dtypes=SMOOTH
)
minimum = pointwise(
    "minimum", np.minimum, lambda y, a, b: _share(a, b, y), lambda y, a, b: _share(b, a, y), dtypes=SMOOTH
)
fmax = pointwise("fmax", np.fmax, lambda y, a, b: _share(a, b, y), lambda y, a, b: _share(b, a, y), dtypes=SMOOTH)
fmin = pointwise("fmin", np.fmin, lambda y, a, b: _share(a, b, y), lambda y, a, b: _share(b, a, y), dtypes=SMOOTH)


def _share(a: Node, b: Node, y: Node) -> Node:
    """Return 1 where y was taken from a, 1/2 where from both, 0 where from b."""
    one = real_dtype(y.dtype).type
    return where(a.equals(y), where(b.equals(y), one(0.5), one(1)), one(0))


def _turn(y: Node, x: Node) -> Wirtinger | int:
    """Return the change of x / |x| with a complex x; real signs do not change."""
    if not x.spec.is_complex:
        return 0
    half = 0.5 / absolute(x)
    return Wirtinger(half, -(y * y * half))


sign = pointwise("sign", np.sign, _turn, domain=[AWAY], dtypes=SMOOTH)
floor = pointwise("floor", np.floor, None)
ceil = pointwise("ceil", np.ceil, None)
trunc = pointwise("trunc", np.trunc, None)
rint = pointwise("rint", np.rint, None, dtypes=SMOOTH)
heaviside = pointwise("heaviside", np.heaviside, None, lambda y, x, h: where(x.equals(0), 1.0, 0.0), domain=[AWAY])
copysign = pointwise(
    "copysign",
    np.copysign,
    lambda y, a, b: where(signbit(a).equals(signbit(b)), 1.0, -1.0),
    None,
    domain=[AWAY, AWAY],
)
nextafter = pointwise("nextafter", np.nextafter, lambda y, a, b: 1, None, dtypes="d")
spacing = pointwise("spacing", np.spacing, None, dtypes="")
ldexp = pointwise(
    "ldexp",
    np.ldexp,
    lambda y, x, k: ldexp(one_like(x), k),
    None,
    domain=[Interval(), Interval(-3, 3, integers=True)],
)
fraction = pointwise(
    "fraction",
    lambda x: np.modf(x)[0],
    lambda y, x: 1,
    doc="What follows the decimal point, with the sign of x.",
    dtype=lambda x: np.modf(np.ones((), x))[0].dtype,
    source="np.modf({0})[0]",
    domain=[AWAY],
)
exponent = pointwise(
    "exponent",
    lambda x: np.frexp(x)[1],
    None,
    doc="The k of x = m · 2ᵏ with 0.5 ≤ |m| < 1.",
    dtype=lambda x: np.frexp(np.ones((), x))[1].dtype,
    source="np.frexp({0})[1]",
    domain=[AWAY],
)

# Absolute values and complex numbers


def _phase(y: Node, x: Node) -> Node:
    """Return the conjugate of x / |x|; 0 at 0. The change of |x| is the real part of its product with x_dot."""
    return sign(x).conj()


absolute = pointwise("absolute", np.absolute, _phase, domain=[AWAY], dtypes=SMOOTH)
fabs = pointwise("fabs", np.fabs, _phase, domain=[AWAY])
conjugate = pointwise(
    "conjugate", np.conjugate, lambda y, x: Wirtinger(0, one_like(x)) if x.spec.is_complex else 1, dtypes=SMOOTH
)
real = pointwise(
    "real",
    lambda x: np.real(x)[()],
    lambda y, x: 1,
    doc="Real part.",
    dtype=real_dtype,
    source="np.real",
    dtypes=SMOOTH,
)
imag = pointwise(
    "imag",
    lambda x: np.imag(x)[()],
    lambda y, x: -1j if x.spec.is_complex else 0,
    doc="Imaginary part.",
    dtype=real_dtype,
    source="np.imag",
    dtypes=SMOOTH,
)


def one_like(x: Node) -> Node:
    """Return the number 1 in x's dtype."""
    return x.builder.constant(x.dtype.type(1))


astype = pointwise(
    "astype",
    lambda x, dtype: as_array(x).astype(dtype)[()],
    lambda y, x, dtype: 1,
    doc="The same numbers in another dtype; a complex number loses its imaginary part.",
    dtype=lambda found, dtype: dtype,
    params={"dtype": np.dtype(np.float64)},
    source=lambda x, dtype: f"np.asarray({x}).astype(np.{np.dtype(dtype).name})",
)
