"""PyTorch as the oracle: equal initial values give equal losses, weights and gradients; layers and states correspond.

    pip install -r tests/external/requirements.txt && pytest tests/external
"""

from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core
from pynn._tables import REQUIRED, parse_parameters

torch = pytest.importorskip("torch")
ACTIVATIONS = {row["name"]: row for row in _core.ACTIVATIONS if hasattr(torch.nn, row["cls"] or "?")}
STEPS, BATCH, ROWS = 60, 20, 120
OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 0.01}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
]
each_optimizer = pytest.mark.parametrize(("name", "settings"), OPTIMIZERS)


def pair(hidden: str = "GELU") -> tuple[pynn.Sequential, Any]:
    """Return the same net in both libraries, initialized by PyTorch."""
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(6, 16), getattr(torch.nn, hidden)(), torch.nn.Linear(16, 12), torch.nn.Tanh(), torch.nn.Linear(12, 4)
    ).double()
    f64 = {"dtype": "float64"}
    ours = pynn.Sequential(
        pynn.Linear(6, 16, **f64), getattr(pynn, hidden)(), pynn.Linear(16, 12, **f64), "tanh", pynn.Linear(12, 4, **f64)
    )
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 6)), rng.integers(4, size=ROWS)


def batches() -> list[slice]:
    starts = range(0, ROWS, BATCH)
    return [slice(i, i + BATCH) for i in starts] * (STEPS // len(starts))


def their_curve(model: Any, name: str, settings: dict[str, Any]) -> list[float]:
    X, y = map(torch.tensor, data())
    opt, curve = getattr(torch.optim, name)(model.parameters(), **settings), []
    for rows in batches():
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(X[rows]), y[rows])
        loss.backward()
        opt.step()
        curve.append(loss.item())
    return curve


def assert_same(ours: pynn.Sequential, theirs: Any) -> None:
    for name, p in theirs.named_parameters():
        np.testing.assert_allclose(ours.params[name], p.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(ours.grads[name], p.grad.numpy(), rtol=1e-8, atol=1e-12, err_msg=name)


@each_optimizer
def test_fit_matches_pytorch(name: str, settings: dict[str, Any], isa: str) -> None:
    ours, theirs = pair()
    curve = np.reshape(their_curve(theirs, name, settings), (-1, ROWS // BATCH)).mean(1)
    hist = ours.fit(
        *data(), loss="cross_entropy", optimizer=getattr(pynn.optim, name)(**settings), epochs=len(curve), batch_size=BATCH, shuffle=False
    )
    np.testing.assert_allclose(hist.history["loss"], curve, rtol=1e-10)
    assert_same(ours, theirs)


@each_optimizer
@pytest.mark.parametrize("hidden", ["ReLU", "SiLU"])
def test_manual_training_loop_matches_pytorch(name: str, settings: dict[str, Any], hidden: str) -> None:
    ours, theirs = pair(hidden)
    expected, curve = their_curve(theirs, name, settings), []
    (X, y), loss, opt = data(), pynn.CrossEntropyLoss(), getattr(pynn.optim, name)(ours.parameters(), **settings)
    for rows in batches():
        opt.zero_grad()
        curve.append(float(loss(ours(X[rows]), y[rows])))
        ours.backward(loss.backward())
        opt.step()
    np.testing.assert_allclose(curve, expected, rtol=1e-10)
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, isa: str) -> None:
    """Compare values and gradients, including gradients at kinks."""
    row = ACTIVATIONS[name]
    defaults = parse_parameters(row["params"]).defaults
    given = {n: 0.5 * i for i, (n, v) in enumerate(defaults.items(), 1) if v is REQUIRED}
    ours, theirs = pynn.Layer.classes[row["cls"]](**given), getattr(torch.nn, row["cls"])(**given)
    x = np.concatenate([np.linspace(-8, 8, 641), np.random.default_rng(0).normal(size=200) * 4])
    t, gy = torch.tensor(x, requires_grad=True), np.random.default_rng(1).normal(size=x.size)
    y = theirs(t)
    y.backward(torch.tensor(gy))
    np.testing.assert_allclose(ours(x), y.detach().numpy(), rtol=1e-10, atol=1e-15)
    near = 5e-8 if name == "hardsigmoid" else 1e-9  # PyTorch stores hardsigmoid's slope, 1/6, in float32
    np.testing.assert_allclose(ours.backward(gy), t.grad.numpy(), rtol=near, atol=1e-14)
    for parameter, default in defaults.items():
        assert default is REQUIRED or getattr(theirs, parameter, default) == default


def test_gelu_tanh() -> None:
    x = np.linspace(-8, 8, 641)
    np.testing.assert_allclose(pynn.GELU(approximate="tanh")(x), torch.nn.GELU("tanh")(torch.tensor(x)).numpy(), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", ["Softmax", "Softmin", "LogSoftmax"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_rowwise(name: str, dim: int) -> None:
    rng = np.random.default_rng(0)
    x, gy = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 4, 5))
    t, ours = torch.tensor(x, requires_grad=True), pynn.Layer.classes[name](dim=dim)
    y = getattr(torch.nn, name)(dim)(t)
    y.backward(torch.tensor(gy))
    np.testing.assert_allclose(ours(x), y.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours.backward(gy), t.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (0, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape: tuple[int, ...], bias: bool) -> None:
    rng = np.random.default_rng(0)
    theirs, ours = torch.nn.Linear(5, 4, bias=bias).double(), pynn.Linear(5, 4, bias=bias, dtype="float64")
    ours.load_state_dict(theirs.state_dict())
    x, gy = rng.normal(size=shape), rng.normal(size=(*shape[:-1], 4))
    t = torch.tensor(x, requires_grad=True)
    y = theirs(t)
    y.backward(torch.tensor(gy))
    np.testing.assert_allclose(ours(x), y.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours.backward(gy), t.grad.numpy(), rtol=1e-12)
    for name, p in theirs.named_parameters():
        np.testing.assert_allclose(ours.grads[name], p.grad.numpy(), rtol=1e-12)


def test_state_round_trip() -> None:
    ours, theirs = pair()
    X, y = data()
    ours.fit(X, y, loss="cross_entropy", epochs=2, seed=0)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()}, strict=True)
    np.testing.assert_allclose(theirs(torch.tensor(X)).detach().numpy(), ours.predict(X), rtol=1e-11, atol=1e-13)
    assert list(ours.state_dict()) == list(theirs.state_dict())
