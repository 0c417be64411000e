"""Targets with several columns: one-hot classes or multiple labels, interpreted alike in fit, evaluate, validation and metrics."""

import copy
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import metrics

RNG = np.random.default_rng(0)
N, K = 90, 4
X = RNG.normal(size=(N, 5))
Y = RNG.integers(0, K, N)
ONE_HOT = np.eye(K)[Y]
MANY = (RNG.random((N, K)) > 0.5).astype(float)
MANY[0] = [1, 1, 0, 0]
ENDS = {
    "mse": "sigmoid", "l1": "softmax", "huber": "sigmoid", "dice": "sigmoid", "bce": "sigmoid", "bce_with_logits": None,
    "log_cosh": "softmax",    "sigmoid_focal": None, "multilabel_soft_margin": None, "kl_div": "log_softmax", "smooth_l1": None,
}  # fmt: skip
each_loss = pytest.mark.parametrize("loss", ENDS)


def net(loss: str, columns: int = K, dtype: str = "float64") -> pynn.Sequential:
    end = {None: [], "softmax": [pynn.Softmax()]}.get(ENDS[loss], [ENDS[loss]])
    return pynn.Sequential(pynn.Linear(5, columns, dtype=dtype, seed=0), *end)


def probabilities(model: pynn.Sequential, loss: str) -> np.ndarray:
    return model.predict(X) if loss == "smooth_l1" else model.predict_proba(X)


@each_loss
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_hot_targets_are_classes_for_every_loss(loss: str, dtype: str) -> None:
    model = net(loss, dtype=dtype)
    asked = {"metrics": ["accuracy", "f1", "recall"], "optimizer": pynn.optim.SGD(lr=0.0)}
    hist = model.fit(X, ONE_HOT, loss=loss, batch_size=7, validation_data=(X, ONE_HOT), seed=0, **asked).history
    expected = np.mean(model.predict(X).argmax(1) == Y)
    scores = model.evaluate(X, ONE_HOT)
    assert hist["accuracy"][0] == hist["val_accuracy"][0] == scores["accuracy"] == pytest.approx(expected)
    assert scores["f1"] == hist["f1"][0] == pytest.approx(metrics.f1(Y, model.predict(X)))
    assert metrics.accuracy(ONE_HOT, probabilities(model, loss)) == pytest.approx(expected)
    np.testing.assert_array_equal(model.predict_class(X), model.predict(X).argmax(1))


@pytest.mark.parametrize("loss", [loss for loss in ENDS if loss != "kl_div"])
def test_rows_with_several_ones_are_multi_label(loss: str) -> None:
    model = net(loss)
    asked = {"metrics": ["accuracy", "f1"], "optimizer": pynn.optim.SGD(lr=0.0)}
    hist = model.fit(X, MANY, loss=loss, batch_size=7, validation_data=(X, MANY), seed=0, **asked).history
    chances = np.clip(probabilities(model, loss), 0, 1)
    expected = np.mean((chances > 0.5) == (MANY == 1))
    scores = model.evaluate(X, MANY)
    assert hist["accuracy"][0] == hist["val_accuracy"][0] == scores["accuracy"] == pytest.approx(expected)
    assert scores["f1"] == hist["f1"][0] == pytest.approx(metrics.f1(MANY, chances))
    np.testing.assert_array_equal(model.predict_class(X), (chances > 0.5).astype(int))
    assert model.predict_class(X).dtype == np.intp
    np.testing.assert_array_equal(model.predict_class(X, multilabel=False), model.predict(X).argmax(1))


@pytest.mark.parametrize("loss", ["bce", "bce_with_logits", "mse"])
def test_interpretation_depends_on_the_whole_target(loss: str) -> None:
    """A single row with two labels makes the targets multi-label, also in batches and subsets without such a row."""
    y = ONE_HOT.copy()
    y[-1] = [1, 1, 0, 0]
    by_element = lambda p, t: np.mean((p > 0.5) == (t == 1))  # noqa: E731
    fit = lambda model, *data, **more: model.fit(  # noqa: E731
        *data, loss=loss, metrics=["accuracy"], optimizer=pynn.optim.SGD(lr=0.0), seed=0, **more
    ).history
    model = net(loss)
    hist = fit(model, X, y, batch_size=10, validation_data=(X[:40], y[:40]))
    chances = model.predict_proba(X)
    assert hist["accuracy"][0] == pytest.approx(by_element(chances, y))
    assert hist["val_accuracy"][0] == pytest.approx(by_element(chances[:40], y[:40]))
    assert model.evaluate(X[:40], y[:40])["accuracy"] == hist["val_accuracy"][0]
    batches = [(X[i : i + 10], y[i : i + 10]) for i in range(0, N, 10)]
    assert fit(net(loss), batches)["accuracy"][0] == pytest.approx(hist["accuracy"][0])
    assert net(loss).evaluate(batches, loss=loss, metrics=["accuracy"])["accuracy"] == pytest.approx(hist["accuracy"][0])
    split = fit(net(loss), X, y, validation_split=0.2)
    for name in ("accuracy", "val_accuracy"):
        n = 72 if name == "accuracy" else 18
        assert split[name][0] * n * K == pytest.approx(round(split[name][0] * n * K))
    assert split["accuracy"][0] * 72 + split["val_accuracy"][0] * 18 == pytest.approx(N * hist["accuracy"][0])


@pytest.mark.parametrize("remake", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), "save"])
def test_copies_and_files_keep_the_interpretation(remake: Any, tmp_path: Path) -> None:
    for y, many in ((MANY, True), (ONE_HOT, False)):
        model = net("bce_with_logits")
        model.fit(X, y, loss="bce_with_logits", seed=0)
        if remake == "save":
            model.save(tmp_path / "m")
        other = pynn.load(tmp_path / "m") if remake == "save" else remake(model)
        expected = (model.predict_proba(X) > 0.5).astype(int) if many else model.predict(X).argmax(1)
        np.testing.assert_array_equal(other.predict_class(X), expected)
        assert other.evaluate(X[:1], ONE_HOT[:1])["accuracy"] == model.evaluate(X[:1], ONE_HOT[:1])["accuracy"]


def test_steps_and_partial_fit_keep_the_interpretation() -> None:
    model = net("bce_with_logits")
    model.train_on_batch(X, MANY, loss="bce_with_logits")
    logs = model.train_on_batch(X[:1], ONE_HOT[:1])
    assert logs["accuracy"] in (0, 0.25, 0.5, 0.75, 1)
    assert model.predict_class(X).shape == (N, K)
    model.partial_fit(X[:3], ONE_HOT[:3], seed=0)
    assert model.predict_class(X).shape == (N, K)
    model.fit(X, ONE_HOT, loss="bce_with_logits", seed=0)
    assert model.predict_class(X).shape == (N,)


def test_interpretation_can_be_set_explicitly() -> None:
    model = net("bce")
    model.fit(X, ONE_HOT, loss="bce", seed=0)
    p = model.predict(X)
    by_element = np.mean((p > 0.5) == (ONE_HOT == 1))
    scores = model.evaluate(X, ONE_HOT, metrics=["binary_accuracy", "categorical_accuracy"])
    assert scores["binary_accuracy"] == pytest.approx(by_element)
    assert scores["categorical_accuracy"] == scores["accuracy"] == pytest.approx(np.mean(p.argmax(1) == Y))
    assert model.evaluate(X, ONE_HOT, metrics={"accuracy": "binary_accuracy"})["accuracy"] == pytest.approx(by_element)
    forced = {"f1": partial(metrics.f1, multilabel=True)}
    assert model.evaluate(X, ONE_HOT, metrics=forced)["f1"] == pytest.approx(metrics.f1(ONE_HOT, p, multilabel=True))
    np.testing.assert_array_equal(model.predict_class(X, multilabel=True), (p > 0.5).astype(int))


def test_custom_metric_named_accuracy_is_called() -> None:
    def accuracy(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return 0.123

    model = pynn.Sequential(pynn.Linear(5, K, seed=0))
    hist = model.fit(X, Y, loss="cross_entropy", metrics=[accuracy], validation_data=(X, Y), seed=0).history
    assert hist["accuracy"] == hist["val_accuracy"] == [0.123]
    assert model.evaluate(X, Y, metrics={"accuracy": lambda t, p: 0.5})["accuracy"] == 0.5
    assert model.evaluate(X, Y, metrics=["accuracy"])["accuracy"] == pytest.approx(np.mean(model.predict(X).argmax(1) == Y))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits", "mse"])
@pytest.mark.parametrize("columns", [1, K])
def test_non_finite_outputs_are_not_correct(bad: float, loss: str, columns: int) -> None:
    if loss == "cross_entropy" and columns == 1:
        return
    model = pynn.Sequential(pynn.Linear(5, columns, dtype="float64", seed=0))
    model[0].bias = np.full(columns, bad)
    for value in (0, 1):
        y = np.full((N, 1), value) if columns == 1 else np.full(N, value) if loss == "cross_entropy" else np.eye(K)[np.full(N, value)]
        if columns == 1 and loss == "bce_with_logits" and bad == (np.inf if value else -np.inf):
            continue  # a probability of 1, which is correct
        with pytest.warns(RuntimeWarning, match="not finite"):
            assert model.evaluate(X, y, loss=loss, metrics=["accuracy"])["accuracy"] == 0


def test_regression_outputs_count_as_the_nearest_label() -> None:
    model = pynn.Sequential(pynn.Linear(5, 1, dtype="float64", seed=0))
    out, yes = model.predict(X)[:, 0], Y > 1
    assert np.ptp(out) > 1
    for y, threshold in ((yes.astype(float), 0.5), (np.where(yes, 1.0, -1.0), 0.0)):
        assert model.evaluate(X, y, loss="mse", metrics=["accuracy"])["accuracy"] == pytest.approx(np.mean((out > threshold) == yes))
    margin = model.evaluate(X, np.where(yes, 1.0, -1.0), loss="soft_margin", metrics=["accuracy"])
    assert margin["accuracy"] == pytest.approx(np.mean((out > 0) == yes))


def test_segmentation_masks_count_per_element() -> None:
    model = pynn.Sequential(pynn.Conv2d(1, 1, 3, padding=1, dtype="float64", seed=0), "sigmoid")
    images = RNG.normal(size=(6, 1, 5, 5))
    masks = (images > 0).astype(float)
    scores = model.evaluate(images, masks, loss="bce", metrics=["f1", "binary_accuracy"])
    assert scores["accuracy"] == scores["binary_accuracy"] == pytest.approx(np.mean((model.predict(images) > 0.5) == (masks == 1)))
    assert scores["f1"] == metrics.f1(masks.ravel(), model.predict(images).ravel())


def test_class_weights_of_one_hot_targets() -> None:
    a, b = net("mse"), net("mse")
    weight = {0: 3.0, 2: 0.5}
    a.fit(X, ONE_HOT, loss="mse", class_weight=weight, seed=0)
    b.fit(X, ONE_HOT, loss="mse", sample_weight=np.array([3, 1, 0.5, 1])[Y], seed=0)
    np.testing.assert_array_equal(a[0].weight, b[0].weight)


# ---- batches that reuse one buffer --------------------------------------------------------------------------------------
def test_batches_may_reuse_one_buffer() -> None:
    rows, labels = np.zeros((15, 5)), np.zeros(15, int)

    def batches(start: int = 0, stop: int = N) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i in range(start, stop, 15):
            rows[...], labels[...] = X[i : i + 15], Y[i : i + 15]
            yield rows, labels

    fixed: Callable[..., Any] = lambda a=0, b=N: [(X[i : i + 15], Y[i : i + 15]) for i in range(a, b, 15)]  # noqa: E731
    found = []
    for of in (batches, fixed):
        model = pynn.Sequential(pynn.Linear(5, K, dtype="float64", seed=0))
        held = (lambda of=of: of(0, 45)) if of is batches else of(0, 45)
        given, asked = of if of is batches else of(), ["f1", "log_loss"]
        hist = model.fit(given, loss="cross_entropy", metrics=asked, epochs=2, validation_data=held, seed=0)
        scores = model.evaluate(given, metrics=asked)
        found.append(({k: v for k, v in hist.history.items() if k != "seconds"}, scores))
    assert found[0] == found[1]
    assert found[0][1]["log_loss"] == pytest.approx(found[0][1]["loss"])


# ---- named outputs ------------------------------------------------------------------------------------------------------
def test_named_outputs_give_a_dict_of_predictions() -> None:
    x = pynn.Input(5)
    heads = {name: pynn.Linear(5, n, seed=n)(x) for name, n in (("kind", K), ("tags", K), ("yes", 1), ("size", 2))}
    model = pynn.Model(x, heads)
    outs = model.predict(X)
    assert list(outs) == list(heads)
    for got, expected in zip(outs.values(), model(X), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    losses = {"kind": "cross_entropy", "tags": "bce_with_logits", "yes": "bce_with_logits", "size": "mse"}
    model.fit(X, {"kind": Y, "tags": MANY, "yes": Y > 1, "size": X[:, :2]}, loss=losses, seed=0)
    outs, chances, classes = model.predict(X), model.predict_proba(X), model.predict_class(X)
    assert list(chances) == list(classes) == ["kind", "tags", "yes"]
    np.testing.assert_allclose(chances["kind"], pynn.softmax(outs["kind"]), rtol=1e-6)
    np.testing.assert_array_equal(classes["kind"], outs["kind"].argmax(1))
    np.testing.assert_array_equal(classes["tags"], outs["tags"] > 0)
    np.testing.assert_array_equal(classes["yes"], outs["yes"][:, 0] > 0)
    one = pynn.Model(x, {"only": pynn.Softmax()(pynn.Linear(5, K, seed=0)(x))})
    assert {name: a.shape for name, a in one.predict(X).items()} == {"only": (N, K)}
    np.testing.assert_array_equal(one.predict_class(X)["only"], one.predict(X)["only"].argmax(1))
    two = pynn.Model(x, {"a": pynn.Linear(5, 2, seed=0)(x), "b": pynn.Linear(5, 3, seed=0)(x)})
    two.fit(X, {"a": X[:, :2], "b": X[:, :3]}, loss="mse", seed=0)
    with pytest.raises(ValueError, match="none of the outputs a, b is of classes"):
        two.predict_class(X)
    unnamed = pynn.Model(x, [heads["kind"], heads["size"]])
    with pytest.raises(ValueError, match="got 2 outputs; name them in Model"):
        unnamed.predict_proba(X)


@pytest.mark.parametrize("name", ["val", "val_a"])
def test_output_names_that_clash_with_validation_are_rejected(name: str) -> None:
    x = pynn.Input(5)
    model = pynn.Model(x, {name: pynn.Linear(5, K)(x), "b": pynn.Linear(5, K)(x)})
    with pytest.raises(ValueError, match=f"outputs: the output '{name}' would be reported as the validation is"):
        model.fit(X, {name: Y, "b": Y}, loss={name: "cross_entropy", "b": "cross_entropy"})


def test_duplicate_metric_names_are_rejected() -> None:
    x = pynn.Input(5)
    model = pynn.Model(x, {"a": pynn.Linear(5, K)(x), "a_b": pynn.Linear(5, K)(x)})
    y, losses = {"a": Y, "a_b": Y}, {"a": "cross_entropy", "a_b": "cross_entropy"}
    with pytest.raises(ValueError, match="metrics: two numbers would be reported as 'a_b_accuracy'"):
        model.fit(X, y, loss=losses, metrics={"a": {"b_accuracy": "f1"}, "a_b": None})
    assert "a_b_f1" in model.fit(X, y, loss=losses, metrics={"a": {"b_f1": "f1"}, "a_b": None}).history
