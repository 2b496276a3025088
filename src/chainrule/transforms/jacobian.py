"""Whole Jacobians: every direction of a sweep at once, as one batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import numpy as np

from chainrule import ir
from chainrule.edges import Edge, pull, push, zeros
from chainrule.errors import GraphError
from chainrule.ir import Node, Program
from chainrule.transforms.eliminate import eliminate
from chainrule.types import Spec

MODES = ("auto", "forward", "reverse", "eliminate")


def jacobian(program: Program, mode: str = "auto", order: Iterable[Node] | str = "reverse") -> Program:
    """Return the program of all partials: for each output and each input an array of both shapes together.

    Of a real output with respect to a complex input x + iy it is ∂/∂x - i ∂/∂y, as `grad` has it, in every mode; a
    complex output counts as a holomorphic function of a complex input.

    Args:
        program: The function.
        mode: "forward" (a sweep per input element), "reverse" (a sweep per output element), "eliminate"
            (vertex elimination in the given order), or "auto": the one of the first two with fewer sweeps.
        order: Order of elimination.

    Raises:
        GraphError: unknown mode.
    """
    if mode not in MODES:
        raise GraphError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    if mode == "auto":
        mode = choose(program)
    if mode == "eliminate":
        rows = eliminate(program, order)
        found = [[None if edge is None else _dense(edge, program.builder) for edge in row] for row in rows]
    else:
        found = _forward(program) if mode == "forward" else _reverse(program)
    outputs = []
    for y, row in zip(program.outputs, found, strict=True):
        for x, partials in zip(program.inputs, row, strict=True):
            dtype = np.result_type(y.dtype if y.spec.is_inexact else x.dtype, x.dtype)
            spec = Spec((*y.shape, *x.shape), dtype)
            if partials is None:
                outputs.append(zeros(program.builder, spec))
            else:
                outputs.append(partials.astype(dtype).broadcast_to(spec.shape))
    return Program(program.inputs, tuple(outputs), program.builder)


def choose(program: Program) -> str:
    """Return the mode with fewer sweeps: forward has one per input element, reverse one per output element."""
    columns = sum(node.spec.size for node in program.inputs)
    rows = sum(node.spec.size for node in program.outputs)
    return "forward" if columns <= rows else "reverse"


def _forward(program: Program) -> list[list[Node | None]]:
    columns = []
    for x in program.inputs:
        dots = _sweep(x, functools.partial(_push, x, program))
        if x.spec.is_complex and any(not y.spec.is_complex for y in program.outputs):
            turned = _sweep(x, functools.partial(_push, x, program), 1j)
            dots = [
                dot if dot is None or by_imag is None or y.spec.is_complex else dot - 1j * by_imag
                for dot, by_imag, y in zip(dots, turned, program.outputs, strict=True)
            ]
        columns.append([_columns_last(dot, y, x) for dot, y in zip(dots, program.outputs, strict=True)])
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in program.outputs]


def _push(x: Node, program: Program, dot: Node) -> list[Node | None]:
    return push({x: dot}, program.outputs)


def _reverse(program: Program) -> list[list[Node | None]]:
    rows: list[list[Node | None]] = []
    for y in program.outputs:
        if not y.spec.is_inexact:
            rows.append([None] * len(program.inputs))
            continue
        bars = _sweep(y, functools.partial(_pull, y, program))
        if y.spec.is_complex and any(not x.spec.is_complex for x in program.inputs):
            turned = _sweep(y, functools.partial(_pull, y, program), -1j)
            bars = [
                bar if bar is None or of_imag is None or x.spec.is_complex else bar + 1j * of_imag
                for bar, of_imag, x in zip(bars, turned, program.inputs, strict=True)
            ]
        pairs = zip(bars, program.inputs, strict=True)
        rows.append([None if bar is None else bar.reshape((*y.shape, *x.shape)) for bar, x in pairs])
    return rows


def _pull(y: Node, program: Program, bar: Node) -> list[Node | None]:
    return pull({y: bar}, program.inputs)


def _dense(edge: Edge, builder: ir.Builder) -> Node:
    if not edge.source.is_complex or edge.target.is_complex:
        return edge.dense(builder)
    count = edge.source.ndim
    rows = edge.transpose().dense(builder)
    return rows.permute([*range(count, rows.ndim), *range(count)])


def _sweep(end: Node, run: Callable[[Node], list[Node | None]], unit: complex = 1) -> list[Node | None]:
    """Run a sweep from the unit vectors of a node, times a number; a scalar needs no batch."""
    builder = end.builder
    one = builder.constant(end.dtype.type(unit))
    if not end.shape:
        return run(one)
    size = end.spec.size
    single = builder.input(end.spec)
    found = run(single)
    basis = builder.constant((np.eye(size, dtype=end.dtype) * end.dtype.type(unit)).reshape(size, *end.shape))
    some = [node for node in found if node is not None]
    batched = iter(ir.batch(some, {single: basis}))
    return [None if node is None else next(batched) for node in found]


def _columns_last(dot: Node | None, y: Node, x: Node) -> Node | None:
    if dot is None or not x.shape:
        return dot
    return dot.permute((*range(1, dot.ndim), 0)).reshape((*y.shape, *x.shape))
