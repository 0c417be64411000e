"""Layers that are given by a formula as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._arrays import Array, check_dtype, real_array
from .._compiled import Compiled, check_names, compiled
from .._graph import Builder, Parameter
from ._base import Layer
from .shape import check_positive

__all__: list[str] = []


def __dir__() -> list[str]:
    return __all__


_SETTINGS = ("formula", "learn", "channels", "name", "dtype")
"""The arguments of a formula layer that are not parameters of the formula."""


class FormulaLayer(Layer, abstract=True):
    """An elementwise layer whose function is a formula of x, with parameters that are numbers or are learnt."""

    _has_gain = True

    def __init__(
        self,
        formula: str,
        *,
        learn: str | Iterable[str] = (),
        channels: int = 1,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        **parameters: ArrayLike,
    ) -> None:
        Layer.__init__(self)  # not that of Activation, which takes functions
        check_names(parameters, [*_SETTINGS, *dir(type(self)), *self.__dict__])
        learnt = (learn,) if isinstance(learn, str) else tuple(learn)
        if dtype is not None and not learnt:
            raise TypeError("dtype: a formula without learnt parameters computes in the dtype of its input")
        count = check_positive("channels", channels)
        if count > 1 and not learnt:
            raise ValueError("channels: only learnt parameters have a value for each channel; name them in learn")
        initial = {key: _initial(key, value, count if key in learnt else 1) for key, value in parameters.items()}
        self._text, self._learn, self._channels, self._name = formula, learnt, count, None if name is None else str(name)
        self._values = initial
        _ = self._compiled
        if learnt:
            self.dtype = check_dtype("float32" if dtype is None else dtype)
        for key in learnt:
            self._parameters[key] = Parameter(np.full(count, initial[key], self.dtype), key)

    @property
    def _is_activation(self) -> bool:  # type: ignore[override]
        """Whether the range of the function is fixed, because no parameter is learnt."""
        return not self._learn

    # ---- the formula -----------------------------------------------------------------------------------------------
    @property
    def _compiled(self) -> Compiled:
        """The compiled formula. Numbers of learnt parameters do not matter."""
        constants = {key: value for key, value in self._values.items() if key not in self._learn}
        return compiled(self._text, ("x",), tuple(self._values), tuple(constants.items()), self._learn)

    @property
    def formula(self) -> str:
        """The formula; assigning another one keeps the parameters."""
        return self._text

    @formula.setter
    def formula(self, text: str) -> None:
        before = self._text
        self._text = text
        try:
            _ = self._compiled
        except Exception:
            self._text = before
            raise
        self._drop_plans(seen=False)

    @property
    def learn(self) -> tuple[str, ...]:
        """The names of the learnt parameters."""
        return self._learn

    @property
    def channels(self) -> int:
        """The number of values of each learnt parameter."""
        return self._channels

    @property
    def num_parameters(self) -> int:
        """The same as ``channels``, as in `PReLU`."""
        return self._channels

    @property
    def name(self) -> str:
        """The name given, or the formula with its parameters."""
        return self._name or ", ".join([self._text, *(f"{key}={_shown(value)}" for key, value in self._values.items())])

    @name.setter
    def name(self, name: str) -> None:
        self._name = str(name)

    def __getattr__(self, name: str) -> Any:
        """Return a parameter of the formula: a number, or the array of a learnt parameter."""
        if name[0] != "_" and name in self._values:
            return self._array(name) if name in self._learn else self._values[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. A parameter of the formula is checked first; values of a learnt one are copied."""
        if name[0] == "_" or name not in self.__dict__.get("_values", ()):
            super().__setattr__(name, value)
        elif name in self._learn:
            self._assign(name, value)
        else:
            self._values = {**self._values, name: _initial(name, value, 1)}
            self._drop_plans(seen=False)

    # ---- as a function ---------------------------------------------------------------------------------------------
    def __call__(self, *xs: ArrayLike, out: Array | None = None) -> Any:
        """Return the values at x, for the array or symbol x.

        Parameters
        ----------
        *xs : array_like or Symbol
            One array of any shape.
        out : ndarray, optional
            The array that receives the values. Nothing is kept for ``backward`` then.
        """
        if out is None:
            return super().__call__(*xs)
        if len(xs) != 1:
            raise TypeError(f"{type(self).__name__}: expected one array, got {len(xs)}")
        x = self._computed(xs[0])
        return self._compiled.value(x, self._arguments(x.ndim), out)

    def grad(self, x: ArrayLike, *, out: Array | None = None) -> Any:
        """Return the derivative with respect to x at x, for each element.

        Parameters
        ----------
        x : array_like
            Real numbers of any shape.
        out : ndarray, optional
            The array that receives the derivatives.

        Examples
        --------
        >>> import pynn
        >>> pynn.Activation("x**3").grad([1.0, 2.0]).tolist()
        [3.0, 12.0]
        """
        at = self._computed(x)
        return self._compiled.slope(at, self._arguments(at.ndim), out)

    def _computed(self, x: ArrayLike) -> Array:
        a = real_array(x, "x")
        return a if self.dtype is None else np.asarray(a, self.dtype)

    def _arguments(self, ndim: int) -> list[Any]:
        """Return the parameters for an input of ``ndim`` axes, whose channels are axis 1."""
        shape = (self._channels, *(1,) * max(ndim - 2, 0)) if self._channels > 1 else ()
        found = [self._parameters[key]._array.reshape(shape) if key in self._learn else value for key, value in self._values.items()]
        return [one[()] if isinstance(one, np.ndarray) and not one.ndim else one for one in found]

    def explained(self) -> tuple[list[str], list[str]]:
        """Return the formulas of the function and of its derivatives, for `Net.explain_step`."""
        from .._formula import derivative

        constants = [f"{key} = {value:.6g}" for key, value in self._values.items() if key not in self._learn]
        names = tuple(self._values)
        slopes = [f"f'(x) = {slope}" for slope in [derivative(self._text, names)] if slope is not None]
        return [f"f(x) = {self._text}", *constants], [*slopes, *(f"d{key} = sum(dy * df/d{key})" for key in self._learn)]

    # ---- as a layer ------------------------------------------------------------------------------------------------
    def backward(self, *gys: ArrayLike) -> Any:
        """Return the gradient of the input of the last call, and add to those of learnt parameters; see `Layer.backward`."""
        return Layer.backward(self, *gys)

    def _build(self, builder: Builder, where: str) -> None:
        program = self._compiled
        if program.row is not None:
            name, numbers = program.row
            builder.add("activation", where, {"function": name, "parameters": tuple(numbers)})
            return
        names = [*self._values]
        values = tuple(0.0 if key in self._learn else value for key, value in self._values.items())
        config = {
            "program": program.core,
            "parameters": values,
            "learnt": tuple(names.index(key) for key in self._learn),
            "num_parameters": self._channels,
        }
        builder.add("formula", where, config, *(self._parameters[key] for key in self._learn))

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"formula": self._text}
        if self._values:
            config["parameters"] = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in self._values.items()}
        if self._learn:
            config["learn"] = [*self._learn]
        if self._channels != 1:
            config["channels"] = self._channels
        if self._name is not None:
            config["name"] = self._name
        return config if self.dtype in (None, "float32") else {**config, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        rest = dict(config)
        return cls(rest.pop("formula"), **{**rest.pop("parameters", {}), **rest})

    def __repr__(self) -> str:
        config = self.get_config()
        rest = {**config.pop("parameters", {}), **config}
        text = rest.pop("formula")
        if len(self._learn) == 1:
            rest["learn"] = self._learn[0]
        return f"Activation({', '.join([repr(text), *(f'{key}={value!r}' for key, value in rest.items())])})"


def _initial(name: str, value: ArrayLike, channels: int) -> Any:
    """Return a parameter as a float, or as one number per channel."""
    a = real_array(value, name)
    if a.shape not in ((), (channels,)):
        expected = "a number" if channels == 1 else f"a number, or {channels}, one per channel"
        raise ValueError(f"{name}: expected {expected}, got an array of shape {a.shape}")
    return float(a.reshape(-1)[0]) if a.size == 1 else np.array(a, np.float64)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "..."
