"""Convolutions, transposed convolutions, and the unfolding of images into columns."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from .._arrays import Array, check_dtype, check_size, parameter_zeros
from .._graph import Builder, Parameter
from .._random import draw_seed, uniform
from ._base import Layer
from ._lazy import Lazy
from ._weighted import Biased

__all__ = ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d", "Fold", "LazyConv1d", "LazyConv2d", "Unfold"]


def __dir__() -> list[str]:
    return __all__


Sizes = int | tuple[int, ...]

_INITS = {"he": (math.sqrt(6), 0.0), "torch": (1.0, 1.0)}
"""The bounds of the uniform initial weights and biases, times sqrt(fan_in)."""
_MODES = ("zeros", "reflect", "replicate", "circular")


def per_axis(name: str, value: Sizes, axes: int, least: int = 0) -> tuple[int, ...]:
    """Return one integer per axis, given an integer or a sequence; raise if it is below ``least``."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(values) == 1:
        values *= axes
    if len(values) != axes:
        raise ValueError(f"{name}: expected an integer or {axes} of them, got {value!r}")
    sizes = tuple(check_size(name, v) for v in values)
    if min(sizes) < least:
        raise ValueError(f"{name}: expected {least} or more, got {value!r}")
    return sizes


def plain(sizes: tuple[int, ...]) -> Sizes:
    """Return sizes as shown in a configuration: a single number if all are equal."""
    return sizes[0] if len(set(sizes)) == 1 else sizes


_WORDS = {
    1: {"axes": "one axis", "size": "int", "pair": "", "batch": "(N, C, L)", "sample": "(C, L)", "x": "[[[1.0, 3.0]]]"},
    2: {
        "axes": "two axes",
        "size": "int or (int, int)",
        "pair": ", or a pair of them",
        "batch": "(N, C, H, W)",
        "sample": "(C, H, W)",
        "x": "[[[[1.0, 3.0], [3.0, 5.0]]]]",
    },
}


class ChannelsFirst(Layer, abstract=True):
    """Base class of layers for input (N, C, axes...) or (C, axes...); the number of dimensions tells whether there is a batch.

    A family of layers may share one docstring template, ``_text``. It is filled with the ``_WORDS`` for the number of axes, and with
    the class attributes ``_result``, the output of the example, and ``_more``, the description of additional parameters.
    """

    _axes: ClassVar[int]
    _text: ClassVar[str] = ""
    _result: ClassVar[str]
    _more: ClassVar[str] = ""

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__(abstract=abstract)
        if cls._text and "_axes" in vars(cls):
            own = {"cls": cls.__name__, "result": cls._result, "more": cls._more, "n": cls._axes}
            cls.__doc__ = cls._text.replace("\n    ", "\n").format(**own, **_WORDS[cls._axes])

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        if x.ndim == self._axes + 2:
            return x.shape[0], x.shape[1:], True
        if x.ndim == self._axes + 1:
            return 1, x.shape, False
        names = "C, L" if self._axes == 1 else "C, H, W"
        raise ValueError(f"{type(self).__name__}: expected an array of shape (N, {names}) or ({names}), got shape {x.shape}")


class _Conv(ChannelsFirst, Biased, abstract=True):
    """Base class of all convolutions."""

    _transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes | str,
        output_padding: Sizes,
        dilation: Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        dtype: DTypeLike,
        init: str,
        seed: int | None,
    ) -> None:
        super().__init__()
        axes = self._axes
        self.in_channels = check_size("in_channels", in_channels)
        self.out_channels = check_size("out_channels", out_channels)
        self.kernel_size = per_axis("kernel_size", kernel_size, axes, 1)
        self.stride = per_axis("stride", stride, axes, 1)
        self.dilation = per_axis("dilation", dilation, axes, 1)
        self.output_padding = per_axis("output_padding", output_padding, axes)
        self.groups = check_size("groups", groups)
        self.padding: tuple[int, ...] | str = self._check_padding(padding)
        if min(self.in_channels, self.out_channels, self.groups) < 1 or self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(f"groups: {groups} must divide in_channels {in_channels} and out_channels {out_channels}, all above 0")
        if any(p >= max(s, d) for p, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True)):
            raise ValueError(f"output_padding: {output_padding!r} must be smaller than stride {stride!r} or dilation {dilation!r}")
        if padding_mode not in (_MODES[:1] if self._transposed else _MODES):
            allowed = "'zeros'" if self._transposed else " or ".join(map(repr, _MODES))
            raise ValueError(f"padding_mode: expected {allowed}, got {padding_mode!r}")
        self.padding_mode = padding_mode
        self.dtype = check_dtype(dtype)
        self._make_parameters(bias, init, seed)

    def _check_padding(self, padding: Sizes | str) -> tuple[int, ...] | str:
        if not isinstance(padding, str):
            return per_axis("padding", padding, self._axes)
        if self._transposed or padding not in ("same", "valid"):
            allowed = "integers" if self._transposed else "integers, 'same' or 'valid'"
            raise ValueError(f"padding: expected {allowed}, got {padding!r}")
        if padding == "same" and max(self.stride) > 1:
            raise ValueError(f"padding: 'same' requires a stride of 1, got stride {plain(self.stride)!r}; pass integers instead")
        return padding

    def _make_parameters(self, bias: bool, init: str, seed: int | None) -> None:
        """Create the parameters and draw their initial values."""
        if init not in _INITS:
            raise ValueError(f"init: expected {' or '.join(map(repr, _INITS))}, got {init!r}")
        ends = (self.in_channels, self.out_channels) if self._transposed else (self.out_channels, self.in_channels)
        shape = (ends[0], ends[1] // self.groups, *self.kernel_size)
        drawn, bounds = draw_seed(seed), _INITS[init]
        arrays = {"weight": parameter_zeros(shape, self.dtype)}
        if bias:
            arrays["bias"] = parameter_zeros(self.out_channels, self.dtype)
        for stream, (name, data) in enumerate(arrays.items()):
            bound = bounds[stream] / math.sqrt(math.prod(shape[1:]))
            uniform(data, drawn, stream, -bound, bound)
            self._parameters[name] = Parameter(data, name)

    def _pads(self) -> list[tuple[int, int]]:
        """Return the padding before and after each axis."""
        if self.padding == "valid":
            return [(0, 0)] * self._axes
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [(t // 2, t - t // 2) for t in totals]
        return [(int(p), int(p)) for p in self.padding]

    def _build(self, builder: Builder, where: str) -> None:
        bias = self._parameters.get("bias")
        before, after = zip(*self._pads(), strict=True)
        config = {
            **{"transposed": self._transposed, "in_channels": self.in_channels, "out_channels": self.out_channels},
            **{"groups": self.groups, "bias": bias is not None, "padding_mode": self.padding_mode},
            **{"kernel_size": self.kernel_size, "stride": self.stride, "dilation": self.dilation},
            **{"padding_before": before, "padding_after": after, "output_padding": self.output_padding},
        }
        builder.add("conv", where, config, self._parameters["weight"], bias)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"in_channels": self.in_channels, "out_channels": self.out_channels}
        config["kernel_size"] = plain(self.kernel_size)
        padding = self.padding if isinstance(self.padding, str) else plain(self.padding)
        rest = {"stride": plain(self.stride), "padding": padding, "dilation": plain(self.dilation)}
        rest["output_padding"] = plain(self.output_padding)
        defaults = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
        config.update((k, v) for k, v in rest.items() if v != defaults[k])
        more = {"groups": self.groups, "bias": "bias" in self._parameters, "padding_mode": self.padding_mode, "dtype": self.dtype}
        common = {"groups": 1, "bias": True, "padding_mode": "zeros", "dtype": "float32"}
        return {**config, **{k: v for k, v in more.items() if v != common[k]}}


class _Convolution(_Conv, abstract=True):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: DTypeLike = "float32",
        init: str = "he",
        seed: int | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias, padding_mode, dtype, init, seed
        )


class Conv1d(_Convolution):
    """Convolution (cross-correlation) over one axis.

    ``y[n, o, p] = bias[o] + sum over c, i of weight[o, c, i] * x[n, c, s*p + d*i - padding]``, where s is the stride, d the dilation,
    and c runs over the channels of o's group. Outside its edges x is 0, or as given by `padding_mode`.

    Input (N, in_channels, L) or (in_channels, L), output (N, out_channels, L') or (out_channels, L').

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (int,)
        The size of the kernel, the distance between its positions, and the distance between its elements.
    padding : int or (int,), or {'same', 'valid'}
        The padding on each side of the input. 'same' (with a stride of 1) preserves the size, 'valid' is 0.
    groups : int
        The number of groups of channels that are convolved separately; ``groups=in_channels`` is a depthwise convolution.
    bias : bool
        Whether the layer has a bias.
    padding_mode : {'zeros', 'reflect', 'replicate', 'circular'}
        The values outside the edges: zeros, the mirror image, the edge value, or the opposite end.
    dtype : {'float32', 'float64'}
        The dtype of the parameters and of the computation. Input of another real dtype is converted.
    init : {'he', 'torch'}
        The initial values. 'he': weights uniform in +-sqrt(6 / fan_in) (He et al., 2015) and zero biases. 'torch': both uniform in
        +-1/sqrt(fan_in), as in PyTorch. fan_in is ``weight[0].size``.
    seed : int, optional
        The seed of the initial values; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (out_channels, in_channels / groups, kernel_size)
    bias : numpy.ndarray, shape (out_channels,), or None

    Raises
    ------
    ValueError
        If an argument is out of range, the input has another shape, or the padded input is smaller than the kernel.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.Conv1d(3, 8, 3, stride=2, padding=1, seed=0)
    >>> layer(np.ones((5, 3, 10))).shape
    (5, 8, 5)
    """

    _axes = 1


class Conv2d(_Convolution):
    """Convolution (cross-correlation) over two axes.

    ``y[n, o, p, q] = bias[o] + sum over c, i, j of weight[o, c, i, j] * x[n, c, s*p + d*i - padding, s*q + d*j - padding]``,
    where s is the stride, d the dilation, and c runs over the channels of o's group. Outside its edges x is 0, or as given by
    `padding_mode`.

    Input (N, in_channels, H, W) or (in_channels, H, W), output (N, out_channels, H', W') or (out_channels, H', W').

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (int, int)
        The size of the kernel, the distance between its positions, and the distance between its elements.
    padding : int or (int, int), or {'same', 'valid'}
        The padding on each side of the input. 'same' (with a stride of 1) preserves the size, 'valid' is 0.
    groups : int
        The number of groups of channels that are convolved separately; ``groups=in_channels`` is a depthwise convolution.
    bias : bool
        Whether the layer has a bias.
    padding_mode : {'zeros', 'reflect', 'replicate', 'circular'}
        The values outside the edges: zeros, the mirror image, the edge value, or the opposite end.
    dtype : {'float32', 'float64'}
        The dtype of the parameters and of the computation. Input of another real dtype is converted.
    init : {'he', 'torch'}
        The initial values. 'he': weights uniform in +-sqrt(6 / fan_in) (He et al., 2015) and zero biases. 'torch': both uniform in
        +-1/sqrt(fan_in), as in PyTorch. fan_in is ``weight[0].size``.
    seed : int, optional
        The seed of the initial values; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape ``(out_channels, in_channels / groups, *kernel_size)``
    bias : numpy.ndarray, shape (out_channels,), or None

    Raises
    ------
    ValueError
        If an argument is out of range, the input has another shape, or the padded input is smaller than the kernel.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.Conv2d(3, 8, 3, stride=2, padding=1, seed=0)
    >>> layer(np.ones((5, 3, 10, 10))).shape
    (5, 8, 5, 5)
    """

    _axes = 2


class _Transposed(_Conv, abstract=True):
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        *,
        dtype: DTypeLike = "float32",
        init: str = "he",
        seed: int | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation, groups, bias, padding_mode, dtype, init, seed
        )


class ConvTranspose1d(_Transposed):
    """Transposed convolution over one axis, which maps the output size of a convolution back to its input size.

    ``y[n, o, s*p + d*i - padding] = bias[o] + sum of weight[c, o, i] * x[n, c, p]``, over all c, p and i that yield the same index; s
    is the stride and d the dilation.

    Input (N, in_channels, L) or (in_channels, L), output (N, out_channels, L') or (out_channels, L').

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or (int,)
        The arguments of the convolution that this layer transposes.
    output_padding : int or (int,)
        Added to the output size at the end, since several input sizes of a convolution lead to the same output size. It must be
        smaller than `stride` or `dilation`.
    groups : int
        The number of groups of channels that are processed separately.
    bias : bool
        Whether the layer has a bias.
    padding_mode : {'zeros'}
        Accepted for compatibility with PyTorch.
    dtype : {'float32', 'float64'}
        The dtype of the parameters and of the computation. Input of another real dtype is converted.
    init : {'he', 'torch'}
        The initial values, as in `Conv1d`.
    seed : int, optional
        The seed of the initial values; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (in_channels, out_channels / groups, kernel_size)
    bias : numpy.ndarray, shape (out_channels,), or None

    Raises
    ------
    ValueError
        If an argument is out of range, or the input has another shape.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.ConvTranspose1d(8, 3, 3, stride=2, padding=1, output_padding=1, seed=0)
    >>> layer(np.ones((5, 8, 5))).shape
    (5, 3, 10)
    """

    _axes = 1


class ConvTranspose2d(_Transposed):
    """Transposed convolution over two axes, which maps the output size of a convolution back to its input size.

    ``y[n, o, s*p + d*i - padding, s*q + d*j - padding] = bias[o] + sum of weight[c, o, i, j] * x[n, c, p, q]``, over all c, p, q, i
    and j that yield the same indices; s is the stride and d the dilation.

    Input (N, in_channels, H, W) or (in_channels, H, W), output (N, out_channels, H', W') or (out_channels, H', W').

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or (int, int)
        The arguments of the convolution that this layer transposes.
    output_padding : int or (int, int)
        Added to the output size at the end, since several input sizes of a convolution lead to the same output size. It must be
        smaller than `stride` or `dilation`.
    groups : int
        The number of groups of channels that are processed separately.
    bias : bool
        Whether the layer has a bias.
    padding_mode : {'zeros'}
        Accepted for compatibility with PyTorch.
    dtype : {'float32', 'float64'}
        The dtype of the parameters and of the computation. Input of another real dtype is converted.
    init : {'he', 'torch'}
        The initial values, as in `Conv2d`.
    seed : int, optional
        The seed of the initial values; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape ``(in_channels, out_channels / groups, *kernel_size)``
    bias : numpy.ndarray, shape (out_channels,), or None

    Raises
    ------
    ValueError
        If an argument is out of range, or the input has another shape.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.ConvTranspose2d(8, 3, 3, stride=2, padding=1, output_padding=1, seed=0)
    >>> layer(np.ones((5, 8, 5, 5))).shape
    (5, 3, 10, 10)
    """

    _axes = 2


class Unfold(ChannelsFirst):
    """Extract the windows of an image as columns (im2col).

    Input (N, C, H, W) or (C, H, W), output (N, C * kernel elements, windows) or (C * kernel elements, windows).

    Parameters
    ----------
    kernel_size : int or (int, int)
        The size of a window.
    dilation, padding, stride : int or (int, int)
        As in `Conv2d`.

    Raises
    ------
    ValueError
        If an argument is out of range, the input has another shape, or the padded input is smaller than a window.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Unfold(2)(np.arange(6.0).reshape(1, 1, 2, 3))
    array([[[0., 1.],
            [1., 2.],
            [3., 4.],
            [4., 5.]]])
    """

    _axes = 2

    def __init__(self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> None:
        super().__init__()
        self.kernel_size = per_axis("kernel_size", kernel_size, 2, 1)
        self.dilation = per_axis("dilation", dilation, 2, 1)
        self.padding = per_axis("padding", padding, 2)
        self.stride = per_axis("stride", stride, 2, 1)

    def _add(self, builder: Builder, where: str, folds: bool, size: tuple[int, ...]) -> None:
        fields = {"kernel_size": self.kernel_size, "stride": self.stride, "dilation": self.dilation, "padding": self.padding}
        builder.add("fold", where, {"fold": folds, "size": size, **fields})

    def _build(self, builder: Builder, where: str) -> None:
        if len(builder.shape) != 3:
            raise ValueError(f"{where}: expected a sample of shape (C, H, W), got {builder.shape}")
        self._add(builder, where, False, builder.shape[1:])

    def get_config(self) -> dict[str, Any]:
        rest = {"dilation": plain(self.dilation), "padding": plain(self.padding), "stride": plain(self.stride)}
        defaults = {"dilation": 1, "padding": 0, "stride": 1}
        return {"kernel_size": plain(self.kernel_size), **{k: v for k, v in rest.items() if v != defaults[k]}}


class Fold(Unfold):
    """Sum columns back into an image (col2im), the transpose of `Unfold`.

    Input (N, C * kernel elements, windows), output ``(N, C, *output_size)``, each also without N.

    Parameters
    ----------
    output_size : int or (int, int)
        Height and width of the image.
    kernel_size, dilation, padding, stride : int or (int, int)
        The arguments of the `Unfold` that produced the columns.

    Raises
    ------
    ValueError
        If an argument is out of range, or the input does not have the number of columns and rows of such an image.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Fold((2, 3), 2)(np.ones((1, 4, 2)))
    array([[[[1., 2., 1.],
             [1., 2., 1.]]]])
    """

    def __init__(
        self,
        output_size: Sizes,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = per_axis("output_size", output_size, 2, 1)

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        if x.ndim not in (2, 3):
            raise ValueError(f"Fold: expected an array of shape (N, C * kernel elements, windows), or without N, got shape {x.shape}")
        return (x.shape[0], x.shape[1:], True) if x.ndim == 3 else (1, x.shape, False)

    def _build(self, builder: Builder, where: str) -> None:
        self._add(builder, where, True, self.output_size)

    def get_config(self) -> dict[str, Any]:
        return {"output_size": plain(self.output_size), **super().get_config()}


class _LazyConv(Lazy, abstract=True):
    _axis = 0

    def __init__(
        self,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: DTypeLike = "float32",
        init: str = "he",
        seed: int | None = None,
    ) -> None:
        first = {"out_channels": out_channels, "kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
        more = {"groups": groups, "bias": bias, "padding_mode": padding_mode}
        self._set({**first, **more}, {"dtype": dtype, "init": init, "seed": seed})

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return (1, x.shape, False) if x.ndim == self._eager._axes + 1 else (x.shape[0], x.shape[1:], True)


class LazyConv1d(_LazyConv):
    """A `Conv1d` layer that takes ``in_channels`` from its first input, and then is a `Conv1d`.

    Parameters
    ----------
    out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype, init, seed
        As in `Conv1d`.

    Raises
    ------
    TypeError, ValueError
        As `Conv1d`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.LazyConv1d(8, 3, seed=0)
    >>> layer(np.ones((5, 2, 10))).shape, layer
    ((5, 8, 8), Conv1d(in_channels=2, out_channels=8, kernel_size=3))
    """

    _eager = Conv1d


class LazyConv2d(_LazyConv):
    """A `Conv2d` layer that takes ``in_channels`` from its first input, and then is a `Conv2d`.

    Parameters
    ----------
    out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype, init, seed
        As in `Conv2d`.

    Raises
    ------
    TypeError, ValueError
        As `Conv2d`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.LazyConv2d(8, 3, padding=1, seed=0)
    >>> layer(np.ones((5, 2, 10, 10))).shape, layer
    ((5, 8, 10, 10), Conv2d(in_channels=2, out_channels=8, kernel_size=3, padding=1))
    """

    _eager = Conv2d
