"""Convolutions (float32): time of the peer divided by that of pynn, for training steps with Adam, predictions, and single layers.

LeNet: 1x28x28, batches of 64. The stack: 3x32x32 to 32, 32, 64 (stride 2) and 64 channels, each with batch normalisation and ReLU,
batches of 32. PyTorch is measured with both of its layouts; *last* is channels last. Single layers run forward and backward, called from
Python on arrays with channels first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Case, Pace, discipline
from nets import CONV_NETS
from report import bars, contest

from subjects import Setting

LAYERS = {
    "Conv2d 32 to 32, 3x3": ((32, 32, 3, 1, 1), (32, 32, 32, 32)),
    "Conv2d 64 depthwise, 3x3": ((64, 64, 3, 1, 1, 1, 64), (8, 64, 32, 32)),
}


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    for net in CONV_NETS:
        yield Case(f"{net.name}, step of {net.batch}", discipline("conv_step", net)), setting.pace.scaled(1, 4)
    for rows in (1, 64):
        yield Case(f"{CONV_NETS[0].name}, predict {rows}", discipline("conv_predict", CONV_NETS[0], rows)), setting.pace
    r = np.random.default_rng(0)
    for name, (arguments, shape) in list(LAYERS.items())[: 1 if setting.quick else None]:
        x, g = (r.standard_normal(shape, dtype=np.float32) for _ in range(2))
        yield Case(f"{name}, forward and backward", discipline("layer", "Conv2d", arguments, x, g)), setting.pace


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    return contest(records)


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "convolutions.svg")
