"""Peak speed of the machine: multiply-adds on registers, and copying arrays that fit and do not fit its caches (a copy counts both)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from harness import Case, Pace, discipline
from report import table

from subjects import Setting

SIZES = {"256 KiB": 1 << 16, "4 MiB": 1 << 20, "64 MiB": 1 << 24}  # float32 in one array
FLOPS = 1e7


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    pace = setting.pace.scaled(1, 3)
    for dtype in ("float32", "float64"):
        yield Case(f"multiply-add {dtype}", discipline("fma", FLOPS, dtype), flops=FLOPS), pace
    for name, n in SIZES.items():
        x = np.ones(n, np.float32)
        yield Case(f"copy {name}", discipline("copy", x, ("copy", "memcpy")), bytes=2 * x.nbytes), pace


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    rows = []
    for record in records:
        work, unit = (record["flops"], "GFLOP/s") if record["flops"] else (record["bytes"], "GB/s")
        rows += [
            [f"{record['case']}, {contestant.removeprefix('machine ')}", f"{1e-9 * work / middle:.1f}", f"{1e-9 * work / low:.1f}", unit]
            for contestant, (middle, low, _) in record["values"].items()
        ]
    return table(["", "median", "best tenth", ""], rows)
