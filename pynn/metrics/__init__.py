"""Metrics: what ``fit(..., metrics=[...])`` reports, and functions on arrays.

`fit` accepts the names of these functions, the names of losses, such as ``"mape"``, which give the mean of that loss, and the names of
scikit-learn's scorers and metrics, such as ``"balanced_accuracy"``, ``"matthews_corrcoef"`` or ``"cohen_kappa"``.

Every function takes ``(y_true, y_pred)`` first.

**Targets of classes** are labels, one for each sample: integers, bools, floats that hold whole numbers, or text. A 2-D array of 0 and 1 in
two or more columns is read in one of two ways. If every row holds exactly one 1, the rows are one-hot and encode classes, whatever the
loss is. If any row of the array holds none or several, the array is multi-label: each column is a yes or no. ``multilabel=True`` and
``multilabel=False`` force the reading. `fit`, `evaluate` and the functions here apply the same rule; a model that was trained on
multi-label targets also reads the targets of its validation and of `evaluate` that way.

**Predictions of classes** are labels; or scores of shape (samples, classes), where the largest selects the class; or, for two classes, the
probability of the second for each sample, which is a yes above 1/2. Multi-label predictions are probabilities, one for each label. A number
that is compared with 1/2 must lie in [0, 1]: scores such as logits raise an error.

A prediction that holds NaN, or whose largest score is infinite and not unique, has no class and never counts as right.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import real_array
from .._tables import known_name
from ._agreement import concordance, cosine_similarity, pearson
from ._curves import precision_at_recall, recall_at_precision, sensitivity_at_specificity, specificity_at_sensitivity
from ._others import LossMetric, SklearnMetric, loss_metric, loss_names, sklearn_metric
from ._read import (
    _check_probabilities,
    _coded,
    _counts,
    _decide,
    _Floats,
    _given,
    _is_text,
    _largest,
    _mean,
    _numbers,
    _of_one_length,
    _pair,
    _ratio,
    _reads_many,
    _scores,
    _weights,
    _yes_or_no,
)
from ._read import is_one_hot as is_one_hot
from ._read import is_zero_one as is_zero_one

__all__ = [
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "concordance",
    "confusion_matrix",
    "cosine_similarity",
    "ece",
    "f1",
    "fbeta",
    "jaccard",
    "log_loss",
    "mae",
    "mean_iou",
    "mse",
    "pearson",
    "precision",
    "precision_at_recall",
    "r2",
    "recall",
    "recall_at_precision",
    "rmse",
    "roc_auc",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "top_k_accuracy",
]


def __dir__() -> list[str]:
    return __all__


_Metric: TypeAlias = Callable[..., float]
_AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


# ---- classes ----------------------------------------------------------------------------------------------------------
def accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, multilabel: bool | None = None, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of samples whose class is right; for multi-label targets, the share of elements.

    Parameters
    ----------
    y_true : array_like, shape (samples,), (samples, classes) or (samples, labels)
        Labels, one-hot rows, or 0 and 1 for each label.
    y_pred : array_like, shape (samples,), (samples, classes) or (samples, labels)
        Labels, scores of classes, or probabilities.
    multilabel : bool, optional
        Whether columns of 0 and 1 are separate labels (True), or one-hot classes (False). None: one-hot where each row
        of `y_true` has exactly one 1.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is not among the classes, or a number to be compared with 1/2 is outside [0, 1].

    Notes
    -----
    In ``fit`` the names ``"binary_accuracy"`` and ``"categorical_accuracy"`` force one or the other;
    ``metrics={"accuracy": "binary_accuracy"}`` reports it instead of the loss's accuracy.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.accuracy([0, 1, 2, 2], [0, 1, 2, 1])
    0.75
    >>> pynn.metrics.accuracy([[1, 0, 0], [0, 1, 0]], [[0.4, 0.3, 0.2], [0.8, 0.1, 0.3]])
    0.5
    >>> pynn.metrics.accuracy([[1, 0, 0], [0, 1, 0]], [[0.4, 0.3, 0.2], [0.8, 0.1, 0.3]], multilabel=True)
    0.5
    """
    t, p = _pair(y_true, y_pred, text=True)
    if _reads_many(t, p, multilabel):
        yes, predicted, nothing = _yes_or_no(t, p)
        return _mean(((yes == predicted) & ~nothing).mean(1), sample_weight)
    found = _decide(t, p)
    return _mean((found.true == found.predicted) & ~found.nothing, sample_weight)


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of elements that are right, each a separate yes or no: ``accuracy(..., multilabel=True)``.

    Parameters
    ----------
    y_true : array_like, shape (samples, labels)
        0 and 1 for each label.
    y_pred : array_like, shape (samples, labels)
        Probabilities.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If shapes differ, or a number is outside [0, 1].

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.binary_accuracy([[1, 0], [0, 1]], [[0.9, 0.2], [0.1, 0.3]])
    0.75
    """
    return accuracy(y_true, y_pred, multilabel=True, sample_weight=sample_weight)


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of samples whose class is right, for one-hot rows or labels: ``accuracy(..., multilabel=False)``.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, classes)
        Labels, or one-hot rows.
    y_pred : array_like, shape (samples,) or (samples, classes)
        Labels, scores or probabilities.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If a row of `y_true` is not one-hot, or shapes do not fit.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.categorical_accuracy([[1, 0], [0, 1]], [[0.9, 0.2], [0.1, 0.3]])
    1.0
    """
    return accuracy(y_true, y_pred, multilabel=False, sample_weight=sample_weight)


def top_k_accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, k: int = 5, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of samples whose class has one of the ``k`` highest scores; ties go to the lower class.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, classes)
        Classes, or one-hot rows.
    y_pred : array_like, shape (samples, classes) or (samples,)
        Scores; one for each sample is the probability of the second of two classes.
    k : int
        At least 1. In ``fit`` the name ``"top_3_accuracy"`` sets it. With ``k`` classes or fewer, every sample whose
        scores hold no NaN is right.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If shapes do not fit, targets are multi-label, or ``k`` is less than 1.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.top_k_accuracy([0, 1], [[0.2, 0.3, 0.5], [0.1, 0.7, 0.2]], k=2)
    0.5
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k: expected an integer of 1 or more, got {k!r}")
    true, scores = _scores(y_true, y_pred, "top_k_accuracy")
    own = np.take_along_axis(scores, true[:, None], 1)
    ahead = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < true[:, None]))
    return _mean((ahead.sum(1) < k) & (_largest(scores) >= 0), sample_weight)


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> _Floats:
    """Return the number of samples of class i (rows) that are predicted as class j (columns).

    The classes are 0, 1, ... up to the largest label. For text and negative labels they are those that occur, sorted.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, classes)
        Labels, or one-hot rows.
    y_pred : array_like, shape (samples,) or (samples, classes)
        Labels, scores or probabilities.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    ndarray of float64, shape (classes, classes)
        The sum of the weights of the samples in each cell.

    Raises
    ------
    ValueError
        If targets are multi-label, or a prediction has no class because it is NaN.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.confusion_matrix([0, 1, 1], [0, 1, 0])
    array([[1., 0.],
           [1., 1.]])
    """
    t, p = _pair(y_true, y_pred, text=True)
    if _reads_many(t, p, None):
        raise ValueError("y_true: confusion_matrix takes one class per sample, and these are multi-label")
    found = _decide(t, p)
    if found.nothing.any():
        raise ValueError(f"y_pred: row {int(found.nothing.argmax())} has no class: it holds NaN, or more than one infinite score")
    names, (true, predicted) = _coded(found.true, found.predicted)
    n = len(names)
    if not _is_text(names) and names[0] >= 0:
        true, predicted, n = names[true], names[predicted], max(found.columns, 2, int(names[-1]) + 1)
    return np.bincount(true * n + predicted, _weights(sample_weight, len(true)), n * n).reshape(n, n).astype(np.float64)


def _averaged(
    of: Callable[[_Floats, _Floats, _Floats], _Floats],
    y_true: ArrayLike,
    y_pred: ArrayLike,
    average: str,
    multilabel: bool | None,
    sample_weight: ArrayLike | None,
) -> float:
    if average not in _AVERAGES:
        raise ValueError(f"average: expected {', '.join(map(repr, _AVERAGES))}, got {average!r}")
    *counts, positive, classes = _counts(y_true, y_pred, multilabel, sample_weight)
    if average == "binary" and positive is None:
        raise ValueError(f"average: 'binary' needs two classes, 0 and 1 or -1 and 1, got {classes}")
    if average == "micro":
        return float(of(*(a.sum(keepdims=True) for a in counts))[0])
    each = of(*counts)
    if positive is not None and average in ("auto", "binary"):
        return float([*each, 0.0][positive])
    if average == "weighted":
        true = counts[2]
        return float(np.average(each, weights=true)) if true.any() else 0.0
    return float(each.mean())


_AVERAGED = """

    Parameters
    ----------
    y_true : array_like, shape (samples,), (samples, classes) or (samples, labels)
        Labels, one-hot rows, or 0 and 1 for each label.
    y_pred : array_like, shape (samples,), (samples, classes) or (samples, labels)
        Labels, scores of classes, or probabilities.
    average : {{'auto', 'binary', 'macro', 'micro', 'weighted'}}
        'binary': the score of class 1, for classes 0 and 1 or -1 and 1. 'macro': the mean over the classes that occur in ``y_true`` or
        ``y_pred``, or over labels. 'weighted': their mean weighted by true samples. 'micro': the score of the summed counts.
        'auto': 'binary' with two such classes, else 'macro'.
    multilabel : bool, optional
        Whether columns of 0 and 1 are separate labels (True), or one-hot classes (False). None: one-hot where each row of `y_true`
        has exactly one 1.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If shapes do not fit, or ``average`` is unknown or does not fit.

    Notes
    -----
    A score whose formula divides by 0 is 0. A prediction of NaN has no class; its sample still counts among the true ones.

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


@_document("Return the share of the samples predicted as a class that belong to it.", "1.0")
def precision(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str = "auto",
    multilabel: bool | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    return _averaged(lambda hits, predicted, _: _ratio(hits, predicted), y_true, y_pred, average, multilabel, sample_weight)


@_document("Return the share of the samples of a class that are predicted correctly.", "0.6667")
def recall(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str = "auto",
    multilabel: bool | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    return _averaged(lambda hits, _, true: _ratio(hits, true), y_true, y_pred, average, multilabel, sample_weight)


@_document("Return the harmonic mean of precision and recall, ``2 hits / (predicted + true)``.", "0.8")
def f1(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str = "auto",
    multilabel: bool | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    return _averaged(lambda hits, predicted, true: _ratio(2 * hits, predicted + true), y_true, y_pred, average, multilabel, sample_weight)


def fbeta(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    beta: float = 1.0,
    average: str = "auto",
    multilabel: bool | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the weighted harmonic mean of precision and recall, ``(1 + beta^2) hits / (predicted + beta^2 true)``.

    Parameters
    ----------
    y_true, y_pred, average, multilabel, sample_weight
        As in `f1`.
    beta : float
        The weight of recall against precision; 1 gives `f1`. In ``fit`` the name ``"fbeta_2"`` sets it.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        As in `f1`, and if ``beta`` is negative or infinite.

    Examples
    --------
    >>> import pynn.metrics
    >>> round(pynn.metrics.fbeta([0, 1, 1, 1], [0, 1, 1, 0], beta=2), 4)
    0.7143
    """
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta: expected a number of 0 or more, got {beta!r}")
    square = float(beta) ** 2

    def score(hits: _Floats, predicted: _Floats, true: _Floats) -> _Floats:
        return _ratio((1 + square) * hits, predicted + square * true)

    return _averaged(score, y_true, y_pred, average, multilabel, sample_weight)


@_document("Return the intersection over union of samples of a class and samples predicted as it (the Jaccard index).", "0.6667")
def jaccard(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str = "auto",
    multilabel: bool | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    def score(hits: _Floats, predicted: _Floats, true: _Floats) -> _Floats:
        return _ratio(hits, predicted + true - hits)

    return _averaged(score, y_true, y_pred, average, multilabel, sample_weight)


def mean_iou(y_true: ArrayLike, y_pred: ArrayLike, *, multilabel: bool | None = None, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean over classes of intersection over union: ``jaccard(..., average="macro")``.

    Parameters
    ----------
    y_true, y_pred, multilabel, sample_weight
        As in `jaccard`.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import pynn.metrics
    >>> round(pynn.metrics.mean_iou([0, 1, 1, 1], [0, 1, 1, 0]), 4)
    0.5833
    """
    return jaccard(y_true, y_pred, average="macro", multilabel=multilabel, sample_weight=sample_weight)


# ---- scores and probabilities -----------------------------------------------------------------------------------------
def _auc(true: NDArray[np.bool_], score: _Floats, w: _Floats) -> float:
    """Return the weighted share of pairs of a yes and a no that are in order, with ties counted half; NaN without such pairs."""
    yes, no = w * true, w * ~true
    if not yes.any() or not no.any():
        return math.nan
    _, place = np.unique(score, return_inverse=True)
    above, below = np.bincount(place, yes), np.bincount(place, no)
    return float(above @ (np.cumsum(below) - below / 2) / (yes.sum() * no.sum()))


def roc_auc(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the area under the ROC curve: the probability that a yes has a higher score than a no.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, labels)
        Classes, one-hot rows, or 0 and 1 for each label.
    y_pred : array_like, shape (samples,), (samples, classes) or (samples, labels)
        Scores of any size. With more than two classes, or with labels, the result is the mean over each against the rest, without
        those that no sample or every sample belongs to.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        NaN unless there are both a yes and a no, or if a score is NaN.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    t, s = _of_one_length(_given(y_true, "y_true", True), _given(y_pred, "y_pred", False))
    if t.ndim == 2 and t.shape == s.shape and not _is_text(t) and is_zero_one(t):
        true, scores = t == 1, s.astype(np.float64)
    else:
        labels, scores = _scores(y_true, y_pred, "roc_auc", raw=True)
        if scores.shape[1] == 2:  # one curve, since the other is its mirror image
            labels, scores = labels - 1, scores[:, 1:]
        true = labels[:, None] == np.arange(scores.shape[1])
    w = _weights(sample_weight, len(true))
    if np.isnan(scores).any():
        return math.nan
    each = [area for k in range(true.shape[1]) if not math.isnan(area := _auc(true[:, k], scores[:, k], w))]
    return float(np.mean(each)) if each else math.nan


def log_loss(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean of ``-log(probability of the true class)``, with probabilities clipped to [eps, 1 - eps].

    ``eps`` is the machine epsilon of the dtype of `y_pred`.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, classes)
        Classes, or one-hot rows.
    y_pred : array_like, shape (samples, classes) or (samples,)
        Probabilities; one for each sample is that of the second of two classes.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        NaN if a probability is NaN.

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
    dtype = real_array(y_pred, "y_pred").dtype
    true, p = _scores(y_true, y_pred, "log_loss")
    _check_probabilities(p)
    if np.isnan(p).any():
        return math.nan
    eps = np.finfo(dtype if dtype.kind == "f" else np.float64).eps
    return _mean(-np.log(np.clip(p[np.arange(len(true)), true], eps, 1 - eps)), sample_weight)


def ece(y_true: ArrayLike, y_pred: ArrayLike, *, n_bins: int = 15, sample_weight: ArrayLike | None = None) -> float:
    """Return the expected calibration error: how far confidence is from accuracy.

    Predictions are sorted by the probability of the predicted class into ``n_bins`` bins of equal width, right edges included. The
    result is the sum over bins of ``weight of the bin * |accuracy - mean confidence|`` (Guo et al. 2017, "On Calibration of Modern
    Neural Networks").

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, classes)
        Classes, or one-hot rows.
    y_pred : array_like, shape (samples, classes) or (samples,)
        Probabilities; one for each sample is that of the second of two classes.
    n_bins : int
        At least 1.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between 0 and 1; NaN if a probability is NaN.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not a probability, or ``n_bins`` is less than 1.

    Examples
    --------
    >>> import pynn.metrics
    >>> round(pynn.metrics.ece([1, 1, 0, 1], [0.9, 0.9, 0.9, 0.9]), 4)
    0.15
    """
    if isinstance(n_bins, bool) or not isinstance(n_bins, (int, np.integer)) or n_bins < 1:
        raise ValueError(f"n_bins: expected an integer of 1 or more, got {n_bins!r}")
    true, p = _scores(y_true, y_pred, "ece")
    _check_probabilities(p)
    if np.isnan(p).any():
        return math.nan
    w, alone = _weights(sample_weight, len(true)), _given(y_pred, "y_pred", False).ndim == 1
    right = (p[:, 1] > 0.5 if alone else p.argmax(1)) == true
    _, confidence, correct = confidence_bins(p.max(1), right, w, n_bins)
    return float(np.abs(correct - confidence).sum() / w.sum())


def confidence_bins(confidence: _Floats, right: NDArray[np.bool_], w: _Floats, n_bins: int) -> tuple[_Floats, _Floats, _Floats]:
    """Return for each bin of confidence the sums of the weights, of weight times confidence, and of the weights of right predictions.

    Bins have equal widths and include their right edges.
    """
    place = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    total, confident, correct = (np.bincount(place, values, n_bins).astype(np.float64) for values in (w, w * confidence, w * right))
    return total, confident, correct


# ---- numbers ----------------------------------------------------------------------------------------------------------
def mse(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean of squared differences.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (samples,) or (samples, columns)
        Targets and predictions.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        NaN if a prediction is NaN.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no samples.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.mse([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    t, p, w = _numbers(y_true, y_pred, sample_weight)
    return float(np.average(((t - p) ** 2).mean(1), weights=w))


def rmse(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the square root of the mean of squared differences.

    For several columns it is the mean of their roots, as in scikit-learn.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (samples,) or (samples, columns)
        Targets and predictions.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        NaN if a prediction is NaN.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no samples.

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

    Parameters
    ----------
    y_true, y_pred : array_like, shape (samples,) or (samples, columns)
        Targets and predictions.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        NaN if a prediction is NaN.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no samples.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.mae([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    t, p, w = _numbers(y_true, y_pred, sample_weight)
    return float(np.average(np.abs(t - p).mean(1), weights=w))


def r2(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of explained variance, ``1 - sum((t - p)^2) / sum((t - mean(t))^2)``; for several columns the mean.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (samples,) or (samples, columns)
        Targets and predictions.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        At most 1. A column without variance scores 1 if all predictions are exact, and 0 otherwise. NaN for a single sample, which has no
        variance, and for predictions that are not finite.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no samples.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.r2([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """
    t, p, w = _numbers(y_true, y_pred, sample_weight)
    if len(t) < 2 or not np.isfinite(p).all():
        return math.nan
    counted = w > 0
    flat = (t[counted] == t[counted][0]).all(0)  # the mean of equal numbers need not be one of them
    exact = (t[counted] == p[counted]).all(0)
    rest, whole = w @ (t - p) ** 2, w @ (t - np.average(t, 0, weights=w)) ** 2
    return float(np.where(flat, exact, 1 - _ratio(rest, np.where(flat, 1.0, whole))).mean())


# ---- by name ----------------------------------------------------------------------------------------------------------
class _Traits(NamedTuple):
    """Properties of a metric that its function does not tell."""

    rises: bool
    """Whether a greater number is better."""
    of_classes: bool = True
    """Whether it uses classes or probabilities, not numbers."""
    compares: bool = False
    """Whether it compares predictions with 1/2."""
    reads: bool = False
    """Whether ``multilabel=`` selects how it reads columns of 0 and 1."""
    parameter: str = ""
    """The argument that a number at the end of its name sets."""


_METRICS: dict[_Metric, _Traits] = {
    accuracy: _Traits(rises=True, compares=True, reads=True),
    binary_accuracy: _Traits(rises=True, compares=True),
    categorical_accuracy: _Traits(rises=True, compares=True),
    f1: _Traits(rises=True, compares=True, reads=True),
    fbeta: _Traits(rises=True, compares=True, reads=True, parameter="beta"),
    jaccard: _Traits(rises=True, compares=True, reads=True),
    mean_iou: _Traits(rises=True, compares=True, reads=True),
    concordance: _Traits(rises=True, of_classes=False),
    cosine_similarity: _Traits(rises=True, of_classes=False),
    pearson: _Traits(rises=True, of_classes=False),
    precision_at_recall: _Traits(rises=True, parameter="recall"),
    recall_at_precision: _Traits(rises=True, parameter="precision"),
    sensitivity_at_specificity: _Traits(rises=True, parameter="specificity"),
    specificity_at_sensitivity: _Traits(rises=True, parameter="sensitivity"),
    precision: _Traits(rises=True, compares=True, reads=True),
    r2: _Traits(rises=True, of_classes=False),
    recall: _Traits(rises=True, compares=True, reads=True),
    roc_auc: _Traits(rises=True),
    top_k_accuracy: _Traits(rises=True, compares=True),
    ece: _Traits(rises=False),
    log_loss: _Traits(rises=False),
    mae: _Traits(rises=False, of_classes=False),
    mse: _Traits(rises=False, of_classes=False),
    rmse: _Traits(rises=False, of_classes=False),
}
"""The metrics of this module that `fit` accepts by name."""
by_name: dict[str, _Metric] = {f.__name__: f for f in _METRICS}
"""The meaning of the strings in ``fit(..., metrics=["f1"])``."""

_TOP = re.compile(r"top_([1-9]\d*)_accuracy")
_NUMBER = re.compile(r"(\w+?)_(\d+(?:\.\d+)?)")
_RESERVED = ("epoch", "loss", "lr", "seconds")
"""Names of the history that are not metrics."""


def wants_probabilities(metric: _Metric) -> bool:
    """Return whether a metric is given by name and uses classes or probabilities."""
    traits = _traits(metric)
    return (traits is not None and traits.of_classes) or (isinstance(metric, SklearnMetric) and metric.takes != "numbers")


def compares(metric: _Metric) -> bool:
    """Return whether a metric compares predictions with 1/2."""
    traits = _traits(metric)
    return traits.compares if traits is not None else isinstance(metric, SklearnMetric) and metric.takes == "labels"


def is_known(metric: _Metric) -> bool:
    """Return whether a metric is one of this module, or one that it makes for a name."""
    return _traits(metric) is not None or isinstance(metric, (LossMetric, SklearnMetric))


def read_as(metric: _Metric, multilabel: bool) -> _Metric:
    """Return a metric that reads columns of 0 and 1 in one way, unless it has no such argument or it is set."""
    traits = _traits(metric)
    if traits is None or not traits.reads or "multilabel" in getattr(metric, "keywords", ()):
        return metric
    return functools.partial(metric, multilabel=multilabel)


def rises(metric: _Metric) -> bool | None:
    """Return whether a greater number is better: by its traits, or by ``greater_is_better`` of a custom metric; None if not known."""
    traits = _traits(metric)
    if traits is not None:
        return traits.rises
    found = getattr(metric, "greater_is_better", getattr(_plain(metric), "greater_is_better", None))
    if found is not None and not isinstance(found, (bool, np.bool_)):
        raise TypeError(f"metrics: greater_is_better of {_name(metric)} must be True or False, got {found!r}")
    return None if found is None else bool(found)


def rises_by_name(name: str) -> bool | None:
    """Return whether a greater number is better, for the name of a loss or a metric that something else reports."""
    if name == "loss":
        return False
    return rises(_get(name)) if name in by_name or _TOP.fullmatch(name) or _with_number(name) else None


def _traits(metric: _Metric) -> _Traits | None:
    """Return the traits of a metric of this module, also with arguments bound by `functools.partial`; None for others."""
    plain = _plain(metric)
    return next((traits for known, traits in _METRICS.items() if known is plain), None)  # other callables need not be hashable


def _plain(metric: Any) -> Any:
    return metric.func if isinstance(metric, functools.partial) else metric


def get(given: Any) -> dict[str, _Metric]:
    """Return metrics by the names under which they are reported.

    Parameters
    ----------
    given : None, str, callable, iterable of str and callables, or mapping of str to str or callable
        Names of this module's functions (``"top_3_accuracy"`` and ``"fbeta_2"`` too), of losses, or of scikit-learn's scorers and
        metrics; or functions of ``(y_true, y_pred)`` that return a number. A
        function named "accuracy", or a mapping's entry of that name, replaces the accuracy of the loss.

    Raises
    ------
    ValueError
        If a name is unknown, occurs twice, or is reserved by the history.
    """
    if given is None:
        return {}
    if isinstance(given, str) or callable(given):
        given = [given]
    pairs = given.items() if isinstance(given, Mapping) else [(_name(metric), metric) for metric in given]
    found: dict[str, _Metric] = {}
    for name, metric in pairs:
        if name in found:
            raise ValueError(f"metrics: two have the name {name!r}; give a mapping of names to metrics")
        if not isinstance(name, str) or name in _RESERVED or name.startswith("val_"):
            reserved = f"{', '.join(map(repr, _RESERVED))} and names that begin with 'val_'"
            taken = f"{name!r} cannot be the name of a metric, history reserves {reserved}"
            raise ValueError(f"metrics: {taken}; give a mapping of names to metrics")
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
    if top := _TOP.fullmatch(metric):
        return functools.partial(top_k_accuracy, k=int(top[1]))
    if numbered := _with_number(metric):
        return numbered
    try:
        return by_name[known_name("metric", metric, by_name)]
    except ValueError as error:
        other = loss_metric(metric) or sklearn_metric(metric)
        if other is None:
            more = f"; also the losses {', '.join(loss_names())}; and, if scikit-learn is installed, the names of sklearn.metrics"
            raise ValueError(f"{error}{more}") from None
        return other


def _with_number(name: str) -> _Metric | None:
    """Return the metric of a name that ends with the value of an argument, such as "fbeta_2"; None for another name."""
    found = _NUMBER.fullmatch(name)
    metric = by_name.get(found[1]) if found else None
    if found is None or metric is None or not _METRICS[metric].parameter:
        return None
    return functools.partial(metric, **{_METRICS[metric].parameter: float(found[2])})
