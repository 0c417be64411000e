"""Nets with normalization layers train as in PyTorch, and embedding bags match PyTorch's."""

from typing import Any

import numpy as np
import pytest

import pynn

torch = pytest.importorskip("torch")
F64: dict[str, Any] = {"dtype": "float64"}

NETS: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "BatchNorm1d": (lambda: pynn.BatchNorm1d(16, **F64), lambda: torch.nn.BatchNorm1d(16), (10,)),
    "cumulative": (lambda: pynn.BatchNorm1d(16, momentum=None, **F64), lambda: torch.nn.BatchNorm1d(16, momentum=None), (10,)),
    "LayerNorm": (lambda: pynn.LayerNorm(16, **F64), lambda: torch.nn.LayerNorm(16), (10,)),
    "RMSNorm": (lambda: pynn.RMSNorm(16, **F64), lambda: torch.nn.RMSNorm(16), (10,)),
    "GroupNorm": (lambda: pynn.GroupNorm(4, 16, **F64), lambda: torch.nn.GroupNorm(4, 16), (10,)),
}


@pytest.mark.parametrize("name", NETS)
def test_training_matches_pytorch(name: str) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 10)), rng.integers(4, size=600)
    norm, their_norm, _ = NETS[name]
    ours = pynn.Sequential(pynn.Linear(10, 16, seed=0, **F64), norm(), "relu", pynn.Linear(16, 4, seed=1, **F64))
    theirs = torch.nn.Sequential(torch.nn.Linear(10, 16), their_norm(), torch.nn.ReLU(), torch.nn.Linear(16, 4)).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    opt, curve = torch.optim.Adam(theirs.parameters(), lr=0.01), []
    for i in range(60):
        rows = slice(i % 20 * 30, i % 20 * 30 + 30)
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(X[rows])), torch.tensor(y[rows]))
        loss.backward()
        opt.step()
        curve.append(loss.item())
    found = []
    optimizer = pynn.optim.Adam(ours.parameters(), lr=0.01)
    for i in range(60):
        rows = slice(i % 20 * 30, i % 20 * 30 + 30)
        hist = ours.fit(X[rows], y[rows], loss="cross_entropy", optimizer=optimizer, batch_size=30, shuffle=False)
        found += hist.history["loss"]
    np.testing.assert_allclose(found, curve, rtol=1e-9)
    for key, state in theirs.state_dict().items():
        # The gradient of a bias before batch normalization is rounding noise, which Adam normalizes: 60 steps of 0.01 bound the change.
        noise = 1e-9 if key == "0.bias" and "BatchNorm" in type(norm()).__name__ else 1e-10
        np.testing.assert_allclose(ours.state_dict()[key], state.numpy(), rtol=1e-7, atol=noise, err_msg=key)
    np.testing.assert_allclose(ours.predict(X), theirs.eval()(torch.tensor(X)).detach().numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("settings", [{}, {"padding_idx": 2}, {"max_norm": 1.0}, {"include_last_offset": True}])
@pytest.mark.parametrize("flat", [True, False])
def test_embedding_bag(mode: str, settings: dict[str, Any], flat: bool) -> None:
    ours, theirs = pynn.EmbeddingBag(9, 5, mode=mode, **settings, **F64), torch.nn.EmbeddingBag(9, 5, mode=mode, **settings).double()
    ours.load_state_dict(theirs.state_dict())
    rng = np.random.default_rng(0)
    x = rng.integers(9, size=12)
    given = (x, np.array([0, 3, 3, 12])) if flat else (x.reshape(3, 4),)
    expected = theirs(*map(torch.tensor, given))
    gy = rng.normal(size=expected.shape)
    expected.backward(torch.tensor(gy))
    np.testing.assert_allclose(ours(*given), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    ours.backward(gy)
    np.testing.assert_allclose(ours.grads["weight"], theirs.weight.grad.numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ours.weight, theirs.weight.detach().numpy(), rtol=1e-10)
