"""Batches: one more axis in front of some inputs, and of everything that depends on them."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import ir
from chainrule.ir import Node, Program


def batch(program: Program, size: int, batched: Sequence[bool], extra: Sequence[Node] = ()) -> Program:
    """Return the program for `size` examples at once.

    Args:
        program: The function of one example.
        size: Number of examples.
        batched: Which inputs have an example each; the others are common to all.
        extra: More nodes whose values are wanted for every example.

    Returns:
        The program with one more axis in front of the batched inputs and of all outputs, the extra ones behind.
    """
    builder = program.builder
    mapping = {
        node: builder.input(node.spec.with_shape((size, *node.shape)), origin=node.origin)
        for node, flag in zip(program.inputs, batched, strict=True)
        if flag
    }
    targets = [*program.outputs, *extra]
    found = ir.batch(targets, mapping)
    outputs = [
        node.broadcast_to((size, *node.shape)) if many is None else many
        for node, many in zip(targets, found, strict=True)
    ]
    return Program(tuple(mapping.get(node, node) for node in program.inputs), tuple(outputs), builder)
