"""PyTorch's samples of its loss modules, and other losses written in PyTorch, as the oracle of values and gradients.

Both dtypes are compared with PyTorch in float64 on identical inputs, because PyTorch's float32 sums are less accurate than required here.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # required by PyTorch's test modules
modules = pytest.importorskip("torch.testing._internal.common_modules")
ROWS = {row["cls"]: row for row in _core.LOSSES}
INFO = {info.name.removeprefix("nn."): info for info in modules.module_db}
DTYPES = ["float32", "float64"]
TIGHT = {"float32": 1e-6, "float64": 1e-12}
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def plain(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, torch.Tensor) else value


def wide(value: Any) -> Any:
    return value.detach().double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def assert_close(got: Any, expected: Any, dtype: str, what: str) -> None:
    """Compare relative to each number, or to the largest where numbers cancel."""
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    assert got.shape == expected.shape, what
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    np.testing.assert_allclose(got, expected, rtol=TIGHT[dtype], atol=TIGHT[dtype] * largest, err_msg=what)


def compare(name: str, settings: dict[str, Any], arguments: tuple[Any, ...], dtype: str, theirs: Any = None) -> None:
    names = ROWS[name]["inputs"].split()
    differentiable = [i for i, n in enumerate(names[: 1 if name == "CTCLoss" else None]) if n != "target"]
    given = [wide(a) for a in arguments]
    for i in differentiable:
        given[i].requires_grad_()
    expected = (theirs or getattr(torch.nn, name)(**{k: wide(v) for k, v in settings.items()}))(*given)
    ours = getattr(pynn, name)(**{k: plain(v) for k, v in settings.items()})
    got = ours(*map(plain, arguments))
    assert got.dtype == dtype
    assert_close(got, plain(expected), dtype, f"value of {name}({settings})")
    g = np.random.default_rng(0).normal(size=expected.shape).astype(dtype)
    none = settings.get("reduction") == "none"
    gradients = torch.autograd.grad(expected, [given[i] for i in differentiable], torch.tensor(g).double() if none else None)
    back = ours.backward(g) if none else ours.backward()
    for got_gradient, i, gradient in zip(back if isinstance(back, tuple) else (back,), differentiable, gradients, strict=True):
        assert got_gradient.dtype == dtype
        assert_close(got_gradient, gradient.numpy(), dtype, f"gradient of {names[i]} of {name}({settings})")


def samples(name: str, dtype: str) -> Iterator[tuple[dict[str, Any], tuple[Any, ...]]]:
    info = INFO[name]
    for sample in info.module_inputs_func(info, device="cpu", dtype=getattr(torch, dtype), requires_grad=True, training=True):
        assert not sample.constructor_input.args
        yield sample.constructor_input.kwargs, sample.forward_input.args


@pytest.mark.parametrize("name", sorted(ROWS.keys() & INFO.keys()))
@each_dtype
def test_module_info(name: str, dtype: str) -> None:
    torch.manual_seed(0)
    for settings, arguments in samples(name, dtype):
        compare(name, settings, arguments, dtype)


def test_every_pytorch_loss_exists() -> None:
    """Except those that are layers too."""
    theirs = {name for name in dir(torch.nn) if name.endswith("Loss")}
    assert theirs - ROWS.keys() <= {"AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss", "TripletMarginWithDistanceLoss"}


def tensors(dtype: str, *shapes: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(len(shapes))
    return [torch.tensor(rng.normal(size=shape).astype(dtype)) for shape in shapes]


@each_dtype
@reductions
@pytest.mark.parametrize("settings", [
    {}, {"margin": 0.3}, {"p": 1.0}, {"p": 3.0}, {"p": 1.5}, {"p": float("inf")}, {"eps": 0.1},
    {"swap": True}, {"swap": True, "p": 1.0, "margin": 3.0},
])  # fmt: skip
@pytest.mark.parametrize("shape", [(7, 5), (5,), (0, 5)])
def test_triplet(settings: dict[str, Any], reduction: str, dtype: str, shape: tuple[int, ...]) -> None:
    compare("TripletMarginLoss", {**settings, "reduction": reduction}, tuple(tensors(dtype, shape, shape, shape)), dtype)


@each_dtype
@reductions
@pytest.mark.parametrize("pos", [(), (4,), (3, 4)])
@pytest.mark.parametrize("weight", [None, (), (4,), (6, 1, 1), (6, 3, 4)])
def test_bce_with_both_weights(pos: tuple[int, ...], weight: tuple[int, ...] | None, reduction: str, dtype: str) -> None:
    x, t, p = tensors(dtype, (6, 3, 4), (6, 3, 4), pos)
    settings = {"pos_weight": p.abs(), "reduction": reduction, **({} if weight is None else {"weight": tensors(dtype, weight)[0].abs()})}
    compare("BCEWithLogitsLoss", settings, (4 * x, torch.sigmoid(t)), dtype)


@each_dtype
@reductions
@pytest.mark.parametrize("shape", [(8, 5), (4, 5, 3), (2, 5, 3, 2), (5,)])
@pytest.mark.parametrize("smooth", [0.0, 0.2, 1.0])
def test_cross_entropy_with_all_arguments(shape: tuple[int, ...], smooth: float, reduction: str, dtype: str) -> None:
    x, w = tensors(dtype, shape, (5,))
    rng = np.random.default_rng(0)
    labels = torch.tensor(rng.integers(5, size=(shape[0], *shape[2:]) if len(shape) > 1 else ()))
    if len(shape) > 1:
        labels[0] = -7
    for target in (labels, torch.softmax(tensors(dtype, shape)[0], dim=1 if len(shape) > 1 else 0)):
        settings = {"weight": w.abs(), "ignore_index": -7, "label_smoothing": smooth, "reduction": reduction}
        compare("CrossEntropyLoss", settings, (x, target), dtype)


@each_dtype
@reductions
def test_every_row_ignored(reduction: str, dtype: str) -> None:
    labels = torch.full((4,), -100)
    for name in ("CrossEntropyLoss", "NLLLoss"):
        compare(name, {"reduction": reduction}, (tensors(dtype, (4, 3))[0], labels), dtype)


@each_dtype
@reductions
@pytest.mark.parametrize("zero_infinity", [True, False])
def test_ctc(zero_infinity: bool, reduction: str, dtype: str) -> None:
    """Targets too long for their input, without labels and without steps; repeated labels; one sequence alone."""
    x = torch.log_softmax(tensors(dtype, (9, 5, 4))[0], 2)
    targets = torch.tensor([[1, 1, 2, 3, 3, 3], [1, 2, 3, 1, 2, 3], [2, 2, 0, 0, 0, 0], [0] * 6, [3, 1, 0, 0, 0, 0]])
    targets[targets == 0] = 1
    lengths = [9, 6, 3, 4, 7], [6, 6, 2, 0, 2]
    if not zero_infinity:
        lengths = [9, 6, 3, 4, 7], [5, 6, 2, 0, 2]
    settings = {"zero_infinity": zero_infinity, "reduction": reduction}
    compare("CTCLoss", settings, (x, targets, *map(torch.tensor, lengths)), dtype)
    compare("CTCLoss", settings, (x[:, 0], targets[0, :3], torch.tensor(8), torch.tensor(3)), dtype)


# ---- losses that PyTorch lacks, written in PyTorch --------------------------------------------------------------------
def focal(x: Any, t: Any, alpha: float = 0.25, gamma: float = 2.0) -> Any:
    p, entropy = torch.sigmoid(x), torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none")
    weight = alpha * t + (1 - alpha) * (1 - t) if alpha >= 0 else 1
    return weight * (1 - p * t - (1 - p) * (1 - t)) ** gamma * entropy


def class_focal(x: Any, t: Any, gamma: float = 2.0) -> Any:
    entropy = torch.nn.functional.cross_entropy(x, t, reduction="none")
    return (1 - torch.exp(-entropy)) ** gamma * entropy


def overlap(a: Any, b: Any) -> tuple[Any, Any, Any, Any]:
    """Return intersection over union, union, and the sides and the area of the hull."""
    inside = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    union = sum((c[:, 2:] - c[:, :2]).prod(1) for c in (a, b)) - inside
    sides = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    return inside / (union + 1e-7), union, sides, sides.prod(1)


def iou(a: Any, b: Any) -> Any:
    return 1 - overlap(a, b)[0]


def giou(a: Any, b: Any) -> Any:
    ratio, union, _, hull = overlap(a, b)
    return 1 - ratio + (hull - union) / (hull + 1e-7)


def ciou(a: Any, b: Any) -> Any:
    ratio, _, sides, _ = overlap(a, b)
    angle, target_angle = (torch.atan((c[:, 2] - c[:, 0]) / (c[:, 3] - c[:, 1])) for c in (a, b))
    centres = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(1)
    v = 4 / np.pi**2 * (target_angle - angle) ** 2
    alpha = (v / (1 - ratio + v + 1e-7)).detach()
    return 1 - ratio + centres / (sides.square().sum(1) + 1e-7) + alpha * v


def dice(x: Any, t: Any, smooth: float = 1.0) -> Any:
    return 1 - (2 * (x * t).flatten(1).sum(1) + smooth) / ((x + t).flatten(1).sum(1) + smooth)


def tversky(x: Any, t: Any, alpha: float = 0.5, beta: float = 0.5, smooth: float = 1.0) -> Any:
    hits, extra, missed = ((a * b).flatten(1).sum(1) for a, b in ((x, t), (x, 1 - t), (1 - x, t)))
    return 1 - (hits + smooth) / (hits + smooth + alpha * extra + beta * missed)


def categorical_hinge(x: Any, t: Any) -> Any:
    one_hot = torch.nn.functional.one_hot(t, x.shape[1])
    return (1 - (one_hot * x).sum(1) + ((1 - one_hot) * x).amax(1)).clamp(min=0)


def generalized(x: Any, t: Any, q: float = 0.5) -> Any:
    return (1 - x.softmax(1).gather(1, t[:, None])[:, 0] ** q) / q


OTHERS = {
    "MAPELoss": (lambda x, t, eps=1e-7: 100 * (x - t).abs() / t.abs().clamp(min=eps), [{}, {"eps": 0.5}]),
    "MSLELoss": (lambda x, t, eps=1e-7: (x.clamp(min=eps).log1p() - t.clamp(min=eps).log1p()) ** 2, [{}, {"eps": 0.5}]),
    "HingeLoss": (lambda x, t: (1 - t * x).clamp(min=0), [{}]),
    "SquaredHingeLoss": (lambda x, t: (1 - t * x).clamp(min=0) ** 2, [{}]),
    "CategoricalHingeLoss": (categorical_hinge, [{}]),
    "GeneralizedCrossEntropyLoss": (generalized, [{}, {"q": 1.0}, {"q": 0.1}]),
    "TverskyLoss": (tversky, [{}, {"alpha": 0.3, "beta": 0.9, "smooth": 0.1}]),
    "SigmoidFocalLoss": (focal, [{}, {"alpha": -1.0, "gamma": 0.5}, {"alpha": 0.7, "gamma": 3.0}]),
    "FocalLoss": (class_focal, [{}, {"gamma": 0.5}, {"gamma": 0.0}]),
    "IoULoss": (iou, [{}]),
    "GIoULoss": (giou, [{}]),
    "CIoULoss": (ciou, [{}]),
    "DiceLoss": (dice, [{}, {"smooth": 0.1}]),
    "LogCoshLoss": (lambda x, t: torch.log(torch.cosh(x - t)), [{}]),
    "QuantileLoss": (lambda x, t, q=0.5: torch.maximum(q * (t - x), (q - 1) * (t - x)), [{}, {"q": 0.9}]),
}


@each_dtype
@reductions
@pytest.mark.parametrize("name", OTHERS)
def test_losses_that_pytorch_lacks(name: str, reduction: str, dtype: str) -> None:
    values, all_settings = OTHERS[name]
    x, y = tensors(dtype, (60, 4), (60, 4))
    targets: list[Any] = [y]
    if ROWS[name]["kind"] == "b":
        x, y = (torch.cat([c[:, :2], c[:, :2] + c[:, 2:].abs() + 0.1], 1) for c in (x, y))
        y[:5] = x[:5]
        targets = [y]
    elif ROWS[name]["target"] in "ci":
        targets = [torch.arange(60) % 4]
    elif ROWS[name]["target"] == "s":
        targets = [torch.where(y > 0, 1.0, -1.0).to(x.dtype)]
    elif ROWS[name]["target"] == "u":
        x, targets = (torch.sigmoid(x) if ROWS[name]["takes"] == "probabilities" else 3 * x), [(y > 0).to(x.dtype), torch.sigmoid(y)]
    for settings in all_settings:
        reduce = {"mean": torch.mean, "sum": torch.sum, "none": lambda a: a}[reduction]
        for target in targets:
            compare(name, {**settings, "reduction": reduction}, (x, target), dtype, lambda a, b, s=settings, r=reduce: r(values(a, b, **s)))


@each_dtype
@pytest.mark.parametrize("name", sorted(cls for cls in ROWS if hasattr(torch.nn, cls)))
def test_empty_batch(name: str, dtype: str) -> None:
    """Without rows the sum is 0 and the mean NaN, as in PyTorch."""
    row = ROWS[name]
    if name in ("CTCLoss", "MultiLabelMarginLoss", "MultiMarginLoss"):
        pytest.skip("PyTorch refuses an empty batch")
    one_a_row = row["target"] in "cp" or name == "CosineEmbeddingLoss"
    shapes = [(0,) if n == "target" and one_a_row else (0, 3) for n in row["inputs"].split()]
    arguments = tensors(dtype, *shapes)
    if row["target"] in "cp":
        arguments[1] = arguments[1].long()
    for reduction in ("sum", "mean"):
        ours = getattr(pynn, name)(reduction=reduction)(*map(plain, arguments))
        np.testing.assert_array_equal(ours, getattr(torch.nn, name)(reduction=reduction)(*arguments).numpy())
