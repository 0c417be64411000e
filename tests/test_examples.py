"""The examples run, and their nets learn."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs the examples")


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_transfer_learning_reaches_its_accuracy(tmp_path: Path) -> None:
    module = example("transfer_learning")
    assert module.pretrain(tmp_path / "m") > 0.97
    accuracy = module.fine_tune(tmp_path / "m", 100)
    assert accuracy["a new output layer"] > 0.75
    assert accuracy["all layers"] > 0.85


def test_digits_cnn_reaches_its_accuracy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    module = example("digits_cnn")
    assert module.main(epochs=12) > 0.94
    lines = capsys.readouterr().out.splitlines()
    assert any("unseen images: 0.9" in line for line in lines)
    assert module.confusions(module.np.array([1, 2, 2, 3]), module.np.array([1, 3, 3, 2])) == ["3 taken for 2: 2", "2 taken for 3: 1"]
