"""Layers that centre and scale what passes through, over the batch, a sample's channels or its rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._arrays import Array, check_dtype, check_size
from .._graph import Buffer, Builder, Parameter
from ._base import Layer

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


def _check_eps(eps: object) -> float:
    if isinstance(eps, bool) or not isinstance(eps, (int, float, np.number)) or not 0 <= float(eps) < math.inf:
        raise ValueError(f"eps: expected a number of 0 or more, got {eps!r}")
    return float(eps)


def _check_momentum(momentum: object) -> float | None:
    if momentum is None:
        return None
    if isinstance(momentum, bool) or not isinstance(momentum, (int, float, np.number)) or not 0 <= float(momentum) <= 1:
        raise ValueError(f"momentum: expected a number from 0 to 1, or None, got {momentum!r}")
    return float(momentum)


class _Norm(Layer, abstract=True):
    """What these layers share: weights of 1, biases of 0, and states."""

    _accepts_any_scale = True

    def _make_arrays(
        self, dtype: DTypeLike | None, weight: tuple[int, ...] | None, bias: tuple[int, ...] | None, states: int | None = None
    ) -> None:
        """Make the arrays; None: there is none of that kind."""
        arrays = weight is not None or bias is not None or states is not None
        self.dtype = check_dtype(dtype) if dtype is not None else "float32" if arrays else None
        if weight is not None:
            self._parameters["weight"] = Parameter(np.ones(weight, self.dtype), "weight")
        if bias is not None:
            self._parameters["bias"] = Parameter(np.zeros(bias, self.dtype), "bias")
        if states is not None:
            self._buffers["running_mean"] = Buffer(np.zeros(states, self.dtype), "running_mean")
            self._buffers["running_var"] = Buffer(np.ones(states, self.dtype), "running_var")
            self._buffers["num_batches_tracked"] = Buffer(np.zeros((), np.int64), "num_batches_tracked", optional=True)

    @property
    def weight(self) -> Array | None:
        """The scales, a live view, or None; assigning copies into it."""
        return self._array("weight")

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        self._assign("weight", value)

    @property
    def bias(self) -> Array | None:
        """The shifts, a live view, or None; assigning copies into it."""
        return self._array("bias")

    @bias.setter
    def bias(self, value: ArrayLike) -> None:
        self._assign("bias", value)

    def _has_affine(self) -> tuple[bool, bool]:
        """Return whether there are weights, and biases."""
        return "weight" in self._parameters, "bias" in self._parameters

    def _bias_config(self) -> dict[str, Any]:
        """Return the bias as get_config has it: only where it is left out."""
        return {"bias": False} if self._has_affine() == (True, False) else {}

    def _dtype_config(self) -> dict[str, Any]:
        """Return the dtype as get_config has it: only where it is not the default."""
        default = "float32" if self._parameters or self._buffers else None
        return {} if self.dtype == default else {"dtype": self.dtype}


class _StatisticsNorm(_Norm, abstract=True):
    """BatchNorm and InstanceNorm: statistics with running averages."""

    _kind: ClassVar[str]
    _cumulative: ClassVar[float] = -1
    """What the core is told for a momentum of None."""
    _dims: ClassVar[tuple[int, ...]]
    """Dimensions of a sample, channels first."""

    def _set(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, track: bool, bias: bool, dtype: DTypeLike | None
    ) -> None:
        Layer.__init__(self)
        self.num_features = check_size("num_features", num_features)
        self.eps = _check_eps(eps)
        self.momentum = _check_momentum(momentum)
        self.affine, self.track_running_stats = bool(affine), bool(track)
        shape = (self.num_features,) if affine else None
        self._make_arrays(dtype, shape, shape if bias else None, self.num_features if track else None)

    @property
    def running_mean(self) -> Array | None:
        """The average of the means seen in training, a live view, or None; assigning copies into it."""
        return self._array("running_mean")

    @running_mean.setter
    def running_mean(self, value: ArrayLike) -> None:
        self._assign("running_mean", value)

    @property
    def running_var(self) -> Array | None:
        """The average of the unbiased variances seen in training, a live view, or None; assigning copies into it."""
        return self._array("running_var")

    @running_var.setter
    def running_var(self, value: ArrayLike) -> None:
        self._assign("running_var", value)

    @property
    def num_batches_tracked(self) -> int | None:
        """How many batches the running averages have seen, or None."""
        count = self._array("num_batches_tracked")
        return None if count is None else int(count)

    @num_batches_tracked.setter
    def num_batches_tracked(self, value: int) -> None:
        self._assign("num_batches_tracked", check_size("num_batches_tracked", value))

    def reset_running_stats(self) -> None:
        """Set the running averages to where they start: means 0, variances 1, no batches."""
        for name, start in {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}.items():
            if name in self._buffers:
                self._buffers[name].data[...] = start

    def _build(self, builder: Builder, where: str) -> None:
        shape = builder.shape
        if len(shape) not in self._dims:
            wanted = " or ".join(f"{n + 1}" for n in self._dims)
            raise ValueError(f"{where}: expected an array of {wanted} dimensions, (N, C, ...), got samples of shape {shape}")
        frozen = bool(self._parameters) and not any(p.requires_grad for p in self._parameters.values())
        momentum = _check_momentum(self.momentum)
        momentum = self._cumulative if momentum is None else momentum
        config = self.num_features, _check_eps(self.eps), momentum, *self._has_affine(), self.track_running_stats
        states = [*self._buffers.values()]
        if states:
            count = builder.values(states[2]).reshape(1).view(builder.dtype)
            states[2] = Buffer(count, "num_batches_tracked")
        builder.add(self._kind, where, config, *self._parameters.values(), *states, training=self.training and not frozen)

    def get_config(self) -> dict[str, Any]:
        names = ("num_features", "eps", "momentum", "affine", "track_running_stats")
        return {**{name: getattr(self, name) for name in names}, **self._bias_config(), **self._dtype_config()}


class _BatchNorm(_StatisticsNorm, abstract=True):
    _kind = "batch_norm"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        self._set(num_features, eps, momentum, affine, track_running_stats, bias, dtype)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of ``(N, C)`` or ``(N, C, L)``: ``y = (x - mean) / sqrt(var + eps) * weight + bias``, channel by channel.

    In training a channel's mean and variance are those of the whole batch, and running averages of them are kept:
    ``running = (1 - momentum) * running + momentum * new``, with the unbiased variance. In evaluation, in `predict`, and where all
    its parameters are frozen, the layer uses the running averages and leaves them alone (Ioffe and Szegedy, 2015).

    Parameters
    ----------
    num_features : int
        C.
    eps : float
        Added to the variance.
    momentum : float or None
        How far the running averages move; None: they are the averages of all batches so far.
    affine : bool
        Whether there are `weight` and `bias`.
    bias : bool
        False: no `bias`.
    track_running_stats : bool
        Whether there are running averages; without them every call uses its own batch.
    dtype : {'float32', 'float64'}, optional
        Of the parameters and of the computation; by default float32, and without any arrays that of the input.

    Attributes
    ----------
    weight, bias, running_mean, running_var : numpy.ndarray, shape (C,), or None
    num_batches_tracked : int or None

    Raises
    ------
    ValueError
        If the shape does not fit, or training meets a batch with one value a channel.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.BatchNorm1d(2)
    >>> layer(np.array([[1.0, 10.0], [3.0, 30.0]])).round(3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> layer.running_mean
    array([0.2, 2. ], dtype=float32)
    """

    _dims = (1, 2)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images ``(N, C, H, W)``; all else as `BatchNorm1d`.

    Parameters
    ----------
    num_features : int
        C.
    eps, momentum, affine, track_running_stats, bias, dtype
        As in `BatchNorm1d`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> x = np.random.default_rng(0).normal(3, 2, (8, 3, 5, 5))
    >>> y = pynn.BatchNorm2d(3)(x)
    >>> bool(abs(y.mean((0, 2, 3))).max() < 1e-6)
    True
    """

    _dims = (3,)


class InstanceNorm1d(_StatisticsNorm):
    """Instance normalisation of ``(N, C, L)`` or ``(C, L)``: `BatchNorm1d` on each sample alone (Ulyanov et al., 2016).

    Parameters
    ----------
    num_features : int
        C.
    eps, momentum, affine, track_running_stats, bias, dtype
        As in `BatchNorm1d`, but by default there are neither weights nor running averages; these take the mean over the samples, and
        as in PyTorch nothing counts batches: with a momentum of None they stay as they are.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.InstanceNorm1d(1)(np.array([[[1.0, 3.0]], [[10.0, 30.0]]])).round(3)
    array([[[-1.,  1.]],
    <BLANKLINE>
           [[-1.,  1.]]])
    """

    _kind, _dims, _cumulative = "instance_norm", (2,), 0

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        self._set(num_features, eps, momentum, affine, track_running_stats, bias, dtype)

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return (1, x.shape, False) if x.ndim in self._dims else super()._split(x)


class InstanceNorm2d(InstanceNorm1d):
    """Instance normalisation of images ``(N, C, H, W)`` or ``(C, H, W)``; all else as `InstanceNorm1d`.

    Parameters
    ----------
    num_features : int
        C.
    eps, momentum, affine, track_running_stats, bias, dtype
        As in `InstanceNorm1d`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> y = pynn.InstanceNorm2d(2)(np.arange(36.0).reshape(2, 2, 3, 3))
    >>> y.mean((2, 3)).round(6) + 0
    array([[0., 0.],
           [0., 0.]])
    """

    _dims = (3,)


class GroupNorm(_Norm):
    """Normalisation of each sample's channels in groups: ``y = (x - mean) / sqrt(var + eps) * weight + bias``.

    ``(N, C, ...)``; mean and variance are of one sample's group of channels with all their positions (Wu and He, 2018).

    Parameters
    ----------
    num_groups, num_channels : int
        Into how many groups the C channels are divided.
    eps : float
        Added to the variance.
    affine : bool
        Whether there are `weight` and `bias`, one a channel.
    bias : bool
        False: no `bias`.
    dtype : {'float32', 'float64'}, optional
        As in `BatchNorm1d`.

    Raises
    ------
    ValueError
        If the groups do not divide the channels, or the shape does not fit.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.GroupNorm(2, 4, affine=False)(np.array([[1.0, 3.0, 10.0, 30.0]])).round(3)
    array([[-1.,  1., -1.,  1.]])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.num_groups, self.num_channels = check_size("num_groups", num_groups), check_size("num_channels", num_channels)
        if self.num_groups < 1 or self.num_channels % self.num_groups:
            raise ValueError(f"num_channels: expected a multiple of num_groups = {num_groups}, got {num_channels}")
        self.eps, self.affine = _check_eps(eps), bool(affine)
        shape = (self.num_channels,) if affine else None
        self._make_arrays(dtype, shape, shape if bias else None)

    def _build(self, builder: Builder, where: str) -> None:
        builder.add(
            "group_norm", where, (self.num_groups, self.num_channels, _check_eps(self.eps), *self._has_affine()), *self._parameters.values()
        )

    def get_config(self) -> dict[str, Any]:
        config = {"num_groups": self.num_groups, "num_channels": self.num_channels, "eps": self.eps, "affine": self.affine}
        return {**config, **self._bias_config(), **self._dtype_config()}


class _RowNorm(_Norm, abstract=True):
    """LayerNorm and RMSNorm: statistics of the last dimensions."""

    _centred: ClassVar[bool]
    normalized_shape: tuple[int, ...]
    elementwise_affine: bool
    eps: float | None

    def _set(self, shape: int | Sequence[int], eps: float | None, affine: bool, bias: bool, dtype: DTypeLike | None) -> None:
        Layer.__init__(self)
        sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        if not sizes:
            raise ValueError("normalized_shape: expected at least one size")
        self.normalized_shape = tuple(check_size("normalized_shape", n) for n in sizes)
        self.eps, self.elementwise_affine = None if eps is None else _check_eps(eps), bool(affine)
        self._make_arrays(dtype, self.normalized_shape if affine else None, self.normalized_shape if affine and bias else None)

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return (1, x.shape, False) if x.ndim <= len(self.normalized_shape) else super()._split(x)

    def _build(self, builder: Builder, where: str) -> None:
        eps = float(np.finfo(builder.dtype).eps) if self.eps is None else _check_eps(self.eps)
        config = eps, self._centred, *self._has_affine(), *self.normalized_shape
        builder.add("layer_norm", where, config, *self._parameters.values())

    def get_config(self) -> dict[str, Any]:
        shape: Any = self.normalized_shape[0] if len(self.normalized_shape) == 1 else list(self.normalized_shape)
        return {"normalized_shape": shape, "eps": self.eps, "elementwise_affine": self.elementwise_affine}


class LayerNorm(_RowNorm):
    """Normalisation of each row alone: ``y = (x - mean) / sqrt(var + eps) * weight + bias`` over the last dimensions (Ba et al., 2016).

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The last dimensions, any number of others before them.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether there are `weight` and `bias`, one an element of `normalized_shape`.
    bias : bool
        False: no `bias`.
    dtype : {'float32', 'float64'}, optional
        As in `BatchNorm1d`.

    Raises
    ------
    ValueError
        If the input does not end in `normalized_shape`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.LayerNorm(2)(np.array([[1.0, 3.0], [10.0, 30.0]])).round(3)
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    _centred = True

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike | None = None,
    ) -> None:
        self._set(normalized_shape, eps, elementwise_affine, bias, dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._bias_config(), **self._dtype_config()}


class RMSNorm(_RowNorm):
    """Rows divided by their root mean square: ``y = x / sqrt(mean(x**2) + eps) * weight`` (Zhang and Sennrich, 2019).

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The last dimensions, any number of others before them.
    eps : float, optional
        None: the distance from 1 to the next number of the dtype.
    elementwise_affine : bool
        Whether there is `weight`.
    dtype : {'float32', 'float64'}, optional
        As in `BatchNorm1d`.

    Raises
    ------
    ValueError
        If the input does not end in `normalized_shape`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.RMSNorm(2)(np.array([[3.0, 4.0]])).round(4)
    array([[0.8485, 1.1314]], dtype=float32)
    """

    _centred = False

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DTypeLike | None = None,
    ) -> None:
        self._set(normalized_shape, eps, elementwise_affine, False, dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._dtype_config()}


class LocalResponseNorm(Layer):
    """Channels held down by their neighbours: ``y = x / (k + alpha * mean(x**2)) ** beta``, the mean over `size` channels beside each.

    ``(N, C, ...)``; beyond the edges the squares count as 0 (Krizhevsky et al., 2012).

    Parameters
    ----------
    size : int
        How many channels, ``size // 2`` of them before.
    alpha, beta, k : float

    Raises
    ------
    ValueError
        If `size` is below 1, or the input has no dimension beside the channels.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.LocalResponseNorm(2, alpha=2.0, beta=1.0)(np.ones((1, 3, 1))).round(3).ravel()
    array([0.5  , 0.333, 0.333])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = check_size("size", size)
        if self.size < 1:
            raise ValueError(f"size: expected 1 or more, got {size}")
        self.alpha, self.beta, self.k = float(alpha), float(beta), float(k)

    def _build(self, builder: Builder, where: str) -> None:
        builder.add("response_norm", where, (self.size, self.alpha, self.beta, self.k))

    def get_config(self) -> dict[str, Any]:
        return {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
