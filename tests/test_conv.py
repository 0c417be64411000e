"""Convolution and pooling: reference values, adjointness, both image layouts, all instruction sets, and threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pynn
from pynn import reference

SHAPES = [(1, 6, 1), (3, 20, 1), (20, 3, 1), (8, 12, 4), (7, 7, 7), (70, 70, 70), (33, 70, 1)]
"""Input channels, output channels and groups: few and many of each, multiples of the vector length and others."""
SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": (2, 1), "padding": (1, 2)},
    {"dilation": (1, 2), "padding": 2},
    {"stride": 3, "dilation": 2, "padding": 1},
]


def pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def geometry(settings: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {name: pair(settings.get(name, 1)) for name in ("stride", "dilation")}


def make(cls: Any, *args: Any, **settings: Any) -> Any:
    layer = cls(*args, dtype="float64", seed=0, **settings)
    layer.bias = np.random.default_rng(2).normal(size=layer.bias.shape)
    return layer


def check_gradients(layer: Any, x: np.ndarray, seed: int = 0) -> None:
    """Check gradients exactly: these layers are linear, so a change changes sum(gy * y) by its product with the gradient."""
    rng = np.random.default_rng(seed)
    y = layer(x)
    gy = rng.normal(size=y.shape)
    layer.zero_grad()
    gx = layer.backward(gy)
    grads = {name: g.copy() for name, g in layer.grads.items()}
    dx = rng.normal(size=x.shape)
    assert ((layer(x + dx) - y) * gy).sum() == pytest.approx((gx * dx).sum(), rel=1e-9, abs=1e-9)
    for name, p in layer.params.items():
        dp, before = rng.normal(size=p.shape), p.copy()
        p += dp
        assert ((layer(x) - y) * gy).sum() == pytest.approx((grads[name] * dp).sum(), rel=1e-9, abs=1e-9)
        p[...] = before


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("channels", SHAPES)
def test_convolution_matches_reference(channels: tuple[int, int, int], settings: dict[str, Any], isa: str) -> None:
    c, o, groups = channels
    layer, x = make(pynn.Conv2d, c, o, (3, 2), groups=groups, **settings), np.random.default_rng(1).normal(size=(3, c, 9, 11))
    p = pair(settings.get("padding", 0))
    padded = np.pad(x, ((0, 0), (0, 0), (p[0],) * 2, (p[1],) * 2))
    expected = reference.conv2d(padded, layer.weight, layer.bias, groups=groups, **geometry(settings))
    np.testing.assert_allclose(layer(x), expected, atol=1e-12)
    check_gradients(layer, x)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("channels", SHAPES)
def test_transposed_convolution_matches_reference(channels: tuple[int, int, int], settings: dict[str, Any], isa: str) -> None:
    c, o, groups = channels
    layer, x = make(pynn.ConvTranspose2d, c, o, (3, 2), groups=groups, **settings), np.random.default_rng(1).normal(size=(3, c, 5, 6))
    whole = reference.conv_transpose2d(x, layer.weight, layer.bias, groups=groups, **geometry(settings))
    p = pair(settings.get("padding", 0))
    np.testing.assert_allclose(layer(x), whole[:, :, p[0] : whole.shape[2] - p[0], p[1] : whole.shape[3] - p[1]], atol=1e-12)
    check_gradients(layer, x)


@pytest.mark.parametrize(("mode", "numpy"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_padding_modes_match_numpy(mode: str, numpy: Any) -> None:
    layer, x = make(pynn.Conv2d, 3, 5, 3, padding=(2, 1), stride=2, padding_mode=mode), np.random.default_rng(1).normal(size=(2, 3, 6, 7))
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (1, 1)), mode=numpy)
    np.testing.assert_allclose(layer(x), reference.conv2d(padded, layer.weight, layer.bias, (2, 2)), atol=1e-12)
    check_gradients(layer, x)


@pytest.mark.parametrize(("name", "reduce"), [("MaxPool2d", np.max), ("AvgPool2d", np.mean)])
def test_pooling_matches_reference(name: str, reduce: Any, isa: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 7, 9, 8))
    np.testing.assert_allclose(getattr(pynn, name)((3, 2), (2, 1))(x), reference.pool2d(x, (3, 2), (2, 1), reduce), atol=1e-14)
    layer = getattr(pynn, name)(2)
    gx = layer.backward(np.ones_like(layer(x)))
    assert gx.sum() == pytest.approx(layer(x).size)


def net(dtype: str = "float64") -> pynn.Sequential:
    """Return a net whose plan uses channels last between the input and Linear, with both kinds of pooling."""
    options: dict[str, Any] = {"dtype": dtype, "seed": 0}
    head = [pynn.Conv2d(1, 6, 5, padding=2, **options), pynn.ReLU(), pynn.MaxPool2d(2), pynn.Conv2d(6, 16, 3, **options), pynn.Tanh()]
    tail = [pynn.AvgPool2d(2), pynn.Conv2d(16, 20, 2, **options), pynn.Flatten(), pynn.Linear(20, 4, **options)]
    return pynn.Sequential(*head, *tail)


def test_channels_last_plan_matches_separate_layers() -> None:
    model, x = net(), np.random.default_rng(0).normal(size=(9, 1, 14, 14))
    y, g = model(x), np.random.default_rng(1).normal(size=(9, 4))
    gx = model.backward(g)
    whole = {name: grad.copy() for name, grad in model.grads.items()}
    model.zero_grad()
    h = x
    for layer in model:
        h = layer(h)
    for layer in reversed(list(model)):
        g = layer.backward(g)
    np.testing.assert_allclose(y, h, atol=1e-13)
    np.testing.assert_allclose(gx, g, atol=1e-13)
    for name, grad in model.grads.items():
        np.testing.assert_allclose(whole[name], grad, atol=1e-12)
    np.testing.assert_allclose(model.predict(x), y, atol=1e-13)


BEHIND: list[list[Any]] = [
    [pynn.ReLU()],
    [pynn.MaxPool2d(2)],
    [pynn.Tanh(), pynn.MaxPool2d(2)],
    [pynn.SiLU(), pynn.MaxPool2d(2)],  # not fused in training, because backward needs the argument
    [pynn.LeakyReLU(-0.5), pynn.MaxPool2d(3, 2, 1, 1, ceil_mode=True)],
    [pynn.ReLU(), pynn.AvgPool2d(2)],
]
"""Layers that may be fused with a convolution, and layers that may not."""


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("channels", [(1, 3), (20, 3), (3, 20), (6, 32)])
@pytest.mark.parametrize("behind", BEHIND, ids=str)
def test_layers_after_convolution_match_separate_layers(
    behind: list[Any], channels: tuple[int, int], padding: int, isa: str
) -> None:
    model = pynn.Sequential(pynn.Conv2d(*channels, 4, padding=padding, dtype="float64", seed=0), *behind)
    x = np.random.default_rng(0).normal(size=(9, channels[0], 12, 15))
    parts = [x]
    for layer in model:
        parts.append(layer(parts[-1]))
    g = gy = np.random.default_rng(1).normal(size=parts[-1].shape)
    for layer in reversed(list(model)):
        g = layer.backward(g)
    separate = {name: grad.copy() for name, grad in model.grads.items()}
    model.zero_grad()
    np.testing.assert_allclose(model(x), parts[-1], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(model.predict(x), parts[-1], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(model.backward(gy), g, rtol=1e-11, atol=1e-12)
    for name, grad in model.grads.items():
        np.testing.assert_allclose(grad, separate[name], rtol=1e-11, atol=1e-11)


def test_two_by_two_max_pooling_of_nan_ties_and_infinity() -> None:
    x = np.zeros((1, 1, 5, 9), "f")
    x[0, 0, :4, :4] = [[1, 2, -np.inf, -np.inf], [2, 1, -np.inf, -np.inf], [np.nan, 5, 3, 3], [4, 4, 3, 3]]
    layer = pynn.MaxPool2d(2)
    np.testing.assert_array_equal(layer(x)[0, 0, :2, :2], [[2, -np.inf], [np.nan, 3]])
    gx = layer.backward(np.arange(1, 9, dtype="f").reshape(1, 1, 2, 4))
    np.testing.assert_array_equal(gx[0, 0, :4, :4], [[0, 1, 2, 0], [0, 0, 0, 0], [5, 0, 6, 0], [0, 0, 0, 0]])
    assert gx[0, 0, 4].sum() == gx[0, 0, :, 8].sum() == 0


def test_training_does_not_depend_on_threads() -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 1, 14, 14)).astype("f"), np.arange(40) % 4

    def train(threads: int) -> dict[str, np.ndarray]:
        with pynn.num_threads(threads):
            model = net("float32")
            model.fit(x, y, loss="cross_entropy", optimizer="adam", epochs=2, batch_size=16, seed=0, verbose=False)
            return model.state_dict()

    one = train(1)
    for threads in (2, 7):
        for name, a in train(threads).items():
            assert a.tobytes() == one[name].tobytes(), name


def test_fold_is_the_transpose_of_unfold() -> None:
    unfold, fold = pynn.Unfold((3, 2), 2, 1, (1, 2)), pynn.Fold((8, 9), (3, 2), 2, 1, (1, 2))
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 9))
    columns = unfold(x)
    z = np.random.default_rng(1).normal(size=columns.shape)
    assert (fold(z) * x).sum() == pytest.approx((columns * z).sum())
    np.testing.assert_array_equal(unfold.backward(z), fold(z))
    np.testing.assert_array_equal(fold.backward(x), columns)


def test_max_pooling_indices() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 6))
    y, index = pynn.MaxPool2d(3, 2, 1, return_indices=True)(x)
    np.testing.assert_array_equal(np.take_along_axis(x.reshape(2, 3, -1), index.reshape(2, 3, -1), -1).reshape(y.shape), y)
    x[0, 0, 3, 3] = np.nan
    assert np.isnan(pynn.MaxPool2d(6)(x)[0, 0]).all()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (pynn.Conv2d(3, 8, 3), (2, 4, 9, 9), r"\(4, 9, 9\).*weight of shape \(8, 3, 3, 3\)"),
        (pynn.Conv2d(3, 8, 3), (2, 3, 2, 9), r"\(3, 2, 9\) is too small for a weight of shape \(8, 3, 3, 3\)"),
        (pynn.Conv1d(3, 8, 3), (9,), r"\(N, C, L\) or \(C, L\), got shape \(9,\)"),
        (pynn.MaxPool2d(3), (1, 2, 9), r"too small for a window of 3"),
        (pynn.Fold((4, 4), 2), (1, 4, 8), r"\(4, 8\) instead of \(channels \* 4, 9\)"),
    ],
)
def test_invalid_shapes_are_rejected(layer: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(np.ones(shape))


@pytest.mark.parametrize("layer", [pynn.Conv2d(3, 4, 3), pynn.ConvTranspose1d(3, 4, 2), pynn.MaxPool2d(2), pynn.AdaptiveAvgPool1d(2)])
def test_empty_batch(layer: Any) -> None:
    x = np.ones((0, 3) + (8,) * layer._axes, "f")
    y = layer(x)
    assert len(y) == 0
    assert layer.backward(y).shape == x.shape
    assert all((g == 0).all() for g in layer.grads.values())


rng = np.random.default_rng(0)
SCALES = [("f4", 1e30), ("f4", 1e-30), ("f4", 3e19), ("f4", 1e-20), ("f8", 1e200), ("f8", 1e-200), ("f8", 1e300)]


def mean_of(x: Any) -> Any:
    return x.astype(np.float64).mean(axis=tuple(range(2, x.ndim)))


@pytest.mark.parametrize("n", [5, 33, 224, 1024])
@pytest.mark.parametrize("kind", ["constant", "uniform"])
@pytest.mark.parametrize("layer", ["GlobalAvgPool1d", "GlobalAvgPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d",
                                   "LPPool1d", "LPPool2d"])  # fmt: skip
def test_mean_and_norm_pooling_of_large_windows(layer: str, kind: str, n: int) -> None:
    x = np.full((1, 2, n, n), 0.1, "f4") if kind == "constant" else rng.uniform(0.5, 1.5, (1, 2, n, n)).astype("f4")
    x = x.reshape(1, 2, -1) if "1d" in layer else x
    size = {"Global": (), "Adapti": (1,), "AvgPoo": (x.shape[-1],), "LPPool": (2, x.shape[-1])}[layer[:6]]
    pool = getattr(pynn, layer)(*size)
    y = pool(x)
    mean, power = mean_of(x), mean_of(np.square(x, dtype="f8"))
    count = x[0, 0].size
    want = np.sqrt(power * count) if size[:1] == (2,) else mean
    np.testing.assert_allclose(y.reshape(1, 2), want, rtol=1e-6)
    slope = x / want.reshape(1, 2, *[1] * (x.ndim - 2)) if size[:1] == (2,) else np.full(x.shape, 1 / count)
    np.testing.assert_allclose(pool.backward(np.ones_like(y)), slope, rtol=1e-6)


@pytest.mark.parametrize(("norm", "padding"), [(None, 0), (None, 400), (2, 0), (3, 0)])
def test_pooling_gradients_of_overlapping_windows(norm: int | None, padding: int) -> None:
    n, k = 3000, 1000
    x = rng.uniform(0.5, 1.5, (1, 1, n)).astype("f4")
    layer = pynn.AvgPool1d(k, 1, padding, count_include_pad=False) if norm is None else pynn.LPPool1d(norm, k, 1)
    y = layer(x)
    gy = rng.uniform(0.5, 1.5, y.shape).astype("f4")
    want = np.zeros(n)
    for o in range(y.size):
        at = slice(max(o - padding, 0), o - padding + k)
        v = x[0, 0, at].astype("f8")
        want[at] += gy[0, 0, o] * (1 / v.size if norm is None else (v / (v**norm).sum() ** (1 / norm)) ** (norm - 1))
    np.testing.assert_allclose(layer.backward(gy)[0, 0], want, rtol=1.5e-6)


@pytest.mark.parametrize(("dtype", "scale"), SCALES)
@pytest.mark.parametrize("p", [1, 2, 3, 0.5, 7.5, 100])
def test_norm_pooling_of_powers_that_overflow_or_underflow(dtype: str, scale: float, p: float) -> None:
    x = (rng.uniform(0.5, 1.5, (1, 3, 6, 6)) * scale).astype(dtype)
    unit = x.astype("f8") / scale
    largest = unit.reshape(1, 3, 2, 3, 2, 3).max((3, 5), keepdims=True)
    want = largest * ((unit.reshape(1, 3, 2, 3, 2, 3) / largest) ** p).sum((3, 5), keepdims=True) ** (1 / p)
    layer = pynn.LPPool2d(p, 3)
    y = layer(x)
    np.testing.assert_allclose(y.astype("f8") / scale, want[:, :, :, 0, :, 0], rtol=3e-6)
    slope = (unit.reshape(1, 3, 2, 3, 2, 3) / want) ** (p - 1)
    np.testing.assert_allclose(layer.backward(np.ones_like(y)), slope.reshape(x.shape), rtol=1e-6 * max(p, 3), atol=1e-35)


def test_norm_pooling_of_zeros_infinity_and_nan() -> None:
    for p in (1, 2, 3):
        layer = pynn.LPPool1d(p, 2)
        x = np.array([[[0, 0, np.inf, 1, np.nan, 1, 1, np.nan, 3, 4]]], "f4")
        y = layer(x)
        np.testing.assert_allclose(y[0, 0], [0, np.inf, np.nan, np.nan, (3**p + 4**p) ** (1 / p)], rtol=1e-6)
        np.testing.assert_array_equal(layer.backward(np.ones_like(y))[0, 0, :2], 1 if p == 1 else 0)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize(("layer", "shape"), [
    (pynn.MaxPool1d(2, stride=3, padding=1, dilation=3, return_indices=True), (1, 1, 2)),
    (pynn.MaxPool1d(2, stride=1, padding=2, dilation=4, return_indices=True), (2, 3, 3)),
    (pynn.MaxPool2d(2, stride=1, padding=2, dilation=4, return_indices=True), (2, 3, 3, 4)),
    (pynn.MaxPool2d((1, 2), 1, (0, 2), (1, 4), return_indices=True, ceil_mode=True), (1, 2, 2, 1)),
])  # fmt: skip
def test_max_pooling_indices_are_inside_the_channel(layer: Any, shape: tuple[int, ...], dtype: str) -> None:
    x = rng.normal(size=shape).astype(dtype)
    y, at = layer(x)
    plane = x[0, 0].size
    assert at.dtype == np.int64
    assert ((at >= 0) & (at < plane)).all()
    values = np.take_along_axis(x.reshape(*shape[:2], plane), at.reshape(*shape[:2], -1), -1).reshape(y.shape)
    empty = np.isneginf(y)  # windows in the padding alone
    assert empty.any()
    np.testing.assert_array_equal(values[~empty], y[~empty])
    gx = layer.backward(np.ones_like(y))
    assert gx.sum() == (~empty).sum()


def test_max_pooling_indices_of_float16_are_exact() -> None:
    x = np.zeros((1, 1, 100, 101), np.float16)
    x[..., 99, 99] = 1
    y, at = pynn.MaxPool2d((100, 101), return_indices=True)(x)
    assert y.dtype == np.float16
    assert at.item() == 99 * 101 + 99


@pytest.mark.parametrize("make", [lambda: pynn.MaxPool1d(3), lambda: pynn.AdaptiveMaxPool1d(1), pynn.GlobalMaxPool1d])
def test_max_pooling_propagates_nan(make: Any) -> None:
    for k in range(3):
        x = np.array([[[1.0, np.inf, 2.0]]])
        x[..., k] = np.nan
        assert np.isnan(make()(x)).all()
