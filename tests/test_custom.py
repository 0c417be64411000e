"""Custom layers: alone, in nets, in fit and predict; exceptions, copies, and the memory they hold."""

import copy
import gc
import pickle
import re
import sys
import weakref
from typing import Any

import numpy as np
import pytest

import pynn

rng = np.random.default_rng(0)


class Serpent(pynn.Layer):
    def __init__(self, features: int, start: float = 1.0) -> None:
        super().__init__()
        self.features, self.start = features, start
        self.alpha = pynn.Parameter(np.full(features, start))

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._x = x
        return np.asarray(x + np.sin(self.alpha.data * x) ** 2 / self.alpha.data)

    def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
        a, x = self.alpha.data, self._x
        s, c = np.sin(a * x), np.cos(a * x)
        self.alpha.grad += (gy * (2 * s * c * x / a - s**2 / a**2)).reshape(-1, self.features).sum(0)
        return np.asarray(gy * (1 + 2 * s * c))


class Twin(pynn.Layer):
    """tanh as a custom layer."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.y = np.tanh(x)
        return self.y

    def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return gy * (1 - self.y**2)


class Noise(pynn.Layer):
    def forward(self, x: np.ndarray) -> np.ndarray:
        return x + self.training

    def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return gy


class Fails(pynn.Layer):
    def __init__(self, where: str, error: BaseException, after: int = 0) -> None:
        super().__init__()
        self.where, self.error, self.left = where, error, [after]

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def turn(self, where: str, x: np.ndarray) -> np.ndarray:
        if where == self.where:
            self.left[0] -= 1
            if self.left[0] < 0:
                raise self.error
        return x

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self.turn("forward", x)

    def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return self.turn("backward", gy)


def net(middle: Any, **more: Any) -> pynn.Sequential:
    f64 = {"dtype": "float64"}
    return pynn.Sequential(pynn.Linear(3, 4, seed=0, **f64), middle, pynn.Sequential(pynn.Linear(4, 2, seed=1, **f64), **more))


def data() -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(50, 3)), rng.normal(size=(50, 2))


def test_parameters_and_children_are_registered() -> None:
    class Both(pynn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = pynn.Linear(3, 3, dtype="float64")
            self.gain = pynn.Parameter(np.ones(3))

        def forward(self, x: np.ndarray) -> np.ndarray:
            self.h = self.inner(x)
            return np.asarray(self.gain.data * self.h)

        def backward(self, gy: np.ndarray) -> Any:
            self.gain.grad += (gy * self.h).sum(0)
            return self.inner.backward(gy * self.gain.data)

    layer = Both()
    assert [*layer.state_dict()] == ["gain", "inner.weight", "inner.bias"]
    assert layer.dtype == "float64"
    pynn.testing.check_layer(layer, (3,))
    model = pynn.Sequential(layer)
    X, _ = data()
    before = model.state_dict()
    model.fit(X, X, loss="mse", epochs=1, seed=0)
    assert all((before[name] != value).any() for name, value in model.state_dict().items())
    before = model.state_dict()
    layer.freeze()
    with pytest.warns(UserWarning, match="every parameter that fit would train is frozen"):
        model.fit(X, X, loss="mse", epochs=1, seed=0)
    assert all((before[name] == value).all() for name, value in model.state_dict().items())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("nested", [False, True])
def test_fit_matches_built_in_layer(threads: int, nested: bool) -> None:
    X, Y = data()
    ends = []
    for make in (Twin, pynn.Tanh):
        model = net(pynn.Sequential(make()) if nested else make())
        with pynn.num_threads(threads):
            model.fit(X, Y, loss="mse", epochs=3, batch_size=8, seed=0, validation_data=(X, Y))
            ends.append((*model.state_dict().values(), model.predict(X), np.array(model.history.history["val_loss"])))  # type: ignore[union-attr]
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_shared_custom_layer() -> None:
    """Each backward sees the attributes that its own forward set; predict leaves none behind."""
    X = rng.normal(size=(5, 3))
    ends = []
    for act in (Twin(), pynn.Tanh()):
        model = pynn.Sequential(pynn.Linear(3, 3, seed=0, dtype="float64"), act, pynn.Linear(3, 3, seed=1, dtype="float64"), act)
        y = model(X)
        model.predict(rng.normal(size=(9, 3)))
        ends.append((y, model.backward(np.ones((5, 3))), *model.grads.values()))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_training_is_off_in_predict() -> None:
    layer, X = Noise(), rng.normal(size=(4, 3))
    model = pynn.Sequential(layer)
    np.testing.assert_array_equal(model(X), X + 1)
    np.testing.assert_array_equal(model.predict(X), X)
    assert layer.training
    assert model.fit(X, X, loss="mse", validation_data=(X, X)).history["loss"] == [1.0]
    assert model.evaluate(X, X)["loss"] == 0


@pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt(), ZeroDivisionError("x")])
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_exceptions_of_custom_layers_propagate(where: str, error: BaseException) -> None:
    X, Y = data()
    model = net(Fails(where, error, after=3))
    with pytest.raises(type(error)) as caught:
        model.fit(X, Y, loss="mse", epochs=2, batch_size=10, seed=0)
    assert caught.value is error
    if where == "forward":
        with pytest.raises(type(error)) as caught:
            model.predict(X)
        assert caught.value is error
    model[1].left[0] = 1000
    model.fit(X, Y, loss="mse", epochs=1, seed=0)
    assert np.isfinite(model.predict(X)).all()


def make_bad(forward: Any = None, backward: Any = None, **more: Any) -> pynn.Layer:
    body: dict[str, Any] = {"forward": forward or (lambda self, x: x), **more}
    if backward != "none":
        body["backward"] = backward or (lambda self, gy: gy)
    return type("_Bad", (pynn.Layer,), body)()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("layer", "error", "text"), [
    (lambda: make_bad(lambda self, x: x[:, 0].sum()), ValueError, r"forward returned shape \(\) for one sample of shape \(4,\)"),
    (lambda: make_bad(lambda self, x: x[:1], output_shape=lambda self, s: s), ValueError, r"forward returned shape \(1, 4\), expected"),
    (lambda: make_bad(backward=lambda self, gy: gy[:, :2]), ValueError, r"backward returned shape \(50, 2\), expected \(50, 4\)"),
    (lambda: make_bad(lambda self, x: x.astype(complex)), TypeError, "complex"),
    (lambda: make_bad(lambda self, x: None, output_shape=lambda self, s: s), TypeError, "forward"),
    (lambda: make_bad(backward="none"), NotImplementedError, "_Bad defines forward but no backward"),
    (lambda: make_bad(output_shape=lambda self, s: (-1,)), ValueError, "output_shape: expected 0 or more"),
])  # fmt: skip
def test_invalid_results_of_custom_layers_are_rejected(layer: Any, error: type[Exception], text: str) -> None:
    X, Y = data()
    with pytest.raises(error, match=text):
        net(layer()).fit(X, Y, loss="mse", batch_size=50, seed=0)


def test_init_must_come_first_and_parameters_are_not_overwritten() -> None:
    class Early(pynn.Layer):
        def __init__(self) -> None:
            self.p = pynn.Parameter(np.ones(2))

        def forward(self, x: np.ndarray) -> np.ndarray:
            return x

    with pytest.raises(TypeError, match=re.escape("Early.__init__ must call super().__init__()")):
        Early()
    with pytest.raises(TypeError, match=r"Serpent\.alpha is a parameter"):
        Serpent(3).alpha = np.ones(3)


def test_repr_config_and_copies() -> None:
    layer = Serpent(4, 0.5)
    layer.alpha.data[...] = rng.normal(size=4)
    assert repr(layer) == "Serpent(features=4, start=0.5)"
    model, x = pynn.Sequential(layer), rng.normal(size=(3, 4))
    y = model(x)
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(copied(x), y)
        assert not np.shares_memory(copied[0].alpha.data, layer.alpha.data)
        assert copied[0].alpha is copied[0].parameters()[0]
    again = pynn.Sequential.from_config(model.get_config())
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(again.predict(x), y)

    class Forgets(Serpent):
        def __init__(self, size: int) -> None:
            super().__init__(size)

    with pytest.raises(TypeError, match="__init__ takes size, but the layer has no attribute of that name"):
        Forgets(3).get_config()
    assert repr(Forgets(3)) == "<Forgets>"


def test_class_with_the_name_of_a_built_in_layer() -> None:
    mine = type("ReLU", (pynn.Layer,), {"forward": lambda self, x: x, "backward": lambda self, gy: gy, "__module__": "mine"})
    assert pynn.Layer.classes["ReLU"] is pynn.ReLU
    with pytest.raises(TypeError, match="another layer class has the same name"):
        mine().get_config()


def test_deleted_layers_and_nets_are_freed() -> None:
    X, Y = data()
    layer = Serpent(4)
    model = net(layer)
    model.fit(X, Y, loss="mse", epochs=1, seed=0)
    model(X)
    before = sys.getrefcount(layer)
    for _ in range(5):
        model.fit(X, Y, loss="mse", epochs=1, seed=0)
        model(X)
        model.backward(Y)
        model.predict(X)
    assert sys.getrefcount(layer) == before
    gone = weakref.ref(layer)
    del model[1], layer
    gc.collect()
    assert gone() is None
    np.testing.assert_array_equal(model.predict(X).shape, (50, 2))


def test_custom_activation() -> None:
    sine = pynn.Activation("sine", np.sin, np.cos)
    pynn.testing.check_layer(sine, (3, 2))
    assert repr(sine) == "Activation('sine', sin, cos)"
    X, Y = data()
    model = net(
        sine,
    )
    model.insert(0, sine)
    assert model.fit(X, Y, loss="mse", epochs=2, seed=0).history["loss"]
    np.testing.assert_array_equal(sine(X), np.sin(X))
    np.testing.assert_array_equal(sine.backward(X), X * np.cos(X))
    with pytest.raises(ValueError, match=r"Activation 'sum': f returned shape \(\), expected"):
        pynn.Activation("sum", np.sum, np.cos)(X)
    with pytest.raises(TypeError, match="df: expected a function"):
        pynn.Activation("a", np.sin, 3)  # type: ignore[arg-type]
