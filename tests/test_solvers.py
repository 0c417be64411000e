"""L-BFGS and Levenberg-Marquardt in fit, against manual steps, least squares and each other."""

import copy
from typing import Any

import numpy as np
import pytest

import pynn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 4))
T = np.sin(X @ RNG.normal(size=(4, 2)))
K = (X[:, 0] > 0.3).astype(int) + (X[:, 1] > 0)
W = RNG.random(150) * (np.arange(150) % 4 > 0)
LM = pynn.optim.LevenbergMarquardt


def net(outputs: int = 2, hidden: int = 6, dtype: str = "float64") -> pynn.Sequential:
    layers = [pynn.Linear(4, hidden, dtype=dtype, seed=1), "tanh", pynn.Linear(hidden, outputs, dtype=dtype, seed=2)]
    return pynn.Sequential(*layers)


def vector(model: pynn.Layer) -> np.ndarray:
    return np.concatenate([p.data.ravel() for p in model.parameters()])


# ---- L-BFGS -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("batch", [None, 64])
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize(("loss", "y"), [("cross_entropy", K), ("mse", T), ("huber", T)])
def test_lbfgs_in_fit_matches_steps_with_a_closure(loss: str, y: Any, search: str | None, batch: int | None) -> None:
    """Manual calls of opt.step(closure) are compared with PyTorch in tests/external."""
    outputs = 3 if y is K else 2
    model, clone = net(outputs), net(outputs)
    given = pynn.optim.LBFGS(max_iter=5, line_search_fn=search)
    hist = model.fit(X, y, loss=loss, optimizer=given, batch_size=batch, epochs=3, sample_weight=W, shuffle=False)
    opt = pynn.optim.LBFGS(clone.parameters(), max_iter=5, line_search_fn=search)
    criterion, losses = pynn.losses.by_name[loss](), []
    for _ in range(3):
        for i in range(0, 150, batch or 150):
            rows = slice(i, i + (batch or 150))

            def closure(rows: slice = rows) -> float:
                opt.zero_grad()
                value = criterion(clone(X[rows]), y[rows], sample_weight=W[rows])
                clone.backward(criterion.backward())
                return float(value)

            losses.append(opt.step(closure))
    if batch is None:
        np.testing.assert_allclose(hist.history["loss"], losses, rtol=1e-9)
    np.testing.assert_allclose(vector(model), vector(clone), rtol=1e-7, atol=1e-9)
    assert model.optimizer is not None
    assert model.optimizer.steps == 3 * (1 if batch is None else 3)


def test_lbfgs_finds_the_least_squares_solution() -> None:
    model = pynn.Sequential(pynn.Linear(4, 2, dtype="float64", seed=0))
    model.fit(X, T, loss="mse", optimizer="lbfgs", epochs=10)
    expected, *_ = np.linalg.lstsq(np.c_[X, np.ones(150)], T, rcond=None)
    np.testing.assert_allclose(np.c_[model[0].weight, model[0].bias], expected.T, atol=1e-4)


def test_lbfgs_resumes_bit_for_bit() -> None:
    a, b = net(), net()
    opt = pynn.optim.LBFGS(max_iter=4, line_search_fn="strong_wolfe")
    a.fit(X, T, loss="mse", optimizer=pynn.optim.LBFGS(max_iter=4, line_search_fn="strong_wolfe"), epochs=4, shuffle=False)
    b.fit(X, T, loss="mse", optimizer=opt, epochs=2, shuffle=False)
    saved = copy.deepcopy(opt.state_dict())
    other = pynn.optim.LBFGS(b.parameters(), max_iter=4, line_search_fn="strong_wolfe")
    other.load_state_dict(saved)
    b.fit(X, T, loss="mse", optimizer=other, epochs=2, shuffle=False)
    np.testing.assert_array_equal(vector(a), vector(b))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("value", [np.nan, 1e18, -1.0])
def test_lbfgs_rejects_invalid_counts_in_its_memory(count: int, value: float) -> None:
    model, opt = net(), pynn.optim.LBFGS(max_iter=4)
    model.fit(X, T, loss="mse", optimizer=opt)
    state = opt.state_dict()
    state["memory"][count] = value
    opt.load_state_dict(state)
    with pytest.raises(ValueError, match=r"memory: .* steps starting at .*, expected at most 100"):
        model.fit(X, T, loss="mse", optimizer=opt)


def test_the_rate_of_lbfgs_may_change_between_epochs() -> None:
    """A schedule and a callback give the same rates."""
    by_schedule = pynn.optim.LBFGS(max_iter=2, line_search_fn="strong_wolfe")
    a, b = net(), net()
    by_schedule.bind(a.parameters())
    pynn.optim.lr_scheduler.StepLR(step_size=1, gamma=0.5).bind(by_schedule)
    a.fit(X, T, loss="mse", optimizer=by_schedule, epochs=3, shuffle=False)
    rate = pynn.callbacks.LRScheduler(lambda epoch: 0.5**epoch)
    by_callback = pynn.optim.LBFGS(max_iter=2, line_search_fn="strong_wolfe")
    b.fit(X, T, loss="mse", optimizer=by_callback, epochs=3, shuffle=False, callbacks=[rate])
    np.testing.assert_allclose(vector(a), vector(b), rtol=1e-12)
    assert by_schedule.param_groups[0]["lr"] == 0.125


def test_exceptions_of_the_loss_propagate_from_a_step() -> None:
    calls = []

    def fails(x: np.ndarray, t: np.ndarray) -> tuple[Any, np.ndarray]:
        calls.append(1)
        if len(calls) == 4:
            raise KeyError("fourth")
        return (x - t) ** 2, 2 * (x - t)

    with pytest.raises(KeyError, match="fourth"):
        net().fit(X, T, loss=pynn.FunctionLoss(fails), optimizer="lbfgs", epochs=2)
    assert len(calls) == 4


# ---- Levenberg-Marquardt ------------------------------------------------------------------------------------------------
def jacobian(model: pynn.Sequential, t: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Jacobian of the scaled residuals, one backward per row, and the residuals."""
    rows, residuals = [], []
    for i in range(len(X)):
        for o in range(t.shape[1]):
            for p in model.parameters():
                p.grad[...] = 0
            out = model(X[i : i + 1])
            model.backward(np.eye(t.shape[1])[o : o + 1])
            rows.append(scale[i] * np.concatenate([p.grad.ravel() for p in model.parameters()]))
            residuals.append(scale[i] * (out[0, o] - t[i, o]))
    return np.array(rows), np.array(residuals)


def train_lm_manually(model: pynn.Sequential, epochs: int, damping: float, w: np.ndarray) -> list[float]:
    """Train with Nielsen's damping and NumPy's solver; return the loss before each step."""
    scale, losses, mu, grow = np.sqrt(w / (w.sum() * 2)), [], 0.0, 2.0
    for epoch in range(epochs):
        j, r = jacobian(model, T, scale)
        a, g, x = j.T @ j, j.T @ r, vector(model)
        losses.append(float(r @ r))
        mu = damping * a.diagonal().max() if epoch == 0 else mu
        for _ in range(20):
            d, at = -np.linalg.solve(a + mu * np.eye(len(x)), g), 0
            for p in model.parameters():
                p.data[...] = (x + d)[at : at + p.data.size].reshape(p.data.shape)
                at += p.data.size
            fresh = float(((scale[:, None] * (model.predict(X) - T)) ** 2).sum())
            gain = (losses[-1] - fresh) / (mu * d @ d - d @ g)
            if gain > 0:
                mu, grow = mu * max(1 / 3, 1 - (2 * gain - 1) ** 3), 2.0
                break
            mu, grow = mu * grow, 2 * grow
    return losses


@pytest.mark.parametrize(("hidden", "damping"), [(6, 1e-3), (6, 1e-9), (20, 1e-2)])
@pytest.mark.parametrize("weighted", [False, True])
def test_lm_matches_nielsens_algorithm(hidden: int, damping: float, weighted: bool) -> None:
    """142 parameters span several blocks of the factorization and 300 residuals several of the Jacobian; some steps are rejected."""
    model, clone, w = net(2, hidden), net(2, hidden), W if weighted else np.ones(150)
    opt = LM(damping=damping)
    hist = model.fit(X, T, loss="mse", optimizer=opt, epochs=6, sample_weight=w if weighted else None, shuffle=False)
    np.testing.assert_allclose(hist.history["loss"], train_lm_manually(clone, 6, damping, w), rtol=1e-6)
    np.testing.assert_allclose(vector(model), vector(clone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lm_solves_linear_least_squares_in_one_step(dtype: str) -> None:
    model = pynn.Sequential(pynn.Linear(4, 2, dtype=dtype, seed=0))
    model.fit(X, T, loss=pynn.MSELoss(reduction="sum"), optimizer=LM(damping=1e-12), epochs=1, sample_weight=W)
    root = np.sqrt(W)[:, None]
    expected, *_ = np.linalg.lstsq(root * np.c_[X, np.ones(150)], root * T, rcond=None)
    np.testing.assert_allclose(np.c_[model[0].weight, model[0].bias], expected.T, atol=1e-9 if dtype == "float64" else 1e-5)


def test_lm_converges_equally_far_in_single_precision() -> None:
    """The Jacobian is computed in double precision, also for shared layers, several inputs and frozen parameters."""
    X, losses = np.linspace(-1, 1, 60)[:, None], {}
    for dtype in ("float32", "float64"):
        x, z = pynn.Input((1,)), pynn.Input((1,))
        held = pynn.Linear(1, 8, dtype=dtype, seed=1).freeze()
        h = pynn.Sequential(pynn.Concat(pynn.Linear(1, 8, dtype=dtype, seed=0), held), pynn.Tanh())
        model = pynn.Model([x, z], pynn.Linear(16, 1, dtype=dtype, seed=2)(pynn.Add()(h(x), h(z))))
        frozen = held.weight.copy()
        data = (X, 0.5 * X + 0.1)
        hist = model.fit(data, np.sin(6 * X), loss="mse", optimizer="levenberg_marquardt", epochs=150)
        losses[dtype] = hist.history["loss"][-1]
        np.testing.assert_array_equal(held.weight, frozen)
    assert losses["float32"] < 10 * losses["float64"] < 1e-3


def test_lm_takes_equal_steps_in_both_precisions_for_many_layer_kinds() -> None:
    losses = {}
    for dtype in ("float32", "float64"):
        layers = [
            *(pynn.Embedding(7, 8, dtype=dtype, seed=0), pynn.Conv1d(4, 3, 3, padding=1, dtype=dtype, seed=1), pynn.PReLU(3, dtype=dtype)),
            *(pynn.BatchNorm1d(3, dtype=dtype).eval(), pynn.GroupNorm(1, 3, dtype=dtype), pynn.LeakyReLU(0.3), pynn.Flatten()),
            pynn.Residual(pynn.Linear(24, 24, dtype=dtype, seed=2), pynn.GELU()), pynn.Linear(24, 2, dtype=dtype, seed=3),
        ]  # fmt: skip
        words = np.random.default_rng(0).integers(0, 7, (150, 4))
        model = pynn.Sequential(*layers)
        losses[dtype] = model.fit(words, T, loss="mse", optimizer=LM(damping=0.1), epochs=4, sample_weight=W).history["loss"]
    np.testing.assert_allclose(losses["float32"], losses["float64"], rtol=1e-5)


def test_lm_never_increases_the_loss_and_stays_at_a_minimum() -> None:
    model = net(2, 3)
    losses = model.fit(X, T, loss="mse", optimizer="levenberg_marquardt", epochs=300).history["loss"]
    assert (np.diff(losses) <= 1e-15).all()
    assert losses[-1] < 0.5 * losses[1]
    linear = pynn.Sequential(pynn.Linear(4, 2, dtype="float64", seed=0))
    linear.fit(X, T, loss="mse", optimizer="levenberg_marquardt", epochs=60)
    before = vector(linear)
    linear.fit(X, T, loss="mse", optimizer="levenberg_marquardt", epochs=3)
    np.testing.assert_allclose(vector(linear), before, atol=1e-7)  # a loss accurate to 1e-16 determines the parameters to about 1e-8


def test_lm_weights_several_outputs() -> None:
    """Two outputs of the same shape act like one output with the columns of both."""
    x = pynn.Input((4,))
    ends = [pynn.Linear(4, 1, dtype="float64", seed=i)(x) for i in range(2)]
    model = pynn.Model(x, ends)
    model.fit(X, [T[:, :1], T[:, 1:]], loss="mse", loss_weights=[3.0, 0.0], optimizer=LM(damping=1e-12), epochs=1)
    expected, *_ = np.linalg.lstsq(np.c_[X, np.ones(150)], T[:, 0], rcond=None)
    first = model.predict(X)[0][:, 0]
    np.testing.assert_allclose(first, np.c_[X, np.ones(150)] @ expected, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["lbfgs", "levenberg_marquardt"])
def test_solvers_keep_frozen_parameters_on_any_thread_count(optimizer: str) -> None:
    found = []
    for threads in (1, 3):
        with pynn.num_threads(threads):
            model = net(2, 20)
            model[0].freeze()
            model.fit(X, T, loss="mse", optimizer=optimizer, epochs=4, seed=0)
            found.append(vector(model))
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(model[0].weight, net(2, 20)[0].weight)


@pytest.mark.parametrize(
    ("layers", "kwargs", "match"),
    [
        ([pynn.Linear(4, 2)], {"batch_size": 32}, "batch_size: LevenbergMarquardt takes all 150 rows in one batch, got 32"),
        ([pynn.Linear(4, 2)], {"loss": "huber"}, "LevenbergMarquardt needs MSELoss, a sum of squares, not HuberLoss"),
        ([pynn.Linear(4, 500), pynn.Linear(500, 2)], {}, "at most 2048; this net has 3502"),
        ([pynn.Linear(4, 2), pynn.Dropout(0.5)], {}, "processes rows one by one, but layer 1 .Dropout. behaves differently in training"),
        ([pynn.Linear(4, 2), pynn.BatchNorm1d(2)], {}, "BatchNorm1d. behaves differently in training: call its eval"),
    ],
)  # fmt: skip
def test_lm_rejects_unsupported_nets_and_settings(layers: list[Any], kwargs: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        pynn.Sequential(*layers).fit(X, T, **{"loss": "mse", "optimizer": "levenberg_marquardt", **kwargs})


def test_solvers_in_train_on_batch_and_find_lr() -> None:
    with pytest.raises(ValueError, match="damping"):
        LM(damping=0.0)
    with pytest.raises(ValueError, match="LevenbergMarquardt has no learning rate"):
        net().find_lr(X, T, loss="mse", optimizer="levenberg_marquardt")
    model = net()
    opt = LM()
    losses = [model.train_on_batch(X, T, loss="mse", optimizer=opt)["loss"] for _ in range(4)]
    assert losses == net().fit(X, T, loss="mse", optimizer=LM(), epochs=4, shuffle=False).history["loss"]
    model.eval()
    assert net().find_lr(X, T, loss="mse", optimizer="lbfgs", steps=8, lr_max=1.0).lr.size > 1
    masked = pynn.Sequential(pynn.Linear(4, 2, dtype="float64", seed=0), pynn.Dropout(0.5).eval())
    assert masked.fit(X, T, loss="mse", optimizer="levenberg_marquardt", epochs=2).history["loss"][1] > 0


@pytest.mark.parametrize("size", [0, 2, 5000])
def test_changing_history_size_reallocates_the_memory(size: int) -> None:
    """In fit, between calls and within a closure, the core uses the size that its memory was allocated for."""
    X = np.random.default_rng(0).normal(size=(30, 3)).astype("f4")
    model = pynn.Sequential(pynn.Linear(3, 40, seed=0), "tanh", pynn.Linear(40, 1, seed=1))
    opt = pynn.optim.LBFGS(history_size=4, max_iter=3)

    def change(epoch: int, logs: Any) -> None:
        if epoch == 1:
            opt.param_groups[0]["history_size"] = size

    hist = model.fit(X, X[:, 0] ** 2, loss="mse", optimizer=opt, epochs=8, callbacks=[change])
    assert np.isfinite(hist.history["loss"]).all()
    assert size == 0 or hist.history["loss"][-1] < hist.history["loss"][0]
    assert opt._memory.size == pynn._core.lbfgs_memory(sum(p.data.size for p in model.parameters()), size)
    p = pynn.Parameter(np.array([3.0, -2.0]))
    other = pynn.optim.LBFGS([p], history_size=3, lr=0.5)

    def closure() -> float:
        other.param_groups[0]["history_size"] = size
        other._memory[:8] = 1e15  # type: ignore[index]
        p.grad[...] = 2 * p.data
        return float((p.data**2).sum())

    other.step(closure)
    assert np.isfinite(p.data).all()


BAD = [("max_iter", -1), ("max_iter", 2.5), ("max_eval", -3), ("lr", np.nan), ("history_size", 10**9)]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_invalid_settings_during_training_raise(name: str, value: Any) -> None:
    X = np.random.default_rng(0).normal(size=(30, 3)).astype("f4")
    model = pynn.Sequential(pynn.Linear(3, 1, seed=0))
    opt = pynn.optim.LBFGS(history_size=4, max_iter=3)

    def change(epoch: int, logs: Any) -> None:
        opt.param_groups[0][name] = value

    with pytest.raises((ValueError, TypeError), match=name):
        model.fit(X, X[:, 0], loss="mse", optimizer=opt, epochs=4, callbacks=[change])
    with pytest.raises((ValueError, TypeError), match=name):
        opt.step(lambda: 0.0)
