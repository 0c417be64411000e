"""Layers that look rows up in a table, and the bilinear layer."""

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

_MODES = ("sum", "mean", "max")


class _LookupTable(Weighted, abstract=True):
    """What Embedding and EmbeddingBag share."""

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
            raise ValueError(f"num_embeddings: float32 tells {2**24} rows apart, got {num_embeddings}; use dtype='float64'")
        if padding_idx is not None and not -self.num_embeddings <= padding_idx < self.num_embeddings:
            raise ValueError(f"padding_idx: expected a row of {num_embeddings}, got {padding_idx}")
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

    def _config(self) -> tuple[float, ...]:
        padding, most = -1 if self.padding_idx is None else self.padding_idx, math.inf if self.max_norm is None else self.max_norm
        return self.num_embeddings, self.embedding_dim, padding, most, self.norm_type, self.scale_grad_by_freq

    def get_config(self) -> dict[str, Any]:
        names = ("num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq")
        config = {name: getattr(self, name) for name in names}
        return config if self.dtype == "float32" else {**config, "dtype": self.dtype}


class Embedding(_LookupTable):
    """Rows of a table by their numbers: ``y[..., :] = weight[x[...]]`` for indices of any shape.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Rows of the table and their length.
    padding_idx : int, optional
        A row that starts at 0 and gets no gradient.
    max_norm : float, optional
        Rows that are used and longer are cut down to this length, in the table itself; `predict` cuts its results alone.
    norm_type : float
        The p of that length's p-norm.
    scale_grad_by_freq : bool
        Whether a row's gradient is divided by how often the batch uses it.
    dtype : {'float32', 'float64'}
        Of the table.
    seed : int, optional
        Of the first values, standard normal; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (num_embeddings, embedding_dim)

    Raises
    ------
    ValueError
        If an index is no integer from 0 to ``num_embeddings - 1``, naming row and value; for more than 2**24 rows of float32, as
        indices pass through the net in its dtype.

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
        """Return a layer whose table is a copy of ``embeddings``, frozen unless said otherwise; settings as for the class."""
        table = real_array(embeddings, "embeddings")
        if table.ndim != 2:
            raise ValueError(f"embeddings: expected a table of two dimensions, got shape {table.shape}")
        layer = cls(*table.shape, **{"dtype": "float64" if is_float(table, 8) else "float32", **settings})
        layer.weight = table
        return layer.freeze() if freeze else layer

    def _build(self, builder: Builder, where: str) -> None:
        builder.add("embedding", where, self._config(), self._parameters["weight"])


class EmbeddingBag(_LookupTable):
    """Sums, means or maxima of bags of rows of a table, without the rows themselves.

    ``layer(x)`` with x (bags, indices) gives (bags, embedding_dim). ``layer(x, offsets)`` takes one row of indices for all bags,
    and where each bag starts. ``per_sample_weights``, shaped like x, multiply the rows of a sum. An empty bag gives 0.

    Parameters
    ----------
    num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, dtype, seed
        As in `Embedding`.
    mode : {'mean', 'sum', 'max'}
        What becomes of a bag.
    include_last_offset : bool
        Whether the offsets end with the number of indices.
    padding_idx : int, optional
        A row that no bag counts.

    Attributes
    ----------
    weight : numpy.ndarray, shape (num_embeddings, embedding_dim)

    Raises
    ------
    ValueError
        As in `Embedding`; if offsets do not start at 0 or fall; for weights in another mode than 'sum'.

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
            raise ValueError("scale_grad_by_freq: does not go with the mode 'max'")
        self._set(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, dtype, seed)
        self.mode, self.include_last_offset = mode, bool(include_last_offset)
        self._given = False, False

    def __call__(self, x: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:  # type: ignore[override]
        """Return the bags, and keep what ``backward`` needs."""
        given = offsets is not None, per_sample_weights is not None
        if given != self._given:
            self._given = given
            self._drop_plans()
        if given[1] and self.mode != "sum":
            raise ValueError(f"per_sample_weights: go with the mode 'sum', got {self.mode!r}")
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
        config = *self._config(), _MODES.index(self.mode), *given, self.include_last_offset
        builder.add("embedding_bag", where, config, self._parameters["weight"])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode, "include_last_offset": self.include_last_offset}


class Bilinear(Biased):
    """A form of two inputs: ``y[k] = a @ weight[k] @ b + bias[k]`` over the last axis of each.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
        Sizes of the last axes of a, b and y; the axes before them agree.
    bias : bool
        Whether there is a bias.
    dtype : {'float32', 'float64'}
        Of the parameters and of the computation.
    seed : int, optional
        Of the first values, uniform in +-1/sqrt(in1_features); None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (out_features, in1_features, in2_features)
    bias : numpy.ndarray, shape (out_features,), or None

    Raises
    ------
    ValueError
        If the shapes do not fit.

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
        builder.add("bilinear", where, (self.out_features, "bias" in self._parameters), *self._parameters.values())

    def get_config(self) -> dict[str, Any]:
        names = ("in1_features", "in2_features", "out_features")
        config = {**{name: getattr(self, name) for name in names}, "bias": "bias" in self._parameters}
        return config if self.dtype == "float32" else {**config, "dtype": self.dtype}
