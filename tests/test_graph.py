"""Reading a graph: the description of its nodes suffices to build it again."""

from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core
from pynn._graph import Builder


class Doubled(pynn.Layer):
    """A layer in Python with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = pynn.Parameter(np.full(1, 2.0))

    def forward(self, x: Any) -> Any:
        self.x = x
        return x * self.scale.data

    def backward(self, gy: Any) -> Any:
        self.scale.grad += (gy * self.x).sum()
        return gy * self.scale.data


def graph_of(net: pynn.Layer, *shapes: tuple[int, ...]) -> Any:
    builder = Builder(net.dtype or "float64", shapes, writes=True)
    net._build(builder, "")
    return builder.finish()


def built_again(graph: Any) -> Any:
    """Build a graph from the description of another."""
    nodes = graph.read()
    again = _core.Graph(graph.dtype, nodes[0]["shape"])
    for node in nodes[1:]:
        pairs = tuple((p["data"], p["grad"]) for p in node["parameters"])
        if node["kind"] is None:
            again.input(node["shape"])
        elif node["kind"] == "custom":
            names = tuple(p["name"] for p in node["parameters"])
            again.add_custom(node["layer"], node["where"], node["config"]["shape"], names, pairs, node["inputs"])
        else:
            again.add(node["kind"], node["where"], node["config"], pairs, node["inputs"], node["training"])
    again.outputs(graph.output_nodes)
    return again


def results(graph: Any, gradients: list[Any], *xs: Any) -> list[Any]:
    """Return outputs, gradients of inputs and gradients of parameters, as bytes."""
    plan = _core.Plan(graph, len(xs[0]), "backward")
    plan.tick = 3
    for g in gradients:
        g[...] = 0
    ys = plan.forward(*xs)
    ys = ys if isinstance(ys, tuple) else (ys,)
    gx = plan.backward(*(np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape) for y in ys))
    gx = gx if isinstance(gx, tuple) else (gx,)
    return [a.tobytes() for a in (*ys, *gx, *gradients)]


def image_net() -> pynn.Layer:
    return pynn.Sequential(
        pynn.Conv2d(2, 4, 3, padding="same", padding_mode="reflect", seed=0, dtype="float64"), pynn.BatchNorm2d(4, dtype="float64"), "relu",
        pynn.MaxPool2d(2), pynn.Dropout2d(0.3, seed=2**64 - 3), pynn.PReLU(4, dtype="float64"), pynn.Flatten(),
        pynn.GaussianNoise(0.1, seed=7),
        pynn.Residual(pynn.Linear(64, 64, seed=1, dtype="float64"), pynn.LeakyReLU(0.3)), Doubled(), pynn.LayerNorm(64, dtype="float64"),
        pynn.Linear(64, 3, bias=False, seed=2, dtype="float64"), pynn.LogSoftmax(),
    )  # fmt: skip


def two_inputs() -> pynn.Layer:
    a, b = pynn.Input(5), pynn.Input(4)
    meets = pynn.Bilinear(5, 4, 3, seed=0, dtype="float64")(a, b)
    return pynn.Model([a, b], [meets, pynn.Linear(3, 2, seed=1, dtype="float64")(meets)])


@pytest.mark.parametrize(("net", "shapes"), [(image_net(), [(2, 8, 8)]), (two_inputs(), [(5,), (4,)])], ids=["images", "two inputs"])
def test_a_graph_that_is_built_again_computes_the_same_bits(net: pynn.Layer, shapes: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(6, *shape)) for shape in shapes]
    graph, gradients = graph_of(net, *shapes), [p.grad for p in net.parameters()]
    buffers = [b.data for b in net._all_state().values()]
    before = [b.copy() for b in buffers]
    first = results(graph, gradients, *xs)
    for b, value in zip(buffers, before, strict=True):
        b[...] = value
    again = built_again(graph)
    assert [{**node, "parameters": len(node["parameters"])} for node in again.read()] == [
        {**node, "parameters": len(node["parameters"])} for node in graph.read()
    ]
    assert results(again, gradients, *xs) == first


def test_nodes_have_names_for_everything() -> None:
    nodes = graph_of(image_net(), (2, 8, 8)).read()
    conv, norm = nodes[1], nodes[2]
    assert (nodes[0]["kind"], nodes[0]["shape"], nodes[0]["config"]) == (None, (2, 8, 8), {})
    assert {"padding_mode": "reflect", "kernel_size": (3, 3), "bias": True}.items() <= conv["config"].items()
    assert [(p["name"], p["shape"]) for p in conv["parameters"]] == [("weight", (4, 2, 3, 3)), ("bias", (4,))]
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [p["name"] for p in norm["parameters"]] == names
    assert [p["state"] for p in norm["parameters"]] == [False, False, True, True, True]
    assert nodes[3]["config"] == {"function": "relu", "parameters": ()}
    assert {n["config"].get("seed") for n in nodes} >= {2**64 - 3, 7}
    assert {"function": "leaky_relu", "parameters": (0.3,)} in [n["config"] for n in nodes]


def test_parameters_of_custom_layers_have_names() -> None:
    layer = Doubled()
    layer.inner = pynn.Linear(3, 3, bias=False, dtype="float64")
    node = graph_of(pynn.Sequential(layer), (3,)).read()[1]
    assert [(p["name"], p["shape"]) for p in node["parameters"]] == [("scale", (1,)), ("inner.weight", (3, 3))]
    graph = _core.Graph("float64", (3,))
    with pytest.raises(ValueError, match="names: expected 0, one per parameter, got 1"):
        graph.add_custom(layer, "", (3,), ("a",), (), (0,))
    with pytest.raises(TypeError):
        graph.add_custom(layer, "", (3,), (1,), ((np.zeros(3), None),), (0,))


def test_frozen_parameters_are_not_trainable() -> None:
    net = pynn.Sequential(pynn.Linear(2, 2), pynn.Linear(2, 2).freeze())
    assert [[p["trainable"] for p in node["parameters"]] for node in graph_of(net, (2,)).read()] == [[], [True, True], [False, False]]


def test_every_field_has_a_meaning() -> None:
    for row in _core.layer_kinds():
        for field in row["fields"]:
            assert field["meaning"], (row["name"], field)
            assert field["choices"] or field["least"] < field["most"], (row["name"], field)
            assert bool(field["choices"]) == (field["type"] == "choice")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"in_features": 2, "out_features": 2}, "bias is missing"),
        ({"in_features": 2, "out_features": 2, "bias": 2}, "bias must be 0 or 1, got 2"),
        ({"in_features": 2, "out_features": 1.5, "bias": 0}, "out_features must be an integer of at least 0, got 1.5"),
        ({"in_features": 2, "out_features": (2, 2), "bias": 0}, "out_features must be one number"),
        ({"in_features": 2, "out_features": 2, "bias": 0, "eps": 1}, "unknown setting 'eps'; linear takes in_features, out_features, bias"),
    ],
)
def test_wrong_settings_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.Graph("float32", (2,)).add("linear", "here", config, ())
