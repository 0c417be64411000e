"""Metrics: what ``fit(..., metrics=[...])`` reports, and functions on arrays.

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

from ._arrays import plain_array, real_array
from ._tables import known_name

__all__ = [
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
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


def __dir__() -> list[str]:
    return __all__


_Floats: TypeAlias = NDArray[np.float64]
_Bools: TypeAlias = NDArray[np.bool_]
_Labels: TypeAlias = NDArray[Any]
_Metric: TypeAlias = Callable[..., float]
_AVERAGES = ("auto", "binary", "macro", "micro", "weighted")
_SIGNS = ([0, 1], [-1, 1])
"""Labels of two classes, of which the second is the positive one."""


# ---- arrays -----------------------------------------------------------------------------------------------------------
def _column(a: NDArray[Any]) -> NDArray[Any]:
    """Return (samples, 1) as (samples,)."""
    return a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a


def _is_text(a: NDArray[Any]) -> bool:
    return a.dtype.kind == "U"


def _given(x: ArrayLike, name: str, text: bool) -> NDArray[Any]:
    """Return real numbers, or text if it is allowed."""
    a = plain_array(x, name) if text else real_array(x, name)
    if text and a.dtype.kind in "OT" and all(isinstance(value, str) for value in a.flat):
        a = a.astype(str)
    return _column(a if _is_text(a) else real_array(x, name))


def _pair(y_true: ArrayLike, y_pred: ArrayLike, text: bool = False) -> tuple[NDArray[Any], NDArray[Any]]:
    return _of_one_length(_given(y_true, "y_true", text), _given(y_pred, "y_pred", text))


def _of_one_length(t: NDArray[Any], p: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if t.ndim < 1 or p.ndim < 1 or len(t) != len(p) or not len(t):
        raise ValueError(f"y_true of shape {t.shape} and y_pred of shape {p.shape}: expected the same number of samples, at least one")
    return t, p


def _weights(sample_weight: ArrayLike | None, rows: int) -> _Floats:
    if sample_weight is None:
        return np.ones(rows)
    w = _column(real_array(sample_weight, "sample_weight")).astype(np.float64)
    if w.shape != (rows,):
        raise ValueError(f"sample_weight: shape {w.shape} does not fit; expected {(rows,)}")
    if not (np.isfinite(w) & (w >= 0)).all() or not w.any():
        raise ValueError("sample_weight: expected finite numbers of 0 or more, not all 0")
    return w


def _mean(values: NDArray[Any], sample_weight: ArrayLike | None) -> float:
    return float(np.average(values, weights=_weights(sample_weight, len(values))))


# ---- labels and one-hot rows ------------------------------------------------------------------------------------------
def is_zero_one(a: NDArray[Any]) -> bool:
    """Return whether an array holds only 0 and 1."""
    return bool(((a == 0) | (a == 1)).all())


def is_one_hot(a: NDArray[Any]) -> bool:
    """Return whether each row of a matrix is 1 in one column and 0 in the others."""
    return is_zero_one(a) and bool((np.count_nonzero(a, axis=1) == 1).all())


def _is_whole(a: NDArray[Any]) -> bool:
    return a.dtype.kind != "f" or bool((np.isfinite(a) & (a == np.rint(a))).all())


def _as_labels(a: NDArray[Any], name: str) -> _Labels:
    """Return labels as int64, or text unchanged."""
    if _is_text(a):
        return a
    if not _is_whole(a):
        raise ValueError(f"{name}: expected classes, got numbers that are not whole, or not finite")
    if a.size and (a.max() > np.iinfo(np.int64).max or a.min() < np.iinfo(np.int64).min):
        raise ValueError(f"{name}: label {a.max()} is too large for a 64-bit integer")
    return a.astype(np.int64)


def _reads_many(t: NDArray[Any], p: NDArray[Any], multilabel: bool | None) -> bool:
    """Return whether targets are multi-label; see the docstring of the module."""
    if multilabel is not None and not isinstance(multilabel, (bool, np.bool_)):
        raise TypeError(f"multilabel: expected True, False or None, got {multilabel!r}")
    if t.ndim != 2:
        return bool(multilabel)
    if _is_text(t) or not is_zero_one(t):
        expected = "expected one class per sample, one-hot rows, or 0 and 1 for each label"
        raise ValueError(f"y_true: {expected}; got shape {t.shape} with other values")
    if multilabel is None:
        # Integers of 0 and 1 that are not one-hot are decisions for each label.
        decided = p.ndim == 2 and p.dtype.kind in "iub" and is_zero_one(p) and not is_one_hot(p)
        return decided or not is_one_hot(t)
    if not multilabel and not is_one_hot(t):
        row = int(np.flatnonzero(np.count_nonzero(t, axis=1) != 1)[0])
        raise ValueError(f"y_true: multilabel=False needs exactly one 1 in each row, and row {row} has {np.count_nonzero(t[row])}")
    return bool(multilabel)


def _check_probabilities(p: NDArray[Any], how: str = "") -> None:
    outside = (p < 0) | (p > 1)
    if outside.any():
        raise ValueError(f"y_pred: {p[outside].flat[0]} is not a probability in [0, 1]{how}")


_HOW = "; convert logits to probabilities first: pynn.sigmoid(y_pred)"


def _places(labels: _Labels, columns: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the column of each label. Text is sorted if there are as many labels as columns, and so are -1 and 1."""
    if not _is_text(labels) and labels.min() < 0 and not np.isin(labels, [-1, 1]).all():
        raise ValueError(f"y_true: class {labels.min()} is negative, and y_pred has scores of the classes 0..{columns - 1}; drop such rows")
    if not _is_text(labels) and labels.min() >= 0:
        if labels.max() >= columns:
            raise ValueError(f"y_true: class {labels.max()} is not in 0..{columns - 1}, the classes of y_pred of shape {shape}")
        return labels
    names, place = np.unique(labels, return_inverse=True)
    if len(names) != columns:
        got = f"y_true has {len(names)} different labels, and y_pred of shape {shape} has scores of {columns} classes"
        raise ValueError(f"{got}; give class indices, the column of each sample's class")
    return place.reshape(-1)


def _largest(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Return the column of the largest score of each row, the first of equals; -1 where there is none."""
    if scores.shape[1] == 0:
        raise ValueError("y_pred: expected at least one column")
    place: NDArray[np.int64] = scores.argmax(1)
    if scores.dtype.kind == "f":
        most = np.take_along_axis(scores, place[:, None], 1)
        tied = np.isinf(most[:, 0]) & ((scores == most).sum(1) > 1)
        place[np.isnan(most[:, 0]) | tied] = -1  # argmax stops at a NaN
    return place


class _Decided(NamedTuple):
    """Labels of targets and predictions, the number of classes, and which predictions have no class."""

    true: _Labels
    predicted: _Labels
    nothing: _Bools
    columns: int  # the number of classes of scores; 0 for labels


def _of_labels(t: _Labels, p: NDArray[Any]) -> _Decided:
    """Return predictions of one value per sample as labels: labels themselves, or probabilities of the second of two classes."""
    none = np.zeros(len(t), bool)
    if _is_text(t) != _is_text(p):
        kinds = "text and y_pred numbers" if _is_text(t) else "numbers and y_pred text"
        raise ValueError(f"y_true holds {kinds}; give both as labels of one kind")
    if p.dtype.kind != "f":
        return _Decided(t, _as_labels(p, "y_pred"), none, 0)
    none = np.isnan(p)
    known, seen, names = p[~none], np.where(none, t[0], p), np.unique(t)
    if np.isin(names, [0, 1]).all() and ((known >= 0) & (known <= 1)).all():
        return _Decided(t, (p > 0.5).astype(np.int64), none, 2)
    if _is_whole(known) and (len(names) > 2 or np.isin(known, names).all()):
        return _Decided(t, _as_labels(seen, "y_pred"), none, 0)
    if np.isin(names, [0, 1]).all():
        _check_probabilities(p, f"{_HOW}, and integers of labels, y_pred.astype(int)")
    raise ValueError(
        f"y_pred: floats with one value per sample must be labels that y_true has, {', '.join(map(str, names[:5]))}, "
        "or for classes 0 and 1 probabilities in [0, 1]; scores of more classes have a column each"
    )


def _decide(t: NDArray[Any], p: NDArray[Any]) -> _Decided:
    """Return targets and predictions as labels."""
    true = t.argmax(1) if t.ndim == 2 else _as_labels(t, "y_true")
    if p.ndim == 1:
        return _of_labels(true, p)
    if p.ndim != 2 or _is_text(p):
        expected = "expected labels of shape (samples,), or scores of shape (samples, classes)"
        raise ValueError(f"y_pred: {expected}, got {p.dtype} of shape {p.shape}")
    if t.ndim == 2 and t.shape != p.shape:
        raise ValueError(f"y_true of shape {t.shape} and y_pred of shape {p.shape} differ")
    predicted = _largest(p)
    return _Decided(_places(true, p.shape[1], p.shape), predicted, predicted < 0, p.shape[1])


def _yes_or_no(t: NDArray[Any], p: NDArray[Any]) -> tuple[_Bools, _Bools, _Bools]:
    """Return multi-label targets, predictions, and which predictions are NaN, all of shape (samples, labels)."""
    if t.shape != p.shape or t.ndim > 2 or _is_text(t) or not is_zero_one(t):
        expected = f"multi-label targets are 0 and 1 in the shape of y_pred, {p.shape}"
        raise ValueError(f"y_true: {expected}, got {t.dtype} of shape {t.shape}")
    _check_probabilities(p, _HOW)
    t, p = t.reshape(len(t), -1), p.reshape(len(p), -1)
    return t == 1, p > 0.5, np.isnan(p) if p.dtype.kind == "f" else np.zeros(p.shape, bool)


def _scores(y_true: ArrayLike, y_score: ArrayLike, name: str, *, raw: bool = False) -> tuple[NDArray[np.int64], _Floats]:
    """Return true classes, and a row of scores for each: (samples, classes). One score per sample is a probability unless ``raw``."""
    t, s = _of_one_length(_given(y_true, "y_true", True), _given(y_score, "y_pred", False))
    if t.ndim == 2 and _reads_many(t, s, None):
        row = np.flatnonzero(np.count_nonzero(t, axis=1) != 1)
        raise ValueError(f"y_true: {name} takes one class per sample, and row {int(row[0]) if row.size else 0} is multi-label")
    if t.ndim > 2 or s.ndim > 2 or (t.ndim == 2 and t.shape != s.shape):
        raise ValueError(f"expected one class per sample and one row of scores, got shapes {t.shape} and {s.shape}")
    rows = s.astype(np.float64)
    if s.ndim == 1:
        if not raw:
            _check_probabilities(rows, _HOW)
        rows = np.stack([1 - rows, rows], 1)
    true = t.argmax(1) if t.ndim == 2 else _as_labels(t, "y_true")
    return _places(true, rows.shape[1], s.shape), rows


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


def _coded(*labels: _Labels) -> tuple[_Labels, list[NDArray[np.int64]]]:
    """Return the labels that occur, sorted, and the indices of each array's labels among them."""
    names = np.unique(np.concatenate([np.unique(a) for a in labels]))
    return names, [np.searchsorted(names, a) for a in labels]


class _Counts(NamedTuple):
    """Weights of hits, predictions and true samples of each class that occurs, and the index of the positive class of two."""

    hits: NDArray[Any]
    predicted: NDArray[Any]
    true: NDArray[Any]
    positive: int | None
    classes: int


def _counts(y_true: ArrayLike, y_pred: ArrayLike, multilabel: bool | None, sample_weight: ArrayLike | None) -> _Counts:
    t, p = _pair(y_true, y_pred, text=True)
    w = _weights(sample_weight, len(t))
    if _reads_many(t, p, multilabel):
        yes, guess, _ = _yes_or_no(t, p)
        return _Counts(w @ (yes & guess), w @ guess, w @ yes, None, yes.shape[1])
    found = _decide(t, p)
    some = ~found.nothing
    names, (true, predicted) = _coded(found.true, np.where(some, found.predicted, found.true))
    n = len(names)
    hits = np.bincount(true, w * (some & (true == predicted)), n)
    each = hits, np.bincount(predicted, w * some, n), np.bincount(true, w, n)
    if found.columns > 2 or not any(np.isin(names, signs).all() for signs in _SIGNS):
        return _Counts(*each, None, max(found.columns, n))
    place = np.flatnonzero(names == 1)
    return _Counts(*each, int(place[0]) if place.size else n, 2)


def _ratio(a: _Floats, b: _Floats) -> _Floats:
    return np.divide(a, b, out=np.zeros_like(b), where=b != 0)


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
def _numbers(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[_Floats, _Floats, _Floats]:
    t, p = _pair(y_true, y_pred)
    if t.shape != p.shape:
        raise ValueError(f"y_true of shape {t.shape} and y_pred of shape {p.shape} differ")
    rows = len(t)
    return t.reshape(rows, -1).astype(np.float64), p.reshape(rows, -1).astype(np.float64), _weights(sample_weight, rows)


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


_METRICS: dict[_Metric, _Traits] = {
    accuracy: _Traits(rises=True, compares=True, reads=True),
    binary_accuracy: _Traits(rises=True, compares=True),
    categorical_accuracy: _Traits(rises=True, compares=True),
    f1: _Traits(rises=True, compares=True, reads=True),
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
_RESERVED = ("epoch", "loss", "lr", "seconds")
"""Names of the history that are not metrics."""


def wants_probabilities(metric: _Metric) -> bool:
    """Return whether a metric is one of this module that uses classes or probabilities."""
    traits = _traits(metric)
    return traits is not None and traits.of_classes


def compares(metric: _Metric) -> bool:
    """Return whether a metric is one of this module that compares predictions with 1/2."""
    traits = _traits(metric)
    return traits is not None and traits.compares


def is_known(metric: _Metric) -> bool:
    """Return whether a metric is one of this module."""
    return _traits(metric) is not None


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
    return rises(_get(name)) if name in by_name or _TOP.fullmatch(name) else None


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
        Names of this module's functions (``"top_3_accuracy"`` too), or functions of ``(y_true, y_pred)`` that return a number. A
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
    return by_name[known_name("metric", metric, by_name)]
