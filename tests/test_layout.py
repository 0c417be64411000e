"""The architecture of the C sources and of the Python modules: layers, cycles, lengths.

Dependencies are computed from definitions and uses, not only from includes: kernel headers are included one after another
by kernels.c, so a wrong use compiles without any include.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from os.path import normpath
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
SOURCES = sorted([*CSRC.rglob("*.c"), *CSRC.rglob("*.h")])
C_CODE = sorted(
    [
        *SOURCES,
        *(ROOT / "tests" / "c").glob("*.[ch]"),
        *(ROOT / "examples").glob("*.c"),
        *(ROOT / "benchmarks" / "native").glob("*.[ch]"),
    ]
)
MAX_LINES, MAX_FUNCTION_LINES = 600, 60
# pynn.h must stand alone, and the tables and their functions are read in one place.
LONGER_FILES = {
    "pynn.h": 900,
    "core/kernels/activations.h": 650,
    "core/kernels/losses.h": 650,
    "core/kernels/optimizers.h": 650,
    "core/layers/norm.c": 650,
}
MAX_COLUMNS, MAX_TABLE_COLUMNS = 100, 110

# Each floor uses only floors before it. graph may also use layers/layers.h, the registry of layer kinds.
FLOORS = ("base", "kernels", "graph", "layers", "training")
REGISTRY = "core/layers/layers.h"
# The kernels floor: a file uses only files of earlier entries, and the header of its own name.
KERNELS = (
    *("kernel_types.h", "vector.h", "vmath.h lanes.h", "normal.h row_blocks.h", "elementary.h", "activations.h optimizers.h rowwise.h"),
    *("formula_ops.h loss_rows.h optimizer_loops.h", "losses.h"),
    "loops.h formula_loops.h resample.h tile.h pooling.h norm.h noise.h probe.h response.h",
    *("gemv.h norm_columns.h", "gemm.h conv.h", "tensor_rules.h", "kernels.c", "isa.h isa.c", "tables.h tables.c shuffle.c"),
    *("formula.h formula.c", "tape.h tape.c", "tape_run.c"),
)

pytestmark = pytest.mark.skipif(not SOURCES, reason="the C sources are not here")


def name(path: Path) -> str:
    return path.relative_to(CSRC).as_posix()


@cache
def code(path: Path) -> str:
    """Return a file without comments and strings."""
    kept = r"^[ \t]*#[ \t]*include[^\n]*|"
    dropped = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
    return re.sub(kept + dropped, lambda m: m[0] if "include" in m[0][:20] else " ", path.read_text(), flags=re.S | re.M)


def includes(path: Path) -> list[str]:
    """Return what a file includes: system headers unchanged, our own relative to csrc/."""
    found = []
    for bracket, text in re.findall(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', path.read_text(), re.M):
        ours = (path.parent / text).resolve()
        found.append(name(ours) if bracket == '"' and ours.is_relative_to(CSRC) else text)
    return found


def rank(path: str) -> tuple[int, int] | None:
    """Return the floor of a file of core/ and its level there, or None if it has none."""
    match path.split("/"):
        case ["core", floor, file] if floor in FLOORS:
            if floor != "kernels":
                return FLOORS.index(floor), 0
            levels = [i for i, entry in enumerate(KERNELS) if file in entry.split()]
            return (FLOORS.index(floor), levels[0]) if levels else None
    return None


KERNEL = re.compile(r"\bCAT\((\w+), SFX\)")
"""A name of one element type. It is written ``CAT(name, SFX)`` wherever it is used, so it cannot be confused with others."""


def plain(text: str) -> str:
    """Return C code without preprocessor lines."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)


def exported(path: str, text: str) -> set[str]:
    """Return the identifiers that a file defines for others.

    For a ``.c`` file these are its functions and objects with external linkage, for a header also its macros, types, constants
    and static functions. Names of one element type are returned as ``CAT(name)``.
    """
    statements = plain(text)
    functions = r"^(?!typedef|return|else%s)[A-Za-z][\w \t*]*?[ *](?:CAT\((\w+), SFX\)|(\w+))\([^;{]*\)\s*\{"
    if path.endswith(".c"):
        found = re.findall(functions % "|static", statements, re.M)
        found += re.findall(r"^(?!static|typedef|extern)const [\w \t*]*?[ *]()(\w+)(?:\[[^\]]*\])*\s*=", statements, re.M)
    else:
        found = re.findall(functions % "", statements, re.M)
        found += re.findall(r"^typedef\b[^;{]*?(?:CAT\((\w+), SFX\)|\b(\w+))(?:\([^;{]*\))?;", statements, re.M)
        found += re.findall(r"^typedef (?:struct|union|enum)[^{};]*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\} *()(\w+)", statements, re.M)
        found += re.findall(r"^(?:struct|union) ()(\w+) \{", statements, re.M)
        bodies = re.findall(r"^(?:typedef )?enum\s*\w*\s*\{([^}]*)\}", statements, re.M)
        found += [("", c) for body in bodies for c in re.findall(r"(\w+)\s*(?:=[^,]*)?(?:,|$)", body)]
        last = {macro: word for word, macro in re.findall(r"^\s*#\s*(define|undef)\s+(\w+)", text, re.M)}
        found += [("", macro) for macro, word in last.items() if word == "define"]
    # bodies that a macro defines: `#define ACT(f) static V CAT(f, SFX)(...)`, then `ACT(silu)`
    for macro, _, before, after in re.findall(r"#define (\w+)\((\w+)\)\s+static\b[^\n(]*?CAT\((\w*?)(?:##)?\2(?:##)?(\w*), SFX\)\(", text):
        found += [(before + body + after, "") for body in re.findall(rf"^{macro}\((\w+)\)", statements, re.M)]
    return {f"CAT({typed})" if typed else name for typed, name in found}


def used(text: str) -> set[str]:
    """Return the identifiers of C code that may be defined elsewhere: all but members of structures."""
    return {f"CAT({typed})" for typed in KERNEL.findall(text)} | set(re.findall(r"(?<!\.)(?<!->)\b[A-Za-z_]\w+", KERNEL.sub(" ", text)))


def dependencies(texts: Mapping[str, str]) -> dict[str, dict[str, set[str]]]:
    """Map each file to the files whose identifiers it uses, and these identifiers. Ambiguous identifiers count for nothing."""
    homes = defaultdict(set)
    for path, text in texts.items():
        for identifier in exported(path, text):
            homes[identifier].add(path)
    found: dict[str, dict[str, set[str]]] = {path: defaultdict(set) for path in texts}
    for path, text in texts.items():
        for other in re.findall(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', text, re.M):
            ours = normpath(f"{path.rsplit('/', 1)[0]}/{other}")
            if ours in texts:
                found[path][ours].add(f'"{other}"')
        for identifier in used(text):
            if len(homes[identifier]) == 1 and path not in homes[identifier]:
                found[path][min(homes[identifier])].add(identifier)
    return found


def upward(texts: Mapping[str, str]) -> list[str]:
    """Return the uses of something above, each as text."""
    found = []
    for path, others in dependencies(texts).items():
        for other, identifiers in others.items():
            mine, theirs = rank(path), rank(other)
            if mine is None or theirs is None or (other == REGISTRY and mine[0] == FLOORS.index("graph")):
                continue
            same_unit = path.rsplit(".", 1)[0] == other.rsplit(".", 1)[0]
            if theirs > mine or (theirs == mine and mine[0] == FLOORS.index("kernels") and not same_unit):
                found.append(f"{path} uses {', '.join(sorted(identifiers))} of {other}")
    return found


def cycles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one node (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while not component or component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))

    for node in edges:
        if node not in index:
            visit(node)
    return found


def texts_of(where: str) -> dict[str, str]:
    return {name(path): code(path) for path in SOURCES if name(path).startswith(where)}


def modules() -> dict[str, Path]:
    """Map the name of each Python module of the package to its file."""
    files = sorted((ROOT / "pynn").rglob("*.py"))
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in files}


def runtime_imports(module: str, path: Path, known: Iterable[str]) -> set[str]:
    """Return the modules of the package that a module imports when it runs, at load time or within a function."""
    found: set[str] = set()
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                submodule = f"{source}.{alias.name}"
                found.add(submodule if submodule in known or alias.name == "_core" else source)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return {other for other in found if other in known and other != module}


def python_imports() -> dict[str, set[str]]:
    known = modules()
    return {module: runtime_imports(module, path, known) for module, path in known.items()}


def units(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """Map each C unit, a .c file and its header, to the units that it uses."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, others in dependencies(texts).items():
        mine = path.rsplit(".", 1)[0]
        found[mine] |= {other.rsplit(".", 1)[0] for other in others} - {mine}
    return found


def each(where: str) -> pytest.MarkDecorator:
    chosen = [path for path in SOURCES if name(path).startswith(where)]
    return pytest.mark.parametrize("path", chosen, ids=name)


# ---- what a file may include -----------------------------------------------------------------------------------------


@each("core/")
def test_core_never_includes_python(path: Path) -> None:
    assert not [text for text in includes(path) if re.match(r"Python\.h|numpy/|python/", text)]


@each("core/")
def test_core_never_prints_exits_or_aborts(path: Path) -> None:
    assert not re.findall(r"\b(?:printf|puts|putchar|perror|exit|_Exit|abort)\s*\(", code(path))


@each("python/")
def test_the_binding_includes_only_the_public_header(path: Path) -> None:
    ours = {text for text in includes(path) if (CSRC / text).exists()}
    assert ours <= {"pynn.h"} | {name(header) for header in (CSRC / "python").glob("*.h")}


def test_the_public_header_stands_alone() -> None:
    assert not [text for text in includes(CSRC / "pynn.h") if (CSRC / text).exists()]


@each("core/")
def test_sources_are_never_included(path: Path) -> None:
    assert not [text for text in includes(path) if text.endswith(".c")]


# ---- floors ----------------------------------------------------------------------------------------------------------


def test_every_core_file_has_a_place_in_the_order() -> None:
    assert not [path for path in texts_of("core/") if rank(path) is None]


def test_core_uses_only_what_is_below() -> None:
    assert not upward(texts_of("core/"))


def with_text(path: str, addition: str) -> dict[str, str]:
    """Return the texts of core/ with an addition to one of them."""
    texts = texts_of("core/")
    return {**texts, path: f"{texts[path]}\n{addition}\n"}


@pytest.mark.parametrize(
    ("path", "addition", "reported"),
    [
        ("core/layers/pad.c", "static void drop(pn_fit *f) { pn_fit_free(f); }", "pn_fit_free of core/training/fit.c"),
        ("core/graph/run.c", "static void drop(pn_fit *f) { pn_fit_free(f); }", "pn_fit_free of core/training/fit.c"),
        ("core/graph/run.c", "static void go(pn_step *s, void *const *at) { pn_conv_forward(s, at); }", "core/layers/convolve.c"),
        ("core/base/rng.c", "static const void *k(void) { return pn_kernels_now(); }", "core/kernels/isa.c"),
        (
            "core/kernels/vmath.h",
            "static V CAT(bad, SFX)(const pn_product *p) { CAT(gemm, SFX)(p, 0); return CAT(silu, SFX)(SPLAT(1), 0); }",
            "CAT(gemm) of core/kernels/gemm.h",
        ),
        ("core/kernels/vmath.h", "static V CAT(bad, SFX)(V x) { return CAT(silu, SFX)(x, 0); }", "CAT(silu) of core/kernels/activations.h"),
        ("core/kernels/probe.h", "static void CAT(bad, SFX)(const pn_product *p) { CAT(gemm, SFX)(p, 0); }", "core/kernels/gemm.h"),
        ("core/kernels/probe.h", "static size_t bad(void) { return MC; }", "MC of core/kernels/gemm.h"),
        ("core/kernels/probe.h", '#include "gemm.h"', '"gemm.h" of core/kernels/gemm.h'),
    ],
)
def test_a_use_of_something_above_is_reported(path: str, addition: str, reported: str) -> None:
    assert any(line.startswith(path) and reported in line for line in upward(with_text(path, addition)))


def test_a_call_against_the_direction_of_one_floor_is_a_cycle() -> None:
    texts = with_text("core/training/shadow_f64.c", "static void drop(pn_fit *f) { pn_fit_free(f); }")
    assert any("core/training/shadow_f64" in cycle for cycle in cycles(units(texts)))


def declared(text: str) -> set[str]:
    """Return the functions that a header declares without defining them."""
    return set(
        re.findall(
            r"^(?!typedef|static|extern|return)[A-Za-z][\w \t*]*?[ *](\w+)\([^;{}]*\)(?:\s*__attribute__\(\(.*?\)\))?;", plain(text), re.M
        )
    )


def foreign_declarations(texts: Mapping[str, str]) -> list[str]:
    """Return the declarations of functions that stand in the header of another file, each as text."""
    homes = {f: path for path, text in texts.items() if path.endswith(".c") for f in exported(path, text)}
    return [
        f"{path} declares {f} of {homes.get(f, 'nothing')}"
        for path, text in texts.items()
        if path.endswith(".h")
        for f in sorted(declared(text))
        if homes.get(f) != path.removesuffix(".h") + ".c"
    ]


@pytest.mark.parametrize("where", ["core/", "python/"])
def test_a_header_declares_what_its_own_file_defines(where: str) -> None:
    assert not foreign_declarations(texts_of(where))


def test_a_declaration_in_the_wrong_header_is_reported() -> None:
    texts = with_text("core/graph/graph.h", "pn_status pn_train_step(pn_plan *plan);")
    assert foreign_declarations(texts) == ["core/graph/graph.h declares pn_train_step of core/training/step.c"]


# ---- cycles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["core/", "python/"])
def test_no_c_files_depend_on_each_other(where: str) -> None:
    assert not cycles(units(texts_of(where)))


def test_no_python_modules_import_each_other() -> None:
    imports = python_imports()
    assert "pynn._training.prepare" in imports["pynn._training.fit"]
    assert not cycles(imports)


def test_cycles_are_found() -> None:
    assert cycles({"a": "b", "b": "c", "c": "a", "d": "a"}) == [["a", "b", "c"]]
    assert not cycles({"a": "bc", "b": "c", "c": ""})


# ---- lengths ---------------------------------------------------------------------------------------------------------


@each("")
def test_files_are_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGER_FILES.get(name(path), MAX_LINES)
    assert lines > MAX_LINES or name(path) not in LONGER_FILES, "remove the file from LONGER_FILES"


TABLE = re.compile(r"\s*#\s*define \w+\([^)]*\b(ROW|FIELD|CHOICE|S|V)\b")
"""The first line of a macro that lists the rows of a table."""


def long_lines(text: str) -> list[int]:
    """Return the numbers of the lines of C code that are too long. The rows of tables have a higher limit."""
    found, in_table = [], False
    for number, line in enumerate(text.splitlines(), 1):
        in_table = in_table or TABLE.match(line) is not None
        if len(line) > (MAX_TABLE_COLUMNS if in_table else MAX_COLUMNS):
            found.append(number)
        in_table = in_table and line.endswith("\\")
    return found


@pytest.mark.parametrize("path", C_CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_c_lines_are_short(path: Path) -> None:
    assert not long_lines(path.read_text())


def test_long_lines_are_found() -> None:
    table = "#define ROWS(ROW) \\\n" + "    ROW(a)".ljust(109) + "\\\n    ROW(b)\n"
    assert not long_lines(table)
    assert long_lines(table.replace("ROW(a)", "ROW(abc)")) == [2]
    assert long_lines(table + "x" * 100 + "\n" + "x" * 101) == [5]
    assert long_lines("#define F(x) \\\n" + "x".ljust(100) + "\\\n    y\n") == [2]


@pytest.mark.parametrize("path", C_CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_functions_are_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line == "{" or re.match(r"[a-z][^;=#]*\)\s*\{$", line)]
    long = {}
    for start in starts:
        end = next(i for i in range(start, len(lines)) if lines[i].startswith("}"))
        if end - start > MAX_FUNCTION_LINES:
            long[start + 1] = end - start
    assert not long


def test_the_rules_are_read_from_the_sources() -> None:
    binding = includes(CSRC / "python" / "binding.h")
    assert "Python.h" in binding
    assert "pynn.h" in binding
    texts = texts_of("core/")
    assert "pn_plan_new" in exported("core/graph/plan.c", texts["core/graph/plan.c"])
    assert {"CAT(silu)", "CAT(d_silu)", "PN_ACTIVATIONS"} <= exported("core/kernels/activations.h", texts["core/kernels/activations.h"])
    assert "pn_kernels" in exported("core/kernels/kernel_types.h", texts["core/kernels/kernel_types.h"])
    assert "pn_pad" not in used(".pn_pad = a->pn_pad")
    assert "core/kernels/vector.h" in dependencies(texts)["core/kernels/vmath.h"]
