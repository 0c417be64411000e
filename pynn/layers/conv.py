"""Convolutions and their transposes."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from .._arrays import Array, check_dtype, check_size, parameter_zeros
from .._graph import Builder, Parameter
from .._random import draw_seed, uniform
from ._base import Layer
from ._weighted import Biased

__all__ = ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d", "Fold", "Unfold"]

Sizes = int | tuple[int, ...]

_INITS = {"he": (math.sqrt(6), 0.0), "torch": (1.0, 1.0)}
"""Half the width of the initial values' intervals, weight and bias, times sqrt(fan_in)."""
_MODES = ("zeros", "reflect", "replicate", "circular")


def per_axis(name: str, value: Sizes, axes: int, least: int = 0) -> tuple[int, ...]:
    """Return one integer for each axis of a number or a sequence of them, or raise."""
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
    """Return sizes as a configuration shows them: one number where all are the same."""
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
    """What layers over (N, C, axes...) share: a sample without a batch axis is known by its dimensions.

    A family of them may be documented by one ``_text``, in which ``_WORDS`` stand for the number of axes; a class adds ``_result``,
    what its example gives, and ``_more``, parameters that the others don't have.
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
    """What all convolutions share."""

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
            raise ValueError(f"padding: expected integers{'' if self._transposed else ', or same, or valid'}, got {padding!r}")
        if padding == "same" and max(self.stride) > 1:
            raise ValueError(f"padding: 'same' needs a stride of 1, got stride {plain(self.stride)!r}")
        return padding

    def _make_parameters(self, bias: bool, init: str, seed: int | None) -> None:
        """Make the parameters."""
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
        """Padding before and after each axis."""
        if self.padding == "valid":
            return [(0, 0)] * self._axes
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [(t // 2, t - t // 2) for t in totals]
        return [(int(p), int(p)) for p in self.padding]

    def _build(self, builder: Builder, where: str) -> None:
        bias = self._parameters.get("bias")
        ends = zip(self.kernel_size, self.stride, self.dilation, self._pads(), self.output_padding, strict=True)
        axes = [number for k, s, d, pads, extra in ends for number in (k, s, d, *pads, extra)]
        head = (self._transposed, self.in_channels, self.out_channels, self.groups, bias is not None, _MODES.index(self.padding_mode))
        builder.add("conv", where, (*head, *axes), self._parameters["weight"], bias)

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
    """A convolution (cross-correlation) over one axis.

    ``y[n, o, p] = bias[o] + sum over c, i of weight[o, c, i] * x[n, c, s*p + d*i - padding]``, where s is stride, d dilation, c
    runs over the channels of o's group, and
    x is 0, or what ``padding_mode`` takes from within, beyond its edges.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (int,)
        Size of the kernel, distance between its places, distance between its elements.
    padding : int or (int,), or {'same', 'valid'}
        How far x goes on beyond each edge; 'same' (with stride 1) keeps the size, 'valid' is 0.
    groups : int
        Into how many groups the channels are divided, each convolved by itself; ``groups=in_channels`` is depthwise.
    bias : bool
        Whether there is a bias.
    padding_mode : {'zeros', 'reflect', 'replicate', 'circular'}
    dtype : {'float32', 'float64'}
        Of the parameters and of the computation; input of another real dtype is converted.
    init : {'he', 'torch'}
        How the parameters start. 'he': weights uniform in +-sqrt(6 / fan_in) (He et al., 2015) and zero biases. 'torch': both uniform in
        +-1/sqrt(fan_in), as PyTorch has it. fan_in is ``weight[0].size``.
    seed : int, optional
        Of the initial values; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (out_channels, in_channels / groups, kernel_size)
    bias : numpy.ndarray, shape (out_channels,), or None

    Raises
    ------
    ValueError
        If a setting is outside what is allowed, or the input is not (N, in_channels, L) or (in_channels, L) with room for the kernel.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.Conv1d(3, 8, 3, stride=2, padding=1, seed=0)
    >>> layer(np.ones((5, 3, 10))).shape
    (5, 8, 5)
    """

    _axes = 1


class Conv2d(_Convolution):
    """A convolution (cross-correlation) over two axes.

    ``y[n, o, p, q] = bias[o] + sum over c, i, j of weight[o, c, i, j] * x[n, c, s*p + d*i - padding, s*q + d*j - padding]``,
    where s is stride, d dilation, c runs over the channels of o's group, and
    x is 0, or what ``padding_mode`` takes from within, beyond its edges.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (int, int)
        Size of the kernel, distance between its places, distance between its elements.
    padding : int or (int, int), or {'same', 'valid'}
        How far x goes on beyond each edge; 'same' (with stride 1) keeps the size, 'valid' is 0.
    groups : int
        Into how many groups the channels are divided, each convolved by itself; ``groups=in_channels`` is depthwise.
    bias : bool
        Whether there is a bias.
    padding_mode : {'zeros', 'reflect', 'replicate', 'circular'}
    dtype : {'float32', 'float64'}
        Of the parameters and of the computation; input of another real dtype is converted.
    init : {'he', 'torch'}
        How the parameters start. 'he': weights uniform in +-sqrt(6 / fan_in) (He et al., 2015) and zero biases. 'torch': both uniform in
        +-1/sqrt(fan_in), as PyTorch has it. fan_in is ``weight[0].size``.
    seed : int, optional
        Of the initial values; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (out_channels, in_channels / groups, *kernel_size)
    bias : numpy.ndarray, shape (out_channels,), or None

    Raises
    ------
    ValueError
        If a setting is outside what is allowed, or the input is not (N, in_channels, H, W) or (in_channels, H, W) with room for the kernel.

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
    """The transpose of a convolution over one axis: what takes a convolution's output back to the size of its input.

    ``y[n, o, s*p + d*i - padding] = bias[o] + sum of weight[c, o, i] * x[n, c, p]`` over all c, p and i that lead there; s is
    stride, d dilation.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or (int,)
        Those of the convolution whose transpose this is.
    output_padding : int or (int,)
        How much larger y is than the smallest size that the convolution takes to that of x; less than stride or dilation.
    groups : int
        Into how many groups the channels are divided, each by itself.
    bias : bool
        Whether there is a bias.
    padding_mode : {'zeros'}
    dtype : {'float32', 'float64'}
        Of the parameters and of the computation; input of another real dtype is converted.
    init : {'he', 'torch'}
        How the parameters start, as in `Conv1d`.
    seed : int, optional
        Of the initial values; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (in_channels, out_channels / groups, kernel_size)
    bias : numpy.ndarray, shape (out_channels,), or None

    Raises
    ------
    ValueError
        If a setting is outside what is allowed, or the input is not (N, in_channels, L) or (in_channels, L).

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.ConvTranspose1d(8, 3, 3, stride=2, padding=1, output_padding=1, seed=0)
    >>> layer(np.ones((5, 8, 5))).shape
    (5, 3, 10)
    """

    _axes = 1


class ConvTranspose2d(_Transposed):
    """The transpose of a convolution over two axes: what takes a convolution's output back to the size of its input.

    ``y[n, o, s*p + d*i - padding, s*q + d*j - padding] = bias[o] + sum of weight[c, o, i, j] * x[n, c, p, q]`` over all c, p, q
    and i, j that lead there; s is stride, d dilation.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or (int, int)
        Those of the convolution whose transpose this is.
    output_padding : int or (int, int)
        How much larger y is than the smallest size that the convolution takes to that of x; less than stride or dilation.
    groups : int
        Into how many groups the channels are divided, each by itself.
    bias : bool
        Whether there is a bias.
    padding_mode : {'zeros'}
    dtype : {'float32', 'float64'}
        Of the parameters and of the computation; input of another real dtype is converted.
    init : {'he', 'torch'}
        How the parameters start, as in `Conv2d`.
    seed : int, optional
        Of the initial values; None draws a fresh one.

    Attributes
    ----------
    weight : numpy.ndarray, shape (in_channels, out_channels / groups, *kernel_size)
    bias : numpy.ndarray, shape (out_channels,), or None

    Raises
    ------
    ValueError
        If a setting is outside what is allowed, or the input is not (N, in_channels, H, W) or (in_channels, H, W).

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.ConvTranspose2d(8, 3, 3, stride=2, padding=1, output_padding=1, seed=0)
    >>> layer(np.ones((5, 8, 5, 5))).shape
    (5, 3, 10, 10)
    """

    _axes = 2


class Unfold(ChannelsFirst):
    """The windows of an image as columns: (N, C, H, W) becomes (N, C * kernel elements, windows).

    Parameters
    ----------
    kernel_size : int or (int, int)
    dilation, padding, stride : int or (int, int)
        As in `Conv2d`.

    Raises
    ------
    ValueError
        If a setting is outside what is allowed, or the input is not (N, C, H, W) or (C, H, W) with room for a window.

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
        ends = zip(size, self.kernel_size, self.stride, self.dilation, self.padding, strict=True)
        builder.add("fold", where, (folds, *(number for axis in ends for number in axis)))

    def _build(self, builder: Builder, where: str) -> None:
        if len(builder.shape) != 3:
            raise ValueError(f"{where}: a sample of shape {builder.shape} is not (C, H, W)")
        self._add(builder, where, False, builder.shape[1:])

    def get_config(self) -> dict[str, Any]:
        rest = {"dilation": plain(self.dilation), "padding": plain(self.padding), "stride": plain(self.stride)}
        defaults = {"dilation": 1, "padding": 0, "stride": 1}
        return {"kernel_size": plain(self.kernel_size), **{k: v for k, v in rest.items() if v != defaults[k]}}


class Fold(Unfold):
    r"""Columns summed back into an image, the transpose of `Unfold`: (N, C * kernel elements, windows) becomes (N, C, \*output_size).

    Parameters
    ----------
    output_size : int or (int, int)
        Of the image.
    kernel_size, dilation, padding, stride : int or (int, int)
        Those of the `Unfold` that made the columns.

    Raises
    ------
    ValueError
        If a setting is outside what is allowed, or the input does not hold the columns of such an image.

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
            raise ValueError(f"Fold: expected an array of shape (N, C * kernel elements, windows) or one sample of it, got shape {x.shape}")
        return (x.shape[0], x.shape[1:], True) if x.ndim == 3 else (1, x.shape, False)

    def _build(self, builder: Builder, where: str) -> None:
        self._add(builder, where, True, self.output_size)

    def get_config(self) -> dict[str, Any]:
        return {"output_size": plain(self.output_size), **super().get_config()}
