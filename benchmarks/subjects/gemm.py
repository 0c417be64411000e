"""The matrix product C (m, n) = A B with depth k in float32: time of the peer divided by that of pynn.

NT: B is stored transposed, as in the forward pass of a layer. NN: neither is, as in the gradient of its input. TN: A is stored
transposed, as in the gradient of its weight. pynn and OpenBLAS are called from C, NumPy and PyTorch from Python, which adds up to a
microsecond per call. Where OpenBLAS does not select its AVX-512 kernels by default (on AMD processors), it is also measured with
them, as *SkylakeX*.
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
