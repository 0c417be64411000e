"""C beside the benchmarks: what the machine can do, and doors to matrix products: pynn's own and a BLAS's."""

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


@cache
def machine() -> ctypes.CDLL:
    """Return machine.c, compiled for this very machine."""
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
    """Return door.c with all of csrc/core, compiled as setup.py compiles it."""
    core = ROOT / "csrc" / "core"
    if not core.is_dir():
        raise OSError("csrc/core is not here: this subject needs pynn's source tree")
    every, *targets = [line.split() for line in (ROOT / "csrc/flags").read_text().splitlines() if not line.startswith("#")]
    flags = [*every[1:], "-g0", f"-I{ROOT / 'csrc'}"]
    kernels = core / "kernels.c"
    sources = [*sorted({*core.glob("*.c"), *core.glob("layers/*.c")} - {kernels}), HERE / "door.c"]
    macros = subprocess.run([*_compiler(), "-dM", "-E", "-x", "c", os.devnull], check=True, capture_output=True, text=True).stdout
    sets = {isa: extra for macro, isa, *extra in targets if macro in macros} or {"base": []}
    units = [([source], flags) for source in sources]
    units += [([kernels], [*flags, *extra, f"-DPN_ISA={isa}"]) for isa, extra in sets.items()]
    library = _load(units, [*core.rglob("*.[ch]"), ROOT / "csrc" / "pynn.h", HERE / "door.c"])
    library.pynn_bench_threads.argtypes = [ctypes.c_size_t]
    library.pynn_bench_product.restype = ctypes.c_double
    library.pynn_bench_product.argtypes = [*[ctypes.c_int] * 2, *[ctypes.c_size_t] * 3, *[ctypes.c_void_p] * 3, ctypes.c_long]
    return library


def _compiler() -> list[str]:
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if not compiler:
        raise OSError("this needs a C compiler (cc, gcc, clang, or $CC)")
    return shlex.split(compiler)


def _load(units: list[tuple[list[Path], list[str]]], inputs: list[Path]) -> ctypes.CDLL:
    """Compile units (sources, flags) into one library, kept in the temporary directory under a digest of all that went in."""
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
