"""What all losses share: the call, its gradient, and the reduction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from ._layer import Array, real_array

REDUCTIONS = ("mean", "sum", "none")


class Loss:
    """The base of every loss: ``L = loss(input, target)`` and ``g = loss.backward()``."""

    _index: int
    _row: Mapping[str, Any]

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")
        self.reduction = reduction
        self._grad: Array | None = None
        self._values_shape: tuple[int, ...] = ()

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        """Return the loss of predictions against a target, and keep its gradient.

        Parameters
        ----------
        input : array_like
            Predictions; float32 or float64, whose dtype the result has (other real numbers become float64).
            For losses over classes of shape (rows, classes) or (classes,).
        target : array_like
            Like ``input``; or class indices, integers of shape (rows,), where the loss takes them.

        Returns
        -------
        numpy.floating or numpy.ndarray
            A number, or with ``reduction="none"`` an array.

        Raises
        ------
        ValueError
            If shapes differ, a class is out of range, or a target is not finite or outside [0, 1] where it must be.
        TypeError
            If an array does not hold real numbers, or class indices are not integers.
        """
        x, t = real_array(input, "input"), real_array(target, "target")
        if x.dtype not in (np.float32, np.float64):
            x = x.astype(np.float64)
        classes = self._row["kind"] == "r"
        if classes and x.ndim not in (1, 2):
            raise ValueError(f"input: expected shape (rows, classes) or (classes,), got {x.shape}")
        labels = classes and (self._row["target"] == "c" or t.dtype.kind in "iu")
        expected = x.shape[:-1] if labels else x.shape
        if t.shape != expected:
            raise ValueError(f"target: shape {t.shape} does not fit input of shape {x.shape}; expected {expected}")
        rows = x.reshape((math.prod(x.shape[:-1]), x.shape[-1]) if classes else (x.size, 1))
        count = len(rows) if classes else x.size
        scale = 1 / max(count, 1) if self.reduction == "mean" else 1.0
        total, values, grad = _core.loss(self._index, rows, t, scale, self.reduction == "none")
        self._grad = grad.reshape(x.shape)
        self._values_shape = expected if classes else x.shape
        if classes and not labels:
            self._values_shape = x.shape[:-1]
        if values is not None:
            return values.reshape(self._values_shape)
        if self.reduction == "mean":
            total = total / count if count else np.nan
        return x.dtype.type(total)

    def backward(self, g: ArrayLike | None = None) -> Array:
        """Return dL/dinput of the last call; with ``reduction="none"``, ``g`` is the gradient of each value."""
        if self._grad is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a call before it: L = loss(input, target)")
        if self.reduction != "none":
            if g is not None:
                raise TypeError(f"g: only reduction='none' takes one, this loss has reduction={self.reduction!r}")
            return self._grad.copy()
        if g is None:
            raise TypeError("g: reduction='none' needs the gradient of each value")
        each = real_array(g, "g")
        if each.shape != self._values_shape:
            raise ValueError(f"g: shape {each.shape} differs from the values' {self._values_shape}")
        return np.asarray(self._grad * each.reshape(each.shape + (1,) * (self._grad.ndim - each.ndim)), self._grad.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make a loss like this one, as plain JSON types."""
        return {"reduction": self.reduction}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(reduction={self.reduction!r})"
