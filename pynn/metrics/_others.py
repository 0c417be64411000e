"""Metrics that are computed elsewhere: losses of the table, and functions and scorers of scikit-learn by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import losses
from .._tables import known_name
from ._read import _decide, _pair, _reads_many, _scores, _yes_or_no

_LABELS, _SCORES, _NUMBERS = "labels", "scores", "numbers"
"""What a metric compares with the targets."""


def loss_names() -> list[str]:
    """Return the names of the losses that compare one prediction with one target."""
    return [name for name in losses.by_name if losses.row_of(name)["inputs"] == "input target"]


class LossMetric:
    """The mean value of a loss, as a metric."""

    greater_is_better = False

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.loss = losses.by_name[name]()

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
        """Return the loss of predictions, which are those that the loss takes, such as logits."""
        t, p = np.asarray(y_true), np.asarray(y_pred)
        if t.size == p.size and t.shape != p.shape and self.loss._row["target"] in "raus":
            t = t.reshape(p.shape)  # one number per row, of an output with one column
        return float(self.loss(p, t, sample_weight=sample_weight))


def loss_metric(name: str) -> LossMetric | None:
    """Return the metric of a loss's name, or None if there is no such loss."""
    try:
        return LossMetric(known_name("loss", name, loss_names()))
    except ValueError:
        return None


class SklearnMetric:
    """A function of `sklearn.metrics` on targets and predictions as `fit` has them.

    A scorer, which has options, is greater for better predictions; a function does not tell.
    """

    def __init__(self, name: str, function: Any, takes: str, sign: int = 1, options: Mapping[str, Any] | None = None) -> None:
        self.__name__ = name
        self.function, self.takes, self.sign, self.options = function, takes, sign, dict(options or {})
        self.greater_is_better: bool | None = None if options is None else True

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike) -> float:
        """Return the function's value; the loss functions among scikit-learn's scorers are negated, as there."""
        t, p = _pair(y_true, y_pred, text=True)
        if self.takes == _LABELS and _reads_many(t, p, None):
            t, p, _ = _yes_or_no(t, p)
        elif self.takes == _LABELS:
            found = _decide(t, p)
            t, p = found.true, np.where(found.nothing, -1, found.predicted)
        elif self.takes == _SCORES and not (t.ndim == 2 and _reads_many(t, p, None)):
            dtype = p.dtype if p.dtype.kind == "f" else np.dtype(np.float64)
            t, p = _scores(t, p, self.__name__, raw=True)
            p = (p[:, 1] if p.shape[1] == 2 else p).astype(dtype)  # a sum of float32 probabilities is 1 only within float32's precision
        return float(self.sign * self.function(t, p, **self.options))


def sklearn_metric(name: str) -> SklearnMetric | None:
    """Return the metric of a name of scikit-learn's: a scorer, or a function with or without ``_score``; None if there is none."""
    import inspect

    try:
        from sklearn import metrics
    except ImportError:
        return None
    if name in metrics.get_scorer_names():
        scorer: Any = metrics.get_scorer(name)
        function = scorer._score_func
        return SklearnMetric(name, function, _taken(function, scorer._response_method), scorer._sign, scorer._kwargs)
    function = next((f for f in (getattr(metrics, one, None) for one in (name, f"{name}_score")) if inspect.isfunction(f)), None)
    arguments = [] if function is None else [*inspect.signature(function).parameters][:2]
    if len(arguments) < 2 or arguments[0] not in ("y_true", "y1"):
        return None
    return SklearnMetric(name, function, _taken(function, "predict" if arguments[1] in ("y_pred", "y2") else "predict_proba"))


def _taken(function: Any, response: Any) -> str:
    """Return what a function compares with the targets. Regression metrics are those of scikit-learn's module of that name."""
    if response != "predict":
        return _SCORES
    return _NUMBERS if function.__module__.rpartition(".")[2] == "_regression" else _LABELS
