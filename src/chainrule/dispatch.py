"""jit: one compiled variant per kind of argument and per course of the program, and the choice among them."""

from __future__ import annotations

import contextlib
import functools
import gc
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.errors import DtypeError
from chainrule.ir import CONSTANT, Builder, Node, Program
from chainrule.llvm.executable import BadIndexError, Executable
from chainrule.llvm.plan import Host
from chainrule.surroundings import Surroundings
from chainrule.tracing.array import TracedArray, TracedNumber, lift
from chainrule.types import Spec

MAX_VARIANTS = 128
"""Courses of a program that are kept for one kind of arguments; a function with more runs uncompiled from then on."""
MAX_INTEGERS = 4
"""Values of a Python integer for each of which there is code of its own; with more, it is an input."""


def jit(
    f: Callable[..., Any],
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Jitted:
    """Return f compiled to machine code, with the same results.

    The function is traced at its first call for each kind of arguments (structure, shapes and dtypes). Where it
    looks at a value (``if x > 0``, ``int(n)``, a mask), the compiled code computes that value too: if it differs
    from the one traced, another variant runs, or is traced. Arrays that f takes from its surroundings are read at
    every call. Strings and other objects among the arguments are part of the kind.

    Sums are added in blocks with compensation (float32 in float64), and elementary functions come from the C
    library, so the last digits may differ from NumPy's. Compiled code gives no floating-point warnings.

    Args:
        f: Any function of arrays and structures of them, also a derivative such as ``grad(g)``.
        static_argnums: Positions of arguments that are passed as they are; they must be hashable.
        static_argnames: Names of keyword arguments likewise.

    Raises:
        DtypeError: an argument is neither an array, nor a number, nor hashable.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> fast = cr.jit(cr.grad(lambda x: np.sum(np.sin(x))))
        >>> fast(np.zeros(2))
        array([1., 1.])
    """
    return Jitted(f, static_argnums, static_argnames)


class Jitted:
    """A function with compiled variants; see `jit`."""

    def __init__(
        self, f: Callable[..., Any], static_argnums: int | Sequence[int], static_argnames: str | Sequence[str]
    ) -> None:
        self.f = f
        self.static_argnums = {static_argnums} if isinstance(static_argnums, int) else set(static_argnums)
        self.static_argnames = {static_argnames} if isinstance(static_argnames, str) else set(static_argnames)
        self.families: dict[Any, Family] = {}
        self._plain = not self.static_argnums and not self.static_argnames
        self._integers: dict[int, set[int]] = {}
        self._impure: str | None = None
        functools.update_wrapper(self, f)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the variant that fits; trace and compile one if there is none."""
        if self._plain and not kwargs:  # arrays alone: the usual case, and the one in which microseconds count
            key: list[Any] = []
            for arg in args:
                if type(arg) is np.ndarray:
                    key += arg.dtype, arg.shape
                elif type(arg) in _SCALARS:
                    key.append(type(arg))
                else:
                    break
            else:
                family = self.families.get(tuple(key))
                if family is not None:
                    return family.call(args, args, kwargs)
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        statics, dynamic = self._split(args, kwargs)
        leaves, structure = tree.flatten(dynamic)
        kinds: list[Any] = []
        values: list[Any] = []
        is_flat = self._plain and not kwargs and len(leaves) == len(args)
        for k, leaf in enumerate(leaves):
            if isinstance(leaf, TracedArray):
                return self.f(*args, **kwargs)
            if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc":
                kinds += leaf.dtype, leaf.shape
                values.append(leaf)
                is_flat &= type(leaf) is np.ndarray
            elif isinstance(leaf, np.generic) and leaf.dtype.kind in "biufc":
                kinds.append(type(leaf))
                values.append(leaf)
                is_flat &= type(leaf) in _SCALARS
            elif type(leaf) is float or (type(leaf) is int and self._is_input(k, leaf)):
                kinds.append(type(leaf))
                values.append(leaf)
                is_flat &= type(leaf) is float
            else:
                kinds.append((type(leaf), leaf))
                is_flat = False
        key = tuple(kinds) if is_flat else (structure, statics, tuple(kinds))
        try:
            family = self.families.get(key)
        except TypeError:
            wrong = next(leaf for leaf in (*leaves, *(value for _, value in statics)) if not _is_hashable(leaf))
            raise DtypeError(
                f"jit: an argument of type {type(wrong).__name__} is neither an array nor hashable"
            ) from None
        if family is None:
            family = self.families[key] = Family(self, structure, kinds)
        return family.call(values, args, kwargs)

    def inspect(self) -> Report:
        """Return a report on what was compiled: variants, guards, loops, memory, time; code on request."""
        return Report(self)

    def _is_input(self, place: int, value: int) -> bool:
        seen = self._integers.setdefault(place, set())
        if len(seen) <= MAX_INTEGERS:
            seen.add(value)
        return len(seen) > MAX_INTEGERS

    def _split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[tuple[Any, Any], ...], Any]:
        if self._plain:
            return (), (args, kwargs)
        static = tuple((k, arg) for k, arg in enumerate(args) if k in self.static_argnums)
        named = tuple(sorted((name, value) for name, value in kwargs.items() if name in self.static_argnames))
        rest = tuple(None if k in self.static_argnums else arg for k, arg in enumerate(args))
        return (*static, *named), (rest, {k: v for k, v in kwargs.items() if k not in self.static_argnames})

    def merge(self, rest: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments with the static ones in their places again."""
        new_args, new_kwargs = rest
        new_args = tuple(args[k] if k in self.static_argnums else arg for k, arg in enumerate(new_args))
        return new_args, new_kwargs | {name: kwargs[name] for name in self.static_argnames if name in kwargs}


_SCALARS = {float, np.float64, np.float32, np.int64, np.bool_}


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@dataclass(slots=True)
class Fork:
    """A place in the courses of a program: what comes next depends on a value that it looks at.

    Attributes:
        latest: The variant that was last found to come this way.
        ways: The next place for each value seen.
    """

    latest: Variant | None = None
    ways: dict[Any, Fork] = field(default_factory=dict)


class Family:
    """The variants for one kind of arguments."""

    def __init__(self, owner: Jitted, structure: Any, kinds: Sequence[Any]) -> None:
        self.owner = owner
        self.structure = structure
        self.kinds = tuple(kinds)
        self.root = Fork()
        self.variants: list[Variant] = []
        self.given_up = False
        self._only: Variant | None = None  # the one variant of a function that looks at nothing

    def call(self, values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result, by the variant that fits."""
        only = self._only
        if only is not None and only.surroundings.same():
            try:
                return only.run(values)
            except BadIndexError:
                return self.owner.f(*args, **kwargs)
        if self.given_up:
            return self.owner.f(*args, **kwargs)
        return self._find(values, args, kwargs)

    def _find(self, values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        variant = self.root.latest
        for _ in range(len(self.variants)):
            if variant is None or not variant.surroundings.same():
                break
            try:
                found = variant.code(values)
            except (BadIndexError, ArithmeticError, ValueError, IndexError):
                break  # perhaps this course of the program is not that of these values
            fork: Fork | None = self.root
            for (_, key), value in zip(variant.guards, found[variant.count :], strict=True):
                assert fork is not None
                now = _key(value)
                fork = fork.ways.get(now)
                if now != key:
                    break
            else:
                for each in variant.forks:
                    each.latest = variant
                return variant.build(found)
            variant = None if fork is None else fork.latest
        return self._trace(values, args, kwargs)

    def _trace(self, values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the function once more, with traced values, and compile its course if it is a new one."""
        with _no_collection():
            return self._trace_anew(values, args, kwargs)

    def _trace_anew(self, values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        variant = Variant(self.owner, self.structure, values, args, kwargs)
        if not self.variants:
            other = Variant(self.owner, self.structure, values, args, kwargs)
            difference = variant.difference(other)
            if difference is not None:
                name = getattr(self.owner, "__name__", "the function")
                warnings.warn(
                    f"jit: {name} does not do the same twice for the same arguments ({difference}); it runs "
                    "uncompiled. Give it random numbers, times and the like as arguments",
                    stacklevel=7,
                )
                self.given_up = True
                return self.owner.f(*args, **kwargs)
        fork = self.root
        forks = [fork]
        for _, key in variant.guards:
            fork = fork.ways.setdefault(key, Fork())
            forks.append(fork)
        known = fork.latest
        if known is not None and not known.surroundings.same():
            self.variants = [each for each in self.variants if each is not known]
        elif known is not None:  # it failed on these values, which is the function's own doing
            return self.owner.f(*args, **kwargs)
        if len(self.variants) >= MAX_VARIANTS:
            warnings.warn(
                f"jit: {getattr(self.owner, '__name__', 'the function')} took {MAX_VARIANTS} different courses for one "
                "kind of arguments; it runs uncompiled from now on",
                stacklevel=7,
            )
            self.given_up = True
            self.variants, self.root, self._only = [], Fork(), None
            return self.owner.f(*args, **kwargs)
        variant.compile()
        variant.forks = forks
        for each in forks:
            each.latest = variant
        self.variants.append(variant)
        self._only = variant if not variant.guards else None
        try:
            return variant.build(variant.code(values))
        except BadIndexError:
            return self.owner.f(*args, **kwargs)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking over a growing graph again and again; there is no garbage in it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Variant:
    """One course of a function: traced, then compiled."""

    code: Executable

    def __init__(
        self, owner: Jitted, structure: Any, values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        builder = self.builder = Builder(lazy=True)
        self.inputs: list[Node] = []
        leaves, _ = tree.flatten(owner._split(args, kwargs)[1])
        rest = iter(values)
        expected = next(rest, None)
        handles: list[Any] = []
        for leaf in leaves:
            if leaf is not expected:
                handles.append(leaf)
                continue
            value = leaf if isinstance(leaf, np.ndarray | np.generic) else np.asarray(leaf)[()]
            node = builder.input(Spec.of(value), value, f"x{len(self.inputs)}")
            self.inputs.append(node)
            kind = TracedNumber if isinstance(leaf, int | float) and not isinstance(leaf, np.generic) else TracedArray
            handles.append(kind(builder, node))
            expected = next(rest, None)
        new_args, new_kwargs = owner.merge(tree.unflatten(structure, handles), args, kwargs)
        result = owner.f(*new_args, **new_kwargs)
        builder.verify()
        found, self.structure = tree.flatten(result)
        self.leaves = [None if isinstance(leaf, TracedArray) else leaf for leaf in found]
        self.numbers = [isinstance(leaf, TracedNumber) for leaf in found if isinstance(leaf, TracedArray)]
        self.outputs = [lift(builder, leaf) for leaf in found if isinstance(leaf, TracedArray)]
        self.guards = [(node, _key(value)) for node, value in builder.guards.items() if node.op is not CONSTANT]
        self.count = len(self.outputs)
        self.forks: list[Fork] = []
        self.surroundings = Surroundings(owner.f, builder)
        self._alone = self.count == 1 and self.structure.num_nodes == 1 and not any(self.numbers)

    def compile(self) -> None:
        """Compile it, and forget the values of the trace."""
        self.code = Executable(self.inputs, [*self.outputs, *(node for node, _ in self.guards)])
        for node in (*self.inputs, *self.builder.table.values()):
            if node.op is not CONSTANT:
                node.value = node.binding = None

    def run(self, values: Sequence[Any]) -> Any:
        """Return the result; only for a course without guards."""
        found = self.code(values)
        return found[0] if self._alone else self.build(found)

    def build(self, values: Sequence[Any]) -> Any:
        """Return the result in the function's own structure."""
        if self._alone:
            return values[0]
        rest = iter(zip(values, self.numbers, strict=False))
        leaves = []
        for leaf in self.leaves:
            if leaf is None:
                value, is_number = next(rest)
                leaves.append(value.item() if is_number else value)
            else:
                leaves.append(leaf.copy() if isinstance(leaf, np.ndarray) else leaf)
        return tree.unflatten(self.structure, leaves)

    def difference(self, other: Variant) -> str | None:
        """Return what another trace of the same call did differently, in words; None where nothing."""
        if self.structure != other.structure:
            return "it returned another structure"
        ends = [[*each.outputs, *(node for node, _ in each.guards)] for each in (self, other)]
        nodes = [Program(tuple(each.inputs), tuple(end), each.builder).nodes
                 for each, end in zip((self, other), ends, strict=True)]  # fmt: skip
        places: list[dict[Node, int]] = [{node: k for k, node in enumerate(found)} for found in nodes]
        for one, two in zip(*nodes, strict=False):
            same = one.op.name == two.op.name and one.spec == two.spec
            same &= [places[0][arg] for arg in one.inputs] == [places[1][arg] for arg in two.inputs]
            if same and one.op is CONSTANT:
                same = (one.binding is not None and one.binding is two.binding) or _equal(one.value, two.value)
            if not same:
                return f"at {one.origin or two.origin}" if one.origin or two.origin else "in the constants it uses"
        if len(nodes[0]) != len(nodes[1]):
            return "it took another course"
        plain = [(a, b) for a, b in zip(self.leaves, other.leaves, strict=True) if a is not None or b is not None]
        if not all(_equal(a, b) for a, b in plain):
            return "in what it returned"
        return None


def _equal(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(two, np.ndarray):
        kind = np.asarray(one).dtype.kind
        return np.array_equal(one, two, equal_nan=kind in "fc")
    return bool(one is two or one == two or (one != one and two != two))


def _key(value: Any) -> Any:
    """Return a value that a program looked at as a key: equal for equal values, NaN and signed zeros included."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value.tobytes()
    item = value.item() if isinstance(value, np.ndarray | np.generic) else value
    return np.float64(item).tobytes() if isinstance(item, float) else item


class Report:
    """What a jitted function has compiled. Prints as text.

    Attributes:
        variants: One entry per course of the program.
    """

    def __init__(self, jitted: Jitted) -> None:
        self.name = getattr(jitted, "__name__", "function")
        self.families = list(jitted.families.values())
        self.variants: list[Variant] = [variant for family in self.families for variant in family.variants]

    @property
    def compile_seconds(self) -> float:
        """Seconds spent on planning, emitting and compiling, over all variants."""
        return sum(variant.code.compile_seconds for variant in self.variants)

    @property
    def arena_bytes(self) -> int:
        """Bytes for values between steps, over all variants, per thread."""
        return sum(variant.code.arena_bytes for variant in self.variants)

    def llvm_ir(self, *, optimized: bool = False) -> str:
        """Return the LLVM IR of all variants, as emitted or after LLVM's passes."""
        codes = [variant.code.code for variant in self.variants if variant.code.code is not None]
        return "\n".join(code.optimized() if optimized else "\n".join(code.texts) for code in codes)

    def assembly(self) -> str:
        """Return the machine code of all variants as text."""
        codes = [variant.code.code for variant in self.variants if variant.code.code is not None]
        return "\n".join(code.assembly() for code in codes)

    def __str__(self) -> str:
        many = len(self.variants)
        lines = [f"{self.name}: {many} variant{'' if many == 1 else 's'}, compiled in {self.compile_seconds:.3f} s"]
        for family in self.families:
            kinds = iter(family.kinds)
            spelled = [_spelled(kind, kinds) for kind in kinds]
            lines.append(f"  ({', '.join(spelled)})" + (" runs uncompiled" if family.given_up else ""))
            lines += [f"    {line}" for variant in family.variants for line in _described(variant)]
        return "\n".join(lines)

    __repr__ = __str__


def _spelled(kind: Any, rest: Iterable[Any]) -> str:
    if isinstance(kind, np.dtype):
        return f"{kind}{list(next(iter(rest)))}"
    return kind.__name__ if isinstance(kind, type) else repr(kind[1])


def _described(variant: Variant) -> list[str]:
    code = variant.code
    steps = [type(step).__name__ for step in code.plan.steps]
    counts = ", ".join(f"{steps.count(kind)} {_WORDS.get(kind, kind)}" for kind in dict.fromkeys(steps))
    source = "from the cache" if code.code is not None and code.code.cached else "compiled"
    lines = [
        f"{counts or 'nothing to compute'}; {code.arena_bytes} bytes between steps; {source} in "
        f"{code.compile_seconds:.3f} s"
    ]
    hosts = [step.node.op.name for step in code.plan.steps if isinstance(step, Host)]
    if hosts:
        lines.append(f"by NumPy: {', '.join(dict.fromkeys(hosts))}")
    for node, key in variant.guards:
        where = f" at {node.origin}" if node.origin else ""
        lines.append(f"looks at {node.name}{where}: {_seen(key)}")
    return lines


def _seen(key: Any) -> str:
    return f"{len(key)} bytes" if isinstance(key, bytes) else repr(key)


_WORDS = {
    "Host": "by NumPy",
    "Straight": "straight-line",
    "Loop": "loops",
    "Multiply": "products",
    "Spread": "scatters",
    "Run": "running sums",
    "Check": "index checks",
}

__all__ = ["Jitted", "Report", "jit"]
