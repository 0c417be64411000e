"""Importing the package: the modules it loads, its public names, import cycles and import errors."""

import ast
import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import pynn
from pynn import _core


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment})


def loaded_by(code: str) -> set[str]:
    """Return the modules that ``code`` loads after NumPy."""
    out = run(f"import sys, numpy; before = set(sys.modules); {code}; print(*sorted(set(sys.modules) - before))")
    return set(out.stdout.splitlines()[-1].split())


def test_importing_loads_only_the_core() -> None:
    assert loaded_by("import pynn") <= {"__future__", "pynn", "pynn._conflict", "pynn._core"}


def test_a_net_needs_only_numpy() -> None:
    loaded = loaded_by("import pynn; pynn.Sequential(pynn.Linear(2, 1, seed=0), 'relu').predict([[1.0, 2.0]])")
    assert "pynn.model" in loaded
    assert not {m.split(".")[0] for m in loaded} & {"scipy", "matplotlib", "tqdm", "pandas", "sklearn", "torch"}


NET = "import pynn; net = pynn.Sequential(pynn.Linear(4, 2), 'relu')"
FIT = NET + "; net.fit(numpy.ones((8, 4)), numpy.zeros((8, 2)), loss='mse', epochs=1); net.predict(numpy.ones((1, 4)))"
SMALL = {"__future__", "copy", "dataclasses", "numpy.typing", "numpy._typing._add_docstring"}


@pytest.mark.parametrize("code", [NET, FIT], ids=["net", "fit"])
def test_a_first_net_and_fit_load_few_modules(code: str) -> None:
    loaded = loaded_by(code)
    assert {module for module in loaded if module.split(".")[0] != "pynn"} <= SMALL
    assert not loaded & {f"pynn.{name}" for name in ("callbacks", "compose", "datasets", "init", "io", "lab", "plot", "reference")}


PUBLIC = ["pynn", *(m.name for m in pkgutil.walk_packages(pynn.__path__, "pynn.") if "._" not in m.name)]


@pytest.mark.parametrize("name", PUBLIC)
def test_dir_lists_public_names_only(name: str) -> None:
    module = importlib.import_module(name)
    assert sorted(dir(module)) == sorted(module.__all__)
    assert not [one for one in module.__all__ if one.startswith("_") or not hasattr(module, one)]


def test_all_public_names_can_be_imported_at_once() -> None:
    done = run("from pynn import *; print(Sequential(Linear(2, 1), 'relu'), callbacks.EarlyStopping, relu(1.0))")
    assert "Sequential(Linear(" in done.stdout


def test_help_of_the_package_is_short() -> None:
    lines = run("import pynn; help(pynn)").stdout.splitlines()
    assert 20 < len(lines) < 100
    assert any("Sequential" in line for line in lines)


# ---- import cycles -----------------------------------------------------------------------------------------------------
SOURCE = Path(pynn.__file__).parent
FILES = {
    ".".join(("pynn", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}


def imported(name: str, path: Path) -> set[str]:
    """Return the modules of the package that a module imports at run time, including imports within functions."""
    package = (name if path.name == "__init__.py" else name.rpartition(".")[0]).split(".")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [node.body for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    for_types = {id(node) for block in blocks for part in block for node in ast.walk(part)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in for_types:
            base = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {full if (full := f"{source}.{alias.name}") in FILES else source for alias in node.names}
    return found & set(FILES) - {name, "pynn"}


def reached(start: str, imports: Mapping[str, set[str]]) -> set[str]:
    """Return all modules that a module imports, directly or indirectly."""
    found: set[str] = set()
    waiting = [*imports[start]]
    while waiting:
        if (module := waiting.pop()) not in found:
            found.add(module)
            waiting += imports[module]
    return found


def test_imports_have_no_cycles() -> None:
    imports = {name: imported(name, path) for name, path in FILES.items() if not name.endswith("__main__")}
    assert "pynn._training.prepare" in imports["pynn._training.fit"]
    assert [name for name in imports if name in reached(name, imports)] == []


@pytest.mark.parametrize(("neighbour", "says"), [("standardmodels", "neuron simulator PyNN"), (None, "no compiled core")])
def test_missing_core_is_explained(tmp_path: Path, neighbour: str | None, says: str) -> None:
    """The compiled core is missing in a source tree, or if PyNN has been installed over this package."""
    shutil.copytree(Path(pynn.__file__).parent, tmp_path / "pynn", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    if neighbour:
        (tmp_path / "pynn" / neighbour).mkdir()
    no_editable = "sys.meta_path[:] = [f for f in sys.meta_path if 'Editable' not in getattr(f, '__name__', '')]"
    done = run(f"import sys; {no_editable}; sys.path.insert(0, {str(tmp_path)!r}); import pynn")
    assert done.returncode == 1
    assert "ImportError" in done.stderr
    assert says in done.stderr


@pytest.mark.parametrize("isa", [name for name, runs in _core.isas().items() if runs])
def test_the_environment_selects_the_instruction_set(isa: str) -> None:
    done = run("import pynn; pynn.show_config()", PYNN_ISA=isa)
    assert f"instruction set: {isa}\n" in done.stdout


def test_an_unknown_instruction_set_raises_import_error() -> None:
    done = run("import pynn", PYNN_ISA="mmx")
    assert done.returncode == 1
    assert "ImportError" in done.stderr
    assert "PYNN_ISA=mmx" in done.stderr
    assert next(iter(_core.isas())) in done.stderr
