"""Normalization layers: over the batch, over the channels of a sample, or over its last axes."""

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


def __dir__() -> list[str]:
    return __all__


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
    """Base class of layers with an optional scale and shift and optional running statistics."""

    _accepts_any_scale = True

    def _make_arrays(
        self, dtype: DTypeLike | None, weight: tuple[int, ...] | None, bias: tuple[int, ...] | None, states: int | None = None
    ) -> None:
        """Create the arrays of the given shapes; None creates none."""
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
        """The scales, or None: not a copy. Assigning copies values into the array."""
        return self._array("weight")

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        self._assign("weight", value)

    @property
    def bias(self) -> Array | None:
        """The shifts, or None: not a copy. Assigning copies values into the array."""
        return self._array("bias")

    @bias.setter
    def bias(self, value: ArrayLike) -> None:
        self._assign("bias", value)

    def _has_affine(self) -> tuple[bool, bool]:
        """Return whether the layer has a weight, and whether it has a bias."""
        return "weight" in self._parameters, "bias" in self._parameters

    def _affine_fields(self) -> dict[str, Any]:
        """Return both flags by name, as settings of the core."""
        return dict(zip(("weight", "bias"), self._has_affine(), strict=True))

    def _bias_config(self) -> dict[str, Any]:
        """Return the argument ``bias`` of get_config if it differs from its default."""
        return {"bias": False} if self._has_affine() == (True, False) else {}

    def _dtype_config(self) -> dict[str, Any]:
        """Return the argument ``dtype`` of get_config if it differs from its default."""
        default = "float32" if self._parameters or self._buffers else None
        return {} if self.dtype == default else {"dtype": self.dtype}


class _StatisticsNorm(_Norm, abstract=True):
    """Base class of BatchNorm and InstanceNorm, which may keep running statistics."""

    _kind: ClassVar[str]
    _cumulative: ClassVar[float] = -1
    """The momentum that is passed to the core for None."""
    _dims: ClassVar[tuple[int, ...]]
    """The allowed numbers of dimensions of a sample."""

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
        """The running average of the means in training, or None: not a copy. Assigning copies values into the array."""
        return self._array("running_mean")

    @running_mean.setter
    def running_mean(self, value: ArrayLike) -> None:
        self._assign("running_mean", value)

    @property
    def running_var(self) -> Array | None:
        """The running average of the unbiased variances in training, or None: not a copy. Assigning copies values into the array."""
        return self._array("running_var")

    @running_var.setter
    def running_var(self, value: ArrayLike) -> None:
        self._assign("running_var", value)

    @property
    def num_batches_tracked(self) -> int | None:
        """The number of batches in the running averages, or None."""
        count = self._array("num_batches_tracked")
        return None if count is None else int(count)

    @num_batches_tracked.setter
    def num_batches_tracked(self, value: int) -> None:
        self._assign("num_batches_tracked", check_size("num_batches_tracked", value))

    def reset_running_stats(self) -> None:
        """Reset the running averages to their initial values: means 0, variances 1, no batches."""
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
        config = {
            **{"num_features": self.num_features, "eps": _check_eps(self.eps), "momentum": momentum},
            **{**self._affine_fields(), "track_running_stats": self.track_running_stats},
        }
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
    """Batch normalization of each channel (Ioffe and Szegedy, 2015).

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``. Input and output ``(N, C)`` or ``(N, C, L)``.

    In training, mean and variance are those of the batch, and the layer updates running averages of them:
    ``running = (1 - momentum) * running + momentum * new``, with the unbiased variance. In evaluation, in `predict`, and if all its
    parameters are frozen, the layer uses the running averages and does not change them.

    Parameters
    ----------
    num_features : int
        The number of channels, C.
    eps : float
        A constant added to the variance.
    momentum : float or None
        The weight of a new batch in the running averages. None averages all batches so far with equal weights.
    affine : bool
        Whether the layer has `weight` and `bias`.
    bias : bool
        Whether the layer has `bias`, if it is affine.
    track_running_stats : bool
        Whether the layer has running averages; without them every call uses the statistics of its batch.
    dtype : {'float32', 'float64'}, optional
        The dtype of the parameters and of the computation. Default: float32, or the dtype of the input for a layer without arrays.

    Attributes
    ----------
    weight, bias, running_mean, running_var : numpy.ndarray, shape (C,), or None
    num_batches_tracked : int or None

    Raises
    ------
    ValueError
        If an argument is out of range, the input has another shape, or a batch has a single value per channel in training.

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
    """Batch normalization of each channel of images (Ioffe and Szegedy, 2015).

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``. Input and output ``(N, C, H, W)``; otherwise as `BatchNorm1d`.

    Parameters
    ----------
    num_features : int
        The number of channels, C.
    eps, momentum, affine, track_running_stats, bias, dtype
        As in `BatchNorm1d`.

    Raises
    ------
    ValueError
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
    """Normalization of each channel of each sample (Ulyanov et al., 2016).

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, with the statistics of one channel of one sample. Input and output
    ``(N, C, L)`` or ``(C, L)``.

    Parameters
    ----------
    num_features : int
        The number of channels, C.
    eps, momentum, affine, track_running_stats, bias, dtype
        As in `BatchNorm1d`, except that by default the layer has neither weights nor running averages. Running averages use the mean
        of the statistics over the samples. As in PyTorch, batches are not counted, so a momentum of None leaves them unchanged.

    Raises
    ------
    ValueError
        If an argument is out of range, or the input has another shape.

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
    """Normalization of each channel of each image (Ulyanov et al., 2016).

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``. Input and output ``(N, C, H, W)`` or ``(C, H, W)``; otherwise as
    `InstanceNorm1d`.

    Parameters
    ----------
    num_features : int
        The number of channels, C.
    eps, momentum, affine, track_running_stats, bias, dtype
        As in `InstanceNorm1d`.

    Raises
    ------
    ValueError
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
    """Normalization of groups of channels of each sample (Wu and He, 2018).

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, with the statistics of one group of channels of one sample, over all
    positions. Input and output ``(N, C, ...)``.

    Parameters
    ----------
    num_groups, num_channels : int
        The number of groups, and the number of channels, C, which it must divide.
    eps : float
        A constant added to the variance.
    affine : bool
        Whether the layer has `weight` and `bias`, one value per channel.
    bias : bool
        Whether the layer has `bias`, if it is affine.
    dtype : {'float32', 'float64'}, optional
        As in `BatchNorm1d`.

    Raises
    ------
    ValueError
        If `num_groups` does not divide `num_channels`, an argument is out of range, or the input has another shape.

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
        config = {"num_groups": self.num_groups, "num_channels": self.num_channels, "eps": _check_eps(self.eps), **self._affine_fields()}
        builder.add("group_norm", where, config, *self._parameters.values())

    def get_config(self) -> dict[str, Any]:
        config = {"num_groups": self.num_groups, "num_channels": self.num_channels, "eps": self.eps, "affine": self.affine}
        return {**config, **self._bias_config(), **self._dtype_config()}


class _RowNorm(_Norm, abstract=True):
    """Base class of LayerNorm and RMSNorm, whose statistics are those of the last axes."""

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
        config = {"eps": eps, "centred": self._centred, **self._affine_fields(), "normalized_shape": self.normalized_shape}
        builder.add("layer_norm", where, config, *self._parameters.values())

    def get_config(self) -> dict[str, Any]:
        shape: Any = self.normalized_shape[0] if len(self.normalized_shape) == 1 else list(self.normalized_shape)
        return {"normalized_shape": shape, "eps": self.eps, "elementwise_affine": self.elementwise_affine}


class LayerNorm(_RowNorm):
    """Normalization over the last axes (Ba et al., 2016).

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``. Input and output ``(..., *normalized_shape)``.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The sizes of the last axes, over which to normalize.
    eps : float
        A constant added to the variance.
    elementwise_affine : bool
        Whether the layer has `weight` and `bias`, of shape `normalized_shape`.
    bias : bool
        Whether the layer has `bias`, if it is affine.
    dtype : {'float32', 'float64'}, optional
        As in `BatchNorm1d`.

    Raises
    ------
    ValueError
        If an argument is out of range, or the last axes of the input are not `normalized_shape`.

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
    """Division by the root mean square over the last axes (Zhang and Sennrich, 2019).

    ``y = x / sqrt(mean(x**2) + eps) * weight``. Input and output ``(..., *normalized_shape)``.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The sizes of the last axes, over which to normalize.
    eps : float, optional
        A constant added to the mean square. Default: the machine epsilon of the dtype.
    elementwise_affine : bool
        Whether the layer has `weight`, of shape `normalized_shape`.
    dtype : {'float32', 'float64'}, optional
        As in `BatchNorm1d`.

    Raises
    ------
    ValueError
        If an argument is out of range, or the last axes of the input are not `normalized_shape`.

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
    """Local response normalization across channels (Krizhevsky et al., 2012).

    ``y = x / (k + alpha * mean(x**2)) ** beta``, where the mean runs over `size` adjacent channels, zeros beyond the first and last.
    Input and output ``(N, C, ...)``.

    Parameters
    ----------
    size : int
        The number of channels in the mean: ``size // 2`` before the channel, the channel itself, and the others after it.
    alpha, beta, k : float
        The constants in the formula.

    Raises
    ------
    TypeError
        If `size` is not an integer.
    ValueError
        If `size` is below 1, or the input has no axis after the channels.

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
        builder.add("response_norm", where, {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k})

    def get_config(self) -> dict[str, Any]:
        return {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
