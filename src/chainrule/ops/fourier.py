"""Discrete Fourier, cosine and sine transforms: linear maps whose transposes are transforms again.

Lengths are those of the arrays: what `n=` and `s=` cut or pad is done by others, and so are norms of the cosine and
sine transforms. With the pairing Re(Σ y_bar · y_dot), without conjugation, a complex transform is its own transpose;
that of a transform from real to complex numbers is the transform back, of weighted conjugates, and the other way round.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy  # loads its parts when they are used

from chainrule.edges import scale
from chainrule.ir import Node
from chainrule.ops.family import structural
from chainrule.types import Spec, real_dtype

_SCALES = {"backward": 0.0, "ortho": 0.5, "forward": 1.0}
"""By which power of its length the sum of a transform is divided."""
_REVERSED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def complex_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype of a transform: NumPy keeps single precision, and takes half precision for single."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "fc":
        return np.dtype(complex)
    return np.result_type(dtype, np.complex64)


def _shifted(node: Node, args: list[Node], batched: list[bool]) -> Node:
    """Return the op on arrays with one more axis in front."""
    params = dict(node.params)
    name = "axes" if "axes" in params else "axis"
    params[name] = tuple(k + 1 for k in params[name]) if name == "axes" else params[name] + 1
    return node.op(args[0], **params)


def _samples(*cases: Any) -> Any:
    return lambda rng: [((rng.normal(size=shape),), params) for shape, params in cases]


# -- complex to complex --------------------------------------------------------------------------------


def _fft(x: Any, axes: tuple[int, ...], inverse: bool, norm: Any) -> Any:
    if len(axes) > 1:
        return (np.fft.ifftn if inverse else np.fft.fftn)(x, None, axes, norm)
    return (np.fft.ifft if inverse else np.fft.fft)(x, None, axes[0], norm)


fft = structural(
    "fft",
    _fft,
    doc="Discrete Fourier transform over axes, or its inverse.",
    infer=lambda x, axes, inverse, norm: x.with_dtype(complex_dtype(x.dtype)),
    adjoint=lambda y_bar, x, axes, inverse, norm: fft(y_bar, axes=axes, inverse=inverse, norm=norm),
    batch=_shifted,
    words=lambda axes, inverse, norm: f"{'inverse ' if inverse else ''}Fourier transform",
    selects=False,
    scatters=False,
    source=lambda x, axes, inverse, norm: f"np.fft.{'i' if inverse else ''}fftn({x}, axes={axes}, norm={norm!r})",
    samples=_samples(
        ((4,), {"axes": (0,), "inverse": False, "norm": "backward"}),
        ((3, 2), {"axes": (0,), "inverse": True, "norm": "backward"}),
        ((3, 2), {"axes": (0, 1), "inverse": True, "norm": "ortho"}),
        ((2, 3, 2), {"axes": (2, 1), "inverse": False, "norm": "forward"}),
        ((1,), {"axes": (0,), "inverse": False, "norm": "ortho"}),
        ((0, 2), {"axes": (1,), "inverse": False, "norm": "backward"}),
    ),
)

# -- real to half of the complex coefficients, and back ------------------------------------------------


def _weights(x: Node, n: int, axis: int, ends: float, middle: float) -> Node:
    """Return weights along an axis of coefficients: those with a conjugate partner in the other half, and the rest."""
    count = n // 2 + 1
    weights = np.full(count, middle)
    weights[0] = ends
    if n % 2 == 0:
        weights[-1] = ends
    shape = [count if k == axis else 1 for k in range(x.ndim)]
    return x.builder.constant(weights.reshape(shape).astype(real_dtype(x.dtype)))


def _rfft_adjoint(y_bar: Node, x: Spec, axis: int, norm: str) -> Node:
    """x_bar[j] = Re Σ_k y_bar[k] exp(-2πi jk/n), over the half of the k that there is."""
    n = x.shape[axis]
    halved = scale(_weights(y_bar, n, axis, 1.0, 0.5), y_bar.conj())
    return irfft(halved, axis=axis, n=n, norm=_REVERSED[norm])


rfft = structural(
    "rfft",
    lambda x, axis, norm: np.fft.rfft(x, None, axis, norm),
    doc="Discrete Fourier transform of real numbers along an axis: the coefficients 0 to n/2.",
    infer=lambda x, axis, norm: Spec(
        tuple(size // 2 + 1 if k == axis else size for k, size in enumerate(x.shape)), complex_dtype(x.dtype)
    ),
    adjoint=_rfft_adjoint,
    batch=_shifted,
    words="Fourier transform of real numbers",
    selects=False,
    scatters=False,
    source=lambda x, axis, norm: f"np.fft.rfft({x}, axis={axis}, norm={norm!r})",
    dtypes="fd",
    samples=_samples(
        ((4,), {"axis": 0, "norm": "backward"}),
        ((3, 2), {"axis": 0, "norm": "ortho"}),
        ((2, 5), {"axis": 1, "norm": "forward"}),
        ((1,), {"axis": 0, "norm": "backward"}),
        ((0, 2), {"axis": 1, "norm": "backward"}),
    ),
)


def _irfft_adjoint(y_bar: Node, x: Spec, axis: int, n: int, norm: str) -> Node:
    """x_bar[k] = m_k conj(rfft(y_bar))[k], m_k = 2 where the coefficient stands for two."""
    found = rfft(y_bar, axis=axis, norm=_REVERSED[norm]).conj()
    return scale(_weights(found, n, axis, 1.0, 2.0), found)


irfft = structural(
    "irfft",
    lambda x, axis, n, norm: np.fft.irfft(x, n, axis, norm),
    doc="The n real numbers of which the coefficients 0 to n/2 are given along an axis.",
    infer=lambda x, axis, n, norm: Spec(
        tuple(n if k == axis else size for k, size in enumerate(x.shape)), real_dtype(complex_dtype(x.dtype))
    ),
    adjoint=_irfft_adjoint,
    batch=_shifted,
    words=lambda axis, n, norm: "inverse Fourier transform to real numbers",
    selects=False,
    scatters=False,
    source=lambda x, axis, n, norm: f"np.fft.irfft({x}, {n}, axis={axis}, norm={norm!r})",
    samples=_samples(
        ((3,), {"axis": 0, "n": 4, "norm": "backward"}),
        ((3, 2), {"axis": 0, "n": 5, "norm": "ortho"}),
        ((2, 3), {"axis": 1, "n": 4, "norm": "forward"}),
        ((1,), {"axis": 0, "n": 1, "norm": "backward"}),
        ((0, 2), {"axis": 1, "n": 2, "norm": "backward"}),
    ),
)

# -- cosine and sine transforms ------------------------------------------------------------------------


def _trigonometric(x: Any, axis: int, type: int, sine: bool) -> Any:
    return (scipy.fft.dst if sine else scipy.fft.dct)(x, type, axis=axis) if np.size(x) else np.asarray(x) * 1.0


def _ends(x: Node, axis: int, first: float, last: float) -> Node:
    """Multiply the first and the last element along an axis."""
    weights = np.ones(x.shape[axis])
    weights[0] *= first
    weights[-1] *= last
    shape = [-1 if k == axis else 1 for k in range(x.ndim)]
    return scale(x.builder.constant(weights.reshape(shape).astype(real_dtype(x.dtype))), x)


def _trigonometric_adjoint(y_bar: Node, x: Spec, axis: int, type: int, sine: bool) -> Node:
    """Types 2 and 3 are each other's transpose but for one element that counts once or twice; so is type 1 its own."""
    other = {1: 1, 2: 3, 3: 2, 4: 4}[type]
    end = (1.0, 2.0) if sine else (2.0, 1.0)
    if type == 1 and not sine:
        found = trigonometric(_ends(y_bar, axis, 2.0, 2.0), axis=axis, type=1, sine=False)
        return _ends(found, axis, 0.5, 0.5)
    if type == 2:
        return trigonometric(_ends(y_bar, axis, *end), axis=axis, type=other, sine=sine)
    found = trigonometric(y_bar, axis=axis, type=other, sine=sine)
    return _ends(found, axis, 1 / end[0], 1 / end[1]) if type == 3 else found


trigonometric = structural(
    "trigonometric",
    _trigonometric,
    doc="Discrete cosine or sine transform of types 1 to 4 along an axis, not normalized.",
    infer=lambda x, axis, type, sine: x.with_dtype(
        x.dtype if x.dtype.kind in "fc" and x.dtype.char != "e" else np.float32 if x.dtype.char == "e" else float
    ),
    adjoint=_trigonometric_adjoint,
    batch=_shifted,
    words=lambda axis, type, sine: f"{'sine' if sine else 'cosine'} transform of type {type}",
    selects=False,
    scatters=False,
    source=lambda x, axis, type, sine: f"scipy.fft.{'dst' if sine else 'dct'}({x}, {type}, axis={axis})",
    samples=_samples(
        *(((4,), {"axis": 0, "type": type, "sine": sine}) for type in (1, 2, 3, 4) for sine in (False, True)),
        *(((2, 3), {"axis": 1, "type": type, "sine": sine}) for type in (1, 2, 3, 4) for sine in (False, True)),
        *(((1,), {"axis": 0, "type": type, "sine": sine}) for type in (2, 3, 4) for sine in (False, True)),
        ((0, 2), {"axis": 1, "type": 2, "sine": False}),
    ),
)


def factor(norm: str, count: int) -> float:
    """Return what a norm divides a sum of so many terms by."""
    return math.pow(count, _SCALES[norm])
