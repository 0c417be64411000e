"""Points on the ROC curve and on the precision-recall curve of two classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._read import _Floats, _scores, _weights


class _Curve(NamedTuple):
    """Weights of true and false positives at each threshold, from none to all predicted as positive, and all positives and negatives."""

    hits: _Floats
    false: _Floats
    positives: float
    negatives: float


def _curve(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None, name: str) -> _Curve | None:
    """Return the curve over all thresholds, or None if a score is NaN or there is only one class."""
    labels, scores = _scores(y_true, y_pred, name, raw=True)
    if scores.shape[1] != 2:
        raise ValueError(f"{name}: expected two classes, got scores of {scores.shape[1]}")
    true, score, w = labels == 1, scores[:, 1], _weights(sample_weight, len(labels))
    positives, negatives = float(w[true].sum()), float(w[~true].sum())
    if np.isnan(score).any() or not positives or not negatives:
        return None
    _, place = np.unique(score, return_inverse=True)
    hits, false = (np.cumsum(np.bincount(place, w * part)[::-1]) for part in (true, ~true))
    return _Curve(np.insert(hits, 0, 0.0), np.insert(false, 0, 0.0), positives, negatives)


def _check(name: str, value: float) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)) or not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")
    return float(value)


def _best(values: _Floats, allowed: np.ndarray) -> float:
    return float(values[allowed].max(initial=0.0))


_SLACK = 1e-12
"""Sums of weights are rounded, so a limit is reached by slightly less."""


def sensitivity_at_specificity(
    y_true: ArrayLike, y_pred: ArrayLike, *, specificity: float = 0.5, sample_weight: ArrayLike | None = None
) -> float:
    """Return the largest sensitivity (recall of class 1) over all thresholds at which the specificity is high enough.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, 2)
        Two classes.
    y_pred : array_like, shape (samples,) or (samples, 2)
        Scores of any size; the larger, the more likely class 1.
    specificity : float
        The least share of samples of class 0 that are predicted as such. In ``fit`` the name
        ``"sensitivity_at_specificity_0.9"`` sets it.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between 0 and 1; NaN if one class does not occur, or a score is NaN.

    Raises
    ------
    ValueError
        If shapes do not fit, or there are more classes.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.sensitivity_at_specificity([0, 0, 1, 1], [0.1, 0.6, 0.3, 0.8], specificity=0.9)
    0.5
    """
    curve, least = _curve(y_true, y_pred, sample_weight, "sensitivity_at_specificity"), _check("specificity", specificity)
    if curve is None:
        return float("nan")
    return _best(curve.hits / curve.positives, 1 - curve.false / curve.negatives >= least - _SLACK)


def specificity_at_sensitivity(
    y_true: ArrayLike, y_pred: ArrayLike, *, sensitivity: float = 0.5, sample_weight: ArrayLike | None = None
) -> float:
    """Return the largest specificity (recall of class 0) over all thresholds at which the sensitivity is high enough.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, 2)
        Two classes.
    y_pred : array_like, shape (samples,) or (samples, 2)
        Scores of any size; the larger, the more likely class 1.
    sensitivity : float
        The least share of samples of class 1 that are predicted as such. In ``fit`` the name
        ``"specificity_at_sensitivity_0.9"`` sets it.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between 0 and 1; NaN if one class does not occur, or a score is NaN.

    Raises
    ------
    ValueError
        If shapes do not fit, or there are more classes.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.specificity_at_sensitivity([0, 0, 1, 1], [0.1, 0.6, 0.3, 0.8], sensitivity=0.9)
    0.5
    """
    curve, least = _curve(y_true, y_pred, sample_weight, "specificity_at_sensitivity"), _check("sensitivity", sensitivity)
    if curve is None:
        return float("nan")
    return _best(1 - curve.false / curve.negatives, curve.hits / curve.positives >= least - _SLACK)


def precision_at_recall(y_true: ArrayLike, y_pred: ArrayLike, *, recall: float = 0.5, sample_weight: ArrayLike | None = None) -> float:
    """Return the largest precision of class 1 over all thresholds at which the recall is high enough.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, 2)
        Two classes.
    y_pred : array_like, shape (samples,) or (samples, 2)
        Scores of any size; the larger, the more likely class 1.
    recall : float
        The least share of samples of class 1 that are predicted as such. In ``fit`` the name ``"precision_at_recall_0.9"`` sets it.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between 0 and 1; NaN if one class does not occur, or a score is NaN.

    Raises
    ------
    ValueError
        If shapes do not fit, or there are more classes.

    Examples
    --------
    >>> import pynn.metrics
    >>> round(pynn.metrics.precision_at_recall([0, 0, 1, 1], [0.1, 0.6, 0.3, 0.8], recall=0.9), 4)
    0.6667
    """
    curve, least = _curve(y_true, y_pred, sample_weight, "precision_at_recall"), _check("recall", recall)
    if curve is None:
        return float("nan")
    hits, all_predicted = curve.hits[1:], curve.hits[1:] + curve.false[1:]
    some = all_predicted > 0
    return _best(hits[some] / all_predicted[some], hits[some] / curve.positives >= least - _SLACK)


def recall_at_precision(y_true: ArrayLike, y_pred: ArrayLike, *, precision: float = 0.5, sample_weight: ArrayLike | None = None) -> float:
    """Return the largest recall of class 1 over all thresholds at which the precision is high enough; 0 if there is none.

    Parameters
    ----------
    y_true : array_like, shape (samples,) or (samples, 2)
        Two classes.
    y_pred : array_like, shape (samples,) or (samples, 2)
        Scores of any size; the larger, the more likely class 1.
    precision : float
        The least share of class 1 among the samples predicted as such. In ``fit`` the name ``"recall_at_precision_0.9"`` sets it.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between 0 and 1; NaN if one class does not occur, or a score is NaN.

    Raises
    ------
    ValueError
        If shapes do not fit, or there are more classes.

    Examples
    --------
    >>> import pynn.metrics
    >>> pynn.metrics.recall_at_precision([0, 0, 1, 1], [0.1, 0.6, 0.3, 0.8], precision=0.9)
    0.5
    """
    curve, least = _curve(y_true, y_pred, sample_weight, "recall_at_precision"), _check("precision", precision)
    if curve is None:
        return float("nan")
    hits, all_predicted = curve.hits[1:], curve.hits[1:] + curve.false[1:]
    return _best(hits / curve.positives, (all_predicted > 0) & (hits >= (least - _SLACK) * all_predicted))
