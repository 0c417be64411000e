"""Nets with branches, several inputs and outputs, and shared layers, against manual computation."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn

RNG = np.random.default_rng(0)


def linear(n: int, m: int, seed: int) -> pynn.Linear:
    return pynn.Linear(n, m, dtype="float64", seed=seed)


def numeric(f: Any, x: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """Return the gradient of a scalar function by central differences."""
    g = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[i] = h
        g[i] = (f(x + step) - f(x - step)) / (2 * h)
    return g


def two_heads() -> pynn.Model:
    """Return a net with two inputs, two outputs, and a layer that is used twice."""
    a, b = pynn.Input(3), pynn.Input((3,))
    shared = linear(3, 4, 0)
    ha, hb = shared(a), shared(b)
    mid = pynn.Tanh()(ha)
    first = linear(4, 2, 1)(mid)
    both = pynn.Model((a, b), (linear(4, 2, 2)(hb), first))
    return both


def test_gradients_of_a_model_with_two_inputs_and_outputs() -> None:
    model = two_heads()
    xa, xb = RNG.normal(size=(2, 5, 3))
    ya, yb = model(xa, xb)
    assert ya.shape == yb.shape == (5, 2)
    ga, gb = RNG.normal(size=(2, 5, 2))
    model.zero_grad()
    gxa, gxb = model.backward(ga, gb)

    def total(u: np.ndarray, v: np.ndarray) -> float:
        p, q = model(u, v)
        return float((p * ga).sum() + (q * gb).sum())

    np.testing.assert_allclose(gxa, numeric(lambda u: total(u, xb), xa), atol=1e-8)
    np.testing.assert_allclose(gxb, numeric(lambda v: total(xa, v), xb), atol=1e-8)
    for p in model.parameters():
        before, got = p.data.copy(), p.grad.copy()

        def moved(w: np.ndarray, p: Any = p, before: np.ndarray = before) -> float:
            p.data[...] = w
            result = total(xa, xb)
            p.data[...] = before
            return result

        np.testing.assert_allclose(got, numeric(moved, before), atol=1e-7)
    for got, expected in zip(model.predict((xa, xb)), model(xa, xb), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_shared_layer_has_one_set_of_parameters() -> None:
    model = two_heads()
    assert len(model.parameters()) == 6
    assert len(model.state_dict()) == 6


def test_outputs_may_feed_other_outputs() -> None:
    x = pynn.Input(3)
    a = linear(3, 3, 0)(x)
    b = pynn.Tanh()(a)
    model = pynn.Model(x, (a, b, a, x))
    X = RNG.normal(size=(4, 3))
    ya, yb, yc, yx = model(X)
    np.testing.assert_array_equal(ya, yc)
    np.testing.assert_array_equal(yx, X)
    np.testing.assert_allclose(yb, np.tanh(ya))
    g = RNG.normal(size=(4, 4, 3))
    kept = g.copy()
    model.zero_grad()
    gx = model.backward(*g)
    np.testing.assert_array_equal(g, kept)
    inner = g[0] + g[2] + g[1] * (1 - yb**2)
    np.testing.assert_allclose(gx, inner @ model.params["0.weight"] + g[3], rtol=1e-12)
    np.testing.assert_allclose(model.grads["0.weight"], inner.T @ X, rtol=1e-12)


def test_fit_with_one_loss_per_output() -> None:
    x = pynn.Input(6)
    body = pynn.Sequential(pynn.Linear(6, 12, seed=0), "relu")(x)
    outputs = {"class": pynn.Softmax()(pynn.Linear(12, 3, seed=1)(body)), "box": pynn.Linear(12, 2, seed=2)(body)}
    model = pynn.Model(x, outputs)
    X = RNG.normal(size=(90, 6))
    y = {"class": (X[:, 0] > 0).astype(int) + (X[:, 1] > 0), "box": X[:, :2] * 2}
    hist = model.fit(
        X, y, loss={"class": "cross_entropy", "box": "mse"}, loss_weights={"class": 1, "box": 0.5}, epochs=60, seed=0,
        optimizer=pynn.optim.Adam(lr=0.01), validation_data=(X, y),
    ).history  # fmt: skip
    assert set(hist) >= {"loss", "class_loss", "class_accuracy", "box_loss", "val_loss", "val_box_loss", "val_class_accuracy"}
    assert hist["class_accuracy"][-1] > 0.9
    assert hist["box_loss"][-1] < 0.3
    np.testing.assert_allclose(hist["loss"], np.add(hist["class_loss"], np.multiply(0.5, hist["box_loss"])), rtol=1e-12)
    score = model.evaluate(X, y)
    assert score["loss"] == pytest.approx(hist["val_loss"][-1])
    np.testing.assert_allclose(model.predict(X)["class"].sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("remake", [
    copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), lambda m: pynn.Model.from_config(json.loads(json.dumps(m.get_config()))),
    lambda m: eval(repr(m), vars(pynn)),
])  # fmt: skip
def test_a_recreated_model_predicts_the_same(remake: Any) -> None:
    model = two_heads()
    again = remake(model)
    again.load_state_dict(model.state_dict())
    xa, xb = RNG.normal(size=(2, 5, 3))
    for got, expected in zip(again.predict((xa, xb)), model.predict((xa, xb)), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_named_layers_of_a_sequential() -> None:
    net = pynn.Sequential({"body": pynn.Linear(3, 4, seed=0), "act": "relu"})
    net.append(pynn.Linear(4, 2, seed=1), "head")
    assert [*net.state_dict()] == ["body.weight", "body.bias", "head.weight", "head.bias"]
    assert net["act"] is net[1]
    net["head"] = pynn.Linear(4, 5)
    assert net.predict(np.ones((2, 3))).shape == (2, 5)
    assert [*net[1:].state_dict()] == ["head.weight", "head.bias"]
    assert eval(repr(net), vars(pynn)).get_config() == net.get_config()
    with pytest.raises(KeyError, match=r"hed.*head"):
        net["hed"]
    with pytest.raises(ValueError, match="names must differ"):
        net.append("relu", "head")
    with pytest.raises(ValueError, match="without dots"):
        net.append("relu", "a.b")


def test_invalid_models_and_arguments_raise() -> None:
    x, other = pynn.Input(3), pynn.Input(3)
    y = pynn.ReLU()(x)
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: pynn.Model(other, y), ValueError, r"an input of shape \(3,\) that is not given"),
        (lambda: pynn.Model(y, y), ValueError, "inputs: expected results of pynn.Input, got an output of a layer"),
        (lambda: pynn.Model(x, np.ones(3)), TypeError, "outputs: .*ndarray"), (lambda: pynn.Model((), y), ValueError, "at least one"),
        (lambda: pynn.Model(x, pynn.Linear(4, 2)(y)), ValueError, r"layer 1 \(Linear\).*\(3,\).*4"),
        (lambda: pynn.ReLU()(x, np.ones(3)), TypeError, "cannot mix symbols and arrays"),
        (lambda: pynn.Model((x, other), y)(np.ones((2, 3))), ValueError, "takes 2 inputs, got 1"),
        (lambda: pynn.Model((x, other), (y, other)).predict(np.ones((2, 3))), TypeError, "tuple of arrays"),
        (lambda: pynn.Model((x, other), (y, other)).predict((np.ones((2, 3)), np.ones((3, 3)))), ValueError, "row counts: 2 and 3"),
        (lambda: pynn.Model(x, (y, x)).fit(np.ones((2, 3)), (1, 2, 3), loss="mse"), ValueError, "y: .*of 2.*got 3"),
        (lambda: pynn.Model(x, (y, x)).fit(np.ones((2, 3)), {"a": 1}, loss="mse"), ValueError, "no names"),
        (lambda: pynn.Model(x, {"p": y, "q": x}).fit(np.ones((2, 3)), {"p": 1}, loss="mse"), ValueError, "p, q.*'p'"),
    ]  # fmt: skip
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()


def test_branch_layers_match_their_formulas() -> None:
    x = RNG.normal(size=(5, 3))
    f, g = linear(3, 3, 0), linear(3, 3, 1)
    np.testing.assert_allclose(pynn.Residual(f, "tanh")(x), np.tanh(f(x)) + x)
    np.testing.assert_allclose(pynn.Residual(f, shortcut=g)(x), f(x) + g(x))
    np.testing.assert_allclose(pynn.Add(f, g, "identity")(x), f(x) + g(x) + x)
    np.testing.assert_allclose(pynn.Concat(f, g)(x), np.concatenate([f(x), g(x)], 1))
    np.testing.assert_allclose(pynn.Concat()(x, 2 * x, x), np.concatenate([x, 2 * x, x], 1))
    for got, expected in zip(pynn.Parallel(f, "relu")(x), (f(x), np.maximum(x, 0)), strict=True):
        np.testing.assert_allclose(got, expected)
    assert [*pynn.Residual(f, shortcut=g).state_dict()] == ["layers.0.weight", "layers.0.bias", "shortcut.weight", "shortcut.bias"]
    with pytest.raises(ValueError, match=r"layer 0 \(Residual\): .*\(2,\) to the input of sample shape \(3,\); use shortcut="):
        pynn.Sequential(pynn.Residual(linear(3, 2, 0)))(x)
    with pytest.raises(ValueError, match="axis 0 is the batch"):
        pynn.Sequential(pynn.Concat("relu", "tanh", dim=0)).predict(x)


BLOCKS = [
    lambda: pynn.Residual(linear(3, 3, 0), "tanh", linear(3, 3, 1)), lambda: pynn.Residual("tanh", "sigmoid"),
    lambda: pynn.Residual("tanh", shortcut=linear(3, 3, 2)), lambda: pynn.Concat(linear(3, 2, 0), "silu", "identity"),
    lambda: pynn.Add("identity", "identity", "tanh"), lambda: pynn.Add(pynn.Residual("tanh"), pynn.Residual("gelu")),
    lambda: pynn.Concat("relu", pynn.Add("tanh", "identity"), dim=-1), lambda: pynn.Residual(),
    lambda: pynn.Sequential(pynn.Residual("tanh"), pynn.Flatten(), pynn.Residual("softmax")),
    lambda: pynn.Sequential(pynn.Parallel("tanh", "gelu"), pynn.Concat()),
]  # fmt: skip


@pytest.mark.parametrize("make", BLOCKS)
def test_gradients_of_branches_match_finite_differences(make: Any) -> None:
    block, x = make(), RNG.normal(size=(4, 3))
    y = block(x)
    g = RNG.normal(size=y.shape)
    block.zero_grad()
    gx = block.backward(g)
    np.testing.assert_allclose(gx, numeric(lambda u: float((block(u) * g).sum()), x), atol=1e-7)
    again = eval(repr(block), vars(pynn))
    assert again.get_config() == block.get_config()
    assert pickle.loads(pickle.dumps(block)).get_config() == block.get_config()


@pytest.mark.parametrize("make", BLOCKS)
def test_gradients_in_fit_match_a_manual_step(make: Any) -> None:
    """A training step leaves the gradients that a call and its backward give."""
    X = RNG.normal(size=(4, 3))
    net = pynn.Sequential(linear(3, 3, 5), make())
    out = net(X)
    y = RNG.normal(size=out.shape)
    net.zero_grad()
    net.backward(2 * (net(X) - y) / y.size)
    expected = {name: g.copy() for name, g in net.grads.items()}
    net.fit(X, y, loss="mse", optimizer=pynn.optim.SGD(lr=0.0), epochs=1, batch_size=4, shuffle=False)
    for name, g in net.grads.items():
        np.testing.assert_allclose(g, expected[name], atol=1e-12)


# ---- names of layers -------------------------------------------------------------------------------------------------
def heads(names: bool = True) -> pynn.Model:
    """Return a net with two inputs, two named outputs, and a layer that is used twice."""
    x, y = pynn.Input(4), pynn.Input(3)
    shared, left, right = pynn.Linear(5, 5, seed=2), pynn.Linear(4, 5, seed=0)(x), pynn.Linear(3, 5, seed=1)(y)
    both = pynn.Concat()(pynn.ReLU()(shared(left)), shared(right))
    outputs = {"sort": pynn.Linear(10, 3, seed=3)(both), "size": pynn.Linear(10, 1, seed=4)(both)}
    layers = {"encoders.left": left, "encoders.right": right, "shared": shared, **outputs}
    return pynn.Model([x, y], outputs, layers=layers if names else None)


def test_layer_names_appear_in_states_tables_and_files(tmp_path: Path) -> None:
    model = heads()
    named = ["encoders.left", "shared", "encoders.right", "sort", "size"]
    assert list(dict.fromkeys(name.rpartition(".")[0] for name in model.state_dict())) == named
    for text in (str(model.summary()), str(model.plan_summary()), model._repr_html_()):
        assert all(name in text for name in named)
    assert [name for name, _ in model.named_children()][-2:] == ["sort", "size"]
    assert model["shared"] is model.layers[1]
    assert model[-1] is model["size"]
    model.freeze("encoders")
    model.save(tmp_path / "m")
    made = eval(repr(model), vars(pynn)), pynn.Model.from_config(model.get_config())
    for again in (pynn.load(tmp_path / "m"), copy.deepcopy(model), *made):
        assert [*again.state_dict()] == [*model.state_dict()]
        assert again.get_config() == model.get_config()
    assert [n for n, p in pynn.load(tmp_path / "m").named_parameters() if not p.requires_grad] == [f"encoders.{n}" for n in _FROZEN]
    X = np.ones((6, 4)), np.ones((6, 3))
    hist = model.fit(X, {"sort": np.zeros(6, int), "size": np.ones(6)}, loss={"sort": "cross_entropy", "size": "mse"}, epochs=1, seed=0)
    assert hist.epoch == [0]
    assert "shared" in str(model.health())


_FROZEN = ["left.weight", "left.bias", "right.weight", "right.bias"]


def test_layer_names_do_not_change_predictions() -> None:
    X = np.random.default_rng(0).normal(size=(6, 4)), np.ones((6, 3))
    named, numbered = heads().predict(X), heads(names=False).predict(X)
    assert all(named[name].tobytes() == numbered[name].tobytes() for name in ("sort", "size"))
    assert [*heads(names=False).state_dict()][:2] == ["0.weight", "0.bias"]
    assert "layer_names" not in heads(names=False).get_config()


a, b, unused = pynn.Linear(2, 2), pynn.Linear(2, 2), pynn.Linear(2, 2)


@pytest.mark.parametrize(
    ("layers", "error", "text"),
    [
        ({"x": unused}, ValueError, "'x' is Linear.*on which the outputs do not depend"),
        ({"x": a, "y": a}, ValueError, "both 'x' and 'y'"),
        ({"1": a}, ValueError, "names must differ"),
        ({"x": a, "x.y": b}, ValueError, "names must differ, but 'x' also begins another"),
        ({"": a}, ValueError, "a name must be text"),
        ({"x.": a}, ValueError, "a name must be text"),
        ({"x..y": a}, ValueError, "a name must be text"),
        ({3: a}, ValueError, "a name must be text"),
        ({"x": "relu"}, TypeError, "expected a pynn.Layer"),
        ({"x": pynn.Input(2)}, TypeError, "expected a pynn.Layer"),
        ([a, b], TypeError, "expected layers by name"),
    ],
)
def test_invalid_layer_names_raise(layers: Any, error: Any, text: str) -> None:
    x = pynn.Input(2)
    with pytest.raises(error, match=text):
        pynn.Model(x, b(a(x)), layers=layers)


def test_an_unknown_layer_name_raises() -> None:
    with pytest.raises(KeyError, match=r"unknown layer 'sorts'.*'sort'"):
        heads()["sorts"]
    with pytest.raises(IndexError):
        heads()[99]
