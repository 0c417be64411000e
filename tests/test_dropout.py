"""Dropout and noise: distributions, gradients, and dependence on the seed and the step alone."""

import json
import pickle
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import reference

LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Dropout": (pynn.Dropout, (37, 451)),
    "Dropout1d": (pynn.Dropout1d, (37, 45, 10)),
    "Dropout2d": (pynn.Dropout2d, (37, 45, 3, 4)),
    "AlphaDropout": (pynn.AlphaDropout, (37, 451)),
    "FeatureAlphaDropout": (pynn.FeatureAlphaDropout, (37, 45, 3, 4)),
    "GaussianNoise": (pynn.GaussianNoise, (37, 451)),
}
each_layer = pytest.mark.parametrize("name", LAYERS)
each_dropout = pytest.mark.parametrize("name", [name for name in LAYERS if name != "GaussianNoise"])
rng = np.random.default_rng(0)


def make(name: str, p: float = 0.3, seed: int = 5) -> tuple[Any, np.ndarray]:
    layer, shape = LAYERS[name]
    return layer(p, seed=seed), rng.normal(2, 1, shape)


def words(seed: int, tick: int, n: int) -> np.ndarray:
    """Return the first n random words, in the order of the elements that use them."""
    groups = -(-n // 64)
    drawn = reference.philox(seed, tick, np.arange(groups * 16, dtype=np.uint64))
    return drawn.reshape(groups, 16, 4).transpose(0, 2, 1).reshape(-1)[:n]


@each_dropout
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.9, 1.0])
def test_masks_match_philox_reference(name: str, dtype: str, p: float, isa: str) -> None:
    layer, x = make(name, p)
    x = x.astype(dtype)
    units = x.shape if name in ("Dropout", "AlphaDropout") else x.shape[:2]
    for tick in range(3):
        keep = words(5, tick, int(np.prod(units))) >= np.uint64(round(p * 2**32))
        keep = keep.reshape(*units, *[1] * (x.ndim - len(units)))
        scale, shift, low = (1 / (1 - p) if p < 1 else 0.0), 0.0, 0.0
        if "Alpha" in name and 0 < p < 1:
            alpha = 1.7580993408473766
            scale = ((1 - p) * (1 + p * alpha**2)) ** -0.5
            shift, low = scale * alpha * p, -alpha * scale + scale * alpha * p
        y = layer(x)
        assert y.dtype == dtype
        near = 1e-13 if dtype == "float64" else 1e-6
        np.testing.assert_allclose(y, np.where(keep, x * scale + shift, low), rtol=near, atol=near)
        np.testing.assert_allclose(layer.backward(x), np.where(keep, x * scale, 0), rtol=near, atol=near)


def test_gaussian_noise_is_normal_with_unit_gradient() -> None:
    layer = pynn.GaussianNoise(2.0, seed=1)
    x = np.zeros((500, 401))
    z = layer(x) / 2
    assert abs(z.mean()) < 4 / z.size**0.5
    assert z.var() == pytest.approx(1, abs=0.01)
    assert (z**4).mean() == pytest.approx(3, abs=0.1)
    assert np.corrcoef(z[:, :-1].ravel(), z[:, 1:].ravel())[0, 1] == pytest.approx(0, abs=0.01)
    gy = rng.normal(size=x.shape)
    np.testing.assert_array_equal(layer.backward(gy), gy)


@each_layer
def test_masks_depend_on_seed_and_call(name: str) -> None:
    layer, x = make(name)
    again, other = make(name)[0], make(name, seed=6)[0]
    first, second = layer(x), layer(x)
    assert (first != second).any()
    assert (other(x) != first).any()
    np.testing.assert_array_equal(again(x), first)
    np.testing.assert_array_equal(again(x), second)
    assert (LAYERS[name][0](0.3)(x) != LAYERS[name][0](0.3)(x)).any()


@each_layer
def test_evaluation_returns_the_input(name: str) -> None:
    layer, x = make(name)
    np.testing.assert_array_equal(pynn.Sequential(layer).predict(x), x)
    layer.eval()
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer.backward(x), x)


@each_layer
def test_masks_do_not_depend_on_threads(name: str) -> None:
    results = []
    for n in (1, 2, 5):
        with pynn.num_threads(n):
            layer, _ = make(name)
            x = np.ones((300, *LAYERS[name][1][1:]))
            results.append((layer(x), layer.backward(x)))
    for y, gx in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(gx, results[0][1])


def test_shared_layer_draws_a_mask_per_use() -> None:
    layer, x = pynn.Dropout(0.5, seed=0), np.ones((10, 100))
    a, b = pynn.Parallel(layer, layer)(x)
    assert (a != b).any()
    np.testing.assert_array_equal(a, pynn.Dropout(0.5, seed=0)(x))


def test_fit_masks_depend_on_the_step() -> None:
    X, y = rng.normal(size=(64, 6)), rng.integers(3, size=64)
    curves = []
    for n in (1, 3):
        model = pynn.Sequential(pynn.Linear(6, 32, seed=0), "relu", pynn.Dropout(0.5, seed=3), pynn.Linear(32, 3, seed=1))
        with pynn.num_threads(n):
            hist = model.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.SGD(lr=0.0), epochs=4, batch_size=64, shuffle=False, seed=0)
        curves.append(hist.history["loss"])
    assert curves[0] == curves[1]
    assert len(set(curves[0])) == 4


def test_fit_step_matches_gradient_under_the_mask() -> None:
    """One step of SGD follows the gradient of the loss under the mask of step 1."""
    X, y = rng.normal(size=(16, 6)).astype("f"), rng.normal(size=(16, 1)).astype("f")
    model = pynn.Sequential(pynn.Dropout(0.5, seed=3), pynn.Linear(6, 1, seed=0))
    before = model[1].weight.copy()
    candidates = []
    for tick in (0, 1):
        keep = (words(3, tick, X.size) >= 2**31).reshape(X.shape)
        h = np.where(keep, 2 * X, 0)
        candidates.append(before - 0.1 * 2 * (h @ before.T - y).T @ h / 16)
    model.fit(X, y, loss="mse", optimizer=pynn.optim.SGD(lr=0.1), batch_size=16, shuffle=False, seed=0)
    assert any(np.allclose(model[1].weight, candidate, rtol=1e-4, atol=1e-6) for candidate in candidates)


def test_channel_dropout_with_channels_last() -> None:
    model = pynn.Sequential(pynn.Conv2d(2, 6, 3, seed=0), pynn.Dropout2d(0.5, seed=1), pynn.Conv2d(6, 6, 1, seed=2))
    model[2].weight[...] = np.eye(6).reshape(6, 6, 1, 1)
    if model[2].bias is not None:
        model[2].bias[...] = 0
    x = rng.normal(size=(4, 2, 7, 8)).astype("f")
    y, h = model(x), model[0](x)
    keep = (words(1, 0, 24) >= 2**31).reshape(4, 6, 1, 1)
    np.testing.assert_allclose(y, np.where(keep, 2 * h, 0), rtol=1e-5, atol=1e-6)


@each_layer
def test_config_and_copies(name: str) -> None:
    layer, x = make(name)
    candidates = [
        type(layer).from_config(json.loads(json.dumps(layer.get_config()))),
        eval(f"pynn.{layer!r}"),
        pickle.loads(pickle.dumps(layer)),
    ]
    first = layer(x)
    for candidate in candidates:
        assert repr(candidate) == repr(layer)
        np.testing.assert_array_equal(candidate(x), first)


def test_invalid_arguments_and_inputs_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"from 0 to 1, got 1\.5"):
        pynn.Dropout(1.5)
    with pytest.raises(ValueError, match="std"):
        pynn.GaussianNoise(-1.0)
    with pytest.raises(ValueError, match="Dropout1d"):
        pynn.Dropout1d()(np.ones((2, 3, 4, 5)))


@pytest.mark.parametrize("sides", [(3, 5, 7), (16, 8, 8), (20, 14, 14), (33, 17, 16), (2, 30, 40), (64, 1, 1)])
@pytest.mark.parametrize("name", ["Dropout", "AlphaDropout", "GaussianNoise"])
def test_mask_between_convolutions_depends_on_element_index(name: str, sides: tuple[int, int, int], isa: str) -> None:
    """The image layout within the plan, which depends on the instruction set, must not matter."""
    c = sides[0]
    net = pynn.Sequential(pynn.Conv2d(c, c, 1, bias=False), make(name)[0], pynn.Conv2d(c, c, 1, bias=False)).apply_init("dirac")
    x, gy = (rng.normal(2, 1, (5, *sides)).astype("f4") for _ in range(2))
    alone = make(name)[0]
    for _ in range(2):
        np.testing.assert_allclose(net(x), alone(x), rtol=1e-6)
        np.testing.assert_allclose(net.backward(gy), alone.backward(gy), rtol=1e-6)
