"""Layers: values against the NumPy reference, gradients against central differences, parameters, state and copies.

New activations are tested automatically.
"""

import copy
import json
import pickle
import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core, reference
from pynn._tables import REQUIRED, parse_parameters

ROWS = {row["name"]: row for row in _core.ACTIVATIONS if row["cls"]}
ROWWISE = {row["name"]: row for row in _core.ROWWISE}
rng = np.random.default_rng(0)
each_activation = pytest.mark.parametrize("name", ROWS)
each_rowwise = pytest.mark.parametrize("name", ROWWISE)


def values(name: str) -> dict[str, float]:
    """Return the defaults of the row's parameters, and 0.5, 1.0, ... for required ones."""
    defaults = parse_parameters(ROWS[name]["params"]).defaults.items()
    return {n: 0.5 * i if v is REQUIRED else v for i, (n, v) in enumerate(defaults, 1)}


def activation(name: str) -> pynn.Layer:
    return pynn.Layer.classes[ROWS[name]["cls"]](**values(name))


def smooth_points(*shape: int) -> np.ndarray:
    """Return random numbers away from multiples of 1/2, where activations may not be differentiable."""
    x = rng.normal(size=shape) * 3
    return np.where(np.abs(x - np.round(x * 2) / 2) < 1e-3, x + 0.01, x)


def slope(f: Any, x: np.ndarray, gy: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """Return central differences of sum(gy * f(x)) with respect to x, which is changed in place and restored."""
    out = np.empty_like(x)
    for i in np.ndindex(x.shape):
        was = x[i]
        x[i] = was + h
        high = (gy * f()).sum()
        x[i] = was - h
        out[i] = (high - (gy * f()).sum()) / (2 * h)
        x[i] = was
    return out


def make(name: str) -> tuple[pynn.Layer, np.ndarray]:
    """Return a float64 layer of the given kind, and input for it."""
    f64 = {"dtype": "float64", "seed": 1}
    inner = pynn.Sequential(pynn.Linear(7, 4, **f64), "gelu")
    nested = pynn.Sequential(pynn.Linear(5, 7, **f64), "tanh", inner, pynn.Linear(4, 3, bias=False, **f64))
    return {
        "linear": (pynn.Linear(5, 3, **f64), smooth_points(4, 5)),
        "linear without bias": (pynn.Linear(5, 3, bias=False, **f64), smooth_points(4, 5)),
        "linear on leading axes": (pynn.Linear(5, 3, **f64), smooth_points(2, 3, 5)),
        "linear on one sample": (pynn.Linear(5, 3, **f64), smooth_points(5)),
        "linear of one output": (pynn.Linear(5, 1, **f64), smooth_points(6, 5)),
        "flatten": (pynn.Flatten(), smooth_points(2, 3, 4)),
        "nested": (nested, smooth_points(6, 5)),
        "softmax behind": (pynn.Sequential(pynn.Linear(5, 4, **f64), pynn.Softmax()), smooth_points(6, 5)),
        "activations in a row": (pynn.Sequential("tanh", "silu", pynn.Linear(5, 4, **f64), "relu", "sigmoid", "gelu"), smooth_points(6, 5)),
        "flatten in front": (pynn.Sequential(pynn.Flatten(), pynn.Linear(6, 4, **f64), "tanh", pynn.Flatten()), smooth_points(3, 2, 3)),
        "empty": (pynn.Sequential(), smooth_points(3, 2)),
        "only flatten": (pynn.Sequential(pynn.Flatten(), pynn.Flatten()), smooth_points(3, 2, 2)),
    }[name]


KINDS = [
    "linear", "linear without bias", "linear on leading axes", "linear on one sample", "linear of one output", "flatten", "nested",
    "softmax behind", "activations in a row", "flatten in front", "empty", "only flatten",
]  # fmt: skip
each_kind = pytest.mark.parametrize("kind", KINDS)


# ---- values and gradients -------------------------------------------------------------------------------------------
@each_kind
def test_gradients_match_central_differences(kind: str, isa: str) -> None:
    layer, x = make(kind)
    gy = rng.normal(size=layer(x).shape)
    gx = layer.backward(gy)
    assert gx.shape == x.shape
    np.testing.assert_allclose(gx, slope(lambda: layer(x), x, gy), rtol=1e-6, atol=1e-8)
    for p in layer.parameters():
        got = p.grad.copy()
        np.testing.assert_allclose(got, slope(lambda: layer(x), p.data, gy), rtol=1e-6, atol=1e-8, err_msg=p.name)


@pytest.mark.parametrize("shape", [(5,), (1, 5), (0, 5), (4, 5), (2, 3, 5), (2, 0, 5), (2, 1, 3, 5)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linear_matches_reference(shape: tuple[int, ...], bias: bool, dtype: str, isa: str) -> None:
    layer = pynn.Linear(5, 3, bias=bias, dtype=dtype, seed=2)
    x, gy = rng.normal(size=shape).astype(dtype), rng.normal(size=(*shape[:-1], 3)).astype(dtype)
    y, gx = layer(x), layer.backward(gy)
    want_gx, want_gw, want_gb = reference.linear_backward(x, layer.weight, gy)
    tight = {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}
    assert y.dtype == gx.dtype == dtype
    np.testing.assert_allclose(y, reference.linear(x, layer.weight, layer.bias), **tight)
    np.testing.assert_allclose(gx, want_gx, **tight)
    np.testing.assert_allclose(layer.grads["weight"], want_gw, **tight)
    if bias:
        np.testing.assert_allclose(layer.grads["bias"], want_gb, **tight)


@pytest.mark.parametrize("n_in", [1, 2, 7, 16, 63, 130])
@pytest.mark.parametrize("n_out", [1, 3, 16, 65])
@pytest.mark.parametrize("rows", [1, 2, 33])
def test_fused_linear_matches_reference_for_all_sizes(n_in: int, n_out: int, rows: int, isa: str) -> None:
    """The activation is fused with the product, forward and backward."""
    layer = pynn.Linear(n_in, n_out, dtype="float64", seed=3)
    net, x, gy = pynn.Sequential(layer, "tanh"), rng.normal(size=(rows, n_in)), rng.normal(size=(rows, n_out))
    y, gx = net(x), net.backward(gy)
    want = np.tanh(reference.linear(x, layer.weight, layer.bias))
    want_gx, want_gw, want_gb = reference.linear_backward(x, layer.weight, gy * (1 - want**2))
    for got, expected in [(y, want), (gx, want_gx), (layer.grads["weight"], want_gw), (layer.grads["bias"], want_gb)]:
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


@each_activation
@pytest.mark.parametrize("shape", [(7,), (1, 9), (0, 4), (3, 5, 4)])
def test_activation_matches_formula(name: str, shape: tuple[int, ...], isa: str) -> None:
    layer, x = activation(name), smooth_points(*shape)
    gy = rng.normal(size=shape)
    y, gx = layer(x), layer.backward(gy)
    assert y.dtype == gx.dtype == np.float64
    np.testing.assert_allclose(y, reference.activation(name, x, **values(name)), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gx, reference.activation_backward(name, x, gy, **values(name)), rtol=1e-6, atol=1e-8)


@each_activation
def test_activation_fused_with_linear_matches_separate_layers(name: str, isa: str) -> None:
    """The fused step gives the same bits as separate layers, and the same gradients."""
    linear, act = pynn.Linear(6, 5, dtype="float64", seed=4), activation(name)
    net, x, gy = pynn.Sequential(linear, act), rng.normal(size=(9, 6)), rng.normal(size=(9, 5))
    y, gx = net(x), net.backward(gy)
    fused = linear.grads["weight"].copy()
    linear.zero_grad()
    np.testing.assert_array_equal(y, act(linear(x)))
    np.testing.assert_array_equal(net.predict(x), y)
    np.testing.assert_allclose(gx, linear.backward(act.backward(gy)), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(fused, linear.grads["weight"], rtol=1e-13, atol=1e-15)


def test_gelu_approximations_differ() -> None:
    x = smooth_points(20)
    np.testing.assert_allclose(pynn.GELU(approximate="tanh")(x), reference.activation("gelu_tanh", x), rtol=1e-13)
    assert np.abs(pynn.GELU()(x) - pynn.GELU(approximate="tanh")(x)).max() > 1e-6
    subclass = type("Renamed", (pynn.GELU,), {})
    np.testing.assert_array_equal(subclass(approximate="tanh")(x), pynn.GELU(approximate="tanh")(x))


@each_rowwise
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((7,), 0), ((4, 6), 0), ((4, 6), -1), ((2, 3, 4), 0), ((2, 3, 4), 1), ((2, 3, 4), -1), ((2, 3, 4, 5), -2), ((3, 1), 1)],
)
def test_rowwise_matches_reference_along_each_axis(name: str, shape: tuple[int, ...], axis: int, isa: str) -> None:
    layer, x = pynn.Layer.classes[ROWWISE[name]["cls"]](dim=axis), rng.normal(size=shape) * 3
    gy = rng.normal(size=shape)
    y, gx = layer(x), layer.backward(gy)
    np.testing.assert_allclose(y, getattr(reference, name)(x, axis), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gx, getattr(reference, name + "_backward")(y, gy, axis), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(gx, slope(lambda: layer(x), x, gy), rtol=1e-5, atol=1e-7)


def test_rowwise_in_net_rejects_batch_axis() -> None:
    net, x = pynn.Sequential(pynn.Linear(4, 5, dtype="float64"), pynn.Softmax(dim=1)), rng.normal(size=(2, 3, 4))
    y = net(x)
    np.testing.assert_allclose(y.sum(1), 1)
    with pytest.raises(ValueError, match=r"layer 1 \(Softmax\): axis 0 is the batch"):
        pynn.Sequential(pynn.Linear(4, 5), pynn.Softmax(dim=0))(x)


@pytest.mark.parametrize(
    ("start", "end", "shape"),
    [(1, -1, (2, 12)), (1, 2, (2, 12, 1)), (2, -1, (2, 3, 4)), (-1, -1, (2, 3, 4, 1)), (2, 3, (2, 3, 4)), (1, 1, (2, 3, 4, 1))],
)
def test_flatten(start: int, end: int, shape: tuple[int, ...]) -> None:
    x, layer = rng.normal(size=(2, 3, 4, 1)), pynn.Flatten(start, end)
    np.testing.assert_array_equal(layer(x), x.reshape(shape))
    np.testing.assert_array_equal(layer.backward(x.reshape(shape)), x)


# ---- memory layouts and dtypes --------------------------------------------------------------------------------------
LAYOUTS = {
    "fortran": np.asfortranarray,
    "every other": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x: x[::-1][::-1],
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "read-only": lambda x: (lambda y: (y.setflags(write=False), y)[1])(x.copy()),
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "swapped bytes": lambda x: x.astype(x.dtype.newbyteorder()),
    "list": lambda x: x.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_results_do_not_depend_on_memory_layout(layout: str) -> None:
    net = pynn.Sequential(pynn.Linear(6, 8, dtype="float64", seed=5), "silu", pynn.Linear(8, 4, dtype="float64", seed=6))
    x, gy = LAYOUTS[layout](rng.normal(size=(10, 6))), LAYOUTS[layout](rng.normal(size=(10, 4)))
    got = net(x), net.backward(gy), net.grads["0.weight"].copy()
    net.zero_grad()
    plain = net(np.array(x, "f8")), net.backward(np.array(gy, "f8")), net.grads["0.weight"]
    for a, b in zip(got, plain, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "i8", "u8", "f2", "f4", "f8"])
def test_dtypes_of_output_and_gradient(dtype: str) -> None:
    x = np.array([[0, 1, 2], [3, 0, 1]]).astype(dtype)
    assert pynn.Linear(3, 2)(x).dtype == np.float32
    assert pynn.Linear(3, 2, dtype="float64")(x).dtype == np.float64
    kept = {"f2": np.float16, "f4": np.float32}.get(dtype, np.float64)
    layer = pynn.Tanh()
    assert layer(x).dtype == kept
    assert layer.backward(np.ones((2, 3), kept)).dtype == kept


def test_input_is_unchanged_and_output_is_a_new_array() -> None:
    net, x = pynn.Sequential(pynn.Linear(4, 4, seed=1), "relu", pynn.Flatten()), rng.normal(size=(5, 4)).astype("f4")
    before, first = x.copy(), net(x)
    kept = first.copy()
    gy = np.ones_like(first)
    net.backward(gy)
    net(x + 1)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(gy, 1)
    assert first.flags.writeable
    assert not np.shares_memory(pynn.Flatten()(x), x)


# ---- gradients and calls --------------------------------------------------------------------------------------------
def test_gradients_accumulate() -> None:
    layer, x = pynn.Linear(4, 3, dtype="float64", seed=1), rng.normal(size=(5, 4))
    layer(x)
    layer.backward(np.ones((5, 3)))
    once = layer.grads["weight"].copy()
    layer(x)
    layer.backward(np.ones((5, 3)))
    np.testing.assert_allclose(layer.grads["weight"], 2 * once)
    layer.zero_grad()
    np.testing.assert_array_equal(layer.grads["weight"], 0)


def test_shared_layer_accumulates_one_gradient() -> None:
    tied, x = pynn.Linear(4, 4, dtype="float64", seed=1), rng.normal(size=(3, 4))
    net = pynn.Sequential(tied, "tanh", tied)
    assert len(net.parameters()) == 2
    gy = rng.normal(size=net(x).shape)
    net.backward(gy)
    np.testing.assert_allclose(tied.grads["weight"].copy(), slope(lambda: net(x), tied.weight, gy), rtol=1e-6, atol=1e-8)


def test_backward_uses_the_last_call() -> None:
    layer, small, large = pynn.Linear(3, 2, dtype="float64"), rng.normal(size=(2, 3)), rng.normal(size=(5, 3))
    for x in (small, large, small, large[:1]):
        layer(x)
        assert layer.backward(np.ones((len(x), 2))).shape == x.shape
    assert [layer(np.ones((n, 3))).shape[0] for n in range(1, 30)] == list(range(1, 30))


def test_parameter_arrays_are_views() -> None:
    net = pynn.Sequential(pynn.Linear(3, 2, seed=1), "relu")
    weight, before = net[0].weight, net.params["0.weight"]
    address = weight.ctypes.data
    weight[...] = 0
    net[0].bias = [1, 2]
    np.testing.assert_array_equal(net(np.ones((1, 3))), [[1, 2]])
    net[0].weight = np.ones((2, 3))
    net.load_state_dict(net.state_dict())
    net.fit(np.ones((4, 3)), np.ones((4, 2)), loss="mse", epochs=2, seed=0)
    assert before is net[0].weight
    assert weight.ctypes.data == address == net.params["0.weight"].ctypes.data
    assert (weight != 1).any()
    assert net.parameters()[0].grad is net.grads["0.weight"]


@pytest.mark.parametrize("frozen", ["first", "last", "all"])
def test_frozen_parameters_keep_their_values(frozen: str) -> None:
    net = pynn.Sequential(pynn.Linear(3, 4, seed=1), "tanh", pynn.Linear(4, 2, seed=2))
    part = {"first": net[0], "last": net[2], "all": net}[frozen]
    before = net.state_dict()
    assert part.freeze() is part
    X = rng.normal(size=(20, 3))
    net(X)
    net.backward(np.ones((20, 2)))
    kept = {n for n, g in net.grads.items() if not g.any()}
    with pytest.warns(UserWarning, match="every parameter that fit would train is frozen") if frozen == "all" else nullcontext():
        net.fit(X, np.ones((20, 2)), loss="mse", epochs=2, seed=0)
    expected = {n for n, p in net.named_parameters() if any(p is q for q in part.parameters())}
    assert kept == expected
    assert {n for n, a in net.params.items() if (a == before[n]).all()} == expected
    part.unfreeze()
    net.fit(X, np.ones((20, 2)), loss="mse", epochs=2, seed=0)
    assert not any((a == before[n]).all() for n, a in net.params.items())


def test_train_and_eval_apply_to_all_sublayers() -> None:
    net = pynn.Sequential(pynn.Linear(2, 2), pynn.Sequential("relu"))
    assert net.eval() is net
    assert not net.training
    assert not net[1][0].training
    assert net.train()[1][0].training


# ---- state, repr and copies -----------------------------------------------------------------------------------------
def net_of_all() -> pynn.Sequential:
    rows = [pynn.Layer.classes[row["cls"]](**values(name)) for name, row in ROWS.items() if name != "gelu"]
    rowwise = [pynn.Layer.classes[row["cls"]](dim=1) for row in ROWWISE.values()]
    inner = pynn.Sequential(pynn.Linear(5, 4, bias=False, seed=2))
    return pynn.Sequential(pynn.Flatten(), pynn.Linear(6, 5, seed=1), *rows, pynn.GELU(approximate="tanh"), inner, *rowwise)


COPIES = {
    "pickle": lambda m: pickle.loads(pickle.dumps(m)),
    "deepcopy": copy.deepcopy,
    "repr": lambda m: _with_state(eval(repr(m), {**vars(pynn)}), m),
    "config": lambda m: _with_state(type(m).from_config(json.loads(json.dumps(m.get_config()))), m),
}


def _with_state(new: pynn.Layer, old: pynn.Layer) -> pynn.Layer:
    new.load_state_dict(old.state_dict())
    return new


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_equal_and_independent(how: str) -> None:
    net, x = net_of_all(), rng.normal(size=(3, 2, 3)).astype("f4")
    y = net(x)
    copied = COPIES[how](net)
    assert repr(copied) == repr(net)
    assert copied.get_config() == net.get_config()
    np.testing.assert_array_equal(copied(x), y)
    copied.backward(np.ones_like(y))
    for p, q in zip(net.parameters(), copied.parameters(), strict=True):
        assert not np.shares_memory(p.data, q.data)
        assert not p.grad.any()
    copied[1].weight[...] = 0
    np.testing.assert_array_equal(net(x), y)


def test_state_dict_round_trip() -> None:
    net = pynn.Sequential(pynn.Linear(3, 2, seed=1), pynn.Sequential("relu", pynn.Linear(2, 2, bias=False, seed=2)))
    state = net.state_dict()
    assert list(state) == ["0.weight", "0.bias", "1.1.weight"]
    net[0].weight[...] = 9
    assert not (state["0.weight"] == 9).any()
    net.load_state_dict(state)
    np.testing.assert_array_equal(net[0].weight, state["0.weight"])


def test_load_state_dict_is_atomic() -> None:
    net = pynn.Sequential(pynn.Linear(3, 2, seed=1))
    before = net.state_dict()
    with pytest.raises(KeyError, match=r"missing \['0.bias'\].*unexpected \['1.weight'\]"):
        net.load_state_dict({"0.weight": np.zeros((2, 3)), "1.weight": 0})
    with pytest.raises(ValueError, match=r"0.bias has shape \(3,\), expected \(2,\)"):
        net.load_state_dict({"0.weight": np.zeros((2, 3)), "0.bias": np.zeros(3)})
    with pytest.raises(TypeError, match=r"0\.weight"):
        net.load_state_dict({"0.weight": np.zeros((2, 3), complex), "0.bias": np.zeros(2)})
    np.testing.assert_array_equal(net[0].weight, before["0.weight"])
    net.load_state_dict({"0.bias": np.ones(2)}, strict=False)
    np.testing.assert_array_equal(net[0].bias, 1)


@pytest.mark.parametrize(("init", "bound"), [("he", np.sqrt(6 / 50)), ("torch", np.sqrt(1 / 50))])
def test_seed_determines_initial_weights(init: str, bound: float) -> None:
    a, b, c = (pynn.Linear(50, 40, init=init, seed=s) for s in (7, 7, 8))
    np.testing.assert_array_equal(a.weight, b.weight)
    np.testing.assert_array_equal(a.bias, b.bias)
    assert (a.weight != c.weight).mean() > 0.99
    assert np.abs(a.weight).max() <= bound
    assert abs(a.weight.std() * np.sqrt(3) / bound - 1) < 0.05
    assert (pynn.Linear(50, 40).weight != pynn.Linear(50, 40).weight).any()


def test_parameters_start_on_a_cache_line() -> None:
    for layer in (pynn.Linear(3, 5), pynn.Conv2d(1, 2, 3, dtype="float64"), pynn.Bilinear(2, 3, 4)):
        for p in layer.parameters():
            assert p.data.ctypes.data % 64 == p.grad.ctypes.data % 64 == 0


def test_assignment_copies_into_the_existing_array() -> None:
    model = pynn.Sequential(pynn.Linear(2, 3))
    x = np.ones((4, 2), np.float32)
    model.predict(x)
    weight = model.parameters()[0]
    held = weight.data
    weight.data = [[1, 2], [3, 4], [5, 6]]
    assert weight.data is held
    np.testing.assert_allclose(model.predict(x) - model[0].bias, [[3, 7, 11]] * 4, rtol=1e-6)
    weight.grad = np.ones((3, 2))
    assert (weight.grad == 1).all()
    weight.data += 1
    assert held[0, 0] == 2
    with pytest.raises(ValueError, match=r"weight.data: got shape \(3,\), expected \(3, 2\)"):
        weight.data = [1, 2, 3]
    with pytest.raises(TypeError, match=r"weight.grad: dtype object"):
        weight.grad = None


# ---- state arrays, sublayers, and common mistakes ----------------------------------------------------------------------
def stateful() -> list[pynn.Layer]:
    return [
        pynn.Linear(4, 2), pynn.Bilinear(4, 2, 3), pynn.BatchNorm1d(4), pynn.BatchNorm2d(4), pynn.LayerNorm(4), pynn.GroupNorm(2, 4),
        pynn.RMSNorm(4), pynn.InstanceNorm1d(4, affine=True, track_running_stats=True), pynn.PReLU(4), pynn.Embedding(4, 2),
        pynn.EmbeddingBag(4, 2), pynn.Conv2d(1, 2, 3), pynn.ConvTranspose1d(1, 2, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("layer", stateful(), ids=lambda layer: type(layer).__name__)
def test_assignment_to_state_arrays_copies_values(layer: Any) -> None:
    for name, before in layer.state_dict().items():
        held = layer._array(name)
        new = 7 if before.ndim == 0 else rng.normal(size=before.shape).astype(before.dtype)
        setattr(layer, name, new)
        np.testing.assert_array_equal(layer.state_dict()[name], new)
        assert layer._array(name) is held
        if before.ndim:
            setattr(layer, name, pynn.Parameter(before))
            np.testing.assert_array_equal(getattr(layer, name), before)
            setattr(layer, name, 0.5)
            assert (held == 0.5).all()
            with pytest.raises(ValueError, match=rf"{name}.*\(9, 9\), expected {re.escape(str(before.shape))}; assigning copies values"):
                setattr(layer, name, np.ones((9, 9)))
        else:
            with pytest.raises(TypeError, match=f"{name}: expected an integer"):
                setattr(layer, name, 7.5)


def test_missing_parameter_cannot_be_assigned() -> None:
    for layer, name in [(pynn.Linear(4, 2, bias=False), "bias"), (pynn.BatchNorm1d(4, affine=False), "weight")]:
        with pytest.raises(AttributeError, match=f"has no {name}: it was created without one"):
            setattr(layer, name, np.ones(2))


def test_names_of_nested_layers() -> None:
    shared = pynn.Linear(3, 3)
    block = pynn.Residual(shared, pynn.BatchNorm1d(3), shared, shortcut=pynn.Linear(3, 3))
    net = pynn.Sequential({"block": block, "act": "relu", "head": pynn.Linear(3, 2)})
    assert [*net.children()] == [*net.layers]
    assert [*block.named_children()] == [("layers", block.layers), ("shortcut", block.shortcut)]
    names = ["", "block", "block.layers", "block.layers.0", "block.layers.1", "block.shortcut", "act", "head"]
    assert [name for name, _ in net.named_modules()] == names
    assert dict(net.named_modules())["block.layers.0"] is shared is block.layers[0]
    met: list[pynn.Layer] = []
    assert net.apply(met.append) is net
    assert met[-1] is net
    assert met.index(shared) < met.index(block.layers) < met.index(block)
    assert sorted(map(id, met)) == sorted(map(id, net.modules()))
    named = [*net.named_parameters()]
    assert [p for _, p in named] == net.parameters()
    assert "block.layers.0.weight" in dict(named)
    assert "block.layers.2.weight" not in dict(named)
    assert "block.layers.2.weight" in net.state_dict()


def test_access_to_layers_by_name_and_slice() -> None:
    head = pynn.Linear(4, 2)
    net: Any = pynn.Sequential({"body": pynn.Linear(3, 4), "fit": "relu", "a b": "tanh", "head": head})
    assert net.head is net["head"] is head
    assert callable(net.fit)  # a layer's name must not hide a method
    assert {"head", "summary"} <= {*dir(net)}
    assert "a b" not in dir(net)
    assert net._ipython_key_completions_() == ["body", "fit", "a b", "head"]
    assert copy.deepcopy(net).head.out_features == 2
    with pytest.raises(AttributeError, match="no attribute 'tail'"):
        _ = net.tail
    with pytest.raises(IndexError, match="layer 9 is outside a net of 4 layers"):
        _ = net[9]
    whole = net[:2] + net[2:]
    assert [*whole] == [*net]
    assert whole.head is head
    assert whole.pop() is head
    assert whole.pop("body") is net.body
    assert [*whole.extend(["relu", head])][-1] is head
    assert net.predict(np.ones((1, 3))).shape == (1, 2)
    net.head = new = pynn.Linear(4, 5)
    assert net["head"] is net.head is new
    assert net.predict(np.ones((1, 3))).shape == (1, 5)
    assert len(whole) == 4
    with pytest.raises(ValueError, match="names must differ"):
        net.extend(net[:1])
    with pytest.raises(TypeError):
        _ = net + "relu"
    assert len(net) == 4
    del net["head"]
    assert not hasattr(net, "head")


MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: pynn.Sequential(pynn.Linear(2, 2), pynn.ReLU), TypeError, r"the class ReLU; call it: ReLU\(\.\.\.\)"),  # type: ignore[arg-type]
    (lambda: pynn.Sequential(pynn.relu), TypeError, r"the function relu; write 'relu' or ReLU\(\)"),  # type: ignore[arg-type]
    (lambda: pynn.Sequential([pynn.Linear(2, 2), "relu"]), TypeError, r"a list of them; .*Sequential\(\*layers\)"),  # type: ignore[arg-type]
    (lambda: pynn.Conv2d(1, 2), TypeError, r"^Conv2d\.__init__\(\) missing 1 .*'kernel_size'"),  # type: ignore[call-arg]
    (lambda: pynn.Dropout(q=1), TypeError, r"^Dropout\.__init__\(\) got an unexpected keyword argument 'q'"),  # type: ignore[call-arg]
    (lambda: pynn.Input(None), TypeError, "shape: expected the shape of one sample.*None"),  # type: ignore[arg-type]
    (lambda: pynn.Input((None, 64)), TypeError, r"without None for the batch, got \(None, 64\)"),  # type: ignore[arg-type]
    (lambda: pynn.Model(pynn.Linear(4, 2), pynn.Linear(4, 2)), TypeError, "inputs: .*pynn.Input.*got Linear"),  # type: ignore[arg-type]
    (lambda: pynn.Residual(pynn.Linear(4, 5))(np.ones((2, 4))), ValueError, r"\(5,\) to the input of .* \(4,\).*shortcut="),
    (lambda: pynn.Residual("relu", shortcut=pynn.Linear(4, 5))(np.ones((2, 4))), ValueError, r"\(4,\) to .* shortcut of .* \(5,\)"),
    (lambda: pynn.Concat()(np.ones((2, 4)), np.ones((3, 4))), ValueError, "Concat: inputs have different row counts: 2 and 3"),
    (lambda: pynn.Linear(64, 2)(np.ones((5, 1, 8, 8))), ValueError, r"in_features = 64.*Flatten\(\) before it makes 64"),
    (lambda: pynn.Sequential(pynn.Linear(4, 2)).predict(np.ones(4)), ValueError, r"\(1,\).*in_features = 4.*one row.*X\[None\]"),
    (lambda: pynn.Conv2d(3, 2, 3)(np.ones((5, 8, 8, 3))), ValueError, r"\(8, 8, 3\).*3 channels.*channels come first: \(3, 8, 8\)"),
    (lambda: pynn.Conv2d(1, 2, 3)(np.ones((5, 2, 8, 8))), ValueError, r"\(2, 8, 8\), but weight.* needs 1 channel and 2 further axes"),
    (lambda: pynn.Sequential(pynn.Conv2d(1, 2, 3)).predict(np.ones((5, 8, 8))), ValueError, r"\(8, 8\).*X\[:, None\] adds the axis"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES)
def test_common_mistakes_raise_helpful_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# ---- changing settings -------------------------------------------------------------------------------------------------
X4, IMAGES = rng.normal(size=(6, 4)), rng.normal(size=(6, 4, 5, 5))
CHANGED: dict[str, tuple[Callable[..., pynn.Layer], np.ndarray, dict[str, Any], dict[str, Any]]] = {
    **{
        f"{row['cls']}.{setting}": (pynn.Layer.classes[row["cls"]], X4, values(name), {setting: values(name)[setting] + 0.125})
        for name, row in ROWS.items()
        for setting in values(name)
    },
    "GELU.approximate": (pynn.GELU, X4, {}, {"approximate": "tanh"}),
    "Softmax.dim": (pynn.Softmax, IMAGES, {"dim": -1}, {"dim": 1}),
    "Dropout.p": (pynn.Dropout, X4, {"p": 0.5, "seed": 0}, {"p": 0.1}),
    "Dropout.seed": (pynn.Dropout, X4, {"p": 0.5, "seed": 0}, {"seed": 5}),
    "AlphaDropout.p": (pynn.AlphaDropout, X4, {"p": 0.5, "seed": 0}, {"p": 0.1}),
    "GaussianNoise.std": (pynn.GaussianNoise, X4, {"std": 0.5, "seed": 0}, {"std": 1.5}),
    "BatchNorm1d.eps": (pynn.BatchNorm1d, X4, {"num_features": 4}, {"eps": 3.0}),
    "GroupNorm.eps": (pynn.GroupNorm, X4, {"num_groups": 2, "num_channels": 4}, {"eps": 3.0}),
    "LayerNorm.eps": (pynn.LayerNorm, X4, {"normalized_shape": 4}, {"eps": 3.0}),
    "RMSNorm.eps": (pynn.RMSNorm, X4, {"normalized_shape": 4}, {"eps": 3.0}),
    "LocalResponseNorm.k": (pynn.LocalResponseNorm, IMAGES, {"size": 2}, {"k": 3.0}),
    "Concat.dim": (lambda dim: pynn.Concat("relu", "tanh", dim=dim), IMAGES, {"dim": 1}, {"dim": 2}),
    "Flatten.start_dim": (pynn.Flatten, IMAGES, {}, {"start_dim": 2}),
}


@pytest.mark.parametrize("where", ["alone", "within a net", "predict"])
@pytest.mark.parametrize("name", CHANGED)
def test_changed_setting_applies_to_next_call(name: str, where: str) -> None:
    make, x, before, after = CHANGED[name]
    changed, fresh = make(**before), make(**{**before, **after})
    net = changed if where == "alone" else pynn.Sequential(pynn.Sequential("identity", changed))
    like = fresh if where == "alone" else pynn.Sequential(pynn.Sequential("identity", fresh))
    call, expected = (net.predict, like.predict) if where == "predict" else (net, like)  # type: ignore[attr-defined]
    call(x)
    changed._ticks = net._ticks = 0
    for setting, value in after.items():
        setattr(changed, setting, value)
        assert getattr(changed, setting) == value
    np.testing.assert_array_equal(call(x), expected(x))
    assert changed.get_config() == fresh.get_config()


@pytest.mark.parametrize(
    ("layer", "setting", "value", "message"),
    [
        (pynn.LeakyReLU(), "negative_slope", "x", "negative_slope must be a number"),
        (pynn.GELU(), "approximate", "exact", "approximate: expected 'none' or 'tanh'"),
        (pynn.Dropout(), "p", 2, "p: expected a probability from 0 to 1, got 2"),
        (pynn.Dropout(), "p", "x", "p: expected a probability from 0 to 1, got 'x'"),
        (pynn.GaussianNoise(), "std", np.nan, "std: expected a number of 0 or more, got nan"),
        (pynn.BatchNorm1d(4), "momentum", 7, "momentum: expected a number from 0 to 1, or None, got 7"),
        (pynn.BatchNorm1d(4), "eps", -1.0, "eps: expected a number of 0 or more"),
        (pynn.LayerNorm(4), "eps", np.inf, "eps: expected a number of 0 or more"),
    ],
)
def test_invalid_setting_is_rejected_after_construction(layer: Any, setting: str, value: Any, message: str) -> None:
    layer(X4)
    with pytest.raises((TypeError, ValueError), match=message):  # noqa: PT012
        setattr(layer, setting, value)
        layer(X4)


def test_changed_momentum_applies() -> None:
    layer = pynn.BatchNorm1d(4)
    layer(X4)
    layer.momentum = 1.0
    layer(X4)
    np.testing.assert_allclose(layer.running_mean, X4.mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["Layer", "Sequential", "nested", "Model"])
def test_load_state_dict_returns_unmatched_names(kind: str) -> None:
    def make() -> pynn.Layer:
        one = pynn.Linear(4, 4, seed=0)
        if kind == "Layer":
            return one
        if kind == "Model":
            x = pynn.Input(4)
            return pynn.Model(x, one(x))
        net = pynn.Sequential(one, "relu")
        return net if kind == "Sequential" else pynn.Sequential(pynn.Residual(net))

    layer = make()
    state = layer.state_dict()
    names = list(state)
    whole = layer.load_state_dict(state)
    assert whole.missing_keys == whole.unexpected_keys == []
    assert str(whole) == "<All keys matched successfully>"
    other = {"z": 0, names[1]: np.full(4, 5.0), "module.0": 1}
    found = layer.load_state_dict(other, strict=False)
    missing, unexpected = found
    assert (missing, unexpected) == ([names[0]], ["z", "module.0"])
    assert found.missing_keys == missing
    assert "missing_keys" in repr(found)
    assert layer.state_dict()[names[1]].tolist() == [5.0] * 4
    with pytest.raises(KeyError, match=rf"missing \['{names[0]}'\], unexpected \['z', 'module.0'\]"):
        layer.load_state_dict(other)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_byte_order_of_input_does_not_matter(kind: str) -> None:
    x, swapped = np.ones((2, 3), f"<{kind}"), np.ones((2, 3), f">{kind}")
    for layer in (pynn.ReLU(), pynn.Softmax(), pynn.Flatten(), pynn.Sequential("gelu")):
        y, gx = layer(x), layer.backward(x)
        y_swapped, gx_swapped = layer(swapped), layer.backward(swapped)
        assert (y.dtype, gx.dtype) == (y_swapped.dtype, gx_swapped.dtype)
        assert y_swapped.dtype.isnative
    table = pynn.Embedding.from_pretrained(swapped)
    assert table.dtype == pynn.Embedding.from_pretrained(x).dtype
