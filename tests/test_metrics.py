"""Metrics against scikit-learn's, with and without weights, and edge cases."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import metrics

sklearn = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(0)
N = 200
BINARY = RNG.integers(2, size=N)
P = np.clip(np.round(0.5 * RNG.random(N) + 0.3 * BINARY, 2), 0, 1)  # rounded, so that ties occur
CLASSES = RNG.integers(4, size=N)
SCORES = RNG.random((N, 4)) + np.eye(4)[CLASSES] * 0.4
PROBABILITIES = SCORES / SCORES.sum(1, keepdims=True)
MANY = RNG.integers(2, size=(N, 3))
MANY_P = np.round(0.6 * RNG.random((N, 3)) + 0.4 * MANY, 2)
T, Y = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 3))
weighted = pytest.mark.parametrize("w", [None, RNG.random(N) * (RNG.random(N) > 0.2)])


@weighted
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_classification_metrics_match_scikit_learn(w: Any, dtype: str) -> None:
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
                expected = theirs(t, labels, average=average, sample_weight=w, zero_division=0)
                assert ours(t, y, average=average, sample_weight=w) == pytest.approx(expected), (name, average)


@weighted
def test_score_metrics_match_scikit_learn(w: Any) -> None:
    assert metrics.roc_auc(BINARY, P, sample_weight=w) == pytest.approx(sklearn.roc_auc_score(BINARY, P, sample_weight=w))
    two = np.stack([1 - P, P], 1)
    assert metrics.roc_auc(BINARY, two, sample_weight=w) == pytest.approx(sklearn.roc_auc_score(BINARY, P, sample_weight=w))
    expected = sklearn.roc_auc_score(CLASSES, PROBABILITIES, multi_class="ovr", sample_weight=w)
    assert metrics.roc_auc(CLASSES, PROBABILITIES, sample_weight=w) == pytest.approx(expected)
    assert metrics.roc_auc(MANY, MANY_P, sample_weight=w) == pytest.approx(sklearn.roc_auc_score(MANY, MANY_P, sample_weight=w))
    for k in (1, 2, 3):
        expected = sklearn.top_k_accuracy_score(CLASSES, PROBABILITIES, k=k, sample_weight=w)
        assert metrics.top_k_accuracy(CLASSES, PROBABILITIES, k=k, sample_weight=w) == pytest.approx(expected)
    assert metrics.top_k_accuracy(CLASSES, PROBABILITIES, k=9) == 1
    for t, p in ((BINARY, P), (CLASSES, PROBABILITIES), (BINARY, two)):
        assert metrics.log_loss(t, p, sample_weight=w) == pytest.approx(sklearn.log_loss(t, p, sample_weight=w))
    assert metrics.log_loss([0, 1], [0.0, 0.0]) == pytest.approx(sklearn.log_loss([0, 1], [0.0, 0.0]))


@weighted
def test_regression_metrics_match_scikit_learn(w: Any) -> None:
    names = {"mse": "mean_squared_error", "rmse": "root_mean_squared_error", "mae": "mean_absolute_error", "r2": "r2_score"}
    for name, oracle in names.items():
        for t, y in ((T, Y), (T[:, 0], Y[:, 0]), (T[:, :1], Y[:, 0])):
            expected = getattr(sklearn, oracle)(t, y, sample_weight=w)
            assert getattr(metrics, name)(t, y, sample_weight=w) == pytest.approx(expected), name
    flat = np.ones(5)
    assert metrics.r2(flat, flat) == sklearn.r2_score(flat, flat) == 1
    assert metrics.r2(flat, flat + 1) == sklearn.r2_score(flat, flat + 1) == 0
    assert math.isnan(metrics.r2([1.0], [1.0]))


def test_ece_is_the_sum_over_bins() -> None:
    confidence, right = PROBABILITIES.max(1), PROBABILITIES.argmax(1) == CLASSES
    total = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert metrics.ece(CLASSES, PROBABILITIES) == pytest.approx(total, rel=1e-12)
    assert metrics.ece([0, 1], [0.0, 1.0]) == 0
    assert metrics.ece([1, 0], [0.0, 1.0]) == 1


def test_nan_predictions_give_nan_or_count_as_wrong() -> None:
    bad = PROBABILITIES.copy()
    bad[0] = np.nan
    for name in ("roc_auc", "log_loss", "ece"):
        assert math.isnan(getattr(metrics, name)(CLASSES, bad)), name
    assert metrics.top_k_accuracy(np.array([0]), bad[:1], k=1) == 0
    assert math.isnan(metrics.r2([1.0, 2.0], [np.nan, 2.0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.accuracy([0, 1], [0]), "y_true of shape .* expected the same number of samples"),
        (lambda: metrics.accuracy([], []), "at least one"),
        (lambda: metrics.f1([0, 1], [0, 1], average="mean"), "average: .*'mean'"),
        (lambda: metrics.f1([0, 2], [0, 1], average="binary"), "'binary' needs two classes, .* got 3"),
        (lambda: metrics.accuracy([0.5, 1], [0, 1]), "y_true: expected classes"),
        (lambda: metrics.log_loss([0, 1], [0.5, 1.5]), "1.5 is not a probability|-0.5 is not a probability"),
        (lambda: metrics.log_loss([0, 3], [[0.5, 0.5]] * 2), r"class 3 is not in 0..1"),
        (lambda: metrics.top_k_accuracy([0], [[1, 2]], k=0), "k: .*0"),
        (lambda: metrics.ece([0], [0.5], n_bins=0), "n_bins: .*0"),
        (lambda: metrics.mae([1, 2], [[1, 2], [3, 4]]), "differ"),
        (lambda: metrics.mae([1, 2], [1, 2], sample_weight=[1, -1]), "sample_weight"),
        (lambda: metrics.mae([1, 2], [1, 2], sample_weight=[1]), r"sample_weight: shape \(1,\)"),
        (lambda: metrics.get(["acuracy"]), "did you mean 'accuracy'"),
        (lambda: metrics.get(["f1", metrics.f1]), "two have the name 'f1'"),
    ],
)
def test_invalid_arguments_raise(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---- labels of any type -------------------------------------------------------------------------------------------------
LABELS = {
    "int": np.arange(4), "int8": np.arange(4, dtype="i1"), "uint64": np.arange(4, dtype="u8"), "float32": np.arange(4, dtype="f4"),
    "negative": np.array([-2, -1, 0, 5]), "far apart": np.array([0, 1, 8000, 10**12]), "text": np.array(["ape", "bat", "cat", "dog"]),
}  # fmt: skip


@weighted
@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_labels_of_any_type_match_scikit_learn(kind: str, average: str, w: Any) -> None:
    t, p = LABELS[kind][CLASSES], LABELS[kind][SCORES.argmax(1)]
    assert metrics.accuracy(t, p, sample_weight=w) == pytest.approx(sklearn.accuracy_score(t, p, sample_weight=w))
    for name, oracle in (("precision", "precision_score"), ("recall", "recall_score"), ("f1", "f1_score")):
        expected = getattr(sklearn, oracle)(t, p, average=average, sample_weight=w, zero_division=0)
        assert getattr(metrics, name)(t, p, average=average, sample_weight=w) == pytest.approx(expected), name
        assert getattr(metrics, name)(t.tolist(), p.tolist(), average=average, sample_weight=w) == pytest.approx(expected), name
    if kind != "far apart":
        np.testing.assert_allclose(metrics.confusion_matrix(t, p, sample_weight=w), sklearn.confusion_matrix(t, p, sample_weight=w))


@pytest.mark.parametrize("low", [0, -1])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_binary_metrics_score_the_positive_class(low: int, name: str) -> None:
    t, p = np.where(BINARY, 1, low), np.where(P > 0.45, 1, low)
    assert getattr(metrics, name)(t, p) == pytest.approx(getattr(sklearn, f"{name}_score")(t, p))
    assert getattr(metrics, name)(t, p.astype(float)) == pytest.approx(getattr(sklearn, f"{name}_score")(t, p))
    assert getattr(metrics, name)(np.full(5, low), np.full(5, low)) == 0


@pytest.mark.parametrize("name", ["log_loss", "roc_auc", "ece", "top_k_accuracy"])
def test_columns_belong_to_the_sorted_labels(name: str) -> None:
    of = getattr(metrics, name)
    assert of(LABELS["text"][CLASSES], PROBABILITIES) == of(CLASSES, PROBABILITIES)
    for two in (np.array(["ham", "spam"]), np.array([-1, 1])):
        assert of(two[BINARY], P) == of(BINARY, P)
    with pytest.raises(ValueError, match=r"y_true: class -100 is negative.*drop such rows"):
        of(np.where(CLASSES == 0, -100, CLASSES), PROBABILITIES)
    with pytest.raises(ValueError, match=r"3 different labels.*4 classes"):
        of(np.array(["a", "b", "c"])[CLASSES % 3], PROBABILITIES)


def test_large_labels_allocate_no_table() -> None:
    tracemalloc.start()
    assert metrics.f1([5, 8000], [5, 8000]) == metrics.precision([5, 10**9], [5, 10**9]) == metrics.recall([5, 2**40], [5, 2**40]) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


# ---- one-hot rows and multi-label targets -------------------------------------------------------------------------------
ONE_HOT = np.eye(4)[CLASSES]
OF_CLASSES = [
    "accuracy", "categorical_accuracy", "precision", "recall", "f1", "confusion_matrix", "top_k_accuracy", "log_loss", "ece", "roc_auc",
]  # fmt: skip


@weighted
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", OF_CLASSES)
def test_one_hot_targets_are_classes(name: str, dtype: str, w: Any) -> None:
    of = getattr(metrics, name)
    expected = of(CLASSES, PROBABILITIES, sample_weight=w)
    np.testing.assert_allclose(of(ONE_HOT.astype(dtype), PROBABILITIES, sample_weight=w), expected, rtol=1e-12)
    if name not in ("top_k_accuracy", "log_loss", "ece", "roc_auc"):
        hard = PROBABILITIES.argmax(1)
        np.testing.assert_allclose(of(ONE_HOT.astype(dtype), hard, sample_weight=w), expected, rtol=1e-12)
        np.testing.assert_allclose(of(ONE_HOT.astype(dtype), np.eye(4, dtype=int)[hard], sample_weight=w), expected, rtol=1e-12)


def test_multilabel_overrides_the_detection() -> None:
    by_element = ((PROBABILITIES > 0.5) == (ONE_HOT > 0.5)).mean()
    assert metrics.binary_accuracy(ONE_HOT, PROBABILITIES) == pytest.approx(by_element)
    assert metrics.accuracy(ONE_HOT, PROBABILITIES, multilabel=True) == pytest.approx(by_element)
    assert metrics.accuracy(MANY, MANY_P) == metrics.binary_accuracy(MANY, MANY_P)
    expected = sklearn.f1_score(ONE_HOT.astype(int), PROBABILITIES > 0.5, average="macro", zero_division=0)
    assert metrics.f1(ONE_HOT, PROBABILITIES, multilabel=True) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"multilabel=False needs exactly one 1 in each row, and row 1 has 2"):
        metrics.accuracy([[0, 1], [1, 1]], [[0.2, 0.8], [0.3, 0.4]], multilabel=False)
    with pytest.raises(TypeError, match="multilabel: expected True, False or None, got 'yes'"):
        metrics.accuracy(ONE_HOT, PROBABILITIES, multilabel="yes")  # type: ignore[arg-type]
    # Decisions that are not one-hot show that the targets are multi-label: a row of zeros does not mean class 0.
    assert metrics.accuracy([[1, 0], [0, 1]], [[0, 0], [1, 1]]) == 0.5


@pytest.mark.parametrize("name", ["log_loss", "ece", "top_k_accuracy", "confusion_matrix"])
def test_metrics_of_classes_reject_multi_label_targets(name: str) -> None:
    with pytest.raises(ValueError, match=r"y_true: .*multi-label"):
        getattr(metrics, name)(MANY, MANY_P)


# ---- logits and NaN as predictions --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["accuracy", "precision", "recall", "f1", "confusion_matrix", "top_k_accuracy", "ece", "log_loss"])
@pytest.mark.parametrize("logits", [[-2.5, 3.1], [0.2, 1.5], [2.0, -3.0], [-np.inf, np.inf]])
def test_logits_are_rejected_as_probabilities(name: str, logits: list[float]) -> None:
    with pytest.raises(ValueError, match=r"y_pred: .* is not a probability in \[0, 1\]"):
        getattr(metrics, name)([0, 1], logits)
    with pytest.raises(ValueError, match=r"y_pred: .* is not a probability in \[0, 1\]"):
        getattr(metrics, name)([[1, 0], [1, 1]], [logits, logits]) if name in ("accuracy", "f1") else getattr(metrics, name)([0, 1], logits)


def test_integral_floats_are_labels() -> None:
    assert metrics.accuracy([0, 1, 2], [0.0, 1.0, 2.0]) == metrics.accuracy([-1, 1], [-1.0, 1.0]) == 1
    assert metrics.accuracy([0.0, 1.0, 2.0], [0, 1, 1]) == pytest.approx(2 / 3)
    assert metrics.accuracy([0, 1, 1], [0.0, 1.0, 0.0]) == pytest.approx(2 / 3)
    for t, p in (([0, 1, 2], [0.2, 0.9, 0.4]), ([-1, 1], [0.2, 0.9]), ([0, 1, 2], [0.0, 1.5, 2.0])):
        with pytest.raises(ValueError, match="y_pred: floats with one value per sample must be labels"):
            metrics.accuracy(t, p)


INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("t", "p"),
    [
        ([0, 0], [NAN, NAN]),
        ([0, 1], [[NAN, NAN], [NAN, 1]]),
        ([0, 1, 0], [[INF, INF], [-INF, -INF], [0, NAN]]),
        ([[1, 0], [0, 1]], [[NAN, 0.2], [0.1, NAN]]),
        ([[1, 1], [0, 0]], [[NAN, NAN], [NAN, NAN]]),
        ([0, 1, 2], [NAN, NAN, NAN]),
    ],
)
def test_nan_is_never_a_correct_prediction(t: Any, p: Any) -> None:
    assert metrics.accuracy(t, p) == 0
    for name in ("precision", "recall", "f1"):
        for average in ("macro", "micro", "weighted"):
            assert getattr(metrics, name)(t, p, average=average) == 0
    if np.ndim(t) == 1:
        with pytest.raises(ValueError, match="has no class: it holds NaN"):
            metrics.confusion_matrix(t, p)
    if np.ndim(p) == 2 and np.isnan(p).any() and not np.array_equal(t, [[1, 1], [0, 0]]):
        assert math.isnan(metrics.log_loss(t, np.clip(p, 0, 1)))
        assert metrics.top_k_accuracy(t, p, k=5) <= np.mean(~np.isnan(p).any(1))


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_infinite_and_nan_predictions_do_not_improve_scores(bad: float) -> None:
    for t in ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]):
        assert math.isnan(metrics.r2(t, [1.0, bad, 3.0]))
    for of in (metrics.mse, metrics.mae, metrics.rmse):
        assert not of([1.0, 2.0], [1.0, bad]) < INF


@pytest.mark.parametrize("n", [2, 3, 7, 10, 1000])
@pytest.mark.parametrize("value", [0.1, 1e-300, 1 / 3, 1e16, -7.7e-5])
def test_r2_of_a_constant_column_is_0_or_1(n: int, value: float) -> None:
    t = np.full(n, value)
    assert metrics.r2(t, t) == 1
    assert metrics.r2(t, 2 * t) == metrics.r2(np.stack([t, t], 1), np.stack([2 * t, 3 * t], 1)) == 0
    assert metrics.r2(t, 2 * t, sample_weight=np.linspace(0.1, 1, n)) == 0
    assert metrics.r2([*t, 5.0], [*t, 1.0], sample_weight=[*np.ones(n), 0]) == 1


@pytest.mark.parametrize("name", ["loss", "seconds", "lr", "epoch", "val_loss", "val_anything"])
def test_reserved_names_are_rejected(name: str) -> None:
    for given in ({name: "f1"}, [type("Metric", (), {"__name__": name, "__call__": lambda self, t, p: 0.0})()]):
        with pytest.raises(ValueError, match=f"metrics: '{name}' cannot be the name"):
            metrics.get(given)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("MAE", "mae"),
        ("mean_absolute_error", "mae"),
        ("MeanSquaredError", "mse"),
        ("RMSE", "rmse"),
        ("root_mean_squared_error", "rmse"),
        ("R2", "r2"),
        ("r2_score", "r2"),
    ],
)
def test_alternative_names_of_regression_metrics(given: str, name: str) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=30)
    scores = pynn.Sequential(pynn.Linear(3, 1, seed=0)).evaluate(X, y, loss="mse", metrics=[given, name])
    assert scores[given] == scores[name]


@pytest.mark.parametrize(
    ("given", "name"), [("acc", "accuracy"), ("Accuracy", "accuracy"), ("F1", "f1"), ("f1_score", "f1"), ("ROC-AUC", "roc_auc")]
)
def test_alternative_names_of_classification_metrics(given: str, name: str) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), rng.integers(0, 2, 30)
    stop = pynn.callbacks.EarlyStopping(given)
    hist = pynn.Sequential(pynn.Linear(3, 2, seed=0)).fit(X, y, loss="ce", metrics=[given, name], epochs=2, callbacks=[stop], seed=0)
    assert hist.history[given] == hist.history[name]


# ---- metrics with a parameter, of losses and of scikit-learn ---------------------------------------------------------
@weighted
def test_more_metrics_of_classes_match_scikit_learn(w: Any) -> None:
    hard, hard_many = (P > 0.5).astype(int), (MANY_P > 0.5).astype(int)
    for beta in (0.0, 0.5, 2.0):
        for average in ("macro", "micro", "weighted"):
            for t, y, labels in ((BINARY, P, hard), (CLASSES, PROBABILITIES, PROBABILITIES.argmax(1)), (MANY, MANY_P, hard_many)):
                theirs = sklearn.fbeta_score(t, labels, beta=beta, average=average, sample_weight=w, zero_division=0)
                assert metrics.fbeta(t, y, beta=beta, average=average, sample_weight=w) == pytest.approx(theirs)
                theirs = sklearn.jaccard_score(t, labels, average=average, sample_weight=w, zero_division=0)
                assert metrics.jaccard(t, y, average=average, sample_weight=w) == pytest.approx(theirs)
    assert metrics.jaccard(BINARY, P, sample_weight=w) == pytest.approx(sklearn.jaccard_score(BINARY, hard, sample_weight=w))
    assert metrics.mean_iou(CLASSES, PROBABILITIES) == metrics.jaccard(CLASSES, PROBABILITIES, average="macro")
    with pytest.raises(ValueError, match="beta: expected"):
        metrics.fbeta(BINARY, P, beta=-1)


@weighted
@pytest.mark.parametrize("limit", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_points_on_curves_match_scikit_learn(limit: float, w: Any) -> None:
    false, true, _ = sklearn.roc_curve(BINARY, P, sample_weight=w, drop_intermediate=False)
    options: dict[str, Any] = {"sample_weight": w}
    best = true[1 - false >= limit - 1e-12].max()
    assert metrics.sensitivity_at_specificity(BINARY, P, specificity=limit, **options) == pytest.approx(best)
    best = (1 - false)[true >= limit - 1e-12].max()
    assert metrics.specificity_at_sensitivity(BINARY, P, sensitivity=limit, **options) == pytest.approx(best)
    precision, recall, _ = sklearn.precision_recall_curve(BINARY, P, sample_weight=w)
    best = precision[:-1][recall[:-1] >= limit - 1e-12].max()
    assert metrics.precision_at_recall(BINARY, P, recall=limit, **options) == pytest.approx(best)
    best = recall[precision >= limit - 1e-12].max()
    assert metrics.recall_at_precision(BINARY, P, precision=limit, **options) == pytest.approx(best)


CURVES = ["sensitivity_at_specificity", "specificity_at_sensitivity", "precision_at_recall", "recall_at_precision"]


@pytest.mark.parametrize("name", CURVES)
def test_points_on_curves_of_unusual_data(name: str) -> None:
    metric = getattr(metrics, name)
    assert math.isnan(metric([1, 1], [0.2, 0.3]))
    assert math.isnan(metric([0, 1], [0.2, math.nan]))
    assert metric(BINARY, 100 * P - 70) == metric(BINARY, P)
    assert metric(BINARY, np.stack([1 - P, P], 1)) == metric(BINARY, P)
    with pytest.raises(ValueError, match=f"{name}: expected two classes, got scores of 4"):
        metric(CLASSES, PROBABILITIES)
    with pytest.raises(ValueError, match="expected a number from 0 to 1, got 2"):
        metric(BINARY, P, **{name.partition("_at_")[2]: 2})


@weighted
def test_agreement_of_numbers(w: Any) -> None:
    share = np.ones(N) if w is None else w
    for column in range(3):
        t, y = T[:, column], 0.5 * T[:, column] + Y[:, column] + 3
        cov = np.cov(t, y, bias=True, aweights=share)
        assert metrics.pearson(t, y, sample_weight=w) == pytest.approx(cov[0, 1] / math.sqrt(cov[0, 0] * cov[1, 1]))
        apart = np.average(t, weights=share) - np.average(y, weights=share)
        assert metrics.concordance(t, y, sample_weight=w) == pytest.approx(2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + apart**2))
    each = [metrics.pearson(T[:, i], Y[:, i], sample_weight=w) for i in range(3)]
    assert metrics.pearson(T, Y, sample_weight=w) == pytest.approx(np.mean(each))
    cosine = sklearn.pairwise.paired_cosine_distances(T, Y)
    assert metrics.cosine_similarity(T, Y, sample_weight=w) == pytest.approx(np.average(1 - cosine, weights=share))
    assert metrics.pearson(T[:, 0], 2 * T[:, 0] + 1) == pytest.approx(1)
    assert metrics.concordance(T, T) == pytest.approx(1)
    assert math.isnan(metrics.pearson([1.0, 1.0], [1.0, 2.0]))
    assert metrics.concordance([1.0, 1.0], [1.0, 1.0]) == 0
    assert metrics.cosine_similarity([[0.0, 0.0]], [[1.0, 2.0]]) == 0


def test_names_with_a_number_set_the_parameter() -> None:
    found = metrics.get(["fbeta_2", "recall_at_precision_0.75", "top_3_accuracy"])
    assert found["fbeta_2"](BINARY, P) == metrics.fbeta(BINARY, P, beta=2)
    assert found["recall_at_precision_0.75"](BINARY, P) == metrics.recall_at_precision(BINARY, P, precision=0.75)
    assert all(metrics.rises(metric) and metrics.rises_by_name(name) for name, metric in found.items())
    with pytest.raises(ValueError, match="unknown metric 'f1_2'"):
        metrics.get("f1_2")


def test_losses_are_metrics() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), 1 + rng.random(30)
    net = pynn.Sequential(pynn.Linear(3, 1, seed=0))
    names = ["mape", "msle", "log_cosh", "huber", "mean_absolute_percentage_error"]
    got = net.evaluate(X, y, loss="mse", metrics=names)
    for name in names:
        assert got[name] == pytest.approx(float(pynn.losses.get(name)(net.predict(X), y[:, None])))
        assert metrics.rises(metrics.get(name)[name]) is False
    labels = rng.integers(0, 2, 30)
    classifier = pynn.Sequential(pynn.Linear(3, 2, seed=0))
    got = classifier.evaluate(X, labels, loss="cross_entropy", metrics="categorical_hinge")
    assert got["categorical_hinge"] == pytest.approx(float(pynn.CategoricalHingeLoss()(classifier.predict(X), labels)), rel=1e-5)


def test_names_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    X, y, numbers = rng.normal(size=(60, 3)), rng.integers(0, 3, 60), rng.normal(size=60)
    net = pynn.Sequential(pynn.Linear(3, 3, seed=0))
    names = ["balanced_accuracy", "matthews_corrcoef", "cohen_kappa", "f1_macro", "neg_log_loss", "hamming_loss", "roc_auc_ovr"]
    got = net.evaluate(X, y, loss="cross_entropy", metrics=names)
    labels, p = net.predict_class(X), pynn.softmax(net.predict(X).astype("f8"))
    assert got["balanced_accuracy"] == pytest.approx(sklearn.balanced_accuracy_score(y, labels))
    assert got["matthews_corrcoef"] == pytest.approx(sklearn.matthews_corrcoef(y, labels))
    assert got["cohen_kappa"] == pytest.approx(sklearn.cohen_kappa_score(y, labels))
    assert got["f1_macro"] == pytest.approx(sklearn.f1_score(y, labels, average="macro"))
    assert got["neg_log_loss"] == pytest.approx(-sklearn.log_loss(y, p / p.sum(1, keepdims=True)), rel=1e-5)
    assert got["hamming_loss"] == pytest.approx(sklearn.hamming_loss(y, labels))
    assert got["roc_auc_ovr"] == pytest.approx(sklearn.roc_auc_score(y, p, multi_class="ovr"))
    binary = pynn.Sequential(pynn.Linear(3, 1, seed=0))
    got = binary.evaluate(X, y > 0, loss="bce_with_logits", metrics=["average_precision", "balanced_accuracy"])
    assert got["average_precision"] == pytest.approx(sklearn.average_precision_score(y > 0, binary.predict(X)[:, 0]))
    assert got["balanced_accuracy"] == pytest.approx(sklearn.balanced_accuracy_score(y > 0, binary.predict(X)[:, 0] > 0))
    got = binary.evaluate(X, numbers, loss="mse", metrics=["neg_mean_squared_error", "explained_variance", "median_absolute_error"])
    out = binary.predict(X)[:, 0]
    assert got["neg_mean_squared_error"] == pytest.approx(-sklearn.mean_squared_error(numbers, out), rel=1e-5)
    assert got["explained_variance"] == pytest.approx(sklearn.explained_variance_score(numbers, out), rel=1e-5)
    assert got["median_absolute_error"] == pytest.approx(sklearn.median_absolute_error(numbers, out), rel=1e-5)
    many = sklearn.hamming_loss(MANY, (MANY_P > 0.5).astype(int))
    assert metrics.get("hamming_loss")["hamming_loss"](MANY, MANY_P) == pytest.approx(many)
    stop = pynn.callbacks.EarlyStopping("balanced_accuracy")
    net.fit(X, y, loss="cross_entropy", metrics="balanced_accuracy", callbacks=stop, epochs=2, seed=0)
    assert metrics.rises(metrics.get("matthews_corrcoef")["matthews_corrcoef"]) is True
    assert metrics.rises(metrics.get("hamming_loss")["hamming_loss"]) is None
    with pytest.raises(ValueError, match=r"unknown metric 'confusion'.*also the losses l1, mse.*sklearn\.metrics"):
        metrics.get("confusion")
