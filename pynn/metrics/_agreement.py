"""Agreement of numbers: correlation, concordance and cosine similarity."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ._read import _Floats, _numbers, _ratio


def _moments(t: _Floats, p: _Floats, w: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Return for each column the difference of the means, both variances and the covariance."""
    share = w / w.sum()
    means = share @ t, share @ p
    dt, dp = t - means[0], p - means[1]
    return means[0] - means[1], share @ dt**2, share @ dp**2, share @ (dt * dp)


def pearson(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return Pearson's correlation of targets and predictions; for several columns the mean over them.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (samples,) or (samples, columns)
        Targets and predictions.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between -1 and 1. NaN if a column is constant, or a prediction is not finite.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no samples.

    Examples
    --------
    >>> import pynn.metrics
    >>> round(pynn.metrics.pearson([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]), 4)
    0.982
    """
    t, p, w = _numbers(y_true, y_pred, sample_weight)
    if not np.isfinite(p).all():
        return math.nan
    _, of_t, of_p, both = _moments(t, p, w)
    flat = ((t == t[0]) | (w == 0)[:, None]).all(0) | ((p == p[0]) | (w == 0)[:, None]).all(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(flat, math.nan, both / np.sqrt(of_t * of_p))
    return float(np.clip(found, -1, 1).mean())


def concordance(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return Lin's concordance correlation: how near predictions are to targets, not only to a line.

    ``2 cov(t, p) / (var(t) + var(p) + (mean(t) - mean(p))^2)``; for several columns the mean over them.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (samples,) or (samples, columns)
        Targets and predictions.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between -1 and 1. 0 if all targets and predictions of a column are one number, NaN if a prediction is not finite.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no samples.

    Examples
    --------
    >>> import pynn.metrics
    >>> round(pynn.metrics.concordance([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]), 4)
    0.5714
    """
    t, p, w = _numbers(y_true, y_pred, sample_weight)
    if not np.isfinite(p).all():
        return math.nan
    apart, of_t, of_p, both = _moments(t, p, w)
    return float(_ratio(2 * both, of_t + of_p + apart**2).mean())


def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean over samples of the cosine of the angle between target and prediction, each a row.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (samples, columns)
        Targets and predictions. Samples of several axes count as one row each.
    sample_weight : array_like, shape (samples,), optional
        The weight of each sample.

    Returns
    -------
    float
        Between -1 and 1; the cosine of a row of zeros is 0. NaN if a prediction is NaN.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no samples.

    Examples
    --------
    >>> import pynn.metrics
    >>> round(pynn.metrics.cosine_similarity([[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 2.0]]), 4)
    0.8536
    """
    t, p, w = _numbers(y_true, y_pred, sample_weight)
    lengths = np.linalg.norm(t, axis=1) * np.linalg.norm(p, axis=1)
    return float(np.average(_ratio((t * p).sum(1), lengths), weights=w))
