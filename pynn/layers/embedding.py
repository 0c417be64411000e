"""Embedding tables and the bilinear layer."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._arrays import Array, check_dtype, check_size, is_float, parameter_zeros, real_array
from .._graph import Builder, Parameter, Symbol
from .._random import draw_seed, normal, uniform
from ._base import Layer
from ._weighted import Biased, Weighted

__all__ = ["Bilinear", "Embedding", "EmbeddingBag"]


def __dir__() -> list[str]:
    return __all__


_MODES = ("sum", "mean", "max")


class _LookupTable(Weighted, abstract=True):
    """Base class of Embedding and EmbeddingBag."""

    _accepts_any_scale = True

    def _set(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        dtype: DTypeLike,
        seed: int | None,
    ) -> None:
        Layer.__init__(self)
        self.num_embeddings, self.embedding_dim = check_size("num_embeddings", num_embeddings), check_size("embedding_dim", embedding_dim)
        self.dtype = check_dtype(dtype)
        if self.dtype == "float32" and self.num_embeddings > 2**24:
            raise ValueError(f"num_embeddings: float32 can index at most {2**24} rows, got {num_embeddings}; use dtype='float64'")
        if padding_idx is not None and not -self.num_embeddings <= padding_idx < self.num_embeddings:
            raise ValueError(f"padding_idx: expected the index of one of {num_embeddings} rows, got {padding_idx}")
        self.padding_idx = None if padding_idx is None else int(padding_idx) % self.num_embeddings
        if max_norm is not None and not 0 <= max_norm < math.inf:
            raise ValueError(f"max_norm: expected a number of 0 or more, or None, got {max_norm!r}")
        if not norm_type > 0:
            raise ValueError(f"norm_type: expected a number above 0, got {norm_type!r}")
        self.max_norm = None if max_norm is None else float(max_norm)
        self.norm_type, self.scale_grad_by_freq = float(norm_type), bool(scale_grad_by_freq)
        table = normal((self.num_embeddings, self.embedding_dim), self.dtype, draw_seed(seed))
        if self.padding_idx is not None:
            table[self.padding_idx] = 0
        self._parameters["weight"] = Parameter(table, "weight")

    def _config(self) -> dict[str, float | str]:
        """Return the core's settings."""
        names = ("num_embeddings", "embedding_dim", "norm_type", "scale_grad_by_freq")
        padding, most = -1 if self.padding_idx is None else self.padding_idx, math.inf if self.max_norm is None else self.max_norm
        return {**{name: getattr(self, name) for name in names}, "padding_idx": padding, "max_norm": most}

    def get_config(self) -> dict[str, Any]:
        names = ("num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq")
        config = {name: getattr(self, name) for name in names}
        return config if self.dtype == "float32" else {**config, "dtype": self.dtype}


class Embedding(_LookupTable):
    """Look up rows of a table by index: ``y[..., :] = weight[x[...]]``.

    Input: indices of any shape (...). Output (..., embedding_dim).

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        The number of rows of the table, and the length of a row.
    padding_idx : int, optional
        The index of a row that is initially 0 and receives no gradient.
    max_norm : float, optional
        Rows with a larger norm are scaled down to this norm when they are used. This changes the table, except in `predict`, which
        scales its results only.
    norm_type : float
        The p of the p-norm for `max_norm`.
    scale_grad_by_freq : bool
        Whether the gradient of a row is divided by the number of its occurrences in the batch.
    dtype : {'float32', 'float64'}
        The dtype of the table.
    seed : int, optional
        The seed of the initial values, which are standard normal; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (num_embeddings, embedding_dim)

    Raises
    ------
    TypeError
        If a size is not an integer.
    ValueError
        If an index is not an integer from 0 to ``num_embeddings - 1``; if an argument is out of range; or for a float32 table with
        more than 2**24 rows, because indices have the net's dtype.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.Embedding(5, 2, seed=0)
    >>> x = np.array([[0, 3], [3, 3]])
    >>> y = layer(x)
    >>> y.shape, bool((y[0, 1] == layer.weight[3]).all())
    ((2, 2, 2), True)
    >>> _ = layer.backward(np.ones_like(y))
    >>> layer.grads["weight"][:, 0]
    array([1., 0., 0., 3., 0.], dtype=float32)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        *,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        self._set(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, dtype, seed)

    @classmethod
    def from_pretrained(cls, embeddings: ArrayLike, freeze: bool = True, **settings: Any) -> Self:
        """Create a layer whose table is a copy of ``embeddings``, frozen by default; ``settings`` are arguments of the class."""
        table = real_array(embeddings, "embeddings")
        if table.ndim != 2:
            raise ValueError(f"embeddings: expected an array of two dimensions, got shape {table.shape}")
        layer = cls(*table.shape, **{"dtype": "float64" if is_float(table, 8) else "float32", **settings})
        layer.weight = table
        return layer.freeze() if freeze else layer

    def _build(self, builder: Builder, where: str) -> None:
        builder.add("embedding", where, self._config(), self._parameters["weight"])


class EmbeddingBag(_LookupTable):
    """Compute sums, means or maxima of bags of rows of a table, without storing the rows.

    ``layer(x)`` with x (bags, indices) returns (bags, embedding_dim). ``layer(x, offsets)`` takes the indices of all bags in one
    dimension, and the offset at which each bag starts. ``per_sample_weights``, of the shape of x, are factors for the rows of a sum.
    The result for an empty bag is 0.

    Parameters
    ----------
    num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, dtype, seed
        As in `Embedding`.
    mode : {'mean', 'sum', 'max'}
        How the rows of a bag are reduced.
    include_last_offset : bool
        Whether the last offset is the number of indices.
    padding_idx : int, optional
        The index of a row that all bags ignore.

    Attributes
    ----------
    weight : numpy.ndarray, shape (num_embeddings, embedding_dim)

    Raises
    ------
    TypeError
        As in `Embedding`.
    ValueError
        As in `Embedding`; also if the offsets do not start at 0 or decrease, if weights are given for a mode other than 'sum', or
        for ``scale_grad_by_freq`` with the mode 'max'.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.EmbeddingBag(5, 2, mode="sum", seed=0)
    >>> whole = layer(np.array([[0, 3], [3, 3]]))
    >>> bool((layer(np.array([0, 3, 3, 3]), np.array([0, 2])) == whole).all())
    True
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        *,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        if mode not in _MODES:
            raise ValueError(f"mode: expected 'sum', 'mean' or 'max', got {mode!r}")
        if mode == "max" and scale_grad_by_freq:
            raise ValueError("scale_grad_by_freq: not supported for mode 'max'; use mode 'sum' or 'mean'")
        self._set(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, dtype, seed)
        self.mode, self.include_last_offset = mode, bool(include_last_offset)
        self._given = False, False

    def __call__(self, x: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:  # type: ignore[override]
        """Return the reduced bags, and store what ``backward`` needs."""
        given = offsets is not None, per_sample_weights is not None
        if given != self._given:
            self._given = given
            self._drop_plans()
        if given[1] and self.mode != "sum":
            raise ValueError(f"per_sample_weights: only supported for mode 'sum', got mode {self.mode!r}")
        inputs = [a for a in (x, offsets, per_sample_weights) if a is not None]
        if not isinstance(x, Symbol):
            wanted = 1 if given[0] else 2
            if np.ndim(x) != wanted:
                raise ValueError(f"x: expected {wanted} dimensions {'with' if given[0] else 'without'} offsets, got shape {np.shape(x)}")
        return super().__call__(*inputs)

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return (1, x.shape, False) if self._given[0] else super()._split(x)

    def _build(self, builder: Builder, where: str) -> None:
        given = self._given if sum(self._given) + 1 == len(builder.nodes) else (False, len(builder.nodes) == 2)
        extra = {"offsets": given[0], "per_sample_weights": given[1], "include_last_offset": self.include_last_offset}
        config = {**self._config(), "mode": self.mode, **extra}
        builder.add("embedding_bag", where, config, self._parameters["weight"])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode, "include_last_offset": self.include_last_offset}


class Bilinear(Biased):
    """Bilinear form of two inputs: ``y[k] = a @ weight[k] @ b + bias[k]`` over their last axes.

    Inputs (..., in1_features) and (..., in2_features) with equal leading axes, output (..., out_features).

    Parameters
    ----------
    in1_features, in2_features, out_features : int
        Sizes of the last axes of both inputs and of the output.
    bias : bool
        Whether the layer has a bias.
    dtype : {'float32', 'float64'}
        The dtype of the parameters and of the computation.
    seed : int, optional
        The seed of the initial values, which are uniform in +-1/sqrt(in1_features); None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (out_features, in1_features, in2_features)
    bias : numpy.ndarray, shape (out_features,), or None

    Raises
    ------
    TypeError
        If a size is not an integer.
    ValueError
        If a last axis has another size, or the leading axes of the inputs differ.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.Bilinear(2, 3, 4, seed=0)
    >>> y = layer(np.ones((5, 2)), np.ones((5, 3)))
    >>> y.shape, [g.shape for g in layer.backward(y)]
    ((5, 4), [(5, 2), (5, 3)])
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.in1_features, self.in2_features = check_size("in1_features", in1_features), check_size("in2_features", in2_features)
        self.out_features = check_size("out_features", out_features)
        self.dtype = check_dtype(dtype)
        bound, drawn = 1 / math.sqrt(max(self.in1_features, 1)), draw_seed(seed)
        shapes: dict[str, tuple[int, ...]] = {"weight": (self.out_features, self.in1_features, self.in2_features)}
        if bias:
            shapes["bias"] = (self.out_features,)
        for stream, (name, shape) in enumerate(shapes.items()):
            data = parameter_zeros(shape, self.dtype)
            uniform(data, drawn, stream, -bound, bound)
            self._parameters[name] = Parameter(data, name)

    def _build(self, builder: Builder, where: str) -> None:
        builder.add("bilinear", where, {"out_features": self.out_features, "bias": "bias" in self._parameters}, *self._parameters.values())

    def get_config(self) -> dict[str, Any]:
        names = ("in1_features", "in2_features", "out_features")
        config = {**{name: getattr(self, name) for name in names}, "bias": "bias" in self._parameters}
        return config if self.dtype == "float32" else {**config, "dtype": self.dtype}
