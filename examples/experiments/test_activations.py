"""Which activation suits the digits? Each one is trained with ten seeds, and the table at the end names those that may be best.

    pytest -n auto examples/experiments/test_activations.py
"""

import numpy as np
import pytest

import pynn
from pynn.testing import assert_healthy

X, y = pynn.datasets.load_digits()
X = (X / 16).astype(np.float32)


@pytest.mark.seeds(10)
@pytest.mark.experiment(test_fraction=0.25)
@pytest.mark.parametrize("activation", ["relu", "gelu", "sigmoid"])
def test_digits(activation, seed, experiment):
    train, test = np.split(np.random.default_rng(seed).permutation(len(y)), [len(y) * 3 // 4])
    net = pynn.Sequential(pynn.Linear(64, 32), activation, pynn.Linear(32, 10))
    history = net.fit(X[train], y[train], loss="cross_entropy", optimizer=pynn.optim.Adam(lr=3e-3), epochs=8, seed=seed)
    accuracy = net.evaluate(X[test], y[test])["accuracy"]
    experiment.record(accuracy=accuracy, seconds=sum(history.history["seconds"]))
    assert_healthy(net)
    assert accuracy > 0.85
