"""Random sequences of calls, run in pynn and PyTorch: training in every mode, freezing, copies, files, changed settings.

A seed determines the net, the loss, the optimizer and the operations. After each step, parameters, states, predictions and losses of both
libraries must agree. Everything runs in float64, so that rounding errors stay far below the tolerance.
"""

from __future__ import annotations

import copy
import pickle
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pynn

NEAR = {"rtol": 1e-6, "atol": 1e-7}
RATES = [1e-3, 1e-2, 3e-2]


def _sgd(r: random.Random) -> dict[str, Any]:
    momentum = r.choice([0.0, 0.5, 0.9])
    return {"momentum": momentum, "nesterov": momentum > 0 and r.random() < 0.5, "dampening": 0.0}


def _adam(r: random.Random) -> dict[str, Any]:
    return {"betas": r.choice([(0.9, 0.999), (0.5, 0.9)]), "amsgrad": r.random() < 0.3}


# Class name, which both libraries share, and settings besides the learning rate.
OPTIMIZERS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "SGD": _sgd,
    "Adam": _adam,
    "AdamW": _adam,
    "RMSprop": lambda r: {"momentum": r.choice([0.0, 0.9]), "centered": r.random() < 0.5},
    "Adagrad": lambda r: {"eps": 1e-6},
    "Adadelta": lambda r: {"rho": r.choice([0.9, 0.5])},
    "Adamax": lambda r: {},
    "NAdam": lambda r: {},
    "RAdam": lambda r: {},
}
HIDDEN = ["ReLU", "Tanh", "Sigmoid", "GELU", "SiLU", "ELU", "LeakyReLU", "Softplus", "Mish", "Hardswish", "Softsign"]
# Class name, settings, and kind of target.
LOSSES: list[tuple[str, dict[str, Any], str]] = [
    ("MSELoss", {}, "values"),
    ("L1Loss", {}, "values"),
    ("SmoothL1Loss", {"beta": 0.5}, "values"),
    ("HuberLoss", {"delta": 0.7}, "values"),
    ("BCEWithLogitsLoss", {}, "shares"),
    ("CrossEntropyLoss", {}, "classes"),
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "ignore_index": 1}, "classes"),
    ("CrossEntropyLoss", {"reduction": "sum"}, "classes"),
    ("MSELoss", {"reduction": "sum"}, "values"),
]


class Pair:
    """A net of each library, their optimizers, and the operations on them."""

    def __init__(self, seed: int, done: Counter[str], folder: Path) -> None:
        self.r, self.done, self.folder, self.log = random.Random(seed), done, folder, list[str]()
        self.rng = np.random.default_rng(seed)
        rows, self.columns = self.r.choice([4, 9, 16, 33]), self.r.choice([2, 3, 5])
        self._make_net()
        self.X = self.rng.standard_normal((rows, *self.sample))
        self._make_loss(rows)
        self._make_optimizers()

    # ---- construction ------------------------------------------------------------------------------------------------
    def _make_net(self) -> None:
        ours: list[Any] = []
        theirs: list[Any] = []
        images = self.r.random() < 0.4

        def add(name: str, *args: Any, dtype: bool = False, **kwargs: Any) -> None:
            ours.append(getattr(pynn, name)(*args, **kwargs, **({"dtype": "float64"} if dtype else {})))
            theirs.append(getattr(torch.nn, name)(*args, **kwargs))

        if images:
            self.sample: tuple[int, ...] = (2, 6, 5)
            channels, norm = self.r.choice([2, 3]), self.r.random() < 0.4
            # The gradient of a bias before a normalization layer is pure rounding error, which some optimizers scale to full steps.
            add("Conv2d", 2, channels, self.r.choice([2, 3]), padding=self.r.choice([0, 1]), bias=not norm, dtype=True)
            if norm:
                add("BatchNorm2d", channels, dtype=True)
            add(self.r.choice(HIDDEN))
            if self.r.random() < 0.5:
                add(self.r.choice(["MaxPool2d", "AvgPool2d"]), 2)
            add("Flatten")
            width = int(np.prod(torch.nn.Sequential(*theirs)(torch.zeros(2, *self.sample)).shape[1:]))
        else:
            width = self.r.choice([3, 7])
            self.sample = (width,)
        for _ in range(self.r.randint(0, 3)):
            wide, norm = self.r.choice([4, 6, 17]), self.r.random() < 0.3
            add("Linear", width, wide, bias=not norm and self.r.random() < 0.8, dtype=True)
            width = wide
            if norm:
                add(self.r.choice(["LayerNorm", "BatchNorm1d"]), width, dtype=True)
            add(self.r.choice(HIDDEN))
        add("Linear", width, self.columns, dtype=True)
        self.ours, self.theirs = pynn.Sequential(*ours), torch.nn.Sequential(*theirs).double()
        self.ours.load_state_dict(self.theirs.state_dict())

    def _make_loss(self, rows: int) -> None:
        name, settings, kind = self.r.choice(LOSSES)
        self.loss = getattr(pynn.losses, name)(**settings)
        self.criterion = getattr(torch.nn, name)(**settings)
        if kind == "classes":
            self.y: Any = self.rng.integers(0, self.columns, rows)
            self.y[0] = 0  # at least one row of a full batch must not be ignored
        else:
            self.y = self.rng.random((rows, self.columns)) if kind == "shares" else self.rng.standard_normal((rows, self.columns))
        self.by_rows = settings.get("ignore_index") is None

    def _make_optimizers(self) -> None:
        name = self.r.choice([*OPTIMIZERS])
        settings = {"lr": self.r.choice(RATES), **OPTIMIZERS[name](self.r)}
        if self.r.random() < 0.3:
            settings["weight_decay"] = 0.01
        self.optimizer = getattr(pynn.optim, name)(self.ours.parameters(), **settings)
        self.their_optimizer = getattr(torch.optim, name)(self.theirs.parameters(), **settings)
        self.log.append(f"{name}({settings})")

    # ---- steps --------------------------------------------------------------------------------------------------------
    def _train_theirs(self) -> None:
        """Set training mode, except for batch norms with all parameters frozen, which use running averages here."""
        for module in self.theirs.train():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.train(any(p.requires_grad for p in module.parameters()))

    def _their_step(self, X: Any, y: Any) -> float:
        self._train_theirs()
        self.their_optimizer.zero_grad()
        loss = self.criterion(self.theirs(torch.as_tensor(X)), torch.as_tensor(y))
        loss.backward()
        # PyTorch keeps the old gradient of a frozen parameter; here it is 0. Optimizers must use neither.
        for p in self.theirs.parameters():
            if not p.requires_grad:
                p.grad = None
        self.their_optimizer.step()
        return float(loss.detach())

    def _rows(self) -> Any:
        n = self.r.choice([len(self.X), max(2, len(self.X) // 2)])
        return slice(0, n)

    def eager(self) -> None:
        at = self._rows()
        self.ours.train()
        self.optimizer.zero_grad()
        value = float(self.loss(self.ours(self.X[at]), self.y[at]))
        self.ours.backward(self.loss.backward())
        self.optimizer.step()
        self.check(value, self._their_step(self.X[at], self.y[at]), "loss of an eager step")

    def accumulate(self) -> None:
        """Accumulate the gradients of two batches, as for one large batch."""
        self.ours.train()
        self._train_theirs()
        self.optimizer.zero_grad()
        self.their_optimizer.zero_grad()
        for at in (slice(0, None, 2), slice(1, None, 2)):
            if len(self.X[at]) > 1:
                self.loss(self.ours(self.X[at]), self.y[at])
                self.ours.backward(self.loss.backward())
                self.criterion(self.theirs(torch.as_tensor(self.X[at].copy())), torch.as_tensor(self.y[at].copy())).backward()
        self.optimizer.step()
        for p in self.theirs.parameters():
            if not p.requires_grad:
                p.grad = None
        self.their_optimizer.step()

    def fit(self) -> None:
        size = self.r.choice([len(self.X), len(self.X), 4, 8]) if self.by_rows else len(self.X)
        if len(self.X) % size == 1:
            size = len(self.X)  # batch norm needs more than one row
        epochs = self.r.randint(1, 3)
        history = self.ours.fit(
            self.X, self.y, loss=self.loss, optimizer=self.optimizer, batch_size=size, epochs=epochs, shuffle=False, verbose=False,
            health=self.r.random() < 0.5, **({"callbacks": [lambda epoch, logs: None]} if self.r.random() < 0.3 else {}),
        )  # fmt: skip
        theirs = []
        for _ in range(epochs):
            parts = [
                (self._their_step(self.X[i : i + size], self.y[i : i + size]), len(self.X[i : i + size]))
                for i in range(0, len(self.X), size)
            ]
            summed = self.loss.reduction == "sum"
            theirs.append(sum(value * (1 if summed else n) for value, n in parts) / (1 if summed else len(self.X)))
        self.check(history.history["loss"], theirs, "losses of fit")

    def batches(self) -> None:
        """Fit on batches from an iterable."""
        half = max(2, len(self.X) // 2)
        parts = [(self.X[:half], self.y[:half]), (self.X[half:], self.y[half:])]
        self.ours.fit(parts, loss=self.loss, optimizer=self.optimizer, epochs=1, verbose=False)
        for X, y in parts:
            self._their_step(X, y)

    def train_on_batch(self) -> None:
        at = self._rows()
        got = self.ours.train_on_batch(self.X[at], self.y[at], loss=self.loss, optimizer=self.optimizer)["loss"]
        self.check(got, self._their_step(self.X[at], self.y[at]), "loss of train_on_batch")

    def predict(self) -> None:
        self.theirs.eval()
        with torch.no_grad():
            out = self.theirs(torch.as_tensor(self.X))
            want = float(self.criterion(out, torch.as_tensor(self.y)))
        self.check(self.ours.predict(self.X, batch_size=self.r.choice([1, 5, 256])), out.numpy(), "predictions")
        self.check(self.ours.eval()(self.X), out.numpy(), "outputs in eval mode")
        self.check(self.ours.evaluate(self.X, self.y, loss=self.loss)["loss"], want, "loss of evaluate")

    def freeze(self) -> None:
        at = self.r.randrange(len(self.ours))
        frozen = self.r.random() < 0.5
        (self.ours[at].freeze if frozen else self.ours[at].unfreeze)()
        for p in self.theirs[at].parameters():
            p.requires_grad = not frozen
        if not any(p.requires_grad for p in self.ours.parameters()):
            self.ours.unfreeze()
            self.theirs.requires_grad_(True)

    def load_state(self) -> None:
        state = {k: v + 0.01 if v.is_floating_point() else v for k, v in self.theirs.state_dict().items()}
        self.theirs.load_state_dict(state)
        self.ours.load_state_dict(state if self.r.random() < 0.5 else {k: v.numpy() for k, v in state.items()})

    def change_rate(self) -> None:
        rate = self.r.choice(RATES)
        for group in (*self.optimizer.param_groups, *self.their_optimizer.param_groups):
            group["lr"] = rate

    def _start_optimizers_anew(self) -> None:
        """Apply the operation if the copy has separate parameters."""
        self.log.pop()
        self._make_optimizers()

    def copy(self) -> None:
        how = self.r.choice(["deepcopy", "pickle", "file", "config"])
        state = self.ours.state_dict()
        frozen = [p.requires_grad for p in self.ours.parameters()]
        if how == "deepcopy":
            self.ours = copy.deepcopy(self.ours)
        elif how == "pickle":
            self.ours = pickle.loads(pickle.dumps(self.ours))
        elif how == "file":
            path = self.folder / "net.safetensors"
            self.ours.save(path)
            self.ours = pynn.load(path)
        else:
            self.ours = pynn.Sequential.from_config(self.ours.get_config())
            self.ours.load_state_dict(state)
        for p, trained in zip(self.ours.parameters(), frozen, strict=True):
            p.requires_grad = trained
        self._start_optimizers_anew()

    def optimizer_state(self) -> None:
        """Save the optimizer's state, and continue with a new optimizer that loads it."""
        state = self.optimizer.state_dict()
        settings = {k: v for k, v in self.optimizer.param_groups[0].items() if k != "params"}
        self.optimizer = type(self.optimizer)(self.ours.parameters(), lr=settings["lr"])
        self.optimizer.load_state_dict(pickle.loads(pickle.dumps(state)))

    def add_layer(self) -> None:
        """Append an activation, which has no parameters."""
        name = self.r.choice(HIDDEN)
        self.ours.append(getattr(pynn, name)())
        self.theirs.append(getattr(torch.nn, name)())

    # ---- comparison ---------------------------------------------------------------------------------------------------
    def check(self, got: Any, want: Any, what: str) -> None:
        np.testing.assert_allclose(got, want, **NEAR, err_msg=what)

    def check_state(self) -> None:
        ours = self.ours.state_dict()
        for name, value in self.theirs.state_dict().items():
            self.check(ours[name], value.numpy(), name)

    def step(self) -> None:
        doing = self.r.choice([
            Pair.eager, Pair.eager, Pair.fit, Pair.fit, Pair.fit, Pair.batches, Pair.train_on_batch, Pair.predict, Pair.freeze,
            Pair.load_state, Pair.change_rate, Pair.copy, Pair.optimizer_state, Pair.accumulate, Pair.add_layer,
        ])  # fmt: skip
        self.log.append(doing.__name__)
        doing(self)
        self.check_state()
        self.done[doing.__name__] += 1


def run(seed: int, done: Counter[str]) -> None:
    """Run one sequence."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(seed, done, Path(folder))
        try:
            for _ in range(12):
                pair.step()
        except Exception as error:
            error.add_note(f"{pair.ours}\n{pair.loss!r}, {len(pair.X)} rows\n{', '.join(pair.log)}")
            raise
