"""A whole training step (forward, loss, backward, Adam; float32): the peer's time over pynn's, which is that of ``fit``, all of it.

pynn and scikit-learn draw their batches from a longer array; the others learn from one batch again and again. *of peak*: the share of
the machine's multiply-adds, measured in the same rounds, that pynn reaches (6 operations a weight and row).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import Case, Pace, discipline
from nets import NETS
from report import bars, contest

from subjects import Setting


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    for net in list(NETS.values())[: 1 if setting.quick else None]:
        yield Case(str(net), discipline("step", net), flops=net.flops), setting.pace.scaled(1, 2)


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    return contest(records)


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "step.svg")
