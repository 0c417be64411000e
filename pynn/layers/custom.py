"""Custom layers: classes that define ``forward`` and ``backward`` in NumPy, and can be used like built-in layers.

Examples
--------
>>> import numpy as np, pynn
>>> class Snake(pynn.Layer):
...     def __init__(self, features):
...         super().__init__()
...         self.features = features
...         self.alpha = pynn.Parameter(np.ones(features, "float32"))
...     def forward(self, x):
...         self.x = x
...         return x + np.sin(self.alpha.data * x) ** 2 / self.alpha.data
...     def backward(self, gy):
...         a = self.alpha.data
...         s, c = np.sin(a * self.x), np.cos(a * self.x)
...         self.alpha.grad += (gy * (2 * s * c * self.x / a - s**2 / a**2)).sum(0)
...         return gy * (1 + 2 * s * c)
>>> net = pynn.Sequential(pynn.Linear(2, 4, seed=0), Snake(4), pynn.Linear(4, 1, seed=1))
>>> hist = net.fit(np.ones((8, 2)), np.ones((8, 1)), loss="mse", epochs=3, seed=0)
>>> net[1]
Snake(features=4)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._arrays import Array
from ._base import Layer

__all__ = ["Activation"]


def __dir__() -> list[str]:
    return __all__


class Activation(Layer):
    """Create a custom elementwise activation from two NumPy functions.

    ``y = f(x)`` and ``gx = gy * df(x)``. The output has the shape and the dtype of the input.

    Parameters
    ----------
    name : str
        The name shown by ``repr``.
    f, df : callable
        The function and its derivative. Each maps an array to an array of the same shape.

    Raises
    ------
    TypeError
        If `f` or `df` is not callable.
    ValueError
        If a call of `f` or `df` returns an array of another shape.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> sine = pynn.Activation("sine", np.sin, np.cos)
    >>> net = pynn.Sequential(pynn.Linear(2, 8, seed=0), sine, pynn.Linear(8, 1, seed=1))
    >>> net.predict(np.zeros((3, 2))).shape
    (3, 1)
    """

    _is_activation = True
    _has_gain = True

    def __init__(self, name: str, f: Callable[[Array], Array], df: Callable[[Array], Array]) -> None:
        super().__init__()
        for what, function in (("f", f), ("df", df)):
            if not callable(function):
                raise TypeError(f"{what}: expected a function of one array, got {function!r}")
        self.name, self.f, self.df = str(name), f, df

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one output sample, which is that of the input sample."""
        return shape

    def forward(self, x: Array) -> Array:
        """Return ``f(x)``."""
        self._x = x
        return self._checked("f", self.f(x), x)

    def backward(self, gy: Array) -> Array:  # type: ignore[override]
        """Return ``gy * df(x)``."""
        return np.asarray(gy * self._checked("df", self.df(self._x), self._x))

    def _checked(self, what: str, y: Any, x: Array) -> Array:
        if np.shape(y) != x.shape:
            raise ValueError(f"Activation {self.name!r}: {what} returned shape {np.shape(y)}, expected {x.shape}")
        return np.asarray(y)

    def __repr__(self) -> str:
        names = (getattr(function, "__name__", "...") for function in (self.f, self.df))
        return f"Activation({self.name!r}, {', '.join(names)})"
