"""Every loss of the table in fit: the manual loop, outputs of any dimensions, several outputs, and custom functions."""

import copy
import gc
import re
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import pynn

RNG = np.random.default_rng(0)
N, BATCH = 23, 8
X = RNG.normal(size=(N, 6))
W = RNG.random(N) * (np.arange(N) % 5 > 0)
TRAINED = sorted(name for name in pynn.losses.by_name if name != "ctc")
BY_CLASS = ["cross_entropy", "nll", "focal", "generalized_cross_entropy"]
LAST = {"bce": "sigmoid", "dice": "sigmoid", "tversky": "sigmoid", "nll": "log_softmax", "kl_div": "log_softmax"}


def net(shape: tuple[int, ...], outputs: int = 1, last: str | None = None) -> pynn.Model:
    """Return a net with outputs of this shape."""
    x = pynn.Input((6,))
    h = pynn.Linear(6, 7, dtype="float64", seed=0)(x)
    ends = []
    for i in range(outputs):
        y = pynn.Linear(7, int(np.prod(shape)), dtype="float64", seed=1 + i)(pynn.Tanh()(h))
        y = pynn.layers.activation.by_name[last]()(y) if last else y
        ends.append(pynn.Reshape(*shape)(y) if len(shape) > 1 else y)
    return pynn.Model(x, ends if outputs > 1 else ends[0])


def inputs(loss: pynn.Loss) -> int:
    return len([name for name in loss._row["inputs"].split() if name != "target"])


def target(loss: pynn.Loss, shape: tuple[int, ...]) -> Any:
    kind, tail = loss._row["target"], shape[1:]
    if kind in "cip":
        return RNG.integers(0, shape[0], (N, *tail))
    if kind == "m":
        return np.array([[*RNG.permutation(shape[0])[:2], -1, *[0] * (shape[0] - 3)] for _ in range(N)])
    if kind == "s":
        return RNG.choice([-1.0, 1.0], N if loss._row["kind"] == "r" else (N, *shape))
    if kind == "n":
        return None
    t = RNG.random((N, *shape)) + (2.0 if loss._row["kind"] == "b" else 0.0) * (np.arange(shape[-1]) >= 2)
    return t / t.sum(-1, keepdims=True) if type(loss).__name__ == "KLDivLoss" else t


def train_manually(model: pynn.Model, loss: pynn.Loss, y: Any, epochs: int, w: Any = None) -> list[float]:
    """Train as fit does, with eager calls; return the loss of each epoch."""
    opt, found = pynn.optim.SGD(model.parameters(), lr=0.05), []
    for _ in range(epochs):
        total = weight = 0.0
        for i in range(0, N, BATCH):
            rows = slice(i, i + BATCH)
            opt.zero_grad()
            outs = model(X[rows])
            given = (*(outs if isinstance(outs, tuple) else (outs,)), *([] if y is None else [y[rows]]))
            if loss._row["inputs"] == "input target var":
                given = (given[0], given[2], given[1])
            value = float(loss(*given, sample_weight=None if w is None else w[rows]))
            grads = loss.backward()
            model.backward(*(grads if isinstance(grads, tuple) else (grads,)))
            opt.step()
            counts = 1.0 if loss.reduction == "sum" else len(outs[0]) if isinstance(outs, tuple) else len(outs)
            counts = float(np.abs(w[rows]).sum()) if w is not None and loss.reduction != "sum" else counts
            total, weight = total + value * counts, weight + counts
        found.append(total if loss.reduction == "sum" else total / weight)
    return found


def check(loss: pynn.Loss, shape: tuple[int, ...], y: Any, last: str | None = None, w: Any = None) -> None:
    n = inputs(loss)
    model, clone = net(shape, n, last), net(shape, n, last)
    settings: dict[str, Any] = {"loss": loss, "sample_weight": w}
    opt = pynn.optim.SGD(lr=0.05)
    hist = model.fit(X, y, optimizer=opt, epochs=2, batch_size=BATCH, shuffle=False, validation_data=(X, y, W), **settings)
    expected = train_manually(clone, loss, y, 2, w)
    np.testing.assert_allclose(hist.history["loss"], expected, rtol=1e-11)
    for p, q in zip(model.parameters(), clone.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-10, atol=1e-13)
    outs = model.predict(X)
    given = (*(outs if n > 1 else (outs,)), *([] if y is None else [y]))
    given = (given[0], given[2], given[1]) if loss._row["inputs"] == "input target var" else given
    assert hist.history["val_loss"][-1] == pytest.approx(float(loss(*given, sample_weight=W)), rel=1e-11)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", TRAINED)
def test_fit_matches_the_manual_loop_for_every_loss(name: str, reduction: str, weighted: bool) -> None:
    loss = pynn.losses.by_name[name](reduction=reduction)
    check(loss, (4,), target(loss, (4,)), LAST.get(name, "softplus" if name == "gaussian_nll" else None), W if weighted else None)


@pytest.mark.filterwarnings("ignore:NLLLoss takes")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(5, 3), (3, 2, 4), (1, 2), (2, 1, 1)])
@pytest.mark.parametrize("name", BY_CLASS)
def test_class_labels_per_pixel(name: str, shape: tuple[int, ...], weighted: bool) -> None:
    """Outputs have PyTorch's shape (N, C, d1, ...). With ignored positions, means divide by the number of the others."""
    loss = pynn.losses.by_name[name](weight=np.arange(1.0, shape[0] + 1), ignore_index=1, reduction="sum")
    y = target(loss, shape)
    check(loss, shape, y, None, W if weighted else None)
    mean = pynn.losses.by_name[name](ignore_index=1)
    model = net(shape)
    got = model.evaluate(X, y, loss=mean, sample_weight=W if weighted else None)
    out = model.predict(X)
    assert got["loss"] == pytest.approx(float(mean(out, y, sample_weight=W if weighted else None)), rel=1e-12, nan_ok=True)
    seen = y != 1
    assert got["accuracy"] == pytest.approx((out.argmax(1) == y)[seen].mean(), rel=1e-12)


def test_a_pixel_classifier_learns_in_float32() -> None:
    """The class of a pixel is its strongest channel. predict_class and predict_proba return maps."""
    rng = np.random.default_rng(1)
    x = rng.random((200, 3, 5, 5), dtype=np.float32)
    y = x.argmax(1)
    model = pynn.Sequential(pynn.Conv2d(3, 3, 1, seed=0))
    opt, settings = pynn.optim.Adam(lr=0.05), {"metrics": ["f1"], "validation_data": (x, y)}
    hist = model.fit(x, y, loss="cross_entropy", optimizer=opt, epochs=30, seed=0, **settings)
    assert hist.history["accuracy"][-1] > 0.95
    assert hist.history["val_f1"][-1] > 0.95
    chances = model.predict_proba(x)
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict_class(x), chances.argmax(1))
    assert (model.predict_class(x) == y).mean() == pytest.approx(model.evaluate(x, y)["accuracy"], rel=1e-12)


def test_class_probabilities_per_pixel() -> None:
    loss, shape = pynn.CrossEntropyLoss(label_smoothing=0.1), (3, 2, 2)
    t = RNG.random((N, *shape))
    t /= t.sum(1, keepdims=True)
    model, clone = net(shape), net(shape)
    hist = model.fit(X, t, loss=loss, optimizer=pynn.optim.SGD(lr=0.05), epochs=1, batch_size=BATCH, shuffle=False)
    np.testing.assert_allclose(hist.history["loss"], train_manually(clone, loss, t, 1), rtol=1e-11)
    np.testing.assert_allclose(model.parameters()[0].data, clone.parameters()[0].data, rtol=1e-11)


@pytest.mark.parametrize("name", ["iou", "giou", "ciou"])
def test_several_boxes_per_sample(name: str) -> None:
    loss = pynn.losses.by_name[name](reduction="sum")
    check(loss, (3, 4), target(loss, (3, 4)), None, W)


def test_shape_errors_give_the_expected_shape() -> None:
    with pytest.raises(ValueError, match=r"y: shape \(23, 2\) does not fit .* on output of shape \(23, 5, 3\); expected \(23, 3\)"):
        net((5, 3)).fit(X, np.zeros((N, 2), int), loss="cross_entropy")
    with pytest.raises(ValueError, match=r"y: class 5 in row 22 is not in 0\.\.4"):
        net((5, 3)).fit(X, np.where(np.arange(N)[:, None] < N - 1, 0, [0, 5, 0]), loss="cross_entropy")
    with pytest.raises(ValueError, match=r"output \(5, 3\) a sample is not one row of classes, as MultiMarginLoss needs"):
        net((5, 3)).fit(X, np.zeros(N, int), loss="multi_margin")


# ---- several outputs ----------------------------------------------------------------------------------------------------
def test_losses_are_assigned_to_outputs_by_list_or_name() -> None:
    """One loss takes mean and variance, another the class scores. Lists and names give the same result, the weighted sum."""

    def make_model() -> pynn.Model:
        x = pynn.Input((6,))
        ends = [pynn.Linear(6, 3, dtype="float64", seed=i)(x) for i in range(3)]
        return pynn.Model(x, {"mean": ends[0], "var": pynn.Softplus()(ends[1]), "kind": ends[2]})

    t, k = RNG.normal(size=(N, 3)), RNG.integers(0, 3, N)
    models = [make_model() for _ in range(3)]
    settings: dict[str, Any] = {"optimizer": "sgd", "batch_size": BATCH, "epochs": 2, "seed": 0}
    listed = models[0].fit(X, [t, k], loss=["gaussian_nll", "cross_entropy"], loss_weights=[0.5, 2.0], **settings)
    losses = {"kind": "cross_entropy", ("mean", "var"): "gaussian_nll"}
    settings |= {"loss_weights": {("mean", "var"): 0.5, "kind": 2.0}, "metrics": {("mean", "var"): None, "kind": ["f1"]}}
    named = models[1].fit(X, {"kind": k, ("mean", "var"): t}, loss=losses, **settings)
    assert listed.history["loss"] == named.history["loss"]
    assert {"mean_var_loss", "kind_loss", "kind_accuracy", "kind_f1"} <= named.history.keys()
    total = [0.5 * a + 2 * b for a, b in zip(named.history["mean_var_loss"], named.history["kind_loss"], strict=True)]
    np.testing.assert_allclose(named.history["loss"], total, rtol=1e-12)
    one = models[2].evaluate(X, [t, k], loss=["gaussian_nll", "cross_entropy"])
    mean, var, kind = models[2].predict(X).values()
    assert one["mean_var_loss"] == pytest.approx(float(pynn.GaussianNLLLoss()(mean, t, var)), rel=1e-12)
    assert one["kind_loss"] == pytest.approx(float(pynn.CrossEntropyLoss()(kind, k)), rel=1e-12)


def test_triplets_need_no_target() -> None:
    shared = pynn.Linear(4, 3, dtype="float64", seed=0)
    ends = [pynn.Input((4,)) for _ in range(3)]
    model = pynn.Model(ends, [shared(x) for x in ends])
    rng = np.random.default_rng(0)
    anchor, negative = rng.normal(size=(60, 4)), rng.normal(size=(60, 4))
    data = (anchor, anchor + 0.1 * rng.normal(size=(60, 4)), negative)
    hist = model.fit(data, loss="triplet_margin", optimizer=pynn.optim.Adam(lr=0.05), epochs=20, validation_split=0.2, seed=0)
    assert hist.history["loss"][-1] < 0.5 * hist.history["loss"][0]
    assert model.evaluate(data, None)["loss"] == pytest.approx(float(pynn.TripletMarginLoss()(*model.predict(data))), rel=1e-12)
    before = model.evaluate(data, None)["loss"]
    assert model.train_on_batch(data, None)["loss"] == pytest.approx(before, rel=1e-12)
    batches = [(tuple(part[i : i + 20] for part in data), None) for i in range(0, 60, 20)]
    assert model.evaluate(lambda: batches)["loss"] == pytest.approx(model.evaluate(data)["loss"], rel=1e-12)
    clones = [copy.deepcopy(model) for _ in range(2)]
    named = {"loss": "triplet_margin", "epochs": 3}
    full = clones[0].fit(data, batch_size=20, shuffle=False, validation_data=(data, None), **named)
    parts = clones[1].fit(lambda: iter(batches), validation_data=lambda: batches, **named)
    assert parts.history["loss"] == full.history["loss"]
    np.testing.assert_allclose(parts.history["val_loss"], full.history["val_loss"], rtol=1e-12)
    with pytest.raises(ValueError, match="y: TripletMarginLoss takes no target"):
        model.fit(data, np.ones(60), loss="triplet_margin")
    with pytest.raises(ValueError, match="metrics: TripletMarginLoss takes no target to compare with"):
        model.fit(data, loss="triplet_margin", metrics=["mae"])


@pytest.mark.parametrize(
    ("loss", "match"),
    [
        (["gaussian_nll", "mse"], "loss: expected a list or tuple of 2, one for each output, got 2 that take 3 outputs"),
        ({"a": "mse"}, "loss: expected one for each of a, b, got 'a'"),
        ({("a", "b"): "mse"}, "loss: MSELoss takes 1 output, got 2"),
        ({("b", "a"): "margin_ranking", "a": "mse"}, "loss: expected one for each of a, b"),
        ("triplet_margin", "TripletMarginLoss takes 3 outputs, and this net has 2"),
        (
            "cosine_embedding",
            r"CosineEmbeddingLoss needs outputs of the same shape, but a sample of output 0 has shape \(3,\) "
            r"and one of output 1 has shape \(2,\)",
        ),
    ],
)  # fmt: skip
def test_losses_that_do_not_match_the_outputs_raise(loss: Any, match: str) -> None:
    x = pynn.Input((6,))
    model = pynn.Model(x, {"a": pynn.Linear(6, 3)(x), "b": pynn.Linear(6, 2)(x)})
    with pytest.raises(ValueError, match=match):
        model.fit(X, np.ones(N), loss=loss)


# ---- custom functions ---------------------------------------------------------------------------------------------------
def squares(x: np.ndarray, t: np.ndarray) -> tuple[Any, np.ndarray]:
    return (x - t) ** 2, 2 * (x - t)


def rows(x: np.ndarray, t: np.ndarray) -> tuple[Any, np.ndarray]:
    return ((x - t) ** 2).sum(1) / x.shape[1], 2 * (x - t) / x.shape[1]


def number(x: np.ndarray, t: np.ndarray) -> tuple[Any, np.ndarray]:
    return ((x - t) ** 2).mean(), 2 * (x - t) / x.size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("function", [squares, rows, number])
def test_a_function_trains_like_the_table_loss(function: Any, weighted: bool, dtype: str) -> None:
    if weighted and function is number:
        with pytest.raises(ValueError, match="sample_weight and reduction='none' need an array of values"):
            pynn.Sequential(pynn.Linear(6, 2)).fit(X, np.ones((N, 2)), loss=pynn.FunctionLoss(number), sample_weight=W)
        return
    t, models = RNG.normal(size=(N, 2)), []
    for loss in (pynn.FunctionLoss(function), "mse"):
        model = pynn.Sequential(pynn.Linear(6, 2, dtype=dtype, seed=0))
        settings: dict[str, Any] = {"epochs": 3, "batch_size": BATCH, "seed": 0, "validation_split": 0.3}
        hist = model.fit(X, t, loss=loss, optimizer="sgd", sample_weight=W if weighted else None, **settings).history
        models.append((model, hist))
    (custom, a), (table, b) = models
    rtol = 1e-11 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=rtol)
    np.testing.assert_allclose(a["val_loss"], b["val_loss"], rtol=rtol)
    np.testing.assert_allclose(custom[0].weight, table[0].weight, rtol=10 * rtol, atol=1e-6 if dtype == "float32" else 0)


def test_a_function_may_have_any_target() -> None:
    """The function receives the batch's rows of the target unchanged, here text."""
    labels = np.where(X[:, 0] > 0, "warm", "cold")

    def hinge(x: np.ndarray, t: np.ndarray) -> tuple[Any, np.ndarray]:
        sign = np.where(t == "warm", 1.0, -1.0)[:, None]
        return np.maximum(0, 1 - sign * x), np.where(sign * x < 1, -sign, 0.0)

    model = pynn.Sequential(pynn.Linear(6, 1, seed=0))
    hist = model.fit(X, labels, loss=pynn.FunctionLoss(hinge), optimizer=pynn.optim.Adam(lr=0.1), epochs=60, seed=0)
    assert hist.history["loss"][-1] < 0.1 * hist.history["loss"][0]
    assert ((model.predict(X)[:, 0] > 0) == (labels == "warm")).all()


def test_functions_combine_with_other_losses_and_iterables() -> None:
    def make_model() -> pynn.Model:
        x = pynn.Input((6,))
        return pynn.Model(x, [pynn.Linear(6, 2, dtype="float64", seed=i)(x) for i in range(2)])

    t, k = RNG.normal(size=(N, 2)), RNG.integers(0, 2, N)
    a, b, c = make_model(), make_model(), make_model()
    settings: dict[str, Any] = {"loss_weights": [3.0, 0.5], "optimizer": "sgd", "epochs": 2}
    custom = pynn.FunctionLoss(squares)
    a.fit(X, [t, k], loss=[custom, "cross_entropy"], batch_size=BATCH, shuffle=False, **settings)
    b.fit(X, [t, k], loss=["mse", "cross_entropy"], batch_size=BATCH, shuffle=False, **settings)
    c.fit(
        [(X[i : i + BATCH], [t[i : i + BATCH], k[i : i + BATCH]]) for i in range(0, N, BATCH)], loss=[custom, "cross_entropy"], **settings
    )
    for p, q, r in zip(a.parameters(), b.parameters(), c.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-11)
        np.testing.assert_array_equal(p.data, r.data)


def test_exceptions_of_a_function_propagate() -> None:
    calls = []

    def fails(x: np.ndarray, t: np.ndarray) -> tuple[Any, np.ndarray]:
        calls.append(threading.get_ident())
        if len(calls) == 3:
            raise KeyError("third")
        return squares(x, t)

    model = pynn.Sequential(pynn.Linear(6, 2, seed=0))
    with pytest.raises(KeyError, match="third"):
        model.fit(X, np.ones((N, 2)), loss=pynn.FunctionLoss(fails), batch_size=4, epochs=3)
    assert calls == [threading.get_ident()] * 3
    assert np.isfinite(model[0].weight).all()
    calls[:] = []
    with pytest.raises(KeyError, match="third"):
        model.evaluate(np.ones((1000, 6)), np.ones((1000, 2)), loss=pynn.FunctionLoss(fails))
    for bad, error, match in (
        (lambda x, t: x, TypeError, "return .value, gradient., got ndarray"),
        (lambda x, t: (x, x[:1]), ValueError, "its gradient has shape"),
    ):
        with pytest.raises(error, match=match):
            model.fit(X, np.ones((N, 2)), loss=pynn.FunctionLoss(bad))
    assert model.fit(X, np.ones((N, 2)), loss="mse").history["loss"][0] > 0


def test_a_function_may_keep_and_modify_its_arrays() -> None:
    kept: list[Any] = []
    y = np.ones((N, 2))

    def keeps(x: np.ndarray, t: np.ndarray) -> tuple[Any, np.ndarray]:
        kept.append((x, x.copy()))
        t[...] = 0
        return squares(x, 1)

    model = pynn.Sequential(pynn.Linear(6, 2, dtype="float64", seed=0))
    loss = pynn.FunctionLoss(keeps)
    model.fit(X, y, loss=loss, batch_size=4, epochs=2)
    assert all(np.array_equal(a, b) for a, b in kept)
    assert (y == 1).all()
    gone = weakref.ref(loss)
    del loss, model
    gc.collect()
    assert gone() is None


# ---- weights ------------------------------------------------------------------------------------------------------------
UNITS = [1e-300, 1e-45, 1e-30, 1e30, 1e38, 1e300]


def trained(model: pynn.Model, y: Any, loss: Any, **more: Any) -> tuple[list[float], list[np.ndarray]]:
    history = model.fit(X, y, loss=loss, optimizer=pynn.optim.SGD(lr=0.05), epochs=2, batch_size=BATCH, seed=0, **more).history
    return history["loss"], [p.data for p in model.parameters()]


def repeatable_target(name: str) -> Any:
    """Return the same target in each call."""
    RNG.bit_generator.state = np.random.default_rng(3).bit_generator.state
    return target(pynn.losses.get(name), (4,))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", ["mse", "cross_entropy", "bce_with_logits", "multi_margin", "giou"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scaling_all_weights_does_not_change_training(name: str, unit: float, dtype: str) -> None:
    def made() -> pynn.Sequential:
        return pynn.Sequential(pynn.Linear(6, 4, dtype=dtype, seed=0))

    y, rtol = repeatable_target(name), 1e-5 if dtype == "float32" else 1e-10
    (expected, parameters), (got, others) = trained(made(), y, name, sample_weight=W), trained(made(), y, name, sample_weight=W * unit)
    np.testing.assert_allclose(got, expected, rtol=rtol)
    for a, b in zip(others, parameters, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-7)
    one, other = made(), made()
    plain, scaled = (m.evaluate(X, y, loss=name, sample_weight=w)["loss"] for m, w in ((one, W), (other, W * unit)))
    assert scaled == pytest.approx(plain, rel=rtol)
    plain, scaled = (m.train_on_batch(X, y, loss=name, sample_weight=w)["loss"] for m, w in ((one, W), (other, W * unit)))
    assert scaled == pytest.approx(plain, rel=rtol)
    np.testing.assert_allclose(one[0].weight, other[0].weight, rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("unit", [1e-30, 1.0, 1e30])
def test_batches_are_weighted_by_their_total_weight(unit: float) -> None:
    """The weights of the batches differ by a factor of 1000; the epoch's loss is the weighted mean over all rows."""
    w, y = W * np.where(np.arange(N) < BATCH, 1.0, 1e3) * unit, RNG.normal(size=(N, 4))
    batches = [(X[i : i + BATCH], y[i : i + BATCH], w[i : i + BATCH]) for i in range(0, N, BATCH)]
    expected = net((4,)).evaluate(X, y, loss="mse", sample_weight=w)["loss"]
    assert net((4,)).evaluate(batches, loss="mse")["loss"] == pytest.approx(expected, rel=1e-12)
    frozen = net((4,))
    hist = frozen.fit(batches, loss="mse", optimizer=pynn.optim.SGD(lr=0.0), epochs=1, validation_data=batches).history
    assert hist["loss"][0] == pytest.approx(expected, rel=1e-12)
    assert hist["val_loss"][0] == pytest.approx(expected, rel=1e-12)


def test_a_batch_of_zero_weight_raises_and_changes_nothing() -> None:
    y = RNG.normal(size=(N, 4))
    model = net((4,))
    before = [p.data.copy() for p in model.parameters()]
    batches = [(X, y, np.zeros(N)), (X, y, np.zeros(N))]
    with pytest.raises(pynn.DivergenceError, match="no row counts: every label is the loss's ignore_index, or all sample or class weights"):
        model.fit(batches, loss="mse", optimizer=pynn.optim.SGD(lr=0.1))
    for a, b in zip(before, model.parameters(), strict=True):
        np.testing.assert_array_equal(a, b.data)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.filterwarnings("ignore:.* takes")
def test_negative_weights_match_the_manual_loop(name: str, reduction: str) -> None:
    loss = pynn.losses.by_name[name](reduction=reduction)
    w = W * np.where(np.arange(N) % 7 == 1, -0.1, 1.0)
    check(loss, (4,), target(loss, (4,)), LAST.get(name, "softplus" if name == "gaussian_nll" else None), w)


def test_reinforce_learns_from_advantages_as_weights() -> None:
    """A policy that is rewarded for action 2 and penalized for the others learns to prefer action 2."""
    draw, model = np.random.default_rng(0), pynn.Sequential(pynn.Linear(6, 3, seed=0))
    for _ in range(60):
        taken = np.array([draw.choice(3, p=p / p.sum()) for p in pynn.softmax(model.predict(X)).astype("f8")])
        advantage = np.where(taken == 2, 1.0, -0.5)
        model.train_on_batch(X, taken, loss="cross_entropy", optimizer="adam", sample_weight=advantage * 1e-3)
    p = pynn.softmax(model.predict(X))[:, 2]
    start = pynn.softmax(pynn.Sequential(pynn.Linear(6, 3, seed=0)).predict(X))[:, 2]
    assert (p > start).mean() > 0.9


ELEMENTWISE = sorted(name for name, cls in pynn.losses.by_name.items() if cls._row["kind"] == "e")


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(4,), (2, 3)])
@pytest.mark.filterwarnings("ignore:.* takes")
def test_weights_per_element_in_fit(name: str, reduction: str, shape: tuple[int, ...]) -> None:
    loss = pynn.losses.by_name[name](reduction=reduction)
    w = np.random.default_rng(1).choice([0.0, 0.5, 1.0, -0.1], (N, *shape))
    check(loss, shape, target(loss, shape), LAST.get(name, "softplus" if name == "gaussian_nll" else None), w)


@pytest.mark.parametrize("name", BY_CLASS)
@pytest.mark.filterwarnings("ignore:.* takes")
def test_weights_per_position_in_fit(name: str) -> None:
    loss = pynn.losses.by_name[name]()
    check(loss, (4, 3), target(loss, (4, 3)), LAST.get(name), np.random.default_rng(1).random((N, 3)))


def test_weights_per_box_in_fit() -> None:
    loss = pynn.GIoULoss()
    check(loss, (3, 4), target(loss, (3, 4)), None, np.random.default_rng(1).random((N, 3)))


def test_a_function_accepts_weights_per_element() -> None:
    y, w = RNG.normal(size=(N, 4)), RNG.random((N, 4)) - 0.3
    custom = pynn.FunctionLoss(lambda x, t: ((x - t) ** 2, 2 * (x - t)))
    for weight in (w, w[:, 0]):
        (expected, parameters), (got, others) = (trained(net((4,)), y, loss, sample_weight=weight) for loss in ("mse", custom))
        np.testing.assert_allclose(got, expected, rtol=1e-12)
        for a, b in zip(parameters, others, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)
    with pytest.raises(ValueError, match=r"sample_weight: shape \(8, 4\) does not fit the function's values of shape \(8,\)"):
        trained(net((4,)), y, pynn.FunctionLoss(lambda x, t: (((x - t) ** 2).sum(1), 2 * (x - t))), sample_weight=w)


def test_weights_per_output() -> None:
    """Weights may be given by list or by name, for some outputs only. The loss is the sum of the eager losses."""

    def make_model() -> pynn.Model:
        x = pynn.Input((6,))
        return pynn.Model(x, {"a": pynn.Linear(6, 2, dtype="float64", seed=0)(x), "b": pynn.Linear(6, 3, dtype="float64", seed=1)(x)})

    ya, yb, wa, wb = RNG.normal(size=(N, 2)), RNG.integers(0, 3, N), RNG.random((N, 2)), RNG.random(N)
    y, losses = {"a": ya, "b": yb}, {"a": "mse", "b": "cross_entropy"}
    both = {"a": wa, "b": wb}
    for given, each in ((both, (wa, wb)), ([wa, wb], (wa, wb)), ({"b": wb}, (None, wb)), ((wa, None), (wa, None)), (wb, (wb, wb))):
        model = make_model()
        scores = model.evaluate(X, y, loss=losses, sample_weight=given)
        out = model.predict(X)
        expected = pynn.MSELoss()(out["a"], ya, sample_weight=each[0]), pynn.CrossEntropyLoss()(out["b"], yb, sample_weight=each[1])
        assert (scores["a_loss"], scores["b_loss"]) == pytest.approx(expected, rel=1e-12)
        assert model.train_on_batch(X, y, loss=losses, sample_weight=given)["loss"] == pytest.approx(sum(expected), rel=1e-12)
        settings = {"loss": losses, "sample_weight": given, "optimizer": pynn.optim.SGD(lr=0.0)}
        hist = make_model().fit(X, y, batch_size=N, validation_split=0.3, seed=0, **settings)
        held = make_model().fit(X, y, validation_data=(X, y, given), **{**settings, "optimizer": pynn.optim.SGD(lr=0.0)}).history
        assert np.isfinite(hist.history["val_loss"]).all()
        assert held["val_loss"][0] == pytest.approx(sum(expected), rel=1e-12)
        assert make_model().evaluate([(X, y, given)], loss=losses)["loss"] == pytest.approx(sum(expected), rel=1e-12)


@pytest.mark.parametrize(("given", "match"), [
    ({"c": W}, "sample_weight: expected one for each of a, b, got 'c'"),
    (np.ones((N, 2)), r"sample_weight: shape \(23, 2\) does not fit; expected \(23,\), one per row$"),
    ({"a": np.ones((N, 3))}, r"sample_weight: shape \(23, 3\) does not fit; expected \(23,\), one per row, or \(23, 2\), one per value"),
    ({"a": W * np.nan}, "sample_weight: nan in row 0 is not a finite number"), ([None, None], "at least one number other than 0"),
])  # fmt: skip
def test_invalid_weights_raise(given: Any, match: str) -> None:
    x = pynn.Input((6,))
    model = pynn.Model(x, {"a": pynn.Linear(6, 2)(x), "b": pynn.Linear(6, 3)(x)})
    with pytest.raises(ValueError, match=match):
        model.fit(X, {"a": X[:, :2], "b": np.zeros(N, int)}, loss={"a": "mse", "b": "cross_entropy"}, sample_weight=given)


def test_levenberg_marquardt_rejects_negative_weights() -> None:
    model = pynn.Sequential(pynn.Linear(6, 1, dtype="float64", seed=0))
    with pytest.raises(ValueError, match="sample_weight: LevenbergMarquardt needs weights >= 0, got -"):
        model.fit(X, X[:, 0], loss="mse", optimizer="lm", sample_weight=-W)
    weighted, twice = (pynn.Sequential(pynn.Linear(6, 2, dtype="float64", seed=0)) for _ in range(2))
    y, w = RNG.normal(size=(N, 2)), np.ones((N, 2))
    w[::2, 1] = 0  # omits values of the second output; the fit of the first is unaffected
    weighted.fit(X, y, loss="mse", optimizer="lm", sample_weight=w, epochs=20)
    twice.fit(X, y, loss="mse", optimizer="lm", epochs=20)
    np.testing.assert_allclose(weighted[0].weight[0], twice[0].weight[0], atol=1e-6)
    assert np.abs(weighted[0].weight[1] - twice[0].weight[1]).max() > 1e-3


# ---- labels that change -------------------------------------------------------------------------------------------------
INDEXING = sorted(name for name, cls in pynn.losses.by_name.items() if cls._row["target"] in "cimp")


@pytest.mark.parametrize("name", INDEXING)
@pytest.mark.parametrize("label", [10**7, -(10**7), -2, 4, 2**62])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.filterwarnings("ignore:.* takes")
def test_labels_changed_during_fit_are_checked(name: str, label: int, shuffle: bool) -> None:
    """Labels index arrays, so every batch is checked, in training and in validation."""
    y, held, model = repeatable_target(name), repeatable_target(name), net((4,))
    for changed, more in ((y, {}), (held, {"validation_data": (X, held)})):
        kept = changed.copy()

        def write(epoch: int, logs: dict[str, float], changed: np.ndarray = changed) -> None:
            changed[N - 2 :] = label

        with pytest.raises(ValueError, match=rf"y: class {label} in row {N - 2} is not in 0\.\.3|y: class {label} in row {N - 1} is not"):
            model.fit(X, y, loss=name, epochs=2, batch_size=4, shuffle=shuffle, seed=0, callbacks=[write], **more)
        changed[:] = kept
    assert np.isfinite(model.predict(X)).all()
    model.fit(X, y, loss=name, epochs=1)


@pytest.mark.parametrize("name", INDEXING)
@pytest.mark.filterwarnings("ignore:.* takes")
def test_labels_written_by_another_thread_are_checked(name: str) -> None:
    """Calls, fit and evaluate succeed or raise an error that names a row, without memory errors."""
    y, done = np.repeat(repeatable_target(name), 40, axis=0), threading.Event()
    rows, kept = np.repeat(X, 40, axis=0), np.repeat(repeatable_target(name), 40, axis=0)
    model, loss = pynn.Sequential(pynn.Linear(6, 4, dtype="float64", seed=0)), pynn.losses.get(name)

    def write() -> None:
        while not done.is_set():
            y[::7] = 10**12
            y[:] = kept

    writer, out = threading.Thread(target=write), model.predict(rows)
    writer.start()
    try:
        for _ in range(60):
            for call in (lambda: loss(out, y), lambda: model.fit(rows, y, loss=name, epochs=2), lambda: model.evaluate(rows, y, loss=name)):
                try:
                    call()
                except ValueError as error:  # copies are not atomic, so a label may be a mix of two values
                    assert re.search(r"class -?\d+ in row \d+ is not in", str(error))  # noqa: PT017
                except TypeError:
                    raise
    finally:
        done.set()
        writer.join()
    model.fit(rows, kept, loss=name)


# ---- ignored rows and warnings ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", BY_CLASS)
@pytest.mark.filterwarnings("ignore:NLLLoss takes")
def test_metrics_leave_out_ignored_rows(name: str) -> None:
    y = RNG.integers(0, 4, N)
    y[::3] = -100
    model = net((4,))
    got = model.evaluate(X, y, loss=name, metrics=["accuracy", "f1", "top_2_accuracy"])
    kept = model.evaluate(X[y >= 0], y[y >= 0], loss=name, metrics=["accuracy", "f1", "top_2_accuracy"])
    assert got == pytest.approx(kept, rel=1e-12)
    trained = net((4,)).fit(X, y, loss=name, batch_size=N, metrics=["f1"]).history
    assert trained["accuracy"][0] == pytest.approx(kept["accuracy"], rel=1e-12)
    assert trained["f1"][0] == pytest.approx(kept["f1"], rel=1e-12)
    none = model.evaluate(X, np.full(N, -100), loss=name)
    assert np.isnan(none["accuracy"])


DOUBLED = [
    *((name, "sigmoid", "takes logits") for name in ("bce_with_logits", "sigmoid_focal", "multilabel_soft_margin", "soft_margin")),
    *((pynn.CrossEntropyLoss(), last, "takes logits") for last in ("softmax", "sigmoid")),
    *(("focal", last, "takes logits") for last in ("softmax", "sigmoid")),
    *(("nll", last, "takes log-probabilities.*end in LogSoftmax") for last in ("softmax", "sigmoid", None)),
    ("kl_div", "softmax", "takes log-probabilities.*end in LogSoftmax"),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "last", "match"), DOUBLED)
def test_a_last_layer_that_does_not_suit_the_loss_warns(loss: Any, last: str | None, match: str) -> None:
    layers = [pynn.Linear(6, 4, seed=0), *([last] if last else [])]
    y = target(pynn.losses.get(loss), (4,))
    with pytest.warns(UserWarning, match=match) as seen:
        pynn.Sequential(*layers).fit(X, y, loss=loss, on_nan="ignore")
    assert seen[0].filename == __file__
    for call in ("train_on_batch", "partial_fit"):
        with pytest.warns(UserWarning, match=match) as seen:
            getattr(pynn.Sequential(*layers), call)(X, y, loss=loss)
        assert seen[0].filename == __file__


@pytest.mark.parametrize("name", BY_CLASS)
@pytest.mark.filterwarnings("ignore:NLLLoss takes")
def test_training_on_ignored_rows_alone_raises(name: str) -> None:
    ignored, some = np.full(N, -100), np.where(np.arange(N) < BATCH, -100, 1)
    model = net((4,))
    before = [p.data.copy() for p in model.parameters()]
    with pytest.raises(pynn.DivergenceError, match=r"the loss is nan .*no row counts: every label is the loss's ignore_index") as e:
        model.fit(X, ignored, loss=name, optimizer=pynn.optim.SGD(lr=0.1), batch_size=BATCH)
    assert (e.value.epoch, e.value.step) == (1, -(-N // BATCH))
    with pytest.warns(RuntimeWarning, match=r"the loss is NaN in epoch 1: .*or no row counts"):
        net((4,)).fit(X, ignored, loss=name, optimizer=pynn.optim.SGD(lr=0.1), on_nan="ignore")
    with pytest.warns(RuntimeWarning, match="no row counts"):
        assert np.isnan(model.train_on_batch(X, ignored, loss=name, optimizer=pynn.optim.SGD(lr=0.1))["loss"])
    for a, p in zip(before, model.parameters(), strict=True):
        np.testing.assert_array_equal(a, p.data)
    assert np.isnan(model.evaluate(X, ignored, loss=name)["loss"])
    hist = model.fit(X, some, loss=name, batch_size=BATCH, shuffle=False, epochs=2)  # all rows of the first batch are ignored
    assert np.isfinite(hist.history["loss"]).all()


@pytest.mark.parametrize("where", ["X", "y"])
def test_nan_in_a_row_of_weight_0_names_the_row(where: str) -> None:
    """As in PyTorch, 0 times NaN is NaN."""
    x, y, w = X.copy(), RNG.normal(size=(N, 4)), np.ones(N)
    (x if where == "X" else y)[5, 0] = np.nan
    w[5] = 0
    with pytest.raises((pynn.DivergenceError, ValueError), match=r"in row 5"):
        net((4,)).fit(x, y, loss="mse", sample_weight=w, shuffle=True)
