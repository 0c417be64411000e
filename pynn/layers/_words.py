"""Short descriptions of layers for tables."""

from __future__ import annotations

import inspect
from typing import Any

from ._base import Layer

_LEFT_OUT = ("dtype", "seed", "device")


def described(layer: Layer) -> str:
    """Return the class of a layer with the settings that differ from their defaults, such as ``Conv2d 1 -> 16, 3x3, padding 1``."""
    name = type(layer).__name__
    try:
        config = layer.get_config()
    except TypeError:  # a custom layer whose settings are unknown
        return name
    parameters = inspect.signature(type(layer)).parameters
    parts: list[str] = []
    for key, value in config.items():
        known = parameters.get(key)
        is_required = known is not None and known.default is known.empty
        if key in _LEFT_OUT or value is None or isinstance(value, (dict, list)) or (not is_required and not _differs(key, value, known)):
            continue
        text = _value(layer, key, value)
        if key.startswith("out_") and is_required and len(parts) == 1:
            parts = [f"{parts[0]} -> {text}"]
        elif is_required or key in ("kernel_size", "p"):
            parts.append(text)
        elif isinstance(value, bool):
            parts.append(f"{'' if value else 'no '}{key.replace('_', ' ')}")
        else:
            parts.append(f"{key.replace('_', ' ')} {text}")
    return f"{name} {', '.join(parts)}" if parts else name


def _differs(key: str, value: Any, parameter: inspect.Parameter | None) -> bool:
    if key == "p":  # the probability of dropout is of interest, even the default
        return True
    return parameter is None or type(value) is not type(parameter.default) or bool(value != parameter.default)


def _value(layer: Layer, key: str, value: Any) -> str:
    if key == "kernel_size" and isinstance(value, int):
        value = (value,) * getattr(layer, "_axes", 1)
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
