"""`chainrule.scipy.spatial`: distances with SciPy's values, derivatives, and 0 at distance 0."""

# ruff: noqa: B023 (functions of loop variables are called within the turn)
from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import scipy.spatial
import scipy.spatial.distance
import scipy.spatial.transform
from twin_checks import check_transforms, check_twin, refuses_or_differentiates

import chainrule as cr
from chainrule.scipy import spatial
from chainrule.scipy.spatial import distance, transform

RNG = np.random.default_rng(5)
U, V = RNG.normal(size=4), RNG.normal(size=4)
W = RNG.uniform(0.5, 2.0, 4)
XA, XB = RNG.normal(size=(3, 4)), RNG.normal(size=(2, 4))
MANY = RNG.normal(size=(6, 4))
SPREAD = np.eye(4) + 0.1 * np.ones((4, 4))

PAIRS: list[tuple[str, tuple[Any, ...], tuple[Any, ...], dict[str, Any]]] = [
    *[(name, (U, V), (0, 1), {}) for name in
      ("euclidean", "sqeuclidean", "cityblock", "chebyshev", "cosine", "correlation", "braycurtis", "canberra")],
    *[(name, (U, V, W), (0, 1, 2), {}) for name in
      ("euclidean", "sqeuclidean", "cityblock", "cosine", "correlation", "braycurtis", "canberra")],
    ("chebyshev", (U, V, W), (0, 1), {}),
    ("correlation", (U, V), (0, 1), {"centered": False}),
    *[("minkowski", (U, V, p), (0, 1), {}) for p in (1, 2, 3.5, np.inf)],
    ("minkowski", (U, V, 2.5, W), (0, 1, 2, 3), {}),
    ("mahalanobis", (U, V, SPREAD), (0, 1, 2), {}),
    ("seuclidean", (U, V, W), (0, 1, 2), {}),
    ("jensenshannon", (W, np.abs(V)), (0, 1), {}),
    ("jensenshannon", (np.abs(XA), np.abs(MANY[:3]), 2.5), (0, 1, 2), {"axis": 1, "keepdims": True}),
    ("directed_hausdorff", (XA, XB), (0, 1), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "where", "kwargs"), PAIRS, ids=[f"{k}-{c[0]}" for k, c in enumerate(PAIRS)])
def test_two_vectors(name: str, args: Any, where: Any, kwargs: Any) -> None:
    check_twin(getattr(distance, name), getattr(scipy.spatial.distance, name), args, where, kwargs)


METRICS = [
    ("euclidean", {}), ("sqeuclidean", {}), ("cityblock", {}), ("chebyshev", {}), ("minkowski", {"p": 3}),
    ("cosine", {}), ("correlation", {}), ("mahalanobis", {"VI": SPREAD}), ("mahalanobis", {}), ("seuclidean", {"V": W}),
    ("seuclidean", {}), ("braycurtis", {}), ("canberra", {}), ("euclid", {"w": W}), ("minkowski", {"p": 1.5, "w": W}),
    ("cheby", {}), (scipy.spatial.distance.cosine, {}), (lambda u, v: np.sum((u - v) ** 4), {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "kwargs"),
    METRICS,
    ids=[f"{k}-{m if isinstance(m, str) else m.__name__}" for k, (m, _) in enumerate(METRICS)],
)
def test_all_pairs(metric: Any, kwargs: dict[str, Any]) -> None:
    ours, theirs = (lambda a, b, h=h: h.cdist(a, b, metric, **kwargs) for h in (distance, scipy.spatial.distance))
    check_twin(ours, theirs, (MANY[:4], XB) if kwargs or metric != "mahalanobis" else (MANY, XB), (0, 1), order=1)
    ours, theirs = (lambda x, h=h: h.pdist(x, metric, **kwargs) for h in (distance, scipy.spatial.distance))
    check_twin(ours, theirs, (MANY,), (0,), order=1)


def test_distributions_in_pairs() -> None:
    a, b = np.abs(XA), np.abs(XB)
    check_twin(
        lambda a, b: distance.cdist(a, b, "js"), lambda a, b: scipy.spatial.distance.cdist(a, b, "js"), (a, b), (0, 1)
    )


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "chebyshev", "minkowski", "seuclidean", "mahalanobis"])
def test_at_distance_zero_the_derivative_is_zero(metric: str) -> None:
    kwargs = {"minkowski": {"p": 3}, "seuclidean": {"V": W}, "mahalanobis": {"VI": SPREAD}}.get(metric, {})
    gradient = cr.grad(lambda x: np.sum(distance.cdist(x, x[:1] * 0 + XA[0], metric, **kwargs)))(XA[:1].copy())
    np.testing.assert_array_equal(gradient, 0.0)
    whole = cr.grad(lambda x: np.sum(distance.cdist(x, x, metric, **kwargs)))(XA)
    assert np.isfinite(whole).all()
    condensed = cr.grad(lambda x: 2 * np.sum(distance.pdist(x, metric, **kwargs)))(XA)
    np.testing.assert_allclose(whole, condensed, rtol=1e-10, atol=1e-12)


def test_squareform() -> None:
    vector = np.array([1.0, 2.0, 3.0])
    check_twin(distance.squareform, scipy.spatial.distance.squareform, (vector,))
    matrix = scipy.spatial.distance.squareform(vector)
    found, pull = cr.vjp(lambda m: distance.squareform(m, checks=False), matrix)
    np.testing.assert_array_equal(found, vector)
    np.testing.assert_array_equal(
        pull(np.array([5.0, 6.0, 7.0]))[0], np.triu(scipy.spatial.distance.squareform([5, 6, 7]))
    )
    with pytest.raises(ValueError, match="binomial"):
        cr.grad(lambda v: np.sum(distance.squareform(v)))(np.ones(4))
    with pytest.raises(ValueError, match="symmetric"):
        cr.grad(lambda m: np.sum(distance.squareform(m)))(np.triu(matrix))


def test_matrices_of_distances() -> None:
    for p in (1, 2.0, 3.0, np.inf):
        check_twin(spatial.distance_matrix, scipy.spatial.distance_matrix, (XA, XB, p), (0, 1), order=1)
        check_twin(spatial.minkowski_distance, scipy.spatial.minkowski_distance, (U, V, p), (0, 1))
    one, two = U / np.linalg.norm(U), V / np.linalg.norm(V)
    for t in (0.3, np.array([0.0, 0.4, 1.0])):
        found = cr.vjp(lambda t: spatial.geometric_slerp(one, two, t), t)[0]
        np.testing.assert_allclose(found, scipy.spatial.geometric_slerp(one, two, t), rtol=1e-12)
        cr.check_derivatives(lambda t: spatial.geometric_slerp(one, two, t), t)


def test_against_torch() -> None:
    torch = pytest.importorskip("torch")
    a, b = (torch.tensor(x, requires_grad=True) for x in (XA, XB))
    torch.cdist(a, b).pow(3).sum().backward()
    found = cr.grad(lambda a, b: np.sum(distance.cdist(a, b) ** 3), (0, 1))(XA, XB)
    for one, two in zip(found, (a.grad, b.grad), strict=True):
        np.testing.assert_allclose(one, two.numpy(), rtol=1e-9)


def test_transforms() -> None:
    check_transforms(lambda x: [distance.pdist(np.outer(x, U))], np.array([1.0, 2.5, -0.4]))
    check_transforms(lambda x: [distance.cdist(XA, x[None], "cosine")], V)
    x = np.float32(XA)
    assert cr.vjp(lambda x: distance.euclidean(x[0], x[1]), x)[0].dtype == np.float32


@pytest.mark.parametrize("name", distance.__all__)
def test_signatures(name: str) -> None:
    a, b = (list(inspect.signature(getattr(h, name)).parameters.values()) for h in (distance, scipy.spatial.distance))
    assert [(p.name, p.default) for p in a] == [(p.name, p.default) for p in b]


@pytest.mark.parametrize("name", sorted(set(scipy.spatial.distance.__all__)))
def test_no_distance_loses_a_derivative(name: str) -> None:
    refuses_or_differentiates(distance, name, skip=["hamming", "is_valid_dm", "is_valid_y"])


@pytest.mark.parametrize("name", sorted(set(scipy.spatial.__all__)))
def test_no_public_name_loses_a_derivative(name: str) -> None:
    refuses_or_differentiates(spatial, name)


@pytest.mark.parametrize("name", sorted(set(scipy.spatial.transform.__all__)))
def test_no_transform_loses_a_derivative(name: str) -> None:
    refuses_or_differentiates(transform, name)


def test_refusals() -> None:
    with pytest.raises(cr.ChainruleError, match="metric='jaccard'.*use one of braycurtis"):
        cr.grad(lambda x: distance.pdist(x, "jaccard").sum())(XA)
    with pytest.raises(cr.ChainruleError, match="KDTree.*index the traced one"):
        cr.grad(lambda x: spatial.KDTree(x).n * x.sum())(XA)
    for make in (transform.Rotation.from_rotvec, transform.Rotation.from_matrix, transform.Rotation):
        with pytest.raises(cr.ChainruleError, match="Rotation.*cross-product matrix"):
            cr.grad(lambda x: make(x) and x.sum())(U[:3])
    plain = transform.Rotation.from_rotvec([0.1, 0.2, 0.3])
    assert isinstance(plain, transform.Rotation)
    assert isinstance(plain, scipy.spatial.transform.Rotation)
    assert isinstance(spatial.KDTree(XA), scipy.spatial.KDTree)
