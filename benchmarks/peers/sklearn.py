"""scikit-learn's MLPClassifier, with steps by partial_fit over many batches. It has no GELU, so it skips nets with GELU."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import estimators
import joblib
import numpy as np
import sklearn
from harness import Run, repeat
from nets import LR, Net
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

VERSION = sklearn.__version__
IMPORT, DISTRIBUTION = "import sklearn.neural_network", "scikit-learn"
ACTIVATIONS = ("tanh", "relu")


def set_threads(n: int) -> None:
    """Do nothing: the only threads are those of NumPy's BLAS."""


def _model(net: Net) -> tuple[MLPClassifier, NDArray]:
    m = MLPClassifier(net.widths[1:-1], activation=net.activation, alpha=0.0, batch_size=net.batch, learning_rate_init=LR, shuffle=False)
    return m, np.arange(max(2, net.widths[-1]))


def step(net: Net) -> Mapping[str, Run]:
    if net.activation not in ACTIVATIONS:
        return {}
    m, classes = _model(net)
    x, y = net.inputs(net.batch), net.targets(net.batch).ravel().astype(np.int64)
    m.partial_fit(x, y, classes=classes)

    def run(n: int) -> None:
        m.partial_fit(np.resize(x, (n * len(x), x.shape[1])), np.resize(y, n * len(y)))

    return {"": run}


def predict(net: Net, rows: int) -> Mapping[str, Run]:
    if net.activation not in ACTIVATIONS:
        return {}
    m, classes = _model(net)
    m.partial_fit(net.inputs(net.batch), net.targets(net.batch).ravel().astype(np.int64), classes=classes)
    x = net.inputs(rows)
    return {"": repeat(lambda: m.predict_proba(x))}


def digits(data: tuple[NDArray, ...], epochs: int, batch: int) -> Mapping[str, Callable[[], tuple[float, float]]]:
    X, Xt, y, yt = data

    def train() -> tuple[float, float]:
        start = time.perf_counter()
        m = MLPClassifier((128,), batch_size=batch, max_iter=epochs, alpha=0.0, tol=0.0, n_iter_no_change=epochs + 1, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # running all epochs is intended
            m.fit(X, y)
        return time.perf_counter() - start, float(m.score(Xt, yt))

    return {"": train}


def many(net: Net, data: tuple[NDArray, ...], nets: int, epochs: int, jobs: int) -> Mapping[str, Run]:
    if net.activation not in ACTIVATIONS:
        return {}

    def run(_: int) -> None:
        for seed in range(nets):
            options = {"activation": net.activation, "batch_size": net.batch, "alpha": 0.0, "tol": 0.0, "n_iter_no_change": epochs + 1}
            m = MLPClassifier(net.widths[1:-1], max_iter=epochs, random_state=seed, **options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # running all epochs is intended
                m.fit(*data)

    return {"": run}


def estimator_fit(*given: Any) -> Mapping[str, Run]:
    return estimators.fit(MLPClassifier, *given)


def estimator_predict(*given: Any) -> Mapping[str, Run]:
    return estimators.predict(MLPClassifier, *given)


class Search(GridSearchCV):
    """A search whose worker processes have one thread each."""

    def fit(self, X: Any, y: Any, **params: Any) -> Any:
        with joblib.parallel_config("loky", inner_max_num_threads=1):
            return super().fit(X, y, **params)


def estimator_search(*given: Any) -> Mapping[str, Run]:
    return estimators.search(MLPClassifier, Search, *given)
