"""Networks on disk: NumPy's ``.npz`` without pickle, so that reading a file never runs code from it."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import WeightsError
from chainrule.files import replacing
from chainrule.learn.network import Layer, Network

__all__ = ["load_weights", "save_weights"]

FORMAT = "chainrule weights 1"


def save_weights(path: str | PathLike[str], network: Network) -> None:
    """Write a network to one ``.npz`` file, whole or not at all.

    The file holds ``weight_0``, ``bias_0``, ``weight_1``, ... and the name of the format, which `np.load` reads.
    """
    arrays: dict[str, Any] = {"format": np.array(FORMAT)}
    for number, layer in enumerate(network):
        arrays |= {f"weight_{number}": layer.weight, f"bias_{number}": layer.bias}
    with replacing(Path(path)) as (temporary,), temporary.open("wb") as file:
        np.savez(file, **arrays)


def load_weights(path: str | PathLike[str], *, sizes: Sequence[int] | None = None) -> Network:
    """Read a network that `save_weights` wrote.

    Args:
        path: The ``.npz`` file.
        sizes: The layer sizes that the network must have, such as ``(64, 32, 10)``; any when None.

    Example:
        The network of ``chainrule train digits --out demo`` reads its held-out images again::

            network = load_weights("demo/weights.npz")
            digits = load_digits()  # with the training's seed: another one would show images it has learned from
            answers = classify(network, digits.test_x)

    Raises:
        WeightsError: the file is missing, damaged or not a network, or the network has other sizes.
    """
    arrays = _read(Path(path))
    if str(arrays.pop("format", None)) != FORMAT:
        raise WeightsError(f"{path} is not a weights file of chainrule; save_weights writes them")
    network = [
        Layer(arrays.pop(f"weight_{k}"), arrays.pop(f"bias_{k}"))
        for k in range(len(arrays) // 2)
        if f"weight_{k}" in arrays and f"bias_{k}" in arrays
    ]
    if arrays or not network:
        extra = f"unknown arrays {sorted(arrays)}" if arrays else "no layer"
        raise WeightsError(f"{path} does not hold a network: {extra}")
    found = _sizes(path, network)
    if sizes is not None and tuple(sizes) != found:
        raise WeightsError(f"{path} holds a network of sizes {_arrows(found)}, not {_arrows(sizes)}")
    return network


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:  # opened here, since `np.load` leaves damaged files open
            found = np.load(file, allow_pickle=False)
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise WeightsError(f"{path} is a single array, not a weights file of chainrule")
            return dict(found)
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"cannot read weights from {path}: {error.strerror or error}") from error
    except Exception as error:  # damaged bytes make zipfile, zlib, ast and NumPy raise nearly anything
        raise WeightsError(
            f"{path} is damaged or not a weights file; give the weights.npz that a training with --out has written"
        ) from error


def _sizes(path: str | PathLike[str], network: Network) -> tuple[int, ...]:
    """Check that the layers are real, finite and fit together, and return their sizes."""
    dtypes = {array.dtype for layer in network for array in layer}
    if not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)} or len(dtypes) > 1:
        names = ", ".join(sorted(str(dtype) for dtype in dtypes))
        raise WeightsError(f"{path} must hold float32 or float64 numbers throughout, not {names}")
    for number, (weight, bias) in enumerate(network):
        inputs = network[number - 1].bias.size if number else None
        if weight.ndim != 2 or bias.shape != weight.shape[1:] or inputs not in (None, weight.shape[0]):
            after = f" after a layer of {inputs}" if number else ""
            raise WeightsError(
                f"{path}: layer {number}{after} has weight {weight.shape} and bias {bias.shape}, which do not fit"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise WeightsError(f"{path}: layer {number} holds numbers that are not finite")
    return (network[0].weight.shape[0], *(layer.bias.size for layer in network))


def _arrows(sizes: Sequence[int]) -> str:
    return " → ".join(map(str, sizes))
