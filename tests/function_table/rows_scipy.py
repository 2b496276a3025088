"""SciPy's functions."""

from __future__ import annotations

import numpy as np

from function_table.table import Row, Section

SCIPY: list[Row] = []

V = np.array([0.3, 0.7, 0.45, 0.85])
W = np.array([1.3, 0.4, 2.1, 0.9])
P = np.array([1.4, 2.3, 1.7, 3.1])
M = np.array([[0.3, 1.2, 0.7], [0.9, 0.45, 1.6]])
A = np.array([[2.1, 0.4, 0.3], [0.5, 1.7, 0.2], [0.1, 0.6, 2.6]])
S = np.array([0.31, 0.72, 1.13, 0.54, 0.95, 1.36, 0.77, 1.18, 0.59, 1.41, 0.82, 0.23, 0.66, 1.02, 0.48, 0.91])
IMAGE = S.reshape(4, 4)
SPD = "(a @ a.T + 2 * np.eye(3))"
HERMITIAN = "(a @ np.conj(a.T) + 2 * np.eye(3))"

# special

_ = Section(SCIPY, "scipy.special, one argument")
for name in (
    "erf", "erfc", "erfinv", "erfcinv", "erfi", "gammaln", "digamma", "psi", "expit", "logit", "i0", "i1", "i0e", "i1e",
    "j0", "j1", "y0", "y1", "k0", "k1", "k0e", "k1e", "ndtr", "log_ndtr", "ndtri", "entr", "gamma", "rgamma", "gammasgn",
    "loggamma", "erfcx", "dawsn", "expi", "exp1", "spence", "log_expit", "ellipk", "ellipkm1", "ellipe", "cosm1",
    "exprel", "sindg", "cosdg", "tandg", "cotdg", "exp2", "exp10", "log1p", "expm1", "cbrt", "round", "kolmogorov",
    "zetac", "ber", "bei", "ker", "kei",
):  # fmt: skip
    _.add(name, f"special.{name}(x)", x=V)
_.add("wofz", "np.abs(special.wofz(x))", x=V)
_.add("lambertw", "np.real(special.lambertw(x))", x=V)
_.add("sici", "special.sici(x)", x=V)
_.add("shichi", "special.shichi(x)", x=V)
_.add("fresnel", "special.fresnel(x)", x=V)
_.add("airy", "special.airy(x)", x=V)
_.add("itj0y0 / iti0k0", "[special.itj0y0(x), special.iti0k0(x)]", x=V, complex=None)
_.add("sinc", "special.sinc(x)", x=V, jax="np.sinc(x)")
_.add("softplus", "special.softplus(x)", x=V, jax="jax.nn.softplus(x)")
_.add("diric", "special.diric(x, 3)", x=V, complex=None)
_.add("logsumexp", "special.logsumexp(x)", x=V)
_.add("softmax", "special.softmax(x)", x=V, jax="jax.nn.softmax(x)")
_.add("log_softmax", "special.log_softmax(x)", x=V, jax="jax.nn.log_softmax(x)")
_.add("factorial", "special.factorial(x)", x=V, complex=None)

_ = Section(SCIPY, "scipy.special, several arguments")
for name in (
    "beta", "betaln", "xlogy", "xlog1py", "rel_entr", "kl_div", "boxcox", "boxcox1p", "inv_boxcox", "inv_boxcox1p",
    "poch", "huber", "pseudo_huber", "agm", "powm1", "owens_t", "binom", "elliprc", "hyp0f1",
):  # fmt: skip
    args = ("y", "x") if name in ("inv_boxcox", "inv_boxcox1p", "poch") else ("x", "y")
    _.add(name, f"special.{name}({args[0]}, {args[1]})", x=V, y=W)
for name in ("gammainc", "gammaincc"):
    _.add(f"{name} wrt x", f"special.{name}(1.5, x)", x=V)
    _.add(f"{name} wrt a", f"special.{name}(a, 0.8)", a=W)
_.add("gammaincinv wrt y", "special.gammaincinv(1.5, x)", x=V)
_.add("gammainccinv wrt y", "special.gammainccinv(1.5, x)", x=V)
for name in ("betainc", "betaincc"):
    _.add(f"{name} wrt x", f"special.{name}(1.5, 2.5, x)", x=V)
    _.add(f"{name} wrt a, b", f"special.{name}(a, b, 0.4)", a=W, b=P)
_.add("betaincinv", "special.betaincinv(a, b, x)", a=W, b=P, x=V)
_.add("polygamma", "special.polygamma(1, x)", x=V, complex=None)
_.add("multigammaln", "special.multigammaln(x, 2)", x=1.7)
_.add("zeta wrt q", "special.zeta(2.5, x)", x=V)
for name in ("jv", "yv", "iv", "kv", "jve", "yve", "ive", "kve"):
    _.add(f"{name} wrt x", f"special.{name}(1.5, x)", x=W)
_.add("jn / yn / kn", "[special.jn(2, x), special.yn(2, x), special.kn(2, x)]", x=W, complex=None)
_.add("hankel1 / hankel2", "[special.hankel1(1.5, x), special.hankel2(1.5, x)]", x=W)
for name in ("spherical_jn", "spherical_yn", "spherical_in", "spherical_kn"):
    _.add(name, f"special.{name}(2, x)", x=W)
_.add("struve / modstruve", "[special.struve(1.5, x), special.modstruve(1.5, x)]", x=W)
_.add("expn", "special.expn(2, x)", x=V)
_.add("hyp1f1 wrt x", "special.hyp1f1(1.2, 2.3, x)", x=V)
_.add("hyp2f1 wrt x", "special.hyp2f1(1.2, 0.7, 2.3, x)", x=V * 0.7)
_.add("hyperu wrt x", "special.hyperu(1.2, 2.3, x)", x=V)
_.add("comb / perm", "[special.comb(x, 2), special.perm(x, 2)]", x=P, complex=None)
_.add("sph_harm_y", "special.sph_harm_y(2, 1, x, y)", x=V, y=W)
_.add("lpmv", "special.lpmv(1, 2, x)", x=V)
for name in ("eval_legendre", "eval_hermite", "eval_hermitenorm", "eval_chebyt", "eval_chebyu", "eval_laguerre"):
    _.add(name, f"special.{name}(3, x)", x=V)
_.add("eval_jacobi / gegenbauer / genlaguerre", "[special.eval_jacobi(3, 0.5, 0.7, x), special.eval_gegenbauer(3, 0.5, x), "
      "special.eval_genlaguerre(3, 0.5, x)]", x=V)  # fmt: skip
_.add("ellipkinc / ellipeinc", "[special.ellipkinc(x, y), special.ellipeinc(x, y)]", x=W, y=V, complex=None)
_.add("ellipj", "special.ellipj(x, 0.4)", x=W)
_.add("elliprf / rd / rj / rg", "[special.elliprf(x, y, 1.5), special.elliprd(x, y, 1.5), special.elliprj(x, y, 1.5, 0.7), "
      "special.elliprg(x, y, 1.5)]", x=V, y=W)  # fmt: skip
_.add("stdtr / stdtrit", "[special.stdtr(3.5, x), special.stdtrit(3.5, x)]", x=V)
_.add("bdtr / nbdtr / pdtr wrt p", "[special.bdtr(2, 5, x), special.nbdtr(2, 3, x), special.pdtr(2, x)]", x=V)
_.add(
    "fdtr / chdtr / gdtr / btdtr", "[special.fdtr(3.0, 4.0, x), special.chdtr(3.0, x), special.gdtr(1.2, 2.3, x)]", x=V
)
_.add("ndtri_exp / nrdtrimn", "[special.ndtri_exp(-x), special.nrdtrimn(x, 1.5, 0.7)]", x=V)
_.add("voigt_profile", "special.voigt_profile(x, y, 0.7)", x=V, y=W)
_.add("smirnov", "special.smirnov(4, x)", x=V)
_.add("log_wright_bessel / wright_bessel wrt x", "special.wright_bessel(0.7, 1.2, x)", x=V)

# linalg

_ = Section(SCIPY, "scipy.linalg")
for name, text in {
    "solve": "linalg.solve(a, a[:, 0] ** 2)",
    "solve(assume_a='pos')": f"linalg.solve({HERMITIAN}, a[:, 0], assume_a='pos')",
    "solve_triangular": "linalg.solve_triangular(np.tril(a), a[:, 0], lower=True)",
    "cholesky": f"linalg.cholesky({HERMITIAN})",
    "cho_factor / cho_solve": f"linalg.cho_solve(linalg.cho_factor({HERMITIAN}), a[0])",
    "lu": "linalg.lu(a)",
    "lu_factor / lu_solve": "linalg.lu_solve(linalg.lu_factor(a), a[0])",
    "inv / det": "[linalg.inv(a), linalg.det(a)]",
    "eigh": f"linalg.eigh({HERMITIAN})[0]",
    "eigvalsh": f"linalg.eigvalsh({HERMITIAN})",
    "eig / eigvals": "[linalg.eig(a)[0], linalg.eigvals(a)]",
    "eigh_tridiagonal": "linalg.eigh_tridiagonal(a[0], a[1, :2])[0]",
    "svd": "linalg.svd(a)[1]",
    "svdvals": "linalg.svdvals(a)",
    "qr": "linalg.qr(a)",
    "rq": "linalg.rq(a)",
    "expm": "linalg.expm(a)",
    "expm_frechet": "linalg.expm_frechet(a, a.T)[1]",
    "logm": "linalg.logm(a)",
    "sqrtm": "linalg.sqrtm(a)",
    "sinm / cosm / tanm": "[linalg.sinm(a), linalg.cosm(a), linalg.tanm(0.3 * a)]",
    "fractional_matrix_power": "linalg.fractional_matrix_power(a, 0.3)",
    "funm": "linalg.funm(a, np.exp)",
    "polar": "linalg.polar(a)",
    "schur": "linalg.schur(a)[0]",
    "hessenberg": "linalg.hessenberg(a)",
    "ldl": f"linalg.ldl({SPD})[:2]",
    "solve_banded": "linalg.solve_banded((1, 1), a, a[:, 0])",
    "solveh_banded": "linalg.solveh_banded(np.stack([0.1 * a[0], 2 + a[1]]), a[:, 0])",
    "solve_sylvester": "linalg.solve_sylvester(a, a.T @ a, a[::-1])",
    "solve_continuous_lyapunov": "linalg.solve_continuous_lyapunov(a, a.T)",
    "solve_discrete_lyapunov": "linalg.solve_discrete_lyapunov(0.2 * a, a.T)",
    "solve_continuous_are": "linalg.solve_continuous_are(a, a[:, :2], np.eye(3), np.eye(2))",
    "solve_discrete_are": "linalg.solve_discrete_are(a, a[:, :2], np.eye(3), np.eye(2))",
    "block_diag": "linalg.block_diag(a, a[:2, :2])",
    "toeplitz": "linalg.toeplitz(a[0], a[1])",
    "hankel / circulant": "[linalg.hankel(a[0]), linalg.circulant(a[0])]",
    "solve_toeplitz": "linalg.solve_toeplitz((a[:, 0], a[0]), a[1])",
    "solve_circulant": "linalg.solve_circulant(a[0], a[1])",
    "companion / vander-like": "linalg.companion(a[0])",
    "khatri_rao": "linalg.khatri_rao(a, a[:2])",
    "lstsq": "linalg.lstsq(a[:, :2], a[:, 2])[0]",
    "pinv": "linalg.pinv(a[:2])",
    "null_space": "np.abs(linalg.null_space(a[:2]))",
    "orth": "np.abs(linalg.orth(a))",
    "norm": "[linalg.norm(a), linalg.norm(a, 1)]",
}.items():
    _.add(name, text, a=A, tolerance=1e-5)

_ = Section(SCIPY, "scipy.fft")
for name in ("fft", "ifft", "rfft", "ihfft", "dct", "idct", "dst", "idst"):
    _.add(
        name,
        f"fft.{name}(x)",
        x=V,
        jax=f"np.fft.{name}(x)" if "t" in name[-1] and name[0] in "firh" else f"fft.{name}(x)",
    )
for name in ("fft2", "ifft2", "fftn", "ifftn", "rfft2", "rfftn", "dctn", "idctn", "dstn", "idstn"):
    own = name[-1] in "2n" and name[:1] in "fir" and "ct" not in name and "st" not in name
    _.add(name, f"fft.{name}(x)", x=M, jax=f"np.fft.{name}(x)" if own else f"fft.{name}(x)")
_.add("irfft / hfft", "[fft.irfft(x), fft.hfft(x)]", x=V, jax="[np.fft.irfft(x), np.fft.hfft(x)]",
      complex={"x": np.r_[V[0], V[1:] + 0.2j]})  # fmt: skip
_.add("fht", "fft.fht(x, 0.3, 0.5)", x=V, complex=None)

# distributions

_ = Section(SCIPY, "scipy.stats, distributions")
for name in ("norm", "t", "gamma", "beta", "chi2", "expon", "logistic", "laplace", "truncnorm", "lognorm"):
    shapes = {"t": "3.5, ", "gamma": "1.7, ", "beta": "1.7, 2.3, ", "chi2": "3.5, ", "truncnorm": "-1.5, 2.5, ",
              "lognorm": "0.8, "}.get(name, "")  # fmt: skip
    for method in ("logpdf", "pdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf"):
        scale = "" if name == "beta" else ", 0.1, 1.3"
        _.add(f"{name}.{method}", f"stats.{name}.{method}(x, {shapes[:-2]}{scale})".replace("(x, )", "(x)").replace(
            "(x, , ", "(x, "), x=V, complex=None)  # fmt: skip
for name, shapes in {
    "cauchy": "", "uniform": "", "pareto": ", 1.5", "weibull_min": ", 1.5", "weibull_max": ", 1.5", "vonmises": ", 1.5",
    "gumbel_r": "", "gumbel_l": "", "skewnorm": ", 1.5", "invgamma": ", 1.5", "gennorm": ", 1.5", "halfnorm": "",
    "genextreme": ", 0.3", "f": ", 3.5, 4.5", "rayleigh": "", "maxwell": "", "invgauss": ", 1.5", "levy": "",
    "triang": ", 0.4", "loggamma": ", 1.5", "genpareto": ", 0.3", "nct": ", 3.5, 0.4", "ncx2": ", 3.5, 0.4",
    "powerlaw": ", 1.5", "fisk": ", 1.5", "hypsecant": "", "exponnorm": ", 1.5", "wrapcauchy": ", 0.4",
}.items():  # fmt: skip
    args = "-x" if name == "weibull_max" else "x + 1.0" if name == "pareto" else "x"
    _.add(f"{name}.logpdf", f"stats.{name}.logpdf({args}{shapes})", x=V, complex=None)
for name, text, args in [
    ("norm.logpdf wrt loc, scale", "stats.norm.logpdf(0.4, loc=x, scale=y)", {"x": V, "y": W}),
    ("gamma.logpdf wrt a", "stats.gamma.logpdf(0.8, x)", {"x": W}),
    ("gamma.cdf wrt a", "stats.gamma.cdf(0.8, x)", {"x": W}),
    ("beta.logpdf wrt a, b", "stats.beta.logpdf(0.4, x, y)", {"x": V, "y": W}),
    ("beta.cdf wrt a, b", "stats.beta.cdf(0.4, x, y)", {"x": V, "y": W}),
    ("t.logpdf wrt df", "stats.t.logpdf(0.4, x)", {"x": W}),
    ("t.cdf wrt df, scale", "stats.t.cdf(0.4, x, 0.0, y)", {"x": P, "y": W}),
    ("poisson.logpmf wrt mu", "stats.poisson.logpmf(2, x)", {"x": W}),
    ("poisson.cdf wrt mu", "stats.poisson.cdf(2, x)", {"x": W}),
    ("bernoulli.logpmf wrt p", "stats.bernoulli.logpmf(1, x)", {"x": V}),
    ("binom.logpmf wrt p", "stats.binom.logpmf(2, 5, x)", {"x": V}),
    ("nbinom.logpmf wrt p", "stats.nbinom.logpmf(2, 3, x)", {"x": V}),
    ("geom.logpmf wrt p", "stats.geom.logpmf(2, x)", {"x": V}),
    ("betabinom.logpmf wrt a, b", "stats.betabinom.logpmf(2, 5, x, y)", {"x": V, "y": W}),
    ("multinomial.logpmf wrt p", "stats.multinomial.logpmf(np.array([1, 2, 0, 1]), 4, x / np.sum(x))", {"x": V}),
    ("dirichlet.logpdf wrt alpha", "stats.dirichlet.logpdf(np.array([0.2, 0.3, 0.1, 0.4]), x)", {"x": W}),
    ("multivariate_normal.logpdf wrt x", "stats.multivariate_normal.logpdf(x, np.zeros(4), np.eye(4) + 0.2)", {"x": V}),
    ("multivariate_normal.logpdf wrt cov", f"stats.multivariate_normal.logpdf(np.ones(3), np.zeros(3), {SPD})", {"a": A}),
    ("multivariate_normal.entropy wrt cov", f"stats.multivariate_normal.entropy(np.zeros(3), {SPD})", {"a": A}),
    ("wishart.logpdf", f"stats.wishart.logpdf({SPD}, 4, np.eye(3) + 0.2)", {"a": A}),
    ("invwishart.logpdf", f"stats.invwishart.logpdf({SPD}, 4, np.eye(3) + 0.2)", {"a": A}),
    ("multivariate_t.logpdf", "stats.multivariate_t.logpdf(x, np.zeros(4), np.eye(4) + 0.2, df=3.5)", {"x": V}),
    ("gaussian_kde", "stats.gaussian_kde(np.array([0.1, 0.5, 1.2]))(x)", {"x": V}),
    ("norm.entropy / mean / var", "[stats.norm.entropy(x, y), stats.norm.mean(x, y), stats.norm.var(x, y)]",
     {"x": V, "y": W}),
    ("Normal(mu=, sigma=).logpdf", "stats.Normal(mu=x, sigma=y).logpdf(0.4)", {"x": V, "y": W}),
]:  # fmt: skip
    _.add(name, text, complex=None, **args)

_ = Section(SCIPY, "scipy.stats, statistics")
for name, text in {
    "zscore": "stats.zscore(x)", "skew": "stats.skew(x)", "kurtosis": "stats.kurtosis(x)", "moment": "stats.moment(x, 3)",
    "pearsonr": "stats.pearsonr(x, y)[0]", "gmean / hmean / pmean": "[stats.gmean(x), stats.hmean(x), stats.pmean(x, 3)]",
    "variation / sem": "[stats.variation(x), stats.sem(x)]", "entropy": "stats.entropy(x, y)",
    "linregress": "stats.linregress(x, y)[:2]", "trim_mean": "stats.trim_mean(x, 0.25)", "iqr": "stats.iqr(x)",
    "ttest_ind": "stats.ttest_ind(x, y)[0]", "ttest_1samp": "stats.ttest_1samp(x, 0.4)[0]",
    "wasserstein_distance": "stats.wasserstein_distance(x, y)", "boxcox_llf": "stats.boxcox_llf(0.4, x)",
    "describe": "stats.describe(x)[2:4]", "gstd": "stats.gstd(x)", "circmean": "stats.circmean(x)",
}.items():  # fmt: skip
    args = {"x": V, "y": W} if "y" in text.split("(", 1)[1] else {"x": V}
    _.add(name, text, complex=None, **args)

# signals and images

_ = Section(SCIPY, "scipy.signal")
for name, text in {
    "convolve (1-D)": "signal.convolve(x, x[:3])",
    "convolve (N-D)": "signal.convolve(x.reshape(4, 4), x[:4].reshape(2, 2))",
    "convolve2d": "signal.convolve2d(x.reshape(4, 4), x[:4].reshape(2, 2))",
    "fftconvolve": "signal.fftconvolve(x, x[:3])",
    "oaconvolve": "signal.oaconvolve(x, x[:3])",
    "correlate": "signal.correlate(x, x[:3])",
    "correlate2d": "signal.correlate2d(x.reshape(4, 4), x[:4].reshape(2, 2))",
    "lfilter": "signal.lfilter([0.5, 0.3], [1.0, -0.4], x)",
    "lfilter wrt b, a": "signal.lfilter(x[:2], x[2:4], x)",
    "sosfilt": "signal.sosfilt(np.array([[0.5, 0.3, 0.1, 1.0, -0.4, 0.1]]), x)",
    "filtfilt": "signal.filtfilt([0.5, 0.3], [1.0, -0.4], x)",
    "sosfiltfilt": "signal.sosfiltfilt(np.array([[0.5, 0.3, 0.1, 1.0, -0.4, 0.1]]), x)",
    "hilbert": "signal.hilbert(x)",
    "detrend": "signal.detrend(x)",
    "stft / istft": "signal.istft(signal.stft(x, nperseg=8)[2], nperseg=8)[1]",
    "welch": "signal.welch(x, nperseg=8)[1]",
    "csd": "signal.csd(x, x[::-1], nperseg=8)[1]",
    "periodogram": "signal.periodogram(x)[1]",
    "spectrogram": "signal.spectrogram(x, nperseg=8)[2]",
    "coherence": "signal.coherence(x, x[::-1], nperseg=4)[1]",
    "savgol_filter": "signal.savgol_filter(x, 5, 2)",
    "resample": "signal.resample(x, 10)",
    "resample_poly": "signal.resample_poly(x, 2, 3)",
    "decimate": "signal.decimate(x, 2, ftype='fir')",
    "upfirdn": "signal.upfirdn(np.array([0.5, 0.3]), x, 2)",
    "freqz": "signal.freqz(x[:3], x[3:6], worN=5)[1]",
    "medfilt": "signal.medfilt(x, 3)",
    "wiener": "signal.wiener(x, 3)",
    "lsim": "signal.lsim(([0.5], [1.0, 0.4]), x, np.arange(16.0))[1]",
    "cspline1d": "signal.cspline1d(x)",
    "bilinear / tf2zpk": "signal.bilinear(x[:2], x[2:5])",
}.items():
    _.add(name, text, x=S, tolerance=1e-5)

_ = Section(SCIPY, "scipy.ndimage")
for name, text in {
    "map_coordinates": "ndimage.map_coordinates(x, [np.array([0.5, 1.7]), np.array([1.2, 2.3])], order=1)",
    "map_coordinates(order=3) wrt coordinates": (
        "ndimage.map_coordinates(np.arange(16.0).reshape(4, 4) ** 2, [x[0] + 0.6, x[1] + 0.7], order=3)"
    ),
    "gaussian_filter": "ndimage.gaussian_filter(x, 0.8)",
    "gaussian_filter1d": "ndimage.gaussian_filter1d(x, 0.8)",
    "convolve / correlate": "[ndimage.convolve(x, x[:3, :3]), ndimage.correlate(x, x[:3, :3])]",
    "uniform_filter": "ndimage.uniform_filter(x, 3)",
    "sobel / prewitt / laplace": "[ndimage.sobel(x), ndimage.prewitt(x), ndimage.laplace(x)]",
    "gaussian_laplace": "ndimage.gaussian_laplace(x, 0.8)",
    "maximum_filter / minimum_filter": "[ndimage.maximum_filter(x, 3), ndimage.minimum_filter(x, 3)]",
    "median_filter": "ndimage.median_filter(x, 3)",
    "shift": "ndimage.shift(x, 0.4, order=1)",
    "zoom": "ndimage.zoom(x, 1.5, order=1)",
    "rotate": "ndimage.rotate(x, 20.0, order=1)",
    "affine_transform": "ndimage.affine_transform(x, np.array([[0.9, 0.1], [-0.1, 0.8]]), order=1)",
    "spline_filter": "ndimage.spline_filter(x)",
    "center_of_mass": "ndimage.center_of_mass(x)",
    "sum_labels / mean": "ndimage.sum_labels(x, np.eye(4, dtype=int), 1)",
}.items():
    _.add(name, text, x=IMAGE, tolerance=1e-5)

_ = Section(SCIPY, "scipy.integrate")
for name, text in {
    "trapezoid": "integrate.trapezoid(x, y)",
    "simpson": "integrate.simpson(x, x=y)",
    "cumulative_trapezoid": "integrate.cumulative_trapezoid(x, y)",
    "cumulative_simpson": "integrate.cumulative_simpson(x, x=y)",
    "romb": "integrate.romb(np.concatenate([x, y[:1]]))",
}.items():
    _.add(name, text, x=V, y=np.cumsum(W), jax="np.trapezoid(x, y)" if name == "trapezoid" else text)
for name, text in {
    "quad(closure)": "integrate.quad(lambda t: np.exp(-x * t) * np.sin(t), 0.0, 2.0)[0]",
    "quad(limits)": "integrate.quad(lambda t: np.exp(-t) * np.sin(t), 0.0, x)[0]",
    "quad_vec": "integrate.quad_vec(lambda t: np.exp(-x * t), 0.0, 2.0)[0]",
    "fixed_quad": "integrate.fixed_quad(lambda t: np.exp(-x * t), 0.0, 2.0)[0]",
    "dblquad": "integrate.dblquad(lambda s, t: np.exp(-x * s * t), 0.0, 1.0, 0.0, 1.0)[0]",
    "odeint(args)": "integrate.odeint(lambda y, t, k: -k * y, 1.2, np.array([0.0, 0.5, 1.0]), args=(x,), rtol=1e-10, atol=1e-12)",
    "odeint(y0)": "integrate.odeint(lambda y, t: -y * y, x, np.array([0.0, 0.5, 1.0]), rtol=1e-10, atol=1e-12)",
    "solve_ivp(closure)": (
        "integrate.solve_ivp(lambda t, y: -x * y, (0.0, 1.0), [1.2], rtol=1e-10, atol=1e-12, t_eval=[0.5, 1.0]).y"
    ),
    "solve_ivp(y0)": (
        "integrate.solve_ivp(lambda t, y: -y * y, (0.0, 1.0), [x], rtol=1e-10, atol=1e-12, t_eval=[0.5, 1.0]).y"
    ),
    "solve_bvp": (
        "integrate.solve_bvp(lambda t, y: np.stack([y[1], -x * y[0]]), lambda a, b: np.stack([a[0], b[0] - 1]), "
        "np.linspace(0, 1, 5), np.ones((2, 5)), tol=1e-8).sol(0.5)"
    ),
}.items():
    _.add(name, text, x=0.7, tolerance=1e-4, step=1e-3, complex=None)

_ = Section(SCIPY, "scipy.interpolate")
KNOTS = "np.array([0.0, 0.6, 1.1, 2.0])"
for name, text in {
    "interp1d": "interpolate.interp1d({k}, y)(x)",
    "interp1d(cubic)": "interpolate.interp1d({k}, y, kind='cubic')(x)",
    "CubicSpline": "interpolate.CubicSpline({k}, y)(x)",
    "CubicHermiteSpline": "interpolate.CubicHermiteSpline({k}, y, y ** 2)(x)",
    "PchipInterpolator": "interpolate.PchipInterpolator({k}, y)(x)",
    "Akima1DInterpolator": "interpolate.Akima1DInterpolator({k}, y)(x)",
    "make_interp_spline": "interpolate.make_interp_spline({k}, y, k=3)(x)",
    "BSpline": "interpolate.BSpline(np.array([0.0, 0.0, 0.0, 1.0, 2.0, 2.0, 2.0]), y, 2)(x)",
    "PPoly": "interpolate.PPoly(np.stack([y[:3], y[1:]]), {k})(x)",
    "splrep / splev": "interpolate.splev(x, interpolate.splrep({k}, y))",
    "UnivariateSpline": "interpolate.UnivariateSpline({k}, y, s=0)(x)",
    "BarycentricInterpolator": "interpolate.BarycentricInterpolator({k}, y)(x)",
    "KroghInterpolator": "interpolate.KroghInterpolator({k}, y)(x)",
    "RegularGridInterpolator": (
        "interpolate.RegularGridInterpolator(({k}, np.arange(2.0)), np.stack([y, y ** 2], axis=1))(np.stack([x, x / 2], axis=1))"
    ),
    "interpn": "interpolate.interpn(({k},), y, x[:, None])",
    "RectBivariateSpline": ("interpolate.RectBivariateSpline({k}, {k}, np.outer(y, y)).ev(x, x[::-1])"),
    "RBFInterpolator": "interpolate.RBFInterpolator({k}[:, None], y)(x[:, None])",
    "griddata": "interpolate.griddata({k}, y, x)",
    "LinearNDInterpolator": (
        "interpolate.LinearNDInterpolator(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.1]]), y)"
        "(np.stack([x, x[::-1]], axis=1))"
    ),
}.items():
    _.add(name, text.replace("{k}", KNOTS), x=V, y=W, tolerance=1e-5, complex=None)

_ = Section(SCIPY, "scipy.optimize")
for name, text in {
    "root": "optimize.root(lambda t: t ** 3 + x * t - 1, [0.5], tol=1e-13).x",
    "fsolve": "optimize.fsolve(lambda t: t ** 3 + x * t - 1, [0.5], xtol=1e-13)",
    "root_scalar": "optimize.root_scalar(lambda t: t ** 3 + x * t - 1, bracket=(0.0, 1.0), xtol=1e-13).root",
    "brentq": "optimize.brentq(lambda t: t ** 3 + x * t - 1, 0.0, 1.0, xtol=1e-13)",
    "newton": "optimize.newton(lambda t: t ** 3 + x * t - 1, 0.5, tol=1e-13)",
    "fixed_point": "optimize.fixed_point(lambda t: np.cos(x * t), 0.5, xtol=1e-12)",
    "minimize": "optimize.minimize(lambda t: np.sum((t - x) ** 2 + 0.1 * t ** 4), np.array([0.5]), tol=1e-12).x",
    "minimize_scalar": "optimize.minimize_scalar(lambda t: (t - x) ** 2 + 0.1 * t ** 4, tol=1e-12).x",
    "least_squares": (
        "optimize.least_squares(lambda t: np.stack([t[0] - x, t[0] ** 2 - 0.3]), [0.5], xtol=1e-14, ftol=1e-14, "
        "gtol=1e-14).x"
    ),
    "curve_fit": (
        "optimize.curve_fit(lambda t, a: np.exp(-a * t), np.arange(3.0), np.exp(-x * np.arange(3.0)) + 0.01, "
        "ftol=1e-14, xtol=1e-14)[0]"
    ),
    "linprog": "optimize.linprog(np.array([1.0, 2.0]), A_ub=-np.ones((1, 2)), b_ub=-x * np.ones(1)).x",
    "nnls": "optimize.nnls(np.array([[1.0, 0.5], [0.3, 1.0]]), np.stack([x, 2 * x]))[0]",
    "lsq_linear": "optimize.lsq_linear(np.array([[1.0, 0.5], [0.3, 1.0], [0.2, 0.7]]), np.stack([x, 2 * x, 1 - x])).x",
    "linear_sum_assignment": (
        "c = np.array([[1.0, 2.0], [3.0, 1.0]]) * x; r, k = optimize.linear_sum_assignment(c); c[r, k]"
    ),
    "rosen": "optimize.rosen(np.stack([x, x ** 2, 1.1 * x]))",
}.items():
    _.add(name, text, x=0.7, tolerance=1e-4, step=1e-3, complex=None)

_ = Section(SCIPY, "scipy.sparse and scipy.spatial")
SPARSE = "sparse.csr_array((x, (np.array([0, 1, 2, 0]), np.array([0, 1, 2, 2]))), shape=(3, 3))"
for name, text in {
    "csr_array @ vector": f"{SPARSE} @ np.array([1.0, 2.0, 0.5])",
    "csr_array.toarray": f"{SPARSE}.toarray()",
    "linalg.spsolve": f"sparse.linalg.spsolve({SPARSE}.tocsc(), np.array([1.0, 2.0, 0.5]))",
    "linalg.spsolve wrt b": "sparse.linalg.spsolve(sparse.csc_array(np.eye(4) + 0.2), x)",
    "linalg.splu": "sparse.linalg.splu(sparse.csc_array(np.eye(4) + 0.2)).solve(x)",
    "linalg.cg": "sparse.linalg.cg(sparse.csc_array(np.eye(4) + 0.2), x, rtol=1e-13)[0]",
    "linalg.gmres": "sparse.linalg.gmres(sparse.csc_array(np.eye(4) + 0.2), x, rtol=1e-13)[0]",
    "linalg.expm_multiply": "sparse.linalg.expm_multiply(sparse.csc_array(np.eye(4) + 0.2), x)",
    "linalg.eigsh": "sparse.linalg.eigsh(sparse.csc_array(np.eye(4) + 0.2), k=2, v0=np.ones(4))[0] * x[:2]",
    "distance.cdist": "spatial.distance.cdist(x.reshape(2, 2), x.reshape(2, 2) + 1.5)",
    "distance.pdist": "spatial.distance.pdist(x.reshape(2, 2))",
    "distance.euclidean / cosine": "[spatial.distance.euclidean(x, x ** 2), spatial.distance.cosine(x, x ** 2)]",
    "transform.Rotation": "spatial.transform.Rotation.from_rotvec(x[:3]).as_matrix()",
}.items():
    _.add(name, text, x=W, tolerance=1e-5, complex=None)
