"""Padding layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .._arrays import Array
from .._graph import Builder
from ._base import Layer
from .shape import check_axis, split_batch

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


def __dir__() -> list[str]:
    return __all__


_PAD = """Pad the last {which} of the input with {around}.

Input (..., {names}). The output is larger by the padding.

Parameters
----------
padding : int or sequence of {sides} ints
    The number of elements on every side, or on each side: ({order}). A negative number removes elements.{value}

Raises
------
TypeError
    If `padding` does not consist of integers.
ValueError
    If the input has too few axes, nothing would be left{unless}.

Examples
--------
>>> import numpy as np, pynn
>>> pynn.{cls}({arguments})(np.array({given})).ravel()
array([{example}])
"""
_WHICH = {1: ("axis", "length"), 2: ("two axes", "height, width"), 3: ("three axes", "depth, height, width")}
_SIDES = ("left", "right", "top", "bottom", "front", "back")


class _Pad(Layer, abstract=True):
    """Base class of padding layers. A subclass sets the number of padded axes, and its base class the values."""

    _axes: ClassVar[int]
    _mode: ClassVar[str]
    _around: ClassVar[str]
    _unless: ClassVar[str] = ""
    _example: ClassVar[str]

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__(abstract=abstract)
        if "_axes" in vars(cls):
            cls.__doc__ = cls._document()

    @classmethod
    def _document(cls, arguments: str = "{sides}", value: str = "") -> str:
        which, names = _WHICH[cls._axes]
        sides, ends = 2 * cls._axes, "[" * cls._axes
        return _PAD.format(
            around=cls._around,
            which=which,
            names=names,
            sides=sides,
            order=", ".join(_SIDES[:sides]),
            value=value,
            unless=cls._unless,
            cls=cls.__name__,
            arguments=arguments.format(sides=(1, 1, *[0] * (sides - 2))),
            given=f"{ends}1.0, 2.0{']' * len(ends)}",
            example=cls._example,
        )

    def __init__(self, padding: int | Sequence[int], value: float = 0.0) -> None:
        super().__init__()
        sides = 2 * self._axes
        given = [*padding] if isinstance(padding, (Sequence, np.ndarray)) else [padding] * sides
        if len(given) != sides:
            raise ValueError(f"padding: expected an integer or {sides} of them, two per axis starting with the last, got {padding!r}")
        self.padding = tuple(check_axis("padding", n) for n in given)
        self.value = float(value)

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        return split_batch(x, self._axes)

    def _build(self, builder: Builder, where: str) -> None:
        before, after = self.padding[::2][::-1], self.padding[1::2][::-1]
        builder.add("pad", where, {"mode": self._mode, "value": self.value, "before": before, "after": after})

    def get_config(self) -> dict[str, Any]:
        return {"padding": [*self.padding]}


class _ConstantPad(_Pad, abstract=True):
    _mode, _around, _example = "constant", "a constant", "9., 1., 2., 9."

    @classmethod
    def _document(cls, arguments: str = "{sides}, 9.0", value: str = "\nvalue : float\n    The constant to pad with.") -> str:
        return super()._document(arguments, value)

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value": self.value}


class _PlainPad(_Pad, abstract=True):
    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding)


class _ZeroPad(_PlainPad, abstract=True):
    _mode, _around, _example = "constant", "zeros", "0., 1., 2., 0."


class _ReflectionPad(_PlainPad, abstract=True):
    _mode, _around, _example = "reflect", "its mirror image, without repeating the edges", "2., 1., 2., 1."
    _unless = ", or the padding of a side is not smaller than the size of the axis"


class _ReplicationPad(_PlainPad, abstract=True):
    _mode, _around, _example = "replicate", "its edge values", "1., 1., 2., 2."
    _unless = ", or an axis is empty"


class _CircularPad(_PlainPad, abstract=True):
    _mode, _around, _example = "circular", "values from its opposite end", "2., 1., 2., 1."
    _unless = ", or the padding of a side is larger than the size of the axis"


class ConstantPad1d(_ConstantPad):
    _axes = 1


class ConstantPad2d(_ConstantPad):
    _axes = 2


class ConstantPad3d(_ConstantPad):
    _axes = 3


class ZeroPad1d(_ZeroPad):
    _axes = 1


class ZeroPad2d(_ZeroPad):
    _axes = 2


class ZeroPad3d(_ZeroPad):
    _axes = 3


class ReflectionPad1d(_ReflectionPad):
    _axes = 1


class ReflectionPad2d(_ReflectionPad):
    _axes = 2


class ReflectionPad3d(_ReflectionPad):
    _axes = 3


class ReplicationPad1d(_ReplicationPad):
    _axes = 1


class ReplicationPad2d(_ReplicationPad):
    _axes = 2


class ReplicationPad3d(_ReplicationPad):
    _axes = 3


class CircularPad1d(_CircularPad):
    _axes = 1


class CircularPad2d(_CircularPad):
    _axes = 2


class CircularPad3d(_CircularPad):
    _axes = 3
