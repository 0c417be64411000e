"""Normalized weights, vectors of parameters, fusion and constraints, against PyTorch, Keras and the nets themselves."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import constraints, utils

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), np.arange(12) % 2


def numeric(f: Any, a: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """Return the gradient of ``f()`` with respect to ``a`` by central differences; f reads a."""
    g = np.zeros_like(a)
    for i in np.ndindex(*a.shape):
        kept = a[i]
        a[i] = kept + h
        up = f()
        a[i] = kept - h
        g[i] = (up - f()) / (2 * h)
        a[i] = kept
    return g


LAYERS: dict[str, Any] = {
    "weight": lambda: utils.weight_norm(pynn.Linear(3, 4, dtype="float64", seed=0)),
    "weight, dim 1": lambda: utils.weight_norm(pynn.Linear(3, 4, dtype="float64", seed=0), dim=1),
    "weight, whole": lambda: utils.weight_norm(pynn.Linear(3, 4, bias=False, dtype="float64", seed=0), dim=None),
}


@pytest.mark.parametrize("name", LAYERS)
def test_weight_norm_has_the_right_gradients(name: str) -> None:
    layer, gy = LAYERS[name](), RNG.normal(size=(12, 4))
    layer.weight_g.data[...] *= 1.7
    y = layer(X)
    gx = layer.backward(gy)
    np.testing.assert_allclose(y, X @ layer.weight.T + (0 if layer.layer.bias is None else layer.layer.bias))
    grads = {name: g.copy() for name, g in layer.grads.items()}
    for name, p in layer.named_parameters():
        np.testing.assert_allclose(grads[name], numeric(lambda: float((layer(X) * gy).sum()), p.data), rtol=1e-6, atol=1e-7)
    x = X.copy()
    np.testing.assert_allclose(gx, numeric(lambda: float((layer(x) * gy).sum()), x), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("make", [utils.weight_norm, lambda layer: utils.spectral_norm(layer, seed=3)])
def test_normalized_layers_train_save_and_are_removed(make: Any, tmp_path: Path) -> None:
    net = pynn.Sequential(make(pynn.Linear(3, 4, seed=0)), "tanh", make(pynn.Linear(4, 2, seed=1)))
    before = net[0].weight
    loss = net.fit(X, Y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=0.05), epochs=30, seed=0).history["loss"]
    assert loss[-1] < loss[0]
    expected = net.predict(X)
    np.testing.assert_allclose(net.eval()(X), expected, rtol=1e-5, atol=1e-6)
    assert not (net[0].weight == before).all()
    net.save(tmp_path / "net.safetensors")
    for other in (pynn.load(tmp_path / "net.safetensors"), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other.predict(X), expected)
        assert [*other.state_dict()] == [*net.state_dict()]
    remove = utils.remove_weight_norm if isinstance(net[0], pynn.WeightNorm) else utils.remove_spectral_norm
    for i in (0, 2):
        net[i] = remove(net[i])
    assert repr(net) == repr(pynn.Sequential(pynn.Linear(3, 4), "tanh", pynn.Linear(4, 2)))
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-5, atol=1e-6)
    net.fit(X, Y, loss="cross_entropy", seed=0)


def test_a_spectral_norm_of_one() -> None:
    layer = utils.spectral_norm(pynn.Linear(5, 4, dtype="float64", seed=0), n_power_iterations=200, seed=1)
    layer(RNG.normal(size=(2, 5)))
    np.testing.assert_allclose(np.linalg.norm(layer.weight, 2), 1.0, rtol=1e-8)
    frozen = layer.weight_u.copy()
    layer.eval()(RNG.normal(size=(2, 5)))
    np.testing.assert_array_equal(layer.weight_u, frozen)
    gy, x = RNG.normal(size=(2, 4)), RNG.normal(size=(2, 5))
    layer(x)
    layer.backward(gy)
    got = layer.weight_orig.grad.copy()
    np.testing.assert_allclose(got, numeric(lambda: float((layer(x) * gy).sum()), layer.weight_orig.data), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: utils.weight_norm(pynn.ReLU()), ValueError, "ReLU has no parameter 'weight' of its own; it has none"),
        (lambda: utils.weight_norm(pynn.Linear(2, 2), dim=2), ValueError, "no axis 2"),
        (lambda: utils.spectral_norm(pynn.BatchNorm1d(2)), ValueError, "is no matrix"),
        (lambda: utils.spectral_norm(pynn.Linear(2, 2), n_power_iterations=0), ValueError, "n_power_iterations: expected"),
        (lambda: utils.remove_weight_norm(pynn.Linear(2, 2)), ValueError, "expected a WeightNorm of 'weight'"),
        (lambda: utils.vector_to_parameters([1.0], pynn.Linear(2, 2).parameters()), ValueError, r"expected shape \(6,\), got \(1,\)"),
        (lambda: utils.parameters_to_vector([np.zeros(2)]), TypeError, r"expected pynn\.Parameter"),
        (lambda: utils.fuse_conv_bn_eval(pynn.Linear(2, 2), pynn.BatchNorm1d(2)), TypeError, "expected a convolution and a batch"),
        (lambda: utils.fuse_linear_bn_eval(pynn.Linear(2, 3), pynn.BatchNorm1d(2)), ValueError, "2 channels, and Linear has 3"),
        (
            lambda: utils.fuse_conv_bn_eval(pynn.Conv1d(2, 2, 1), pynn.BatchNorm1d(2, track_running_stats=False)),
            ValueError,
            "no running statistics",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_vectors_of_parameters() -> None:
    net = pynn.Sequential(pynn.Linear(3, 4, seed=0), "relu", pynn.Linear(4, 2, seed=1))
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (26,)
    other = pynn.Sequential(pynn.Linear(3, 4), "relu", pynn.Linear(4, 2))
    utils.vector_to_parameters(vector, other.parameters())
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    assert utils.parameters_to_vector([]).shape == (0,)


# ---- fusion -----------------------------------------------------------------------------------------------------------
def trained_bn(cls: Any, channels: int, dtype: str = "float64", **options: Any) -> Any:
    bn = cls(channels, dtype=dtype, **options)
    for name, a in bn.state_dict().items():
        if a.dtype.kind == "f":
            getattr(bn, name)[...] = RNG.uniform(0.5, 2.0, a.shape)
    return bn.eval()


@pytest.mark.parametrize(
    ("conv", "bn", "shape"),
    [
        (pynn.Conv2d(2, 4, 3, groups=2, dtype="float64", seed=0), trained_bn(pynn.BatchNorm2d, 4), (3, 2, 6, 6)),
        (pynn.Conv2d(2, 4, 3, 1, "same", bias=False, dtype="float64", seed=0), trained_bn(pynn.BatchNorm2d, 4, affine=False), (3, 2, 6, 6)),
        (pynn.Conv1d(2, 4, 3, stride=2, dtype="float64", seed=0), trained_bn(pynn.BatchNorm1d, 4, eps=0.1), (3, 2, 7)),
        (pynn.ConvTranspose1d(2, 4, 3, stride=2, dtype="float64", seed=0), trained_bn(pynn.BatchNorm1d, 4), (3, 2, 7)),
        (pynn.Linear(2, 4, dtype="float64", seed=0), trained_bn(pynn.BatchNorm1d, 4), (3, 2)),
    ],
)
def test_fused_layers_compute_both(conv: Any, bn: Any, shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=shape)
    fuse = utils.fuse_linear_bn_eval if isinstance(conv, pynn.Linear) else utils.fuse_conv_bn_eval
    fused = fuse(conv, bn)
    assert type(fused) is type(conv)
    np.testing.assert_allclose(fused(x), bn(conv(x)), rtol=1e-11, atol=1e-13)


def test_fusion_of_a_net() -> None:
    body = pynn.Residual(pynn.Conv2d(4, 4, 3, padding=1, seed=1), trained_bn(pynn.BatchNorm2d, 4, "float32"), "relu")
    shared = pynn.Conv2d(4, 4, 1, seed=2)
    net = pynn.Sequential(
        {"conv": pynn.Conv2d(1, 4, 3, seed=0), "bn": trained_bn(pynn.BatchNorm2d, 4, "float32"), "body": body},
    )
    net = net + pynn.Sequential(shared, trained_bn(pynn.BatchNorm2d, 4, "float32"), "relu", shared)
    images = RNG.normal(size=(2, 1, 6, 6))
    fused = utils.fuse_conv_bn(net)
    assert [type(layer).__name__ for layer in fused] == ["Conv2d", "Residual", "Conv2d", "BatchNorm2d", "ReLU", "Conv2d"]
    assert [type(layer).__name__ for layer in fused[1].layers] == ["Conv2d", "ReLU"]
    assert len(net) == 7
    np.testing.assert_allclose(fused.predict(images), net.predict(images), rtol=1e-4, atol=1e-4)


# ---- constraints ------------------------------------------------------------------------------------------------------
KEPT: dict[str, Any] = {
    "max": (constraints.MaxNorm(0.3), lambda w: np.linalg.norm(w, axis=1).max() <= 0.3 + 1e-6),
    "min max": (constraints.MinMaxNorm(0.2, 0.4), lambda w: ((n := np.linalg.norm(w, axis=1)) > 0.199).all() and (n < 0.401).all()),
    "positive": (constraints.NonNeg(), lambda w: (w >= 0).all()),
    "unit": (constraints.UnitNorm(), lambda w: np.allclose(np.linalg.norm(w, axis=1), 1, atol=1e-5)),
}


@pytest.mark.parametrize("name", KEPT)
def test_constraints_hold_after_each_step(name: str) -> None:
    constraint, holds = KEPT[name]
    net = pynn.Sequential(pynn.Linear(3, 8, seed=0), "tanh", pynn.Linear(8, 2, seed=1))
    checked: list[bool] = []

    class Check(pynn.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            checked.extend(bool(holds(layer.weight)) for layer in (net[0], net[2]))

    net.fit(X, Y, loss="cross_entropy", optimizer=pynn.optim.SGD(lr=0.5), epochs=3, batch_size=4, callbacks=[constraint, Check()], seed=0)
    assert len(checked) == 18
    assert all(checked)
    assert not all(holds(layer.weight) for layer in (pynn.Linear(3, 8, seed=0), pynn.Linear(8, 2, seed=1)))


def test_constraints_of_chosen_parameters() -> None:
    net = pynn.Sequential(pynn.Linear(3, 8, seed=0), "tanh", pynn.Linear(8, 2, seed=1))
    net[0].bias[...] = -1
    chosen = constraints.NonNeg([net.get_parameter("0.bias")])
    net.fit(X, Y, loss="cross_entropy", callbacks=chosen, seed=0)
    assert (net[0].bias >= 0).all()
    assert (net[0].weight < 0).any()
    with pytest.raises(ValueError, match="NonNeg: the model has no parameter named 'weight'"):
        pynn.Sequential(pynn.BatchNorm1d(3)).fit(X, X, loss="mse", callbacks=constraints.NonNeg())
    for make, message in (
        (lambda: constraints.MaxNorm(-1), "max_value: expected"),
        (lambda: constraints.MinMaxNorm(2, 1), "expected 0 <= min_value <= max_value"),
        (lambda: constraints.MinMaxNorm(rate=0), "0 < rate <= 1"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
