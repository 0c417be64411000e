"""Initial values, summaries of nets, and freezing layers by name."""

import math
import re
from typing import Any

import mpmath
import numpy as np
import pytest

import pynn
from pynn import _core, init

A = np.empty((300, 200, 3))
FAN_IN, FAN_OUT = 600, 900
DEVIATIONS: list[tuple[str, dict[str, Any], float]] = [
    ("uniform_", {"a": -2.0, "b": 4.0}, 6 / math.sqrt(12)),
    ("normal_", {"std": 3.0}, 3.0),
    ("trunc_normal_", {"std": 0.5, "a": -50.0, "b": 50.0}, 0.5),
    ("trunc_normal_", {}, 0.8796),
    ("xavier_uniform_", {"gain": 2.0}, 2 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
    ("xavier_normal_", {}, math.sqrt(2 / (FAN_IN + FAN_OUT))),
    ("kaiming_uniform_", {"nonlinearity": "relu"}, math.sqrt(2 / FAN_IN)),
    ("kaiming_normal_", {"a": 2.0, "mode": "fan_out"}, math.sqrt(2 / 5 / FAN_OUT)),
    ("kaiming_normal_", {"nonlinearity": "selu"}, 0.75 / math.sqrt(FAN_IN)),
]


@pytest.mark.parametrize(("name", "options", "deviation"), DEVIATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_standard_deviation_and_seed(name: str, options: dict[str, Any], deviation: float, dtype: str) -> None:
    fill = getattr(init, name)
    a, p = A.astype(dtype), pynn.Parameter(A.astype(dtype))
    assert fill(a, **options, seed=1) is a
    assert fill(p, **options, seed=1) is p
    np.testing.assert_array_equal(a, p.data)
    assert (fill(a.copy(), **options, seed=2) != a).mean() > 0.99
    assert a.std() == pytest.approx(deviation, rel=0.02)
    bound = options.get("b", 2.0) if name == "trunc_normal_" else math.inf
    assert np.abs(a).max() <= bound


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.1, 0.3), (-0.3, -0.1), (1.0, 1.01), (-1e-3, 0.0), (2.0, 2.0)])
def test_uniform_numbers_are_in_the_half_open_interval(dtype: str, a: float, b: float) -> None:
    x = init.uniform_(np.empty(200_000, dtype), a, b, seed=0).astype("float64")
    assert a <= x.min()
    assert x.max() < b or a == b
    for fill in (init.xavier_uniform_, init.kaiming_uniform_):
        w = fill(np.empty((400, 500), dtype), seed=0).astype("float64")
        bound = math.sqrt(6 / 900) if fill is init.xavier_uniform_ else math.sqrt(6 / 500)
        assert -bound <= w.min()
        assert w.max() < bound


def test_the_core_never_rounds_up_to_the_upper_bound() -> None:
    a = np.empty(2**21, "float32")
    _core.uniform(a, 0, 0, 1.0, 2.0)  # [1, 2) has only 2^23 floats for the 2^24 random values
    assert a.min() >= 1
    assert a.max() < 2


TAILS = [(-2, 2), (-0.5, 0.25), (0.25, 3), (-5, 1), (3.28, 10), (4, 10), (8, 9), (20, 21), (40, 41), (40, math.inf), (-math.inf, -38.6),
         (-math.inf, math.inf), (-50, 50), (0, math.inf), (38, 38.0001), (1e-20, 3e-20)]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), TAILS)
def test_truncated_normal_numbers_match_exact_quantiles(a: float, b: float) -> None:
    """The quantiles of the same uniform numbers in 60 digits, computed from the tail that is nearer to the interval."""
    n, sign = 40, -1 if a + b > 0 else 1
    got = init.trunc_normal_(np.empty(n), a=a, b=b, seed=3)
    u = 1 - np.random.Generator(np.random.Philox(3)).random(n)
    low, high = sorted((sign * a, sign * b))
    with mpmath.workdps(60):
        p, q = (mpmath.mpf(int(e > 0)) if math.isinf(e) else mpmath.ncdf(e) for e in (low, high))
        expected = [p + mpmath.mpf(float(v)) * (q - p) for v in u]
        found = [mpmath.ncdf(sign * float(x)) for x in got]
        slopes = [mpmath.npdf(float(x)) for x in got]
        errors = [abs(f - w) / s for f, w, s in zip(found, expected, slopes, strict=True)]  # in x
    assert max(float(e) for e in errors) < 1e-14 * max(1.0, float(np.abs(got).max()))
    assert a <= got.min()
    assert got.max() <= b


def test_a_million_numbers_from_a_tail() -> None:
    x = init.trunc_normal_(np.empty(1_000_000), a=3.28, b=10.0, seed=0)
    assert x.min() >= 3.28
    hazard = math.exp(-(3.28**2) / 2) / math.sqrt(2 * math.pi) / (0.5 * math.erfc(3.28 / math.sqrt(2)))
    assert x.mean() == pytest.approx(hazard, abs=2e-3)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("a", "b"), [(-2.0001, 1.9999), (0.1, 0.3), (40.0, 41.0)])
def test_rounded_truncated_normal_numbers_stay_within_the_bounds(dtype: str, a: float, b: float) -> None:
    x = init.trunc_normal_(np.empty(100_000, dtype), a=a, b=b, seed=0).astype("float64")
    assert a <= x.min()
    assert x.max() <= b


def test_constant_and_identity_values() -> None:
    np.testing.assert_array_equal(init.ones_(np.empty((2, 3))), 1)
    np.testing.assert_array_equal(init.zeros_(np.empty((2, 3))), 0)
    np.testing.assert_array_equal(init.constant_(np.empty(4), 2.5), 2.5)
    np.testing.assert_array_equal(init.eye_(np.empty((2, 3))), np.eye(2, 3))
    w = init.dirac_(np.empty((4, 2, 3, 3)), groups=2)
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 5))
    conv = pynn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False, dtype="float64")
    conv.load_state_dict({"weight": w})
    np.testing.assert_allclose(conv(x), x)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (6, 2, 3)])
def test_orthogonal_matrices_are_orthogonal(shape: tuple[int, ...]) -> None:
    q = init.orthogonal_(np.empty(shape), gain=2.0, seed=0).reshape(shape[0], -1) / 2
    n = min(q.shape)
    np.testing.assert_allclose(q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q, np.eye(n), atol=1e-12)


def test_sparse_sets_the_given_share_to_zero() -> None:
    w = init.sparse_(np.empty((100, 50)), 0.25, std=2.0, seed=0)
    np.testing.assert_array_equal((w == 0).sum(0), 25)
    assert w[w != 0].std() == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: init.xavier_normal_(np.empty(3)), ValueError, r"2 dimensions or more, got shape \(3,\)"),
    (lambda: init.eye_(np.empty((2, 2, 2))), ValueError, r"2 dimensions, got shape \(2, 2, 2\)"),
    (lambda: init.ones_([1.0]), TypeError, "an array or a Parameter"),
    (lambda: init.kaiming_normal_(np.empty((2, 2)), mode="fan_inn"), ValueError, "did you mean 'fan_in'"),
    (lambda: init.calculate_gain("rleu"), ValueError, "did you mean 'relu'"),
    (lambda: init.trunc_normal_(np.empty(3), a=1, b=0), ValueError, "a < b"),
    (lambda: init.trunc_normal_(np.empty(3), a=50, b=60), ValueError, "too far"),
    (lambda: init.trunc_normal_(np.empty(3), std=0.0), ValueError, "std over 0"),
    (lambda: init.trunc_normal_(np.empty(3), std=math.nan), ValueError, "std over 0"),
    (lambda: init.trunc_normal_(np.empty(3), a=math.nan), ValueError, "a < b"),
    (lambda: init.trunc_normal_(np.empty(3, "f2"), a=1.00001, b=1.00002), ValueError, "float16 has no number between"),
    (lambda: init.uniform_(np.empty(3), 1.0, 0.0), ValueError, "a <= b"),
    (lambda: init.uniform_(np.empty(3), 0.0, math.inf), ValueError, "finite"),
    (lambda: init.uniform_(np.empty(3, "f2"), 1.00001, 1.00002), ValueError, "float16 has no number between"),
    (lambda: init.sparse_(np.empty((2, 2)), 1.5), ValueError, "sparsity"),
    (lambda: init.dirac_(np.empty((3, 2, 1)), groups=2), ValueError, "groups"),
    (lambda: pynn.Sequential().apply_init("xavier"), ValueError, "did you mean 'xavier_normal'"),
])  # fmt: skip
def test_invalid_arguments_raise(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize(("act", "deviation"), [
    ("relu", math.sqrt(2 / 400)), (pynn.LeakyReLU(0.5), math.sqrt(2 / 1.25 / 400)), ("tanh", 5 / 3 * math.sqrt(2 / 700)),
    *((name, math.sqrt(2 / 400)) for name in ("relu6", "elu", "swish", "gelu_tanh", "squareplus", "sparse_plus", "softplus", "mish")),
    (pynn.PReLU(300), math.sqrt(2 / 400)), (pynn.RReLU(), math.sqrt(2 / 400)),
    (pynn.Activation("half", lambda x: np.where(x < 0, 0, x), lambda x: x > 0), math.sqrt(2 / 400)),
    (pynn.Activation("steep", lambda x: np.where(x < 0, 0.5 * x, x), lambda x: np.where(x < 0, 0.5, 1)), math.sqrt(2 / 1.25 / 400)),
    (pynn.Activation("my_selu", pynn.selu, pynn.grad.selu), math.sqrt(1 / 400)),
    (pynn.Activation("squash", np.tanh, lambda x: 1 - np.tanh(x) ** 2), 5 / 3 * math.sqrt(2 / 700)),
    (pynn.Activation("a_relu_by_name_only", np.sin, np.cos), math.sqrt(2 / 700)),
    (pynn.Activation("nothing", lambda x: x, np.ones_like), math.sqrt(2 / 700)),
    *((name, math.sqrt(2 / 700)) for name in ("softsign", "hardtanh", "softshrink", "softmax", "exponential", "gaussian")),
    ("sigmoid", math.sqrt(2 / 700)), ("selu", math.sqrt(1 / 400)), (pynn.PReLU(), math.sqrt(2 / 400)), ("identity", math.sqrt(2 / 700)),
])  # fmt: skip
@pytest.mark.parametrize("between", [(), (pynn.LayerNorm(300),)])
def test_auto_depends_on_the_behaviour_of_the_activation(act: Any, deviation: float, between: tuple[Any, ...]) -> None:
    net = pynn.Sequential(pynn.Linear(400, 300, init="torch"), *between, act, pynn.Linear(300, 5)).apply_init("auto", seed=0)
    assert net[0].weight.std() == pytest.approx(deviation, rel=0.02)
    assert not net[0].bias.any()
    assert net[-1].weight.std() == pytest.approx(math.sqrt(2 / 305), rel=0.05)
    again = pynn.Sequential(pynn.Linear(400, 300), *between, act, pynn.Linear(300, 5)).apply_init(seed=0)
    np.testing.assert_array_equal(net[0].weight, again[0].weight)


def test_apply_init_accepts_names_and_functions() -> None:
    net = pynn.Sequential(pynn.Conv2d(8, 32, 3), "relu", pynn.Flatten(), pynn.Linear(100, 50)).apply_init("torch", seed=1)
    for layer, fan in ((net[0], 72), (net[3], 100)):
        for p in layer.parameters():
            assert 0.8 / math.sqrt(fan) < np.abs(p.data).max() <= 1 / math.sqrt(fan)
    net.apply_init(lambda weight: pynn.init.constant_(weight, 0.25))
    assert all((net[i].weight == 0.25).all() and not net[i].bias.any() for i in (0, 3))
    by_name = net.apply_init("kaiming_normal", seed=1).state_dict()
    assert all((a == by_name[name]).all() for name, a in net.apply_init(pynn.init.kaiming_normal_, seed=1).state_dict().items())
    np.testing.assert_array_equal(pynn.Sequential(pynn.Linear(3, 4)).apply_init("eye")[0].weight, np.eye(4, 3))
    x = np.random.default_rng(0).normal(size=(1, 2, 5, 5)).astype("f4")
    np.testing.assert_array_equal(pynn.Sequential(pynn.Conv2d(2, 2, 3, padding=1)).apply_init("dirac")(x), x)
    net.apply_init("orthogonal", seed=1)
    w = net[3].weight.astype("f8")
    np.testing.assert_allclose(w @ w.T, np.eye(50), atol=1e-5)


def test_summary_as_text_and_html() -> None:
    net = pynn.Sequential({"a<b": pynn.Conv2d(1, 4, 3), "act": "relu", "flat": pynn.Flatten(), "head": pynn.Linear(144, 2)})
    net.freeze("head.bias")
    unknown, known = net.summary(), net.summary((1, 8, 8))
    assert "?" in unknown
    lines = known.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["a<b", "act", "flat", "head"]
    assert "(4, 6, 6)" in lines[1]
    assert lines[1].split()[-2:] == ["40", f"{2 * 9 * 4 * 36:,}"]
    assert lines[4].split() == ["head", "Linear", "144", "->", "2", "(partly", "frozen)", "(2,)", "290", "576"]
    assert lines[-1] == "330 parameters, 328 of them trainable; 1,320 bytes; 3,168 FLOP per sample"
    assert "<td>a&lt;b</td>" in net._repr_html_()
    assert repr(known) == known  # so that the prompt shows the table
    net.predict(np.zeros((3, 1, 8, 8)))
    assert net.summary() == known  # the shape of samples is known now
    assert "(4, 6, 6)" in net._repr_html_()
    assert "convolution" in net.plan_summary(rows=16)
    net["flat"] = pynn.Sequential(pynn.Flatten())
    assert "?" in net.summary()


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (pynn.Conv2d(1, 16, 3, padding=1, dtype="float64"), "Conv2d 1 -> 16, 3x3, padding 1"),
        (pynn.Conv1d(2, 4, 5, stride=2, bias=False), "Conv1d 2 -> 4, 5, stride 2, no bias"),
        (pynn.Conv2d(1, 2, (3, 5)), "Conv2d 1 -> 2, 3x5"),
        (pynn.MaxPool2d(2), "MaxPool2d 2x2"),
        (pynn.Dropout(), "Dropout 0.5"),
        (pynn.LeakyReLU(0.2), "LeakyReLU negative slope 0.2"),
        (pynn.BatchNorm1d(10), "BatchNorm1d 10"),
        (pynn.Flatten(), "Flatten"),
    ],
)
def test_descriptions_of_layers(layer: pynn.Layer, text: str) -> None:
    assert re.split(" {2,}", pynn.Sequential({"a": layer}).summary().splitlines()[1])[1] == text


def test_summaries_fit_79_columns() -> None:
    conv = pynn.Conv2d(100, 1600, (3, 5), padding=(1, 2), stride=2, padding_mode="reflect", bias=False)
    middle = pynn.Residual(pynn.Conv2d(1600, 1600, 1))
    net = pynn.Sequential({"a_very_long_name_of_an_encoder": conv, "activation": "relu", "middle": middle, "last": "tanh"})
    net.freeze("a_very_long_name_of_an_encoder")
    lines = net.summary((100, 64, 48)).splitlines()
    assert max(map(len, lines)) <= 79
    assert "... (frozen)" in lines[1]
    assert lines[0].split()[-3:] == ["output", "parameters", "FLOP"]


def test_frozen_layers_are_marked() -> None:
    net = pynn.Sequential(pynn.Linear(4, 8), "relu", pynn.Linear(8, 3))
    assert "frozen" not in net.summary() + net._repr_html_().partition("</style>")[2]
    assert net.summary().splitlines()[-1] == "67 parameters, all trainable; 268 bytes; 112 FLOP per sample"
    net.freeze("0")
    assert net.summary().splitlines()[1].split()[:6] == ["0", "Linear", "4", "->", "8", "(frozen)"]
    assert net._repr_html_().count("<tr class=frozen><td>0</td>") == 1
    net.freeze()
    assert "67 parameters, all frozen" in net.summary()
    assert pynn.Sequential("relu").summary((2,)).splitlines()[-1] == "no parameters; 0 FLOP per sample"


def test_nets_that_are_no_chain_say_what_layers_are_connected_to() -> None:
    x, y = pynn.Input(4), pynn.Input(3)
    shared = pynn.Linear(5, 5)
    left, right = pynn.Linear(4, 5)(x), pynn.Linear(3, 5)(y)
    net = pynn.Model([x, y], pynn.Linear(10, 2)(pynn.Concat()(pynn.ReLU()(shared(left)), shared(right))))
    rows = {line.split()[0]: line for line in net.summary().splitlines()[1:-1]}
    kinds = {name: line.split()[1] for name, line in rows.items()}
    (concat,) = (name for name, kind in kinds.items() if kind == "Concat")
    (relu,) = (name for name, kind in kinds.items() if kind == "ReLU")
    (both,) = (name for name, line in rows.items() if "Linear 5 -> 5" in line)
    sides = [name for name, line in rows.items() if " -> 5 " in line and name != both]
    assert all(" input " in rows[name] for name in sides)
    assert f" {', '.join(sides)} " in rows[both]
    assert f" {relu}, {both} " in rows[concat]
    assert "connected to" not in pynn.Sequential(pynn.Sequential("relu", "tanh"), "relu").summary((2,))
    assert "<th>connected to</th>" in net._repr_html_()


def test_print_shows_one_layer_per_line() -> None:
    net = pynn.Sequential(pynn.Linear(2, 3), pynn.Residual(pynn.Linear(3, 3), "tanh"))
    assert str(net).splitlines() == [
        "Sequential(",
        "  (0): Linear(in_features=2, out_features=3, bias=True)",
        "  (1): Residual(",
        "    (layers): Sequential(",
        "      (0): Linear(in_features=3, out_features=3, bias=True)",
        "      (1): Tanh()",
        "    )",
        "  )",
        ")",
    ]
    assert repr(net).startswith("Sequential(Linear(in_features=2")


def test_freeze_and_unfreeze_by_name() -> None:
    net = pynn.Sequential({"body": pynn.Sequential(pynn.Linear(3, 4), "relu"), "head": pynn.Linear(4, 2), "head2": pynn.Linear(2, 2)})
    before = net.state_dict()
    assert net.freeze("body", "head.bias") is net
    net.fit(np.ones((8, 3)), np.ones((8, 2)), loss="mse", epochs=1, seed=0)
    changed = {name for name, a in net.state_dict().items() if (a != before[name]).any()}
    assert changed <= {"head.weight", "head2.weight", "head2.bias"}
    assert "head2.bias" in changed
    assert all(p.requires_grad for p in net.unfreeze("head").layers[1].parameters())
    assert not net["body"][0].parameters()[0].requires_grad
    with pytest.raises(ValueError, match=r"unknown layer or parameter .*'haed'.*did you mean 'head"):
        net.freeze("haed")
    assert all(p.requires_grad for p in net.unfreeze().parameters())
