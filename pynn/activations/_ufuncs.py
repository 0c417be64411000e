"""All ufuncs of the core by name, so that pickle can find those that functions call, such as ``pynn.leaky_relu.ufunc``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .. import _core

_BY_NAME = {row["name"]: row["ufunc"] for row in (*_core.ACTIVATIONS, *_core.ROWWISE)}
grad = SimpleNamespace(**{row["name"]: row["grad"] for row in _core.ACTIVATIONS})


def __getattr__(name: str) -> Any:
    try:
        return _BY_NAME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
