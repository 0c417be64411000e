"""Scores of predictions: what ``fit(..., metrics=[...])`` reports, and functions on arrays.

Every function takes ``(y_true, y_pred)`` first. Where classes are compared, ``y_pred`` may be labels (integers or bool, one a sample),
scores of shape (samples, classes), of which the largest counts, or probabilities of a single output, which count as 1 over 1/2.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._layer import real_array
from ._tables import unknown_name

__all__ = [
    "accuracy",
    "confusion_matrix",
    "ece",
    "f1",
    "log_loss",
    "mae",
    "mse",
    "precision",
    "r2",
    "recall",
    "rmse",
    "roc_auc",
    "top_k_accuracy",
]

_Floats: TypeAlias = NDArray[np.float64]
_Metric: TypeAlias = Callable[..., float]
_AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


# ---- what is given ----------------------------------------------------------------------------------------------------
def _column(a: NDArray[Any]) -> NDArray[Any]:
    """Return (samples, 1) as (samples,)."""
    return a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a


def _pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    t, p = _column(real_array(y_true, "y_true")), _column(real_array(y_pred, "y_pred"))
    if t.ndim < 1 or p.ndim < 1 or len(t) != len(p) or not len(t):
        got = f"y_true of shape {t.shape} and y_pred of shape {p.shape}"
        raise ValueError(f"{got} do not go together; expected as many samples, at least one")
    return t, p


def _weights(sample_weight: ArrayLike | None, rows: int) -> _Floats:
    if sample_weight is None:
        return np.ones(rows)
    w = real_array(sample_weight, "sample_weight").astype(np.float64)
    if w.shape != (rows,):
        raise ValueError(f"sample_weight: shape {w.shape} does not fit; expected {(rows,)}")
    if not (np.isfinite(w) & (w >= 0)).all() or not w.any():
        raise ValueError("sample_weight: expected finite numbers of 0 or more, not all 0")
    return w


def _labels(a: NDArray[Any], name: str) -> NDArray[np.int64]:
    """Return classes, whole numbers of 0 or more; a row of scores is the class of the largest."""
    if a.ndim == 2:
        return np.asarray(a.argmax(1), np.int64)
    if a.dtype.kind == "f":
        if not (a == np.rint(a)).all():
            raise ValueError(f"{name}: expected classes, got numbers that are not whole")
        a = a.astype(np.int64)
    found = a.astype(np.int64)
    if (found < 0).any():
        raise ValueError(f"{name}: class {found.min()} is negative")
    return found


def _predicted(p: NDArray[Any]) -> NDArray[np.int64]:
    """Return classes of predictions; one number a sample is a probability, unless it is an integer."""
    if p.ndim > 2:
        raise ValueError(f"y_pred: expected shape (samples,) or (samples, classes), got {p.shape}")
    return (p > 0.5).astype(np.int64) if p.ndim == 1 and p.dtype.kind == "f" else _labels(p, "y_pred")


def _classes(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return true and predicted classes, and how many classes there are."""
    t, p = _pair(y_true, y_pred)
    if t.ndim != 1:
        raise ValueError(f"y_true: expected one class a sample, got shape {t.shape}")
    true, predicted = _labels(t, "y_true"), _predicted(p)
    return true, predicted, max(p.shape[1] if p.ndim == 2 else 2, int(true.max()) + 1, int(predicted.max()) + 1)


def _is_many(y_true: ArrayLike, y_pred: ArrayLike) -> bool:
    """Tell whether every column is a yes or no of its own: 0 and 1 in as many columns as there are predictions."""
    t, p = np.asarray(y_true), np.asarray(y_pred)
    return t.ndim == 2 and t.shape[1] > 1 and t.shape == p.shape and bool(((t == 0) | (t == 1)).all())


def _scores(y_true: ArrayLike, y_score: ArrayLike) -> tuple[NDArray[np.int64], _Floats]:
    """Return true classes, and a row of scores for each: (samples, classes)."""
    t, s = _pair(y_true, y_score)
    if t.ndim != 1 or s.ndim > 2:
        raise ValueError(f"expected one class a sample and one row of scores, got shapes {t.shape} and {s.shape}")
    rows = s.astype(np.float64)
    if s.ndim == 1:
        rows = np.stack([1 - rows, rows], 1)
    true = _labels(t, "y_true")
    if true.max() >= rows.shape[1]:
        raise ValueError(f"y_true: class {true.max()} is not in 0..{rows.shape[1] - 1}, as y_pred of shape {s.shape} has them")
    return true, rows


# ---- classes ----------------------------------------------------------------------------------------------------------
def accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of samples whose class is right; for columns of 0 and 1, of elements that are.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, labels)
        Classes, or a yes or no for each label.
    y_pred : array_like, shape (samples,), (samples, classes) or (samples, labels)
        Labels, scores or probabilities.
    sample_weight : array_like, shape (samples,), optional
        How much each counts.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.accuracy([0, 1, 2, 2], [0, 1, 2, 1])
    0.75
    """
    if _is_many(y_true, y_pred):
        right = ((np.asarray(y_pred) > 0.5) == (np.asarray(y_true) > 0.5)).mean(1)
    else:
        true, predicted, _ = _classes(y_true, y_pred)
        right = true == predicted
    return float(np.average(right, weights=_weights(sample_weight, len(right))))


def top_k_accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, k: int = 5, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of samples whose class is among the ``k`` of the highest scores; of equal scores the lower class comes first.

    Parameters
    ----------
    y_true : array_like, shape (samples,)
        Classes.
    y_pred : array_like, shape (samples, classes)
        Scores.
    k : int
        At least 1. In ``fit`` the name ``"top_3_accuracy"`` sets it.
    sample_weight : array_like, shape (samples,), optional
        How much each counts.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.top_k_accuracy([0, 1], [[0.2, 0.3, 0.5], [0.1, 0.7, 0.2]], k=2)
    0.5
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k: expected an integer of 1 or more, got {k!r}")
    true, scores = _scores(y_true, y_pred)
    own = np.take_along_axis(scores, true[:, None], 1)
    ahead = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < true[:, None]))
    right = (ahead.sum(1) < k) & ~np.isnan(own[:, 0])
    return float(np.average(right, weights=_weights(sample_weight, len(right))))


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> _Floats:
    """Return how many samples of class i (rows) were taken for class j (columns).

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.confusion_matrix([0, 1, 1], [0, 1, 0])
    array([[1., 0.],
           [1., 1.]])
    """
    true, predicted, n = _classes(y_true, y_pred)
    return np.bincount(true * n + predicted, _weights(sample_weight, len(true)), n * n).reshape(n, n).astype(np.float64)


def _counts(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[_Floats, _Floats, _Floats]:
    """Return for each class the weight of hits, of predictions and of true samples."""
    if _is_many(y_true, y_pred):
        true, predicted = np.asarray(y_true) > 0.5, np.asarray(y_pred) > 0.5
        w = _weights(sample_weight, len(true))
        return w @ (true & predicted), w @ predicted, w @ true
    table = confusion_matrix(y_true, y_pred, sample_weight=sample_weight)
    return table.diagonal(), table.sum(0), table.sum(1)


def _ratio(a: _Floats, b: _Floats) -> _Floats:
    return np.divide(a, b, out=np.zeros_like(b), where=b != 0)


def _averaged(
    of: Callable[[_Floats, _Floats, _Floats], _Floats], y_true: ArrayLike, y_pred: ArrayLike, average: str, sample_weight: ArrayLike | None
) -> float:
    if average not in _AVERAGES:
        raise ValueError(f"average: expected {', '.join(map(repr, _AVERAGES))}, got {average!r}")
    hits, predicted, true = _counts(y_true, y_pred, sample_weight)
    binary = len(hits) == 2 and not _is_many(y_true, y_pred)
    if average == "binary" and not binary:
        raise ValueError(f"average: 'binary' needs two classes, got {len(hits)}")
    if average == "micro":
        return float(of(*(a.sum(keepdims=True) for a in (hits, predicted, true)))[0])
    each = of(hits, predicted, true)
    if average == "binary" or (average == "auto" and binary):
        return float(each[1])
    seen = (predicted > 0) | (true > 0) if not _is_many(y_true, y_pred) else np.ones(len(each), bool)
    if average == "weighted":
        return float(np.average(each, weights=true)) if true.any() else 0.0
    return float(each[seen].mean())


_AVERAGED = """

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, labels)
        Classes, or a yes or no for each label.
    y_pred : array_like, shape (samples,), (samples, classes) or (samples, labels)
        Labels, scores or probabilities.
    average : {{'auto', 'binary', 'macro', 'micro', 'weighted'}}
        'binary': of class 1. 'macro': the mean over classes that occur in ``y_true`` or ``y_pred``; 'weighted' by their true samples;
        'micro': of all counts together. 'auto': 'binary' with two classes, else 'macro'.
    sample_weight : array_like, shape (samples,), optional
        How much each counts.

    Raises
    ------
    ValueError
        If shapes do not go together, or ``average`` is unknown or does not fit.

    Notes
    -----
    Where the formula divides by 0 the score is 0.

    Examples
    --------
    >>> import pynn.metrics
    >>> round(pynn.metrics.{name}([0, 1, 1, 1], [0, 1, 1, 0]), 4)
    {result}
    """


def _document(text: str, result: str) -> Callable[[_Metric], _Metric]:
    def put(function: _Metric) -> _Metric:
        function.__doc__ = text + _AVERAGED.format(name=function.__name__, result=result)
        return function

    return put


@_document("Return the share of samples predicted as a class that are of it.", "1.0")
def precision(y_true: ArrayLike, y_pred: ArrayLike, *, average: str = "auto", sample_weight: ArrayLike | None = None) -> float:
    return _averaged(lambda hits, predicted, _: _ratio(hits, predicted), y_true, y_pred, average, sample_weight)


@_document("Return the share of samples of a class that are predicted as it.", "0.6667")
def recall(y_true: ArrayLike, y_pred: ArrayLike, *, average: str = "auto", sample_weight: ArrayLike | None = None) -> float:
    return _averaged(lambda hits, _, true: _ratio(hits, true), y_true, y_pred, average, sample_weight)


@_document("Return the harmonic mean of precision and recall, ``2 hits / (predicted + true)``.", "0.8")
def f1(y_true: ArrayLike, y_pred: ArrayLike, *, average: str = "auto", sample_weight: ArrayLike | None = None) -> float:
    return _averaged(lambda hits, predicted, true: _ratio(2 * hits, predicted + true), y_true, y_pred, average, sample_weight)


# ---- scores and probabilities -----------------------------------------------------------------------------------------
def _auc(true: NDArray[np.bool_], score: _Floats, w: _Floats) -> float:
    """Return the weight of pairs of a yes and a no that are in order, ties half, over that of all pairs; NaN without such pairs."""
    yes, no = w * true, w * ~true
    if not yes.any() or not no.any() or np.isnan(score).any():
        return math.nan
    _, place = np.unique(score, return_inverse=True)
    above, below = np.bincount(place, yes), np.bincount(place, no)
    return float(above @ (np.cumsum(below) - below / 2) / (yes.sum() * no.sum()))


def roc_auc(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the area under the ROC curve: how likely a yes has a higher score than a no.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, labels)
        Classes, or a yes or no for each label.
    y_pred : array_like, shape (samples,), (samples, classes) or (samples, labels)
        Scores. With more than two classes, or with labels, the mean over each against the rest; one that no sample, or every sample,
        belongs to is left out.
    sample_weight : array_like, shape (samples,), optional
        How much each counts.

    Returns
    -------
    float
        NaN where there is not both a yes and a no, or a score is NaN.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    if _is_many(y_true, y_pred):
        true, scores = np.asarray(y_true) > 0.5, np.asarray(y_pred, np.float64)
    else:
        labels, scores = _scores(y_true, y_pred)
        if scores.shape[1] == 2:  # one curve, not its mirror image too
            labels, scores = labels - 1, scores[:, 1:]
        true = labels[:, None] == np.arange(scores.shape[1])
    w = _weights(sample_weight, len(true))
    if np.isnan(scores).any():
        return math.nan
    each = [area for k in range(true.shape[1]) if not math.isnan(area := _auc(true[:, k], scores[:, k], w))]
    return float(np.mean(each)) if each else math.nan


def log_loss(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean of ``-log(probability of the true class)``, probabilities kept one machine epsilon from 0 and 1.

    Parameters
    ----------
    y_true : array_like, shape (samples,)
        Classes.
    y_pred : array_like, shape (samples, classes) or (samples,)
        Probabilities; of class 1, if one a sample.
    sample_weight : array_like, shape (samples,), optional
        How much each counts.

    Raises
    ------
    ValueError
        If a number is not a probability.

    Examples
    --------
    >>> import pynn.metrics
    >>> round(pynn.metrics.log_loss([1, 0], [0.9, 0.2]), 4)
    0.1643
    """
    given = np.asarray(y_pred)
    true, p = _scores(y_true, y_pred)
    _check_probabilities(p)
    eps = np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps
    own = np.clip(p[np.arange(len(true)), true], eps, 1 - eps)
    return float(np.average(-np.log(own), weights=_weights(sample_weight, len(true))))


def _check_probabilities(p: _Floats) -> None:
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"y_pred: {p[(p < 0) | (p > 1)].flat[0]} is not a probability in [0, 1]")


def ece(y_true: ArrayLike, y_pred: ArrayLike, *, n_bins: int = 15, sample_weight: ArrayLike | None = None) -> float:
    """Return the expected calibration error: how far confidence is from accuracy.

    Predictions go by the probability of the class they choose into ``n_bins`` bins of equal width, right edges included; the sum over
    bins of ``weight of the bin * |accuracy - mean confidence|`` (Guo et al. 2017, "On Calibration of Modern Neural Networks").

    Parameters
    ----------
    y_true : array_like, shape (samples,)
        Classes.
    y_pred : array_like, shape (samples, classes) or (samples,)
        Probabilities; of class 1, if one a sample.
    n_bins : int
        At least 1.
    sample_weight : array_like, shape (samples,), optional
        How much each counts.

    Examples
    --------
    >>> import pynn.metrics
    >>> round(pynn.metrics.ece([1, 1, 0, 1], [0.9, 0.9, 0.9, 0.9]), 4)
    0.15
    """
    if isinstance(n_bins, bool) or not isinstance(n_bins, (int, np.integer)) or n_bins < 1:
        raise ValueError(f"n_bins: expected an integer of 1 or more, got {n_bins!r}")
    true, p = _scores(y_true, y_pred)
    _check_probabilities(p)
    if np.isnan(p).any():
        return math.nan
    w, alone = _weights(sample_weight, len(true)), _column(np.asarray(y_pred)).ndim == 1
    confidence, right = p.max(1), (p[:, 1] > 0.5 if alone else p.argmax(1)) == true
    place = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    gap = np.bincount(place, w * right, n_bins) - np.bincount(place, w * confidence, n_bins)
    return float(np.abs(gap).sum() / w.sum())


# ---- numbers ----------------------------------------------------------------------------------------------------------
def _numbers(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[_Floats, _Floats, _Floats]:
    t, p = _pair(y_true, y_pred)
    if t.shape != p.shape:
        raise ValueError(f"y_true of shape {t.shape} and y_pred of shape {p.shape} differ")
    rows = len(t)
    return t.reshape(rows, -1).astype(np.float64), p.reshape(rows, -1).astype(np.float64), _weights(sample_weight, rows)


def mse(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean of squared differences.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.mse([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    t, p, w = _numbers(y_true, y_pred, sample_weight)
    return float(np.average(((t - p) ** 2).mean(1), weights=w))


def rmse(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the square root of the mean of squared differences; of several columns the mean of their roots, as scikit-learn has it.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.rmse([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 8.0])
    2.0
    """
    t, p, w = _numbers(y_true, y_pred, sample_weight)
    return float(np.sqrt(np.average((t - p) ** 2, 0, weights=w)).mean())


def mae(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean of absolute differences.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.mae([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    t, p, w = _numbers(y_true, y_pred, sample_weight)
    return float(np.average(np.abs(t - p).mean(1), weights=w))


def r2(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of variance explained, ``1 - sum((t - p)^2) / sum((t - mean(t))^2)``; of several columns the mean.

    A column without variance scores 1 where every prediction is exact, and 0 otherwise; a single sample has no variance: NaN.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.r2([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """
    t, p, w = _numbers(y_true, y_pred, sample_weight)
    if len(t) < 2:
        return math.nan
    rest, whole = w @ (t - p) ** 2, w @ (t - np.average(t, 0, weights=w)) ** 2
    each = np.where(whole != 0, 1 - _ratio(rest, whole), np.where(rest == 0, 1.0, np.where(np.isnan(rest), np.nan, 0.0)))
    return float(each.mean())


# ---- by name ----------------------------------------------------------------------------------------------------------
_NUMBERS = (mae, mse, r2, rmse)
by_name: dict[str, _Metric] = {
    f.__name__: f for f in (accuracy, ece, f1, log_loss, precision, recall, roc_auc, top_k_accuracy, *_NUMBERS)
}
"""What the strings of ``fit(..., metrics=["f1"])`` mean."""


def wants_probabilities(metric: _Metric) -> bool:
    """Tell whether a metric is one of those here that look at classes or probabilities."""
    return is_known(metric) and _plain(metric) not in _NUMBERS


def is_known(metric: _Metric) -> bool:
    """Tell whether a metric is one of those here."""
    return _plain(metric) in by_name.values()


def _plain(metric: Any) -> Any:
    return metric.func if isinstance(metric, functools.partial) else metric


def get(given: Any) -> dict[str, _Metric]:
    """Return metrics by the names that they are reported under.

    Parameters
    ----------
    given : None, str, callable, iterable of str and callables, or mapping of str to str or callable
        Names of this module's functions (``"top_3_accuracy"`` too), or functions of ``(y_true, y_pred)`` that return a number.
    """
    if given is None:
        return {}
    if isinstance(given, str) or callable(given):
        given = [given]
    pairs = given.items() if isinstance(given, Mapping) else [(_name(metric), metric) for metric in given]
    found: dict[str, _Metric] = {}
    for name, metric in pairs:
        if name in found:
            raise ValueError(f"metrics: two are called {name!r}; give a mapping of names to metrics")
        found[name] = _get(metric)
    return found


def _name(metric: Any) -> str:
    if isinstance(metric, str):
        return metric
    plain = _plain(metric)
    return str(getattr(plain, "__name__", type(plain).__name__))


def _get(metric: Any) -> _Metric:
    if callable(metric):
        return metric  # type: ignore[no-any-return]
    if not isinstance(metric, str):
        raise TypeError(f"metrics: expected names or functions of (y_true, y_pred), got {metric!r}")
    if top := re.fullmatch(r"top_([1-9]\d*)_accuracy", metric):
        return functools.partial(top_k_accuracy, k=int(top[1]))
    if metric not in by_name:
        raise unknown_name("metric", metric, by_name)
    return by_name[metric]
