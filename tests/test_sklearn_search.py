"""Searches and cross-validation of pynn.sklearn: the results of scikit-learn's own, through one call of fit_many."""

import pickle
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
import joblib
import scipy.sparse
from scipy.stats import loguniform
from sklearn import model_selection
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, StratifiedKFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pynn
from pynn.sklearn import GridSearchCV, MLPClassifier, MLPRegressor, RandomizedSearchCV, _together, cross_val_score, cross_validate

pytestmark = pytest.mark.filterwarnings("ignore:.*(hasn't converged|failed to converge):sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 5))
THREE = np.argmax(X[:, :3] + 0.3 * RNG.normal(size=(90, 3)), axis=1)
WORDS = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
REAL = X @ RNG.normal(size=5) + 0.1 * RNG.normal(size=90)
WEIGHT = RNG.uniform(0.5, 2, size=90)
GROUPS = np.arange(90) % 7
NET = MLPClassifier((6,), max_iter=8, random_state=0, learning_rate_init=0.02)
LINE = MLPRegressor(hidden_layer_sizes=(6,), max_iter=8, random_state=0, learning_rate_init=0.02)
GRID: dict[str, Any] = {"activation": ["relu", "tanh"], "alpha": [1e-4, 1.0]}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the number of runs of each call of fit_many by a search."""
    calls: list[int] = []

    def counted(runs: Any, *args: Any, **options: Any) -> Any:
        calls.append(len(runs))
        return pynn.fit_many(runs, *args, **options)

    monkeypatch.setattr(_together, "fit_many", counted)
    return calls


def text(thing: Any) -> str:
    """Return the repr without addresses."""
    return re.sub(r" at 0x\w+", "", repr(thing))


def assert_same_results(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert [*ours] == [*theirs]
    for name, value in theirs.items():
        if name == "estimator":
            for one, other in zip(ours[name], value, strict=True):
                assert_same_estimator(one, other)
        elif name == "indices":
            for part in value:
                for one, other in zip(ours[name][part], value[part], strict=True):
                    np.testing.assert_array_equal(one, other)
        elif name == "params":
            assert text(ours[name]) == text(value)
        elif "time" in name:
            assert ours[name].shape == value.shape
        else:
            np.testing.assert_array_equal(ours[name], value, err_msg=name)


def assert_same_estimator(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    assert text(one) == text(other)
    assert {*vars(one)} == {*vars(other)}
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert getattr(one, "loss_curve_", None) == getattr(other, "loss_curve_", None)
    assert one.n_iter_ == other.n_iter_


def assert_same_search(ours: Any, theirs: Any) -> None:
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert {*vars(ours)} == {*vars(theirs)}
    for name in ("best_index_", "best_score_", "best_params_", "multimetric_", "n_splits_"):
        assert text(getattr(ours, name, None)) == text(getattr(theirs, name, None)), name
    if hasattr(theirs, "best_estimator_"):
        assert_same_estimator(ours.best_estimator_, theirs.best_estimator_)


def compare(estimator: Any, X: Any, y: Any, grid: Any = GRID, fit: dict[str, Any] | None = None, **options: Any) -> Any:
    """Return the search of pynn, after checking that it has the results of scikit-learn's."""
    options = {"cv": 3, **options}
    ours = GridSearchCV(estimator, grid, **options).fit(X, y, **fit or {})
    theirs = model_selection.GridSearchCV(estimator, grid, **options).fit(X, y, **fit or {})
    assert_same_search(ours, theirs)
    return ours


def own_scorer(estimator: Any, X: Any, y: Any) -> float:
    return float(-log_loss(y, estimator.predict_proba(X)))


def several(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    return {"a": own_scorer(estimator, X, y), "b": float(estimator.score(X, y))}


def best_of_b(results: dict[str, Any]) -> int:
    return int(np.argmax(results["mean_test_b"]))


OPTIONS: dict[str, dict[str, Any]] = {
    "stratified": {"cv": StratifiedKFold(3, shuffle=True, random_state=1)},
    "in order": {"cv": TimeSeriesSplit(3)},
    "random splits": {"cv": ShuffleSplit(3, test_size=0.2, train_size=0.5, random_state=2)},
    "given splits": {"cv": [(np.arange(60), np.arange(60, 90)), (np.arange(90) > 20, np.arange(20)), (np.arange(-60, 0), np.arange(30))]},
    "training scores": {"return_train_score": True},
    "named scorer": {"scoring": "neg_log_loss"},
    "own scorer": {"scoring": own_scorer},
    "several scorers": {"scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss", "return_train_score": True},
    "one scorer, several numbers": {"scoring": several, "refit": "b"},
    "own choice": {"scoring": several, "refit": best_of_b},
    "no refit": {"refit": False},
    "several scorers, no refit": {"scoring": {"a": "accuracy", "l": make_scorer(accuracy_score)}, "refit": False},
    "pre_dispatch": {"pre_dispatch": 3},
    "all dispatched": {"pre_dispatch": "all"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_results_are_those_of_scikit_learn(options: dict[str, Any], trained: list[int]) -> None:
    compare(NET, X, THREE, **options)
    assert sum(trained) == 12
    if not isinstance(options.get("pre_dispatch"), int):
        assert trained == [12]


CASES: dict[str, tuple[Any, Any, Any]] = {
    "text": (NET, X, WORDS),
    "booleans": (NET, X, WORDS == "yes"),
    "several labels": (NET, X, np.stack([X[:, 0] > 0, X[:, 1] > 0.5, X[:, 2] < 1], 1).astype(int)),
    "regression": (LINE, X, REAL),
    "two targets": (LINE, X, np.stack([REAL, -REAL], 1)),
    "float32": (NET, X.astype(np.float32), THREE),
    "huge numbers": (LINE, np.where(np.arange(450).reshape(90, 5) == 0, 1e9, X), REAL),
    "lists": (NET, X.tolist(), THREE.tolist()),
    "column of labels": (NET, X, THREE),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "early stopping": {"early_stopping": True, "max_iter": 30, "n_iter_no_change": 2},
    "adaptive rate": {"solver": "sgd", "learning_rate": "adaptive", "max_iter": 30, "n_iter_no_change": 2},
    "in order": {"shuffle": False, "batch_size": 16},
    "lbfgs": {"solver": "lbfgs"},
    "class weights": {"class_weight": "balanced"},
    "dropout and norm": {"dropout": 0.2, "norm": "batch"},
    "optimizer": {"optimizer": pynn.optim.RAdam(lr=1e-2)},
    "random state": {"random_state": np.random.RandomState(3)},
    "threads": {"n_jobs": 1},
    "callbacks": {"callbacks": [pynn.callbacks.EarlyStopping("loss", patience=1)]},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_results_for_all_kinds_of_data(case: tuple[Any, Any, Any], trained: list[int]) -> None:
    compare(*case)
    assert sum(trained) == (8 if case[1] is CASES["huge numbers"][1] else 12)  # the fold without it uses float32 alone


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_results_for_all_kinds_of_training(settings: dict[str, Any], trained: list[int]) -> None:
    compare(clone(NET).set_params(**settings), X, THREE)
    assert trained == [12]


def test_tables_of_pandas_and_their_names(trained: list[int]) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(5)], index=range(5, 95))
    search = compare(NET, frame, pd.Series(WORDS, index=frame.index))
    assert trained == [12]
    assert [*search.feature_names_in_] == [*frame.columns]


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])
def test_sparse_matrices(make: Callable[[Any], Any]) -> None:
    compare(NET, make(np.where(np.abs(X) > 0.7, X, 0)), THREE, {"alpha": [1e-4, 1.0]})


def test_weights_and_groups_reach_the_fits(trained: list[int]) -> None:
    compare(NET, X, THREE, fit={"sample_weight": WEIGHT, "groups": GROUPS}, cv=GroupKFold(3))
    assert trained == [12]
    from sklearn import config_context

    with config_context(enable_metadata_routing=True):
        net = clone(NET).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        compare(net, X, THREE, fit={"sample_weight": WEIGHT, "groups": GROUPS}, cv=GroupKFold(3))
    assert trained == [12, 12]


def test_lists_of_grids_and_parameters_that_are_objects(trained: list[int]) -> None:
    rates = [pynn.optim.SGD(lr=0.1), pynn.optim.Adam(lr=0.01)]
    compare(NET, X, THREE, [{"optimizer": rates}, {"hidden_layer_sizes": [(3,), (4, 4)], "random_state": [1]}])
    assert trained == [12]


@pytest.mark.parametrize("runs", [1, 2, 3, -1, -2, None])
def test_results_do_not_depend_on_n_jobs(runs: int | None, trained: list[int]) -> None:
    search = GridSearchCV(NET, GRID, cv=3, n_jobs=runs).fit(X, THREE)
    assert_same_search(search, model_selection.GridSearchCV(NET, GRID, cv=3).fit(X, THREE))
    assert trained == [12]


def test_n_jobs_is_the_number_of_nets_that_train_at_a_time() -> None:
    threads = pynn.get_num_threads()
    assert [_together._runs_at_a_time(n) for n in (None, -1, -threads, -99, 5)] == [threads, threads, 1, 1, 5]
    with joblib.parallel_config("loky", n_jobs=3):
        assert _together._runs_at_a_time(None) == 3
    for wrong in (0, 1.5, "two"):
        with pytest.raises(ValueError, match="n_jobs"):
            GridSearchCV(NET, GRID, n_jobs=wrong).fit(X, THREE)


def test_nets_are_prepared_as_memory_permits(trained: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_together, "_MOST_BYTES", 1)
    search = GridSearchCV(NET, GRID, cv=3, n_jobs=2).fit(X, THREE)
    assert_same_search(search, model_selection.GridSearchCV(NET, GRID, cv=3).fit(X, THREE))
    assert trained == [2] * 6


def test_times_are_those_of_the_trainings() -> None:
    slow = GridSearchCV(NET, {"max_iter": [1, 200], "tol": [0.0], "n_iter_no_change": [500]}, cv=3, n_jobs=1).fit(X, THREE)
    short, long = slow.cv_results_["mean_fit_time"]
    assert 0 < short < long


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test scores:UserWarning")
@pytest.mark.parametrize(
    ("grid", "y"),
    [
        ({"alpha": [1e-4, -1.0]}, THREE),
        ({"activation": ["relu", "nonsense"]}, THREE),
        ({"hidden_layer_sizes": [(4,), (0,)]}, THREE),
        ({"alpha": [1e-4, 1.0]}, np.repeat([0, 1, 2], 30)),  # folds in order lack a label
        ({"learning_rate_init": [0.01, 1e30], "solver": ["sgd"]}, THREE),
        ({"early_stopping": [True, False], "validation_fraction": [0.99, 0.2]}, THREE),
    ],
    ids=["alpha", "activation", "size", "label", "divergence", "split"],
)
def test_failures_score_as_in_scikit_learn(grid: dict[str, Any], y: Any) -> None:
    compare(NET, X, y, grid, cv=KFold(3))
    compare(NET, X, y, grid, cv=KFold(3), error_score=-5.0)


def test_data_that_no_fold_accepts() -> None:
    hole = np.where(np.arange(450).reshape(90, 5) == 7, np.nan, X)
    texts = []
    for searches in (model_selection, pynn.sklearn):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(ValueError, match="fits failed") as info:
                searches.GridSearchCV(NET, GRID, cv=[(np.arange(60), np.arange(60, 90))]).fit(hole, THREE)
        texts.append((str(info.value).rsplit("\n", 3)[-2:], [one.category for one in caught]))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["GridSearchCV", "cross_val_score"])
def test_the_first_error_is_raised_on_request(name: str) -> None:
    bad = clone(NET).set_params(alpha=-1.0)
    calls = {
        "GridSearchCV": lambda home: home.GridSearchCV(bad, {"max_iter": [2, 3]}, error_score="raise").fit(X, THREE),
        "cross_val_score": lambda home: home.cross_val_score(bad, X, THREE, error_score="raise"),
    }
    for home in (model_selection, pynn.sklearn):
        with pytest.raises(ValueError, match=r"'alpha' parameter of .* must be a float"):
            calls[name](home)


class Failing(pynn.callbacks.Callback):
    def __init__(self, at: int) -> None:
        self.at = at

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == self.at:
            raise RuntimeError(f"in epoch {epoch}")


@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_errors_of_callbacks_are_those_of_their_fits(trained: list[int]) -> None:
    grid = {"callbacks": [[Failing(2)], [Failing(99)], None]}
    with pytest.warns(FitFailedWarning, match="RuntimeError: in epoch 2"):
        compare(NET, X, THREE, grid)
    assert trained == [9]


def test_an_interrupt_ends_the_search() -> None:
    class Stop(pynn.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(clone(NET).set_params(callbacks=[Stop()]), GRID).fit(X, THREE)
    compare(NET, X, THREE, {"alpha": [1e-4]})


def test_warnings_are_those_of_scikit_learn() -> None:
    counts = []
    for searches in (model_selection, pynn.sklearn):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            searches.GridSearchCV(NET, GRID, cv=3).fit(X, THREE)
        counts.append(sorted((one.category.__name__, str(one.message)) for one in caught))
    assert len(counts[0]) == 13
    assert counts[0] == counts[1]


def test_verbose_prints_what_scikit_learn_prints(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for searches in (model_selection, pynn.sklearn):
        searches.GridSearchCV(NET, GRID, cv=3, verbose=3, return_train_score=True).fit(X, THREE)
        printed.append(re.sub(r"\.*;.*total time.*", "", capsys.readouterr().out))
    assert printed[0].count("\n") == 13
    assert printed[0] == printed[1]


# ---- other estimators ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (LogisticRegression(), {"C": [0.1, 1.0]}),
        (make_pipeline(StandardScaler(), NET), {"mlpclassifier__alpha": [1e-4, 1.0]}),
        (model_selection.GridSearchCV(NET, {"alpha": [1e-4, 1.0]}, cv=2), {"refit": [True]}),
    ],
    ids=["logistic regression", "pipeline", "search"],
)
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_other_estimators_are_fitted_as_in_scikit_learn(estimator: Any, grid: Any, n_jobs: int | None, trained: list[int]) -> None:
    with joblib.parallel_config("threading"):
        ours = GridSearchCV(estimator, grid, cv=3, n_jobs=n_jobs).fit(X, THREE)
        theirs = model_selection.GridSearchCV(estimator, grid, cv=3, n_jobs=n_jobs).fit(X, THREE)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert not trained


def test_searches_within_cross_validation(trained: list[int]) -> None:
    search = GridSearchCV(NET, {"alpha": [1e-4, 1.0]}, cv=2)
    scores = cross_val_score(search, X, THREE, cv=3)
    assert trained == [4] * 3
    np.testing.assert_array_equal(
        scores, model_selection.cross_val_score(model_selection.GridSearchCV(NET, {"alpha": [1e-4, 1.0]}, cv=2), X, THREE, cv=3)
    )


def test_a_backend_for_several_machines_takes_precedence(trained: list[int]) -> None:
    class Far(joblib._parallel_backends.ParallelBackendBase):
        def effective_n_jobs(self, n_jobs: int) -> int:
            return 1

    with joblib.parallel_config(Far()):
        compare(NET, X, THREE)
    assert not trained


def test_callbacks_of_scikit_learn_see_each_fit(trained: list[int]) -> None:
    callbacks = pytest.importorskip("sklearn.callback")
    search = GridSearchCV(NET, GRID, cv=3).set_callbacks(callbacks.ScoringMonitor(scoring="accuracy"))
    search.fit(X, THREE)
    assert not trained


# ---- the other functions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("estimator", "y"), [(NET, THREE), (NET, WORDS), (LINE, REAL)])
def test_cross_val_score_is_that_of_scikit_learn(estimator: Any, y: Any, trained: list[int]) -> None:
    np.testing.assert_array_equal(cross_val_score(estimator, X, y), model_selection.cross_val_score(estimator, X, y))
    assert trained == [5]
    given = {"cv": GroupKFold(3), "groups": GROUPS, "params": {"sample_weight": WEIGHT}, "n_jobs": 1}
    np.testing.assert_array_equal(cross_val_score(estimator, X, y, **given), model_selection.cross_val_score(estimator, X, y, **given))
    assert trained == [5, 3]


def test_cross_validate_is_that_of_scikit_learn(trained: list[int]) -> None:
    options = {"scoring": ["accuracy", "neg_log_loss"], "return_train_score": True, "return_estimator": True, "return_indices": True}
    assert_same_results(cross_validate(NET, X, THREE, **options), model_selection.cross_validate(NET, X, THREE, **options))
    assert trained == [5]


def test_cross_val_score_is_that_of_a_loop(trained: list[int]) -> None:
    scores = []
    for train, test in StratifiedKFold(5).split(X, THREE):
        scores.append(clone(NET).fit(X[train], THREE[train]).score(X[test], THREE[test]))
    assert cross_val_score(NET, X, THREE).tolist() == scores
    assert trained == [5]


def test_random_search_is_that_of_scikit_learn(trained: list[int]) -> None:
    space = {"alpha": loguniform(1e-5, 1.0), "activation": ["relu", "tanh", "logistic"]}
    options = {"n_iter": 5, "random_state": 4, "cv": 3}
    ours = RandomizedSearchCV(NET, space, **options).fit(X, THREE)
    theirs = model_selection.RandomizedSearchCV(NET, space, **options).fit(X, THREE)
    assert_same_search(ours, theirs)
    assert trained == [15]


@pytest.mark.parametrize("search", [GridSearchCV(NET, GRID, cv=3), RandomizedSearchCV(NET, GRID, n_iter=2, cv=3, random_state=0)])
def test_a_search_is_an_estimator(search: Any) -> None:
    assert repr(clone(search)) == repr(search)
    search.fit(X, THREE)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict_proba(X), search.best_estimator_.predict_proba(X))
    assert again.score(X, THREE) == search.score(X, THREE)
    assert search._repr_html_()
    assert isinstance(search, (model_selection.GridSearchCV, model_selection.RandomizedSearchCV))
    assert not [one for one in vars(search.best_estimator_) if one == "fit"]
