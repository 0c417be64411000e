"""Transfer learning end to end: the example, and what a frozen body and a new head mean."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn

EXAMPLE = Path(__file__).parents[1] / "examples" / "transfer_learning.py"


@pytest.fixture
def example() -> Any:
    if not EXAMPLE.exists():
        pytest.skip("the examples are not here")
    spec = importlib.util.spec_from_file_location("transfer_learning", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_learns(example: Any, tmp_path: Path) -> None:
    assert example.pretrain(tmp_path / "m") > 0.97
    accuracy = example.fine_tune(tmp_path / "m", 100)
    assert accuracy["a new head"] > 0.75
    assert accuracy["all of it"] > 0.85


def test_a_frozen_body_stays_and_a_new_head_learns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)).astype("f4"), rng.integers(2, size=60)
    pynn.Sequential(pynn.Linear(4, 8, seed=0), "relu", pynn.Linear(8, 3, seed=1)).save(tmp_path / "m")
    model = pynn.load(tmp_path / "m").freeze()
    model[-1] = pynn.Linear(8, 2, seed=2)
    before = {name: a.tobytes() for name, a in model.state_dict().items()}
    model.fit(X, y, loss="cross_entropy", epochs=3, seed=0)
    changed = {name for name, a in model.state_dict().items() if a.tobytes() != before[name]}
    assert changed == {"2.weight", "2.bias"}
    model.save(tmp_path / "m")
    assert [p.requires_grad for p in pynn.load(tmp_path / "m").parameters()] == [False, False, True, True]
