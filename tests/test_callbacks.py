"""Callbacks: events, changes during training, errors before the first epoch, monitoring, validation and modes."""

from __future__ import annotations

import copy
import csv
import functools
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
import pynn.callbacks as cb

rng = np.random.default_rng(0)
X = rng.normal(size=(50, 4))
T = X @ np.array([1.0, -2.0, 0.5, 3.0])
Y = (T > 0).astype(int)
MSE: dict[str, Any] = {"loss": "mse", "seed": 0}


def net(dtype: str = "float64", last: int = 1) -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(4, 8, seed=0, dtype=dtype), "tanh", pynn.Linear(8, last, seed=1, dtype=dtype))


def same(a: pynn.Layer, b: pynn.Layer) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return all((ours[name] == theirs[name]).all() for name in ours)


def after(epoch: int, act: Callable[[], Any]) -> Callable[[int, Any], None]:
    """Return a callback that acts after one epoch, counted from 0."""
    return lambda e, logs: act() if e == epoch else None


# ---- arguments ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "given",
    [
        lambda one: None,
        lambda one: one,
        lambda one: cb.LambdaCallback(one),
        lambda one: [one],
        lambda one: (one,),
        lambda one: {one},
        lambda one: (one for _ in range(1)),
        lambda one: iter([one]),
        lambda one: {"name": one}.values(),
        lambda one: [],
    ],
)
def test_callbacks_may_be_none_one_or_any_iterable(given: Any) -> None:
    seen: list[int] = []
    one = lambda epoch, logs: seen.append(epoch)  # noqa: E731
    net().fit(X, T, epochs=2, callbacks=given(one), **MSE)
    assert seen in ([0, 1], [])
    assert bool(seen) == (given(one) is not None and given(one) != [])


def test_evaluate_accepts_callbacks_in_the_same_forms() -> None:
    seen: list[str] = []
    one = cb.LambdaCallback(on_test_begin=lambda logs: seen.append("begin"), on_test_end=lambda logs: seen.append(",".join(logs)))
    for given in (None, one, [one]):
        net().evaluate(X, T, loss="mse", callbacks=given)
    assert seen == ["begin", "loss"] * 2


UNKNOWN_EVENTS = {
    "on_batch_begin": "use on_train_batch_begin",
    "on_batch_end": "use on_train_batch_end",
    "on_train_start": "use on_train_begin",
    "on_fit_start": "use on_train_begin",
    "on_fit_end": "use on_train_end",
    "on_epoch_start": "use on_epoch_begin",
    "on_train_epoch_start": "use on_epoch_begin",
    "on_train_epoch_end": "use on_epoch_end",
    "on_train_batch_start": "use on_train_batch_begin",
    "on_validation_start": "use on_test_begin",
    "on_validation_end": "use on_test_end",
    "on_validation_epoch_start": "use on_test_begin",
    "on_validation_epoch_end": "use on_test_end",
    "on_validation_batch_start": "use on_test_batch_begin",
    "on_validation_batch_end": "use on_test_batch_end",
    "on_test_start": "use on_test_begin",
    "on_test_epoch_end": "use on_test_end",
    "on_test_batch_start": "use on_test_batch_begin",
    "on_exception": "use on_train_end",
    "on_save_checkpoint": "use state_dict",
    "on_load_checkpoint": "use load_state_dict",
    "on_predict_batch_end": "predict takes no callbacks",
    "on_predict_begin": "predict takes no callbacks",
    "on_before_optimizer_step": "the events are|use on_",
    "on_after_backward": "the events are|use on_",
    "on_epoch_edn": "use on_epoch_end",
    "on_something_else": "the events are on_train_begin|use on_",
    "set_model": "fit sets self.model itself; use on_train_begin",
    "set_params": "fit does not call it; use on_train_begin",
}


@pytest.mark.parametrize("how", ["class", "base class", "instance"])
@pytest.mark.parametrize("name", UNKNOWN_EVENTS)
def test_methods_that_would_never_be_called_raise(name: str, how: str) -> None:
    made = type("Custom", (cb.Callback,), {} if how == "instance" else {name: lambda self, *args: pytest.fail("called")})
    one = (type("Derived", (made,), {}) if how == "base class" else made)()
    if how == "instance":
        setattr(one, name, lambda *args: None)
    model = net()
    for call in (functools.partial(model.fit, **MSE), functools.partial(model.evaluate, loss="mse")):
        with pytest.raises(TypeError, match=rf"\.{name} would never be called; ({UNKNOWN_EVENTS[name]})"):
            call(X, T, callbacks=[one])
    assert same(model, net())


def test_other_attributes_are_not_taken_for_events() -> None:
    class Custom(cb.Callback):
        on_gpu = False

        def extra_method(self) -> None: ...

        def _on_best(self) -> None: ...

    net().fit(X, T, callbacks=Custom(), **MSE)


async def asynchronous(epoch: int, logs: Any) -> None: ...


def generating(epoch: int, logs: Any) -> Iterator[int]:
    yield epoch


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda logs: None, r"is called with \(epoch, logs\), but its signature is \(logs\)"),
        (lambda: None, r"is called with \(epoch, logs\)"),
        (type("Custom", (cb.Callback,), {"on_epoch_end": lambda self: None})(), r"Custom.on_epoch_end is called with \(epoch, logs\)"),
        (type("Custom", (cb.Callback,), {"on_train_end": lambda self: None})(), r"Custom.on_train_end is called with \(logs\)"),
        (type("Custom", (cb.Callback,), {"on_train_batch_end": lambda self, a, b, c: 0})(), r"is called with \(batch, logs\)"),
        (asynchronous, "asynchronous is a coroutine"),
        (generating, "generating is a coroutine or a generator function"),
        (type("Custom", (cb.Callback,), {"on_test_end": lambda self, epoch, logs: None})(), r"on_test_end is called with \(logs\)"),
        (cb.EarlyStopping, r"the class EarlyStopping; call it: EarlyStopping\(\.\.\.\)"),
        ([cb.EarlyStopping], r"the class EarlyStopping; call it"),
        ([None], "got None"),
    ],
)
def test_callbacks_with_a_wrong_signature_raise_before_training(given: Any, message: str) -> None:
    model = net()
    with pytest.raises(TypeError, match=message):
        model.fit(X, T, callbacks=given, **MSE)
    assert same(model, net())


def test_builtins_and_partials_are_accepted() -> None:
    seen: dict[int, Any] = {}
    net().fit(X, T, callbacks=[seen.__setitem__, functools.partial(lambda a, epoch, logs: None, 1)], **MSE)
    assert [*seen] == [0]


# ---- events ------------------------------------------------------------------------------------------------------------
class Spy(cb.Callback):
    """Record every event."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.losses: list[float] = []

    def on_train_begin(self, logs: Any) -> None:
        self.seen.append(("train", dict(logs)))

    def on_train_end(self, logs: Any) -> None:
        self.seen.append(("trained",))

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self.seen.append(("epoch", epoch, dict(logs)))

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.seen.append(("epoch ended", epoch, logs["loss"]))

    def on_train_batch_begin(self, batch: int, logs: Any) -> None:
        self.seen.append(("batch", batch, dict(logs)))

    def on_train_batch_end(self, batch: int, logs: Any) -> None:
        self.seen.append(("batch ended", batch))
        self.losses.append(logs["loss"])

    def on_test_begin(self, logs: Any) -> None:
        self.seen.append(("test", dict(logs)))

    def on_test_end(self, logs: Any) -> None:
        self.seen.append(("tested", logs["loss"]))

    def on_test_batch_begin(self, batch: int, logs: Any) -> None:
        self.seen.append(("test batch", batch, dict(logs)))

    def on_test_batch_end(self, batch: int, logs: Any) -> None:
        self.seen.append(("test batch ended", batch))


def batches_of(size: int) -> list[tuple[Any, Any]]:
    return [(X[i : i + size], T[i : i + size]) for i in range(0, len(X), size)]


@pytest.mark.parametrize("source", ["arrays", "batches", "generator"])
def test_events_come_in_order_and_do_not_change_training(source: str) -> None:
    given: tuple[Any, ...] = (X, T) if source == "arrays" else (batches_of(20),)
    given = (lambda: iter(batches_of(20)),) if source == "generator" else given
    held = (X, T) if source == "arrays" else batches_of(20)
    spied, plain, spy = net(), net(), Spy()
    settings = {**MSE, "epochs": 2, "batch_size": 20, "optimizer": "adam"}
    hist = spied.fit(*given, validation_data=held, callbacks=[spy], **settings)
    other = plain.fit(*given, validation_data=held, **settings)
    assert same(spied, plain)
    assert hist.history["loss"] == other.history["loss"]
    np.testing.assert_allclose(hist.history["val_loss"], other.history["val_loss"], rtol=1e-12)
    expected: list[tuple[Any, ...]] = [("train", {})]
    tests = 1 if source == "arrays" else 3
    for epoch in (0, 1):
        expected.append(("epoch", epoch, {}))
        expected += [event for i in range(3) for event in (("batch", i, {}), ("batch ended", i))]
        expected.append(("test", {}))
        expected += [event for i in range(tests) for event in (("test batch", i, {}), ("test batch ended", i))]
        expected.append(("tested", hist.history["val_loss"][epoch]))
        expected.append(("epoch ended", epoch, hist.history["loss"][epoch]))
    assert spy.seen == [*expected, ("trained",)]
    assert [spy.losses[2], spy.losses[5]] == hist.history["loss"]


def test_validation_batches_of_arrays_have_256_rows() -> None:
    many, targets = rng.normal(size=(600, 4)), rng.normal(size=600)
    seen: list[tuple[int, float]] = []
    record = cb.LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append((batch, logs["loss"])))
    model = net()
    weights = rng.random(600)
    found = model.evaluate(many, targets, loss="mse", metrics=["mae"], sample_weight=weights, callbacks=record)
    plain = model.evaluate(many, targets, loss="mse", metrics=["mae"], sample_weight=weights)
    assert [batch for batch, _ in seen] == [0, 1, 2]
    assert found == pytest.approx(plain, rel=1e-12)
    assert seen[2][1] == pytest.approx(plain["loss"], rel=1e-12)
    first = model.evaluate(many[:256], targets[:256], loss="mse", sample_weight=weights[:256])["loss"]
    assert seen[0][1] == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize("batches", [False, True])
def test_a_rate_set_before_a_batch_applies_to_it(batches: bool) -> None:
    rates = [0.1, 0.0, 0.05]
    opt = pynn.optim.SGD(lr=1.0)

    def rate(batch: int, logs: Any) -> None:
        opt.param_groups[0]["lr"] = rates[batch]

    model, looped, other = net(), net(), pynn.optim.SGD(lr=1.0)
    given: Any = (batches_of(20),) if batches else (X, T)
    call = cb.LambdaCallback(on_train_batch_begin=rate)
    model.fit(*given, optimizer=opt, batch_size=20, shuffle=False, callbacks=call, **MSE)
    other.bind(looped.parameters())
    for (x, t), lr in zip(batches_of(20), rates, strict=True):
        other.param_groups[0]["lr"] = lr
        looped.train_on_batch(x, t, loss="mse", optimizer=other)
    for p, q in zip(model.parameters(), looped.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert opt.steps == 3


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_callbacks_can_stop_training_within_an_epoch(batches: bool, shuffle: bool) -> None:
    class Stop(cb.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            self.model.stop_training = batch == 1

    seen: list[int] = []
    given: Any = (batches_of(10),) if batches else (X, T)
    model = net()
    metric = {"custom": lambda t, p: seen.append(len(t)) or float(((t - p[:, 0]) ** 2).mean())}
    hist = model.fit(*given, batch_size=10, epochs=5, shuffle=shuffle, metrics=metric, callbacks=Stop(), **MSE)
    assert model.optimizer is not None
    assert (len(hist.epoch), model.optimizer.steps, seen) == (1, 2, [20])
    assert hist.history["custom"][0] == pytest.approx(hist.history["loss"][0], rel=1e-12)


def test_batch_callbacks_do_not_change_the_order_of_rows() -> None:
    orders: dict[str, list[Any]] = {"epochs": [], "batches": []}

    class Record(pynn.Layer):
        def __init__(self, where: str) -> None:
            super().__init__()
            self.where = where

        def forward(self, x: Any) -> Any:
            orders[self.where].append(x[:, 0].tolist())
            return x

        def backward(self, gy: Any) -> Any:
            return gy

    for where, call in (("epochs", None), ("batches", cb.LambdaCallback(on_train_batch_end=lambda batch, logs: None))):
        pynn.Sequential(Record(where), pynn.Linear(4, 1, seed=0, dtype="float64")).fit(X, T, epochs=3, batch_size=7, callbacks=call, **MSE)
    assert orders["epochs"] == orders["batches"]


def test_an_exception_in_a_batch_ends_training_and_leaves_the_model_usable() -> None:
    def fail(batch: int, logs: Any) -> None:
        raise KeyError("failure")

    ended: list[Any] = []
    model = net().eval()
    with pytest.raises(KeyError, match="failure"):
        model.fit(X, T, callbacks=cb.LambdaCallback(on_train_batch_end=fail, on_train_end=ended.append), **MSE)
    assert ended == [{}]
    assert not model.training
    model.fit(X, T, **MSE)


# ---- changes during training -------------------------------------------------------------------------------------------
def test_freeze_and_unfreeze_take_effect_from_the_next_epoch() -> None:
    for frozen in (True, False):
        model, seen = net(), []
        model[0].freeze() if frozen else None
        change = model.unfreeze if frozen else functools.partial(model.freeze, "0")

        def record(epoch: int, logs: Any, model: Any = model, seen: list[Any] = seen) -> None:
            seen.append(model[0].weight.copy())

        model.fit(X, T, epochs=4, callbacks=[record, after(1, change)], **MSE)
        moved = [(seen[i] != seen[i - 1]).any() for i in (1, 2, 3)]
        assert moved == ([False, True, True] if frozen else [True, False, False])


def test_a_single_parameter_can_be_unfrozen() -> None:
    model = net()
    model[0].freeze()
    parameter = model.parameters()[1]
    start = model.state_dict()

    def unfreeze() -> None:
        parameter.requires_grad = True

    model.fit(X, T, epochs=3, callbacks=after(0, unfreeze), **MSE)
    now = model.state_dict()
    assert [name for name in now if (now[name] != start[name]).any()] == ["0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize("when", ["after the epoch", "before the epoch", "before the training"])
@pytest.mark.parametrize(
    ("layer", "change", "setting"),
    [
        (lambda: pynn.Dropout(0.9, seed=3), {"p": 0.0}, "p"),
        (lambda: pynn.GaussianNoise(0.9, seed=3), {"std": 0.0}, "std"),
        (lambda: pynn.LeakyReLU(0.5), {"negative_slope": 0.0}, "negative_slope"),
        (lambda: pynn.ELU(1.0), {"alpha": 0.25}, "alpha"),
        (lambda: pynn.BatchNorm1d(8, dtype="float64"), {"eps": 2.0}, "eps"),
        (lambda: pynn.BatchNorm1d(8, dtype="float64"), {"momentum": 0.75}, "momentum"),
        (lambda: pynn.LayerNorm(8, dtype="float64"), {"eps": 2.0}, "eps"),
    ],
)
def test_layer_settings_changed_by_a_callback_apply_from_the_next_epoch(layer: Any, change: Any, setting: str, when: str) -> None:
    def make() -> pynn.Sequential:
        return pynn.Sequential(pynn.Linear(4, 8, seed=0, dtype="float64"), layer(), pynn.Linear(8, 1, seed=1, dtype="float64"))

    def set_all(model: pynn.Sequential) -> None:
        for name, value in change.items():
            setattr(model[1], name, value)

    settings: dict[str, Any] = {**MSE, "optimizer": pynn.optim.SGD(lr=0.01), "shuffle": False}
    model, parts = make(), make()
    act = functools.partial(set_all, model)
    first = 0 if when == "before the training" else 1
    call: Any = {
        "after the epoch": after(0, act),
        "before the epoch": cb.LambdaCallback(on_epoch_begin=after(1, act)),
        "before the training": cb.LambdaCallback(on_train_begin=lambda logs: act()),
    }[when]
    model.fit(X, T, epochs=3, callbacks=call, **settings)
    opt = pynn.optim.SGD(lr=0.01)
    parts.fit(X, T, epochs=first, **{**settings, "optimizer": opt})
    set_all(parts)
    parts.fit(X, T, epochs=3, initial_epoch=first, **{**settings, "optimizer": opt})
    assert same(model, parts)
    full = make()
    full.fit(X, T, epochs=3, **{**settings, "optimizer": pynn.optim.SGD(lr=0.01)})
    assert not same(model, full)


def masks() -> tuple[pynn.Sequential, list[Any]]:
    """Return a net whose dropout removes everything, and data on which its loss is 1 in training mode and 0 otherwise."""
    one = pynn.Linear(1, 1, seed=0, dtype="float64")
    one.weight, one.bias = [[1.0]], [0.0]
    return pynn.Sequential(pynn.Dropout(1.0, seed=0), one), [np.ones((8, 1)), np.ones(8)]


def zero_rate() -> pynn.optim.SGD:
    return pynn.optim.SGD(lr=0.0)


def test_the_mode_of_a_layer_changes_from_the_next_epoch() -> None:
    model, data = masks()
    turns = [after(0, lambda: model[0].eval()), after(2, lambda: model[0].train())]
    hist = model.fit(*data, epochs=4, optimizer=zero_rate(), callbacks=turns, **MSE)
    assert hist.history["loss"] == [1.0, 0.0, 0.0, 1.0]
    hist = model.fit(*data, epochs=3, optimizer=zero_rate(), callbacks=after(0, model.eval), **MSE)
    assert hist.history["loss"] == [1.0, 0.0, 0.0]
    assert model.training
    assert model[0].training


TRAININGS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "fit": lambda m, x, t: m.fit(x, t, optimizer=zero_rate(), **MSE).history["loss"][0],
    "fit on batches": lambda m, x, t: m.fit([(x, t)], optimizer=zero_rate(), **MSE).history["loss"][0],
    "partial_fit": lambda m, x, t: m.partial_fit(x, t, optimizer=zero_rate(), **MSE).history.history["loss"][0],
    "train_on_batch": lambda m, x, t: m.train_on_batch(x, t, loss="mse", optimizer=zero_rate())["loss"],
    "find_lr": lambda m, x, t: m.find_lr(x, t, steps=2, **MSE).loss[0],
}
OTHERS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "evaluate": lambda m, x, t: m.evaluate(x, t, loss="mse")["loss"],
    "predict": lambda m, x, t: ((m.predict(x)[:, 0] - t) ** 2).mean(),
}


@pytest.mark.parametrize("mode", ["train", "eval", "nested"])
@pytest.mark.parametrize("what", [*TRAININGS, *OTHERS])
def test_training_calls_use_training_mode_and_restore_the_mode(what: str, mode: str) -> None:
    inner, data = masks()
    model = pynn.Sequential(inner) if mode == "nested" else inner
    model.train(mode == "train")
    loss = (TRAININGS | OTHERS)[what](model, *data)
    assert loss == (1.0 if what in TRAININGS else 0.0)
    assert [layer.training for layer in model.modules()] == [mode == "train"] * len([*model.modules()])


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("what", TRAININGS)
def test_the_mode_is_restored_after_an_exception(what: str, kind: type[BaseException]) -> None:
    class Fail(pynn.Layer):
        armed = False

        def forward(self, x: Any) -> Any:
            if self.armed:
                raise kind
            return x

        def backward(self, gy: Any) -> Any:
            return gy

    inner, data = masks()
    model = pynn.Sequential(Fail(), inner).eval()
    inner[1].train()
    modes = [layer.training for layer in model.modules()]
    model.predict(data[0])
    Fail.armed = True
    with pytest.raises(kind):
        TRAININGS[what](model, *data)
    assert [layer.training for layer in model.modules()] == modes


def test_a_single_layer_in_evaluation_mode_stays_in_it() -> None:
    model, data = masks()
    model[0].eval()
    assert model.fit(*data, optimizer=zero_rate(), **MSE).history["loss"] == [0.0]
    assert model.training
    assert not model[0].training


def test_layers_replaced_by_a_callback_are_trained() -> None:
    model = net()
    fresh = pynn.Linear(8, 1, seed=5, dtype="float64")
    start = fresh.weight.copy()

    def replace() -> None:
        model[2] = fresh

    try:
        hist = model.fit(X, T, epochs=4, callbacks=after(1, replace), **MSE)
    except ValueError as error:
        assert "optimizer" in str(error)  # noqa: PT017
        return
    assert (fresh.weight != start).any()
    assert len(hist.epoch) == 4


def test_changing_the_output_shape_in_a_callback_raises() -> None:
    model = net()
    with pytest.raises(ValueError, match=r"the targets no longer fit: .*\(1,\).*\(3,\)"):
        model.fit(X, T, epochs=4, callbacks=after(1, lambda: model.append(pynn.Linear(1, 3, dtype="float64"))), **MSE)


# ---- calls from callbacks ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("event", ["on_epoch_end", "on_epoch_begin", "on_train_begin", "on_train_end", "on_train_batch_end", "on_test_end"])
@pytest.mark.parametrize("what", ["fit", "partial_fit", "train_on_batch", "find_lr"])
def test_nested_training_of_the_same_model_raises(what: str, event: str) -> None:
    model, plain = net(), net()
    messages: list[str] = []

    def call(*args: Any) -> None:
        with pytest.raises(RuntimeError, match="is being trained by fit") as raised:
            getattr(model, what)(X, T, loss="mse")
        messages.append(str(raised.value))

    settings: dict[str, Any] = {**MSE, "epochs": 3, "validation_data": (X, T), "metrics": ["mae"]}
    hist = model.fit(X, T, callbacks=cb.LambdaCallback(**{event: call}), **settings)
    other = plain.fit(X, T, **settings)
    assert messages
    for name in other.history:
        if name != "seconds":
            np.testing.assert_allclose(hist.history[name], other.history[name], rtol=1e-12)
    assert same(model, plain)
    assert model.history is hist
    model.fit(X, T, **MSE)


@pytest.mark.parametrize("event", ["on_epoch_end", "on_train_batch_end"])
def test_callbacks_may_predict_evaluate_and_save(event: str, tmp_path: Path) -> None:
    model, plain = net(), net()

    def call(*args: Any) -> None:
        model.load_state_dict(model.state_dict())
        model.predict(X)
        model.evaluate(X, T, metrics=["mae"])
        model.evaluate(X, T, loss="l1")
        model.health(X, T)
        model.save(tmp_path / "net.safetensors")
        model.summary()
        model(X)
        assert same(pickle.loads(pickle.dumps(model)), model)
        copy.deepcopy(model).fit(X, T, **MSE)
        pynn.load(tmp_path / "net.safetensors").predict(X)

    settings: dict[str, Any] = {**MSE, "epochs": 3, "validation_data": (X, T)}
    hist = model.fit(X, T, callbacks=cb.LambdaCallback(**{event: call}), **settings)
    assert hist.history["loss"] == plain.fit(X, T, **settings).history["loss"]
    assert same(model, plain)


def test_training_continues_from_weights_loaded_by_a_callback() -> None:
    model, plain = net(), net()
    start = model.state_dict()
    opt = pynn.optim.SGD(lr=0.01)
    model.fit(X, T, epochs=2, optimizer=opt, callbacks=after(0, lambda: model.load_state_dict(start)), **MSE)
    plain.fit(X, T, epochs=2, initial_epoch=1, optimizer=pynn.optim.SGD(lr=0.01), **MSE)
    assert same(model, plain)


def test_callbacks_may_train_another_model_with_shared_layers() -> None:
    """For example, generative adversarial nets."""
    full = net()
    part = pynn.Sequential(*full[:2], pynn.Linear(8, 1, seed=7, dtype="float64"))
    losses: list[float] = []
    train = lambda batch, logs: losses.append(part.train_on_batch(X, T, loss="mse")["loss"])  # noqa: E731
    full.fit(X, T, callbacks=cb.LambdaCallback(on_train_batch_end=train), **MSE)
    assert losses[-1] < losses[0]


def test_a_batch_generator_may_call_predict() -> None:
    model = net()

    def bootstrapped() -> Iterator[tuple[Any, Any]]:
        for x, t in batches_of(10):
            yield x, t + 0.1 * model.predict(x)[:, 0]

    assert len(model.fit(bootstrapped, epochs=3, **MSE).epoch) == 3


# ---- threads -----------------------------------------------------------------------------------------------------------
SHARED: dict[str, Callable[[], tuple[pynn.Sequential, pynn.Sequential]]] = {
    "layer": lambda: ((a := net()), pynn.Sequential(a[0], "relu", pynn.Linear(8, 1, seed=4, dtype="float64"))),
    "model": lambda: ((a := net()), pynn.Sequential(a)),
    "parameter": lambda: ((a := net()), pynn.Sequential(Scaled(a.parameters()[1]), pynn.Linear(8, 1, seed=4, dtype="float64"))),
}


class Scaled(pynn.Layer):
    def __init__(self, scale: pynn.Parameter) -> None:
        super().__init__()
        self.scale = scale

    def output_shape(self, shape: Any) -> Any:
        return (8,)

    def forward(self, x: Any) -> Any:
        return x[:, :1] * self.scale.data

    def backward(self, gy: Any) -> Any:
        return np.zeros((len(gy), 4))


@pytest.mark.parametrize("what", ["fit", "partial_fit", "train_on_batch", "find_lr"])
@pytest.mark.parametrize("kind", SHARED)
def test_training_shared_parameters_in_two_threads_raises(kind: str, what: str) -> None:
    a, b = SHARED[kind]()
    entered, done = threading.Event(), threading.Event()

    def wait(epoch: int, logs: Any) -> None:
        entered.set()
        assert done.wait(20)

    trains = threading.Thread(target=lambda: a.fit(X, T, callbacks=wait, **MSE))
    trains.start()
    try:
        assert entered.wait(20)
        before = b.state_dict()
        with pytest.raises(RuntimeError, match=f"{'fit' if what == 'partial_fit' else what}: another thread trains a model that shares"):
            getattr(b, what)(X, T, loss="mse")
        assert all((before[name] == value).all() for name, value in b.state_dict().items())
        net().fit(X, T, **MSE)
    finally:
        done.set()
        trains.join()
    getattr(b, what)(X, T, loss="mse")


# ---- directions --------------------------------------------------------------------------------------------------------
MONITORS: dict[str, Callable[..., Any]] = {
    "EarlyStopping": cb.EarlyStopping,
    "ReduceLROnPlateau": cb.ReduceLROnPlateau,
    "ModelCheckpoint": lambda monitor, **kw: cb.ModelCheckpoint("unused.safetensors", monitor=monitor, save_best_only=True, **kw),
}
RISES = {
    **dict.fromkeys(("accuracy", "f1", "precision", "recall", "roc_auc", "top_2_accuracy"), True),
    **dict.fromkeys(("loss", "log_loss", "ece", "seconds"), False),
}


def untrained(epoch: int, logs: Any) -> None:
    pytest.fail("an epoch was trained")


@pytest.mark.parametrize("monitor", RISES)
def test_every_reported_score_has_a_direction(monitor: str) -> None:
    model = net(last=3)
    names = [monitor] if monitor not in ("loss", "seconds", "accuracy") else None
    for make in MONITORS.values():
        for prefix in ("", "val_") if monitor != "seconds" else ("",):
            one = make(prefix + monitor)
            model.fit(X, Y, loss="cross_entropy", epochs=0, metrics=names, validation_data=(X, Y), callbacks=[one])
            assert one._rises is RISES[monitor]


@pytest.mark.parametrize(("metric", "rises"), [("mae", False), ("mse", False), ("rmse", False), ("r2", True)])
def test_the_direction_comes_from_the_metric_not_from_its_name(metric: str, rises: bool) -> None:
    for named in ([metric], {"custom_accuracy": metric}, {"my_loss": metric}):
        stop = cb.EarlyStopping(next(iter(named)))
        net().fit(X, T, epochs=0, metrics=named, callbacks=stop, **MSE)
        assert stop._rises is rises


@pytest.mark.parametrize("make", MONITORS.values(), ids=MONITORS)
@pytest.mark.parametrize("name", ["custom", "mape", "nll", "perplexity", "rmsle", "error_rate", "my_accuracy", "my_loss"])
@pytest.mark.parametrize("val", [False, True])
def test_monitoring_a_metric_without_direction_requires_a_mode(make: Any, name: str, val: bool) -> None:
    model = net()
    settings = {**MSE, "epochs": 3, "metrics": {name: lambda t, p: 1.0}, "validation_data": (X, T) if val else None}
    monitor = f"val_{name}" if val else name
    with pytest.raises(ValueError, match=rf"smaller '{monitor}' is better is not known; give mode='min' or mode='max'"):
        model.fit(X, T, callbacks=[make(monitor), untrained], **settings)
    assert same(model, net())
    for mode in ("min", "max"):
        model.fit(X, T, callbacks=[make(monitor, mode=mode)], **{**settings, "epochs": 0})


@pytest.mark.parametrize("how", ["function", "partial", "object"])
@pytest.mark.parametrize("rises", [True, False, np.True_])
def test_greater_is_better_gives_the_direction(how: str, rises: bool) -> None:
    values = iter([2.0, 3.0, 1.0])

    def custom(t: Any, p: Any, k: int = 0) -> float:
        return next(values)

    class Custom:
        greater_is_better = rises

        def __call__(self, t: Any, p: Any) -> float:
            return next(values)

    custom.greater_is_better = rises  # type: ignore[attr-defined]
    metric = {"function": custom, "partial": functools.partial(custom, k=1), "object": Custom()}[how]
    stop = cb.EarlyStopping("score", patience=5)
    net().fit(X, T, epochs=3, metrics={"score": metric}, callbacks=stop, **MSE)
    assert (stop.best, stop.best_epoch) == ((3.0, 1) if rises else (1.0, 2))


def test_an_invalid_direction_raises() -> None:
    def custom(t: Any, p: Any) -> float:
        return 1.0

    custom.greater_is_better = "yes"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="greater_is_better of custom must be True or False, got 'yes'"):
        net().fit(X, T, metrics=[custom], callbacks=untrained, **MSE)


def scripted(**numbers: list[float]) -> cb.Callback:
    """Return a callback that reports these scores, one per epoch."""

    class Script(cb.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            logs.update({name: values[epoch] for name, values in numbers.items()})

    return Script()


def test_scores_reported_by_callbacks_can_be_monitored() -> None:
    for name, best in (("val_mae", 0.5), ("val_loss", 0.5), ("val_accuracy", 3.0), ("r2", 3.0)):
        stop = cb.EarlyStopping(name)
        net().fit(X, T, epochs=3, callbacks=[scripted(**{name: [2.0, 3.0, 0.5]}), stop], **MSE)
        assert stop.best == best
    stop = cb.EarlyStopping("flat", patience=2)
    hist = net().fit(X, T, epochs=5, callbacks=[scripted(flat=[1.0] * 5), stop], **MSE)
    assert len(hist.epoch) == 3
    with pytest.raises(ValueError, match="smaller 'flat' is better is not known"):
        net().fit(X, T, epochs=3, callbacks=[scripted(flat=[1.0, 2.0, 3.0]), cb.EarlyStopping("flat")], **MSE)
    with pytest.raises(ValueError, match="monitor 'flt' is not reported; known: loss, seconds, flat"):
        net().fit(X, T, epochs=3, callbacks=[scripted(flat=[1.0, 2.0, 3.0]), cb.EarlyStopping("flt")], **MSE)


# ---- before the first epoch --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", MONITORS.values(), ids=MONITORS)
@pytest.mark.parametrize("monitor", ["val_loss", "val_mae", "acc", "val_los", "mae"])
def test_an_unknown_monitor_raises_before_the_first_epoch(make: Any, monitor: str) -> None:
    model = net()
    with pytest.raises(ValueError, match=rf"monitor '{monitor}' is not reported; known: loss, seconds") as raised:
        model.fit(X, T, callbacks=[make(monitor), untrained], **MSE)
    assert ("validation_data" in str(raised.value)) == monitor.startswith("val_")
    assert same(model, net())


def test_names_of_several_outputs_are_checked_before_the_first_epoch() -> None:
    x = pynn.Input(4)
    body = pynn.Linear(4, 8, seed=0)(x)
    heads = {"kind": pynn.Linear(8, 2, seed=1)(body), "size": pynn.Linear(8, 1, seed=2)(body)}
    model = pynn.Model(x, heads)
    loss, targets = {"kind": "cross_entropy", "size": "mse"}, {"kind": Y, "size": T}
    names = ["loss", "kind_loss", "kind_accuracy", "kind_f1", "size_loss", "size_mae"]
    for name in names:
        stop = cb.EarlyStopping(f"val_{name}")
        hist = model.fit(
            X, targets, loss=loss, metrics={"kind": ["f1"], "size": ["mae"]}, validation_data=(X, targets), callbacks=stop, seed=0
        )
        assert stop._rises is (name in ("kind_accuracy", "kind_f1"))
    assert [*hist.history] == [*names, "seconds", *(f"val_{name}" for name in names)]
    with pytest.raises(ValueError, match="monitor 'size_accuracy' is not reported; known: loss, kind_loss"):
        model.fit(X, targets, loss=loss, callbacks=[cb.EarlyStopping("size_accuracy"), untrained])


@pytest.mark.parametrize("path", ["a-{nothing}", "a-{val_loss}", "a-{loss:d}", "a-{}", "a-{0}", "a-{loss", "a-{epoch.x}"])
def test_an_invalid_path_template_raises_before_the_first_epoch(path: str) -> None:
    model = net()
    with pytest.raises(ValueError, match=r"path: .* cannot be filled in with epoch, loss, seconds"):
        model.fit(X, T, callbacks=[cb.ModelCheckpoint(path), untrained], **MSE)
    assert same(model, net())


def test_a_path_may_contain_scores_reported_by_callbacks(tmp_path: Path) -> None:
    path = tmp_path / "{epoch:02d}-{custom:.1f}.safetensors"
    net().fit(X, T, epochs=2, callbacks=[scripted(custom=[1.0, 2.0]), cb.ModelCheckpoint(path)], **MSE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01-1.0.safetensors", "02-2.0.safetensors"]


WRITERS: dict[str, Callable[[Path], cb.Callback]] = {
    "ModelCheckpoint": lambda folder: cb.ModelCheckpoint(folder / "net.safetensors"),
    "ModelCheckpoint by epoch": lambda folder: cb.ModelCheckpoint(folder / "{epoch}" / "net.safetensors"),
    "Checkpoint": lambda folder: pynn.Checkpoint(folder / "training"),
    "CSVLogger": lambda folder: cb.CSVLogger(folder / "log.csv"),
    "TensorBoard": lambda folder: cb.TensorBoard(folder / "runs"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_cannot_be_written_raises_before_the_first_epoch(name: str, tmp_path: Path) -> None:
    if name == "TensorBoard":
        pytest.importorskip("tensorboardX")
    (tmp_path / "file").write_text("")
    model = net()
    for folder in (tmp_path / "file", Path("/proc/self"), Path("/proc/1/nothing")):
        with pytest.raises(OSError, match=str(folder)):
            model.fit(X, T, callbacks=[WRITERS[name](folder), untrained], **MSE)
    assert same(model, net())


@pytest.mark.parametrize("make", [cb.ModelCheckpoint, pynn.Checkpoint, cb.CSVLogger])
def test_a_folder_instead_of_a_file_raises_before_the_first_epoch(make: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}: is a directory"):
        net().fit(X, T, callbacks=[make(tmp_path), untrained], **MSE)


def test_columns_of_a_log_are_compared_before_the_first_epoch(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    net().fit(X, T, callbacks=cb.CSVLogger(path), **MSE)
    before = path.read_text()
    with pytest.raises(ValueError, match="has the columns epoch, loss, seconds, but this training reports epoch, loss, mae, seconds"):
        net().fit(X, T, metrics=["mae"], callbacks=[cb.CSVLogger(path, append=True), untrained], **MSE)
    with pytest.raises(ValueError, match="has the columns"):
        net().fit(X, T, validation_data=(X, T), callbacks=[cb.CSVLogger(path, append=True), untrained], **MSE)
    assert path.read_text() == before
    net().fit(X, T, callbacks=[scripted(custom=[1.0]), cb.CSVLogger(tmp_path / "more.csv")], **MSE)
    assert (tmp_path / "more.csv").read_text().splitlines()[0] == "epoch,loss,seconds,custom"


def test_health_monitor_without_health_raises_before_the_first_epoch() -> None:
    with pytest.raises(ValueError, match=r"HealthMonitor: .*health=False"):
        net().fit(X, T, health=False, callbacks=[cb.HealthMonitor(), untrained], **MSE)


def test_a_missing_learning_rate_raises_before_the_first_epoch() -> None:
    for one in (cb.LRScheduler(lambda e: 0.1), cb.ReduceLROnPlateau()):
        with pytest.raises(ValueError, match="LevenbergMarquardt has no learning rate"):
            net().fit(X, T, optimizer="levenberg_marquardt", callbacks=[one, untrained], **MSE)
    with pytest.raises(TypeError, match=r"LRScheduler's schedule is called with \(epoch\)"):
        cb.LRScheduler(lambda: 0.1)  # type: ignore[arg-type]


# ---- several calls of fit ----------------------------------------------------------------------------------------------
def test_the_best_score_is_kept_across_calls_of_fit(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    best = cb.ModelCheckpoint(path, monitor="score", mode="max", save_best_only=True)
    model, saved = net(), []
    for values in ([0.5, 0.9], [0.1, 0.2], [0.8, 0.95]):
        score = {"score": functools.partial(lambda it, t, p: next(it), iter(values))}
        path.unlink(missing_ok=True)
        model.fit(X, T, epochs=2, metrics=score, callbacks=best, **MSE)
        saved.append(path.exists())
    assert (saved, best.best) == ([True, False, True], 0.95)
    other = cb.ModelCheckpoint(path, monitor="score", mode="max", save_best_only=True)
    other.load_state_dict(best.state_dict())
    path.unlink()
    model.fit(X, T, metrics={"score": lambda t, p: 0.93}, callbacks=other, **MSE)
    assert not path.exists()
    model.fit(X, T, metrics={"score": lambda t, p: 0.97}, callbacks=other, **MSE)
    assert path.exists()


def test_a_best_score_of_another_monitor_is_not_reused(tmp_path: Path) -> None:
    best = cb.ModelCheckpoint(tmp_path / "best.safetensors", save_best_only=True)
    net().fit(X, T, validation_data=(X[:1], 0 * T[:1]), callbacks=best, **MSE)
    first = best.best
    hist = net().fit(X, T, callbacks=best, **MSE)
    assert best.best == hist.history["loss"][0] != first


def test_early_stopping_starts_over_in_each_fit() -> None:
    stop = cb.EarlyStopping(patience=1, restore_best=False)
    model = net()
    lengths = [len(model.fit(X, T, epochs=3, callbacks=stop, optimizer=zero_rate(), **MSE).epoch) for _ in range(2)]
    assert lengths == [2, 2]


def test_a_score_that_is_always_nan_stops_after_the_patience() -> None:
    stop = cb.EarlyStopping("score", mode="max", patience=3)
    hist = net().fit(X, T, epochs=9, metrics={"score": lambda t, p: np.nan}, callbacks=stop, **MSE)
    assert len(hist.epoch) == 3


# ---- epochs ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("given", [3, 2, 5, [1, 4], (5,), {2, 9}, np.int64(2), range(1, 9, 2), iter([1, 2])])
def test_validation_freq_selects_epochs(given: Any) -> None:
    given = list(given) if not isinstance(given, (int, np.integer)) else given
    expected = [e for e in range(5) if ((e + 1) in given if isinstance(given, list) else (e + 1) % given == 0)]
    calls: list[int] = []
    tested = cb.LambdaCallback(on_test_begin=lambda logs: calls.append(1))
    settings = {**MSE, "epochs": 5, "validation_data": (X, T), "metrics": ["mae"]}
    every = net().fit(X, T, **settings)
    hist = net().fit(X, T, validation_freq=iter(given) if isinstance(given, list) else given, callbacks=tested, **settings)
    assert len(calls) == len(expected)
    assert hist.history["loss"] == every.history["loss"]
    assert hist.history.get("val_loss", []) == [every.history["val_loss"][e] for e in expected]
    assert hist.epochs_of("loss") == [0, 1, 2, 3, 4]
    if expected:
        assert hist.epochs_of("val_mae") == expected
        lines = [line.split() for line in str(hist).splitlines()]
        assert [line[-1] == "-" for line in lines[1:]] == [e not in expected for e in range(5)]
        frame = pytest.importorskip("pandas") and hist.to_pandas()
        assert frame["val_loss"].notna().tolist() == [e in expected for e in range(5)]
        assert len(hist._repr_html_()) > 10


def test_callbacks_skip_epochs_without_validation(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**MSE, "epochs": 6, "validation_data": (X, T), "validation_freq": 2, "optimizer": zero_rate()}
    stop = cb.EarlyStopping(patience=2)
    hist = net().fit(X, T, callbacks=stop, **settings)
    assert (stop.best_epoch, stop.stopped_epoch, len(hist.epoch)) == (1, 5, 6)
    log = tmp_path / "log.csv"
    best = cb.ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.2f}.safetensors")
    plateau = cb.ReduceLROnPlateau("val_loss", patience=2, factor=0.5)
    opt = pynn.optim.SGD(lr=1e-30, schedule=pynn.optim.lr_scheduler.ReduceLROnPlateau(patience=0, factor=0.5))
    rates: list[float] = []
    record = lambda epoch, logs: rates.append(opt.param_groups[0]["lr"])  # noqa: E731
    net().fit(X, T, callbacks=[cb.CSVLogger(log), best, record], **{**settings, "optimizer": opt})
    rows = [*csv.DictReader(log.read_text().splitlines())]
    assert [row["val_loss"] != "" for row in rows] == [False, True] * 3
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert sorted(p.name.split("-")[0] for p in tmp_path.glob("*.safetensors")) == ["2", "4", "6"]
    assert [rate / 1e-30 for rate in rates] == pytest.approx([1, 1, 1, 1, 1, 1])  # changes smaller than eps are not applied
    opt = pynn.optim.SGD(lr=1.0)
    net().fit(X, T, callbacks=plateau, **{**settings, "optimizer": opt, "on_nan": "ignore", "health": False})


def test_plots_show_scores_at_their_epochs() -> None:
    pytest.importorskip("matplotlib")
    hist = net().fit(X, T, epochs=4, validation_data=(X, T), validation_freq=2, **MSE)
    lines = hist.plot().axes[0].get_lines()
    assert [line.get_xdata().tolist() for line in lines] == [[1, 2, 3, 4], [2, 4]]


def test_initial_epoch_continues_the_count() -> None:
    full, parts, seen = net(), net(), []
    opt = pynn.optim.Adam()
    full.fit(X, T, epochs=5, optimizer="adam", **MSE)
    first = parts.fit(X, T, epochs=2, optimizer=opt, **MSE)
    second = parts.fit(X, T, epochs=5, initial_epoch=2, optimizer=opt, callbacks=lambda epoch, logs: seen.append(epoch), **MSE)
    assert same(full, parts)
    assert (seen, first.epoch, second.epoch) == ([2, 3, 4], [0, 1], [2, 3, 4])
    assert [line.split()[0] for line in str(second).splitlines()[1:]] == ["3", "4", "5"]
    frame = pytest.importorskip("pandas") and second.to_pandas()
    assert frame.index.tolist() == [3, 4, 5]
    assert net().fit(X, T, epochs=3, initial_epoch=3, **MSE).epoch == []
    rates: list[float] = []
    cosine = cb.LRScheduler(lambda epoch: 0.1 / (1 + epoch))
    record = lambda epoch, logs: rates.append(opt.param_groups[0]["lr"])  # noqa: E731
    opt = pynn.optim.Adam()
    net().fit(X, T, epochs=4, initial_epoch=2, optimizer=opt, callbacks=[cosine, record], **MSE)
    assert rates == [0.1 / 3, 0.1 / 4]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("each", [False, True])
def test_drop_last_omits_the_incomplete_batch(shuffle: bool, each: bool) -> None:
    sizes: list[int] = []
    rows: list[Any] = []

    class Record(pynn.Layer):
        def forward(self, x: Any) -> Any:
            sizes.append(len(x))
            rows.extend(x[:, 0].tolist())
            return x

        def backward(self, gy: Any) -> Any:
            return gy

    call = cb.LambdaCallback(on_train_batch_end=lambda batch, logs: None) if each else None
    model = pynn.Sequential(Record(), pynn.Linear(4, 1, seed=0, dtype="float64"))
    model.predict(X)
    sizes.clear()
    rows.clear()
    counted: list[int] = []
    metric = {"custom": lambda t, p: counted.append(len(t)) or float(((t - p[:, 0]) ** 2).mean())}
    settings = {**MSE, "batch_size": 20, "shuffle": shuffle, "drop_last": True, "callbacks": call, "health": False}
    hist = model.fit(X, T, epochs=3, metrics=metric, **settings)
    assert [n for n in sizes if n > 1] == [20] * 6
    assert counted == [40] * 3
    np.testing.assert_allclose(hist.history["custom"], hist.history["loss"], rtol=1e-12)
    assert model.optimizer is not None
    assert model.optimizer.steps == 6
    used = [set(rows[-120:][40 * i : 40 * i + 40]) for i in range(3)]
    assert (used[0] != used[1]) == shuffle
    full = net().fit(X, T, **{**MSE, "batch_size": 25, "drop_last": True})
    assert full.history["loss"] == net().fit(X, T, **{**MSE, "batch_size": 25}).history["loss"]


def test_a_batch_of_one_row_can_be_dropped_for_batch_norm() -> None:
    model = pynn.Sequential(pynn.Linear(4, 3, seed=0), pynn.BatchNorm1d(3), pynn.Linear(3, 1, seed=1))
    with pytest.raises(ValueError, match="BatchNorm1d"):
        model.fit(X[:41], T[:41], batch_size=20, **MSE)
    model.fit(X[:41], T[:41], batch_size=20, drop_last=True, **MSE)


def test_training_with_drop_last_resumes_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "t"
    settings = {**MSE, "batch_size": 20, "drop_last": True, "validation_data": (X, T), "validation_freq": 2}
    full, first, second = net(), net(), net()
    known = full.fit(X, T, epochs=4, callbacks=pynn.Checkpoint(path), **settings)
    first.fit(X, T, epochs=3, callbacks=pynn.Checkpoint(path), **settings)
    hist = second.fit(X, T, epochs=4, callbacks=pynn.Checkpoint(path), resume_from=path, **settings)
    assert same(full, second)
    assert {k: v for k, v in hist.history.items() if k != "seconds"} == {k: v for k, v in known.history.items() if k != "seconds"}
    assert hist.epochs_of("val_loss") == [1, 3]
    with pytest.raises(ValueError, match="drop_last was True, but is False now"):
        net().fit(X, T, epochs=4, resume_from=path, **{**settings, "drop_last": False})


def endless() -> Iterator[tuple[Any, Any]]:
    while True:
        yield from batches_of(10)


def test_validation_steps_limit_the_batches() -> None:
    settings: dict[str, Any] = {**MSE, "epochs": 3}
    some = net().fit(X, T, validation_data=batches_of(10)[:2], **settings).history["val_loss"]
    for given in (batches_of(10), endless):
        assert net().fit(X, T, validation_data=given, validation_steps=2, **settings).history["val_loss"] == some
    running = net().fit(X, T, validation_data=endless(), validation_steps=5, **settings).history["val_loss"]
    assert running == pytest.approx(net().fit(X, T, validation_data=(X, T), **settings).history["val_loss"], rel=1e-12)


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "freq of 0": ({"validation_freq": 0, "validation_data": (X, T)}, ValueError, "validation_freq: .*1 or more.*0"),
    "freq of text": ({"validation_freq": "2", "validation_data": (X, T)}, ValueError, "validation_freq: .*'2'"),
    "freq of halves": ({"validation_freq": [0.5], "validation_data": (X, T)}, ValueError, "validation_freq: .*0.5"),
    "freq of nothing": ({"validation_freq": 2}, ValueError, "validation_freq: needs validation_data"),
    "steps of arrays": ({"validation_steps": 2, "validation_data": (X, T)}, ValueError, "validation_steps: applies only to .*batches"),
    "steps of nothing": ({"validation_steps": 2}, ValueError, "validation_steps: applies only to"),
    "steps of 0": ({"validation_steps": 0, "validation_data": batches_of(10)}, ValueError, "validation_steps: .*1 or more.*0"),
    "too few": ({"validation_steps": 9, "validation_data": batches_of(10)}, ValueError, "gave 5 batches, and validation_steps is 9"),
    "initial": ({"initial_epoch": -1}, ValueError, "initial_epoch: .*-1"),
    "initial too late": ({"initial_epoch": 5}, ValueError, "initial_epoch: expected at most epochs = 1"),
    "half initial": ({"initial_epoch": 0.5}, ValueError, "initial_epoch: .*0.5"),
    "nothing left": ({"drop_last": True, "batch_size": 64}, ValueError, "drop_last: 50 rows are fewer than batch_size = 64"),
    "initial and resumed": ({"initial_epoch": 1, "epochs": 2, "resume_from": "x"}, ValueError, "initial_epoch: resume_from"),
}


@pytest.mark.parametrize("name", WRONG)
def test_invalid_epoch_settings_raise(name: str) -> None:
    arguments, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        net().fit(X, T, **{**MSE, **arguments})
    with pytest.raises(ValueError, match="drop_last: needs X and y as arrays"):
        net().fit(batches_of(10), drop_last=True, **MSE)


def test_messages_count_epochs_from_1() -> None:
    def explode(epoch: int, logs: Any) -> None:
        if epoch == 1:
            model[0].weight[0, 0] = np.inf

    model = net()
    with pytest.raises(pynn.DivergenceError, match="in epoch 3, step") as raised:
        model.fit(X, T, epochs=5, callbacks=explode, **MSE)
    assert raised.value.epoch == 3
    model = net()
    with pytest.warns(RuntimeWarning, match="the loss is NaN in epoch 3"):
        model.fit(X, T, epochs=5, callbacks=explode, on_nan="ignore", **MSE)
    with pytest.raises(ValueError, match=r"got -1.0 in epoch 3"):
        net().fit(X, T, epochs=5, callbacks=cb.LRScheduler(lambda e: 0.1 if e < 2 else -1.0), **MSE)
