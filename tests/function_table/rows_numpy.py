"""NumPy's functions."""

from __future__ import annotations

import numpy as np

from function_table.table import Row, Section

NUMPY: list[Row] = []

V = np.array([0.3, 0.7, 0.45, 0.85])
W = np.array([1.3, 0.4, 2.1, 0.9])
P = np.array([1.4, 2.3, 1.7, 3.1])
M = np.array([[0.3, 1.2, 0.7], [0.9, 0.45, 1.6]])
N = np.array([[1.1, 0.6, 1.9], [0.35, 1.45, 0.8]])
A = np.array([[2.1, 0.4, 0.3], [0.5, 1.7, 0.2], [0.1, 0.6, 2.6]])
CUBE = np.array([0.31, 0.72, 1.13, 0.54, 0.95, 1.36, 0.77, 1.18, 0.59, 1.41, 0.82, 0.23]).reshape(2, 3, 2)

_ = Section(NUMPY, "elementwise")
for name in [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "arctanh",
    "sqrt",
    "square",
    "cbrt",
    "reciprocal",
    "negative",
    "positive",
    "absolute",
    "fabs",
    "sign",
    "deg2rad",
    "rad2deg",
    "degrees",
    "radians",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "fix",
    "spacing",
    "i0",
    "sinc",
    "nan_to_num",
    "real",
    "imag",
    "conj",
    "conjugate",
    "angle",
    "real_if_close",
    "unwrap",
    "isneginf",
    "isposinf",
    "iscomplex",
    "isreal",
    "signbit",
]:
    _.add(name, f"np.{name}(x)", x=V)
_.add("arccosh", "np.arccosh(x)", x=P)
_.add("round / around", "np.round(x, 1)", x=V + 0.013, complex=None)
_.add("modf", "np.modf(x)", x=P)
_.add("frexp", "np.frexp(x)[0]", x=P)
_.add("ldexp", "np.ldexp(x, np.array([1, 2, 0, -1]))", x=V)
for name in [
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "power",
    "pow",
    "float_power",
    "logaddexp",
    "logaddexp2",
    "arctan2",
    "hypot",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "copysign",
]:
    _.add(name, f"np.{name}(x, y)", x=V, y=W)
for name in ["mod", "remainder", "fmod", "floor_divide", "divmod"]:
    _.add(name, f"np.{name}(x, y)", x=P, y=V)
_.add("heaviside", "np.heaviside(x, 0.5)", x=V)
_.add("nextafter", "np.nextafter(x, 3.0)", x=V)
_.add("clip", "np.clip(x, 0.4, 0.8)", x=V, complex=None)
_.add("bitwise / logical ufuncs", "np.logical_and(x > 0.5, x < 0.8) * x + (5 & 3) * np.logical_xor(x > 0.5, x > 0.8)",
      x=V, complex=None)  # fmt: skip
_.add("polyval", "np.polyval(p, x)", p=W, x=V)
_.add("poly", "np.poly(x)", x=V)
_.add("roots", "np.roots(p)", p=np.array([1.0, -3.5, 3.4, -0.9]))
for name in ["polyadd", "polysub", "polymul", "polydiv"]:
    _.add(name, f"np.{name}(p, q)", p=W, q=P[:2])
_.add("polyder", "np.polyder(p)", p=W)
_.add("polyint", "np.polyint(p, 2, [0.5, 0.2])", p=W)
_.add("polyfit", "np.polyfit(x, y, 2)", x=V, y=W)
_.add("vander", "np.vander(x, 3)", x=V)

_ = Section(NUMPY, "comparison and selection")
_.add("where", "np.where(x > 0.5, x * x, y)", x=V, y=W, complex={"x": V + 0.2j, "y": W - 0.1j})
_.add("select", "np.select([x > 0.8, x > 0.4], [x * x, 3 * x], 1.0)", x=V)
_.add("choose", "np.choose(np.array([0, 1, 0, 1]), [x, y])", x=V, y=W)
_.add("piecewise", "np.piecewise(x, [x < 0.5, x >= 0.5], [lambda x: x * x, np.sin])", x=V)
_.add("extract", "np.extract(np.array([True, False, True, True]), x)", x=V)
_.add("compress", "np.compress(np.array([True, False, True, True]), x)", x=V)
_.add("greater, less, equal, ...", "[x > y, x < y, x == y, x != y, x >= y, x <= y]", x=V, y=W)
_.add("isnan / isfinite / isinf", "[np.isnan(x), np.isfinite(x), np.isinf(x)]", x=V)
_.add("isclose / allclose", "[np.isclose(x, y), np.allclose(x, y)]", x=V, y=W)
_.add("array_equal / array_equiv", "[np.array_equal(x, y), np.array_equiv(x, y)]", x=V, y=W)
_.add("argmax / argmin", "[np.argmax(x), np.argmin(x)]", x=V)
_.add("nanargmax / nanargmin", "[np.nanargmax(x), np.nanargmin(x)]", x=V)
_.add("nonzero / flatnonzero / argwhere", "[np.nonzero(x), np.flatnonzero(x), np.argwhere(x)]", x=V)
_.add("count_nonzero", "np.count_nonzero(x)", x=V)

_ = Section(NUMPY, "reductions")
for name in [
    "sum",
    "prod",
    "mean",
    "std",
    "var",
    "max",
    "amax",
    "min",
    "amin",
    "ptp",
    "median",
    "average",
    "nansum",
    "nanprod",
    "nanmean",
    "nanmax",
    "nanmin",
]:
    _.add(name, f"np.{name}(x, axis=0)", x=M)
for name in ["nanstd", "nanvar", "nanmedian"]:
    _.add(name, f"np.{name}(x, axis=1)", x=M)
_.add("average(weights)", "np.average(x, axis=1, weights=w)", x=M, w=W[:3])
_.add("percentile", "np.percentile(x, 30)", x=V)
_.add("quantile", "np.quantile(x, np.array([0.2, 0.7]), axis=1)", x=M)
_.add("quantile(method)", "np.quantile(x, 0.4, method='hazen')", x=V)
_.add("quantile(weights)", "np.quantile(x, 0.4, method='inverted_cdf', weights=np.array([1.0, 2.0, 1.0, 3.0]))", x=V)
_.add("nanpercentile", "np.nanpercentile(x, 30, axis=1)", x=M)
_.add("nanquantile", "np.nanquantile(x, 0.3, axis=1)", x=M)
for name in ["cumsum", "cumprod", "nancumsum", "nancumprod"]:
    _.add(name, f"np.{name}(x, axis=1)", x=M)
_.add("cumulative_sum", "np.cumulative_sum(x, axis=1, include_initial=True)", x=M)
_.add("cumulative_prod", "np.cumulative_prod(x, axis=1)", x=M)
for name in [
    "add",
    "multiply",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "logaddexp",
    "logaddexp2",
    "hypot",
    "subtract",
    "divide",
]:
    _.add(f"{name}.reduce", f"np.{name}.reduce(x, axis=1)", x=M)
for name in ["add", "multiply", "maximum", "minimum", "logaddexp", "hypot", "subtract"]:
    _.add(f"{name}.accumulate", f"np.{name}.accumulate(x, axis=1)", x=M)
for name in ["add", "multiply", "subtract", "maximum", "arctan2", "power"]:
    _.add(f"{name}.outer", f"np.{name}.outer(x, y)", x=V, y=W)
for name in ["add", "multiply", "maximum"]:
    _.add(f"{name}.reduceat", f"np.{name}.reduceat(x, np.array([0, 2, 1]))", x=V)
_.add("add.at", "y = 1.0 * x; np.add.at(y, np.array([0, 1, 0]), z[:3]); y", x=V, z=W,
      jax="(1.0 * x).at[np.array([0, 1, 0])].add(z[:3])")  # fmt: skip
_.add("diff", "np.diff(x, 2)", x=V)
_.add("ediff1d", "np.ediff1d(x, to_begin=y[:1])", x=V, y=W)
_.add("gradient", "np.gradient(x)", x=V)
_.add("gradient(spacing, edge_order)", "np.gradient(x, y, edge_order=2)", x=V, y=np.cumsum(W))
_.add("trapezoid", "np.trapezoid(y, x)", y=V, x=W)
_.add("trace", "np.trace(x)", x=A)
_.add("cov", "np.cov(x)", x=M)
_.add("corrcoef", "np.corrcoef(x)", x=M)
_.add("bincount(weights)", "np.bincount(np.array([0, 2, 1, 2]), x)", x=V,
      jax="np.bincount(np.array([0, 2, 1, 2]), x, length=3)", complex=None)  # fmt: skip
_.add("histogram(weights)", "np.histogram(np.array([0.1, 0.5, 0.6, 0.9]), bins=3, weights=x)", x=V)
_.add("histogram(density)", "np.histogram(x, bins=np.array([0.0, 0.4, 0.8, 1.0]), density=True)", x=V, complex=None)
_.add("histogram2d", "np.histogram2d(np.arange(4.0), np.arange(4.0) ** 2, bins=2, weights=x)", x=V)
_.add("histogramdd", "np.histogramdd(np.arange(8.0).reshape(4, 2), bins=2, weights=x)", x=V)
_.add("any / all", "[np.any(x), np.all(x)]", x=V)

_ = Section(NUMPY, "shape and indexing")
for name, text in {
    "getitem basic": "x[1:, ::2]",
    "getitem integers": "x[np.array([0, 1, 0]), np.array([2, 1, 2])]",
    "getitem boolean": "x[np.array([[True, False, True], [False, True, True]])]",
    "getitem newaxis / ellipsis": "x[None, ..., 1]",
    "iteration": "a, b = x; [a * b, sum(a)]",
    "reshape": "np.reshape(x, (3, 2))",
    "ravel": "np.ravel(x)",
    "ndarray.flatten": "x.flatten()",
    "transpose": "np.transpose(x)",
    ".T / .mT": "[x.T, x.mT]",
    "permute_dims": "np.permute_dims(x, (1, 0))",
    "matrix_transpose": "np.matrix_transpose(x)",
    "swapaxes": "np.swapaxes(x, 0, 1)",
    "moveaxis": "np.moveaxis(x, 0, 1)",
    "rollaxis": "np.rollaxis(x, 1)",
    "squeeze": "np.squeeze(x[:1])",
    "expand_dims": "np.expand_dims(x, 1)",
    "broadcast_to": "np.broadcast_to(x, (2, 2, 3))",
    "broadcast_arrays": "np.broadcast_arrays(x, x[:1])",
    "atleast_1d / 2d / 3d": "[np.atleast_1d(x), np.atleast_2d(x[0]), np.atleast_3d(x)]",
    "concatenate": "np.concatenate([x, x[:1] ** 2])",
    "concat": "np.concat([x, x[:1] ** 2])",
    "stack": "np.stack([x, x ** 2], axis=1)",
    "unstack": "np.unstack(x, axis=1)",
    "hstack": "np.hstack([x, x ** 2])",
    "vstack": "np.vstack([x, x ** 2])",
    "dstack": "np.dstack([x, x ** 2])",
    "column_stack": "np.column_stack([x[:, 0], x])",
    "block": "np.block([[x, x], [2 * x, x]])",
    "append": "np.append(x, x ** 2)",
    "insert": "np.insert(x, 1, x[0], axis=0)",
    "delete": "np.delete(x, 1, axis=1)",
    "split / array_split": "[*np.split(x, 3, axis=1), *np.array_split(x, 2, axis=1)]",
    "hsplit / vsplit": "[*np.hsplit(x, 3), *np.vsplit(x, 2)]",
    "tile": "np.tile(x, (2, 1))",
    "repeat": "np.repeat(x, 2, axis=1)",
    "resize": "np.resize(x, (2, 5))",
    "roll": "np.roll(x, 1, axis=1)",
    "rot90": "np.rot90(x)",
    "flip": "np.flip(x)",
    "fliplr / flipud": "[np.fliplr(x), np.flipud(x)]",
    "pad(constant)": "np.pad(x, 1, mode='constant', constant_values=2.0)",
    "pad(reflect / edge / wrap / symmetric)": (
        "[np.pad(x, 1, mode='reflect'), np.pad(x, 1, mode='edge'), np.pad(x, 1, mode='wrap'), "
        "np.pad(x, 1, mode='symmetric')]"
    ),
    "pad(linear_ramp)": "np.pad(x, 2, mode='linear_ramp', end_values=0.5)",
    "pad(mean / maximum / minimum / median)": (
        "[np.pad(x, 1, mode='mean'), np.pad(x, 1, mode='maximum'), np.pad(x, 1, mode='minimum'), "
        "np.pad(x, 1, mode='median')]"
    ),
    "diag": "[np.diag(x[0]), np.diag(x)]",
    "diagonal": "np.diagonal(x)",
    "diagflat": "np.diagflat(x)",
    "tril / triu": "[np.tril(x), np.triu(x)]",
    "take": "np.take(x, np.array([0, 2]), axis=1)",
    "take_along_axis": "np.take_along_axis(x, np.array([[2, 0, 1], [0, 0, 2]]), axis=1)",
    "meshgrid": "np.meshgrid(x[0], x[1])",
    "ix_": "x[np.ix_(np.array([1, 0]), np.array([0, 2]))]",
    "full_like": "np.full_like(x, x[0, 0])",
    "zeros_like / ones_like": "[np.zeros_like(x) + x, np.ones_like(x) * x]",
    "zeros(like=)": "y = np.zeros(3, like=x); y[:2] = x[:, 0]; y",
    "copy": "np.copy(x)",
    "astype": "np.astype(x, np.float32) * 0.0 + np.astype(x, x.dtype)",
    "ndarray.astype": "x.astype(x.dtype) * 1.0",
    "ndarray.copy": "x.copy()",
    "apply_along_axis": "np.apply_along_axis(np.cumsum, 1, x)",
    "apply_over_axes": "np.apply_over_axes(np.sum, x, [0])",
    "unique": "np.unique(x)",
    "trim_zeros": "np.trim_zeros(x[0])",
    "kron": "np.kron(x, x[0])",
    "setitem": "y = np.zeros_like(x); y[0] = x[1] ** 2; y[:, 1] = y[:, 1] + x[:, 0]; y",
    "union1d / intersect1d / setdiff1d / setxor1d": (
        "[np.union1d(x[0], x[1]), np.intersect1d(x, x[0]), np.setdiff1d(x, x[0]), np.setxor1d(x, x[0])]"
    ),
    "isin": "np.isin(x, np.array([0.3]))",
    "sliding_window_view": "np.lib.stride_tricks.sliding_window_view(x, 2, axis=1)",
    "put_along_axis": "y = 1.0 * x; np.put_along_axis(y, np.array([[0], [1]]), 2 * x[:, 2:], axis=1); y",
    "put / place / putmask / copyto": (
        "y = 1.0 * x; np.put(y, [0], 3 * x[0, 1]); np.place(y, np.eye(2, 3) > 0, x[1]); "
        "np.putmask(y, np.eye(2, 3, 1) > 0, 2 * x); np.copyto(y[0], x[1] ** 2); y"
    ),
    "fill_diagonal": "y = 1.0 * x; np.fill_diagonal(y, x[0, 2]); y",
}.items():
    _.add(name, text, x=M)
_.add("dsplit", "np.dsplit(x, 2)", x=CUBE)
_.add("linspace(traced ends)", "np.linspace(x, y, 4)", x=0.3, y=1.7)
_.add("logspace", "np.logspace(x, y, 4)", x=0.3, y=0.7)
_.add("geomspace", "np.geomspace(x, y, 4)", x=0.3, y=1.7)
_.add("array([t, t])", "np.array([x, y, x * y])", x=0.3, y=1.7)
_.add("asarray(t)", "np.asarray(x)", x=V)
_.add("full(n, t)", "np.full(3, x)", x=0.3)
_.add("arange(t)", "np.arange(x, 2.0, 0.5)", x=0.3, complex=None)
_.add("r_ / c_", "[np.r_[x, y], np.c_[x, y]]", x=V, y=W)
_.add("vectorize", "np.vectorize(lambda t: t * t)(x)", x=V)

_ = Section(NUMPY, "products")
_.add("dot", "np.dot(a, b)", a=A, b=M.T)
_.add("ndarray.dot", "a.dot(b)", a=A, b=M.T)
_.add("vdot", "np.vdot(a, b)", a=M, b=N)
_.add("inner", "np.inner(a, b)", a=M, b=N)
_.add("outer", "np.outer(a, b)", a=V, b=W)
_.add("matmul / @", "a @ b", a=A, b=M.T)
_.add("vecdot", "np.vecdot(a, b)", a=M, b=N)
_.add("matvec", "np.matvec(a, b)", a=A, b=W[:3])
_.add("vecmat", "np.vecmat(b, a)", a=A, b=W[:3])
_.add("tensordot", "np.tensordot(a, b, axes=([1], [1]))", a=CUBE, b=N)
_.add("einsum", "np.einsum('ij,kj,k->i', a, b, c)", a=M, b=N, c=W[:2])
_.add("einsum(trace, ellipsis)", "[np.einsum('ii', a), np.einsum('...i->...', a), np.einsum('ii->i', a)]", a=A)
_.add("einsum(interleaved)", "np.einsum(a, [0, 1], b, [2, 1], [2, 0])", a=M, b=N)
_.add("cross", "np.cross(a, b)", a=M, b=N)
_.add("convolve", "np.convolve(a, b)", a=V, b=W[:3])
_.add("correlate", "np.correlate(a, b, 'full')", a=V, b=W[:3])

_ = Section(NUMPY, "numpy.linalg")
H = "(a + np.conj(a.T)) / 2"
for name, text in {
    "multi_dot": "np.linalg.multi_dot([a, a, a[:2].T])",
    "matrix_power": "np.linalg.matrix_power(a, 3)",
    "inv": "np.linalg.inv(a)",
    "pinv": "np.linalg.pinv(a[:2])",
    "solve": "np.linalg.solve(a, a[:, 0] ** 2)",
    "lstsq": "np.linalg.lstsq(a[:, :2], a[:, 2])[0]",
    "det": "np.linalg.det(a)",
    "slogdet": "np.linalg.slogdet(a)",
    "eig(values)": "np.linalg.eig(a)[0]",
    "eigvals": "np.linalg.eigvals(a)",
    "eigh": f"w, v = np.linalg.eigh({H}); [w, np.abs(v)]",
    "eigvalsh": f"np.linalg.eigvalsh({H})",
    "svd": "u, s, v = np.linalg.svd(a[:2], full_matrices=False); [s, (u * s) @ v, np.abs(u)]",
    "svdvals": "np.linalg.svdvals(a[:2])",
    "qr": "[*np.linalg.qr(a)]",
    "cholesky": f"np.linalg.cholesky({H})",
    "norm": "[np.linalg.norm(a), np.linalg.norm(a, axis=1), np.linalg.norm(a, 1)]",
    "norm(ord=2 / nuc)": "[np.linalg.norm(a, 2), np.linalg.norm(a, 'nuc')]",
    "vector_norm / matrix_norm": "[np.linalg.vector_norm(a), np.linalg.matrix_norm(a)]",
    "cond": "np.linalg.cond(a)",
    "tensorinv": "np.linalg.tensorinv(a.reshape(3, 3), ind=1)",
    "tensorsolve": "np.linalg.tensorsolve(a, a[0])",
    "trace / diagonal / outer / cross": (
        "[np.linalg.trace(a), np.linalg.diagonal(a), np.linalg.outer(a[0], a[1]), np.linalg.cross(a[0], a[1])]"
    ),
    "matrix_rank": "np.linalg.matrix_rank(a) * 1.0 + 0.0 * np.sum(a)",
}.items():
    _.add(name, text, a=A)

_ = Section(NUMPY, "numpy.fft")
for name in ["fft", "ifft"]:
    _.add(name, f"np.fft.{name}(x)", x=V)
for name in ["fft2", "ifft2", "fftn", "ifftn", "rfft2", "rfftn", "fftshift", "ifftshift"]:
    _.add(name, f"np.fft.{name}(x)", x=N)
for name in ["rfft", "ihfft"]:
    _.add(name, f"[np.fft.{name}(x), np.fft.{name}(x[:3])]", x=V)
for name in ["irfft", "hfft"]:
    _.add(name, f"np.fft.{name}(x)", x=V, complex={"x": np.r_[V[0], V[1:] + 0.2j]})
for name in ["irfft2", "irfftn"]:
    _.add(name, f"np.fft.{name}(x, s=(2, 4), axes=(0, 1))", x=N)

_ = Section(NUMPY, "sorting and searching")
for name in ["sort", "argsort", "sort_complex"]:
    _.add(name, f"np.{name}(x)", x=V)
_.add("partition", "np.partition(x, 1)[:2]", x=V[:2])
_.add("argpartition", "np.argpartition(x, 0)[:1]", x=V)
_.add("lexsort", "np.lexsort((x, y))", x=V, y=W)
_.add("searchsorted", "np.searchsorted(np.array([0.1, 0.5, 0.8]), x)", x=V, complex=None)
_.add("digitize", "np.digitize(x, np.array([0.1, 0.5, 0.8]))", x=V, complex=None)
_.add("interp wrt x, xp, fp", "np.interp(x, np.cumsum(y), z)", x=P + 0.11, y=W, z=V, complex=None)

_ = Section(NUMPY, "numpy.polynomial, numpy.emath, numpy.ma")
_.add("polynomial.polyval wrt x", "np.polynomial.polynomial.polyval(x, np.array([1.0, 2.0, 0.5]))", x=V)
_.add("polynomial.polyval wrt c", "np.polynomial.polynomial.polyval(0.7, c)", c=V)
_.add("chebyshev.chebval wrt x", "np.polynomial.chebyshev.chebval(x, np.array([1.0, 2.0, 0.5]))", x=V)
_.add("Polynomial(c)(x) wrt x", "np.polynomial.Polynomial(np.array([1.0, 2.0, 0.5]))(x)", x=V)
_.add("emath.sqrt / log / power", "[np.emath.sqrt(x), np.emath.log(x), np.emath.power(x, 2)]", x=V)
