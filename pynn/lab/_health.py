"""Dead and saturated units: what the words mean here, and how many there are."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import pynn
from pynn.activation_layers import _Activation

SMALL = 0.05  # a derivative below this part of the activation's largest lets almost no gradient through
MOST = 0.95  # the part of the samples on which a unit has to be like that to count as saturated
BLOCK = 4096  # samples looked at together


class UnitHealth(NamedTuple):
    """The share of the hidden units that hardly learn, 0 to 1; no unit counts in both."""

    dead: float
    saturated: float


def unit_health(model: pynn.Sequential, X: NDArray[Any]) -> UnitHealth:
    """Return the share of the hidden units that are dead, and that are saturated, on the given samples.

    A unit is one column of the input of an elementwise activation inside the model. It is

    - *dead* when the activation's derivative is exactly 0 on every sample: no gradient passes, and it never changes
      again unless the layers before it do;
    - *saturated* when it is not dead, but on at least 95 % of the samples the derivative's size is below 5 % of the
      activation's largest derivative (taken over inputs from -20 to 20): it learns slowly if at all.

    Parameters
    ----------
    model : pynn.Sequential
        The net.
    X : array of shape (n, ...)
        The samples, as the model takes them.

    Returns
    -------
    UnitHealth
        ``(dead, saturated)``, both 0 when the model has no activation.

    Examples
    --------
    >>> import numpy as np
    >>> import pynn, pynn.lab
    >>> model = pynn.Sequential(pynn.Linear(2, 4), pynn.ReLU(), pynn.Linear(4, 1))
    >>> model[0].bias[:] = [-100, 0, 0, -100]
    >>> pynn.lab.unit_health(model, np.eye(2, dtype=np.float32)).dead >= 0.5
    True
    """
    layers = list(_walk(model))
    grid = np.linspace(-20, 20, 4001, dtype=np.float32)
    largest = [float(np.abs(_derivative(layer, grid)).max()) if _elementwise(layer) else 0.0 for layer in layers]
    live: dict[int, NDArray[np.int64]] = {}  # by layer: for each unit, on how many samples the derivative isn't 0
    small: dict[int, NDArray[np.int64]] = {}  # the same, where it is small
    for start in range(0, len(X), BLOCK):
        x = X[start : start + BLOCK]
        for i, layer in enumerate(layers):
            if _elementwise(layer):
                size = np.abs(_derivative(layer, x))
                live[i] = live.get(i, 0) + np.count_nonzero(size, axis=0)
                small[i] = small.get(i, 0) + np.count_nonzero(size < SMALL * largest[i], axis=0)
            x = layer(x)
    if not live:
        return UnitHealth(0.0, 0.0)
    dead = np.concatenate([count.ravel() for count in live.values()]) == 0
    weak = np.concatenate([count.ravel() for count in small.values()]) >= MOST * len(X)
    return UnitHealth(float(np.mean(dead)), float(np.mean(weak & ~dead)))


def _walk(model: pynn.Sequential) -> Iterator[pynn.Layer]:
    """Yield the layers in the order they run, those of nested models too."""
    for layer in model:
        if isinstance(layer, pynn.Sequential):
            yield from _walk(layer)
        else:
            yield layer


def _derivative(layer: pynn.Layer, x: NDArray[Any]) -> NDArray[Any]:
    """Evaluate an elementwise layer's derivative at x: what its backward makes of ones."""
    return np.asarray(layer.backward(np.ones_like(layer(x))))


def _elementwise(layer: pynn.Layer) -> bool:
    return isinstance(layer, _Activation)
