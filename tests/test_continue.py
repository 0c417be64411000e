"""Training that goes on: copies of a model, files, and optimizers given by name continue with the optimizer and its state."""

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
def test_a_copy_continues_to_the_bit(name: str, how: str, tmp_path: Path) -> None:
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


def test_several_optimizers_continue(tmp_path: Path) -> None:
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


def test_a_file_without_the_state_says_so_once(tmp_path: Path) -> None:
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


def test_plain_sgd_has_no_state_to_miss(tmp_path: Path) -> None:
    model = net()
    model.partial_fit(X, y, loss="mse", optimizer=pynn.optim.SGD(lr=0.01), seed=0)
    other = through("plain file", model, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for m in (model, other):
            m.partial_fit(X, y, seed=1)
    assert other.predict(X).tobytes() == model.predict(X).tobytes()


def test_a_function_that_pickle_cannot_keep_is_refused_when_it_is_needed() -> None:
    model = net()
    model.partial_fit(X, y, loss="mse", optimizer=pynn.optim.SGD(schedule=S.MultiplicativeLR(lr_lambda=lambda t: 0.5)), seed=0)
    other = through("pickle", model, Path())
    assert other.predict(X).tobytes() == model.predict(X).tobytes()
    with pytest.raises(RuntimeError, match=r"pickle could not keep .*lambda"):
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
    getattr(given, call)(X, y, optimizer="adam")  # a name stands for the defaults, not for the object of the calls before
    assert given.optimizer is not opt
