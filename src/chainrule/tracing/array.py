"""The traced array: a node with its concrete value, which NumPy's protocols bring into the graph.

A `TracedArray` stands where the user's function expects an array. It is a mutable handle on immutable
nodes: ``x[i] = v`` makes a new node and lets the handle point to it. Views (basic slices, reshapes,
transposes) remember their base, so that assigning through either shows in both, as in NumPy. Elements and rows that
are written one by one wait until the array is read as a whole, and become one node then.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, NoneType
from typing import Any

import numpy as np
import scipy.sparse
import scipy.special

from chainrule import ir
from chainrule.errors import (
    ChainruleError,
    DetachError,
    DtypeError,
    GraphError,
    IndexingError,
    LinAlgError,
    NotDifferentiableError,
    ShapeError,
    UnsupportedAttributeError,
    UnsupportedError,
)
from chainrule.ir import REGISTRY, Builder, Node, Op
from chainrule.namespaces import Foreign, wrap
from chainrule.ops.pointwise import astype, ceil, equal, floor, not_equal, trunc
from chainrule.ops.structural import (
    broadcast_to,
    concatenate,
    gather,
    permute,
    put,
    put_slice,
    reshape,
    slice_,
    slices,
)
from chainrule.tracing.indexing import Plan, plan
from chainrule.tracing.origin import (
    at,
    call_at,
    here,
    is_users,
    library_function,
    scipys_name,
    targets,
    user_frame,
    variable_of,
)
from chainrule.types import Spec

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""What each NumPy function does with traced arguments; filled by `chainrule.tracing.functions`."""

CREATORS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""What ``np.zeros(n, like=traced)`` and its kin do: `(like, *args, **kwargs)`."""

UFUNC_METHODS: dict[str, Callable[..., Any]] = {}
"""What reduce, accumulate, ... do; filled by `chainrule.tracing.functions`."""

UFUNCS: dict[np.ufunc, Op] = {op.evaluate: op for op in REGISTRY.values() if isinstance(op.evaluate, np.ufunc)}


SPARSE_PRODUCTS = {
    getattr(getattr(kind, "_matmul_dispatch", None), "__code__", None)
    for kind in (scipy.sparse.csr_array, scipy.sparse.coo_array, scipy.sparse.dia_array)
}
"""What SciPy's sparse matrices run for `A @ x`: it leaves to x what is a mere object for NumPy."""

_MISSING = {
    "base": "a traced view knows its base itself: assigning to either shows in both",
    "flags": "traced arrays are writable, and have no memory of their own",
    "resize": "write np.resize(x, shape), or np.concatenate",
    "partition": "write np.partition(x, k)",
    "setflags": "traced arrays are always writable",
    **dict.fromkeys(["data", "ctypes", "tobytes", "tofile", "dump", "dumps", "getfield", "setfield", "byteswap"],
       "its bytes would leave the graph; return the array from the function first"),
}  # fmt: skip
"""What to do instead of attributes of ndarray that a traced array does not have."""


class TracedArray:
    """An array whose operations are recorded. It behaves as the NumPy array of its value."""

    __slots__ = ("__weakref__", "_base", "_base_node", "_depth", "_label", "_lay", "_node", "_origin", "_pending",
                 "_place", "_read", "_write", "builder")  # fmt: skip

    __array_priority__ = 1000.0

    def __init__(self, builder: Builder, node: Node) -> None:
        self.builder = builder
        self._node = node
        self._base: TracedArray | None = None
        self._base_node: Node | None = None
        self._place: Place | None = None  # where in the base an element or a row stands
        self._lay: Lay | None = None  # how a view lies in the memory of its base; set without a base: in C order
        self._pending: dict[Place, Node] = {}  # elements or rows written since the array was last read as a whole
        self._depth = 0  # how many indices their places have
        self._origin: ir.Origin | None = None  # the line that wrote last
        self._label: str | None = None  # the user's name for the array

    # -- the node behind the handle --------------------------------------------------------------

    @property
    def node(self) -> Node:
        """The node that holds the current value; a view looks at its base again."""
        if self._base is None:
            if self._pending:
                self._settle()
        elif self._place is not None:
            if self._base._pending or self._base._node is not self._base_node:
                self._node = self._base.part(self._place)
                self._base_node = self._base._node
        else:
            base_node = self._base.node
            if base_node is not self._base_node:
                self._node = self._read(base_node)
                self._base_node = base_node
        return self._node

    def assign(self, node: Node) -> None:
        """Let this array, and the base it is a view of, take a new value."""
        if self._base is None:
            self._pending = {}
        elif self._place is not None:
            self._base.write(self._place, node)
            self._base_node = None
        else:
            self._base.assign(self._write(self._base.node, node))
            self._base_node = self._base.node
        self._node = node

    def look_through(
        self, base: TracedArray, read: Callable[[Node], Node], write: Callable[[Node, Node], Node], lay: Lay
    ) -> None:
        """Become a view: `read` finds the value in the base's, `write` puts a new value back."""
        self._base, self._base_node = base, base.node
        self._read, self._write, self._lay = read, write, lay

    def part(self, place: Place) -> Node:
        """Return the node of an element or a row, which may have been written and wait; for arrays without a base."""
        if self._pending:
            if len(place) != self._depth:
                self._settle()
            elif place in self._pending:
                return self._pending[place]
        index = (*place, *((0, size, 1) for size in self.shape[len(place) :]))
        return compute(self.builder, slice_, (self._node,), {"index": index})

    def write(self, place: Place, node: Node) -> None:
        """Let an element or a row take a new value, which waits until the array is read; for arrays without a base."""
        if self._pending and len(place) != self._depth:
            self._settle()
        self._depth = len(place)
        self._pending[place] = node
        self._origin = here()

    def _settle(self) -> None:
        """Make one node of the elements or rows that wait."""
        pending, self._pending = self._pending, {}
        self._node = written(self.builder, self._node, pending, self._origin)
        if self._label:
            self.builder.name(self._node, self._label)

    @property
    def value(self) -> Any:
        """The concrete NumPy value."""
        node = self.node
        try:
            return ir.value_of(node)
        except GraphError:
            loop = self.builder.body_of
            if not loop:
                raise
            name = f" of {node.name!r}" if node.is_named else ""
            raise UnsupportedError(
                f"the value{name} ({node.spec}) is not known in a function given to {loop}, which is traced once for "
                f"all values{at()}; choose with chainrule.cond or np.where, index a plain array as "
                "np.asarray(a, like=x)[i] with x traced, or write a plain Python loop or `if`"
            ) from None

    @property
    def is_scalar(self) -> bool:
        """Whether NumPy would have a scalar here, which does not change, rather than an array without axes."""
        if self._node.spec.shape:
            return False
        node = self.node
        if node.value is not None and not isinstance(node.value, Foreign):
            return isinstance(node.value, np.generic)
        if isinstance(node.binding, TracedArray):
            return node.binding.is_scalar
        return node.op.name not in _KEEP_ARRAYS

    # -- what an array tells of itself ------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, as of a NumPy array."""
        return self._node.spec.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype, as of a NumPy array."""
        return self._node.spec.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._node.spec.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._node.spec.size

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        return self.size * self.itemsize

    @property
    def T(self) -> Any:
        """The array with its axes reversed."""
        return finish(permuted(self, range(self.ndim)[::-1]))

    @property
    def mT(self) -> Any:
        """The array with its last two axes exchanged."""
        if self.ndim < 2:
            raise ShapeError(f"mT: at least two axes are needed, got shape {self.shape}{at()}")
        return finish(permuted(self, [*range(self.ndim - 2), self.ndim - 1, self.ndim - 2]))

    @property
    def real(self) -> Any:
        """Real part; can be assigned to."""
        return np.real(self)

    @real.setter
    def real(self, value: Any) -> None:
        self[...] = value + 1j * self.imag if self.dtype.kind == "c" else value

    @property
    def imag(self) -> Any:
        """Imaginary part; can be assigned to."""
        return np.imag(self)

    @imag.setter
    def imag(self, value: Any) -> None:
        self[...] = self.real + 1j * value

    @property
    def flat(self) -> Flat:
        """The elements in C order, to iterate over, read and assign."""
        return Flat(self)

    @flat.setter
    def flat(self, value: Any) -> None:
        self.flat[...] = value

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next along each axis, of the concrete value."""
        return np.asarray(self.value).strides

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in TracedArray.__slots__:
            raise AttributeError(f"'TracedArray' object has no attribute {name!r}")
        why = _MISSING.get(name, "write it with NumPy functions" if hasattr(np.ndarray, name) else "arrays have none")
        raise UnsupportedAttributeError(f"a traced array has no attribute {name!r}{at()}; {why}")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        names = targets(user_frame())
        if not self.builder.open:
            raise leaked((self,), self.builder)
        parts = [self._get(k) for k in range(len(self))]
        for part, name in zip(parts, names if len(names) == len(parts) > 1 else (), strict=False):
            if name:
                self.builder.name(part.node, name)
        return iter(parts)

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self == value))

    def __repr__(self) -> str:
        return f"traced({self._shown()!r})"

    def __str__(self) -> str:
        return str(self._shown())

    def __format__(self, spec: str) -> str:
        shown = self._shown()
        return format(shown, spec) if isinstance(shown, np.ndarray | np.generic) else str(shown)

    def _shown(self) -> Any:
        """Return the value for a text: in a graph to be compiled that is a decision, since the text is a constant."""
        try:
            shown = self._look() if self.builder.lazy and self.builder.open else self.value
            return np.asarray(shown)[()] if isinstance(shown, Foreign) else shown
        except UnsupportedError:  # in the body of a loop, which has no values: shape and dtype
            return self.node.spec

    # -- leaving the graph: only where no derivative is lost ----------------------------------------

    def _look(self) -> Any:
        """Return the value for a decision of the program, and record that it was looked at."""
        value = self.value
        self.builder.guards[self.node] = value
        return value

    def _leave(self, what: str) -> Any:
        """Return the value if its derivative is zero anyway, else refuse."""
        node = self.node
        if not self.builder.open:
            raise leaked((self,), self.builder)
        if not node.spec.is_inexact or node.op is ir.CONSTANT or node.op.name == "stop_gradient":
            return self._look()
        self.builder.counted.append(node)
        name = f" {node.name!r}" if node.is_named else ""
        frame = user_frame()
        text, function = ("", None) if frame is None else call_at(frame, frame.f_lasti)
        message = (
            f"{text or what} would take the traced value{name} ({node.spec}) out of the graph and lose its "
            f"derivative{at()}; {instead(text, function, library_function(frame), frame)} "
            "To drop the derivative on purpose, use chainrule.stop_gradient first."
        )
        self.builder.refused = message, here()
        raise DetachError(message)

    def __pos__(self) -> Any:
        return finish(np.positive(self))

    def __round__(self, digits: int | None = None) -> Any:
        return finish(np.round(self, digits or 0))

    def __bool__(self) -> bool:
        if self.size != 1:
            return bool(np.empty(self.shape, bool))  # NumPy's own error
        return bool((self if self.dtype.kind == "b" else self._decided(not_equal, 0))._look())

    def __int__(self) -> int:
        return int((self if self.dtype.kind in "biu" or self.size != 1 else self._decided(trunc))._look())

    def _decided(self, op: Op, *others: Any) -> TracedArray:
        """Return what a decision depends on, in a graph to be compiled: fewer values are told apart."""
        return record(op, self, *others) if self.builder.lazy and self.dtype.kind != "c" else self

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.ndim:
            node = self.node
            self.builder.counted.append(node)
            name = node.name if node.is_named else "x"
            given = node.op is ir.INPUT and not self.ndim
            why = f"; {name} counts as a real number where its derivative is asked" if given else ""
            raise DtypeError(
                f"only integer scalar arrays can be converted to a scalar index{at()}{why}; write int({name})"
            )
        return int(self._look())

    def __trunc__(self) -> int:
        return int(self)

    def __floor__(self) -> int:
        return int(np.floor(self._decided(floor)._look()))

    def __ceil__(self) -> int:
        return int(np.ceil(self._decided(ceil)._look()))

    def __float__(self) -> float:
        return float(self._leave("float()"))

    def __complex__(self) -> complex:
        return complex(self._leave("complex()"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if in_sparse_product(sys._getframe(1)):
            return np.array(None, dtype=object)  # __rmatmul__ comes next
        return np.array(self._leave("Conversion to a plain array"), dtype=dtype)

    def item(self, *args: Any) -> Any:
        """Refuse: a Python number has no derivative."""
        return self._leave("item()").item(*args)

    def tolist(self) -> Any:
        """Return nested lists of traced numbers."""
        return [part.tolist() if part.ndim else part for part in self] if self.ndim else self

    def __reduce__(self) -> Any:
        raise DetachError(f"a traced value cannot be pickled{at()}; return it from the function and pickle the result")

    def __copy__(self) -> TracedArray:
        return TracedArray(self.builder, self.node)

    def __deepcopy__(self, memo: Any) -> TracedArray:
        return TracedArray(self.builder, self.node)

    __hash__ = None  # type: ignore[assignment]

    # -- indexing and assignment ---------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        return finish(self._get(key))

    def _get(self, key: Any) -> TracedArray:
        place = self._place_of(key)
        if place is not None:
            return self._part(place)
        steps = plan(self.shape, self._places(key))
        part = self._basic(steps)
        if not steps.axes:
            return part
        front = permuted(part, _front(steps, part.ndim))
        arrays = broadcast_indices(self.builder, steps.arrays)
        found = record(gather, front, *arrays)
        count = arrays[0].ndim
        order = list(range(count, count + steps.place))
        return permuted(found, [*order, *range(count), *range(count + steps.place, found.ndim)])

    def _place_of(self, key: Any) -> Place | None:
        """Return the place of an element or a row, if the key is plain integers for the first axes of a whole array."""
        if self._base is not None:
            return None
        keys, shape = key if type(key) is tuple else (key,), self._node.spec.shape
        if len(keys) > len(shape):
            return None
        place = []
        for part, size in zip(keys, shape, strict=False):
            if type(part) is slice and part == _ALL:
                break
            if not (type(part) is int or isinstance(part, np.integer)) or not -size <= part < size:
                return None
            place.append(int(part) % size)
        rest = keys[len(place) :]
        return tuple(place) if place and all(type(part) is slice and part == _ALL for part in rest) else None

    def _part(self, place: Place) -> TracedArray:
        if not self.builder.open:
            raise leaked((self,), self.builder)
        result = TracedArray(self.builder, self.part(place))
        if len(place) < self.ndim:
            result._base, result._base_node, result._place = self, self._node, place
        return result

    def _basic(self, steps: Plan) -> TracedArray:
        part = self if _is_whole(steps, self.shape) and not steps.scalar else record(slice_, self, index=steps.index)
        if part is self and steps.shape == self.shape:
            return view(self, self.node, lambda node: node, lambda _, value: value, lambda array: array)
        return part if steps.shape == part.shape else record(reshape, part, shape=steps.shape)

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.ndim and key not in ((), Ellipsis):
            raise IndexingError(f"too many indices: the array has no axes{at()}")
        if self.is_scalar:
            raise TypeError(f"a NumPy scalar does not support item assignment{at()}")
        if not self.builder.open:
            raise leaked((self,), self.builder)
        place = self._place_of(key)
        if place is not None:
            if getattr(value, "_base", None) is self:
                _refuse_shuffle()
            if len(place) == self.ndim:
                new = _element(self, value, key)
            else:
                new = _fitted(self, value, self.shape[len(place) :], key)
            self.write(place, new.node)
            return
        steps = plan(self.shape, self._places(key))
        if steps.scalar:
            element = _element(self, value, key).node if self.ndim else _fitted(self, value, (), key).node
            params = {"index": steps.index}
            self.assign(compute(self.builder, put_slice, (self.node, element), params) if self.ndim else element)
            return
        part = (
            self._basic(steps) if steps.axes or steps.shape != self.shape or not _is_whole(steps, self.shape) else self
        )
        if not steps.axes:
            new = _fitted(part, value, part.shape, key)
            if new.node is not part.node:  # after `x[1:] += v` it is there already
                part.assign(new.node)
            return
        front = permuted(part, _front(steps, part.ndim))
        arrays = broadcast_indices(self.builder, steps.arrays)
        count = len(steps.axes)
        common = arrays[0].shape
        rest = front.shape[count:]
        shape = (*rest[: steps.place], *common, *rest[steps.place :])
        new = _fitted(part, value, shape, key)
        moved = [*range(steps.place, steps.place + len(common)), *range(steps.place)]
        new = permuted(new, [*moved, *range(len(moved), new.ndim)])
        written = record(put, front, new, *arrays)
        front.assign(written.node)

    def _places(self, key: Any) -> Any:
        """Replace boolean arrays in a key by the integer arrays of their nonzero places, lists by arrays."""
        parts: list[Any] = [
            np.asarray(part, None if part else np.intp) if isinstance(part, list) else _by_numpy(part)
            for part in (key if isinstance(key, tuple) else (key,))
        ]
        if any(isinstance(part, bool | np.bool_) or (_is_mask(part) and not part.ndim) for part in parts):
            raise UnsupportedError(f"an array indexed by a single bool is not supported{at()}; use np.where")
        used = [0 if part is None or part is Ellipsis else part.ndim if _is_mask(part) else 1 for part in parts]
        found: list[Any] = []
        axis = 0
        for part, count in zip(parts, used, strict=True):
            if _is_mask(part):
                if self.shape[axis : axis + count] != part.shape:
                    raise IndexingError(
                        f"boolean index of shape {part.shape} does not match the array's shape {self.shape}{at()}"
                    )
                found += np.nonzero(np.asarray(part._look()) if isinstance(part, TracedArray) else part)
            else:
                found.append(part)
            axis += self.ndim - sum(used) if part is Ellipsis else count
        return tuple(found)

    # -- protocols of NumPy and of the array API -----------------------------------------------------

    def __array_namespace__(self, *, api_version: Any = None) -> Namespace:
        np.empty(0).__array_namespace__(api_version=api_version)  # raises for one that NumPy does not have
        return Namespace(self)

    @property
    def device(self) -> str:
        """As of a NumPy array: "cpu"."""
        return "cpu"

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        outs = kwargs.pop("out", None)
        if method != "__call__":
            rule = UFUNC_METHODS.get(method)
            if rule is None:
                raise UnsupportedError(f"np.{ufunc.__name__}.{method} has no rule for traced arrays{at()}")
            result = rule(ufunc, *inputs, **kwargs)
        else:
            result = call_ufunc(ufunc, inputs, outs, **kwargs)
        if outs is None:
            return finish(result)
        if len(outs) == 1:
            return finish(_deliver(result, outs[0], ufunc.__name__))
        return finish(tuple(_deliver(*pair, ufunc.__name__) for pair in zip(result, outs, strict=True)))

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        rule = FUNCTIONS.get(func)
        if rule is None:
            creator = CREATORS.get(getattr(func, "__wrapped__", func))  # NumPy says what the name np.zeros leads to
            if creator is not None:
                return finish(creator(self, *args, **kwargs))
            raise UnsupportedError(
                f"{spelled(func)} has no rule for traced arrays{at()}; write it with functions that have one"
            )
        names, agree, known, defaults = _parameters(func)
        if len(args) > agree:  # NumPy's order of parameters, where the rule leaves some out
            kwargs = {**dict(zip(names[agree:], args[agree:], strict=False)), **kwargs}
            args = args[:agree]
        out = kwargs.pop("out", None) if kwargs else None
        if known is not None and not known.issuperset(kwargs):
            kwargs = _supported(func, kwargs, known, defaults)
        result = rule(*args, **kwargs)
        return finish(result if out is None else _deliver(result, out, func.__name__))


@functools.cache
def _parameters(func: Callable[..., Any]) -> tuple[list[str], int, frozenset[str] | None, dict[str, Any]]:
    """Compare a NumPy function's parameters with those of its rule.

    Returns:
        NumPy's positional parameters; how many of them the rule has in the same places; all names that the rule
        takes, None where it takes any; NumPy's default values.
    """
    rule = inspect.signature(FUNCTIONS[func]).parameters.values()
    try:
        own = inspect.signature(func).parameters.values()
    except ValueError:  # written in C, without a text signature
        own = rule
    names = [p.name for p in own if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    taken = [p.name for p in rule if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    differ = [k for k, pair in enumerate(zip(names, taken, strict=False)) if pair[0] != pair[1]]
    agree = min([len(names), len(taken), *differ])
    if any(p.kind is p.VAR_POSITIONAL for p in rule):
        agree = sys.maxsize
    known = None if any(p.kind is p.VAR_KEYWORD for p in rule) else frozenset(p.name for p in rule)
    return names, agree, known, {p.name: p.default for p in own if p.default is not p.empty}


def _supported(
    func: Callable[..., Any], kwargs: dict[str, Any], known: frozenset[str], defaults: dict[str, Any]
) -> dict[str, Any]:
    """Return the keyword arguments that a rule knows; the others must have NumPy's default value."""
    for name, value in kwargs.items():
        if name not in known and (name not in defaults or value is not defaults[name]):
            raise UnsupportedError(f"{spelled(func)}: {name}= is not supported with traced arrays{at()}")
    return {name: value for name, value in kwargs.items() if name in known}


def spelled(func: Callable[..., Any]) -> str:
    """Return the name of a NumPy or SciPy function as users write it."""
    homes = (home.__name__ for home in (np, scipy.special) if hasattr(home, func.__name__))
    module = getattr(func, "__module__", None) or next(homes, None)  # ufuncs do not tell their module
    return f"{module}.{func.__name__}".replace("numpy", "np", 1) if module else func.__name__


MAKE_INSIDE = (
    "make the array inside the traced function, with np.zeros(n) or np.array(a), or np.copy(a) of one from outside; "
    "where a name imported as `from numpy import zeros` is called, write np.zeros(n), or zeros_like(x), instead"
)
"""What to do where traced values are stored in an array that is not known."""

_INSTEAD = {
    ("array", "asarray", "asanyarray", "ascontiguousarray", "fromiter", "r_", "c_"): (
        "write np.stack([a, b]) or np.concatenate([x, y]), or give np.array the argument like=x; a traced value is an "
        "array already."
    ),
    ("full", "arange"): "write np.full(n, t, like=t), or t + np.zeros(n); t + step * np.arange(n).",
    ("float", "float64", "float32", "complex"): "leave the conversion out: a traced value is a number already.",
    ("dot",): "write b @ x for b.dot(x).",
    ("vectorize",): "write it for whole arrays, or with np.stack([f(each) for each in x]).",
    ("fill", "itemset", "put", "__setitem__"): f"{MAKE_INSIDE}.",
    ("normal", "lognormal"): (
        "write loc + scale * rng.standard_normal(n), or chainrule.random.normal(rng, loc, scale, n)."
    ),
    (
        "uniform",
        "gamma",
        "standard_gamma",
        "exponential",
        "multivariate_normal",
        "beta",
        "dirichlet",
        "chisquare",
        "standard_t",
        "laplace",
        "logistic",
        "gumbel",
        "rayleigh",
        "weibull",
        "pareto",
        "power",
        "triangular",
    ): ("chainrule.random has it with a derivative: chainrule.random.gamma(rng, shape, scale, n), for instance."),
    ("poisson", "binomial", "geometric", "negative_binomial", "multinomial", "hypergeometric"): (
        "whole numbers drawn have no derivative by their parameters."
    ),
    ("permutation", "choice", "shuffle"): "draw the places: x[rng.permutation(len(x))].",
}
"""What to write instead of functions that take traced values out of the graph, by their names."""

_TWINS = {"lgamma": "scipy.special.gammaln", "gamma": "scipy.special.gamma", "erf": "scipy.special.erf",
          "erfc": "scipy.special.erfc", "fsum": "np.sum", "dist": "np.linalg.norm"}  # fmt: skip
"""NumPy's or SciPy's functions for those of `math` that have another name there."""


TWIN_ADVICE: list[Callable[[str, str, Any], str | None]] = []
"""`(module, name in it, value)` → how to call the twin of that part of SciPy, if any; filled by `chainrule.scipy`."""


def twin_of(home: str, path: str, value: Any) -> str | None:
    """Return how to call the twin of a SciPy function or object, if it has one."""
    return next(filter(None, (advise(home, path, value) for advise in TWIN_ADVICE)), None)


def twin_advice(home: str, path: str, value: Any) -> str:
    """Return what to do about a SciPy function or object that was given traced values."""
    return twin_of(home, path, value) or (
        "of SciPy the ufuncs of scipy.special do, and the twins in chainrule.scipy. Write it with NumPy functions, or "
        "give it a derivative with chainrule.custom_vjp"
    )


def instead(text: str, function: Any, scipys: str | None, frame: FrameType | None) -> str:
    """Return what to write instead of the call in `text`, where it is known."""
    home, name = getattr(function, "__module__", None) or "", getattr(function, "__name__", "")
    if home in ("math", "cmath"):
        twin = _TWINS.get(name) or (f"np.{name}" if hasattr(np, name) else None)
        return f"write {twin} for {home}.{name}." if twin else f"{home}.{name} works on Python numbers only."
    found = scipys_name(frame, text, scipys)
    if found is not None:
        return f"{found[0]}.{found[1]} does not see traced values; {twin_advice(*found)}."
    match = re.match(r"(?:[\w.]|\(\))*?(\w+)[([][^)]", text)
    for names, advice in _INSTEAD.items():
        if match and match[1] in names:
            return advice
    if re.fullmatch(r"[\w.]+\[.*\]", text):
        return f"{MAKE_INSIDE}."
    return "write it with NumPy functions that have a rule, np.stack([a, b]) for a list of traced values."


class Namespace:
    """NumPy's functions, as the array API namespace of traced arrays.

    What is made from nothing (``xp.zeros(n)``, ``xp.asarray(x)``) belongs to the graph, so that it can be written into.
    """

    def __init__(self, like: TracedArray) -> None:
        self._like = like

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        is_maker = inspect.isroutine(found) and found in CREATORS
        return functools.partial(found, like=self._like) if is_maker else found

    def asarray(self, obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
        """Return anything as an array of the graph: itself where nothing changes."""
        if isinstance(obj, TracedArray) and not copy and dtype in (None, obj.dtype):
            return obj
        return finish(np.asarray(obj, dtype=dtype, like=self._like))

    # The same as each other and as the namespace that array-api-compat has for NumPy's arrays: code asks for the one
    # namespace of traced and plain arrays together, and they are compared, by name or by themselves.

    @property
    def __name__(self) -> str:
        return "array_api_compat.numpy" if "array_api_compat.numpy" in sys.modules else "numpy"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Namespace) or other is sys.modules.get("array_api_compat.numpy", self)

    def __hash__(self) -> int:
        return hash(sys.modules.get("array_api_compat.numpy", Namespace))

    def __repr__(self) -> str:
        return "<NumPy's functions for traced arrays>"


def in_sparse_product(frame: FrameType | None) -> bool:
    """Whether a product of SciPy's sparse matrices asks for an array; what stands for np.asarray may lie in between."""
    while frame is not None and frame.f_globals.get("__name__") == "chainrule.tracing.constructors":
        frame = frame.f_back
    return frame is not None and frame.f_code in SPARSE_PRODUCTS


class Flat:
    """What `x.flat` is: the elements in C order."""

    def __init__(self, array: TracedArray) -> None:
        self.array = array
        self.rest = iter(np.ravel(array)) if array.ndim else iter([array])

    def __len__(self) -> int:
        return self.array.size

    def __iter__(self) -> Iterator[Any]:
        return self.rest

    def __next__(self) -> Any:
        return next(self.rest)

    def __getitem__(self, key: Any) -> Any:
        return np.ravel(self.array)[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        places = np.arange(self.array.size)[key]
        value = stacked(value)
        value = np.resize(value, places.shape) if np.ndim(value) else value
        self.array[np.unravel_index(places, self.array.shape)] = value


class TracedNumber(TracedArray):
    """A traced Python number: beside arrays it takes their precision, as NumPy has it for Python's numbers."""

    __slots__ = ()

    def beside(self, dtypes: Sequence[np.dtype[Any]]) -> Node:
        """Return the node for this number as an operand of arrays of these dtypes."""
        dtype = np.result_type(*dtypes, {"i": 0, "c": 0j}.get(self.dtype.kind, 0.0))
        return self.node if dtype == self.dtype else compute(self.builder, astype, (self.node,), {"dtype": dtype})


class LocalArray(np.ndarray):
    """A plain array made inside a traced function, which can take traced values; see `chainrule.tracing.local`."""

    def plain(self) -> np.ndarray:
        """Return the same elements as an ordinary array."""
        raise NotImplementedError

    def opened(self, builder: Builder) -> TracedArray:
        """Let the array hold values of a builder from now on, and return the traced array that holds them."""
        raise NotImplementedError


_TYPED = (TracedArray, np.ndarray, np.generic)

# -- recording -----------------------------------------------------------------------------------------


def compute(
    builder: Builder, op: Op, nodes: tuple[Node, ...], params: dict[str, Any], origin: ir.Origin | None = None
) -> Node:
    """Return the node of an op applied to nodes that have values, with its value."""
    node = builder.table.get(Builder.key(op, nodes, params))
    if node is not None and (node.value is not None or builder.lazy):
        return node
    origin = origin or here()
    try:
        if builder.lazy:
            return builder.emit(op, nodes, params, None, origin)
        value = op.evaluate(*(node.value for node in nodes), **params)
    except ChainruleError:
        raise
    except IndexError as error:
        raise IndexingError(f"{error}, at {origin}") from None
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{op.name}: {error}, at {origin}") from None
    except ValueError as error:
        raise ShapeError(_mismatch(op, nodes, error, origin)) from None
    except TypeError as error:
        dtypes = ", ".join(str(node.dtype) for node in nodes)
        raise DtypeError(f"{op.name}: NumPy has no rule for {dtypes}, at {origin} ({error})") from None
    if node is not None:
        node.value, node.origin = value, origin
        return node
    return builder.emit(op, nodes, params, value, origin)


def _mismatch(op: Op, nodes: Sequence[Node], error: Exception, origin: Any) -> str:
    shapes = " and ".join(str(node.shape) for node in nodes)
    names = ", ".join(node.name if node.is_named else str(node.spec) for node in nodes)
    advice = ""
    if op.name == "matmul" and len(nodes) == 2:
        a, b = nodes
        if b.ndim > 1 and a.ndim and a.shape[-1] == b.shape[-1]:
            advice = f"; did you mean {b.name if b.is_named else 'the second'}.T?"
        elif a.ndim > 1 and b.ndim and a.shape[0] == b.shape[0]:
            advice = f"; did you mean {a.name if a.is_named else 'the first'}.T?"
        return f"matmul: inner sizes differ: {a.shape} @ {b.shape} of {names}, at {origin}{advice}"
    if op.family == "pointwise" and _fit_together(nodes):  # the shapes are not to blame
        return f"{op.name}: {str(error).rstrip('.')}, at {origin}; of {names}"
    return f"{op.name}: shapes {shapes} of {names} do not fit, at {origin} ({str(error).strip()})"


def _fit_together(nodes: Sequence[Node]) -> bool:
    try:
        np.broadcast_shapes(*(node.shape for node in nodes))
    except ValueError:
        return False
    return True


def record(op: Op, *args: Any, **params: Any) -> Any:
    """Apply an op to values of which at least one is traced, in the newest graph among them."""
    builder = newest(args)
    if not builder.open:
        raise leaked(args, builder)
    several = op is ir.ITEM  # its argument, all the results of an op, has no dtype of its own
    dtypes = [] if several else [arg.dtype for arg in args if type(arg) is not TracedNumber and isinstance(arg, _TYPED)]
    nodes = tuple(lift(builder, arg, dtypes) for arg in args)
    result = TracedArray(builder, compute(builder, op, nodes, params))
    if op.name in _VIEWS and isinstance(args[0], TracedArray):
        _become_view(result, args[0], op, params)
    return result


def leaked(args: Any, builder: Builder) -> DetachError:
    """Return what to say of a traced value that is used after the call that traced it has ended."""
    kept = (arg.node for arg in args if isinstance(arg, TracedArray) and arg.builder is builder)
    node = next(kept, None)
    name = f" {node.name!r}" if node is not None and node.is_named else ""
    made = f", made at {node.origin}," if node is not None and node.origin else ""
    return DetachError(
        f"a traced value{name}{made} is used after the call that traced it has ended{at()}: it was kept in a list, an "
        "attribute or a variable outside the function. Return what is needed from the function, beside its value with "
        "has_aux=True"
    )


def newest(args: Any) -> Builder:
    """Return the builder of the innermost trace among traced arguments, also inside lists."""
    found: Builder | None = None
    stack = list(args)
    while stack:
        arg = stack.pop()
        if isinstance(arg, TracedArray):
            if found is None or arg.builder.serial > found.serial:
                found = arg.builder
        elif isinstance(arg, list | tuple):
            stack += arg
    if found is None:
        raise UnsupportedError(f"none of the arguments is traced{at()}")
    return found


def lift(builder: Builder, value: Any, dtypes: Sequence[np.dtype[Any]] = ()) -> Node:
    """Return the node for any operand: traced here, traced in an outer graph, or plain."""
    if isinstance(value, TracedArray):
        node = value.node if type(value) is not TracedNumber or not dtypes else value.beside(dtypes)
        if value.builder is builder:
            return node
        if not value.builder.open:
            raise leaked((value,), value.builder)
        inner = builder.capture(node, node.spec, node.value if builder.lazy else ir.value_of(node))
        inner.binding = TracedArray(value.builder, node) if inner.binding is node else inner.binding
        if node.is_named:
            builder.name(inner, node.name)
        return inner
    if isinstance(value, list | tuple) and holds_traced(value):
        return lift(builder, stacked(value))
    given = value
    if isinstance(value, LocalArray):
        value = value.plain()
    elif isinstance(value, np.ndarray) and type(value) is not np.ndarray:
        if isinstance(value, np.ma.MaskedArray):
            raise UnsupportedError(f"masked arrays cannot be mixed with traced ones{at()}; use np.where with the mask")
        if isinstance(value, np.matrix):
            raise UnsupportedError(
                f"np.matrix cannot be mixed with traced arrays, whose * is elementwise{at()}; use np.asarray(m) and @"
            )
        value = np.asarray(value)
    if not isinstance(value, np.ndarray | np.generic | int | float | complex):
        foreign = wrap(value)
        if foreign is not None:
            return builder.capture(value, Spec.of(foreign), foreign)
        array = np.asarray(value)
        if array.dtype.hasobject:
            advice = "; products A @ x can, and sparse matrices with traced elements: chainrule.scipy.sparse"
            advice = advice if scipy.sparse.issparse(value) else ""
            raise UnsupportedError(f"{type(value).__name__} cannot be mixed with traced arrays{at()}{advice}")
        value = array
    if isinstance(value, np.ndarray) and value.ndim:
        node = builder.capture(value)
        if node.origin is None:
            node.origin = here()
            name = variable_of(user_frame(), given)
            if name:
                builder.name(node, name)
        return node
    return builder.constant(value, dtypes)


def holds_traced(value: Any) -> bool:
    """Whether a nested list holds a traced array."""
    if isinstance(value, list | tuple):
        return not _PLAIN.issuperset(map(type, value)) and any(holds_traced(part) for part in value)
    return isinstance(value, TracedArray)


_PLAIN = frozenset([float, int, bool, complex, str, slice, np.ndarray, np.float64, NoneType])


def stacked(value: Any) -> Any:
    """Return a nested list of traced and plain numbers as one traced array."""
    if not isinstance(value, list | tuple) or not holds_traced(value):
        return value if isinstance(value, TracedArray) else np.asarray(value)
    leaves, lead = _leaves(value)
    if leaves is None or len({np.shape(leaf) for leaf in leaves}) > 1:
        return np.stack([stacked(part) for part in value])
    builder, shape = newest(leaves), np.shape(leaves[0])
    blocks: list[Any] = []
    for is_traced, run in itertools.groupby(leaves, lambda leaf: isinstance(leaf, TracedArray)):
        if is_traced:
            blocks += [record(reshape, leaf, shape=(1, *shape)) for leaf in run]
        else:
            blocks.append(np.array(list(run)))
    block = record(concatenate, *blocks, axis=0) if len(blocks) > 1 else traced(builder, blocks[0])
    return block if len(lead) == 1 else record(reshape, block, shape=(*lead, *shape))


def _leaves(value: Any) -> tuple[list[Any] | None, tuple[int, ...]]:
    """Return what a nested list holds, in order, and its shape; None where some of it is nested deeper than others."""
    parts = list(value)
    if not any(isinstance(part, list | tuple) for part in parts):
        return parts, (len(parts),)
    below = [_leaves(part) if isinstance(part, list | tuple) else (None, ()) for part in parts]
    if any(leaves is None for leaves, _ in below) or len({shape for _, shape in below}) > 1:
        return None, ()
    return [leaf for leaves, _ in below for leaf in leaves or ()], (len(parts), *below[0][1])


def finish(result: Any, frame: FrameType | None = None) -> Any:
    """Name results after the variables that the user's own call is about to assign them to."""
    frame = frame or sys._getframe(2)
    if not is_users(frame.f_code.co_filename):
        return result  # called from a composition: its own result will be named
    names = targets(frame)
    if names:
        parts = [result] if len(names) == 1 else result if isinstance(result, tuple | list) else ()
        for part, name in zip(parts, names, strict=False):
            if name and isinstance(part, TracedArray):
                part.builder.name(part.node, name)
    return result


def traced(builder: Builder, value: Any) -> Any:
    """Return any operand as a traced array of a builder."""
    if isinstance(value, TracedArray) and value.builder is builder:
        return value
    return TracedArray(builder, lift(builder, value))


def call_ufunc(
    ufunc: np.ufunc,
    inputs: Sequence[Any],
    outs: tuple[Any, ...] | None = None,
    *,
    where: Any = True,
    dtype: Any = None,
    casting: Any = "same_kind",
    order: str = "K",
    subok: bool = True,
    **kwargs: Any,
) -> Any:
    """Return what a ufunc makes of traced inputs; where `where` is false, what `outs` holds."""
    rule = FUNCTIONS.get(ufunc)
    if rule is None and ufunc not in UFUNCS:
        home, _, name = spelled(ufunc).rpartition(".")
        advice = twin_of(home, name, ufunc) if home.startswith("scipy") else None
        advice = advice or "write it with functions that have one, or give it a derivative with chainrule.custom_vjp"
        raise NotDifferentiableError(f"{spelled(ufunc)} has no rule for traced arrays{at()}; {advice}")
    if kwargs and (rule is None or not inspect.signature(rule).parameters.keys() >= kwargs.keys()):
        raise UnsupportedError(f"{spelled(ufunc)}: {next(iter(kwargs))}= is not supported with traced arrays{at()}")
    if where is not True and (outs is None or len(outs) != 1 or outs[0] is None):
        raise UnsupportedError(
            f"{spelled(ufunc)}: where= without out= leaves elements undefined{at()}; use np.where(condition, ..., ...)"
        )
    if dtype is not None:
        builder = newest(inputs if outs is None else (*inputs, *outs))
        inputs = [traced(builder, part) for part in inputs]
        if not all(np.can_cast(part.dtype, dtype, casting) for part in inputs):
            raise UnsupportedError(f"{spelled(ufunc)}: dtype={dtype} does not hold its arguments{at()}")
        inputs = [cast(part, dtype) for part in inputs]
    elif outs is not None and not holds_traced(inputs):
        inputs = [traced(newest(outs), inputs[0]), *inputs[1:]]
    result = rule(*inputs, **kwargs) if rule is not None else record(UFUNCS[ufunc], *inputs)
    return result if where is True else np.where(where, result, outs[0])  # type: ignore[index]


def cast(x: Any, dtype: Any) -> Any:
    """Return x in another dtype, the same handle where nothing changes."""
    return x if x.dtype == np.dtype(dtype) else record(astype, x, dtype=np.dtype(dtype))


def permuted(x: TracedArray, axes: Sequence[int]) -> Any:
    """Return x with its axes in another order, the same handle where nothing changes."""
    axes = tuple(axes)
    return x if axes == tuple(range(x.ndim)) else record(permute, x, axes=axes)


def broadcast_indices(builder: Builder, arrays: Sequence[Any]) -> list[Any]:
    """Return integer index arrays in their common shape."""
    for array in arrays:
        kind = np.asarray(array).dtype.kind if not isinstance(array, TracedArray) else array.dtype.kind
        if kind not in "iu":
            builder.counted += [array.node] if isinstance(array, TracedArray) else []
            raise IndexingError(f"arrays used as indices must be of integer (or boolean) type{at()}")
    shape = np.broadcast_shapes(*(np.shape(array) for array in arrays))
    return [
        np.broadcast_to(array, shape)
        if isinstance(array, TracedArray)
        else np.broadcast_to(np.asarray(array), shape).copy()
        for array in arrays
    ]


# -- assignment and views ------------------------------------------------------------------------------


def view(
    base: TracedArray, node: Node, read: Callable[[Node], Node], write: Callable[[Node, Node], Node], lay: Lay
) -> TracedArray:
    """Return a view of a traced array."""
    result = TracedArray(base.builder, node)
    result.look_through(base, read, write, lay)
    return result


Place = tuple[int, ...]
Lay = Callable[[np.ndarray], np.ndarray]
_ALL = slice(None)
_VIEWS = {"slice", "reshape", "permute"}
_KEEP_ARRAYS = {"reshape", "broadcast_to", "permute", "put_slice", "put", "constant"}
"""Ops that make arrays without axes rather than scalars."""


def _become_view(result: TracedArray, base: TracedArray, op: Op, params: dict[str, Any]) -> None:
    """Let the result share its elements with its base, where NumPy's would."""
    values = result._node.value, base._node.value
    is_foreign = isinstance(values[0], Foreign)
    if base.builder.lazy or is_foreign or base._base is not None or base._lay is not None:  # it may lie otherwise
        if result.is_scalar or base.is_scalar or not _is_phantom_view(result, base, op):
            return
    elif not all(isinstance(value, np.ndarray) for value in values) or not np.may_share_memory(*values):
        return
    builder, shape, own_shape = base.builder, base.shape, result.shape

    def read(node: Node) -> Node:
        return compute(builder, op, (node,), params)

    def write(node: Node, value: Node) -> Node:
        if op is slice_:
            return compute(builder, put_slice, (node, value), params)
        if op is reshape:
            return compute(builder, reshape, (value,), {"shape": shape})
        return compute(builder, permute, (value,), {"axes": tuple(np.argsort(params["axes"]).tolist())})

    def lay(array: np.ndarray) -> np.ndarray:
        if op is slice_:
            return array[slices(params["index"])]
        return array.reshape(own_shape) if op is reshape else array.transpose(params["axes"])

    result.look_through(base, read, write, lay)


def _is_phantom_view(result: TracedArray, base: TracedArray, op: Op) -> bool:
    """Whether NumPy would give a view, told from strides alone: there are no values yet."""
    if op is not reshape:
        return True
    try:
        np.reshape(_phantom(base), result.shape, copy=False)
    except ValueError:
        return False
    return True


def _phantom(x: TracedArray) -> np.ndarray:
    """Return an array that lies in memory as NumPy's would; its elements are all the same one byte."""
    if x._base is not None and x._lay is not None:
        return x._lay(_phantom(x._base))
    value = x._node.value
    if isinstance(value, np.ndarray) and x._base is None and x._lay is None and not x.builder.lazy:
        strides = tuple(stride // value.itemsize for stride in value.strides)
    else:
        strides = tuple(math.prod(x.shape[k + 1 :]) for k in range(x.ndim))
    return np.lib.stride_tricks.as_strided(np.empty(1, np.int8), x.shape, strides, writeable=False)


def written(builder: Builder, node: Node, parts: dict[Place, Node], origin: ir.Origin | None) -> Node:
    """Return the node of an array in which elements, or rows, are others: one node for all of them."""

    def made(op: Op, *nodes: Node, **params: Any) -> Node:
        return compute(builder, op, nodes, params, origin)

    shape = node.spec.shape
    places = sorted(parts)
    depth = len(places[0])
    lead, rest = shape[:depth], shape[depth:]
    whole = tuple((0, size, 1) for size in rest)
    if len(places) == 1:
        return made(put_slice, node, parts[places[0]], index=(*places[0], *whole))
    rows = [made(reshape, parts[place], shape=(1, *rest)) for place in places]
    block = made(concatenate, *rows, axis=0)
    if len(places) == math.prod(lead):
        return block if depth == 1 else made(reshape, block, shape=shape)
    first, last = places[0], places[-1]
    if last[-1] - first[-1] + 1 == len(places) and first[:-1] == last[:-1]:
        return made(put_slice, node, block, index=(*first[:-1], (first[-1], last[-1] + 1, 1), *whole))
    indices = []
    for axis in zip(*places, strict=True):
        index = np.array(axis)
        index.setflags(write=False)
        indices.append(builder.constant(index))
    return made(put, node, block, *indices)


def _refuse_shuffle() -> None:
    """Raise if a generator exchanges rows of a traced array, which it takes for a list."""
    frame = user_frame()
    text = "" if frame is None else call_at(frame, frame.f_lasti)[0]
    if re.search(r"\bshuffle\s*\(", text):
        raise UnsupportedError(f"{text}: a generator does not see a traced array{at()}; {_SHUFFLE}")


_SHUFFLE = "draw the places: x[rng.permutation(len(x))]"


_KEYS = (int, slice, np.ndarray, np.generic, TracedArray, NoneType)


def _by_numpy(part: Any) -> Any:
    """Return an array of another library as NumPy's; anything else as it is."""
    foreign = None if isinstance(part, _KEYS) else wrap(part)
    return part if foreign is None else np.asarray(foreign)


def _is_mask(part: Any) -> bool:
    return getattr(part, "dtype", None) == np.bool_


def _front(steps: Plan, ndim: int) -> list[int]:
    return [*steps.axes, *(axis for axis in range(ndim) if axis not in steps.axes)]


def _is_whole(steps: Plan, shape: tuple[int, ...]) -> bool:
    return steps.index == tuple((0, size, 1) for size in shape)


def _fitted(target: TracedArray, value: Any, shape: tuple[int, ...], key: Any) -> TracedArray:
    """Return the assigned value in the shape and dtype of its place."""
    builder = newest([target, value])
    if builder is not target.builder:
        raise DetachError(
            "a value of an inner derivative cannot be stored in an array of the function around it"
            f"{at()}; return it from the inner function instead"
        )
    new = traced(builder, value if not isinstance(value, int | float | complex) else target.dtype.type(value))
    if not np.can_cast(new.dtype, target.dtype, "same_kind") and new.node.op is not ir.CONSTANT:
        raise DtypeError(f"cannot store {new.dtype} in an array of {target.dtype}{at()}")
    while new.ndim > len(shape) and new.shape[0] == 1:
        new = record(reshape, new, shape=new.shape[1:])
    try:
        fits = np.broadcast_shapes(new.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"cannot assign shape {new.shape} to a part of shape {shape}{at()}")
    new = cast(np.broadcast_to(new, shape), target.dtype)
    if not target.ndim and not target.is_scalar:  # stays an array, if without axes
        return record(broadcast_to, new, shape=())
    return new


def _element(target: TracedArray, value: Any, key: Any) -> TracedArray:
    """Return what is assigned to one element, as a scalar of the array's dtype."""
    if np.ndim(value):
        raise ShapeError(
            f"cannot assign shape {np.shape(value)} to a part of shape (){at()}; one element takes a number, as x[0] is"
        )
    new = _fitted(target, value, (), key)
    return new if new.is_scalar else record(slice_, new, index=())


def _deliver(result: Any, out: Any, name: str) -> Any:
    """Put a result into its `out=` argument, where that can be done without losing the derivative."""
    if out is None:
        return result
    if isinstance(out, tuple):
        (out,) = out
    if isinstance(out, LocalArray) and not isinstance(out, TracedArray):
        handle = out.opened(newest([result]))
        handle.assign(_fitted(handle, result, out.shape, Ellipsis).node)
        return out
    if isinstance(out, TracedArray):
        if out.is_scalar:
            return cast(result, np.result_type(out.dtype, result.dtype))
        out.assign(_fitted(out, result, out.shape, Ellipsis).node)
        return out
    raise DetachError(
        f"np.{name}: a plain NumPy array cannot hold traced values{at()}; write `a = a + x` for `a += x`, or "
        f"{MAKE_INSIDE}"
    )


# -- operators and methods, by way of NumPy ------------------------------------------------------------


def _binary(ufunc: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    op = None if ufunc is np.matmul else UFUNCS.get(ufunc)  # the rule of matmul knows sparse matrices too

    def forward(self: Any, other: Any) -> Any:
        if not _is_operand(other):
            return NotImplemented
        result = call_ufunc(ufunc, (self, other)) if op is None else record(op, self, other)
        return finish(_number(result) if type(self) is TracedNumber and type(other) in _PYTHON else result)

    def backward(self: Any, other: Any) -> Any:
        if not _is_operand(other):
            return NotImplemented
        result = call_ufunc(ufunc, (other, self)) if op is None else record(op, other, self)
        return finish(_number(result) if type(self) is TracedNumber and type(other) in _PYTHON else result)

    return forward, backward


def _number(result: Any) -> Any:
    """Return the result of arithmetic among Python's numbers: a Python number again."""
    return TracedNumber(result.builder, result.node) if isinstance(result, TracedArray) else result


_OPERANDS = frozenset([TracedArray, np.ndarray, np.float64, np.float32, float, int])
_PYTHON = frozenset([TracedNumber, float, int, complex])


def _is_operand(value: Any) -> bool:
    """Whether an operator takes a value, rather than leaving it to the value's own class."""
    kind = type(value)
    if kind in _OPERANDS:
        return True
    wrong = issubclass(kind, str | dict | set | NoneType) and not scipy.sparse.issparse(value)
    return not wrong and getattr(kind, "__array_ufunc__", True) is not None


def _in_place(ufunc: np.ufunc) -> Callable[..., Any]:
    def apply(self: TracedArray, other: Any) -> Any:
        result = call_ufunc(ufunc, (self, other))
        if result.builder is not self.builder or self.is_scalar:
            return finish(_number(result) if type(self) is TracedNumber and type(other) in _PYTHON else result)
        return finish(_deliver(result, self, ufunc.__name__))

    return apply


def _unary(op: Op) -> Callable[..., Any]:
    def apply(self: TracedArray) -> Any:
        result = record(op, self)
        return finish(_number(result) if type(self) is TracedNumber else result)

    return apply


_OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power, "mod": np.remainder,
    "floordiv": np.floor_divide, "matmul": np.matmul, "and": np.bitwise_and, "or": np.bitwise_or,
    "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift, "divmod": np.divmod,
}  # fmt: skip
for _name, _ufunc in _OPERATORS.items():
    _forward, _backward = _binary(_ufunc)
    setattr(TracedArray, f"__{_name}__", _forward)
    setattr(TracedArray, f"__r{_name}__", _backward)
    if _name != "divmod":
        setattr(TracedArray, f"__i{_name}__", _in_place(_ufunc))
for _name, _ufunc in {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}.items():
    setattr(TracedArray, f"__{_name}__", _binary(_ufunc)[0])
for _name, _op in {"eq": equal, "ne": not_equal}.items():
    setattr(TracedArray, f"__{_name}__", _binary(_op.evaluate)[0])
for _name, _ufunc in {"neg": np.negative, "abs": np.absolute, "invert": np.invert}.items():
    setattr(TracedArray, f"__{_name}__", _unary(UFUNCS[_ufunc]))


def _method(name: str) -> Callable[..., Any]:
    def method(self: TracedArray, *args: Any, **kwargs: Any) -> Any:
        return finish(getattr(np, name)(self, *args, **kwargs))

    method.__name__ = name
    method.__doc__ = f"As np.{name}."
    return method


for _name in [
    "all",
    "any",
    "argmax",
    "argmin",
    "argpartition",
    "argsort",
    "choose",
    "clip",
    "conj",
    "conjugate",
    "copy",
    "cumprod",
    "cumsum",
    "diagonal",
    "dot",
    "max",
    "mean",
    "min",
    "nonzero",
    "prod",
    "put",
    "ravel",
    "repeat",
    "round",
    "squeeze",
    "std",
    "sum",
    "swapaxes",
    "take",
    "trace",
    "var",
    "searchsorted",
]:
    setattr(TracedArray, _name, _method(_name))


def _reshape(self: TracedArray, *shape: Any, **kwargs: Any) -> Any:
    """As ndarray.reshape: the shape as one argument or several."""
    return finish(np.reshape(self, shape[0] if len(shape) == 1 else shape, **kwargs))


def _transpose(self: TracedArray, *axes: Any) -> Any:
    """As ndarray.transpose: the axes as one argument, several, or none."""
    return finish(np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None))


def _flatten(self: TracedArray, order: Any = "C") -> Any:
    """As ndarray.flatten: a copy with one axis."""
    return finish(np.copy(np.ravel(self, order)))


def _fill(self: TracedArray, value: Any) -> None:
    """As ndarray.fill."""
    self[...] = value


def _sort(self: TracedArray, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
    """As ndarray.sort: in place."""
    self[...] = np.sort(self, axis, kind, order, stable=stable)


def _astype(self: TracedArray, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True,
            copy: bool = True) -> Any:  # fmt: skip
    """As ndarray.astype."""
    if not np.can_cast(self.dtype, dtype, casting):
        raise DtypeError(f"cannot cast {self.dtype} to {np.dtype(dtype)} by the rule {casting!r}{at()}")
    return finish(self if self.dtype == np.dtype(dtype) and not copy else np.astype(self, dtype))  # type: ignore[call-overload]


def _compress(self: TracedArray, condition: Any, axis: int | None = None, out: Any = None) -> Any:
    """As ndarray.compress."""
    return finish(np.compress(condition, self, axis, out))


def _view(self: TracedArray, dtype: Any = None, type: Any = None) -> Any:
    """As ndarray.view without arguments: the same elements."""
    if (dtype is not None and np.dtype(dtype) != self.dtype) or type is not None:
        raise UnsupportedError(f"view(dtype) reads the bytes of a traced array{at()}; write x.astype(dtype)")
    return finish(self[...])


def _to_device(self: TracedArray, device: str, /, *, stream: Any = None) -> Any:
    """As ndarray.to_device: there is the CPU only."""
    return self


for _function in (_reshape, _transpose, _flatten, _fill, _sort, _astype, _compress, _view, _to_device):
    setattr(TracedArray, _function.__name__[1:], _function)
