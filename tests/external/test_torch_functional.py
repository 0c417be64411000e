"""`torch.nn.functional` as the oracle of `pynn.functional`: names, arguments and values."""

import inspect
from typing import Any

import numpy as np
import pytest

import pynn
import pynn.functional as F

torch = pytest.importorskip("torch")
T = torch.nn.functional
RNG = np.random.default_rng(0)
NEAR = {"float32": {"rtol": 2e-5, "atol": 2e-5}, "float64": {"rtol": 1e-10, "atol": 1e-10}}


def some(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def positive(*shape: int) -> np.ndarray:
    return RNG.uniform(0.1, 0.9, size=shape)


LABELS = RNG.integers(0, 4, size=5)
SIGNS = RNG.choice([-1.0, 1.0], size=(5, 4))
PLAIN = ("relu", "relu6", "celu", "selu", "silu", "mish", "hardswish", "hardsigmoid", "softsign", "tanhshrink", "sigmoid", "tanh")
Case = tuple[str, tuple[Any, ...], dict[str, Any]]
CASES: list[Case] = [
    ("linear", (some(2, 5, 3), some(4, 3), some(4)), {}),
    ("linear", (some(5, 3), some(3)), {}),
    ("bilinear", (some(5, 3), some(5, 2), some(4, 3, 2), some(4)), {}),
    ("conv1d", (some(2, 4, 9), some(6, 2, 3), some(6)), {"stride": 2, "padding": 1, "groups": 2}),
    ("conv1d", (some(4, 9), some(6, 4, 3)), {"padding": "same"}),
    ("conv2d", (some(2, 3, 8, 7), some(4, 3, 3, 2), some(4)), {"stride": (2, 1), "padding": (1, 0), "dilation": 2}),
    ("conv2d", (some(3, 8, 7), some(4, 3, 3, 2)), {}),
    ("conv_transpose1d", (some(2, 4, 5), some(4, 3, 3), some(3)), {"stride": 2, "padding": 1, "output_padding": 1}),
    ("conv_transpose2d", (some(2, 4, 5, 4), some(4, 3, 3, 2), some(6)), {"stride": 2, "groups": 2}),
    ("embedding", (LABELS.reshape(5, 1), some(4, 3)), {"padding_idx": 1}),
    ("embedding", (LABELS, some(4, 3)), {"max_norm": 0.5}),
    ("embedding_bag", (LABELS, some(4, 3), np.array([0, 2, 3])), {"mode": "max"}),
    ("embedding_bag", (LABELS.reshape(1, 5), some(4, 3)), {"mode": "sum", "per_sample_weights": some(1, 5)}),
    ("layer_norm", (some(5, 3, 4), (3, 4), some(3, 4), some(3, 4)), {"eps": 1e-3}),
    ("layer_norm", (some(5, 4), (4,)), {}),
    ("layer_norm", (some(5, 4), (4,)), {"bias": some(4)}),
    ("rms_norm", (some(5, 4), (4,), some(4)), {"eps": 1e-3}),
    ("rms_norm", (some(5, 4), (4,)), {}),
    ("group_norm", (some(5, 4, 3), 2, some(4), some(4)), {}),
    ("group_norm", (some(5, 4, 3), 2), {}),
    ("group_norm", (some(5, 4, 3), 2), {"bias": some(4)}),
    ("batch_norm", (some(5, 4), some(4), positive(4), some(4), some(4)), {}),
    ("batch_norm", (some(5, 4, 2, 3, 2), some(4), positive(4), some(4), some(4)), {"training": True, "momentum": 0.3}),
    ("batch_norm", (some(5, 4, 6), None, None), {"training": True}),
    ("instance_norm", (some(5, 4, 6),), {}),
    ("instance_norm", (some(5, 4, 6, 2), some(4), positive(4), some(4), some(4)), {}),
    ("instance_norm", (some(5, 4, 6), some(4), positive(4)), {"use_input_stats": False}),
    ("prelu", (some(5, 4, 2), some(4)), {}),
    ("prelu", (some(5), some(1)), {}),
    ("pad", (some(2, 3, 4), (1, 2, 0, 3)), {"value": 7.0}),
    ("pad", (some(2, 3, 4), (-1, 2, 1, -1)), {}),
    ("pad", (some(2, 3, 4), (2, 1)), {"mode": "reflect"}),
    ("pad", (some(2, 3, 4, 3), (2, 1, 0, 2)), {"mode": "replicate"}),
    ("pad", (some(2, 3, 4), (4, 1)), {"mode": "circular"}),
    ("one_hot", (LABELS,), {"num_classes": 6}),
    ("one_hot", (LABELS.reshape(1, 5),), {}),
    *(("normalize", (some(2, 3, 4),), {"p": p, "dim": dim}) for p, dim in ((2.0, 1), (1.0, -1), (np.inf, 0), (3.0, 2))),
    ("normalize", (np.zeros((2, 2)),), {}),
    ("cosine_similarity", (some(5, 4), some(5, 4)), {}),
    ("cosine_similarity", (some(5, 4, 2), some(1, 4, 1)), {"dim": -2}),
    ("cosine_similarity", (np.zeros((2, 2)), some(2, 2)), {}),
    ("pairwise_distance", (some(5, 4), some(5, 4)), {"p": 1.0, "keepdim": True}),
    ("pairwise_distance", (some(5, 4), some(4)), {}),
    ("max_pool1d", (some(2, 3, 9), 3), {"stride": 2, "padding": 1}),
    ("max_pool2d", (some(2, 3, 9, 8), 2), {"ceil_mode": True}),
    ("max_pool2d", (some(2, 3, 8, 8), 2, 2, 0, 1, False, True), {}),
    ("avg_pool1d", (some(2, 3, 9), 3), {"padding": 1, "count_include_pad": False}),
    ("avg_pool2d", (some(2, 3, 9, 8), (2, 3)), {"divisor_override": 5}),
    ("lp_pool1d", (positive(2, 3, 9), 2.0, 3), {}),
    ("lp_pool2d", (positive(2, 3, 9, 8), 3.0, 2), {}),
    ("adaptive_avg_pool1d", (some(2, 3, 9), 4), {}),
    ("adaptive_avg_pool2d", (some(2, 3, 9, 8), (4, 3)), {}),
    ("adaptive_max_pool1d", (some(2, 3, 9), 4), {}),
    ("adaptive_max_pool2d", (some(2, 3, 9, 8), (4, 3)), {"return_indices": True}),
    ("fold", (some(2, 8, 2), (2, 3), 2), {}),
    ("unfold", (some(2, 3, 5, 4), 2), {"stride": 2}),
    ("glu", (some(5, 6),), {"dim": -1}),
    ("local_response_norm", (some(2, 5, 3), 3), {}),
    ("pixel_shuffle", (some(2, 8, 3, 3), 2), {}),
    ("pixel_unshuffle", (some(2, 2, 4, 4), 2), {}),
    ("interpolate", (some(2, 3, 4),), {"scale_factor": 2.0, "mode": "linear", "align_corners": True}),
    ("interpolate", (some(2, 3, 4, 5),), {"size": (7, 3)}),
    *((name, (some(3, 4),), {"training": False}) for name in ("dropout", "alpha_dropout", "rrelu")),
    *((name, (some(3, 4),), {"dim": dim}) for name in ("softmax", "log_softmax", "softmin") for dim in (0, 1)),
    ("gelu", (some(9),), {"approximate": "tanh"}),
    ("leaky_relu", (some(9),), {"negative_slope": 0.3}),
    ("elu", (some(9),), {"alpha": 0.5, "inplace": True}),
    ("hardtanh", (some(9), -0.5, 0.7), {}),
    ("threshold", (some(9), 0.1, 20.0), {}),
    ("softplus", (some(9),), {"beta": 2.0}),
    *((name, (some(9),), {}) for name in PLAIN),
    ("hardshrink", (some(9), 0.3), {}),
    ("softshrink", (some(9), 0.3), {}),
    ("logsigmoid", (some(9),), {}),
    *((name, (some(5, 4), some(5, 4)), {"reduction": r}) for name in ("mse_loss", "l1_loss") for r in ("mean", "sum", "none")),
    ("smooth_l1_loss", (some(5, 4), some(5, 4)), {"beta": 0.5}),
    ("huber_loss", (some(5, 4), some(5, 4)), {"delta": 0.5}),
    ("cross_entropy", (some(5, 4), LABELS, positive(4)), {"ignore_index": 1, "label_smoothing": 0.1}),
    ("cross_entropy", (some(5, 4), LABELS), {"reduction": "none"}),
    ("nll_loss", (some(5, 4), LABELS), {}),
    ("binary_cross_entropy", (positive(5, 4), positive(5, 4)), {"weight": positive(4)}),
    ("binary_cross_entropy_with_logits", (some(5, 4), positive(5, 4)), {"pos_weight": positive(4)}),
    ("kl_div", (some(5, 4), positive(5, 4)), {"reduction": "batchmean"}),
    ("kl_div", (some(5, 4), some(5, 4)), {"log_target": True, "reduction": "sum"}),
    ("poisson_nll_loss", (some(5, 4), positive(5, 4)), {"full": True}),
    ("gaussian_nll_loss", (some(5, 4), some(5, 4), positive(5, 4)), {}),
    ("hinge_embedding_loss", (some(5, 4), SIGNS), {"margin": 0.5}),
    ("soft_margin_loss", (some(5, 4), SIGNS), {}),
    ("margin_ranking_loss", (some(5), some(5), SIGNS[:, 0]), {"margin": 0.2}),
    ("multi_margin_loss", (some(5, 4), LABELS), {"p": 2}),
    ("multilabel_margin_loss", (some(1, 4), np.array([[2, 0, -1, -1]])), {}),
    ("multilabel_soft_margin_loss", (some(5, 4), positive(5, 4)), {}),
    ("cosine_embedding_loss", (some(5, 4), some(5, 4), SIGNS[:, 0]), {"margin": 0.1}),
    ("triplet_margin_loss", (some(5, 4), some(5, 4), some(5, 4)), {"swap": True}),
]


def given(value: Any, dtype: str) -> Any:
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize(("name", "args", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_values(name: str, args: tuple[Any, ...], options: dict[str, Any], dtype: str) -> None:
    ours = [np.array(given(a, dtype)) if isinstance(a, np.ndarray) else a for a in args]
    theirs = [torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in ours]
    kwargs = {k: given(v, dtype) for k, v in options.items()}
    got = getattr(F, name)(*ours, **kwargs)
    wanted = getattr(T, name)(*theirs, **{k: torch.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()})
    for g, w in zip(*((a if isinstance(a, tuple) else (a,)) for a in (got, wanted)), strict=True):
        assert np.shape(g) == tuple(w.shape)
        assert g.dtype == w.numpy().dtype
        np.testing.assert_allclose(g, w.numpy(), **NEAR[dtype])
    if name not in ("embedding", "instance_norm"):  # PyTorch's embedding changes the table
        for a, b in zip(ours, theirs, strict=True):
            if isinstance(a, np.ndarray):
                np.testing.assert_allclose(a, b.numpy(), **NEAR[dtype])  # running statistics, and inplace


def test_every_function_that_pytorch_has_is_compared() -> None:
    random = {"dropout1d", "dropout2d", "feature_alpha_dropout", "ctc_loss"}  # in other tests
    assert {name for name in F.__all__ if hasattr(T, name)} - {name for name, _, _ in CASES} <= random


@pytest.mark.parametrize("name", [name for name in F.__all__ if inspect.isfunction(getattr(T, name, None))])
def test_arguments_are_pytorchs(name: str) -> None:
    own = list(inspect.signature(getattr(F, name)).parameters)
    theirs = list(inspect.signature(getattr(T, name)).parameters)
    if theirs == ["args", "kwargs"]:
        pytest.skip("PyTorch's function hides its arguments")
    extra = {"seed", "sample_weight", "inplace"} | ({"alpha", "beta"} if name == "hardsigmoid" else set())
    assert [n for n in own if n not in theirs and n not in extra] == []


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "alpha_dropout", "feature_alpha_dropout", "rrelu"])
def test_random_functions_draw_by_seed(name: str) -> None:
    x = -np.ones((4, 6, 3, 2))[(0,) * (name == "dropout1d")]
    f = getattr(F, name)
    first, second = f(x, training=True, seed=1), f(x, training=True, seed=2)
    assert (f(x, training=True, seed=1) == first).all()
    assert (first != second).any()
    assert (first != x).any()


def test_ctc_loss() -> None:
    logits = torch.from_numpy(some(6, 2, 4)).log_softmax(2)
    targets, lengths, sizes = np.array([[1, 2, 1], [3, 1, 0]]), np.array([6, 5]), np.array([3, 2])
    wanted = T.ctc_loss(logits, *map(torch.from_numpy, (targets, lengths, sizes)))
    np.testing.assert_allclose(F.ctc_loss(logits.numpy(), targets, lengths, sizes), wanted.numpy(), rtol=1e-10)


def test_parameters_and_other_dtypes() -> None:
    layer = pynn.Linear(3, 2, seed=0)
    x = some(4, 3)
    np.testing.assert_array_equal(F.linear(x, *layer.parameters()), layer(x))
    assert F.linear(x.astype("float16"), layer.weight.astype("float16")).dtype == np.float32
    assert F.linear([[1, 2]], [[3, 4]]).tolist() == [[11.0]]
    assert F.linear([[1, 2]], [3, 4], 0.5).tolist() == [11.5]
    assert F.max_pool1d(np.ones((1, 1, 4), "float16"), 2).dtype == np.float16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.linear(some(2, 3), some(4, 3), some(3)), r"bias: expected shape \(4,\), got \(3,\)"),
        (lambda: F.linear(some(2, 3), some(4, 2)), "in_features"),
        (lambda: F.conv2d(some(1, 3, 4, 4), some(2, 3, 3)), "weight: expected 4 dimensions"),
        (lambda: F.batch_norm(some(4, 3), None, None), "running_mean, running_var: required"),
        (lambda: F.batch_norm(some(4, 3), some(3), None), "expected both or neither"),
        (lambda: F.batch_norm(some(4, 3), [0.0] * 3, [1.0] * 3, training=True), "updated in place"),
        (lambda: F.pad(some(2, 3), (1, 2, 3)), "expected two numbers for each"),
        (lambda: F.pad(some(2, 3), (3, 0), mode="reflect"), "by at most 2, got 3"),
        (lambda: F.one_hot([0, 3], 3), "from 0 to 2, got 3"),
        (lambda: F.one_hot([-1, 0]), "got -1"),
        (lambda: F.bilinear(some(2, 3), some(3, 3), some(1, 3, 3)), "different numbers of rows: 2, 3"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
