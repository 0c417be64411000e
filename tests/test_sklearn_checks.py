"""scikit-learn's common checks, without expected failures, and the estimators within its tools."""

from __future__ import annotations

import warnings
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn import datasets
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_predict, cross_val_score
from sklearn.neural_network import MLPClassifier as PeerClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import pynn
from pynn.sklearn import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = datasets.load_iris(return_X_y=True)


class SmallNet:
    """Creates a net for the wrappers. The names of the tests contain its text, which for a function would contain an address."""

    def __call__(self, n_features: int, n_outputs: int, seed: int) -> pynn.Sequential:
        first = pynn.Linear(n_features, 16, seed=seed, dtype="float64")
        return pynn.Sequential(first, "tanh", pynn.Linear(16, n_outputs, seed=seed + 1, dtype="float64"))

    def __repr__(self) -> str:
        return "SmallNet()"


net = SmallNet()


CHECKED = [
    MLPClassifier(),
    MLPClassifier(solver="lbfgs"),
    MLPClassifier(solver="sgd", learning_rate="adaptive", learning_rate_init=0.1),
    MLPClassifier((16, 8), activation=["gelu", "mish"], norm="layer", optimizer="adamw", learning_rate_init=0.02),
    MLPRegressor(),
    MLPRegressor(solver="lbfgs", activation="tanh", interval="quantile"),
    MLPRegressor(loss="huber", dtype="float64", n_jobs=1),
    NetClassifier(net, epochs=60, batch_size=None, learning_rate=0.02),
    NetRegressor(net, epochs=60, batch_size=None, learning_rate=0.02),
]
"""Without dropout, early stopping and balanced classes: with these a weight of 2 is not the same as two rows, by definition."""


@parametrize_with_checks(CHECKED)
def test_check_of_scikit_learn(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def small(**more: Any) -> MLPClassifier:
    return MLPClassifier(**{"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 20, "batch_size": 32, **more})


def test_labels_of_text_and_bools() -> None:
    names = np.array(["iris a", "iris b", "iris c"])[Y]
    plain = small().fit(X, Y)
    for y in (names, names.astype(object), pd.Series(names, dtype="category")):
        found = small().fit(X, y)
        np.testing.assert_array_equal(found.predict(X), np.unique(names)[plain.predict(X)])
        assert [*found.classes_] == ["iris a", "iris b", "iris c"]
    yes = small().fit(X, Y == 1)
    assert yes.predict(X).dtype == bool
    assert yes.predict_proba(X).shape == (150, 2)
    np.testing.assert_allclose(np.exp(yes.predict_log_proba(X)), yes.predict_proba(X))


def test_tables_keep_the_names_of_features() -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    found = small().fit(frame, pd.Series(Y))
    assert [*found.feature_names_in_] == list("abcd")
    np.testing.assert_array_equal(found.predict_proba(frame), small().fit(X, Y).predict_proba(X))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        found.predict(X)
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame[list("dcba")])
    np.testing.assert_array_equal(small().fit(pl.from_pandas(frame), Y).predict(pl.from_pandas(frame)), found.predict(frame))


def test_float32_is_kept() -> None:
    found = small().fit(X.astype(np.float32), Y)
    assert {a.dtype for a in (*found.coefs_, *found.intercepts_)} == {np.dtype(np.float32)}
    assert found.predict_proba(X.astype(np.float32)).dtype == np.float32
    assert small(dtype="float32").fit(X, Y).coefs_[0].dtype == np.float32


def test_pipelines_and_searches() -> None:
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.where(X[:, 0] > 5.8, "long", "short"))
    prepared = ColumnTransformer([("numbers", StandardScaler(), list("abcd")), ("kind", OneHotEncoder(), ["kind"])])
    pipeline = make_pipeline(prepared, small(learning_rate_init=0.05))
    assert cross_val_score(pipeline, frame, Y, cv=3).mean() > 0.9
    grid = {"mlpclassifier__alpha": [1e-4, 10.0], "mlpclassifier__activation": ["relu", "gelu"]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(frame, Y)
    assert search.best_params_["mlpclassifier__alpha"] == 1e-4
    halving = HalvingGridSearchCV(small(), {"learning_rate_init": [1e-4, 0.05]}, resource="max_iter", max_resources=20, min_resources=5)
    assert halving.fit(X, Y).best_params_["learning_rate_init"] == 0.05


def test_ensembles_calibration_and_inspection() -> None:
    good = small(learning_rate_init=0.05)
    assert CalibratedClassifierCV(good, cv=3).fit(X, Y).score(X, Y) > 0.9
    voting = VotingClassifier([("a", good), ("b", small(activation="tanh", learning_rate_init=0.05))], voting="soft")
    assert voting.fit(X, Y).score(X, Y) > 0.9
    fitted = good.fit(X, Y)
    importance = permutation_importance(fitted, X, Y, n_repeats=3, random_state=0).importances_mean
    assert importance[2:].max() > importance[:2].max()
    assert partial_dependence(fitted, X, [2], response_method="predict_proba").average.shape[0] == 3
    scaled = TransformedTargetRegressor(MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", random_state=0), transformer=StandardScaler())
    assert cross_val_predict(scaled, X[:, :3], X[:, 3], cv=3).shape == (150,)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_backends_of_joblib_give_the_same_scores(backend: str) -> None:
    alone = cross_val_score(small(), X, Y, cv=4)
    with joblib.parallel_backend(backend):
        np.testing.assert_array_equal(cross_val_score(small(), X, Y, cv=4, n_jobs=2), alone)


def test_sample_weight_is_routed() -> None:
    weight = np.where(Y == 2, 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = small().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_val_score(routed, X, Y, cv=3, params={"sample_weight": weight})
        assert (scores != cross_val_score(small(), X, Y, cv=3)).any()


def test_html_and_clone() -> None:
    given = small(activation=pynn.GELU(), optimizer=pynn.optim.SGD(lr=0.1, momentum=0.5))
    assert "MLPClassifier" in given._repr_html_()
    copied = clone(given)
    assert copied.activation is not given.activation
    np.testing.assert_array_equal(copied.fit(X, Y).coefs_[0], given.fit(X, Y).coefs_[0])


def test_errors_and_warnings_are_those_of_scikit_learn() -> None:
    for settings in ({"alpha": -1.0}, {"solver": "newton"}, {"max_iter": 0}, {"batch_size": "all"}, {"hidden_layer_sizes": 0}):
        found = []
        for cls in (MLPClassifier, PeerClassifier):
            with pytest.raises(ValueError) as error:  # noqa: PT011
                cls(**settings).fit(X, Y)
            found.append(str(error.value))
        assert found[0] == found[1]
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    assert is_classifier(MLPClassifier())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"activation": "rellu"}, "activation: 'rellu' is unknown"),
        ({"activation": ["relu"] * 2}, "expected one for each of 1 hidden layers, got 2"),
        ({"norm": "group"}, "norm: expected 'batch', 'layer', 'rms'"),
        ({"loss": "triplet"}, "triplet"),
        ({"schedule": pynn.optim.lr_scheduler.StepLR(step_size=1), "optimizer": pynn.optim.SGD()}, "schedule: applies to an optimizer"),
        ({"validation_data": (X,)}, "validation_data: expected"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_invalid_further_parameters(settings: dict[str, Any], match: str) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        small(**settings).fit(X, Y)


def test_weights_of_classes() -> None:
    y = np.where(Y == 2, 1, 0)
    weighted = small(class_weight={0: 1.0, 1: 20.0}).fit(X, y)
    same = small().fit(X, y, sample_weight=np.where(y == 1, 20.0, 1.0))
    np.testing.assert_array_equal(weighted.coefs_[0], same.coefs_[0])
    assert weighted.predict_proba(X)[:, 1].mean() > small().fit(X, y).predict_proba(X)[:, 1].mean() + 0.1
    with pytest.raises(ValueError, match="not supported for partial_fit"):
        small(class_weight="balanced").partial_fit(X, y, classes=[0, 1])


def test_validation_data_decide_when_to_stop() -> None:
    held = X[::3], Y[::3]
    found = small(early_stopping=True, validation_data=held).fit(X, Y)
    assert found.best_validation_score_ == pytest.approx(found.score(*held))
    assert len(found.validation_loss_curve_) == len(found.validation_scores_) == found.n_iter_


@pytest.mark.parametrize("kind", ["quantile", "ensemble"])
def test_intervals_cover_their_share(kind: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, (1000, 1))
    t = np.sin(2 * x[:, 0]) + 0.3 * rng.standard_normal(1000)
    found = MLPRegressor(hidden_layer_sizes=16, activation="tanh", learning_rate_init=0.02, interval=kind, coverage=0.8, random_state=0)
    low, high = found.fit(x[:600], t[:600]).predict_interval(x[600:])
    assert 0.7 < ((low < t[600:]) & (t[600:] < high)).mean() < 0.9
    assert 0.5 < (high - low).mean() < 1.2
    with pytest.raises(AttributeError, match="interval='quantile'"):
        MLPRegressor(solver="lbfgs", hidden_layer_sizes=4).fit(x, t).predict_interval(x)


def test_a_net_with_images() -> None:
    images, y = datasets.load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8)[:300].astype(np.float32) / 16
    model = pynn.Sequential(
        pynn.Conv2d(1, 4, 3, seed=0), "relu", pynn.Flatten(), pynn.Linear(144, 10, seed=1)
    )
    before = model[0].weight.copy()
    found = NetClassifier(model, epochs=15, learning_rate=0.01, random_state=0).fit(images, y[:300])
    assert found.score(images, y[:300]) > 0.9
    np.testing.assert_array_equal(model[0].weight, before)
    with pytest.raises(ValueError, match="expected a net of 3 outputs"):
        NetClassifier(model).fit(images, y[:300] % 3)
