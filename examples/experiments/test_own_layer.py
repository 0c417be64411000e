"""A layer written in NumPy: its gradients are right, a net with it learns, and it beats the net without it.

    pytest examples/experiments/test_own_layer.py
"""

import numpy as np
import pytest

import pynn
from pynn.testing import assert_beats, assert_gradients, assert_learns, check_layer


class Swish(pynn.Layer):
    """x * sigmoid(beta * x) with a learned beta for each feature."""

    def __init__(self, features, dtype="float32"):
        super().__init__()
        self.beta = pynn.Parameter(np.ones(features, dtype))

    def forward(self, x):
        self.x, self.gate = x, pynn.sigmoid(self.beta.data * x)
        return x * self.gate

    def backward(self, gy):
        slope = self.gate * (1 - self.gate)
        self.beta.grad += (gy * self.x**2 * slope).sum(axis=0)
        return gy * (self.gate + self.x * self.beta.data * slope)


def waves(seed):
    """Return points on a line and a wave, the rows for training first."""
    x = np.random.default_rng(seed).uniform(-1, 1, (400, 1)).astype(np.float32)
    return x, np.sin(5 * x)


def net(*activation):
    return pynn.Sequential(pynn.Linear(1, 24), *activation, pynn.Linear(24, 1))


def test_gradients():
    assert_gradients(Swish(5, "float64"))
    check_layer(Swish(5, "float64"), 5)


def test_a_net_with_the_layer_learns(seed):
    assert_learns(net(Swish(24)), *waves(seed), score=0.95, optimizer=pynn.optim.Adam(lr=0.02), epochs=60)


@pytest.fixture
def scores(experiment):
    """Return the R2 of both nets on unseen points for eight seeds."""
    found = {"swish": [], "linear": []}
    for seed in range(8):
        x, y = waves(seed)
        pynn.manual_seed(seed)
        for label, model in {"swish": net(Swish(24)), "linear": net()}.items():
            model.fit(x[:300], y[:300], loss="mse", optimizer=pynn.optim.Adam(lr=0.02), epochs=40, seed=seed)
            found[label].append(pynn.metrics.r2(y[300:], model.predict(x[300:])))
            experiment.seed = seed
            experiment.record(label, r2=found[label][-1])
    return found


def test_the_layer_beats_no_activation(scores):
    assert_beats(scores["swish"], scores["linear"])
