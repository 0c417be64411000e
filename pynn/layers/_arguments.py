"""The configuration of a custom layer, read from its attributes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._base import Layer


def arguments(layer: Layer) -> dict[str, Any]:
    """Return the arguments of ``__init__``, read from the attributes of the same names."""
    cls = type(layer)
    if cls.classes.get(cls.__name__) is not cls:
        raise TypeError(f"{cls.__name__}: another layer class has the same name, so a configuration would be ambiguous; rename it")
    config = {}
    for name, p in inspect.signature(cls).parameters.items():
        if name == "seed" and p.default is not p.empty:
            continue
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or not hasattr(layer, name):
            remedy = "store it under that name, or define get_config"
            raise TypeError(f"{cls.__name__}: __init__ takes {name}, but the layer has no attribute of that name; {remedy}")
        value = getattr(layer, name)
        if not _is_plain(value):
            raise TypeError(
                f"{cls.__name__}: {name} is a {type(value).__name__}, which a configuration cannot hold; define get_config and from_config"
            )
        config[name] = value
    return config


def _is_plain(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    return value is None or isinstance(value, (bool, int, float, str))
