"""Health: what a training shows of itself, against NumPy by hand; where NaN came from; and that looking changes nothing."""

import copy
import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pynn
from pynn import _core
from pynn._training.health import Limits
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
    assert health.advice == ["layer 1: 60 % of ReLU units never fired in the last epoch; lower the learning rate or use LeakyReLU"]
    assert not fitted(net("gelu")).advice


def test_a_unit_that_fires_once_in_an_epoch_is_not_dead() -> None:
    model = pynn.Sequential(pynn.Linear(8, 40, seed=0), "relu", pynn.Linear(40, 3, seed=1))
    model[0].weight[:] = 0
    model[0].bias[:] = -1
    model[0].weight[:13, 0] = 3e-3  # these fire for one row alone
    rare = np.where(np.arange(len(X))[:, None] == 217, 1000, np.minimum(X, 1))
    for kind, frozen in (("a bias tells", False), ("looks tell", True)):
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
    assert health["1"].dead + health["1"].saturated == 0.5  # a derivative may round to 0, or be small
    steep = model[0].weight * 0 + 3
    model[0].weight[:] = steep
    model[0].bias[:] = np.where(np.arange(50) < 35, 30, 0)
    by_hand = 1 - np.tanh((X @ model[0].weight.T + model[0].bias).astype(np.float64)) ** 2
    small = (np.abs(by_hand) < 0.05).mean(0) >= 0.95
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


# ---- numbers -------------------------------------------------------------------------------------------------------------
def by_hand(model: pynn.Sequential, x: NDArray[Any], y: NDArray[Any]) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return outputs of layers, and gradients of parameters, of a net of two Linear and a tanh between them under mse."""
    w, v = model[0].weight.astype(np.float64), model[2].weight.astype(np.float64)
    h = np.tanh(x @ w.T + model[0].bias)
    out = h @ v.T + model[2].bias
    g = 2 * (out - y) / out.size
    back = (g @ v) * (1 - h**2)
    return {"1": h, "2": out}, {"0.weight": back.T @ x, "0.bias": back.sum(0), "2.weight": g.T @ h, "2.bias": g.sum(0)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_those_of_numpy(dtype: str, isa: str) -> None:
    model = pynn.Sequential(pynn.Linear(8, 33, dtype=dtype, seed=0), "tanh", pynn.Linear(33, 2, dtype=dtype, seed=1))
    x, y = X[:64].astype(np.float64), X[:64, :2].astype(np.float64)
    outputs, gradients = by_hand(model, x, y)
    before = model.state_dict()
    given = model.health(x, y, loss="mse")
    model.fit(x, y, loss="mse", optimizer=pynn.optim.Adam(lr=0.01), epochs=1, batch_size=64, shuffle=False)
    trained, tolerance = model.health(), 1e-5 if dtype == "float32" else 1e-12
    for layer, out in outputs.items():
        for health in (given, trained):
            assert health[layer].mean == pytest.approx(out.mean(), rel=tolerance, abs=tolerance)
            assert health[layer].spread == pytest.approx(out.std(), rel=tolerance)
    for layer in ("0", "2"):
        own = [name for name in before if name.startswith(layer)]
        length = math.sqrt(sum((gradients[name] ** 2).sum() for name in own))
        assert given[layer].gradient == pytest.approx(length, rel=tolerance)
        assert trained[layer].gradient == pytest.approx(length, rel=tolerance)
        moved = math.sqrt(sum(((model.state_dict()[name] - before[name]).astype(np.float64) ** 2).sum() for name in own))
        whole = math.sqrt(sum((before[name].astype(np.float64) ** 2).sum() for name in own))
        assert trained[layer].update == pytest.approx(moved / whole, rel=10 * tolerance)
        assert math.isnan(given[layer].update)


@pytest.mark.parametrize("optimizer", ["adam", "muon", "adafactor"])
def test_updates_of_large_parameters_and_of_every_kind_of_rule(optimizer: str) -> None:
    model = pynn.Sequential(pynn.Linear(300, 700, bias=False, seed=0), "tanh", pynn.Linear(700, 3, bias=False, seed=1))
    x = np.random.default_rng(3).standard_normal((32, 300)).astype(np.float32)
    before = {name: a.astype(np.float64) for name, a in model.state_dict().items()}
    model.fit(x, Y[:32], loss="cross_entropy", optimizer=optimizer, seed=0)
    for layer in ("0", "2"):
        old, new = before[f"{layer}.weight"], model.state_dict()[f"{layer}.weight"]
        assert model.health()[layer].update == pytest.approx(np.linalg.norm(new - old) / np.linalg.norm(old), rel=1e-4)


@pytest.mark.parametrize("optimizer", ["lbfgs", "levenberg_marquardt"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_solvers_show_gradients_and_updates(optimizer: str, dtype: str) -> None:
    """An epoch is a step: the gradients where it begins, by a pass of our own, and what it made of the parameters."""
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
            own = [f"{layer}.weight", f"{layer}.bias"]
            steps = [after[name].astype(np.float64) - before[name] for name in own]
            length = math.sqrt(sum(float((before[name].astype(np.float64) ** 2).sum()) for name in own))
            assert health[layer].gradient == pytest.approx(math.sqrt(sum((gradients[name] ** 2).sum() for name in own)), rel=1e-4)
            assert health[layer].update == pytest.approx(math.sqrt(sum((step**2).sum() for step in steps)) / length, rel=1e-4)
            assert health[layer].update > 0
        assert math.isnan(health["2"].gradient)


def test_looking_changes_no_bit_and_sees_the_same_on_any_number_of_threads() -> None:
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


# ---- graphs of any form, and where data come from ------------------------------------------------------------------------
def test_branches_shared_layers_and_frozen_ones() -> None:
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
    assert [row.layer for row in fitted(frozen)] == ["1", "2", "3", "4"]  # of the first nothing is known
    assert fitted(frozen)["2"].gradient > 0
    deep = pynn.Sequential(pynn.Residual(pynn.Linear(8, 8, seed=0), "relu"), pynn.Linear(8, 3, seed=1))
    assert [row.layer for row in fitted(deep)][-1] == "1"


def test_batches_from_an_iterable() -> None:
    model, twin = net(), net()
    model[0].bias[:30] = twin[0].bias[:30] = -1000
    model.fit([(X[i : i + 32], Y[i : i + 32]) for i in range(0, 300, 32)], loss="cross_entropy", epochs=3)
    twin.fit(X, Y, loss="cross_entropy", epochs=3, shuffle=False)
    assert [tuple(map(str, row)) for row in model.health()] == [tuple(map(str, row)) for row in twin.health()]
    assert model.health()["1"].dead == 0.6


def test_what_there_is_to_report() -> None:
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
    assert "<table>" in health._repr_html_()
    assert "given data" in repr(model.health(X))
    pandas = pytest.importorskip("pandas")
    assert isinstance(health.to_pandas(), pandas.DataFrame)
    assert health.to_pandas().loc["1", "units"] == 50
    with pytest.raises(RuntimeError):
        _core.Fit(model._graph((X,), frozenset()), X, None, (), 32, False, 0, [], None, False, True).epoch(0)


# ---- advice --------------------------------------------------------------------------------------------------------------
def test_gradients_that_vanish_or_explode_are_told() -> None:
    deep: list[Any] = [layer for i in range(12) for layer in (pynn.Linear(8, 8, seed=i), "sigmoid")]
    model = pynn.Sequential(*deep, pynn.Linear(8, 3, seed=50))
    assert any("it vanishes on its way back" in text for text in model.health(X, Y, loss="cross_entropy").advice)
    model = pynn.Sequential(*(layer for i in range(6) for layer in (pynn.Linear(8, 8, seed=i), "relu")), pynn.Linear(8, 3, seed=50))
    for layer in model[2::2]:
        layer.weight[:] *= 50
    model[-1].weight[:] *= 1e-3
    told = " ".join(model.health(X, Y, loss="cross_entropy").advice)
    assert "outputs are as large as" in told
    big = fitted(net(), optimizer=pynn.optim.SGD(lr=100.0), on_nan="ignore")
    assert any("a step changes its parameters" in text for text in big.advice)
    assert any("raise the learning rate" in text for text in fitted(net(), optimizer=pynn.optim.SGD(lr=1e-9)).advice)
    cut = net()
    cut[4].weight[:] = 0
    assert any("no gradient gets here" in text for text in cut.health(X, Y, loss="cross_entropy").advice)


def test_the_monitor_warns_once_and_keeps_every_epoch() -> None:
    model = net()
    model[0].bias[:30] = -1000
    with pytest.warns(UserWarning, match="60 % of ReLU units") as told:
        hist = model.fit(X, Y, loss="cross_entropy", epochs=4, callbacks=[pynn.callbacks.HealthMonitor()], seed=0)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert [health["1"].dead for health in hist.health] == [0.6] * 4
    assert [health.epoch for health in hist.health] == [0, 1, 2, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, loss="cross_entropy", callbacks=[pynn.callbacks.HealthMonitor(dead=0.7)], seed=0)
    with pytest.raises(ValueError, match="dead: expected a number over 0, got 0"):
        pynn.callbacks.HealthMonitor(dead=0)
    with pytest.raises(ValueError, match="health=False"):
        model.fit(X, Y, loss="cross_entropy", callbacks=[pynn.callbacks.HealthMonitor()], health=False)
    assert Limits() == Limits(**pynn.callbacks.HealthMonitor(dead=0.1, saturated=0.25).limits._asdict())


def test_the_picture() -> None:
    pytest.importorskip("matplotlib").use("agg")
    model = net()
    model.fit(X, Y, loss="cross_entropy", epochs=3, callbacks=[pynn.callbacks.HealthMonitor(dead=2, saturated=2)])
    for source, lines in ((model.history, 3), (model, 3), (model.health(), 1)):
        figure = pynn.plot.plot_gradient_flow(source)
        assert [len(axes.lines) for axes in figure.axes[:2]] == [lines, lines]
        drawn = figure.axes[0].lines[-1].get_ydata()
        assert list(drawn) == pytest.approx([model.health()[name].gradient for name in ("0", "2", "4")])
    with pytest.raises(ValueError, match="nothing is known"):
        pynn.plot.plot_gradient_flow(model.health(X))
    with pytest.raises(TypeError, match="source"):
        pynn.plot.plot_gradient_flow(3)  # type: ignore[arg-type]


# ---- where NaN came from -------------------------------------------------------------------------------------------------
def told(model: Any, *data: Any, **options: Any) -> pynn.DivergenceError:
    with pytest.raises(pynn.DivergenceError) as error:
        model.fit(*data, **{"loss": "cross_entropy", "seed": 3, "epochs": 2} | options)
    return error.value


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("options", [{}, {"validation_split": 0.2}, {"batch_size": 300}, {"batch_size": 1}], ids=str)
def test_nan_in_row_123_is_found_in_row_123(value: float, shuffle: bool, options: dict[str, Any]) -> None:
    bad = X.copy()
    bad[123, 5] = value
    seed = next(s for s in range(99) if "validation_split" not in options or 123 in trained_on(s))
    error = told(net(), bad, Y, shuffle=shuffle, **options | {"seed": seed})
    assert error.row == 123
    assert error.layer is None
    assert "X holds NaN or infinity in row 123" in str(error)


def test_the_score_of_a_diverged_step_outlives_the_search_for_its_origin() -> None:
    """The search looks at the losses again, in a plan of its own whose memory, as much as this, goes back to the system."""
    bad = np.tile(X, (40, 1))
    bad[123, 5] = np.nan
    error = told(pynn.Sequential(pynn.Linear(X.shape[1], 256), "relu", pynn.Linear(256, 3)), bad, np.tile(Y, 40), batch_size=12000)
    assert error.row == 123


def trained_on(seed: int) -> NDArray[np.intp]:
    return split(0.2, 300, Y, [pynn.losses.CrossEntropyLoss()], seed)[0]


def test_nan_in_targets_and_weights_is_named_by_its_row() -> None:
    y, w = np.eye(3, dtype=np.float32)[Y], np.ones(300)
    y[123, 1] = w[123] = np.nan
    with pytest.raises(ValueError, match="y: nan in row 123"):
        net().fit(X, y, loss="mse")
    with pytest.raises(ValueError, match="sample_weight: nan in row 123"):
        net().fit(X, Y, loss="cross_entropy", sample_weight=w)


def test_nan_in_a_batch_of_an_iterable() -> None:
    bad = X.copy()
    bad[123, 5] = np.nan
    error = told(net(), [(bad[i : i + 50], Y[i : i + 50]) for i in range(0, 300, 50)])
    assert (error.row, error.step) == (23, 3)
    assert "row 23 of batch 2" in str(error)
    with pytest.raises(pynn.DivergenceError, match="row 23") as told_of_step:
        net().train_on_batch(bad[100:150], Y[100:150], loss="cross_entropy")
    assert told_of_step.value.row == 23


class Faulty(pynn.Layer):
    """Passes all on, but for NaN where a column of its input is over 9: on the way there, or back."""

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
def test_the_first_layer_is_named_forward_and_backward(back: bool) -> None:
    model = pynn.Sequential(pynn.Linear(8, 8, seed=0), Faulty(back), pynn.Linear(8, 8, seed=2), "relu", pynn.Linear(8, 3, seed=3))
    model[0].weight[:] = np.eye(8)
    model[0].bias[:] = 0
    bad = np.clip(X, -3, 3)
    bad[123, 2] = 10
    before = model.state_dict()
    error = told(model, bad, Y, optimizer=pynn.optim.SGD(lr=1e-4))
    assert (error.row, error.layer) == (123, "1")
    assert ("the gradient that layer 1 (Faulty) gives back for row 123" in str(error)) == back
    assert all(np.array_equal(a, before[name]) for name, a in model.state_dict().items())


def test_an_overflow_is_found_in_the_layer_where_it_happens_fused_or_not() -> None:
    big = pynn.Sequential(pynn.Linear(8, 8, seed=0), "exponential", pynn.Linear(8, 3, seed=1))
    big[0].weight[:] = np.eye(8) * 10
    bad = np.clip(X, -3, 3)
    bad[123, 2] = 60
    error = told(big, bad, Y, optimizer=pynn.optim.SGD(lr=1e-30), batch_size=300)
    assert (error.row, error.layer) == (123, "1")
    big[0].weight[:] = np.eye(8) * 1e38
    error = told(big, bad, Y, batch_size=300)
    assert error.layer == "0"
