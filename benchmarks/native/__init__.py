"""C code of the benchmarks: the peak speed of the machine, and calls of matrix products of pynn and of a BLAS without Python."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORE = ROOT / "csrc" / "core"


@cache
def machine() -> ctypes.CDLL:
    """Return machine.c, compiled for the instruction set of this machine."""
    flags = ["-std=c11", "-O3", "-march=native", "-ffp-contract=fast", "-fno-tree-loop-distribute-patterns", "-pthread"]
    library = _load([([HERE / "machine.c"], flags)], [HERE / "machine.c"])
    library.pynn_bench_machine.restype = library.pynn_bench_machine_flops.restype = ctypes.c_double
    library.pynn_bench_machine.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
    return library


@cache
def sgemm() -> ctypes.CDLL:
    """Return sgemm.c."""
    library = _load([([HERE / "sgemm.c"], ["-std=c11", "-O2"])], [HERE / "sgemm.c"])
    library.pynn_bench_sgemm.restype = None
    library.pynn_bench_sgemm.argtypes = [ctypes.c_void_p, *[ctypes.c_int] * 5, *[ctypes.c_void_p] * 3, ctypes.c_long]
    return library


@cache
def door() -> ctypes.CDLL:
    """Return door.c, linked with the C core as setup.py compiles it."""
    library = _load(core_units(), [*CORE.rglob("*.[ch]"), ROOT / "csrc" / "pynn.h", HERE / "door.c"])
    library.pynn_bench_threads.argtypes = [ctypes.c_size_t]
    library.pynn_bench_product.restype = ctypes.c_double
    library.pynn_bench_product.argtypes = [*[ctypes.c_int] * 2, *[ctypes.c_size_t] * 3, *[ctypes.c_void_p] * 3, ctypes.c_long]
    return library


def core_units() -> list[tuple[list[Path], list[str]]]:
    """Return sources and flags of door.c and the C core; kernels.c occurs once per instruction set."""
    if not CORE.is_dir():
        raise OSError(f"{CORE} does not exist: this subject needs the source tree of pynn")
    every, *targets = [line.split() for line in (ROOT / "csrc/flags").read_text().splitlines() if not line.startswith("#")]
    flags = [*every[1:], "-g0", f"-I{ROOT / 'csrc'}"]
    kernels = CORE / "kernels" / "kernels.c"
    macros = subprocess.run([*_compiler(), "-dM", "-E", "-x", "c", os.devnull], check=True, capture_output=True, text=True).stdout
    sets = {isa: extra for macro, isa, *extra in targets if macro in macros} or {"base": []}
    units = [([source], flags) for source in [*sorted({*CORE.rglob("*.c")} - {kernels}), HERE / "door.c"]]
    return units + [([kernels], [*flags, *extra, f"-DPN_ISA={isa}"]) for isa, extra in sets.items()]


def _compiler() -> list[str]:
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if not compiler:
        raise OSError("this needs a C compiler (cc, gcc, clang, or $CC)")
    return shlex.split(compiler)


def _load(units: list[tuple[list[Path], list[str]]], inputs: list[Path]) -> ctypes.CDLL:
    """Compile units (sources, flags) into one library, cached in the temporary directory under a digest of its inputs."""
    compiler = _compiler()
    digest = hashlib.sha256(repr((compiler, os.getuid(), units)).encode())
    for path in sorted(inputs):
        digest.update(path.read_bytes())
    library = Path(tempfile.gettempdir(), f"pynn-benchmarks-{os.getuid()}-{digest.hexdigest()[:16]}.so")
    if not library.exists():
        with tempfile.TemporaryDirectory() as scratch:
            objects = [Path(scratch, f"{i}.o") for i in range(len(units))]
            running = [
                subprocess.Popen([*compiler, *flags, "-fPIC", "-c", *map(str, sources), "-o", str(to)], stderr=subprocess.PIPE, text=True)
                for (sources, flags), to in zip(units, objects, strict=True)
            ]
            failed = [error for process, error in [(p, p.communicate()[1]) for p in running] if process.returncode]
            if failed:
                raise OSError(f"{shlex.join(compiler)}: {failed[0].strip()}")
            whole = Path(scratch, "whole.so")
            subprocess.run([*compiler, "-shared", "-pthread", *map(str, objects), "-lm", "-o", str(whole)], check=True)
            shutil.copy(whole, f"{library}.{os.getpid()}")
            os.replace(f"{library}.{os.getpid()}", library)
    return ctypes.CDLL(str(library))
