"""Linear algebra on the last two axes, by LAPACK.

Systems are solved by two triangular ones rather than by getrs, which OpenBLAS shares among threads however small they
are. LAPACK counts by columns, so it sees the transpose of an array in C order: the inverse of that is the transpose
of the inverse, its determinant is the same, and the lower triangle of one is the upper triangle of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.ir import Node
from chainrule.llvm.emit import TYPES, literal
from chainrule.llvm.index import Index
from chainrule.llvm.layout import THREADED
from chainrule.llvm.nests import Nest, combine

OPS = frozenset(["solve", "solve_triangular", "inv", "det", "cholesky"])


def workspace(node: Node) -> int:
    """Return how many doubles of scratch memory a node needs: the factors, the pivots, and a right side by columns."""
    n = node.inputs[0].shape[-1]
    sides = node.shape[-1] if node.op.name.startswith("solve") else 64
    return n * n + n + n * max(sides, 1) + 8


class FactorNest(Nest):
    """One factorization, or several over leading axes. The function returns whether a matrix was singular."""

    def __init__(self, slots: Mapping[Node, int], declared: set[str], node: Node) -> None:
        super().__init__(slots, declared, [node])
        self.node = node
        self.kind = TYPES[node.dtype]
        self.n = node.inputs[0].shape[-1]
        body = self.body
        self.failed = body.variable("i1")
        body.do(f"store i1 false, ptr {self.failed}")
        self.info = body.variable("i32")
        lead = node.shape if node.op.name == "det" else node.shape[:-2]
        self.factors, self.pivots = "%scratch", self._at("%scratch", Index(self.n * self.n), "double")
        self.sides = self._at("%scratch", Index(self.n * self.n + self.n), "double")
        if node.spec.size:
            with self.on_one_thread(self.n**3 < THREADED):
                self.over(lead, getattr(self, f"_{node.op.name}"))
        self.flag = body.let(f"load i1, ptr {self.failed}")

    def text(self, name: str, parallel: bool = False, parts: Sequence[str] = ()) -> str:
        parameters = [f"ptr noalias {pointer}" for pointer in self.pointers.used.values()]
        head = f"define internal i1 @{name}({', '.join([*parameters, 'ptr noalias %scratch'])}) #2 {{"
        return "\n".join([head, "entry:", *self.body.variables, *self.body.lines, f"  ret i1 {self.flag}", "}"])

    # -- pieces ---------------------------------------------------------------------------------------

    def _at(self, pointer: str, offset: Index, kind: str | None = None) -> str:
        return self.body.let(
            f"getelementptr inbounds {kind or self.kind}, ptr {pointer}, i64 {self.body.integer(offset)}"
        )

    def _place(self, node: Node, lead: tuple[Index, ...]) -> tuple[Index, ...]:
        """Return the leading part of a place in an argument, whose axes of length 1 are broadcast."""
        own = node.shape[:-2]
        shared = lead[len(lead) - len(own) :]
        return tuple(Index() if size == 1 else index for size, index in zip(own, shared, strict=True))

    def _load_matrix(self, target: str, node: Node, lead: tuple[Index, ...], by_columns: bool = False) -> None:
        """Copy one matrix into scratch memory."""
        body, (rows, columns) = self.body, node.shape[-2:]
        place = self._place(node, lead)
        row, column = self.open("i", 0, rows), self.open("j", 0, columns)
        body.memo.clear()
        value = body.cast(body.read(node, (*place, row.index, column.index)), TYPES[node.dtype], self.kind)
        where = column.index * rows + row.index if by_columns else row.index * columns + column.index
        body.do(f"store {self.kind} {value}, ptr {self._at(target, where)}")
        body.memo.clear()
        self.close(column)
        self.close(row)

    def _store_matrix(self, source: str, lead: tuple[Index, ...], by_columns: bool = False) -> None:
        body, (rows, columns) = self.body, self.node.shape[-2:]
        row, column = self.open("i", 0, rows), self.open("j", 0, columns)
        where = column.index * rows + row.index if by_columns else row.index * columns + column.index
        value = body.let(f"load {self.kind}, ptr {self._at(source, where)}")
        place = body.flat((*lead, row.index, column.index), self.node.shape)
        body.store(value, self.node, self.pointer(self.node), place)
        self.close(column)
        self.close(row)

    def _constant(self, value: int | str) -> str:
        kind, text = ("i32", str(value)) if isinstance(value, int) else ("i8", str(ord(value)))
        self.body.declared.add(f"@c.{kind}.{text} = private unnamed_addr constant {kind} {text}")
        return f"@c.{kind}.{text}"

    def _blas(self, name: str, *arguments: str | int) -> None:
        function = f"chainrule_{'d' if self.kind == 'double' else 's'}{name}"
        spelled = [each if isinstance(each, str) and each[:1] in "%@" else self._constant(each) for each in arguments]
        self.body.declared.add(f"declare void @{function}({', '.join(['ptr'] * len(spelled))})")
        self.body.do(f"call void @{function}({', '.join(f'ptr {each}' for each in spelled)})")

    def _call(self, name: str, *arguments: str | int) -> None:
        """Call LAPACK; what it says of a singular matrix is kept."""
        body = self.body
        self._blas(name, *arguments, self.info)
        wrong = body.let(f"icmp ne i32 {body.let(f'load i32, ptr {self.info}')}, 0")
        if self.node.op.name != "det":
            old = body.let(f"load i1, ptr {self.failed}")
            body.do(f"store i1 {body.let(f'or i1 {old}, {wrong}')}, ptr {self.failed}")

    # -- ops --------------------------------------------------------------------------------------------

    def _factor(self, lead: tuple[Index, ...]) -> None:
        self._load_matrix(self.factors, self.node.inputs[0], lead)
        self._call("getrf", self.n, self.n, self.factors, self.n, self.pivots)

    def _solve(self, lead: tuple[Index, ...]) -> None:
        self._factor(lead)
        sides = self.node.shape[-1]
        self._load_matrix(self.sides, self.node.inputs[1], lead, by_columns=True)
        one = self._one()
        for triangle, diagonal in (("U", "N"), ("L", "U")):
            self._blas(
                "trsm", "L", triangle, "T", diagonal, self.n, sides, one, self.factors, self.n, self.sides, self.n
            )
        self._exchange_rows(sides)
        self._store_matrix(self.sides, lead, by_columns=True)

    def _solve_triangular(self, lead: tuple[Index, ...]) -> None:
        """Solve the transposed system xᵀ aᵀ = bᵀ, since that is what LAPACK sees of arrays in C order."""
        body, n, sides = self.body, self.n, self.node.shape[-1]
        lower, unit = self.node.params["lower"], self.node.params["unit"]
        self._load_matrix(self.factors, self.node.inputs[0], lead)
        self._load_matrix(self.sides, self.node.inputs[1], lead)
        if not unit:
            loop = self.open("i", 0, n)
            value = body.let(f"load {self.kind}, ptr {self._at(self.factors, loop.index * (n + 1))}")
            wrong = body.let(f"fcmp oeq {self.kind} {value}, {literal(0.0, self.kind)}")
            old = body.let(f"load i1, ptr {self.failed}")
            body.do(f"store i1 {body.let(f'or i1 {old}, {wrong}')}, ptr {self.failed}")
            self.close(loop)
        one = self._one()
        triangle, diagonal = "U" if lower else "L", "U" if unit else "N"
        self._blas("trsm", "R", triangle, "N", diagonal, sides, n, one, self.factors, n, self.sides, sides)
        self._store_matrix(self.sides, lead)

    def _one(self) -> str:
        name = f"@c.one.{self.kind}"
        self.body.declared.add(f"{name} = private unnamed_addr constant {self.kind} {literal(1.0, self.kind)}")
        return name

    def _exchange_rows(self, sides: int) -> None:
        """Undo the exchanges of the factorization, from the last to the first, in a matrix by columns."""
        body, n = self.body, self.n
        step = self.open("p", 0, n)
        row = Index(n - 1) + step.index * -1
        pivot = body.let(f"load i32, ptr {self._at(self.pivots, row, 'i32')}")
        other = Index(-1, ((body.let(f"sext i32 {pivot} to i64"), 1),))
        column = self.open("j", 0, sides)
        places = [self._at(self.sides, column.index * n + each) for each in (row, other)]
        values = [body.let(f"load {self.kind}, ptr {place}") for place in places]
        for value, place in zip(values, reversed(places), strict=True):
            body.do(f"store {self.kind} {value}, ptr {place}")
        self.close(column)
        self.close(step)

    def _inv(self, lead: tuple[Index, ...]) -> None:
        self._factor(lead)
        self._call("getri", self.n, self.factors, self.n, self.pivots, self.sides, 64 * self.n)
        self._store_matrix(self.factors, lead)

    def _cholesky(self, lead: tuple[Index, ...]) -> None:
        body, n = self.body, self.n
        self._load_matrix(self.factors, self.node.inputs[0], lead)
        self._call("potrf", "U", n, self.factors, n)
        row, column = self.open("i", 0, n), self.open("j", 0, n)
        value = body.let(f"load {self.kind}, ptr {self._at(self.factors, row.index * n + column.index)}")
        above = body.let(f"icmp sgt i64 {body.integer(column.index)}, {body.integer(row.index)}")
        value = body.let(f"select i1 {above}, {self.kind} {literal(0.0, self.kind)}, {self.kind} {value}")
        place = body.flat((*lead, row.index, column.index), self.node.shape)
        body.store(value, self.node, self.pointer(self.node), place)
        self.close(column)
        self.close(row)

    def _det(self, lead: tuple[Index, ...]) -> None:
        """Multiply the diagonal of the triangular factor; every exchange of rows turns the sign."""
        self._factor(lead)
        body, n, kind = self.body, self.n, self.kind
        total = body.variable(kind)
        body.do(f"store {kind} {literal(1.0, kind)}, ptr {total}")
        loop = self.open("i", 0, n)
        value = body.let(f"load {kind}, ptr {self._at(self.factors, loop.index * (n + 1))}")
        pivot = body.let(f"load i32, ptr {self._at(self.pivots, loop.index, 'i32')}")
        own = body.let(f"trunc i64 {body.integer(loop.index + 1)} to i32")
        moved = body.let(f"icmp ne i32 {pivot}, {own}")
        value = body.let(f"select i1 {moved}, {kind} {body.let(f'fneg {kind} {value}')}, {kind} {value}")
        old = body.let(f"load {kind}, ptr {total}")
        body.do(f"store {kind} {combine(body, 'prod', kind, old, value, freely=False)}, ptr {total}")
        self.close(loop)
        result = body.let(f"load {kind}, ptr {total}")
        body.store(result, self.node, self.pointer(self.node), body.flat(lead, self.node.shape))


__all__ = ["OPS", "FactorNest", "workspace"]
