"""NumPy's functions on traced arrays: NumPy's value, dtype, shape and type, and derivatives that agree.

CASES calls every function that has a rule. Arrays and NumPy scalars of real or complex numbers among the arguments
are traced; integers, booleans and Python numbers stay plain.
"""

import inspect
import warnings

import numpy as np
import pytest
import scipy.special
from numpy.testing.overrides import get_overridable_numpy_array_functions, get_overridable_numpy_ufuncs

import chainrule as cr
from chainrule import tree
from chainrule.tracing import TracedArray
from chainrule.tracing.array import CREATORS, FUNCTIONS, UFUNC_METHODS, UFUNCS

RNG = np.random.default_rng(7)
V = RNG.normal(size=4)
W = RNG.normal(size=4)
M = RNG.normal(size=(2, 3))
N = RNG.normal(size=(2, 3))
CUBE = RNG.normal(size=(2, 3, 2))
POSITIVE = RNG.uniform(0.5, 2, size=(2, 3))
SQUARE = np.array([[4.0, 1.0, 0.3], [1.2, 3.0, 0.2], [0.5, 0.1, 2.0]])
SPD = SQUARE @ SQUARE.T
COMPLEX = RNG.normal(size=(2, 3)) + 1j * RNG.normal(size=(2, 3))
SCALAR = np.float64(0.7)
ZERO_D = np.array(0.7)
EMPTY = np.zeros((0, 3))
ONE = np.array([[1.5]])
SINGLE = V.astype(np.float32)
HOLES = np.array([[1.0, np.nan, 3.0], [np.nan, 2.5, 0.5]])
INTEGERS = np.array([2, 0, 1])
MASK = np.array([[True, False, True], [False, True, True]])

CASES = []


def case(function, *args, **kwargs):
    CASES.append((function, args, kwargs))


for f in (np.sum, np.mean, np.prod, np.max, np.min, np.amax, np.amin, np.ptp, np.var, np.std):
    for x in (SCALAR, ZERO_D, V, ONE, SINGLE):
        case(f, x)
    for axis in (0, -1, (0, 1), None):
        case(f, M, axis=axis)
        case(f, M, axis, keepdims=True)
    case(f, CUBE, axis=(0, -1))
for f in (np.sum, np.prod, np.cumsum, np.cumprod):
    case(f, EMPTY)
    case(f, EMPTY, axis=0)
    case(f, COMPLEX, axis=1)
    case(f, M, axis=0, dtype=np.float32)
    case(f, M, 0, np.complex128)
for f in (np.sum, np.prod, np.max, np.min, np.nansum, np.nanprod, np.nanmax, np.nanmin):
    case(f, M, axis=1, initial=0.25, where=MASK)
    case(f, M, initial=1.5)
case(np.sum, M, where=MASK)
case(np.prod, M, where=MASK)
case(np.sum, M, 0, None, None, True)
case(np.mean, M, 0, None, None, True)
case(np.max, M, 0, None, True)
for f in (np.mean, np.var, np.std):
    case(f, M, axis=1, where=MASK)
    case(f, M, where=MASK, keepdims=True)
    case(f, M, dtype=np.float32)
    case(f, COMPLEX, axis=0)
for f in (np.var, np.std, np.nanvar, np.nanstd):
    case(f, M, axis=1, ddof=1)
    case(f, M, correction=1)
    case(f, M, mean=np.mean(M))
case(np.average, M)
case(np.average, M, axis=1, weights=[1.0, 2.0, 3.0])
case(np.average, M, weights=POSITIVE, keepdims=True)
case(np.average, M, axis=0, weights=POSITIVE[:, 0], returned=True)
case(np.average, CUBE, axis=(2, 0), weights=POSITIVE[:, :2])
for f in (np.any, np.all):
    case(f, M)
    case(f, M, axis=1, keepdims=True)
    case(f, M, axis=0, where=MASK)
case(np.count_nonzero, M)
case(np.count_nonzero, M, axis=0, keepdims=True)
for f in (np.cumsum, np.cumprod, np.nancumsum, np.nancumprod):
    case(f, V)
    case(f, M)
    case(f, M, axis=0)
    case(f, M, axis=-1)
    case(f, SINGLE)
for f in (np.nancumsum, np.nancumprod):
    case(f, HOLES, axis=1)
for f in (np.cumulative_sum, np.cumulative_prod):
    case(f, V)
    case(f, M, axis=1, include_initial=True)
    case(f, M, axis=0, dtype=np.float32)
for f in (np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin):
    case(f, HOLES)
    case(f, HOLES, axis=0)
    case(f, HOLES, axis=1, keepdims=True)
    case(f, SINGLE)
for f in (np.median,):
    case(f, V)
    case(f, M, axis=1)
    case(f, M, axis=0, keepdims=True)
    case(f, CUBE, axis=(0, 2))
    case(f, SINGLE)
    case(f, ONE)
for f, q in ((np.quantile, 0.3), (np.percentile, 30), (np.quantile, 1.0), (np.quantile, 0), (np.percentile, 12.5)):
    case(f, V, q)
    case(f, M, q, axis=1, keepdims=True)
case(np.quantile, M, [0.2, 0.9], axis=0)
case(np.percentile, V, [0, 35, 100])
case(np.quantile, V, SCALAR)
case(np.cov, M)
case(np.cov, M, rowvar=False)
case(np.cov, M, bias=True)
case(np.cov, V, W, ddof=0)
case(np.corrcoef, M)
case(np.corrcoef, V, W)
case(np.bincount, INTEGERS, np.array([0.5, 1.5, 2.5]), minlength=5)
case(np.bincount, INTEGERS, weights=np.array([0.5, 1.5, 2.5]))
for order in (None, 1, 2, 3, np.inf, -np.inf, 0):
    case(np.linalg.norm, V, order)
    case(np.linalg.norm, M, order, axis=1)
for order in (None, "fro", 1, -1, np.inf, -np.inf):
    case(np.linalg.norm, M, order)
    case(np.linalg.norm, CUBE, order, axis=(0, 1), keepdims=True)
case(np.linalg.norm, COMPLEX)
case(np.linalg.norm, V, keepdims=True)
case(np.linalg.norm, SINGLE)

case(np.where, MASK, M, N)
case(np.where, MASK, M, 0.0)
case(np.where, MASK, 1, SCALAR)
case(np.where, [True, False, True, True], V, W)
case(np.where, M > 0, M, N)
case(np.where, M)
case(np.select, [M > 0.5, M > 0], [M, N])
case(np.select, [MASK, ~MASK], [M, 2.0], default=-1.0)
case(np.piecewise, V, [V < 0, V >= 0], [np.sin, lambda x: x**2])
case(np.piecewise, V, [V < 0], [3.0, np.cos])
case(np.piecewise, SCALAR, [True], [lambda x: x**2])
case(np.clip, M, -0.5, 0.5)
case(np.clip, M, None, 0.5)
case(np.clip, M, min=-0.5)
case(np.clip, M, max=N)
case(np.clip, SINGLE, -0.6, 0.9)
for decimals in (0, 1, -1):
    case(np.round, 10 * M, decimals)
    case(np.around, 10 * M, decimals)
case(np.fix, 10 * M)
case(np.real, COMPLEX)
case(np.real, M)
case(np.imag, COMPLEX)
case(np.imag, M)
case(np.angle, COMPLEX)
case(np.angle, COMPLEX, deg=True)
case(np.angle, POSITIVE)
case(np.nan_to_num, HOLES)
case(np.nan_to_num, np.array([np.inf, 1.0, -np.inf]), nan=1.0, posinf=2.0, neginf=-3.0)
case(np.sinc, V)
case(np.sinc, np.array([0.0, 1e-3, 0.4]))
case(np.isclose, V, V + 1e-9)
case(np.isclose, HOLES, HOLES, equal_nan=True)
case(np.allclose, V, W)
case(np.array_equal, V, V + 0)
case(np.array_equal, V, M)
case(np.interp, np.array([0.2, 1.7, 2.5]), np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.0]))
case(np.interp, SCALAR, [0.0, 1.0, 2.0], [1.0, 3.0, 2.0])
case(np.interp, V, np.array([-0.1, 0.0, 0.1]), np.array([1.0, 3.0, 2.0]), left=-1.0, right=5.0)
case(np.interp, np.array([0.2, 5.7, -2.5]), np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.0]), period=3.0)
case(np.polyval, V, 0.7)
case(np.polyval, V, M)
case(np.polyval, [1, 2, 3], SCALAR)
for mode in ("full", "same", "valid"):
    case(np.convolve, V, W[:3], mode)
    case(np.convolve, V[:2], W, mode)
    case(np.correlate, V, W[:3], mode)
    case(np.correlate, V[:2], W, mode)
case(np.convolve, COMPLEX[0], V)
case(np.correlate, COMPLEX[0], COMPLEX[1], "full")
case(np.apply_along_axis, np.cumsum, 0, M)
case(np.apply_along_axis, np.sum, 1, CUBE)
case(np.apply_along_axis, lambda row: np.outer(row, row), 1, CUBE)

for x in (SCALAR, M, CUBE, EMPTY, COMPLEX):
    case(np.reshape, x, -1)
    case(np.ravel, x)
    case(np.transpose, x)
    case(np.squeeze, x)
    case(np.expand_dims, x, 0)
    case(np.copy, x)
    for f in (np.atleast_1d, np.atleast_2d, np.atleast_3d, np.zeros_like, np.ones_like):
        case(f, x)
case(np.reshape, CUBE, (4, -1))
case(np.reshape, CUBE, (3, 4), order="F")
case(np.ravel, CUBE, order="F")
case(np.transpose, CUBE, (1, 2, 0))
case(np.transpose, CUBE, (-1, 0, 1))
case(np.permute_dims, CUBE, (2, 0, 1))
case(np.matrix_transpose, CUBE)
case(np.linalg.matrix_transpose, CUBE)
case(np.swapaxes, CUBE, 0, -1)
case(np.moveaxis, CUBE, 0, -1)
case(np.moveaxis, CUBE, (0, 1), (2, 0))
case(np.squeeze, CUBE[:, :1], axis=1)
case(np.squeeze, ONE, axis=(0, 1))
case(np.expand_dims, M, (0, -1))
case(np.broadcast_to, V, (3, 4))
case(np.broadcast_to, SCALAR, (2,))
case(np.broadcast_to, V, 4)
case(np.broadcast_arrays, V, M.T[:, :1], SCALAR)
case(np.atleast_2d, V, SCALAR)
case(np.concatenate, [M, N])
case(np.concatenate, [M, N], axis=-1)
case(np.concatenate, [M, V], axis=None)
case(np.concatenate, (V, [1.0, 2.0], INTEGERS))
case(np.concatenate, [V, SINGLE], dtype=np.float32)
case(np.stack, [M, N])
case(np.stack, [M, N], axis=-1)
case(np.stack, [SCALAR, 1.0, SCALAR])
case(np.vstack, [V, W])
case(np.vstack, [M, N[:1]])
case(np.hstack, [V, SCALAR, 1.0])
case(np.hstack, [M, N])
case(np.hstack, [V, SINGLE], dtype=np.float32)
case(np.dstack, [M, N])
case(np.dstack, [V, W])
case(np.column_stack, [V, W])
case(np.column_stack, [M, N[:, 0]])
case(np.block, [[SQUARE, SQUARE[:, :1]], [SQUARE[:1], ONE]])
case(np.block, [V, 1.0])
case(np.append, M, V)
case(np.append, M, N, axis=1)
case(np.append, V, [1.0, 2.0])
case(np.insert, V, 1, 9.0)
case(np.insert, V, [1, 3], [8.0, SCALAR])
case(np.insert, M, 1, N[:, 0], axis=1)
case(np.insert, M, [0, 2], N[:, :2], axis=1)
case(np.insert, M, 1, SCALAR)
case(np.insert, M, slice(0, 2), 5.0, axis=0)
case(np.delete, V, 1)
case(np.delete, M, [0, -1], axis=1)
case(np.delete, M, slice(0, 2), axis=1)
case(np.delete, M, 2)
case(np.resize, M, (3, 3))
case(np.resize, V, 2)
case(np.trim_zeros, V)
case(np.trim_zeros, V, "b")
case(np.array_split, V, 3)
case(np.array_split, M, [1, 2], axis=1)
case(np.split, V, 2)
case(np.split, V, [1, 3])
case(np.hsplit, M, 3)
case(np.hsplit, V, 2)
case(np.vsplit, M, 2)
case(np.dsplit, CUBE, 2)
case(np.unstack, M)
case(np.unstack, CUBE, axis=-1)
case(np.tile, V, 2)
case(np.tile, M, (2, 1, 2))
case(np.tile, SCALAR, 3)
case(np.repeat, V, 2)
case(np.repeat, M, [1, 0, 2], axis=1)
case(np.repeat, M, 2)
case(np.flip, M)
case(np.flip, M, axis=-1)
case(np.fliplr, M)
case(np.flipud, M)
for k in (0, 1, 2, -1):
    case(np.rot90, M, k)
case(np.rot90, CUBE, axes=(1, 2))
case(np.roll, V, 1)
case(np.roll, V, -6)
case(np.roll, M, 1)
case(np.roll, M, (1, -1), axis=(0, 1))
case(np.pad, V, 2)
case(np.pad, M, ((1, 0), (0, 2)))
case(np.pad, V, (1, 2), constant_values=3.0)
case(np.pad, V, (1, 2), constant_values=SCALAR)
for mode in ("edge", "reflect", "wrap", "symmetric"):
    case(np.pad, M, 1, mode)
case(np.pad, np.arange(5.0), 2, "reflect")
case(np.diagonal, M)
case(np.diagonal, CUBE, 1, 1, 2)
case(np.linalg.diagonal, CUBE, offset=-1)
case(np.diag, V)
case(np.diag, V, -1)
case(np.diag, SQUARE, 1)
case(np.diagflat, M, 1)
case(np.trace, SQUARE)
case(np.trace, CUBE, 0, 0, 2)
case(np.trace, SQUARE, dtype=np.float32)
case(np.linalg.trace, CUBE, offset=1)
for f in (np.tril, np.triu):
    case(f, SQUARE)
    case(f, M, 1)
    case(f, CUBE, -1)
case(np.diff, V)
case(np.diff, M, 2)
case(np.diff, M, axis=0)
case(np.diff, V, prepend=0.0, append=[1.0, SCALAR])
case(np.ediff1d, M)
case(np.ediff1d, V, to_begin=-1.0, to_end=[1.0, 2.0])
case(np.gradient, V)
case(np.gradient, M)
case(np.gradient, M, 0.5, axis=1)
case(np.gradient, V, np.array([0.0, 1.0, 1.5, 3.0]))
case(np.gradient, M, 0.5, 2.0)
case(np.unwrap, 4 * V)
case(np.unwrap, 9 * M, axis=0, period=4.0)
case(np.trapezoid, V)
case(np.trapezoid, M, dx=0.5, axis=0)
case(np.trapezoid, V, W)
case(np.trapezoid, M, np.array([0.0, 1.0, 3.0]))
case(np.compress, [True, False, True], M, axis=1)
case(np.compress, [False, True], M)
case(np.extract, MASK, M)
case(np.choose, INTEGERS, [V[:3], W[:3], 2.0])
case(np.choose, np.array([4, -1, 1]), [V[:3], W[:3]], mode="wrap")
case(np.choose, np.array([4, -1, 1]), [V[:3], W[:3]], mode="clip")

# what NumPy has besides
for f in (np.isreal, np.iscomplex, np.real_if_close, np.nan_to_num):
    case(f, COMPLEX)
    case(f, M)
case(np.nan_to_num, np.array([1j * np.inf, complex(np.nan, 1.0)]))
for f in (np.isposinf, np.isneginf):
    case(f, np.array([np.inf, 1.0, -np.inf, np.nan]))
case(np.array_equiv, V, V[None] + 0)
case(np.array_equiv, V, M)
for f in (np.emath.sqrt, np.emath.log, np.emath.log2, np.emath.log10):
    case(f, POSITIVE)
    case(f, V)
for f in (np.emath.arccos, np.emath.arcsin, np.emath.arctanh):
    case(f, V / 3)
    case(f, 2.5 * np.ones(2))
case(np.emath.logn, SCALAR, POSITIVE)
case(np.emath.logn, 2, V)
case(np.emath.power, V, 2)
case(np.emath.power, V, SCALAR)
case(np.logspace, SCALAR, 2.0, 5)
case(np.logspace, SCALAR, V, 3, endpoint=False, base=2.0, axis=-1)
case(np.logspace, 0.0, SCALAR, 4, dtype=np.float32)
case(np.geomspace, SCALAR, 2.0, 5)
case(np.geomspace, -SCALAR, -2.0, 4, endpoint=False)
case(np.geomspace, POSITIVE, 3.0, 3, axis=1)
case(np.geomspace, COMPLEX[0, 0], 1j * SCALAR, 4)
case(np.diag_indices_from, SQUARE)
case(np.tril_indices_from, M, 1)
case(np.triu_indices_from, M)
case(np.rollaxis, CUBE, 2)
case(np.rollaxis, CUBE, 0, 3)
case(np.apply_over_axes, np.sum, CUBE, [0, 2])
case(np.apply_over_axes, np.max, M, 1)
case(np.lib.stride_tricks.sliding_window_view, V, 2)
case(np.lib.stride_tricks.sliding_window_view, CUBE, (2, 1), axis=(1, 2))
case(np.lib.stride_tricks.sliding_window_view, M, (1, 2))
for options in ({"mode": "linear_ramp"}, {"mode": "linear_ramp", "end_values": ((1.0, 2.0), (SCALAR, 0.5))},
                {"mode": "mean"}, {"mode": "mean", "stat_length": 2}, {"mode": "maximum"}, {"mode": "minimum"},
                {"mode": "median", "stat_length": ((1, 2), (2, 3))}, {"mode": "empty"}, {"mode": "reflect"},
                {"mode": "reflect", "reflect_type": "odd"}, {"mode": "symmetric", "reflect_type": "odd"},
                {"mode": "constant", "constant_values": ((1.0, 2.0), (3.0, SCALAR))}):  # fmt: skip
    if options["mode"] != "empty":
        case(np.pad, M, ((2, 1), (0, 3)), **options)
        case(np.pad, CUBE, 0, "mean")
case(np.pad, M, {-1: (1, 2)})
case(np.pad, COMPLEX, 1, "linear_ramp")
case(np.gradient, V, edge_order=2)
case(np.gradient, V, np.array([0.0, 1.0, 1.5, 3.0]), edge_order=2)
case(np.gradient, SQUARE, SCALAR, V[:3].cumsum(), edge_order=2)
case(np.poly, V)
case(np.poly, COMPLEX[0])
case(np.roots, np.array([1.0, -3.5, 3.4, -0.9]))
case(np.roots, np.array([1.0, 0.5, 2.0]))
case(np.roots, COMPLEX[0])
case(np.roots, np.array([2.0]))
for f in (np.polyadd, np.polysub, np.polymul):
    case(f, V, M[0])
    case(f, [1.0, 2.0], V)
    case(f, COMPLEX[0], V)
case(np.polydiv, V, POSITIVE[0, :2])
case(np.polydiv, POSITIVE[0, :2], V)
case(np.polydiv, V, COMPLEX[0])
case(np.polydiv, V, 2.0)
case(np.polyder, V)
case(np.polyder, V, 3)
case(np.polyint, V)
case(np.polyint, V, 2, SCALAR)
case(np.polyint, V, 2, [1.0, SCALAR])
if np.linalg.lstsq in FUNCTIONS:
    case(np.polyfit, V, W, 2)
    case(np.polyfit, V, np.stack([W, V]).T, 1)
    case(np.polyfit, V, W, 1, w=POSITIVE[0, :1] * np.ones(4))
    case(np.polyfit, V, W, 1, cov=True)
    case(np.polyfit, V, W, 1, cov="unscaled")
case(np.polynomial.polynomial.polyval2d, V, W, M)
case(np.polynomial.polynomial.polyval2d, SCALAR, 0.5, CUBE)
case(np.polynomial.polynomial.polygrid2d, V, W[:2], M)
case(np.vander, V)
case(np.vander, V, 3, increasing=True)
case(np.vander, COMPLEX[0], 2)
for method in (
    "linear",
    "weibull",
    "hazen",
    "interpolated_inverted_cdf",
    "median_unbiased",
    "normal_unbiased",
    "lower",
    "higher",
    "nearest",
    "midpoint",
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
):
    for q in (0.3, 0.5, 1.0, 0.0, 0.125, [0.25, 0.75]):
        case(np.quantile, V, q, method=method)
        case(np.nanquantile, HOLES, q, axis=0, method=method)
    case(np.percentile, M, [10, 55], axis=1, method=method, keepdims=True)
case(np.quantile, V, 0.4, method="inverted_cdf", weights=np.array([1.0, 2.0, 0.5, 3.0]))
case(np.quantile, M, [0.2, 0.7], axis=1, method="inverted_cdf", weights=POSITIVE)
case(np.percentile, M, 20, axis=0, method="inverted_cdf", weights=POSITIVE[:, 0], keepdims=True)
case(np.nanquantile, HOLES, 0.4, axis=1, method="inverted_cdf", weights=POSITIVE)
for f, q in ((np.nanmedian, ()), (np.nanpercentile, (30,)), (np.nanquantile, ([0.2, 0.9],))):
    case(f, HOLES, *q)
    case(f, HOLES, *q, axis=0)
    case(f, HOLES, *q, axis=1, keepdims=True)
case(np.nanmedian, SINGLE)
case(np.nanpercentile, SINGLE, 30)
case(np.cov, SINGLE)
case(np.cov, M, aweights=POSITIVE[0])
case(np.cov, M, fweights=[1, 2, 3], ddof=1)
case(np.cov, M, fweights=[1, 2, 3], aweights=POSITIVE[0], bias=True)
case(np.cov, COMPLEX)
case(np.corrcoef, COMPLEX)
case(np.corrcoef, M, rowvar=False)
case(np.histogram, V)
case(np.histogram, V, 3, weights=W)
case(np.histogram, V, np.array([-1.0, 0.0, 0.5]), density=True)
case(np.histogram, V, 4, (-1.0, 1.0), density=True, weights=np.abs(W))
case(np.histogram, V, "auto")
case(np.histogram, SINGLE, 2)
case(np.histogram_bin_edges, V, 3)
case(np.histogram_bin_edges, V, 3, (0.0, 1.0))
case(np.histogram2d, V, W, 2)
case(np.histogram2d, V, W, (2, 3), weights=np.abs(V), density=True)
case(np.histogram2d, V, W, [np.array([-1.0, 0.0, 1.0]), 2])
for x in (V, M, SINGLE):
    case(np.unique, x)
    case(np.unique, x, return_index=True, return_inverse=True, return_counts=True)
case(np.unique_values, SCALAR)
case(np.sort_complex, COMPLEX[0])
case(np.sort_complex, V)
case(np.lexsort, (V, W))
case(np.lexsort, M)
for f in (np.nanargmax, np.nanargmin):
    case(f, HOLES)
    case(f, HOLES, axis=1, keepdims=True)
case(np.einsum, M, [0, 1], N, [2, 1], [2, 0])
case(np.einsum, CUBE, [Ellipsis, 0], V[:2], [0])
case(np.einsum, SQUARE, [0, 0])
case(np.einsum, "ij,jk", M, SQUARE, optimize=True)
case(np.einsum, "ij->i", SINGLE[None], dtype=np.float64)
case(np.einsum_path, "ij,jk,k", M, SQUARE, V[:3])

case(np.zeros_like, M, dtype=np.float32)
case(np.ones_like, M, shape=(2,))
case(np.full_like, M, 2.0)
case(np.full_like, M, SCALAR)
case(np.full_like, SINGLE, SCALAR)
case(np.linspace, SCALAR, 2.0, 5)
case(np.linspace, 0.0, V, 3, axis=-1)
case(np.linspace, 0.0, SCALAR, 4, endpoint=False, retstep=True)
case(np.linspace, 0.0, SCALAR, 4, dtype=np.float32)
case(np.meshgrid, V, W[:3])
case(np.meshgrid, V, W[:3], indexing="ij", sparse=True)
case(np.astype, M, np.float32)
case(np.astype, M, np.complex128)
case(np.astype, 10 * M, np.int64)

for a, b in ((V, W), (SCALAR, V), (M, N.T), (SQUARE, V[:3]), (V[:3], SQUARE), (CUBE, M), (COMPLEX, V[:3]), (V, 2.0)):
    case(np.dot, a, b)
for a, b in ((V, W), (SCALAR, V), (M, N), (CUBE, V[:2])):
    case(np.inner, a, b)
for f in (np.matmul, np.linalg.matmul):
    case(f, M, N.T)
    case(f, CUBE, M)
    case(f, CUBE.transpose(0, 2, 1), CUBE)
    case(f, V, W)
    case(f, SINGLE, SINGLE)
case(np.vdot, COMPLEX, COMPLEX[::-1])
case(np.vdot, M, N)
case(np.vecdot, COMPLEX, COMPLEX[::-1])
case(np.linalg.vecdot, M, N, axis=0)
case(np.vecdot, M, N, axis=0)
case(np.outer, V, M)
case(np.linalg.outer, V, W)
case(np.tensordot, CUBE, M, axes=([1], [1]))
case(np.tensordot, CUBE, CUBE, 3)
case(np.tensordot, V, W, 0)
case(np.linalg.tensordot, CUBE, M, axes=1)
for subscripts, arrays in {
    "ij,kj->ik": (M, N), "ij->": (M,), "ii->i": (SQUARE,), "ii": (SQUARE,), "i,i": (V, W), "...i,i": (CUBE, V[:2]),
    "ij,jk,kl->il": (M, SQUARE, SQUARE), "i,j": (V, W), "ij->ji": (M,), "b...,b...->...": (M, N),
}.items():  # fmt: skip
    case(np.einsum, subscripts, *arrays)
case(np.kron, M, V)
case(np.kron, V, SQUARE)
case(np.cross, SQUARE, SQUARE[::-1])
case(np.cross, SQUARE, np.array([1.0, 2.0, 3.0]), axisa=0)
case(np.linalg.multi_dot, [M, SQUARE, N.T])
case(np.linalg.multi_dot, [V[:3], SQUARE, V[:3]])
for n in (0, 1, 3, -2):
    case(np.linalg.matrix_power, SQUARE, n)
case(np.linalg.solve, SQUARE, V[:3])
case(np.linalg.solve, SQUARE, SPD)
case(np.linalg.inv, SQUARE)
case(np.linalg.det, SQUARE)
case(np.linalg.slogdet, SQUARE)
if hasattr(np, "matvec"):  # NumPy 2.2
    case(np.matvec, CUBE, V[:2])
    case(np.vecmat, M, CUBE)

case(np.argsort, V)
case(np.argsort, M, axis=0)
case(np.argsort, M, axis=None)
case(np.sort, V)
case(np.sort, M, axis=0)
case(np.sort, M, axis=None)
case(np.partition, V, 2)
case(np.partition, M, [0, 1], axis=-1)
case(np.argpartition, V, 1)
for f in (np.argmax, np.argmin):
    case(f, V)
    case(f, M)
    case(f, M, axis=-1, keepdims=True)
case(np.take, V, INTEGERS)
case(np.take, M, 1, axis=1)
case(np.take, M, [[0, -1]], axis=0)
case(np.take, V, [5, -7], mode="wrap")
case(np.take, V, [5, -7], mode="clip")
case(np.take_along_axis, M, np.array([[2, 0], [1, 1]]), 1)
case(np.take_along_axis, M, np.array([4, 0]), None)
case(np.nonzero, M)
case(np.flatnonzero, M)
case(np.argwhere, M)
case(np.searchsorted, np.sort(V), W)
case(np.searchsorted, np.sort(V), SCALAR, side="right")
case(np.searchsorted, np.array([3.0, 1.0, 2.0]), 1.5, sorter=np.array([1, 2, 0]))
case(np.digitize, V, np.array([-1.0, 0.0, 1.0]))
case(np.digitize, V, np.array([1.0, 0.0, -1.0]), right=True)
case(np.shape, M)
case(np.ndim, SCALAR)
case(np.size, M, 1)
case(np.iscomplexobj, COMPLEX)
case(np.isrealobj, COMPLEX)
case(np.result_type, SINGLE, M, np.int32)
case(np.can_cast, V, np.float32, "same_kind")
case(np.array_repr, M)
case(np.array_str, M, precision=2)
case(np.array2string, V, separator=", ")

for f in (np.positive, np.modf):
    case(f, M)
    case(f, SCALAR)
case(np.frexp, M)
case(np.divmod, M, 0.3)
case(np.ldexp, M, np.array([1, 2, 3]))

# of symmetric matrices: LAPACK reads one triangle, differences have to move both
SYMMETRIC = [(np.linalg.cholesky, {}), (np.linalg.cholesky, {"upper": True})]

# methods of ufuncs
case(np.add.reduce, M)
case(np.add.reduce, M, axis=None, keepdims=True)
case(np.add.reduce, M, axis=1, initial=2.0, where=MASK)
case(np.multiply.reduce, M, 1)
case(np.maximum.reduce, M, axis=(0, 1), initial=0.3)
case(np.minimum.reduce, M, -1)
case(np.logaddexp.reduce, M, axis=1)
case(np.logical_or.reduce, M, axis=1)
case(np.add.accumulate, M, axis=1)
case(np.multiply.accumulate, M)
case(np.maximum.accumulate, V)
case(np.minimum.accumulate, M, 1)
case(np.logaddexp.accumulate, V)
case(np.add.reduceat, V, [0, 2, 1])
case(np.multiply.reduceat, M, [0, 1, 2], axis=1)
case(np.add.outer, V, M)
case(np.power.outer, POSITIVE, V)
for f in (np.subtract, np.divide, np.hypot, np.fmax, np.fmin, np.logaddexp2, np.logical_xor):
    case(f.reduce, POSITIVE, axis=1)
    case(f.reduce, POSITIVE, axis=0, keepdims=True)
    case(f.accumulate, POSITIVE, 1)
for f in (np.hypot, np.logaddexp, np.fmax, np.logaddexp2):
    case(f.reduce, POSITIVE, axis=(0, 1), initial=0.5)
    case(f.reduce, M, axis=1, initial=1.5, where=MASK)
case(np.hypot.reduce, EMPTY, axis=0)
case(np.hypot.reduce, M, axis=0, where=MASK)
case(np.subtract.reduce, M, axis=0, initial=2.0)
case(np.subtract.reduce, SINGLE, dtype=np.float64)
case(np.subtract.reduceat, V, [0, 3, 1])
case(np.hypot.outer, V, W)
case(np.subtract.outer, V, [1.0, 2.0])

# options of ufuncs
case(np.add, M, N, dtype=np.float32)
case(np.sin, SINGLE, dtype=np.float64)
case(np.multiply, M, N, order="C", subok=True, casting="same_kind")

# writing into a copy
WRITERS = [
    (np.copyto, (N,), {}),
    (np.copyto, (SCALAR,), {"where": MASK}),
    (np.put, ([0, -1], [1.5, SCALAR]), {}),
    (np.put, ([7, -9], 2.5), {"mode": "wrap"}),
    (np.put, ([7, -9], 2.5), {"mode": "clip"}),
    (np.place, (MASK, [SCALAR, 2.0]), {}),
    (np.putmask, (MASK, N), {}),
    (np.putmask, (MASK, V), {}),
    (np.put_along_axis, (np.array([[0], [2]]), 2 * SCALAR, 1), {}),
    (np.put_along_axis, (np.array([0, 5]), V[:2], None), {}),
    (np.fill_diagonal, (SCALAR,), {}),
    (np.fill_diagonal, (V,), {}),
    (np.add.at, ((INTEGERS % 2, INTEGERS), V[:3]), {}),
    (np.add.at, (([0, 0, 1],), SCALAR), {}),
    (np.subtract.at, (([0, 0, 1],), N[:1]), {}),
    (np.multiply.at, (([0, 1, 0], [1, 1, 1]), V[:3]), {}),
    (np.divide.at, ((slice(None), 0), POSITIVE[:, 0]), {}),
    (np.maximum.at, ((0, INTEGERS), V[:3]), {}),
    (np.negative.at, (([0, 0, 1], [1, 1, 2]),), {}),
]


def name_of(function):
    if getattr(function, "__self__", None) is not None and isinstance(function.__self__, np.ufunc):
        return f"{function.__self__.__name__}.{function.__name__}"
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module}.{function.__name__}".replace("numpy", "np", 1)


def is_traced(leaf):
    return isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind in "fc"


def split(args, kwargs):
    """Return the arguments that are traced, and a function that calls with others in their place."""
    leaves, structure = tree.flatten((args, kwargs))
    chosen = [k for k, leaf in enumerate(leaves) if is_traced(leaf)]

    def call(function, *values):
        filled = list(leaves)
        for k, value in zip(chosen, values, strict=True):
            filled[k] = value
        again, options = tree.unflatten(structure, filled)
        return function(*again, **options)

    return [leaves[k] for k in chosen], call


def like(t, x):
    """Return a traced array of x's kind and numbers."""
    return np.asarray(x, like=t)[...] if np.ndim(x) or isinstance(x, np.ndarray) else np.asarray(x, like=t)[()]


def parts_of(result):
    """Return the arrays of a result, of NumPy or traced."""
    return list(result) if isinstance(result, list | tuple) else [result]


def check_values(found, expected, low=False):
    assert type(found) is type(expected) or isinstance(found, TracedArray)
    for one, two in zip(parts_of(found), parts_of(expected), strict=True):
        value = one.value if isinstance(one, TracedArray) else one
        assert type(value) is type(two)
        if isinstance(two, np.ndarray | np.generic):
            assert value.dtype == two.dtype
            assert value.shape == two.shape
            tolerance = 1e-5 if low or value.dtype in (np.float32, np.complex64) else 1e-11
            np.testing.assert_allclose(value, two, rtol=tolerance, atol=tolerance * 1e-1)
        else:
            assert value == two


def smooth(result):
    """Return the inexact arrays of a result."""
    return [part for part in parts_of(result) if getattr(part, "dtype", np.dtype(int)).kind in "fc"]


def check_derivatives(f, args):
    """Forward mode against central differences in a random direction, reverse mode against forward mode."""
    rng = np.random.default_rng(3)

    def direction(x):
        d = rng.normal(size=np.shape(x))
        return (d + 1j * rng.normal(size=np.shape(x)) if np.iscomplexobj(x) else d).astype(x.dtype)[()]

    tangents = tuple(direction(x) for x in args)
    y, push = cr.linearize(f, *args)
    y_dot = push(*tangents)
    low = any(x.dtype in (np.float32, np.complex64) for x in [*args, *y])
    step = 1e-2 if low else 1e-6
    ends = [f(*(x + sign * step * d for x, d in zip(args, tangents, strict=True))) for sign in (1, -1)]
    for dot, plus, minus, value in zip(y_dot, *ends, y, strict=True):
        assert dot.dtype == value.dtype
        slope = (plus - minus) / (2 * step)
        np.testing.assert_allclose(dot, slope, rtol=3e-2 if low else 1e-6, atol=3e-2 if low else 1e-7)
    _, pull = cr.vjp(f, *args)
    y_bar = [direction(value) for value in y]
    x_bar = pull(y_bar)
    forward = sum((np.sum(a * b) for a, b in zip(y_bar, y_dot, strict=True)), 0.0)
    backward = sum((np.sum(a * b) for a, b in zip(x_bar, tangents, strict=True)), 0.0)
    for bar, x in zip(x_bar, args, strict=True):
        assert bar.dtype == x.dtype
        assert np.shape(bar) == np.shape(x)
    np.testing.assert_allclose(
        np.real(forward), np.real(backward), rtol=1e-3 if low else 1e-9, atol=1e-4 if low else 1e-12
    )


def check(function, args, kwargs, run=None):
    values, call = split(args, kwargs)
    run = run or (lambda *x: call(function, *x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of NaN in slices without a number, as NumPy's
        expected = run(*values)
        seen = []

        def traced(*x):
            seen.append(run(*x))
            return smooth(seen[-1]) or [x[0]]

        cr.linearize(traced, *values)
        check_values(seen[0], expected)
        if smooth(expected):
            check_derivatives(lambda *x: smooth(run(*x)), values)


@pytest.mark.parametrize(
    ("function", "args", "kwargs"), CASES, ids=[f"{name_of(f)}-{k}" for k, (f, _, _) in enumerate(CASES)]
)
def test_value_and_derivatives(function, args, kwargs):
    check(function, args, kwargs)


COUNTED = [
    np.sum, np.prod, np.mean, np.max, np.min, np.ptp, np.var, np.std, np.average, np.cumsum, np.cumprod,
    np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin, np.median, np.percentile, np.cov,
    np.linalg.norm, np.round, np.diff, np.interp, np.clip, np.where, np.pad, np.trace, np.dot, np.take, np.sort,
    np.nan_to_num, np.trapezoid, np.linspace,
]  # fmt: skip
INTEGER_CASES = [
    (f, args, kwargs) for f, args, kwargs in CASES if f in COUNTED and not any(
        np.iscomplexobj(x) or np.isnan(x).any() for x in tree.flatten((args, kwargs))[0] if is_traced(x))
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.int64, np.int8])
@pytest.mark.parametrize(
    ("function", "args", "kwargs"), INTEGER_CASES, ids=[f"{name_of(f)}-{k}" for k, (f, *_) in enumerate(INTEGER_CASES)]
)
def test_integers_are_promoted_as_numpy_does(function, args, kwargs, dtype):
    values, call = split(args, kwargs)

    def run(*x):
        return call(function, *((10 * part).astype(dtype) for part in x))

    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # division by a count of 0 and integer overflow, as NumPy's
        cr.linearize(lambda *x: (seen.append(run(*x)), [x[0]])[1], *values)
        check_values(seen[0], run(*values))


@pytest.mark.parametrize("dtype", [np.float32, np.complex128, np.int64])
@pytest.mark.parametrize(
    ("function", "args", "kwargs"), CASES, ids=[f"{name_of(f)}-{k}" for k, (f, _, _) in enumerate(CASES)]
)
def test_value_and_dtype_of_other_numbers(function, args, kwargs, dtype):
    """As NumPy's, wherever NumPy takes numbers of this kind."""
    values, call = split(args, kwargs)
    if not values or (function is np.argsort and dtype is np.int64):  # the order of ties is NumPy's own choice
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dtype is np.int64 and not all(np.all(np.isfinite(x)) for x in values):
            return
        others = [(3 * x if dtype is np.int64 else x).astype(dtype)[()] for x in map(np.asarray, values)]
        try:
            expected = call(function, *others)
        except Exception:
            return
        if dtype is np.int64 and not all(np.all(np.isfinite(part)) for part in smooth(expected)):
            return
        seen = []
        cr.linearize(lambda t: (seen.append(call(function, *[like(t, x) for x in others])), t)[1], 1.0)
        check_values(seen[0], expected, low=dtype is np.float32)


@pytest.mark.parametrize(
    ("function", "args", "kwargs"), WRITERS, ids=[f"{name_of(f)}-{k}" for k, (f, _, _) in enumerate(WRITERS)]
)
@pytest.mark.parametrize("is_plain", [False, True], ids=["traced", "plain"])
def test_writing_into_an_argument(function, args, kwargs, is_plain):
    def run(x, *values):
        y = np.array(POSITIVE) if is_plain else x * 1.0
        call(lambda *a, **k: getattr(np, function.__name__, function)(y, *a, **k), *values)
        return y + 0 * x

    values, call = split(args, kwargs)
    check(None, (POSITIVE, *values), {}, run)


@pytest.mark.parametrize(("function", "kwargs"), SYMMETRIC)
def test_functions_of_symmetric_matrices(function, kwargs):
    check(None, (SPD,), {}, lambda a: function((a + a.T) / 2, **kwargs))


@pytest.mark.parametrize("function", [np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal])
def test_a_plain_array_is_not_written_into(function):
    values, call = next(split(args, {}) for f, args, _ in WRITERS if f is function and split(args, {})[0])
    outside = np.zeros((2, 3))

    def f(*x):
        call(lambda *a: function(outside, *a), *x)
        return x[0].sum()

    with pytest.raises(cr.ChainruleError, match=r"plain .*array|out of the graph"):
        cr.grad(f)(*values)
    assert not outside.any()


def test_every_function_with_a_rule_has_a_case():
    called = {function for function, *_ in [*CASES, *WRITERS, *SYMMETRIC]} | INDEX_FUNCTIONS
    exempt = {np.i0, np.polyfit, np.empty_like, np.shares_memory, np.may_share_memory}
    elsewhere = ("numpy.linalg", "numpy.fft")  # tests/tracing/test_linalg.py
    special = {f for f in vars(scipy.special).values() if isinstance(f, np.ufunc)}  # tests/scipy/test_scipy_special.py
    missing = [name_of(f) for f in FUNCTIONS if f not in called and f not in exempt and f not in special
               and getattr(f, "__module__", "") not in elsewhere]  # fmt: skip
    assert missing == []
    methods = {f.__name__ for f in called if isinstance(getattr(f, "__self__", None), np.ufunc)}
    assert methods == set(UFUNC_METHODS)


def functions():
    return [f for f in FUNCTIONS if not isinstance(f, np.ufunc)]


def signature(function):
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return {}


@pytest.mark.parametrize("function", functions(), ids=name_of)
def test_each_parameter_is_known_or_refused_by_name(function):
    """Whatever NumPy accepts is either a parameter of the rule, of the same name, or an error that names it."""
    rule = inspect.signature(FUNCTIONS[function]).parameters
    loose = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in rule.values())
    args, kwargs = next((a, k) for f, a, k in [*CASES, *WRITERS, (function, (SPD,), {})] if f is function)
    if function in [f for f, _, _ in WRITERS]:
        args = (M, *args)
    for name, parameter in signature(function).items():
        if name in rule or name == "out" or loose or parameter.kind is parameter.VAR_KEYWORD:
            continue
        values, call = split(args, kwargs)

        def f(*x, name=name, call=call):
            return call(lambda *a, **k: function(*a, **{**k, name: object()}), *x)

        with pytest.raises(cr.ChainruleError, match=rf"{function.__name__}: {name}=.*test_functions\.py:\d+"):
            cr.linearize(f, *values)
        assert parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)


@pytest.mark.parametrize("function", functions(), ids=name_of)
def test_parameters_have_numpys_names(function):
    """A parameter of a rule that NumPy does not have could never be given."""
    own = signature(function)
    rule = inspect.signature(FUNCTIONS[function]).parameters.values()
    if own and not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in rule):
        loose = any(p.kind is p.VAR_KEYWORD for p in own.values())
        assert [p.name for p in rule if p.name not in own and not loose] == []


OUT = {
    np.sum: (M, 0), np.mean: (M, 0), np.prod: (M, 0), np.max: (M, 0), np.min: (M, 0), np.ptp: (M, 0), np.var: (M, 0),
    np.std: (M, 0), np.cumsum: (M, 1), np.cumprod: (M, 1), np.clip: (M, -1, 1), np.round: (M, 1),
    np.take: (V, INTEGERS), np.dot: (M, SQUARE), np.concatenate: ([M, N],), np.stack: ([M, N],), np.outer: (V, W),
    np.fix: (M,), np.trace: (CUBE,), np.median: (M, 0), np.compress: ([True, False, True], M, 1), np.nansum: (M, 0),
    np.einsum: ("ij->j", M), np.add: (M, N), np.sin: (M,), np.add.reduce: (M,), np.matmul: (M, SQUARE),
}  # fmt: skip


@pytest.mark.parametrize("is_like", [True, False], ids=["like", "plain"])
@pytest.mark.parametrize("function", OUT, ids=name_of)
def test_out_may_be_traced(function, is_like):
    values, call = split(OUT[function], {})

    def run(*x):
        y = call(function, *x)
        out = np.zeros(y.shape, like=y) if is_like and isinstance(y, TracedArray) else np.zeros(y.shape)
        view = out[...]
        assert call(lambda *a: function(*a, out=out), *x) is out
        return view * 1.0

    check(None, tuple(values), {}, run)


@pytest.mark.parametrize("function", OUT, ids=name_of)
def test_a_plain_out_is_refused(function):
    values, call = split(OUT[function], {})
    outside = np.zeros(call(function, *values).shape)

    def f(*x):
        return call(lambda *a: function(*a, out=outside), *x)

    with pytest.raises(cr.ChainruleError, match=r"plain NumPy array.*test_functions\.py"):
        cr.linearize(f, *values)
    assert not outside.any()


def test_ufuncs_write_where_a_mask_holds():
    def run(x, y):
        out = 3 * y
        np.multiply(x, y, out=out, where=MASK)
        first, second = y * 0, y * 0
        np.divmod(x, y, out=(first, second))
        return [out, first, second]

    check(None, (M, POSITIVE), {}, run)


def test_a_mask_without_out_is_refused():
    with pytest.raises(cr.ChainruleError, match=r"np\.multiply: where= without out=.*np\.where"):
        cr.linearize(lambda x: np.multiply(x, x, where=MASK), M)


@pytest.mark.parametrize("name", ["signature", "axes", "axis", "keepdims"])
def test_other_options_of_ufuncs_are_refused_by_name(name):
    with pytest.raises(cr.ChainruleError, match=rf"np\.matmul: {name}= .*test_functions\.py"):
        cr.linearize(lambda x: np.matmul(x, x.T, **{name: None}), M)


def test_a_dtype_too_small_for_the_arguments_is_refused():
    with pytest.raises(cr.ChainruleError, match=r"np\.add: dtype"):
        cr.linearize(lambda x: np.add(x, x, dtype=int), M)


@pytest.mark.parametrize("function", CREATORS, ids=name_of)
def test_creation_like_a_traced_array(function):
    args = {
        np.zeros: ((2, 3),), np.ones: (3,), np.empty: (0,), np.eye: (2, 3), np.identity: (2,), np.tri: (3,),
        np.arange: (1.0, 4.0), np.full: ((2,), 1.5),
    }.get(function, ([1.0, 2.0],))  # fmt: skip
    seen = []

    def f(x):
        seen.append(function(*args, like=x))
        seen[0][...] = seen[0] + x
        return np.sum(seen[0])

    gradient = cr.grad(f)(2.0)
    expected = function(*args)
    assert gradient == expected.size
    assert seen[0].shape == expected.shape
    assert seen[0].dtype == expected.dtype


def test_creation_from_traced_values():
    def run(x, s):
        if isinstance(x, TracedArray):
            return [np.array([[s, 1.0], [2, s]], like=x), np.full(2, s, like=s), np.asarray([x, x], like=x)]
        return [np.array([[s, 1.0], [2, s]]), np.full(2, s), np.asarray([x, x])]

    check(None, (V, SCALAR), {}, run)


def tied(x):
    return np.concatenate([x, x[:2], x[3:]])


TIES = {
    "unique": lambda x: np.unique(tied(x), True, True, True),
    "unique of NaN": lambda x: np.nan_to_num(np.unique(np.where(tied(x) > 1, np.nan, tied(x)))),
    "unique, NaN apart": lambda x: np.nan_to_num(np.unique(np.where(tied(x) > 1, np.nan, tied(x)), equal_nan=False)),
    "unique rows": lambda x: np.unique(np.stack([x, 2 * x, x]), True, True, True, axis=0),
    "unique columns": lambda x: np.unique(np.stack([tied(x), 2 * tied(x)]), axis=1),
    "unique_all": lambda x: np.unique_all(tied(x)),
    "unique_counts": lambda x: np.unique_counts(tied(x)),
    "unique_inverse": lambda x: np.unique_inverse(tied(x)),
    "complex": lambda x: np.unique(tied(x) + 1j * tied(x[::-1])),
    "union1d": lambda x: np.union1d(x, tied(x)[1:]),
    "intersect1d": lambda x: np.intersect1d(x[1:], tied(x)),
    "intersect1d, places": lambda x: np.intersect1d(tied(x), x[2:], return_indices=True),
    "intersect1d of sets": lambda x: np.intersect1d(x[1:], x[::-1], assume_unique=True, return_indices=True),
    "setdiff1d": lambda x: np.setdiff1d(tied(x), x[:1]),
    "setdiff1d of sets": lambda x: np.setdiff1d(x, x[1:2], assume_unique=True),
    "setxor1d": lambda x: np.setxor1d(x[1:], tied(x)),
    "setxor1d of sets": lambda x: np.setxor1d(x[1:], x[:-1], assume_unique=True),
    "isin": lambda x: np.isin(x, x[1:3]),
    "isin, not": lambda x: np.isin(x, x[1:3], invert=True),
    "trim_zeros": lambda x: np.trim_zeros(np.where(np.abs(x) > 1.0, x, 0.0)),
    "trim_zeros, front": lambda x: np.trim_zeros(np.stack([0 * x, np.where(np.abs(x) > 1.0, x, 0.0)]), "f"),
    "real_if_close": lambda x: np.real_if_close(x + 1e-20j * x),
    "poly of pairs": lambda x: np.poly(np.stack([x[0] + 1j * x[1], x[0] - 1j * x[1], x[2] + 0j])),
    "histogramdd": lambda x: np.histogramdd(np.stack([x, x**2], axis=1), (2, 3))[0],
    "histogramdd, edges": lambda x: np.histogramdd((x, x**2, np.arange(4.0)), 2, weights=x)[1],
    "histogramdd, weights": lambda x: np.histogramdd((np.arange(4.0), np.ones(4)), 2, weights=x, density=True)[0],
    "median of NaN": lambda x: np.nan_to_num(np.median(np.stack([x, np.where(x > 1, np.nan, x)]), axis=0), nan=7.0),
    "logaddexp of nothing": lambda x: x[:1] + np.exp(np.logaddexp.reduce(x[:0])),
    "asfortranarray": lambda x: np.asfortranarray([x, x], like=x) if isinstance(x, TracedArray) else np.array([x, x]),
}


@pytest.mark.parametrize("name", TIES)
def test_functions_that_decide(name):
    check(None, (5 * V,), {}, TIES[name])


def test_common_type():
    seen = []
    cr.linearize(lambda x, y: (seen.append(np.common_type(x, y)), x)[1], SINGLE, M)
    assert seen == [np.float64]


INDICES = {
    "unravel_index": lambda x: np.unravel_index(np.argsort(np.ravel(x)), (2, 3)),
    "unravel_index F": lambda x: np.unravel_index(np.argmax(x), (2, 3), order="F"),
    "ravel_multi_index": lambda x: np.ravel_multi_index((np.argsort(x[:, 0]), np.argsort(x[:, 1])), (2, 3)),
    "ravel_multi_index wrap": lambda x: np.ravel_multi_index((np.argsort(x[0]), np.argsort(x[1])), (2, 3), mode="wrap"),
    "ravel_multi_index F": lambda x: np.ravel_multi_index((np.argmax(x[0]), np.argmax(x[1])), (3, 4), order="F"),
    "packbits": lambda x: np.packbits(x > 0, axis=1),
    "unpackbits": lambda x: np.unpackbits((np.argsort(x, axis=1)).astype(np.uint8), axis=1, count=9),
    "min_scalar_type": lambda x: np.min_scalar_type(np.argmax(x)),
    "ix_": lambda x: x[np.ix_(np.argsort(x[:, 0]), np.argsort(x[0]))],
    "gcd.reduce": lambda x: np.gcd.reduce(6 * np.argsort(x, axis=1) + 6, axis=1),
    "bitwise_or.reduce": lambda x: np.bitwise_or.reduce(np.argsort(x, axis=1), axis=1),
    "left_shift.accumulate": lambda x: np.left_shift.accumulate(np.argsort(x, axis=1) + 1, axis=1),
}
INDEX_FUNCTIONS = {
    np.common_type, np.histogramdd, np.unique_all, np.unique_counts, np.unique_inverse, np.union1d, np.intersect1d,
    np.setdiff1d, np.setxor1d, np.isin, np.trim_zeros, np.unravel_index, np.ravel_multi_index, np.packbits,
    np.unpackbits, np.min_scalar_type, np.ix_,
}  # fmt: skip


@pytest.mark.parametrize("name", INDICES)
def test_functions_of_whole_numbers(name):
    check(None, (M,), {}, INDICES[name])


@pytest.mark.parametrize("index", [6, -1])
def test_indices_out_of_bounds(index):
    with pytest.raises(IndexError, match=r"unravel_index: .*out of bounds.*test_functions\.py"):
        cr.grad(lambda x: np.sum(x) * np.unravel_index(np.argmax(x) * 0 + index, (2, 3))[0])(M)


METHODS = {
    "all": (), "any": (), "argmax": (), "argmin": (), "argpartition": (1,), "argsort": (), "clip": (-1, 1),
    "compress": ([True, False],), "conj": (), "conjugate": (), "copy": (), "cumprod": (1,), "cumsum": (0,),
    "diagonal": (), "dot": (SQUARE,), "flatten": (), "max": (1,), "mean": (0,), "min": (), "nonzero": (), "prod": (),
    "ravel": (), "repeat": (2,), "reshape": (3, 2), "round": (1,), "squeeze": (), "std": (), "sum": (1,),
    "swapaxes": (0, 1), "take": ([0, 1],), "trace": (), "transpose": (1, 0), "var": (), "view": (), "astype": ("f4",),
    "tolist": (), "to_device": ("cpu",),
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    if name == "tolist":
        check(None, (M,), {}, lambda x: np.stack([np.stack(row) for row in x.tolist()]))
    else:
        check(None, (M,), {}, lambda x: getattr(x, name)(*METHODS[name]))


def test_methods_that_count_or_search():
    check(None, (np.sort(V), W), {}, lambda x, y: x.searchsorted(y))
    check(None, (V[:3],), {}, lambda x: x.argsort().choose([x, 2 * x, 3 * x]))


def test_methods_that_write():
    def run(x):
        y, z = x * 1.0, x * 2.0
        y.sort(axis=0)
        y.put([0, 1], x[0, :2])
        z.fill(x[0, 0])
        return [y, z]

    check(None, (M,), {}, run)


@pytest.mark.parametrize(
    "ufunc", [f for f in UFUNCS if f.__name__ in vars(np) and f.nin <= 2 and f.signature is None], ids=name_of
)
def test_ufuncs_keep_numpys_dtype(ufunc):
    """Of float32 and integers beside Python and NumPy numbers, as NumPy 2 promotes."""
    single, whole = np.float32([0.5, 0.75]), np.array([1, 2])
    partners = [single, whole, 1, 0.5, np.float64(0.5), np.float32(0.5), True]
    if ufunc.nin == 1:
        partners = [None]
    for other in partners:
        for x in (single, np.float32(0.5)):
            args = (x,) if other is None else (x, other)
            try:
                with np.errstate(all="ignore"):
                    expected = ufunc(*args)
            except TypeError:
                continue  # an operation on integers only
            seen = []

            def f(t, other=other, seen=seen):
                seen.append(ufunc(t) if other is None else ufunc(t, other))
                return t

            with np.errstate(all="ignore"):
                cr.linearize(f, x)
            check_values(seen[0], expected)


SHAPES = {
    "no axes": ZERO_D,
    "a scalar": SCALAR,
    "empty": np.zeros(0),
    "no rows": EMPTY,
    "one": ONE,
    "no columns": EMPTY.T,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("function", [f for f in FUNCTIONS if not isinstance(f, np.ufunc)], ids=name_of)
def test_arrays_without_axes_or_elements(function, shape):
    """Wherever NumPy takes them as the only argument."""
    x = SHAPES[shape]
    if function in (np.histogramdd, np.polyder, np.i0, np.poly):  # nested results; vectors only; of other modules
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = function(x)
        except Exception:
            return
        seen = []
        cr.linearize(lambda t: (seen.append(function(t)), t)[1], x)
        if expected is not None and not isinstance(expected, type):
            check_values(seen[0], expected)


TEXT = "text, which has no derivative"
FILES = "the numbers would leave the program"
RECORDS = "records, whose fields are no numbers"
DATES = "dates, which have no derivative"
MAKERS = "made from a shape, a file or text; given like=x an array of x's graph"
REFUSED = {
    "char": TEXT,
    "strings": TEXT,
    "recfunctions": RECORDS,
    **dict.fromkeys(["save", "savetxt", "savez", "savez_compressed"], FILES),
    **dict.fromkeys(["busday_count", "busday_offset", "is_busday", "datetime_as_string"], DATES),
    **dict.fromkeys(["require", "frombuffer", "fromfile", "fromfunction", "fromiter", "fromstring", "genfromtxt",
                     "loadtxt"], MAKERS),
}  # fmt: skip
"""NumPy's functions that refuse traced arrays, and why."""


def overridable():
    everything = get_overridable_numpy_array_functions()
    made = {"eye", "full", "identity", "ones", "tri"}  # tests/tracing/test_filling.py
    rest = {f for f in everything if f not in FUNCTIONS and f not in CREATORS and f.__name__ not in made}
    return sorted(rest, key=name_of)


@pytest.mark.parametrize("function", overridable(), ids=name_of)
def test_what_has_no_rule_is_refused_by_name(function):
    if function.__module__ in ("numpy.linalg", "numpy.fft"):
        return
    home = function.__module__.rpartition(".")[2]
    assert home in REFUSED or function.__name__ in REFUSED
    with pytest.raises(
        cr.ChainruleError, match=rf"{function.__name__} has no rule for traced arrays, at test_functions"
    ):
        cr.grad(lambda x: x.__array_function__(function, (TracedArray,), (x,), {}))(2.0)


def test_ufuncs_of_numbers_have_a_rule():
    missing = {f.__name__ for f in get_overridable_numpy_ufuncs() if f not in UFUNCS and f not in FUNCTIONS}
    text = {"count", "endswith", "find", "index", "rfind", "rindex", "startswith", "str_len"}
    assert {n for n in missing if n[0] != "_" and not n.startswith("is")} - text == {"clip"}
    with pytest.raises(cr.ChainruleError, match=r"isnat has no rule for traced arrays, at test_functions"):
        cr.grad(lambda x: np.isnat(x))(2.0)
