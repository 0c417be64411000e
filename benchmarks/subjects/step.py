"""A training step (forward, loss, backward, Adam; float32): time of the peer divided by that of pynn's ``fit``, everything included.

pynn and scikit-learn gather their batches from a longer array; the others train on one batch repeatedly. *of peak*: pynn's speed as a
fraction of the machine's multiply-adds, measured in the same rounds (6 operations per weight and row; 4 in the first layer, where no
gradient of the input is needed).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import Case, Pace, Run, discipline
from nets import NETS, Net
from report import bars, contest

from subjects import Setting


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    for net in list(NETS.values())[: 1 if setting.quick else None]:
        yield Case(str(net), lambda peer, net=net: _contestants(peer, net), flops=net.flops), setting.pace.scaled(1, 2)


def _contestants(peer: Any, net: Net) -> Mapping[str, Run]:
    return {variant: run for name in ("step", "compiled_step") for variant, run in discipline(name, net)(peer).items()}


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    return contest(records)


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "step.svg")
