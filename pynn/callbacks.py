"""What may look on while ``fit`` trains, and step in: between epochs, which run in C."""

from __future__ import annotations

import csv
import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

from ._files import check_target, make_folder_of
from ._tables import check_count
from ._training.advice import PROBLEM, Limits, sentences

if TYPE_CHECKING:
    from ._optimizer import Optimizer
    from ._training.net import Net

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "HealthMonitor",
    "LRScheduler",
    "LambdaCallback",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
]

Logs = Mapping[str, float]


class Callback:
    """The base of every callback; a subclass says what happens in those methods that it defines.

    ``self.model`` is the model, ``self.optimizer`` its optimizer, and ``self.model.stop_training = True`` ends the training after the
    epoch. ``fit`` also takes plain functions ``(epoch, logs)``, which it calls as `on_epoch_end`. Epochs count from 0. A callback that
    remembers something from epoch to epoch says it in `state_dict`, so that a training goes on from a `pynn.Checkpoint` as if it had
    never stopped.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> class Patience(pynn.callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         self.model.stop_training = epoch == 1
    >>> model = pynn.Sequential(pynn.Linear(2, 1))
    >>> len(model.fit(np.eye(2), np.ones(2), loss="mse", epochs=9, callbacks=[Patience()]).epoch)
    2
    """

    model: Net

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer of the training."""
        assert self.model.optimizer is not None
        return self.model.optimizer

    def on_train_begin(self, logs: Logs) -> None:
        """Look on before the first epoch; ``logs`` is empty."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Look on before an epoch; ``logs`` is empty."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Look at what an epoch gave: ``loss``, ``val_loss`` and so on."""

    def on_train_end(self, logs: Logs) -> None:
        """Look on at the end, also that by an exception; ``logs`` are those of the last whole epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a `pynn.Checkpoint` keeps of this callback, by name: arrays, and whatever JSON has."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned; ``fit(..., resume_from=...)`` calls it after `on_train_begin`."""


class LambdaCallback(Callback):
    """Functions as a callback.

    Parameters
    ----------
    on_epoch_end, on_epoch_begin : callable, optional
        Functions of ``(epoch, logs)``.
    on_train_begin, on_train_end : callable, optional
        Functions of ``(logs)``.
    """

    def __init__(
        self,
        on_epoch_end: Callable[[int, dict[str, float]], Any] | None = None,
        *,
        on_epoch_begin: Callable[[int, dict[str, float]], Any] | None = None,
        on_train_begin: Callable[[dict[str, float]], Any] | None = None,
        on_train_end: Callable[[dict[str, float]], Any] | None = None,
    ) -> None:
        epochs = ("on_epoch_end", on_epoch_end), ("on_epoch_begin", on_epoch_begin)
        for name, function in (*epochs, ("on_train_begin", on_train_begin), ("on_train_end", on_train_end)):
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"{name}: expected a function, got {function!r}")
            setattr(self, name, function)


def listed(given: Any) -> list[Callback]:
    """Return callbacks, plain functions made into one, or raise; None is none."""
    if given is None:
        return []
    if isinstance(given, Callback) or callable(given) or not isinstance(given, Iterable):
        raise TypeError(f"callbacks: expected a list, got {given!r}")
    found = []
    for one in given:
        if not isinstance(one, Callback) and (isinstance(one, type) or not callable(one)):
            raise TypeError(f"callbacks: expected functions of (epoch, logs) or pynn.callbacks.Callback objects, got {one!r}")
        found.append(one if isinstance(one, Callback) else LambdaCallback(one))
    return found


# ---- those that watch a score -----------------------------------------------------------------------------------------
class _Watch(Callback):
    """Knows the best value so far of a number that is watched."""

    def __init__(self, monitor: str | None, mode: str, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode: expected 'auto', 'min' or 'max', got {mode!r}")
        if not (isinstance(min_delta, (int, float)) and min_delta >= 0):
            raise ValueError(f"min_delta: expected a number of 0 or more, got {min_delta!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode, float(min_delta)
        self.best = math.nan

    def on_train_begin(self, logs: Logs) -> None:
        """Start anew."""
        self.best = math.nan

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it up."""
        self.best = float(state["best"])

    def _watched(self, logs: Logs) -> tuple[str, float]:
        name = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            raise ValueError(f"{type(self).__name__}: monitor {name!r} is not reported; known: {', '.join(logs)}")
        return name, float(logs[name])

    def _better(self, logs: Logs) -> bool:
        """Tell whether the number is the best so far, and remember it; NaN never is."""
        name, value = self._watched(logs)
        rises = self.mode == "max" or (self.mode == "auto" and not _falls(name))
        gain = value - self.best if rises else self.best - value
        if math.isnan(value) or not (math.isnan(self.best) or gain > self.min_delta):
            return False
        self.best = value
        return True


_FALLING = ("loss", "mae", "mse", "rmse", "ece", "error", "seconds")


def _falls(name: str) -> bool:
    """Tell whether less is better, by the end of a number's name."""
    return name.lower().endswith(_FALLING)


_WEIGHTS = "weights/"
"""What the names of the best epoch's arrays begin with in a state."""


class EarlyStopping(_Watch):
    """Stops when a number has not got better for ``patience`` epochs.

    Parameters
    ----------
    monitor : str, optional
        The number; None: ``"val_loss"`` if there is one, else ``"loss"``.
    patience : int
        So many epochs in a row that are not better end the training.
    min_delta : float
        What is more than this is better.
    mode : {'auto', 'min', 'max'}
        Whether less or more is better; 'auto': less for names that end in loss, mae, mse, rmse, ece or error, else more.
    restore_best : bool
        Whether the model gets the weights of its best epoch at the end, also when it was interrupted. A copy of them is kept.

    Attributes
    ----------
    best, best_epoch : float, int
        The best number, and the epoch that gave it.
    stopped_epoch : int or None
        The epoch after which training was stopped.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> stop = pynn.callbacks.EarlyStopping(patience=3)
    >>> model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
    >>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", optimizer=pynn.optim.SGD(lr=2.1), epochs=99, callbacks=[stop], seed=0)
    >>> stop.best_epoch, stop.stopped_epoch
    (0, 3)
    """

    def __init__(
        self, monitor: str | None = None, *, patience: int = 5, min_delta: float = 0.0, mode: str = "auto", restore_best: bool = True
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        check_count("patience", patience, 1)
        self.patience, self.restore_best = patience, restore_best
        self.best_epoch, self.stopped_epoch = 0, None
        self._weights: dict[str, Any] | None = None

    best_epoch: int
    stopped_epoch: int | None

    def on_train_begin(self, logs: Logs) -> None:
        """Start anew."""
        super().on_train_begin(logs)
        self.best_epoch, self.stopped_epoch, self._weights = 0, None, None

    def state_dict(self) -> dict[str, Any]:
        """Return what is known of the best epoch, with its weights, and whether training was stopped."""
        weights = {f"{_WEIGHTS}{name}": a for name, a in (self._weights or {}).items()}
        return super().state_dict() | {"best_epoch": self.best_epoch, "stopped_epoch": self.stopped_epoch} | weights

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it up; a training that was stopped ends at once."""
        super().load_state_dict(state)
        self.best_epoch, self.stopped_epoch = int(state["best_epoch"]), state["stopped_epoch"]
        weights = {name.removeprefix(_WEIGHTS): a for name, a in state.items() if name.startswith(_WEIGHTS)}
        if weights and {name: a.shape for name, a in weights.items()} != {name: a.shape for name, a in self.model.state_dict().items()}:
            raise ValueError("the weights of the best epoch are not those of this model")
        self._weights = weights if weights and self.restore_best else None
        self.model.stop_training = self.stopped_epoch is not None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare."""
        if self._better(logs):
            self.best_epoch = epoch
            self._weights = self.model.state_dict() if self.restore_best else None
        elif epoch - self.best_epoch >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        """Put the best weights back."""
        if self._weights is not None:
            self.model.load_state_dict(self._weights)
            self._weights = None


class ModelCheckpoint(_Watch):
    """Saves the model after epochs, by ``model.save``.

    Parameters
    ----------
    path : str or path
        The file; ``{epoch}`` and the numbers of the logs are filled in: ``"net-{epoch:03d}-{val_loss:.2f}.safetensors"``. A folder that
        is not there is made, when training begins where that much is known of it.
    save_best_only : bool
        Whether only an epoch better than all before is saved.
    monitor, mode : str
        As in `EarlyStopping`.
    every : int
        Saves only after so many epochs each.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, monitor: str | None = None, save_best_only: bool = False, mode: str = "auto", every: int = 1
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        check_count("every", every, 1)
        self.path, self.save_best_only, self.every = os.fspath(path), save_best_only, every

    def on_train_begin(self, logs: Logs) -> None:
        """Start anew, and see that there is a folder."""
        super().on_train_begin(logs)
        make_folder_of(self.path.partition("{")[0])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Save."""
        if (epoch + 1) % self.every or (self.save_best_only and not self._better(logs)):
            return
        try:
            path = self.path.format(epoch=epoch, **logs)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"path: {self.path!r} cannot be filled in with epoch, {', '.join(logs)}: {error}") from error
        make_folder_of(path)
        self.model.save(path)


class ReduceLROnPlateau(_Watch):
    """Multiplies the learning rates by ``factor`` when a number has not got better for ``patience`` epochs.

    For PyTorch's own counting, inside the optimizer, there is `pynn.optim.lr_scheduler.ReduceLROnPlateau`.

    Parameters
    ----------
    monitor, mode, min_delta
        As in `EarlyStopping`.
    factor : float
        Between 0 and 1.
    patience : int
        So many epochs in a row that are not better cut the rates.
    min_lr : float
        The lowest rate.
    """

    def __init__(
        self,
        monitor: str | None = None,
        *,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        mode: str = "auto",
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        check_count("patience", patience, 1)
        if not 0 < factor < 1:
            raise ValueError(f"factor: expected a number between 0 and 1, got {factor!r}")
        if not min_lr >= 0:
            raise ValueError(f"min_lr: expected a number of 0 or more, got {min_lr!r}")
        self.factor, self.patience, self.min_lr, self._waited = factor, patience, min_lr, 0

    def on_train_begin(self, logs: Logs) -> None:
        """Start anew."""
        super().on_train_begin(logs)
        self._waited = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far, and for how many epochs it has been."""
        return super().state_dict() | {"waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them up."""
        super().load_state_dict(state)
        self._waited = int(state["waited"])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare."""
        self._waited = 0 if self._better(logs) else self._waited + 1
        if self._waited < self.patience:
            return
        self._waited = 0
        for group in _rated_groups(self):
            group["lr"] = min(group["lr"], max(group["lr"] * self.factor, self.min_lr))


class LRScheduler(Callback):
    """Sets the learning rate of each epoch.

    Parameters
    ----------
    schedule : callable
        A function of the epoch that returns its rate; for several parameter groups, a number for all of them.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> opt, model = pynn.optim.SGD(), pynn.Sequential(pynn.Linear(2, 1))
    >>> halve = pynn.callbacks.LRScheduler(lambda epoch: 0.1 * 0.5**epoch)
    >>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", optimizer=opt, epochs=3, callbacks=[halve])
    >>> opt.param_groups[0]["lr"]
    0.025
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule: expected a function of the epoch, got {schedule!r}")
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Set the rate."""
        rate = float(self.schedule(epoch))
        if not 0 <= rate < math.inf:
            raise ValueError(f"schedule: expected a rate of 0 or more, got {rate!r} in epoch {epoch + 1}")
        for group in _rated_groups(self):
            group["lr"] = rate


def _rated_groups(callback: Callback) -> list[dict[str, Any]]:
    """Return the optimizer's groups, or raise where there is no rate that a callback could change."""
    groups = callback.optimizer.param_groups
    if not all("lr" in group for group in groups):
        raise ValueError(f"{type(callback).__name__}: {type(callback.optimizer).__name__} has no learning rate")
    return groups


class HealthMonitor(Callback):
    """Warn during training of what keeps a net from learning well, once a layer and cause, and keep every epoch's `Health` in the history.

    Parameters
    ----------
    dead, saturated : float
        The share of a layer's units that are dead, or saturated, from which on it warns.
    gradient : float
        How many times longer the gradient of the first layer may be than that of the last, or shorter.
    update : float
        The part of its length by which a step may change a layer.
    output : float
        The mean, or spread, of a hidden layer's outputs.

    Raises
    ------
    ValueError
        If a limit is not over 0.

    Warns
    -----
    UserWarning
        What ``model.health().problems`` would say with these limits. Notes are no warnings.

    Examples
    --------
    >>> import numpy as np, pynn, warnings
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> model = pynn.Sequential(pynn.Linear(1, 10, seed=0), "relu", pynn.Linear(10, 1, seed=1))
    >>> model[0].bias[:6] = -100
    >>> with warnings.catch_warnings(record=True) as told:
    ...     hist = model.fit(X, X**2, loss="mse", epochs=3, callbacks=[pynn.callbacks.HealthMonitor()], seed=0)
    >>> [str(one.message) for one in told]
    ['layer 1: 60 % of ReLU units never fired in the last epoch; use LeakyReLU or GELU, or restart with a lower learning rate']
    >>> [health["1"].dead for health in hist.health]
    [0.6, 0.6, 0.6]
    """

    def __init__(
        self,
        *,
        dead: float = PROBLEM.dead,
        saturated: float = PROBLEM.saturated,
        gradient: float = PROBLEM.gradient,
        update: float = PROBLEM.update,
        output: float = PROBLEM.output,
    ) -> None:
        self.limits = Limits(dead, saturated, gradient, update, output)
        for name, value in self.limits._asdict().items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ValueError(f"{name}: expected a number over 0, got {value!r}")
        self._told: set[tuple[str, str]] = set()

    def on_train_begin(self, logs: Logs) -> None:
        """Start anew."""
        self._told = set()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Look, and warn."""
        health = self.model.health()
        if self.model.history is not None:
            self.model.history.health.append(health)
        new = [one for one in health.findings(self.limits, None) if (one.rule, one.where) not in self._told]
        self._told |= {(one.rule, one.where) for one in new}
        for text in sentences(new):
            warnings.warn(text, UserWarning, stacklevel=4)

    def state_dict(self) -> dict[str, Any]:
        """Return what it has warned of."""
        return {"told": sorted(self._told)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it up."""
        self._told = {(str(kind), str(layer)) for kind, layer in state["told"]}


# ---- those that write -------------------------------------------------------------------------------------------------
class CSVLogger(Callback):
    """Writes a line an epoch, at once, so that a training that dies leaves what it saw.

    A training that goes on from a checkpoint goes on with its file too: what was written after the checkpoint is written again.

    Parameters
    ----------
    path : str or path
        The file; a folder that is not there is made.
    append : bool
        Whether lines are added to a file that is there.

    Raises
    ------
    ValueError
        When training begins, if the path leads to a directory, a device, a pipe or a socket.
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.path, self.append = os.fspath(path), append
        self._file: IO[str] | None = None
        self._size = 0

    def on_train_begin(self, logs: Logs) -> None:
        """Open the file."""
        make_folder_of(self.path)
        check_target(self.path)
        self._file = open(self.path, "a+", newline="", encoding="utf-8")  # noqa: SIM115
        self._size = os.path.getsize(self.path) if self.append else 0

    def state_dict(self) -> dict[str, Any]:
        """Return how long the file is."""
        return {"size": self._size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it up; a file that is no longer there begins anew."""
        size = int(state["size"])
        self._size = size if os.path.getsize(self.path) >= size else 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write a line."""
        assert self._file is not None
        self._file.truncate(self._size)
        self._file.seek(0)
        writer, names = csv.writer(self._file), ["epoch", *logs]
        known = next(csv.reader(self._file), None)
        if known is None:
            writer.writerow(names)
        elif names != known:
            raise ValueError(f"CSVLogger: {self.path} has the columns {', '.join(known)}, and this training {', '.join(names)}")
        writer.writerow([epoch, *logs.values()])
        self._file.flush()
        self._size = os.path.getsize(self.path)

    def on_train_end(self, logs: Logs) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class TensorBoard(Callback):
    """Writes for TensorBoard, through the writer of PyTorch or tensorboardX, whichever is installed.

    A training that goes on from a checkpoint goes on with its curves too: TensorBoard drops what was written after the checkpoint.

    Parameters
    ----------
    log_dir : str or path
        Where the files go.

    Raises
    ------
    ImportError
        When training begins, if neither is installed.
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "runs") -> None:
        self.log_dir = os.fspath(log_dir)
        self._writer: Any = None
        self._known = 0
        self._kind: Any = None

    def on_train_begin(self, logs: Logs) -> None:
        """Find the writer; it is opened when there is something to write."""
        self._kind, self._known = _summary_writer(), 0

    def state_dict(self) -> dict[str, Any]:
        """Return how many epochs have been written."""
        return {"epochs": self._known}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it up."""
        self._known = int(state["epochs"])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the numbers, those of validation data under the same names as their twins, and the learning rate of the last step."""
        if self._writer is None:
            self._writer = self._kind(self.log_dir, purge_step=self._known or None)
        self._known = epoch + 1
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            self._writer.add_scalar(f"{name.removeprefix('val_')}/{part}", value, epoch)
        if "lr" in self.optimizer.param_groups[0]:
            self._writer.add_scalar("learning rate", self.optimizer.get_last_lr()[0], epoch)

    def on_train_end(self, logs: Logs) -> None:
        """Close the writer."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _summary_writer() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        try:
            from tensorboardX import SummaryWriter  # type: ignore[import-untyped, no-redef, unused-ignore]
        except ImportError as error:
            raise ImportError("TensorBoard needs a writer: pip install tensorboardX, or torch and tensorboard") from error
    return SummaryWriter
