"""The core's computations in plain NumPy, for reading, for teaching, and as a reference for tests.

Every function implements the textbook formula in the dtype of its input. The core sums in another order, so results agree up to
rounding.

Examples
--------
>>> import numpy as np, pynn, pynn.reference
>>> layer, x = pynn.Linear(3, 2, dtype="float64", seed=0), np.ones((4, 3))
>>> bool(np.allclose(layer(x), pynn.reference.linear(x, layer.weight, layer.bias)))
True
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._tables import parse_parameters

__all__ = [
    "activation",
    "activation_backward",
    "boxes",
    "conv2d",
    "conv_transpose2d",
    "ctc",
    "glu",
    "group_norm",
    "hardmax",
    "hardmax_backward",
    "linear",
    "linear_backward",
    "local_response_norm",
    "log_softmax",
    "log_softmax_backward",
    "loss",
    "maxout",
    "newton_schulz",
    "normalize",
    "pad",
    "philox",
    "pixel_shuffle",
    "pool2d",
    "prelu",
    "resize",
    "softmax",
    "softmax_backward",
    "softmin",
    "softmin_backward",
    "sparsemax",
    "sparsemax_backward",
    "update",
]


def __dir__() -> list[str]:
    return __all__


Array = NDArray[Any]

_ACTIVATIONS = {row["name"]: row for row in _core.ACTIVATIONS}
_LOSSES = {row["name"]: row for row in _core.LOSSES}
_OPTIMIZERS = {row["name"]: row for row in _core.OPTIMIZERS}
_NUMPY = {name: getattr(np, name) for name in ("sqrt", "sign", "clip", "where", "mean", "abs", "maximum", "minimum")}
_LOSS_NAMES = {
    **{"len": len, "largest": np.max, **_NUMPY},
    **{name: getattr(np, name) for name in ("cosh", "exp", "log", "log1p", "pi", "sum")},
}


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
    """Return the named activation by evaluating the formula in the core's table."""
    names = {**vars(np), "erf": _vectorized(math.erf), "erfc": _vectorized(math.erfc), **parameters, "x": x}
    with np.errstate(all="ignore"):
        return np.asarray(np.asarray(eval(_ACTIVATIONS[name]["formula"], {"__builtins__": {}}, names), x.dtype) + 0 * x)


def activation_backward(name: str, x: Array, gy: Array, h: float = 1e-6, **parameters: float) -> Array:
    """Return the gradient of x by central differences, independently of the core's derivative."""
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
    """Return the nearest point to x whose entries are non-negative and sum to 1."""
    d = x - x.max(axis, keepdims=True)
    falling = np.flip(np.sort(d, axis), axis)
    k = np.moveaxis(np.arange(1, x.shape[axis] + 1).reshape(-1, *[1] * (x.ndim - 1)), 0, axis)
    return np.asarray(np.maximum(d - ((falling.cumsum(axis) - 1) / k).max(axis, keepdims=True), 0))


def sparsemax_backward(y: Array, gy: Array, axis: int = -1) -> Array:
    """Return the gradient of sparsemax's input; y is its output."""
    inside = y > 0
    mean = np.where(inside, gy, 0).sum(axis, keepdims=True) / inside.sum(axis, keepdims=True)
    return np.where(inside, gy - mean, 0)


def hardmax(x: Array, axis: int = -1) -> Array:
    """Return 1 at the first maximum and 0 elsewhere."""
    y = np.zeros_like(x)
    np.put_along_axis(y, np.expand_dims(x.argmax(axis), axis), 1, axis)
    return y


def hardmax_backward(y: Array, gy: Array, axis: int = -1) -> Array:
    """Return the gradient of hardmax's input, which is 0."""
    return 0 * gy


# ---- normalization --------------------------------------------------------------------------------------------------
def normalize(
    x: Array, axes: tuple[int, ...], weight: Array | None, bias: Array | None, eps: float, gy: Array, *, centred: bool = True
) -> tuple[Array, Array, Array, Array]:
    """Return ``(x - mean) / sqrt(var + eps) * weight + bias`` with statistics over `axes`, and the gradients of x, weight and bias.

    weight and bias broadcast against x, and their gradients are summed to the shape of weight. If not `centred`, the mean is 0.
    """
    mean = x.mean(axes, keepdims=True) if centred else np.zeros_like(x[:1])
    scale = 1 / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + eps)
    n = (x - mean) * scale
    h = gy * (1.0 if weight is None else weight)
    gx = h - n * (h * n).mean(axes, keepdims=True) - (h.mean(axes, keepdims=True) if centred else 0)
    like = np.zeros_like(x if weight is None else weight)
    y = n * (1.0 if weight is None else weight) + (0.0 if bias is None else bias)
    return y, gx * scale, _sum_like(gy * n, like), _sum_like(gy, like)


def _sum_like(a: Array, like: Array) -> Array:
    """Return `a` summed over the axes that `like` lacks or in which it has size 1."""
    a = a.sum(tuple(range(a.ndim - like.ndim)))
    return np.asarray(a.sum(tuple(i for i, n in enumerate(like.shape) if n == 1), keepdims=True))


def group_norm(x: Array, groups: int, weight: Array | None, bias: Array | None, eps: float, gy: Array) -> tuple[Array, Array, Array, Array]:
    """Return GroupNorm's output and gradients: x (rows, channels, ...), weight and bias (channels, 1, ...)."""
    parted = (len(x), groups, x.shape[1] // groups, *x.shape[2:])
    one, zero = np.ones((x.shape[1], *[1] * (x.ndim - 2))), np.zeros((x.shape[1], *[1] * (x.ndim - 2)))
    w, b = ((d if a is None else a).reshape(groups, -1, *[1] * (x.ndim - 2)) for a, d in ((weight, one), (bias, zero)))
    y, gx, gw, gb = normalize(x.reshape(parted), tuple(range(2, x.ndim + 1)), w, b, eps, gy.reshape(parted))
    return y.reshape(x.shape), gx.reshape(x.shape), gw.reshape(-1), gb.reshape(-1)


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float, gy: Array) -> tuple[Array, Array]:
    """Return ``x / (k + alpha * mean(x**2)) ** beta``, with the mean over `size` adjacent channels, and the gradient of x."""
    channels = np.arange(x.shape[1])
    neighbours = (channels >= channels[:, None] - size // 2) & (channels <= channels[:, None] + (size - 1) // 2)
    d = k + alpha / size * np.einsum("cj,nj...->nc...", neighbours, x**2)
    terms = np.einsum("cj,nc...->nj...", neighbours, gy * x * d ** (-beta - 1))
    return np.asarray(x * d**-beta), np.asarray(gy * d**-beta - 2 * alpha * beta / size * x * terms)


def pad(x: Array, padding: tuple[int, ...], mode: str = "constant", value: float = 0.0) -> Array:
    """Return x padded along its last axes; padding is (left, right, top, bottom, ...), starting with the last axis."""
    pairs = [padding[i : i + 2] for i in range(0, len(padding), 2)]
    widths = [(0, 0)] * (x.ndim - len(pairs)) + [(a, b) for a, b in reversed(pairs)]
    options: dict[str, Any] = {"constant_values": value} if mode == "constant" else {}
    return np.pad(x, widths, {"replicate": "edge", "circular": "wrap"}.get(mode, mode), **options)  # type: ignore[call-overload, no-any-return]


def pixel_shuffle(x: Array, r: int) -> Array:
    """Return (..., C, H r, W r) for x (..., C r r, H, W)."""
    *outer, c, h, w = x.shape
    split = x.reshape(*outer, c // r**2, r, r, h, w)
    k = len(outer)
    return split.transpose(*range(k), k, k + 3, k + 1, k + 4, k + 2).reshape(*outer, c // r**2, h * r, w * r)


def resize(x: Array, length: int, axis: int, mode: str = "linear", align_corners: bool = False) -> Array:
    """Return x resized to `length` along an axis, with nearest-neighbour or linear interpolation."""
    n = x.shape[axis]
    i = np.arange(length)
    if mode == "nearest":
        return np.asarray(np.take(x, i * n // length, axis))
    at = i * (n - 1) / max(length - 1, 1) if align_corners else np.maximum((i + 0.5) * n / length - 0.5, 0)
    low = np.minimum(at.astype(int), n - 1)
    part: Array = (at - low).reshape(-1, *[1] * (x.ndim - 1 - axis % x.ndim))
    return np.asarray((1 - part) * np.take(x, low, axis) + part * np.take(x, np.minimum(low + 1, n - 1), axis))


def prelu(x: Array, weight: Array) -> Array:
    """Return x where it is positive, else ``weight * x``, with one slope in all or one per index of axis 1."""
    slopes = weight if weight.size == 1 else weight.reshape(-1, *[1] * (x.ndim - 2))
    return np.where(x > 0, x, slopes * x)


def glu(x: Array, axis: int = -1, gate: str = "sigmoid") -> Array:
    """Return the first half of an axis times an activation of the second."""
    a, b = np.split(x, 2, axis)
    return np.asarray(a * activation(gate, b))


def maxout(x: Array, pieces: int, axis: int = 1) -> Array:
    """Return the maximum of each group of `pieces` adjacent elements along an axis."""
    axis %= x.ndim
    return np.asarray(x.reshape(*x.shape[:axis], -1, pieces, *x.shape[axis + 1 :]).max(axis + 1))


# ---- random numbers -------------------------------------------------------------------------------------------------
def philox(seed: int, stream: int, index: Array) -> Array:
    """Return the outputs (n, 4) of Philox4x32-10 (Salmon et al., 2011) for a seed, a stream and the counters ``index`` (n)."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    key = [seed & 0xFFFFFFFF, seed >> 32]
    c = [index & low, index >> half, np.full_like(index, stream & 0xFFFFFFFF), np.full_like(index, stream >> 32)]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> half) ^ c[1] ^ np.uint64(key[0]), b & low, (a >> half) ^ c[3] ^ np.uint64(key[1]), a & low]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, -1)


Pair = tuple[int, int]


def conv2d(
    x: Array, weight: Array, bias: Array | None = None, stride: Pair = (1, 1), dilation: Pair = (1, 1), groups: int = 1
) -> Array:
    """Return the convolution of x (N, C, H, W), which is already padded, with weight (O, C / groups, height, width)."""
    height, width = weight.shape[2:]
    rows = (x.shape[2] - dilation[0] * (height - 1) - 1) // stride[0] + 1
    columns = (x.shape[3] - dilation[1] * (width - 1) - 1) // stride[1] + 1
    y = np.zeros((len(x), groups, len(weight) // groups, rows, columns), x.dtype)
    for i, j in np.ndindex(height, width):
        seen = x[:, :, i * dilation[0] :: stride[0], j * dilation[1] :: stride[1]]
        split = seen[:, :, :rows, :columns].reshape(len(x), groups, -1, rows, columns)
        y += np.einsum("ngchw,goc->ngohw", split, weight[:, :, i, j].reshape(groups, -1, weight.shape[1]))
    out: Array = y.reshape(len(x), len(weight), rows, columns)
    return out if bias is None else np.asarray(out + bias[:, None, None])


def conv_transpose2d(
    x: Array, weight: Array, bias: Array | None = None, stride: Pair = (1, 1), dilation: Pair = (1, 1), groups: int = 1
) -> Array:
    """Return the transposed convolution before removal of the padding: x (N, C, H, W), weight (C, O / groups, height, width)."""
    height, width = weight.shape[2:]
    n, c, rows, columns = x.shape
    shape = ((rows - 1) * stride[0] + dilation[0] * (height - 1) + 1, (columns - 1) * stride[1] + dilation[1] * (width - 1) + 1)
    y = np.zeros((n, groups, weight.shape[1], *shape), x.dtype)
    for i, j in np.ndindex(height, width):
        given = np.einsum("ngchw,gco->ngohw", x.reshape(n, groups, -1, rows, columns), weight[:, :, i, j].reshape(groups, c // groups, -1))
        part = y[..., i * dilation[0] :, j * dilation[1] :]
        part[..., : (rows - 1) * stride[0] + 1 : stride[0], : (columns - 1) * stride[1] + 1 : stride[1]] += given
    out: Array = y.reshape(n, -1, *shape)
    return out if bias is None else np.asarray(out + bias[:, None, None])


def pool2d(x: Array, kernel: Pair, stride: Pair, reduce: Callable[..., Array] = np.max) -> Array:
    """Return ``reduce`` (`numpy.max`, `numpy.mean`, ...) of each window of x (N, C, H, W)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, (2, 3))
    return np.asarray(reduce(windows[:, :, :: stride[0], :: stride[1]], axis=(4, 5)))


# ---- losses ---------------------------------------------------------------------------------------------------------
def loss(name: str, inputs: Array | tuple[Array, ...], target: ArrayLike | None = None, **settings: Any) -> Array:
    """Return the values of a loss by evaluating the formula in the core's table, per row or for all elements at once.

    Parameters
    ----------
    name : str
        The name of the loss in the table.
    inputs : ndarray, or a tuple of them
        The inputs of shape (rows, columns), or of any shape for elementwise losses.
    target : array_like, optional
        An array like the first input, one class index per row, or for ``multilabel_margin`` several class indices per row.
    **settings
        The arguments of the loss; the others have their defaults. Box losses also accept ``alpha``, the weight of the aspect ratio.
    """
    row, x = _LOSSES[name], inputs if isinstance(inputs, tuple) else (inputs,)
    given = {**parse_parameters(row["params"]).defaults, **settings}
    names = {**_LOSS_NAMES, **dict(zip("xzn", x, strict=False)), **given, "t": target}
    names["pos_weight"] = _or_one(given.get("pos_weight"))
    weight = _or_one(given.get("weight"))
    with np.errstate(all="ignore"):
        if row["kind"] == "e":
            return np.asarray(eval(row["formula"], {"__builtins__": {}}, names) * weight, x[0].dtype)
        rows = [_row_names(row, [a[i] for a in x], None if target is None else np.asarray(target)[i], given) for i in range(len(x[0]))]
        values = [float(eval(row["formula"], {"__builtins__": {}, **names}, own)) * own["scale"] for own in rows]
    return np.array(values, x[0].dtype)


def _or_one(weight: Any) -> Any:
    return 1.0 if weight is None else np.asarray(weight)


def _row_names(row: Mapping[str, Any], x: list[Array], t: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the formula's names for one row. Class indices become one-hot vectors, smoothed and weighted."""
    names: dict[str, Any] = {**dict(zip("xzn", (a.ravel() for a in x), strict=False)), "t": t, "scale": 1.0}
    if row["kind"] == "b":
        return {**names, **boxes(x[0], t, given["eps"]), **({"alpha": given["alpha"]} if "alpha" in given else {})}
    weight, classes = np.ones(x[0].size) * _or_one(given.get("weight")), x[0].size
    if row["name"] == "multilabel_margin":
        first = [*t, -1].index(-1)
        names["t"] = np.isin(np.arange(classes), t[:first]) * 1.0
    elif row["target"] in "cip" and np.ndim(t) == 0:
        ignored = t == given.get("ignore_index")
        names["scale"] = 0.0 if ignored else float(weight[t])
        names["t"] = np.eye(classes)[0 if ignored else t]
        if row["name"] == "cross_entropy":
            smooth = given["label_smoothing"]
            names |= {"scale": 0.0 if ignored else 1.0, "t": ((1 - smooth) * names["t"] + smooth / classes) * weight}
    elif row["name"] == "cross_entropy":
        names["t"] = ((1 - given["label_smoothing"]) * t + given["label_smoothing"] / classes) * weight
    elif row["kind"] == "w":
        names["t"] = np.ravel(t)
    return {**names, "weight": weight}


def boxes(x: Array, t: Array, eps: float) -> dict[str, float]:
    """Return the terms in the formulas of box losses, for a predicted box and its target, both (x1, y1, x2, y2)."""
    x = np.concatenate([np.minimum(x[:2], x[2:]), np.maximum(x[:2], x[2:])])
    (w, h), (wt, ht) = x[2:] - x[:2], t[2:] - t[:2]
    inside = np.maximum(np.minimum(x[2:], t[2:]) - np.maximum(x[:2], t[:2]), 0)
    hull = np.maximum(x[2:], t[2:]) - np.minimum(x[:2], t[:2])
    centres = (x[:2] + x[2:] - t[:2] - t[2:]) / 2
    found = {"intersection": inside.prod(), "union": w * h + wt * ht - inside.prod(), "hull": hull.prod()}
    ratio = 4 / np.pi**2 * (np.arctan2(wt, ht) - np.arctan2(w, h)) ** 2
    alpha = ratio / (1 - found["intersection"] / (found["union"] + eps) + ratio + eps)
    return {**found, "distance2": (centres**2).sum(), "diagonal2": (hull**2).sum(), "ratio": ratio, "alpha": alpha}


def ctc(log_probs: Array, labels: Array, blank: int = 0) -> float:
    """Return the negative log-likelihood of the labels by enumerating all paths, which is only feasible for few steps and classes."""
    steps, classes = log_probs.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=steps):
        merged = [c for i, c in enumerate(path) if c != blank and (i == 0 or c != path[i - 1])]
        if merged == list(labels):
            total += math.exp(sum(log_probs[i, c] for i, c in enumerate(path)))
    return -math.log(total) if total else math.inf


# ---- optimizers -----------------------------------------------------------------------------------------------------
def update(name: str, p: Array, g: Array, state: dict[str, Any], step: int, **hyper: Any) -> Array:
    """Return the parameter after one step, by executing the formula in the core's table.

    ``state`` is initially empty and is updated; ``step`` counts from 1; ``hyper`` contains every setting of the row.
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
    """Approximate the nearest orthogonal matrix to ``x`` by iterating ``x = a x + (b G + c G G) x`` with ``G = x x'``."""
    a, b, c = coefficients
    x = x / max(float(np.linalg.norm(x)), eps)
    for _ in range(int(steps)):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return np.asarray(x)
