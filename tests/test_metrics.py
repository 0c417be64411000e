"""Metrics against scikit-learn's, with and without weights, and their edges."""

import math
from typing import Any

import numpy as np
import pytest

from pynn import metrics

sklearn = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(0)
N = 200
BINARY = RNG.integers(2, size=N)
P = np.clip(np.round(0.5 * RNG.random(N) + 0.3 * BINARY, 2), 0, 1)  # rounded: ties
CLASSES = RNG.integers(4, size=N)
SCORES = RNG.random((N, 4)) + np.eye(4)[CLASSES] * 0.4
PROBABILITIES = SCORES / SCORES.sum(1, keepdims=True)
MANY = RNG.integers(2, size=(N, 3))
MANY_P = np.round(0.6 * RNG.random((N, 3)) + 0.4 * MANY, 2)
T, Y = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 3))
weighted = pytest.mark.parametrize("w", [None, RNG.random(N) * (RNG.random(N) > 0.2)])


@weighted
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_classes(w: Any, dtype: str) -> None:
    p, q = P.astype(dtype), PROBABILITIES.astype(dtype)
    hard, hard_many = (p > 0.5).astype(int), (MANY_P > 0.5).astype(int)
    for t, y, labels in ((BINARY, p, hard), (BINARY, p[:, None], hard), (CLASSES, q, q.argmax(1)), (CLASSES, q.argmax(1), q.argmax(1))):
        assert metrics.accuracy(t, y, sample_weight=w) == pytest.approx(sklearn.accuracy_score(t, labels, sample_weight=w))
        np.testing.assert_allclose(metrics.confusion_matrix(t, y, sample_weight=w), sklearn.confusion_matrix(t, labels, sample_weight=w))
    for name, oracle in (("precision", "precision_score"), ("recall", "recall_score"), ("f1", "f1_score")):
        ours, theirs = getattr(metrics, name), getattr(sklearn, oracle)
        assert ours(BINARY, p, sample_weight=w) == pytest.approx(theirs(BINARY, hard, sample_weight=w))
        assert ours(CLASSES, q, sample_weight=w) == pytest.approx(theirs(CLASSES, q.argmax(1), average="macro", sample_weight=w))
        for average in ("macro", "micro", "weighted"):
            for t, y, labels in ((BINARY, p, hard), (CLASSES, q, q.argmax(1)), (MANY, MANY_P, hard_many)):
                want = theirs(t, labels, average=average, sample_weight=w, zero_division=0)
                assert ours(t, y, average=average, sample_weight=w) == pytest.approx(want), (name, average)


@weighted
def test_of_scores(w: Any) -> None:
    assert metrics.roc_auc(BINARY, P, sample_weight=w) == pytest.approx(sklearn.roc_auc_score(BINARY, P, sample_weight=w))
    two = np.stack([1 - P, P], 1)
    assert metrics.roc_auc(BINARY, two, sample_weight=w) == pytest.approx(sklearn.roc_auc_score(BINARY, P, sample_weight=w))
    want = sklearn.roc_auc_score(CLASSES, PROBABILITIES, multi_class="ovr", sample_weight=w)
    assert metrics.roc_auc(CLASSES, PROBABILITIES, sample_weight=w) == pytest.approx(want)
    assert metrics.roc_auc(MANY, MANY_P, sample_weight=w) == pytest.approx(sklearn.roc_auc_score(MANY, MANY_P, sample_weight=w))
    for k in (1, 2, 3):
        want = sklearn.top_k_accuracy_score(CLASSES, PROBABILITIES, k=k, sample_weight=w)
        assert metrics.top_k_accuracy(CLASSES, PROBABILITIES, k=k, sample_weight=w) == pytest.approx(want)
    assert metrics.top_k_accuracy(CLASSES, PROBABILITIES, k=9) == 1
    for t, p in ((BINARY, P), (CLASSES, PROBABILITIES), (BINARY, two)):
        assert metrics.log_loss(t, p, sample_weight=w) == pytest.approx(sklearn.log_loss(t, p, sample_weight=w))
    assert metrics.log_loss([0, 1], [0.0, 0.0]) == pytest.approx(sklearn.log_loss([0, 1], [0.0, 0.0]))


@weighted
def test_of_numbers(w: Any) -> None:
    names = {"mse": "mean_squared_error", "rmse": "root_mean_squared_error", "mae": "mean_absolute_error", "r2": "r2_score"}
    for name, oracle in names.items():
        for t, y in ((T, Y), (T[:, 0], Y[:, 0]), (T[:, :1], Y[:, 0])):
            want = getattr(sklearn, oracle)(t, y, sample_weight=w)
            assert getattr(metrics, name)(t, y, sample_weight=w) == pytest.approx(want), name
    flat = np.ones(5)
    assert metrics.r2(flat, flat) == sklearn.r2_score(flat, flat) == 1
    assert metrics.r2(flat, flat + 1) == sklearn.r2_score(flat, flat + 1) == 0
    assert math.isnan(metrics.r2([1.0], [1.0]))


def test_calibration_is_the_sum_over_bins() -> None:
    confidence, right = PROBABILITIES.max(1), PROBABILITIES.argmax(1) == CLASSES
    total = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert metrics.ece(CLASSES, PROBABILITIES) == pytest.approx(total, rel=1e-12)
    assert metrics.ece([0, 1], [0.0, 1.0]) == 0
    assert metrics.ece([1, 0], [0.0, 1.0]) == 1


def test_nan_predictions_show_or_count_as_wrong() -> None:
    bad = PROBABILITIES.copy()
    bad[0] = np.nan
    for name in ("roc_auc", "log_loss", "ece"):
        assert math.isnan(getattr(metrics, name)(CLASSES, bad)), name
    assert metrics.top_k_accuracy(np.array([0]), bad[:1], k=1) == 0
    assert math.isnan(metrics.r2([1.0, 2.0], [np.nan, 2.0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.accuracy([0, 1], [0]), "y_true of shape .* do not go together"),
        (lambda: metrics.accuracy([], []), "at least one"),
        (lambda: metrics.f1([0, 1], [0, 1], average="mean"), "average: .*'mean'"),
        (lambda: metrics.f1([0, 2], [0, 1], average="binary"), "'binary' needs two classes, got 3"),
        (lambda: metrics.accuracy([0.5, 1], [0, 1]), "y_true: expected classes"),
        (lambda: metrics.accuracy([-1, 1], [0, 1]), "class -1 is negative"),
        (lambda: metrics.log_loss([0, 1], [0.5, 1.5]), "1.5 is not a probability|-0.5 is not a probability"),
        (lambda: metrics.log_loss([0, 3], [[0.5, 0.5]] * 2), r"class 3 is not in 0..1"),
        (lambda: metrics.top_k_accuracy([0], [[1, 2]], k=0), "k: .*0"),
        (lambda: metrics.ece([0], [0.5], n_bins=0), "n_bins: .*0"),
        (lambda: metrics.mae([1, 2], [[1, 2], [3, 4]]), "differ"),
        (lambda: metrics.mae([1, 2], [1, 2], sample_weight=[1, -1]), "sample_weight"),
        (lambda: metrics.mae([1, 2], [1, 2], sample_weight=[1]), r"sample_weight: shape \(1,\)"),
        (lambda: metrics.get(["acuracy"]), "did you mean 'accuracy'"),
        (lambda: metrics.get(["f1", metrics.f1]), "two are called 'f1'"),
    ],
)
def test_what_is_wrong_is_said(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
