"""The graph: Op, Node, Builder, Program. Start reading here.

A `Node` is one value: an op applied to other nodes. Nodes never change, and a `Builder` returns the existing
node when the same op is applied to the same inputs again (hash-consing), so equal sub-expressions are one
node. A `Program` is some of these nodes with a choice of inputs and outputs. Derivatives are more nodes in
the same builder; they share what they have in common with the function they differentiate.
"""

from __future__ import annotations

import itertools
import operator
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import GraphError, LinAlgError
from chainrule.types import Spec

Params = Mapping[str, Any]

_BY_INDEX = operator.attrgetter("index")
_SMALL = 64  # elements up to which constants are merged by value
_SNAPSHOT = 1 << 18  # bytes up to which a captured array is copied; larger ones are fingerprinted


class Origin(NamedTuple):
    """A line of the user's own code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{self.line}"


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """Everything the library knows about an operation; declared once, in `chainrule.ops`."""

    name: str
    """Identity, and what `node.op` prints."""
    doc: str
    """What it computes, in one line."""
    evaluate: Callable[..., Any]
    """`(*values, **params)` → value: the definition, in NumPy."""
    infer: Callable[..., Any]
    """`(*specs, **params)` → Spec of the result (a tuple of them where there are several results)."""
    edge: Callable[[int, Node], Any]
    """`(k, result)` → the edge from the k-th argument to the result, or None where it is zero."""
    batch: Callable[[Node, list[Node], list[bool]], Node]
    """`(node, args, batched)` → the node for args of which some have one more axis in front."""
    source: Callable[..., str]
    """`(*names, **params)` → a NumPy expression for the result."""
    family: str
    """pointwise, structural, reduction, contraction or opaque."""
    samples: Callable[..., Any] | None = None
    """`(rng)` → cases `(values, params)` for the rule tests."""
    lower: str | Callable[..., str] | Product | None = None
    """How machine code computes one element (see `chainrule.llvm.emit`): the name of an instruction or function,
    or `(body, node, place)` → value. None where NumPy does it."""
    dtypes: str = "fd"
    """Letters of the dtypes for which the derivative is stated, and tested."""
    joint: Callable[[Node], Any] | None = None
    """`(node)` → the map from all arguments to all results as one (see `chainrule.edges.Joint`), for an op with
    several results whose edges have their work in common; `edge` follows from it."""

    def __call__(self, *args: Any, **params: Any) -> Node:
        """Apply the op to nodes of one builder, and numbers among them."""
        nodes = [arg for arg in args if isinstance(arg, Node)]
        builder = nodes[0].builder
        if len(nodes) < len(args):
            dtypes = [node.spec.dtype for node in nodes]
            return builder.emit(
                self, tuple(arg if isinstance(arg, Node) else builder.constant(arg, dtypes) for arg in args), params
            )
        return builder.emit(self, args, params)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """How machine code computes an op: the sum of the products of two arrays over common axes.

    Attributes:
        labels: `(a_spec, b_spec, **params)` → labels of the axes of a, b and the result.
        careful: Whether a factor that is exactly 0 contributes 0 even beside inf and NaN.
    """

    labels: Callable[..., Any]
    careful: bool


class Node:
    """One value of a graph: an op applied to inputs, with shape and dtype, perhaps a concrete value."""

    __slots__ = ("__weakref__", "_builder", "_name", "binding", "index", "inputs", "op", "origin", "params",
                 "spec", "value")  # fmt: skip

    def __init__(
        self,
        builder: Builder,
        op: Op,
        inputs: tuple[Node, ...],
        params: Params,
        spec: Any,
        value: Any = None,
        origin: Origin | None = None,
        binding: Any = None,
    ) -> None:
        self._builder = weakref.ref(builder)
        self._name: str | None = None
        self.index = next(builder.count)
        self.op = op
        self.inputs = inputs
        self.params = params
        self.spec = spec
        self.value = value
        self.origin = origin
        self.binding = binding

    @property
    def builder(self) -> Builder:
        """Where this node was made; operations on it are added there."""
        builder = self._builder()
        if builder is None:
            raise GraphError(f"{self.name}: the graph of this node is gone; keep the graph as long as its nodes")
        return builder

    @property
    def name(self) -> str:
        """The user's variable or parameter, else ``v`` and a number; unique in the builder."""
        if self._name is not None:
            return self._name
        name, builder = f"v{self.index}", self._builder()
        while builder is not None and name in builder.names:
            name += "_"
        return name

    @property
    def is_named(self) -> bool:
        """Whether the name is the user's own."""
        return self._name is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self.spec.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the value."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """Number of axes of the value."""
        return len(self.spec.shape)

    def __repr__(self) -> str:
        return f"{self.name} = {self.op.name}({', '.join(node.name for node in self.inputs)})"

    # Arithmetic, for rules that are written as formulas.
    def __add__(self, other: Any) -> Node:
        return REGISTRY["add"](self, other)

    def __radd__(self, other: Any) -> Node:
        return REGISTRY["add"](other, self)

    def __sub__(self, other: Any) -> Node:
        return REGISTRY["subtract"](self, other)

    def __rsub__(self, other: Any) -> Node:
        return REGISTRY["subtract"](other, self)

    def __mul__(self, other: Any) -> Node:
        return REGISTRY["multiply"](self, other)

    def __rmul__(self, other: Any) -> Node:
        return REGISTRY["multiply"](other, self)

    def __truediv__(self, other: Any) -> Node:
        return REGISTRY["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return REGISTRY["divide"](other, self)

    def __pow__(self, other: Any) -> Node:
        return REGISTRY["power"](self, other)

    def __matmul__(self, other: Node) -> Node:
        return REGISTRY["matmul"](self, other)

    def __neg__(self) -> Node:
        return REGISTRY["negative"](self)

    def __lt__(self, other: Any) -> Node:
        return REGISTRY["less"](self, other)

    def __gt__(self, other: Any) -> Node:
        return REGISTRY["greater"](self, other)

    def __le__(self, other: Any) -> Node:
        return REGISTRY["less_equal"](self, other)

    def __ge__(self, other: Any) -> Node:
        return REGISTRY["greater_equal"](self, other)

    def equals(self, other: Any) -> Node:
        """Elementwise equality (``==`` on nodes is identity)."""
        return REGISTRY["equal"](self, other)

    def reshape(self, shape: Sequence[int]) -> Node:
        """Return the same elements in another shape; itself when nothing changes."""
        shape = tuple(shape)
        return self if shape == self.shape else REGISTRY["reshape"](self, shape=shape)

    def permute(self, axes: Sequence[int]) -> Node:
        """Return the array with its axes in another order; itself when nothing changes."""
        axes = tuple(axes)
        return self if axes == tuple(range(self.ndim)) else REGISTRY["permute"](self, axes=axes)

    @property
    def mT(self) -> Node:
        """The array with its last two axes exchanged."""
        axes = list(range(self.ndim))
        axes[-2:] = axes[-1], axes[-2]
        return self.permute(axes)

    def broadcast_to(self, shape: Sequence[int]) -> Node:
        """Return the array repeated to a shape; itself when nothing changes."""
        shape = tuple(shape)
        return self if shape == self.shape else REGISTRY["broadcast_to"](self, shape=shape)

    def sum(self, axis: Sequence[int]) -> Node:
        """Return the sum over axes; itself when there are none."""
        axis = tuple(axis)
        return REGISTRY["sum"](self, axis=axis) if axis else self

    def sum_to(self, shape: tuple[int, ...]) -> Node:
        """Return the sum over those axes along which `shape` would be broadcast to this shape."""
        if shape == self.shape:
            return self
        extra = self.ndim - len(shape)
        stretched = (extra + k for k, size in enumerate(shape) if size == 1 and self.shape[extra + k] != 1)
        return self.sum((*range(extra), *stretched)).reshape(shape)

    def astype(self, dtype: Any) -> Node:
        """Return the array in another dtype; itself when nothing changes."""
        return self if np.dtype(dtype) == self.dtype else REGISTRY["astype"](self, dtype=np.dtype(dtype))

    def conj(self) -> Node:
        """Return the complex conjugate; itself when real."""
        return REGISTRY["conjugate"](self) if self.spec.is_complex else self

    def real(self) -> Node:
        """Return the real part; itself when real."""
        return REGISTRY["real"](self) if self.spec.is_complex else self


REGISTRY: dict[str, Op] = {}
"""Every op by name. Written while `chainrule.ops` is imported, never after."""


def register(op: Op) -> Op:
    """Add an op to the registry; a name can be taken once."""
    if op.name in REGISTRY:
        raise GraphError(f"op {op.name!r} is declared twice")
    REGISTRY[op.name] = op
    return op


def _no_edge(k: int, node: Node) -> None:
    return None


def _leaf(name: str, doc: str) -> Op:
    def refuse(*_: Any, **__: Any) -> Any:
        raise GraphError(f"{name} is not computed from anything")

    return Op(name, doc, refuse, refuse, _no_edge, refuse, refuse, family="leaf")


def _batch_item(node: Node, args: list[Node], batched: list[bool]) -> Node:
    return item(args[0], node.params["index"])


INPUT = _leaf("input", "A value that the caller provides.")
CONSTANT = _leaf("constant", "A value that does not depend on the inputs.")
ITEM = Op(
    "item",
    "One of several results of an op.",
    evaluate=lambda results, index: results[index],
    infer=lambda specs, index: specs[index],
    edge=_no_edge,
    batch=_batch_item,
    source=lambda name, index: f"{name}[{index}]",
    family="leaf",
)


def item(results: Node, index: int) -> Node:
    """Return one of the results of a node whose op has several."""
    return results.builder.emit(ITEM, (results,), {"index": index})


_serials = itertools.count()


class Builder:
    """A graph under construction: the table of nodes by what they compute, and what was looked at.

    In a `lazy` one nodes have no values until somebody looks at them (see `value_of`): it is made to be compiled.
    In one for the body of a loop the inputs have none at all: `body_of` names the loop.
    """

    def __init__(self, lazy: bool = False, body_of: str = "") -> None:
        self.serial = next(_serials)
        self.lazy = lazy
        self.body_of = body_of
        self.open = True  # while the user's function runs, or a rule of the user's
        self.count = itertools.count()
        self.table: dict[Any, Node] = {}
        self.names: dict[str, int] = {}
        self.guards: dict[Node, Any] = {}
        self.refused: tuple[str, Origin | None] | None = None
        self.counted: list[Node] = []  # needed as plain numbers, as an index or a length is
        self.captured: dict[int, tuple[Any, Node, bytes | None]] = {}
        self.memo: dict[Any, Any] = {}

    def emit(
        self, op: Op, inputs: tuple[Node, ...], params: Params, value: Any = None, origin: Origin | None = None
    ) -> Node:
        """Return the node for an application of op: the existing one if there is one."""
        key = (op, inputs, tuple(sorted(params.items()))) if params else (op, inputs)
        node = self.table.get(key)
        if node is None:
            if value is None:
                spec: Any = op.infer(*[node.spec for node in inputs], **params)
            elif isinstance(value, np.ndarray | np.generic):
                spec = Spec.of(value)
            else:
                spec = (
                    tuple(map(Spec.of, value))
                    if isinstance(value, tuple)
                    else op.infer(*[node.spec for node in inputs], **params)
                )
            node = self.table[key] = Node(self, op, inputs, params, spec, value, origin)
        return node

    @staticmethod
    def key(op: Op, inputs: tuple[Node, ...], params: Params) -> Any:
        """Return what makes two applications the same."""
        return (op, inputs, tuple(sorted(params.items()))) if params else (op, inputs)

    def input(
        self,
        spec: Spec,
        value: Any = None,
        name: str | None = None,
        origin: Origin | None = None,
        binding: Any = None,
    ) -> Node:
        """Return a new input; `binding` is the outer traced array for which it stands, if that has no value yet."""
        node = Node(self, INPUT, (), {}, spec, value, origin, binding)
        if name:
            self.name(node, name)
        return node

    def constant(self, value: Any, dtypes: Sequence[np.dtype[Any]] = ()) -> Node:
        """Return a node for a number or a small array; equal ones are one node.

        Python numbers take the dtype that NumPy's promotion gives them beside `dtypes`.
        """
        if isinstance(value, int | float | complex) and not isinstance(value, bool | np.generic) and dtypes:
            value = np.result_type(*dtypes, value).type(value)
        elif not isinstance(value, np.ndarray | np.generic):
            value = np.asarray(value)[()]
        if value.size > _SMALL or value.dtype.hasobject:
            return self.capture(value)
        key = (CONSTANT, isinstance(value, np.ndarray), value.dtype, value.shape, value.tobytes())
        node = self.table.get(key)
        if node is None:
            value = value.copy() if isinstance(value, np.ndarray) else value
            node = self.table[key] = Node(self, CONSTANT, (), {}, Spec.of(value), value)
        return node

    def capture(self, array: Any, spec: Spec | None = None, value: Any = None) -> Node:
        """Return the node for an outer value (an array, or a traced array of an outer graph).

        Arrays are bound by reference. One that its owner overwrites becomes another node from then on, so
        that what was computed before keeps the old numbers; above 256 KiB the old numbers are gone, and
        `verify` raises.
        """
        seen = self.captured.get(id(array))
        plain = isinstance(array, np.ndarray)
        if seen is not None and (not plain or seen[2] == _fingerprint(array)):
            return seen[1]
        if plain:
            writable = _is_writable(array)
            print_ = _fingerprint(array) if writable else None
            value = array.copy() if writable and array.nbytes <= _SNAPSHOT else array
            node = Node(self, CONSTANT, (), {}, Spec.of(array), value, binding=array)
        else:
            print_ = None
            node = Node(self, CONSTANT, (), {}, spec, value, binding=array)
        if seen is not None:
            self.verify()
            seen[1].binding = node.binding = None if plain else array  # overwritten on the way: both keep their numbers
        self.captured[id(array)] = array, node, print_
        return node

    def verify(self) -> None:
        """Let captured arrays that were overwritten keep their numbers; raise if one was too large to copy."""
        for array, node, print_ in self.captured.values():
            if print_ is None or print_ == _fingerprint(array):
                continue
            if array.nbytes <= _SNAPSHOT:
                node.binding = None
            else:
                raise GraphError(
                    f"{node.name}: this {node.spec} array was overwritten after it had been used; "
                    "a derivative would mix old and new numbers. Use a copy, `array.copy()`"
                )

    def name(self, node: Node, name: str) -> None:
        """Give a node a name, unique in this builder, unless it has one."""
        if node._name is None:
            unique, count = name, self.names.get(name, 0)
            while unique in self.names:
                count += 1
                unique = f"{name}_{count}"
            self.names[name] = count
            self.names.setdefault(unique, 0)
            node._name = unique


def _is_writable(array: np.ndarray) -> bool:
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return True
        base = base.base
    return False


def _fingerprint(array: np.ndarray) -> bytes | None:
    """Bytes that change when the array does: all of them up to 256 KiB, else sums of 8 KiB columns."""
    if not _is_writable(array) or array.dtype.hasobject:
        return None
    if array.nbytes <= _SNAPSHOT:
        return array.tobytes()
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = flat[: flat.size // 8192 * 8192].view(np.uint64).reshape(-1, 1024)
    return np.add.reduce(whole, axis=0).tobytes() + flat[whole.nbytes :].tobytes()


@dataclass(frozen=True, slots=True)
class Program:
    """A function: nodes from inputs to outputs. Captured arrays are inputs bound by reference."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    builder: Builder = field(repr=False)

    @property
    def nodes(self) -> list[Node]:
        """Inputs and everything the outputs need, each after what it needs."""
        return ancestors(self.outputs, self.inputs)

    def __str__(self) -> str:
        lines = [f"{node!r} : {node.spec}" for node in self.nodes]
        return "\n".join([*lines, f"return {', '.join(node.name for node in self.outputs)}"])


def ancestors(targets: Iterable[Node], extra: Iterable[Node] = ()) -> list[Node]:
    """Return the targets and all they need (and the extra nodes), in the order in which they were made."""
    seen = {*targets, *extra}
    stack = list(seen)
    while stack:
        for node in stack.pop().inputs:
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return sorted(seen, key=_BY_INDEX)


def between(targets: Iterable[Node], sources: Iterable[Node]) -> list[Node]:
    """Return, in order, the nodes that the targets need and that depend on a source; sources too."""
    reached = set(sources)
    floor = min((node.index for node in reached), default=0)  # older nodes depend on no source
    seen = {node for node in targets if node.index >= floor}
    stack = list(seen)
    while stack:
        for node in stack.pop().inputs:
            if node.index >= floor and node not in seen:
                seen.add(node)
                stack.append(node)
    found = []
    for node in sorted(seen, key=_BY_INDEX):
        if node in reached or not reached.isdisjoint(node.inputs):
            reached.add(node)
            found.append(node)
    return found


def evaluate(targets: Sequence[Node], values: Mapping[Node, Any] | None = None) -> list[Any]:
    """Return the values of nodes, computing those that have none yet; `values` takes precedence.

    Values are dropped after their last use. Floating-point warnings are silenced: the user has seen those
    of the function itself, and an infinite partial in an untaken branch is nobody's mistake.
    """
    known: dict[Node, Any] = dict(values or {})
    order = _missing(targets, known)
    uses: dict[Node, int] = {}
    for node in order:
        for arg in node.inputs:
            uses[arg] = uses.get(arg, 0) + 1
    for node in targets:
        uses[node] = uses.get(node, 0) + 1
    with np.errstate(all="ignore"):
        for node in order:
            args = [known.get(arg, arg.value) for arg in node.inputs]
            try:
                known[node] = node.op.evaluate(*args, **node.params)
            except np.linalg.LinAlgError as error:
                raise _refused(node, error) from None
            for arg in node.inputs:
                uses[arg] -= 1
                if not uses[arg]:
                    known.pop(arg, None)
    return [known.get(node, node.value) for node in targets]


def _refused(node: Node, error: Exception) -> LinAlgError:
    """Return what to say of a matrix that an op cannot take, which may be that of a derivative alone."""
    line = node.origin or next((each.origin for each in reversed(ancestors([node])) if each.origin), None)
    role = "" if node.origin else ", in a derivative of what is computed"
    return LinAlgError(f"{node.op.name}: {str(error).rstrip('.')}{role}{f', at {line}' if line else ''}")


def value_of(node: Node) -> Any:
    """Return the value of a node of a lazy builder, computing it, and what it needs, where nobody has looked yet."""
    if node.value is None:
        order = _unvalued(node)
        with np.errstate(all="ignore"):
            for each in order:
                if each.value is None:
                    if each.op is INPUT or each.op is CONSTANT:
                        if each.binding is None:
                            raise GraphError(f"{each.name}: no value was given for this input")
                        each.value = each.binding.value
                    else:
                        each.value = each.op.evaluate(*(arg.value for arg in each.inputs), **each.params)
    return node.value


def _unvalued(node: Node) -> list[Node]:
    """Return, in order, a node and those without values that it needs."""
    seen = {node}
    stack = [node]
    while stack:
        for arg in stack.pop().inputs:
            if arg.value is None and arg not in seen:
                seen.add(arg)
                stack.append(arg)
    return sorted(seen, key=_BY_INDEX)


def _missing(targets: Iterable[Node], known: Mapping[Node, Any]) -> list[Node]:
    """Return, in order, the nodes to compute before the targets are known."""
    stale = _stale(targets, known)
    seen: set[Node] = set()
    stack = [node for node in targets if node not in known and (node.value is None or node in stale)]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        if node.op is INPUT or node.op is CONSTANT:
            raise GraphError(f"{node.name}: no value was given for this input")
        seen.add(node)
        stack += [arg for arg in node.inputs if arg not in known and (arg.value is None or arg in stale)]
    return sorted(seen, key=_BY_INDEX)


def _stale(targets: Iterable[Node], known: Mapping[Node, Any]) -> set[Node]:
    """Return the nodes whose own value no longer holds because an input is given another one."""
    changed = {node for node, value in known.items() if node.value is not None and node.value is not value}
    return set(between(targets, changed)) - set(known) if changed else set()


def batch(targets: Sequence[Node], mapping: Mapping[Node, Node]) -> list[Node | None]:
    """Add an axis in front: `mapping` gives nodes their batched versions; None where a target has no batch."""
    batched = dict(mapping)
    for node in between(targets, mapping):
        if node not in batched:
            flags = [arg in batched for arg in node.inputs]
            batched[node] = node.op.batch(node, [batched.get(arg, arg) for arg in node.inputs], flags)
    return [batched.get(node) for node in targets]


def inline(targets: Sequence[Node], mapping: Mapping[Node, Node], builder: Builder) -> list[Node]:
    """Make nodes of another builder that compute the same; `mapping` says what stands for which node there."""
    known = dict(mapping)
    for node in _needed(targets, known):
        if node.op is CONSTANT:
            known[node] = builder.constant(node.value if node.binding is None else node.binding)
            continue
        args = tuple(known[arg] for arg in node.inputs)
        copy = known[node] = builder.emit(node.op, args, node.params, None, node.origin)
        if node.is_named:
            builder.name(copy, node.name)
    return [known[node] for node in targets]


def _needed(targets: Iterable[Node], known: Mapping[Node, Any]) -> list[Node]:
    """Return, in order, the targets and all they need, up to nodes that are known."""
    seen = {node for node in targets if node not in known}
    stack = list(seen)
    while stack:
        for node in stack.pop().inputs:
            if node not in seen and node not in known:
                seen.add(node)
                stack.append(node)
    return sorted(seen, key=_BY_INDEX)
