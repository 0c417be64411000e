"""The matrix product C (m, n) = A B with depth k in float32: the peer's time over pynn's.

NT: B is stored transposed, as in a layer's forward pass; NN: its input gradient; TN: A is stored transposed, its weight gradient.
pynn's and OpenBLAS's products are called from C, NumPy's and PyTorch's from Python, which costs them up to a microsecond a call.
Where OpenBLAS doesn't choose its AVX-512 kernels by itself (on AMD's processors) it takes part with them as well, as *SkylakeX*.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import Case, Pace, discipline
from report import bars, contest

from subjects import Setting

LAYERS = ((512, 4096, 2048), (256, 1024, 1024), (64, 256, 784), (32, 128, 64), (32, 64, 128), (8, 16, 16), (1, 256, 784), (1, 1024, 1024))


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    for rows, out, depth in LAYERS[5:6] if setting.quick else LAYERS:
        for form, m, n, k in (("NT", rows, out, depth), ("NN", rows, depth, out), ("TN", out, depth, rows)):
            yield Case(f"{form} {m}x{n}x{k}", discipline("gemm", form, m, n, k), flops=2.0 * m * n * k), setting.pace


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    return contest(records)


def plot(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    return bars(records, directory / "gemm.svg")
