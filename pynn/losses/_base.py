"""Base classes of losses: the call, its gradients and the reduction."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._arrays import Array, is_float, real_array
from .._hints import missing_attribute
from .._tables import Parameters

_IN_CORE = {"mean": 0, "sum": 1, "none": 1, "batchmean": 2}
REDUCTIONS = (*_IN_CORE,)


class _Kept:
    """The results and settings of a loss's last call.

    Attributes
    ----------
    grads : tuple of numpy.ndarray
        The gradients of the inputs; None before the first call, empty after ``backward`` has returned them.
    values : tuple of int
        The shape of the values.
    shapes : list of tuple of int
        The shapes of the inputs, where they differ from those of the gradients.
    seen : list
        Shapes and dtypes of all arrays, if they were passed to the core unchanged. Calls with the same ones skip validation.
    criterion : tuple
        The loss and its settings in the core's form.
    """

    __slots__ = ("criterion", "grads", "seen", "shapes", "values")

    def __init__(
        self,
        grads: tuple[Array, ...] | None = None,
        values: tuple[int, ...] = (),
        shapes: list[tuple[int, ...]] | None = None,
        seen: list[Any] | None = None,
        criterion: tuple[Any, ...] = (),
    ) -> None:
        self.grads, self.values, self.shapes, self.seen, self.criterion = grads, values, shapes, seen, criterion


class Loss:
    """Base class of losses: ``L = loss(input, target)`` and ``g = loss.backward()``."""

    reduction: str
    _index: int
    _row: Mapping[str, Any]
    _parameters: Parameters

    def __init__(self, values: Mapping[str, Any] | None = None, reduction: str = "mean") -> None:
        allowed = REDUCTIONS if self._row["has_batchmean"] else REDUCTIONS[:3]
        if reduction not in allowed:
            raise ValueError(f"reduction: expected {', '.join(map(repr, allowed[:-1]))} or {allowed[-1]!r}, got {reduction!r}")
        self.reduction = reduction
        self._values = dict(values or {})
        for name, value in self._values.items():
            if isinstance(value, float) and math.isnan(value):
                raise ValueError(f"{type(self).__name__}: {name} must be a number, got nan")
            if type(value) is int and not -(2**63) <= value < 2**63:
                raise ValueError(f"{type(self).__name__}: {name} must fit 64 bits, got {value}")
        for name in ("weight", "pos_weight"):
            if self._values.get(name) is not None:
                self._values[name] = _weight(self._values[name], name)
        self._numbers = tuple(v if type(v) is int else float(v) for v in self._values.values() if isinstance(v, (bool, int, float)))
        self._kept = _Kept()

    def __getattr__(self, name: str) -> Any:
        """Return a setting, such as ``loss.delta``."""
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        raise missing_attribute("loss", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Settings are fixed when the loss is created."""
        if name in self.__dict__.get("_values", ()):
            raise AttributeError(f"{name} cannot be changed after a {type(self).__name__} is created; create a new one")
        super().__setattr__(name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the loss. Subclasses define the arguments."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the results of the last call, so that ``backward`` of a copy needs a call first."""
        return {k: v for k, v in self.__dict__.items() if k != "_kept"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _kept=_Kept())

    # ---- the core's view ------------------------------------------------------------------------------------------
    def _in_core(self, weight: Array | None, pos_weight: Array | None, each: bool) -> tuple[Any, ...]:
        return self._index, _IN_CORE[self.reduction], self._numbers, weight, pos_weight, each

    @property
    def _criterion(self) -> Any:
        """The loss as `fit` passes it to the core, with one weight per column of the output."""
        return self._in_core(self._values.get("weight"), self._values.get("pos_weight"), False)

    def _weights(self, x: Array) -> tuple[Any, ...]:
        """Return the loss in the core's form for predictions of the shape of ``x``, with one weight per class or per element."""
        weights = {name: self._values.get(name) for name in ("weight", "pos_weight")}
        if weights["weight"] is None and weights["pos_weight"] is None:
            return self._in_core(None, None, False)
        if self._row["kind"] == "e":
            spread = {name: _broadcast(w, x.shape, name) for name, w in weights.items()}
            return self._in_core(spread["weight"], spread["pos_weight"], True)
        columns = (_classes_last(x) if self._by_class else x).shape[-1:]
        weight = weights["weight"]
        if weight is not None and weight.shape != columns:
            raise ValueError(f"weight: shape {weight.shape} does not fit input of shape {x.shape}; expected {columns}, one per class")
        return self._in_core(weight, None, False)

    @property
    def _by_class(self) -> bool:
        return self._row["target"] in "cp"

    def values_shape(self, output: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the loss values of one sample of an output in `fit`."""
        return {"e": output, "b": output[:-1], "r": output[1:]}.get(self._row["kind"], ())

    def _sample_weights(self, given: ArrayLike, x: Array, values: tuple[int, ...], batch: tuple[int, ...]) -> Array:
        """Return weights in the core's form, one per row or one per value."""
        w = _samples(given, values, batch)
        if self.reduction == "mean":
            w = scaled_weights(w)[0]
        elif np.abs(w).max(initial=0.0) > np.finfo(x.dtype).max:
            raise ValueError(f"sample_weight: {np.abs(w).max()} is too large for {x.dtype}")
        if self._row["kind"] != "e" and w.shape != values:
            w = np.broadcast_to(w.reshape(w.shape + (1,) * (len(values) - w.ndim)), values)
        return w.ravel()

    # ---- a call ---------------------------------------------------------------------------------------------------
    def _run(self, given: dict[str, Any], sample_weight: ArrayLike | None) -> Any:
        """Compute the loss and keep the gradients. The arrays are given by name, in the order of the row."""
        kept, seen = self._kept, [(a.shape, a.dtype) if type(a) is np.ndarray else None for a in given.values()]
        kept.grads = None  # a failed call must not leave the gradient of an earlier one
        if seen != kept.seen or sample_weight is not None:
            return self._run_unseen(given, sample_weight, seen)
        target = given.pop("target", None)
        inputs = tuple(given.values())
        result, each, kept.grads = _core.loss(kept.criterion, inputs, target, None, self.reduction == "none")
        return inputs[0].dtype.type(result) if each is None else each.reshape(kept.values)

    def _run_unseen(self, given: Mapping[str, Any], sample_weight: ArrayLike | None, seen: list[Any]) -> Any:
        """Validate and convert the arrays, compute the loss and keep the gradients."""
        arrays = {name: real_array(a, name) for name, a in given.items()}
        names = [name for name in arrays if name != "target"]
        x = arrays[names[0]]
        x = _as_computed(x)
        inputs = [x, *(self._as_first(arrays[name], x, name, names[0]) for name in names[1:])]
        values, batch = self._check_shape(x, names[0])
        target = self._check_target(arrays["target"], x, values, names[0]) if "target" in arrays else None
        weight = None if sample_weight is None else self._sample_weights(sample_weight, x, values, batch)
        rows = [self._as_rows(a) for a in inputs]
        criterion = self._weights(x)
        result, each, grads = _core.loss(criterion, tuple(rows), target, weight, self.reduction == "none")
        shapes = [arrays[name].shape for name in names]
        plain = None not in seen and x.ndim == 2 and all(a is given[name] for a, name in zip(inputs, names, strict=True))
        self._kept = _Kept(
            grads=tuple(self._from_rows(g, x) for g in grads),
            values=values,
            shapes=shapes if any(shape != x.shape for shape in shapes) else None,
            seen=seen if plain else None,
            criterion=criterion,
        )
        return x.dtype.type(result) if each is None else each.reshape(values)

    def _check_shape(self, x: Array, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of the values and of the batch."""
        kind = self._row["kind"]
        if kind == "e":
            return x.shape, x.shape[:1]
        if kind == "w":
            if x.ndim < 1:
                raise ValueError(f"{name}: expected shape (samples, ...), got {x.shape}")
            return x.shape[:1], x.shape[:1]
        if kind == "b":
            if x.shape[-1:] != (4,):
                raise ValueError(f"{name}: expected boxes of shape (..., 4), got {x.shape}")
            return x.shape[:-1], x.shape[:1] if x.ndim > 1 else ()
        if self._by_class:
            if x.ndim < 1:
                raise ValueError(f"{name}: expected shape (rows, classes, ...) or (classes,), got {x.shape}")
            return _classes_last(x).shape[:-1], x.shape[:1] if x.ndim > 1 else ()
        if x.ndim not in (1, 2):
            raise ValueError(f"{name}: expected shape (rows, columns) or (columns,), got {x.shape}")
        return x.shape[:-1], x.shape[:-1]

    def _check_target(self, t: Array, x: Array, values: tuple[int, ...], name: str) -> Array:
        """Return the target in the core's form: rows like those of the predictions, or one number per row."""
        kind = self._row["target"]
        labels = kind in "ci" or (kind == "p" and t.dtype.kind in "iu")
        one_a_row = labels or (kind == "s" and self._row["kind"] == "r")
        expected = values if one_a_row else x.shape
        if t.shape != expected:
            raise ValueError(f"target: shape {t.shape} does not fit {name} of shape {x.shape}; expected {expected}")
        return t if one_a_row else self._as_rows(t)

    def _as_first(self, a: Array, x: Array, name: str, first: str) -> Array:
        """Return another input in the shape of the first. A variance may have one number per row, per column or in all."""
        if a.shape == x.shape:
            return a
        if self._row["has_variance"]:
            spread = a[..., None] if a.shape == x.shape[:-1] else a
            if all(n in (1, m) for n, m in zip(spread.shape[::-1], x.shape[::-1], strict=False)) and spread.ndim <= x.ndim:
                return np.broadcast_to(spread, x.shape)
        raise ValueError(f"{name}: shape {a.shape} differs from that of {first}, {x.shape}")

    def _as_rows(self, a: Array) -> Array:
        if self._row["kind"] in "ew":
            return a.reshape(a.shape[0] if a.ndim else 1, math.prod(a.shape[1:]))
        a = _classes_last(a) if self._by_class else a
        return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])

    def _from_rows(self, g: Array, x: Array) -> Array:
        if not self._by_class or x.ndim < 3:
            return g.reshape(x.shape)
        return np.moveaxis(g.reshape(_classes_last(x).shape), -1, 1)

    # ---- backward -------------------------------------------------------------------------------------------------
    def backward(self, g: ArrayLike | None = None) -> Any:
        """Return the gradient of the last call with respect to its input, or a tuple for several inputs. Call it once per call.

        Parameters
        ----------
        g : array_like, optional
            The gradient of each value. Required with ``reduction="none"`` and not allowed otherwise.

        Raises
        ------
        RuntimeError
            If there was no call since the last ``backward``, or the last call failed.
        """
        kept = self._kept
        if not kept.grads:
            name = type(self).__name__
            if kept.grads is None:
                raise RuntimeError(f"{name}.backward needs a preceding call: L = loss(input, target)")
            once = f"{name}.backward: the gradient of the last call has been returned already"
            raise RuntimeError(f"{once}; call the loss before each backward, keep what backward returned, or use one loss object per call")
        if self.reduction != "none":
            if g is not None:
                raise TypeError(f"g: not allowed with reduction={self.reduction!r}, only with 'none'")
            found = kept.grads
        else:
            if g is None:
                raise TypeError("g: required with reduction='none': the gradient of each value")
            each = real_array(g, "g")
            if each.shape != kept.values:
                raise ValueError(f"g: expected the shape of the values, {kept.values}, got {each.shape}")
            found = tuple(self._times(grad, each) for grad in kept.grads)
        kept.grads = ()
        if kept.shapes:
            found = tuple(_as_given(grad, shape) for grad, shape in zip(found, kept.shapes, strict=True))
        return found if len(found) > 1 else found[0]

    def _times(self, grad: Array, each: Array) -> Array:
        if self._by_class and grad.ndim > 1:
            each = np.expand_dims(each, 1)
        elif self._row["kind"] != "e":
            each = each.reshape(each.shape + (1,) * (grad.ndim - each.ndim))
        return np.asarray(grad * each, grad.dtype)

    # ---- settings -------------------------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """Return the arguments that create a loss like this one, as plain JSON types."""
        plain = {name: value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value for name, value in self._values.items()}
        return {**plain, "reduction": self.reduction}

    def __repr__(self) -> str:
        defaults = self._parameters.defaults
        shown = [f"{k}={v!r}" for k, v in self.get_config().items() if k == "reduction" or v != defaults[k]]
        return f"{type(self).__name__}({', '.join(shown)})"


def _as_computed(x: Array) -> Array:
    """Return predictions in the dtype of the computation: float32 and float64 are kept, other dtypes become float64."""
    dtype = x.dtype.newbyteorder("=") if is_float(x, 4, 8) else np.dtype(np.float64)
    return x.astype(dtype, copy=False)


def _weight(given: Any, name: str) -> Array:
    """Return a copy of the weights as a float64 array."""
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


def _as_given(g: Array, shape: tuple[int, ...]) -> Array:
    """Return a gradient in the shape of the given input, summed over axes along which the input was broadcast."""
    if g.shape == shape:
        return g
    kept = (*shape, 1) if shape == g.shape[:-1] else (1,) * (g.ndim - len(shape)) + shape
    axes = tuple(i for i, n in enumerate(kept) if n == 1)
    return np.asarray(g.sum(axes, dtype=np.float64).reshape(shape), g.dtype)


def _samples(given: ArrayLike, values: tuple[int, ...], batch: tuple[int, ...]) -> Array:
    """Return weights in double precision, one per sample or one per value."""
    w = real_array(given, "sample_weight").astype(np.float64)
    if w.shape not in (values, batch):
        raise ValueError(f"sample_weight: shape {w.shape} does not fit; expected {' or '.join(map(str, dict.fromkeys((batch, values))))}")
    check_finite_weights(w, "sample_weight")
    return w


def check_finite_weights(w: Array, name: str) -> None:
    """Raise ValueError if a weight is not finite."""
    if not np.isfinite(w).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(w))[0])
        raise ValueError(f"{name}: {w[at]} in row {at[0] if at else 0} is not a finite number")


def scaled_weights(w: Array) -> tuple[Array, float]:
    """Return weights divided by a power of two that leaves the largest magnitude near 1, and that power.

    A mean divides by the weights, so scaling them does not change it. Weights near 1 neither overflow nor underflow in float32.
    """
    largest = float(np.abs(w).max(initial=0.0))
    if largest == 0.0:
        return w, 1.0
    exponent = int(np.frexp(largest)[1]) - 1
    return np.ldexp(w, -exponent), float(np.ldexp(1.0, exponent))


class SequenceLoss(Loss):
    """Base class of losses over sequences of different lengths."""

    def _run(self, given: Mapping[str, Any], sample_weight: ArrayLike | None = None) -> Any:
        self._kept.grads = None
        x, labels = real_array(given["log_probs"], "log_probs"), np.asarray(given["targets"])
        x = _as_computed(x)
        if x.ndim not in (2, 3):
            raise ValueError(f"log_probs: expected shape (steps, sequences, classes) or (steps, classes), got {x.shape}")
        rows, batch = x.shape[1:2] if x.ndim == 3 else (), x.shape[1] if x.ndim == 3 else 1
        inputs, targets = (_lengths(given[name], name, rows) for name in ("input_lengths", "target_lengths"))
        if labels.shape[:-1] not in ((), (batch,)) or labels.ndim < 1:
            raise ValueError(f"targets: shape {labels.shape} does not fit; expected {(batch, 'longest')}, or one axis with all labels")
        starts = np.cumsum(targets) - targets if labels.ndim == 1 else np.arange(batch) * labels.shape[1]
        if labels.ndim == 2 and (targets > labels.shape[1]).any():
            raise ValueError(f"target_lengths: {targets.max()} is more than the {labels.shape[1]} columns of targets")
        core, each = self._in_core(None, None, False), self.reduction == "none"
        result, values, grads = _core.sequences(core, x.reshape(len(x), batch, x.shape[-1]), labels, starts, inputs, targets, each)
        self._kept = _Kept((grads[0].reshape(x.shape),), rows)
        return x.dtype.type(result) if values is None else values.reshape(rows)

    def _times(self, grad: Array, each: Array) -> Array:
        return np.asarray(grad * each[..., None], grad.dtype)


def _lengths(given: Any, name: str, rows: tuple[int, ...]) -> NDArray[np.int64]:
    found = np.asarray(given)
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got {found.dtype}")
    if found.shape != rows and found.size != math.prod(rows):
        raise ValueError(f"{name}: shape {found.shape} does not fit; expected {rows}, one per sequence")
    return found.reshape(-1).astype(np.int64)


class FunctionLoss(Loss):
    """A custom loss: a function that returns the value and the gradient.

    Parameters
    ----------
    function : callable
        Called as ``function(input, target)`` with the input as an ndarray of float32 or float64, and the target as an ndarray.
        Returns ``(value, gradient)``. The value is a number, which is the loss itself, or an array with one value per sample (of shape
        ``input.shape[:1]``) or per element. The gradient is that of the number, or of the sum of the array, in the shape of the input.
    reduction : {'mean', 'sum', 'none'}
        The reduction of an array of values.

    Notes
    -----
    `fit` calls the function with copies of each batch, on the thread that called `fit`. Targets may have any dtype and shape, with one
    row per sample. A value that is one number counts as the mean over the samples of the batch, or with ``reduction="sum"`` as their
    sum. An exception in the function ends training and is raised by `fit`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> def relative(x, t):
    ...     return ((x - t) / t) ** 2, 2 * (x - t) / t**2
    >>> loss = pynn.losses.FunctionLoss(relative)
    >>> float(loss([1.0, 3.0], [2.0, 2.0]))
    0.25
    >>> loss.backward()
    array([-0.25,  0.25])
    """

    _row: Mapping[str, Any] = {
        **{"name": "", "cls": "FunctionLoss", "kind": "e", "target": "r", "takes": "", "metric": "n", "inputs": "input target"},
        **{"has_variance": False, "has_batchmean": False, "from_logits": ""},
    }

    def __init__(self, function: Callable[[Array, Array], tuple[Any, Any]], *, reduction: str = "mean") -> None:
        if not callable(function):
            raise TypeError(f"function: expected a callable that returns (value, gradient), got {function!r}")
        super().__init__({}, reduction)
        self.function = function

    @property
    def _criterion(self) -> Callable[..., tuple[float, float, Array]]:
        """The function that the core calls for each batch in `fit`."""
        return self._of_rows

    def _of_rows(self, x: Array, t: Array, weight: Array | None) -> tuple[float, float, Array]:
        """Return the sum of the values, what a mean divides it by, and the gradient of their quotient."""
        value, divisor, grad = self._values_of(x, t, weight)
        if value.shape == () and self.reduction == "mean":
            return float(value) * len(x), len(x), grad
        return float(value.sum(dtype=np.float64)), divisor, grad

    def _values_of(self, x: Array, t: Array, weight: Array | None) -> tuple[Array, float, Array]:
        """Return the values times their weights, what a mean divides by, and the gradient of the reduced loss."""
        result = self.function(x, t)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"function: expected it to return (value, gradient), got {type(result).__name__}")
        value, grad = (np.asarray(a, x.dtype) for a in result)
        if grad.shape != x.shape:
            raise ValueError(f"function: its gradient has shape {grad.shape}, expected {x.shape} as input")
        if value.shape not in ((), x.shape[:1], x.shape):
            raise ValueError(f"function: its value has shape {value.shape}, expected (), {x.shape[:1]} or {x.shape}")
        if not value.ndim and x.ndim:
            if weight is not None or self.reduction == "none":
                raise ValueError("function: sample_weight and reduction='none' need an array of values, it returned one number")
            return value, 1.0, grad.copy()
        w = np.ones(x.shape[:1], x.dtype) if weight is None else weight
        if w.ndim > value.ndim:
            raise ValueError(f"sample_weight: shape {w.shape} does not fit the function's values of shape {value.shape}")
        share = math.prod(value.shape[w.ndim :])
        divisor = float(np.abs(w).sum(dtype=np.float64)) * share if self.reduction == "mean" else 1.0
        with np.errstate(invalid="ignore"):
            return value * _lead(w, value), divisor, np.asarray(grad * _lead(w, x) / (divisor or 1.0), x.dtype)

    def __call__(self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None) -> Any:
        """Return the loss, and keep its gradient for ``backward``.

        Parameters
        ----------
        input, target : array_like
            The arguments of the function.
        sample_weight : array_like, optional
            One number per sample, if the function returns an array of values, or one per value. A mean divides by the sum of their
            magnitudes.

        Raises
        ------
        ValueError
            If the value or the gradient of the function has a wrong shape.
        """
        self._kept.grads = None
        x, t = real_array(input, "input"), np.asarray(target)
        x = _as_computed(x)
        weight = None if sample_weight is None else self._sample_weights(sample_weight, x, x.shape, x.shape[:1])
        if weight is not None:
            weight = weight.astype(x.dtype).reshape(x.shape[:1] if weight.size == math.prod(x.shape[:1]) else x.shape)
        value, divisor, grad = self._values_of(x, t, weight)
        self._kept = _Kept((grad,), value.shape)
        if self.reduction == "none":
            return value
        with np.errstate(invalid="ignore"):
            return x.dtype.type(value.sum(dtype=np.float64) / np.float64(divisor))

    def _times(self, grad: Array, each: Array) -> Array:
        return np.asarray(grad * _lead(each, grad), grad.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"function": self.function, "reduction": self.reduction}

    def __repr__(self) -> str:
        return f"FunctionLoss({getattr(self.function, '__name__', self.function)}, reduction={self.reduction!r})"


def _lead(w: Array, a: Array) -> Array:
    """Append axes of length 1 to ``w`` so that it broadcasts against ``a``."""
    return w.reshape(w.shape + (1,) * (a.ndim - w.ndim))
