"""Programs as NumPy source: one line per node, to read and to run without chainrule."""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from chainrule.errors import GraphError
from chainrule.ir import CONSTANT, INPUT, Node, Program
from chainrule.ops.family import HELPERS, helper_text

_SMALL = 64  # elements up to which an array is written as a literal
_PLAIN = frozenset(map(np.dtype, (float, complex, int, bool)))  # beside these a Python number takes no other dtype


def source(program: Program, names: Mapping[Node, str], name: str = "f") -> str:
    """Return the source of a function that computes a program's outputs from its inputs.

    Its parameters are the inputs, called as in `names` where that can be an identifier. Numbers, arrays of up to
    64 elements and identity matrices are written out; a larger constant is a keyword argument. Functions that NumPy
    lacks are defined in front.

    Raises:
        GraphError: the name is no identifier.
        UnsupportedError: an op cannot be written in NumPy, such as a function with a custom rule.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise GraphError(f"source: {name!r} is no name for a function")
    nodes = program.nodes
    reserved = {name, "np", "scipy", *HELPERS, *dir(builtins)}
    spelled = _identifiers(nodes, names, reserved)
    lines, large = [], []
    for node in nodes:
        if node.op is CONSTANT:
            text = _array(node)
            if text:
                lines.append(f"{spelled[node]} = {text}")
            elif text is None:
                large.append(node)
        elif node.op is not INPUT:
            args = [_argument(arg, node, spelled) for arg in node.inputs]
            lines.append(f"{spelled[node]} = {node.op.source(*args, **node.params)}")
    results = ", ".join(literal(node.value) if _is_number(node) else spelled[node] for node in program.outputs)
    lines.append(f"return {results}")
    parameters = [spelled[node] for node in program.inputs]
    if large:
        parameters += ["*", *(spelled[node] for node in large)]
        lines = [*_docstring(large, spelled), *lines]
    body = "\n".join(f"    {line}" if line else "" for line in [f"def {name}({', '.join(parameters)}):", *lines])[4:]
    imports = ""
    called, helpers, missing = _called(body), list[str](), True
    while missing:  # helpers may call others
        helpers = [helper_text(each) for each in HELPERS if each in called]
        missing = bool(_called("\n".join(helpers)) & set(HELPERS) - called)
        called |= _called("\n".join(helpers))
    if any("math." in text for text in helpers):
        imports += "import math\n"
    imports += "import numpy as np\n"
    for module in ("scipy.fft", "scipy.linalg", "scipy.special", "scipy.stats"):
        if any(f"{module}." in text for text in (*lines, *helpers)):
            imports += f"import {module}\n"
    return "\n\n".join([imports, *(f"{text}\n" for text in helpers), f"{body}\n"])


def _called(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w.])\w+(?=\()", text))


def literal(value: Any, strong: bool = True) -> str:
    """Return source for a number or array; a number is of its own dtype where `strong`, else Python's."""
    value = np.asarray(value)
    kind = f"np.{value.dtype.name}"
    if value.ndim:
        content = _nested(value)
        if value.dtype in (np.dtype(float), np.dtype(bool)) and value.size:
            return f"np.array({content})"
        array = f"np.array({content}, dtype={kind})"
        return array if value.size else f"np.zeros({value.shape}, dtype={kind})"
    text = _number(value[()])
    if value.dtype == np.dtype(bool) or (not strong and value.dtype in _PLAIN):
        return f"({text})" if text.startswith("-") else text
    return f"{kind}({text})"


def _nested(value: np.ndarray) -> str:
    return f"[{', '.join(map(_nested, value))}]" if value.ndim else _number(value[()])


def _number(value: Any) -> str:
    """Return Python source that gives the same number when converted back to the value's dtype."""
    if value.dtype.kind == "c":
        return f"complex({_number(value.real)}, {_number(value.imag)})"
    if value.dtype.kind != "f":
        return str(value)
    if math.isfinite(value):
        return repr(str(value)) if value.dtype.itemsize > 8 else str(value)
    return "np.nan" if value != value else "np.inf" if value > 0 else "-np.inf"


def _argument(arg: Node, consumer: Node, spelled: Mapping[Node, str]) -> str:
    """Return how an argument is written: its name, or a number that promotes as it did in the graph."""
    if not _is_number(arg):
        return spelled[arg]
    others = [other.dtype for other in consumer.inputs if not _is_number(other)]
    weak = len(consumer.inputs) == 1 or (bool(others) and all(dtype in _PLAIN for dtype in others))
    return literal(arg.value, strong=not weak)


def _is_number(node: Node) -> bool:
    return node.op is CONSTANT and not node.shape and node.dtype.kind in "biufc"


def _array(node: Node) -> str | None:
    """Return source for a constant array, nothing for a number (it is written where it is used), None for neither."""
    if node.dtype.kind not in "biufc" or not hasattr(np, node.dtype.name):
        return None
    if not node.shape:
        return ""
    value, dtype = np.asarray(node.value), f"dtype=np.{node.dtype.name}"

    def is_(array: Any) -> bool:
        return np.broadcast_to(array, value.shape).astype(value.dtype).tobytes() == value.tobytes()

    if not value.size:
        return literal(value)
    first, rows = value.flat[0], len(value)
    if value.size > 1 and is_(first):
        return f"np.full({value.shape}, {literal(first)})"
    if value.size == rows * rows > 1 and is_(np.eye(rows).reshape(value.shape)):
        text = f"np.eye({rows}, {dtype})"
        return text if value.ndim == 2 else f"np.reshape({text}, {value.shape})"
    column = (rows, *[1] * (value.ndim - 1))
    if is_(np.arange(rows).reshape(column)):
        text = f"np.arange({rows}, {dtype})"
        return text if value.ndim == 1 else f"np.broadcast_to(np.reshape({text}, {column}), {value.shape})"
    return literal(value) if value.size <= _SMALL else None


def _docstring(large: Iterable[Node], spelled: Mapping[Node, str]) -> list[str]:
    return [
        '"""Take constants of the graph as keyword arguments.',
        "",
        "Args:",
        *(f"    {spelled[node]}: {node.spec}." for node in large),
        '"""',
    ]


def _identifiers(nodes: Iterable[Node], names: Mapping[Node, str], reserved: set[str]) -> dict[Node, str]:
    """Return an identifier for each node, none used twice."""
    taken = set(reserved)
    found = {}
    for node in nodes:
        text = names.get(node, f"{node.op.name}_results")
        text = text if text.isidentifier() else re.sub(r"\W+", "_", text).strip("_") or "v"
        text = f"_{text}" if text[0].isdigit() else text
        text = f"{text}_" if keyword.iskeyword(text) else text
        unique, count = text, 0
        while unique in taken:
            count += 1
            unique = f"{text}_{count}"
        taken.add(unique)
        found[node] = unique
    return found


__all__ = ["literal", "source"]
