"""A training step explained: every array, its formula and its gradient."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest
from markup import parsed

import pynn
from pynn import _core
from pynn._formula import derivative, filled
from pynn._tables import parse_parameters

F64: dict[str, Any] = {"dtype": "float64"}
RNG = np.random.default_rng


class Square(pynn.Layer):
    """A custom layer with a parameter and a state."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = pynn.Parameter(np.array([1.5]))
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.x = x
        self.calls += 1
        return self.scale.data * x**2

    def backward(self, gy: Any) -> Any:
        self.scale.grad += (gy * self.x**2).sum()
        return 2 * self.scale.data * self.x * gy


def images(*layers: Any) -> pynn.Sequential:
    return pynn.Sequential(*layers, pynn.Flatten())


def bilinear() -> pynn.Model:
    a, b = pynn.Input(2), pynn.Input(3)
    return pynn.Model([a, b], pynn.Bilinear(2, 3, 2, dtype="float64", seed=0)(a, b))


def branches() -> pynn.Model:
    a, b = pynn.Input(3), pynn.Input(2)
    h = pynn.Linear(3, 4, seed=0, **F64)(a)
    left, right = pynn.Tanh()(h), pynn.Sigmoid()(h)
    both = pynn.Concat()(left, right, pynn.Linear(2, 2, seed=1, **F64)(b))
    whole = pynn.Add()(pynn.Linear(10, 4, seed=2, **F64)(both), h)
    return pynn.Model([a, b], {"left": pynn.Linear(4, 2, seed=3, **F64)(whole), "right": left})


X = RNG(0).normal(size=(3, 4))
IMAGE = RNG(1).normal(size=(2, 2, 6, 6))
INDEX = np.array([[0, 3, 1], [2, 2, 4]])
NETS: dict[str, tuple[Any, Any]] = {
    "linear": (lambda: pynn.Sequential(pynn.Linear(4, 3, seed=0, **F64)), X),
    "activation": (lambda: pynn.Sequential("gelu", pynn.LeakyReLU(0.2)), X),
    "formula": (lambda: pynn.Sequential(pynn.Activation("x + sin(a*x)**2 / a", a=1.0, learn="a", dtype="float64")), X),
    "rowwise": (lambda: pynn.Sequential(pynn.Softmax(), "log_softmax"), X),
    "reshape": (lambda: images(), IMAGE),
    "permute": (lambda: images(pynn.Permute((0, 3, 1, 2))), IMAGE),
    "pad": (lambda: images(pynn.ReflectionPad2d(1), pynn.ZeroPad2d(1)), IMAGE),
    "resize": (lambda: images(pynn.Upsample(scale_factor=2, mode="bilinear")), IMAGE),
    "maxout": (lambda: pynn.Sequential(pynn.MaxOut(2)), X),
    "prelu": (lambda: pynn.Sequential(pynn.PReLU(dtype="float64")), X),
    "rrelu": (lambda: pynn.Sequential(pynn.RReLU(seed=1)), X),
    "embedding": (lambda: pynn.Sequential(pynn.Embedding(5, 2, seed=0, dtype="float64"), pynn.Flatten()), INDEX),
    "embedding_bag": (lambda: pynn.Sequential(pynn.EmbeddingBag(5, 2, mode="max", seed=0, dtype="float64")), INDEX),
    "bilinear": (bilinear, (X[:, :2], X[:, 1:])),
    "branches": (branches, (X[:, :3], X[:, :2])),
    "conv": (lambda: images(pynn.Conv2d(2, 3, 3, seed=0, **F64), pynn.ConvTranspose2d(3, 2, 2, stride=2, seed=1, **F64)), IMAGE),
    "wide conv": (lambda: images(pynn.Conv2d(2, 16, 3, seed=0, **F64), "relu", pynn.Conv2d(16, 16, 3, seed=1, **F64)), IMAGE),
    "pooling": (lambda: images(pynn.MaxPool2d(2), pynn.AvgPool2d(2, 1), pynn.LPPool2d(2, 2)), IMAGE),
    "batch_norm": (lambda: images(pynn.BatchNorm2d(2, dtype="float64")), IMAGE),
    "instance_norm": (lambda: images(pynn.InstanceNorm2d(2, affine=True, dtype="float64")), IMAGE),
    "group_norm": (lambda: images(pynn.GroupNorm(2, 2, dtype="float64")), IMAGE),
    "layer_norm": (lambda: pynn.Sequential(pynn.LayerNorm(4, dtype="float64"), pynn.RMSNorm(4, dtype="float64")), X),
    "response_norm": (lambda: images(pynn.LocalResponseNorm(2)), IMAGE),
    "dropout": (lambda: pynn.Sequential(pynn.Dropout(0.4, seed=3), pynn.AlphaDropout(0.3, seed=4)), X),
    "channel dropout": (lambda: images(pynn.Dropout2d(0.5, seed=5)), IMAGE),
    "gaussian_noise": (lambda: pynn.Sequential(pynn.GaussianNoise(0.3, seed=6)), X),
    "fold": (lambda: images(pynn.Unfold(2)), IMAGE),
    "slice": (lambda: pynn.Sequential(pynn.GLU()), X),
    "custom": (lambda: pynn.Sequential(pynn.Linear(4, 3, seed=0, **F64), Square()), X),
}


def losses(net: Any, x: Any) -> tuple[Any, Any]:
    """Return a loss and targets that fit a net."""
    out = net.predict(x)
    if isinstance(out, dict):
        return dict.fromkeys(out, "mse"), {name: np.zeros(y.shape) for name, y in out.items()}
    return "mse", np.full(out.shape, 0.3)


each = pytest.mark.parametrize("name", NETS)


def explained(name: str, **options: Any) -> tuple[Any, Any, pynn._training.explain.StepExplanation]:
    make, x = NETS[name]
    net = make()
    return net, x, net.explain_step(x, losses(net, x)[1], losses(net, x)[0], **options)


def textbook() -> pynn.Sequential:
    """Return a net of two inputs, two hidden units and two outputs, whose step was computed by hand."""
    net = pynn.Sequential(pynn.Linear(2, 2, **F64), "sigmoid", pynn.Linear(2, 2, **F64), "sigmoid")
    net[0].weight[...], net[0].bias[...] = [[0.15, 0.2], [0.25, 0.3]], 0.35
    net[2].weight[...], net[2].bias[...] = [[0.4, 0.45], [0.5, 0.55]], 0.6
    return net


def test_a_step_computed_by_hand() -> None:
    step = textbook().explain_step([[0.05, 0.1]], [[0.01, 0.99]], "mse", pynn.optim.SGD(lr=0.5))
    assert step.loss == pytest.approx(0.298371109, abs=1e-9)  # the mean of two squares is half their sum
    assert step["0"].value[0] == pytest.approx([0.3775, 0.3925])
    assert step["1"].value[0] == pytest.approx([0.593269992, 0.596884378], abs=1e-9)
    assert step["3"].value[0] == pytest.approx([0.751365070, 0.772928465], abs=1e-9)
    assert step["3"].gradient[0] == pytest.approx([0.741365070, -0.217071535], abs=1e-9)
    assert step["2"].gradient[0] == pytest.approx([0.138498562, -0.038098237], abs=1e-9)
    assert step["1"].gradient[0] == pytest.approx([0.036350306, 0.041370323], abs=1e-9)
    assert step["2"].parameters["weight"].gradient[0, 0] == pytest.approx(0.082167041, abs=1e-9)
    assert step["0"].parameters["weight"].gradient[0, 0] == pytest.approx(0.000438568, abs=1e-9)
    assert step["2"].parameters["weight"].updated.ravel() == pytest.approx([0.35891648, 0.408666186, 0.511301270, 0.561370121], abs=1e-9)
    assert step["0"].parameters["weight"].updated.ravel() == pytest.approx([0.149780716, 0.19956143, 0.24975114, 0.29950229], abs=1e-8)
    assert step["0"].parameters["weight"].value.tolist() == [[0.15, 0.2], [0.25, 0.3]]


def test_every_kind_is_explained() -> None:
    found = {record.kind for name in NETS for record in explained(name)[2]}
    assert found == {"input", *(row["name"] for row in _core.layer_kinds())}


@each
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    """Gradients of the loss with respect to each input, each parameter, and the output of each node computed from them."""
    net, x, step = explained(name)
    loss, y = losses(net, x)
    h = 1e-6
    xs = [np.array(a) for a in (x if isinstance(x, tuple) else (x,))]
    places = [(a, step.nodes[i].gradient) for i, a in enumerate(xs)]
    held = {name: p.data for name, p in net.named_parameters()}
    for record in step:
        places += [(held[f"{record.layer}.{p.name}"], p.gradient) for p in record.parameters.values() if f"{record.layer}.{p.name}" in held]
    checked = 0
    for a, gradient in places:
        if gradient is None:
            continue
        for at in [*np.ndindex(a.shape)][:: max(1, a.size // 12)]:
            before, found = a[at], []
            for side in (h, -h):
                a[at] = before + side
                found.append(net.explain_step(tuple(xs) if len(xs) > 1 else xs[0], y, loss).loss)
            a[at] = before
            assert gradient[at] == pytest.approx((found[0] - found[1]) / (2 * h), rel=2e-5, abs=2e-8), (name, at)
            checked += 1
    assert checked


@each
def test_text_fits_79_columns_and_every_formula_is_filled(name: str) -> None:
    _, _, step = explained(name, optimizer="adam")
    text = str(step)
    assert max(map(len, text.splitlines())) <= 79
    for record in step:
        lines = [*record.formulas, *record.gradient_formulas]
        assert not any(mark in line for line in lines for mark in "{};"), lines
        assert all(lines)
        assert lines or record.kind == "input"
        assert f"v{record.node}" in text


def state_of(net: Any) -> list[bytes]:
    layers = [net, *net.modules()]
    arrays = [p.data for p in net._all_state().values()] + [p.grad for p in net.parameters()]
    facts = [layer._ticks for layer in layers], [layer._training for layer in layers], [getattr(layer, "calls", 0) for layer in layers]
    return [*(a.tobytes() for a in arrays), repr(facts).encode(), repr(net.history).encode(), repr(net.optimizer).encode()]


@each
@pytest.mark.parametrize("optimizer", [None, "adam"])
def test_the_net_stays_as_it_is(name: str, optimizer: str | None) -> None:
    make, x = NETS[name]
    net = make()
    loss, y = losses(net, x)
    for p in net.parameters():
        p.grad[...] = 7
    before = state_of(net)
    net.explain_step(x, y, loss, optimizer)
    assert state_of(net) == before


def test_a_training_between_explanations_has_the_same_bits() -> None:
    def trained(explains: bool) -> list[bytes]:
        net = pynn.Sequential(pynn.Linear(4, 8, seed=0), pynn.BatchNorm1d(8), "relu", pynn.Dropout(0.5, seed=1), pynn.Linear(8, 2, seed=2))
        opt = pynn.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(3):
            net.train_on_batch(X, [0, 1, 0], loss="cross_entropy", optimizer=opt)
            if explains:
                net.explain_step(X, [0, 1, 0], optimizer=opt)
        state = [a.tobytes() for p in opt.state_dict()["state"].values() for a in p.values() if isinstance(a, np.ndarray)]
        return [*state_of(net), *state]

    assert trained(True) == trained(False)


@pytest.mark.parametrize("optimizer", [pynn.optim.SGD(lr=0.1, momentum=0.9), pynn.optim.AdamW(lr=0.01), pynn.optim.LBFGS()])
def test_the_update_and_the_masks_are_those_of_the_next_step(optimizer: Any) -> None:
    net = pynn.Sequential(pynn.Linear(4, 8, seed=0), pynn.BatchNorm1d(8), "tanh", pynn.Dropout(0.5, seed=1), pynn.Linear(8, 2, seed=2))
    y = RNG(2).normal(size=(3, 2))
    for _ in range(3):
        step = net.explain_step(X, y, "mse", optimizer)
        logs = net.train_on_batch(X, y, loss="mse", optimizer=optimizer)
        assert step.loss == logs["loss"]
        found = {f"{r.layer}.{p.name}": p.updated for r in step for p in r.parameters.values()}
        assert {name: a.tobytes() for name, a in net.state_dict().items()} == {name: a.tobytes() for name, a in found.items()}


@pytest.mark.parametrize("name", ["dropout", "channel dropout", "gaussian_noise", "rrelu"])
def test_drawn_masks_give_the_output(name: str) -> None:
    _, _, step = explained(name)
    random = [record for record in step if "seed" in record.settings]
    for record in random:
        x, mask = step.nodes[record.inputs[0]].value, record.drawn.get("mask", np.ones_like(record.value))
        mask = np.where(x < 0, mask, 1) if record.kind == "rrelu" else mask
        assert np.allclose(record.value, mask * x + record.drawn.get("offset", 0), rtol=1e-14, atol=0)
        assert record.drawn
        assert not np.array_equal(record.value, x)
    assert random


def test_layers_with_the_same_seed_show_their_own_masks() -> None:
    net = pynn.Sequential(pynn.Dropout(0.5, seed=1), pynn.Dropout(0.5, seed=1))
    step = net.explain_step(np.ones((2, 20)), np.zeros((2, 20)), "mse")
    first, second = step["0"].drawn["mask"], step["1"].drawn["mask"]
    assert not np.array_equal(first, second)
    assert np.array_equal(step["1"].value, first * second)


def test_a_layer_in_evaluation_mode_draws_nothing() -> None:
    net = pynn.Sequential(pynn.Dropout(0.5, seed=1), pynn.BatchNorm1d(4, dtype="float64"))
    for layer in net:
        layer.eval()
    step = net.explain_step(X, np.zeros((3, 4)), "mse")
    assert not step["0"].drawn
    assert step["0"].formulas == ("y = x",)
    assert "mean, var: running_mean, running_var" in step["1"].formulas
    assert not any("mean(dxhat)" in line for line in step["1"].gradient_formulas)


def test_gradients_of_a_node_with_several_readers_are_added() -> None:
    _, _, step = explained("branches")
    h = step["0"]
    assert len(h.consumers) == 3
    assert str(step).count(f"dv{h.node} +=") == 3
    left = next(r for r in step if r.cls == "Tanh")
    (loss,) = (one for one in step.losses if one.nodes == (left.node,))
    assert np.allclose(loss.gradients[0], 2 * left.value / left.value.size)
    assert not np.allclose(left.gradient, loss.gradients[0])  # it is also read by the concatenation


def test_indices_and_frozen_parameters_have_no_gradient() -> None:
    _, _, step = explained("embedding")
    assert step.nodes[0].gradient is None
    assert "no gradient reaches this node" in str(step)
    net = pynn.Sequential(pynn.Linear(4, 3, seed=0).freeze(), pynn.Linear(3, 1, seed=1))
    step = net.explain_step(X, np.zeros((3, 1)), "mse", "sgd")
    frozen = step["0"].parameters["weight"]
    assert frozen.gradient is None
    assert np.array_equal(frozen.updated, frozen.value)
    assert step.nodes[0].gradient.shape == X.shape
    assert "weight is frozen" in str(step)


def test_a_last_layer_in_the_loss_is_shown() -> None:
    net = pynn.Sequential(pynn.Linear(4, 3, seed=0, **F64), "softmax")
    step = net.explain_step(X, [0, 2, 1], "cross_entropy")
    (loss,) = step.losses
    assert loss.output_layer == "1 (Softmax)"
    assert np.allclose(loss.output, net.predict(X))
    assert np.allclose(loss.gradients[0], (net.predict(X) - np.eye(3)[[0, 2, 1]]) / 3)


def test_a_name_continues_with_the_optimizer_of_that_name() -> None:
    net = pynn.Sequential(pynn.Linear(4, 2, seed=0))
    y = X[:, :2]
    for count in (1, 2, 3):
        step = net.explain_step(X, y, "mse", "adam")
        assert step.step == count
        net.train_on_batch(X, y, loss="mse", optimizer="adam")
        assert np.array_equal(step["0"].parameters["weight"].updated, net[0].weight)
    assert net.explain_step(X, y, "mse", "sgd").step == 1


def test_a_callback_can_explain_the_training_that_calls_it() -> None:
    def trained(explains: bool) -> tuple[bytes, list[float]]:
        seen: list[float] = []

        def look(epoch: int, logs: Any) -> None:
            if explains:
                seen.append(net.explain_step(X, X[:, :2], "mse", "adam").loss)

        net = pynn.Sequential(pynn.Linear(4, 2, seed=0), pynn.Dropout(0.5, seed=1))
        net.fit(X, X[:, :2], loss="mse", epochs=3, seed=0, callbacks=look)
        return net[0].weight.tobytes(), seen

    (weight, losses), (expected, _) = trained(True), trained(False)
    assert weight == expected
    assert len(losses) == 3


def test_a_custom_loss_and_weights() -> None:
    net = pynn.Sequential(pynn.Linear(4, 1, seed=0, **F64))
    t = np.array([[1.0], [2.0], [3.0]])
    step = net.explain_step(X, t, lambda x, y: ((x - y) ** 2, 2 * (x - y)), sample_weight=[1.0, 0.0, 3.0])
    error = net.predict(X) - t
    assert step.loss == pytest.approx(float((error.ravel() ** 2 @ [1, 0, 3]) / 4))
    assert np.allclose(step["0"].gradient, 2 * error * np.array([[1], [0], [3]]) / 4)


def test_the_loss_of_the_last_training_is_the_default() -> None:
    net = pynn.Sequential(pynn.Linear(4, 1, seed=0))
    with pytest.raises(ValueError, match="loss: expected one"):
        net.explain_step(X, X[:, :1])
    net.fit(X, X[:, :1], loss="huber", seed=0)
    assert net.explain_step(X, X[:, :1]).losses[0].name == "HuberLoss"


def test_a_step_that_diverges_is_explained_without_an_update() -> None:
    net = pynn.Sequential(pynn.Linear(1, 1, seed=0))
    step = net.explain_step([[np.nan]], [[0.0]], "mse", "sgd")
    assert np.isnan(step.loss)
    assert "X holds NaN" in step.note
    assert "no update" in str(step)
    assert step["0"].parameters["weight"].updated is None


def test_errors_name_the_argument() -> None:
    net = textbook()
    with pytest.raises(ValueError, match="optimizer"):
        net.explain_step(X[:, :2], X[:, :2], "mse", "no such optimizer")
    with pytest.raises(ValueError, match="y: shape"):
        net.explain_step(X[:, :2], X, "mse")
    with pytest.raises(KeyError, match="known: 0, 1, 2, 3"):
        net.explain_step(X[:, :2], X[:, :2], "mse")["4"]


# ---- formulas ----------------------------------------------------------------------------------------------------------

_NAMES = "where exp expm1 log log1p tanh sqrt abs sum cosh sinh pi mean maximum"
_SPACE = {name: getattr(np, name) for name in _NAMES.split()}


@pytest.mark.parametrize("row", [row for row in _core.ACTIVATIONS if row["cls"]], ids=lambda row: row["name"])
def test_written_derivatives_of_activations_have_the_right_values(row: dict[str, Any]) -> None:
    from scipy.special import erf, erfc

    parameters = parse_parameters(row["params"]).defaults
    given = {name: value if isinstance(value, float) else 0.5 for name, value in parameters.items()}
    text = derivative(row["formula"], tuple(parameters))
    assert text is not None
    x = np.linspace(-4, 4, 81) + 0.0123
    with np.errstate(all="ignore"):
        found = eval(text, _SPACE | {"erf": erf, "erfc": erfc}, {"x": x, **given})
    assert np.allclose(np.broadcast_to(found, x.shape), row["grad"](x, *given.values()), rtol=1e-9, atol=1e-11)


_LOSS_X = {"bce": np.array([[0.2, 0.7, 0.4]])}


@pytest.mark.filterwarnings("ignore:BCELoss takes probabilities")
@pytest.mark.parametrize("name", ["l1", "mse", "huber", "smooth_l1", "log_cosh", "bce", "bce_with_logits", "soft_margin", "cross_entropy"])
def test_written_derivatives_of_losses_have_the_right_values(name: str) -> None:
    loss = pynn.losses.get(name)
    x, t = _LOSS_X.get(name, np.array([[0.3, -1.2, 2.5]])), np.array([[1.0, 0.0, 0.0]])
    t = 2 * t - 1 if name == "soft_margin" else t
    net = pynn.Sequential(pynn.Identity())
    (record,) = net.explain_step(x, t, type(loss)(reduction="sum")).losses
    assert record.gradient_formula is not None
    found = eval(record.gradient_formula, _SPACE, {"x": x, "t": t, **record.settings, "pos_weight": 1.0})
    assert np.allclose(found, record.gradients[0])


@pytest.mark.parametrize("row", _core.ROWWISE, ids=lambda row: row["name"])
def test_gradient_formulas_of_rowwise_functions_have_the_right_values(row: dict[str, Any]) -> None:
    layer, dy = getattr(pynn, row["cls"])(), np.array([0.3, -0.7, 1.1, 0.2])
    y = layer(np.array([0.1, 0.5, -2.0, 0.4]))
    assert np.allclose(eval(row["gradient"], _SPACE, {"y": y, "dy": dy}), layer.backward(dy))


def test_formulas_of_kinds_can_be_filled_with_any_settings() -> None:
    for row in _core.layer_kinds():
        flags = [f["name"] for f in row["fields"] if f["type"] == "flag"]
        choices = [[(f["name"], choice) for choice in f["choices"]] for f in row["fields"] if f["type"] == "choice"]
        plain = {f["name"]: 3 for f in row["fields"]}
        for chosen in itertools.product(*choices):
            for values in itertools.product((False, True), repeat=len(flags) + 1):
                settings = plain | dict(chosen) | dict(zip([*flags, "training"], values, strict=True))
                for text in (row["formula"], row["gradient"]):
                    lines = filled(text, settings, max(row["inputs"][0], 1))
                    assert all(lines), (row["name"], settings)
                    assert not any(mark in line for line in lines for mark in "{}"), (row["name"], settings, lines)


# ---- output ------------------------------------------------------------------------------------------------------------


@each
def test_html_is_well_formed_and_self_contained(name: str) -> None:
    _, _, step = explained(name, optimizer="sgd")
    for html in (step.to_html(), step.to_html(lang="vi"), step._repr_html_()):
        parsed(html)
        assert "http" not in html
        assert "<script" not in html
        assert "src=" not in html


def test_html_shows_small_nets_as_a_picture(tmp_path: Any) -> None:
    step = textbook().explain_step([[0.05, 0.1]], [[0.01, 0.99]], "mse", pynn.optim.SGD(lr=0.5))
    html = step.to_html(tmp_path / "step.html")
    assert (tmp_path / "step.html").read_text(encoding="utf-8") == html
    assert html.count("<circle") == 10
    assert html.count("<line") == 12
    assert {"svg", "title", "desc", "table"} <= {tag for tag, _ in parsed(html).found}
    for number in ("0.378", "0.751", "0.138", "0.358916"):
        assert number in html
    assert "Lan truyền ngược" in step.to_html(lang="vi")
    large = pynn.Sequential(pynn.Linear(4, 30, seed=0)).explain_step(X, np.zeros((3, 30)), "mse")
    assert "<svg" not in large.to_html()
    with pytest.raises(ValueError, match="lang"):
        step.to_html(lang="de")


def test_html_escapes_names() -> None:
    net = pynn.Sequential({"<b>": pynn.Linear(2, 1, seed=0)})
    assert "<b>" not in net.explain_step([[1.0, 2.0]], [[0.0]], "mse").to_html()


def test_data_frame_has_a_row_for_each_number() -> None:
    pytest.importorskip("pandas")
    step = textbook().explain_step([[0.05, 0.1]], [[0.01, 0.99]], "mse", pynn.optim.SGD(lr=0.5))
    frame = step.to_pandas()
    assert len(frame) == 5 * 2 + 2 * (4 + 2)
    row = frame[(frame["layer"] == "2") & (frame["name"] == "weight")]
    assert row["updated"].iloc[0] == pytest.approx(0.35891648)


def test_copies_compare_and_describe() -> None:
    _, _, step = explained("linear")
    assert len(step) == len([*step]) == 2
    assert copy.copy(step)["0"] is step["0"]
    assert repr(step) == str(step)
