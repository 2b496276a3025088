"""jit: one compiled variant per kind of argument and per course of the program, and the choice among them."""

from __future__ import annotations

import contextlib
import functools
import gc
import operator
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.errors import DtypeError
from chainrule.ir import CONSTANT, Builder, Node, Program, value_of
from chainrule.llvm.executable import EvaluationError, Executable
from chainrule.llvm.plan import Host
from chainrule.namespaces import Foreign, wrap
from chainrule.surroundings import Surroundings, line_of
from chainrule.tracing import run_traced, settled
from chainrule.tracing.array import TracedArray, TracedNumber, lift
from chainrule.types import Spec

MAX_VARIANTS = 128
"""Courses of a program that are kept for one kind of arguments; a function with more runs uncompiled from then on."""
SOON = 2000
"""Nodes up to which a function is traced twice at its first call, to see if it does the same; else at its second."""
MAX_INTEGERS = 4
"""Values of a Python integer for each of which there is code of its own; with more, it is an input."""


def jit(
    f: Callable[..., Any],
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Jitted:
    """Return f compiled to machine code, with the same results.

    The function is traced at its first call for each kind of arguments (structure, shapes and dtypes), twice to see
    whether it does the same again (a function of thousands of operations once more at its second call). Where it
    looks at a value (``if x > 0``, ``int(n)``, a mask), the compiled code computes that value too: if it differs
    from the one traced, another variant runs, or is traced. Strings and other objects among the arguments are part
    of the kind; they are compared with ``==``.

    What f takes from its surroundings (variables of enclosing functions, globals, attributes, arrays and what is in
    them) is compared at every call, and f is traced again when it has changed; installed packages are taken not to
    change. A large array costs least as an argument, or when it is read-only (``x.setflags(write=False)``).
    A function that does not do the same twice, with random numbers of its own for instance, runs uncompiled, with a
    warning. So does one that meets an error: it raises what it raises without jit.

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
        self.impure = False
        functools.update_wrapper(self, f, updated=())  # attributes of a callable object are not this one's

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

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the method of an object, if the function is defined in a class."""
        return self if instance is None else types.MethodType(self, instance)

    def __reduce__(self) -> Any:
        """Pickle by name where the name leads here, else with the function; what was compiled stays behind."""
        name = getattr(self, "__qualname__", "")
        try:
            if operator.attrgetter(name)(sys.modules[self.__module__]) is self:
                return name
        except (AttributeError, KeyError):
            pass
        return Jitted, (self.f, tuple(self.static_argnums), tuple(self.static_argnames))

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        statics, dynamic = self._split(args, kwargs)
        leaves, structure = tree.flatten(dynamic)
        kinds: list[Any] = []
        values: list[Any] = []
        places: list[int] = []
        objects: list[Any] = []
        is_flat = self._plain and not kwargs and len(leaves) == len(args)
        for k, leaf in enumerate(leaves):
            if isinstance(leaf, TracedArray) or (type(leaf) is int and not -(2**63) <= leaf < 2**63):
                return self.f(*args, **kwargs)
            if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc":
                if type(leaf) not in _ARRAYS:
                    return self.f(*args, **kwargs)  # masked arrays and matrices have rules of their own
                kinds += leaf.dtype, leaf.shape
                is_flat &= type(leaf) is np.ndarray
            elif isinstance(leaf, np.generic) and leaf.dtype.kind in "biufc":
                kinds.append(type(leaf))
                is_flat &= type(leaf) in _SCALARS
            elif type(leaf) in (float, complex) or (type(leaf) is int and self._is_input(k, leaf)):
                kinds.append(type(leaf))
                is_flat &= type(leaf) is float
            elif wrap(leaf) is not None:
                return self.f(*args, **kwargs)  # machine code is for NumPy's arrays
            else:
                kinds.append((type(leaf), leaf))
                objects.append(leaf)
                is_flat = False
                continue
            values.append(leaf)
            places.append(k)
        key = (
            tuple(kinds) if is_flat else (structure, statics, tuple(type(value) for _, value in statics), tuple(kinds))
        )
        try:
            family = self.families.get(key)
        except TypeError:
            raise _unhashable(objects, statics) from None
        if family is None:
            objects += [value for _, value in statics]
            family = self.families[key] = Family(self, structure, kinds, places, objects)
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
        places = self._statics(args)
        static = tuple((k, arg) for k, arg in enumerate(args) if k in places)
        named = tuple((name, kwargs[name]) for name in sorted(self.static_argnames) if name in kwargs)
        rest = tuple(None if k in places else arg for k, arg in enumerate(args))
        return (*static, *named), (rest, {k: v for k, v in kwargs.items() if k not in self.static_argnames})

    def _statics(self, args: tuple[Any, ...]) -> set[int]:
        """Return the positions of static arguments, counted from the front."""
        return {k + len(args) if k < 0 else k for k in self.static_argnums}

    def merge(self, rest: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments with the static ones in their places again."""
        new_args, new_kwargs = rest
        places = self._statics(args)
        new_args = tuple(args[k] if k in places else arg for k, arg in enumerate(new_args))
        return new_args, new_kwargs | {name: kwargs[name] for name in self.static_argnames if name in kwargs}


_SCALARS = {float, np.float64, np.float32, np.int64, np.bool_}
_ARRAYS = {np.ndarray, np.memmap}


def _unhashable(objects: Sequence[Any], statics: Sequence[tuple[Any, Any]]) -> DtypeError:
    for name, value in statics:
        if not _is_hashable(value):
            which = name if isinstance(name, str) else f"number {name}"
            advice = "give a tuple instead of a list, or leave the argument out of the static ones"
            return DtypeError(
                f"jit: static argument {which}, of type {type(value).__name__}, is not hashable; {advice}"
            )
    wrong = next(each for each in objects if not _is_hashable(each))
    kind = f"an array of {wrong.dtype}" if isinstance(wrong, np.ndarray) else f"of type {type(wrong).__name__}"
    return DtypeError(f"jit: an argument is {kind}, neither an array of numbers nor hashable; let f close over it")


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

    def __init__(
        self, owner: Jitted, structure: Any, kinds: Sequence[Any], places: Sequence[int], objects: Sequence[Any]
    ) -> None:
        self.owner = owner
        self.structure = structure
        self.kinds = tuple(kinds)
        self.places = frozenset(places)
        self.objects = objects
        self.root = Fork()
        self.variants: list[Variant] = []
        self.given_up = owner.impure
        self.doubted = True  # until two traces of one course were the same
        self._only: Variant | None = None  # the one variant of a function that looks at nothing

    def call(self, values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result, by the variant that fits."""
        only = self._only
        if only is not None and only.surroundings.changed() is None:
            try:
                return only.run(values)
            except EvaluationError:  # which the function may expect, and handle
                return self.owner.f(*args, **kwargs)
        if self.given_up:
            return self.owner.f(*args, **kwargs)
        return self._find(values, args, kwargs)

    def _find(self, values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.doubted:
            return self._trace(values, args, kwargs)
        variant = self.root.latest
        for _ in range(len(self.variants)):
            if variant is None or variant.surroundings.changed() is not None:
                break
            try:
                found = variant.code(values)
            except EvaluationError:
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
        before = [each for each in self.variants if each.surroundings.changed() is None] if self.doubted else []
        variant = Variant(self, values, args, kwargs)
        if variant.is_nested:
            # Part of an outer trace, which must see what happens here, or with arrays of another library.
            return self.owner.f(*args, **kwargs)
        if not self.variants and len(variant.builder.table) < SOON:
            before, variant = [variant], Variant(self, values, args, kwargs)
        for earlier in before:
            if [key for _, key in earlier.guards] != [key for _, key in variant.guards]:
                continue
            difference = self._difference(earlier, variant)
            if difference is not None:
                _warn(
                    f"jit: {self.name} does not do the same twice for the same arguments ({difference}); it runs "
                    "uncompiled. Give it random numbers, times and the like as arguments, and return what it computes"
                )
                self.given_up = self.owner.impure = True
                self.variants, self.root, self._only = [], Fork(), None
                return variant.evaluated()
            self.doubted = False
            if earlier in self.variants:
                self._only = earlier if not earlier.guards else None
                return self._run(earlier, values, args, kwargs)
        fork = self.root
        forks = [fork]
        for _, key in variant.guards:
            fork = fork.ways.setdefault(key, Fork())
            forks.append(fork)
        known = fork.latest
        if known is not None and known.surroundings.changed() is None:  # it failed on these values
            return self.owner.f(*args, **kwargs)
        if known is not None and known.difference(variant, strictly=True) is None:  # it reads new contents as it is
            known.surroundings, variant = variant.surroundings, known
        else:
            self.variants = [each for each in self.variants if each is not known]
            if len(self.variants) >= MAX_VARIANTS:
                _warn(
                    f"jit: {self.name} took {MAX_VARIANTS} different courses for one kind of arguments; it runs "
                    "uncompiled from now on"
                )
                self.given_up = True
                self.variants, self.root, self._only = [], Fork(), None
                return self.owner.f(*args, **kwargs)
            variant.compile()
            variant.forks = forks
            self.variants.append(variant)
        for each in forks:
            each.latest = variant
        self._only = variant if not variant.guards and not self.doubted else None
        return self._run(variant, values, args, kwargs)

    def _run(self, variant: Variant, values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return variant.build(variant.code(values))
        except EvaluationError:  # which the function may expect, and handle
            return self.owner.f(*args, **kwargs)

    def _difference(self, earlier: Variant, again: Variant) -> str | None:
        """Return what a second trace of a course did differently, in words; None where nothing."""
        changed = earlier.surroundings.changed()
        if changed is None:
            return earlier.difference(again)
        where = line_of(self.owner.f, changed)
        return f"it changes {changed}{f', at {where}' if where else ''}"

    @property
    def name(self) -> str:
        """Name of the function, for messages."""
        return getattr(self.owner, "__name__", "the function")


def _warn(message: str) -> None:
    """Warn at the line that called the jitted function."""
    frame, depth = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, stacklevel=depth)


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

    def __init__(self, family: Family, values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        owner = family.owner
        builder = self.builder = Builder(lazy=True)
        self.inputs: list[Node] = []
        leaves, _ = tree.flatten(owner._split(args, kwargs)[1])
        handles: list[Any] = []
        for k, leaf in enumerate(leaves):
            if k not in family.places:
                handles.append(leaf)
                continue
            value = leaf if isinstance(leaf, np.ndarray | np.generic) else np.asarray(leaf)[()]
            node = builder.input(Spec.of(value), value, f"x{len(self.inputs)}")
            self.inputs.append(node)
            kind = (
                TracedNumber
                if isinstance(leaf, int | float | complex) and not isinstance(leaf, np.generic)
                else TracedArray
            )
            handles.append(kind(builder, node))
        new_args, new_kwargs = owner.merge(tree.unflatten(family.structure, handles), args, kwargs)
        result = run_traced(builder, owner.f, *new_args, **new_kwargs)
        builder.verify()
        found, self.structure = tree.flatten(result)
        self.leaves = [None if isinstance(leaf, TracedArray) else settled(leaf) for leaf in found]
        self.forms = [_form(leaf) for leaf in found if isinstance(leaf, TracedArray)]
        self.outputs = [lift(builder, leaf) for leaf in found if isinstance(leaf, TracedArray)]
        builder.open = False
        self.guards = [(node, _key(value)) for node, value in builder.guards.items() if node.op is not CONSTANT]
        self.count = len(self.outputs)
        self.forks: list[Fork] = []
        self.is_nested = any(
            isinstance(node.binding, TracedArray) or isinstance(node.value, Foreign)
            for _, node, _ in builder.captured.values()
        )
        self.surroundings = Surroundings(owner.f, family.objects)
        self._alone = self.count == 1 and self.structure.num_nodes == 1 and not any(self.forms)

    def compile(self) -> None:
        """Compile it, and forget the values of the trace."""
        self.code = Executable(self.inputs, [*self.outputs, *(node for node, _ in self.guards)])
        for node in (*self.inputs, *self.builder.table.values()):
            if node.op is not CONSTANT:
                node.value = node.binding = None

    def evaluated(self) -> Any:
        """Return the result of the trace itself, computed by NumPy."""
        return self.build([value_of(node) for node in self.outputs])

    def run(self, values: Sequence[Any]) -> Any:
        """Return the result; only for a course without guards."""
        found = self.code(values)
        return found[0] if self._alone else self.build(found)

    def build(self, values: Sequence[Any]) -> Any:
        """Return the result in the function's own structure."""
        if self._alone:
            return values[0]
        rest = iter(zip(values, self.forms, strict=False))
        leaves = []
        for leaf in self.leaves:
            if leaf is None:
                value, form = next(rest)
                leaves.append(value if form is None else form(value))
            else:
                leaves.append(leaf.copy() if isinstance(leaf, np.ndarray) else leaf)
        return tree.unflatten(self.structure, leaves)

    def difference(self, other: Variant, strictly: bool = False) -> str | None:
        """Return what another trace of the same call did differently, in words; None where nothing.

        Arrays that are captured may differ if they hold the same, unless `strictly`.
        """
        if self.structure != other.structure or [type(form) for form in self.forms] != [
            type(form) for form in other.forms
        ]:
            return "it returned another structure"
        ends = [[*each.outputs, *(node for node, _ in each.guards)] for each in (self, other)]
        nodes = [Program(tuple(each.inputs), tuple(end), each.builder).nodes
                 for each, end in zip((self, other), ends, strict=True)]  # fmt: skip
        places: list[dict[Node, int]] = [{node: k for k, node in enumerate(found)} for found in nodes]
        for one, two in zip(*nodes, strict=False):
            same = one.op.name == two.op.name and one.spec == two.spec
            same &= [places[0][arg] for arg in one.inputs] == [places[1][arg] for arg in two.inputs]
            if same and one.op is CONSTANT:
                bound = one.binding is not None and one.binding is two.binding
                loose = not strictly or (one.binding is None and two.binding is None)
                same = bound or (loose and _equal(one.value, two.value))
            if same and one.op.family == "control":
                same = _same_bodies(one, two)
            if not same:
                user = next((node for node in nodes[0] if one in node.inputs and node.origin), one)
                where = one.origin or user.origin or two.origin
                return f"at {where}" if where else "in the constants it uses"
        if len(nodes[0]) != len(nodes[1]):
            return "it took another course"
        plain = [(a, b) for a, b in zip(self.leaves, other.leaves, strict=True) if a is not None or b is not None]
        if not all(_equal(a, b) for a, b in plain):
            return "in what it returned"
        return None


def _same_bodies(one: Node, two: Node) -> bool:
    """Whether the bodies of two loops do the same, with the same numbers."""
    for bodies in zip(one.params["control"].bodies, two.params["control"].bodies, strict=True):
        nodes = [body.nodes for body in bodies]
        if len(nodes[0]) != len(nodes[1]):
            return False
        for each, other in zip(*nodes, strict=True):
            if each.op.name != other.op.name or each.spec != other.spec:
                return False
            if each.op is CONSTANT and not _equal(each.value, other.value):
                return False
            if each.op.family == "control" and not _same_bodies(each, other):
                return False
    return True


def _form(leaf: TracedArray) -> Callable[[Any], Any] | None:
    """Return what makes a compiled result what the function returned: a Python number, an array without axes."""
    if isinstance(leaf, TracedNumber):
        return operator.methodcaller("item")
    return np.asarray if not leaf.shape and not leaf.is_scalar else None


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
    "Factor": "factorizations",
    "Join": "joins",
    "Check": "index checks",
}

__all__ = ["Jitted", "Report", "jit"]
