"""`pynn.testing.check_layer`: every built-in layer passes, and each defect is detected with a specific message."""

import re
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core
from pynn.testing import check_layer

F64 = {"dtype": "float64"}
# Arguments and sample shapes (a list of them for several inputs) of layers that need arguments.
MAKE: dict[str, tuple[dict[str, Any] | tuple[Any, ...], Any]] = {
    "Add": ((), [(4,), (4,)]),
    "Bilinear": ((3, 4, 2), [(3,), (4,)]),
    "Concat": ((), [(4,), (4,)]),
    "Flatten": ((), (2, 3)),
    "GroupNorm": ((2, 4), (4, 3)),
    "LayerNorm": ((5,), (4, 5)),
    "Linear": ((4, 3), (2, 4)),
    "Fold": (((4, 3), 2), (8, 6)),
    "MaxOut": ((2,), (6, 3)),
    "PReLU": ((3,), (3, 4)),
    "Parallel": (("relu", "tanh"), (4,)),
    "Permute": (((0, 2, 1),), (2, 3)),
    "PixelShuffle": ((2,), (4, 2, 3)),
    "PixelUnshuffle": ((2,), (2, 4, 6)),
    "RMSNorm": ((5,), (4, 5)),
    "Reshape": ((2, -1), (4, 3)),
    "Residual": (("tanh",), (4,)),
    "Softmax2d": ((), (3, 2, 2)),
    "Threshold": ((0.3, -1.0), (5,)),
    "Transpose": ((1, 2), (2, 3)),
    "Unflatten": ((1, (2, 3)), (6,)),
    "Unfold": ((2,), (2, 4, 3)),
    "Upsample": ((None, 2.0), (2, 3, 3)),
}
# By prefix of the name.
FAMILIES: list[tuple[str, tuple[Any, ...], Any]] = [
    (r"(Batch|Instance)Norm1d", (3,), (3, 4)),
    (r"(Batch|Instance)Norm2d", (3,), (3, 4, 2)),
    (r"Conv(Transpose)?1d", (3, 4, 2), (3, 6)),
    (r"Conv(Transpose)?2d", (3, 4, 2), (3, 5, 4)),
    (r"ConstantPad1d", (2, 0.5), (2, 4)),
    (r"ConstantPad2d", (2, 0.5), (2, 4, 3)),
    (r"ConstantPad3d", (2, 0.5), (2, 4, 3, 3)),
    (r".*Pad1d", (2,), (2, 4)),
    (r".*Pad2d", (2,), (2, 4, 3)),
    (r".*Pad3d", (2,), (2, 4, 3, 3)),
    (r"Adaptive.*Pool1d", (3,), (2, 7)),
    (r"Adaptive.*Pool2d", (3,), (2, 7, 5)),
    (r"LPPool1d", (2.0, 2), (2, 6)),
    (r"LPPool2d", (2.0, 2), (2, 6, 4)),
    (r"Global.*Pool1d", (), (2, 7)),
    (r"Global.*Pool2d", (), (2, 7, 5)),
    (r".*Pool1d", (2,), (2, 6)),
    (r".*Pool2d", (2,), (2, 6, 4)),
    (r"LocalResponseNorm", (3,), (5, 2, 2)),
    (r".*(Dropout|Noise)2d", (), (3, 4, 2)),
    (r".*(Dropout|Noise)1d", (), (3, 4)),
]
INDICES = {"Embedding": ((7, 3), (4,)), "EmbeddingBag": ((7, 3), (4,))}
ABSTRACT = {"Activation", "Sequential", "Model"}
ABRUPT = {"Hardmax"}
NAMES = [n for n, c in pynn.Layer.classes.items() if c.__module__.startswith("pynn.") and n not in ABSTRACT]


def make(name: str) -> tuple[pynn.Layer, Any]:
    cls = pynn.Layer.classes[name]
    found = MAKE.get(name) or INDICES.get(name) or next(((args, shape) for p, args, shape in FAMILIES if re.fullmatch(p, name)), ((), (6,)))
    args, shape = found
    dtype = F64 if "dtype" in (cls.__init__.__annotations__ or {}) else {}
    return cls(*args, **dtype), shape


@pytest.mark.parametrize("name", NAMES)
def test_built_in_layers_pass(name: str, isa: str) -> None:
    layer, shape = make(name)
    check_layer(layer, shape, independent=not name.startswith("BatchNorm"), integers=7 if name in INDICES else None)


class Good(pynn.Layer):
    """A correct layer with two inputs and a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = pynn.Parameter(np.array([0.5, 2.0, 1.5]))

    def forward(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        self.a, self.b = a, b
        return np.asarray(self.scale.data * a * b)

    def backward(self, gy: np.ndarray) -> Any:
        self.scale.grad += (gy * self.a * self.b).reshape(-1, 3).sum(0)
        return gy * self.scale.data * self.b, gy * self.scale.data * self.a


def test_correct_custom_layer_passes() -> None:
    check_layer(Good(), [(3,), (3,)])


class Scale(pynn.Layer):
    """The base class of the broken layers."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = pynn.Parameter(np.array([0.5, 2.0, 1.5]))

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        return self.scale.data * x

    def backward(self, gy: np.ndarray) -> np.ndarray:
        self.scale.grad += (gy * self.x).sum(0)
        return gy * self.scale.data


class WrongGradient(Scale):
    def backward(self, gy: np.ndarray) -> np.ndarray:
        return super().backward(gy) * 1.01


class WrongParameterGradient(Scale):
    def backward(self, gy: np.ndarray) -> np.ndarray:
        self.scale.grad += gy.sum(0)
        return gy * self.scale.data


class Overwrites(Scale):
    def backward(self, gy: np.ndarray) -> np.ndarray:
        self.scale.grad[...] = (gy * self.x).sum(0)
        return gy * self.scale.data


class Centres(Scale):
    def forward(self, x: np.ndarray) -> np.ndarray:
        return super().forward(x) - x.sum(0) / max(len(x), 1)

    def backward(self, gy: np.ndarray) -> np.ndarray:
        return super().backward(gy) - gy.sum(0) / max(len(gy), 1)


class ChangesItsInput(Scale):
    def forward(self, x: np.ndarray) -> np.ndarray:
        x *= 2
        return super().forward(x)

    def backward(self, gy: np.ndarray) -> np.ndarray:
        return super().backward(gy) * 2


class DropsRows(Scale):
    def forward(self, x: np.ndarray) -> np.ndarray:
        return super().forward(x)[:1]


@pytest.mark.parametrize(("broken", "text"), [
    (WrongGradient, r"WrongGradient, training mode: the gradient of the input is wrong at \(\d, \d\): backward gives"),
    (WrongParameterGradient, r"the gradient of scale is wrong at \(0,\)"),
    (Overwrites, r"a second backward does not add to the gradient of scale"),
    (Centres, "the output of a sample depends on the other samples of the batch"),
    (ChangesItsInput, "the input was changed in place"),
    (DropsRows, r"3 samples give an output of shape \(1, 3\)"),
])  # fmt: skip
def test_defects_are_detected(broken: type[pynn.Layer], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        check_layer(broken(), (3,))


def test_mode_is_restored() -> None:
    layer = pynn.Sequential(pynn.Linear(3, 3, **F64), pynn.RReLU()).eval()
    layer[1].train()
    check_layer(layer, (3,))
    assert [layer.training, layer[0].training, layer[1].training] == [False, False, True]
    assert _core.isa()


class Random(Scale):
    def forward(self, x: Any) -> Any:
        return super().forward(x * np.random.default_rng().normal())


class RootOfTheNegative(Scale):
    def forward(self, x: Any) -> Any:
        with np.errstate(invalid="ignore"):
            return np.sqrt(super().forward(x))


class NeedsARow(Scale):
    def forward(self, x: Any) -> Any:
        return super().forward(x) + 0 * x[0]


class Unmade(pynn.Layer):
    def __init__(self) -> None:
        self.factor = 2

    def forward(self, x: Any) -> Any:
        return self.factor * x


@pytest.mark.parametrize(("broken", "error", "text"), [
    (Random, AssertionError, "a second call with the same input gives a different output"),
    (RootOfTheNegative, AssertionError, "the output contains NaN or infinity for finite input"),
    (NeedsARow, AssertionError, "an empty batch raises IndexError: index 0"),
    (Unmade, TypeError, r"layer: Unmade\.__init__ must call super\(\)\.__init__\(\)"),
    (lambda: "relu", TypeError, "layer: expected a pynn.Layer, got 'relu'"),
])  # fmt: skip
def test_error_describes_the_defect(broken: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        pynn.testing.check_layer(broken(), 3)


def test_net_rejects_uninitialized_layer() -> None:
    with pytest.raises(TypeError, match=r"layers: Unmade\.__init__ must call super\(\)\.__init__\(\)"):
        pynn.Sequential(pynn.Linear(2, 2), Unmade())
