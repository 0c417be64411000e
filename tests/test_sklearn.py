"""The estimators of `pynn.sklearn`, with scikit-learn's own as the reference."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as PeerClassifier
from sklearn.neural_network import MLPRegressor as PeerRegressor
from sklearn.preprocessing import scale

import pynn
from pynn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS = tuple(a[:500] for a in datasets.load_digits(return_X_y=True))
IRIS = datasets.load_iris(return_X_y=True)
CANCER = (scale(datasets.load_breast_cancer().data), datasets.load_breast_cancer().target)
LABELS = datasets.make_multilabel_classification(150, random_state=0)
DIABETES = datasets.load_diabetes(return_X_y=True)
TARGETS = datasets.make_regression(300, 8, n_targets=3, random_state=0)
COUNTS = (DIABETES[0], np.round(DIABETES[1] / 50))
WEIGHTS = np.random.default_rng(0).uniform(0.1, 3, 600)

KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "iris": (IRIS, {}),
    "cancer": (CANCER, {"alpha": 1.0, "activation": "tanh"}),
    "cancer, weighted": (CANCER, {"alpha": 1.0, "weighted": True}),
    "labels": (LABELS, {"alpha": 0.5, "activation": "logistic"}),
    "digits, two layers": ((DIGITS[0] / 16, DIGITS[1]), {"hidden_layer_sizes": (20, 10), "batch_size": 70}),
    "early stopping": (CANCER, {"early_stopping": True, "max_iter": 60}),
    "early stopping, weighted": (CANCER, {"early_stopping": True, "weighted": True}),
    "no shuffle": (IRIS, {"shuffle": False, "batch_size": 33}),
    "sgd": (IRIS, {"solver": "sgd", "batch_size": 40}),
    "sgd, plain": (IRIS, {"solver": "sgd", "batch_size": 40, "nesterovs_momentum": False}),
    "sgd, no momentum": (IRIS, {"solver": "sgd", "momentum": 0.0}),
    "invscaling": (IRIS, {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.05, "batch_size": 40}),
    "adaptive": (IRIS, {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1, "tol": 1e-3, "max_iter": 400}),
    "diabetes": (DIABETES, {"learning_rate_init": 0.01}),
    "diabetes, early stopping": (DIABETES, {"learning_rate_init": 0.01, "early_stopping": True}),
    "several targets": ((TARGETS[0], scale(TARGETS[1])), {"alpha": 1.0}),
    "poisson": (COUNTS, {"loss": "poisson"}),
    "identity": (DIABETES, {"activation": "identity", "solver": "sgd", "learning_rate_init": 1e-3}),
}
REGRESSION = ("diabetes", "several", "poisson", "identity")


def pair(kind: str, **more: Any) -> tuple[Any, Any, Any, Any]:
    """Return both estimators of a kind, fitted, and their data."""
    (X, y), settings = KINDS[kind]
    settings = {"random_state": 1, "max_iter": 30, "hidden_layer_sizes": (20,), **settings, **more}
    weight = WEIGHTS[: len(X)] if settings.pop("weighted", False) else None
    mine, theirs = (MLPRegressor, PeerRegressor) if kind.startswith(REGRESSION) else (MLPClassifier, PeerClassifier)
    return mine(dtype="float64", **settings).fit(X, y, weight), theirs(**settings).fit(X, y, weight), X, y


@pytest.mark.parametrize("kind", KINDS)
def test_training_agrees_with_scikit_learn(kind: str) -> None:
    mine, theirs, X, y = pair(kind)
    assert mine.n_iter_ == theirs.n_iter_
    assert mine.t_ == theirs.t_
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    for a, b in zip((*mine.coefs_, *mine.intercepts_), (*theirs.coefs_, *theirs.intercepts_), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)
    assert mine.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-10)
    for name in ("best_loss_", "best_validation_score_", "loss_", "validation_scores_"):
        assert getattr(mine, name) == (None if getattr(theirs, name) is None else pytest.approx(getattr(theirs, name), rel=1e-9)), name


@pytest.mark.parametrize(("mine", "theirs"), [(MLPClassifier, PeerClassifier), (MLPRegressor, PeerRegressor)])
def test_parameters_are_those_of_scikit_learn(mine: Any, theirs: Any) -> None:
    ours = inspect.signature(mine).parameters
    for name, parameter in inspect.signature(theirs).parameters.items():
        assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind), name
    assert all(p.kind is p.KEYWORD_ONLY for name, p in ours.items() if name not in inspect.signature(theirs).parameters)


def test_sparse_data_give_the_bits_of_dense_data() -> None:
    X, y = DIGITS
    dense = MLPClassifier(random_state=0, max_iter=4, early_stopping=True).fit(X, y)
    sparse = MLPClassifier(random_state=0, max_iter=4, early_stopping=True).fit(scipy.sparse.csr_matrix(X), y)
    assert dense.loss_curve_ == sparse.loss_curve_
    assert dense.validation_scores_ == sparse.validation_scores_
    np.testing.assert_array_equal(dense.predict_proba(X), sparse.predict_proba(scipy.sparse.csc_matrix(X)))


@pytest.mark.parametrize("weighted", [False, True])
def test_fit_many_gives_the_bits_of_fit(weighted: bool) -> None:
    X, y = DIGITS
    weight = WEIGHTS[: len(X)] if weighted else None
    rows = [np.arange(len(X)) % 3 != k for k in range(3)]

    def make(k: int) -> MLPClassifier:
        return MLPClassifier((12,), random_state=k, max_iter=6, early_stopping=k == 2)

    several, data = [make(k) for k in range(3)], None
    data = several[0]._data(X, y, weight)
    trainings = [one._prepare(data, np.flatnonzero(part)) for one, part in zip(several, rows, strict=True)]
    first = trainings[0]
    runs = [training.run for training in trainings]
    histories = pynn.fit_many(runs, first.X, first.y, loss=first.run.loss, sample_weight=first.weight, health=False)
    for one, training, history in zip(several, trainings, histories, strict=True):
        one._finish(training, history)
    for k, (one, part) in enumerate(zip(several, rows, strict=True)):
        alone = make(k).fit(X[part], y[part], None if weight is None else weight[part])
        assert one.loss_curve_ == alone.loss_curve_
        np.testing.assert_array_equal(one.coefs_[0], alone.coefs_[0])
        assert one.validation_scores_ == alone.validation_scores_


def test_copies_share_nothing() -> None:
    X, y = IRIS
    net = MLPClassifier((5,), random_state=0, max_iter=5).fit(X, y)
    other = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))
    other.coefs_[0][...] = 0
    assert not other.model_[0].weight.any()
    assert net.coefs_[0].all()
    other.partial_fit(X, y)
    assert other.t_ == net.t_ + len(X)


def test_weights_that_the_caller_assigns_are_used() -> None:
    X, y = IRIS
    net = MLPClassifier((5,), random_state=0, max_iter=5).fit(X, y)
    net.coefs_ = [np.zeros_like(w) for w in net.coefs_]
    net.intercepts_[1] = np.array([0.0, 5.0, 0.0])
    assert set(net.predict(X)) == {1}
    with pytest.warns(ConvergenceWarning):
        net.set_params(warm_start=True).fit(X, y)
    assert net.coefs_[1].any()


def test_lbfgs_agrees_with_scipys_where_line_searches_do() -> None:
    X, y = datasets.load_digits(n_class=3, return_X_y=True)
    settings = {"solver": "lbfgs", "hidden_layer_sizes": 50, "max_iter": 150, "random_state": 1, "activation": "tanh"}
    mine, theirs = (cls(**settings).fit(X[:150] / 16, y[:150]) for cls in (MLPClassifier, PeerClassifier))
    assert mine.n_iter_ == theirs.n_iter_
    assert mine.loss_ == pytest.approx(theirs.loss_, rel=1e-8)


def test_limits_of_lbfgs_warn() -> None:
    X, y = IRIS
    for limit in ({"max_iter": 3}, {"max_fun": 5}):
        with pytest.warns(ConvergenceWarning, match="the limit of"):
            assert MLPClassifier(solver="lbfgs", **limit).fit(X, y).n_iter_ <= 5
