"""Digits end to end: 64-128-10 ReLU, 50 epochs of batches of 32, Adam at 0.001, cross-entropy, 1438 samples to learn from."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Case, Pace, Run, label
from report import bars, contest, table

from pynn.datasets import load_digits, train_test_split
from subjects import Setting

EPOCHS, BATCH = 50, 32


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    X, y = load_digits()
    X, Xt, y, yt = train_test_split((X / 16).astype(np.float32), y.astype(np.int64), test_size=0.2, seed=0)
    data, epochs = (X, Xt, y, yt), 1 if setting.quick else EPOCHS
    accuracies: dict[str, list[float]] = {}

    def enter(peer: Any) -> Mapping[str, Run]:
        trainings = peer.digits(data, epochs, BATCH) if hasattr(peer, "digits") else {}
        return {variant: run_of(label(peer, variant), train) for variant, train in trainings.items()}

    def run_of(name: str, train: Callable[[], tuple[float, float]]) -> Run:
        def run(_: int) -> float:
            seconds, accuracy = train()
            accuracies.setdefault(name, []).append(accuracy)
            return seconds

        return run

    notes = {"accuracy": lambda: {name: statistics.median(values) for name, values in accuracies.items()}}
    yield Case(f"{epochs} epochs", enter, once=True, notes=notes), setting.pace.scaled(0.4)


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    accuracies = [[name, f"{value:.4f}"] for record in records for name, value in record["accuracy"].items()]
    return [*contest(records), *table(["accuracy on the 359 others, median", ""], accuracies)]


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "digits.svg")
