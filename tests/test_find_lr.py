"""The learning rate search: its steps, what it restores, and its suggestion."""

import copy
import math
from typing import Any

import numpy as np
import pytest

import pynn

RNG = np.random.default_rng(0)
X, Y, W = RNG.normal(size=(90, 4)), RNG.integers(0, 3, 90), RNG.random(90) + 0.1


def net() -> pynn.Sequential:
    layers = [pynn.Linear(4, 8, dtype="float64", seed=1), pynn.BatchNorm1d(8, dtype="float64"), "tanh"]
    return pynn.Sequential(*layers, pynn.Linear(8, 3, dtype="float64", seed=2))


def test_each_step_matches_train_on_batch() -> None:
    model, clone = net(), net()
    clone.load_state_dict(model.state_dict())
    found = model.find_lr(X, Y, loss="cross_entropy", optimizer="sgd", steps=7, batch_size=30, lr_max=1.0, sample_weight=W, shuffle=False)
    np.testing.assert_allclose(found.lr, 1e-7 * 10 ** (7 * np.arange(7) / 6), rtol=1e-12)
    opt = pynn.optim.SGD(clone.parameters())
    for i, rate in enumerate(found.lr):
        opt.param_groups[0]["lr"] = rate
        rows = slice(30 * (i % 3), 30 * (i % 3) + 30)
        logs = clone.train_on_batch(X[rows], Y[rows], loss="cross_entropy", optimizer=opt, sample_weight=W[rows])
        assert found.loss[i] == logs["loss"]


@pytest.mark.parametrize("make", [lambda m: "adam", lambda m: pynn.optim.Adam(), lambda m: pynn.optim.Adam(m.parameters())], ids=range(3))
def test_model_and_optimizer_are_unchanged(make: Any) -> None:
    model = net()
    opt = make(model)
    if isinstance(opt, pynn.Optimizer) and opt.bound:
        model.fit(X, Y, loss="cross_entropy", optimizer=opt, seed=0)
    before, history = {k: a.copy() for k, a in model.state_dict().items()}, model.history
    kept = copy.deepcopy(opt.state_dict()) if isinstance(opt, pynn.Optimizer) else None
    first = model.find_lr(X, Y, loss="cross_entropy", optimizer=opt, seed=3)
    assert all(np.array_equal(before[k], a) for k, a in model.state_dict().items())
    assert model.history is history
    if kept is not None:
        np.testing.assert_equal(opt.state_dict(), kept)
    again = model.find_lr(X, Y, loss="cross_entropy", optimizer=opt, seed=3)
    np.testing.assert_array_equal(first.loss, again.loss)


def test_schedules_are_ignored_and_groups_keep_their_ratio() -> None:
    model = net()
    halving = pynn.optim.SGD(lr=0.2, schedule=pynn.optim.lr_scheduler.ExponentialLR(gamma=0.5))
    plain = model.find_lr(X, Y, loss="cross_entropy", optimizer="sgd", seed=0)
    np.testing.assert_array_equal(model.find_lr(X, Y, loss="cross_entropy", optimizer=halving, seed=0).loss, plain.loss)
    assert not halving.bound
    groups = [{"params": model[0].parameters(), "lr": 0.2}, {"params": model[3].parameters(), "lr": 0.1}]
    seen = pynn.optim.SGD(groups)._copy()
    seen.set_rate(1.0)
    assert [group["lr"] for group in seen.param_groups] == [1.0, 0.5]
    both = pynn.optim.MultiOptimizer(*(pynn.optim.SGD(**group) for group in groups))
    one = model.find_lr(X, Y, loss="cross_entropy", optimizer=pynn.optim.SGD(groups), seed=0)
    np.testing.assert_array_equal(model.find_lr(X, Y, loss="cross_entropy", optimizer=both, seed=0).loss, one.loss)


def test_the_suggestion_is_the_rate_of_steepest_descent() -> None:
    """If the loss is a logistic curve of log lr, it is steepest in the middle."""
    lr = np.geomspace(1e-6, 1.0, 200)
    found = pynn.LRSweep(lr, 1 - 0.5 / (1 + np.exp(-2 * np.log(lr / 1e-3))))
    assert 0.5e-3 < found.suggestion < 2e-3
    assert math.isnan(pynn.LRSweep(lr, np.linspace(1, 2, 200)).suggestion)
    assert "suggestion" in repr(found)
    assert "<td class=n>" in found._repr_html_()
    assert "not finite" in pynn.LRSweep(np.empty(0), np.empty(0))._repr_html_()


def test_divergence_ends_the_search() -> None:
    model = pynn.Sequential(pynn.Linear(4, 1, dtype="float64", seed=0))
    y = X @ [1.0, 2, 3, 4]
    found = model.find_lr(X, y, loss="mse", optimizer="sgd", lr_min=1e-4, lr_max=1e4, steps=200, seed=0)
    assert len(found.lr) < 150
    assert 1e-4 < found.suggestion < 1
    with np.errstate(all="ignore"):
        empty = model.find_lr(X * 1e200, y, loss="mse", optimizer="sgd", seed=0)
    assert (len(empty.lr), repr(empty)) == (0, "<LRSweep: the first loss was not finite>")
    assert math.isnan(empty.suggestion)
    assert np.isfinite(model[0].weight).all()


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"lr_min": 0.0}, "lr_min: expected a finite number over 0, got 0.0"),
        ({"lr_max": math.inf}, "lr_max: expected a finite number over 0"),
        ({"lr_min": 1.0, "lr_max": 0.5}, "lr_min: expected less than lr_max"),
        ({"steps": 1}, "steps"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_invalid_arguments_raise(kwargs: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        net().find_lr(X, Y, loss="cross_entropy", **kwargs)


def test_plot_of_the_sweep() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    found = net().find_lr(X, Y, loss="cross_entropy", seed=0)
    axes = found.plot().axes[0]
    lines = {line.get_label(): line.get_data() for line in axes.lines}
    np.testing.assert_array_equal(lines["loss"], (found.lr, found.loss))
    np.testing.assert_array_equal(lines["smoothed"], (found.lr, found.smoothed))
    assert axes.get_xscale() == "log"
    assert any(label.startswith("suggestion") for label in lines)
    with pytest.raises(ValueError, match="nothing to plot"):
        pynn.LRSweep(np.zeros(0), np.zeros(0)).plot()
