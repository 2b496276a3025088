"""Derivatives where none exists or several do, and exactly nothing for paths that are not taken; in every mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import chainrule as cr

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's own: f divides by 0 where it says so

INF, NAN = np.inf, np.nan


def jacobians(f: Any, x: Any) -> dict[str, Any]:
    """Return the Jacobian of f by each way to it."""
    found = {mode: cr.jacobian(f, mode=mode)(x) for mode in ("forward", "reverse", "eliminate")}
    size, shape = np.size(x), np.shape(x)
    columns = [cr.jvp(f, (x,), (unit.reshape(shape)[()],))[1] for unit in np.eye(size)]
    found["jvp"] = np.moveaxis(columns, 0, -1).reshape(found["forward"].shape)
    if not np.shape(f(x)):
        found["grad"] = cr.grad(f)(x)
    return found


def check(f: Any, x: Any, expected: Any) -> None:
    for mode, found in jacobians(f, x).items():
        np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape), err_msg=mode)


def hessians(f: Any, x: Any) -> dict[str, Any]:
    first = ("forward", "reverse", "eliminate")
    nested = {f"{a} over {b}": cr.jacobian(cr.jacobian(f, mode=b), mode=a)(x) for a in first for b in first}
    return {"hessian": cr.hessian(f)(x), **nested}


def check_second(f: Any, x: Any, expected: Any) -> None:
    for mode, found in hessians(f, x).items():
        np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape), err_msg=mode)


def cases(**named: tuple[Any, Any, Any]) -> Any:
    """Parametrise over name = (function, point, derivative)."""
    return pytest.mark.parametrize(
        ("f", "x", "expected"),
        [pytest.param(f, np.array(x, float)[()], e, id=name) for name, (f, x, e) in named.items()],
    )


# -- the table in ops/pointwise.py ---------------------------------------------------------------------


@cases(
    abs=(np.abs, 0.0, 0),
    abs_of_minus_zero=(np.abs, -0.0, 0),
    fabs=(np.fabs, 0.0, 0),
    sign=(np.sign, 0.0, 0),
    hypot_first=(lambda x: np.hypot(x, 0.0), 0.0, 0),
    hypot_second=(lambda x: np.hypot(0.0, x), 0.0, 0),
    hypot_both=(lambda x: np.hypot(x, x), 0.0, 0),
    norm=(np.linalg.norm, [0.0, 0.0], 0),
    norm_1=(lambda x: np.linalg.norm(x, 1), [0.0, 2.0], [0, 1]),
    norm_3=(lambda x: np.linalg.norm(x, 3), [0.0, 0.0], 0),
    norm_of_rows=(lambda x: np.linalg.norm(np.reshape(x, (2, 2)), axis=1), [0.0, 0.0, 0.0, 2.0],
                  [[0, 0, 0, 0], [0, 0, 0, 1]]),
    frobenius=(lambda x: np.linalg.norm(np.reshape(x, (2, 2))), [0.0] * 4, 0),
    sqrt_of_sum_of_squares=(lambda x: np.sqrt(np.sum(x * x)), [0.0, 0.0], 0),
)  # fmt: skip
def test_absolute_values_and_norms_at_0(f: Any, x: Any, expected: Any) -> None:
    check(f, x, expected)


@cases(
    maximum=(lambda x: np.maximum(x, 1.0), 1.0, 0.5),
    maximum_second=(lambda x: np.maximum(1.0, x), 1.0, 0.5),
    maximum_of_itself=(lambda x: np.maximum(x, x), 1.0, 1),
    minimum=(lambda x: np.minimum(x, 1.0), 1.0, 0.5),
    fmax=(lambda x: np.fmax(x, 1.0), 1.0, 0.5),
    fmin=(lambda x: np.fmin(1.0, x), 1.0, 0.5),
    relu=(lambda x: np.maximum(x, 0), 0.0, 0.5),
    max_of_two=(np.max, [1.0, 3.0, 3.0], [0, 0.5, 0.5]),
    max_of_three=(np.max, [3.0, 3.0, 3.0], 1 / 3),
    max_of_four=(np.max, [3.0, 3.0, 3.0, 3.0, 1.0], [0.25, 0.25, 0.25, 0.25, 0]),
    min_of_two=(np.min, [1.0, 1.0, 3.0], [0.5, 0.5, 0]),
    max_by_row=(lambda x: np.max(np.reshape(x, (2, 2)), axis=1), [1.0, 1.0, 2.0, 3.0],
                [[0.5, 0.5, 0, 0], [0, 0, 0, 1]]),
    max_of_infinities=(np.max, [INF, INF], 0.5),
    maximum_of_nan=(lambda x: np.maximum(x, 0.0), NAN, 0),
    fmax_of_nan=(lambda x: np.fmax(x, 0.0), NAN, 0),
    max_of_signed_zeros=(np.max, [0.0, -0.0], 0.5),
)  # fmt: skip
def test_ties_share_equally(f: Any, x: Any, expected: Any) -> None:
    check(f, x, expected)


@cases(
    lower=(lambda x: np.clip(x, 0.0, 1.0), 0.0, 0.5),
    upper=(lambda x: np.clip(x, 0.0, 1.0), 1.0, 0.5),
    inside=(lambda x: np.clip(x, 0.0, 1.0), 0.5, 1),
    outside=(lambda x: np.clip(x, 0.0, 1.0), 2.0, 0),
    bound_upper=(lambda b: np.clip(1.0, 0.0, b), 1.0, 0.5),
    bound_active=(lambda b: np.clip(3.0, 0.0, b), 1.0, 1),
)
def test_clip_at_a_bound(f: Any, x: Any, expected: Any) -> None:
    check(f, x, expected)


@pytest.mark.parametrize("x", [1.0, 0.0, -2.0, 0.5, 1.3])
@pytest.mark.parametrize(
    "f",
    [np.floor, np.ceil, np.rint, np.trunc, np.sign, np.fix, np.round, lambda x: np.heaviside(x, 0.5),
     lambda x: x // 1.0, lambda x: 1.0 * (x > 1), lambda x: 1.0 * (x == 1), lambda x: x.astype(int) * 2.0,
     lambda x: 1.0 * np.isfinite(x), lambda x: 1.0 * np.signbit(x), lambda x: np.modf(x)[1]],
    ids=lambda f: getattr(f, "__name__", ""),
)  # fmt: skip
def test_steps_have_derivative_0(f: Any, x: float) -> None:
    check(lambda x: f(x + 0.0), np.float64(x), 0)


@cases(
    to_the_0=(lambda x: x**0, 0.0, 0),
    to_the_0_elsewhere=(lambda x: x**0, 2.0, 0),
    to_the_0_float=(lambda x: np.power(x, 0.0), 0.0, 0),
    to_the_0_array=(lambda x: x ** np.zeros(2), [0.0, -1.0], 0),
    to_the_1=(lambda x: x**1, 0.0, 1),
    to_the_2=(lambda x: x**2, 0.0, 0),
    to_the_1_array=(lambda x: np.sum(x ** np.array([1.0, 2.0])), [0.0, 0.0], [1, 0]),
    to_the_half=(lambda x: x**0.5, 0.0, INF),
    base_0=(lambda p: 0.0**p, 2.0, 0),
    base_0_exponent_0=(lambda p: 0.0**p, 0.0, 0),
    both_0=(lambda x: x**x, 0.0, 0),
    base_0_array=(lambda p: np.array([0.0, 1.0]) ** p, [2.0, 2.0], 0),
    float_power=(lambda x: np.float_power(x, 0), 0.0, 0),
    negative_base=(lambda x: x**3, -2.0, 12),
    negative_base_array=(lambda x: np.sum(x ** np.array([3, 2])), [-2.0, -3.0], [12, -6]),
)
def test_powers(f: Any, x: Any, expected: Any) -> None:
    check(f, x, expected)


# -- paths not taken contribute exactly 0 --------------------------------------------------------------


@cases(
    sqrt_at_0=(lambda x: np.where(x > 0, np.sqrt(x), 0.0), 0.0, 0),
    sqrt_of_negative=(lambda x: np.where(x > 0, np.sqrt(x), 0.0), -1.0, 0),
    log_at_0=(lambda x: np.where(x > 0, np.log(x), 0.0), 0.0, 0),
    log_of_negative=(lambda x: np.where(x > 0, np.log(x), x), -1.0, 1),
    x_log_x=(lambda x: np.where(x > 0, x * np.log(x), 0.0), 0.0, 0),
    division=(lambda x: np.where(x != 0, 1 / x, 0.0), 0.0, 0),
    division_0_by_0=(lambda x: np.where(x != 0, np.sin(x) / x, 1.0), 0.0, 0),
    arcsin=(lambda x: np.where(x < 1, np.arcsin(x), x), 2.0, 1),
    arcsin_at_1=(lambda x: np.where(x < 1, np.arcsin(x), 0.0), 1.0, 0),
    arccosh=(lambda x: np.where(x > 1, np.arccosh(x), 0.0), 1.0, 0),
    power=(lambda x: np.where(x > 0, x**0.5, 0.0), -1.0, 0),
    power_at_0=(lambda x: np.where(x > 0, x**-1.5, 0.0), 0.0, 0),
    exponent=(lambda p: np.where(p > 9, np.log(-p), 2 * p), 1.0, 2),
    exp_overflow=(lambda x: np.where(x < 700, np.exp(x), 1.0), 800.0, 0),
    expit=(lambda x: np.where(x > 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x))), -800.0, 0),
    array=(lambda x: np.where(x > 0, np.log(x), 0.0), [0.0, 2.0], [[0, 0], [0, 0.5]]),
    sum=(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)), [0.0, 4.0, -1.0], [0, 0.25, 0]),
    matmul=(lambda x: np.ones(2) @ np.where(x > 0, np.sqrt(x), 0.0), [0.0, 4.0], [0, 0.25]),
    matrix=(lambda x: np.array([[1.0, 2.0], [3.0, 4.0]]) @ np.where(x > 0, np.log(x), 0.0), [0.0, 2.0],
            [[0, 1], [0, 2]]),
    slice=(lambda x: np.sqrt(x)[1], [0.0, 4.0], [0, 0.25]),
    gather=(lambda x: np.sqrt(x)[np.array([1, 1])], [0.0, 4.0], [[0, 0.25], [0, 0.25]]),
    mask=(lambda x: np.sum(np.log(x)[x > 0]), [0.0, 2.0], [0, 0.5]),
    put=(lambda x: replaced(np.sqrt(x)), [0.0, 4.0], [[0, 0], [0, 0.25]]),
    put_twice=(lambda x: np.sqrt(written_twice(x)[0]), [4.0, 0.0], [0, INF]),
    max=(lambda x: np.max(np.sqrt(x)), [0.0, 4.0], [0, 0.25]),
    maximum=(lambda x: np.maximum(np.sqrt(x), 1.0), 0.0, 0),
    clip=(lambda x: np.clip(np.sqrt(x), 0.5, 1.0), 0.0, 0),
    product_with_0=(lambda x: 0.0 * np.sqrt(x), 0.0, 0),
    product_with_zeros=(lambda x: np.sum(np.array([0.0, 1.0]) * np.sqrt(x)), [0.0, 4.0], [0, 0.25]),
    product_with_infinity=(lambda x: np.where(x > 0, INF, 1.0) * np.where(x > 0, x, 0.0), 0.0, 0),
    concatenate=(lambda x: np.concatenate([x, np.sqrt(x)])[:2], [0.0, 4.0], [[1, 0], [0, 1]]),
    nested=(lambda x: np.where(x > 0, np.where(x > 1, np.log(x - 1), np.sqrt(x)), 0.0), 0.0, 0),
    twice_behind=(lambda x: np.exp(np.sqrt(np.where(x > 0, np.log(x), 0.0) + 1)), 0.0, 0),
    select=(lambda x: np.select([x > 0], [np.log(x)], 0.0), [0.0, 2.0], [[0, 0], [0, 0.5]]),
    solve=(lambda x: np.linalg.solve(np.eye(2), np.where(x > 0, np.sqrt(x), 0.0)), [0.0, 4.0],
           [[0, 0], [0, 0.25]]),
)  # fmt: skip
def test_a_path_not_taken_contributes_nothing(f: Any, x: Any, expected: Any) -> None:
    check(f, x, expected)


def replaced(y: Any) -> Any:
    y[0] = 1.0
    return y


def written_twice(x: Any) -> Any:
    y = np.zeros_like(x)
    y[np.array([0, 0])] = x
    return y


@cases(
    sqrt=(lambda x: np.where(x > 0, np.sqrt(x), 0.0), 0.0, 0),
    log=(lambda x: np.where(x > 0, np.log(x), x * x), -1.0, 2),
    x_log_x=(lambda x: np.where(x > 0, x * np.log(x), 0.0), 0.0, 0),
    division=(lambda x: np.where(x != 0, 1 / x, 0.0), 0.0, 0),
    division_0_by_0=(lambda x: np.where(x != 0, np.sin(x) / x, 1.0), 0.0, 0),
    power=(lambda x: np.where(x > 0, x**0.5, 0.0), 0.0, 0),
    arcsin=(lambda x: np.where(x < 1, np.arcsin(x), x**3), 2.0, 12),
    sum=(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)), [0.0, 4.0], [[0, 0], [0, -1 / 32]]),
    to_the_0=(lambda x: x**0, 0.0, 0),
    to_the_1=(lambda x: x**1, 0.0, 0),
    to_the_2=(lambda x: x**2, 0.0, 2),
    to_the_3=(lambda x: x**3, 0.0, 0),
    square_by_array=(lambda x: np.sum(x ** np.array([2.0, 3.0])), [0.0, 0.0], [[2, 0], [0, 0]]),
    abs=(np.abs, 0.0, 0),
    maximum=(lambda x: np.maximum(x, 0) ** 2, -1.0, 0),
    prod_of_two=(np.prod, [0.0, 0.0], [[0, 1], [1, 0]]),
    prod_of_three=(np.prod, [0.0, 0.0, 5.0], [[0, 5, 0], [5, 0, 0], [0, 0, 0]]),
    xlogy=(lambda y: scipy.special.xlogy(0.0, y), 0.0, 0),
    masked_norm=(lambda x: np.sum(np.where(x > 0, np.sqrt(x * x), 0.0)), [0.0, -1.0], 0),
)
def test_second_derivatives(f: Any, x: Any, expected: Any) -> None:
    check_second(f, x, expected)


# -- functions of several elements ---------------------------------------------------------------------


@cases(
    std=(np.std, [2.0, 2.0, 2.0], 0),
    std_of_one=(np.std, [2.0], 0),
    std_ddof=(lambda x: np.std(x, ddof=1), [2.0, 2.0], 0),
    var=(np.var, [2.0, 2.0], 0),
    prod=(np.prod, [0.0, 2.0, 3.0], [6, 0, 0]),
    prod_two_zeros=(np.prod, [0.0, 2.0, 0.0], 0),
    prod_of_rows=(lambda x: np.prod(np.reshape(x, (2, 2)), axis=1), [0.0, 2.0, 0.0, 0.0],
                  [[2, 0, 0, 0], [0, 0, 0, 0]]),
    cumprod=(np.cumprod, [0.0, 2.0, 3.0], [[1, 0, 0], [2, 0, 0], [6, 0, 0]]),
    sort_ties=(np.sort, [2.0, 1.0, 1.0], [[0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    median_ties=(lambda x: np.sort(x)[1], [1.0, 1.0, 1.0], [0, 1, 0]),
    argmax=(lambda x: x[np.argmax(x)], [3.0, 3.0], [1, 0]),
    empty_sum=(lambda x: np.sum(x[2:]), [1.0, 2.0], 0),
    empty_prod=(lambda x: np.prod(x[2:]), [1.0, 2.0], 0),
)  # fmt: skip
def test_reductions(f: Any, x: Any, expected: Any) -> None:
    check(f, x, expected)


def logsumexp(x: Any) -> Any:
    return np.logaddexp.reduce(x)


@cases(
    logaddexp=(lambda x: np.logaddexp(x, -INF), 1.0, 1),
    logaddexp_minus_infinity=(lambda x: np.logaddexp(x, 1.0), -INF, 0),
    logaddexp_both=(lambda x: np.logaddexp(x[0], x[1]), [-INF, -INF], 1),
    logaddexp_large=(lambda x: np.logaddexp(x[0], x[1]), [1000.0, 0.0], [1, 0]),
    logaddexp2=(lambda x: np.logaddexp2(x, -INF), 1.0, 1),
    logsumexp=(logsumexp, [-INF, 0.0], [0, 1]),
    logsumexp_large=(logsumexp, [1000.0, -1000.0], [1, 0]),
    logsumexp_equal=(logsumexp, [1000.0, 1000.0], 0.5),
    xlogy=(lambda x: scipy.special.xlogy(x, x), 1.0, 1),
    xlogy_wrt_y=(lambda y: scipy.special.xlogy(0.0, y), 0.0, 0),
    xlogy_wrt_y_elsewhere=(lambda y: scipy.special.xlogy(0.0, y), 2.0, 0),
    xlog1py_wrt_y=(lambda y: scipy.special.xlog1py(0.0, y), -1.0, 0),
    arctan2_first=(lambda y: np.arctan2(y, 0.0), 0.0, 0),
    arctan2_second=(lambda x: np.arctan2(0.0, x), 0.0, 0),
    arctan2_both=(lambda x: np.arctan2(x[0], x[1]), [0.0, 0.0], 0),
    sinc=(np.sinc, 0.0, 0),
)
def test_functions_with_a_removable_singularity(f: Any, x: Any, expected: Any) -> None:
    check(f, x, expected)


def test_logsumexp_of_minus_infinities_has_a_value_and_no_nan_in_its_gradient() -> None:
    x = np.full(2, -INF)
    value, gradient = cr.value_and_grad(logsumexp)(x)
    assert value == -INF
    assert not np.isnan(gradient).any()
    for mode, found in jacobians(logsumexp, x).items():
        np.testing.assert_array_equal(found, gradient, err_msg=mode)


@pytest.mark.parametrize(
    ("a", "cofactors"),
    [
        ([[1.0, 2.0], [2.0, 4.0]], [[4.0, -2.0], [-2.0, 1.0]]),
        ([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
        ([[0.0, 0.0], [0.0, 3.0]], [[3.0, 0.0], [0.0, 0.0]]),
        ([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]], [[0.0, 0, 0], [0, 0, 0], [0, 0, 1]]),
        ([[0.0]], [[1.0]]),
    ],
)
def test_det_of_a_singular_matrix(a: Any, cofactors: Any) -> None:
    for mode, found in jacobians(np.linalg.det, np.array(a)).items():
        np.testing.assert_allclose(found, cofactors, atol=1e-14, err_msg=mode)


# -- NaN that is there stays there ---------------------------------------------------------------------


@cases(
    sqrt=(np.sqrt, -1.0, NAN),
    log_of_nan=(np.log, NAN, NAN),
    times_nan=(lambda x: x * NAN, 1.0, NAN),
    nan_in=(lambda x: x * x, NAN, NAN),
    one_of_two=(lambda x: np.sum(np.sqrt(x)), [-1.0, 4.0], [NAN, 0.25]),
    exp=(np.exp, NAN, NAN),
    division=(lambda x: 1 / x, 0.0, -INF),
    cbrt=(np.cbrt, 0.0, INF),
    arcsin=(np.arcsin, 1.0, INF),
    arctanh=(np.arctanh, -1.0, INF),
    sqrt_at_0=(np.sqrt, 0.0, INF),
    taken_branch=(lambda x: np.where(x < 0, np.sqrt(x), 0.0), -1.0, NAN),
    dot=(lambda x: np.array([NAN, 1.0]) @ x, [1.0, 2.0], [NAN, 1]),
    matmul=(lambda x: np.array([[NAN, 1.0], [2.0, 3.0]]) @ x, [1.0, 2.0], [[NAN, 1], [2, 3]]),
    prod=(np.prod, [NAN, 2.0], [2, NAN]),
    sin=(np.sin, INF, NAN),
    power=(lambda x: x**0.5, -1.0, NAN),
)
def test_nan_is_not_hidden(f: Any, x: Any, expected: Any) -> None:
    check(f, x, expected)


# -- accuracy where the plain formula cancels ----------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (np.arcsin, 1 - 2.0**-40, 741455.2001896338),
        (np.arccos, 2.0**-40 - 1, -741455.2001896338),
        (np.arctanh, 1 - 2.0**-40, 549755813888.25),
        (lambda y: np.arctan2(y, 1e200), 1e200, 5e-201),
        (lambda y: np.arctan2(y, 1e-200), 1e-200, 5e199),
        (lambda x: np.hypot(x, 1e200), 1e200, 0.7071067811865476),
        (np.log1p, 1e-20, 1.0),
        (np.expm1, -40.0, 4.248354255291589e-18),
        (lambda x: np.logaddexp(x, 0.0), -40.0, 4.248354255291589e-18),
        (scipy.special.erfc, 5.0, -1.5670866531017335e-11),
        (scipy.special.log_expit, 40.0, 4.248354255291589e-18),
        (scipy.special.psi, -0.5, 8.934802200544679),
    ],
)
def test_accuracy(f: Any, x: Any, expected: float) -> None:
    """To a few units in the last place; the numbers are from mpmath with 30 digits."""
    for mode, found in jacobians(f, x).items():
        np.testing.assert_allclose(np.ravel(found), [expected], rtol=5e-15, err_msg=mode)
