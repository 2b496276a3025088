"""Forward mode: push tangents of the inputs along the edges to the outputs."""

from __future__ import annotations

from chainrule.edges import push, zeros
from chainrule.ir import Program


def forward(program: Program) -> Program:
    """Return the program of the tangents: inputs and tangents of inputs in, tangents of outputs out.

    For y = f(x) it computes y_dot = (dy/dx) x_dot. Inputs of the result are those of `program`, then one
    tangent each, of the same Spec.
    """
    builder = program.builder
    dots = [builder.input(node.spec, name=f"{node.name}_dot") for node in program.inputs]
    found = push(dict(zip(program.inputs, dots, strict=True)), program.outputs)
    outputs = [
        zeros(builder, node.spec) if dot is None else dot for node, dot in zip(program.outputs, found, strict=True)
    ]
    return Program((*program.inputs, *dots), tuple(outputs), builder)
