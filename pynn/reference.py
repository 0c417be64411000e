"""The arithmetic of the core in plain NumPy: to read, to teach from, and to test the core against.

Every function here is the textbook's formula, one array at a time and in the dtype of its input. The core computes the same
in another order, so results agree to rounding and not to the bit.

Examples
--------
>>> import numpy as np, pynn, pynn.reference
>>> layer, x = pynn.Linear(3, 2, dtype="float64", seed=0), np.ones((4, 3))
>>> bool(np.allclose(layer(x), pynn.reference.linear(x, layer.weight, layer.bias)))
True
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core

Array = NDArray[Any]

_ACTIVATIONS = {row["name"]: row for row in _core.ACTIVATIONS}
_LOSSES = {row["name"]: row for row in _core.LOSSES}
_OPTIMIZERS = {row["name"]: row for row in _core.OPTIMIZERS}
_NUMPY = {name: getattr(np, name) for name in ("sqrt", "sign", "clip", "where", "mean", "abs", "maximum", "minimum")}


# ---- layers ---------------------------------------------------------------------------------------------------------
def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return ``x @ weight.T + bias``: x (..., in), weight (out, in), bias (out,)."""
    return np.asarray(x @ weight.T + (0.0 if bias is None else bias))


def linear_backward(x: Array, weight: Array, gy: Array) -> tuple[Array, Array, Array]:
    """Return the gradients of x, weight and bias for ``gy = dL/dy``."""
    rows: Array = x.reshape(-1, x.shape[-1])
    each: Array = gy.reshape(-1, gy.shape[-1])
    return np.asarray(gy @ weight), np.asarray(each.T @ rows), np.asarray(each.sum(0))


def activation(name: str, x: Array, **parameters: float) -> Array:
    """Return the activation of that name, by evaluating the formula of the core's table."""
    names = {**vars(np), "erf": _vectorized(math.erf), "erfc": _vectorized(math.erfc), **parameters, "x": x}
    with np.errstate(all="ignore"):
        return np.asarray(np.asarray(eval(_ACTIVATIONS[name]["formula"], {"__builtins__": {}}, names), x.dtype) + 0 * x)


def activation_backward(name: str, x: Array, gy: Array, h: float = 1e-6, **parameters: float) -> Array:
    """Return the gradient of x by central differences, which know nothing of the derivative that the core computes."""
    rise = activation(name, x + h, **parameters) - activation(name, x - h, **parameters)
    return np.asarray(gy * rise / (2 * h))


def _vectorized(function: Callable[[float], float]) -> Callable[[Array], Array]:
    return np.vectorize(function, otypes=[np.float64])


def softmax(x: Array, axis: int = -1) -> Array:
    """Return ``exp(x) / sum(exp(x))`` along an axis."""
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))


def softmin(x: Array, axis: int = -1) -> Array:
    """Return ``softmax(-x)``."""
    return softmax(-x, axis)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """Return the logarithm of softmax."""
    d = x - x.max(axis, keepdims=True)
    return np.asarray(d - np.log(np.exp(d).sum(axis, keepdims=True)))


def softmax_backward(y: Array, gy: Array, axis: int = -1) -> Array:
    """Return the gradient of softmax's input; y is its output."""
    return np.asarray(y * (gy - (gy * y).sum(axis, keepdims=True)))


def softmin_backward(y: Array, gy: Array, axis: int = -1) -> Array:
    """Return the gradient of softmin's input; y is its output."""
    return -softmax_backward(y, gy, axis)


def log_softmax_backward(y: Array, gy: Array, axis: int = -1) -> Array:
    """Return the gradient of log-softmax's input; y is its output."""
    return np.asarray(gy - np.exp(y) * gy.sum(axis, keepdims=True))


def sparsemax(x: Array, axis: int = -1) -> Array:
    """Return the nearest point to x with entries that are not negative and sum to 1."""
    d = x - x.max(axis, keepdims=True)
    falling = np.flip(np.sort(d, axis), axis)
    k = np.moveaxis(np.arange(1, x.shape[axis] + 1).reshape(-1, *[1] * (x.ndim - 1)), 0, axis)
    return np.maximum(d - ((falling.cumsum(axis) - 1) / k).max(axis, keepdims=True), 0)


def sparsemax_backward(y: Array, gy: Array, axis: int = -1) -> Array:
    """Return the gradient of sparsemax's input; y is its output."""
    inside = y > 0
    mean = np.where(inside, gy, 0).sum(axis, keepdims=True) / inside.sum(axis, keepdims=True)
    return np.where(inside, gy - mean, 0)


def hardmax(x: Array, axis: int = -1) -> Array:
    """Return 1 at the first of the largest entries, 0 elsewhere."""
    y = np.zeros_like(x)
    np.put_along_axis(y, np.expand_dims(x.argmax(axis), axis), 1, axis)
    return y


def hardmax_backward(y: Array, gy: Array, axis: int = -1) -> Array:
    """Return the gradient of hardmax's input, which is 0."""
    return 0 * gy


# ---- losses ---------------------------------------------------------------------------------------------------------
def loss(name: str, x: Array, target: ArrayLike) -> tuple[Array, Array]:
    """Return the values of a loss, one an element or one a row, and the gradient of their sum.

    The target is like x, or for a loss over classes one class index a row.
    """
    t = np.asarray(target)
    if _LOSSES[name]["kind"] == "r" and t.ndim < x.ndim:
        t = np.eye(x.shape[-1], dtype=x.dtype)[t]
    value, grad = _LOSS_BODIES[name](x, t.astype(x.dtype))
    return value, grad


def _l1(x: Array, t: Array) -> tuple[Array, Array]:
    return np.abs(x - t), np.sign(x - t)


def _mse(x: Array, t: Array) -> tuple[Array, Array]:
    return (x - t) ** 2, 2 * (x - t)


def _bce(x: Array, t: Array) -> tuple[Array, Array]:
    with np.errstate(divide="ignore"):
        value = -(t * np.maximum(np.log(x), -100) + (1 - t) * np.maximum(np.log1p(-x), -100))
    return value, (x - t) / np.maximum(x * (1 - x), 1e-12)


def _bce_with_logits(x: Array, t: Array) -> tuple[Array, Array]:
    return np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x))), 1 / (1 + np.exp(-x)) - t


def _cross_entropy(x: Array, t: Array) -> tuple[Array, Array]:
    return -(t * log_softmax(x)).sum(-1), softmax(x) * t.sum(-1, keepdims=True) - t


def _nll(x: Array, t: Array) -> tuple[Array, Array]:
    return -(t * x).sum(-1), -t


_LOSS_BODIES = {"l1": _l1, "mse": _mse, "bce": _bce, "bce_with_logits": _bce_with_logits, "cross_entropy": _cross_entropy, "nll": _nll}


# ---- optimizers -----------------------------------------------------------------------------------------------------
def update(name: str, p: Array, g: Array, state: dict[str, Any], step: int, **hyper: Any) -> Array:
    """Return the parameter after one step, by running the formula of the core's table.

    ``state`` starts empty and is updated; ``step`` counts from 1; ``hyper`` holds every setting of the row.
    """
    row = _OPTIMIZERS[name]
    names = {**_NUMPY, "newton_schulz": newton_schulz, **hyper, "p": p, "g": -g if hyper.get("maximize") else g, "t": float(step)}
    if "eps" in names and isinstance(names["eps"], tuple):
        names["eps"] = (np.finfo(p.dtype).eps if names["eps"][0] is None else names["eps"][0], names["eps"][1])
    kept = [word.partition("?")[0].partition(":")[0].partition("=") for word in f"{row['states']} {row['numbers']}".split()]
    for key, _, start in kept:
        names[key] = state.get(key, 0.0 * p + (hyper[start] if start in hyper else float(start or 0)))
    with np.errstate(all="ignore"):
        exec(row["formula"], {"__builtins__": {}}, names)
    state.update({key: names[key] for key, _, _ in kept})
    return np.asarray(names["p"])


def newton_schulz(x: Array, coefficients: tuple[float, float, float], steps: float, eps: float) -> Array:
    """Return a matrix near the closest orthogonal one to ``x``: ``x = a x + (b G + c G G) x`` with ``G = x x'``, ``steps`` times."""
    a, b, c = coefficients
    x = x / max(float(np.linalg.norm(x)), eps)
    for _ in range(int(steps)):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return np.asarray(x)
