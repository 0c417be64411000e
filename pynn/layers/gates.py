"""Activations with trainable or random slopes, gated linear units, and maxout."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from .._arrays import Array, check_dtype
from .._graph import Builder, Parameter
from .._random import draw_seed
from ._base import Layer
from ._weighted import Weighted
from .shape import check_axis, check_positive

__all__ = ["GEGLU", "GLU", "MaxOut", "PReLU", "RReLU", "ReGLU", "Softmax2d", "SwiGLU"]


def __dir__() -> list[str]:
    return __all__




class PReLU(Weighted):
    """ReLU with a trainable slope for negative inputs (He et al., 2015).

    ``y = x if x > 0 else weight * x``, for each element. The output has the shape of the input.

    Parameters
    ----------
    num_parameters : int
        1 for a single slope, or the number of channels (axis 1 of the input) for one slope per channel.
    init : float
        The initial value of the slopes.
    dtype : {'float32', 'float64'}
        The dtype of the parameters and of the computation. Input of another real dtype is converted.

    Attributes
    ----------
    weight : numpy.ndarray, shape (num_parameters,)

    Raises
    ------
    TypeError
        If `num_parameters` is not an integer.
    ValueError
        If `num_parameters` is neither 1 nor the number of channels of the input, or `dtype` has another value.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.PReLU()
    >>> layer(np.array([-2.0, 3.0]))
    array([-0.5,  3. ], dtype=float32)
    >>> gx = layer.backward(np.ones(2))
    >>> layer.grads["weight"]
    array([-2.], dtype=float32)
    """

    _has_gain = True

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = "float32") -> None:
        super().__init__()
        self.num_parameters = check_positive("num_parameters", num_parameters)
        self.init = float(init)
        self.dtype = check_dtype(dtype)
        self._parameters["weight"] = Parameter(np.full(self.num_parameters, self.init, self.dtype), "weight")

    def _build(self, builder: Builder, where: str) -> None:
        config = {"function": "prelu", "num_parameters": self.num_parameters}
        builder.add("prelu", where, config, self._parameters["weight"])

    def get_config(self) -> dict[str, Any]:
        config = {"num_parameters": self.num_parameters, "init": self.init}
        return config if self.dtype == "float32" else {**config, "dtype": self.dtype}


class RReLU(Layer):
    """ReLU with a random slope for negative inputs (Xu et al., 2015).

    ``y = x if x > 0 else a * x``, for each element. In training the slope ``a`` of each element is drawn uniformly between
    `lower` and `upper`; in evaluation ``a`` is their mean. The output has the shape of the input.

    Parameters
    ----------
    lower, upper : float
        The bounds of the slopes.
    inplace : bool
        Accepted for compatibility with PyTorch; it has no effect.
    seed : int, optional
        The seed of the slopes; None draws a fresh one. In `fit` the slopes depend only on the seed and the step number, in calls on
        the number of earlier calls.

    Raises
    ------
    ValueError
        Unless ``lower <= upper``.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.RReLU(0.0, 0.5).eval()(np.array([-4.0, 4.0]))
    array([-1.,  4.])
    """

    _has_gain = True

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False, *, seed: int | None = None) -> None:
        super().__init__()
        self.lower, self.upper = float(lower), float(upper)
        if not self.lower <= self.upper:
            raise ValueError(f"lower, upper: expected lower <= upper, got {lower} and {upper}")
        self._seed_value = draw_seed(seed)

    def _build(self, builder: Builder, where: str) -> None:
        builder.random |= builder.training and self.training
        config = {"function": "prelu", "lower": self.lower, "upper": self.upper, "seed": self._seed_value}
        builder.add("rrelu", where, config, training=self.training)

    def get_config(self) -> dict[str, Any]:
        return {"lower": self.lower, "upper": self.upper}


class _Gate(Layer, abstract=True):
    """The first half of an axis times an activation of the second half."""

    _function: ClassVar[str]
    _about: ClassVar[tuple[str, str]]
    _example: ClassVar[tuple[str, str]]
    _text = """{what} ({source}).

    ``y = a * {function}(b)``, where ``a`` and ``b`` are the first and the second half of the input along `dim`. The output has half
    the input's size along `dim` and the input's size along all other axes.

    Parameters
    ----------
    dim : int
        The axis to split, counted with the batch.

    Raises
    ------
    TypeError
        If `dim` is not an integer.
    ValueError
        If the input has no axis `dim`, or that axis has an odd size.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.{cls}()(np.array({x}))
    array({y})
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "_about" in vars(cls):
            (what, source), (x, y) = cls._about, cls._example
            text = cls._text.replace("\n    ", "\n")
            cls.__doc__ = text.format(what=what, function=cls._function, source=source, cls=cls.__name__, x=x, y=y)

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = check_axis("dim", dim)

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return 1, x.shape, False

    def _build(self, builder: Builder, where: str) -> None:
        axis, x = builder.sample_axis(self.dim, where), builder.nodes
        n = builder.shape[axis]
        if n % 2:
            raise ValueError(f"{where}: axis {self.dim} must have an even size, got {n} in a sample of shape {builder.shape}")
        first = builder.add("slice", where, {"axis": axis, "start": 0, "stop": n // 2}, inputs=x)
        builder.add("slice", where, {"axis": axis, "start": n // 2, "stop": n}, inputs=x)
        gate = builder.add("activation", where, {"function": self._function, "parameters": ()})
        builder.add("multiply", where, {}, inputs=(first, gate))

    def get_config(self) -> dict[str, Any]:
        return {"dim": self.dim}


class GLU(_Gate):
    _function = "sigmoid"
    _about = "Gated linear unit", "Dauphin et al., 2017"
    _example = "[[3.0, 0.0]]", "[[1.5]]"


class SwiGLU(_Gate):
    _function = "silu"
    _about = "Gated linear unit with SiLU", "Shazeer, 2020"
    _example = "[[3.0, 0.0]]", "[[0.]]"


class GEGLU(_Gate):
    _function = "gelu"
    _about = "Gated linear unit with GELU", "Shazeer, 2020"
    _example = "[[3.0, 0.0]]", "[[0.]]"


class ReGLU(_Gate):
    _function = "relu"
    _about = "Gated linear unit with ReLU", "Shazeer, 2020"
    _example = "[[3.0, 2.0]]", "[[6.]]"


class Softmax2d(Layer):
    """Softmax over the channels at every position of an image.

    ``y = exp(x) / sum(exp(x))`` along the channels. Input and output (N, C, H, W) or (C, H, W).

    Raises
    ------
    ValueError
        If the input has another number of axes.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Softmax2d()(np.zeros((1, 2, 1, 1))).ravel()
    array([0.5, 0.5])
    """

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return (len(x), x.shape[1:], True) if x.ndim == 4 else (1, x.shape, False)

    def _build(self, builder: Builder, where: str) -> None:
        if len(builder.shape) != 3:
            raise ValueError(f"{where}: expected a sample of shape (channels, height, width), got {builder.shape}")
        builder.add("rowwise", where, {"function": "softmax", "axis": 0})


class MaxOut(Layer):
    """Maximum of each group of adjacent elements along an axis (Goodfellow et al., 2013).

    ``y[i] = max(x[i * num_pieces : (i + 1) * num_pieces])`` along `dim`, whose size is divided by `num_pieces`. After
    ``Linear(n, k * num_pieces)`` it yields k units, each the maximum of `num_pieces` affine functions.

    Parameters
    ----------
    num_pieces : int
        The number of elements in a group.
    dim : int
        The axis, counted with the batch.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If `num_pieces` is below 1, the input has no axis `dim`, or the axis size is not divisible by `num_pieces`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.MaxOut(2)(np.array([[1.0, 5.0, 3.0, 2.0]]))
    array([[5., 3.]])
    """

    def __init__(self, num_pieces: int, dim: int = 1) -> None:
        super().__init__()
        self.num_pieces = check_positive("num_pieces", num_pieces)
        self.dim = check_axis("dim", dim)

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return 1, x.shape, False

    def _build(self, builder: Builder, where: str) -> None:
        builder.add("maxout", where, {"axis": builder.sample_axis(self.dim, where), "pieces": self.num_pieces})

    def get_config(self) -> dict[str, Any]:
        return {"num_pieces": self.num_pieces, "dim": self.dim}
