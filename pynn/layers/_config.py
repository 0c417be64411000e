"""Configurations of containers: a container lists the configurations of its layers, and a shared layer appears once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import pynn

from .._tables import unknown_name
from ._base import Layer

SHARED = "shared layer"
"""The key under which a shared layer's configuration holds its number. Later occurrences consist of this key alone."""

_written_configs: ContextVar[dict[int, dict[str, Any]] | None] = ContextVar("_written_configs", default=None)
"""The configurations of the layers of the net that is being described, by layer id."""

_loaded_layers: ContextVar[dict[int, Layer] | None] = ContextVar("_loaded_layers", default=None)
"""The shared layers of the net that is being built, by number."""


@contextmanager
def _net_scope(variable: ContextVar[dict[int, Any] | None]) -> Iterator[dict[int, Any]]:
    """Yield the dictionary of the net that is being described or built; the outermost container creates it."""
    known = variable.get()
    if known is not None:
        yield known
        return
    known = {}
    token = variable.set(known)
    try:
        yield known
    finally:
        variable.reset(token)


def layer_configs(layers: Iterable[Layer]) -> list[dict[str, Any]]:
    """Return ``{"class": name, **arguments}`` for each layer of a container, and the number alone for a repeated layer."""
    configs: list[dict[str, Any]] = []
    with _net_scope(_written_configs) as known:
        for layer in layers:
            first = known.get(id(layer))
            if first is None:
                known[id(layer)] = first = {"class": type(layer).__name__, **layer.get_config()}
                configs.append(first)
            else:
                number = first.setdefault(SHARED, sum(SHARED in config for config in known.values()))
                configs.append({SHARED: number})
    return configs


def layers_from_configs(configs: Iterable[Mapping[str, Any]]) -> list[Layer]:
    """Create the layers of a container from what `layer_configs` returned; each shared layer becomes one object."""
    with _net_scope(_loaded_layers):
        return [layer_from_config(config) for config in configs]


def layer_from_config(config: Mapping[str, Any]) -> Layer:
    """Create the layer that ``{"class": name, **arguments}`` describes."""
    rest = dict(config)
    number = rest.pop(SHARED, None)
    with _net_scope(_loaded_layers) as known:
        if number is not None and not rest:
            if number not in known:
                raise ValueError(f"layers: shared layer {number!r} is used before its configuration is given")
            return cast(Layer, known[number])
        name = rest.pop("class", None)
        if name not in Layer.classes and name in pynn.__all__:
            getattr(pynn, name)  # imports its module, which registers it
        if name not in Layer.classes:
            raise _unknown_class(name)
        layer = Layer.classes[name].from_config(rest)
        if number is not None:
            known[number] = layer
    return layer


def _unknown_class(name: object) -> Exception:
    remedy = "if it is a custom layer, import the module that defines its class first"
    return ValueError(f"{remedy}: {unknown_name('layer class', name, Layer.classes)}")
