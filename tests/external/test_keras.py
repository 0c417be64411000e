"""Exchange of weights with Keras: nets of the same architecture compute the same values with converted weights."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import io

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
K = keras.layers
LIKE = {"eps": 1e-3, "momentum": 0.01}
"""Keras's defaults of batch normalization."""


def dense() -> tuple[Any, pynn.Layer]:
    theirs = [K.Dense(8, "relu"), K.BatchNormalization(), K.Dense(4, use_bias=False), K.LayerNormalization(), K.RMSNormalization()]
    norms = pynn.LayerNorm(4, eps=1e-3), pynn.RMSNorm(4, eps=1e-6)
    ours = pynn.Linear(6, 8), "relu", pynn.BatchNorm1d(8, **LIKE), pynn.Linear(8, 4, bias=False), *norms, pynn.Linear(4, 2)
    return keras.Sequential([keras.Input((6,)), *theirs, K.Dense(2)]), pynn.Sequential(*ours)


def image() -> tuple[Any, pynn.Layer]:
    theirs = [
        *(K.Conv2D(4, (3, 2)), K.BatchNormalization(scale=True), K.PReLU(shared_axes=[1, 2]), K.DepthwiseConv2D(3, depth_multiplier=2)),
        *(K.SeparableConv2D(6, 3, padding="same"), K.Conv2DTranspose(3, 2, strides=2), K.GroupNormalization(3), K.MaxPooling2D()),
        *(K.Conv2D(4, 1, groups=1), K.Flatten(), K.BatchNormalization(), K.ReLU(), K.Dense(5), K.Dense(3)),
    ]
    ours = [
        *(pynn.Conv2d(3, 4, (3, 2)), pynn.BatchNorm2d(4, **LIKE), pynn.PReLU(4), pynn.Conv2d(4, 8, 3, groups=4)),
        *(pynn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), pynn.Conv2d(8, 6, 1), pynn.ConvTranspose2d(6, 3, 2, stride=2)),
        *(pynn.GroupNorm(3, 3, eps=1e-3), pynn.MaxPool2d(2), pynn.Conv2d(3, 4, 1), pynn.Flatten(), pynn.BatchNorm1d(4 * 5 * 6, **LIKE)),
        *("relu", pynn.Linear(120, 5), pynn.Linear(5, 3)),
    ]
    return keras.Sequential([keras.Input((9, 9, 3)), *theirs]), pynn.Sequential(*ours)


def branches() -> tuple[Any, pynn.Layer]:
    """Return a net with two image branches that are flattened separately and joined; its layers have Keras's names in another order."""
    x = keras.Input((5, 4, 2))
    a, b = K.Conv2D(3, 2, name="left")(x), K.Conv2D(2, 3, name="right")(x)
    joined = K.Concatenate()([K.Flatten()(a), K.GlobalAveragePooling2D()(b), K.Flatten()(b)])
    theirs = keras.Model(x, K.Dense(3, name="head")(joined))
    y = pynn.Input((2, 5, 4))
    c, d = pynn.Conv2d(2, 3, 2)(y), pynn.Conv2d(2, 2, 3)(y)
    both = pynn.Concat()(pynn.Flatten()(c), pynn.GlobalAvgPool2d()(d), pynn.Flatten()(d))
    return theirs, pynn.Model(y, pynn.Linear(36 + 2 + 12, 3)(both))


def words() -> tuple[Any, pynn.Layer]:
    theirs = [keras.Input((7,)), K.Embedding(11, 4), K.Flatten(), K.Dense(2)]
    return keras.Sequential(theirs), pynn.Sequential(pynn.Embedding(11, 4), pynn.Flatten(), pynn.Linear(28, 2))


def nested() -> tuple[Any, pynn.Layer]:
    body = keras.Sequential([keras.Input((6, 3)), K.Conv1D(4, 2, name="conv"), K.Conv1DTranspose(5, 3, name="back")], name="body")
    theirs = keras.Sequential([keras.Input((6, 3)), body, K.Flatten(), K.Dense(2, name="head")])
    inner = pynn.Sequential({"conv": pynn.Conv1d(3, 4, 2), "back": pynn.ConvTranspose1d(4, 5, 3)})
    return theirs, pynn.Sequential({"body": inner, "flat": pynn.Flatten(), "head": pynn.Linear(35, 2)})


NETS = {"dense": dense, "image": image, "branches": branches, "words": words, "nested": nested}


def started(make: Callable[[], tuple[Any, pynn.Layer]]) -> tuple[Any, pynn.Layer, np.ndarray, tuple[int, ...]]:
    """Return both nets, Keras's with random weights, samples for it, and the shape of one sample here."""
    rng = np.random.default_rng(0)
    theirs, ours = make()
    theirs.set_weights([rng.uniform(0.2, 1, a.shape) for a in theirs.get_weights()])
    shape = theirs.input_shape[1:]
    X = rng.integers(0, 11, (3, *shape)) if make is words else rng.normal(size=(3, *shape))
    return theirs, ours, X.astype("f4"), (shape[-1], *shape[:-1])


def check(theirs: Any, ours: pynn.Layer, X: np.ndarray) -> None:
    np.testing.assert_allclose(ours.predict(np.moveaxis(X, -1, 1)), theirs.predict(X, verbose=0), rtol=2e-5, atol=2e-5)


def by_path(model: Any) -> dict[str, np.ndarray]:
    return {v.path: v.numpy() for v in model.weights}


@pytest.mark.parametrize("net", NETS)
def test_weights_round_trip(net: str) -> None:
    theirs, ours, X, shape = started(NETS[net])
    start = theirs.get_weights()
    for given in (start, by_path(theirs)):
        ours.load_state_dict({name: a * 0 for name, a in ours.state_dict().items()})
        ours.load_state_dict(io.from_keras(given, ours, shape=shape))
        check(theirs, ours, X)
    for like in (start, by_path(theirs)):
        theirs.set_weights([a * 0 for a in start])
        theirs.set_weights([*io.to_keras(ours, like, shape=shape).values()])
        for a, b in zip(theirs.get_weights(), start, strict=True):
            np.testing.assert_array_equal(a, b)
    if net != "image":
        theirs.set_weights([*io.to_keras(ours, shape=shape).values()])
        check(theirs, ours, X)


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_files_are_read(tmp_path: Path, net: str, name: str) -> None:
    theirs, ours, X, shape = started(NETS[net])
    (theirs.save_weights if "weights" in name else theirs.save)(tmp_path / name)
    ours.load_state_dict(io.from_keras(tmp_path / name, ours, shape=shape))
    check(theirs, ours, X)


def heads(named: bool) -> tuple[Any, pynn.Model]:
    """Return a net with two inputs and two outputs, whose layers have the same shapes."""
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    h = K.Concatenate()([K.Dense(5, name="left")(a), K.Dense(5, name="right")(b)])
    theirs = keras.Model([a, b], [K.Dense(3, name="sort")(h), K.Dense(3, name="size")(h)])
    x, y = pynn.Input(5), pynn.Input(5)
    left, right = pynn.Linear(5, 5)(x), pynn.Linear(5, 5)(y)
    both = pynn.Concat()(left, right)
    outputs = {"sort": pynn.Linear(10, 3)(both), "size": pynn.Linear(10, 3)(both)}
    return theirs, pynn.Model([x, y], outputs, layers={"left": left, "right": right, **outputs} if named else None)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_several_inputs_and_outputs(tmp_path: Path, name: str, named: bool) -> None:
    theirs, ours = heads(named)
    (theirs.save_weights if "weights" in name else theirs.save)(tmp_path / name)
    ours.load_state_dict(io.from_keras(tmp_path / name, ours))
    X = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("f4")
    for a, b in zip(ours.predict((X[0], X[1])).values(), theirs.predict([X[0], X[1]], verbose=0), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def test_damaged_file_raises(tmp_path: Path) -> None:
    theirs, ours, _, shape = started(nested)
    for name, save in (("m.keras", theirs.save), ("m.weights.h5", theirs.save_weights)):
        path = tmp_path / name
        save(path)
        whole = path.read_bytes()
        for cut in (0, 10, len(whole) // 2, len(whole) - 30):
            path.write_bytes(whole[:cut])
            with pytest.raises(ValueError, match=name):
                io.from_keras(path, ours, shape=shape)


# ---- callbacks ---------------------------------------------------------------------------------------------------------
class Watched:
    """A stand-in for a model, which counts the saved files."""

    def __init__(self) -> None:
        self.stop_training, self.saved, self.optimizer = False, 0, pynn.optim.SGD([pynn.Parameter(np.zeros(2))], lr=1.0)

    def save(self, path: str) -> None:
        self.saved += 1


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("hinge", keras.losses.hinge),
        ("squared_hinge", keras.losses.squared_hinge),
        ("categorical_hinge", keras.losses.categorical_hinge),
        ("mape", keras.losses.mean_absolute_percentage_error),
        ("msle", keras.losses.mean_squared_logarithmic_error),
        ("log_cosh", keras.losses.log_cosh),
        ("tversky", keras.losses.tversky),
        ("generalized_cross_entropy", lambda t, p: keras.losses.categorical_generalized_cross_entropy(t, p, 0.5)),
    ],
)
def test_losses_match_keras(name: str, theirs: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    loss = pynn.losses.by_name[name]()
    x, t = rng.normal(size=(6, 4)).astype("float32"), rng.normal(size=(6, 4)).astype("float32")
    labels = rng.integers(4, size=6)
    if name in ("hinge", "squared_hinge"):
        t = np.sign(t)
    elif name == "categorical_hinge":
        t = np.eye(4, dtype="float32")[labels]
    elif name == "generalized_cross_entropy":
        t = keras.ops.convert_to_tensor(labels)
    elif name == "tversky":
        x, t, loss = pynn.sigmoid(x).reshape(1, -1), (t > 0).astype("float32").reshape(1, -1), pynn.TverskyLoss(smooth=1e-7)
    given = keras.ops.convert_to_tensor(pynn.softmax(x) if name == "generalized_cross_entropy" else x)
    wanted = float(np.mean(np.asarray(theirs(t, given))))
    np.testing.assert_allclose(loss(x, labels if loss._row["target"] in "ci" else t), wanted, rtol=1e-5)


def test_constraints_match_keras() -> None:
    w = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    theirs, ours = keras.constraints, pynn.constraints
    pairs = [(theirs.MaxNorm(1.5, axis=a), ours.MaxNorm(1.5, axis=a)) for a in (0, 1)]
    pairs += [(theirs.MinMaxNorm(0.5, 1.5, 0.7, axis=1), ours.MinMaxNorm(0.5, 1.5, 0.7, axis=1))]
    pairs += [(theirs.UnitNorm(axis=0), ours.UnitNorm(axis=0)), (theirs.NonNeg(), ours.NonNeg())]
    for a, b in pairs:
        np.testing.assert_allclose(b(w), keras.ops.convert_to_numpy(a(keras.ops.convert_to_tensor(w))), rtol=1e-6)
    np.testing.assert_allclose(ours.MaxNorm(1.5)(w), ours.MaxNorm(1.5, axis=1)(w))


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("seed", range(6))
def test_callbacks_match_keras(seed: int, mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Callbacks stop, reduce the rate and save at the same epochs for the same scores, some missing or NaN, over two trainings."""
    chance = np.random.default_rng(seed)
    scores = np.round(np.cumsum(chance.normal(size=(2, 30)), 1), 1)
    scores[:, 1:][chance.random((2, 29)) < 0.1] = np.nan  # Keras treats an initial NaN as the best score
    missing = chance.random((2, 30)) < 0.2
    missing[:, 0] = False
    patience = int(chance.integers(1, 5))
    ours: list[Any] = [
        pynn.callbacks.EarlyStopping("val_loss", patience=patience, min_delta=0.25, mode=mode, restore_best=False),
        pynn.callbacks.ReduceLROnPlateau("val_loss", patience=patience, factor=0.5, min_delta=0.25, mode=mode),
        pynn.callbacks.ModelCheckpoint(tmp_path / "a", monitor="val_loss", mode=mode, save_best_only=True),
    ]
    theirs: list[Any] = [
        keras.callbacks.EarlyStopping("val_loss", patience=patience, min_delta=0.25, mode=mode),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=patience, factor=0.5, min_delta=0.25, mode=mode),
        keras.callbacks.ModelCheckpoint(tmp_path / "a.keras", monitor="val_loss", mode=mode, save_best_only=True),
    ]
    seen: dict[str, list[Any]] = {"ours": [], "theirs": []}
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse")
    saved: list[int] = []
    monkeypatch.setattr(type(model), "save", lambda self, *args, **kw: saved.append(1))
    for name, callbacks in (("ours", ours), ("theirs", theirs)):
        net: Any = Watched() if name == "ours" else model
        for one in callbacks:
            (one.set_model(net) if name == "theirs" else setattr(one, "model", net))
        for values, absent in zip(scores, missing, strict=True):
            net.stop_training, stopped = False, None
            for one in callbacks:
                one.on_train_begin({})
            for epoch, (value, skip) in enumerate(zip(values, absent, strict=True)):
                logs = {} if skip else {"val_loss": float(value)}
                for one in callbacks[: 2 if skip else 3]:  # Keras saves epochs without a score
                    one._reported = True
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        one.on_epoch_end(epoch, logs)
                stopped = epoch if net.stop_training and stopped is None else stopped
                rate = net.optimizer.param_groups[0]["lr"] if name == "ours" else float(net.optimizer.learning_rate)
                seen[name].append((stopped, rate, net.saved if name == "ours" else len(saved)))
    assert seen["ours"] == seen["theirs"]
