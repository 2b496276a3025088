"""Reverse mode (backpropagation): pull cotangents of the outputs back along the transposed edges."""

from __future__ import annotations

from chainrule.edges import pull, zeros
from chainrule.ir import Node, Program


def reverse(program: Program) -> Program:
    """Return the program of the cotangents: inputs and cotangents of outputs in, cotangents of inputs out.

    For y = f(x) it computes x_bar = (dy/dx)ᵀ y_bar without forming the Jacobian. Inputs of the result are
    those of `program`, then one cotangent for each output, of the output's Spec.
    """
    builder = program.builder
    bars = [builder.input(node.spec, name=f"{node.name}_bar") for node in program.outputs]
    seeds: dict[Node, Node] = {}
    for node, bar in zip(program.outputs, bars, strict=True):
        if node.spec.is_inexact:
            seeds[node] = seeds[node] + bar if node in seeds else bar
    found = pull(seeds, program.inputs)
    outputs = [
        zeros(builder, node.spec) if bar is None else bar for node, bar in zip(program.inputs, found, strict=True)
    ]
    return Program((*program.inputs, *bars), tuple(outputs), builder)
