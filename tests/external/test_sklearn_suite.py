"""scikit-learn's own tests of its multi-layer perceptrons, run on the estimators of `pynn.sklearn`."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest
from sklearn.neural_network.tests import test_mlp as suite

from pynn.sklearn import MLPClassifier, MLPRegressor

SWAPPED = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
PRIVATE = {
    "test_gradient": "calls the private method _loss_grad_lbfgs; tests/test_sklearn.py compares the losses of all epochs instead",
}
"""Tests that are left out because they use private attributes, with the reason."""
_PEERS = {getattr(suite, name): mine for name, mine in SWAPPED.items()}


def swapped(value: Any) -> Any:
    """Return a value of a parametrisation with scikit-learn's classes replaced."""
    return _PEERS.get(value, value) if inspect.isclass(value) else value


def adopted(test: Any) -> Any:
    """Return a test whose parametrisations use the estimators of this library."""
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
            values = [[*map(swapped, row)] if isinstance(row, (list, tuple)) else swapped(row) for row in mark.args[1]]
            mark.args[1][:] = values
    return test


@pytest.fixture(autouse=True)
def _swap(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, mine in SWAPPED.items():
        monkeypatch.setattr(suite, name, mine)


@pytest.fixture
def global_random_seed() -> int:
    return 42


pytestmark = pytest.mark.filterwarnings("ignore", "default::pytest.PytestCollectionWarning")

for _name, _test in vars(suite).items():
    if _name.startswith("test_") and callable(_test) and _name not in PRIVATE:
        globals()[_name] = adopted(_test)


def test_nothing_is_left_out_by_mistake() -> None:
    """Each excluded test exists, and uses a private attribute of scikit-learn's classes."""
    for name in PRIVATE:
        assert "._" in inspect.getsource(getattr(suite, name)), name
    optimizers = importlib.import_module("sklearn.neural_network.tests.test_stochastic_optimizers")
    tests = [test for name, test in vars(optimizers).items() if name.startswith("test_")]
    # these construct the private classes SGDOptimizer and AdamOptimizer, whose steps tests/test_sklearn.py compares through training
    assert tests
    assert all("Optimizer(" in inspect.getsource(test) for test in tests)
