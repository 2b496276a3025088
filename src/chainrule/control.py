"""Loops and branches that stay one node of the graph: cond, while_loop, fori_loop, scan, checkpoint.

Plain Python loops and branches work too; a loop is then unrolled, one node per operation and step.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import ir, tree
from chainrule.errors import ChainruleError, DtypeError, ShapeError
from chainrule.namespaces import wrap
from chainrule.ops.control import Call, Cond, Scan, While
from chainrule.tracing.array import TracedArray, TracedNumber, finish
from chainrule.tracing.bodies import Body, apply, close, is_python
from chainrule.tracing.origin import at
from chainrule.types import Spec

Function = Callable[..., Any]


def cond(pred: Any, true_fun: Function, false_fun: Function, *operands: Any) -> Any:
    """Return ``true_fun(*operands)`` if pred holds, else ``false_fun(*operands)``; only the one chosen is computed.

    Both must return the same structure, shapes and dtypes. They are traced without values and may use what is around
    them. Where pred is no traced value, the function chosen is just called. In a batch of predicates (by `vmap`,
    say) both are computed, and each element is taken from one of them.

    Args:
        pred: A number, taken as true or false.
        true_fun: Function of the operands.
        false_fun: Likewise.
        *operands: Arrays or structures of arrays.

    Raises:
        ShapeError: the functions return different structures or shapes, or pred is no single number.
        DtypeError: they return different dtypes.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> cr.grad(lambda x: cr.cond(x > 0, np.sqrt, lambda x: -x, x))(4.0)
        np.float64(0.25)
    """
    if not isinstance(pred, TracedArray):
        return (true_fun if pred else false_fun)(*operands)
    if pred.shape:
        raise ShapeError(f"cond: pred must be a single number, got shape {pred.shape}{at()}; use np.where")
    if pred.dtype.kind != "b":
        pred = np.not_equal(pred, 0)
    leaves = _leaves(operands, "cond: operand")
    specs = [leaf.spec for leaf in leaves]
    branches = [
        Body("cond", specs, [leaf.is_number for leaf in leaves], [f"x{k}" for k in range(len(leaves))])
        for _ in range(2)
    ]
    _, structure = tree.flatten(operands)
    found = [
        branch.run(lambda handles, f=f: f(*tree.unflatten(structure, handles)))  # type: ignore[misc]
        for branch, f in zip(branches, (true_fun, false_fun), strict=True)
    ]
    (ours, result), (theirs, other) = found
    if result != other:
        raise ShapeError(f"cond: true_fun and false_fun must return the same structure, got {result} and {other}{at()}")
    paths = tree.leaf_paths(tree.unflatten(result, ours))
    for path, one, two in zip(paths, ours, theirs, strict=True):
        kinds = [[] if is_python(leaf) else [_dtype(leaf)] for leaf in (two, one)]
        nodes = [branch.output(leaf, kind) for branch, leaf, kind in zip(branches, (one, two), kinds, strict=True)]
        if nodes[0].spec != nodes[1].spec:
            wrong = ShapeError if nodes[0].shape != nodes[1].shape else DtypeError
            raise wrong(
                f"cond: true_fun returns {nodes[0].spec}{path and f' at {path}'}, false_fun {nodes[1].spec}{at()}; "
                "both must return the same shape and dtype"
            )
    (yes, no), around = close(branches)
    control = Cond(yes, no)
    return finish(tree.unflatten(result, apply(control, [pred], around, _values(leaves))))


def while_loop(cond_fun: Function, body_fun: Function, init: Any) -> Any:
    """Return the last of ``init, body_fun(init), body_fun(body_fun(init)), ...``: the first for which cond_fun fails.

    The functions are traced once, without values, and may use what is around them. A reverse sweep takes as many steps
    back as were taken; for that, the loop keeps the carry of every step. In a batch of loops (by `vmap`, say) all run
    until the last one ends; those that have ended hold their carry.

    Args:
        cond_fun: Function of the carry that returns a boolean number.
        body_fun: Function of the carry that returns the next one, of the same structure, shapes and dtypes.
        init: The first carry: an array or a structure of arrays. A Python number takes the dtype the body gives it.

    Raises:
        ShapeError: the body changes the structure or the shape of the carry.
        DtypeError: it changes the dtype.

    Example:
        >>> import chainrule as cr
        >>> cr.grad(lambda x: cr.while_loop(lambda c: c < 100, lambda c: c * x, x))(3.0)
        np.float64(405.0)
    """
    leaves = _leaves(init, "while_loop: init")
    _, structure = tree.flatten(init)
    names = tree.leaf_paths(init)
    if not any(leaf.is_traced for leaf in leaves):
        carry = _Carry("while_loop", leaves, structure, names)
        while True:
            holds = cond_fun(carry.value())
            if isinstance(holds, TracedArray):
                break
            if not holds:
                return carry.last()
            if not carry.step(body_fun(carry.value())):
                break
    while True:
        specs, weak = [leaf.spec for leaf in leaves], [leaf.is_number for leaf in leaves]
        spelled = [f"carry{name}" for name in names]
        test, body = (Body("while_loop", specs, weak, spelled) for _ in range(2))
        (runs, *more), _ = test.run(lambda handles: cond_fun(tree.unflatten(structure, handles)))
        holds = test.output(runs)
        if more or holds.shape:
            raise ShapeError(f"while_loop: cond_fun must return a single boolean, got {holds.spec}{at()}")
        test.outputs = [holds if holds.dtype.kind == "b" else ir.REGISTRY["not_equal"](holds, 0)]
        found, result = body.run(lambda handles: body_fun(tree.unflatten(structure, handles)))
        if _fits("while_loop", body, leaves, found, result, structure, names):
            break
    (check, step), around = close([test, body])
    control = While(step, len(around), len(leaves), check)
    return finish(tree.unflatten(structure, apply(control, [], around, _values(leaves))))


def fori_loop(lower: Any, upper: Any, body_fun: Function, init: Any) -> Any:
    """Return ``carry = body_fun(i, carry)`` for i from lower up to, and without, upper, from ``carry = init`` on.

    With traced bounds it is a `while_loop`, else a `scan`.

    Args:
        lower: An integer.
        upper: An integer.
        body_fun: Function of an integer and the carry that returns the next carry.
        init: The first carry: an array or a structure of arrays. A Python number takes the dtype the body gives it.

    Raises:
        ShapeError: the body changes the structure or the shape of the carry.
        DtypeError: it changes the dtype, or a bound is no integer.

    Example:
        >>> import chainrule as cr
        >>> cr.grad(lambda x: cr.fori_loop(0, 5, lambda i, y: x * y, 1.0))(2.0)
        np.float64(80.0)
    """
    for name, bound in (("lower", lower), ("upper", upper)):
        if isinstance(bound, TracedArray):
            if bound.dtype.kind not in "iu" or bound.shape:
                raise DtypeError(
                    f"fori_loop: {name} must be an integer, got {Spec(bound.shape, bound.dtype)}{at()}; write int(x)"
                )
        elif not hasattr(bound, "__index__"):
            raise DtypeError(f"fori_loop: {name} must be an integer, got {type(bound).__name__}{at()}")
    if isinstance(lower, TracedArray) or isinstance(upper, TracedArray):
        first = lower.astype(np.int64) if isinstance(lower, TracedArray) else np.int64(lower)
        _, found = while_loop(
            lambda carry: carry[0] < upper,
            lambda carry: (carry[0] + np.int64(1), body_fun(carry[0], carry[1])),
            (first, init),
        )
        return finish(found)
    steps = np.arange(operator.index(lower), operator.index(upper), dtype=np.int64)
    return finish(_scan("fori_loop", lambda carry, i: (body_fun(i, carry), None), init, steps, None, False, None)[0])


def scan(
    f: Function, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, slots: int | None = None
) -> tuple[Any, Any]:
    """Run ``carry, y = f(carry, x)`` over the first axis of xs, from ``carry = init`` on; return carry and stacked ys.

    f is traced once, without values, and may use what is around it: the loop is one node of the graph, whatever its
    length. A reverse sweep needs the carry before each step. The loop keeps them all, or, with `slots`, that many: the
    others are computed again, in the order that needs fewest steps.

    Args:
        f: Function of the carry and the k-th element of xs, returning the next carry, of the same structure, shapes and
            dtypes, and y, an array or a structure of arrays, or None.
        init: The first carry: an array or a structure of arrays. A Python number takes the dtype that f gives it.
        xs: Array or structure of arrays of the same length; None for a loop of `length` steps without elements.
        length: Number of steps, where xs is None.
        reverse: Begin with the last element; ys stand in the order of xs.
        slots: How many carries a reverse sweep stores, the first included.

    Raises:
        ShapeError: arrays of different lengths; f changes the structure or the shape of the carry.
        DtypeError: f changes the dtype of the carry.

    References:
        Griewank & Walther, Algorithm 799: revolve, ACM Trans. Math. Softw. 26 (2000), for the order of `slots`.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> cr.scan(lambda total, x: (total + x, total * x), 0.0, np.array([1.0, 2.0, 3.0]))
        (np.float64(6.0), array([0., 2., 9.]))
    """
    if slots is not None and slots < 1:
        raise ShapeError(f"scan: slots must be at least 1, got {slots}{at()}")
    return finish(_scan("scan", f, init, xs, length, reverse, slots))


def checkpoint(f: Function) -> Function:
    """Return f as a function of which a reverse sweep keeps only the arguments, and computes the inside again.

    That saves memory at the price of running f once more.

    Args:
        f: Function of arrays and structures of arrays, and of anything else that is not traced.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> cr.grad(lambda x: cr.checkpoint(lambda x: np.sin(np.sin(x)))(x))(0.0)
        np.float64(1.0)
    """

    @functools.wraps(f)
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        given, structure = tree.flatten((args, kwargs))
        traced = [leaf for leaf in given if isinstance(leaf, TracedArray)]
        if not traced:
            return f(*args, **kwargs)
        leaves = [_Leaf(leaf, "") for leaf in traced]
        trace = Body("", [leaf.spec for leaf in leaves], [], [f"x{k}" for k in range(len(leaves))], traced)

        def run(handles: list[Any]) -> Any:
            rest = iter(handles)
            new_args, new_kwargs = tree.unflatten(
                structure, [next(rest) if isinstance(leaf, TracedArray) else leaf for leaf in given]
            )
            return f(*new_args, **new_kwargs)

        found, result = trace.run(run)
        fixed = [None if isinstance(leaf, TracedArray) else leaf for leaf in found]
        for leaf in found:
            if isinstance(leaf, TracedArray):
                trace.output(leaf)
        if not trace.outputs:
            return tree.unflatten(result, found)
        (body,), around = close([trace])
        parts = iter(apply(Call(body), [], around, _values(leaves)))
        return finish(tree.unflatten(result, [next(parts) if leaf is None else leaf for leaf in fixed]))

    return recomputed


# -- scans -----------------------------------------------------------------------------------------------


def _scan(
    loop: str, f: Function, init: Any, xs: Any, length: int | None, reverse: bool, slots: int | None
) -> tuple[Any, Any]:
    leaves, elements = _leaves(init, f"{loop}: init"), _leaves(xs, f"{loop}: xs")
    _, structure = tree.flatten(init)
    _, x_structure = tree.flatten(xs)
    names, x_names = tree.leaf_paths(init), tree.leaf_paths(xs)
    length = _length(loop, elements, x_names, length)
    if not any(leaf.is_traced for leaf in (*leaves, *elements)):
        carry = _Carry(loop, leaves, structure, names)
        plain = _run(loop, f, carry, elements, x_structure, length, reverse)
        if plain is not None:
            return plain
    specs = [each.spec.with_shape(each.spec.shape[1:]) for each in elements]
    while True:
        spelled = [*(f"carry{name}" for name in names), *(f"x{name}" for name in x_names)]
        weak = [*(leaf.is_number for leaf in leaves), *(False for _ in elements)]
        body = Body(loop, [*(leaf.spec for leaf in leaves), *specs], weak, spelled)

        def run(handles: list[Any]) -> Any:
            carry = tree.unflatten(structure, handles[: len(leaves)])
            return _pair(loop, f(carry, tree.unflatten(x_structure, handles[len(leaves) :])))

        pair, _ = body.run(run, flat=False)
        found, result = tree.flatten(pair[0])
        if _fits(loop, body, leaves, found, result, structure, names):
            break
    ys, y_structure = tree.flatten(pair[1])
    for y in ys:
        body.output(y)
    (step,), around = close([body])
    control = Scan(step, len(around), len(leaves), length, reverse, slots)
    results = apply(control, [], around, _values([*leaves, *elements]))
    carry_out, y_out = results[: len(leaves)], results[len(leaves) :]
    return tree.unflatten(structure, carry_out), tree.unflatten(y_structure, y_out)


def _run(
    loop: str, f: Function, carry: _Carry, elements: Sequence[_Leaf], structure: Any, length: int, reverse: bool
) -> tuple[Any, Any] | None:
    """Run a scan of plain values; None if traced values come in from elsewhere."""
    stacks: list[np.ndarray] = []
    y_structure: Any = None
    for k in reversed(range(length)) if reverse else range(length):
        x = tree.unflatten(structure, [_own(each.value[k]) for each in elements])
        new, y = _pair(loop, f(carry.value(), x))
        ys, y_structure = tree.flatten(y)
        if any(isinstance(each, TracedArray) for each in ys) or not carry.step(new):
            return None
        if not stacks:
            stacks = [np.empty((length, *np.shape(each)), np.asarray(each).dtype) for each in ys]
        for stack, each in zip(stacks, ys, strict=True):
            stack[k] = each
    if not length:
        return None  # what f returns is not known yet
    return carry.value(), tree.unflatten(y_structure, stacks)


def _pair(loop: str, result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise ShapeError(f"{loop}: f must return a pair (carry, y), got {type(result).__name__}{at()}")
    return result[0], result[1]


def _length(loop: str, elements: Sequence[_Leaf], names: Sequence[str], length: int | None) -> int:
    found = None if length is None else operator.index(length)
    where = "length"
    for each, name in zip(elements, names, strict=True):
        if not each.spec.shape:
            raise ShapeError(f"{loop}: xs{name} is a number{at()}; arrays with a first axis to run over are expected")
        if found is not None and each.spec.shape[0] != found:
            raise ShapeError(
                f"{loop}: xs{name} has {each.spec.shape[0]} elements along its first axis, {where} is {found}{at()}"
            )
        if found is None:
            found, where = each.spec.shape[0], f"the length of xs{name}"
    if found is None:
        raise ShapeError(f"{loop}: how many steps? Give xs or length{at()}")
    if found < 0:
        raise ShapeError(f"{loop}: length must not be negative, got {found}{at()}")
    return found


# -- carries -----------------------------------------------------------------------------------------------


class _Leaf:
    """An array that goes into a loop."""

    def __init__(self, value: Any, name: str) -> None:
        kind = type(value).__name__
        self.is_traced = isinstance(value, TracedArray)
        self.is_number = is_python(value) or isinstance(value, TracedNumber)
        if not self.is_traced:
            if not isinstance(value, np.ndarray | np.generic | int | float | complex):
                value = wrap(value)
            if value is None:
                raise DtypeError(f"{name}: arrays are expected, got {kind}{at()}")
            self.given, value = value, np.asarray(value)[()]
        self.value = value
        self.spec = value.node.spec if self.is_traced else Spec.of(value)

    def promote(self, dtype: np.dtype[Any]) -> None:
        """Take another dtype; only for Python numbers."""
        self.is_number = False
        self.spec = self.spec.with_dtype(dtype)
        self.value = self.value.astype(dtype) if self.is_traced else dtype.type(self.value)


def _leaves(values: Any, name: str) -> list[_Leaf]:
    return [
        _Leaf(leaf, name + path) for leaf, path in zip(tree.flatten(values)[0], tree.leaf_paths(values), strict=True)
    ]


def _values(leaves: Sequence[_Leaf]) -> list[Any]:
    return [leaf.value for leaf in leaves]


def _own(value: Any) -> Any:
    """Return an array that a body may overwrite."""
    return value.copy() if isinstance(value, np.ndarray) else value


def _dtype(value: Any) -> np.dtype[Any]:
    return value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype


class _Carry:
    """The carry of a loop that runs on plain values."""

    def __init__(self, loop: str, leaves: Sequence[_Leaf], structure: Any, names: Sequence[str]) -> None:
        self.loop, self.structure, self.names = loop, structure, names
        self.weak = [leaf.is_number for leaf in leaves]
        self.specs = [leaf.spec for leaf in leaves]
        self.values = [leaf.given if leaf.is_number else _own(leaf.value) for leaf in leaves]

    def last(self) -> Any:
        """Return the carry as arrays, also where no step was taken."""
        return tree.unflatten(self.structure, [np.asarray(value)[()] for value in self.values])

    def value(self) -> Any:
        """Return the carry in the user's structure."""
        return tree.unflatten(self.structure, self.values)

    def step(self, new: Any) -> bool:
        """Take the next carry; False if it is traced."""
        found, structure = tree.flatten(new)
        if any(isinstance(leaf, TracedArray) for leaf in found):
            return False
        if structure != self.structure:
            raise _other_structure(self.loop, structure, self.structure)
        found = [np.asarray(leaf)[()] for leaf in found]
        for k, (leaf, spec) in enumerate(zip(found, self.specs, strict=True)):
            if (leaf.shape, leaf.dtype) != (spec.shape, spec.dtype):
                if not self.weak[k] or not _is_promotion(spec, Spec.of(leaf)):
                    raise _other_spec(self.loop, self.names[k], Spec.of(leaf), spec)
                self.specs[k] = Spec.of(leaf)
        self.weak = [False] * len(found)
        self.values = found
        return True


def _fits(
    loop: str, body: Body, leaves: Sequence[_Leaf], found: Sequence[Any], result: Any, structure: Any,
    names: Sequence[str],
) -> bool:  # fmt: skip
    """Add the carry that a body returns to its outputs; False if the body must be traced anew with other dtypes."""
    if result != structure:
        raise _other_structure(loop, result, structure)
    again = False
    for leaf, value, name in zip(leaves, found, names, strict=True):
        node = body.output(value, [leaf.spec.dtype])
        if node.spec != leaf.spec:
            if not leaf.is_number or not _is_promotion(leaf.spec, node.spec):
                raise _other_spec(loop, name, node.spec, leaf.spec)
            leaf.promote(node.dtype)
            again = True
    return not again


def _is_promotion(number: Spec, found: Spec) -> bool:
    """Whether a Python number may begin with another dtype: of its own kind, or a more general one."""
    order = "biufc"
    return found.shape == () and order.index(found.dtype.kind) >= order.index(number.dtype.kind)


def _other_structure(loop: str, found: Any, expected: Any) -> ChainruleError:
    return ShapeError(
        f"{loop}: the carry begins with structure {expected}, the body returns {found}{at()}; it must stay the same"
    )


def _other_spec(loop: str, name: str, found: Spec, expected: Spec) -> ChainruleError:
    wrong = ShapeError if found.shape != expected.shape else DtypeError
    hint = "begin with an array of that shape" if wrong is ShapeError else f"begin with .astype({found.dtype})"
    return wrong(
        f"{loop}: the carry{name} begins as {expected}, the body returns {found}{at()}; it must stay the same: "
        f"{hint}, or convert in the body"
    )


__all__ = ["checkpoint", "cond", "fori_loop", "scan", "while_loop"]
