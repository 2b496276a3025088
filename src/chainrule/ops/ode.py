"""Initial value problems: y' = f(t, y, θ) as one node, whose derivatives are initial value problems again.

Pushed forward, it is the same problem for values and sensitivities together. Pulled back, it is the adjoint equation
a' = -(∂f/∂y)ᵀ a, solved from the last time to the first with the cotangent of each y(tᵢ) added at tᵢ, and
θ_bar = ∫ (∂f/∂θ)ᵀ a dt. Both are made of f's own edges, and solved by SciPy's methods to the tolerances of the problem.
The times carry no derivative here; see `chainrule.scipy.integrate` for theirs.

References:
    Hindmarsh et al., SUNDIALS, ACM Trans. Math. Softw. 31 (2005): forward sensitivities, and adjoints with pure
    quadratures; Chen et al., Neural ordinary differential equations, NeurIPS (2018).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy  # loads its parts when they are used

from chainrule import ir
from chainrule.edges import Traced
from chainrule.errors import NotDifferentiableError
from chainrule.ir import Op, Program
from chainrule.ops.control import (
    Batched,
    Control,
    Engine,
    Flags,
    Pushed,
    Results,
    Values,
    _batched,
    _control,
    _derived,
    _over_bars,
    _places,
    _pulled,
    _pushed,
)
from chainrule.ops.structural import concatenate, slice_
from chainrule.types import Spec

CHUNK = 64
"""Points of time at which a program is evaluated at once."""
SMALL = 48
"""Elements of y up to which the adjoint equation is solved by collocation, with a dense ∂f/∂y at each point."""
REFINEMENTS = 8
"""How often the mesh of the collocation is refined before that is given up."""
IMPLICIT = {"Radau", "BDF", "LSODA"}
"""Methods that use the Jacobian of f."""
_POINTS = {"RK23": 3, "DOP853": 7}
"""Gauss points in each step of the adjoint equation, by method; 4 for the others."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Method:
    """How problems are solved.

    Attributes:
        name: The function that asks, for messages.
        solver: SciPy's method: a name, or a class.
        rtol: Relative tolerance.
        atol: Absolute tolerance, a number or one for each element of the original y.
        size: Number of these elements.
        options: Other options of the solver.
        told: What SciPy told of the last solution.
        where: The user's line, for messages.
    """

    name: str
    solver: Any
    rtol: float
    atol: Any
    size: int
    options: dict[str, Any]
    told: dict[str, Any]
    where: str = ""

    def __repr__(self) -> str:
        return f"<{self.name} by {self.solver}>"

    @property
    def is_implicit(self) -> bool:
        """Whether the Jacobian is used."""
        return (self.solver if isinstance(self.solver, str) else self.solver.__name__) in IMPLICIT

    @property
    def kind(self) -> Any:
        """SciPy's class."""
        return getattr(scipy.integrate, self.solver) if isinstance(self.solver, str) else self.solver

    def atol_of(self, size: int) -> Any:
        """Return the absolute tolerance for a state of some copies of y."""
        return self.atol if np.ndim(self.atol) == 0 else np.tile(self.atol, size // self.size)


@dataclass(frozen=True, slots=True)
class Ode(Control):
    """The values at given times of the solution of y' = f(t, y, θ).

    Its arguments are the first and the last time, the times of the results, θ, and the parts of the initial y.

    Attributes:
        body: f, of t, the θ, and the parts of y, returning the parts of y'.
        consts: Number of θ.
        count: Number of times.
        method: How it is solved.
    """

    body: Program
    consts: int
    count: int
    method: Method

    @property
    def op(self) -> Op:
        return ode

    @property
    def arity(self) -> int:
        return 2 + len(self.body.inputs)

    @property
    def specs(self) -> tuple[Spec, ...]:
        return tuple(node.spec.with_shape((self.count, *node.shape)) for node in self.body.outputs)

    @property
    def keeps(self) -> bool:
        return True

    @property
    def bodies(self) -> tuple[Program, ...]:
        return (self.body,)

    def words(self) -> str:
        return "initial value problem"

    # -- the state as one vector -----------------------------------------------------------------------

    @property
    def sizes(self) -> list[int]:
        """Number of elements of each part of the state."""
        return [node.spec.size for node in self.body.outputs]

    @property
    def flat(self) -> Program:
        """F of t, the whole state as a vector, and the θ."""

        def make() -> tuple[Any, Any, Any]:
            builder, inputs = self.body.builder, self.body.inputs
            dtype = np.result_type(*(node.dtype for node in self.body.outputs))
            state = builder.input(Spec((sum(self.sizes),), dtype))
            parts, start = [], 0
            for node in inputs[1 + self.consts :]:
                piece = slice_(state, index=((start, start + node.spec.size, 1),)) if len(self.sizes) > 1 else state
                parts.append(piece.reshape(node.shape).astype(node.dtype))
                start += node.spec.size
            mapping = {**{node: node for node in inputs[: 1 + self.consts]},
                       **dict(zip(inputs[1 + self.consts :], parts, strict=True))}  # fmt: skip
            found = [node.reshape((node.spec.size,)).astype(dtype)
                     for node in ir.inline(self.body.outputs, mapping, builder)]  # fmt: skip
            whole = concatenate(*found, axis=0) if len(found) > 1 else found[0]
            return (inputs[0], state, *inputs[1 : 1 + self.consts]), [whole], None

        return _derived(self.body, ("flat", self.consts), make)[0]

    @property
    def jacobian(self) -> Program:
        """∂f/∂y of the whole state."""

        def make() -> tuple[Any, Any, Any]:
            (whole,), state = self.flat.outputs, self.flat.inputs[1]
            partials = Traced(state, whole, state.spec, whole.spec, "f").dense(self.body.builder)
            return self.flat.inputs, [partials], None

        return _derived(self.flat, "jacobian", make)[0]

    def split(self, values: Values) -> tuple[float, float, np.ndarray, list[Any], np.ndarray]:
        """Return first and last time, times, the θ, and the state as a vector."""
        first, last, times, *rest = values
        parts = [np.ravel(part) for part in rest[self.consts :]]
        state = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return float(first), float(last), np.asarray(times), list(rest[: self.consts]), state

    # -- forward ---------------------------------------------------------------------------------------

    def evaluate(self, values: Values, engine: Engine, keep: bool = True) -> Results:
        found, solution = self._solve(values, engine, keep)
        parts, start = [], 0
        for spec, size in zip(self.specs, self.sizes, strict=True):
            parts.append(np.ascontiguousarray(found[:, start : start + size]).reshape(spec.shape).astype(spec.dtype))
            start += size
        return Results.of(parts, [solution] if keep else None)

    def _solve(self, values: Values, engine: Engine, keep: bool) -> tuple[np.ndarray, Any]:
        first, last, times, consts, state = self.split(values)
        method = self.method
        options = dict(method.options)
        run = engine.prepared(self.flat)
        if method.is_implicit and "lband" not in options and "uband" not in options:
            slope = engine.prepared(self.jacobian)
            options["jac"] = lambda t, y: np.asarray(slope([t, y, *consts])[0])
        found = scipy.integrate.solve_ivp(
            lambda t, y: run([t, y, *consts])[0], (first, last), state, method=method.solver, t_eval=times,
            dense_output=keep, rtol=method.rtol, atol=method.atol_of(state.size), **options,
        )  # fmt: skip
        if not found.success:
            why = found.message.rstrip(".")
            raise NotDifferentiableError(f"{method.name}: {why}{method.where}; no solution reaches the last time")
        method.told.update({key: found[key] for key in ("nfev", "njev", "nlu", "message", "status")})
        return found.y.T, found.sol

    def _active(self, flags: Flags) -> Flags:
        """Return which inputs of the body depend on the flagged ones, in the course of time."""
        first = 1 + self.consts
        flags = tuple(flag and node.spec.is_inexact for node, flag in zip(self.body.inputs, flags, strict=True))
        while True:
            reached = set(ir.between(self.body.outputs, itertools.compress(self.body.inputs, flags)))
            parts = [flag or node in reached for flag, node in zip(flags[first:], self.body.outputs, strict=True)]
            grown = (*flags[:first], *parts)
            if grown == flags:
                return flags
            flags = grown

    def pushed(self, flags: Flags) -> Pushed:
        active = self._active((False, *flags[3:]))
        ins, outs = [1, self.consts, len(self.sizes)], [len(self.sizes)]
        program, has = _pushed(self.body, active, ins, outs, active[1 + self.consts :])
        control = replace(self, body=program, consts=self.consts + sum(active[1 : 1 + self.consts]))
        inputs, results = _places(active, has, ins, outs)
        moved = tuple((k + 2, is_dot) for k, is_dot in inputs[1:])
        return Pushed(control, ((0, False), (1, False), (2, False), *moved), results)

    # -- backward --------------------------------------------------------------------------------------

    def reached(self, given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
        found = []
        for k in wanted:
            if k >= 3:
                active = self._active(tuple(j == k - 2 for j in range(len(self.body.inputs))))[1 + self.consts :]
                if any(active[index] for index in given):
                    found.append(k)
        return tuple(found)

    def pull(
        self, results: Results | None, values: Values, bars: Values, given: tuple[int, ...], wanted: tuple[int, ...],
        batch: int | None, engine: Engine,
    ) -> tuple[Any, ...]:  # fmt: skip
        solution: Any = None if results is None or results.history is None else results.history[0]
        if solution is None:
            _, solution = self._solve(values, engine, True)
        first, _, times, consts, state = self.split(values)
        adjoint = _Adjoint(self, solution, consts, state, [k - 2 for k in wanted if k < 3 + self.consts], batch, engine)
        rows = batch or 1
        jumps = np.zeros((len(times), rows, state.size), state.dtype)
        ends = list(itertools.accumulate(self.sizes))
        for k, bar in zip(given, bars, strict=True):
            bar = np.asarray(bar).reshape((rows, len(times), self.sizes[k]))
            jumps[:, :, ends[k] - self.sizes[k] : ends[k]] = np.moveaxis(bar, 1, 0)
        if state.size > SMALL or not adjoint.collocate(first, times, jumps):
            adjoint.run(first, times, jumps)
        lead = () if batch is None else (batch,)
        sums = iter(adjoint.sums)
        found = []
        for k in wanted:
            spec = self.body.inputs[k - 2].spec
            if k < 3 + self.consts:
                part = next(sums)
            else:
                place = k - 3 - self.consts
                part = adjoint.a[:, ends[place] - self.sizes[place] : ends[place]]
            found.append(np.array(part, spec.dtype).reshape((*lead, *spec.shape))[()])
        return tuple(found)

    def batched(self, flags: Flags, size: int) -> Batched:
        if any(flags[:3]):  # each has its own times
            return Batched(
                Rows(self, flags, size), tuple(0 if flag else None for flag in flags), (0,) * len(self.sizes)
            )
        parts = len(self.sizes)
        every = (True,) * parts
        program, _ = _batched(self.body, (False, *flags[3 : 3 + self.consts], *every), size, every)
        axes = (None, None, None, *(0 if flag else None for flag in flags[3 : 3 + self.consts]), *(0,) * parts)
        return Batched(replace(self, body=program), axes, (1,) * parts)


@dataclass(frozen=True, slots=True)
class Rows(Control):
    """A control once for each row of the flagged arguments, one after the other."""

    one: Control
    flags: Flags
    size: int

    @property
    def op(self) -> Op:
        return self.one.op

    @property
    def arity(self) -> int:
        return self.one.arity

    @property
    def specs(self) -> tuple[Spec, ...]:
        return tuple(spec.with_shape((self.size, *spec.shape)) for spec in self.one.specs)

    @property
    def bodies(self) -> tuple[Program, ...]:
        return self.one.bodies

    def words(self) -> str:
        return f"{self.size} times {self.one.words()}"

    def _row(self, values: Values, k: int) -> list[Any]:
        return [value[k] if flag else value for value, flag in zip(values, self.flags, strict=True)]

    def evaluate(self, values: Values, engine: Engine, keep: bool = True) -> Results:
        found = [self.one.evaluate(self._row(values, k), engine, False) for k in range(self.size)]
        return Results(np.stack(column) for column in zip(*found, strict=True))

    def pushed(self, flags: Flags) -> Pushed:
        found = self.one.pushed(flags)
        own = tuple(self.flags[k] for k, _ in found.inputs)
        return Pushed(Rows(found.control, own, self.size), found.inputs, found.results)

    def reached(self, given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
        return self.one.reached(given, wanted)

    def pull(
        self, results: Results | None, values: Values, bars: Values, given: tuple[int, ...], wanted: tuple[int, ...],
        batch: int | None, engine: Engine,
    ) -> tuple[Any, ...]:  # fmt: skip
        axis = 0 if batch is None else 1
        found = [
            self.one.pull(
                None, self._row(values, k), [np.take(bar, k, axis) for bar in bars], given, wanted, batch, engine
            )
            for k in range(self.size)
        ]
        columns = zip(*found, strict=True)
        return tuple(
            np.stack(column, axis) if self.flags[place] else np.sum(column, axis=0)
            for place, column in zip(wanted, columns, strict=True)
        )

    def batched(self, flags: Flags, size: int) -> Batched:
        axes = tuple(0 if flag else None for flag in flags)
        return Batched(Rows(self, flags, size), axes, (0,) * len(self.one.specs))


class _Adjoint:
    """The solution of the adjoint equation, a row for each cotangent of a batch.

    Attributes:
        a: Its value at the first time, in the end.
        sums: For each wanted θ the integral of (∂f/∂θ)ᵀ a.
    """

    def __init__(
        self, problem: Ode, solution: Any, consts: list[Any], state: np.ndarray, wanted: list[int], batch: int | None,
        engine: Engine,
    ) -> None:  # fmt: skip
        self.problem, self.solution, self.consts, self.batch, self.engine = problem, solution, consts, batch, engine
        self.rows = batch or 1
        self.a = np.zeros((self.rows, state.size), state.dtype)
        flat = problem.flat
        self.wanted = [1 + k for k in wanted]  # in the inputs of `flat`
        self.lead = () if batch is None else (batch,)
        self.sums = self._zeros()
        self.points: list[tuple[float, float, np.ndarray]] = []
        self.integrand: Any = None
        if self.wanted:
            program = _over_bars(_pulled(flat, (0,), tuple(self.wanted))[0], len(flat.inputs), batch)
            flags = (True, True, *[False] * len(consts), True)
            self.integrand = engine.prepared(_batched(program, flags, CHUNK, (True,) * len(self.wanted))[0])

    def _zeros(self) -> list[np.ndarray]:
        inputs = self.problem.flat.inputs
        return [np.zeros((*self.lead, *inputs[k].shape), inputs[k].dtype) for k in self.wanted]

    def _add(self, times: np.ndarray, weights: np.ndarray, states: np.ndarray, bars: np.ndarray) -> None:
        """Add weight · (∂f/∂θ)ᵀ a of no more than a chunk of points to the sums."""
        count = CHUNK - len(times)
        if count:  # points without weight, up to a chunk
            times, states, bars = (np.concatenate([x, np.repeat(x[:1], count, 0)]) for x in (times, states, bars))
            weights = np.concatenate([weights, np.zeros(count)])
        bars = bars.reshape((CHUNK, *self.lead, self.a.shape[1]))
        found = self.integrand([times, states, *self.consts, bars])
        for total, part in zip(self.sums, found, strict=True):
            total += np.tensordot(weights, part, 1)

    # -- by collocation, all steps at once ---------------------------------------------------------------

    def collocate(self, first: float, times: np.ndarray, jumps: np.ndarray) -> bool:
        """Solve the equation, which is linear, on the mesh of the steps of y and the given times; False if that fails.

        Gauss's method with three points has order 6 and is stable for stiff equations. The mesh is halved until the
        result keeps to the tolerance.
        """
        inside = self.solution.ts[1:-1] if len(self.solution.ts) > 2 else ()
        turn = -1 if self.solution.ts[-1] < first else 1
        end = times[-1]
        mesh = np.unique(np.concatenate([[first], inside, times]))
        mesh = mesh[::turn]
        mesh = mesh[(mesh - first) * turn <= (end - first) * turn]
        places = np.searchsorted(mesh * turn, times * turn)
        at_mesh = np.zeros((len(mesh), *jumps.shape[1:]), jumps.dtype)
        np.add.at(at_mesh, places, jumps)
        method, scale = self.problem.method, float(np.max(np.abs(jumps), initial=0))
        if len(mesh) < 2 or not scale:
            self.a = np.sum(jumps, axis=0)
            return True
        before: list[np.ndarray] | None = None
        for _ in range(REFINEMENTS):
            self.sums = self._zeros()
            self._march(mesh, at_mesh)
            now = [self.a, *self.sums]
            if not all(np.isfinite(part).all() for part in now):
                break
            if before is not None and all(
                np.max(np.abs(old - new), initial=0)
                <= method.rtol * np.max(np.abs(new), initial=0) + np.min(method.atol) * scale
                for old, new in zip(before, now, strict=True)
            ):
                return True
            before = now
            finer = np.empty(2 * len(mesh) - 1)
            finer[::2], finer[1::2] = mesh, (mesh[1:] + mesh[:-1]) / 2
            wider = np.zeros((len(finer), *at_mesh.shape[1:]), at_mesh.dtype)
            wider[::2] = at_mesh
            mesh, at_mesh = finer, wider
        self.sums, self.a = self._zeros(), np.zeros_like(self.a)
        return False

    def _march(self, mesh: np.ndarray, jumps: np.ndarray) -> None:
        """Go through the intervals of a mesh from the last to the first."""
        n, stages = self.a.shape[1], len(_NODES)
        width = CHUNK // stages
        program = self.problem.jacobian
        flags = (True, True, *[False] * len(self.consts))
        partials = self.engine.prepared(_batched(program, flags, width * stages, (True,))[0])
        a = jumps[-1].T
        eye = np.eye(n)
        for stop in range(len(mesh) - 1, 0, -width):
            start = max(stop - width, 0)
            low, high = mesh[start:stop], mesh[start + 1 : stop + 1]
            h = low - high  # back in time
            times = high[:, None] + _NODES * h[:, None]
            count = len(h)
            padded = np.concatenate([times.ravel(), np.full((width - count) * stages, times.flat[0])])
            states = np.ascontiguousarray(self.solution(padded).T)
            slopes = np.asarray(partials([padded, states, *self.consts])[0])[: count * stages]
            slopes = -slopes.reshape((count, stages, n, n)).swapaxes(-1, -2)
            system = np.zeros((count, stages, n, stages, n), slopes.dtype)
            for i in range(stages):
                system[:, i, :, i, :] = eye
                for j in range(stages):
                    system[:, i, :, j, :] -= (h * _MATRIX[i, j])[:, None, None] * slopes[:, j]
            side = np.broadcast_to(np.tile(eye, (stages, 1)), (count, stages * n, n))
            inner = np.linalg.solve(system.reshape((count, stages * n, stages * n)), side)
            inner = inner.reshape((count, stages, n, n))
            across = eye + h[:, None, None] * np.einsum("j,kjab,kjbc->kac", _WEIGHTS, slopes, inner)
            ends = np.empty((count, n, self.rows), np.result_type(a, across))
            for k in reversed(range(count)):
                ends[k] = a
                a = across[k] @ a + jumps[start + k].T
            if self.wanted:
                bars = np.moveaxis(inner @ ends[:, None], -1, -2).reshape((count * stages, self.rows, n))
                weights = (-h[:, None] * _WEIGHTS).ravel()
                self._add(padded[: count * stages], weights, states[: count * stages], bars)
        self.a = np.ascontiguousarray(a.T)

    # -- by the method of the problem, segment by segment ------------------------------------------------

    def run(self, first: float, times: np.ndarray, jumps: np.ndarray) -> None:
        """Go from the last time to the first; at each time its cotangent is added."""
        flat = self.problem.flat
        back = self.engine.prepared(_over_bars(_pulled(flat, (0,), (1,))[0], len(flat.inputs), self.batch))
        shape = (*self.lead, self.a.shape[1])

        def slope(t: float, a: np.ndarray) -> np.ndarray:
            return -np.ravel(back([t, self.solution(t), *self.consts, a.reshape(shape)])[0])

        scale = float(np.max(np.abs(jumps), initial=0))
        now: float | None = None
        step: float | None = None
        for k in reversed([k for k, jump in enumerate(jumps) if jump.any()]):
            if now is not None and now != times[k]:
                step = self._segment(slope, now, float(times[k]), scale, step)
            self.a = self.a + jumps[k]
            now = float(times[k])
        if now is not None and now != first:
            self._segment(slope, now, first, scale, step)
        while self.points:
            self._flush()

    def _segment(
        self, slope: Callable[..., np.ndarray], start: float, end: float, scale: float, step: float | None
    ) -> float:
        """Go through a time without jumps, and return the longest step that was taken."""
        method = self.problem.method
        options: dict[str, Any] = {}
        if method.is_implicit:
            partials = self.engine.prepared(self.problem.jacobian)
            eye = np.eye(self.rows)
            options["jac"] = lambda t, a: np.kron(eye, -partials([t, self.solution(t), *self.consts])[0].T)
        if "max_step" in method.options:
            options["max_step"] = method.options["max_step"]
        if step is not None:
            options["first_step"] = min(step, abs(end - start))
        atol = np.min(method.atol) * scale
        solver = method.kind(slope, start, np.ravel(self.a), end, rtol=method.rtol, atol=atol, **options)
        places, weights = _gauss(_POINTS.get(type(solver).__name__, 4))
        longest = 0.0
        while solver.status == "running":
            message = solver.step()
            if solver.status == "failed":
                raise NotDifferentiableError(f"{method.name}: in the adjoint equation, {message}{method.where}")
            old, new = solver.t_old, solver.t
            longest = max(longest, abs(new - old))
            if self.wanted:
                times = old + (new - old) * places
                self.points += zip(times, weights * (old - new), solver.dense_output()(times).T, strict=True)
                while len(self.points) >= CHUNK:
                    self._flush()
        self.a = np.reshape(solver.y, self.a.shape)
        return longest

    def _flush(self) -> None:
        """Add the integrand at the first of the noted points to the sums."""
        some, self.points = self.points[:CHUNK], self.points[CHUNK:]
        times, weights, bars = (np.array(column) for column in zip(*some, strict=True))
        self._add(times, weights, np.ascontiguousarray(self.solution(times).T), bars)


@functools.cache
def _gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points and weights of Gauss's quadrature on [0, 1]."""
    places, weights = np.polynomial.legendre.leggauss(count)
    return (places + 1) / 2, weights / 2


_NODES, _WEIGHTS = _gauss(3)
_POWERS = np.arange(1, len(_NODES) + 1)
_MATRIX = (_NODES[:, None] ** _POWERS / _POWERS) @ np.linalg.inv(_NODES[:, None] ** (_POWERS - 1))
"""Gauss's method of collocation: what polynomials through the points have as integrals up to them."""

ode = _control("ode", "Values at given times of the solution of an initial value problem.")

__all__ = ["IMPLICIT", "Method", "Ode", "Rows", "ode"]
