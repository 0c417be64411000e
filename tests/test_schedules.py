"""Schedules against the formulas of their table rows, in manual loops and inside fit."""

import copy
import json
import math
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core
from pynn._tables import REQUIRED, parse_parameters
from pynn.optim import lr_scheduler as S

ROWS = {row["cls"]: row for row in _core.SCHEDULES if row["cls"]}
NAMES = {"cos": math.cos, "pi": math.pi, "minimum": min}
X = np.random.default_rng(0).normal(size=(20, 3))
y = X[:, :1]


def settings(cls: str) -> list[dict[str, float]]:
    """Return the defaults, with values for required settings, and other values that the row's check allows."""
    given = {n: 3.0 if v is REQUIRED else v for n, v in parse_parameters(ROWS[cls]["params"]).defaults.items()}
    given |= {"gamma": 0.8} if "gamma" in given else {}
    small = {n: 0.6 * v if 0 < v <= 1 and n != "T_mult" else v + 2 for n, v in given.items()}
    return [given, small]


CASES = [(cls, s) for cls in ROWS for s in settings(cls)]


def optimizer(lr: float = 0.5, **kwargs: Any) -> pynn.Optimizer:
    return pynn.optim.SGD([pynn.Parameter(np.zeros(3))], lr=lr, **kwargs)


def rates(schedule: Any, times: int = 14) -> list[float]:
    seen = []
    for _ in range(times):
        seen += schedule.get_last_lr()
        schedule.step()
    return seen


@pytest.mark.parametrize(("cls", "numbers"), [c for c in CASES if ROWS[c[0]]["formula"]])
def test_rates_match_the_formula(cls: str, numbers: dict[str, float]) -> None:
    expected = [eval(ROWS[cls]["formula"], {"__builtins__": {}}, {**NAMES, **numbers, "lr": 0.5, "t": t}) for t in range(14)]
    np.testing.assert_allclose(rates(getattr(S, cls)(optimizer(), **numbers)), expected, rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("mult", [1, 3])
def test_warm_restarts_match_the_formula(mult: int) -> None:
    turns = [t / (2 * mult**k) for k in range(8) for t in range(2 * mult**k)]
    expected = [0.1 + 0.4 * (1 + math.cos(math.pi * turn)) / 2 for turn in turns[:14]]
    np.testing.assert_allclose(rates(S.CosineAnnealingWarmRestarts(optimizer(), T_0=2, T_mult=mult, eta_min=0.1)), expected, rtol=1e-13)


def net() -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(3, 4, seed=1, dtype="float64"), "tanh", pynn.Linear(4, 1, seed=2, dtype="float64"))


def train_manually(opt: pynn.Optimizer, model: pynn.Sequential, schedule: Any, epochs: int, batch: int, *, per_step: bool) -> list[float]:
    """Train as fit does without shuffling; return the learning rate at the end of each epoch."""
    loss, seen = pynn.MSELoss(), []
    for _ in range(epochs):
        for start in range(0, len(X), batch):
            rows = slice(start, start + batch)
            opt.zero_grad()
            loss(model(X[rows]), y[rows])
            model.backward(loss.backward())
            opt.step()
            if per_step:
                schedule.step()
        if not per_step:
            schedule.step()
        seen.append(opt.param_groups[0]["lr"])
    return seen


def maker(cls: str, numbers: dict[str, float]) -> Any:
    return lambda opt=None, **k: getattr(S, cls)(opt, **numbers, **k)


MAKERS = {
    **{f"{cls} {i}": maker(cls, numbers) for i, (cls, numbers) in enumerate(CASES)},
    "MultiStepLR": lambda opt=None, **k: S.MultiStepLR(opt, [2, 3, 3, 7], 0.5, **k),
    "SequentialLR": lambda opt=None, **k: S.SequentialLR(opt, [S.WarmupLR(total_iters=3), S.CosineAnnealingLR(T_max=9)], [3], **k),
    "ChainedScheduler": lambda opt=None, **k: S.ChainedScheduler([S.ConstantLR(total_iters=3), S.ExponentialLR(gamma=0.9)], opt, **k),
    "OneCycleLR": lambda opt=None, **k: S.OneCycleLR(opt, max_lr=0.3, total_steps=40, **k),
    "CyclicLR": lambda opt=None, **k: S.CyclicLR(opt, 0.01, 0.3, 4, mode="triangular2", **k),
}


@pytest.mark.parametrize("interval", ["epoch", "step"])
@pytest.mark.parametrize("name", MAKERS)
def test_fit_matches_the_manual_loop(name: str, interval: str) -> None:
    """Bit for bit, over two calls of fit, including the momentum if the schedule cycles it."""
    kwargs = {"lr": 0.05, "momentum": 0.9}
    fitted, looped = net(), net()
    opt = pynn.optim.SGD(fitted.parameters(), **kwargs, schedule=MAKERS[name](interval=interval))
    hand = pynn.optim.SGD(looped.parameters(), **kwargs)
    schedule = MAKERS[name](hand, interval=interval)
    seen = []
    for epochs in (3, 2):
        fitted.fit(X, y, loss="mse", optimizer=opt, epochs=epochs, batch_size=8, shuffle=False)
        seen.append(opt.param_groups[0]["lr"])
    expected = train_manually(hand, looped, schedule, 5, 8, per_step=interval == "step")
    assert seen == [expected[2], expected[4]]
    assert opt.param_groups[0]["momentum"] == hand.param_groups[0]["momentum"]
    for a, b in zip(fitted.params.values(), looped.params.values(), strict=True):
        np.testing.assert_array_equal(a, b)


CALLED = {
    "LambdaLR": lambda opt=None, **k: S.LambdaLR(opt, lambda t: 1 / (1 + t), **k),
    "MultiplicativeLR": lambda opt=None, **k: S.MultiplicativeLR(opt, lambda t: 1 - 0.05 * t, **k),
    "LambdaLR in a sequence": lambda opt=None, **k: S.SequentialLR(
        opt, [S.WarmupLR(total_iters=2), S.LambdaLR(lr_lambda=lambda t: [1, 0.5, 0.25][t]), S.StepLR(step_size=2)], [2, 5], **k
    ),
    "MultiplicativeLR in a sequence": lambda opt=None, **k: S.SequentialLR(
        opt, [S.MultiplicativeLR(lr_lambda=lambda t: {1: 0.5, 2: 0.7}[t]), S.ExponentialLR(gamma=0.9)], [3], **k
    ),
    "both in a chain": lambda opt=None, **k: S.ChainedScheduler(
        [S.LambdaLR(lr_lambda=lambda t: 1 / (1 + t)), S.MultiplicativeLR(lr_lambda=lambda t: 0.9), S.ConstantLR(total_iters=3)], opt, **k
    ),
    "a chain in a sequence": lambda opt=None, **k: S.SequentialLR(
        opt,
        [S.ChainedScheduler([S.LambdaLR(lr_lambda=lambda t: 0.9**t), S.WarmupLR(total_iters=3)]), S.LambdaLR(lr_lambda=math.exp)],
        [4],
        **k,
    ),
}
"""Schedules that call Python functions, alone and as parts."""
ALL = {**MAKERS, **CALLED}


@pytest.mark.parametrize("interval", ["epoch", "step"])
@pytest.mark.parametrize("name", ALL)
def test_an_assigned_rate_is_applied_once(name: str, interval: str) -> None:
    """The next step uses the assigned rate, and the schedule continues from it. Fit and the manual loop agree bit for bit."""
    if name in CALLED and interval == "step":
        return
    more = {} if name in CALLED else {"interval": interval}
    seen: list[list[float]] = [[], []]

    def write(opt: pynn.Optimizer, epoch: int) -> None:
        if epoch in (0, 3):
            opt.param_groups[0]["lr"] = 0.03 / (1 + epoch)

    models = [net(), net()]
    opts = [pynn.optim.SGD(model.parameters(), lr=0.05, momentum=0.9) for model in models]
    schedules = [ALL[name](opt, **more) for opt in opts]

    def callback(epoch: int, logs: dict[str, float]) -> None:
        write(opts[0], epoch)
        seen[0].append(opts[0].param_groups[0]["lr"])

    models[0].fit(X, y, loss="mse", optimizer=opts[0], epochs=6, batch_size=8, shuffle=False, callbacks=[callback])
    for epoch in range(6):
        train_manually(opts[1], models[1], schedules[1], 1, 8, per_step=interval == "step")
        write(opts[1], epoch)
        seen[1].append(opts[1].param_groups[0]["lr"])
    assert seen[0] == seen[1]
    assert seen[0][0] == 0.03
    assert models[0].predict(X).tobytes() == models[1].predict(X).tobytes()


@pytest.mark.parametrize("name", ALL)
def test_halving_the_rate_halves_later_rates(name: str) -> None:
    """A schedule that does not start from the optimizer's rate replaces it at its next step. No rate is negative."""
    full, halved = optimizer(momentum=0.9), optimizer(momentum=0.9)
    one, other = ALL[name](full), ALL[name](halved)
    for _ in range(2):
        one.step(), other.step()
    halved.param_groups[0]["lr"] /= 2
    for _ in range(6):
        one.step(), other.step()
        rate = full.param_groups[0]["lr"]
        assert 0 <= halved.param_groups[0]["lr"] <= rate
        if not any(word in name for word in ("Cy", "Cosine")):  # these set absolute rates
            assert halved.param_groups[0]["lr"] == pytest.approx(rate / 2)


def test_train_on_batch_uses_an_assigned_rate_at_once() -> None:
    models = [net(), net()]
    for model in models:
        opt = pynn.optim.SGD(model.parameters(), lr=0.5, schedule=S.StepLR(step_size=100))
        if model is models[0]:
            opt.param_groups[0]["lr"] = 0.05
        else:
            opt = pynn.optim.SGD(model.parameters(), lr=0.05)
        model.train_on_batch(X, y, loss="mse", optimizer=opt)
    assert models[0].predict(X).tobytes() == models[1].predict(X).tobytes()


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_get_last_lr_returns_the_rate_that_was_used(interval: str) -> None:
    model, used = net(), []
    opt = pynn.optim.SGD(model.parameters(), lr=1e-3, schedule=S.ExponentialLR(gamma=0.5, interval=interval))
    model.fit(X, y, loss="mse", optimizer=opt, epochs=3, batch_size=10, callbacks=[lambda epoch, logs: used.extend(opt.get_last_lr())])
    steps = range(1, 6, 2) if interval == "step" else range(3)
    np.testing.assert_allclose(used, [1e-3 * 0.5**t for t in steps], rtol=1e-12)


def test_user_functions_are_called_once_per_epoch() -> None:
    calls: list[int] = []
    model = net()
    opt = pynn.optim.SGD(schedule=S.LambdaLR(lr_lambda=lambda t: calls.append(t) or 0.5**t), lr=0.1)
    model.fit(X, y, loss="mse", optimizer=opt, epochs=4, batch_size=2)
    assert opt.param_groups[0]["lr"] == 0.1 * 0.5**4
    assert set(calls) == set(range(5))
    model.fit(X, y, loss="mse", optimizer=pynn.optim.SGD(schedule=S.MultiplicativeLR(lr_lambda=lambda t: 0.5), lr=0.1), epochs=2)


def test_plateau_monitors_a_score_in_fit() -> None:
    opt = pynn.optim.SGD(lr=0.0, schedule={"class": "ReduceLROnPlateau", "patience": 1, "min_lr": 0.0})
    opt.defaults["lr"] = 1e-30
    net().fit(X, y, loss="mse", optimizer=opt, epochs=1)
    assert opt.schedulers[0].best < math.inf
    with pytest.raises(ValueError, match="unknown score to monitor 'val_los'; did you mean"):
        net().fit(X, y, loss="mse", optimizer=pynn.optim.SGD(schedule=S.ReduceLROnPlateau(monitor="val_los")), validation_data=(X, y))
    flat = pynn.optim.SGD(lr=1e-300, schedule=S.ReduceLROnPlateau(patience=1, factor=0.5, eps=0.0))
    net().fit(X, y, loss="mse", optimizer=flat, epochs=5, shuffle=False)
    assert flat.param_groups[0]["lr"] == 1e-300 * 0.25


def test_a_schedule_continues_from_an_assigned_rate() -> None:
    opt = optimizer(1.0)
    schedule = S.ExponentialLR(opt, gamma=0.5)
    schedule.step()
    opt.param_groups[0]["lr"] = 5.0
    schedule.step()
    assert schedule.get_last_lr() == [2.5]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("at", [1, 2, 3, 6])
def test_last_epoch_resumes_the_schedule(name: str, at: int) -> None:
    straight, second = optimizer(momentum=0.9), optimizer(momentum=0.9)
    expected = rates(ALL[name](straight), 9)[at:]
    second.param_groups[0]["initial_lr"] = 0.5
    assert rates(ALL[name](second, last_epoch=at - 1), 9 - at) == expected


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_schedule_resumes_from_its_state(name: str, at: int) -> None:
    """Whether or not the optimizer's state is loaded, too."""
    straight, first, second = (optimizer(momentum=0.9) for _ in range(3))
    expected = rates(ALL[name](straight), 9)
    one = ALL[name](first)
    got = rates(one, at)
    two = ALL[name](second)
    two.load_state_dict(pickle.loads(pickle.dumps(one.state_dict())))
    assert got + rates(two, 9 - at) == expected


def test_a_chain_continues_resumed_parts() -> None:
    straight, second = optimizer(), optimizer()
    expected = rates(S.ChainedScheduler([S.ConstantLR(total_iters=6), S.MultiplicativeLR(lr_lambda=lambda t: 0.9)], straight), 9)[4:]
    second.param_groups[0]["initial_lr"] = 0.5
    parts = [S.ConstantLR(second, total_iters=6, last_epoch=3), S.MultiplicativeLR(second, lambda t: 0.9, last_epoch=3)]
    assert rates(S.ChainedScheduler(parts), 5) == expected
    with pytest.raises(ValueError, match="different times: 0, 4"):
        S.ChainedScheduler([S.StepLR(second, 3, last_epoch=3), S.StepLR(second, 2)])


def test_the_state_of_another_schedule_raises() -> None:
    schedule = S.StepLR(optimizer(), 3)
    with pytest.raises(ValueError, match="the state belongs to another schedule, with 'T_max'"):
        schedule.load_state_dict(S.CosineAnnealingLR(optimizer(), 3).state_dict())
    with pytest.raises(ValueError, match="step_size > 0"):
        schedule.load_state_dict({"settings": {"step_size": 0}})
    with pytest.raises(ValueError, match="last_epoch must be an integer"):
        schedule.load_state_dict({"last_epoch": 2.5})
    assert schedule.settings == {"step_size": 3, "gamma": 0.1}


def test_a_part_is_called_only_while_it_is_active() -> None:
    calls: list[int] = []
    parts = [S.WarmupLR(total_iters=2), S.LambdaLR(lr_lambda=lambda t: calls.append(t) or 1.0), S.ConstantLR()]
    rates(S.SequentialLR(optimizer(), parts, [2, 4]), 8)
    assert set(calls) == {0, 1}


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_one_cycle_keeps_its_last_rate_beyond_its_end(strategy: str, three_phase: bool) -> None:
    model, seen = net(), []
    schedule = S.OneCycleLR(max_lr=0.1, total_steps=8, anneal_strategy=strategy, three_phase=three_phase, interval="epoch")
    opt = pynn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, schedule=schedule)
    model.fit(X, y, loss="mse", optimizer=opt, epochs=14, callbacks=[lambda epoch, logs: seen.extend(opt.get_last_lr())])
    np.testing.assert_allclose(seen[7:], 0.1 / 25 / 1e4, rtol=1e-9)
    assert max(seen[:7]) > 0.05
    assert opt.param_groups[0]["momentum"] == pytest.approx(0.95)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau_handles_scores_of_either_sign(sign: float, mode: str, threshold_mode: str) -> None:
    """A constant score is a plateau, and so are improvements smaller than the threshold."""
    better = 1 if mode == "max" else -1
    schedule = S.ReduceLROnPlateau(optimizer(1.0), mode, 0.1, 2, 0.1, threshold_mode)
    for score in (sign, sign + better * 0.05, sign - better * 0.05, sign):
        schedule.step(score)
    assert schedule.best == sign
    assert schedule.get_last_lr() == [0.1]
    schedule.step(sign + better * 0.2)
    assert schedule.best == sign + better * 0.2


@pytest.mark.parametrize("monitored", [-1.0, 1.0, -1e6, 0.0])
def test_a_constant_score_reduces_the_rate_once_under_any_schedule(monitored: float) -> None:
    class Flat(pynn.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            logs["flat"] = monitored

    for schedule in (None, S.StepLR(step_size=1000), S.LambdaLR(lr_lambda=lambda t: 1.0), S.OneCycleLR(max_lr=1.0, total_steps=9)):
        opt = pynn.optim.SGD(lr=0.01, momentum=0.5, schedule=schedule)
        plateau = pynn.callbacks.ReduceLROnPlateau("flat", factor=0.5, patience=2, mode="min")
        before = []
        flat = Flat()
        remember = pynn.callbacks.LambdaCallback(lambda epoch, logs: before.append(opt.param_groups[0]["lr"]))  # noqa: B023
        net().fit(X, y, loss="mse", optimizer=opt, epochs=3, batch_size=20, callbacks=[flat, remember, plateau], seed=0)
        assert opt.param_groups[0]["lr"] == pytest.approx(0.5 * before[-1])


@pytest.mark.parametrize("name", MAKERS)
def test_optimizer_state_resumes_the_schedule(name: str) -> None:
    kwargs = {"momentum": 0.9}
    straight, first, second = (optimizer(**kwargs) for _ in range(3))
    expected = rates(MAKERS[name](straight))
    one = MAKERS[name](first)
    got = rates(one, 6)
    two = MAKERS[name](second)
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    assert got + rates(two, 8) == expected
    assert straight.param_groups[0]["momentum"] == second.param_groups[0]["momentum"]


@pytest.mark.parametrize("name", MAKERS)
def test_repr_config_and_copies_round_trip(name: str) -> None:
    opt = pynn.optim.SGD(lr=0.3, momentum=0.9, schedule=MAKERS[name]())
    again = pynn.optim.SGD(**json.loads(json.dumps(opt.get_config())))
    assert again.get_config() == opt.get_config()
    assert repr(eval(repr(opt), {**vars(pynn.optim), **vars(S)})) == repr(opt)
    bound = pynn.optim.SGD([pynn.Parameter(np.zeros(2))], lr=0.3, momentum=0.9, schedule=MAKERS[name]())
    clone = copy.deepcopy(bound)
    clone.schedulers[0].step()
    assert bound.schedulers[0].last_epoch == 0
    assert clone.schedulers[0].last_epoch == 1


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "no step_size": (lambda: S.StepLR(optimizer()), TypeError, "StepLR: step_size is required"),
    "step_size": (lambda: S.StepLR(optimizer(), 0), ValueError, "StepLR: got step_size=0, but it must satisfy step_size > 0"),
    "factor": (lambda: S.ConstantLR(optimizer(), factor=2.0), ValueError, "factor"),
    "interval": (lambda: S.StepLR(optimizer(), 1, interval="batch"), ValueError, "'epoch' or 'step', got 'batch'"),
    "no optimizer": (lambda: S.StepLR(3, 1), TypeError, "optimizer must be a pynn.Optimizer, got int"),
    "unbound": (lambda: S.StepLR(step_size=1).step(), RuntimeError, "has no optimizer yet"),
    "resume": (lambda: S.StepLR(optimizer(), 1, last_epoch=3), KeyError, "initial_lr"),
    "lambda": (lambda: S.LambdaLR(optimizer(), 0.5), TypeError, "lr_lambda must be a function"),
    "lambdas": (lambda: S.LambdaLR(optimizer(), [math.sqrt, math.sqrt]), ValueError, "2 functions for 1"),
    "lambda as data": (lambda: S.LambdaLR(optimizer(), math.sqrt).get_config(), TypeError, "not plain data"),
    "cycle length": (lambda: S.OneCycleLR(optimizer(), 1.0), ValueError, "total_steps"),
    "past the cycle": (lambda: rates(S.OneCycleLR(optimizer(momentum=0.9), 1.0, 3), 5), ValueError, "all 3 steps have been taken"),
    "no momentum": (lambda: S.OneCycleLR(pynn.optim.Adagrad([pynn.Parameter(np.zeros(1))]), 1.0, 9), ValueError, "cycle_momentum"),
    "peaks": (lambda: S.OneCycleLR(optimizer(momentum=0.9), [1.0, 2.0], 9)._own_records(0), ValueError, "2 values for 1"),
    "wave": (lambda: S.CyclicLR(optimizer(), 0.1, 1.0, mode="triangle"), ValueError, "'triangle'; did you mean 'triangular'"),
    "milestones": (lambda: S.SequentialLR(optimizer(), [S.StepLR(step_size=1)], [3]), ValueError, "0 increasing milestones"),
    "plateau in a row": (lambda: S.ChainedScheduler([S.ReduceLROnPlateau()], optimizer()), ValueError, "depends on a score"),
    "part of another": (lambda: S.ChainedScheduler([S.StepLR(optimizer(), 1)], optimizer()), ValueError, "belongs to another"),
    "no parts": (lambda: S.ChainedScheduler([], optimizer()), ValueError, "at least one"),
    "plateau's score": (lambda: S.ReduceLROnPlateau(optimizer()).step(), TypeError, "needs the score"),
    "plateau's factor": (lambda: S.ReduceLROnPlateau(optimizer(), factor=1.0), ValueError, "below 1, got 1.0"),
    "plateau's mode": (lambda: S.ReduceLROnPlateau(optimizer(), "least"), ValueError, "'min' or 'max', got 'least'"),
    "name": (lambda: pynn.optim.SGD(schedule={"class": "StepLr", "step_size": 1}), ValueError, "unknown schedule 'StepLr'; did you mean"),
    "schedule": (lambda: pynn.optim.SGD(schedule=3), TypeError, "schedule: expected one of pynn.optim.lr_scheduler"),
    "two optimizers": (lambda: [optimizer(schedule=s) for s in [S.StepLR(step_size=1)] * 2], ValueError, "another optimizer"),
}  # fmt: skip


NAN, INF = math.nan, math.inf
INVALID: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "ConstantLR": (S.ConstantLR, [{"factor": NAN}, {"factor": -0.1}, {"total_iters": NAN}, {"total_iters": -1}]),
    "StepLR": (S.StepLR, [{"step_size": 1, "gamma": g} for g in (NAN, INF, -0.5)] + [{"step_size": s} for s in (NAN, 0, -1)]),
    "ExponentialLR": (S.ExponentialLR, [{"gamma": g} for g in (NAN, INF, -0.5)]),
    "LinearLR": (S.LinearLR, [{"start_factor": NAN}, {"start_factor": 0}, {"end_factor": -1}, {"end_factor": NAN}, {"total_iters": NAN}]),
    "PolynomialLR": (S.PolynomialLR, [{"power": p} for p in (NAN, INF, -1.0)] + [{"total_iters": 0}, {"total_iters": NAN}]),
    "WarmupLR": (S.WarmupLR, [{"total_iters": t} for t in (NAN, 0, -3)]),
    "CosineAnnealingLR": (
        S.CosineAnnealingLR, [{"T_max": t} for t in (NAN, 0, -3)] + [{"T_max": 3, "eta_min": e} for e in (NAN, -1.0, INF)]
    ),
    "CosineAnnealingWarmRestarts": (
        S.CosineAnnealingWarmRestarts,
        [{"T_0": t} for t in (NAN, 0, -3, 2.5, INF)] + [{"T_0": 3, "T_mult": m} for m in (NAN, 0, 1.5)] + [{"T_0": 3, "eta_min": -1}],
    ),
    "MultiStepLR": (
        S.MultiStepLR, [{"milestones": m} for m in ([NAN], [-1], [INF])] + [{"milestones": [1], "gamma": g} for g in (NAN, -1.0)]
    ),
    "CyclicLR": (
        lambda opt, **k: S.CyclicLR(opt, **{"base_lr": 0.1, "max_lr": 1.0, **k}),
        [{"base_lr": b} for b in (NAN, -0.1, 2.0, [NAN])] + [{"max_lr": m} for m in (NAN, INF)]
        + [{"step_size_up": u} for u in (NAN, INF, 0)]
        + [{"step_size_down": -1}, {"gamma": NAN}, {"gamma": -1.0}, {"base_momentum": NAN}, {"max_momentum": -0.5}],
    ),
    "OneCycleLR": (
        lambda opt, **k: S.OneCycleLR(opt, **{"max_lr": 1.0, "total_steps": 20, **k}),
        [{"total_steps": t} for t in (2.5, 0, -1, NAN, True)] + [{"total_steps": None, "epochs": 2.5, "steps_per_epoch": 2}]
        + [{"pct_start": p} for p in (0, 1, NAN, -0.1, 1.5)] + [{"max_lr": m} for m in (NAN, -1.0, INF, [-1.0])]
        + [{"div_factor": d} for d in (0, -1.0, NAN)] + [{"final_div_factor": d} for d in (0, -1.0, NAN)]
        + [{"base_momentum": NAN}, {"max_momentum": -1.0}, {"total_steps": 1, "pct_start": 1.0}, {"total_steps": 10, "pct_start": 0.1}]
        + [{"total_steps": t, "pct_start": p, "three_phase": True} for t, p in ((10, 0.1), (2, 0.5), (10, 0.55), (10, 0.6), (3, 0.3))],
    ),
    "ReduceLROnPlateau": (
        S.ReduceLROnPlateau,
        [{"factor": f} for f in (NAN, -0.5, 1.0)] + [{"patience": p} for p in (NAN, -1, 2.5)] + [{"cooldown": -1}, {"threshold": NAN}]
        + [{"threshold": -0.1}, {"min_lr": NAN}, {"min_lr": -1.0}, {"min_lr": [NAN]}, {"eps": NAN}, {"eps": -1.0}],
    ),
    "SequentialLR": (
        lambda opt, **k: S.SequentialLR(opt, [S.StepLR(step_size=1), S.StepLR(step_size=1)], **k),
        [{"milestones": [m]} for m in (NAN, 2.5, -1, True)],
    ),
    "LambdaLR": (S.LambdaLR, [{"lr_lambda": lambda t, v=v: v} for v in (NAN, INF, -1.0, None, "x")]),
    "MultiplicativeLR": (
        lambda opt, **k: S.MultiplicativeLR(opt, **k).step(), [{"lr_lambda": lambda t, v=v: v} for v in (NAN, INF, -1.0, None)]
    ),
    "last_epoch": (lambda opt, **k: S.StepLR(opt, 3, **k), [{"last_epoch": n} for n in (-2, 1.5, NAN, True)]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given"),
    [pytest.param(name, given, id=f"{name}-{i}") for name, (_, cases) in INVALID.items() for i, given in enumerate(cases)],
)
def test_invalid_settings_raise_on_creation(name: str, given: dict[str, Any]) -> None:
    opt = optimizer(momentum=0.9)
    with pytest.raises((ValueError, TypeError), match="|".join(given)):
        INVALID[name][0](opt, **given)
    assert opt.param_groups[0]["lr"] == 0.5


def test_max_momentum_of_adam_must_be_below_one() -> None:
    with pytest.raises(ValueError, match=r"max_momentum must be finite and at least 0 and below 1, got 1\.0"):
        S.OneCycleLR(pynn.optim.Adam([pynn.Parameter(np.zeros(3))]), 1.0, 9, max_momentum=1.0)


def test_a_per_step_schedule_rejects_python_functions() -> None:
    with pytest.raises(ValueError, match="LambdaLR calls a Python function once per epoch"):
        S.ChainedScheduler([S.LambdaLR(lr_lambda=math.exp)], optimizer(), interval="step")


def test_a_solver_without_learning_rate_rejects_schedules() -> None:
    with pytest.raises(ValueError, match="LevenbergMarquardt has no learning rate"):
        S.StepLR(pynn.optim.LevenbergMarquardt([pynn.Parameter(np.zeros(3))]), 3)


@pytest.mark.parametrize("case", ERRORS)
def test_errors_describe_the_problem(case: str) -> None:
    call, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("config", [{"class": "StepLR", "step_size": 3.0}, {"class": "CyclicLR", "base_lr": 0.0, "max_lr": 1.0}])
def test_a_saved_schedule_loads_in_a_fresh_process(config: dict[str, Any]) -> None:
    """Classes from the table are created on first access; loading a file must not depend on which ones were used before."""
    code = f"import pynn; print(pynn.optim.SGD(schedule={config!r}).options['schedule'].get_config()['class'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == config["class"], done.stderr
