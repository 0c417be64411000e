"""What a net is trained for: a loss for each output, the targets that go with it, and what is reported."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _core, losses
from ._layer import Array
from ._loss import Loss

_FUSED = {("cross_entropy", "Softmax"): "cross_entropy", ("bce", "Sigmoid"): "bce_with_logits"}
"""Loss name and last layer that become one stable loss at the logits."""

_DOUBLED = {("CrossEntropyLoss", "Softmax"), ("BCEWithLogitsLoss", "Sigmoid")}
"""Losses on logits that a last layer turns into something else."""

Scores = Sequence[tuple[float, float, int, int, int]]


class Objective:
    """The losses of a net's outputs.

    Parameters
    ----------
    loss : str, Loss, sequence or mapping of those
        One for all outputs, or one for each; a mapping goes by the outputs' names.
    weights : sequence or mapping of float, optional
        How much each counts in the whole; 1 by default.
    tails : sequence of (str, str)
        For each output the name and class of the last layer, where that layer's output is nothing but this output.
    names : sequence of str, optional
        Of the outputs.

    Attributes
    ----------
    skip : frozenset of str
        Names of last layers whose work the losses do.
    """

    def __init__(self, loss: Any, weights: Any, tails: Sequence[tuple[str, str]], names: Sequence[str] | None) -> None:
        self.names = names
        given = _one_each(loss, len(tails), names, "loss", repeat=not isinstance(loss, (list, tuple, Mapping)))
        self.losses: list[Loss] = []
        skip = []
        for one, (path, last) in zip(given, tails, strict=True):
            fused = isinstance(one, str) and (one, last) in _FUSED
            self.losses.append(losses.get(_FUSED[one, last] if fused else one))
            skip += [path] if fused else []
            _complain(self.losses[-1], "" if fused else last)
        self.skip = frozenset(skip)
        numbers = _one_each([1.0] * len(tails) if weights is None else weights, len(tails), names, "loss_weights")
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, (int, float, np.number)) or not number >= 0:
                raise ValueError(f"loss_weights: expected numbers of 0 or more, got {number!r}")
        self.weights = [float(number) for number in numbers]

    @property
    def criteria(self) -> tuple[tuple[Any, float], ...]:
        """What the core needs to know."""
        return tuple((loss._criterion, weight) for loss, weight in zip(self.losses, self.weights, strict=True))

    def targets(self, y: Any, rows: int, graph: _core.Graph, name: str) -> Any:
        """Check targets, all of them, and return them as the core takes them: an array, or a tuple of several."""
        given = [y] if len(self.losses) == 1 and not isinstance(y, Mapping) else _one_each(y, len(self.losses), self.names, name)
        checked = [
            _target(one, rows, graph.dtype, shape, loss, name)
            for one, shape, loss in zip(given, graph.output_shapes, self.losses, strict=True)
        ]
        return checked[0] if len(checked) == 1 else tuple(checked)

    def logs(self, prefix: str, scores: Scores) -> dict[str, float]:
        """Return what is reported of these scores: the whole loss, and with several outputs each one's own."""
        each = [self._log(loss, score) for loss, score in zip(self.losses, scores, strict=True)]
        if len(each) == 1 and self.weights == [1.0]:
            return {prefix + key: value for key, value in each[0].items()}
        whole = {f"{prefix}loss": math.fsum(w * log["loss"] for w, log in zip(self.weights, each, strict=True))}
        names = self.names or [f"output{i}" for i in range(len(each))]
        return whole | {f"{prefix}{name}_{key}": value for name, log in zip(names, each, strict=True) for key, value in log.items()}

    @staticmethod
    def _log(loss: Loss, score: tuple[float, float, int, int, int]) -> dict[str, float]:
        total, divisor, values, correct, rows = score
        logs = {"loss": total / divisor if loss.reduction != "sum" else total}
        if loss._row["metric"] != "n":
            logs["accuracy"] = correct / (values if loss._row["kind"] == "e" else rows)
        return logs


def _one_each(given: Any, n: int, names: Sequence[str] | None, what: str, *, repeat: bool = False) -> list[Any]:
    """Return one of something for each output."""
    if repeat:
        return [given] * n
    if isinstance(given, Mapping):
        if names is None or set(given) != set(names):
            known = "the outputs have no names" if names is None else f"expected one for each of {', '.join(names)}"
            raise ValueError(f"{what}: {known}, got {', '.join(map(repr, given))}")
        return [given[name] for name in names]
    if not isinstance(given, (list, tuple)) or len(given) != n:
        got = f"{len(given)}" if isinstance(given, (list, tuple)) else f"{type(given).__name__}"
        raise ValueError(f"{what}: expected a list or tuple of {n}, one for each output, got {got}")
    return [*given]


def _complain(loss: Loss, last: str) -> None:
    if loss.reduction == "none":
        raise ValueError("loss: fit needs one number; use reduction='mean' or 'sum'")
    if (type(loss).__name__, last) in _DOUBLED:
        warnings.warn(
            f"{type(loss).__name__} takes logits, but the last layer is {last}: remove it, or name the loss as a string",
            UserWarning,
            stacklevel=5,
        )


def _target(y: ArrayLike, rows: int, dtype: str, output: tuple[int, ...], loss: Loss, name: str) -> Array:
    a = np.asarray(y)
    if a.dtype.kind not in "fiub":
        raise TypeError(f"{name}: dtype {a.dtype} is not allowed; expected numbers")
    if a.shape[:1] != (rows,):
        raise ValueError(f"{name}: shape {a.shape} does not go with the {rows} rows of X")
    kind = loss._row["target"]
    labels = kind in "ci" or (kind == "p" and a.dtype.kind in "iu")
    if kind in "cp" and not labels and a.ndim == 1:
        raise TypeError(
            f"{name}: {type(loss).__name__} takes class indices of an integer dtype, or one row of probabilities a sample; "
            f"got {a.dtype} of shape {a.shape}"
        )
    allowed = [(), (1,)] if labels else [output, ()] if math.prod(output) == 1 else [output]
    if a.shape[1:] not in allowed:
        expected = " or ".join(str((rows, *shape)) for shape in allowed)
        raise ValueError(
            f"{name}: shape {a.shape} does not fit {type(loss).__name__} on output of shape {(rows, *output)}; expected {expected}"
        )
    _core.check_target(loss._criterion, dtype, rows, math.prod(output), a, name)
    return a
