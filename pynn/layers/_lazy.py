"""Layers whose input size is that of their first input."""

from __future__ import annotations

from typing import Any, ClassVar

from .._arrays import check_dtype
from .._graph import Builder, _set, moment
from .._random import skip_initial_values
from ._base import Layer


class Lazy(Layer, abstract=True):
    """Base class of layers that become a layer of another class with their first input."""

    _eager: ClassVar[Any]
    """The class that the layer becomes."""
    _axis: ClassVar[int]
    """The axis of a sample whose length is the first argument of that class."""

    def _set(self, settings: dict[str, Any], options: dict[str, Any]) -> None:
        """Store the arguments, after checking them."""
        super().__init__()
        with skip_initial_values(2**62):
            self._eager(settings.get("groups", 1), **settings, **options)
        self._arguments, self._options = settings, options
        self.dtype = check_dtype(options["dtype"])

    def _build(self, builder: Builder, where: str) -> None:
        if not builder.shape:
            raise ValueError(f"{where}: expected samples with axes, got single numbers")
        self._become(int(builder.shape[self._axis]))
        self._build(builder, where)

    def _become(self, size: int) -> None:
        """Become a layer for inputs of this size, with initial values."""
        options = {**self._options, "dtype": self.dtype}
        made = self._eager(size, **self._arguments, **options)
        for name, value in vars(made).items():
            if name not in ("_owners", "_training", "_changes"):
                _set(self, name, value)
        del self._arguments, self._options
        self.__class__ = self._eager
        _set(self, "_since", moment())
        self._drop_plans()

    @property
    def weight(self) -> Any:
        """Not available before the first input."""
        raise AttributeError(f"{type(self).__name__}: the weights are created with the first input; call the layer or the net once")

    @property
    def bias(self) -> Any:
        """Not available before the first input."""
        return self.weight

    def get_config(self) -> dict[str, Any]:
        defaults = {"dtype": "float32", "init": "he", "seed": None}
        options = {**self._options, "dtype": self.dtype}
        return {**self._arguments, **{name: value for name, value in options.items() if value != defaults[name]}}
