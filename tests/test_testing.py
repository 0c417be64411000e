"""`pynn.testing`: built-in layers and losses pass, and each defect is detected with a specific message."""

import re
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core
from pynn.testing import assert_beats, assert_gradients, assert_healthy, assert_learns, check_layer

F64 = {"dtype": "float64"}
# Arguments and sample shapes (a list of them for several inputs) of layers that need arguments.
MAKE: dict[str, tuple[dict[str, Any] | tuple[Any, ...], Any]] = {
    "Add": ((), [(4,), (4,)]),
    "Bilinear": ((3, 4, 2), [(3,), (4,)]),
    "Concat": ((), [(4,), (4,)]),
    "Flatten": ((), (2, 3)),
    "GroupNorm": ((2, 4), (4, 3)),
    "LayerNorm": ((5,), (4, 5)),
    "LazyConv1d": ((4, 2), (3, 6)),
    "LazyConv2d": ((4, 2), (3, 5, 4)),
    "LazyLinear": ((3,), (2, 4)),
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
    "WeightNorm": ((pynn.Linear(4, 3, dtype="float64", seed=0),), (4,)),
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
ABSTRACT = {"Activation", "Sequential", "Model", "SpectralNorm"}  # the last one changes its vectors in each training call
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


# ---- assert_gradients -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("row", _core.LOSSES, ids=lambda row: row["name"])
def test_gradients_of_built_in_losses_pass(row: dict[str, Any], reduction: str) -> None:
    assert_gradients(getattr(pynn.losses, row["cls"])(reduction=reduction))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in INDICES])
def test_gradients_of_built_in_layers_pass(name: str) -> None:
    layer, shape = make(name)
    shapes = shape if isinstance(shape, list) else [shape]
    rng = np.random.default_rng(1)
    assert_gradients(layer, *(rng.normal(size=(3, *np.atleast_1d(s))) for s in shapes))


def test_gradients_find_a_shape_that_a_net_accepts() -> None:
    net = pynn.Sequential(pynn.Conv2d(3, 4, 3, seed=0), "relu", pynn.Flatten(), pynn.Linear(64, 2, seed=1))
    net.eval()
    assert_gradients(net)
    assert not net.training
    assert_gradients(pynn.Embedding(5, 3, dtype="float64"), [[1, 2], [0, 4]])


def test_a_net_with_kinks_passes_in_float32_and_a_wrong_gradient_does_not() -> None:
    class Wrong(pynn.Layer):
        def forward(self, x: np.ndarray) -> np.ndarray:
            self.x = x
            return np.maximum(x, 0)

        def backward(self, gy: np.ndarray) -> np.ndarray:
            return gy * (self.x > 0) * 1.2

    for seed in range(3):
        assert_gradients(pynn.Sequential(pynn.Linear(5, 64, seed=seed), "relu", pynn.Linear(64, 1, seed=seed)), seed=seed)
        with pytest.raises(AssertionError, match=r"Sequential, training mode: the gradient of .* is wrong at .* backward gives"):
            assert_gradients(pynn.Sequential(pynn.Linear(5, 64, seed=seed), Wrong(), pynn.Linear(64, 1, seed=seed)), seed=seed)


def test_a_loss_with_a_wrong_gradient_is_detected() -> None:
    loss = pynn.losses.FunctionLoss(lambda x, t: ((x - t) ** 2, x - t))
    with pytest.raises(AssertionError, match=r"FunctionLoss: the gradient of input is wrong at \(0,\): backward gives 0.5, .* give 1$"):
        assert_gradients(loss, [1.0, 3.0], [0.0, 0.0])


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (("relu",), TypeError, "layer_or_loss: expected a pynn.Layer or a pynn.Loss, got 'relu'"),
        ((pynn.losses.FunctionLoss(lambda x, t: (x, x)),), ValueError, "give its arguments"),
        ((pynn.losses.MSELoss(), [1, 2], [1, 2]), ValueError, "input: expected an array of floating-point numbers, got int64"),
        ((pynn.Reshape((7, 7)),), ValueError, "none of the shapes tried fits"),
    ],
)
def test_arguments_of_assert_gradients(given: tuple[Any, ...], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        assert_gradients(*given)


# ---- assert_beats ---------------------------------------------------------------------------------------------------
GOOD = [0.95, 0.96, 0.94, 0.97, 0.95, 0.96, 0.95, 0.97]
BAD = [0.91, 0.93, 0.90, 0.92, 0.92, 0.93, 0.90, 0.94]


def test_the_better_scores_win() -> None:
    assert_beats(GOOD, BAD)
    assert_beats(GOOD, {"sigmoid": BAD, "linear": np.array(BAD) - 0.1})


@pytest.mark.parametrize(
    ("a", "b", "options", "text"),
    [
        (BAD, GOOD, {}, r"a does not beat b: a is lower by 3.7 points on average, 95 % interval -4.6 to -2.9 points \(p = 0.00781, 8 "),
        (GOOD, GOOD, {}, r"a does not beat b: both are equal on average"),
        (GOOD, {"x": BAD, "y": GOOD[::-1]}, {}, r"a does not beat y: .*\n(.*\n)*.*seeds are needed"),
        ([x + 0.001 for x in GOOD[::-1]], GOOD, {"confidence": 0.99}, r"a does not beat b: a is higher by 0.1 points .* 99 % interval"),
        (GOOD, BAD, {"test_fraction": 0.9}, r"a does not beat b: a is higher by .*\n(.*\n)*.*test sets overlap"),
    ],
)
def test_scores_that_do_not_show_it(a: Any, b: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        assert_beats(a, b, **options)


def test_arguments_of_assert_beats() -> None:
    with pytest.raises(ValueError, match=r"a: 5 scores; at confidence 0.95 at least 6 are needed"):
        assert_beats(GOOD[:5], BAD[:5])
    with pytest.raises(ValueError, match=r"confidence: expected a number from 0.5 to 0.999, got 95"):
        assert_beats(GOOD, BAD, confidence=95)
    with pytest.raises(ValueError, match="the label 'a' is reserved for the first scores"):
        assert_beats(GOOD, {"a": BAD})


def test_equal_methods_rarely_win() -> None:
    rng = np.random.default_rng(0)
    wins = 0
    for _ in range(200):
        a, b = rng.normal(size=(2, 10))
        try:
            assert_beats(a, b)
        except AssertionError:
            continue
        wins += 1
    assert wins <= 200 * 0.025 + 3 * (200 * 0.025) ** 0.5


# ---- assert_learns and assert_healthy -------------------------------------------------------------------------------
def digits_net(*, seed: int = 0) -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(64, 32, seed=seed), "relu", pynn.Linear(32, 10, seed=seed + 1))


def test_a_net_that_learns_passes_and_is_not_changed() -> None:
    X, y = pynn.datasets.load_digits()
    net = digits_net()
    before = {name: value.copy() for name, value in net.state_dict().items()}
    score = assert_learns(net, X[:500] / 16, y[:500], score=0.9)
    assert 0.9 <= score < 1  # it ended early
    assert assert_learns(net, X[:500] / 16, y[:500], score=0.8, epochs=40, test_data=(X[500:], y[500:])) > 0.8
    assert net.history is None
    assert all((before[name] == value).all() for name, value in net.state_dict().items())


def test_a_net_that_does_not_learn_is_explained() -> None:
    X, y = pynn.datasets.load_digits()
    net = digits_net()
    net[0].bias[:] = -100
    with pytest.raises(AssertionError) as caught:
        assert_learns(net, X / 16, y, score=0.9, epochs=3)
    first, *others = str(caught.value).splitlines()
    assert re.match(r"Sequential does not learn: accuracy 0.1\d* on the 1797 training samples after 3 epochs, expected at least 0.9", first)
    assert f"predicting the most frequent class gives an accuracy of {np.bincount(y).max() / len(y):.4g}" in others[0]
    assert "the loss went from 2.3" in others[1]
    assert "100 % of ReLU units never fired" in others[2]


def test_other_failures_of_assert_learns() -> None:
    X, y = pynn.datasets.load_digits()
    with pytest.raises(AssertionError, match=r"was still falling: train for more epochs"):
        assert_learns(digits_net(), X / 16, y, score=0.99, epochs=2)
    with pytest.raises(AssertionError, match=r"(?s)R2 -?\d.* on the 64 training samples.*predicting the mean gives an R2 of 0"):
        assert_learns(pynn.Sequential(pynn.Linear(1, 1, seed=0)), np.linspace(-1, 1, 64)[:, None], np.linspace(-1, 1, 64) ** 2, score=0.5)
    with pytest.raises(AssertionError, match=r"Sequential does not learn: .*(NaN|infin|finite)"):
        assert_learns(digits_net(), X * 1e30, y, score=0.5, optimizer=pynn.optim.SGD(lr=1e30))
    with pytest.raises(ValueError, match="score: expected a number up to 1, an accuracy or R2, got 90"):
        assert_learns(digits_net(), X, y, score=90)
    with pytest.raises(TypeError, match=r"model: expected a pynn.Sequential or pynn.Model, got 'net'"):
        assert_learns("net", X, y, score=0.9)


def test_health() -> None:
    X, y = pynn.datasets.load_digits()
    net = digits_net()
    with pytest.raises(ValueError, match="has not been fitted"):
        assert_healthy(net)
    net.fit(X / 16, y, loss="cross_entropy", epochs=2, seed=0)
    assert_healthy(net)
    assert_healthy(net, X / 16, y)
    net[0].bias[:] = -100
    with pytest.raises(AssertionError, match=r"Sequential has \d health problems? on the given data:\n- problem: layer 1: 100 % of ReLU"):
        assert_healthy(net, X / 16)
    with pytest.raises(TypeError, match="model: expected"):
        assert_healthy(None)
