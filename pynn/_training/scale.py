"""Findings about the scale of training data: unscaled inputs and targets, and targets that the output layer cannot reach."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import Array
from ..layers._base import Layer
from ..losses._base import FunctionLoss, Loss
from .advice import Finding, number, percent

if TYPE_CHECKING:
    from .objective import Objective
    from .score import Scoring

_ROWS, _NUMBERS = 256, 1 << 20
"""The most rows that are examined, and the most numbers of an input."""
_LARGE = {"note": 20.0, "problem": 100.0}
"""Scaling is advised if the root mean square of a column of inputs is at least this."""
_SMALL = {"note": 1e-2, "problem": 1e-4}
"""Scaling is advised if the root mean square of the largest column is at most this."""
_RATIO = 1e3
"""The largest accepted ratio of the standard deviations of two columns."""
_LARGE_TARGET = {"note": 10.0, "problem": 1e3}
_SMALL_TARGET = 1e-3
_UNREACHABLE = 0.05
"""A larger share of targets outside the output layer's range is a problem, a smaller one a note."""


class Observed:
    """A sample of the training data, taken when training starts. Its findings are computed when they are first read."""

    def __init__(self, net: Scoring, data: Sequence[Array], target: Any, objective: Objective | None, part: Any = None) -> None:
        self._found: tuple[Finding, ...] | None = None
        self._inputs = [
            ("X" if len(data) == 1 else f"X[{i}]", _sample(x, part))
            for i, (x, scale_matters) in enumerate(zip(data, net._scale_matters(len(data)), strict=True))
            if scale_matters
        ]
        self._targets: list[tuple[str, Array, Loss, str, Layer | None]] = []
        targets = target if isinstance(target, tuple) else (target,)
        for i, (loss, t) in enumerate(zip(objective.losses, targets, strict=True) if objective is not None else ()):
            if t is not None and objective is not None and t.dtype.kind in "fiub":
                path = objective.lasts[i][0]
                layer = next((one for name, one in net._leaves() if name == path), None) if path not in objective.skip else None
                self._targets.append(("y" if len(targets) == 1 else f"y[{i}]", _sample(t), loss, path, layer))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings about the sample."""
        return self.examine()

    def examine(self) -> tuple[Finding, ...]:
        """Return the findings, and release the sample."""
        if self._found is None:
            with np.errstate(all="ignore"):
                found = [one for name, x in self._inputs for one in _of_input(name, _finite(x))]
                for name, t, loss, path, layer in self._targets:
                    if _compares(loss):
                        found += _of_target(name, _finite(t), path, layer)
            self._found, self._inputs, self._targets = tuple(found), [], []
        return self._found


def scale_matters(layer: Layer) -> bool | None:
    """Return whether a layer's parameters multiply its unscaled input; None if it has no parameters and passes the input on."""
    for leaf in (leaf for _, leaf in layer._leaves()) if layer._children() else (layer,):
        if leaf._accepts_any_scale:
            return False
        if leaf.parameters():
            return True
    return None


def _sample(a: Array, part: Any = None) -> Array:
    """Return up to 256 evenly spaced rows of an array, or of a part of its rows, as float64."""
    most = max(1, min(_ROWS, _NUMBERS // max(1, math.prod(a.shape[1:]))))
    chosen = slice(None, None, max(1, -(-len(a if part is None else part) // most)))
    return np.array(a[chosen if part is None else part[chosen]], dtype=np.float64)


def _finite(sample: Array) -> Array:
    """Return the rows that hold neither NaN nor infinity."""
    return sample[np.isfinite(sample.reshape(len(sample), -1)).all(1)]


def _of_input(name: str, x: Array) -> list[Finding]:
    """Return the findings about an input: about each column of a table, or about images as a whole."""
    if not x.size:
        return []
    columns = x if x.ndim == 2 else x.reshape(-1, 1)
    size = _root_mean_square(columns)
    at = int(size.argmax())
    where = f"column {at} of {name}" if len(size) > 1 else name
    most, top = float(size[at]), float(np.abs(columns[:, at]).max())
    cure = f"standardise the inputs: ({name} - mean) / standard deviation"
    for level in ("problem", "note"):
        if most >= _LARGE[level]:
            return [Finding(level, "input scale", name, f"{where} has values up to {number(top)}; {cure}")]
        if 0 < most <= _SMALL[level]:
            return [Finding(level, "input scale", name, f"no value of {name} is larger than {number(top)}; {cure}")]
    spread = columns.std(0)
    spread = spread[spread > 1e-9 * most]  # a constant column has none
    if spread.size and spread.max() > _RATIO * spread.min():
        ratio = number(spread.max() / spread.min())
        return [Finding("note", "input scale", name, f"one column of {name} varies {ratio} times more than another; {cure}")]
    return []


def _of_target(name: str, t: Array, path: str, layer: Layer | None) -> list[Finding]:
    if not t.size:
        return []
    low, high = value_range(layer)
    slack = 0.01 * (high - low if np.isfinite(high - low) else 1.0)
    outside = float(np.mean((t < low - slack) | (t > high + slack)))
    if outside:
        limits = f"between {number(low)} and {number(high)}" if np.isfinite(high - low) else (
            f"at least {number(low)}" if np.isfinite(low) else f"at most {number(high)}"
        )  # fmt: skip
        text = f"its outputs are {limits}, but {percent(outside)} of {name} (from {number(t.min())} to {number(t.max())}) is not"
        cure = f"end in a linear layer without {type(layer).__name__}, or rescale the targets"
        return [Finding("problem" if outside >= _UNREACHABLE else "note", "range", path, f"{text}; {cure}", "layer")]
    size, top = float(_root_mean_square(t.reshape(-1, 1))[0]), float(np.abs(t).max())
    cure = "train on (y - mean) / standard deviation, and undo that on predictions"
    for level in ("problem", "note"):
        if size >= _LARGE_TARGET[level]:
            return [Finding(level, "target scale", name, f"{name} has values up to {number(top)}; {cure}")]
    if 0 < top <= _SMALL_TARGET:
        return [Finding("note", "target scale", name, f"no value of {name} is larger than {number(top)}; {cure}")]
    return []


def _root_mean_square(columns: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("ij,ij->j", columns, columns) / len(columns)))


def value_range(layer: Layer | None) -> tuple[float, float]:
    """Return the range of an activation's values; infinite if it is unbounded or unknown."""
    if layer is None or not layer._is_activation:
        return -np.inf, np.inf
    if layer._is_custom:
        return _measured_range(layer)
    key = type(layer), repr(layer)
    if key not in _RANGES:
        _RANGES[key] = _measured_range(layer)
    return _RANGES[key]


_RANGES: dict[tuple[type[Layer], str], tuple[float, float]] = {}
"""Measured ranges of activations, by class and settings."""


_MIXED = np.arange(800) * 337 % 800
"""A permutation that brings small and large numbers into each row; without `numpy.random`, whose import takes 10 ms."""


def _measured_range(layer: Layer) -> tuple[float, float]:
    """Measure the range: an end that hardly changes for much larger arguments is a limit."""
    ends = []
    for most in (1e2, 1e4):
        x = np.concatenate([np.linspace(-most, most, 401), np.linspace(-20, 20, 398), [0.0]])
        try:
            with warnings.catch_warnings(action="ignore"):
                y = np.asarray(copy.deepcopy(layer)(x[_MIXED].reshape(50, 4, 4)))
        except (TypeError, ValueError, ArithmeticError):
            return -np.inf, np.inf
        ends.append((float(np.nanmin(y)), float(np.nanmax(y))))
    (low, high), (far_low, far_high) = ends
    slack = 0.05 * max(1.0, min(abs(low), abs(high)))
    return far_low if abs(far_low - low) <= slack else -np.inf, far_high if abs(far_high - high) <= slack else np.inf


def _compares(loss: Loss) -> bool:
    """Return whether a loss is smallest where the output equals the target, so that both have the same scale."""
    if isinstance(loss, FunctionLoss) or loss._row["target"] in "cpn":
        return False
    key = type(loss), getattr(loss, "formula", None), loss._numbers
    if key not in _COMPARING:
        _COMPARING[key] = _is_least_at_target(copy.copy(loss))
    return _COMPARING[key]


_COMPARING: dict[tuple[type[Loss], str | None, Any], bool] = {}
"""The results for losses, by class, formula and settings."""


def _is_least_at_target(loss: Loss) -> bool:
    t = np.array([[0.3], [0.6]])
    try:
        least, *others = (float(loss(t + d, t)) for d in (0.0, 0.1, -0.1))
    except (TypeError, ValueError, IndexError):
        return False
    return all(least < other for other in others)
