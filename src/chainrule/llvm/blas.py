"""Where BLAS and LAPACK are: SciPy's pointers, and NumPy's own copy for products that several threads share.

The threads of an OpenBLAS wait for work by spinning for some milliseconds. NumPy and SciPy each bring a copy; a program
that used both in turn would have the threads of one in the way of the other. So large products go where NumPy's go.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import scipy.linalg.cython_blas
import scipy.linalg.cython_lapack

SHARED = ("dgemm", "sgemm", "dgemv", "sgemv")
"""Functions that NumPy's copy is asked for."""
_BLAS = (*SHARED, "dtrsm", "strsm")
_LAPACK = ("dgetrf", "sgetrf", "dgetri", "sgetri", "dpotrf", "spotrf")


@functools.cache
def symbols() -> dict[str, int]:
    """Return the addresses of all functions, by the names under which machine code calls them."""
    found = {"chainrule_blas_threads": _address(_set_threads())}
    for library, names in ((scipy.linalg.cython_blas, _BLAS), (scipy.linalg.cython_lapack, _LAPACK)):
        found |= {f"chainrule_{name}": _pointer(library.__pyx_capi__[name]) for name in names}
    return found | {f"chainrule_numpy_{name}": address for name, address in numpys().items()}


@functools.cache
def numpys() -> dict[str, int]:
    """Return the addresses of NumPy's functions, whose integers have 64 bits; nothing where they are not found."""
    for path in _libraries("openblas64"):
        if "numpy" in path:
            functions = {name: getattr(ctypes.CDLL(path), f"scipy_{name}_64_", None) for name in SHARED}
            if all(functions.values()):
                return {name: _address(function) for name, function in functions.items()}
    return {}


@functools.cache
def _set_threads() -> Any:
    """Return the function that sets how many threads SciPy's BLAS uses and returns how many it used.

    It is OpenBLAS's own, found where SciPy's copy of the library lies; elsewhere it does nothing.
    """
    for path in _libraries("openblas"):
        if "numpy" not in path:
            function = getattr(ctypes.CDLL(path), "openblas_set_num_threads_local", None)
            if function is not None:
                return function
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda _: 1)


def set_threads(count: int) -> int:
    """Let SciPy's BLAS use so many threads; returns how many it used before."""
    return int(_set_threads()(count))


def _libraries(word: str) -> list[str]:
    """Return the shared libraries of this process whose path holds a word, where the system tells."""
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            paths = {line.split(maxsplit=5)[5].strip() for line in maps if line.count(" ") >= 5 and word in line}
    except OSError:
        return []
    return sorted(path for path in paths if ".so" in path)


def _address(function: Any) -> int:
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def _pointer(capsule: Any) -> int:
    """Return the address in one of SciPy's capsules."""
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer_of(capsule, name_of(capsule)))
