"""Losses given by formulas: values and gradients as those of the table, weights, training and files."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core

RNG = np.random.default_rng(0)
HUBER = "where(abs(p - t) < d, (p - t)**2 / 2, d * (abs(p - t) - d/2))"

# A formula and its parameters, and the loss of the table that it equals.
PAIRS: dict[str, tuple[str, dict[str, float], pynn.Loss]] = {
    "mse": ("(p - t)**2", {}, pynn.MSELoss()),
    "l1": ("abs(p - t)", {}, pynn.L1Loss()),
    "huber": (HUBER, {"d": 0.7}, pynn.HuberLoss(0.7)),
    "log_cosh": ("softplus(2*(p - t)) - (p - t) - log(2)", {}, pynn.LogCoshLoss()),
    "quantile": ("where(p < t, q*(t - p), (1 - q)*(p - t))", {"q": 0.3}, pynn.QuantileLoss(0.3)),
    "poisson_nll": ("exp(p) - t*p", {}, pynn.PoissonNLLLoss()),
}


def pair(name: str, reduction: str = "mean") -> tuple[pynn.Loss, pynn.Loss]:
    formula, parameters, row = PAIRS[name]
    return pynn.FormulaLoss(formula, reduction=reduction, **parameters), type(row)(**{**row.get_config(), "reduction": reduction})


def data(shape: tuple[int, ...], dtype: str = "float64") -> tuple[Any, Any]:
    return RNG.normal(size=shape).astype(dtype), RNG.normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients_are_those_of_the_table(name: str, reduction: str, dtype: str, isa: str) -> None:
    tolerance = {"rtol": 1e-12, "atol": 1e-14} if dtype == "float64" else {"rtol": 2e-5, "atol": 2e-6}
    for shape in ((), (7,), (5, 3), (2, 3, 4), (300, 7)):
        p, t = data(shape, dtype)
        mine, row = pair(name, reduction)
        for weight in (None, RNG.normal(size=shape[:1]), np.where(RNG.random(shape) < 0.3, 0.0, RNG.normal(size=shape))):
            if weight is not None and not shape:
                continue
            got, expected = mine(p, t, sample_weight=weight), row(p, t, sample_weight=weight)
            np.testing.assert_allclose(got, expected, **tolerance)
            assert got.dtype == dtype
            g = (np.cos(p),) if reduction == "none" else ()
            np.testing.assert_allclose(mine.backward(*g), row.backward(*g), **tolerance)


def test_a_weight_of_0_omits_an_element() -> None:
    loss = pynn.FormulaLoss("log(p) - t", reduction="sum")
    assert loss([0.0, 1.0], [0.0, 3.0], sample_weight=[0.0, 2.0]) == -6
    np.testing.assert_array_equal(loss.backward(), [0.0, 2.0])
    assert np.isnan(loss([np.nan, 1.0], [0.0, 3.0], sample_weight=[0.0, 2.0]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PAIRS)
def test_training_is_that_of_the_table(name: str, dtype: str) -> None:
    x = RNG.normal(size=(50, 4)).astype(dtype)
    y = np.abs(x[:, :2])
    losses = []
    for loss in pair(name):
        model = pynn.Sequential(pynn.Linear(4, 6, seed=0, dtype=dtype), "tanh", pynn.Linear(6, 2, seed=1, dtype=dtype))
        fitted = model.fit(
            x, y, loss=loss, epochs=5, batch_size=16, seed=0, sample_weight=np.linspace(0, 2, 50), validation_data=(x, y), metrics=["mae"]
        )
        losses.append(
            [*fitted.history["loss"], *fitted.history["val_loss"], *fitted.history["val_mae"], model.evaluate(x, y, loss=loss)["loss"]]
        )
    np.testing.assert_allclose(*losses, rtol=1e-10 if dtype == "float64" else 1e-4)


def test_training_on_images_and_several_outputs() -> None:
    x = RNG.normal(size=(12, 1, 6, 6))
    models = [pynn.Sequential(pynn.Conv2d(1, 2, 3, padding=1, seed=0, dtype="float64")) for _ in range(2)]
    y = np.concatenate([x, -x], axis=1)
    curves = [m.fit(x, y, loss=loss, epochs=3, seed=0).history["loss"] for m, loss in zip(models, pair("huber"), strict=True)]
    np.testing.assert_allclose(*curves, rtol=1e-10)
    a = pynn.Input(3)
    h = pynn.Linear(3, 4, seed=0, dtype="float64")(a)
    model = pynn.Model(a, [pynn.Linear(4, 1, seed=1, dtype="float64")(h), pynn.Linear(4, 2, seed=2, dtype="float64")(h)])
    z = RNG.normal(size=(20, 3))
    history = model.fit(z, (z[:, :1], z[:, 1:]), loss=["mse", pynn.FormulaLoss("abs(p - t)**1.5")], epochs=20, seed=0).history
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize("optimizer", ["lbfgs", "levenberg_marquardt"])
def test_solvers_minimise_formulas(optimizer: str) -> None:
    x = RNG.normal(size=(40, 2))
    models = [pynn.Sequential(pynn.Linear(2, 5, seed=0), "tanh", pynn.Linear(5, 1, seed=1)) for _ in range(2)]
    if optimizer == "levenberg_marquardt":
        with pytest.raises(ValueError, match="MSELoss"):
            models[0].fit(x, x[:, 0], loss=pynn.FormulaLoss("(p - t)**2"), optimizer=optimizer, epochs=1)
        return
    curves = [
        m.fit(x, np.sin(x[:, 0]), loss=loss, optimizer=optimizer, epochs=5, batch_size=40, seed=0).history["loss"]
        for m, loss in zip(models, pair("mse"), strict=True)
    ]
    np.testing.assert_allclose(*curves, rtol=1e-3)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    p, t = data((20_000, 3), "float32")
    results = []
    for threads in (1, 2, 7):
        with pynn.num_threads(threads):
            loss = pynn.FormulaLoss(HUBER, d=0.5)
            results.append((float(loss(p, t)), loss.backward().tobytes()))
    assert results[0] == results[1] == results[2]


def test_settings_copies_and_repr() -> None:
    loss = pynn.FormulaLoss(HUBER, d=0.5, reduction="sum")
    assert loss.d == 0.5
    assert loss.formula == HUBER
    for other in (
        eval(repr(loss), {"FormulaLoss": pynn.FormulaLoss}),
        copy.deepcopy(loss),
        pickle.loads(pickle.dumps(loss)),
        pynn.FormulaLoss(**loss.get_config()),
    ):
        assert repr(other) == repr(loss)
        assert other([1.0, 4.0], [0.0, 0.0]) == loss([1.0, 4.0], [0.0, 0.0])
    with pytest.raises(AttributeError, match="d cannot be changed"):
        loss.d = 1.0


def test_files_hold_the_loss_as_text(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
    x = RNG.normal(size=(20, 2))
    model.fit(x, x[:, 0], loss=pynn.FormulaLoss(HUBER, d=0.5), epochs=2, seed=0)
    model.save(path)
    other = pynn.load(path)
    assert HUBER.encode() in path.read_bytes()
    assert other.evaluate(x, x[:, 0])["loss"] == model.evaluate(x, x[:, 0])["loss"]
    model.save(path, optimizer=True)
    other = pynn.load(path)
    for one in (model, other):
        one.partial_fit(x, x[:, 0], seed=1)
    np.testing.assert_array_equal(model.predict(x), other.predict(x))


def test_explain_step_shows_the_formula() -> None:
    model = pynn.Sequential(pynn.Linear(2, 1, seed=0, dtype="float64"))
    step = model.explain_step([[1.0, 2.0]], [3.0], loss=pynn.FormulaLoss("(p - t)**2 * w", w=2.0))
    assert "l = (x - t)**2 * w" in str(step)
    assert "dl/dx = " in str(step)
    np.testing.assert_allclose(step.losses[0].gradients[0], 4 * (model([[1.0, 2.0]]) - 3.0))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"formula": "p -"}, "p -"),
        ({"formula": "(x - t)**2"}, "x"),
        ({"formula": "(p - t)**2 * w"}, "w"),
        ({"formula": "(p - t)**2", "reduction": "product"}, "reduction"),
        ({"formula": "(p - t)**2 * w", "w": np.nan}, "w"),
        ({"formula": "p * backward", "backward": 1.0}, "backward: this name is an attribute"),
    ],
)
def test_errors_of_losses(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        pynn.FormulaLoss(**arguments)


def test_errors_of_arrays() -> None:
    loss = pynn.FormulaLoss("(p - t)**2")
    with pytest.raises(ValueError, match="target: shape"):
        loss([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="target: nan in row 0"):
        loss([1.0], [np.nan])
    model = pynn.Sequential(pynn.Linear(2, 1))
    with pytest.raises(ValueError, match="y: shape"):
        model.fit(np.eye(2), np.ones((2, 3)), loss=loss)


def test_the_core_checks_formulas_of_losses() -> None:
    one = _core.Formula([("input", 0)], [0, 0], 1, 0)
    no_slope = _core.Formula([("input", 0), ("input", 1)], [0, None, None], 2, 0)
    for formula, numbers, error in ((one, (), "2 inputs"), (no_slope, (), "derivative"), (no_slope, (1.0,), "1 parameters")):
        with pytest.raises(ValueError, match=error):
            _core.loss((formula, 0, numbers, None, None, False), (np.ones((2, 1)),), np.ones((2, 1)), None, False)
