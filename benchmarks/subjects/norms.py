"""Normalisation layers, forward and backward with all gradients (float32): time of the peer divided by that of pynn.

The layers are called from Python; on small batches the calls take most of the time. Inputs are rows (rows, features) or images (images,
channels, height, width).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Case, Pace, discipline
from report import bars, contest

from subjects import Setting

ROWS = ((32, 28), (4096, 28), (256, 64), (1024, 128), (32, 512), (1024, 768))
SHAPES = {
    "LayerNorm": ROWS,
    "RMSNorm": ROWS[2:4],
    "BatchNorm1d": ((64, 128), (64, 1024), (4096, 64)),
    "BatchNorm2d": ((32, 16, 14, 14), (32, 32, 32, 32), (16, 128, 8, 8)),
    "GroupNorm": ((256, 64), (32, 32, 32, 32), (16, 128, 8, 8)),
    "InstanceNorm2d": ((32, 32, 32, 32), (32, 128, 8, 8)),
}


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    r = np.random.default_rng(0)
    for name, shapes in SHAPES.items():
        for shape in shapes[: 1 if setting.quick else None]:
            x, g = (r.standard_normal(shape, dtype=np.float32) for _ in range(2))
            arguments = (8, shape[1]) if name == "GroupNorm" else (shape[1],)
            title = f"{name} {'x'.join(map(str, shape))}"
            yield Case(title, discipline("layer", name, arguments, x, g), bytes=5 * x.nbytes), setting.pace.scaled(1, 0.5)


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    return contest(records)


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "norms.svg")
