"""Arrays of other libraries (PyTorch, CuPy, Dask, JAX, ...), by way of the Python array API standard.

Ops are defined in NumPy's functions, and NumPy hands its functions to whoever asks for them. `Foreign` asks: it holds
an array of another library and answers `np.sin`, `np.sum` or `np.linalg.solve` with the function of that library's
array API namespace. So every op runs there from the one definition it has. What a namespace lacks, NumPy computes, and
the result is brought back.

Dtypes follow NumPy's promotion in every namespace.

References:
    Python array API standard, 2024.12, https://data-apis.org/array-api/2024.12/
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.special

from chainrule.errors import DtypeError, UnsupportedError

__all__ = ["Foreign", "home_of", "missing", "released", "unwrap", "wrap"]

_PLAIN = (np.ndarray, np.generic, int, float, complex, str, bytes, list, tuple, dict, type(None))
_IN_PLACE = ("fill", "itemset", "partition", "put", "resize", "setfield", "setflags", "sort")
_CANNOT = (TypeError, ValueError, NotImplementedError, RuntimeError, AttributeError, IndexError, KeyError)
"""What namespaces raise for arguments that they do not take; if NumPy does not either, it says so in its own words."""


_DTYPES = {np.dtype(letter).name: np.dtype(letter) for letter in "?bBhHiIqQefdFD"}


def wrap(value: Any) -> Any:
    """Return an array of another library as a `Foreign`, None for anything else."""
    if isinstance(value, _PLAIN):
        return None
    if isinstance(value, Foreign):
        return value
    xp = _namespace(value)
    is_numpy = xp is None or xp.__name__ in ("numpy", "array_api_compat.numpy")  # which traced arrays have too
    return None if is_numpy else Foreign(value, xp)


def unwrap(value: Any) -> Any:
    """Return the array of the other library that a `Foreign` holds; anything else as it is."""
    return value.array if isinstance(value, Foreign) else value


def released(value: Any, home: Foreign | None) -> Any:
    """Return a result as its caller may keep it: an array of the library of `home`, sharing memory with nothing."""
    if home is not None:
        value = home.like(value)
    if not isinstance(value, Foreign):
        return value
    changes = not value.is_lazy and not hasattr(value.array, "at")  # arrays of Dask and JAX never do
    return value.xp.asarray(value.array, copy=True) if changes else value.array


def home_of(values: Sequence[Any]) -> Foreign | None:
    """Return the first of some values that is foreign."""
    return next((value for value in values if isinstance(value, Foreign)), None)


def _namespace(value: Any) -> Any:
    compat = _compat()
    if compat is not None and compat.is_array_api_obj(value):
        return compat.array_namespace(value)
    return value.__array_namespace__() if hasattr(type(value), "__array_namespace__") else None


@functools.cache
def _compat() -> Any:
    """Return the package that gives PyTorch and Dask arrays their namespace, None where it is not installed."""
    try:
        return importlib.import_module("array_api_compat")
    except ImportError:
        return None


def missing() -> str:
    """Return what to install for the arrays of some libraries to be taken; nothing where it is there."""
    return "" if _compat() is not None else "install array-api-compat: pip install chainrule[namespaces]"


class Foreign(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of another library, with the ways of a NumPy array.

    Attributes:
        array: What it holds; writing into this object puts another array there and never changes the old one.
        xp: Its array API namespace.
        dtype: NumPy's name for its dtype.
    """

    __slots__ = ("array", "dtype", "xp")

    def __init__(self, array: Any, xp: Any) -> None:
        name = str(array.dtype).rpartition(".")[2]
        if name not in _DTYPES:
            raise DtypeError(f"{name}: NumPy has no such numbers; convert them to float32 or float64")
        self.dtype = _DTYPES[name]
        self.array = array
        self.xp = xp

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, as integers."""
        return tuple(map(int, self.array.shape))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.array.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_lazy(self) -> bool:
        """Whether its numbers are not known before somebody asks for them, so that asking costs."""
        compat = _compat()
        return compat is not None and bool(compat.is_lazy_array(self.array))

    def __repr__(self) -> str:
        return repr(self.array)

    # -- there and back ------------------------------------------------------------------------------

    def like(self, value: Any, dtype: Any = None) -> Foreign:
        """Return any value as an array of this namespace, on the same device; in another dtype where it is given."""
        if not isinstance(value, Foreign):
            value = np.asarray(value)
            target = _dtype_in(self.xp, dtype or value.dtype)
            return Foreign(_asarray(self.xp, value, target, self.array), self.xp)
        if dtype is None or value.dtype == dtype:
            return value
        astype = getattr(self.xp, "astype", None)
        target = _dtype_in(self.xp, dtype)
        if np.dtype(dtype).kind != "c" and value.dtype.kind == "c":
            value = value.real
        array = value.array.astype(target) if astype is None else astype(value.array, target)
        return Foreign(array, self.xp)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(_to_numpy(self.array), dtype=dtype, copy=copy if copy is None else True)

    def __bool__(self) -> bool:
        return bool(np.asarray(self))

    def __int__(self) -> int:
        return int(np.asarray(self))

    def __float__(self) -> float:
        return float(np.asarray(self))

    def __complex__(self) -> complex:
        return complex(np.asarray(self))

    def __index__(self) -> int:
        return operator.index(np.asarray(self)[()])

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Foreign]:
        return (self[k] for k in range(len(self)))

    def item(self) -> Any:
        """Return the one element as a Python number."""
        return np.asarray(self).item()

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers."""
        return np.asarray(self).tolist()

    # -- as NumPy's arrays do ------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            try:
                return _elementwise(self, ufunc, inputs)
            except _CANNOT:
                pass
        if method == "at" and ufunc is np.add and isinstance(inputs[0], Foreign):
            return inputs[0]._add_at(*inputs[1:])
        return _by_numpy(self, getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        rule = _FUNCTIONS.get(func)
        if rule is not None:
            try:
                return rule(*args, **kwargs)
            except _CANNOT:
                pass
        return _by_numpy(self, func, args, kwargs)

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if not keys:
            return self
        if all(_is_integers(part) for part in keys):
            return _gather(self, keys)
        if not all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in keys):
            return self.like(np.asarray(self)[_plain(key)])
        forward, flipped = _forward(_spelled_out(keys, self.ndim), self.shape)
        part = self.array[forward]
        found = Foreign(self.xp.flip(part, axis=flipped) if flipped else part, self.xp)
        return np.reshape(found, np.broadcast_to(0, self.shape)[keys].shape) if None in keys else found

    def __setitem__(self, key: Any, value: Any) -> None:
        keys = key if isinstance(key, tuple) else (key,)
        value = self.like(value, self.dtype)
        if all(isinstance(part, int | slice) for part in keys):
            forward, flipped = _forward(_spelled_out(keys, self.ndim), self.shape)
            if flipped:
                shape = tuple(self.array[forward].shape)
                value = Foreign(self.xp.flip(self.xp.broadcast_to(value.array, shape), axis=flipped), self.xp)
            keys = forward
        else:
            keys = tuple(self.like(part).array if _is_integers(part) else part for part in keys)
        try:
            if hasattr(self.array, "at"):  # JAX's arrays do not change
                self.array = self.array.at[keys].set(value.array)
            else:
                new = self.xp.asarray(self.array, copy=True)
                new[keys] = value.array
                self.array = new
        except _CANNOT:
            plain = np.array(self)
            plain[_plain(key)] = np.asarray(value)
            self.array = self.like(plain).array

    def _add_at(self, places: Any, values: Any) -> None:
        """Add values at places along the first axis, all of them where a place is repeated."""
        index, given = self.like(places), self.like(values, self.dtype)
        if hasattr(self.array, "index_add") and index.ndim == 1:  # PyTorch
            self.array = self.array.index_add(0, index.array, given.array)
        elif hasattr(self.array, "at"):  # JAX
            self.array = self.array.at[index.array].add(given.array)
        elif hasattr(getattr(self.xp, "add", None), "at"):  # CuPy
            self.array = self.xp.asarray(self.array, copy=True)
            self.xp.add.at(self.array, index.array, given.array)
        else:
            plain = np.array(self)
            np.add.at(plain, np.asarray(index), np.asarray(given))
            self.array = self.like(plain).array

    @property
    def real(self) -> Foreign:
        """Real part."""
        return Foreign(self.xp.real(self.array), self.xp) if self.dtype.kind == "c" else self

    @property
    def imag(self) -> Any:
        """Imaginary part."""
        return Foreign(self.xp.imag(self.array), self.xp) if self.dtype.kind == "c" else np.zeros_like(self)

    @property
    def T(self) -> Any:
        """The array with its axes reversed."""
        return np.transpose(self)

    @property
    def mT(self) -> Any:
        """The array with its last two axes exchanged."""
        return np.swapaxes(self, -1, -2)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in _IN_PLACE or not hasattr(np.ndarray, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(np.asarray(self), name)  # what NumPy makes of it is brought back where it is used

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Foreign:
        """Return the array in another dtype."""
        return self.like(self, np.dtype(dtype))

    def reshape(self, *shape: Any) -> Any:
        """As ndarray.reshape."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """As ndarray.transpose."""
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)


def _method(name: str) -> Callable[..., Any]:
    def method(self: Foreign, *args: Any, **kwargs: Any) -> Any:
        return getattr(np, name)(self, *args, **kwargs)

    method.__doc__ = f"As np.{name}."
    return method


for _name in ("all", "any", "argmax", "argmin", "argsort", "clip", "conj", "copy", "cumsum", "diagonal", "max", "mean",
              "min", "nonzero", "prod", "ravel", "repeat", "squeeze", "sum", "swapaxes", "take", "trace"):  # fmt: skip
    setattr(Foreign, _name, _method(_name))

# -- conversion ----------------------------------------------------------------------------------------


def _to_numpy(array: Any) -> np.ndarray:
    """Return the numbers of any array, from another device too."""
    try:
        return np.asarray(array)
    except Exception as error:
        compat = _compat()
        if compat is not None:
            try:
                return np.asarray(compat.to_device(array, "cpu"))
            except Exception:  # which says less than the first
                pass
        kind = f"{type(array).__module__}.{type(array).__qualname__}"
        raise UnsupportedError(f"{kind}: its numbers cannot be given to NumPy ({error})") from error


def _dtype_in(xp: Any, dtype: Any) -> Any:
    dtype = np.dtype(dtype)
    found = getattr(xp, dtype.name, None)
    if found is None:
        raise DtypeError(f"{xp.__name__} has no {dtype}")
    return found


def _asarray(xp: Any, value: np.ndarray, dtype: Any, beside: Any) -> Any:
    compat = _compat()
    device = compat.device(beside) if compat is not None else getattr(beside, "device", None)
    if value.base is not None or not value.flags.c_contiguous or not value.flags.writeable:
        value = np.array(value, order="C")
    return xp.asarray(value, dtype=dtype, **({} if device in (None, "cpu") else {"device": device}))


def _plain(value: Any) -> Any:
    """Return a value with NumPy arrays for the foreign ones, also in lists and tuples."""
    if isinstance(value, Foreign):
        return np.asarray(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value
    return value


def _by_numpy(home: Foreign, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Return what NumPy computes, brought back."""
    found = function(*map(_plain, args), **{name: _plain(value) for name, value in kwargs.items()})

    def back(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(map(back, value)) if type(value) in (list, tuple) else tuple(map(back, value))
        is_numbers = isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc"
        return home.like(value) if is_numbers else value

    return back(found)


# -- elementwise functions -----------------------------------------------------------------------------


@functools.cache
def _names(ufunc: np.ufunc) -> list[str]:
    """Return the names of a ufunc, those of the standard too: NumPy 2 has both."""
    home = np if getattr(np, ufunc.__name__, None) is not None else scipy.special
    found = [name for name in dir(home) if getattr(home, name, None) is ufunc]
    return list(dict.fromkeys([*found, ufunc.__name__, *_OTHER_NAMES.get(ufunc.__name__, ())]))


_OTHER_NAMES = {"psi": ("digamma",), "gammaln": ("lgamma",), "ndtri": ("ndtri",), "power": ("pow",)}
_SPECIAL = {"torch": "torch.special", "cupy": "cupyx.scipy.special", "jax": "jax.scipy.special"}
"""Where libraries have the functions of `scipy.special`."""


_OTHERS = {"kl_div", "huber"}
"""Functions of `scipy.special` whose names stand for something else in other libraries."""


@functools.cache
def _find(xp: Any, ufunc: np.ufunc) -> Callable[..., Any] | None:
    """Return a namespace's function for a ufunc."""
    root = xp.__name__.removeprefix("array_api_compat.").partition(".")[0]
    homes = [xp]
    if root in _SPECIAL and root in sys.modules:
        homes.append(importlib.import_module(_SPECIAL[root]))
    if ufunc.__name__ in _OTHERS:
        return None
    return next((f for home in homes for name in _names(ufunc) if callable(f := getattr(home, name, None))), None)


def _elementwise(home: Foreign, ufunc: np.ufunc, inputs: Sequence[Any]) -> Any:
    """Return a ufunc of arrays, in the dtypes of NumPy's promotion."""
    function = _find(home.xp, ufunc)
    if function is None and hasattr(home.array, "__array_ufunc__"):  # Dask's arrays take any
        function = ufunc
    if function is None or ufunc.nout != 1:
        raise NotImplementedError
    inputs = [x if isinstance(x, Foreign | np.ndarray | np.generic | int | float | complex) else np.asarray(x)
              for x in inputs]  # fmt: skip
    given = [type(x) if type(x) in (int, float, complex) else np.asarray(x).dtype if isinstance(x, bool) else x.dtype
             for x in inputs]  # fmt: skip
    *taken, made = ufunc.resolve_dtypes((*given, None))
    if ufunc is np.conjugate and made.kind != "c":
        return inputs[0]
    args = [home.like(x, dtype).array for x, dtype in zip(inputs, taken, strict=True)]
    if len(set(taken)) > 1:  # ldexp: PyTorch's takes the shape of its first argument
        args = home.xp.broadcast_arrays(*args)
    return home.like(Foreign(function(*args), home.xp), made)


# -- NumPy's functions in terms of the standard's ------------------------------------------------------

_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}


def _implements(*functions: Callable[..., Any]) -> Callable[[Any], Any]:
    def decorate(rule: Any) -> Any:
        _FUNCTIONS.update(dict.fromkeys(functions, rule))
        return rule

    return decorate


def _is_integers(part: Any) -> bool:
    return isinstance(part, np.ndarray | Foreign) and part.dtype.kind in "iu"


def _spelled_out(keys: Sequence[Any], ndim: int) -> list[Any]:
    """Return a key with an entry for every axis, without those that make new axes."""
    found = [part for part in keys if part is not None]
    place = found.index(Ellipsis) if Ellipsis in found else len(found)
    found[place : place + 1] = [slice(None)] * (ndim - len(found) + (Ellipsis in found))
    return found


def _forward(keys: Sequence[Any], shape: Sequence[int]) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Return a key without negative steps, and the axes of what it picks that have to be flipped then."""
    forward: list[Any] = []
    flipped = []
    axis = 0
    for part, size in zip(keys, shape, strict=True):
        if not isinstance(part, slice):
            forward.append(part)
            continue
        places = range(*part.indices(size))
        if places.step < 0:
            flipped.append(axis)
            places = places[::-1]
        forward.append(slice(places.start, max(places.stop, places.start), places.step))
        axis += 1
    return tuple(forward), tuple(flipped)


def _flat_places(arrays: Sequence[Any], shape: Sequence[int]) -> Any:
    """Return the places in C order of integer arrays along axes of these lengths."""
    flat: Any = 0
    for places, size in zip(arrays, shape, strict=True):
        flat = flat * size + np.where(np.less(places, 0), places + size, places)
    return flat


def _gather(x: Foreign, arrays: Sequence[Any]) -> Foreign:
    """Return elements picked by integer arrays along the first axes."""
    lead, rest = x.shape[: len(arrays)], x.shape[len(arrays) :]
    for places, size in zip(arrays, lead, strict=True):
        if isinstance(places, np.ndarray) and places.size and not (-size <= places.min() and places.max() < size):
            raise IndexError(f"index out of bounds for an axis of length {size}")
    places = _flat_places(arrays, lead)
    shape = (*places.shape, *rest)
    rows = x.xp.reshape(x.array, (math.prod(lead), *rest))
    if hasattr(x.array, "__array_function__") and not isinstance(places, Foreign):  # Dask's best take NumPy's indices
        found = x.xp.take(rows, np.asarray(places).reshape(-1), axis=0)
    else:
        found = x.xp.take(rows, x.xp.reshape(x.like(places, np.int64).array, (-1,)), axis=0)
    if tuple(found.shape) != (math.prod(places.shape), *rest):  # Dask with a lazy index of one element
        return x.like(np.asarray(x)[tuple(map(_plain, arrays))])
    return Foreign(x.xp.reshape(found, shape), x.xp)


def _axes(axis: Any, ndim: int) -> tuple[int, ...] | None:
    return None if axis is None else tuple(k % ndim for k in (axis if isinstance(axis, Iterable) else (axis,)))


def _reduction(function: Callable[..., Any], name: str) -> None:
    """Let a reduction over axes be that of the namespace."""

    @_implements(function)
    def rule(a: Foreign, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
        made = np.dtype(dtype) if dtype is not None else function(np.ones(1, a.dtype)).dtype
        if out is not None:
            raise NotImplementedError
        axes = _axes(axis, a.ndim)
        x = a if function in (np.max, np.min, np.any, np.all) else a.astype(made)
        if axes == ():
            return x.astype(made)
        return Foreign(getattr(a.xp, name)(x.array, axis=axes, keepdims=keepdims), a.xp).astype(made)


for _function, _name in ((np.sum, "sum"), (np.prod, "prod"), (np.max, "max"), (np.min, "min"), (np.any, "any"),
                         (np.all, "all")):  # fmt: skip
    _reduction(_function, _name)


@_implements(np.mean)
def _mean(a: Foreign, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    a = a.astype(dtype or (a.dtype if a.dtype.kind in "fc" else float))
    return Foreign(a.xp.mean(a.array, axis=_axes(axis, a.ndim), keepdims=keepdims), a.xp)


@_implements(np.argmax)
def _argmax(a: Foreign, axis: Any = None, *, keepdims: bool = False) -> Any:
    return Foreign(a.xp.argmax(a.array, axis=axis, keepdims=keepdims), a.xp).astype(np.intp)


@_implements(np.argmin)
def _argmin(a: Foreign, axis: Any = None, *, keepdims: bool = False) -> Any:
    return Foreign(a.xp.argmin(a.array, axis=axis, keepdims=keepdims), a.xp).astype(np.intp)


@_implements(np.argsort)
def _argsort(a: Foreign, axis: int = -1, kind: Any = None, *, stable: Any = None) -> Any:
    return Foreign(a.xp.argsort(a.array, axis=axis, stable=True), a.xp).astype(np.intp)


@_implements(np.sort)
def _sort(a: Foreign, axis: int = -1, kind: Any = None, *, stable: Any = None) -> Any:
    return Foreign(a.xp.sort(a.array, axis=axis), a.xp)


@_implements(np.cumsum)
def _cumsum(a: Foreign, axis: int, dtype: Any = None) -> Any:
    a = a.astype(dtype or np.cumsum(np.ones(1, a.dtype)).dtype)
    return Foreign(a.xp.cumulative_sum(a.array, axis=axis), a.xp)


@_implements(np.where)
def _where(condition: Any, x: Any, y: Any) -> Any:
    home = next(value for value in (condition, x, y) if isinstance(value, Foreign))
    made = np.result_type(*(value.dtype if isinstance(value, Foreign) else value for value in (x, y)))
    parts = home.like(condition, bool), home.like(x, made), home.like(y, made)
    return Foreign(home.xp.where(*(part.array for part in parts)), home.xp)


@_implements(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None) -> Any:
    a = a if a_min is None else np.maximum(a, a_min)
    return a if a_max is None else np.minimum(a, a_max)


@_implements(np.reshape)
def _reshape(a: Foreign, /, shape: Any = None, order: str = "C") -> Any:
    if order != "C":
        raise NotImplementedError
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(int(size) for size in shape)
    return Foreign(a.xp.reshape(a.array, shape), a.xp)


@_implements(np.ravel)
def _ravel(a: Foreign, order: str = "C") -> Any:
    return _reshape(a, (-1,), order)


@_implements(np.broadcast_to)
def _broadcast_to(array: Foreign, shape: Any) -> Any:
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    return Foreign(array.xp.broadcast_to(array.array, shape), array.xp)


@_implements(np.transpose)
def _transpose(a: Foreign, axes: Any = None) -> Any:
    axes = range(a.ndim)[::-1] if axes is None else axes
    return Foreign(a.xp.permute_dims(a.array, tuple(int(axis) for axis in axes)), a.xp) if a.ndim else a


@_implements(np.swapaxes)
def _swapaxes(a: Foreign, axis1: int, axis2: int) -> Any:
    axes = list(range(a.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return _transpose(a, axes)


@_implements(np.moveaxis)
def _moveaxis(a: Foreign, source: Any, destination: Any) -> Any:
    moved, places = _axes(source, a.ndim) or (), _axes(destination, a.ndim) or ()
    rest = [axis for axis in range(a.ndim) if axis not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        rest.insert(place, axis)
    return _transpose(a, rest)


@_implements(np.squeeze)
def _squeeze(a: Foreign, axis: Any = None) -> Any:
    axes = _axes(axis, a.ndim)
    axes = axes if axes is not None else tuple(k for k, size in enumerate(a.shape) if size == 1)
    return _reshape(a, [size for k, size in enumerate(a.shape) if k not in axes])


@_implements(np.expand_dims)
def _expand_dims(a: Foreign, axis: Any) -> Any:
    return _reshape(a, np.expand_dims(np.broadcast_to(0, a.shape), axis).shape)


@_implements(np.flip)
def _flip(m: Foreign, axis: Any = None) -> Any:
    return Foreign(m.xp.flip(m.array, axis=_axes(axis, m.ndim)), m.xp)


@_implements(np.concatenate)
def _concatenate(arrays: Sequence[Any], /, axis: int = 0) -> Any:
    return _joined("concat", arrays, axis)


@_implements(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    return _joined("stack", arrays, axis)


def _joined(name: str, arrays: Sequence[Any], axis: int) -> Any:
    home = next(value for value in arrays if isinstance(value, Foreign))
    made = np.result_type(*(value.dtype if isinstance(value, Foreign) else np.asarray(value) for value in arrays))
    return Foreign(getattr(home.xp, name)([home.like(value, made).array for value in arrays], axis=axis), home.xp)


@_implements(np.take)
def _take(a: Any, indices: Any, axis: int | None = None) -> Any:
    home = a if isinstance(a, Foreign) else indices
    a, axis = (_ravel(home.like(a)), 0) if axis is None else (home.like(a), axis)
    places = home.like(indices)
    found = _gather(_moveaxis(a, axis, 0), (places,))
    count = places.ndim
    return _moveaxis(found, range(count), range(axis % a.ndim, axis % a.ndim + count))


@_implements(np.copy, np.array, np.asarray, np.asanyarray)
def _copy(a: Any) -> Any:
    return Foreign(a.array, a.xp)  # a new handle is enough: writing never changes the array itself


def _filled(name: str, a: Any, dtype: Any, shape: Any, *values: Any) -> Any:
    shape = a.shape if shape is None else (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    return a.like(getattr(np, name)(shape, *values, dtype=a.dtype if dtype is None else dtype))


for _name in ("zeros", "ones", "empty"):
    _implements(getattr(np, f"{_name}_like"))(
        lambda a, dtype=None, order="K", subok=True, shape=None, *, made=_name: _filled(
            made.replace("empty", "zeros"), a, dtype, shape
        )
    )


@_implements(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None
               ) -> Any:  # fmt: skip
    return _filled("full", a, dtype, shape, fill_value)


_implements(np.astype)(lambda x, dtype, /, *, copy=True: x.astype(dtype))
_implements(np.real)(lambda val: val.real)
_implements(np.imag)(lambda val: val.imag)
_implements(np.shape)(lambda a: a.shape)
_implements(np.ndim)(lambda a: a.ndim)
_implements(np.size)(lambda a, axis=None: a.size if axis is None else a.shape[axis])
_implements(np.iscomplexobj)(lambda x: x.dtype.kind == "c")
_implements(np.isrealobj)(lambda x: x.dtype.kind != "c")
_implements(np.result_type)(
    lambda *values: np.result_type(*(value.dtype if isinstance(value, Foreign) else value for value in values))
)
_implements(np.ravel_multi_index)(lambda multi_index, dims: _flat_places(multi_index, dims))


@functools.cache
def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


_OF_COMPLEX = {"fft", "ifft", "fftn", "ifftn", "irfft", "irfftn", "hfft"}


def _of_extension(extension: str, name: str) -> None:
    """Let a function of `np.linalg` or `np.fft` be that of the namespace's extension of the same name."""
    function = getattr(getattr(np, extension), name)

    @_implements(function)
    def rule(*args: Any, **kwargs: Any) -> Any:
        given = {**dict(zip(_parameters(function), args, strict=False)), **kwargs}
        home = next(value for value in given.values() if isinstance(value, Foreign))
        kinds = [value.dtype for value in given.values() if isinstance(value, Foreign | np.ndarray)]
        made = np.result_type(*kinds)
        made = made if made.kind in "fc" else np.dtype(float)
        made = np.result_type(made, np.complex64) if name in _OF_COMPLEX else made
        arrays = [home.like(value, made).array for value in given.values() if isinstance(value, Foreign | np.ndarray)]
        rest = {key: value for key, value in given.items()
                if not isinstance(value, Foreign | np.ndarray) and value is not None}  # fmt: skip
        found = getattr(getattr(home.xp, extension), name)
        if name == "cholesky" and "dask" in home.xp.__name__:  # whose own default is the upper factor
            rest["lower"] = True
        found = found(*arrays, **rest)
        return tuple(Foreign(each, home.xp) for each in found) if isinstance(found, tuple) else Foreign(found, home.xp)


for _name in ("cholesky", "det", "eigh", "eigvalsh", "inv", "pinv", "qr", "slogdet", "solve", "svd"):
    _of_extension("linalg", _name)
for _name in ("fft", "ifft", "fftn", "ifftn", "rfft", "irfft", "rfftn", "irfftn", "hfft", "ihfft"):
    _of_extension("fft", _name)
