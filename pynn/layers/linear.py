"""The linear (fully connected) layer."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import DTypeLike

from .._arrays import check_dtype, check_size, parameter_zeros
from .._graph import Builder, Parameter
from .._random import draw_seed, uniform
from ._lazy import Lazy
from ._weighted import Biased

__all__ = ["LazyLinear", "Linear"]


def __dir__() -> list[str]:
    return __all__


_INITS = {"he": {"weight": math.sqrt(6), "bias": 0.0}, "torch": {"weight": 1.0, "bias": 1.0}}
"""The bound of the uniform initial values, times sqrt(in_features)."""


class Linear(Biased):
    """Apply an affine map to the last axis: ``y = x @ weight.T + bias``.

    Input (..., in_features), output (..., out_features), with any number of leading axes.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of input and output.
    bias : bool
        Whether the layer has a bias.
    dtype : {'float32', 'float64'}
        The dtype of the parameters and of the computation. Input of another real dtype is converted.
    init : {'he', 'torch'}
        The initial values. 'he': weights uniform in +-sqrt(6 / in_features), which preserves the variance of activations in a ReLU
        net (He et al., 2015), and zero biases. 'torch': both uniform in +-1/sqrt(in_features), as in PyTorch.
    seed : int, optional
        The seed of the initial values; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (out_features, in_features)
    bias : numpy.ndarray, shape (out_features,), or None

    Raises
    ------
    TypeError
        If a size is not an integer.
    ValueError
        If a size is negative, `dtype` or `init` has another value, or the last axis of the input is not ``in_features``.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.Linear(3, 2, seed=0)
    >>> y = layer(np.ones((4, 3)))
    >>> y.shape, layer.backward(np.ones((4, 2))).shape
    ((4, 2), (4, 3))
    >>> layer.grads["bias"]
    array([4., 4.], dtype=float32)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = "float32",
        init: str = "he",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.in_features = check_size("in_features", in_features)
        self.out_features = check_size("out_features", out_features)
        self.dtype = check_dtype(dtype)
        if init not in _INITS:
            raise ValueError(f"init: expected {' or '.join(map(repr, _INITS))}, got {init!r}")
        scale = 1 / math.sqrt(max(self.in_features, 1))
        drawn = draw_seed(seed)
        shapes: dict[str, tuple[int, ...]] = {"weight": (self.out_features, self.in_features)}
        if bias:
            shapes["bias"] = (self.out_features,)
        for stream, (name, shape) in enumerate(shapes.items()):
            data, bound = parameter_zeros(shape, self.dtype), scale * _INITS[init][name]
            uniform(data, drawn, stream, -bound, bound)
            self._parameters[name] = Parameter(data, name)

    def _build(self, builder: Builder, where: str) -> None:
        bias = self._parameters.get("bias")
        config = {"in_features": self.in_features, "out_features": self.out_features, "bias": bias is not None}
        builder.add("linear", where, config, self._parameters["weight"], bias)

    def get_config(self) -> dict[str, Any]:
        config = {"in_features": self.in_features, "out_features": self.out_features, "bias": "bias" in self._parameters}
        return config if self.dtype == "float32" else {**config, "dtype": self.dtype}


class LazyLinear(Lazy):
    """A `Linear` layer that takes ``in_features`` from its first input, and then is a `Linear`.

    Parameters
    ----------
    out_features : int
        The size of the last axis of the output.
    bias, dtype, init, seed
        As in `Linear`.

    Raises
    ------
    TypeError, ValueError
        As `Linear`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> net = pynn.Sequential(pynn.Flatten(), pynn.LazyLinear(2, seed=0))
    >>> net(np.ones((5, 3, 4))).shape
    (5, 2)
    >>> net[1]
    Linear(in_features=12, out_features=2, bias=True)
    """

    _eager = Linear
    _axis = -1

    def __init__(
        self, out_features: int, bias: bool = True, *, dtype: DTypeLike = "float32", init: str = "he", seed: int | None = None
    ) -> None:
        self._set({"out_features": out_features, "bias": bias}, {"dtype": dtype, "init": init, "seed": seed})
