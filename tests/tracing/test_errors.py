"""Errors say what was wrong, with both shapes, the user's names and line, and what would work."""

import contextlib
import functools
import re

import numpy as np
import pytest
import scipy.special

import chainrule as cr
from chainrule.ops.special import smirnov
from chainrule.tracing import record

A = np.ones((3, 4))
B = np.ones((5, 2))


def message(f, *args):
    """Return what the error says, and check that it names the line of the caller's lambda."""
    gradient = cr.grad(functools.wraps(f)(lambda *x: np.sum(f(*x))), tuple(range(len(args))))
    with pytest.raises(cr.ChainruleError) as caught:
        gradient(*args)
    text = str(caught.value)
    assert re.search(rf"at test_errors\.py:{f.__code__.co_firstlineno}\b", text), text
    return text


def test_add():
    text = message(lambda a, b: a + b, A, B)
    assert text.startswith("add: shapes (3, 4) and (5, 2) of a, b do not fit")


def test_names_are_those_of_the_users_variables():
    def f(x):
        left = np.outer(x, x)
        right = x[:2] * 2
        return np.sum(left * right)

    with pytest.raises(cr.ChainruleError, match=r"multiply: shapes \(3, 3\) and \(2,\) of left, right do not fit"):
        cr.grad(f)(np.ones(3))


def test_matmul():
    assert message(lambda a, b: a @ b, A, B).startswith("matmul: inner sizes differ: (3, 4) @ (5, 2) of a, b")
    assert message(lambda a, b: a @ b, A, A).endswith("did you mean b.T?")
    assert message(lambda a, b: a.T @ b.T, A, A[:, :2].copy()).endswith("did you mean the second.T?")
    assert message(lambda w, x: w @ x, A, np.ones(3)).endswith("did you mean w.T?")


def test_dot():
    assert "(3, 4) @ (5, 2)" in message(lambda a, b: np.dot(a, b), A, B)


def test_solve():
    assert message(lambda a, b: np.linalg.solve(a, b), np.eye(3), np.ones(4)).startswith(
        "np.linalg.solve: (3, 3) and (4,) do not fit"
    )
    assert message(lambda a: np.linalg.solve(a, np.ones(3)), A).startswith(
        "np.linalg.solve: a square matrix is needed, got shape (3, 4)"
    )
    assert "a square matrix" in message(lambda a: np.linalg.inv(a), A)


def test_a_singular_matrix():
    with pytest.raises(np.linalg.LinAlgError, match=r"inv: Singular matrix, at test_errors\.py:\d+"):
        cr.grad(lambda a: np.sum(np.linalg.inv(a)))(np.ones((2, 2)))


def test_joining():
    assert message(lambda a, b: np.concatenate([a, b]), A, B).startswith(
        "np.concatenate: shapes (3, 4) and (5, 2) differ outside axis 0"
    )
    assert message(lambda a, b: np.stack([a, b]), A, B).startswith(
        "np.stack: all shapes must be equal, got (3, 4) and (5, 2)"
    )
    assert "use np.stack" in message(lambda a: np.concatenate([a, a]), 1.0)


def test_reshape():
    assert message(lambda a: a.reshape(5, 2), A).startswith("cannot reshape (3, 4) (size 12) into (5, 2)")
    assert "(-1, 5)" in message(lambda a: a.reshape(-1, 5), A)
    assert "np.squeeze: shape (3, 4) has no axis of length 1 at 0" in message(lambda a: np.squeeze(a, 0), A)
    assert "(3, 4)" in message(lambda a: np.broadcast_to(a, (2, 2)), A)


def test_assignment():
    def f(a, b):
        y = a * 1.0
        y[1] = b
        return np.sum(y)

    with pytest.raises(cr.ChainruleError, match=r"cannot assign shape \(5, 2\) to a part of shape \(4,\), at test_err"):
        cr.grad(f)(A, B)


def test_einsum():
    assert message(lambda a, b: np.einsum("ij,jk->ik", a, b), A, B).startswith(
        "np.einsum: axis 'j' has lengths 4 and 5"
    )
    assert "'ij,j' for 1 operands" in message(lambda a: np.einsum("ij,j", a), A)
    assert "'ijk' does not fit shape (3, 4)" in message(lambda a: np.einsum("ijk", a), A)
    assert "(3, 4) and (5, 2) differ on axes 1 and 0" in message(lambda a, b: np.tensordot(a, b, 1), A, B)


def test_indexing():
    assert message(lambda a: a[3], A).startswith("index 3 is out of bounds for axis 0 of length 3")
    assert message(lambda a: a[0, 0, 0], A).startswith("too many indices: 3 for an array of shape (3, 4)")
    assert message(lambda a: a[np.ones(4, bool)], A).startswith("boolean index of shape (4,) does not match")
    assert "out of bounds" in message(lambda a: a[[0, 7]], A)
    assert "got 1.5" in message(lambda a: a[1.5], A)


def test_shape_errors_are_value_errors_and_index_errors_index_errors():
    with pytest.raises(ValueError, match="do not fit"):
        cr.grad(lambda a: np.sum(a + B))(A)
    with pytest.raises(IndexError, match="out of bounds"):
        cr.grad(lambda a: a[9])(A)


def test_functions_without_a_rule():
    assert message(lambda a: np.savetxt("x", a), A).startswith("np.savetxt has no rule for traced arrays")
    assert message(lambda a: np.save("x", a), A).startswith("np.save has no rule for traced arrays")


def test_ufuncs_without_a_rule():
    assert message(lambda a: np.isnat(a), A).startswith("np.isnat has no rule for traced arrays")


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_matrices_and_masked_arrays_are_refused():
    m, masked = np.matrix([[1.0, 2.0], [3.0, 4.0]]), np.ma.array([1.0, 2.0], mask=[False, True])
    assert message(lambda a: m * a, np.ones(2)).startswith("np.matrix cannot be mixed with traced arrays")
    assert message(lambda a: a @ m, np.ones(2)).startswith("np.matrix cannot be mixed with traced arrays")
    assert message(lambda a: a * masked, np.ones(2)).startswith("masked arrays cannot be mixed with traced ones")


def test_options_without_a_rule():
    assert message(lambda a: np.quantile(a, 0.5, method="x"), A).startswith(
        "np.quantile: no method 'x'; there are linear"
    )
    assert message(lambda a: np.pad(a, 1, lambda *_: None), A).startswith(
        "np.pad: a function as mode writes into plain"
    )
    assert message(lambda a: np.pad(a, 1, "edge", constant_values=1), A).startswith("np.pad: mode 'edge'")
    assert message(lambda a: np.reshape(a, -1, order="Z"), A).startswith("np.reshape: order='Z'")
    assert message(lambda a: np.gradient(a, edge_order=3)[0], A).startswith("np.gradient: edge_order must be 1 or 2")


def test_an_operation_without_derivative():
    def f(s):
        return record(smirnov, s, 0.3)

    with pytest.raises(cr.ChainruleError, match=r"^smirnov: n is a whole number; .*, at test_errors\.py:\d+$"):
        cr.grad(f)(3.0)


def test_leaving_the_graph():
    import math

    text = message(lambda s: math.sin(s), 0.5)
    assert text.startswith("math.sin(s) would take the traced value 's' (float64) out of the graph")
    assert "write np.sin for math.sin" in text
    assert "chainrule.stop_gradient" in text
    assert "write scipy.special.gammaln for math.lgamma" in message(lambda s: math.lgamma(s), 0.5)
    assert "leave the conversion out" in message(lambda s: float(s), 0.5)
    assert "np.stack" in message(lambda s: np.sin([s, s]), 0.5)
    assert "scipy.special.logsumexp does not see traced values" in message(lambda x: scipy.special.logsumexp(x), A)


def test_a_function_imported_by_name_is_recognised():
    from math import exp as exponential

    text = message(lambda s: exponential(s), 0.5)
    assert text.startswith("exponential(s) would take")
    assert "write np.exp for math.exp" in text


def test_writing_into_a_plain_array():
    out = np.zeros(3)

    def f(s):
        out[0] = s
        return out.sum()

    with pytest.raises(cr.ChainruleError, match=r"out\[0\] would take .*np\.copy\(a\)") as caught:
        cr.grad(f)(1.0)
    assert f"test_errors.py:{f.__code__.co_firstlineno + 1}" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)  # NumPy's own error stays in sight

    def g(x):
        total = out
        total += x
        return total.sum()

    with pytest.raises(
        cr.ChainruleError, match=r"np\.add: a plain NumPy array cannot hold traced values, at .*np\.copy\(a\)"
    ):
        cr.grad(g)(np.ones(3))
    assert not out.any()


def test_a_name_imported_before_is_named():
    from numpy import zeros

    def f(s):
        out = zeros(3)
        out[0] = s
        return out.sum()

    with pytest.raises(cr.ChainruleError, match=r"out\[0\] would take .*from numpy import zeros.* write np\.zeros"):
        cr.grad(f)(1.0)


def test_an_error_without_source_text():
    scope = {"np": np}
    exec("def f(x):\n    return np.sin([x, x]).sum()", scope)
    with pytest.raises(
        cr.ChainruleError, match=r"^Conversion to a plain array would take the traced value 'x'.*<string>:2"
    ):
        cr.grad(scope["f"])(1.0)


def test_an_error_within_a_nested_derivative_names_the_inner_line():
    def f(x):
        return cr.grad(lambda y: (y * np.ones(3))[x.size + 4])(x)

    with pytest.raises(cr.ChainruleError, match=rf"out of bounds.*test_errors\.py:{f.__code__.co_firstlineno + 1}"):
        cr.grad(f)(1.0)


def test_functions_that_do_not_take_traced_values():
    import json
    import statistics

    assert message(lambda s: statistics.mean([s, s]), 1.0).startswith("statistics.mean([s, s]) does not take traced")
    assert message(lambda s: json.dumps({"loss": s}), 1.0).startswith('json.dumps({"loss": s}) does not take traced')
    assert message(lambda x: memoryview(x)[0], np.ones(3)).startswith("memoryview(x) does not take traced")


def test_the_users_own_mistakes_stay_their_own():
    def g(x, y):
        return x * y

    def wrong_call(x):
        return g(x)

    def own(x):
        raise TypeError(f"not {x:.0f}")

    def after_a_refusal(x):
        with contextlib.suppress(TypeError):
            float(x)
        return x * np.linalg.inv(np.zeros((2, 2)))[0, 0]

    for f, expected in ((wrong_call, TypeError), (own, TypeError), (after_a_refusal, np.linalg.LinAlgError)):
        with pytest.raises(expected) as caught:
            cr.grad(f)(1.0)
        assert type(caught.value) is expected


def test_results_that_are_no_arrays():
    with pytest.raises(cr.ChainruleError, match="the function returned str 'a'"):
        cr.grad(lambda x: "a")(1.0)


@pytest.mark.parametrize("value", [np.arange(3), True, "a", np.array([True])], ids=repr)
def test_arguments_that_cannot_be_differentiated(value):
    with pytest.raises(cr.ChainruleError, match="x: a derivative with respect to"):
        cr.grad(lambda x: x)(value)


def leak(kind):
    kept = []

    def f(x):
        h = x * 2
        kept.append(h)
        return h * h

    kind(f)
    return kept[0]


KINDS = {
    "grad": lambda f: cr.grad(f)(2.0),
    "jvp": lambda f: cr.jvp(f, (2.0,), (1.0,)),
    "trace": lambda f: cr.trace(f, 2.0),
    "vmap": lambda f: cr.vmap(f)(np.arange(3.0)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_kept_after_its_trace(kind):
    kept = leak(KINDS[kind])
    text = r"traced value 'h', made at test_errors\.py:\d+, is used after .* ended, at test_errors\.py:\d+: .*has_aux"
    with pytest.raises(cr.errors.DetachError, match=text):
        kept + 1
    with pytest.raises(cr.errors.DetachError, match=text):
        cr.grad(lambda y: y * kept)(3.0)
    with pytest.raises(cr.errors.DetachError, match=text):
        cr.grad(lambda y: kept)(3.0)
    with pytest.raises(cr.errors.DetachError, match=text):
        np.asarray(kept)


def test_a_pushforward_kept_after_the_trace_around_it():
    kept = []

    def f(x):
        y, push = cr.linearize(np.sin, x)
        kept.append(push)
        return y * push(1.0)

    cr.grad(f)(2.0)
    with pytest.raises(cr.errors.DetachError, match="ended"):
        kept[0](1.0)


def test_a_kept_value_still_prints():
    assert repr(leak(KINDS["grad"])) == "traced(np.float64(4.0))"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: cr.grad(np.sin, 1.0), r"grad: argnums must be an integer or a tuple of integers, got 1\.0"),
        (lambda: cr.jacobian(np.sin, "x"), r"jacobian: argnums must be .*, got 'x'"),
        (lambda: cr.grad(np.sin, (0, True)), r"grad: argnums must be"),
        (lambda: cr.hessian(3.0), r"grad: a function is expected, got float"),
    ],
)
def test_arguments_of_the_function_given_to_the_transform(make, text):
    with pytest.raises(cr.errors.DtypeError, match=text + r".*, at test_errors\.py:\d+"):
        make()


def test_an_axis_that_is_not_there():
    assert message(lambda x: x.sum(axis=2), A).startswith("axis 2 is out of bounds for array of dimension 2")
    assert message(lambda x: np.moveaxis(x, 0, 5), A)
    with pytest.raises(np.exceptions.AxisError):
        cr.grad(lambda x: np.sum(np.max(x, axis=3)))(A)


def test_a_matrix_that_only_the_derivative_inverts():
    with pytest.raises(
        cr.errors.LinAlgError, match=r"^inv: Singular matrix, in a derivative .*, at test_errors\.py:\d+"
    ):
        cr.jvp(lambda a: cr.hvp(np.linalg.det, (a,), (A[:2, :2],)), (np.zeros((2, 2)),), (A[:2, 1:3],))


def test_numbers_that_do_not_fit_rather_than_shapes():
    text = message(lambda x: x * np.argmax(x) ** -1, A)
    assert text.startswith("power: Integers to negative integer powers are not allowed, at ")


def test_a_wrong_keyword_is_the_callers():
    with pytest.raises(TypeError, match=r"^sum\(\) got an unexpected keyword argument 'foo'"):
        cr.grad(lambda x: np.sum(x, foo=1))(A)
