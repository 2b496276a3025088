"""One cell of the table: run a function in one library and compare its derivative with differences.

The differences are central, of fourth order, of NumPy's and SciPy's own functions, so they depend on no library that
is compared. A cell is "yes", "-" where the question does not arise, or says what went wrong.
"""

from __future__ import annotations

import functools
import importlib
import signal
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from function_table.rows import ROWS, Row

COLUMNS = ("forward", "reverse", "second", "vmap", "jit", "complex")
YES, NONE = "yes", "-"
SECONDS = 60
"""After how many seconds a cell is given up."""

MODULES = {
    "special": "special", "linalg": "linalg", "fft": "fft", "stats": "stats", "signal": "signal",
    "integrate": "integrate", "interpolate": "interpolate", "optimize": "optimize", "ndimage": "ndimage",
    "sparse": "sparse", "spatial": "spatial",
}  # fmt: skip
"""What rows call the modules of SciPy."""

Function = Callable[..., list[Any]]


class Library:
    """How a library is asked for derivatives. Functions take arrays and return a list of arrays."""

    columns: tuple[str, ...] = COLUMNS

    def __init__(self) -> None:
        self.names = self.namespace()

    def namespace(self) -> dict[str, Any]:
        """Return what rows call `np`, `special`, ..."""
        raise NotImplementedError

    def text(self, row: Row) -> str | None:
        """Return the row's call in this library's words."""
        return row.text

    def array(self, x: Any) -> Any:
        """Return an argument as the library wants it."""
        return x

    def jvp(self, f: Function, xs: list[Any], dots: list[Any]) -> list[Any]:
        """Push tangents forward."""
        raise NotImplementedError

    def vjp(self, f: Function, xs: list[Any], bars: list[Any]) -> list[Any]:
        """Pull cotangents back."""
        raise NotImplementedError

    def vmap(self, f: Function) -> Function:
        """Return f for batches."""
        raise NotImplementedError

    def jit(self, f: Function) -> Function:
        """Return f compiled."""
        raise NotImplementedError

    def floats(self, result: Any) -> list[Any]:
        """Return the arrays of a result, whole numbers and truth values as real ones."""
        found: list[Any] = []
        stack = [result]
        while stack:
            part = stack.pop()
            if isinstance(part, dict):
                stack += list(part.values())[::-1]
            elif isinstance(part, list | tuple):
                stack += list(part)[::-1]
            elif isinstance(part, bool | int | np.bool_):
                found.append(np.float64(part))
            elif not isinstance(part, str | None | type):
                found.append(part if np.dtype(getattr(part, "dtype", float)).kind in "fc" else part * 1.0)
        return found

    def function(self, row: Row) -> Function:
        """Return the row's function of its arguments, with a list of arrays as its result."""
        text = self.text(row)
        if text is None:
            raise NotImplementedError("no such function")
        *statements, expression = text.split("; ")
        body = "".join(f"    {line}\n" for line in [*statements, f"return {expression}"])
        names = dict(self.names)
        exec(compile(f"def f({', '.join(row.args)}):\n{body}", f"<{row.key}>", "exec"), names)
        return lambda *xs: self.floats(names["f"](*xs))


def modules(home: str, fallback: str | None = None) -> dict[str, Any]:
    """Return the modules of a package by the names that rows have for them."""
    found: dict[str, Any] = {}
    for name, path in MODULES.items():
        found[name] = types.SimpleNamespace()
        for package in (home, fallback):
            try:
                found[name] = importlib.import_module(f"{package}.{path}")
            except ImportError:
                continue
            break
    return found


class Plain(Library):
    """NumPy and SciPy themselves."""

    def namespace(self) -> dict[str, Any]:
        importlib.import_module("scipy.sparse.linalg")
        return {"np": np, **modules("scipy")}


class Chainrule(Library):
    """This library. NumPy is NumPy; SciPy's functions are their twins, where there are any."""

    def namespace(self) -> dict[str, Any]:
        self.cr = importlib.import_module("chainrule")
        for name in ("numpy", "sparse.linalg"):
            try:
                importlib.import_module(f"chainrule.scipy.{name}")
            except ImportError:
                continue
        return {"np": np, **modules("chainrule.scipy", "scipy")}

    def jvp(self, f: Function, xs: list[Any], dots: list[Any]) -> list[Any]:
        return self.cr.jvp(f, tuple(xs), tuple(dots))[1]

    def vjp(self, f: Function, xs: list[Any], bars: list[Any]) -> list[Any]:
        return list(self.cr.vjp(f, *xs)[1](list(bars)))

    def vmap(self, f: Function) -> Function:
        return self.cr.vmap(f)

    def jit(self, f: Function) -> Function:
        return self.cr.jit(f)


class Jax(Library):
    """JAX in double precision, with jax.numpy for NumPy and jax.scipy for SciPy."""

    def namespace(self) -> dict[str, Any]:
        self.jax = importlib.import_module("jax")
        self.jax.config.update("jax_enable_x64", True)
        self.jax.config.update("jax_platforms", "cpu")
        return {"np": self.jax.numpy, "jax": self.jax, "lax": self.jax.lax, **modules("jax.scipy")}

    def text(self, row: Row) -> str | None:
        return row.jax

    def array(self, x: Any) -> Any:
        return self.jax.numpy.asarray(x)

    def jvp(self, f: Function, xs: list[Any], dots: list[Any]) -> list[Any]:
        return self.jax.jvp(f, tuple(xs), tuple(dots))[1]

    def vjp(self, f: Function, xs: list[Any], bars: list[Any]) -> list[Any]:
        return list(self.jax.vjp(f, *xs)[1](list(bars)))

    def vmap(self, f: Function) -> Function:
        return self.jax.vmap(f)

    def jit(self, f: Function) -> Function:
        return self.jax.jit(f)


class Autograd(Library):
    """HIPS autograd, with autograd.numpy for NumPy and autograd.scipy for SciPy."""

    columns = ("forward", "reverse", "second", "complex")

    def namespace(self) -> dict[str, Any]:
        self.autograd = importlib.import_module("autograd")
        return {"np": importlib.import_module("autograd.numpy"), **modules("autograd.scipy")}

    def text(self, row: Row) -> str | None:
        return row.autograd

    def _vector(self, f: Function, xs: list[Any]) -> Function:
        """Return f as a function of one vector with one vector as its result."""
        anp = self.names["np"]
        ends = np.cumsum([np.size(x) for x in xs])

        def vector(flat: Any) -> Any:
            parts = [anp.reshape(flat[end - np.size(x) : end], np.shape(x)) for x, end in zip(xs, ends, strict=True)]
            return anp.concatenate([anp.ravel(y) for y in f(*parts)])

        return vector

    def jvp(self, f: Function, xs: list[Any], dots: list[Any]) -> list[Any]:
        flat, dot = (np.concatenate([np.ravel(x) for x in part]) for part in (xs, dots))
        return [self.autograd.make_jvp(self._vector(f, xs))(flat)(dot)[1]]

    def vjp(self, f: Function, xs: list[Any], bars: list[Any]) -> list[Any]:
        anp = self.names["np"]
        flat, bar = anp.concatenate([anp.ravel(x) for x in xs]), np.concatenate([np.ravel(bar) for bar in bars])
        pull, y = self.autograd.make_vjp(self._vector(f, xs))(flat)
        return [pull(bar if np.iscomplexobj(y) else np.real(bar))]


LIBRARIES: dict[str, Callable[[], Library]] = {"chainrule": Chainrule, "jax": Jax, "autograd": Autograd}


@functools.cache
def library(name: str) -> Library:
    """Return a library by name."""
    return LIBRARIES[name]()


@functools.cache
def plain() -> Plain:
    """Return NumPy and SciPy."""
    return Plain()


def cell(name: str, row: Row, column: str) -> str:
    """Run one cell."""
    one = library(name)
    if column not in one.columns:
        return NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if column == "complex" and not _takes_complex(row):
            return NONE
        alarm = signal.signal(signal.SIGALRM, _give_up)
        signal.alarm(SECONDS)
        try:
            return _CHECKS[column](one, row) or YES
        except Exception as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())}"[:160]
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, alarm)


def run_row(name: str, key: str) -> dict[str, str]:
    """Run all the cells of a row in a library."""
    return {column: cell(name, ROWS[key], column) for column in library(name).columns}


def _give_up(*_: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def _takes_complex(row: Row) -> bool:
    """Whether NumPy's or SciPy's own function takes complex numbers and keeps their imaginary parts."""
    if row.complex is None:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            return bool(np.all([np.all(np.isfinite(y)) for y in plain().function(row)(*row.complex.values())]))
        except Exception:
            return False


# -- the checks ------------------------------------------------------------------------------------------


def _random(rng: np.random.Generator, x: Any) -> Any:
    d = rng.uniform(0.3, 1.0, np.shape(x)) * rng.choice([-1, 1], np.shape(x))
    if np.iscomplexobj(x):
        d = d + 1j * rng.uniform(-1, 1, np.shape(x))
    return d.astype(np.asarray(x).dtype)[()] if np.ndim(d) else np.asarray(x).dtype.type(d)


def _differences(f: Function, xs: list[Any], dots: list[Any], h: float) -> list[Any]:
    """Return the derivative along a direction, to fourth order in h."""
    rows = [f(*(x + k * h * d for x, d in zip(xs, dots, strict=True))) for k in (-2, -1, 1, 2)]
    return [(a - 8 * b + 8 * c - d) / (12 * h) for a, b, c, d in zip(*rows, strict=True)]


def _values(f: Function, args: dict[str, Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Return arguments, a direction and weights of the results."""
    rng = np.random.default_rng(0)
    xs = list(args.values())
    return xs, [_random(rng, x) for x in xs], [_random(rng, np.asarray(y)) for y in f(*xs)]


def _wrong(found: list[Any], expected: list[Any], tolerance: float, what: str) -> str | None:
    """Return what differs."""
    one = np.concatenate([np.ravel(np.asarray(x)) for x in found] or [np.empty(0)])
    two = np.concatenate([np.ravel(np.asarray(x)) for x in expected] or [np.empty(0)])
    if one.shape != two.shape:
        return f"wrong {what}: {one.size} numbers for {two.size}"
    size = max(1e-2, float(np.max(np.abs(two), initial=0.0)))
    bad = ~(np.abs(one - two) <= tolerance * (size + np.abs(two)))
    return f"wrong {what}: {one[bad][0]:.6g} for {two[bad][0]:.6g}" if bad.any() else None


def _paired(bars: list[Any], dots: list[Any]) -> float:
    return float(sum(np.real(np.sum(np.asarray(a) * np.asarray(b))) for a, b in zip(bars, dots, strict=True)))


def _forward(one: Library, row: Row, args: dict[str, Any] | None = None) -> str | None:
    own = plain().function(row)
    xs, dots, _ = _values(own, args or row.args)
    f = one.function(row)
    wrapped = [one.array(x) for x in xs]
    found = one.jvp(f, wrapped, [one.array(d) for d in dots])
    return _wrong(one.floats(f(*wrapped)), own(*xs), 1e-9, "value") or _wrong(
        found, _differences(own, xs, dots, row.step), row.tolerance, "derivative"
    )


def _reverse(one: Library, row: Row, args: dict[str, Any] | None = None) -> str | None:
    own = plain().function(row)
    xs, dots, bars = _values(own, args or row.args)
    slopes = _differences(own, xs, dots, row.step)
    f = one.function(row)
    found = [np.asarray(x) for x in one.vjp(f, [one.array(x) for x in xs], [one.array(b) for b in bars])]
    if len(found) < len(xs):
        dots = [np.concatenate([np.ravel(d) for d in dots])]
    expected = _paired(bars, slopes)
    if isinstance(one, Autograd):  # its cotangents of complex numbers are conjugates of the others'
        pairs = [_paired([b.conj() for b in bars], slopes), expected]
        seen = [_paired(found, dots), _paired([x.conj() for x in found], dots)]
        size = max(1e-2, *map(abs, pairs))
        close = any(abs(a - b) <= 4 * row.tolerance * size for a in seen for b in pairs)
        return None if close else f"wrong derivative: {seen[0]:.6g} for {pairs[0]:.6g}"
    return _wrong([_paired(found, dots)], [expected], 4 * row.tolerance, "derivative")


def _second(one: Library, row: Row) -> str | None:
    """Differentiate reverse mode by forward mode; where there is none, by reverse mode."""
    own = plain().function(row)
    xs, dots, bars = _values(own, row.args)
    f = one.function(row)

    def slope(*xs: Any) -> list[Any]:
        return one.vjp(f, list(xs), [one.array(b) for b in bars])

    def plainly(*xs: Any) -> list[Any]:
        return [np.asarray(x) for x in slope(*map(one.array, xs))]

    found = one.jvp(slope, [one.array(x) for x in xs], [one.array(d) for d in dots])
    return _wrong(found, _differences(plainly, xs, dots, row.step), 10 * row.tolerance, "second derivative")


def _stacked(xs: list[Any]) -> list[list[Any]]:
    return [[x * (1 + 0.01 * k) for x in xs] for k in range(3)]


def _pull(one: Library, f: Function, bars: list[Any]) -> Function:
    return lambda *xs: one.vjp(f, list(xs), [one.array(b) for b in bars])


def _vmap(one: Library, row: Row) -> str | None:
    xs, _, bars = _values(plain().function(row), row.args)
    f, cases = one.function(row), _stacked(xs)
    batch = [one.array(np.stack(each)) for each in zip(*cases, strict=True)]
    for g in (f, _pull(one, f, bars)):
        rows = [g(*(one.array(x) for x in case)) for case in cases]
        expected = [np.stack([np.asarray(y) for y in part]) for part in zip(*rows, strict=True)]
        wrong = _wrong(one.vmap(g)(*batch), expected, 1e-9, "value of a batch")
        if wrong:
            return wrong
    return None


def _jit(one: Library, row: Row) -> str | None:
    xs, _, bars = _values(plain().function(row), row.args)
    f, wrapped = one.function(row), [one.array(x) for x in xs]
    for g in (f, _pull(one, f, bars)):
        wrong = _wrong(one.jit(g)(*wrapped), g(*wrapped), 1e-9, "value when compiled")
        if wrong:
            return wrong
    return None


def _complex(one: Library, row: Row) -> str | None:
    assert row.complex is not None
    return _forward(one, row, row.complex) or _reverse(one, row, row.complex)


_CHECKS: dict[str, Callable[[Library, Row], str | None]] = {
    "forward": _forward, "reverse": _reverse, "second": _second, "vmap": _vmap, "jit": _jit, "complex": _complex,
}  # fmt: skip
