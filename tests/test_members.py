"""Members of layers and parameters that PyTorch's users type: hooks, buffers, registration, dtypes, and arguments without effect."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _hints

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), np.arange(12) % 2


class Centred(pynn.Layer):
    """A custom layer with a parameter, a buffer that is saved and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("scale", pynn.Parameter(np.ones(3)))
        self.register_parameter("shift", None)
        self.register_buffer("mean", np.zeros(3))
        self.register_buffer("calls", 0, persistent=False)

    def forward(self, x: np.ndarray) -> np.ndarray:
        if self.training:
            self.mean = 0.5 * self.mean + 0.5 * x.mean(0)
            self.calls += 1
        self.x = x
        return (x - self.mean) * self.scale.data

    def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
        self.scale.grad += (gy * (self.x - self.mean)).sum(0)
        return gy * self.scale.data


def nested() -> pynn.Sequential:
    body = pynn.Sequential(pynn.Linear(4, 4, seed=1), "relu")
    return pynn.Sequential(pynn.Linear(3, 4, seed=0), "tanh", body, pynn.Linear(4, 2, seed=2))


# ---- hooks ------------------------------------------------------------------------------------------------------------
def test_hooks_see_every_batch_and_change_no_bit() -> None:
    net, same = nested(), nested()
    seen: list[tuple[str, tuple[int, ...]]] = []
    net[2].register_forward_hook(lambda layer, inputs, output: seen.append(("forward", output.shape)))
    net[2][0].register_forward_pre_hook(lambda layer, inputs: seen.append(("pre", inputs[0].shape)))
    net[2][0].register_full_backward_pre_hook(lambda layer, grad: seen.append(("backward pre", grad[0].shape)))
    net[2][0].register_full_backward_hook(lambda layer, gx, gy: seen.append(("backward", gx[0].shape)))
    order = ["pre", "forward", "backward pre", "backward"]
    np.testing.assert_array_equal(net(X), same(X))
    np.testing.assert_array_equal(net.backward(np.ones((12, 2))), same.backward(np.ones((12, 2))))
    assert seen == [(kind, (12, 4)) for kind in order]
    seen.clear()
    options: dict[str, Any] = {"loss": "cross_entropy", "epochs": 2, "batch_size": 6, "seed": 0}
    assert net.fit(X, Y, **options).history["loss"] == same.fit(X, Y, **options).history["loss"]
    steps = [entry for entry in seen if entry[1][0] == 6]
    assert steps == [(kind, (6, 4)) for kind in order] * 4
    seen.clear()
    np.testing.assert_array_equal(net.predict(X), same.predict(X))
    assert seen == [("pre", (12, 4)), ("forward", (12, 4))]


def test_hooks_are_removed() -> None:
    layer, calls = pynn.Linear(3, 2, seed=0), []
    first = layer.register_forward_hook(lambda *a: calls.append(1))
    with layer.register_forward_hook(lambda *a: calls.append(2), prepend=True):
        layer(X)
    layer(X)
    assert calls == [2, 1, 1]
    first.remove()
    first.remove()
    layer(X)
    assert calls == [2, 1, 1]
    assert layer._hooks is None


def test_forward_runs_without_hooks() -> None:
    layer, calls = pynn.Linear(3, 2, seed=0), []
    layer.register_forward_hook(lambda *a: calls.append(1))
    np.testing.assert_array_equal(layer.forward(X), layer(X))
    assert calls == [1]
    bag = pynn.EmbeddingBag(4, 2, mode="sum", seed=0)
    np.testing.assert_array_equal(bag.forward(np.array([0, 1]), offsets=np.array([0])), bag(np.array([[0, 1]])))


def test_replaced_values() -> None:
    net = nested()
    plain = net.predict(X)
    with net[1].register_forward_hook(lambda layer, inputs, output: 0 * output):
        assert not (net.predict(X) == plain).all()
        net(X)
        with pytest.raises(RuntimeError, match="a forward hook replaced the output of the last call"):
            net.backward(np.ones((12, 2)))
        with pytest.raises(RuntimeError, match="forward hook replaced the output"):
            net.fit(X, Y, loss="cross_entropy", seed=0)
    layer = pynn.Linear(3, 2, seed=0)
    with layer.register_forward_pre_hook(lambda layer, inputs: 2 * inputs[0]):
        np.testing.assert_allclose(layer(X), layer.forward(2 * X))
    with layer.register_full_backward_hook(lambda layer, gx, gy: (gx[0] * 0,)):
        layer(X)
        assert (layer.backward(np.ones((12, 2))) == 0).all()
    with layer.register_full_backward_pre_hook(lambda layer, gy: (gy[0] * 0,)):
        layer(X)
        assert (layer.backward(np.ones((12, 2))) == 0).all()


def test_hooks_of_a_custom_layer_and_of_copies() -> None:
    net = pynn.Sequential(Centred(), pynn.Linear(3, 2, dtype="float64", seed=0))
    calls: list[str] = []
    net[0].register_forward_hook(lambda *a: calls.append("forward"))
    net[0].register_full_backward_hook(lambda *a: calls.append("backward"))
    net(X)
    net.backward(np.ones((12, 2)))
    assert calls == ["forward", "backward"]
    copy.deepcopy(net)(X)
    pickle.loads(pickle.dumps(net))(X)
    assert calls == ["forward", "backward"]


def test_an_exception_in_a_hook_is_raised_by_fit() -> None:
    net = nested()

    def fail(*args: Any) -> None:
        raise KeyError("from the hook")

    net[2].register_full_backward_hook(fail)
    with pytest.raises(KeyError, match="from the hook"):
        net.fit(X, Y, loss="cross_entropy", seed=0)
    with pytest.raises(TypeError, match="hook: expected a function"):
        net.register_forward_hook(None)  # type: ignore[arg-type]


def test_a_layer_with_several_outputs_cannot_have_hooks_inside_a_net() -> None:
    net = pynn.Sequential(pynn.Parallel("relu", "tanh"), pynn.Add())
    net[0].register_forward_hook(lambda *a: None)
    with pytest.raises(ValueError, match="a layer with several outputs cannot have hooks, or"):
        net(X)


# ---- registration -----------------------------------------------------------------------------------------------------
def test_buffers_train_copy_and_save(tmp_path: Path) -> None:
    net = pynn.Sequential(Centred(), pynn.Linear(3, 2, dtype="float64", seed=0))
    layer = net[0]
    net.fit(X, Y, loss="cross_entropy", epochs=3, seed=0)
    assert layer.calls == 3
    np.testing.assert_allclose(layer.mean, X.mean(0) * (1 - 0.5**3))
    assert [*net.state_dict()] == ["0.scale", "0.mean", "1.weight", "1.bias"]
    assert [*dict(net.named_buffers())] == ["0.mean", "0.calls"]
    assert next(iter(net.buffers())) is layer.mean is net.get_buffer("0.mean")
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other[0].mean, layer.mean)
        assert other[0].calls == 3
        other[0].mean = np.zeros(3)
        assert (other.state_dict()["0.mean"] == 0).all()
    assert layer.mean.any()
    net.save(tmp_path / "net.safetensors")
    read = pynn.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(read.predict(X), net.predict(X))
    assert read[0].calls == 0


def test_names_are_checked() -> None:
    layer = Centred()
    with pytest.raises(KeyError, match="already has an attribute 'mean'"):
        layer.register_buffer("mean", np.zeros(3))
    with pytest.raises(ValueError, match="name: expected the name of an attribute"):
        layer.register_buffer("a.b", np.zeros(3))
    with pytest.raises(TypeError, match=r"param: expected a pynn\.Parameter or None, got ndarray"):
        layer.register_parameter("other", np.zeros(3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="register_buffer: only custom layers"):
        pynn.Linear(2, 2).register_buffer("mean", np.zeros(3))
    with pytest.raises(ValueError, match=r"mean\.data: got shape"):
        layer.mean = np.zeros(4)
    layer.register_module("inner", pynn.Linear(3, 3, dtype="float64"))
    layer.add_module("none", None)
    assert "inner.weight" in layer.state_dict()


def test_look_up_by_name() -> None:
    net = nested()
    assert net.get_submodule("2.0") is net[2][0]
    assert net.get_submodule("") is net
    assert net.get_parameter("2.0.weight").data is net[2][0].weight
    for call, message in ((net.get_submodule, "unknown layer"), (net.get_parameter, "unknown parameter"), (net.get_buffer, "buffer")):
        with pytest.raises(AttributeError, match=message):
            call("2.7")


def test_a_net_that_defines_forward_is_an_error() -> None:
    with pytest.raises(TypeError, match="a Sequential computes its own layers, so fit would never call forward"):

        class Net(pynn.Sequential):
            def forward(self, x: Any) -> Any:
                return x


# ---- dtypes and parameters --------------------------------------------------------------------------------------------
def test_conversion_of_a_net() -> None:
    net = pynn.Sequential(pynn.Linear(3, 4, seed=0), pynn.BatchNorm1d(4), "relu", pynn.Linear(4, 2, seed=1))
    net.fit(X, Y, loss="cross_entropy", epochs=2, seed=0)
    before, weight, optimizer = net.predict(X), net[0].weight.copy(), net.optimizer
    assert net.double() is net
    assert {str(a.dtype) for a in net.state_dict().values()} == {"float64", "int64"}
    np.testing.assert_array_equal(net[0].weight, weight)
    np.testing.assert_allclose(net.predict(X), before, atol=1e-5)
    assert net.predict(X).dtype == net(X).dtype == np.float64
    net.fit(X, Y, loss="cross_entropy", optimizer=optimizer, epochs=2, seed=0)
    assert optimizer is not None
    assert {str(state["exp_avg"].dtype) for state in optimizer.state.values()} == {"float64"}
    assert net.float().predict(X).dtype == np.float32
    assert net.to(np.float64).to("cpu").cpu().dtype == "float64"
    assert net.to(np.zeros(1, "float32")).dtype == "float32"


def test_conversion_converts_the_state_of_an_optimizer() -> None:
    def steps(convert: bool) -> np.ndarray:
        layer = pynn.Linear(3, 2, seed=0)
        optimizer = pynn.optim.Adam(layer.parameters(), ema_decay=0.5)
        for i in range(4):
            if i == 2 and convert:
                layer.double()
            for p in layer.parameters():
                p.grad[...] = p.data * (i + 1)
            optimizer.step()
        return layer.weight.astype("float32")

    np.testing.assert_allclose(steps(True), steps(False), rtol=1e-6)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("cuda",), "device: pynn computes on CPUs only, got 'cuda'"),
        (("cuda:0", "float64"), "got 'cuda:0'"),
        (("float16",), "expected 'float32' or 'float64', got 'float16'"),
        ((np.int64,), "dtype: expected"),
    ],
)
def test_conversion_errors(args: tuple[Any, ...], message: str) -> None:
    net = nested()
    with pytest.raises(ValueError, match=message):
        net.to(*args)
    assert net.dtype == "float32"


def test_a_part_of_a_net_is_not_converted_alone() -> None:
    net = nested()
    with pytest.raises(ValueError, match="Linear is part of a Sequential that also contains other layers"):
        net[0].double()
    assert net.predict(X).dtype == np.float32


def test_parameters() -> None:
    p = pynn.Parameter(np.zeros((2, 3)))
    assert (p.numel(), p.ndim, p.dim(), p.size(), p.size(1), p.dtype) == (6, 2, 2, (2, 3), 3, np.float64)
    assert p.numpy() is p.data
    assert p.requires_grad_(False) is p
    net = nested().requires_grad_(False)
    assert not any(q.requires_grad for q in net.parameters())
    assert all(q.requires_grad for q in net.requires_grad_().parameters())
    net.zero_grad(set_to_none=True)
    pynn.optim.SGD(net.parameters()).zero_grad(set_to_none=True)


# ---- arguments without effect, and lazy layers ------------------------------------------------------------------------
def test_arguments_without_effect() -> None:
    assert repr(pynn.ReLU(inplace=True)) == "ReLU()"
    assert repr(pynn.LeakyReLU(0.2, True)) == "LeakyReLU(negative_slope=0.2)"
    assert repr(pynn.Softplus(2.0, 30)) == "Softplus(beta=2.0)"
    assert pynn.RReLU(0.1, 0.2, True).upper == 0.2
    with pytest.raises(TypeError, match="inplace must be True or False, got 'yes'"):
        pynn.ReLU("yes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threshold=5 is not supported"):
        pynn.Softplus(1.0, 5)


@pytest.mark.parametrize("cls", [pynn.Softmax, pynn.LogSoftmax, pynn.Softmin])
def test_softmax_of_one_number(cls: Any) -> None:
    layer = cls()
    y = layer(np.array(3.0))
    assert y.shape == ()
    assert y == (0 if cls is pynn.LogSoftmax else 1)
    assert layer.backward(np.array(2.0)) == 0
    with pytest.raises(ValueError, match="axis 1"):
        cls(1)(np.array(3.0))


def test_lambda_schedule_without_an_optimizer() -> None:
    made = [pynn.optim.lr_scheduler.LambdaLR(f) for f in (lambda t: 0.5**t, [lambda t: 0.5**t])]
    for schedule in made:
        net = pynn.Sequential(pynn.Linear(3, 2, seed=0))
        optimizer = pynn.optim.SGD(lr=0.4, schedule=schedule)
        net.fit(X, Y, loss="cross_entropy", optimizer=optimizer, epochs=3, seed=0)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    with pytest.raises(TypeError, match="lr_lambda must be a function"):
        pynn.optim.lr_scheduler.MultiplicativeLR([1.0])  # type: ignore[list-item]


def test_lazy_layers(tmp_path: Path) -> None:
    images, labels = RNG.normal(size=(8, 1, 6, 6)), np.arange(8) % 2

    def net(conv: pynn.Layer, linear: pynn.Layer) -> pynn.Sequential:
        return pynn.Sequential(conv, "relu", pynn.Flatten(), linear)

    lazy = net(pynn.LazyConv2d(2, 3, seed=0), pynn.LazyLinear(2, bias=False, seed=1))
    eager = net(pynn.Conv2d(1, 2, 3, seed=0), pynn.Linear(32, 2, bias=False, seed=1))
    lazy.save(tmp_path / "lazy.safetensors")
    read = pynn.load(tmp_path / "lazy.safetensors")
    assert repr(read) == repr(lazy)
    assert "LazyLinear(out_features=2, bias=False" in repr(lazy)
    with pytest.raises(AttributeError, match="created with the first input"):
        _ = lazy[3].weight
    with pytest.raises(ValueError, match="apply_init: LazyConv2d"):
        lazy.apply_init()
    optimizer = pynn.optim.Adam(lazy.parameters(), lr=0.01)
    options: dict[str, Any] = {"loss": "cross_entropy", "epochs": 3, "seed": 0}
    got = lazy.fit(images, labels, optimizer=optimizer, **options).history["loss"]
    assert got == eager.fit(images, labels, optimizer=pynn.optim.Adam(lr=0.01), **options).history["loss"]
    assert repr(lazy) == repr(eager)
    assert type(lazy[3]) is pynn.Linear
    assert read.double().predict(images).dtype == np.float64
    assert pynn.LazyConv1d(2, 3)(RNG.normal(size=(4, 7))).shape == (2, 5)
    with pytest.raises(ValueError, match="out_features"):
        pynn.LazyLinear(-1)


# ---- hints ------------------------------------------------------------------------------------------------------------
OBJECTS = {
    "module": pynn,
    "layer": pynn.Sequential(pynn.Linear(2, 2)),
    "loss": pynn.MSELoss(),
    "optimizer": pynn.optim.Adam(),
    "functional": pynn.functional,
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in _hints.HINTS.items() for name in names])
def test_every_hint_is_given(kind: str, name: str) -> None:
    assert not hasattr(OBJECTS[kind], name)
    with pytest.raises(AttributeError) as error:
        getattr(OBJECTS[kind], name)
    assert str(error.value).endswith(f"has no attribute {name!r}; in pynn: {_hints.HINTS[kind][name]}")


def test_hints_name_what_exists() -> None:
    import re

    for path in {path for names in _hints.HINTS.values() for text in names.values() for path in re.findall(r"pynn((?:\.\w+)+)", text)}:
        found: Any = pynn
        for part in path.split(".")[1:]:
            found = getattr(found, part)


def test_hints_of_imports_and_of_activations() -> None:
    with pytest.raises(ImportError, match=r"cannot import 'nn': .*layers are names of the package"):
        exec("from pynn import nn")
    with pytest.raises(ImportError, match="cannot import 'missing'"):
        exec("from pynn import missing")
    with pytest.raises(AttributeError, match="CPUs only"):
        pynn.ReLU().cuda()
    with pytest.raises(AttributeError, match=r"'Linear' object has no attribute 'weights_'$"):
        pynn.Linear(2, 2).weights_  # noqa: B018
    layer = Centred()
    layer.compile = 3
    assert layer.compile == 3
