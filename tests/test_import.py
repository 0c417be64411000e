"""What importing does, needs and says when it can't."""

import os
import shutil
import subprocess
import sys
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


def test_importing_loads_the_core_and_nothing_else() -> None:
    assert loaded_by("import pynn") <= {"__future__", "pynn", "pynn._conflict", "pynn._core"}


def test_a_net_needs_numpy_only() -> None:
    loaded = loaded_by("import pynn; pynn.Sequential(pynn.Linear(2, 1, seed=0), 'relu').predict([[1.0, 2.0]])")
    assert "pynn.model" in loaded
    assert not {m.split(".")[0] for m in loaded} & {"scipy", "matplotlib", "tqdm", "pandas", "sklearn", "torch"}


def test_dir_lists_public_names_only() -> None:
    import pynn.optim.lr_scheduler

    public = [pynn, pynn.activations, pynn.grad, pynn.losses, pynn.optim, pynn.optim.lr_scheduler]
    for module in public:
        assert sorted(dir(module)) == sorted(module.__all__)


@pytest.mark.parametrize(("neighbour", "says"), [("standardmodels", "neuron simulator PyNN"), (None, "no compiled core")])
def test_missing_core_is_explained(tmp_path: Path, neighbour: str | None, says: str) -> None:
    """A directory without the compiled core: a source tree, or one that PyNN's files were installed over."""
    shutil.copytree(Path(pynn.__file__).parent, tmp_path / "pynn", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    if neighbour:
        (tmp_path / "pynn" / neighbour).mkdir()
    no_editable = "sys.meta_path[:] = [f for f in sys.meta_path if 'Editable' not in getattr(f, '__name__', '')]"
    done = run(f"import sys; {no_editable}; sys.path.insert(0, {str(tmp_path)!r}); import pynn")
    assert done.returncode == 1
    assert "ImportError" in done.stderr
    assert says in done.stderr


@pytest.mark.parametrize("isa", [name for name, runs in _core.isas().items() if runs])
def test_environment_chooses_the_instruction_set(isa: str) -> None:
    done = run("import pynn; pynn.show_config()", PYNN_ISA=isa)
    assert f"instruction set: {isa}\n" in done.stdout


def test_unknown_instruction_set_is_an_import_error() -> None:
    done = run("import pynn", PYNN_ISA="mmx")
    assert done.returncode == 1
    assert "ImportError" in done.stderr
    assert "PYNN_ISA=mmx" in done.stderr
    assert next(iter(_core.isas())) in done.stderr
