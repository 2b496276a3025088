"""Functions of square matrices and linear matrix equations: expm, logm, sqrtm, Sylvester, Stein, Riccati.

The derivative of an analytic function f of matrices in a direction e is the block above the diagonal of f of the
matrix [[a, e], [0, a]]; that of this derivative likewise, so there are derivatives of every order. Source: N. J.
Higham, Functions of Matrices (2008), theorem 3.6.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from chainrule.edges import Map, Traced, traced
from chainrule.ir import REGISTRY, Node
from chainrule.ops.family import helper, opaque
from chainrule.ops.linalg import for_lapack, inexact, over_leading
from chainrule.types import Spec, broadcast_shapes


def _with_zeros_below(upper: Node, corner: Node) -> Node:
    """Return the matrices [[upper, corner], [0, upper]]."""
    n = upper.shape[-1]
    lead = broadcast_shapes(upper.shape[:-2], corner.shape[:-2])
    dtype = np.result_type(upper.dtype, corner.dtype)
    shape = (*lead, 2 * n, 2 * n)
    whole = tuple((0, size, 1) for size in lead)

    def placed(x: Node, i: int, j: int) -> Node:
        x = x.astype(dtype).broadcast_to((*lead, n, n))
        return REGISTRY["embed"](x, shape=shape, index=(*whole, (i * n, (i + 1) * n, 1), (j * n, (j + 1) * n, 1)))

    return placed(upper, 0, 0) + placed(upper, 1, 1) + placed(corner, 0, 1)


def _corner(x: Node) -> Node:
    """Return the block above the diagonal of matrices of two by two blocks."""
    n = x.shape[-1] // 2
    return REGISTRY["slice"](x, index=(*((0, size, 1) for size in x.shape[:-2]), (0, n, 1), (n, 2 * n, 1)))


# -- analytic functions ----------------------------------------------------------------------------------


def _expm(a: Any) -> Any:
    (a,) = for_lapack(a)
    return scipy.linalg.expm(a) if a.size else a


def _logm(a: Any) -> Any:
    (a,) = for_lapack(a)
    dtype = np.result_type(a.dtype, np.complex64)
    if not a.shape[-1]:
        return a.astype(dtype)
    wide = np.result_type(a.dtype, float)  # in single precision its own tests of accuracy fail
    return over_leading(lambda x: np.asarray(scipy.linalg.logm(x.astype(wide))).astype(dtype), a)


def _sqrtm(a: Any) -> Any:
    (a,) = for_lapack(a)
    dtype = np.result_type(a.dtype, np.complex64)
    if not a.shape[-1]:
        return a.astype(dtype)
    return over_leading(lambda x: np.asarray(scipy.linalg.sqrtm(x)).astype(dtype), a)


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"expm": _expm, "logm": _logm}


def _frechet(a: Any, e: Any, function: str) -> Any:
    """Return the derivative of a function of matrices at a in direction e."""
    a, e = np.broadcast_arrays(*for_lapack(a, e))
    if not a.size:
        return _FUNCTIONS[function](a)
    if function == "expm" and a.ndim == 2:
        return scipy.linalg.expm_frechet(a, e, compute_expm=False, check_finite=False).astype(a.dtype, copy=False)
    n = a.shape[-1]
    block = np.zeros((*a.shape[:-2], 2 * n, 2 * n), a.dtype)
    block[..., :n, :n] = block[..., n:, n:] = a
    block[..., :n, n:] = e
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # SciPy's about the accuracy of logm, said of the function itself
        return _FUNCTIONS[function](block)[..., :n, n:]


helper("""
    def frechet(function, a, e):
        import warnings
        kind = np.float32 if function == "expm" else np.complex64
        a, e = np.broadcast_arrays(a, e)
        n, dtype = a.shape[-1], np.result_type(a, e, kind)
        if not a.size:
            return np.zeros(a.shape, dtype)
        found = []
        for x, y in zip(a.reshape(-1, n, n), e.reshape(-1, n, n)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                block = np.block([[x, y], [0 * x, x]])
                found.append(getattr(scipy.linalg, function)(block.astype(np.result_type(x, float))))
        return np.array(found)[:, :n, n:].reshape(a.shape).astype(dtype)
""")


def _infer_frechet(a: Spec, e: Spec, function: str) -> Spec:
    dtype = np.result_type(inexact(a.dtype), inexact(e.dtype))
    dtype = dtype if function == "expm" else np.result_type(dtype, np.complex64)
    return Spec((*broadcast_shapes(a.shape[:-2], e.shape[:-2]), *a.shape[-2:]), dtype)


def _frechet_wrt_matrix(y: Node, a: Node, e: Node, function: str) -> Traced:
    def program(x: Node) -> Node:
        nothing = REGISTRY["multiply"](x, 0)
        twice = frechet(_with_zeros_below(a, e), _with_zeros_below(x, nothing), function=function)
        return _corner(twice).sum_to(y.shape)

    return traced(program, a.spec, y, f"second derivative of {function}")


def _derivative(function: str, a: Node, source: Spec, y: Node) -> Map:
    return Map(
        lambda x: frechet(a, x, function=function).sum_to(y.shape),
        lambda y_bar: frechet(a.mT, y_bar, function=function).sum_to(source.shape),
        source,
        y.spec,
        f"derivative of {function}",
        y,
    )


def _squares(rng: np.random.Generator) -> list[Any]:
    return [
        ((rng.normal(size=(*lead, n, n)) + 3 * np.eye(n),), {})
        for lead, n in [((), 3), ((), 1), ((2,), 2), ((0,), 2), ((), 0)]
    ]


frechet = opaque(
    "frechet",
    _frechet,
    doc="The derivative of a function of matrices in a direction.",
    infer=_infer_frechet,
    partials=[_frechet_wrt_matrix, lambda y, a, e, function: _derivative(function, a, e.spec, y)],
    core=(2, 2),
    source=lambda a, e, function: f"frechet({function!r}, {a}, {e})",
    samples=lambda rng: [
        ((0.3 * values[0] if f == "expm" else values[0], rng.normal(size=values[0].shape)), {"function": f})
        for f in _FUNCTIONS
        for values, _ in _squares(rng)
    ],
)

expm = opaque(
    "expm",
    _expm,
    doc="Exponential of a matrix.",
    infer=lambda a: a.with_dtype(inexact(a.dtype)),
    partials=[lambda y, a: _derivative("expm", a, a.spec, y)],
    core=(2,),
    source="scipy.linalg.expm",
    samples=lambda rng: [((0.3 * values[0],), {}) for values, _ in _squares(rng)],
)


def _complex_spec(a: Spec) -> Spec:
    return a.with_dtype(np.result_type(inexact(a.dtype), np.complex64))


helper("""
    def logm(a):
        dtype = np.result_type(a, np.complex64)
        if not a.size:
            return a.astype(dtype)
        wide = a.astype(np.result_type(a, float)).reshape(-1, *a.shape[-2:])
        return np.reshape([scipy.linalg.logm(x) for x in wide], a.shape).astype(dtype)
""")

logm = opaque(
    "logm",
    _logm,
    doc="Principal logarithm of a matrix, as complex numbers.",
    infer=_complex_spec,
    partials=[lambda y, a: _derivative("logm", a, a.spec, y)],
    core=(2,),
    source="logm",
    samples=_squares,
)


def _sqrtm_edge(y: Node, a: Node) -> Map:
    """The solution of y y_dot + y_dot y = A_dot."""
    return Map(
        lambda x: sylvester(y, y, x.astype(y.dtype)),
        lambda y_bar: sylvester(y.mT, y.mT, y_bar),
        a.spec,
        y.spec,
        "solution of y · + · y",
        y,
    )


helper("""
    def sqrtm(a):
        dtype = np.result_type(a, np.complex64)
        if not a.size:
            return a.astype(dtype)
        wide = a.astype(np.result_type(a, float)).reshape(-1, *a.shape[-2:])
        return np.reshape([scipy.linalg.sqrtm(x) for x in wide], a.shape).astype(dtype)
""")

sqrtm = opaque(
    "sqrtm",
    _sqrtm,
    doc="Principal square root of a matrix, as complex numbers.",
    infer=_complex_spec,
    partials=[_sqrtm_edge],
    core=(2,),
    source="sqrtm",
    samples=_squares,
)

# -- linear equations ------------------------------------------------------------------------------------


def _sylvester(a: Any, b: Any, q: Any) -> Any:
    a, b, q = for_lapack(a, b, q)  # SciPy goes wrong with a mixture of real and complex ones
    if not np.size(q):
        return np.zeros(_infer_equation(Spec.of(a), Spec.of(b), Spec.of(q)).shape, q.dtype)
    return over_leading(lambda *each: scipy.linalg.solve_sylvester(*each).astype(q.dtype, copy=False), a, b, q)


def _infer_equation(a: Spec, b: Spec, q: Spec) -> Spec:
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2], q.shape[:-2])
    return Spec((*lead, a.shape[-1], b.shape[-1]), np.result_type(*(inexact(x.dtype) for x in (a, b, q))))


def _of_right_side(op: Any, y: Node, a: Node, b: Node, q: Node) -> Map:
    return Map(
        lambda x: op(a, b, x),
        lambda y_bar: op(a.mT, b.mT, y_bar).sum_to(q.shape),
        q.spec,
        y.spec,
        f"{op.name} of ·",
        y,
    )


def _of_factor(op: Any, y: Node, a: Node, b: Node, factor: Node, side: Callable[[Node], Node]) -> Traced:
    """Return the edge from a coefficient: the equation again, with another right side."""
    return traced(lambda x: op(a, b, side(x)).sum_to(y.shape), factor.spec, y, f"change of {op.name}")


def _equation_samples(rng: np.random.Generator) -> list[Any]:
    cases: list[Any] = []
    for lead, m, n, size in [((), 3, 2, 2), ((), 1, 1, 2), ((2,), 2, 2, 3)]:
        a, b = 0.3 * rng.normal(size=(*lead, m, m)) + size * np.eye(m), 0.3 * rng.normal(size=(*lead, n, n))
        cases.append(((a, b, rng.normal(size=(*lead, m, n))), {}))
    return cases


sylvester = opaque(
    "sylvester",
    _sylvester,
    doc="The x of a @ x + x @ b = q.",
    infer=_infer_equation,
    partials=[
        lambda y, a, b, q: _of_factor(sylvester, y, a, b, a, lambda x: -(x @ y)),
        lambda y, a, b, q: _of_factor(sylvester, y, a, b, b, lambda x: -(y @ x)),
        lambda y, a, b, q: _of_right_side(sylvester, y, a, b, q),
    ],
    core=(2, 2, 2),
    source="scipy.linalg.solve_sylvester",
    samples=_equation_samples,
)


def _stein(a: Any, b: Any, q: Any) -> Any:
    """Solve x - a x b = q by the Schur forms of a and b, one column after the other (Golub, Nash, Van Loan)."""
    a, b, q = for_lapack(a, b, q)

    def one(a: Any, b: Any, q: Any) -> Any:
        s, u = scipy.linalg.schur(a, output="complex")
        t, v = scipy.linalg.schur(b, output="complex")
        right = u.conj().T @ q @ v
        x = np.zeros_like(right)
        eye = np.eye(len(s))
        for k in range(len(t)):  # column k: (1 - t[k, k] s) x[:, k] = right[:, k] + s Σ_j<k x[:, j] t[j, k]
            side = right[:, k] + s @ (x[:, :k] @ t[:k, k])
            x[:, k] = scipy.linalg.solve_triangular(eye - t[k, k] * s, side)
        x = u @ x @ v.conj().T
        return (x if q.dtype.kind == "c" else x.real).astype(q.dtype)

    if not np.size(q):
        return np.zeros(_infer_equation(Spec.of(a), Spec.of(b), Spec.of(q)).shape, q.dtype)
    return over_leading(one, a, b, q)


helper("""
    def stein(a, b, q):
        m, n = q.shape[-2:]
        whole = np.eye(m * n) - np.einsum("...ij,...kl->...iljk", a, b).reshape(*q.shape[:-2], m * n, m * n)
        return np.linalg.solve(whole.astype(q.dtype), q.reshape(*q.shape[:-2], m * n, 1)).reshape(q.shape)
""")

stein = opaque(
    "stein",
    _stein,
    doc="The x of x - a @ x @ b = q.",
    infer=_infer_equation,
    partials=[
        lambda y, a, b, q: _of_factor(stein, y, a, b, a, lambda x: x @ (y @ b)),
        lambda y, a, b, q: _of_factor(stein, y, a, b, b, lambda x: a @ y @ x),
        lambda y, a, b, q: _of_right_side(stein, y, a, b, q),
    ],
    core=(2, 2, 2),
    source=lambda a, b, q: f"stein({a}, {b}, {q})",
    samples=lambda rng: [((0.3 * a, 0.5 * b, q), {}) for (a, b, q), _ in _equation_samples(rng)],
)

# -- Riccati's equations -----------------------------------------------------------------------------------


def _ordered(x: Any, y: Any) -> Any:
    """Return what a basis of an invariant subspace, in two halves, stands for: its Hermitian quotient."""
    found = scipy.linalg.solve(x.conj().T, y.conj().T).conj().T
    return 0.5 * (found + found.conj().T)


def _riccati(a: Any, g: Any, q: Any) -> Any:
    """Solve aᴴ x + x a - x g x + q = 0 by the stable subspace of the Hamiltonian matrix (Laub)."""

    def one(a: Any, g: Any, q: Any) -> Any:
        n, g, q = len(a), 0.5 * (g + g.conj().T), 0.5 * (q + q.conj().T)
        whole = np.block([[a, -g], [-q, -a.conj().T]])
        _, z, count = scipy.linalg.schur(whole, output="complex" if whole.dtype.kind == "c" else "real", sort="lhp")
        if count != n:
            raise np.linalg.LinAlgError("no stabilizing solution: eigenvalues on the imaginary axis")
        return _ordered(z[:n, :n], z[n:, :n]).astype(a.dtype)

    a, g, q = for_lapack(a, g, q)
    return over_leading(one, a, g, q) if q.size else np.zeros(_infer_riccati(*map(Spec.of, (a, g, q))).shape, q.dtype)


def _infer_riccati(a: Spec, g: Spec, q: Spec) -> Spec:
    lead = broadcast_shapes(*(x.shape[:-2] for x in (a, g, q)))
    return Spec((*lead, *a.shape[-2:]), np.result_type(*(inexact(x.dtype) for x in (a, g, q))))


def _turn(x: Node) -> Node:
    return x.mT.conj()


def _riccati_wrt(k: int) -> Callable[..., Traced]:
    """The solution of cᴴ x_dot + x_dot c = -(change of the equation), with c = a - g x."""

    def partial(y: Node, a: Node, g: Node, q: Node) -> Traced:
        closed = a - 0.5 * (g + _turn(g)) @ y

        def program(x: Node) -> Node:
            change = (_turn(x) @ y + y @ x, -(y @ x @ y), x)[k]
            change = 0.5 * (change + _turn(change))
            return -sylvester(_turn(closed), closed, change).sum_to(y.shape)

        return traced(program, (a, g, q)[k].spec, y, "change of Riccati's equation")

    return partial


def _definite_samples(rng: np.random.Generator, size: float) -> list[Any]:
    cases: list[Any] = []
    for lead, n in [((), 2), ((), 1), ((2,), 2)]:
        a, g, q = (rng.normal(size=(*lead, n, n)) for _ in range(3))
        cases.append(((size * a, g @ g.swapaxes(-1, -2) + np.eye(n), q @ q.swapaxes(-1, -2) + np.eye(n)), {}))
    return cases


helper("""
    def riccati(a, g, q):
        def one(a, g, q):
            g, q = (0.5 * (x + x.conj().T) for x in (g, q))
            whole = np.block([[a, -g], [-q, -a.conj().T]])
            z = scipy.linalg.schur(whole, "complex" if np.iscomplexobj(whole) else "real", sort="lhp")[1]
            found = z[len(a):, : len(a)] @ np.linalg.inv(z[: len(a), : len(a)])
            return 0.5 * (found + found.conj().T)
        return np.vectorize(one, signature="(n,n),(n,n),(n,n)->(n,n)")(a, g, q).astype(np.result_type(a, g, q))
""")

riccati = opaque(
    "riccati",
    _riccati,
    doc="The stabilizing Hermitian x of aᴴ x + x a - x g x + q = 0, for the Hermitian parts of g and q.",
    infer=_infer_riccati,
    partials=[_riccati_wrt(0), _riccati_wrt(1), _riccati_wrt(2)],
    core=(2, 2, 2),
    source="riccati",
    samples=lambda rng: _definite_samples(rng, 1.0),
)


def _discrete_riccati(a: Any, g: Any, q: Any) -> Any:
    """Solve aᴴ x (1 + g x)⁻¹ a - x + q = 0 by the stable subspace of the symplectic pencil."""

    def one(a: Any, g: Any, q: Any) -> Any:
        n, g, q = len(a), 0.5 * (g + g.conj().T), 0.5 * (q + q.conj().T)
        eye, nothing = np.eye(n, dtype=a.dtype), np.zeros_like(a)
        left, right = np.block([[a, nothing], [-q, eye]]), np.block([[eye, g], [nothing, a.conj().T]])
        kind = "complex" if left.dtype.kind == "c" else "real"
        *_, alpha, beta, _, z = scipy.linalg.ordqz(left, right, sort="iuc", output=kind)
        if np.count_nonzero(np.abs(alpha) < np.abs(beta)) != n:
            raise np.linalg.LinAlgError("no stabilizing solution: eigenvalues on the unit circle")
        return _ordered(z[:n, :n], z[n:, :n]).astype(a.dtype)

    a, g, q = for_lapack(a, g, q)
    return over_leading(one, a, g, q) if q.size else np.zeros(_infer_riccati(*map(Spec.of, (a, g, q))).shape, q.dtype)


def _discrete_riccati_wrt(k: int) -> Callable[..., Traced]:
    """The solution of x_dot - cᴴ x_dot c = the change of the equation, with c = (1 + g x)⁻¹ a."""

    def partial(y: Node, a: Node, g: Node, q: Node) -> Traced:
        eye = y.builder.constant(np.eye(a.shape[-1], dtype=y.dtype))
        closed = REGISTRY["solve"](eye + 0.5 * (g + _turn(g)) @ y, a)

        def program(x: Node) -> Node:
            if k == 0:
                half = _turn(x) @ y @ closed
                change = half + _turn(half)
            else:
                change = x if k == 2 else -(_turn(closed) @ y @ x @ y @ closed)
                change = 0.5 * (change + _turn(change))
            return stein(_turn(closed), closed, change).sum_to(y.shape)

        return traced(program, (a, g, q)[k].spec, y, "change of Riccati's equation")

    return partial


helper("""
    def discrete_riccati(a, g, q):
        def one(a, g, q):
            g, q = (0.5 * (x + x.conj().T) for x in (g, q))
            n, eye = len(a), np.eye(len(a))
            left, right = np.block([[a, 0 * a], [-q, eye]]), np.block([[eye, g], [0 * a, a.conj().T]])
            kind = "complex" if np.iscomplexobj(left) else "real"
            z = scipy.linalg.ordqz(left, right, sort="iuc", output=kind)[-1]
            found = z[n:, :n] @ np.linalg.inv(z[:n, :n])
            return 0.5 * (found + found.conj().T)
        return np.vectorize(one, signature="(n,n),(n,n),(n,n)->(n,n)")(a, g, q).astype(np.result_type(a, g, q))
""")

discrete_riccati = opaque(
    "discrete_riccati",
    _discrete_riccati,
    doc="The stabilizing Hermitian x of aᴴ x (1 + g x)⁻¹ a - x + q = 0, for the Hermitian parts of g and q.",
    infer=_infer_riccati,
    partials=[_discrete_riccati_wrt(0), _discrete_riccati_wrt(1), _discrete_riccati_wrt(2)],
    core=(2, 2, 2),
    source="discrete_riccati",
    samples=lambda rng: _definite_samples(rng, 0.5),
)
