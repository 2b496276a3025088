"""Products of two arrays summed over common axes: BLAS, or loops where they are small."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from chainrule import ir
from chainrule.ir import Node, Product
from chainrule.llvm import blas
from chainrule.llvm.emit import TYPES, literal, scale
from chainrule.llvm.index import Index
from chainrule.llvm.layout import SMALL, THREADED, as_matrices
from chainrule.llvm.nests import Nest, combine


def extent(node: Node, in_memory: Callable[[Node], bool], threads: int) -> int:
    """Return how many products of a batch threads can do apart; 0 where there are few, or little to do.

    One large product is left to the threads of BLAS, which take it up sooner.
    """
    form = as_matrices(node, in_memory)
    if form is None or form.sums or not form.batch or form.batch[0][0] < 2 * threads:
        return 0
    each = form.rows * form.inner * form.columns
    whole = each * math.prod(size for size, *_ in form.batch)
    return form.batch[0][0] if whole >= THREADED and SMALL < each < THREADED else 0


class MultiplyNest(Nest):
    """The products of one node."""

    def __init__(
        self, slots: Mapping[Node, int], declared: set[str], node: Node, *, shared: bool = False, care: bool = True
    ) -> None:
        """Emit the products of a node.

        Args:
            slots: Nodes in memory.
            declared: Where declarations are collected.
            node: The product.
            shared: Whether each thread does its part of the outermost axis of the batch.
            care: Whether to look for results that are not finite where the op asks for it.
        """
        super().__init__(slots, declared, [node])
        self.shared = shared
        self.node = node
        self.kind = TYPES[node.dtype]
        product = node.op.lower
        assert isinstance(product, Product)
        form = as_matrices(node, lambda each: each in slots or (each.op is ir.CONSTANT and bool(each.shape)))
        assert form is not None
        self.form = form
        work = form.rows * form.inner * form.columns
        with self.on_one_thread(SMALL < work < THREADED and not shared):
            if shared:
                self._part()
            else:
                if form.sums:
                    self._clear()
                self.over(tuple(size for size, *_ in (*form.batch, *form.sums)), self._matrix)
        if product.careful and care:
            take_care(self, node, product)

    def _part(self) -> None:
        """Do a thread's part of the batch."""
        form = self.form
        (size, *_), *rest = form.batch
        outer = self.open("b", "%lo", "%hi", (0, size - 1))
        self.over(tuple(each[0] for each in rest), lambda place: self._matrix((outer.index, *place)))
        self.close(outer)

    def _matrix(self, place: tuple[Index, ...]) -> None:
        form = self.form
        a, b, c = Index(form.a.offset), Index(form.b.offset), Index()
        for index, (_, a_step, b_step, c_step) in zip(place, (*form.batch, *form.sums), strict=True):
            a, b, c = a + index * a_step, b + index * b_step, c + index * c_step
        if form.rows * form.inner * form.columns <= SMALL:
            self._by_loops(a, b, c)
        else:
            self._by_blas(self._at(self.pointers[form.a.base], a), self._at(self.pointers[form.b.base], b),
                          self._at(self.pointer(self.node), c))  # fmt: skip

    def _clear(self) -> None:
        loop = self.open("z", 0, self.node.spec.size)
        self.body.store(literal(0, self.kind), self.node, self.pointer(self.node), loop.index)
        self.close(loop)

    def _at(self, pointer: str, offset: Index) -> str:
        return self.body.let(f"getelementptr inbounds {self.kind}, ptr {pointer}, i64 {self.body.integer(offset)}")

    def _load(self, base: Node, offset: Index) -> str:
        return self.body.let(f"load {self.kind}, ptr {self._at(self.pointers[base], offset)}")

    def _by_loops(self, a: Index, b: Index, c: Index) -> None:
        body, form, kind = self.body, self.form, self.kind
        (a_rows, a_inner), (b_inner, b_columns) = form.a_strides, form.b_strides
        target = self.pointer(self.node)
        along_columns = form.columns > 1 and b_columns == 1
        row = self.open("m", 0, form.rows)
        if along_columns:
            if not form.sums:
                clear = self.open("z", 0, form.columns)
                where = self._at(target, c + row.index * form.c_rows + clear.index)
                body.do(f"store {kind} {literal(0, kind)}, ptr {where}")
                self.close(clear)
            term = self.open("k", 0, form.inner)
            factor = self._load(form.a.base, a + row.index * a_rows + term.index * a_inner)
            column = self.open("n", 0, form.columns)
            other = self._load(form.b.base, b + term.index * b_inner + column.index * b_columns)
            where = self._at(target, c + row.index * form.c_rows + column.index)
            old = body.let(f"load {kind}, ptr {where}")
            new = body.let(f"fadd contract {kind} {old}, {body.let(f'fmul contract {kind} {factor}, {other}')}")
            body.do(f"store {kind} {new}, ptr {where}")
            self.close(column)
            self.close(term)
        else:
            column = self.open("n", 0, form.columns)
            total = body.variable(kind)
            body.do(f"store {kind} {literal(0, kind)}, ptr {total}")
            term = self.open("k", 0, form.inner)
            factor = self._load(form.a.base, a + row.index * a_rows + term.index * a_inner)
            other = self._load(form.b.base, b + term.index * b_inner + column.index * b_columns)
            old = body.let(f"load {kind}, ptr {total}")
            product = body.let(f"fmul contract {kind} {factor}, {other}")
            body.do(f"store {kind} {body.let(f'fadd reassoc contract {kind} {old}, {product}')}, ptr {total}")
            self.close(term)
            value = body.let(f"load {kind}, ptr {total}")
            where = self._at(target, c + row.index * form.c_rows + column.index)
            if form.sums:
                value = body.let(f"fadd {kind} {body.let(f'load {kind}, ptr {where}')}, {value}")
            body.do(f"store {kind} {value}, ptr {where}")
            self.close(column)
        self.close(row)

    def _by_blas(self, a: str, b: str, c: str) -> None:
        """Call BLAS, which counts by columns: cᵀ = bᵀ @ aᵀ."""
        form = self.form
        letter = "d" if self.kind == "double" else "s"
        alone = self.shared or form.rows * form.inner * form.columns < THREADED
        home = "chainrule_" if alone or not blas.numpys() else "chainrule_numpy_"
        (a_rows, a_inner), (b_inner, b_columns) = form.a_strides, form.b_strides
        one, zero = (
            self._constant(self.kind, literal(1.0, self.kind)),
            self._constant(self.kind, literal(1.0 if form.sums else 0.0, self.kind)),
        )
        if form.columns == 1 or form.rows == 1:
            if form.columns == 1:
                matrix, vector, rows, steps, length = a, b, form.rows, (a_rows, a_inner), b_inner
                step = form.c_rows
            else:
                matrix, vector, rows, steps, length = b, a, form.columns, (b_columns, b_inner), a_inner
                step = 1
            arguments: list[str | int]
            if steps[1] != 1 and form.inner != 1:
                arguments = ["N", rows, form.inner, one, matrix, max(steps[1], rows), vector, length, zero, c, step]
            else:
                leading = max(steps[0], form.inner)
                arguments = ["T", form.inner, rows, one, matrix, leading, vector, length, zero, c, step]
            self._call(f"{home}{letter}gemv", arguments)
            return
        b_plain = b_columns == 1 or form.columns == 1
        a_plain = a_inner == 1 or form.inner == 1
        self._call(
            f"{home}{letter}gemm",
            [
                "N" if b_plain else "T", "N" if a_plain else "T",
                form.columns, form.rows, form.inner, one,
                b, max(b_inner if b_plain else b_columns, form.columns if b_plain else form.inner, 1),
                a, max(a_rows if a_plain else a_inner, form.inner if a_plain else form.rows, 1),
                zero, c, max(form.c_rows, form.columns),
            ],
        )  # fmt: skip

    def _constant(self, kind: str, value: str) -> str:
        """Return a pointer to a number."""
        self.body.declared.add(f"@c.{kind}.{value.replace('-', 'm')} = private unnamed_addr constant {kind} {value}")
        return f"@c.{kind}.{value.replace('-', 'm')}"

    def _call(self, function: str, arguments: Sequence[str | int]) -> None:
        self.body.declared.add(f"declare void @{function}({', '.join(['ptr'] * len(arguments))})")
        spelled = [
            self._constant("i64" if "_numpy_" in function else "i32", str(each))
            if isinstance(each, int)
            else self._constant("i8", str(ord(each)))
            if each in ("N", "T")
            else each
            for each in arguments
        ]
        self.body.do(f"call void @{function}({', '.join(f'ptr {each}' for each in spelled)})")


class CareNest(Nest):
    """What follows a product that threads have shared: a look at the results."""

    def __init__(self, slots: Mapping[Node, int], declared: set[str], node: Node) -> None:
        super().__init__(slots, declared, [node])
        product = node.op.lower
        if isinstance(product, Product) and product.careful:
            take_care(self, node, product)


def take_care(nest: Nest, node: Node, product: Product) -> None:
    """Where a result is not finite, compute it again with products that are 0 where a factor is."""
    body, kind = nest.body, TYPES[node.dtype]
    bad = body.variable("i1")
    body.do(f"store i1 false, ptr {bad}")
    loop = nest.open("f", 0, node.spec.size)
    value = body.let(f"load {kind}, ptr {_element(nest, node, loop.index)}")
    nothing = body.let(f"fmul {kind} {value}, {literal(0.0, kind)}")
    wrong = body.let(f"fcmp une {kind} {nothing}, {literal(0.0, kind)}")
    old = body.let(f"load i1, ptr {bad}")
    body.do(f"store i1 {body.let(f'or i1 {old}, {wrong}')}, ptr {bad}")
    nest.close(loop)
    name = body.label("careful")
    body.do(f"br i1 {body.let(f'load i1, ptr {bad}')}, label %{name}.yes, label %{name}.no")
    body.lines.append(f"{name}.yes:")
    a, b = node.inputs
    one, two, result = product.labels(a.spec, b.spec, **node.params)
    sizes = dict(zip(one, a.shape, strict=True)) | dict(zip(two, b.shape, strict=True))
    inner = [label for label in sizes if label not in result]

    def element(place: tuple[Index, ...]) -> None:
        total = body.variable(kind)
        body.do(f"store {kind} {literal(0, kind)}, ptr {total}")
        loops = [nest.open("k", 0, sizes[label]) for label in inner]
        at = dict(zip(result, place, strict=True)) | {
            label: loop.index for label, loop in zip(inner, loops, strict=True)
        }
        body.memo.clear()
        factors = [body.read(a, tuple(at[x] for x in one)), body.read(b, tuple(at[x] for x in two))]
        old = body.let(f"load {kind}, ptr {total}")
        body.do(
            f"store {kind} {combine(body, 'sum', kind, old, scale(body, kind, factors), freely=False)}, ptr {total}"
        )
        body.memo.clear()
        for loop in reversed(loops):
            nest.close(loop)
        value = body.let(f"load {kind}, ptr {total}")
        body.store(value, node, nest.pointer(node), body.flat(place, node.shape))

    nest.over(node.shape, element)
    body.do(f"br label %{name}.no")
    body.lines.append(f"{name}.no:")


def _element(nest: Nest, node: Node, position: Index) -> str:
    kind = TYPES[node.dtype]
    return nest.body.let(f"getelementptr inbounds {kind}, ptr {nest.pointer(node)}, i64 {nest.body.integer(position)}")
