"""PyTorch as the oracle for shape layers that its module database omits."""

from typing import Any

import numpy as np
import pytest

import pynn

torch = pytest.importorskip("torch")
rng = np.random.default_rng(0)
CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    *(
        ("Upsample", {**how, "mode": mode, **({"align_corners": corners} if corners is not None else {})}, (2, 3, *(5, 7, 4)[:axes]))
        for mode, axes in [("nearest", 1), ("nearest", 2), ("nearest", 3), ("nearest-exact", 2), ("linear", 1), ("bilinear", 2),
                           ("bicubic", 2), ("trilinear", 3)]
        for corners in ((None, True, False) if mode.endswith(("linear", "cubic")) else (None,))
        for how in [{"size": 3}, {"size": 11}, {"size": 1}, {"scale_factor": 2}, {"scale_factor": 1.7}, {"scale_factor": 0.6},
                    {"scale_factor": 1.7, "recompute_scale_factor": True}, {"size": (3, 9, 8)[:axes]},
                    {"scale_factor": (2.0, 0.5, 1.3)[:axes]}]
    ),
    ("PixelShuffle", {"upscale_factor": 3}, (2, 18, 2, 4)),
    ("PixelShuffle", {"upscale_factor": 2}, (2, 2, 8, 3, 2)),
    ("PixelUnshuffle", {"downscale_factor": 3}, (2, 2, 6, 9)),
    ("Unflatten", {"dim": 1, "unflattened_size": (2, 3)}, (4, 6, 2)),
    ("Flatten", {"start_dim": 1, "end_dim": 2}, (4, 6, 2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layer(name: str, arguments: dict[str, Any], shape: tuple[int, ...], dtype: str) -> None:
    x = rng.normal(size=shape).astype(dtype)
    t = torch.tensor(x, requires_grad=True)
    ours, theirs = pynn.Layer.classes[name](**arguments), getattr(torch.nn, name)(**arguments)
    y = theirs(t)
    gy = rng.normal(size=y.shape).astype(dtype)
    y.backward(torch.tensor(gy))
    near = {"rtol": 1e-10, "atol": 1e-12} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(ours(x), y.detach().numpy(), **near)
    np.testing.assert_allclose(ours.backward(gy), t.grad.numpy(), **near)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 3, 5, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_rrelu_with_fixed_slope(shape: tuple[int, ...], training: bool) -> None:
    x = rng.normal(size=shape)
    ours, theirs = pynn.RReLU(0.3, 0.3).train(training), torch.nn.RReLU(0.3, 0.3).train(training)
    np.testing.assert_allclose(ours(x), theirs(torch.tensor(x)).numpy(), rtol=1e-14)


MODES = {"ConstantPad": "constant", "ReflectionPad": "reflect", "ReplicationPad": "replicate", "CircularPad": "circular"}


@pytest.mark.parametrize("family", MODES)
@pytest.mark.parametrize(("axes", "padding"), [
    *((1, (a, b)) for a in (-2, -1, 1, 2) for b in (-1, 1, 2)),
    *((2, p) for p in [(-1, 1, 1, -1), (2, -2, 1, 2), (-2, 1, -1, 3), (0, 2, -2, 0)]),
    *((3, p) for p in [(-1, 1, 1, -1, 1, 0), (1, -1, -2, 1, 0, -1), (-2, 1, 2, -1, -1, 1)]),
])  # fmt: skip
def test_padding_with_mixed_signs(family: str, axes: int, padding: tuple[int, ...]) -> None:
    x = rng.normal(size=(2, 3, *(5, 4, 3)[:axes]))
    t = torch.tensor(x, requires_grad=True)
    value = {"value": 1.5} if family == "ConstantPad" else {}
    y = torch.nn.functional.pad(t, padding, MODES[family], **value)
    layer = pynn.Layer.classes[f"{family}{axes}d"](padding, **value)
    np.testing.assert_array_equal(layer(x), y.detach().numpy())
    gy = rng.normal(size=y.shape)
    y.backward(torch.tensor(gy))
    np.testing.assert_allclose(layer.backward(gy), t.grad.numpy(), rtol=1e-14)
