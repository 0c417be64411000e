"""scikit-learn's interface: MLPClassifier with its default settings on handwritten digits, and searches over its settings.

pynn has `pynn.sklearn.MLPClassifier` and `pynn.sklearn.GridSearchCV`, scikit-learn its classes of the same names. Data are float64 and
scaled to 0..1. *fit* trains on 1437 rows for 200 epochs, the default limit. The search has 24 settings (width, activation, penalty,
learning rate) and 5 folds, with at most 20 epochs (``--all``: 200) and ``n_jobs`` equal to the number of CPUs. scikit-learn's worker
processes start before the measurement, and have one thread each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Case, Pace, discipline
from report import bars, contest

from pynn.datasets import load_digits
from subjects import Setting

ROWS = 1437
GRID = {
    "hidden_layer_sizes": [(50,), (100,)],
    "activation": ["relu", "tanh"],
    "alpha": [1e-4, 1e-2],
    "learning_rate_init": [1e-3, 3e-3, 1e-2],
}
FEW = {"alpha": [1e-4, 1e-2]}


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    X, y = load_digits()
    data = (X / 16).astype(np.float64), y
    train = data[0][:ROWS], data[1][:ROWS]
    epochs = 2 if setting.quick else 200
    slow = setting.pace.scaled(0.3, 1)
    yield Case("fit", discipline("estimator_fit", train, epochs), once=True), slow
    for rows in (1, len(y)):
        name = f"predict {rows} row{'s' * (rows > 1)}"
        yield Case(name, discipline("estimator_predict", train, data[0][:rows])), setting.pace
    grid, folds = (FEW, 2) if setting.quick else (GRID, 5)
    settings = np.prod([len(values) for values in grid.values()])
    limit = 2 if setting.quick else 200 if setting.everything else 20
    search = discipline("estimator_search", data, grid, folds, limit, setting.threads)
    yield Case(f"search of {settings} settings", search, once=True), slow


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    return contest(records)


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "estimators.svg")
