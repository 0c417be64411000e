"""What the peers with scikit-learn's interface do, given their classes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from harness import Run, repeat
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

Data = tuple[NDArray, NDArray]


def _quietly(call: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the limit of epochs is intended
        return call()


def fit(kind: Any, data: Data, epochs: int) -> Mapping[str, Run]:
    """Train with the default settings."""
    return {"": lambda _: _quietly(lambda: kind(max_iter=epochs, random_state=0).fit(*data)) and None}


def predict(kind: Any, data: Data, rows: NDArray) -> Mapping[str, Run]:
    """Predict the classes of rows."""
    model = _quietly(lambda: kind(max_iter=5, random_state=0).fit(*data))
    return {"": repeat(lambda: model.predict(rows))}


def search(kind: Any, search: Any, data: Data, grid: Any, folds: int, epochs: int, jobs: int) -> Mapping[str, Run]:
    """Search a grid of settings by cross-validation."""

    def run(values: Any) -> None:
        made = search(kind(max_iter=epochs, random_state=0), values, cv=folds, n_jobs=jobs)
        _quietly(lambda: made.fit(*data))

    run({"max_iter": [1]})  # starts worker processes
    return {"": lambda _: run(grid)}
