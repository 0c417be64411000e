"""The fully connected layer."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import DTypeLike

from .._arrays import check_dtype, check_size, parameter_zeros
from .._graph import Builder, Parameter
from .._random import draw_seed, uniform
from ._weighted import Biased

__all__ = ["Linear"]

_INITS = {"he": {"weight": math.sqrt(6), "bias": 0.0}, "torch": {"weight": 1.0, "bias": 1.0}}
"""Half the width of the initial values' interval, times sqrt(in_features)."""


class Linear(Biased):
    """A fully connected layer: ``y = x @ weight.T + bias`` over the last axis.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of input and output; any number of leading axes.
    bias : bool
        Whether there is a bias.
    dtype : {'float32', 'float64'}
        Of the parameters and of the computation; input of another real dtype is converted.
    init : {'he', 'torch'}
        How the parameters start. 'he': weights uniform in +-sqrt(6 / in_features), which keeps the size of what passes through a
        ReLU net (He et al., 2015), and zero biases. 'torch': both uniform in +-1/sqrt(in_features), as PyTorch has it.
    seed : int, optional
        Of the initial values; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (out_features, in_features)
    bias : numpy.ndarray, shape (out_features,), or None

    Raises
    ------
    ValueError
        If a size is negative, the dtype is another, or the input's last axis is not ``in_features``.

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
        config = (self.in_features, self.out_features, bias is not None)
        builder.add("linear", where, config, self._parameters["weight"], bias)

    def get_config(self) -> dict[str, Any]:
        config = {"in_features": self.in_features, "out_features": self.out_features, "bias": "bias" in self._parameters}
        return config if self.dtype == "float32" else {**config, "dtype": self.dtype}
