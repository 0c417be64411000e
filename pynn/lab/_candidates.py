"""The candidates of a comparison: activations in any form, or values of another setting."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from .. import layers, losses, optim
from .._compiled import is_formula
from .._tables import check_count, unknown_name
from ..layers._base import Layer
from ..layers.activation import by_name as activation_layers
from ..model import Sequential, as_layer
from ..optim._base import Optimizer

ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu")
"""The activations that `compare` uses by default."""
NORMS: dict[str, Callable[[int], Layer]] = {
    "batch": layers.BatchNorm1d,
    "layer": layers.LayerNorm,
    "rms": layers.RMSNorm,
}
"""Names of the normalisations between a linear layer and its activation."""
_MOST_PIECES = 8


class ActivationMaker:
    """Factory of an activation layer, which is passed to the function ``model=`` of `compare`.

    ``activation()`` returns a new layer. In a list of layers the factory itself is replaced by a new layer, so both ``activation()``
    and ``activation`` work in ``pynn.Sequential(pynn.Linear(4, 8), activation, ...)``, and no two layers share parameters.
    ``activation(symbol)`` applies a new layer within a `pynn.Model`.

    Attributes
    ----------
    label : str
        Its name in the report.

    Examples
    --------
    >>> import pynn, pynn.lab
    >>> activation = pynn.lab.ActivationMaker("slope 0.1", lambda: pynn.LeakyReLU(0.1))
    >>> activation()
    LeakyReLU(negative_slope=0.1)
    >>> len(pynn.Sequential(pynn.Linear(2, 3), activation, pynn.Linear(3, 1)))
    3
    """

    def __init__(self, label: str, make: Callable[[], Layer]) -> None:
        self.label, self._make = label, make

    def __call__(self, *inputs: Any) -> Any:
        layer = self._make()
        return layer(*inputs) if inputs else layer

    def __pynn_layer__(self) -> Layer:
        return self._make()

    def __repr__(self) -> str:
        return f"<activation {self.label}>"


@dataclass(frozen=True)
class Candidate:
    """A candidate of a comparison: the settings with which its nets are created and trained."""

    label: str
    activation: ActivationMaker
    optimizer: Optimizer
    init: Any
    norm: Any
    hidden: tuple[int, ...]
    loss: Any
    batch_size: int
    model: Callable[[ActivationMaker, int], Any] | None = field(default=None, compare=False)

    def with_rate(self, rate: float | None) -> Optimizer:
        """Return a new optimizer with the given learning rate, or its own if that is None."""
        made = copy.deepcopy(self.optimizer)
        if rate is not None:
            made.defaults["lr"] = rate
        return made

    def net(self, shape: tuple[int, ...], outputs: int, seed: int) -> Any:
        """Return a new net for samples of a shape."""
        from .._training.net import Net

        if self.model is not None:
            net = self.model(self.activation, seed)
            if not isinstance(net, Net):
                raise TypeError(f"model: expected a function that returns a Sequential or a Model, got {net!r}")
        else:
            net = self._chain(shape, outputs, seed)
        if self.init != "shared":
            net.apply_init(self.init, seed=seed)
        return net

    def _chain(self, shape: tuple[int, ...], outputs: int, seed: int) -> Sequential:
        inputs = int(np.prod(shape))
        widths = (inputs, *self.hidden, outputs)
        seeds = np.random.SeedSequence(seed).generate_state(len(widths) - 1).tolist()
        found: list[Any] = [layers.Flatten()] if len(shape) != 1 else []
        for (before, width), one in zip(pairwise(widths[:-1]), seeds, strict=False):
            found.append(layers.Linear(before, width * self._pieces(width), seed=one))
            if self.norm is not None:
                found.append(self.norm(width * self._pieces(width)))
            found.append(self.activation())
        return Sequential(*found, layers.Linear(widths[-2], outputs, seed=seeds[-1]))

    def _pieces(self, width: int) -> int:
        """Return the ratio of the input width of the activation to its output width: 2 for gated activations."""
        problem = None
        for pieces in range(1, _MOST_PIECES + 1):
            try:
                if self.activation().eval()(np.zeros((2, width * pieces), np.float32)).shape == (2, width):
                    return pieces
            except (ValueError, TypeError) as error:
                problem = problem or error
        text = f"activations: {self.label} does not return {width} outputs for 1 to {_MOST_PIECES} times as many inputs"
        raise ValueError(text + (f": {problem}" if problem else "") + "; pass model=, a function that builds the net")


# ---- activations -------------------------------------------------------------------------------------------------
def activation_makers(given: Any) -> list[ActivationMaker]:
    """Return activations given as names, layers, classes, factories or (label, activation) pairs."""
    if isinstance(given, (str, Layer)) or not isinstance(given, Iterable):
        raise TypeError(f"activations: expected a sequence of activations, got {given!r}; write [{given!r}]")
    makers = [_maker(one) for one in given]
    if not makers:
        raise ValueError("activations: expected at least one, got none")
    check_labels("activations", [maker.label for maker in makers])
    return makers


def _maker(given: Any) -> ActivationMaker:
    if isinstance(given, ActivationMaker):
        return given
    if isinstance(given, (tuple, list)) and len(given) == 2 and isinstance(given[0], str):
        return ActivationMaker(given[0], _maker(given[1])._make)
    if isinstance(given, str):
        if is_formula(given):
            return _maker(layers.Activation(given))
        as_layer(given)
        return ActivationMaker(given, lambda: as_layer(given))
    if isinstance(given, Layer):
        return ActivationMaker(label_of(given), lambda: copy.deepcopy(given))
    if callable(given):
        try:
            made = given()
        except TypeError as error:
            name = getattr(given, "__name__", repr(given))
            hint = f"; write {name!r}" if name in activation_layers else ", a layer or a name"
            raise TypeError(f"activations: {name} must return a layer when called without arguments{hint}: {error}") from None
        if isinstance(made, Layer):
            return ActivationMaker(given.__name__ if isinstance(given, type) else label_of(made), given)
    raise TypeError(f"activations: expected a name, a layer, a function that returns one, or a (label, activation) pair, got {given!r}")


def label_of(made: Layer | Optimizer) -> str:
    """Return a short name of a layer or an optimizer: its class, and the settings that differ from the defaults."""
    kind = type(made).__name__
    name = getattr(made, "name", None)
    if isinstance(made, layers.Activation) and isinstance(name, str):
        return name
    config = made.get_config()
    if len(config) == 1 and isinstance(value := next(iter(config.values())), float):
        return f"{kind}({value!r})"
    try:
        usual = type(made)().get_config()  # type: ignore[call-arg]
    except TypeError:
        usual = {}
    changed = ", ".join(f"{key}={value!r}" for key, value in config.items() if key not in usual or usual[key] != value)
    return f"{kind}({changed})" if changed else kind


def check_labels(name: str, labels: Sequence[str]) -> None:
    """Raise if two labels are equal."""
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(f"{name}: two entries have the label {label!r}; give (label, value) pairs")


# ---- other settings ----------------------------------------------------------------------------------------------
def _optimizer(value: Any) -> Optimizer:
    if callable(value) and not isinstance(value, Optimizer):
        value = value()
    made = optim.get(value)
    if made.param_groups:
        raise ValueError(f"optimizer: {made!r} already has parameters; create one without, such as pynn.optim.{type(made).__name__}()")
    return made


def _norm(value: Any) -> Any:
    if value is None or callable(value):
        return value
    if value not in NORMS:
        raise unknown_name("norm", value, NORMS)
    return NORMS[value]


def _hidden(value: Any) -> tuple[int, ...]:
    widths = (value,) if isinstance(value, int) else tuple(value)
    for width in widths:
        check_count("hidden", width, 1)
    return widths


def _loss(value: Any) -> Any:
    if isinstance(value, str):
        losses.get(value)
    return value


def _batch_size(value: Any) -> int:
    check_count("batch_size", value, 1)
    return int(value)


def _init(value: Any) -> Any:
    return value


def _depth(value: Any) -> int:
    check_count("depth", value, 1)
    return int(value)


READERS: dict[str, Callable[[Any], Any]] = {
    "optimizer": _optimizer,
    "init": _init,
    "norm": _norm,
    "hidden": _hidden,
    "depth": _depth,
    "loss": _loss,
    "batch_size": _batch_size,
}
"""The settings that ``vary=`` accepts, each with the function that converts a value."""


def varied(base: Candidate, vary: Mapping[str, Any]) -> list[Candidate]:
    """Return a candidate for each value of a setting."""
    if not isinstance(vary, Mapping) or len(vary) != 1:
        expected = 'a mapping of one setting to its values, such as {"optimizer": ["sgd", "adam"]}'
        raise ValueError(f"vary: expected {expected}, got {vary!r}")
    (name, values), *_ = vary.items()
    if name not in READERS:
        raise unknown_name("vary", name, READERS)
    if base.model is not None and name in ("norm", "hidden", "depth"):
        raise ValueError(f"vary: {name} is a setting of the net, which model= builds; compare such nets with (label, factory) pairs")
    found = []
    for value in values:
        label, value = value if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) else (None, value)
        read = READERS[name](value)
        changed = {"hidden": (base.hidden[:1] or (64,)) * read} if name == "depth" else {name: read}
        found.append(replace(base, label=label or f"{name} {_short(value)}", **changed))
    if not found:
        raise ValueError(f"vary: expected values of {name}, got none")
    check_labels("vary", [one.label for one in found])
    return found


def _short(value: Any) -> str:
    if isinstance(value, Optimizer):
        return label_of(value)
    return str(getattr(value, "__name__", None) or value)
