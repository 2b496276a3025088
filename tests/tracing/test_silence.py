"""No way out of the graph is silent: each pattern gives the right gradient, or an error of ours at the user's line.

The patterns are those with which array code meets a traced value: NumPy functions, Python builtins, arrays that are
written into, and SciPy, most of which cannot be intercepted.
"""

import cmath
import copy
import json
import math
import pickle
import re
import statistics
import warnings

import numpy as np
import pytest
import scipy.fft as sf
import scipy.integrate as si
import scipy.interpolate as sip
import scipy.linalg as sl
import scipy.ndimage as nd
import scipy.optimize as so
import scipy.signal as sg
import scipy.sparse as sps
import scipy.sparse.linalg as spsl
import scipy.spatial.distance as sd
import scipy.special as sp
import scipy.stats as ss

import chainrule as cr
from chainrule.tracing import TracedArray

T = np.array([0.5, 0.7, 0.9])
S = np.float64(0.6)
B = np.array([1.0, 2.0, 3.0])
A = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])


def filled(write, like=None):
    """Make an array as users do before a loop, write into it, return it."""
    out = np.zeros(3) if like is None else np.zeros(3, dtype=like)
    write(out)
    return out


def set_item(out, key, value):
    out[key] = value


def add_to(out, value):
    out += value
    return out


def add_to_part(out, key, value):
    out[key] += value
    return out


def rng():
    return np.random.default_rng(0)


# Each entry: what the user writes, as a function of a traced vector t, scalar s and matrix A, and a plain vector b.
WORKS = {
    "np.sin(t)": lambda t, s, b, A: np.sin(t),
    "b + t": lambda t, s, b, A: b + t,
    "t + b": lambda t, s, b, A: t + b,
    "np.float64(2)*t": lambda t, s, b, A: np.float64(2) * t,
    "2*t": lambda t, s, b, A: 2 * t,
    "b @ t": lambda t, s, b, A: b @ t,
    "np.dot(b,t)": lambda t, s, b, A: np.dot(b, t),
    "list*t": lambda t, s, b, A: [1, 2, 3] * t,
    "t*[s,s,s]": lambda t, s, b, A: t * [s, s, s],
    "np.add.reduce(t)": lambda t, s, b, A: np.add.reduce(t),
    "np.add.outer(t,b)": lambda t, s, b, A: np.add.outer(t, b),
    "np.multiply.accumulate(t)": lambda t, s, b, A: np.multiply.accumulate(t),
    "np.concatenate([t,b])": lambda t, s, b, A: np.concatenate([t, b]),
    "np.stack([s,s])": lambda t, s, b, A: np.stack([s, s]),
    "np.stack([t,b])": lambda t, s, b, A: np.stack([t, b]),
    "np.hstack([t,1.0])": lambda t, s, b, A: np.hstack([t, 1.0]),
    "np.vstack([t,b])": lambda t, s, b, A: np.vstack([t, b]),
    "np.column_stack": lambda t, s, b, A: np.column_stack([t, b]),
    "np.block([[A,A]])": lambda t, s, b, A: np.block([[A, A]]),
    "np.append(t,1.)": lambda t, s, b, A: np.append(t, 1.0),
    "np.where(b>1,t,0)": lambda t, s, b, A: np.where(b > 1, t, 0),
    "np.where(t>.4,t,0)": lambda t, s, b, A: np.where(t > 0.6, t, 0),
    "np.select": lambda t, s, b, A: np.select([t > 0.6], [t], 0),
    "np.piecewise(t,..)": lambda t, s, b, A: np.piecewise(t, [t < 0.6, t >= 0.6], [lambda x: x * x, lambda x: -x]),
    "np.array(like=t)": lambda t, s, b, A: np.array([[s, 0], [0, s]], like=t),
    "np.asarray(t, like=t)": lambda t, s, b, A: np.asarray(t, like=t),
    "math.prod([s,s])": lambda t, s, b, A: math.prod([s, s]),
    "sum([s,s])": lambda t, s, b, A: sum([s, s]),
    "sum(t)": lambda t, s, b, A: sum(t),
    "max(t)": lambda t, s, b, A: max(t),
    "max(s,.1)": lambda t, s, b, A: max(s, 0.1),
    "abs(t)": lambda t, s, b, A: abs(t),
    "sorted(t)": lambda t, s, b, A: sorted(t),
    "pow(s,2)": lambda t, s, b, A: pow(s, 2),
    "T+=t": lambda t, s, b, A: add_to(t * 2, t),
    "np.zeros_like(t)": lambda t, s, b, A: np.zeros_like(t) + s,
    "np.empty_like(t)": lambda t, s, b, A: add_to(0 * np.empty_like(t), s),
    "np.zeros(3,like=t)": lambda t, s, b, A: np.zeros(3, like=t) + t,
    "np.full(3,s,like=t)": lambda t, s, b, A: np.full(3, s, like=t) * t,
    "np.linspace(s,1,3)": lambda t, s, b, A: np.linspace(s, 1, 3),
    "np.meshgrid(t,b)": lambda t, s, b, A: np.meshgrid(t, b),
    "np.diag(t)": lambda t, s, b, A: np.diag(t),
    "np.eye(3)*s": lambda t, s, b, A: np.eye(3) * s,
    "np.einsum": lambda t, s, b, A: np.einsum("i,i", t, b),
    "np.linalg.solve(A,b)": lambda t, s, b, A: np.linalg.solve(A, b),
    "np.interp(s,b,b)": lambda t, s, b, A: np.interp(s + 1, b, b**2),
    "np.interp(1.5,b,t)": lambda t, s, b, A: np.interp(1.5, b, t),
    "np.polyval(t,2.)": lambda t, s, b, A: np.polyval(t, 2.0),
    "np.apply_along_axis": lambda t, s, b, A: np.apply_along_axis(lambda row: row * row, 0, t),
    "rng*t": lambda t, s, b, A: rng().standard_normal(3) * t,
    "copy.copy(t)": lambda t, s, b, A: copy.copy(t) * 2,
    "copy.deepcopy(t)": lambda t, s, b, A: copy.deepcopy(t) * 2,
    "sp.erf(t)": lambda t, s, b, A: sp.erf(t),
    "ss.norm(loc=s).rvs": lambda t, s, b, A: s + ss.norm.rvs(size=3, random_state=1),
    "so.newton(closure s)": lambda t, s, b, A: so.newton(lambda x: x**3 - s, 0.5),
    "round(s)": lambda t, s, b, A: round(s) + s,
    "round(s,2)": lambda t, s, b, A: round(s, 2) + s,
    "divmod(s,.25)": lambda t, s, b, A: divmod(s, 0.25)[1],
    "s//.25": lambda t, s, b, A: s // 0.25 + s,
    "f'{s:.3f}'": lambda t, s, b, A: f"{s:.3f}" and s,
    "str(t)": lambda t, s, b, A: str(t) and repr(t) and t,
    "b[index of t]": lambda t, s, b, A: b[np.argmax(t)] * s,
    "t[np.argmax(t)]": lambda t, s, b, A: t[np.argmax(t)],
    "b[t>.6]": lambda t, s, b, A: b[t > 0.6] * s,
    "t[t>.6]": lambda t, s, b, A: t[t > 0.6],
    "range(int(s))": lambda t, s, b, A: sum(s for _ in range(int(3 * s))),
    "b[int(s)]": lambda t, s, b, A: b[int(s)] * s,
    "if s>0": lambda t, s, b, A: s * 2 if s > 0 else s,
    "np.full_like(b,s)": lambda t, s, b, A: np.full_like(t, s),
    "t.tolist()": lambda t, s, b, A: t.tolist(),
    "np.ndarray.tolist of A": lambda t, s, b, A: A.tolist(),
    "np.nan_to_num(t)": lambda t, s, b, A: np.nan_to_num(t),
    "np.poly1d(t)(2.)": lambda t, s, b, A: np.poly1d(t)(2.0),
    "out+=t": lambda t, s, b, A: add_to(np.zeros(3), t),
    "np.add(out=)": lambda t, s, b, A: np.add(t, b, out=np.zeros(3)),
    "np.concatenate nested": lambda t, s, b, A: np.concatenate([b, [t[0], t[0]]]),
    "np.r_[t,b]": lambda t, s, b, A: np.r_[t, b],
    "np.c_[t,b]": lambda t, s, b, A: np.c_[t, b],
    "np.r_[s,1.0]": lambda t, s, b, A: np.r_[s, 1.0],
    "np.array(t)": lambda t, s, b, A: np.array(t),
    "np.array([t0,t0])": lambda t, s, b, A: np.array([t[0], t[0]]),
    "np.array([s,1.0])": lambda t, s, b, A: np.array([s, 1.0]),
    "np.array([t,b])": lambda t, s, b, A: np.array([t, b]),
    "np.array([[s,s],[s,s]])": lambda t, s, b, A: np.array([[s, s], [s, s]]),
    "np.array(dtype=float)": lambda t, s, b, A: np.array([s, s], dtype=float),
    "np.asarray(t)": lambda t, s, b, A: np.asarray(t),
    "np.asarray(s)": lambda t, s, b, A: np.asarray(s),
    "np.asarray(t,dtype=float)": lambda t, s, b, A: np.asarray(t, dtype=float),
    "np.asanyarray(t)": lambda t, s, b, A: np.asanyarray(t),
    "np.ascontiguousarray(t)": lambda t, s, b, A: np.ascontiguousarray(t),
    "np.asarray_chkfinite(t)": lambda t, s, b, A: np.asarray_chkfinite(t),
    "out[0]=s": lambda t, s, b, A: filled(lambda out: set_item(out, 0, s)),
    "out[:]=t": lambda t, s, b, A: filled(lambda out: set_item(out, slice(None), t)),
    "out2d[0]=t": lambda t, s, b, A: filled(lambda out: set_item(out.reshape(1, 3), 0, t)),
    "out[0]=s (object)": lambda t, s, b, A: filled(lambda out: set_item(out, 0, s), object),
    "out.fill(s)": lambda t, s, b, A: filled(lambda out: out.fill(s)),
    "o[1:]+=t[1:]": lambda t, s, b, A: add_to_part(np.zeros(3), slice(1, None), t[1:]),
    "np.add.at(o,idx,s)": lambda t, s, b, A: filled(lambda out: np.add.at(out, [0, 0], s)),
    "np.copyto(o,t)": lambda t, s, b, A: filled(lambda out: np.copyto(out, t)),
    "np.put(o,0,s)": lambda t, s, b, A: filled(lambda out: np.put(out, 0, s)),
    "np.place": lambda t, s, b, A: filled(lambda out: np.place(out, out == 0, t)),
    "np.putmask": lambda t, s, b, A: filled(lambda out: np.putmask(out, out == 0, t)),
    "np.put_along_axis": lambda t, s, b, A: filled(lambda out: np.put_along_axis(out, np.array([1]), t[:1], 0)),
    "np.fill_diagonal": lambda t, s, b, A: filled(lambda out: np.fill_diagonal(np.zeros((3, 3)), t)),
    "np.fromiter": lambda t, s, b, A: np.fromiter([s, s], float),
    "np.full(3,s)": lambda t, s, b, A: np.full(3, s),
    "np.full_like(b,s) of plain b": lambda t, s, b, A: np.full_like(b, s),
    "np.arange(s,1,.1)": lambda t, s, b, A: np.arange(s, 0.95, 0.1),
    "np.vectorize": lambda t, s, b, A: np.vectorize(lambda x: x * x)(t),
    "np.sum([s,s])": lambda t, s, b, A: np.sum([s, s]),
    "np.mean([s,s])": lambda t, s, b, A: np.mean([s, s]),
    "np.max([s,s])": lambda t, s, b, A: np.max([s, s]),
    "np.dot([s,s],b)": lambda t, s, b, A: np.dot([s, s, s], b),
    "np.diag([s,s])": lambda t, s, b, A: np.diag([s, s]),
    "np.linalg.norm([s,s])": lambda t, s, b, A: np.linalg.norm([s, s]),
    "np.linalg.inv([[s,0],[0,s]])": lambda t, s, b, A: np.linalg.inv([[s, 0], [0, s]]),
    "np.where(c,[s,s],0)": lambda t, s, b, A: np.where([True, False], [s, s], 0),
    "np.cross([s,s,s],b)": lambda t, s, b, A: np.cross([s, s, s], b),
    "isinstance(s,float)": lambda t, s, b, A: s if isinstance(s, float) else 1.0 * s,
    "if t>0": lambda t, s, b, A: t if np.all(t > 0) else -t,
}

# `works` where a rule exists, an error otherwise; never a plain array.
EITHER = {
    "np.apply_over_axes": lambda t, s, b, A: np.apply_over_axes(np.sum, t, [0]),
    "np.frompyfunc": lambda t, s, b, A: np.frompyfunc(lambda x: x * x, 1, 1)(t),
    "np.arange(like=s)": lambda t, s, b, A: np.arange(0, s, 0.1, like=s) * s,
    "np.fft.fft(t)": lambda t, s, b, A: np.real(np.fft.fft(t)),
    "b.dot(t)": lambda t, s, b, A: b.dot(t),
    "np.piecewise(b,..)": lambda t, s, b, A: np.piecewise(b, [b > 2, b <= 2], [lambda x: s * x, 0.0]),
    "np.float64(s)": lambda t, s, b, A: np.float64(s),
    "float(s)": lambda t, s, b, A: float(s),
    "math.sin(s)": lambda t, s, b, A: math.sin(s),
    "math.fsum": lambda t, s, b, A: math.fsum([s, s]),
    "complex(s)": lambda t, s, b, A: complex(s).real,
    "cmath.exp(s)": lambda t, s, b, A: cmath.exp(s).real,
    "statistics.mean": lambda t, s, b, A: statistics.mean([s, s]),
    "out[0]=one element": lambda t, s, b, A: filled(lambda out: set_item(out, 0, t[:1])),
    "polynomial.polyval": lambda t, s, b, A: np.polynomial.polynomial.polyval(2.0, t),
    "Polynomial(t)": lambda t, s, b, A: np.polynomial.Polynomial(t)(2.0),
    "np.nditer(t)": lambda t, s, b, A: sum(x for x in np.nditer(t)),
    "np.ndenumerate(t)": lambda t, s, b, A: sum(x for _, x in np.ndenumerate(t)),
    "np.random.normal(s,1)": lambda t, s, b, A: np.random.normal(s, 1),  # noqa: NPY002
    "rng.normal(t,1)": lambda t, s, b, A: rng().normal(t, 1),
    "rng.gamma(t)": lambda t, s, b, A: rng().gamma(t),
    "rng.permutation(t)": lambda t, s, b, A: rng().permutation(t),
    "rng.choice(t)": lambda t, s, b, A: rng().choice(t),
    "rng.multivariate_normal": lambda t, s, b, A: rng().multivariate_normal(t, np.eye(3)),
    "json.dumps(s)": lambda t, s, b, A: len(json.dumps(s)),
    "pickle.dumps(t)": lambda t, s, b, A: len(pickle.dumps(t)),
    "np.save": lambda t, s, b, A: np.save(__import__("io").BytesIO(), t) or 0.0,
    "np.sin([s,s])": lambda t, s, b, A: np.sin([s, s]),
    "b+[s,s,s]": lambda t, s, b, A: b + [s, s, s],
    "b@[s,s,s]": lambda t, s, b, A: b @ [s, s, s],
    "np.testing.assert_allclose": lambda t, s, b, A: np.testing.assert_allclose(t, t) or s,
    "range(s)": lambda t, s, b, A: len(range(s)),
    "b[s]": lambda t, s, b, A: b[s],
    "memoryview(t)": lambda t, s, b, A: memoryview(t)[0],
    "bytes(t)": lambda t, s, b, A: len(bytes(t)),
    "t.item()": lambda t, s, b, A: s.item(),
    "t.tobytes()": lambda t, s, b, A: np.frombuffer(t.tobytes()),
    "np.frombuffer(t)": lambda t, s, b, A: np.frombuffer(t),
    "np.lib.stride_tricks": lambda t, s, b, A: np.lib.stride_tricks.sliding_window_view(t, 2),
    "np.broadcast(t,b)": lambda t, s, b, A: sum(x * y for x, y in np.broadcast(t, b)),
    "np.matrix(A)": lambda t, s, b, A: np.matrix(A),
    "np.ma.array(t)": lambda t, s, b, A: np.ma.array(t).sum(),
    "sp.logsumexp(t)": lambda t, s, b, A: sp.logsumexp(t),
    "sp.softmax(t)": lambda t, s, b, A: sp.softmax(t),
    "sp.multigammaln": lambda t, s, b, A: sp.multigammaln(s + 2, 2),
    "sp.polygamma(1,t)": lambda t, s, b, A: sp.polygamma(1, t),
    "ss.norm.logpdf(t)": lambda t, s, b, A: ss.norm.logpdf(t),
    "ss.norm.logpdf(b,loc=s)": lambda t, s, b, A: ss.norm.logpdf(b, loc=s),
    "ss.norm.logpdf(b,scale=t)": lambda t, s, b, A: ss.norm.logpdf(b, scale=t),
    "ss.norm(loc=s).logpdf(b)": lambda t, s, b, A: ss.norm(loc=s).logpdf(b),
    "ss.norm(loc=s).rvs()": lambda t, s, b, A: ss.norm(loc=s).rvs(random_state=0),
    "ss.multivariate_normal": lambda t, s, b, A: ss.multivariate_normal.logpdf(b, cov=A),
    "ss.Normal(mu=s)": lambda t, s, b, A: ss.Normal(mu=s).logpdf(b),
    "sl.solve(A,b)": lambda t, s, b, A: sl.solve(A, b),
    "sl.solve_triangular": lambda t, s, b, A: sl.solve_triangular(A, b),
    "sl.cholesky": lambda t, s, b, A: sl.cholesky(A),
    "sl.cho_solve": lambda t, s, b, A: sl.cho_solve((A, True), b),
    "sl.expm": lambda t, s, b, A: sl.expm(A),
    "sl.inv": lambda t, s, b, A: sl.inv(A),
    "sl.block_diag": lambda t, s, b, A: sl.block_diag(A, A),
    "sl.toeplitz": lambda t, s, b, A: sl.toeplitz(t),
    "si.solve_ivp(y0=t)": lambda t, s, b, A: si.solve_ivp(lambda _, y: -y, (0, 1), t).y[:, -1],
    "si.solve_ivp(args=(s,))": lambda t, s, b, A: si.solve_ivp(lambda _, y, k: -k * y, (0, 1), b, args=(s,)).y,
    "si.odeint(args=(s,))": lambda t, s, b, A: si.odeint(lambda y, _, k: -k * y, b, [0, 1], args=(s,)),
    "si.odeint(y0=t)": lambda t, s, b, A: si.odeint(lambda y, _: -y, t, [0, 1]),
    "si.quad(closure s)": lambda t, s, b, A: si.quad(lambda x: s * x, 0, 1)[0],
    "si.quad(limit s)": lambda t, s, b, A: si.quad(lambda x: x, 0, s)[0],
    "si.trapezoid(t)": lambda t, s, b, A: si.trapezoid(t),
    "si.simpson(t)": lambda t, s, b, A: si.simpson(t),
    "si.cumulative_trapezoid": lambda t, s, b, A: si.cumulative_trapezoid(t),
    "so.minimize(closure s)": lambda t, s, b, A: so.minimize(lambda x: (x[0] - s) ** 2, [0.0]).x,
    "so.minimize(x0=t)": lambda t, s, b, A: so.minimize(lambda x: np.sum(x**2), t).x,
    "so.root(closure s)": lambda t, s, b, A: so.root(lambda x: x - s, [0.0]).x,
    "so.brentq(closure s)": lambda t, s, b, A: so.brentq(lambda x: x - s, 0, 1),
    "so.least_squares(closure)": lambda t, s, b, A: so.least_squares(lambda x: x - s, [0.0]).x,
    "so.curve_fit(y=t)": lambda t, s, b, A: so.curve_fit(lambda x, k: k * x, b, t)[0],
    "so.linprog(c=t)": lambda t, s, b, A: so.linprog(t, bounds=[(0, 1)] * 3).x,
    "sip.interp1d(b,t)": lambda t, s, b, A: sip.interp1d(b, t)(1.5),
    "sip.interp1d(b,b)(s+1)": lambda t, s, b, A: sip.interp1d(b, b)(s + 1),
    "sip.CubicSpline(b,t)": lambda t, s, b, A: sip.CubicSpline(b, t)(1.5),
    "sip.CubicSpline(b,b)(s+1)": lambda t, s, b, A: sip.CubicSpline(b, b)(s + 1),
    "sip.make_interp_spline": lambda t, s, b, A: sip.make_interp_spline(b, t, k=1)(1.5),
    "sip.RegularGridInterpolator": lambda t, s, b, A: sip.RegularGridInterpolator((b,), t)([1.5]),
    "sg.convolve(t,b)": lambda t, s, b, A: sg.convolve(t, b),
    "sg.fftconvolve": lambda t, s, b, A: sg.fftconvolve(t, b),
    "sg.lfilter(b,a,t)": lambda t, s, b, A: sg.lfilter([1.0], [1.0, 0.5], t),
    "sg.filtfilt": lambda t, s, b, A: sg.filtfilt([1.0], [1.0, 0.5], t, padlen=0),
    "sg.detrend": lambda t, s, b, A: sg.detrend(t),
    "sf.fft(t)": lambda t, s, b, A: sf.fft(t).real,
    "sf.dct(t)": lambda t, s, b, A: sf.dct(t),
    "nd.gaussian_filter": lambda t, s, b, A: nd.gaussian_filter(t, 1.0),
    "nd.map_coordinates": lambda t, s, b, A: nd.map_coordinates(b, t[None]),
    "sps.csr_matrix(A)": lambda t, s, b, A: sps.csr_matrix(A).toarray(),
    "sps.csr_array(A)": lambda t, s, b, A: sps.csr_array(A).toarray(),
    "sps.eye(3)@t": lambda t, s, b, A: sps.eye(3) @ t,
    "sps.eye_array(3)@t": lambda t, s, b, A: sps.eye_array(3) @ t,
    "sps.eye(3)*s": lambda t, s, b, A: (sps.eye(3) * s).toarray(),
    "spsl.spsolve(I,t)": lambda t, s, b, A: spsl.spsolve(sps.eye(3, format="csc"), t),
    "spsl.cg(I,t)": lambda t, s, b, A: spsl.cg(np.eye(3), t)[0],
    "sd.cdist(A,A)": lambda t, s, b, A: sd.cdist(A, A),
}

# What has no derivative, or asks about the type only, gives what NumPy gives.
PLAIN = {
    "int(s)": lambda t, s, b, A: int(3 * s),
    "bool(s)": lambda t, s, b, A: bool(s),
    "np.argmax(t)": lambda t, s, b, A: np.argmax(t),
    "t>.6": lambda t, s, b, A: t > 0.6,
    "np.isnan(t)": lambda t, s, b, A: np.isnan(t),
    "np.allclose(t,t)": lambda t, s, b, A: np.allclose(t, t),
    "np.array_equal(t,t)": lambda t, s, b, A: np.array_equal(t, t),
    "np.argsort(t)": lambda t, s, b, A: np.argsort(t),
    "np.nonzero(t)": lambda t, s, b, A: np.nonzero(t)[0],
    "np.count_nonzero": lambda t, s, b, A: np.count_nonzero(t),
    "np.any(t)": lambda t, s, b, A: np.any(t),
    "np.floor": lambda t, s, b, A: np.floor(t),
    "math.floor(s)": lambda t, s, b, A: math.floor(3 * s),
    "len(t)": lambda t, s, b, A: len(t),
    "t.shape": lambda t, s, b, A: (*np.shape(t), np.ndim(s), t.size),
    "format": lambda t, s, b, A: float(f"{s:.3f}"),
    "np.asarray(t>.6)": lambda t, s, b, A: np.asarray(t > 0.6),
    "float of a count": lambda t, s, b, A: float(np.sum(t > 0.6)),
}


def stored(t):
    """Return what t holds in an array of the user's own."""
    out = np.zeros(np.shape(t))
    out[...] = t
    return out


def stored_number(s):
    return stored(s)[()]


def of_stored(pattern):
    return lambda t, s, b, A: pattern(stored(t), stored_number(s), b, stored(A))


def weighted(result):
    """Return one number that depends differently on every number of a result."""
    parts = [result] if not isinstance(result, list | tuple) else result
    total = 0.0
    for part in parts:
        part = np.stack(part) if isinstance(part, list) else part
        total = total + np.sum(np.real(part) * np.arange(1.0, np.size(part) + 1).reshape(np.shape(part)))
    return total


def scalar(pattern):
    return lambda t, s, A: weighted(pattern(t, s, B, A))


def gradient(f):
    """Return central differences of f at (T, S, A)."""
    point = [T.copy(), np.array(S), A.copy()]
    found = []
    for k, x in enumerate(point):
        slope = np.zeros(x.shape)
        for place in np.ndindex(x.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [y.copy() for y in point]
                moved[k][place] += step
                ends.append(f(moved[0], moved[1][()], moved[2]))
            slope[place] = np.real(ends[0] - ends[1]) / 2e-6
        found.append(slope)
    return found


def check_gradient(pattern):
    f = scalar(pattern)
    value, found = cr.value_and_grad(f, (0, 1, 2))(T, S, A)
    np.testing.assert_allclose(value, f(T.copy(), S, A.copy()), rtol=1e-12)
    for one, two in zip(found, gradient(f), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", WORKS)
def test_gradient_is_right(name):
    check_gradient(WORKS[name])


@pytest.mark.parametrize("name", WORKS)
def test_gradient_is_right_of_what_was_stored_in_an_array(name):
    check_gradient(of_stored(WORKS[name]))


@pytest.mark.parametrize("is_stored", [False, True], ids=["traced", "stored"])
@pytest.mark.parametrize("name", EITHER)
def test_gradient_is_right_or_an_error_says_where(name, is_stored):
    pattern = of_stored(EITHER[name]) if is_stored else EITHER[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of what an interrupted solver left behind
        try:
            cr.grad(scalar(pattern), (0, 1, 2))(T, S, A)
        except cr.ChainruleError as error:
            refusal = str(error)
        else:
            check_gradient(pattern)
            return
    where, _, advice = refusal.partition("test_silence.py:")
    assert where
    assert re.match(r"\d+.*[a-z]{2,}", advice)  # the line, then what would work


@pytest.mark.parametrize("name", PLAIN)
def test_without_a_derivative_the_value_is_numpys(name):
    seen = []

    def f(t, s, A):
        seen.append(PLAIN[name](t, s, B, A))
        return s

    assert cr.grad(f)(T, S, A).tolist() == [0, 0, 0]
    found = seen[0].value if isinstance(seen[0], TracedArray) else seen[0]
    np.testing.assert_array_equal(found, PLAIN[name](T, S, B, A))
