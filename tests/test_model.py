"""Training: ``fit`` matches the manual loop bit for bit; seeds, batches, validation, fused losses, threads and Ctrl-C."""

import copy
import pickle
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

import pynn
import pynn.datasets
from pynn import _core

F64 = {"dtype": "float64"}
LOSSES = {row["name"]: row for row in _core.LOSSES if row["inputs"] == "input target" and row["target"] != "m"}  # losses of one output
OTHERS = ("muon", "lbfgs", "levenberg_marquardt")  # muon cannot update biases; the others need more than one gradient per step
each_optimizer = pytest.mark.parametrize("optimizer", [name for name in pynn.optim.by_name if name not in OTHERS])
each_loss = pytest.mark.parametrize("loss", LOSSES)


def net(*, outputs: int = 3, last: str | None = None, dtype: str = "float64", seed: int = 1) -> pynn.Sequential:
    layers = [pynn.Linear(4, 8, dtype=dtype, seed=seed), "tanh", pynn.Linear(8, outputs, dtype=dtype, seed=seed + 1)]
    return pynn.Sequential(*layers, *([last] if last else []))


def problem(loss: str, rows: int = 50) -> tuple[pynn.Sequential, np.ndarray, np.ndarray]:
    """Return a net and data that suit a loss."""
    rng = np.random.default_rng(0)
    X, row = rng.normal(size=(rows, 4)), LOSSES[loss]
    last = {"probabilities": "sigmoid", "log-probabilities": "log_softmax"}.get(row["takes"])
    if row["target"] in "cip":
        return net(last=last), X, rng.integers(3, size=rows)
    y = rng.random((rows, 4 if row["kind"] == "b" else 3))
    if row["kind"] == "b":
        y[:, 2:] += y[:, :2]
    return net(outputs=y.shape[1], last=last), X, np.where(y < 0.5, -1.0, 1.0) if row["target"] == "s" else y


def train_manually(model: pynn.Sequential, X: Any, y: Any, loss: pynn.Loss, opt: pynn.Optimizer, epochs: int, batch: int) -> list[float]:
    """Train as fit does without shuffling; return the mean loss of each epoch."""
    means = []
    for _ in range(epochs):
        total = 0.0
        for i in range(0, len(X), batch):
            xb, yb = X[i : i + batch], y[i : i + batch]
            opt.zero_grad()
            total += float(loss(model(xb), yb)) * (len(xb) if loss.reduction == "mean" else 1)
            model.backward(loss.backward())
            opt.step()
        means.append(total / len(X) if loss.reduction == "mean" else total)
    return means


def same(a: pynn.Layer, b: pynn.Layer) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a.params.values(), b.params.values(), strict=True))


# ---- fit and the manual loop ----------------------------------------------------------------------------------------
@each_loss
@each_optimizer
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("batch", [1, 16, 50, 64])
def test_fit_matches_the_manual_loop(loss: str, optimizer: str, reduction: str, batch: int) -> None:
    """The weights are bit-identical. With batches of 16, the last one of 50 rows has 2."""
    model, X, y = problem(loss)
    clone = copy.deepcopy(model)
    make = lambda: (pynn.losses.by_name[loss](reduction=reduction), pynn.optim.by_name[optimizer](lr=0.01))  # noqa: E731
    criterion, opt = make()
    hist = model.fit(X, y, loss=criterion, optimizer=opt, epochs=3, batch_size=batch, shuffle=False)
    criterion, opt = make()
    opt.bind(clone.parameters())
    means = train_manually(clone, X, y, criterion, opt, 3, batch)
    assert same(model, clone)
    np.testing.assert_allclose(hist.history["loss"], means, rtol=1e-12)
    for p, q in zip(model.parameters(), clone.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)


def test_fit_matches_the_manual_loop_on_every_instruction_set(isa: str) -> None:
    X, y = np.random.default_rng(0).normal(size=(70, 4)).astype("f4"), np.arange(70) % 3
    model = net(dtype="float32")
    clone = copy.deepcopy(model)
    model.fit(X, y, loss="cross_entropy", optimizer="adam", epochs=2, batch_size=32, shuffle=False)
    train_manually(clone, X, y, pynn.CrossEntropyLoss(), pynn.optim.Adam(clone.parameters()), 2, 32)
    assert same(model, clone)


def test_each_epoch_visits_every_row_once() -> None:
    """With a linear loss and no momentum, the steps of an epoch add up to the sum over all rows in any order."""
    X, y = np.random.default_rng(0).normal(size=(37, 4)), np.zeros((37, 1))
    ends = []
    for seed in range(3):
        model = pynn.Sequential(pynn.Linear(4, 1, bias=False, **F64))
        model[0].weight = np.full((1, 4), 1e6)  # so large that the sign of x - t never changes
        model.fit(np.abs(X), y, loss=pynn.L1Loss(reduction="sum"), optimizer=pynn.optim.SGD(lr=1.0), batch_size=5, seed=seed)
        ends.append(model[0].weight - 1e6)
    np.testing.assert_allclose(ends, [-np.abs(X).sum(0, keepdims=True)] * 3, rtol=1e-6)


def test_seeds_determine_the_result() -> None:
    _, X, y = problem("cross_entropy")
    trained = []
    for seed in (3, 3, 4):
        model = net()
        trained.append((model, model.fit(X, y, loss="cross_entropy", epochs=3, batch_size=8, seed=seed).history["loss"]))
    (a, loss_a), (b, loss_b), (c, loss_c) = trained
    assert same(a, b)
    assert loss_a == loss_b
    assert not same(a, c)
    assert loss_a != loss_c
    pynn.manual_seed(5)
    first = net()
    first.fit(X, y, loss="cross_entropy", batch_size=8)
    pynn.manual_seed(5)
    second = net()
    second.fit(X, y, loss="cross_entropy", batch_size=8)
    assert same(first, second)


def test_each_epoch_has_a_different_order() -> None:
    """Two calls of one epoch with the same seed differ from one call of two epochs, whose second epoch has another order."""
    _, X, y = problem("cross_entropy")
    once, twice = net(), net()
    opt = pynn.optim.SGD(once.parameters(), lr=0.1)
    for _ in range(2):
        once.fit(X, y, loss="cross_entropy", optimizer=opt, batch_size=8, seed=3)
    twice.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.SGD(lr=0.1), epochs=2, batch_size=8, seed=3)
    assert not same(once, twice)


@each_optimizer
def test_training_resumes_bit_for_bit(optimizer: str) -> None:
    _, X, y = problem("cross_entropy")
    straight, parts = net(), net()
    straight.fit(X, y, loss="cross_entropy", optimizer=optimizer, epochs=6, batch_size=16, shuffle=False)
    opt = pynn.optim.by_name[optimizer](parts.parameters())
    parts.fit(X, y, loss="cross_entropy", optimizer=opt, epochs=2, batch_size=16, shuffle=False)
    assert opt.steps == 2 * 4
    moved = net()
    moved.load_state_dict(parts.state_dict())
    other = pynn.optim.by_name[optimizer](moved.parameters())
    other.load_state_dict(opt.state_dict())
    moved.fit(X, y, loss="cross_entropy", optimizer=other, epochs=4, batch_size=16, shuffle=False)
    assert same(straight, moved)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda x: np.repeat(x, 2, 0)[::2], lambda x: x.tolist(), lambda x: x.astype("f8")])
def test_array_layout_does_not_change_training(layout: Any) -> None:
    _, X, y = problem("cross_entropy")
    plain, other = net(dtype="float32"), net(dtype="float32")
    plain.fit(X.astype("f4"), y, loss="cross_entropy", epochs=2, seed=0)
    other.fit(layout(X.astype("f4")), np.repeat(y, 2)[::2].astype("i2"), loss="cross_entropy", epochs=2, seed=0)
    assert same(plain, other)


# ---- what fit reports -----------------------------------------------------------------------------------------------
@each_loss
def test_history_logs_and_validation_scores_agree(loss: str) -> None:
    model, X, y = problem(loss)
    seen: list[tuple[int, dict[str, float]]] = []
    callback = lambda epoch, logs: seen.append((epoch, dict(logs)))  # noqa: E731
    hist = model.fit(X, y, loss=loss, epochs=3, batch_size=16, validation_data=(X[:20], y[:20]), callbacks=[callback], seed=0)
    names = {"loss", "val_loss", "seconds"} | ({"accuracy", "val_accuracy"} if LOSSES[loss]["metric"] != "n" else set())
    assert set(hist.history) == names
    assert hist is model.history
    assert hist.epoch == [0, 1, 2]
    assert [e for e, _ in seen] == [0, 1, 2]
    for epoch, logs in seen:
        assert logs == {name: values[epoch] for name, values in hist.history.items()}
    scores = model.evaluate(X[:20], y[:20])
    assert {f"val_{k}": v for k, v in scores.items()} == {k: v[-1] for k, v in hist.history.items() if k.startswith("val_")}
    expected = float(pynn.losses.by_name[loss]()(model.predict(X[:20]), y[:20]))
    np.testing.assert_allclose(scores["loss"], expected, rtol=1e-12)


@pytest.mark.parametrize("loss", [n for n, row in LOSSES.items() if row["metric"] != "n"])
def test_accuracy_is_the_fraction_of_correct_predictions(loss: str) -> None:
    model, X, y = problem(loss, rows=300)
    metric = LOSSES[loss]["metric"]
    if metric != "a":
        y = (y > 0.3).astype(int)
    out = model.predict(X)
    right = out.argmax(1) == y if metric == "a" else (out > (0 if metric == "l" else 0.5)) == y
    assert model.evaluate(X, y, loss=loss)["accuracy"] == pytest.approx(right.mean(), abs=1e-12)
    if loss == "cross_entropy":
        assert model.evaluate(X, np.eye(3)[y], loss=loss) == pytest.approx(model.evaluate(X, y, loss=loss))


def test_zero_epochs_change_nothing() -> None:
    model, X, y = problem("mse")
    before = copy.deepcopy(model)
    assert model.fit(X, y, loss="mse", epochs=0).history == {}
    assert same(model, before)


def test_one_feature_and_1d_inputs() -> None:
    model = pynn.Sequential(pynn.Linear(1, 1, **F64))
    model.fit(np.ones(1), np.ones(1), loss="mse", epochs=2, seed=0)
    assert model.predict(np.ones(5)).shape == (5, 1)
    assert model.predict(np.ones((0, 1))).shape == (0, 1)


def test_flatten_matches_flat_inputs() -> None:
    X, y = np.random.default_rng(0).normal(size=(40, 3, 2, 2)), np.arange(40) % 2
    flat, images = (pynn.Sequential(*head, pynn.Linear(12, 2, seed=1, **F64)) for head in ([], [pynn.Flatten()]))
    flat.fit(X.reshape(40, 12), y, loss="cross_entropy", epochs=3, seed=0)
    images.fit(X, y, loss="cross_entropy", epochs=3, seed=0)
    assert same(flat, images)


def test_nan_in_the_input_makes_the_loss_nan() -> None:
    model, X, y = problem("cross_entropy")
    X[7] = np.nan
    with pytest.warns(RuntimeWarning, match="the loss is NaN"):
        assert np.isnan(model.fit(X, y, loss="cross_entropy", epochs=1, on_nan="ignore").history["loss"][0])


# ---- fused losses ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("loss", "last", "logits"), [("cross_entropy", "softmax", "cross_entropy"), ("bce", "sigmoid", "bce_with_logits")])
def test_a_last_layer_is_fused_with_its_loss(loss: str, last: str, logits: str) -> None:
    _, X, y = problem(logits)
    plain, fused = net(), net(last=last)
    a = plain.fit(X, y, loss=logits, epochs=3, seed=0, validation_data=(X, y))
    b = fused.fit(X, y, loss=loss, epochs=3, seed=0, validation_data=(X, y))
    assert same(plain, fused)
    del a.history["seconds"], b.history["seconds"]
    assert a.history == b.history
    assert plain.evaluate(X, y) == fused.evaluate(X, y)
    np.testing.assert_array_equal(plain.predict_proba(X), fused.predict_proba(X))
    np.testing.assert_array_equal(plain.predict_class(X), fused.predict_class(X))


def test_an_unfused_loss_trains_alike_and_a_doubled_softmax_warns() -> None:
    _, X, y = problem("bce_with_logits")
    fused, unfused = net(last="sigmoid"), net(last="sigmoid")
    fused.fit(X, y, loss="bce", epochs=3, seed=0)
    unfused.fit(X, y, loss=pynn.BCELoss(), epochs=3, seed=0)
    for name in fused.params:
        np.testing.assert_allclose(fused.params[name], unfused.params[name], rtol=1e-9)
    with pytest.warns(UserWarning, match="takes logits, but the last layer is Softmax"):
        net(last="softmax").fit(X, np.arange(50) % 3, loss=pynn.CrossEntropyLoss(), epochs=1)


# ---- prediction -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict_does_not_depend_on_the_batch_size(dtype: str, isa: str) -> None:
    model = pynn.Sequential(pynn.Linear(30, 70, dtype=dtype, seed=1), "gelu", pynn.Linear(70, 9, dtype=dtype, seed=2), "softmax")
    X = np.random.default_rng(0).normal(size=(101, 30)).astype(dtype)
    full = model.predict(X, batch_size=1000)
    for block in (1, 2, 7, 50, 100, 101):
        np.testing.assert_allclose(model.predict(X, batch_size=block), full, rtol=1e-5 if dtype == "float32" else 1e-13)
    np.testing.assert_array_equal(model(X), full)


@pytest.mark.parametrize("rows", [20, 16, 5])
def test_predict_uses_the_current_weights(rows: int) -> None:
    model = pynn.Sequential(pynn.Linear(6, 70), pynn.ReLU(), pynn.Linear(70, 3))
    X = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    before = model.predict(X, batch_size=16)
    model[2].weight[...] *= -2
    model[2].bias[...] = 0
    after = model.predict(X[:rows], batch_size=16)
    np.testing.assert_array_equal(after, model(X[:rows]))
    assert not np.isclose(after, before[:rows]).any()


def test_predict_class_agrees_with_predict_proba() -> None:
    model, X, y = problem("cross_entropy")
    model.fit(X, y, loss="cross_entropy", epochs=1, seed=0)
    p = model.predict_proba(X)
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_array_equal(model.predict_class(X), p.argmax(1))
    binary = net(outputs=1)
    binary.fit(X, (y > 0) * 1.0, loss="bce_with_logits", epochs=1, seed=0)
    np.testing.assert_array_equal(binary.predict_class(X), binary.predict_proba(X)[:, 0] > 0.5)


def test_digits_reach_97_percent() -> None:
    X, y = pynn.datasets.load_digits()
    train_X, test_X, train_y, test_y = pynn.datasets.train_test_split(X / 16, y, test_size=0.25, seed=0)
    model = pynn.Sequential(pynn.Linear(64, 128, seed=1), "relu", pynn.Linear(128, 64, seed=2), "relu", pynn.Linear(64, 10, seed=3))
    model.fit(train_X, train_y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=1e-3), epochs=30, seed=0)
    assert model.evaluate(test_X, test_y)["accuracy"] >= 0.97


# ---- structure ------------------------------------------------------------------------------------------------------
def test_sequential_is_a_sequence() -> None:
    model = net()
    assert len(model) == 3
    assert [type(layer).__name__ for layer in model] == ["Linear", "Tanh", "Linear"]
    assert model[-1] is model[2]
    assert model[:2][0] is model[0]
    assert model.append("relu") is model
    assert len(model) == 4
    assert "0.weight" in model.params
    assert "67 parameters" in model.summary()


def test_layers_can_be_appended_after_a_call_and_a_fit() -> None:
    model, X, y = problem("cross_entropy")
    model(X)
    model.fit(X, y, loss="cross_entropy")
    model.append(pynn.Linear(3, 2, **F64))
    assert model(X).shape == model.predict(X).shape == (50, 2)
    inner = pynn.Sequential(pynn.Linear(4, 3, **F64))
    outer = pynn.Sequential(inner)
    outer(X)
    inner.append(pynn.Linear(3, 2, **F64))
    assert outer(X).shape == (50, 2)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_a_trained_model_predicts_and_trains_the_same(how: Any) -> None:
    model, X, y = problem("cross_entropy")
    model.fit(X, y, loss="cross_entropy", epochs=2, seed=0)
    clone = how(model)
    assert clone.evaluate(X, y) == model.evaluate(X, y)
    for m in (model, clone):
        m.fit(X, y, loss="cross_entropy", epochs=1, seed=1)
    assert same(model, clone)


# ---- signals and threads --------------------------------------------------------------------------------------------
LONG = """
import os, signal, threading, time
import numpy as np, pynn
X = np.random.default_rng(0).normal(size=(200_000, 64)).astype("f4")
y = np.arange(len(X)) % 10
model = pynn.Sequential(pynn.Linear(64, 128, seed=1), "tanh", pynn.Linear(128, 10, seed=2))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_stops_a_long_epoch_and_leaves_the_model_usable() -> None:
    """In a separate process, which sends the signal to itself from a thread."""
    code = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with SIGINT ignored
opt, sent = pynn.optim.Adam(model.parameters()), []
def send():
    time.sleep(0.5)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=send).start()
try:
    model.fit(X, y, loss="cross_entropy", optimizer=opt, epochs=1000)
except KeyboardInterrupt:
    print("stopped after", time.perf_counter() - sent[0])
assert opt.steps > 0 and isinstance(model.history.history, dict)
assert np.isfinite(model.predict(X[:10])).all()
model.fit(X[:100], y[:100], loss="cross_entropy", optimizer=opt, epochs=1)
assert len(model.history.history["loss"]) == 1
"""
    done = subprocess.run([sys.executable, "-c", LONG + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.rsplit(" ", 1)[1]) < 1, done.stdout


class InThread(threading.Thread):
    """Run a function in a thread; store its exception in ``error``."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.error = function, None
        self.start()

    def run(self) -> None:
        try:
            self.function()
        except Exception as error:
            self.error = error


def test_concurrent_use_of_a_model_in_training_raises() -> None:
    space: dict[str, Any] = {}
    exec(LONG, space)
    model, X, y = space["model"], space["X"], space["y"]
    alone = copy.deepcopy(model)
    alone.fit(X, y, loss="cross_entropy", epochs=1, seed=0)
    training = InThread(lambda: model.fit(X, y, loss="cross_entropy", epochs=1, seed=0))
    still = pynn.optim.SGD(model.parameters(), lr=0.0)
    errors = []
    fit = lambda: model.fit(X[:5], y[:5], loss="cross_entropy", optimizer=still)  # noqa: E731
    while training.is_alive() and len(errors) < 60:
        for call in (lambda: model(X[:1]), lambda: model.predict(X[:1]), fit):
            try:
                call()
            except RuntimeError as error:
                errors.append(error)
    training.join()
    errors += [training.error] if training.error else []
    assert errors
    assert all("another thread" in str(error) for error in errors)
    assert training.error or same(model, alone)


def test_concurrent_calls_of_a_layer_are_correct_or_raise() -> None:
    layer, X = pynn.Linear(64, 64, seed=1), np.random.default_rng(0).normal(size=(256, 64)).astype("f4")
    expected = layer(X)

    def work() -> None:
        for _ in range(200):
            try:
                y = layer(X)
            except RuntimeError as error:
                assert "in use by another thread" in str(error)  # noqa: PT017
            else:
                np.testing.assert_array_equal(y, expected)

    threads = [InThread(work) for _ in range(3)]
    for thread in threads:
        thread.join()
    assert [t.error for t in threads] == [None] * 3


def test_threads_with_separate_models_train_alike() -> None:
    _, X, y = problem("cross_entropy")
    models = [net() for _ in range(4)]
    threads = [InThread(lambda m=m: m.fit(X, y, loss="cross_entropy", epochs=50, seed=0)) for m in models]
    for thread in threads:
        thread.join()
    assert [t.error for t in threads] == [None] * 4
    assert all(same(models[0], m) for m in models)


def test_fit_lets_other_threads_run() -> None:
    """The main thread counts while fit is inside one epoch."""
    space: dict[str, Any] = {}
    exec(LONG, space)
    seconds: list[float] = []
    started = threading.Event()

    def train() -> None:
        started.set()
        seconds.extend(space["model"].fit(space["X"], space["y"], loss="cross_entropy", epochs=1).history["seconds"])

    training, count = InThread(train), 0
    started.wait()
    while training.is_alive():
        time.sleep(0.001)
        count += 1
    assert count > 100 * seconds[0], (count, seconds)


def test_a_layer_used_twice_accumulates_both_gradients() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 4))

    def tied() -> pynn.Sequential:
        shared = pynn.Linear(4, 4, dtype="float64", seed=1)
        return pynn.Sequential(shared, "tanh", shared)

    fitted, looped, loss = tied(), tied(), pynn.MSELoss()
    fitted.fit(X, y, loss="mse", optimizer=pynn.optim.SGD(lr=0.1), epochs=1, batch_size=20, shuffle=False)
    loss(looped(X), y)
    looped.backward(loss.backward())
    pynn.optim.SGD(looped.parameters(), lr=0.1).step()
    np.testing.assert_array_equal(fitted[0].weight, looped[0].weight)
    np.testing.assert_array_equal(fitted[0].bias, looped[0].bias)
