"""Manual loops: pairing of calls and backward, garbage collection, read-only arrays, and misuse of core objects."""

import contextlib
import copy
import gc
import io
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from process import run_python

import pynn
from pynn import _core

rng = np.random.default_rng(0)
F64 = {"dtype": "float64"}


class Square(pynn.Layer):
    """A layer written in Python, without parameters."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        return x**2

    def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return gy * 2 * self.x


class Scaled(Square):
    """A layer that extends another and has a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = pynn.Parameter(np.array([0.5, 1.5, 2.0]))

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.before = super().forward(x)
        return self.before * self.scale.data

    def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
        self.scale.grad += (gy * self.before).sum(0)
        return super().backward(gy * self.scale.data)


class Wrapped(pynn.Layer):
    """A layer that contains layers of both kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = pynn.Sequential(pynn.Linear(3, 3, seed=3, **F64), "tanh")
        self.square = Square()

    def forward(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.square(self.inner(x)))

    def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return np.asarray(self.inner.backward(self.square.backward(gy)))


def model() -> pynn.Model:
    x = pynn.Input(3)
    shared = pynn.Linear(3, 3, seed=0, **F64)
    return pynn.Model(x, shared(pynn.Tanh()(shared(x))))


LAYERS: dict[str, Callable[[], pynn.Layer]] = {
    "Linear": lambda: pynn.Linear(3, 3, seed=0, **F64),
    "ReLU": pynn.ReLU,
    "Softmax": pynn.Softmax,
    "BatchNorm1d": lambda: pynn.BatchNorm1d(3, **F64),
    "LayerNorm": lambda: pynn.LayerNorm(3, **F64),
    "Dropout": lambda: pynn.Dropout(0.5, seed=0),
    "Residual": lambda: pynn.Residual(pynn.Linear(3, 3, seed=0, **F64), "tanh"),
    "Concat": lambda: pynn.Concat(pynn.Linear(3, 2, seed=0, **F64), pynn.Linear(3, 1, seed=1, **F64)),
    "Sequential": lambda: pynn.Sequential(pynn.Linear(3, 4, seed=0, **F64), "tanh", pynn.Linear(4, 3, seed=1, **F64)),
    "Model": model,
    "Activation": lambda: pynn.Activation("sine", np.sin, np.cos),
    "Square": Square,
    "Scaled": Scaled,
    "Wrapped": Wrapped,
    "net of Scaled": lambda: pynn.Sequential(pynn.Linear(3, 3, seed=0, **F64), Scaled(), Wrapped()),
}
each_layer = pytest.mark.parametrize("name", LAYERS)
A, B, G = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
LEARNERS = [name for name, make in LAYERS.items() if make().parameters()]


def gradients(layer: pynn.Layer, x: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    """Return the gradients of a copy that is called once."""
    fresh = copy.deepcopy(layer)
    fresh.zero_grad()
    fresh(x)
    return [fresh.backward(g), *fresh.grads.values()]


def agree(layer: pynn.Layer, gx: Any, expected: list[np.ndarray]) -> None:
    for got, reference in zip([gx, *layer.grads.values()], expected, strict=True):
        np.testing.assert_allclose(got, reference, rtol=1e-12, atol=1e-14)


# ---- one backward per call -----------------------------------------------------------------------------------------------


@each_layer
@pytest.mark.parametrize("rows", [5, 2])
def test_each_backward_needs_a_new_call(name: str, rows: int) -> None:
    """PyTorch keeps every call; here only the last one is kept, and backward of an earlier call raises."""
    layer = LAYERS[name]()
    layer(A)
    layer(B[:rows])
    layer.backward(G[:rows])
    before = [g.copy() for g in layer.grads.values()]
    with pytest.raises(RuntimeError, match=r"needs a forward call before it, y = layer\(x\), and each call has one backward"):
        layer.backward(G)
    np.testing.assert_equal([*layer.grads.values()], before)
    layer(A)
    assert layer.backward(G).shape == A.shape


@each_layer
def test_backward_needs_a_call(name: str) -> None:
    layer = LAYERS[name]()
    with pytest.raises(RuntimeError, match="needs a forward call before it"):
        layer.backward(G)
    layer(A)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))) if name != "Activation" else ():
        with pytest.raises(RuntimeError, match="needs a forward call before it"):
            other.backward(G)


@each_layer
def test_a_rejected_gradient_keeps_the_call(name: str) -> None:
    layer = LAYERS[name]()
    expected = gradients(layer, A, G)
    layer(A)
    with pytest.raises((ValueError, TypeError)):
        layer.backward(np.ones((7, 9)))
    if name not in ("Scaled", "Wrapped"):  # their backward changes gradients before it fails
        agree(layer, layer.backward(G), expected)


@each_layer
def test_a_call_of_the_net_keeps_the_layers_call_or_raises(name: str) -> None:
    layer = LAYERS[name]()
    net = pynn.Sequential(pynn.Tanh(), layer)
    expected = gradients(layer, A, G)
    layer(A)
    net(B)
    if layer._is_custom:  # the net's call has overwritten its attributes
        with pytest.raises(RuntimeError, match="needs a forward call"):
            layer.backward(G)
    else:
        agree(layer, layer.backward(G), expected)


@each_layer
@pytest.mark.parametrize("between", ["layer", "predict", "predict other rows", "evaluate"])
def test_other_calls_keep_the_nets_call(name: str, between: str) -> None:
    layer = LAYERS[name]()
    net = pynn.Sequential(pynn.Tanh(), layer)
    expected = gradients(net, A, G)
    net(A)
    if between == "layer":
        layer(B)
    elif between == "evaluate":
        net.evaluate(B, B, loss="mse")
    else:
        net.predict(B[: 5 if between == "predict" else 2])
    agree(net, net.backward(G), expected)


@each_layer
def test_predict_keeps_the_layers_call(name: str) -> None:
    layer = LAYERS[name]()
    net = pynn.Sequential(pynn.Tanh(), layer)
    expected = gradients(layer, A, G)
    layer(A)
    net.predict(B)
    agree(layer, layer.backward(G), expected)


@each_layer
def test_a_net_may_use_a_layer_twice(name: str) -> None:
    """The gradients are the sums of those of two layers with the same parameters."""
    layer = LAYERS[name]()
    if name in ("Dropout", "BatchNorm1d"):
        layer.eval()
    first, second = copy.deepcopy(layer), copy.deepcopy(layer)
    net = pynn.Sequential(layer, pynn.Tanh(), layer)
    separate = pynn.Sequential(first, pynn.Tanh(), second)
    np.testing.assert_allclose(net(A), separate(A), rtol=1e-12)
    for _ in range(2):
        gx, expected = net.backward(G), separate.backward(G)
        np.testing.assert_allclose(gx, expected, rtol=1e-12)
        net(B), separate(B)
    sums = [a + b for a, b in zip(first.grads.values(), second.grads.values(), strict=True)]
    agree(layer, gx, [expected, *sums])


def test_fit_with_a_layer_that_is_used_twice() -> None:
    """A Python layer that contains a built-in layer trains like the built-in layer."""

    class Inner(pynn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = pynn.Linear(3, 3, seed=3, **F64)

        def forward(self, x: np.ndarray) -> np.ndarray:
            return np.asarray(self.inner(x))

        def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
            return np.asarray(self.inner.backward(gy))

    ends = []
    for layer in (Inner(), pynn.Linear(3, 3, seed=3, **F64)):
        net = pynn.Sequential(layer, "tanh", layer, "tanh", pynn.Linear(3, 3, seed=1, **F64))
        net.fit(A, B, loss="mse", epochs=4, batch_size=2, seed=0, validation_data=(B, A))
        ends.append([*net.state_dict().values(), net.predict(A)])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


# ---- changed parameters --------------------------------------------------------------------------------------------------


def sgd(net: pynn.Layer) -> pynn.optim.Optimizer:
    return pynn.optim.SGD(net.parameters(), lr=0.1)


def in_fit(net: pynn.Sequential) -> None:
    net.fit(A, B, loss="mse", seed=0)


def averages(net: pynn.Layer) -> None:
    opt = pynn.optim.SGD(net.parameters(), lr=0.1, ema_decay=0.5)
    net.backward(G)
    opt.step()
    net(A)
    opt.swap_averages()


def lbfgs(net: pynn.Layer) -> None:
    loss = pynn.losses.MSELoss()

    def closure() -> float:
        net.zero_grad()
        value = loss(net(A), B)
        net.backward(loss.backward())
        return float(value)

    pynn.optim.LBFGS(net.parameters()).step(closure)
    net(A)
    pynn.optim.LBFGS(net.parameters(), max_iter=1).step(lambda: 1.0)


CHANGES: dict[str, Callable[[pynn.Sequential], object]] = {
    "step": lambda net: ([p.grad.fill(1) for p in net.parameters()], sgd(net).step()),
    "load_state_dict": lambda net: net.load_state_dict({name: a + 1 for name, a in net.state_dict().items()}),
    "layer.weight =": lambda net: setattr(net[0], "weight", np.ones((3, 3))),
    "layer.bias =": lambda net: setattr(net[0], "bias", 2.0),
    "data =": lambda net: setattr(net.parameters()[0], "data", np.ones((3, 3))),
    "view[...] =": lambda net: net[0].weight.fill(1.5),
    "params[...] -=": lambda net: np.subtract(net.params["0.weight"], 0.1, out=net.params["0.weight"]),
    "fit": in_fit,
    "train_on_batch": lambda net: net.train_on_batch(A, B, loss="mse"),
    "apply_init": lambda net: net.apply_init("auto", seed=7),
    "swap_averages": averages,
    "lbfgs": lbfgs,
}


@pytest.mark.parametrize("change", CHANGES)
def test_backward_after_a_parameter_change_raises(change: str) -> None:
    """As in PyTorch: the values that the call kept belong to the old parameters."""
    net = pynn.Sequential(pynn.Linear(3, 3, seed=0, **F64), "tanh", pynn.Linear(3, 3, seed=1, **F64))
    net(A)
    CHANGES[change](net)
    with pytest.raises(RuntimeError, match="parameters have changed since the forward call"):
        net.backward(G)
    net(A)
    net.backward(G)


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("change", ["step", "load_state_dict", "data ="])
def test_backward_of_every_layer_detects_parameter_changes(name: str, change: str) -> None:
    layer = LAYERS[name]()
    layer(A)
    if change == "step":
        for p in layer.parameters():
            p.grad.fill(1)
        sgd(layer).step()
    elif change == "load_state_dict":
        layer.load_state_dict({name: a + 1 for name, a in layer.state_dict().items()})
    else:
        p = layer.parameters()[-1]
        p.data = p.data + 1
    with pytest.raises(RuntimeError, match="parameters have changed since the forward call"):
        layer.backward(G)


def test_unrelated_changes_keep_the_call() -> None:
    """A step of another net, running statistics, predictions, and a weight that is restored."""
    net, other = (pynn.Sequential(pynn.Linear(3, 3, seed=s, **F64), pynn.BatchNorm1d(3, **F64)) for s in (0, 1))
    both = pynn.Sequential(net, other)
    both(A)
    both.backward(G)
    opt = sgd(other)
    expected = gradients(net, A, G)
    net.zero_grad()
    net(A)
    opt.step()
    net[1](B)
    net.train(False).train()
    net.zero_grad()
    net(A)
    net[0].weight[...] *= 2
    net[0].weight[...] /= 2
    net.predict(B)
    opt.step()
    agree(net, net.backward(G), expected)


def test_standard_and_functional_loops_run() -> None:
    net = pynn.Sequential(pynn.Linear(3, 3, seed=0, **F64), "tanh", pynn.Linear(3, 3, seed=1, **F64))
    opt, loss = sgd(net), pynn.losses.MSELoss()
    for i in range(6):
        loss(net(A), B)
        net.zero_grad()
        net.backward(loss.backward())
        if i % 2:
            opt.step()
        else:
            for name, a in net.params.items():
                a -= 0.1 * net.grads[name]
        if i == 3:
            net.load_state_dict(net.state_dict())


# ---- garbage collection ----------------------------------------------------------------------------------------------------


class Reaches(Square):
    """A layer that refers to the net, from an attribute and from values kept by a call."""

    def __init__(self) -> None:
        super().__init__()
        self.reached: list[Any] = []

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.within = [*self.reached]
        return super().forward(x)


def survives(make: Callable[[], Any]) -> bool:
    """Return whether the result of ``make`` survives a collection without references to it."""
    ref = weakref.ref(make())
    gc.collect()
    return ref() is not None


@pytest.mark.parametrize("use", ["call", "call and backward", "predict", "fit", "evaluate", "train_on_batch"])
@pytest.mark.parametrize("of", ["net", "layer"])
def test_a_layer_that_refers_to_its_net_is_collected(use: str, of: str) -> None:
    def make() -> pynn.Layer:
        layer = Reaches()
        net = pynn.Sequential(pynn.Linear(3, 3, seed=0, **F64), layer, pynn.Sequential(layer))
        layer.reached.append(net)
        if use.startswith("call"):
            net(A)
        if use == "call and backward":
            net.backward(G)
        if use == "predict":
            net.predict(A)
        if use == "fit":
            net.fit(A, B, loss="mse", seed=0)
        if use == "evaluate":
            net.evaluate(A, B, loss="mse")
        if use == "train_on_batch":
            net.train_on_batch(A, B, loss="mse")
        return net if of == "net" else layer

    assert not survives(make)


class Callback(pynn.callbacks.Callback):
    def __init__(self, *reached: Any) -> None:
        self.reached = reached


def trained(what: str) -> Any:
    net = pynn.Sequential(pynn.Linear(3, 3, seed=0, **F64), "tanh")
    opt, callback = pynn.optim.Adam(net.parameters()), Callback(net)

    def function(x: np.ndarray, t: np.ndarray) -> tuple[float, np.ndarray]:
        assert net is not None
        return float((x - t).sum()), np.ones_like(x)

    loss = pynn.losses.FunctionLoss(function)
    history = net.fit(A, B, loss=loss, optimizer=opt, callbacks=[callback], seed=0)
    net(A)
    loss(net(A), B)
    net.backward(loss.backward())
    opt.step()
    opt.reached = net, callback, loss  # type: ignore[attr-defined]
    net.reached = opt, callback, loss  # type: ignore[attr-defined]
    return {"net": net, "optimizer": opt, "callback": callback, "loss": loss, "history": history, "parameter": net.parameters()[0]}[what]


@pytest.mark.parametrize("what", ["net", "optimizer", "callback", "loss", "history", "parameter"])
def test_objects_used_in_training_are_collected(what: str) -> None:
    assert not survives(lambda: trained(what))


def test_a_layer_cannot_contain_itself() -> None:
    layer = Reaches()
    net = pynn.Sequential(layer)
    with pytest.raises(ValueError, match=r"contains this layer.*weakref"):
        layer.net = net  # type: ignore[attr-defined]
    for adding in (lambda: net.append(net), lambda: net.append(pynn.Residual(net)), lambda: net.insert(0, pynn.Sequential(net))):
        with pytest.raises(ValueError, match="cannot contain itself"):
            adding()
    assert len(net) == 1
    assert net.predict(A).shape == A.shape


USES: dict[str, Callable[[pynn.Sequential], object]] = {
    "call": lambda net: net(A),
    "predict": lambda net: net.predict(A),
    "fit": lambda net: net.fit(A, net.predict(A), loss="mse", epochs=1, seed=0),
    "train_on_batch": lambda net: net.train_on_batch(A, net.predict(A), loss="mse"),
    "evaluate": lambda net: net.evaluate(A, net.predict(A), loss="mse"),
}


@pytest.mark.parametrize("use", USES)
def test_a_dropped_net_is_freed_without_the_garbage_collector(use: str) -> None:
    gc.collect()
    gc.disable()
    try:
        net = pynn.Sequential(pynn.Linear(A.shape[1], 8, seed=0), "relu", pynn.Linear(8, 2, seed=1))
        net_ref, layer_ref = weakref.ref(net), weakref.ref(net[0])
        USES[use](net)
        del net
        assert net_ref() is None
        assert layer_ref() is None
    finally:
        gc.enable()



@pytest.mark.parametrize("error", ["forward", "backward", "loss", "callback"])
def test_objects_used_in_a_failed_training_are_collected(error: str) -> None:
    class Fails(Reaches):
        def forward(self, x: np.ndarray) -> np.ndarray:
            if error == "forward" and len(x) > 1:
                raise ZeroDivisionError
            return super().forward(x)

        def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
            raise ZeroDivisionError

    def make() -> pynn.Layer:
        layer = Fails()
        net = pynn.Sequential(layer)
        layer.reached.append(net)

        def fail(*args: object) -> Any:
            raise ZeroDivisionError if net else None  # type: ignore[misc]

        with pytest.raises(ZeroDivisionError):
            net.fit(A, B, loss=pynn.losses.FunctionLoss(fail) if error == "loss" else "mse", callbacks=[fail], seed=0)
        return net

    assert not survives(make)


def test_core_objects_support_garbage_collection() -> None:
    net = pynn.Sequential(pynn.Linear(3, 3, seed=0, **F64), Square())
    net(A)
    net.predict(A)
    plan = net._last[1][0]  # type: ignore[union-attr]
    assert gc.is_tracked(plan)
    assert gc.is_tracked(net._predictor.predictor)  # type: ignore[union-attr]
    assert any(isinstance(found, _core.Graph) for found in gc.get_referents(plan))


# ---- read-only arrays ----------------------------------------------------------------------------------------------------


def net_with_states() -> pynn.Sequential:
    head = pynn.Flatten(), pynn.Linear(16, 8, seed=1), pynn.PReLU(), pynn.Linear(8, 3, seed=2)
    net = pynn.Sequential(pynn.Conv1d(2, 4, 3, seed=0), pynn.BatchNorm1d(4), "relu", *head)
    net(np.ones((4, 2, 6), np.float32))
    return net


IMAGES = rng.normal(size=(50, 2, 6)).astype(np.float32)
TARGETS = rng.normal(size=(50, 3)).astype(np.float32)


def out_of_band(net: pynn.Layer, path: Path) -> Any:
    """Copy a net the way Ray and Dask send objects to other processes."""
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(net, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(text, buffers=[bytes(b.raw()) for b in buffers])


def mapped(net: pynn.Layer, path: Path) -> Any:
    joblib = pytest.importorskip("joblib")
    joblib.dump(net, path / "net.joblib")
    return joblib.load(path / "net.joblib", mmap_mode="r")


def from_a_worker(net: pynn.Layer, path: Path) -> Any:
    """Copy a net the way joblib.Parallel passes arrays over 1 MB to workers, here with arrays of any size."""
    reducers = pytest.importorskip("joblib._memmapping_reducer")
    reduce = reducers.ArrayMemmapForwardReducer(0, lambda: str(path), "r", True, prewarm=False)
    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol=5)
    pickler.dispatch_table = {np.ndarray: reduce}
    pickler.dump(net)
    return pickle.loads(file.getvalue())


READ_ONLY_COPIES = {"out of band": out_of_band, "mapped": mapped, "of a worker": from_a_worker}
each_copy = pytest.mark.parametrize("made_by", READ_ONLY_COPIES)


def value_and_gradient(net: pynn.Layer) -> float:
    net.zero_grad()
    value = float(net(IMAGES).sum())
    net.backward(TARGETS)
    return value


WRITES: dict[str, Callable[[pynn.Sequential], object]] = {
    "fit": lambda net: net.fit(IMAGES, TARGETS, loss="mse", seed=0),
    "train_on_batch": lambda net: net.train_on_batch(IMAGES, TARGETS, loss="mse"),
    "loop": lambda net: (pynn.optim.SGD(net.parameters(), lr=0.1), net(IMAGES), net.backward(TARGETS))[0].step(),
    "step": lambda net: ([p.grad.fill(1) for p in net.parameters()], pynn.optim.SGD(net.parameters(), lr=0.1).step()),
    "lbfgs": lambda net: pynn.optim.LBFGS(net.parameters(), max_iter=1).step(lambda: value_and_gradient(net)),
    "weight =": lambda net: setattr(net[4], "weight", np.ones((8, 16))),
    "weight[...] =": lambda net: net[4].weight.fill(1),
    "weight *=": lambda net: np.multiply(net[4].weight, 2, out=net[4].weight),
    "params": lambda net: [a.fill(0.5) for a in net.params.values()],
    "data =": lambda net: setattr(net.parameters()[0], "data", np.ones((4, 2, 3))),
    "load_state_dict": lambda net: net.load_state_dict({name: a + 1 for name, a in net.state_dict().items()}),
    "running statistics": lambda net: net(IMAGES),
    "reset_running_stats": lambda net: net[1].reset_running_stats(),
    "running_mean =": lambda net: setattr(net[1], "running_mean", np.ones(4)),
    "init": lambda net: net.apply_init("auto", seed=3),
}


@each_copy
def test_a_model_with_read_only_arrays_predicts_without_copying(made_by: str, tmp_path: Path) -> None:
    net = net_with_states()
    read_only = READ_ONLY_COPIES[made_by](net, tmp_path)
    arrays = [p._array for p in read_only._all_state().values()]
    assert not any(a.flags.writeable for a in arrays)
    np.testing.assert_array_equal(read_only.predict(IMAGES), net.predict(IMAGES))
    assert read_only.evaluate(IMAGES, TARGETS, loss="mse") == net.evaluate(IMAGES, TARGETS, loss="mse")
    np.testing.assert_equal(read_only.state_dict(), net.state_dict())
    assert str(read_only.summary((2, 6))) == str(net.summary((2, 6)))
    assert repr(read_only.parameters()) == repr(net.parameters())
    assert all(p._array is a for p, a in zip(read_only._all_state().values(), arrays, strict=True))
    for again in (copy.deepcopy(read_only), pickle.loads(pickle.dumps(read_only))):
        np.testing.assert_array_equal(again.predict(IMAGES), net.predict(IMAGES))


@each_copy
@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop", "adagrad", "adafactor", "rprop", "lbfgs", "levenberg_marquardt"])
def test_a_read_only_copy_continues_with_its_optimizer(made_by: str, name: str, tmp_path: Path) -> None:
    net = net_with_states()
    net[1].eval()  # Levenberg-Marquardt supports no layers that mix rows
    for _ in range(2):
        net.train_on_batch(IMAGES, TARGETS, loss="mse", optimizer=name)
    read_only = READ_ONLY_COPIES[made_by](net, tmp_path)
    assert type(read_only.optimizer) is type(net.optimizer)
    for one in (net, read_only):
        one.train_on_batch(IMAGES, TARGETS)
        one.partial_fit(IMAGES, TARGETS, seed=1)
    np.testing.assert_equal(read_only.state_dict(), net.state_dict())
    np.testing.assert_equal(read_only.optimizer.state_dict(), net.optimizer.state_dict())


@each_copy
@pytest.mark.parametrize("write", WRITES)
def test_read_only_arrays_are_copied_on_the_first_write(made_by: str, write: str, tmp_path: Path) -> None:
    net = net_with_states()
    read_only = READ_ONLY_COPIES[made_by](net, tmp_path)
    before = [p._array.copy() for p in read_only._all_state().values()]
    arrays = [p._array for p in read_only._all_state().values()]
    read_only.predict(IMAGES)
    for one in (net, read_only):
        WRITES[write](one)
    np.testing.assert_equal(read_only.state_dict(), net.state_dict())
    np.testing.assert_array_equal(read_only.predict(IMAGES), net.predict(IMAGES))
    np.testing.assert_equal(arrays, before)  # the original arrays are unchanged


def test_a_parameter_of_a_read_only_array_is_a_copy() -> None:
    a = np.zeros(3)
    a.flags.writeable = False
    p = pynn.Parameter(a)
    p.data[...] = 1
    assert not a.any()


# ---- the core from Python ----------------------------------------------------------------------------------------------------


class FakeType:
    """An object whose __class__ claims to be a core type."""

    def __init__(self, cls: type) -> None:
        self.cls = cls

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return self.cls


@pytest.mark.parametrize("call", ["Plan", "Fit", "Predictor", "Writing", "Claim", "guard", "in_place"])
def test_the_core_checks_real_types(call: str) -> None:
    graph = FakeType(_core.Graph)
    calls: dict[str, Callable[[], object]] = {
        "Plan": lambda: _core.Plan(graph, 3, "backward"),
        "Fit": lambda: _core.Fit(graph, A, B, (((0, 0, (), None, None, False), 1.0, (0,)),), 2, False, 0, []),
        "Predictor": lambda: _core.Predictor(graph, 3),
        "Writing": lambda: _core.Writing([FakeType(_core.Gate)]),
        "Claim": lambda: _core.Claim([FakeType(_core.Gate)]),
        "guard": lambda: _core.Graph("float64", (3,)).guard(FakeType(_core.Gate)),
        "in_place": lambda: _core.uniform(FakeType(np.ndarray), 0, 0, 0.0, 1.0),
    }
    with pytest.raises(TypeError):
        calls[call]()


@pytest.mark.parametrize("cls", [_core.Graph, _core.Plan, _core.Fit, _core.Predictor, _core.Update, _core.Gate, _core.Claim, _core.Writing])
def test_core_types_cannot_be_subclassed_or_forged(cls: type) -> None:
    with pytest.raises(TypeError):
        type("Sub", (cls,), {})
    with pytest.raises(TypeError):
        object.__new__(cls)
    with pytest.raises(TypeError):
        cls.anything = 1  # type: ignore[attr-defined]
    if cls is not _core.Gate:
        with pytest.raises(TypeError):
            cls.__new__(cls)
        with pytest.raises(TypeError):
            copy.copy(cls.__new__(cls, *([[]] if cls in (_core.Claim, _core.Writing) else [[], []])))


def run(code: str) -> str:
    done = run_python(code)
    return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stderr[-600:]}"


ATTACKS = {
    "a layer that changes the net": """
class L(pynn.Layer):
    def forward(self, x):
        if len(x) > 1: net.append(pynn.Tanh()); gc.collect()
        return x
    def backward(self, gy): del net[0]; gc.collect(); return gy
""",
    "a layer that calls the net": """
class L(pynn.Layer):
    depth = 0
    def forward(self, x):
        if len(x) > 1 and type(self).depth < 3:
            type(self).depth += 1
            try: net(x)
            except RuntimeError: pass
            net.predict(x)
            type(self).depth -= 1
        return x
    def backward(self, gy):
        try: net.backward(gy)
        except RuntimeError: pass
        return gy
""",
    "a layer that drops the plans": """
class L(pynn.Layer):
    def forward(self, x): net._drop_plans(); gc.collect(); return x
    def backward(self, gy): net._drop_plans(); net._plans.clear(); gc.collect(); return gy
""",
    "a layer whose arrays change as they are read": """
class Odd(list):
    def __array__(self, *a, **k): parts.clear(); gc.collect(); return np.ones((4, 3))
class L(pynn.Layer):
    def custom_forward(self, keep, *xs):
        global parts
        parts = [Odd(), {}]
        return parts
    def forward(self, x): return x
    def output_shape(self, s): return s
    def backward(self, gy): return Odd()
""",
    "a layer that frees its arrays": """
class L(pynn.Layer):
    def forward(self, x):
        x.resize((1000, 1000), refcheck=False)
        return np.ones((4, 3)) if len(x) > 1 else np.ones((1, 3))
    def output_shape(self, s): return s
    def backward(self, gy): gy.resize((0,), refcheck=False); return np.ones((4, 3))
""",
    "a layer that is gone": """
class L(pynn.Layer):
    def forward(self, x): return x
    def backward(self, gy):
        net._layers.clear(); globals().pop("layer", None); gc.collect()
        return gy
""",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_layers_do_not_crash(attack: str) -> None:
    code = f"""
import gc, sys
import numpy as np, pynn
{ATTACKS[attack]}
sys.setrecursionlimit(300)
for use in ("call", "fit", "predict"):
    net = pynn.Sequential(L(), pynn.Linear(3, 3, seed=0, dtype="float64"), L())
    x = np.ones((4, 3))
    try:
        if use == "call": net(x); net.backward(x)
        elif use == "fit": net.fit(x, x, loss="mse", epochs=2, seed=0)
        else: net.predict(x)
    except (RuntimeError, ValueError, TypeError, RecursionError, IndexError): pass
print("alive")
"""
    assert run(code) == "alive\n"


# ---- resized arrays -------------------------------------------------------------------------------------------------
HELD = ("X", "y", "sample_weight", "validation X", "validation y", "class_weight")


@pytest.mark.parametrize(("name", "view"), [*((name, False) for name in HELD), ("X", True), ("y", True)])
def test_arrays_cannot_be_resized_while_fit_reads_them(name: str, view: bool) -> None:
    arrays = {
        "X": rng.normal(size=(64, 8)).astype(np.float32),
        "y": rng.integers(0, 3, 64),
        "sample_weight": np.ones(64, np.float32),
        "class_weight": np.ones(3, np.float32),
        "validation X": rng.normal(size=(64, 8)).astype(np.float32),
        "validation y": rng.integers(0, 3, 64),
    }
    given = {key: a[:] if view else a for key, a in arrays.items()}
    net = pynn.Sequential(pynn.Linear(8, 3, seed=0))
    refused = []

    def resize(epoch: int, logs: dict[str, float]) -> None:
        try:
            arrays[name].resize((10**7,), refcheck=False)
        except ValueError:
            refused.append(epoch)

    pairs = given["validation X"], given["validation y"]
    loss = pynn.losses.CrossEntropyLoss(weight=given["class_weight"])
    options = {"sample_weight": given["sample_weight"], "validation_data": pairs, "callbacks": [resize]}
    reread = name.startswith("validation")  # and checked in each epoch
    with pytest.raises(ValueError, match="shape") if reread else contextlib.nullcontext():
        net.fit(given["X"], given["y"], loss=loss, epochs=3, seed=0, **options)
    assert refused == [0, 1, 2] or name not in ("X", "y")  # the others are copied or read again


@pytest.mark.parametrize("layer", [pynn.BatchNorm1d(4), pynn.PReLU(4)], ids=repr)
def test_arrays_of_a_layer_in_use_cannot_be_resized(layer: pynn.Layer) -> None:
    X = rng.normal(size=(20, 4)).astype(np.float32)
    copies = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
    for one in copies:
        one(X)
        for array in (one.parameters()[0].data, *(p._array for p in one._all_state().values() if p._array.ndim)):
            with pytest.raises(ValueError, match="cannot resize"):
                array.resize((1,), refcheck=False)


@pytest.mark.parametrize("shape", [(), (1, 4), (10**6, 4), (40, 2)])
def test_backward_after_a_resized_input_raises(shape: tuple[int, ...]) -> None:
    X = rng.normal(size=(20, 4)).astype(np.float32)
    layer = pynn.Linear(4, 3, seed=0)
    layer(X)
    X.resize(shape, refcheck=False)
    with pytest.raises(RuntimeError, match=r"backward: an input has been resized since the forward call; call the layer again"):
        layer.backward(np.ones((20, 3), np.float32))
