"""Training many small nets: 64 times 64-128-64-10 ReLU on handwritten digits, with different initial weights and orders of samples.

Ten epochs of batches of 32 on 1792 samples of pynn's digits, with Adam and cross-entropy. *pynn* is `fit_many`, and *one at a time* the
same with ``n_jobs=1``. scikit-learn and PyTorch on one thread train in a loop. *processes* divides the nets among as many worker
processes as CPUs, started before the measurement. JAX trains all 64 together with `vmap`, an epoch in one `jit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Case, Pace, discipline
from nets import Net
from report import bars, contest

from pynn.datasets import load_digits
from subjects import Setting

NET = Net("many", (64, 128, 64, 10), "relu", 32)
NETS, EPOCHS, ROWS = 64, 10, 1792


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    X, y = load_digits()
    nets, epochs = (4, 1) if setting.quick else (NETS, EPOCHS)
    data = (X[:ROWS] / 16).astype(np.float32), y[:ROWS].astype(np.int64)
    enter = discipline("many", NET, data, nets, epochs, setting.threads)
    yield Case(f"{nets} nets", enter, flops=nets * epochs * (ROWS // NET.batch) * NET.flops, once=True), setting.pace.scaled(0.5, 1)


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    return contest(records)


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "many.svg")
