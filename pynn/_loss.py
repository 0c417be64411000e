"""What all losses share: the call, its gradients, and the reduction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from ._layer import Array, real_array
from ._tables import Parameters

REDUCTIONS = ("mean", "sum", "none", "batchmean")
_IN_CORE = {"mean": 0, "sum": 1, "none": 1, "batchmean": 2}


class Loss:
    """The base of every loss: ``L = loss(input, target)`` and ``g = loss.backward()``."""

    reduction: str
    _index: int
    _row: Mapping[str, Any]
    _parameters: Parameters

    def __init__(self, values: Mapping[str, Any] | None = None, reduction: str = "mean") -> None:
        allowed = REDUCTIONS[: 4 if type(self).__name__ == "KLDivLoss" else 3]
        if reduction not in allowed:
            raise ValueError(f"reduction: expected {', '.join(map(repr, allowed[:-1]))} or {allowed[-1]!r}, got {reduction!r}")
        self.reduction = reduction
        self._values = dict(values or {})
        for name in ("weight", "pos_weight"):
            if self._values.get(name) is not None:
                self._values[name] = _weight(self._values[name], name)
        self._grads: tuple[Array, ...] | None = None
        self._shape: tuple[int, ...] = ()

    def __getattr__(self, name: str) -> Any:
        """Return a setting, such as ``loss.delta``."""
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the loss; each loss says what it takes."""
        raise NotImplementedError(f"{type(self).__name__} has no call of its own")

    # ---- the core's view ------------------------------------------------------------------------------------------
    def _in_core(self, weight: Array | None, pos_weight: Array | None, each: bool) -> tuple[Any, ...]:
        numbers = tuple(float(self._values[name]) for name, default in self._parameters.defaults.items() if default is not None)
        return self._index, _IN_CORE[self.reduction], numbers, weight, pos_weight, each

    @property
    def _criterion(self) -> tuple[Any, ...]:
        """What `fit` hands to the core: weights are one a column of the output."""
        return self._in_core(self._values.get("weight"), self._values.get("pos_weight"), False)

    def _weights(self, x: Array) -> tuple[Any, ...]:
        """Return what the core takes for predictions of the shape of ``x``: weights one a class, or spread over the elements."""
        weights = {name: self._values.get(name) for name in ("weight", "pos_weight")}
        if self._row["kind"] == "e":
            spread = {name: _broadcast(w, x.shape, name) for name, w in weights.items()}
            return self._in_core(spread["weight"], spread["pos_weight"], True)
        columns = (_classes_last(x) if self._by_class else x).shape[-1:]
        weight = weights["weight"]
        if weight is not None and weight.shape != columns:
            raise ValueError(f"weight: shape {weight.shape} does not fit input of shape {x.shape}; expected {columns}, one a class")
        return self._in_core(weight, None, False)

    @property
    def _by_class(self) -> bool:
        return self._row["target"] in "cp"

    # ---- a call ---------------------------------------------------------------------------------------------------
    def _run(self, given: Mapping[str, Any], sample_weight: ArrayLike | None) -> Any:
        """Compute the loss of the arrays of a call, by name and in the order of the row, and keep the gradients."""
        arrays = {name: real_array(a, name) for name, a in given.items()}
        names = [name for name in arrays if name != "target"]
        x = arrays[names[0]]
        if x.dtype not in (np.float32, np.float64):
            x = x.astype(np.float64)
        inputs = [x, *(_same_shape(arrays[name], x, name, names[0]) for name in names[1:])]
        values, batch = self._check_shape(x, names[0])
        target = self._check_target(arrays["target"], x, values, names[0]) if "target" in arrays else None
        weight = None if sample_weight is None else _samples(sample_weight, values if self._by_class else batch, batch)
        rows = [self._as_rows(a) for a in inputs]
        result, each, grads = _core.loss(self._weights(x), tuple(rows), target, weight, self.reduction == "none")
        self._grads = tuple(_unbroadcast(self._from_rows(g, x), arrays[name].shape) for g, name in zip(grads, names, strict=True))
        self._shape = values
        return x.dtype.type(result) if each is None else each.reshape(values)

    def _check_shape(self, x: Array, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shape of the values, and that of the batch."""
        kind = self._row["kind"]
        if kind == "e":
            return x.shape, x.shape[:1]
        if self._by_class:
            if x.ndim < 1:
                raise ValueError(f"{name}: expected shape (rows, classes, ...) or (classes,), got {x.shape}")
            return _classes_last(x).shape[:-1], x.shape[:1] if x.ndim > 1 else ()
        if x.ndim not in (1, 2):
            raise ValueError(f"{name}: expected shape (rows, columns) or (columns,), got {x.shape}")
        return x.shape[:-1], x.shape[:-1]

    def _check_target(self, t: Array, x: Array, values: tuple[int, ...], name: str) -> Array:
        """Return the target as the core reads it: rows as those of the predictions, or one number a row."""
        kind = self._row["target"]
        labels = kind == "c" or (kind == "p" and t.dtype.kind in "iu")
        expected = values if labels else x.shape
        if t.shape != expected:
            raise ValueError(f"target: shape {t.shape} does not fit {name} of shape {x.shape}; expected {expected}")
        return t if labels else self._as_rows(t)

    def _as_rows(self, a: Array) -> Array:
        if self._row["kind"] == "e":
            return a.reshape(a.shape[0] if a.ndim else 1, math.prod(a.shape[1:]))
        a = _classes_last(a) if self._by_class else a
        return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])

    def _from_rows(self, g: Array, x: Array) -> Array:
        if not self._by_class or x.ndim < 3:
            return g.reshape(x.shape)
        return np.moveaxis(g.reshape(_classes_last(x).shape), -1, 1)

    # ---- backward -------------------------------------------------------------------------------------------------
    def backward(self, g: ArrayLike | None = None) -> Any:
        """Return dL/dinput of the last call, a tuple where the loss takes several inputs.

        Parameters
        ----------
        g : array_like, optional
            With ``reduction="none"``, and only then: the gradient of each value.
        """
        if self._grads is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a call before it: L = loss(input, target)")
        if self.reduction != "none":
            if g is not None:
                raise TypeError(f"g: only reduction='none' takes one, this loss has reduction={self.reduction!r}")
            found = tuple(grad.copy() for grad in self._grads)
        else:
            if g is None:
                raise TypeError("g: reduction='none' needs the gradient of each value")
            each = real_array(g, "g")
            if each.shape != self._shape:
                raise ValueError(f"g: shape {each.shape} differs from the values' {self._shape}")
            found = tuple(self._times(grad, each) for grad in self._grads)
        return found if len(found) > 1 else found[0]

    def _times(self, grad: Array, each: Array) -> Array:
        if self._by_class and grad.ndim > 1:
            each = np.expand_dims(each, 1)
        elif self._row["kind"] != "e":
            each = each.reshape(each.shape + (1,) * (grad.ndim - each.ndim))
        return np.asarray(grad * each, grad.dtype)

    # ---- settings -------------------------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make a loss like this one, as plain JSON types."""
        plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in self._values.items()}
        return {**plain, "reduction": self.reduction}

    def __repr__(self) -> str:
        defaults = self._parameters.defaults
        shown = [f"{k}={v!r}" for k, v in self.get_config().items() if k == "reduction" or v != defaults[k]]
        return f"{type(self).__name__}({', '.join(shown)})"


def _weight(given: Any, name: str) -> Array:
    """Return weights as a float64 array of their own."""
    w = np.array(real_array(given, name), np.float64)
    if not np.isfinite(w).all():
        raise ValueError(f"{name}: {w[~np.isfinite(w)].flat[0]} is not a finite number")
    return w


def _broadcast(a: Array | None, shape: tuple[int, ...], name: str) -> Array | None:
    if a is None:
        return None
    try:
        return np.broadcast_to(a, shape)
    except ValueError:
        raise ValueError(f"{name}: shape {a.shape} does not broadcast to that of input, {shape}") from None


def _classes_last(x: Array) -> Array:
    return np.moveaxis(x, 1, -1) if x.ndim > 2 else x


def _same_shape(a: Array, x: Array, name: str, first: str) -> Array:
    if a.shape == x.shape:
        return a
    raise ValueError(f"{name}: shape {a.shape} differs from that of {first}, {x.shape}")


def _samples(given: ArrayLike, values: tuple[int, ...], batch: tuple[int, ...]) -> Array:
    """Return one weight a row of the core: one a sample given, or one a value."""
    w = real_array(given, "sample_weight")
    if w.shape not in (values, batch):
        raise ValueError(f"sample_weight: shape {w.shape} does not fit; expected {' or '.join(map(str, dict.fromkeys((batch, values))))}")
    return np.broadcast_to(w.reshape(w.shape + (1,) * (len(values) - w.ndim)), values).ravel()


def _unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    return g
