"""Layers of shape: padding, axes in another order or form, pixels from channels, resizing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np

from .._arrays import Array, check_size
from .._graph import Builder
from .._tables import unknown_name
from ._base import Layer

__all__ = [
    "Flatten",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "Reshape",
    "Transpose",
    "Unflatten",
    "Upsample",
]

def check_axis(name: str, value: object) -> int:
    """Return an integer of any sign, or raise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    return int(value)


def split_batch(x: Array, axes: int) -> tuple[int, tuple[int, ...], bool]:
    """Return rows, sample and whether there is a batch for a layer that needs ``axes`` axes in a sample."""
    return (x.shape[0], x.shape[1:], True) if x.ndim > axes else (1, x.shape, False)


# ---- another form, another order ------------------------------------------------------------------------------------
def _unpack(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the integers of ``f(1, 2)`` or of ``f((1, 2))``."""
    one = values[0] if len(values) == 1 else None
    return tuple(one) if isinstance(one, (list, tuple, np.ndarray)) else values


def _sizes(name: str, values: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(check_axis(name, n) for n in values)
    if sizes.count(-1) > 1 or any(n < -1 for n in sizes):
        raise ValueError(f"{name}: expected sizes of 0 or more, one of which may be -1, got {sizes}")
    return sizes


def _infer_size(sizes: tuple[int, ...], elements: int) -> tuple[int, ...]:
    """Return the sizes with what fits in the place of -1; what fits not is the core's to say."""
    known = math.prod(n for n in sizes if n != -1)
    return tuple((elements // known if known else 0) if n == -1 else n for n in sizes)


class Reshape(Layer):
    """Every sample in another form, with the same numbers in the same order.

    Parameters
    ----------
    *shape : int, or one sequence of int
        Shape of one sample, without the batch; one size may be -1, which is inferred.

    Raises
    ------
    ValueError
        If a sample has another number of elements.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Reshape(2, -1)(np.ones((5, 6))).shape
    (5, 2, 3)
    >>> pynn.Reshape((2, -1))
    Reshape(2, -1)
    """

    def __init__(self, *shape: int | Sequence[int]) -> None:
        super().__init__()
        self.shape = _sizes("shape", _unpack(shape))

    def _build(self, builder: Builder, where: str) -> None:
        builder.add("reshape", where, _infer_size(self.shape, math.prod(builder.shape)))

    def get_config(self) -> dict[str, Any]:
        return {"shape": [*self.shape]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(*config["shape"])

    def __repr__(self) -> str:
        return f"Reshape({', '.join(map(repr, self.shape))})"


class Flatten(Layer):
    """Join axes ``start_dim`` to ``end_dim`` into one; by default all but the batch.

    Parameters
    ----------
    start_dim, end_dim : int
        First and last axis to join, counted with the batch.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Flatten()(np.ones((5, 8, 8))).shape
    (5, 64)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = check_axis("start_dim", start_dim), check_axis("end_dim", end_dim)

    def _build(self, builder: Builder, where: str) -> None:
        shape = builder.shape
        first, last = (builder.sample_axis(d, where) for d in (self.start_dim, self.end_dim))
        if first > last:
            raise ValueError(f"{where}: start_dim {self.start_dim} comes after end_dim {self.end_dim}")
        builder.add("reshape", where, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))

    def get_config(self) -> dict[str, Any]:
        return {"start_dim": self.start_dim, "end_dim": self.end_dim}


class Unflatten(Layer):
    """One axis as several.

    Parameters
    ----------
    dim : int
        The axis, counted with the batch.
    unflattened_size : sequence of int
        What it becomes; one size may be -1.

    Raises
    ------
    ValueError
        If the axis has another number of elements.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Unflatten(1, (2, 3))(np.ones((5, 6))).shape
    (5, 2, 3)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = check_axis("dim", dim)
        self.unflattened_size = _sizes("unflattened_size", _unpack((unflattened_size,)))

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return 1, x.shape, False

    def _build(self, builder: Builder, where: str) -> None:
        shape, axis = builder.shape, builder.sample_axis(self.dim, where)
        builder.add("reshape", where, (*shape[:axis], *_infer_size(self.unflattened_size, shape[axis]), *shape[axis + 1 :]))

    def get_config(self) -> dict[str, Any]:
        return {"dim": self.dim, "unflattened_size": [*self.unflattened_size]}


def _permute(builder: Builder, where: str, dims: Sequence[int]) -> None:
    ndim = len(builder.shape) + builder.batched
    if len(dims) != ndim or sorted(d % ndim for d in dims if -ndim <= d < ndim) != [*range(ndim)]:
        raise ValueError(
            f"{where}: dims {tuple(dims)} do not order the axes of an array of {ndim} dimensions, samples of shape {builder.shape}"
        )
    if builder.batched and dims[0] % ndim:
        raise ValueError(f"{where}: axis 0 is the batch here and must stay the first")
    builder.add("permute", where, tuple(d % ndim - builder.batched for d in dims[builder.batched :]))


class Permute(Layer):
    """The axes in another order, as `numpy.transpose` has it.

    Parameters
    ----------
    dims, *more : int, or one sequence of int
        Which axis of the input each axis of the output is, counted with the batch.

    Raises
    ------
    ValueError
        If ``dims`` are not all axes of the input, or in a net the batch would move.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Permute((0, 2, 3, 1))(np.ones((5, 3, 8, 9))).shape
    (5, 8, 9, 3)
    """

    def __init__(self, dims: int | Sequence[int], *more: int) -> None:
        super().__init__()
        self.dims = tuple(check_axis("dims", d) for d in _unpack((dims, *more)))

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return 1, x.shape, False

    def _build(self, builder: Builder, where: str) -> None:
        _permute(builder, where, self.dims)

    def get_config(self) -> dict[str, Any]:
        return {"dims": [*self.dims]}


class Transpose(Layer):
    """Two axes in each other's place.

    Parameters
    ----------
    dim0, dim1 : int
        The axes, counted with the batch.

    Raises
    ------
    ValueError
        If the input has no such axis, or in a net the batch would move.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Transpose(1, 2)(np.ones((5, 3, 8))).shape
    (5, 8, 3)
    """

    def __init__(self, dim0: int, dim1: int) -> None:
        super().__init__()
        self.dim0, self.dim1 = check_axis("dim0", dim0), check_axis("dim1", dim1)

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return 1, x.shape, False

    def _build(self, builder: Builder, where: str) -> None:
        a, b = (builder.sample_axis(d, where) for d in (self.dim0, self.dim1))
        order = [*range(len(builder.shape))]
        order[a], order[b] = b, a
        builder.add("permute", where, tuple(order))

    def get_config(self) -> dict[str, Any]:
        return {"dim0": self.dim0, "dim1": self.dim1}


# ---- images ---------------------------------------------------------------------------------------------------------
class _Pixels(Layer, abstract=True):
    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return split_batch(x, 3)

    def _image(self, builder: Builder, where: str) -> tuple[tuple[int, ...], int, int, int]:
        *outer, c, h, w = builder.shape if len(builder.shape) > 2 else (0, 0, 0)
        if len(builder.shape) < 3:
            raise ValueError(f"{where}: expected a sample of shape (..., channels, height, width), got {builder.shape}")
        return tuple(outer), c, h, w

    def _rearrange(
        self, builder: Builder, where: str, outer: tuple[int, ...], sizes: tuple[int, ...], order: tuple[int, ...], end: tuple[int, ...]
    ) -> None:
        """Take the last axes as ``sizes``, put them in another order, and join them to ``end``."""
        k = len(outer)
        builder.add("reshape", where, (*outer, *sizes))
        builder.add("permute", where, (*range(k), *(k + i for i in order)))
        builder.add("reshape", where, (*outer, *end))


class PixelShuffle(_Pixels):
    """Channels become pixels: input (..., C r r, H, W), output (..., C, H r, W r) (Shi et al., 2016).

    Parameters
    ----------
    upscale_factor : int
        r.

    Raises
    ------
    ValueError
        If the channels do not divide by ``r * r``.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.PixelShuffle(2)(np.arange(4.0).reshape(1, 4, 1, 1))
    array([[[[0., 1.],
             [2., 3.]]]])
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = check_positive("upscale_factor", upscale_factor)

    def _build(self, builder: Builder, where: str) -> None:
        r = self.upscale_factor
        outer, c, h, w = self._image(builder, where)
        if c % (r * r):
            raise ValueError(f"{where}: the {c} channels of a sample of shape {builder.shape} do not divide by {r} * {r}")
        n = c // (r * r)
        self._rearrange(builder, where, outer, (n, r, r, h, w), (0, 3, 1, 4, 2), (n, h * r, w * r))

    def get_config(self) -> dict[str, Any]:
        return {"upscale_factor": self.upscale_factor}


class PixelUnshuffle(_Pixels):
    """Pixels become channels, the inverse of `PixelShuffle`: input (..., C, H r, W r), output (..., C r r, H, W).

    Parameters
    ----------
    downscale_factor : int
        r.

    Raises
    ------
    ValueError
        If height or width do not divide by ``r``.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.PixelUnshuffle(2)(np.arange(4.0).reshape(1, 1, 2, 2)).ravel()
    array([0., 1., 2., 3.])
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = check_positive("downscale_factor", downscale_factor)

    def _build(self, builder: Builder, where: str) -> None:
        r = self.downscale_factor
        outer, c, h, w = self._image(builder, where)
        if h % r or w % r:
            raise ValueError(f"{where}: height and width of a sample of shape {builder.shape} do not divide by {r}")
        self._rearrange(builder, where, outer, (c, h // r, r, w // r, r), (0, 2, 4, 1, 3), (c * r * r, h // r, w // r))

    def get_config(self) -> dict[str, Any]:
        return {"downscale_factor": self.downscale_factor}


_RESIZE = {"nearest": 0, "nearest-exact": 1, "linear": 2, "bilinear": 2, "trilinear": 2, "bicubic": 3}
_RESIZE_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


class Upsample(Layer):
    """Larger, or smaller: all axes behind batch and channels are resized.

    Parameters
    ----------
    size : int or sequence of int, optional
        The new sizes.
    scale_factor : float or sequence of float, optional
        Or how many times the old ones; the product is rounded down.
    mode : {'nearest', 'nearest-exact', 'linear', 'bilinear', 'trilinear', 'bicubic'}
        How numbers in between are found. 'linear' is for one axis, 'bilinear' and 'bicubic' (Keys, 1981, with a = -3/4) for two,
        'trilinear' for three.
    align_corners : bool, optional
        For linear and cubic modes: whether the first and last numbers keep their places, else the borders of the outermost
        cells do.
    recompute_scale_factor : bool, optional
        Whether the new sizes, not ``scale_factor``, decide where the numbers lie.

    Raises
    ------
    ValueError
        If not exactly one of ``size`` and ``scale_factor`` is given, the mode is unknown or does not fit the number of axes.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Upsample(scale_factor=2, mode="linear")(np.array([[[0.0, 4.0]]]))
    array([[[0., 1., 3., 4.]]])
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        if mode not in _RESIZE:
            raise unknown_name("mode", mode, _RESIZE)
        if (size is None) == (scale_factor is None):
            raise ValueError("size, scale_factor: expected exactly one of them")
        if align_corners is not None and mode.startswith("nearest"):
            raise ValueError(f"align_corners: only linear and cubic modes have it, got mode {mode!r}")
        if recompute_scale_factor and size is not None:
            raise ValueError("recompute_scale_factor: it needs scale_factor, got size")
        self.size = None if size is None else _check_each(size, check_size, "size")
        self.scale_factor = None if scale_factor is None else _check_each(scale_factor, _check_factor, "scale_factor")
        self.mode, self.align_corners, self.recompute_scale_factor = mode, align_corners, recompute_scale_factor

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return split_batch(x, 2)

    def _build(self, builder: Builder, where: str) -> None:
        shape = builder.shape
        given: Any = self.size if self.size is not None else self.scale_factor
        wanted = _RESIZE_AXES.get(self.mode, len(shape) - 1 if isinstance(given, (int, float)) else len(given))
        if wanted < 1 or len(shape) != wanted + 1 or (not isinstance(given, (int, float)) and len(given) != wanted):
            raise ValueError(f"{where}: mode {self.mode!r} with {given} does not fit a sample of shape {shape}, which is (channels, ...)")
        values = [given] * wanted if isinstance(given, (int, float)) else given
        for axis in range(wanted, 0, -1):
            value = values[axis - 1]
            length = value if self.size is not None else math.floor(shape[axis] * value)
            step = 1 / value if self.size is None and not self.recompute_scale_factor and not self.align_corners else 0
            builder.add("resize", where, (_RESIZE[self.mode], axis, length, bool(self.align_corners), step))

    def get_config(self) -> dict[str, Any]:
        names = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
        config = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return {name: [*value] if isinstance(value, tuple) else value for name, value in config.items()}


def check_positive(name: str, value: object) -> int:
    """Return an integer of at least 1, or raise."""
    if check_size(name, value) == 0:
        raise ValueError(f"{name}: expected 1 or more, got 0")
    return int(value)  # type: ignore[call-overload, no-any-return]


def _check_factor(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    factor = float(value)
    if not 0 < factor < math.inf:
        raise ValueError(f"{name}: expected a number above 0, got {value}")
    return factor


def _check_each(value: Any, check: Callable[[str, Any], Any], name: str) -> Any:
    """Return a checked value, or a tuple of them."""
    return tuple(check(name, v) for v in value) if isinstance(value, (tuple, list)) else check(name, value)
