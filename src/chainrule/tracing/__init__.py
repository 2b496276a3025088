"""From a Python function and values to a Program, through NumPy's own protocols."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.errors import ChainruleError, DetachError, DtypeError, UnsupportedError
from chainrule.ir import Builder, Node, Origin, Program, ancestors
from chainrule.namespaces import Foreign, missing, wrap
from chainrule.tracing import functions  # noqa: F401 - fills the table of NumPy functions
from chainrule.tracing.array import LocalArray, TracedArray, instead, lift, record, twin_advice
from chainrule.tracing.constructors import tracing_into
from chainrule.tracing.local import UNREADABLE, Filled
from chainrule.tracing.origin import call_at, here, is_users, scipys_name
from chainrule.types import Spec

__all__ = [
    "Traced",
    "TracedArray",
    "differentiable",
    "parameters",
    "record",
    "run_traced",
    "settled",
    "trace_function",
    "tracing_into",
]


_NATIVE = (TracedArray, np.ndarray, np.generic, int, float, complex)


def _native(leaf: Any) -> Any:
    """Return an array of another library as one that NumPy's functions take."""
    found = wrap(leaf)
    return leaf if found is None else found


@dataclass(frozen=True, slots=True)
class Traced:
    """A function traced at concrete values.

    Attributes:
        program: Inputs are the leaves of the differentiated arguments; outputs the leaves of the result, then
            the traced ones of the auxiliary result.
        bound: What the inputs stand for: a value, or a traced array of an outer function.
        arguments: Structure of each differentiated argument.
        result: Structure of the result.
        aux: Leaves of the auxiliary result and its structure.
    """

    program: Program
    bound: tuple[Any, ...]
    arguments: tuple[Any, ...]
    result: Any
    aux: tuple[list[Any], Any]

    def rebuild_aux(self, found: Sequence[Any]) -> Any:
        """Return the auxiliary result with values in the place of its traced arrays; the rest as it was."""
        leaves, structure = self.aux
        rest = iter(found)
        return tree.unflatten(structure, [next(rest) if isinstance(leaf, TracedArray) else leaf for leaf in leaves])


def trace_function(
    f: Callable[..., Any],
    args: Sequence[Any],
    argnums: Sequence[int],
    kwargs: dict[str, Any] | None = None,
    *,
    has_aux: bool = False,
    lenient: bool = False,
    integers: bool = False,
    plain: frozenset[str] = frozenset(),
    names: Sequence[str] | None = None,
) -> Traced:
    """Run f once, with traced arrays for the leaves of the chosen arguments, and return what it did.

    Args:
        f: Any function of arrays and structures of them.
        args: Its arguments; those outside `argnums` are passed as they are.
        argnums: Positions of the arguments to trace, none negative.
        kwargs: Keyword arguments, passed as they are.
        has_aux: f returns ``(result, auxiliary result)``.
        lenient: Pass leaves that are no real or complex numbers as they are; also integers which the function turns
            out to count with (an index, a length), for which f is run again; take the numbers of arrays of other
            libraries as NumPy's, for a graph to be looked at.
        integers: Trace arrays of integers and truth values too; there will be no derivative.
        plain: Names of leaves to pass as they are.
        names: What the user calls the arguments; the names of f's parameters by default.

    Raises:
        DtypeError: a leaf of a chosen argument is not a real or complex number.
    """
    outer = [leaf.builder for k in argnums for leaf in tree.flatten(args[k])[0] if isinstance(leaf, TracedArray)]
    builder = Builder(lazy=any(each.lazy for each in outer))
    names = parameters(f, len(args)) if names is None else names
    passed = list(args)
    inputs: list[Node] = []
    whole: dict[Node, str] = {}
    bound: list[Any] = []
    structures = []
    for k in argnums:
        leaves, structure = tree.flatten(args[k])
        handles = []
        for leaf, path in zip(leaves, tree.leaf_paths(args[k]), strict=True):
            given = names[k] + path
            leaf = leaf if isinstance(leaf, _NATIVE) else _native(leaf)
            leaf = np.asarray(leaf) if lenient and isinstance(leaf, Foreign) else leaf
            if given in plain or (lenient and not is_differentiable(leaf)):
                handles.append(leaf)
                continue
            is_whole = isinstance(leaf, int | np.integer)
            leaf = leaf if integers else differentiable(leaf, given)
            value = leaf
            if isinstance(leaf, TracedArray):  # the handle may be assigned to later
                leaf = TracedArray(leaf.builder, leaf.node)
                value = leaf.node.value if builder.lazy else leaf.value
            spec = leaf.node.spec if isinstance(leaf, TracedArray) else Spec.of(leaf)
            binding = leaf if value is None else None
            node = builder.input(spec, value, given, here(), binding)
            if is_whole:
                whole[node] = given
            inputs.append(node)
            bound.append(leaf)
            handles.append(TracedArray(builder, node))
        passed[k] = tree.unflatten(structure, handles)
        structures.append(structure)
    try:
        result = run_traced(builder, f, *passed, **(kwargs or {}))
    except Exception:
        if lenient and whole and builder.counted:
            needed = ancestors(builder.counted)
            counts = {name for node, name in whole.items() if node in needed}
            if counts:
                options: dict[str, Any] = {"has_aux": has_aux, "lenient": lenient, "integers": integers, "names": names}
                return trace_function(f, args, argnums, kwargs, plain=plain | counts, **options)
        raise
    aux = None
    if has_aux:
        if not isinstance(result, tuple) or len(result) != 2:
            raise DtypeError("has_aux=True: the function must return a pair, (value, auxiliary result)")
        result, aux = result
    leaves, structure = tree.flatten(result)
    aux_leaves, aux_structure = tree.flatten(aux)
    aux_leaves = [settled(leaf) for leaf in aux_leaves]
    outputs = tuple(_output(builder, leaf, path) for leaf, path in zip(leaves, tree.leaf_paths(result), strict=True))
    builder.verify()
    aux_outputs = tuple(lift(builder, leaf) for leaf in aux_leaves if isinstance(leaf, TracedArray))
    builder.open = False
    program = Program(tuple(inputs), (*outputs, *aux_outputs), builder)
    return Traced(program, tuple(bound), tuple(structures), structure, (aux_leaves, aux_structure))


def run_traced(builder: Builder, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the user's function while a graph is built; an error that a traced value causes elsewhere is explained."""
    try:
        with tracing_into(builder):
            return f(*args, **kwargs)
    except ChainruleError:
        raise
    except Exception as error:
        cause = _refusal(error, builder)
        if cause is None:
            raise
        raise cause from error


def settled(leaf: Any) -> Any:
    """Return what leaves a traced function: an array made inside it is an ordinary array."""
    return leaf.plain() if isinstance(leaf, LocalArray) and not isinstance(leaf, TracedArray) else leaf


def _refusal(error: Exception, builder: Builder) -> ChainruleError | None:
    """Return what chainrule had to say before other code (NumPy's, SciPy's) raised something else because of it."""
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    while stack:
        each = stack.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, DetachError | UnsupportedError) and not isinstance(each, AttributeError):
            return type(each)(*each.args)
        stack += [each.__context__, each.__cause__]
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame, trace.tb_lasti, Origin(trace.tb_frame.f_code.co_filename, trace.tb_lineno)))
        trace = trace.tb_next
    users = [k for k, (_, _, line) in enumerate(frames) if is_users(line.file)]
    if not users:
        return None
    frame, offset, line = frames[users[-1]]
    inside = users[-1] < len(frames) - 1
    text, function = call_at(frame, offset)
    is_own = not inside and text.startswith("raise")
    if builder.refused is not None and builder.refused[1] == line and not is_own:
        return DetachError(builder.refused[0])  # a library written in C dropped the exception for one of its own
    names = {**frame.f_globals, **frame.f_locals}
    words = [names.get(word) for word in re.findall(r"\w+", text)]
    given = any(isinstance(word, TracedArray) for word in words)
    if any(type(word) is Filled for word in words) and UNREADABLE.search(str(error)) and not is_own:
        return DetachError(
            f"{text} reads the memory of an array that holds traced values, at {line}, and would lose their "
            f"derivative; {instead(text, function, None, frame)} To drop the derivative on purpose, use "
            "chainrule.stop_gradient first."
        )
    home = (getattr(function, "__module__", None) or "").partition(".")[0]
    foreign = home in sys.stdlib_module_names or home in ("numpy", "scipy")
    wrong_call = "unexpected keyword argument" in str(error) or "required positional argument" in str(error)
    blamed = "TracedArray" in str(error) or (given and foreign and not inside)
    if not isinstance(error, (TypeError, AttributeError) if inside else TypeError) or wrong_call or not blamed:
        return None
    scipys = scipys_name(frame, text)
    if scipys is not None:
        return UnsupportedError(
            f"{scipys[0]}.{scipys[1]} does not see traced values, at {line}; {twin_advice(*scipys)} ({error})"
        )
    return UnsupportedError(
        f"{text or 'this call'} does not take traced values, at {line}: {error}; write it with NumPy functions, or "
        "drop the derivative with chainrule.stop_gradient first"
    )


def differentiable(leaf: Any, name: str) -> Any:
    """Return a leaf of a differentiated argument as inexact NumPy data or a traced array.

    Python and NumPy integers count as float64; arrays of integers do not, since rounding them is a choice.
    """
    if isinstance(leaf, TracedArray):
        if leaf.dtype.kind not in "fc":
            raise DtypeError(f"{name}: a derivative with respect to {leaf.dtype} numbers does not exist; use float")
        return leaf
    if not isinstance(leaf, _NATIVE):
        leaf = _native(leaf)
    if isinstance(leaf, bool | np.bool_) or not isinstance(
        leaf, Foreign | np.ndarray | np.generic | int | float | complex
    ):
        kind = f"an array of {leaf.dtype}" if hasattr(leaf, "dtype") else type(leaf).__name__
        advice = "leave it out of argnums, or give a float"
        if hasattr(leaf, "dtype") and missing():
            advice = f"for arrays of other libraries, {missing()}"
        raise DtypeError(f"{name}: a derivative with respect to {kind} does not exist; {advice}")
    if isinstance(leaf, int | float | complex) and not isinstance(leaf, np.generic):
        return np.complex128(leaf) if isinstance(leaf, complex) else np.float64(leaf)
    if leaf.dtype.kind in "iu" and not leaf.shape:
        return leaf.astype(np.float64) if isinstance(leaf, Foreign) else np.float64(leaf)
    if leaf.dtype.kind not in "fc":
        raise DtypeError(
            f"{name}: a derivative with respect to an array of {leaf.dtype} does not exist; pass {name}.astype(float)"
        )
    return np.asarray(leaf) if isinstance(leaf, np.ndarray) and type(leaf) is not np.ndarray else leaf


def is_differentiable(leaf: Any) -> bool:
    """Whether `differentiable` accepts a leaf."""
    try:
        differentiable(leaf, "")
    except DtypeError:
        return False
    return True


def _output(builder: Builder, leaf: Any, path: str) -> Node:
    leaf = leaf if isinstance(leaf, _NATIVE) else _native(leaf)
    if not isinstance(leaf, Foreign | TracedArray | np.ndarray | np.generic | int | float | complex):
        raise DtypeError(
            f"the function returned {type(leaf).__name__} {leaf!r}{path and f' at {path}'}; expected arrays"
        )
    return lift(builder, leaf)


def parameters(f: Callable[..., Any], count: int) -> list[str]:
    """Return names for positional arguments: the function's own parameters where they can be read."""
    names: list[str] = []
    try:
        for parameter in inspect.signature(f).parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                names += [f"{parameter.name}{k}" for k in range(count - len(names))]
            elif parameter.kind is not parameter.KEYWORD_ONLY and parameter.kind is not parameter.VAR_KEYWORD:
                names.append(parameter.name)
    except (TypeError, ValueError):
        pass
    return [*names, *(f"x{k}" for k in range(len(names), count))][: max(count, len(names))]
