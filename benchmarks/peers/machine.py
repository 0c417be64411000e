"""The peak speed of the machine as a contestant, which only copies the same number of bytes or does the same number of multiply-adds."""

from __future__ import annotations

from collections.abc import Mapping

import native
import numpy as np
from harness import Run
from nets import Net
from numpy.typing import NDArray

VERSION = ""
FMA = {"float32": 0, "float64": 1}
COPY = {"copy": 2, "memcpy": 3}
_threads = 1


def set_threads(n: int) -> None:
    global _threads
    _threads = n


def _run(kind: int, scale: float = 1, x: NDArray | None = None, y: NDArray | None = None) -> Run:
    library = native.machine()
    size, at = (x.nbytes, (x.ctypes.data, y.ctypes.data)) if x is not None and y is not None else (0, (None, None))

    def run(n: int, keep: object = (x, y)) -> float:
        repetitions = max(1, round(n * scale))
        seconds = library.pynn_bench_machine(kind, _threads, repetitions, size, *at)
        if seconds < 0:
            raise OSError(f"could not start {_threads} threads")
        return seconds * n * scale / repetitions

    return run


def fma(flops: float, dtype: str = "float32") -> Mapping[str, Run]:
    """Do this number of floating-point operations."""
    return {"fma": _run(FMA[dtype], flops / native.machine().pynn_bench_machine_flops(FMA[dtype]) / _threads)}


def copy(x: NDArray, kinds: tuple[str, ...] = ("copy",)) -> Mapping[str, Run]:
    """Copy an array into another: with vectors, or with the C library's memcpy."""
    return {kind: _run(COPY[kind], 1, x, np.zeros_like(x)) for kind in kinds}


def activation(name: str, direction: str, x: NDArray, g: NDArray) -> Mapping[str, Run]:
    return copy(x) if direction != "backward" and x.size >= 1_000_000 else {}


def step(net: Net) -> Mapping[str, Run]:
    return fma(net.flops)


def predict(net: Net, rows: int) -> Mapping[str, Run]:
    return fma(net.row_flops * rows)


def gemm(form: str, m: int, n: int, k: int) -> Mapping[str, Run]:
    return fma(2.0 * m * n * k)
