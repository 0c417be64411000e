"""Normalization layers: reference values, gradients, running statistics, threads, memory layouts and errors."""

import json
import pickle
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import reference

rng = np.random.default_rng(0)
F64: dict[str, Any] = {"dtype": "float64"}

# Layers and the shapes of their inputs.
CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "batch": (lambda **k: pynn.BatchNorm1d(5, **k), (7, 5)),
    "batch long": (lambda **k: pynn.BatchNorm1d(5, **k), (4, 5, 3)),
    "batch wide": (lambda **k: pynn.BatchNorm1d(300, **k), (150, 300)),
    "batch images": (lambda **k: pynn.BatchNorm2d(3, **k), (4, 3, 5, 6)),
    "batch plain": (lambda **k: pynn.BatchNorm1d(5, affine=False, track_running_stats=False, **k), (7, 5)),
    "instance": (lambda **k: pynn.InstanceNorm1d(3, affine=True, **k), (4, 3, 9)),
    "instance images": (lambda **k: pynn.InstanceNorm2d(3, **k), (4, 3, 5, 7)),
    "group": (lambda **k: pynn.GroupNorm(2, 6, **k), (4, 6, 3, 5)),
    "group of elements": (lambda **k: pynn.GroupNorm(2, 6, **k), (40, 6)),
    "group of one channel": (lambda **k: pynn.GroupNorm(6, 6, **k), (4, 6, 3, 5)),
    "group of few elements": (lambda **k: pynn.GroupNorm(8, 24, **k), (9, 24)),
    "group of channels": (lambda **k: pynn.GroupNorm(3, 57, **k), (3, 57, 2, 2)),
    "layer": (lambda **k: pynn.LayerNorm(9, **k), (5, 9)),
    "layer long": (lambda **k: pynn.LayerNorm((70, 33), **k), (9, 70, 33)),
    "layer of many rows": (lambda **k: pynn.LayerNorm(28, **k), (203, 28)),
    "layer of whole vectors": (lambda **k: pynn.LayerNorm(128, **k), (3, 7, 128)),
    "layer without bias": (lambda **k: pynn.LayerNorm(9, bias=False, **k), (5, 2, 9)),
    "layer plain": (lambda **k: pynn.LayerNorm(9, elementwise_affine=False, **k), (5, 9)),
    "rms long": (lambda **k: pynn.RMSNorm(2050, **k), (6, 2050)),
    "rms": (lambda **k: pynn.RMSNorm(9, **k), (5, 9)),
    "rms plain": (lambda **k: pynn.RMSNorm(9, elementwise_affine=False, **k), (5, 9)),
}
each_case = pytest.mark.parametrize("case", CASES)


def make(case: str, dtype: str = "float64") -> tuple[pynn.Layer, np.ndarray, np.ndarray]:
    """Return a layer with random weights, an input and an output gradient."""
    layer, shape = CASES[case]
    made = layer(dtype=dtype)
    for name, a in made.params.items():
        a[...] = np.random.default_rng(len(name)).normal(1, 0.5, a.shape)
    return made, rng.normal(2, 3, shape), rng.normal(size=shape)


def reference_values(layer: Any, x: np.ndarray, gy: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the output and the gradients of input, weight and bias according to `pynn.reference`."""
    p = layer.params
    weight, bias = p.get("weight"), p.get("bias")
    if isinstance(layer, (pynn.LayerNorm, pynn.RMSNorm)):
        axes = tuple(range(x.ndim - len(layer.normalized_shape), x.ndim))
        eps = np.finfo(x.dtype).eps if layer.eps is None else layer.eps
        return reference.normalize(x, axes, weight, bias, eps, gy, centred=isinstance(layer, pynn.LayerNorm))
    column = (-1, *[1] * (x.ndim - 2))
    weight, bias = (None if a is None else a.reshape(column) for a in (weight, bias))
    if isinstance(layer, pynn.GroupNorm):
        return reference.group_norm(x, layer.num_groups, weight, bias, layer.eps, gy)
    axes = (0, *range(2, x.ndim)) if "Batch" in type(layer).__name__ else tuple(range(2, x.ndim))
    return reference.normalize(x, axes, weight, bias, layer.eps, gy)


@each_case
@pytest.mark.parametrize(("dtype", "near"), [("float64", 1e-12), ("float32", 2e-5)])
def test_matches_reference(case: str, dtype: str, near: float, isa: str) -> None:
    layer, x, gy = make(case, dtype)
    y, gx, gw, gb = reference_values(layer, x, gy)
    np.testing.assert_allclose(layer(x), y, rtol=near, atol=near)
    np.testing.assert_allclose(layer.backward(gy), gx, rtol=near, atol=near)
    for name, expected in {"weight": gw, "bias": gb}.items():
        if name in layer.grads:
            scale = np.abs(expected).max()
            np.testing.assert_allclose(layer.grads[name], expected.reshape(layer.grads[name].shape), rtol=near, atol=near * scale)


@each_case
def test_gradients_match_central_differences(case: str) -> None:
    layer, x, gy = make(case)
    layer(x)
    gx = layer.backward(gy)
    arrays = [(x, gx), *((layer.params[name], layer.grads[name].copy()) for name in layer.params)]
    for a, g in arrays:
        for i in [tuple(rng.integers(n) for n in a.shape) for _ in range(6)]:
            was, found = a[i], []
            for h in (1e-5, -1e-5):
                a[i] = was + h
                found.append((layer(x) * gy).sum())
            a[i] = was
            np.testing.assert_allclose((found[0] - found[1]) / 2e-5, g[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", [case for case in CASES if "batch" in case and "plain" not in case])
@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
def test_running_statistics(case: str, momentum: float | None) -> None:
    _, x, gy = make(case)
    layer = type(CASES[case][0]())(x.shape[1], momentum=momentum, dtype="float64")
    axes, count = (0, *range(2, x.ndim)), x.size // x.shape[1]
    mean, var, batches = np.zeros(x.shape[1]), np.ones(x.shape[1]), [x, 2 * x + 1, x - 5]
    for i, batch in enumerate(batches, 1):
        layer(batch)
        m = 1 / i if momentum is None else momentum
        mean = (1 - m) * mean + m * batch.mean(axes)
        var = (1 - m) * var + m * batch.var(axes) * count / (count - 1)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(layer.running_var, var, rtol=1e-12)
    assert layer.num_batches_tracked == 3
    column = (-1, *[1] * (x.ndim - 2))
    expected = (x - mean.reshape(column)) / np.sqrt(var.reshape(column) + 1e-5)
    before = layer.state_dict()
    np.testing.assert_allclose(pynn.Sequential(layer).predict(x), expected, rtol=1e-11, atol=1e-12)
    layer.eval()
    np.testing.assert_allclose(layer(x), expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(layer.backward(gy), gy / np.sqrt(var.reshape(column) + 1e-5), rtol=1e-11)
    np.testing.assert_allclose(layer.grads["bias"], gy.sum(axes), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(layer.grads["weight"], (gy * expected).sum(axes), rtol=1e-10, atol=1e-10)
    assert all((layer.state_dict()[name] == a).all() for name, a in before.items())
    layer.reset_running_stats()
    assert layer.num_batches_tracked == 0
    assert (layer.running_mean == 0).all()
    assert (layer.running_var == 1).all()


def net(**settings: Any) -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(4, 6, seed=0), pynn.BatchNorm1d(6, **settings), "relu", pynn.Linear(6, 3, seed=1))


def data() -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(1)
    return r.normal(1, 2, (40, 4)), r.integers(3, size=40)


def test_fit_updates_running_statistics() -> None:
    model = net(momentum=None)
    X, y = data()
    model.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.SGD(lr=0.0), epochs=3, batch_size=20, seed=0)
    h = X.astype("f") @ model[0].weight.T + model[0].bias
    assert model[1].num_batches_tracked == 6
    np.testing.assert_allclose(model[1].running_mean, h.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", ["freeze", "eval"])
def test_frozen_layer_uses_running_statistics_unchanged(how: str) -> None:
    model = net()
    X, y = data()
    model.fit(X, y, loss="cross_entropy", epochs=2, seed=0)
    getattr(model[1], how)()
    before = {name: a for name, a in model[1].state_dict().items() if "r" in name}
    predicted = model.predict(X)
    hist = model.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.SGD(lr=0.0), epochs=1, batch_size=40, seed=0)
    loss = pynn.CrossEntropyLoss()(predicted, y)
    assert hist.history["loss"][0] == pytest.approx(float(loss), rel=1e-6)
    assert all((model[1].state_dict()[name] == a).all() for name, a in before.items())


@each_case
def test_results_do_not_depend_on_threads(case: str) -> None:
    results = []
    for n in (1, 2, 5):
        with pynn.num_threads(n):
            layer, _, _ = make(case, "float32")
            big = np.random.default_rng(0).normal(size=(130, *CASES[case][1][1:])).astype("f")
            results.append([layer(big), layer.backward(big[::-1]), *layer.grads.values(), *layer.state_dict().values()])
    assert all(a.tobytes() == b.tobytes() for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("case", [case for case in CASES if "batch" not in case])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_result_does_not_depend_on_position_in_batch(case: str, dtype: str, isa: str) -> None:
    layer, x, gy = make(case, dtype)
    whole = layer(x), layer.backward(gy)
    for k in range(1, len(x), 3):
        assert layer(x[k:]).tobytes() == whole[0][k:].tobytes()
        assert layer.backward(gy[k:]).tobytes() == whole[1][k:].tobytes()


def test_no_cancellation_far_from_zero() -> None:
    """A variance computed as mean(x**2) - mean(x)**2 would have no correct digit here."""
    x = (1e4 + rng.normal(size=(64, 512))).astype("f")
    expected = (x - x.mean(1, dtype="d", keepdims=True)) / x.std(1, dtype="d", keepdims=True)
    np.testing.assert_allclose(pynn.LayerNorm(512, eps=0.0)(x), expected, atol=2e-3)
    images = np.ascontiguousarray(x.reshape(8, 4, 32, 32).transpose(1, 0, 2, 3))
    centre = images.mean((0, 2, 3), dtype="d", keepdims=True)
    expected = (images - centre) / images.std((0, 2, 3), dtype="d", keepdims=True)
    np.testing.assert_allclose(pynn.BatchNorm2d(8, eps=0.0)(images), expected, atol=2e-3)
    columns = np.ascontiguousarray(x.T)
    expected = (columns - columns.mean(0, dtype="d")) / columns.std(0, dtype="d")
    np.testing.assert_allclose(pynn.BatchNorm1d(64, eps=0.0)(columns), expected, atol=2e-3)


def test_normalization_after_convolution_with_channels_last() -> None:
    conv = pynn.Conv2d(3, 5, 3, dtype="float64", seed=0)
    x, gy = rng.normal(size=(2, 3, 6, 7)), rng.normal(size=(2, 5, 4, 5))
    for norm in (pynn.BatchNorm2d(5, **F64), pynn.GroupNorm(5, 5, **F64), pynn.InstanceNorm2d(5, affine=True, **F64)):
        whole = pynn.Sequential(conv, norm, "relu", pynn.Conv2d(5, 5, 1, dtype="float64", seed=1))
        y, gx = whole(x), whole.backward(gy)
        parts = [conv, norm, whole[2], whole[3]]
        h, g, grads = x, gy, {name: a.copy() for name, a in whole.grads.items()}
        whole.zero_grad()
        for part in parts:
            h = part(h)
        for part in reversed(parts):
            g = part.backward(g)
        np.testing.assert_allclose(y, h, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(gx, g, rtol=1e-9, atol=1e-11)
        for name, a in grads.items():
            np.testing.assert_allclose(a, whole.grads[name], rtol=1e-9, atol=1e-11)
        whole.zero_grad()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
@pytest.mark.parametrize(("dtype", "near"), [("float64", 1e-12), ("float32", 1e-5)])
def test_local_response_norm_matches_reference(size: int, dtype: str, near: float) -> None:
    layer = pynn.LocalResponseNorm(size, alpha=0.3, beta=0.6, k=1.5)
    x, gy = (rng.normal(size=(3, 5, 2, 3)).astype(dtype) for _ in range(2))
    y, gx = reference.local_response_norm(x.astype("d"), size, 0.3, 0.6, 1.5, gy.astype("d"))
    np.testing.assert_allclose(layer(x), y, rtol=near)
    np.testing.assert_allclose(layer.backward(gy), gx, rtol=near, atol=near)
    assert layer(x).dtype == dtype


@each_case
def test_state_config_and_copies(case: str) -> None:
    layer, x, _ = make(case, "float32")
    layer(x)
    again = pynn.Layer.classes[type(layer).__name__].from_config(json.loads(json.dumps(layer.get_config())))
    assert repr(again) == repr(layer)
    again.load_state_dict(layer.state_dict())
    for other in (again, pickle.loads(pickle.dumps(layer)), eval(f"pynn.{layer!r}")):
        other.load_state_dict(layer.state_dict())
        assert list(other.state_dict()) == list(layer.state_dict())
        np.testing.assert_array_equal(other.eval()(x), layer.eval()(x))
    assert not {"running_mean", "num_batches_tracked"} & set(layer.params)


def test_empty_batch() -> None:
    for case in CASES:
        layer, _, _ = make(case)
        x = np.empty((0, *CASES[case][1][1:]))
        before = {name: a for name, a in layer.state_dict().items() if name.startswith("running")}
        assert layer(x).shape == x.shape
        assert layer.backward(x).shape == x.shape
        assert all(np.array_equal(layer.state_dict()[name], a) for name, a in before.items())
        assert all((g == 0).all() for g in layer.grads.values())


def test_invalid_arguments_and_inputs_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"\(3,\).*num_features = 5"):
        pynn.BatchNorm1d(5)(np.ones((2, 3)))
    with pytest.raises(ValueError, match="dimensions"):
        pynn.BatchNorm2d(5)(np.ones((2, 5)))
    with pytest.raises(ValueError, match="no variance"):
        pynn.BatchNorm1d(5)(np.ones((1, 5)))
    with pytest.raises(ValueError, match="no variance"):
        net().fit(*(a[:33] for a in data()), loss="cross_entropy", batch_size=32)
    with pytest.raises(ValueError, match="multiple of num_groups"):
        pynn.GroupNorm(2, 5)
    with pytest.raises(ValueError, match="num_channels = 6"):
        pynn.GroupNorm(2, 6)(np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"\(4,\).*normalized_shape = \(3,\)"):
        pynn.LayerNorm(3)(np.ones((2, 4)))
    with pytest.raises(ValueError, match="momentum"):
        pynn.BatchNorm1d(5, momentum=2.0)
    with pytest.raises(ValueError, match="eps"):
        pynn.LayerNorm(5, eps=-1.0)
    with pytest.raises(ValueError, match="size"):
        pynn.LocalResponseNorm(0)
    with pytest.raises(AttributeError, match="has no bias: it was created without one"):
        pynn.LayerNorm(5, bias=False).bias = np.zeros(5)


def exact(x: Any, axes: Any, eps: float, centred: bool = True) -> tuple[Any, Any]:
    """Return (x - mean) / sqrt(var + eps) over the axes, and the reciprocal root, computed in float64 with scaling."""
    unit = 2.0 ** np.floor(np.log2(np.abs(x).max()))
    x = x.astype("f8") / unit
    d = x - x.mean(axes, keepdims=True) if centred else x
    scale = 1 / np.hypot(np.sqrt(np.square(d).mean(axes, keepdims=True)), np.sqrt(eps) / unit)
    return d * scale, scale / unit


def check_exactly(layer: Any, x: Any, axes: Any, tolerance: float, groups: tuple[int, ...] | None = None) -> None:
    """Compare output and gradient with float64 NumPy; `axes` refer to the shape `groups` if that is given."""
    shape, centred = groups or x.shape, not isinstance(layer, pynn.RMSNorm)
    z, scale = exact(x.reshape(shape), axes, layer.eps, centred)
    np.testing.assert_allclose(layer(x).reshape(shape), z, rtol=0, atol=tolerance * np.abs(z).max())
    gy = rng.normal(size=x.shape).astype(x.dtype)
    g = gy.astype("f8").reshape(shape)
    expected = scale * (g - (g.mean(axes, keepdims=True) if centred else 0) - z * (g * z).mean(axes, keepdims=True))
    largest = np.abs(expected).max()
    np.testing.assert_allclose(layer.backward(gy).reshape(shape) / largest, expected / largest, rtol=0, atol=3 * tolerance)


RANGES = [("float32", 1e30), ("float32", 1e-30), ("float32", 1e19), ("float64", 1e200), ("float64", 1e-200), ("float64", 1e300)]
NORMS: dict[str, tuple[Any, tuple[int, ...], Any, tuple[int, ...] | None]] = {
    "one column": (lambda **k: pynn.BatchNorm1d(1, **k), (1000, 1), 0, None),
    "three columns": (lambda **k: pynn.BatchNorm1d(3, **k), (1000, 3), 0, None),
    "many columns": (lambda **k: pynn.BatchNorm1d(70, **k), (300, 70), 0, None),
    "batch of images": (lambda **k: pynn.BatchNorm2d(3, **k), (5, 3, 8, 9), (0, 2, 3), None),
    "layer": (lambda **k: pynn.LayerNorm(64, **k), (50, 64), -1, None),
    "long layer": (lambda **k: pynn.LayerNorm(3000, **k), (5, 3000), -1, None),
    "root mean square": (lambda **k: pynn.RMSNorm(64, **k), (50, 64), -1, None),
    "group": (lambda **k: pynn.GroupNorm(2, 6, **k), (5, 6, 8, 9), (2, 3, 4), (5, 2, 3, 8, 9)),
    "instance": (lambda **k: pynn.InstanceNorm2d(6, affine=True, **k), (5, 6, 8, 9), (2, 3), None),
}


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize(("dtype", "scale"), RANGES)
def test_squares_that_overflow_or_underflow(name: str, dtype: str, scale: float) -> None:
    make, shape, axes, groups = NORMS[name]
    eps = 1e-5 if scale > 1 else 1e-45 if dtype == "float32" else 1e-290
    check_exactly(make(eps=eps, dtype=dtype), (rng.normal(size=shape) * scale).astype(dtype), axes, 3e-6, groups)


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 16, 33])
@pytest.mark.parametrize("rows", [100, 10_000, 70_000])
@pytest.mark.parametrize("far", [1e3, 1e6, 1e7])
def test_batch_norm_of_few_columns_with_large_mean(columns: int, rows: int, far: float) -> None:
    x = (far + rng.normal(size=(rows, columns))).astype("f4")
    layer = pynn.BatchNorm1d(columns, momentum=1.0)
    check_exactly(layer, x, 0, 3e-6)
    np.testing.assert_allclose(layer.running_var, x.astype("f8").var(0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(layer.running_mean, x.astype("f8").mean(0), rtol=1e-7)
    mean, var = layer.running_mean.astype("f8"), layer.running_var.astype("f8")
    np.testing.assert_allclose(layer.eval()(x), (x - mean) / np.sqrt(var + layer.eps), atol=1e-5)


@pytest.mark.parametrize("name", ["batch of images", "layer", "long layer", "group", "instance"])
def test_means_are_accumulated_in_double(name: str) -> None:
    make, shape, axes, groups = NORMS[name]
    check_exactly(make(eps=1e-5), (1e6 + rng.normal(size=shape)).astype("f4"), axes, 1e-5, groups)


@pytest.mark.parametrize("make", [pynn.LayerNorm, pynn.RMSNorm, lambda n: pynn.GroupNorm(1, n), pynn.BatchNorm1d])
def test_weight_gradients_over_many_rows(make: Any) -> None:
    rows, n = 200_000, 4
    x = rng.normal(size=(rows, n)).astype("f4")
    layer = make(n)
    y = layer(x)
    layer.backward(y + np.float32(0.1))
    expected = (y * (y + 0.1).astype("f8")).sum(0)
    np.testing.assert_allclose(layer.grads["weight"], expected, rtol=1e-6)
    if "bias" in layer.grads:
        np.testing.assert_allclose(layer.grads["bias"], (y + np.float32(0.1)).sum(0, dtype="f8"), rtol=1e-5)


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_local_response_norm_of_squares_that_overflow_or_underflow(scale: float) -> None:
    x, gy = rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 6, 3))
    layer = pynn.LocalResponseNorm(3, alpha=1.0, beta=0.75, k=0.0)
    y, gx = layer(x), layer.backward(gy)
    np.testing.assert_allclose(layer(x * scale), y * scale**-0.5, rtol=1e-12)
    np.testing.assert_allclose(layer.backward(gy), gx * scale**-1.5, rtol=1e-12)
