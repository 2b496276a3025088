"""Large graphs of single numbers: what recursions, unrolled integrators and simulations become."""

from __future__ import annotations

from benchmarks.case import Case, normal, with_libraries


def unrolled(np, x):
    """Return the result of 1000 turns of a loop of three operations on one number."""
    y = x
    for _ in range(1000):
        y = np.sin(y) * x + 0.1
    return y


def network(steps: int):
    """Return a function that simulates a ring of eight coupled oscillators, number by number, by Euler's method."""

    def ring(np, x, stiffness):
        place = [x[k] for k in range(8)]
        speed = [x[k + 8] for k in range(8)]
        for _ in range(steps):
            pull = [place[(k + 1) % 8] - place[k] for k in range(8)]
            force = [stiffness[k] * pull[k] - stiffness[k - 1] * pull[k - 1] - 0.1 * place[k] * place[k] * place[k]
                     for k in range(8)]  # fmt: skip
            speed = [speed[k] + 0.01 * force[k] for k in range(8)]
            place = [place[k] + 0.01 * speed[k] for k in range(8)]
        energy = 0.0
        for k in range(8):
            energy = energy + speed[k] * speed[k] + place[k] * place[k]
        return energy

    return ring


def determinant(np, x):
    """Return the determinant of a matrix by minors, each of which is found again and again."""
    size = x.shape[0]
    rows = [[x[i, j] for j in range(size)] for i in range(size)]

    def minor(row, columns):
        if len(columns) == 1:
            return rows[row][columns[0]]
        total = 0.0
        for k, column in enumerate(columns):
            term = rows[row][column] * minor(row + 1, columns[:k] + columns[k + 1 :])
            total = total + term if k % 2 == 0 else total - term
        return total

    return minor(0, tuple(range(size)))


def _oscillators(steps: int, nodes: str, *libraries: str, **options) -> Case:
    return Case(
        f"oscillators-{steps}",
        f"ring of 8 oscillators, {steps} Euler steps, {nodes} with the gradient",
        lambda tiny=False: [*normal(7, (16,)), 1 + 0 * normal(8, (8,))[0]],
        with_libraries(network(steps), *libraries),
        argnums=(0, 1),
        **options,
    )


CASES = [
    Case(
        "unrolled-3000",
        "unrolled loop of 3,000 scalar operations",
        lambda tiny=False: [0.7 + 0 * normal(6, ())[0]],
        with_libraries(unrolled, "chainrule", "jax", "torch", "autograd", "casadi"),
        first=10.0,
        target=("jax", 1.0),
    ),
    _oscillators(40, "10^4 nodes", "chainrule", "casadi", "torch", "autograd", limit=20e-6),
    _oscillators(416, "10^5 nodes", "chainrule", "casadi", "torch", limit=200e-6, first_limit=2.0),
    _oscillators(1000, "2.4 10^5 nodes", "chainrule", "casadi", slow=True),
    Case(
        "determinant-7",
        "determinant of a 7 × 7 matrix by minors",
        lambda tiny=False: normal(9, (4, 4) if tiny else (7, 7)),
        with_libraries(determinant, "chainrule", "casadi", "torch", "autograd"),
    ),
]
