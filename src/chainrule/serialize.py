"""Programs as JSON text: nodes with their inputs, parameters and origins, constants and inputs with values.

Nothing in a text is ever executed: ops are looked up in the registry, NumPy functions among those that
chainrule has a rule for, and everything else is a number.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.errors import GraphError
from chainrule.ir import CONSTANT, INPUT, ITEM, REGISTRY, Builder, Node, Op, Origin, Program, ancestors
from chainrule.tracing.array import FUNCTIONS
from chainrule.types import Spec

FORMAT = "chainrule-graph"
VERSION = 1

_SMALL = 64  # elements up to which values are written as numbers, for readers
_OPS: Mapping[str, Op] = {op.name: op for op in (INPUT, CONSTANT, ITEM)}


def to_json(program: Program, names: Mapping[Node, str]) -> str:
    """Return a program as JSON text.

    Args:
        program: The function.
        names: What its nodes are called.

    Raises:
        GraphError: an op or a constant cannot be written, such as a function with a custom rule.
    """
    guards = program.builder.guards
    nodes = ancestors((*program.outputs, *guards), program.inputs)
    place = {node: k for k, node in enumerate(nodes)}
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "inputs": [place[node] for node in program.inputs],
        "outputs": [place[node] for node in program.outputs],
        "guards": [[place[node], _value(node, value)] for node, value in guards.items()],
        "nodes": [_node(node, place, names) for node in nodes],
    }
    head = ",\n".join(f"{json.dumps(key)}: {json.dumps(part)}" for key, part in list(document.items())[:-1])
    lines = ",\n".join(json.dumps(each, ensure_ascii=False, allow_nan=False) for each in document["nodes"])
    return f'{{\n{head},\n"nodes": [\n{lines}\n]\n}}\n'


def _node(node: Node, place: Mapping[Node, int], names: Mapping[Node, str]) -> dict[str, Any]:
    if node.op.family == "control":
        raise GraphError(f"{names.get(node, node.name)}: a loop or branch ({node.op.name}) has no JSON form")
    if node.op.name not in _OPS and REGISTRY.get(node.op.name) is not node.op:
        raise GraphError(
            f"{names.get(node, node.name)}: a function with a custom rule ({node.op.name}) has no JSON form"
        )
    found: dict[str, Any] = {"name": names.get(node, node.name), "named": node.is_named, "op": node.op.name}
    if node.inputs:
        found["inputs"] = [place[arg] for arg in node.inputs]
    if node.params:
        found["params"] = {key: _encode(value, node) for key, value in node.params.items()}
    if isinstance(node.spec, Spec):
        found |= {"shape": list(node.shape), "dtype": node.dtype.name}
    if node.op in (INPUT, CONSTANT) and node.value is not None:
        found["value"] = _value(node, node.value)
    if node.origin is not None:
        found["origin"] = [str(node.origin).rpartition(":")[0], node.origin.line]
    return found


def _encode(value: Any, node: Node) -> Any:
    """Return a parameter as JSON: a tuple is a list, what JSON lacks an object with one key."""
    if isinstance(value, tuple):
        return [_encode(part, node) for part in value]
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    name = getattr(value, "__name__", "")
    if callable(value) and _functions().get(name) is value:
        return {"numpy": name}
    raise GraphError(f"{node.op.name}: its parameter {value!r} has no JSON form")


def _value(node: Node, value: Any) -> Any:
    """Return an array as nested lists where it is small and finite, else as base64 of its bytes."""
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise GraphError(f"{node.name}: values of dtype {array.dtype} have no JSON form")
    if array.size <= _SMALL and array.dtype.itemsize <= 8 and array.dtype.kind != "c" and np.isfinite(array).all():
        return array.tolist()
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {"base64": base64.b64encode(little.tobytes()).decode()}


def from_json(text: str) -> Program:
    """Return the program of a JSON text.

    Raises:
        GraphError: the text is no such program; the message says where and why.
    """
    try:
        document = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise GraphError(f"no graph: this is no JSON text ({error})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise GraphError(f'no graph: a JSON object with "format": "{FORMAT}" is expected')
    if document.get("version") != VERSION:
        raise GraphError(
            f"a graph of format version {document.get('version')!r}; this chainrule reads version {VERSION}"
        )
    return _Reader(document).program


class _Reader:
    """Builds the nodes of a document one after another, and says which one is wrong."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.builder = Builder()
        self.nodes: list[Node] = []
        self.seen: set[Node] = set()
        entries = self._part(document, "nodes", list, "graph")
        for k, entry in enumerate(entries):
            where = f"node {k}"
            if not isinstance(entry, dict):
                raise GraphError(f"{where}: an object is expected, got {entry!r}")
            name = self._part(entry, "name", str, where)
            where = f"node {k} ({name})"
            node = self._build(entry, where)
            self.nodes.append(node)
            self.seen.add(node)
            if self._part(entry, "named", bool, where):
                if name in self.builder.names:
                    raise GraphError(f"{where}: this name is taken")
                self.builder.name(node, name)
        inputs = self._places(document, "inputs", "graph")
        outputs = self._places(document, "outputs", "graph")
        if len(set(inputs)) < len(inputs) or {k for k, node in enumerate(self.nodes) if node.op is INPUT} != set(
            inputs
        ):
            raise GraphError('graph: "inputs" must hold each node whose op is "input" once')
        if any(isinstance(self.nodes[k].spec, tuple) for k in outputs):
            raise GraphError("graph: an output is the bundle of an op's results; one of them is expected")
        self._guards(document)
        self.program = Program(
            tuple(self.nodes[k] for k in inputs), tuple(self.nodes[k] for k in outputs), self.builder
        )

    def _build(self, entry: Mapping[str, Any], where: str) -> Node:
        op_name = self._part(entry, "op", str, where)
        op = _OPS.get(op_name) or REGISTRY.get(op_name)
        if op is None:
            raise GraphError(f"{where}: there is no op {op_name!r}")
        origin = self._origin(entry, where)
        if op in (INPUT, CONSTANT):
            spec = self._spec(entry, where)
            if op is CONSTANT or entry.get("value") is not None:
                value = self._value(entry.get("value"), spec, where)
            else:
                value = None
            if op is INPUT:
                return self.builder.input(spec, value, origin=origin)
            return self._constant(value, spec, origin)
        inputs = tuple(self.nodes[k] for k in self._places(entry, "inputs", where))
        if op is not ITEM and any(isinstance(arg.spec, tuple) for arg in inputs):
            raise GraphError(
                f"{where}: an argument of {op.name} is the bundle of an op's results; one of them is expected"
            )
        params = {
            key: self._decode(value, where) for key, value in self._part(entry, "params", dict, where, {}).items()
        }
        try:
            inferred = op.infer(*(arg.spec for arg in inputs), **params)
            value = None
            if all(arg.value is not None for arg in inputs):
                with np.errstate(all="ignore"):
                    value = op.evaluate(*(arg.value for arg in inputs), **params)
            node = self.builder.emit(op, inputs, params, value, origin)
        except Exception as error:  # whatever an op does with inputs and parameters that nobody checked
            raise GraphError(f"{where}: {op.name} does not fit its inputs and parameters: {error}") from None
        if isinstance(inferred, Spec) and not inferred == node.spec == self._spec(entry, where):
            raise GraphError(f"{where}: {op.name} gives {node.spec}, the text says {self._spec(entry, where)}")
        return node

    def _constant(self, value: Any, spec: Spec, origin: Origin | None) -> Node:
        node = None if spec.shape else self.builder.constant(value)
        if node is None or node in self.seen:
            node = Node(self.builder, CONSTANT, (), {}, spec, value)
        node.origin = origin
        return node

    def _guards(self, document: Mapping[str, Any]) -> None:
        for pair in self._part(document, "guards", list, "graph", []):
            if not isinstance(pair, list) or len(pair) != 2:
                raise GraphError(f"graph: a guard must be a pair of a node and a value, got {pair!r}")
            node = self.nodes[self._place(pair[0], "graph")]
            if isinstance(node.spec, tuple):
                raise GraphError("graph: a guard on the bundle of an op's results; one of them is expected")
            self.builder.guards[node] = self._value(pair[1], node.spec, f"guard on {node.name}")

    @staticmethod
    def _part(entry: Mapping[str, Any], key: str, kind: type, where: str, default: Any = None) -> Any:
        found = entry.get(key, default)
        if not isinstance(found, kind):
            raise GraphError(f"{where}: {key!r} must be of type {kind.__name__}, got {found!r:.80}")
        return found

    def _places(self, entry: Mapping[str, Any], key: str, where: str) -> list[int]:
        return [self._place(k, where) for k in self._part(entry, key, list, where)]

    def _place(self, k: Any, where: str) -> int:
        if type(k) is not int or not 0 <= k < len(self.nodes):
            raise GraphError(f"{where}: {k!r} is no node before it")
        return k

    def _spec(self, entry: Mapping[str, Any], where: str) -> Spec:
        shape = self._part(entry, "shape", list, where)
        if not all(type(size) is int and size >= 0 for size in shape):
            raise GraphError(f"{where}: {shape!r} is no shape")
        return Spec(tuple(shape), self._dtype(entry.get("dtype"), where))

    @staticmethod
    def _dtype(name: Any, where: str) -> np.dtype[Any]:
        try:
            dtype = np.dtype(name) if isinstance(name, str) else None
        except TypeError:
            dtype = None
        if dtype is None or dtype.kind not in "biufc" or dtype.name != name:
            raise GraphError(f"{where}: {name!r} is no dtype of numbers")
        return dtype

    @staticmethod
    def _origin(entry: Mapping[str, Any], where: str) -> Origin | None:
        origin = entry.get("origin")
        if origin is None:
            return None
        if not isinstance(origin, list) or [type(part) for part in origin] != [str, int]:
            raise GraphError(f"{where}: {origin!r:.80} is no origin; a file and a line are expected")
        return Origin(*origin)

    @staticmethod
    def _value(value: Any, spec: Spec, where: str) -> Any:
        if not spec.size:
            return np.zeros(spec.shape, spec.dtype)
        try:
            if isinstance(value, dict):
                raw = base64.b64decode(value["base64"], validate=True)
                array = np.frombuffer(raw, spec.dtype.newbyteorder("<")).astype(spec.dtype).reshape(spec.shape)
            else:
                array = np.asarray(value)
                if array.dtype.kind not in "biuf" or (array.dtype.kind == "f" and spec.dtype.kind in "biu"):
                    raise ValueError(f"numbers of {spec.dtype} are expected")
                array = np.asarray(value, spec.dtype)
        except (ValueError, TypeError, KeyError, OverflowError, binascii.Error) as error:
            raise GraphError(f"{where}: its value cannot be read: {error}") from None
        if array.shape != spec.shape:
            raise GraphError(f"{where}: its value has shape {array.shape}, the text says {spec.shape}")
        return array[()]

    def _decode(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return tuple(self._decode(part, where) for part in value)
        if not isinstance(value, dict):
            return value
        ((key, content),) = value.items() if len(value) == 1 else ((None, None),)
        if key == "dtype":
            return self._dtype(content, where)
        if key == "float" and content in ("nan", "inf", "-inf"):
            return float(content)
        if key == "numpy" and str(content) in _functions():
            return _functions()[str(content)]
        raise GraphError(f"{where}: {value!r:.80} is no parameter")


def _functions() -> Mapping[str, Any]:
    """Return the NumPy functions that a parameter may name: those with a rule, none of which reads or writes files."""
    return {f.__name__: f for f in FUNCTIONS if getattr(np, f.__name__, None) is f}


__all__ = ["FORMAT", "VERSION", "from_json", "to_json"]
