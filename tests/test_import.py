"""Importing the package: the modules it loads, its public names and import errors."""

import importlib
import pkgutil
import shutil
from pathlib import Path

import pytest
from process import run_python

import pynn
from pynn import _core


def loaded_by(code: str) -> set[str]:
    """Return the modules that ``code`` loads after NumPy."""
    out = run_python(f"import sys, numpy; before = set(sys.modules); {code}; print(*sorted(set(sys.modules) - before))")
    return set(out.stdout.splitlines()[-1].split())


def test_importing_loads_only_the_core() -> None:
    assert loaded_by("import pynn") <= {"__future__", "pynn", "pynn._conflict", "pynn._core", "pynn._threadpoolctl"}


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
    done = run_python("from pynn import *; print(Sequential(Linear(2, 1), 'relu'), callbacks.EarlyStopping, relu(1.0))")
    assert "(0): Linear(" in done.stdout


def test_help_of_the_package_is_short() -> None:
    lines = run_python("import pynn; help(pynn)").stdout.splitlines()
    assert 20 < len(lines) < 100
    assert any("Sequential" in line for line in lines)


@pytest.mark.parametrize(("neighbour", "says"), [("standardmodels", "neuron simulator PyNN"), (None, "no compiled core")])
def test_missing_core_is_explained(tmp_path: Path, neighbour: str | None, says: str) -> None:
    """The compiled core is missing in a source tree, or if PyNN has been installed over this package."""
    shutil.copytree(Path(pynn.__file__).parent, tmp_path / "pynn", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    if neighbour:
        (tmp_path / "pynn" / neighbour).mkdir()
    no_editable = "sys.meta_path[:] = [f for f in sys.meta_path if 'Editable' not in getattr(f, '__name__', '')]"
    done = run_python(f"import sys; {no_editable}; sys.path.insert(0, {str(tmp_path)!r}); import pynn")
    assert done.returncode == 1
    assert "ImportError" in done.stderr
    assert says in done.stderr


@pytest.mark.parametrize("isa", [name for name, runs in _core.isas().items() if runs])
def test_the_environment_selects_the_instruction_set(isa: str) -> None:
    done = run_python("import pynn; pynn.show_config()", PYNN_ISA=isa)
    assert f"instruction set: {isa}\n" in done.stdout


def test_an_unknown_instruction_set_raises_import_error() -> None:
    done = run_python("import pynn", PYNN_ISA="mmx")
    assert done.returncode == 1
    assert "ImportError" in done.stderr
    assert "PYNN_ISA=mmx" in done.stderr
    assert next(iter(_core.isas())) in done.stderr
