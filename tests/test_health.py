"""Health reports against NumPy, advice, and the origin of NaN; monitoring must not change training."""

import copy
import json
import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pynn
from pynn import _core
from pynn._training import advice
from pynn._training.health import LayerHealth
from pynn._training.rows import split

X = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 300)
IMAGES = np.random.default_rng(2).standard_normal((50, 2, 6, 6)).astype(np.float32)


def net(activation: str = "relu", width: int = 50) -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(8, width, seed=0), activation, pynn.Linear(width, 20, seed=1), "tanh", pynn.Linear(20, 3, seed=2))


def fitted(model: pynn.Sequential, **options: Any) -> pynn.Health:
    settings = {"loss": "cross_entropy", "seed": 0, "epochs": 2} | options
    model.fit(X, Y, **settings)
    return model.health()


# ---- units ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dead_units_are_counted(dtype: str, isa: str) -> None:
    model = pynn.Sequential(pynn.Linear(8, 50, dtype=dtype, seed=0), "relu", pynn.Linear(50, 3, dtype=dtype, seed=1))
    model[0].bias[:30] = -1000
    health = fitted(model)
    assert health["1"].dead == 0.6
    assert health["1"].units == 50
    cure = "use LeakyReLU or GELU, or restart with a lower learning rate"
    assert health.problems == [f"layer 1: 60 % of ReLU units never fired in the last epoch; {cure}"]
    assert health.advice == [f"problem: {text}" for text in health.problems]
    assert not fitted(net("gelu")).advice


def test_dead_units_on_given_data_do_not_depend_on_gradients_of_the_training() -> None:
    model = net()
    assert fitted(model)["1"].dead < 0.5
    model[0].bias[:] = -1000
    assert model.health(X)["1"].dead == model.health(X, Y)["1"].dead == 1


def test_a_unit_that_fires_once_in_an_epoch_is_not_dead() -> None:
    model = pynn.Sequential(pynn.Linear(8, 40, seed=0), "relu", pynn.Linear(40, 3, seed=1))
    model[0].weight[:] = 0
    model[0].bias[:] = -1
    model[0].weight[:13, 0] = 3e-3  # these fire for one row only
    rare = np.where(np.arange(len(X))[:, None] == 217, 1000, np.minimum(X, 1))
    for kind, frozen in (("by the gradient of the bias", False), ("by a separate pass", True)):
        again = copy.deepcopy(model)
        if frozen:
            again.freeze("0")
        again.fit(rare, Y, loss="cross_entropy", optimizer=pynn.optim.SGD(lr=0.0), batch_size=1, epochs=1, seed=0)
        if not frozen:
            assert again.health()["1"].dead == 27 / 40, kind
        assert again.health(rare)["1"].dead == 27 / 40, kind


def test_saturated_units_are_counted() -> None:
    model = net("tanh")
    model[0].bias[:20] = 100
    model[0].bias[20:25] = -100
    health = fitted(model, optimizer=pynn.optim.SGD(lr=0.01))
    assert health["1"].dead + health["1"].saturated == 0.5  # a derivative may be small or round to 0
    steep = model[0].weight * 0 + 3
    model[0].weight[:] = steep
    model[0].bias[:] = np.where(np.arange(50) < 35, 30, 0)
    by_numpy = 1 - np.tanh((X @ model[0].weight.T + model[0].bias).astype(np.float64)) ** 2
    small = (np.abs(by_numpy) < 0.05).mean(0) >= 0.95
    assert model.health(X)["1"].saturated + model.health(X)["1"].dead == pytest.approx(small.mean())
    assert any("are saturated" in text for text in model.health(X).advice)


@pytest.mark.parametrize("how", ["channels last", "plain", "sequence"])
def test_units_are_channels_of_images_and_columns_of_sequences(how: str) -> None:
    if how == "sequence":
        model = pynn.Sequential(pynn.Linear(6, 70, seed=0), "relu", pynn.Flatten(), pynn.Linear(70 * 12, 3, seed=1))
        data, units, dead = IMAGES.reshape(50, 12, 6), 70, 42
    else:
        between = [pynn.BatchNorm2d(5)] if how == "channels last" else []
        model = pynn.Sequential(pynn.Conv2d(2, 5, 3, seed=0), *between, "relu", pynn.Conv2d(5, 4, 3, seed=3), pynn.Flatten())
        data, units, dead = IMAGES, 5, 3
    next(layer for layer in reversed(list(model)[: 1 + ("channels" in how)]) if hasattr(layer, "bias")).bias[:dead] = -1000
    relu = next(row for row in model.health(data) if row.kind == "ReLU")
    assert (relu.units, relu.dead) == (units, pytest.approx(dead / units))


# ---- statistics ----------------------------------------------------------------------------------------------------------
def by_numpy(model: pynn.Sequential, x: NDArray[Any], y: NDArray[Any]) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return the outputs of layers and the gradients of parameters of a Linear, tanh, Linear net with the mse loss."""
    w, v = model[0].weight.astype(np.float64), model[2].weight.astype(np.float64)
    h = np.tanh(x @ w.T + model[0].bias)
    out = h @ v.T + model[2].bias
    g = 2 * (out - y) / out.size
    back = (g @ v) * (1 - h**2)
    return {"1": h, "2": out}, {"0.weight": back.T @ x, "0.bias": back.sum(0), "2.weight": g.T @ h, "2.bias": g.sum(0)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_statistics_match_numpy(dtype: str, isa: str) -> None:
    model = pynn.Sequential(pynn.Linear(8, 33, dtype=dtype, seed=0), "tanh", pynn.Linear(33, 2, dtype=dtype, seed=1))
    x, y = X[:64].astype(np.float64), X[:64, :2].astype(np.float64)
    outputs, gradients = by_numpy(model, x, y)
    before = model.state_dict()
    given = model.health(x, y, loss="mse")
    model.fit(x, y, loss="mse", optimizer=pynn.optim.Adam(lr=0.01), epochs=1, batch_size=64, shuffle=False)
    trained, tolerance = model.health(), 1e-5 if dtype == "float32" else 1e-12
    for layer, out in outputs.items():
        for health in (given, trained):
            assert health[layer].mean == pytest.approx(out.mean(), rel=tolerance, abs=tolerance)
            assert health[layer].spread == pytest.approx(out.std(), rel=tolerance)
    for layer in ("0", "2"):
        names = [name for name in before if name.startswith(layer)]
        length = math.sqrt(sum((gradients[name] ** 2).sum() for name in names))
        assert given[layer].gradient == pytest.approx(length, rel=tolerance)
        assert trained[layer].gradient == pytest.approx(length, rel=tolerance)
        moved = math.sqrt(sum(((model.state_dict()[name] - before[name]).astype(np.float64) ** 2).sum() for name in names))
        norm = math.sqrt(sum((before[name].astype(np.float64) ** 2).sum() for name in names))
        assert trained[layer].update == pytest.approx(moved / norm, rel=10 * tolerance)
        assert math.isnan(given[layer].update)


@pytest.mark.parametrize("optimizer", ["adam", "muon", "adafactor"])
def test_update_ratios_of_large_parameters(optimizer: str) -> None:
    model = pynn.Sequential(pynn.Linear(300, 700, bias=False, seed=0), "tanh", pynn.Linear(700, 3, bias=False, seed=1))
    x = np.random.default_rng(3).standard_normal((32, 300)).astype(np.float32)
    before = {name: a.astype(np.float64) for name, a in model.state_dict().items()}
    model.fit(x, Y[:32], loss="cross_entropy", optimizer=optimizer, seed=0)
    for layer in ("0", "2"):
        old, new = before[f"{layer}.weight"], model.state_dict()[f"{layer}.weight"]
        assert model.health()[layer].update == pytest.approx(np.linalg.norm(new - old) / np.linalg.norm(old), rel=1e-4)


@pytest.mark.parametrize("optimizer", ["lbfgs", "levenberg_marquardt"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_solvers_report_gradients_and_updates(optimizer: str, dtype: str) -> None:
    """Each epoch is one step. The reported gradients are those at its start, and updates are the measured changes."""
    four = pynn.Linear(5, 4, seed=1, dtype=dtype)
    layers = [pynn.Linear(8, 5, seed=0, dtype=dtype), "tanh", four, pynn.Linear(4, 1, seed=2, dtype=dtype)]
    model, y = pynn.Sequential(*layers).freeze("2"), np.sin(X[:, 0].astype(np.float64))
    opt = pynn.optim.by_name[optimizer](**({"max_iter": 3} if optimizer == "lbfgs" else {}))
    for _ in range(2):
        criterion, before = pynn.MSELoss(), model.state_dict()
        criterion(model(X.astype(dtype)), y[:, None].astype(dtype))
        for p in model.parameters():
            p.grad[...] = 0
        model.backward(criterion.backward())
        gradients = {name: p.grad.astype(np.float64).copy() for name, p in zip(before, model.parameters(), strict=True)}
        model.fit(X, y, loss="mse", optimizer=opt, seed=0)
        health, after = model.health(), model.state_dict()
        assert health.updates == 1
        for layer in ("0", "3"):
            names = [f"{layer}.weight", f"{layer}.bias"]
            steps = [after[name].astype(np.float64) - before[name] for name in names]
            length = math.sqrt(sum(float((before[name].astype(np.float64) ** 2).sum()) for name in names))
            assert health[layer].gradient == pytest.approx(math.sqrt(sum((gradients[name] ** 2).sum() for name in names)), rel=1e-4)
            assert health[layer].update == pytest.approx(math.sqrt(sum((step**2).sum() for step in steps)) / length, rel=1e-4)
            assert health[layer].update > 0
        assert math.isnan(health["2"].gradient)


def test_monitoring_changes_nothing_and_does_not_depend_on_threads() -> None:
    seen, weights = [], []
    for threads, health in ((1, True), (2, True), (7, True), (1, False)):
        model = pynn.Sequential(pynn.Linear(8, 300, seed=0), "relu", pynn.Linear(300, 300, seed=1), "gelu", pynn.Linear(300, 3, seed=2))
        with pynn.num_threads(threads):
            model.fit(X, Y, loss="cross_entropy", epochs=3, seed=0, health=health)
        weights.append(model.state_dict())
        if health:
            seen.append(pickle.dumps([tuple(row) for row in model.health()]))
    assert len(set(seen)) == 1
    assert all(np.array_equal(a, b) for other in weights[1:] for a, b in zip(weights[0].values(), other.values(), strict=True))


# ---- graphs and data sources ---------------------------------------------------------------------------------------------
def test_reports_of_branches_shared_and_frozen_layers() -> None:
    given = pynn.Input((8,))
    shared = pynn.Linear(8, 8, seed=0)
    a = pynn.ReLU()(shared(pynn.Tanh()(shared(given))))
    model = pynn.Model(given, pynn.Linear(8, 3, seed=1)(pynn.Add()(a, given)))
    model.fit(X, Y, loss="cross_entropy", epochs=2, seed=0)
    health = model.health()
    kinds = {row.kind: row for row in health}
    assert kinds["Tanh"].units == kinds["ReLU"].units == 8
    assert kinds["Add"].spread > 0
    assert kinds["Linear"].gradient > 0
    frozen = net().freeze("0")
    assert [row.layer for row in fitted(frozen)] == ["1", "2", "3", "4"]  # the frozen first layer is not measured
    assert fitted(frozen)["2"].gradient > 0
    deep = pynn.Sequential(pynn.Residual(pynn.Linear(8, 8, seed=0), "relu"), pynn.Linear(8, 3, seed=1))
    assert [row.layer for row in fitted(deep)][-1] == "1"


def test_training_on_iterables_reports_the_same() -> None:
    model, clone = net(), net()
    model[0].bias[:30] = clone[0].bias[:30] = -1000
    model.fit([(X[i : i + 32], Y[i : i + 32]) for i in range(0, 300, 32)], loss="cross_entropy", epochs=3)
    clone.fit(X, Y, loss="cross_entropy", epochs=3, shuffle=False)
    assert [tuple(map(str, row)) for row in model.health()] == [tuple(map(str, row)) for row in clone.health()]
    assert model.health()["1"].dead == 0.6


def test_reports_and_their_errors() -> None:
    model = net()
    with pytest.raises(ValueError, match="has not been fitted"):
        model.health()
    model.fit(X, Y, loss="cross_entropy", health=False)
    with pytest.raises(ValueError, match="health=False"):
        model.health()
    with pytest.raises(ValueError, match="X: expected data"):
        model.health(y=Y)
    with pytest.raises(ValueError, match="at least one row"):
        model.health(X[:0])
    with pytest.raises(ValueError, match="loss: expected one"):
        net().health(X, Y)
    health = fitted(model)
    assert str(pickle.loads(pickle.dumps(model)).health()) == str(health)
    assert [row.layer for row in health] == ["0", "1", "2", "3", "4"]
    assert health[1] is health["1"]
    assert len(health) == 5
    with pytest.raises(KeyError, match="known: 0, 1"):
        health["9"]
    assert "epoch 2; outputs of" in str(health)
    assert "<td>ReLU</td>" in health._repr_html_()
    assert "given data" in repr(model.health(X))
    pandas = pytest.importorskip("pandas")
    assert isinstance(health.to_pandas(), pandas.DataFrame)
    assert health.to_pandas().loc["1", "units"] == 50
    with pytest.raises(RuntimeError):
        _core.Fit(model._graph((X,), frozenset()), X, None, (), 32, False, 0, [], None, False, True).epoch(0)


# ---- advice --------------------------------------------------------------------------------------------------------------
def test_gradients_that_vanish_or_explode_are_reported() -> None:
    deep: list[Any] = [layer for i in range(12) for layer in (pynn.Linear(8, 8, seed=i), "sigmoid")]
    model = pynn.Sequential(*deep, pynn.Linear(8, 3, seed=50))
    assert any("it vanishes on its way back" in text for text in model.health(X, Y, loss="cross_entropy").advice)
    model = pynn.Sequential(*(layer for i in range(6) for layer in (pynn.Linear(8, 8, seed=i), "relu")), pynn.Linear(8, 3, seed=50))
    for layer in model[2::2]:
        layer.weight[:] *= 50
    model[-1].weight[:] *= 1e-3
    texts = " ".join(model.health(X, Y, loss="cross_entropy").advice)
    assert "outputs are as large as" in texts
    big = fitted(net(), optimizer=pynn.optim.SGD(lr=100.0), on_nan="ignore")
    assert any("a step changes the parameters" in text for text in big.problems)
    assert any("raise the learning rate" in text for text in fitted(net(), optimizer=pynn.optim.SGD(lr=1e-9)).advice)
    cut = net()
    cut[4].weight[:] = 0
    assert any("no gradient reaches it" in text for text in cut.health(X, Y, loss="cross_entropy").advice)


DIGITS, DIGIT = pynn.datasets.load_digits()


@pytest.mark.parametrize("scale", [1, 16])
@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_net_has_no_problem(seed: int, scale: float) -> None:
    layers = [pynn.Linear(64, 128, seed=seed), "relu", pynn.Linear(128, 64, seed=seed + 100), "relu", pynn.Linear(64, 10, seed=seed + 200)]
    model = pynn.Sequential(*layers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monitor = pynn.callbacks.HealthMonitor()
        model.fit(DIGITS / scale, DIGIT, loss="cross_entropy", epochs=5, seed=seed, verbose=False, callbacks=[monitor])
    assert model.health().problems == []
    assert not any("learning rate" in text for text in model.health().advice)


@pytest.mark.parametrize(
    ("activation", "words", "other"),
    [
        (pynn.ReLU(), "never fired", "no gradient"),
        (pynn.LeakyReLU(0.0), "never fired", "no gradient"),
        (pynn.Threshold(0.0, 0.0), "never fired", "no gradient"),
        (pynn.ReLU6(), "no gradient passed", "LeakyReLU"),
        (pynn.Hardsigmoid(), "no gradient passed", "LeakyReLU"),
        (pynn.Hardtanh(), "no gradient passed", "fired"),
    ],
    ids=repr,
)
def test_advice_depends_on_the_derivative_of_an_activation(activation: pynn.Layer, words: str, other: str) -> None:
    model = net(activation)
    model[0].bias[:30] = -1000
    texts = fitted(model).problems
    assert len(texts) == 1
    assert words in texts[0]
    assert other not in texts[0]


@pytest.mark.parametrize(
    ("name", "flat"),
    [("relu", "low"), ("gelu", "low"), ("elu", "low"), ("softplus", "low"), ("mish", "low"), ("tanh", "both"), ("relu6", "both"),
     ("logsigmoid", "high"), ("sigmoid", "both"), ("leaky_relu", "low"), ("identity", ""), ("tanhshrink", "")],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_flat_sides_of_activations_are_measured(name: str, flat: str, dtype: str) -> None:
    model = pynn.Sequential(pynn.Linear(8, 5, dtype=dtype), name, pynn.Linear(5, 3, dtype=dtype))
    assert [row.flat for row in model.health(X, Y, loss="cross_entropy")] == ["", flat, ""]


def test_lines_that_differ_only_in_the_layer_are_merged() -> None:
    layers = [pynn.Linear(8, 20, seed=0), "relu", pynn.Linear(20, 20, seed=1), "relu", pynn.Linear(20, 20, seed=2), "relu"]
    model = pynn.Sequential(*layers, pynn.Linear(20, 3, seed=3))
    for at, units in ((0, 12), (2, 14), (4, 16)):
        model[at].bias[:units] = -1000
    texts = model.health(X, Y, loss="cross_entropy").problems
    assert [text.split(";")[0] for text in texts] == ["layers 1, 3 and 5: 60 to 80 % of ReLU units never fired on these data"]
    model[4].bias[:] = 0
    texts = model.health(X, Y, loss="cross_entropy").problems
    assert [text.split(";")[0] for text in texts] == ["layers 1 and 3: 60 to 70 % of ReLU units never fired on these data"]


def row(**facts: Any) -> LayerHealth:
    usual = {"units": 0, "dead": math.nan, "saturated": math.nan, "mean": 0.0, "spread": 1.0, "gradient": math.nan, "update": math.nan}
    return LayerHealth(**{"layer": "0", "kind": "Linear"} | usual | facts)


@pytest.mark.parametrize(
    ("facts", "note", "problem"),
    [
        ({"units": 8, "dead": 0.2, "flat": "low", "saturated": 0.0}, "20 % of Linear units never fired", None),
        ({"units": 8, "dead": 0.7, "flat": "low", "saturated": 0.0}, None, "70 % of Linear units never fired"),
        ({"units": 8, "dead": 0.0, "flat": "both", "saturated": 0.5}, "50 % of Linear units are saturated", None),
        ({"units": 8, "dead": 0.0, "flat": "both", "saturated": 0.996}, None, "99 % of Linear units are saturated"),
        ({"mean": 1234.5}, "as large as 1,200", None),
        ({"mean": -3.2e7}, None, "as large as 3.2e7"),
        ({"spread": 0.0}, None, "the same for all samples"),
        ({"update": 0.2}, "by 20 % of their length", None),
        ({"update": 2.0}, None, "by 200 % of their length"),
    ],
)
def test_levels_of_advice(facts: dict[str, Any], note: str | None, problem: str | None) -> None:
    health = pynn.Health([row(**facts), row(layer="1")], 1, 1, 1)
    for texts, words, level in ((health.notes, note, "note"), (health.problems, problem, "problem")):
        assert len(texts) == (words is not None)
        if words is not None:
            assert words in texts[0]
            assert health.advice == [f"{level}: {texts[0]}"]
            assert f"- {level}: layer 0: " in str(health)


@pytest.mark.parametrize(("first", "level"), [(2e-3, None), (5e-4, "note"), (5e-5, "problem"), (2e3, "note"), (2e4, "problem")])
def test_levels_of_gradient_flow(first: float, level: str | None) -> None:
    health = pynn.Health([row(gradient=first), row(layer="1", gradient=1.0)], 1, 1, 1)
    assert [text.split(":")[0] for text in health.advice] == ([] if level is None else [level])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12345.678, "12,000"), (999.9, "1,000"), (0.0123456, "0.012"), (1.0, "1"), (-3.14159, "-3.1"), (255.0, "260"),
     (2.5e8, "2.5e8"), (1e-7, "1e-7"), (999999.0, "1,000,000"), (math.inf, "infinity"), (0.1 + 0.2, "0.3"), (10.0, "10"), (1e300, "1e300")],
)  # fmt: skip
def test_numbers_are_rounded_for_display(value: float, text: str) -> None:
    assert advice.number(value) == text


def test_epochs_are_counted_from_1() -> None:
    hist = net().fit(X, Y, loss="cross_entropy", epochs=2, callbacks=[pynn.callbacks.HealthMonitor()], verbose=False)
    assert [health.epoch for health in hist.health] == [1, 2]
    assert [str(health).count(f"epoch {i + 1};") for i, health in enumerate(hist.health)] == [1, 1]
    bad = X.copy()
    bad[5, 0] = np.nan
    error = diverges(net(), bad, Y)
    assert error.epoch == 1
    assert "in epoch 1, step" in str(error)
    with pytest.warns(RuntimeWarning, match="the loss is NaN in epoch 1:"):
        net().fit(bad, Y, loss="cross_entropy", on_nan="ignore", verbose=False)


# ---- advice on data ------------------------------------------------------------------------------------------------------
def on(x: Any, y: Any, *, last: Any = "identity", first: Any = None, loss: Any = "mse", **options: Any) -> pynn.Health:
    width = 1 if np.ndim(y) == 1 else np.shape(y)[1]
    layers = [pynn.Linear(x.shape[1], 16, seed=0), "tanh", pynn.Linear(16, width if loss != "cross_entropy" else 3, seed=1), last]
    model = pynn.Sequential(*([] if first is None else [first]), *layers)
    model.fit(x, y, loss=loss, seed=0, verbose=False, optimizer=pynn.optim.SGD(lr=1e-12), **options)
    return model.health()


def about(health: pynn.Health, words: str) -> list[str]:
    return [text.split(":")[0] for text in health.advice if words in text]


TARGET = np.tanh(X[:, 0])


@pytest.mark.parametrize(("scale", "level"), [(1, []), (8, []), (40, ["note"]), (5000, ["problem"]), (1e-3, ["note"]), (1e-6, ["problem"])])
def test_advice_on_unscaled_inputs(scale: float, level: list[str]) -> None:
    assert about(on(X * scale, TARGET), "standardise the inputs") == level
    model = pynn.Sequential(pynn.Linear(8, 1, seed=0))
    assert about(model.health(X * scale), "standardise the inputs") == level
    batches = [(X[:150] * scale, TARGET[:150]), (X[150:] * scale, TARGET[150:])]
    model.fit(batches, loss="mse", optimizer=pynn.optim.SGD(lr=1e-12), verbose=False)
    assert about(model.health(), "standardise the inputs") == level


def test_advice_on_one_column() -> None:
    x = X.astype(np.float64)
    x[:, 3] = 2000 + x[:, 3]
    assert any("column 3 of X has values up to 2,000" in text for text in on(x, TARGET).problems)
    x = X.astype(np.float64)
    x[:, 3] *= 1e-5
    assert any("one column of X varies" in text for text in on(x, TARGET).notes)
    x[:, 3] = 1  # a constant column
    assert not about(on(x, TARGET), "of X")


def test_scaling_is_not_advised_before_normalization_or_embedding() -> None:
    for first in (pynn.BatchNorm1d(8), pynn.LayerNorm(8), pynn.Sequential(pynn.Flatten(), pynn.Dropout(0.1), pynn.RMSNorm(8))):
        assert not about(on(X * 5000, TARGET, first=first), "of X")
    words = np.random.default_rng(0).integers(0, 5000, (50, 4))
    model = pynn.Sequential(pynn.Embedding(5000, 3, seed=0), pynn.Flatten(), pynn.Linear(12, 1, seed=0))
    model.fit(words, np.zeros(50), loss="mse", verbose=False)
    assert not about(model.health(), "of X")


def test_advice_on_each_input_of_a_model() -> None:
    a, b = pynn.Input((8,)), pynn.Input((8,))
    model = pynn.Model([a, b], pynn.Linear(16, 1, seed=0)(pynn.Concat()(pynn.Flatten()(a), pynn.LayerNorm(8)(b))))
    model.fit((X, X * 5000), TARGET, loss="mse", verbose=False)
    assert not about(model.health(), "standardise")
    model.fit((X * 5000, X), TARGET, loss="mse", verbose=False, optimizer=pynn.optim.SGD(lr=1e-12))
    assert about(model.health(), "X[0] has values up to") == ["problem"]


@pytest.mark.parametrize("loss", ["mse", "l1", "huber", pynn.QuantileLoss(0.9)], ids=str)
@pytest.mark.parametrize(("scale", "level"), [(1, []), (5, []), (200, ["note"]), (1e5, ["problem"]), (1e-5, ["note"])])
def test_advice_on_unscaled_targets(scale: float, level: list[str], loss: Any) -> None:
    assert about(on(X, TARGET * scale, loss=loss), "train on (y - mean) / standard deviation") == level


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_advice_on_targets_of_every_type(dtype: str) -> None:
    assert about(on(X, (TARGET * 5000).astype(dtype)), "y has values up to") == ["problem"]
    assert about(on(X, (TARGET * 5000).astype(np.int32)), "y has values up to") == ["problem"]


@pytest.mark.parametrize(
    ("last", "targets", "limits"),
    [
        ("relu", TARGET, "at least 0"),
        ("softplus", TARGET, "at least 0"),
        ("exponential", TARGET, "at least 0"),
        ("sigmoid", 3 * TARGET, "between 0 and 1"),
        ("hardsigmoid", 3 * TARGET, "between 0 and 1"),
        ("tanh", 3 * TARGET, "between -1 and 1"),
        ("softsign", 3 * TARGET, "between -1 and 1"),
        ("relu6", TARGET, "between 0 and 6"),
        ("elu", 5 * TARGET, "at least -1"),
        ("logsigmoid", TARGET, "at most 0"),
        (pynn.Softmax(), np.stack([2 * TARGET, 1 - 2 * TARGET], 1), "between 0 and 1"),
        (pynn.Activation("half", lambda x: np.tanh(x) / 2, lambda x: (1 - np.tanh(x) ** 2) / 2), TARGET, "between -0.5 and 0.5"),
    ],
)
def test_advice_on_targets_outside_the_output_range(last: Any, targets: Any, limits: str) -> None:
    found = [text for text in on(X, targets, last=last).problems if "its outputs are" in text]
    assert len(found) == 1
    assert limits in found[0]
    assert found[0].startswith("layer 3: ")


@pytest.mark.parametrize("last", ["identity", "leaky_relu", "tanhshrink", "softshrink", pynn.PReLU()])
def test_an_unbounded_output_layer_gets_no_range_advice(last: Any) -> None:
    assert not about(on(X, 5 * TARGET, last=last), "its outputs are")


def test_targets_within_the_output_range_get_no_advice() -> None:
    for last, targets in (("tanh", TARGET), ("relu", TARGET**2), ("sigmoid", TARGET**2), ("softplus", TARGET**2)):
        assert not about(on(X, targets, last=last), "its outputs are")
    assert not about(on(X, (TARGET > 0) * 1.0, last="sigmoid", loss="bce"), "its outputs are")
    assert not about(on(X, (TARGET > 0) * 1.0, loss="bce_with_logits"), "its outputs are")


def test_losses_without_scaled_targets_get_no_target_advice() -> None:
    assert not about(on(X, Y, loss="cross_entropy"), "of y")
    chances = np.full((300, 3), 1 / 3)
    assert not about(on(X, chances, last=pynn.LogSoftmax(), loss=pynn.KLDivLoss()), "its outputs are")
    assert not about(on(X, np.random.default_rng(0).poisson(500, 300), loss=pynn.PoissonNLLLoss()), "y has values")


def test_advice_on_data_is_saved_with_a_report() -> None:
    health = on(X * 5000, TARGET)
    same = pynn.Health.from_plain(json.loads(json.dumps(health.to_plain())))
    assert same.advice == health.advice
    assert pickle.loads(pickle.dumps(health)).advice == health.advice


def test_the_monitor_warns_once_and_keeps_every_epoch() -> None:
    model = net()
    model[0].bias[:30] = -1000
    with pytest.warns(UserWarning, match="60 % of ReLU units") as warned:
        hist = model.fit(X, Y, loss="cross_entropy", epochs=4, callbacks=[pynn.callbacks.HealthMonitor()], seed=0)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert [health["1"].dead for health in hist.health] == [0.6] * 4
    assert [health.epoch for health in hist.health] == [1, 2, 3, 4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, loss="cross_entropy", callbacks=[pynn.callbacks.HealthMonitor(dead=0.7)], seed=0)
    with pytest.raises(ValueError, match="dead: expected a number over 0, got 0"):
        pynn.callbacks.HealthMonitor(dead=0)
    with pytest.raises(ValueError, match="health=False"):
        model.fit(X, Y, loss="cross_entropy", callbacks=[pynn.callbacks.HealthMonitor()], health=False)
    assert pynn.callbacks.HealthMonitor().limits == advice.PROBLEM


def test_plot_of_gradient_flow() -> None:
    pytest.importorskip("matplotlib").use("agg")
    model = net()
    model.fit(X, Y, loss="cross_entropy", epochs=3, callbacks=[pynn.callbacks.HealthMonitor(dead=2, saturated=2)])
    for source, lines in ((model.history, 3), (model, 3), (model.health(), 1)):
        figure = pynn.plot.plot_gradient_flow(source)
        assert [len(axes.lines) for axes in figure.axes[:2]] == [lines, lines]
        drawn = figure.axes[0].lines[-1].get_ydata()
        assert list(drawn) == pytest.approx([model.health()[name].gradient for name in ("0", "2", "4")])
    with pytest.raises(ValueError, match="its reports contain no gradients"):
        pynn.plot.plot_gradient_flow(model.health(X))
    with pytest.raises(TypeError, match="source"):
        pynn.plot.plot_gradient_flow(3)  # type: ignore[arg-type]


# ---- origin of NaN -------------------------------------------------------------------------------------------------------
def diverges(model: Any, *data: Any, **options: Any) -> pynn.DivergenceError:
    with pytest.raises(pynn.DivergenceError) as error:
        model.fit(*data, **{"loss": "cross_entropy", "seed": 3, "epochs": 2} | options)
    return error.value


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("options", [{}, {"validation_split": 0.2}, {"batch_size": 300}, {"batch_size": 1}], ids=str)
def test_nan_in_x_is_reported_with_its_row(value: float, shuffle: bool, options: dict[str, Any]) -> None:
    bad = X.copy()
    bad[123, 5] = value
    seed = next(s for s in range(99) if "validation_split" not in options or 123 in trained_on(s))
    error = diverges(net(), bad, Y, shuffle=shuffle, **options | {"seed": seed})
    assert error.row == 123
    assert error.layer is None
    assert "X holds NaN or infinity in row 123" in str(error)


def test_reporting_a_diverged_step_uses_no_freed_memory() -> None:
    """The search for the origin recomputes the losses in a separate plan, whose memory is then freed."""
    bad = np.tile(X, (40, 1))
    bad[123, 5] = np.nan
    error = diverges(pynn.Sequential(pynn.Linear(X.shape[1], 256), "relu", pynn.Linear(256, 3)), bad, np.tile(Y, 40), batch_size=12000)
    assert error.row == 123


def trained_on(seed: int) -> NDArray[np.intp]:
    return split(0.2, 300, Y, [pynn.losses.CrossEntropyLoss()], seed, True)[0]


def test_nan_in_targets_and_weights_is_reported_with_its_row() -> None:
    y, w = np.eye(3, dtype=np.float32)[Y], np.ones(300)
    y[123, 1] = w[123] = np.nan
    with pytest.raises(ValueError, match="y: nan in row 123"):
        net().fit(X, y, loss="mse")
    with pytest.raises(ValueError, match="sample_weight: nan in row 123"):
        net().fit(X, Y, loss="cross_entropy", sample_weight=w)


def test_nan_in_an_iterable_is_reported_with_batch_and_row() -> None:
    bad = X.copy()
    bad[123, 5] = np.nan
    error = diverges(net(), [(bad[i : i + 50], Y[i : i + 50]) for i in range(0, 300, 50)])
    assert (error.row, error.step) == (23, 3)
    assert "row 23 of batch 2" in str(error)
    with pytest.raises(pynn.DivergenceError, match="row 23") as error_of_step:
        net().train_on_batch(bad[100:150], Y[100:150], loss="cross_entropy")
    assert error_of_step.value.row == 23


class Faulty(pynn.Layer):
    """An identity that gives NaN, forward or backward, in rows of the input with a value over 9."""

    def __init__(self, back: bool) -> None:
        super().__init__()
        self.back = back

    def spoilt(self, x: NDArray[Any], at: NDArray[Any]) -> NDArray[Any]:
        return np.where((at > 9).any(1, keepdims=True), np.nan, x)

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        self.x = x.copy()
        return x if self.back else self.spoilt(x, x)

    def backward(self, gy: NDArray[Any]) -> NDArray[Any]:
        return self.spoilt(gy, self.x) if self.back else gy


@pytest.mark.parametrize("back", [False, True])
def test_the_first_layer_with_nan_is_named(back: bool) -> None:
    model = pynn.Sequential(pynn.Linear(8, 8, seed=0), Faulty(back), pynn.Linear(8, 8, seed=2), "relu", pynn.Linear(8, 3, seed=3))
    model[0].weight[:] = np.eye(8)
    model[0].bias[:] = 0
    bad = np.clip(X, -3, 3)
    bad[123, 2] = 10
    before = model.state_dict()
    error = diverges(model, bad, Y, optimizer=pynn.optim.SGD(lr=1e-4))
    assert (error.row, error.layer) == (123, "1")
    assert ("the gradient that layer 1 (Faulty) returns for row 123" in str(error)) == back
    assert all(np.array_equal(a, before[name]) for name, a in model.state_dict().items())


def test_overflow_is_attributed_to_the_right_layer() -> None:
    big = pynn.Sequential(pynn.Linear(8, 8, seed=0), "exponential", pynn.Linear(8, 3, seed=1))
    big[0].weight[:] = np.eye(8) * 10
    bad = np.clip(X, -3, 3)
    bad[123, 2] = 60
    error = diverges(big, bad, Y, optimizer=pynn.optim.SGD(lr=1e-30), batch_size=300)
    assert (error.row, error.layer) == (123, "1")
    big[0].weight[:] = np.eye(8) * 1e38
    error = diverges(big, bad, Y, batch_size=300)
    assert error.layer == "0"
