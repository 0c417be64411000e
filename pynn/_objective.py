"""What a net is trained for: a loss for each output, the targets that go with it, and what is reported."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _core, losses, metrics
from ._layer import Array
from ._loss import Loss
from .activation_layers import by_name as activation_layers

_FUSED = {("cross_entropy", "Softmax"): "cross_entropy", ("bce", "Sigmoid"): "bce_with_logits"}
"""Loss name and last layer that become one stable loss at the logits."""

_DOUBLED = {("CrossEntropyLoss", "Softmax"), ("BCEWithLogitsLoss", "Sigmoid")}
"""Losses on logits that a last layer turns into something else."""

_PROBABILITIES = {"CrossEntropyLoss": "softmax", "BCEWithLogitsLoss": "sigmoid", "NLLLoss": "exp"}
"""Loss to what makes probabilities of the outputs that it takes."""

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
    measured : optional
        What else to report; for several outputs of each, as a list or by name.

    Attributes
    ----------
    skip : frozenset of str
        Names of last layers whose work the losses do.
    """

    def __init__(
        self, loss: Any, weights: Any, tails: Sequence[tuple[str, str]], names: Sequence[str] | None, measured: Any = None
    ) -> None:
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
        self.tails = [*tails]
        self.metrics = self._metrics(measured)
        numbers = _one_each({} if weights is None else weights, len(tails), names, "loss_weights", left_out=1.0)
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

    def _metrics(self, given: Any) -> list[dict[str, Any]]:
        if len(self.losses) == 1:
            return [metrics.get(given)]
        each = _one_each({} if given is None else given, len(self.losses), self.names, "metrics", left_out=None)
        return [metrics.get(one) for one in each]

    def measuring(self, given: Any) -> Objective:
        """Return the same losses with other metrics."""
        other = copy.copy(self)
        other.metrics = self._metrics(given)
        return other

    @property
    def measures(self) -> bool:
        """Whether there are metrics, which need predictions."""
        return any(self.metrics)

    def logs(self, prefix: str, scores: Scores, targets: Any = None, predictions: Sequence[Array] = ()) -> dict[str, float]:
        """Return what is reported: the whole loss, with several outputs each one's own, and metrics of predictions."""
        each = [self._log(loss, score) for loss, score in zip(self.losses, scores, strict=True)]
        targets = targets if isinstance(targets, tuple) else (targets,)
        for i, out in enumerate(predictions):
            each[i] |= self._measured(i, targets[i], out, each[i])
        if len(each) == 1 and self.weights == [1.0]:
            return {prefix + key: value for key, value in each[0].items()}
        whole = {f"{prefix}loss": math.fsum(w * log["loss"] for w, log in zip(self.weights, each, strict=True))}
        names = self.names or [f"output{i}" for i in range(len(each))]
        return whole | {f"{prefix}{name}_{key}": value for name, log in zip(names, each, strict=True) for key, value in log.items()}

    def _measured(self, i: int, y: Array, out: Array, known: Mapping[str, float]) -> dict[str, float]:
        """Return the metrics of output i that are not known yet."""
        loss, (path, last) = self.losses[i], self.tails[i]
        if path in self.skip:
            out = np.asarray(activation_layers[last.lower()]()(out))
        chances, labels, seen = probabilities(out, last, loss), y, slice(None)
        if loss._row["target"] in "cp":
            labels = y.argmax(1) if y.dtype.kind == "f" and y.ndim == 2 else y.reshape(-1)
            seen = labels != loss._values.get("ignore_index")
        found = {}
        for name, metric in self.metrics[i].items():
            if name in known:
                continue
            plain = metrics.wants_probabilities(metric)
            pair = (labels[seen], (out if chances is None else chances)[seen]) if plain else (y, out)
            found[name] = _number(name, metric(*pair))
        return found

    @staticmethod
    def _log(loss: Loss, score: tuple[float, float, int, int, int]) -> dict[str, float]:
        total, divisor, values, correct, rows = score
        logs = {"loss": total if loss.reduction == "sum" else total / divisor if divisor else math.nan}
        if loss._row["metric"] != "n":
            logs["accuracy"] = correct / (values if loss._row["kind"] == "e" else rows)
        return logs


def probabilities(out: Array, last: str, loss: Loss | None) -> Array | None:
    """Return an output as probabilities, by the last layer and the loss; None where they are none."""
    how = _PROBABILITIES.get(type(loss).__name__)
    if last in ("Softmax", "Sigmoid"):
        return out
    if last == "LogSoftmax" or how == "exp":
        return np.asarray(np.exp(out))
    return None if how is None else np.asarray(activation_layers[how]()(out))


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"metrics: {name} returned {value!r}, expected a number") from error


def _one_each(given: Any, n: int, names: Sequence[str] | None, what: str, *, repeat: bool = False, left_out: Any = ...) -> list[Any]:
    """Return one of something for each output; a mapping may leave out some where there is something for those."""
    if repeat:
        return [given] * n
    if isinstance(given, Mapping) and not given and left_out is not ...:
        return [left_out] * n
    if isinstance(given, Mapping):
        if names is None or not set(given) <= set(names) or (left_out is ... and len(given) < n):
            known = "the outputs have no names" if names is None else f"expected one for each of {', '.join(names)}"
            raise ValueError(f"{what}: {known}, got {', '.join(map(repr, given))}")
        return [given.get(name, left_out) for name in names]
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
