"""Bundle adjustment: cameras and points from where the points are seen. Gathers, and their adjoints."""

from __future__ import annotations

import numpy as np

from benchmarks.case import ALL, COMPILED, Case, with_libraries


def misfit(np, cameras, points, seen, which_camera, which_point):
    """Return half the sum of squared reprojection errors.

    Args:
        np: NumPy's functions.
        cameras: (m, 9) rotation vectors, translations, focal lengths and two coefficients of distortion.
        points: (n, 3).
        seen: (k, 2) positions in the pictures.
        which_camera: (k,) indices.
        which_point: (k,) indices.
    """
    camera, point = cameras[which_camera], points[which_point]
    turn, shift = camera[:, :3], camera[:, 3:6]
    squared = np.sum(turn**2, axis=1) + 1e-12
    angle = np.sqrt(squared)
    x, y, z = (turn[:, k] / angle for k in range(3))
    cosine, sine = np.cos(angle), np.sin(angle)
    a, b, c = point[:, 0], point[:, 1], point[:, 2]
    along = (x * a + y * b + z * c) * (1 - cosine)
    px = a * cosine + (y * c - z * b) * sine + x * along + shift[:, 0]
    py = b * cosine + (z * a - x * c) * sine + y * along + shift[:, 1]
    pz = c * cosine + (x * b - y * a) * sine + z * along + shift[:, 2]
    u, v = px / pz, py / pz
    radius = u * u + v * v
    scale = camera[:, 6] * (1 + radius * (camera[:, 7] + radius * camera[:, 8]))
    return 0.5 * np.sum((scale * u - seen[:, 0]) ** 2 + (scale * v - seen[:, 1]) ** 2)


def arguments(m: int, n: int, k: int) -> list[np.ndarray]:
    """Return cameras, points, and which camera sees which point where."""
    rng = np.random.default_rng(17)
    cameras = np.concatenate(
        [
            0.3 * rng.standard_normal((m, 3)),
            rng.standard_normal((m, 3)) + np.array([0, 0, 10]),
            rng.uniform(0.8, 1.2, (m, 1)),
            0.1 * rng.standard_normal((m, 2)),
        ],
        axis=1,
    )
    return [
        cameras,
        rng.standard_normal((n, 3)),
        rng.standard_normal((k, 2)),
        rng.integers(0, m, k),
        rng.integers(0, n, k),
    ]


def _case(m: int, n: int, k: int) -> Case:
    return Case(
        f"bundle-{k}",
        f"bundle adjustment, {m} cameras, {n} points, {k} observations",
        lambda tiny=False: arguments(2, 4, 9) if tiny else arguments(m, n, k),
        with_libraries(misfit, *(COMPILED if k <= 10_000 else ALL)),
        argnums=(0, 1),
        target=("jax", 1.0),
    )


CASES = [_case(20, 2000, 10_000), _case(50, 10_000, 200_000)]
