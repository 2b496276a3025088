"""Plain arrays made inside a traced function, which take traced values when these are stored into them.

While a function is traced, `np.zeros`, `np.array` and their kin (see `chainrule.tracing.constructors`) return a
`Local`: an ordinary array, of a class of our own so that storing into it can be seen. When a traced value is stored,
the object becomes a `Filled`, in place: its numbers are then those of a traced array, and so are those of all views of
it. The memory holds NaN from then on, under a dtype that no library computes with, so that nothing reads stale numbers.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np

from chainrule.errors import DetachError, UnsupportedError
from chainrule.ir import Builder, Node
from chainrule.ops.structural import gather, permute, put, put_slice, reshape, slice_
from chainrule.tracing.array import LocalArray, TracedArray, compute, finish, holds_traced, newest, permuted, view
from chainrule.tracing.origin import at, here, targets_at

Steps = list[tuple[Any, dict[str, Any]]]


class _Traces(threading.local):
    """The graphs that are being built in this thread, the innermost last."""

    def __init__(self) -> None:
        self.builders: list[Builder] = []
        self.home: Callable[[], Builder | None] = nowhere


def nowhere() -> None:
    """Return None: where there is no trace."""
    return None


TRACES = _Traces()


class Local(LocalArray):
    """An array without traced values yet. Behaves as, and is, an ordinary NumPy array."""

    _home: Callable[[], Builder | None]
    _made: tuple[CodeType, int] | None = None  # the instruction that made it
    _views: list[weakref.ref[Local]] | None = None
    _limit = 8
    _is_captured = False
    _is_other = False  # a view with other numbers than the whole has

    def __array_finalize__(self, obj: Any) -> None:
        base = self.base
        if type(base) is np.ndarray or not isinstance(base, Local):
            self._home = TRACES.home
            return
        root = base._root()
        views = root._views
        if views is None:
            views = root._views = []
        if len(views) >= root._limit:
            views[:] = [each for each in views if each() is not None]
            root._limit = 2 * len(views) + 8
        views.append(weakref.ref(self))

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else array.view(Local)

    def __reduce__(self) -> Any:
        return self.plain().__reduce__()

    def __repr__(self) -> str:
        return repr(self.plain())

    def plain(self) -> np.ndarray:
        """Return the same elements as an ordinary array."""
        self._root()._is_captured = True
        base = self.base
        if type(base) is np.ndarray and (base.shape, base.strides, base.dtype) == (
            self.shape, self.strides, self.dtype
        ):  # fmt: skip
            return base
        return self.view(np.ndarray)

    def opened(self, builder: Builder) -> TracedArray:
        """Let the array, and all views of it, hold values of a builder; return the traced array that does."""
        if not self.flags.writeable:
            raise ValueError(f"assignment destination is read-only{at()}")
        root = self._root()
        home = root._home()
        if home is None or not home.open:
            raise DetachError(
                f"a traced value cannot be stored in an array from outside the traced function{at()}, which would keep "
                "it after the call; make the array inside, np.copy(a) of it for instance, and return it"
            )
        if builder.serial > home.serial:
            what = f"function given to {builder.body_of}" if builder.body_of else "inner derivative"
            raise DetachError(
                f"a value of an {what} cannot be stored in an array of the function around it{at()}; return it from "
                "the inner function instead".replace("an function", "a function")
            )
        _fill(root, home)
        assert isinstance(self, Filled)
        return self._traced()

    def _root(self) -> Local:
        """Return the array of which this is a view, perhaps itself."""
        root = self
        while isinstance(root.base, Local):
            root = root.base
        return root

    def _writes(self, *parts: Any) -> TracedArray | None:
        """Return the traced array to write to, if what is written, or where, is traced."""
        if any(type(part) not in _NUMBERS and holds_traced(part) for part in parts):
            return self.opened(newest(parts))
        if self._root()._is_captured:
            _keep(self._root())
        return None

    def __setitem__(self, key: Any, value: Any) -> None:
        target = self._writes(value, key)
        if target is None:
            super().__setitem__(key, value)
        else:
            target[key] = value

    def fill(self, value: Any) -> None:
        """As ndarray.fill."""
        target = self._writes(value)
        if target is None:
            super().fill(value)
        else:
            target.fill(value)

    def put(self, indices: Any, values: Any, mode: Any = "raise") -> None:
        """As ndarray.put."""
        target = self._writes(values, indices)
        if target is None:
            super().put(indices, values, mode)
        else:
            np.put(target, indices, values, mode)  # type: ignore[arg-type]

    def dot(self, b: Any, out: Any = None) -> Any:
        """As ndarray.dot."""
        return finish(np.dot(self, b, out)) if holds_traced((b, out)) else super().dot(b, out)

    @property
    def flat(self) -> Any:
        """As ndarray.flat."""
        return _Flat(self, super().flat)

    @flat.setter
    def flat(self, value: Any) -> None:
        self.flat[...] = value

    @property
    def real(self) -> Any:
        """As ndarray.real."""
        return super().real

    @real.setter
    def real(self, value: Any) -> None:
        target = self._writes(value)
        if target is None:
            np.ndarray.real.__set__(self, value)  # type: ignore[attr-defined]
        else:
            target.real = value

    @property
    def imag(self) -> Any:
        """As ndarray.imag."""
        return super().imag

    @imag.setter
    def imag(self, value: Any) -> None:
        target = self._writes(value)
        if target is None:
            np.ndarray.imag.__set__(self, value)  # type: ignore[attr-defined]
        else:
            target.imag = value


_NUMBERS = frozenset([float, int, bool, slice, complex, np.float64, np.ndarray, str, type(None), type(...), Local])
"""Types that hold no traced value."""


class _Flat:
    """What `x.flat` of a `Local` is: NumPy's iterator, through which traced values may be written."""

    def __init__(self, array: Local, rest: Any) -> None:
        self._array = array
        self._rest = rest

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return next(self._rest)

    def __len__(self) -> int:
        return self._array.size

    def __getitem__(self, key: Any) -> Any:
        return self._array.flat[key] if isinstance(self._array, Filled) else self._rest[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        target = self._array._writes(value, key)
        if target is None:
            self._rest[key] = value
        else:
            target.flat[key] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._rest, dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rest, name)


# -- filled arrays -------------------------------------------------------------------------------------------------


class Filled(Local):
    """A `Local` into which a traced value was stored: stands for a traced array, and counts as one."""

    _handle: TracedArray | None

    def __array_finalize__(self, obj: Any) -> None:
        self._handle = None  # a view that a library has made of the memory: there is nothing in it

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # so that isinstance(x, TracedArray) holds too
        return TracedArray

    def opened(self, builder: Builder) -> TracedArray:
        """Return the traced array."""
        return self._traced()

    def _traced(self) -> TracedArray:
        handle = self.__dict__.get("_handle")
        if handle is None:
            root = self._root()
            whole = root.__dict__.get("_handle")
            if whole is None or root is self:
                raise DetachError(f"a library made a view of an array that holds traced values{at()}, and reads it")
            handle = self._handle = _view(whole, root, self)
        return handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._traced(), name)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        given = (each._traced() if type(each) is Filled else each for each in inputs)
        result = self._traced().__array_ufunc__(ufunc, method, *given, **kwargs)
        return finish(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return finish(self._traced().__array_function__(func, types, args, kwargs))

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Any:
        return array


_KEPT = {"__array_finalize__", "__array_function__", "__array_ufunc__", "__array_wrap__", "__buffer__", "__class__",
         "__class_getitem__", "__delattr__", "__dir__", "__doc__", "__getattribute__", "__getstate__", "__hash__",
         "__init__", "__init_subclass__", "__len__", "__new__", "__setattr__", "__sizeof__", "__subclasshook__",
         "base", "flags", "itemsize", "nbytes", "ndim", "size", "strides"}  # fmt: skip
"""What a filled array has of NumPy's array, or of its own; the rest is the traced array's."""


_IN_PLACE = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift", "matmul"]
_WRITERS = {"__setitem__", "fill", "put", "sort", *(f"__i{name}__" for name in _IN_PLACE)}
"""Methods that write into the array."""


def _method(name: str) -> Callable[..., Any]:
    writes = name in _WRITERS

    def method(self: Filled, *args: Any, **kwargs: Any) -> Any:
        handle = self._traced()
        if writes and not self.flags.writeable:
            raise ValueError("assignment destination is read-only")
        result = getattr(handle, name)(*args, **kwargs)
        return self if result is handle else finish(result)

    method.__name__ = name
    method.__doc__ = f"As ndarray.{name}."
    return method


def _attribute(name: str) -> property:
    def read(self: Filled) -> Any:
        return getattr(self._traced(), name)

    def write(self: Filled, value: Any) -> None:
        if name not in ("real", "imag", "flat"):
            raise UnsupportedError(f"{name} of an array that holds traced values cannot be set{at()}")
        setattr(self._traced(), name, value)

    return property(read, write, doc=f"As ndarray.{name}.")


for _name in dir(np.ndarray):
    if _name not in _KEPT and _name != "shape":
        _is_method = callable(getattr(np.ndarray, _name))
        setattr(Filled, _name, _method(_name) if _is_method else _attribute(_name))


def _fill(root: Local, home: Builder) -> None:
    """Let an array and its views stand for traced arrays."""
    views = [each for each in (ref() for ref in root._views or ()) if each is not None]
    held = root.view(np.ndarray)
    order = _order(held)
    lying = held.transpose(order)
    value = lying.copy() if held.any() else np.zeros(lying.shape, held.dtype)  # pages of zeros cost nothing
    value.setflags(write=False)
    handle = TracedArray(home, home.constant(value))
    handle._lay = np.ascontiguousarray
    names = () if root._made is None else targets_at(*root._made)
    handle._label = names[0] if len(names) == 1 else None
    if handle.node.origin is None:
        handle.node.origin = here()
    _keep(root)
    if held.dtype.kind in "fc":
        held.fill(np.nan)
    for each in (root, *views):
        each._is_other = each.dtype != held.dtype
        np.ndarray.dtype.__set__(each, _hidden(each.itemsize))  # type: ignore[attr-defined]
        object.__setattr__(each, "__class__", Filled)
    root._handle = permuted(handle, np.argsort(order).tolist())  # type: ignore[attr-defined]


UNREADABLE = re.compile(
    "TracedArray|[vV]oid|sequence by non-int|not supported for the input types|common type|out-of-order fields|"
    "'object'|indices must be of integer|non-numeric|could not be safely coerced|not 'tuple'"
)
"""What messages of NumPy, SciPy and Python say of an array of that dtype."""


def _hidden(size: int) -> np.dtype[Any]:
    """Return a dtype of so many bytes that no function takes for numbers; messages show its names."""
    names = ["TracedArray", "its numbers are in the graph"]
    return np.dtype({"names": names, "formats": ["V1", "V1"], "offsets": [0, 0], "itemsize": size})


def _keep(root: Local) -> None:
    """Let graphs that have used the array as it is keep these numbers: the array is about to change."""
    root._is_captured = False
    for builder in TRACES.builders:
        for key, (array, node, _) in list(builder.captured.items()):
            if isinstance(array, np.ndarray) and np.may_share_memory(array, root):
                node.value, node.binding = array.copy() if node.value is array else node.value, None
                del builder.captured[key]


def _view(whole: TracedArray, root: Local, part: Local) -> TracedArray:
    """Return the view of a traced array that shows what `part` shows of `root`."""
    builder = whole.builder
    if part._is_other:
        raise UnsupportedError(
            f"a view with other numbers (as x.real) of an array that has come to hold traced values{at()}; take it anew"
        )
    raw = np.ndarray.view(part, np.ndarray)
    steps = _steps(np.ndarray.view(root, np.ndarray), raw)
    shape, strides = raw.shape, tuple(stride // raw.itemsize for stride in raw.strides)

    def read(node: Node) -> Node:
        for op, params in steps:
            node = _step(builder, node, op, params)
        return node

    def write(node: Node, value: Node) -> Node:
        return _put_back(builder, node, value, steps)

    def lay(array: np.ndarray) -> np.ndarray:
        return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)

    return view(whole, read(whole.node), read, write, lay)


def _step(builder: Builder, node: Node, op: Any, params: dict[str, Any]) -> Node:
    if op is not gather:
        return compute(builder, op, (node,), params)
    flat = compute(builder, reshape, (node,), {"shape": (node.spec.size,)})
    return compute(builder, gather, (flat, builder.constant(params["places"])), {})


def _put_back(builder: Builder, node: Node, value: Node, steps: Steps) -> Node:
    """Return the node of the whole with `value` where the steps lead."""
    if not steps:
        return value
    op, params = steps[0]
    new = _put_back(builder, _step(builder, node, op, params), value, steps[1:])
    if op is slice_:
        return compute(builder, put_slice, (node, new), params)
    if op is permute:
        return compute(builder, permute, (new,), {"axes": tuple(np.argsort(params["axes"]).tolist())})
    if op is reshape:
        return compute(builder, reshape, (new,), {"shape": node.spec.shape})
    flat = compute(builder, reshape, (node,), {"shape": (node.spec.size,)})
    flat = compute(builder, put, (flat, new, builder.constant(params["places"])), {})
    return compute(builder, reshape, (flat,), {"shape": node.spec.shape})


def _steps(root: np.ndarray, part: np.ndarray) -> Steps:
    """Return how a view comes about, told from where its elements lie in memory."""
    size = root.itemsize
    start = (_address(part) - _address(root)) // size if part.size else 0
    order = _order(root)
    shape = tuple(root.shape[k] for k in order)
    strides = [root.strides[k] // size for k in order]
    steps: Steps = [] if order == list(range(root.ndim)) else [(permute, {"axes": tuple(order)})]
    at_first, rest = [], start
    for stride, length in zip(strides, shape, strict=True):
        at_first.append(rest // stride if length > 1 else 0)
        rest -= at_first[-1] * stride
    index: list[Any] = list(at_first)
    axes = []
    for length, jump in zip(part.shape, (stride // size for stride in part.strides), strict=True):
        if length == 1:
            continue
        found = next(
            (k for k, stride in enumerate(strides)
             if k not in axes and shape[k] > 1 and jump % stride == 0 and abs(jump) >= stride
             and 0 <= at_first[k] + jump // stride * (length - 1) < shape[k]),
            None,
        ) if part.size else None  # fmt: skip
        if found is None:
            break
        step = jump // strides[found]
        stop = at_first[found] + step * length
        index[found] = (at_first[found], None if stop < 0 else stop, step)
        axes.append(found)
    else:
        kept = sorted(axes)
        steps.append((slice_, {"index": tuple(index)}))
        if axes != kept:
            steps.append((permute, {"axes": tuple(kept.index(k) for k in axes)}))
        return [*steps, (reshape, {"shape": part.shape})]
    if part.size == root.size and not start and part.flags.c_contiguous:
        return [*steps, (reshape, {"shape": part.shape})]
    lying = np.arange(root.size).reshape(root.shape).transpose(order).ravel()  # the number of each element in C order
    spots = np.lib.stride_tricks.as_strided(lying[start:], part.shape, tuple(8 * s // size for s in part.strides))
    places = spots.copy()
    places.setflags(write=False)
    return [(gather, {"places": places})]


def _order(array: np.ndarray) -> list[int]:
    """Return the axes as they lie in memory, the one with the longest steps first."""
    return sorted(range(array.ndim), key=lambda k: (-array.strides[k], k))


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


__all__ = ["TRACES", "UNREADABLE", "Filled", "Local", "nowhere"]
