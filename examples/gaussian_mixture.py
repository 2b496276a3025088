"""A mixture of Gaussians fitted by Newton's method with conjugate gradients, from products with the Hessian.

The log likelihood of data x is Σ log Σ_k w_k N(x; m_k, (L_k L_kᵀ)⁻¹), with weights w = softmax(a) and L_k lower
triangular with a positive diagonal. `cr.hvp` gives products with its Hessian at the cost of a few gradients.
"""

import numpy as np
from scipy.optimize import minimize

import chainrule as cr
from chainrule.scipy.special import logsumexp

DIMENSIONS = 2
ROWS, COLUMNS = np.tril_indices(DIMENSIONS)


def unpack(parameters, count):
    """Return log weights (k,), means (k, d) and factors L (k, d, d) from one vector."""
    logits, rest = parameters[:count], parameters[count:]
    means = rest[: count * DIMENSIONS].reshape(count, DIMENSIONS)
    entries = rest[count * DIMENSIONS :].reshape(count, len(ROWS))
    factors = np.zeros_like(parameters, shape=(count, DIMENSIONS, DIMENSIONS))
    factors[:, ROWS, COLUMNS] = np.where(ROWS == COLUMNS, np.exp(entries), entries)
    return logits - logsumexp(logits), means, factors


def mean_negative_log_likelihood(parameters, x, count):
    """Return minus the log likelihood per point of x (n, d)."""
    log_weights, means, factors = unpack(parameters, count)
    scaled = np.einsum("nkd,kde->nke", x[:, None, :] - means, factors)
    log_determinants = np.sum(np.log(np.diagonal(factors, axis1=1, axis2=2)), axis=1)
    logs = log_weights + log_determinants - 0.5 * np.sum(scaled**2, axis=2) - 0.5 * DIMENSIONS * np.log(2 * np.pi)
    return -np.mean(logsumexp(logs, axis=1))


def data(count=600, seed=1):
    """Return points around three centres."""
    rng = np.random.default_rng(seed)
    centres = np.array([[-3.0, 0.0], [2.0, 2.0], [1.0, -3.0]])
    shapes = np.array([[[1.0, 0.5], [0.0, 0.6]], [[0.7, 0.0], [0.4, 1.1]], [[0.5, 0.0], [0.0, 0.5]]])
    which = rng.choice(3, count, p=[0.3, 0.5, 0.2])
    return centres[which] + np.einsum("nd,nde->ne", rng.standard_normal((count, 2)), shapes[which])


def main(count=3):
    """Fit and print the mixture."""
    x = data()

    def objective(parameters):
        return mean_negative_log_likelihood(parameters, x, count)

    start = np.zeros(count * (1 + DIMENSIONS + len(ROWS)))
    start[count : count + count * DIMENSIONS] = [-1, 0, 1, 1, 1, -1]
    product = cr.jit(lambda parameters, direction: cr.hvp(objective, (parameters,), (direction,)))
    found = minimize(cr.jit(cr.value_and_grad(objective)), start, jac=True, hessp=product, method="Newton-CG",
                     options={"xtol": 1e-10})  # fmt: skip
    log_weights, means, _ = unpack(found.x, count)
    print(f"log likelihood {-found.fun * len(x):.4f} after {found.nit} steps")
    print(f"weights {np.exp(log_weights).round(3)}, means {means.round(2).tolist()}")
    return found.x, -found.fun * len(x)


if __name__ == "__main__":
    main()
