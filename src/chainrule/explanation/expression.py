"""Formulas as text, such as ``(a+b)*(b+1)``, turned into functions of NumPy values.

The text is parsed with `ast` and walked node by node: nothing in it is ever executed as Python, and only names from
a fixed table can be called.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import itertools
import re
import string
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.special
from rich.cells import cell_len

from chainrule.errors import ExpressionError
from chainrule.ir import CONSTANT, INPUT, Node, Origin, ancestors
from chainrule.tracing.array import UFUNCS, TracedArray
from chainrule.tracing.functions.reductions import logsumexp
from chainrule.tracing.origin import at

__all__ = ["FILE", "FUNCTIONS", "Expression", "constant", "parse"]

FILE = "expression"
"""What stands for the file in the origin of a node that an expression made."""

_LONGEST = 20_000  # characters
_MODULES = {"np", "numpy", "np.linalg", "numpy.linalg", "scipy.special", "special"}
_CONSTANTS = {"pi": np.float64(np.pi), "e": np.float64(np.e)}
_JOINS = (np.concatenate, np.stack)

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.Mod: np.remainder,
    ast.FloorDiv: np.floor_divide,
    ast.MatMult: np.matmul,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Not: np.logical_not,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_ADVICE: dict[type, str] = {
    ast.BitXor: "^ is not a power here; write ** for it",
    ast.BitAnd: "& is not understood; write logical_and(a, b)",
    ast.BitOr: "| is not understood; write logical_or(a, b), or abs(x) for |x|",
    ast.Invert: "~ is not understood; write logical_not(a)",
    ast.IfExp: "a choice is written where(condition, a, b)",
    ast.Lambda: "functions cannot be defined in an expression; put them into a file and use --file",
    ast.ListComp: "loops cannot be written in an expression; put them into a file and use --file",
    ast.AugAssign: "write x = x + 1 for x += 1",
}


def _logsumexp(x: Any, axis: Any = None) -> Any:
    return logsumexp(x, axis=axis) if isinstance(x, TracedArray) else scipy.special.logsumexp(x, axis=axis)


def _extreme(reduce: Callable[..., Any], pairwise: np.ufunc) -> Callable[..., Any]:
    """Return max or min as of NumPy for one array, and as of Python for several numbers."""

    def extreme(x: Any, *others: Any, **options: Any) -> Any:
        return functools.reduce(pairwise, others, x) if others else reduce(x, **options)

    return extreme


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{ufunc.__name__: ufunc for ufunc, op in UFUNCS.items() if not re.search("bitwise|shift|invert|matmul", op.name)},
    "abs": np.absolute,
    "pow": np.power,
    "max": _extreme(np.max, np.maximum),
    "min": _extreme(np.min, np.minimum),
    "logsumexp": _logsumexp,
    "norm": np.linalg.norm,
    "det": np.linalg.det,
    "inv": np.linalg.inv,
    "solve": np.linalg.solve,
    **{
        function.__name__: function
        for function in (
            np.sum, np.mean, np.prod, np.var, np.std, np.dot, np.inner, np.outer, np.matmul, np.cross, np.trace,
            np.cumsum, np.cumprod, np.diff, np.where, np.clip, np.concatenate, np.stack, np.transpose, np.ravel,
            np.reshape, np.sort, np.sinc,
        )
    },
}  # fmt: skip
"""What an expression can call."""

_SYNONYMS = {"ln": "log", "tg": "tan", "arctg": "arctan", "asin": "arcsin", "acos": "arccos", "atan": "arctan",
             "atan2": "arctan2", "sigmoid": "expit", "lgamma": "gammaln", "average": "mean"}  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """A parsed formula; calling it with one value per variable evaluates it.

    In a trace, values take the names they are assigned to in the text; those of other sub-expressions take the next
    free letters, in the order of evaluation: a and b given, ``(a+b)*(b+1)`` makes c, d and e.

    Attributes:
        text: The formula.
        variables: Its variables.
    """

    text: str
    variables: tuple[str, ...]
    _statements: tuple[ast.stmt, ...] = field(repr=False, compare=False)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in self.variables]
        )

    def __call__(self, *values: Any) -> Any:
        """Return the value of the last statement.

        Raises:
            ExpressionError: an operation fails; the message shows where in the text and why.
        """
        known: dict[str, Any] = dict(zip(self.variables, values, strict=True))
        traced = [value for value in values if isinstance(value, TracedArray)]
        start = next(traced[0].builder.count) if traced else 0
        result: Any = None
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for statement in self._statements:
                result = _evaluate(statement.value, known, self.text)  # type: ignore[attr-defined]
                if isinstance(statement, ast.Assign):
                    name = statement.targets[0].id  # type: ignore[attr-defined]
                    known[name] = result
                    if isinstance(result, TracedArray) and result.node.op not in (INPUT, CONSTANT):
                        result.builder.name(result.node, name)
        if isinstance(result, TracedArray):
            self._letter([node for node in ancestors([result.node]) if node.index > start])
        return result

    def _letter(self, nodes: Iterable[Node]) -> None:
        """Name the results that have no name yet."""
        taken = {
            name.id for statement in self._statements for name in ast.walk(statement) if isinstance(name, ast.Name)
        }
        letters = (letter for letter in _letters() if letter not in taken and letter not in self.variables)
        for node in nodes:
            if node.op in (INPUT, CONSTANT) or isinstance(node.spec, tuple):
                continue
            node.origin = Origin(FILE, 1)
            if not node.is_named:
                node.builder.name(node, next(letter for letter in letters if letter not in node.builder.names))


def parse(text: str, given: Sequence[str] | None = None) -> Expression:
    """Return the function that a text describes.

    Statements are separated by ``;`` or line ends; the last one is the result. Accepted are numbers, variables,
    arithmetic, comparisons, indexing with whole numbers, lists of numbers, the constants pi and e, and the functions
    in `FUNCTIONS`, bare or as ``np.sin``.

    Args:
        text: The formula, such as ``"y = sin(x)*x; z = exp(y) + y**2"``.
        given: Variables for which there will be values, in the order in which the function takes them. By default
            those of the text in the order of appearance.

    Raises:
        ExpressionError: the text cannot be understood, or has other variables; the message shows where.

    Example:
        >>> float(parse("(a+b)*(b+1)")(2.0, 1.0))
        6.0
    """
    text = text.strip()
    if not text:
        raise ExpressionError('the expression is empty; write one such as "(a+b)*(b+1)"')
    if len(text) > _LONGEST:
        raise ExpressionError(
            f"the expression has {len(text):,} characters, more than {_LONGEST:,}; write it as a function in a file "
            "and use --file model.py:function"
        )
    text = "\n".join(line.strip() for line in text.splitlines())
    statements = _statements(text)
    names = None if given is None else [unicodedata.normalize("NFKC", name) for name in given]
    variables = _check(statements, text, names)
    if names is not None:
        unused = [name for name in names if name not in variables]
        if unused:
            close = difflib.get_close_matches(unused[0], variables, n=1)
            raise ExpressionError(
                f"{unused[0]}: this variable was given a value but does not occur in {_quoted(text)}"
                + (f"; did you mean {close[0]}?" if close else f"; its variables are {_listed(variables)}")
            )
        variables = names
    if not variables:
        raise ExpressionError(
            f"{_quoted(text)} has no variables, so there is nothing to differentiate; "
            'write one with a variable, such as "x**2" x=3'
        )
    return Expression(text, tuple(variables), tuple(statements))


def constant(text: str) -> Any:
    """Return the value of a text without variables, such as ``pi/4``.

    Raises:
        ExpressionError: it cannot be understood.
    """
    text = text.strip()
    statements = _statements(text)
    if len(statements) != 1 or isinstance(statements[0], ast.Assign) or len(text) > _LONGEST:
        raise ExpressionError(f"{_quoted(text)} is no value")
    _check(statements, text, ())
    with np.errstate(all="ignore"):
        return _evaluate(statements[0].value, {}, text)  # type: ignore[attr-defined]


def _statements(text: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as "2 is not callable; perhaps you missed a comma"
            statements = ast.parse(text).body
    except SyntaxError as error:
        raise _syntax_error(text, error) from None
    except (RecursionError, MemoryError):
        raise ExpressionError(
            "the expression is nested too deeply to be read; name its parts, as in y = ...; z = ..."
        ) from None
    except ValueError as error:
        raise ExpressionError(f"the expression cannot be read: {error}") from None
    for statement in statements:
        plain = isinstance(statement, ast.Assign) and len(statement.targets) == 1
        if not (isinstance(statement, ast.Expr) or (plain and isinstance(statement.targets[0], ast.Name))):  # type: ignore[attr-defined]
            advice = _ADVICE.get(type(statement), "accepted are an expression, or name = expression")
            raise _error(text, statement, f"this statement is not understood; {advice}")
    return statements


def _syntax_error(text: str, error: SyntaxError) -> ExpressionError:
    line, column = error.lineno or 1, max((error.offset or 1) - 1, 0)
    lines = text.splitlines()
    line = min(line, len(lines))
    here = lines[line - 1]
    reason = error.msg.split(". Perhaps")[0].split(". Maybe")[0]
    number = re.search(r"\d[A-Za-z_(]", here)
    if "too many nested" in reason:
        return ExpressionError("the expression is nested too deeply to be read; name its parts, as in y = ...; z = ...")
    if "digits" in reason:
        return ExpressionError("a number in the expression has too many digits; write it as 1e300")
    if "=" in reason and "==" in reason:
        reason = "a name is needed to the left of =; == compares"
    elif "literal" in reason and number:
        column = number.start()
        reason = f"a product is written with *: {here[column]}*{here[column + 1]}"
    elif "invalid character" in reason and column < len(here) and here[column] in "×·÷−²³":
        spelled = {"×": "*", "·": "*", "÷": "/", "−": "-", "²": "**2", "³": "**3"}[here[column]]
        reason = f"write {spelled} for {here[column]}"
    elif reason == "invalid syntax":
        reason = "this is not understood; a product is written a*b, a power a**b, a function sin(x)"
    return ExpressionError(f"{reason}\n{_caret(here, column, column + 1)}")


def _error(text: str, node: ast.AST, reason: str) -> ExpressionError:
    """Return an error with the place marked under the text."""
    line = text.splitlines()[getattr(node, "lineno", 1) - 1]
    encoded = line.encode()
    start = len(encoded[: getattr(node, "col_offset", 0)].decode())
    same_line = getattr(node, "end_lineno", 1) == getattr(node, "lineno", 1)
    end = len(encoded[: getattr(node, "end_col_offset", 0)].decode()) if same_line else len(line)
    return ExpressionError(f"{reason}\n{_caret(line, start, end)}")


def _caret(line: str, start: int, end: int) -> str:
    """Return a line and a mark under some of its characters; of a long line the part around them."""
    if len(line) > 70:
        cut = max(0, min(start - 30, len(line) - 66))
        end = min(end, cut + 66)
        part = line[cut : cut + 66]
        line = ("…" if cut else "") + part + ("…" if cut + 66 < len(line) else "")
        start, end = start - cut + bool(cut), end - cut + bool(cut)
    mark = "^" * max(1, cell_len(line[start:end]))
    return f"    {line}\n    {' ' * cell_len(line[:start])}{mark}"


# -- what may stand in a text --------------------------------------------------------------------------


def _check(statements: Sequence[ast.stmt], text: str, given: Sequence[str] | None) -> list[str]:
    """Return the variables, in the order of appearance; refuse everything that cannot be evaluated."""
    assigned: set[str] = set()
    variables: list[str] = []
    for statement in statements:
        nodes = list(_postorder(statement.value))  # type: ignore[attr-defined]
        for node in nodes:
            if isinstance(node, ast.Call):
                _check_call(node, text, {*assigned, *variables, *(given or ())}, given is None)
        for node in nodes:
            _check_node(node, text)
            if not isinstance(node, ast.Name) or node.id in assigned or node.id in variables:
                continue
            is_given = given is not None and node.id in given
            if given is None and node.id in FUNCTIONS:
                raise _error(text, node, f"{node.id} is a function; call it, as in {node.id}(x)")
            if is_given or (given is None and node.id not in _CONSTANTS):
                variables.append(node.id)
            elif node.id not in _CONSTANTS:
                raise _unknown(text, node, given or (), assigned)
        if isinstance(statement, ast.Assign):
            assigned.add(statement.targets[0].id)  # type: ignore[attr-defined]
    return variables


def _check_call(call: ast.Call, text: str, variables: set[str], guess: bool) -> None:
    """Refuse a call of something that is no function; a single letter is taken for a variable where one may guess."""
    name = _dotted(call.func)
    if name in variables:
        raise _error(text, call, f"{name} is a variable, not a function; write {name}*(...) for a product")
    if guess and len(name) == 1:
        raise _error(text, call, f"there is no function {name}; write {name}*(...) for a product")
    _function(call, text)
    for keyword in call.keywords:
        _option(keyword, text)


def _unknown(text: str, node: ast.Name, given: Sequence[str], assigned: set[str]) -> ExpressionError:
    if node.id in FUNCTIONS:
        return _error(text, node, f"{node.id} is a function; call it, as in {node.id}(x)")
    close = difflib.get_close_matches(node.id, [*given, *assigned], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return _error(text, node, f"the variable {node.id} has no value{hint or f'; add {node.id}=1, say'}")


def _check_node(node: ast.AST, text: str) -> None:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise _error(text, node, f"{type(node.value).__name__} values are not understood; write numbers")
        try:
            float(node.value)
        except OverflowError:
            raise _error(text, node, "this number is too large; the largest is about 1.8e308") from None
    elif isinstance(node, ast.BinOp | ast.UnaryOp):
        if type(node.op) not in _OPERATORS:
            raise _error(text, node, _ADVICE.get(type(node.op), f"{type(node.op).__name__} is not understood"))
    elif isinstance(node, ast.Compare):
        for op in node.ops:
            if type(op) not in _OPERATORS:
                raise _error(text, node, "this comparison is not understood; < <= > >= == != are")
    elif isinstance(node, ast.Subscript):
        _index(node.slice, text)
    elif isinstance(node, ast.Attribute):
        if node.attr != "T":
            raise _error(text, node, f".{node.attr} is not understood; write a function, as in sum(x)")
    elif isinstance(node, ast.Starred):
        raise _error(text, node, "a * before an argument is not understood")
    elif not isinstance(node, ast.Name | ast.Call | ast.BoolOp | ast.List | ast.Tuple):
        advice = _ADVICE.get(type(node), "accepted are numbers, variables, arithmetic, comparisons and functions")
        raise _error(text, node, f"this is not understood; {advice}")


def _function(call: ast.Call, text: str) -> Callable[..., Any]:
    """Return what a call calls."""
    dotted = _dotted(call.func)
    module, _, name = dotted.rpartition(".")
    found = FUNCTIONS.get(name) if not module or module in _MODULES else None
    if found is not None:
        if isinstance(found, np.ufunc) and (len(call.args) != found.nin or call.keywords):
            count = f"{found.nin} argument{'s' if found.nin > 1 else ''}"
            raise _error(text, call, f"{name} takes {count}, got {len(call.args) + len(call.keywords)}")
        return found
    if not dotted:
        inner = call.func
        if isinstance(inner, ast.Attribute) and inner.attr in FUNCTIONS:
            raise _error(text, call, f"methods are not understood; write {inner.attr}(...) as a function")
        raise _error(text, call, "only functions can be called; write * for a product")
    close = [_SYNONYMS[name]] if name in _SYNONYMS else difflib.get_close_matches(name, FUNCTIONS, n=3, cutoff=0.6)
    if module and module not in _MODULES:
        hint = f"write {name}(...)" if name in FUNCTIONS else "functions come from np or scipy.special"
    elif close:
        hint = f"did you mean {' or '.join(close)}?"
    else:
        hint = "known are sin, cos, tan, exp, log, sqrt, tanh, abs, where, sum, dot and more of NumPy's"
    raise _error(text, call.func, f"there is no function {dotted}; {hint}")


def _dotted(node: ast.AST) -> str:
    """Return a dotted name such as ``np.linalg.norm``; nothing where the node is none."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _index(node: ast.expr, text: str) -> Any:
    """Return an index, of whole numbers and slices of them."""
    if isinstance(node, ast.Tuple):
        return tuple(_index(part, text) for part in node.elts)
    if isinstance(node, ast.Slice):
        return slice(*(None if part is None else _index(part, text) for part in (node.lower, node.upper, node.step)))
    if isinstance(node, ast.Constant) and node.value is ...:
        return ...
    return _literal(node, text, "an index is a whole number or a slice, as in x[0] or x[1:]")


def _literal(node: ast.expr, text: str, reason: str) -> Any:
    """Return a whole number, or a tuple of them, that is written out."""
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_literal(part, text, reason) for part in node.elts)
    sign = -1 if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else 1
    inner = node.operand if sign < 0 else node  # type: ignore[attr-defined]
    if isinstance(inner, ast.Constant) and isinstance(inner.value, int):
        return sign * inner.value if not isinstance(inner.value, bool) else inner.value
    if isinstance(inner, ast.Constant) and inner.value is None:
        return None
    raise _error(text, node, reason)


# -- evaluation ----------------------------------------------------------------------------------------


def _children(node: ast.AST) -> list[ast.expr]:
    """Return the sub-expressions that have values of their own: not indices, nor keyword arguments, nor functions."""
    match node:
        case ast.BinOp():
            return [node.left, node.right]
        case ast.UnaryOp():
            return [node.operand]
        case ast.BoolOp():
            return node.values
        case ast.Compare():
            return [node.left, *node.comparators]
        case ast.Call():
            shape = [] if _dotted(node.func).split(".")[-1] != "reshape" else node.args[1:]
            return node.args[: len(node.args) - len(shape)]
        case ast.Subscript() | ast.Attribute():
            return [node.value]
        case ast.List() | ast.Tuple():
            return node.elts
        case _:
            return []


def _postorder(root: ast.expr) -> Iterator[ast.expr]:
    """Yield the sub-expressions in the order of evaluation; without recursion, for they can be nested deeply."""
    stack: list[tuple[ast.expr, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        else:
            stack.append((node, True))
            stack += [(child, False) for child in reversed(_children(node))]


def _evaluate(root: ast.expr, known: Mapping[str, Any], text: str) -> Any:
    values: list[Any] = []
    for node in _postorder(root):
        count = len(_children(node))
        args = values[len(values) - count :]
        del values[len(values) - count :]
        try:
            values.append(_apply(node, args, known, text))
        except ExpressionError:
            raise
        except Exception as error:
            reason = str(error).replace(at(), "").replace(", at None", "")
            raise _error(text, node, f"{reason or type(error).__name__}") from error
    return values[0]


def _apply(node: ast.expr, args: list[Any], known: Mapping[str, Any], text: str) -> Any:
    match node:
        case ast.Constant():
            return np.float64(node.value)  # type: ignore[arg-type]
        case ast.Name():
            return known[node.id] if node.id in known else _CONSTANTS[node.id]
        case ast.BinOp() | ast.UnaryOp():
            return _OPERATORS[type(node.op)](*args)
        case ast.BoolOp():
            return functools.reduce(_OPERATORS[type(node.op)], args)
        case ast.Compare():
            pairs = itertools.pairwise(args)
            links = [_OPERATORS[type(op)](*pair) for op, pair in zip(node.ops, pairs, strict=True)]
            return functools.reduce(np.logical_and, links)
        case ast.Subscript():
            return args[0][_index(node.slice, text)]
        case ast.Attribute():
            return np.transpose(args[0])
        case ast.List() | ast.Tuple():
            return np.stack(args) if args else np.zeros(0)
        case ast.Call():
            function = _function(node, text)
            if function in _JOINS:
                args = [tuple(args[0]), *args[1:]] if args else args
            if function is np.reshape:
                args = [
                    *args,
                    *(_literal(each, text, "a shape is written out, as in (2, 3)") for each in node.args[1:]),
                ]
            options = {each.arg or "": _option(each, text) for each in node.keywords}
            return function(*args, **options)
    raise _error(text, node, "this is not understood")


def _option(keyword: ast.keyword, text: str) -> Any:
    if keyword.arg is None:
        raise _error(text, keyword.value, "** before an argument is not understood")
    return _literal(keyword.value, text, f"{keyword.arg}= takes whole numbers that are written out")


# -- words ---------------------------------------------------------------------------------------------


def _letters() -> Iterator[str]:
    """Yield a, b, ..., z, a1, b1, ..."""
    for round_ in itertools.count():
        yield from (f"{letter}{round_ or ''}" for letter in string.ascii_lowercase)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 50 else f"{text[:49]}…").replace("\\n", "; ")
