"""Continued training: copies of a model, files, and optimizers given by name continue with the optimizer's state."""

import copy
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn.optim import lr_scheduler as S

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 4))
y = X @ [1.0, 2.0, 3.0, 4.0]


def net() -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(4, 6, seed=0), "tanh", pynn.Linear(6, 1, seed=1))


def decay(epoch: int) -> float:
    return 0.9**epoch


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "by name": lambda: "adam",
    "momentum": lambda: pynn.optim.SGD(lr=0.01, momentum=0.9),
    "averages": lambda: pynn.optim.RMSprop(lr=0.01, centered=True, momentum=0.5, ema_decay=0.9, clip_norm=1.0),
    "numbers": lambda: pynn.optim.NAdam(lr=0.01),
    "factored": lambda: pynn.optim.Adafactor(),
    "solver": lambda: pynn.optim.LBFGS(max_iter=4, history_size=3),
    "residuals": lambda: pynn.optim.LevenbergMarquardt(),
    "one cycle": lambda: pynn.optim.Adam(schedule=S.OneCycleLR(max_lr=0.1, total_steps=40)),
    "sequence": lambda: pynn.optim.Adam(
        schedule=S.SequentialLR(schedulers=[S.WarmupLR(total_iters=2), S.CosineAnnealingLR(T_max=5)], milestones=[2])
    ),
    "plateau": lambda: pynn.optim.Adam(schedule=S.ReduceLROnPlateau(patience=0)),
    "function": lambda: pynn.optim.Adam(schedule=S.LambdaLR(lr_lambda=decay)),
}


def through(how: str, model: pynn.Sequential, path: Path) -> Any:
    if how == "pickle":
        return pickle.loads(pickle.dumps(model))
    if how == "deepcopy":
        return copy.deepcopy(model)
    model.save(path / "m", optimizer=how == "file")
    return pynn.load(path / "m")


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "file"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_copy_continues_bit_for_bit(name: str, how: str, tmp_path: Path) -> None:
    model = net()
    model.partial_fit(X, y, loss="mse", optimizer=OPTIMIZERS[name](), seed=0)
    if (name, how) == ("function", "file"):
        with pytest.raises(ValueError, match=r"trained with Adam \(LambdaLR holds a function.*pass optimizer="):
            through(how, model, tmp_path).partial_fit(X, y)
        return
    other = through(how, model, tmp_path)
    for call in range(3):
        for m in (model, other):
            m.partial_fit(X, y, seed=call)
    assert other.optimizer.steps == model.optimizer.steps  # type: ignore[union-attr]
    assert other.predict(X).tobytes() == model.predict(X).tobytes()
    if name != "residuals":
        for m in (model, other):
            m.train_on_batch(X, y)
        assert other.predict(X).tobytes() == model.predict(X).tobytes()


def test_a_multi_optimizer_continues_bit_for_bit(tmp_path: Path) -> None:
    model = net()
    first, rest = model[0].parameters(), model[2].parameters()
    parts = pynn.optim.SGD(first, lr=0.01, momentum=0.9), pynn.optim.Adam([{"params": [rest[0]], "lr": 0.1}, {"params": [rest[1]]}])
    model.partial_fit(X, y, loss="mse", optimizer=pynn.optim.MultiOptimizer(*parts, clip_norm=1.0), seed=0)
    others = [through(how, model, tmp_path) for how in ("pickle", "deepcopy", "file")]
    for other in others:
        other.partial_fit(X, y, seed=1)
    model.partial_fit(X, y, seed=1)
    assert [other.predict(X).tobytes() for other in others] == [model.predict(X).tobytes()] * 3
    assert [group["lr"] for group in others[2].optimizer.param_groups] == [0.01, 0.1, 0.001]


def test_a_file_without_optimizer_state_warns_once(tmp_path: Path) -> None:
    model = net()
    model.partial_fit(X, y, loss="mse", optimizer=pynn.optim.SGD(lr=0.02, momentum=0.9), seed=0)
    other = through("plain file", model, tmp_path)
    assert pynn.io.load_file(tmp_path / "m")[0].keys() == model.state_dict().keys()
    with pytest.warns(UserWarning, match=r"without the state of its optimizer: SGD\(lr=0.02, momentum=0.9.*optimizer=True"):
        other.partial_fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.partial_fit(X, y)
    assert type(other.optimizer) is pynn.optim.SGD
    assert other.optimizer.param_groups[0]["lr"] == 0.02


def test_a_file_of_plain_sgd_does_not_warn(tmp_path: Path) -> None:
    model = net()
    model.partial_fit(X, y, loss="mse", optimizer=pynn.optim.SGD(lr=0.01), seed=0)
    other = through("plain file", model, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for m in (model, other):
            m.partial_fit(X, y, seed=1)
    assert other.predict(X).tobytes() == model.predict(X).tobytes()


def test_an_unpicklable_schedule_function_raises_when_needed() -> None:
    model = net()
    model.partial_fit(X, y, loss="mse", optimizer=pynn.optim.SGD(schedule=S.MultiplicativeLR(lr_lambda=lambda t: 0.5)), seed=0)
    other = through("pickle", model, Path())
    assert other.predict(X).tobytes() == model.predict(X).tobytes()
    with pytest.raises(RuntimeError, match=r"lr_lambda: .*lambda.* could not be pickled"):
        other.partial_fit(X, y)
    through("deepcopy", model, Path()).partial_fit(X, y)


@pytest.mark.parametrize("call", ["train_on_batch", "partial_fit"])
def test_a_name_continues_with_the_optimizer_made_from_it(call: str) -> None:
    named, given = net(), net()
    opt = pynn.optim.Adam()
    for i in range(3):
        more = {"seed": i} if call == "partial_fit" else {}
        getattr(named, call)(X, y, loss="mse", optimizer="adam", **more)
        getattr(given, call)(X, y, loss="mse", optimizer=opt, **more)
    assert named.optimizer.steps == opt.steps > 2  # type: ignore[union-attr]
    assert named.predict(X).tobytes() == given.predict(X).tobytes()
    getattr(named, call)(X, y, optimizer="sgd")
    assert type(named.optimizer) is pynn.optim.SGD
    getattr(given, call)(X, y, optimizer="adam")  # a name means a new optimizer with defaults, not the one used before
    assert given.optimizer is not opt


# ---- layers added, replaced or unfrozen after the optimizer was made ------------------------------------------------------
def train_manually(model: pynn.Sequential, opt: pynn.Optimizer) -> None:
    loss = pynn.MSELoss()
    for _ in range(2):
        opt.zero_grad()
        loss(model(X), y[:, None])
        model.backward(loss.backward())
        opt.step()


CALLS: dict[str, Callable[[pynn.Sequential, Any], Any]] = {
    "fit": lambda model, opt: model.fit(X, y, loss="mse", optimizer=opt, seed=0),
    "partial_fit": lambda model, opt: model.partial_fit(X, y, loss="mse", optimizer=opt, seed=0),
    "train_on_batch": lambda model, opt: model.train_on_batch(X, y, loss="mse", optimizer=opt),
    "a manual loop": train_manually,
}
CHANGES: dict[str, Callable[[pynn.Sequential], int]] = {
    "appended": lambda model: (model.append(pynn.Linear(1, 1, seed=5)), 3)[1],
    "inserted": lambda model: (model.insert(2, pynn.Linear(6, 6, seed=5)), 2)[1],
    "replaced": lambda model: (model.__setitem__(2, pynn.Linear(6, 1, seed=7)), 2)[1],
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("made", ["by fit", "from the parameters", "from a group", "by name"])
def test_layers_added_later_are_trained(change: str, call: str, made: str) -> None:
    """New layers join the first group with an empty state; the old layers keep theirs."""
    if made == "by name" and call not in ("partial_fit", "train_on_batch"):
        return
    model = net()
    opt: Any = {
        "by fit": pynn.optim.Adam,
        "from the parameters": lambda: pynn.optim.Adam(model.parameters()),
        "from a group": lambda: pynn.optim.Adam([{"params": model.parameters(), "lr": 0.01}]),
        "by name": lambda: "adam",
    }[made]()
    if made == "by fit" and call == "a manual loop":
        opt.bind(model.parameters())
    CALLS[call](model, opt)
    place = CHANGES[change](model)
    before = {name: a.copy() for name, a in model.params.items()}
    CALLS[call](model, opt)
    opt = model.optimizer if made == "by name" else opt
    assert all((model.params[name] != a).any() for name, a in before.items())
    assert opt.param_groups[0]["params"] == model.parameters()
    assert opt.state.keys() == set(model.parameters())
    assert int(opt.state[model[place].parameters()[0]]["step"]) < int(opt.state[model[0].parameters()[0]]["step"])


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "file"])
def test_the_optimizer_of_a_copy_trains_layers_added_to_the_copy(how: str, tmp_path: Path) -> None:
    model = net()
    model.partial_fit(X, y, loss="mse", optimizer=pynn.optim.SGD(lr=0.01, momentum=0.9), seed=0)
    other = through(how, model, tmp_path)
    other.append(pynn.Linear(1, 1, seed=5))
    before = other[3].weight.copy()
    other.partial_fit(X, y, seed=0)
    assert (other[3].weight != before).any()
    assert len(model.optimizer.param_groups[0]["params"]) == 4  # type: ignore[union-attr]


def test_nested_layers_are_added_and_removed_parameters_stay_removed() -> None:
    inner = pynn.Sequential(pynn.Linear(4, 4, seed=1))
    model = pynn.Sequential(inner, pynn.Linear(4, 1, seed=2))
    opt = pynn.optim.SGD(model.parameters(), lr=0.01)
    extra = pynn.Parameter(np.zeros(3))
    opt.param_groups[0]["params"].append(extra)
    opt.param_groups[0]["params"].remove(model[1].parameters()[1])
    inner.append(pynn.Linear(4, 4, seed=3))
    train_manually(model, opt)
    assert opt.param_groups[0]["params"] == [*inner.parameters(), model[1].parameters()[0], extra]


def test_missing_parameters_of_a_list_raise() -> None:
    text = r"it would not train 3.weight, 3.bias, added or unfrozen after it was made.*add_param_group.*model.parameters\(\)"
    model = net()
    opt = pynn.optim.SGD([*model.parameters()], lr=0.01)
    model.append(pynn.Linear(1, 1, seed=5))
    for call in ("fit", "partial_fit", "train_on_batch"):
        with pytest.raises(ValueError, match=text):
            CALLS[call](model, opt)
    opt.add_param_group({"params": model[3].parameters(), "lr": 0.1})
    before = model[3].weight.copy()
    CALLS["fit"](model, opt)
    assert (model[3].weight != before).any()


def test_missing_unfrozen_parameters_raise() -> None:
    model = net()
    model[0].freeze()
    opt = pynn.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    CALLS["fit"](model, opt)
    model.unfreeze()
    with pytest.raises(ValueError, match=r"it would not train 0\.weight, 0\.bias"):
        CALLS["fit"](model, opt)
    model[0].freeze()
    CALLS["fit"](model, opt)
    full = pynn.optim.SGD(model.parameters(), lr=0.01)
    CALLS["fit"](model, full)
    before = model.unfreeze()[0].weight.copy()
    CALLS["fit"](model, full)
    assert (model[0].weight != before).any()


def test_an_optimizer_of_one_layer_trains_that_layer_only() -> None:
    model = net()
    for opt in (pynn.optim.SGD(model[2].parameters(), lr=0.01), pynn.optim.SGD([*model[2].parameters()], lr=0.01)):
        before = model[0].weight.copy()
        CALLS["fit"](model, opt)
        assert (model[0].weight == before).all()


def test_muon_rejects_an_added_layer_with_a_bias() -> None:
    model = pynn.Sequential(pynn.Linear(4, 1, bias=False, seed=0))
    opt = pynn.optim.Muon(model.parameters())
    CALLS["fit"](model, opt)
    model.append(pynn.Linear(1, 1))
    with pytest.raises(ValueError, match="Muon updates matrices only"):
        CALLS["fit"](model, opt)
