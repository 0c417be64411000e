"""Has a change made the net worse? The results of a good version are stored in baselines/test_regression.json.

    pytest examples/experiments/test_regression.py
    pytest examples/experiments/test_regression.py --force-regen    # after an intended change
"""

import numpy as np
import pytest

import pynn

X, y = pynn.datasets.load_digits()
X = (X / 16).astype(np.float32)


def fitted(seed, epochs):
    net = pynn.Sequential(pynn.Linear(64, 32), "gelu", pynn.Linear(32, 10))
    net.fit(X[:1200], y[:1200], loss="cross_entropy", optimizer=pynn.optim.Adam(lr=3e-3), epochs=epochs, seed=seed)
    return net


@pytest.mark.seeds(6)
def test_accuracy_has_not_dropped(seed, baseline, experiment):
    accuracy = fitted(seed, epochs=8).evaluate(X[1200:], y[1200:])["accuracy"]
    experiment.record(accuracy=accuracy)
    baseline.check(accuracy, "accuracy", worse_by=0.01)


def test_first_losses_are_the_same(seed, baseline):
    baseline.check(fitted(seed, epochs=3).history.history["loss"], "loss", rtol=1e-3)
