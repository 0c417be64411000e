"""Data sources: any dtype, strided rows, memory maps and iterables of batches. X is never copied as a whole."""

import array
import collections
import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn


def net(dtype: str = "float32", features: int = 6) -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(features, 8, seed=1, dtype=dtype), "relu", pynn.Linear(8, 3, seed=2, dtype=dtype))


def trained(X: Any, y: Any, **options: Any) -> list[bytes]:
    model = net(options.pop("dtype", "float32"))
    options = {"loss": "cross_entropy", "epochs": 2, "batch_size": 16, "seed": 0, **options}
    model.fit(X, y, **options)
    return [a.tobytes() for a in model.params.values()]


y = np.arange(50) % 3
SOURCES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">f4", ">i2"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_dtype_is_converted_batch_by_batch(source: str, dtype: str, shuffle: bool) -> None:
    X = np.random.default_rng(0).integers(0, 100, (50, 6)).astype(source)
    assert trained(X, y, dtype=dtype, shuffle=shuffle) == trained(X.astype(dtype), y, dtype=dtype, shuffle=shuffle)
    model = net(dtype)
    assert model.predict(X).tobytes() == model.predict(X.astype(dtype)).tobytes()
    assert model.predict(X, batch_size=7).shape == (50, 3)
    assert model.evaluate(X, y, loss="cross_entropy") == model.evaluate(X.astype(dtype), y, loss="cross_entropy")


@pytest.mark.parametrize("view", [np.s_[::2], np.s_[::-1], np.s_[:, ::-1], np.s_[:, 2:8], np.s_[5:]])
def test_strided_rows_train_like_contiguous_ones(view: Any) -> None:
    X = np.random.default_rng(0).normal(size=(60, 6 if view in (np.s_[::2], np.s_[::-1], np.s_[:, ::-1], np.s_[5:]) else 12))[view]
    X = X[: min(50, len(X))]
    assert trained(X, y[: len(X)]) == trained(np.ascontiguousarray(X), y[: len(X)])
    assert trained(np.asfortranarray(X), y[: len(X)]) == trained(X, y[: len(X)])


def test_a_memory_map_is_never_copied(tmp_path: Path) -> None:
    rows, features = 20_000, 400
    X = np.memmap(tmp_path / "x", np.uint8, "w+", shape=(rows, features))
    X[:] = np.arange(rows)[:, None] % 251
    labels = np.arange(rows) % 3
    model = net(features=features)
    tracemalloc.start()
    try:
        model.fit(X, labels, loss="cross_entropy", epochs=1, seed=0)
        out = model.predict(X)
        model.evaluate(X, labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert out.shape == (rows, 3)
    assert peak < X.nbytes / 2


def batches(X: Any, y: Any, size: int = 16) -> Iterator[tuple[Any, Any]]:
    for i in range(0, len(X), size):
        yield X[i : i + size], y[i : i + size]


class Stream:
    def __init__(self, X: Any, y: Any) -> None:
        self.X, self.y = X, y

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return batches(self.X, self.y)


@pytest.mark.parametrize("source", [Stream, lambda X, y: list(batches(X, y)), lambda X, y: lambda: batches(X, y)])
def test_iterables_train_like_arrays(source: Any) -> None:
    X = np.random.default_rng(0).normal(size=(50, 6))
    assert trained(source(X, y), None) == trained(X, y, shuffle=False)
    model = net()
    hist = model.fit(source(X, y), loss="cross_entropy", epochs=3, validation_data=(X, y)).history
    assert len(hist["loss"]) == len(hist["val_accuracy"]) == 3
    assert hist["loss"][2] < hist["loss"][0]


def test_invalid_iterables_raise() -> None:
    X = np.zeros((50, 6))
    cases: list[tuple[Any, type[Exception], str]] = [
        (X, TypeError, "y: expected a target"), (7, TypeError, "y: expected a target"), ([], ValueError, "gave no batch"),
        ([(X, y, y, y)], TypeError, r"\(X, y\)"), ([X], TypeError, r"\(X, y\)"), ([(X, y), (X[:, :5], y)], ValueError, "5"),
        ([(X, y), (X[:0], y[:0])], ValueError, "X of batch 1: .*no rows"), (batches(X, y), ValueError, "X: a generator is exhausted"),
        ([(X, y), (X * 1j, y)], TypeError, "X of batch 1: dtype complex"), ([(X, y), (X, y + 9)], ValueError, "y of batch 1: class 9"),
        ([(X, y), (X, y, X[:, 0] * np.nan)], ValueError, "sample_weight of batch 1"), ([(X, y), 3], TypeError, "batch 1 is of type int"),
        (lambda: 3, TypeError, "the function gave int"), (Once(batches(X, y)), ValueError, "exhausted after one epoch"),
    ]  # fmt: skip
    for source, error, message in cases:
        with pytest.raises(error, match=message):
            trained(source, None)


class Once:
    """An iterable that yields its batches only once, which its type does not show."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def __iter__(self) -> Iterator[Any]:
        return iter(self.given)


def test_steps_per_epoch_cuts_endless_iterables(tmp_path: Path) -> None:
    """An endless generator continues in the next epoch; a list that ends within an epoch starts again."""
    X = np.random.default_rng(0).normal(size=(50, 6))
    four = list(batches(X, y))

    def endless() -> Iterator[Any]:
        for i in itertools.count():
            yield four[i % 4]

    def fitted(source: Any, epochs: int = 3, **more: Any) -> tuple[pynn.Sequential, list[float]]:
        model = net()
        return model, model.fit(source, loss="cross_entropy", epochs=epochs, **more).history["loss"]

    listed, _ = fitted(four * 2, 2)
    full = b"".join(a.tobytes() for a in listed.params.values())
    for source in (endless(), endless, four, lambda: iter(four), itertools.cycle(four)):
        model, losses = fitted(source, 4, steps_per_epoch=4)
        assert b"".join(a.tobytes() for a in model.params.values()) == full
        assert len(losses) == 4
    _, three = fitted(endless(), 2, steps_per_epoch=3)
    assert three == fitted(four, 2, steps_per_epoch=3)[1]
    assert three == fitted(Cut([four[:3], [four[3], *four[:2]]]), 2)[1]
    parts: dict[str, Any] = {"callbacks": [pynn.Checkpoint(tmp_path / "t")], "steps_per_epoch": 3}
    fitted(endless, 2, **parts)
    assert fitted(endless, 5, resume_from=tmp_path / "t", **parts)[1] == fitted(endless, 5, steps_per_epoch=3)[1]
    with pytest.raises(ValueError, match="steps_per_epoch was 3, but is 2 now"):
        fitted(endless, 5, resume_from=tmp_path / "t", steps_per_epoch=2)
    with pytest.raises(ValueError, match="is exhausted after 1 of the 3 batches"):
        fitted(batches(X, y), 2, steps_per_epoch=3)
    with pytest.raises(ValueError, match="steps_per_epoch: expected an integer of 1 or more"):
        fitted(four, steps_per_epoch=0)
    with pytest.raises(ValueError, match="steps_per_epoch: applies only to batches"):
        net().fit(X, y, loss="cross_entropy", steps_per_epoch=3)


class Cut:
    """An iterable with other batches in each epoch."""

    def __init__(self, epochs: list[Any]) -> None:
        self.epochs = iter(epochs)

    def __iter__(self) -> Iterator[Any]:
        return iter(next(self.epochs))


def test_iterables_for_validation_and_evaluation() -> None:
    X = np.random.default_rng(0).normal(size=(50, 6))
    w = np.random.default_rng(1).random(50)
    three = [(X[i : i + 16], y[i : i + 16], w[i : i + 16]) for i in range(0, 50, 16)]
    settings: dict[str, Any] = {"loss": "cross_entropy", "epochs": 2, "metrics": ["f1"], "seed": 0}
    full = net().fit(X, y, validation_data=(X, y, w), **settings).history
    for given in (three, lambda: iter(three), Stream(X, y), list(batches(X, y))[:2]):
        model = net()
        hist = model.fit(X, y, validation_data=given, **settings).history
        assert len(hist["val_loss"]) == 2
        if given is not three:
            continue
        np.testing.assert_allclose(hist["val_loss"], full["val_loss"], rtol=1e-6)
        assert hist["val_f1"] == full["val_f1"]
        assert hist["val_accuracy"] == full["val_accuracy"]
        assert model.evaluate(three) == model.evaluate(lambda: iter(three)) == model.evaluate(iter(three))
        assert model.evaluate(three)["loss"] == pytest.approx(model.evaluate(X, y, sample_weight=w)["loss"], rel=1e-6)
        assert model.evaluate(three)["f1"] == model.evaluate(X, y)["f1"]
        with pytest.raises(ValueError, match="sample_weight: needs X and y"):
            model.evaluate(three, sample_weight=w)
        with pytest.raises(ValueError, match=r"X of batch 1: samples of shape \(5,\), expected \(6,\)"):
            model.evaluate([three[0], (X[:, :5], y)])
        with pytest.warns(RuntimeWarning, match="row 2 of batch 1"):
            model.evaluate([three[0], (np.where(np.arange(50)[:, None] == 2, np.nan, X), y)])
        with pytest.raises(TypeError, match="y: expected a target"):
            model.evaluate(X)
    cases: list[tuple[Any, type[Exception], str]] = [
        (batches(X, y), ValueError, "validation_data: a generator is exhausted after one epoch.* 2"),
        (zip(X, y, strict=True), ValueError, "validation_data: a zip is exhausted"), ([], ValueError, "validation_data: .*gave no batch"),
        (Once(batches(X, y)), ValueError, "validation_data: .*exhausted after one epoch"), ((X,), TypeError, "got tuple of 1"),
        ([(X, y), (X, y[:4])], ValueError, "validation_data: y of batch 1"),
        ([(X, y), (X, y), (X, y), 3], TypeError, "validation_data: .*batch 3"),
    ]  # fmt: skip
    for given, error, message in cases:
        with pytest.raises(error, match=message):
            net().fit(X, y, validation_data=given, **settings)
    once = net().fit(X, y, validation_data=batches(X, y), **settings | {"epochs": 1}).history
    assert once["val_f1"] == full["val_f1"][:1]


def test_calls_use_the_current_layers() -> None:
    """Predictions and eager calls use the current layers, in nested nets as well."""
    X = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    inner = net()
    outer = pynn.Sequential(inner, "identity")
    for model in (inner, outer):
        assert np.array_equal(model.predict(X), model(X))
    inner[1] = "tanh"
    changed = outer.predict(X)
    assert np.array_equal(changed, outer(X))
    assert np.array_equal(changed, pynn.Sequential(inner[0], "tanh", inner[2]).predict(X))
    inner.append("softmax")
    assert np.allclose(outer.predict(X).sum(1), 1)
    assert np.allclose(outer(X).sum(1), 1)
    del inner[-1]
    assert np.array_equal(outer.predict(X), changed)
    inner.insert(0, pynn.Linear(6, 6))
    assert [type(layer).__name__ for layer in inner.layers] == ["Linear", "Linear", "Tanh", "Linear"]
    with pytest.raises(ValueError, match="one dtype"):
        inner[0] = pynn.Linear(6, 6, dtype="float64")
    assert inner[0].dtype == "float32"


def test_plan_summary_lists_steps() -> None:
    text = net().plan_summary(rows=16)
    assert "linear + activation" in text
    assert text.splitlines()[-1].startswith("8 steps, ")
    with pytest.raises(ValueError, match=r"shape: "):
        pynn.Sequential("relu").plan_summary()
    assert "relu" in pynn.Sequential("relu").plan_summary((3, 4), mode="predict")
    with pytest.raises(ValueError, match=r"mode: .*'fast'"):
        net().plan_summary(mode="fast")


# ---- sequences of batches without __iter__ -------------------------------------------------------------------------------
class Sequence:
    """Batches by index and a length, but no __iter__, as in keras.utils.PyDataset."""

    def __init__(self, bound: bool = True) -> None:
        self.bound, self.ended = bound, 0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        if i >= len(self) and self.bound:
            raise IndexError(i)
        rows = slice(15 * i, 15 * i + 15)
        return GIVEN[rows], TARGETS[rows]

    def on_epoch_end(self) -> None:
        self.ended += 1


GIVEN = np.random.default_rng(0).normal(size=(60, 3))
TARGETS = GIVEN @ [1.0, 2.0, 3.0]


@pytest.mark.parametrize("bound", [True, False])
def test_objects_with_getitem_and_len_are_iterables_of_batches(bound: bool) -> None:
    def net() -> pynn.Sequential:
        return pynn.Sequential(pynn.Linear(3, 1, seed=0))

    listed, data = [Sequence()[i] for i in range(4)], Sequence(bound)
    a, b = net(), net()
    of_list = a.fit(listed, loss="mse", epochs=2, metrics=["mae"], validation_data=listed).history
    of_data = b.fit(data, loss="mse", epochs=2, metrics=["mae"], validation_data=Sequence(bound)).history
    assert {k: v for k, v in of_list.items() if k != "seconds"} == {k: v for k, v in of_data.items() if k != "seconds"}
    assert data.ended == 2
    assert a.evaluate(listed) == b.evaluate(data) == b.evaluate(lambda: Sequence(bound))
    assert net().fit(Sequence(bound), loss="mse", epochs=3, steps_per_epoch=2).epoch == [0, 1, 2]
    for given in (data, lambda: (x for x, _ in listed), (x for x, _ in listed), iter(listed)):
        np.testing.assert_array_equal(b.predict(given), b.predict(GIVEN))
    with pytest.raises(ValueError, match="X: the iterable gave no batch"):
        b.predict(iter([]))


def test_predict_class_and_predict_proba_accept_batches() -> None:
    net = pynn.Sequential(pynn.Linear(3, 2, seed=0))
    net.fit(GIVEN, (TARGETS > 0).astype(int), loss="cross_entropy", seed=0)
    np.testing.assert_array_equal(net.predict_class(Sequence()), net.predict_class(GIVEN))
    np.testing.assert_array_equal(net.predict_proba(Sequence()), net.predict_proba(GIVEN))


def test_datasets_of_single_samples_raise() -> None:
    class Samples(Sequence):
        def __getitem__(self, i: int) -> tuple[np.ndarray, Any]:
            return GIVEN[i], TARGETS[i]

    with pytest.raises(ValueError, match=r"batch 0 is a single sample.*DataLoader\(dataset, batch_size=32\)"):
        pynn.Sequential(pynn.Linear(3, 1, seed=0)).fit(Samples(), loss="mse")


def test_predict_on_batches_of_several_inputs() -> None:
    a, b = pynn.Input(3), pynn.Input(3)
    model = pynn.Model([a, b], pynn.Linear(3, 1, seed=0)(pynn.Add()(a, b)))
    expected = model.predict((GIVEN, -2 * GIVEN))
    halves = [(GIVEN[:30], -2 * GIVEN[:30]), (GIVEN[30:], -2 * GIVEN[30:])]
    np.testing.assert_array_equal(model.predict(iter(halves)), expected)
    np.testing.assert_array_equal(model.predict(iter([(half, TARGETS[:30]) for half in halves])), expected)


def test_array_like_inputs_predict_like_arrays() -> None:
    net = pynn.Sequential(pynn.Linear(1, 1, seed=0))
    column = np.arange(5.0, dtype="f4")
    expected = net.predict(column)
    for given in (memoryview(column), range(5), array.array("f", column), collections.deque([0.0, 1.0, 2.0, 3.0, 4.0]), column.tolist()):
        np.testing.assert_array_equal(net.predict(given), expected)
    wide = pynn.Sequential(pynn.Linear(3, 1, seed=0))
    for batch in ([GIVEN, TARGETS], (GIVEN, TARGETS), [GIVEN], GIVEN.tolist(), (GIVEN,)):  # lists of arrays, as from a DataLoader
        np.testing.assert_array_equal(wide.predict(iter([batch])), wide.predict(GIVEN))
    with pytest.raises(TypeError, match="X: dtype object"):
        wide.predict({"a": GIVEN})
