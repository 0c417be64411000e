"""The layer classes of the core's activation and row-wise tables, one class per row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _core
from .._arrays import Array
from .._graph import Builder
from .._hints import missing_attribute
from .._tables import REQUIRED, Parameters, make_init, parse_docs, parse_parameters
from ..activations import activations, aliases, approximations
from ._base import Layer

by_name: dict[str, type[Layer]] = {}
"""The layer class of each string that containers accept, such as "relu"."""


class _Activation(Layer):
    """An elementwise layer without trainable parameters."""

    _is_activation = True
    _has_gain = True
    _row: Mapping[str, Any]
    _variants: Mapping[str, str]
    _settings: Parameters
    _values: dict[str, Any]
    _choice: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        """Return a setting, such as ``negative_slope``."""
        if name in ("_values", "_choice"):  # read often while a layer is created
            raise AttributeError(name)
        for settings in (self._values, self._choice):
            if name in settings:
                return settings[name]
        raise missing_attribute("layer", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. If it is a setting, check it first; later calls use the new value."""
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
        row = self._variants[self._choice["approximate"]] if self._choice else self._row["name"]
        builder.add("activation", where, {"function": row, "parameters": tuple(self._values.values())})

    def get_config(self) -> dict[str, Any]:
        return {**self._values, **self._choice}


class _Rowwise(Layer):
    """A function of all elements along one axis."""

    _is_activation = True
    _has_gain = True
    _function: str
    dim: int

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return 1, x.shape, False

    def _build(self, builder: Builder, where: str) -> None:
        scalar = not builder.shape and not builder.batched and self.dim in (-1, 0)
        if scalar:  # one number is a row of one
            builder.add("reshape", where, {"shape": (1,)})
        axis = 0 if scalar else builder.sample_axis(self.dim, where)
        builder.add("rowwise", where, {"function": self._function, "axis": axis})
        if scalar:
            builder.add("reshape", where, {"shape": ()})

    def get_config(self) -> dict[str, Any]:
        return {"dim": self.dim}


def _checked_choice(cls: type[_Activation], choice: dict[str, str]) -> dict[str, str]:
    known = cls._variants
    if choice and choice["approximate"] not in known:
        raise ValueError(f"approximate: expected {' or '.join(map(repr, known))}, got {choice['approximate']!r}")
    return choice


_THRESHOLD = 20.0


def _set_values(
    self: _Activation, values: dict[str, Any], inplace: bool = False, threshold: float = _THRESHOLD, **choice: str
) -> None:
    Layer.__init__(self)
    if not isinstance(inplace, (bool, np.bool_)):
        raise TypeError(f"{type(self).__name__}: inplace must be True or False, got {inplace!r}")
    if not threshold >= _THRESHOLD:
        why = f"no value differs by more than 2.1e-9 from PyTorch's for a threshold of {_THRESHOLD:g} or more"
        raise ValueError(f"{type(self).__name__}: threshold={threshold!r} is not supported; leave it out: {why}")
    self._choice = _checked_choice(type(self), choice)
    self._values = values


def _set_dim(self: _Rowwise, values: dict[str, Any], dim: int) -> None:
    Layer.__init__(self)
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
        raise TypeError(f"dim: expected an integer, got {dim!r}")
    self.dim = int(dim)


_DOCUMENT = """{summary}

``y = {formula}``, {where}.

The output has the shape of the input. float16 (computed in float32), float32 and float64 inputs keep
their dtype; other real inputs become float64.
{parameters}
Raises
------
TypeError
    If the input does not consist of real numbers{type_error}.{errors}

Examples
--------
>>> import numpy as np, pynn
>>> layer = pynn.{call}
>>> layer(np.array([-2.0, 0.5, 2.0])).round(4).tolist()
{y}
"""
_GRADIENT = """>>> layer.backward(np.ones(3)).round(4).tolist()
{gx}
"""
_X = np.array([-2.0, 0.5, 2.0])
_EXTRA = {"softplus": "threshold: float = 20.0"}
"""Arguments of PyTorch's class, by row, that `_set_values` checks and that have no effect."""
_EXTRA_TEXTS = {
    "inplace": "bool, default False\n    Accepted for compatibility with PyTorch; it has no effect.",
    "threshold": "float, default 20.0\n    Accepted for compatibility with PyTorch, which returns x where ``beta * x`` is above\n"
    "    it. Here the formula holds for all x, so it has no effect, and must be 20 or more.",
}


def _section(parameters: str) -> str:
    return f"\nParameters\n----------{parameters}\n" if parameters else ""


def _extra(row: Mapping[str, Any], variants: Mapping[str, str]) -> dict[str, str]:
    """Return the arguments without effect of a row's class: their names, and their source text in a signature."""
    text = _EXTRA.get(row["name"]) or ("" if variants else "inplace: bool = False")
    return {text.partition(":")[0]: text} if text else {}


def _document_activation(row: Mapping[str, Any], parameters: Parameters, variants: Mapping[str, str]) -> str:
    texts = parse_docs(row["docs"])
    described = "".join(
        f"\n{name} : float" + ("" if default is REQUIRED else f", default {default!r}") + f"\n    {texts[name]}"
        for name, default in parameters.defaults.items()
    )
    errors = f"\nValueError\n    Unless ``{row['check']}``." if row["check"] else ""
    if variants:
        described += "\napproximate : {'none', 'tanh'}, default 'none'\n"
        described += f"    'tanh' computes ``{activations[variants['tanh']]['formula']}`` instead."
        errors += "\nValueError\n    If `approximate` has another value."
    for name in _extra(row, variants):
        described += f"\n{name} : {_EXTRA_TEXTS[name]}"
    given = [0.5 * i for i, default in enumerate(parameters.defaults.values(), 1) if default is REQUIRED]
    values = given or parameters.defaults.values()
    return (_DOCUMENT + _GRADIENT).format(
        summary=row["summary"],
        formula=row["formula"],
        where="for each element, in any shape",
        parameters=_section(described),
        type_error=", or a parameter is not a number" if parameters.defaults else "",
        errors=errors,
        call=f"{row['cls']}({', '.join(map(repr, given))})",
        y=row["ufunc"](_X, *values).round(4).tolist(),
        gx=row["grad"](_X, *values).round(4).tolist(),
    )


def _make_activation(row: Mapping[str, Any]) -> type[Layer]:
    name, parameters = row["cls"], parse_parameters(row["params"], row["check"])
    variants = approximations.get(row["name"], {})
    after = ", ".join(["approximate: str = 'none'"] * bool(variants) + [*_extra(row, variants).values()])
    body = {
        "__init__": make_init(name, parameters, _set_values, after=after),
        "__doc__": _document_activation(row, parameters, variants),
        "__module__": __name__,
        "_row": row,
        "_variants": variants,
        "_settings": parameters,
    }
    return type(name, (_Activation,), body)


def _make_rowwise(row: Mapping[str, Any]) -> type[Layer]:
    none = parse_parameters("")
    body = {
        "__init__": make_init(row["cls"], none, _set_dim, after="dim: int = -1"),
        "__module__": __name__,
        "_function": row["name"],
    }
    body["__doc__"] = _DOCUMENT.format(
        summary=row["summary"],
        formula=row["formula"],
        where="along the axis `dim`",
        parameters=_section(
            "\ndim : int, default -1\n    The axis, counted with the batch. In a model it must not be the batch axis."
        ),
        type_error=", or `dim` is not an integer",
        errors="\nValueError\n    If the input has no axis `dim`.",
        call=f"{row['cls']}()",
        y=row["ufunc"](_X).round(4).tolist(),
    )
    return type(row["cls"], (_Rowwise,), body)


for _row in _core.ACTIVATIONS:
    if _row["cls"]:
        by_name[_row["name"]] = globals()[_row["cls"]] = _make_activation(_row)
for _row in _core.ROWWISE:
    by_name[_row["name"]] = globals()[_row["cls"]] = _make_rowwise(_row)

__all__ = [cls.__name__ for cls in by_name.values()]


def __dir__() -> list[str]:
    return __all__


by_name |= {alias: by_name[name] for alias, name in {**aliases, "linear": "identity"}.items()}
