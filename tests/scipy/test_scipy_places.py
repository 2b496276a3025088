"""The twins in SciPy's place, and the errors that name them."""

from __future__ import annotations

import linecache
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy
import scipy.special
from scipy import fft, integrate, interpolate, linalg, ndimage, optimize, signal, sparse, spatial, special, stats

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.scipy import places, twins

X = np.array([0.3, 0.7, 1.2, 1.9, 2.5, 3.1, 3.3, 4.0])
A = np.array([[4.0, 1.0], [1.0, 3.0]])
SOFTMAX = np.exp(X) / np.sum(np.exp(X))
ORIGINAL = (special.logsumexp,)  # a global name would be replaced


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    cr.scipy.uninstall()
    sys.modules.pop("user_module", None)


def module_of(source: str) -> ModuleType:
    """Return a user's module with this source."""
    module = ModuleType("user_module")
    exec(textwrap.dedent(source), vars(module))
    sys.modules["user_module"] = module
    return module


def contents() -> dict[tuple[str, str], Any]:
    return {
        (name, key): value
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in ("scipy", "numpy") or name == "user_module"
        for key, value in list(vars(module).items())
    }


def test_code_with_unchanged_imports() -> None:
    cr.scipy.install()
    user = module_of("""
        import scipy.special
        from scipy import special
        from scipy.special import logsumexp

        def dotted(x):
            return scipy.special.logsumexp(x)

        def by_module(x):
            return special.logsumexp(x)

        def by_name(x):
            return logsumexp(x)
    """)
    for f in (user.dotted, user.by_module, user.by_name):
        np.testing.assert_allclose(cr.grad(f)(X), SOFTMAX)
        np.testing.assert_allclose(cr.jit(cr.grad(f))(X), SOFTMAX)
        assert f(X) == ORIGINAL[0](X)


def test_names_imported_before() -> None:
    user = module_of("""
        from scipy.special import logsumexp as lse

        def f(x):
            return lse(x)
    """)
    compiled = cr.jit(user.f)
    cr.scipy.install()
    np.testing.assert_allclose(cr.grad(user.f)(X), SOFTMAX)
    assert compiled(X) == pytest.approx(ORIGINAL[0](X))
    cr.scipy.uninstall()
    assert user.lse is ORIGINAL[0]
    with pytest.raises(ChainruleError, match="install"):
        cr.grad(user.f)(X)


def test_everything_is_put_back() -> None:
    module_of("from scipy.special import softmax")
    table = places.load()
    before = contents()
    cr.scipy.install()
    for (home, name), twin in table.items():
        assert getattr(sys.modules[home], name) is twin
    assert sys.modules["user_module"].softmax is table["scipy.special", "softmax"]
    cr.scipy.uninstall()
    after = contents()
    assert {key: id(value) for key, value in after.items()} == {key: id(value) for key, value in before.items()}


def test_twice_is_once() -> None:
    cr.scipy.install()
    cr.scipy.install()
    cr.scipy.uninstall()
    assert special.logsumexp is ORIGINAL[0]
    cr.scipy.uninstall()
    assert special.logsumexp is ORIGINAL[0]


def test_as_a_context() -> None:
    with pytest.raises(ZeroDivisionError), cr.scipy.install():
        assert special.logsumexp is not ORIGINAL[0]
        1 / 0
    assert special.logsumexp is ORIGINAL[0]
    cr.scipy.install()
    with cr.scipy.install():
        pass
    assert special.logsumexp is not ORIGINAL[0]  # the outer one stands


def test_what_somebody_else_put_there_stays() -> None:
    with cr.scipy.install():
        special.logsumexp = len
    try:
        assert special.logsumexp is len
    finally:
        special.logsumexp = ORIGINAL[0]


def test_scipy_itself_works_while_installed() -> None:
    def results() -> list[Any]:
        return [
            stats.gaussian_kde(X)(1.0),
            stats.norm.fit(X),
            stats.kstest(X, "norm").pvalue,
            stats.ttest_ind(X, X + 0.1).pvalue,
            stats.multivariate_normal(np.zeros(2), A).logpdf(np.ones(2)),
            stats.vonmises.fit(X)[0],
            optimize.minimize(lambda x: np.sum((x - 1) ** 2), np.zeros(2)).x,
            optimize.least_squares(lambda x: x - 1, np.zeros(2)).x,
            optimize.curve_fit(lambda x, a: a * x, X, 2 * X)[0],
            integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0]).y,
            integrate.quad(np.sin, 0, 1)[0],
            interpolate.CubicSpline(np.arange(8), X)(0.5),
            interpolate.RBFInterpolator(X[:, None], X)(np.ones((1, 1))),
            signal.filtfilt(*signal.butter(2, 0.3), np.arange(30.0)),
            signal.welch(X, nperseg=4)[1],
            ndimage.gaussian_filter(X, 1.0),
            linalg.expm(A),
            linalg.sqrtm(A),
            sparse.linalg.spsolve(sparse.csc_array(A), np.ones(2)),
            sparse.linalg.eigsh(sparse.eye_array(5) * np.arange(5), k=1, v0=np.ones(5))[0],
            spatial.distance.cdist(A, A),
            fft.dct(X),
        ]

    plain = results()
    with cr.scipy.install():
        installed = results()
    for one, two in zip(plain, installed, strict=True):
        np.testing.assert_array_equal(one, two)
        assert type(one) is type(two)


def test_modules_are_found_and_loaded_late() -> None:
    program = """
        import sys
        import numpy, scipy.special
        import chainrule
        assert set(chainrule.scipy.MODULES) >= {"special"}
        late = [name for name in chainrule.scipy.MODULES if f"chainrule.scipy.{name}" not in sys.modules]
        assert not {"stats", "signal", "optimize", "integrate"} & {
            name.split(".")[1] for name in sys.modules if name.startswith("scipy.")}, "import chainrule loads SciPy"
        for name in late:
            assert getattr(chainrule.scipy, name) is sys.modules[f"chainrule.scipy.{name}"]
        from chainrule.scipy import special
        assert special is chainrule.scipy.special
        assert "install" in dir(chainrule.scipy)
        try:
            chainrule.scipy.nothing
        except AttributeError as error:
            assert "special" in str(error)
        else:
            raise AssertionError
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)


# -- the error for a plain SciPy call ------------------------------------------------------------------

CALLS = """
    A  linalg.solve                scipy.linalg.solve(x, np.ones(2))
    A  linalg.solve                linalg.solve(x, np.ones(2))
    A  linalg.solve_triangular     linalg.solve_triangular(x, np.ones(2))
    A  linalg.cholesky             linalg.cholesky(x)
    A  linalg.cho_factor           linalg.cho_factor(x)[0]
    A  linalg.lu                   linalg.lu(x)[0]
    A  linalg.lu_factor            linalg.lu_factor(x)[0]
    A  linalg.inv                  linalg.inv(x)
    A  linalg.det                  linalg.det(x)
    A  linalg.eigh                 linalg.eigh(x)[0]
    A  linalg.svd                  linalg.svd(x)[1]
    A  linalg.qr                   linalg.qr(x)[0]
    A  linalg.expm                 linalg.expm(x)
    A  linalg.expm_frechet         linalg.expm_frechet(x, x)[0]
    A  linalg.logm                 linalg.logm(x)
    A  linalg.sqrtm                linalg.sqrtm(x)
    A  linalg.funm                 linalg.funm(x, np.sin)
    A  linalg.polar                linalg.polar(x)[0]
    A  linalg.schur                linalg.schur(x)[0]
    A  linalg.solve_banded         linalg.solve_banded((0, 1), x, np.ones(2))
    A  linalg.solveh_banded        linalg.solveh_banded(x, np.ones(2))
    A  linalg.solve_sylvester      linalg.solve_sylvester(x, x, x)
    A  linalg.solve_continuous_lyapunov  linalg.solve_continuous_lyapunov(x, x)
    A  linalg.block_diag           linalg.block_diag(x, x)
    X  linalg.toeplitz             linalg.toeplitz(x)
    X  linalg.solve_toeplitz       linalg.solve_toeplitz(x, np.ones(8))
    A  linalg.lstsq                linalg.lstsq(x, np.ones(2))[0]
    A  linalg.pinv                 linalg.pinv(x)
    X  linalg.norm                 linalg.norm(x)
    X  special.polygamma           special.polygamma(1, x)
    X  special.logsumexp           scipy.special.logsumexp(x)
    X  special.softmax             special.softmax(x)
    X  special.multigammaln        special.multigammaln(x + 3, 2)
    X  special.spherical_jn        special.spherical_jn(2, x)
    X  special.comb                special.comb(x, 2)
    X  special.factorial           special.factorial(x)
    X  stats.norm                  scipy.stats.norm.logpdf(x)
    X  stats.norm                  stats.norm(0, 1).logpdf(x)
    X  stats.norm                  stats.norm.cdf(x)
    X  stats.norm                  stats.norm.sf(x)
    X  stats.norm                  stats.norm.ppf(x / 5)
    X  stats.t                     stats.t.logpdf(x, 3)
    X  stats.t                     stats.t.cdf(x, 3)
    X  stats.gamma                 stats.gamma.logpdf(2.0, x)
    X  stats.beta                  stats.beta.pdf(x / 5, 2, 3)
    X  stats.chi2                  stats.chi2.logpdf(x, 2)
    X  stats.expon                 stats.expon.logpdf(x)
    X  stats.laplace               stats.laplace.logpdf(x)
    X  stats.uniform               stats.uniform.logpdf(x)
    X  stats.truncnorm             stats.truncnorm.logpdf(x, 0, 4)
    X  stats.poisson               stats.poisson.logpmf(2, x)
    X  stats.poisson               stats.poisson.cdf(2, x)
    X  stats.bernoulli             stats.bernoulli.logpmf(1, x / 5)
    X  stats.binom                 stats.binom.logpmf(2, 5, x / 5)
    X  stats.multinomial           stats.multinomial.logpmf([1] * 8, 8, x / np.sum(x))
    X  stats.dirichlet             stats.dirichlet.logpdf(np.ones(8) / 8, x)
    X  stats.multivariate_normal   stats.multivariate_normal.logpdf(x)
    A  stats.multivariate_normal   stats.multivariate_normal.logpdf(np.ones(2), np.zeros(2), x)
    A  stats.wishart               stats.wishart.logpdf(x, 3, np.eye(2))
    X  stats.multivariate_t        stats.multivariate_t.logpdf(x)
    X  stats.gaussian_kde          stats.gaussian_kde(x)(0.5)
    X  stats.pearsonr              stats.pearsonr(x, X + X**2)
    X  stats.zscore                stats.zscore(x)
    X  signal.convolve             signal.convolve(x, x)
    A  signal.convolve2d           signal.convolve2d(x, x)
    X  signal.fftconvolve          signal.fftconvolve(x, x)
    X  signal.correlate            signal.correlate(x, x)
    X  signal.lfilter              signal.lfilter([1.0], [1.0, 0.5], x)
    X  signal.sosfilt              signal.sosfilt(np.array([[1.0, 0, 0, 1, 0.5, 0]]), x)
    X  signal.filtfilt             signal.filtfilt([1.0], [1.0, 0.5], x)
    X  signal.detrend              signal.detrend(x)
    X  signal.stft                 signal.stft(x, nperseg=4)[2]
    X  signal.welch                signal.welch(x, nperseg=4)[1]
    X  signal.savgol_filter        signal.savgol_filter(x, 5, 2)
    X  ndimage.map_coordinates     ndimage.map_coordinates(np.eye(4), np.stack([x, x]) / 5)
    X  ndimage.gaussian_filter     ndimage.gaussian_filter(x, 1.0)
    X  ndimage.convolve            ndimage.convolve(x, x[:3])
    A  spatial.distance.cdist      spatial.distance.cdist(x, x)
    A  spatial.distance.pdist      scipy.spatial.distance.pdist(x)
    X  integrate.simpson           integrate.simpson(x, dx=0.1)
    X  integrate.trapezoid         integrate.trapezoid(x, dx=0.1)
    s  integrate.odeint            integrate.odeint(lambda y, t: -x * y, 1.0, X)
    s  integrate.odeint            integrate.odeint(lambda y, t: -y, x, X)
    s  integrate.solve_ivp         integrate.solve_ivp(lambda t, y: -x * y, (0, 1), [1.0]).y
    s  integrate.solve_ivp         integrate.solve_ivp(lambda t, y: -y, (0, 1), [x]).y
    s  integrate.quad              integrate.quad(lambda t: x * t, 0, 1)[0]
    s  integrate.quad              integrate.quad(lambda t: t, 0, x)[0]
    X  interpolate.interp1d        interpolate.interp1d(X, x)(0.5)
    X  interpolate.CubicSpline     interpolate.CubicSpline(X, x)(0.5)
    s  interpolate.CubicSpline     interpolate.CubicSpline(X, X)(x)
    s  optimize.brentq             optimize.brentq(lambda t: t - x, -1, 2)
    s  optimize.minimize           optimize.minimize(lambda t: (t[0] - x) ** 2, [0.0]).x
    X  fft.fft                     fft.fft(x)
    X  fft.dct                     fft.dct(x)
    X  sparse.csr_array            sparse.csr_array(x[None, :])
"""
ROWS = [line.split(None, 2) for line in CALLS.strip().splitlines()]
SCOPE = {**globals(), "scipy": scipy, "fft": fft}


def written(expression: str) -> Any:
    """Return a function with this body, whose source can be read."""
    name = f"<user {expression}>"
    code = f"def f(x):\n    return {expression}\n"
    linecache.cache[name] = len(code), None, code.splitlines(keepends=True), name
    scope = dict(SCOPE)
    exec(compile(code, name, "exec"), scope)
    return scope["f"]


@pytest.mark.parametrize(("argument", "name", "call"), ROWS, ids=lambda part: part)
def test_a_plain_call_names_the_twin(argument: str, name: str, call: str) -> None:
    with pytest.raises(ChainruleError) as caught:
        cr.vjp(written(call), {"A": A, "X": X, "s": 0.7}[argument])
    message = str(caught.value)
    assert f"scipy.{name}" in message
    home, _, leaf = f"scipy.{name}".rpartition(".")
    if (home, leaf) in places.load():
        assert "use its twin" in message
        assert "chainrule.scipy.install()" in message
    else:
        assert "and the twins in chainrule.scipy" in message


def test_how_the_twin_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    def message(call: str) -> str:
        with pytest.raises(ChainruleError) as caught:
            cr.vjp(written(call), X)
        return str(caught.value)

    SCOPE["lse"] = ORIGINAL[0]
    for call in ("special.logsumexp(x)", "lse(x)"):
        assert (
            "scipy.special.logsumexp does not see traced values; use its twin, special.logsumexp after "
            "`from chainrule.scipy import special`, or call chainrule.scipy.install() once."
        ) in message(call)
    monkeypatch.setattr(places, "MODULES", [*places.MODULES, "stats"])
    monkeypatch.setattr(places, "load", lambda only="": twins.TWINS)
    monkeypatch.setitem(sys.modules, "chainrule.scipy.stats", ModuleType("chainrule.scipy.stats"))
    monkeypatch.setitem(twins.TWINS, ("scipy.stats", "norm"), object())
    SCOPE["gauss"] = stats.norm
    assert "stats.norm.logpdf after `from chainrule.scipy import stats`" in message("stats.norm.logpdf(x)")
    assert "stats.norm.logpdf after `from chainrule.scipy import stats`" in message("gauss.logpdf(x)")
    assert "stats.norm after `from chainrule.scipy import stats`" in message("gauss(0, 1).logpdf(x)")
