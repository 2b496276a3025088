"""Independent component analysis: unmixing signals by making them as unlikely to be mixtures as possible.

Sources s with heavy tails are mixed as x = A s. The unmixing W maximises log |det W| + E Σ log p(W x), with
p(s) = 1 / (π cosh s).

References:
    Bell & Sejnowski, An information-maximization approach to blind separation, Neural Computation 7 (1995).
"""

import numpy as np
from scipy.optimize import minimize

import chainrule as cr


def negative_log_likelihood(w, x):
    """Return minus the log likelihood per sample of x (n, d) for an unmixing w (d, d)."""
    sources = x @ w.T
    log_cosh = np.logaddexp(sources, -sources) - np.log(2)
    return np.mean(np.sum(log_cosh, axis=1)) + x.shape[1] * np.log(np.pi) - np.linalg.slogdet(w)[1]


def data(count=4000, seed=5):
    """Return mixed signals (n, d), and how they were mixed."""
    rng = np.random.default_rng(seed)
    sources = rng.laplace(size=(count, 3))
    mixing = np.array([[1.0, 0.6, -0.3], [0.4, 1.0, 0.5], [-0.2, 0.3, 1.0]])
    return sources @ mixing.T, mixing


def confusion(w, mixing):
    """Return how far w·A is from a permutation with scales: 0 for perfect unmixing, at most 1 (Amari's index)."""
    product = np.abs(w @ mixing)
    rows = np.sum(product / np.max(product, axis=1, keepdims=True), axis=1) - 1
    columns = np.sum(product / np.max(product, axis=0, keepdims=True), axis=0) - 1
    return (np.sum(rows) + np.sum(columns)) / (2 * len(w) * (len(w) - 1))


def main():
    """Unmix three signals."""
    x, mixing = data()
    objective = cr.jit(cr.value_and_grad(lambda w: negative_log_likelihood(w.reshape(3, 3), x)))
    found = minimize(objective, np.eye(3).ravel(), jac=True, method="L-BFGS-B")
    w = found.x.reshape(3, 3)
    print(f"confusion of the components {confusion(np.eye(3), mixing):.3f} before, {confusion(w, mixing):.3f} after")
    return w, mixing


if __name__ == "__main__":
    main()
