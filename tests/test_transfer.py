"""Transfer learning: frozen layers and a new output layer."""

from pathlib import Path

import numpy as np

import pynn


def test_only_the_new_output_layer_of_a_frozen_model_is_trained(tmp_path: Path) -> None:
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
