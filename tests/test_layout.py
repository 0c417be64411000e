"""The layout shows the architecture: who may include whom, and how long a file or a function may be."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
SOURCES = sorted([*CSRC.rglob("*.c"), *CSRC.rglob("*.h")])
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 660, 60
LINES_OF_THE_PUBLIC_HEADER = 800  # which must stand alone, and so holds the reference of every part

# From below to above. Of the kernels' headers, each may include those of its level and below; of the engine's sources, each
# may call functions of its level and below.
KERNELS = [
    *("vector.h", "vmath.h", "normal.h", "activations.h losses.h loss_rows.h optimizers.h rowwise.h"),
    *("loops.h optimizer_loops.h resample.h tile.h", "gemv.h", "gemm.h conv.h", "tensor_rules.h", "kernels.c"),
]
ENGINE = [
    *("port.c cpu.c pool.c gate.c arena.c rng.c tables.c schedules.c lbfgs.c lm.c", "graph.c", "plan.c loss.c"),
    *("layers/ run.c update.c", "data.c health.c origin.c", "solve.c", "fit.c predict.c file.c"),
]

pytestmark = pytest.mark.skipif(not SOURCES, reason="the C sources are not here")


def name(path: Path) -> str:
    return str(path.relative_to(CSRC))


def code(path: Path) -> str:
    """Return a file without its comments and strings."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', "", path.read_text(), flags=re.S)


def includes(path: Path) -> list[str]:
    """Return what a file includes: system headers as they stand, our own relative to csrc/."""
    found = []
    for bracket, text in re.findall(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', path.read_text(), re.M):
        ours = (path.parent / text).resolve()
        found.append(name(ours) if bracket == '"' and ours.is_relative_to(CSRC) else text)
    return found


def rank(order: list[str], path: str) -> int | None:
    """Return the level of a file of core/ in an order, or None if the order does not list it."""
    inside = path.removeprefix("core/")
    if not inside.startswith("layers/"):
        inside = inside.rsplit("/", 1)[-1]
    for height, level in enumerate(order):
        if any(inside == entry or (entry.endswith("/") and inside.startswith(entry)) for entry in level.split()):
            return height
    return None


def each(where: str) -> pytest.MarkDecorator:
    chosen = [path for path in SOURCES if name(path).startswith(where)]
    return pytest.mark.parametrize("path", chosen, ids=name)


@each("core/")
def test_core_never_sees_python(path: Path) -> None:
    foreign = [text for text in includes(path) if re.match(r"Python\.h|numpy/|python/", text)]
    assert not foreign


@each("core/")
def test_core_never_prints_exits_or_aborts(path: Path) -> None:
    assert not re.findall(r"\b(?:printf|puts|putchar|perror|exit|_Exit|abort)\s*\(", code(path))


@each("python/")
def test_the_binding_sees_only_the_public_header(path: Path) -> None:
    ours = {text for text in includes(path) if (CSRC / text).exists()}
    assert ours <= {"pynn.h"} | {name(header) for header in (CSRC / "python").glob("*.h")}


def test_the_public_header_stands_alone() -> None:
    assert not [text for text in includes(CSRC / "pynn.h") if (CSRC / text).exists()]


@each("core/")
def test_kernel_headers_include_only_what_stands_below_them(path: Path) -> None:
    height = rank(KERNELS, name(path))
    above = [text for text in includes(path) if height is not None and (rank(KERNELS, text) or 0) > height]
    assert not above


def defined() -> dict[str, str]:
    """Map each function that a source of core/ exports to its file."""
    return {
        function: name(path)
        for path in SOURCES
        if path.suffix == ".c" and name(path).startswith("core/")
        for function in re.findall(r"^(?!static)[a-z][\w ]*[ *](pn_\w+)\([^;{]*\)\s*\{", code(path), re.M)
    }


@each("core/")
def test_engine_sources_call_only_what_stands_below_them(path: Path) -> None:
    height, home = rank(ENGINE, name(path)), defined()
    used = set(re.findall(r"\bpn_\w+", code(path))) & set(home)
    above = [function for function in used if height is not None and (rank(ENGINE, home[function]) or 0) > height]
    assert not above


@each("core/")
def test_sources_are_included_by_nobody(path: Path) -> None:
    assert not [text for text in includes(path) if text.endswith(".c")]


@each("")
def test_files_are_short(path: Path) -> None:
    most = LINES_OF_THE_PUBLIC_HEADER if path == CSRC / "pynn.h" else MOST_LINES
    assert len(path.read_text().splitlines()) <= most


@each("")
def test_functions_are_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line == "{" or re.match(r"[a-z][^;=#]*\)\s*\{$", line)]
    long = {}
    for start in starts:
        end = next(i for i in range(start, len(lines)) if lines[i].startswith("}"))
        if end - start > MOST_LINES_OF_A_FUNCTION:
            long[start + 1] = end - start
    assert not long


def test_the_rules_are_read_from_real_includes() -> None:
    binding = includes(CSRC / "python" / "binding.h")
    assert "Python.h" in binding
    assert "pynn.h" in binding
    assert rank(KERNELS, "core/kernels/vmath.h") == 1
    assert rank(ENGINE, "core/layers/linear.c") == 3
    assert defined()["pn_plan_new"] == "core/graph/plan.c"
