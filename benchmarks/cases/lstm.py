"""Networks that run step by step: a Python loop of small products.

`diagonal` is the objective of ADBench and GradBench (gates without products between the elements of a state),
`dense` an ordinary LSTM.
"""

from __future__ import annotations

import numpy as np

from benchmarks.case import Case, with_libraries


def _sigmoid(np, x):
    return 1 / (1 + np.exp(-x))


def _cell(np, weight, bias, hidden, memory, x):
    """One diagonal layer: weight and bias are (4, b)."""
    forget = _sigmoid(np, x * weight[0] + bias[0])
    ingate = _sigmoid(np, hidden * weight[1] + bias[1])
    outgate = _sigmoid(np, x * weight[2] + bias[2])
    change = np.tanh(hidden * weight[3] + bias[3])
    memory = memory * forget + ingate * change
    return outgate * np.tanh(memory), memory


def diagonal(np, main, extra, state, sequence):
    """Return minus the mean log probability of a sequence of characters.

    Args:
        np: NumPy's functions.
        main: (2 l, 4, b) weights and biases.
        extra: (3, b) of the input, of the output, and its bias.
        state: (2 l, b) hidden states and memories at the start.
        sequence: (c, b) characters.
    """
    layers = main.shape[0] // 2
    states = [(state[2 * k], state[2 * k + 1]) for k in range(layers)]
    total = 0.0
    count = sequence.shape[0] - 1
    for t in range(count):
        x = sequence[t] * extra[0]
        for k in range(layers):
            hidden, memory = _cell(np, main[2 * k], main[2 * k + 1], *states[k], x)
            states[k] = hidden, memory
            x = hidden
        prediction = x * extra[1] + extra[2]
        normalized = prediction - np.log(np.sum(np.exp(prediction)) + 2)
        total = total + np.sum(sequence[t + 1] * normalized)
    return -total / (count * sequence.shape[1])


def diagonal_scan(np, main, extra, state, sequence):
    """The same with JAX's loop."""
    layers = main.shape[0] // 2

    def step(states, now_next):
        now, later = now_next
        x, new = now * extra[0], []
        for k in range(layers):
            hidden, memory = _cell(np, main[2 * k], main[2 * k + 1], *states[k], x)
            new.append((hidden, memory))
            x = hidden
        prediction = x * extra[1] + extra[2]
        normalized = prediction - np.log(np.sum(np.exp(prediction)) + 2)
        return new, np.sum(later * normalized)

    states = [(state[2 * k], state[2 * k + 1]) for k in range(layers)]
    _, terms = np.scan(step, states, (sequence[:-1], sequence[1:]))
    return -np.sum(terms) / ((sequence.shape[0] - 1) * sequence.shape[1])


def dense(np, weight, recurrent, bias, readout, xs, ys):
    """Return the mean squared error of an LSTM's prediction of each next vector.

    Args:
        np: NumPy's functions.
        weight: (4 h, d), `recurrent`: (4 h, h), `bias`: (4 h,), `readout`: (d, h).
        recurrent: See `weight`.
        bias: See `weight`.
        readout: See `weight`.
        xs: (c, d) inputs, `ys`: (c, d) what is to be predicted.
        ys: See `xs`.
    """
    h = recurrent.shape[1]
    hidden = 0 * bias[:h]
    memory = hidden
    total = 0.0
    for t in range(xs.shape[0]):
        gates = weight @ xs[t] + recurrent @ hidden + bias
        memory = _sigmoid(np, gates[:h]) * memory + _sigmoid(np, gates[h : 2 * h]) * np.tanh(gates[2 * h : 3 * h])
        hidden = _sigmoid(np, gates[3 * h :]) * np.tanh(memory)
        total = total + np.sum((readout @ hidden - ys[t]) ** 2)
    return total / xs.shape[0]


def dense_scan(np, weight, recurrent, bias, readout, xs, ys):
    """The same with JAX's loop."""
    h = recurrent.shape[1]

    def step(state, x_y):
        hidden, memory = state
        x, y = x_y
        gates = weight @ x + recurrent @ hidden + bias
        memory = _sigmoid(np, gates[:h]) * memory + _sigmoid(np, gates[h : 2 * h]) * np.tanh(gates[2 * h : 3 * h])
        hidden = _sigmoid(np, gates[3 * h :]) * np.tanh(memory)
        return (hidden, memory), np.sum((readout @ hidden - y) ** 2)

    _, terms = np.scan(step, (0 * bias[:h], 0 * bias[:h]), (xs, ys))
    return np.sum(terms) / xs.shape[0]


def diagonal_arguments(layers: int, length: int, bits: int = 14) -> list[np.ndarray]:
    """Return weights and a sequence."""
    rng = np.random.default_rng(3)
    return [
        0.5 * rng.standard_normal((2 * layers, 4, bits)),
        0.5 * rng.standard_normal((3, bits)),
        0.5 * rng.standard_normal((2 * layers, bits)),
        rng.integers(0, 2, (length, bits)).astype(float),
    ]


def dense_arguments(h: int, d: int, length: int) -> list[np.ndarray]:
    """Return weights and sequences."""
    rng = np.random.default_rng(4)
    shapes = (4 * h, d), (4 * h, h), (4 * h,), (d, h), (length, d), (length, d)
    return [0.3 * rng.standard_normal(shape) for shape in shapes]


EAGER = ("chainrule", "jax", "torch", "autograd")


def _diagonal(layers: int, length: int, slow: bool = False) -> Case:
    return Case(
        f"lstm-diagonal-{layers}-{length}",
        f"diagonal LSTM, {layers} layers, {length} characters of 14 bits",
        lambda tiny=False: diagonal_arguments(2, 5) if tiny else diagonal_arguments(layers, length),
        # JAX has its own loop alone for the long one: unrolled code of that length compiles for minutes
        with_libraries(diagonal, *(e for e in EAGER if length <= 100 or e != "jax"), jax_scan=diagonal_scan),
        argnums=(0, 1),
        target=("jax", 1.0),
        first=10.0 if length <= 100 else None,
        slow=slow,
    )


def _dense(h: int, d: int, length: int) -> Case:
    return Case(
        f"lstm-dense-{h}-{length}",
        f"LSTM, state {h}, inputs {d}, {length} steps",
        lambda tiny=False: dense_arguments(3, 2, 4) if tiny else dense_arguments(h, d, length),
        with_libraries(dense, *EAGER, jax_scan=dense_scan),
        argnums=(0, 1, 2, 3),
        target=("jax", 1.0),
        first=10.0,
    )


CASES = [_diagonal(2, 100), _diagonal(2, 1024, slow=True), _dense(16, 8, 100), _dense(64, 32, 50)]
