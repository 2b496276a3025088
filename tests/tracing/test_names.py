"""Nodes are named after the user's variables and know the lines they come from."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.tracing import origin, trace_function

V = np.array([0.5, 1.5, 2.5])


def names(f, *args):
    """Return the names of all nodes that have one, in order."""
    nodes = trace_function(f, args, range(len(args))).program.builder
    named = [node for node in nodes.table.values() if node.is_named]
    return [node.name for node in sorted(named, key=lambda node: node.index)]


def outputs(f, *args):
    """Return names of the results; the number of an unnamed one is left out."""
    program = trace_function(f, args, range(len(args))).program
    return [node.name if node.is_named else "" for node in program.outputs]


def inputs(f, *args):
    return [node.name for node in trace_function(f, args, range(len(args))).program.inputs]


def test_parameters():
    assert inputs(lambda a, b: a + b, 1.0, 2.0) == ["a", "b"]
    assert inputs(lambda p: p["w"] * p["b"][0], {"w": 1.0, "b": [2.0]}) == ["p['b'][0]", "p['w']"]
    assert inputs(lambda *x: x[0], 1.0, 2.0) == ["x0", "x1"]


def test_assignment():
    def f(a, b):
        c = a + b
        d = b + 1
        return c * d

    assert names(f, 2.0, 1.0) == ["c", "d"]


def test_functions_and_methods():
    def f(x):
        y = np.sin(x)
        z = y.sum(axis=0)
        w = np.linalg.norm(y)
        v = np.mean(y, axis=0)
        return z * w * v

    assert names(f, V) == ["y", "z", "w", "v"]


def test_a_composition_is_named_once():
    def f(x):
        v = np.var(x)
        return v + 1

    assert names(f, V) == ["v"]


def test_unary_operators_and_indexing():
    def f(x):
        m = -x
        p = +m
        e = p[0]
        t = m.T
        a = abs(m)
        r = round(e, 1)
        return e + t[0] + a[0] + r

    assert [name for name in names(f, V) if name in "mpetar"] == ["m", "e", "a", "r"]  # p and t are m itself


def test_unpacking():
    def f(x):
        a, b, c = x
        q, r = np.divmod(x[0], 0.3)
        (s, t), u = np.split(x[:2], 2), x[2]
        return a + b + c + q + r + s[0] + t[0] + u

    assert names(f, V)[:3] == ["a", "b", "c"]
    assert {"q", "r"} <= set(names(f, V))


def test_augmented_assignment():
    def f(x):
        total = x * 2
        total += 1
        total *= x
        return total

    assert names(f, V) == ["total", "total_1", "total_2"]


def test_walrus():
    def f(x):
        return (y := x * 2) + y

    assert names(f, 1.0) == ["y"]


def test_chained_assignment():
    def f(x):
        y = z = x * 2
        return y + z

    assert names(f, 1.0)[0] in ("y", "z")


def test_annotated_assignment():
    def f(x):
        y: float = x * 2
        return y + 1

    assert names(f, 1.0) == ["y"]


def test_attributes():
    class Model:
        pass

    def f(x):
        model = Model()
        model.loss = x * 2
        model.inner = Model()
        model.inner.w = np.sin(x)
        return model.loss + model.inner.w

    assert names(f, 1.0) == ["loss", "w"]


GLOBAL = None


def test_globals_and_closures():
    def f(x):
        global GLOBAL
        GLOBAL = x * 2
        GLOBAL = None

        def inner():
            return late

        late = x * 3
        return inner() + 1

    assert names(f, 1.0) == ["GLOBAL", "late"]


def test_nonlocal():
    def f(x):
        y = 0.0

        def inner():
            nonlocal y
            y = x * 3

        inner()
        return y + 1

    assert names(f, 1.0) == ["y"]


def test_loops_make_unique_names():
    def f(x):
        for _ in range(3):
            x = x * 2 + 1
        return x

    assert outputs(f, 1.0) == ["x_3"]
    assert names(f, 1.0) == ["x_1", "x_2", "x_3"]


def test_a_name_that_is_taken_by_hand():
    def f(x):
        x_1 = x * 2
        x = x + 5
        return x * x_1

    assert len(set(names(f, 1.0))) == 2


def test_comprehensions():
    def f(x):
        parts = [part * 2 for part in x]
        return parts[0] + parts[1]

    assert len(set(names(f, V))) == len(names(f, V))


def test_lambdas():
    assert outputs(lambda x: x * 2, 1.0) == [""]


def test_the_same_value_keeps_its_first_name():
    def f(x):
        a = x * 2
        b = x * 2
        return a + b

    assert names(f, 1.0) == ["a"]


def test_names_of_captured_arrays():
    def f(x):
        weights = np.arange(100.0)
        return np.sum(x * weights)

    nodes = cr.trace(f, np.ones(100)).nodes
    assert "weights" in [node.name for node in nodes]


def test_functions_called_by_the_user_name_their_own():
    def layer(x):
        h = np.tanh(x)
        return h * 2

    def f(x):
        y = layer(x)
        return y + 1

    assert names(f, 1.0)[0] == "h"


def test_generated_code():
    scope = {"np": np}
    exec("def f(x):\n    y = np.sin(x)\n    return y * 2", scope)
    assert names(scope["f"], 1.0) == ["y"]


@pytest.mark.parametrize("extra", [0, 300], ids=["short", "beyond extended arguments"])
def test_many_variables(extra):
    lines = [f"    v{k} = {k}.0" for k in range(extra)] + ["    late = np.sin(x) + 1", "    return late * 2"]
    scope = {"np": np}
    exec("def f(x):\n" + "\n".join(lines), scope)
    assert names(scope["f"], 1.0) == ["late"]


# -- origins -------------------------------------------------------------------------------------------


def lines_of(f, *args):
    """Return the line of each node relative to the function's first."""
    first = f.__code__.co_firstlineno
    nodes = trace_function(f, args, range(len(args))).program.nodes
    return [(node.op.name, node.origin.line - first) for node in nodes if node.inputs]


def test_origin_is_the_users_line():
    def f(x):
        y = np.sin(x)
        return y * 2

    assert lines_of(f, 1.0) == [("sin", 1), ("multiply", 2)]
    node = trace_function(f, (1.0,), (0,)).program.outputs[0]
    assert str(node.origin) == f"test_names.py:{f.__code__.co_firstlineno + 2}"
    assert node.origin.file == __file__


def test_origin_in_an_expression_of_several_lines():
    def f(x):
        y = (
            np.sin(x)
            + np.cos(x)
        )  # fmt: skip
        return np.exp(
            y
        )  # fmt: skip

    found = dict(lines_of(f, 1.0))
    assert found["sin"] == 2
    assert found["cos"] == 3
    assert found["add"] in (2, 3)
    assert found["exp"] in (5, 6)


def test_origin_of_compositions_is_the_users_call():
    def f(x):
        return np.std(
            x * 2,
        )  # fmt: skip

    assert {line for _, line in lines_of(f, V)} <= {1, 2}


def test_origin_within_a_comprehension_and_a_lambda():
    def f(x):
        g = lambda v: v * 3
        return [g(v)
                for v in x]  # fmt: skip

    assert {line for op, line in lines_of(f, V) if op == "multiply"} == {1}


def test_the_standard_library_is_not_the_users():
    assert not origin.is_users(re.__file__)
    assert not origin.is_users(np.linalg.__file__)
    assert origin.is_users(__file__)
    assert origin.is_users(pytest.__file__)
    assert origin.is_users("<stdin>")


# -- other versions of Python --------------------------------------------------------------------------


class Code:
    """Stands for a code object of which only the instructions are asked."""


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ([("CALL", 1), ("STORE_FAST", "c")], ("c",)),
        ([("BINARY_OP", 0), ("STORE_FAST_LOAD_FAST", ("c", "d"))], ("c",)),
        ([("CALL", 1), ("COPY", 1), ("STORE_FAST", "c")], ("c",)),
        ([("CALL", 1), ("UNPACK_SEQUENCE", 2), ("STORE_FAST_STORE_FAST", ("q", "r"))], ("q", "r")),
        ([("CALL", 1), ("UNPACK_SEQUENCE", 3), ("STORE_FAST_STORE_FAST", ("a", "b")), ("STORE_FAST", "c")],
         ("a", "b", "c")),
        ([("CALL", 1), ("UNPACK_SEQUENCE", 2), ("STORE_FAST", "a"), ("STORE_FAST_LOAD_FAST", ("b", "a"))], ("a", "b")),
        ([("CALL", 1), ("UNPACK_SEQUENCE", 2), ("STORE_NAME", "a"), ("STORE_GLOBAL", "b")], ("a", "b")),
        ([("CALL", 1), ("STORE_DEREF", "c")], ("c",)),
        ([("CALL", 1), ("RETURN_VALUE", None)], ()),
        ([("CALL", 1), ("LOAD_FAST_LOAD_FAST", ("a", "b"))], ()),
        ([("CALL", 1), ("LOAD_FAST_BORROW", "a")], ()),
        ([("CALL", 1), ("LOAD_FAST_BORROW", "model"), ("LOAD_ATTR", "layer"), ("STORE_ATTR", "w")], ("w",)),
        ([("CALL", 1)], ()),
    ],
)  # fmt: skip
def test_the_instructions_of_each_version(monkeypatch, instructions, expected):
    """3.12 to 3.14 join stores and loads into one instruction; LOAD_FAST_BORROW is of 3.14."""
    monkeypatch.setattr(origin, "_instructions", lambda code: (instructions, [0]))
    assert origin._targets(Code(), 0) == expected
