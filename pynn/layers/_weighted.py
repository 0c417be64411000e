"""Base classes of layers with a weight and a bias, which users read and assign as plain arrays."""

from __future__ import annotations

from numpy.typing import ArrayLike

from .._arrays import Array
from ._base import Layer


class Weighted(Layer, abstract=True):
    """A layer with a weight."""

    @property
    def weight(self) -> Array:
        """The weights: not a copy. Assigning copies values into the array."""
        return self._parameters["weight"].data

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        self._assign("weight", value)


class Biased(Weighted, abstract=True):
    """A layer with a weight and an optional bias."""

    @property
    def bias(self) -> Array | None:
        """The biases, or None: not a copy. Assigning copies values into the array."""
        return self._array("bias")

    @bias.setter
    def bias(self, value: ArrayLike) -> None:
        self._assign("bias", value)
