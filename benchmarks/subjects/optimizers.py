"""A step of an optimizer (float32), called from Python: time of the peer divided by that of pynn.

The numbers are divided equally among eight parameters, as in a net with four layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import Case, Pace, discipline
from report import bars, contest

from subjects import Setting

PARAMETERS = 8
CASES: tuple[tuple[str, int, dict[str, float]], ...] = (
    *(("Adam", size, {}) for size in (20_000, 200_000, 2_000_000, 20_000_000)),
    *((name, 200_000, settings) for name, settings in (("AdamW", {}), ("SGD", {"momentum": 0.9}), ("RMSprop", {}), ("Adagrad", {}))),
)


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    for name, size, settings in CASES[: 1 if setting.quick else None]:
        enter = discipline("update", name, settings, [size // PARAMETERS] * PARAMETERS)
        yield Case(f"{name}, {size:.0e} numbers".replace("e+0", "e"), enter), setting.pace.scaled(1, 0.5)


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    return contest(records)


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "optimizers.svg")
