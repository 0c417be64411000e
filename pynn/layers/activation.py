"""The layer classes of the core's activation and row-wise tables: one class a row, made here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _core
from .._arrays import Array
from .._graph import Builder
from .._tables import Parameters, make_init, parse_parameters
from ..activations import aliases
from ._base import Layer

_VARIANTS = {"GELU": {"none": "gelu", "tanh": "gelu_tanh"}}
"""A class that chooses among rows by an argument of its own, as PyTorch's GELU does."""

_INDEX: dict[str, int] = {row["name"]: i for i, row in enumerate(_core.ACTIVATIONS)}

by_name: dict[str, type[Layer]] = {}
"""String name to layer class: what ``Sequential(..., "relu")`` means."""


class _Activation(Layer):
    """An elementwise layer without parameters to learn."""

    _is_activation = True
    _row: Mapping[str, Any]
    _settings: Parameters
    _values: dict[str, Any]
    _choice: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        """Return a setting, such as ``negative_slope``."""
        if name not in ("_values", "_choice"):
            for settings in (self._values, self._choice):
                if name in settings:
                    return settings[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a setting of the row after its checks, for all later calls; set any other attribute."""
        if name in getattr(self, "_values", {}):
            values = {**self._values, name: value}
            self._settings.verify_scalars(type(self).__name__, values)
            self._values = self._settings.plain(values)
            self._drop_plans(seen=False)
        elif name in getattr(self, "_choice", {}):
            self._choice = _checked_choice(type(self), {name: value})
            self._drop_plans(seen=False)
        else:
            super().__setattr__(name, value)

    def _build(self, builder: Builder, where: str) -> None:
        row = _VARIANTS[type(self).__name__][self._choice["approximate"]] if self._choice else self._row["name"]
        builder.add("activation", where, (_INDEX[row], *self._values.values()))

    def get_config(self) -> dict[str, Any]:
        return {**self._values, **self._choice}


class _Rowwise(Layer):
    """A function of whole rows along one axis."""

    _is_activation = True
    _index: int
    dim: int

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return 1, x.shape, False

    def _build(self, builder: Builder, where: str) -> None:
        builder.add("rowwise", where, (self._index, builder.sample_axis(self.dim, where)))

    def get_config(self) -> dict[str, Any]:
        return {"dim": self.dim}


def _checked_choice(cls: type[Layer], choice: dict[str, str]) -> dict[str, str]:
    known = _VARIANTS.get(cls.__name__, {})
    if choice and choice["approximate"] not in known:
        raise ValueError(f"approximate: expected {' or '.join(map(repr, known))}, got {choice['approximate']!r}")
    return choice


def _set_values(self: _Activation, values: dict[str, Any], **choice: str) -> None:
    Layer.__init__(self)
    self._choice = _checked_choice(type(self), choice)
    self._values = values


def _set_dim(self: _Rowwise, values: dict[str, Any], dim: int) -> None:
    Layer.__init__(self)
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
        raise TypeError(f"dim: expected an integer, got {dim!r}")
    self.dim = int(dim)


def _document(row: Mapping[str, Any], arguments: Parameters, extra: str = "") -> str:
    text = f"{row['summary']}\n\n``y = {row['formula']}``, elementwise in any shape."
    described = "".join(f"\n{name} : float" for name in arguments.defaults) + extra
    return (
        text
        + (f"\n\nParameters\n----------{described}" if described else "")
        + (f"\n\nRaises\n------\nValueError\n    Unless ``{row['check']}``." if row.get("check") else "")
    )


def _make_activation(row: Mapping[str, Any]) -> type[Layer]:
    name, parameters = row["cls"], parse_parameters(row["params"], row["check"])
    after = "approximate: str = 'none'" if name in _VARIANTS else ""
    body = {
        "__init__": make_init(name, parameters, _set_values, after=after),
        "__doc__": _document(row, parameters, "\napproximate : {'none', 'tanh'}" if after else ""),
        "__module__": __name__,
        "_row": row,
        "_settings": parameters,
    }
    return type(name, (_Activation,), body)


def _make_rowwise(index: int, row: Mapping[str, Any]) -> type[Layer]:
    none = parse_parameters("")
    body = {
        "__init__": make_init(row["cls"], none, _set_dim, after="dim: int = -1"),
        "__doc__": f"{row['summary']}\n\n``y = {row['formula']}`` along one axis.\n\nParameters\n----------\ndim : int\n    The axis.",
        "__module__": __name__,
        "_index": index,
    }
    return type(row["cls"], (_Rowwise,), body)


for _row in _core.ACTIVATIONS:
    if _row["cls"]:
        by_name[_row["name"]] = globals()[_row["cls"]] = _make_activation(_row)
for _i, _row in enumerate(_core.ROWWISE):
    by_name[_row["name"]] = globals()[_row["cls"]] = _make_rowwise(_i, _row)

__all__ = [cls.__name__ for cls in by_name.values()]
by_name |= {alias: by_name[name] for alias, name in {**aliases, "linear": "identity"}.items()}
