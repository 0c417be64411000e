"""Pooling layers, which reduce each window of the input to one number."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import real_array
from .._graph import Builder, Symbol
from .conv import ChannelsFirst, Sizes, per_axis, plain

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "LPPool1d",
    "LPPool2d",
    "MaxPool1d",
    "MaxPool2d",
]


def __dir__() -> list[str]:
    return __all__



class _Pool(ChannelsFirst, abstract=True):
    """Base class of all pooling layers."""

    _operation: ClassVar[str]
    return_indices = False

    def _window_config(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Return the core's settings along the axes (axes...) of an image."""
        raise NotImplementedError

    def _pooling_config(self) -> dict[str, float]:
        """Return the core's settings that differ from those that most poolings have."""
        return {}

    def _build(self, builder: Builder, where: str) -> None:
        if len(builder.shape) != self._axes + 1:
            expected = "(C, L)" if self._axes == 1 else "(C, H, W)"
            raise ValueError(f"{where}: expected a sample of shape {expected}, got {builder.shape}")
        start = builder.nodes
        usual = {"power": 0.0, "divisor": 0.0, "count_include_pad": False, "ceil_mode": False}
        config = {**usual, **self._pooling_config(), **self._window_config(builder.shape[1:])}
        y = builder.add("pooling", where, {"operation": self._operation, **config})
        if self.return_indices:
            builder.nodes = (y, builder.add("pooling", where, {"operation": f"{self._operation}_index", **config}, inputs=start))

    def __call__(self, *xs: ArrayLike) -> Any:
        if not self.return_indices or isinstance(xs[0], Symbol):
            return super().__call__(*xs)
        x = real_array(xs[0], "x")
        half = x.dtype == np.float16  # the indices would be float16 too, which cannot represent large ones
        y, index = super().__call__(x.astype(np.float32) if half else x)
        return y.astype(np.float16) if half else y, index.astype(np.int64)

    def backward(self, *gys: ArrayLike) -> Any:
        if self.return_indices and len(gys) == 1:
            gys = (gys[0], np.zeros_like(real_array(gys[0], "gy")))
        return super().backward(*gys)


class _WindowedPool(_Pool, abstract=True):
    """Base class of pooling with a kernel size and a stride."""

    def __init__(self, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> None:
        super().__init__()
        axes = self._axes
        self.kernel_size = per_axis("kernel_size", kernel_size, axes, 1)
        self.stride = self.kernel_size if stride is None else per_axis("stride", stride, axes, 1)
        self.padding = per_axis("padding", padding, axes)
        self.dilation = per_axis("dilation", dilation, axes, 1)
        self.ceil_mode = bool(ceil_mode)
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        if any(2 * p > r for p, r in zip(self.padding, reach, strict=True)):
            raise ValueError(f"padding: expected at most half of the window {plain(tuple(reach))!r}, got {padding!r}")

    def _window_config(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        fields = {"kernel_size": self.kernel_size, "stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        return {**fields, "output_size": (0,) * len(shape)}

    def _pooling_config(self) -> dict[str, float]:
        return {"ceil_mode": self.ceil_mode}

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"kernel_size": plain(self.kernel_size)}
        if self.stride != self.kernel_size:
            config["stride"] = plain(self.stride)
        rest = {"padding": plain(self.padding), "dilation": plain(self.dilation), "ceil_mode": self.ceil_mode}
        rest["return_indices"] = self.return_indices
        defaults = {"padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False}
        return {**config, **{k: v for k, v in rest.items() if v != defaults[k]}}


class _MaxPool(_WindowedPool, abstract=True):
    _operation = "max"
    _text = """Maximum of each window over {axes}.

    ``y[p] = max over i of x[s*p + d*i - padding]``, with stride s and dilation d. Padding is never the maximum; a NaN always is. Input
    {batch} or {sample}; the output has the same number of axes.

    Parameters
    ----------
    kernel_size : {size}
        The size of a window.
    stride : {size}, optional
        The distance between windows. Default: `kernel_size`.
    padding : {size}
        The padding on each side of the input, at most half of a window.
    dilation : {size}
        The distance between the elements of a window.
    return_indices : bool
        Whether a call returns ``(y, indices)``. Each index (int64) is the position of the maximum in its flattened channel.
    ceil_mode : bool
        Whether the last window may extend past the end.

    Raises
    ------
    ValueError
        If an argument is out of range, the input has another shape, or it is smaller than a window.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.{cls}(2)(np.array({x}))
    {result}
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        self.return_indices = bool(return_indices)


class _AvgPool(_WindowedPool, abstract=True):
    _operation = "mean"
    _text = """Mean of each window over {axes}.

    ``y[p] = sum over i of x[s*p + i - padding] / kernel elements``, with stride s. Input {batch} or {sample}; the output has the same
    number of axes.

    Parameters
    ----------
    kernel_size : {size}
        The size of a window.
    stride : {size}, optional
        The distance between windows. Default: `kernel_size`.
    padding : {size}
        The number of zeros on each side of the input, at most half of a window.
    ceil_mode : bool
        Whether the last window may extend past the end.
    count_include_pad : bool
        Whether the divisor counts the padding.{more}

    Raises
    ------
    ValueError
        If an argument is out of range, the input has another shape, or it is smaller than a window.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.{cls}(2)(np.array({x}))
    {result}
    """
    divisor_override: int | None = None

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        self.count_include_pad = bool(count_include_pad)

    def _pooling_config(self) -> dict[str, float]:
        fields = {"divisor": float(self.divisor_override or 0), "count_include_pad": self.count_include_pad}
        return {**fields, **super()._pooling_config()}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **({} if self.count_include_pad else {"count_include_pad": False})}


class _LPPool(_WindowedPool, abstract=True):
    _operation = "norm"
    _text = """p-norm of each window over {axes}.

    ``y[p] = (sum over i of x[s*p + i]**norm_type)**(1 / norm_type)``, with stride s. The gradient is 0 where y is 0. Input {batch} or
    {sample}; the output has the same number of axes.

    Parameters
    ----------
    norm_type : float
        The exponent: 1 gives sums, and large values approach the maximum.
    kernel_size : {size}
        The size of a window.
    stride : {size}, optional
        The distance between windows. Default: `kernel_size`.
    ceil_mode : bool
        Whether the last window may extend past the end. Its sum is then scaled up to a full window, as in PyTorch.

    Raises
    ------
    ValueError
        If an argument is out of range, the input has another shape, or it is smaller than a window.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.{cls}(2, 1)(np.array({x}))
    {result}
    """

    def __init__(self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False) -> None:
        super().__init__(kernel_size, stride, 0, 1, ceil_mode)
        if not (isinstance(norm_type, (int, float)) and 0 < norm_type < np.inf):
            raise ValueError(f"norm_type: expected a number above 0, got {norm_type!r}")
        self.norm_type = norm_type

    def _pooling_config(self) -> dict[str, float]:
        return {"power": float(self.norm_type), **super()._pooling_config()}

    def get_config(self) -> dict[str, Any]:
        return {"norm_type": self.norm_type, **super().get_config()}


class _Adaptive(_Pool, abstract=True):
    """Base class of pooling to a given output size."""

    def __init__(self, output_size: int | tuple[int | None, ...] | None) -> None:
        super().__init__()
        sizes = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * self._axes
        known = iter(per_axis("output_size", tuple(1 if s is None else s for s in sizes), self._axes, 1))
        self.output_size = tuple(None if s is None else n for s, n in zip(sizes, known, strict=False))

    def _window_config(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        ones = (1,) * len(shape)
        sizes = tuple(n if size is None else size for n, size in zip(shape, self.output_size, strict=True))
        return {"kernel_size": ones, "stride": ones, "padding": (0,) * len(shape), "dilation": ones, "output_size": sizes}

    def get_config(self) -> dict[str, Any]:
        size = self.output_size[0] if len(set(self.output_size)) == 1 else self.output_size
        return {"output_size": size, **({"return_indices": True} if self.return_indices else {})}


class _AdaptiveAvg(_Adaptive, abstract=True):
    _operation = "mean"
    _text = """Mean of windows over {axes}, for a given output size.

    Window i of m along an axis of n elements runs from floor(i n / m) to ceil((i + 1) n / m). Input {batch} or {sample}; the output has
    the same number of axes.

    Parameters
    ----------
    output_size : int or None{pair}
        The number of windows; None preserves the size of the input.

    Raises
    ------
    ValueError
        If a size is below 1, or the input has another shape.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.{cls}(1)(np.array({x}))
    {result}
    """


class _AdaptiveMax(_Adaptive, abstract=True):
    _operation = "max"
    _text = """Maximum of windows over {axes}, for a given output size.

    The windows are those of `AdaptiveAvgPool{n}d`. Input {batch} or {sample}; the output has the same number of axes.

    Parameters
    ----------
    output_size : int or None{pair}
        The number of windows; None preserves the size of the input.
    return_indices : bool
        Whether a call returns ``(y, indices)``. Each index (int64) is the position of the maximum in its flattened channel.

    Raises
    ------
    ValueError
        If a size is below 1, or the input has another shape.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.{cls}(1)(np.array({x}))
    {result}
    """

    def __init__(self, output_size: int | tuple[int | None, ...] | None, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = bool(return_indices)


class _Global(_Adaptive, abstract=True):
    """Base class of pooling of whole channels."""

    def __init__(self) -> None:
        super().__init__(1)

    def _build(self, builder: Builder, where: str) -> None:
        super()._build(builder, where)
        builder.add("reshape", where, {"shape": (builder.shape[0],)})

    def get_config(self) -> dict[str, Any]:
        return {}


class _GlobalAvg(_Global, abstract=True):
    _operation = "mean"
    _text = """Mean of each channel.

    Input {batch} or {sample}, output (N, C) or (C,).

    Raises
    ------
    ValueError
        If the input has another number of axes.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.{cls}()(np.array({x}))
    {result}
    """


class _GlobalMax(_Global, abstract=True):
    _operation = "max"
    _text = """Maximum of each channel.

    Input {batch} or {sample}, output (N, C) or (C,).

    Raises
    ------
    ValueError
        If the input has another number of axes.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.{cls}()(np.array({x}))
    {result}
    """


class MaxPool1d(_MaxPool):
    _axes, _result = 1, "array([[[3.]]])"


class MaxPool2d(_MaxPool):
    _axes, _result = 2, "array([[[[5.]]]])"


class AvgPool1d(_AvgPool):
    _axes, _result = 1, "array([[[2.]]])"


class AvgPool2d(_AvgPool):
    _axes, _result = 2, "array([[[[3.]]]])"
    _more = "\ndivisor_override : int, optional\n    The divisor of the sum; default: the number of elements of a window."

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        known = divisor_override is None or (type(divisor_override) is int and divisor_override != 0)
        if not known:
            raise ValueError(f"divisor_override: expected a nonzero integer or None, got {divisor_override!r}")
        self.divisor_override = divisor_override

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **({} if self.divisor_override is None else {"divisor_override": self.divisor_override})}


class LPPool1d(_LPPool):
    _axes, _result = 1, "array([[[1., 3.]]])"


class LPPool2d(_LPPool):
    _axes, _result = 2, "array([[[[1., 3.],\n         [3., 5.]]]])"


class AdaptiveAvgPool1d(_AdaptiveAvg):
    _axes, _result = 1, "array([[[2.]]])"


class AdaptiveAvgPool2d(_AdaptiveAvg):
    _axes, _result = 2, "array([[[[3.]]]])"


class AdaptiveMaxPool1d(_AdaptiveMax):
    _axes, _result = 1, "array([[[3.]]])"


class AdaptiveMaxPool2d(_AdaptiveMax):
    _axes, _result = 2, "array([[[[5.]]]])"


class GlobalAvgPool1d(_GlobalAvg):
    _axes, _result = 1, "array([[2.]])"


class GlobalAvgPool2d(_GlobalAvg):
    _axes, _result = 2, "array([[3.]])"


class GlobalMaxPool1d(_GlobalMax):
    _axes, _result = 1, "array([[3.]])"


class GlobalMaxPool2d(_GlobalMax):
    _axes, _result = 2, "array([[5.]])"
