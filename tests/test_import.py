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


def test_import_needs_numpy_only() -> None:
    code = "import sys, numpy; before = set(sys.modules); import pynn; print({m.split('.')[0] for m in set(sys.modules) - before})"
    loaded = run(code).stdout
    assert "pynn" in loaded
    for other in ("scipy", "matplotlib", "tqdm", "pandas", "sklearn", "torch"):
        assert f"'{other}'" not in loaded


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
