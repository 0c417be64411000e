"""Arguments of PyTorch's layers, alone and in combination, beyond PyTorch's samples: forward, backward and states."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pynn

torch = pytest.importorskip("torch")
Case = tuple[str, dict[str, Any], tuple[int, ...]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one PyTorch thread: its threads spin while waiting, which takes minutes on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def grid(**choices: list[Any]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def convolutions() -> Iterator[Case]:
    for axes in (1, 2):
        size = (9, 8)[:axes]
        modes = ["zeros", "reflect", "replicate", "circular"]
        for how in grid(padding_mode=modes, padding=[0, 2, "same", "valid"], stride=[1, 2], dilation=[1, 2]):
            if how["padding"] != "same" or how["stride"] == 1:
                yield f"Conv{axes}d", {"in_channels": 3, "out_channels": 4, "kernel_size": 3, **how}, (2, 3, *size)
        for groups, bias in itertools.product([1, 2, 4], [True, False]):
            made = {"in_channels": 4, "out_channels": 8, "kernel_size": 2, "groups": groups, "bias": bias}
            yield f"Conv{axes}d", made, (4, *size)
            for how in grid(stride=[1, 3], padding=[0, 1], dilation=[1, 2]):
                for extra in (0, 1):
                    if extra < max(how["stride"], how["dilation"]):
                        yield f"ConvTranspose{axes}d", {**made, **how, "output_padding": extra}, (2, 4, *size)
    made = {"in_channels": 3, "out_channels": 4}
    yield "Conv2d", {**made, "kernel_size": (2, 3), "stride": (3, 1), "padding": (1, 2), "dilation": (2, 1)}, (2, 3, 8, 7)
    yield "Conv2d", {**made, "kernel_size": (3, 1), "padding": (2, 1), "padding_mode": "circular"}, (3, 5, 4)
    yield "ConvTranspose2d", {**made, "kernel_size": (2, 3), "stride": (3, 2), "output_padding": (2, 1)}, (3, 5, 4)


def pools() -> Iterator[Case]:
    for axes in (1, 2):
        for lead in ((2, 3), (3,)):
            shape = (*lead, *(10, 7)[:axes])
            for how in grid(kernel_size=[2, 3], stride=[None, 1, 2], padding=[0, 1], ceil_mode=[False, True]):
                yield f"MaxPool{axes}d", {**how, "return_indices": True}, shape
                yield f"MaxPool{axes}d", {**how, "dilation": 2}, shape
                for counted in (True, False):
                    yield f"AvgPool{axes}d", {**how, "count_include_pad": counted}, shape
                if axes == 2:
                    yield "AvgPool2d", {**how, "divisor_override": 3}, shape
                if not how["padding"]:
                    del how["padding"]
                    yield f"LPPool{axes}d", {"norm_type": 3, **how}, shape
            for size in (1, 4, 11, (3, None)[:axes], (5, 2)[:axes]):
                yield f"AdaptiveAvgPool{axes}d", {"output_size": size}, shape
                yield f"AdaptiveMaxPool{axes}d", {"output_size": size, "return_indices": True}, shape
    yield "MaxPool2d", {"kernel_size": (3, 1), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 1), "ceil_mode": True}, (2, 3, 9, 8)
    for how in grid(kernel_size=[2, (3, 1)], dilation=[1, (1, 2)], padding=[0, (1, 0)], stride=[1, (2, 1)]):
        yield "Unfold", how, (2, 3, 5, 6)
        yield "Unfold", how, (3, 5, 6)


def norms() -> Iterator[Case]:
    for name, shapes in {"BatchNorm1d": [(6, 4), (6, 4, 5)], "BatchNorm2d": [(3, 4, 5, 2)], "InstanceNorm1d": [(3, 4, 6), (4, 6)],
                         "InstanceNorm2d": [(3, 4, 5, 2), (4, 5, 2)]}.items():  # fmt: skip
        for shape, how in itertools.product(shapes, grid(momentum=[0.1, 0.0, 1.0, *[None] * ("Batch" in name)], affine=[True, False],
                                                         track_running_stats=[True, False], eps=[1e-5, 0.3])):  # fmt: skip
            yield name, {"num_features": 4, **how}, shape
    for how in grid(eps=[1e-5, 0.3], affine=[True, False], num_groups=[1, 2, 6]):
        for shape in ((5, 6), (2, 6, 3), (2, 6, 2, 5), (2, 6, 2, 2, 3)):
            yield "GroupNorm", {"num_channels": 6, **how}, shape
    for how in grid(normalized_shape=[3, (3,), (2, 3), (5, 2, 3)], elementwise_affine=[True, False]):
        yield "LayerNorm", {**how, "eps": 0.1}, (4, 5, 2, 3)
        yield "LayerNorm", {**how, "bias": False}, (5, 2, 3)
        yield "RMSNorm", {**how, "eps": None}, (4, 5, 2, 3)
    for how in grid(size=[2, 5, 9], alpha=[1e-4, 0.5], beta=[0.75, 2.0], k=[1.0, 0.5]):
        yield "LocalResponseNorm", how, (2, 6, 4)


def others() -> Iterator[Case]:
    for dim in (0, 1, 2, -1, -3):
        yield "GLU", {"dim": dim}, (2, 4, 6)
        yield "Softmax", {"dim": dim}, (2, 4, 6)
    activations = {
        "PReLU": {"num_parameters": 4, "init": 0.7},
        "Hardtanh": {"min_val": -0.3, "max_val": 0.2},
        "LeakyReLU": {"negative_slope": -0.5},
        "GELU": {"approximate": "tanh"},
        "CELU": {"alpha": 0.25},
        "Softplus": {"beta": 3.0},
        "Softshrink": {"lambd": 0.1},
        "Threshold": {"threshold": 0.1, "value": 20.0},
        "Identity": {},
    }
    for name, how in activations.items():
        yield name, how, (3, 4, 5)
    pads = {"ReflectionPad": (1, 0, 2, 1), "ReplicationPad": (0, 3, 2, 1), "CircularPad": (2, 0, 1, 3), "ZeroPad": (1, -1, -2, 3)}
    for name, numbers in pads.items():
        for axes in (1, 2):
            yield f"{name}{axes}d", {"padding": numbers[: 2 * axes]}, (2, 3, 4, 5)[2 - axes :]
    yield "ConstantPad2d", {"padding": (-1, 2, 0, -2), "value": 0.5}, (2, 3, 4, 5)
    yield "Flatten", {"start_dim": -2, "end_dim": -1}, (2, 3, 4)
    yield "Unflatten", {"dim": -1, "unflattened_size": (2, -1)}, (3, 6)
    yield "PixelShuffle", {"upscale_factor": 2}, (8, 3, 2)
    yield "Bilinear", {"in1_features": 3, "in2_features": 4, "out_features": 2}, (5, 2, 3)


CASES = [*convolutions(), *pools(), *norms(), *others()]


@pytest.mark.parametrize(("name", "made", "shape"), CASES, ids=str)
def test_arguments(name: str, made: dict[str, Any], shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    theirs = getattr(torch.nn, name)(**made).double()
    states = theirs.state_dict()
    layer = pynn.Layer.classes[name](**made, **({"dtype": "float64"} if states else {}))
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.tensor(rng.normal(size=p.shape)))
    layer.load_state_dict(theirs.state_dict())
    xs = [rng.normal(size=shape)] + [rng.normal(size=(*shape[:-1], 4))] * (name == "Bilinear")
    for training in (True, True, False):
        layer.train(training)
        theirs.train(training)
        inputs = [torch.tensor(x, requires_grad=True) for x in xs]
        theirs.zero_grad()
        layer.zero_grad()
        y, expected = layer(*xs), theirs(*inputs)
        if isinstance(expected, tuple):
            np.testing.assert_array_equal(y[1], expected[1].numpy())
        first, output = (y[0], expected[0]) if isinstance(expected, tuple) else (y, expected)
        near(first, output)
        gy = rng.normal(size=output.shape)
        output.backward(torch.tensor(gy))
        gxs = layer.backward(gy)
        for gx, t in zip(gxs if isinstance(gxs, tuple) else (gxs,), inputs, strict=True):
            near(gx, t.grad)
        for key, p in theirs.named_parameters():
            near(layer.grads[key], p.grad)
        for key, state in theirs.state_dict().items():
            near(layer.state_dict()[key], state)


def near(ours: Any, theirs: Any) -> None:
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


TABLES = [
    *grid(name=["Embedding"], padding_idx=[None, 0, -1], max_norm=[None, 0.9], norm_type=[2.0, 1.0], scale_grad_by_freq=[False, True]),
    *grid(name=["EmbeddingBag"], mode=["sum", "mean", "max"], padding_idx=[None, 0, -1], max_norm=[None, 0.9], norm_type=[2.0, 1.0]),
]


@pytest.mark.parametrize("made", TABLES, ids=str)
def test_embeddings(made: dict[str, Any]) -> None:
    """PyTorch uses the frequency of a wrong row for bags, so scale_grad_by_freq is tested elsewhere."""
    made = dict(made)
    name = made.pop("name")
    rng = np.random.default_rng(0)
    theirs = getattr(torch.nn, name)(7, 3, **made).double()
    layer = pynn.Layer.classes[name](7, 3, **made, dtype="float64")
    layer.load_state_dict(theirs.state_dict())
    for shape in ((4, 5), (2, 9), (0, 3)):
        x = rng.integers(7, size=shape)
        theirs.zero_grad()
        layer.zero_grad()
        expected = theirs(torch.tensor(x))
        gy = rng.normal(size=expected.shape)
        near(layer(x), expected)
        expected.backward(torch.tensor(gy))
        layer.backward(gy)
        near(layer.grads["weight"], theirs.weight.grad)
        near(layer.weight, theirs.weight)
