"""The same small function at many points, and its Jacobian at each."""

from __future__ import annotations

import numpy as np

from benchmarks.case import Case, with_libraries

GAMMA = 1.4


def roe_flux(np, rho_a, momentum_a, energy_a, rho_b, momentum_b, energy_b):
    """Return the numerical flux of the one-dimensional Euler equations between two states (Roe, 1981)."""

    def state(rho, momentum, energy):
        u = momentum / rho
        p = (GAMMA - 1) * (energy - 0.5 * rho * u * u)
        return u, p, (energy + p) / rho, (momentum, momentum * u + p, u * (energy + p))

    u_a, p_a, h_a, flux_a = state(rho_a, momentum_a, energy_a)
    u_b, p_b, h_b, flux_b = state(rho_b, momentum_b, energy_b)
    root_a, root_b = np.sqrt(rho_a), np.sqrt(rho_b)
    u = (root_a * u_a + root_b * u_b) / (root_a + root_b)
    h = (root_a * h_a + root_b * h_b) / (root_a + root_b)
    c = np.sqrt((GAMMA - 1) * (h - 0.5 * u * u))
    rho = root_a * root_b
    d_rho, d_u, d_p = rho_b - rho_a, u_b - u_a, p_b - p_a
    slow = np.abs(u - c) * (d_p - rho * c * d_u) / (2 * c * c)
    middle = np.abs(u) * (d_rho - d_p / (c * c))
    fast = np.abs(u + c) * (d_p + rho * c * d_u) / (2 * c * c)
    waves = (
        slow + middle + fast,
        slow * (u - c) + middle * u + fast * (u + c),
        slow * (h - u * c) + middle * 0.5 * u * u + fast * (h + u * c),
    )
    return [0.5 * (a + b - w) for a, b, w in zip(flux_a, flux_b, waves, strict=True)]


def states(count: int) -> list[np.ndarray]:
    """Return pairs of states of a gas."""
    rng = np.random.default_rng(10)
    found = []
    for _ in range(2):
        rho, u, p = rng.uniform(0.5, 2, count), rng.uniform(-0.5, 0.5, count), rng.uniform(0.5, 2, count)
        found += [rho, rho * u, p / (GAMMA - 1) + 0.5 * rho * u * u]
    return found


ARM = [  # Denavit-Hartenberg: along, up, twist (metres and radians) of the Unimation PUMA 560
    (0.0, 0.6718, np.pi / 2),
    (0.4318, 0.0, 0.0),
    (0.0203, 0.15005, -np.pi / 2),
    (0.0, 0.4318, np.pi / 2),
    (0.0, 0.0, -np.pi / 2),
    (0.0, 0.0563, 0.0),
]


def robot_arm(np, *angles):
    """Return where the hand of an arm with six joints is, and its axes: twelve numbers."""
    pose = None
    for angle, (along, up, twist) in zip(angles, ARM, strict=True):
        c, s, ct, st = np.cos(angle), np.sin(angle), *_turn(twist)
        if pose is None:
            pose = [[c, -s * ct, s * st, along * c], [s, c * ct, -c * st, along * s], [0.0, st, ct, up]]
            continue
        pose = [
            [
                a * c + b * s,
                (b * c - a * s) * ct + d * st,
                (a * s - b * c) * st + d * ct,
                (a * c + b * s) * along + d * up + e,
            ]
            for a, b, d, e in pose
        ]
    return [entry for row in pose for entry in row]


def _turn(twist):
    return float(np.round(np.cos(twist), 15)), float(np.round(np.sin(twist), 15))


def angles(count: int) -> list[np.ndarray]:
    """Return positions of the joints."""
    return list(np.random.default_rng(11).uniform(-np.pi, np.pi, (6, count)))


LIBRARIES = ("chainrule", "jax", "jax reverse", "torch", "autograd", "casadi")


def _case(name: str, work: str, f, make, count: int, outputs: int, **options) -> Case:
    return Case(
        f"{name}-{count}",
        f"{work}, Jacobians at {count} points",
        lambda tiny=False: make(5 if tiny else count),
        with_libraries(f, *LIBRARIES, *(["torch.compile"] if count > 1000 and outputs == 3 else [])),
        kind="jacobian",
        outputs=outputs,
        target=("jax", 2.0),
        **options,
    )


CASES = [
    _case("roe", "Roe flux, 6 → 3", roe_flux, states, 100_000, 3),
    _case("arm", "arm with six joints, 6 → 12", robot_arm, angles, 100_000, 12),
    _case("roe", "Roe flux, 6 → 3", roe_flux, states, 1000, 3),
    _case("arm", "arm with six joints, 6 → 12", robot_arm, angles, 1000, 12),
]
