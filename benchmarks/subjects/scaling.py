"""How the time of a training step grows with the batch size, the width, the depth, and the number of rows of the data.

The base case is 64-128-128-10 ReLU with batches of 32; one number varies at a time. *rows*: batches of 256 from arrays of growing length,
up to the memory given by ``--memory``, for pynn only; each round is a complete epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import OURS, Case, Pace, Run, discipline, label, records_of
from nets import LR, Net
from report import contest, curves

from subjects import Setting

START = Net("scaling", (64, 128, 128, 10), "relu", 32)
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
WIDTHS = (8, 32, 128, 512, 2048)
DEPTHS = (1, 2, 4, 8, 16, 32)
ROWS_BATCH = 256
AXES = {
    "batch": "batch size",
    "width": "units in each of two hidden layers",
    "depth": "hidden layers",
    "rows": f"rows of the data, in batches of {ROWS_BATCH}",
}


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    nets = {
        "batch": [(b, Net("batch", START.widths, "relu", b)) for b in BATCHES],
        "width": [(w, Net("width", (64, w, w, 10), "relu", START.batch)) for w in WIDTHS],
        "depth": [(d, Net("depth", (64, *[128] * d, 10), "relu", START.batch)) for d in DEPTHS],
    }
    for study, points in nets.items():
        for value, net in points[: 2 if setting.quick else None]:
            yield Case(f"{study}/{value}", discipline("step", net), flops=net.flops), setting.pace.scaled(0.5)
    most = int(setting.memory / (4 * START.widths[0] + 8))
    for rows in sorted({min(10**e, most) for e in range(3, 4 if setting.quick else 10)}):
        yield Case(f"rows/{rows}", lambda peer, rows=rows: _epoch(peer, rows), once=True), setting.pace.scaled(0.2)


def _epoch(peer: Any, rows: int) -> Mapping[str, Run]:
    if label(peer, "") != OURS:
        return {}
    some = min(rows, 10_000)
    x, y = (np.resize(a, (rows, *a.shape[1:])) for a in (START.inputs(some), START.targets(some)))
    model, optimizer = peer.model(START), peer.pynn.optim.Adam(lr=LR)

    def run(_: int) -> float:
        history = model.fit(x, y, loss="cross_entropy", optimizer=optimizer, batch_size=ROWS_BATCH, seed=0, verbose=False)
        return history.history["seconds"][0] * ROWS_BATCH / rows

    return {"": run}


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    return contest(records)


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    paths = []
    for study, title in AXES.items():
        lines: dict[str, list[tuple[float, Sequence[float]]]] = {}
        for record in records_of(records, study):
            threads = f"{record['threads']} thread{'s' * (record['threads'] > 1)}"
            for contestant, values in record["values"].items():
                if not contestant.startswith("machine"):
                    lines.setdefault(f"{contestant}, {threads}", []).append((float(record["case"].partition("/")[2]), values))
        paths.append(directory / f"scaling_{study}.svg")
        curves(lines, paths[-1], title, "seconds per step")
    return paths
