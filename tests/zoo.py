"""Small functions on which every mode, order and back end must agree, in plain NumPy.

The functions use nothing but `np`, so that another namespace can stand in for it: see `functions_with`.
"""

from __future__ import annotations

import dataclasses
import sys
import types
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import numpy as np

# -- scalars -------------------------------------------------------------------------------------------


def article(a, b):
    c = a + b
    d = b + 1
    e = c * d
    return e


def polynomial(x):
    y = 0.0
    for coefficient in (3.0, -1.0, 0.5, 2.0, -0.25):
        y = y * x + coefficient
    return y


def elementary(x, y):
    return np.exp(-x * x) * np.sin(3 * y) + np.log1p(x * x) / (2 + np.cos(y)) - np.arctan2(x, y) ** 3


def roe_flux(left, right):
    """The numerical flux of the one-dimensional Euler equations between two states (Roe, 1981)."""
    gamma = 1.4
    found = []
    for rho, momentum, energy in (left, right):
        u = momentum / rho
        p = (gamma - 1) * (energy - 0.5 * rho * u * u)
        found.append((rho, u, p, (energy + p) / rho, [momentum, momentum * u + p, u * (energy + p)]))
    (rho_l, u_l, p_l, h_l, flux_l), (rho_r, u_r, p_r, h_r, flux_r) = found
    weight_l, weight_r = np.sqrt(rho_l), np.sqrt(rho_r)
    u = (weight_l * u_l + weight_r * u_r) / (weight_l + weight_r)
    h = (weight_l * h_l + weight_r * h_r) / (weight_l + weight_r)
    c = np.sqrt((gamma - 1) * (h - 0.5 * u * u))
    rho = weight_l * weight_r
    d_rho, d_u, d_p = rho_r - rho_l, u_r - u_l, p_r - p_l
    slow = np.abs(u - c) * (d_p - rho * c * d_u) / (2 * c * c)
    middle = np.abs(u) * (d_rho - d_p / (c * c))
    fast = np.abs(u + c) * (d_p + rho * c * d_u) / (2 * c * c)
    waves = [
        slow + middle + fast,
        slow * (u - c) + middle * u + fast * (u + c),
        slow * (h - u * c) + middle * 0.5 * u * u + fast * (h + u * c),
    ]
    return [0.5 * (a + b - w) for a, b, w in zip(flux_l, flux_r, waves, strict=True)]


def robot_arm(angles, lengths):
    """Where the hand of a planar arm is, and how it is turned."""
    x, y, total = 0.0, 0.0, 0.0
    for angle, length in zip(angles, lengths, strict=True):
        total = total + angle
        x = x + length * np.cos(total)
        y = y + length * np.sin(total)
    return x, y, total


def heron(a, b, c):
    s = (a + b + c) / 2
    return np.sqrt(s * (s - a) * (s - b) * (s - c))


def choice(x):
    """Powers by an `if` on the value."""
    if x > 1:
        y = x * x
        if y > 3:
            return np.log(y)
        return y + x
    return np.sin(x)


def square_root(a):
    """Newton's method, until it has converged."""
    x = a
    while np.abs(x * x - a) > 1e-5 * a:  # the error squares at each step; single precision ends too
        x = 0.5 * (x + a / x)
    return 0.5 * (x + a / x)


def kepler(mean, eccentricity):
    """The eccentric anomaly, by Newton's method."""
    anomaly = mean
    step = 1.0
    while np.abs(step) > 1e-6:
        step = (anomaly - eccentricity * np.sin(anomaly) - mean) / (1 - eccentricity * np.cos(anomaly))
        anomaly = anomaly - step
    return anomaly


def fibonacci(x, n):
    return x if n < 2 else fibonacci(x, n - 1) * np.cos(x) + fibonacci(x, n - 2)


def compose(x):
    def twice(f):
        return lambda t: f(f(t))

    return twice(twice(lambda t: np.sin(t) + 0.5 * x))(x)


def euler_steps(x, rate):
    """The logistic equation in explicit steps."""
    for _ in range(10):
        x = x + 0.1 * rate * x * (1 - x)
    return x


# -- vectors -------------------------------------------------------------------------------------------


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def product_of_all(x):
    return np.prod(x) + np.prod(x * x - 2)


def normalised(x):
    return x / np.linalg.norm(x)


def softplus(x):
    return np.where(x > 0, x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def masked_log(x):
    return np.where(x > 0.1, np.log(np.where(x > 0.1, x, 1.0)), x * x - 3)


def stencil(u):
    """Second differences of a periodic function, and a nonlinear term."""
    laplacian = np.roll(u, 1) - 2 * u + np.roll(u, -1)
    return laplacian * 4 - np.exp(u)


def recurrence(x):
    """Fill an array by assignment."""
    y = np.zeros_like(x)
    y[0] = x[0]
    for k in range(1, len(x)):
        y[k] = np.tanh(y[k - 1]) * x[k] + x[k - 1]
    y[::2] *= 2.0
    return y


def cumulative(x):
    return np.cumsum(np.cumprod(1 + 0.1 * x)) * x[::-1]


def picked(x):
    order = np.array([2, 0, 1, 2])
    return np.sort(x[order] ** 2)[1:] * np.max(x) - np.concatenate([x[:2], x[1:2]])


def interpolation(x, table):
    k = int(np.floor(x))
    part = x - k
    return (1 - part) * table[k] + part * table[k + 1]


def variance(x, weights):
    mean = np.sum(weights * x) / np.sum(weights)
    return np.sum(weights * (x - mean) ** 2) / np.sum(weights), np.std(x), np.mean(x)


def lorenz(state):
    """A step of the Runge-Kutta method of order 4."""

    def field(s):
        return np.stack([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])

    h = 0.05
    one = field(state)
    two = field(state + h / 2 * one)
    three = field(state + h / 2 * two)
    four = field(state + h * three)
    return state + h / 6 * (one + 2 * two + 2 * three + four)


def pairs(positions):
    """Potential energy of charges: distances between all pairs."""
    n = len(positions)
    total = 0.0
    for i in range(n):
        for j in range(i):
            total = total + 1 / np.sqrt(np.sum((positions[i] - positions[j]) ** 2))
    return total


# -- matrices ------------------------------------------------------------------------------------------


def determinant_by_minors(a):
    """Expand along the rows; equal minors are computed once."""

    def minor(row, columns):
        if row == 4:
            return 1.0
        total = 0.0
        for k, column in enumerate(columns):
            total = total + (-1) ** k * a[row, column] * minor(row + 1, columns[:k] + columns[k + 1 :])
        return total

    return minor(0, (0, 1, 2, 3))


def exponential_by_series(a):
    term = np.eye(3)
    total = np.eye(3)
    for k in range(1, 14):
        term = term @ a / k
        total = total + term
    return total


def quadratic_form(x, a):
    return x @ a @ x / (x @ x)


def linear_solve(a, b):
    return np.linalg.solve(a, b), np.linalg.inv(a)[0]


def log_determinant(a):
    s = a @ a.T + np.eye(3)
    return np.linalg.slogdet(s)[1] + np.linalg.det(a)


def gaussian_process(x, y, scale):
    """Negative log-likelihood with a squared-exponential kernel, by Cholesky."""
    gaps = (x[:, None] - x[None, :]) / scale
    factor = np.linalg.cholesky(np.exp(-0.5 * gaps**2) + 0.1 * np.eye(4))
    z = np.linalg.solve(factor, y)
    return 0.5 * z @ z + np.sum(np.log(np.diagonal(factor)))


def einsum_chain(a, b, c):
    return np.einsum("ij,jkl->ikl", a, b) * np.einsum("i,l->il", c, c)[:, None, :]


def batched(a, b):
    return np.tanh(a @ b).sum(axis=0) @ np.swapaxes(b, -1, -2).mean(axis=0)


def outer_trace(a):
    return np.trace(a @ a.T) * np.outer(a[0], a[1]) + np.tril(a)


def reductions(a):
    return np.max(a, axis=1), np.min(a), np.sum(a, axis=(0, 1)), np.mean(a, axis=0, keepdims=True), np.var(a, axis=1)


def gauss_elimination(a):
    """Determinant by elimination without pivots, in place."""
    a = np.copy(a)
    for k in range(2):
        for i in range(k + 1, 3):
            a[i] = a[i] - a[k] * (a[i, k] / a[k, k])
    return a[0, 0] * a[1, 1] * a[2, 2]


# -- learning ------------------------------------------------------------------------------------------


def perceptron(parameters, x, labels):
    """Cross-entropy of a network with two layers."""
    for layer in parameters[:-1]:
        x = np.tanh(x @ layer["w"] + layer["b"])
    logits = x @ parameters[-1]["w"] + parameters[-1]["b"]
    top = np.max(logits, axis=1, keepdims=True)
    logs = logits - top - np.log(np.sum(np.exp(logits - top), axis=1, keepdims=True))
    return -np.mean(logs[np.arange(len(labels)), labels])


def lstm(weights, state, x):
    """One cell (Hochreiter & Schmidhuber, 1997)."""

    def gate(k):
        w, u, b = weights[k]
        return w @ x + u @ state.h + b

    def sigmoid(t):
        return 1 / (1 + np.exp(-t))

    c = sigmoid(gate(0)) * state.c + sigmoid(gate(1)) * np.tanh(gate(2))
    return State(sigmoid(gate(3)) * np.tanh(c), c)


def attention(q, k, v):
    scores = q @ k.T / np.sqrt(1.0 * q.shape[-1])
    powers = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return powers / np.sum(powers, axis=-1, keepdims=True) @ v


def mixture(x, weights, means, widths):
    """Log-density of a mixture of normal distributions."""
    z = (x[:, None] - means) / widths
    logs = np.log(weights / np.sum(weights)) - np.log(widths) - 0.5 * z * z - 0.5 * np.log(2 * np.pi)
    top = np.max(logs, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(logs - top), axis=1)) + top[:, 0])


def layer_norm(x, gain, bias):
    mean = np.mean(x, axis=-1, keepdims=True)
    deviation = np.sqrt(np.mean((x - mean) ** 2, axis=-1, keepdims=True) + 1e-5)
    return gain * (x - mean) / deviation + bias


def convolution(x, kernel):
    n = len(x) - len(kernel) + 1
    return sum(kernel[k] * x[k : k + n] for k in range(len(kernel)))


def one_step(model, x):
    """A dataclass in, a dictionary out."""
    return {"y": model.scale * np.sin(x + model.shift["phase"]), "none": None, "pair": (model.scale**2, x)}


# -- complex numbers -----------------------------------------------------------------------------------


def holomorphic(z):
    w = np.exp(z * (1 - 2j)) / (z + 3)
    return w * w + np.sqrt(z)


def mandelbrot(c):
    z = 0 * c
    for _ in range(5):
        z = z * z + c
    return np.abs(z) ** 2


def not_holomorphic(z):
    return np.abs(z) * np.conj(z) + np.real(z) * np.imag(z) * 1j + np.angle(z)


def impedance(resistance, frequency):
    """A real result by way of complex numbers."""
    z = resistance + 1j * frequency * 0.5 + 1 / (1j * frequency)
    return np.abs(1 / z), np.real(z * z)


State = namedtuple("State", "h c")


@dataclasses.dataclass
class Model:
    scale: Any
    shift: dict[str, Any]


# -- the functions with their arguments ----------------------------------------------------------------

RNG = numpy.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape)[()]


def near_identity(n: int) -> Any:
    return numpy.eye(n) * 2 + 0.5 * normal(n, n)


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "article": (2.0, 1.0),
    "polynomial": (0.7,),
    "elementary": (0.4, 1.3),
    "roe_flux": ([1.0, 0.3, 2.5], [0.6, -0.1, 1.4]),
    "robot_arm": ([0.3, -0.5, 1.1], [1.0, 0.8, 0.5]),
    "heron": (3.0, 4.0, 5.5),
    "choice": (2.5,),
    "square_root": (7.0,),
    "kepler": (0.9, 0.4),
    "fibonacci": (0.8, 5),
    "compose": (0.3,),
    "euler_steps": (0.2, 1.7),
    "rosenbrock": (normal(4),),
    "product_of_all": (numpy.array([1.5, 0.0, -2.0]),),
    "normalised": (normal(3),),
    "softplus": (numpy.array([-30.0, -0.5, 0.7, 40.0]),),
    "masked_log": (numpy.array([-1.0, 0.05, 0.5, 2.0]),),
    "stencil": (normal(5),),
    "recurrence": (normal(4),),
    "cumulative": (normal(4),),
    "picked": (numpy.array([0.5, -1.0, 2.0]),),
    "interpolation": (1.3, normal(4)),
    "variance": (normal(4), numpy.array([1.0, 2.0, 0.5, 0.7])),
    "lorenz": (numpy.array([1.0, 2.0, 20.0]),),
    "pairs": (normal(3, 2),),
    "determinant_by_minors": (normal(4, 4),),
    "exponential_by_series": (0.4 * normal(3, 3),),
    "quadratic_form": (normal(3), normal(3, 3)),
    "linear_solve": (near_identity(3), normal(3)),
    "log_determinant": (normal(3, 3),),
    "gaussian_process": (numpy.array([0.0, 0.4, 1.1, 2.0]), normal(4), 0.8),
    "einsum_chain": (normal(2, 3), normal(3, 2, 2), normal(2)),
    "batched": (normal(2, 2, 3), normal(2, 3, 2)),
    "outer_trace": (normal(3, 3),),
    "reductions": (normal(2, 3),),
    "gauss_elimination": (near_identity(3),),
    "perceptron": ([{"w": normal(2, 3), "b": normal(3)}, {"w": normal(3, 2), "b": normal(2)}], normal(3, 2),
                   numpy.array([0, 1, 1])),
    "lstm": ([(normal(2, 2), normal(2, 2), normal(2)) for _ in range(4)], State(normal(2), normal(2)), normal(2)),
    "attention": (normal(2, 3), normal(4, 3), normal(4, 2)),
    "mixture": (normal(3), numpy.array([0.5, 1.0]), normal(2), numpy.array([0.7, 1.2])),
    "layer_norm": (normal(2, 4), normal(4), normal(4)),
    "convolution": (normal(5), normal(3)),
    "one_step": (Model(0.7, {"phase": normal(2)}), normal(2)),
    "holomorphic": (numpy.array([1 + 2j, 0.5 - 0.5j]),),
    "mandelbrot": (numpy.array([0.2 + 0.3j, -0.5 + 0.1j]),),
    "not_holomorphic": (numpy.array([1 + 2j, 0.5 - 0.5j]),),
    "impedance": (2.0, 0.8),
}  # fmt: skip

HOLOMORPHIC = {"holomorphic"}
COMPLEX = {"holomorphic", "mandelbrot", "not_holomorphic"}
IN_PLACE = {"recurrence", "gauss_elimination"}
"""What a namespace of immutable arrays cannot run."""
DATACLASS = {"one_step"}


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    f: Callable[..., Any]
    args: tuple[Any, ...]

    def __str__(self) -> str:
        return self.name


CASES = [Case(name, globals()[name], args) for name, args in ARGUMENTS.items()]


def functions_with(namespace: str) -> types.ModuleType:
    """Return a copy of this module in which `np` is another module, such as jax.numpy."""
    text = Path(__file__).read_text(encoding="utf-8").replace("\nimport numpy as np\n", f"\nimport {namespace} as np\n")
    module = types.ModuleType(f"zoo_{namespace.replace('.', '_')}")
    module.__file__ = __file__
    sys.modules[module.__name__] = module  # dataclasses look for it there
    exec(compile(text, __file__, "exec"), module.__dict__)
    return module
