"""OpenBLAS as shipped for SciPy, with its default kernels, and also with AVX-512 kernels where the default does not use them."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import native
import numpy as np
import scipy_openblas32
from harness import Run

WIDE = "SkylakeX"
KNOWS_WIDE = (WIDE, "Cooperlake", "Sapphirerapids")
PATH = Path(scipy_openblas32.get_lib_dir(), f"lib{scipy_openblas32.get_library()}.so")


def _open(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    library.scipy_openblas_get_config.restype = library.scipy_openblas_get_corename.restype = ctypes.c_char_p
    return library


def _core(library: ctypes.CDLL) -> str:
    return library.scipy_openblas_get_corename().decode()


def _libraries() -> dict[str, ctypes.CDLL]:
    """Open the library, and if useful a copy with other kernels: the choice is read from the environment once, when it is loaded."""
    own = {"": _open(PATH)}
    if _core(own[""]) in KNOWS_WIDE or "avx512bw" not in Path("/proc/cpuinfo").read_text():
        return own
    before = os.environ.get("OPENBLAS_CORETYPE")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["OPENBLAS_CORETYPE"] = WIDE
        own[WIDE] = _open(Path(shutil.copy(PATH, scratch)))
    if before is None:
        del os.environ["OPENBLAS_CORETYPE"]
    else:
        os.environ["OPENBLAS_CORETYPE"] = before
    return own


LIBRARIES = _libraries()
VERSION = f"{LIBRARIES[''].scipy_openblas_get_config().decode().split()[1]} ({_core(LIBRARIES[''])})"


def set_threads(n: int) -> None:
    for library in LIBRARIES.values():
        library.scipy_openblas_set_num_threads(n)


def gemm(form: str, m: int, n: int, k: int) -> Mapping[str, Run]:
    r = np.random.default_rng(0)
    a, b, c = (r.standard_normal(size, dtype=np.float32) for size in (m * k, k * n, m * n))
    repeat = native.sgemm().pynn_bench_sgemm

    def of(library: ctypes.CDLL) -> Run:
        sgemm = ctypes.cast(library.scipy_cblas_sgemm, ctypes.c_void_p)
        return lambda count: repeat(sgemm, form[0] == "T", form[1] == "T", m, n, k, a.ctypes.data, b.ctypes.data, c.ctypes.data, count)

    return {variant: of(library) for variant, library in LIBRARIES.items()}
