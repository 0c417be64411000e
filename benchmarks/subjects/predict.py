"""Prediction: time of the peer divided by that of pynn's ``predict``. PyTorch reads and returns tensors, under inference_mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import Case, Pace, discipline
from nets import NETS, Net
from report import bars, contest

from subjects import Setting


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    for net in list(NETS.values())[: 1 if setting.quick else None]:
        for rows in (1, 1000):
            yield Case(name_of(net, rows), discipline("predict", net, rows), flops=net.row_flops * rows), setting.pace


def name_of(net: Net, rows: int) -> str:
    """Return the name of the case."""
    return f"{net.name} {'-'.join(map(str, net.widths))} {net.activation}, {rows} row{'s' * (rows > 1)}"


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    return contest(records)


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "predict.svg")
