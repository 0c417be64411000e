"""Optimizers against the plain NumPy twin: settings, groups, state that resumes to the bit.

A new row of the table needs no edit here: the twin runs the row's own formula, and the settings are made from its defaults.
"""

import copy
import itertools
import json
import pickle
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core, reference
from pynn._tables import parse_parameters

ROWS = {row["name"]: row for row in _core.OPTIMIZERS}
DEFAULTS = {name: parse_parameters(row["hyper"]).defaults for name, row in ROWS.items()}
SGD: list[dict[str, Any]] = [
    {"lr": 0.1, "momentum": m, "dampening": d, "weight_decay": w, "nesterov": n}
    for m, d, w, n in itertools.product([0.0, 0.9], [0.0, 0.3], [0.0, 0.1], [False, True])
    if not n or (m > 0 and d == 0)
]
OTHERS: dict[str, list[Any]] = {
    "lr": [0, 0.05],
    "weight_decay": [0.1],
    "momentum": [0.8],
    "betas": [(0.0, 0.0), (0.8, 0.95)],
    "eps": [1e-3],
    "amsgrad": [True],
    "centered": [True],
    "maximize": [True],
    "decoupled_weight_decay": [True],
    "momentum_decay": [0.02],
    "lr_decay": [0.3],
    "initial_accumulator_value": [0.2],
    "rho": [0.5],
    "etas": [(0.4, 1.3)],
    "step_sizes": [(1e-3, 0.02)],
    "t0": [3.0],
    "lambd": [0.1],
    "alpha": [0.6],
    "beta2_decay": [-1.0],
    "d": [1.5],
    "ns_steps": [3],
    "ns_coefficients": [(3.4, -4.7, 2.0)],
    "adjust_lr_fn": ["match_rms_adamw"],
}
"""Values of each setting that aren't its default; together they are tried too."""


def variants(name: str) -> list[dict[str, Any]]:
    if name == "sgd":
        return [*SGD, {"momentum": 0.9, "maximize": True}]
    plain = {k: v for k, v in OTHERS.items() if k in DEFAULTS[name] and not (k == "eps" and isinstance(DEFAULTS[name][k], tuple))}
    every = {k: v[-1] for k, v in plain.items()}
    return [*({k: value} for k, values in plain.items() for value in values), every]


MATRICES = {"muon"}
"""Those that update nothing but matrices."""
CASES = [(name, s) for name in ROWS for s in [{}, *variants(name)]]
each = pytest.mark.parametrize("name", ROWS)
shapes = [(3, 5), (1,), (17,), (0, 4), (), (64, 2), (2, 3, 4)]


def make(name: str, params: Any = None, **settings: Any) -> pynn.Optimizer:
    found: pynn.Optimizer = getattr(pynn.optim, ROWS[name]["cls"])(params, **settings)
    return found


def parameters(name: str = "", dtype: str = "float64", seed: int = 0) -> list[pynn.Parameter]:
    rng = np.random.default_rng(seed)
    chosen = [s for s in shapes if name not in MATRICES or len(s) == 2]
    return [pynn.Parameter(rng.normal(size=s).astype(dtype), f"p{i}") for i, s in enumerate(chosen)]


def gradients(params: list[pynn.Parameter], step: int) -> None:
    rng = np.random.default_rng(100 + step)
    for p in params:
        p.grad[...] = rng.normal(size=p.shape)


def run(opt: pynn.Optimizer, params: list[pynn.Parameter], steps: range) -> None:
    for step in steps:
        gradients(params, step)
        opt.step()


@pytest.mark.parametrize(("name", "settings"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_against_the_twin(name: str, settings: dict[str, Any], dtype: str, isa: str) -> None:
    params = parameters(name, dtype)
    opt = make(name, params, **settings)
    twins = [p.data.astype("f8") for p in params]
    states: list[dict[str, Any]] = [{} for _ in params]
    addresses = [p.data.ctypes.data for p in params]
    for step in range(1, 8):
        gradients(params, step)
        twins = [
            twin
            if twin.size == 0
            else reference.update(name, twin, p.grad.astype("f8"), state, step, **{**opt.defaults, **settings})
            for twin, p, state in zip(twins, params, states, strict=True)
        ]
        opt.step()
    tight = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-13}
    for p, want in zip(params, twins, strict=True):
        np.testing.assert_allclose(p.data, want, **tight, err_msg=p.name)
    assert addresses == [p.data.ctypes.data for p in params]


@each
def test_groups_have_settings_of_their_own(name: str) -> None:
    together, apart = parameters(name), parameters(name)
    run(make(name, [{"params": together[:2], "lr": 0.5}, {"params": together[2:]}], lr=0.05), together, range(4))
    optimizers = make(name, apart[:2], lr=0.5), make(name, apart[2:], lr=0.05)
    for step in range(4):
        gradients(apart, step)
        for opt in optimizers:
            opt.step()
    for p, q in zip(together, apart, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


@pytest.mark.parametrize("name", [n for n in ROWS if n not in ("rprop", "asgd")])  # whose lr is where step sizes start, or of the next step
def test_settings_may_change_between_steps(name: str) -> None:
    params = parameters(name)
    opt = make(name, params, lr=0.1)
    run(opt, params, range(2))
    before = [p.data.copy() for p in params]
    opt.param_groups[0]["lr"] = 0.0
    run(opt, params, range(2, 4))
    for p, old in zip(params, before, strict=True):
        np.testing.assert_array_equal(p.data, old)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_state_resumes_to_the_bit(name: str, settings: dict[str, Any]) -> None:
    straight, resumed = parameters(name), parameters(name)
    run(make(name, straight, **settings), straight, range(10))
    first = make(name, resumed, **settings)
    run(first, resumed, range(5))
    state, moved = first.state_dict(), [pynn.Parameter(p.data.copy()) for p in resumed]
    run(first, resumed, range(2))  # the state is a copy: what first does now is another matter
    second = make(name, moved)
    second.load_state_dict(state)
    run(second, moved, range(5, 10))
    for p, q in zip(straight, moved, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


@each
def test_frozen_parameters_stay(name: str) -> None:
    params = parameters(name)
    opt = make(name, params)
    params[0].requires_grad = False
    before = params[0].data.copy()
    run(opt, params, range(3))
    np.testing.assert_array_equal(params[0].data, before)


@each
def test_zero_grad(name: str) -> None:
    params = parameters(name)
    opt = make(name, params)
    gradients(params, 0)
    opt.zero_grad()
    assert not any(p.grad.any() for p in params)


@each
def test_a_parameter_without_groups_may_be_any_array(name: str) -> None:
    """A function of the user's own, minimised by hand: (a - 3)^2."""
    a = np.zeros((2, 2))
    p = pynn.Parameter(a)
    opt = make(name, [p], lr={"adagrad": 1.0, "adadelta": 50.0}.get(name, 0.1), **({"weight_decay": 0.0} if name == "muon" else {}))
    for _ in range(300):
        opt.zero_grad()
        p.grad += 2 * (p.data - 3)
        opt.step()
    assert p.data is a or np.shares_memory(p.data, a)
    np.testing.assert_allclose(a, 3, atol=0.15)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_repr_and_config(name: str, settings: dict[str, Any]) -> None:
    opt = make(name, **settings)
    twin = eval(repr(opt), vars(pynn.optim))
    assert repr(twin) == repr(opt)
    assert twin.get_config() == opt.get_config()
    again = type(opt)(**json.loads(json.dumps(opt.get_config())))
    assert again.get_config() == opt.get_config()


@each
def test_copies_of_model_and_optimizer_go_on_together(name: str) -> None:
    """Pickled as one, the twin's optimizer still updates the twin's parameters, with the state it had."""
    X = np.random.default_rng(0).normal(size=(30, 3))
    layers = [pynn.Linear(m, n, bias=False, dtype="float64", seed=n) for m, n in ((3, 4), (4, 1))]
    net = pynn.Sequential(layers[0], "tanh", layers[1])
    opt = make(name, net.parameters())
    net.fit(X, X[:, :1], loss="mse", optimizer=opt, epochs=2, seed=0)
    for twin, twin_opt in (pickle.loads(pickle.dumps((net, opt))), copy.deepcopy((net, opt))):
        twin.fit(X, X[:, :1], loss="mse", optimizer=twin_opt, epochs=1, seed=3)
        expected = copy.deepcopy(net)
        other = make(name, expected.parameters())
        other.load_state_dict(opt.state_dict())
        expected.fit(X, X[:, :1], loss="mse", optimizer=other, epochs=1, seed=3)
        for a, b in zip(twin.params.values(), expected.params.values(), strict=True):
            np.testing.assert_array_equal(a, b)
