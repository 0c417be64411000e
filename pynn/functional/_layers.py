"""Functions of layers with parameters, which are arguments here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .. import layers
from .._arrays import Array, is_float, real_array
from .._graph import Parameter
from ._apply import apply, as_given, bare, common_dtype, fill

Given: TypeAlias = ArrayLike | Parameter
"""The values of a parameter: an array, or a `Parameter`."""


def _both(input: ArrayLike, weight: Given, axes: int | None = None) -> tuple[Array, Array, str]:
    """Return input and weight as arrays, and the dtype to compute in; the weight must have ``axes`` dimensions."""
    x, w = real_array(input, "input"), real_array(weight.data if isinstance(weight, Parameter) else weight, "weight")
    if axes is not None and w.ndim != axes:
        raise ValueError(f"weight: expected {axes} dimensions, got shape {w.shape}")
    return x, w, common_dtype(x, w)


def linear(input: ArrayLike, weight: Given, bias: Given | None = None) -> Any:
    """Apply an affine map to the last axis: ``y = input @ weight.T + bias``.

    Parameters
    ----------
    input : array_like, shape (..., in_features)
        The samples.
    weight : array_like, shape (out_features, in_features) or (in_features,)
        The weights; with one dimension, the output has no last axis.
    bias : array_like, shape (out_features,) or (), optional
        The biases.

    Returns
    -------
    ndarray, shape (..., out_features)
        In the dtype of the weight if that is a float, as `pynn.Linear`.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.linear([[1.0, 2.0]], [[1.0, 1.0], [0.0, 3.0]], [0.5, 0.0])
    array([[3.5, 6. ]])
    """
    x, w, dtype = _both(input, weight)
    if w.ndim not in (1, 2):
        raise ValueError(f"weight: expected shape (out_features, in_features) or (in_features,), got {w.shape}")
    rows = w.reshape(-1, w.shape[-1])
    b = as_given(bias, "bias")
    layer = bare(layers.Linear, rows.shape[1], rows.shape[0], bias is not None, dtype=dtype)
    fill(layer, {"weight": rows, "bias": b if b is None or w.ndim == 2 else b.reshape(1)})
    y = apply(layer, x)
    return y if w.ndim == 2 else y[..., 0]


def bilinear(input1: ArrayLike, input2: ArrayLike, weight: Given, bias: Given | None = None) -> Any:
    """Apply a bilinear form to the last axes: ``y[k] = input1 @ weight[k] @ input2 + bias[k]``.

    Parameters
    ----------
    input1, input2 : array_like, shape (rows, in1_features) and (rows, in2_features)
        The samples.
    weight : array_like, shape (out_features, in1_features, in2_features)
        The weights.
    bias : array_like, shape (out_features,), optional
        The biases.

    Returns
    -------
    ndarray, shape (rows, out_features)
        As `pynn.Bilinear`.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.bilinear([[1.0, 2.0]], [[3.0]], [[[1.0], [2.0]]])
    array([[15.]])
    """
    x, w, dtype = _both(input1, weight, 3)
    layer = bare(layers.Bilinear, w.shape[1], w.shape[2], w.shape[0], bias is not None, dtype=dtype)
    fill(layer, {"weight": w, "bias": as_given(bias, "bias")})
    return apply(layer, x, input2)


# ---- convolutions -----------------------------------------------------------------------------------------------------
def _conv(
    cls: Any, axes: int, input: ArrayLike, weight: Given, bias: Given | None, groups: int, settings: dict[str, Any]
) -> Any:
    x, w, dtype = _both(input, weight, axes + 2)
    channels = (w.shape[0], w.shape[1] * groups) if cls._transposed else (w.shape[1] * groups, w.shape[0])
    layer = bare(cls, *channels, w.shape[2:], groups=groups, bias=bias is not None, dtype=dtype, **settings)
    fill(layer, {"weight": w, "bias": as_given(bias, "bias")})
    return apply(layer, x)


def conv1d(
    input: ArrayLike,
    weight: Given,
    bias: Given | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Any:
    """Convolve one axis, as `pynn.Conv1d`.

    Parameters
    ----------
    input : array_like, shape (N, C, L) or (C, L)
        The signals.
    weight : array_like, shape (out_channels, C / groups, kernel_size)
        The kernels.
    bias : array_like, shape (out_channels,), optional
        The biases.
    stride, padding, dilation, groups
        The arguments of `pynn.Conv1d`.

    Returns
    -------
    ndarray, shape (N, out_channels, L') or (out_channels, L')
        In the dtype of the weight if that is a float.

    Raises
    ------
    ValueError
        If shapes do not fit or an argument is out of range.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.conv1d([[[1.0, 2.0, 3.0]]], [[[1.0, 1.0]]])
    array([[[3., 5.]]])
    """
    return _conv(layers.Conv1d, 1, input, weight, bias, groups, {"stride": stride, "padding": padding, "dilation": dilation})


def conv2d(
    input: ArrayLike,
    weight: Given,
    bias: Given | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Any:
    """Convolve two axes, as `pynn.Conv2d`.

    Parameters
    ----------
    input : array_like, shape (N, C, H, W) or (C, H, W)
        The images.
    weight : array_like, shape (out_channels, C / groups, height, width)
        The kernels.
    bias : array_like, shape (out_channels,), optional
        The biases.
    stride, padding, dilation, groups
        The arguments of `pynn.Conv2d`.

    Returns
    -------
    ndarray, shape (N, out_channels, H', W') or (out_channels, H', W')
        In the dtype of the weight if that is a float.

    Raises
    ------
    ValueError
        If shapes do not fit or an argument is out of range.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.functional.conv2d(np.ones((1, 1, 4, 4)), np.ones((2, 1, 3, 3)), padding="same").shape
    (1, 2, 4, 4)
    """
    return _conv(layers.Conv2d, 2, input, weight, bias, groups, {"stride": stride, "padding": padding, "dilation": dilation})


def conv_transpose1d(
    input: ArrayLike,
    weight: Given,
    bias: Given | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Any:
    """Apply a transposed convolution to one axis, as `pynn.ConvTranspose1d`.

    Parameters
    ----------
    input : array_like, shape (N, C, L) or (C, L)
        The signals.
    weight : array_like, shape (C, out_channels / groups, kernel_size)
        The kernels.
    bias : array_like, shape (out_channels,), optional
        The biases.
    stride, padding, output_padding, groups, dilation
        The arguments of `pynn.ConvTranspose1d`.

    Returns
    -------
    ndarray, shape (N, out_channels, L') or (out_channels, L')
        In the dtype of the weight if that is a float.

    Raises
    ------
    ValueError
        If shapes do not fit or an argument is out of range.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.conv_transpose1d([[[1.0, 2.0]]], [[[1.0, 1.0]]], stride=2)
    array([[[1., 1., 2., 2.]]])
    """
    settings = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv(layers.ConvTranspose1d, 1, input, weight, bias, groups, settings)


def conv_transpose2d(
    input: ArrayLike,
    weight: Given,
    bias: Given | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Any:
    """Apply a transposed convolution to two axes, as `pynn.ConvTranspose2d`.

    Parameters
    ----------
    input : array_like, shape (N, C, H, W) or (C, H, W)
        The images.
    weight : array_like, shape (C, out_channels / groups, height, width)
        The kernels.
    bias : array_like, shape (out_channels,), optional
        The biases.
    stride, padding, output_padding, groups, dilation
        The arguments of `pynn.ConvTranspose2d`.

    Returns
    -------
    ndarray, shape (N, out_channels, H', W') or (out_channels, H', W')
        In the dtype of the weight if that is a float.

    Raises
    ------
    ValueError
        If shapes do not fit or an argument is out of range.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.functional.conv_transpose2d(np.ones((1, 2, 3, 3)), np.ones((2, 1, 2, 2)), stride=2).shape
    (1, 1, 6, 6)
    """
    settings = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv(layers.ConvTranspose2d, 2, input, weight, bias, groups, settings)


# ---- look-up ----------------------------------------------------------------------------------------------------------
def embedding(
    input: ArrayLike,
    weight: Given,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Any:
    """Look up rows of a table by index.

    Parameters
    ----------
    input : array_like of int, any shape (...)
        The indices.
    weight : array_like, shape (rows, columns)
        The table; it is not changed.
    padding_idx, scale_grad_by_freq
        Accepted as in PyTorch; they concern gradients.
    max_norm, norm_type
        As in `pynn.Embedding`; rows of the result are scaled, not those of the table.

    Returns
    -------
    ndarray, shape (..., columns)
        In the dtype of the table.

    Raises
    ------
    ValueError
        If an index is out of range.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.embedding([2, 0], [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    array([[4., 5.],
           [0., 1.]])
    """
    x, w, dtype = _both(input, weight, 2)
    layer = bare(layers.Embedding, *w.shape, padding_idx, max_norm, norm_type, scale_grad_by_freq, dtype=dtype)
    fill(layer, {"weight": w})
    return apply(layer, x)


def embedding_bag(
    input: ArrayLike,
    weight: Given,
    offsets: ArrayLike | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    *,
    per_sample_weights: ArrayLike | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Reduce bags of rows of a table, as `pynn.EmbeddingBag`.

    Parameters
    ----------
    input : array_like of int, shape (bags, indices), or (indices,) with offsets
        The indices.
    weight : array_like, shape (rows, columns)
        The table; it is not changed.
    offsets : array_like of int, optional
        The offset at which each bag starts.
    max_norm, norm_type, scale_grad_by_freq, mode, include_last_offset, padding_idx
        The arguments of `pynn.EmbeddingBag`.
    per_sample_weights : array_like, optional
        Factors of the rows of a sum, of the shape of `input`.

    Returns
    -------
    ndarray, shape (bags, columns)
        In the dtype of the table.

    Raises
    ------
    ValueError
        If an index is out of range, or arguments do not fit.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.embedding_bag([[0, 1], [1, 1]], [[0.0, 1.0], [2.0, 3.0]], mode="sum")
    array([[2., 4.],
           [4., 6.]])
    """
    x, w, dtype = _both(input, weight, 2)
    options = {"include_last_offset": include_last_offset, "padding_idx": padding_idx}
    layer = bare(layers.EmbeddingBag, *w.shape, max_norm, norm_type, scale_grad_by_freq, mode, dtype=dtype, **options)
    layer.weight = w
    return layer(x, offsets, per_sample_weights)


# ---- normalization ----------------------------------------------------------------------------------------------------
def _norm_dtype(x: Array, *given: Array | None) -> str:
    return common_dtype(x, next((a for a in given if a is not None and a.dtype.kind == "f"), x))


def layer_norm(
    input: ArrayLike,
    normalized_shape: int | Sequence[int],
    weight: Given | None = None,
    bias: Given | None = None,
    eps: float = 1e-5,
) -> Any:
    """Normalize over the last axes, as `pynn.LayerNorm`.

    Parameters
    ----------
    input : array_like, shape ``(..., *normalized_shape)``
        The samples.
    normalized_shape : int or sequence of int
        The sizes of the last axes.
    weight, bias : array_like, shape normalized_shape, optional
        Scale and shift.
    eps : float
        A constant added to the variance.

    Returns
    -------
    ndarray
        Of the shape of the input.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.layer_norm([[1.0, 3.0]], 2).round(3)
    array([[-1.,  1.]])
    """
    x, w, b = real_array(input, "input"), as_given(weight, "weight"), as_given(bias, "bias")
    if w is None and b is None:
        return apply(layers.LayerNorm(normalized_shape, eps, False), x)
    dtype = _norm_dtype(x, w, b)
    layer = layers.LayerNorm(normalized_shape, eps, True, b is not None, dtype=dtype)
    fill(layer, {"weight": w, "bias": b})
    return apply(layer, x)


def rms_norm(
    input: ArrayLike, normalized_shape: int | Sequence[int], weight: Given | None = None, eps: float | None = None
) -> Any:
    """Divide by the root of the mean square over the last axes, as `pynn.RMSNorm`.

    Parameters
    ----------
    input : array_like, shape ``(..., *normalized_shape)``
        The samples.
    normalized_shape : int or sequence of int
        The sizes of the last axes.
    weight : array_like, shape normalized_shape, optional
        The scale.
    eps : float, optional
        A constant added to the mean square; None is the machine epsilon.

    Returns
    -------
    ndarray
        Of the shape of the input.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.rms_norm([[3.0, 4.0]], 2).round(3)
    array([[0.849, 1.131]])
    """
    x, w = real_array(input, "input"), as_given(weight, "weight")
    if w is None:
        return apply(layers.RMSNorm(normalized_shape, eps, False), x)
    layer = layers.RMSNorm(normalized_shape, eps, dtype=_norm_dtype(x, w))
    fill(layer, {"weight": w})
    return apply(layer, x)


def group_norm(
    input: ArrayLike, num_groups: int, weight: Given | None = None, bias: Given | None = None, eps: float = 1e-5
) -> Any:
    """Normalize groups of channels, as `pynn.GroupNorm`.

    Parameters
    ----------
    input : array_like, shape (N, C, ...)
        The samples.
    num_groups : int
        The number of groups of channels.
    weight, bias : array_like, shape (C,), optional
        Scale and shift.
    eps : float
        A constant added to the variance.

    Returns
    -------
    ndarray
        Of the shape of the input.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.group_norm([[1.0, 3.0, 10.0, 30.0]], 2).round(3)
    array([[-1.,  1., -1.,  1.]])
    """
    x, w, b = real_array(input, "input"), as_given(weight, "weight"), as_given(bias, "bias")
    channels = _channels(x)
    if w is None and b is None:
        return apply(layers.GroupNorm(num_groups, channels, eps, False), x)
    layer = layers.GroupNorm(num_groups, channels, eps, bias=b is not None, dtype=_norm_dtype(x, w, b))
    fill(layer, {"weight": w, "bias": b})
    return apply(layer, x)


def _channels(x: Array) -> int:
    if x.ndim < 2:
        raise ValueError(f"input: expected shape (N, C, ...), got {x.shape}")
    return int(x.shape[1])


def _with_statistics(
    cls: Any, x: Array, running: dict[str, ArrayLike | None], affine: dict[str, Array | None], own: bool, momentum: float, eps: float
) -> Any:
    """Run BatchNorm or InstanceNorm on one axis, with the given running statistics; ``own`` uses the statistics of the batch."""
    if len({a is None for a in running.values()}) > 1:
        raise ValueError("running_mean, running_var: expected both or neither")
    tracked = running["running_mean"] is not None
    if not own and not tracked:
        raise ValueError("running_mean, running_var: required unless the statistics are those of the input")
    given = [a for a in affine.values() if a is not None]
    arrays = [np.asarray(a) for a in running.values() if a is not None]
    dtype = _norm_dtype(x, *arrays, *given) if given or tracked else None
    options = {"bias": affine["bias"] is not None, "dtype": dtype}
    layer = cls(_channels(x), eps, momentum, bool(given), tracked, **options)
    fill(layer, affine)
    if tracked:
        if own:
            fill(layer, running, buffers=True)
        for name, values in running.items() if not own else ():  # only read, so copies will do
            layer._assign(name, values)
    flat = x if x.ndim <= 3 else x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    y = apply(layer.train(own), flat, training=own)
    return y.reshape(x.shape)


def batch_norm(
    input: ArrayLike,
    running_mean: ArrayLike | None,
    running_var: ArrayLike | None,
    weight: Given | None = None,
    bias: Given | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalize each channel over batch and positions, as `pynn.BatchNorm1d` and `pynn.BatchNorm2d`.

    Parameters
    ----------
    input : array_like, shape (N, C, ...)
        The samples.
    running_mean, running_var : array_like, shape (C,), or None
        The running statistics. With ``training=True`` they are updated in place, so they must be arrays of the dtype of the
        computation; None updates nothing.
    weight, bias : array_like, shape (C,), optional
        Scale and shift.
    training : bool
        Whether to use the statistics of the batch instead of the running ones.
    momentum : float
        The weight of a new batch in the running statistics.
    eps : float
        A constant added to the variance.

    Returns
    -------
    ndarray
        Of the shape of the input.

    Raises
    ------
    ValueError
        If shapes do not fit, or statistics are missing.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> pynn.functional.batch_norm([[1.0], [3.0]], mean, var, training=True).round(3)
    array([[-1.],
           [ 1.]])
    >>> mean
    array([0.2])
    """
    x = real_array(input, "input")
    running = {"running_mean": running_mean, "running_var": running_var}
    affine = {"weight": as_given(weight, "weight"), "bias": as_given(bias, "bias")}
    return _with_statistics(layers.BatchNorm1d, x, running, affine, training, momentum, eps)


def instance_norm(
    input: ArrayLike,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    weight: Given | None = None,
    bias: Given | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalize each channel of each sample over its positions, as `pynn.InstanceNorm1d` and `pynn.InstanceNorm2d`.

    Parameters
    ----------
    input : array_like, shape (N, C, ...)
        The samples.
    running_mean, running_var : array_like, shape (C,), optional
        The running statistics. With ``use_input_stats=True`` they are updated in place, so they must be arrays of the dtype of the
        computation.
    weight, bias : array_like, shape (C,), optional
        Scale and shift.
    use_input_stats : bool
        Whether to use the statistics of each sample instead of the running ones.
    momentum : float
        The weight of a new batch in the running statistics.
    eps : float
        A constant added to the variance.

    Returns
    -------
    ndarray
        Of the shape of the input.

    Raises
    ------
    ValueError
        If shapes do not fit, or statistics are missing.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.instance_norm([[[1.0, 3.0]]]).round(3)
    array([[[-1.,  1.]]])
    """
    x = real_array(input, "input")
    if x.ndim < 3:
        raise ValueError(f"input: expected shape (N, C, positions...), got {x.shape}")
    running = {"running_mean": running_mean, "running_var": running_var}
    affine = {"weight": as_given(weight, "weight"), "bias": as_given(bias, "bias")}
    return _with_statistics(layers.InstanceNorm1d, x, running, affine, use_input_stats, momentum, eps)


# ---- others -----------------------------------------------------------------------------------------------------------
def prelu(input: ArrayLike, weight: Given) -> Any:
    """Multiply negative elements by a slope: ``y = x if x >= 0 else weight * x``.

    Parameters
    ----------
    input : array_like, shape (N, C, ...)
        The samples.
    weight : array_like, shape (C,) or (1,)
        One slope per channel, or one for all.

    Returns
    -------
    ndarray
        Of the shape of the input, as `pynn.PReLU`.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.prelu([-2.0, 3.0], [0.25])
    array([-0.5,  3. ])
    """
    x, w, dtype = _both(input, weight)
    layer = bare(layers.PReLU, w.size, dtype=dtype)
    fill(layer, {"weight": w.reshape(-1)})
    return apply(layer, x)


_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""PyTorch's names of ways of padding, and NumPy's."""


def pad(input: ArrayLike, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Any:
    """Pad the last axes.

    Parameters
    ----------
    input : array_like
        Real numbers of any shape; the dtype is kept.
    pad : sequence of int
        Two numbers per axis, before and after, starting with the last axis. A negative number removes elements.
    mode : {'constant', 'reflect', 'replicate', 'circular'}
        What to pad with: `value`, the mirror image, the edge, or the opposite end.
    value : float
        For the mode 'constant'.

    Returns
    -------
    ndarray
        Larger than the input by the padding.

    Raises
    ------
    ValueError
        If `pad` has an odd number of entries or more than two per axis, the mode is unknown, or nothing would be left.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.pad([[1.0, 2.0]], (1, 1), mode="replicate")
    array([[1., 1., 2., 2.]])
    """
    x, sizes = real_array(input, "input"), [int(n) for n in pad]
    if len(sizes) % 2 or len(sizes) > 2 * x.ndim:
        raise ValueError(f"pad: expected two numbers for each of at most {x.ndim} axes, got {tuple(pad)}")
    if mode not in _MODES:
        raise ValueError(f"mode: expected {', '.join(map(repr, _MODES))}, got {mode!r}")
    ends = [(0, 0)] * (x.ndim - len(sizes) // 2) + [(sizes[i], sizes[i + 1]) for i in range(len(sizes) - 2, -1, -2)]
    if any(n + before + after < 0 for n, (before, after) in zip(x.shape, ends, strict=True)):
        raise ValueError(f"pad: {tuple(pad)} removes more elements than an input of shape {x.shape} has")
    grow = [(max(before, 0), max(after, 0)) for before, after in ends]
    for n, (before, after) in zip(x.shape, grow, strict=True):
        most = {"reflect": n - 1, "circular": n}.get(mode)
        if most is not None and max(before, after) > most:
            raise ValueError(f"pad: mode {mode!r} pads an axis of {n} elements by at most {most}, got {max(before, after)}")
    options = {"constant_values": value} if mode == "constant" else {}
    padded = np.pad(x, grow, _MODES[mode], **options)  # type: ignore[call-overload]
    cut = tuple(slice(max(-before, 0), len_ - max(-after, 0)) for (before, after), len_ in zip(ends, padded.shape, strict=True))
    return np.ascontiguousarray(padded[cut])


def one_hot(tensor: ArrayLike, num_classes: int = -1) -> Any:
    """Return one-hot rows of class indices.

    Parameters
    ----------
    tensor : array_like of int, any shape (...)
        Class indices of 0 or more.
    num_classes : int
        The number of classes; -1: one more than the largest index.

    Returns
    -------
    ndarray of int64, shape (..., num_classes)
        1 at the index, else 0.

    Raises
    ------
    TypeError
        If the indices are not integers.
    ValueError
        If an index is negative or too large.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.one_hot([0, 2])
    array([[1, 0, 0],
           [0, 0, 1]])
    """
    t = real_array(tensor, "tensor")
    if t.dtype.kind not in "iu":
        raise TypeError(f"tensor: expected integers, got {t.dtype}")
    if num_classes == -1 and not t.size:
        raise ValueError("num_classes: required for an empty tensor")
    n = int(t.max()) + 1 if num_classes == -1 else num_classes
    if t.size and not (t.min() >= 0 and t.max() < n):
        raise ValueError(f"tensor: expected class indices from 0 to {n - 1}, got {t.min() if t.min() < 0 else t.max()}")
    return (t[..., None] == np.arange(n)).astype(np.int64)


# ---- vectors ----------------------------------------------------------------------------------------------------------
def _floats(x: ArrayLike, name: str) -> Array:
    a = real_array(x, name)
    return a if is_float(a, 4, 8) else a.astype(np.float32 if is_float(a, 2) else np.float64)


def normalize(input: ArrayLike, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Divide by the p-norm along an axis: ``x / max(norm, eps)``.

    Parameters
    ----------
    input : array_like
        Real numbers with an axis `dim`.
    p : float
        The power of the norm; infinity is the largest magnitude.
    dim : int
        The axis.
    eps : float
        The smallest divisor.

    Returns
    -------
    ndarray
        Of the shape of the input.

    Raises
    ------
    ValueError
        If `input` has no axis `dim`.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.normalize([[3.0, 4.0]])
    array([[0.6, 0.8]])
    """
    x = _floats(input, "input")
    return x / np.maximum(np.linalg.norm(x, p, dim, keepdims=True), x.dtype.type(eps))


def cosine_similarity(x1: ArrayLike, x2: ArrayLike, dim: int = 1, eps: float = 1e-8) -> Any:
    """Return the cosine of the angle between vectors along an axis.

    ``sum(x1 * x2) / (max(norm(x1), eps) * max(norm(x2), eps))``.

    Parameters
    ----------
    x1, x2 : array_like
        Vectors along `dim`, broadcast against each other.
    dim : int
        The axis.
    eps : float
        The smallest norm to divide by.

    Returns
    -------
    ndarray
        Without the axis `dim`.

    Raises
    ------
    ValueError
        If the shapes do not broadcast, or there is no axis `dim`.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.cosine_similarity([[1.0, 0.0]], [[1.0, 1.0]]).round(4)
    array([0.7071])
    """
    a, b = np.broadcast_arrays(_floats(x1, "x1"), _floats(x2, "x2"))
    return (normalize(a, 2.0, dim, eps) * normalize(b, 2.0, dim, eps)).sum(dim)


def pairwise_distance(x1: ArrayLike, x2: ArrayLike, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """Return the p-norm of the difference of vectors along the last axis: ``norm(x1 - x2 + eps)``.

    Parameters
    ----------
    x1, x2 : array_like
        Vectors along the last axis, broadcast against each other.
    p : float
        The power of the norm.
    eps : float
        Added to each difference, as in PyTorch.
    keepdim : bool
        Whether the result keeps the last axis, of length 1.

    Returns
    -------
    ndarray
        The distances.

    Raises
    ------
    ValueError
        If the shapes do not broadcast.

    Examples
    --------
    >>> import pynn
    >>> pynn.functional.pairwise_distance([[3.0, 4.0]], [[0.0, 0.0]]).round(4)
    array([5.])
    """
    a, b = _floats(x1, "x1"), _floats(x2, "x2")
    difference = a - b
    return np.linalg.norm(difference + difference.dtype.type(eps), p, -1, keepdims=keepdim)
