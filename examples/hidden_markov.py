"""A hidden Markov model learnt by expectation maximisation, whose expectations are a gradient.

The log probability of a sequence as a function of log transition, log emission and log initial probabilities
has the expected counts of transitions, emissions and starts as its gradient. So one gradient of the forward
recursion is the whole E step, and the backward recursion need not be written.

References:
    Rabiner, A tutorial on hidden Markov models and selected applications in speech recognition, Proc. IEEE 77 (1989).
    Eisner, Inside-outside and forward-backward algorithms are just backprop (2016).
"""

import numpy as np

import chainrule as cr
from chainrule.scipy.special import logsumexp


def log_probability(log_start, log_move, log_emit, sequence):
    """Return the log probability of a sequence of symbols; tables of shapes (s,), (s, s) and (s, symbols)."""
    state = log_start + log_emit[:, sequence[0]]
    for symbol in sequence[1:]:
        state = logsumexp(state[:, None] + log_move, axis=0) + log_emit[:, symbol]
    return logsumexp(state)


def sample(count=150, seed=2):
    """Return a sequence from a model with two states and three symbols."""
    rng = np.random.default_rng(seed)
    move, emit = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    state, found = 0, []
    for _ in range(count):
        found.append(rng.choice(3, p=emit[state]))
        state = rng.choice(2, p=move[state])
    return tuple(int(symbol) for symbol in found)


def normalized(counts):
    """Return logarithms of the rows of a table of counts as probabilities."""
    return np.log(counts / np.sum(counts, axis=-1, keepdims=True))


def main(steps=20, seed=3):
    """Learn a model from one sequence."""
    sequence = sample()
    rng = np.random.default_rng(seed)
    tables = [normalized(rng.uniform(0.5, 1.5, shape)) for shape in ((2,), (2, 2), (2, 3))]
    expectation = cr.jit(cr.value_and_grad(lambda *tables: log_probability(*tables, sequence), argnums=(0, 1, 2)))
    history = []
    for _ in range(steps):
        value, counts = expectation(*tables)
        history.append(float(value))
        tables = [normalized(each) for each in counts]
    print(f"log probability {history[0]:.4f} at the start, {history[-1]:.4f} after {steps} steps")
    print(f"transitions {np.exp(tables[1]).round(3).tolist()}")
    return history, tables


if __name__ == "__main__":
    main()
