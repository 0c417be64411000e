"""Sample and class weights, splits, metrics during training, callbacks, divergence, interruption, history and progress."""

import copy
import csv
import functools
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markup import parsed
from process import run_python

import pynn
import pynn.callbacks as cb
from pynn import metrics
from pynn._graph import Builder
from pynn._training.progress import written

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
Y = (X[:, 0] > 0.7).astype(int) + (X[:, 1] > 0.5)
W = RNG.random(90) * (RNG.random(90) > 0.2)


def net(outputs: int = 3, *last: str) -> pynn.Sequential:
    layers = [pynn.Linear(4, 8, dtype="float64", seed=1), "tanh", pynn.Linear(8, outputs, dtype="float64", seed=2)]
    return pynn.Sequential(*layers, *last)


def same(a: pynn.Layer, b: pynn.Layer) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a.params.values(), b.params.values(), strict=True))


# ---- weights ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "huber", "bce_with_logits"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_sample_weights_stay_with_their_rows(loss: str, shuffle: bool) -> None:
    """Without shuffling, fit matches a manual loop; with shuffling, leaving out rows of weight 0 gives the same result."""
    y = Y if loss == "cross_entropy" else (RNG.random((90, 3)) > 0.5) * 1.0
    model, clone = net(), net()
    w = W if not shuffle else (W > 0.5) * 1.0
    hist = model.fit(X, y, loss=loss, optimizer="sgd", epochs=2, batch_size=90 if shuffle else 16, shuffle=shuffle, sample_weight=w, seed=0)
    if shuffle:
        clone.fit(X[w > 0], y[w > 0], loss=loss, optimizer="sgd", epochs=2, batch_size=90, shuffle=False)
        for p, q in zip(model.parameters(), clone.parameters(), strict=True):
            np.testing.assert_allclose(p.data, q.data, rtol=1e-12, atol=1e-14)
        return
    criterion, opt, total = pynn.losses.by_name[loss](), pynn.optim.SGD(clone.parameters()), 0.0
    for epoch in range(2):
        for i in range(0, 90, 16):
            opt.zero_grad()
            value = criterion(clone(X[i : i + 16]), y[i : i + 16], sample_weight=w[i : i + 16])
            total += float(value) * w[i : i + 16].sum() if epoch else 0.0
            clone.backward(criterion.backward())
            opt.step()
    assert same(model, clone)
    assert hist.history["loss"][1] == pytest.approx(total / w.sum(), rel=1e-12)


def test_sample_weights_in_evaluation_validation_and_iterables() -> None:
    model = net()
    hist = model.fit(X, Y, loss="cross_entropy", epochs=1, validation_data=(X, Y, W), seed=0)
    expected = float(pynn.CrossEntropyLoss()(model.predict(X), Y, sample_weight=W))
    assert hist.history["val_loss"][0] == pytest.approx(expected, rel=1e-12)
    assert model.evaluate(X, Y, sample_weight=W)["loss"] == pytest.approx(expected, rel=1e-12)
    a, b = net(), net()
    batches = [(X[i : i + 32], Y[i : i + 32], W[i : i + 32]) for i in range(0, 90, 32)]
    one = a.fit(batches, loss="cross_entropy", epochs=2, metrics=["f1"])
    two = b.fit(X, Y, loss="cross_entropy", epochs=2, batch_size=32, shuffle=False, sample_weight=W, metrics=["f1"])
    assert same(a, b)
    assert one.history["f1"] == two.history["f1"]


def test_a_batch_of_zero_weight_changes_nothing() -> None:
    model, before, w = net(), net(), np.r_[np.zeros(50), np.ones(40)]
    model.fit(X, Y, loss="cross_entropy", optimizer="sgd", batch_size=50, shuffle=False, sample_weight=w)
    before.fit(X[50:], Y[50:], loss="cross_entropy", optimizer="sgd", batch_size=50, shuffle=False)
    assert same(model, before)


def test_class_weights_may_be_given_in_several_forms() -> None:
    counts = np.bincount(Y)
    balanced = 90 / (3 * counts)
    models = []
    for given in ("balanced", dict(enumerate(balanced)), balanced, {0: np.float64(balanced[0]), 1: balanced[1], 2: balanced[2]}):
        models.append(net())
        models[-1].fit(X, Y, loss="cross_entropy", epochs=2, class_weight=given, seed=0)
    by_loss = net()
    by_loss.fit(X, Y, loss=pynn.CrossEntropyLoss(weight=balanced), epochs=2, seed=0)
    assert all(same(models[0], m) for m in models[1:])
    for p, q in zip(models[0].parameters(), by_loss.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-9)
    binary, rows = net(1), net(1)
    yes = (Y > 0) * 1.0
    binary.fit(X, yes, loss="bce_with_logits", class_weight={1: 3.0}, seed=0)
    rows.fit(X, yes, loss="bce_with_logits", sample_weight=1 + 2 * yes, seed=0)
    assert same(binary, rows)


# ---- validation -------------------------------------------------------------------------------------------------------
def test_a_split_is_seeded_stratified_and_disjoint() -> None:
    seen: list[Any] = []
    spy = lambda t, p: seen.append(t.copy()) or 0.0  # noqa: E731
    a, b, c = net(), net(), net()
    one = a.fit(X, Y, loss="cross_entropy", epochs=2, validation_split=0.2, seed=3, metrics={"spy": spy})
    two = b.fit(X, Y, loss="cross_entropy", epochs=2, validation_split=0.2, seed=3)
    three = c.fit(X, Y, loss="cross_entropy", epochs=2, validation_split=0.2, seed=4)
    assert one.history["val_loss"] == two.history["val_loss"] != three.history["val_loss"]
    train, held = seen[0], seen[1]
    assert len(train) + len(held) == 90
    np.testing.assert_allclose(np.bincount(held) / np.bincount(Y), 0.2, atol=0.05)
    np.testing.assert_array_equal(np.bincount(held) + np.bincount(train), np.bincount(Y))
    w = np.arange(90.0)
    number = net(1)
    number.fit(X, w, loss="mse", validation_split=0.25, sample_weight=w, metrics={"spy": spy}, seed=0)
    train, held = seen[-2], seen[-1]
    assert sorted(np.r_[train, held]) == w.tolist()


# ---- metrics ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("last", [(), ("softmax",), ("log_softmax",)])
def test_metrics_of_class_outputs(last: tuple[str, ...]) -> None:
    model, loss = net(3, *last), "nll" if last == ("log_softmax",) else "cross_entropy"
    names = ["accuracy", "f1", "roc_auc", "log_loss", "ece", "top_2_accuracy", "precision", "recall"]
    hist = model.fit(X, Y, loss=loss, epochs=3, validation_data=(X, Y), metrics=names, seed=0)
    p = model.predict_proba(X)
    for name in names:
        expected = metrics.top_k_accuracy(Y, p, k=2) if name.startswith("top") else metrics.by_name[name](Y, p)
        assert hist.history[f"val_{name}"][-1] == pytest.approx(expected, rel=1e-9), name
    assert hist.history["val_log_loss"][-1] == pytest.approx(hist.history["val_loss"][-1], rel=1e-9)
    assert hist.history["log_loss"] == pytest.approx(hist.history["loss"], rel=1e-9)  # both evaluate each batch before its update
    assert model.evaluate(X, Y)["f1"] == hist.history["val_f1"][-1]
    assert set(model.evaluate(X, Y, metrics=["ece"])) == {"loss", "accuracy", "ece"}


def test_metrics_of_numbers_binary_outputs_and_functions() -> None:
    t = X @ np.arange(8.0).reshape(4, 2)
    model = net(2)
    half = functools.partial(metrics.mae, sample_weight=np.r_[np.ones(45), np.zeros(45)])
    hist = model.fit(X, t, loss="mse", epochs=2, metrics=["mae", "rmse", "r2", "mse"], validation_data=(X, t), seed=0)
    assert hist.history["mse"] == pytest.approx(hist.history["loss"], rel=1e-12)
    assert hist.history["val_r2"][-1] == pytest.approx(metrics.r2(t, model.predict(X)))
    assert model.evaluate(X, t, metrics={"first": half})["first"] == pytest.approx(np.abs(t - model.predict(X))[:45].mean())
    for last, loss in (((), "bce_with_logits"), (("sigmoid",), "bce")):
        one = net(1, *last)
        seen: list[Any] = []
        custom = lambda t, p: seen.append(p) or 1  # noqa: B023, E731
        hist = one.fit(X, Y > 0, loss=loss, epochs=1, metrics={"custom": custom, "auc": "roc_auc"}, validation_data=(X, Y > 0), seed=0)
        np.testing.assert_allclose(seen[-1], one.predict(X), rtol=1e-12)  # functions receive the output of predict
        assert hist.history["val_auc"][0] == pytest.approx(metrics.roc_auc(Y > 0, one.predict_proba(X)))


def test_metrics_leave_out_ignored_rows_and_accept_one_hot_targets() -> None:
    y = np.where(np.arange(90) % 3, Y, -100)
    model = net()
    model.fit(X, y, loss="cross_entropy", seed=0)
    assert model.evaluate(X, y, metrics=["f1"])["f1"] == pytest.approx(metrics.f1(Y[y >= 0], model.predict(X)[y >= 0]))
    assert model.evaluate(X, np.eye(3)[Y], metrics=["f1"])["f1"] == pytest.approx(metrics.f1(Y, model.predict(X)))


def test_metrics_of_several_outputs() -> None:
    x = pynn.Input(4)
    model = pynn.Model(x, {"c": pynn.Linear(4, 3, seed=0)(x), "n": pynn.Linear(4, 1, seed=1)(x)})
    y = {"c": Y, "n": X[:, 0]}
    hist = model.fit(X, y, loss={"c": "cross_entropy", "n": "mse"}, metrics={"c": ["f1"], "n": ["mae", "r2"]}, validation_data=(X, y))
    assert {"c_f1", "n_mae", "n_r2", "val_c_f1", "val_n_mae", "val_n_r2"} <= set(hist.history)
    assert hist.history["val_n_mae"][0] == pytest.approx(np.abs(model.predict(X)["n"][:, 0] - X[:, 0]).mean(), rel=1e-5)
    part = model.fit(X, y, loss={"c": "cross_entropy", "n": "mse"}, loss_weights={"n": 0}, metrics={"n": ["mae"]})
    assert {"n_mae"} == {name for name in part.history if "_" in name} - {"c_loss", "n_loss", "c_accuracy"}
    assert part.history["loss"] == part.history["c_loss"]
    with pytest.raises(ValueError, match=r"metrics: expected one for each of c, n, got 'm'"):
        model.fit(X, y, loss={"c": "cross_entropy", "n": "mse"}, metrics={"m": ["mae"]})


def test_metrics_do_not_change_training() -> None:
    a, b = net(), net()
    a.fit(X, Y, loss="cross_entropy", epochs=3, seed=0)
    b.fit(X, Y, loss="cross_entropy", epochs=3, seed=0, metrics=["f1", "ece"], validation_data=(X, Y))
    assert same(a, b)


# ---- tables -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables_train_like_arrays(library: str) -> None:
    tables = pytest.importorskip(library)
    frame, series = tables.DataFrame({f"c{9 - i}": X[:, i] for i in range(4)}), tables.Series(Y)
    a, b = net(), net()
    a.fit(frame, series, loss="cross_entropy", epochs=2, seed=0, validation_split=0.2, sample_weight=tables.Series(W))
    b.fit(X, Y, loss="cross_entropy", epochs=2, seed=0, validation_split=0.2, sample_weight=W)
    assert same(a, b)
    np.testing.assert_array_equal(a.predict(frame), b.predict(X))


def test_tables_may_have_mixed_and_nullable_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": [True, False, True], "c": pandas.array([1, None, 3], "Int64"), "d": [0.5, 1.5, 2.5]})
    model = net()
    out = model.predict(frame)
    np.testing.assert_array_equal(out, model.predict(np.array([[1, 1, 1, 0.5], [2, 0, np.nan, 1.5], [3, 1, 3, 2.5]])))
    with pytest.raises(TypeError, match=r"X: column 'b' holds"):
        model.predict(frame.assign(b=["x", "y", "z"]))


# ---- one step at a time -----------------------------------------------------------------------------------------------
def test_train_on_batch_matches_a_step_of_fit() -> None:
    a, b, opt = net(), net(), pynn.optim.Adam(lr=0.01)
    losses = [a.train_on_batch(X[:32], Y[:32], loss="cross_entropy", optimizer=opt)["loss"]]
    losses += [a.train_on_batch(X[:32], Y[:32])["loss"] for _ in range(4)]
    hist = b.fit(X[:32], Y[:32], loss="cross_entropy", optimizer=pynn.optim.Adam(lr=0.01), epochs=5, shuffle=False)
    assert same(a, b)
    assert losses == hist.history["loss"]
    assert opt.steps == 5
    with pytest.raises(ValueError, match="loss: expected one"):
        net().train_on_batch(X, Y)
    with pytest.raises(pynn.DivergenceError, match="weights are unchanged"):
        a.train_on_batch(X[:4] * np.nan, Y[:4])
    assert same(a, b)


def test_partial_fit_accepts_labels_and_continues() -> None:
    names = np.array(["cat", "dog", "eel"])
    a, b, opt = net(), net(), pynn.optim.Adam()
    a.partial_fit(X[:10], names[Y[:10]], classes=names[::-1], seed=0)
    for _ in range(3):
        assert a.partial_fit(X, names[Y], seed=0) is a
    b.fit(X[:10], Y[:10], loss="cross_entropy", optimizer=opt, seed=0)
    for _ in range(3):
        b.fit(X, Y, loss="cross_entropy", optimizer=opt, seed=0)
    assert same(a, b)
    assert set(a.classes_[a.predict_class(X)]) <= set(names)
    with pytest.raises(ValueError, match="differ from"):
        a.partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"'(cat|dog|eel)s'"):
        a.partial_fit(X, np.char.add(names[Y], "s"))
    with pytest.raises(ValueError, match="classes: expected 3 for a net of 3 outputs, got 2"):
        net().partial_fit(X, Y, classes=[0, 1])


# ---- callbacks --------------------------------------------------------------------------------------------------------
def test_callbacks_are_called_in_order_and_may_stop_training() -> None:
    seen: list[Any] = []

    class Spy(cb.Callback):
        def on_train_begin(self, logs: Any) -> None:
            seen.append(("begin", type(self.model.optimizer).__name__))

        def on_epoch_begin(self, epoch: int, logs: Any) -> None:
            seen.append(("in", epoch))

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            seen.append(("out", epoch))
            self.model.stop_training = epoch == 1

        def on_train_end(self, logs: Any) -> None:
            seen.append(("end", sorted(logs)))

    net().fit(X, Y, loss="cross_entropy", epochs=5, callbacks=[Spy(), lambda epoch, logs: seen.append(("plain", epoch))])
    expected: list[Any] = [("begin", "Adam")]
    expected += [(what, epoch) for epoch in (0, 1) for what in ("in", "out", "plain")]
    assert seen == [*expected, ("end", ["accuracy", "loss", "seconds"])]


def scripted(values: list[float]) -> Any:
    """Return a metric that returns these values in turn."""
    left = iter(values)
    return lambda t, p: next(left)


def test_early_stopping_restores_the_best() -> None:
    after: list[Any] = []
    stop = cb.EarlyStopping("val_score", patience=2, mode="max")
    model = net()
    keep = cb.LambdaCallback(lambda epoch, logs: after.append(copy.deepcopy(model)))
    values = [0.0, 0.5, 0.0, 0.7, 0.0, 0.6, 0.0, 0.7, 0.0, 0.9]  # training, validation, training, ...
    score = {"score": scripted(values)}
    hist = model.fit(X, Y, loss="cross_entropy", epochs=5, validation_data=(X, Y), metrics=score, callbacks=[keep, stop])
    assert (stop.best, stop.best_epoch, stop.stopped_epoch, len(hist.epoch)) == (0.7, 1, 3, 4)
    assert same(model, after[1])
    last = net()
    last.fit(X, Y, loss="cross_entropy", epochs=3, callbacks=[cb.EarlyStopping(patience=1, min_delta=9.0, restore_best=False)])
    assert len(last.history.epoch) == 2
    with pytest.raises(ValueError, match="monitor 'val_los' is not reported; known: loss"):
        net().fit(X, Y, loss="cross_entropy", callbacks=[cb.EarlyStopping("val_los")])


def test_callbacks_set_the_learning_rate() -> None:
    opt, rates = pynn.optim.SGD(lr=1.0), []
    record = lambda epoch, logs: rates.append(opt.param_groups[0]["lr"])  # noqa: E731
    model = net()
    plateau = cb.ReduceLROnPlateau("score", factor=0.5, patience=2, mode="max", min_lr=0.2)
    score = {"score": scripted([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])}
    model.fit(X, Y, loss="cross_entropy", optimizer=opt, epochs=8, metrics=score, callbacks=[record, plateau])
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.2]
    a, b = net(), net()
    a.fit(X, Y, loss="cross_entropy", optimizer=pynn.optim.SGD(), epochs=3, seed=0, callbacks=[cb.LRScheduler(lambda e: 0.1 / (1 + e))])
    rate = pynn.optim.lr_scheduler.LambdaLR(lr_lambda=lambda e: 1 / (1 + e))
    b.fit(X, Y, loss="cross_entropy", optimizer=pynn.optim.SGD(lr=0.1, schedule=rate), epochs=3, seed=0)
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-12)


def test_rate_callbacks_reject_solvers_without_learning_rate() -> None:
    for callback in (cb.LRScheduler(lambda e: 0.1), cb.ReduceLROnPlateau(monitor="loss", min_delta=1e9, patience=1)):
        with pytest.raises(ValueError, match=rf"{type(callback).__name__}: LevenbergMarquardt has no learning rate"):
            net().fit(X, np.eye(3)[Y], loss="mse", optimizer="levenberg_marquardt", epochs=3, callbacks=[callback])


def test_model_checkpoint_saves_periodically_or_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[str] = []
    monkeypatch.setattr(pynn.Sequential, "save", lambda self, path: saved.append(path), raising=False)
    score = {"score": scripted([0.1, 0.3, 0.2, 0.4])}
    every = cb.ModelCheckpoint("a-{epoch:02d}-{score:.1f}", every=2)
    best = cb.ModelCheckpoint("best", monitor="score", mode="max", save_best_only=True)
    net().fit(X, Y, loss="cross_entropy", epochs=4, metrics=score, callbacks=[every, best])
    assert saved == ["best", "a-02-0.3", "best", "a-04-0.4", "best"]
    with pytest.raises(ValueError, match=r"path: 'a-\{nothing\}' cannot be filled in"):
        net().fit(X, Y, loss="cross_entropy", callbacks=[cb.ModelCheckpoint("a-{nothing}")])


def test_folders_are_created_before_the_first_epoch(tmp_path: Path) -> None:
    existed: list[bool] = []
    paths = [tmp_path / name for name in ("a/b/net.safetensors", "c/e{epoch}/net.safetensors", "d/t", "e/log")]
    folders = [tmp_path / name for name in ("a/b", "c", "d", "e")]
    record = cb.LambdaCallback(on_epoch_begin=lambda epoch, logs: existed.append(all(folder.is_dir() for folder in folders)))
    writers = [cb.ModelCheckpoint(paths[0]), cb.ModelCheckpoint(paths[1]), pynn.Checkpoint(paths[2]), cb.CSVLogger(paths[3])]
    net().fit(X, Y, loss="cross_entropy", epochs=2, callbacks=[record, *writers])
    assert existed == [True, True]
    written = paths[0], paths[2], paths[3], tmp_path / "c/e1/net.safetensors", tmp_path / "c/e2/net.safetensors"
    assert all(path.exists() for path in written)
    for make in (cb.ModelCheckpoint, cb.CSVLogger, pynn.Checkpoint):  # the parent path is a file
        model = net()
        with pytest.raises(OSError, match="log"):
            model.fit(X, Y, loss="cross_entropy", epochs=2, callbacks=[make(paths[3] / "x")])
        assert same(model, net())


METRICS: dict[str, tuple[Any, str, Any, str]] = {
    "classes of numbers": (X[:, :3], "mse", ["f1"], "metrics: f1 cannot be used with MSELoss, or with these outputs: "),
    "area of numbers": (X[:, :3], "mse", {"a": "roc_auc"}, "metrics: a cannot be used with MSELoss"),
    "numbers of classes": (Y, "cross_entropy", ["f1", "rmse"], "metrics: rmse cannot be used with CrossEntropyLoss"),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_that_does_not_fit_raises_before_the_first_epoch(name: str) -> None:
    y, loss, measured, match = METRICS[name]
    for data in ((X, y), ([(X[:50], y[:50]), (X[50:], y[50:])],)):
        model = net()
        with pytest.raises(ValueError, match=match):
            model.fit(*data, loss=loss, metrics=measured, callbacks=[lambda epoch, logs: pytest.fail("trained")])
        assert same(model, net())


def test_a_custom_metric_that_fails_is_named_and_called_once_per_epoch() -> None:
    called: list[int] = []

    def custom_metric(y_true: Any, y_pred: Any) -> float:
        called.append(len(y_true))
        if len(called) > 2:
            raise ValueError("failed in the metric")
        return 1.0

    model = net()
    with pytest.raises(ValueError, match="failed in the metric") as raised:
        model.fit(X, Y, loss="cross_entropy", epochs=9, metrics=[custom_metric])
    assert raised.value.__notes__ == ["in the metric 'custom_metric'"]
    assert called == [90, 90, 90]
    with pytest.raises(ValueError, match="metrics: rmse cannot be used with CrossEntropyLoss"):
        model.evaluate(X, Y, metrics=["rmse"])


def test_csv_logger_writes_and_appends(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    hist = net().fit(X, Y, loss="cross_entropy", epochs=3, callbacks=[cb.CSVLogger(path)])
    rows = [*csv.DictReader(path.read_text().splitlines())]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == hist.history["loss"]
    net().fit(X, Y, loss="cross_entropy", callbacks=[cb.CSVLogger(path, append=True)])
    assert len(path.read_text().splitlines()) == 5
    with pytest.raises(ValueError, match="has the columns"):
        net(1).fit(X, X[:, 0], loss="mse", callbacks=[cb.CSVLogger(path, append=True)])


def test_tensorboard_records_the_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        for name in ("torch.utils.tensorboard", "tensorboardX"):
            without.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match="pip install tensorboardX"):
            net().fit(X, Y, loss="cross_entropy", callbacks=[cb.TensorBoard(tmp_path / "none")])
    pytest.importorskip("tensorboardX")
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    hist = net().fit(X, Y, loss="cross_entropy", epochs=3, validation_data=(X, Y), callbacks=[cb.TensorBoard(tmp_path / "some")])
    found = events.EventAccumulator(str(tmp_path / "some"))
    found.Reload()
    assert [e.value for e in found.Scalars("loss/validation")] == pytest.approx(hist.history["val_loss"], rel=1e-6)
    assert {"loss/train", "accuracy/train"} <= set(found.Tags()["scalars"])


# ---- targets in other formats ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["i8", "u1", "?", "f8"])
def test_one_hot_targets_train_like_indices(dtype: str) -> None:
    """Including class weights and a stratified split."""
    for settings in ({}, {"class_weight": "balanced"}, {"validation_split": 0.3}):
        of: dict[str, Any] = {"loss": "cross_entropy", "epochs": 2, "seed": 0, **settings}
        hist = net().fit(X, np.eye(3, dtype=dtype)[Y], **of).history
        assert hist["loss"] == pytest.approx(net().fit(X, Y, **of).history["loss"], rel=1e-6)


def test_errors_for_targets_that_are_not_classes_suggest_a_remedy() -> None:
    for y, error, text in [
        (np.array(["cat", "dog", "emu"])[Y], TypeError, "numpy.unique"),
        (np.array(["cat", "dog", "emu"], object)[Y], TypeError, "numpy.unique"),
        (Y.astype(float), TypeError, r"y.astype\(int\)"),
        (Y.astype(float)[:, None], TypeError, r"y.astype\(int\)"),
        (2 * np.eye(3, dtype=int)[Y], ValueError, "does not fit"),
    ]:
        with pytest.raises(error, match=text):
            net().fit(X, y, loss="cross_entropy")
    with pytest.raises(ValueError, match="an output for each class, and this net has one; take 'bce_with_logits'"):
        net(1).fit(X, (Y > 0).astype(int), loss="cross_entropy")
    polars = pytest.importorskip("polars")
    table = polars.DataFrame(X).with_columns(polars.Series("sort", ["a"] * len(X)))
    with pytest.raises(TypeError, match="X: column 'sort' holds String"):
        net().fit(table, Y, loss="cross_entropy")
    for table in (pytest.importorskip("pandas").DataFrame(X), "rows.csv"):
        with pytest.raises(TypeError, match="y: expected a target"):
            net().fit(table, loss="cross_entropy")


def test_a_last_layer_that_does_not_fit_the_loss_warns() -> None:
    warns = pytest.warns(UserWarning, match="BCELoss takes probabilities, but the last layer is Linear: end in Sigmoid")
    with warns, pytest.raises(ValueError, match=r"the model's output: .* is not a probability"):
        net(1).fit(X, Y > 0, loss="bce")
    for last, x in ((pynn.Conv2d(1, 1, 2), X.reshape(-1, 1, 2, 2)), (pynn.PReLU(), X[:, :1])):
        warns = pytest.warns(UserWarning, match=f"BCELoss takes probabilities, but the last layer is {type(last).__name__}: end in Sigmoid")
        with warns, pytest.raises(ValueError, match="is not a probability"):
            pynn.Sequential(last).fit(x, (Y > 0).reshape(-1, *last(x).shape[1:]), loss="bce")
    square = pynn.Activation("square", np.square, lambda x: 2 * x)
    warns = pytest.warns(UserWarning, match="BCELoss takes probabilities, but the last layer is Activation: end in Sigmoid")
    with warns, pytest.raises(ValueError, match="is not a probability"):
        pynn.Sequential(square).fit(X[:, :1], Y > 0, loss="bce")
    with pytest.warns(UserWarning, match="Softmax of a single output is always 1: end in Sigmoid"):
        pynn.Sequential(pynn.Linear(X.shape[1], 1), "softmax").fit(X, Y > 0, loss="bce")


def test_nan_in_validation_data_warns_once() -> None:
    bad, model = X.copy(), net()
    bad[67, 1] = np.nan
    with pytest.warns(RuntimeWarning, match="val_loss is not finite: of the data to score, X holds NaN or infinity in row 67") as warned:
        model.fit(X, Y, loss="cross_entropy", validation_data=(bad, Y), epochs=3)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="loss is not finite.*row 67") as warned:
        model.evaluate(bad, Y)
    assert warned[0].filename == __file__
    with pytest.raises(pynn.DivergenceError, match="X holds NaN or infinity in row 67"):
        model.find_lr(bad, Y, loss="cross_entropy")


# ---- divergence, interruption and errors ------------------------------------------------------------------------------
def test_divergence_names_the_row_and_restores_the_weights() -> None:
    bad, model, before = X.copy(), net(), net()
    bad[67, 2] = np.nan
    with pytest.raises(pynn.DivergenceError, match="epoch 1, step 5: X holds NaN or infinity in row 67") as raised:
        model.fit(bad, Y, loss="cross_entropy", batch_size=16, shuffle=False)
    assert (raised.value.epoch, raised.value.step, raised.value.row) == (1, 5, 67)
    assert same(model, before)
    assert pickle.loads(pickle.dumps(raised.value)).row == 67


def test_divergence_names_the_layer_and_keeps_the_last_good_epoch() -> None:
    good = net(1)
    good.fit(X, Y, loss="mse", optimizer=pynn.optim.SGD(lr=0.01), epochs=2, shuffle=False)
    model, opt = net(1), pynn.optim.SGD(lr=0.01)

    def explode(epoch: int, logs: Any) -> None:
        opt.param_groups[0]["lr"] = 1e200 if epoch == 1 else 0.01

    with pytest.raises(pynn.DivergenceError, match="epoch 3, step 8: the loss itself"):
        model.fit(X, Y, loss="mse", optimizer=opt, epochs=5, shuffle=False, callbacks=[explode])
    assert same(model, good)
    assert len(model.history.epoch) == 2

    def spoil(epoch: int, logs: Any) -> None:
        model[2].weight[0, 3] = np.inf

    before = copy.deepcopy(model)
    with pytest.raises(pynn.DivergenceError, match=r"layer 2 \(Linear\) has a .*weight that is not finite") as raised:
        model.fit(X, Y, loss="mse", optimizer=pynn.optim.SGD(lr=0.0), epochs=5, callbacks=[spoil])
    assert raised.value.layer == "2"
    assert same(model, before)
    big = pynn.Sequential(pynn.Linear(4, 4, dtype="float64", seed=0), "exponential", pynn.Linear(4, 1, dtype="float64"))
    with pytest.raises(pynn.DivergenceError, match="the output for row 3 of X is not finite after layer 1") as raised:
        big.fit(np.where(np.arange(90)[:, None] == 3, 1e200, X), Y, loss="mse", batch_size=90)
    assert (raised.value.layer, raised.value.row) == ("1", 3)


def test_training_a_frozen_net_warns() -> None:
    model, before = net().freeze(), net()
    with pytest.warns(UserWarning, match="every parameter that fit would train is frozen") as warned:
        model.fit(X, Y, loss="cross_entropy", optimizer="sgd")
    assert warned[0].filename == __file__
    assert same(model, before)
    with pytest.warns(UserWarning, match="every parameter that train_on_batch would train is frozen") as warned:
        model.train_on_batch(X, Y, loss="cross_entropy", optimizer="sgd")
    assert warned[0].filename == __file__
    part = net()
    with pytest.warns(UserWarning, match="frozen"):
        part.freeze("0").fit(X, Y, loss="cross_entropy", optimizer=pynn.optim.SGD(part[0].parameters()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net().freeze("0").fit(X, Y, loss="cross_entropy")
        pynn.Sequential("relu").fit(X, X, loss="mse")  # has no parameters


def test_an_interruption_keeps_model_and_history() -> None:
    def interrupt(epoch: int, logs: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    ended: list[Any] = []
    model, clone = net(), net()
    with pytest.raises(KeyboardInterrupt) as raised:
        model.fit(X, Y, loss="cross_entropy", epochs=9, seed=0, callbacks=[interrupt, cb.LambdaCallback(on_train_end=ended.append)])
    assert "interrupted in epoch 3 of 9: the model keeps" in raised.value.__notes__[0]
    assert "3 finished epochs" in raised.value.__notes__[0]
    assert model.history.epoch == [0, 1, 2]
    assert len(ended) == 1
    clone.fit(X, Y, loss="cross_entropy", epochs=3, seed=0)
    assert same(model, clone)


ERRORS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "weights' shape": ({"sample_weight": W[:5]}, ValueError, r"sample_weight: shape \(5,\).*\(90,\)"),
    "infinite weight": ({"sample_weight": np.full_like(W, np.inf)}, ValueError, "sample_weight: .* is not a finite number"),
    "no weight": ({"sample_weight": 0 * W}, ValueError, "sample_weight: expected at least one"),
    "class": ({"class_weight": {5: 1.0}}, ValueError, r"class_weight: 5 is not a class in 0..2"),
    "class word": ({"class_weight": "even"}, ValueError, "class_weight: .*'even'"),
    "class numbers": ({"class_weight": [1, 2]}, ValueError, r"class_weight: shape \(2,\).*\(3,\)"),
    "NaN class": ({"class_weight": {0: np.nan}}, ValueError, "class_weight: expected finite"),
    "split": ({"validation_split": 1.0}, ValueError, "validation_split: .*1.0"),
    "both": ({"validation_split": 0.1, "validation_data": (X, Y)}, ValueError, "validation_split: give it or"),
    "validation": ({"validation_data": X}, TypeError, "validation_data: expected"),
    "metric": ({"metrics": ["acuracy"]}, ValueError, "unknown metric 'acuracy'; did you mean 'accuracy'"),
    "no metric": ({"metrics": [3]}, TypeError, "metrics: .*3"),
    "text": ({"metrics": {"a": lambda t, p: "x"}}, TypeError, "metrics: a returned 'x'"),
    "callback": ({"callbacks": [3]}, TypeError, "callbacks: .*3"),
    "callback class": ({"callbacks": [cb.EarlyStopping]}, TypeError, "callbacks: .*EarlyStopping"),
    "text as callbacks": ({"callbacks": "EarlyStopping"}, TypeError, "callbacks: expected functions .*'EarlyStopping'"),
    "a number as callbacks": ({"callbacks": 3}, TypeError, "callbacks: expected functions .*got 3"),
    "on_nan": ({"on_nan": "stop"}, ValueError, "on_nan: .*'stop'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_invalid_arguments_of_fit_raise(name: str) -> None:
    arguments, kind, message = ERRORS[name]
    with pytest.raises(kind, match=message):
        net().fit(X, Y, loss="cross_entropy", **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cb.EarlyStopping(patience=0), "patience: .*0"),
        (lambda: cb.EarlyStopping(mode="up"), "mode: .*'up'"),
        (lambda: cb.EarlyStopping(min_delta=-1), "min_delta: .*-1"),
        (lambda: cb.ReduceLROnPlateau(factor=1.0), "factor: .*1.0"),
        (lambda: cb.ReduceLROnPlateau(min_lr=-1.0), "min_lr: .*-1.0"),
        (lambda: cb.ModelCheckpoint("a", every=0), "every: .*0"),
    ],
)
def test_invalid_arguments_of_callbacks_raise(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ---- history and progress ---------------------------------------------------------------------------------------------
def test_history_as_text_html_and_data_frame() -> None:
    hist = net().fit(X, Y, loss="cross_entropy", epochs=25, metrics={"<b>": lambda t, p: 1.5}, seed=0)
    lines = str(hist).splitlines()
    assert lines[0].split() == ["epoch", "loss", "accuracy", "<b>", "seconds"]
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split()[0] == "1"
    assert lines[-1].split()[0] == "25"
    assert "..." in str(hist)
    page = hist._repr_html_()
    tags = parsed(page)
    assert sum(tag == "svg" for tag, _ in tags.found) == 3
    assert all(f">{name} {values[-1]:.4g}</span>" in page for name, values in hist.history.items() if name not in ("<b>", "seconds"))
    assert "&lt;b&gt; 1.5</span>" in page
    assert "25 epochs in " in page
    assert "<tr>" not in page
    assert "<b>" not in page
    assert "no epoch has finished" in pynn.History()._repr_html_()
    long = pynn.History()
    for i in range(5000):
        long.add({"loss": 1.0 / (i + 1)})
    assert len(long._repr_html_()) < 15000
    frame = pytest.importorskip("pandas") and hist.to_pandas()
    assert frame["loss"].tolist() == hist.history["loss"]
    assert frame.index.tolist() == list(range(1, 26))
    assert str(pynn.History()) == "epoch"


def test_history_plots_curves() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    hist = net().fit(X, Y, loss="cross_entropy", epochs=4, validation_data=(X, Y), metrics=["f1"], seed=0)
    figure = hist.plot()
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy", "f1"]
    lines = figure.axes[0].get_lines()
    assert [list(line.get_ydata()) for line in lines] == [hist.history["loss"], hist.history["val_loss"]]
    assert [axes.get_title() for axes in hist.plot(["f1"]).axes] == ["f1"]
    with pytest.raises(ValueError, match="did you mean 'loss'"):
        hist.plot(["los"])
    with pytest.raises(ValueError, match="no epoch"):
        pynn.History().plot()
    pyplot.close("all")


@pytest.mark.parametrize("bar", [True, False])
def test_progress_output(bar: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if bar:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)

    def printed(verbose: Any, terminal: bool) -> str:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        net().fit(X, Y, loss="cross_entropy", epochs=3, verbose=verbose)
        out, err = capsys.readouterr()
        assert (err if verbose == 2 else out) == ""
        return out if verbose == 2 else err

    for verbose in (True, "auto"):
        text = printed(verbose, True)
        assert "3/3" in text
        assert "loss" in text
        assert "\r" in text
        assert ("00:00<" in text) == bar
    for verbose, terminal in ((True, False), (2, False), (2, True)):
        text = printed(verbose, terminal)
        assert "\r" not in text
        assert [line.split("  ")[0] for line in text.splitlines()] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
        assert all("loss 1." in line and "accuracy 0." in line for line in text.splitlines())
    assert printed("auto", False) == printed(False, True) == ""
    monkeypatch.setattr(sys, "stderr", None)
    net().fit(X, Y, loss="cross_entropy", epochs=3, verbose=True)


@pytest.mark.parametrize("verbose", [True, 2, False])
def test_an_interrupt_says_once_what_was_kept(verbose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(epoch: int, logs: dict[str, float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        net().fit(X, Y, loss="cross_entropy", epochs=5, callbacks=interrupt, verbose=verbose)
    kept = "the model keeps its trained weights, model.history has 3 finished epochs"
    assert caught.value.__notes__ == [f"fit was interrupted in epoch 3 of 5: {kept}"]  # which the traceback shows
    out, err = capsys.readouterr()
    assert "interrupted" not in out + err


LOGS = {"loss": 0.123456, "accuracy": 0.9876, "val_loss": 0.1301, "val_accuracy": 0.98, "seconds": 0.01234}


@pytest.mark.parametrize(
    ("room", "text"),
    [
        (99, "loss 0.1235  accuracy 0.9876  val_loss 0.1301  val_accuracy 0.9800  0.0123 s"),
        (69, "loss 0.123  accuracy 0.988  val_loss 0.130  val_accuracy 0.980"),
        (50, "loss 0.123 | 0.130  accuracy 0.988 | 0.980"),
        (10, "loss 0.123 | 0.130  accuracy 0.988 | 0.980"),
    ],
)
def test_numbers_of_an_epoch_are_shortened_to_fit(room: int, text: str) -> None:
    assert written(LOGS, room) == text
    assert written({"val_loss": 1.0}, 5) == "val_loss 1.000"


@pytest.mark.parametrize("bar", [True, False])
@pytest.mark.parametrize("columns", [40, 80])
def test_progress_fits_the_terminal(bar: bool, columns: int) -> None:
    """No line that a terminal of this width receives is wider, so that nothing is left behind when it is overwritten."""
    if bar:
        pytest.importorskip("tqdm")
    code = f"""
        import os, pty, sys, threading, fcntl, struct, termios
        main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, {columns}, 0, 0))
        sys.stderr = open(other, "w")
        if not {bar}: sys.modules["tqdm.auto"] = None
        received = b""
        def read():
            global received
            while not received.endswith(b"END"): received += os.read(main, 4096)
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        import numpy as np, pynn
        X, y = pynn.datasets.load_digits()
        net = pynn.Sequential(pynn.Linear(64, 10, seed=0))
        net.fit(X, y, loss="cross_entropy", epochs=12, validation_split=0.2, metrics=["f1", "top_3_accuracy"][:1], seed=0)
        print("END", end="", file=sys.stderr, flush=True)
        thread.join(30)
        lines = received.decode().replace("\\r\\n", "\\n").replace("\\n", "\\r").split("\\r")
        print(max(map(len, lines)), len(lines), *lines[-3:-1], sep="\\n")
    """
    done = run_python(code)
    widest, count, *last = done.stdout.splitlines()
    assert 20 < int(widest) <= columns, done.stdout
    assert int(count) > 2
    assert "12/12" in "".join(last)
    if columns == 80:
        assert re.search(r"loss \d\.\d{3} \| \d\.\d{3}", "".join(last)), last


@pytest.mark.parametrize("share", [0.2, 0.25, 0.01, 0.99])
def test_without_shuffling_the_last_rows_are_for_validation(share: float) -> None:
    """In a time series, training must not use rows that follow the validation rows."""
    seen: list[float] = []

    class Spy(pynn.Layer):
        def forward(self, x: Any) -> Any:
            seen.extend(np.asarray(x)[:, 0].tolist())
            return x

        def backward(self, g: Any) -> Any:
            return g

    rows = np.arange(100.0)[:, None]
    for y, loss in ((rows[:, 0], "mse"), (np.arange(100) % 2, "cross_entropy")):
        seen.clear()
        model = pynn.Sequential(Spy(), pynn.Linear(1, 1 if loss == "mse" else 2, seed=0))
        model.fit(rows, y, loss=loss, optimizer=pynn.optim.SGD(lr=0), shuffle=False, validation_split=share, seed=0, callbacks=None)
        held = round(100 * share)
        assert sorted(seen[-100:]) == np.arange(100.0).tolist()
        assert set(seen[-held:]) == set(range(100 - held, 100))
    with pytest.raises(ValueError, match=r"validation_split: 0.001 of 100 rows leaves one"):
        model.fit(rows, y, loss="cross_entropy", shuffle=False, validation_split=0.001)


CALLS: dict[str, Callable[[pynn.Sequential, Any, Any], object]] = {
    "fit": lambda m, X, y: m.fit(X, y, loss="cross_entropy", epochs=2, metrics=["f1"], validation_split=0.25, class_weight="balanced"),
    "fit batches": lambda m, X, y: m.fit([(X, y)] * 2, loss="cross_entropy", epochs=2, metrics=["f1"], validation_data=[(X, y)]),
    "evaluate": lambda m, X, y: m.evaluate(X, y, loss="cross_entropy"),
    "train_on_batch": lambda m, X, y: m.train_on_batch(X, y, loss="cross_entropy"),
    "partial_fit": lambda m, X, y: m.partial_fit(X, y, classes=[0, 1, 2]),
    "find_lr": lambda m, X, y: m.find_lr(X, y, loss="cross_entropy", steps=5),
    "health": lambda m, X, y: m.health(X, y, loss="cross_entropy"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_each_call_builds_one_graph(call: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Including nets whose last layer is fused with the loss, and calls that derive the loss from the labels."""
    built, finish = [], Builder.finish
    monkeypatch.setattr(Builder, "finish", lambda builder: built.append(builder) or finish(builder))
    model = pynn.Sequential(pynn.Linear(4, 3, seed=0), "softmax")
    call(model, np.eye(12, 4), np.arange(12) % 3)
    of_model = [builder for builder in built if builder.made]  # metrics call a single layer eagerly
    assert len(of_model) == 1
    assert of_model[0].skipped == {"1"}
