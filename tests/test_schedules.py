"""Schedules: the core's against the formulas of its table, in hand-written loops and inside fit."""

import copy
import json
import math
import pickle
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
    """The defaults, with required ones filled in, and other numbers that the row's check allows."""
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
def test_the_formula_of_the_table(cls: str, numbers: dict[str, float]) -> None:
    want = [eval(ROWS[cls]["formula"], {"__builtins__": {}}, {**NAMES, **numbers, "lr": 0.5, "t": t}) for t in range(14)]
    np.testing.assert_allclose(rates(getattr(S, cls)(optimizer(), **numbers)), want, rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("mult", [1, 3])
def test_warm_restarts(mult: int) -> None:
    turns = [t / (2 * mult**k) for k in range(8) for t in range(2 * mult**k)]
    want = [0.1 + 0.4 * (1 + math.cos(math.pi * turn)) / 2 for turn in turns[:14]]
    np.testing.assert_allclose(rates(S.CosineAnnealingWarmRestarts(optimizer(), T_0=2, T_mult=mult, eta_min=0.1)), want, rtol=1e-13)


def net() -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(3, 4, seed=1, dtype="float64"), "tanh", pynn.Linear(4, 1, seed=2, dtype="float64"))


def by_hand(opt: pynn.Optimizer, model: pynn.Sequential, schedule: Any, epochs: int, batch: int, *, per_step: bool) -> list[float]:
    """What fit does without shuffling; returns the rate of each epoch's end."""
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
def test_fit_is_the_hand_written_loop(name: str, interval: str) -> None:
    """To the bit, over two calls of fit; momentum cycles too where the schedule does that."""
    kwargs = {"lr": 0.05, "momentum": 0.9}
    fitted, looped = net(), net()
    opt = pynn.optim.SGD(fitted.parameters(), **kwargs, schedule=MAKERS[name](interval=interval))
    hand = pynn.optim.SGD(looped.parameters(), **kwargs)
    schedule = MAKERS[name](hand, interval=interval)
    seen = []
    for epochs in (3, 2):
        fitted.fit(X, y, loss="mse", optimizer=opt, epochs=epochs, batch_size=8, shuffle=False)
        seen.append(opt.param_groups[0]["lr"])
    want = by_hand(hand, looped, schedule, 5, 8, per_step=interval == "step")
    assert seen == [want[2], want[4]]
    assert opt.param_groups[0]["momentum"] == hand.param_groups[0]["momentum"]
    for a, b in zip(fitted.params.values(), looped.params.values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_functions_of_the_user_are_called_once_an_epoch() -> None:
    calls: list[int] = []
    model = net()
    opt = pynn.optim.SGD(schedule=S.LambdaLR(lr_lambda=lambda t: calls.append(t) or 0.5**t), lr=0.1)
    model.fit(X, y, loss="mse", optimizer=opt, epochs=4, batch_size=2)
    assert opt.param_groups[0]["lr"] == 0.1 * 0.5**4
    assert set(calls) == set(range(5))
    model.fit(X, y, loss="mse", optimizer=pynn.optim.SGD(schedule=S.MultiplicativeLR(lr_lambda=lambda t: 0.5), lr=0.1), epochs=2)


def test_plateau_watches_a_score_in_fit() -> None:
    opt = pynn.optim.SGD(lr=0.0, schedule={"class": "ReduceLROnPlateau", "patience": 1, "min_lr": 0.0})
    opt.defaults["lr"] = 1e-30
    net().fit(X, y, loss="mse", optimizer=opt, epochs=1)
    assert opt.schedulers[0].best < math.inf
    with pytest.raises(ValueError, match="unknown score to monitor 'val_los'; did you mean"):
        net().fit(X, y, loss="mse", optimizer=pynn.optim.SGD(schedule=S.ReduceLROnPlateau(monitor="val_los")), validation_data=(X, y))
    flat = pynn.optim.SGD(lr=1e-300, schedule=S.ReduceLROnPlateau(patience=1, factor=0.5, eps=0.0))
    net().fit(X, y, loss="mse", optimizer=flat, epochs=5, shuffle=False)
    assert flat.param_groups[0]["lr"] == 1e-300 * 0.25


def test_a_rate_changed_by_hand_is_what_the_schedule_goes_on_from() -> None:
    opt = optimizer(1.0)
    schedule = S.ExponentialLR(opt, gamma=0.5)
    schedule.step()
    opt.param_groups[0]["lr"] = 5.0
    schedule.step()
    assert schedule.get_last_lr() == [2.5]


@pytest.mark.parametrize("name", MAKERS)
def test_state_resumes(name: str) -> None:
    kwargs = {"momentum": 0.9}
    straight, first, second = (optimizer(**kwargs) for _ in range(3))
    want = rates(MAKERS[name](straight))
    one = MAKERS[name](first)
    got = rates(one, 6)
    two = MAKERS[name](second)
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    assert got + rates(two, 8) == want
    assert straight.param_groups[0]["momentum"] == second.param_groups[0]["momentum"]


@pytest.mark.parametrize("name", MAKERS)
def test_repr_config_and_copies(name: str) -> None:
    opt = pynn.optim.SGD(lr=0.3, momentum=0.9, schedule=MAKERS[name]())
    again = pynn.optim.SGD(**json.loads(json.dumps(opt.get_config())))
    assert again.get_config() == opt.get_config()
    assert repr(eval(repr(opt), {**vars(pynn.optim), **vars(S)})) == repr(opt)
    bound = pynn.optim.SGD([pynn.Parameter(np.zeros(2))], lr=0.3, momentum=0.9, schedule=MAKERS[name]())
    twin = copy.deepcopy(bound)
    twin.schedulers[0].step()
    assert bound.schedulers[0].last_epoch == 0
    assert twin.schedulers[0].last_epoch == 1


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "no step_size": (lambda: S.StepLR(optimizer()), TypeError, "StepLR: step_size is needed"),
    "step_size": (lambda: S.StepLR(optimizer(), 0), ValueError, "StepLR: got step_size=0, but it must satisfy step_size > 0"),
    "factor": (lambda: S.ConstantLR(optimizer(), factor=2.0), ValueError, "factor"),
    "interval": (lambda: S.StepLR(optimizer(), 1, interval="batch"), ValueError, "'epoch' or 'step', got 'batch'"),
    "no optimizer": (lambda: S.StepLR(3, 1), TypeError, "optimizer must be a pynn.Optimizer, got int"),
    "unbound": (lambda: S.StepLR(step_size=1).step(), RuntimeError, "has no optimizer yet"),
    "resume": (lambda: S.StepLR(optimizer(), 1, last_epoch=3), KeyError, "initial_lr"),
    "lambda": (lambda: S.LambdaLR(optimizer(), 0.5), TypeError, "lr_lambda must be a function"),
    "lambdas": (lambda: S.LambdaLR(optimizer(), [math.sqrt, math.sqrt]), ValueError, "2 functions for 1"),
    "lambda as data": (lambda: S.LambdaLR(optimizer(), math.sqrt).get_config(), TypeError, "no plain data"),
    "cycle length": (lambda: S.OneCycleLR(optimizer(), 1.0), ValueError, "total_steps"),
    "past the cycle": (lambda: rates(S.OneCycleLR(optimizer(momentum=0.9), 1.0, 3), 5), ValueError, "its 3 steps are over"),
    "no momentum": (lambda: S.OneCycleLR(pynn.optim.Adagrad([pynn.Parameter(np.zeros(1))]), 1.0, 9), ValueError, "cycle_momentum"),
    "peaks": (lambda: S.OneCycleLR(optimizer(momentum=0.9), [1.0, 2.0], 9)._own_records(0), ValueError, "2 values for 1"),
    "wave": (lambda: S.CyclicLR(optimizer(), 0.1, 1.0, mode="triangle"), ValueError, "'triangle'; did you mean 'triangular'"),
    "milestones": (lambda: S.SequentialLR(optimizer(), [S.StepLR(step_size=1)], [3]), ValueError, "0 rising milestones"),
    "plateau in a row": (lambda: S.ChainedScheduler([S.ReduceLROnPlateau()], optimizer()), ValueError, "waits for a score"),
    "part of another": (lambda: S.ChainedScheduler([S.StepLR(optimizer(), 1)], optimizer()), ValueError, "belongs to another"),
    "no parts": (lambda: S.ChainedScheduler([], optimizer()), ValueError, "at least one"),
    "plateau's score": (lambda: S.ReduceLROnPlateau(optimizer()).step(), TypeError, "needs the score"),
    "plateau's factor": (lambda: S.ReduceLROnPlateau(optimizer(), factor=1.0), ValueError, "below 1, got 1.0"),
    "plateau's mode": (lambda: S.ReduceLROnPlateau(optimizer(), "least"), ValueError, "'min' or 'max', got 'least'"),
    "name": (lambda: pynn.optim.SGD(schedule={"class": "StepLr", "step_size": 1}), ValueError, "unknown schedule 'StepLr'; did you mean"),
    "schedule": (lambda: pynn.optim.SGD(schedule=3), TypeError, "schedule: expected one of pynn.optim.lr_scheduler"),
    "two optimizers": (lambda: [optimizer(schedule=s) for s in [S.StepLR(step_size=1)] * 2], ValueError, "another optimizer"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_the_exception_says_what_is_wrong(case: str) -> None:
    call, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        call()
