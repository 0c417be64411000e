"""Activations given by formulas: as functions and as layers, with constant and learnt parameters, in every part of the library."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core
from pynn._tables import REQUIRED, parse_parameters

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 5)) * 2
Y = np.sin(X[:, :3])
PIXELS = RNG.normal(size=(6, 4, 5, 3)) * 2

# Each differs from all rows of the activation table.
PLAIN = ["x * tanh(softplus(1.5*x))", "x + sin(x)**2", "where(x > 0, x, expm1(x) / (3 - x))", "exp(x) / (2 + exp(x))"]
SNAKE = "x + sin(a*x)**2 / a"
SLOPE = "where(x > 0, x, s*x)"


def snake(**options: Any) -> Any:
    return pynn.Activation(SNAKE, a=1.3, learn="a", **options)


def net(*layers: Any, dtype: str = "float64") -> Any:
    """Return a net with these layers between two linear layers with fixed weights."""
    return pynn.Sequential(pynn.Linear(5, 7, seed=1, dtype=dtype), *layers, pynn.Linear(7, 3, seed=2, dtype=dtype))


def node_of(layer: pynn.Layer) -> str:
    """Return the kind of node that a layer adds to a graph."""
    from pynn._graph import Builder

    builder = Builder("float64", [(5,)])
    layer._build(builder, "")
    kind = builder.finish().read()[-1]["kind"]
    assert isinstance(kind, str)
    return kind


# ---- as a function -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(), (7,), (2, 3), (2, 3, 4, 5), (0, 3)])
def test_a_formula_is_a_function_of_arrays_of_any_shape(shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=shape)
    f = pynn.Activation("x * sigmoid(3*x)")
    expected = x / (1 + np.exp(-3 * x))
    np.testing.assert_allclose(f(x), expected, rtol=1e-14, atol=1e-300)
    assert np.shape(f(x)) == shape
    s = 1 / (1 + np.exp(-3 * x))
    np.testing.assert_allclose(f.grad(x), s + 3 * x * s * (1 - s), rtol=1e-13, atol=1e-15)


def test_a_formula_writes_to_given_arrays() -> None:
    f = pynn.Activation("x + sin(x)**2")
    out = np.empty_like(X)
    assert f(X, out=out) is out
    np.testing.assert_array_equal(out, f(X))
    assert f.grad(X, out=out) is out
    np.testing.assert_array_equal(out, f.grad(X))
    with pytest.raises(TypeError, match="expected one array, got 2"):
        f(X, X, out=out)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_formula_keeps_the_dtype(dtype: str) -> None:
    f, x = pynn.Activation("x + a*sin(x)**2", a=0.5), X.astype(dtype)
    for y in (f(x), f.grad(x), f(x, out=np.empty_like(x))):
        assert y.dtype == dtype
    np.testing.assert_allclose(f(x), X + 0.5 * np.sin(X) ** 2, rtol=0, atol=10 * np.finfo(dtype).eps * 8)
    assert f(np.arange(3)).dtype == np.float64


@pytest.mark.parametrize("formula", PLAIN)
def test_function_and_layer_give_the_same_bits(formula: str, isa: str) -> None:
    f = pynn.Activation(formula)
    np.testing.assert_array_equal(f(X), f(X, out=np.empty_like(X)))
    f(X)
    np.testing.assert_array_equal(f.backward(np.ones_like(X)), f.grad(X))


def test_parameters_of_a_function_may_be_learnt_values() -> None:
    f = pynn.Activation(SLOPE, s=[0.1, 0.2, 0.3, 0.4], learn="s", channels=4, dtype="float64")
    slopes = np.array([0.1, 0.2, 0.3, 0.4]).reshape(4, 1, 1)
    expected = np.where(PIXELS > 0, PIXELS, slopes * PIXELS)
    np.testing.assert_array_equal(f(PIXELS, out=np.empty_like(PIXELS)), expected)
    np.testing.assert_array_equal(f(PIXELS), expected)
    np.testing.assert_array_equal(f.grad(PIXELS), np.where(PIXELS > 0, 1, np.broadcast_to(slopes, PIXELS.shape)))


# ---- as a layer --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("formula", PLAIN)
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 4, 3)])
def test_a_formula_is_a_correct_layer(formula: str, shape: tuple[int, ...]) -> None:
    layer = pynn.Activation(formula)
    assert node_of(layer) == "formula"
    pynn.testing.check_layer(layer, shape)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 5, 3)])
@pytest.mark.parametrize("channels", [1, 4])
def test_learnt_parameters_are_a_correct_layer(shape: tuple[int, ...], channels: int) -> None:
    layer = pynn.Activation(
        "x + sin(a*x)**2 / a + b*c*cos(x)",
        **{"a": np.linspace(0.5, 2, channels), "b": 0.3, "c": 1.5, "learn": ("a", "b"), "channels": channels, "dtype": "float64"},
    )
    pynn.testing.check_layer(layer, shape)


@pytest.mark.parametrize(("formula", "kind"), [("x * tanh(softplus(x))", "activation"), ("max(0, x)", "activation"), (PLAIN[0], "formula")])
def test_a_formula_that_is_a_row_of_the_table_runs_as_that_row(formula: str, kind: str) -> None:
    assert node_of(pynn.Activation(formula)) == kind


def test_a_row_of_the_table_gives_the_bits_of_that_row() -> None:
    mine, theirs = net(pynn.Activation("x * tanh(softplus(x))")), net(pynn.Mish())
    mine.fit(X, Y, loss="mse", epochs=3, seed=0)
    theirs.fit(X, Y, loss="mse", epochs=3, seed=0)
    np.testing.assert_array_equal(mine.predict(X), theirs.predict(X))


LEARNABLE = {row["name"]: parse_parameters(row["params"]).defaults for row in _core.ACTIVATIONS if row["params"]}


@pytest.mark.parametrize("name", LEARNABLE)
def test_a_row_with_learnt_parameters_has_the_values_and_derivatives_of_its_kernel(name: str) -> None:
    """Also at 0, where the formulas of some rows are sums of functions with kinks that cancel."""
    given = {f"p{i}": 0.5 if default is REQUIRED else float(default) for i, default in enumerate(LEARNABLE[name].values())}
    layer = pynn.Activation(f"{name}(x, {', '.join(given)})", learn=[*given], dtype="float64", **given)
    row = next(row for row in _core.ACTIVATIONS if row["name"] == name)
    x = np.array([-4.0, -1.3, -1e-9, 0.0, 1e-9, 0.7, 4.0])
    np.testing.assert_allclose(layer(x), row["ufunc"](x, *given.values()), rtol=1e-12)
    np.testing.assert_allclose(layer.grad(x), row["grad"](x, *given.values()), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("formula", PLAIN)
def test_fused_and_separate_formulas_train_alike(formula: str, dtype: str) -> None:
    """A formula behind Linear is computed with the product; behind an identity it is a step of its own."""
    fused, separate = net(pynn.Activation(formula), dtype=dtype), net(pynn.Reshape(7), pynn.Activation(formula), dtype=dtype)
    steps = [what for what, *_ in _core.Plan(graph_of(fused), 8, "train").steps]
    assert "linear + activation" in steps
    history = [model.fit(X, Y, loss="mse", epochs=3, seed=0).history["loss"] for model in (fused, separate)]
    assert history[0] == history[1]
    np.testing.assert_array_equal(fused.predict(X), separate.predict(X))


def graph_of(model: Any) -> Any:
    from pynn._graph import Builder

    builder = Builder(model.dtype, [(5,)], writes=True)
    model._build(builder, "")
    return builder.finish()


def test_a_learnt_slope_trains_like_prelu() -> None:
    mine = net(pynn.Activation(SLOPE, s=0.25, learn="s", dtype="float64"))
    theirs = net(pynn.PReLU(dtype="float64"))
    optimizer = {"optimizer": "adam", "epochs": 60, "batch_size": 64, "seed": 0}
    losses = [model.fit(X, Y, loss="mse", **optimizer).history["loss"] for model in (mine, theirs)]
    np.testing.assert_allclose(*losses, rtol=1e-9)
    np.testing.assert_allclose(mine[1].s, theirs[1].weight, rtol=1e-9)
    assert abs(mine[1].s[0] - 0.25) > 1e-3


@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 2, 3)])
def test_slopes_by_channel_train_like_prelu(shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=(40, *shape))
    y = np.where(x > 0, x, x * np.linspace(-1, 1, 7).reshape(7, *(1,) * (len(shape) - 1)))
    layers = pynn.Activation(SLOPE, s=0.25, learn="s", channels=7, dtype="float64"), pynn.PReLU(7, dtype="float64")
    models = [pynn.Sequential(layer) for layer in layers]
    losses = [model.fit(x, y, loss="mse", epochs=30, batch_size=8, seed=0).history["loss"] for model in models]
    np.testing.assert_allclose(*losses, rtol=1e-9)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize("channels", [1, 7])
@pytest.mark.parametrize("rows", [3, 700])
def test_results_do_not_depend_on_the_number_of_threads(channels: int, rows: int) -> None:
    x = np.random.default_rng(1).normal(size=(rows, 7, 11, 5)).astype("float32")
    results = []
    for threads in (1, 2, 7):
        with pynn.num_threads(threads):
            layer = snake(channels=channels)
            y = layer(x)
            gx = layer.backward(np.cos(x))
            results.append([y.tobytes(), gx.tobytes(), layer.grads["a"].tobytes()])
    assert results[0] == results[1] == results[2]


def test_avx2_and_avx512_give_the_same_bits() -> None:
    wide = [name for name in ("avx2", "avx512") if _core.isas().get(name)]
    if len(wide) < 2:
        pytest.skip("only one of the two instruction sets was built or runs here")
    before, results = _core.isa(), []
    try:
        for name in wide:
            _core.set_isa(name)
            layer = snake(dtype="float32")
            results.append([layer(X).tobytes(), layer.backward(X).tobytes(), layer.grads["a"].tobytes()])
    finally:
        _core.set_isa(before)
    assert results[0] == results[1]


def test_formulas_work_in_every_container() -> None:
    x: Any = pynn.Input(5)
    h = pynn.Linear(5, 7, seed=1, dtype="float64")(x)
    a, b = snake(dtype="float64")(h), pynn.Activation(PLAIN[0])(h)
    merged = pynn.Concat()(a, b)
    out = pynn.Linear(14, 3, seed=2, dtype="float64")(merged)
    models = [
        net(pynn.Residual(snake(dtype="float64"), pynn.Activation(PLAIN[1]))),
        net(pynn.Sequential(pynn.Activation(PLAIN[3]), snake(dtype="float64"))),
        pynn.Model(x, out),
    ]
    for model in models:
        loss = model.fit(X, Y, loss="mse", epochs=30, seed=0).history["loss"]
        assert loss[-1] < loss[0]
        assert model.predict(X).shape == (64, 3)


def test_formulas_behind_convolutions() -> None:
    x = RNG.normal(size=(12, 2, 8, 8)).astype("float32")
    for layer in (pynn.Activation(PLAIN[0]), snake(), snake(channels=6)):
        model = pynn.Sequential(pynn.Conv2d(2, 6, 3, seed=0), layer, pynn.MaxPool2d(2), pynn.Flatten(), pynn.Linear(54, 1, seed=1))
        apart = pynn.Sequential(*[copy.deepcopy(part) for part in model])
        apart.insert(1, pynn.Dropout(0.0))
        losses = [m.fit(x, x.mean((1, 2, 3)), loss="mse", epochs=4, seed=0).history["loss"] for m in (model, apart)]
        np.testing.assert_allclose(*losses, rtol=1e-4)
        np.testing.assert_allclose(model.predict(x), apart.predict(x), rtol=1e-3, atol=1e-5)


# ---- parameters --------------------------------------------------------------------------------------------------------
def test_learnt_parameters_are_parameters() -> None:
    model = net(snake(channels=7, dtype="float64"))
    names = [name for name, _ in model.named_parameters()]
    assert names == ["0.weight", "0.bias", "1.a", "2.weight", "2.bias"]
    assert model[1].a.shape == model.state_dict()["1.a"].shape == (7,)
    before = model[1].a.copy()
    model.apply_init("auto", seed=3)
    np.testing.assert_array_equal(model[1].a, before)
    model.freeze("1.a")
    model.fit(X, Y, loss="mse", epochs=2, seed=0)
    np.testing.assert_array_equal(model[1].a, before)
    model.unfreeze()
    model.fit(X, Y, loss="mse", epochs=2, seed=0)
    assert (model[1].a != before).all()
    state = model.state_dict()
    state["1.a"][...] = 2.0
    model.load_state_dict(state)
    assert (model[1].a == 2).all()


def test_assigned_parameters_take_effect() -> None:
    constant = pynn.Activation(SNAKE, a=1.0)
    model = net(constant)
    first = model.predict(X)
    constant.a = 2.0
    assert constant.a == 2.0
    np.testing.assert_allclose(constant(X), X + np.sin(2 * X) ** 2 / 2, rtol=1e-13)
    assert (model.predict(X) != first).any()
    learnt = snake(channels=5, dtype="float64")
    learnt.a = 3.0
    assert (learnt.a == 3).all()
    np.testing.assert_allclose(learnt(X), X + np.sin(3 * X) ** 2 / 3, rtol=1e-13)
    row = pynn.Activation("where(x > 0, x, a*x)", a=0.1)
    assert node_of(row) == "activation"
    row.a = 0.3
    np.testing.assert_array_equal(row(X), pynn.leaky_relu(X, 0.3))


def test_an_assigned_formula_takes_effect() -> None:
    layer = pynn.Activation(SNAKE, a=1.0)
    layer(X)
    layer.formula = "x * sigmoid(a*x)"
    np.testing.assert_allclose(layer(X), X / (1 + np.exp(-X)), rtol=1e-13)
    with pytest.raises(ValueError, match="b"):
        layer.formula = "x * b"
    assert layer.formula == "x * sigmoid(a*x)"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"formula": "x +"}, "x \\+"),
        ({"formula": SNAKE}, "a"),
        ({"formula": SNAKE, "a": "text"}, "a"),
        ({"formula": SNAKE, "a": [1.0, 2.0]}, "a: expected a number, got an array of shape"),
        ({"formula": SNAKE, "a": [1.0, 2.0], "learn": "a", "channels": 3}, "a: expected a number, or 3, one per channel"),
        ({"formula": SNAKE, "a": 1.0, "learn": "b"}, "learn: the formula has no parameter 'b'"),
        ({"formula": SNAKE, "a": 1.0, "channels": 3}, "channels: only learnt parameters"),
        ({"formula": SNAKE, "a": 1.0, "learn": "a", "channels": 0}, "channels"),
        ({"formula": "x * training", "training": 1.0}, "training: this name is an attribute"),
        ({"formula": SNAKE, "a": 1.0, "dtype": "float64"}, "dtype: a formula without learnt parameters"),
        ({"formula": SNAKE, "a": 1.0, "learn": "a", "dtype": "float16"}, "dtype"),
        ({"formula": "__import__('os')"}, "__import__"),
    ],
)
def test_errors_of_activations(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises((ValueError, TypeError), match=error):
        pynn.Activation(**arguments)


def test_errors_of_shapes() -> None:
    with pytest.raises(ValueError, match=r"a sample of shape \(5,\) does not have 4 channels"):
        snake(channels=4)(X)


# ---- files, copies and texts ------------------------------------------------------------------------------------------
def layers() -> list[pynn.Layer]:
    return [
        pynn.Activation(PLAIN[0]),
        pynn.Activation(SNAKE, a=2.0, name="snake"),
        snake(dtype="float64"),
        pynn.Activation("s*x + c*sin(a*x)", s=1.0, a=np.linspace(1, 2, 7), c=0.5, learn=["a", "s"], channels=7, dtype="float64"),
    ]


@pytest.mark.parametrize("index", range(4))
def test_formulas_are_copied_saved_and_shown(index: int, tmp_path: Path) -> None:
    layer = layers()[index]
    same = eval(repr(layer), {"Activation": pynn.Activation})
    assert repr(same) == repr(layer)
    assert same.get_config() == layer.get_config()
    model = net(layer)
    model.fit(X, Y, loss="mse", epochs=2, seed=0)
    model.save(tmp_path / "model.safetensors", optimizer=True)
    others = [pynn.load(tmp_path / "model.safetensors"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for other in others:
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        assert repr(other) == repr(model)
        other.fit(X, Y, loss="mse", epochs=1, seed=1)
    assert layer.formula in str(model.summary())


def test_files_hold_the_text_and_run_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    net(pynn.Activation(PLAIN[1])).save(path)
    data = path.read_bytes()
    assert b"sin(x)**2" in data
    hostile = data.replace(b"x + sin(x)**2", b"exit(x)+x*x+1")
    path.write_bytes(hostile)
    with pytest.raises(ValueError, match="exit"):
        pynn.load(path)


def test_explain_step_shows_the_formula() -> None:
    model = net(pynn.Activation(PLAIN[1]), snake(dtype="float64"))
    text = str(model.explain_step(X[:2], Y[:2], loss="mse"))
    assert f"f(x) = {PLAIN[1]}" in text
    assert f"f(x) = {SNAKE}" in text
    assert "da = sum(dv3 * df/da)" in text
    assert model.explain_step(X[:2], Y[:2], loss="mse")["2"].parameters["a"].value == 1.3


# ---- training ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("optimizer", ["lbfgs", "levenberg_marquardt"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_solvers_train_formulas(optimizer: str, dtype: str) -> None:
    model = net(pynn.Activation(PLAIN[1]), snake(dtype=dtype), dtype=dtype)
    loss = model.fit(X, Y, loss="mse", optimizer=optimizer, epochs=5, batch_size=64, seed=0).history["loss"]
    assert loss[-1] < loss[0] / 5


def test_fit_many_trains_formulas() -> None:
    models = [net(snake(dtype="float64")) for _ in range(3)]
    alone = copy.deepcopy(models[0])
    pynn.fit_many([pynn.Run(model, epochs=3, seed=0) for model in models], X, Y, loss="mse")
    alone.fit(X, Y, loss="mse", epochs=3, seed=0)
    for model in models:
        np.testing.assert_array_equal(model.predict(X), alone.predict(X))


@pytest.mark.parametrize(
    ("formula", "row"), [("max(0, x) + 0*sin(x)", "relu"), ("tanh(x) * 1.0000000001", "tanh"), ("sigmoid(x) + 1e-12", "sigmoid")]
)
def test_health_counts_units_as_for_rows(formula: str, row: str) -> None:
    reports = []
    for layer in (pynn.Activation(formula), row):
        model = net(layer)
        model[0].bias[:3] = [-900, 900, -9]
        model.fit(X, Y, loss="mse", epochs=2, batch_size=16, seed=0)
        reports.append(next(one for one in model.health() if one.layer == "1"))
    mine, theirs = reports
    assert (mine.units, mine.dead, mine.saturated, mine.flat) == (theirs.units, theirs.dead, theirs.saturated, theirs.flat)
    assert mine.units == 7
    assert mine.dead or mine.saturated


@pytest.mark.parametrize("channels", [1, 7])
def test_health_counts_units_of_learnt_slopes(channels: int) -> None:
    layer = pynn.Activation("where(x > 0, x, s*x)", s=0.0, learn="s", channels=channels, dtype="float64").freeze()
    if channels > 1:
        layer.s = np.array([0.0, 1.0, 0, 0, 0, 0, 0])
    model = net(layer)
    model[0].bias[:2] = -30
    model.fit(X, Y, loss="mse", epochs=2, seed=0)
    row = next(one for one in model.health() if one.layer == "1")
    assert row.units == 7
    assert row.dead * 7 == pytest.approx(1 if channels > 1 else 2)


def test_initial_weights_follow_the_behaviour() -> None:
    for formula, like in [
        ("max(0, x) + 0*sin(x)", "relu"),
        ("tanh(x) * 1.0000000001", "tanh"),
        ("where(x > 0, x, 0.3*x) + 0*sin(x)", pynn.LeakyReLU(0.3)),
    ]:
        models = [net(pynn.Activation(formula)), net(like)]
        for model in models:
            model.apply_init("auto", seed=5)
        np.testing.assert_array_equal(models[0][0].weight, models[1][0].weight)


def test_the_laboratory_compares_formulas() -> None:
    report = pynn.lab.compare(
        X, (X[:, 0] > 0).astype(int), activations=["relu", "x * sigmoid(2*x)", snake(name="snake"), ("half", "tanh(x) / 2")],
        hidden=4, epochs=1, seeds=2, tune=None, lr=1e-2,
    )  # fmt: skip
    assert all(f"\n{name}" in str(report) for name in ("relu", "x * sigmoid(2*x)", "snake", "half"))
    with pytest.raises(ValueError, match="unknown activation"):
        pynn.lab.compare(X, X[:, 0] > 0, activations=["relo"])
    with pytest.raises(ValueError, match="foo"):
        pynn.lab.compare(X, X[:, 0] > 0, activations=["foo(x)"])


def test_plots_show_formulas() -> None:
    pytest.importorskip("matplotlib")
    figure = pynn.plot.activations(["relu", "x * sigmoid(2*x)", pynn.Activation(SNAKE, a=1.0, name="snake")])
    labels = [line.get_label() for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    assert labels == ["relu", "x * sigmoid(2*x)", "snake"]


# ---- the core ----------------------------------------------------------------------------------------------------------
def program(**options: Any) -> Any:
    code = [("input", 0), ("parameter", 0), ("mul", 0, 1)]
    return _core.Formula(code, [2, 1, 0], 1, 1, **options)


def test_graphs_check_formulas() -> None:
    config = {"program": program(), "parameters": (2.0,), "learnt": (), "num_parameters": 1}
    errors = [
        ({"program": 3.0}, "program must be a formula"),
        ({"program": "text"}, "program must be a formula"),
        ({"parameters": ()}, "program takes 1 parameters, got 0"),
        ({"parameters": program()}, "parameters must be a number, not a formula"),
        ({"learnt": (1,)}, "learnt names parameter 1"),
        ({"learnt": (0, 0)}, "learnt names parameter 0 twice"),
        ({"num_parameters": 4, "learnt": (0,)}, "does not have 4 channels"),
        ({"program": _core.Formula([("input", 0)], [0, None], 1, 0), "parameters": ()}, "derivative"),
        ({"program": _core.Formula([("input", 0), ("input", 1)], [0, 1, None], 2, 0), "parameters": ()}, "1 input, not 2"),
        ({"program": _core.Formula([("input", 0), ("parameter", 0)], [0, 0, None], 1, 1), "learnt": (0,)}, "no derivative"),
    ]
    for change, error in errors:
        graph = _core.Graph("float64", (5,))
        pairs = ((np.ones(1), np.zeros(1)),) * len(change.get("learnt", ()))
        with pytest.raises(ValueError, match=error):
            graph.add("formula", "here", {**config, **change}, pairs)


def test_a_graph_keeps_its_formulas_alive() -> None:
    import gc
    import sys

    formula = program()
    graph = _core.Graph("float64", (5,))
    before = sys.getrefcount(formula)
    graph.add("formula", "here", {"program": formula, "parameters": (2.0,), "learnt": (), "num_parameters": 1}, ())
    assert graph.read()[1]["config"]["program"] is formula
    assert sys.getrefcount(formula) == before + 1
    plan = _core.Plan(graph, 64, "predict")
    del graph, formula
    gc.collect()
    np.testing.assert_array_equal(plan.forward(X), 2 * X)


def test_subclasses_take_functions(tmp_path: Path) -> None:
    class Sine(pynn.Activation):
        def __init__(self, factor: float = 1.0) -> None:
            self.factor = factor
            super().__init__("sine", np.sin, np.cos)

    assert Sine(2.0).get_config() == {"factor": 2.0}
    np.testing.assert_array_equal(Sine()(X), np.sin(X))
    assert repr(pynn.Activation(name="sine", f=np.sin, df=np.cos)) == "Activation('sine', sin, cos)"
    with pytest.raises(TypeError, match="only for an activation that is given by a formula"):
        pynn.Activation("sine", np.sin, np.cos, a=1.0)
    with pytest.raises(TypeError, match="f: expected a function"):
        pynn.Activation()
