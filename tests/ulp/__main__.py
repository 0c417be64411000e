"""Measure the error of every activation: all 2^32 floats, many doubles, on every instruction set of this machine.

    python tests/ulp                          # float32 on all inputs, float64 on 10^8 samples, rows; takes a while
    python tests/ulp f32 --stride 257         # every 257th float
    python tests/ulp f64 gelu mish            # two functions
    python tests/ulp --write                  # everything, and write docs/ulp.md
    python tests/ulp --keep FILE f32 gelu     # in parts: reuse the results for the same kernels in FILE, and add new ones

``tests/formula.py`` differentiates the formulas and writes them as C. They are compiled with the core, ``sweep.c`` measures the
errors, and the bounds in the table decide. The exit status is 1 if an error exceeds its bound, and 2 if this machine cannot check.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import math
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from formula import Formula, promise

import pynn
from pynn import _core
from pynn._tables import REQUIRED, parse_parameters

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
PAGE = ROOT / "docs" / "ulp.md"
ROWS = {row["name"]: row for row in _core.ACTIVATIONS}
ROWWISE = {row["name"]: row for row in _core.ROWWISE}
OTHER_STRIDE, PARTS = 31, 8
FLAGS = ["-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fopenmp-simd"]


class CannotTell(RuntimeError):
    """Raised if this machine has no compiler, or its compiler has no __float128."""


@dataclass
class Worst:
    """The largest errors on one instruction set, for normal and subnormal results, and inputs with wrong results."""

    normal: float = 0.0
    at: float = 0.0
    subnormal: float = 0.0
    subnormal_at: float = 0.0
    bad: int = 0
    bad_at: float = 0.0
    undecided: int = 0
    undecided_at: float = 0.0

    def add(self, other: Worst) -> None:
        if other.normal > self.normal:
            self.normal, self.at = other.normal, other.at
        if other.subnormal > self.subnormal:
            self.subnormal, self.subnormal_at = other.subnormal, other.subnormal_at
        if other.bad:
            self.bad, self.bad_at = self.bad + other.bad, other.bad_at
        if other.undecided:
            self.undecided, self.undecided_at = self.undecided + other.undecided, other.undecided_at


@dataclass
class Case:
    """A function with one setting of its parameters and one dtype, and its measured errors."""

    name: str
    values: dict[str, float]
    dtype: str
    default: bool
    count: int  # stride or samples
    inputs: int = 0
    found: dict[tuple[str, str], Worst] = field(default_factory=dict)  # (instruction set, "value" or "derivative")
    differ: dict[str, tuple[int, float]] = field(default_factory=dict)  # compared with the instruction set listed before

    @property
    def label(self) -> str:
        shown = ", ".join(f"{k}={v:g}" for k, v in self.values.items())
        return f"{self.name}({shown})" if shown else self.name

    def arguments(self, part: int, isas: list[str]) -> list[str]:
        formula = Formula(ROWS[self.name]["formula"], tuple(self.values))
        p = [*map(repr, self.values.values()), "0", "0"][:2]
        centres = [*map(repr, formula.centres(**self.values)), "/"] if self.dtype == "f64" else []
        return [
            self.dtype,
            self.name,
            *p,
            str(int(formula.has_root(**self.values))),
            str(part),
            str(PARTS),
            str(self.count),
            *centres,
            *isas,
        ]

    def take(self, text: str) -> None:
        """Add what one run of ``sweep`` printed."""
        for line in text.splitlines():
            match line.split():
                case ["inputs", n]:
                    self.inputs += int(n)
                case [isa, "differ", n, at]:
                    before, where = self.differ.get(isa, (0, 0.0))
                    self.differ[isa] = before + int(n), float(at) if int(n) else where
                case [isa, which, *numbers]:
                    worst = Worst(*(int(v) if i in (4, 6) else float(v) for i, v in enumerate(numbers)))
                    self.found.setdefault((isa, which), Worst()).add(worst)

    def faults(self) -> Iterator[str]:
        """Describe the results that exceed the promised error."""
        for (isa, which), worst in self.found.items():
            where, allowed = f"{self.label} {self.dtype} {isa} {which}", promise(ROWS[self.name], which, isa)
            for error, at in ((worst.normal, worst.at), (worst.subnormal, worst.subnormal_at)):
                if error > allowed:
                    yield f"{where}: {error:.3f} ULP at x = {at!r}, promised {allowed:g}"
            if worst.bad:
                yield f"{where}: {worst.bad} results are NaN or zeros of the wrong sign, one at x = {worst.bad_at!r}"
            if worst.undecided:
                yield f"{where}: its formula cancels at {worst.undecided} inputs, one x = {worst.undecided_at!r}: rewrite it"
        if (differ := self.differ.get("avx2", (0, 0.0)))[0]:
            yield f"{self.label} {self.dtype}: avx2 differs from avx512 at {differ[0]} inputs, one x = {differ[1]!r}"


def settings(name: str) -> Iterator[tuple[dict[str, float], bool]]:
    """Return the defaults of a row's parameters (0.5 and 1 for required ones), then smaller and larger values."""
    parameters = parse_parameters(ROWS[name]["params"], ROWS[name]["check"])
    default = {k: 0.5 * i if v is REQUIRED else v for i, (k, v) in enumerate(parameters.defaults.items(), 1)}
    yield default, True
    for factor, instead_of_0 in ((0.3, -0.3), (2.5, 2.5)):
        values = {k: v * factor or instead_of_0 for k, v in default.items()}
        try:
            parameters.verify(name, values)
        except ValueError:
            continue
        if values:
            yield values, False


def build(directory: Path, names: Iterable[str]) -> Path:
    """Compile core, formulas and sweep, with libmvec's vector functions if the C library has them."""
    formulas = {name: Formula(ROWS[name]["formula"], tuple(parse_parameters(ROWS[name]["params"]).defaults)) for name in names}
    text = "".join(formula.c_source(name) for name, formula in formulas.items())
    (directory / "formulas.h").write_text(f"{text}#define ROWS(ROW) {' '.join(f'ROW({name})' for name in formulas)}\n")
    cc, program = os.environ.get("CC", "gcc"), directory / "sweep"
    try:
        core = subprocess.run(["sh", str(ROOT / "tests/c/core.sh"), str(directory), cc], capture_output=True, text=True)
    except FileNotFoundError as missing:
        raise CannotTell(str(missing)) from None
    if core.returncode:
        raise CannotTell(core.stderr.strip())
    objects = sorted(map(str, directory.glob("*.o")))
    sources = [f"-I{directory}", f"-I{ROOT / 'csrc'}", str(HERE / "sweep.c"), *objects]
    command = [*shlex.split(cc), *FLAGS, *sources, "-o", str(program), "-pthread"]
    for extra in (["-DULP_SIMD", "-lmvec"], []):
        done = subprocess.run([*command, *extra, "-lquadmath", "-lm"], capture_output=True, text=True)
        if done.returncode == 0:
            return program
    raise CannotTell(done.stderr.strip())


def sweep(program: Path, cases: list[Case], isas: list[str]) -> Iterator[Case]:
    """Run the cases, one part per processor at a time, and yield each case when it is finished."""

    def run(case: Case, part: int) -> str:
        return subprocess.run([str(program), *case.arguments(part, isas)], capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = [[pool.submit(run, case, part) for part in range(PARTS)] for case in cases]
        for case, futures in zip(cases, parts, strict=True):
            for future in futures:
                case.take(future.result())
            yield case


class Sum:
    """A sum with its largest term kept separately, so that log(1 + small) keeps the precision of the small term."""

    __array_ufunc__ = None  # let Sum define array / Sum

    def __init__(self, terms: Any) -> None:
        self.most = terms.max()
        self.rest = np.delete(terms, terms.argmax()).sum()

    def __rtruediv__(self, a: Any) -> Any:
        return a / (self.most + self.rest)

    def log(self) -> Any:
        return np.log(self.most) + np.log1p(self.rest / self.most)


def rows_error(name: str, dtype: type, rows: int, seed: int) -> tuple[float, str]:
    """Return the largest error of a row-wise function in ULP, and the row with that error, on the current instruction set."""
    rng, info, worst = np.random.default_rng(seed), np.finfo(dtype), (0.0, "")
    names = ("exp", "max", "min", "maximum", "cumsum", "sort", "arange", "argmax")
    space = {f: getattr(np, f) for f in names} | {"sum": Sum, "log": Sum.log}
    for i in range(rows):
        n = 10_000 if i % 16 == 0 else int(10 ** rng.uniform(0, 4))
        spread, offset = float(rng.choice([1e-3, 1, 4, 30, 100, 700])), float(rng.choice([0, 0, 1, -50, 1e3, -3e4]))
        grid = 2.0 ** (math.ceil(math.log2(spread * 8 + abs(offset))) - 61)  # differences of its multiples are exact in long double
        x = np.round((rng.normal(size=n) * spread + offset) / grid) * grid
        x = x.astype(dtype)
        expected = eval(ROWWISE[name]["formula"], space, {"x": x.astype(np.longdouble)})
        size = np.abs(expected)
        if "cumsum" in ROWWISE[name]["formula"]:  # sparsemax: near the root of the difference, the unit is that of the larger term
            size = np.maximum(size, np.abs(x - x.max()))
        exponent = np.maximum(np.frexp(size)[1] - 1, info.minexp)
        errors = np.abs(getattr(pynn, name)(x) - expected) / np.ldexp(np.longdouble(1), exponent - info.nmant)
        error = float(np.max(errors)) if not np.isnan(errors).any() else math.inf
        if error > worst[0]:
            worst = error, f"length {n}, spread {spread:g}, offset {offset:g}"
    return worst


def sweep_rows(names: list[str], dtypes: list[str], isas: list[str], rows: int) -> Iterator[tuple[str, str, str, float, str]]:
    before = _core.isa()
    try:
        for name in names:
            for dtype in dtypes:
                for isa in isas:
                    _core.set_isa(isa)
                    yield name, dtype, isa, *rows_error(name, np.float32 if dtype == "f32" else np.float64, rows, 7)
    finally:
        _core.set_isa(before)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def number(x: float) -> str:
    return f"{x:.9g}"


def case_lines(case: Case, isas: list[str]) -> Iterator[str]:
    """Return the table lines of a case: one per instruction set, merged for those with identical bits."""
    groups: list[list[str]] = []
    for isa in isas:
        same = bool(groups) and case.differ.get(isa, (1, 0))[0] == 0
        groups = [*groups[:-1], [*groups[-1], isa]] if same else [*groups, [isa]]
    every = f"{case.inputs:,} samples" if case.dtype == "f64" else "all" if case.count == 1 else f"every {case.count}th"
    for group in groups:
        value, derivative = (case.found[group[0], which] for which in ("value", "derivative"))
        allowed = [promise(ROWS[case.name], which, group[0]) for which in ("value", "derivative")]
        cells = [f"`{case.label}`", case.dtype, ", ".join(group)]
        cells += [f"{worst.normal:.2f} @ {number(worst.at)}" if worst.normal else "0" for worst in (value, derivative)]
        cells += [f"{value.subnormal:.2f}, {derivative.subnormal:.2f}", ", ".join(f"{a:g}" for a in allowed), every]
        yield f"| {' | '.join(cells)} |"


def page(cases: list[Case], rows: list[tuple[str, str, str, float, str]], isas: list[str]) -> str:
    made = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} processors, {' '.join(platform.libc_ver())}"
    same = not any(case.differ.get("avx2", (0, 0.0))[0] for case in cases)
    lines = [
        "# Measured errors",
        "",
        f"Made by `python tests/ulp --write`: {made}.",
        "",
        "The largest error of every function, in units in the last place (ULP) of the type at the exact value, and the argument x",
        "where it occurs. Near roots at which terms of a derivative cancel, the unit is that of the largest term.",
        "*Subnormal* gives the largest errors of subnormal results, of value and derivative; the same bound applies to them.",
        "*Promise* gives the bounds for value and derivative from [the table](activations.md).",
        *["Instruction sets listed in the same row gave identical bits for every input."] * same,
        "",
        "| function | type | instruction set | value: ULP @ x | derivative: ULP @ x | subnormal | promise | checked |",
        "|---|---|---|---|---|---|---|---|",
        *(line for case in cases for line in case_lines(case, isas)),
        "",
        "## Row-wise functions",
        "",
        "Random rows with lengths from 1 to 10,000, spreads up to 700 and offsets up to 30,000, compared with sums in long double.",
        "",
        "| function | type | instruction set | ULP | in a row of | promise |",
        "|---|---|---|---|---|---|",
        *(f"| `{name}` | {dtype} | {isa} | {error:.2f} | {where} | {ROWWISE[name]['ulp']:g} |" for name, dtype, isa, error, where in rows),
    ]
    return "\n".join(lines) + "\n"


class Kept:
    """A JSON file of finished cases of the current kernels, so that a sweep can be continued."""

    def __init__(self, path: Path | None, isas: list[str]) -> None:
        texts = (ROOT / "csrc/core/kernels" / f"{name}.h" for name in ("vector", "vmath", "normal", "activations", "loops"))
        self.kernels = hashlib.sha256(b"".join(text.read_bytes() for text in texts)).hexdigest()
        self.path, self.isas = path, isas
        self.cases: dict[str, Any] = {}
        if path and path.exists():
            kept = json.loads(path.read_text())
            self.cases = kept["cases"] if kept["kernels"] == self.kernels else {}

    def find(self, case: Case) -> Case | None:
        """Return the stored case if it was measured at least as densely on these instruction sets."""
        old = self.cases.get(f"{case.label} {case.dtype}")
        if old is None or old["isas"] != self.isas:
            return None
        if old["count"] < case.count if case.dtype == "f64" else old["count"] > case.count:
            return None
        found = {(isa, which): Worst(**worst) for isa, which, worst in old["found"]}
        differ = {isa: (count, at) for isa, count, at in old["differ"]}
        return replace(case, count=old["count"], inputs=old["inputs"], found=found, differ=differ)

    def add(self, case: Case) -> None:
        """Store a finished case."""
        self.cases[f"{case.label} {case.dtype}"] = {
            "isas": self.isas,
            "count": case.count,
            "inputs": case.inputs,
            "found": [[*key, vars(worst)] for key, worst in case.found.items()],
            "differ": [[isa, *value] for isa, value in case.differ.items()],
        }
        if self.path:
            self.path.write_text(json.dumps({"kernels": self.kernels, "cases": self.cases}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/ulp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="f32 or f64 (both), and names of functions (all)")
    parser.add_argument("--stride", type=int, default=1, help="check every N-th of the 2^32 floats (1)")
    parser.add_argument("--samples", type=int, default=10**8, help="random doubles per function (10^8)")
    parser.add_argument("--rows", type=int, default=400, help="random rows per row-wise function (400)")
    parser.add_argument("--isa", nargs="+", metavar="NAME", help="instruction sets (all that this machine runs)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="reuse finished cases from this file, and add new ones")
    parser.add_argument("--write", action="store_true", help="write docs/ulp.md")
    given = parser.parse_intermixed_args()
    given.dtypes = [d for d in ("f32", "f64") if d in given.what] or ["f32", "f64"]
    names = [name for name in given.what if name not in ("f32", "f64")]
    if unknown := [name for name in names if name not in {**ROWS, **ROWWISE}]:
        parser.error(f"unknown function {', '.join(unknown)}; known: {', '.join({**ROWS, **ROWWISE})}")
    if given.write and given.what:
        parser.error("--write measures everything: remove the types and functions")
    given.names = names or [*ROWS, *ROWWISE]
    given.isas = given.isa or [name for name, runs in _core.isas().items() if runs]
    return given


def main() -> int:
    given, start = arguments(), time.monotonic()
    names = [name for name in given.names if name in ROWS]
    cases = [
        Case(name, values, dtype, default, count if default else other)
        for name in names
        for values, default in settings(name)
        for dtype, count, other in (
            ("f32", given.stride, max(given.stride, OTHER_STRIDE)),
            ("f64", given.samples, -(-given.samples // OTHER_STRIDE)),
        )
        if dtype in given.dtypes
    ]
    faults: list[str] = []
    done: list[Case] = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            program = build(Path(directory), names)
        except CannotTell as reason:
            print(f"cannot check here: {reason}", file=sys.stderr)
            return 2
        kept = Kept(given.keep, given.isas)
        known = [(case, kept.find(case)) for case in cases]
        fresh = sweep(program, [case for case, old in known if old is None], given.isas)
        for case in (old or next(fresh) for _, old in known):
            kept.add(case)
            print(*case_lines(case, given.isas), sep="\n", flush=True)
            done.append(case)
            faults += case.faults()
    rows: list[tuple[str, str, str, float, str]] = []
    for row in sweep_rows([name for name in given.names if name in ROWWISE], given.dtypes, given.isas, given.rows):
        print(*row, flush=True)
        rows.append(row)
        name, dtype, isa, error, where = row
        if error > ROWWISE[name]["ulp"]:
            faults.append(f"{name} {dtype} {isa}: {error:.3f} ULP in a row of {where}, promised {ROWWISE[name]['ulp']:g}")
    if given.write:
        PAGE.write_text(page(done, rows, given.isas), encoding="utf-8")
    print(*faults, f"{len(done)} cases, {len(faults)} broken promises, {time.monotonic() - start:.0f} s", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
