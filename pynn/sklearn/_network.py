"""From the parameters of a multi-layer perceptron to layers and an optimizer."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from .. import layers, optim
from ..layers._base import Layer
from ..layers.activation import by_name as activation_layers
from ..model import Sequential, as_layer
from ..optim._base import Optimizer

ACTIVATIONS = {"identity": None, "logistic": "sigmoid", "tanh": "tanh", "relu": "relu", "softmax": "softmax"}
"""scikit-learn's names of activations, and the names of the layers."""


def _activation(given: Any, where: str) -> Layer | None:
    """Return the layer of an activation: a name, a formula, a layer, or a function that returns one."""
    if isinstance(given, Layer):
        return copy.deepcopy(given)
    if isinstance(given, str):
        name = ACTIVATIONS.get(given, given)
        if name is None:
            return None
        if name in activation_layers:
            return as_layer(name)
        if name.isidentifier():
            known = sorted({*ACTIVATIONS, *activation_layers} - {"softmax", "sigmoid"})
            raise ValueError(f"{where}: {given!r} is unknown; expected one of {', '.join(known)}, a formula of x, or a layer")
        return layers.Activation(name)
    if callable(given):
        made = given()
        if isinstance(made, Layer):
            return made
    raise ValueError(f"{where}: expected a name, a formula, a layer or a function that returns one, got {given!r}")


def _each(given: Any, n: int, name: str) -> list[Any]:
    """Return one value for each hidden layer."""
    if not isinstance(given, (list, tuple)):
        return [given] * n
    if len(given) != n:
        raise ValueError(f"{name}: expected one for each of {n} hidden layers, got {len(given)}")
    return list(given)


_NORMS: dict[str, Any] = {"batch": layers.BatchNorm1d, "layer": layers.LayerNorm, "rms": layers.RMSNorm}


def _norm(given: Any, width: int, dtype: str) -> Layer | None:
    """Return a normalisation layer: by name, from a function of the width, or a copy of a layer."""
    if given is None:
        return None
    if isinstance(given, Layer):
        return copy.deepcopy(given)
    if isinstance(given, str) and given in _NORMS:
        return _NORMS[given](width, dtype=dtype)  # type: ignore[no-any-return]
    if callable(given):
        made = given(width)
        if isinstance(made, Layer):
            return made
    raise ValueError(f"norm: expected {', '.join(map(repr, _NORMS))}, a layer, or a function of the width that returns one, got {given!r}")


def build(
    sizes: Sequence[int],
    dtype: str,
    activation: Any,
    last: str | None,
    norm: Any = None,
    dropout: Any = None,
    seeds: Any = None,
) -> tuple[Sequential, list[Any]]:
    """Return a net with linear layers of these sizes, and those layers; the parameters are to be set by the caller.

    ``last`` is the activation of the outputs; ``seeds`` returns the seed of a dropout layer.
    """
    hidden = len(sizes) - 2
    parts: list[Layer] = []
    linear: list[Any] = []
    each = zip(_each(activation, hidden, "activation"), _each(norm, hidden, "norm"), _each(dropout, hidden, "dropout"), strict=True)
    for i, (act, nrm, drop) in enumerate(each):
        linear.append(layers.Linear(sizes[i], sizes[i + 1], dtype=dtype, seed=0))
        found = [linear[-1], _norm(nrm, sizes[i + 1], dtype), _activation(act, "activation")]
        parts += [layer for layer in found if layer is not None]
        if drop is not None and drop != 0:
            parts.append(layers.Dropout(drop, seed=seeds()))
    linear.append(layers.Linear(sizes[-2], sizes[-1], dtype=dtype, seed=0))
    parts.append(linear[-1])
    out = None if last is None else _activation(last, "activation")
    return Sequential(*parts, *([] if out is None else [out])), linear


def optimizer_of(given: Any, rate: float, schedule: Any) -> Optimizer:
    """Return an optimizer without parameters: a name, which gets the rate, or a copy of an optimizer."""
    if isinstance(given, str):
        known: Any = type(optim.get(given))
        return known(lr=rate, schedule=copy.deepcopy(schedule))  # type: ignore[no-any-return]
    if not isinstance(given, Optimizer):
        raise TypeError(f"optimizer: expected a name of pynn.optim, or an optimizer, got {given!r}")
    if schedule is not None:
        raise ValueError("schedule: applies to an optimizer given by name; pass it to the optimizer itself")
    if given.bound:
        raise ValueError("optimizer: expected one made without parameters, since the estimator makes the net")
    return copy.deepcopy(given)
