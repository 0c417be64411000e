"""Data as it lies: bytes, strided rows, memory maps, iterables of batches; nothing of X is copied as a whole."""

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
def test_rows_at_any_distance(view: Any) -> None:
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


@pytest.mark.parametrize("source", [Stream, lambda X, y: list(batches(X, y))])
def test_batches_from_an_iterable(source: Any) -> None:
    X = np.random.default_rng(0).normal(size=(50, 6))
    assert trained(source(X, y), None) == trained(X, y, shuffle=False)
    model = net()
    hist = model.fit(source(X, y), loss="cross_entropy", epochs=3, validation_data=(X, y)).history
    assert len(hist["loss"]) == len(hist["val_accuracy"]) == 3
    assert hist["loss"][2] < hist["loss"][0]


def test_what_is_no_iterable_of_batches() -> None:
    X = np.zeros((50, 6))
    cases: list[tuple[Any, type[Exception], str]] = [
        (X, TypeError, "y: expected a target"), (7, TypeError, "y: expected a target"), ([], ValueError, "gave no batch"),
        ([(X, y, y, y)], TypeError, r"\(X, y\)"), ([X], TypeError, r"\(X, y\)"), ([(X, y), (X[:, :5], y)], ValueError, "5"),
        ([(X, y), (X[:0], y[:0])], ValueError, "no rows"), (batches(X, y), ValueError, "exhausted after one epoch"),
    ]  # fmt: skip
    for source, error, message in cases:
        with pytest.raises(error, match=message):
            trained(source, None)


def test_layers_can_be_changed_between_calls() -> None:
    """A prediction and a call always see the layers of the moment, in nested nets too."""
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


def test_plan_summary() -> None:
    text = net().plan_summary(rows=16)
    assert "linear + activation" in text
    assert text.splitlines()[-1].startswith("8 steps, ")
    with pytest.raises(ValueError, match=r"shape: "):
        pynn.Sequential("relu").plan_summary()
    assert "relu" in pynn.Sequential("relu").plan_summary((3, 4), mode="predict")
    with pytest.raises(ValueError, match=r"mode: .*'fast'"):
        net().plan_summary(mode="fast")
