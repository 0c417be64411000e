"""The objective of a training: a loss for each output, its targets, and what is reported."""

from __future__ import annotations

import copy
import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from .. import _core, losses, metrics
from .._arrays import Array, plain_array
from .._tables import known_name
from ..layers._base import Layer
from ..layers.activation import by_name as activation_layers
from ..losses._base import FunctionLoss, Loss, scaled_weights
from .messages import warn
from .scale import value_range

_OF_CLASSES = ("probabilities", "log-probabilities")
"""Outputs of nets that classify."""

LastLayer: TypeAlias = tuple[str, Layer | None]
"""The name of an output's last layer and the layer itself; ("", None) if its result is used elsewhere too."""

_T = TypeVar("_T")
Scores = Sequence[tuple[float, float, int, int, int, int, int]]
"""For each loss: sum, divisor, values, right elements or classes, rows, right rows of one-hot targets, rows that are not one-hot."""

ONE_HOT, MULTI_LABEL, NUMBERS = range(3)
"""What targets of several columns hold: rows with one 1, rows of 0 and 1, anything else. For two parts together it is the maximum."""
_READ_ROWS, TRIED_ROWS = 4096, 64


Key = str | tuple[str, ...]

Weights: TypeAlias = Array | tuple[Array | None, ...] | None
"""Weights of rows or values in double precision: for all losses, or for each."""

OneLoss: TypeAlias = str | Loss | Callable[[Array, Array], tuple[Any, Any]]
Losses: TypeAlias = OneLoss | Sequence[OneLoss] | Mapping[Any, OneLoss]
"""What `fit` takes as its loss."""


class Objective:
    """The losses of a net's outputs.

    Parameters
    ----------
    loss : str, Loss, sequence or mapping of those
        One for all outputs, or one for each; a loss of several inputs takes several outputs. A sequence follows the order of the outputs; a
        mapping uses their names, or tuples of names for a loss of several inputs.
    weights : sequence or mapping of float, optional
        The factor of each loss in the sum; 1 by default.
    lasts : sequence of (str, Layer or None)
        The last layer of each output, see `LastLayer`.
    shapes : sequence of tuple of int
        The shape of one sample of each output.
    names : sequence of str, optional
        The names of the outputs.
    measured : optional
        Metrics; for several losses those of each, as a list or by name.

    Attributes
    ----------
    takes : list of tuple of int
        The outputs that each loss takes.
    skip : frozenset of str
        The names of last layers that a loss replaces.
    readings : list of int or None
        What the targets of the training hold for each loss: `ONE_HOT`, `MULTI_LABEL` or `NUMBERS`; None for labels and single columns.
    """

    def __init__(
        self,
        loss: Any,
        weights: Any,
        lasts: Sequence[LastLayer],
        shapes: Sequence[tuple[int, ...]],
        names: Sequence[str] | None,
        measured: Any = None,
    ) -> None:
        given, self.takes = _shared_out(loss, len(lasts), names)
        self.keys: list[Key] | None = None
        if names is not None:
            self.keys = [names[at[0]] if len(at) == 1 else tuple(names[k] for k in at) for at in self.takes]
        self.losses: list[Loss] = []
        self.readings: list[int | None] = [None] * len(given)
        self.lasts: list[LastLayer] = [lasts[at[0]] if len(at) == 1 else ("", None) for at in self.takes]
        skip = []
        for one, (path, last), at in zip(given, self.lasts, self.takes, strict=True):
            fused = _fused(one, last) if len(shapes[at[0]]) == 1 else None
            self.losses.append(losses.get(one if fused is None else fused))
            skip += [] if fused is None else [path]
            _core.check_output(self.losses[-1]._criterion, shapes[at[0]])
            _warn(self.losses[-1], last if fused is None else None, shapes[at[0]])
        self.skip = frozenset(skip)
        self.metrics = self._metrics(measured)
        self._check_names(given)
        numbers = one_each({} if weights is None else weights, len(given), self.keys, "loss_weights", left_out=1.0)
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, (int, float, np.number)) or not 0 <= number < math.inf:
                raise ValueError(f"loss_weights: expected finite numbers of 0 or more, got {number!r}")
        self.weights = [float(number) for number in numbers]

    @staticmethod
    def has_target(loss: Any) -> bool:
        """Return whether a loss has a target."""
        return not isinstance(loss, (str, Loss)) or _row_of(loss)["target"] != "n"

    @property
    def criteria(self) -> tuple[tuple[Any, float, tuple[int, ...]], ...]:
        """The losses as the core takes them, with their weights and outputs."""
        each = zip(self.losses, self.weights, self.takes, strict=True)
        return tuple((loss._criterion, weight, at) for loss, weight, at in each)

    def core_weights(self, weights: Weights, dtype: str) -> tuple[Weights, list[float]]:
        """Return weights as the core takes them, and their unit for each loss, see `scaled_weights`.

        Raises
        ------
        ValueError
            If weights of a loss that is a sum are too large for the dtype.
        """
        units = [1.0] * len(self.losses)
        if weights is None:
            return None, units
        each = list(weights) if isinstance(weights, tuple) else [weights] * len(self.losses)
        for i, (w, loss) in enumerate(zip(each, self.losses, strict=True)):
            if w is not None and loss.reduction == "mean":
                each[i], units[i] = scaled_weights(w)
            elif w is not None and np.abs(w).max(initial=0.0) > np.finfo(dtype).max:
                raise ValueError(f"sample_weight: {np.abs(w).max()} is too large for {dtype}")
        return (each[0] if len(each) == 1 else tuple(each)), units

    @staticmethod
    def in_units(scores: Scores, units: Sequence[float]) -> Scores:
        """Return scores for weights in these units as scores for the weights themselves."""
        return [(score[0] * unit, score[1] * unit, *score[2:]) for score, unit in zip(scores, units, strict=True)]

    def describe(self) -> str:
        """Return text that differs between the losses of different trainings."""
        return ", ".join("FunctionLoss" if isinstance(loss, FunctionLoss) else repr(loss) for loss in self.losses)

    def targets(self, y: Any, rows: int, graph: _core.Graph, name: str, part: Any = None) -> Any:
        """Check all targets, and return them as the core takes them: an array, or a tuple of several."""
        given = [y] if len(self.losses) == 1 and not isinstance(y, Mapping) else one_each(y, len(self.losses), self.keys, name)
        checked = [
            _target(one, rows, graph.dtype, graph.output_shapes[at[0]], loss, name, part)
            for one, at, loss in zip(given, self.takes, self.losses, strict=True)
        ]
        return checked[0] if len(checked) == 1 else tuple(checked)

    def _metrics(self, given: Any) -> list[dict[str, Any]]:
        if len(self.losses) == 1:
            found = [metrics.get(given)]
        else:
            each = one_each({} if given is None else given, len(self.losses), self.keys, "metrics", left_out=None)
            found = [metrics.get(one) for one in each]
        for loss, measured in zip(self.losses, found, strict=True):
            if measured and loss._row["target"] == "n":
                raise ValueError(f"metrics: {type(loss).__name__} takes no target to compare with")
        return found

    def measuring(self, given: Any) -> Objective:
        """Return the same losses with other metrics."""
        other = copy.copy(self)
        other.metrics = self._metrics(given)
        other._check_names(other.losses)
        return other

    def remember(self, targets: Any) -> None:
        """Record the kinds of the targets of a training, in addition to earlier ones."""
        for i, one in enumerate(targets if isinstance(targets, tuple) else (targets,)):
            self.readings[i] = _either(self.readings[i], _reading(self.losses[i], one))

    def go_on(self, before: Objective | None) -> None:
        """Take over the kinds of the targets of an earlier training with the same losses."""
        if before is not None and before.describe() == self.describe():
            self.readings = [_either(a, b) for a, b in zip(self.readings, before.readings, strict=True)]

    def take_readings(self, readings: Sequence[int | None]) -> None:
        """Set the kinds of the targets from a file."""
        if len(readings) == len(self.losses):
            self.readings = [*readings]

    @property
    def measures(self) -> bool:
        """Whether there are metrics, which need predictions."""
        return any(self.metrics)

    def logs(self, prefix: str, scores: Scores, targets: Any = None, predictions: Sequence[Array] = ()) -> dict[str, float]:
        """Return what is reported: the total loss, for several outputs the loss of each, and the metrics of predictions."""
        each = [self._log(loss, score, reading) for loss, score, reading in zip(self.losses, scores, self.readings, strict=True)]
        targets = targets if isinstance(targets, tuple) else (targets,)
        for i, at in enumerate(self.takes if predictions else ()):
            out = tuple(predictions[k] for k in at)
            each[i] |= self._measured(i, targets[i], out[0] if len(at) == 1 else out, each[i])
        if not self._is_one:
            each.insert(0, {"loss": math.fsum(w * log["loss"] for w, log in zip(self.weights, each, strict=True))})
        return self._named(prefix, each)

    def rises(self, prefix: str) -> dict[str, bool | None]:
        """Return the names that `logs` reports, in its order, and whether a greater number is better; None if that is not known."""
        each: list[dict[str, bool | None]] = [] if self._is_one else [{"loss": False}]
        for loss, measured in zip(self.losses, self.metrics, strict=True):
            known: dict[str, bool | None] = {"loss": False}
            if loss._row["metric"] != "n":
                known["accuracy"] = True
            each.append(known | {name: metrics.rises(metric) for name, metric in measured.items()})
        return self._named(prefix, each)

    def _check_names(self, losses: Sequence[Any]) -> None:
        """Raise if two numbers would be reported under the same name."""
        if len(losses) == 1:
            return
        names = [key if isinstance(key, str) else "_".join(key) for key in self.keys or ()]
        for name in names:
            if name == "val" or name.startswith("val_"):
                raise ValueError(f"outputs: the output {name!r} would be reported as the validation is; give it a name without 'val_'")
        rises = zip(self.losses, self.metrics, strict=True)
        each = [{"loss", *(["accuracy"] if loss._row["metric"] != "n" else []), *found} for loss, found in rises]
        twice = Counter(f"{name}_{key}" for name, keys in zip(names, each, strict=False) for key in keys)
        twice.update(["loss", "seconds"])
        for name, times in twice.items():
            if times > 1:
                raise ValueError(f"metrics: two numbers would be reported as {name!r}; give the metric, or an output, another name")

    @property
    def _is_one(self) -> bool:
        """Whether the loss of the only output is the total loss."""
        return len(self.losses) == 1 and self.weights == [1.0]

    def _named(self, prefix: str, each: Sequence[Mapping[str, _T]]) -> dict[str, _T]:
        """Return the numbers of each output, after the total loss, under their names in the logs."""
        if self._is_one:
            return {prefix + key: value for key, value in each[0].items()}
        keys = self.keys or ["_".join(f"output{k}" for k in at) for at in self.takes]
        names = ["", *(f"{key if isinstance(key, str) else '_'.join(key)}_" for key in keys)]
        return {f"{prefix}{name}{key}": value for name, log in zip(names, each, strict=True) for key, value in log.items()}

    def _measured(self, i: int, y: Any, out: Any, known: Mapping[str, float]) -> dict[str, float]:
        """Return the metrics of an output; the accuracy of the loss is kept unless a metric has its name."""
        loss, (path, last) = self.losses[i], self.lasts[i]
        if path in self.skip:
            out = np.asarray(_link(loss)()(out))
        found = {}
        multilabel = bool(self.metrics[i]) and MULTI_LABEL in (self.readings[i], _reading(loss, y))
        for name, metric in self.metrics[i].items():
            if name not in known or metric is not metrics.accuracy:
                plain = metrics.wants_probabilities(metric) and not isinstance(out, tuple)
                try:
                    value = _measure(metric, multilabel, loss, last, y, out) if plain else metric(y, out)
                except (TypeError, ValueError) as error:
                    if not metrics.is_known(metric):
                        error.add_note(f"in the metric {name!r}")
                        raise
                    text = f"metrics: {name} cannot be used with {type(loss).__name__}, or with these outputs: {error}"
                    raise type(error)(text) from error
                found[name] = _number(name, value)
        return found

    def try_metrics(self, out: Any, targets: Any, rows: int) -> None:
        """Raise if a metric of `pynn.metrics` does not fit these targets and outputs, of which the first rows are given."""
        outputs = out if isinstance(out, tuple) else (out,)
        if not all(np.isfinite(one).all() for one in outputs):
            return
        other = copy.copy(self)
        other.metrics = [{name: one for name, one in each.items() if metrics.is_known(one)} for each in self.metrics]
        every = [one[np.arange(rows) % len(one)] for one in outputs]
        other.logs("", [(0.0, 1.0, 1, 0, 1, 0, 0)] * len(self.losses), targets, every)

    @staticmethod
    def _log(loss: Loss, score: tuple[float, float, int, int, int, int, int], reading: int | None) -> dict[str, float]:
        total, divisor, values, correct, rows, hits, not_one_hot = score
        logs = {"loss": total if loss.reduction == "sum" else total / divisor if divisor else math.nan}
        if loss._row["metric"] != "n":
            if loss._row["metric"] in "lp" and not not_one_hot and reading != MULTI_LABEL:
                correct, counted = hits, rows
            else:
                counted = values if loss._row["kind"] == "e" else rows
            logs["accuracy"] = correct / counted if counted else math.nan
        return logs


def _fused(loss: Any, last: Layer | None) -> str | None:
    """Return the loss that takes the logits, if ``loss`` is the name of one that takes the output of the last layer."""
    if not isinstance(loss, str):
        return None
    from_logits: str = _row_of(loss)["from_logits"]
    return from_logits if from_logits and type(last) is _link(losses.by_name[from_logits]) else None


def fusible(loss: Any, lasts: Sequence[LastLayer], names: Sequence[str] | None) -> frozenset[str]:
    """Return the names of the last layers that a loss replaces if a sample of their output has one axis.

    Empty for losses that do not fit the outputs: `Objective` raises then.
    """
    try:
        given, takes = _shared_out(loss, len(lasts), names)
        pairs = [(path, _fused(one, last)) for one, at in zip(given, takes, strict=True) if len(at) == 1 for path, last in [lasts[at[0]]]]
    except (TypeError, ValueError):
        return frozenset()
    return frozenset(path for path, fused in pairs if fused is not None)


def plain_losses(loss: Any) -> Any:
    """Return the losses as JSON supports them; None if there is a custom function among them, which a file cannot hold."""
    if isinstance(loss, Mapping):
        each = [[[key] if isinstance(key, str) else [*key], plain_losses(one)] for key, one in loss.items()]
        return None if any(one is None for _, one in each) else {"named": each}
    if isinstance(loss, (list, tuple)):
        plain = [plain_losses(one) for one in loss]
        return None if None in plain else plain
    if isinstance(loss, Loss) and type(loss) in (*losses.by_name.values(), *losses.saved_as_text.values()):
        return {"class": type(loss).__name__, **loss.get_config()}
    return loss if isinstance(loss, str) else None


def losses_of(plain: Any) -> Any:
    """Return the losses that `plain_losses` described, or raise."""
    if isinstance(plain, list):
        return [losses_of(one) for one in plain]
    if isinstance(plain, dict) and "named" in plain:
        return {key[0] if len(key) == 1 else tuple(map(str, key)): losses_of(one) for key, one in plain["named"]}
    if isinstance(plain, dict):
        settings = {**plain}
        name = settings.pop("class")
        if name in losses.saved_as_text:
            return losses.saved_as_text[name](**settings)
        return next(cls for cls in losses.by_name.values() if cls.__name__ == name)(**settings)
    losses.get(plain)
    return plain


_SIGMOID = next(row["ufunc"] for row in _core.ACTIVATIONS if row["name"] == "sigmoid")
_SOFTMAX = next(row["ufunc"] for row in _core.ROWWISE if row["name"] == "softmax")
_HALF = np.array(0.5, np.float32)


def to_probabilities(last: Layer | None, loss: Loss | None) -> Callable[[Array], Array] | None:
    """Return the function that converts an output to probabilities, given the last layer and the loss; None if there is none."""
    given, taken = gives(last), "" if loss is None else loss._row["takes"]
    if given == "probabilities":
        return _unchanged
    if "log-probabilities" in (given, taken):
        return np.exp
    if loss is None or taken != "logits":
        return None
    return _softmax if loss._row["target"] in "cp" else _SIGMOID


def _unchanged(out: Array) -> Array:
    return out


def _softmax(out: Array) -> Array:
    """Return softmax over the classes, which are the axis after the rows."""
    return np.asarray(_SOFTMAX(out, axis=1))


def probabilities(out: Array, last: Layer | None, loss: Loss | None) -> Array | None:
    """Return an output as probabilities, according to the last layer and the loss; None if it cannot be converted."""
    function = to_probabilities(last, loss)
    return None if function is None else np.asarray(function(out))


def _link(loss: type[Loss] | Loss) -> type[Layer]:
    """Return the layer that converts the logits that a loss takes to probabilities."""
    return activation_layers["softmax" if loss._row["target"] in "cp" else "sigmoid"]


def gives(last: Layer | None) -> str:
    """Return what a net's last layer computes: "probabilities", "log-probabilities" or "numbers"; "" if that is unknown.

    The range of an activation is measured. A built-in layer with parameters can compute any number.
    """
    if last is None:
        return ""
    if last._is_activation:
        low, high = value_range(last)
        return "probabilities" if low >= 0 and high <= 1 else "log-probabilities" if high <= 0 else "numbers"
    return "numbers" if last.parameters() and not last._is_custom else ""


class Head(NamedTuple):
    """What is known about an output of a net before it predicts."""

    last: Layer | None
    """The last layer; None if its result is used elsewhere too."""
    objective: Objective | None
    """What the net was last fitted for."""
    at: int | None
    """The index of the output's loss in the objective."""
    loss: Loss | None
    to_probabilities: Callable[[Array], Array] | None

    @classmethod
    def of(cls, last: Layer | None, objective: Objective | None, output: int) -> Head:
        """Return the head of an output, given its last layer and its index."""
        at = objective.takes.index((output,)) if objective is not None and (output,) in objective.takes else None
        loss = None if objective is None or at is None else objective.losses[at]
        return cls(last, objective, at, loss, to_probabilities(last, loss))

    @property
    def reading(self) -> int | None:
        """The kind of the training targets, see `Objective`."""
        return None if self.objective is None or self.at is None else self.objective.readings[self.at]

    @property
    def classifies(self) -> bool:
        """Whether the output encodes classes; True if that is unknown."""
        if gives(self.last) in _OF_CLASSES or self.objective is None:
            return True
        if self.reading in (ONE_HOT, MULTI_LABEL):
            return True
        return self.loss is not None and (self.loss._row["metric"] != "n" or self.loss._row["takes"] in ("logits", "log-probabilities"))

    def probabilities(self, out: Array) -> Array:
        """Return an output as probabilities, or raise if it cannot be converted."""
        if self.to_probabilities is None:
            raise ValueError("predict_proba needs a net that ends in Softmax or Sigmoid, or was fitted with a classification loss")
        return self.to_probabilities(out)

    def classes(self, out: Array, multilabel: bool | None = None) -> Array:
        """Return class indices, or 0 and 1 for each label."""
        shape = out.shape
        if (len(shape) != 2 and not (len(shape) > 2 and self.loss is not None and self.loss._by_class)) or shape[1] == 0:
            raise ValueError(f"predict_class needs one row of outputs per sample, got shape {shape}")
        if multilabel is None:
            many = self.reading == MULTI_LABEL
        elif isinstance(multilabel, (bool, np.bool_)):
            many = bool(multilabel)
        else:
            raise TypeError(f"multilabel: expected True, False or None, got {multilabel!r}")
        if not many and shape[1] > 1:
            found: Array = out.argmax(1)
            return found
        estimates = self.reading == MULTI_LABEL and self.to_probabilities is None
        yes = np.greater(out if estimates else self.probabilities(out), _HALF)  # an array is compared faster than a number
        return (yes if many else yes[:, 0]).astype(np.intp)


def checked_readings(given: Any) -> list[int | None]:
    """Return the kinds of the training targets from a file, or raise."""
    if not isinstance(given, list) or any(one is not None and one not in (ONE_HOT, MULTI_LABEL, NUMBERS) for one in given):
        raise ValueError(f"its targets are {given!r}, expected a list of 0, 1, 2 or null")
    return [None if one is None else int(one) for one in given]


def _either(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)


def _reading(loss: Loss, y: Any) -> int | None:
    """Return what checked targets of several columns hold; None for labels and single columns."""
    if loss._row["target"] in "cpimn" or not isinstance(y, np.ndarray) or y.ndim != 2 or y.shape[1] < 2 or y.dtype.kind not in "fiub":
        return None
    found = ONE_HOT
    for start in range(0, len(y), _READ_ROWS):
        part = _zero_one(loss, y[start : start + _READ_ROWS])
        if not metrics.is_zero_one(part):
            return NUMBERS
        found = found if metrics.is_one_hot(part) else MULTI_LABEL
    return found


def _zero_one(loss: Loss, y: Array) -> Array:
    """Return targets that encode 0 and 1 (as logarithms or signs) as 0 and 1; others unchanged."""
    if loss._values.get("log_target"):
        return np.asarray(np.exp(y))
    signs = loss._row["target"] in "rs" and y.size and y.min() < 0 and bool((abs(y) == 1).all())
    return np.asarray(y > 0) if signs else y


def _measure(metric: Any, multilabel: bool, loss: Loss, last: Layer | None, y: Array, out: Array) -> Any:
    """Return a metric of classes, computed from the classes or probabilities that targets and outputs encode."""
    chances = probabilities(out, last, loss)
    out = out if chances is None else chances
    if loss._row["target"] in "cp":
        return metric(*_classified(loss, y, out))
    zero_one = _zero_one(loss, y)
    if zero_one.shape == out.shape and out.ndim > 2:  # a mask: yes or no for each element
        zero_one, out = zero_one.reshape(-1), out.reshape(-1)
    estimates = chances is None and loss._row["target"] == "r" and not isinstance(loss, FunctionLoss) and metrics.is_zero_one(zero_one)
    if estimates and metrics.compares(metric) and (multilabel or math.prod(out.shape[1:]) == 1):
        # An output that estimates 0 or 1, or -1 or 1, counts as the nearer of the two.
        out = np.where(np.isfinite(out), np.clip(out if zero_one is y else (out + 1) / 2, 0, 1), np.nan)
    return metrics.read_as(metric, multilabel)(zero_one, out)


def _classified(loss: Loss, y: Array, out: Array) -> tuple[Array, Array]:
    """Return the classes that the loss does not ignore, with a row of probabilities for each."""
    labels = y.argmax(-1) if y.dtype.kind == "f" and y.ndim > 1 else y
    rows = np.moveaxis(out, 1, -1).reshape(-1, out.shape[1])
    seen = labels.reshape(-1) != loss._values.get("ignore_index")
    return labels.reshape(-1)[seen], rows[seen]


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"metrics: {name} returned {value!r}, expected a number") from error


def _row_of(loss: Any) -> Mapping[str, Any]:
    """Return the row of a loss in its table. For a name no loss is created, which takes several microseconds in each `fit`."""
    return (losses.by_name[known_name("loss", loss, losses.by_name)] if isinstance(loss, str) else losses.get(loss))._row


def _inputs(loss: Any) -> int:
    """Return the number of outputs that a loss takes."""
    row = _row_of(loss)
    return 1 if row["kind"] == "s" else len([name for name in row["inputs"].split() if name != "target"])


def _shared_out(loss: Any, n: int, names: Sequence[str] | None) -> tuple[list[Any], list[tuple[int, ...]]]:
    """Return the losses, and the outputs that each of them takes."""
    if isinstance(loss, Mapping):
        keys = [key if isinstance(key, tuple) else (key,) for key in loss]
        flat = [name for key in keys for name in key]
        if names is None or sorted(map(str, flat)) != sorted(names):
            known = "the outputs have no names" if names is None else f"expected one for each of {', '.join(names)}"
            raise ValueError(f"loss: {known}, got {', '.join(map(repr, loss))}")
        each, takes = [*loss.values()], [tuple(names.index(name) for name in key) for key in keys]
        order = sorted(range(len(each)), key=lambda i: takes[i][0])
        each, takes = [each[i] for i in order], [takes[i] for i in order]
        for one, at in zip(each, takes, strict=True):
            several = _inputs(one)
            if several != len(at):
                raise ValueError(f"loss: {type(losses.get(one)).__name__} takes {several} output{'s' * (several > 1)}, got {len(at)}")
    elif isinstance(loss, (list, tuple)):
        ends = [*itertools.accumulate(map(_inputs, loss), initial=0)]
        each, takes = [*loss], [tuple(range(a, b)) for a, b in itertools.pairwise(ends)]
        if ends[-1] != n:
            taken = f" that take {ends[-1]} outputs" if ends[-1] != len(loss) else ""
            raise ValueError(f"loss: expected a list or tuple of {n}, one for each output, got {len(loss)}{taken}")
    else:
        several = _inputs(loss)
        each = [loss] * (n if several == 1 else 1)
        takes = [tuple(range(k, k + several)) for k in range(len(each))]
        if several > 1 and several != n:
            takes_what = f"{type(losses.get(loss)).__name__} takes {several} outputs"
            raise ValueError(f"loss: {takes_what}, and this net has {n}; give a list of losses, or a Model of {several} outputs")
    return each, takes


def one_each(given: Any, n: int, keys: Sequence[Key] | None, what: str, *, left_out: Any = ...) -> list[Any]:
    """Return one value for each loss; a mapping may lack some if there is a default for them."""
    if isinstance(given, Mapping) and not given and left_out is not ...:
        return [left_out] * n
    if isinstance(given, Mapping):
        if keys is None or not set(given) <= set(keys) or (left_out is ... and len(given) < n):
            known = "the outputs have no names" if keys is None else f"expected one for each of {', '.join(map(str, keys))}"
            raise ValueError(f"{what}: {known}, got {', '.join(map(repr, given))}")
        return [given.get(key, left_out) for key in keys]
    if not isinstance(given, (list, tuple)) or len(given) != n:
        got = f"{len(given)}" if isinstance(given, (list, tuple)) else f"{type(given).__name__}"
        raise ValueError(f"{what}: expected a list or tuple of {n}, one for each output, got {got}")
    return [*given]


def _warn(loss: Loss, last: Layer | None, output: tuple[int, ...]) -> None:
    if loss.reduction == "none":
        raise ValueError("loss: fit needs one number; use reduction='mean' or 'sum'")
    takes, given = loss._row["takes"], gives(last)
    if given == "probabilities" if takes == "logits" else bool(takes and given) and given != takes:
        warn(f"{type(loss).__name__} takes {takes}, but the last layer is {type(last).__name__}: {_remedy(loss)}")
    if isinstance(last, activation_layers["softmax"]) and output == (1,):
        warn("Softmax of a single output is always 1: end in Sigmoid")


def _remedy(loss: Loss) -> str:
    """Return what to do if the output of the last layer is not what the loss takes."""
    row = loss._row
    if row["takes"] == "logits":
        names = [one["name"] for one in _core.LOSSES if one["from_logits"] == row["name"]]
        return "remove it" + (f', or give loss="{names[0]}"' if names else "")
    if row["takes"] == "probabilities":
        return "end in Sigmoid" + (f", or take {losses.by_name[row['from_logits']].__name__}" if row["from_logits"] else "")
    return "end in LogSoftmax"


def _allowed(loss: Loss, output: tuple[int, ...], labels: bool) -> list[tuple[int, ...]]:
    """Return the shapes that a sample's target may have."""
    row = loss._row
    if labels and loss._by_class and len(output) > 1:
        return [output[1:]]
    if (labels and row["target"] != "m") or (row["target"] == "s" and row["kind"] == "r"):
        return [(), (1,)]
    return [output, ()] if math.prod(output) == 1 else [output]


def _target(y: Any, rows: int, dtype: str, output: tuple[int, ...], loss: Loss, name: str, part: Any) -> Array | None:
    kind = loss._row["target"]
    if kind == "n":
        if y is not None:
            raise ValueError(f"{name}: {type(loss).__name__} takes no target; give None")
        return None
    a = plain_array(y, name)
    if a.shape[:1] != (rows,):
        raise ValueError(f"{name}: expected {rows} rows, one for each row of the inputs, got shape {a.shape}")
    if isinstance(loss, FunctionLoss):
        return a
    if a.dtype.kind not in "fiub":
        how = "classes, y = numpy.unique(y, return_inverse=True) makes class indices of labels"
        raise TypeError(f"{name}: dtype {a.dtype} is not allowed; expected numbers; {how}")
    seen = a if part is None else a[part]
    if kind == "p" and a.shape[1:] == output and len(output) == 1 < output[0] and a.dtype.kind in "iub" and metrics.is_one_hot(seen):
        a, seen = a.astype(dtype), seen.astype(dtype)
    labels = kind in "cim" or (kind == "p" and a.dtype.kind in "iu")
    if kind in "cp" and not labels and (a.ndim == 1 or a.shape[1:] == (1,) != output):
        raise TypeError(
            f"{name}: {type(loss).__name__} takes class indices of an integer dtype, or one row of probabilities per sample; "
            f"got {a.dtype} of shape {a.shape}; y.astype(int) makes indices of whole numbers"
        )
    if labels and loss._by_class and output[:1] == (1,) and (seen > 0).any():
        one = "an output for each class, and this net has one; take 'bce_with_logits', or two outputs"
        raise ValueError(f"loss: {type(loss).__name__} needs {one}")
    allowed = _allowed(loss, output, labels)
    if a.shape[1:] not in allowed:
        expected = " or ".join(str((rows, *shape)) for shape in allowed)
        raise ValueError(
            f"{name}: shape {a.shape} does not fit {type(loss).__name__} on output of shape {(rows, *output)}; expected {expected}"
        )
    if loss._by_class and not labels:
        a, seen = np.moveaxis(a, 1, -1), np.moveaxis(seen, 1, -1)
    _core.check_target(loss._criterion, dtype, len(seen), output, seen, name)
    return a
