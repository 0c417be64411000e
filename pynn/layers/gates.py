"""Activations with a slope of their own, and those that weigh one half of their input with the other."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from .. import _core
from .._arrays import Array, check_dtype
from .._graph import Builder, Parameter
from .._random import draw_seed
from ._base import Layer
from ._weighted import Weighted
from .shape import check_axis, check_positive

__all__ = ["GEGLU", "GLU", "MaxOut", "PReLU", "RReLU", "ReGLU", "Softmax2d", "SwiGLU"]

_ROWS = {row["name"]: i for i, row in enumerate(_core.ACTIVATIONS)}
_SOFTMAX = next(i for i, row in enumerate(_core.ROWWISE) if row["name"] == "softmax")


class PReLU(Weighted):
    """A rectifier whose slope below 0 is learnt: ``y = x if x > 0 else weight * x`` (He et al., 2015).

    Parameters
    ----------
    num_parameters : int
        1 for one slope, or the number of channels, axis 1 of the input, for one each.
    init : float
        What the slopes start as.
    dtype : {'float32', 'float64'}
        Of the parameters and of the computation; input of another real dtype is converted.

    Attributes
    ----------
    weight : numpy.ndarray, shape (num_parameters,)

    Raises
    ------
    ValueError
        If the input has another number of channels.

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

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = "float32") -> None:
        super().__init__()
        self.num_parameters = check_positive("num_parameters", num_parameters)
        self.init = float(init)
        self.dtype = check_dtype(dtype)
        self._parameters["weight"] = Parameter(np.full(self.num_parameters, self.init, self.dtype), "weight")

    def _build(self, builder: Builder, where: str) -> None:
        builder.add("prelu", where, (_ROWS["prelu"], self.num_parameters), self._parameters["weight"])

    def get_config(self) -> dict[str, Any]:
        config = {"num_parameters": self.num_parameters, "init": self.init}
        return config if self.dtype == "float32" else {**config, "dtype": self.dtype}


class RReLU(Layer):
    """A rectifier whose slope below 0 is random: in training one for every number, otherwise the mean (Xu et al., 2015).

    Parameters
    ----------
    lower, upper : float
        Between which slopes are drawn, uniformly.
    seed : int, optional
        Of the slopes; None draws a fresh one. In `fit` they depend on it and on the step's number alone, in calls on how many went
        before.

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

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, *, seed: int | None = None) -> None:
        super().__init__()
        self.lower, self.upper = float(lower), float(upper)
        if not self.lower <= self.upper:
            raise ValueError(f"lower, upper: expected lower <= upper, got {lower} and {upper}")
        self._seed_value = draw_seed(seed)

    def _build(self, builder: Builder, where: str) -> None:
        builder.random |= builder.training and self.training
        config = (_ROWS["prelu"], self.lower, self.upper, self._seed_value % 2**32, self._seed_value // 2**32)
        builder.add("rrelu", where, config, training=self.training)

    def get_config(self) -> dict[str, Any]:
        return {"lower": self.lower, "upper": self.upper}


class _Gate(Layer, abstract=True):
    """The first half of an axis times a function of the second."""

    _function: ClassVar[str]
    _about: ClassVar[tuple[str, str]]
    _example: ClassVar[tuple[str, str]]
    _text = """{what}: ``y = a * {function}(b)``, where a and b are the halves of the input ({source}).

    Parameters
    ----------
    dim : int
        The axis that is halved, counted with the batch.

    Raises
    ------
    ValueError
        If the axis has an odd length.

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
            raise ValueError(f"{where}: axis {self.dim} of a sample of shape {builder.shape} has {n} numbers, which do not make two halves")
        first = builder.add("slice", where, (axis, 0, n // 2), inputs=x)
        builder.add("slice", where, (axis, n // 2, n), inputs=x)
        gate = builder.add("activation", where, (_ROWS[self._function],))
        builder.add("multiply", where, (), inputs=(first, gate))

    def get_config(self) -> dict[str, Any]:
        return {"dim": self.dim}


class GLU(_Gate):
    _function = "sigmoid"
    _about = "The gated linear unit", "Dauphin et al., 2017"
    _example = "[[3.0, 0.0]]", "[[1.5]]"


class SwiGLU(_Gate):
    _function = "silu"
    _about = "A gate of SiLU", "Shazeer, 2020"
    _example = "[[3.0, 0.0]]", "[[0.]]"


class GEGLU(_Gate):
    _function = "gelu"
    _about = "A gate of GELU", "Shazeer, 2020"
    _example = "[[3.0, 0.0]]", "[[0.]]"


class ReGLU(_Gate):
    _function = "relu"
    _about = "A gate of ReLU", "Shazeer, 2020"
    _example = "[[3.0, 2.0]]", "[[6.]]"


class Softmax2d(Layer):
    """Softmax over the channels at every place of an image: input (N, C, H, W) or (C, H, W).

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
        builder.add("rowwise", where, (_SOFTMAX, 0))


class MaxOut(Layer):
    """The largest of every ``num_pieces`` neighbours along an axis (Goodfellow et al., 2013).

    Behind ``Linear(n, k * num_pieces)`` it makes k units, each the largest of ``num_pieces`` linear functions.

    Parameters
    ----------
    num_pieces : int
        How many become one.
    dim : int
        The axis, counted with the batch.

    Raises
    ------
    ValueError
        If the axis does not divide by ``num_pieces``.

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
        builder.add("maxout", where, (builder.sample_axis(self.dim, where), self.num_pieces))

    def get_config(self) -> dict[str, Any]:
        return {"num_pieces": self.num_pieces, "dim": self.dim}
