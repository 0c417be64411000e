"""Layers that change the shape: reshaping, permutation of axes, pixel shuffling and resizing."""

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


def __dir__() -> list[str]:
    return __all__


def check_axis(name: str, value: object) -> int:
    """Return ``value`` as an int; raise TypeError unless it is an integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    return int(value)


def split_batch(x: Array, axes: int) -> tuple[int, tuple[int, ...], bool]:
    """Return the number of rows, the sample shape and whether there is a batch, for samples of at least ``axes`` axes."""
    return (x.shape[0], x.shape[1:], True) if x.ndim > axes else (1, x.shape, False)


# ---- reshaping and permutation --------------------------------------------------------------------------------------
def _unpack(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of ``f(1, 2)`` or ``f((1, 2))`` as a tuple."""
    one = values[0] if len(values) == 1 else None
    return tuple(one) if isinstance(one, (list, tuple, np.ndarray)) else values


def _sizes(name: str, values: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(check_axis(name, n) for n in values)
    if sizes.count(-1) > 1 or any(n < -1 for n in sizes):
        raise ValueError(f"{name}: expected sizes of 0 or more, of which one may be -1, got {sizes}")
    return sizes


def _infer_size(sizes: tuple[int, ...], elements: int) -> tuple[int, ...]:
    """Replace -1 in ``sizes`` by the size that fits; the core checks whether one does."""
    known = math.prod(n for n in sizes if n != -1)
    return tuple((elements // known if known else 0) if n == -1 else n for n in sizes)


class Reshape(Layer):
    """Give each sample another shape, with the same elements in the same order.

    Input (N, ...), output ``(N, *shape)``.

    Parameters
    ----------
    *shape : int, or one sequence of int
        The shape of one sample, without the batch. One size may be -1, which is inferred.

    Raises
    ------
    TypeError
        If a size is not an integer.
    ValueError
        If a size is below -1, several are -1, or a sample has another number of elements.

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
        builder.add("reshape", where, {"shape": _infer_size(self.shape, math.prod(builder.shape))})

    def get_config(self) -> dict[str, Any]:
        return {"shape": [*self.shape]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(*config["shape"])

    def __repr__(self) -> str:
        return f"Reshape({', '.join(map(repr, self.shape))})"


class Flatten(Layer):
    """Flatten the axes from `start_dim` to `end_dim` into one; by default all but the batch.

    Parameters
    ----------
    start_dim, end_dim : int
        The first and the last axis to flatten, counted with the batch.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If the input has no such axis, `start_dim` comes after `end_dim`, or one of them is the batch.

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
        builder.add("reshape", where, {"shape": (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])})

    def get_config(self) -> dict[str, Any]:
        return {"start_dim": self.start_dim, "end_dim": self.end_dim}


class Unflatten(Layer):
    """Split one axis into several.

    Parameters
    ----------
    dim : int
        The axis, counted with the batch.
    unflattened_size : sequence of int
        The sizes of the new axes. One may be -1, which is inferred.

    Raises
    ------
    TypeError
        If an argument does not consist of integers.
    ValueError
        If the input has no axis `dim`, or its size is not the product of the new sizes.

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
        sizes = _infer_size(self.unflattened_size, shape[axis])
        builder.add("reshape", where, {"shape": (*shape[:axis], *sizes, *shape[axis + 1 :])})

    def get_config(self) -> dict[str, Any]:
        return {"dim": self.dim, "unflattened_size": [*self.unflattened_size]}


def _permute(builder: Builder, where: str, dims: Sequence[int]) -> None:
    ndim = len(builder.shape) + builder.batched
    if len(dims) != ndim or sorted(d % ndim for d in dims if -ndim <= d < ndim) != [*range(ndim)]:
        raise ValueError(
            f"{where}: dims {tuple(dims)} are not a permutation of the {ndim} axes of the input, whose samples have shape {builder.shape}"
        )
    if builder.batched and dims[0] % ndim:
        raise ValueError(f"{where}: axis 0 is the batch axis and must remain first")
    builder.add("permute", where, {"axes": tuple(d % ndim - builder.batched for d in dims[builder.batched :])})


class Permute(Layer):
    """Permute the axes, as `numpy.transpose` does.

    Parameters
    ----------
    dims, *more : int, or one sequence of int
        For each axis of the output, the axis of the input, counted with the batch.

    Raises
    ------
    TypeError
        If a value is not an integer.
    ValueError
        If `dims` is not a permutation of the input's axes, or moves the batch axis in a net.

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
    """Swap two axes.

    Parameters
    ----------
    dim0, dim1 : int
        The axes, counted with the batch.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If the input has no such axis, or one of them is the batch axis of a net.

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
        builder.add("permute", where, {"axes": tuple(order)})

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
        """Reshape the last axes to ``sizes``, permute them, and reshape them to ``end``."""
        k = len(outer)
        builder.add("reshape", where, {"shape": (*outer, *sizes)})
        builder.add("permute", where, {"axes": (*range(k), *(k + i for i in order))})
        builder.add("reshape", where, {"shape": (*outer, *end)})


class PixelShuffle(_Pixels):
    """Rearrange groups of r * r channels into blocks of r by r pixels (Shi et al., 2016).

    Input (..., C * r * r, H, W), output (..., C, H * r, W * r), where r is `upscale_factor`.

    Parameters
    ----------
    upscale_factor : int
        The factor by which height and width grow.

    Raises
    ------
    TypeError
        If `upscale_factor` is not an integer.
    ValueError
        If `upscale_factor` is below 1, or the number of channels is not divisible by ``r * r``.

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
            raise ValueError(f"{where}: expected a multiple of {r} * {r} channels, got {c} in a sample of shape {builder.shape}")
        n = c // (r * r)
        self._rearrange(builder, where, outer, (n, r, r, h, w), (0, 3, 1, 4, 2), (n, h * r, w * r))

    def get_config(self) -> dict[str, Any]:
        return {"upscale_factor": self.upscale_factor}


class PixelUnshuffle(_Pixels):
    """Rearrange blocks of r by r pixels into channels, the inverse of `PixelShuffle`.

    Input (..., C, H * r, W * r), output (..., C * r * r, H, W), where r is `downscale_factor`.

    Parameters
    ----------
    downscale_factor : int
        The factor by which height and width shrink.

    Raises
    ------
    TypeError
        If `downscale_factor` is not an integer.
    ValueError
        If `downscale_factor` is below 1, or height or width is not divisible by it.

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
            raise ValueError(f"{where}: height and width must be divisible by {r}, got a sample of shape {builder.shape}")
        self._rearrange(builder, where, outer, (c, h // r, r, w // r, r), (0, 2, 4, 1, 3), (c * r * r, h // r, w // r))

    def get_config(self) -> dict[str, Any]:
        return {"downscale_factor": self.downscale_factor}


_RESIZE = {
    **{"nearest": "nearest", "nearest-exact": "nearest_exact", "bicubic": "cubic"},
    **dict.fromkeys(("linear", "bilinear", "trilinear"), "linear"),
}
"""The core's interpolation along one axis, for each mode."""
_RESIZE_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


class Upsample(Layer):
    """Resize all axes after the batch and the channels.

    Input (N, C, axes...), output (N, C, resized axes...).

    Parameters
    ----------
    size : int or sequence of int, optional
        The new sizes, one for all axes or one per axis. Exactly one of `size` and `scale_factor` must be given.
    scale_factor : float or sequence of float, optional
        The factors for the sizes; products are rounded down.
    mode : {'nearest', 'nearest-exact', 'linear', 'bilinear', 'trilinear', 'bicubic'}
        The interpolation. 'linear' is for one axis, 'bilinear' and 'bicubic' (Keys, 1981, with a = -3/4) for two, 'trilinear' for
        three, the others for any number of axes.
    align_corners : bool, optional
        For linear and cubic modes: if True, the centres of the first and the last element are preserved; otherwise the outer edges
        of these elements.
    recompute_scale_factor : bool, optional
        Whether sampling positions follow from the rounded sizes instead of `scale_factor`.

    Raises
    ------
    TypeError
        If a size or factor is not a number.
    ValueError
        If not exactly one of `size` and `scale_factor` is given, or the mode is unknown or for another number of axes.

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
            given = "neither" if size is None else f"size={size!r} and scale_factor={scale_factor!r}"
            raise ValueError(f"size, scale_factor: expected exactly one of them, got {given}")
        if align_corners is not None and mode.startswith("nearest"):
            raise ValueError(f"align_corners: only supported for linear and cubic modes, got mode {mode!r}; omit it")
        if recompute_scale_factor and size is not None:
            raise ValueError(f"recompute_scale_factor: requires scale_factor, got size={size!r}")
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
            raise ValueError(f"{where}: mode {self.mode!r} with {given} does not fit a sample of shape {shape}; expected (channels, ...)")
        values = [given] * wanted if isinstance(given, (int, float)) else given
        for axis in range(wanted, 0, -1):
            value = values[axis - 1]
            length = value if self.size is not None else math.floor(shape[axis] * value)
            step = 1 / value if self.size is None and not self.recompute_scale_factor and not self.align_corners else 0
            config = {"mode": _RESIZE[self.mode], "axis": axis, "length": length, "align_corners": bool(self.align_corners), "step": step}
            builder.add("resize", where, config)

    def get_config(self) -> dict[str, Any]:
        names = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
        config = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return {name: [*value] if isinstance(value, tuple) else value for name, value in config.items()}


def check_positive(name: str, value: object) -> int:
    """Return ``value`` as an int; raise unless it is an integer of 1 or more."""
    if check_size(name, value) == 0:
        raise ValueError(f"{name}: expected 1 or more, got 0")
    return int(value)  # type: ignore[call-overload, no-any-return]


def _check_factor(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    factor = float(value)
    if not 0 < factor < math.inf:
        raise ValueError(f"{name}: expected a finite number above 0, got {value}")
    return factor


def _check_each(value: Any, check: Callable[[str, Any], Any], name: str) -> Any:
    """Return the checked value, or a tuple of the checked elements of a sequence."""
    return tuple(check(name, v) for v in value) if isinstance(value, (tuple, list)) else check(name, value)
