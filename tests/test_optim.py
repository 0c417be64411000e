"""Optimizers against the NumPy reference: settings, parameter groups, and state that resumes bit for bit.

A new table row needs no edit here: the reference evaluates the row's formula, and the settings are derived from its defaults.
"""

import copy
import itertools
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core, reference
from pynn._tables import parse_docs, parse_parameters

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
"""Values of each setting other than its default. The last value of each is also tested together with those of the others."""


def variants(name: str) -> list[dict[str, Any]]:
    if name == "sgd":
        return [*SGD, {"momentum": 0.9, "maximize": True}]
    plain = {k: v for k, v in OTHERS.items() if k in DEFAULTS[name] and not (k == "eps" and isinstance(DEFAULTS[name][k], tuple))}
    every = {k: v[-1] for k, v in plain.items()}
    return [*({k: value} for k, values in plain.items() for value in values), every]


MATRICES = {"muon"}
"""Optimizers that update only matrices."""
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
def test_steps_match_the_reference(name: str, settings: dict[str, Any], dtype: str, isa: str) -> None:
    params = parameters(name, dtype)
    opt = make(name, params, **settings)
    arrays = [p.data.astype("f8") for p in params]
    states: list[dict[str, Any]] = [{} for _ in params]
    addresses = [p.data.ctypes.data for p in params]
    for step in range(1, 8):
        gradients(params, step)
        arrays = [
            array if array.size == 0 else reference.update(name, array, p.grad.astype("f8"), state, step, **{**opt.defaults, **settings})
            for array, p, state in zip(arrays, params, states, strict=True)
        ]
        opt.step()
    tight = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-13}
    for p, expected in zip(params, arrays, strict=True):
        np.testing.assert_allclose(p.data, expected, **tight, err_msg=p.name)
    assert addresses == [p.data.ctypes.data for p in params]


@each
def test_each_group_uses_its_settings(name: str) -> None:
    together, separate = parameters(name), parameters(name)
    run(make(name, [{"params": together[:2], "lr": 0.5}, {"params": together[2:]}], lr=0.05), together, range(4))
    optimizers = make(name, separate[:2], lr=0.5), make(name, separate[2:], lr=0.05)
    for step in range(4):
        gradients(separate, step)
        for opt in optimizers:
            opt.step()
    for p, q in zip(together, separate, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


# Left out: rprop, where lr is the initial step size, and asgd, where a step computes the rate of the next one.
@pytest.mark.parametrize("name", [n for n in ROWS if n not in ("rprop", "asgd")])
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
def test_state_resumes_bit_for_bit(name: str, settings: dict[str, Any]) -> None:
    straight, resumed = parameters(name), parameters(name)
    run(make(name, straight, **settings), straight, range(10))
    first = make(name, resumed, **settings)
    run(first, resumed, range(5))
    state, moved = first.state_dict(), [pynn.Parameter(p.data.copy()) for p in resumed]
    run(first, resumed, range(2))  # must not affect the state, which is a copy
    second = make(name, moved)
    second.load_state_dict(state)
    run(second, moved, range(5, 10))
    for p, q in zip(straight, moved, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


@each
def test_frozen_parameters_do_not_change(name: str) -> None:
    params = parameters(name)
    opt = make(name, params)
    params[0].requires_grad = False
    before = params[0].data.copy()
    run(opt, params, range(3))
    np.testing.assert_array_equal(params[0].data, before)


@each
def test_zero_grad_clears_all_gradients(name: str) -> None:
    params = parameters(name)
    opt = make(name, params)
    gradients(params, 0)
    opt.zero_grad()
    assert not any(p.grad.any() for p in params)


@each
def test_a_parameter_may_be_any_array(name: str) -> None:
    """Minimize (a - 3)^2 with gradients computed by hand."""
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
def test_repr_and_config_round_trip(name: str, settings: dict[str, Any]) -> None:
    opt = make(name, **settings)
    clone = eval(repr(opt), vars(pynn.optim))
    assert repr(clone) == repr(opt)
    assert clone.get_config() == opt.get_config()
    again = type(opt)(**json.loads(json.dumps(opt.get_config())))
    assert again.get_config() == opt.get_config()


@each
def test_copied_optimizers_update_the_copied_model(name: str) -> None:
    """If model and optimizer are copied together, the copied optimizer keeps its state and updates the copied parameters."""
    X = np.random.default_rng(0).normal(size=(30, 3))
    layers = [pynn.Linear(m, n, bias=False, dtype="float64", seed=n) for m, n in ((3, 4), (4, 1))]
    net = pynn.Sequential(layers[0], "tanh", layers[1])
    opt = make(name, net.parameters())
    net.fit(X, X[:, :1], loss="mse", optimizer=opt, epochs=2, seed=0)
    for clone, clone_opt in (pickle.loads(pickle.dumps((net, opt))), copy.deepcopy((net, opt))):
        clone.fit(X, X[:, :1], loss="mse", optimizer=clone_opt, epochs=1, seed=3)
        expected = copy.deepcopy(net)
        other = make(name, expected.parameters())
        other.load_state_dict(opt.state_dict())
        expected.fit(X, X[:, :1], loss="mse", optimizer=other, epochs=1, seed=3)
        for a, b in zip(clone.params.values(), expected.params.values(), strict=True):
            np.testing.assert_array_equal(a, b)


# ---- options that all optimizers share ----------------------------------------------------------------------------------
Arrays = list[np.ndarray]


def reference_step(name: str, opt: pynn.Optimizer, arrays: Arrays, grads: Arrays, states: list[Any], t: int) -> Arrays:
    """Compute a step with the options in NumPy."""
    o = opt.options
    norm = np.sqrt(sum((g**2).sum() for g in grads))
    scale = min(1.0, o["clip_norm"] / (norm + 1e-6)) if o["clip_norm"] else 1.0
    after = []
    for p, g, state in zip(arrays, grads, states, strict=True):
        spared = o["decay_exclude"] is not None and p.ndim < 2
        sign = -1 if opt.defaults.get("maximize") else 1
        g = g * scale if not o["clip_value"] else np.clip(g * scale, -o["clip_value"], o["clip_value"])
        g = g + (0 if spared else sign * o["l1_decay"]) * np.sign(p)
        hyper = {**opt.defaults, **({"weight_decay": 0.0} if spared and "weight_decay" in opt.defaults else {})}
        new = reference.update(name, p, g, state, t, **hyper)
        if o["ema_decay"]:
            state["ema"] = o["ema_decay"] * state.get("ema", p) + (1 - o["ema_decay"]) * new
        after.append(new)
    return after


OPTIONS: list[dict[str, Any]] = [
    {"clip_norm": 1.5},
    {"clip_value": 0.4},
    {"l1_decay": 0.2},
    {"ema_decay": 0.9},
    {"decay_exclude": "vectors", "l1_decay": 0.1},
    {"clip_norm": 5.0, "clip_value": 0.3, "l1_decay": 0.1, "decay_exclude": "vectors", "ema_decay": 0.7},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("name", "maximize"), [(n, m) for n in ROWS for m in (False, True) if not m or "maximize" in DEFAULTS[n]])
def test_options_match_the_reference(name: str, options: dict[str, Any], maximize: bool, isa: str) -> None:
    settings = {"weight_decay": 0.1} if "weight_decay" in DEFAULTS[name] else {}
    params = [p for p in parameters(name) if p.data.size]
    opt = make(name, params, **settings, **options, **({"maximize": True} if maximize else {}))
    arrays, states = [p.data.copy() for p in params], [dict[str, Any]() for _ in params]
    for t in range(1, 5):
        gradients(params, t)
        arrays = reference_step(name, opt, arrays, [p.grad.copy() for p in params], states, t)
        opt.step()
    for p, expected, state in zip(params, arrays, states, strict=True):
        np.testing.assert_allclose(p.data, expected, rtol=1e-11, atol=1e-13, err_msg=p.name)
        if "ema" in state:
            np.testing.assert_allclose(opt.state[p]["ema"], state["ema"], rtol=1e-11, atol=1e-13)


@each
def test_thread_count_does_not_change_the_result(name: str) -> None:
    """Large parameters are updated in chunks, and their norms are sums of partial results."""
    results = []
    for threads in (1, 2, 7):
        rng, p = np.random.default_rng(0), pynn.Parameter(np.zeros((300, 301), np.float32))
        p.data[...] = rng.normal(size=p.shape)
        opt = make(name, [p], clip_norm=1.0, ema_decay=0.9)
        with pynn.num_threads(threads):
            for _ in range(2):
                p.grad[...] = rng.normal(size=p.shape)
                opt.step()
        results.append((p.data.tobytes(), opt.state[p]["ema"].tobytes()))
    assert len(set(results)) == 1


@each
@pytest.mark.parametrize("offset", range(1, 17, 5))
def test_results_do_not_depend_on_alignment(name: str, offset: int) -> None:
    rng, n = np.random.default_rng(0), 64 * 9
    values, grads = rng.normal(size=n).astype("f4"), rng.normal(size=(2, n)).astype("f4")
    results = []
    for start in (0, offset):
        room = np.zeros(n + 32, np.float32)
        p = pynn.Parameter(room[start : start + n].reshape(64, 9))
        p.data[...] = values.reshape(64, 9)
        opt = make(name, [p])
        for g in grads:
            p.grad[...] = g.reshape(64, 9)
            opt.step()
        results.append(p.data.tobytes())
    assert results[0] == results[1]


@each
def test_an_unfrozen_parameter_starts_a_new_step_count(name: str) -> None:
    together, alone = parameters(name), parameters(name)
    opt = make(name, together)
    together[0].requires_grad = False
    run(opt, together, range(3))
    assert together[0] not in opt.state
    together[0].requires_grad = True
    run(opt, together, range(3, 5))
    run(make(name, alone), alone, range(3, 5))
    np.testing.assert_array_equal(together[0].data, alone[0].data)
    assert [int(opt.state[p]["step"]) for p in together[:2]] == [2, 5]


HUGE = {"float32": (1e25, 1e30, 1e-25, 1e-40, 0.0), "float64": (1e200, 1e300, 1e-200, 0.0)}
SMALL_EPS: dict[str, Any] = {name: {"eps": 1e-60} for name, d in DEFAULTS.items() if isinstance(d.get("eps"), float)}
SMALL_EPS["adafactor"] = {"eps": (1e-30, 1e-3)}


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("switch", ["", "eps", "amsgrad", "centered", "clip_norm"])
def test_gradients_of_any_size_give_finite_steps(name: str, dtype: str, switch: str) -> None:
    """Including gradients whose squares overflow or underflow, and the smallest epsilon, which must not become 0."""
    if switch not in ("", "clip_norm") and switch not in DEFAULTS[name]:
        return
    settings = SMALL_EPS[name] if switch == "eps" else {switch: True if switch != "clip_norm" else 1.0} if switch else {}
    for size in HUGE[dtype]:
        p = pynn.Parameter(np.ones((4, 3), dtype))
        opt = make(name, [p], **settings)
        for step in range(12):
            p.grad[...] = size * np.sign(np.random.default_rng(step).normal(size=p.shape))
            opt.step()
        assert np.isfinite(p.data).all(), size
        assert all(not np.isnan(a).any() for a in opt.state[p].values()), size


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "rmsprop"])
@pytest.mark.parametrize(("dtype", "size"), [("float32", 2e19), ("float32", 5e19), ("float64", 2e154), ("float64", 5e154)])
def test_steps_do_not_depend_on_the_scale_while_the_second_moment_fits(name: str, dtype: str, size: float) -> None:
    """(1 - beta) g^2 fits where g^2 overflows."""
    results = []
    for scale in (1e3, size):
        p = pynn.Parameter(np.ones(40, dtype))
        opt = make(name, [p])
        for step in range(5):
            p.grad[...] = scale * np.random.default_rng(step).uniform(0.5, 1, 40)
            opt.step()
        results.append(p.data)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "radam", "adamax"])
def test_without_momentum_the_first_moment_is_the_last_gradient(name: str) -> None:
    """Earlier gradients have no influence."""
    p = pynn.Parameter(np.ones(40))
    opt = make(name, [p], betas=(0.0, 0.9))
    for g in (1e20, 1.5):
        p.grad[...] = g
        opt.step()
    np.testing.assert_array_equal(opt.state[p]["exp_avg"], 1.5)


def test_an_average_started_at_the_first_step_equals_the_parameter() -> None:
    """PyTorch's ASGD also copies the parameter while its weight is 1."""
    p = pynn.Parameter(np.full(40, 1e20))
    opt = make("asgd", [p], lr=1.0)
    for g in (1e20, 0.25, 0.5):
        p.grad[...] = g
        opt.step()
        np.testing.assert_array_equal(opt.state[p]["ax"], p.data)
        p.data[...] = 1.0


@pytest.mark.parametrize("size", [1e-30, 1e-10, 1.0, 1e10, 1e25])
def test_adafactor_and_rprop_do_not_depend_on_the_gradients_scale(size: float) -> None:
    """Including the paper's epsilon, whose square underflows to 0 in float32."""
    for name, settings in (("adafactor", {"eps": (1e-30, 1e-3)}), ("rprop", {})):
        results = []
        for scale in (1.0, size):
            p = pynn.Parameter(np.ones((6, 5), "float32"))
            opt = make(name, [p], **settings)
            for step in range(6):
                p.grad[...] = scale * np.random.default_rng(step).choice([-1.0, 1.0], p.shape)
                opt.step()
            results.append(p.data)
        np.testing.assert_allclose(results[1], results[0], rtol=2e-2 if name == "adafactor" and size < 1e-20 else 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("power", [0.5, 1, 2, 3, 7.5, 100, 1e4, np.inf])
@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e-30, 1e-10, 1.0, 1e10, 1e30, 1e200, 1e300])
def test_norms_of_any_size_and_power(dtype: str, power: float, size: float) -> None:
    if dtype == "float32" and not 1e-31 < size < 1e31:
        return
    params = [pynn.Parameter(np.zeros(n, dtype)) for n in (5, 1, 40)]
    values = np.random.default_rng(0).uniform(-1, 1, 46).astype(dtype)
    expected = np.max(np.abs(values)) if power == np.inf else np.sum(np.abs(values.astype("f8")) ** power) ** (1 / power)
    if power == 1e4:
        expected = np.max(np.abs(values)).astype("f8")  # accurate to 1e-4
    for p, part in zip(params, np.split(values, [5, 6]), strict=True):
        p.grad[...] = part * p.grad.dtype.type(size)
    assert pynn.optim.clip_grad_norm_(params, 1e-3, power) == pytest.approx(expected * size, rel=1e-3 if power == 1e4 else 1e-5)
    if 1e-10 <= size < 1e36:
        clipped = min(1e-3 / (expected * size + 1e-6), 1) * expected * size
        assert pynn.optim.clip_grad_norm_(params, 1.0, power) == pytest.approx(clipped, rel=1e-3)


@pytest.mark.parametrize("size", [1e-200, 1e160, 1e300])
def test_clipping_within_a_step_scales_gradients_of_any_size(size: float) -> None:
    p = pynn.Parameter(np.zeros(4))
    opt = make("sgd", [p], lr=1.0, clip_norm=1.0)
    p.grad[...] = size
    opt.step()
    np.testing.assert_allclose(p.data, -min(0.5, size), rtol=1e-6)


def test_averages_can_be_swapped_in() -> None:
    params = parameters()
    opt = make("sgd", params, lr=0.1, ema_decay=0.5)
    run(opt, params, range(3))
    now, average = [p.data.copy() for p in params], [opt.state[p]["ema"].copy() for p in params]
    with opt.averages():
        for p, expected in zip(params, average, strict=True):
            np.testing.assert_array_equal(p.data, expected)
    for p, expected in zip(params, now, strict=True):
        np.testing.assert_array_equal(p.data, expected)
    opt.swap_averages()
    np.testing.assert_array_equal(params[0].data, average[0])


def test_options_work_inside_fit() -> None:
    """Fit and the manual loop agree bit for bit."""
    X = np.random.default_rng(0).normal(size=(20, 3))
    options = OPTIONS[-1]
    nets = [pynn.Sequential(pynn.Linear(3, 4, seed=1), "relu", pynn.Linear(4, 1, seed=2)) for _ in range(2)]
    fitted, looped = (make("adamw", net.parameters(), lr=0.1, **options) for net in nets)
    nets[0].fit(X, X[:, :1], loss="mse", optimizer=fitted, epochs=3, batch_size=20, shuffle=False)
    loss = pynn.MSELoss()
    for _ in range(3):
        looped.zero_grad()
        loss(nets[1](X), X[:, :1])
        nets[1].backward(loss.backward())
        looped.step()
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        np.testing.assert_array_equal(fitted.state[p]["ema"], looped.state[q]["ema"])


def test_a_step_uses_current_arrays_groups_and_settings() -> None:
    """Replaced arrays, added groups and changed settings must not be hidden by cached values."""
    params = parameters()
    opt = make("adam", params[:1])
    run(opt, params, range(2))
    opt.add_param_group({"params": params[1:3], "lr": 0.5})
    opt.param_groups[0]["amsgrad"] = True
    run(opt, params, range(2, 4))
    assert "max_exp_avg_sq" in opt.state[params[0]]
    assert int(opt.state[params[1]]["step"]) == 2
    before = params[0].data.copy()
    params[0].grad = np.zeros_like(params[0].grad)
    opt.state[params[0]]["exp_avg"] = np.zeros_like(before)
    opt.step()
    np.testing.assert_array_equal(params[0].data, before)


LATER = [(name, k, v[-1]) for name in ROWS for k, v in OTHERS.items() if k in DEFAULTS[name] and k not in ("initial_accumulator_value",)]


@pytest.mark.parametrize(("name", "setting", "value"), [c for c in LATER if c[:2] not in (("rprop", "lr"), ("adafactor", "eps"))])
@pytest.mark.parametrize("how", ["step", "calls of fit", "a callback"])
def test_a_changed_setting_takes_effect_at_the_next_step(name: str, setting: str, value: Any, how: str) -> None:
    """The reference receives the new value at the same step. Some settings need a state array that did not exist before."""
    data = np.random.default_rng(0).normal(size=(8, 3))
    net = pynn.Sequential(pynn.Linear(3, 2, bias=False, dtype="float64", seed=0))
    opt, expected, state = make(name, net.parameters()), net[0].weight.copy(), dict[str, Any]()
    p, loss = net.parameters()[0], pynn.MSELoss()

    def gradient() -> None:
        opt.zero_grad()
        loss(net(data), data[:, :2])
        net.backward(loss.backward())

    settings, changed = dict(opt.defaults), {**opt.defaults, setting: value}
    if how == "a callback":
        start, ends = net[0].weight.copy(), []

        def change(epoch: int, logs: Any) -> None:
            ends.append(p.data.copy())
            if epoch == 2:
                opt.param_groups[0].update(changed)

        net.fit(data, data[:, :2], loss="mse", optimizer=opt, epochs=6, batch_size=8, shuffle=False, callbacks=[change])
        net[0].weight = start
    for t in range(1, 7):
        if t == 4:
            settings = changed
            opt.param_groups[0].update(changed)
        gradient()
        expected = reference.update(name, expected, p.grad.copy(), state, t, **settings)
        if how == "step":
            opt.step()
        elif how == "calls of fit":
            net.fit(data, data[:, :2], loss="mse", optimizer=opt, batch_size=8)
        else:
            p.data[...] = ends[t - 1]
        if setting == "momentum" and name in ("sgd", "rmsprop") and t == 3:
            state["momentum_buffer"] = 0 * expected  # created when the setting took effect
        np.testing.assert_allclose(p.data, expected, rtol=1e-9, atol=1e-12, err_msg=str(t))


@pytest.mark.parametrize(("name", "bad"), [
    ("sgd", {"momentum": -1.0}), ("sgd", {"nesterov": True}), ("sgd", {"lr": np.nan}), ("sgd", {"lr": None}), ("sgd", {"lr": "0.1"}),
    ("sgd", {"dampening": np.nan}), ("adam", {"betas": (0.9, 1.0)}), ("adam", {"betas": (0.9,)}), ("adam", {"amsgrad": 1}),
    ("adam", {"eps": -1.0}), ("rmsprop", {"centered": None}), ("rprop", {"etas": (0.5, np.nan)}), ("muon", {"ns_steps": 10**9}),
    ("adagrad", {"initial_accumulator_value": 3.0}), ("rprop", {"lr": 0.5}),
])  # fmt: skip
@pytest.mark.parametrize("how", ["step", "train_on_batch", "fit"])
def test_invalid_settings_between_steps_raise(name: str, bad: dict[str, Any], how: str) -> None:
    net = pynn.Sequential(pynn.Linear(3, 2, bias=False, seed=0))
    opt = make(name, net.parameters())
    X = np.eye(3)
    take: dict[str, Any] = {
        "step": opt.step,
        "train_on_batch": lambda: net.train_on_batch(X, X[:, :2], loss="mse", optimizer=opt),
        "fit": lambda: net.fit(X, X[:, :2], loss="mse", optimizer=opt),
    }
    take[how]()
    before = opt.param_groups[0].copy()
    opt.param_groups[0].update(bad)
    with pytest.raises((ValueError, TypeError), match=next(iter(bad))):
        take[how]()
    opt.param_groups[0].update(before)
    take[how]()


def test_changed_options_take_effect_or_raise() -> None:
    p = pynn.Parameter(np.zeros(2))
    opt = make("sgd", [p], lr=1.0)
    p.grad[...] = 3, 4
    opt.step()
    opt.options["clip_norm"] = 0.5
    opt.step()
    np.testing.assert_allclose(p.data, [-3.3, -4.4], rtol=1e-6)
    opt.options["ema_decay"] = 0.5
    opt.step()
    assert "ema" in opt.state[p]
    opt.options["clip_norm"] = -1.0
    with pytest.raises(ValueError, match="clip_norm must be over 0"):
        opt.step()
    opt.options |= {"clip_norm": None, "schedule": pynn.optim.lr_scheduler.StepLR(step_size=3)}
    with pytest.raises(ValueError, match=r"call schedule\.bind\(optimizer\)"):
        opt.step()
    both = pynn.optim.MultiOptimizer(make("sgd", [q := pynn.Parameter(np.zeros(2))], lr=1.0))
    q.grad[...] = 3, 4
    both.step()
    both.clip_norm = 0.5
    both.step()
    np.testing.assert_allclose(q.data, [-3.3, -4.4], rtol=1e-6)


def test_step_calls_the_closure_first() -> None:
    p = pynn.Parameter(np.ones(2))
    opt = make("sgd", [p], lr=1.0)

    def closure() -> float:
        p.grad[...] = 1
        return 7.0

    assert opt.step(closure) == 7.0
    np.testing.assert_array_equal(p.data, 0)


def muon_and_adam(net: pynn.Sequential, **options: Any) -> pynn.optim.MultiOptimizer:
    matrices, rest = ([p for p in net.parameters() if (p.data.ndim == 2) == square] for square in (True, False))
    schedule = pynn.optim.lr_scheduler.StepLR(step_size=2)
    return pynn.optim.MultiOptimizer(pynn.optim.Muon(matrices, lr=0.02, **options), pynn.optim.AdamW(rest, lr=0.01, schedule=schedule))


def muon_net() -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(4, 6, seed=0), "tanh", pynn.Linear(6, 1, seed=1))


def test_multi_optimizer_in_fit_matches_manual_steps() -> None:
    X, y, net, other = np.eye(4, dtype="f4"), np.arange(4.0, dtype="f4").reshape(4, 1), muon_net(), muon_net()
    opt, loss = muon_and_adam(net), pynn.MSELoss()
    for _ in range(5):
        loss(net(X), y)
        net.zero_grad()
        net.backward(loss.backward())
        opt.step()
        opt.end_epoch({})
    fitted = muon_and_adam(other)
    other.fit(X, y, loss="mse", optimizer=fitted, epochs=5, shuffle=False, batch_size=4)
    assert fitted.steps == opt.steps == 5
    assert [g["lr"] for g in fitted.param_groups] == [g["lr"] for g in opt.param_groups] == pytest.approx([0.02, 0.0001])
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-5, atol=1e-6)
    assert repr(fitted).startswith("MultiOptimizer(Muon(lr=0.02")


def test_multi_optimizer_resumes_bit_for_bit(tmp_path: Path) -> None:
    X, y = np.eye(4, dtype="f4"), np.arange(4.0, dtype="f4")
    nets = muon_net(), muon_net()
    settings: dict[str, Any] = {"loss": "mse", "batch_size": 3, "seed": 0}
    nets[0].fit(X, y, optimizer=muon_and_adam(nets[0], ema_decay=0.5), epochs=6, **settings)
    checkpoint = pynn.Checkpoint(tmp_path / "t", every_steps=1)
    nets[1].fit(X, y, optimizer=muon_and_adam(nets[1], ema_decay=0.5), epochs=3, callbacks=[checkpoint], **settings)
    opt = muon_and_adam(nets[1], ema_decay=0.5)
    nets[1].fit(X, y, optimizer=opt, epochs=6, resume_from=tmp_path / "t", **settings)
    assert nets[0].predict(X).tobytes() == nets[1].predict(X).tobytes()
    last = nets[1].predict(X)
    with opt.averages():
        assert not np.array_equal(nets[1].predict(X), last)
    assert nets[1].predict(X).tobytes() == last.tobytes()
    with pytest.raises(ValueError, match="1 groups, expected 2"):
        opt.load_state_dict(pynn.optim.Adam(nets[1].parameters()).state_dict() | {"param_groups": [{"params": []}]})


def test_multi_optimizer_clips_the_norm_of_all_gradients() -> None:
    """Two SGD members with a common clip_norm match one SGD with that clip_norm, in fit and in manual steps."""

    def train(several: bool, how: str) -> bytes:
        net = muon_net()
        data = np.random.default_rng(0).normal(size=(9, 4)).astype("f4")
        X, y, members = data, 3 * data[:, 0], net.parameters()
        first: dict[str, Any] = {"schedule": pynn.optim.lr_scheduler.StepLR(step_size=2, gamma=0.5)}
        opt: Any = None if several else pynn.optim.SGD(members, lr=0.1, momentum=0.9, clip_norm=0.05, **first)
        if several:
            second: dict[str, Any] = {"schedule": pynn.optim.lr_scheduler.StepLR(step_size=2, gamma=0.5)}
            parts = [pynn.optim.SGD(part, lr=0.1, momentum=0.9, **of) for part, of in ((members[:1], first), (members[1:], second))]
            opt = pynn.optim.MultiOptimizer(*parts, clip_norm=0.05)
        if how == "fit":
            net.fit(X, y, loss="mse", optimizer=opt, epochs=5, batch_size=4, seed=0)
        for _ in range(5 * (how == "steps")):
            opt.zero_grad()
            loss = pynn.MSELoss()
            loss(net(X), y[:, None])
            net.backward(loss.backward())
            opt.step()
        return net.predict(X).tobytes()

    for how in ("fit", "steps"):
        assert train(True, how) == train(False, how)
    p = pynn.Parameter(np.ones(2))
    opt = pynn.optim.MultiOptimizer(pynn.optim.SGD([p], lr=1.0), clip_norm=0.5)
    assert opt.get_config()["clip_norm"] == 0.5
    assert repr(opt).endswith("clip_norm=0.5)")
    for moved in (opt, pickle.loads(pickle.dumps(opt)), opt._copy()):
        q = moved.param_groups[0]["params"][0]
        q.data[...], q.grad[...] = 0, (3, 4)
        moved.step()
        np.testing.assert_allclose(q.data, [-0.3, -0.4], rtol=1e-6)


def test_multi_optimizer_rejects_invalid_arguments() -> None:
    p, q = pynn.Parameter(np.ones(2)), pynn.Parameter(np.ones(2))
    for create, error, text in [
        (lambda: pynn.optim.MultiOptimizer(), ValueError, "at least one"),
        (lambda: pynn.optim.MultiOptimizer(pynn.optim.SGD()), ValueError, "parameters that no other has"),
        (lambda: pynn.optim.MultiOptimizer(pynn.optim.SGD([p]), pynn.optim.Adam([q, p])), ValueError, "parameters that no other has"),
        (lambda: pynn.optim.MultiOptimizer(pynn.optim.SGD([p], clip_norm=1.0)), ValueError, "pass it to MultiOptimizer"),
        (lambda: pynn.optim.MultiOptimizer(pynn.optim.SGD([p]), clip_norm=0.0), ValueError, "clip_norm must be over 0"),
        (lambda: pynn.optim.MultiOptimizer(pynn.optim.LBFGS([p])), TypeError, "LBFGS"),
        (lambda: pynn.optim.MultiOptimizer([pynn.optim.SGD([p])]), TypeError, "expected any of pynn.optim"),  # type: ignore[arg-type]
        (lambda: pynn.optim.MultiOptimizer(pynn.optim.SGD([p])).add_param_group({"params": [q]}), TypeError, "one of its optimizers"),
        (lambda: pynn.optim.MultiOptimizer(pynn.optim.SGD([p])).swap_averages(), RuntimeError, "ema_decay"),
    ]:
        with pytest.raises(error, match=text):
            create()


def test_lbfgs_resumes_bit_for_bit() -> None:
    def problem(p: pynn.Parameter) -> Any:
        def closure() -> float:
            x, y = p.data
            p.grad[...] = -2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)
            return float((1 - x) ** 2 + 100 * (y - x**2) ** 2)

        return closure

    def fresh(at: Any = (-1.5, 2.0)) -> tuple[pynn.Parameter, Any]:
        p = pynn.Parameter(np.array(at))
        return p, pynn.optim.LBFGS([p], max_iter=4, line_search_fn="strong_wolfe", history_size=3)

    (p, opt), (q, first) = fresh(), fresh()
    for _ in range(6):
        opt.step(problem(p))
    for _ in range(3):
        first.step(problem(q))
    r, second = fresh(q.data.copy())
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    for _ in range(3):
        second.step(problem(r))
    np.testing.assert_array_equal(p.data, r.data)
    assert repr(eval(repr(opt), vars(pynn.optim))) == repr(opt)


def test_lbfgs_propagates_exceptions_of_its_closure() -> None:
    p = pynn.Parameter(np.ones(2))
    with pytest.raises(ZeroDivisionError):
        pynn.optim.LBFGS([p]).step(lambda: 1 / 0)
    np.testing.assert_array_equal(p.data, 1)


@pytest.mark.parametrize("row", [*_core.OPTIMIZERS, *(row for row in _core.SCHEDULES if row["cls"])], ids=lambda row: row["name"])
def test_each_setting_is_documented_once_by_its_row(row: Any) -> None:
    settings = parse_parameters(row.get("hyper") or row["params"]).defaults
    texts = parse_docs(row["docs"])
    assert texts.keys() == settings.keys()
    document = str(getattr(pynn.optim if "hyper" in row else pynn.optim.lr_scheduler, row["cls"]).__doc__)
    for name, text in texts.items():
        assert len(text.split()) > 1
        assert len(re.findall(rf"^    {name} : .+\n        {re.escape(text)}$", document, re.M)) == 1
    assert row["source"] in document


# ---- speed that must not change values -------------------------------------------------------------------------------
def test_square_root_is_correctly_rounded(isa):
    """Optimizers may compute roots by multiplications, see SQRT_BY_FMA. Adagrad with a negligible gradient shows the root."""
    mantissas = np.arange(0x3F800000, 0x40800000, dtype=np.uint32).view(np.float32)
    smallest = np.array([0, 1e-45, 1e-40, 1.2e-38, 2.0**-97, 2.0**-96, 2.0**-70], np.float32)
    largest = np.array([2.0**100, 3.4028235e38, np.inf], np.float32)
    sums = np.concatenate([mantissas, smallest, largest, np.repeat(smallest, 16), mantissas[:5]])
    p = pynn.Parameter(np.zeros_like(sums))
    opt = pynn.optim.Adagrad([p], lr=1.0, eps=1e-45)
    opt.step()
    opt.state[p]["sum"][:] = sums
    p.data[:] = 0
    g = np.float32(1e-38)
    p.grad[:] = g
    opt.step()
    with np.errstate(divide="ignore"):
        assert (p.data == -g / (np.sqrt(sums) + np.float32(1e-45))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if "exp_avg" in row["states"] or "momentum_buffer" in row["states"]])
def test_averages_of_dead_units_do_not_become_subnormal(name, dtype, isa):
    """Arithmetic on subnormal numbers is slow, and a unit whose gradient stays 0 would keep them for thousands of steps."""
    if ROWS[name]["matrices_only"] or name == "lion":  # the sign of Lion's average counts, however small it is
        pytest.skip("keeps its averages")
    options = {key: value for key, value in {"momentum": 0.5, "betas": (0.5, 0.5), "alpha": 0.5}.items() if key in DEFAULTS[name]}
    p = pynn.Parameter(np.ones(40, dtype))
    opt = getattr(pynn.optim, ROWS[name]["cls"])([p], lr=1e-3, **options)
    kept = np.arange(40) % 2 == 0
    p.grad[:] = 1
    for step in range(1100):
        opt.step()
        if not step:
            p.grad[~kept] = 0
        averages = [state for state in opt.state[p].values() if np.shape(state) == (40,)]
        assert averages
        for state in averages:
            assert not ((state != 0) & (abs(state) < np.finfo(dtype).tiny)).any()
            assert (state[kept] != 0).all()
