"""Learning on real data: optimizers, a network in plain NumPy, and the training that reads handwritten digits."""

from chainrule.learn.checks import ForwardCost, GradientCheck, check_gradient, measure_forward_cost
from chainrule.learn.digits import Digits, jitter, load_digits
from chainrule.learn.lesson import train_digits
from chainrule.learn.network import (
    Layer,
    accuracy,
    classify,
    count_parameters,
    cross_entropy,
    initialize,
    predict,
    relu,
)
from chainrule.learn.optimizers import Optimizer, adam, linear_decay, momentum, sgd
from chainrule.learn.pictures import draw_curves, draw_misread
from chainrule.learn.training import Epoch, Training, fit, minibatches
from chainrule.learn.weights import load_weights, save_weights

__all__ = [
    "Digits",
    "Epoch",
    "ForwardCost",
    "GradientCheck",
    "Layer",
    "Optimizer",
    "Training",
    "accuracy",
    "adam",
    "check_gradient",
    "classify",
    "count_parameters",
    "cross_entropy",
    "draw_curves",
    "draw_misread",
    "fit",
    "initialize",
    "jitter",
    "linear_decay",
    "load_digits",
    "load_weights",
    "measure_forward_cost",
    "minibatches",
    "momentum",
    "predict",
    "relu",
    "save_weights",
    "sgd",
    "train_digits",
]
