"""A traced array behaves as the NumPy array of its value: operators, attributes, protocols of Python, structures."""

import contextlib
import copy
import dataclasses
import operator
import pickle
import threading
from collections import namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.tracing import TracedArray

V = np.array([0.5, 1.5, 2.5])
SINGLE = V.astype(np.float32)
S = np.float64(0.7)
M = np.array([[0.3, 1.2], [2.0, 0.7]])

PARTNERS = {
    "int": 2, "float": 1.5, "complex": 1 + 2j, "bool": True,
    "list": [1, 2.0, 3], "tuple": (1.0, 2.0, 3.0),
    "float64": np.float64(1.5), "float32": np.float32(1.5), "int32": np.int32(2), "uint8": np.uint8(2),
    "bool_": np.bool_(True), "complex64": np.complex64(1 + 1j), "array": np.array([2.0, 1.0, 0.5]),
    "float32 array": np.float32([2, 1, 0.5]),
    "int array": np.array([1, 2, 3]), "column": np.array([[1.0], [2.0]]), "0-d": np.array(1.5),
    "empty": np.zeros((0, 1)), "bool array": np.array([True, False, True]),
}  # fmt: skip
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod, operator.floordiv,
             divmod]  # fmt: skip
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


def traced_result(f, x):
    """Return what f gives for a traced x, its value(s) in its place."""
    seen = []

    def run(t):
        seen.append(f(t))
        return t

    with np.errstate(all="ignore"):
        cr.linearize(run, x)
    return seen[0]


def assert_same(found, expected):
    if isinstance(expected, tuple):
        assert isinstance(found, tuple)
        for one, two in zip(found, expected, strict=True):
            assert_same(one, two)
        return
    assert isinstance(found, TracedArray)
    value = found.value
    assert type(value) is type(expected)
    assert (found.dtype, found.shape, found.ndim, found.size) == (
        expected.dtype, expected.shape, expected.ndim, expected.size)  # fmt: skip
    np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("swapped", [False, True], ids=["traced first", "traced second"])
@pytest.mark.parametrize("partner", PARTNERS)
@pytest.mark.parametrize("op", OPERATORS + COMPARISONS, ids=lambda op: op.__name__)
def test_operators_with_any_partner(op, partner, swapped):
    other = PARTNERS[partner]

    def f(x):
        return op(other, x) if swapped else op(x, other)

    for x in (V, S, SINGLE, np.float32(0.5)):
        with np.errstate(all="ignore"):
            try:
                expected = f(x)
            except TypeError:  # no remainder or order of complex numbers
                if isinstance(other, list | tuple):
                    continue  # NumPy repeats lists for a scalar, if it is an integer; a traced scalar broadcasts
                with pytest.raises(TypeError):
                    traced_result(f, x)
                continue
        if isinstance(expected, bool | list):
            continue
        if isinstance(expected, complex):  # Python's own operator, which knows np.float64 as a float
            expected = np.complex128(expected)
        assert_same(traced_result(f, x), expected)


@pytest.mark.parametrize("op", OPERATORS[:-1], ids=lambda op: op.__name__)
def test_in_place_operators(op):
    in_place = getattr(operator, f"i{op.__name__}")

    def f(x):
        y = x * 1
        same = y
        in_place(y, 1.5)
        y = in_place(y, x)
        assert same is y
        return y

    for x in (V, SINGLE):
        assert_same(traced_result(f, x), f(x))


@pytest.mark.parametrize("op", [operator.neg, operator.pos, operator.abs], ids=lambda op: op.__name__)
def test_unary_operators(op):
    for x in (V, S, SINGLE, M * 1j):
        assert_same(traced_result(op, x), op(x))


def test_matrix_product():
    for f in (lambda x: x @ M, lambda x: M @ x, lambda x: x @ x, lambda x: x @ [1.0, 2.0], lambda x: [1.0, 2.0] @ x):
        assert_same(traced_result(f, M), f(M))


def test_operators_of_integers():
    def f(x):
        k = (10 * x).astype(int)
        return k & 3, k | 1, k ^ 5, k << 1, k >> 1, ~k, 7 & k, 7 | k, 7 ^ k, 1 << (k % 4), k // 2, -k, k % 3

    assert_same(traced_result(f, V), f(V))


def test_operators_of_booleans():
    def f(x):
        big = x > 1
        return big & (x < 2), big | (x < 1), big ^ big, ~big, big.all(), big.any(), big * 2, big.sum()

    assert_same(traced_result(f, V), f(V))


@pytest.mark.parametrize("other", [None, "a", {"a": 1}, object()], ids=["None", "text", "dict", "object"])
def test_operators_with_something_else_are_refused(other):
    with pytest.raises(TypeError):
        cr.grad(lambda x: np.sum(x + other))(V)
    with pytest.raises(TypeError):
        cr.grad(lambda x: np.sum(other * x))(V)


def test_comparison_with_none_or_text_is_as_for_any_object():
    assert traced_result(lambda x: (x == None, x != None, x is None, x == "a"), S) == (False, True, False, False)  # noqa: E711


class Vector:
    """A class of the user's with operators of its own, which a traced value leaves to it."""

    __array_ufunc__ = None

    def __init__(self, x):
        self.x = x

    def __radd__(self, other):
        return Vector(self.x + other)

    def __rmul__(self, other):
        return Vector(self.x * other)


def test_the_operators_of_another_class_are_respected():
    assert cr.grad(lambda s: (s + (s * Vector(3.0))).x)(2.0) == 4.0


# -- attributes and methods ----------------------------------------------------------------------------


REFUSED = {
    "base", "byteswap", "ctypes", "data", "dump", "dumps", "flags", "getfield", "partition", "resize",
    "setfield", "setflags", "tobytes", "tofile",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in dir(np.ndarray) if not name.startswith("_")])
def test_each_attribute_of_ndarray_works_or_says_what_to_do(name):
    if name not in REFUSED:
        traced_result(lambda x: getattr(x, name) is not None, M)
        return
    assert not traced_result(lambda x: hasattr(x, name), M)
    with pytest.raises(cr.ChainruleError, match=rf"no attribute '{name}', at test_array\.py:\d+; \w+") as caught:
        cr.grad(lambda x: getattr(x, name))(M)
    assert isinstance(caught.value, AttributeError)


def test_an_unknown_attribute():
    assert not traced_result(lambda x: hasattr(x, "foo"), V)
    with pytest.raises(AttributeError, match=r"no attribute 'foo', at test_array\.py"):
        cr.grad(lambda x: x.foo)(V)


def test_attributes():
    def f(x):
        return (x.shape, x.ndim, x.size, x.dtype, x.itemsize, x.nbytes, x.strides, len(x), x.T.shape, x.mT.shape,
                x.real.dtype, x.imag.dtype, x.flat[3] > 0)  # fmt: skip

    *found, last = traced_result(f, M)
    assert (*found, last.value) == f(M)


@pytest.mark.parametrize("name", ["shape", "dtype", "strides"])
def test_attributes_that_cannot_be_set(name):
    with pytest.raises(AttributeError):
        cr.grad(lambda x: setattr(x, name, 3))(V)


def test_questions_about_the_type():
    def f(x):
        return (np.iscomplexobj(x), np.isrealobj(x), np.ndim(x), np.shape(x), np.size(x), np.isscalar(x),
                isinstance(x, np.ndarray), callable(x), np.result_type(x, np.float32), np.iterable(x))  # fmt: skip

    assert traced_result(f, V) == (False, True, 1, (3,), 3, False, False, False, np.dtype(float), True)


# -- Python's protocols --------------------------------------------------------------------------------


def test_conversions_that_lose_no_derivative():
    def f(s):
        k = (10 * s).astype(int)
        return (bool(s), int(10 * s), int(k), [1, 2, 3, 4, 5, 6, 7, 8][k], float(k), complex(k), operator.index(k),
                s.__trunc__(),                 f"{s:.3f}", f"{s!s}", str(s), k.item())  # fmt: skip

    assert traced_result(f, S) == f(S)


def test_text():
    def f(x):
        return str(x), f"{x}", np.array_str(x), np.array_repr(x)

    assert traced_result(f, V) == f(V)
    assert traced_result(repr, V) == "traced(array([0.5, 1.5, 2.5]))"


def test_round():
    def f(x):
        return round(x, 1), round(x, -1), round(x + 0.26, 1), x.round(1)

    assert_same(traced_result(f, S), tuple(np.float64(y) for y in f(S)))


def test_divmod():
    def f(x):
        return divmod(x, 0.4), divmod(3, x)

    assert_same(traced_result(f, S), f(S))
    assert cr.grad(lambda s: divmod(s, 0.25)[1])(0.7) == 1.0
    assert cr.grad(lambda s: divmod(1.0, s)[1])(0.3) == -3.0


def test_iteration_and_unpacking():
    def f(x):
        a, b, c = x
        first, *rest = x
        (p, q), r = x[:2], x[2]
        return sum(x) + a * b * c + first * rest[0] + p * q * r + max(x) + min(x) + sorted(x)[1] + [*x][2] + sum(
            v * w for v, w in zip(x, reversed(list(x)), strict=True))  # fmt: skip

    a, b, c = V
    expected = [1 + b * c + b + b * c + 1 + 2 * c, 1 + a * c + a + a * c + 1 + 2 * b, 1 + a * b + a * b + 1 + 1 + 2 * a]
    np.testing.assert_allclose(cr.grad(f)(V), expected)
    np.testing.assert_allclose(f(V), cr.value_and_grad(f)(V)[0])


def test_iteration_over_rows():
    np.testing.assert_allclose(cr.grad(lambda m: sum(row[0] * row[1] for row in m))(M), M[:, ::-1])
    np.testing.assert_allclose(cr.grad(lambda m: sum(k * row.sum() for k, row in enumerate(m)))(M), [[0, 0], [1, 1]])


def test_a_scalar_has_no_length():
    for f in (len, iter, list):
        with pytest.raises(TypeError):
            f(S)
        with pytest.raises(TypeError):
            cr.grad(lambda s, f=f: f(s))(S)


def test_membership():
    assert traced_result(lambda x: (0.5 in x, 7.0 in x), V) == (True, False)


def test_truth_of_several_elements_is_ambiguous():
    with pytest.raises(ValueError, match="ambiguous"):
        cr.grad(lambda x: x if x > 1 else -x)(V)


def test_hash_is_refused_as_for_arrays():
    with pytest.raises(TypeError, match="unhashable"):
        cr.grad(lambda x: {x: 1})(V)


def test_copies_are_independent():
    def f(x):
        y = x * 1.0
        parts = [y.copy(), np.copy(y), copy.copy(y), copy.deepcopy(y), copy.deepcopy([y])[0], np.array(y, like=y)]
        y[0] = 0.0
        for k, part in enumerate(parts):
            part[1] = k
        return sum(part[0] for part in parts) + y[1]

    np.testing.assert_array_equal(cr.grad(f)(V), [6, 1, 0])


def test_pickling_is_refused():
    with pytest.raises(cr.ChainruleError, match=r"cannot be pickled, at test_array\.py"):
        cr.grad(lambda x: pickle.dumps(x))(V)


# -- programs ------------------------------------------------------------------------------------------


def test_control_flow():
    def f(x):
        y = x
        while y < 10:
            y = y * 2 if y > 1 else y + x
        return y

    assert cr.grad(f)(0.8) == 16.0  # (0.8 + 0.8) doubled until it is 12.8


def test_recursion():
    def power(x, n):
        if n == 0:
            return 1.0
        return power(x, n // 2) ** 2 * (x if n % 2 else 1.0)

    np.testing.assert_allclose(cr.grad(power)(1.1, 7), 7 * 1.1**6)


def test_closures_and_nested_functions():
    def f(x, s):
        def g(y):
            nonlocal total
            total = total + y * s
            return total

        total = 0.0
        for part in x:
            g(part)
        return g(s)

    np.testing.assert_allclose(cr.grad(f, (0, 1))(V, 2.0)[0], [2, 2, 2])
    np.testing.assert_allclose(cr.grad(f, 1)(V, 2.0), 4.5 + 4)


def test_generators_and_comprehensions():
    f = lambda x: sum(v**k for k, v in enumerate(x)) + np.prod([*(w for w in x if w > 1)], initial=2)
    np.testing.assert_allclose(cr.grad(f)(V), [0, 1 + 2 * 2.5, 5 + 2 * 1.5])
    np.testing.assert_allclose(cr.grad(lambda x: sum(v**k for k, v in enumerate(x)))(V), [0, 1, 5])


Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Layer:
    w: np.ndarray
    b: float
    name: str = "layer"


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (lambda a, b: (a, b), lambda p: (p[0], p[1])),
        (lambda a, b: [a, [b]], lambda p: (p[0], p[1][0])),
        (lambda a, b: {"a": a, "b": {"c": b}}, lambda p: (p["a"], p["b"]["c"])),
        (Point, lambda p: (p.x, p.y)),
        (lambda a, b: (a, None, b), lambda p: (p[0], p[2])),
    ],
    ids=["tuple", "list", "dict", "namedtuple", "None"],
)
def test_structures(make, read):
    def f(p):
        a, b = read(p)
        return np.sum(a * b)

    gradient = cr.grad(f)(make(V, 2.0))
    assert type(gradient) is type(make(V, 2.0))
    da, db = read(gradient)
    np.testing.assert_array_equal(da, [2, 2, 2])
    assert db == V.sum()


def test_dataclass_with_a_field_that_is_no_number():
    with pytest.raises(cr.ChainruleError, match="str"):
        cr.grad(lambda p: np.sum(p.w) * p.b)(Layer(V, 2.0))


def test_other_arguments_are_passed_as_they_are():
    def f(x, name, *, flag, table):
        assert name == "a"
        assert flag is None
        return np.sum(x) * table["k"]

    np.testing.assert_array_equal(cr.grad(f)(V, "a", flag=None, table={"k": 3}), [3, 3, 3])


def test_an_exception_inside_the_function_leaves_nothing_behind():
    class MyError(Exception):
        pass

    def bad(x):
        y = np.sin(x)
        raise MyError(y.shape)

    def swallows(x):
        with contextlib.suppress(TypeError):
            np.float64(x)
        return x * 2

    for _ in range(2):
        with pytest.raises(MyError, match=r"\(\)"):
            cr.grad(bad)(1.0)
        assert cr.grad(lambda x: x * x)(3.0) == 6.0
    assert cr.grad(swallows)(1.0) == 2.0


def test_an_exception_inside_a_nested_derivative():
    def f(x):
        try:
            cr.grad(lambda y: y * float(x))(1.0)
        except cr.ChainruleError:
            return x**2
        return x

    assert cr.grad(f)(3.0) == 6.0


def test_the_users_own_exceptions_pass():
    def f(x):
        if x > 0:
            raise KeyError("mine")
        return x

    with pytest.raises(KeyError, match="mine"):
        cr.grad(f)(1.0)


def test_two_threads():
    """Both are inside their functions at the same time."""
    barrier = threading.Barrier(2, timeout=10)
    found = {}

    def work(k):
        def f(x):
            y = x * k
            barrier.wait()
            y = np.sin(y) + cr.grad(lambda z: z * x)(2.0)
            barrier.wait()
            return np.sum(y * y)

        found[k] = cr.grad(f)(0.3)

    threads = [threading.Thread(target=work, args=(k,)) for k in (1.0, 2.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in (1.0, 2.0):
        np.testing.assert_allclose(found[k], 2 * (np.sin(0.3 * k) + 0.3) * (k * np.cos(0.3 * k) + 1))


def test_sums_of_lists_start_at_zero():
    np.testing.assert_array_equal(cr.grad(lambda x: sum([x, x, 2 * x])[0])(V), [4, 0, 0])


def test_subclasses_of_ndarray_are_partners():
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x * V.view(np.recarray)))(V), V)
    with pytest.raises(cr.ChainruleError, match="masked"):
        cr.grad(lambda x: np.sum(x * np.ma.masked_array(V, V > 1)))(V)
    with pytest.raises(cr.ChainruleError, match="masked"):
        cr.grad(lambda x: np.sum(np.ma.masked_array(V, V > 1) * x))(V)
