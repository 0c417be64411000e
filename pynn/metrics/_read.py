"""Reading of targets and predictions for metrics: arrays, weights, labels, one-hot rows and scores."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import plain_array, real_array

_Floats: TypeAlias = NDArray[np.float64]
_Bools: TypeAlias = NDArray[np.bool_]
_Labels: TypeAlias = NDArray[Any]
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


# ---- counts and numbers -------------------------------------------------------------------------------------------------
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


def _numbers(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[_Floats, _Floats, _Floats]:
    t, p = _pair(y_true, y_pred)
    if t.shape != p.shape:
        raise ValueError(f"y_true of shape {t.shape} and y_pred of shape {p.shape} differ")
    rows = len(t)
    return t.reshape(rows, -1).astype(np.float64), p.reshape(rows, -1).astype(np.float64), _weights(sample_weight, rows)


