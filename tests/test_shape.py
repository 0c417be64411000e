"""Padding, reshaping and gated layers against the NumPy reference. `pynn.testing` checks the gradients of all classes."""

import itertools
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import reference

rng = np.random.default_rng(0)
MODES = {
    "ConstantPad": "constant",
    "ZeroPad": "constant",
    "ReflectionPad": "reflect",
    "ReplicationPad": "replicate",
    "CircularPad": "circular",
}


def pads(family: str, axes: int, padding: Any, value: float = 1.5) -> pynn.Layer:
    return pynn.Layer.classes[f"{family}{axes}d"](padding, *([value] if family == "ConstantPad" else []))


@pytest.mark.parametrize("family", MODES)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("extra", [(), (2,), (2, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_padding(family: str, axes: int, extra: tuple[int, ...], dtype: str) -> None:
    x = rng.normal(size=(*extra, *(4, 5, 6)[:axes])).astype(dtype)
    for padding in [(1, 2, 3, 0, 2, 1)[: 2 * axes], (0,) * 2 * axes, (2,) * 2 * axes, (3, 3, 0, 0, 0, 0)[: 2 * axes]]:
        layer = pads(family, axes, padding)
        expected = reference.pad(x, padding, MODES[family], 1.5 if family == "ConstantPad" else 0.0)
        got = layer(x)
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == dtype
        gy = rng.integers(-8, 8, expected.shape).astype(dtype)
        places = reference.pad(np.arange(x.size).reshape(x.shape), padding, MODES[family], -1 if MODES[family] == "constant" else 0)
        sums = np.bincount(places.ravel() + 1, gy.ravel(), x.size + 1)[1:].reshape(x.shape)
        np.testing.assert_array_equal(layer.backward(gy), sums)


def test_negative_padding_crops() -> None:
    x = rng.normal(size=(2, 3, 5, 6))
    layer = pynn.ZeroPad2d((-1, 2, 1, -3))
    np.testing.assert_array_equal(layer(x), np.pad(x[..., :2, 1:], ((0, 0), (0, 0), (1, 0), (0, 2))))
    gy = rng.normal(size=(2, 3, 3, 7))
    expected = np.zeros_like(x)
    expected[..., :2, 1:] = gy[..., 1:, :5]
    np.testing.assert_array_equal(layer.backward(gy), expected)
    np.testing.assert_array_equal(pynn.ReflectionPad1d((-2, 1))(x[0, 0]), np.pad(x[0, 0], ((0, 0), (0, 1)), "reflect")[:, 2:])


@pytest.mark.parametrize(("padding", "expected"), [
    ((-1, 1), [2, 3, 4, 2]),
    ((1, -1), [3, 1, 2, 3]),
    ((-1, 3), [2, 3, 4, 2, 3, 4]),
    ((2, -2), [1, 2, 1, 2]),
    ((-1, -1), [2, 3]),
])  # fmt: skip
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_circular_padding_with_cropping(padding: tuple[int, int], expected: list[int], axes: int) -> None:
    for axis in range(axes):
        x = np.moveaxis(np.broadcast_to(np.arange(1.0, 5.0), (*[3] * (axes - 1), 4)), -1, axis)
        sides = np.zeros((axes, 2), int)
        sides[axes - 1 - axis] = padding
        layer = pynn.Layer.classes[f"CircularPad{axes}d"](sides.ravel())
        y = np.moveaxis(layer(x), axis, -1)
        assert (y == np.array(expected)).all()
        gy = np.broadcast_to(np.arange(1.0, y.shape[-1] + 1), y.shape)
        # the gradient of an element is the sum of those of its copies
        sums = [sum(g for g, v in zip(gy.reshape(-1, y.shape[-1])[0], expected, strict=True) if v == k) for k in range(1, 5)]
        assert (np.moveaxis(layer.backward(np.moveaxis(gy, -1, axis)), axis, -1) == np.array(sums)).all()


@pytest.mark.parametrize("padding", [(-3, 2), (2, -3), (-2, 3)])
def test_circular_padding_larger_than_cropped_input_is_rejected(padding: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"cannot be padded by .* in mode circular"):
        pynn.CircularPad1d(padding)(np.ones((1, 4)))


@pytest.mark.parametrize("shape", [(1, 48), [1, 48], np.array([1, 48]), (-1, 48), (48,), [-1]])
def test_reshape_accepts_a_sequence(shape: Any) -> None:
    layer, expected = pynn.Reshape(shape), np.ones((5, 48)).reshape(5, *shape)
    assert layer(np.ones((5, 6, 8))).shape == expected.shape
    assert pynn.Reshape.from_config(layer.get_config()).shape == layer.shape == tuple(shape)
    assert repr(eval(repr(layer), {"Reshape": pynn.Reshape})) == repr(layer)


def test_permute_accepts_integers_or_a_sequence() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    for layer in (pynn.Permute(0, 2, 1), pynn.Permute((0, 2, 1)), pynn.Permute([0, 2, 1]), pynn.Permute(dims=np.array([0, 2, 1]))):
        np.testing.assert_array_equal(layer(x), x.transpose(0, 2, 1))


@pytest.mark.parametrize(("make", "text"), [
    (lambda: pynn.Reshape("48"), "shape: expected an integer"),
    (lambda: pynn.Reshape((1, 2.5)), "shape: expected an integer"),
    (lambda: pynn.Reshape((1, 2), 3), "shape: expected an integer"),
    (lambda: pynn.Flatten((1, 2)), "start_dim: expected an integer"),
    (lambda: pynn.Unflatten(1, 6.5), "unflattened_size: expected an integer"),
])  # fmt: skip
def test_non_integer_sizes_are_rejected(make: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        make()


@pytest.mark.parametrize(("make", "shape", "text"), [
    (lambda: pynn.ReflectionPad2d(4), (1, 2, 5, 4), r"\(2, 5, 4\) cannot be padded by \(4, 4, 4, 4\) in mode reflect: axis 2"),
    (lambda: pynn.CircularPad1d((0, 4)), (2, 3), r"\(3,\) cannot be padded by \(0, 4\) in mode circular"),
    (lambda: pynn.ZeroPad2d((-3, -3, 0, 0)), (2, 5, 5), r"\(5, 5\) cannot be padded by \(0, 0, -3, -3\)"),
    (lambda: pynn.ZeroPad2d(1), (5,), r"\(5,\) has fewer than the 2 axes"),
    (lambda: pynn.PixelShuffle(2), (1, 6, 2, 2), r"expected a multiple of 2 \* 2 channels, got 6 in a sample of shape \(6, 2, 2\)"),
    (lambda: pynn.PixelUnshuffle(3), (1, 1, 6, 5), r"height and width must be divisible by 3, got a sample of shape \(1, 6, 5\)"),
    (lambda: pynn.PixelShuffle(2), (4, 4), r"expected a sample of shape \(..., channels, height, width\), got \(4, 4\)"),
    (lambda: pynn.Unflatten(1, (2, 4)), (3, 6), r"a sample of shape \(3, 6\) cannot become \(3, 2, 4\)"),
    (lambda: pynn.Reshape(4, -1), (3, 6), r"a sample of shape \(6,\) cannot become \(4, 1\)"),
    (lambda: pynn.Permute((0, 1)), (3, 4, 5), r"dims \(0, 1\) are not a permutation of the 3 axes of the input"),
    (lambda: pynn.Sequential(pynn.Permute((1, 0))), (3, 4), "axis 0 is the batch"),
    (lambda: pynn.Sequential(pynn.Transpose(0, 1)), (3, 4), "axis 0 is the batch"),
    (lambda: pynn.Upsample(scale_factor=2, mode="bilinear"), (3, 4, 5), r"'bilinear' with 2.0 does not fit a sample of shape \(4, 5\)"),
    (lambda: pynn.Upsample(size=(2, 3)), (3, 4, 5), r"'nearest' with \(2, 3\) does not fit a sample of shape \(4, 5\)"),
    (lambda: pynn.Upsample(size=3), (2, 3, 0), r"axis 1 of a sample of shape \(3, 0\) is empty"),
    (lambda: pynn.GLU(), (3, 5), r"axis -1 must have an even size, got 5 in a sample of shape \(3, 5\)"),
    (lambda: pynn.MaxOut(4), (3, 6), r"axis 1 of a sample of shape \(3, 6\) does not divide into pieces of 4"),
    (lambda: pynn.PReLU(4), (3, 5), r"\(5,\) does not have num_parameters = 4 channels \(weight has shape \(4,\)\)"),
    (lambda: pynn.Softmax2d(), (3, 5), r"expected a sample of shape \(channels, height, width\), got \(3, 5\)"),
])  # fmt: skip
def test_invalid_input_shapes_are_rejected(make: Any, shape: tuple[int, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()(np.ones(shape))


@pytest.mark.parametrize(("make", "error", "text"), [
    (lambda: pynn.ZeroPad2d((1, 2)), ValueError, "padding: expected an integer or 4 of them"),
    (lambda: pynn.ZeroPad1d(1.5), TypeError, r"padding: expected an integer, got 1\.5"),
    (lambda: pynn.ZeroPad1d((1, 1.5)), TypeError, r"padding: expected an integer, got 1\.5"),
    (lambda: pynn.Reshape(-1, -1), ValueError, "of which one may be -1"),
    (lambda: pynn.PixelShuffle(0), ValueError, "upscale_factor: expected 1 or more"),
    (lambda: pynn.Upsample(), ValueError, "exactly one"),
    (lambda: pynn.Upsample(2, 2), ValueError, "exactly one"),
    (lambda: pynn.Upsample(2, mode="nearst"), ValueError, "did you mean 'nearest'"),
    (lambda: pynn.Upsample(2, align_corners=True), ValueError, "align_corners"),
    (lambda: pynn.Upsample(scale_factor=0), ValueError, "above 0"),
    (lambda: pynn.RReLU(0.5, 0.25), ValueError, "lower <= upper"),
    (lambda: pynn.PReLU(0), ValueError, "num_parameters: expected 1 or more"),
    (lambda: pynn.GLU(1.0), TypeError, "dim: expected an integer"),
])  # fmt: skip
def test_invalid_arguments_are_rejected(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 3, 1, 5), (2, 1, 4, 1), (0, 3, 4, 5), (2, 0, 4, 5), (70, 40, 3, 9)])
def test_all_permutations(shape: tuple[int, ...], dtype: str) -> None:
    x = rng.normal(size=shape).astype(dtype)
    for dims in itertools.permutations(range(4)):
        layer = pynn.Permute(dims)
        np.testing.assert_array_equal(layer(x), x.transpose(dims))
        np.testing.assert_array_equal(layer.backward(x.transpose(dims)), x)
        if dims[0] == 0:
            net = pynn.Sequential(pynn.Permute(dims), pynn.Reshape(-1))
            np.testing.assert_array_equal(net.predict(x), x.transpose(dims).reshape(len(x), int(np.prod(shape[1:]))))
    np.testing.assert_array_equal(pynn.Transpose(1, -1)(x), x.swapaxes(1, -1))
    np.testing.assert_array_equal(pynn.Permute((-1, 0, -2, 1))(x), x.transpose(3, 0, 2, 1))


def test_unflatten_and_reshape() -> None:
    x = rng.normal(size=(4, 6, 5))
    np.testing.assert_array_equal(pynn.Unflatten(1, (2, -1))(x), x.reshape(4, 2, 3, 5))
    np.testing.assert_array_equal(pynn.Unflatten(0, (2, 2))(x), x.reshape(2, 2, 6, 5))
    np.testing.assert_array_equal(pynn.Unflatten(-1, [5, 1])(x), x[..., None])
    np.testing.assert_array_equal(pynn.Reshape(10, 3)(x), x.reshape(4, 10, 3))
    net = pynn.Sequential(pynn.Flatten(), pynn.Unflatten(1, (6, 5)))
    np.testing.assert_array_equal(net(x), x)


@pytest.mark.parametrize("shape", [(12, 2, 3), (2, 12, 3, 4), (2, 2, 8, 1, 2)])
def test_pixel_shuffle_and_unshuffle(shape: tuple[int, ...]) -> None:
    x = rng.normal(size=shape)
    y = pynn.PixelShuffle(2)(x)
    np.testing.assert_array_equal(y, reference.pixel_shuffle(x, 2))
    np.testing.assert_array_equal(pynn.PixelUnshuffle(2)(y), x)


@pytest.mark.parametrize("mode", ["nearest", "linear", "corners"])
@pytest.mark.parametrize("length", [1, 2, 5, 8, 13])
def test_upsample(mode: str, length: int, isa: str) -> None:
    x = rng.normal(size=(2, 3, 5, 20))
    options: dict[str, Any] = {"mode": "nearest"} if mode == "nearest" else {"mode": "bilinear", "align_corners": mode == "corners"}
    mode_and_corners = ("nearest", False) if mode == "nearest" else ("linear", mode == "corners")
    expected = reference.resize(reference.resize(x, 9, 3, *mode_and_corners), length, 2, *mode_and_corners)
    np.testing.assert_allclose(pynn.Upsample((length, 9), **options)(x), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (3, 4, 1), (3, 4, 7), (2, 4, 5, 9), (0, 4, 3), (300, 4, 40)])
@pytest.mark.parametrize("many", [False, True])
def test_prelu(shape: tuple[int, ...], many: bool, isa: str) -> None:
    x, gy = rng.normal(size=(2, *shape))
    layer = pynn.PReLU(4 if many else 1, dtype="float64")
    layer.weight = rng.normal(size=layer.weight.shape)
    rows, grows = (x[None], gy[None]) if x.ndim == 1 else (x, gy)
    for times in (1, 2):
        np.testing.assert_allclose(layer(x), reference.prelu(rows, layer.weight).reshape(shape), rtol=1e-14)
        layer.backward(gy)
        each = (grows * np.minimum(rows, 0)).sum(axis=tuple(i for i in range(rows.ndim) if i != 1))
        np.testing.assert_allclose(layer.grads["weight"], times * (each if many else each.sum()), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("many", [False, True])
def test_prelu_slopes_are_trained(many: bool) -> None:
    X = rng.normal(size=(400, 3))
    slopes = np.array([0.1, -0.5, 0.8]) if many else np.array([0.6])
    net = pynn.Sequential(pynn.PReLU(slopes.size, dtype="float64"))
    net.fit(X, reference.prelu(X, slopes), loss="mse", optimizer=pynn.optim.Adam(lr=0.05), epochs=40, seed=0)
    np.testing.assert_allclose(net[0].weight, slopes, atol=1e-3)


def test_prelu_after_convolution() -> None:
    """A convolution may store its images with channels last."""
    conv, slopes = pynn.Conv2d(3, 6, 3, dtype="float64"), pynn.PReLU(6, dtype="float64")
    slopes.weight = rng.normal(size=6)
    net, x = pynn.Sequential(conv, slopes, pynn.Conv2d(6, 4, 3, dtype="float64")), rng.normal(size=(5, 3, 9, 8))
    y = net(x)
    gy = rng.normal(size=y.shape)
    gx, grads = net.backward(gy), {name: g.copy() for name, g in net.grads.items()}
    net.zero_grad()
    np.testing.assert_allclose(net[2](slopes(conv(x))), y, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(conv.backward(slopes.backward(net[2].backward(gy))), gx, rtol=1e-11, atol=1e-12)
    for name, g in grads.items():
        np.testing.assert_allclose(net.grads[name], g, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("cls", "gate"), [("GLU", "sigmoid"), ("SwiGLU", "silu"), ("GEGLU", "gelu"), ("ReGLU", "relu")])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gates(cls: str, gate: str, axis: int) -> None:
    x = rng.normal(size=(4, 6, 8))
    np.testing.assert_allclose(pynn.Layer.classes[cls](axis)(x), reference.glu(x, axis, gate), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_maxout(axis: int, isa: str) -> None:
    x = rng.integers(-3, 3, size=(4, 6, 38)).astype(float)
    layer = pynn.MaxOut(2, axis)
    y = layer(x)
    np.testing.assert_array_equal(y, reference.maxout(x, 2, axis))
    gx = layer.backward(np.ones_like(y))
    assert gx.sum() == y.size
    np.testing.assert_array_equal(reference.maxout(np.where(gx == 1, x, -9), 2, axis), y)
    x[1, 1, 1] = np.nan
    assert np.isnan(layer(x)).sum() == 1


def test_rrelu_is_random_only_in_training() -> None:
    x = -np.ones((50, 1000))
    layer = pynn.RReLU(0.25, 0.75, seed=3)
    first, gx = layer(x), layer.backward(np.ones_like(x))
    np.testing.assert_array_equal(first, -gx)
    assert 0.25 <= gx.min() < 0.251
    assert 0.749 < gx.max() <= 0.75
    assert abs(gx.mean() - 0.5) < 0.005
    assert (layer(x) != first).mean() > 0.99
    np.testing.assert_array_equal(pynn.RReLU(0.25, 0.75, seed=3)(x), first)
    np.testing.assert_array_equal(pynn.Sequential(layer).predict(x), -0.5 * np.ones_like(x))
    layer.eval()
    np.testing.assert_array_equal(layer(x), 0.5 * x)
    np.testing.assert_array_equal(layer.backward(np.ones_like(x)), np.full_like(x, 0.5))


def test_bits_do_not_depend_on_threads() -> None:
    X, y = rng.normal(size=(40, 256)).astype("f4"), rng.integers(4, size=40)
    ends = []
    for threads in (1, 2, 7):
        with pynn.num_threads(threads):
            images = pynn.Reshape(4, 8, 8), pynn.ReflectionPad2d(2), pynn.PixelShuffle(2), pynn.Upsample(scale_factor=1.5, mode="bilinear")
            flat = pynn.PReLU(), pynn.RReLU(seed=1), pynn.Permute((0, 2, 3, 1)), pynn.Flatten(), pynn.MaxOut(2)
            model = pynn.Sequential(*images, *flat, pynn.Linear(648, 4, seed=0))
            model.fit(X, y, loss="cross_entropy", epochs=2, batch_size=16, seed=0)
            ends.append((model.predict(X), *model.state_dict().values()))
    for other in ends[1:]:
        for a, b in zip(ends[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
