"""From loop nests to LLVM IR text.

Every value is computed where it is needed: `Body.read(node, index)` returns the element of a node at an index,
either loaded from memory or computed from the elements it depends on, which are read in the same way. A chain of
pointwise and structural ops becomes one expression; index maps compose into addresses.
"""

from __future__ import annotations

import itertools
import math
import platform
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.ir import Node, Product
from chainrule.llvm.index import Index, Ranges
from chainrule.types import Shape

TYPES = {np.dtype(name): kind for name, kind in
         {"float64": "double", "float32": "float", "int64": "i64", "bool": "i1"}.items()}  # fmt: skip
"""LLVM type of an element, for the dtypes that have machine code; a bool takes a byte in memory."""

APART = 8
"""Elements by which an address is ahead of the loop from which it has a pointer of its own."""

Value = str
Operands = Sequence[Value]


Indices = tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class Flat:
    """The position of an element in C order, for loops that need no more."""

    position: Index
    shape: Shape


Place = Indices | Flat


class Body:
    """Instructions of one function, and what has been computed in it so far."""

    def __init__(
        self, slots: Mapping[Node, str], declared: set[str], prefix: str = "", plain: Collection[Node] = ()
    ) -> None:
        self.lines: list[str] = []
        self.variables: list[str] = []
        self.slots = slots  # nodes in memory, and the pointers to them
        self.declared = declared
        self.plain = plain  # products that need no care for exact zeros
        self.offsets: Mapping[Node, int] = {}  # nodes at fixed places of %arena, in bytes
        self.memo: dict[tuple[Any, Any], Any] = {}  # elements by node and place, quotients by index and divisor
        self.ranges = Ranges()
        self.cuts: dict[str, set[int]] = {}
        self.unflattened = False
        self.begin: Callable[[Node, int], Value] | None = None
        self._count = 0
        self._prefix = prefix

    # -- text --------------------------------------------------------------------------------------

    def let(self, text: str) -> Value:
        """Add an instruction and return the name of its value."""
        name = f"%{self._prefix}{self._count}"
        self._count += 1
        self.lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        """Add an instruction without a value."""
        self.lines.append(f"  {text}")

    def variable(self, kind: str) -> Value:
        """Return a pointer to a variable of the function: made at its beginning, so that it becomes a register."""
        name = f"%{self._prefix}{self._count}"
        self._count += 1
        self.variables.append(f"  {name} = alloca {kind}")
        return name

    def label(self, stem: str) -> str:
        """Return a fresh label."""
        self._count += 1
        return f"{stem}{self._prefix}{self._count}"

    def call(self, result: str, function: str, *arguments: tuple[str, Value], attributes: str = "") -> Value:
        """Call a function of the mathematics library or an intrinsic; declares it."""
        types = ", ".join(kind for kind, _ in arguments)
        self.declared.add(f"declare {result} @{function}({types}) #1")
        spelled = ", ".join(f"{kind} {value}" for kind, value in arguments)
        return self.let(f"call {result} @{function}({spelled}) {attributes or '#1'}")

    # -- indices -------------------------------------------------------------------------------------

    def integer(self, index: Index) -> Value:
        """Return an index as an i64 value."""
        total: Value | None = None
        for name, factor in index.terms:
            term = name if factor == 1 else self.let(f"mul nsw i64 {name}, {factor}")
            total = term if total is None else self.let(f"add nsw i64 {total}, {term}")
        if total is None:
            return str(index.constant)
        return self.let(f"add nsw i64 {total}, {index.constant}") if index.constant else total

    def divide(self, index: Index, by: int) -> tuple[Index, Index]:
        """Return quotient and remainder of a non-negative index."""
        if by == 1:
            return index, Index()
        known = self.ranges.divide(index, by)
        if known is not None:
            return known
        self.unflattened = True
        found = self.memo.get((index, by))  # once, so that equal places stay equal
        if found is None:
            value = self.integer(index)
            quotient = self.let(f"udiv i64 {value}, {by}")
            remainder = self.let(f"urem i64 {value}, {by}")
            found = self.memo[index, by] = Index(0, ((quotient, 1),)), Index(0, ((remainder, 1),))
        return found

    def flat(self, place: Place, shape: Shape) -> Index:
        """Return the position in C order."""
        if isinstance(place, Flat):
            return place.position
        total = Index()
        stride = 1
        for part, size in zip(reversed(place), reversed(shape), strict=True):
            total = total + part * stride
            stride *= size
        return total

    def unflatten(self, place: Place) -> Indices:
        """Return one index per axis."""
        if not isinstance(place, Flat):
            return place
        if sum(size > 1 for size in place.shape) <= 1:
            return tuple(place.position if size > 1 else Index() for size in place.shape)
        rest, parts = place.position, []
        for size in reversed(place.shape[1:]):
            rest, part = self.divide(rest, size)
            parts.append(part)
        return (rest, *reversed(parts))

    def reshaped(self, place: Place, shape: Shape, new: Shape) -> Place:
        """Return the place of the same element in an array of another shape."""
        return Flat(self.flat(place, shape), new)

    def projected(self, place: Place, shape: Shape, smaller: Shape) -> Place:
        """Return the place in an array that is broadcast to `shape`."""
        if smaller == shape:
            return place
        if not math.prod(smaller) - 1:
            return (Index(),) * len(smaller)
        parts = self.unflatten(place)[len(shape) - len(smaller) :]
        return tuple(Index() if size == 1 else part for part, size in zip(parts, smaller, strict=True))

    def inside(self, index: Index, start: int, stop: int | None, step: int, size: int) -> tuple[Value | None, Index]:
        """Return whether an index is one of a slice's, and which; None for always, "false" for never.

        Where the range of the loop variable does not tell, the values at which the answer changes are noted in
        `cuts`: the loop is emitted again in pieces.
        """
        chosen = range(*slice(start, stop, step).indices(size))
        if len(chosen) == size and step == 1:
            return None, index
        low, high = (chosen[0], chosen[-1]) if step > 0 else (chosen[-1], chosen[0])
        offset = index - low if step > 0 else Index(high) + index * -1
        place = offset
        within: Value | None = None
        known = self.ranges.of(offset)
        if known is None or known[0] < 0 or known[1] > high - low:
            if known is not None and (known[1] < 0 or known[0] > high - low):
                return "false", Index()
            self._cut(offset, high - low)
            value = self.integer(offset)
            within = self.let(f"icmp ule i64 {value}, {high - low}")
        if abs(step) != 1:
            quotient, remainder = self.divide(offset, abs(step))
            if not remainder.terms:
                if remainder.constant:
                    return "false", Index()
            else:
                fits = self.let(f"icmp eq i64 {self.integer(remainder)}, 0")
                within = fits if within is None else self.let(f"and i1 {within}, {fits}")
            place = quotient
        if within is None:
            return None, place
        safe = self.let(f"select i1 {within}, i64 {self.integer(place)}, i64 0")
        return within, Index(0, ((safe, 1),))

    def _cut(self, offset: Index, last: int) -> None:
        """Note where a single loop variable passes 0 and ``last``."""
        if len(offset.terms) != 1:
            return
        ((name, factor),) = offset.terms
        if factor == 1:
            self.cuts.setdefault(name, set()).update((-offset.constant, last + 1 - offset.constant))
        elif factor == -1:
            self.cuts.setdefault(name, set()).update((offset.constant - last, offset.constant + 1))

    # -- elements --------------------------------------------------------------------------------------

    def read(self, node: Node, place: Place) -> Value:
        """Return the element of a node at a place."""
        if node.op is ir.CONSTANT and not node.shape:
            return literal(node.value, TYPES[node.dtype])
        key = node, self._usual(node, place)
        value = self.memo.get(key)
        if value is None:
            value = self._load(node, place) if node in self.slots else self._compute_in_order(node, place)
            self.memo[key] = value
        return value

    def _compute_in_order(self, node: Node, place: Place) -> Value:
        """Compute what an element depends on before it, so that chains of any length do not nest."""
        stack = [(node, place)]
        while True:
            top, at = stack[-1]
            missing = []
            if isinstance(top.op.lower, str):
                for arg in top.inputs:
                    if arg in self.slots or (arg.op is ir.CONSTANT and not arg.shape):
                        continue
                    where = self.projected(at, top.shape, arg.shape)
                    if (arg, self._usual(arg, where)) not in self.memo:
                        missing.append((arg, where))
            if missing:
                stack += missing
                continue
            value = self.memo.get((top, self._usual(top, at)))
            if value is None:
                value = self.compute(top, at)
                self.remember(top, at, value)
            stack.pop()
            if not stack:
                return value

    def remember(self, node: Node, place: Place, value: Value) -> None:
        """Note the element of a node at a place, for those that need it at the same place."""
        self.memo[node, self._usual(node, place)] = value

    def _usual(self, node: Node, place: Place) -> Place:
        """Return a place in the form that equal places share."""
        if isinstance(place, Flat) and (node.ndim == 1 or not place.position.terms):
            return self.unflatten(place)
        return place

    def _load(self, node: Node, place: Place) -> Value:
        kind, memory = TYPES[node.dtype], memory_type(node)
        position = self.flat(place, node.shape)
        if node in self.offsets and not position.terms:
            value = self.let(f"load {memory}, ptr {self._at(node, position.constant)}")
            return self.let(f"icmp ne i8 {value}, 0") if kind == "i1" else value
        if self.begin is not None and position.terms and position.constant >= APART:
            base, position = self.begin(node, position.constant), position - position.constant
        else:
            base = self.slots[node]
        pointer = self.let(f"getelementptr inbounds {memory}, ptr {base}, i64 {self.integer(position)}")
        value = self.let(f"load {memory}, ptr {pointer}")
        return self.let(f"icmp ne i8 {value}, 0") if kind == "i1" else value

    def _at(self, node: Node, position: int) -> Value:
        """Return the address of an element at a fixed place: made where it is used, so that no register is kept."""
        return self.let(
            f"getelementptr inbounds i8, ptr %arena, i64 {self.offsets[node] + position * node.dtype.itemsize}"
        )

    def keep(self, value: Value, node: Node, place: Indices) -> None:
        """Store an element of a node in the memory that it has."""
        position = self.flat(place, node.shape)
        if node not in self.offsets or position.terms:
            self.store(value, node, self.slots[node], position)
            return
        if TYPES[node.dtype] == "i1":
            value = self.let(f"zext i1 {value} to i8")
        self.do(f"store {memory_type(node)} {value}, ptr {self._at(node, position.constant)}")

    def store(self, value: Value, node: Node, pointer: str, offset: Index) -> None:
        """Store an element of a node."""
        kind, memory = TYPES[node.dtype], memory_type(node)
        if kind == "i1":
            value = self.let(f"zext i1 {value} to i8")
        where = self.let(f"getelementptr inbounds {memory}, ptr {pointer}, i64 {self.integer(offset)}")
        self.do(f"store {memory} {value}, ptr {where}")

    def compute(self, node: Node, place: Place) -> Value:
        """Return the element of a node at a place, from the elements of its arguments."""
        lower = node.op.lower
        if isinstance(lower, Product):
            return self._product(node, lower, place)
        if callable(lower):
            return lower(self, node, place)
        operands = [self.read(arg, self.projected(place, node.shape, arg.shape)) for arg in node.inputs]
        kinds = [TYPES[arg.dtype] for arg in node.inputs]
        result = TYPES[node.dtype]
        if lower == "where":
            branches = [self.cast(operands[k], kinds[k], result) for k in (1, 2)]
            condition = self.cast(operands[0], kinds[0], "i1")
            return self.let(f"select i1 {condition}, {result} {branches[0]}, {result} {branches[1]}")
        if lower == "astype":
            return self.cast(operands[0], kinds[0], result)
        if lower in LOGICAL:
            return LOGICAL[lower](self, [self.cast(v, kind, "i1") for v, kind in zip(operands, kinds, strict=True)])
        common = result
        if result not in ("double", "float"):
            common = TYPES[np.result_type(*(arg.dtype for arg in node.inputs))]
        operands = [self.cast(value, kind, common) for value, kind in zip(operands, kinds, strict=True)]
        if lower == "power" and (special := self._constant_power(node, operands[0], common)):
            return special
        if lower == "scale" and (node in self.plain or any(map(_is_plain, node.inputs))):
            lower = "multiply"
        return SCALAR[lower](self, common, operands)  # type: ignore[index]

    def _product(self, node: Node, product: Product, place: Place) -> Value:
        """Return a sum of few products."""
        a, b = node.inputs
        one, two, result = product.labels(a.spec, b.spec, **node.params)
        sizes = dict(zip(one, a.shape, strict=True)) | dict(zip(two, b.shape, strict=True))
        known = dict(zip(result, self.unflatten(place), strict=True))
        inner = [label for label in sizes if label not in known]
        kind = TYPES[node.dtype]
        careful = product.careful and node not in self.plain
        total: Value | None = None
        for position in itertools.product(*(range(sizes[label]) for label in inner)):
            at = known | {label: Index(k) for label, k in zip(inner, position, strict=True)}
            factors = [
                self.read(a, tuple(at[label] for label in one)),
                self.read(b, tuple(at[label] for label in two)),
            ]
            term = scale(self, kind, factors) if careful else self.let(f"fmul {kind} {factors[0]}, {factors[1]}")
            total = term if total is None else self.let(f"fadd {kind} {total}, {term}")
        assert total is not None
        return total

    def wrapped(self, value: Value, size: int) -> Index:
        """Return an index of an axis that may be given from its end; it is known to be valid."""
        negative = self.let(f"icmp slt i64 {value}, 0")
        from_end = self.let(f"add i64 {value}, {size}")
        return Index(0, ((self.let(f"select i1 {negative}, i64 {from_end}, i64 {value}"), 1),))

    def _constant_power(self, node: Node, base: Value, kind: str) -> Value | None:
        """As NumPy: powers 2, 1, 0, -1 and 1/2 are multiplications, divisions and roots."""
        if not is_simple_power(node):
            return None
        power = float(node.inputs[1].value)
        if power == 2:
            return self.let(f"fmul {kind} {base}, {base}")
        if power == 1:
            return base
        if power == -1:
            return self.let(f"fdiv {kind} {literal(1.0, kind)}, {base}")
        if power == 0.5:
            return intrinsic("sqrt")(self, kind, [base])
        square = self.let(f"fmul {kind} {base}, {base}")  # pow is many times slower; the last digit may differ
        return self.let(f"fmul {kind} {square}, {base if power == 3 else square}")

    def zero(self, node: Node) -> Value:
        """Return 0 in a node's dtype."""
        return literal(0, TYPES[node.dtype])

    def cast_to(self, value: Value, source: Node, target: Node) -> Value:
        """Return an element of one node in the dtype of another."""
        return self.cast(value, TYPES[source.dtype], TYPES[target.dtype])

    def select(self, condition: Value, one: Value, other: Value, node: Node) -> Value:
        """Return one of two elements."""
        kind = TYPES[node.dtype]
        return self.let(f"select i1 {condition}, {kind} {one}, {kind} {other}")

    def cast(self, value: Value, kind: str, to: str) -> Value:
        """Return a value in another type."""
        if kind == to:
            return value
        if to == "i1":
            if kind == "i64":
                return self.let(f"icmp ne i64 {value}, 0")
            return self.let(f"fcmp une {kind} {value}, {literal(0.0, kind)}")
        if kind == "i1":
            return self.let(f"zext i1 {value} to i64") if to == "i64" else self.let(f"uitofp i1 {value} to {to}")
        if kind == "i64":
            return self.let(f"sitofp i64 {value} to {to}")
        if to == "i64":
            return self._truncated(value, kind)
        return self.let(f"{'fpext' if to == 'double' else 'fptrunc'} {kind} {value} to {to}")

    def _truncated(self, value: Value, kind: str) -> Value:
        """Return a floating-point number as an integer; NaN and what is too large as this processor's C code does."""
        if platform.machine() not in ("x86_64", "AMD64"):
            return self.call("i64", f"llvm.fptosi.sat.i64.{_suffix(kind)}", (kind, value))
        size = intrinsic("fabs")(self, kind, [value])
        fits = self.let(f"fcmp olt {kind} {size}, {literal(2.0**63, kind)}")
        safe = self.let(f"select i1 {fits}, {kind} {value}, {kind} {literal(0.0, kind)}")
        whole = self.let(f"fptosi {kind} {safe} to i64")
        return self.let(f"select i1 {fits}, i64 {whole}, i64 {-(2**63)}")


def is_simple_power(node: Node) -> bool:
    """Whether a power is a few multiplications, a division or a root."""
    exponent = node.inputs[1]
    if exponent.op is not ir.CONSTANT or exponent.shape or node.dtype.kind != "f":
        return False
    return float(exponent.value) in (-1.0, 0.5, 1.0, 2.0, 3.0, 4.0)


def _is_plain(node: Node) -> bool:
    """Whether a factor is a number written into the code that is neither 0 nor infinite nor NaN."""
    return node.op is ir.CONSTANT and not node.shape and bool(np.isfinite(node.value)) and bool(node.value != 0)


def memory_type(node: Node) -> str:
    """Return the type of an element in memory."""
    kind = TYPES[node.dtype]
    return "i8" if kind == "i1" else kind


def literal(value: Any, kind: str) -> str:
    """Return a number as LLVM text, exactly."""
    if kind == "i1":
        return "true" if value else "false"
    if kind == "i64":
        return str(int(value))
    number = float(np.float32(value)) if kind == "float" else float(value)
    return "0x" + struct.pack(">d", number).hex().upper()


# -- elements of pointwise ops -------------------------------------------------------------------------

Rule = Callable[[Body, str, Operands], Value]


def _suffix(kind: str) -> str:
    return "f64" if kind == "double" else "f32"


def intrinsic(name: str) -> Rule:
    """An LLVM intrinsic that is one instruction, or nearly."""
    return lambda body, kind, v: body.call(kind, f"llvm.{name}.{_suffix(kind)}", *((kind, each) for each in v))


VECTOR = {"sin", "cos", "exp", "log", "pow", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan", "asinh", "acosh",
          "atanh", "exp2", "log2", "log10", "log1p", "expm1", "cbrt", "erf", "erfc", "hypot", "atan2"}  # fmt: skip
"""Functions of which glibc's libmvec has vector versions; `jit` declares them where it is there."""


def library(name: str) -> Rule:
    """A function of the C mathematics library, which may have a vector version."""

    def rule(body: Body, kind: str, v: Operands) -> Value:
        symbol = name if kind == "double" else f"{name}f"
        attributes = f"#vec_{symbol}_{len(v)}#" if name in VECTOR else ""
        return body.call(kind, symbol, *((kind, each) for each in v), attributes=attributes)

    return rule


def _arithmetic(name: str, integer: str | None) -> Rule:
    def rule(body: Body, kind: str, v: Operands) -> Value:
        return body.let(f"{integer if kind == 'i64' else name} {kind} {v[0]}, {v[1]}")

    return rule


def _compare(name: str) -> Rule:
    def rule(body: Body, kind: str, v: Operands) -> Value:
        if kind == "i1":
            kind, v = "i64", [body.cast(each, "i1", "i64") for each in v]
        if kind == "i64":
            return body.let(f"icmp {name if name in ('eq', 'ne') else 's' + name} i64 {v[0]}, {v[1]}")
        return body.let(f"fcmp {'une' if name == 'ne' else 'o' + name} {kind} {v[0]}, {v[1]}")

    return rule


def _constant_times(factor: float) -> Rule:
    return lambda body, kind, v: body.let(f"fmul {kind} {v[0]}, {literal(factor, kind)}")


def _negative(body: Body, kind: str, v: Operands) -> Value:
    return body.let(f"sub i64 0, {v[0]}" if kind == "i64" else f"fneg {kind} {v[0]}")


def _reciprocal(body: Body, kind: str, v: Operands) -> Value:
    return body.let(f"fdiv {kind} {literal(1.0, kind)}, {v[0]}")


def scale(body: Body, kind: str, v: Operands) -> Value:
    """Return a product that is exactly 0 where a factor is, even beside inf and NaN."""
    product = body.let(f"fmul {kind} {v[0]}, {v[1]}")
    zeros = [body.let(f"fcmp oeq {kind} {each}, {literal(0.0, kind)}") for each in v]
    either = body.let(f"or i1 {zeros[0]}, {zeros[1]}")
    undefined = body.let(f"fcmp uno {kind} {product}, {product}")  # others keep the sign of their zeros
    nothing = body.let(f"and i1 {undefined}, {either}")
    return body.let(f"select i1 {nothing}, {kind} {literal(0.0, kind)}, {kind} {product}")


def _choose(compare: str, nan_of: int) -> Rule:
    """The first where it compares so or operand `nan_of` is NaN, else the second."""

    def rule(body: Body, kind: str, v: Operands) -> Value:
        if kind == "i64":
            better = body.let(f"icmp s{compare} i64 {v[0]}, {v[1]}")
        else:
            ordered = body.let(f"fcmp o{compare} {kind} {v[0]}, {v[1]}")
            unordered = body.let(f"fcmp uno {kind} {v[nan_of]}, {v[nan_of]}")
            better = body.let(f"or i1 {ordered}, {unordered}")
        return body.let(f"select i1 {better}, {kind} {v[0]}, {kind} {v[1]}")

    return rule


def _whole_division(body: Body, v: Operands) -> tuple[Value, Value, Value]:
    """Return quotient and remainder of integers rounded down, and whether the divisor is 0; then both are 0."""
    none = body.let(f"icmp eq i64 {v[1]}, 0")
    minus = body.let(f"icmp eq i64 {v[1]}, -1")  # the smallest integer divided by it is no integer
    special = body.let(f"or i1 {none}, {minus}")
    by = body.let(f"select i1 {special}, i64 1, i64 {v[1]}")
    quotient, rest = body.let(f"sdiv i64 {v[0]}, {by}"), body.let(f"srem i64 {v[0]}, {by}")
    apart = body.let(f"icmp slt i64 {body.let(f'xor i64 {rest}, {v[1]}')}, 0")
    inexact = body.let(f"icmp ne i64 {rest}, 0")
    below = body.let(f"and i1 {inexact}, {apart}")
    rest = body.let(f"add i64 {rest}, {body.let(f'select i1 {below}, i64 {v[1]}, i64 0')}")
    quotient = body.let(f"sub i64 {quotient}, {body.let(f'zext i1 {below} to i64')}")
    quotient = body.let(f"select i1 {minus}, i64 {body.let(f'sub i64 0, {v[0]}')}, i64 {quotient}")
    return body.let(f"select i1 {none}, i64 0, i64 {quotient}"), rest, none


def _remainder(body: Body, kind: str, v: Operands) -> Value:
    if kind == "i64":
        return _whole_division(body, v)[1]
    zero = literal(0.0, kind)
    rest = body.let(f"frem {kind} {v[0]}, {v[1]}")
    some = body.let(f"fcmp une {kind} {rest}, {zero}")
    signs = [body.let(f"fcmp olt {kind} {each}, {zero}") for each in (rest, v[1])]
    apart = body.let(f"xor i1 {signs[0]}, {signs[1]}")
    moved = body.let(f"fadd {kind} {rest}, {v[1]}")
    rest = body.let(f"select i1 {apart}, {kind} {moved}, {kind} {rest}")
    nothing = intrinsic("copysign")(body, kind, [zero, v[1]])
    return body.let(f"select i1 {some}, {kind} {rest}, {kind} {nothing}")


def _floor_divide(body: Body, kind: str, v: Operands) -> Value:
    if kind == "i64":
        return _whole_division(body, v)[0]
    zero, one = literal(0.0, kind), literal(1.0, kind)
    rest = body.let(f"frem {kind} {v[0]}, {v[1]}")
    quotient = body.let(f"fdiv {kind} {body.let(f'fsub {kind} {v[0]}, {rest}')}, {v[1]}")
    some = body.let(f"fcmp une {kind} {rest}, {zero}")
    signs = [body.let(f"fcmp olt {kind} {each}, {zero}") for each in (rest, v[1])]
    below = body.let(f"and i1 {some}, {body.let(f'xor i1 {signs[0]}, {signs[1]}')}")
    quotient = body.let(f"select i1 {below}, {kind} {body.let(f'fsub {kind} {quotient}, {one}')}, {kind} {quotient}")
    whole = intrinsic("floor")(body, kind, [quotient])
    missing = body.let(f"fsub {kind} {quotient}, {whole}")
    more = body.let(f"fcmp ogt {kind} {missing}, {literal(0.5, kind)}")
    whole = body.let(f"select i1 {more}, {kind} {body.let(f'fadd {kind} {whole}, {one}')}, {kind} {whole}")
    plain = body.let(f"fdiv {kind} {v[0]}, {v[1]}")
    nothing = intrinsic("copysign")(body, kind, [zero, plain])
    nonzero = body.let(f"fcmp une {kind} {quotient}, {zero}")
    result = body.let(f"select i1 {nonzero}, {kind} {whole}, {kind} {nothing}")
    by_zero = body.let(f"fcmp oeq {kind} {v[1]}, {zero}")
    return body.let(f"select i1 {by_zero}, {kind} {plain}, {kind} {result}")


def _fmod(body: Body, kind: str, v: Operands) -> Value:
    return body.let(f"frem {kind} {v[0]}, {v[1]}")


def _absolute(body: Body, kind: str, v: Operands) -> Value:
    if kind == "i64":
        return body.call("i64", "llvm.abs.i64", ("i64", v[0]), ("i1", "false"))
    return intrinsic("fabs")(body, kind, v)


def _sign(body: Body, kind: str, v: Operands) -> Value:
    zero, one, minus = (literal(x, kind) for x in (0.0, 1.0, -1.0))
    above = body.let(f"fcmp ogt {kind} {v[0]}, {zero}")
    below = body.let(f"fcmp olt {kind} {v[0]}, {zero}")
    nan = body.let(f"fcmp uno {kind} {v[0]}, {zero}")
    rest = body.let(f"select i1 {nan}, {kind} {v[0]}, {kind} {zero}")
    rest = body.let(f"select i1 {below}, {kind} {minus}, {kind} {rest}")
    return body.let(f"select i1 {above}, {kind} {one}, {kind} {rest}")


def _isnan(body: Body, kind: str, v: Operands) -> Value:
    return "false" if kind in ("i64", "i1") else body.let(f"fcmp uno {kind} {v[0]}, {v[0]}")


def _is_infinite(compare: str, whole: str) -> Rule:
    def rule(body: Body, kind: str, v: Operands) -> Value:
        if kind in ("i64", "i1"):
            return whole
        size = intrinsic("fabs")(body, kind, v)
        return body.let(f"fcmp {compare} {kind} {size}, {literal(math.inf, kind)}")

    return rule


def _signbit(body: Body, kind: str, v: Operands) -> Value:
    if kind == "i1":
        return "false"
    integer = "i64" if kind in ("double", "i64") else "i32"
    bits = v[0] if kind == "i64" else body.let(f"bitcast {kind} {v[0]} to {integer}")
    return body.let(f"icmp slt {integer} {bits}, 0")


def _expit(body: Body, kind: str, v: Operands) -> Value:
    one = literal(1.0, kind)
    power = library("exp")(body, kind, [body.let(f"fneg {kind} {v[0]}")])
    return body.let(f"fdiv {kind} {one}, {body.let(f'fadd {kind} {one}, {power}')}")


def _logical(name: str) -> Callable[[Body, Operands], Value]:
    return lambda body, v: body.let(f"{name} i1 {v[0]}, {v[1]}")


LOGICAL: dict[str, Callable[[Body, Operands], Value]] = {
    "logical_and": _logical("and"),
    "logical_or": _logical("or"),
    "logical_xor": _logical("xor"),
    "logical_not": lambda body, v: body.let(f"xor i1 {v[0]}, true"),
}

SCALAR: dict[str, Rule] = {
    "add": _arithmetic("fadd", "add"),
    "subtract": _arithmetic("fsub", "sub"),
    "multiply": _arithmetic("fmul", "mul"),
    "divide": _arithmetic("fdiv", None),
    "negative": _negative,
    "power": library("pow"),
    "square": lambda body, kind, v: _arithmetic("fmul", "mul")(body, kind, [v[0], v[0]]),
    "reciprocal": _reciprocal,
    "sqrt": intrinsic("sqrt"),
    "cbrt": library("cbrt"),
    "scale": scale,
    "stop_gradient": lambda body, kind, v: v[0],
    "exp": library("exp"),
    "exp2": library("exp2"),
    "expm1": library("expm1"),
    "log": library("log"),
    "log2": library("log2"),
    "log10": library("log10"),
    "log1p": library("log1p"),
    "sin": library("sin"),
    "cos": library("cos"),
    "tan": library("tan"),
    "arcsin": library("asin"),
    "arccos": library("acos"),
    "arctan": library("atan"),
    "arctan2": library("atan2"),
    "sinh": library("sinh"),
    "cosh": library("cosh"),
    "tanh": library("tanh"),
    "arcsinh": library("asinh"),
    "arccosh": library("acosh"),
    "arctanh": library("atanh"),
    "hypot": library("hypot"),
    "rad2deg": _constant_times(180 / math.pi),
    "deg2rad": _constant_times(math.pi / 180),
    "greater": _compare("gt"),
    "greater_equal": _compare("ge"),
    "less": _compare("lt"),
    "less_equal": _compare("le"),
    "equal": _compare("eq"),
    "not_equal": _compare("ne"),
    "isnan": _isnan,
    "isfinite": _is_infinite("olt", "true"),
    "isinf": _is_infinite("oeq", "false"),
    "signbit": _signbit,
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "fmod": _fmod,
    "maximum": _choose("ge", 0),
    "minimum": _choose("le", 0),
    "fmax": _choose("ge", 1),
    "fmin": _choose("le", 1),
    "sign": _sign,
    "absolute": _absolute,
    "fabs": intrinsic("fabs"),
    "floor": intrinsic("floor"),
    "ceil": intrinsic("ceil"),
    "trunc": intrinsic("trunc"),
    "rint": intrinsic("rint"),
    "copysign": intrinsic("copysign"),
    "erf": library("erf"),
    "erfc": library("erfc"),
    "expit": _expit,
}
ON_INTEGERS = {
    "add",
    "subtract",
    "multiply",
    "square",
    "negative",
    "remainder",
    "floor_divide",
    "maximum",
    "minimum",
    "absolute",
    "stop_gradient",
}
TO_TRUTH = {
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "equal",
    "not_equal",
    "isnan",
    "isfinite",
    "isinf",
    "signbit",
}


def has_code(node: Node) -> bool:
    """Whether the element of a node can be computed by machine code."""
    specs = [node.spec, *(arg.spec for arg in node.inputs)]
    if any(isinstance(spec, tuple) or spec.dtype not in TYPES for spec in specs):
        return False
    lower = node.op.lower
    if callable(lower) or lower in ("where", "astype") or lower in LOGICAL:
        return True
    allowed = {"f": SCALAR, "i": ON_INTEGERS, "b": TO_TRUTH}[node.dtype.kind]
    return lower in SCALAR and lower in allowed and (lower in TO_TRUTH) == (node.dtype == bool)
