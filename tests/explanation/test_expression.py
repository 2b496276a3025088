"""Formulas as text: what they compute, what their nodes are called, what is said of wrong ones."""

import numpy as np
import pytest
import scipy.special

import chainrule as cr
from chainrule.errors import ExpressionError
from chainrule.explanation import parse
from chainrule.explanation.expression import constant


def names(text, *values):
    graph = cr.trace(parse(text), *values)
    return [node.name for node in graph.nodes if node.op not in ("input", "constant")]


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("(a+b)*(b+1)", (2.0, 1.0), 6.0),
        ("y = sin(x)*x; z = exp(y) + y**2", (0.5,), np.exp(np.sin(0.5) * 0.5) + (np.sin(0.5) * 0.5) ** 2),
        ("y = x + 1\ny*y", (2.0,), 9.0),
        ("y = 2*x;", (2.0,), 4.0),
        ("-x**2", (3.0,), -9.0),
        ("+x - -1", (3.0,), 4.0),
        ("x // 2 + x % 2 + x / 2", (5.0,), 5.5),
        ("where(x > 0 and x < 1, x, 0*x)", (0.5,), 0.5),
        ("where(0 < x <= 2, 1, 0) + x*0", (2.0,), 1.0),
        ("where(not (x == 1 or x != 3), x, 1)", (3.0,), 3.0),
        ("np.tanh(x) + numpy.cos(x)", (0.3,), np.tanh(0.3) + np.cos(0.3)),
        ("2*pi*x + e", (1.0,), 2 * np.pi + np.e),
        ("max(x, 2) + min(x, 2, 1)", (3.0,), 4.0),
        ("abs(x) + pow(x, 2)", (-3.0,), 12.0),
        ("erf(x) + gammaln(x) + expit(x)", (1.5,),
         scipy.special.erf(1.5) + scipy.special.gammaln(1.5) + scipy.special.expit(1.5)),
        ("x[0]*x[-1] + sum(x[1:])", (np.array([1.0, 2.0, 3.0]),), 8.0),
        ("sum(x, axis=0)[1]", (np.array([[1.0, 2.0], [3.0, 4.0]]),), 6.0),
        ("dot(x, [1, 2, 3]) + norm(x)*0", (np.array([1.0, 2.0, 3.0]),), 14.0),
        ("sum(A.T @ x)", (np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 1.0])), 10.0),
        ("logsumexp(x) + logsumexp([0, 0])", (np.zeros(2),), 2 * np.log(2)),
        ("reshape(x, (2, 2))[1, 0]", (np.arange(4.0),), 2.0),
        ("mean(concatenate([x, x]))", (np.array([1.0, 3.0]),), 2.0),
        ("λ**2", (3.0,), 9.0),
    ],
)  # fmt: skip
def test_values(text, values, expected):
    f = parse(text)
    np.testing.assert_allclose(f(*values), expected, rtol=1e-14)
    graph = cr.trace(f, *values)
    np.testing.assert_allclose(graph.outputs[0].value, expected, rtol=1e-14)


def test_variables_come_in_the_order_of_appearance_or_as_given():
    assert parse("b*a + b").variables == ("b", "a")
    assert parse("b*a + b", ("a", "b")).variables == ("a", "b")
    assert parse("e**x", ("x",)).variables == ("x",)
    assert parse("e**x", ("e", "x"))(2.0, 3.0) == 8.0


def test_letters_follow_the_inputs():
    assert names("(a+b)*(b+1)", 2.0, 1.0) == ["c", "d", "e"]
    assert names("x*x + 1", 2.0) == ["a", "b"]


def test_letters_skip_what_is_taken():
    assert names("y = sin(x)*x; z = exp(y) + y**2", 1.0) == ["a", "y", "b", "c", "z"]
    assert names("b = x + 1; a = 2*b*x; a + e", 1.0) == ["b", "c", "a", "d"]


def test_after_z_letters_are_numbered():
    text = "x" + "".join(f"*sin(x + {k})" for k in range(10))
    found = names(text, 1.0)
    assert found[:2] == ["a", "b"]
    assert found[22:27] == ["w", "y", "z", "a1", "b1"]


def test_equal_parts_are_one_node():
    assert names("(x+1)*(x+1)", 1.0) == ["a", "b"]


def test_a_name_given_later_wins_over_a_letter():
    assert names("sin(x)*(y*2) + y; s = sin(x); s*y", 1.0, 2.0) == ["s", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("1 + 2", "no variables"),
        ("x^2", "^ is not a power here; write **"),
        ("2x + 1", "a product is written with *: 2*x"),
        ("(a+b", "was never closed"),
        ("a b", "a product is written a*b"),
        ("sine(x)", "there is no function sine; did you mean sin"),
        ("ln(x)", "did you mean log?"),
        ("qqqq(x)", "there is no function qqqq; known are"),
        ("a(b+1)", "write a*(...) for a product"),
        ("aa = 2*b; aa(b+1)", "aa is a variable, not a function"),
        ("(a+1)(b+1)", "write * for a product"),
        ("x.sum()", "write sum(...)"),
        ("x.real", ".real is not understood"),
        ("os.system('x')", "there is no function os.system"),
        ("__import__('os')", "there is no function __import__"),
        ("x + 'text'", "str values are not understood"),
        ("math.sin(x)", "write sin(...)"),
        ("import os", "this statement is not understood"),
        ("x += 1", "write x = x + 1"),
        ("x if x > 0 else 1", "where(condition, a, b)"),
        ("[i for i in x]", "loops cannot be written"),
        ("lambda x: x", "functions cannot be defined"),
        ("(lambda: x)()", "only functions can be called"),
        ("f'{x}'", "this is not understood"),
        ("x[y]", "an index is a whole number"),
        ("x[0.5]", "an index is a whole number"),
        ("sin(x, x)", "sin takes 1 argument, got 2"),
        ("sin()*x", "sin takes 1 argument, got 0"),
        ("sum(x, axis=x)", "axis= takes whole numbers"),
        ("sum(**x)", "** before an argument"),
        ("sum(*x)", "a * before an argument"),
        ("sin + x", "sin is a function; call it"),
        ("x in y", "this comparison is not understood"),
        ("True*x", "bool values are not understood"),
        ("1j*x", "complex values are not understood"),
        ("x × 2", "write * for ×"),
        ("3 = x", "cannot assign"),
        ("x == 1 = 2", "cannot assign to comparison"),
        ("x\0", "null bytes"),
        ("9" * 5000 + "*x", "too many digits"),
        ("9" * 400 + "*x", "too large"),
        ("(" * 300 + "x" + ")" * 300, "nested too deeply"),
        ("x" * 30_000, "more than 20,000"),
    ],
)
def test_what_is_said_of_wrong_texts(text, message):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_a_long_sum_is_read_or_refused():
    try:  # which of the two depends on the version of Python
        assert parse("+".join(["x"] * 9000))(1.0) == 9000
    except ExpressionError as error:
        assert "nested too deeply" in str(error)


@pytest.mark.parametrize(
    ("text", "marked"),
    [("a + sine(b)", "sine"), ("αβ + sine(b)", "sine"), ("y = a; y ^ 2", "y ^ 2"), ("a + 1\nb + sine(a)", "sine")],
)
def test_the_place_is_marked(text, marked):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    line, mark = str(caught.value).split("\n")[-2:]
    start = mark.index("^")
    assert line[start : start + mark.count("^")] == marked


def test_of_a_long_text_the_part_around_the_place_is_shown():
    with pytest.raises(ExpressionError) as caught:
        parse(" + ".join(["x"] * 100) + " + sine(x)" + " + x" * 100)
    line, mark = str(caught.value).split("\n")[-2:]
    assert len(line) < 80
    assert line[mark.index("^") : mark.rindex("^") + 1] == "sine"


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("a*b", ("a",), "the variable b has no value; add b=1"),
        ("weight*x", ("weigth", "x"), "the variable weight has no value; did you mean weigth?"),
        ("x**2", ("x", "y"), "y: this variable was given a value but does not occur"),
        ("x*sin", ("x",), "sin is a function"),
        ("x(2)", ("x",), "x is a variable, not a function"),
    ],
)
def test_variables_have_to_agree_with_what_is_given(text, given, message):
    with pytest.raises(ExpressionError) as caught:
        parse(text, given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "values", "message"),
    [
        ("x @ y", (np.zeros(2), np.zeros(3)), "inner sizes differ: (2,) @ (3,)"),
        ("x + y", (np.zeros(2), np.zeros(3)), "do not fit"),
        ("x[3]", (np.zeros(2),), "index 3 is out of bounds"),
        ("inv(x)", (np.zeros((2, 2)),), "Singular matrix"),
        ("sum(x, axis=4)", (np.zeros(2),), "axis 4 is out of bounds"),
        ("sum(x, foo=4)", (np.zeros(2),), "foo"),
    ],
)
def test_failing_operations_are_marked(text, values, message):
    with pytest.raises(ExpressionError) as caught:
        cr.trace(parse(text), *values)
    first, line, mark = str(caught.value).split("\n")
    assert message in first
    assert line.strip() == text
    assert mark.strip() == "^" * len(text)
    assert ".py" not in first


def test_powers_of_literals_are_those_of_numpy():
    assert parse("9**9**9 + x")(1.0) == np.inf
    assert parse("x*0 + 2**-1")(1.0) == 0.5


def test_constants():
    assert constant("pi/4") == np.pi / 4
    for text in ("x", "a = 1", "1; 2", ""):
        with pytest.raises(ExpressionError):
            constant(text)


def test_nodes_point_to_the_text_and_not_to_this_file():
    graph = cr.trace(parse("x*x + 1"), 2.0)
    assert {str(node.origin) for node in graph.nodes if node.op not in ("input", "constant")} == {"expression:1"}
